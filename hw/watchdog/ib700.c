/*
 * iBASE IB700 watchdog: a write to 443h starts it with one of 16 delays, a write to 441h stops it
 * (Linux's ib700wdt has the table of delays: 30 s for 0, 2 s less for each step).
 */
#include "hw/core/machine.h"

enum { WDT_STOP = 0, WDT_START = 2 };

typedef struct Ib700 {
    Device dev;
    Timer timer;
} Ib700;

static void expired(void *opaque)
{
    machine_watchdog_fired(((Ib700 *)opaque)->dev.machine);
}

static void ib700_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    Ib700 *s = opaque;

    if (off == WDT_STOP)
        timer_stop(&s->timer);
    else if (off == WDT_START)
        timer_arm(&s->timer, vm_now(&s->dev) + (30 - 2 * (val & 0xf)) * NS_PER_S);
}

static bool ib700_realize(Device *d, GError **err)
{
    timer_init(&DEVICE(d, Ib700)->timer, d, expired, d);
    return true;
}

static const StateTable ib700_state = {
    .name = "ib700_wdt", .version = 0, .min_version = 0,
    .fields = (const Field[]){ HOST(Ib700, dev), FIELD(Ib700, timer), {0} },
};

const DeviceType ib700_type = {
    .name = "ib700", .desc = "iBASE 700", .bus = "ISA", .category = CAT_WATCHDOG, .size = sizeof(Ib700), .state = &ib700_state,
    .pio = (const PioRange[]){ { 0x441, 4, 1, NULL, ib700_write }, {0} }, .realize = ib700_realize,
};
