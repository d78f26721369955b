/* Dirty bitmaps of nodes. */
#include <string.h>
#include "block/bitmap.h"
#include "util/error.h"

#define MAX_BITS_BYTES (512u * 1024 * 1024)     /* as large as qcow2 stores */

static int64_t granules_of(int64_t length, unsigned shift)
{
    return (length + (INT64_C(1) << shift) - 1) >> shift;
}

static void set_bits(uint8_t *bits, int64_t from, int64_t to)
{
    while (from < to && from & 7) {
        bits[from / 8] |= 1 << (from & 7);
        from++;
    }
    if (to - from >= 8) {
        memset(bits + from / 8, 0xff, (to - from) / 8);
        from += (to - from) & ~INT64_C(7);
    }
    for (; from < to; from++)
        bits[from / 8] |= 1 << (from & 7);
}

DirtyBitmap *bitmap_find(BlockNode *n, const char *name)
{
    for (DirtyBitmap *b = n->bitmaps; b; b = b->next)
        if (!strcmp(b->name, name))
            return b;
    return NULL;
}

DirtyBitmap *bitmap_new(BlockNode *n, const char *name, unsigned shift, GError **err)
{
    int64_t granules = granules_of(n->length, shift);
    DirtyBitmap *b, **p = &n->bitmaps;
    uint8_t *bits = granules / 8 < MAX_BITS_BYTES ? g_try_malloc0((granules + 7) / 8 + 1) : NULL;

    if (!bits) {
        error_set(err, "Bitmap '%s' would be too large: use a larger granularity", name);
        return NULL;
    }
    b = g_new0(DirtyBitmap, 1);
    *b = (DirtyBitmap){ .name = g_strdup(name), .shift = shift, .granules = granules, .bits = bits, .enabled = true };
    while (*p)
        p = &(*p)->next;
    *p = b;
    return b;
}

uint32_t bitmap_default_granularity(BlockNode *n)
{
    NodeInfo info = { 0 };

    if (n->drv->info && n->drv->info(n, &info) && info.cluster_size > 0)
        return CLAMP(info.cluster_size, 4096, 65536);
    return 65536;
}

DirtyBitmap *bitmap_add(BlockNode *n, const char *name, uint32_t granularity, bool persistent, bool enabled, GError **err)
{
    DirtyBitmap *b;

    if (!*name)
        return error_set(err, "Bitmap name cannot be empty"), NULL;
    if (granularity && (granularity < 512 || granularity & (granularity - 1)))
        return error_set(err, "Granularity must be power of 2 and at least 512"), NULL;
    if (persistent && (!n->drv->can_store_bitmaps || !n->drv->can_store_bitmaps(n)))
        return error_set(err, "Can't store persistent bitmaps to %s: Operation not supported", n->name), NULL;
    if (strlen(name) > BITMAP_NAME_MAX)
        return error_set(err, "Bitmap name too long: %s", name), NULL;
    if (bitmap_find(n, name))
        return error_set(err, "Bitmap already exists: %s", name), NULL;
    if (!granularity)
        granularity = bitmap_default_granularity(n);
    b = bitmap_new(n, name, __builtin_ctz(granularity), err);
    if (b) {
        b->persistent = persistent;
        b->enabled = enabled;
    }
    return b;
}

static void free_one(DirtyBitmap *b)
{
    g_free(b->name);
    g_free(b->bits);
    g_free(b);
}

static DirtyBitmap *find(BlockNode *n, const char *name, bool damaged_too, GError **err)
{
    DirtyBitmap *b = bitmap_find(n, name);

    if (!b) {
        error_set(err, "Dirty bitmap '%s' not found", name);
    } else if (b->busy) {
        error_set(err, "Bitmap '%s' is currently in use by another operation and cannot be used", name);
        return NULL;
    } else if (b->inconsistent && !damaged_too) {
        error_set(err, "Bitmap '%s' is inconsistent and cannot be used\n"
                  "Try block-dirty-bitmap-remove to delete this bitmap from disk", name);
        return NULL;
    }
    return b;
}

bool bitmap_remove(BlockNode *n, const char *name, GError **err)
{
    DirtyBitmap *b = find(n, name, true, err), **p = &n->bitmaps;

    if (!b)
        return false;
    while (*p != b)
        p = &(*p)->next;
    *p = b->next;
    free_one(b);
    return true;
}

bool bitmap_clear(BlockNode *n, const char *name, GError **err)
{
    DirtyBitmap *b = find(n, name, false, err);

    if (b)
        memset(b->bits, 0, bitmap_bytes(b));
    return b != NULL;
}

bool bitmap_enable(BlockNode *n, const char *name, bool on, GError **err)
{
    DirtyBitmap *b = find(n, name, false, err);

    if (b)
        b->enabled = on;
    return b != NULL;
}

static bool bit(const DirtyBitmap *b, int64_t i)
{
    return b->bits[i / 8] & (1 << (i & 7));
}

bool bitmap_merge(BlockNode *n, const char *name, BlockNode *from, const char *source, GError **err)
{
    DirtyBitmap *to = find(n, name, false, err), *s = to ? find(from, source, false, err) : NULL;

    if (!s)
        return false;
    if (n->length != from->length)
        return error_set(err, "Bitmaps are of different sizes (destination size is %" G_GINT64_FORMAT
                         ", source size is %" G_GINT64_FORMAT ") and can't be merged", n->length, from->length);
    if (s->shift == to->shift) {
        for (size_t i = 0; i < bitmap_bytes(to); i++)
            to->bits[i] |= s->bits[i];
        return true;
    }
    for (int64_t i = 0; i < s->granules; i++)
        if (bit(s, i))
            set_bits(to->bits, i << s->shift >> to->shift,
                     MIN(granules_of((i + 1) << s->shift, to->shift), to->granules));
    return true;
}

int64_t bitmap_count(const DirtyBitmap *b)
{
    int64_t n = 0;

    for (size_t i = 0; i < bitmap_bytes(b); i++)
        n += __builtin_popcount(b->bits[i]);
    return n << b->shift;
}

/* ---- for the block layer */

void node_bitmaps_mark(BlockNode *n, int64_t offset, int64_t bytes)
{
    for (DirtyBitmap *b = n->bitmaps; b; b = b->next)
        if (b->enabled && !b->inconsistent && bytes > 0)
            set_bits(b->bits, offset >> b->shift, MIN(granules_of(offset + bytes, b->shift), b->granules));
}

void node_bitmaps_resize(BlockNode *n, int64_t length)
{
    for (DirtyBitmap *b = n->bitmaps; b; b = b->next) {
        int64_t granules = granules_of(length, b->shift);
        size_t old = bitmap_bytes(b), now = (granules + 7) / 8;
        uint8_t *bits = g_try_realloc(b->bits, now + 1);

        if (!bits) {
            b->inconsistent = true;     /* can't be kept any more */
            continue;
        }
        b->bits = bits;
        if (now > old)
            memset(bits + old, 0, now - old);
        else if (granules & 7)
            bits[granules / 8] &= (1 << (granules & 7)) - 1;
        b->granules = granules;
    }
}

void node_bitmaps_free(BlockNode *n)
{
    while (n->bitmaps) {
        DirtyBitmap *b = n->bitmaps;

        n->bitmaps = b->next;
        free_one(b);
    }
}

void node_bitmaps_drop_persistent(BlockNode *n)
{
    for (DirtyBitmap **p = &n->bitmaps, *b; (b = *p);) {
        if (!b->persistent) {
            p = &b->next;
            continue;
        }
        *p = b->next;
        free_one(b);
    }
}
