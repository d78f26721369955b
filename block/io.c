/*
 * Requests to nodes: bounds, alignment, order.
 *
 * A node's requests in flight are tracked.  Most pass each other freely; one that must have its range for itself
 * (read-modify-write of a partial block, discard, zeroes, copy on read) is "serialising": it waits for those that
 * overlap it, and later ones wait for it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "block/aio.h"
#include "block/bitmap.h"
#include "block/graph.h"
#include "util/error.h"

#define BOUNCE_MAX (1024 * 1024)

/* Never written, so all of it is the kernel's one page of zeroes. */
const void *block_zero_buffer(void)
{
    static void *zeroes;

    if (!zeroes) {
        zeroes = mmap(NULL, ZERO_PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (zeroes == MAP_FAILED)
            g_error("out of memory");
    }
    return zeroes;
}

void *block_try_memalign(size_t bytes)
{
    void *p;

    return posix_memalign(&p, 4096, MAX(bytes, 1)) ? NULL : p;
}

void *block_memalign(size_t bytes)
{
    void *p = block_try_memalign(bytes);

    if (!p)
        g_error("out of memory: %zu bytes for an image", bytes);
    return p;
}

/* ---- tracking */

static bool overlaps(const TrackedRequest *a, const TrackedRequest *b)
{
    return a->start < b->end && b->start < a->end;
}

/* me is not in the list yet: nobody can wait for it meanwhile. */
static void wait_for_others(BlockNode *n, TrackedRequest *me)
{
    TrackedRequest *t;

again:
    for (t = n->tracked; t; t = t->next) {
        if (t != me && (t->serialising || me->serialising) && overlaps(t, me)) {
            co_queue_wait(&t->waiters);
            goto again;
        }
    }
}

static void track(BlockNode *n, TrackedRequest *t, int64_t start, int64_t bytes, bool serialising, uint32_t align)
{
    *t = (TrackedRequest){ .start = start, .end = start + bytes, .serialising = serialising };
    n->in_flight++;
    if (serialising) {
        n->serialising++;
        t->start &= ~(int64_t)(align - 1);
        t->end = (t->end + align - 1) & ~(int64_t)(align - 1);
    }
    if (n->serialising)
        wait_for_others(n, t);
    t->next = n->tracked;
    if (t->next)
        t->next->prev = t;
    n->tracked = t;
}

static void untrack(BlockNode *n, TrackedRequest *t)
{
    if (t->prev)
        t->prev->next = t->next;
    else
        n->tracked = t->next;
    if (t->next)
        t->next->prev = t->prev;
    if (t->serialising)
        n->serialising--;
    co_queue_wake_all(&t->waiters);
    n->in_flight--;
}

/* ---- checks */

static int check(BlockNode *n, int64_t offset, int64_t bytes)
{
    if (n->broken)
        return -ENOMEDIUM;
    if (offset < 0 || bytes < 0 || offset > INT64_MAX - bytes - (1 << 21))
        return -EIO;
    return 0;
}

/* The same for what changes data. 1: go on; 0: there is nothing to do. */
static int check_write(BlockNode *n, int64_t offset, int64_t bytes)
{
    int ret = check(n, offset, bytes);

    if (ret < 0 || !bytes)
        return ret;
    return n->read_only ? -EPERM : 1;
}

static bool beyond_end(const NodeLink *l, int64_t offset, int64_t bytes)
{
    return offset + bytes > l->node->length && !(l->perm & PERM_RESIZE);
}

/* ---- reading */

/* Down to the driver, in pieces that it takes. */
static int driver_read(BlockNode *n, int64_t offset, int64_t bytes, const IoVec *v, size_t vo, unsigned flags)
{
    int64_t max = n->limits.max_transfer ? n->limits.max_transfer : BLK_MAX_REQUEST;

    while (bytes > 0) {
        int64_t now = MIN(bytes, max);
        int ret = !n->broken ? n->drv->co_read(n, offset, now, v, vo, flags) : -ENOMEDIUM;

        if (ret < 0)
            return ret;
        offset += now;
        vo += now;
        bytes -= now;
    }
    return 0;
}

/* offset and bytes aligned; beyond the end are zeroes. */
static int read_aligned(BlockNode *n, int64_t offset, int64_t bytes, const IoVec *v, size_t vo, unsigned flags)
{
    uint32_t align = n->limits.request_align;
    int64_t end = (n->length + align - 1) & ~(int64_t)(align - 1);
    int64_t there = CLAMP(end - offset, 0, bytes);
    int ret;

    if (there < bytes && n->drv->length) {      /* it may have grown under us */
        int64_t len = node_length(n);

        if (len < 0)
            return len;
        end = (len + align - 1) & ~(int64_t)(align - 1);
        there = CLAMP(end - offset, 0, bytes);
    }
    ret = driver_read(n, offset, there, v, vo, flags);
    if (ret == 0 && there < bytes)
        iov_memset(v, vo + there, 0, bytes - there);
    return ret;
}

/* A request with partial blocks at its ends: the blocks in a bounce buffer of their own. */
static int read_unaligned(BlockNode *n, int64_t offset, int64_t bytes, const IoVec *v, size_t vo, unsigned flags)
{
    int64_t align = n->limits.request_align;

    while (bytes > 0) {
        int64_t start = offset & ~(align - 1);
        int64_t now = MIN(bytes, BOUNCE_MAX - (offset - start));
        int64_t len = (offset + now - start + align - 1) & ~(align - 1);
        struct iovec iov;
        void *buf = block_try_memalign(len);
        IoVec b = iov_one(&iov, buf, len);
        int ret = buf ? read_aligned(n, start, len, &b, 0, flags) : -ENOMEM;

        if (ret == 0)
            iov_from_buf(v, vo, (char *)buf + (offset - start), now);
        free(buf);
        if (ret < 0)
            return ret;
        offset += now;
        vo += now;
        bytes -= now;
    }
    return 0;
}

static int co_copy_on_read(BlockNode *n, int64_t offset, int64_t bytes, const IoVec *v, size_t vo);

int node_co_read(NodeLink *l, int64_t offset, int64_t bytes, const IoVec *v, size_t vo, unsigned flags)
{
    BlockNode *n = l->node;
    uint32_t align = n->limits.request_align;
    TrackedRequest t;
    bool cor;
    int ret = check(n, offset, bytes);

    if (ret < 0 || !bytes)
        return ret;
    cor = (n->flags & OPEN_COPY_ON_READ) || (flags & REQ_COPY_ON_READ);
    track(n, &t, offset, bytes, cor, 65536);
    if (cor && node_writable(n))
        ret = co_copy_on_read(n, offset, bytes, v, vo);
    else if ((offset | bytes) & (align - 1))
        ret = read_unaligned(n, offset, bytes, v, vo, flags);
    else
        ret = read_aligned(n, offset, bytes, v, vo, flags);
    untrack(n, &t);
    return ret;
}

int node_co_pread(NodeLink *l, int64_t offset, void *buf, size_t bytes)
{
    struct iovec iov;
    IoVec v = iov_one(&iov, buf, bytes);

    return node_co_read(l, offset, bytes, &v, 0, 0);
}

/* ---- writing */

static int driver_write(BlockNode *n, int64_t offset, int64_t bytes, const IoVec *v, size_t vo, unsigned flags)
{
    int64_t max = n->limits.max_transfer ? n->limits.max_transfer : BLK_MAX_REQUEST;
    int ret = 0;

    while (bytes > 0 && ret == 0) {
        int64_t now = MIN(bytes, max);

        if (n->broken)
            return -ENOMEDIUM;
        ret = n->drv->co_write(n, offset, now, v, vo, flags & (n->drv->write_flags | REQ_WRITE_COMPRESSED));
        offset += now;
        vo += now;
        bytes -= now;
    }
    if (ret == 0 && (flags & BLK_FUA) && !(n->drv->write_flags & BLK_FUA))
        ret = node_co_flush(n);
    return ret;
}

static void wrote(BlockNode *n, int64_t offset, int64_t bytes)
{
    int64_t end = offset + bytes;

    if (n->bitmaps)
        node_bitmaps_mark(n, offset, bytes);
    n->write_highest = MAX(n->write_highest, (uint64_t)end);
    if (end > n->length)
        node_set_length(n, end);
}

static int co_zero_tracked(BlockNode *n, int64_t offset, int64_t bytes, unsigned flags);

static int write_aligned(BlockNode *n, int64_t offset, int64_t bytes, const IoVec *v, size_t vo, unsigned flags)
{
    if (n->detect_zeroes && !(flags & (REQ_WRITE_COMPRESSED | REQ_WRITE_UNCHANGED)) && iov_is_zero(v, vo, bytes))
        return co_zero_tracked(n, offset, bytes, (flags & BLK_FUA) | (n->detect_zeroes == 2 ? BLK_MAY_UNMAP : 0));
    return driver_write(n, offset, bytes, v, vo, flags);
}

/* Read, modify, write the block at start, of which [from, from+bytes) changes; v NULL: to zeroes. */
static int modify_block(BlockNode *n, int64_t start, uint32_t from, uint32_t bytes, const IoVec *v, size_t vo,
                        unsigned flags)
{
    uint32_t align = n->limits.request_align;
    struct iovec iov;
    uint8_t *buf = block_try_memalign(align);
    IoVec b = iov_one(&iov, buf, align);
    int ret = buf ? read_aligned(n, start, align, &b, 0, 0) : -ENOMEM;

    if (ret == 0) {
        if (v)
            iov_to_buf(v, vo, buf + from, bytes);
        else
            memset(buf + from, 0, bytes);
        ret = driver_write(n, start, align, &b, 0, flags);
    }
    free(buf);
    return ret;
}

static int write_unaligned(BlockNode *n, int64_t offset, int64_t bytes, const IoVec *v, size_t vo, unsigned flags)
{
    uint32_t align = n->limits.request_align;
    uint32_t head = offset & (align - 1), tail;
    int ret = 0;

    if (head || bytes < align) {
        uint32_t now = MIN(bytes, align - head);

        ret = modify_block(n, offset - head, head, now, v, vo, flags);
        offset += now;
        vo += now;
        bytes -= now;
    }
    tail = bytes & (align - 1);
    if (ret == 0 && bytes > tail)
        ret = write_aligned(n, offset, bytes - tail, v, vo, flags);
    if (ret == 0 && tail)
        ret = modify_block(n, offset + bytes - tail, 0, tail, v, vo + bytes - tail, flags);
    return ret;
}

/* block-set-write-threshold: told once. */
static void over_threshold(BlockNode *n, int64_t end)
{
    uint64_t limit = n->write_threshold;

    n->write_threshold = 0;
    block_event("BLOCK_WRITE_THRESHOLD", json_pack("{s:s, s:I, s:I}", "node-name", n->name, "amount-exceeded",
                                                   (json_int_t)(end - limit), "write-threshold", (json_int_t)limit));
}

int node_co_write(NodeLink *l, int64_t offset, int64_t bytes, const IoVec *v, size_t vo, unsigned flags)
{
    BlockNode *n = l->node;
    uint32_t align = n->limits.request_align;
    bool partial = (offset | bytes) & (align - 1);
    TrackedRequest t;
    int ret = check_write(n, offset, bytes);

    if (ret <= 0 || beyond_end(l, offset, bytes))
        return ret <= 0 ? ret : -EIO;
    if (n->write_threshold && (uint64_t)(offset + bytes) > n->write_threshold)
        over_threshold(n, offset + bytes);
    track(n, &t, offset, bytes, partial || (flags & REQ_SERIALISE), align);
    ret = partial ? write_unaligned(n, offset, bytes, v, vo, flags) : write_aligned(n, offset, bytes, v, vo, flags);
    if (ret == 0)
        wrote(n, offset, bytes);
    untrack(n, &t);
    return ret;
}

int node_co_pwrite(NodeLink *l, int64_t offset, const void *buf, size_t bytes)
{
    struct iovec iov;
    IoVec v = iov_one(&iov, buf, bytes);

    return node_co_write(l, offset, bytes, &v, 0, 0);
}

int node_co_pwrite_sync(NodeLink *l, int64_t offset, const void *buf, size_t bytes)
{
    int ret = node_co_pwrite(l, offset, buf, bytes);

    return ret < 0 ? ret : node_co_flush(l->node);
}

/* ---- zeroes, discard */

static int write_zero_buffers(BlockNode *n, int64_t offset, int64_t bytes, unsigned flags)
{
    struct iovec iov[16];
    int ret = 0;

    for (unsigned i = 0; i < G_N_ELEMENTS(iov); i++)
        iov[i] = (struct iovec){ (void *)block_zero_buffer(), ZERO_PAGE };
    while (bytes > 0 && ret == 0) {
        int64_t now = MIN(bytes, (int64_t)sizeof(iov) / (int64_t)sizeof(iov[0]) * ZERO_PAGE);
        IoVec v = { iov, (now + ZERO_PAGE - 1) / ZERO_PAGE };

        ret = driver_write(n, offset, now, &v, 0, flags & BLK_FUA);
        offset += now;
        bytes -= now;
    }
    return ret;
}

/* Aligned to blocks. */
static int zero_aligned(BlockNode *n, int64_t offset, int64_t bytes, unsigned flags)
{
    int64_t align = MAX(n->limits.zero_align, n->limits.request_align);
    int64_t max = BLK_MAX_REQUEST & ~(align - 1);
    int ret = 0;

    while (bytes > 0 && ret == 0) {
        int64_t head = offset & (align - 1), now = MIN(bytes, head ? align - head : max);

        if (!head && now > align)
            now &= ~(align - 1);
        ret = -ENOTSUP;
        if (!n->broken && n->drv->co_zero)
            ret = n->drv->co_zero(n, offset, now, flags & (n->drv->zero_flags | BLK_NO_FALLBACK));
        if (ret == -ENOTSUP && !(flags & BLK_NO_FALLBACK))
            ret = write_zero_buffers(n, offset, now, flags);
        offset += now;
        bytes -= now;
    }
    if (ret == 0 && (flags & BLK_FUA) && !(n->drv->zero_flags & BLK_FUA))
        ret = node_co_flush(n);
    return ret;
}

static int co_zero_tracked(BlockNode *n, int64_t offset, int64_t bytes, unsigned flags)
{
    uint32_t align = n->limits.request_align;
    uint32_t head = offset & (align - 1), tail;
    int ret = 0;

    if (!(n->flags & OPEN_UNMAP))
        flags &= ~BLK_MAY_UNMAP;
    if (head || bytes < align) {
        uint32_t now = MIN(bytes, align - head);

        ret = modify_block(n, offset - head, head, now, NULL, 0, flags & BLK_FUA);
        offset += now;
        bytes -= now;
    }
    tail = bytes & (align - 1);
    if (ret == 0 && bytes > tail)
        ret = zero_aligned(n, offset, bytes - tail, flags);
    if (ret == 0 && tail)
        ret = modify_block(n, offset + bytes - tail, 0, tail, NULL, 0, flags & BLK_FUA);
    return ret;
}

int node_co_zero(NodeLink *l, int64_t offset, int64_t bytes, unsigned flags)
{
    BlockNode *n = l->node;
    TrackedRequest t;
    int ret = check_write(n, offset, bytes);

    if (ret <= 0 || beyond_end(l, offset, bytes))
        return ret <= 0 ? ret : -EIO;
    track(n, &t, offset, bytes, true, MAX(n->limits.request_align, 1));
    ret = co_zero_tracked(n, offset, bytes, flags);
    if (ret == 0)
        wrote(n, offset, bytes);
    untrack(n, &t);
    return ret;
}

int node_co_discard(NodeLink *l, int64_t offset, int64_t bytes)
{
    BlockNode *n = l->node;
    int64_t align = MAX(n->limits.discard_align, n->limits.request_align);
    int64_t end;
    TrackedRequest t;
    int ret = check_write(n, offset, bytes);

    if (ret <= 0)
        return ret;
    if (!(n->flags & OPEN_UNMAP) || !n->drv->co_discard)
        return 0;
    /* only whole blocks; but the image's last one may be short */
    end = offset + bytes;
    if (end < n->length)
        end &= ~(align - 1);
    offset = (offset + align - 1) & ~(align - 1);
    if (offset >= end)
        return 0;
    ret = 0;
    track(n, &t, offset, end - offset, true, n->limits.request_align);
    while (offset < end && ret == 0) {
        int64_t now = MIN(end - offset, BLK_MAX_REQUEST & ~(align - 1));

        ret = !n->broken ? n->drv->co_discard(n, offset, now) : -ENOMEDIUM;
        if (n->bitmaps)
            node_bitmaps_mark(n, offset, now);
        offset += now;
    }
    untrack(n, &t);
    return ret == -ENOTSUP ? 0 : ret;
}

/* ---- copy on read */

/* Rounded to clusters and serialising, so that what is not allocated here is read and written in one step. */
static int co_copy_on_read(BlockNode *n, int64_t offset, int64_t bytes, const IoVec *v, size_t vo)
{
    NodeInfo info = { .cluster_size = 65536 };
    int64_t cluster, pnum;
    int ret = 0;

    if (n->drv->info)
        n->drv->info(n, &info);
    cluster = CLAMP(info.cluster_size, 512, 65536);
    while (bytes > 0 && ret == 0) {
        int64_t start = offset & ~(cluster - 1), len = MIN(cluster, n->length - start);
        int64_t now = MIN(bytes, start + cluster - offset);
        int allocated = 1;
        void *buf;
        struct iovec iov;
        IoVec b;

        pnum = len;
        if (len > 0)
            allocated = node_co_allocated_above(n, n, true, start, len, &pnum);
        if (allocated < 0)
            return allocated;
        if ((allocated && pnum >= len) || start + len < offset + now) {
            ret = read_aligned(n, offset, now, v, vo, 0);
        } else {
            buf = block_try_memalign(len);
            b = iov_one(&iov, buf, len);
            ret = buf ? read_aligned(n, start, len, &b, 0, 0) : -ENOMEM;
            if (ret == 0)
                iov_from_buf(v, vo, (char *)buf + (offset - start), MIN(now, len - (offset - start)));
            if (ret == 0)
                ret = driver_write(n, start, len, &b, 0, REQ_WRITE_UNCHANGED);
            free(buf);
        }
        offset += now;
        vo += now;
        bytes -= now;
    }
    return ret;
}

int node_co_copy_up(NodeLink *l, int64_t offset, int64_t bytes, void *buf)
{
    BlockNode *n = l->node;
    struct iovec iov;
    IoVec v = iov_one(&iov, buf, bytes);
    TrackedRequest t;
    int ret = check_write(n, offset, bytes);

    if (ret <= 0)
        return ret;
    track(n, &t, offset, bytes, true, MAX(n->limits.zero_align, n->limits.request_align));
    ret = (offset | bytes) & (n->limits.request_align - 1) ? read_unaligned(n, offset, bytes, &v, 0, 0)
                                                           : read_aligned(n, offset, bytes, &v, 0, 0);
    if (ret == 0 && iov_is_zero(&v, 0, bytes))
        ret = co_zero_tracked(n, offset, bytes, BLK_EXPLICIT);
    else if (ret == 0)
        ret = (offset | bytes) & (n->limits.request_align - 1) ? write_unaligned(n, offset, bytes, &v, 0, REQ_WRITE_UNCHANGED)
                                                               : driver_write(n, offset, bytes, &v, 0, REQ_WRITE_UNCHANGED);
    untrack(n, &t);
    return ret;
}

/* ---- flush, truncate */

int node_co_flush(BlockNode *n)
{
    int ret = 0;

    if (n->broken)
        return -ENOMEDIUM;
    if (n->read_only && !n->drv->is_filter)
        return 0;
    n->in_flight++;
    if (n->drv->co_flush) {
        ret = n->drv->co_flush(n);
    } else {
        NodeLink *l = node_storage(n);

        ret = l ? node_co_flush(l->node) : 0;
    }
    n->in_flight--;
    return ret;
}

/* Where an overlay grew, a longer backing file must not come into sight. */
static int hide_backing(BlockNode *n, int64_t old, int64_t length, GError **err)
{
    int64_t end = n->backing ? MIN(length, node_length(n->backing->node)) : 0;
    int ret = end > old ? co_zero_tracked(n, old, end - old, BLK_EXPLICIT) : 0;

    return ret < 0 ? error_set_errno(err, ret, "Failed to zero out new clusters"), ret : 0;
}

int node_co_truncate(NodeLink *l, int64_t length, bool exact, Prealloc p, GError **err)
{
    BlockNode *n = l->node;
    TrackedRequest t;
    int64_t old;
    int ret;

    if (n->broken)
        return error_set(err, "No medium inserted"), -ENOMEDIUM;
    if (length < 0 || length > INT64_MAX - (1 << 21))
        return error_set(err, "Image size cannot be negative"), -EINVAL;
    if (n->read_only)
        return error_set(err, "Image is read-only"), -EACCES;
    if (!n->drv->co_truncate)
        return error_set(err, "Image format driver does not support resize"), -ENOTSUP;
    old = n->length;
    track(n, &t, MIN(old, length), ABS(length - old), true, 1);
    ret = n->drv->co_truncate(n, length, exact, p, err);
    if (ret == 0)
        node_set_length(n, n->drv->length ? node_length(n) : length);
    if (ret == 0 && length > old) {
        ret = hide_backing(n, old, length, err);
        if (ret < 0 && n->drv->co_truncate(n, old, exact, PREALLOC_OFF, NULL) == 0)
            node_set_length(n, old);
    }
    untrack(n, &t);
    return ret;
}
