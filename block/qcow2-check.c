/*
 * qcow2: checking and repairing.  What qcow2-count.c has counted is compared with the reference counts and with the
 * COPIED flags.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "block/qcow2-check-int.h"
#include "util/error.h"

/* ---- comparing */

static int set_count(Check *c, uint64_t cluster, uint64_t from, uint64_t to)
{
    int64_t left = (int64_t)to - (int64_t)from;
    int ret = 0;

    while (left && ret == 0) {
        int step = CLAMP(left, -65535, 65535);

        ret = qcow2_update_refcount(c->q, cluster << c->q->cluster_bits, 1, step);
        left -= step;
    }
    return ret;
}

static int compare_one(Check *c, uint64_t cluster)
{
    CheckResult *r = c->res;
    uint64_t is, want = check_counted(c, cluster);
    bool leak, fixable;
    int ret;

    if (cluster >= MAX(c->clusters, c->highest))
        return 0;                       /* behind the end of the file nothing is wasted */
    ret = qcow2_get_refcount(c->q, cluster, &is);
    if (ret < 0) {
        check_say(c, "Can't get refcount for cluster %" PRIu64 ": %s", cluster, g_strerror(-ret));
        r->check_errors++;
        return 0;
    }
    if (is || want)
        r->image_end_offset = (cluster + 1) << c->q->cluster_bits;
    if (is == want)
        return 0;
    leak = is > want;
    c->rebuild |= !is;
    fixable = is && (c->fix & (leak ? FIX_LEAKS : FIX_ERRORS));
    check_say(c, "%s cluster %" PRIu64 " refcount=%" PRIu64 " reference=%" PRIu64,
        fixable ? "Repairing" : leak ? "Leaked" : "ERROR", cluster, is, want);
    if (fixable && set_count(c, cluster, is, want) == 0)
        *(leak ? &r->leaks_fixed : &r->corruptions_fixed) += 1;
    else
        *(leak ? &r->leaks : &r->corruptions) += 1;
    return 0;
}

static int by_key(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static int compare_refcounts(Check *c)
{
    Qcow2 *q = c->q;
    unsigned block_bits = q->cluster_bits + 3 - q->refcount_order;
    g_autoptr(GArray) keys = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    GHashTableIter it;
    gpointer key;
    uint64_t per = (UINT64_C(1) << block_bits) / CHUNK, last = UINT64_MAX;
    int ret = 0;

    /* chunks that were counted or that a block covers */
    g_hash_table_iter_init(&it, c->chunks);
    while (g_hash_table_iter_next(&it, &key, NULL))
        g_array_append_val(keys, ((uint64_t){ (uint64_t)key }));
    for (uint64_t i = 0; i < q->rt_size; i++) {
        uint64_t first = (i << block_bits) / CHUNK;

        if (q->rt[i] & L1_OFFSET && !cluster_in(q, q->rt[i] & L1_OFFSET))
            for (uint64_t k = first; k < first + MAX(per, 1); k++)
                if (k * CHUNK < MAX(c->clusters, c->highest))
                    g_array_append_val(keys, k);
    }
    g_array_sort(keys, by_key);
    for (unsigned i = 0; i < keys->len && ret == 0; i++) {
        uint64_t k = g_array_index(keys, uint64_t, i);

        for (uint64_t j = 0; k != last && j < CHUNK && ret == 0; j++)
            ret = compare_one(c, k * CHUNK + j);
        last = k;
    }
    return ret;
}

/* ---- COPIED flags */

/* What the flag should be; false: it is right. */
static bool wrong_flag(Check *c, uint64_t entry, uint64_t offset, uint64_t *refs)
{
    if (qcow2_get_refcount(c->q, offset >> c->q->cluster_bits, refs) < 0)
        return false;
    return (*refs == 1) != !!(entry & COPIED);
}

static int check_l2_flags(Check *c, uint64_t table, uint64_t *buf)
{
    Qcow2 *q = c->q;
    bool dirty = false;
    uint64_t refs;
    int ret = node_co_pread(q->node->file, table, buf, q->cluster_size);

    for (uint32_t i = 0; i < q->l2_entries && ret == 0; i++) {
        unsigned at = i * (q->l2_entry_size / 8);
        uint64_t e = GUINT64_FROM_BE(buf[at]);
        ClusterType t = qcow2_entry_type(q, e);
        bool wrong;

        if (t != CL_NORMAL && t != CL_ZERO_ALLOC)
            continue;
        if (q->data_file) {
            refs = 1;
            wrong = !(e & COPIED);
        } else {
            wrong = wrong_flag(c, e, e & L2_OFFSET, &refs);
        }
        if (!wrong)
            continue;
        c->res->corruptions++;
        check_say(c, "%s OFLAG_COPIED data cluster: l2_entry=%" PRIx64 " refcount=%" PRIu64,
            c->fix & FIX_ERRORS ? "Repairing" : "ERROR", e, refs);
        if (c->fix & FIX_ERRORS) {
            buf[at] = GUINT64_TO_BE(refs == 1 ? e | COPIED : e & ~COPIED);
            dirty = true;
            c->res->corruptions--;
            c->res->corruptions_fixed++;
        }
    }
    if (ret == 0 && dirty) {
        slice_forget(q, &q->l2c, table, q->cluster_size);
        ret = node_co_pwrite(q->node->file, table, buf, q->cluster_size);
    }
    return ret;
}

static int check_flags(Check *c)
{
    Qcow2 *q = c->q;
    uint64_t *buf = block_try_memalign(q->cluster_size), refs;
    int ret = buf ? 0 : -ENOMEM;

    for (uint32_t i = 0; i < q->l1_size && ret == 0; i++) {
        uint64_t table = q->l1[i] & L1_OFFSET;

        if (!table || cluster_in(q, table))
            continue;
        if (wrong_flag(c, q->l1[i], table, &refs)) {
            check_say(c, "%s OFLAG_COPIED L2 cluster: l1_index=%" PRIu32 " l1_entry=%" PRIx64 " refcount=%" PRIu64,
                c->fix & FIX_ERRORS ? "Repairing" : "ERROR", i, q->l1[i], refs);
            if (c->fix & FIX_ERRORS) {
                qcow2_l1_set(q, i, refs == 1 ? q->l1[i] | COPIED : q->l1[i] & ~COPIED);
                c->res->corruptions_fixed++;
            } else {
                c->res->corruptions++;
            }
        }
        ret = check_l2_flags(c, table, buf);
    }
    free(buf);
    return ret;
}

/* ---- the whole */

static int look(Check *c, unsigned fix)
{
    unsigned wanted = c->fix;
    int ret;

    c->fix = fix;
    c->res->image_end_offset = 0;
    ret = compare_refcounts(c);
    c->fix = wanted;
    return ret;
}

static void restart(Check *c)
{
    CheckResult *r = c->res;

    g_hash_table_remove_all(c->chunks);
    r->corruptions = r->leaks = 0;
    r->allocated_clusters = r->fragmented_clusters = r->compressed_clusters = 0;
    c->last_data = 0;
    c->rebuild = false;
}

/* The tables of counts anew; then what the old ones took is free. */
static int rebuild(Check *c)
{
    CheckResult *r = c->res;
    int64_t corruptions = r->corruptions, leaks = r->leaks, fixed = r->leaks_fixed;
    int ret;

    check_say(c, "Rebuilding refcount structure");
    ret = qcow2_rebuild_refcounts(c->q, c->chunks, MAX(c->clusters, c->highest));
    if (ret < 0)
        return ret;
    c->clusters = size_to_clusters(c->q, node_length(c->q->node->file->node));
    restart(c);
    ret = check_count_all(c);
    if (ret == 0)
        ret = look(c, FIX_LEAKS);
    r->leaks_fixed = fixed + MAX(leaks - r->leaks, 0);
    r->corruptions_fixed += MAX(corruptions - r->corruptions, 0);
    return ret;
}

static int repair(Check *c)
{
    CheckResult *r = c->res;

    if (c->rebuild && c->fix & FIX_ERRORS)
        return rebuild(c);
    if (!c->fix)
        return 0;
    if (c->rebuild) {
        check_say(c, "ERROR need to rebuild refcount structures");
        return -EIO;
    }
    if (!r->leaks && !r->corruptions)
        return 0;
    r->leaks = r->corruptions = 0;
    return look(c, c->fix);
}

static int repair_end(Check *c)
{
    Qcow2 *q = c->q;
    int ret = qcow2_flush_locked(q);

    if (ret == 0 && !c->res->corruptions && !c->res->check_errors && (c->fix & FIX_ERRORS)) {
        ret = qcow2_clean(q);
        q->unrepaired &= ret < 0;
        if (ret == 0 && q->incompatible & INCOMPAT_CORRUPT) {
            q->incompatible &= ~(uint64_t)INCOMPAT_CORRUPT;
            ret = qcow2_put_features(q);
        }
    }
    return ret;
}

int qcow2_co_check(BlockNode *n, CheckResult *res, unsigned fix)
{
    Qcow2 *q = n->state;
    Check c = { .q = q, .res = res, .fix = n->read_only ? 0 : fix };
    int64_t size = node_length(n->file->node);
    int ret;

    if (size < 0)
        return size;
    co_mutex_lock(&q->lock);
    c.clusters = size_to_clusters(q, size);
    c.chunks = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    res->total_clusters = size_to_clusters(q, n->length);
    ret = n->read_only ? 0 : qcow2_write_back(q);
    if (ret == 0)
        ret = check_count_all(&c);
    if (ret == 0)
        ret = look(&c, 0);
    if (ret == 0)
        ret = repair(&c);
    if (ret == 0)
        ret = check_flags(&c);
    if (ret == 0 && c.fix)
        ret = repair_end(&c);
    co_mutex_unlock(&q->lock);
    g_hash_table_destroy(c.chunks);
    return ret;
}

/* ---- another width */

static bool counts_fit(Check *c, unsigned order, GError **err)
{
    uint64_t max = order >= 6 ? UINT64_MAX : (UINT64_C(1) << (1u << order)) - 1;
    GHashTableIter it;
    gpointer key, value;

    g_hash_table_iter_init(&it, c->chunks);
    while (g_hash_table_iter_next(&it, &key, &value)) {
        const uint32_t *n = value;

        for (unsigned i = 0; i < CHUNK; i++)
            if (n[i] > max)
                return error_set(err, "Cannot decrease refcount entry width to %u bits: Cluster at offset %#" PRIx64
                                 " has a refcount of %" PRIu32, 1u << order,
                                 ((uint64_t)key * CHUNK + i) << c->q->cluster_bits, n[i]);
    }
    return true;
}

static void set_order(Qcow2 *q, unsigned order)
{
    q->refcount_order = order;
    q->refcount_bits = 1u << order;
    q->refcount_max = order == 6 ? (uint64_t)INT64_MAX : (UINT64_C(1) << q->refcount_bits) - 1;
}

/* What the old table and its blocks took. */
static int free_structure(Qcow2 *q, const uint64_t *rt, uint64_t offset, uint32_t size)
{
    int ret = 0;

    for (uint32_t i = 0; i < size && ret == 0; i++)
        if (rt[i] & L1_OFFSET)
            ret = qcow2_free_now(q, rt[i] & L1_OFFSET, q->cluster_size, FREE_OTHER);
    return ret < 0 ? ret : qcow2_free_now(q, offset, size * UINT64_C(8), FREE_OTHER);
}

static int change_order(Check *c, unsigned order, GError **err)
{
    Qcow2 *q = c->q;
    unsigned was = q->refcount_order;
    uint64_t offset = q->rt_offset;
    uint32_t size = q->rt_size;
    g_autofree uint64_t *rt = g_memdup2(q->rt, size * sizeof(*rt));
    int ret = qcow2_clean(q);

    if (ret == 0)
        ret = check_count_all(c);
    if (ret == 0 && (c->res->corruptions || c->res->check_errors))
        return error_set(err, "The image has errors: run 'check -r all' first"), -EIO;
    if (ret < 0 || !counts_fit(c, order, err))
        return ret < 0 ? ret : -ENOTSUP;
    set_order(q, order);
    ret = qcow2_rebuild_refcounts(q, c->chunks, MAX(c->clusters, c->highest));
    if (ret < 0) {
        set_order(q, was);
        slice_cache_drop(q, &q->rbc);
        return ret;
    }
    ret = free_structure(q, rt, offset, size);
    return ret < 0 ? ret : qcow2_flush_locked(q);
}

int qcow2_change_refcount_order(Qcow2 *q, unsigned order, GError **err)
{
    int64_t size = node_length(q->node->file->node);
    CheckResult res = { 0 };
    Check c = { .q = q, .res = &res };
    int ret;

    if (size < 0)
        return size;
    co_mutex_lock(&q->lock);
    c.clusters = size_to_clusters(q, size);
    c.chunks = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    ret = change_order(&c, order, err);
    co_mutex_unlock(&q->lock);
    g_hash_table_destroy(c.chunks);
    return ret;
}
