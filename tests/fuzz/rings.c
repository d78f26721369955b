/*
 * A hostile network driver and a hostile network: random descriptor rings, registers and packets at the e1000 cards of a machine in this
 * process, without a CPU (-accel qtest).
 *
 * Transmit rings hold legacy, context and data descriptors that are nearly right: segmentation, checksums, tags, chains of more than
 * 64 KiB, buffers outside RAM, in the ring itself, in the card's registers; receive rings likewise, filled from a netdev of this
 * program and through the card's own loop-back. Rings may be of any size, anywhere, with head and tail outside of them. Nothing may
 * crash, hang or trip a sanitizer, no step may take long, and memory may not grow. In between the machine's state goes to a twin,
 * and the same traffic to both: packets that come out, memory and states must be the same.
 *
 * usage: rings [--steps N] [--seed N] [--twin N]
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "hw/net/e1000-int.h"
#include "tests/fuzz/librig.h"

enum { TWIN_EVERY = 2000, TWIN_STEPS = 100, SECONDS = 300, CARDS = 3, RING_MAX = 64, PORTIONS = 100000, SLOW_MS = 5000 };
#define BUF 0x200000u               /* buffers of both rings: 1 MiB */
#define BUF_BYTES 0x100000u
#define MS 1000000ull

/* The netdev behind a card. */
typedef struct Wire {
    NetClient client;
    bool closed;                    /* takes nothing */
    uint64_t packets, sum;          /* of what came out of the card */
} Wire;

static Rig *rig, *twin;
static bool both;                   /* the twin gets all that the rig gets */
static E1000 *cards[2][CARDS];
static Wire *wires[2][CARDS];
static unsigned card;               /* the one that this step is about */
static unsigned tap_count, tap_failed;
static uint64_t seed = 1, packets_in;
static char last_step[64];

static void tap(bool ok, const char *what, const char *why)
{
    printf("%sok %u - %s\n%s%s", ok ? "" : "not ", ++tap_count, what, ok ? "" : "# ", ok ? "" : why);
    fflush(stdout);
    tap_failed += !ok;
}

static void on_signal(int sig)
{
    char text[160];
    const int n = snprintf(text, sizeof(text), "not ok - rings, seed %" PRIu64 ", %s: signal %d%s\n", seed, last_step, sig,
                           sig == SIGALRM ? ": it hangs" : "");

    if (write(1, text, n) < 0) {
        _exit(2);
    }
    _exit(1);
}

/* ---- The wire ---- */

static bool wire_can_receive(NetClient *c)
{
    return !((Wire *)c)->closed;
}

static bool wire_receive(NetClient *c, const struct iovec *iov, unsigned n, size_t size)
{
    Wire *w = (Wire *)c;
    uint64_t sum = w->sum * 31 + size;

    for (unsigned i = 0; i < n; i++) {
        const uint8_t *p = iov[i].iov_base;

        for (size_t at = 0; at < iov[i].iov_len; at += 1 + iov[i].iov_len / 64) {
            sum = sum * 31 + p[at];
        }
        sum = iov[i].iov_len ? sum * 31 + p[iov[i].iov_len - 1] : sum;
    }
    w->sum = sum;
    w->packets++;
    return true;
}

static void wire_sent(NetClient *c)
{
}

static const NetClientType wire_type = {
    .name = "wire", .size = sizeof(Wire), .can_receive = wire_can_receive, .receive = wire_receive, .sent = wire_sent,
};

/* ---- Both machines ---- */

static unsigned below(unsigned n)
{
    return rnd_below(rig, n);
}

static void put(uint64_t addr, const void *data, unsigned n)
{
    mem_copy(rig->machine, addr, (void *)data, n, true);
    if (both) {
        mem_copy(twin->machine, addr, (void *)data, n, true);
    }
}

static void set(unsigned off, uint32_t v)
{
    for (unsigned i = 0; i <= both; i++) {
        E1000 *s = cards[i][card];

        mem_write(s->pci.dev.machine, pci_bar_addr(&s->pci, 0) + off, v, 4);
    }
}

static void get(unsigned off)
{
    for (unsigned i = 0; i <= both; i++) {
        E1000 *s = cards[i][card];

        mem_read(s->pci.dev.machine, pci_bar_addr(&s->pci, 0) + off, 4);
    }
}

/* Of the CPU's time: the machine may have others to serve. */
static int64_t cpu_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec * 1000ll + t.tv_nsec / 1000000;
}

/* Transmission goes on in bottom halves: what a hostile guest keeps a card busy with is its own affair, as long as others have their turn
 * in between. Returns the longest, in ms; -1: there is no end to it. */
static int64_t settle(void)
{
    int64_t longest = 0, began = cpu_ms(), now;

    for (unsigned i = 0; i < PORTIONS; i++, began = now) {
        if (!g_main_context_iteration(NULL, FALSE)) {
            return longest;
        }
        now = cpu_ms();
        longest = MAX(longest, now - began);
    }
    return -1;
}

static void wait_ns(uint64_t ns)
{
    clock_step(rig->machine, ns);
    if (both) {
        clock_step(twin->machine, ns);
    }
}

/* ---- Numbers that hurt ---- */

static uint64_t any_address(void)
{
    const uint64_t bar = pci_bar_addr(&cards[0][card]->pci, 0);

    switch (below(24)) {
    case 0: return 0;
    case 1: return rnd(rig);
    case 2: return RIG_RAM - below(4096);
    case 3: return UINT64_MAX - below(4096);
    case 4: return bar + below(MAC_BYTES);
    case 5: return 0xa0000 + below(0x60000);
    case 6: return 0xfffff000 + below(4096);
    case 7: return below(0x100000);
    default: return BUF + below(BUF_BYTES);
    }
}

static unsigned any_length(void)
{
    switch (below(12)) {
    case 0: return 0;
    case 1: return 0xffff - below(3);
    case 2: return below(0x10000);
    case 3: return 1 + below(16);
    case 4: return 4096 - below(2);
    default: return below(1600);
    }
}

static uint32_t ring_at(void)
{
    switch (below(16)) {
    case 0: return rnd(rig);
    case 1: return RIG_RAM - 16 * below(RING_MAX);
    case 2: return pci_bar_addr(&cards[0][card]->pci, 0) + 16 * below(0x800);
    case 3: return BUF + below(BUF_BYTES);          /* where packets go */
    default: return 0x100000 + 0x1000 * below(16);
    }
}

static unsigned ring_bytes(void)
{
    switch (below(20)) {
    case 0: return rnd(rig);
    case 1: return 0;
    case 2: return below(100) ? 0x1000 : 0xfffff;
    default: return 128 << below(4);
    }
}

static unsigned ring_index(unsigned n)
{
    return below(40) ? below(MAX(n, 1)) : rnd(rig);
}

/* ---- Transmission ---- */

/* What segmentation multiplies is seldom very much. */
static unsigned any_mss(void)
{
    return below(300) ? 64 + below(1500) : below(64);
}

static void context(uint8_t *d)
{
    const unsigned ip = below(8) ? 14 : below(256), tcp = below(8) ? ip + 20 : below(256);
    const unsigned header = below(8) ? tcp + 20 : below(256);
    const bool tse = below(3);

    d[0] = ip;
    d[1] = below(8) ? ip + 10 : below(256);
    pci_set16(d + 2, below(8) ? tcp - 1 : rnd(rig));
    d[4] = tcp;
    d[5] = below(8) ? tcp + 16 : below(256);
    pci_set16(d + 6, below(8) ? 0 : rnd(rig));
    pci_set32(d + 8, below(0x100000) | (below(8) ? 1u << 24 : 0) | (below(3) ? 1u << 25 : 0) | (tse ? 1u << 26 : 0) | 1u << 29 |
                     (below(2) ? 1u << 27 : 0));
    d[12] = 0;
    d[13] = header;
    pci_set16(d + 14, any_mss());
}

static void transmit_descriptor(uint8_t *d)
{
    const uint64_t addr = any_address();
    uint32_t lower = any_length() | (uint32_t)rnd(rig) << 24;

    pci_set32(d, addr);
    pci_set32(d + 4, addr >> 32);
    switch (below(8)) {
    case 0: case 1:
        context(d);
        return;
    case 2:
        lower &= ~(1u << 29);
        break;
    case 3:
        lower = rnd(rig);
        break;
    default:
        lower = (lower & 0x0500ffff) | 1u << 29 | 1u << 20 | (below(4) ? 1u << 27 : 0) | (below(8) ? 0 : 1u << 30);
        lower |= below(20) ? 0 : below(16) << 16;
        break;
    }
    if (!below(3)) {
        lower &= ~(1u << 24);       /* the packet goes on */
    }
    pci_set32(d + 8, lower);
    d[12] = rnd(rig);
    d[13] = rnd(rig) & 3;
    pci_set16(d + 14, rnd(rig));
}

static void random_transmit(void)
{
    const unsigned n = 1 + below(RING_MAX), bytes = below(4) ? MAX(128, (n + 1) * 16 + 127) & ~127u : ring_bytes();
    const unsigned size = (bytes & 0xfff80) / 16;
    const uint32_t at = ring_at();
    uint8_t d[RING_MAX * 16];

    for (unsigned i = 0; i < n; i++) {
        transmit_descriptor(d + 16 * i);
    }
    put(at & ~15u, d, n * 16);
    set(TCTL, below(30) ? 0 : TCTL_EN);
    set(TDBAL, at);
    set(TDBAH, below(50) ? 0 : rnd(rig));
    set(TDLEN, bytes);
    set(TDH, below(3) ? 0 : ring_index(size));
    set(TDT, below(3) ? n : ring_index(MIN(size, 256)));
    set(TCTL, below(20) ? TCTL_EN : rnd(rig));
}

/* ---- Reception ---- */

static void receive_ring(void)
{
    const unsigned n = 1 + below(RING_MAX), bytes = below(4) ? MAX(128, (n + 1) * 16 + 127) & ~127u : ring_bytes();
    const unsigned size = (bytes & 0xfff80) / 16;
    const uint32_t at = ring_at();
    uint8_t d[RING_MAX * 16] = { 0 };

    for (unsigned i = 0; i < n; i++) {
        const uint64_t addr = any_address();

        pci_set32(d + 16 * i, addr);
        pci_set32(d + 16 * i + 4, addr >> 32);
        d[16 * i + 12] = below(4) ? 0 : rnd(rig);
    }
    put(at & ~15u, d, n * 16);
    set(RCTL, below(4) ? 0 : RCTL_EN);
    set(RDBAL, at);
    set(RDBAH, below(50) ? 0 : rnd(rig));
    set(RDLEN, bytes);
    set(RDH, below(2) ? 0 : ring_index(size));
    set(RDT, below(2) ? n : ring_index(size));
    set(RCTL, below(3) ? RCTL_EN | RCTL_UPE | RCTL_MPE | RCTL_BAM | (rnd(rig) & 0x06070020) : rnd(rig));
}

static void incoming(void)
{
    static uint8_t p[NET_MAX_PACKET + 4];
    unsigned size;

    switch (below(12)) {
    case 0: size = 1 + below(NET_MAX_PACKET); break;
    case 1: size = 1 + below(60); break;
    case 2: size = 16380 + below(8); break;
    case 3: size = 1514 + below(16); break;
    default: size = 60 + below(1500); break;
    }
    for (unsigned i = 0; i < MIN(size, 64); i += 8) {
        const uint64_t v = rnd(rig);

        memcpy(p + i, &v, 8);
    }
    switch (below(4)) {
    case 0: memset(p, 0xff, 6); break;
    case 1: memcpy(p, cards[0][card]->mac + RA / 4, 6); break;
    }
    if (below(3)) {
        p[12] = 0x81;
        p[13] = 0;
    }
    packets_in++;
    for (unsigned i = 0; i <= both; i++) {
        const unsigned cut = size / 3;
        const struct iovec v[3] = { { p, cut }, { p + cut, 0 }, { p + cut, size - cut } };

        if (size & 1) {
            net_send_buf(&wires[i][card]->client, p, size);
        } else {
            net_send(&wires[i][card]->client, v, 3);
        }
    }
}

/* ---- All the rest ---- */

static void phy(unsigned n, uint16_t v)
{
    set(MDIC, 1u << 26 | 1u << 21 | n << 16 | v);
}

static void wire_switch(bool closed)
{
    for (unsigned i = 0; i <= both; i++) {
        Wire *w = wires[i][card];

        w->closed = closed;
        if (!closed) {
            net_flush(&w->client);
        }
    }
}

static void bus_master(bool on)
{
    for (unsigned i = 0; i <= both; i++) {
        const Op op = { .kind = OP_CONFIG, .write = true, .size = 2, .addr = (uint64_t)cards[i][card]->pci.devfn << 8 | 4,
                        .value = on ? 7 : 3 };

        rig_do(i ? twin : rig, &op);
    }
}

static void random_register(void)
{
    static const uint16_t regs[] = {
        CTRL, STATUS, EECD, EERD, MDIC, VET, ICR, ITR, ICS, IMS, IMC, RCTL, TCTL, RDBAL, RDBAH, RDLEN, RDH, RDT, RDTR, RADV, TDBAL,
        TDBAH, TDLEN, TDH, TDT, TXDCTL, TADV, TORL, TOTH, MTA, RA, RA + 4, RA + 8, RA + 12, VFTA, MANC, GPRC,
    };
    const unsigned off = below(8) ? regs[below(G_N_ELEMENTS(regs))] : below(MAC_BYTES) & ~3u;

    if (below(4)) {
        set(off, off == TDT || off == TDH || off == RDT ? below(300) : rnd_value(rig));
    } else {
        get(off);
    }
}

/* A few times as often as what follows: cards work. */
static void repair(void)
{
    set(CTRL, below(3) ? 1u << 6 : 1u << 6 | CTRL_VME);
    set(TCTL, TCTL_EN);
    set(VET, 0x8100);
    phy(0, below(2) ? 0x0140 : 0x4140);
    bus_master(true);
    wire_switch(false);
    set(IMS, below(2) ? ~0u : 0);
}

static void step(void)
{
    const unsigned what = below(40);

    card = below(CARDS);
    snprintf(last_step, sizeof last_step, "kind %u at card %u", what, card);
    switch (what) {
    case 0: repair(); break;
    case 1: wire_switch(below(3) == 0); break;
    case 2: wait_ns(rnd_below(rig, 2000) * 1000); break;
    case 3: bus_master(below(8)); break;
    case 4: phy(below(8) ? 0 : below(32), below(2) ? 0x4140 : rnd(rig)); break;
    case 5: wait_ns(MS * 600); break;
    case 6: case 7: case 8: case 9: receive_ring(); break;
    case 10: case 11: case 12: case 13: case 14: random_register(); break;
    case 15: case 16: case 17: case 18: case 19: case 20: case 21: case 22: case 23: case 24: case 25: case 26:
        incoming();
        break;
    default: random_transmit(); break;
    }
}

static bool timed_step(GString *why)
{
    const int64_t began = cpu_ms();
    int64_t took, longest;

    step();
    took = cpu_ms() - began;
    longest = settle();
    if (longest < 0) {
        g_string_append(why, "a ring that never ends\n");
    } else if (MAX(took, longest) > SLOW_MS) {
        g_string_append_printf(why, "a step took %" PRId64 " ms, then one of %" PRId64 "\n", took, longest);
    }
    return longest >= 0 && MAX(took, longest) <= SLOW_MS;
}

/* ---- The twin ---- */

static bool same_memory(GString *why)
{
    RamBlock *a = g_ptr_array_index(rig->machine->ram_blocks, 0), *b = g_ptr_array_index(twin->machine->ram_blocks, 0);

    if (!memcmp(a->host, b->host, MIN(a->size, b->size))) {
        return true;
    }
    for (uint64_t i = 0; i < a->size; i++) {
        if (a->host[i] != b->host[i]) {
            g_string_append_printf(why, "%s at 0x%" PRIx64 ": the original has 0x%x, the twin 0x%x\n", a->name, i, a->host[i],
                                   b->host[i]);
            break;
        }
    }
    return false;
}

static bool same_packets(GString *why)
{
    for (unsigned i = 0; i < CARDS; i++) {
        const Wire *a = wires[0][i], *b = wires[1][i];

        if (a->packets != b->packets || a->sum != b->sum) {
            g_string_append_printf(why, "card %u: the original has sent %" PRIu64 " packets, the twin %" PRIu64 "%s\n", i, a->packets,
                                   b->packets, a->packets == b->packets ? ", others" : "");
            return false;
        }
    }
    return true;
}

/* Packets in the queues of the network are not in a machine's state: none may wait. */
static void quiet(void)
{
    both = true;
    for (card = 0; card < CARDS; card++) {
        wire_switch(false);
        net_purge(&wires[0][card]->client);
        net_purge(&wires[1][card]->client);
    }
    both = false;
    settle();
}

static bool compare_twin(unsigned steps, GString *why)
{
    bool ok;

    quiet();
    ok = rig_copy(rig, twin, why);
    for (unsigned i = 0; i < CARDS; i++) {
        wires[1][i]->closed = wires[0][i]->closed;
        wires[1][i]->packets = wires[0][i]->packets;
        wires[1][i]->sum = wires[0][i]->sum;
    }
    settle();
    ok = ok && rig_same(rig, twin, why) && same_memory(why);
    both = true;
    for (unsigned i = 0; ok && i < steps; i++) {
        ok = timed_step(why) && same_packets(why);
        if (!ok) {
            g_string_append_printf(why, "step %u after the copy, %s\n", i, last_step);
            rig_same(rig, twin, why);
        }
    }
    both = false;
    return ok && rig_same(rig, twin, why) && same_memory(why);
}

/* ---- Main ---- */

static bool find_card(Device *d, void *opaque)
{
    const unsigned i = *(unsigned *)opaque;
    unsigned n = 0;

    if (!strstr(d->type->name, "e1000")) {
        return true;
    }
    while (n < CARDS && cards[i][n]) {
        n++;
    }
    if (n < CARDS) {
        cards[i][n] = DEVICE(d, E1000);
        wires[i][n] = (Wire *)net_client_new(&wire_type, cards[i][n]->nic.client, "wire", NULL);
    }
    return true;
}

static uint64_t memory_used(void)
{
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");

    if (f && fscanf(f, "%*u %lu", &pages) != 1) {
        pages = 0;
    }
    if (f) {
        fclose(f);
    }
    return (uint64_t)pages * 4096;
}

static bool run(unsigned steps, unsigned twin_steps, GString *why)
{
    uint64_t before = 0, after;
    bool ok = true;

    for (unsigned i = 0; i < steps && ok; i++) {
        if (i % TWIN_EVERY == TWIN_EVERY / 2) {
            alarm(SECONDS);
            ok = !twin_steps || compare_twin(twin_steps, why);
        }
        ok = ok && timed_step(why);
        if (!ok) {
            g_string_append_printf(why, "at step %u\n", i);
        }
        if (i == steps / 2) {
            before = memory_used();
        }
    }
    after = memory_used();
    printf("# %" PRIu64 " packets in, %" PRIu64 " out; %" PRIu64 " MiB in the middle, %" PRIu64 " in the end\n", packets_in,
           wires[0][0]->packets + wires[0][1]->packets + wires[0][2]->packets, before >> 20, after >> 20);
    if (ok && after > before + (64u << 20)) {
        g_string_append(why, "memory grows\n");
        ok = false;
    }
    return ok;
}

int main(int argc, char **argv)
{
    unsigned steps = 20000, twin_steps = TWIN_STEPS, i;
    g_autoptr(GString) why = g_string_new(NULL);
    bool ok;

    for (i = 1; i + 1 < (unsigned)argc; i += 2) {
        if (strcmp(argv[i], "--steps") == 0) {
            steps = atoi(argv[i + 1]);
        } else if (strcmp(argv[i], "--seed") == 0) {
            seed = strtoull(argv[i + 1], NULL, 0);
        } else if (strcmp(argv[i], "--twin") == 0) {
            twin_steps = atoi(argv[i + 1]);
        }
    }
    signal(SIGALRM, on_signal);
    signal(SIGABRT, on_signal);
    rig = rig_new(0);
    twin = rig_new(1);
    rnd_seed(rig, seed);
    rig_reset(rig);
    rig_reset(twin);
    i = 0;
    machine_foreach_device(rig->machine, find_card, &i);
    i = 1;
    machine_foreach_device(twin->machine, find_card, &i);
    net_set_running(true);
    tap(cards[0][CARDS - 1] && cards[1][CARDS - 1], "three cards each", "there are fewer\n");
    alarm(SECONDS);
    for (card = 0; card < CARDS; card++) {
        repair();
    }
    ok = run(steps, twin_steps, why);
    tap(ok, "random rings, and the twin does the same", why->str);
    printf("1..%u\n", tap_count);
    fflush(stdout);
    rig_cleanup();
    _exit(tap_failed != 0);
}
