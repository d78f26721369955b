/*
 * ACPI fixed hardware: PM1 events and control, the PM timer, GPE0 (ACPI 1.0b, 4.7).
 *
 * The PM timer counts 24 bits of guest time at 3.579545 MHz; TMR_STS is set each time that its top bit changes.
 * Without system management mode there is no legacy mode: SCI_EN is on from the start.
 */
#include "hw/acpi/acpi-int.h"
#include "util/log.h"

static int64_t ticks_now(const AcpiRegs *s)
{
    return muldiv64(vm_now(s->dev), PM_TIMER_HZ, NS_PER_S);
}

/* TMR_STS is not kept up to date: whoever looks at the status brings it in. */
static uint16_t pm1_status(AcpiRegs *s)
{
    if (ticks_now(s) >= s->overflow_time)
        s->pm1_sts |= PM1_TMR;
    return s->pm1_sts;
}

static bool sci_level(AcpiRegs *s)
{
    return (pm1_status(s) & s->pm1_en & (PM1_TMR | PM1_GBL | PM1_PWRBTN | PM1_SLPBTN | PM1_RTC)) || (s->gpe_sts & s->gpe_en);
}

static void update_sci(AcpiRegs *s)
{
    line_set(&s->sci, sci_level(s));
    if ((s->pm1_en & PM1_TMR) && !(s->pm1_sts & PM1_TMR))
        timer_arm(&s->timer, muldiv64(s->overflow_time, NS_PER_S, PM_TIMER_HZ) + 1);
    else
        timer_stop(&s->timer);
}

static void timer_fired(void *opaque)
{
    AcpiRegs *s = opaque;

    update_sci(s);
    machine_request_wakeup_by(s->dev->machine, WAKE_PM_TIMER);
}

/* ---- PM1 events: status at 0, enable at 2 ---- */

static uint64_t evt_read(void *opaque, uint64_t off, unsigned size)
{
    AcpiRegs *s = opaque;

    return (off & 2 ? s->pm1_en : pm1_status(s)) >> (8 * (off & 1));
}

static void write_status(AcpiRegs *s, uint16_t clear)
{
    if (pm1_status(s) & clear & PM1_TMR)
        s->overflow_time = (ticks_now(s) + 0x800000) & ~0x7fffffll;
    s->pm1_sts &= ~clear;
}

static void enable_wakeup(AcpiRegs *s)
{
    machine_enable_wakeup(s->dev->machine, WAKE_RTC, s->pm1_en & PM1_RTC);
    machine_enable_wakeup(s->dev->machine, WAKE_PM_TIMER, s->pm1_en & PM1_TMR);
}

static void evt_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    AcpiRegs *s = opaque;
    unsigned shift = 8 * (off & 1);

    if (!(off & 2))
        write_status(s, val << shift);
    else if (size == 2)
        s->pm1_en = val;
    else
        s->pm1_en = (s->pm1_en & ~(0xff << shift)) | val << shift;
    enable_wakeup(s);
    update_sci(s);
}

static const RegionOps evt_ops = { .read = evt_read, .write = evt_write, .min = 1, .max = 2 };

/* ---- PM1 control ---- */

static void sleep_now(AcpiRegs *s, unsigned type)
{
    Machine *m = s->dev->machine;

    if (type == 0) {
        machine_request_shutdown(m, CAUSE_GUEST_SHUTDOWN);
    } else if (type == 1) {
        machine_request_suspend(m);
    } else if (type == *s->s4_typ) {
        machine_event(m, "SUSPEND_DISK", NULL);
        machine_request_shutdown(m, CAUSE_GUEST_SHUTDOWN);
    } else {
        log_guest("PM1: SLP_TYP %u is no sleep state\n", type);
    }
}

static uint64_t cnt_read(void *opaque, uint64_t off, unsigned size)
{
    return ((AcpiRegs *)opaque)->pm1_cnt >> (8 * off);
}

static void cnt_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    AcpiRegs *s = opaque;
    unsigned shift = 8 * (off & 1);
    uint16_t v = size == 2 ? val : (s->pm1_cnt & ~(0xff << shift)) | val << shift;

    s->pm1_cnt = v & ~PM1_SLP_EN;
    if (v & PM1_SLP_EN)
        sleep_now(s, v >> PM1_SLP_TYP_SHIFT & PM1_SLP_TYP_MASK);
}

static const RegionOps cnt_ops = { .read = cnt_read, .write = cnt_write, .min = 1, .max = 2 };

/* ---- PM timer: read only ---- */

static uint64_t tmr_read(void *opaque, uint64_t off, unsigned size)
{
    return ticks_now(opaque) & 0xffffff;
}

static const RegionOps tmr_ops = { .read = tmr_read, .min = 4, .max = 4 };

/* ---- GPE0: status bytes, then enable bytes ---- */

static uint64_t gpe_read(void *opaque, uint64_t off, unsigned size)
{
    AcpiRegs *s = opaque;

    return (off & 2 ? s->gpe_en : s->gpe_sts) >> (8 * (off & 1));
}

static void gpe_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    AcpiRegs *s = opaque;
    unsigned shift = 8 * (off & 1);

    if (off & 2)
        s->gpe_en = (s->gpe_en & ~(0xff << shift)) | val << shift;
    else
        s->gpe_sts &= ~(val << shift);
    update_sci(s);
}

static const RegionOps gpe_ops = { .read = gpe_read, .write = gpe_write, .min = 1, .max = 1 };

/* ---- Events ---- */

void acpi_regs_set_mode(AcpiRegs *s, bool acpi)
{
    if (!s->only)
        s->pm1_cnt = acpi ? s->pm1_cnt | PM1_SCI_EN : s->pm1_cnt & ~PM1_SCI_EN;
}

void acpi_regs_gpe(AcpiRegs *s, uint16_t bits)
{
    s->gpe_sts |= bits;
    update_sci(s);
}

void acpi_regs_power_button(AcpiRegs *s)
{
    if (!(s->pm1_en & PM1_PWRBTN))
        return;
    s->pm1_sts |= PM1_PWRBTN;
    update_sci(s);
}

/* What is neither the clock nor the timer looks like the power button. */
void acpi_regs_woken(AcpiRegs *s)
{
    static const uint16_t bits[] = { [WAKE_OTHER] = PM1_PWRBTN, [WAKE_RTC] = PM1_RTC, [WAKE_PM_TIMER] = PM1_TMR };

    s->pm1_sts |= PM1_WAK | bits[machine_wakeup_source(s->dev->machine)];
}

/* ---- Life ---- */

void acpi_regs_init(AcpiRegs *s, Device *d, Region *block, const uint8_t *s4_typ)
{
    s->dev = d;
    s->s4_typ = s4_typ;
    timer_init(&s->timer, d, timer_fired, s);
    region_init_io(&s->evt, d, "acpi-evt", 4, &evt_ops, s);
    region_init_io(&s->cnt, d, "acpi-cnt", 2, &cnt_ops, s);
    region_init_io(&s->tmr, d, "acpi-tmr", 4, &tmr_ops, s);
    region_init_io(&s->gpe, d, "acpi-gpe0", ACPI_GPE0_LEN, &gpe_ops, s);
    region_add(block, 0, &s->evt);
    region_add(block, 4, &s->cnt);
    region_add(block, 8, &s->tmr);
    region_add(&d->machine->io, ACPI_GPE0_PORT, &s->gpe);
}

void acpi_regs_fini(AcpiRegs *s)
{
    timer_stop(&s->timer);
    region_fini(&s->evt);
    region_fini(&s->cnt);
    region_fini(&s->tmr);
    region_fini(&s->gpe);
}

void acpi_regs_reset(AcpiRegs *s)
{
    s->pm1_cnt = s->only ? PM1_SCI_EN : 0;
    enable_wakeup(s);
}

void acpi_regs_save(AcpiRegs *s)
{
    pm1_status(s);
}

void acpi_regs_loaded(AcpiRegs *s)
{
    enable_wakeup(s);
    s->sci.level = sci_level(s);
}
