/*
 * System management mode, as far as registers show it: port 0xb2's commands, SCI_EN, DEVACTB, SMRAM's bits, with
 * and without.
 */
#include "libqtest.h"

#define HOST QPCI(0, 0)
#define PM QPCI(1, 3)
#define PM1_CNT 0x604
enum { SCI_EN = 1, ACPI_DISABLE = 0xf0, ACPI_ENABLE = 0xf1 };

static void decode(QTest *q)
{
    qpci_writel(q, PM, 0x40, 0x601);
    qpci_writeb(q, PM, 0x80, 1);
}

static void test_with(void)
{
    QTest *q = qtest_start("-M pc,smm=on -nodefaults -m 16 -device VGA");

    tap_eq(qpci_readl(q, PM, 0x58), 0, "on: the BIOS is to set up system management mode");
    decode(q);
    tap_eq(qtest_inw(q, PM1_CNT), 0, "on: no ACPI mode at first");
    qtest_outb(q, 0xb2, ACPI_ENABLE);
    tap_eq(qtest_inw(q, PM1_CNT), SCI_EN, "on: port 0xb2 enters ACPI mode");
    qtest_outb(q, 0xb2, ACPI_DISABLE);
    tap_eq(qtest_inw(q, PM1_CNT), 0, "on: and leaves it");
    qpci_writel(q, PM, 0x58, 0x02000000);
    qtest_outb(q, 0xb2, 0x12);      /* an SMI, which no CPU takes here */
    qtest_outb(q, 0xb3, 0x34);
    tap_eq(qtest_inw(q, 0xb2), 0x3412, "on: APM control and status keep what was written");
    qpci_writeb(q, HOST, 0x72, 0x4a);
    qtest_writel(q, 0xa0000, 0x12345678);
    tap_eq(qtest_readl(q, 0xa0000), 0x12345678, "on: SMRAM open");
    qpci_writeb(q, HOST, 0x72, 0x0a);
    tap_ok(qtest_readl(q, 0xa0000) != 0x12345678, "on: SMRAM hidden outside of system management mode");
    qpci_writeb(q, HOST, 0x72, 0x5a);
    tap_eq(qtest_readl(q, 0xa0000), 0x12345678, "on: it is still there (D_LCK locks nothing)");
    qtest_end(q);
}

static void test_without(void)
{
    QTest *q = qtest_start("-M pc,smm=off -nodefaults -m 16");

    tap_eq(qpci_readl(q, PM, 0x58), 0x02000000, "off: to the BIOS it is set up already");
    decode(q);
    tap_eq(qtest_inw(q, PM1_CNT), SCI_EN, "off: ACPI mode at once");
    qtest_outb(q, 0xb2, ACPI_DISABLE);
    tap_eq(qtest_inw(q, PM1_CNT), SCI_EN, "off: port 0xb2 changes nothing");
    qtest_outw(q, PM1_CNT, 0);
    tap_eq(qtest_inw(q, PM1_CNT), 0, "off: PM1_CNT can be written");
    qtest_end(q);
}

int main(void)
{
    test_with();
    test_without();
    return tap_done();
}
