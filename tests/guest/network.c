/*
 * Drives the e1000 at 00:03.0 by polling. The option is a letter and up to two numbers, "t1000,60":
 *
 *   l N          N frames of growing size through the PHY's loop-back, each compared
 *   u            a client of the user network: DHCP, ARP, ping, a file "hello" by TFTP
 *   r            answers ARP, ping and UDP (an echo) for 10.9.9.X, X its MAC address's last byte, until UDP says "quit"
 *   p N,X        N pings to 10.9.9.X with growing sizes
 *   t N,SIZE     sends N frames of SIZE bytes
 *   s N          takes N frames in
 *   o N          the same with one free buffer at a time, without a word to the card but the ring's tail
 *
 * Registers: 8254x Software Developer's Manual (317453), chapter 13. Protocols: RFC 768, 791, 792, 826, 1350, 2131.
 */
#include <stdbool.h>
#include <stdint.h>

enum {
    MMIO = 0xfeb00000, RX_RING = 0x100000, TX_RING = 0x101000, RX_BUFFERS = 0x200000, TX_BUFFERS = 0x300000, RING = 256, SLOT = 2048,
    CTRL = 0, MDIC = 0x20, RCTL = 0x100, TCTL = 0x400, RDBAL = 0x2800, RDLEN = 0x2808, RDH = 0x2810, RDT = 0x2818, TDBAL = 0x3800,
    TDLEN = 0x3808, TDH = 0x3810, TDT = 0x3818, RAL = 0x5400, RAH = 0x5404,
    DD = 1, EOP = 1, IFCS = 2, RS = 8,
    PATIENCE = 3000000,
};

typedef struct Rx {
    volatile uint32_t lo, hi;
    volatile uint16_t length, checksum;
    volatile uint8_t status, errors;
    volatile uint16_t special;
} Rx;

typedef struct Tx {
    volatile uint32_t lo, hi;
    volatile uint16_t length;
    volatile uint8_t cso, cmd, status, css;
    volatile uint16_t special;
} Tx;

void guest_putc(int c);
void guest_tap(int passed, const char *text);
int guest_option(char *to, int size);
void guest_end(void) __attribute__((noreturn));
int network(void);

static uint8_t mac[6];
static unsigned rx_at, tx_at;
static uint16_t ip_id;
static const uint8_t broadcast[6] = { 255, 255, 255, 255, 255, 255 };

/* ---- The CPU and memory ---- */

static void outl(uint16_t port, uint32_t v)
{
    __asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port));
}

static uint32_t reg(unsigned at)
{
    return *(volatile uint32_t *)(MMIO + at);
}

static void set(unsigned at, uint32_t v)
{
    *(volatile uint32_t *)(MMIO + at) = v;
}

static void copy(uint8_t *to, const uint8_t *from, unsigned n)
{
    while (n--)
        *to++ = *from++;
}

static bool same(const uint8_t *a, const uint8_t *b, unsigned n)
{
    while (n--)
        if (*a++ != *b++)
            return false;
    return true;
}

static void print(const char *s)
{
    while (*s)
        guest_putc(*s++);
}

static void print_bytes(const char *what, const uint8_t *p, unsigned n)
{
    static const char digit[] = "0123456789abcdef";

    print(what);
    for (unsigned i = 0; i < n; i++) {
        guest_putc(i ? ':' : ' ');
        guest_putc(digit[p[i] >> 4]);
        guest_putc(digit[p[i] & 15]);
    }
    guest_putc('\n');
}

static unsigned be16(const uint8_t *p)
{
    return p[0] << 8 | p[1];
}

static void put16(uint8_t *p, unsigned v)
{
    p[0] = v >> 8;
    p[1] = v;
}

/* ---- The card ---- */

static void pci_write(unsigned at, uint32_t v)
{
    outl(0xcf8, 0x80001800 | at);
    outl(0xcfc, v);
}

static void start_card(void)
{
    Rx *rx = (Rx *)RX_RING;

    pci_write(0x10, MMIO);
    pci_write(4, 6);                    /* memory, bus master */
    set(CTRL, 1 << 26);                 /* RST */
    set(CTRL, 1 << 6);                  /* SLU */
    for (int i = 0; i < 4; i++)
        mac[i] = reg(RAL) >> 8 * i;
    mac[4] = reg(RAH);
    mac[5] = reg(RAH) >> 8;
    for (unsigned i = 0; i < RING; i++) {
        rx[i].lo = RX_BUFFERS + i * SLOT;
        rx[i].hi = 0;
        rx[i].status = 0;
    }
    set(RDBAL, RX_RING);
    set(RDBAL + 4, 0);
    set(RDLEN, RING * sizeof(Rx));
    set(RDH, 0);
    set(RDT, RING - 1);
    set(RCTL, 1 << 1 | 1 << 15 | 1 << 26);      /* EN, BAM, SECRC; buffers of 2048 */
    set(TDBAL, TX_RING);
    set(TDBAL + 4, 0);
    set(TDLEN, RING * sizeof(Tx));
    set(TDH, 0);
    set(TDT, 0);
    set(TCTL, 1 << 1 | 1 << 3 | 0x0f << 4 | 0x40 << 12);        /* EN, PSP */
}

/* Puts a frame in the ring; the card sends it when told. */
static void queue(const uint8_t *frame, unsigned length)
{
    Tx *t = (Tx *)TX_RING + tx_at;

    t->lo = (uint32_t)frame;
    t->hi = 0;
    t->length = length;
    t->cso = t->css = t->status = 0;
    t->cmd = EOP | IFCS | RS;
    tx_at = (tx_at + 1) % RING;
}

/* The queued frames go out; waits for the last. */
static bool ring_bell(void)
{
    Tx *last = (Tx *)TX_RING + (tx_at + RING - 1) % RING;

    set(TDT, tx_at);
    for (unsigned i = 0; i < PATIENCE; i++)
        if (last->status & DD)
            return true;
    return false;
}

static bool send(const uint8_t *frame, unsigned length)
{
    queue(frame, length);
    return ring_bell();
}

/* The next frame received and its length, if there is one; release() gives its buffer back. */
static uint8_t *receive(unsigned *length)
{
    Rx *r = (Rx *)RX_RING + rx_at;

    if (!(r->status & DD))
        return 0;
    *length = r->length;
    return (uint8_t *)RX_BUFFERS + rx_at * SLOT;
}

static void release(void)
{
    ((Rx *)RX_RING)[rx_at].status = 0;
    set(RDT, rx_at);
    rx_at = (rx_at + 1) % RING;
}

/* ---- Protocols ---- */

static unsigned checksum(const uint8_t *p, unsigned n, uint32_t sum)
{
    for (; n > 1; p += 2, n -= 2)
        sum += be16(p);
    if (n)
        sum += p[0] << 8;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return ~sum & 0xffff;
}

static void ethernet(uint8_t *f, const uint8_t *to, unsigned type)
{
    copy(f, to, 6);
    copy(f + 6, mac, 6);
    put16(f + 12, type);
}

/* Headers for an IP packet with so much behind them; returns the frame's length. */
static unsigned ip(uint8_t *f, const uint8_t *mac_to, const uint8_t *from, const uint8_t *to, unsigned protocol, unsigned payload)
{
    static const uint8_t head[] = { 0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 0, 0, 0 };

    ethernet(f, mac_to, 0x0800);
    copy(f + 14, head, sizeof head);
    put16(f + 16, 20 + payload);
    put16(f + 18, ++ip_id);
    f[23] = protocol;
    copy(f + 26, from, 4);
    copy(f + 30, to, 4);
    put16(f + 24, checksum(f + 14, 20, 0));
    return 34 + payload;
}

static unsigned udp(uint8_t *f, const uint8_t *mac_to, const uint8_t *from, const uint8_t *to, unsigned sport, unsigned dport, unsigned payload)
{
    uint32_t pseudo = 17 + 8 + payload;
    unsigned length = ip(f, mac_to, from, to, 17, 8 + payload);

    put16(f + 34, sport);
    put16(f + 36, dport);
    put16(f + 38, 8 + payload);
    put16(f + 40, 0);
    pseudo += be16(f + 26) + be16(f + 28) + be16(f + 30) + be16(f + 32);
    put16(f + 40, checksum(f + 34, 8 + payload, pseudo));
    return length;
}

static unsigned arp(uint8_t *f, unsigned op, const uint8_t *mac_to, const uint8_t *from, const uint8_t *to)
{
    static const uint8_t head[] = { 0, 1, 8, 0, 6, 4, 0 };

    ethernet(f, op == 1 ? broadcast : mac_to, 0x0806);
    copy(f + 14, head, sizeof head);
    f[21] = op;
    copy(f + 22, mac, 6);
    copy(f + 28, from, 4);
    for (int i = 0; i < 6; i++)
        f[32 + i] = op == 1 ? 0 : mac_to[i];
    copy(f + 38, to, 4);
    return 42;
}

static unsigned ping(uint8_t *f, const uint8_t *mac_to, const uint8_t *from, const uint8_t *to, unsigned sequence, unsigned payload)
{
    unsigned length = ip(f, mac_to, from, to, 1, 8 + payload);

    put16(f + 34, 8 << 8);
    put16(f + 36, 0);
    put16(f + 38, 0x766d);
    put16(f + 40, sequence);
    for (unsigned i = 0; i < payload; i++)
        f[42 + i] = i * 7 + sequence;
    put16(f + 36, checksum(f + 34, 8 + payload, 0));
    return length;
}

static bool is_arp(const uint8_t *f, unsigned n, unsigned op, const uint8_t *from)
{
    return n >= 42 && be16(f + 12) == 0x0806 && be16(f + 20) == op && same(f + 28, from, 4);
}

static bool is_ip(const uint8_t *f, unsigned n, unsigned protocol)
{
    return n >= 42 && be16(f + 12) == 0x0800 && f[14] == 0x45 && f[23] == protocol && be16(f + 16) + 14 <= n &&
           !checksum(f + 14, 20, 0);
}

static bool is_udp(const uint8_t *f, unsigned n, unsigned dport)
{
    return is_ip(f, n, 17) && be16(f + 36) == dport;
}

/* ---- What it does ---- */

static uint8_t *const out = (uint8_t *)TX_BUFFERS;

/* Receives until a frame is the wanted one, which the caller releases; others are dropped. */
static uint8_t *await_udp(unsigned dport, unsigned *n)
{
    for (unsigned i = 0; i < PATIENCE; i++) {
        uint8_t *f = receive(n);

        if (f && is_udp(f, *n, dport))
            return f;
        if (f)
            release();
    }
    return 0;
}

static bool await_arp(const uint8_t *from, uint8_t *mac_from)
{
    for (unsigned i = 0, n; i < PATIENCE; i++) {
        uint8_t *f = receive(&n);
        bool found = f && is_arp(f, n, 2, from);

        if (found)
            copy(mac_from, f + 22, 6);
        if (f)
            release();
        if (found)
            return true;
    }
    return false;
}

/* Waits for the answer to the ping that is in the buffer. */
static bool await_pong(unsigned length)
{
    for (unsigned i = 0, n; i < PATIENCE; i++) {
        uint8_t *f = receive(&n);
        bool pong = f && is_ip(f, n, 1) && f[34] == 0 && same(f + 38, out + 38, 4);
        bool right = pong && same(f + 42, out + 42, length - 42) && !checksum(f + 34, be16(f + 16) - 20, 0);

        if (f)
            release();
        if (pong)
            return right;
    }
    return false;
}

/* Sends to itself until something comes back: QEMU takes no frame in the first second behind a write of RCTL. */
static bool probe(void)
{
    unsigned n;

    ethernet(out, mac, 0x88b6);
    for (unsigned i = 0; i < PATIENCE; i++) {
        if (receive(&n)) {
            release();
            return true;
        }
        if (i % 100 == 0)
            send(out, 60);
    }
    return false;
}

static void loopback(unsigned turns)
{
    bool ok;

    set(MDIC, 1 << 26 | 1 << 21 | 0 << 16 | 0x4140);    /* PHY control: loop-back, full duplex, 1000 Mb/s */
    ok = probe();
    for (unsigned t = 0; t < turns && ok; t++) {
        unsigned length = 14 + t * 37 % 1500, n = 0;
        uint8_t *f = 0;

        ethernet(out, mac, 0x88b5);
        for (unsigned i = 14; i < length; i++)
            out[i] = i ^ t;
        ok = send(out, length);
        for (unsigned i = 0; i < PATIENCE && !f; i++)
            f = receive(&n);
        ok = ok && f && n >= length && same(f, out, length);
        if (f)
            release();
    }
    guest_tap(ok, "loop-back: each frame comes back as it was");
}

static bool dhcp(unsigned type, uint8_t *address, const uint8_t *server)
{
    static const uint8_t cookie[] = { 0x63, 0x82, 0x53, 0x63, 53, 1 }, none[4] = { 0 };
    uint8_t *p = out + 42, *f;
    unsigned n;

    for (int i = 0; i < 300; i++)
        p[i] = 0;
    p[0] = p[1] = 1;
    p[2] = 6;
    p[4] = 0x76;
    copy(p + 28, mac, 6);
    copy(p + 236, cookie, sizeof cookie);
    p[242] = type;
    p[243] = 255;
    if (type == 3) {
        p[243] = 50;
        p[244] = 4;
        copy(p + 245, address, 4);
        p[249] = 54;
        p[250] = 4;
        copy(p + 251, server, 4);
        p[255] = 255;
    }
    if (!send(out, udp(out, broadcast, none, broadcast, 68, 67, 300)) || !(f = await_udp(68, &n)))
        return false;
    copy(address, f + 42 + 16, 4);
    type = f[42 + 242];
    release();
    return type == 2 || type == 5;      /* OFFER, ACK */
}

static bool tftp(const uint8_t *mac_to, const uint8_t *me, const uint8_t *server)
{
    static const char request[] = "\0\1hello\0octet";
    uint8_t *f;
    unsigned n, port;

    copy(out + 42, (const uint8_t *)request, sizeof request);
    if (!send(out, udp(out, mac_to, me, server, 2000, 69, sizeof request)) || !(f = await_udp(2000, &n)))
        return false;
    port = be16(f + 34);
    print("# file: ");
    for (unsigned i = 46; i < 34 + be16(f + 38); i++)
        guest_putc(f[i]);
    guest_putc('\n');
    n = be16(f + 42) == 3 && be16(f + 44) == 1;
    release();
    put16(out + 42, 4);
    put16(out + 44, 1);
    return send(out, udp(out, mac_to, me, server, 2000, port, 4)) && n;
}

static void user(void)
{
    static const uint8_t server[] = { 10, 0, 2, 2 };
    uint8_t me[4] = { 0 }, peer[6] = { 0 };
    unsigned length;

    guest_tap(dhcp(1, me, server), "DHCP offers an address");
    guest_tap(dhcp(3, me, server), "and acknowledges it");
    print_bytes("# address", me, 4);
    guest_tap(send(out, arp(out, 1, broadcast, me, server)) && await_arp(server, peer), "ARP finds the server");
    print_bytes("# server", peer, 6);
    for (unsigned i = 1; i < 4; i++) {
        length = ping(out, peer, me, server, i, i * 400);
        guest_tap(send(out, length) && await_pong(length), "it answers a ping");
    }
    guest_tap(tftp(peer, me, server), "TFTP gives the file");
}

/* Turns a request into its answer; false if it is none for us. */
static bool answer(uint8_t *f, unsigned n, const uint8_t *me, bool *quit)
{
    uint8_t mac_from[6], from[4];

    copy(mac_from, f + 6, 6);
    if (n >= 42 && be16(f + 12) == 0x0806 && be16(f + 20) == 1 && same(f + 38, me, 4)) {
        copy(from, f + 28, 4);
        return send(out, arp(out, 2, mac_from, me, from));
    }
    if (!same(f, mac, 6) || (!is_ip(f, n, 1) && !is_ip(f, n, 17)) || !same(f + 30, me, 4))
        return false;
    n = be16(f + 16) + 14;
    copy(out, f, n);
    copy(from, f + 26, 4);
    if (f[23] == 1) {
        ip(out, mac_from, me, from, 1, n - 34);
        out[34] = 0;
        put16(out + 36, 0);
        put16(out + 36, checksum(out + 34, n - 34, 0));
        return f[34] == 8 && send(out, n);
    }
    *quit = n == 46 && same(f + 42, (const uint8_t *)"quit", 4);
    return send(out, udp(out, mac_from, me, from, be16(f + 36), be16(f + 34), n - 42));
}

static void respond(const uint8_t *me)
{
    unsigned n, answers = 0;
    bool quit = false;

    print("# ready\n");
    while (!quit) {
        uint8_t *f = receive(&n);

        if (f) {
            answers += answer(f, n, me, &quit);
            release();
        }
    }
    guest_tap(answers > 0, "answered");
}

static void pings(unsigned count, const uint8_t *me, unsigned to)
{
    const uint8_t peer_ip[4] = { 10, 9, 9, to };
    uint8_t peer[6];
    bool ok = false;

    for (int i = 0; i < 10 && !ok; i++)
        ok = send(out, arp(out, 1, broadcast, me, peer_ip)) && await_arp(peer_ip, peer);
    guest_tap(ok, "ARP finds the other");
    for (unsigned i = 0; i < count && ok; i++) {
        unsigned length = ping(out, peer, me, peer_ip, i, i * 61 % 1460);

        ok = send(out, length) && await_pong(length);
    }
    guest_tap(ok, "it answers each ping");
    copy(out + 42, (const uint8_t *)"quit", 4);
    guest_tap(send(out, udp(out, peer, me, peer_ip, 7, 7, 4)), "and is told to end");
}

/* The ring is filled once; then its tail goes round. */
static void transmit(unsigned count, unsigned size)
{
    unsigned tail = 0;

    if (size < 14 || size > 1514)
        size = 60;
    ethernet(out, broadcast, 0x88b5);
    for (unsigned i = 14; i < size; i++)
        out[i] = i;
    for (unsigned i = 0; i < RING; i++)
        queue(out, size);
    for (unsigned n; count; count -= n) {
        n = count < RING / 2 ? count : RING / 2;
        tail = (tail + n) % RING;
        set(TDT, tail);
        for (unsigned i = 0; reg(TDH) != tail; i++)
            if (i == PATIENCE) {
                guest_tap(false, "all are sent");
                return;
            }
    }
    guest_tap(true, "all are sent");
}

static void sink(unsigned count)
{
    unsigned n;

    print("# ready\n");
    while (count)
        if (receive(&n)) {
            release();
            count--;
        }
    guest_tap(1, "all have come");
}

static void one_buffer(unsigned count)
{
    unsigned n, i;

    set(RCTL, 0);
    while (receive(&n))
        release();
    rx_at = 0;
    set(RDH, 0);
    set(RDT, 1);
    set(RCTL, 1 << 1 | 1 << 15 | 1 << 26);
    print("# ready\n");
    for (; count; count--) {
        for (i = 0; !receive(&n) && i < PATIENCE; i++)
            ;
        if (i == PATIENCE)
            break;
        ((Rx *)RX_RING)[rx_at].status = 0;
        rx_at = (rx_at + 1) % RING;
        set(RDT, (rx_at + 1) % RING);
    }
    guest_tap(!count, "each has come");
}

static const char *number(const char *s, unsigned *to)
{
    for (*to = 0; *s >= '0' && *s <= '9'; s++)
        *to = *to * 10 + *s - '0';
    return *s == ',' ? s + 1 : s;
}

int network(void)
{
    char option[32];
    unsigned a = 0, b = 0;
    uint8_t me[4] = { 10, 9, 9, 0 };

    if (!guest_option(option, sizeof option))
        return 2;
    number(number(option + 1, &a), &b);
    start_card();
    me[3] = mac[5];
    switch (option[0]) {
    case 'l': loopback(a); break;
    case 'u': user(); break;
    case 'r': respond(me); break;
    case 'p': pings(a, me, b); break;
    case 't': transmit(a, b); break;
    case 's': sink(a); break;
    case 'o': one_buffer(a); break;
    default: return 3;
    }
    guest_end();
}
