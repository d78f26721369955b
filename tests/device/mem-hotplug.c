/*
 * Memory modules that come and go: pc-dimm, the ACPI registers, GPE0, the memory itself, ejection, DEVICE_DELETED.
 */
#include <string.h>
#include "libqtest.h"

#define BASE 0xa00
#define GPE0 0xafe0
#define ADDR 0x100000000ull
#define MIB (1ull << 20)
enum { FLAGS = BASE + 0x14, ENABLED = 1, INSERTING = 2, REMOVING = 4, EJECT = 8, MEM_EVENT = 8 };

static void expect(QTest *q, const char *command, const char *answer, const char *what)
{
    g_autofree char *out = qtest_hmp(q, "%s", command);

    tap_ok(*answer ? strstr(out, answer) != NULL : !*out, "%s", what);
}

static void test_plug(QTest *q)
{
    expect(q, "object_add memory-backend-ram,id=m0,size=64M", "", "object_add");
    expect(q, "device_add pc-dimm,id=d0,memdev=m0,slot=1", "", "device_add");
    tap_eq(qtest_inb(q, GPE0) & MEM_EVENT, MEM_EVENT, "GPE0: a memory event");
    qtest_outb(q, GPE0, MEM_EVENT);
    qtest_outl(q, BASE, 0);
    tap_eq(qtest_inb(q, FLAGS), 0, "slot 0 is empty");
    qtest_outl(q, BASE, 1);
    tap_eq(qtest_inb(q, FLAGS), ENABLED | INSERTING, "slot 1 has a new module");
    tap_eq(qtest_inl(q, BASE) | (uint64_t)qtest_inl(q, BASE + 4) << 32, ADDR, "its address");
    tap_eq(qtest_inl(q, BASE + 8) | (uint64_t)qtest_inl(q, BASE + 12) << 32, 64 * MIB, "its size");
    tap_eq(qtest_inl(q, BASE + 16), 0, "its node");
    qtest_outb(q, FLAGS, INSERTING);
    tap_eq(qtest_inb(q, FLAGS), ENABLED, "seen");
    qtest_writel(q, ADDR + 64 * MIB - 4, 0x12345678);
    tap_eq(qtest_readl(q, ADDR + 64 * MIB - 4), 0x12345678, "it is memory");
    expect(q, "info memory-devices", "addr: 0x100000000", "info memory-devices");
    expect(q, "info memory_size_summary", "plugged memory: 67108864", "info memory_size_summary");
    expect(q, "info numa", "node 0 plugged: 64 MB", "info numa");
    expect(q, "object_del m0", "in use", "its back-end can't go");
    qtest_outl(q, BASE, 77);
    tap_eq(qtest_inb(q, FLAGS), 0, "there is no slot 77");
}

static void test_refused(QTest *q)
{
    expect(q, "device_add pc-dimm,id=d1", "'memdev' property must be set", "no back-end");
    expect(q, "device_add pc-dimm,id=d1,memdev=m0", "already busy memdev", "a back-end in use");
    expect(q, "object_add memory-backend-ram,id=m1,size=1000K", "", "another back-end");
    expect(q, "device_add pc-dimm,id=d1,memdev=m1", "must be multiple of 0x200000", "an odd size");
    expect(q, "object_add memory-backend-ram,id=m2,size=64M", "", "a third");
    expect(q, "device_add pc-dimm,id=d1,memdev=m2,slot=1", "slot 1 is busy", "a slot in use");
    expect(q, "device_add pc-dimm,id=d1,memdev=m2,slot=2", "invalid slot number 2", "no such slot");
    expect(q, "device_add pc-dimm,id=d1,memdev=m2,addr=0x100000000", "conflicts with memory device id='d0'", "an address in use");
    expect(q, "device_add pc-dimm,id=d1,memdev=m2,addr=0x200000", "usable range", "an address elsewhere");
    expect(q, "device_add pc-dimm,id=d1,memdev=m2,node=1", "exceeds the number of numa nodes: 1", "no such node");
}

static void test_unplug(QTest *q)
{
    expect(q, "device_del d0", "", "device_del");
    tap_eq(qtest_inb(q, GPE0) & MEM_EVENT, MEM_EVENT, "GPE0: a memory event");
    qtest_outl(q, BASE, 1);
    tap_eq(qtest_inb(q, FLAGS), ENABLED | REMOVING, "slot 1 is asked to go");
    qtest_outb(q, FLAGS, REMOVING);
    qtest_outl(q, BASE + 4, 3);
    qtest_outl(q, BASE + 8, 0);
    tap_ok(qtest_qmp_event(q, "ACPI_DEVICE_OST"), "_OST: ACPI_DEVICE_OST");
    qtest_outb(q, FLAGS, EJECT);
    tap_ok(qtest_qmp_event(q, "DEVICE_DELETED"), "ejected: DEVICE_DELETED");
    tap_eq(qtest_inb(q, FLAGS), 0, "slot 1 is empty");
    tap_ok(qtest_readl(q, ADDR) == 0 || qtest_readl(q, ADDR) == 0xffffffff, "the memory is gone");
    expect(q, "info memory_size_summary", "plugged memory: 0", "nothing is plugged in");
    expect(q, "object_del m0", "", "the back-end can go");
}

int main(void)
{
    QTest *q = qtest_start_qmp("-M pc -nodefaults -m 64,slots=2,maxmem=1G");

    test_plug(q);
    test_refused(q);
    test_unplug(q);
    test_plug(q);
    qtest_end(q);
    return tap_done();
}
