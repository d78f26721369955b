/*
 * Outgoing migrations: rounds of pages while the guest runs, no faster than max-bandwidth, until the rest can be sent
 * within the downtime limit at the speed seen.
 */
#include "migration/converge.h"
#include "migration/outgoing-int.h"
#include "migration/postcopy.h"
#include "util/error.h"
#include "util/loop.h"

#define CHUNK (1 << 20)         /* bytes of pages in one section; with multifd, where all channels wait for each other at its end */
#define MULTI_CHUNK (32 << 20)
#define WINDOW_US 100000        /* the rate limit's */
#define SWITCH_MS 8

void precopy_next_pass(void)
{
    machine_lock();
    ram_save_sync(mig.ram);
    if (migration_cap(CAP_AUTO_CONVERGE) && !mig.stopped)
        converge_look(migration_bytes(), ram_save_stats(mig.ram)->dirty_pages);
    if (migration_cap(CAP_EVENTS))
        machine_event(mig.machine, "MIGRATION_PASS", "{s:I}", "pass", (json_int_t)ram_save_stats(mig.ram)->dirty_syncs);
    machine_unlock();
}

typedef struct Rate {
    gint64 start, busy;         /* of this window; us spent writing */
    uint64_t bytes, pages;      /* of the stream when it began */
    uint64_t threshold;         /* what can be sent within the downtime limit */
} Rate;

static uint64_t bytes_per_window(void)
{
    int64_t limit = migration_param(PARAM_MAX_BANDWIDTH);

    return limit <= 0 ? UINT64_MAX : (uint64_t)limit / (1000000 / WINDOW_US) + 1;
}

static void begin_window(Rate *r)
{
    const RamStats *st = ram_save_stats(mig.ram);

    r->start = g_get_monotonic_time();
    r->busy = 0;
    r->bytes = migration_bytes();
    r->pages = st->zero_pages + st->normal_pages;
}

/* What a downtime leaves for pages: stopping the guest and sending the devices takes time too. ms */
static int64_t pages_time(int64_t limit)
{
    return MAX(limit - SWITCH_MS, limit / 2);
}

/* What the window has shown of the speed. */
static void measure(Rate *r)
{
    gint64 now = g_get_monotonic_time(), us = MAX(now - r->start, 1);
    const RamStats *st = ram_save_stats(mig.ram);
    uint64_t bytes = migration_bytes() - r->bytes;
    double speed = bytes * 1e6 / MAX(r->busy, 1);
    int64_t limit = migration_param(PARAM_MAX_BANDWIDTH);

    if (limit > 0)
        speed = MIN(speed, (double)limit);
    r->threshold = speed * pages_time(migration_param(PARAM_DOWNTIME_LIMIT)) / 1000;
    g_mutex_lock(&mig.lock);
    mig.figures.mbps = bytes * 8.0 / us;
    mig.figures.pages_per_second = (st->zero_pages + st->normal_pages - r->pages) * 1000000 / us;
    if (st->dirty_pages_rate && speed > 0)
        mig.figures.expected_ms = mig.figures.remaining * 1000 / speed;
    g_mutex_unlock(&mig.lock);
}

/* Ends the window when it is full or over. */
static void keep_rate(Rate *r)
{
    gint64 us = g_get_monotonic_time() - r->start;
    bool full = migration_bytes() - r->bytes >= bytes_per_window();

    if (full && us < WINDOW_US)
        migration_pause(WINDOW_US - us);
    if (full || us >= WINDOW_US) {
        measure(r);
        begin_window(r);
    }
}

bool precopy_rounds(GError **err)
{
    Rate r = { 0 };
    bool empty = false;

    begin_window(&r);
    for (;;) {
        uint64_t used = migration_bytes() - r.bytes, room = bytes_per_window();
        gint64 t = g_get_monotonic_time();

        if (used < room)
            empty = ram_save_send(mig.ram, mig.stream, MIN(room - used, mig.multi ? MULTI_CHUNK : CHUNK), false);
        stream_flush(mig.stream);
        r.busy += g_get_monotonic_time() - t;
        figures_note();
        if (stream_error(mig.stream))
            return stream_failed(mig.stream, err);
        if (migration_is_cancelled())
            return error_set(err, "cancelled");
        if (postcopy_is_wanted())
            return true;
        if (empty || ram_save_pending(mig.ram) <= r.threshold) {
            precopy_next_pass();
            figures_note();
            if (ram_save_pending(mig.ram) <= r.threshold)
                return true;
        }
        keep_rate(&r);
    }
}
