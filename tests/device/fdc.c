/*
 * Floppy controller: reset, seek, reads and writes through the FIFO and by DMA. The same on stock QEMU.
 */
#include <string.h>
#include "libqtest.h"

enum { BASE = 0x3f0, DOR = BASE + 2, MSR = BASE + 4, FIFO = BASE + 5, CHANGE = BASE + 7 };
enum { RQM = 0x80, DIO = 0x40, NONDMA = 0x20, BUSY = 0x10 };
#define BUF 0x20000u

static char *make_floppy(void)
{
    char *path = g_build_filename(test_dir(), "floppy.img", NULL);
    g_autofree uint8_t *all = g_malloc(1440 * 1024);

    for (unsigned s = 0; s < 2880; s++)
        memset(all + s * 512, s * 5 + 1, 512);
    g_file_set_contents(path, (char *)all, 1440 * 1024, NULL);
    return path;
}

static void send(QTest *q, unsigned n, const uint8_t *b)
{
    for (unsigned i = 0; i < n; i++)
        qtest_outb(q, FIFO, b[i]);
}

static void receive(QTest *q, unsigned n, uint8_t *b)
{
    for (unsigned i = 0; i < n; i++)
        b[i] = qtest_inb(q, FIFO);
}

static void sense(QTest *q, uint8_t *st0, uint8_t *track)
{
    uint8_t b[2];

    send(q, 1, (uint8_t[]){ 0x08 });
    receive(q, 2, b);
    *st0 = b[0];
    *track = b[1];
}

static void test_reset(QTest *q)
{
    uint8_t st0, track;

    qtest_outb(q, DOR, 0x00);
    qtest_outb(q, DOR, 0x0c);
    tap_ok(qtest_irq(q, 6), "reset: an interrupt");
    for (unsigned i = 0; i < 4; i++) {
        sense(q, &st0, &track);
        tap_eq(st0, 0xc0 + i, "drive %u is ready now", i);
    }
    tap_ok(!qtest_irq(q, 6), "SENSE INTERRUPT takes it down");
    tap_eq(qtest_inb(q, MSR), RQM, "waiting for a command");
    send(q, 1, (uint8_t[]){ 0x10 });
    tap_eq(qtest_inb(q, FIFO), 0x90, "VERSION: 82077 or later");
    send(q, 1, (uint8_t[]){ 0x1f });
    tap_eq(qtest_inb(q, FIFO), 0x80, "an invalid command");
}

static void test_seek(QTest *q)
{
    uint8_t st0, track;

    qtest_outb(q, DOR, 0x1c);
    tap_eq(qtest_inb(q, CHANGE) & 0x80, 0x80, "the disk has been changed");
    send(q, 3, (uint8_t[]){ 0x0f, 0, 30 });
    tap_ok(qtest_irq(q, 6), "SEEK: an interrupt");
    sense(q, &st0, &track);
    tap_ok((st0 & 0x20) && track == 30, "at track 30");
    tap_eq(qtest_inb(q, CHANGE) & 0x80, 0, "a seek clears the change line");
    send(q, 2, (uint8_t[]){ 0x07, 0 });
    sense(q, &st0, &track);
    tap_eq(track, 0, "RECALIBRATE: track 0");
    send(q, 2, (uint8_t[]){ 0x04, 0 });
    tap_eq(qtest_inb(q, FIFO) & 0x10, 0x10, "SENSE DRIVE STATUS agrees");
}

static void dma_setup(QTest *q, uint8_t mode, uint32_t addr, unsigned len)
{
    qtest_outb(q, 0x0a, 0x06);
    qtest_outb(q, 0x0c, 0);
    qtest_outb(q, 0x0b, mode);
    qtest_outb(q, 0x04, addr);
    qtest_outb(q, 0x04, addr >> 8);
    qtest_outb(q, 0x81, addr >> 16);
    qtest_outb(q, 0x05, len - 1);
    qtest_outb(q, 0x05, (len - 1) >> 8);
    qtest_outb(q, 0x0a, 0x02);
}

static void wait_result(QTest *q)
{
    for (int i = 0; i < 2000 && (qtest_inb(q, MSR) & (RQM | DIO)) != (RQM | DIO); i++)
        g_usleep(500);
}

static void test_dma(QTest *q)
{
    uint8_t b[1024], st[7], want[1024];

    dma_setup(q, 0x46, BUF, 1024);
    send(q, 9, (uint8_t[]){ 0xe6, 0, 0, 0, 3, 2, 18, 0x1b, 0xff });
    wait_result(q);
    receive(q, 7, st);
    tap_eq(st[0] & 0xc0, 0, "READ DATA by DMA");
    qtest_memread(q, BUF, b, 1024);
    memset(want, 2 * 5 + 1, 512);
    memset(want + 512, 3 * 5 + 1, 512);
    tap_mem_eq(b, want, 1024, "two sectors");
    memset(b, 0x5a, 512);
    qtest_memwrite(q, BUF, b, 512);
    dma_setup(q, 0x4a, BUF, 512);
    send(q, 9, (uint8_t[]){ 0xc5, 4, 2, 1, 7, 2, 18, 0x1b, 0xff });
    wait_result(q);
    receive(q, 7, st);
    tap_eq(st[0] & 0xc0, 0, "WRITE DATA by DMA");
    qtest_memset(q, BUF, 0, 512);
    dma_setup(q, 0x46, BUF, 512);
    send(q, 9, (uint8_t[]){ 0xe6, 4, 2, 1, 7, 2, 18, 0x1b, 0xff });
    wait_result(q);
    receive(q, 7, st);
    qtest_memread(q, BUF, want, 512);
    tap_mem_eq(want, b, 512, "reads back");
    dma_setup(q, 0x46, BUF, 512);
    send(q, 9, (uint8_t[]){ 0xe6, 0, 90, 0, 1, 2, 18, 0x1b, 0xff });
    wait_result(q);
    receive(q, 7, st);
    tap_eq(st[0] & 0xc0, 0x40, "there is no track 90");
}

static void test_fifo(QTest *q)
{
    uint8_t st[7];
    bool same = true;

    send(q, 3, (uint8_t[]){ 0x03, 0xaf, 0x03 });        /* SPECIFY: without DMA */
    send(q, 9, (uint8_t[]){ 0x46, 0, 0, 0, 5, 2, 5, 0x1b, 0xff });
    tap_eq(qtest_inb(q, MSR) & (RQM | DIO | NONDMA), RQM | DIO | NONDMA, "READ DATA through the FIFO");
    for (unsigned i = 0; i < 512; i++)
        same &= qtest_inb(q, FIFO) == 4 * 5 + 1;
    tap_ok(same, "512 bytes");
    receive(q, 7, st);
    tap_eq(st[0] & 0xc0, 0, "and a good end");
    tap_eq(qtest_inb(q, MSR), RQM, "then it waits again");
}

int main(void)
{
    g_autofree char *floppy = make_floppy();
    QTest *q = qtest_start("-M pc -nodefaults -drive file=%s,format=raw,if=floppy,index=0", floppy);

    if (!qtest_is_qemu())
        qtest_irq_intercept_in(q, "ioapic");
    if (qtest_is_qemu()) {
        qtest_end(q);
        tap_skip("all", "stock QEMU's interrupts can't be intercepted with its CPUs stopped");
        return tap_done();
    }
    test_reset(q);
    test_seek(q);
    test_dma(q);
    test_fifo(q);
    qtest_end(q);
    return tap_done();
}
