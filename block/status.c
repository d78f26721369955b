/* Where data is: of one layer, of a backing chain. */
#include <errno.h>
#include "block/graph.h"

/* What the driver says, followed through nodes that only pass data on. */
static int raw_status(BlockNode *n, int64_t offset, int64_t bytes, int64_t *pnum, int64_t *map, BlockNode **file)
{
    int ret;

    if (!n->drv->co_status) {
        *pnum = bytes;
        *map = offset;
        *file = n;
        return STATUS_DATA | STATUS_ALLOCATED | (n->drv->is_protocol ? STATUS_OFFSET : 0);
    }
    ret = n->drv->co_status(n, offset, bytes, pnum, map, file);
    if (ret >= 0)
        *pnum = MIN(*pnum, bytes);
    if (ret >= 0 && (ret & STATUS_RAW)) {
        BlockNode *below = *file;

        return node_co_status(below, *map, *pnum, pnum, map, file);
    }
    return ret;
}

int node_co_status(BlockNode *n, int64_t offset, int64_t bytes, int64_t *pnum, int64_t *map, BlockNode **file)
{
    int64_t len = node_length(n), map2 = 0;
    BlockNode *f2 = NULL;
    int ret;

    map = map ? map : &map2;
    file = file ? file : &f2;
    *pnum = 0;
    *file = NULL;
    if (len < 0)
        return len;
    if (offset >= len)
        return STATUS_EOF;
    bytes = MIN(bytes, len - offset);
    ret = raw_status(n, offset, bytes, pnum, map, file);
    if (ret < 0)
        return ret;
    if (ret & (STATUS_DATA | STATUS_ZERO)) {
        ret |= STATUS_ALLOCATED;
    } else if (n->drv->supports_backing) {
        int64_t blen = n->backing ? node_length(n->backing->node) : 0;

        if (blen >= 0 && offset >= blen)
            ret |= STATUS_ZERO;
    }
    /* allocated but perhaps never written: a hole in the file says so */
    if ((ret & STATUS_RECURSE) && (ret & STATUS_DATA) && (ret & STATUS_OFFSET) && *file && *file != n) {
        int64_t n2;
        int r2 = node_co_status(*file, *map, *pnum, &n2, NULL, NULL);

        if (r2 >= 0 && n2 == 0 && (r2 & STATUS_EOF)) {
            ret |= STATUS_ZERO;
        } else if (r2 >= 0 && n2 > 0) {
            *pnum = MIN(*pnum, n2);
            ret |= r2 & STATUS_ZERO;
        }
    }
    if (offset + *pnum >= len)
        ret |= STATUS_EOF;
    return ret;
}

int node_co_status_above(BlockNode *n, BlockNode *base, int64_t offset, int64_t bytes, int64_t *pnum, int64_t *map,
                         BlockNode **file, int *depth)
{
    int64_t eof = 0;
    bool first = true;
    int ret = 0, d = 0;

    for (; n && n != base; n = node_backing(n), first = false) {
        n = node_skip_filters(n);
        ret = node_co_status(n, offset, bytes, pnum, map, file);
        d++;
        if (ret < 0)
            return ret;
        if (*pnum == 0 && !first) {
            /* a backing file shorter than what it backs: zeroes, as far as we were asked */
            *pnum = bytes;
            ret = STATUS_ZERO | STATUS_ALLOCATED;
            if (file)
                *file = n;
            break;
        }
        if (*pnum == 0)
            break;
        if (ret & STATUS_ALLOCATED)
            break;
        if (first && (ret & STATUS_EOF))
            eof = offset + *pnum;
        bytes = *pnum;
    }
    if (depth)
        *depth = d;
    if (ret >= 0) {
        ret &= ~STATUS_EOF;
        if (eof && offset + *pnum == eof)
            ret |= STATUS_EOF;
    }
    return ret;
}

int node_co_allocated_above(BlockNode *n, BlockNode *base, bool include_base, int64_t offset, int64_t bytes,
                            int64_t *pnum)
{
    BlockNode *stop = include_base && base ? node_backing(base) : base;

    *pnum = bytes;
    for (n = node_skip_filters(n); n && n != stop; n = node_backing(n)) {
        int64_t len = node_length(n), got;
        int ret;

        if (len < 0)
            return len;
        if (offset >= len)              /* its end hides what is below: zeroes that count as its own */
            return 1;
        ret = node_co_status(n, offset, MIN(*pnum, len - offset), &got, NULL, NULL);
        if (ret < 0)
            return ret;
        if (ret & STATUS_ALLOCATED) {
            *pnum = MIN(*pnum, got);
            return 1;
        }
        if (got > 0)
            *pnum = MIN(*pnum, got);
    }
    return 0;
}
