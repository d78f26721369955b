/* HMP's commit. */
#ifndef BLOCK_LIVE_OPS_H
#define BLOCK_LIVE_OPS_H
#include "block/block.h"

/* What the top image of the drive holds goes into its backing file; the top is empty afterwards. 0 or -errno. */
int blk_commit(BlockBackend *blk);
#endif
