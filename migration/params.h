/*
 * What a migration may be told beforehand: capabilities and parameters, with QEMU's names, defaults and limits.
 * Under the machine lock.
 */
#ifndef MIGRATION_PARAMS_H
#define MIGRATION_PARAMS_H
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum MigCap {
    CAP_XBZRLE, CAP_RDMA_PIN_ALL, CAP_AUTO_CONVERGE, CAP_ZERO_BLOCKS, CAP_COMPRESS, CAP_EVENTS, CAP_POSTCOPY_RAM, CAP_X_COLO,
    CAP_RELEASE_RAM, CAP_BLOCK, CAP_RETURN_PATH, CAP_PAUSE_BEFORE_SWITCHOVER, CAP_MULTIFD, CAP_DIRTY_BITMAPS,
    CAP_POSTCOPY_BLOCKTIME, CAP_LATE_BLOCK_ACTIVATE, CAP_X_IGNORE_SHARED, CAP_VALIDATE_UUID, CAP_BACKGROUND_SNAPSHOT,
    CAP_ZERO_COPY_SEND, CAP_POSTCOPY_PREEMPT, CAP_COUNT,
} MigCap;

bool migration_cap(MigCap c);
bool migration_cap_by_name(const char *name);       /* false also for one that does not exist */
const char *migration_cap_name(MigCap c);
/* What we do not have can't be switched on, and says so. */
bool migration_set_cap(const char *name, bool on, GError **err);

typedef enum MigParam {
    PARAM_ANNOUNCE_INITIAL, PARAM_ANNOUNCE_MAX, PARAM_ANNOUNCE_ROUNDS, PARAM_ANNOUNCE_STEP, PARAM_COMPRESS_LEVEL,
    PARAM_COMPRESS_THREADS, PARAM_COMPRESS_WAIT_THREAD, PARAM_DECOMPRESS_THREADS, PARAM_THROTTLE_TRIGGER, PARAM_THROTTLE_INITIAL,
    PARAM_THROTTLE_INCREMENT, PARAM_THROTTLE_TAILSLOW, PARAM_MAX_THROTTLE, PARAM_TLS_CREDS, PARAM_TLS_HOSTNAME,
    PARAM_MAX_BANDWIDTH, PARAM_DOWNTIME_LIMIT, PARAM_CHECKPOINT_DELAY, PARAM_BLOCK_INCREMENTAL, PARAM_MULTIFD_CHANNELS,
    PARAM_MULTIFD_COMPRESSION, PARAM_XBZRLE_CACHE_SIZE, PARAM_MAX_POSTCOPY_BANDWIDTH, PARAM_TLS_AUTHZ, PARAM_ZLIB_LEVEL,
    PARAM_ZSTD_LEVEL, PARAM_COUNT,
} MigParam;

typedef enum MigParamKind { MIG_INT, MIG_SIZE, MIG_BOOL, MIG_STR, MIG_ENUM } MigParamKind;
typedef struct MigParamRow {
    const char *name;
    MigParamKind kind;
    int64_t def, min, max;
    const char *unit;           /* as `info migrate_parameters` prints it: " ms"; NULL: not printed there */
    const char *range;          /* for the message; NULL: from min and max */
    const char *const *words;   /* MIG_ENUM */
} MigParamRow;
extern const MigParamRow migration_params[PARAM_COUNT];     /* in the order of `info migrate_parameters` */

int64_t migration_param(MigParam p);                /* a word's index for MIG_ENUM */
const char *migration_param_str(MigParam p);
int migration_param_find(const char *name);         /* -1: none */
/* Checks only, or sets too. */
bool migration_check_param(MigParam p, int64_t v, GError **err);
bool migration_set_param(MigParam p, int64_t v, GError **err);
bool migration_set_param_str(MigParam p, const char *text, GError **err);
#endif
