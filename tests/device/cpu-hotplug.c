/*
 * CPUs that come and go: device_add, the ACPI registers, GPE0, CMOS, _OST, ejection, DEVICE_DELETED.
 */
#include <string.h>
#include "libqtest.h"

#define BASE 0xaf00
#define GPE0 0xafe0
enum { SELECT = BASE, FLAGS = BASE + 4, COMMAND = BASE + 5, DATA = BASE + 8 };
enum { ENABLED = 1, INSERTING = 2, REMOVING = 4, EJECT = 8, CPU_EVENT = 4 };

static unsigned cmos_cpus(QTest *q)
{
    qtest_outb(q, 0x70, 0x5f);
    return qtest_inb(q, 0x71) + 1;
}

static uint32_t next_event(QTest *q)
{
    qtest_outb(q, COMMAND, 0);
    return qtest_inl(q, DATA);
}

static void test_plug(QTest *q)
{
    g_autofree char *out = NULL;

    out = qtest_hmp(q, "device_add qemu64-x86_64-cpu,id=c2,socket-id=2,core-id=0,thread-id=0");
    tap_ok(!strstr(out, "Error"), "device_add");
    tap_eq(cmos_cpus(q), 2, "two in CMOS");
    tap_eq(qtest_inb(q, GPE0) & CPU_EVENT, CPU_EVENT, "GPE0: a CPU event");
    qtest_outb(q, GPE0, CPU_EVENT);
    tap_eq(next_event(q), 2, "the event is CPU 2's");
    tap_eq(qtest_inb(q, FLAGS), ENABLED | INSERTING, "it is there, and new");
    qtest_outb(q, FLAGS, INSERTING);
    tap_eq(qtest_inb(q, FLAGS), ENABLED, "seen");
}

static void test_unplug(QTest *q)
{
    g_autofree char *out = qtest_hmp(q, "device_del c2"), *cpus = NULL;

    tap_eq(qtest_inb(q, GPE0) & CPU_EVENT, CPU_EVENT, "GPE0: a CPU event");
    qtest_outb(q, GPE0, CPU_EVENT);
    qtest_outl(q, SELECT, 0);
    tap_eq(next_event(q), 2, "CPU 2 is asked to go");
    tap_eq(qtest_inb(q, FLAGS), ENABLED | REMOVING, "and is still there");
    qtest_outb(q, COMMAND, 1);
    qtest_outl(q, DATA, 3);
    qtest_outb(q, COMMAND, 2);
    qtest_outl(q, DATA, 0x84);
    tap_ok(qtest_qmp_event(q, "ACPI_DEVICE_OST"), "_OST: ACPI_DEVICE_OST");
    qtest_outb(q, FLAGS, EJECT);
    tap_ok(qtest_qmp_event(q, "DEVICE_DELETED"), "ejected: DEVICE_DELETED");
    tap_eq(qtest_inb(q, FLAGS), 0, "it is gone");
    tap_eq(cmos_cpus(q), 1, "one in CMOS");
    cpus = qtest_hmp(q, "info cpus");
    tap_ok(!strstr(cpus, "CPU #1") && !strstr(cpus, "CPU #2"), "info cpus shows one");
    g_free(out);
    out = qtest_hmp(q, "device_del /machine/unattached/device[0]");
    tap_ok(strstr(out, "Boot CPU is unpluggable"), "the boot CPU stays");
}

int main(void)
{
    QTest *q = qtest_start_qmp("-M pc -nodefaults -m 16 -smp 1,maxcpus=4,sockets=4");

    tap_eq(cmos_cpus(q), 1, "one CPU at first");
    tap_eq(qtest_inb(q, BASE), 1, "legacy: its APIC id");
    qtest_outb(q, BASE, 0);
    tap_eq(qtest_inb(q, FLAGS), ENABLED, "modern: CPU 0 is there");
    test_plug(q);
    if (qtest_is_qemu()) {
        tap_skip("device_del", "stock QEMU's stopped TCG CPUs do not go");
    } else {
        test_unplug(q);
        qtest_outl(q, SELECT, 0);
        test_plug(q);
    }
    qtest_end(q);
    return tap_done();
}
