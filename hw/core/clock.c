/*
 * Guest time: nanoseconds that the guest has been running. It stops with the guest.
 *
 * Armed timers stand in a binary heap, the earliest first. One timerfd wakes the main loop at the first
 * one's time; it is programmed only when that moves forward, and rearmed when it fires early.
 * With virtual time (qtest) nothing moves but by clock_step and clock_set.
 */
#include <glib-unix.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>
#include "hw/core/machine.h"

struct Clock {
    uint64_t base;              /* guest time when it last stopped */
    uint64_t started;           /* CLOCK_MONOTONIC when it last started */
    bool running, is_virtual;
    GPtrArray *heap;            /* Timer * */
    int fd;                     /* timerfd, or -1 */
    uint64_t programmed;        /* guest time that fd is set to; TIMER_NEVER: off */
    guint source;
};

static uint64_t monotonic_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * NS_PER_S + t.tv_nsec;
}

uint64_t host_now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec * NS_PER_S + t.tv_nsec;
}

uint64_t clock_now(Machine *m)
{
    Clock *c = m->clock;

    return c->running && !c->is_virtual ? c->base + (monotonic_ns() - c->started) : c->base;
}

uint64_t vm_now(const Device *d)
{
    return clock_now(d->machine);
}

/* ---- The heap ---- */

static inline Timer *heap_at(Clock *c, unsigned i)
{
    return g_ptr_array_index(c->heap, i);
}

static void heap_put(Clock *c, unsigned i, Timer *t)
{
    c->heap->pdata[i] = t;
    t->slot = i + 1;
}

static void sift_up(Clock *c, unsigned i, Timer *t)
{
    for (; i && heap_at(c, (i - 1) / 2)->at > t->at; i = (i - 1) / 2)
        heap_put(c, i, heap_at(c, (i - 1) / 2));
    heap_put(c, i, t);
}

static void sift_down(Clock *c, unsigned i, Timer *t)
{
    for (unsigned kid; (kid = 2 * i + 1) < c->heap->len; i = kid) {
        if (kid + 1 < c->heap->len && heap_at(c, kid + 1)->at < heap_at(c, kid)->at)
            kid++;
        if (heap_at(c, kid)->at >= t->at)
            break;
        heap_put(c, i, heap_at(c, kid));
    }
    heap_put(c, i, t);
}

static void heap_remove(Clock *c, Timer *t)
{
    unsigned i = t->slot - 1;
    Timer *last = heap_at(c, c->heap->len - 1);

    g_ptr_array_set_size(c->heap, c->heap->len - 1);
    t->slot = 0;
    if (last == t)
        return;
    if (i && heap_at(c, (i - 1) / 2)->at > last->at)
        sift_up(c, i, last);
    else
        sift_down(c, i, last);
}

/* ---- The host's alarm ---- */

static void program(Machine *m)
{
    Clock *c = m->clock;
    struct itimerspec it = { 0 };
    uint64_t first = c->heap->len ? heap_at(c, 0)->at : TIMER_NEVER, host;

    if (c->is_virtual || !c->running || first >= c->programmed)
        return;
    c->programmed = first;
    host = first > c->base ? c->started + (first - c->base) : 1;
    if (first > c->base && first - c->base > (uint64_t)1 << 60)     /* one that was overdue when the clock stopped is not far off */
        return;
    it.it_value.tv_sec = host / NS_PER_S;
    it.it_value.tv_nsec = MAX(host % NS_PER_S, 1);
    timerfd_settime(c->fd, TFD_TIMER_ABSTIME, &it, NULL);
}

static void run_timers(Machine *m, uint64_t now)
{
    Clock *c = m->clock;

    /* Bounded: a timer that arms itself in the past must not hold the main loop. */
    for (unsigned left = c->heap->len + 64; left && c->heap->len && heap_at(c, 0)->at <= now; left--) {
        Timer *t = heap_at(c, 0);

        heap_remove(c, t);
        t->at = TIMER_NEVER;
        t->fire(t->opaque);
    }
}

static gboolean alarm_fired(gint fd, GIOCondition cond, gpointer opaque)
{
    Machine *m = opaque;
    uint64_t n;

    (void)cond;
    if (read(fd, &n, sizeof n) == sizeof n && m->clock->running) {
        m->clock->programmed = TIMER_NEVER;
        run_timers(m, clock_now(m));
        program(m);
    }
    return G_SOURCE_CONTINUE;
}

/* ---- Timers ---- */

void timer_init(Timer *t, Device *d, void (*fire)(void *opaque), void *opaque)
{
    *t = (Timer){ .at = TIMER_NEVER, .fire = fire, .opaque = opaque, .machine = d->machine };
}

void timer_stop(Timer *t)
{
    if (t->slot)
        heap_remove(t->machine->clock, t);
    t->at = TIMER_NEVER;
}

void timer_arm(Timer *t, uint64_t at)
{
    Clock *c;

    if (at >= INT64_MAX) {
        timer_stop(t);
        return;
    }
    c = t->machine->clock;
    if (t->slot)
        heap_remove(c, t);
    t->at = at;
    g_ptr_array_set_size(c->heap, c->heap->len + 1);
    sift_up(c, c->heap->len - 1, t);
    if (t->slot == 1)
        program(t->machine);
}

/* ---- The clock ---- */

void clock_init(Machine *m, bool virtual_time)
{
    Clock *c = m->clock = g_new0(Clock, 1);

    c->is_virtual = virtual_time;
    c->heap = g_ptr_array_new();
    c->programmed = TIMER_NEVER;
    c->fd = -1;
    if (!virtual_time) {
        c->fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
        g_assert(c->fd >= 0);
        c->source = g_unix_fd_add_full(G_PRIORITY_HIGH, c->fd, G_IO_IN, alarm_fired, m, NULL);
    }
}

void clock_start(Machine *m)
{
    Clock *c = m->clock;

    if (c->running)
        return;
    c->running = true;
    c->started = monotonic_ns();
    c->programmed = TIMER_NEVER;
    program(m);
}

void clock_stop(Machine *m)
{
    Clock *c = m->clock;

    c->base = clock_now(m);
    c->running = false;
}

void clock_set(Machine *m, uint64_t ns)
{
    Clock *c = m->clock;

    c->base = ns;
    c->started = monotonic_ns();
    c->programmed = TIMER_NEVER;
    if (c->is_virtual)
        run_timers(m, ns);
    else
        program(m);
}

uint64_t clock_deadline(Machine *m)
{
    return m->clock->heap->len ? heap_at(m->clock, 0)->at : TIMER_NEVER;
}

uint64_t clock_step(Machine *m, int64_t ns)
{
    Clock *c = m->clock;
    uint64_t to;

    if (ns < 0)
        to = clock_deadline(m) == TIMER_NEVER ? c->base : MAX(clock_deadline(m), c->base);
    else
        to = c->base + MIN((uint64_t)ns, INT64_MAX - MIN(c->base, INT64_MAX));
    /* A timer sees the time that it was set for, as it would had the clock run. */
    while (clock_deadline(m) <= to) {
        c->base = MAX(c->base, clock_deadline(m));
        run_timers(m, c->base);
    }
    c->base = to;
    return to;
}

void clock_free(Machine *m)
{
    Clock *c = m->clock;

    if (c->source)
        g_source_remove(c->source);
    if (c->fd >= 0)
        close(c->fd);
    g_ptr_array_free(c->heap, true);
    g_free(c);
    m->clock = NULL;
}
