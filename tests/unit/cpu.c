/* CPU models, CPUID, registers: parsing without KVM, state with it. */
#include "target/i386/cpu-int.h"
#include "accel/kvm/kvm.h"
#include "util/error.h"
#include <check.h>
#include <stdio.h>
#include <unistd.h>

static const MachineType bare = { .name = "bare", .max_cpus = 255 };

static Machine *machine_with(const char *accelerator, const char *cpu, unsigned cpus)
{
    MachineConfig *cfg = machine_config_new();
    AccelConfig a = { .irqchip = IRQCHIP_ON, .max_cpus = cpus, .apic_id_limit = cpus };
    GError *err = NULL;
    Machine *m;

    machine_loop_init();
    cfg->cpu = g_strdup(cpu);
    cfg->smp.cpus = cfg->smp.max_cpus = cpus;
    cfg->smp.sockets = cpus;
    cfg->smp.dies = cfg->smp.cores = cfg->smp.threads = 1;
    m = machine_new(&bare, cfg);
    if (!accel_open(accelerator, &a, machine_accel_host(m), &err)) {
        ck_abort_msg("%s", err->message);
    }
    return m;
}

static void must_fail(const char *cpu, const char *text)
{
    Machine *m = machine_with("qtest", cpu, 1);
    GError *err = NULL;

    ck_assert(!x86_cpus_create(m, "qemu64", &err));
    ck_assert_str_eq(err->message, text);
    g_error_free(err);
}

static const struct { const char *cpu, *text; } bad[] = {
    { "foo", "-cpu foo: unable to find CPU model 'foo'; '-cpu help' lists them" },
    { "qemu64-v2", "-cpu qemu64-v2: unable to find CPU model 'qemu64-v2' (did you mean 'qemu64-v1'?); '-cpu help' lists them" },
    { "host", "-cpu host: CPU model 'host' requires KVM" },
    { "qemu64,vendor=abc", "-cpu qemu64,vendor=abc: Property '.vendor' doesn't take value 'abc'" },
    { "qemu64,family=300",
      "-cpu qemu64,family=300: Property .family"
      " doesn't take value 300 (minimum: 0, maximum: 270)" },
    { "qemu64,avx=bla", "-cpu qemu64,avx=bla: Parameter 'avx' expects 'on' or 'off'" },
    { "qemu64,phys-bits=60", "-cpu qemu64,phys-bits=60: phys-bits should be between 32 and 52  (but is 60)" },
    { "qemu64,+no-such-thing", "-cpu qemu64,+no-such-thing: Property 'qemu64-x86_64-cpu.no-such-thing' not found" },
    { "qemu64,legacy-cache=off", "-cpu qemu64,legacy-cache=off: CPU model 'qemu64' doesn't support legacy-cache=off" },
};

START_TEST(errors)
{
    must_fail(bad[_i].cpu, bad[_i].text);
}
END_TEST

START_TEST(features)
{
    Machine *m = machine_with("qtest", "qemu64,+avx,sse4_1=on,-pni,level=0xb,lahf_lm=off", 2);
    GError *err = NULL;
    X86Cpu *c;

    ck_assert_msg(x86_cpus_create(m, "qemu64", &err), "%s", err ? err->message : "");
    ck_assert_uint_eq(m->vcpus->len, 2);
    c = x86_cpu(m, 1);
    ck_assert_uint_eq(c->apic_id, 1);
    ck_assert_uint_eq(x86_cpuid(c, 0, 0, 0), 0xb);
    ck_assert_uint_eq(x86_cpuid(c, 1, 0, 2) & (1u << 28 | 1 << 19 | 1), 1u << 28 | 1 << 19);
    ck_assert_uint_eq(x86_cpuid(c, 0x80000001, 0, 2) & 1, 0);
    ck_assert_uint_eq(x86_cpuid(c, 1, 0, 1) >> 24, 1);
    ck_assert_uint_eq(c->eip, 0xfff0);
    ck_assert_uint_eq(c->segs[R_CS].base, 0xffff0000);
    ck_assert_uint_eq(c->regs[R_EDX], 0x60fb1);
}
END_TEST

START_TEST(topology)
{
    X86Topology t = { .sockets = 2, .dies = 2, .cores = 3, .threads = 2 };

    ck_assert_uint_eq(x86_apic_id(&t, 0), 0);
    ck_assert_uint_eq(x86_apic_id(&t, 5), 5);
    ck_assert_uint_eq(x86_apic_id(&t, 6), 8);
    ck_assert_uint_eq(x86_apic_id(&t, 12), 16);
    ck_assert_uint_eq(x86_apic_id_limit(&t, 24), 30);
}
END_TEST

START_TEST(audit)
{
    g_autoptr(GString) out = g_string_new(NULL);
    unsigned n = state_audit(&x86_cpu_state, "cpu", sizeof(X86Cpu), out);

    n += state_audit(x86_lapic_type.state, "apic", sizeof(X86Lapic), out);
    n += state_audit(x86_cpu_common_type.state, "cpu_common", x86_cpu_common_type.size, out);
    n += state_audit(x86_kvmclock_type.state, "kvmclock", x86_kvmclock_type.size, out);
    ck_assert_msg(n == 0, "%s", out->str);
}
END_TEST

START_TEST(save_load)
{
    Machine *m = machine_with("qtest", NULL, 1);
    g_autoptr(GByteArray) a = g_byte_array_new(), b = g_byte_array_new();
    GError *err = NULL;
    X86Cpu *c;
    gssize n;

    ck_assert(x86_cpus_create(m, "qemu64", &err));
    c = x86_cpu(m, 0);
    c->regs[3] = 0x1122334455667788;
    c->zmm[3].q[1] = 5;
    c->zmm[20].q[7] = 6;
    c->pkru = 7;
    c->lapic->tpr = 0x20;
    state_save(&x86_cpu_state, c, a);
    x86_cpu_reset(c);
    n = state_load(&x86_cpu_state, c, 12, a->data, a->len, "cpu", &err);
    ck_assert_msg(n == (gssize)a->len, "%s", err ? err->message : "length");
    ck_assert_uint_eq(c->regs[3], 0x1122334455667788);
    ck_assert_uint_eq(c->zmm[20].q[7], 6);
    state_save(&x86_cpu_state, c, b);
    ck_assert(a->len == b->len && !memcmp(a->data, b->data, a->len));
}
END_TEST

START_TEST(kvm_registers)
{
    Machine *m = machine_with("kvm", "max", 2);
    g_autoptr(GString) before = g_string_new(NULL), after = g_string_new(NULL);
    GError *err = NULL;
    X86Cpu *c;

    ck_assert_msg(x86_cpus_create(m, "qemu64", &err), "%s", err ? err->message : "");
    c = x86_cpu(m, 0);
    c->regs[R_EBX] = 0x12345678;
    c->vcpu.regs_dirty = true;
    x86_print_registers(c, before, true, false);
    x86_cpu_sync(c);
    c->vcpu.regs_valid = false;
    memset(c->regs, 0, sizeof(c->regs));
    memset(c->segs, 0xff, sizeof(c->segs));
    x86_cpu_sync(c);
    x86_print_registers(c, after, true, false);
    ck_assert_str_eq(before->str, after->str);
    ck_assert_uint_eq(x86_cpu(m, 1)->mp_state, KVM_MP_STATE_UNINITIALIZED);
    machine_unlock();
    machine_lock();
    accel->close();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("cpu");
    TCase *c = tcase_create("cpu");
    SRunner *r;
    int failed;

    tcase_add_loop_test(c, errors, 0, G_N_ELEMENTS(bad));
    tcase_add_test(c, features);
    tcase_add_test(c, topology);
    tcase_add_test(c, audit);
    tcase_add_test(c, save_load);
    if (!access("/dev/kvm", R_OK | W_OK)) {
        tcase_add_test(c, kvm_registers);
    }
    suite_add_tcase(s, c);
    r = srunner_create(s);
    srunner_set_tap(r, "-");
    srunner_run_all(r, CK_SILENT);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
