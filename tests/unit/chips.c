/*
 * The PC's chips without a PC around them: twins under random traffic, states that make no sense, and the chips that
 * live in KVM.
 *
 * Twin: two machines get the same accesses. Now and then the first one's state is loaded into the second; from then on
 * both must go on answering alike, and send the same interrupt messages.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "accel/kvm/kvm.h"
#include "hw/char/serial.h"
#include "hw/core/machine.h"
#include "hw/dma/i8257.h"
#include "hw/input/input.h"
#include "hw/intc/intc.h"
#include "hw/isa/isa.h"
#include "hw/misc/misc.h"
#include "hw/timer/timer.h"
#include "ui/input.h"
#include "util/loop.h"

typedef struct Board {
    Machine *m;
    IsaBus *isa;
    Device *pic, *ioapic, *pit, *hpet, *rtc;
    uint64_t messages;              /* a digest of those that the IOAPIC sent */
} Board;

static const DeviceType bridge_type = { .name = "bridge", .internal = true, .size = sizeof(Device) };
static const MachineType machine_chips = { .name = "chips", .max_cpus = 1 };

static void gsi(void *opaque, unsigned n, int level)
{
    Board *b = opaque;

    if (n < ISA_IRQS)
        pic_set_irq(b->pic, n, level);
    if (b->ioapic)
        ioapic_set_irq(b->ioapic, n, level);
}

static void msi(void *opaque, uint64_t addr, uint32_t data)
{
    Board *b = opaque;

    b->messages = b->messages * 31 + addr * 7 + data;
}

static int extint(void *opaque)
{
    return pic_read_irq(((Board *)opaque)->pic);
}

static const IoapicOps ioapic_ops = { .msi = msi, .extint_vector = extint };

static void make_chips(Board *b, bool in_kernel)
{
    Machine *m = b->m;
    Bus *isa;

    b->isa = isa_bus_new(device_create(m, &bridge_type, NULL, NULL), "isa.0", &m->io, &m->memory);
    isa = &b->isa->bus;
    b->pic = pic_create_pair(m, isa, in_kernel, NULL);
    b->ioapic = ioapic_create(m, NULL, in_kernel ? NULL : &ioapic_ops, b, NULL);
    b->pit = pit_create(m, isa, in_kernel, NULL);
    ck_assert(b->pic && b->ioapic && b->pit);
    isa_bus_set_irqs(b->isa, gsi, b);
}

static void make_rest(Board *b)
{
    Machine *m = b->m;
    Bus *isa = &b->isa->bus;

    b->hpet = hpet_create(m, HPET_INTCAP_PC, gsi, b, pit_irq_enable, b->pit, NULL);
    line_connect_device(pit_irq(b->pit), b->hpet, HPET_IN_PIT);
    b->rtc = rtc_create(m, isa, 2000, NULL, NULL, 0, NULL);
    ck_assert(i8257_create_pair(m, b->isa, true, NULL));
    ck_assert(pcspk_create(m, isa, b->pit, NULL) != NULL);
    ck_assert(isa_serial_create(m, isa, 0, NULL, NULL) != NULL);
    ck_assert(device_create(m, &i8042_type, isa, NULL) != NULL);
    ck_assert(device_create(m, &port92_type, isa, NULL) != NULL);
}

static Board *board_new(bool in_kernel)
{
    Board *b = g_new0(Board, 1);
    MachineConfig *cfg = machine_config_new();

    cfg->rtc_clock = g_strdup("vm");
    cfg->rtc_base = g_strdup("2024-02-29T23:59:50");
    b->m = machine_new(&machine_chips, cfg);
    clock_init(b->m, true);
    make_chips(b, in_kernel);
    if (!in_kernel)
        make_rest(b);
    machine_reset_now(b->m, CAUSE_NONE);
    clock_start(b->m);
    return b;
}

/* ---- Moving state ---- */

/* What the stream does not carry, the test does. */
static void copy_local(const StateTable *t, void *from, void *to)
{
    for (const Field *f = t->fields; f->kind; f++) {
        if (f->kind == F_LOCAL)
            memcpy((char *)to + f->off, (char *)from + f->off, f->size);
        for (unsigned i = 0; f->kind == F_STRUCT && i < f->size / f->elt; i++)
            copy_local(f->sub, (char *)from + f->off + i * f->elt, (char *)to + f->off + i * f->elt);
    }
}

static void check_saved_alike(const StateTable *t, Device *a, Device *b)
{
    g_autoptr(GByteArray) x = g_byte_array_new(), y = g_byte_array_new();

    state_save(t, a, x);
    state_save(t, b, y);
    ck_assert_msg(x->len == y->len && !memcmp(x->data, y->data, x->len), "%s: saved states differ", a->type->name);
}

static void migrate(Board *from, Board *to)
{
    for (unsigned i = 0; i < from->m->devices->len; i++) {
        Device *a = g_ptr_array_index(from->m->devices, i), *b = g_ptr_array_index(to->m->devices, i);
        const StateTable *t = a->type->state;
        g_autoptr(GByteArray) data = g_byte_array_new();
        g_autoptr(GError) err = NULL;
        gssize n;

        if (!t)
            continue;
        state_save(t, a, data);
        copy_local(t, a, b);
        n = state_load(t, b, t->version, data->data, data->len, a->type->name, &err);
        ck_assert_msg(n == (gssize)data->len, "%s: %s", a->type->name, err ? err->message : "bytes are left");
        copy_local(t, a, b);
        check_saved_alike(t, a, b);
    }
    to->messages = from->messages;
}

/* ---- Traffic ---- */

static uint64_t seed = 88172645463325252ull;

static uint64_t rnd(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static const uint16_t ports[] = {
    0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1, 0x40, 0x41, 0x42, 0x43, 0x61, 0x60, 0x64, 0x60, 0x64, 0x70, 0x71, 0x70, 0x71,
    0x3f8, 0x3f9, 0x3fa, 0x3fb, 0x3fc, 0x3fd, 0x3fe, 0x3ff, 0x92, 0, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 15, 0xc0, 0xc2,
    0xd0, 0xd4, 0x81, 0x83, 0x481,
};

typedef struct Access { uint64_t addr; uint32_t val; bool mem, write; } Access;

static Access random_access(void)
{
    uint64_t x = rnd();
    Access a = { .addr = ports[(x >> 8) % G_N_ELEMENTS(ports)], .val = x >> 32, .write = x & 1 };

    if (x % 5 == 0) {
        a.mem = true;
        a.addr = x & 256 ? 0xfed00000 + ((x >> 9) % 0x160 & ~3ull) : IOAPIC_BASE + ((x >> 9) & 1) * 16;
        if (a.addr == IOAPIC_BASE)
            a.val = 0x10 + a.val % 48;
    } else if (a.addr == 0x60 && rnd() % 3) {
        a.val |= 0xf0;              /* commands of keyboard and mouse */
    }
    return a;
}

static uint64_t do_access(Machine *m, const Access *a)
{
    if (a->mem && a->write)
        mem_write(m, a->addr, a->val, 4);
    else if (a->write)
        pio_write(m, a->addr, a->val & 0xff, 1);
    else
        return a->mem ? mem_read(m, a->addr, 4) : pio_read(m, a->addr, 1);
    return 0;
}

START_TEST(twin)
{
    Board *a = board_new(false), *b = board_new(false);

    for (unsigned i = 0; i < 60000; i++) {
        Access x = random_access();
        uint64_t step = rnd() % 4 ? 0 : (rnd() >> 8) % (1ull << (rnd() % 27)), va, vb;

        if (i % 97 == 0) {
            if (rnd() % 4 == 0)
                machine_reset_now(b->m, CAUSE_NONE);
            migrate(a, b);
        }
        if (i % 1999 == 0) {
            machine_reset_now(a->m, CAUSE_NONE);
            machine_reset_now(b->m, CAUSE_NONE);
        }
        clock_step(a->m, step);
        clock_step(b->m, step);
        va = do_access(a->m, &x);
        vb = do_access(b->m, &x);
        ck_assert_msg(va == vb, "step %u: 0x%llx reads 0x%llx and 0x%llx", i, (unsigned long long)x.addr,
                      (unsigned long long)va, (unsigned long long)vb);
        ck_assert_msg(a->messages == b->messages, "step %u: other interrupt messages", i);
    }
}
END_TEST

/* Whatever is loaded and whatever comes from the host: no harm, and time goes on. */
START_TEST(nonsense)
{
    Board *b = board_new(false);

    for (unsigned i = 0; i < 20000; i++) {
        Access x = random_access();

        for (unsigned k = 0; i % 50 == 0 && k < b->m->devices->len; k++) {
            Device *d = g_ptr_array_index(b->m->devices, k);
            g_autoptr(GByteArray) data = g_byte_array_new();

            if (!d->type->state)
                continue;
            state_save(d->type->state, d, data);
            for (unsigned n = rnd() % 8; n; n--)
                data->data[rnd() % data->len] = rnd();
            state_load(d->type->state, d, d->type->state->version, data->data, data->len, "x", NULL);
        }
        do_access(b->m, &x);
        clock_step(b->m, rnd() % 1000000);
        if (i % 9 == 0) {
            input_send_rel(NULL, INPUT_AXIS_X, rnd());
            input_send_button(NULL, rnd() % INPUT_BUTTON_COUNT, rnd() & 1);
            input_send_key(NULL, rnd() % QKEY_COUNT, rnd() & 1);
            input_sync();
        }
        if (i % 997 == 0)
            machine_reset_now(b->m, CAUSE_NONE);
    }
}
END_TEST

/* ---- In KVM ---- */

static Device *device_of(Board *b, const char *type, unsigned n)
{
    for (unsigned i = 0; i < b->m->devices->len; i++) {
        Device *d = g_ptr_array_index(b->m->devices, i);

        if (!strcmp(d->type->name, type) && !n--)
            return d;
    }
    ck_abort_msg("no %s", type);
    return NULL;
}

/* State of the userspace chip must come back from KVM as it went in. */
static void through_kvm(Board *user, const char *user_type, Board *kvm, const char *kvm_type, unsigned n)
{
    Device *u = device_of(user, user_type, n), *k = device_of(kvm, kvm_type, n);
    const StateTable *t = k->type->state;
    g_autoptr(GByteArray) in = g_byte_array_new(), out = g_byte_array_new();
    g_autoptr(GError) err = NULL;
    gssize used;

    state_save(u->type->state, u, in);
    used = state_load(t, k, t->version, in->data, in->len, kvm_type, &err);
    ck_assert_msg(used == (gssize)in->len, "%s: %s", kvm_type, err ? err->message : "bytes are left");
    state_reset(t, k);              /* what comes out must come from KVM */
    state_save(t, k, out);
    ck_assert_uint_eq(in->len, out->len);
    ck_assert_msg(!strcmp(kvm_type, "kvm-pit") || !memcmp(in->data, out->data, in->len), "%s: not what was loaded",
                  kvm_type);
}

static void program_chips(Machine *m)
{
    static const uint16_t writes[][2] = {
        { 0x20, 0x11 }, { 0x21, 0x08 }, { 0x21, 0x04 }, { 0x21, 0x01 }, { 0x21, 0xb8 }, { 0x20, 0x0b }, { 0x20, 0xc2 },
        { 0xa0, 0x11 }, { 0xa1, 0x70 }, { 0xa1, 0x02 }, { 0xa1, 0x01 }, { 0xa1, 0x8e }, { 0x4d1, 0x0c },
        { 0x43, 0x34 }, { 0x40, 0x9c }, { 0x40, 0x2e }, { 0x43, 0xb6 }, { 0x42, 0x34 }, { 0x42, 0x12 },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(writes); i++)
        pio_write(m, writes[i][0], writes[i][1], 1);
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
        mem_write(m, IOAPIC_BASE, 0x10 + 2 * pin, 4);
        mem_write(m, IOAPIC_BASE + 16, 0x10030 + pin, 4);
        mem_write(m, IOAPIC_BASE, 0x11 + 2 * pin, 4);
        mem_write(m, IOAPIC_BASE + 16, pin << 24, 4);
    }
}

static const AccelHost no_host;     /* no CPU runs */

START_TEST(kvm_chips)
{
    AccelConfig cfg = { .max_cpus = 1, .apic_id_limit = 1 };
    Board *user, *kvm;
    PitChannelInfo info;

    machine_loop_init();
    ck_assert(accel_open("kvm", &cfg, &no_host, NULL));
    ck_assert_int_eq(accel_irqchip, IRQCHIP_ON);
    user = board_new(false);
    kvm = board_new(true);
    machine_start(kvm->m);          /* a stopped machine's PIT keeps its state here */
    program_chips(user->m);
    through_kvm(user, "isa-i8259", kvm, "kvm-i8259", 0);
    through_kvm(user, "isa-i8259", kvm, "kvm-i8259", 1);
    through_kvm(user, "ioapic", kvm, "kvm-ioapic", 0);
    through_kvm(user, "isa-pit", kvm, "kvm-pit", 0);
    pit_get_info(kvm->pit, 0, &info);
    ck_assert_uint_eq(info.initial_count, 0x2e9c);
    ck_assert_uint_eq(info.mode, 2);
    pit_get_info(kvm->pit, 2, &info);
    ck_assert_uint_eq(info.initial_count, 0x1234);
    ck_assert_uint_eq(info.gate, 0);
    pit_set_gate(kvm->pit, 2, 1);
    pit_get_info(kvm->pit, 2, &info);
    ck_assert_uint_eq(info.gate, 1);
}
END_TEST

static void open_qtest(void)
{
    AccelConfig cfg = { .max_cpus = 1, .apic_id_limit = 1 };

    machine_loop_init();
    ck_assert(accel_open("qtest", &cfg, NULL, NULL));
}

int main(void)
{
    Suite *s = suite_create("chips");
    TCase *c = tcase_create("chips"), *k = tcase_create("kvm");
    SRunner *r;
    int failed;

    tcase_set_timeout(c, 120);
    tcase_add_checked_fixture(c, open_qtest, NULL);
    tcase_add_test(c, twin);
    tcase_add_test(c, nonsense);
    if (!access("/dev/kvm", R_OK | W_OK))
        tcase_add_test(k, kvm_chips);
    else
        printf("# SKIP kvm_chips: /dev/kvm cannot be used here\n");
    suite_add_tcase(s, c);
    suite_add_tcase(s, k);
    r = srunner_create(s);
    srunner_set_tap(r, "-");
    srunner_run_all(r, CK_SILENT);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
