/* qcow2: the driver: probing, options, opening, closing, what it tells about itself. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "block/bitmap.h"
#include "block/options.h"
#include "block/qcow2.h"
#include "util/error.h"

#define L2_CACHE_BYTES (32 * 1024 * 1024)
#define REFCOUNT_CACHE_BYTES (1024 * 1024)

static int qcow2_probe(const uint8_t *buf, size_t n, const char *filename)
{
    uint32_t magic, version;

    if (n < 8)
        return 0;
    memcpy(&magic, buf, 4);
    memcpy(&version, buf + 4, 4);
    return GUINT32_FROM_BE(magic) == QCOW2_MAGIC && GUINT32_FROM_BE(version) >= 2 ? 100 : 0;
}

/* ---- options */

static bool take_overlap(Qcow2 *q, json_t *opts, GError **err)
{
    static const char *const templates[] = { "none", "constant", "cached", "all", NULL };
    static const char *const parts[] = { "main-header", "active-l1", "active-l2", "refcount-table", "refcount-block",
                                         "snapshot-table", "inactive-l1", "inactive-l2", "bitmap-directory" };
    int level = 2;
    bool on;

    if (jopts_get(opts, "overlap-check.template") && !jopts_get(opts, "overlap-check")) {
        g_autofree char *t = jopts_take(opts, "overlap-check.template");

        jopts_set(opts, "overlap-check", t);
    }
    if (!jopts_take_enum(opts, "overlap-check", templates, &level, err))
        return false;
    q->overlap_check = level > 0;
    for (unsigned i = 0; i < G_N_ELEMENTS(parts); i++) {
        g_autofree char *key = g_strconcat("overlap-check.", parts[i], NULL);

        on = false;
        if (!jopts_take_bool(opts, key, &on, err))
            return false;
        q->overlap_check |= on;
    }
    return true;
}

static bool take_caches(Qcow2 *q, json_t *opts, GError **err)
{
    uint64_t total = UINT64_MAX, l2 = L2_CACHE_BYTES, rc = REFCOUNT_CACHE_BYTES, ignored = 4096;
    uint64_t whole = size_to_l1(q, q->node->length) * q->cluster_size;
    bool l2_given = jopts_get(opts, "l2-cache-size"), rc_given = jopts_get(opts, "refcount-cache-size");

    if (!jopts_take_size(opts, "cache-size", &total, err) || !jopts_take_size(opts, "l2-cache-size", &l2, err) ||
        !jopts_take_size(opts, "refcount-cache-size", &rc, err) ||
        !jopts_take_size(opts, "l2-cache-entry-size", &ignored, err))
        return false;
    if (total != UINT64_MAX) {
        if (l2_given && rc_given)
            return error_set(err, "cache-size, l2-cache-size and refcount-cache-size may not be set at the same time");
        if (l2_given && l2 > total)
            return error_set(err, "l2-cache-size may not exceed cache-size");
        if (rc_given && rc > total)
            return error_set(err, "refcount-cache-size may not exceed cache-size");
        if (l2_given)
            rc = total - l2;
        else
            l2 = total - MIN(rc, total / 2);
    }
    if (l2 > INT32_MAX * UINT64_C(64) || rc > INT32_MAX * UINT64_C(64))
        return error_set(err, "L2 cache size too big");
    if (!l2_given)
        l2 = MIN(l2, MAX(whole, 64 * 1024));
    slice_cache_init(&q->l2c, l2 / q->slice_size);
    slice_cache_init(&q->rbc, rc / q->slice_size);
    return jopts_take_number(opts, "cache-clean-interval", &ignored, err);
}

static bool take_options(Qcow2 *q, json_t *opts, unsigned flags, GError **err)
{
    q->lazy_refcounts = q->compatible & COMPAT_LAZY_REFCOUNTS;
    q->discard_request = flags & OPEN_UNMAP;
    q->discard_snapshot = true;
    q->discard_other = false;
    if (!jopts_take_bool(opts, "lazy-refcounts", &q->lazy_refcounts, err) ||
        !jopts_take_bool(opts, "pass-discard-request", &q->discard_request, err) ||
        !jopts_take_bool(opts, "pass-discard-snapshot", &q->discard_snapshot, err) ||
        !jopts_take_bool(opts, "pass-discard-other", &q->discard_other, err))
        return false;
    if (q->version < 3 && q->lazy_refcounts)
        return error_set(err, "Lazy refcounts require a qcow2 image with at least qemu 1.1 compatibility level");
    return take_overlap(q, opts, err) && take_caches(q, opts, err);
}

/* ---- opening */

static bool open_data_file(Qcow2 *q, json_t *opts, GError **err)
{
    BlockNode *n = q->node;
    g_autofree char *path = NULL;
    bool wanted = q->incompatible & INCOMPAT_DATA_FILE;

    if (!wanted) {
        if (jopts_get(opts, "data-file") || jopts_has_prefix(opts, "data-file."))
            return error_set(err, "'data-file' can only be set for images with an external data file");
        return true;
    }
    if (q->data_file_name && !jopts_get(opts, "data-file") && !jopts_has_prefix(opts, "data-file.")) {
        path = backing_path(n->file->node->exact_filename, q->data_file_name, err);
        if (!path)
            return false;
    }
    q->data_file = node_open_child(n, path, opts, "data-file", ROLE_DATA, true, err);
    if (!q->data_file && !q->data_file_name && (n->flags & OPEN_NO_IO))
        return true;                    /* its metadata can be looked at */
    if (!q->data_file)
        return err && *err ? false : error_set(err, "'data-file' is required for this image");
    q->data_file_raw = q->autoclear & AUTOCLEAR_DATA_FILE_RAW;
    return true;
}

/* A program that did not know a feature has been here: what it stood for is stale. And we are such a program. */
static bool clear_unknown(Qcow2 *q, GError **err)
{
    uint64_t keep = q->autoclear & ((q->data_file ? AUTOCLEAR_DATA_FILE_RAW : 0) | (q->n_bitmaps ? AUTOCLEAR_BITMAPS : 0));
    int ret;

    if (keep == q->autoclear)
        return true;
    q->autoclear = keep;
    ret = qcow2_put_features(q);
    return ret == 0 || error_set_errno(err, ret, "Could not update qcow2 header");
}

/* Reference counts were not kept while the image was in use: count again. */
static bool repair_dirty(Qcow2 *q, GError **err)
{
    CheckResult r = { 0 };
    int ret;

    q->unrepaired = true;
    ret = qcow2_co_check(q->node, &r, FIX_ERRORS | FIX_LEAKS);

    if (ret < 0 || r.check_errors || (r.corruptions && r.corruptions > r.corruptions_fixed))
        return error_set_errno(err, ret < 0 ? ret : -EIO, "Could not repair dirty image");
    co_mutex_lock(&q->lock);
    ret = qcow2_clean(q);
    q->unrepaired = ret < 0;
    co_mutex_unlock(&q->lock);
    return ret == 0 || error_set_errno(err, ret, "Could not repair dirty image");
}

static bool put_in_order(Qcow2 *q, GError **err)
{
    return clear_unknown(q, err) && (!(q->incompatible & INCOMPAT_DIRTY) || repair_dirty(q, err)) &&
        qcow2_load_bitmaps(q, err);
}

static bool qcow2_open(BlockNode *n, json_t *opts, unsigned flags, GError **err)
{
    Qcow2 *q = n->state;

    q->node = n;
    q->pending = g_array_new(FALSE, FALSE, sizeof(PendingFree));
    if (!node_open_child(n, NULL, opts, "file", ROLE_IMAGE, false, err) || !qcow2_read_header(q, flags, err))
        return false;
    q->slice_size = MIN(q->cluster_size, 4096);
    if (!take_options(q, opts, flags, err) || !open_data_file(q, opts, err) || !qcow2_read_snapshots(q, err))
        return false;
    q->unrepaired = q->incompatible & INCOMPAT_DIRTY;
    if (flags & OPEN_CHECK)
        return true;
    if (n->read_only || block_is_inactive())
        return (flags & OPEN_NO_IO) || block_is_inactive() || qcow2_load_bitmaps(q, err);
    return put_in_order(q, err);
}

/* Everything in the image is as it should be for others to read it; nothing more is going to be written. */
static int write_all_back(BlockNode *n)
{
    Qcow2 *q = n->state;
    int ret, lost;

    if (!q->l2c.hash || n->broken || !node_writable(n))
        return 0;
    co_mutex_lock(&q->lock);
    lost = n->bitmaps || q->bitmaps_loaded ? qcow2_store_bitmaps(q) : 0;
    if (lost < 0 && !q->bitmaps_lost)
        error_report("Lost persistent bitmaps of node '%s': %s", n->name, g_strerror(-lost));
    q->bitmaps_lost = lost < 0;
    /* twice: what the first makes free is counted by the second */
    ret = qcow2_flush_locked(q);
    if (ret == 0 && (q->rbc.n_dirty || q->pending->len))
        ret = qcow2_flush_locked(q);
    /* after a repair that failed the counts are as bad as before */
    if (ret == 0 && q->lazy_refcounts && !q->unrepaired)
        ret = qcow2_clean(q);
    co_mutex_unlock(&q->lock);
    return ret < 0 ? ret : lost;
}

static bool qcow2_reopen(BlockNode *n, bool rw, GError **err)
{
    Qcow2 *q = n->state;
    int ret;

    if (rw && q->incompatible & INCOMPAT_CORRUPT)
        return error_set(err, "qcow2: Image is corrupt; cannot be opened read/write");
    if (rw)
        return put_in_order(q, err);
    ret = write_all_back(n);
    return ret == 0 || error_set_errno(err, ret, "Could not write back the metadata of '%s'", n->filename);
}

static void free_state(Qcow2 *q)
{
    slice_cache_free(&q->l2c);
    slice_cache_free(&q->rbc);
    qcow2_free_snapshots(q);
    free(q->l1);
    free(q->rt);
    free(q->unpacked);
    free(q->packed);
    g_free(q->l1_dirty);
    g_free(q->data_file_name);
    if (q->extensions)
        g_byte_array_free(q->extensions, TRUE);
    if (q->metadata)
        g_hash_table_destroy(q->metadata);
    if (q->pending)
        g_array_free(q->pending, TRUE);
}

static void qcow2_close(BlockNode *n)
{
    write_all_back(n);
    free_state(n->state);
}

/* ---- migration: another process has had the image */

static int qcow2_inactivate(BlockNode *n)
{
    return write_all_back(n);
}

/* Everything that was read from the file is read again; options and children stay. */
static bool qcow2_activate(BlockNode *n, GError **err)
{
    Qcow2 *q = n->state, old = *q;
    int64_t length = n->length, now;

    free_state(q);
    memset(q, 0, sizeof *q);
    node_bitmaps_drop_persistent(n);
    q->node = n;
    q->data_file = old.data_file;
    q->data_file_raw = old.data_file_raw;
    q->pending = g_array_new(FALSE, FALSE, sizeof(PendingFree));
    n->broken = true;                   /* unless all goes well */
    if (!qcow2_read_header(q, n->flags, err) || !qcow2_read_snapshots(q, err))
        return false;
    if (q->cluster_bits != old.cluster_bits || q->data_file_raw != (old.data_file_raw && q->data_file))
        return error_set(err, "qcow2: '%s' is another image than it was", n->filename);
    q->slice_size = old.slice_size;
    q->lazy_refcounts = old.lazy_refcounts;
    q->discard_request = old.discard_request;
    q->discard_snapshot = old.discard_snapshot;
    q->discard_other = old.discard_other;
    q->overlap_check = old.overlap_check;
    slice_cache_init(&q->l2c, old.l2c.max);
    slice_cache_init(&q->rbc, old.rbc.max);
    now = n->length;
    n->length = length;
    node_set_length(n, now);
    n->broken = false;
    return n->read_only || put_in_order(q, err);
}

static int qcow2_co_flush(BlockNode *n)
{
    Qcow2 *q = n->state;
    int ret;

    co_mutex_lock(&q->lock);
    ret = qcow2_flush_locked(q);
    co_mutex_unlock(&q->lock);
    return ret;
}

/* ---- about itself */

static void qcow2_limits(BlockNode *n)
{
    Qcow2 *q = n->state;

    n->limits.request_align = 1;
    n->limits.zero_align = UINT32_C(1) << q->sub_bits;
    n->limits.discard_align = q->cluster_size;
}

static bool qcow2_info(BlockNode *n, NodeInfo *info)
{
    Qcow2 *q = n->state;

    info->cluster_size = q->cluster_size;
    info->vm_state_offset = (int64_t)q->l1_vm_state_index << (q->cluster_bits + q->l2_bits);
    info->is_dirty = q->incompatible & INCOMPAT_DIRTY;
    return true;
}

static json_t *qcow2_specific_info(BlockNode *n)
{
    Qcow2 *q = n->state;
    json_t *d, *bitmaps;

    if (q->version == 2)
        d = json_pack("{s:s, s:i}", "compat", "0.10", "refcount-bits", (int)q->refcount_bits);
    else
        d = json_pack("{s:s, s:b, s:b, s:b, s:i}", "compat", "1.1", "lazy-refcounts",
                      !!(q->compatible & COMPAT_LAZY_REFCOUNTS), "corrupt", !!(q->incompatible & INCOMPAT_CORRUPT),
                      "extended-l2", (int)q->extended, "refcount-bits", (int)q->refcount_bits);
    json_object_set_new(d, "compression-type", json_string(q->compression_type ? "zstd" : "zlib"));
    if (q->data_file_name) {
        json_object_set_new(d, "data-file", json_string(q->data_file_name));
        json_object_set_new(d, "data-file-raw", json_boolean(q->data_file_raw));
    }
    bitmaps = qcow2_bitmap_list(q);
    if (bitmaps)
        json_object_set_new(d, "bitmaps", bitmaps);
    return json_pack("{s:s, s:o}", "type", "qcow2", "data", d);
}

static bool qcow2_set_backing(BlockNode *n, const char *file, const char *fmt, GError **err)
{
    Qcow2 *q = n->state;
    char *old_file = n->backing_file, *old_fmt = n->backing_format;
    int ret;

    if (file && strlen(file) > 1023)
        return error_set(err, "Backing file name too long");
    n->backing_file = file && *file ? g_strdup(file) : NULL;
    n->backing_format = fmt && *fmt && file && *file ? g_strdup(fmt) : NULL;
    ret = qcow2_rewrite_header(q, err);
    if (ret < 0) {
        g_free(n->backing_file);
        g_free(n->backing_format);
        n->backing_file = old_file;
        n->backing_format = old_fmt;
        return false;
    }
    g_free(old_file);
    g_free(old_fmt);
    return true;
}

static int qcow2_make_empty(BlockNode *n)
{
    Qcow2 *q = n->state;
    int ret;

    co_mutex_lock(&q->lock);
    ret = qcow2_discard_clusters(q, 0, cluster_round(q, n->length), true, FREE_REQUEST);
    if (ret == 0)
        ret = qcow2_flush_locked(q);
    co_mutex_unlock(&q->lock);
    return ret;
}

static int qcow2_co_vmstate(BlockNode *n, int64_t offset, const IoVec *v, size_t bytes, bool write)
{
    Qcow2 *q = n->state;
    int64_t start = (int64_t)q->l1_vm_state_index << (q->cluster_bits + q->l2_bits);
    int64_t length = n->length;
    int ret;

    if (offset < 0 || offset > INT64_MAX - start - (int64_t)bytes)
        return -EIO;
    if (v && !write)
        return qcow2_co_read(n, start + offset, bytes, v, 0, 0);
    /* edges of clusters there are not behind the end of anything */
    n->length = INT64_MAX;
    ret = v ? qcow2_co_write(n, start + offset, bytes, v, 0, 0) : qcow2_co_discard(n, start + offset, cluster_round(q, bytes));
    n->length = length;
    return ret;
}

const BlockDriver driver_qcow2 = {
    .name = "qcow2", .supports_backing = true, .state_size = sizeof(Qcow2), .create_opts = qcow2_create_opts,
    .probe = qcow2_probe, .open = qcow2_open, .reopen = qcow2_reopen, .close = qcow2_close, .create = qcow2_create,
    .co_read = qcow2_co_read, .co_write = qcow2_co_write, .co_zero = qcow2_co_zero, .co_discard = qcow2_co_discard,
    .co_flush = qcow2_co_flush, .co_truncate = qcow2_co_truncate, .co_status = qcow2_co_status,
    .refresh_limits = qcow2_limits, .info = qcow2_info, .specific_info = qcow2_specific_info,
    .zero_flags = BLK_MAY_UNMAP | BLK_EXPLICIT, .co_check = qcow2_co_check, .snapshot_list = qcow2_snapshot_list,
    .snapshot_create = qcow2_snapshot_create, .snapshot_goto = qcow2_snapshot_goto,
    .snapshot_delete = qcow2_snapshot_delete, .set_backing = qcow2_set_backing, .co_vmstate = qcow2_co_vmstate,
    .inactivate = qcow2_inactivate, .activate = qcow2_activate,
    .snapshot_load = qcow2_snapshot_load, .co_make_empty = qcow2_make_empty, .measure = qcow2_measure,
    .amend_opts = qcow2_amend_opts, .amend = qcow2_amend, .can_store_bitmaps = qcow2_can_store_bitmaps,
};
