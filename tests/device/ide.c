/*
 * IDE: the task file, PIO and bus-master DMA of a hard disk, packets of a CD drive. The same on stock QEMU.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include "libqtest.h"

enum { BASE = 0x1f0, DATA = BASE, ERROR = BASE + 1, COUNT = BASE + 2, SECTOR = BASE + 3, LCYL = BASE + 4, HCYL = BASE + 5,
       SELECT = BASE + 6, STATUS = BASE + 7, CONTROL = 0x3f6, CD = 0x170 - BASE, BM = 0xc000 };
enum { BSY = 0x80, DRDY = 0x40, DSC = 0x10, DRQ = 0x08, ERR = 0x01 };
#define DISK_SECTORS 8192u
#define PRD 0x10000u
#define BUF 0x20000u

static uint8_t pattern(unsigned sector, unsigned i)
{
    return sector * 7 + i * 13 + (i >> 8);
}

static char *make_file(const char *name, unsigned sectors)
{
    char *path = g_build_filename(test_dir(), name, NULL);
    g_autofree uint8_t *all = g_malloc(sectors * 512);

    for (unsigned s = 0; s < sectors; s++)
        for (unsigned i = 0; i < 512; i++)
            all[s * 512 + i] = pattern(s, i);
    g_file_set_contents(path, (char *)all, sectors * 512, NULL);
    return path;
}

static uint8_t wait_idle(QTest *q, unsigned chan)
{
    uint8_t st = 0;

    for (int i = 0; i < 2000; i++) {
        st = qtest_inb(q, STATUS + chan);
        if (!(st & BSY))
            return st;
        g_usleep(500);
    }
    return st;
}

static void command(QTest *q, uint8_t cmd, uint32_t lba, uint8_t n)
{
    qtest_outb(q, SELECT, 0xe0 | lba >> 24);
    for (unsigned reg = COUNT; reg <= HCYL; reg++)     /* what LBA48 commands take for the high halves */
        qtest_outb(q, reg, 0);
    qtest_outb(q, COUNT, n);
    qtest_outb(q, SECTOR, lba);
    qtest_outb(q, LCYL, lba >> 8);
    qtest_outb(q, HCYL, lba >> 16);
    qtest_outb(q, STATUS, cmd);
}

static void read_words(QTest *q, unsigned chan, uint16_t *to, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        to[i] = qtest_inw(q, DATA + chan);
}

static void test_identify(QTest *q)
{
    uint16_t w[256];
    char model[41] = "";

    command(q, 0xec, 0, 0);
    tap_eq(wait_idle(q, 0), DRDY | DSC | DRQ, "IDENTIFY DEVICE has data");
    read_words(q, 0, w, 256);
    tap_eq(qtest_inb(q, STATUS), DRDY | DSC, "and no more after 256 words");
    tap_eq(w[0], 0x0040, "a fixed device");
    tap_eq(w[1], 8, "cylinders");
    tap_eq(w[3], 16, "heads");
    tap_eq(w[6], 63, "sectors a track");
    tap_eq(w[60] | w[61] << 16, DISK_SECTORS, "sectors by LBA");
    tap_eq(w[100], DISK_SECTORS, "and by LBA48");
    for (unsigned i = 0; i < 20; i++) {
        model[2 * i] = w[27 + i] >> 8;
        model[2 * i + 1] = w[27 + i];
    }
    tap_str_eq(g_strchomp(model), "QEMU HARDDISK", "its model");
    tap_ok((w[88] & 0x3f) == 0x3f, "ultra DMA 0 to 5");
    tap_ok(w[83] & 1 << 10, "LBA48");
}

static bool sector_is(const uint8_t *b, unsigned s)
{
    for (unsigned i = 0; i < 512; i++)
        if (b[i] != pattern(s, i))
            return false;
    return true;
}

static void test_pio(QTest *q)
{
    uint16_t w[256];

    command(q, 0x20, 5, 2);
    tap_eq(wait_idle(q, 0), DRDY | DSC | DRQ, "READ SECTORS: the first");
    read_words(q, 0, w, 256);
    tap_ok(sector_is((uint8_t *)w, 5), "its data");
    wait_idle(q, 0);
    read_words(q, 0, w, 256);
    tap_ok(sector_is((uint8_t *)w, 6), "and the second's");
    tap_eq(qtest_inb(q, STATUS), DRDY | DSC, "the end");
    command(q, 0x30, 100, 1);
    tap_eq(qtest_inb(q, STATUS), DRDY | DSC | DRQ, "WRITE SECTORS wants data");
    for (unsigned i = 0; i < 256; i++)
        qtest_outw(q, DATA, i * 257);
    tap_eq(wait_idle(q, 0), DRDY | DSC, "takes them");
    command(q, 0x24, 100, 1);
    wait_idle(q, 0);
    read_words(q, 0, w, 256);
    tap_ok(w[1] == 257 && w[255] == (uint16_t)(255 * 257), "READ SECTORS EXT reads them back");
    command(q, 0x20, DISK_SECTORS, 1);
    tap_ok(wait_idle(q, 0) & ERR, "reading past the end fails");
    tap_eq(qtest_inb(q, ERROR), 0x04, "aborted");
    command(q, 0xff, 0, 0);
    tap_eq(wait_idle(q, 0), DRDY | ERR, "an unknown command is aborted");
    command(q, 0xc6, 0, 16);
    tap_eq(wait_idle(q, 0) & ERR, 0, "SET MULTIPLE 16");
    command(q, 0xc4, 8, 16);
    wait_idle(q, 0);
    for (unsigned s = 0; s < 16; s++)
        read_words(q, 0, w, 256);
    tap_ok(sector_is((uint8_t *)w, 23), "READ MULTIPLE: 16 sectors in one go");
    command(q, 0xe7, 0, 0);
    tap_eq(wait_idle(q, 0), DRDY | DSC, "FLUSH CACHE");
}

static void test_reset(QTest *q)
{
    qtest_outb(q, CONTROL, 0x04);
    qtest_outb(q, CONTROL, 0x00);
    tap_eq(wait_idle(q, 0), DRDY | DSC, "software reset: ready");
    tap_eq(qtest_inb(q, COUNT) | qtest_inb(q, SECTOR) << 8 | qtest_inb(q, LCYL) << 16 | (uint32_t)qtest_inb(q, HCYL) << 24,
           0x00000101, "the signature of a disk");
    qtest_outb(q, SELECT + CD, 0xa0);
    qtest_outb(q, CONTROL + CD, 0x04);
    qtest_outb(q, CONTROL + CD, 0x00);
    tap_eq(qtest_inb(q, LCYL + CD) | qtest_inb(q, HCYL + CD) << 8, 0xeb14, "and of a packet device");
    qtest_outb(q, SELECT, 0xf0);
    tap_eq(qtest_inb(q, STATUS), 0, "there is no second disk");
    qtest_outb(q, SELECT, 0xe0);
    qtest_outb(q, SECTOR, 0x12);
    qtest_outb(q, SECTOR, 0x34);
    tap_eq(qtest_inb(q, SECTOR), 0x34, "the register");
    qtest_outb(q, CONTROL, 0x80);
    tap_eq(qtest_inb(q, SECTOR), 0x12, "its former value, with HOB");
    qtest_outb(q, CONTROL, 0);
}

static void prd(QTest *q, unsigned i, uint32_t addr, uint32_t len)
{
    qtest_writel(q, PRD + 8 * i, addr);
    qtest_writel(q, PRD + 8 * i + 4, len);
}

static uint8_t run_dma(QTest *q, unsigned n, bool to_memory)
{
    qtest_outb(q, BM + n * 8, to_memory ? 8 : 0);
    qtest_outb(q, BM + n * 8 + 2, 0x06);
    qtest_outl(q, BM + n * 8 + 4, PRD);
    qtest_outb(q, BM + n * 8, 1 | (to_memory ? 8 : 0));
    for (int i = 0; i < 2000; i++) {
        uint8_t st = qtest_inb(q, BM + n * 8 + 2);

        if ((st & 0x05) != 0x01)
            break;
        g_usleep(500);
    }
    return qtest_inb(q, BM + n * 8 + 2);
}

static void test_dma(QTest *q)
{
    uint8_t b[2048];

    prd(q, 0, BUF, 256);
    prd(q, 1, BUF + 0x1000, 768 | 0x80000000u);
    command(q, 0xc8, 40, 2);
    tap_eq(run_dma(q, 0, true) & 7, 4, "READ DMA: done, with an interrupt");
    qtest_outb(q, BM, 0);
    tap_eq(wait_idle(q, 0), DRDY | DSC, "status");
    qtest_memread(q, BUF, b, 256);
    qtest_memread(q, BUF + 0x1000, b + 256, 768);
    tap_ok(sector_is(b, 40) && sector_is(b + 512, 41), "the data, scattered");
    for (unsigned i = 0; i < 1024; i++)
        b[i] = i * 3;
    qtest_memwrite(q, BUF, b, 1024);
    prd(q, 0, BUF, 1024 | 0x80000000u);
    command(q, 0xca, 200, 2);
    tap_eq(run_dma(q, 0, false) & 7, 4, "WRITE DMA");
    qtest_outb(q, BM, 0);
    qtest_memset(q, BUF, 0, 1024);
    command(q, 0x25, 200, 2);
    run_dma(q, 0, true);
    qtest_outb(q, BM, 0);
    qtest_memread(q, BUF, b + 1024, 1024);
    tap_mem_eq(b + 1024, b, 1024, "READ DMA EXT reads it back");
    prd(q, 0, BUF, 512 | 0x80000000u);
    command(q, 0xc8, 0, 2);
    tap_eq(run_dma(q, 0, true) & 7, 0, "a table that is too short: not active, no interrupt");
    qtest_outb(q, BM, 0);
    prd(q, 0, BUF, 2048 | 0x80000000u);
    command(q, 0xc8, 0, 2);
    tap_eq(run_dma(q, 0, true) & 7, 5, "one that is too long: interrupt, still active");
    qtest_outb(q, BM, 0);
    prd(q, 0, 0xfffffff0u, 1024 | 0x80000000u);
    command(q, 0xc8, 0, 2);
    run_dma(q, 0, true);
    qtest_outb(q, BM, 0);
    tap_ok(!(wait_idle(q, 0) & BSY), "DMA to where there is no memory does no harm");
}

static uint8_t packet(QTest *q, const uint8_t *cdb, unsigned limit, bool dma)
{
    qtest_outb(q, SELECT + CD, 0xa0);
    qtest_outb(q, ERROR + CD, dma);
    qtest_outb(q, LCYL + CD, limit);
    qtest_outb(q, HCYL + CD, limit >> 8);
    qtest_outb(q, STATUS + CD, 0xa0);
    wait_idle(q, CD);
    for (unsigned i = 0; i < 6; i++)
        qtest_outw(q, DATA + CD, cdb[2 * i] | cdb[2 * i + 1] << 8);
    return dma ? 0 : wait_idle(q, CD);
}

/* The medium is new: two commands learn of that. */
static void settle_cd(QTest *q)
{
    const uint8_t ready[12] = { 0 };

    for (int i = 0; i < 3; i++)
        packet(q, ready, 0xfffe, false);
}

static void test_cd(QTest *q)
{
    const uint8_t ready[12] = { 0 }, inquiry[12] = { 0x12, 0, 0, 0, 36 }, capacity[12] = { 0x25 },
                  read10[12] = { 0x28, 0, 0, 0, 0, 3, 0, 0, 2 }, unknown[12] = { 0xff }, toc[12] = { 0x43, 0, 0, 0, 0, 0, 0, 0, 20 },
                  past[12] = { 0x28, 0, 0, 0, 0xff, 0, 0, 0, 1 }, sense[12] = { 0x03, 0, 0, 0, 18 };
    uint16_t w[2048];
    uint8_t *b = (uint8_t *)w;

    settle_cd(q);
    tap_eq(packet(q, ready, 0xfffe, false), DRDY | DSC, "CD: TEST UNIT READY");
    tap_eq(packet(q, inquiry, 0xfffe, false), DRDY | DSC | DRQ, "INQUIRY");
    tap_eq(qtest_inb(q, LCYL + CD) | qtest_inb(q, HCYL + CD) << 8, 36, "as long as asked for");
    read_words(q, CD, w, 18);
    tap_ok(b[0] == 5 && b[1] == 0x80 && !memcmp(b + 8, "QEMU    QEMU DVD-ROM", 20), "a removable CD drive");
    packet(q, capacity, 0xfffe, false);
    read_words(q, CD, w, 4);
    tap_eq(b[2] << 8 | b[3], DISK_SECTORS / 4 - 1, "READ CAPACITY: the last block");
    tap_eq(b[6] << 8 | b[7], 2048, "of 2 KiB");
    packet(q, read10, 0xfffe, false);
    for (unsigned i = 0; i < 2; i++) {
        for (unsigned k = 0; k < 1024; k++)
            w[k] = (k == 0 ? wait_idle(q, CD) : 0, qtest_inw(q, DATA + CD));
        tap_ok(sector_is(b, 12 + 4 * i) && sector_is(b + 1536, 15 + 4 * i), "READ(10): block %u", i);
    }
    tap_eq(wait_idle(q, CD), DRDY | DSC, "the end");
    packet(q, toc, 0xfffe, false);
    read_words(q, CD, w, 10);
    tap_ok(b[1] == 18 && b[2] == 1 && b[3] == 1 && b[6] == 1 && b[14] == 0xaa, "READ TOC: one track and the lead-out");
    tap_eq(packet(q, past, 0xfffe, false), DRDY | ERR, "reading past the end");
    tap_eq(qtest_inb(q, ERROR + CD) >> 4, 5, "is an illegal request");
    packet(q, sense, 0xfffe, false);
    read_words(q, CD, w, 9);
    tap_ok((b[2] & 15) == 5 && b[12] == 0x21, "REQUEST SENSE: address out of range");
    tap_eq(packet(q, unknown, 0xfffe, false), DRDY | ERR, "an unknown packet");
    prd(q, 0, BUF, 4096 | 0x80000000u);
    packet(q, read10, 0, true);
    tap_eq(run_dma(q, 1, true) & 7, 4, "READ(10) by DMA");
    qtest_outb(q, BM + 8, 0);
    qtest_memread(q, BUF, w, 4096);
    tap_ok(sector_is(b, 12) && sector_is(b + 4096 - 512, 19), "its data");
}

int main(void)
{
    g_autofree char *disk = make_file("disk.img", DISK_SECTORS), *cd = make_file("cd.iso", DISK_SECTORS);
    QTest *q = qtest_start("-M pc -nodefaults -drive file=%s,format=raw,if=ide,index=0 -drive file=%s,format=raw,if=ide,index=2,"
                           "media=cdrom", disk, cd);

    tap_eq(qpci_readl(q, QPCI(1, 1), 0), 0x70108086, "82371SB IDE");
    qpci_map_bar(q, QPCI(1, 1), 4, BM);
    test_identify(q);
    test_pio(q);
    test_reset(q);
    test_dma(q);
    test_cd(q);
    qtest_end(q);
    return tap_done();
}
