/*
 * pvpanic: the guest tells of its panic by a write to a port or to a PCI BAR (QEMU's docs/specs/pvpanic).
 */
#include "hw/core/machine.h"
#include "hw/isa/isa.h"
#include "hw/nvram/fw_cfg.h"
#include "hw/pci/pci.h"
#include "util/log.h"

enum { PANICKED = 1, CRASH_LOADED = 2 };

/* Like QEMU's, it takes events that it does not offer. */
static void handle_event(Device *d, uint8_t event)
{
    if (event & ~(PANICKED | CRASH_LOADED))
        log_guest("pvpanic: unknown event 0x%x\n", event);
    if (event & PANICKED)
        machine_guest_panicked(d->machine, CAUSE_GUEST_PANIC);
    else if (event & CRASH_LOADED)
        machine_event(d->machine, "GUEST_CRASHLOADED", "{s:s}", "action", "run");
}

/* ---- ISA ---- */

typedef struct Pvpanic {
    Device dev;
    uint16_t ioport;
    uint8_t events;
} Pvpanic;

static uint64_t isa_read(void *opaque, uint64_t off, unsigned size)
{
    return ((Pvpanic *)opaque)->events;
}

static void isa_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    handle_event(opaque, val);
}

static bool isa_realize(Device *d, GError **err)
{
    static const PioRange ports[] = { { 0, 1, 1, isa_read, isa_write }, {0} };

    FwCfg *f = fw_cfg_find(d->machine);
    uint16_t port = GUINT16_TO_LE(DEVICE(d, Pvpanic)->ioport);

    return isa_map_ports(d, "pvpanic", DEVICE(d, Pvpanic)->ioport, ports, err) &&
           (!f || fw_cfg_add_file(f, "etc/pvpanic-port", &port, sizeof port, err));
}

const DeviceType pvpanic_type = {
    .name = "pvpanic", .bus = "ISA", .category = CAT_MISC, .size = sizeof(Pvpanic), .realize = isa_realize,
    .props = (const Property[]){
        PROP(Pvpanic, ioport, "ioport", PROP_U16, 0x505),
        PROP(Pvpanic, events, "events", PROP_U8, PANICKED | CRASH_LOADED),
        {0}
    },
    .host = (const Field[]){ HOST(Pvpanic, dev), HOST(Pvpanic, ioport), HOST(Pvpanic, events), {0} },
};

/* ---- PCI ---- */

typedef struct PvpanicPci {
    PciDevice pci;
    uint8_t events;
    Region io;
} PvpanicPci;

static uint64_t pci_read(void *opaque, uint64_t off, unsigned size)
{
    return ((PvpanicPci *)opaque)->events;
}

static void pci_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    handle_event(opaque, val);
}

static const RegionOps pci_ops = { .read = pci_read, .write = pci_write, .min = 1, .max = 1 };

static bool pci_realize(Device *d, GError **err)
{
    PvpanicPci *s = DEVICE(d, PvpanicPci);

    region_init_io(&s->io, d, "pvpanic", 2, &pci_ops, s);
    pci_register_bar(&s->pci, 0, PCI_BAR_MEM, &s->io);
    return true;
}

static void pci_unrealize(Device *d)
{
    region_fini(&DEVICE(d, PvpanicPci)->io);
}

static const StateTable pci_state = {
    .name = "pvpanic-pci", .version = 1, .min_version = 1,
    .fields = (const Field[]){ PCI_STATE(PvpanicPci, pci, .name = "dev"), HOST(PvpanicPci, events), HOST(PvpanicPci, io), {0} },
};

const DeviceType pvpanic_pci_type = {
    .name = "pvpanic-pci", .bus = "PCI", .parent = &pci_device_type, .category = CAT_MISC, .hotplug = true,
    .size = sizeof(PvpanicPci), .state = &pci_state, .realize = pci_realize, .unrealize = pci_unrealize,
    .props = (const Property[]){ PROP(PvpanicPci, events, "events", PROP_U8, PANICKED | CRASH_LOADED), {0} },
    .class_data = &(const PciClass){ .vendor = 0x1b36, .device = 0x0011, .revision = 1, .class_id = 0x0880 },
};
