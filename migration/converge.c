/*
 * Once a second at most it is seen how much the guest has written and how much has gone out; when twice the one was
 * more than throttle-trigger-threshold percent of the other, the CPUs are held back, and later more.
 */
#include <glib.h>
#include "accel/accel.h"
#include "migration/converge.h"
#include "migration/format.h"
#include "migration/params.h"

#define PERIOD_US 1000000

static struct {
    gint64 since;
    uint64_t bytes, pages;      /* at the period's beginning */
    unsigned high;              /* periods in which too much was written, since the last change */
    int percent;
} now;

static void set(int percent)
{
    now.percent = percent;
    if (accel && accel->throttle)
        accel->throttle(percent);
}

void converge_begin(void)
{
    now.since = g_get_monotonic_time();
    now.bytes = now.pages = 0;
    now.high = 0;
    now.percent = 0;
}

void converge_end(void)
{
    if (now.percent)
        set(0);
}

int converge_percent(void)
{
    return now.percent;
}

/* dirty: bytes written; fair: what would be all right. */
static void hold_back_more(double dirty, double fair)
{
    double more = migration_param(PARAM_THROTTLE_INCREMENT);

    if (!now.percent) {
        set(migration_param(PARAM_THROTTLE_INITIAL));
        return;
    }
    if (migration_param(PARAM_THROTTLE_TAILSLOW))
        more = MIN(more, (100 - now.percent) * (1 - fair / dirty));     /* what the CPUs have left, without what they may keep */
    set(MIN(now.percent + (int)more, (int)migration_param(PARAM_MAX_THROTTLE)));
}

void converge_look(uint64_t bytes, uint64_t dirty_pages)
{
    gint64 t = g_get_monotonic_time();
    double dirty = (double)(dirty_pages - now.pages) * MIG_PAGE;
    double fair = (double)(bytes - now.bytes) * migration_param(PARAM_THROTTLE_TRIGGER) / 100;

    if (t < now.since + PERIOD_US)
        return;
    now.since = t;
    now.bytes = bytes;
    now.pages = dirty_pages;
    if (dirty <= fair || ++now.high < 2)
        return;
    now.high = 0;
    hold_back_more(dirty, fair);
}
