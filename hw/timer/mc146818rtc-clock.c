/*
 * MC146818: its time, and when its three interrupts come.
 */
#include <time.h>
#include "hw/core/machine.h"
#include "hw/timer/mc146818rtc-int.h"

#define RTC_HZ 32768u
#define DAY 86400u

uint64_t rtc_now(const Rtc *s)
{
    return vm_now(&s->dev) + s->clock_off;
}

static void set_alarm(Rtc *s, Timer *t, uint64_t *at, uint64_t when)
{
    *at = when;
    if (when == TIMER_NEVER)
        timer_stop(t);
    else
        timer_arm(t, when > (uint64_t)s->clock_off ? when - s->clock_off : 0);
}

void rtc_rearm_alarms(Rtc *s)
{
    set_alarm(s, &s->periodic_timer, &s->periodic_at, s->periodic_at);
    set_alarm(s, &s->update_timer, &s->update_at, s->update_at);
}

/* ---- Time and date ---- */

bool rtc_running(const Rtc *s)
{
    return !(s->cmos_data[REG_B] & B_SET) && (s->cmos_data[REG_A] & A_DV) <= A_DV_32768;
}

/* The guest's date, ns since 1970. */
uint64_t rtc_date_ns(const Rtc *s)
{
    return s->base_rtc * NS_PER_S + rtc_now(s) - s->last_update + s->offset;
}

static uint8_t to_reg(const Rtc *s, unsigned v)
{
    return s->cmos_data[REG_B] & B_DM ? v : (v / 10) << 4 | v % 10;
}

static unsigned from_reg(const Rtc *s, uint8_t v)
{
    return s->cmos_data[REG_B] & B_DM ? v : (v >> 4) * 10u + (v & 15);
}

static unsigned hour_from_reg(const Rtc *s, uint8_t v)
{
    if (s->cmos_data[REG_B] & B_24H)
        return from_reg(s, v);
    return from_reg(s, v & ~HOURS_PM) % 12 + (v & HOURS_PM ? 12 : 0);
}

static void tm_to_regs(Rtc *s, const struct tm *tm)
{
    uint8_t *r = s->cmos_data;
    int year = tm->tm_year + 1900 - s->base_year;

    r[SECONDS] = to_reg(s, tm->tm_sec);
    r[MINUTES] = to_reg(s, tm->tm_min);
    r[HOURS] = r[REG_B] & B_24H ? to_reg(s, tm->tm_hour)
             : to_reg(s, tm->tm_hour % 12 ? tm->tm_hour % 12 : 12) | (tm->tm_hour >= 12 ? HOURS_PM : 0);
    r[DAY_OF_WEEK] = to_reg(s, tm->tm_wday + 1);
    r[DAY_OF_MONTH] = to_reg(s, tm->tm_mday);
    r[MONTH] = to_reg(s, tm->tm_mon + 1);
    r[YEAR] = to_reg(s, (year % 100 + 100) % 100);
    r[CENTURY] = to_reg(s, (year / 100 % 100 + 100) % 100);
}

void rtc_regs_to_tm(const Rtc *s, struct tm *tm)
{
    const uint8_t *r = s->cmos_data;

    *tm = (struct tm) {
        .tm_sec = from_reg(s, r[SECONDS]), .tm_min = from_reg(s, r[MINUTES]), .tm_hour = hour_from_reg(s, r[HOURS]),
        .tm_wday = from_reg(s, r[DAY_OF_WEEK]) - 1, .tm_mday = from_reg(s, r[DAY_OF_MONTH]),
        .tm_mon = from_reg(s, r[MONTH]) - 1,
        .tm_year = from_reg(s, r[YEAR]) + s->base_year + from_reg(s, r[CENTURY]) * 100 - 1900,
    };
}

void rtc_update_regs(Rtc *s)
{
    time_t t = rtc_date_ns(s) / NS_PER_S;
    struct tm tm;

    if (gmtime_r(&t, &tm))
        tm_to_regs(s, &tm);
}

static void announce_change(Rtc *s)
{
    int64_t diff = (int64_t)s->base_rtc - (int64_t)(host_now_ns() / NS_PER_S) - s->date_off;

    machine_event(s->dev.machine, "RTC_CHANGE", "{s:I, s:s}", "offset", (long long)diff,
                  "qom-path", s->dev.path ? s->dev.path : "");
}

/* The guest has written the date registers, or lets the clock run from what they hold. */
void rtc_set_date(Rtc *s)
{
    struct tm tm;

    rtc_regs_to_tm(s, &tm);
    s->base_rtc = timegm(&tm);
    s->last_update = rtc_now(s);
    announce_change(s);
}

/* ---- Alarm and update interrupts ---- */

/* Seconds from now (1..86400) to the next match of the alarm registers, or 0. */
static unsigned seconds_to_alarm(Rtc *s)
{
    const uint8_t *r = s->cmos_data;
    int sec = r[SECONDS_ALARM] >= ALARM_ANY ? -1 : (int)from_reg(s, r[SECONDS_ALARM]);
    int min = r[MINUTES_ALARM] >= ALARM_ANY ? -1 : (int)from_reg(s, r[MINUTES_ALARM]);
    int hour = r[HOURS_ALARM] >= ALARM_ANY ? -1 : (int)hour_from_reg(s, r[HOURS_ALARM]);
    unsigned now, t;

    if (sec > 59 || min > 59 || hour > 23)
        return 0;
    rtc_update_regs(s);
    now = hour_from_reg(s, r[HOURS]) * 3600 + from_reg(s, r[MINUTES]) * 60 + from_reg(s, r[SECONDS]);
    for (t = now + 1; t <= now + DAY;) {
        if (hour >= 0 && (int)(t / 3600 % 24) != hour)
            t += 3600 - t % 3600;
        else if (min >= 0 && (int)(t / 60 % 60) != min)
            t += 60 - t % 60;
        else if (sec >= 0 && (int)(t % 60) != sec)
            t++;
        else
            return t - now;
    }
    return 0;
}

void rtc_update_irq(Rtc *s)
{
    uint8_t *r = s->cmos_data;
    bool on = r[REG_C] & r[REG_B] & (C_PF | C_AF | C_UF);

    r[REG_C] = (r[REG_C] & ~C_IRQF) | (on ? C_IRQF : 0);
    line_set(&s->irq, on);
}

/* When UF or AF, if they are not set yet, will be. */
void rtc_plan_update(Rtc *s)
{
    const uint8_t *r = s->cmos_data;
    uint64_t next_second, when = TIMER_NEVER;
    unsigned wait;

    s->next_alarm_time = TIMER_NEVER;
    if ((r[REG_A] & A_DV_RESET) != A_DV_RESET) {
        next_second = rtc_now(s) + NS_PER_S - rtc_date_ns(s) % NS_PER_S;
        if (rtc_running(s) && !(r[REG_C] & C_AF)) {
            wait = seconds_to_alarm(s);
            if (wait)
                when = s->next_alarm_time = next_second + (wait - 1) * NS_PER_S;
        }
        if (!(r[REG_C] & C_UF))
            when = next_second;
    }
    set_alarm(s, &s->update_timer, &s->update_at, when);
}

void rtc_update_ended(void *opaque)
{
    Rtc *s = opaque;
    uint8_t *r = s->cmos_data;

    r[REG_C] |= C_UF;
    if (rtc_now(s) >= s->next_alarm_time) {
        r[REG_C] |= C_AF;
        if (r[REG_B] & B_AIE)
            machine_request_wakeup(s->dev.machine);
    }
    s->update_at = TIMER_NEVER;
    rtc_update_irq(s);
    rtc_plan_update(s);
}

/* ---- Periodic interrupt ---- */

unsigned rtc_period_of(const Rtc *s)
{
    unsigned rs = s->cmos_data[REG_A] & A_RS;

    if (!rs || !(s->cmos_data[REG_B] & B_PIE))
        return 0;
    return 1u << ((rs <= 2 ? rs + 7 : rs) - 1);
}

/* The tick after `from`; `late` ticks of 32768 Hz of it have gone already. */
void rtc_plan_tick(Rtc *s, uint64_t from, uint64_t late)
{
    uint64_t next = muldiv64(from, RTC_HZ, NS_PER_S) + s->period - late;

    s->next_periodic_time = muldiv64(next, NS_PER_S, RTC_HZ) + 1;
    set_alarm(s, &s->periodic_timer, &s->periodic_at, s->next_periodic_time);
}

/* The rate or PIE has changed: the new period keeps the phase of the old one. */
void rtc_change_period(Rtc *s, unsigned old)
{
    uint64_t now = rtc_now(s), late = 0;

    s->period = rtc_period_of(s);
    if (!s->period) {
        s->irq_coalesced = 0;
        set_alarm(s, &s->periodic_timer, &s->periodic_at, TIMER_NEVER);
        return;
    }
    if (old && s->next_periodic_time > 0) {
        uint64_t last = muldiv64(s->next_periodic_time, RTC_HZ, NS_PER_S) - old;
        uint64_t ticks = muldiv64(now, RTC_HZ, NS_PER_S);

        late = ticks > last ? MIN(ticks - last, old) : 0;
        if (s->lost_tick_policy == LOST_TICK_SLEW) {
            late += (uint64_t)s->irq_coalesced * old;
            s->irq_coalesced = late / s->period;
            late %= s->period;
        } else {
            late = MIN(late, s->period - 1);
        }
    }
    rtc_plan_tick(s, now, late);
}

void rtc_periodic_tick(void *opaque)
{
    Rtc *s = opaque;
    uint64_t now = rtc_now(s), due = s->next_periodic_time;
    uint64_t ns = muldiv64(s->period, NS_PER_S, RTC_HZ);

    s->periodic_at = TIMER_NEVER;
    if (!s->period)
        return;
    if (now > due + ns) {               /* the host was late */
        if (s->lost_tick_policy == LOST_TICK_SLEW)
            s->irq_coalesced = MIN(s->irq_coalesced + (now - due) / ns, UINT32_MAX / 2);
        due = now - (now - due) % ns;
    }
    rtc_plan_tick(s, due, 0);
    if (s->lost_tick_policy == LOST_TICK_SLEW && (s->cmos_data[REG_C] & C_PF)) {
        s->irq_coalesced += s->irq_coalesced < UINT32_MAX / 2;
        s->irq_reinject_on_ack_count = 0;
    }
    s->cmos_data[REG_C] |= C_PF;
    rtc_update_irq(s);
}
