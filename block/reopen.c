/* Making an open node writable or read-only. */
#include "block/aio.h"
#include "block/graph.h"
#include "util/error.h"

typedef struct Reopen { BlockNode *n; bool rw, ok; GError **err; } Reopen;

static void driver_co(void *opaque)
{
    Reopen *r = opaque;

    r->ok = !r->n->drv->reopen || r->n->drv->reopen(r->n, r->rw, r->err);
}

static void mark(BlockNode *n, bool rw)
{
    n->read_only = !rw;
    n->flags = rw ? n->flags | OPEN_RDWR : n->flags & ~OPEN_RDWR;
}

/* The nodes that n's own data and metadata are in; failing, those done so far go back. */
static bool children(BlockNode *n, bool rw, GError **err)
{
    for (unsigned i = 0; i < n->links->len; i++) {
        NodeLink *l = g_ptr_array_index(n->links, i);

        if (l->role & ROLE_COW)
            continue;
        if (!node_reopen(l->node, rw, err)) {
            while (i-- > 0) {
                l = g_ptr_array_index(n->links, i);
                if (!(l->role & ROLE_COW))
                    node_reopen(l->node, !rw, NULL);
            }
            return false;
        }
    }
    return true;
}

bool node_reopen(BlockNode *n, bool rw, GError **err)
{
    Reopen r = { n, rw, false, err };

    if (n->read_only == !rw)
        return true;
    AIO_WAIT_WHILE(n->in_flight);
    if (rw && !children(n, true, err))
        return false;
    if (rw)
        mark(n, true);
    aio_run_sync(driver_co, &r);
    if (r.ok && !rw)
        mark(n, false);
    if (r.ok && node_refresh_perms(n, err))
        return rw || children(n, false, err);
    mark(n, !rw);
    if (rw)
        children(n, false, NULL);
    node_refresh_perms(n, NULL);
    return false;
}
