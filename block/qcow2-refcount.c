/*
 * qcow2: reference counts, allocation, freeing, and the guard against writes over metadata.
 *
 * A cluster that no refcount block covers is free.  A new refcount block takes the first such cluster that is wanted,
 * so it always counts itself.
 */
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "block/qcow2.h"
#include "util/error.h"

#define MAX_HOST_OFFSET (UINT64_C(1) << 56)

/* ---- entries */

uint64_t refcount_read(const Qcow2 *q, const void *block, uint64_t index)
{
    const uint8_t *b = block;
    uint16_t v16;
    uint32_t v32;
    uint64_t v64;

    switch (q->refcount_order) {
    case 3:
        return b[index];
    case 4:
        memcpy(&v16, b + index * 2, 2);
        return GUINT16_FROM_BE(v16);
    case 5:
        memcpy(&v32, b + index * 4, 4);
        return GUINT32_FROM_BE(v32);
    case 6:
        memcpy(&v64, b + index * 8, 8);
        return GUINT64_FROM_BE(v64);
    default: {
        unsigned per = 8 >> q->refcount_order;

        return (b[index / per] >> (index % per * q->refcount_bits)) & q->refcount_max;
    }
    }
}

void refcount_write(const Qcow2 *q, void *block, uint64_t index, uint64_t value)
{
    uint8_t *b = block;
    uint16_t v16 = GUINT16_TO_BE(value);
    uint32_t v32 = GUINT32_TO_BE(value);
    uint64_t v64 = GUINT64_TO_BE(value);

    switch (q->refcount_order) {
    case 3:
        b[index] = value;
        break;
    case 4:
        memcpy(b + index * 2, &v16, 2);
        break;
    case 5:
        memcpy(b + index * 4, &v32, 4);
        break;
    case 6:
        memcpy(b + index * 8, &v64, 8);
        break;
    default: {
        unsigned per = 8 >> q->refcount_order, shift = index % per * q->refcount_bits;

        b[index / per] = (b[index / per] & ~(q->refcount_max << shift)) | value << shift;
    }
    }
}

/* Entries of a refcount block, as a shift. */
static unsigned block_bits(const Qcow2 *q)
{
    return q->cluster_bits + 3 - q->refcount_order;
}

static uint64_t slice_counts(const Qcow2 *q)
{
    return ((uint64_t)q->slice_size * 8) >> q->refcount_order;
}

/* The slice that counts cluster; *slice NULL when no block covers it. */
static int count_slice(Qcow2 *q, uint64_t cluster, Slice **slice)
{
    uint64_t i = cluster >> block_bits(q), offset;

    *slice = NULL;
    if (i >= q->rt_size || !(q->rt[i] & L1_OFFSET))
        return 0;
    offset = q->rt[i] & L1_OFFSET;
    if (cluster_in(q, offset)) {
        qcow2_corrupt(q, true, -1, -1, "Refblock offset %#" PRIx64 " unaligned (reftable index: %#" PRIx64 ")", offset, i);
        return -EIO;
    }
    offset += (cluster & ((UINT64_C(1) << block_bits(q)) - 1)) / slice_counts(q) * q->slice_size;
    return slice_get(q, &q->rbc, offset, slice);
}

int qcow2_get_refcount(Qcow2 *q, uint64_t cluster, uint64_t *count)
{
    Slice *s;
    int ret = count_slice(q, cluster, &s);

    *count = 0;
    if (ret == 0 && s) {
        *count = refcount_read(q, s->data, cluster & (slice_counts(q) - 1));
        slice_put(s);
    }
    return ret;
}

/* ---- new blocks and a larger table */

static void table_entry(Qcow2 *q, uint64_t i, uint64_t offset)
{
    q->rt[i] = offset;
    qcow2_metadata_add(q, offset, q->cluster_size, "refcount block");
}

/* A block at offset whose first count is that of cluster `from`, with ones for [from, from+ones) as far as it covers. */
static int write_block(Qcow2 *q, uint64_t offset, uint64_t index, uint64_t from, uint64_t ones)
{
    uint8_t *b = block_try_memalign(q->cluster_size);
    uint64_t first = index << block_bits(q), n = UINT64_C(1) << block_bits(q);
    int ret;

    if (!b)
        return -ENOMEM;
    memset(b, 0, q->cluster_size);
    for (uint64_t c = MAX(from, first); c < MIN(from + ones, first + n); c++)
        refcount_write(q, b, c - first, 1);
    ret = node_co_pwrite(q->node->file, offset, b, q->cluster_size);
    free(b);
    return ret;
}

/* Covers cluster, which the table has room for, by a block in that cluster. */
static int add_block(Qcow2 *q, uint64_t cluster)
{
    uint64_t i = cluster >> block_bits(q), offset = cluster << q->cluster_bits, be = GUINT64_TO_BE(offset);
    int ret = qcow2_check_overlap(q, offset, q->cluster_size);

    if (ret == 0)
        ret = write_block(q, offset, i, cluster, 1);
    q->high_water = MAX(q->high_water, offset + q->cluster_size);
    if (ret == 0)
        ret = node_co_flush(q->node->file->node);
    if (ret == 0)
        ret = node_co_pwrite(q->node->file, q->rt_offset + i * 8, &be, 8);
    if (ret == 0)
        table_entry(q, i, offset);
    return ret;
}

static int put_new_table(Qcow2 *q, uint64_t offset, uint64_t *table, uint64_t entries)
{
    struct __attribute__((packed)) { uint64_t offset; uint32_t clusters; } h = {
        GUINT64_TO_BE(offset), GUINT32_TO_BE(entries >> (q->cluster_bits - 3)) };
    uint64_t *be = block_try_memalign(entries * 8);
    int ret;

    if (!be)
        return -ENOMEM;
    for (uint64_t i = 0; i < entries; i++)
        be[i] = GUINT64_TO_BE(table[i]);
    ret = node_co_pwrite(q->node->file, offset, be, entries * 8);
    free(be);
    if (ret == 0)
        ret = node_co_flush(q->node->file->node);
    if (ret == 0)
        ret = qcow2_header_put(q, offsetof(QcowHeader, refcount_table_offset), &h, sizeof(h));
    return ret;
}

/* A larger table, at cluster and behind it, after the blocks that cover both. */
static int grow_table(Qcow2 *q, uint64_t cluster)
{
    uint64_t per_cluster = q->cluster_size / 8, old = q->rt_size, old_offset = q->rt_offset;
    uint64_t entries, clusters, blocks = 1, guess, first = cluster >> block_bits(q), offset = cluster << q->cluster_bits;
    uint64_t *table;
    int ret;

    do {
        guess = blocks;
        entries = MAX(first + guess + 1, old + old / 2);
        clusters = (entries + per_cluster - 1) / per_cluster;
        if (clusters * q->cluster_size > MAX_REFTABLE_BYTES)
            return -EFBIG;
        blocks = ((cluster + guess + clusters - 1) >> block_bits(q)) - first + 1;
    } while (blocks != guess);
    entries = clusters * per_cluster;
    ret = qcow2_check_overlap(q, offset, (blocks + clusters) << q->cluster_bits);
    if (ret < 0)
        return ret;
    table = g_try_new0(uint64_t, entries);
    if (!table)
        return -ENOMEM;
    memcpy(table, q->rt, old * 8);
    q->high_water = MAX(q->high_water, offset + ((blocks + clusters) << q->cluster_bits));
    for (uint64_t i = 0; i < blocks && ret == 0; i++) {
        table[first + i] = offset + (i << q->cluster_bits);
        ret = write_block(q, table[first + i], first + i, cluster, blocks + clusters);
    }
    if (ret == 0)
        ret = put_new_table(q, offset + (blocks << q->cluster_bits), table, entries);
    if (ret < 0) {
        g_free(table);
        return ret;
    }
    free(q->rt);
    q->rt = block_memalign(entries * 8);
    memcpy(q->rt, table, entries * 8);
    g_free(table);
    q->rt_size = entries;
    q->rt_offset = offset + (blocks << q->cluster_bits);
    qcow2_metadata_del(q, old_offset, old * 8);
    qcow2_metadata_add(q, q->rt_offset, entries * 8, "refcount table");
    for (uint64_t i = 0; i < blocks; i++)
        qcow2_metadata_add(q, q->rt[first + i], q->cluster_size, "refcount block");
    return qcow2_free_now(q, old_offset, old * 8, FREE_OTHER);
}

/* ---- changes */

static int update_one(Qcow2 *q, uint64_t cluster, int delta, uint64_t *now)
{
    Slice *s;
    uint64_t v, i = cluster & (slice_counts(q) - 1);
    int ret = count_slice(q, cluster, &s);

    if (ret < 0)
        return ret;
    if (!s)
        return -EINVAL;                 /* a count that was never there */
    v = refcount_read(q, s->data, i);
    if (delta < 0 ? v < (uint64_t)-delta : q->refcount_max - v < (uint64_t)delta) {
        slice_put(s);
        return -EINVAL;
    }
    *now = v + delta;
    refcount_write(q, s->data, i, *now);
    slice_dirty(&q->rbc, s);
    slice_put(s);
    return 0;
}

int qcow2_update_refcount(Qcow2 *q, uint64_t offset, uint64_t bytes, int delta)
{
    uint64_t now, end = size_to_clusters(q, offset + bytes), c;
    int ret = 0;

    if (!bytes)
        return 0;
    for (c = offset >> q->cluster_bits; c < end && ret == 0; c++)
        ret = update_one(q, c, delta, &now);
    if (ret < 0)                        /* take back what was done before the one that failed */
        for (uint64_t u = offset >> q->cluster_bits; u + 1 < c; u++)
            update_one(q, u, -delta, &now);
    return ret;
}

/* Where the header is, whose count says that it is free: whatever overlap-check allows, nothing comes there. */
static int at_zero(Qcow2 *q, const char *what)
{
    qcow2_corrupt(q, true, -1, -1, "Preventing invalid allocation of %s at offset 0", what);
    return -EIO;
}

int64_t qcow2_alloc_clusters(Qcow2 *q, uint64_t n, bool exact, uint64_t *got, bool *virgin)
{
    uint64_t start = q->free_hint, run = 0, c = q->free_hint, limit = MAX_HOST_OFFSET >> q->cluster_bits;
    bool first_free = true, ended = false;
    Slice *s = NULL;
    int ret;

    while (run < n && !ended) {
        if (c >= limit)
            return -EFBIG;
        ret = count_slice(q, c, &s);
        if (ret < 0)
            return ret;
        if (!s) {
            /* not covered yet; the new block takes this cluster */
            if (run && !exact)
                break;
            if (c == 0)
                return at_zero(q, "refcount block");
            ret = c >> block_bits(q) < q->rt_size ? add_block(q, c) : grow_table(q, c);
            if (ret < 0)
                return ret;
            run = 0;
            first_free = false;
            continue;
        }
        for (uint64_t i = c & (slice_counts(q) - 1); i < slice_counts(q) && run < n && !ended; i++, c++) {
            bool used = refcount_read(q, s->data, i) != 0;

            if (!used && !run++)
                start = c;
            if (first_free && !used) {
                q->free_hint = c;
                first_free = false;
            }
            if (used && run) {
                ended = !exact;
                run = exact ? 0 : run;
            }
        }
        slice_put(s);
    }
    ret = start ? qcow2_check_overlap(q, start << q->cluster_bits, run << q->cluster_bits) : at_zero(q, "clusters");
    if (ret == 0)
        ret = qcow2_update_refcount(q, start << q->cluster_bits, run << q->cluster_bits, 1);
    if (ret < 0)
        return ret;
    if (q->free_hint == start)
        q->free_hint = start + run;
    if (got)
        *got = run;
    if (virgin)
        *virgin = start << q->cluster_bits >= q->high_water;
    q->high_water = MAX(q->high_water, (start + run) << q->cluster_bits);
    return start << q->cluster_bits;
}

int64_t qcow2_alloc_bytes(Qcow2 *q, uint32_t size)
{
    uint64_t at = q->partial, room = at ? q->cluster_size - cluster_in(q, at) : 0, count = 0;
    int64_t fresh = 0;
    int ret = 0;

    if (at)
        ret = qcow2_get_refcount(q, at >> q->cluster_bits, &count);
    if (ret < 0)
        return ret;
    if (!at || count == q->refcount_max || room < size) {
        fresh = qcow2_alloc_clusters(q, 1, true, NULL, NULL);
        if (fresh < 0)
            return fresh;
        /* behind the rest of the old one, if that is next to it and may be counted once more */
        if (!at || count == q->refcount_max || cluster_round(q, at) != (uint64_t)fresh)
            at = fresh;
    }
    if (at != (uint64_t)fresh)
        ret = qcow2_update_refcount(q, at, 1, 1);
    if (ret < 0)
        return ret;
    q->partial = cluster_in(q, at + size) ? at + size : 0;
    return at;
}

/* ---- freeing */

void qcow2_free_later(Qcow2 *q, uint64_t offset, uint64_t bytes, FreeKind kind)
{
    PendingFree f = { offset, bytes, q->epoch, kind }, *last;

    if (q->pending->len) {
        last = &g_array_index(q->pending, PendingFree, q->pending->len - 1);
        if (last->offset + last->bytes == offset && last->kind == kind && last->epoch == f.epoch &&
            !cluster_in(q, offset | bytes | last->bytes)) {
            last->bytes += bytes;
            return;
        }
    }
    g_array_append_val(q->pending, f);
}

void qcow2_free_entry(Qcow2 *q, uint64_t entry, FreeKind kind)
{
    uint64_t offset;
    uint32_t bytes;

    switch (qcow2_entry_type(q, entry)) {
    case CL_COMPRESSED:
        qcow2_compressed_range(q, entry, &offset, &bytes);
        qcow2_free_later(q, offset, bytes, kind);
        break;
    case CL_NORMAL:
    case CL_ZERO_ALLOC:
        if (q->data_file) {
            if (q->discard_request && kind == FREE_REQUEST)
                node_co_discard(q->data_file, entry & L2_OFFSET, q->cluster_size);
        } else if (!cluster_in(q, entry & L2_OFFSET)) {
            qcow2_free_later(q, entry & L2_OFFSET, q->cluster_size, kind);
        }
        break;
    default:
        break;
    }
}

static bool wants_discard(const Qcow2 *q, FreeKind kind)
{
    return kind == FREE_REQUEST ? q->discard_request : kind == FREE_SNAPSHOT ? q->discard_snapshot : q->discard_other;
}

int qcow2_free_now(Qcow2 *q, uint64_t offset, uint64_t bytes, FreeKind kind)
{
    uint64_t end = size_to_clusters(q, offset + bytes), now, hole = 0, holes = 0;
    int ret = 0;

    for (uint64_t c = offset >> q->cluster_bits; c < end; c++) {
        int r = update_one(q, c, -1, &now);

        if (r < 0) {
            ret = r;
            continue;
        }
        if (now)
            continue;
        q->free_hint = MIN(q->free_hint, c);
        slice_forget(q, &q->l2c, c << q->cluster_bits, q->cluster_size);
        slice_forget(q, &q->rbc, c << q->cluster_bits, q->cluster_size);
        if (q->partial && q->partial >> q->cluster_bits == c)
            q->partial = 0;
        if (holes && hole + holes == c) {
            holes++;
            continue;
        }
        if (holes && wants_discard(q, kind))
            node_co_discard(q->node->file, hole << q->cluster_bits, holes << q->cluster_bits);
        hole = c;
        holes = 1;
    }
    if (holes && wants_discard(q, kind))
        node_co_discard(q->node->file, hole << q->cluster_bits, holes << q->cluster_bits);
    return ret;
}

/* The first `upto` of the list are unreferenced on the disk. Those that a reader may still be looking at stay. */
void qcow2_settle(Qcow2 *q, unsigned upto)
{
    unsigned done = 0;

    if (!q->readers[(q->epoch + 1) & 1])
        q->epoch++;                     /* the readers of the epoch before the last are gone */
    if (!q->readers[0] && !q->readers[1])
        q->epoch += 2;
    while (done < upto) {
        PendingFree f = g_array_index(q->pending, PendingFree, done);

        if (f.epoch + 2 > q->epoch)
            break;
        qcow2_free_now(q, f.offset, f.bytes, f.kind);
        done++;
    }
    g_array_remove_range(q->pending, 0, done);
}

/* ---- metadata that must not be written over */

void qcow2_metadata_add(Qcow2 *q, uint64_t offset, uint64_t bytes, const char *what)
{
    if (!q->metadata || !bytes)
        return;
    for (uint64_t c = offset >> q->cluster_bits; c < size_to_clusters(q, offset + bytes); c++)
        g_hash_table_insert(q->metadata, (gpointer)c, (gpointer)what);
}

void qcow2_metadata_del(Qcow2 *q, uint64_t offset, uint64_t bytes)
{
    if (!q->metadata || !bytes)
        return;
    for (uint64_t c = offset >> q->cluster_bits; c < size_to_clusters(q, offset + bytes); c++)
        g_hash_table_remove(q->metadata, (gpointer)c);
}

static void collect_metadata(Qcow2 *q)
{
    q->metadata = g_hash_table_new(NULL, NULL);
    for (uint32_t i = 0; i < q->l1_size; i++)
        if (q->l1[i] & L1_OFFSET)
            qcow2_metadata_add(q, q->l1[i] & L1_OFFSET, q->cluster_size, "active L2 table");
    for (uint32_t i = 0; i < q->rt_size; i++)
        if (q->rt[i] & L1_OFFSET)
            qcow2_metadata_add(q, q->rt[i] & L1_OFFSET, q->cluster_size, "refcount block");
    for (uint32_t i = 0; i < q->n_snapshots; i++)
        qcow2_metadata_add(q, q->snapshots[i].l1_offset, q->snapshots[i].l1_size * UINT64_C(8), "inactive L1 table");
    qcow2_metadata_add(q, q->snapshots_offset, q->snapshots_bytes, "snapshot table");
    qcow2_metadata_add(q, q->rt_offset, q->rt_size * UINT64_C(8), "refcount table");
    qcow2_metadata_add(q, q->l1_offset, q->l1_size * UINT64_C(8), "active L1 table");
    qcow2_metadata_add(q, 0, 1, "qcow2_header");
}

int qcow2_check_overlap(Qcow2 *q, uint64_t offset, uint64_t bytes)
{
    if (!q->overlap_check)
        return 0;
    if (!q->metadata)
        collect_metadata(q);
    for (uint64_t c = offset >> q->cluster_bits; bytes && c < size_to_clusters(q, offset + bytes); c++) {
        const char *what = g_hash_table_lookup(q->metadata, (gpointer)c);

        if (what) {
            qcow2_corrupt(q, true, offset, bytes, "Preventing invalid write on metadata (overlaps with %s)", what);
            return -EIO;
        }
    }
    return 0;
}

void qcow2_corrupt(Qcow2 *q, bool fatal, int64_t offset, int64_t size, const char *fmt, ...)
{
    g_autofree char *msg = NULL;
    json_t *data;
    va_list ap;

    fatal &= node_writable(q->node);
    if (q->node->broken || (!fatal && q->said_corrupt))
        return;
    va_start(ap, fmt);
    msg = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    if (fatal)
        fprintf(stderr, "qcow2: Marking image as corrupt: %s; further corruption events will be suppressed\n", msg);
    else
        fprintf(stderr, "qcow2: Image is corrupt: %s; further non-fatal corruption events will be suppressed\n", msg);
    data = json_pack("{s:s, s:s, s:s, s:b}", "device", "", "node-name", q->node->name, "msg", msg, "fatal", fatal);
    if (offset >= 0)
        json_object_set_new(data, "offset", json_integer(offset));
    if (size >= 0)
        json_object_set_new(data, "size", json_integer(size));
    block_event("BLOCK_IMAGE_CORRUPTED", data);
    q->said_corrupt = true;
    if (fatal) {
        q->incompatible |= INCOMPAT_CORRUPT;
        qcow2_put_features(q);
        q->node->broken = true;
    }
}
