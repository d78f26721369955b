/*
 * MC146818: registers, data formats, SET, update, alarm and periodic interrupts.
 */
#include "libqtest.h"

enum { SEC, SEC_AL, MIN, MIN_AL, HOUR, HOUR_AL, WDAY, MDAY, MON, YEAR, REG_A, REG_B, REG_C, REG_D, CENTURY = 0x32 };
enum { B_SET = 0x80, B_PIE = 0x40, B_AIE = 0x20, B_UIE = 0x10, B_DM = 4, B_24H = 2 };
enum { C_IRQF = 0x80, C_PF = 0x40, C_AF = 0x20, C_UF = 0x10 };
#define SECOND 1000000000ll

static uint8_t rd(QTest *q, uint8_t reg)
{
    qtest_outb(q, 0x70, reg);
    return qtest_inb(q, 0x71);
}

static void wr(QTest *q, uint8_t reg, uint8_t v)
{
    qtest_outb(q, 0x70, reg);
    qtest_outb(q, 0x71, v);
}

static uint32_t hms(QTest *q)
{
    return rd(q, HOUR) << 16 | rd(q, MIN) << 8 | rd(q, SEC);
}

static uint32_t ymd(QTest *q)
{
    return (uint32_t)rd(q, CENTURY) << 24 | rd(q, YEAR) << 16 | rd(q, MON) << 8 | rd(q, MDAY);
}

static void test_registers(QTest *q)
{
    tap_eq(rd(q, REG_A) & 0x7f, 0x26, "A: 32768 Hz, 1024 Hz periodic");
    tap_eq(rd(q, REG_B), B_24H, "B: 24 hours, BCD, no interrupts");
    tap_eq(rd(q, REG_D), 0x80, "D: the battery is good");
    wr(q, REG_D, 0x12);
    tap_eq(rd(q, REG_D), 0x80, "D cannot be written");
    tap_eq(qtest_inb(q, 0x70), 0xff, "the index cannot be read");
    wr(q, 0x80 | 0x40, 0x5a);
    tap_eq(rd(q, 0x40), 0x5a, "bit 7 of the index is not part of it");
    wr(q, 0x0e, 0xa5);
    tap_eq(rd(q, 0x0e), 0xa5, "RAM keeps what is written");
    tap_eq(rd(q, 0x37), rd(q, CENTURY), "the century stands at 0x37 as well");
}

static void test_date(QTest *q)
{
    tap_eq(ymd(q), 0x20060617, "date of -rtc base=");
    tap_eq(hms(q), 0x160121, "time of -rtc base=");
    tap_eq(rd(q, WDAY), 7, "17 June 2006 is a Saturday");
}

static void set_date(QTest *q, uint32_t date, uint32_t time)
{
    uint8_t b = rd(q, REG_B);

    wr(q, REG_B, b | B_SET);
    wr(q, CENTURY, date >> 24);
    wr(q, YEAR, date >> 16);
    wr(q, MON, date >> 8);
    wr(q, MDAY, date);
    wr(q, HOUR, time >> 16);
    wr(q, MIN, time >> 8);
    wr(q, SEC, time);
    wr(q, REG_B, b);
}

static void test_formats(QTest *q)
{
    set_date(q, 0x20240229, 0x235958);
    tap_eq(ymd(q), 0x20240229, "a leap day");
    tap_eq(hms(q), 0x235958, "set in BCD, 24 hours");
    wr(q, REG_B, B_24H | B_DM);
    set_date(q, 20u << 24 | 24 << 16 | 2 << 8 | 29, 23 << 16 | 59 << 8 | 58);
    tap_eq(hms(q), 23 << 16 | 59 << 8 | 58, "binary");
    wr(q, REG_B, B_DM);
    tap_eq(rd(q, HOUR), 0x80 | 11, "11 p.m. in binary, 12 hours");
    wr(q, REG_B, 0);
    set_date(q, 0x20240229, 0x120501);
    tap_eq(rd(q, HOUR), 0x12, "12 a.m. is midnight");
    wr(q, REG_B, B_24H);
    tap_eq(rd(q, HOUR), 0x00, "and 0 in 24 hours");
    set_date(q, 0x20240229, 0x235958);
}

static void test_clock(QTest *q)
{
    qtest_clock_step(q, 2 * SECOND);
    tap_eq(hms(q), 0x000000, "midnight two seconds later");
    tap_eq(ymd(q), 0x20240301, "the first of March");
    wr(q, REG_B, B_24H | B_SET);
    qtest_clock_step(q, 5 * SECOND);
    tap_eq(hms(q), 0x000000, "SET stops the registers");
    wr(q, REG_B, B_24H);
    qtest_clock_step(q, SECOND);
    tap_eq(hms(q), 0x000001, "and the clock goes on from what they hold");
}

static void test_update(QTest *q)
{
    int64_t waited = 0;

    rd(q, REG_C);
    qtest_clock_step(q, SECOND);
    tap_eq(rd(q, REG_C), C_UF, "UF without UIE: no IRQF");
    tap_eq(rd(q, REG_C), 0, "C is cleared by reading");
    while (!(rd(q, REG_A) & 0x80) && waited < 2 * SECOND)
        waited += 100000, qtest_clock_step(q, 100000);
    tap_ok(waited < SECOND, "UIP comes up before the update");
    qtest_clock_step(q, 300000);
    tap_ok(!(rd(q, REG_A) & 0x80), "and goes down after it");
    rd(q, REG_C);
    qtest_irq_raised(q, 8);
    wr(q, REG_B, B_24H | B_UIE);
    qtest_clock_step(q, 3 * SECOND);
    tap_eq(qtest_irq_raised(q, 8), 1, "the line stays up until C is read");
    tap_eq(rd(q, REG_C), C_IRQF | C_UF, "update-ended interrupt");
    tap_ok(!qtest_irq(q, 8), "reading C lowers the line");
    wr(q, REG_B, B_24H);
}

static void test_alarm(QTest *q)
{
    set_date(q, 0x20240301, 0x100000);
    wr(q, HOUR_AL, 0x10);
    wr(q, MIN_AL, 0x00);
    wr(q, SEC_AL, 0x30);
    rd(q, REG_C);
    wr(q, REG_B, B_24H | B_AIE);
    qtest_clock_step(q, 29 * SECOND);
    tap_ok(!qtest_irq(q, 8), "no alarm yet");
    qtest_clock_step(q, 2 * SECOND);
    tap_ok(qtest_irq(q, 8), "the alarm");
    tap_eq(rd(q, REG_C) & (C_IRQF | C_AF), C_IRQF | C_AF, "AF");
    wr(q, HOUR_AL, 0xff);
    wr(q, MIN_AL, 0xc0);
    qtest_clock_step(q, 60 * SECOND);
    tap_eq(rd(q, REG_C) & C_AF, C_AF, "don't-care hours and minutes: once a minute");
    wr(q, SEC_AL, 0x75);
    qtest_clock_step(q, 120 * SECOND);
    tap_eq(rd(q, REG_C) & C_AF, 0, "second 75 never comes");
    wr(q, REG_B, B_24H);
}

static void test_periodic(QTest *q)
{
    unsigned n = 0;

    wr(q, REG_A, 0x2a);         /* 64 Hz */
    rd(q, REG_C);
    qtest_irq_raised(q, 8);
    wr(q, REG_B, B_24H | B_PIE);
    for (unsigned i = 0; i < 64; i++) {
        qtest_clock_step(q, SECOND / 64);
        n += (rd(q, REG_C) & C_PF) != 0;
    }
    tap_ok(n >= 63 && n <= 64, "64 periodic interrupts a second (%u)", n);
    tap_eq(qtest_irq_raised(q, 8), n, "each with an edge");
    wr(q, REG_B, B_24H);
    rd(q, REG_C);
    qtest_clock_step(q, SECOND);
    tap_ok(!qtest_irq(q, 8), "none without PIE");
}

/* Ticks that nobody acknowledged for a while are made up for, or not. */
static void test_lost_ticks(const char *opts, unsigned least, unsigned most)
{
    QTest *q = qtest_start("-M pc -nodefaults -rtc base=2006-06-17,clock=vm%s", opts);
    unsigned n = 0;

    wr(q, REG_A, 0x2a);         /* 64 Hz */
    wr(q, REG_B, B_24H | B_PIE);
    rd(q, REG_C);
    for (unsigned i = 0; i < 10; i++)
        qtest_clock_step(q, SECOND / 64);
    while (n < 50 && (rd(q, REG_C) & C_PF))
        n++;
    tap_ok(n >= least && n <= most, "%u ticks after ten periods%s", n, opts);
    qtest_end(q);
}

static void test_event(void)
{
    QTest *q = qtest_start_qmp("-M pc -nodefaults -rtc base=2006-06-17T16:01:21,clock=vm");

    set_date(q, 0x20240229, 0x235958);
    tap_ok(qtest_qmp_event(q, "RTC_CHANGE"), "setting the date is an event");
    qtest_end(q);
}

int main(void)
{
    QTest *q = qtest_start("-M pc -nodefaults -rtc base=2006-06-17T16:01:21,clock=vm");

    test_date(q);
    test_registers(q);
    test_formats(q);
    if (!qtest_is_qemu()) {
        qtest_irq_intercept_in(q, "ioapic");
        test_clock(q);
        test_update(q);
        test_alarm(q);
        test_periodic(q);
    }
    qtest_end(q);
    test_event();
    if (!qtest_is_qemu()) {
        test_lost_ticks("", 1, 1);
        test_lost_ticks(",driftfix=slew", 9, 11);
    }
    return tap_done();
}
