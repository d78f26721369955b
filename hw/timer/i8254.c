/*
 * Intel 8254 programmable interval timer (data sheet 231164). Counts are never ticked: they follow from the guest time
 * at which they were loaded.
 *
 * Not modelled: BCD counting, counting held by a low gate (a rising gate restarts modes 1, 2, 3 and 5).
 */
#include "hw/isa/isa.h"
#include "hw/timer/i8254-int.h"

enum { CONTROL = 3 };
enum { SC_READ_BACK = 3, RB_NO_COUNT = 0x20, RB_NO_STATUS = 0x10, STATUS_OUT = 0x80 };

/* The least distance of two edges (20 us): a guest with tiny counts must not fill the main thread. */
#define MIN_ALARM_TICKS 24

static uint16_t present_count(const Pit *s, const PitChannel *c)
{
    uint64_t d = pit_ticks(c, vm_now(&s->dev)), count = c->count;

    switch (c->mode) {
    case 0: case 1: case 4: case 5: return count - d;
    case 3: case 7: return count - 2 * d % count;
    default: return count - d % count;
    }
}

/*
 * The first tick after d at which the interrupt's level changes, or 0. OUT's low pulse of one tick in modes 2, 4 and 5
 * is given whole, at its end.
 */
static uint64_t next_edge(const PitChannel *c, uint64_t d)
{
    uint64_t count = c->count, period = d - d % count, half = (count + 1) / 2;

    switch (c->mode) {
    case 0: case 1: return d < count ? count : 0;
    case 3: case 7: return d - period < half && half < count ? period + half : period + count;
    case 4: case 5: return d <= count ? count + 1 : 0;
    default: return period + count;
    }
}

static bool pulses(const PitChannel *c)
{
    return c->mode != 0 && c->mode != 1 && (c->mode & 3) != 3;
}

/* Sets the alarm for the first edge after `from`. Edges that come too fast for us are left out, whole periods of them. */
static void arm(Pit *s, uint64_t from)
{
    PitChannel *c = &s->channels[0];
    uint64_t d = pit_ticks(c, from), edge = next_edge(c, d), count = c->count;

    if (!edge || c->count_load_time == PIT_NOT_LOADED) {
        c->next_transition_time = -1;
        timer_stop(&s->irq_timer);
        return;
    }
    if ((c->mode & 2) && edge - d < MIN_ALARM_TICKS)
        edge += (MIN_ALARM_TICKS - (edge - d) + count - 1) / count * count;
    /* Rounded up, so that the tick has come when the alarm goes off. */
    c->next_transition_time =
        (c->count_load_time + ((unsigned __int128)edge * NS_PER_S + PIT_FREQ - 1) / PIT_FREQ) & INT64_MAX;
    timer_arm(&s->irq_timer, c->next_transition_time);
}

static void update_irq(Pit *s)
{
    PitChannel *c = &s->channels[0];
    uint64_t now = vm_now(&s->dev);

    if (s->irq_disabled) {
        timer_stop(&s->irq_timer);
        return;
    }
    line_set(&s->irq, pulses(c) || pit_out(c, now));
    arm(s, now);
}

static void irq_timer(void *opaque)
{
    Pit *s = opaque;
    PitChannel *c = &s->channels[0];
    uint64_t now = vm_now(&s->dev), due = c->next_transition_time;

    /* After a delay of the host the ticks that are late follow one by one, unless there are too many. */
    if (due > now || now - due > NS_PER_S)
        due = now;
    if (pulses(c))
        line_set(&s->irq, 0);
    line_set(&s->irq, pulses(c) || pit_out(c, due));
    arm(s, due);
}

static void load_count(Pit *s, PitChannel *c, unsigned val)
{
    c->count = val ? val : 0x10000;
    c->count_load_time = vm_now(&s->dev);
    if (c == &s->channels[0])
        update_irq(s);
}

static void latch_count(const Pit *s, PitChannel *c)
{
    if (!c->count_latched) {
        c->latched_count = present_count(s, c);
        c->count_latched = c->rw_mode;
    }
}

static void latch_status(const Pit *s, PitChannel *c)
{
    if (!c->status_latched) {
        c->status = (pit_out(c, vm_now(&s->dev)) ? STATUS_OUT : 0) | c->rw_mode << 4 | c->mode << 1 | c->bcd;
        c->status_latched = 1;
    }
}

static void write_control(Pit *s, uint8_t val)
{
    unsigned n = val >> 6, rw = (val >> 4) & 3;

    if (n == SC_READ_BACK) {
        for (unsigned i = 0; i < 3; i++) {
            if (!(val & (2 << i)))
                continue;
            if (!(val & RB_NO_COUNT))
                latch_count(s, &s->channels[i]);
            if (!(val & RB_NO_STATUS))
                latch_status(s, &s->channels[i]);
        }
    } else if (rw == 0) {
        latch_count(s, &s->channels[n]);
    } else {
        PitChannel *c = &s->channels[n];

        c->rw_mode = c->read_state = c->write_state = rw;
        c->mode = (val >> 1) & 7;
        c->bcd = val & 1;
        c->count_load_time = PIT_NOT_LOADED;
        if (n == 0)
            update_irq(s);
    }
}

static void pit_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    Pit *s = opaque;
    PitChannel *c;

    if (off == CONTROL) {
        write_control(s, val);
        return;
    }
    c = &s->channels[off];
    switch (c->write_state) {
    case RW_WORD0:
        c->write_latch = val;
        c->write_state = RW_WORD1;
        break;
    case RW_WORD1:
        c->write_state = RW_WORD0;
        load_count(s, c, c->write_latch | (val & 0xff) << 8);
        break;
    case RW_MSB:
        load_count(s, c, (val & 0xff) << 8);
        break;
    default:
        load_count(s, c, val & 0xff);
        break;
    }
}

static uint8_t read_latched(PitChannel *c)
{
    switch (c->count_latched) {
    case RW_WORD0:
        c->count_latched = RW_MSB;
        return c->latched_count;
    case RW_MSB:
        c->count_latched = 0;
        return c->latched_count >> 8;
    default:
        c->count_latched = 0;
        return c->latched_count;
    }
}

static uint64_t pit_read(void *opaque, uint64_t off, unsigned size)
{
    Pit *s = opaque;
    PitChannel *c;

    if (off == CONTROL)
        return 0;
    c = &s->channels[off];
    if (c->status_latched) {
        c->status_latched = 0;
        return c->status;
    }
    if (c->count_latched)
        return read_latched(c);
    switch (c->read_state) {
    case RW_WORD0:
        c->read_state = RW_WORD1;
        return present_count(s, c) & 0xff;
    case RW_WORD1:
        c->read_state = RW_WORD0;
        return present_count(s, c) >> 8;
    case RW_MSB:
        return present_count(s, c) >> 8;
    default:
        return present_count(s, c) & 0xff;
    }
}

void pit_set_gate(Device *pit, unsigned channel, unsigned level)
{
    Pit *s = DEVICE(pit, Pit);
    PitChannel *c = &s->channels[channel % 3];

    if (pit->type == &kvm_pit_type)
        kvm_pit_fetch(s);
    /* A rising gate restarts modes 1, 2, 3 and 5; in modes 0 and 4 the gate only enables. */
    if (level && !c->gate && (c->mode & 3) && c->count_load_time != PIT_NOT_LOADED) {
        c->count_load_time = vm_now(pit);
        if (c == s->channels && pit->type == &isa_pit_type)
            update_irq(s);
    }
    c->gate = level != 0;
    if (pit->type == &kvm_pit_type)
        kvm_pit_store(s);
}

void pit_irq_enable(void *pit, unsigned n, int on)
{
    Pit *s = pit;

    if (s->dev.type == &kvm_pit_type)
        kvm_pit_fetch(s);
    s->irq_disabled = !on;
    if (s->dev.type == &kvm_pit_type) {
        kvm_pit_store(s);
        return;
    }
    if (!on)
        line_set(&s->irq, 0);
    update_irq(s);
}

static void pit_input(Device *d, unsigned n, int level)
{
    pit_irq_enable(d, n, level);
}

static const PioRange pit_ports[] = { { 0, 4, 1, pit_read, pit_write }, {0} };

static bool pit_realize(Device *d, GError **err)
{
    Pit *s = DEVICE(d, Pit);

    timer_init(&s->irq_timer, d, irq_timer, s);
    state_reset(d->type->state, s);     /* the HPET, which is reset before us, may switch our interrupt on */
    return isa_map_ports(d, "pit", s->iobase, pit_ports, err);
}

static void pit_reset(Device *d)
{
    Pit *s = DEVICE(d, Pit);

    pit_channels_reset(s);
    timer_stop(&s->irq_timer);
    update_irq(s);
}

static bool pit_loaded(void *obj, int version, GError **err)
{
    Pit *s = obj;
    PitChannel *c = &s->channels[0];
    int64_t now = vm_now(&s->dev);
    /* The level is that before the edge that is yet to come. */
    int64_t at = c->next_transition_time > 0 ? c->next_transition_time - 1 : now;

    for (unsigned i = 0; i < 3; i++)
        if (s->channels[i].count_load_time > now && s->channels[i].count_load_time != PIT_NOT_LOADED)
            s->channels[i].count_load_time = now;
    s->irq.level = !s->irq_disabled && (pulses(c) || pit_out(c, at));
    if (c->next_transition_time >= 0 && !s->irq_disabled)
        timer_arm(&s->irq_timer, c->next_transition_time);
    else
        timer_stop(&s->irq_timer);
    return true;
}

static const Property pit_props[] = { PROP(Pit, iobase, "iobase", PROP_U32, UINT32_MAX), {0} };

static const StateTable pit_state = {
    .name = "i8254", .version = 3, .min_version = 2, .fields = pit_fields, .loaded = pit_loaded,
};

const DeviceType isa_pit_type = {
    .name = "isa-pit", .desc = "8254 interval timer", .bus = "ISA", .internal = true, .size = sizeof(Pit),
    .props = pit_props, .state = &pit_state, .realize = pit_realize, .reset = pit_reset,
    .input = pit_input, .inputs = 1,
    .gpios = (const GpioInfo[]){ { "", 1, 1 }, {0} },
};
