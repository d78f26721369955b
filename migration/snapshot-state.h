/*
 * The area of an image that holds a machine's state, as a channel of a stream: two buffers, so that one is filled, or used,
 * while the other is on its way.
 */
#ifndef MIGRATION_SNAPSHOT_STATE_H
#define MIGRATION_SNAPSHOT_STATE_H
#include "block/graph.h"
#include "migration/channel.h"

typedef struct StateChannel StateChannel;

/* The image is one whose driver has co_vmstate. size: of what can be read; 0 for writing. Main thread. */
StateChannel *state_channel_new(BlockNode *n, uint64_t size);
Channel *state_channel_base(StateChannel *c);           /* for a stream, which does not free it */
/* Writes what is left, and waits for it. 0 or -errno. */
int state_channel_finish(StateChannel *c);
uint64_t state_channel_size(const StateChannel *c);     /* that were written, or can be read */
/* The area is the snapshot's alone: the active image forgets it. */
void state_channel_discard(StateChannel *c);
void state_channel_free(StateChannel *c);
#endif
