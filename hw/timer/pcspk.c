/*
 * Port 61h, the PC's system control port B: speaker gate and data, and the refresh toggle (IBM PC/AT Technical
 * Reference, 6183355).
 *
 * Not modelled: sound, and the NMI sources of the port's upper half (they read as 0).
 */
#include "hw/isa/isa.h"
#include "hw/timer/timer.h"
#include "util/error.h"

enum { GATE2 = 0x01, DATA_ON = 0x02, REFRESH = 0x10, OUT2_SHIFT = 5 };

typedef struct PcSpk {
    Device dev;

    /* guest state */
    uint8_t data_on;
    uint8_t dummy_refresh_clock;    /* toggles at each read: software waits for its edges */

    /* set-up */
    bool migrate;
    uint32_t iobase;
    Device *pit;
} PcSpk;

static uint64_t pcspk_read(void *opaque, uint64_t off, unsigned size)
{
    PcSpk *s = opaque;
    PitChannelInfo ch;

    pit_get_info(s->pit, 2, &ch);
    s->dummy_refresh_clock ^= REFRESH;
    return (ch.gate ? GATE2 : 0) | (s->data_on ? DATA_ON : 0) | s->dummy_refresh_clock | ch.out << OUT2_SHIFT;
}

static void pcspk_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    PcSpk *s = opaque;

    s->data_on = (val & DATA_ON) != 0;
    pit_set_gate(s->pit, 2, val & GATE2);
}

static const PioRange pcspk_ports[] = { { 0, 1, 1, pcspk_read, pcspk_write }, {0} };

static bool pcspk_realize(Device *d, GError **err)
{
    PcSpk *s = DEVICE(d, PcSpk);

    if (!s->pit)
        return error_set(err, "No \"isa-pit\" instance found to drive the speaker");
    return isa_map_ports(d, "pcspk", s->iobase, pcspk_ports, err);
}

static bool migrates(const void *obj)
{
    return ((const PcSpk *)obj)->migrate;
}

static const Property pcspk_props[] = {
    PROP(PcSpk, iobase, "iobase", PROP_U32, 0x61),
    PROP(PcSpk, migrate, "migrate", PROP_BOOL, true, .help = ""),
    {0}
};

static const StateTable pcspk_state = {
    .name = "pcspk", .version = 1, .min_version = 1, .needed = migrates,
    .fields = (const Field[]) {
        HOST(PcSpk, dev),
        FIELD(PcSpk, data_on, .max = 1), FIELD(PcSpk, dummy_refresh_clock, .max = REFRESH),
        HOST(PcSpk, migrate), HOST(PcSpk, iobase), HOST(PcSpk, pit),
        {0}
    },
};

const DeviceType pcspk_type = {
    .name = "isa-pcspk", .desc = "PC speaker", .bus = "ISA", .internal = true, .size = sizeof(PcSpk),
    .props = pcspk_props, .state = &pcspk_state, .realize = pcspk_realize,
};

Device *pcspk_create(Machine *m, Bus *isa, Device *pit, GError **err)
{
    Device *d = device_new(m, &pcspk_type, err);

    if (!d)
        return NULL;
    DEVICE(d, PcSpk)->pit = pit;
    return device_realize(d, isa, err) ? d : NULL;
}
