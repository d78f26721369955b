/* Copying between nodes, for jobs. */
#ifndef BLOCK_COPY_H
#define BLOCK_COPY_H
#include "block/graph.h"

#define COPY_CHUNK (1024 * 1024)

typedef struct CopyResult { int ret; bool on_read; } CopyResult;
/* What src reads as (its whole chain) goes to dst; zeroes as such, with zero_flags. buf holds bytes. In a coroutine. */
CopyResult copy_co(NodeLink *src, NodeLink *dst, int64_t offset, int64_t bytes, void *buf, unsigned write_flags,
                   unsigned zero_flags);

/* Several ranges at once: fn is called for each in a coroutine of its own; returns when all have ended. In a coroutine. */
#define COPY_WORKERS 8
typedef struct CopyPiece { int64_t offset, bytes; CopyResult result; } CopyPiece;
typedef void CopyFn(void *opaque, CopyPiece *p);
void copy_all(CopyFn *fn, void *opaque, CopyPiece *pieces, unsigned n);
/* The layer below top that `name` stands for: a path, or as a header names it. */
BlockNode *chain_find(BlockNode *top, const char *name);

/* One bit a granule. */
typedef struct BitRange { uint8_t *bits; int64_t granules, set; unsigned shift; int64_t length; } BitRange;
bool bits_init(BitRange *b, int64_t length, unsigned shift, GError **err);
void bits_free(BitRange *b);
void bits_change(BitRange *b, int64_t offset, int64_t bytes, bool on);  /* every granule that is touched */
static inline bool bits_test(const BitRange *b, int64_t g) { return b->bits[g / 8] & (1 << (g & 7)); }
/* The next run of set granules at or after granule *at (wrapping once), at most max_bytes long. */
bool bits_next(const BitRange *b, int64_t *at, int64_t max_bytes, int64_t *offset, int64_t *bytes);
#endif
