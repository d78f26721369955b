/*
 * qcow2: L2 tables and refcount blocks in memory, in slices of at most 4 KiB, so that a small working set costs
 * little memory and a small change a small write.  Write-back in the order that qcow2.h lays down.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "block/qcow2.h"

void slice_cache_init(SliceCache *c, unsigned max)
{
    *c = (SliceCache){ .max = MAX(max, 8), .hash_size = 16 };
    c->hash = g_new0(Slice *, c->hash_size);
}

void slice_cache_free(SliceCache *c)
{
    for (Slice *s = c->oldest, *next; s; s = next) {
        next = s->newer;
        free(s->data);
        g_free(s);
    }
    g_free(c->hash);
    *c = (SliceCache){ 0 };
}

static Slice **bucket(SliceCache *c, uint64_t offset)
{
    return &c->hash[((offset >> 9) * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (c->hash_size - 1)];
}

static void unhash(SliceCache *c, Slice *s)
{
    Slice **p = bucket(c, s->offset);

    if (!s->offset)
        return;
    while (*p != s)
        p = &(*p)->hash_next;
    *p = s->hash_next;
    s->offset = 0;
}

static void rehash(SliceCache *c)
{
    g_free(c->hash);
    c->hash_size *= 2;
    c->hash = g_new0(Slice *, c->hash_size);
    for (Slice *s = c->oldest; s; s = s->newer) {
        if (s->offset) {
            Slice **p = bucket(c, s->offset);

            s->hash_next = *p;
            *p = s;
        }
    }
}

static void lru_remove(SliceCache *c, Slice *s)
{
    *(s->older ? &s->older->newer : &c->oldest) = s->newer;
    *(s->newer ? &s->newer->older : &c->newest) = s->older;
    s->older = s->newer = NULL;
}

static void lru_add(SliceCache *c, Slice *s)
{
    s->older = c->newest;
    s->newer = NULL;
    *(c->newest ? &c->newest->newer : &c->oldest) = s;
    c->newest = s;
}

static Slice *find(SliceCache *c, uint64_t offset)
{
    Slice *s = *bucket(c, offset);

    while (s && s->offset != offset)
        s = s->hash_next;
    return s;
}

/* An unused slice: a new one while there are few, else the oldest that is clean; NULL: all are dirty or in use. */
static Slice *take_free(Qcow2 *q, SliceCache *c)
{
    if (c->count < c->max) {
        uint8_t *data = block_try_memalign(q->slice_size);
        Slice *s;

        if (data) {
            s = g_new0(Slice, 1);
            s->data = data;
            lru_add(c, s);
            if (++c->count > c->hash_size)
                rehash(c);
            return s;
        }
    }
    for (Slice *s = c->oldest; s; s = s->newer) {
        if (!s->refs && !s->dirty) {
            unhash(c, s);
            return s;
        }
    }
    return NULL;
}

Slice *slice_peek(Qcow2 *q, SliceCache *c, uint64_t offset)
{
    Slice *s = find(c, offset);

    if (s && s != c->newest) {
        lru_remove(c, s);
        lru_add(c, s);
    }
    return s;
}

int slice_get(Qcow2 *q, SliceCache *c, uint64_t offset, Slice **out)
{
    Slice *s = slice_peek(q, c, offset), **p;
    int ret;

    if (s) {
        s->refs++;
        *out = s;
        return 0;
    }
    s = take_free(q, c);
    if (!s) {
        ret = qcow2_write_back(q);
        if (ret == 0 && c == &q->rbc)   /* lazy counts as well */
            ret = slice_write_all(q, c);
        if (ret < 0)
            return ret;
        s = take_free(q, c);
        if (!s)
            return -ENOMEM;
    }
    s->refs = 1;                        /* keeps it from being taken again while it is read */
    ret = node_co_pread(q->node->file, offset, s->data, q->slice_size);
    if (ret < 0) {
        s->refs = 0;
        return ret;
    }
    s->offset = offset;
    p = bucket(c, offset);
    s->hash_next = *p;
    *p = s;
    lru_remove(c, s);
    lru_add(c, s);
    *out = s;
    return 0;
}

void slice_put(Slice *s)
{
    g_assert(s->refs);
    s->refs--;
}

void slice_dirty(SliceCache *c, Slice *s)
{
    if (!s->dirty) {
        s->dirty = true;
        c->n_dirty++;
    }
}

void slice_forget(Qcow2 *q, SliceCache *c, uint64_t offset, uint64_t bytes)
{
    for (uint64_t o = offset; o < offset + bytes; o += q->slice_size) {
        Slice *s = find(c, o);

        if (!s)
            continue;
        if (s->refs) {                  /* a damaged image: the table that is being looked at refers to itself */
            qcow2_corrupt(q, true, o, q->slice_size, "Table at %#" PRIx64 " is freed while it is in use", o);
            continue;
        }
        if (s->dirty) {
            s->dirty = false;
            c->n_dirty--;
        }
        unhash(c, s);
        lru_remove(c, s);
        /* first to be used again */
        s->newer = c->oldest;
        *(c->oldest ? &c->oldest->older : &c->newest) = s;
        c->oldest = s;
    }
}

void slice_cache_drop(Qcow2 *q, SliceCache *c)
{
    unsigned max = c->max;

    slice_cache_free(c);
    slice_cache_init(c, max);
}

static int by_offset(const void *a, const void *b)
{
    const Slice *x = *(Slice *const *)a, *y = *(Slice *const *)b;

    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

#define RUN 64

static int write_run(Qcow2 *q, Slice **run, unsigned n)
{
    struct iovec iov[RUN];
    IoVec v = { iov, n };

    for (unsigned i = 0; i < n; i++)
        iov[i] = (struct iovec){ run[i]->data, q->slice_size };
    return node_co_write(q->node->file, run[0]->offset, (uint64_t)n * q->slice_size, &v, 0, 0);
}

int slice_write_all(Qcow2 *q, SliceCache *c)
{
    g_autofree Slice **list = NULL;
    unsigned n = 0;
    int ret = 0;

    if (!c->n_dirty)
        return 0;
    list = g_new(Slice *, c->n_dirty);
    for (Slice *s = c->newest; s; s = s->older)
        if (s->dirty)
            list[n++] = s;
    g_assert(n == c->n_dirty);
    qsort(list, n, sizeof(*list), by_offset);
    for (unsigned i = 0, run; i < n && ret == 0; i += run) {
        run = 1;
        while (run < RUN && i + run < n && list[i + run]->offset == list[i + run - 1]->offset + q->slice_size)
            run++;
        ret = write_run(q, list + i, run);
        for (unsigned j = i; ret == 0 && j < i + run; j++) {
            list[j]->dirty = false;
            c->n_dirty--;
        }
    }
    return ret;
}

/* ---- L1 */

int qcow2_l1_set(Qcow2 *q, uint32_t index, uint64_t entry)
{
    if (!q->l1_dirty)
        q->l1_dirty = g_malloc0(MAX_L1_BYTES / 512 / 8);
    q->l1[index] = entry;
    q->l1_dirty[index / 64 / 8] |= 1u << (index / 64 % 8);
    q->any_l1_dirty = true;
    return 0;
}

static int write_l1(Qcow2 *q)
{
    int ret = 0;

    for (uint32_t s = 0; s < (q->l1_size + 63) / 64 && ret == 0; s++) {
        uint64_t buf[64];
        uint32_t n = MIN(64, q->l1_size - s * 64);

        if (!q->l1_dirty[s / 8]) {
            s |= 7;
            continue;
        }
        if (!(q->l1_dirty[s / 8] & (1u << (s % 8))))
            continue;
        for (uint32_t i = 0; i < n; i++)
            buf[i] = GUINT64_TO_BE(q->l1[s * 64 + i]);
        ret = node_co_pwrite(q->node->file, q->l1_offset + s * 512, buf, n * 8);
        if (ret == 0)
            q->l1_dirty[s / 8] &= ~(1u << (s % 8));
    }
    if (ret == 0)
        q->any_l1_dirty = false;
    return ret;
}

/* ---- order */

static int flush_files(Qcow2 *q)
{
    int ret = q->data_file ? node_co_flush(q->data_file->node) : 0;

    return ret < 0 ? ret : node_co_flush(q->node->file->node);
}

/* With lazy reference counts, the first that changes marks the image as dirty; from then on those on the disk mean nothing. */
static int write_counts(Qcow2 *q)
{
    int ret;

    if (!q->lazy_refcounts)
        return slice_write_all(q, &q->rbc);
    if (!q->rbc.n_dirty || q->incompatible & INCOMPAT_DIRTY)
        return 0;
    q->incompatible |= INCOMPAT_DIRTY;
    ret = qcow2_put_features(q);
    if (ret < 0)
        q->incompatible &= ~(uint64_t)INCOMPAT_DIRTY;
    return ret;
}

int qcow2_clean(Qcow2 *q)
{
    int ret = qcow2_flush_locked(q);

    if (ret < 0 || !(q->incompatible & INCOMPAT_DIRTY))
        return ret;
    if (q->rbc.n_dirty) {
        ret = slice_write_all(q, &q->rbc);
        if (ret == 0)
            ret = flush_files(q);
    }
    if (ret < 0)
        return ret;
    q->incompatible &= ~(uint64_t)INCOMPAT_DIRTY;
    ret = qcow2_put_features(q);
    if (ret < 0)
        q->incompatible |= INCOMPAT_DIRTY;
    return ret;
}

int qcow2_write_back(Qcow2 *q)
{
    int ret = write_counts(q);

    if (ret == 0 && (q->l2c.n_dirty || q->any_l1_dirty))
        ret = flush_files(q);
    if (ret == 0)
        ret = slice_write_all(q, &q->l2c);
    if (ret == 0 && q->any_l1_dirty) {
        ret = flush_files(q);
        if (ret == 0)
            ret = write_l1(q);
    }
    return ret;
}

int qcow2_flush_locked(Qcow2 *q)
{
    unsigned pending = q->pending->len;
    int ret = qcow2_write_back(q);

    if (ret == 0)
        ret = flush_files(q);
    if (ret == 0 && pending)
        qcow2_settle(q, pending);
    return ret;
}
