/*
 * Standard VGA: registers, memory windows, Bochs VBE, the MMIO BAR, screen dumps.
 */
#include <stdio.h>
#include <string.h>
#include "libqtest.h"

#define LFB 0xe0000000u
#define MMIO 0xfe000000u

static unsigned devfn;

static void put(QTest *q, uint16_t port, unsigned index, unsigned v) { qtest_outw(q, port, v << 8 | index); }

static unsigned get(QTest *q, uint16_t port, unsigned index)
{
    qtest_outb(q, port, index);
    return qtest_inb(q, port + 1);
}

static void vbe(QTest *q, unsigned index, unsigned v)
{
    qtest_outw(q, 0x1ce, index);
    qtest_outw(q, 0x1d0, v);
}

static unsigned vbe_get(QTest *q, unsigned index)
{
    qtest_outw(q, 0x1ce, index);
    return qtest_inw(q, 0x1d0);
}

static void attribute(QTest *q, unsigned index, unsigned v)
{
    qtest_inb(q, 0x3da);
    qtest_outb(q, 0x3c0, index);
    qtest_outb(q, 0x3c0, v);
}

static void video(QTest *q, bool on)
{
    qtest_inb(q, 0x3da);
    qtest_outb(q, 0x3c0, on ? 0x20 : 0);
}

static void test_pci(QTest *q)
{
    tap_eq(qpci_readl(q, devfn, 0), 0x11111234, "PCI id");
    tap_eq(qpci_readl(q, devfn, 8), 0x03000002, "class and revision");
    tap_eq(qpci_readl(q, devfn, 0x2c), 0x11001af4, "subsystem");
    tap_eq(qpci_bar_size(q, devfn, 0), 16 << 20, "16 MiB of video memory");
    tap_eq(qpci_bar_size(q, devfn, 2), 4096, "MMIO BAR");
    qpci_map_bar(q, devfn, 0, LFB);
    qpci_map_bar(q, devfn, 2, MMIO);
}

static void test_registers(QTest *q)
{
    static const uint8_t sr_mask[] = { 0x03, 0x3d, 0x0f, 0x3f, 0x0e, 0x00, 0x00, 0xff };
    static const uint8_t gr_mask[] = { 0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff, 0x00 };
    static const uint8_t ar_mask[] = { 0xef, 0xff, 0x3f, 0x0f, 0x0f };

    tap_eq(qtest_inb(q, 0x3d4), 0xff, "no CRTC at 3D4 in monochrome");
    qtest_outb(q, 0x3c2, 0x67);
    tap_eq(qtest_inb(q, 0x3cc), 0x67, "miscellaneous output");
    tap_eq(qtest_inb(q, 0x3b4), 0xff, "no CRTC at 3B4 in colour");
    for (unsigned i = 0; i < G_N_ELEMENTS(sr_mask); i++) {
        put(q, 0x3c4, i, 0xff);
        tap_eq(get(q, 0x3c4, i), sr_mask[i], "sequencer register %u", i);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(gr_mask); i++) {
        put(q, 0x3ce, i, 0xff);
        tap_eq(get(q, 0x3ce, i), gr_mask[i], "graphics register %u", i);
    }
    for (unsigned i = 0; i < 0x15; i++) {
        attribute(q, i, 0xff);
        qtest_inb(q, 0x3da);
        qtest_outb(q, 0x3c0, i);
        tap_eq(qtest_inb(q, 0x3c1), i < 16 ? 0x3f : ar_mask[i - 16], "attribute register %u", i);
    }
    put(q, 0x3d4, 0x11, 0x00);
    put(q, 0x3d4, 7, 0x55);
    put(q, 0x3d4, 0x11, 0x80);
    put(q, 0x3d4, 7, 0xba);
    tap_eq(get(q, 0x3d4, 7), 0x55, "write protection keeps CRTC 0-7, bar bit 4 of 7");
    put(q, 0x3d4, 7, 0x45);
    tap_eq(get(q, 0x3d4, 7), 0x45, "which stays writable");
    qtest_outb(q, 0x3c8, 10);
    for (unsigned i = 0; i < 6; i++) {
        qtest_outb(q, 0x3c9, 0x11 * i);
    }
    tap_eq(qtest_inb(q, 0x3c8), 12, "DAC write index");
    qtest_outb(q, 0x3c7, 11);
    tap_eq(qtest_inb(q, 0x3c9) << 16 | qtest_inb(q, 0x3c9) << 8 | qtest_inb(q, 0x3c9), 0x334455, "DAC read");
    tap_eq(qtest_inb(q, 0x3da) ^ qtest_inb(q, 0x3da), 0x09, "retrace alternates");
}

static void planes(QTest *q, unsigned mode, unsigned misc, unsigned memory_mode)
{
    put(q, 0x3ce, 5, mode);
    put(q, 0x3ce, 6, misc);
    put(q, 0x3c4, 4, memory_mode);
    put(q, 0x3c4, 2, 0x0f);
    put(q, 0x3ce, 1, 0);
    put(q, 0x3ce, 4, 0);
    put(q, 0x3ce, 3, 0);
    put(q, 0x3ce, 8, 0xff);
}

static void test_planar(QTest *q)
{
    planes(q, 0, 5, 6);
    qtest_writeb(q, 0xa0010, 0xa5);
    tap_eq(qtest_readl(q, LFB + 0x40), 0xa5a5a5a5, "write mode 0: all planes");
    put(q, 0x3c4, 2, 0x05);
    qtest_writeb(q, 0xa0010, 0x0f);
    tap_eq(qtest_readl(q, LFB + 0x40), 0xa50fa50f, "map mask");
    put(q, 0x3c4, 2, 0x0f);
    put(q, 0x3ce, 4, 3);
    tap_eq(qtest_readb(q, 0xa0010), 0xa5, "read map 3");
    put(q, 0x3ce, 5, 1);
    qtest_writeb(q, 0xa0020, 0);
    tap_eq(qtest_readl(q, LFB + 0x80), 0xa50fa50f, "write mode 1: the latches");
    put(q, 0x3ce, 5, 0);
    put(q, 0x3ce, 0, 0x06);
    put(q, 0x3ce, 1, 0x0c);
    put(q, 0x3ce, 3, 4);
    qtest_writeb(q, 0xa0030, 0x12);
    tap_eq(qtest_readl(q, LFB + 0xc0), 0x00ff2121, "set/reset and rotation");
    put(q, 0x3ce, 1, 0);
    put(q, 0x3ce, 8, 0x0f);
    put(q, 0x3ce, 3, 0x18);
    qtest_readb(q, 0xa0020);
    qtest_writeb(q, 0xa0030, 0xff);
    tap_eq(qtest_readl(q, LFB + 0xc0), 0xaa00aa00, "exclusive or with bit mask");
    put(q, 0x3ce, 5, 2);
    put(q, 0x3ce, 3, 0);
    put(q, 0x3ce, 8, 0xff);
    qtest_writeb(q, 0xa0030, 0x09);
    tap_eq(qtest_readl(q, LFB + 0xc0), 0xff0000ff, "write mode 2");
    put(q, 0x3ce, 5, 3);
    qtest_readb(q, 0xa0020);
    qtest_writeb(q, 0xa0030, 0x3c);
    tap_eq(qtest_readl(q, LFB + 0xc0), 0x813fbd03, "write mode 3");
    put(q, 0x3ce, 5, 8);
    put(q, 0x3ce, 2, 0x09);
    put(q, 0x3ce, 7, 0x0f);
    qtest_writel(q, LFB + 0x100, 0xff0000fe);
    tap_eq(qtest_readb(q, 0xa0040), 0xfe, "read mode 1: colour compare");
    put(q, 0x3ce, 7, 0x07);
    qtest_writel(q, LFB + 0x100, 0x000000ff);
    tap_eq(qtest_readb(q, 0xa0040), 0xff, "colour don't care");
}

static void test_windows(QTest *q)
{
    planes(q, 0x10, 0x0e, 2);
    qtest_writew(q, 0xb8004, 0x1f41);
    tap_eq(qtest_readl(q, LFB + 8) & 0xffff, 0x1f41, "text cells are planes 0 and 1");
    tap_eq(qtest_readw(q, 0xb8004), 0x1f41, "and read back");
    tap_eq(qtest_readw(q, 0xa0004), 0xffff, "nothing at A0000 then");
    planes(q, 0x40, 5, 0x0e);
    qtest_writel(q, 0xa0123, 0x11223344);
    tap_eq(qtest_readl(q, LFB + 0x123), 0x11223344, "chain 4");
    vbe(q, 5, 3);
    tap_eq(vbe_get(q, 5), 3, "bank");
    qtest_writel(q, 0xa0123, 0x55667788);
    tap_eq(qtest_readl(q, LFB + 0x30123), 0x55667788, "bank 3");
    vbe(q, 5, 0xffff);
    tap_eq(vbe_get(q, 5), 0xff, "banks end with the memory");
    vbe(q, 5, 0);
}

static void test_vbe(QTest *q)
{
    tap_eq(vbe_get(q, 0), 0xb0c5, "VBE id");
    vbe(q, 0, 0xb0c2);
    tap_eq(vbe_get(q, 0), 0xb0c2, "older ids can be set");
    vbe(q, 0, 0xb0c9);
    tap_eq(vbe_get(q, 0), 0xb0c2, "others not");
    tap_eq(vbe_get(q, 10), 256, "64 KiB blocks");
    vbe(q, 4, 2);
    tap_eq(vbe_get(q, 1), 16000, "largest width");
    tap_eq(vbe_get(q, 2), 12000, "largest height");
    tap_eq(vbe_get(q, 3), 32, "largest depth");
    vbe(q, 4, 0);
    qtest_writel(q, LFB + 0x1000, 0x12345678);
    vbe(q, 1, 1027);
    vbe(q, 2, 768);
    vbe(q, 3, 32);
    vbe(q, 4, 0xc1);
    tap_eq(vbe_get(q, 1), 1024, "the width is a multiple of 8");
    tap_eq(vbe_get(q, 6), 1024, "virtual width");
    tap_eq(vbe_get(q, 7), 4096, "virtual height: what fits");
    tap_eq(qtest_readl(q, LFB + 0x1000), 0x12345678, "memory kept");
    vbe(q, 9, 5000);
    tap_eq(vbe_get(q, 9), 0, "an offset beyond the memory is none");
    vbe(q, 9, 3328);
    tap_eq(vbe_get(q, 9), 3328, "the last page");
    tap_eq(get(q, 0x3d4, 1), 0x7f, "the CRTC follows");
    vbe(q, 4, 0);
    vbe(q, 4, 0x41);
    tap_eq(qtest_readl(q, LFB + 0x1000), 0, "memory cleared");
    vbe(q, 4, 0);
}

static void test_mmio(QTest *q)
{
    uint8_t edid[256], sum[2] = { 0 };

    qtest_memread(q, MMIO, edid, sizeof edid);
    for (unsigned i = 0; i < sizeof edid; i++) {
        sum[i / 128] += edid[i];
    }
    tap_eq(sum[0] | sum[1], 0, "EDID checksums");
    tap_mem_eq(edid, "\0\xff\xff\xff\xff\xff\xff\0", 8, "EDID head");
    tap_eq(edid[56] | (edid[58] & 0xf0) << 4, 1280, "preferred width");
    tap_eq(edid[59] | (edid[61] & 0xf0) << 4, 800, "preferred height");
    qtest_writeb(q, MMIO + 0x402, 0x67);
    tap_eq(qtest_readb(q, MMIO + 0x40c), 0x67, "ports 3C2 and 3CC");
    qtest_writew(q, MMIO + 0x502, 800);
    tap_eq(qtest_readw(q, MMIO + 0x502), 800, "VBE register 1");
    tap_eq(vbe_get(q, 1), 800, "is the ports'");
    tap_eq(qtest_readl(q, MMIO + 0x600), 8, "size of the extended registers");
    tap_eq(qtest_readl(q, MMIO + 0x604), 0x1e1e1e1e, "little-endian");
    qtest_writel(q, MMIO + 0x604, 0xbebebebe);
    tap_eq(qtest_readl(q, MMIO + 0x604), 0xbebebebe, "big-endian");
    qtest_writel(q, MMIO + 0x604, 0x12345678);
    tap_eq(qtest_readl(q, MMIO + 0x604), 0xbebebebe, "other values are ignored");
    qtest_writel(q, MMIO + 0x604, 0x1e1e1e1e);
}

static void test_screendump(QTest *q)
{
    static const char want[] = "P6\n8 2\n255\n" "\xff\0\0\0\xff\0\0\0\xff\x12\x34\x56" "\0\0\0\0\0\0\0\0\0\0\0\0";
    g_autofree char *path = g_strdup_printf("%s/a.ppm", test_dir()), *data = NULL, *said;
    gsize len = 0;

    vbe(q, 1, 8);
    vbe(q, 2, 2);
    vbe(q, 3, 32);
    vbe(q, 4, 0x41);
    video(q, true);
    qtest_writel(q, LFB, 0xff0000);
    qtest_writel(q, LFB + 4, 0x00ff00);
    qtest_writel(q, LFB + 8, 0x0000ff);
    qtest_writel(q, LFB + 12, 0x123456);
    said = qtest_hmp(q, "screendump %s", path);
    tap_str_eq(said, "", "screendump says nothing");
    tap_ok(g_file_get_contents(path, &data, &len, NULL) && len == 11 + 8 * 2 * 3 && !memcmp(data, want, sizeof want - 1),
           "the picture");
    remove(path);
}

int main(void)
{
    QTest *q = qtest_start_qmp("-M pc -nodefaults -device VGA,addr=2");

    devfn = QPCI(2, 0);
    test_pci(q);
    test_registers(q);
    test_planar(q);
    test_windows(q);
    test_vbe(q);
    test_mmio(q);
    test_screendump(q);
    qtest_end(q);
    return tap_done();
}
