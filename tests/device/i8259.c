/*
 * 8259A pair: initialisation, masks, priorities, cascade, poll, special modes, ELCR; driven by the RTC's and the serial
 * port's interrupts and by the 8254's.
 */
#include "libqtest.h"

enum { MASTER = 0x20, SLAVE = 0xa0 };

static void init_pair(QTest *q, uint8_t icw4)
{
    qtest_outb(q, MASTER, 0x11);
    qtest_outb(q, MASTER + 1, 0x20);
    qtest_outb(q, MASTER + 1, 0x04);
    qtest_outb(q, MASTER + 1, icw4);
    qtest_outb(q, SLAVE, 0x11);
    qtest_outb(q, SLAVE + 1, 0x28);
    qtest_outb(q, SLAVE + 1, 0x02);
    qtest_outb(q, SLAVE + 1, icw4 & ~0x10);
}

static uint8_t irr(QTest *q, uint16_t chip)
{
    qtest_outb(q, chip, 0x0a);
    return qtest_inb(q, chip);
}

static uint8_t isr(QTest *q, uint16_t chip)
{
    qtest_outb(q, chip, 0x0b);
    return qtest_inb(q, chip);
}

static uint8_t poll(QTest *q, uint16_t chip)
{
    qtest_outb(q, chip, 0x0c);
    return qtest_inb(q, chip);
}

static void set_uart_irq(QTest *q, uint16_t base, bool on)
{
    qtest_outb(q, base + 1, 0);
    if (on)
        qtest_outb(q, base + 1, 2);     /* THR empty */
}

static void test_init(QTest *q)
{
    init_pair(q, 0x01);
    tap_eq(qtest_inb(q, MASTER + 1), 0, "ICW1 clears the mask");
    qtest_outb(q, MASTER + 1, 0xa5);
    tap_eq(qtest_inb(q, MASTER + 1), 0xa5, "OCW1");
    tap_eq(isr(q, MASTER), 0, "nothing in service");
    tap_eq(poll(q, MASTER), 0, "poll: nothing pending");
    qtest_outb(q, 0x4d0, 0xff);
    tap_eq(qtest_inb(q, 0x4d0), 0xf8, "ELCR: interrupts 0 to 2 are edge-triggered");
    qtest_outb(q, 0x4d1, 0xff);
    tap_eq(qtest_inb(q, 0x4d1), 0xde, "ELCR: interrupts 8 and 13 are");
    qtest_outb(q, 0x4d0, 0);
    qtest_outb(q, 0x4d1, 0);
}

static void test_priorities(QTest *q)
{
    init_pair(q, 0x01);
    qtest_outb(q, MASTER + 1, 0xff);
    set_uart_irq(q, 0x3f8, true);       /* 4 */
    set_uart_irq(q, 0x2f8, true);       /* 3 */
    tap_eq(irr(q, MASTER) & 0x18, 0x18, "both requests are seen, masked or not");
    tap_eq(poll(q, MASTER), 0, "but none is served");
    qtest_outb(q, MASTER + 1, 0xe7);
    tap_eq(poll(q, MASTER), 0x83, "poll acknowledges 3 first");
    tap_eq(isr(q, MASTER), 0x08, "3 is in service");
    tap_eq(irr(q, MASTER) & 0x08, 0, "its request is gone");
    tap_eq(poll(q, MASTER), 0, "4 waits");
    qtest_outb(q, MASTER, 0x20);
    tap_eq(isr(q, MASTER), 0, "unspecific EOI");
    tap_eq(poll(q, MASTER), 0x84, "now 4");
    qtest_outb(q, MASTER, 0x64);
    tap_eq(isr(q, MASTER), 0, "specific EOI");
    set_uart_irq(q, 0x3f8, false);
    set_uart_irq(q, 0x2f8, false);
    qtest_outb(q, MASTER, 0xc3);        /* 3 lowest: 4 highest */
    set_uart_irq(q, 0x3f8, true);
    set_uart_irq(q, 0x2f8, true);
    tap_eq(poll(q, MASTER), 0x84, "set priority: 4 before 3");
    qtest_outb(q, MASTER, 0xa0);        /* rotate on EOI: 4 lowest */
    tap_eq(poll(q, MASTER), 0x83, "3 after it");
    qtest_outb(q, MASTER, 0x20);
    set_uart_irq(q, 0x3f8, false);
    set_uart_irq(q, 0x2f8, false);
}

static void test_special_modes(QTest *q)
{
    init_pair(q, 0x01);
    qtest_outb(q, MASTER + 1, 0xe7);
    set_uart_irq(q, 0x2f8, true);
    tap_eq(poll(q, MASTER), 0x83, "3 in service");
    set_uart_irq(q, 0x3f8, true);
    tap_eq(poll(q, MASTER), 0, "4 is kept out");
    qtest_outb(q, MASTER + 1, 0xef);
    qtest_outb(q, MASTER, 0x68);        /* special mask mode */
    tap_eq(poll(q, MASTER), 0x84, "special mask mode: a masked 3 keeps nobody out");
    qtest_outb(q, MASTER, 0x48);
    set_uart_irq(q, 0x3f8, false);
    set_uart_irq(q, 0x2f8, false);
    init_pair(q, 0x03);                 /* automatic EOI */
    qtest_outb(q, MASTER + 1, 0xe7);
    set_uart_irq(q, 0x3f8, true);
    tap_eq(poll(q, MASTER), 0x84, "automatic EOI: acknowledged");
    tap_eq(isr(q, MASTER), 0, "and nothing in service");
    set_uart_irq(q, 0x3f8, false);
}

static void test_level(QTest *q)
{
    init_pair(q, 0x01);
    qtest_outb(q, MASTER + 1, 0xef);
    qtest_outb(q, 0x4d0, 0x10);
    set_uart_irq(q, 0x3f8, true);
    tap_eq(poll(q, MASTER), 0x84, "level: acknowledged");
    qtest_outb(q, MASTER, 0x20);
    tap_eq(poll(q, MASTER), 0x84, "and again while the line is up");
    qtest_outb(q, MASTER, 0x20);
    set_uart_irq(q, 0x3f8, false);
    tap_eq(poll(q, MASTER), 0, "not when it is down");
    qtest_outb(q, 0x4d0, 0);
}

static void test_cascade(QTest *q)
{
    init_pair(q, 0x01);
    qtest_outb(q, MASTER + 1, 0xfb);
    qtest_outb(q, SLAVE + 1, 0xef);
    qtest_outb(q, 0x64, 0xd3);          /* a byte from the mouse: 12 */
    qtest_outb(q, 0x60, 0x12);
    tap_eq(irr(q, SLAVE) & 0x10, 0x10, "the slave's input 4");
    tap_eq(irr(q, MASTER) & 0x04, 0x04, "reaches the master's input 2");
    tap_eq(poll(q, MASTER), 0x82, "master");
    tap_eq(poll(q, SLAVE), 0x84, "slave");
    qtest_outb(q, SLAVE, 0x20);
    qtest_outb(q, MASTER, 0x20);
    qtest_inb(q, 0x60);
    tap_eq(isr(q, SLAVE) | isr(q, MASTER), 0, "both ended");
}

int main(void)
{
    QTest *q = qtest_start("-M pc -nodefaults -serial null -serial null");

    test_init(q);
    test_priorities(q);
    test_special_modes(q);
    test_level(q);
    test_cascade(q);
    qtest_end(q);
    return tap_done();
}
