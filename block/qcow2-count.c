/*
 * qcow2: all references, counted from the tables.  The counts live in chunks that are made when touched, so that a damaged
 * image can't ask for more memory than its tables are worth.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "block/qcow2-check-int.h"

void check_say(Check *c, const char *fmt, ...)
{
    g_autofree char *line = NULL;
    va_list ap;

    if (!c->res->message)
        return;
    va_start(ap, fmt);
    line = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    c->res->message(c->res->opaque, line);
}

/* ---- counting */

static uint32_t *count_of(Check *c, uint64_t cluster, bool make)
{
    uint64_t key = cluster / CHUNK;
    uint32_t *chunk = g_hash_table_lookup(c->chunks, (gpointer)key);

    if (!chunk && make) {
        chunk = g_new0(uint32_t, CHUNK);
        g_hash_table_insert(c->chunks, (gpointer)key, chunk);
    }
    return chunk ? chunk + cluster % CHUNK : NULL;
}

uint64_t check_counted(Check *c, uint64_t cluster)
{
    uint32_t *n = count_of(c, cluster, false);

    return n ? *n : 0;
}

static void count(Check *c, uint64_t offset, uint64_t bytes)
{
    Qcow2 *q = c->q;

    if (!bytes)
        return;
    for (uint64_t i = offset >> q->cluster_bits; i <= (offset + bytes - 1) >> q->cluster_bits; i++) {
        uint32_t *n = count_of(c, i, true);

        if (*n < UINT32_MAX)
            ++*n;
        c->highest = MAX(c->highest, i + 1);
    }
}

static void count_entry(Check *c, uint64_t entry, uint64_t guest, bool active)
{
    Qcow2 *q = c->q;
    uint64_t offset;
    uint32_t bytes;

    switch (qcow2_entry_type(q, entry)) {
    case CL_COMPRESSED:
        if (entry & COPIED) {
            check_say(c, "ERROR: coffset=0x%" PRIx64 ": copied flag must never be set for compressed clusters",
                entry & ~(COPIED | COMPRESSED) & ((UINT64_C(1) << (62 - (q->cluster_bits - 8))) - 1));
            c->res->corruptions++;
        }
        qcow2_compressed_range(q, entry, &offset, &bytes);
        count(c, offset, bytes);
        if (active) {
            c->res->allocated_clusters++;
            c->res->compressed_clusters++;
            /* compressed data are fragmented by nature */
            c->res->fragmented_clusters++;
        }
        break;
    case CL_NORMAL:
    case CL_ZERO_ALLOC:
        offset = entry & L2_OFFSET;
        if (active) {
            c->res->allocated_clusters++;
            if (c->last_data && c->last_data != offset)
                c->res->fragmented_clusters++;
            c->last_data = offset + q->cluster_size;
        }
        if (cluster_in(q, offset)) {
            check_say(c, "ERROR offset=%" PRIx64 ": Cluster is not properly aligned; L2 entry corrupted.", offset);
            c->res->corruptions++;
        } else if (!q->data_file) {
            count(c, offset, q->cluster_size);
        }
        break;
    default:
        break;
    }
}

static void check_subclusters(Check *c, uint64_t entry, uint64_t bits)
{
    ClusterType t = qcow2_entry_type(c->q, entry);

    if (t == CL_COMPRESSED ? bits != 0 : t == CL_UNALLOCATED ? (bits & SUB_ALL) != 0 : (bits & bits >> 32) != 0) {
        check_say(c, "ERROR offset=%" PRIx64 ": %s cluster has corrupted subcluster allocation bitmap", entry & L2_OFFSET,
            t == CL_COMPRESSED ? "Compressed" : t == CL_UNALLOCATED ? "Unallocated" : "Allocated");
        c->res->corruptions++;
    }
}

static int count_l2(Check *c, uint64_t table, uint64_t guest, bool active, uint64_t *buf)
{
    Qcow2 *q = c->q;
    int ret = node_co_pread(q->node->file, table, buf, q->cluster_size);

    if (ret < 0) {
        check_say(c, "ERROR: I/O error in check_refcounts_l2");
        c->res->check_errors++;
        return ret;
    }
    for (uint32_t i = 0; i < q->l2_entries; i++) {
        const uint64_t *e = buf + i * (q->l2_entry_size / 8);

        if (q->extended)
            check_subclusters(c, GUINT64_FROM_BE(e[0]), GUINT64_FROM_BE(e[1]));
        if (*e)
            count_entry(c, GUINT64_FROM_BE(*e), guest + ((uint64_t)i << q->cluster_bits), active);
    }
    return 0;
}

static int count_l1(Check *c, uint64_t offset, uint32_t size, const uint64_t *l1, bool active)
{
    Qcow2 *q = c->q;
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
    g_autofree uint64_t *own = NULL;
    uint64_t *buf;
    int ret = 0;

    count(c, offset, size * UINT64_C(8));
    if (!l1) {
        own = g_try_new(uint64_t, MAX(size, 1));
        ret = own ? node_co_pread(q->node->file, offset, own, size * UINT64_C(8)) : -ENOMEM;
        for (uint32_t i = 0; i < size && ret == 0; i++)
            own[i] = GUINT64_FROM_BE(own[i]);
        l1 = own;
    }
    buf = ret ? NULL : block_try_memalign(q->cluster_size);
    if (!buf) {
        check_say(c, "ERROR: I/O error in check_refcounts_l1");
        c->res->check_errors++;
        return ret ? ret : -ENOMEM;
    }
    for (uint32_t i = 0; i < size && ret == 0; i++) {
        uint64_t table = l1[i] & L1_OFFSET;

        if (!table)
            continue;
        count(c, table, q->cluster_size);
        if (cluster_in(q, table)) {
            check_say(c, "ERROR l2_offset=%" PRIx64 ": Table is not cluster aligned; L1 entry corrupted", table);
            c->res->corruptions++;
            continue;
        }
        /* twice in one L1: wrong anyway, and a damaged image must not make us read a table a million times */
        if (g_hash_table_add(seen, (gpointer)table))
            ret = count_l2(c, table, (uint64_t)i << (q->cluster_bits + q->l2_bits), active, buf);
    }
    free(buf);
    return ret;
}

static int count_bitmaps(Check *c)
{
    Qcow2 *q = c->q;
    g_autofree uint8_t *dir = NULL;
    uint64_t at = 0;
    int ret;

    if (!q->n_bitmaps || !q->bitmaps_size)
        return 0;
    count(c, q->bitmaps_offset, q->bitmaps_size);
    dir = g_malloc(q->bitmaps_size);
    ret = node_co_pread(q->node->file, q->bitmaps_offset, dir, q->bitmaps_size);
    for (uint32_t i = 0; i < q->n_bitmaps && ret == 0 && at + 24 <= q->bitmaps_size; i++) {
        uint64_t table, entry;
        uint32_t entries, extra;
        uint16_t name;

        memcpy(&table, dir + at, 8);
        memcpy(&entries, dir + at + 8, 4);
        memcpy(&name, dir + at + 18, 2);
        memcpy(&extra, dir + at + 20, 4);
        table = GUINT64_FROM_BE(table);
        entries = GUINT32_FROM_BE(entries);
        if (entries > 0x8000000 || cluster_in(q, table)) {
            c->res->corruptions++;
            break;
        }
        count(c, table, entries * UINT64_C(8));
        for (uint32_t j = 0; j < entries && ret == 0; j++) {
            ret = node_co_pread(q->node->file, table + j * UINT64_C(8), &entry, 8);
            if (GUINT64_FROM_BE(entry) & L1_OFFSET)
                count(c, GUINT64_FROM_BE(entry) & L1_OFFSET, q->cluster_size);
        }
        at += (24 + (uint64_t)GUINT16_FROM_BE(name) + GUINT32_FROM_BE(extra) + 7) & ~UINT64_C(7);
    }
    return ret;
}

static void count_refcounts(Check *c)
{
    Qcow2 *q = c->q;

    for (uint32_t i = 0; i < q->rt_size; i++) {
        uint64_t offset = q->rt[i] & L1_OFFSET;

        if (!offset)
            continue;
        if (cluster_in(q, offset)) {
            check_say(c, "ERROR refcount block %" PRIu32 " is not cluster aligned; refcount table entry corrupted", i);
            c->res->corruptions++;
            c->rebuild = true;
            continue;
        }
        if (offset >> q->cluster_bits >= c->clusters) {
            check_say(c, "ERROR refcount block %" PRIu32 " is outside image", i);
            c->res->corruptions++;
            c->rebuild = true;
            continue;
        }
        count(c, offset, q->cluster_size);
        if (check_counted(c, offset >> q->cluster_bits) != 1) {
            check_say(c, "ERROR refcount block %" PRIu32 " refcount=%" PRIu64, i, check_counted(c, offset >> q->cluster_bits));
            c->res->corruptions++;
            c->rebuild = true;
        }
    }
    count(c, q->rt_offset, q->rt_size * UINT64_C(8));
}

int check_count_all(Check *c)
{
    Qcow2 *q = c->q;
    int ret;

    count(c, 0, q->cluster_size);
    ret = count_l1(c, q->l1_offset, q->l1_size, q->l1, true);
    for (uint32_t i = 0; i < q->n_snapshots && ret == 0; i++)
        ret = count_l1(c, q->snapshots[i].l1_offset, q->snapshots[i].l1_size, NULL, false);
    count(c, q->snapshots_offset, q->snapshots_bytes);
    if (ret == 0)
        ret = count_bitmaps(c);
    count_refcounts(c);
    return ret;
}
