/*
 * Snapshots of the whole machine inside its images: savevm, loadvm, delvm.
 *
 * All writable images take part, or nothing happens; the first has the machine's state in it, as a migration stream. Main
 * thread, machine lock held, which is dropped meanwhile; the guest stands still until they return.
 */
#ifndef MIGRATION_SNAPSHOT_H
#define MIGRATION_SNAPSHOT_H
#include <jansson.h>
#include "hw/core/machine.h"

/* name NULL: "vm-DATE". One of that name is replaced. */
bool snapshot_save(Machine *m, const char *name, GError **err);
bool snapshot_load(Machine *m, const char *name, GError **err);
bool snapshot_delete(const char *name, GError **err);
/* The same with these nodes only; a name that is there already is an error when saving. */
typedef enum SnapshotVerb { SNAPSHOT_SAVE, SNAPSHOT_LOAD, SNAPSHOT_DELETE } SnapshotVerb;
typedef struct SnapshotSet {
    const char *vmstate;        /* the node that has the machine's state; NULL to delete */
    char **nodes;               /* NULL at the end */
} SnapshotSet;
bool snapshot_on_nodes(Machine *m, SnapshotVerb what, const char *name, const SnapshotSet *set, GError **err);
/* QMP's snapshot-save, -load and -delete, as jobs, by their arguments (snapshot-job.c). */
bool snapshot_job(Machine *m, SnapshotVerb what, json_t *args, GError **err);
/* `info snapshots`. */
bool snapshot_list(GString *out, GError **err);
#endif
