/*
 * Flattening a tree of regions into a sorted array, and finding an address in it.
 *
 * Regions are visited the highest priority first; each fills only what is still a hole. Offsets are kept in 128 bits,
 * since a guest may put a window at either end of the 64-bit space.
 */
#include <string.h>
#include "hw/core/memory-int.h"

#define MAX_DEPTH 32

typedef __int128 Wide;

/* Fills the holes of [first, last] in ranges (sorted) with r, whose offset 0 is at base. */
static void fill(GArray *ranges, Region *r, Wide base, uint64_t first, uint64_t last, bool readonly)
{
    unsigned i = 0;

    for (unsigned hi = ranges->len; i < hi;) {     /* the first range that ends at or after `first` */
        unsigned mid = (i + hi) / 2;

        if (g_array_index(ranges, FlatRange, mid).last < first)
            i = mid + 1;
        else
            hi = mid;
    }
    for (;;) {
        FlatRange *next = i < ranges->len ? &g_array_index(ranges, FlatRange, i) : NULL;
        uint64_t end = next && next->first <= last ? next->first : 0, next_last = next ? next->last : 0;
        bool bounded = next && next->first <= last;

        if (!bounded || first < end) {
            FlatRange fr = { first, bounded ? end - 1 : last, r, (uint64_t)((Wide)first - base), readonly };

            g_array_insert_val(ranges, i, fr);
            i++;
        }
        if (!bounded || next_last >= last)
            return;
        first = next_last + 1;
        i++;
    }
}

static void render(GArray *ranges, Region *r, Wide base, Wide lo, Wide hi, bool readonly, unsigned depth)
{
    Wide first, last;

    if (!r->enabled || !r->size || depth > MAX_DEPTH)
        return;
    base += r->addr;
    first = MAX(lo, base);
    last = MIN(hi, base + (r->size == UINT64_MAX ? (Wide)UINT64_MAX : (Wide)r->size - 1));
    if (first > last)
        return;
    readonly |= r->readonly;
    if (r->kind == REGION_ALIAS) {
        render(ranges, r->target, base - r->target_off - r->target->addr, first, last, readonly, depth + 1);
        return;
    }
    for (GSList *l = r->children; l; l = l->next)
        render(ranges, l->data, base, first, last, readonly, depth + 1);
    if (r->kind != REGION_CONTAINER)
        fill(ranges, r, base, first, last, readonly);
}

/* Neighbours that are one piece of one region. */
static void merge(GArray *ranges)
{
    FlatRange *v = (FlatRange *)(void *)ranges->data;
    unsigned n = 0;

    for (unsigned i = 0; i < ranges->len; i++) {
        FlatRange *last = n ? &v[n - 1] : NULL;

        if (last && last->region == v[i].region && last->last + 1 == v[i].first && last->readonly == v[i].readonly &&
            last->off + (v[i].first - last->first) == v[i].off)
            last->last = v[i].last;
        else
            v[n++] = v[i];
    }
    g_array_set_size(ranges, n);
}

FlatView *flatview_new(Region *root)
{
    GArray *ranges = g_array_new(false, false, sizeof(FlatRange));
    FlatView *v = g_new0(FlatView, 1);

    render(ranges, root, 0, 0, UINT64_MAX, false, 0);
    merge(ranges);
    v->n = ranges->len;
    v->ranges = (FlatRange *)(void *)g_array_free(ranges, false);
    return v;
}

void flatview_free(FlatView *v)
{
    if (!v)
        return;
    g_free(v->ranges);
    g_free(v);
}

FlatRange *flatview_find(FlatView *v, uint64_t addr, uint64_t *hole_last)
{
    unsigned lo = 0, hi = v->n;
    FlatRange *fr = &v->ranges[v->recent];

    if (G_LIKELY(v->n) && addr >= fr->first && addr <= fr->last)
        return fr;
    while (lo < hi) {
        unsigned mid = (lo + hi) / 2;

        if (v->ranges[mid].last < addr)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo < v->n && v->ranges[lo].first <= addr) {
        v->recent = lo;
        return &v->ranges[lo];
    }
    if (hole_last)
        *hole_last = lo < v->n ? v->ranges[lo].first - 1 : UINT64_MAX;
    return NULL;
}
