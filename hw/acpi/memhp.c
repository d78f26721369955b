/*
 * Memory hot-plug through ACPI: the registers that the DSDT's methods read (QEMU's docs/specs/acpi_mem_hotplug).
 *
 *   reading, of the selected slot    00 address   08 size   10 node   14 flags: 0 there, 1 new, 2 asked to go
 *   writing                          00 selects the slot   04 _OST event   08 _OST status
 *                                    14 flags: 1, 2 clear that event, 3 ejects
 */
#include "hw/acpi/acpi-int.h"

enum { MEMHP_SELECT = 0, MEMHP_OST_EVENT = 4, MEMHP_OST_STATUS = 8, MEMHP_NODE = 0x10, MEMHP_FLAGS = 0x14 };
enum { FLAG_ENABLED = 1, FLAG_INSERT = 2, FLAG_REMOVE = 4, FLAG_EJECT = 8 };

static uint64_t memhp_read(void *opaque, uint64_t off, unsigned size)
{
    AcpiMemHp *s = opaque;
    const struct AcpiMemStatus *d;

    if (s->selector >= s->count)
        return 0;
    d = &s->devs[s->selector];
    switch (off) {
    case 0: return (uint32_t)s->slots[s->selector].addr;
    case 4: return s->slots[s->selector].addr >> 32;
    case 8: return (uint32_t)s->slots[s->selector].size;
    case 12: return s->slots[s->selector].size >> 32;
    case MEMHP_NODE: return s->slots[s->selector].node;
    case MEMHP_FLAGS:
        return (d->is_enabled ? FLAG_ENABLED : 0) | (d->is_inserting ? FLAG_INSERT : 0) |
               (s->slots[s->selector].removing ? FLAG_REMOVE : 0);
    default: return UINT32_MAX;
    }
}

static void eject(AcpiMemHp *s)
{
    Device *d = s->slots[s->selector].dimm;

    if (d)
        device_delete(d);               /* comes back to acpi_memhp_gone */
}

static void flags_write(AcpiMemHp *s, uint8_t val)
{
    if (val & FLAG_INSERT)
        s->devs[s->selector].is_inserting = false;
    else if (val & FLAG_REMOVE)
        s->slots[s->selector].removing = false;
    else if (val & FLAG_EJECT)
        eject(s);
}

static void memhp_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    AcpiMemHp *s = opaque;

    if (off == MEMHP_SELECT) {
        s->selector = val;
        return;
    }
    if (s->selector >= s->count)
        return;
    if (off == MEMHP_OST_EVENT) {
        s->devs[s->selector].ost_event = val;
    } else if (off == MEMHP_OST_STATUS) {
        s->devs[s->selector].ost_status = val;
        acpi_ost_event(s->dev->machine, s->slots[s->selector].dimm, "DIMM", s->selector, s->devs[s->selector].ost_event, val);
    } else if (off == MEMHP_FLAGS) {
        flags_write(s, val);
    }
}

static const RegionOps memhp_ops = { .read = memhp_read, .write = memhp_write, .min = 1, .max = 4 };

/* ---- Modules ---- */

bool acpi_memhp_plug(AcpiMemHp *s, unsigned slot, const AcpiDimm *d, bool tell)
{
    if (slot >= s->count)
        return false;
    s->slots[slot] = *d;
    s->devs[slot].is_enabled = true;
    s->devs[slot].is_inserting |= tell;
    return true;
}

bool acpi_memhp_ask(AcpiMemHp *s, unsigned slot)
{
    if (slot >= s->count || !s->slots[slot].dimm)
        return false;
    s->slots[slot].removing = true;
    return true;
}

void acpi_memhp_gone(AcpiMemHp *s, unsigned slot)
{
    if (slot >= s->count)
        return;
    s->devs[slot].is_enabled = false;
    s->slots[slot] = (AcpiDimm){ .removing = s->slots[slot].removing };
}

/* ---- Life ---- */

void acpi_memhp_init(AcpiMemHp *s, Device *d, unsigned slots)
{
    s->dev = d;
    s->count = MIN(slots, MEMHP_MAX);
    if (!s->count)
        return;
    region_init_io(&s->io, d, "acpi-mem-hotplug", ACPI_MEMHP_LEN, &memhp_ops, s);
    region_add(&d->machine->io, ACPI_MEMHP_PORT, &s->io);
}

void acpi_memhp_fini(AcpiMemHp *s)
{
    if (s->count)
        region_fini(&s->io);
}

/* ---- State ---- */

static const Field dev_fields[] = {
    FIELD(struct AcpiMemStatus, is_enabled), FIELD(struct AcpiMemStatus, is_inserting),
    FIELD(struct AcpiMemStatus, ost_event), FIELD(struct AcpiMemStatus, ost_status), {0}
};

static const StateTable dev_state = {
    .name = "memory hotplug device state", .version = 1, .min_version = 1, .fields = dev_fields,
};

static unsigned slot_count(const void *obj)
{
    return ((const AcpiMemHp *)obj)->count;
}

static const Field memhp_fields[] = {
    FIELD(AcpiMemHp, selector, .keep = true), STRUCTS(AcpiMemHp, devs, &dev_state, .n = slot_count, .keep = true),
    HOST(AcpiMemHp, slots), HOST(AcpiMemHp, count), HOST(AcpiMemHp, dev), HOST(AcpiMemHp, io), {0}
};

const StateTable acpi_memhp_state = { .name = "memory hotplug state", .version = 1, .min_version = 1, .fields = memhp_fields };
