/*
 * HPET: capabilities, counter, one-shot and periodic comparators, 32-bit mode, level interrupts, legacy replacement.
 */
#include "libqtest.h"

#define HPET 0xfed00000ull
enum { CAP = 0, CFG = 0x10, STS = 0x20, CNT = 0xf0, T0 = 0x100, T1 = 0x120, T2 = 0x140, CMP = 8 };
enum { TN_LEVEL = 2, TN_ENABLE = 4, TN_PERIODIC = 8, TN_SETVAL = 0x40, TN_32BIT = 0x100, ROUTE2 = 2 << 9 };

static uint64_t rq(QTest *q, unsigned off) { return qtest_readl(q, HPET + off) | (uint64_t)qtest_readl(q, HPET + off + 4) << 32; }
static void wl(QTest *q, unsigned off, uint32_t v) { qtest_writel(q, HPET + off, v); }

static void test_registers(QTest *q)
{
    tap_eq(rq(q, CAP), 0x009896808086a201ull, "100 MHz, three timers, 64 bits, legacy replacement");
    tap_eq(qtest_readl(q, HPET + T0), 0x30, "timer 0: periodic and 64 bits possible");
    tap_eq(qtest_readl(q, HPET + T0 + 4), 4, "interrupt 2 is the only route");
    tap_eq(rq(q, T0 + CMP), UINT64_MAX, "comparator after reset");
    tap_eq(rq(q, CNT), 0, "counter after reset");
    wl(q, CNT, 0x12345678);
    wl(q, CNT + 4, 0x9abcdef0);
    tap_eq(rq(q, CNT), 0x9abcdef012345678ull, "the stopped counter can be written");
    wl(q, CNT, 0);
    wl(q, CNT + 4, 0);
    wl(q, CFG, 0xffffffff);
    tap_eq(qtest_readl(q, HPET + CFG), 3, "configuration: two bits");
    wl(q, CFG, 0);
    wl(q, T0, 0xffffffff);
    tap_eq(qtest_readl(q, HPET + T0), 0x7f4e | 0x30, "timer configuration: what can be written");
    wl(q, T0, 0);
    tap_eq(qtest_readl(q, HPET + 0x160), 0, "no fourth timer");
}

static void test_counter(QTest *q)
{
    uint32_t a;

    wl(q, CFG, 1);
    a = qtest_readl(q, HPET + CNT);
    qtest_clock_step(q, 1000000);
    tap_eq(qtest_readl(q, HPET + CNT) - a, 100000, "10 ns a tick");
    wl(q, CFG, 0);
    a = qtest_readl(q, HPET + CNT);
    qtest_clock_step(q, 1000000);
    tap_eq(qtest_readl(q, HPET + CNT), a, "a stopped counter stands");
    wl(q, CNT, 0);
}

static void test_timers(QTest *q)
{
    qtest_irq_raised(q, 2);
    wl(q, T2, TN_ENABLE | ROUTE2);
    wl(q, T2 + CMP, 100000);
    wl(q, T2 + CMP + 4, 0);
    wl(q, CFG, 1);
    qtest_clock_step(q, 999990);
    tap_eq(qtest_irq_raised(q, 2), 0, "one-shot: not before its time");
    qtest_clock_step(q, 10);
    tap_eq(qtest_irq_raised(q, 2), 1, "one-shot: in time");
    qtest_clock_step(q, 10000000);
    tap_eq(qtest_irq_raised(q, 2), 0, "and once");
    wl(q, T2, TN_ENABLE | ROUTE2 | TN_LEVEL);
    wl(q, T2 + CMP, qtest_readl(q, HPET + CNT) + 1000);
    qtest_clock_step(q, 20000);
    tap_ok(qtest_irq(q, 2), "level: the line stays up");
    tap_eq(qtest_readl(q, HPET + STS), 4, "status");
    wl(q, STS, 4);
    tap_ok(!qtest_irq(q, 2) && qtest_readl(q, HPET + STS) == 0, "writing the bit clears both");
    wl(q, T2, 0);
    wl(q, T0, TN_ENABLE | ROUTE2 | TN_PERIODIC | TN_SETVAL | TN_32BIT);
    wl(q, T0 + CMP, qtest_readl(q, HPET + CNT) + 50000);
    wl(q, T0 + CMP, 10000);
    qtest_irq_raised(q, 2);
    qtest_clock_step(q, 500000 + 900000);
    tap_eq(qtest_irq_raised(q, 2), 10, "periodic: first at the comparator, then every period");
    wl(q, T0, 0);
    wl(q, CFG, 0);
}

static void test_legacy(QTest *q)
{
    wl(q, CNT, 0);
    wl(q, CNT + 4, 0);
    qtest_outb(q, 0x43, 0x34);
    qtest_outb(q, 0x40, 0xa9);
    qtest_outb(q, 0x40, 0x04);          /* the 8254 at 1 kHz */
    qtest_irq_raised(q, 0);
    qtest_clock_step(q, 10000000);
    tap_ok(qtest_irq_raised(q, 0) >= 9, "the 8254 has interrupt 0");
    wl(q, CFG, 3);
    qtest_irq_raised(q, 0);
    qtest_clock_step(q, 10000000);
    tap_eq(qtest_irq_raised(q, 0), 0, "legacy replacement takes it away");
    wl(q, T0, TN_ENABLE);
    wl(q, T0 + CMP, qtest_readl(q, HPET + CNT) + 1000);
    wl(q, T0 + CMP + 4, 0);
    qtest_clock_step(q, 20000);
    tap_eq(qtest_irq_raised(q, 0), 1, "timer 0 has it");
    wl(q, T1, TN_ENABLE);
    wl(q, T1 + CMP, qtest_readl(q, HPET + CNT) + 1000);
    wl(q, T1 + CMP + 4, 0);
    qtest_irq_raised(q, 8);
    qtest_clock_step(q, 20000);
    tap_eq(qtest_irq_raised(q, 8), 1, "timer 1 has the RTC's");
    wl(q, CFG, 0);
    qtest_irq_raised(q, 0);
    qtest_clock_step(q, 10000000);
    tap_ok(qtest_irq_raised(q, 0) >= 9, "the 8254 has it again");
}

int main(void)
{
    QTest *q = qtest_start("-M pc -nodefaults");

    test_registers(q);
    if (!qtest_is_qemu()) {
        qtest_irq_intercept_in(q, "ioapic");
        test_counter(q);
        test_timers(q);
        test_legacy(q);
    }
    qtest_end(q);
    return tap_done();
}
