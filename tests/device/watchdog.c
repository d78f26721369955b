/* The watchdogs ib700 and i6300esb, and pvpanic. */
#include "libqtest.h"

#define SECOND 1000000000ll
#define ESB_MMIO 0xfe000000u

static void test_ib700(void)
{
    QTest *q = qtest_start_qmp("-M pc -nodefaults -vga none -m 16 -device ib700 -action watchdog=none");

    qtest_outb(q, 0x443, 0x0a);                 /* 10 seconds */
    qtest_clock_step(q, 9 * SECOND);
    qtest_outb(q, 0x443, 0x0a);
    qtest_clock_step(q, 9 * SECOND);
    tap_ok(!qtest_qmp_event(q, "WATCHDOG"), "ib700: fed in time");
    qtest_clock_step(q, 2 * SECOND);
    tap_ok(qtest_qmp_event(q, "WATCHDOG"), "ib700: expires after 10 s");
    qtest_outb(q, 0x443, 0x0f);
    qtest_outb(q, 0x441, 0);
    qtest_clock_step(q, 100 * SECOND);
    tap_ok(!qtest_qmp_event(q, "WATCHDOG"), "ib700: stopped");
    qtest_end(q);
}

static void unlock(QTest *q)
{
    qtest_writew(q, ESB_MMIO + 0xc, 0x80);
    qtest_writew(q, ESB_MMIO + 0xc, 0x86);
}

static void test_i6300esb(void)
{
    QTest *q = qtest_start_qmp("-M pc -nodefaults -vga none -m 16 -device i6300esb,addr=4 -action watchdog=none");
    const unsigned dev = QPCI(4, 0);

    check_eq(qpci_readl(q, dev, 0), 0x25ab8086);
    qpci_map_bar(q, dev, 0, ESB_MMIO);
    qtest_writel(q, ESB_MMIO, 5);               /* locked: no effect */
    qpci_writew(q, dev, 0x60, 0);               /* 1 kHz */
    check_eq(qpci_readw(q, dev, 0x60), 0);
    unlock(q);
    qtest_writel(q, ESB_MMIO, 1007);            /* 1007 * 2^15 / 33 MHz = 0.99992 s */
    unlock(q);
    qtest_writel(q, ESB_MMIO + 4, 2014);
    qpci_writeb(q, dev, 0x68, 2);
    check_eq(qpci_readb(q, dev, 0x68), 2);
    qtest_clock_step(q, SECOND / 2);
    unlock(q);
    qtest_writew(q, ESB_MMIO + 0xc, 0x100);     /* feed */
    qtest_clock_step(q, 29 * SECOND / 10);
    tap_ok(!qtest_qmp_event(q, "WATCHDOG"), "i6300esb: two stages, 1 s and 2 s");
    check_eq(qtest_readw(q, ESB_MMIO + 0xc), 0);
    qtest_clock_step(q, SECOND / 5);
    tap_ok(qtest_qmp_event(q, "WATCHDOG"), "i6300esb: expires");
    tap_eq(qtest_readw(q, ESB_MMIO + 0xc), 0x1200, "i6300esb: says so");
    tap_eq(qpci_readb(q, dev, 0x68), 0, "i6300esb: off afterwards");
    unlock(q);
    qtest_writew(q, ESB_MMIO + 0xc, 0x200);
    check_eq(qtest_readw(q, ESB_MMIO + 0xc), 0);
    qpci_writeb(q, dev, 0x68, 3);
    qpci_writeb(q, dev, 0x68, 0);
    tap_eq(qpci_readb(q, dev, 0x68), 3, "i6300esb: locked");
    qtest_end(q);
}

static void test_pvpanic(void)
{
    QTest *q = qtest_start_qmp("-M pc -nodefaults -vga none -m 16 -device pvpanic -device pvpanic-pci,addr=4,events=1 "
                               "-action panic=none");

    check_eq(qtest_inb(q, 0x505), 3);
    qtest_outb(q, 0x505, 2);
    tap_ok(qtest_qmp_event(q, "GUEST_CRASHLOADED"), "pvpanic: crash loaded");
    qtest_outb(q, 0x505, 1);
    tap_ok(qtest_qmp_event(q, "GUEST_PANICKED"), "pvpanic: panicked");
    qpci_map_bar(q, QPCI(4, 0), 0, ESB_MMIO);
    check_eq(qtest_readb(q, ESB_MMIO), 1);
    qtest_writeb(q, ESB_MMIO, 2);
    tap_ok(qtest_qmp_event(q, "GUEST_CRASHLOADED"), "pvpanic-pci: crash loaded");
    qtest_writeb(q, ESB_MMIO, 1);
    tap_ok(qtest_qmp_event(q, "GUEST_PANICKED"), "pvpanic-pci: panicked");
    qtest_end(q);
}

int main(void)
{
    if (qtest_is_qemu()) {
        tap_skip("watchdogs", "stock QEMU's clock can't be stepped");
    } else {
        test_ib700();
        test_i6300esb();
    }
    test_pvpanic();
    return tap_done();
}
