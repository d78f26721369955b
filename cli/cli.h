/*
 * The command line: what it asked for, in the form in which it is carried out.
 *
 * main() parses all options into a Cli (cli_parse), then carries them out in stages: accelerator and machine
 * (cli_machine), back-ends (cli_backends), devices (cli_devices), monitors and displays.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H
#include "hw/core/machine.h"
#include "ui/display.h"
#include "util/opts.h"

/* An option whose order among its kin matters: "-hda FILE", "-drive OPTS". */
typedef struct CliItem { const char *option; char *arg; } CliItem;

typedef struct Cli {
    MachineConfig *cfg;
    char *accel_list;               /* "kvm:tcg"; NULL: default */
    char *irqchip;                  /* kernel-irqchip=, from -machine or -accel */
    bool accel_help;

    GArray *drives;                 /* CliItem: -drive, -hda .. -hdd, -cdrom, -fda, -fdb, -blockdev, -pflash */
    GPtrArray *devices, *chardevs, *objects, *serials, *parallels, *netdevs, *nics, *nets, *debugcons, *usbdevices;
    GArray *monitors;               /* CliItem: -monitor, -qmp, -qmp-pretty, -mon */
    bool monitor_none;
    DisplayOptions display;
    bool nographic, snapshot, stopped, daemonize, no_user_config, show_version, preconfig;
    char *pidfile, *qtest, *qtest_log, *incoming, *gdb, *log_items, *log_file, *write_config, *dump_vmstate, *loadvm;
    char *chroot, *run_as;
    GPtrArray *module_dirs;         /* -L */
    bool exit;                      /* something was shown: leave with status 0 */
} Cli;

Cli *cli_new(void);
void cli_free(Cli *c);
/* All of argv. false with err: "-foo: invalid option ...". */
bool cli_parse(Cli *c, int argc, char **argv, GError **err);
/* One option, as in a -readconfig file. */
bool cli_option(Cli *c, const char *name, const char *arg, GError **err);
/* Is the option followed by an argument? */
bool cli_takes_argument(const char *name);

/* -machine, -accel, -m, -smp, -boot, -rtc, -name, -numa, -action: handlers of cli/machine.c. */
typedef bool CliHandler(Cli *c, const char *option, const char *arg, GError **err);
CliHandler cli_set_machine, cli_set_accel, cli_set_memory, cli_set_smp, cli_set_boot, cli_set_rtc, cli_set_name,
    cli_set_numa, cli_set_action, cli_set_uuid, cli_set_watchdog_action, cli_set_fw_cfg;
CliHandler cli_read_config;         /* cli/config-file.c */
bool cli_write_config(Cli *c, const char *file, int argc, char **argv, GError **err);
void cli_print_help(void);
/* An argument that asks for help: prints it and sets c->exit. false with err: no such device or object type. */
CliHandler cli_help;
/* query-command-line-options: all, or one (NULL with err: there is no such option). */
struct json_t *cli_command_line_options(const char *option, GError **err);
/* A line of the properties of a machine or an object. */
void cli_print_property(const Property *p, GString *out);

/* The stages, in order. */
bool cli_start_accel(Cli *c, Machine *m, GError **err);
/* The machine with its hooks set; back-ends (chardevs, drives, netdevs) exist. */
bool cli_backends(Cli *c, Machine *m, GError **err);
bool cli_devices(Cli *c, Machine *m, GError **err);
bool cli_monitors(Cli *c, Machine *m, GError **err);
/* -object and object-add: "TYPE,id=ID,..." or JSON. */
bool cli_object_add(Machine *m, const char *text, GError **err);
#endif
