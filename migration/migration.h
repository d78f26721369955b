/*
 * Migrations: of this machine to somewhere (migrate), or of another to here (-incoming). The monitor and the command line
 * see this header.
 *
 * All calls on the main thread, under the machine lock. One migration at a time.
 */
#ifndef MIGRATION_MIGRATION_H
#define MIGRATION_MIGRATION_H
#include <jansson.h>
#include "hw/core/machine.h"

/* QMP's MigrationStatus, in its order. */
typedef enum MigStatus {
    MIG_NONE, MIG_SETUP, MIG_CANCELLING, MIG_CANCELLED, MIG_ACTIVE, MIG_POSTCOPY_ACTIVE, MIG_POSTCOPY_PAUSED, MIG_POSTCOPY_RECOVER,
    MIG_COMPLETED, MIG_FAILED, MIG_COLO, MIG_PRE_SWITCHOVER, MIG_DEVICE, MIG_WAIT_UNPLUG,
} MigStatus;
const char *migration_status_name(MigStatus s);

void migration_init(Machine *m, int (*take_fd)(const char *name, GError **err));
MigStatus migration_status(void);
bool migration_gave_away(void);         /* by post-copy: the guest is at the target, for good or ill */
bool migration_is_idle(void);           /* devices may come and go */
/* Errors that are known at once; what happens later is told by migration_query. */
bool migration_start(const char *uri, GError **err);
void migration_cancel(void);
/* From pause-before-switchover's pause. */
bool migration_continue(const char *state, GError **err);
/* fn(opaque) on the main thread when the migration that runs now is over; at once when none does. */
void migration_when_over(void (*fn)(void *opaque), void *opaque);
json_t *migration_query(void);          /* query-migrate */
const char *migration_error(void);      /* of the last one; NULL: none */
/* Waits for the thread; before the machine goes. */
void migration_cleanup(void);

/* -incoming URI: before devices are made (images are then opened without their locks), and when the machine is ready. */
bool incoming_prepare(Machine *m, const char *uri, bool start, GError **err);
bool incoming_start(Machine *m, GError **err);
bool incoming_by_command(const char *uri, GError **err);        /* migrate_incoming, after -incoming defer */
/* How far it is: MIG_NONE when none has come. migrate-pause and migrate-recover of post-copy. */
MigStatus incoming_status(void);
void incoming_describe(json_t *to);     /* for query-migrate */
bool incoming_pause(GError **err);
bool incoming_recover(const char *uri, GError **err);
/* The monitor's cont and stop, while the stream is still to come: is the guest to run afterwards? False: nothing is coming. */
bool incoming_pending(Machine *m, bool start);
/* Before the machine runs: takes the images' locks when that is still to be done. */
bool migration_activate_images(GError **err);
#endif
