/*
 * qcow2: changing the version, features and refcount width of an existing image.  Every step leaves an image that is
 * right: features are set before they are used and cleared when nothing uses them any more.
 */
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include "block/bitmap.h"
#include "block/options.h"
#include "block/qcow2.h"
#include "util/error.h"

const char *const qcow2_amend_opts[] = {
    "backing_file", "backing_fmt", "compat", "data_file", "data_file_raw", "encrypt.iter-time", "encrypt.keyslot",
    "encrypt.new-secret", "encrypt.old-secret", "encrypt.state", "lazy_refcounts", "refcount_bits", "size", NULL,
};

typedef struct Amend {
    unsigned version;
    uint64_t refcount_bits, size;
    bool lazy, raw, has_size;
    char *data_file;
} Amend;

static bool take_version(Amend *a, json_t *opts, GError **err)
{
    static const char *const compats[] = { "0.10", "v2", "1.1", "v3", NULL };
    g_autofree char *given = jopts_take(opts, "compat");

    if (!given)
        return true;
    if (!g_strv_contains(compats, given))
        return error_set(err, "Unknown compatibility level %s", given);
    a->version = !strcmp(given, "0.10") || !strcmp(given, "v2") ? 2 : 3;
    return true;
}

static bool take(Qcow2 *q, Amend *a, json_t *opts, GError **err)
{
    g_autofree char *backing = jopts_take(opts, "backing_file"), *fmt = jopts_take(opts, "backing_fmt");

    *a = (Amend){ .version = q->version, .refcount_bits = q->refcount_bits, .has_size = jopts_get(opts, "size"),
                  .lazy = q->compatible & COMPAT_LAZY_REFCOUNTS, .raw = q->data_file_raw };
    if (!take_version(a, opts, err) || !jopts_take_size(opts, "size", &a->size, err) ||
        !jopts_take_bool(opts, "lazy_refcounts", &a->lazy, err) || !jopts_take_bool(opts, "data_file_raw", &a->raw, err) ||
        !jopts_take_number(opts, "refcount_bits", &a->refcount_bits, err))
        return false;
    if ((backing && g_strcmp0(backing, q->node->backing_file)) || (fmt && g_strcmp0(fmt, q->node->backing_format)))
        return error_set(err, "Cannot amend the backing file\nYou can use 'qemu-img rebase' instead.");
    if (jopts_has_prefix(opts, "encrypt."))
        return error_set(err, "Can't amend encryption options - encryption not present");
    if (!a->refcount_bits || a->refcount_bits > 64 || a->refcount_bits & (a->refcount_bits - 1))
        return error_set(err, "Refcount width must be a power of two and may not exceed 64 bits");
    a->data_file = jopts_take(opts, "data_file");
    if (a->data_file && !q->data_file)
        return error_set(err, "data-file can only be set for images that use an external data file");
    if (a->raw && !q->data_file_raw)
        return error_set(err, "data-file-raw cannot be set on existing images");
    return true;
}

/* ---- up and down */

static int upgrade(Qcow2 *q)
{
    q->version = 3;
    return qcow2_rewrite_header(q, NULL);
}

/* Version 2 has no zero clusters. Those that would show a backing file are written out. */
static int write_zeroes_out(Qcow2 *q)
{
    uint64_t len = cluster_round(q, q->node->length), at = 0;
    g_autofree void *zeroes = g_try_malloc0(q->cluster_size);
    int ret = zeroes ? 0 : -ENOMEM;

    while (at < len && ret == 0) {
        uint64_t now = len - at, host;
        ClusterType type;
        struct iovec iov;
        IoVec v;

        ret = qcow2_lookup(q, at, &now, &host, &type);
        if (ret == 0 && (type == CL_ZERO_ALLOC || (type == CL_ZERO_PLAIN && q->node->backing_file))) {
            now = MIN(now, q->cluster_size - cluster_in(q, at));
            v = iov_one(&iov, zeroes, MIN(now, q->node->length - at));
            ret = qcow2_co_write(q->node, at, iov.iov_len, &v, 0, 0);
        }
        at += now;
    }
    return ret;
}

/* The other zero clusters of a table, in place: to all who share it they mean the same. 1: that can't be done. */
static int expand_table(Qcow2 *q, uint64_t table, uint64_t *l2)
{
    int ret = node_co_pread(q->node->file, table, l2, q->cluster_size);
    bool dirty = false;

    for (uint32_t j = 0; j < q->l2_entries && ret == 0; j++) {
        uint64_t e = GUINT64_FROM_BE(l2[j]);
        ClusterType t = qcow2_entry_type(q, e);

        if (t == CL_ZERO_PLAIN && q->node->backing_file)
            return 1;
        if (t == CL_ZERO_ALLOC)
            ret = node_co_zero(q->node->file, e & L2_OFFSET, q->cluster_size, 0);
        if (t == CL_ZERO_PLAIN || t == CL_ZERO_ALLOC) {
            l2[j] = t == CL_ZERO_PLAIN ? 0 : GUINT64_TO_BE(e & ~ZERO);
            dirty = true;
        }
    }
    return ret == 0 && dirty ? node_co_pwrite(q->node->file, table, l2, q->cluster_size) : ret;
}

static int expand_l1(Qcow2 *q, uint64_t offset, uint32_t size)
{
    g_autofree uint64_t *l1 = g_try_new(uint64_t, MAX(size, 1)), *l2 = g_try_malloc(q->cluster_size);
    int ret = l1 && l2 ? node_co_pread(q->node->file, offset, l1, size * UINT64_C(8)) : -ENOMEM;

    for (uint32_t i = 0; i < size && ret == 0; i++) {
        uint64_t table = GUINT64_FROM_BE(l1[i]) & L1_OFFSET;

        if (table && !cluster_in(q, table))
            ret = expand_table(q, table, l2);
    }
    return ret;
}

static int expand_zeroes(Qcow2 *q, GError **err)
{
    int ret = write_zeroes_out(q);

    co_mutex_lock(&q->lock);
    if (ret == 0)
        ret = qcow2_flush_locked(q);
    if (ret == 0)
        ret = expand_l1(q, q->l1_offset, q->l1_size);
    for (uint32_t i = 0; i < q->n_snapshots && ret == 0; i++)
        ret = expand_l1(q, q->snapshots[i].l1_offset, q->snapshots[i].l1_size);
    slice_cache_drop(q, &q->l2c);
    co_mutex_unlock(&q->lock);
    if (ret > 0) {
        error_set(err, "Internal snapshots prevent downgrade of image");
        ret = -ENOTSUP;
    }
    return ret;
}

static bool may_downgrade(Qcow2 *q, GError **err)
{
    if (q->incompatible & INCOMPAT_DATA_FILE)
        return error_set(err, "Cannot downgrade an image with a data file");
    if (q->incompatible & ~(uint64_t)INCOMPAT_DIRTY)
        return error_set(err, "Cannot downgrade an image with incompatible features set");
    if (q->refcount_bits != 16)
        return error_set(err, "compat=0.10 requires refcount_bits=16");
    for (uint32_t i = 0; i < q->n_snapshots; i++) {
        const Snapshot *s = &q->snapshots[i];

        if (s->vm_state_size > UINT32_MAX || s->disk_size != (uint64_t)q->node->length)
            return error_set(err, "Internal snapshots prevent downgrade of image");
    }
    return true;
}

static int downgrade(Qcow2 *q, GError **err)
{
    int ret;

    if (!may_downgrade(q, err))
        return -ENOTSUP;
    ret = expand_zeroes(q, err);
    co_mutex_lock(&q->lock);
    if (ret == 0)
        ret = qcow2_clean(q);
    q->lazy_refcounts = false;
    node_bitmaps_free(q->node);         /* version 2 has none */
    if (ret == 0)
        ret = qcow2_store_bitmaps(q);
    q->bitmaps_loaded = false;
    if (ret == 0) {
        q->version = 2;
        q->incompatible = q->compatible = q->autoclear = 0;
        ret = qcow2_rewrite_header(q, err);
    }
    co_mutex_unlock(&q->lock);
    return ret;
}

static int set_lazy(Qcow2 *q, bool on)
{
    int ret;

    co_mutex_lock(&q->lock);
    ret = qcow2_clean(q);
    if (ret == 0) {
        q->compatible = on ? q->compatible | COMPAT_LAZY_REFCOUNTS : q->compatible & ~(uint64_t)COMPAT_LAZY_REFCOUNTS;
        q->lazy_refcounts = on;
        ret = qcow2_put_features(q);
    }
    co_mutex_unlock(&q->lock);
    return ret;
}

static bool check(const Amend *a, Qcow2 *q, GError **err)
{
    if (a->version < 3 && a->refcount_bits != 16)
        return q->version >= 3 ? error_set(err, "compat=0.10 requires refcount_bits=16")
            : error_set(err, "Refcount widths other than 16 bits require compatibility level 1.1 or above (use compat=1.1 "
                        "or greater)");
    if (a->version < 3 && a->lazy && !(q->version >= 3 && q->compatible & COMPAT_LAZY_REFCOUNTS))
        return error_set(err, "Lazy refcounts only supported with compatibility level 1.1 and above (use compat=1.1 or "
                         "greater)");
    return true;
}

static bool set_data_file(Qcow2 *q, Amend *a, GError **err)
{
    if (a->data_file) {
        g_free(q->data_file_name);
        q->data_file_name = *a->data_file ? g_strdup(a->data_file) : NULL;
    }
    if (q->data_file_raw && !a->raw) {
        q->autoclear &= ~(uint64_t)AUTOCLEAR_DATA_FILE_RAW;
        q->data_file_raw = false;
    } else if (!a->data_file) {
        return true;
    }
    return qcow2_rewrite_header(q, err) == 0;
}

static int apply(Qcow2 *q, Amend *a, GError **err)
{
    int ret = 0;

    if (a->version > q->version)
        ret = upgrade(q);
    if (ret == 0 && a->refcount_bits != q->refcount_bits)
        ret = qcow2_change_refcount_order(q, __builtin_ctzll(a->refcount_bits), err);
    if (ret == 0 && !set_data_file(q, a, err))
        return -EIO;
    if (ret == 0 && a->version >= 3 && a->lazy != !!(q->compatible & COMPAT_LAZY_REFCOUNTS))
        ret = set_lazy(q, a->lazy);
    if (ret == 0 && a->has_size) {
        NodeLink l = { .node = q->node, .perm = PERM_WRITE | PERM_RESIZE };

        ret = node_co_truncate(&l, (a->size + 511) & ~UINT64_C(511), false, PREALLOC_OFF, err);
    }
    if (ret == 0 && a->version < q->version)
        ret = downgrade(q, err);
    return ret;
}

bool qcow2_amend(BlockNode *n, json_t *opts, bool force, GError **err)
{
    Qcow2 *q = n->state;
    Amend a;
    int ret = take(q, &a, opts, err) && check(&a, q, err) ? 0 : -EINVAL;

    if (ret == 0)
        ret = apply(q, &a, err);
    g_free(a.data_file);
    if (ret < 0 && !(err && *err))
        error_set(err, "%s", g_strerror(-ret));
    return ret == 0;
}
