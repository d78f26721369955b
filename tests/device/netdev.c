/*
 * Back-ends of the network, each seen through an e1000: pairs of machines over sockets, hubs, the user network's DHCP and
 * TCP forwarding, filters.
 */
#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "libqtest.h"

#define BAR 0xfe000000u
#define TX_RING 0x100000u
#define RX_RING 0x110000u
#define TX_BUF 0x200000u
#define RX_BUF 0x300000u
enum { RING = 32 };

typedef struct Card {
    QTest *q;
    uint64_t bar, base;         /* of its rings and buffers */
    unsigned tx, rx;
} Card;

static void w(Card *c, unsigned reg, uint32_t v)
{
    qtest_writel(c->q, c->bar + reg, v);
}

static void card_init(Card *c, QTest *q, unsigned n)
{
    *c = (Card){ q, BAR + 0x100000 * n, 0x1000000 * n, 0, 0 };
    qpci_map_bar(q, QPCI(3 + n, 0), 0, c->bar);
    for (unsigned i = 0; i < RING; i++)
        qtest_writeq(q, c->base + RX_RING + 16 * i, c->base + RX_BUF + 2048 * i);
    w(c, 0x2800, c->base + RX_RING);
    w(c, 0x2808, 16 * RING);
    w(c, 0x2818, RING - 1);
    w(c, 0x3800, c->base + TX_RING);
    w(c, 0x3808, 16 * RING);
    w(c, 0x100, 0x801a);        /* all packets */
    w(c, 0x400, 2);
}

static void card_start(Card *c, const char *netdev)
{
    card_init(c, qtest_start("-M pc -nodefaults -vga none -m 64 -netdev %s,id=n -device e1000,addr=3,netdev=n,romfile=", netdev), 0);
}

/* false: the ring is full. */
static bool card_send(Card *c, const void *data, unsigned len)
{
    const uint64_t buf = c->base + TX_BUF + 2048 * c->tx;

    if (qtest_readl(c->q, c->bar + 0x3810) == (c->tx + 1) % RING)
        return false;
    qtest_memwrite(c->q, buf, data, len);
    qtest_writeq(c->q, c->base + TX_RING + 16 * c->tx, buf);
    qtest_writeq(c->q, c->base + TX_RING + 16 * c->tx + 8, len | 9u << 24);
    c->tx = (c->tx + 1) % RING;
    w(c, 0x3818, c->tx);
    return true;
}

/* Waits for the next packet; its length, or -1 when none comes. */
static int card_receive(Card *c, uint8_t *buf, unsigned ms)
{
    for (unsigned i = 0; i < ms; i++) {
        uint64_t d = qtest_readq(c->q, c->base + RX_RING + 16 * c->rx + 8);

        if (d >> 32 & 1) {
            int len = (d & 0xffff) - 4;

            qtest_memread(c->q, c->base + RX_BUF + 2048 * c->rx, buf, len);
            qtest_writeq(c->q, c->base + RX_RING + 16 * c->rx + 8, 0);
            w(c, 0x2818, c->rx);
            c->rx = (c->rx + 1) % RING;
            return len;
        }
        g_usleep(1000);
    }
    return -1;
}

static void make_frame(uint8_t *f, unsigned len, unsigned seed)
{
    memset(f, 0xff, 6);
    memcpy(f + 6, "\x02\0\0\0\0\1\x88\xb5", 8);
    for (unsigned i = 14; i < len; i++)
        f[i] = i * 7 + seed;
}

/* ---- Pairs ---- */

static void exchange(Card *a, Card *b, const char *what)
{
    uint8_t f[1514], got[2048];
    bool ok = true;

    for (unsigned i = 0; i < 40 && ok; i++) {
        const unsigned len = 60 + i * 36;

        make_frame(f, len, i);
        card_send(a, f, len);
        ok = card_receive(b, got, 5000) == (int)len && !memcmp(f, got, len);
        make_frame(f, len, i + 100);
        card_send(b, f, len);
        ok = ok && card_receive(a, got, 5000) == (int)len && !memcmp(f, got, len);
    }
    tap_ok(ok, "%s: packets go both ways", what);
}

static void test_pair(const char *what, const char *one, const char *two)
{
    Card a, b;

    card_start(&a, one);
    card_start(&b, two);
    exchange(&a, &b, what);
    qtest_end(b.q);
    qtest_end(a.q);
}

static unsigned free_port(void)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (bind(fd, (struct sockaddr *)&a, sizeof a) < 0 || getsockname(fd, (struct sockaddr *)&a, &len) < 0)
        tap_bail("no free port");
    close(fd);
    return ntohs(a.sin_port);
}

static void test_pairs(void)
{
    const unsigned p = free_port(), u1 = free_port(), u2 = free_port();
    g_autofree char *listen_ = g_strdup_printf("socket,listen=127.0.0.1:%u", p), *connect_ = g_strdup_printf("socket,connect=127.0.0.1:%u", p);
    g_autofree char *s1 = g_strdup_printf("stream,server=on,addr.type=unix,addr.path=%s/s", test_dir());
    g_autofree char *s2 = g_strdup_printf("stream,addr.type=unix,addr.path=%s/s", test_dir());
    g_autofree char *d1 = g_strdup_printf("dgram,local.type=unix,local.path=%s/1,remote.type=unix,remote.path=%s/2", test_dir(), test_dir());
    g_autofree char *d2 = g_strdup_printf("dgram,local.type=unix,local.path=%s/2,remote.type=unix,remote.path=%s/1", test_dir(), test_dir());
    g_autofree char *i1 = g_strdup_printf("socket,udp=127.0.0.1:%u,localaddr=127.0.0.1:%u", u1, u2);
    g_autofree char *i2 = g_strdup_printf("dgram,local.type=inet,local.host=127.0.0.1,local.port=%u,remote.type=inet,"
                                          "remote.host=127.0.0.1,remote.port=%u", u1, u2);

    test_pair("socket, TCP", listen_, connect_);
    test_pair("stream, Unix", s1, s2);
    test_pair("dgram, Unix", d1, d2);
    test_pair("socket and dgram, UDP", i1, i2);
}

/* A receiver without descriptors keeps the sender waiting; nothing is lost. */
static void test_pressure(void)
{
    g_autofree char *s1 = g_strdup_printf("stream,server=on,addr.type=unix,addr.path=%s/p", test_dir());
    g_autofree char *s2 = g_strdup_printf("stream,addr.type=unix,addr.path=%s/p", test_dir());
    uint8_t f[1514], got[2048];
    unsigned sent = 0;
    bool ok = true;
    Card a, b;

    card_start(&a, s1);
    card_start(&b, s2);
    w(&b, 0x2818, 0);           /* none */
    for (make_frame(f, sizeof f, 0); sent < 4000 && card_send(&a, f, sizeof f); make_frame(f, sizeof f, sent))
        sent++;
    tap_ok(sent < 4000, "a full ring: the sender has to wait");
    w(&b, 0x2818, RING - 1);
    for (unsigned i = 0; i < sent && ok; i++) {
        make_frame(f, sizeof f, i);
        ok = card_receive(&b, got, 5000) == (int)sizeof f && !memcmp(f, got, sizeof f);
    }
    tap_ok(ok, "a full ring: all packets arrive in the end");
    qtest_end(b.q);
    qtest_end(a.q);
}

static void test_hub(void)
{
    QTest *q = qtest_start("-M pc -nodefaults -vga none -m 64 -netdev hubport,hubid=1,id=a -netdev hubport,hubid=1,id=b "
                           "-netdev hubport,hubid=1,id=c -device e1000,addr=3,netdev=a,romfile= -device e1000,addr=4,netdev=b,romfile= "
                           "-device e1000,addr=5,netdev=c,romfile=");
    uint8_t f[100], got[2048];
    Card c[3];

    for (unsigned i = 0; i < 3; i++)
        card_init(&c[i], q, i);
    exchange(&c[0], &c[1], "hub");
    for (unsigned i = 0; i < 80; i++)
        card_receive(&c[2], got, 100);
    make_frame(f, sizeof f, 3);
    card_send(&c[2], f, sizeof f);
    tap_ok(card_receive(&c[0], got, 1000) == sizeof f && card_receive(&c[1], got, 1000) == sizeof f, "hub: to both others");
    tap_eq(card_receive(&c[2], got, 20), (uint64_t)-1, "hub: not back");
    w(&c[1], 0x100, 0);
    w(&c[2], 0x100, 0);
    make_frame(f, sizeof f, 4);
    card_send(&c[0], f, sizeof f);
    tap_eq(card_receive(&c[1], got, 20), (uint64_t)-1, "hub: nobody receives");
    w(&c[1], 0x100, 0x801a);
    tap_ok(card_receive(&c[1], got, 1000) == sizeof f && !memcmp(f, got, sizeof f), "hub: what waited comes when somebody does");
    qtest_end(q);
}

/* ---- The user network ---- */

static unsigned ip_sum(const uint8_t *p, unsigned n)
{
    unsigned sum = 0;

    for (unsigned i = 0; i < n; i += 2)
        sum += p[i] << 8 | p[i + 1];
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return ~sum & 0xffff;
}

static void put16(uint8_t *p, unsigned v)
{
    p[0] = v >> 8;
    p[1] = v;
}

/* A DHCP message of that type in a broadcast frame; its length. */
static unsigned dhcp(uint8_t *f, unsigned type, const uint8_t *wish)
{
    const unsigned len = 14 + 20 + 8 + 300;
    uint8_t *ip = f + 14, *udp = ip + 20, *d = udp + 8, *o = d + 240;

    memset(f, 0, len);
    memset(f, 0xff, 6);
    memcpy(f + 6, "\x52\x54\0\x12\x34\x56\x08\0", 8);
    ip[0] = 0x45;
    put16(ip + 2, len - 14);
    ip[8] = 64;
    ip[9] = 17;
    memset(ip + 16, 0xff, 4);
    put16(ip + 10, ip_sum(ip, 20));
    put16(udp, 68);
    put16(udp + 2, 67);
    put16(udp + 4, 308);
    memcpy(d, "\1\1\6\0\x12\x34\x56\x78", 8);
    memcpy(d + 28, f + 6, 6);
    memcpy(d + 236, "\x63\x82\x53\x63", 4);
    memcpy(o, "\x35\1", 2);
    o[2] = type;
    o += 3;
    if (wish) {
        memcpy(o, "\x32\4", 2);
        memcpy(o + 2, wish, 4);
        o += 6;
    }
    *o = 0xff;
    return len;
}

/* Waits for a DHCP answer and returns its message type; yiaddr into ip. */
static unsigned dhcp_answer(Card *c, uint8_t *ip)
{
    uint8_t got[2048];
    int len;

    while ((len = card_receive(c, got, 5000)) > 0) {
        const uint8_t *d = got + 42;

        if (len < 42 + 243 || got[12] != 8 || got[13] || got[23] != 17 || (got[36] << 8 | got[37]) != 68)
            continue;               /* router advertisements, ARP */
        memcpy(ip, d + 16, 4);
        return d[240] == 0x35 ? d[242] : 0;
    }
    return 0;
}

static void test_dhcp(void)
{
    uint8_t f[600], ip[4] = { 0 };
    Card c;

    card_start(&c, "user,net=10.9.8.0/24,dhcpstart=10.9.8.40");
    card_send(&c, f, dhcp(f, 1, NULL));
    tap_eq(dhcp_answer(&c, ip), 2, "DHCP: offer");
    tap_ok(!memcmp(ip, "\x0a\x09\x08\x28", 4), "DHCP: the address is dhcpstart's");
    card_send(&c, f, dhcp(f, 3, ip));
    tap_eq(dhcp_answer(&c, ip), 5, "DHCP: acknowledged");
    qtest_end(c.q);
}

/* libslirp alone does not survive the last one when it comes alone. */
static void test_fragments(void)
{
    static const uint8_t head[34] = "\x52\x55\x0a\0\2\2\x52\x54\0\x12\x34\x56\x08\0\x45\0\0\x28\x4b\x59\0\5\x40\6\0\0\x0a\0\2\x0f"
                                    "\x0a\0\2\x0f";
    uint8_t f[600], ip[4] = { 0 };
    Card c;

    card_start(&c, "user");
    memset(f, 0, sizeof f);
    memcpy(f, head, sizeof head);
    put16(f + 24, ip_sum(f + 14, 20));
    card_send(&c, f, 60);
    card_send(&c, f, dhcp(f, 1, NULL));
    tap_eq(dhcp_answer(&c, ip), 2, "a lone last fragment: the user network still answers");
    qtest_end(c.q);
}

/* hostfwd: somebody connects, the guest is asked (ARP) and sees a SYN. */
static void test_hostfwd(void)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(free_port()), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    g_autofree char *netdev = g_strdup_printf("user,hostfwd=tcp:127.0.0.1:%u-10.0.2.15:80", ntohs(a.sin_port));
    static const char arp_reply[42] = "\xff\xff\xff\xff\xff\xff\x52\x54\0\x12\x34\x56\x08\x06\0\1\x08\0\6\4\0\2\x52\x54\0\x12\x34\x56"
                                      "\x0a\0\2\x0f"
                                      "\x52\x55\x0a\0\2\2\x0a\0\2";
    int fd = socket(AF_INET, SOCK_STREAM, 0), len;
    uint8_t got[2048], reply[60] = { 0 };
    bool syn = false;
    Card c;

    card_start(&c, netdev);
    tap_ok(connect(fd, (struct sockaddr *)&a, sizeof a) == 0, "hostfwd: the port listens");
    memcpy(reply, arp_reply, sizeof arp_reply);
    reply[41] = 2;
    for (int i = 0; i < 20 && !syn && (len = card_receive(&c, got, 5000)) > 0; i++) {
        if (got[12] == 8 && got[13] == 6)
            card_send(&c, reply, sizeof reply);
        syn = len >= 54 && got[12] == 8 && !got[13] && got[23] == 6 && (got[36] << 8 | got[37]) == 80 && got[47] == 2;
    }
    tap_ok(syn, "hostfwd: the guest sees the connection");
    close(fd);
    qtest_end(c.q);
}

/* ---- Filters ---- */

static void test_dump(void)
{
    const unsigned u1 = free_port();
    g_autofree char *path = g_build_filename(test_dir(), "dump.pcap", NULL), *data = NULL;
    g_autofree char *netdev = g_strdup_printf("socket,udp=127.0.0.1:%u,localaddr=127.0.0.1:0", u1);
    uint8_t f[200];
    uint32_t h[10];
    gsize size = 0;
    Card c;

    card_init(&c, qtest_start("-M pc -nodefaults -vga none -m 64 -netdev %s,id=n -device e1000,addr=3,netdev=n,romfile= "
                              "-object filter-dump,id=f,netdev=n,file=%s,maxlen=100", netdev, path), 0);
    make_frame(f, sizeof f, 1);
    card_send(&c, f, sizeof f);
    qtest_end(c.q);
    g_file_get_contents(path, &data, &size, NULL);
    tap_eq(size, 24 + 16 + 100, "filter-dump: one packet, cut at maxlen");
    if (size < 140)
        return;
    memcpy(h, data, sizeof h);
    tap_eq(h[0], 0xa1b2c3d4, "filter-dump: magic number");
    tap_eq(h[5], 1, "filter-dump: Ethernet");
    tap_eq(h[8], 100, "filter-dump: captured");
    tap_eq(h[9], 200, "filter-dump: length");
    tap_mem_eq(data + 40, f, 100, "filter-dump: bytes");
}

int main(void)
{
    if (qtest_is_qemu()) {
        tap_skip("netdev", "stock QEMU's cards receive nothing while its CPUs are stopped");
        return tap_done();
    }
    test_pairs();
    test_pressure();
    test_hub();
    test_dump();
#ifdef CONFIG_SLIRP
    test_dhcp();
    test_fragments();
    test_hostfwd();
#else
    tap_skip("the user network", "built without libslirp");
#endif
    return tap_done();
}
