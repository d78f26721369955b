/*
 * Dirty bitmaps: which parts of a node have been written since some point.  One bit a granule, in the order in which
 * qcow2 stores them.  A persistent one is kept in the image when the node is closed.
 *
 * All under the machine lock.
 */
#ifndef BLOCK_BITMAP_H
#define BLOCK_BITMAP_H
#include "block/graph.h"

#define BITMAP_NAME_MAX 1023

typedef struct DirtyBitmap {
    char *name;
    unsigned shift;                     /* log2 of the granularity in bytes */
    int64_t granules;
    uint8_t *bits;
    bool enabled;                       /* writes are recorded */
    bool persistent, inconsistent, busy;
    struct DirtyBitmap *next;
} DirtyBitmap;

DirtyBitmap *bitmap_find(BlockNode *n, const char *name);
/* What block-dirty-bitmap-add does; granularity 0: the usual one. */
DirtyBitmap *bitmap_add(BlockNode *n, const char *name, uint32_t granularity, bool persistent, bool enabled, GError **err);
/* block-dirty-bitmap-remove, -clear, -enable, -disable */
bool bitmap_remove(BlockNode *n, const char *name, GError **err);
bool bitmap_clear(BlockNode *n, const char *name, GError **err);
bool bitmap_enable(BlockNode *n, const char *name, bool on, GError **err);
/* block-dirty-bitmap-merge: what `source` of from says is dirty is so in `name` of n as well. */
bool bitmap_merge(BlockNode *n, const char *name, BlockNode *from, const char *source, GError **err);
int64_t bitmap_count(const DirtyBitmap *b);     /* dirty bytes */
static inline size_t bitmap_bytes(const DirtyBitmap *b) { return (b->granules + 7) / 8; }
uint32_t bitmap_default_granularity(BlockNode *n);
/* For the block layer: */
DirtyBitmap *bitmap_new(BlockNode *n, const char *name, unsigned shift, GError **err);
void node_bitmaps_mark(BlockNode *n, int64_t offset, int64_t bytes);
void node_bitmaps_resize(BlockNode *n, int64_t length);
void node_bitmaps_free(BlockNode *n);
void node_bitmaps_drop_persistent(BlockNode *n);
#endif
