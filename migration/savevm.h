/*
 * The frame of a migration stream: header, configuration, RAM, devices, end. Used by migrations and by snapshots.
 */
#ifndef MIGRATION_SAVEVM_H
#define MIGRATION_SAVEVM_H
#include "migration/ram.h"
#include "migration/sections.h"

/* Magic, version and configuration section; before the RAM. */
void save_header(MigStream *s, Machine *m);
/* All device sections, the end mark and the description. Machine lock held, guest stopped. */
void save_devices(MigStream *s, Machine *m, RunState was);

typedef struct LoadResult {
    bool has_state;
    RunState state;             /* the source's */
    bool return_path;           /* the source waits for an answer */
    struct MultiRecv *multi;    /* in: channels that bring pages, or NULL */
} LoadResult;
/* Reads a whole stream into the machine, which is stopped. The machine lock is not held: it is taken for the device
 * sections, and dropped while waiting for data. On failure the machine is in no state to run. */
bool load_stream(MigStream *s, Machine *m, LoadResult *res, GError **err);
#endif
