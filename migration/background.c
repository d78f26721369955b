/*
 * background-snapshot: memory is protected against writes (userfaultfd), and a page may be written again when it has gone
 * out. Pages that nobody had touched at that moment are zero, and need no protection.
 */
#include <string.h>
#include <unistd.h>
#include "migration/background.h"
#include "migration/format.h"
#include "migration/outgoing-int.h"
#include "migration/savevm.h"
#include "migration/uffd.h"
#include "util/error.h"
#include "util/loop.h"

#define CHUNK (256 << 10)
#define WINDOW_US 50000

static int uffd = -1;

bool background_possible(GError **err)
{
    g_autoptr(GError) why = NULL;
    int fd = uffd_open(true, &why);

    if (fd < 0)
        return error_set(err, "Background-snapshot is not supported by host kernel: %s", why->message);
    close(fd);
    return true;
}

void background_end(void)
{
    if (uffd >= 0)
        close(uffd);            /* unregisters all, and wakes who waits */
    uffd = -1;
}

/* ---- The moment ---- */

static bool protect_all(GError **err)
{
    for (unsigned i = 0; i < mig.machine->ram_blocks->len; i++) {
        RamBlock *b = g_ptr_array_index(mig.machine->ram_blocks, i);
        int r = b->migrate ? uffd_register(uffd, b->host, b->max_size, true) : 0;

        if (r == 0 && b->migrate)
            r = uffd_protect(uffd, b->host, b->max_size, true);
        if (r < 0)
            return error_set_errno(err, r, "Background-snapshot: memory block '%s' cannot be protected", b->name);
    }
    return true;
}

static bool take(GError **err)
{
    if (!migration_is_cancelled())
        migration_set_status(MIG_ACTIVE);
    mig.was = machine_state(mig.machine);
    mig.was_running = machine_is_running(mig.machine);
    mig.paused_us = g_get_monotonic_time();
    if (mig.was_running)
        machine_stop(mig.machine, RUN_PAUSED);
    mig.ram = ram_save_new(mig.machine, true);
    ram_save_freeze(mig.ram);
    switchover_save_devices();
    return protect_all(err);
}

static void go_on(void *opaque)
{
    if (mig.was_running)
        machine_start(mig.machine);
    mig.paused_us = g_get_monotonic_time() - mig.paused_us;
}

bool background_begin(GError **err)
{
    bool ok;

    uffd = uffd_open(true, err);
    if (uffd < 0)
        return false;
    ok = migration_on_main(take, err);
    if (!ok)
        background_end();
    main_loop_call(go_on, NULL);        /* its writes to guest memory wait for this thread */
    return ok;
}

/* ---- The pages ---- */

typedef struct Place { unsigned block; uint64_t page; } Place;

static void release(Place from, Place to)
{
    uint64_t pages;
    uint8_t *host;

    for (unsigned i = from.block; i <= to.block && (host = ram_save_memory(mig.ram, i, &pages)); i++) {
        uint64_t first = i == from.block ? from.page : 0, last = i == to.block ? to.page : pages;

        if (last > first)
            uffd_protect(uffd, host + first * MIG_PAGE, (last - first) * MIG_PAGE, false);
    }
}

/* Sends pages that somebody waits to write to, then lets them. Waits at most ms for them. */
static void serve(int ms)
{
    UffdFault faults[16];
    int n = uffd_wait(uffd, mig.cancel_fd, ms, faults, G_N_ELEMENTS(faults));

    for (int i = 0; i < n; i++)
        ram_save_urgent(mig.ram, mig.stream, (void *)faults[i].addr);
    if (n <= 0)
        return;
    stream_flush(mig.stream);
    for (int i = 0; i < n; i++)
        uffd_protect(uffd, (void *)faults[i].addr, MIG_PAGE, false);
}

/* Keeps to max-bandwidth; the guest's writes are served meanwhile. */
static void keep_rate(gint64 *since, uint64_t *bytes)
{
    int64_t limit = migration_param(PARAM_MAX_BANDWIDTH);
    gint64 end = *since + WINDOW_US, now;
    bool full = limit > 0 && stream_bytes(mig.stream) - *bytes >= (uint64_t)limit / (1000000 / WINDOW_US);

    while (full && (now = g_get_monotonic_time()) < end && !migration_is_cancelled() && !stream_error(mig.stream))
        serve((end - now + 999) / 1000);
    if (full || g_get_monotonic_time() >= end) {
        *since = g_get_monotonic_time();
        *bytes = stream_bytes(mig.stream);
    }
}

static bool send_pages(GError **err)
{
    gint64 since = g_get_monotonic_time();
    uint64_t bytes = stream_bytes(mig.stream);
    bool done = false;

    while (!done) {
        Place from, to;

        serve(0);
        ram_save_position(mig.ram, &from.block, &from.page);
        done = ram_save_send(mig.ram, mig.stream, CHUNK, false);
        stream_flush(mig.stream);
        ram_save_position(mig.ram, &to.block, &to.page);
        if (!done)
            release(from, to);
        figures_note();
        if (stream_error(mig.stream))
            return stream_failed(mig.stream, err);
        if (migration_is_cancelled())
            return error_set(err, "cancelled");
        keep_rate(&since, &bytes);
    }
    return true;
}

bool background_run(GError **err)
{
    uint64_t devices;

    if (!send_pages(err))
        return false;
    background_end();
    ram_save_send(mig.ram, mig.stream, UINT64_MAX, true);
    devices = stream_bytes(mig.stream);
    put_bytes(mig.stream, mig.devices->data, mig.devices->len);
    if (mig.indexed)
        ram_save_index(mig.ram, mig.stream, devices);
    mig.sent_at = g_get_monotonic_time();
    return stream_flush(mig.stream) || stream_failed(mig.stream, err);
}
