/*
 * qcow2: persistent dirty bitmaps: a directory of them, for each a table of clusters.
 *
 * While an image is open for writing its bitmaps carry the flag "in use": a program that finds it knows that they were
 * not written back.  At the end new tables and a new directory are written, durably, then the header points to them in
 * one write, then what the old ones took is freed.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "block/bitmap.h"
#include "block/qcow2.h"
#include "util/error.h"

enum { BM_IN_USE = 1, BM_AUTO = 2, BM_EXTRA_COMPATIBLE = 4, BM_RESERVED = ~7 };
#define MAX_DIRECTORY (64u * 1024 * 1024)
#define MAX_TABLE (512u * 1024 * 1024)

typedef struct __attribute__((packed)) DirEntry {
    uint64_t table;
    uint32_t table_size, flags;
    uint8_t type, granularity_bits;
    uint16_t name_size;
    uint32_t extra_size;
} DirEntry;

static unsigned padded(const DirEntry *e)
{
    return (sizeof(*e) + GUINT32_FROM_BE(e->extra_size) + GUINT16_FROM_BE(e->name_size) + 7) & ~7u;
}

/* The directory as it is on disk, checked so far that it can be walked; NULL and err. */
static uint8_t *read_directory(Qcow2 *q, GError **err)
{
    uint8_t *dir = g_try_malloc(q->bitmaps_size + 1);
    uint64_t at = 0;
    uint32_t n = 0;
    int ret = dir ? node_co_pread(q->node->file, q->bitmaps_offset, dir, q->bitmaps_size) : -ENOMEM;

    if (ret < 0) {
        error_set_errno(err, ret, "Failed to read bitmap directory");
        g_free(dir);
        return NULL;
    }
    while (at < q->bitmaps_size) {
        DirEntry *e = (DirEntry *)(dir + at);
        uint64_t left = q->bitmaps_size - at;

        if (left < sizeof(*e) || GUINT32_FROM_BE(e->extra_size) > left || padded(e) > left || !e->name_size ||
            GUINT16_FROM_BE(e->name_size) > BITMAP_NAME_MAX)
            break;
        at += padded(e);
        n++;
    }
    if (at != q->bitmaps_size || n != q->n_bitmaps) {
        error_set(err, "Broken bitmap directory");
        g_free(dir);
        return NULL;
    }
    return dir;
}

static char *name_of(const DirEntry *e)
{
    return g_strndup((const char *)(e + 1) + GUINT32_FROM_BE(e->extra_size), GUINT16_FROM_BE(e->name_size));
}

static bool entry_ok(Qcow2 *q, const DirEntry *e, GError **err)
{
    uint64_t size = GUINT32_FROM_BE(e->table_size), table = GUINT64_FROM_BE(e->table), need;

    if (e->type != 1)
        return error_set(err, "Unsupported bitmap type %u", e->type);
    if (e->extra_size && !(GUINT32_FROM_BE(e->flags) & BM_EXTRA_COMPATIBLE))
        return error_set(err, "Bitmap extra data is not supported");
    if (e->granularity_bits < 9 || e->granularity_bits > 31)
        return error_set(err, "Invalid bitmap granularity");
    if (size > MAX_TABLE / 8 || cluster_in(q, table) || !table || table > INT64_MAX - size * 8)
        return error_set(err, "Invalid bitmap table");
    need = ((((uint64_t)q->node->length + (UINT64_C(1) << e->granularity_bits) - 1) >> e->granularity_bits) + 7) / 8;
    if (size < size_to_clusters(q, need))
        return error_set(err, "Bitmap table is too small for the image");
    return true;
}

/* ---- loading */

static int load_bits(Qcow2 *q, const DirEntry *e, DirtyBitmap *b)
{
    uint64_t bytes = bitmap_bytes(b), clusters = size_to_clusters(q, bytes);
    g_autofree uint64_t *table = g_try_new(uint64_t, MAX(clusters, 1));
    int ret = table ? node_co_pread(q->node->file, GUINT64_FROM_BE(e->table), table, clusters * 8) : -ENOMEM;

    for (uint64_t i = 0; i < clusters && ret == 0; i++) {
        uint64_t v = GUINT64_FROM_BE(table[i]), offset = v & L1_OFFSET, at = i << q->cluster_bits;
        uint64_t now = MIN(q->cluster_size, bytes - at);

        if (cluster_in(q, offset))
            return -EINVAL;
        if (offset)
            ret = node_co_pread(q->node->file, offset, b->bits + at, now);
        else
            memset(b->bits + at, v & 1 ? 0xff : 0, now);
    }
    if (b->granules & 7)
        b->bits[b->granules / 8] &= (1 << (b->granules & 7)) - 1;
    return ret;
}

static bool load_one(Qcow2 *q, const DirEntry *e, GError **err)
{
    g_autofree char *name = name_of(e);
    uint32_t flags = GUINT32_FROM_BE(e->flags);
    DirtyBitmap *b;
    int ret;

    if (!entry_ok(q, e, err))
        return false;
    if (bitmap_find(q->node, name))
        return error_set(err, "Bitmap '%s' is there twice", name);
    b = bitmap_new(q->node, name, e->granularity_bits, err);
    if (!b)
        return false;
    b->persistent = true;
    b->enabled = flags & BM_AUTO;
    b->inconsistent = flags & BM_IN_USE;
    ret = b->inconsistent ? 0 : load_bits(q, e, b);
    return ret == 0 || error_set_errno(err, ret, "Could not read bitmap '%s' from the image", name);
}

static int mark_in_use(Qcow2 *q, uint8_t *dir)
{
    int ret;

    for (uint64_t at = 0; at < q->bitmaps_size; at += padded((DirEntry *)(dir + at)))
        ((DirEntry *)(dir + at))->flags |= GUINT32_TO_BE(BM_IN_USE);
    ret = node_co_pwrite(q->node->file, q->bitmaps_offset, dir, q->bitmaps_size);
    return ret < 0 ? ret : node_co_flush(q->node->file->node);
}

bool qcow2_load_bitmaps(Qcow2 *q, GError **err)
{
    g_autofree uint8_t *dir = NULL;
    int ret = 0;

    if (!q->n_bitmaps || q->bitmaps_loaded)
        return true;
    dir = read_directory(q, err);
    if (!dir)
        return false;
    /* those of a node that was writable before are still there */
    for (uint64_t at = 0; at < q->bitmaps_size && !q->bitmaps_known; at += padded((DirEntry *)(dir + at)))
        if (!load_one(q, (DirEntry *)(dir + at), err))
            return false;
    q->bitmaps_known = true;
    q->bitmaps_loaded = true;
    if (!node_writable(q->node))
        q->bitmaps_loaded = false;
    else
        ret = mark_in_use(q, dir);
    return ret == 0 || error_set_errno(err, ret, "Can't update bitmap directory");
}

json_t *qcow2_bitmap_list(Qcow2 *q)
{
    g_autofree uint8_t *dir = q->n_bitmaps && q->node->file ? read_directory(q, NULL) : NULL;
    json_t *list = dir ? json_array() : NULL;

    for (uint64_t at = 0; dir && at < q->bitmaps_size; at += padded((DirEntry *)(dir + at))) {
        DirEntry *e = (DirEntry *)(dir + at);
        g_autofree char *name = name_of(e);
        uint32_t flags = GUINT32_FROM_BE(e->flags);
        json_t *f = json_array();

        if (flags & BM_IN_USE)
            json_array_append_new(f, json_string("in-use"));
        if (flags & BM_AUTO)
            json_array_append_new(f, json_string("auto"));
        json_array_append_new(list, json_pack("{s:s, s:I, s:o}", "name", name, "granularity",
                                              (json_int_t)(UINT64_C(1) << (e->granularity_bits & 63)), "flags", f));
    }
    return list;
}

/* ---- storing */

static int64_t store_cluster(Qcow2 *q, const uint8_t *data, uint64_t bytes)
{
    int64_t offset = qcow2_alloc_clusters(q, 1, true, NULL, NULL);
    uint8_t *buf;
    int ret;

    if (offset < 0)
        return offset;
    buf = block_try_memalign(q->cluster_size);
    if (!buf)
        return -ENOMEM;
    memcpy(buf, data, bytes);
    memset(buf + bytes, 0, q->cluster_size - bytes);
    ret = node_co_pwrite(q->node->file, offset, buf, q->cluster_size);
    free(buf);
    return ret < 0 ? ret : offset;
}

static bool all_ones(const uint8_t *p, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        if (p[i] != 0xff)
            return false;
    return true;
}

static int store_table(Qcow2 *q, const DirtyBitmap *b, DirEntry *e)
{
    uint64_t bytes = bitmap_bytes(b), clusters = MAX(size_to_clusters(q, bytes), 1);
    g_autofree uint64_t *table = g_try_new0(uint64_t, clusters);
    int64_t offset;

    if (!table)
        return -ENOMEM;
    for (uint64_t i = 0; i < clusters && i << q->cluster_bits < bytes; i++) {
        const uint8_t *p = b->bits + (i << q->cluster_bits);
        uint64_t now = MIN(q->cluster_size, bytes - (i << q->cluster_bits));

        if (buf_is_zero(p, now))
            continue;
        offset = now == q->cluster_size && all_ones(p, now) ? 1 : store_cluster(q, p, now);
        if (offset < 0)
            return offset;
        table[i] = GUINT64_TO_BE(offset);
    }
    offset = qcow2_alloc_clusters(q, size_to_clusters(q, clusters * 8), true, NULL, NULL);
    if (offset < 0)
        return offset;
    e->table = GUINT64_TO_BE(offset);
    e->table_size = GUINT32_TO_BE(clusters);
    return node_co_pwrite(q->node->file, offset, table, clusters * 8);
}

static void put_entry(GByteArray *dir, const DirEntry *e, const char *name)
{
    g_byte_array_append(dir, (const uint8_t *)e, sizeof(*e));
    g_byte_array_append(dir, (const uint8_t *)name, strlen(name));
    while (dir->len & 7)
        g_byte_array_append(dir, (const uint8_t *)"", 1);
}

static const DirEntry *old_entry(Qcow2 *q, const uint8_t *dir, const char *name)
{
    for (uint64_t at = 0; dir && at < q->bitmaps_size; at += padded((const DirEntry *)(dir + at))) {
        g_autofree char *n = name_of((const DirEntry *)(dir + at));

        if (!strcmp(n, name))
            return (const DirEntry *)(dir + at);
    }
    return NULL;
}

static int free_table(Qcow2 *q, const DirEntry *e)
{
    uint64_t n = GUINT32_FROM_BE(e->table_size);
    g_autofree uint64_t *table = g_try_new(uint64_t, MAX(n, 1));
    int ret = table && n <= MAX_TABLE / 8 ? node_co_pread(q->node->file, GUINT64_FROM_BE(e->table), table, n * 8) : -ENOMEM;

    for (uint64_t i = 0; i < n && ret == 0; i++)
        if (GUINT64_FROM_BE(table[i]) & L1_OFFSET)
            ret = qcow2_free_now(q, GUINT64_FROM_BE(table[i]) & L1_OFFSET, q->cluster_size, FREE_OTHER);
    return ret < 0 ? ret : qcow2_free_now(q, GUINT64_FROM_BE(e->table), n * 8, FREE_OTHER);
}

/* Tables of all persistent bitmaps, and their directory in memory. */
static int store_all(Qcow2 *q, const uint8_t *old, GByteArray *dir, uint32_t *count)
{
    int ret = 0;

    for (DirtyBitmap *b = q->node->bitmaps; b && ret == 0; b = b->next) {
        DirEntry e = { .flags = GUINT32_TO_BE(b->enabled ? BM_AUTO : 0), .type = 1, .granularity_bits = b->shift,
                       .name_size = GUINT16_TO_BE(strlen(b->name)) };
        const DirEntry *was;

        if (!b->persistent)
            continue;
        was = old_entry(q, old, b->name);
        if (b->inconsistent) {
            if (!was)
                continue;               /* nothing to tell */
            e.table = was->table;
            e.table_size = was->table_size;
            e.flags |= GUINT32_TO_BE(BM_IN_USE);
        } else {
            ret = store_table(q, b, &e);
        }
        put_entry(dir, &e, b->name);
        ++*count;
    }
    return ret;
}

static int free_old(Qcow2 *q, const uint8_t *old, uint64_t offset, uint64_t size)
{
    int ret = 0;

    for (uint64_t at = 0; old && at < size && ret == 0; at += padded((const DirEntry *)(old + at))) {
        const DirEntry *e = (const DirEntry *)(old + at);
        g_autofree char *name = name_of(e);
        DirtyBitmap *b = bitmap_find(q->node, name);

        if (!b || !b->persistent || !b->inconsistent)
            ret = free_table(q, e);
    }
    return ret < 0 || !old ? ret : qcow2_free_now(q, offset, size, FREE_OTHER);
}

int qcow2_store_bitmaps(Qcow2 *q)
{
    g_autoptr(GByteArray) dir = g_byte_array_new();
    g_autofree uint8_t *old = NULL;
    uint64_t old_offset = q->bitmaps_offset, old_size = q->bitmaps_size;
    uint32_t old_n = q->n_bitmaps, count = 0;
    int64_t offset = 0;
    int ret;

    if (q->n_bitmaps && !q->bitmaps_loaded)
        return 0;                       /* not looked at: as they are */
    old = q->n_bitmaps ? read_directory(q, NULL) : NULL;
    ret = q->n_bitmaps && !old ? -EIO : store_all(q, old, dir, &count);
    if (ret < 0 || (!count && !old_n))
        return ret;
    if (dir->len > MAX_DIRECTORY)
        return -EFBIG;
    if (count) {
        offset = qcow2_alloc_clusters(q, size_to_clusters(q, dir->len), true, NULL, NULL);
        ret = offset < 0 ? (int)offset : node_co_pwrite(q->node->file, offset, dir->data, dir->len);
    }
    if (ret == 0)
        ret = qcow2_flush_locked(q);
    if (ret < 0)
        return ret;
    q->n_bitmaps = count;
    q->bitmaps_offset = offset;
    q->bitmaps_size = dir->len;
    q->autoclear = count ? q->autoclear | AUTOCLEAR_BITMAPS : q->autoclear & ~(uint64_t)AUTOCLEAR_BITMAPS;
    ret = qcow2_rewrite_header(q, NULL);
    if (ret < 0) {
        q->n_bitmaps = old_n;
        q->bitmaps_offset = old_offset;
        q->bitmaps_size = old_size;
        return ret;
    }
    ret = free_old(q, old, old_offset, old_size);
    q->bitmaps_loaded = false;          /* stored: they are not "in use" any more */
    return ret;
}

bool qcow2_can_store_bitmaps(BlockNode *n)
{
    Qcow2 *q = n->state;

    return q->version >= 3 && node_writable(n);
}

uint64_t qcow2_bitmaps_size(BlockNode *n, uint64_t cluster_size)
{
    uint64_t sum = 0, dir = 0;

    for (DirtyBitmap *b = n->bitmaps; b; b = b->next) {
        uint64_t clusters = (bitmap_bytes(b) + cluster_size - 1) / cluster_size;

        if (!b->persistent || b->inconsistent)
            continue;
        sum += clusters * cluster_size + (clusters * 8 + cluster_size - 1) / cluster_size * cluster_size;
        dir += (sizeof(DirEntry) + strlen(b->name) + 7) & ~7u;
    }
    return sum + (dir + cluster_size - 1) / cluster_size * cluster_size;
}
