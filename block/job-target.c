/* drive-mirror and blockdev-mirror: their arguments; files that jobs make. */
#include <string.h>
#include "block/bitmap.h"
#include "block/graph-ops.h"
#include "block/job-mirror.h"
#include "block/options.h"
#include "util/error.h"

bool job_create_target(const char *file, const char *fmt, int64_t size, BlockNode *backing, GError **err)
{
    json_t *o = json_object();
    g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT, size);

    jopts_set(o, "size", text);
    backing = node_skip_filters(backing);       /* a job's filter has no name that would open it again */
    if (backing) {
        jopts_set(o, "backing_file", backing->filename);
        jopts_set(o, "backing_fmt", backing->drv->name);
    }
    return image_create(file, fmt, o, err);
}

BlockNode *job_open_target(const char *file, const char *fmt, const char *node_name, BlockNode *like, unsigned flags, GError **err)
{
    json_t *o = json_object();

    if (fmt)
        jopts_set(o, "driver", fmt);
    if (node_name)
        jopts_set(o, "node-name", node_name);
    return node_open(file, o, OPEN_RDWR | (like->flags & (OPEN_DIRECT | OPEN_NO_FLUSH | OPEN_UNMAP)) | flags, err);
}

bool node_open_backing_of(BlockNode *n, GError **err)
{
    g_autofree char *path = backing_path(n->exact_filename, n->backing_file, err);
    json_t *o = json_object();
    BlockNode *b = NULL;
    bool ok;

    if (n->backing_format)
        jopts_set(o, "driver", n->backing_format);
    if (path)
        b = node_open(path, o, n->flags & ~(OPEN_RDWR | OPEN_AUTO_RDONLY | OPEN_TEMPORARY | OPEN_UNMAP | OPEN_NO_BACKING), err);
    else
        json_decref(o);
    ok = b && node_set_backing(n, b, err);
    if (b)
        node_unref(b);
    return ok;
}

uint32_t mirror_granularity(BlockNode *target)
{
    return bitmap_default_granularity(target);
}

static bool take_common(MirrorSetup *m, json_t *args, GError **err)
{
    const char *sync = json_string_value(json_object_get(args, "sync")),
               *mode = json_string_value(json_object_get(args, "copy-mode")),
               *replaces = json_string_value(json_object_get(args, "replaces"));
    int64_t granularity = json_integer_value(json_object_get(args, "granularity"));
    BlockNode *r;

    if (granularity && (granularity < 512 || granularity > 64 * 1024 * 1024))
        return error_set(err, "Parameter 'granularity' expects a value in range [512B, 64MB]");
    if (granularity & (granularity - 1))
        return error_set(err, "Parameter 'granularity' expects a power of 2");
    if (!strcmp(sync, "incremental") || !strcmp(sync, "bitmap"))
        return error_set(err, "Sync mode '%s' not supported", sync);
    m->sync = !strcmp(sync, "full") ? MIRROR_FULL : !strcmp(sync, "top") ? MIRROR_TOP : MIRROR_NONE;
    m->write_blocking = mode && !strcmp(mode, "write-blocking");
    m->granularity = granularity;
    m->keep_space = json_is_false(json_object_get(args, "unmap"));
    m->buf_size = json_integer_value(json_object_get(args, "buf-size"));
    if (m->buf_size < 0)
        return error_set(err, "Invalid parameter 'buf-size'");
    if (!m->buf_size)
        m->buf_size = MIRROR_BUF_SIZE;
    if (replaces) {
        r = block_lookup(NULL, replaces, err);
        if (!r)
            return false;
        if (node_length(r) != node_length(m->source))
            return error_set(err, "cannot replace image with a mirror image of different size");
    }
    if (m->sync == MIRROR_TOP && !node_backing(m->source))
        m->sync = MIRROR_FULL;
    m->base = m->sync == MIRROR_TOP ? node_backing(m->source) : NULL;
    return true;
}

static bool launch(json_t *args, MirrorSetup *m, BlockNode *at, GError **err)
{
    JobArgs a;

    if (!job_args_from_json(&a, args, err))
        return false;
    if (m->target == m->source || m->target == at)
        return error_set(err, "Can't mirror node into itself");
    if (!m->granularity)
        m->granularity = mirror_granularity(m->target);
    return mirror_start(&a, m, at, json_string_value(json_object_get(args, "filter-node-name")),
                        json_string_value(json_object_get(args, "replaces")), err);
}

bool blockdev_mirror(json_t *args, GError **err)
{
    const char *device = json_string_value(json_object_get(args, "device")),
               *target = json_string_value(json_object_get(args, "target"));
    BlockNode *at = block_lookup(device, device, err);
    MirrorSetup m = { .source = node_skip_filters(at), .target = at ? block_lookup(target, target, err) : NULL };

    if (!at || !m.target || !node_not_busy(m.source, err) || !node_not_busy(m.target, err) || !take_common(&m, args, err))
        return false;
    m.zero_target = m.sync == MIRROR_FULL;
    return launch(args, &m, at, err);
}

/* An existing file's size is the source's, or it is no target. */
static bool make_file(json_t *args, MirrorSetup *m, BlockNode *at, GError **err)
{
    const char *file = json_string_value(json_object_get(args, "target")),
               *fmt = json_string_value(json_object_get(args, "format")),
               *mode = json_string_value(json_object_get(args, "mode"));
    bool existing = mode && !strcmp(mode, "existing");
    BlockNode *backing = m->sync == MIRROR_TOP ? m->base : m->sync == MIRROR_NONE ? m->source : NULL;

    if (!existing && !fmt)
        fmt = m->source->drv->name;
    if (!existing && !job_create_target(file, fmt, node_length(m->source), backing, err))
        return false;
    m->target = job_open_target(file, fmt, json_string_value(json_object_get(args, "node-name")), m->source, OPEN_NO_BACKING, err);
    m->zero_target = m->sync == MIRROR_FULL && existing;
    m->source_chain = !existing;
    m->open_backing = existing;
    return m->target != NULL;
}

bool drive_mirror(json_t *args, GError **err)
{
    const char *device = json_string_value(json_object_get(args, "device"));
    BlockNode *at = block_lookup(device, device, err);
    MirrorSetup m = { .source = node_skip_filters(at) };
    bool ok;

    if (!at || !node_not_busy(m.source, err) || !take_common(&m, args, err) || !make_file(args, &m, at, err))
        return false;
    ok = launch(args, &m, at, err);
    node_unref(m.target);
    return ok;
}
