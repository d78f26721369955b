/*
 * 8254: latches, read-back, modes 0, 2 and 3, the interrupt, port 61h.
 */
#include "libqtest.h"

#define TICKS(n) ((int64_t)(n) * 1000000000 / 1193182)

static void program(QTest *q, unsigned ch, unsigned mode, unsigned count)
{
    qtest_outb(q, 0x43, ch << 6 | 0x30 | mode << 1);
    qtest_outb(q, 0x40 + ch, count & 0xff);
    qtest_outb(q, 0x40 + ch, count >> 8);
}

static unsigned latched(QTest *q, unsigned ch)
{
    unsigned v;

    qtest_outb(q, 0x43, ch << 6);
    v = qtest_inb(q, 0x40 + ch);
    return v | qtest_inb(q, 0x40 + ch) << 8;
}

static void test_access(QTest *q)
{
    program(q, 2, 0, 0x1234);
    tap_eq(latched(q, 2), 0x1234, "count latch");
    qtest_outb(q, 0x43, 0x80);
    tap_eq(qtest_inb(q, 0x42), 0x34, "first the low byte");
    qtest_outb(q, 0x43, 0x80);
    tap_eq(qtest_inb(q, 0x42), 0x12, "a second latch command does not disturb the first");
    qtest_outb(q, 0x43, 0xc8);      /* read back count and status of channel 2 */
    tap_eq(qtest_inb(q, 0x42) & 0x3f, 0x30, "status: two bytes, mode 0");
    tap_eq(qtest_inb(q, 0x42), 0x34, "then the count");
    tap_eq(qtest_inb(q, 0x42), 0x12, "its high byte");
    qtest_outb(q, 0x43, 0xe8);      /* status only */
    tap_eq(qtest_inb(q, 0x42) & 0x80, 0, "OUT is low before mode 0's terminal count");
    qtest_outb(q, 0x43, 0x90);      /* low byte only */
    qtest_outb(q, 0x42, 0x77);
    tap_eq(qtest_inb(q, 0x42), 0x77, "low byte only");
    qtest_outb(q, 0x43, 0xa0);      /* high byte only */
    qtest_outb(q, 0x42, 0x55);
    tap_eq(qtest_inb(q, 0x42), 0x55, "high byte only");
    program(q, 2, 2, 0);
    tap_eq(latched(q, 2), 0, "count 0 is 65536");
}

static void test_modes(QTest *q)
{
    program(q, 2, 0, 1000);
    qtest_clock_step(q, TICKS(400) + 100);
    tap_eq(latched(q, 2), 600, "mode 0 counts down");
    qtest_clock_step(q, TICKS(601));
    qtest_outb(q, 0x43, 0xe8);
    tap_eq(qtest_inb(q, 0x42) & 0x80, 0x80, "OUT is high after the terminal count");
    program(q, 2, 2, 1000);
    qtest_clock_step(q, TICKS(2250) + 100);
    tap_eq(latched(q, 2), 750, "mode 2 reloads");
    program(q, 2, 3, 1000);
    qtest_clock_step(q, TICKS(100) + 100);
    tap_eq(latched(q, 2), 800, "mode 3 counts by two");
    tap_eq(qtest_inb(q, 0x61) & 0x20, 0x20, "OUT 2 at port 61h, first half");
    qtest_clock_step(q, TICKS(500));
    tap_eq(qtest_inb(q, 0x61) & 0x20, 0, "second half");
}

static void test_irq(QTest *q)
{
    qtest_irq_intercept_in(q, "ioapic");
    program(q, 0, 2, 11932);        /* 100 Hz */
    qtest_irq_raised(q, 0);
    qtest_clock_step(q, TICKS(11932 * 10) + 1000);
    tap_eq(qtest_irq_raised(q, 0), 10, "ten interrupts in mode 2");
    program(q, 0, 3, 11932);
    qtest_irq_raised(q, 0);
    qtest_clock_step(q, TICKS(11932 * 10) + 1000);
    tap_eq(qtest_irq_raised(q, 0), 10, "ten in mode 3");
    program(q, 0, 0, 11932);
    qtest_irq_raised(q, 0);
    qtest_clock_step(q, TICKS(11932 * 10));
    tap_eq(qtest_irq_raised(q, 0), 1, "one in mode 0");
    program(q, 0, 2, 1);            /* not a legal count: must only not hang us */
    qtest_clock_step(q, 1000000);
    program(q, 0, 3, 1);
    qtest_clock_step(q, 1000000);
    tap_ok(true, "tiny counts do no harm");
}

static void test_port61(QTest *q)
{
    uint8_t a, b;

    qtest_outb(q, 0x61, 0);
    a = qtest_inb(q, 0x61);
    b = qtest_inb(q, 0x61);
    tap_eq((a ^ b) & 0x10, 0x10, "the refresh bit toggles");
    tap_eq(a & 3, 0, "gate and data off");
    qtest_outb(q, 0x61, 0xff);
    tap_eq(qtest_inb(q, 0x61) & 0xc3, 3, "gate and data on, no NMI sources");
}

int main(void)
{
    QTest *q = qtest_start("-M pc -nodefaults");

    test_access(q);
    test_port61(q);
    if (!qtest_is_qemu()) {
        test_modes(q);
        test_irq(q);
    }
    qtest_end(q);
    return tap_done();
}
