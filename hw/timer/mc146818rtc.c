/*
 * Motorola MC146818A real-time clock with 128 bytes of CMOS RAM (data sheet ADI1031), century byte at 0x32 and, as on
 * the PS/2, at 0x37.
 *
 * The clock is not ticked: its time follows from the reference clock (-rtc clock=), and is put into the registers when
 * they are read or when SET freezes them. Not modelled: the square wave, daylight saving, PF while PIE is off, other
 * time bases than 32768 Hz.
 */
#include <time.h>
#include "hw/core/machine.h"
#include "hw/isa/isa.h"
#include "hw/timer/mc146818rtc-int.h"
#include "util/error.h"

static uint8_t read_reg_c(Rtc *s)
{
    uint8_t val = s->cmos_data[REG_C];

    s->cmos_data[REG_C] = 0;
    rtc_update_irq(s);
    if (val & (C_UF | C_AF))
        rtc_plan_update(s);
    if (s->irq_coalesced && (s->cmos_data[REG_B] & B_PIE) && s->irq_reinject_on_ack_count < MAX_REINJECT) {
        s->irq_reinject_on_ack_count++;
        s->irq_coalesced--;
        s->cmos_data[REG_C] |= C_PF;
        rtc_update_irq(s);
    }
    return val;
}

static uint64_t rtc_read(void *opaque, uint64_t off, unsigned size)
{
    Rtc *s = opaque;
    unsigned reg = s->cmos_index;

    if (!(off & 1))
        return 0xff;
    switch (reg) {
    case PS2_CENTURY:
        reg = CENTURY;
        G_GNUC_FALLTHROUGH;
    case CENTURY: case SECONDS: case MINUTES: case HOURS: case DAY_OF_WEEK: case DAY_OF_MONTH: case MONTH: case YEAR:
        if (rtc_running(s))
            rtc_update_regs(s);
        return s->cmos_data[reg];
    case REG_A:
        return s->cmos_data[REG_A] | (rtc_running(s) && rtc_date_ns(s) % NS_PER_S >= NS_PER_S - UIP_NS ? A_UIP : 0);
    case REG_C:
        return read_reg_c(s);
    default:
        return s->cmos_data[reg];
    }
}

static void write_reg_a(Rtc *s, uint8_t val)
{
    uint8_t old = s->cmos_data[REG_A];
    unsigned old_period = s->period;

    if ((val & A_DV_RESET) == A_DV_RESET) {
        if (rtc_running(s))
            rtc_update_regs(s);
    } else if ((old & A_DV_RESET) == A_DV_RESET && (val & A_DV) <= A_DV_32768) {
        /* The first update comes half a second after the divider's reset ends. */
        if (!(s->cmos_data[REG_B] & B_SET)) {
            s->offset = NS_PER_S / 2;
            rtc_set_date(s);
        }
    }
    s->cmos_data[REG_A] = val & ~A_UIP;
    if ((old ^ val) & A_RS)
        rtc_change_period(s, old_period);
    rtc_plan_update(s);
}

static void write_reg_b(Rtc *s, uint8_t val)
{
    uint8_t old = s->cmos_data[REG_B];
    unsigned old_period = s->period;

    if (val & B_SET) {
        if (rtc_running(s))
            rtc_update_regs(s);
        val &= ~B_UIE;
        s->cmos_data[REG_B] = val;
    } else if ((old & B_SET) && (s->cmos_data[REG_A] & A_DV) <= A_DV_32768) {
        /* The second keeps its phase. */
        s->offset = rtc_date_ns(s) % NS_PER_S;
        s->cmos_data[REG_B] = val;
        rtc_set_date(s);
    } else {
        s->cmos_data[REG_B] = val;
    }
    rtc_update_irq(s);
    if ((old ^ val) & B_PIE)
        rtc_change_period(s, old_period);
    rtc_plan_update(s);
}

static void rtc_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    Rtc *s = opaque;
    unsigned reg = s->cmos_index;

    if (!(off & 1)) {
        s->cmos_index = val & 0x7f;
        return;
    }
    switch (reg) {
    case SECONDS_ALARM: case MINUTES_ALARM: case HOURS_ALARM:
        s->cmos_data[reg] = val;
        rtc_plan_update(s);
        break;
    case PS2_CENTURY:
        reg = CENTURY;
        G_GNUC_FALLTHROUGH;
    case CENTURY: case SECONDS: case MINUTES: case HOURS: case DAY_OF_WEEK: case DAY_OF_MONTH: case MONTH: case YEAR:
        if (rtc_running(s)) {
            rtc_update_regs(s);
            s->offset = rtc_date_ns(s) % NS_PER_S;
            s->cmos_data[reg] = val;
            rtc_set_date(s);
        } else {
            s->cmos_data[reg] = val;
        }
        rtc_plan_update(s);
        break;
    case REG_A:
        write_reg_a(s, val);
        break;
    case REG_B:
        write_reg_b(s, val);
        break;
    case REG_C: case REG_D:
        break;
    default:
        s->cmos_data[reg] = val;
        break;
    }
}

static const RegionOps rtc_ops = { .read = rtc_read, .write = rtc_write, .min = 1, .max = 1 };
/* The index is a latch: KVM may gather writes to it until something else leaves the guest. */
static const RegionOps index_ops = { .read = rtc_read, .write = rtc_write, .min = 1, .max = 1 };

void rtc_set_cmos(Device *rtc, unsigned index, uint8_t val)
{
    DEVICE(rtc, Rtc)->cmos_data[index & 0x7f] = val;
}

uint8_t rtc_get_cmos(Device *rtc, unsigned index)
{
    return DEVICE(rtc, Rtc)->cmos_data[index & 0x7f];
}

void rtc_get_date(Device *rtc, struct tm *tm)
{
    Rtc *s = DEVICE(rtc, Rtc);

    if (rtc_running(s))
        rtc_update_regs(s);
    rtc_regs_to_tm(s, tm);
}

void rtc_reset_reinjection(Device *rtc)
{
    DEVICE(rtc, Rtc)->irq_coalesced = 0;
}

/* ---- Set-up ---- */

/* The date to begin with: -rtc base=. */
static bool start_date(Rtc *s, GError **err)
{
    const char *base = s->dev.machine->cfg->rtc_base, *end;
    time_t host = host_now_ns() / NS_PER_S;
    struct tm tm = {0};

    if (!base || !strcmp(base, "utc")) {
        s->date_off = 0;
    } else if (!strcmp(base, "localtime")) {
        localtime_r(&host, &tm);
        s->date_off = timegm(&tm) - host;
    } else {
        end = strptime(base, strchr(base, 'T') ? "%Y-%m-%dT%H:%M:%S" : "%Y-%m-%d", &tm);
        if (!end || *end)
            return error_set(err, "-rtc base=%s: invalid datetime format: it is 'utc', 'localtime', or as '2006-06-17T16:01:21' or "
                             "'2006-06-17'", base);
        s->date_off = timegm(&tm) - host;
    }
    s->base_rtc = host + s->date_off;
    return true;
}

/* Where guest time and the host's stand to each other is only known while the guest runs. */
static void sync_host_clock(Rtc *s)
{
    s->clock_off = host_now_ns() - vm_now(&s->dev);
    rtc_rearm_alarms(s);
}

static void run_state_changed(void *opaque, bool run, RunState state)
{
    Rtc *s = opaque;

    if (run && s->host_clock)
        sync_host_clock(s);
}

/* The BIOS resumes from S3 by this. */
static void suspended(void *opaque)
{
    rtc_set_cmos(opaque, SHUTDOWN_STATUS, 0xfe);
}

static bool rtc_realize(Device *d, GError **err)
{
    Rtc *s = DEVICE(d, Rtc);
    const MachineConfig *cfg = d->machine->cfg;

    if (s->base_year == 2000)           /* full years: the century byte counts from 0 */
        s->base_year = 0;
    if (cfg->rtc_slew)
        s->lost_tick_policy = LOST_TICK_SLEW;
    if (s->lost_tick_policy == LOST_TICK_DELAY)
        return error_set(err, "Invalid lost tick policy.");
    s->host_clock = !cfg->rtc_clock || strcmp(cfg->rtc_clock, "vm");
    timer_init(&s->periodic_timer, d, rtc_periodic_tick, s);
    timer_init(&s->update_timer, d, rtc_update_ended, s);
    s->periodic_at = s->update_at = TIMER_NEVER;
    if (s->host_clock)
        sync_host_clock(s);
    if (!start_date(s, err) || !isa_connect_irq(d, &s->irq, s->irq_num, err))
        return false;
    s->cmos_data[REG_A] = 0x26;
    s->cmos_data[REG_B] = B_24H;
    s->cmos_data[REG_D] = D_VRT;
    s->last_update = rtc_now(s);
    rtc_update_regs(s);
    region_init_io(&s->io, d, "rtc", 2, &rtc_ops, s);
    region_init_io(&s->index_io, d, "rtc-index", 1, &index_ops, s);
    region_add(&s->io, 0, &s->index_io);
    isa_register_ioport(d, &s->io, s->iobase);
    machine_observe_state(d->machine, run_state_changed, s);
    machine_observe_suspend(d->machine, suspended, d);
    return true;
}

static void rtc_reset(Device *d)
{
    Rtc *s = DEVICE(d, Rtc);
    unsigned old = s->period;

    s->cmos_data[REG_B] &= ~(B_PIE | B_AIE | B_SQWE);
    s->cmos_data[REG_C] = 0;
    s->irq_coalesced = s->irq_reinject_on_ack_count = 0;
    rtc_update_irq(s);
    rtc_change_period(s, old);
    rtc_plan_update(s);
}

static void rtc_save(void *obj)
{
    if (rtc_running(obj))
        rtc_update_regs(obj);
}

static bool rtc_load(void *obj, GError **err)
{
    ((Rtc *)obj)->irq_reinject_on_ack_count = 0;
    return true;
}

static bool rtc_loaded(void *obj, int version, GError **err)
{
    Rtc *s = obj;
    uint64_t now;

    s->cmos_data[REG_A] &= ~A_UIP;
    if (s->host_clock)
        s->clock_off = host_now_ns() - vm_now(&s->dev);
    now = rtc_now(s);
    if (version < 3) {
        s->offset = 0;
        rtc_set_date(s);
        s->update_at = s->next_alarm_time = TIMER_NEVER;
    }
    s->irq.level = (s->cmos_data[REG_C] & C_IRQF) != 0;
    s->period = s->periodic_at == TIMER_NEVER ? 0 : rtc_period_of(s);
    rtc_rearm_alarms(s);
    /* The clock has jumped, or the source had another one: begin anew. */
    if (s->period && (uint64_t)s->next_periodic_time - now + NS_PER_S > 2 * NS_PER_S)
        rtc_plan_tick(s, now, 0);
    rtc_plan_update(s);
    return true;
}

static bool reinject_needed(const void *obj)
{
    return ((const Rtc *)obj)->irq_reinject_on_ack_count != 0;
}

static const StateTable rtc_reinject = {
    .name = "mc146818rtc/irq_reinject_on_ack_count", .version = 1, .min_version = 1, .needed = reinject_needed,
    .fields = (const Field[]) { FIELD(Rtc, irq_reinject_on_ack_count, .max = MAX_REINJECT), {0} },
};

static const StateTable rtc_state = {
    .name = "mc146818rtc", .version = 3, .min_version = 1, .save = rtc_save, .load = rtc_load, .loaded = rtc_loaded,
    .subsections = (const StateTable *const[]) { &rtc_reinject, NULL },
    .fields = (const Field[]) {
        HOST(Rtc, dev),
        FIELD(Rtc, cmos_data, .keep = true), FIELD(Rtc, cmos_index, .max = 0x7f, .keep = true),
        UNUSED(7 * 4),
        FIELD(Rtc, periodic_at, .name = "periodic_timer", .keep = true),
        FIELD(Rtc, next_periodic_time, .keep = true),
        UNUSED(3 * 8),
        FIELD(Rtc, irq_coalesced, .since = 2), FIELD(Rtc, period, .since = 2, .max = 1 << 14, .keep = true),
        FIELD(Rtc, base_rtc, .since = 3, .keep = true), FIELD(Rtc, last_update, .since = 3, .keep = true),
        FIELD(Rtc, offset, .since = 3, .keep = true),
        FIELD(Rtc, update_at, .name = "update_timer", .since = 3, .keep = true),
        FIELD(Rtc, next_alarm_time, .since = 3, .keep = true),
        FIELD(Rtc, irq), DERIVED(Rtc, periodic_timer), DERIVED(Rtc, update_timer),
        HOST(Rtc, clock_off), HOST(Rtc, date_off), HOST(Rtc, host_clock), HOST(Rtc, base_year), HOST(Rtc, iobase),
        HOST(Rtc, irq_num), HOST(Rtc, lost_tick_policy), HOST(Rtc, io), HOST(Rtc, index_io),
        {0}
    },
};

static const char *const lost_tick_names[] = { "discard", "delay", "slew", NULL };

static const Property rtc_props[] = {
    PROP(Rtc, base_year, "base_year", PROP_I32, 1980),
    PROP(Rtc, iobase, "iobase", PROP_U16, 0x70),
    PROP(Rtc, irq_num, "irq", PROP_U8, 8),
    PROP(Rtc, lost_tick_policy, "lost_tick_policy", PROP_ENUM, LOST_TICK_DISCARD, .type_name = "LostTickPolicy",
         .names = lost_tick_names),
    {0}
};

const DeviceType rtc_type = {
    .name = "mc146818rtc", .bus = "ISA", .size = sizeof(Rtc), .props = rtc_props,
    .state = &rtc_state, .realize = rtc_realize, .reset = rtc_reset,
    .gpios = (const GpioInfo[]){ { "", 0, 1 }, {0} },
};

Device *rtc_create(Machine *m, Bus *isa, int base_year, LineSink *sink, void *to, unsigned n, GError **err)
{
    Device *d = device_new(m, &rtc_type, err);

    if (!d)
        return NULL;
    device_set_int(d, "base_year", base_year);
    if (!device_realize(d, isa, err))
        return NULL;
    if (sink)
        line_connect(&DEVICE(d, Rtc)->irq, sink, to, n);
    return d;
}
