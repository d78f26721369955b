/*
 * Changing the graph while a guest uses it: what jobs and snapshots are made of.
 *
 * Every change is made between block_quiesce_begin and block_quiesce_end, outside of coroutines: no request of a drive
 * and no step of a job is in flight meanwhile, and no job ends.
 */
#ifndef BLOCK_GRAPH_OPS_H
#define BLOCK_GRAPH_OPS_H
#include "block/graph.h"

void block_quiesce_begin(void);         /* they nest */
void block_quiesce_end(void);
/* For requests that come from outside (clients of an export): waits while the graph is quiesced. In a coroutine. */
void co_wait_quiesced(void);
/* Takes what a job has put into the graph out again, as far as it is there: its drives on target and source, its filter. */
void job_leave_graph(BlockBackend **to, BlockBackend **from, BlockNode **filter);

/* A drive's medium or a node, by either name. */
BlockNode *block_lookup(const char *device, const char *node_name, GError **err);
/* The drive that n is the medium of (filters that nobody asked for aside), or NULL. */
BlockBackend *node_drive(BlockNode *n);
const char *node_user_name(BlockNode *n);       /* the drive's, or else the node's */
BlockNode *node_skip_implicit(BlockNode *n);
bool node_is_above(BlockNode *top, BlockNode *n);       /* n is top or in its backing chain (filters included) */
/* Like node_backing, filters not skipped: the child that a read falls through to; NULL at the end. */
BlockNode *node_next_layer(BlockNode *n);

/* A filter named name (NULL: nobody's) over n takes n's place with all its parents; the caller owns a
 * reference, which filter_remove drops. */
BlockNode *filter_insert(const BlockDriver *drv, BlockNode *n, const char *name, GError **err);
/* Its child takes its place; the filter goes. */
void filter_remove(BlockNode *filter);
/* n's backing child becomes `to` (NULL: none); n's header is left alone. */
bool node_set_backing(BlockNode *n, BlockNode *to, GError **err);
/* What n's header says about its backing file. Makes n writable for it when it is not. */
bool node_change_backing_file(BlockNode *n, const char *file, const char *fmt, GError **err);
/* Names of everything above n that shows n's name. */
void node_refresh_names_above(BlockNode *n);
int node_flush_sync(BlockNode *n);

/* Filters (filters.c); their child's link is "file" or "backing". */
extern const BlockDriver driver_copy_on_read, driver_commit_top, driver_mirror_top, driver_cbw, driver_blkdebug,
    driver_blkverify;
static inline NodeLink *filter_link(BlockNode *f) { return f->file ? f->file : f->backing; }
/* What a job's filter does with writes; given by the job to a mirror_top or copy-before-write node. */
typedef struct FilterHooks {
    /* before the write goes on; < 0: it fails */
    int (*before)(void *opaque, int64_t offset, int64_t bytes);
    /* after it, if before let it through; ret: how it went. v NULL: zeroes, or with discard, nothing */
    int (*after)(void *opaque, int ret, int64_t offset, int64_t bytes, const IoVec *v, size_t vo, bool discard);
    void *opaque;
    bool is_commit;                     /* the base is written to */
} FilterHooks;
void filter_set_hooks(BlockNode *filter, const FilterHooks *hooks);
#endif
