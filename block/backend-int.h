/* A drive's inside, for the files that implement block.h. */
#ifndef BLOCK_BACKEND_INT_H
#define BLOCK_BACKEND_INT_H
#include "block/aio.h"
#include "block/graph.h"
#include "block/throttle.h"

struct BlockBackend {
    char *name;                         /* "" when anonymous */
    unsigned refs;
    NodeLink *root;                     /* NULL: no medium */
    unsigned perm, shared;              /* what the device takes, also of media to come */
    DriveInfo *drive;                   /* NULL: from -blockdev, or a tool's */

    /* the device in front */
    void *dev;
    const BlkDevOps *ops;
    void *ops_opaque;
    bool anonymous;                     /* made for the device: dropped with it */

    /* what media get, kept for the next one */
    unsigned open_flags;                /* OPEN_* */
    int detect_zeroes;
    bool read_only, write_cache, tray_open, iostatus;
    BlkOnError on_read, on_write;
    int status;                         /* 0 ok, ENOSPC, or another error */
    ThrottleMember throttle;

    unsigned in_flight;
    BlkStats stats;
    int64_t last_access;                /* ns; 0: never */
    BlockBackend *next;                 /* of all */
};

void drive_info_free(DriveInfo *di);
/* Bounds of a request of the device: 0, -EIO or -ENOMEDIUM. */
int blk_check(BlockBackend *blk, int64_t offset, int64_t bytes);
/* In a coroutine: everything that a request of a drive is subject to. */
typedef enum BlkOp { OP_READ, OP_WRITE, OP_FLUSH, OP_DISCARD, OP_ZERO } BlkOp;
int blk_co_do(BlockBackend *blk, BlkOp op, int64_t offset, int64_t bytes, const IoVec *v, unsigned flags);
BlockBackend *blk_by_dev_or_name(const char *device, bool by_qdev, GError **err);
extern const BlockHost *block_host;
/* Of what the device wants, what it gets of this medium: a removable one may be read-only. */
unsigned blk_perm_for(BlockBackend *blk, BlockNode *n, unsigned perm);
bool blk_is_removable(BlockBackend *blk);
void blk_tray_event(BlockBackend *blk, bool open);
bool blk_tray_is_open(BlockBackend *blk);
#endif
