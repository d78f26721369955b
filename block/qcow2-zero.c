/*
 * qcow2: clusters that are to read as zeroes or as nothing: zeroing, discarding.
 */
#include <errno.h>
#include "block/qcow2-map-int.h"

typedef struct Entry { uint64_t entry, bits; } Entry;

/* Reads as zeroes already, and nothing shows through. bare: nor does it where nothing is. */
static bool nothing_to_zero(Qcow2 *q, Entry e, ClusterType t, bool bare)
{
    if (t == CL_ZERO_PLAIN)
        return true;
    if (t != CL_UNALLOCATED)
        return false;
    return q->extended ? e.bits == SUB_ZEROES || (!e.bits && bare) : bare;
}

static Entry plain_zero(const Qcow2 *q)
{
    return q->extended ? (Entry){ 0, SUB_ZEROES } : (Entry){ ZERO, 0 };
}

/* What becomes of an entry; unchanged: leave it. */
static Entry zeroed_entry(Qcow2 *q, Entry e, unsigned flags)
{
    ClusterType t = qcow2_entry_type(q, e.entry);

    if (q->version < 3)
        return (Entry){ 0 };
    if (nothing_to_zero(q, e, t, qcow2_is_bare(q) && !(flags & BLK_EXPLICIT)))
        return e;
    if ((t == CL_NORMAL || t == CL_ZERO_ALLOC) && (e.entry & COPIED) && !(flags & BLK_MAY_UNMAP))
        return q->extended ? (Entry){ e.entry, SUB_ZEROES } : (Entry){ (e.entry & (L2_OFFSET | COPIED)) | ZERO, 0 };
    return plain_zero(q);
}

/* full: as if never written, so that the backing file shows. */
static Entry discarded_entry(Qcow2 *q, Entry e, unsigned full)
{
    if (full || q->version < 3)
        return (Entry){ 0 };
    return nothing_to_zero(q, e, qcow2_entry_type(q, e.entry), qcow2_is_bare(q)) ? e : plain_zero(q);
}

static bool table_missing(Qcow2 *q, uint64_t offset)
{
    uint32_t l1 = l1_index(q, offset);

    return l1 >= q->l1_size || !(q->l1[l1] & L1_OFFSET);
}

typedef struct Change {
    Entry (*becomes)(Qcow2 *q, Entry e, unsigned how);
    unsigned how;
    bool skips;                 /* what has no table stays so */
    FreeKind kind;
} Change;

/* One slice's worth from offset; *done: how many bytes that was. */
static int change_some(Qcow2 *q, uint64_t offset, uint64_t bytes, const Change *c, uint64_t *done)
{
    uint64_t span = UINT64_C(1) << (q->cluster_bits + q->l2_bits);
    unsigned index, n;
    Slice *s;
    int ret;

    if (c->skips && table_missing(q, offset)) {
        *done = MIN(bytes, span - (offset & (span - 1)));
        return 0;
    }
    ret = qcow2_l2_for_write(q, offset, &s, &index);
    if (ret < 0)
        return ret;
    n = MIN(bytes >> q->cluster_bits, slice_entries(q) - index);
    for (unsigned i = 0; i < n; i++) {
        Entry old = { entry_get(q, s, index + i), bits_get(q, s, index + i) };
        Entry now = c->becomes(q, old, c->how);

        if (now.entry == old.entry && now.bits == old.bits)
            continue;
        entry_set(q, s, index + i, now.entry, now.bits);
        if (!(now.entry & L2_OFFSET))
            qcow2_free_entry(q, old.entry, c->kind);
    }
    slice_put(s);
    *done = (uint64_t)n << q->cluster_bits;
    return 0;
}

static int change(Qcow2 *q, uint64_t offset, uint64_t bytes, const Change *c)
{
    uint64_t done = 0;
    int ret = 0;

    qcow2_wait_allocs(q, offset, offset + bytes);
    while (bytes >= q->cluster_size && ret == 0) {
        ret = change_some(q, offset, bytes, c, &done);
        offset += done;
        bytes -= done;
        if (q->pending->len > 4096 && ret == 0)
            ret = qcow2_flush_locked(q);
    }
    return ret;
}

int qcow2_zero_clusters(Qcow2 *q, uint64_t offset, uint64_t bytes, unsigned flags)
{
    bool bare = qcow2_is_bare(q) && !(flags & BLK_EXPLICIT);

    if (q->version < 3 && !bare)
        return -ENOTSUP;
    return change(q, offset, bytes, &(Change){ zeroed_entry, flags, bare, FREE_REQUEST });
}

int qcow2_discard_clusters(Qcow2 *q, uint64_t offset, uint64_t bytes, bool full, FreeKind kind)
{
    bool bare = qcow2_is_bare(q);

    if (!full && q->version < 3 && !bare)
        return -ENOTSUP;
    return change(q, offset, bytes, &(Change){ discarded_entry, full, bare || full, kind });
}

int qcow2_zero_subclusters(Qcow2 *q, uint64_t offset, uint64_t bytes, unsigned flags)
{
    uint64_t in = cluster_in(q, offset), e, mask = sub_mask(q, in, in + bytes);
    unsigned index;
    Slice *s;
    int ret;

    qcow2_wait_allocs(q, offset, offset + bytes);
    if (table_missing(q, offset) && qcow2_is_bare(q) && !(flags & BLK_EXPLICIT))
        return 0;
    ret = qcow2_l2_for_write(q, offset, &s, &index);
    if (ret < 0)
        return ret;
    e = entry_get(q, s, index);
    if (qcow2_entry_type(q, e) == CL_COMPRESSED)
        ret = -ENOTSUP;
    else
        entry_set(q, s, index, e, (bits_get(q, s, index) & ~mask) | mask << 32);
    slice_put(s);
    return ret;
}
