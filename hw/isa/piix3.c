/*
 * Intel 82371SB (PIIX3), function 0: PCI-to-ISA bridge, interrupt router, reset control (data sheet 290550).
 *
 * The four PIRQ inputs go to ISA interrupts through PIRQRC[A:D]; interrupts that several inputs share are ORed.
 * Not modelled: ISA clock divisor, X-bus chip selects, ISA I/O recovery, MBIRQ, APIC chip select: scratch registers.
 */
#include "hw/core/machine.h"
#include "hw/isa/piix.h"
#include "util/error.h"

enum { PIRQRCA = 0x60, PIRQS = 4, RCR_PORT = 0xcf9, RCR_CPU_RESET = 1 << 2, RCR_HARD = 1 << 1 };

typedef struct Piix3 {
    PciDevice pci;
    int32_t levels[PIRQS];              /* of the PIRQ inputs */
    uint8_t rcr;
    Line irq[ISA_IRQS];
    IsaBus *isa;
    Region rcr_io;
} Piix3;

/* ---- Interrupt routing ---- */

/* Slots take the PIRQs in turn: INTA# of slot 1 goes to PIRQA, of slot 2 to PIRQB, ... */
static unsigned map_irq(PciDevice *pd, unsigned pin)
{
    return (PCI_SLOT_(pd->devfn) - 1 + pin) & (PIRQS - 1);
}

static bool isa_level(const Piix3 *s, unsigned irq)
{
    for (unsigned i = 0; i < PIRQS; i++)
        if (s->levels[i] && s->pci.config[PIRQRCA + i] == irq)
            return true;
    return false;
}

static void set_pirq(void *router, unsigned n, int level)
{
    Piix3 *s = router;
    uint8_t irq = s->pci.config[PIRQRCA + n];

    s->levels[n] = level;
    if (irq < ISA_IRQS)
        line_set(&s->irq[irq], isa_level(s, irq));
}

static void piix3_config_write(PciDevice *pd, unsigned off, uint32_t val, unsigned len)
{
    Piix3 *s = DEVICE(&pd->dev, Piix3);

    pci_config_write(pd, off, val, len);
    if (pci_touches(off, len, PIRQRCA, PIRQS))
        for (unsigned i = 0; i < ISA_IRQS; i++)
            line_set(&s->irq[i], isa_level(s, i));
}

/* ---- Reset control register ---- */

static uint64_t rcr_read(void *opaque, uint64_t off, unsigned size)
{
    return ((Piix3 *)opaque)->rcr;
}

static void rcr_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    Piix3 *s = opaque;

    if (val & RCR_CPU_RESET)
        machine_request_reset(s->pci.dev.machine, CAUSE_GUEST_RESET);
    else
        s->rcr = val & RCR_HARD;
}

static const RegionOps rcr_ops = { .read = rcr_read, .write = rcr_write, .min = 1, .max = 1 };

/* ---- Life ---- */

static void piix3_reset(Device *d)
{
    static const uint8_t defaults[][2] = {
        { 0x4c, 0x4d }, { 0x4e, 0x03 }, { 0x4f, 0 }, { 0x60, 0x80 }, { 0x61, 0x80 }, { 0x62, 0x80 }, { 0x63, 0x80 },
        { 0x69, 0x02 }, { 0x70, 0x80 }, { 0x76, 0x0c }, { 0x77, 0x0c }, { 0x78, 0x02 }, { 0x79, 0 }, { 0x80, 0 },
        { 0x82, 0 }, { 0xa0, 0x08 }, { 0xa2, 0 }, { 0xa3, 0 }, { 0xa4, 0 }, { 0xa5, 0 }, { 0xa6, 0 }, { 0xa7, 0 },
        { 0xa8, 0x0f }, { 0xaa, 0 }, { 0xab, 0 }, { 0xac, 0 }, { 0xae, 0 },
    };
    uint8_t *c = pci_device(d)->config;

    for (unsigned i = 0; i < G_N_ELEMENTS(defaults); i++)
        c[defaults[i][0]] = defaults[i][1];
}

static bool piix3_realize(Device *d, GError **err)
{
    Piix3 *s = DEVICE(d, Piix3);
    PciBus *b = pci_bus_of(&s->pci);

    pci_set16(s->pci.config + PCI_STATUS, PCI_STATUS_DEVSEL_MEDIUM);
    region_init_io(&s->rcr_io, d, "piix3-reset-control", 1, &rcr_ops, s);
    region_add_overlap(&d->machine->io, RCR_PORT, &s->rcr_io, 1);
    s->isa = isa_bus_new(d, "isa.0", b->io, b->mem);
    for (unsigned i = 0; i < ISA_IRQS; i++)
        line_connect(&s->irq[i], isa_bus_irq, s->isa, i);
    return true;
}

static void piix3_unrealize(Device *d)
{
    region_fini(&DEVICE(d, Piix3)->rcr_io);
}

/* The PIC's own section says what it has seen: levels come back without edges. */
static bool piix3_loaded(void *obj, int version, GError **err)
{
    Piix3 *s = obj;
    PciBus *b = pci_bus_of(&s->pci);

    for (unsigned i = 0; i < PIRQS; i++)
        s->levels[i] = b->irq_count[i] != 0;
    for (unsigned i = 0; i < ISA_IRQS; i++)
        s->irq[i].level = isa_level(s, i);
    return true;
}

static bool rcr_needed(const void *obj)
{
    return ((const Piix3 *)obj)->rcr != 0;
}

static bool rcr_absent(void *obj, GError **err)
{
    ((Piix3 *)obj)->rcr = 0;
    return true;
}

static const StateTable rcr_state = {
    .name = "PIIX3/rcr", .version = 1, .min_version = 1, .needed = rcr_needed,
    .fields = (const Field[]){ FIELD(Piix3, rcr), {0} },
};

static const Field piix3_fields[] = {
    PCI_STATE(Piix3, pci, .name = "dev"), FIELD(Piix3, levels, .name = "pci_irq_levels_vmstate", .since = 3, .min = 0, .max = 1),
    FIELD(Piix3, irq), HOST(Piix3, isa), HOST(Piix3, rcr_io), {0}
};

static const StateTable piix3_state = {
    .name = "PIIX3", .version = 3, .min_version = 2, .fields = piix3_fields, .load = rcr_absent, .loaded = piix3_loaded,
    .subsections = (const StateTable *const[]){ &rcr_state, NULL },
};

const DeviceType piix3_type = {
    .name = "PIIX3", .desc = "ISA bridge", .bus = "PCI", .parent = &pci_device_type, .category = CAT_BRIDGE, .internal = true,
    .size = sizeof(Piix3), .state = &piix3_state, .realize = piix3_realize, .unrealize = piix3_unrealize, .reset = piix3_reset,
    .class_data = &(const PciClass){ .vendor = 0x8086, .device = 0x7000, .class_id = 0x0601, .config_write = piix3_config_write },
};

IsaBus *piix3_create(PciBus *b, GError **err)
{
    Device *d = device_new(b->bus.parent->machine, &piix3_type, err);

    if (!d)
        return NULL;
    device_set_int(d, "addr", PCI_DEVFN_(1, 0));
    device_set_int(d, "multifunction", true);
    if (!device_realize(d, &b->bus, err))
        return NULL;
    pci_bus_set_router(b, map_irq, set_pirq, d);
    return DEVICE(d, Piix3)->isa;
}
