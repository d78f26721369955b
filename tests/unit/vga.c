/*
 * The VGA in a machine without a CPU: what a listener is told of is all that changes on the screen, whatever the guest
 * writes; nothing outside video RAM is read (a guard page follows it); a loaded twin shows the same picture.
 */
#include <check.h>
#include <string.h>
#include <sys/mman.h>
#include "hw/core/machine.h"
#include "hw/display/vga.h"
#include "hw/pci/i440fx.h"
#include "ui/console.h"
#include "util/loop.h"

extern const DeviceType vga_type;

#define LFB 0xe0000000u
#define MMIO 0xfe000000u

static Machine *machine;
static Device *vga;
static uint32_t *seen;              /* what the listener was told */
static int seen_w, seen_h;
static uint32_t rng = 1;

static uint32_t rnd(uint32_t n)
{
    rng ^= rng << 13;
    rng ^= rng >> 17;
    rng ^= rng << 5;
    return rng % n;
}

static void on_update(DisplayListener *l, int x, int y, int w, int h)
{
    Surface *s = console_surface(NULL);

    ck_assert_int_eq(surface_width(s), seen_w);
    ck_assert(x >= 0 && y >= 0 && x + w <= seen_w && y + h <= seen_h);
    surface_read(s, x, y, w, h, seen + (size_t)y * seen_w + x, seen_w * 4);
}

static void on_switch(DisplayListener *l, Surface *s)
{
    seen_w = surface_width(s);
    seen_h = surface_height(s);
    g_free(seen);
    seen = g_malloc0((size_t)seen_w * seen_h * 4);
}

static const DisplayListenerOps listener_ops = { .name = "test", .gfx_update = on_update, .gfx_switch = on_switch };
static DisplayListener listener = { .ops = &listener_ops };

static bool board_init(Machine *m, GError **err)
{
    static Region ram;
    PciBus *bus;

    ck_assert(region_init_ram(&ram, m, NULL, "pc.ram", NULL, 1 << 20, err));
    bus = i440fx_create(m, &ram, 1 << 20, 0, err);
    ck_assert_ptr_nonnull(bus);
    vga = device_new(m, &vga_type, err);
    ck_assert(device_set(vga, "romfile", "", err) && device_set(vga, "vgamem_mb", "1", err) &&
              device_set(vga, "addr", "2", err));
    return device_realize(vga, &bus->bus, err);
}

static const MachineType board = { .name = "test", .max_cpus = 1, .init = board_init };

static void config(unsigned reg, uint32_t v)
{
    pio_write(machine, 0xcf8, 0x80001000 | reg, 4);
    pio_write(machine, 0xcfc, v, 4);
}

static void start(void)
{
    AccelConfig cfg = { .irqchip = IRQCHIP_OFF, .max_cpus = 1, .apic_id_limit = 1 };
    GError *err = NULL;
    RamBlock *vram;
    uint64_t off;

    machine_loop_init();
    machine = machine_new(&board, machine_config_new());
    ck_assert(accel_open("qtest", &cfg, machine_accel_host(machine), &err));
    if (!machine_build(machine, &err) || !machine_ready(machine, &err)) {
        ck_abort_msg("%s", err->message);
    }
    machine_reset_now(machine, CAUSE_NONE);
    config(0x10, LFB);
    config(0x18, MMIO);
    config(4, 7);
    vram = ram_block_find(machine, "0000:00:02.0/vga.vram");
    ck_assert_ptr_nonnull(vram);
    (void)!mmap(vram->host + vram->size, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    ck_assert_ptr_eq(ram_block_of(machine, vram->host, &off), vram);
}

static void put(uint16_t port, unsigned index, unsigned v) { pio_write(machine, port, v << 8 | index, 2); }

static void vbe(unsigned index, unsigned v)
{
    pio_write(machine, 0x1ce, index, 2);
    pio_write(machine, 0x1d0, v, 2);
}

static void attribute(unsigned index, unsigned v)
{
    pio_read(machine, 0x3da, 1);
    pio_write(machine, 0x3c0, index, 1);
    pio_write(machine, 0x3c0, v, 1);
}

static void video_on(void)
{
    pio_read(machine, 0x3da, 1);
    pio_write(machine, 0x3c0, 0x20, 1);
}

static void random_register(void)
{
    static const uint16_t sizes[] = { 0, 8, 320, 640, 200, 480, 16, 1, 65535, 4096 };
    static const uint8_t depths[] = { 4, 8, 15, 16, 24, 32 }, enables[] = { 0, 0x41, 0xc1, 0xe1, 0x03 };
    static const uint8_t crtc[] = { 1, 6, 7, 9, 0xa, 0xb, 0xc, 0xd, 0xe, 0xf, 0x11, 0x12, 0x13, 0x17, 0x18 };
    unsigned i;

    switch (rnd(8)) {
    case 0: case 1: case 2:
        put(0x3d4, crtc[rnd(sizeof crtc)], rnd(256));
        break;
    case 3:
        attribute(rnd(21), rnd(256));
        break;
    case 4:
        put(0x3ce, rnd(9), rnd(256));
        break;
    case 5:
        put(0x3c4, rnd(5), rnd(256));
        break;
    case 6:
        pio_write(machine, 0x3c7 + rnd(3), rnd(256), 1);
        break;
    case 7:
        i = rnd(10);
        vbe(i, i == VBE_BPP ? depths[rnd(6)] : i == VBE_ENABLE ? enables[rnd(5)] : rnd(2) ? sizes[rnd(10)] : rnd(65536));
        break;
    }
}

static void random_memory(void)
{
    unsigned n = rnd(64), size = 1u << rnd(4);
    uint64_t at = rnd(2) ? 0xa0000 + 0x8000 * rnd(4) : LFB + (rnd(2) ? rnd(1 << 20) : 0);

    at += rnd(rnd(2) ? 0x1000 : 0x8000);

    for (; n > 0; n--, at += size) {
        mem_write(machine, at, (uint64_t)rnd(UINT32_MAX) << 32 | rnd(UINT32_MAX), size);
    }
}

/* Text on the screen of 80x25, as the BIOS sets it. */
static void text_mode(void)
{
    static const uint8_t seq[] = { 3, 0, 3, 0, 2 }, gr[] = { 0, 0, 0, 0, 0, 0x10, 0x0e, 0, 0xff };
    static const uint8_t cr[] = { 0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0, 0x4f, 0x0d, 0x0e, 0, 0, 0, 0, 0x9c,
                                  0x0e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff };

    pio_write(machine, 0x3c2, 0x67, 1);
    put(0x3d4, 0x11, 0);
    for (unsigned i = 0; i < sizeof cr; i++) {
        put(0x3d4, i, cr[i]);
    }
    for (unsigned i = 0; i < sizeof seq; i++) {
        put(0x3c4, i, seq[i]);
    }
    for (unsigned i = 0; i < sizeof gr; i++) {
        put(0x3ce, i, gr[i]);
    }
    for (unsigned i = 0; i < 16; i++) {
        attribute(i, i);
    }
    attribute(0x10, 0x0c);
    attribute(0x12, 0x0f);
    pio_write(machine, 0x3c8, 0, 1);
    for (unsigned i = 0; i < 768; i++) {
        pio_write(machine, 0x3c9, i / 3 * 4 & 0x3f, 1);
    }
    video_on();
}

/* A usual mode, so that random changes begin at something that shows. */
static void random_mode(void)
{
    vbe(VBE_ENABLE, 0);
    text_mode();
    switch (rnd(4)) {
    case 0:
        return;
    case 1:                             /* 720 x 400, planar */
        put(0x3ce, 6, 5);
        put(0x3ce, 5, 0);
        put(0x3c4, 4, 6);
        put(0x3c4, 2, 0x0f);
        put(0x3d4, 9, 0x40);
        return;
    case 2:                             /* 13h */
        put(0x3ce, 6, 5);
        put(0x3ce, 5, 0x40);
        put(0x3c4, 4, 0x0e);
        put(0x3c4, 2, 0x0f);
        put(0x3d4, 9, 0x41);
        return;
    case 3:
        vbe(VBE_XRES, 320);
        vbe(VBE_YRES, 200);
        vbe(VBE_BPP, 8 << rnd(3));
        vbe(VBE_ENABLE, 0xc1);
        return;
    }
}

static bool small_enough(void)
{
    return seen_w * seen_h <= 1 << 21;
}

/* A redraw of everything shows what the listener has been told of. */
static void check_screen(unsigned step)
{
    Console *con = console_by_index(0);
    g_autofree uint32_t *before = NULL;
    int w, h;

    console_refresh(con);
    if (!small_enough()) {
        return;
    }
    w = seen_w;
    h = seen_h;
    before = g_memdup2(seen, (gsize)w * h * 4);
    console_invalidate(con);
    console_refresh(con);
    ck_assert(seen_w == w && seen_h == h);
    for (int y = 0; y < h; y++) {
        ck_assert_msg(!memcmp(before + (size_t)y * w, seen + (size_t)y * w, w * 4), "step %u, line %d of %dx%d", step, y, w, h);
    }
}

START_TEST(test_changes)
{
    start();
    listener_add(&listener);
    pio_write(machine, 0x3c2, 0x67, 1);
    for (unsigned step = 0; step < 3000; step++) {
        if (step % 32 == 0) {
            random_mode();
        }
        for (unsigned n = rnd(4) ? 0 : rnd(8); n > 0; n--) {
            random_register();
        }
        for (unsigned n = rnd(4); n > 0; n--) {
            random_memory();
        }
        pio_write(machine, 0x3c2, 0x67, 1);
        if (rnd(8)) {
            video_on();
        }
        check_screen(step);
    }
    listener_remove(&listener);
}
END_TEST

START_TEST(test_text)
{
    uint32_t *p;

    start();
    listener_add(&listener);
    text_mode();
    put(0x3c4, 2, 4);                       /* a glyph for 'A': its first row is set */
    put(0x3c4, 4, 6);
    put(0x3ce, 5, 0);
    put(0x3ce, 6, 4);
    mem_write(machine, 0xa0000 + 'A' * 32, 0xf0, 1);
    text_mode();
    mem_write(machine, 0xb8000 + 2 * (80 + 3), 0x2f00 | 'A', 2);
    console_refresh(console_by_index(0));
    ck_assert_int_eq(seen_w, 720);
    ck_assert_int_eq(seen_h, 400);
    p = seen + 16 * 720 + 3 * 9;
    ck_assert_uint_ne(p[0], p[4]);
    ck_assert_uint_eq(p[0], p[3]);
    ck_assert_uint_eq(p[4], p[8]);
    ck_assert_uint_eq(p[720], p[4]);
    check_screen(0);
    listener_remove(&listener);
}
END_TEST

START_TEST(test_twin)
{
    g_autoptr(GByteArray) first = g_byte_array_new(), second = g_byte_array_new();
    GError *err = NULL;

    start();
    text_mode();
    vbe(VBE_XRES, 320);
    vbe(VBE_YRES, 200);
    vbe(VBE_BPP, 32);
    vbe(VBE_ENABLE, 0x41);
    vbe(VBE_BANK, 3);
    state_save(vga_type.state, vga, first);
    machine_reset_now(machine, CAUSE_NONE);
    ck_assert_uint_eq(pio_read(machine, 0x3cc, 1), 0);
    ck_assert_int_eq(state_load(vga_type.state, vga, 2, first->data, first->len, "vga", &err), first->len);
    state_save(vga_type.state, vga, second);
    ck_assert_uint_eq(first->len, second->len);
    ck_assert(!memcmp(first->data, second->data, first->len));
    /* 276 of PCI, 1131 of the VGA. */
    ck_assert_uint_eq(first->len, 276 + 1131);
    for (unsigned i = 276; i < first->len; i++) {       /* nothing in a stream does harm */
        for (unsigned v = 0; v < 256; v += 51) {
            g_autoptr(GByteArray) bad = g_byte_array_new();

            g_byte_array_append(bad, first->data, first->len);
            bad->data[i] ^= v;
            state_load(vga_type.state, vga, 2, bad->data, bad->len, "vga", NULL);
            if (i % 16 == 0 || i > 276 + 1080) {
                console_refresh(console_by_index(0));
            }
        }
    }
}
END_TEST

START_TEST(test_audit)
{
    g_autoptr(GString) out = g_string_new(NULL);

    ck_assert_msg(!state_audit(vga_type.state, "vga", vga_type.size, out), "%s", out->str);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("vga");
    TCase *tc = tcase_create("core");
    SRunner *r = srunner_create(s);
    int failed;

    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, test_changes);
    tcase_add_test(tc, test_text);
    tcase_add_test(tc, test_twin);
    tcase_add_test(tc, test_audit);
    suite_add_tcase(s, tc);
    srunner_run_all(r, CK_ENV);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
