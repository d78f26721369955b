/* NBD server: block status: allocation, depth, dirty bitmaps. */
#include <errno.h>
#include "block/nbd-int.h"

char *nbd_context_name(NbdExport *e, unsigned context)
{
    if (context == CTX_BASE)
        return g_strdup("base:allocation");
    if (context == CTX_DEPTH)
        return e->allocation_depth ? g_strdup("qemu:allocation-depth") : NULL;
    return g_strconcat("qemu:dirty-bitmap:", e->bitmaps[context - CTX_BITMAP]->name, NULL);
}

/* One more extent; false: it has no room. Alike neighbours become one. */
static bool add(uint32_t *pairs, unsigned max, unsigned *n, uint64_t bytes, uint32_t flags)
{
    uint32_t be = GUINT32_TO_BE(flags);

    if (*n && pairs[2 * *n - 1] == be) {
        pairs[2 * *n - 2] = GUINT32_TO_BE(GUINT32_FROM_BE(pairs[2 * *n - 2]) + (uint32_t)bytes);
        return true;
    }
    if (*n == max)
        return false;
    pairs[2 * *n] = GUINT32_TO_BE((uint32_t)bytes);
    pairs[2 * *n + 1] = be;
    ++*n;
    return true;
}

static int allocation(NbdExport *e, bool depth, int64_t offset, int64_t bytes, uint32_t *pairs, unsigned max)
{
    BlockNode *n = blk_node(e->blk);
    unsigned found = 0;

    while (bytes > 0) {
        int64_t pnum = 0;
        int layer = 0, ret = node_co_status_above(n, NULL, offset, bytes, &pnum, NULL, NULL, &layer);
        uint32_t flags;

        if (ret < 0)
            return ret;
        if (pnum <= 0)
            return -EIO;
        pnum = MIN(pnum, bytes);
        if (depth)
            flags = ret & STATUS_ALLOCATED ? layer : 0;
        else
            flags = (ret & STATUS_DATA ? 0 : NBD_STATE_HOLE) | (ret & STATUS_ZERO ? NBD_STATE_ZERO : 0);
        if (!add(pairs, max, &found, pnum, flags))
            break;
        offset += pnum;
        bytes -= pnum;
    }
    return found;
}

static bool is_dirty(const DirtyBitmap *b, int64_t granule)
{
    return granule < b->granules && b->bits[granule / 8] >> (granule % 8) & 1;
}

static int dirty(const DirtyBitmap *b, int64_t offset, int64_t bytes, uint32_t *pairs, unsigned max)
{
    int64_t end = offset + bytes;
    unsigned found = 0;

    while (offset < end) {
        int64_t next = MIN(((offset >> b->shift) + 1) << b->shift, end);

        if (!add(pairs, max, &found, next - offset, is_dirty(b, offset >> b->shift) ? NBD_STATE_DIRTY : 0))
            break;
        offset = next;
    }
    return found;
}

int nbd_status(NbdExport *e, unsigned context, int64_t offset, int64_t bytes, uint32_t *pairs, unsigned max)
{
    if (!blk_is_inserted(e->blk))
        return -ENOMEDIUM;
    offset += e->offset;
    if (context >= CTX_BITMAP)
        return dirty(e->bitmaps[context - CTX_BITMAP], offset, bytes, pairs, max);
    return allocation(e, context == CTX_DEPTH, offset, bytes, pairs, max);
}
