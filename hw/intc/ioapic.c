/*
 * Intel 82093AA I/O APIC (data sheet 290566), with the EOI register of its successors (version 0x20).
 *
 * Not modelled: the APIC bus and its arbitration (messages go out as MSIs); INTPOL (lines here are active high).
 */
#include "hw/core/machine.h"
#include "hw/intc/ioapic-int.h"

enum { IOREGSEL = 0x00, IOWIN = 0x10, EOIR = 0x40 };
#define MSI_BASE 0xfee00000u

/* The message of an entry: bits 48..63 (destination, and its extension) become address bits 4..19. */
static uint64_t message(const Ioapic *s, uint64_t e, uint32_t *data)
{
    *data = (e & (RT_VECTOR | RT_DELMOD << RT_DELMOD_SHIFT | RT_LEVEL));
    return MSI_BASE | (e >> 48) << 4 | (e & RT_DESTMOD ? 1 << 2 : 0);
}

static void send(Ioapic *s, uint64_t e)
{
    uint32_t data;
    uint64_t addr = message(s, e, &data);

    if (!s->ops)
        return;
    if (((e >> RT_DELMOD_SHIFT) & RT_DELMOD) == DELMOD_EXTINT)
        data = (data & ~RT_VECTOR) | (s->ops->extint_vector(s->ops_opaque) & RT_VECTOR);
    s->ops->msi(s->ops_opaque, addr, data);
}

/* Sends what is pending at unmasked pins. A level waits until its last message was acknowledged. */
static void service(Ioapic *s)
{
    for (unsigned i = 0; i < IOAPIC_PINS; i++) {
        uint64_t *e = &s->ioredtbl[i];

        if (!(s->irr & (1u << i)) || (*e & RT_MASKED))
            continue;
        if (!(*e & RT_LEVEL))
            s->irr &= ~(1u << i);
        else if (*e & RT_REMOTE_IRR)
            continue;
        else
            *e |= RT_REMOTE_IRR;
        send(s, *e);
    }
}

void ioapic_set_irq(void *ioapic, unsigned pin, int level)
{
    device_set_input(ioapic, pin, level);
}

static void ioapic_input(Device *d, unsigned n, int level)
{
    Ioapic *s = DEVICE(d, Ioapic);
    uint64_t e;
    uint32_t mask;

    if (n >= IOAPIC_PINS)
        return;
    ioapic_count(d, n, level);
    if (n == 0)                     /* ISA interrupt 0 arrives at pin 2 */
        n = 2;
    e = s->ioredtbl[n];
    mask = 1u << n;
    if (!level) {
        if (e & RT_LEVEL)
            s->irr &= ~mask;
    } else if ((e & RT_LEVEL) || !(e & RT_MASKED)) {    /* an edge at a masked pin is lost */
        s->irr |= mask;
        service(s);
    }
}

void ioapic_eoi(Device *ioapic, unsigned vector)
{
    Ioapic *s = DEVICE(ioapic, Ioapic);

    for (unsigned i = 0; i < IOAPIC_PINS; i++) {
        uint64_t *e = &s->ioredtbl[i];

        if ((*e & (RT_LEVEL | RT_REMOTE_IRR)) == (RT_LEVEL | RT_REMOTE_IRR) && (*e & RT_VECTOR) == vector)
            *e &= ~(uint64_t)RT_REMOTE_IRR;
    }
    service(s);
}

static uint32_t read_window(const Ioapic *s)
{
    unsigned n = s->ioregsel;

    if (n == IOAPIC_ID || n == IOAPIC_ARB)
        return (uint32_t)s->id << 24;
    if (n == IOAPIC_VER)
        return s->version | (IOAPIC_PINS - 1) << 16;
    if (n >= IOAPIC_REDTBL && n < IOAPIC_REDTBL + 2 * IOAPIC_PINS)
        return s->ioredtbl[(n - IOAPIC_REDTBL) / 2] >> (n & 1 ? 32 : 0);
    return 0;
}

static void update_route(Ioapic *s, unsigned pin)
{
    uint32_t data;
    uint64_t addr;

    if (!s->ops || !s->ops->route)
        return;
    addr = message(s, s->ioredtbl[pin], &data);
    s->ops->route(s->ops_opaque, pin, addr, data, s->ioredtbl[pin] & RT_MASKED);
}

static void write_window(Ioapic *s, uint32_t val)
{
    unsigned pin = (s->ioregsel - IOAPIC_REDTBL) / 2u;
    uint64_t *e;

    if (s->ioregsel == IOAPIC_ID)
        s->id = (val >> 24) & 15;
    if (s->ioregsel < IOAPIC_REDTBL || pin >= IOAPIC_PINS)
        return;
    e = &s->ioredtbl[pin];
    if (s->ioregsel & 1)
        *e = (*e & UINT32_MAX) | (uint64_t)val << 32;
    else
        *e = (*e & ~(uint64_t)UINT32_MAX) | (*e & (RT_REMOTE_IRR | RT_DELIVS)) |
             (val & ~(uint32_t)(RT_REMOTE_IRR | RT_DELIVS));
    if (!(*e & RT_LEVEL))
        *e &= ~(uint64_t)RT_REMOTE_IRR;
    update_route(s, pin);
    service(s);
}

static uint64_t ioapic_read(void *opaque, uint64_t off, unsigned size)
{
    Ioapic *s = opaque;

    switch (off & 0xff) {
    case IOREGSEL: return s->ioregsel;
    case IOWIN: return size == 4 ? read_window(s) : 0;
    default: return 0;
    }
}

static void ioapic_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    Ioapic *s = opaque;

    switch (off & 0xff) {
    case IOREGSEL:
        s->ioregsel = val;
        break;
    case IOWIN:
        if (size == 4)
            write_window(s, val);
        break;
    case EOIR:
        if (size == 4 && s->version == 0x20)
            ioapic_eoi(&s->dev, val & RT_VECTOR);
        break;
    }
}

static const RegionOps ioapic_ops = { .read = ioapic_read, .write = ioapic_write, .min = 1, .max = 4, .valid_max = 4 };

static bool ioapic_realize(Device *d, GError **err)
{
    Ioapic *s = DEVICE(d, Ioapic);

    region_init_io(&s->mmio, d, "ioapic", 0x1000, &ioapic_ops, s);
    region_add(&d->machine->memory, IOAPIC_BASE, &s->mmio);
    for (unsigned i = 0; i < IOAPIC_PINS; i++)      /* others may be reset, and pull lines, before us */
        s->ioredtbl[i] = RT_MASKED;
    return true;
}

static void ioapic_reset(Device *d)
{
    for (unsigned i = 0; i < IOAPIC_PINS; i++)
        update_route(DEVICE(d, Ioapic), i);
}

static bool ioapic_loaded(void *obj, int version, GError **err)
{
    for (unsigned i = 0; i < IOAPIC_PINS; i++)
        update_route(obj, i);
    return true;
}

static const Property ioapic_props[] = { PROP(Ioapic, version, "version", PROP_U8, 0x20), {0} };

static const StateTable ioapic_state = {
    .name = "ioapic", .version = 3, .min_version = 1, .fields = ioapic_fields, .loaded = ioapic_loaded,
};

const DeviceType ioapic_type = {
    .name = "ioapic", .desc = "82093AA IOAPIC", .internal = true, .size = sizeof(Ioapic), .props = ioapic_props,
    .state = &ioapic_state, .info = ioapic_info, .realize = ioapic_realize, .reset = ioapic_reset,
    .input = ioapic_input, .inputs = IOAPIC_PINS,
    .gpios = (const GpioInfo[]){ { "", 24, 0 }, {0} },
};
