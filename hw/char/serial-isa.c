/*
 * The PC's serial ports: a 16550A at 0x3f8, 0x2f8, 0x3e8 or 0x2e8.
 */
#include "hw/char/serial.h"
#include "hw/isa/isa.h"
#include "util/error.h"

#define MAX_PORTS 4

typedef struct SerialIsa {
    Device dev;
    Serial serial;
    uint32_t index, iobase, irq;
} SerialIsa;

static const uint16_t port_iobase[MAX_PORTS] = { 0x3f8, 0x2f8, 0x3e8, 0x2e8 };
static const uint8_t port_irq[MAX_PORTS] = { 4, 3, 4, 3 };

static uint64_t isa_read(void *opaque, uint64_t off, unsigned size)
{
    return serial_read(&((SerialIsa *)opaque)->serial, off, size);
}

static void isa_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    serial_write(&((SerialIsa *)opaque)->serial, off, val, size);
}

/* How many of d's kind there are already. */
static unsigned others(const Device *d)
{
    unsigned n = 0;

    for (unsigned i = 0; i < d->bus->children->len; i++) {
        const Device *o = g_ptr_array_index(d->bus->children, i);

        n += o != d && o->type == d->type;
    }
    return n;
}

static const PioRange serial_ports[] = { { 0, 8, 1, isa_read, isa_write }, {0} };

static bool serial_isa_realize(Device *d, GError **err)
{
    SerialIsa *s = DEVICE(d, SerialIsa);

    if (s->index == UINT32_MAX)
        s->index = others(d);
    if (s->index >= MAX_PORTS)
        return error_set(err, "Max. supported number of ISA serial ports is %d.", MAX_PORTS);
    if (s->iobase == UINT32_MAX)
        s->iobase = port_iobase[s->index];
    if (s->irq == UINT32_MAX)
        s->irq = port_irq[s->index];
    if (!isa_connect_irq(d, &s->serial.irq, s->irq, err) || !isa_map_ports(d, "serial", s->iobase, serial_ports, err))
        return false;
    serial_init(&s->serial, d);
    return true;
}

static void serial_isa_reset(Device *d)
{
    serial_reset(&DEVICE(d, SerialIsa)->serial);
}

static void serial_isa_unrealize(Device *d)
{
    serial_fini(&DEVICE(d, SerialIsa)->serial);
}

static const Property serial_isa_props[] = {
    PROP(SerialIsa, index, "index", PROP_U32, UINT32_MAX),
    PROP(SerialIsa, iobase, "iobase", PROP_U32, UINT32_MAX),
    PROP(SerialIsa, irq, "irq", PROP_U32, UINT32_MAX),
    PROP(SerialIsa, serial.chr, "chardev", PROP_CHR, 0, .no_qtree = true),
    PROP(SerialIsa, serial.baudbase, "baudbase", PROP_U32, 115200, .no_qtree = true),
    PROP(SerialIsa, serial.wakeup, "wakeup", PROP_BOOL, false, .help = "", .no_qtree = true),
    {0}
};

static const StateTable serial_isa_state = {
    .name = "serial", .version = 3, .min_version = 2,
    .fields = (const Field[]) {
        HOST(SerialIsa, dev),
        STRUCT(SerialIsa, serial, &serial_state, .name = "state"),
        HOST(SerialIsa, index), HOST(SerialIsa, iobase), HOST(SerialIsa, irq),
        {0}
    },
};

const DeviceType isa_serial_type = {
    .name = "isa-serial", .bus = "ISA", .category = CAT_INPUT, .size = sizeof(SerialIsa),
    .props = serial_isa_props, .state = &serial_isa_state, .realize = serial_isa_realize, .reset = serial_isa_reset,
    .unrealize = serial_isa_unrealize,
};

Device *isa_serial_create(Machine *m, Bus *isa, unsigned index, const char *chardev_id, GError **err)
{
    Device *d = device_new(m, &isa_serial_type, err);

    if (!d)
        return NULL;
    device_set_int(d, "index", index);
    if (chardev_id && !device_set(d, "chardev", chardev_id, err)) {
        device_free(d);
        return NULL;
    }
    return device_realize(d, isa, err) ? d : NULL;
}
