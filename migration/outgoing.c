/*
 * Sending this machine somewhere: pre-copy from a thread of its own.
 *
 * Phases (docs/migration.md): connect, setup, rounds of pages while the guest runs (precopy.c), stop, the rest of the
 * pages, devices, hand-over of the images (switchover.c), end. The thread never holds the machine lock while it writes;
 * what needs the main thread is done there by migration_on_main. Until the end mark has been written and the other side
 * has not refused it, every failure leads back to the running guest with its images.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "migration/background.h"
#include "migration/converge.h"
#include "migration/format.h"
#include "migration/outgoing-int.h"
#include "migration/postcopy.h"
#include "migration/savevm.h"
#include "util/error.h"
#include "util/loop.h"

Migration mig = { .cancel_fd = -1, .fd = -1 };


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

bool migration_gave_away(void)
{
    return __atomic_load_n(&mig.given_away, __ATOMIC_ACQUIRE);
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

void migration_set_status(MigStatus s)
{
    if (mig.status == s)
        return;
    mig.status = s;
    if (migration_cap(CAP_EVENTS))
        machine_event(mig.machine, "MIGRATION", "{s:s}", "status", status_names[s]);
}

bool migration_is_cancelled(void)
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

bool migration_on_main(bool (*fn)(GError **err), GError **err)
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

void migration_pause(gint64 us)
{
    struct pollfd p = { .fd = mig.cancel_fd, .events = POLLIN };

    poll(&p, 1, (us + 999) / 1000);
}

uint64_t migration_bytes(void)
{
    return stream_bytes(mig.stream) + (mig.multi ? multi_send_bytes(mig.multi) : 0);
}

/* ---- The thread ---- */

static bool open_channels(Channel *main, GError **err)
{
    int method = migration_param(PARAM_MULTIFD_COMPRESSION);
    MultiSendConfig c = {
        .to = &mig.uri.addr, .channels = migration_param(PARAM_MULTIFD_CHANNELS), .method = method,
        .level = migration_param(method == 1 ? PARAM_ZLIB_LEVEL : PARAM_ZSTD_LEVEL), .uuid = mig.machine->cfg->uuid,
        .main_fd = channel_fd(main), .cancelled = migration_is_cancelled,
    };

    mig.multi = multi_send_new(&c, err);
    ram_save_over(mig.ram, mig.multi);
    return mig.multi;
}

static void begin_saving(void)
{
    machine_lock();
    mig.ram = ram_save_new(mig.machine, false);
    converge_begin();
    if (migration_cap(CAP_EVENTS))
        machine_event(mig.machine, "MIGRATION_PASS", "{s:i}", "pass", 1);
    machine_unlock();
}

static bool open_way_back(Channel *c, GError **err)
{
    if (migration_cap(CAP_POSTCOPY_RAM))
        return postcopy_open(c, err);
    if (!migration_cap(CAP_RETURN_PATH) && mig.uri.kind != URI_SSH)     /* a tunnel's end says nothing about the other side */
        return true;
    if (!channel_expect_answer(c))
        return error_set(err, "return-path: only a socket has a way back");
    put_u8(mig.stream, MIG_COMMAND);
    put_u16(mig.stream, CMD_OPEN_RETURN_PATH);
    put_u16(mig.stream, 0);
    return true;
}

static bool send_rest(Channel *c, GError **err)
{
    if (migration_cap(CAP_BACKGROUND_SNAPSHOT))
        return background_run(err) && channel_finish(c, err);
    if (!precopy_rounds(err) || !(postcopy_is_wanted() ? postcopy_run(err) : switchover_run(err)))
        return false;
    return migration_cap(CAP_POSTCOPY_RAM) ? postcopy_finish(err) : channel_finish(c, err);
}

static void begin_active(void)
{
    machine_lock();
    mig.figures.setup_ms = (g_get_monotonic_time() - mig.began) / 1000;
    if (!migration_is_cancelled())
        migration_set_status(MIG_ACTIVE);
    machine_unlock();
}

static bool send_all(GError **err)
{
    Channel *c = channel_open(&mig.uri, mig.fd, mig.cancel_fd, err);

    if (!c)
        return false;
    mig.fd = -1;
    mig.stream = stream_new(c);
    if (migration_cap(CAP_BACKGROUND_SNAPSHOT) && !background_begin(err))
        return false;
    if (!mig.ram)
        begin_saving();
    figures_note();
    if (migration_cap(CAP_MULTIFD) && !open_channels(c, err))
        return false;
    if (migration_cap(CAP_XBZRLE) && !mig.multi && !ram_save_differences(mig.ram, migration_param(PARAM_XBZRLE_CACHE_SIZE), err))
        return false;
    save_header(mig.stream, mig.machine);
    if (!open_way_back(c, err))
        return false;
    mig.indexed = channel_is_file(c) && !migration_cap(CAP_XBZRLE);
    if (mig.indexed)
        ram_save_keep_places(mig.ram);
    ram_save_setup(mig.ram, mig.stream);
    if (!stream_flush(mig.stream))
        return stream_failed(mig.stream, err);
    if (!migration_cap(CAP_BACKGROUND_SNAPSHOT))        /* there it has been, and the lock's holder may wait for us */
        begin_active();
    return send_rest(c, err);
}

static void stop_saving(void)
{
    converge_end();
    postcopy_close();
    background_end();
    if (mig.ram)
        figures_note();
    g_clear_pointer(&mig.multi, multi_send_free);
    g_clear_pointer(&mig.ram, ram_save_free);
    stream_free(mig.stream);
    mig.stream = NULL;
    g_byte_array_set_size(mig.devices, 0);
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
        figures_final();
        if (!migration_cap(CAP_BACKGROUND_SNAPSHOT))
            machine_stop(mig.machine, RUN_POSTMIGRATE);
        migration_set_status(MIG_COMPLETED);
    } else {
        switchover_undo();
        if (!migration_is_cancelled()) {
            mig.error = g_strdup(err->message);
            error_report("%s", err->message);
        }
        migration_set_status(migration_is_cancelled() ? MIG_CANCELLED : MIG_FAILED);
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

    background_end();           /* the main thread may be waiting to write */
    if (!ok && mig.stream && !migration_is_cancelled())
        channel_explain(stream_channel(mig.stream), &err);
    if (!ok && mig.multi && !migration_is_cancelled()) {
        GError *why = NULL;

        if (multi_send_error(mig.multi, &why)) {
            g_clear_error(&err);
            err = why;
        }
    }
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
    mig.start_postcopy = mig.given_away = mig.without_end = false;
    mig.stopped_at = mig.paused_us = 0;
    mig.requests = mig.bytes_before = 0;
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
    if (migration_cap(CAP_MULTIFD) && mig.uri.kind != URI_TCP && mig.uri.kind != URI_UNIX) {
        uri_clear(&mig.uri);
        return error_set(err, "multifd is not supported by current protocol");
    }
    if (migration_cap(CAP_MULTIFD) && migration_cap(CAP_POSTCOPY_RAM)) {
        uri_clear(&mig.uri);
        return error_set(err, "Postcopy is not yet compatible with multifd");
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
    migration_set_status(MIG_SETUP);
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
    migration_set_status(MIG_CANCELLING);
    wake_thread();
}

bool migration_continue(const char *state, GError **err)
{
    if (mig.status != MIG_PRE_SWITCHOVER || strcmp(state, "pre-switchover"))
        return error_set(err, "Migration not in expected state: %s", status_names[mig.status]);
    migration_set_status(MIG_DEVICE);
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
