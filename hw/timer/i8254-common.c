/*
 * 8254, the parts that do not care where the chip is: table, output, what the speaker and the HPET ask of it.
 */
#include "hw/timer/i8254-int.h"

static const Field channel_fields[] = {
    FIELD(PitChannel, count, .min = 1, .max = 0x10000, .reset = 0x10000),
    FIELD(PitChannel, latched_count),
    FIELD(PitChannel, count_latched, .max = RW_WORD0), FIELD(PitChannel, status_latched, .max = 1),
    FIELD(PitChannel, status),
    FIELD(PitChannel, read_state, .max = RW_WORD1), FIELD(PitChannel, write_state, .max = RW_WORD1),
    FIELD(PitChannel, write_latch), FIELD(PitChannel, rw_mode, .max = 3),
    FIELD(PitChannel, mode, .max = 7, .reset = 3), FIELD(PitChannel, bcd, .max = 1), FIELD(PitChannel, gate, .max = 1),
    FIELD(PitChannel, count_load_time), FIELD(PitChannel, next_transition_time, .reset = UINT64_MAX),
    {0}
};

static const StateTable channel_state = {
    .name = "pit channel", .version = 2, .min_version = 2, .fields = channel_fields,
};

static uint64_t get_next_transition(const void *obj)
{
    return ((const Pit *)obj)->channels[0].next_transition_time;
}

static bool set_next_transition(void *obj, uint64_t v, GError **err)
{
    ((Pit *)obj)->channels[0].next_transition_time = v;
    return true;
}

const Field pit_fields[] = {
    HOST(Pit, dev),
    FIELD(Pit, irq_disabled, .since = 3),
    STRUCTS(Pit, channels, &channel_state),
    VIRTUAL("channels[0].next_transition_time", 8, .get = get_next_transition, .set = set_next_transition),
    DERIVED(Pit, irq_timer), FIELD(Pit, irq),
    HOST(Pit, iobase), HOST(Pit, lost_tick_policy), HOST(Pit, stopped),
    {0}
};

void pit_channels_reset(Pit *s)
{
    for (unsigned i = 0; i < 3; i++) {
        s->channels[i].gate = i != 2;
        s->channels[i].count_load_time = vm_now(&s->dev);
    }
}

/* The count may have been loaded before guest time 0. */
uint64_t pit_ticks(const PitChannel *c, uint64_t now)
{
    return (int64_t)now > c->count_load_time ? muldiv64(now - (uint64_t)c->count_load_time, PIT_FREQ, NS_PER_S) : 0;
}

/* OUT, figures 15 to 20 of the data sheet. */
bool pit_out(const PitChannel *c, uint64_t now)
{
    uint64_t d = pit_ticks(c, now), count = c->count;

    if (c->count_load_time == PIT_NOT_LOADED)
        return c->mode != 0;
    switch (c->mode) {
    case 0: case 1: return d >= count;
    case 3: case 7: return d % count < (count + 1) / 2;
    case 4: case 5: return d != count;
    default: return d % count != count - 1;
    }
}

Line *pit_irq(Device *pit)
{
    return &DEVICE(pit, Pit)->irq;
}

void pit_get_info(Device *pit, unsigned channel, PitChannelInfo *info)
{
    Pit *s = DEVICE(pit, Pit);
    const PitChannel *c = &s->channels[channel % 3];

    if (pit->type == &kvm_pit_type)
        kvm_pit_fetch(s);
    *info = (PitChannelInfo) {
        .gate = c->gate, .mode = c->mode, .initial_count = c->count, .out = pit_out(c, vm_now(pit)),
    };
}

Device *pit_create(Machine *m, Bus *isa, bool in_kernel, GError **err)
{
    Device *d = device_new(m, in_kernel ? &kvm_pit_type : &isa_pit_type, err);

    if (!d)
        return NULL;
    device_set_int(d, "iobase", PIT_BASE);
    return device_realize(d, isa, err) ? d : NULL;
}
