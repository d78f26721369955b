/* The KVM accelerator with a machine of 64 KiB of ROM and a little RAM: exits, stop and start, slots, doorbells. */
#include "accel/kvm/kvm.h"
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define ROM_SIZE 0x10000u
#define RAM_SIZE 0x20000u

static struct {
    GMutex lock;
    uint8_t *rom, *ram;
    unsigned outs[256];         /* writes to ports 0..255 */
    uint64_t mmio_writes, coalesced;
    uint8_t coalesced_sum;
    AccelRequest asked;
    unsigned asks;
    Vcpu cpu;
} t;

static void host_lock(void *o) { g_mutex_lock(&t.lock); }
static void host_unlock(void *o) { g_mutex_unlock(&t.lock); }

static void host_pio(void *o, uint16_t port, void *data, unsigned size, unsigned count, bool write)
{
    g_mutex_lock(&t.lock);
    if (write) {
        t.outs[port & 255] += count;
    } else {
        memset(data, 0x5a, size * count);
    }
    g_mutex_unlock(&t.lock);
}

static void host_mmio(void *o, uint64_t addr, void *data, unsigned size, bool write)
{
    g_mutex_lock(&t.lock);
    t.mmio_writes += write;
    if (!write) {
        memset(data, 0xff, size);
    }
    g_mutex_unlock(&t.lock);
}

static void host_coalesced(void *o, uint64_t addr, const void *data, unsigned size, bool pio)
{
    t.coalesced++;
    t.coalesced_sum += *(const uint8_t *)data;
}

static void host_request(void *o, AccelRequest what, Vcpu *v)
{
    g_mutex_lock(&t.lock);
    t.asked = what;
    t.asks++;
    g_mutex_unlock(&t.lock);
}

static const AccelHost host = {
    .lock = host_lock, .unlock = host_unlock, .pio = host_pio, .mmio = host_mmio, .coalesced = host_coalesced,
    .request = host_request,
};

/* Real mode at F000:0000 of the ROM below 1 MiB. */
static bool cpu_init(Vcpu *v, GError **err)
{
    struct kvm_regs r = { .rflags = 2, .rsp = 0x1000 };
    struct kvm_sregs s;

    kvm_vcpu_ioctl(v, KVM_GET_SREGS, &s);
    s.cs.base = 0xf0000;
    s.cs.selector = 0xf000;
    kvm_vcpu_ioctl(v, KVM_SET_SREGS, &s);
    kvm_vcpu_ioctl(v, KVM_SET_REGS, &r);
    return true;
}

static void cpu_print(Vcpu *v, GString *out) { }
static void cpu_destroy(Vcpu *v) { }
static void cpu_put(Vcpu *v) { v->regs_dirty = false; }

static const VcpuOps ops = { .init = cpu_init, .put_state = cpu_put, .print_state = cpu_print, .destroy = cpu_destroy };

static void *pages(size_t n)
{
    return mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void set_map(bool log, bool ram_on)
{
    AccelRange r[] = {
        { 0, RAM_SIZE, t.ram, false, log }, { 0xf0000, ROM_SIZE, t.rom, true, false },
    };

    accel->set_memory(0, ram_on ? r : r + 1, ram_on ? 2 : 1);
}

static void open_with(const void *code, size_t len, IrqchipMode mode)
{
    AccelConfig cfg = { .irqchip = mode, .max_cpus = 1, .apic_id_limit = 1 };
    g_autoptr(GError) err = NULL;

    t.rom = pages(ROM_SIZE);
    t.ram = pages(RAM_SIZE);
    memcpy(t.rom, code, len);
    g_mutex_lock(&t.lock);
    if (!accel_open("tcg:kvm", &cfg, &host, &err)) {
        ck_abort_msg("%s", err->message);
    }
    ck_assert(accel_is_kvm() && accel_irqchip == mode);
    set_map(false, true);
    t.cpu.ops = &ops;
    ck_assert(accel->vcpu_create(&t.cpu, &err));
}

static void close_all(void)
{
    accel->stop();
    accel->close();
    g_mutex_unlock(&t.lock);
}

/* Waits, with the lock dropped, for a condition. */
#define WAIT(cond) do { for (int w_ = 0; w_ < 5000 && !(cond); w_++) { g_mutex_unlock(&t.lock); g_usleep(1000); g_mutex_lock(&t.lock); } \
    ck_assert(cond); } while (0)

/* out 0x80, al; jmp $-2 */
static const uint8_t loop[] = { 0xe6, 0x80, 0xeb, 0xfc };

START_TEST(run_stop_start)
{
    unsigned n;

    open_with(loop, sizeof(loop), IRQCHIP_ON);
    g_mutex_unlock(&t.lock);
    g_usleep(20000);
    g_mutex_lock(&t.lock);
    ck_assert_uint_eq(t.outs[0x80], 0);
    accel->start();
    WAIT(t.outs[0x80] > 100);
    accel->stop();
    n = t.outs[0x80];
    g_mutex_unlock(&t.lock);
    g_usleep(20000);
    g_mutex_lock(&t.lock);
    ck_assert_uint_eq(t.outs[0x80], n);
    accel->start();
    WAIT(t.outs[0x80] > n + 100);
    close_all();
}
END_TEST

static void get_ip(Vcpu *v, void *arg)
{
    struct kvm_regs r;

    ck_assert(v->tid == gettid());
    ck_assert_int_eq(kvm_vcpu_ioctl(v, KVM_GET_REGS, &r), 0);
    *(uint64_t *)arg = r.rip;
}

START_TEST(call)
{
    uint64_t ip = 99;

    open_with(loop, sizeof(loop), IRQCHIP_ON);
    accel->start();
    for (int i = 0; i < 50; i++) {
        accel->vcpu_call(&t.cpu, get_ip, &ip);
        ck_assert(ip == 0 || ip == 2);
    }
    close_all();
}
END_TEST

/* mov [0x100], al; inc al; mov [0x1f00], al ; out 0x81; hlt */
static const uint8_t writer[] = { 0xb0, 0x11, 0xa2, 0x00, 0x01, 0xfe, 0xc0, 0xa2, 0x00, 0x1f, 0xe6, 0x81, 0xeb, 0xf2 };

START_TEST(memory_and_dirty_log)
{
    unsigned long bits = 0;

    open_with(writer, sizeof(writer), IRQCHIP_ON);
    accel->start();
    WAIT(t.outs[0x81] > 2);
    accel->stop();
    ck_assert_uint_eq(t.ram[0x100], 0x11);
    ck_assert_uint_eq(t.ram[0x1f00], 0x12);
    set_map(true, true);
    ck_assert(accel->dirty_get(0, RAM_SIZE, &bits));
    bits = 0;
    ck_assert(accel->dirty_get(0, RAM_SIZE, &bits));
    ck_assert_uint_eq(bits, 0);
    t.outs[0x81] = 0;
    accel->start();
    WAIT(t.outs[0x81] > 2);
    accel->stop();
    /* A part of the range leaves the rest for later. */
    ck_assert(accel->dirty_get(0x1000, 0x1000, &bits));
    ck_assert_uint_eq(bits, 1);
    bits = 0;
    ck_assert(accel->dirty_get(0, RAM_SIZE, &bits));
    ck_assert_uint_eq(bits, 1);
    /* Without RAM the same writes are MMIO. */
    ck_assert_uint_eq(t.mmio_writes, 0);
    set_map(false, false);
    accel->start();
    WAIT(t.mmio_writes > 10);
    close_all();
}
END_TEST

/* mov ax, 0x8000; mov ds, ax; l: mov [0], al; inc al; jnz l; out 0x82; jmp l */
static const uint8_t mmio[] = { 0xb8, 0x00, 0x80, 0x8e, 0xd8, 0xa2, 0x00, 0x00, 0xfe, 0xc0, 0x75, 0xf9, 0xe6, 0x82, 0xeb, 0xf5 };

START_TEST(doorbell)
{
    int fd = eventfd(0, EFD_NONBLOCK);
    uint64_t n = 0;
    g_autoptr(GError) err = NULL;

    open_with(mmio, sizeof(mmio), IRQCHIP_ON);
    ck_assert(accel->ioeventfd(fd, 0x80000, 1, false, NULL, true, &err));
    accel->start();
    WAIT(t.outs[0x82] > 2);
    accel->stop();
    ck_assert_uint_eq(t.mmio_writes, 0);
    ck_assert_int_eq(read(fd, &n, 8), 8);
    ck_assert_uint_gt(n, 256);
    ck_assert(accel->ioeventfd(fd, 0x80000, 1, false, NULL, false, &err));
    accel->start();
    WAIT(t.mmio_writes > 256);
    close_all();
}
END_TEST

START_TEST(coalescing)
{
    open_with(mmio, sizeof(mmio), IRQCHIP_ON);
    ck_assert(accel->coalesce(0x80000, 0x1000, false, true));
    accel->start();
    WAIT(t.outs[0x82] >= 4);
    accel->stop();
    accel->coalesced_flush();
    /* In order and all there: the port is written after each 256 of them. (A full ring lets single writes leave.) */
    ck_assert_uint_ge(t.coalesced + t.mmio_writes, t.outs[0x82] * 256 - 1);
    ck_assert_uint_gt(t.coalesced, 100 * t.mmio_writes);
    close_all();
}
END_TEST

/* in al, 0x80; out 0x83; stop: hlt */
static const uint8_t halt[] = { 0xe4, 0x80, 0x3c, 0x5a, 0x75, 0x02, 0xe6, 0x83, 0xf4, 0xeb, 0xfd };

START_TEST(without_irqchip)
{
    open_with(halt, sizeof(halt), IRQCHIP_OFF);
    accel->start();
    WAIT(t.outs[0x83] == 1 && t.cpu.halted);
    accel->stop();
    accel->start();
    close_all();
}
END_TEST

/* lidt [0] with an empty table; to protected mode; jump to no segment: a triple fault */
static const uint8_t triple[] = { 0x31, 0xc0, 0x8e, 0xd8, 0x0f, 0x01, 0x1e, 0x00, 0x00, 0x40, 0x0f, 0x22, 0xc0, 0xea, 0, 0, 8, 0 };

/* A software KVM may give up on this in its emulator; either way it is said once, and the vCPU stays put. */
START_TEST(dead_end)
{
    open_with(triple, sizeof(triple), IRQCHIP_ON);
    accel->start();
    WAIT(t.asks);
    ck_assert(t.asked == ACCEL_RESET || t.asked == ACCEL_INTERNAL_ERROR);
    g_mutex_unlock(&t.lock);
    g_usleep(20000);
    g_mutex_lock(&t.lock);
    ck_assert_uint_eq(t.asks, 1);
    close_all();
}
END_TEST

START_TEST(routes)
{
    g_autoptr(GError) err = NULL;
    int fd = eventfd(0, 0), a, b;
    struct kvm_irqchip chip;

    open_with(halt, sizeof(halt), IRQCHIP_ON);
    a = accel->msi_route_add(0xfee00000, 0x41, &err);
    b = accel->msi_route_add(0xfee00000, 0x42, &err);
    ck_assert_int_ge(a, 24);
    ck_assert_int_gt(b, a);
    ck_assert(accel->irqfd(fd, -1, a, true, &err));
    ck_assert(accel->irqfd(fd, -1, a, false, &err));
    accel->msi_route_del(a);
    ck_assert_int_eq(accel->msi_route_add(0xfee00000, 0x43, &err), a);
    accel->msi_routes_commit();
    ck_assert_int_eq(kvm_irqchip_get(KVM_IRQCHIP_IOAPIC, &chip), 0);
    ck_assert_int_eq(kvm_irqchip_set(&chip), 0);
    ck_assert_int_eq(kvm_pit_create(true), 0);
    close_all();
}
END_TEST

START_TEST(split)
{
    open_with(loop, sizeof(loop), IRQCHIP_SPLIT);
    accel->msi_route_update(4, 0xfee00000, 0x44);
    accel->msi_routes_commit();
    accel->start();
    WAIT(t.outs[0x80] > 10);
    close_all();
}
END_TEST

START_TEST(no_such)
{
    AccelConfig cfg = { .max_cpus = 1, .apic_id_limit = 1 };
    g_autoptr(GError) err = NULL;

    ck_assert(!accel_open("tcg:hax", &cfg, &host, &err));
    ck_assert_str_eq(err->message, "invalid accelerator tcg; invalid accelerator hax");
    ck_assert(!accel);
    ck_assert(accel_open("tcg:qtest", &cfg, &host, NULL));
    ck_assert_str_eq(accel->name, "qtest");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("accel-kvm");
    TCase *c = tcase_create("kvm");
    SRunner *r;
    int failed;

    if (access("/dev/kvm", R_OK | W_OK)) {
        printf("1..1\nok 1 - accel-kvm # SKIP /dev/kvm cannot be used here\n");
        return 0;
    }
    tcase_set_timeout(c, 30);
    tcase_add_test(c, run_stop_start);
    tcase_add_test(c, call);
    tcase_add_test(c, memory_and_dirty_log);
    tcase_add_test(c, doorbell);
    tcase_add_test(c, coalescing);
    tcase_add_test(c, without_irqchip);
    tcase_add_test(c, dead_end);
    tcase_add_test(c, routes);
    tcase_add_test(c, split);
    tcase_add_test(c, no_such);
    suite_add_tcase(s, c);
    r = srunner_create(s);
    srunner_set_tap(r, "-");
    srunner_run_all(r, CK_SILENT);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
