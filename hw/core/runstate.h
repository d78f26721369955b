/*
 * Run states and what devices, vCPUs and the monitor may ask of the machine.
 *
 *                      +--------- cont ----------+
 *   prelaunch --cont--> running --stop--> paused-+        (also: io-error, watchdog, debug, save-vm,
 *       |                | ^  \                            guest-panicked, suspended, inmigrate ...)
 *   inmigrate            | |   shutdown / internal-error: only reset (or quit) leaves these
 *
 * The table of legal transitions is in runstate.c; an illegal one is a bug (g_assert). Requests may be made from any
 * thread that holds the machine lock; they are carried out by the main loop, with all vCPUs stopped where needed.
 */
#ifndef HW_CORE_RUNSTATE_H
#define HW_CORE_RUNSTATE_H
#include <glib.h>
#include <stdbool.h>

typedef struct Machine Machine;

/* QMP's RunState, in its order. */
typedef enum RunState {
    RUN_DEBUG, RUN_INMIGRATE, RUN_INTERNAL_ERROR, RUN_IO_ERROR, RUN_PAUSED, RUN_POSTMIGRATE, RUN_PRELAUNCH,
    RUN_FINISH_MIGRATE, RUN_RESTORE_VM, RUN_RUNNING, RUN_SAVE_VM, RUN_SHUTDOWN, RUN_SUSPENDED, RUN_WATCHDOG,
    RUN_GUEST_PANICKED, RUN_COLO, RUN_STATE_MAX,
} RunState;

typedef enum ShutdownCause {        /* QMP's ShutdownCause */
    CAUSE_NONE, CAUSE_HOST_ERROR, CAUSE_HOST_QMP_QUIT, CAUSE_HOST_QMP_SYSTEM_RESET, CAUSE_HOST_SIGNAL, CAUSE_HOST_UI,
    CAUSE_GUEST_SHUTDOWN, CAUSE_GUEST_RESET, CAUSE_GUEST_PANIC, CAUSE_SUBSYSTEM_RESET, CAUSE_SNAPSHOT_LOAD,
} ShutdownCause;

RunState machine_state(Machine *m);
bool machine_is_running(Machine *m);
const char *run_state_name(RunState s);         /* "internal-error" */
const char *shutdown_cause_name(ShutdownCause c); /* "guest-reset" */

/* Requests: seen to by the main loop soon after. */
void machine_request_reset(Machine *m, ShutdownCause why);
void machine_request_shutdown(Machine *m, ShutdownCause why);
void machine_request_exit(Machine *m, int status);      /* isa-debug-exit: status as the process's exit status */
void machine_request_powerdown(Machine *m);             /* the power button */
void machine_request_suspend(Machine *m);               /* S3 */
void machine_request_wakeup(Machine *m);                /* from S3; ignored in other states */
/* The same by a device: ignored unless the guest has enabled that source (by power management). */
typedef enum WakeSource { WAKE_OTHER, WAKE_RTC, WAKE_PM_TIMER } WakeSource;
void machine_request_wakeup_by(Machine *m, WakeSource source);
void machine_enable_wakeup(Machine *m, WakeSource source, bool on);
WakeSource machine_wakeup_source(Machine *m);           /* for observers of the wake-up */
void machine_request_stop(Machine *m, RunState to);     /* io-error, watchdog, ... */

/* The guest says that it has panicked (pvpanic, KVM_SYSTEM_EVENT_CRASH), a watchdog bit: does what -action says. */
void machine_guest_panicked(Machine *m, ShutdownCause why);
void machine_watchdog_fired(Machine *m);

/* At once; main thread only. */
void machine_start(Machine *m);                         /* cont */
void machine_stop(Machine *m, RunState to);             /* returns with all vCPUs stopped, devices drained, blocks flushed */
void machine_reset_now(Machine *m, ShutdownCause why);
bool machine_wakeup_is_supported(Machine *m);

/* Observers: called in order of registration on each start (running) and stop; NULL fn ends. Main thread. */
typedef void StateObserver(void *opaque, bool running, RunState s);
void machine_observe_state(Machine *m, StateObserver *fn, void *opaque);
void machine_unobserve_state(Machine *m, StateObserver *fn, void *opaque);
typedef void MachineNotify(void *opaque);
void machine_observe_powerdown(Machine *m, MachineNotify *fn, void *opaque);
void machine_observe_suspend(Machine *m, MachineNotify *fn, void *opaque);
void machine_observe_wakeup(Machine *m, MachineNotify *fn, void *opaque);
void machine_observe_ready(Machine *m, MachineNotify *fn, void *opaque);    /* all devices realized, before the first reset */
void machine_observe_reset(Machine *m, MachineNotify *fn, void *opaque);    /* after devices were reset, before CPUs run */
void machine_observe_exit(Machine *m, MachineNotify *fn, void *opaque);
#endif
