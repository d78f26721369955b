/*
 * PCI devices that come and go: device_add, device_del, the ACPI registers, GPE0, ejection, DEVICE_DELETED; reset.
 */
#include <string.h>
#include "libqtest.h"

#define GPE0 0xafe0
#define SLOT 5
enum { UP = 0xae00, DOWN = 0xae04, EJECT = 0xae08, REMOVABLE = 0xae0c, BUS = 0xae10 };
enum { PCI_EVENT = 2 };

static void plug(QTest *q)
{
    g_autofree char *out = qtest_hmp(q, "device_add pvpanic-pci,id=p,addr=%d", SLOT);

    tap_str_eq(out, "", "device_add");
    tap_eq(qpci_readl(q, QPCI(SLOT, 0), 0), 0x00111b36, "it is there");
    tap_eq(qtest_inb(q, GPE0) & PCI_EVENT, PCI_EVENT, "GPE0: a PCI event");
    qtest_outb(q, GPE0, PCI_EVENT);
    tap_eq(qtest_inl(q, UP), 1 << SLOT, "its slot");
    tap_eq(qtest_inl(q, UP), 0, "which reading forgets");
    tap_eq(qtest_inl(q, REMOVABLE) >> SLOT & 1, 1, "it can go");
}

static void unplug(QTest *q)
{
    g_autofree char *out = qtest_hmp(q, "device_del p"), *again = qtest_hmp(q, "device_del p");

    tap_str_eq(out, "", "device_del");
    tap_ok(strstr(again, "Device p is already in the process of unplug"), "a second one has to wait");
    tap_eq(qtest_inb(q, GPE0) & PCI_EVENT, PCI_EVENT, "GPE0: a PCI event");
    qtest_outb(q, GPE0, PCI_EVENT);
    tap_eq(qtest_inl(q, DOWN), 1 << SLOT, "its slot");
    tap_eq(qpci_readl(q, QPCI(SLOT, 0), 0), 0x00111b36, "it is there still");
}

static void test_guest(QTest *q)
{
    plug(q);
    unplug(q);
    qtest_outl(q, BUS, 0);
    qtest_outl(q, EJECT, 1 << SLOT);
    tap_ok(qtest_qmp_event(q, "DEVICE_DELETED"), "ejected: DEVICE_DELETED");
    tap_eq(qpci_readl(q, QPCI(SLOT, 0), 0), 0xffffffff, "it is gone");
    tap_eq(qtest_inl(q, DOWN), 0, "nothing is asked to go");
}

static void test_reset(QTest *q)
{
    g_autofree char *out = NULL;

    plug(q);
    unplug(q);
    out = qtest_hmp(q, "system_reset");
    tap_ok(qtest_qmp_event(q, "DEVICE_DELETED"), "reset: what was asked to go is gone");
    tap_eq(qpci_readl(q, QPCI(SLOT, 0), 0), 0xffffffff, "reset: from the bus as well");
}

static void test_refused(QTest *q)
{
    g_autofree char *out = qtest_hmp(q, "device_add pvpanic-pci,addr=1"), *none = qtest_hmp(q, "device_del nothing");

    tap_ok(strstr(out, "not available"), "a slot in use is refused");
    tap_ok(strstr(none, "Device 'nothing' not found"), "so is an unknown id");
    qtest_outl(q, EJECT, 1 << 1);
    tap_eq(qpci_readl(q, QPCI(1, 0), 0), 0x70008086, "the ISA bridge can't be ejected");
}

int main(void)
{
    QTest *q = qtest_start_qmp("-M pc -nodefaults -m 16");

    test_guest(q);
    test_reset(q);
    test_refused(q);
    qtest_end(q);
    return tap_done();
}
