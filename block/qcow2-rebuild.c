/*
 * qcow2: a new refcount table and new blocks for an image whose own can't be repaired, at the end of the file.
 * The old ones stay counted (as leaks) until the header points to the new ones.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include "block/qcow2.h"

typedef struct Rebuild {
    Qcow2 *q;
    GHashTable *counts;                 /* as qcow2-check.c has them */
    uint64_t start;                     /* first cluster of the new structure */
    GArray *blocks;                     /* indices of the blocks that are needed, ascending */
    uint64_t table_clusters;
} Rebuild;

static unsigned block_bits(const Qcow2 *q)
{
    return q->cluster_bits + 3 - q->refcount_order;
}

static uint64_t count_at(const Rebuild *r, uint64_t cluster)
{
    const uint32_t *chunk = g_hash_table_lookup(r->counts, (gpointer)(cluster / QCOW2_CHECK_CHUNK));
    uint64_t own = cluster >= r->start && cluster < r->start + r->blocks->len + r->table_clusters;

    return own + (chunk ? chunk[cluster % QCOW2_CHECK_CHUNK] : 0);
}

static int ascending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static void need(GHashTable *set, uint64_t from, uint64_t to, const Qcow2 *q)
{
    for (uint64_t i = from >> block_bits(q); i <= to >> block_bits(q); i++)
        g_hash_table_add(set, (gpointer)i);
}

/* Which blocks, how large a table: until they also cover themselves. */
static int plan(Rebuild *r)
{
    Qcow2 *q = r->q;
    g_autoptr(GHashTable) set = g_hash_table_new(NULL, NULL);
    GHashTableIter it;
    gpointer key;
    unsigned before;
    uint64_t max = 0;

    g_hash_table_iter_init(&it, r->counts);
    while (g_hash_table_iter_next(&it, &key, NULL))
        need(set, (uint64_t)key * QCOW2_CHECK_CHUNK, (uint64_t)key * QCOW2_CHECK_CHUNK + QCOW2_CHECK_CHUNK - 1, q);
    do {
        before = g_hash_table_size(set);
        g_hash_table_iter_init(&it, set);
        while (g_hash_table_iter_next(&it, &key, NULL))
            max = MAX(max, (uint64_t)key);
        max = MAX(max, (r->start + before + r->table_clusters + 2) >> block_bits(q));
        r->table_clusters = size_to_clusters(q, (max + 1) * 8);
        if (r->table_clusters * q->cluster_size > MAX_REFTABLE_BYTES)
            return -EFBIG;
        need(set, r->start, r->start + g_hash_table_size(set) + r->table_clusters + 1, q);
    } while (g_hash_table_size(set) != before);
    g_hash_table_iter_init(&it, set);
    while (g_hash_table_iter_next(&it, &key, NULL))
        g_array_append_val(r->blocks, ((uint64_t){ (uint64_t)key }));
    g_array_sort(r->blocks, ascending);
    return 0;
}

static int write_blocks(Rebuild *r, uint64_t *table)
{
    Qcow2 *q = r->q;
    uint8_t *buf = block_try_memalign(q->cluster_size);
    int ret = buf ? 0 : -ENOMEM;

    for (unsigned i = 0; i < r->blocks->len && ret == 0; i++) {
        uint64_t index = g_array_index(r->blocks, uint64_t, i), n = UINT64_C(1) << block_bits(q);

        memset(buf, 0, q->cluster_size);
        for (uint64_t c = 0; c < n; c++) {
            uint64_t v = count_at(r, (index << block_bits(q)) + c);

            if (v)
                refcount_write(q, buf, c, MIN(v, q->refcount_max));
        }
        table[index] = (r->start + i) << q->cluster_bits;
        ret = node_co_pwrite(q->node->file, table[index], buf, q->cluster_size);
    }
    free(buf);
    return ret;
}

static int write_table(Rebuild *r, const uint64_t *table, uint64_t entries)
{
    Qcow2 *q = r->q;
    uint64_t offset = (r->start + r->blocks->len) << q->cluster_bits;
    uint64_t *be, old_offset = q->rt_offset;
    uint32_t old_size = q->rt_size;
    int ret;

    be = block_try_memalign(entries * 8);
    ret = be ? 0 : -ENOMEM;

    for (uint64_t i = 0; ret == 0 && i < entries; i++)
        be[i] = GUINT64_TO_BE(table[i]);
    if (ret == 0)
        ret = node_co_pwrite(q->node->file, offset, be, entries * 8);
    free(be);
    if (ret == 0)
        ret = node_co_flush(q->node->file->node);
    if (ret < 0)
        return ret;
    /* table and width change together */
    q->rt_offset = offset;
    q->rt_size = entries;
    ret = qcow2_header_sync(q, offsetof(QcowHeader, refcount_table_offset), q->version < 3
                            ? offsetof(QcowHeader, nb_snapshots) : offsetof(QcowHeader, header_length));
    if (ret < 0) {
        q->rt_offset = old_offset;
        q->rt_size = old_size;
    }
    return ret;
}

int qcow2_rebuild_refcounts(Qcow2 *q, GHashTable *counts, uint64_t start)
{
    Rebuild r = { q, counts, start, g_array_new(FALSE, FALSE, sizeof(uint64_t)), 1 };
    uint64_t *table = NULL, entries;
    int ret = plan(&r);

    entries = r.table_clusters * q->cluster_size / 8;
    if (ret == 0) {
        table = block_try_memalign(entries * 8);
        ret = table ? 0 : -ENOMEM;
    }
    if (ret == 0) {
        memset(table, 0, entries * 8);
        ret = write_blocks(&r, table);
    }
    if (ret == 0)
        ret = write_table(&r, table, entries);
    if (ret == 0) {
        free(q->rt);
        q->rt = table;
        q->rt_size = entries;
        slice_cache_drop(q, &q->rbc);
        g_clear_pointer(&q->metadata, g_hash_table_destroy);
        q->free_hint = 0;
        q->partial = 0;
        q->high_water = MAX(q->high_water, (start + r.blocks->len + r.table_clusters) << q->cluster_bits);
    } else {
        free(table);
    }
    g_array_free(r.blocks, TRUE);
    return ret;
}
