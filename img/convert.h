/* vmemu-img convert: what its two files share. */
#ifndef IMG_CONVERT_H
#define IMG_CONVERT_H
#include "img/img.h"

typedef struct Convert {
    /* the command line */
    const char *fmt, *out_fmt, *cache, *src_cache, *backing, *backing_fmt, *target, *snapshot;
    char **sources;
    unsigned n_sources, workers;
    json_t *opts;
    bool image_opts, target_image_opts, target_is_zero, share, compress, progress, quiet, no_create, out_of_order, salvage,
         offload, sparse_given, bitmaps, skip_broken;
    int64_t sparse, rate;               /* rate: bytes per second; 0: no limit */

    /* open */
    BlockBackend **src, *dst;
    int64_t total;
    bool has_zero;                      /* what is not written reads as zeroes */
    bool over_backing;                  /* what the source does not hold itself, the backing file has */
    uint32_t cluster;                   /* of a compressed target */
    int ret;
} Convert;

/* Copies all; c->ret. Errors have been said. */
void convert_copy(Convert *c);
#endif
