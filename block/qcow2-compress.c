/*
 * qcow2: compressed clusters.  zlib: a raw deflate stream with a window of 4 KiB; zstd: one or more frames.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include "block/aio.h"
#include "block/qcow2.h"
#ifdef CONFIG_ZSTD
#include <zstd.h>
#endif

void qcow2_compressed_range(const Qcow2 *q, uint64_t entry, uint64_t *offset, uint32_t *bytes)
{
    unsigned shift = 62 - (q->cluster_bits - 8);
    uint64_t sectors = ((entry & ~(COPIED | COMPRESSED)) >> shift) + 1;

    *offset = entry & ((UINT64_C(1) << shift) - 1);
    *bytes = sectors * 512 - (*offset & 511);
}

typedef struct Pack {
    const uint8_t *in;
    uint8_t *out;
    size_t in_len, out_len;
    bool zstd;
    int result;
} Pack;

static int inflate_zlib(Pack *p)
{
    z_stream z = { .next_in = (uint8_t *)p->in, .avail_in = p->in_len, .next_out = p->out, .avail_out = p->out_len };
    int ret;

    if (inflateInit2(&z, -12) != Z_OK)
        return -EIO;
    ret = inflate(&z, Z_FINISH);
    inflateEnd(&z);
    /* the input is padded to a sector, so it may go on behind the stream */
    return (ret == Z_STREAM_END || ret == Z_BUF_ERROR) && !z.avail_out ? 0 : -EIO;
}

#ifdef CONFIG_ZSTD
static int inflate_zstd(Pack *p)
{
    ZSTD_DStream *d = ZSTD_createDStream();
    ZSTD_inBuffer in = { p->in, p->in_len, 0 };
    ZSTD_outBuffer out = { p->out, p->out_len, 0 };
    int result = d ? 0 : -ENOMEM;

    while (!result && out.pos < out.size) {
        size_t before = in.pos, filled = out.pos;

        if (ZSTD_isError(ZSTD_decompressStream(d, &out, &in)) || (in.pos == before && out.pos == filled))
            result = -EIO;
    }
    ZSTD_freeDStream(d);
    return result;
}
#endif

static int unpack(void *arg)
{
    Pack *p = arg;

#ifdef CONFIG_ZSTD
    if (p->zstd)
        return inflate_zstd(p);
#endif
    return inflate_zlib(p);
}

int qcow2_co_unpack(Qcow2 *q, uint64_t entry, void *out)
{
    uint64_t offset;
    uint32_t bytes;
    Pack p = { .out = out, .out_len = q->cluster_size, .zstd = q->compression_type == 1 };
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

/* ---- writing */

static int deflate_zlib(Pack *p)
{
    z_stream z = { .next_in = (uint8_t *)p->in, .avail_in = p->in_len, .next_out = p->out, .avail_out = p->out_len };
    int ret;

    if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -12, 9, Z_DEFAULT_STRATEGY) != Z_OK)
        return -EINVAL;
    ret = deflate(&z, Z_FINISH);
    p->result = p->out_len - z.avail_out;
    deflateEnd(&z);
    return ret == Z_STREAM_END ? 0 : -ENOSPC;
}

static int pack(void *arg)
{
    Pack *p = arg;

#ifdef CONFIG_ZSTD
    if (p->zstd) {
        size_t n = ZSTD_compress(p->out, p->out_len, p->in, p->in_len, ZSTD_CLEVEL_DEFAULT);

        if (ZSTD_isError(n))
            return -ENOSPC;
        p->result = n;
        return 0;
    }
#endif
    return deflate_zlib(p);
}

static int store(Qcow2 *q, uint64_t offset, const uint8_t *data, uint32_t bytes)
{
    unsigned shift = 62 - (q->cluster_bits - 8);
    uint64_t sectors;
    int64_t at;
    int ret;

    co_mutex_lock(&q->lock);
    qcow2_wait_allocs(q, offset, offset + q->cluster_size);
    at = qcow2_alloc_bytes(q, bytes);
    ret = at < 0 ? (int)at : qcow2_check_overlap(q, at, bytes);
    co_mutex_unlock(&q->lock);
    if (ret < 0)
        return ret;
    if ((uint64_t)at >> shift)
        return -EFBIG;
    ret = node_co_pwrite(q->node->file, at, data, bytes);
    if (ret < 0)
        return ret;
    sectors = ((at + bytes - 1) >> 9) - (at >> 9);
    co_mutex_lock(&q->lock);
    ret = qcow2_link_compressed(q, offset, COMPRESSED | (sectors << shift) | at);
    co_mutex_unlock(&q->lock);
    return ret;
}

static int write_cluster(Qcow2 *q, uint64_t offset, const uint8_t *plain, uint8_t *packed)
{
    Pack p = { plain, packed, q->cluster_size, q->cluster_size - 1, q->compression_type == 1, 0 };
    int ret = co_thread_pool(pack, &p);
    struct iovec iov;
    IoVec v;

    if (ret == 0)
        return store(q, offset, packed, p.result);
    if (ret != -ENOSPC)
        return ret;
    /* does not get smaller: as it is */
    v = iov_one(&iov, plain, MIN(q->cluster_size, q->node->length - offset));
    return qcow2_co_write(q->node, offset, iov.iov_len, &v, 0, 0);
}

/* Whole clusters; the last of the disk may be short. */
int qcow2_co_write_compressed(Qcow2 *q, uint64_t offset, uint64_t bytes, const IoVec *v, size_t vo)
{
    uint8_t *plain, *packed;
    int ret = 0;

    if (q->data_file)
        return -ENOTSUP;
    if (cluster_in(q, offset) || (cluster_in(q, bytes) && offset + bytes != (uint64_t)q->node->length))
        return -EINVAL;
    plain = block_try_memalign(q->cluster_size);
    packed = block_try_memalign(q->cluster_size);
    if (!plain || !packed)
        ret = -ENOMEM;
    while (bytes && ret == 0) {
        uint64_t now = MIN(bytes, q->cluster_size);

        iov_to_buf(v, vo, plain, now);
        memset(plain + now, 0, q->cluster_size - now);
        ret = write_cluster(q, offset, plain, packed);
        offset += now;
        vo += now;
        bytes -= now;
    }
    free(plain);
    free(packed);
    return ret;
}
