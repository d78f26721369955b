/* Drives: names, life, media, permissions, devices. */
#include <errno.h>
#include <string.h>
#include "block/backend-int.h"
#include "block/job.h"
#include "block/nbd-server.h"
#include "block/options.h"
#include "util/error.h"

static BlockBackend *drives, **drives_last = &drives;
const BlockHost *block_host;

const char *const blk_on_error_names[] = { "auto", "report", "ignore", "stop", "enospc", NULL };

void block_init(const BlockHost *host)
{
    block_host = host;
    aio_init();
}

void block_event(const char *name, json_t *data)
{
    if (block_host && block_host->event)
        block_host->event(block_host->opaque, name, data);
    else
        json_decref(data);
}

/* ---- life */

BlockBackend *blk_new(const char *name, unsigned perm, unsigned shared)
{
    BlockBackend *blk = g_new0(BlockBackend, 1);

    blk->name = g_strdup(name ? name : "");
    blk->refs = 1;
    blk->perm = perm;
    blk->shared = shared;
    blk->write_cache = true;
    blk->on_read = BLK_ERR_REPORT;
    blk->on_write = BLK_ERR_ENOSPC;
    *drives_last = blk;
    drives_last = &blk->next;
    return blk;
}

void blk_unref(BlockBackend *blk)
{
    BlockBackend **p = &drives;

    if (--blk->refs)
        return;
    blk_drain(blk);
    blk_remove(blk);
    throttle_leave(&blk->throttle);
    while (*p != blk)
        p = &(*p)->next;
    *p = blk->next;
    if (!blk->next)
        drives_last = p;
    drive_info_free(blk->drive);
    g_free(blk->name);
    g_free(blk);
}

BlockBackend *blk_next(BlockBackend *blk)
{
    return blk ? blk->next : drives;
}

BlockBackend *blk_by_name(const char *id)
{
    for (BlockBackend *b = drives; b; b = b->next)
        if (*b->name && !strcmp(b->name, id))
            return b;
    return NULL;
}

const char *blk_name(const BlockBackend *blk)
{
    return blk->name;
}

BlockBackend *blk_new_empty(void)
{
    BlockBackend *blk = blk_new(NULL, 0, PERM_ALL);

    blk->anonymous = true;
    return blk;
}

BlockBackend *blk_for_device(const char *name, GError **err)
{
    BlockBackend *blk;
    BlockNode *n;

    if (!name || !*name)
        return blk_new_empty();
    blk = blk_by_name(name);
    if (blk)
        return blk;
    n = node_by_name(name);
    if (!n) {
        error_set(err, "can't find value '%s'", name);
        return NULL;
    }
    blk = blk_new_empty();
    if (!blk_insert(blk, n, err)) {
        blk_unref(blk);
        return NULL;
    }
    return blk;
}

BlockBackend *blk_open(const char *filename, json_t *opts, unsigned flags, GError **err)
{
    BlockNode *n = node_open(filename, opts, flags, err);
    BlockBackend *blk;
    bool ok;

    if (!n)
        return NULL;
    blk = blk_new(NULL, (flags & OPEN_NO_IO ? 0 : PERM_READ) | (flags & OPEN_RDWR ? PERM_WRITE | PERM_RESIZE : 0), PERM_ALL);
    ok = blk_insert(blk, n, err);
    node_unref(n);
    if (!ok) {
        blk_unref(blk);
        return NULL;
    }
    return blk;
}

/* ---- media */

BlockNode *blk_node(BlockBackend *blk)
{
    return blk->root ? blk->root->node : NULL;
}

NodeLink *blk_root(BlockBackend *blk)
{
    return blk->root;
}

bool blk_is_removable(BlockBackend *blk)
{
    return !blk->dev || (blk->ops && blk->ops->change_media);
}

unsigned blk_perm_for(BlockBackend *blk, BlockNode *n, unsigned perm)
{
    return n->read_only && blk_is_removable(blk) ? perm & PERM_READ : perm;
}

bool blk_insert(BlockBackend *blk, BlockNode *n, GError **err)
{
    g_assert(!blk->root);
    blk->root = blk_link(blk, n, blk_perm_for(blk, n, blk->perm), blk->shared, err);
    return blk->root != NULL;
}

void blk_remove(BlockBackend *blk)
{
    NodeLink *l = blk->root;

    if (!l)
        return;
    blk_drain(blk);
    blk->root = NULL;
    blk_unlink(l);
}

void blk_node_resized(BlockBackend *blk)
{
    if (blk->root && blk->ops && blk->ops->resize)
        blk->ops->resize(blk->ops_opaque);
}

bool blk_is_inserted(BlockBackend *blk)
{
    return blk->root && !blk->root->node->broken;
}

bool blk_is_available(BlockBackend *blk)
{
    return blk_is_inserted(blk) && !blk_tray_is_open(blk);
}

bool blk_is_read_only(BlockBackend *blk)
{
    return blk->root ? blk->root->node->read_only : blk->read_only;
}

int64_t blk_length(BlockBackend *blk)
{
    return blk_is_inserted(blk) ? node_length(blk->root->node) : -ENOMEDIUM;
}

uint64_t blk_sectors(BlockBackend *blk)
{
    int64_t len = blk_length(blk);

    return len < 0 ? 0 : len >> BLK_SECTOR_BITS;
}

unsigned blk_mem_align(BlockBackend *blk)
{
    return blk->root ? MAX(blk->root->node->limits.mem_align, 1) : 1;
}

bool blk_write_cache(BlockBackend *blk)
{
    return blk->write_cache;
}

void blk_enable_write_cache(BlockBackend *blk, bool on)
{
    blk->write_cache = on;
}

/* ---- devices */

bool blk_attach_dev(BlockBackend *blk, void *dev, const BlkDevOps *ops, void *opaque, GError **err)
{
    if (blk->dev) {
        DriveInfo *di = blk->drive;

        if (di && di->type != BLK_IF_NONE)
            return error_set(err, "Drive '%s' is already in use because it has been automatically connected to another "
                             "device (did you need 'if=none' in the drive options?)", blk->name);
        return error_set(err, "Drive '%s' is already in use by another device", blk->name);
    }
    blk->refs++;
    blk->dev = dev;
    blk->ops = ops;
    blk->ops_opaque = opaque;
    if (blk->drive)
        blk->drive->claimed = true;
    return true;
}

void blk_detach_dev(BlockBackend *blk, void *dev)
{
    g_assert(blk->dev == dev);
    blk_drain(blk);
    blk->dev = NULL;
    blk->ops = NULL;
    blk->perm = 0;
    blk->shared = PERM_ALL;
    if (blk->root)
        link_set_perm(blk->root, 0, PERM_ALL, NULL);
    if (blk->anonymous)
        blk_unref(blk);
    blk_unref(blk);
}

void *blk_dev(const BlockBackend *blk)
{
    return blk->dev;
}

char *blk_attached_path(BlockBackend *blk)
{
    char *path = NULL;

    if (blk->dev && block_host && block_host->dev_path)
        path = block_host->dev_path(block_host->opaque, blk->dev);
    return path ? path : g_strdup("");
}

bool blk_tray_is_open(BlockBackend *blk)
{
    if (blk->ops && blk->ops->is_tray_open)
        return blk->ops->is_tray_open(blk->ops_opaque);
    return blk->tray_open;
}

void blk_tray_event(BlockBackend *blk, bool open)
{
    g_autofree char *path = blk_attached_path(blk);

    block_event("DEVICE_TRAY_MOVED", json_pack("{s:s, s:s, s:b}", "device", blk->name, "id", path, "tray-open", open));
}

void blk_tray_moved(BlockBackend *blk, bool open)
{
    blk_tray_event(blk, open);
}

void blk_lock_medium(BlockBackend *blk, bool locked)
{
    /* Images can't be locked in; the device remembers. Host CD drives would be told here. */
}

/* ---- errors */

BlkOnError blk_on_error(const BlockBackend *blk, bool is_read)
{
    return is_read ? blk->on_read : blk->on_write;
}

BlkOnError blk_error_action(BlockBackend *blk, bool is_read, int error)
{
    static const char *const texts[] = { [BLK_ERR_REPORT] = "report", [BLK_ERR_IGNORE] = "ignore", [BLK_ERR_STOP] = "stop" };
    BlkOnError how = blk_on_error(blk, is_read), what = how == BLK_ERR_AUTO ? BLK_ERR_REPORT : how;

    if (how == BLK_ERR_ENOSPC || (how == BLK_ERR_AUTO && !is_read))
        what = error == ENOSPC ? BLK_ERR_STOP : BLK_ERR_REPORT;
    if (what == BLK_ERR_STOP && blk->iostatus && !blk->status)
        blk->status = error;
    if (what == BLK_ERR_STOP && block_host && block_host->stop_io_error)
        block_host->stop_io_error(block_host->opaque);
    block_event("BLOCK_IO_ERROR", json_pack("{s:s, s:s, s:s, s:s, s:b, s:s}", "device", blk->name, "node-name",
                                            blk->root ? blk->root->node->name : "", "operation", is_read ? "read" : "write",
                                            "action", texts[what], "nospace", error == ENOSPC, "reason", g_strerror(error)));
    return what;
}

void blk_iostatus_enable(BlockBackend *blk)
{
    blk->iostatus = true;
    blk->status = 0;
}

void blk_iostatus_reset_all(void)
{
    for (BlockBackend *b = drives; b; b = b->next)
        b->status = 0;
}

/* ---- the end */

void block_shutdown(void)
{
    nbd_server_stop();
    jobs_cancel_all();
    blk_drain_all();
    blk_flush_all();
    for (BlockBackend *b = drives; b; b = b->next)
        blk_remove(b);
    for (BlockNode *n = node_next(NULL), *next; n; n = next) {
        next = n->next;
        if (n->blockdev) {
            n->blockdev = false;
            node_unref(n);
            next = node_next(NULL);     /* others may have gone with it */
        }
    }
    thread_pool_shutdown();
}
