/* The block layer's event source. */
#include <errno.h>
#include <glib.h>
#include <poll.h>
#include <time.h>
#include "block/aio.h"

typedef struct AioFd {
    int fd;
    unsigned events;                    /* AIO_READ, AIO_WRITE; 0: not looked at */
    void (*ready)(void *opaque);
    void *opaque;
    gpointer tag;                       /* NULL while not looked at */
} AioFd;

static struct {
    GSource *source;
    GThread *main_thread;
    AioFd *fds;
    unsigned n_fds, max_fds;
    unsigned fds_changed;               /* counts additions and removals */
    AioTimer *timers;                   /* by time */
    AioSoon *soon, **soon_last;
    bool woken;                         /* the main loop knows that something is ready */
} loop = { .soon_last = &loop.soon };

int64_t aio_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

/* ---- timers */

static void next_ready_time(void)
{
    if (loop.source)
        g_source_set_ready_time(loop.source, loop.timers ? (loop.timers->at + 999) / 1000 : -1);
}

void aio_timer_stop(AioTimer *t)
{
    for (AioTimer **p = &loop.timers; t->at && *p; p = &(*p)->next) {
        if (*p == t) {
            *p = t->next;
            break;
        }
    }
    t->at = 0;
    next_ready_time();
}

static void source_make(void);

void aio_timer_arm(AioTimer *t, int64_t at)
{
    AioTimer **p = &loop.timers;

    aio_timer_stop(t);
    source_make();
    while (*p && (*p)->at <= at)
        p = &(*p)->next;
    t->at = MAX(at, 1);
    t->next = *p;
    *p = t;
    next_ready_time();
}

static bool timers_run(void)
{
    bool any = false;

    while (loop.timers && loop.timers->at <= aio_now()) {
        AioTimer *t = loop.timers;

        loop.timers = t->next;
        t->at = 0;
        t->fire(t->opaque);
        any = true;
    }
    if (any)
        next_ready_time();
    return any;
}

static void wake_sleeper(void *opaque)
{
    coroutine_wake(opaque);
}

void co_sleep_until(int64_t at)
{
    AioTimer t = { .fire = wake_sleeper, .opaque = coroutine_self() };

    aio_timer_arm(&t, at);
    coroutine_yield();
}

/* ---- calls */

static void wake_main(void);

void aio_call_soon(AioSoon *s)
{
    bool was_empty = !loop.soon;

    s->next = NULL;
    *loop.soon_last = s;
    loop.soon_last = &s->next;
    if (was_empty)
        wake_main();
}

static bool soon_run(void)
{
    AioSoon **end = loop.soon_last;
    bool any = false, last = false;

    while (loop.soon && !last) {
        AioSoon *s = loop.soon;

        last = &s->next == end;
        loop.soon = s->next;
        if (!loop.soon)
            loop.soon_last = &loop.soon;
        s->fn(s->opaque);
        any = true;
    }
    return any;
}

/* ---- the GSource */

static gboolean source_prepare(GSource *src, int *timeout)
{
    *timeout = -1;
    return coroutine_any_ready() || loop.soon;
}

static gboolean source_check(GSource *src)
{
    if (coroutine_any_ready() || loop.soon)
        return TRUE;
    for (unsigned i = 0; i < loop.n_fds; i++)
        if (loop.fds[i].tag && g_source_query_unix_fd(src, loop.fds[i].tag))
            return TRUE;
    return FALSE;
}

static gboolean source_dispatch(GSource *src, GSourceFunc cb, gpointer data)
{
    laio_plug();
    /* a change of the set ends the walk: who is left out is served the next time */
    for (unsigned i = 0, was = loop.fds_changed; i < loop.n_fds && was == loop.fds_changed; i++)
        if (loop.fds[i].tag && g_source_query_unix_fd(src, loop.fds[i].tag))
            loop.fds[i].ready(loop.fds[i].opaque);
    timers_run();
    loop.woken = false;
    coroutine_run_ready();
    soon_run();
    laio_unplug();
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs source_funcs = { source_prepare, source_check, source_dispatch, NULL, NULL, NULL };

static void source_make(void)
{
    if (loop.source)
        return;
    loop.source = g_source_new(&source_funcs, sizeof(GSource));
    g_source_set_static_name(loop.source, "block");
    g_source_set_can_recurse(loop.source, TRUE);
    g_source_attach(loop.source, NULL);
    next_ready_time();
}

/* Something has become ready: the main loop must look, even if it waits now (we may be a vCPU thread). */
static void wake_main(void)
{
    source_make();
    if (g_thread_self() == loop.main_thread || loop.woken)
        return;
    loop.woken = true;
    g_main_context_wakeup(NULL);
}

void aio_init(void)
{
    loop.main_thread = g_thread_self();
    coroutine_set_wake_hook(wake_main);
}

static GIOCondition condition_of(unsigned events)
{
    return (events & AIO_READ ? G_IO_IN : 0) | (events & AIO_WRITE ? G_IO_OUT : 0);
}

void aio_add_fd(int fd, void (*ready)(void *opaque), void *opaque)
{
    if (loop.n_fds == loop.max_fds) {
        loop.max_fds = MAX(8, 2 * loop.max_fds);
        loop.fds = g_renew(AioFd, loop.fds, loop.max_fds);
    }
    source_make();
    loop.fds[loop.n_fds++] = (AioFd){ fd, AIO_READ, ready, opaque, g_source_add_unix_fd(loop.source, fd, G_IO_IN) };
    loop.fds_changed++;
}

static AioFd *find_fd(int fd)
{
    for (unsigned i = 0; i < loop.n_fds; i++)
        if (loop.fds[i].fd == fd)
            return &loop.fds[i];
    return NULL;
}

/* One that nobody waits for is taken out altogether: a poll would tell of its other end's hanging up again and again. */
void aio_set_events(int fd, unsigned events)
{
    AioFd *f = find_fd(fd);

    if (!f || f->events == events)
        return;
    f->events = events;
    if (f->tag && events) {
        g_source_modify_unix_fd(loop.source, f->tag, condition_of(events));
    } else if (f->tag) {
        g_source_remove_unix_fd(loop.source, f->tag);
        f->tag = NULL;
    } else {
        f->tag = g_source_add_unix_fd(loop.source, fd, condition_of(events));
    }
    if (loop.main_thread != g_thread_self())
        g_main_context_wakeup(NULL);
}

void aio_del_fd(int fd)
{
    AioFd *f = find_fd(fd);

    if (!f)
        return;
    if (f->tag)
        g_source_remove_unix_fd(loop.source, f->tag);
    *f = loop.fds[--loop.n_fds];
    loop.fds_changed++;
}

/* ---- waiting */

/* Calls those that poll found ready; each is looked up again, since the one before may have changed the set. */
static bool serve_fds(const struct pollfd *p, unsigned n)
{
    bool any = false;

    for (unsigned i = 0; i < n; i++) {
        AioFd *f = p[i].revents ? find_fd(p[i].fd) : NULL;

        if (f && f->events) {
            f->ready(f->opaque);
            any = true;
        }
    }
    return any;
}

static bool poll_fds(bool wait)
{
    struct pollfd few[16], *p = loop.n_fds <= G_N_ELEMENTS(few) ? few : g_new(struct pollfd, loop.n_fds);
    struct timespec ts = { 0, 0 };
    unsigned n = 0;
    bool any = false;

    if (wait && loop.timers) {
        int64_t ns = MAX(loop.timers->at - aio_now(), 0);

        ts.tv_sec = ns / 1000000000;
        ts.tv_nsec = ns % 1000000000;
    }
    for (unsigned i = 0; i < loop.n_fds; i++) {
        const AioFd *f = &loop.fds[i];

        if (f->events)
            p[n++] = (struct pollfd){ f->fd, (f->events & AIO_READ ? POLLIN : 0) | (f->events & AIO_WRITE ? POLLOUT : 0), 0 };
    }
    /* nothing to wait for is a bug that would hang here */
    g_assert(!wait || n || loop.timers);
    if (ppoll(p, n, wait && !loop.timers ? NULL : &ts, NULL) > 0)
        any = serve_fds(p, n);
    if (p != few)
        g_free(p);
    return any;
}

bool aio_poll(bool wait)
{
    bool any = coroutine_run_ready();

    laio_submit_now();
    any |= coroutine_run_ready();
    if (!coroutine_in())
        any |= soon_run();
    any |= poll_fds(wait && !any);
    any |= timers_run();
    any |= coroutine_run_ready();
    if (!coroutine_in())
        any |= soon_run();
    return any;
}

typedef struct SyncRun { CoroutineEntry *entry; void *opaque; bool done; } SyncRun;

static void sync_entry(void *opaque)
{
    SyncRun *r = opaque;

    r->entry(r->opaque);
    r->done = true;
}

void aio_run_sync(CoroutineEntry *entry, void *opaque)
{
    SyncRun r = { entry, opaque, false };
    Coroutine *co;

    if (coroutine_in()) {
        entry(opaque);
        return;
    }
    co = coroutine_new(sync_entry, &r);
    coroutine_set_blocking(co, true);
    coroutine_enter(co);
    AIO_WAIT_WHILE(!r.done);
}
