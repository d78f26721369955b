/* Changing the graph while a guest uses it. */
#include <string.h>
#include "block/aio.h"
#include "block/backend-int.h"
#include "block/graph-ops.h"
#include "block/job.h"
#include "util/error.h"

static unsigned quiesced;
static CoQueue outside;                 /* those who wait for the end of that */

void block_quiesce_begin(void)
{
    g_assert(!coroutine_in());
    if (quiesced++)
        return;
    jobs_hold();
    do {
        AIO_WAIT_WHILE(jobs_busy());
        blk_drain_all();
    } while (jobs_busy());
}

void block_quiesce_end(void)
{
    g_assert(quiesced);
    if (--quiesced)
        return;
    jobs_release();
    co_queue_wake_all(&outside);
}

void co_wait_quiesced(void)
{
    while (quiesced)
        co_queue_wait(&outside);
}

void job_leave_graph(BlockBackend **to, BlockBackend **from, BlockNode **filter)
{
    if (*to)
        blk_unref(g_steal_pointer(to));
    if (*from)
        blk_unref(g_steal_pointer(from));
    if (*filter)
        filter_remove(g_steal_pointer(filter));
}

/* ---- finding */

BlockNode *node_next_layer(BlockNode *n)
{
    NodeLink *l = n->drv->is_filter ? node_storage(n) : n->backing;

    return l ? l->node : NULL;
}

bool node_is_above(BlockNode *top, BlockNode *n)
{
    while (top && top != n)
        top = node_next_layer(top);
    return top != NULL;
}

BlockNode *node_skip_implicit(BlockNode *n)
{
    while (n && n->implicit)
        n = node_next_layer(n);
    return n;
}

BlockBackend *node_drive(BlockNode *n)
{
    for (NodeLink *l = n->parents; l; l = l->next_parent) {
        BlockBackend *b = NULL;

        if (l->parent_blk && *blk_name(l->parent_blk))
            return l->parent_blk;
        if (l->parent_node && l->parent_node->implicit && node_next_layer(l->parent_node) == n)
            b = node_drive(l->parent_node);
        if (b)
            return b;
    }
    return NULL;
}

const char *node_user_name(BlockNode *n)
{
    BlockBackend *b = node_drive(n);

    return b ? blk_name(b) : n->name;
}

BlockNode *block_lookup(const char *device, const char *node_name, GError **err)
{
    BlockBackend *b = device ? blk_by_name(device) : NULL;
    BlockNode *n;

    if (b) {
        if (!blk_node(b))
            error_set(err, "Device '%s' has no medium", device);
        return blk_node(b);
    }
    n = node_name ? node_by_name(node_name) : NULL;
    if (!n)
        error_set(err, "Cannot find device='%s' nor node-name='%s'", device ? device : "", node_name ? node_name : "");
    return n;
}

/* ---- filters */

BlockNode *filter_insert(const BlockDriver *drv, BlockNode *n, const char *name, GError **err)
{
    BlockNode *f;

    if (name && !node_name_ok(name, err))
        return NULL;
    f = node_new(drv, name);
    f->implicit = !name;
    f->read_only = n->read_only;
    f->flags = n->flags & ~OPEN_COPY_ON_READ;
    f->length = node_length(n);
    g_free(f->filename);
    g_free(f->exact_filename);
    f->filename = g_strdup(n->filename);
    f->exact_filename = g_strdup(n->exact_filename);
    if (!node_link(f, node_ref(n), drv == &driver_copy_on_read || drv == &driver_cbw ? "file" : "backing",
                   ROLE_FILTERED | ROLE_PRIMARY, err) || !node_replace(n, f, err)) {
        node_unref(f);
        return NULL;
    }
    return f;
}

void filter_remove(BlockNode *f)
{
    filter_set_hooks(f, NULL);
    if (!node_replace(f, filter_link(f)->node, NULL))
        warn_report("node '%s' could not be taken out of the graph", f->name);
    node_unref(f);
}

/* ---- backing files */

bool node_set_backing(BlockNode *n, BlockNode *to, GError **err)
{
    BlockNode *old = n->backing ? n->backing->node : NULL;
    bool ok;

    if (old == to)
        return true;
    if (to && node_is_above(to, n))
        return error_set(err, "Making '%s' a backing child of '%s' would create a cycle", to->name, n->name);
    if (to)
        node_ref(to);
    if (old) {
        node_ref(old);
        node_unlink(n, n->backing);
    }
    ok = !to || node_link(n, to, "backing", ROLE_COW, err);
    if (!ok && old)
        node_link(n, node_ref(old), "backing", ROLE_COW, NULL);
    if (old)
        node_unref(old);
    node_refresh_names_above(n);
    return ok;
}

void node_refresh_names_above(BlockNode *n)
{
    if (n->drv->supports_backing) {
        const char *shown = n->backing ? n->backing->node->filename : NULL;
        g_autofree char *path = n->backing_file && n->file
            ? backing_path(n->file->node->exact_filename, n->backing_file, NULL) : NULL;

        n->backing_overridden = (shown || n->backing_file) && g_strcmp0(path ? path : n->backing_file, shown) &&
            g_strcmp0(n->backing_file, shown);
    }
    node_refresh_filename(n);
    if (n->implicit && filter_link(n)) {
        g_free(n->filename);
        n->filename = g_strdup(filter_link(n)->node->filename);
    }
    for (NodeLink *l = n->parents; l; l = l->next_parent)
        if (l->parent_node)
            node_refresh_names_above(l->parent_node);
}

typedef struct Change { BlockNode *n; const char *file, *fmt; GError **err; bool ok; int ret; } Change;

static void change_co(void *opaque)
{
    Change *c = opaque;
    int ret = node_co_flush(c->n);

    if (ret < 0) {
        error_set_errno(c->err, ret, "Could not flush '%s'", c->n->name);
        return;
    }
    c->ok = c->n->drv->set_backing(c->n, c->file, c->fmt, c->err);
    if (c->ok)
        node_co_flush(c->n);
}

bool node_change_backing_file(BlockNode *n, const char *file, const char *fmt, GError **err)
{
    Change c = { n, file, fmt, err, false, 0 };
    bool ro = n->read_only;

    if (!n->drv->set_backing)
        return error_set(err, "Could not change the backing file of '%s': Operation not supported", n->name);
    if (ro && !node_reopen(n, true, err))
        return false;
    aio_run_sync(change_co, &c);
    if (ro)
        node_reopen(n, false, NULL);
    node_refresh_names_above(n);
    return c.ok;
}

static void flush_co(void *opaque)
{
    Change *c = opaque;

    c->ret = node_co_flush(c->n);
}

int node_flush_sync(BlockNode *n)
{
    Change c = { .n = n };

    aio_run_sync(flush_co, &c);
    return c.ret;
}
