/*
 * isa-debug-exit: a write of v ends vmemu with exit status 2 * v + 1.
 */
#include "hw/core/machine.h"
#include "hw/isa/isa.h"
#include "hw/misc/misc.h"

typedef struct DebugExit {
    Device dev;
    uint32_t iobase, iosize;
} DebugExit;

static uint64_t debug_exit_read(void *opaque, uint64_t off, unsigned size)
{
    return 0;
}

static void debug_exit_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    machine_request_exit(((DebugExit *)opaque)->dev.machine, (int)(val << 1 | 1) & 0xff);
}

static bool debug_exit_realize(Device *d, GError **err)
{
    DebugExit *s = DEVICE(d, DebugExit);
    PioRange ports[] = { { 0, MIN(s->iosize, UINT16_MAX), 4, debug_exit_read, debug_exit_write }, {0} };

    return isa_map_ports(d, "isa-debug-exit", s->iobase, ports, err);
}

static const Property debug_exit_props[] = {
    PROP(DebugExit, iobase, "iobase", PROP_U32, 0x501),
    PROP(DebugExit, iosize, "iosize", PROP_U32, 0x02),
    {0}
};

const DeviceType isa_debug_exit_type = {
    .name = "isa-debug-exit", .bus = "ISA", .size = sizeof(DebugExit), .props = debug_exit_props,
    .realize = debug_exit_realize,
    .host = (const Field[]) { HOST(DebugExit, dev), HOST(DebugExit, iobase), HOST(DebugExit, iosize), {0} },
};
