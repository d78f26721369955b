/*
 * qcow2: from guest offsets to clusters of the file: look-up, allocation, linking.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "block/qcow2-map-int.h"

ClusterType qcow2_entry_type(const Qcow2 *q, uint64_t entry)
{
    if (entry & COMPRESSED)
        return CL_COMPRESSED;
    if ((entry & ZERO) && q->version >= 3 && !q->extended)
        return entry & L2_OFFSET || (q->data_file && (entry & COPIED)) ? CL_ZERO_ALLOC : CL_ZERO_PLAIN;
    /* in an external data file, offset 0 is a place like any other */
    return entry & L2_OFFSET || (q->data_file && (entry & COPIED)) ? CL_NORMAL : CL_UNALLOCATED;
}

ClusterType qcow2_sub_type(const Qcow2 *q, uint64_t entry, uint64_t bits, unsigned sub)
{
    ClusterType whole = qcow2_entry_type(q, entry);
    bool there = bits >> sub & 1, zero = bits >> (32 + sub) & 1;

    if (!q->extended || whole == CL_COMPRESSED)
        return whole;
    if (there && (zero || whole == CL_UNALLOCATED))
        return CL_INVALID;
    if (whole == CL_UNALLOCATED)
        return zero ? CL_ZERO_PLAIN : CL_UNALLOCATED;
    return there ? CL_NORMAL : zero ? CL_ZERO_ALLOC : CL_UNALLOCATED_HOST;
}

static int bad_table(Qcow2 *q, uint64_t table, uint32_t l1)
{
    qcow2_corrupt(q, true, -1, -1, "L2 table offset %#" PRIx64 " unaligned (L1 index: %#" PRIx32 ")", table, l1);
    return -EIO;
}

static int bad_entry(Qcow2 *q, uint64_t entry, const Slice *s, unsigned index)
{
    qcow2_corrupt(q, true, -1, -1, "Cluster allocation offset %#" PRIx64 " unaligned (L2 offset: %#" PRIx64
                  ", L2 index: %#x)", entry & L2_OFFSET, s->offset, index);
    return -EIO;
}

/* ---- look-up */

/* Type of what lies at byte `in` of the cluster; true: it can be told. */
static ClusterType type_at(const Qcow2 *q, const Slice *s, unsigned index, uint64_t in)
{
    return qcow2_sub_type(q, entry_get(q, s, index), bits_get(q, s, index), in >> q->sub_bits);
}

static bool has_place(ClusterType t)
{
    return t == CL_NORMAL || t == CL_ZERO_ALLOC || t == CL_UNALLOCATED_HOST;
}

/* How many bytes from the first on are alike: same type, and contiguous where that means something. */
static uint64_t count_alike(Qcow2 *q, const Slice *s, unsigned index, uint64_t in, uint64_t bytes, ClusterType type)
{
    uint64_t place = entry_get(q, s, index) & L2_OFFSET, sub = UINT64_C(1) << q->sub_bits, at = in, end = in + bytes;

    end = MIN(end, (uint64_t)(slice_entries(q) - index) << q->cluster_bits);
    if (type == CL_COMPRESSED)
        end = MIN(end, q->cluster_size);
    while (at < end) {
        unsigned i = at >> q->cluster_bits;

        if (type_at(q, s, index + i, cluster_in(q, at)) != type)
            break;
        if (i && has_place(type) && !cluster_in(q, at) &&
            (entry_get(q, s, index + i) & L2_OFFSET) != place + ((uint64_t)i << q->cluster_bits))
            break;
        at = (at + sub) & ~(sub - 1);
    }
    return MIN(at, end) - in;
}

static int lookup_slice(Qcow2 *q, Slice *s, unsigned index, uint64_t offset, uint64_t *bytes, uint64_t *host,
                        ClusterType *type)
{
    uint64_t in = cluster_in(q, offset), e = entry_get(q, s, index);

    *type = type_at(q, s, index, in);
    if (*type == CL_INVALID) {
        qcow2_corrupt(q, true, -1, -1, "Invalid cluster entry found (L2 offset: %#" PRIx64 ", L2 index: %#x)", s->offset,
                      index);
        return -EIO;
    }
    if (has_place(*type)) {
        if (cluster_in(q, e & L2_OFFSET))
            return bad_entry(q, e, s, index);
        *host = (e & L2_OFFSET) + in;
    } else {
        *host = e;
    }
    *bytes = count_alike(q, s, index, in, *bytes, *type);
    return 0;
}

int qcow2_lookup(Qcow2 *q, uint64_t offset, uint64_t *bytes, uint64_t *host, ClusterType *type)
{
    uint64_t span = UINT64_C(1) << (q->cluster_bits + q->l2_bits), table, at;
    uint32_t l1 = l1_index(q, offset);
    unsigned index;
    Slice *s;
    int ret;

    *bytes = MIN(*bytes, span - (offset & (span - 1)));
    *host = 0;
    *type = CL_UNALLOCATED;
    if (l1 >= q->l1_size || !(q->l1[l1] & L1_OFFSET))
        return 0;
    table = q->l1[l1] & L1_OFFSET;
    if (cluster_in(q, table))
        return bad_table(q, table, l1);
    at = slice_of(q, table, offset, &index);
    s = slice_peek(q, &q->l2c, at);
    if (s)
        return lookup_slice(q, s, index, offset, bytes, host, type);
    co_mutex_lock(&q->lock);
    /* L1 may have changed while we waited */
    table = q->l1[l1] & L1_OFFSET;
    at = slice_of(q, table, offset, &index);
    ret = table ? slice_get(q, &q->l2c, at, &s) : 0;
    if (ret == 0 && table) {
        ret = lookup_slice(q, s, index, offset, bytes, host, type);
        slice_put(s);
    }
    co_mutex_unlock(&q->lock);
    return ret;
}

/* [from, to) of the cluster may be overwritten in place without telling L2. */
static bool in_place(const Qcow2 *q, const Slice *s, unsigned index, uint64_t from, uint64_t to)
{
    uint64_t e = entry_get(q, s, index), mask;

    if (!(e & COPIED) || qcow2_entry_type(q, e) != CL_NORMAL)
        return false;
    mask = q->extended ? sub_mask(q, from, to) : 0;
    return !q->extended || (bits_get(q, s, index) & (mask | mask << 32)) == mask;
}

/* How many clusters from index on, contiguous in the file, may be overwritten in place by bytes from `in` on. */
static unsigned count_in_place(const Qcow2 *q, const Slice *s, unsigned index, unsigned max, uint64_t in, uint64_t bytes)
{
    uint64_t place = entry_get(q, s, index) & L2_OFFSET;
    unsigned n = 0;

    for (; n < max; n++) {
        uint64_t from = n ? 0 : in, to = MIN(q->cluster_size, in + bytes - ((uint64_t)n << q->cluster_bits));

        if (!in_place(q, s, index + n, from, to) ||
            (entry_get(q, s, index + n) & L2_OFFSET) != place + ((uint64_t)n << q->cluster_bits))
            break;
    }
    return n;
}

bool qcow2_map_fast(Qcow2 *q, uint64_t offset, uint64_t *bytes, uint64_t *host)
{
    uint64_t in = cluster_in(q, offset), first;
    uint32_t l1 = l1_index(q, offset);
    unsigned index, n;
    Slice *s;

    if (q->allocs || l1 >= q->l1_size || !(q->l1[l1] & COPIED) || cluster_in(q, q->l1[l1] & L1_OFFSET) ||
        !(q->l1[l1] & L1_OFFSET))
        return false;
    s = slice_peek(q, &q->l2c, slice_of(q, q->l1[l1] & L1_OFFSET, offset, &index));
    if (!s)
        return false;
    first = entry_get(q, s, index);
    if (cluster_in(q, first & L2_OFFSET))
        return false;
    n = count_in_place(q, s, index, MIN(size_to_clusters(q, in + *bytes), slice_entries(q) - index), in, *bytes);
    for (unsigned i = 0; i < n && !q->data_file && q->overlap_check; i++)
        if (!q->metadata || g_hash_table_lookup(q->metadata, (gpointer)(((first & L2_OFFSET) >> q->cluster_bits) + i)))
            return false;               /* let the other way complain */
    if (!n)
        return false;
    *bytes = MIN(*bytes, (uint64_t)n * q->cluster_size - in);
    *host = (first & L2_OFFSET) + in;
    return true;
}

/* ---- L2 tables for writing */

/* A new table is written at once, though it may read as zeroes as it is: later there may be no space for it, and the data of
 * completed writes would have no place in the image. */
static int copy_table(Qcow2 *q, uint64_t from, uint64_t to)
{
    uint8_t *buf = block_try_memalign(q->cluster_size);
    int ret;

    if (!buf)
        return -ENOMEM;
    memset(buf, 0, q->cluster_size);
    ret = from ? node_co_pread(q->node->file, from, buf, q->cluster_size) : 0;
    if (ret == 0)
        ret = node_co_pwrite(q->node->file, to, buf, q->cluster_size);
    free(buf);
    return ret;
}

/* A table of our own for the L1 entry: a new one, or a copy of one that a snapshot has too. */
static int own_table(Qcow2 *q, uint32_t l1, uint64_t *table)
{
    uint64_t old = q->l1[l1] & L1_OFFSET;
    int64_t fresh;
    int ret;

    if (cluster_in(q, old))
        return bad_table(q, old, l1);
    fresh = qcow2_alloc_clusters(q, 1, true, NULL, NULL);
    if (fresh < 0)
        return fresh;
    slice_forget(q, &q->l2c, fresh, q->cluster_size);
    ret = copy_table(q, old, fresh);
    if (ret < 0) {
        qcow2_free_now(q, fresh, q->cluster_size, FREE_OTHER);
        return ret;
    }
    qcow2_l1_set(q, l1, (uint64_t)fresh | COPIED);
    qcow2_metadata_add(q, fresh, q->cluster_size, "active L2 table");
    if (old) {
        qcow2_metadata_del(q, old, q->cluster_size);
        slice_forget(q, &q->l2c, old, q->cluster_size);
        qcow2_free_later(q, old, q->cluster_size, FREE_OTHER);
    }
    *table = fresh;
    return 0;
}

int qcow2_l2_for_write(Qcow2 *q, uint64_t offset, Slice **slice, unsigned *index)
{
    uint32_t l1 = l1_index(q, offset);
    uint64_t table;
    int ret = 0;

    if (l1 >= q->l1_size) {
        ret = qcow2_grow_l1(q, l1 + UINT64_C(1), false);
        if (ret < 0)
            return ret;
    }
    table = q->l1[l1] & L1_OFFSET;
    if (!table || !(q->l1[l1] & COPIED))
        ret = own_table(q, l1, &table);
    else if (cluster_in(q, table))
        ret = bad_table(q, table, l1);
    if (ret < 0)
        return ret;
    return slice_get(q, &q->l2c, slice_of(q, table, offset, index), slice);
}

/* ---- allocation */

void qcow2_wait_allocs(Qcow2 *q, uint64_t start, uint64_t end)
{
    Alloc *a;

again:
    for (a = q->allocs; a; a = a->next) {
        if (a->guest < end && start < a->guest + a->bytes) {
            co_mutex_unlock(&q->lock);
            co_queue_wait(&a->waiters);
            co_mutex_lock(&q->lock);
            goto again;
        }
    }
}

/* Waits for those that touch the first cluster; shortens *bytes to end before the others. */
static void avoid_allocs(Qcow2 *q, uint64_t offset, uint64_t *bytes)
{
    uint64_t start = cluster_start(q, offset);

    qcow2_wait_allocs(q, start, start + q->cluster_size);
    for (Alloc *a = q->allocs; a; a = a->next)
        if (a->guest > offset && a->guest < offset + *bytes)
            *bytes = a->guest - offset;
}

static int map_in_place(Qcow2 *q, Slice *s, unsigned index, unsigned max, uint64_t in, uint64_t *bytes, uint64_t *host)
{
    uint64_t e = entry_get(q, s, index);
    unsigned n;

    if (cluster_in(q, e & L2_OFFSET))
        return bad_entry(q, e, s, index);
    n = count_in_place(q, s, index, max, in, *bytes);
    *bytes = MIN(*bytes, (uint64_t)n * q->cluster_size - in);
    *host = (e & L2_OFFSET) + in;
    return 0;
}

/* A place in the file that is the cluster's own, though nothing valid (or not all) is there. */
static bool own_place(const Qcow2 *q, const Slice *s, unsigned index)
{
    uint64_t e = entry_get(q, s, index);
    ClusterType t = qcow2_entry_type(q, e);

    return (e & COPIED) && (t == CL_ZERO_ALLOC || (q->extended && t == CL_NORMAL));
}

/* Host clusters for up to n guest clusters from a->guest. */
static int find_space(Qcow2 *q, Alloc *a, uint64_t n, const Slice *s, unsigned index)
{
    uint64_t got;
    int64_t host;

    if (q->data_file) {                 /* data stay where the guest sees them */
        a->host = a->guest;
        a->bytes = n << q->cluster_bits;
        a->reused = true;
        return 0;
    }
    if (own_place(q, s, index)) {
        a->host = entry_get(q, s, index) & L2_OFFSET;
        a->bytes = q->cluster_size;
        a->reused = true;
        return cluster_in(q, a->host) ? -EIO : 0;
    }
    host = qcow2_alloc_clusters(q, n, false, &got, &a->virgin);
    if (host < 0)
        return host;
    a->host = host;
    a->bytes = got << q->cluster_bits;
    return 0;
}

/* Valid subclusters that live elsewhere: the whole cluster is copied. */
static bool copies_all(const Qcow2 *q, const Slice *s, unsigned index)
{
    uint64_t e = entry_get(q, s, index);

    if (!q->extended || qcow2_entry_type(q, e) == CL_COMPRESSED)
        return true;
    return (bits_get(q, s, index) & SUB_ALL) && !(e & COPIED);
}

/* What is written of the first and the last cluster: at the least, whole subclusters; not those that are valid. */
static void set_range(const Qcow2 *q, const Slice *s, unsigned index, uint64_t offset, uint64_t bytes, Alloc *a)
{
    uint64_t sub = UINT64_C(1) << q->sub_bits, end = offset + bytes;
    unsigned last = index + (a->bytes >> q->cluster_bits) - 1;

    a->start = a->guest;
    a->end = a->guest + a->bytes;
    if (!copies_all(q, s, index)) {
        bool valid = bits_get(q, s, index) >> (cluster_in(q, offset) >> q->sub_bits) & 1;

        a->start = valid ? offset : offset & ~(sub - 1);
    }
    if (!copies_all(q, s, last)) {
        bool valid = bits_get(q, s, last) >> (cluster_in(q, end - 1) >> q->sub_bits) & 1;

        a->end = valid ? end : (end + sub - 1) & ~(sub - 1);
    }
}

static int map_new(Qcow2 *q, Slice *s, unsigned index, unsigned max, uint64_t offset, uint64_t *bytes, uint64_t *host,
                   Alloc *a)
{
    uint64_t in = cluster_in(q, offset);
    bool bare = a->bare;
    unsigned n = 1;
    int ret;

    while (n < max && !in_place(q, s, index + n, 0, q->cluster_size) && (!own_place(q, s, index + n) || q->data_file))
        n++;
    *a = (Alloc){ .guest = offset - in, .bare = bare };
    ret = find_space(q, a, n, s, index);
    if (ret < 0)
        return ret;
    *bytes = MIN(*bytes, a->bytes - in);
    a->bytes = cluster_round(q, in + *bytes) <= a->bytes ? cluster_round(q, in + *bytes) : a->bytes;
    set_range(q, s, index, offset, *bytes, a);
    *host = a->host + in;
    a->next = q->allocs;
    q->allocs = a;
    return 0;
}

int qcow2_map_write(Qcow2 *q, uint64_t offset, uint64_t *bytes, uint64_t *host, Alloc *a)
{
    uint64_t in = cluster_in(q, offset);
    unsigned index, max;
    Slice *s;
    int ret;

    a->bytes = 0;
    avoid_allocs(q, offset, bytes);
    ret = qcow2_l2_for_write(q, offset, &s, &index);
    if (ret < 0)
        return ret;
    max = MIN(size_to_clusters(q, in + *bytes), slice_entries(q) - index);
    *bytes = MIN(*bytes, (uint64_t)max * q->cluster_size - in);
    if (in_place(q, s, index, in, MIN(q->cluster_size, in + *bytes)))
        ret = map_in_place(q, s, index, max, in, bytes, host);
    else
        ret = map_new(q, s, index, max, offset, bytes, host, a);
    slice_put(s);
    if (ret == 0 && !q->data_file)
        ret = qcow2_check_overlap(q, *host, *bytes);
    if (ret < 0 && a->bytes)
        qcow2_alloc_end(q, a);
    return ret;
}

/* The subclusters of the i-th cluster that are valid now. */
static uint64_t linked_bits(const Qcow2 *q, const Alloc *a, uint64_t i, uint64_t old)
{
    uint64_t guest = a->guest + (i << q->cluster_bits), from = MAX(guest, a->start), to, mask;

    if (!q->extended || a->bare)
        return old;
    to = MIN(guest + q->cluster_size, a->end);
    mask = sub_mask(q, from - guest, to - guest);
    return (old & ~(mask << 32)) | mask;
}

/* The clusters now hold what they should: makes L2 say so, and frees what was there before. */
int qcow2_link(Qcow2 *q, Alloc *a)
{
    uint64_t n = a->bytes >> q->cluster_bits;
    unsigned index;
    Slice *s;
    int ret = qcow2_l2_for_write(q, a->guest, &s, &index);

    if (ret < 0)
        return ret;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t old = entry_get(q, s, index + i), now = (a->host + (i << q->cluster_bits)) | COPIED;
        uint64_t had = bits_get(q, s, index + i), has = linked_bits(q, a, i, had);

        if (old == now && had == has)
            continue;
        entry_set(q, s, index + i, now, has);
        if (!a->reused && old != now)
            qcow2_free_entry(q, old, FREE_OTHER);
    }
    slice_put(s);
    return 0;
}

void qcow2_alloc_end(Qcow2 *q, Alloc *a)
{
    Alloc **p = &q->allocs;

    while (*p != a)
        p = &(*p)->next;
    *p = a->next;
    co_queue_wake_all(&a->waiters);
}

int qcow2_link_compressed(Qcow2 *q, uint64_t guest, uint64_t entry)
{
    unsigned index;
    Slice *s;
    uint64_t old;
    int ret = qcow2_l2_for_write(q, guest, &s, &index);

    if (ret < 0)
        return ret;
    old = entry_get(q, s, index);
    entry_set(q, s, index, entry, 0);
    slice_put(s);
    qcow2_free_entry(q, old, FREE_OTHER);
    q->unpacked_entry = 0;              /* the place may have held another one before */
    return 0;
}
