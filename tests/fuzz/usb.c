/*
 * A hostile USB driver: random transfers, descriptors of transfers and queues at a UHCI controller with hubs, HID devices and disks
 * behind it, in this process, without a CPU (-accel qtest).
 *
 * Devices are enumerated as a driver does, so that most of what follows reaches them: control requests that are nearly right, SCSI
 * commands in command blocks that are nearly right, data phases of wrong lengths and directions; then queues that lead in circles,
 * to themselves, outside of RAM. Nothing may crash, hang or trip a sanitizer. In between the machine's state goes to a twin, and the
 * same traffic to both: what is in memory afterwards, and the states, must be the same.
 *
 * usage: usb [--steps N] [--seed N]      N transfers (20000)
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "hw/pci/pci.h"
#include "tests/fuzz/librig.h"

enum { TWIN_EVERY = 1000, TWIN_STEPS = 25, SECONDS = 900, MAX_DEVICES = 24, CHAIN = 20 };
enum { SETUP = 0x2d, IN = 0x69, OUT = 0xe1 };
#define LIST 0x100000u
#define QH 0x110000u
#define TD 0x120000u
#define BUF 0x130000u
#define BUF_BYTES 0x20000u
#define MS 1000000ull

static Rig *rig, *twin;
static bool both;                   /* the twin gets all that the rig gets */
static unsigned io, devices;
static unsigned tap_count, tap_failed;
static uint64_t seed = 1;

static void tap(bool ok, const char *what, const char *why)
{
    printf("%sok %u - %s\n%s%s", ok ? "" : "not ", ++tap_count, what, ok ? "" : "# ", ok ? "" : why);
    fflush(stdout);
    tap_failed += !ok;
}

static void on_signal(int sig)
{
    char text[128];
    const int n = snprintf(text, sizeof(text), "not ok - usb, seed %" PRIu64 ": signal %d%s\n", seed, sig, sig == SIGALRM ? ": it hangs" : "");

    if (write(1, text, n) < 0) {
        _exit(2);
    }
    _exit(1);
}

/* ---- Both machines ---- */

static void put(uint32_t addr, const void *data, unsigned n)
{
    mem_copy(rig->machine, addr, (void *)data, n, true);
    if (both) {
        mem_copy(twin->machine, addr, (void *)data, n, true);
    }
}

static void put32(uint32_t addr, uint32_t v)
{
    v = GUINT32_TO_LE(v);
    put(addr, &v, 4);
}

static uint32_t get32(uint32_t addr)
{
    uint32_t v;

    mem_copy(rig->machine, addr, &v, 4, false);
    return GUINT32_FROM_LE(v);
}

static void act(OpKind kind, bool wr, unsigned size, uint64_t addr, uint64_t value)
{
    const Op op = { .kind = kind, .write = wr, .size = size, .addr = addr, .value = value };

    rig_do(rig, &op);
    if (both) {
        rig_do(twin, &op);
    }
}

static void out(unsigned reg, unsigned value)
{
    act(OP_PIO, true, 2, io + reg, value);
}

static void wait_ms(unsigned ms)
{
    act(OP_CLOCK, true, 0, 0, ms * MS);
}

static unsigned below(unsigned n)
{
    return rnd_below(rig, n);
}

/* ---- A driver ---- */

static void td(unsigned n, uint32_t link, uint32_t flags, unsigned pid, unsigned addr, unsigned ep, unsigned size, uint32_t buf)
{
    const uint32_t words[4] = { GUINT32_TO_LE(link), GUINT32_TO_LE(1u << 23 | 3u << 27 | flags),
                                GUINT32_TO_LE(pid | addr << 8 | ep << 15 | ((size - 1) & 0x7ffu) << 21), GUINT32_TO_LE(buf) };

    put(TD + 32 * n, words, sizeof words);
}

static void run(unsigned ms)
{
    put32(QH + 4, TD);
    for (unsigned i = 0; i < ms && !(get32(QH + 4) & 1); i++) {
        wait_ms(1);
    }
}

static bool chain_done(void)
{
    return get32(QH + 4) & 1;
}

static bool control(unsigned addr, const uint8_t *setup)
{
    const unsigned size = MIN(setup[6] | setup[7] << 8, 8 * (CHAIN - 2));
    const bool in = setup[0] & 0x80;
    unsigned n = 1;

    put(BUF, setup, 8);
    td(0, (TD + 32) | 4, 0, SETUP, addr, 0, 8, BUF);
    for (unsigned off = 0; off < size; off += 8, n++) {
        td(n, (TD + 32 * (n + 1)) | 4, in ? 1u << 29 : 0, in ? IN : OUT, addr, 0, MIN(8, size - off), BUF + 64 + off);
    }
    td(n, 1, 1u << 24, in && size ? OUT : IN, addr, 0, 0, 0);
    run(4);
    if (chain_done()) {
        return true;
    }
    put32(TD, 1);                   /* a short answer: only the status stage is left */
    td(0, 1, 1u << 24, in && size ? OUT : IN, addr, 0, 0, 0);
    run(2);
    return chain_done();
}

static bool request(unsigned addr, unsigned type, unsigned req, unsigned value, unsigned index, unsigned size)
{
    const uint8_t setup[8] = { type, req, value, value >> 8, index, index >> 8, size, size >> 8 };

    return control(addr, setup);
}

static void controller_on(void)
{
    uint32_t list[1024];

    for (unsigned i = 0; i < 1024; i++) {
        list[i] = GUINT32_TO_LE(QH | 2);
    }
    out(0, 2);
    put(LIST, list, sizeof list);
    put32(QH, 1);
    put32(QH + 4, 1);
    act(OP_PIO, true, 4, io + 8, LIST);
    out(4, 0xf);
    out(0, 0xc1);
}

/* Gives the device that has address 0 one of its own, and whatever is behind it. */
static void enumerate(void)
{
    const unsigned addr = devices + 1;
    uint8_t class;

    if (devices == MAX_DEVICES || !request(0, 0, 5, addr, 0, 0)) {
        return;
    }
    devices++;
    request(addr, 0x80, 6, 0x100, 0, 18);
    mem_copy(rig->machine, BUF + 64 + 4, &class, 1, false);
    request(addr, 0, 9, 1, 0, 0);
    for (unsigned port = 1; class == 9 && port <= 8; port++) {
        uint8_t status;

        request(addr, 0xa3, 0, 0, port, 4);
        mem_copy(rig->machine, BUF + 64, &status, 1, false);
        if ((status & 1) && request(addr, 0x23, 3, 4, port, 0)) {
            enumerate();
        }
    }
}

static void start_over(void)
{
    devices = 0;
    controller_on();
    for (unsigned port = 0; port < 2; port++) {
        out(0x10 + 2 * port, 0x200);
        out(0x10 + 2 * port, 0);
        out(0x10 + 2 * port, 0xe);
        enumerate();
    }
}

/* ---- Transfers ---- */

static unsigned any_device(void)
{
    return below(20) ? 1 + below(MAX(devices, 1)) : below(128);
}

static void random_control(void)
{
    static const uint8_t types[] = { 0x00, 0x80, 0x01, 0x81, 0x02, 0x82, 0x21, 0xa1, 0x20, 0xa0, 0x23, 0xa3, 0xc0, 0xc1 };
    static const uint8_t requests[] = { 0, 1, 2, 3, 6, 8, 9, 10, 11, 0x51, 0xfe, 0xff };
    static const uint8_t kinds[] = { 1, 2, 3, 6, 7, 15, 0x21, 0x22, 0x29, 0xee };
    uint8_t s[8] = { types[below(sizeof types)], requests[below(sizeof requests)], below(24), kinds[below(sizeof kinds)], below(10), 0,
                     below(256), below(30) ? 0 : below(256) };

    if (!below(8)) {
        s[below(8)] = rnd(rig);
    }
    if (s[1] == 5 || (s[0] == 0 && s[1] == 5)) {
        s[1] = 6;                   /* addresses stay */
    }
    control(any_device(), s);
}

static void bulk(unsigned addr, unsigned pid, unsigned ep, unsigned size, bool fill)
{
    unsigned n = 0, off = 0;

    if (fill) {
        put32(BUF + below(512) * 4, rnd(rig));
    }
    for (; n < CHAIN && (off < size || !n); n++) {
        const unsigned piece = MIN(64, size - off);

        off += piece;
        td(n, off < size && n < CHAIN - 1 ? (TD + 32 * (n + 1)) | 4 : 1, below(2) ? 1u << 29 : 0, pid, addr, ep, piece, BUF + off);
    }
    run(3);
}

static void random_scsi(void)
{
    static const uint8_t opcodes[] = { 0x00, 0x03, 0x04, 0x08, 0x0a, 0x12, 0x12, 0x15, 0x16, 0x1a, 0x1b, 0x1e, 0x23, 0x25, 0x28, 0x28, 0x2a,
                                       0x2a, 0x2b, 0x2e, 0x2f, 0x35, 0x41, 0x42, 0x43, 0x46, 0x4a, 0x51, 0x55, 0x5a, 0x88, 0x8a, 0x8f,
                                       0x91, 0x93, 0x9e, 0xa0, 0xa8, 0xaa, 0xad, 0xaf, 0xbb, 0xbd };
    const unsigned addr = any_device(), size = below(3) ? below(4) * 512 : below(4096);
    uint8_t cbw[31] = { 'U', 'S', 'B', 'C', 1, 2, 3, 4, size, size >> 8, 0, 0, below(2) ? 0x80 : 0, below(10) ? 0 : below(256),
                        below(10) ? 10 : below(20) };

    cbw[15] = opcodes[below(sizeof opcodes)];
    for (unsigned i = 1; i < 16; i++) {
        cbw[15 + i] = below(3) ? 0 : below(2) ? below(16) : rnd(rig);
    }
    if (!below(40)) {
        cbw[below(31)] = rnd(rig);
    }
    put(BUF, cbw, sizeof cbw);
    td(0, 1, 0, OUT, addr, 2, below(50) ? 31 : below(64), BUF);
    run(2);
    if (size) {
        bulk(addr, cbw[12] ? IN : OUT, cbw[12] ? 1 : 2, below(10) ? size : below(2048), !cbw[12]);
    }
    bulk(addr, IN, 1, below(20) ? 13 : below(64), false);
    if (!below(6)) {
        request(addr, 0x21, 0xff, 0, 0, 0);
    }
}

static uint32_t any_link(void)
{
    switch (below(8)) {
    case 0: return 1;
    case 1: return rnd(rig);
    case 2: return 0xfffffff0u | below(8);
    case 3: return (RIG_RAM - 16 * below(4)) | below(8);
    case 4: return QH | 2;
    default: return (below(2) ? QH + 16 * below(8) : TD + 32 * below(CHAIN)) | below(8);
    }
}

/* Queues and descriptors that lead anywhere. */
static void random_schedule(void)
{
    static const uint8_t pids[] = { SETUP, IN, OUT, IN, OUT, 0 };

    for (unsigned i = 0; i < 8; i++) {
        put32(QH + 16 * i, any_link());
        put32(QH + 16 * i + 4, any_link());
    }
    for (unsigned i = 0; i < CHAIN; i++) {
        td(i, any_link(), (uint32_t)rnd(rig) & 0x21000000u, pids[below(60) ? below(5) : 5], any_device(), below(4), below(2048),
           below(8) ? BUF + below(BUF_BYTES) : rnd(rig));
    }
    for (unsigned i = 0; i < 4; i++) {
        put32(LIST + 4 * below(1024), any_link());
    }
    wait_ms(1 + below(20));
    if (!below(4)) {
        out(2 * below(10), below(4) ? rnd(rig) & 0x1c : rnd(rig));
        wait_ms(below(40));
    }
    controller_on();
    start_over();
}

static void step(void)
{
    switch (below(40)) {
    case 0:
        random_schedule();
        break;
    case 1:
        wait_ms(below(200));
        break;
    case 2: case 3: case 4:
        bulk(any_device(), below(4) ? IN : OUT, below(3), below(64), true);
        break;
    case 5: case 6: case 7: case 8: case 9: case 10: case 11: case 12: case 13: case 14: case 15: case 16: case 17: case 18:
        random_scsi();
        break;
    default:
        random_control();
        break;
    }
}

/* ---- Main ---- */

static bool same_memory(GString *why)
{
    static uint8_t a[BUF_BYTES], b[BUF_BYTES];

    for (uint32_t at = LIST; at < BUF + BUF_BYTES; at += BUF_BYTES) {
        mem_copy(rig->machine, at, a, sizeof a, false);
        mem_copy(twin->machine, at, b, sizeof b, false);
        for (unsigned i = 0; i < sizeof a; i++) {
            if (a[i] != b[i]) {
                g_string_append_printf(why, "memory at 0x%x: the original has 0x%x, the twin 0x%x\n", at + i, a[i], b[i]);
                return false;
            }
        }
    }
    return true;
}

/* What stands in memory of the last transfer. */
static void describe(GString *why)
{
    for (unsigned i = 0; i < 8; i++) {
        g_string_append_printf(why, "BUF[%u] 0x%08x, TD[%u] 0x%08x 0x%08x 0x%08x\n", i, get32(BUF + 4 * i), i, get32(TD + 32 * i),
                               get32(TD + 32 * i + 4), get32(TD + 32 * i + 8));
    }
}

static bool compare_twin(GString *why)
{
    bool ok = rig_copy(rig, twin, why) && rig_same(rig, twin, why);

    both = true;
    for (unsigned i = 0; ok && i < TWIN_STEPS; i++) {
        step();
        ok = same_memory(why) && rig_same(rig, twin, why);
        if (!ok) {
            describe(why);
        }
    }
    both = false;
    return ok;
}

static bool find_controller(Device *d, void *devfn)
{
    if (strcmp(d->type->name, "piix3-usb-uhci") == 0) {
        *(int *)devfn = pci_device(d)->devfn;
        io = pci_bar_addr(pci_device(d), 4);
    }
    return true;
}

int main(int argc, char **argv)
{
    unsigned steps = 20000;
    g_autoptr(GString) why = g_string_new(NULL);
    bool same = true;
    int devfn = -1;

    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--steps") == 0) {
            steps = atoi(argv[i + 1]);
        } else if (strcmp(argv[i], "--seed") == 0) {
            seed = strtoull(argv[i + 1], NULL, 0);
        }
    }
    signal(SIGALRM, on_signal);
    signal(SIGABRT, on_signal);
    rig = rig_new(0);
    twin = rig_new(1);
    rnd_seed(rig, seed);
    rig_reset(rig);
    rig_reset(twin);
    machine_foreach_device(rig->machine, find_controller, &devfn);
    alarm(SECONDS);
    start_over();
    printf("# %u devices\n", devices);
    tap(devices >= 6, "all devices are enumerated", "some are missing\n");
    for (unsigned i = 0; i < steps && same; i++) {
        if (i % TWIN_EVERY == TWIN_EVERY / 2) {
            alarm(SECONDS);
            same = compare_twin(why);
        }
        step();
    }
    tap(true, "random transfers", NULL);
    tap(same, "the twin does the same", why->str);
    start_over();
    tap(devices >= 6, "all devices still answer", "some don't\n");
    printf("1..%u\n", tap_count);
    fflush(stdout);
    rig_cleanup();
    _exit(tap_failed != 0);
}
