/*
 * block-commit: what the layers from top down to above base hold goes into base, and they drop out of the chain.
 * When top is the layer that is written to, that is a mirror into the base (job-mirror.c).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "block/copy.h"
#include "block/graph-ops.h"
#include "block/job.h"
#include "util/error.h"

typedef struct CommitJob {
    Job j;
    BlockBackend *from, *to;
    BlockNode *top, *base, *filter;
    bool base_was_read_only;
    char *backing_file;
} CommitJob;

static int grow_base(CommitJob *s, int64_t len, GError **err)
{
    return node_length(s->base) < len ? node_co_truncate(blk_root(s->to), len, false, PREALLOC_OFF, err) : 0;
}

/* The nodes that top backs; they are few. */
static GPtrArray *overlays_of(BlockNode *top)
{
    GPtrArray *a = g_ptr_array_new();

    for (NodeLink *l = top->parents; l; l = l->next_parent)
        if (l->parent_node && l->parent_node->backing == l)
            g_ptr_array_add(a, l->parent_node);
    return a;
}

/* Where top is shorter than base, its overlays read zeroes behind its end, and go on doing so. */
static int hide_tail(CommitJob *s, int64_t len)
{
    g_autoptr(GPtrArray) over = overlays_of(s->filter ? s->filter : s->top);
    int64_t end = len;

    for (unsigned i = 0; i < over->len; i++)
        end = MAX(end, node_length(g_ptr_array_index(over, i)));
    end = MIN(end, node_length(s->base));
    return end > len ? node_co_zero(blk_root(s->to), len, end - len, BLK_MAY_UNMAP) : 0;
}

static int commit_run(Job *j, GError **err)
{
    CommitJob *s = (CommitJob *)j;
    int64_t len = node_length(s->top), offset = 0;
    void *buf = block_try_memalign(COPY_CHUNK);
    int ret = buf ? grow_base(s, len, err) : -ENOMEM;

    j->total = len;
    while (ret == 0 && offset < len) {
        CopyResult r = { 0 };
        int64_t n = 0;
        bool copy;

        r.ret = node_co_allocated_above(s->top, s->base, false, offset, MIN(len - offset, COPY_CHUNK), &n);
        r.on_read = true;
        copy = r.ret > 0;
        if (copy)
            r = copy_co(blk_root(s->from), blk_root(s->to), offset, n, buf, 0, BLK_MAY_UNMAP);
        if (r.ret < 0) {
            BlkOnError what = job_co_error(j, r.on_read, j->on_source, -r.ret);

            if (what == BLK_ERR_REPORT)
                ret = r.ret;
            if (what == BLK_ERR_REPORT || what == BLK_ERR_STOP)
                continue;
            n = MIN(65536, len - offset);
            copy = false;
        }
        offset += MAX(n, 1);
        j->done = offset;
        if (job_co_pace(j, copy ? n : 0))
            ret = -ECANCELED;
    }
    free(buf);
    if (ret == 0)
        ret = hide_tail(s, len);
    return ret < 0 ? ret : node_co_flush(s->base);
}

static int commit_prepare(Job *j, GError **err)
{
    CommitJob *s = (CommitJob *)j;
    g_autoptr(GPtrArray) over = NULL;

    job_leave_graph(&s->to, &s->from, &s->filter);
    over = overlays_of(s->top);
    for (unsigned i = 0; i < over->len; i++) {
        BlockNode *o = g_ptr_array_index(over, i);

        if (!node_change_backing_file(o, s->backing_file ? s->backing_file : s->base->filename, s->base->drv->name, err) ||
            !node_set_backing(o, s->base, err))
            return -EIO;
    }
    return 0;
}

static void commit_clean(Job *j)
{
    CommitJob *s = (CommitJob *)j;

    job_leave_graph(&s->to, &s->from, &s->filter);
    if (s->base_was_read_only)
        node_reopen(s->base, false, NULL);
    g_free(s->backing_file);
}

static const JobDriver commit_driver = {
    .type = "commit", .block_job = true, .size = sizeof(CommitJob), .run = commit_run, .prepare = commit_prepare,
    .clean = commit_clean,
};

/* ---- the command */

typedef struct CommitArgs { BlockNode *device, *top, *base; const char *backing_file, *filter_name; } CommitArgs;

static BlockNode *by_node_name(BlockNode *chain, const char *name, GError **err)
{
    BlockNode *n = block_lookup(NULL, name, err);

    if (n && !node_is_above(chain, n)) {
        error_set(err, "'%s' is not in this backing file chain", name);
        return NULL;
    }
    return n;
}

static BlockNode *deepest(BlockNode *n)
{
    for (BlockNode *below; (below = node_backing(n)); n = below)
        ;
    return n;
}

static bool find_layers(CommitArgs *c, json_t *args, GError **err)
{
    const char *top = json_string_value(json_object_get(args, "top")),
               *top_node = json_string_value(json_object_get(args, "top-node")),
               *base = json_string_value(json_object_get(args, "base")),
               *base_node = json_string_value(json_object_get(args, "base-node"));

    if (base && base_node)
        return error_set(err, "'base-node' and 'base' are mutually exclusive");
    if (top && top_node)
        return error_set(err, "'top-node' and 'top' are mutually exclusive");
    c->top = node_skip_filters(c->device);
    if (top_node) {
        c->top = node_skip_filters(by_node_name(c->device, top_node, err));
        if (!c->top)
            return false;
    } else if (top && strcmp(c->top->filename, top)) {
        c->top = chain_find(c->device, top);
        if (!c->top)
            return error_set(err, "Top image file %s not found", top);
    }
    if (base_node) {
        c->base = by_node_name(c->top, base_node, err);
        if (!c->base)
            return false;
    } else if (base) {
        c->base = chain_find(c->top, base);
        if (!c->base)
            return error_set(err, "Can't find '%s' in the backing chain", base);
    } else {
        c->base = deepest(c->top);
    }
    c->base = node_skip_filters(c->base);
    return c->base != c->top || error_set(err, "cannot commit an image into itself");
}

static bool build(CommitJob *s, const char *filter_name, GError **err)
{
    s->filter = filter_insert(&driver_commit_top, s->top, filter_name, err);
    if (!s->filter)
        return false;
    s->base_was_read_only = s->base->read_only;
    if (s->base->read_only && !node_reopen(s->base, true, err))
        return false;
    s->from = blk_new(NULL, 0, PERM_ALL);
    s->to = blk_new(NULL, PERM_READ | PERM_WRITE | PERM_RESIZE, PERM_READ | PERM_WRITE_UNCHANGED);
    return blk_insert(s->from, s->top, err) && blk_insert(s->to, s->base, err);
}

static bool start(CommitArgs *c, const JobArgs *a, GError **err)
{
    CommitJob *s;
    bool ok;

    block_quiesce_begin();
    s = (CommitJob *)job_new(&commit_driver, a, c->device, err);
    ok = s != NULL;
    if (ok) {
        s->top = c->top;
        s->base = c->base;
        for (BlockNode *n = c->top; n; n = n == c->base ? NULL : node_backing(n))
            job_use_node(&s->j, n);
        ok = build(s, c->filter_name, err);
        s->backing_file = g_strdup(c->backing_file);
        if (!ok) {
            commit_clean(&s->j);
            job_early_fail(&s->j);
        }
    }
    block_quiesce_end();
    if (ok)
        job_start(&s->j);
    return ok;
}

bool block_commit(json_t *args, GError **err)
{
    const char *device = json_string_value(json_object_get(args, "device"));
    CommitArgs c = { .backing_file = json_string_value(json_object_get(args, "backing-file")),
                     .filter_name = json_string_value(json_object_get(args, "filter-node-name")) };
    BlockNode *at = blk_by_name(device) || node_by_name(device) ? block_lookup(device, device, err) : NULL;
    JobArgs a;

    if (!at)
        return err && *err ? false : error_set_class(err, ERR_DEVICE_NOT_FOUND, "Device '%s' not found", device);
    c.device = node_skip_implicit(at);
    if (!job_args_from_json(&a, args, err) || !node_not_busy(c.device, err) || !find_layers(&c, args, err))
        return false;
    for (BlockNode *n = c.top; n; n = n == c.base ? NULL : node_backing(n))
        if (!node_not_busy(n, err))
            return false;
    if (c.top != node_skip_filters(c.device))
        return start(&c, &a, err);
    if (c.backing_file)
        return error_set(err, "'backing-file' specified, but 'top' is the active layer");
    return mirror_start_commit(&a, at, c.base, c.filter_name, err);
}
