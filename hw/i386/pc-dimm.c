/*
 * pc-dimm: a memory module in a slot of the machine (-m slots=,maxmem=): memory of a back-end at an address above all RAM.
 */
#include <string.h>
#include "hw/core/hostmem.h"
#include "hw/i386/pc-int.h"
#include "util/error.h"

#define ALIGN (2ull << 20)

static bool memdev_parse(Device *d, const Property *p, const char *s, GError **err)
{
    PcDimm *dimm = DEVICE(d, PcDimm);

    dimm->backend = hostmem_find(d->machine, s);
    return dimm->backend || error_set_class(err, ERR_DEVICE_NOT_FOUND, "Device '%s' not found", s);
}

static char *memdev_print(Device *d, const Property *p)
{
    MemBackend *b = DEVICE(d, PcDimm)->backend;

    return b ? g_strdup_printf("/objects/%s", b->id) : g_strdup("");
}

static bool size_parse(Device *d, const Property *p, const char *s, GError **err)
{
    return error_set(err, "Property 'pc-dimm.size' is not writable");
}

static char *size_print(Device *d, const Property *p)
{
    MemBackend *b = DEVICE(d, PcDimm)->backend;

    return g_strdup_printf("%" G_GUINT64_FORMAT, b ? b->size : 0);
}

/* ---- Slots and addresses ---- */

typedef struct Others { PcDimm *self; PcDimm *slots[256]; uint64_t used; } Others;

static bool add_other(Device *d, void *opaque)
{
    Others *o = opaque;
    PcDimm *dimm = DEVICE(d, PcDimm);

    if (d->type != &pc_dimm_type || dimm == o->self || !d->realized)
        return true;
    o->slots[dimm->slot & 255] = dimm;
    o->used += dimm->backend->size;
    return true;
}

static Others others_of(PcDimm *self)
{
    Others o = { .self = self };

    machine_foreach_device(self->dev.machine, add_other, &o);
    return o;
}

static bool choose_slot(PcDimm *d, const Others *o, unsigned slots, GError **err)
{
    if (!slots)
        return error_set(err, "no slots where allocated, please specify the 'slots' option");
    if (d->slot != -1 && (d->slot < 0 || d->slot >= (int)slots))
        return error_set(err, "invalid slot number %d, valid range is [0-%u]", d->slot, slots - 1);
    if (d->slot >= 0)
        return !o->slots[d->slot] || error_set(err, "slot %d is busy", d->slot);
    for (unsigned i = 0; i < slots; i++) {
        if (!o->slots[i]) {
            d->slot = i;
            return true;
        }
    }
    return error_set(err, "no free slots available");
}

/* The module that [addr, addr+size) runs into, or NULL. */
static PcDimm *conflict(const Others *o, uint64_t addr, uint64_t size)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(o->slots); i++) {
        PcDimm *d = o->slots[i];

        if (d && addr < d->addr + d->backend->size && d->addr < addr + size)
            return d;
    }
    return NULL;
}

static bool choose_addr(Pc *pc, PcDimm *d, const Others *o, GError **err)
{
    uint64_t base = pc->dimm_base, end = base + pc->dimm_size, size = d->backend->size, total = pc_dimm_total(pc->machine);
    const PcDimm *other;

    if (size > total - MIN(o->used, total))
        return error_set(err, "not enough space, currently 0x%" G_GINT64_MODIFIER "x in use of total space for memory devices 0x%"
                         G_GINT64_MODIFIER "x", o->used, total);
    if (d->addr & (ALIGN - 1))
        return error_set(err, "address must be aligned to 0x%llx bytes", ALIGN);
    if (size & (ALIGN - 1))
        return error_set(err, "backend memory size must be multiple of 0x%llx", ALIGN);
    if (d->addr) {
        if (d->addr < base || d->addr >= end || size > end - d->addr)
            return error_set(err, "can't add memory device [0x%" G_GINT64_MODIFIER "x:0x%" G_GINT64_MODIFIER "x], usable range for "
                             "memory devices [0x%" G_GINT64_MODIFIER "x:0x%" G_GINT64_MODIFIER "x]", d->addr, size, base, pc->dimm_size);
        other = conflict(o, d->addr, size);
        return !other || error_set(err, "address range conflicts with memory device id='%s'", other->dev.id ? other->dev.id : "(unnamed)");
    }
    for (d->addr = base; d->addr < end && size <= end - d->addr; d->addr = other->addr + other->backend->size) {
        other = conflict(o, d->addr, size);
        if (!other)
            return true;
    }
    return error_set(err, "could not find position in guest address space for memory device - memory fragmented due to alignments");
}

bool pc_dimm_place(Pc *pc, Device *dev, GError **err)
{
    PcDimm *d = DEVICE(dev, PcDimm);
    MachineConfig *cfg = pc->machine->cfg;
    Others o = others_of(d);

    if (!pc->pm)
        return error_set(err, "memory hotplug is not enabled: missing acpi device or acpi disabled");
    if (!choose_slot(d, &o, cfg->ram_slots, err))
        return false;
    if (!d->backend)
        return error_set(err, "'memdev' property must be set");
    if (d->backend->used)
        return error_set(err, "can't use already busy memdev: %s", d->backend->id);
    if (d->node >= MAX(cfg->numa->len, 1u))
        return error_set(err, "'DIMM property node has value %u' which exceeds the number of numa nodes: %u", d->node,
                         MAX(cfg->numa->len, 1u));
    return choose_addr(pc, d, &o, err);
}

/* ---- The device ---- */

static bool dimm_realize(Device *d, GError **err)
{
    PcDimm *s = DEVICE(d, PcDimm);
    Pc *pc = pc_of(d->machine);
    RamBlock *b = hostmem_take(d->machine, s->backend->id, err);

    if (!b)
        return false;
    region_init_ram_block(&s->region, d, s->backend->id, b);
    region_add(&pc->dimms, s->addr - pc->dimm_base, &s->region);
    return true;
}

static void dimm_unrealize(Device *d)
{
    PcDimm *s = DEVICE(d, PcDimm);

    region_fini(&s->region);
    hostmem_release(s->backend);
}

static const Property dimm_props[] = {
    PROP(PcDimm, addr, "addr", PROP_U64, 0),
    PROP(PcDimm, backend, "memdev", PROP_CUSTOM, 0, .type_name = "link<memory-backend>", .parse = memdev_parse, .print = memdev_print),
    PROP(PcDimm, node, "node", PROP_U32, 0),
    { .name = "size", .kind = PROP_CUSTOM, .type_name = "uint64", .parse = size_parse, .print = size_print },
    PROP(PcDimm, slot, "slot", PROP_I32, -1),
    { 0 }
};

const DeviceType pc_dimm_type = {
    .name = "pc-dimm", .desc = "DIMM memory module", .category = CAT_NONE, .hotplug = true, .resets_itself = true, .no_bus = true,
    .size = sizeof(PcDimm), .props = dimm_props, .realize = dimm_realize, .unrealize = dimm_unrealize,
    .host = (const Field[]){ HOST(PcDimm, dev), HOST(PcDimm, addr), HOST(PcDimm, node), HOST(PcDimm, slot), HOST(PcDimm, backend),
                             HOST(PcDimm, region), HOST(PcDimm, told), {0} },
};
