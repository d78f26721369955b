/* Trays and media: what change, eject and their QMP relatives do. */
#include <string.h>
#include "block/backend-int.h"
#include "block/graph-ops.h"
#include "block/job.h"
#include "block/options.h"
#include "util/error.h"

BlockBackend *blk_by_dev_or_name(const char *device, bool by_qdev, GError **err)
{
    BlockBackend *b = by_qdev ? NULL : blk_by_name(device);

    for (BlockBackend *i = blk_next(NULL); by_qdev && i && !b; i = blk_next(i)) {
        g_autofree char *path = blk_attached_path(i);
        const char *last = strrchr(path, '/');

        if (!strcmp(path, device) || (last && !strcmp(last + 1, device)))
            b = i;
    }
    if (!b)
        error_set_class(err, ERR_DEVICE_NOT_FOUND, "Device '%s' not found", device);
    return b;
}

static bool has_tray(BlockBackend *b)
{
    return b->ops && b->ops->is_tray_open;
}

static bool medium_locked(BlockBackend *b)
{
    return b->ops && b->ops->is_medium_locked && b->ops->is_medium_locked(b->ops_opaque);
}

/* The device is told; a tray that moved is announced. */
static bool tell_device(BlockBackend *b, bool load, GError **err)
{
    bool was = blk_tray_is_open(b);

    if (b->ops && b->ops->change_media && !b->ops->change_media(b->ops_opaque, load, err))
        return false;
    if (has_tray(b) && blk_tray_is_open(b) != was)
        blk_tray_event(b, !was);
    return true;
}

static bool open_tray(BlockBackend *b, const char *name, bool force, GError **err)
{
    bool locked;

    if (!blk_is_removable(b))
        return error_set(err, "Device '%s' is not removable", name);
    if (!has_tray(b) || blk_tray_is_open(b))
        return true;
    locked = medium_locked(b);
    if (locked && b->ops->eject_request)
        b->ops->eject_request(b->ops_opaque, force);
    if ((!locked || force) && !tell_device(b, false, err))
        return false;
    if (locked && !force)
        return error_set(err, "Device '%s' is locked and force was not specified, wait for tray to open and try again", name);
    return true;
}

static bool take_out(BlockBackend *b, const char *name, GError **err)
{
    if (!blk_is_removable(b))
        return error_set(err, "Device '%s' is not removable", name);
    if (has_tray(b) && !blk_tray_is_open(b))
        return error_set(err, "Tray of device '%s' is not open", name);
    if (!b->root)
        return true;
    blk_remove(b);
    return has_tray(b) || tell_device(b, false, err);
}

static bool put_in(BlockBackend *b, const char *name, BlockNode *n, GError **err)
{
    if (!blk_is_removable(b))
        return error_set(err, "Device '%s' is not removable", name);
    if (has_tray(b) && !blk_tray_is_open(b))
        return error_set(err, "Tray of the device '%s' is not open", name);
    if (b->root)
        return error_set(err, "There already is a medium in device '%s'", name);
    if (!blk_insert(b, n, err))
        return false;
    if (!has_tray(b) && !tell_device(b, true, err)) {
        blk_remove(b);
        return false;
    }
    return true;
}

static bool close_tray(BlockBackend *b, const char *name, GError **err)
{
    if (!blk_is_removable(b))
        return error_set(err, "Device '%s' is not removable", name);
    return !has_tray(b) || !blk_tray_is_open(b) || tell_device(b, true, err);
}

bool blockdev_change_medium(const char *device, bool by_qdev, const char *file, const char *format, bool force,
                            BlkReadOnlyMode mode, GError **err)
{
    BlockBackend *b = blk_by_dev_or_name(device, by_qdev, err);
    unsigned flags;
    json_t *opts;
    BlockNode *n;
    bool ro, ok;

    if (!b)
        return false;
    ro = mode == BLK_RO_RETAIN ? blk_is_read_only(b) : mode == BLK_RO_ON;
    if (!b->root && mode == BLK_RO_RETAIN)
        ro = b->read_only;
    flags = b->open_flags | (ro ? 0 : OPEN_RDWR);
    flags &= ~OPEN_AUTO_RDONLY;
    opts = json_object();
    if (format)
        jopts_set(opts, "driver", format);
    if (b->detect_zeroes)
        jopts_set(opts, "detect-zeroes", b->detect_zeroes == 2 ? "unmap" : "on");
    n = node_open(file, opts, flags, err);
    if (!n)
        return false;
    ok = open_tray(b, device, force, err) && take_out(b, device, err);
    ok = ok && put_in(b, device, n, err);
    if (ok)
        b->read_only = ro;
    ok = ok && close_tray(b, device, err);
    node_unref(n);
    return ok;
}

bool blockdev_eject(const char *device, bool by_qdev, bool force, GError **err)
{
    BlockBackend *b = blk_by_dev_or_name(device, by_qdev, err);

    return b && open_tray(b, device, force, err) && take_out(b, device, err);
}

bool blockdev_open_tray(const char *device, bool by_qdev, bool force, GError **err)
{
    BlockBackend *b = blk_by_dev_or_name(device, by_qdev, err);

    return b && open_tray(b, device, force, err);
}

bool blockdev_close_tray(const char *device, bool by_qdev, GError **err)
{
    BlockBackend *b = blk_by_dev_or_name(device, by_qdev, err);

    return b && close_tray(b, device, err);
}

typedef struct Resize { NodeLink *link; int64_t size; GError **err; int ret; } Resize;

static void resize_co(void *opaque)
{
    Resize *r = opaque;

    r->ret = node_co_truncate(r->link, r->size, false, PREALLOC_OFF, r->err);
}

bool blockdev_resize(const char *device, int64_t size, GError **err)
{
    BlockBackend *b = blk_by_name(device), *tmp = NULL;
    BlockNode *n = b ? blk_node(b) : node_by_name(device);
    Resize r = { NULL, size, err, 0 };

    if (!b && !n)
        return error_set(err, "Cannot find device='%s' nor node-name='%s'", device, device);
    if (!n)
        return error_set(err, "Device '%s' has no medium", device);
    if (size < 0)
        return error_set(err, "Parameter 'size' expects a >0 size");
    if (!node_not_busy(node_skip_implicit(n), err))
        return false;
    tmp = blk_new(NULL, PERM_RESIZE, PERM_ALL);
    if (!blk_insert(tmp, n, err)) {
        blk_unref(tmp);
        return false;
    }
    blk_drain_all();
    r.link = blk_root(tmp);
    aio_run_sync(resize_co, &r);
    blk_unref(tmp);
    return r.ret == 0;
}
