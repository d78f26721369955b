/* Between mirrors and the commands that start them. */
#ifndef BLOCK_JOB_MIRROR_H
#define BLOCK_JOB_MIRROR_H
#include "block/job.h"

typedef enum MirrorSync { MIRROR_FULL, MIRROR_TOP, MIRROR_NONE } MirrorSync;
typedef struct MirrorSetup {
    BlockNode *source, *target, *base;  /* base: what is in it and below need not be copied; NULL: all is */
    MirrorSync sync;
    bool is_commit, write_blocking;
    bool zero_target;                   /* it may hold anything */
    bool source_chain;                  /* when it takes over, it gets the source's backing chain */
    bool open_backing;                  /* or opens what its header names */
    bool keep_space;                    /* unmap=off: zeroes are written such that they take space */
    uint32_t granularity;
    int64_t buf_size;                   /* of what is copied at a time */
} MirrorSetup;
#define MIRROR_BUF_SIZE (4 * 1024 * 1024)

uint32_t mirror_granularity(BlockNode *target);
/* at: the node, source or a filter above it, that the mirror's filter goes over. */
bool mirror_start(const JobArgs *a, const MirrorSetup *m, BlockNode *at, const char *filter_name, const char *replaces, GError **err);
/* Opens and links what n's header names as its backing file. */
bool node_open_backing_of(BlockNode *n, GError **err);
/* Makes the file of drive-mirror, drive-backup or a snapshot: backing NULL: none. */
bool job_create_target(const char *file, const char *fmt, int64_t size, BlockNode *backing, GError **err);
/* Opens it. fmt NULL: probed. */
BlockNode *job_open_target(const char *file, const char *fmt, const char *node_name, BlockNode *like, unsigned flags, GError **err);
#endif
