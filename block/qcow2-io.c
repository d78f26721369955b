/* qcow2: reads, writes (with copy on write), zeroes, discard, status. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "block/qcow2.h"

/* ---- reading */

static int read_backing(BlockNode *n, uint64_t offset, uint64_t bytes, const IoVec *v, size_t vo)
{
    if (!n->backing) {
        iov_memset(v, vo, 0, bytes);
        return 0;
    }
    return node_co_read(n->backing, offset, bytes, v, vo, 0);
}

static int read_compressed(Qcow2 *q, uint64_t entry, uint64_t in, uint64_t bytes, const IoVec *v, size_t vo)
{
    uint8_t *buf;
    int ret = 0;

    if (q->unpacked_entry == entry) {
        iov_from_buf(v, vo, q->unpacked + in, bytes);
        return 0;
    }
    buf = block_try_memalign(q->cluster_size);
    if (!buf)
        return -ENOMEM;
    ret = qcow2_co_unpack(q, entry, buf);
    if (ret == 0) {
        iov_from_buf(v, vo, buf + in, bytes);
        if (in + bytes < q->cluster_size) {     /* the rest is likely to be wanted next */
            free(q->unpacked);
            q->unpacked = buf;
            q->unpacked_entry = entry;
            return 0;
        }
    }
    free(buf);
    return ret;
}

static int read_some(Qcow2 *q, uint64_t offset, uint64_t *bytes, const IoVec *v, size_t vo)
{
    ClusterType type;
    uint64_t host;
    int ret = qcow2_lookup(q, offset, bytes, &host, &type);

    if (ret < 0)
        return ret;
    switch (type) {
    case CL_NORMAL:
        return node_co_read(qcow2_data(q), host, *bytes, v, vo, 0);
    case CL_COMPRESSED:
        return read_compressed(q, host, cluster_in(q, offset), *bytes, v, vo);
    case CL_UNALLOCATED:
    case CL_UNALLOCATED_HOST:
        return read_backing(q->node, offset, *bytes, v, vo);
    default:
        iov_memset(v, vo, 0, *bytes);
        return 0;
    }
}

int qcow2_co_read(BlockNode *n, int64_t offset, int64_t bytes, const IoVec *v, size_t vo, unsigned flags)
{
    Qcow2 *q = n->state;
    unsigned epoch = q->epoch & 1;
    int ret = 0;

    q->readers[epoch]++;
    while (bytes > 0 && ret == 0) {
        uint64_t now = bytes;

        ret = read_some(q, offset, &now, v, vo);
        offset += now;
        vo += now;
        bytes -= now;
    }
    q->readers[epoch]--;
    return ret;
}

/* Known to read as zeroes without reading any data. */
bool qcow2_reads_zero(Qcow2 *q, uint64_t offset, uint64_t bytes)
{
    BlockNode *b = q->node->backing ? q->node->backing->node : NULL;

    while (bytes) {
        uint64_t now = bytes, host;
        ClusterType type;
        int64_t len = b ? node_length(b) : 0, pnum;

        if (qcow2_lookup(q, offset, &now, &host, &type) < 0)
            return false;
        if (type == CL_NORMAL || type == CL_COMPRESSED)
            return false;
        if ((type == CL_UNALLOCATED || type == CL_UNALLOCATED_HOST) && !b && !qcow2_is_bare(q))
            return false;
        if ((type == CL_UNALLOCATED || type == CL_UNALLOCATED_HOST) && b && (int64_t)offset < len) {
            int ret = node_co_status_above(b, NULL, offset, MIN(now, len - offset), &pnum, NULL, NULL, NULL);

            if (ret < 0 || !(ret & STATUS_ZERO) || pnum <= 0)
                return false;
            now = pnum;
        }
        offset += now;
        bytes -= now;
    }
    return true;
}

/* ---- writing */

#define ZERO_VECS (((1 << MAX_CLUSTER_BITS) + ZERO_PAGE - 1) / ZERO_PAGE)

/* What stands before and behind the data in the clusters of an allocation. */
typedef struct Edge {
    uint64_t offset, bytes;             /* of the guest */
    uint8_t *buf;                       /* old contents; NULL: zeroes, or nothing to write */
    bool skip;
} Edge;

static int fill_edge(Qcow2 *q, const Alloc *a, Edge *e)
{
    int64_t len = q->node->length;
    struct iovec iov;
    IoVec v;
    int ret;

    if (!e->bytes)
        return 0;
    /* what is behind the end of the disk counts as zeroes */
    if ((int64_t)e->offset >= len || qcow2_reads_zero(q, e->offset, MIN(e->bytes, len - e->offset))) {
        e->skip = a->virgin;
        return 0;
    }
    e->buf = block_try_memalign(e->bytes);
    if (!e->buf)
        return -ENOMEM;
    v = iov_one(&iov, e->buf, e->bytes);
    ret = qcow2_co_read(q->node, e->offset, e->bytes, &v, 0, 0);
    return ret;
}

static unsigned edge_vecs(const Edge *e, struct iovec *iov)
{
    unsigned n = 0;

    if (!e->bytes || e->skip)
        return 0;
    if (e->buf) {
        iov[0] = (struct iovec){ e->buf, e->bytes };
        return 1;
    }
    for (uint64_t left = e->bytes; left; left -= iov[n++].iov_len)
        iov[n] = (struct iovec){ (void *)block_zero_buffer(), MIN(left, ZERO_PAGE) };
    return n;
}

/* The data with their edges, in one request. */
static int write_with_edges(Qcow2 *q, const Alloc *a, uint64_t offset, uint64_t bytes, uint64_t host, const IoVec *v,
                            size_t vo)
{
    uint64_t end = offset + bytes;
    Edge head = { a->start, offset - a->start }, tail = { end, a->end - end };
    int ret = fill_edge(q, a, &head);

    if (ret == 0)
        ret = fill_edge(q, a, &tail);
    if (ret == 0 && (!head.bytes || head.skip) && (!tail.bytes || tail.skip)) {
        ret = node_co_write(qcow2_data(q), host, bytes, v, vo, 0);
    } else if (ret == 0) {
        struct iovec *iov = g_new(struct iovec, 2 * ZERO_VECS + iov_count(v, vo, bytes));
        unsigned n = edge_vecs(&head, iov);
        IoVec all;

        n += iov_slice(v, vo, bytes, iov + n);
        n += edge_vecs(&tail, iov + n);
        all = (IoVec){ iov, n };
        if (!head.bytes || head.skip)
            ret = node_co_write(qcow2_data(q), host, iov_size(iov, n), &all, 0, 0);
        else
            ret = node_co_write(qcow2_data(q), host - head.bytes, iov_size(iov, n), &all, 0, 0);
        g_free(iov);
    }
    free(head.buf);
    free(tail.buf);
    return ret;
}

static int write_allocated(Qcow2 *q, Alloc *a, uint64_t offset, uint64_t bytes, uint64_t host, const IoVec *v, size_t vo)
{
    int ret = write_with_edges(q, a, offset, bytes, host, v, vo);

    co_mutex_lock(&q->lock);
    if (ret == 0)
        ret = qcow2_link(q, a);
    else if (!a->reused)
        qcow2_free_now(q, a->host, a->bytes, FREE_OTHER);
    qcow2_alloc_end(q, a);
    co_mutex_unlock(&q->lock);
    return ret;
}

int qcow2_co_write(BlockNode *n, int64_t offset, int64_t bytes, const IoVec *v, size_t vo, unsigned flags)
{
    Qcow2 *q = n->state;
    int ret = 0;

    if (flags & REQ_WRITE_COMPRESSED)
        return qcow2_co_write_compressed(q, offset, bytes, v, vo);
    while (bytes > 0 && ret == 0) {
        uint64_t now = bytes, host;
        Alloc a = { .bare = false };

        if (qcow2_map_fast(q, offset, &now, &host)) {
            ret = node_co_write(qcow2_data(q), host, now, v, vo, 0);
        } else {
            now = bytes;
            co_mutex_lock(&q->lock);
            ret = qcow2_map_write(q, offset, &now, &host, &a);
            co_mutex_unlock(&q->lock);
            if (ret == 0)
                ret = a.bytes ? write_allocated(q, &a, offset, now, host, v, vo)
                              : node_co_write(qcow2_data(q), host, now, v, vo, 0);
        }
        offset += now;
        vo += now;
        bytes -= now;
    }
    return ret;
}

/* ---- zeroes, discard */

/* Whole subclusters: those of the first cluster, whole clusters, those of the last. */
static int zero_parts(Qcow2 *q, uint64_t offset, uint64_t bytes, unsigned flags)
{
    int ret = 0;

    if (q->data_file_raw)
        return -ENOTSUP;
    while (bytes && ret == 0) {
        uint64_t in = cluster_in(q, offset), now = in || bytes < q->cluster_size ? MIN(bytes, q->cluster_size - in)
                                                                               : cluster_start(q, bytes);

        co_mutex_lock(&q->lock);
        if (now < q->cluster_size)
            ret = qcow2_zero_subclusters(q, offset, now, flags);
        else
            ret = qcow2_zero_clusters(q, offset, now, flags);
        co_mutex_unlock(&q->lock);
        offset += now;
        bytes -= now;
    }
    return ret;
}

int qcow2_co_zero(BlockNode *n, int64_t offset, int64_t bytes, unsigned flags)
{
    Qcow2 *q = n->state;
    int64_t end = offset + bytes, sub = (INT64_C(1) << q->sub_bits) - 1;
    int ret;

    if (offset & sub || (end & sub && end < n->length)) {
        /* part of a cluster: nothing to do if it reads as zeroes already */
        return !(flags & BLK_EXPLICIT) && qcow2_reads_zero(q, offset, bytes) ? 0 : -ENOTSUP;
    }
    if (q->extended && (cluster_in(q, offset) || (cluster_in(q, end) && end < n->length)))
        return zero_parts(q, offset, bytes, flags);
    if (q->data_file_raw) {
        ret = node_co_zero(q->data_file, offset, bytes, flags);
        if (ret < 0)
            return ret;
    }
    co_mutex_lock(&q->lock);
    ret = qcow2_zero_clusters(q, offset, cluster_round(q, bytes), q->data_file_raw ? flags & ~BLK_MAY_UNMAP : flags);
    co_mutex_unlock(&q->lock);
    return ret;
}

int qcow2_co_discard(BlockNode *n, int64_t offset, int64_t bytes)
{
    Qcow2 *q = n->state;
    int64_t end = offset + bytes;
    int ret;

    if (end < n->length)
        end = cluster_start(q, end);
    offset = cluster_round(q, offset);
    if (offset >= end)
        return 0;
    if (q->data_file_raw)               /* must go on reading the same without us */
        return -ENOTSUP;
    co_mutex_lock(&q->lock);
    ret = qcow2_discard_clusters(q, offset, cluster_round(q, end - offset), false, FREE_REQUEST);
    co_mutex_unlock(&q->lock);
    return ret;
}

/* ---- status */

/* Clusters that were allocated ahead are holes of the file: worth asking for only when the file is that much smaller. */
static bool may_be_sparse(Qcow2 *q)
{
    BlockNode *f = q->node->file->node;
    int64_t length = node_length(f), real = node_allocated(f), used = 0, limit;

    if (q->sparse_data)
        return q->sparse_data > 0;
    if (length < 0 || real < 0)
        return true;
    real >>= q->cluster_bits;
    limit = MAX(real * 10 / 9, real + 2);
    co_mutex_lock(&q->lock);
    for (uint64_t i = 0; i < size_to_clusters(q, length) && used < limit; i++) {
        uint64_t n;

        if (qcow2_get_refcount(q, i, &n) < 0)
            break;
        used += n != 0;
    }
    co_mutex_unlock(&q->lock);
    q->sparse_data = used >= limit ? 1 : -1;
    return used >= limit;
}

int qcow2_co_status(BlockNode *n, int64_t offset, int64_t bytes, int64_t *pnum, int64_t *map, BlockNode **file)
{
    Qcow2 *q = n->state;
    uint64_t now = bytes, host, at = offset, total = 0;
    ClusterType type, first = CL_UNALLOCATED;
    int ret, status = 0;

    /* runs that go on in the next slice are told as one */
    while (total < (uint64_t)bytes) {
        uint64_t h;

        now = bytes - total;
        ret = qcow2_lookup(q, at, &now, &h, &type);
        if (ret < 0)
            return total ? (*pnum = total, status) : ret;
        if (!total) {
            first = type;
            host = h;
            status = type == CL_NORMAL ? STATUS_DATA | STATUS_OFFSET | (may_be_sparse(q) ? STATUS_RECURSE : 0)
                : type == CL_COMPRESSED ? STATUS_DATA | STATUS_COMPRESSED
                : type == CL_ZERO_ALLOC ? STATUS_ZERO | STATUS_OFFSET
                : type == CL_UNALLOCATED_HOST ? STATUS_OFFSET : type == CL_ZERO_PLAIN ? STATUS_ZERO : 0;
            if (status & STATUS_OFFSET) {
                *map = host;
                *file = qcow2_data(q)->node;
            }
        } else if (type != first || ((status & STATUS_OFFSET) && h != host + total)) {
            break;
        }
        total += now;
        at += now;
        if (first == CL_COMPRESSED)
            break;
    }
    *pnum = total;
    return status;
}
