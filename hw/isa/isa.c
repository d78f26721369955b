/*
 * The ISA bus: ports, interrupts and DMA channels of the cards on it.
 */
#include <inttypes.h>
#include <string.h>
#include "hw/core/machine.h"
#include "hw/isa/isa.h"
#include "util/error.h"

/* Names in firmware paths of the types that the BIOS can boot from or print to. */
static const char *fw_name(const char *type)
{
    static const struct { const char *type, *name; } names[] = {
        { "isa-fdc", "fdc" }, { "isa-serial", "serial" }, { "isa-parallel", "parallel" }, { "isa-ide", "ide" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++)
        if (!strcmp(names[i].type, type))
            return names[i].name;
    return type;
}

/* "fdc@03f0": the configured address, else that of the first window. */
static char *fw_path(Device *d)
{
    g_autofree char *iobase = device_get(d, "iobase", NULL);
    const Region *first = d->regions && d->regions->len ? g_ptr_array_index(d->regions, 0) : NULL;
    uint64_t port = iobase ? g_ascii_strtoull(iobase, NULL, 0) : first ? first->addr : 0;

    if (!iobase && !first)
        return g_strdup(fw_name(d->type->name));
    return g_strdup_printf("%s@%04" PRIx64, fw_name(d->type->name), port);
}

const BusType isa_bus_type = { .name = "ISA", .fw_path = fw_path, .size = sizeof(IsaBus) };

IsaBus *isa_bus_new(Device *bridge, const char *name, Region *io, Region *mem)
{
    IsaBus *b = (IsaBus *)(void *)bus_new(&isa_bus_type, bridge, name);

    b->io = io;
    b->mem = mem;
    return b;
}

IsaBus *isa_root(Machine *m)
{
    Bus *b = bus_find(m, "isa.0");

    return b && b->type == &isa_bus_type ? (IsaBus *)(void *)b : NULL;
}

/* ---- Interrupts ---- */

void isa_bus_set_irqs(IsaBus *b, LineSink *sink, void *to)
{
    b->irq_sink = sink;
    b->irq_to = to;
}

/* The board may say where the interrupts go after the first cards are there. */
void isa_bus_irq(void *bus, unsigned n, int level)
{
    IsaBus *b = bus;

    if (b->irq_sink)
        b->irq_sink(b->irq_to, n, level);
}

bool isa_connect_irq(Device *d, Line *l, unsigned irq, GError **err)
{
    if (irq >= ISA_IRQS)
        return error_set(err, "%s: IRQ %u is not possible: the ISA bus has IRQs 0 to 15", device_name(d), irq);
    line_connect(l, isa_bus_irq, isa_bus_of(d), irq);
    return true;
}

/* ---- Ports ---- */

void isa_register_ioport(Device *d, Region *r, uint16_t port)
{
    region_add(isa_bus_of(d)->io, port, r);
}

bool isa_map_ports(Device *d, const char *name, uint32_t iobase, const PioRange *ranges, GError **err)
{
    for (const PioRange *p = ranges; p->count; p++)
        if (iobase > 0xffff || iobase + p->port + p->count > 0x10000)
            return error_set(err, "%s: there are no ports from 0x%x on: I/O ports end at 0xffff", device_name(d),
                             iobase + p->port);
    for (const PioRange *p = ranges; p->count; p++) {
        RegionOps *ops = g_new0(RegionOps, 1);
        Region *r = g_new0(Region, 1);

        *ops = (RegionOps){ .read = p->read, .write = p->write, .min = 1, .max = p->max ? p->max : 1 };
        region_init_io(r, d, name, p->count, ops, d);
        region_add(isa_bus_of(d)->io, iobase + p->port, r);
        if (!d->regions)
            d->regions = g_ptr_array_new();
        g_ptr_array_add(d->regions, r);
    }
    return true;
}

/* ---- DMA ---- */

void isa_bus_set_dma(IsaBus *b, unsigned which, const IsaDmaOps *ops, void *ctl)
{
    b->dma[which & 1].ops = ops;
    b->dma[which & 1].ctl = ctl;
}

static const IsaDmaOps *ops_of(Device *d, unsigned channel, void **ctl)
{
    IsaBus *b = isa_bus_of(d);

    *ctl = b->dma[channel >> 2 & 1].ctl;
    return b->dma[channel >> 2 & 1].ops;
}

bool isa_dma_connect(Device *d, unsigned channel, IsaDmaHandler *handler, void *opaque, GError **err)
{
    void *ctl;
    const IsaDmaOps *o;

    if (channel > 7)
        return error_set(err, "%s: DMA channel %u is not possible: there are 0 to 7", device_name(d), channel);
    o = ops_of(d, channel, &ctl);
    if (!o)
        return error_set(err, "%s: there is no DMA controller for channel %u", device_name(d), channel);
    o->connect(ctl, channel & 3, handler, opaque);
    return true;
}

bool isa_dma_has_autoinit(Device *d, unsigned channel)
{
    void *ctl;
    const IsaDmaOps *o = ops_of(d, channel, &ctl);

    return o && o->has_autoinit(ctl, channel & 3);
}

int isa_dma_read_memory(Device *d, unsigned channel, void *buf, int pos, int len)
{
    void *ctl;
    const IsaDmaOps *o = ops_of(d, channel, &ctl);

    if (o)
        return o->read_memory(ctl, channel & 3, buf, pos, len);
    memset(buf, 0xff, len > 0 ? len : 0);
    return 0;
}

int isa_dma_write_memory(Device *d, unsigned channel, const void *buf, int pos, int len)
{
    void *ctl;
    const IsaDmaOps *o = ops_of(d, channel, &ctl);

    return o ? o->write_memory(ctl, channel & 3, buf, pos, len) : 0;
}

void isa_dma_hold_dreq(Device *d, unsigned channel)
{
    void *ctl;
    const IsaDmaOps *o = ops_of(d, channel, &ctl);

    if (o)
        o->hold_dreq(ctl, channel & 3);
}

void isa_dma_release_dreq(Device *d, unsigned channel)
{
    void *ctl;
    const IsaDmaOps *o = ops_of(d, channel, &ctl);

    if (o)
        o->release_dreq(ctl, channel & 3);
}

void isa_dma_schedule(Device *d, unsigned channel)
{
    void *ctl;
    const IsaDmaOps *o = ops_of(d, channel, &ctl);

    if (o)
        o->schedule(ctl);
}
