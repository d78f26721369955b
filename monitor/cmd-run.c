/* Commands that start, stop and reset the machine, and what happens then. */
#include <string.h>
#include "block/block.h"
#include "hw/core/machine.h"
#include "migration/migration.h"
#include "monitor/monitor-int.h"
#include "monitor/qmp-schema.h"

static json_t *run_cont(Monitor *mon, json_t *args, GError **err)
{
    switch (machine_state(mon_machine)) {
    case RUN_INTERNAL_ERROR:
    case RUN_SHUTDOWN:
        error_set(err, "Resetting the Virtual Machine is required");
        return NULL;
    case RUN_FINISH_MIGRATE:
        error_set(err, "Migration is not finalized yet");
        return NULL;
    case RUN_SUSPENDED:
    case RUN_RUNNING:
        return NULL;
    default:
        if (incoming_pending(mon_machine, true) || !migration_activate_images(err))
            return NULL;
        blk_iostatus_reset_all();
        machine_start(mon_machine);
        return NULL;
    }
}

static json_t *run_stop(Monitor *mon, json_t *args, GError **err)
{
    if (machine_is_running(mon_machine))
        machine_stop(mon_machine, RUN_PAUSED);
    else
        incoming_pending(mon_machine, false);
    return NULL;
}

static json_t *run_reset(Monitor *mon, json_t *args, GError **err)
{
    machine_request_reset(mon_machine, CAUSE_HOST_QMP_SYSTEM_RESET);
    return NULL;
}

static json_t *run_powerdown(Monitor *mon, json_t *args, GError **err)
{
    machine_request_powerdown(mon_machine);
    return NULL;
}

static json_t *run_wakeup(Monitor *mon, json_t *args, GError **err)
{
    if (!machine_wakeup_is_supported(mon_machine))
        error_set(err, "wake-up from suspend is not supported by this guest");
    else if (machine_state(mon_machine) != RUN_SUSPENDED)
        error_set(err, "Unable to wake up: guest is not in suspended state");
    else
        machine_request_wakeup(mon_machine);
    return NULL;
}

static json_t *run_quit(Monitor *mon, json_t *args, GError **err)
{
    machine_request_shutdown(mon_machine, CAUSE_HOST_QMP_QUIT);
    return NULL;
}

static json_t *run_nmi(Monitor *mon, json_t *args, GError **err)
{
    if (!mon_machine->vcpus->len)
        error_set(err, "this feature or command is not currently supported");
    else
        machine_inject_nmi(mon_machine);
    return NULL;
}

static json_t *query_status(Monitor *mon, json_t *args, GError **err)
{
    return json_pack("{s:b,s:b,s:s}", "running", machine_is_running(mon_machine), "singlestep", 0, "status",
                     run_state_name(machine_state(mon_machine)));
}

static void print_status(Monitor *mon, json_t *args)
{
    RunState s = machine_state(mon_machine);

    mon_printf(mon, "VM status: %s", s == RUN_RUNNING ? "running" : "paused");
    if (s != RUN_RUNNING && s != RUN_PAUSED)
        mon_printf(mon, " (%s)", run_state_name(s));
    mon_printf(mon, "\n");
}

/* ---- What to do when ... ---- */

/* The place of a word in an enumeration whose order is that of machine.h's constants. */
static unsigned place(const char *const *words, const char *word)
{
    unsigned i = 0;

    while (words[i] && strcmp(words[i], word))
        i++;
    return i;
}

static void set_one(json_t *args, const char *name, const char *type, unsigned *action)
{
    const char *v = arg_str(args, name);

    if (v)
        *action = place(qmp_enum(type), v);
}

static json_t *set_action(Monitor *mon, json_t *args, GError **err)
{
    MachineConfig *cfg = mon_machine->cfg;

    set_one(args, "reboot", "RebootAction", &cfg->action_reboot);
    set_one(args, "shutdown", "ShutdownAction", &cfg->action_shutdown);
    set_one(args, "panic", "PanicAction", &cfg->action_panic);
    set_one(args, "watchdog", "WatchdogAction", &cfg->action_watchdog);
    return NULL;
}

static json_t *set_watchdog(Monitor *mon, json_t *args, GError **err)
{
    const char *action = arg_str(args, "action");

    if (g_strv_contains(qmp_enum("WatchdogAction"), action))
        set_one(args, "action", "WatchdogAction", &mon_machine->cfg->action_watchdog);
    else
        error_set(err, "invalid parameter value: %s", action);
    return NULL;
}

static void complete_watchdog(int nb, const char *begun, CompleteAdd *add, void *opaque)
{
    if (nb == 1)
        complete_from(qmp_enum("WatchdogAction"), begun, add, opaque);
}

static void boot_set(Monitor *mon, json_t *args)
{
    const char *order = arg_str(args, "bootdevice");
    GError *err = NULL;
    unsigned seen = 0;

    for (const char *s = order; *s && !err; s++) {
        if (*s < 'a' || *s > 'p')
            error_set(&err, "Invalid boot device '%c'", *s);
        else if (seen >> (*s - 'a') & 1)
            error_set(&err, "Boot device '%c' was given twice", *s);
        else
            seen |= 1u << (*s - 'a');
    }
    if (!err && !mon_machine->type->set_boot_order)
        error_set(&err, "no function defined to set boot device list for this architecture");
    if (!err && mon_machine->type->set_boot_order(mon_machine, order, &err))
        mon_printf(mon, "boot device list now set to %s\n", order);
    else
        mon_printf(mon, "%s\n", err->message);
    g_clear_error(&err);
}

const MonCommand commands_run[] = {
    { "cont|c", .params = "", .help = "resume emulation", .qmp = "cont", .run = run_cont },
    { "stop|s", .params = "", .help = "stop emulation", .qmp = "stop", .run = run_stop },
    { "system_reset", .params = "", .help = "reset the system", .qmp = "system_reset", .run = run_reset },
    { "system_powerdown", .params = "", .help = "send system power down event", .qmp = "system_powerdown", .run = run_powerdown },
    { "system_wakeup", .params = "", .help = "wakeup guest from suspend", .qmp = "system_wakeup", .run = run_wakeup },
    { "quit|q", .params = "", .help = "quit the emulator", .qmp = "quit", .run = run_quit, .flags = CMD_PRECONFIG },
    { "boot_set", "bootdevice:str", "bootdevice", "define new values for the boot device list", .print = boot_set },
    { "nmi", .params = "", .help = "inject an NMI", .qmp = "inject-nmi", .run = run_nmi },
    { "info status", .params = "", .help = "show the current VM status (running|paused)", .qmp = "query-status",
      .out = "StatusInfo", .run = query_status, .print = print_status, .flags = CMD_PRECONFIG },
    { .qmp = "set-action", .in = "{*reboot:RebootAction *shutdown:ShutdownAction *panic:PanicAction *watchdog:WatchdogAction}",
      .run = set_action, .flags = CMD_PRECONFIG },
    { "watchdog_action", "action:str", "[reset|shutdown|poweroff|pause|debug|none]", "change watchdog action",
      .qmp = "watchdog-set-action", .in = "{action:WatchdogAction}", .run = set_watchdog, .complete = complete_watchdog },
    { 0 },
};
