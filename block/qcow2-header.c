/* qcow2: reading, checking and writing the header and its extensions. */
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <string.h>
#include "block/compress.h"
#include "block/options.h"
#include "block/qcow2.h"
#include "util/error.h"

typedef struct __attribute__((packed)) FeatureName { uint8_t type, bit; char name[46]; } FeatureName;

/* What a version 3 header says about the meaning of feature bits, for programs that don't know them. */
static const FeatureName feature_names[] = {
    { 0, 0, "dirty bit" }, { 0, 1, "corrupt bit" }, { 0, 2, "external data file" }, { 0, 3, "compression type" },
    { 0, 4, "extended L2 entries" }, { 1, 0, "lazy refcounts" }, { 2, 0, "bitmaps" }, { 2, 1, "raw external data" },
};

bool qcow2_table_ok(Qcow2 *q, uint64_t offset, uint64_t entries, size_t entry_len, uint64_t max_bytes, const char *name,
                    GError **err)
{
    if (entries > max_bytes / entry_len)
        return error_set(err, "%s too large", name);
    if ((uint64_t)INT64_MAX - entries * entry_len < offset || cluster_in(q, offset))
        return error_set(err, "%s offset invalid", name);
    return true;
}

static void to_host(QcowHeader *h)
{
    h->magic = GUINT32_FROM_BE(h->magic);
    h->version = GUINT32_FROM_BE(h->version);
    h->backing_file_offset = GUINT64_FROM_BE(h->backing_file_offset);
    h->backing_file_size = GUINT32_FROM_BE(h->backing_file_size);
    h->cluster_bits = GUINT32_FROM_BE(h->cluster_bits);
    h->size = GUINT64_FROM_BE(h->size);
    h->crypt_method = GUINT32_FROM_BE(h->crypt_method);
    h->l1_size = GUINT32_FROM_BE(h->l1_size);
    h->l1_table_offset = GUINT64_FROM_BE(h->l1_table_offset);
    h->refcount_table_offset = GUINT64_FROM_BE(h->refcount_table_offset);
    h->refcount_table_clusters = GUINT32_FROM_BE(h->refcount_table_clusters);
    h->nb_snapshots = GUINT32_FROM_BE(h->nb_snapshots);
    h->snapshots_offset = GUINT64_FROM_BE(h->snapshots_offset);
    h->incompatible_features = GUINT64_FROM_BE(h->incompatible_features);
    h->compatible_features = GUINT64_FROM_BE(h->compatible_features);
    h->autoclear_features = GUINT64_FROM_BE(h->autoclear_features);
    h->refcount_order = GUINT32_FROM_BE(h->refcount_order);
    h->header_length = GUINT32_FROM_BE(h->header_length);
}

static bool check_basics(Qcow2 *q, QcowHeader *h, GError **err)
{
    if (h->magic != QCOW2_MAGIC)
        return error_set(err, "Image is not in qcow2 format");
    if (h->version < 2 || h->version > 3)
        return error_set(err, "Unsupported qcow2 version %" PRIu32, h->version);
    q->version = h->version;
    if (h->cluster_bits < MIN_CLUSTER_BITS || h->cluster_bits > MAX_CLUSTER_BITS)
        return error_set(err, "Unsupported cluster size: 2^%" PRIu32, h->cluster_bits);
    q->cluster_bits = h->cluster_bits;
    q->cluster_size = 1u << h->cluster_bits;
    if (h->version == 2) {
        h->incompatible_features = h->compatible_features = h->autoclear_features = 0;
        h->refcount_order = 4;
        h->header_length = HEADER_V2;
        h->compression_type = 0;
    } else if (h->header_length < HEADER_V3) {
        return error_set(err, "qcow2 header too short");
    }
    if (h->header_length > q->cluster_size)
        return error_set(err, "qcow2 header exceeds cluster size");
    if (h->header_length <= offsetof(QcowHeader, compression_type))
        h->compression_type = 0;
    if (h->backing_file_offset > q->cluster_size)
        return error_set(err, "Invalid backing file offset");
    return true;
}

/* Names from the image's own table where it has them. */
static bool refuse_features(Qcow2 *q, const uint8_t *table, size_t len, GError **err)
{
    uint64_t unknown = q->incompatible & ~(uint64_t)INCOMPAT_KNOWN;
    GString *s = g_string_new(NULL);

    for (size_t i = 0; i + sizeof(FeatureName) <= len; i += sizeof(FeatureName)) {
        const FeatureName *f = (const FeatureName *)(table + i);

        if (f->type == 0 && f->bit < 64 && unknown & (UINT64_C(1) << f->bit)) {
            g_autofree char *name = g_strndup(f->name, sizeof(f->name));

            unknown &= ~(UINT64_C(1) << f->bit);
            g_string_append_printf(s, "%s%s", s->len ? ", " : "", name);
        }
    }
    if (unknown)
        g_string_append_printf(s, "%sUnknown incompatible feature: %" PRIx64, s->len ? ", " : "", unknown);
    error_set(err, "Unsupported qcow2 feature(s): %s", s->str);
    g_string_free(s, TRUE);
    return false;
}

static bool take_bitmaps(Qcow2 *q, const uint8_t *data, uint32_t len, GError **err)
{
    uint32_t n;
    uint64_t v;

    if (len != 24)
        return error_set(err, "bitmaps_ext: Invalid extension length");
    if (!(q->autoclear & AUTOCLEAR_BITMAPS)) {
        /* a program that did not know them has written: they are stale */
        warn_report(q->version < 3 ? "This qcow2 v2 image contains bitmaps, but they may have been modified by a program "
                    "without persistent bitmap support; so now they must all be considered inconsistent"
                    : "a program lacking bitmap support modified this file, so all bitmaps are now considered inconsistent");
        return true;
    }
    memcpy(&n, data, 4);
    q->n_bitmaps = GUINT32_FROM_BE(n);
    memcpy(&v, data + 8, 8);
    q->bitmaps_size = GUINT64_FROM_BE(v);
    memcpy(&v, data + 16, 8);
    q->bitmaps_offset = GUINT64_FROM_BE(v);
    if (!q->n_bitmaps)
        return error_set(err, "found bitmaps extension with zero bitmaps");
    if (cluster_in(q, q->bitmaps_offset) || q->bitmaps_offset > INT64_MAX / 2 || q->bitmaps_size > 64 * 1024 * 1024 ||
        q->n_bitmaps > 65535)
        return error_set(err, "invalid bitmap directory");
    return true;
}

static bool take_extension(Qcow2 *q, uint32_t type, const uint8_t *data, uint32_t len, GError **err)
{
    uint32_t head[2] = { GUINT32_TO_BE(type), GUINT32_TO_BE(len) };

    switch (type) {
    case EXT_BACKING_FORMAT:
        if (len >= 64)
            return error_set(err, "ERROR: ext_backing_format: len=%" PRIu32 " too large (>=64)", len);
        g_free(q->node->backing_format);
        q->node->backing_format = g_strndup((const char *)data, len);
        return true;
    case EXT_FEATURE_TABLE:
        return true;
    case EXT_DATA_FILE:
        g_free(q->data_file_name);
        q->data_file_name = g_strndup((const char *)data, len);
        return true;
    case EXT_BITMAPS:
        return take_bitmaps(q, data, len, err);
    }
    g_byte_array_append(q->extensions, (uint8_t *)head, 8);
    g_byte_array_append(q->extensions, data, len);
    while (q->extensions->len & 7)
        g_byte_array_append(q->extensions, (const uint8_t *)"", 1);
    return true;
}

static bool read_extensions(Qcow2 *q, const uint8_t *cluster, size_t start, size_t end, GError **err)
{
    const uint8_t *features = NULL;
    size_t features_len = 0;

    for (int pass = 0; pass < 2; pass++) {
        size_t at = start;

        /* unknown features first: what follows may mean something else */
        if (pass && (q->incompatible & ~(uint64_t)INCOMPAT_KNOWN))
            return refuse_features(q, features, features_len, err);
        while (at + 8 <= end) {
            uint32_t type, len;

            memcpy(&type, cluster + at, 4);
            memcpy(&len, cluster + at + 4, 4);
            type = GUINT32_FROM_BE(type);
            len = GUINT32_FROM_BE(len);
            at += 8;
            if (type == EXT_END)
                break;
            if (len > end - at)
                return error_set(err, "Header extension too large");
            if (!pass && type == EXT_FEATURE_TABLE) {
                features = cluster + at;
                features_len = len;
            }
            if (pass && !take_extension(q, type, cluster + at, len, err))
                return false;
            at += (len + 7) & ~UINT32_C(7);
        }
    }
    return true;
}

static bool check_values(Qcow2 *q, const QcowHeader *h, GError **err)
{
    if (h->refcount_order > 6)
        return error_set(err, "Reference count entry width too large; may not exceed 64 bits");
    q->refcount_order = h->refcount_order;
    q->refcount_bits = 1u << h->refcount_order;
    q->refcount_max = q->refcount_bits == 64 ? (uint64_t)INT64_MAX : (UINT64_C(1) << q->refcount_bits) - 1;
    if (h->crypt_method == 1 || h->crypt_method == 2)
        return error_set(err, "Image is encrypted (%s), which is not supported", h->crypt_method == 1 ? "AES-CBC" : "LUKS");
    if (h->crypt_method)
        return error_set(err, "Unsupported encryption method %" PRIu32, h->crypt_method);
    if (!!(q->incompatible & INCOMPAT_COMPRESSION) != (h->compression_type != 0))
        return error_set(err, "qcow2: Compression type incompatible feature bit must %sbe set",
                         h->compression_type ? "" : "not ");
    if (h->compression_type > 1)
        return error_set(err, "qcow2: unknown compression type: %u", h->compression_type);
    if (h->compression_type == 1 && !compress_have_zstd())
        return error_set(err, "qcow2: the image is compressed with zstd, and libzstd.so.1 is not there (package libzstd1)");
    q->compression_type = h->compression_type;
    if (h->size > INT64_MAX - (1 << 21))
        return error_set(err, "Image is too big");
    if (h->refcount_table_clusters == 0)
        return error_set(err, "Image does not contain a reference count table");
    if (h->refcount_table_clusters > MAX_REFTABLE_BYTES >> q->cluster_bits)
        return error_set(err, "Reference count table too large");
    q->rt_size = h->refcount_table_clusters << (q->cluster_bits - 3);
    return qcow2_table_ok(q, h->refcount_table_offset, q->rt_size, 8, MAX_REFTABLE_BYTES, "Reference count table", err) &&
        qcow2_table_ok(q, h->snapshots_offset, h->nb_snapshots, 40, 40 * MAX_SNAPSHOTS, "Snapshot table", err) &&
        qcow2_table_ok(q, h->l1_table_offset, h->l1_size, 8, MAX_L1_BYTES, "Active L1 table", err);
}

static uint64_t *read_table(Qcow2 *q, uint64_t offset, uint64_t entries, const char *what, GError **err)
{
    uint64_t *t = block_try_memalign(MAX(entries, 1) * 8);
    int ret = t ? node_co_pread(q->node->file, offset, t, entries * 8) : -ENOMEM;

    if (ret < 0) {
        free(t);
        error_set_errno(err, ret, "Could not %s", what);
        return NULL;
    }
    for (uint64_t i = 0; i < entries; i++)
        t[i] = GUINT64_FROM_BE(t[i]);
    return t;
}

static bool read_backing_name(Qcow2 *q, const QcowHeader *h, GError **err)
{
    uint32_t len = h->backing_file_size;
    int ret;

    if (!h->backing_file_offset)
        return true;
    if (len > MIN(UINT64_C(1023), q->cluster_size - h->backing_file_offset))
        return error_set(err, "Backing file name too long");
    g_free(q->node->backing_file);
    q->node->backing_file = g_malloc0(len + 1);
    ret = len ? node_co_pread(q->node->file, h->backing_file_offset, q->node->backing_file, len) : 0;
    if (ret < 0)
        return error_set_errno(err, ret, "Could not read backing file name");
    if (!*q->node->backing_file)
        g_clear_pointer(&q->node->backing_file, g_free);
    return true;
}

static bool read_tables(Qcow2 *q, const QcowHeader *h, GError **err)
{
    uint64_t need = size_to_l1(q, h->size);

    if (need > INT32_MAX)
        return error_set(err, "Image is too big");
    q->l1_vm_state_index = need;
    q->l1_size = h->l1_size;
    q->l1_offset = h->l1_table_offset;
    if (h->l1_size < need)
        return error_set(err, "L1 table is too small");
    q->rt_offset = h->refcount_table_offset;
    q->n_snapshots = h->nb_snapshots;
    q->snapshots_offset = h->snapshots_offset;
    q->l1 = read_table(q, q->l1_offset, q->l1_size, "read L1 table", err);
    if (!q->l1)
        return false;
    q->rt = read_table(q, q->rt_offset, q->rt_size, "read reference count table", err);
    return q->rt && read_backing_name(q, h, err);
}

bool qcow2_read_header(Qcow2 *q, unsigned flags, GError **err)
{
    g_autofree uint8_t *cluster = NULL;
    QcowHeader h;
    int64_t length = node_length(q->node->file->node);
    int ret = node_co_pread(q->node->file, 0, &h, sizeof(h));

    if (ret < 0 || length < 0)
        return error_set_errno(err, ret < 0 ? ret : (int)length, "Could not read qcow2 header");
    to_host(&h);
    if (!check_basics(q, &h, err))
        return false;
    cluster = g_malloc(q->cluster_size);
    ret = node_co_pread(q->node->file, 0, cluster, q->cluster_size);
    if (ret < 0)
        return error_set_errno(err, ret, "Could not read qcow2 header");
    q->incompatible = h.incompatible_features;
    q->compatible = h.compatible_features;
    q->autoclear = h.autoclear_features;
    q->header_length = h.header_length;
    q->extensions = g_byte_array_new();
    if (!read_extensions(q, cluster, h.header_length,
                         h.backing_file_offset > h.header_length ? h.backing_file_offset : q->cluster_size, err))
        return false;
    if ((q->incompatible & INCOMPAT_CORRUPT) && (flags & OPEN_RDWR) && !(flags & OPEN_CHECK))
        return error_set(err, "qcow2: Image is corrupt; cannot be opened read/write");
    q->extended = q->incompatible & INCOMPAT_EXTL2;
    if (q->extended && q->cluster_bits < 14)
        return error_set(err, "Extended L2 entries are only supported with cluster sizes of at least 16384 bytes");
    q->l2_entry_size = q->extended ? 16 : 8;
    q->sub_bits = q->cluster_bits - (q->extended ? 5 : 0);
    q->l2_bits = q->cluster_bits - (q->extended ? 4 : 3);
    q->l2_entries = 1u << q->l2_bits;
    if (!check_values(q, &h, err))
        return false;
    q->node->length = h.size;
    q->high_water = cluster_round(q, length);
    return read_tables(q, &h, err);
}

/* ---- writing */

int qcow2_header_put(Qcow2 *q, unsigned at, const void *be, size_t len)
{
    return node_co_pwrite_sync(q->node->file, at, be, len);
}

int qcow2_put_features(Qcow2 *q)
{
    uint64_t f[3] = { GUINT64_TO_BE(q->incompatible), GUINT64_TO_BE(q->compatible), GUINT64_TO_BE(q->autoclear) };

    if (q->version < 3)
        return 0;
    return qcow2_header_put(q, offsetof(QcowHeader, incompatible_features), f, sizeof(f));
}

static void put_extension(GByteArray *b, uint32_t type, const void *data, uint32_t len)
{
    uint32_t head[2] = { GUINT32_TO_BE(type), GUINT32_TO_BE(len) };

    g_byte_array_append(b, (uint8_t *)head, 8);
    g_byte_array_append(b, data, len);
    while (b->len & 7)
        g_byte_array_append(b, (const uint8_t *)"", 1);
}

static void fill_header(Qcow2 *q, QcowHeader *h)
{
    *h = (QcowHeader){
        .magic = GUINT32_TO_BE(QCOW2_MAGIC), .version = GUINT32_TO_BE(q->version),
        .cluster_bits = GUINT32_TO_BE(q->cluster_bits), .size = GUINT64_TO_BE(q->node->length),
        .l1_size = GUINT32_TO_BE(q->l1_size), .l1_table_offset = GUINT64_TO_BE(q->l1_offset),
        .refcount_table_offset = GUINT64_TO_BE(q->rt_offset),
        .refcount_table_clusters = GUINT32_TO_BE(q->rt_size >> (q->cluster_bits - 3)),
        .nb_snapshots = GUINT32_TO_BE(q->n_snapshots), .snapshots_offset = GUINT64_TO_BE(q->snapshots_offset),
        .incompatible_features = GUINT64_TO_BE(q->incompatible), .compatible_features = GUINT64_TO_BE(q->compatible),
        .autoclear_features = GUINT64_TO_BE(q->autoclear), .refcount_order = GUINT32_TO_BE(q->refcount_order),
        .header_length = GUINT32_TO_BE(sizeof(*h)), .compression_type = q->compression_type,
    };
}

int qcow2_header_sync(Qcow2 *q, unsigned from, unsigned to)
{
    QcowHeader h;

    fill_header(q, &h);
    return qcow2_header_put(q, from, (uint8_t *)&h + from, to - from);
}

static void put_bitmaps(Qcow2 *q, GByteArray *b)
{
    struct { uint32_t n, reserved; uint64_t size, offset; } e = {
        GUINT32_TO_BE(q->n_bitmaps), 0, GUINT64_TO_BE(q->bitmaps_size), GUINT64_TO_BE(q->bitmaps_offset) };

    if (q->n_bitmaps && q->version >= 3)
        put_extension(b, EXT_BITMAPS, &e, sizeof(e));
}

int qcow2_rewrite_header(Qcow2 *q, GError **err)
{
    g_autoptr(GByteArray) b = g_byte_array_new();
    BlockNode *n = q->node;
    size_t name_len = n->backing_file ? strlen(n->backing_file) : 0, room;
    QcowHeader h;

    fill_header(q, &h);
    g_byte_array_append(b, (uint8_t *)&h, q->version == 2 ? HEADER_V2 : sizeof(h));
    if (n->backing_format && *n->backing_format)
        put_extension(b, EXT_BACKING_FORMAT, n->backing_format, strlen(n->backing_format));
    if (q->data_file_name)
        put_extension(b, EXT_DATA_FILE, q->data_file_name, strlen(q->data_file_name));
    /* the names of features are a courtesy: left out where there is no room */
    room = q->cluster_size - MIN(q->cluster_size, b->len + q->extensions->len + name_len + 8 + (q->n_bitmaps ? 32 : 0));
    if (q->version >= 3 && room >= sizeof(feature_names) + 8)
        put_extension(b, EXT_FEATURE_TABLE, feature_names, sizeof(feature_names));
    put_bitmaps(q, b);
    g_byte_array_append(b, q->extensions->data, q->extensions->len);
    put_extension(b, EXT_END, "", 0);
    if (name_len) {
        QcowHeader *p = (QcowHeader *)b->data;

        p->backing_file_offset = GUINT64_TO_BE(b->len);
        p->backing_file_size = GUINT32_TO_BE(name_len);
        g_byte_array_append(b, (const uint8_t *)n->backing_file, name_len);
    }
    if (b->len > q->cluster_size) {
        error_set(err, name_len ? "Backing file name too long" : "The header extensions don't fit into one cluster");
        return -ENOSPC;
    }
    {
        unsigned used = b->len;

        g_byte_array_set_size(b, q->cluster_size);
        memset(b->data + used, 0, q->cluster_size - used);
    }
    /* One write, so that a crash leaves the old header or the new one as far as the disk writes blocks whole. */
    int ret = node_co_pwrite_sync(n->file, 0, b->data, MIN(q->cluster_size, 65536));

    if (ret < 0)
        error_set_errno(err, ret, "Could not write qcow2 header");
    return ret;
}
