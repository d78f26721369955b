/* The monitor's "qemu-io": one command on a drive, or on a node. */
#include "block/backend-int.h"
#include "block/io-cmd-int.h"
#include "util/error.h"

/* What the drive's link allowed before is what it allows afterwards. */
static void run_on(BlockBackend *blk, const char *command, GString *out)
{
    NodeLink *l = blk_root(blk);
    unsigned perm = l->perm, shared = l->shared;
    IoSession s = { .blk = blk, .out = out, .monitor = true };

    io_command(&s, command);
    io_drain(&s);
    if (blk_root(blk) == l && l->perm != perm)
        link_set_perm(l, perm, shared, NULL);
}

bool block_io_command(const char *device, bool by_qdev, const char *command, GString *out, GError **err)
{
    BlockNode *n = by_qdev ? NULL : node_by_name(device);
    BlockBackend *blk;
    bool ok;

    if (!n) {
        blk = blk_by_dev_or_name(device, by_qdev, err);
        if (!blk)
            return false;
        if (!blk_is_inserted(blk))
            return error_set(err, "Device '%s' has no medium", device);
        run_on(blk, command, out);
        return true;
    }
    blk = blk_new(NULL, 0, PERM_ALL);
    ok = blk_insert(blk, n, err);
    if (ok)
        run_on(blk, command, out);
    blk_unref(blk);
    return ok;
}
