/*
 * The PC's chipset: configuration mechanism #1, ids and reset values of 00.0, 01.0 and 01.3, PAM and SMRAM, BARs, PIRQ
 * routing registers, the reset control register.
 */
#include <string.h>
#include "libqtest.h"

#define HOST QPCI(0, 0)
#define ISA QPCI(1, 0)
#define PM QPCI(1, 3)
#define VGA QPCI(2, 0)

static void test_config_ports(QTest *q)
{
    qtest_outl(q, 0xcf8, 0x80000800);
    check_eq(qtest_inl(q, 0xcf8), 0x80000800);
    check_eq(qtest_inl(q, 0xcfc), 0x70008086);
    check_eq(qtest_inw(q, 0xcfe), 0x7000);
    check_eq(qtest_inb(q, 0xcfd), 0x80);
    qtest_outw(q, 0xcf8, 0x1234);
    qtest_outb(q, 0xcf8, 0x12);
    tap_eq(qtest_inl(q, 0xcf8), 0x80000800, "bytes and words do not reach CONFIG_ADDRESS");
    qtest_outl(q, 0xcf8, 0x00000800);
    tap_eq(qtest_inl(q, 0xcfc), 0xffffffff, "no configuration cycle without the enable bit");
    qtest_outl(q, 0xcf8, 0x8000f800);
    tap_eq(qtest_inl(q, 0xcfc), 0xffffffff, "an empty slot");
    qtest_outl(q, 0xcf8, 0x80010800);
    tap_eq(qtest_inl(q, 0xcfc), 0xffffffff, "an absent bus");
    qtest_outl(q, 0xcfc, 0x12345678);
}

/* Bytes of configuration space after reset; the others are zero. */
typedef struct Bytes { uint8_t off, n, v[16]; } Bytes;

static void check_config(QTest *q, unsigned devfn, const char *what, const Bytes *rows)
{
    uint8_t want[256] = {0}, got[256];

    for (; rows->n; rows++)
        memcpy(want + rows->off, rows->v, rows->n);
    for (unsigned i = 0; i < 256; i += 4) {
        uint32_t v = qpci_readl(q, devfn, i);

        for (unsigned b = 0; b < 4; b++)
            got[i + b] = v >> (8 * b);
    }
    tap_mem_eq(got, want, 256, "%s: configuration space after reset", what);
}

static void test_defaults(QTest *q)
{
    static const Bytes host[] = {
        { 0x00, 12, { 0x86, 0x80, 0x37, 0x12, 0, 0, 0, 0, 0x02, 0, 0, 0x06 } }, { 0x2c, 4, { 0xf4, 0x1a, 0x00, 0x11 } },
        { 0x57, 1, { 0x10 } }, { 0x72, 1, { 0x02 } }, {0}
    };
    static const Bytes isa[] = {
        { 0x00, 15, { 0x86, 0x80, 0x00, 0x70, 0, 0, 0, 0x02, 0, 0, 0x01, 0x06, 0, 0, 0x80 } },
        { 0x2c, 4, { 0xf4, 0x1a, 0x00, 0x11 } }, { 0x4c, 3, { 0x4d, 0, 0x03 } }, { 0x60, 4, { 0x80, 0x80, 0x80, 0x80 } },
        { 0x69, 1, { 0x02 } }, { 0x70, 9, { 0x80, 0, 0, 0, 0, 0, 0x0c, 0x0c, 0x02 } }, { 0xa0, 1, { 0x08 } },
        { 0xa8, 1, { 0x0f } }, {0}
    };
    static const Bytes pm[] = {
        { 0x00, 12, { 0x86, 0x80, 0x13, 0x71, 0, 0, 0x80, 0x02, 0x03, 0, 0x80, 0x06 } },
        { 0x2c, 4, { 0xf4, 0x1a, 0x00, 0x11 } }, { 0x3d, 1, { 0x01 } }, { 0x40, 1, { 0x01 } }, { 0x5b, 1, { 0x02 } },
        { 0x5f, 1, { 0x10 } }, { 0x63, 1, { 0x60 } }, { 0x90, 2, { 0x01, 0xb1 } }, { 0xd2, 1, { 0x09 } }, {0}
    };

    check_config(q, HOST, "i440FX", host);
    check_config(q, ISA, "PIIX3", isa);
    if (qtest_is_qemu())    /* whether there is SMM depends on its accelerator */
        tap_skip("PIIX4_PM: configuration space after reset", "stock QEMU's depends on its accelerator");
    else
        check_config(q, PM, "PIIX4_PM", pm);
    check_eq(qpci_readb(q, ISA, 0x0e), 0x80);
    qpci_writel(q, ISA, 0, 0x12345678);
    check_eq(qpci_readl(q, ISA, 0), 0x70008086);
    qpci_writew(q, ISA, 4, 0xffff);
    check_eq(qpci_readw(q, ISA, 4), 0x0507);
    qpci_writew(q, ISA, 4, 0);
}

/* A value written through one mode of a PAM segment and read back through another. */
static void test_pam(QTest *q)
{
    const uint64_t at = 0xc8000;
    uint8_t rom;

    qpci_writeb(q, HOST, 0x5b, 0x00);
    rom = qtest_readb(q, at);
    qtest_writeb(q, at, ~rom);
    tap_eq(qtest_readb(q, at), rom, "PAM off: writes to ROM are lost");
    qpci_writeb(q, HOST, 0x5b, 0x03);
    qtest_writeb(q, at, 0x5a);
    check_eq(qtest_readb(q, at), 0x5a);
    qpci_writeb(q, HOST, 0x5b, 0x01);
    qtest_writeb(q, at, 0xa5);
    if (!qtest_is_qemu())   /* its qtest writes through */
        tap_eq(qtest_readb(q, at), 0x5a, "PAM read only: RAM, and writes are lost");
    qpci_writeb(q, HOST, 0x5b, 0x00);
    tap_eq(qtest_readb(q, at), rom, "PAM off again: ROM");
    qpci_writeb(q, HOST, 0x5b, 0x10);
    qtest_writeb(q, at + 0x4000, 1);
    tap_eq(qtest_readb(q, at), rom, "the nibbles are 16 KiB each");
    qpci_writeb(q, HOST, 0x59, 0x30);
    qtest_writel(q, 0xf8000, 0xcafe0123);
    check_eq(qtest_readl(q, 0xf8000), 0xcafe0123);
    qpci_writeb(q, HOST, 0x59, 0x00);
    tap_ok(qtest_readl(q, 0xf8000) != 0xcafe0123, "PAM0: F0000-FFFFF");
    qpci_writeb(q, HOST, 0x5b, 0x00);
}

static void test_smram(QTest *q)
{
    qpci_writeb(q, HOST, 0x72, 0x42);
    qtest_writel(q, 0xa1000, 0x11223344);
    tap_eq(qtest_readl(q, 0xa1000), 0x11223344, "SMRAM open: RAM under the VGA window");
    qpci_writeb(q, HOST, 0x72, 0x02);
    tap_ok(qtest_readl(q, 0xa1000) != 0x11223344, "SMRAM closed: the VGA window");
    qpci_writeb(q, HOST, 0x72, 0x42);
    tap_eq(qtest_readl(q, 0xa1000), 0x11223344, "SMRAM keeps its contents");
    qpci_writeb(q, HOST, 0x72, 0x02);
}

static void test_bars(QTest *q)
{
    const uint32_t nothing = qtest_is_qemu() ? 0 : 0xffffffff;
    uint64_t size = qpci_bar_size(q, VGA, 0);

    check_eq(size, 16 << 20);
    check_eq(qpci_bar_size(q, VGA, 2), 4096);
    check_eq(qpci_bar_size(q, VGA, 1), 0);
    qpci_map_bar(q, VGA, 0, 0xfd000000);
    qtest_writel(q, 0xfd000100, 0x55aa1234);
    check_eq(qtest_readl(q, 0xfd000100), 0x55aa1234);
    qpci_writel(q, VGA, 0x10, 0xfc000000);
    tap_eq(qtest_readl(q, 0xfc000100), 0x55aa1234, "a BAR moves");
    tap_eq(qtest_readl(q, 0xfd000100), nothing, "and leaves nothing behind");
    qpci_writew(q, VGA, 4, 0);
    tap_eq(qtest_readl(q, 0xfc000100), nothing, "decoding off");
    qpci_writew(q, VGA, 4, 2);
    qtest_writel(q, 0x01000100, 0x01020304);
    qpci_writel(q, VGA, 0x10, 0x01000000);
    tap_eq(qtest_readl(q, 0x01000100), 0x01020304, "a BAR under RAM: RAM answers");
    qpci_writel(q, VGA, 0x10, 0xfe000000);
    qpci_writel(q, VGA, 0x18, 0xfe000000);      /* both at one place */
    qtest_writel(q, 0xfe000500, 0);
    qtest_readl(q, 0xfe000500);
    qpci_writel(q, VGA, 0x18, 0xffffffff);
    qpci_writel(q, VGA, 0x10, 0xffffffff);
    tap_eq(qpci_readl(q, VGA, 0x10), 0xff000008, "a BAR's writable bits");
    qpci_writel(q, VGA, 0x10, 0);
    qpci_writel(q, VGA, 0x18, 0);
    tap_eq(qtest_readl(q, 0x01000100), 0x01020304, "RAM is as it was");
    qpci_writew(q, VGA, 4, 0);
}

static void test_rcr(QTest *q)
{
    check_eq(qtest_inb(q, 0xcf9), 0);
    qtest_outb(q, 0xcf9, 0x02);
    check_eq(qtest_inb(q, 0xcf9), 0x02);
    qtest_outl(q, 0xcf8, 0x80000800);
    tap_eq(qtest_inb(q, 0xcf9), 0x02, "a double word to 0xcf8 does not reach 0xcf9");
    qpci_writeb(q, ISA, 0x60, 0x0b);
    qpci_writeb(q, ISA, 0x4c, 0x11);
    check_eq(qpci_readb(q, ISA, 0x60), 0x0b);
    qtest_outb(q, 0xcf9, 0x06);
    for (unsigned i = 0; i < 100 && qpci_readb(q, ISA, 0x60) != 0x80; i++)
        g_usleep(10000);
    tap_eq(qpci_readb(q, ISA, 0x60), 0x80, "0xcf9 resets: PIRQRCA");
    check_eq(qpci_readb(q, ISA, 0x4c), 0x4d);
}

int main(void)
{
    QTest *q = qtest_start("-M pc,smm=off -nodefaults -m 128 -device VGA");

    test_config_ports(q);
    test_defaults(q);
    test_pam(q);
    test_smram(q);
    test_bars(q);
    test_rcr(q);
    qtest_end(q);
    return tap_done();
}
