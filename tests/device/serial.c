/*
 * 16550A: reset values, divisor latch, FIFOs, interrupts, loopback, modem control, output.
 */
#include <string.h>
#include "libqtest.h"

enum { BASE = 0x3f8, RBR = 0, IER = 1, IIR = 2, LCR = 3, MCR = 4, LSR = 5, MSR = 6, SCR = 7 };

static uint8_t rd(QTest *q, unsigned reg) { return qtest_inb(q, BASE + reg); }
static void wr(QTest *q, unsigned reg, uint8_t v) { qtest_outb(q, BASE + reg, v); }

static void test_reset(QTest *q)
{
    tap_eq(rd(q, IER), 0x00, "IER");
    tap_eq(rd(q, IIR), 0x01, "IIR: no interrupt");
    tap_eq(rd(q, LCR), 0x00, "LCR");
    tap_eq(rd(q, MCR), 0x08, "MCR: OUT2");
    tap_eq(rd(q, LSR), 0x60, "LSR: transmitter empty");
    tap_eq(rd(q, MSR), 0xb0, "MSR: CTS, DSR, DCD");
    wr(q, SCR, 0x5a);
    tap_eq(rd(q, SCR), 0x5a, "scratch register");
    wr(q, LCR, 0x80);
    tap_eq(rd(q, RBR) | rd(q, IER) << 8, 12, "divisor: 9600 baud");
    wr(q, RBR, 0x34);
    wr(q, IER, 0x12);
    tap_eq(rd(q, RBR) | rd(q, IER) << 8, 0x1234, "divisor latch");
    wr(q, RBR, 1);
    wr(q, IER, 0);
    wr(q, LCR, 0x03);
    tap_eq(rd(q, IER), 0x00, "IER is behind the latch");
    wr(q, IER, 0xff);
    tap_eq(rd(q, IER), 0x0f, "IER has four bits");
    wr(q, IER, 0);
    wr(q, MCR, 0xff);
    tap_eq(rd(q, MCR), 0x1f, "MCR has five");
    wr(q, MCR, 0x08);
}

static void test_loopback(QTest *q)
{
    wr(q, MCR, 0x10);
    tap_eq(rd(q, MSR) & 0xf0, 0x00, "loopback: modem inputs follow the outputs");
    wr(q, MCR, 0x1f);
    tap_eq(rd(q, MSR) & 0xf0, 0xf0, "DTR, RTS, OUT1, OUT2 are DSR, CTS, RI, DCD");
    wr(q, RBR, 0x41);
    tap_eq(rd(q, LSR) & 0x61, 0x61, "a byte comes back");
    tap_eq(rd(q, RBR), 0x41, "it is the one");
    tap_eq(rd(q, LSR) & 0x01, 0x00, "and gone");
    wr(q, RBR, 0x42);
    wr(q, RBR, 0x43);
    tap_eq(rd(q, LSR) & 0x03, 0x03, "overrun without FIFO");
    tap_eq(rd(q, LSR) & 0x02, 0x00, "reading LSR clears it");
    tap_eq(rd(q, RBR), 0x43, "the last byte stays");
    wr(q, IIR, 0x07);
    tap_eq(rd(q, IIR) & 0xc0, 0xc0, "FIFOs on");
    for (unsigned i = 0; i < 17; i++)
        wr(q, RBR, 0x50 + i);
    tap_eq(rd(q, LSR) & 0x03, 0x03, "the 17th byte is an overrun");
    tap_eq(rd(q, RBR), 0x50, "the FIFO keeps the first");
    for (unsigned i = 1; i < 15; i++)
        rd(q, RBR);
    tap_eq(rd(q, RBR), 0x5f, "to the sixteenth");
    tap_eq(rd(q, LSR) & 0x01, 0x00, "then it is empty");
    wr(q, RBR, 1);
    wr(q, IIR, 0x03);
    tap_eq(rd(q, LSR) & 0x01, 0x00, "FCR empties the receiver's FIFO");
    wr(q, IIR, 0x00);
    tap_eq(rd(q, IIR) & 0xc0, 0x00, "FIFOs off");
    wr(q, MCR, 0x08);
}

static void test_interrupts(QTest *q)
{
    qtest_irq_intercept_in(q, "ioapic");
    wr(q, IER, 0x02);
    tap_ok(qtest_irq(q, 4), "THR empty: at once");
    tap_eq(rd(q, IIR) & 0x0f, 0x02, "IIR says so");
    tap_ok(!qtest_irq(q, 4), "reading IIR clears it");
    tap_eq(rd(q, IIR) & 0x0f, 0x01, "no interrupt");
    wr(q, IER, 0x00);
    wr(q, IER, 0x02);
    tap_eq(rd(q, IIR) & 0x0f, 0x02, "enabling it again raises it again");
    wr(q, MCR, 0x18);
    wr(q, IER, 0x07);
    wr(q, RBR, 0x61);
    tap_eq(rd(q, IIR) & 0x0f, 0x04, "received data comes before THR empty");
    wr(q, RBR, 0x62);
    tap_eq(rd(q, IIR) & 0x0f, 0x06, "line status before both");
    rd(q, LSR);
    tap_eq(rd(q, IIR) & 0x0f, 0x04, "cleared by reading LSR");
    rd(q, RBR);
    tap_eq(rd(q, IIR) & 0x0f, 0x02, "and data by reading it");
    wr(q, IER, 0x01);
    wr(q, IIR, 0x47);           /* four bytes */
    for (unsigned i = 0; i < 3; i++)
        wr(q, RBR, i);
    tap_eq(rd(q, IIR) & 0x0f, 0x01, "three bytes are below the trigger level");
    wr(q, RBR, 3);
    tap_eq(rd(q, IIR) & 0x0f, 0x04, "four are not");
    for (unsigned i = 0; i < 4; i++)
        rd(q, RBR);
    wr(q, RBR, 9);
    if (!qtest_is_qemu()) {
        qtest_clock_step(q, 4 * 10 * 1000000000ll / 115200 + 1000);
        tap_eq(rd(q, IIR) & 0x0f, 0x0c, "a byte that waits four characters' time: timeout");
    }
    tap_eq(rd(q, RBR), 9, "the byte");
    tap_eq(rd(q, IIR) & 0x0f, 0x01, "no interrupt");
    wr(q, IER, 0);
    wr(q, IIR, 0);
    wr(q, MCR, 0x08);
}

static void test_output(QTest *q, const char *path)
{
    g_autofree char *text = NULL;
    gsize len = 0;

    for (const char *p = "Hello"; *p; p++)
        wr(q, RBR, *p);
    wr(q, IIR, 0x01);
    for (const char *p = ", world"; *p; p++)
        wr(q, RBR, *p);
    tap_eq(rd(q, LSR), 0x60, "all has gone out");
    g_file_get_contents(path, &text, &len, NULL);
    tap_str_eq(text ? text : "", "Hello, world", "to the chardev");
}

static void test_ports(QTest *q)
{
    static const uint16_t base[] = { 0x2f8, 0x3e8, 0x2e8 };

    for (unsigned i = 0; i < 3; i++)
        tap_eq(qtest_inb(q, base[i] + LSR), 0x60, "a port at 0x%x", base[i]);
}

int main(void)
{
    g_autofree char *path = g_build_filename(test_dir(), "serial.out", NULL);
    QTest *q = qtest_start("-M pc -nodefaults -serial file:%s -serial null -serial null -serial null", path);

    test_reset(q);
    test_loopback(q);
    test_interrupts(q);
    test_output(q, path);
    test_ports(q);
    qtest_end(q);
    return tap_done();
}
