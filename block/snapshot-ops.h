/* Snapshots in three steps, as transactions need them: prepare, then commit or abort, then clean. The graph is quiesced. */
#ifndef BLOCK_SNAPSHOT_OPS_H
#define BLOCK_SNAPSHOT_OPS_H
#include "block/graph.h"

typedef struct SnapshotExt { BlockNode *old, *overlay; bool in_place; } SnapshotExt;
/* args of blockdev-snapshot-sync (sync) or blockdev-snapshot */
bool snapshot_ext_prepare(SnapshotExt *s, json_t *args, bool sync, GError **err);
void snapshot_ext_commit(SnapshotExt *s);
void snapshot_ext_abort(SnapshotExt *s);
void snapshot_ext_clean(SnapshotExt *s);

/* Inside the image. *made: what abort deletes. */
bool snapshot_int_create(json_t *args, BlockNode **made, GError **err);
bool snapshot_int_delete(BlockNode *n, const char *id_or_name, GError **err);
#endif
