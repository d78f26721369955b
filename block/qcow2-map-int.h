/* Reading and changing entries of L2 tables: between the files that map guest offsets to clusters. */
#ifndef BLOCK_QCOW2_MAP_INT_H
#define BLOCK_QCOW2_MAP_INT_H
#include <string.h>
#include "block/qcow2.h"

static inline uint32_t l1_index(const Qcow2 *q, uint64_t offset)
{
    return offset >> (q->cluster_bits + q->l2_bits);
}

/* Position of the L2 entry of offset: which slice of the table, and where in it. */
static inline uint64_t slice_of(const Qcow2 *q, uint64_t table, uint64_t offset, unsigned *index)
{
    unsigned per = slice_entries(q), i = (offset >> q->cluster_bits) & (q->l2_entries - 1);

    *index = i % per;
    return table + (uint64_t)(i / per) * q->slice_size;
}

static inline uint64_t entry_get(const Qcow2 *q, const Slice *s, unsigned index)
{
    uint64_t be;

    memcpy(&be, s->data + index * q->l2_entry_size, 8);
    return GUINT64_FROM_BE(be);
}

/* The subclusters' bits; without them 0. */
static inline uint64_t bits_get(const Qcow2 *q, const Slice *s, unsigned index)
{
    uint64_t be = 0;

    if (q->extended)
        memcpy(&be, s->data + index * q->l2_entry_size + 8, 8);
    return GUINT64_FROM_BE(be);
}

static inline void entry_set(Qcow2 *q, Slice *s, unsigned index, uint64_t entry, uint64_t bits)
{
    uint64_t be[2] = { GUINT64_TO_BE(entry), GUINT64_TO_BE(bits) };

    memcpy(s->data + index * q->l2_entry_size, be, q->l2_entry_size);
    slice_dirty(&q->l2c, s);
}

/* Bits of the subclusters that [from, to) of a cluster touches. */
static inline uint64_t sub_mask(const Qcow2 *q, uint64_t from, uint64_t to)
{
    unsigned a = from >> q->sub_bits, b = (to + (UINT64_C(1) << q->sub_bits) - 1) >> q->sub_bits;

    return ((UINT64_C(1) << b) - 1) & ~((UINT64_C(1) << a) - 1);
}
#endif
