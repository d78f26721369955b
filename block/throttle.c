/* Throttling of drives. */
#include <inttypes.h>
#include <string.h>
#include "block/aio.h"
#include "block/options.h"
#include "block/throttle.h"
#include "util/error.h"

#define LIMIT_MAX UINT64_C(1000000000000000)

struct ThrottleGroup {
    char *name;
    unsigned refs;
    ThrottleConfig cfg;
    int64_t last;                       /* when the buckets drained last, ns */
    CoMutex turn[2];                    /* one waiter of each direction computes, the others queue behind it */
    AioTimer alarm[2];                  /* of that one */
    unsigned hurry;                     /* somebody waits for all requests: let them pass */
    ThrottleGroup *next;
};

static ThrottleGroup *groups;

static const struct { const char *suffix, *old; } keys[THROTTLE_KINDS] = {
    { "bps-total", "bps" }, { "bps-read", "bps_rd" }, { "bps-write", "bps_wr" },
    { "iops-total", "iops" }, { "iops-read", "iops_rd" }, { "iops-write", "iops_wr" },
};

static bool take(json_t *opts, const char *key, const char *old, uint64_t *val, bool *any, GError **err)
{
    g_autofree char *full = g_strconcat("throttling.", key, NULL);

    if (!jopts_get(opts, full) && old && jopts_get(opts, old)) {
        g_autofree char *v = jopts_take(opts, old);

        jopts_set(opts, full, v);
    }
    if (!jopts_get(opts, full))
        return true;
    if (!jopts_take_number(opts, full, val, err))
        return false;
    if (*val > LIMIT_MAX)
        return error_set(err, "bps/iops/max values must be within [0, %" PRIu64 "]", LIMIT_MAX);
    *any |= *val != 0;
    return true;
}

static bool check(const ThrottleConfig *c, GError **err)
{
    const ThrottleBucket *b = c->bucket;

    for (unsigned i = 0; i < THROTTLE_KINDS; i += 3)
        if ((b[i].avg && (b[i + 1].avg || b[i + 2].avg)) || (b[i].max && (b[i + 1].max || b[i + 2].max)))
            return error_set(err, b[i].avg ? "bps/iops/max total values and read/write values cannot be used at the same time"
                             : "bps/iops/max total values and read/write values cannot be used at the same time");
    if (c->op_size && !b[THROTTLE_OPS_TOTAL].avg && !b[THROTTLE_OPS_READ].avg && !b[THROTTLE_OPS_WRITE].avg)
        return error_set(err, "iops size requires an iops value to be set");
    for (unsigned i = 0; i < THROTTLE_KINDS; i++) {
        if (!b[i].burst)
            return error_set(err, "the burst length cannot be 0");
        if (b[i].burst > 1 && !b[i].max)
            return error_set(err, "burst length set without burst rate");
        if (b[i].max && !b[i].avg)
            return error_set(err, "bps_max/iops_max require corresponding bps/iops values");
        if (b[i].max && b[i].max < b[i].avg)
            return error_set(err, "bps_max/iops_max cannot be lower than bps/iops");
    }
    return true;
}

bool throttle_take_options(json_t *opts, ThrottleConfig *cfg, char **group, bool *any, GError **err)
{
    bool dummy;

    *cfg = (ThrottleConfig){ 0 };
    *any = false;
    for (unsigned i = 0; i < THROTTLE_KINDS; i++) {
        g_autofree char *max = g_strconcat(keys[i].suffix, "-max", NULL), *max_old = g_strconcat(keys[i].old, "_max", NULL),
                        *len = g_strconcat(max, "-length", NULL), *len_old = g_strconcat(max_old, "_length", NULL);
        ThrottleBucket *b = &cfg->bucket[i];

        b->burst = 1;
        if (!take(opts, keys[i].suffix, keys[i].old, &b->avg, any, err) || !take(opts, max, max_old, &b->max, any, err) ||
            !take(opts, len, len_old, &b->burst, &dummy, err))
            return false;
    }
    if (!take(opts, "iops-size", "iops_size", &cfg->op_size, &dummy, err))
        return false;
    *group = jopts_take(opts, "throttling.group");
    if (!*group)
        *group = jopts_take(opts, "group");
    return check(cfg, err);
}

void throttle_join(ThrottleMember *m, const char *name, const ThrottleConfig *cfg)
{
    ThrottleGroup *g = groups;

    throttle_leave(m);
    while (g && strcmp(g->name, name))
        g = g->next;
    if (!g) {
        g = g_new0(ThrottleGroup, 1);
        g->name = g_strdup(name);
        g->next = groups;
        groups = g;
    }
    g->refs++;
    g->cfg = *cfg;
    g->last = aio_now();
    m->group = g;
}

void throttle_leave(ThrottleMember *m)
{
    ThrottleGroup *g = m->group, **p = &groups;

    m->group = NULL;
    if (!g || --g->refs)
        return;
    while (*p != g)
        p = &(*p)->next;
    *p = g->next;
    g_free(g->name);
    g_free(g);
}

const ThrottleConfig *throttle_config(const ThrottleMember *m, const char **group)
{
    if (m->group && group)
        *group = m->group->name;
    return m->group ? &m->group->cfg : NULL;
}

static void drain(ThrottleGroup *g)
{
    int64_t now = aio_now();
    double s = (now - g->last) / 1e9;

    g->last = now;
    for (unsigned i = 0; i < THROTTLE_KINDS; i++) {
        ThrottleBucket *b = &g->cfg.bucket[i];

        b->level = MAX(b->level - b->avg * s, 0);
        b->burst_level = MAX(b->burst_level - b->max * s, 0);
    }
}

/* Nanoseconds until b takes more. */
static int64_t bucket_wait(const ThrottleBucket *b)
{
    double extra, room;

    if (!b->avg)
        return 0;
    /* without a maximum, a tenth of a second's worth may come at once */
    room = b->max ? (double)b->max * b->burst : b->avg / 10.0;
    extra = b->level - room;
    if (extra > 0)
        return extra / b->avg * 1e9;
    if (b->burst > 1) {
        extra = b->burst_level - b->max / 10.0;
        if (extra > 0)
            return extra / b->max * 1e9;
    }
    return 0;
}

static void wake_waiter(void *opaque)
{
    coroutine_wake(opaque);
}

void throttle_hurry(ThrottleMember *m, bool on)
{
    ThrottleGroup *g = m->group;

    if (!g)
        return;
    g->hurry += on ? 1 : -1;
    for (unsigned i = 0; on && i < 2; i++) {
        if (g->alarm[i].at) {
            aio_timer_stop(&g->alarm[i]);
            wake_waiter(g->alarm[i].opaque);
        }
    }
}

void co_throttle(ThrottleMember *m, bool write, int64_t bytes)
{
    ThrottleGroup *g = m->group;
    double ops;

    if (!g)
        return;
    g->refs++;
    ops = g->cfg.op_size && (uint64_t)bytes > g->cfg.op_size ? (double)bytes / g->cfg.op_size : 1;
    co_mutex_lock(&g->turn[write]);
    for (;;) {
        int64_t wait = 0;

        drain(g);
        for (unsigned i = 0; i < THROTTLE_KINDS; i++)
            if (i % 3 == 0 || i % 3 == 1u + write)
                wait = MAX(wait, bucket_wait(&g->cfg.bucket[i]));
        if (!wait || g->hurry)
            break;
        g->alarm[write].fire = wake_waiter;
        g->alarm[write].opaque = coroutine_self();
        aio_timer_arm(&g->alarm[write], aio_now() + wait);
        coroutine_yield();
    }
    for (unsigned i = 0; i < THROTTLE_KINDS; i++) {
        if (i % 3 == 0 || i % 3 == 1u + write) {
            double units = i < 3 ? bytes : ops;

            g->cfg.bucket[i].level += units;
            g->cfg.bucket[i].burst_level += units;
        }
    }
    co_mutex_unlock(&g->turn[write]);
    m = &(ThrottleMember){ g };
    throttle_leave(m);
}
