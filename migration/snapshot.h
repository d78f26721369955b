/*
 * Snapshots of the whole machine inside its images: savevm, loadvm, delvm.
 *
 * All writable images take part, or nothing happens; the first has the machine's state in it, as a migration stream. Main
 * thread, machine lock held, which is dropped meanwhile; the guest stands still until they return.
 */
#ifndef MIGRATION_SNAPSHOT_H
#define MIGRATION_SNAPSHOT_H
#include "hw/core/machine.h"

/* name NULL: "vm-DATE". One of that name is replaced. */
bool snapshot_save(Machine *m, const char *name, GError **err);
bool snapshot_load(Machine *m, const char *name, GError **err);
bool snapshot_delete(const char *name, GError **err);
/* `info snapshots`. */
bool snapshot_list(GString *out, GError **err);
#endif
