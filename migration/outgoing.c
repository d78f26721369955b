/*
 * Sending this machine somewhere: pre-copy from a thread of its own.
 *
 * Phases (docs/migration.md): connect, setup, rounds of pages while the guest runs, stop, the rest of the pages, devices,
 * hand-over of the images, end. The thread never holds the machine lock while it writes; what needs the main thread is
 * done there by run_on_main. Until the end mark has been written and the other side has not refused it, every failure
 * leads back to the running guest with its images.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "block/block.h"
#include "migration/format.h"
#include "migration/migration.h"
#include "migration/params.h"
#include "migration/savevm.h"
#include "util/error.h"
#include "util/loop.h"

#define CHUNK (1 << 20)         /* bytes of pages in one section */
#define WINDOW_US 100000        /* the rate limit's */

typedef struct Figures {        /* what query-migrate shows */
    RamStats ram;
    uint64_t remaining, precopy_bytes, downtime_bytes;
    double mbps;
    uint64_t pages_per_second;
    int64_t setup_ms, total_ms, downtime_ms, expected_ms;
} Figures;

static struct Migration {
    Machine *machine;
    int (*take_fd)(const char *name, GError **err);

    /* under the machine lock */
    MigStatus status;
    char *error;
    GThread *thread;
    MigUri uri;
    int fd, cancel_fd;
    RunState was;               /* before the guest was stopped for us */
    bool stopped, was_running;
    GSList *waiting;            /* Waiter */

    /* the thread's */
    RamSave *ram;
    MigStream *stream;
    GByteArray *devices;        /* made on the main thread, written by ours */
    gint64 began, stopped_at, sent_at;      /* us */
    bool cancelled;             /* atomic */

    /* under lock */
    GMutex lock;
    GCond cond;
    Figures figures;
    bool main_done, quitting, go_on;
} mig = { .cancel_fd = -1, .fd = -1 };

typedef struct Waiter { void (*fn)(void *opaque); void *opaque; } Waiter;

static const char *const status_names[] = {
    "none", "setup", "cancelling", "cancelled", "active", "postcopy-active", "postcopy-paused", "postcopy-recover", "completed",
    "failed", "colo", "pre-switchover", "device", "wait-unplug",
};

const char *migration_status_name(MigStatus s)
{
    return status_names[s];
}

MigStatus migration_status(void)
{
    return mig.status;
}

const char *migration_error(void)
{
    return mig.error;
}

bool migration_is_idle(void)
{
    return mig.status == MIG_NONE || mig.status == MIG_CANCELLED || mig.status == MIG_COMPLETED || mig.status == MIG_FAILED;
}

void migration_init(Machine *m, int (*take_fd)(const char *name, GError **err))
{
    mig.machine = m;
    mig.take_fd = take_fd;
}

static void set_status(MigStatus s)
{
    if (mig.status == s)
        return;
    mig.status = s;
    if (migration_cap(CAP_EVENTS))
        machine_event(mig.machine, "MIGRATION", "{s:s}", "status", status_names[s]);
}

static bool is_cancelled(void)
{
    return __atomic_load_n(&mig.cancelled, __ATOMIC_ACQUIRE);
}

/* ---- Between the threads ---- */

typedef struct MainCall { bool (*fn)(GError **err); bool ok; GError *err; } MainCall;
static MainCall call;

static void call_on_main(void *opaque)
{
    call.ok = call.fn(&call.err);
    g_mutex_lock(&mig.lock);
    mig.main_done = true;
    g_cond_broadcast(&mig.cond);
    g_mutex_unlock(&mig.lock);
}

/* Runs fn on the main thread, under the machine lock, and waits for it. False also when the program ends. */
static bool run_on_main(bool (*fn)(GError **err), GError **err)
{
    bool done;

    call = (MainCall){ .fn = fn };
    mig.main_done = false;
    main_loop_call(call_on_main, NULL);
    g_mutex_lock(&mig.lock);
    while (!mig.main_done && !mig.quitting)
        g_cond_wait(&mig.cond, &mig.lock);
    done = mig.main_done;
    g_mutex_unlock(&mig.lock);
    if (!done)
        return error_set(err, "the program ends");
    if (call.err)
        g_propagate_error(err, call.err);
    return call.ok;
}

/* Waits at most us microseconds, less when the migration is cancelled. */
static void pause_thread(gint64 us)
{
    struct pollfd p = { .fd = mig.cancel_fd, .events = POLLIN };

    poll(&p, 1, (us + 999) / 1000);
}

static void note_figures(void)
{
    uint64_t left = ram_save_pending(mig.ram);

    g_mutex_lock(&mig.lock);
    mig.figures.ram = *ram_save_stats(mig.ram);
    mig.figures.remaining = left;
    if (mig.stopped_at)
        mig.figures.downtime_bytes = stream_bytes(mig.stream) - mig.figures.precopy_bytes;
    else
        mig.figures.precopy_bytes = stream_bytes(mig.stream);
    g_mutex_unlock(&mig.lock);
}

/* ---- While the guest runs ---- */

static void next_pass(void)
{
    machine_lock();
    ram_save_sync(mig.ram);
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
    r->bytes = stream_bytes(mig.stream);
    r->pages = st->zero_pages + st->normal_pages;
}

/* What the window has shown of the speed. */
static void measure(Rate *r)
{
    gint64 now = g_get_monotonic_time(), us = MAX(now - r->start, 1);
    const RamStats *st = ram_save_stats(mig.ram);
    uint64_t bytes = stream_bytes(mig.stream) - r->bytes;
    double speed = bytes * 1e6 / MAX(r->busy, 1);
    int64_t limit = migration_param(PARAM_MAX_BANDWIDTH);

    if (limit > 0)
        speed = MIN(speed, (double)limit);
    r->threshold = speed * migration_param(PARAM_DOWNTIME_LIMIT) / 1000;
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
    bool full = stream_bytes(mig.stream) - r->bytes >= bytes_per_window();

    if (full && us < WINDOW_US)
        pause_thread(WINDOW_US - us);
    if (full || us >= WINDOW_US) {
        measure(r);
        begin_window(r);
    }
}

static bool rounds(GError **err)
{
    Rate r = { 0 };
    bool empty = false;

    begin_window(&r);
    for (;;) {
        uint64_t used = stream_bytes(mig.stream) - r.bytes, room = bytes_per_window();
        gint64 t = g_get_monotonic_time();

        if (used < room)
            empty = ram_save_send(mig.ram, mig.stream, MIN(room - used, CHUNK), false);
        stream_flush(mig.stream);
        r.busy += g_get_monotonic_time() - t;
        note_figures();
        if (stream_error(mig.stream))
            return stream_failed(mig.stream, err);
        if (is_cancelled())
            return error_set(err, "cancelled");
        if (empty || ram_save_pending(mig.ram) <= r.threshold) {
            next_pass();
            note_figures();
            if (ram_save_pending(mig.ram) <= r.threshold)
                return true;
        }
        keep_rate(&r);
    }
}

/* ---- Switch-over ---- */

static bool stop_guest(GError **err)
{
    mig.was = machine_state(mig.machine);
    mig.was_running = machine_is_running(mig.machine);
    mig.stopped = true;
    mig.stopped_at = g_get_monotonic_time();
    machine_stop(mig.machine, RUN_FINISH_MIGRATE);
    if (migration_cap(CAP_PAUSE_BEFORE_SWITCHOVER))
        set_status(MIG_PRE_SWITCHOVER);
    return true;
}

/* pause-before-switchover: until migrate_continue. */
static bool wait_for_user(GError **err)
{
    g_mutex_lock(&mig.lock);
    while (!mig.go_on && !mig.quitting && !is_cancelled())
        g_cond_wait(&mig.cond, &mig.lock);
    g_mutex_unlock(&mig.lock);
    return mig.go_on || error_set(err, "cancelled");
}

static int to_memory(Channel *c, struct iovec *iov, int n)
{
    for (int i = 0; i < n; i++)
        g_byte_array_append(mig.devices, iov[i].iov_base, iov[i].iov_len);
    return 0;
}

static void nothing(Channel *c)
{
}

/* The device sections, in memory; and the images go. */
static bool save_rest(GError **err)
{
    static const ChannelOps ops = { .write = to_memory, .free = nothing };
    static Channel memory = { &ops };
    MigStream *s = stream_new(&memory);

    save_devices(s, mig.machine, mig.was);
    stream_flush(s);
    stream_free(s);
    return block_inactivate_all(err);
}

static bool switch_over(GError **err)
{
    if (!run_on_main(stop_guest, err))
        return false;
    if (migration_cap(CAP_PAUSE_BEFORE_SWITCHOVER) && !wait_for_user(err))
        return false;
    next_pass();
    if (!ram_save_check(mig.ram, err))
        return false;
    ram_save_send(mig.ram, mig.stream, UINT64_MAX, true);
    stream_flush(mig.stream);
    note_figures();
    if (is_cancelled())
        return error_set(err, "cancelled");
    if (stream_error(mig.stream))
        return stream_failed(mig.stream, err);
    if (!run_on_main(save_rest, err))
        return false;
    put_bytes(mig.stream, mig.devices->data, mig.devices->len);
    if (!stream_flush(mig.stream))
        return stream_failed(mig.stream, err);
    mig.sent_at = g_get_monotonic_time();
    return true;
}

/* ---- The thread ---- */

static void begin_saving(void)
{
    machine_lock();
    mig.ram = ram_save_new(mig.machine, false);
    if (migration_cap(CAP_EVENTS))
        machine_event(mig.machine, "MIGRATION_PASS", "{s:i}", "pass", 1);
    machine_unlock();
}

static bool send_all(GError **err)
{
    Channel *c = channel_open(&mig.uri, mig.fd, mig.cancel_fd, err);

    if (!c)
        return false;
    mig.fd = -1;
    mig.stream = stream_new(c);
    begin_saving();
    note_figures();
    save_header(mig.stream, mig.machine);
    if (migration_cap(CAP_RETURN_PATH)) {
        if (!channel_expect_answer(c))
            return error_set(err, "return-path: only a socket has a way back");
        put_u8(mig.stream, MIG_COMMAND);
        put_u16(mig.stream, CMD_OPEN_RETURN_PATH);
        put_u16(mig.stream, 0);
    }
    ram_save_setup(mig.ram, mig.stream);
    if (!stream_flush(mig.stream))
        return stream_failed(mig.stream, err);
    machine_lock();
    mig.figures.setup_ms = (g_get_monotonic_time() - mig.began) / 1000;
    if (!is_cancelled())
        set_status(MIG_ACTIVE);
    machine_unlock();
    return rounds(err) && switch_over(err) && channel_finish(c, err);
}

static void stop_saving(void)
{
    if (mig.ram)
        note_figures();
    ram_save_free(mig.ram);
    mig.ram = NULL;
    stream_free(mig.stream);
    mig.stream = NULL;
    g_byte_array_set_size(mig.devices, 0);
}

/* The guest goes on here, with its images. */
static void take_back(void)
{
    g_autoptr(GError) err = NULL;

    if (!mig.stopped)
        return;
    if (!block_activate_all(&err)) {
        error_report("the guest stays stopped: its images cannot be taken back: %s", err->message);
        machine_stop(mig.machine, RUN_POSTMIGRATE);
    } else if (mig.was_running) {
        machine_start(mig.machine);
    } else {
        machine_stop(mig.machine, mig.was);
    }
}

static void tell_waiting(void)
{
    while (mig.waiting) {
        Waiter *w = mig.waiting->data;

        mig.waiting = g_slist_delete_link(mig.waiting, mig.waiting);
        w->fn(w->opaque);
        g_free(w);
    }
}

/* On the main thread, when the migration thread has nothing more to do. */
static void over(void *opaque)
{
    GError *err = opaque;
    gint64 now = g_get_monotonic_time();

    if (!mig.thread)
        return;
    g_clear_pointer(&mig.thread, g_thread_join);
    stop_saving();
    mig.figures.total_ms = (now - mig.began) / 1000;
    if (!err) {
        mig.figures.downtime_ms = (mig.sent_at - mig.stopped_at) / 1000;
        mig.figures.mbps = mig.figures.ram.transferred * 8.0 / MAX(mig.sent_at - mig.began, 1);
        mig.figures.pages_per_second = 0;
        machine_stop(mig.machine, RUN_POSTMIGRATE);
        set_status(MIG_COMPLETED);
    } else {
        take_back();
        if (!is_cancelled()) {
            mig.error = g_strdup(err->message);
            error_report("%s", err->message);
        }
        set_status(is_cancelled() ? MIG_CANCELLED : MIG_FAILED);
        g_error_free(err);
    }
    uri_clear(&mig.uri);
    if (mig.fd >= 0)
        close(mig.fd);
    mig.fd = -1;
    tell_waiting();
}

static void *migration_thread(void *opaque)
{
    GError *err = NULL;
    bool ok = send_all(&err);

    if (!ok && !err)
        error_set(&err, "the migration failed");
    main_loop_call(over, ok ? NULL : err);
    return NULL;
}

/* ---- Commands ---- */

static void forget_last(void)
{
    uint64_t waste;

    if (mig.cancel_fd < 0)
        mig.cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    while (read(mig.cancel_fd, &waste, sizeof waste) > 0)
        continue;
    g_clear_pointer(&mig.error, g_free);
    if (!mig.devices)
        mig.devices = g_byte_array_new();
    mig.cancelled = mig.stopped = mig.was_running = mig.go_on = false;
    mig.stopped_at = 0;
    memset(&mig.figures, 0, sizeof mig.figures);
    mig.figures.expected_ms = migration_param(PARAM_DOWNTIME_LIMIT);
}

bool migration_start(const char *uri, GError **err)
{
    if (!migration_is_idle())
        return error_set(err, "There's a migration process in progress");
    if (machine_state(mig.machine) == RUN_INMIGRATE)
        return error_set(err, "Guest is waiting for an incoming migration");
    if (machine_state(mig.machine) == RUN_POSTMIGRATE)
        return error_set(err, "Can't migrate the vm that was paused due to previous migration");
    if (!uri_parse(&mig.uri, uri, false, err)) {
        uri_clear(&mig.uri);
        return false;
    }
    if (mig.uri.kind == URI_FD) {
        mig.fd = mig.take_fd ? mig.take_fd(mig.uri.text, err) : -1;
        if (mig.fd < 0) {
            uri_clear(&mig.uri);
            return false;
        }
    }
    forget_last();
    mig.began = g_get_monotonic_time();
    mig.status = MIG_NONE;
    set_status(MIG_SETUP);
    mig.thread = g_thread_new("live_migration", migration_thread, NULL);
    return true;
}

static void wake_thread(void)
{
    uint64_t one = 1;

    __atomic_store_n(&mig.cancelled, true, __ATOMIC_RELEASE);
    if (write(mig.cancel_fd, &one, sizeof one) < 0)
        error_report("migration: cannot wake the thread: %s", g_strerror(errno));
    g_mutex_lock(&mig.lock);
    g_cond_broadcast(&mig.cond);
    g_mutex_unlock(&mig.lock);
}

void migration_cancel(void)
{
    if (migration_is_idle() || mig.status == MIG_CANCELLING)
        return;
    set_status(MIG_CANCELLING);
    wake_thread();
}

bool migration_continue(const char *state, GError **err)
{
    if (mig.status != MIG_PRE_SWITCHOVER || strcmp(state, "pre-switchover"))
        return error_set(err, "Migration not in expected state: %s", status_names[mig.status]);
    set_status(MIG_DEVICE);
    g_mutex_lock(&mig.lock);
    mig.go_on = true;
    g_cond_broadcast(&mig.cond);
    g_mutex_unlock(&mig.lock);
    return true;
}

void migration_when_over(void (*fn)(void *opaque), void *opaque)
{
    Waiter *w;

    if (migration_is_idle()) {
        fn(opaque);
        return;
    }
    w = g_new(Waiter, 1);
    *w = (Waiter){ fn, opaque };
    mig.waiting = g_slist_append(mig.waiting, w);
}

void migration_cleanup(void)
{
    if (!mig.thread)
        return;
    wake_thread();
    g_mutex_lock(&mig.lock);
    mig.quitting = true;
    g_cond_broadcast(&mig.cond);
    g_mutex_unlock(&mig.lock);
    machine_unlock();
    g_thread_join(mig.thread);
    machine_lock();
    mig.thread = NULL;
    stop_saving();
}

/* ---- Questions ---- */

static json_t *query_ram(const Figures *f)
{
    const RamStats *r = &f->ram;

    return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:f,s:I,s:i,s:i,s:i,s:I,s:I,s:I,s:i,s:i}",
                     "transferred", (json_int_t)(f->precopy_bytes + f->downtime_bytes), "remaining", (json_int_t)f->remaining,
                     "total", (json_int_t)r->total, "duplicate", (json_int_t)r->zero_pages, "skipped", (json_int_t)r->skipped_pages,
                     "normal", (json_int_t)r->normal_pages, "normal-bytes", (json_int_t)r->normal_pages * 4096,
                     "dirty-pages-rate", (json_int_t)r->dirty_pages_rate, "mbps", f->mbps,
                     "dirty-sync-count", (json_int_t)r->dirty_syncs, "postcopy-requests", 0, "page-size", 4096, "multifd-bytes", 0,
                     "pages-per-second", (json_int_t)f->pages_per_second, "precopy-bytes", (json_int_t)f->precopy_bytes,
                     "downtime-bytes", (json_int_t)f->downtime_bytes, "postcopy-bytes", 0, "dirty-sync-missed-zero-copy", 0);
}

json_t *migration_query(void)
{
    json_t *j = json_object();
    Figures f;

    if (mig.status == MIG_NONE)
        return j;
    g_mutex_lock(&mig.lock);
    f = mig.figures;
    g_mutex_unlock(&mig.lock);
    json_object_set_new(j, "status", json_string(status_names[mig.status]));
    if (mig.status == MIG_COMPLETED) {
        json_object_set_new(j, "setup-time", json_integer(f.setup_ms));
        json_object_set_new(j, "total-time", json_integer(f.total_ms));
        json_object_set_new(j, "downtime", json_integer(f.downtime_ms));
        json_object_set_new(j, "ram", query_ram(&f));
    } else if (mig.status == MIG_FAILED) {
        if (mig.error)
            json_object_set_new(j, "error-desc", json_string(mig.error));
    } else if (mig.status != MIG_SETUP && mig.status != MIG_CANCELLED) {
        json_object_set_new(j, "setup-time", json_integer(f.setup_ms));
        json_object_set_new(j, "total-time", json_integer((g_get_monotonic_time() - mig.began) / 1000));
        json_object_set_new(j, "expected-downtime", json_integer(f.expected_ms));
        json_object_set_new(j, "ram", query_ram(&f));
    }
    return j;
}
