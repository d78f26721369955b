/*
 * qcow2: taking, applying and deleting internal snapshots.
 *
 * A snapshot is a copy of L1; all that both tables reach counts one more.  Counts rise before the header points to
 * something new and fall after it has let go of something old; the header's fields change in one write.  While flags
 * are behind the counts a version 3 image is marked dirty, so that the next program to open it counts again.
 *
 * Nothing is in flight while these run.
 */
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include "block/qcow2.h"
#include "util/error.h"

/* ---- everything that an L1 table reaches */

static int count_entry(Qcow2 *q, uint64_t entry, int delta)
{
    uint64_t offset = entry & L2_OFFSET, bytes = q->cluster_size;
    uint32_t n;

    switch (qcow2_entry_type(q, entry)) {
    case CL_COMPRESSED:
        qcow2_compressed_range(q, entry, &offset, &n);
        bytes = n;
        break;
    case CL_NORMAL:
    case CL_ZERO_ALLOC:
        if (q->data_file || cluster_in(q, offset))
            return 0;
        break;
    default:
        return 0;
    }
    if (delta < 0)
        return qcow2_free_now(q, offset, bytes, FREE_SNAPSHOT);
    return delta ? qcow2_update_refcount(q, offset, bytes, delta) : 0;
}

/* What becomes of the COPIED flags of the active table. */
typedef enum Flags { FLAGS_KEEP, FLAGS_CLEAR, FLAGS_RIGHT } Flags;

/* The COPIED flag that entry should have. */
static int right_flag(Qcow2 *q, uint64_t *entry, uint64_t offset, Flags flags)
{
    uint64_t refs = 0;
    int ret = flags == FLAGS_RIGHT ? qcow2_get_refcount(q, offset >> q->cluster_bits, &refs) : 0;

    if (ret == 0)
        *entry = refs == 1 ? *entry | COPIED : *entry & ~COPIED;
    return ret;
}

static int walk_slice(Qcow2 *q, uint64_t offset, int delta, Flags flags)
{
    Slice *s;
    int ret = slice_get(q, &q->l2c, offset, &s);

    if (ret < 0)
        return ret;
    for (unsigned i = 0; ret == 0 && i < slice_entries(q); i++) {
        uint64_t be, e, old;
        ClusterType t;

        memcpy(&be, s->data + i * q->l2_entry_size, 8);
        e = old = GUINT64_FROM_BE(be);
        if (!e)
            continue;
        ret = count_entry(q, e, delta);
        t = qcow2_entry_type(q, e);
        if (ret == 0 && flags && !q->data_file && (t == CL_NORMAL || t == CL_ZERO_ALLOC) && !cluster_in(q, e & L2_OFFSET))
            ret = right_flag(q, &e, e & L2_OFFSET, flags);
        if (ret == 0 && e != old) {
            be = GUINT64_TO_BE(e);
            memcpy(s->data + i * q->l2_entry_size, &be, 8);
            slice_dirty(&q->l2c, s);
        }
    }
    slice_put(s);
    return ret;
}

/* delta to the counts of all clusters below l1; flags: not FLAGS_KEEP only when l1 is the active one. */
static int walk(Qcow2 *q, const uint64_t *l1, uint32_t size, int delta, Flags flags)
{
    int ret = 0;

    for (uint32_t i = 0; i < size && ret == 0; i++) {
        uint64_t e = l1[i], table = e & L1_OFFSET;

        if (!table)
            continue;
        if (cluster_in(q, table))
            return -EIO;
        for (uint64_t o = 0; o < q->cluster_size && ret == 0; o += q->slice_size)
            ret = walk_slice(q, table + o, delta, flags);
        if (ret == 0 && delta < 0)
            ret = qcow2_free_now(q, table, q->cluster_size, FREE_SNAPSHOT);
        else if (ret == 0 && delta)
            ret = qcow2_update_refcount(q, table, q->cluster_size, delta);
        if (ret == 0 && flags)
            ret = right_flag(q, &e, table, flags);
        if (ret == 0 && flags && e != l1[i])
            qcow2_l1_set(q, i, e);
    }
    return ret;
}

/* ---- tables */

static uint64_t *load_l1(Qcow2 *q, uint64_t offset, uint32_t size, uint32_t room, int *ret)
{
    uint64_t *l1 = block_try_memalign(MAX(room, 1) * UINT64_C(8));

    if (!l1) {
        *ret = -ENOMEM;
        return NULL;
    }
    memset(l1, 0, room * UINT64_C(8));
    *ret = size ? node_co_pread(q->node->file, offset, l1, size * UINT64_C(8)) : 0;
    for (uint32_t i = 0; i < size; i++)
        l1[i] = GUINT64_FROM_BE(l1[i]) & ~COPIED;
    return l1;
}

/* A copy in new clusters, without flags; its offset. */
static int64_t store_l1(Qcow2 *q, const uint64_t *l1, uint32_t size)
{
    uint64_t *be = block_try_memalign(MAX(size, 1) * UINT64_C(8));
    int64_t offset = be ? qcow2_alloc_clusters(q, size_to_clusters(q, MAX(size, 1) * UINT64_C(8)), true, NULL, NULL)
                        : -ENOMEM;
    int ret = 0;

    for (uint32_t i = 0; be && i < size; i++)
        be[i] = GUINT64_TO_BE(l1[i] & ~COPIED);
    if (offset >= 0 && size)
        ret = node_co_pwrite(q->node->file, offset, be, size * UINT64_C(8));
    free(be);
    return ret < 0 ? ret : offset;
}

/* Writes the table of snapshots as it is in memory to a new place and points the header there. */
static int store_table(Qcow2 *q)
{
    struct __attribute__((packed)) { uint32_t n; uint64_t offset; } h;
    uint64_t old = q->snapshots_offset, old_bytes = q->snapshots_bytes;
    g_autoptr(GByteArray) b = qcow2_pack_snapshots(q);
    int64_t offset = 0;
    int ret = 0;

    if (b->len) {
        offset = qcow2_alloc_clusters(q, size_to_clusters(q, b->len), true, NULL, NULL);
        ret = offset < 0 ? (int)offset : node_co_pwrite(q->node->file, offset, b->data, b->len);
    }
    if (ret == 0)
        ret = qcow2_flush_locked(q);
    if (ret < 0)
        return ret;
    h.n = GUINT32_TO_BE(q->n_snapshots);
    h.offset = GUINT64_TO_BE(offset);
    ret = qcow2_header_put(q, offsetof(QcowHeader, nb_snapshots), &h, sizeof(h));
    if (ret < 0)
        return ret;
    q->snapshots_offset = offset;
    q->snapshots_bytes = b->len;
    return qcow2_free_now(q, old, old_bytes, FREE_SNAPSHOT);
}

static int set_dirty(Qcow2 *q, bool on)
{
    if (q->version < 3)
        return 0;
    if (!on)
        return qcow2_clean(q);
    q->incompatible |= INCOMPAT_DIRTY;
    return qcow2_put_features(q);
}

static void forget_all(Qcow2 *q)
{
    q->unpacked_entry = 0;
    q->partial = 0;
    g_clear_pointer(&q->metadata, g_hash_table_destroy);
}

/* By id, else by name. */
static int find(Qcow2 *q, const char *what)
{
    for (uint32_t i = 0; i < q->n_snapshots; i++)
        if (!strcmp(q->snapshots[i].id, what))
            return i;
    for (uint32_t i = 0; i < q->n_snapshots; i++)
        if (!strcmp(q->snapshots[i].name, what))
            return i;
    return -1;
}

/* ---- create */

static char *new_id(Qcow2 *q)
{
    uint64_t max = 0;

    for (uint32_t i = 0; i < q->n_snapshots; i++)
        max = MAX(max, g_ascii_strtoull(q->snapshots[i].id, NULL, 10));
    return g_strdup_printf("%" PRIu64, max + 1);
}

static int create_locked(Qcow2 *q, const SnapshotInfo *sn)
{
    Snapshot *s;
    int64_t l1;
    int ret = qcow2_flush_locked(q);

    if (ret < 0)
        return ret;
    if (q->n_snapshots >= MAX_SNAPSHOTS)
        return -EFBIG;
    l1 = store_l1(q, q->l1, q->l1_size);
    ret = l1 < 0 ? (int)l1 : set_dirty(q, true);
    if (ret == 0 && q->version < 3) {   /* has no bit that says "dirty" */
        ret = walk(q, q->l1, q->l1_size, 0, FLAGS_CLEAR);
        if (ret == 0)
            ret = qcow2_flush_locked(q);
    }
    if (ret == 0)
        ret = walk(q, q->l1, q->l1_size, 1, FLAGS_KEEP);
    if (ret == 0)
        ret = walk(q, q->l1, q->l1_size, 0, FLAGS_RIGHT);
    if (ret < 0)
        return ret;
    q->snapshots = g_renew(Snapshot, q->snapshots, q->n_snapshots + 1);
    s = &q->snapshots[q->n_snapshots];
    *s = (Snapshot){ .l1_offset = l1, .l1_size = q->l1_size, .id = new_id(q), .name = g_strdup(sn->name),
                     .disk_size = q->node->length, .vm_state_size = sn->vm_state_size, .vm_clock_ns = sn->vm_clock_ns,
                     .icount = sn->icount, .date_sec = sn->date_sec, .date_nsec = sn->date_nsec };
    q->n_snapshots++;
    ret = store_table(q);
    forget_all(q);
    if (ret < 0) {
        q->n_snapshots--;
        g_free(s->id);
        g_free(s->name);
    }
    return ret == 0 ? set_dirty(q, false) : ret;
}

bool qcow2_snapshot_create(BlockNode *n, const SnapshotInfo *sn, GError **err)
{
    Qcow2 *q = n->state;
    int ret;

    if (q->data_file)
        return error_set(err, "Cannot take snapshots of images with an external data file");
    co_mutex_lock(&q->lock);
    ret = create_locked(q, sn);
    co_mutex_unlock(&q->lock);
    return ret == 0 || error_set(err, "%d (%s)", ret, g_strerror(-ret));
}

/* ---- apply */

/* size, l1_size and l1_table_offset of the header stand together (with the encryption method between). */
static int switch_l1(Qcow2 *q, uint64_t disk_size, uint64_t *l1, uint32_t size, int64_t offset)
{
    struct __attribute__((packed)) { uint64_t size; uint32_t crypt, l1_size; uint64_t l1_offset; } h = {
        GUINT64_TO_BE(disk_size), 0, GUINT32_TO_BE(size), GUINT64_TO_BE(offset) };
    uint64_t *old = q->l1, old_offset = q->l1_offset;
    uint32_t old_size = q->l1_size;
    int ret = qcow2_header_put(q, offsetof(QcowHeader, size), &h, sizeof(h));

    if (ret < 0)
        return ret;
    q->l1 = l1;
    q->l1_size = size;
    q->l1_offset = offset;
    q->l1_vm_state_index = size_to_l1(q, disk_size);
    node_set_length(q->node, disk_size);
    ret = walk(q, old, old_size, -1, FLAGS_KEEP);
    free(old);
    if (ret == 0)
        ret = qcow2_free_now(q, old_offset, old_size * UINT64_C(8), FREE_SNAPSHOT);
    if (ret == 0)
        ret = walk(q, q->l1, q->l1_size, 0, FLAGS_RIGHT);
    return ret;
}

static int goto_locked(Qcow2 *q, const Snapshot *s)
{
    uint32_t size = MAX(s->l1_size, size_to_l1(q, s->disk_size));
    uint64_t *l1;
    int64_t offset;
    int ret = size > MAX_L1_BYTES / 8 ? -EFBIG : qcow2_flush_locked(q);

    l1 = ret == 0 ? load_l1(q, s->l1_offset, s->l1_size, size, &ret) : NULL;
    if (ret == 0)
        ret = set_dirty(q, true);
    if (ret == 0)
        ret = walk(q, l1, size, 1, FLAGS_KEEP);
    offset = ret == 0 ? store_l1(q, l1, size) : ret;
    ret = offset < 0 ? (int)offset : qcow2_flush_locked(q);
    if (ret == 0)
        ret = switch_l1(q, s->disk_size, l1, size, offset);
    if (q->l1 != l1)
        free(l1);
    forget_all(q);
    if (ret == 0)
        ret = qcow2_flush_locked(q);
    return ret == 0 ? set_dirty(q, false) : ret;
}

bool qcow2_snapshot_goto(BlockNode *n, const char *id_or_name, GError **err)
{
    Qcow2 *q = n->state;
    int i, ret;

    if (q->data_file)
        return error_set(err, "Cannot apply snapshots of images with an external data file");
    co_mutex_lock(&q->lock);
    i = find(q, id_or_name);
    ret = i < 0 ? -ENOENT : goto_locked(q, &q->snapshots[i]);
    co_mutex_unlock(&q->lock);
    return ret == 0 || error_set_errno(err, ret, "Failed to load snapshot");
}

/* ---- delete */

static int delete_locked(Qcow2 *q, int i)
{
    Snapshot s = q->snapshots[i];
    uint64_t *l1;
    int ret = qcow2_flush_locked(q);

    l1 = ret == 0 ? load_l1(q, s.l1_offset, s.l1_size, s.l1_size, &ret) : NULL;
    if (ret == 0)
        ret = set_dirty(q, true);
    if (ret < 0) {
        free(l1);
        return ret;
    }
    memmove(q->snapshots + i, q->snapshots + i + 1, (q->n_snapshots - i - 1) * sizeof(s));
    q->n_snapshots--;
    ret = store_table(q);
    if (ret < 0) {
        memmove(q->snapshots + i + 1, q->snapshots + i, (q->n_snapshots - i) * sizeof(s));
        q->snapshots[i] = s;
        q->n_snapshots++;
        free(l1);
        return ret;
    }
    ret = walk(q, l1, s.l1_size, -1, FLAGS_KEEP);
    free(l1);
    g_free(s.id);
    g_free(s.name);
    g_free(s.unknown);
    if (ret == 0)
        ret = qcow2_free_now(q, s.l1_offset, s.l1_size * UINT64_C(8), FREE_SNAPSHOT);
    if (ret == 0)
        ret = walk(q, q->l1, q->l1_size, 0, FLAGS_RIGHT);
    forget_all(q);
    if (ret == 0)
        ret = qcow2_flush_locked(q);
    return ret == 0 ? set_dirty(q, false) : ret;
}

bool qcow2_snapshot_delete(BlockNode *n, const char *id_or_name, GError **err)
{
    Qcow2 *q = n->state;
    int i, ret;

    co_mutex_lock(&q->lock);
    i = find(q, id_or_name);
    ret = i < 0 ? 0 : delete_locked(q, i);
    co_mutex_unlock(&q->lock);
    if (i < 0)
        return error_set(err, "snapshot not found");
    return ret == 0 || error_set_errno(err, ret, "Failed to free the cluster and L1 table");
}

/* ---- load */

static int find_exactly(Qcow2 *q, const char *id, const char *name)
{
    for (uint32_t i = 0; i < q->n_snapshots; i++)
        if ((!id || !strcmp(q->snapshots[i].id, id)) && (!name || !strcmp(q->snapshots[i].name, name)))
            return i;
    return -1;
}

bool qcow2_snapshot_load(BlockNode *n, const char *id, const char *name, GError **err)
{
    Qcow2 *q = n->state;
    int i = find_exactly(q, id, name), ret = 0;
    uint64_t *l1;
    const Snapshot *s;
    uint32_t size;

    if (!n->read_only)
        return error_set(err, "Snapshots can only be loaded from images that are read-only");
    if (i < 0)
        return error_set(err, "Can't find snapshot");
    s = &q->snapshots[i];
    size = MAX(s->l1_size, size_to_l1(q, s->disk_size));
    l1 = size <= MAX_L1_BYTES / 8 ? load_l1(q, s->l1_offset, s->l1_size, size, &ret) : NULL;
    if (!l1 || ret < 0) {
        free(l1);
        return error_set(err, "Failed to read L1 table for snapshot");
    }
    free(q->l1);
    q->l1 = l1;
    q->l1_size = size;
    q->l1_offset = s->l1_offset;
    q->l1_vm_state_index = size_to_l1(q, s->disk_size);
    forget_all(q);
    node_set_length(n, s->disk_size);
    return true;
}
