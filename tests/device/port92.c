/*
 * Port 92h, isa-debugcon, isa-debug-exit, pc-testdev.
 */
#include "libqtest.h"

static void test_testdev(QTest *q)
{
    qtest_outl(q, 0xe0, 0x12345678);
    tap_eq(qtest_inl(q, 0xe0), 0x12345678, "pc-testdev: latch");
    tap_eq(qtest_inb(q, 0xe1), 0x56, "its second byte");
    tap_eq(qtest_inl(q, 0xe8), 0x12345678, "the same, by bytes");
    qtest_writel(q, 0xff000010, 0xdeadbeef);
    tap_eq(qtest_readw(q, 0xff000012), 0xdead, "pc-testdev: memory");
    qtest_irq_intercept_in(q, "ioapic");
    qtest_outb(q, 0x2005, 1);
    tap_ok(qtest_irq(q, 5), "pc-testdev: interrupt 5 up");
    qtest_outb(q, 0x2005, 0);
    tap_ok(!qtest_irq(q, 5), "and down");
}

int main(void)
{
    g_autofree char *path = g_build_filename(test_dir(), "debug.out", NULL);
    g_autofree char *text = NULL;
    QTest *q = qtest_start("-M pc -nodefaults -chardev file,id=dbg,path=%s -device isa-debugcon,chardev=dbg,iobase=0x402 "
                           "-device pc-testdev -device isa-debug-exit,iobase=0xf4,iosize=4", path);

    tap_eq(qtest_inb(q, 0x92), 0, "port 92h");
    qtest_outb(q, 0x92, 2);
    tap_eq(qtest_inb(q, 0x92), 2, "A20");
    tap_eq(qtest_inb(q, 0x402), 0xe9, "isa-debugcon tells that it is there");
    for (const char *p = "debug\n"; *p; p++)
        qtest_outb(q, 0x402, *p);
    g_file_get_contents(path, &text, NULL, NULL);
    tap_str_eq(text ? text : "", "debug\n", "what was written to it");
    test_testdev(q);
    if (qtest_is_qemu()) {
        qtest_end(q);
        return tap_done();
    }
    qtest_outl(q, 0xf4, 0x10);
    tap_eq(qtest_wait(q), 0x21, "isa-debug-exit: exit status");
    return tap_done();
}
