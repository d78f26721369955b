/*
 * A hostile guest of the user network, and hostile peers of the netdevs on sockets: random and mutated frames into net/slirp.c's module,
 * streams with lengths that lie, datagrams of all sizes. Nothing may crash, hang or trip a sanitizer; descriptors and memory stay bounded.
 *
 * Frames are ARP, IP fragments, ICMP, UDP with DHCP, DNS and TFTP inside, TCP that answers what it is answered, IPv6 with neighbour
 * discovery, echo, UDP and TCP; nearly right, with sums that are often mended after a mutation. It all happens in a network namespace
 * of this program's own, where only the loop-back interface is: without one every stack is restricted.
 *
 * usage: slirp [--steps N] [--seed N]
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "net/net.h"
#include "net/user.h"
#include "util/error.h"
#include "util/loop.h"

enum { SECONDS = 300, STACKS = 2, PORT = 4007, FRAME = 2048, RENEW = 5000, FDS = 512, SLOW_MS = 5000 };

typedef struct Guest {
    NetClient client;
    uint8_t last[FRAME];            /* the last frame that came: answers are made of it */
    size_t last_len;
} Guest;

static uint64_t seed = 1, state[2], now_ns, frames_out, frames_in;
static bool own_network;
static unsigned tap_count, tap_failed;
static Guest *guests[STACKS];
static Guest *stream_end, *dgram_end;
static int stream_fd = -1, dgram_fd = -1, next_fd = -1;
static char *tftp_folder;

static void tap(bool ok, const char *what, const char *why)
{
    printf("%sok %u - %s\n%s%s", ok ? "" : "not ", ++tap_count, what, ok ? "" : "# ", ok ? "" : why);
    fflush(stdout);
    tap_failed += !ok;
}

static void on_signal(int sig)
{
    char text[128];
    const int n = snprintf(text, sizeof text, "not ok - slirp, seed %lu: signal %d%s\n", (unsigned long)seed, sig,
                           sig == SIGALRM ? ": it hangs" : "");

    if (write(1, text, n) < 0)
        _exit(2);
    _exit(1);
}

static uint64_t rnd(void)
{
    uint64_t a = state[0], b = state[1];

    state[0] = b;
    a ^= a << 23;
    state[1] = a ^ b ^ a >> 18 ^ b >> 5;
    return state[1] + b;
}

static unsigned below(unsigned n)
{
    return (rnd() >> 16) % n;
}

/* ---- The guest's card ---- */

static bool guest_can_receive(NetClient *c)
{
    return true;
}

static bool guest_receive(NetClient *c, const struct iovec *iov, unsigned n, size_t size)
{
    Guest *g = (Guest *)c;

    g->last_len = 0;
    for (unsigned i = 0; i < n; i++) {
        const size_t part = MIN(iov[i].iov_len, sizeof g->last - g->last_len);

        memcpy(g->last + g->last_len, iov[i].iov_base, part);
        g->last_len += part;
    }
    frames_in++;
    return true;
}

static void guest_sent(NetClient *c)
{
}

static const NetClientType guest_type = {
    .name = "guest", .size = sizeof(Guest), .can_receive = guest_can_receive, .receive = guest_receive, .sent = guest_sent,
};

/* ---- Frames ---- */

static void put16(uint8_t *p, unsigned v)
{
    p[0] = v >> 8;
    p[1] = v;
}

static unsigned get16(const uint8_t *p)
{
    return p[0] << 8 | p[1];
}

static void fill(uint8_t *p, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        p[i] = below(3) ? 'a' + below(26) : rnd();
}

static unsigned checksum(const uint8_t *p, unsigned n, uint32_t sum)
{
    for (; n > 1; p += 2, n -= 2)
        sum += get16(p);
    if (n)
        sum += p[0] << 8;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return ~sum & 0xffff;
}

static const uint8_t mac[6] = { 0x52, 0x54, 0, 0x12, 0x34, 0x56 };
static const uint8_t addresses[][4] = {
    { 10, 0, 2, 2 }, { 10, 0, 2, 2 }, { 10, 0, 2, 3 }, { 10, 0, 2, 15 }, { 10, 0, 2, 255 }, { 255, 255, 255, 255 }, { 127, 0, 0, 1 },
    { 10, 0, 2, 100 }, { 0, 0, 0, 0 },
};

static void ethernet(uint8_t *f, unsigned type)
{
    static const uint8_t gateway[6] = { 0x52, 0x55, 10, 0, 2, 2 };

    if (below(3))
        memcpy(f, gateway, 6);
    else
        memset(f, 0xff, 6);
    memcpy(f + 6, mac, 6);
    put16(f + 12, type);
}

static unsigned arp(uint8_t *f)
{
    static const uint8_t head[] = { 0, 1, 8, 0, 6, 4, 0, 1 };

    ethernet(f, 0x0806);
    memcpy(f + 14, head, 8);
    f[21] = 1 + below(2);
    memcpy(f + 22, mac, 6);
    memcpy(f + 28, addresses[3], 4);
    memcpy(f + 38, addresses[below(G_N_ELEMENTS(addresses))], 4);
    return 42;
}

/* Sums of an IPv4 frame's headers, as far as they are there. */
static void mend(uint8_t *f, unsigned n)
{
    const unsigned hl = (f[14] & 15) * 4, total = get16(f + 16), at = 14 + hl;
    unsigned len, off;
    uint32_t pseudo;

    if (n < 34 || get16(f + 12) != 0x0800 || hl < 20 || at > n)
        return;
    put16(f + 24, 0);
    put16(f + 24, checksum(f + 14, hl, 0));
    if (total < hl || 14 + total > n)
        return;
    len = total - hl;
    pseudo = f[23] + len + get16(f + 26) + get16(f + 28) + get16(f + 30) + get16(f + 32);
    off = f[23] == 6 ? 16 : f[23] == 17 ? 6 : f[23] == 1 ? 2 : 0;
    if (!off || len < off + 2)
        return;
    put16(f + at + off, 0);
    put16(f + at + off, checksum(f + at, len, f[23] == 1 ? 0 : pseudo));
}

static unsigned ip(uint8_t *f, unsigned protocol, const uint8_t *to, unsigned payload)
{
    static const uint8_t head[] = { 0x45, 0, 0, 0, 0, 0, 0, 0, 64 };

    ethernet(f, 0x0800);
    memcpy(f + 14, head, sizeof head);
    put16(f + 16, 20 + payload);
    put16(f + 18, rnd());
    put16(f + 20, below(12) ? 0x4000 : (rnd() & 0x2000) | below(40));
    f[23] = protocol;
    memcpy(f + 26, addresses[3], 4);
    memcpy(f + 30, to, 4);
    return 34 + payload;
}

static unsigned icmp(uint8_t *f)
{
    const unsigned n = 8 + below(below(10) ? 64 : 1400);

    fill(f + 34, n);
    f[34] = below(4) ? 8 : below(20);
    f[35] = 0;
    return ip(f, 1, addresses[below(G_N_ELEMENTS(addresses))], n);
}

static unsigned dhcp(uint8_t *p)
{
    static const uint8_t codes[] = { 12, 50, 51, 53, 54, 55, 60, 61, 77, 93, 0, 255 };
    unsigned n = 240;

    memset(p, 0, 240);
    p[0] = 1 + below(2);
    p[1] = 1;
    p[2] = 6;
    memcpy(p + 28, mac, 6);
    memcpy(p + 236, "\x63\x82\x53\x63\x35\x01", 6);
    p[242] = 1 + below(8);
    for (n = 243; n < 500 && below(6);) {
        const unsigned len = below(12);

        p[n] = codes[below(sizeof codes)];
        p[n + 1] = below(20) ? len : rnd();
        fill(p + n + 2, len);
        n += 2 + len;
    }
    p[n++] = below(8) ? 255 : 0;
    return n;
}

static unsigned dns(uint8_t *p)
{
    unsigned n = 12;

    memset(p, 0, 12);
    put16(p, rnd());
    p[2] = 1;
    p[5] = 1 + below(3);
    while (n < 300 && below(4)) {
        const unsigned len = below(64);

        p[n] = below(10) ? len : 0xc0;
        fill(p + n + 1, len);
        n += 1 + len;
    }
    p[n++] = 0;
    put16(p + n, 1 + below(40));
    put16(p + n + 2, 1);
    return n + 4;
}

static unsigned tftp(uint8_t *p)
{
    static const char *const names[] = { "hello", "../hello", "/hello", "../../../../etc/hostname", "", "sub/../hello", "nothing" };
    int n = 2;

    p[0] = 0;
    p[1] = below(5) ? 1 : below(8);
    if (p[1] != 1) {
        put16(p + 2, below(4));
        fill(p + 4, 40);
        return 4 + below(40);
    }
    n += sprintf((char *)p + n, "%s", names[below(G_N_ELEMENTS(names))]) + 1;
    n += sprintf((char *)p + n, "%s", below(4) ? "octet" : "netascii") + 1;
    while (below(2))
        n += sprintf((char *)p + n, "%s%c%u", below(2) ? "blksize" : below(2) ? "tsize" : "timeout", 0, below(70000)) + 1;
    return below(20) ? n : n - 1;
}

static unsigned udp(uint8_t *f)
{
    static const uint16_t ports[] = { 67, 53, 69, PORT, 7, 1, 0, 547 };
    const uint8_t *to = addresses[below(G_N_ELEMENTS(addresses))];
    const unsigned port = below(10) ? ports[below(G_N_ELEMENTS(ports))] : rnd() & 0xffff;
    unsigned n;

    switch (port) {
    case 67: n = dhcp(f + 42); break;
    case 53: n = dns(f + 42); break;
    case 69: n = tftp(f + 42); break;
    default: n = below(below(10) ? 100 : 1472); fill(f + 42, n); break;
    }
    put16(f + 34, port == 67 ? 68 : 1024 + below(8));
    put16(f + 36, port);
    put16(f + 38, below(40) ? 8 + n : rnd());
    return ip(f, 17, to, 8 + n);
}

/* A segment that the other side's last one asks for, or any. */
static unsigned tcp(uint8_t *f, const Guest *g)
{
    const uint8_t *last = g->last;
    const bool answer = below(4) && g->last_len >= 54 && get16(last + 12) == 0x0800 && last[23] == 6;
    const unsigned n = below(4) ? 0 : below(below(8) ? 200 : 1400), options = below(6) ? 0 : 4 * below(11);
    uint8_t *t = f + 34;

    memset(t, 0, 20);
    t[12] = (5 + options / 4) << 4;
    put16(t + 14, below(8) ? 0x2000 : rnd());
    fill(t + 20, options + n);
    if (answer) {
        const unsigned syn = last[47] >> 1 & 1, fin = last[47] & 1, len = MAX((int)get16(last + 16) - 20 - (last[46] >> 4) * 4, 0);
        const uint32_t seq = (uint32_t)get16(last + 38) << 16 | get16(last + 40), ack = seq + len + syn + fin;

        memcpy(t, last + 36, 2);
        memcpy(t + 2, last + 34, 2);
        memcpy(t + 4, last + 42, 4);
        put16(t + 8, ack >> 16);
        put16(t + 10, ack);
        t[13] = 0x10 | (n ? 8 : 0) | (below(8) ? 0 : 1) | (below(20) ? 0 : 4) | (below(40) ? 0 : 0x20);
        return ip(f, 6, last + 26, 20 + options + n);
    }
    put16(t, 1024 + below(64));
    put16(t + 2, below(4) ? PORT : below(2) ? 80 : rnd() & 0xffff);
    put16(t + 4, rnd());
    put16(t + 6, rnd());
    t[13] = below(3) ? 2 : rnd();
    return ip(f, 6, addresses[below(G_N_ELEMENTS(addresses))], 20 + options + n);
}

static unsigned ipv6(uint8_t *f)
{
    static const uint8_t types[] = { 128, 133, 134, 135, 136, 137, 1 }, nexts[] = { 58, 58, 58, 58, 17, 6, 0, 44 };
    const unsigned next = nexts[below(sizeof nexts)];
    unsigned n = 8 + below(64);
    uint32_t pseudo = next;
    uint8_t *p = f + 54;

    ethernet(f, 0x86dd);
    memset(f + 14, 0, 40);
    f[14] = 0x60;
    f[20] = next;
    f[21] = below(8) ? 255 : rnd();
    memcpy(f + 22, below(2) ? "\xfe\x80\0\0\0\0\0\0" : "\xfe\xc0\0\0\0\0\0\0", 8);
    memcpy(f + 30, "\x50\x54\0\xff\xfe\x12\x34\x56", 8);
    memcpy(f + 38, below(2) ? "\xfe\xc0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02" : below(2) ? "\xff\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\x02" :
           below(2) ? "\xff\x02\0\0\0\0\0\0\0\0\0\1\xff\0\0\x02" : "\xfe\xc0\0\0\0\0\0\0\0\0\0\0\0\0\0\x03", 16);
    fill(p, n);
    if (next == 58) {
        p[0] = types[below(sizeof types)];
        p[1] = 0;
        if (p[0] == 135 || p[0] == 136) {
            n = below(4) ? 32 : n;
            memset(p + 4, 0, 4);
            memcpy(p + 8, f + 38, 16);
            p[24] = 1 + below(2);
            p[25] = below(8) ? 1 : rnd();
        }
    } else if (next == 17 || next == 6) {
        put16(p, 1024 + below(8));
        put16(p + 2, below(3) ? below(2) ? 547 : 69 : PORT);
        put16(p + 4, next == 17 ? n : rnd());
    }
    put16(f + 18, below(30) ? n : rnd());
    for (unsigned i = 22; i < 54; i += 2)
        pseudo += get16(f + i);
    if (next == 58 || next == 17) {
        uint8_t *sum = p + (next == 58 ? 2 : 6);

        put16(sum, 0);
        put16(sum, checksum(p, n, pseudo + n));
    }
    return 54 + n;
}

static void mutate(uint8_t *f, unsigned *n)
{
    for (unsigned i = 1 + below(4); i; i--) {
        switch (below(8)) {
        case 0: *n = below(*n + 1); break;
        case 1: *n = MIN(*n + below(64), FRAME - 1); break;
        case 2: f[below(*n + 1)] = rnd(); break;
        case 3: f[14 + below(60)] = rnd(); break;
        case 4: f[12 + below(12)] ^= 1 << below(8); break;
        case 5: put16(f + 16, rnd()); break;
        default: f[below(*n + 1)] ^= 1 << below(8); break;
        }
    }
}

static void frame(Guest *g)
{
    uint8_t f[FRAME + 64];
    unsigned n;

    memset(f, 0, sizeof f);
    switch (below(12)) {
    case 0: n = arp(f); break;
    case 1: n = icmp(f); break;
    case 2: case 3: case 4: n = udp(f); break;
    case 5: case 6: case 7: case 8: n = tcp(f, g); break;
    case 9: case 10: n = ipv6(f); break;
    default:
        n = below(FRAME);
        fill(f, n);
        put16(f + 12, below(2) ? 0x88f8 : rnd());
        break;
    }
    if (below(2))
        mend(f, n);
    if (!below(3)) {
        mutate(f, &n);
        if (below(2))
            mend(f, n);
    } else {
        mend(f, n);
    }
    frames_out++;
    net_send_buf(&g->client, f, n);
}

/* ---- Netdevs ---- */

static uint64_t clock_now(void *opaque)
{
    return now_ns;
}

static bool always(void *opaque)
{
    return true;
}

static int get_fd(const char *name, GError **err)
{
    return next_fd;
}

static Guest *attach(const char *netdev)
{
    g_autoptr(GError) err = NULL;
    NetClient *c = net_add_netdev(netdev, &err);

    if (!c) {
        printf("not ok - -netdev %s: %s\n", netdev, err->message);
        exit(1);
    }
    return (Guest *)net_client_new(&guest_type, c, "guest", NULL);
}

static void detach(Guest **g)
{
    NetClient *c = *g ? (*g)->client.peer : NULL;

    if (*g)
        net_client_free(&(*g)->client);
    if (c)
        net_client_free(c);
    *g = NULL;
}

static void new_stack(unsigned i)
{
    const bool restricted = !own_network || below(2);
    g_autofree char *text = g_strdup_printf("user,id=u%u,restrict=%s,tftp=%s,bootfile=hello,hostname=%s,dnssearch=example.org,"
                                            "domainname=here,guestfwd=tcp:10.0.2.100:%u-null",
                                            i, restricted ? "on" : "off", tftp_folder, below(2) ? "guest" : "", 80 + i);

    detach(&guests[i]);
    guests[i] = attach(text);
}

/* The state of one stack goes into another, as a migration takes it. */
typedef struct Bytes { const GByteArray *from; size_t at; } Bytes;

static bool take(void *opaque, void *buf, size_t n)
{
    Bytes *b = opaque;

    if (n > b->from->len - b->at)
        return false;
    memcpy(buf, b->from->data + b->at, n);
    b->at += n;
    return true;
}

static bool move(GString *why)
{
    g_autoptr(GByteArray) saved = g_byte_array_new(), again = g_byte_array_new();
    const int version = net_user_save(guests[0]->client.peer, saved);
    g_autoptr(GError) err = NULL;
    Bytes b = { saved, 0 };

    if (version < 0)
        return true;
    detach(&guests[0]);                 /* two can't have the same forwarded port */
    detach(&guests[1]);
    guests[1] = attach("user,id=u1,restrict=on,guestfwd=tcp:10.0.2.100:80-null");
    if (!net_user_load(guests[1]->client.peer, version, take, &b, &err)) {
        g_string_append_printf(why, "a saved stack is not loaded: %s\n", err ? err->message : "?");
        return false;
    }
    net_user_save(guests[1]->client.peer, again);
    return true;
}

static void new_stream(void)
{
    int pair[2];

    detach(&stream_end);
    if (stream_fd >= 0)
        close(stream_fd);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
        exit(1);
    stream_fd = pair[0];
    next_fd = pair[1];
    stream_end = attach("socket,id=s,fd=9");
}

static void new_dgram(void)
{
    int pair[2];

    detach(&dgram_end);
    if (dgram_fd >= 0)
        close(dgram_fd);
    if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
        exit(1);
    dgram_fd = pair[0];
    next_fd = pair[1];
    dgram_end = attach("dgram,id=d,local.type=fd,local.str=9");
}

/* Lengths and packets that are not always whole, or of a length that is none. */
static void stream_bytes(void)
{
    static uint8_t p[80000];
    unsigned n = 0;

    while (n < 4000 && below(4)) {
        const unsigned len = below(40) ? below(300) : below(5) ? NET_MAX_PACKET + below(3) - 1 : (uint32_t)rnd();

        put16(p + n, len >> 16);
        put16(p + n + 2, len);
        n += 4;
        n += below(10) ? MIN(len, below(8) ? 4000u : 70000u) : below(300);
    }
    if (send(stream_fd, p, below(6) ? n : below(n + 1), MSG_NOSIGNAL) < 0 && errno != EAGAIN)
        new_stream();
    if (!below(200))
        new_stream();
    while (recv(stream_fd, p, sizeof p, 0) > 0)
        ;
    net_send_buf(&stream_end->client, p, 1 + below(3000));
}

static void datagram(void)
{
    static uint8_t p[80000];

    if (send(dgram_fd, p, below(20) ? below(2000) : below(sizeof p), MSG_NOSIGNAL) < 0 && errno != EAGAIN && errno != EMSGSIZE)
        new_dgram();
    while (recv(dgram_fd, p, sizeof p, 0) > 0)
        ;
    net_send_buf(&dgram_end->client, p, 1 + below(3000));
}

static void no_log(const char *domain, GLogLevelFlags level, const char *text, gpointer opaque)
{
}

/* ---- Main ---- */

/* A network with nothing but loop-back, and two that listen there. */
static void isolate(void)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct ifreq r = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
    int s, u;

    if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
        return;
    s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    u = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (s < 0 || u < 0 || ioctl(s, SIOCSIFFLAGS, &r) < 0)
        return;
    own_network = bind(s, (struct sockaddr *)&a, sizeof a) == 0 && listen(s, 16) == 0 && bind(u, (struct sockaddr *)&a, sizeof a) == 0;
}

static int64_t cpu_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec * 1000ll + t.tv_nsec / 1000000;
}

static unsigned long memory_pages(void)
{
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");

    if (f && fscanf(f, "%*u %lu", &pages) != 1)
        pages = 0;
    if (f)
        fclose(f);
    return pages;
}

static bool step(unsigned i, GString *why)
{
    const int64_t began = cpu_ms();
    bool ok = true;

    switch (below(16)) {
    case 0: stream_bytes(); break;
    case 1: datagram(); break;
    default: frame(guests[below(STACKS)]); break;
    }
    now_ns += below(50) ? below(1000000) : 1000000000ull * below(20);
    if (!below(4))
        for (unsigned n = 0; n < 20 && g_main_context_iteration(NULL, FALSE); n++)
            ;
    if (i % RENEW == RENEW - 1) {
        alarm(SECONDS);
        ok = move(why);
        detach(&guests[1]);
        new_stack(0);
        new_stack(1);
    }
    if (cpu_ms() - began > SLOW_MS) {
        g_string_append(why, "it takes long\n");
        ok = false;
    }
    return ok;
}

static bool run(unsigned steps, GString *why)
{
    unsigned long before = 0, after;
    bool ok = true;
    unsigned i;

    for (i = 0; i < steps && ok; i++) {
        ok = step(i, why);
        if (i == steps / 2)
            before = memory_pages();
    }
    after = memory_pages();
    printf("# %u steps, %" G_GUINT64_FORMAT " frames; %lu MiB in the middle, %lu in the end; %s\n", i, frames_out, before >> 8, after >> 8,
           own_network ? "restricted or not" : "restricted only: no network of its own");
    if (ok && after > before + (64u << 8)) {
        g_string_append(why, "memory grows\n");
        ok = false;
    }
    return ok;
}

int main(int argc, char **argv)
{
    const NetHost host = { .now_ns = clock_now, .running = always, .get_fd = get_fd };
    const struct rlimit files = { FDS, FDS };
    g_autoptr(GString) why = g_string_new(NULL);
    g_autofree char *hello = NULL;
    unsigned steps = 20000;
    bool ok;

    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--steps") == 0)
            steps = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--seed") == 0)
            seed = strtoull(argv[i + 1], NULL, 0);
    }
    signal(SIGALRM, on_signal);
    signal(SIGABRT, on_signal);
    setrlimit(RLIMIT_NOFILE, &files);
    state[0] = seed * 0x9e3779b97f4a7c15 + 1;
    state[1] = ~seed;
    isolate();
    tftp_folder = g_dir_make_tmp("vmemu-slirp-XXXXXX", NULL);
    hello = g_build_filename(tftp_folder, "hello", NULL);
    g_file_set_contents(hello, "hello, world", -1, NULL);
    net_init(&host);
    g_log_set_handler("Slirp", G_LOG_LEVEL_MASK, no_log, NULL);
    alarm(SECONDS);
    for (unsigned i = 0; i < STACKS; i++)
        new_stack(i);
    new_stream();
    new_dgram();
    ok = run(steps, why);
    tap(ok, "hostile frames, streams and datagrams", why->str);
    tap(frames_in > steps / 100, "the stacks answer", "they don't\n");
    printf("1..%u\n", tap_count);
    fflush(stdout);
    unlink(hello);
    rmdir(tftp_folder);
    _exit(tap_failed != 0);
}
