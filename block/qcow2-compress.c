/*
 * qcow2: compressed clusters.  zlib: a raw deflate stream with a window of 4 KiB; zstd: one or more frames.
 *
 * The clusters of one request are compressed at once by all cores, then stored behind each other with few writes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "block/aio.h"
#include "block/compress.h"
#include "block/qcow2.h"

void qcow2_compressed_range(const Qcow2 *q, uint64_t entry, uint64_t *offset, uint32_t *bytes)
{
    unsigned shift = 62 - (q->cluster_bits - 8);
    uint64_t sectors = ((entry & ~(COPIED | COMPRESSED)) >> shift) + 1;

    *offset = entry & ((UINT64_C(1) << shift) - 1);
    *bytes = sectors * 512 - (*offset & 511);
}

/* ---- reading */

typedef struct Unpack { const uint8_t *in; uint8_t *out; size_t in_len, out_len; bool zstd; } Unpack;

static int unpack(void *arg)
{
    Unpack *p = arg;

    return p->zstd ? decompress_zstd(p->in, p->in_len, p->out, p->out_len)
                   : compress_inflate(p->in, p->in_len, p->out, p->out_len);
}

int qcow2_co_unpack(Qcow2 *q, uint64_t entry, void *out)
{
    uint64_t offset;
    uint32_t bytes;
    Unpack p = { .out = out, .out_len = q->cluster_size, .zstd = q->compression_type == 1 };
    uint8_t *in;
    int ret;

    qcow2_compressed_range(q, entry, &offset, &bytes);
    in = block_try_memalign(bytes);
    if (!in)
        return -ENOMEM;
    ret = node_co_pread(q->node->file, offset, in, bytes);
    p.in = in;
    p.in_len = bytes;
    if (ret == 0)
        ret = co_thread_pool(unpack, &p);
    free(in);
    return ret;
}

/* ---- compressing */

typedef struct Cluster { const uint8_t *plain; uint8_t *packed; int64_t size; } Cluster;    /* size < 0: stays as it is */

typedef struct Batch {
    uint32_t cluster_size;
    bool zstd;
    Cluster *cluster;
    unsigned n, next;                   /* next: atomic */
    unsigned running;
    CoQueue ended;
} Batch;

static int pack_some(void *arg)
{
    Batch *b = arg;
    unsigned i;

    while ((i = __atomic_fetch_add(&b->next, 1, __ATOMIC_RELAXED)) < b->n) {
        Cluster *c = &b->cluster[i];

        c->size = b->zstd ? compress_zstd(c->plain, b->cluster_size, c->packed, b->cluster_size - 1)
                          : compress_deflate(c->plain, b->cluster_size, c->packed, b->cluster_size - 1);
    }
    return 0;
}

static void packer_co(void *opaque)
{
    Batch *b = opaque;

    co_thread_pool(pack_some, b);
    b->running--;
    co_queue_wake_all(&b->ended);
}

static void pack_all(Batch *b)
{
    unsigned cores = MIN(g_get_num_processors(), b->n);

    if (!b->zstd)
        compress_prepare();
    if (coroutine_blocking() || cores < 2) {
        co_thread_pool(pack_some, b);
        return;
    }
    b->running = cores;
    for (unsigned i = 0; i < cores; i++)
        coroutine_enter(coroutine_new(packer_co, b));
    while (b->running)
        co_queue_wait(&b->ended);
}

/* ---- storing */

/* A run of compressed clusters that have been given places behind each other. */
typedef struct Run { unsigned first, n; uint64_t at, bytes; struct iovec iov[64]; uint64_t entry[64]; } Run;

static int write_run(Qcow2 *q, Run *r, uint64_t guest)
{
    IoVec v = { r->iov, r->n };
    int ret = r->n ? node_co_write(q->node->file, r->at, r->bytes, &v, 0, 0) : 0;

    if (r->n && ret == 0) {
        co_mutex_lock(&q->lock);
        for (unsigned i = 0; i < r->n && ret == 0; i++)
            ret = qcow2_link_compressed(q, guest + ((uint64_t)(r->first + i) << q->cluster_bits), r->entry[i]);
        co_mutex_unlock(&q->lock);
    }
    r->n = 0;
    return ret;
}

static int64_t place(Qcow2 *q, uint64_t guest, uint32_t bytes)
{
    int64_t at;
    int ret;

    co_mutex_lock(&q->lock);
    qcow2_wait_allocs(q, guest, guest + q->cluster_size);
    at = qcow2_alloc_bytes(q, bytes);
    ret = at < 0 ? (int)at : qcow2_check_overlap(q, at, bytes);
    co_mutex_unlock(&q->lock);
    if (ret < 0)
        return ret;
    return (uint64_t)at >> (62 - (q->cluster_bits - 8)) ? -EFBIG : at;
}

/* One that does not get smaller: as it is. */
static int store_plain(Qcow2 *q, uint64_t guest, const uint8_t *data)
{
    struct iovec iov;
    IoVec v = iov_one(&iov, data, MIN(q->cluster_size, q->node->length - guest));

    return qcow2_co_write(q->node, guest, iov.iov_len, &v, 0, 0);
}

static int store_all(Qcow2 *q, const Batch *b, uint64_t guest)
{
    unsigned shift = 62 - (q->cluster_bits - 8);
    Run r = { .n = 0 };
    int ret = 0;

    for (unsigned i = 0; i < b->n && ret == 0; i++) {
        const Cluster *c = &b->cluster[i];
        uint64_t where = guest + ((uint64_t)i << q->cluster_bits);
        int64_t at;

        if (c->size < 0) {
            ret = c->size == -ENOSPC ? write_run(q, &r, guest) : (int)c->size;
            if (ret == 0)
                ret = store_plain(q, where, c->plain);
            continue;
        }
        at = place(q, where, c->size);
        if (at < 0)
            return at;
        if (r.n && (r.n == G_N_ELEMENTS(r.iov) || (uint64_t)at != r.at + r.bytes))
            ret = write_run(q, &r, guest);
        if (!r.n) {
            r.first = i;
            r.at = at;
            r.bytes = 0;
        }
        r.iov[r.n] = (struct iovec){ c->packed, c->size };
        r.entry[r.n++] = COMPRESSED | ((((uint64_t)at + c->size - 1) >> 9) - ((uint64_t)at >> 9)) << shift | at;
        r.bytes += c->size;
    }
    return ret < 0 ? ret : write_run(q, &r, guest);
}

#define BATCH (4u << 20)

/* What is to be compressed, in one piece: where it lies, when it does, or a copy (*own). */
static const uint8_t *gather(const IoVec *v, size_t vo, uint64_t bytes, uint64_t whole, uint8_t **own)
{
    struct iovec one;

    if (bytes == whole && iov_count(v, vo, bytes) == 1 && iov_slice(v, vo, bytes, &one) == 1)
        return one.iov_base;
    *own = block_try_memalign(whole);
    if (*own) {
        iov_to_buf(v, vo, *own, bytes);
        memset(*own + bytes, 0, whole - bytes);
    }
    return *own;
}

/* At most BATCH bytes. */
static int write_batch(Qcow2 *q, uint64_t guest, uint64_t bytes, const IoVec *v, size_t vo)
{
    Batch b = { .cluster_size = q->cluster_size, .zstd = q->compression_type == 1, .n = size_to_clusters(q, bytes) };
    uint64_t whole = (uint64_t)b.n << q->cluster_bits;
    uint8_t *own = NULL, *packed = g_steal_pointer(&q->packed);
    const uint8_t *plain = gather(v, vo, bytes, whole, &own);
    int ret;

    if (!packed)                        /* kept from batch to batch: fresh pages cost as much as fast compression */
        packed = block_try_memalign(BATCH);
    ret = plain && packed ? 0 : -ENOMEM;
    if (ret == 0) {
        b.cluster = g_new(Cluster, b.n);
        for (unsigned i = 0; i < b.n; i++)
            b.cluster[i] = (Cluster){ plain + ((size_t)i << q->cluster_bits), packed + ((size_t)i << q->cluster_bits), 0 };
        pack_all(&b);
        ret = store_all(q, &b, guest);
        g_free(b.cluster);
    }
    free(own);
    if (!q->packed)
        q->packed = g_steal_pointer(&packed);
    free(packed);
    return ret;
}

/* Whole clusters; the last of the disk may be short. */
int qcow2_co_write_compressed(Qcow2 *q, uint64_t offset, uint64_t bytes, const IoVec *v, size_t vo)
{
    int ret = 0;

    if (q->data_file)
        return -ENOTSUP;
    if (cluster_in(q, offset) || (cluster_in(q, bytes) && offset + bytes != (uint64_t)q->node->length))
        return -EINVAL;
    while (bytes && ret == 0) {
        uint64_t now = MIN(bytes, BATCH);

        ret = write_batch(q, offset, now, v, vo);
        offset += now;
        vo += now;
        bytes -= now;
    }
    return ret;
}
