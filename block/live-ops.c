/* Changes of running drives that are no jobs: reopen, backing file names, limits, HMP's commit. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "block/backend-int.h"
#include "block/copy.h"
#include "block/graph-ops.h"
#include "block/job.h"
#include "block/live-ops.h"
#include "block/options.h"
#include "util/error.h"

static const char *str(json_t *o, const char *key)
{
    return json_string_value(json_object_get(o, key));
}

bool change_backing_file(json_t *args, GError **err)
{
    const char *device = str(args, "device"), *file = str(args, "backing-file");
    BlockNode *top = block_lookup(device, device, err), *n = top ? block_lookup(NULL, str(args, "image-node-name"), err) : NULL;
    bool ok;

    if (!n)
        return false;
    if (!node_backing(n))
        return error_set(err, "not allowing backing file change on an image without a backing file");
    if (!node_not_busy(n, err))
        return false;
    if (!node_is_above(top, n))
        return error_set(err, "'%s' and image file are not in the same chain", device);
    block_quiesce_begin();
    ok = node_change_backing_file(n, file, n->drv->name, err);
    block_quiesce_end();
    return ok;
}

bool block_set_write_threshold(json_t *args, GError **err)
{
    const char *name = str(args, "node-name");
    BlockNode *n = node_by_name(name);

    if (!n)
        return error_set(err, "Device '%s' not found", name);
    n->write_threshold = json_integer_value(json_object_get(args, "write-threshold"));
    return true;
}

bool block_set_io_throttle(json_t *args, GError **err)
{
    const char *id = str(args, "id") ? str(args, "id") : str(args, "device");
    g_autoptr(json_t) opts = json_copy(args);
    g_autofree char *group = NULL;
    ThrottleConfig cfg;
    BlockBackend *b;
    bool any;

    if (!id || (str(args, "id") && str(args, "device")))
        return error_set(err, "Need exactly one of 'device' and 'id'");
    b = blk_by_dev_or_name(id, str(args, "id") != NULL, err);
    if (!b)
        return false;
    if (!blk_node(b))
        return error_set(err, "Device '%s' has no medium", id);
    if (!throttle_take_options(opts, &cfg, &group, &any, err))
        return false;
    blk_drain(b);
    if (any)
        throttle_join(&b->throttle, group ? group : id, &cfg);
    else
        throttle_leave(&b->throttle);
    return true;
}

/* ---- blockdev-reopen */

/* Options that may change; the others must be as they were. */
static bool may_change(const char *key)
{
    static const char *const names[] = { "read-only", "backing", "driver", "node-name", "discard", "detect-zeroes",
                                         "auto-read-only", "force-share", NULL };

    return g_strv_contains(names, key);
}

static bool same_options(BlockNode *n, json_t *flat, GError **err)
{
    const char *key;
    json_t *v;

    if (strcmp(n->drv->name, jopts_get(flat, "driver")))
        return error_set(err, "Cannot change the option 'driver'");
    json_object_foreach(flat, key, v) {
        g_autofree char *now = NULL;
        NodeLink *l = !strcmp(key, "file") ? n->file : NULL;

        if (may_change(key))
            continue;
        if (n->options)
            now = g_strdup(jopts_get(n->options, key));
        if (l && !g_strcmp0(l->node->name, jopts_get(flat, key)))
            continue;
        if (g_strcmp0(now, jopts_get(flat, key)))
            return error_set(err, "Cannot change the option '%s'", key);
    }
    return true;
}

static bool reopen_backing(BlockNode *n, json_t *flat, GError **err)
{
    json_t *v = json_object_get(flat, "backing");
    BlockNode *b = NULL;

    if (!v)
        return true;
    if (!n->drv->supports_backing)
        return error_set(err, "Driver '%s' of node '%s' does not support backing files", n->drv->name, n->name);
    if (json_is_string(v)) {
        b = node_by_name(json_string_value(v));
        if (!b)
            return error_set(err, "Cannot find device='' nor node-name='%s'", json_string_value(v));
    } else if (!json_is_null(v)) {
        return error_set(err, "Cannot change the option 'backing.%s'", "driver");
    }
    return node_set_backing(n, b, err);
}

static bool reopen_one(BlockNode *n, json_t *flat, GError **err)
{
    static const char *const discards[] = { "ignore", "unmap", NULL }, *const detects[] = { "off", "on", "unmap", NULL };
    bool ro = false;
    int discard = 0, detect = 0;

    if (!jopts_take_bool(flat, "read-only", &ro, err) || !jopts_take_enum(flat, "discard", discards, &discard, err) ||
        !jopts_take_enum(flat, "detect-zeroes", detects, &detect, err))
        return false;
    if (detect == 2 && !discard)
        return error_set(err, "setting detect-zeroes to unmap is not allowed without setting discard operation to unmap");
    if (ro) {
        for (NodeLink *l = n->parents; l; l = l->next_parent)
            if (l->perm & ~PERM_READ)
                return error_set(err, "Read-only block node '%s' cannot support read-write users", n->name);
    }
    if (!reopen_backing(n, flat, err) || !node_reopen(n, !ro, err))
        return false;
    n->flags = (n->flags & ~OPEN_UNMAP) | (discard ? OPEN_UNMAP : 0);
    n->detect_zeroes = detect;
    return true;
}

bool blockdev_reopen(json_t *args, GError **err)
{
    json_t *list = json_object_get(args, "options");
    bool ok = true;

    block_quiesce_begin();
    for (int doing = 0; doing < 2; doing++) {   /* look at all of them first */
        for (size_t i = 0; i < json_array_size(list) && ok; i++) {
            json_t *o = json_array_get(list, i);
            g_autoptr(json_t) flat = json_object();
            BlockNode *n = NULL;

            jopts_flatten(flat, "", o);
            if (!str(o, "node-name"))
                ok = error_set(err, "node-name not specified");
            else if (!(n = node_by_name(str(o, "node-name"))))
                ok = error_set(err, "Failed to find node with node-name='%s'", str(o, "node-name"));
            ok = ok && (doing ? reopen_one(n, flat, err) : same_options(n, flat, err));
        }
    }
    block_quiesce_end();
    return ok;
}

/* ---- HMP commit */

typedef struct Commit { BlockBackend *from, *to; BlockNode *top, *base; int ret; } Commit;

static void commit_co(void *opaque)
{
    Commit *c = opaque;
    int64_t len = node_length(c->top), n;
    void *buf = block_try_memalign(COPY_CHUNK);

    c->ret = buf ? 0 : -ENOMEM;
    if (c->ret == 0 && node_length(c->base) < len)
        c->ret = node_co_truncate(blk_root(c->to), len, false, PREALLOC_OFF, NULL);
    for (int64_t o = 0; o < len && c->ret >= 0; o += MAX(n, 1)) {
        c->ret = node_co_allocated_above(c->top, c->base, false, o, MIN(len - o, COPY_CHUNK), &n);
        if (c->ret > 0)
            c->ret = copy_co(blk_root(c->from), blk_root(c->to), o, n, buf, 0, BLK_MAY_UNMAP).ret;
    }
    free(buf);
    if (c->ret >= 0)
        c->ret = node_co_flush(c->base);
    if (c->ret >= 0)
        c->ret = c->top->drv->co_make_empty ? c->top->drv->co_make_empty(c->top) : -ENOTSUP;
    if (c->ret >= 0)
        c->ret = node_co_flush(c->top);
}

static int commit_node(BlockNode *at, BlockNode *top, BlockNode *base)
{
    Commit c = { NULL, NULL, top, base, -EACCES };
    bool ro = base->read_only;
    BlockNode *filter = filter_insert(&driver_commit_top, at, NULL, NULL);

    if (!filter)
        return -EPERM;
    if (!ro || node_reopen(base, true, NULL)) {
        c.from = blk_new(NULL, 0, PERM_ALL);
        c.to = blk_new(NULL, PERM_READ | PERM_WRITE | PERM_RESIZE, PERM_READ | PERM_WRITE_UNCHANGED);
        if (blk_insert(c.from, top, NULL) && blk_insert(c.to, base, NULL))
            aio_run_sync(commit_co, &c);
        blk_unref(c.to);
        blk_unref(c.from);
    }
    filter_remove(filter);
    if (ro)
        node_reopen(base, false, NULL);
    return MIN(c.ret, 0);
}

int blk_commit(BlockBackend *blk)
{
    BlockNode *at = blk_node(blk), *top = node_skip_filters(at), *base = at ? node_backing(at) : NULL;
    int ret;

    if (!at)
        return -ENOMEDIUM;
    if (!base)
        return -ENOTSUP;
    if (!node_not_busy(top, NULL) || !node_not_busy(base, NULL))
        return -EBUSY;
    if (top->read_only)
        return -EACCES;
    block_quiesce_begin();
    ret = commit_node(at, top, base);
    block_quiesce_end();
    return ret;
}
