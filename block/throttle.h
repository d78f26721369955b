/*
 * Throttling of drives: limits on bytes and operations a second, alone or shared by a group.
 * A bucket fills with what is done and drains at its rate; who finds it full waits.
 */
#ifndef BLOCK_THROTTLE_H
#define BLOCK_THROTTLE_H
#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "util/coroutine.h"

typedef enum ThrottleKind { THROTTLE_BPS_TOTAL, THROTTLE_BPS_READ, THROTTLE_BPS_WRITE, THROTTLE_OPS_TOTAL,
                            THROTTLE_OPS_READ, THROTTLE_OPS_WRITE, THROTTLE_KINDS } ThrottleKind;
typedef struct ThrottleBucket {
    uint64_t avg, max, burst;           /* a second; burst: seconds that max may be kept up */
    double level, burst_level;          /* units above what has drained */
} ThrottleBucket;

typedef struct ThrottleConfig {
    ThrottleBucket bucket[THROTTLE_KINDS];
    uint64_t op_size;                   /* bytes that count as one operation; 0: any */
} ThrottleConfig;

typedef struct ThrottleGroup ThrottleGroup;
typedef struct ThrottleMember { ThrottleGroup *group; } ThrottleMember;

/* Takes "throttling.*" (and the old names of -drive: bps, iops_rd, ...) from opts; *any: there was a limit. */
bool throttle_take_options(json_t *opts, ThrottleConfig *cfg, char **group, bool *any, GError **err);
void throttle_join(ThrottleMember *m, const char *group, const ThrottleConfig *cfg);
void throttle_leave(ThrottleMember *m);
const ThrottleConfig *throttle_config(const ThrottleMember *m, const char **group);     /* NULL: no limits */
/* While on, nothing waits: for drains. */
void throttle_hurry(ThrottleMember *m, bool on);
/* Waits until bytes may pass, and counts them. */
void co_throttle(ThrottleMember *m, bool write, int64_t bytes);
#endif
