/*
 * XBZRLE: of a page that was sent before, only what has changed: runs of bytes that stay and of bytes that change, each
 * with its length in seven bits a byte. The sender keeps what it has sent in a cache.
 */
#ifndef MIGRATION_XBZRLE_H
#define MIGRATION_XBZRLE_H
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct XbzrleStats {
    uint64_t cache_size, bytes, pages, misses, overflows;
    double miss_rate, encoding_rate;        /* of the last round */
} XbzrleStats;

typedef struct Xbzrle Xbzrle;
/* bytes: a power of two, at least a page. NULL: there is not so much memory. */
Xbzrle *xbzrle_new(uint64_t bytes);
void xbzrle_free(Xbzrle *x);        /* NULL is allowed */

typedef enum XbzrlePage { XBZRLE_WHOLE, XBZRLE_DELTA, XBZRLE_SAME } XbzrlePage;
/* What of the page is to be sent, which the guest may be writing to: all of *out, which is the page or the cache's copy of
 * it and stays as it is until the page is sent again; *len bytes of difference at *out, until the next call; or nothing.
 * key: one for each page; round: counts up; keep: put a page into the cache that is not there. */
XbzrlePage xbzrle_page(Xbzrle *x, uint64_t key, const uint8_t *page, uint64_t round, bool keep, const uint8_t **out, unsigned *len);
/* The page has been sent as zeroes. */
void xbzrle_zero(Xbzrle *x, uint64_t key);
/* A round has ended, in which that many pages were sent. */
void xbzrle_round(Xbzrle *x, uint64_t pages);
const XbzrleStats *xbzrle_stats(const Xbzrle *x);

/* The difference between two pages, in at most a page; 0: there is none, -1: it does not fit. */
int xbzrle_encode(const uint8_t *was, const uint8_t *is, uint8_t *out);
/* Applies one; false: it makes no sense. */
bool xbzrle_apply(uint8_t *page, const uint8_t *in, unsigned len);
#endif
