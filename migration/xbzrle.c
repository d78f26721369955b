/* Differences between pages, and the cache of pages that they refer to. */
#include <string.h>
#include "migration/format.h"
#include "migration/xbzrle.h"

#define LIFETIME 2              /* rounds for which a page keeps its place against others */

typedef struct Entry {
    uint64_t key, round;        /* round 0: there is nothing */
} Entry;

struct Xbzrle {
    uint64_t places;            /* a power of two */
    Entry *entries;
    uint8_t *pages;
    XbzrleStats stats;
    XbzrleStats before;         /* at the last round's end */
    uint64_t sent_before;
    uint8_t now[MIG_PAGE], delta[MIG_PAGE];
};

/* ---- Differences ---- */

static unsigned equal_run(const uint8_t *a, const uint8_t *b, unsigned at)
{
    unsigned i = at;
    uint64_t x, y;

    for (; i + 8 <= MIG_PAGE; i += 8) {
        memcpy(&x, a + i, 8);
        memcpy(&y, b + i, 8);
        if (x != y)
            return i - at + __builtin_ctzll(x ^ y) / 8;
    }
    while (i < MIG_PAGE && a[i] == b[i])
        i++;
    return i - at;
}

static unsigned other_run(const uint8_t *a, const uint8_t *b, unsigned at)
{
    unsigned i = at;

    /* A few equal bytes in between cost less than two lengths. */
    while (i < MIG_PAGE && (a[i] != b[i] || (i + 2 < MIG_PAGE && (a[i + 1] != b[i + 1] || a[i + 2] != b[i + 2]))))
        i++;
    return i - at;
}

static unsigned put_length(uint8_t *out, unsigned n)
{
    out[0] = (n & 0x7f) | (n > 0x7f ? 0x80 : 0);
    out[1] = n >> 7;
    return n > 0x7f ? 2 : 1;
}

int xbzrle_encode(const uint8_t *was, const uint8_t *is, uint8_t *out)
{
    unsigned at = 0, n = 0;

    for (;;) {
        unsigned same = equal_run(was, is, at), other;

        at += same;
        if (at == MIG_PAGE)
            return n;
        other = other_run(was, is, at);
        if (n + 4 + other > MIG_PAGE)
            return -1;
        n += put_length(out + n, same);
        n += put_length(out + n, other);
        memcpy(out + n, is + at, other);
        n += other;
        at += other;
    }
}

static bool get_length(const uint8_t *in, unsigned len, unsigned *i, unsigned *n)
{
    if (*i >= len)
        return false;
    *n = in[*i] & 0x7f;
    if (!(in[(*i)++] & 0x80))
        return true;
    if (*i >= len || in[*i] & 0x80)
        return false;
    *n |= (unsigned)in[(*i)++] << 7;
    return true;
}

bool xbzrle_apply(uint8_t *page, const uint8_t *in, unsigned len)
{
    unsigned at = 0, i = 0, same, other;

    while (i < len) {
        if (!get_length(in, len, &i, &same) || same > MIG_PAGE - at)
            return false;
        at += same;
        if (i == len)
            return true;
        if (!get_length(in, len, &i, &other) || !other || other > MIG_PAGE - at || other > len - i)
            return false;
        memcpy(page + at, in + i, other);
        at += other;
        i += other;
    }
    return true;
}

/* ---- The cache ---- */

Xbzrle *xbzrle_new(uint64_t bytes)
{
    Xbzrle *x = g_new0(Xbzrle, 1);

    x->places = bytes / MIG_PAGE;
    x->stats.cache_size = bytes;
    x->entries = g_try_new0(Entry, x->places);
    x->pages = g_try_malloc0_n(x->places, MIG_PAGE);
    if (x->entries && x->pages)
        return x;
    xbzrle_free(x);
    return NULL;
}

void xbzrle_free(Xbzrle *x)
{
    if (!x)
        return;
    g_free(x->entries);
    g_free(x->pages);
    g_free(x);
}

static uint8_t *place(Xbzrle *x, uint64_t key, Entry **e)
{
    uint64_t i = key & (x->places - 1);

    *e = &x->entries[i];
    return x->pages + i * MIG_PAGE;
}

static XbzrlePage not_cached(Xbzrle *x, Entry *e, uint8_t *copy, uint64_t key, const uint8_t *page, uint64_t round, bool keep,
                             const uint8_t **out)
{
    x->stats.misses++;
    *out = page;
    if (keep && (!e->round || e->round + LIFETIME <= round)) {
        *e = (Entry){ key, round };
        *out = memcpy(copy, page, MIG_PAGE);
    }
    return XBZRLE_WHOLE;
}

XbzrlePage xbzrle_page(Xbzrle *x, uint64_t key, const uint8_t *page, uint64_t round, bool keep, const uint8_t **out, unsigned *len)
{
    Entry *e;
    uint8_t *copy = place(x, key, &e);
    int n;

    if (!e->round || e->key != key)
        return not_cached(x, e, copy, key, page, round, keep, out);
    memcpy(x->now, page, MIG_PAGE);
    n = xbzrle_encode(copy, x->now, x->delta);
    e->round = round;
    if (n == 0)
        return XBZRLE_SAME;
    memcpy(copy, x->now, MIG_PAGE);
    if (n < 0) {
        x->stats.overflows++;
        *out = copy;
        return XBZRLE_WHOLE;
    }
    x->stats.pages++;
    x->stats.bytes += n + 3;
    *out = x->delta;
    *len = n;
    return XBZRLE_DELTA;
}

void xbzrle_zero(Xbzrle *x, uint64_t key)
{
    Entry *e;
    uint8_t *copy = place(x, key, &e);

    if (e->round && e->key == key)
        memset(copy, 0, MIG_PAGE);
}

void xbzrle_round(Xbzrle *x, uint64_t sent)
{
    XbzrleStats *s = &x->stats, *b = &x->before;
    uint64_t pages = s->pages - b->pages, bytes = s->bytes - b->bytes;

    s->miss_rate = sent > x->sent_before ? (double)(s->misses - b->misses) / (sent - x->sent_before) : 0;
    s->encoding_rate = bytes ? (double)pages * MIG_PAGE / bytes : 0;
    *b = *s;
    x->sent_before = sent;
}

const XbzrleStats *xbzrle_stats(const Xbzrle *x)
{
    return &x->stats;
}
