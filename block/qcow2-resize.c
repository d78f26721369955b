/* qcow2: growing and shrinking, preallocation, creation. */
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include "block/compress.h"
#include "block/options.h"
#include "block/qcow2.h"
#include "util/error.h"

/* ---- L1 */

static int put_new_l1(Qcow2 *q, uint64_t offset, uint32_t size, const uint64_t *l1)
{
    struct __attribute__((packed)) { uint32_t size; uint64_t offset; } h = { GUINT32_TO_BE(size), GUINT64_TO_BE(offset) };
    uint64_t *be = block_try_memalign(size * UINT64_C(8));
    int ret;

    if (!be)
        return -ENOMEM;
    for (uint32_t i = 0; i < size; i++)
        be[i] = GUINT64_TO_BE(l1[i]);
    ret = node_co_pwrite(q->node->file, offset, be, size * UINT64_C(8));
    free(be);
    if (ret == 0)
        ret = node_co_flush(q->node->file->node);
    if (ret == 0)
        ret = qcow2_header_put(q, offsetof(QcowHeader, l1_size), &h, sizeof(h));
    return ret;
}

int qcow2_grow_l1(Qcow2 *q, uint64_t entries, bool exact)
{
    uint64_t size = exact ? entries : MAX(entries, q->l1_size + UINT64_C(1) + q->l1_size / 2), old = q->l1_offset;
    uint32_t old_size = q->l1_size;
    uint64_t *l1;
    int64_t offset;
    int ret;

    if (size <= old_size)
        return 0;
    size = MIN(size, MAX(entries, MAX_L1_BYTES / 8));
    if (size > MAX_L1_BYTES / 8)
        return -EFBIG;
    /* the header will point to a table with these entries: what they stand for must be on the disk */
    ret = qcow2_write_back(q);
    if (ret < 0)
        return ret;
    offset = qcow2_alloc_clusters(q, size_to_clusters(q, size * 8), true, NULL, NULL);
    if (offset < 0)
        return offset;
    ret = qcow2_write_back(q);
    l1 = ret < 0 ? NULL : block_try_memalign(size * 8);
    if (!l1)
        return ret < 0 ? ret : -ENOMEM;
    memset(l1, 0, size * 8);
    memcpy(l1, q->l1, old_size * UINT64_C(8));
    ret = put_new_l1(q, offset, size, l1);
    if (ret < 0) {
        free(l1);
        qcow2_free_now(q, offset, size * 8, FREE_OTHER);
        return ret;
    }
    free(q->l1);
    q->l1 = l1;
    q->l1_size = size;
    q->l1_offset = offset;
    qcow2_metadata_del(q, old, old_size * UINT64_C(8));
    qcow2_metadata_add(q, offset, size * 8, "active L1 table");
    return qcow2_free_now(q, old, old_size * UINT64_C(8), FREE_OTHER);
}

/* ---- size */

static int shrink(Qcow2 *q, int64_t length, GError **err)
{
    uint64_t from = cluster_round(q, length), to = cluster_round(q, q->node->length);
    int ret = 0;

    co_mutex_lock(&q->lock);
    if (to > from)
        ret = qcow2_discard_clusters(q, from, to - from, true, FREE_REQUEST);
    if (ret == 0)
        ret = qcow2_flush_locked(q);
    co_mutex_unlock(&q->lock);
    if (ret < 0)
        error_set_errno(err, ret, "Failed to discard cropped clusters");
    return ret;
}

int qcow2_preallocate(Qcow2 *q, uint64_t offset, uint64_t end, Prealloc p, GError **err)
{
    int ret = 0;

    while (offset < end && ret == 0) {
        uint64_t now = MIN(end - offset, UINT64_C(1) << 30), host;
        Alloc a = { .bare = q->extended && q->node->backing_file };

        co_mutex_lock(&q->lock);
        ret = qcow2_map_write(q, offset, &now, &host, &a);
        if (ret == 0 && a.bytes) {
            ret = qcow2_link(q, &a);
            qcow2_alloc_end(q, &a);
        }
        co_mutex_unlock(&q->lock);
        /* the file must be there to its end, and hold zeroes */
        if (ret == 0 && a.bytes && (p != PREALLOC_METADATA || !(a.virgin || q->data_file)))
            ret = node_co_zero(qcow2_data(q), host, now, 0);
        offset += now;
    }
    if (ret == 0 && p == PREALLOC_METADATA && !q->data_file && q->node->file->node->length < (int64_t)q->high_water)
        ret = node_co_truncate(q->node->file, q->high_water, false, PREALLOC_OFF, err);
    if (ret == 0 && q->data_file && node_length(q->data_file->node) < (int64_t)end)
        ret = node_co_truncate(q->data_file, end, false, PREALLOC_OFF, err);
    if (ret < 0 && !(err && *err))
        error_set_errno(err, ret, "Could not preallocate metadata");
    return ret;
}

int qcow2_co_truncate(BlockNode *n, int64_t length, bool exact, Prealloc p, GError **err)
{
    Qcow2 *q = n->state;
    int64_t old = n->length;
    uint64_t be = GUINT64_TO_BE(length);
    int ret;

    if (length & 511)
        return error_set(err, "The new size must be a multiple of 512"), -EINVAL;
    if (q->n_snapshots && q->version < 3)
        return error_set(err, "Can't resize a version 2 image which has snapshots"), -ENOTSUP;
    if (length < old && p != PREALLOC_OFF)
        return error_set(err, "Preallocation can't be used for shrinking an image"), -EINVAL;
    if (size_to_l1(q, length) > MAX_L1_BYTES / 8)
        return error_set(err, "The image size is too large (try using a larger cluster size)"), -EFBIG;
    if (length < old) {
        ret = shrink(q, length, err);
        if (ret < 0)
            return ret;
    } else {
        co_mutex_lock(&q->lock);
        ret = qcow2_grow_l1(q, size_to_l1(q, length), true);
        co_mutex_unlock(&q->lock);
        if (ret < 0)
            return error_set_errno(err, ret, "Failed to grow the L1 table"), ret;
        /* the rest of the last cluster was never promised to be zero */
        if (cluster_in(q, old) && !qcow2_reads_zero(q, old, MIN(cluster_round(q, old), (uint64_t)length) - old)) {
            struct iovec iov;
            g_autofree void *z = g_malloc0(q->cluster_size);
            uint64_t len = MIN(cluster_round(q, old), (uint64_t)length) - old;
            IoVec v = iov_one(&iov, z, len);

            ret = qcow2_co_write(n, old, len, &v, 0, 0);
            if (ret < 0)
                return error_set_errno(err, ret, "Failed to zero the rest of the last cluster"), ret;
        }
        if (q->data_file && q->data_file_raw && node_length(q->data_file->node) < length) {
            ret = node_co_truncate(q->data_file, length, false, PREALLOC_OFF, err);
            if (ret < 0)
                return ret;
        }
    }
    if (p != PREALLOC_OFF) {
        n->length = length;             /* new clusters have no old contents */
        ret = qcow2_preallocate(q, old, length, p, err);
        n->length = old;
        if (ret < 0)
            return ret;
    }
    ret = qcow2_header_put(q, offsetof(QcowHeader, size), &be, 8);
    if (ret < 0)
        return error_set_errno(err, ret, "Failed to update the image size"), ret;
    q->l1_vm_state_index = size_to_l1(q, length);
    return 0;
}

/* ---- creation */

/* In the order in which "qemu-img create" tells them. */
const CreateOpt qcow2_create_opts[] = {
    { "cluster_size", COPT_SIZE, "qcow2 cluster size", "65536" },
    { "extended_l2", COPT_BOOL, "Extended L2 tables", "off" },
    { "preallocation", COPT_STRING, "Preallocation mode (allowed values: off, metadata, falloc, full)" },
    { "compression_type", COPT_STRING, "Compression method used for image cluster compression", "zlib" },
    { "size", COPT_SIZE, "Virtual disk size" },
    { "compat", COPT_STRING, "Compatibility level (v2 [0.10] or v3 [1.1])" },
    { "backing_file", COPT_STRING, "File name of a base image" },
    { "backing_fmt", COPT_STRING, "Image format of the base image" },
    { "data_file", COPT_STRING, "File name of an external data file" },
    { "data_file_raw", COPT_BOOL, "The external data file must stay valid as a raw image" },
    { "lazy_refcounts", COPT_BOOL, "Postpone refcount updates", "off" },
    { "refcount_bits", COPT_NUMBER, "Width of a reference count entry in bits", "16" },
    /* there is no encryption: these are known so as to be refused for what they are */
    { "encryption", COPT_BOOL, "Encrypt the image with format 'aes'. (Deprecated in favor of encrypt.format=aes)" },
    { "encrypt.format", COPT_STRING, "Encrypt the image, format choices: 'aes', 'luks'" },
    { "encrypt.key-secret", COPT_STRING, "ID of secret providing qcow AES key or LUKS passphrase" },
    { "encrypt.cipher-alg", COPT_STRING, "Name of encryption cipher algorithm" },
    { "encrypt.cipher-mode", COPT_STRING, "Name of encryption cipher mode" },
    { "encrypt.ivgen-alg", COPT_STRING, "Name of IV generator algorithm" },
    { "encrypt.ivgen-hash-alg", COPT_STRING, "Name of IV generator hash algorithm" },
    { "encrypt.hash-alg", COPT_STRING, "Name of encryption hash algorithm" },
    { "encrypt.iter-time", COPT_NUMBER, "Time to spend in PBKDF in milliseconds" },
    { "encrypt.keyslot", COPT_NUMBER, "Select a single keyslot to modify explicitly", NULL, true },
    { "encrypt.new-secret", COPT_STRING, "New secret to set in the matching keyslots. Empty string to erase", NULL, true },
    { "encrypt.old-secret", COPT_STRING, "Select all keyslots that match this password", NULL, true },
    { "encrypt.state", COPT_STRING, "Select new state of affected keyslots (active/inactive)", NULL, true },
    { NULL },
};

typedef struct Create {
    uint64_t size, cluster_size, refcount_bits;
    int compat, prealloc, compression;
    bool lazy, data_raw, extended;
    char *backing, *backing_fmt, *data_file;
} Create;

static bool take_create(Create *c, json_t *opts, GError **err)
{
    static const char *const compats[] = { "0.10", "v2", "1.1", "v3", NULL };
    static const char *const compressions[] = { "zlib", "zstd", NULL };
    bool nocow;

    if (jopts_get(opts, "encryption") || jopts_has_prefix(opts, "encrypt."))
        return error_set(err, "Encryption (LUKS, AES) is not supported by this program");
    *c = (Create){ .cluster_size = 65536, .refcount_bits = 16, .compat = 3 };
    c->backing = jopts_take(opts, "backing_file");
    c->backing_fmt = jopts_take(opts, "backing_fmt");
    c->data_file = jopts_take(opts, "data_file");
    if (jopts_get(opts, "compat")) {
        g_autofree char *given = g_strdup(jopts_get(opts, "compat"));

        if (!jopts_take_enum(opts, "compat", compats, &c->compat, NULL))
            return error_set(err, "Parameter 'version' does not accept value '%s'", given);
    }
    if (!jopts_take_bool(opts, "extended_l2", &c->extended, err) || !jopts_take_bool(opts, "nocow", &nocow, err))
        return false;
    if (!jopts_take_size(opts, "size", &c->size, err) || !jopts_take_size(opts, "cluster_size", &c->cluster_size, err) ||
        !jopts_take_number(opts, "refcount_bits", &c->refcount_bits, err) ||
        !jopts_take_bool(opts, "lazy_refcounts", &c->lazy, err) ||
        !jopts_take_bool(opts, "data_file_raw", &c->data_raw, err) ||
        !jopts_take_enum(opts, "preallocation", prealloc_names, &c->prealloc, err) ||
        !jopts_take_enum(opts, "compression_type", compressions, &c->compression, err))
        return false;
    c->compat = c->compat >= 2 ? 3 : 2;
    c->size = (c->size + 511) & ~UINT64_C(511);
    return true;
}

static bool check_create(const Create *c, GError **err)
{
    if (c->cluster_size & (c->cluster_size - 1) || c->cluster_size < 1 << MIN_CLUSTER_BITS ||
        c->cluster_size > 1 << MAX_CLUSTER_BITS)
        return error_set(err, "Cluster size must be a power of two between %d and %dk", 1 << MIN_CLUSTER_BITS,
                         1 << (MAX_CLUSTER_BITS - 10));
    if (c->extended && c->compat < 3)
        return error_set(err, "Extended L2 entries are only supported with compatibility level 1.1 and above (use version=v3 or "
                         "greater)");
    if (c->extended && c->cluster_size < 16384)
        return error_set(err, "Extended L2 entries are only supported with cluster sizes of at least 16384 bytes");
    if (!c->refcount_bits || c->refcount_bits & (c->refcount_bits - 1) || c->refcount_bits > 64)
        return error_set(err, "Refcount width must be a power of two and may not exceed 64 bits");
    if (c->compat < 3 && c->refcount_bits != 16)
        return error_set(err, "Different refcount widths than 16 bits require compatibility level 1.1 or above (use "
                         "version=v3 or greater)");
    if (c->compat < 3 && c->lazy)
        return error_set(err, "Lazy refcounts only supported with compatibility level 1.1 and above (use version=v3 or "
                         "greater)");
    if (c->compat < 3 && c->compression)
        return error_set(err, "Non-zlib compression type is only supported with compatibility level 1.1 and above (use "
                         "version=v3 or greater)");
    if (c->compat < 3 && c->data_file)
        return error_set(err, "External data files are only supported with compatibility level 1.1 and above (use "
                         "version=v3 or greater)");
    if (c->compression && !compress_have_zstd())
        return error_set(err, "zstd is not there: install the package libzstd1");
    if (c->data_raw && !c->data_file)
        return error_set(err, "data-file-raw requires data-file");
    if (c->data_raw && c->backing)
        return error_set(err, "Backing file and data-file-raw cannot be used at the same time");
    if (c->backing && c->prealloc != PREALLOC_OFF && !c->extended)
        return error_set(err, "Backing file and preallocation can only be used at the same time if extended_l2 is enabled");
    return true;
}

/* An image of three clusters: header, refcount table, one refcount block; L1 comes with the size. */
static bool write_empty(BlockNode *file, const Create *c, GError **err)
{
    Qcow2 q = { .version = c->compat, .cluster_bits = __builtin_ctzll(c->cluster_size),
                .cluster_size = c->cluster_size, .refcount_order = __builtin_ctzll(c->refcount_bits),
                .refcount_bits = c->refcount_bits, .refcount_max = c->refcount_bits == 64 ? UINT64_MAX
                : (UINT64_C(1) << c->refcount_bits) - 1, .compression_type = c->compression };
    BlockNode *n = node_new(&driver_null_co, NULL);
    g_autofree uint64_t *cluster = g_malloc0(c->cluster_size);
    NodeLink *l = node_link(n, node_ref(file), "file", ROLE_IMAGE, err);
    int ret = -EINVAL;

    if (l) {
        q.node = n;
        q.l2_bits = q.cluster_bits - (c->extended ? 4 : 3);
        q.rt_offset = q.cluster_size;
        q.rt_size = q.cluster_size / 8;
        q.incompatible = (c->data_file ? INCOMPAT_DATA_FILE : 0) | (c->compression ? INCOMPAT_COMPRESSION : 0) |
            (c->extended ? INCOMPAT_EXTL2 : 0);
        q.compatible = c->lazy ? COMPAT_LAZY_REFCOUNTS : 0;
        q.autoclear = c->data_raw ? AUTOCLEAR_DATA_FILE_RAW : 0;
        q.data_file_name = c->data_file;
        q.extensions = g_byte_array_new();
        n->backing_file = g_strdup(c->backing);
        n->backing_format = g_strdup(c->backing_fmt);
        cluster[0] = GUINT64_TO_BE(2 * (uint64_t)q.cluster_size);
        ret = node_co_pwrite(l, q.cluster_size, cluster, q.cluster_size);
        cluster[0] = 0;
        for (unsigned i = 0; i < 3; i++)
            refcount_write(&q, cluster, i, 1);
        if (ret == 0)
            ret = node_co_pwrite(l, 2 * (uint64_t)q.cluster_size, cluster, q.cluster_size);
        if (ret < 0)
            error_set_errno(err, ret, "Could not write the image");
        else
            ret = qcow2_rewrite_header(&q, err);
        g_byte_array_free(q.extensions, TRUE);
    }
    node_unref(n);
    return ret == 0;
}

/* Opens what has been written so far and gives it its size. */
static bool set_size(const char *filename, const Create *c, GError **err)
{
    json_t *opts = json_object();
    BlockBackend *blk;
    int ret;

    jopts_set(opts, "driver", "qcow2");
    blk = blk_open(filename, opts, OPEN_RDWR | OPEN_NO_BACKING | OPEN_NO_FLUSH | OPEN_UNMAP, err);
    if (!blk)
        return false;
    ret = node_co_truncate(blk_root(blk), c->size, true, c->prealloc, err);
    blk_unref(blk);
    return ret == 0;
}

static bool create_files(const char *filename, const Create *c, GError **err)
{
    g_autofree char *data = c->data_file ? backing_path(filename, c->data_file, err) : NULL;
    g_autoptr(json_t) none = json_object();
    BlockNode *file;
    bool ok;

    if (c->data_file && (!data || !protocol_create(data, none, err)))
        return false;
    if (!protocol_create(filename, none, err))
        return false;
    file = node_open(filename, json_object(), OPEN_RDWR | OPEN_PROTOCOL | OPEN_NO_FLUSH, err);
    if (!file)
        return false;
    ok = write_empty(file, c, err);
    node_unref(file);
    return ok && set_size(filename, c, err);
}

static char *as_compat(char *message)
{
    char *at = message ? strstr(message, "version=v3") : NULL;
    GString *s;

    if (!at)
        return message;
    s = g_string_new_len(message, at - message);
    g_string_append_printf(s, "compat=1.1%s", at + strlen("version=v3"));
    g_free(message);
    return g_string_free(s, FALSE);
}

bool qcow2_measure_options(json_t *opts, Qcow2Shape *s, GError **err)
{
    g_autoptr(json_t) copy = json_copy(opts);
    GError *e = NULL;
    Create c;
    bool ok = take_create(&c, copy, &e) && check_create(&c, &e);

    if (e) {
        e->message = as_compat(e->message);
        g_propagate_error(err, e);
    } else if (ok) {
        *s = (Qcow2Shape){ c.size, c.cluster_size, __builtin_ctzll(c.refcount_bits), c.compat, c.extended, c.backing != NULL,
                           c.prealloc == PREALLOC_FULL || c.prealloc == PREALLOC_FALLOC };
    }
    g_free(c.backing);
    g_free(c.backing_fmt);
    g_free(c.data_file);
    return ok;
}

bool qcow2_create(const char *filename, json_t *opts, GError **err)
{
    Create c;
    bool ok = take_create(&c, opts, err) && check_create(&c, err);

    if (ok && g_str_has_prefix(filename, "file:"))
        filename += 5;
    ok = ok && create_files(filename, &c, err);
    g_free(c.backing);
    g_free(c.backing_fmt);
    g_free(c.data_file);
    return ok;
}
