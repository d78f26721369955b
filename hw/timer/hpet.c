/*
 * High precision event timer (IA-PC HPET specification 1.0a): 100 MHz, three comparators of 64 bits, legacy replacement.
 *
 * The counter is not ticked: it follows from guest time. Not modelled: accesses of less than 32 bits.
 */
#include "hw/core/machine.h"
#include "hw/timer/timer.h"
#include "util/error.h"
#include "util/log.h"

enum { CAP_ID = 0x000, CONFIG = 0x010, STATUS = 0x020, COUNTER = 0x0f0, TIMERS = 0x100, TIMER_SIZE = 0x20 };
enum { TN_CONFIG = 0x00, TN_CMP = 0x08, TN_ROUTE = 0x10 };
enum { CFG_ENABLE = 1, CFG_LEGACY = 2 };
enum { TN_LEVEL = 0x02, TN_ENABLE = 0x04, TN_PERIODIC = 0x08, TN_PERIODIC_CAP = 0x10, TN_SIZE_CAP = 0x20, TN_SETVAL = 0x40,
       TN_32BIT = 0x100, TN_ROUTE_SHIFT = 9, TN_ROUTE_MASK = 0x1f, TN_FSB_ENABLE = 0x4000, TN_FSB_CAP = 0x8000,
       TN_WRITABLE = 0x7f4e };
enum { NTIMERS = 3, NLINES = 32, IRQ_TIMER = 0, IRQ_RTC = 8 };
#define TICK_NS 10u
#define CAP_VALUE ((uint64_t)TICK_NS * 1000000 << 32 | HPET_BLOCK_ID)   /* femtoseconds a tick; capabilities */
/* A periodic timer is not set sooner than this: a guest with tiny periods must not fill the main thread. */
#define MIN_ALARM_NS 20000u

typedef struct Hpet Hpet;

typedef struct HpetTimer {
    uint8_t tn;
    uint8_t wrap_flag;              /* the alarm is for the wrap of the low half, not for the comparator */
    uint64_t config, cmp, fsb, period;
    Timer qemu_timer;
    Hpet *hpet;
} HpetTimer;

struct Hpet {
    Device dev;

    /* guest state */
    uint64_t config, isr;
    uint64_t hpet_counter;          /* while stopped; on the wire always */
    uint64_t hpet_offset;           /* ns from guest time to the counter's, while it runs */
    HpetTimer timer[NTIMERS];
    uint8_t rtc_irq_level;
    Line irqs[NLINES];
    Line pit_enabled;

    /* set-up */
    uint8_t num_timers;
    bool offset_loaded, hpet_offset_saved;
    uint32_t intcap, flags;
    Region mmio;
};

static bool enabled(const Hpet *s) { return s->config & CFG_ENABLE; }
static bool legacy(const Hpet *s) { return s->config & CFG_LEGACY; }

static uint64_t ticks(const Hpet *s)
{
    return (vm_now(&s->dev) + s->hpet_offset) / TICK_NS;
}

/* ---- Interrupts ---- */

static unsigned route_of(const HpetTimer *t)
{
    if (legacy(t->hpet) && t->tn <= 1)
        return t->tn == 0 ? IRQ_TIMER : IRQ_RTC;
    return (t->config >> TN_ROUTE_SHIFT) & TN_ROUTE_MASK;
}

static bool asserted(const Hpet *s, unsigned route)
{
    for (unsigned i = 0; i < NTIMERS; i++) {
        const HpetTimer *t = &s->timer[i];

        if ((s->isr & (1u << i)) && (t->config & (TN_LEVEL | TN_FSB_ENABLE)) == TN_LEVEL && route_of(t) == route)
            return true;
    }
    return false;
}

static void update_line(Hpet *s, unsigned route)
{
    line_set(&s->irqs[route], asserted(s, route));
}

static void update_irq(HpetTimer *t, bool set)
{
    Hpet *s = t->hpet;
    uint64_t mask = 1ull << t->tn;

    if (!set || !enabled(s) || !(t->config & TN_ENABLE)) {
        s->isr &= ~mask;
    } else if (t->config & TN_FSB_ENABLE) {
        mem_write(s->dev.machine, t->fsb >> 32, t->fsb & UINT32_MAX, 4);
        return;
    } else if (t->config & TN_LEVEL) {
        s->isr |= mask;
    } else {
        s->isr &= ~mask;
        line_set(&s->irqs[route_of(t)], 1);
    }
    update_line(s, route_of(t));
}

/* The 8254 and the RTC remember their levels themselves: whatever they say goes on as it is. */
static void pass_on(Line *l, bool level)
{
    l->level = level;
    if (l->sink)
        l->sink(l->to, l->n, level);
}

static void hpet_input(Device *d, unsigned n, int level)
{
    Hpet *s = DEVICE(d, Hpet);

    if (n == HPET_IN_RTC)
        s->rtc_irq_level = level != 0;
    if (!legacy(s))
        pass_on(&s->irqs[n == HPET_IN_RTC ? IRQ_RTC : IRQ_TIMER], level != 0);
}

/* ---- Comparators ---- */

/* Ticks from now to the comparator's match; one that is past matches at once. */
static uint64_t ticks_to_match(const HpetTimer *t, uint64_t now)
{
    int64_t diff = t->config & TN_32BIT ? (int32_t)((uint32_t)t->cmp - (uint32_t)now) : (int64_t)(t->cmp - now);

    return diff > 0 ? diff : 0;
}

static void arm(HpetTimer *t, uint64_t diff, uint64_t at_least)
{
    uint64_t now = vm_now(&t->hpet->dev);

    if (diff > (INT64_MAX - now) / TICK_NS)
        timer_stop(&t->qemu_timer);     /* centuries away */
    else
        timer_arm(&t->qemu_timer, now + MAX(diff * TICK_NS, at_least));
}

static void set_timer(HpetTimer *t)
{
    uint64_t now = ticks(t->hpet), diff = ticks_to_match(t, now);

    t->wrap_flag = 0;
    /* 2.3.9.2.1: a 32-bit one-shot timer also interrupts when the counter's low half wraps. */
    if ((t->config & (TN_32BIT | TN_PERIODIC)) == TN_32BIT && UINT32_MAX - (uint32_t)now < diff) {
        diff = UINT32_MAX - (uint32_t)now;
        t->wrap_flag = 1;
    }
    arm(t, diff, 0);
}

static void timer_fired(void *opaque)
{
    HpetTimer *t = opaque;
    uint64_t now = ticks(t->hpet), period = t->period;

    if ((t->config & TN_PERIODIC) && period) {
        uint64_t late = t->config & TN_32BIT ? (uint32_t)((uint32_t)now - (uint32_t)t->cmp) : now - t->cmp;

        if (ticks_to_match(t, now) == 0)
            t->cmp += (late / period + 1) * period;
        if (t->config & TN_32BIT)
            t->cmp = (uint32_t)t->cmp;
        arm(t, ticks_to_match(t, now), MIN_ALARM_NS);
    } else if (t->wrap_flag) {
        t->wrap_flag = 0;
        arm(t, ticks_to_match(t, now), 0);
    }
    update_irq(t, true);
}

/* ---- Registers ---- */

static void write_config(Hpet *s, uint64_t val)
{
    uint64_t changed = s->config ^ val;

    if ((changed & CFG_ENABLE) && !(val & CFG_ENABLE))
        s->hpet_counter = ticks(s);
    s->config = val;
    if (changed & CFG_ENABLE) {
        if (enabled(s))
            s->hpet_offset = s->hpet_counter * TICK_NS - vm_now(&s->dev);
        for (unsigned i = 0; i < NTIMERS; i++) {
            if (!enabled(s))
                timer_stop(&s->timer[i].qemu_timer);
            else if ((s->timer[i].config & TN_ENABLE) || (s->isr & (1u << i)))
                set_timer(&s->timer[i]);
        }
    }
    /* In legacy replacement mode the outputs of the 8254 and the RTC lead nowhere. */
    if (changed & CFG_LEGACY) {
        pass_on(&s->irqs[IRQ_TIMER], false);
        pass_on(&s->irqs[IRQ_RTC], !legacy(s) && s->rtc_irq_level);
        line_set(&s->pit_enabled, !legacy(s));
        for (unsigned i = 0; i < NLINES; i++)
            if (i != IRQ_TIMER && i != IRQ_RTC)
                update_line(s, i);
        if (legacy(s)) {
            update_line(s, IRQ_TIMER);
            update_line(s, IRQ_RTC);
        }
    }
}

static void write_timer_config(HpetTimer *t, uint64_t val)
{
    uint64_t old = t->config;
    unsigned route = route_of(t);

    t->config = val;
    if ((old & ~val) & TN_LEVEL)
        t->hpet->isr &= ~(1ull << t->tn);
    if (old & TN_LEVEL) {
        update_line(t->hpet, route);
        update_line(t->hpet, route_of(t));
    }
    if (val & TN_32BIT) {
        t->cmp = (uint32_t)t->cmp;
        t->period = (uint32_t)t->period;
    }
    if (((val & ~old) & TN_ENABLE) && enabled(t->hpet))
        set_timer(t);
    else if ((old & ~val) & TN_ENABLE)
        timer_stop(&t->qemu_timer);
}

/* mask: the bits of the register that val has. */
static void write_cmp(HpetTimer *t, uint64_t val, uint64_t mask)
{
    if (t->config & TN_32BIT) {
        mask &= UINT32_MAX;
        if (!mask)
            return;
    }
    if (!(t->config & TN_PERIODIC) || (t->config & TN_SETVAL))
        t->cmp = (t->cmp & ~mask) | (val & mask);
    if (t->config & TN_PERIODIC) {
        t->period = (t->period & ~mask) | (val & mask);
        t->period &= t->config & TN_32BIT ? INT32_MAX : INT64_MAX;
    }
    t->config &= ~(uint64_t)TN_SETVAL;
    if (enabled(t->hpet))
        set_timer(t);
}

static uint64_t read_reg(Hpet *s, unsigned off)
{
    if (off >= TIMERS) {
        unsigned n = (off - TIMERS) / TIMER_SIZE;

        if (n >= NTIMERS)
            return 0;
        switch (off % TIMER_SIZE) {
        case TN_CONFIG: return s->timer[n].config;
        case TN_CMP: return s->timer[n].cmp;
        case TN_ROUTE: return s->timer[n].fsb;
        default: return 0;
        }
    }
    switch (off) {
    case CAP_ID: return CAP_VALUE;
    case CONFIG: return s->config;
    case STATUS: return s->isr;
    case COUNTER: return enabled(s) ? ticks(s) : s->hpet_counter;
    default: return 0;
    }
}

static uint64_t hpet_read(void *opaque, uint64_t off, unsigned size)
{
    return read_reg(opaque, off & ~7u) >> (off & 4 ? 32 : 0);
}

static void write_timer_reg(Hpet *s, unsigned off, uint64_t val, uint64_t mask)
{
    unsigned n = (off - TIMERS) / TIMER_SIZE;
    HpetTimer *t;

    if (n >= NTIMERS)
        return;
    t = &s->timer[n];
    switch (off % TIMER_SIZE) {
    case TN_CONFIG:
        mask &= TN_WRITABLE;
        write_timer_config(t, (t->config & ~mask) | (val & mask));
        break;
    case TN_CMP:
        write_cmp(t, val, mask);
        break;
    case TN_ROUTE:
        t->fsb = (t->fsb & ~mask) | (val & mask);
        break;
    }
}

static void write_reg(Hpet *s, unsigned off, uint64_t val, uint64_t mask)
{
    switch (off) {
    case CONFIG:
        mask &= CFG_ENABLE | CFG_LEGACY;
        write_config(s, (s->config & ~mask) | (val & mask));
        break;
    case STATUS:
        for (unsigned i = 0; i < NTIMERS; i++)
            if (val & mask & s->isr & (1u << i))
                update_irq(&s->timer[i], false);
        break;
    case COUNTER:
        if (enabled(s))
            log_guest("hpet: the counter is written while it runs\n");
        else
            s->hpet_counter = (s->hpet_counter & ~mask) | (val & mask);
        break;
    }
}

static void hpet_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    unsigned shift = off & 4 ? 32 : 0;
    uint64_t mask = size == 8 ? UINT64_MAX : (uint64_t)UINT32_MAX << shift;

    if (off >= TIMERS)
        write_timer_reg(opaque, off & ~7u, val << shift, mask);
    else
        write_reg(opaque, off & ~7u, val << shift, mask);
}

static const RegionOps hpet_ops = { .read = hpet_read, .write = hpet_write, .min = 4, .max = 8, .valid_min = 4 };

/* ---- Set-up and state ---- */

static bool hpet_realize(Device *d, GError **err)
{
    Hpet *s = DEVICE(d, Hpet);

    if (!s->intcap)
        return error_set(err, "hpet.hpet-intcap property not initialized");
    if (s->num_timers != NTIMERS)
        return error_set(err, "hpet: timers=%u is not supported: it is %u", s->num_timers, NTIMERS);
    for (unsigned i = 0; i < NTIMERS; i++) {
        s->timer[i].hpet = s;
        timer_init(&s->timer[i].qemu_timer, d, timer_fired, &s->timer[i]);
    }
    region_init_io(&s->mmio, d, "hpet", 0x400, &hpet_ops, s);
    region_add(&d->machine->memory, HPET_BASE, &s->mmio);
    return true;
}

static void hpet_reset(Device *d)
{
    Hpet *s = DEVICE(d, Hpet);

    for (unsigned i = 0; i < NTIMERS; i++) {
        s->timer[i].tn = i;
        s->timer[i].config = TN_PERIODIC_CAP | TN_SIZE_CAP | (s->flags & 1 ? TN_FSB_CAP : 0) | (uint64_t)s->intcap << 32;
    }
}

static void hpet_save(void *obj)
{
    Hpet *s = obj;

    if (enabled(s))
        s->hpet_counter = ticks(s);
}

static bool hpet_load(void *obj, GError **err)
{
    ((Hpet *)obj)->offset_loaded = false;
    ((Hpet *)obj)->rtc_irq_level = 0;
    return true;
}

static bool hpet_loaded(void *obj, int version, GError **err)
{
    Hpet *s = obj;

    if (!s->offset_loaded)
        s->hpet_offset = s->hpet_counter * TICK_NS - vm_now(&s->dev);
    s->config &= CFG_ENABLE | CFG_LEGACY;
    for (unsigned i = 0; i < NTIMERS; i++)
        s->timer[i].tn = i;
    for (unsigned i = 0; i < NLINES; i++)
        s->irqs[i].level = asserted(s, i);
    s->pit_enabled.level = !legacy(s);
    if (!legacy(s))
        s->irqs[IRQ_RTC].level = s->rtc_irq_level;
    return true;
}

static bool offset_loaded(void *obj, int version, GError **err)
{
    ((Hpet *)obj)->offset_loaded = true;
    return true;
}

static bool rtc_needed(const void *obj) { return ((const Hpet *)obj)->rtc_irq_level != 0; }
static bool offset_needed(const void *obj) { return ((const Hpet *)obj)->hpet_offset_saved && enabled(obj); }

static const StateTable timer_state = {
    .name = "hpet_timer", .version = 1, .min_version = 1,
    .fields = (const Field[]) {
        FIELD(HpetTimer, tn, .max = NTIMERS - 1), FIELD(HpetTimer, config), FIELD(HpetTimer, cmp, .reset = UINT64_MAX),
        FIELD(HpetTimer, fsb), FIELD(HpetTimer, period), FIELD(HpetTimer, wrap_flag, .max = 1),
        FIELD(HpetTimer, qemu_timer), HOST(HpetTimer, hpet),
        {0}
    },
};

static const StateTable hpet_rtc = {
    .name = "hpet/rtc_irq_level", .version = 1, .min_version = 1, .needed = rtc_needed,
    .fields = (const Field[]) { FIELD(Hpet, rtc_irq_level, .max = 1), {0} },
};

static const StateTable hpet_offset = {
    .name = "hpet/offset", .version = 1, .min_version = 1, .needed = offset_needed, .loaded = offset_loaded,
    .fields = (const Field[]) { FIELD(Hpet, hpet_offset), {0} },
};

static const StateTable hpet_state = {
    .name = "hpet", .version = 2, .min_version = 1, .save = hpet_save, .load = hpet_load, .loaded = hpet_loaded,
    .subsections = (const StateTable *const[]) { &hpet_rtc, &hpet_offset, NULL },
    .fields = (const Field[]) {
        HOST(Hpet, dev),
        FIELD(Hpet, config), FIELD(Hpet, isr, .max = (1 << NTIMERS) - 1), FIELD(Hpet, hpet_counter),
        FIELD(Hpet, num_timers, .since = 2, .keep = true, .equal = true),
        STRUCTS(Hpet, timer, &timer_state),
        FIELD(Hpet, irqs), FIELD(Hpet, pit_enabled, .reset = 1),
        HOST(Hpet, offset_loaded), HOST(Hpet, hpet_offset_saved), HOST(Hpet, intcap), HOST(Hpet, flags), HOST(Hpet, mmio),
        {0}
    },
};

static const Property hpet_props[] = {
    PROP(Hpet, num_timers, "timers", PROP_U8, NTIMERS),
    PROP(Hpet, flags, "msi", PROP_BIT, 0, .bit = 0),
    PROP(Hpet, intcap, "hpet-intcap", PROP_U32, 0),
    PROP(Hpet, hpet_offset_saved, "hpet-offset-saved", PROP_BOOL, true, .help = ""),
    {0}
};

const DeviceType hpet_type = {
    .name = "hpet", .desc = "high precision event timer", .internal = true, .size = sizeof(Hpet), .props = hpet_props,
    .state = &hpet_state, .realize = hpet_realize, .reset = hpet_reset, .input = hpet_input, .inputs = 2,
    .gpios = (const GpioInfo[]){ { "", 2, 1 }, { "sysbus-irq", 0, 32 }, {0} },
};

Device *hpet_create(Machine *m, uint32_t intcap, LineSink *sink, void *to, LineSink *pit_enable, void *pit, GError **err)
{
    Device *d = device_new(m, &hpet_type, err);
    Hpet *s;

    if (!d)
        return NULL;
    s = DEVICE(d, Hpet);
    device_set_int(d, "hpet-intcap", intcap);
    for (unsigned i = 0; i < NLINES; i++)
        line_connect(&s->irqs[i], sink, to, i);
    if (pit_enable)
        line_connect(&s->pit_enabled, pit_enable, pit, 0);
    return device_realize(d, NULL, err) ? d : NULL;
}
