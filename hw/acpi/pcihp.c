/*
 * PCI hot-plug through ACPI: the registers that the DSDT's methods read (QEMU's docs/specs/acpi_pci_hotplug).
 *
 *   00 up      r   slots with a new device; reading clears
 *   04 down    r   slots whose device shall go
 *   08 eject   w   a bit: the guest has let go of the slot
 *   0c rmv     r   slots whose devices can be removed
 *   10 select  rw  the bus that the others show; only bus 0 exists
 *   14 aidx    rw  write a slot's bit, read the acpi-index of its device
 */
#include "hw/acpi/acpi-int.h"
#include "util/error.h"

#define UNPLUG_TIME (5 * NS_PER_S)      /* after that device_del may ask again */

enum { PCIHP_UP = 0, PCIHP_DOWN = 4, PCIHP_EJECT = 8, PCIHP_RMV = 0xc, PCIHP_SELECT = 0x10, PCIHP_AIDX = 0x14 };

static const Field status_fields[] = {
    FIELD(struct AcpiPciHpStatus, up), FIELD(struct AcpiPciHpStatus, down), {0}
};

const StateTable acpi_pcihp_status_state = {
    .name = "acpi_pcihp_pci_status", .version = 1, .min_version = 1, .fields = status_fields,
};

static bool removable(const PciDevice *pd)
{
    return pd->dev.type->hotplug && (!pci_class(pd)->bridge || pd->dev.hotplugged);
}

static uint32_t removable_slots(const AcpiPciHp *s)
{
    uint32_t mask = UINT32_MAX;

    if (s->select || !s->bus)
        return mask;
    for (unsigned devfn = 0; devfn < 256; devfn++)
        if (s->bus->devices[devfn] && !removable(s->bus->devices[devfn]))
            mask &= ~(1u << PCI_SLOT_(devfn));
    return mask;
}

static void eject(AcpiPciHp *s, unsigned bus, unsigned slot)
{
    s->status[bus].up &= ~(1u << slot);
    s->status[bus].down &= ~(1u << slot);
    if (bus || !s->bus)
        return;
    for (unsigned func = 0; func < 8; func++) {
        PciDevice *pd = pci_find(s->bus, slot, func);

        if (pd && removable(pd))
            pci_unplug_now(pd);
    }
}

static uint32_t acpi_index_of(const AcpiPciHp *s, unsigned slot)
{
    const PciDevice *pd = !s->select && s->bus ? pci_find(s->bus, slot, 0) : NULL;

    return pd ? pd->acpi_index : 0;
}

static uint64_t pcihp_read(void *opaque, uint64_t off, unsigned size)
{
    AcpiPciHp *s = opaque;
    uint32_t v = 0;

    if (s->select >= PCIHP_BUSES)
        return 0;
    switch (off) {
    case PCIHP_UP:
        v = s->status[s->select].up;
        if (!s->legacy)
            s->status[s->select].up = 0;
        break;
    case PCIHP_DOWN:
        v = s->status[s->select].down;
        break;
    case PCIHP_RMV:
        v = removable_slots(s);
        break;
    case PCIHP_SELECT:
        v = s->select;
        break;
    case PCIHP_AIDX:
        v = s->acpi_index;
        s->acpi_index = 0;
        break;
    }
    return v;
}

static void pcihp_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    AcpiPciHp *s = opaque;

    switch (off) {
    case PCIHP_EJECT:
        if (s->select < PCIHP_BUSES && (uint32_t)val)
            eject(s, s->select, __builtin_ctz(val));
        break;
    case PCIHP_SELECT:
        s->select = s->legacy ? 0 : val;
        break;
    case PCIHP_AIDX:
        if ((uint32_t)val)
            s->acpi_index = acpi_index_of(s, __builtin_ctz(val));
        break;
    }
}

static const RegionOps pcihp_ops = { .read = pcihp_read, .write = pcihp_write, .min = 4, .max = 4, .valid_min = 4 };

/* ---- What the bus tells ---- */

static bool hotplugged(void *ctl, PciDevice *pd, GError **err)
{
    AcpiPciHp *s = ctl;

    s->status[0].up |= 1u << PCI_SLOT_(pd->devfn);
    acpi_regs_gpe(s->acpi, ACPI_EVENT_PCI_HOTPLUG);
    return true;
}

static bool unplug_request(void *ctl, PciDevice *pd, GError **err)
{
    AcpiPciHp *s = ctl;

    s->status[0].down |= 1u << PCI_SLOT_(pd->devfn);
    pd->dev.unplug_until = vm_now(&pd->dev) + UNPLUG_TIME;
    acpi_regs_gpe(s->acpi, ACPI_EVENT_PCI_HOTPLUG);
    return true;
}

static void unplugged(void *ctl, PciDevice *pd)
{
    AcpiPciHp *s = ctl;

    s->status[0].up &= ~(1u << PCI_SLOT_(pd->devfn));
    s->status[0].down &= ~(1u << PCI_SLOT_(pd->devfn));
}

/* ---- Life ---- */

void acpi_pcihp_init(AcpiPciHp *s, Device *d, AcpiRegs *acpi, PciBus *b, bool bridges, bool root_bus)
{
    s->legacy = !bridges;
    s->acpi = acpi;
    region_init_io(&s->io, d, "acpi-pci-hotplug", ACPI_PCIHP_LEN, &pcihp_ops, s);
    region_add(&d->machine->io, ACPI_PCIHP_PORT, &s->io);
    if (!root_bus)
        return;
    s->bus = b;
    b->hotplugged = hotplugged;
    b->unplug_request = unplug_request;
    b->unplugged = unplugged;
    b->hotplug_ctl = s;
}

void acpi_pcihp_fini(AcpiPciHp *s)
{
    if (s->bus) {
        s->bus->hotplugged = NULL;
        s->bus->unplug_request = NULL;
        s->bus->unplugged = NULL;
    }
    region_fini(&s->io);
}

/* A guest that is reset won't answer: what shall go goes now. */
void acpi_pcihp_reset(AcpiPciHp *s)
{
    for (unsigned bus = 0; bus < PCIHP_BUSES; bus++)
        while (s->status[bus].down)
            eject(s, bus, __builtin_ctz(s->status[bus].down));
}
