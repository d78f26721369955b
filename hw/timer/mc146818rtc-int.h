/* What the two halves of the MC146818 share: mc146818rtc.c has registers and set-up, mc146818rtc-clock.c time and alarms. */
#ifndef HW_TIMER_MC146818RTC_INT_H
#define HW_TIMER_MC146818RTC_INT_H
#include "hw/core/memory.h"
#include "hw/timer/timer.h"

enum { SECONDS, SECONDS_ALARM, MINUTES, MINUTES_ALARM, HOURS, HOURS_ALARM, DAY_OF_WEEK, DAY_OF_MONTH, MONTH, YEAR,
       REG_A, REG_B, REG_C, REG_D, SHUTDOWN_STATUS = 0x0f, CENTURY = 0x32, PS2_CENTURY = 0x37, CMOS_SIZE = 128 };
enum { A_UIP = 0x80, A_DV = 0x70, A_DV_32768 = 0x20, A_DV_RESET = 0x60, A_RS = 0x0f };
enum { B_SET = 0x80, B_PIE = 0x40, B_AIE = 0x20, B_UIE = 0x10, B_SQWE = 0x08, B_DM = 0x04, B_24H = 0x02 };
enum { C_IRQF = 0x80, C_PF = 0x40, C_AF = 0x20, C_UF = 0x10 };
enum { D_VRT = 0x80, HOURS_PM = 0x80, ALARM_ANY = 0xc0 };

#define UIP_NS 244140u                  /* 8 ticks: UIP is up this long before the update */
#define MAX_REINJECT 20                 /* in a row: a guest may acknowledge until nothing is left */

enum LostTick { LOST_TICK_DISCARD, LOST_TICK_DELAY, LOST_TICK_SLEW };

typedef struct Rtc {
    Device dev;

    /* guest state; times are ns of the reference clock */
    uint8_t cmos_data[CMOS_SIZE];
    uint8_t cmos_index;
    uint64_t periodic_at, update_at;    /* alarms; TIMER_NEVER: off */
    int64_t next_periodic_time;
    uint32_t irq_coalesced;             /* ticks to be made up (slew) */
    uint32_t period;                    /* of the periodic interrupt in ticks; 0: off */
    uint64_t base_rtc;                  /* seconds since 1970 at last_update */
    uint64_t last_update;
    int64_t offset;                     /* ns to be added: the phase of the second */
    uint64_t next_alarm_time;
    uint16_t irq_reinject_on_ack_count;
    Line irq;
    Timer periodic_timer, update_timer;

    /* host side */
    int64_t clock_off;                  /* the reference clock less guest time */
    int64_t date_off;                   /* the guest's date at start less the host's, s (-rtc base=DATE, localtime) */
    bool host_clock;                    /* clock=host: goes on while the guest is stopped */

    /* set-up */
    int32_t base_year;
    uint16_t iobase;
    uint8_t irq_num;
    int lost_tick_policy;
    Region io, index_io;
} Rtc;

uint64_t rtc_now(const Rtc *s);                 /* of the reference clock */
bool rtc_running(const Rtc *s);
uint64_t rtc_date_ns(const Rtc *s);             /* the guest's date, ns since 1970 */
void rtc_update_regs(Rtc *s);                   /* puts the date into the registers */
void rtc_regs_to_tm(const Rtc *s, struct tm *tm);
void rtc_set_date(Rtc *s);                      /* takes it from them */
void rtc_update_irq(Rtc *s);
void rtc_plan_update(Rtc *s);                   /* sets the alarm for when UF or AF will be set, if they are not yet */
void rtc_update_ended(void *opaque);
void rtc_change_period(Rtc *s, unsigned old);   /* rate or PIE have changed; `old` is the period until now */
void rtc_periodic_tick(void *opaque);
unsigned rtc_period_of(const Rtc *s);           /* by registers A and B */
void rtc_plan_tick(Rtc *s, uint64_t from, uint64_t late);
void rtc_rearm_alarms(Rtc *s);
#endif
