/*
 * A vCPU's life under KVM: CPUID and limits at creation, registers from and to the kernel, the exits that only a CPU
 * understands.
 */
#include "target/i386/apic-int.h"
#include "target/i386/host.h"
#include "target/i386/hyperv.h"
#include "accel/kvm/kvm.h"
#include "util/error.h"
#include <errno.h>

/* ---- Segments and control registers ---- */

static void seg_to_kvm(const X86Segment *s, struct kvm_segment *k, bool v8086)
{
    *k = (struct kvm_segment){ .base = s->base, .limit = s->limit, .selector = s->selector };
    if (v8086) {
        k->type = 3;
        k->present = 1;
        k->dpl = 3;
        k->s = 1;
        return;
    }
    k->type = s->flags >> SEG_TYPE_SHIFT & 15;
    k->present = !!(s->flags & SEG_P);
    k->dpl = s->flags >> SEG_DPL_SHIFT & 3;
    k->db = !!(s->flags & SEG_B);
    k->s = !!(s->flags & SEG_S);
    k->l = !!(s->flags & SEG_L);
    k->g = !!(s->flags & SEG_G);
    k->avl = !!(s->flags & SEG_AVL);
    k->unusable = !k->present;
}

static void seg_from_kvm(X86Segment *s, const struct kvm_segment *k)
{
    s->selector = k->selector;
    s->base = k->base;
    s->limit = k->limit;
    s->flags = k->type << SEG_TYPE_SHIFT | (k->present && !k->unusable ? SEG_P : 0) | k->dpl << SEG_DPL_SHIFT | (k->db ? SEG_B : 0)
               | (k->s ? SEG_S : 0) | (k->l ? SEG_L : 0) | (k->g ? SEG_G : 0) | (k->avl ? SEG_AVL : 0);
}

static void check(X86Cpu *c, int r, const char *what)
{
    if (r < 0) {
        error_report("CPU %u: KVM fails to %s: %s", c->index, what, g_strerror(-r));
    }
}

/* The two kernel structs have these members in common. */
#define SREGS_TO_KVM(c, s) do { \
    struct kvm_segment *const segs_[] = { &(s)->es, &(s)->cs, &(s)->ss, &(s)->ds, &(s)->fs, &(s)->gs }; \
    for (unsigned i_ = 0; i_ < 6; i_++) { seg_to_kvm(&(c)->segs[i_], segs_[i_], (c)->eflags & EFLAGS_VM); } \
    seg_to_kvm(&(c)->tr, &(s)->tr, false); \
    seg_to_kvm(&(c)->ldt, &(s)->ldt, false); \
    (s)->gdt.base = (c)->gdt.base; \
    (s)->gdt.limit = (c)->gdt.limit; \
    (s)->idt.base = (c)->idt.base; \
    (s)->idt.limit = (c)->idt.limit; \
    (s)->cr0 = (c)->cr0; \
    (s)->cr2 = (c)->cr2; \
    (s)->cr3 = (c)->cr3; \
    (s)->cr4 = (c)->cr4; \
    (s)->cr8 = (c)->lapic->tpr >> 4; \
    (s)->apic_base = (c)->apicbase; \
    (s)->efer = (c)->efer; \
} while (0)

#define SREGS_FROM_KVM(c, s) do { \
    const struct kvm_segment *const segs_[] = { &(s)->es, &(s)->cs, &(s)->ss, &(s)->ds, &(s)->fs, &(s)->gs }; \
    for (unsigned i_ = 0; i_ < 6; i_++) { seg_from_kvm(&(c)->segs[i_], segs_[i_]); } \
    seg_from_kvm(&(c)->tr, &(s)->tr); \
    seg_from_kvm(&(c)->ldt, &(s)->ldt); \
    (c)->gdt = (X86Segment){ .base = (s)->gdt.base, .limit = (s)->gdt.limit }; \
    (c)->idt = (X86Segment){ .base = (s)->idt.base, .limit = (s)->idt.limit }; \
    (c)->cr0 = (s)->cr0; \
    (c)->cr2 = (s)->cr2; \
    (c)->cr3 = (s)->cr3; \
    (c)->cr4 = (s)->cr4; \
    (c)->apicbase = (s)->apic_base; \
    (c)->efer = (s)->efer; \
} while (0)

static void put_sregs(X86Cpu *c)
{
    if (kvm_check(KVM_CAP_SREGS2)) {
        struct kvm_sregs2 s = { 0 };

        SREGS_TO_KVM(c, &s);
        if (c->pdptrs_valid) {
            memcpy(s.pdptrs, c->pdptrs, sizeof(s.pdptrs));
            s.flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
        }
        check(c, kvm_vcpu_ioctl(&c->vcpu, KVM_SET_SREGS2, &s), "set segments");
    } else {
        struct kvm_sregs s = { 0 };

        if (c->interrupt_injected >= 0) {
            s.interrupt_bitmap[(c->interrupt_injected & 0xff) / 64] |= 1ull << c->interrupt_injected % 64;
        }
        SREGS_TO_KVM(c, &s);
        check(c, kvm_vcpu_ioctl(&c->vcpu, KVM_SET_SREGS, &s), "set segments");
    }
}

static void get_sregs(X86Cpu *c)
{
    if (kvm_check(KVM_CAP_SREGS2)) {
        struct kvm_sregs2 s = { 0 };

        check(c, kvm_vcpu_ioctl(&c->vcpu, KVM_GET_SREGS2, &s), "get segments");
        SREGS_FROM_KVM(c, &s);
        c->pdptrs_valid = s.flags & KVM_SREGS2_FLAGS_PDPTRS_VALID;
        memcpy(c->pdptrs, s.pdptrs, sizeof(s.pdptrs));
    } else {
        struct kvm_sregs s = { 0 };

        check(c, kvm_vcpu_ioctl(&c->vcpu, KVM_GET_SREGS, &s), "get segments");
        SREGS_FROM_KVM(c, &s);
        c->pdptrs_valid = false;
    }
}

static void put_regs(X86Cpu *c)
{
    const uint64_t *r = c->regs;
    struct kvm_regs k = { .rax = r[0], .rbx = r[3], .rcx = r[1], .rdx = r[2], .rsi = r[6], .rdi = r[7], .rsp = r[4], .rbp = r[5],
                          .r8 = r[8], .r9 = r[9], .r10 = r[10], .r11 = r[11], .r12 = r[12], .r13 = r[13], .r14 = r[14], .r15 = r[15],
                          .rip = c->eip, .rflags = c->eflags };

    check(c, kvm_vcpu_ioctl(&c->vcpu, KVM_SET_REGS, &k), "set registers");
}

static void get_regs(X86Cpu *c)
{
    struct kvm_regs k = { 0 };

    check(c, kvm_vcpu_ioctl(&c->vcpu, KVM_GET_REGS, &k), "get registers");
    memcpy(c->regs, (uint64_t[]){ k.rax, k.rcx, k.rdx, k.rbx, k.rsp, k.rbp, k.rsi, k.rdi, k.r8, k.r9, k.r10, k.r11, k.r12, k.r13, k.r14,
                                  k.r15 }, sizeof(c->regs));
    c->eip = k.rip;
    c->eflags = k.rflags;
}

static void put_xcrs(X86Cpu *c)
{
    struct kvm_xcrs x = { .nr_xcrs = 1, .xcrs[0] = { .xcr = 0, .value = c->xcr0 } };

    if (kvm_check(KVM_CAP_XCRS)) {
        check(c, kvm_vcpu_ioctl(&c->vcpu, KVM_SET_XCRS, &x), "set XCR0");
    }
}

static void get_xcrs(X86Cpu *c)
{
    struct kvm_xcrs x = { 0 };

    if (kvm_check(KVM_CAP_XCRS) && kvm_vcpu_ioctl(&c->vcpu, KVM_GET_XCRS, &x) == 0) {
        for (unsigned i = 0; i < MIN(x.nr_xcrs, KVM_MAX_XCRS); i++) {
            c->xcr0 = x.xcrs[i].xcr == 0 ? x.xcrs[i].value : c->xcr0;
        }
    }
}

static void put_debugregs(X86Cpu *c)
{
    struct kvm_debugregs d = { .dr6 = c->dr[6], .dr7 = c->dr[7] };

    memcpy(d.db, c->dr, sizeof(d.db));
    check(c, kvm_vcpu_ioctl(&c->vcpu, KVM_SET_DEBUGREGS, &d), "set debug registers");
}

static void get_debugregs(X86Cpu *c)
{
    struct kvm_debugregs d = { 0 };

    if (kvm_vcpu_ioctl(&c->vcpu, KVM_GET_DEBUGREGS, &d) == 0) {
        memcpy(c->dr, d.db, sizeof(d.db));
        c->dr[4] = c->dr[6] = d.dr6;
        c->dr[5] = c->dr[7] = d.dr7;
    }
}

/* ---- Events ---- */

static void put_events(X86Cpu *c, bool all)
{
    struct kvm_vcpu_events e = {
        .exception = { .injected = c->exception_injected, .nr = c->exception_nr < 0 ? 0 : c->exception_nr,
                       .has_error_code = c->has_error_code, .pending = c->exception_pending, .error_code = c->error_code },
        .exception_has_payload = c->exception_has_payload,
        .exception_payload = c->exception_payload,
        .interrupt = { .injected = c->interrupt_injected >= 0, .nr = c->interrupt_injected, .soft = c->soft_interrupt,
                       .shadow = c->interrupt_shadow },
        .nmi = { .injected = c->nmi_injected, .pending = c->nmi_pending, .masked = c->nmi_masked },
        .sipi_vector = c->sipi_vector,
        .flags = KVM_VCPUEVENT_VALID_SHADOW,
    };

    if (kvm_check(KVM_CAP_EXCEPTION_PAYLOAD)) {
        e.flags |= KVM_VCPUEVENT_VALID_PAYLOAD;
    }
    if (accel_smm) {
        e.smi.smm = c->smm;
        e.smi.pending = c->smi_pending;
        e.smi.smm_inside_nmi = c->smi_inside_nmi;
        e.smi.latched_init = c->smi_latched_init;
        e.flags |= KVM_VCPUEVENT_VALID_SMM;
    }
    if (kvm_check(KVM_CAP_X86_TRIPLE_FAULT_EVENT)) {
        e.triple_fault.pending = c->triple_fault_pending;
        e.flags |= KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
    }
    if (all) {
        e.flags |= KVM_VCPUEVENT_VALID_NMI_PENDING | (c->mp_state == KVM_MP_STATE_SIPI_RECEIVED ? KVM_VCPUEVENT_VALID_SIPI_VECTOR : 0);
    }
    check(c, kvm_vcpu_ioctl(&c->vcpu, KVM_SET_VCPU_EVENTS, &e), "set events");
}

static void get_events(X86Cpu *c)
{
    struct kvm_vcpu_events e = { 0 };

    if (kvm_vcpu_ioctl(&c->vcpu, KVM_GET_VCPU_EVENTS, &e) < 0) {
        return;
    }
    c->exception_pending = (e.flags & KVM_VCPUEVENT_VALID_PAYLOAD) && e.exception.pending;
    c->exception_has_payload = (e.flags & KVM_VCPUEVENT_VALID_PAYLOAD) && e.exception_has_payload;
    c->exception_payload = c->exception_has_payload ? e.exception_payload : 0;
    c->exception_injected = e.exception.injected;
    c->exception_nr = c->exception_pending || c->exception_injected ? e.exception.nr : -1;
    c->has_error_code = e.exception.has_error_code;
    c->error_code = e.exception.error_code;
    c->interrupt_injected = e.interrupt.injected ? e.interrupt.nr : -1;
    c->soft_interrupt = e.interrupt.soft;
    c->interrupt_shadow = e.interrupt.shadow;
    c->nmi_injected = e.nmi.injected;
    c->nmi_pending = e.nmi.pending;
    c->nmi_masked = e.nmi.masked;
    c->hflags2 = e.nmi.masked ? c->hflags2 | HF2_NMI : c->hflags2 & ~HF2_NMI;
    if (e.flags & KVM_VCPUEVENT_VALID_SMM) {
        c->smm = e.smi.smm;
        c->smi_pending = e.smi.pending;
        c->smi_inside_nmi = e.smi.smm_inside_nmi;
        c->smi_latched_init = e.smi.latched_init;
        c->hflags = c->smm ? c->hflags | HF_SMM : c->hflags & ~HF_SMM;
    }
    if (e.flags & KVM_VCPUEVENT_VALID_TRIPLE_FAULT) {
        c->triple_fault_pending = e.triple_fault.pending;
    }
    c->sipi_vector = e.sipi_vector;
}

static void put_mp_state(X86Cpu *c)
{
    struct kvm_mp_state s = { .mp_state = c->mp_state };

    check(c, kvm_vcpu_ioctl(&c->vcpu, KVM_SET_MP_STATE, &s), "set its MP state");
}

static void get_mp_state(X86Cpu *c)
{
    struct kvm_mp_state s;

    if (kvm_vcpu_ioctl(&c->vcpu, KVM_GET_MP_STATE, &s) == 0) {
        c->mp_state = s.mp_state;
        c->halted = accel_irqchip == IRQCHIP_OFF ? c->vcpu.halted : s.mp_state == KVM_MP_STATE_HALTED;
    }
}

/* ---- All of it ---- */

void x86_kvm_get(X86Cpu *c)
{
    get_events(c);
    get_mp_state(c);
    get_regs(c);
    x86_xsave_get(c);
    get_xcrs(c);
    get_sregs(c);
    x86_msrs_get(c);
    if (accel_irqchip != IRQCHIP_OFF) {
        x86_lapic_get(c->lapic);
    }
    get_debugregs(c);
    x86_update_hflags(c);
    c->vcpu.regs_valid = true;
}

/* The order matters: MSRs such as the TSC deadline need the APIC's mode, which comes with the segments. */
void x86_kvm_put(X86Cpu *c)
{
    bool all = c->put_all;

    if (all) {
        x86_feature_msrs_put(c);
    }
    put_sregs(c);
    put_regs(c);
    x86_xsave_put(c);
    put_xcrs(c);
    x86_msrs_put(c, all);
    if (all) {
        put_mp_state(c);
    }
    if (c->put_lapic && accel_irqchip != IRQCHIP_OFF) {
        x86_lapic_put(c->lapic);
    }
    put_events(c, all);
    put_debugregs(c);
    c->put_all = c->put_lapic = false;
    c->vcpu.regs_dirty = false;
    c->vcpu.regs_valid = true;
}

/* ---- Creation ---- */

static bool set_cpuid(X86Cpu *c, GError **err)
{
    g_autofree struct kvm_cpuid2 *leaves = x86_spec_leaves(c->spec, c->apic_id, c->tsc_khz);
    int r = kvm_vcpu_ioctl(&c->vcpu, KVM_SET_CPUID2, leaves);

    return r < 0 ? error_set_errno(err, -r, "KVM does not take CPU %u's %u CPUID leaves", c->index, leaves->nent) : true;
}

/* The TSC's rate: as asked for, or what KVM has. */
static bool set_tsc(X86Cpu *c, GError **err)
{
    int64_t khz = c->spec->p.tsc_frequency / 1000;
    int host = kvm_check(KVM_CAP_GET_TSC_KHZ) ? kvm_vcpu_ioctl(&c->vcpu, KVM_GET_TSC_KHZ, NULL) : -ENOTSUP;
    int r;

    if (khz && khz != host) {
        r = kvm_check(KVM_CAP_TSC_CONTROL) && khz <= INT32_MAX ? kvm_vcpu_ioctl(&c->vcpu, KVM_SET_TSC_KHZ, (void *)(intptr_t)khz) : -ENOTSUP;
        if (r < 0 && host > 0) {
            warn_report("TSC frequency mismatch between VM (%" G_GINT64_FORMAT " kHz) and host (%d kHz), and TSC scaling unavailable",
                        (gint64)khz, host);
            return error_set(err, "the host cannot run a guest with this TSC frequency");
        }
    }
    c->tsc_khz = khz ? khz : MAX(host, 0);
    return true;
}

static bool set_machine_check(X86Cpu *c, GError **err)
{
    enum { BANKS = 0xff, LMCE_P = 1 << 27 };
    uint64_t have = 0, banks = kvm_check(KVM_CAP_MCE);

    if (!c->mcg_cap || !banks || kvm_sys_ioctl(KVM_X86_GET_MCE_CAP_SUPPORTED, &have) < 0) {
        return true;
    }
    if (c->mcg_cap & ~have & LMCE_P) {
        return error_set(err, "kvm: LMCE not supported");
    }
    c->mcg_cap = (c->mcg_cap & have & ~(uint64_t)BANKS) | MIN(c->mcg_cap & BANKS, banks);
    if (kvm_vcpu_ioctl(&c->vcpu, KVM_X86_SETUP_MCE, &c->mcg_cap) < 0) {
        warn_report("KVM has no machine checks for CPU %u", c->index);
        c->mcg_cap = 0;
    }
    return true;
}

static bool x86_vcpu_init(Vcpu *v, GError **err)
{
    X86Cpu *c = x86_cpu_of(v);

    if (v->fd < 0) {
        return true;
    }
    if (!set_tsc(c, err) || !x86_hyperv_vcpu_init(c->spec, v, err)) {
        return false;
    }
    if (c->spec->p.pv_enforce_cpuid) {
        kvm_vcpu_enable_cap(v, KVM_CAP_ENFORCE_PV_FEATURE_CPUID, 1, 0);
    }
    return set_machine_check(c, err) && set_cpuid(c, err);
}

static void x86_vcpu_put(Vcpu *v)
{
    x86_kvm_put(x86_cpu_of(v));
}

/* ---- Exits ---- */

enum { MSR_CORE_THREAD_COUNT = 0x35 };

/* KVM knows nothing of this MSR, which some guests read unasked: the filter sends its reads to us. */
void x86_kvm_filter_msrs(void)
{
    uint8_t denied = 0;
    struct kvm_msr_filter f = {
        .flags = KVM_MSR_FILTER_DEFAULT_ALLOW,
        .ranges[0] = { .flags = KVM_MSR_FILTER_READ, .nmsrs = 1, .base = MSR_CORE_THREAD_COUNT, .bitmap = &denied },
    };

    if (kvm_check(KVM_CAP_X86_USER_SPACE_MSR) && kvm_check(KVM_CAP_X86_MSR_FILTER)
        && kvm_vm_enable_cap(KVM_CAP_X86_USER_SPACE_MSR, KVM_MSR_EXIT_REASON_FILTER, 0) == 0) {
        kvm_vm_ioctl(KVM_X86_SET_MSR_FILTER, &f);
    }
}

static void user_msr(X86Cpu *c, struct kvm_run *run, bool write)
{
    const X86Topology *t = &c->spec->topo;

    run->msr.error = 1;
    if (!write && run->msr.index == MSR_CORE_THREAD_COUNT) {
        run->msr.data = (uint64_t)t->cores << 16 | t->cores * t->threads;
        run->msr.error = 0;
    }
}

static bool x86_vcpu_exit(Vcpu *v)
{
    X86Cpu *c = x86_cpu_of(v);

    switch (v->run->exit_reason) {
    case KVM_EXIT_X86_RDMSR: case KVM_EXIT_X86_WRMSR:
        user_msr(c, v->run, v->run->exit_reason == KVM_EXIT_X86_WRMSR);
        return true;
    case KVM_EXIT_HYPERV:
        return x86_hyperv_exit(c, &v->run->hyperv);
    case KVM_EXIT_X86_BUS_LOCK:
        return true;
    default:
        return false;
    }
}

static void x86_vcpu_print(Vcpu *v, GString *out)
{
    X86Cpu *c = x86_cpu_of(v);

    if (!v->regs_valid) {
        x86_kvm_get(c);
    }
    x86_print_registers(c, out, false, true);
}

static void x86_vcpu_destroy(Vcpu *v)
{
}

const VcpuOps x86_vcpu_ops = {
    .init = x86_vcpu_init,
    .put_state = x86_vcpu_put,
    .exit = x86_vcpu_exit,
    .print_state = x86_vcpu_print,
    .destroy = x86_vcpu_destroy,
};

const VcpuOps x86_vcpu_ops_user_pic = {
    .init = x86_vcpu_init,
    .put_state = x86_vcpu_put,
    .before_run = x86_pic_before_run,
    .exit = x86_vcpu_exit,
    .print_state = x86_vcpu_print,
    .destroy = x86_vcpu_destroy,
};

const VcpuOps x86_vcpu_ops_user_apic = {
    .init = x86_vcpu_init,
    .put_state = x86_vcpu_put,
    .before_run = x86_apic_before_run,
    .after_run = x86_apic_after_run,
    .exit = x86_vcpu_exit,
    .print_state = x86_vcpu_print,
    .destroy = x86_vcpu_destroy,
};

/* ---- From outside ---- */

static void sync_call(Vcpu *v, void *arg)
{
    X86Cpu *c = x86_cpu_of(v);

    if (v->regs_dirty) {
        x86_kvm_put(c);             /* what the struct holds is newer */
    }
    if (!v->regs_valid) {
        x86_kvm_get(c);
    }
}

void x86_cpu_sync(X86Cpu *c)
{
    if (c->vcpu.fd >= 0) {
        accel->vcpu_call(&c->vcpu, sync_call, NULL);
    }
}
