/*
 * The board "pc" (pc-i440fx-7.2): an i440FX and PIIX3 PC of 1996 with ACPI. Wiring only.
 *
 * Interrupts: ISA interrupt n goes to the 8259s (n) and the IOAPIC (n, but 0 to pin 2); with an in-kernel irqchip KVM
 * does that routing.
 */
#include <string.h>
#include "hw/acpi/acpi.h"
#include "hw/dma/i8257.h"
#include "hw/i386/pc-int.h"
#include "hw/ide/ide.h"
#include "hw/intc/intc.h"
#include "hw/isa/piix.h"
#include "hw/pci/i440fx.h"
#include "target/i386/cpu.h"
#include "util/error.h"
#include "util/opts.h"

const char *pc_prop(Machine *m, const char *name, const char *def)
{
    const char *s = g_hash_table_lookup(m->cfg->props, name);

    return s ? s : def;
}

bool pc_prop_on(Machine *m, const char *name, bool def)
{
    const char *s = pc_prop(m, name, NULL);
    bool on;

    return s && parse_bool_text(s, &on) ? on : def;
}

/* ---- Interrupts ---- */

static void kernel_gsi(void *opaque, unsigned n, int level)
{
    Pc *pc = opaque;

    if (n >= ISA_IRQS) {
        ioapic_set_irq(pc->ioapic, n, level);
        return;
    }
    pic_set_irq(pc->pic, n, level);     /* KVM takes it to both */
    ioapic_count(pc->ioapic, n, level);
}

static void user_gsi(void *opaque, unsigned n, int level)
{
    Pc *pc = opaque;

    if (n < ISA_IRQS)
        pic_set_irq(pc->pic, n, level);
    ioapic_set_irq(pc->ioapic, n, level);
}

static void ioapic_msi(void *opaque, uint64_t addr, uint32_t data)
{
    Pc *pc = opaque;

    if (accel_irqchip == IRQCHIP_OFF)
        x86_apic_msi(pc->machine, addr, data);
    else
        accel->msi(addr, data);
}

static int pic_vector(void *opaque)
{
    Pc *pc = opaque;

    return pic_read_irq(pc->pic);
}

/* Split: KVM tells of the EOIs of those level-triggered vectors that have a route. */
static void ioapic_route(void *opaque, unsigned pin, uint64_t addr, uint32_t data, bool masked)
{
    bool wanted = !masked && (data & 1 << 15);

    if (accel_irqchip != IRQCHIP_SPLIT)
        return;
    accel->msi_route_update(pin, wanted ? addr : 0, wanted ? data : 0);
    accel->msi_routes_commit();
}

static const IoapicOps ioapic_ops = { .msi = ioapic_msi, .extint_vector = pic_vector, .route = ioapic_route };

LineSink *pc_gsi_sink(void)
{
    return accel_irqchip == IRQCHIP_ON ? kernel_gsi : user_gsi;
}

static bool init_irqs(Pc *pc, GError **err)
{
    Machine *m = pc->machine;
    bool in_kernel = accel_irqchip == IRQCHIP_ON;

    pc->pic = pic_create_pair(m, &pc->isa->bus, in_kernel, err);
    if (!pc->pic)
        return false;
    if (!in_kernel) {
        line_connect(pic_output(pc->pic), x86_apic_pic_line, m, 0);
        x86_apic_set_pic(m, pic_vector, pc);
    }
    pc->ioapic = ioapic_create(m, pc->pci->bus.parent, in_kernel ? NULL : &ioapic_ops, pc, err);
    isa_bus_set_irqs(pc->isa, pc_gsi_sink(), pc);
    return pc->ioapic;
}

static void pc_nmi(Machine *m)
{
    for (unsigned i = 0; i < m->vcpus->len; i++)
        x86_cpu_nmi(x86_cpu(m, i));
}

static void pc_ioapic_eoi(Machine *m, unsigned vector)
{
    ioapic_eoi(pc_of(m)->ioapic, vector);
}

/* ---- The board ---- */

static bool init_cpus(Pc *pc, GError **err)
{
    Machine *m = pc->machine;
    X86Topology t = x86_topology(m->cfg);

    if (!x86_cpus_create(m, m->type->default_cpu, err))
        return false;
    pc->n_cpus = m->cfg->smp.max_cpus;
    pc->cpus = g_new0(TablesCpu, pc->n_cpus);
    for (unsigned i = 0; i < pc->n_cpus; i++)
        pc->cpus[i] = (TablesCpu){ .apic_id = x86_apic_id(&t, i), .present = i < m->cfg->smp.cpus, .node = -1 };
    return true;
}

/* Ports that are decoded and do nothing: POST codes, and the coprocessor's error latch. */
static void add_ports(Pc *pc)
{
    static const RegionOps none;

    region_init_io(&pc->port80, pc->machine->root, "ioport80", 1, &none, pc);
    region_add(&pc->machine->io, 0x80, &pc->port80);
    region_init_io(&pc->portf0, pc->machine->root, "ioportF0", 1, &none, pc);
    region_add(&pc->machine->io, 0xf0, &pc->portf0);
}

static bool add_fw_cfg(Pc *pc, GError **err)
{
    Device *d = device_new(pc->machine, &fw_cfg_io_type, err);

    pc->fw_cfg = DEVICE(d, FwCfg);
    if (!d)
        return false;
    d->part = "fw_cfg";
    return device_realize(d, NULL, err);
}

/* smm=auto: where the accelerator can do it (without KVM, whose registers the tests look at, it can). */
static bool init_smm(Machine *m, GError **err)
{
    const char *s = pc_prop(m, "smm", "auto");
    bool on, available = !accel_is_kvm() || accel_smm;

    if (strcmp(s, "auto") && !parse_bool_text(s, &on))
        return error_set(err, "Parameter 'smm' does not accept value '%s' (it takes 'on', 'off', 'auto')", s);
    if (strcmp(s, "auto") && on && !available)
        return error_set(err, "System Management Mode not supported by this hypervisor.");
    if (available && (!strcmp(s, "auto") || on))
        machine_enable_smm(m);
    return true;
}

/* The order is that of the numbers in /machine/unattached, and of `info qtree`. */
static bool pc_init(Machine *m, GError **err)
{
    Pc *pc = g_new0(Pc, 1);
    uint32_t *ids;

    m->board = pc;
    pc->machine = m;
    if (!init_smm(m, err) || !init_cpus(pc, err) || !pc_memory_init(pc, err) || !add_fw_cfg(pc, err))
        return false;
    pc->pci = i440fx_create(m, &pc->ram, pc->below_4g, pc->above_4g, err);
    if (!pc->pci)
        return false;
    pc->isa = piix3_create(pc->pci, err);
    if (!pc->isa || !i8257_create_pair(m, pc->isa, false, err) || !init_irqs(pc, err) || !pc_firmware_init(pc, err) ||
        !pc_devices_init(pc, err))
        return false;
    if (pc->pm) {
        ids = g_new(uint32_t, pc->n_cpus);
        for (unsigned i = 0; i < pc->n_cpus; i++)
            ids[i] = pc->cpus[i].apic_id;
        piix4_pm_set_cpus(pc->pm, ids, pc->n_cpus);
        g_free(ids);
    }
    add_ports(pc);
    pc_facts_init(pc);
    return true;
}

#define BOOL_PROP(n, h) { .name = n, .kind = PROP_BOOL, .type_name = "bool", .help = h }
#define TRI_PROP(n, h) { .name = n, .kind = PROP_ON_OFF_AUTO, .type_name = "OnOffAuto", .help = h }

#define TEXT_PROP(n, h) { .name = n, .kind = PROP_STR, .type_name = "string", .help = h }

/* In the order of the lines "name=<type>". */
static const Property pc_props[] = {
    TRI_PROP("acpi", "Enable ACPI"),
    TEXT_PROP("append", "Linux kernel command line"),
    TEXT_PROP("dtb", "Linux kernel device tree file"),
    BOOL_PROP("dump-guest-core", "Include guest memory in a core dump"),
    TEXT_PROP("firmware", "Firmware image"),
    BOOL_PROP("graphics", "Set on/off to enable/disable graphics emulation"),
    BOOL_PROP("hpet", "Enable/disable high precision event timer emulation"),
    BOOL_PROP("i8042", NULL),
    TEXT_PROP("initrd", "Linux initial ramdisk file"),
    TEXT_PROP("kernel", "Linux kernel image file"),
    { .name = "max-ram-below-4g", .kind = PROP_SIZE, .type_name = "size",
      .help = "Maximum ram below the 4G boundary (32bit boundary)" },
    BOOL_PROP("mem-merge", "Enable/disable memory merge support"),
    { .name = "memory-backend", .kind = PROP_STR, .type_name = "link<memory-backend>",
      .help = "Set RAM backendValid value is ID of hostmem based backend" },
    TRI_PROP("pic", "Enable i8259 PIC"),
    TRI_PROP("pit", "Enable i8254 PIT"),
    { .name = "smbios-entry-point-type", .kind = PROP_STR, .type_name = "str", .help = "SMBIOS Entry Point type [32, 64]" },
    BOOL_PROP("smbus", "Enable/disable system management bus"),
    TRI_PROP("smm", "Enable SMM"),
    BOOL_PROP("usb", "Set on/off to enable/disable usb"),
    TRI_PROP("vmport", "Enable vmport (pc & q35)"),
    TEXT_PROP("x-oem-id", "Override the default value of field OEMID in ACPI table header.The string may be up to 6 bytes in size"),
    TEXT_PROP("x-oem-table-id",
              "Override the default value of field OEM Table ID in ACPI table header.The string may be up to 8 bytes in size"),
    { 0 }
};

const MachineType machine_pc = {
    .name = "pc-i440fx-7.2", .alias = "pc", .desc = "Standard PC (i440FX + PIIX, 1996)", .is_default = true, .max_cpus = 255,
    .default_ram_size = 128ull << 20, .default_cpu = "qemu64", .default_ram_id = "pc.ram", .props = pc_props,
    .init = pc_init, .ready = pc_ready, .nmi = pc_nmi, .set_boot_order = pc_set_boot_order, .pre_plug = pc_pre_plug,
    .plugged = pc_plugged, .request_unplug = pc_request_unplug, .unplugged = pc_unplugged, .ioapic_eoi = pc_ioapic_eoi,
};
