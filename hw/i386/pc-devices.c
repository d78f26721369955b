/* The PC's devices: those that are always there, the default ones, and those that the old options ask for. */
#include <string.h>
#include "hw/acpi/acpi.h"
#include "hw/block/fdc.h"
#include "hw/char/serial.h"
#include "hw/i386/pc-int.h"
#include "hw/ide/ide.h"
#include "hw/input/input.h"
#include "hw/misc/misc.h"
#include "hw/timer/timer.h"
#include "net/net.h"
#include "target/i386/cpu.h"
#include "util/error.h"

#define SMBUS_PORT 0xb100
#define SCI 9
#define PC_SERIAL_PORTS 4
#define PC_PARALLEL_PORTS 3

/* A device of the board at a fixed PCI address. */
static Device *pci_at(Pc *pc, const DeviceType *t, unsigned slot, unsigned fn, GError **err)
{
    Device *d = device_new(pc->machine, t, err);

    if (!d)
        return NULL;
    device_set_int(d, "addr", PCI_DEVFN_(slot, fn));
    return device_realize(d, &pc->pci->bus, err) ? d : NULL;
}

static Device *isa_add(Pc *pc, const char *type, GError **err)
{
    const DeviceType *t = device_type_find(type);

    if (!t) {
        error_set(err, "there is no device type %s", type);
        return NULL;
    }
    return device_create(pc->machine, t, &pc->isa->bus, err);
}

/* ---- Chips ---- */

/* With an HPET the interrupts of the PIT and the clock pass through it. */
static void rtc_to_hpet(void *hpet, unsigned n, int level)
{
    device_set_input(hpet, HPET_IN_RTC, level);
}

static void hpet_gates_pit(void *pc, unsigned n, int on)
{
    if (((Pc *)pc)->pit)
        pit_irq_enable(((Pc *)pc)->pit, n, on);
}

static bool add_pit(Pc *pc, GError **err)
{
    bool in_kernel = accel_irqchip == IRQCHIP_ON;

    pc->pit = pit_create(pc->machine, &pc->isa->bus, in_kernel, err);
    if (!pc->pit)
        return false;
    if (!in_kernel && pc->hpet)
        line_connect_device(pit_irq(pc->pit), pc->hpet, HPET_IN_PIT);
    else if (!in_kernel)
        line_connect(pit_irq(pc->pit), isa_bus_irq, pc->isa, 0);
    return pcspk_create(pc->machine, &pc->isa->bus, pc->pit, err);
}

static bool add_chips(Pc *pc, GError **err)
{
    Machine *m = pc->machine;

    if (!m->cfg->no_hpet && pc_prop_on(m, "hpet", true)) {
        pc->hpet = hpet_create(m, HPET_INTCAP_PC, pc_gsi_sink(), pc, hpet_gates_pit, pc, err);
        if (!pc->hpet)
            return false;
    }
    pc->rtc = rtc_create(m, &pc->isa->bus, 0, pc->hpet ? rtc_to_hpet : NULL, pc->hpet, 0, err);
    return pc->rtc && (!pc_prop_on(m, "pit", true) || add_pit(pc, err));
}

/* ---- Serial and parallel ports ---- */

static bool add_ports(Pc *pc, GError **err)
{
    const MachineConfig *cfg = pc->machine->cfg;

    for (unsigned i = 0; i < MIN(cfg->serial->len, PC_SERIAL_PORTS); i++) {
        const char *id = g_ptr_array_index(cfg->serial, i);

        if (id && !isa_serial_create(pc->machine, &pc->isa->bus, i, id, err))
            return false;
    }
    for (unsigned i = 0; i < MIN(cfg->parallel->len, PC_PARALLEL_PORTS); i++) {
        const char *id = g_ptr_array_index(cfg->parallel, i);
        const DeviceType *t = device_type_find("isa-parallel");
        Device *d;

        if (!id || !t)
            continue;
        d = device_new(pc->machine, t, err);
        if (!d)
            return false;
        device_set_int(d, "index", i);
        if (!device_set(d, "chardev", id, err) || !device_realize(d, &pc->isa->bus, err))
            return false;
    }
    return true;
}

/* ---- Keyboard, mouse, port 92 ---- */

static bool add_keyboard(Pc *pc, GError **err)
{
    Machine *m = pc->machine;

    if (pc_prop_on(m, "i8042", true)) {
        pc->kbc = isa_add(pc, "i8042", err);
        if (!pc->kbc)
            return false;
    }
    if (strcmp(pc_prop(m, "vmport", "auto"), "off") && !vmport_create(m, &pc->isa->bus, pc->kbc, err))
        return false;
    return !pc->kbc || isa_add(pc, "port92", err);
}

/* ---- Disks ---- */

static bool add_disks(Pc *pc, GError **err)
{
    pc->ide = pci_at(pc, &piix3_ide_type, 1, 1, err);
    if (!pc->ide)
        return false;
    for (int bus = 0; bus < 2; bus++) {
        for (int unit = 0; unit < 2; unit++) {
            DriveInfo *drive = drive_get(BLK_IF_IDE, bus, unit);

            if (drive && !ide_create_drive(pc->ide, drive, err))
                return false;
        }
    }
    return true;
}

static bool add_display(Pc *pc, GError **err)
{
    const char *vga = pc->machine->cfg->vga;
    const DeviceType *t = device_type_find("VGA");

    if (!vga)
        vga = pc->machine->cfg->nodefaults ? "none" : "std";
    if (!strcmp(vga, "none"))
        return true;
    return pci_at(pc, t, 2, 0, err);
}

/* ---- Network cards ---- */

static bool nic_model_known(const DeviceType *t)
{
    return t && t->category == CAT_NETWORK && t->bus && !strcmp(t->bus, "PCI");
}

static bool add_nic(Pc *pc, NetNic *nic, GError **err)
{
    const DeviceType *t = device_type_find(nic->model ? nic->model : "e1000");
    g_autofree char *mac = NULL;
    Device *d;

    if (!nic_model_known(t))
        return error_set(err, "-nic model=%s: Unsupported NIC model: %s; '-nic model=help' lists them", nic->model, nic->model);
    d = device_new(pc->machine, t, err);
    if (!d)
        return false;
    net_mac_free(nic->mac);         /* the device takes it again */
    mac = g_strdup_printf("%02x:%02x:%02x:%02x:%02x:%02x", nic->mac[0], nic->mac[1], nic->mac[2], nic->mac[3], nic->mac[4],
                          nic->mac[5]);
    nic->used = true;
    return device_set(d, "mac", mac, err) && (!nic->addr || device_set(d, "addr", nic->addr, err)) &&
           device_set(d, "netdev", nic->peer->name, err) && device_realize(d, &pc->pci->bus, err);
}

static bool add_nics(Pc *pc, GError **err)
{
    for (unsigned i = 0; net_nics && i < net_nics->len; i++)
        if (!add_nic(pc, &g_array_index(net_nics, NetNic, i), err))
            return false;
    return true;
}

/* To the first CPU. */
static void smi(void *machine, unsigned n, int level)
{
    if (level)
        x86_cpu_smi(x86_cpu(machine, 0));
}

bool pc_devices_init(Pc *pc, GError **err)
{
    Machine *m = pc->machine;

    if (!add_display(pc, err) || !add_chips(pc, err) || !add_ports(pc, err))
        return false;
    pc->fdc = fdc_create(m, &pc->isa->bus, err);
    if (!pc->fdc || !add_keyboard(pc, err) || !add_nics(pc, err) || !add_disks(pc, err))
        return false;
    if (m->cfg->usb && !pci_at(pc, device_type_find("piix3-usb-uhci"), 1, 2, err))
        return false;
    if (!m->cfg->no_acpi && pc_prop_on(m, "acpi", true)) {
        pc->pm = piix4_pm_create(pc->pci, PCI_DEVFN_(1, 3), SMBUS_PORT, isa_bus_irq, pc->isa, SCI, m->smm ? smi : NULL, m, err);
        if (!pc->pm)
            return false;
    }
    return true;
}

unsigned pc_floppy_type(Pc *pc, unsigned n)
{
    return pc->fdc ? fdc_cmos_type(pc->fdc, n) : 0;
}
