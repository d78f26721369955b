/*
 * Port 92h, the PS/2's system control port A: fast A20 gate and fast reset (IBM PS/2 Hardware Interface Technical
 * Reference). Not modelled: the password lock and the disk lights (bits 3, 6 and 7 are kept and read back).
 */
#include "hw/core/machine.h"
#include "hw/misc/misc.h"

enum { FAST_RESET = 0x01, A20 = 0x02 };

typedef struct Port92 {
    Device dev;

    /* guest state */
    uint8_t outport;
    Line a20;
} Port92;

static uint64_t port92_read(void *opaque, uint64_t off, unsigned size)
{
    return ((Port92 *)opaque)->outport;
}

static void port92_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    Port92 *s = opaque;
    bool rise = (val & FAST_RESET) && !(s->outport & FAST_RESET);

    s->outport = val;
    line_set(&s->a20, val & A20);
    if (rise)
        machine_request_reset(s->dev.machine, CAUSE_GUEST_RESET);
}

static void port92_reset(Device *d)
{
    DEVICE(d, Port92)->outport &= ~FAST_RESET;
}

static bool port92_loaded(void *obj, int version, GError **err)
{
    ((Port92 *)obj)->a20.level = (((Port92 *)obj)->outport & A20) != 0;
    return true;
}

Line *port92_a20(Device *d)
{
    return &DEVICE(d, Port92)->a20;
}

static const StateTable port92_state = {
    .name = "port92", .version = 1, .min_version = 1, .loaded = port92_loaded,
    .fields = (const Field[]) { HOST(Port92, dev), FIELD(Port92, outport, .keep = true), FIELD(Port92, a20, .keep = true), {0} },
};

const DeviceType port92_type = {
    .name = "port92", .desc = "system control port A", .bus = "ISA", .internal = true, .size = sizeof(Port92),
    .state = &port92_state, .reset = port92_reset,
    .pio = (const PioRange[]) { { 0x92, 1, 1, port92_read, port92_write }, {0} },
    .gpios = (const GpioInfo[]){ { "a20", 0, 1 }, {0} },
};
