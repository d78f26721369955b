/*
 * The PIIX4's power management: PM1 events and control, PM timer, GPE0, the SCI, S5, hot-plug registers, SMBus.
 */
#include <string.h>
#include "libqtest.h"

#define PM QPCI(1, 3)
#define BASE 0x600
#define PM1_STS BASE
#define PM1_EN (BASE + 2)
#define PM1_CNT (BASE + 4)
#define PM_TMR (BASE + 8)
#define GPE0 0xafe0
#define SMB 0x700
#define SCI 9
#define SECOND 1000000000ll

static void decode(QTest *q)
{
    qpci_writel(q, PM, 0x40, BASE | 1);
    qpci_writeb(q, PM, 0x80, 1);
}

static void set_up(QTest *q)
{
    tap_eq(qtest_inw(q, PM1_EN), 0xffff, "not decoded after reset");
    decode(q);
    qpci_writel(q, PM, 0x90, SMB | 1);
    qpci_writeb(q, PM, 0xd2, 9);
}

static void test_registers(QTest *q)
{
    check_eq(qtest_inw(q, PM1_EN), 0);
    tap_eq(qtest_inl(q, BASE + 0xc), 0xffffffff, "nothing stands behind the timer");
    qtest_outw(q, PM1_EN, 0x0320);
    check_eq(qtest_inw(q, PM1_EN), 0x0320);
    check_eq(qtest_inl(q, PM1_STS) >> 16, 0x0320);
    qtest_outw(q, PM1_EN, 0);
    qtest_outw(q, PM1_CNT, 0x1c01);
    tap_eq(qtest_inw(q, PM1_CNT), 0x1c01, "PM1_CNT keeps SLP_TYP");
    qtest_outw(q, PM1_CNT, 0x0001);
    qtest_outb(q, 0xb3, 0x33);
    check_eq(qtest_inb(q, 0xb3), 0x33);
    qtest_outl(q, GPE0, 0xffffffff);
    tap_eq(qtest_inl(q, GPE0), 0xffff0000, "GPE0: status clears, enable keeps");
    qtest_outw(q, GPE0 + 2, 0);
}

/* One tick is 279.365 ns; the top bit of 24 changes after 2.3435 s. */
static void test_timer(QTest *q)
{
    uint32_t before;

    if (qtest_is_qemu()) {
        tap_skip("PM timer", "stock QEMU's clock can't be stepped");
        return;
    }
    qtest_clock_set(q, 10 * SECOND);
    before = qtest_inl(q, PM_TMR);
    check_eq(before, 35795450 & 0xffffff);
    qtest_clock_step(q, 280);
    check_eq(qtest_inl(q, PM_TMR), before + 1);
    qtest_clock_step(q, SECOND);
    check_eq(qtest_inl(q, PM_TMR), (35795450 + 1 + 3579545) & 0xffffff);
    qtest_outl(q, PM_TMR, 0);
    check_eq(qtest_inl(q, PM_TMR), (35795450 + 1 + 3579545) & 0xffffff);
    qtest_outw(q, PM1_STS, 0xffff);
    tap_eq(qtest_inw(q, PM1_STS), 0, "TMR_STS is cleared");
    qtest_clock_set(q, 12 * SECOND);    /* bit 23 changes at 11.7174 s */
    tap_eq(qtest_inw(q, PM1_STS), 1, "TMR_STS");
    qtest_outw(q, PM1_STS, 1);
    qtest_outw(q, PM1_EN, 1);
    tap_ok(!qtest_irq(q, SCI), "no SCI yet");
    qtest_clock_step(q, 2 * SECOND);
    tap_ok(!qtest_irq(q, SCI), "no SCI a little before");
    qtest_clock_step(q, SECOND);        /* 14.0609 s lies within */
    tap_ok(qtest_irq(q, SCI), "the timer raises the SCI");
    qtest_outw(q, PM1_STS, 1);
    tap_ok(!qtest_irq(q, SCI), "clearing the status lowers it");
    check_eq(qtest_irq_raised(q, SCI), 1);
    qtest_outw(q, PM1_EN, 0);
}

static void test_power_button(QTest *q)
{
    g_free(qtest_hmp(q, "system_powerdown"));
    g_usleep(50000);
    tap_eq(qtest_inw(q, PM1_STS) & 0x100, 0, "the power button is not enabled");
    qtest_outw(q, PM1_EN, 0x100);
    g_free(qtest_hmp(q, "system_powerdown"));
    for (unsigned i = 0; i < 100 && !(qtest_inw(q, PM1_STS) & 0x100); i++)
        g_usleep(10000);
    tap_eq(qtest_inw(q, PM1_STS) & 0x100, 0x100, "PWRBTN_STS");
    tap_ok(qtest_irq(q, SCI), "and the SCI");
    qtest_outw(q, PM1_STS, 0x100);
    tap_ok(!qtest_irq(q, SCI), "until it is cleared");
    qtest_outw(q, PM1_EN, 0);
}

static void test_pci_hotplug(QTest *q)
{
    qtest_outb(q, GPE0 + 2, 2);
    check_eq(qtest_inl(q, 0xae00), 0);
    check_eq(qtest_inl(q, 0xae0c), 0xfffffffc);
    g_free(qtest_hmp(q, "device_add i6300esb,id=w,addr=5"));
    check_eq(qtest_inb(q, GPE0), 2);
    tap_ok(qtest_irq(q, SCI), "a new device raises the SCI");
    check_eq(qtest_inl(q, 0xae00), 1 << 5);
    tap_eq(qtest_inl(q, 0xae00), 0, "reading clears the up register");
    qtest_outb(q, GPE0, 2);
    tap_ok(!qtest_irq(q, SCI), "served");
    check_eq(qpci_readl(q, QPCI(5, 0), 0), 0x25ab8086);
    g_free(qtest_hmp(q, "device_del w"));
    check_eq(qtest_inl(q, 0xae04), 1 << 5);
    check_eq(qpci_readl(q, QPCI(5, 0), 0), 0x25ab8086);
    qtest_outl(q, 0xae08, 1 << 5);
    tap_eq(qpci_readl(q, QPCI(5, 0), 0), 0xffffffff, "ejected");
    check_eq(qtest_inl(q, 0xae04), 0);
    qtest_outl(q, 0xae10, 1000);
    tap_eq(qtest_inl(q, 0xae0c), 0, "no such bus");
    qtest_outl(q, 0xae08, 0xffffffff);
    qtest_outl(q, 0xae10, 0);
    qtest_outb(q, GPE0, 2);
    qtest_outb(q, GPE0 + 2, 0);
}

static void test_cpu_hotplug(QTest *q)
{
    check_eq(qtest_inb(q, 0xaf00), 3);
    qtest_outb(q, 0xaf00, 0);
    for (unsigned i = 0; i < 6; i++) {
        qtest_outl(q, 0xaf00, i);
        tap_eq(qtest_inb(q, 0xaf04), i < 2, "CPU %u: present", i);
        qtest_outb(q, 0xaf05, 3);
        tap_eq(qtest_inl(q, 0xaf08), i, "CPU %u: its APIC id", i);
    }
    qtest_outl(q, 0xaf00, 6);
    check_eq(qtest_inb(q, 0xaf04), 0);
    qtest_outl(q, 0xaf00, 0xffffffff);
    qtest_outb(q, 0xaf05, 2);
    qtest_outl(q, 0xaf08, 0xffffffff);
    check_eq(qtest_inl(q, 0xaf08), 0);
}

static uint8_t transact(QTest *q, unsigned protocol, unsigned address, bool read, uint8_t command)
{
    uint8_t v;

    qtest_outb(q, SMB, 0xff);
    qtest_outb(q, SMB + 4, address << 1 | read);
    qtest_outb(q, SMB + 3, command);
    qtest_outb(q, SMB + 2, 0x40 | protocol << 2);
    v = qtest_inb(q, SMB);
    return v == 1 ? qtest_inb(q, SMB) : v;
}

static void test_smbus(QTest *q)
{
    for (unsigned a = 0x50; a < 0x58; a++)
        tap_eq(transact(q, 0, a, false, 0), 2, "EEPROM at 0x%x", a);
    tap_eq(transact(q, 0, 0x40, false, 0), 4, "nobody at 0x40");
    qtest_outb(q, SMB + 5, 0x5a);
    check_eq(transact(q, 2, 0x53, false, 0x10), 2);
    qtest_outb(q, SMB + 5, 0x34);
    qtest_outb(q, SMB + 6, 0x12);
    check_eq(transact(q, 3, 0x53, false, 0x11), 2);
    check_eq(transact(q, 2, 0x53, true, 0x10), 2);
    check_eq(qtest_inb(q, SMB + 5), 0x5a);
    check_eq(transact(q, 3, 0x53, true, 0x11), 2);
    check_eq(qtest_inb(q, SMB + 5), 0x34);
    check_eq(qtest_inb(q, SMB + 6), 0x12);
    check_eq(transact(q, 1, 0x53, false, 0x10), 2);
    check_eq(transact(q, 1, 0x53, true, 0), 2);
    tap_eq(qtest_inb(q, SMB + 5), 0x5a, "send byte sets the place, receive byte reads there");
    check_eq(transact(q, 2, 0x54, true, 0x10), 2);
    check_eq(qtest_inb(q, SMB + 5), 0);
    tap_eq(transact(q, 4, 0x53, false, 0), 4, "process call is not there");
    tap_eq(transact(q, 7, 0x53, false, 0), 4, "nor is protocol 7");
}

static void test_suspend(QTest *q)
{
    qtest_outw(q, PM1_CNT, 0x2400);
    tap_ok(qtest_qmp_event(q, "SUSPEND"), "SLP_TYP 1: suspended");
    g_free(qtest_hmp(q, "system_wakeup"));
    tap_ok(qtest_qmp_event(q, "WAKEUP"), "woken");
    decode(q);
    tap_eq(qtest_inw(q, PM1_STS) & 0x8500, 0x8100, "WAK_STS, and the power button as its cause");
    qtest_outw(q, PM1_STS, 0xffff);
    qtest_outw(q, PM1_EN, 1);
    qtest_outw(q, PM1_STS, 1);
    qtest_outw(q, PM1_CNT, 0x2400);
    tap_ok(qtest_qmp_event(q, "SUSPEND"), "suspended with the timer enabled");
    g_free(qtest_hmp(q, "system_wakeup"));
    tap_ok(qtest_qmp_event(q, "WAKEUP"), "woken again");
    decode(q);
}

int main(void)
{
    QTest *q = qtest_start_qmp("-M pc -nodefaults -vga none -m 16 -smp 2,maxcpus=6");

    if (!qtest_is_qemu())
        qtest_irq_intercept_in(q, "ioapic");
    set_up(q);
    test_registers(q);
    test_timer(q);
    test_smbus(q);
    if (!qtest_is_qemu()) {
        test_pci_hotplug(q);
        test_power_button(q);
        test_suspend(q);
    } else {
        tap_skip("hot-plug, power button, suspend", "stock QEMU's GSIs can't be intercepted with its CPUs stopped");
    }
    test_cpu_hotplug(q);
    qtest_outw(q, PM1_CNT, 0x2000);
    tap_eq(qtest_wait(q), 0, "SLP_TYP 0, SLP_EN: off");
    return tap_done();
}
