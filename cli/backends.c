/*
 * Carrying out the command line: accelerator, chardevs, drives, default devices, monitors; the machine's hooks.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "block/block.h"
#include "chardev/char.h"
#include "cli/cli.h"
#include "hw/core/hostmem.h"
#include "hw/usb/usb.h"
#include "monitor/monitor.h"
#include "net/net.h"
#include "target/i386/cpu.h"
#include "util/error.h"

#define MAX_SERIAL 4
#define MAX_PARALLEL 3

/* ---- Accelerator ---- */

bool cli_start_accel(Cli *c, Machine *m, GError **err)
{
    X86Topology t = x86_topology(m->cfg);
    AccelConfig cfg = {
        .irqchip = !c->irqchip || !strcmp(c->irqchip, "on") ? IRQCHIP_ON : !strcmp(c->irqchip, "split") ? IRQCHIP_SPLIT
                                                                                                     : IRQCHIP_OFF,
        .cpus = m->cfg->smp.cpus, .max_cpus = m->cfg->smp.max_cpus, .apic_id_limit = x86_apic_id_limit(&t, m->cfg->smp.max_cpus),
    };

    if (accel_open(c->accel_list, &cfg, machine_accel_host(m), err))
        return true;
    if (c->accel_list)
        error_prefix_option(err, "accel", c->accel_list);
    return false;
}

static bool is_help(const char *s)
{
    return !strcmp(s, "help") || !strcmp(s, "?");
}

/* ---- The machine's hooks ---- */

static void *find_drive(const char *id, Device *d, GError **err)
{
    return blk_for_device(id, err);
}

static const char *drive_name(void *blk)
{
    return blk_name(blk);
}

static bool open_chr(void *frontend, const char *id, Device *d, GError **err)
{
    Chardev *chr = chr_find(id);
    g_autoptr(GError) why = NULL;

    if (!chr)
        return error_set(err, "Property '%s.chardev' can't find value '%s'", d->type->name, id);
    return chr_attach(frontend, chr, &why) ||
           error_set(err, "Property '%s.chardev' can't take value '%s': %s", d->type->name, id, why->message);
}

static const char *chr_name(const void *frontend)
{
    const CharFrontend *f = frontend;

    return f->chr ? chr_id(f->chr) : NULL;
}

static bool drain_blocks(void)
{
    blk_drain_all();
    return true;
}

static void stop_io_error(void *opaque)
{
    machine_request_stop(opaque, RUN_IO_ERROR);
}

static bool vm_running(void *opaque)
{
    return machine_is_running(opaque);
}

static char *dev_path(void *opaque, void *dev)
{
    return g_strdup(((Device *)dev)->id ? ((Device *)dev)->id : ((Device *)dev)->path);
}

static void block_event(void *opaque, const char *name, json_t *data)
{
    machine_event(opaque, name, "o", data ? data : json_object());
}

static void observe_run(void *opaque, bool running, RunState s)
{
    if (running)
        blk_iostatus_reset_all();
    net_set_running(running);
}

static void init_networks(Machine *m);

static void set_hooks(Machine *m)
{
    static BlockHost host;

    m->hooks.find_drive = find_drive;
    m->hooks.drive_name = drive_name;
    m->hooks.open_chr = open_chr;
    m->hooks.chr_name = chr_name;
    m->hooks.drain_blocks = drain_blocks;
    m->hooks.flush_blocks = blk_flush_all;
    host = (BlockHost){ .opaque = m, .stop_io_error = stop_io_error, .vm_running = vm_running, .event = block_event,
                        .dev_path = dev_path };
    block_init(&host);
    machine_observe_state(m, observe_run, m);
    init_networks(m);
}

/* ---- Chardevs for ports ---- */

/* Port i's chardev; its id, which "chardev:ID" has given already, goes to ids. */
static bool open_port(const char *option, unsigned i, const char *spec, GPtrArray *ids, GError **err)
{
    g_autofree char *id = g_strdup_printf("%s%u", option, i);
    g_autoptr(GError) local = NULL;
    Chardev *chr = chr_open(id, spec, &local);

    if (!chr && local)
        return error_set(err, "-%s %s: %s", option, spec, local->message);
    g_ptr_array_add(ids, chr ? g_strdup(chr_id(chr)) : NULL);
    return true;
}

static bool add_debugcon(Cli *c, const char *spec, GError **err)
{
    g_autoptr(GError) local = NULL;
    Chardev *chr = chr_open("debugcon", spec, &local);

    if (!chr && local)
        return error_set(err, "-debugcon %s: %s", spec, local->message);
    if (chr)
        g_ptr_array_add(c->devices, g_strdup_printf("isa-debugcon,id=debugcon,chardev=%s", chr_id(chr)));
    return true;
}

static bool has_device(Cli *c, const char *type)
{
    for (unsigned i = 0; i < c->devices->len; i++) {
        const char *s = g_ptr_array_index(c->devices, i);
        g_autoptr(Opts) o = opts_parse(s, "driver", NULL);
        const char *driver = o ? opts_get(o, "driver") : NULL;

        if (driver && !strcmp(driver, type))
            return true;
    }
    return false;
}

static void default_port(Cli *c, GPtrArray *list, const char *type, const char *spec)
{
    if (!list->len && !c->cfg->nodefaults && !has_device(c, type))
        g_ptr_array_add(list, g_strdup(spec));
}

static void default_ports(Cli *c)
{
    bool qtest = !accel_is_kvm();

    /* With -nographic serial port and monitor share the terminal. */
    if (c->nographic && !c->serials->len && !c->cfg->nodefaults && !has_device(c, "isa-serial")) {
        bool shared = !c->monitors->len && !c->daemonize;

        g_ptr_array_add(c->serials, g_strdup(qtest ? "null" : shared ? "mon:stdio" : "stdio"));
        c->monitor_none |= shared;
    }
    default_port(c, c->serials, "isa-serial", qtest || c->nographic ? "null" : "vc:80Cx24C");
    default_port(c, c->parallels, "isa-parallel", c->nographic || qtest ? "null" : "vc:80Cx24C");
}

static bool add_ports(Cli *c, GError **err)
{
    if (c->serials->len > MAX_SERIAL)
        return error_set(err, "-serial: the machine has %d serial ports, not %u", MAX_SERIAL, c->serials->len);
    if (c->parallels->len > MAX_PARALLEL)
        return error_set(err, "-parallel: the machine has %d parallel ports, not %u", MAX_PARALLEL, c->parallels->len);
    for (unsigned i = 0; i < c->serials->len; i++)
        if (!open_port("serial", i, g_ptr_array_index(c->serials, i), c->cfg->serial, err))
            return false;
    for (unsigned i = 0; i < c->parallels->len; i++)
        if (!open_port("parallel", i, g_ptr_array_index(c->parallels, i), c->cfg->parallel, err))
            return false;
    if (c->debugcons->len > 1)
        return error_set(err, "-debugcon: the machine has one port 0xe9, not %u; -device isa-debugcon,iobase= makes others",
                         c->debugcons->len);
    return !c->debugcons->len || add_debugcon(c, g_ptr_array_index(c->debugcons, 0), err);
}

/* ---- Drives ---- */

static const struct { const char *option; BlkIf type; int index; const char *extra; } old_drives[] = {
    { "hda", BLK_IF_IDE, 0, "media=disk" }, { "hdb", BLK_IF_IDE, 1, "media=disk" }, { "hdc", BLK_IF_IDE, 2, "media=disk" },
    { "hdd", BLK_IF_IDE, 3, "media=disk" }, { "cdrom", BLK_IF_IDE, 2, "media=cdrom" }, { "fda", BLK_IF_FLOPPY, 0, NULL },
    { "fdb", BLK_IF_FLOPPY, 1, NULL },
};

static bool add_drive(const CliItem *item, GError **err)
{
    g_autoptr(GError) local = NULL;
    bool ok = false;

    for (size_t i = 0; i < G_N_ELEMENTS(old_drives); i++)
        if (!strcmp(item->option, old_drives[i].option))
            ok = drive_add_file(old_drives[i].type, old_drives[i].index, item->arg, old_drives[i].extra, &local);
    if (!strcmp(item->option, "drive"))
        ok = drive_add(item->arg, BLK_IF_IDE, &local);
    else if (!strcmp(item->option, "blockdev"))
        ok = blockdev_add_string(item->arg, &local);
    return ok || error_set(err, "-%s %s: %s", item->option, item->arg, local ? local->message : "cannot be opened");
}

static bool add_drives(Cli *c, GError **err)
{
    drive_set_snapshot(c->snapshot);
    for (unsigned i = 0; i < c->drives->len; i++)
        if (!add_drive(&g_array_index(c->drives, CliItem, i), err))
            return false;
    if (c->cfg->nodefaults || !strcmp(c->cfg->type ? c->cfg->type : "pc", "none"))
        return true;
    if (!has_device(c, "ide-cd") && !has_device(c, "scsi-cd"))
        drive_add_default(BLK_IF_IDE, 2, "media=cdrom", NULL);
    if (!has_device(c, "isa-fdc") && !has_device(c, "floppy"))
        drive_add_default(BLK_IF_FLOPPY, 0, NULL, NULL);
    drive_add_default(BLK_IF_SD, 0, NULL, NULL);     /* no slot takes it, but info block lists it */
    return true;
}

/* ---- Networks ---- */

static void *find_netdev(const char *id, Device *d, GError **err)
{
    NetClient *c = net_find_netdev(id);

    if (!c) {
        error_set(err, "Property '%s.netdev' can't find value '%s'", d->type->name, id);
        return NULL;
    }
    if (!c->peer)
        return c;
    error_set(err, "Property '%s.netdev' can't take value '%s', it's in use", d->type->name, id);
    return NULL;
}

/* The id of what the device was connected with, while that is still there. */
static bool same_client(NetClient *c, void *opaque)
{
    NetClient **wanted = opaque;

    if (c != *wanted)
        return true;
    *wanted = NULL;
    return false;
}

static const char *netdev_name(void *net)
{
    NetClient *c = net;

    net_foreach(same_client, &c);
    return c ? "" : ((NetClient *)net)->name;
}

/* Back-ends are made before the machine has its clock. */
static uint64_t guest_time(void *m)
{
    return ((Machine *)m)->clock ? clock_now(m) : 0;
}

static void init_networks(Machine *m)
{
    const NetHost h = { .now_ns = guest_time, .get_fd = monitor_fd_param, .event = monitor_event, .opaque = m };

    m->hooks.find_netdev = find_netdev;
    m->hooks.netdev_name = netdev_name;
    net_init(&h);
}

static bool each(GPtrArray *texts, const char *option, bool (*add)(const char *, GError **), GError **err)
{
    for (unsigned i = 0; i < texts->len; i++) {
        const char *s = g_ptr_array_index(texts, i);
        g_autoptr(GError) local = NULL;

        if (!add(s, &local))
            return error_set(err, "-%s %s: %s", option, s, local->message);
    }
    return true;
}

static bool add_netdev(const char *text, GError **err)
{
    return net_add_netdev(text, err) != NULL;
}

static void print_nic_models(void)
{
    puts("Supported NIC models:");
    for (const DeviceType *const *t = device_types; *t; t++)
        if ((*t)->category == CAT_NETWORK && !g_strcmp0((*t)->bus, "PCI"))
            puts((*t)->name);
}

/* Without a word about networks a machine has a card. */
static bool add_networks(Cli *c, GError **err)
{
    if (c->netdevs->len && is_help(g_ptr_array_index(c->netdevs, 0))) {
        g_autoptr(GString) out = g_string_new(NULL);

        net_print_types(out);
        fputs(out->str, stdout);
        c->exit = true;
        return true;
    }
    if (!each(c->netdevs, "netdev", add_netdev, err) || !each(c->nics, "nic", net_add_nic, err) ||
        !each(c->nets, "net", net_add_legacy, err))
        return false;
    if (net_nic_model_help) {
        print_nic_models();
        c->exit = true;
        return true;
    }
    if (c->netdevs->len || c->nics->len || c->nets->len || c->cfg->nodefaults || !strcmp(c->cfg->type ? c->cfg->type : "pc", "none"))
        return true;
    return net_add_default(err);
}

bool cli_object_add(Machine *m, const char *text, GError **err)
{
    g_autoptr(Opts) o = opts_parse(text, "qom-type", err);
    const char *type = o ? opts_get(o, "qom-type") : NULL;

    if (!o)
        return false;
    if (type && net_filter_is_type(type))
        return net_filter_add(type, opts_get(o, "id"), o, err);
    if (!type || !hostmem_is_type(type))
        return error_set(err, "Parameter 'qom-type' does not accept value '%s'", type ? type : "");
    return hostmem_add(m, type, o, err);
}

static bool add_object(Machine *m, const char *text, GError **err)
{
    g_autoptr(GError) local = NULL;

    return cli_object_add(m, text, &local) || error_set(err, "-object %s: %s", text, local->message);
}

/* Filters come when there are netdevs to look at. */
static bool add_objects(Cli *c, Machine *m, bool filters, GError **err)
{
    for (unsigned i = 0; i < c->objects->len; i++) {
        const char *s = g_ptr_array_index(c->objects, i);

        if ((strstr(s, "filter-") != NULL) == filters && !add_object(m, s, err))
            return false;
    }
    return true;
}

bool cli_backends(Cli *c, Machine *m, GError **err)
{
    set_hooks(m);
    if (c->daemonize)
        chr_forbid_stdio("-daemonize");
    if (c->display.type == DISPLAY_CURSES)
        chr_forbid_stdio("-display curses");
    for (unsigned i = 0; i < c->chardevs->len; i++) {
        const char *s = g_ptr_array_index(c->chardevs, i);
        g_autoptr(GError) local = NULL;

        if (!chr_new_opts(s, &local))
            return error_set(err, "-chardev %s: %s", s, local->message);
    }
    if (!add_objects(c, m, false, err))
        return false;
    default_ports(c);
    if (!add_networks(c, err) || c->exit)
        return c->exit;
    if (!add_objects(c, m, true, err))
        return false;
    /* Monitors come before the ports, whose consoles in the window are behind theirs, and before the devices: on a mux
     * the one that comes last has the input, and that is to be the serial port. */
    return cli_monitors(c, m, err) && add_ports(c, err) && add_drives(c, err);
}

static bool add_usbdevices(Cli *c, Machine *m, GError **err)
{
    for (unsigned i = 0; i < c->usbdevices->len; i++) {
        const char *s = g_ptr_array_index(c->usbdevices, i);

        if (!usb_add_legacy(m, s, err)) {
            g_prefix_error(err, "-usbdevice %s: ", s);
            return false;
        }
    }
    return true;
}

bool cli_devices(Cli *c, Machine *m, GError **err)
{
    if (!add_usbdevices(c, m, err))
        return false;
    for (unsigned i = 0; i < c->devices->len; i++) {
        const char *s = g_ptr_array_index(c->devices, i);
        g_autoptr(GError) local = NULL;

        if (!device_add_opts(m, s, false, &local)) {
            if (local)
                return error_set(err, "-device %s: %s", s, local->message);
            c->exit = true;         /* help was shown */
            return true;
        }
    }
    if (accel_is_kvm())
        net_check();
    return drive_check_orphaned(err);
}

/* ---- Monitors ---- */

static bool add_monitor(const CliItem *item, GError **err)
{
    g_autoptr(GError) local = NULL;
    bool ok = !strcmp(item->option, "mon") ? monitor_add_opts(item->arg, &local)
                                           : monitor_add_legacy(item->arg, item->option[0] == 'q', strlen(item->option) > 3, &local);

    return ok || error_set(err, "-%s %s: %s", item->option, item->arg, local->message);
}

/* "mon:..." has made one. */
static bool any_mon(const GPtrArray *specs)
{
    for (unsigned i = 0; i < specs->len; i++)
        if (g_str_has_prefix(g_ptr_array_index(specs, i), "mon:"))
            return true;
    return false;
}

bool cli_monitors(Cli *c, Machine *m, GError **err)
{
    bool human = c->monitor_none || c->monitors->len || any_mon(c->serials) || any_mon(c->parallels) || any_mon(c->debugcons);

    for (unsigned i = 0; i < c->monitors->len; i++) {
        const CliItem *item = &g_array_index(c->monitors, CliItem, i);

        if (!add_monitor(item, err))
            return false;
    }
    if (human || c->cfg->nodefaults || !accel_is_kvm())
        return true;
    return monitor_add_legacy(c->nographic ? "stdio" : "vc:80Cx24C", false, false, err);
}
