/* Help, the log, commands on the monitor itself and on parts that only the command line knows. */
#include <string.h>
#include "hw/core/machine.h"
#include "monitor/monitor-int.h"
#include "monitor/qmp-schema.h"
#include "util/log.h"

static void help(Monitor *mon, json_t *args)
{
    const char *name = arg_str(args, "name");

    hmp_help(mon, name && *name ? name : NULL);
}

static void info(Monitor *mon, json_t *args)
{
    hmp_help(mon, "info");
}

/* ---- Log ---- */

static void set_log(Monitor *mon, json_t *args)
{
    GString *out = g_string_new(NULL);
    GError *err = NULL;

    if (!strcmp(arg_str(args, "items"), "help")) {
        log_list_items(out);
    } else if (!log_set_items(arg_str(args, "items"), &err)) {
        mon_printf(mon, "%s\n", err->message);
        g_error_free(err);
        log_list_items(out);
    }
    mon_puts(mon, out->str);
    g_string_free(out, true);
}

static void set_logfile(Monitor *mon, json_t *args)
{
    GError *err = NULL;

    if (!log_set_file(arg_str(args, "filename"), &err))
        mon_print_error(mon, err);
}

/* ---- Monitor ---- */

static json_t *human_monitor_command(Monitor *mon, json_t *args, GError **err)
{
    int64_t cpu = arg_int(args, "cpu-index", 0);
    g_autofree char *text = NULL, *valid = NULL;

    if (arg_has(args, "cpu-index") && (cpu < 0 || cpu >= mon_machine->vcpus->len)) {
        error_set(err, "Parameter 'cpu-index' expects a CPU number");
        return NULL;
    }
    text = monitor_hmp(arg_str(args, "command-line"), cpu);
    valid = g_utf8_make_valid(text, -1);
    return json_string(valid);
}

static json_t *capabilities(Monitor *mon, json_t *args, GError **err)
{
    return NULL;    /* qmp.c does it: this row is for the schema */
}

/* ---- The command line's ---- */

static json_t *command_line_options(Monitor *mon, json_t *args, GError **err)
{
    return mon_host.command_line_options ? mon_host.command_line_options(arg_str(args, "option"), err) : json_array();
}

static json_t *display_options(Monitor *mon, json_t *args, GError **err)
{
    return mon_host.display_options ? mon_host.display_options() : json_pack("{s:s}", "type", "none");
}

static void gdbserver(Monitor *mon, json_t *args)
{
    const char *device = arg_has(args, "device") ? arg_str(args, "device") : "tcp::1234";
    GError *err = NULL;

    if (!mon_host.gdbserver(device, &err)) {
        g_clear_error(&err);
        mon_printf(mon, "Could not open gdbserver on device '%s'\n", device);
    } else if (!strcmp(device, "none")) {
        mon_printf(mon, "Disabled gdbserver\n");
    } else {
        mon_printf(mon, "Waiting for gdb connection on device '%s'\n", device);
    }
}

/* The order of a union's keys does not matter: HMP's text becomes QMP's object. */
static json_t *object_of(const char *text, const char *implied, GError **err)
{
    g_auto(GStrv) parts = g_strsplit(text, ",", -1);
    json_t *o = json_object();

    for (unsigned i = 0; parts[i]; i++) {
        char *eq = strchr(parts[i], '=');
        g_autofree char *key = eq ? g_strndup(parts[i], eq - parts[i]) : g_strdup(i ? parts[i] : implied);
        const char *v = eq ? eq + 1 : i ? "on" : parts[i];

        json_object_set_new(o, key, g_utf8_validate(v, -1, NULL) ? json_string(v) : json_string(""));
    }
    return o;
}

static json_t *add_object(Monitor *mon, json_t *args, GError **err)
{
    mon_host.object_add(args, err);
    return NULL;
}

static void hmp_object_add(Monitor *mon, json_t *args)
{
    GError *err = NULL;
    json_t *o = object_of(arg_str(args, "opts"), "qom-type", &err);

    if (!arg_has(o, "id"))
        error_set(&err, "Parameter 'id' is missing");
    else
        json_decref(add_object(mon, o, &err));
    json_decref(o);
    if (err)
        mon_print_error(mon, err);
}

static json_t *del_object(Monitor *mon, json_t *args, GError **err)
{
    mon_host.object_del(arg_str(args, "id"), err);
    return NULL;
}

static bool has_object(void)
{
    return mon_host.object_add != NULL;
}

static bool has_gdbserver(void)
{
    return mon_host.gdbserver != NULL;
}

const MonCommand commands_misc[] = {
    { "help|?", "name:line?", "[cmd]", "show the help", .print = help },
    { "info", .params = "[subcommand]", .help = "show various information about the system state", .print = info },
    { "log", "items:str", "item1[,...]", "activate logging of the specified items", .print = set_log },
    { "logfile", "filename:path", "filename", "output logs to 'filename'", .print = set_logfile },
    { .qmp = "human-monitor-command", .in = "{command-line:str *cpu-index:int}", .out = "str", .features = "savevm-monitor-nodes",
      .run = human_monitor_command },
    { .qmp = "qmp_capabilities", .in = "{*enable:[<oob>]}", .run = capabilities, .flags = CMD_PRECONFIG },
    { .qmp = "query-command-line-options", .in = "{*option:str}", .out = "[CommandLineOptionInfo]", .run = command_line_options,
      .flags = CMD_PRECONFIG },
    { .qmp = "query-display-options", .out = "{type:<default|none|sdl> ...}", .run = display_options },
    { "gdbserver", "device:str?", "[device]", "start gdbserver on given device (default 'tcp::1234'), stop with 'none'", .print = gdbserver,
      .present = has_gdbserver },
    { "object_add", "opts:line", "[qom-type=]type,id=str[,prop=value][,...]", "create QOM object", .qmp = "object-add",
      .in = "{qom-type:<filter-buffer|filter-dump|filter-mirror|filter-redirector|"
      "memory-backend-file|memory-backend-memfd|memory-backend-ram> id:str ...}",
      .run = add_object, .print = hmp_object_add, .present = has_object },
    { "object_del", "id:str", "id", "destroy QOM object", .qmp = "object-del", .in = "{id:str}", .run = del_object,
      .present = has_object },
    { 0 },
};
