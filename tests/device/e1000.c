/*
 * e1000: registers, EEPROM, PHY and link, and both rings over the PHY's loop-back: filters, VLAN tags, checksums, segmentation,
 * interrupts. The registers are the same on stock QEMU, whose receiver is off while its CPUs are stopped.
 */
#include <string.h>
#include "libqtest.h"

#define BAR 0xfe000000u
#define DEV QPCI(3, 0)
#define TX_RING 0x100000u
#define RX_RING 0x110000u
#define TX_BUF 0x200000u
#define RX_BUF 0x300000u
enum { CTRL = 0, STATUS = 8, EECD = 0x10, EERD = 0x14, MDIC = 0x20, ICR = 0xc0, ITR = 0xc4, ICS = 0xc8, IMS = 0xd0, IMC = 0xd8,
       RCTL = 0x100, TCTL = 0x400, RDBAL = 0x2800, RDLEN = 0x2808, RDH = 0x2810, RDT = 0x2818, TDBAL = 0x3800, TDLEN = 0x3808,
       TDH = 0x3810, TDT = 0x3818, TPR = 0x40d0, TPT = 0x40d4, TOTL = 0x40c8, TOTH = 0x40cc, MTA = 0x5200, RA = 0x5400, VFTA = 0x5600 };
enum { RCTL_EN = 2, RCTL_UPE = 8, RCTL_MPE = 16, RCTL_LPE = 32, RCTL_BAM = 0x8000, RCTL_VFE = 1 << 18 };
enum { RING = 32, EOP = 1, IFCS = 2, IC = 4, TSE = 4, RS = 8, DEXT = 0x20, VLE = 0x40 };

static QTest *q;
static unsigned tail, seen;

static uint32_t r(unsigned reg) { return qtest_readl(q, BAR + reg); }
static void w(unsigned reg, uint32_t v) { qtest_writel(q, BAR + reg, v); }

static void start(const char *more)
{
    q = qtest_start_qmp("-M pc -nodefaults -vga none -m 64 -device e1000,addr=3,romfile=,id=n %s", more);
    qpci_map_bar(q, DEV, 0, BAR);
    tail = seen = 0;
}

static uint32_t phy(unsigned reg)
{
    w(MDIC, 1u << 27 | 1 << 21 | reg << 16);
    return r(MDIC);
}

static void phy_write(unsigned reg, uint16_t v)
{
    w(MDIC, 1u << 26 | 1 << 21 | reg << 16 | v);
}

/* ---- Registers ---- */

static void test_registers(void)
{
    check_eq(qpci_readl(q, DEV, 0), 0x100e8086);
    check_eq(qpci_readl(q, DEV, 8), 0x02000003);
    check_eq(qpci_bar_size(q, DEV, 0), 0x20000);
    check_eq(qpci_bar_size(q, DEV, 1), 0x40);
    qpci_map_bar(q, DEV, 0, BAR);
    check_eq(r(CTRL), 0x00140240);
    check_eq(r(STATUS), 0x80080783);
    check_eq(r(RA), 0x12005452);
    check_eq(r(RA + 4), 0x80005634);
    check_eq(r(0x1000), 0x00100030);
    w(RDLEN, ~0u);
    tap_eq(r(RDLEN), 0xfff80, "a ring's length is a multiple of 128");
    w(RDT, 0x12345678);
    check_eq(r(RDT), 0x5678);
    w(CTRL, 0xffffffff);
    tap_eq(r(CTRL), 0xfbffffff, "RST clears itself");
    w(STATUS, 0);
    check_eq(r(STATUS), 0x80080783);
    w(0x1fffc, 0x1234);
    tap_eq(r(0x1fffc), 0x1234, "the packet buffer's last dword");
}

static void test_interrupts(void)
{
    w(IMC, ~0u);
    w(ICS, 0x10);
    check_eq(r(IMS), 0);
    tap_eq(qpci_readw(q, DEV, 6) & 8, 0, "masked: no interrupt");
    w(IMS, 0x10);
    tap_eq(qpci_readw(q, DEV, 6) & 8, 8, "unmasked: INTx");
    w(ICR, 0x20);
    check_eq(r(ICS), 0x10);
    check_eq(r(ICR), 0x10);
    tap_eq(r(ICR), 0, "reading ICR clears it");
    tap_eq(qpci_readw(q, DEV, 6) & 8, 0, "and the interrupt");
    if (!qtest_is_qemu()) {
        w(ICS, 0x10);
        tap_eq(qpci_readw(q, DEV, 6) & 8, 0, "the next one waits");
        qtest_clock_step(q, 128000);
        tap_eq(qpci_readw(q, DEV, 6) & 8, 8, "for 128 us after the first");
        r(ICR);
        w(ITR, 4000);
        w(ICS, 0x10);
        qtest_clock_step(q, 128000);
        r(ICR);
        w(ICS, 0x10);
        qtest_clock_step(q, 1000000);
        tap_eq(qpci_readw(q, DEV, 6) & 8, 0, "ITR: not for 1.024 ms");
        qtest_clock_step(q, 25000);
        tap_eq(qpci_readw(q, DEV, 6) & 8, 8, "then it comes");
        w(ITR, 0);
    }
    r(ICR);
    w(IMC, ~0u);
}

/* ---- EEPROM, PHY ---- */

static uint16_t microwire(unsigned word)
{
    const unsigned command = 6 << 6 | word;
    uint16_t v = 0;

    w(EECD, 0);
    w(EECD, 2);
    for (int i = 8; i >= 0; i--) {
        const unsigned di = command >> i & 1 ? 4 : 0;

        w(EECD, 2 | di);
        w(EECD, 3 | di);
    }
    for (int i = 0; i < 16; i++) {
        w(EECD, 2);             /* the falling edge brings the bit */
        v = v << 1 | (r(EECD) >> 3 & 1);
        w(EECD, 3);
    }
    w(EECD, 0);
    return v;
}

static void test_eeprom(void)
{
    uint16_t sum = 0;
    bool same = true;

    for (unsigned i = 0; i < 64; i++) {
        w(EERD, i << 8 | 1);
        sum += r(EERD) >> 16;
        same &= microwire(i) == r(EERD) >> 16;
    }
    tap_eq(sum, 0xbaba, "the EEPROM's checksum");
    tap_ok(same, "Microwire and EERD read the same");
    w(EERD, 2 << 8 | 1);
    tap_eq(r(EERD), 0x56340210, "the end of the address");
    w(EERD, 64 << 8 | 1);
    tap_eq(r(EERD) >> 16, 0, "nothing behind the last word");
}

static void test_phy(void)
{
    check_eq(phy(2), 0x18220141);
    check_eq(phy(3), 0x18230c20);
    tap_eq(phy(7) & 0x40000000, 0x40000000, "no such PHY register");
    w(MDIC, 1u << 27 | 2 << 21);
    tap_eq(r(MDIC) & 0x40000000, 0x40000000, "no such PHY");
    check_eq(phy(1) & 0x24, 4);
    phy_write(0, 0x1340);
    tap_eq(phy(0) & 0xffff, 0x1140, "restarting the negotiation");
    tap_eq(r(STATUS) & 2, 0, "no link meanwhile");
    if (!qtest_is_qemu()) {
        r(ICR);
        qtest_clock_step(q, 500000000);
        tap_eq(r(STATUS) & 2, 2, "link after half a second");
        tap_eq(phy(1) & 0x24, 0x24, "negotiated");
        tap_eq(r(ICR) & 4, 4, "link status change");
        g_free(qtest_qmp(q, "{'execute':'set_link','arguments':{'name':'n','up':false}}"));
        tap_eq(r(STATUS) & 2, 0, "set_link off");
        check_eq(phy(1) & 4, 0);
        g_free(qtest_qmp(q, "{'execute':'set_link','arguments':{'name':'n','up':true}}"));
        qtest_clock_step(q, 500000000);
        tap_eq(r(STATUS) & 2, 2, "set_link on");
    }
}

/* ---- Rings ---- */

static void put(uint8_t *p, uint64_t v, unsigned n)
{
    while (n--) {
        *p++ = v;
        v >>= 8;
    }
}

static void init_rings(void)
{
    for (unsigned i = 0; i < RING; i++) {
        qtest_memset(q, RX_RING + 16 * i, 0, 16);
        qtest_writeq(q, RX_RING + 16 * i, RX_BUF + 2048 * i);
    }
    w(RCTL, 0);
    w(RDBAL, RX_RING);
    w(RDLEN, 16 * RING);
    w(RDH, 0);
    w(RDT, RING - 1);
    w(TDBAL, TX_RING);
    w(TDLEN, 16 * RING);
    w(TDH, 0);
    w(TDT, 0);
    w(RCTL, RCTL_EN | RCTL_UPE | RCTL_MPE | RCTL_BAM);
    w(TCTL, 2);
    phy_write(0, 0x4140);
    tail = seen = 0;
}

static void legacy(uint64_t addr, unsigned len, unsigned cmd, unsigned special)
{
    uint8_t d[16] = { 0 };

    put(d, addr, 8);
    put(d + 8, len, 2);
    d[11] = cmd;
    put(d + 14, special, 2);
    qtest_memwrite(q, TX_RING + 16 * tail, d, 16);
    tail = (tail + 1) % RING;
}

static void data(uint64_t addr, unsigned len, unsigned cmd, unsigned popts)
{
    uint8_t d[16] = { 0 };

    put(d, addr, 8);
    put(d + 8, len | 1 << 20 | cmd << 24, 4);
    d[13] = popts;
    qtest_memwrite(q, TX_RING + 16 * tail, d, 16);
    tail = (tail + 1) % RING;
}

static void context(unsigned tucso, unsigned paylen, unsigned tucmd, unsigned hdr, unsigned mss)
{
    uint8_t d[16] = { 14, 24, 33, 0, 34, tucso };

    put(d + 8, paylen | tucmd << 24, 4);
    d[13] = hdr;
    put(d + 14, mss, 2);
    qtest_memwrite(q, TX_RING + 16 * tail, d, 16);
    tail = (tail + 1) % RING;
}

/* The next received packet without FCS into buf: its length, or -1. */
static int receive(uint8_t *buf, unsigned *status, unsigned *tag)
{
    uint8_t d[16];
    int len;

    qtest_memread(q, RX_RING + 16 * seen, d, 16);
    if (!(d[12] & 1))
        return -1;
    len = (d[8] | d[9] << 8) - 4;
    if (status)
        *status = d[12];
    if (tag)
        *tag = d[14] | d[15] << 8;
    qtest_memread(q, RX_BUF + 2048 * seen, buf, len);
    seen++;
    return len;
}

static const uint8_t head[14] = { 0x52, 0x54, 0, 0x12, 0x34, 0x56, 2, 0, 0, 0, 0, 1, 8, 0 };

static void make_frame(uint8_t *f, unsigned len)
{
    memcpy(f, head, 14);
    for (unsigned i = 14; i < len; i++)
        f[i] = i * 7 + (i >> 8);
}

static void test_loopback(void)
{
    uint8_t f[1514], got[2048];
    unsigned status, tag;

    init_rings();
    make_frame(f, sizeof f);
    qtest_memwrite(q, TX_BUF, f, sizeof f);
    legacy(TX_BUF, 1514, EOP | IFCS | RS, 0);
    w(TDT, tail);
    tap_eq(r(TDH), 1, "a packet is sent");
    tap_eq(qtest_readb(q, TX_RING + 12) & 1, 1, "the descriptor is done");
    tap_eq(r(RDH), 1, "and received");
    tap_eq(receive(got, &status, NULL), 1514, "its length");
    tap_mem_eq(got, f, 1514, "its bytes");
    tap_eq(status, 7, "DD, EOP, IXSM");
    tap_eq(r(ICR) & 0x81, 0x81, "TXDW and RXT0");
    legacy(TX_BUF, 20, 0, 0);
    legacy(TX_BUF + 20, 80, EOP, 0);
    w(TDT, tail);
    tap_eq(receive(got, NULL, NULL), 100, "two descriptors are one packet");
    tap_mem_eq(got, f, 100, "its bytes");
    legacy(TX_BUF, 20, EOP, 0);
    w(TDT, tail);
    tap_eq(receive(got, NULL, NULL), 60, "a short packet is padded");
    tap_eq(r(TPT), 3, "packets sent");
    tap_eq(r(TPT), 0, "the counter was cleared by reading");
    check_eq(r(TPR), 3);
    /* Tags are put in and cut out. */
    w(CTRL, 1u << 30);
    legacy(TX_BUF, 100, EOP | VLE, 0x1234);
    w(TDT, tail);
    tap_eq(receive(got, &status, &tag), 100, "a tag was put in and cut out");
    tap_mem_eq(got, f, 100, "its bytes");
    tap_eq(tag, 0x1234, "the tag");
    tap_eq(status, 15, "VP");
    w(RCTL, RCTL_EN | RCTL_UPE | RCTL_VFE);
    legacy(TX_BUF, 100, EOP | VLE, 0x1234);
    w(TDT, tail);
    tap_eq(receive(got, NULL, NULL), (uint64_t)-1, "VLAN filter: not ours");
    w(VFTA + 0x234 / 32 * 4, 1u << (0x234 % 32));
    legacy(TX_BUF, 100, EOP | VLE, 0x1234);
    w(TDT, tail);
    tap_eq(receive(got, NULL, NULL), 100, "VLAN filter: ours");
}

static bool arrives(const char *to, unsigned rctl)
{
    uint8_t f[100], got[2048];

    make_frame(f, sizeof f);
    memcpy(f, to, 6);
    qtest_memwrite(q, TX_BUF, f, sizeof f);
    w(RCTL, RCTL_EN | rctl);
    legacy(TX_BUF, sizeof f, EOP, 0);
    w(TDT, tail);
    return receive(got, NULL, NULL) == (int)sizeof f;
}

static void test_filters(void)
{
    static const char group[] = "\x01\x00\x5e\x00\x00\x01";

    init_rings();
    w(CTRL, 0);
    tap_ok(arrives("\x52\x54\x00\x12\x34\x56", 0), "our address");
    tap_ok(!arrives("\x52\x54\x00\x12\x34\x57", 0), "another's");
    tap_ok(arrives("\x52\x54\x00\x12\x34\x57", RCTL_UPE), "promiscuous");
    tap_ok(!arrives("\xff\xff\xff\xff\xff\xff", 0), "broadcasts: off");
    tap_ok(arrives("\xff\xff\xff\xff\xff\xff", RCTL_BAM), "broadcasts: on");
    tap_ok(!arrives(group, 0), "a group");
    w(MTA, 1 << 16);            /* address bits 47:36 are 0x010 */
    tap_ok(arrives(group, 0), "a group of the table");
    w(MTA, 0);
    tap_ok(arrives(group, RCTL_MPE), "all groups");
    w(RA + 8, 0x00000002);
    w(RA + 12, 0x80000500);
    tap_ok(arrives("\x02\x00\x00\x00\x00\x05", 0), "a second address");
}

static unsigned sum16(const uint8_t *p, unsigned n, unsigned sum)
{
    for (unsigned i = 0; i < n; i++)
        sum += i & 1 ? p[i] : p[i] << 8;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

/* The checksums of an IPv4 TCP packet without options. */
static bool sums_right(const uint8_t *f, unsigned len)
{
    return sum16(f + 14, 20, 0) == 0xffff && sum16(f + 26, len - 26, 6 + len - 34) == 0xffff;
}

static void test_segments(void)
{
    static const uint8_t ip_tcp[40] = { 0x45, 0, 0, 0, 0, 9, 0, 0, 64, 6, 0, 0, 10, 0, 2, 15, 10, 0, 2, 2, /* TCP: */ 4, 0, 0, 80,
                                        0, 0, 0x10, 0, 0, 0, 0, 1, 0x50, 0x19, 1, 0, 0, 0, 0, 0 };
    enum { PAY = 2500, MSS = 1000 };
    uint8_t f[54 + PAY], got[2048];
    unsigned pseudo;

    init_rings();
    make_frame(f, sizeof f);
    memcpy(f + 14, ip_tcp, 40);
    pseudo = sum16(f + 26, 8, 6);       /* without the length */
    f[50] = pseudo >> 8;
    f[51] = pseudo;
    qtest_memwrite(q, TX_BUF, f, sizeof f);
    context(50, PAY, DEXT | TSE | 3, 54, MSS);
    data(TX_BUF, 54, DEXT | TSE, 3);
    data(TX_BUF + 54, PAY, DEXT | TSE | EOP, 3);
    w(TDT, tail);
    for (unsigned i = 0; i < 3; i++) {
        const unsigned pay = i < 2 ? MSS : PAY - 2 * MSS;

        tap_eq(receive(got, NULL, NULL), 54 + pay, "segment %u: length", i);
        tap_eq(got[16] << 8 | got[17], 40 + pay, "segment %u: IP length", i);
        tap_eq(got[18] << 8 | got[19], 9 + i, "segment %u: identification", i);
        tap_eq(got[40] << 8 | got[41], 0x1000 + i * MSS, "segment %u: sequence number", i);
        tap_eq(got[47], i < 2 ? 0x10 : 0x19, "segment %u: flags", i);
        tap_mem_eq(got + 54, f + 54 + i * MSS, pay, "segment %u: bytes", i);
        tap_ok(sums_right(got, 54 + pay), "segment %u: checksums", i);
    }
    tap_eq(receive(got, NULL, NULL), (uint64_t)-1, "no more");
    /* A single packet's checksums; the pseudo header's sum has the length then. */
    pseudo = sum16(f + 26, 8, 6 + 120);
    f[16] = 0;
    f[17] = 140;
    f[50] = pseudo >> 8;
    f[51] = pseudo;
    qtest_memwrite(q, TX_BUF, f, sizeof f);
    context(50, 0, DEXT | 3, 0, 0);
    data(TX_BUF, 154, DEXT | EOP, 3);
    w(TDT, tail);
    tap_eq(receive(got, NULL, NULL), 154, "checksums without segments: length");
    tap_ok(sums_right(got, 154), "checksums without segments");
}

static void test_hostile(void)
{
    uint8_t got[2048];

    init_rings();
    for (unsigned i = 0; i < RING; i++)
        legacy(i & 1 ? BAR : 0xffffffff00000000ull, 0xffff, i & 2 ? EOP : 0, 0);
    w(TDT, RING - 1);
    tap_eq(r(TDH), RING - 1, "buffers in our own registers, and nowhere");
    w(TDT, 60000);
    w(TDH, 50000);
    tap_eq(r(TDH), 50000, "a ring that does not contain its head");
    w(TDT, 0);
    w(TDH, 0);
    w(RDT, 1);
    w(RDH, 0);
    tail = 0;
    legacy(TX_BUF, 1500, EOP, 0);
    legacy(TX_BUF, 1500, EOP, 0);
    w(TDT, tail);
    tap_eq(r(RDH), 1, "one descriptor, one packet");
    seen = 0;
    tap_eq(receive(got, NULL, NULL), 1500, "it came");
    context(0, 0xfffff, DEXT | TSE, 255, 0);
    data(TX_BUF, 0xfffff, DEXT | TSE | EOP, 3);
    context(255, 1, DEXT | TSE | 3, 0, 1);
    data(TX_BUF, 0xffff, DEXT | TSE | EOP, 3);
    w(TDT, tail);
    for (int i = 0; i < 1000 && r(TDH) != tail; i++)
        qtest_clock_step(q, 1000);
    tap_eq(r(TDH), tail, "segments of no size, and of one byte");
}

int main(void)
{
    start("");
    test_registers();
    test_interrupts();
    test_eeprom();
    test_phy();
    qtest_end(q);
    if (qtest_is_qemu()) {
        tap_skip("the rings", "the receiver of stock QEMU is off while its CPUs are stopped");
        return tap_done();
    }
    start("");
    test_loopback();
    test_filters();
    test_segments();
    test_hostile();
    qtest_end(q);
    return tap_done();
}
