/* The table of options: one row each, from which parsing, -h and the nearest name come. */
#include <stdio.h>
#include <string.h>
#include "cli/cli.h"
#include "target/i386/cpu.h"
#include "ui/layout.h"
#include "ui/remote.h"
#include "util/error.h"
#include "util/firmware.h"
#include "util/log.h"

typedef enum OptKind {
    K_STR,      /* char * at off */
    K_FLAG,     /* bool at off becomes true */
    K_UNFLAG,   /* ... false */
    K_LIST,     /* appended to the GPtrArray at off */
    K_ITEM,     /* appended to the GArray of CliItem at off, with the option's name */
    K_CFG_STR,  /* the same in MachineConfig */
    K_CFG_FLAG,
    K_CFG_LIST,
    K_FN,
} OptKind;

typedef struct OptRow {
    const char *name;
    OptKind kind;
    size_t off;
    CliHandler *fn;
    const char *arg;        /* what help calls the argument; NULL: takes none */
    const char *help;
} OptRow;

#define C(m) offsetof(Cli, m)
#define M(m) offsetof(MachineConfig, m)

static bool opt_help(Cli *c, const char *option, const char *arg, GError **err)
{
    cli_print_help();
    c->exit = true;
    return true;
}

static bool opt_cpu(Cli *c, const char *option, const char *arg, GError **err)
{
    if (!strcmp(arg, "help") || !strcmp(arg, "?")) {
        g_autoptr(GString) out = g_string_new(NULL);

        x86_cpu_list(out);
        fputs(out->str, stdout);
        c->exit = true;
    }
    g_free(c->cfg->cpu);
    c->cfg->cpu = g_strdup(arg);
    return true;
}

static bool opt_log(Cli *c, const char *option, const char *arg, GError **err)
{
    if (!strcmp(arg, "help")) {
        g_autoptr(GString) out = g_string_new(NULL);

        log_list_items(out);
        fputs(out->str, stdout);
        c->exit = true;
        return true;
    }
    return log_set_items(arg, err);
}

static bool opt_log_file(Cli *c, const char *option, const char *arg, GError **err)
{
    return log_set_file(arg, err);
}

static bool opt_vga(Cli *c, const char *option, const char *arg, GError **err)
{
    static const char *const names[] = { "std", "none", NULL };
    g_autofree char *hint = nearest_hint(arg, names);

    if (!strcmp(arg, "help")) {
        puts("none                 no graphic card\nstd                  standard VGA (default)");
        c->exit = true;
        return true;
    }
    if (strcmp(arg, "std") && strcmp(arg, "none"))
        return error_set(err, "-vga %s: there is no such card%s; '-vga help' lists them", arg, hint);
    g_free(c->cfg->vga);
    c->cfg->vga = g_strdup(arg);
    return true;
}

static bool opt_display(Cli *c, const char *option, const char *arg, GError **err)
{
    return display_parse(&c->display, arg, &c->exit, err);
}

static bool opt_vnc(Cli *c, const char *option, const char *arg, GError **err)
{
    return remote_add(arg, err);
}

static bool opt_layout(Cli *c, const char *option, const char *arg, GError **err)
{
    return layout_select(arg, err);
}

static bool opt_full_screen(Cli *c, const char *option, const char *arg, GError **err)
{
    c->display.full_screen = true;
    return true;
}

static bool opt_enable_kvm(Cli *c, const char *option, const char *arg, GError **err)
{
    return cli_set_accel(c, option, "kvm", err);
}

static bool opt_no_reboot(Cli *c, const char *option, const char *arg, GError **err)
{
    c->cfg->action_reboot = ACTION_REBOOT_SHUTDOWN;
    return true;
}

static bool opt_no_shutdown(Cli *c, const char *option, const char *arg, GError **err)
{
    c->cfg->action_shutdown = ACTION_SHUTDOWN_PAUSE;
    return true;
}

static bool add_global(Cli *c, const char *driver, const char *prop, const char *value, GError **err)
{
    c->cfg->globals = g_slist_append(c->cfg->globals, g_strdup_printf("%s.%s=%s", driver, prop, value));
    return device_check_global(driver, prop, err);
}

static bool opt_global(Cli *c, const char *option, const char *arg, GError **err)
{
    const char *dot = strchr(arg, '.'), *eq = dot ? strchr(dot, '=') : NULL;
    g_autofree char *name = NULL, *rest = NULL;

    if (!strncmp(arg, "driver=", 7)) {
        g_autoptr(Opts) o = opts_parse(arg, NULL, err);
        const char *driver, *prop, *value;

        if (!o)
            return false;
        driver = opts_get(o, "driver");
        prop = opts_get(o, "property");
        value = opts_get(o, "value");
        if (!driver || !prop || !value)
            return error_set(err, "-global %s: driver=, property= and value= are all needed", arg);
        return add_global(c, driver, prop, value, err);
    }
    if (!eq)
        return error_set(err, "-global %s: expected DRIVER.PROPERTY=VALUE", arg);
    name = g_strndup(arg, dot - arg);
    rest = g_strndup(dot + 1, eq - dot - 1);
    return add_global(c, name, rest, eq + 1, err);
}

static bool opt_firmware_dir(Cli *c, const char *option, const char *arg, GError **err)
{
    g_autoptr(GString) out = NULL;

    if (!strcmp(arg, "help")) {
        out = g_string_new(NULL);
        firmware_list_dirs(out);
        fputs(out->str, stdout);
        c->exit = true;
        return true;
    }
    firmware_add_dir(arg);
    return true;
}

static bool opt_usb(Cli *c, const char *option, const char *arg, GError **err)
{
    c->cfg->usb = true;
    if (arg)
        g_ptr_array_add(c->usbdevices, g_strdup(arg));
    return true;
}

static bool opt_snapshot(Cli *c, const char *option, const char *arg, GError **err)
{
    c->snapshot = true;
    return true;
}

static const OptRow rows[] = {
    { "h", K_FN, 0, opt_help, NULL, "show this help" },
    { "help", K_FN, 0, opt_help, NULL, NULL },
    { "version", K_FLAG, C(show_version), NULL, NULL, "show the version" },
    { "machine", K_FN, 0, cli_set_machine, "[type=]NAME[,prop=value...]", "the machine; 'help' lists them" },
    { "M", K_FN, 0, cli_set_machine, "NAME", NULL },
    { "accel", K_FN, 0, cli_set_accel, "[accel=]NAME[,prop=value...]", "the accelerator, in order of preference" },
    { "enable-kvm", K_FN, 0, opt_enable_kvm, NULL, "the same as -accel kvm" },
    { "cpu", K_FN, 0, opt_cpu, "MODEL[,+feature,-feature,prop=value...]", "the CPU; 'help' lists them" },
    { "smp", K_FN, 0, cli_set_smp, "[cpus=]N[,maxcpus=][,sockets=][,dies=][,cores=][,threads=]", "number of CPUs" },
    { "m", K_FN, 0, cli_set_memory, "[size=]MiB[,slots=N,maxmem=SIZE]", "guest memory" },
    { "numa", K_FN, 0, cli_set_numa, "node[,memdev=ID][,cpus=a-b][,nodeid=]|dist,src=,dst=,val=", "a NUMA node" },
    { "mem-path", K_CFG_STR, M(mem_path), NULL, "PATH", "guest memory in a file" },
    { "mem-prealloc", K_CFG_FLAG, M(mem_prealloc), NULL, NULL, "touch all guest memory at the start" },
    { "bios", K_CFG_STR, M(bios), NULL, "FILE", "the BIOS image" },
    { "kernel", K_CFG_STR, M(kernel), NULL, "FILE", "a Linux, multiboot or PVH kernel to boot" },
    { "initrd", K_CFG_STR, M(initrd), NULL, "FILE", "its initial ramdisk" },
    { "append", K_CFG_STR, M(append), NULL, "TEXT", "its command line" },
    { "boot", K_FN, 0, cli_set_boot, "[order=]cdn[,once=][,menu=on][,splash=][,splash-time=][,reboot-timeout=][,strict=on]",
      "what to boot from" },
    { "L", K_FN, 0, opt_firmware_dir, "DIR", "look for firmware there first" },
    { "fda", K_ITEM, C(drives), NULL, "FILE", "floppy 0" },
    { "fdb", K_ITEM, C(drives), NULL, "FILE", "floppy 1" },
    { "hda", K_ITEM, C(drives), NULL, "FILE", "hard disk 0" },
    { "hdb", K_ITEM, C(drives), NULL, "FILE", "hard disk 1" },
    { "hdc", K_ITEM, C(drives), NULL, "FILE", "hard disk 2" },
    { "hdd", K_ITEM, C(drives), NULL, "FILE", "hard disk 3" },
    { "cdrom", K_ITEM, C(drives), NULL, "FILE", "CD" },
    { "drive", K_ITEM, C(drives), NULL, "[file=F][,if=][,index=][,media=][,format=][,cache=]...", "a drive" },
    { "blockdev", K_ITEM, C(drives), NULL, "driver=D[,node-name=N][,prop=value...]", "a block node" },
    { "snapshot", K_FN, 0, opt_snapshot, NULL, "write to temporary files instead of the images" },
    { "device", K_LIST, C(devices), NULL, "TYPE[,prop=value...]", "a device; 'help' lists them, TYPE,help its properties" },
    { "usb", K_FN, 0, opt_usb, NULL, "a USB controller on the board" },
    { "usbdevice", K_FN, 0, opt_usb, "keyboard|mouse|tablet", "that device on it (the same as -usb -device usb-...)" },
    { "global", K_FN, 0, opt_global, "TYPE.PROP=VALUE", "default of a device's property" },
    { "object", K_LIST, C(objects), NULL, "TYPE,id=ID[,prop=value...]", "an object" },
    { "chardev", K_LIST, C(chardevs), NULL, "BACKEND,id=ID[,...]", "a character device; 'help' lists them" },
    { "serial", K_LIST, C(serials), NULL, "CHARDEV", "a serial port (up to four)" },
    { "parallel", K_LIST, C(parallels), NULL, "CHARDEV", "a parallel port (up to three)" },
    { "debugcon", K_LIST, C(debugcons), NULL, "CHARDEV", "a debug console at port 0xe9" },
    { "monitor", K_ITEM, C(monitors), NULL, "CHARDEV", "a monitor for people" },
    { "qmp", K_ITEM, C(monitors), NULL, "CHARDEV", "a monitor for programs" },
    { "qmp-pretty", K_ITEM, C(monitors), NULL, "CHARDEV", "the same, indented" },
    { "mon", K_ITEM, C(monitors), NULL, "[chardev=]ID[,mode=readline|control][,pretty=on]", "a monitor on a chardev" },
    { "netdev", K_LIST, C(netdevs), NULL, "TYPE,id=ID[,prop=value...]", "a network back-end; 'help' lists them" },
    { "nic", K_LIST, C(nics), NULL, "none|TYPE[,model=M][,mac=A][,prop=value...]", "a network card and its back-end" },
    { "net", K_LIST, C(nets), NULL, "none|nic[,...]|TYPE[,...]", "network cards and back-ends on a hub, the old way" },
    { "display", K_FN, 0, opt_display, "sdl|curses|none|vnc=...[,prop=value...]", "where the screen is shown" },
    { "k", K_FN, 0, opt_layout, "LAYOUT", "the keyboard of VNC's clients and of the terminal: de, fr, en-gb, ..." },
    { "vnc", K_FN, 0, opt_vnc, "HOST:DISPLAY|unix:PATH|none[,option...]", "show the screen over VNC" },
    { "nographic", K_FLAG, C(nographic), NULL, NULL, "no screen; serial port and monitor on the terminal" },
    { "full-screen", K_FN, 0, opt_full_screen, NULL, "start in full screen" },
    { "vga", K_FN, 0, opt_vga, "std|none", "the graphics card" },
    { "rtc", K_FN, 0, cli_set_rtc, "[base=utc|localtime|DATE][,clock=host|rt|vm][,driftfix=none|slew]", "the clock" },
    { "no-acpi", K_CFG_FLAG, M(no_acpi), NULL, NULL, "without ACPI" },
    { "no-hpet", K_CFG_FLAG, M(no_hpet), NULL, NULL, "without HPET" },
    { "smbios", K_CFG_LIST, M(smbios), NULL, "file=F|type=N[,field=value...]", "SMBIOS structures and fields" },
    { "fw_cfg", K_FN, 0, cli_set_fw_cfg, "[name=]NAME,file=F|string=S", "a file for the firmware configuration device" },
    { "uuid", K_FN, 0, cli_set_uuid, "UUID", "the machine's UUID" },
    { "name", K_FN, 0, cli_set_name, "TEXT[,process=NAME][,debug-threads=on]", "the machine's name" },
    { "action", K_FN, 0, cli_set_action, "reboot=|shutdown=|panic=|watchdog=...", "what to do then" },
    { "watchdog-action", K_FN, 0, cli_set_watchdog_action, "ACTION", NULL },
    { "no-reboot", K_FN, 0, opt_no_reboot, NULL, "exit instead of rebooting" },
    { "no-shutdown", K_FN, 0, opt_no_shutdown, NULL, "stop instead of exiting when the guest powers off" },
    { "S", K_FLAG, C(stopped), NULL, NULL, "do not start the CPUs: 'cont' does" },
    { "incoming", K_STR, C(incoming), NULL, "tcp:HOST:PORT|unix:PATH|fd:N|exec:COMMAND|file:PATH|stdio|defer",
      "wait for a migration" },
    { "loadvm", K_STR, C(loadvm), NULL, "TAG", "go on from a snapshot that savevm made" },
    { "dump-vmstate", K_STR, C(dump_vmstate), NULL, "FILE", "write the layout of all devices' state ('-': stdout)" },
    { "pidfile", K_STR, C(pidfile), NULL, "FILE", "write the process id there" },
    { "daemonize", K_FLAG, C(daemonize), NULL, NULL, "go into the background when all is set up" },
    { "nodefaults", K_CFG_FLAG, M(nodefaults), NULL, NULL, "no default devices" },
    { "no-user-config", K_FLAG, C(no_user_config), NULL, NULL, "no files of the user's" },
    { "readconfig", K_FN, 0, cli_read_config, "FILE", "read options from a file" },
    { "writeconfig", K_STR, C(write_config), NULL, "FILE", "write the options to a file ('-': stdout)" },
    { "d", K_FN, 0, opt_log, "ITEM,...", "log items; 'help' lists them" },
    { "D", K_FN, 0, opt_log_file, "FILE", "the log's file" },
    { "qtest", K_STR, C(qtest), NULL, "CHARDEV", "serve the device-test protocol" },
    { "qtest-log", K_STR, C(qtest_log), NULL, "FILE", "its log" },
};

static const OptRow *find_row(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        if (!strcmp(rows[i].name, name))
            return &rows[i];
    return NULL;
}

bool cli_takes_argument(const char *name)
{
    const OptRow *r = find_row(name);

    return r && r->arg;
}

static bool unknown(const char *shown, const char *name, GError **err)
{
    const char *names[G_N_ELEMENTS(rows) + 1] = { 0 };
    const char *near;

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        names[i] = rows[i].name;
    near = nearest_name(name, names);
    return error_set(err, "%s: invalid option%s%s%s", shown, near ? " (did you mean '-" : "", near ? near : "",
                     near ? "'?)" : "");
}

static bool apply(Cli *c, const OptRow *r, const char *arg, GError **err)
{
    char *at = (r->kind >= K_CFG_STR && r->kind <= K_CFG_LIST ? (char *)c->cfg : (char *)c) + r->off;
    CliItem item;

    switch (r->kind) {
    case K_STR: case K_CFG_STR:
        g_free(*(char **)at);
        *(char **)at = g_strdup(arg);
        return true;
    case K_FLAG: case K_CFG_FLAG:
        *(bool *)at = true;
        return true;
    case K_UNFLAG:
        *(bool *)at = false;
        return true;
    case K_LIST: case K_CFG_LIST:
        g_ptr_array_add(*(GPtrArray **)at, g_strdup(arg));
        return true;
    case K_ITEM:
        item = (CliItem){ r->name, g_strdup(arg) };
        g_array_append_val(*(GArray **)at, item);
        return true;
    case K_FN:
        if (r->fn(c, r->name, arg, err))
            return true;
        error_prefix_option(err, r->name, arg);
        return false;
    }
    g_assert_not_reached();
}

bool cli_option(Cli *c, const char *name, const char *arg, GError **err)
{
    const OptRow *r = find_row(name);

    return r ? apply(c, r, arg, err) : unknown(name, name, err);
}

bool cli_parse(Cli *c, int argc, char **argv, GError **err)
{
    for (int i = 1; i < argc && !c->exit; i++) {
        const char *name = argv[i], *arg = NULL;
        const OptRow *r;

        if (*name != '-' || !name[1]) {
            if (!cli_option(c, "hda", name, err))
                return false;
            continue;
        }
        name += name[1] == '-' ? 2 : 1;
        r = find_row(name);
        if (!r)
            return unknown(argv[i], name, err);
        if (r->arg) {
            if (++i >= argc)
                return error_set(err, "%s: requires an argument (%s)", argv[i - 1], r->arg);
            arg = argv[i];
        }
        if (arg && !cli_help(c, r->name, arg, err))
            return false;
        if (!c->exit && !apply(c, r, arg, err))
            return false;
    }
    return true;
}

void cli_print_help(void)
{
    printf("vmemu " CONFIG_VERSION ", an x86 PC on KVM, compatible with qemu-system-x86_64\n"
           "usage: %s [options] [disk_image]\n\n", error_program());
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *head = g_strdup_printf("-%s%s%s", rows[i].name, rows[i].arg ? " " : "",
                                                rows[i].arg ? rows[i].arg : "");

        if (!rows[i].help)
            continue;
        if (strlen(head) < 32)
            printf("%-32s%s\n", head, rows[i].help);
        else
            printf("%s\n%-32s%s\n", head, "", rows[i].help);
    }
}

static void clear_item(void *p)
{
    g_free(((CliItem *)p)->arg);
}

static GArray *items(void)
{
    GArray *a = g_array_new(false, true, sizeof(CliItem));

    g_array_set_clear_func(a, clear_item);
    return a;
}

Cli *cli_new(void)
{
    Cli *c = g_new0(Cli, 1);
    GPtrArray **lists[] = { &c->devices, &c->chardevs, &c->objects, &c->serials, &c->parallels, &c->usbdevices, &c->netdevs, &c->nics,
                            &c->nets, &c->debugcons, &c->module_dirs };

    c->cfg = machine_config_new();
    for (size_t i = 0; i < G_N_ELEMENTS(lists); i++)
        *lists[i] = g_ptr_array_new_with_free_func(g_free);
    c->drives = items();
    c->monitors = items();
    display_options_init(&c->display);
    return c;
}
