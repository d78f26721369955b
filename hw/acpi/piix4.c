/*
 * Intel 82371AB (PIIX4), function 3: power management and SMBus (data sheet 290562).
 *
 * QEMU's PC puts it beside a PIIX3. The ACPI registers are at PMBASE (register 40h, enabled by PMREGMISC 80h), the
 * SMBus controller at SMBBASE (90h, enabled by SMBHSTCFG D2h); GPE0 and the hot-plug registers have fixed ports.
 *
 * With smm-enabled port 0xb2 changes between APM and ACPI mode, and raises SMIs.
 *
 * Not modelled: SMIs from other sources, device monitors, clock throttling, general-purpose I/O.
 */
#include "hw/acpi/acpi-int.h"
#include "hw/acpi/pm-smbus.h"
#include "util/error.h"

enum { PMBASE = 0x40, DEVACTB = 0x58, DEVRESA = 0x5f, DEVRESB = 0x63, DEVRESC = 0x67, PMREGMISC = 0x80, SMBBASE = 0x90,
       SMBHSTCFG = 0xd2 };
#define PM_PORTS 64
#define APM_PORT 0xb2
#define SPD_EEPROMS 8
#define SPD_ADDRESS 0x50

typedef struct Piix4Pm {
    PciDevice pci;
    AcpiRegs acpi;
    uint8_t apmc, apms;
    PmSmbus smb;
    AcpiPciHp pcihp;
    AcpiMemHp memhp;
    AcpiCpuHp cpuhp;

    Line smi;
    Region io, apm_io;
    uint32_t smb_io_base;
    uint8_t disable_s3, disable_s4, s4_val;
    bool bridge_hotplug, root_hotplug, memory_hotplug, smm_compat, smm_enabled, not_migrate_acpi_index;
} Piix4Pm;

/* ---- Configuration space ---- */

static void map_pm(Piix4Pm *s)
{
    region_set_addr(&s->io, pci_get16(s->pci.config + PMBASE) & 0xffc0);
    region_set_enabled(&s->io, s->pci.config[PMREGMISC] & 1);
}

static void map_smbus(Piix4Pm *s)
{
    s->smb_io_base = pci_get16(s->pci.config + SMBBASE) & 0xffc0;
    region_set_addr(&s->smb.io, s->smb_io_base);
    region_set_enabled(&s->smb.io, s->pci.config[SMBHSTCFG] & 1);
}

static void map_both(Piix4Pm *s)
{
    map_begin(s->pci.dev.machine);
    map_pm(s);
    map_smbus(s);
    map_commit(s->pci.dev.machine);
}

static void piix4_config_write(PciDevice *pd, unsigned off, uint32_t val, unsigned len)
{
    pci_config_write(pd, off, val, len);
    if (pci_touches(off, len, PMBASE, 4) || pci_touches(off, len, PMREGMISC, 1) || pci_touches(off, len, SMBBASE, 4) ||
        pci_touches(off, len, SMBHSTCFG, 1))
        map_both(DEVICE(&pd->dev, Piix4Pm));
}

/* ---- APM control and status ports: scratch registers without SMM ---- */

enum { APM_ACPI_DISABLE = 0xf0, APM_ACPI_ENABLE = 0xf1, DEVACTB_APMC_EN = 0x02 };

static uint64_t apm_read(void *opaque, uint64_t off, unsigned size)
{
    Piix4Pm *s = opaque;

    return off ? s->apms : s->apmc;
}

static void apm_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    Piix4Pm *s = opaque;

    if (off) {
        s->apms = val;
        return;
    }
    s->apmc = val;
    if (s->apmc == APM_ACPI_ENABLE || s->apmc == APM_ACPI_DISABLE)
        acpi_regs_set_mode(&s->acpi, s->apmc == APM_ACPI_ENABLE);
    else if (s->smm_enabled && (s->pci.config[DEVACTB + 3] & DEVACTB_APMC_EN))
        line_pulse(&s->smi);
}

static const RegionOps apm_ops = { .read = apm_read, .write = apm_write, .min = 1, .max = 1 };

/* ---- Events ---- */

static void power_button(void *opaque)
{
    acpi_regs_power_button(&((Piix4Pm *)opaque)->acpi);
}

static void woken(void *opaque)
{
    acpi_regs_woken(&((Piix4Pm *)opaque)->acpi);
}

static bool decoded(const Machine *m, uint16_t port)
{
    for (const GSList *l = m->io.children; l; l = l->next) {
        const Region *r = l->data;

        if (r->enabled && port >= r->addr && port - r->addr < r->size)
            return true;
    }
    return false;
}

/* The device resource registers show the guest which serial and parallel ports there are. */
static void show_resources(void *opaque)
{
    Piix4Pm *s = opaque;
    const Machine *m = s->pci.dev.machine;
    uint8_t *c = s->pci.config;

    c[DEVRESA] = 0x10 | (decoded(m, 0x378) ? 0x80 : 0);
    c[DEVRESB] = 0x60;
    c[DEVRESC] = (decoded(m, 0x3f8) ? 0x08 : 0) | (decoded(m, 0x2f8) ? 0x90 : 0);
}

void acpi_send_event(Machine *m, AcpiEvent ev)
{
    PciBus *b = pci_root(m);

    for (unsigned devfn = 0; b && devfn < 256; devfn++)
        if (b->devices[devfn] && b->devices[devfn]->dev.type == &piix4_pm_type)
            acpi_regs_gpe(&DEVICE(&b->devices[devfn]->dev, Piix4Pm)->acpi, ev);
}

/* ---- Life ---- */

static bool piix4_realize(Device *d, GError **err)
{
    Piix4Pm *s = DEVICE(d, Piix4Pm);
    uint8_t *c = s->pci.config;
    Machine *m = d->machine;

    pci_set16(c + PCI_STATUS, PCI_STATUS_FAST_BACK | PCI_STATUS_DEVSEL_MEDIUM);
    pci_set_pin(&s->pci, 1);
    pci_set32(c + SMBBASE, s->smb_io_base | 1);
    c[SMBHSTCFG] = 0x09;
    region_init(&s->io, d, "piix4-pm", PM_PORTS);
    region_set_enabled(&s->io, false);
    region_add(&m->io, 0, &s->io);
    region_init_io(&s->apm_io, d, "apm-io", 2, &apm_ops, s);
    region_add(&m->io, APM_PORT, &s->apm_io);
    acpi_regs_init(&s->acpi, d, &s->io, &s->s4_val);
    s->acpi.only = !s->smm_enabled;
    pm_smbus_init(&s->smb, d);
    region_add(&m->io, 0, &s->smb.io);
    map_smbus(s);
    acpi_pcihp_init(&s->pcihp, d, &s->acpi, pci_bus_of(&s->pci), s->bridge_hotplug, s->root_hotplug);
    acpi_cpuhp_init(&s->cpuhp, d);
    acpi_memhp_init(&s->memhp, d, m->cfg && s->memory_hotplug ? m->cfg->ram_slots : 0);
    machine_observe_powerdown(m, power_button, s);
    machine_observe_wakeup(m, woken, s);
    machine_observe_ready(m, show_resources, s);
    return true;
}

static void piix4_unrealize(Device *d)
{
    Piix4Pm *s = DEVICE(d, Piix4Pm);

    acpi_memhp_fini(&s->memhp);
    acpi_cpuhp_fini(&s->cpuhp);
    acpi_pcihp_fini(&s->pcihp);
    pm_smbus_fini(&s->smb);
    acpi_regs_fini(&s->acpi);
    region_fini(&s->apm_io);
    region_fini(&s->io);
}

static void piix4_reset(Device *d)
{
    Piix4Pm *s = DEVICE(d, Piix4Pm);
    uint8_t *c = s->pci.config;

    pci_set32(c + DEVACTB, 0);
    if (!s->smm_enabled)
        c[DEVACTB + 3] = DEVACTB_APMC_EN;   /* to the BIOS: SMM is set up already */
    c[PMBASE] = 1;
    c[PMREGMISC] = 0;
    acpi_regs_reset(&s->acpi);
    map_both(s);
    acpi_pcihp_reset(&s->pcihp);
}

/* ---- State ---- */

static bool piix4_before_load(void *obj, GError **err)
{
    Piix4Pm *s = obj;

    s->memhp.selector = 0;
    acpi_cpuhp_set_modern(&s->cpuhp, false);
    return true;
}

static void piix4_save(void *obj)
{
    acpi_regs_save(&((Piix4Pm *)obj)->acpi);
}

static bool piix4_loaded(void *obj, int version, GError **err)
{
    Piix4Pm *s = obj;

    map_both(s);
    acpi_regs_loaded(&s->acpi);
    return true;
}

static bool bridges(const void *obj)
{
    return ((const Piix4Pm *)obj)->bridge_hotplug;
}

static bool no_bridges(const void *obj)
{
    return !bridges(obj);
}

static bool index_migrates(const void *obj)
{
    return bridges(obj) && !((const Piix4Pm *)obj)->not_migrate_acpi_index;
}

static bool memhp_needed(const void *obj)
{
    return ((const Piix4Pm *)obj)->memory_hotplug;
}

static bool cpuhp_needed(const void *obj)
{
    return ((const Piix4Pm *)obj)->cpuhp.modern;
}

static bool cpuhp_before_load(void *obj, GError **err)
{
    acpi_cpuhp_set_modern(&((Piix4Pm *)obj)->cpuhp, true);
    return true;
}

static const StateTable memhp_state = {
    .name = "piix4_pm/memhp", .version = 1, .min_version = 1, .needed = memhp_needed,
    .fields = (const Field[]){ STRUCT(Piix4Pm, memhp, &acpi_memhp_state, .name = "acpi_memory_hotplug"), {0} },
};

static const StateTable cpuhp_state = {
    .name = "piix4_pm/cpuhp", .version = 1, .min_version = 1, .needed = cpuhp_needed, .load = cpuhp_before_load,
    .fields = (const Field[]){ STRUCT(Piix4Pm, cpuhp, &acpi_cpuhp_state, .name = "cpuhp_state"), {0} },
};

static const Field piix4_fields[] = {
    PCI_STATE(Piix4Pm, pci), ACPI_PM1_FIELDS(Piix4Pm, acpi), FIELD(Piix4Pm, apmc, .name = "apm.apmc"),
    FIELD(Piix4Pm, apms, .name = "apm.apms"), STRUCT(Piix4Pm, smb, &pm_smbus_state), ACPI_TIMER_FIELDS(Piix4Pm, acpi),
    ACPI_GPE_FIELDS(Piix4Pm, acpi), ACPI_PCIHP_FIELDS(Piix4Pm, pcihp, bridges, no_bridges, index_migrates),
    ACPI_HOST_FIELDS(Piix4Pm, acpi),
    HOST(Piix4Pm, smi), HOST(Piix4Pm, io), HOST(Piix4Pm, apm_io), HOST(Piix4Pm, smb_io_base), HOST(Piix4Pm, disable_s3),
    HOST(Piix4Pm, disable_s4), HOST(Piix4Pm, s4_val), HOST(Piix4Pm, bridge_hotplug), HOST(Piix4Pm, root_hotplug),
    HOST(Piix4Pm, memory_hotplug), HOST(Piix4Pm, smm_compat), HOST(Piix4Pm, smm_enabled),
    HOST(Piix4Pm, not_migrate_acpi_index), {0}
};

static const StateTable piix4_state = {
    .name = "piix4_pm", .version = 3, .min_version = 3, .fields = piix4_fields, .load = piix4_before_load,
    .save = piix4_save, .loaded = piix4_loaded,
    .subsections = (const StateTable *const[]){ &memhp_state, &cpuhp_state, NULL },
};

const DeviceType piix4_pm_type = {
    .name = "PIIX4_PM", .desc = "PM", .bus = "PCI", .parent = &pci_device_type, .category = CAT_BRIDGE, .internal = true,
    .size = sizeof(Piix4Pm), .state = &piix4_state, .realize = piix4_realize, .unrealize = piix4_unrealize,
    .reset = piix4_reset,
    .props = (const Property[]){
        PROP(Piix4Pm, smb_io_base, "smb_io_base", PROP_U32, 0),
        PROP(Piix4Pm, disable_s3, "disable_s3", PROP_U8, 0),
        PROP(Piix4Pm, disable_s4, "disable_s4", PROP_U8, 0),
        PROP(Piix4Pm, s4_val, "s4_val", PROP_U8, 2),
        PROP(Piix4Pm, bridge_hotplug, "acpi-pci-hotplug-with-bridge-support", PROP_BOOL, true),
        PROP(Piix4Pm, root_hotplug, "acpi-root-pci-hotplug", PROP_BOOL, true),
        PROP(Piix4Pm, memory_hotplug, "memory-hotplug-support", PROP_BOOL, true),
        PROP(Piix4Pm, smm_compat, "smm-compat", PROP_BOOL, false),
        PROP(Piix4Pm, smm_enabled, "smm-enabled", PROP_BOOL, false),
        PROP(Piix4Pm, not_migrate_acpi_index, "x-not-migrate-acpi-index", PROP_BOOL, false),
        {0}
    },
    .class_data = &(const PciClass){ .vendor = 0x8086, .device = 0x7113, .revision = 3, .class_id = 0x0680,
                                     .config_write = piix4_config_write },
    .gpios = (const GpioInfo[]){ { "smi-irq", 0, 1 }, { "", 0, 1 }, {0} },
};

Device *piix4_pm_create(PciBus *b, unsigned devfn, uint16_t smbus_port, LineSink *sci, void *to, unsigned n, LineSink *smi, void *smi_to,
                        GError **err)
{
    Device *d = device_new(b->bus.parent->machine, &piix4_pm_type, err);

    if (!d)
        return NULL;
    device_set_int(d, "addr", devfn);
    device_set_int(d, "smb_io_base", smbus_port);
    line_connect(&DEVICE(d, Piix4Pm)->acpi.sci, sci, to, n);
    if (smi) {
        device_set_int(d, "smm-enabled", 1);
        line_connect(&DEVICE(d, Piix4Pm)->smi, smi, smi_to, 0);
    }
    if (!device_realize(d, &b->bus, err))
        return NULL;
    for (unsigned i = 0; i < SPD_EEPROMS; i++)
        if (!smbus_eeprom_create(DEVICE(d, Piix4Pm)->smb.bus, SPD_ADDRESS + i, NULL, err))
            return NULL;
    return d;
}

bool piix4_pm_cpu_event(Device *pm, uint32_t apic_id, bool removing)
{
    Piix4Pm *s = DEVICE(pm, Piix4Pm);

    if (!acpi_cpuhp_event(&s->cpuhp, apic_id, removing))
        return false;
    acpi_regs_gpe(&s->acpi, ACPI_EVENT_CPU_HOTPLUG);
    return true;
}

bool piix4_pm_dimm_plugged(Device *pm, unsigned slot, const AcpiDimm *d)
{
    Piix4Pm *s = DEVICE(pm, Piix4Pm);

    if (!acpi_memhp_plug(&s->memhp, slot, d, d->dimm->hotplugged))
        return false;
    if (d->dimm->hotplugged)
        acpi_regs_gpe(&s->acpi, ACPI_EVENT_MEM_HOTPLUG);
    return true;
}

bool piix4_pm_dimm_request(Device *pm, unsigned slot)
{
    Piix4Pm *s = DEVICE(pm, Piix4Pm);

    if (!acpi_memhp_ask(&s->memhp, slot))
        return false;
    acpi_regs_gpe(&s->acpi, ACPI_EVENT_MEM_HOTPLUG);
    return true;
}

void piix4_pm_dimm_gone(Device *pm, unsigned slot)
{
    acpi_memhp_gone(&DEVICE(pm, Piix4Pm)->memhp, slot);
}

void acpi_ost_event(Machine *m, const Device *d, const char *type, unsigned slot, uint32_t source, uint32_t status)
{
    g_autofree char *name = g_strdup_printf("%u", slot);

    if (d && d->id)
        machine_event(m, "ACPI_DEVICE_OST", "{s:{s:s, s:s, s:s, s:I, s:I}}", "info", "device", d->id, "slot-type", type, "slot", name,
                      "source", (gint64)source, "status", (gint64)status);
    else
        machine_event(m, "ACPI_DEVICE_OST", "{s:{s:s, s:s, s:I, s:I}}", "info", "slot-type", type, "slot", name, "source",
                      (gint64)source, "status", (gint64)status);
}

void piix4_pm_set_cpus(Device *pm, const uint32_t *apic_ids, unsigned n)
{
    AcpiCpuHp *s = &DEVICE(pm, Piix4Pm)->cpuhp;

    s->count = MIN(n, CPUHP_MAX);
    memcpy(s->apic_ids, apic_ids, s->count * sizeof *apic_ids);
}
