/*
 * 8237 pair: address and count registers, flip-flop, masks, status, page registers.
 */
#include "libqtest.h"

static unsigned rd16(QTest *q, uint16_t port)
{
    unsigned v = qtest_inb(q, port);

    return v | qtest_inb(q, port) << 8;
}

static void wr16(QTest *q, uint16_t port, unsigned v)
{
    qtest_outb(q, port, v);
    qtest_outb(q, port, v >> 8);
}

static void test_controller(QTest *q, uint16_t base, unsigned shift, const uint16_t *pages)
{
    uint16_t cont = base + (8 << shift);

    qtest_outb(q, cont + (5 << shift), 0);      /* master clear */
    for (unsigned ch = 0; ch < 4; ch++) {
        wr16(q, base + ((2 * ch) << shift), 0x1234 + ch);
        wr16(q, base + ((2 * ch + 1) << shift), 0x0fff + ch);
    }
    for (unsigned ch = 0; ch < 4; ch++) {
        tap_eq(rd16(q, base + ((2 * ch) << shift)), 0x1234 + ch, "0x%x: address of channel %u", base, ch);
        tap_eq(rd16(q, base + ((2 * ch + 1) << shift)), 0x0fff + ch, "0x%x: count of channel %u", base, ch);
    }
    qtest_inb(q, base);
    qtest_outb(q, cont + (4 << shift), 0);      /* clear flip-flop */
    tap_eq(qtest_inb(q, base), 0x34, "0x%x: the low byte comes first after the flip-flop was cleared", base);
    qtest_inb(q, base);
    tap_eq(qtest_inb(q, cont), 0x00, "0x%x: status", base);
    for (unsigned ch = 0; ch < 4; ch++)
        qtest_outb(q, pages[ch], 0x51 + ch);
    for (unsigned ch = 0; ch < 4; ch++)
        tap_eq(qtest_inb(q, pages[ch]), 0x51 + ch, "page register of channel %u at 0x%x", ch, pages[ch]);
    qtest_outb(q, cont + (1 << shift), 0x06);   /* software request of channel 2 */
    tap_eq(qtest_inb(q, cont) & 0x40, 0x40, "0x%x: a request shows in the status", base);
    qtest_outb(q, cont + (1 << shift), 0x02);
    tap_eq(qtest_inb(q, cont) & 0x40, 0x00, "0x%x: and goes", base);
}

int main(void)
{
    static const uint16_t pages0[4] = { 0x87, 0x83, 0x81, 0x82 }, pages1[4] = { 0x8f, 0x8b, 0x89, 0x8a };
    QTest *q = qtest_start("-M pc -nodefaults");

    test_controller(q, 0x00, 0, pages0);
    test_controller(q, 0xc0, 1, pages1);
    qtest_end(q);
    return tap_done();
}
