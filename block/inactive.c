/*
 * Whose images are they? A migration hands them from one process to another.
 *
 * Inactive images hold no locks. Activation takes the locks of all files first; when one is somebody else's, those taken
 * are given back. Then each node reads its metadata anew, files before the formats on them.
 */
#include <string.h>
#include "block/aio.h"
#include "block/graph.h"
#include "util/error.h"

static bool inactive;

bool block_is_inactive(void)
{
    return inactive;
}

void block_start_inactive(void)
{
    inactive = true;
}

typedef struct Work {
    BlockNode *node;
    int ret;
    bool ok;
    GError *err;
} Work;

static void inactivate_co(void *opaque)
{
    Work *w = opaque;

    w->ret = w->node->drv->inactivate ? w->node->drv->inactivate(w->node) : 0;
    if (w->ret == 0 && node_writable(w->node))
        w->ret = node_co_flush(w->node);
}

static void activate_co(void *opaque)
{
    Work *w = opaque;

    w->ok = !w->node->drv->activate || w->node->drv->activate(w->node, &w->err);
}

/* Locks as the permissions of the node's parents want them, or none while inactive. */
static bool refresh_locks(GError **err)
{
    for (BlockNode *n = node_next(NULL); n; n = n->next)
        if (n->drv->perm_check && !node_refresh_perms(n, err))
            return false;
    return true;
}

bool block_inactivate_all(GError **err)
{
    if (inactive)
        return true;
    blk_drain_all();
    for (BlockNode *n = node_next(NULL); n; n = n->next) {
        Work w = { .node = n };

        aio_run_sync(inactivate_co, &w);
        if (w.ret < 0)
            return error_set_errno(err, w.ret, "cannot write '%s' back", n->filename);
    }
    inactive = true;
    return refresh_locks(err);
}

/* Storage first. */
static bool activate_node(BlockNode *n, GHashTable *done, GError **err)
{
    Work w = { .node = n };

    if (!g_hash_table_add(done, n))
        return true;
    for (unsigned i = 0; i < n->links->len; i++)
        if (!activate_node(((NodeLink *)g_ptr_array_index(n->links, i))->node, done, err))
            return false;
    aio_run_sync(activate_co, &w);
    if (w.err)
        g_propagate_error(err, w.err);
    return w.ok;
}

bool block_activate_all(GError **err)
{
    g_autoptr(GHashTable) done = g_hash_table_new(NULL, NULL);
    bool ok;

    if (!inactive)
        return true;
    inactive = false;
    ok = refresh_locks(err);
    for (BlockNode *n = node_next(NULL); ok && n; n = n->next)
        ok = activate_node(n, done, err);
    if (!ok) {
        inactive = true;
        refresh_locks(NULL);
    }
    return ok;
}
