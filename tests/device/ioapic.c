/*
 * IOAPIC: registers and what of an entry can be written.
 */
#include "libqtest.h"

#define IOAPIC 0xfec00000ull

static uint32_t rd(QTest *q, uint8_t reg)
{
    qtest_writel(q, IOAPIC, reg);
    return qtest_readl(q, IOAPIC + 0x10);
}

static void wr(QTest *q, uint8_t reg, uint32_t v)
{
    qtest_writel(q, IOAPIC, reg);
    qtest_writel(q, IOAPIC + 0x10, v);
}

int main(void)
{
    QTest *q = qtest_start("-M pc -nodefaults");

    tap_eq(rd(q, 1), 0x00170020, "version 0x20, 24 pins");
    tap_eq(rd(q, 0), 0, "id");
    wr(q, 0, 0xffffffff);
    tap_eq(rd(q, 0), 0x0f000000, "the id has four bits");
    tap_eq(rd(q, 2), 0x0f000000, "the arbitration id follows it");
    wr(q, 0, 0);
    for (unsigned i = 0; i < 24; i++) {
        if (rd(q, 0x10 + 2 * i) != 0x10000 || rd(q, 0x11 + 2 * i) != 0)
            tap_ok(false, "entry %u is masked after reset", i);
    }
    wr(q, 0x10 + 2 * 20, 0xffffffff);
    tap_eq(rd(q, 0x10 + 2 * 20), 0xffffafff, "delivery status and remote IRR cannot be written");
    wr(q, 0x11 + 2 * 20, 0xff000000);
    tap_eq(rd(q, 0x11 + 2 * 20), 0xff000000, "destination");
    wr(q, 0x40, 0x12345678);
    tap_eq(rd(q, 0x40), 0, "no register beyond the entries");
    qtest_writel(q, IOAPIC, 0x1ff);
    tap_eq(qtest_readl(q, IOAPIC), 0xff, "the select register has eight bits");
    tap_eq(qtest_readl(q, IOAPIC + 0x20), 0, "nothing at 0x20");
    qtest_end(q);
    return tap_done();
}
