/*
 * The qtest protocol itself: replies, forms of numbers, errors, blocks, clock, lines.
 */
#include <string.h>
#include "libqtest.h"

static void test_blocks(QTest *q)
{
    uint8_t out[300], in[300];

    for (unsigned i = 0; i < sizeof(out); i++) {
        out[i] = i * 7 + 3;
    }
    qtest_memwrite(q, 0x10001, out, sizeof(out));
    qtest_memread(q, 0x10001, in, sizeof(in));
    tap_mem_eq(in, out, sizeof(in), "write and read of a block");
    qtest_b64write(q, 0x20003, out, sizeof(out));
    memset(in, 0, sizeof(in));
    qtest_b64read(q, 0x20003, in, sizeof(in));
    tap_mem_eq(in, out, sizeof(in), "b64write and b64read of a block");
    qtest_memset(q, 0x30000, 0x5a, 299);
    qtest_memread(q, 0x30000, in, sizeof(in));
    memset(out, 0x5a, 299);
    out[299] = 0;
    tap_mem_eq(in, out, sizeof(in), "memset of a block");
}

static void test_sizes(QTest *q)
{
    qtest_writeq(q, 0x1000, 0x1122334455667788);
    check_eq(qtest_readb(q, 0x1000), 0x88);
    check_eq(qtest_readw(q, 0x1001), 0x6677);
    check_eq(qtest_readl(q, 0x1004), 0x11223344);
    qtest_writeb(q, 0x1007, 0xaa);
    qtest_writew(q, 0x1000, 0xbbcc);
    check_eq(qtest_readq(q, 0x1000), 0xaa2233445566bbcc);
    qtest_writel(q, 0x1002, 0xdeadbeef);
    check_eq(qtest_readq(q, 0x1000), 0xaa22deadbeefbbcc);
}

static void expect(QTest *q, const char *command, const char *reply)
{
    g_autofree char *got = qtest_raw(q, "%s", command);

    tap_str_eq(got, reply, "%.40s", command);
}

static void test_replies(QTest *q)
{
    expect(q, "endianness", "OK little");
    expect(q, "outb 0x80 0x12", "OK");
    expect(q, "memset 0x2000 0x4 0xab", "OK");
    expect(q, "read 0x2000 0x4", "OK 0xabababab");
    expect(q, "b64read 0x2000 0x4", "OK q6urqw==");
    expect(q, "readb 0x2000", "OK 0x00000000000000ab");
    expect(q, "readl 8192", "OK 0x00000000abababab");
    expect(q, "inb 0x5678", "OK 0x00ff");
    expect(q, "inw 0x5678", "OK 0xffff");
    expect(q, "inl 0x5678", "OK 0xffffffff");
    expect(q, "nonsense", "FAIL Unknown command 'nonsense'");
}

static void test_clock(QTest *q)
{
    int64_t t = qtest_clock_step(q, 0);

    if (qtest_is_qemu()) {
        tap_skip("guest time", "stock QEMU's clock can't be stepped");
        return;
    }
    tap_eq(t, 0, "guest time begins at 0");
    tap_eq(qtest_clock_step(q, 12345), t + 12345, "clock_step goes on by what it is given");
    tap_eq(qtest_clock_set(q, 5000000), 5000000, "clock_set goes to what it is given");
    tap_ok(qtest_clock_step_next(q) >= 5000000, "clock_step goes on to the next timer");
}

int main(void)
{
    QTest *q = qtest_start("-M pc -m 16 -nodefaults");

    test_replies(q);
    test_sizes(q);
    test_blocks(q);
    test_clock(q);
    qtest_irq_intercept_in(q, "ioapic");
    tap_ok(!qtest_irq(q, 4), "an intercepted line begins low");
    qtest_end(q);
    return tap_done();
}
