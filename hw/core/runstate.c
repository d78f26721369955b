/*
 * Run states, requests and the main loop.
 *
 * Invariants:
 *  1. vCPUs run if and only if the state is `running`.
 *  2. The clock runs if and only if the vCPUs do.
 *  3. A request is remembered until the main loop has seen to it; shutdown wins over reset.
 *  4. The vCPU that asks runs no further instruction before its request has been seen to: behind a reset there may
 *     be anything.
 */
#include <string.h>
#include "hw/core/machine-int.h"
#include "util/error.h"

typedef struct Observer { StateObserver *state; MachineNotify *notify; void *opaque; } Observer;
enum { OBS_STATE, OBS_POWERDOWN, OBS_SUSPEND, OBS_WAKEUP, OBS_READY, OBS_RESET, OBS_EXIT, OBS_KINDS };

struct RunControl {
    RunState state;
    ShutdownCause reset, shutdown;      /* asked for; CAUSE_NONE: not */
    bool powerdown, suspend, wakeup, exit;
    WakeSource wake_source;
    unsigned wake_enabled;              /* bit a WakeSource */
    RunState stop_to;                   /* RUN_STATE_MAX: not asked for */
    int exit_status;
    BottomHalf *bh;
    GMainLoop *loop;
    GSList *observers[OBS_KINDS];       /* Observer *, in order */
};

static const char *const state_names[] = {
    "debug", "inmigrate", "internal-error", "io-error", "paused", "postmigrate", "prelaunch", "finish-migrate",
    "restore-vm", "running", "save-vm", "shutdown", "suspended", "watchdog", "guest-panicked", "colo",
};

static const char *const cause_names[] = {
    "none", "host-error", "host-qmp-quit", "host-qmp-system-reset", "host-signal", "host-ui", "guest-shutdown",
    "guest-reset", "guest-panic", "subsystem-reset", "snapshot-load",
};

#define TO(s) (1u << RUN_##s)
static const unsigned legal[RUN_STATE_MAX] = {
    [RUN_DEBUG] = TO(RUNNING) | TO(FINISH_MIGRATE) | TO(PRELAUNCH) | TO(SAVE_VM) | TO(RESTORE_VM),
    [RUN_INMIGRATE] = TO(INTERNAL_ERROR) | TO(IO_ERROR) | TO(PAUSED) | TO(RUNNING) | TO(SHUTDOWN) | TO(SUSPENDED) |
                      TO(WATCHDOG) | TO(GUEST_PANICKED) | TO(FINISH_MIGRATE) | TO(PRELAUNCH) | TO(POSTMIGRATE) | TO(COLO),
    [RUN_INTERNAL_ERROR] = TO(PAUSED) | TO(FINISH_MIGRATE) | TO(PRELAUNCH),
    [RUN_IO_ERROR] = TO(RUNNING) | TO(FINISH_MIGRATE) | TO(PRELAUNCH) | TO(PAUSED),
    [RUN_PAUSED] = TO(RUNNING) | TO(FINISH_MIGRATE) | TO(POSTMIGRATE) | TO(PRELAUNCH) | TO(COLO) | TO(SAVE_VM) |
                   TO(RESTORE_VM),
    [RUN_POSTMIGRATE] = TO(RUNNING) | TO(FINISH_MIGRATE) | TO(PRELAUNCH),
    [RUN_PRELAUNCH] = TO(RUNNING) | TO(FINISH_MIGRATE) | TO(INMIGRATE) | TO(RESTORE_VM) | TO(SAVE_VM) | TO(SUSPENDED),
    [RUN_FINISH_MIGRATE] = TO(RUNNING) | TO(PAUSED) | TO(POSTMIGRATE) | TO(PRELAUNCH) | TO(COLO) | TO(INTERNAL_ERROR) |
                           TO(IO_ERROR) | TO(SHUTDOWN) | TO(SUSPENDED) | TO(WATCHDOG) | TO(GUEST_PANICKED),
    [RUN_RESTORE_VM] = TO(RUNNING) | TO(PRELAUNCH) | TO(PAUSED),
    [RUN_RUNNING] = TO(DEBUG) | TO(INTERNAL_ERROR) | TO(IO_ERROR) | TO(PAUSED) | TO(FINISH_MIGRATE) | TO(RESTORE_VM) |
                    TO(SAVE_VM) | TO(SHUTDOWN) | TO(WATCHDOG) | TO(GUEST_PANICKED) | TO(COLO) | TO(SUSPENDED),
    [RUN_SAVE_VM] = TO(RUNNING) | TO(PAUSED) | TO(DEBUG) | TO(PRELAUNCH),
    [RUN_SHUTDOWN] = TO(PAUSED) | TO(FINISH_MIGRATE) | TO(PRELAUNCH),
    [RUN_SUSPENDED] = TO(RUNNING) | TO(FINISH_MIGRATE) | TO(PRELAUNCH) | TO(PAUSED),
    [RUN_WATCHDOG] = TO(RUNNING) | TO(FINISH_MIGRATE) | TO(PRELAUNCH),
    [RUN_GUEST_PANICKED] = TO(RUNNING) | TO(FINISH_MIGRATE) | TO(PRELAUNCH),
    [RUN_COLO] = TO(RUNNING) | TO(PRELAUNCH),
};

const char *run_state_name(RunState s)
{
    return state_names[s];
}

const char *shutdown_cause_name(ShutdownCause c)
{
    return cause_names[c];
}

RunState machine_state(Machine *m)
{
    return m->run->state;
}

bool machine_is_running(Machine *m)
{
    return m->run->state == RUN_RUNNING;
}

static void set_state(Machine *m, RunState to)
{
    if (m->run->state == to)
        return;
    g_assert(legal[m->run->state] >> to & 1);
    m->run->state = to;
    if (m->run->reset)
        bh_schedule(m->run->bh);        /* it may have waited for the end of a migration */
}

/* ---- Observers ---- */

static void observe(Machine *m, int kind, StateObserver *state, MachineNotify *notify, void *opaque)
{
    Observer *o = g_new(Observer, 1);

    *o = (Observer){ state, notify, opaque };
    m->run->observers[kind] = g_slist_append(m->run->observers[kind], o);
}

void machine_observe_state(Machine *m, StateObserver *fn, void *opaque) { observe(m, OBS_STATE, fn, NULL, opaque); }
void machine_observe_powerdown(Machine *m, MachineNotify *fn, void *opaque) { observe(m, OBS_POWERDOWN, NULL, fn, opaque); }
void machine_observe_suspend(Machine *m, MachineNotify *fn, void *opaque) { observe(m, OBS_SUSPEND, NULL, fn, opaque); }
void machine_observe_wakeup(Machine *m, MachineNotify *fn, void *opaque) { observe(m, OBS_WAKEUP, NULL, fn, opaque); }
void machine_observe_ready(Machine *m, MachineNotify *fn, void *opaque) { observe(m, OBS_READY, NULL, fn, opaque); }
void machine_observe_reset(Machine *m, MachineNotify *fn, void *opaque) { observe(m, OBS_RESET, NULL, fn, opaque); }
void machine_observe_exit(Machine *m, MachineNotify *fn, void *opaque) { observe(m, OBS_EXIT, NULL, fn, opaque); }

void machine_unobserve_state(Machine *m, StateObserver *fn, void *opaque)
{
    for (GSList *l = m->run->observers[OBS_STATE]; l; l = l->next) {
        Observer *o = l->data;

        if (o->state == fn && o->opaque == opaque) {
            m->run->observers[OBS_STATE] = g_slist_delete_link(m->run->observers[OBS_STATE], l);
            g_free(o);
            return;
        }
    }
}

static void notify(Machine *m, int kind)
{
    for (GSList *l = m->run->observers[kind], *next; l; l = next) {
        Observer *o = l->data;

        next = l->next;
        o->notify(o->opaque);
    }
}

static void notify_state(Machine *m, bool running)
{
    for (GSList *l = m->run->observers[OBS_STATE], *next; l; l = next) {
        Observer *o = l->data;

        next = l->next;
        o->state(o->opaque, running, m->run->state);
    }
}

/* ---- Starting and stopping ---- */

void machine_start(Machine *m)
{
    if (m->run->state == RUN_RUNNING)
        return;
    set_state(m, RUN_RUNNING);
    machine_event(m, "RESUME", NULL);
    clock_start(m);
    notify_state(m, true);
    if (accel->start)
        accel->start();
}

static bool drain_device(Device *d, void *opaque)
{
    bool *done = opaque;

    if (d->realized && d->type->drain && !d->type->drain(d))
        *done = false;
    return true;
}

static void drain(Machine *m)
{
    bool done;

    do {
        done = true;
        machine_foreach_device(m, drain_device, &done);
        if (m->hooks.drain_blocks && !m->hooks.drain_blocks())
            done = false;
        if (!done)
            g_main_context_iteration(NULL, true);
    } while (!done);
}

/* Stops what runs, without a word to the monitors. */
static void stop_running(Machine *m, RunState to)
{
    if (accel->stop)
        accel->stop();
    clock_stop(m);
    set_state(m, to);
    notify_state(m, false);
}

static void settle_disks(Machine *m)
{
    drain(m);
    if (m->hooks.flush_blocks)
        m->hooks.flush_blocks();
}

void machine_stop(Machine *m, RunState to)
{
    if (m->run->state == RUN_RUNNING) {
        stop_running(m, to);
        machine_event(m, "STOP", NULL);
    } else {
        set_state(m, to);
    }
    settle_disks(m);
    if (m->run->reset && (to == RUN_FINISH_MIGRATE || to == RUN_SAVE_VM)) {
        ShutdownCause why = m->run->reset;  /* the guest has asked for it: it is not to be lost on the way */

        m->run->reset = CAUSE_NONE;
        machine_reset_now(m, why);
    }
}

void machine_reset_now(Machine *m, ShutdownCause why)
{
    bool was_running = machine_is_running(m);

    if (was_running && accel->stop)
        accel->stop();
    drain(m);
    map_begin(m);
    device_reset(m->root);
    map_commit(m);
    notify(m, OBS_RESET);
    if (why != CAUSE_NONE && why != CAUSE_SUBSYSTEM_RESET && why != CAUSE_SNAPSHOT_LOAD)
        machine_event(m, "RESET", "{s:b,s:s}", "guest", why >= CAUSE_GUEST_SHUTDOWN && why <= CAUSE_GUEST_PANIC, "reason",
                      shutdown_cause_name(why));
    if (was_running && accel->start)
        accel->start();
}

bool machine_wakeup_is_supported(Machine *m)
{
    return m->run->observers[OBS_WAKEUP] != NULL;
}

/* ---- Requests ---- */

static void call_main_loop(Machine *m)
{
    if (accel && accel->stop_self)
        accel->stop_self();
    bh_schedule(m->run->bh);
}

void machine_request_reset(Machine *m, ShutdownCause why)
{
    if (why == CAUSE_GUEST_RESET && m->cfg && m->cfg->action_reboot == ACTION_REBOOT_SHUTDOWN) {
        machine_request_shutdown(m, why);
        return;
    }
    m->run->reset = why;
    call_main_loop(m);
}

void machine_request_shutdown(Machine *m, ShutdownCause why)
{
    m->run->shutdown = why;
    call_main_loop(m);
}

void machine_request_exit(Machine *m, int status)
{
    m->run->exit = true;
    m->run->exit_status = status;
    bh_schedule(m->run->bh);
}

void machine_request_powerdown(Machine *m)
{
    m->run->powerdown = true;
    bh_schedule(m->run->bh);
}

void machine_request_suspend(Machine *m)
{
    if (m->run->state == RUN_SUSPENDED)
        return;
    m->run->suspend = true;
    call_main_loop(m);
}

void machine_request_wakeup(Machine *m)
{
    if (m->run->state != RUN_SUSPENDED)
        return;
    m->run->wakeup = true;
    bh_schedule(m->run->bh);
}

void machine_request_wakeup_by(Machine *m, WakeSource source)
{
    if (m->run->state != RUN_SUSPENDED || !(m->run->wake_enabled & 1u << source))
        return;
    m->run->wake_source = source;
    machine_request_wakeup(m);
}

void machine_enable_wakeup(Machine *m, WakeSource source, bool on)
{
    if (on)
        m->run->wake_enabled |= 1u << source;
    else
        m->run->wake_enabled &= ~(1u << source);
}

WakeSource machine_wakeup_source(Machine *m)
{
    return m->run->wake_source;
}

void machine_request_stop(Machine *m, RunState to)
{
    m->run->stop_to = to;
    call_main_loop(m);
}

static void do_shutdown(Machine *m)
{
    ShutdownCause why = m->run->shutdown;
    bool guest = why >= CAUSE_GUEST_SHUTDOWN && why <= CAUSE_GUEST_PANIC;

    m->run->shutdown = CAUSE_NONE;
    machine_event(m, "SHUTDOWN", "{s:b,s:s}", "guest", guest, "reason", shutdown_cause_name(why));
    if (m->cfg && m->cfg->action_shutdown == ACTION_SHUTDOWN_PAUSE && guest) {
        if (machine_is_running(m))      /* a guest that something else stopped meanwhile stays in that state */
            machine_stop(m, RUN_SHUTDOWN);
        return;
    }
    if (why == CAUSE_GUEST_PANIC && m->cfg && m->cfg->action_panic == ACTION_PANIC_EXIT_FAILURE)
        m->run->exit_status = 1;
    m->run->exit = true;
}

static void do_suspend(Machine *m)
{
    m->run->suspend = false;
    machine_stop(m, RUN_SUSPENDED);
    notify(m, OBS_SUSPEND);
    machine_event(m, "SUSPEND", NULL);
}

static void do_wakeup(Machine *m)
{
    m->run->wakeup = false;
    machine_reset_now(m, CAUSE_NONE);
    notify(m, OBS_WAKEUP);
    m->run->wake_source = WAKE_OTHER;
    machine_event(m, "WAKEUP", NULL);
    machine_start(m);
}

static void see_to_requests(void *opaque)
{
    Machine *m = opaque;
    RunControl *r = m->run;

    if (r->stop_to != RUN_STATE_MAX) {
        RunState to = r->stop_to;

        r->stop_to = RUN_STATE_MAX;
        if (machine_is_running(m))
            machine_stop(m, to);
    }
    if (r->suspend)
        do_suspend(m);
    if (r->shutdown)
        do_shutdown(m);
    if (r->exit && r->loop) {           /* before the loop runs there is nothing to leave: what else is asked for is done */
        g_main_loop_quit(r->loop);
        return;
    }
    if (r->reset && r->state != RUN_FINISH_MIGRATE) {
        ShutdownCause why = r->reset;

        r->reset = CAUSE_NONE;
        machine_reset_now(m, why);
        if (r->state == RUN_SUSPENDED)
            machine_start(m);
        else if (r->state != RUN_RUNNING && r->state != RUN_INMIGRATE && r->state != RUN_FINISH_MIGRATE)
            set_state(m, RUN_PRELAUNCH);
    }
    if (r->wakeup)
        do_wakeup(m);
    if (r->powerdown) {
        r->powerdown = false;
        machine_event(m, "POWERDOWN", NULL);
        notify(m, OBS_POWERDOWN);
    }
}

/* ---- Life ---- */

void runcontrol_init(Machine *m)
{
    m->run = g_new0(RunControl, 1);
    m->run->state = RUN_PRELAUNCH;
    m->run->stop_to = RUN_STATE_MAX;
    m->run->bh = bh_new(see_to_requests, m);
}

void runcontrol_ready(Machine *m)
{
    notify(m, OBS_READY);
}

void machine_main_loop(Machine *m)
{
    m->run->loop = g_main_loop_new(NULL, false);
    if (!m->run->exit)
        g_main_loop_run(m->run->loop);
    g_clear_pointer(&m->run->loop, g_main_loop_unref);
    if (machine_is_running(m)) {        /* no STOP event: SHUTDOWN has said it */
        stop_running(m, RUN_SHUTDOWN);
        settle_disks(m);
    }
    notify(m, OBS_EXIT);
}

int machine_exit_status(Machine *m)
{
    return m->run->exit_status;
}

void runcontrol_free(Machine *m)
{
    bh_free(m->run->bh);
    for (int i = 0; i < OBS_KINDS; i++)
        g_slist_free_full(m->run->observers[i], g_free);
    g_clear_pointer(&m->run, g_free);
}
