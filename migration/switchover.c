/*
 * Outgoing migrations: switch-over. The guest stops; the rest of the pages, the devices and the images go. What fails
 * leads back to the running guest with its images.
 */
#include "block/block.h"
#include "migration/converge.h"
#include "migration/outgoing-int.h"
#include "migration/savevm.h"
#include "util/error.h"

bool switchover_stop(GError **err)
{
    mig.was = machine_state(mig.machine);
    mig.was_running = machine_is_running(mig.machine);
    mig.stopped = true;
    mig.stopped_at = g_get_monotonic_time();
    machine_stop(mig.machine, RUN_FINISH_MIGRATE);
    converge_end();
    if (migration_cap(CAP_PAUSE_BEFORE_SWITCHOVER) && mig.status != MIG_POSTCOPY_ACTIVE)
        migration_set_status(MIG_PRE_SWITCHOVER);
    return true;
}

/* pause-before-switchover: until migrate_continue. */
static bool wait_for_user(GError **err)
{
    g_mutex_lock(&mig.lock);
    while (!mig.go_on && !mig.quitting && !migration_is_cancelled())
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

void switchover_save_devices(void)
{
    static const ChannelOps ops = { .write = to_memory, .free = nothing };
    static Channel memory = { &ops };
    MigStream *s = stream_new(&memory);

    if (mig.without_end)
        save_device_sections(s, mig.machine, mig.was, NULL);
    else
        save_devices(s, mig.machine, mig.was);
    stream_flush(s);
    stream_free(s);
}

bool switchover_save(GError **err)
{
    switchover_save_devices();
    return block_inactivate_all(err);
}

bool switchover_run(GError **err)
{
    uint64_t devices;

    if (!migration_on_main(switchover_stop, err))
        return false;
    if (migration_cap(CAP_PAUSE_BEFORE_SWITCHOVER) && !wait_for_user(err))
        return false;
    precopy_next_pass();
    if (!ram_save_check(mig.ram, err))
        return false;
    ram_save_send(mig.ram, mig.stream, UINT64_MAX, true);
    stream_flush(mig.stream);
    figures_note();
    if (migration_is_cancelled())
        return error_set(err, "cancelled");
    if (stream_error(mig.stream))
        return stream_failed(mig.stream, err);
    if (!migration_on_main(switchover_save, err))
        return false;
    devices = stream_bytes(mig.stream);
    put_bytes(mig.stream, mig.devices->data, mig.devices->len);
    if (mig.indexed)
        ram_save_index(mig.ram, mig.stream, devices);
    if (!stream_flush(mig.stream))
        return stream_failed(mig.stream, err);
    mig.sent_at = g_get_monotonic_time();
    return true;
}

void switchover_undo(void)
{
    g_autoptr(GError) err = NULL;

    if (!mig.stopped)
        return;
    if (mig.given_away) {
        machine_stop(mig.machine, RUN_POSTMIGRATE);
        return;
    }
    if (!block_activate_all(&err)) {
        error_report("the guest stays stopped: its images cannot be taken back: %s", err->message);
        machine_stop(mig.machine, RUN_POSTMIGRATE);
    } else if (mig.was_running) {
        machine_start(mig.machine);
    } else {
        machine_stop(mig.machine, mig.was);
    }
}
