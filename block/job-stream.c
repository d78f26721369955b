/*
 * block-stream: what a drive has in its backing files comes into its top image, and the chain gets shorter.
 *
 * A piece is read and written back in one step that no guest write gets between (node_co_copy_up).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "block/copy.h"
#include "block/graph-ops.h"
#include "block/job.h"
#include "util/error.h"

typedef struct StreamJob {
    Job j;
    BlockBackend *blk;
    BlockNode *top, *bottom;            /* bottom: the last layer whose data is copied; NULL: there is nothing below top */
    BlockNode *filter;                  /* asked for by filter-node-name */
    bool whole;                         /* nothing stays below */
    bool was_read_only;
    char *backing_file;
} StreamJob;

/* How far from offset it is the same: 1: to be copied, 0: not. */
static int needs_copy(StreamJob *s, int64_t offset, int64_t bytes, int64_t *n)
{
    int ret = node_co_allocated_above(s->top, s->top, true, offset, bytes, n);

    if (ret)
        return ret < 0 ? ret : 0;
    return node_co_allocated_above(s->top, s->bottom, true, offset, *n, n);
}

static int stream_run(Job *j, GError **err)
{
    StreamJob *s = (StreamJob *)j;
    NodeInfo info = { .cluster_size = 65536 };
    int64_t len = node_length(s->top), offset = 0, cluster;
    void *buf = block_try_memalign(2 * COPY_CHUNK);
    int error = buf ? 0 : -ENOMEM;

    if (s->top->drv->info)
        s->top->drv->info(s->top, &info);
    cluster = CLAMP(info.cluster_size, 512, COPY_CHUNK);
    j->total = len;
    while (s->bottom && offset < len && buf) {
        int64_t n = 0, copied = 0, end;
        int ret = needs_copy(s, offset, MIN(len - offset, COPY_CHUNK), &n);

        if (ret > 0) {
            end = MIN((offset + MAX(n, 1) + cluster - 1) & ~(cluster - 1), len);
            copied = end - (offset & ~(cluster - 1));
            ret = node_co_copy_up(blk_root(s->blk), offset & ~(cluster - 1), copied, buf);
        }
        if (ret < 0) {
            BlkOnError what = job_co_error(j, true, j->on_source, -ret);

            if (what == BLK_ERR_STOP)
                continue;
            error = error ? error : ret;
            if (what == BLK_ERR_REPORT)
                break;
            n = MIN(cluster, len - offset);
        }
        offset += MAX(n, 1);
        j->done = offset;
        if (job_co_pace(j, copied)) {
            free(buf);
            return -ECANCELED;
        }
    }
    free(buf);
    if (!s->bottom)
        j->done = len;
    return error ? error : node_co_flush(s->top);
}

static void take_filter(StreamJob *s)
{
    if (s->filter)
        filter_remove(g_steal_pointer(&s->filter));
    if (s->blk)
        blk_unref(g_steal_pointer(&s->blk));
}

static int stream_prepare(Job *j, GError **err)
{
    StreamJob *s = (StreamJob *)j;
    BlockNode *base = s->whole || !s->bottom ? NULL : node_next_layer(s->bottom), *shown = node_skip_filters(base);
    int ret = 0;

    take_filter(s);
    if (!s->top->backing || !s->bottom)
        return 0;
    if (base)
        node_ref(base);
    if (s->top->drv->set_backing &&
        !node_change_backing_file(s->top, s->backing_file ? s->backing_file : shown ? shown->filename : NULL,
                                  shown ? shown->drv->name : NULL, err))
        ret = -EIO;
    else if (!node_set_backing(s->top, base, err))
        ret = -EPERM;
    if (base)
        node_unref(base);
    return ret;
}

static void stream_clean(Job *j)
{
    StreamJob *s = (StreamJob *)j;

    take_filter(s);
    if (s->was_read_only)
        node_reopen(s->top, false, NULL);
    g_free(s->backing_file);
}

static const JobDriver stream_driver = {
    .type = "stream", .block_job = true, .size = sizeof(StreamJob), .run = stream_run, .prepare = stream_prepare,
    .clean = stream_clean,
};

/* ---- the command */

/* Settles what lies between: bottom is the last to be copied. */
static bool find_bottom(BlockNode *top, json_t *args, BlockNode **bottom, bool *whole, GError **err)
{
    const char *base = json_string_value(json_object_get(args, "base")),
               *base_node = json_string_value(json_object_get(args, "base-node")),
               *last = json_string_value(json_object_get(args, "bottom"));
    BlockNode *b = NULL;

    if (base && base_node)
        return error_set(err, "'base' and 'base-node' cannot be specified at the same time");
    if (base && last)
        return error_set(err, "'base' and 'bottom' cannot be specified at the same time");
    if (last && base_node)
        return error_set(err, "'bottom' and 'base-node' cannot be specified at the same time");
    *whole = !base && !base_node && !last;
    *bottom = NULL;
    if (base) {
        b = chain_find(top, base);
        if (!b)
            return error_set(err, "Can't find '%s' in the backing chain", base);
    } else if (base_node) {
        b = block_lookup(base_node, base_node, err);
        if (!b)
            return false;
        if (b == top || !node_is_above(top, b))
            return error_set(err, "Node '%s' is not a backing image of '%s'", base_node, top->name);
    } else if (last) {
        *bottom = block_lookup(last, last, err);
        if (!*bottom)
            return false;
        if (!node_is_above(top, *bottom))
            return error_set(err, "Node '%s' is not in a chain starting from '%s'", last, top->name);
        return true;
    }
    for (BlockNode *n = node_backing(top); n && n != node_skip_filters(b); n = node_backing(n))
        *bottom = n;
    return true;
}

static bool prepare_graph(StreamJob *s, BlockNode *at, json_t *args, GError **err)
{
    const char *name = json_string_value(json_object_get(args, "filter-node-name"));

    if (s->top->read_only) {
        if (!node_reopen(s->top, true, err))
            return false;
        s->was_read_only = true;
    }
    if (name) {
        s->filter = filter_insert(&driver_copy_on_read, at, name, err);
        if (!s->filter)
            return false;
    }
    s->blk = blk_new(NULL, PERM_READ | PERM_WRITE_UNCHANGED, PERM_ALL & ~PERM_RESIZE);
    return blk_insert(s->blk, s->top, err);
}

bool block_stream(json_t *args, GError **err)
{
    const char *device = json_string_value(json_object_get(args, "device")),
               *backing_file = json_string_value(json_object_get(args, "backing-file"));
    BlockNode *at = block_lookup(device, device, err), *top = node_skip_filters(at), *bottom = NULL;
    JobArgs a;
    StreamJob *s;
    bool whole, ok;

    if (!at || !find_bottom(top, args, &bottom, &whole, err) || !job_args_from_json(&a, args, err))
        return false;
    if (backing_file && whole)
        return error_set(err, "backing file specified, but streaming the entire chain");
    for (BlockNode *n = top; n; n = n == bottom ? NULL : node_backing(n))
        if (!node_not_busy(n, err))
            return false;
    block_quiesce_begin();
    s = (StreamJob *)job_new(&stream_driver, &a, top, err);
    ok = s != NULL;
    if (ok) {
        s->top = top;
        s->bottom = bottom;
        s->whole = whole;
        for (BlockNode *n = node_backing(top); bottom && n; n = n == bottom ? NULL : node_backing(n))
            job_use_node(&s->j, n);
        ok = prepare_graph(s, at, args, err);
        s->backing_file = g_strdup(backing_file);
        if (!ok) {
            stream_clean(&s->j);
            job_early_fail(&s->j);
        }
    }
    block_quiesce_end();
    if (ok)
        job_start(&s->j);
    return ok;
}
