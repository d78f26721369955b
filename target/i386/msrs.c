/*
 * Model-specific registers: one table, of which KVM's list of MSRs and the CPU's features select the rows.
 * Facts: SDM volume 4, AMD's APM volume 2 appendix A, Linux's Documentation/virt/kvm/x86/msr.rst, Hyper-V's TLFS.
 */
#include "target/i386/cpu-int.h"
#include "target/i386/host.h"
#include "target/i386/hyperv.h"
#include "accel/kvm/kvm.h"
#include "util/error.h"

typedef enum MsrWhen {
    ALWAYS,         /* whenever KVM lists it */
    ARCH,           /* architectural: even when KVM's list leaves it out */
    FEATURE,        /* when a CPUID bit is there as well */
    PARAVIRT,       /* when a bit of KVM's feature leaf is there */
    HYPERV,         /* when an enlightenment is in use */
} MsrWhen;

typedef struct MsrRow {
    uint32_t index;
    uint16_t off;
    uint8_t count, stride;      /* consecutive MSRs; bytes from one member to the next (0: 8) */
    uint8_t size;               /* of a member; 0: 8 */
    MsrWhen when;
    uint8_t word;               /* FEATURE */
    uint8_t hv;                 /* HYPERV */
    uint32_t bits;
    bool full;                  /* put only after reset or load: a clock that runs on by itself */
} MsrRow;

#define M(i, m, w, ...) { .index = (i), .off = offsetof(X86Cpu, m), .count = 1, .when = (w), __VA_ARGS__ }

static const MsrRow rows[] = {
    M(0x174, sysenter_cs, ARCH, .size = 4),
    M(0x175, sysenter_esp, ARCH),
    M(0x176, sysenter_eip, ARCH),
    M(0x277, pat, ARCH),
    M(0xc0000081, star, ALWAYS),
    M(0xc0000083, cstar, FEATURE, .word = FW_8000_0001_EDX, .bits = F8_EDX_LM),
    M(0xc0000102, kernelgsbase, FEATURE, .word = FW_8000_0001_EDX, .bits = F8_EDX_LM),
    M(0xc0000084, fmask, FEATURE, .word = FW_8000_0001_EDX, .bits = F8_EDX_LM),
    M(0xc0000082, lstar, FEATURE, .word = FW_8000_0001_EDX, .bits = F8_EDX_LM),
    M(0xc0010117, vm_hsave, FEATURE, .word = FW_8000_0001_ECX, .bits = F8_ECX_SVM),
    M(0xc0000103, tsc_aux, FEATURE, .word = FW_8000_0001_EDX, .bits = F8_EDX_RDTSCP),
    M(0x3b, tsc_adjust, FEATURE, .word = FW_7_0_EBX, .bits = F7_EBX_TSC_ADJUST, .full = true),
    M(0x10, tsc, ARCH, .full = true),
    M(0x1a0, misc_enable, ALWAYS),
    M(0x9e, smbase, ALWAYS, .size = 4),
    M(0x34, smi_count, ALWAYS),
    M(0x3a, feature_control, ALWAYS),
    M(0xe1, umwait, FEATURE, .size = 4, .word = FW_7_0_ECX, .bits = F7_ECX_WAITPKG),
    M(0x6e1, pkrs, FEATURE, .size = 4, .word = FW_7_0_ECX, .bits = F7_ECX_PKS),
    M(0xd90, bndcfgs, FEATURE, .word = FW_7_0_EBX, .bits = F7_EBX_MPX),
    M(0xda0, xss, FEATURE, .word = FW_XSAVE, .bits = FD1_EAX_XSAVES),
    M(0x48, spec_ctrl, FEATURE, .word = FW_7_0_EDX, .bits = 1 << 26),
    M(0x48, spec_ctrl, FEATURE, .word = FW_8000_0008_EBX, .bits = 1 << 14),
    M(0x48, spec_ctrl, FEATURE, .word = FW_8000_0008_EBX, .bits = 1 << 24),
    M(0xc001011f, virt_ssbd, FEATURE, .word = FW_8000_0008_EBX, .bits = 1 << 25),
    M(0x122, tsx_ctrl, FEATURE, .word = FW_ARCH_CAP, .bits = 1 << 7),
    M(0x1c4, xfd, FEATURE, .word = FW_XSAVE, .bits = FD1_EAX_XFD),
    M(0x1c5, xfd_err, FEATURE, .word = FW_XSAVE, .bits = FD1_EAX_XFD),
    M(0xc0000104, tsc_scale, FEATURE, .word = FW_SVM, .bits = 1 << 4),
    M(0x8c, sgxlepubkeyhash, FEATURE, .count = 4, .word = FW_7_0_ECX, .bits = F7_ECX_SGX_LC),

    M(0x11, wall_clock_msr, PARAVIRT, .bits = 1 << 0, .full = true),
    M(0x12, system_time_msr, PARAVIRT, .bits = 1 << 0, .full = true),
    M(0x4b564d02, async_pf_en_msr, PARAVIRT, .bits = 1 << 4),
    M(0x4b564d06, async_pf_int_msr, PARAVIRT, .bits = 1 << 14),
    M(0x4b564d04, pv_eoi_en_msr, PARAVIRT, .bits = 1 << 6),
    M(0x4b564d03, steal_time_msr, PARAVIRT, .bits = 1 << 5),
    M(0x4b564d05, poll_control_msr, PARAVIRT, .bits = 1 << 12),

    M(0x40000000, hv_guest_os_id, HYPERV, .hv = HV_FEATURES),
    M(0x40000001, hv_hypercall, HYPERV, .hv = HV_FEATURES),
    M(0x40000010, hv_runtime, HYPERV, .hv = HV_RUNTIME, .full = true),
    M(0x40000021, hv_tsc, HYPERV, .hv = HV_TIME),
    M(0x40000073, hv_vapic, HYPERV, .hv = HV_VAPIC),
    M(0x40000080, hv_synic_control, HYPERV, .hv = HV_SYNIC),
    M(0x40000082, hv_synic_evt_page, HYPERV, .hv = HV_SYNIC),
    M(0x40000083, hv_synic_msg_page, HYPERV, .hv = HV_SYNIC),
    M(0x40000090, hv_synic_sint, HYPERV, .count = X86_SYNIC_SINTS, .hv = HV_SYNIC),
    M(0x400000b0, hv_stimer_config[0], HYPERV, .hv = HV_STIMER),
    M(0x400000b1, hv_stimer_count[0], HYPERV, .hv = HV_STIMER),
    M(0x400000b2, hv_stimer_config[1], HYPERV, .hv = HV_STIMER),
    M(0x400000b3, hv_stimer_count[1], HYPERV, .hv = HV_STIMER),
    M(0x400000b4, hv_stimer_config[2], HYPERV, .hv = HV_STIMER),
    M(0x400000b5, hv_stimer_count[2], HYPERV, .hv = HV_STIMER),
    M(0x400000b6, hv_stimer_config[3], HYPERV, .hv = HV_STIMER),
    M(0x400000b7, hv_stimer_count[3], HYPERV, .hv = HV_STIMER),
    M(0x40000100, hv_crash, HYPERV, .count = X86_HV_CRASH_PARAMS, .hv = HV_CRASH),
    M(0x40000106, hv_reenlightenment_control, HYPERV, .hv = HV_REENLIGHTENMENT),
    M(0x40000107, hv_tsc_emulation_control, HYPERV, .hv = HV_REENLIGHTENMENT),
    M(0x40000108, hv_tsc_emulation_status, HYPERV, .hv = HV_REENLIGHTENMENT),

    M(0x38d, fixed_ctr_ctrl, FEATURE, .word = FW_COUNT),
    M(0x38f, global_ctrl, FEATURE, .word = FW_COUNT),
    M(0x38e, global_status, FEATURE, .word = FW_COUNT),
    M(0x390, global_ovf_ctrl, FEATURE, .word = FW_COUNT),
    M(0x309, fixed_counters, FEATURE, .count = X86_FIXED_COUNTERS, .word = FW_COUNT),
    M(0xc1, gp_counters, FEATURE, .count = X86_GP_COUNTERS, .word = FW_COUNT),
    M(0x186, gp_evtsel, FEATURE, .count = X86_GP_COUNTERS, .word = FW_COUNT),

    M(0x2ff, mtrr_deftype, FEATURE, .word = FW_1_EDX, .bits = F1_EDX_MTRR),
    M(0x250, mtrr_fixed[0], FEATURE, .word = FW_1_EDX, .bits = F1_EDX_MTRR),
    M(0x258, mtrr_fixed[1], FEATURE, .count = 2, .word = FW_1_EDX, .bits = F1_EDX_MTRR),
    M(0x268, mtrr_fixed[3], FEATURE, .count = 8, .word = FW_1_EDX, .bits = F1_EDX_MTRR),
    M(0x200, mtrr_var, FEATURE, .count = 16, .word = FW_1_EDX, .bits = F1_EDX_MTRR),

    M(0x570, rtit_ctrl, FEATURE, .word = FW_7_0_EBX, .bits = F7_EBX_INTEL_PT),
    M(0x571, rtit_status, FEATURE, .word = FW_7_0_EBX, .bits = F7_EBX_INTEL_PT),
    M(0x560, rtit_output_base, FEATURE, .word = FW_7_0_EBX, .bits = F7_EBX_INTEL_PT),
    M(0x561, rtit_output_mask, FEATURE, .word = FW_7_0_EBX, .bits = F7_EBX_INTEL_PT),
    M(0x572, rtit_cr3_match, FEATURE, .word = FW_7_0_EBX, .bits = F7_EBX_INTEL_PT),
    M(0x580, rtit_addrs, FEATURE, .count = 4, .word = FW_7_0_EBX, .bits = F7_EBX_INTEL_PT),

    M(0x17a, mcg_status, FEATURE, .word = FW_1_EDX, .bits = F1_EDX_MCA),
    M(0x17b, mcg_ctl, FEATURE, .word = FW_1_EDX, .bits = F1_EDX_MCA),
    M(0x4d0, mcg_ext_ctl, FEATURE, .word = FW_1_EDX, .bits = F1_EDX_MCA),
    M(0x400, mce_banks, FEATURE, .count = 4 * X86_MCE_BANKS, .word = FW_1_EDX, .bits = F1_EDX_MCA),
    /* Last: it starts a timer, which needs all the rest. */
    M(0x6e0, tsc_deadline, FEATURE, .word = FW_1_ECX, .bits = F1_ECX_TSC_DEADLINE, .full = true),
};

enum { MAX_MSRS = 256, MSR_MC0 = 0x400, MSR_MCG_EXT = 0x4d0, MSR_MTRR_VAR0 = 0x200, MSR_MTRR_MASK = 1 };

typedef struct MsrBuffer { struct kvm_msrs h; struct kvm_msr_entry e[MAX_MSRS]; } MsrBuffer;

/* Hyper-V's, the PMU's ranges, MTRRs and machine check banks are not in KVM's list. */
static bool listed(const MsrRow *r)
{
    return r->when == ARCH || r->when == HYPERV || r->count > 1 || r->word == FW_COUNT || (r->index >= 0x200 && r->index <= 0x2ff)
           || x86_host_has_msr(r->index);
}

static bool wanted(const X86Cpu *c, const MsrRow *r)
{
    const X86Spec *s = c->spec;

    if (!listed(r)) {
        return false;
    }
    switch (r->when) {
    case PARAVIRT:
        return s->p.kvm && (s->features[FW_KVM] & r->bits);
    case HYPERV:
        return r->hv == HV_FEATURES ? s->hv_on : x86_hv_has(s, r->hv);
    case FEATURE:
        if (r->index == MSR_MCG_EXT) {
            return c->mcg_cap & 1 << 27;
        }
        if (r->off == offsetof(X86Cpu, mcg_status) || r->off == offsetof(X86Cpu, mcg_ctl) || r->index == MSR_MC0) {
            return c->mcg_cap;
        }
        return r->word < FW_COUNT && (s->features[r->word] & r->bits);
    default:
        return true;
    }
}

/* The PMU's rows are not by CPUID bit but by leaf 0xa: how many counters there are. */
static unsigned pmu_count(const X86Cpu *c, const MsrRow *r)
{
    uint32_t leaf[4];
    unsigned version, gp, fixed;

    x86_spec_cpuid(c->spec, c->apic_id, 0xa, 0, leaf);
    version = leaf[0] & 0xff;
    gp = version ? leaf[0] >> 8 & 0xff : 0;
    fixed = version > 1 ? leaf[3] & 0x1f : 0;
    if (r->off == offsetof(X86Cpu, gp_counters) || r->off == offsetof(X86Cpu, gp_evtsel)) {
        return MIN(gp, X86_GP_COUNTERS);
    }
    if (r->off == offsetof(X86Cpu, fixed_counters)) {
        return MIN(fixed, X86_FIXED_COUNTERS);
    }
    return version > 1;
}

static unsigned row_count(const X86Cpu *c, const MsrRow *r)
{
    if (r->word == FW_COUNT) {
        return c->spec->pmu ? pmu_count(c, r) : 0;
    }
    if (!wanted(c, r)) {
        return 0;
    }
    return r->index == MSR_MC0 ? MIN((c->mcg_cap & 0xff) * 4, r->count) : r->count;
}

static void *member(X86Cpu *c, const MsrRow *r, unsigned i)
{
    return (char *)c + r->off + i * (r->stride ? r->stride : 8);
}

static MsrBuffer *buffer(X86Cpu *c)
{
    if (!c->msrs) {
        c->msrs = g_new0(MsrBuffer, 1);
    }
    return c->msrs;
}

static void add(void *opaque, uint32_t index, uint64_t value)
{
    MsrBuffer *b = opaque;

    g_assert(b->h.nmsrs < MAX_MSRS);
    b->e[b->h.nmsrs++] = (struct kvm_msr_entry){ .index = index, .data = value };
}

/* Sends the buffer; KVM stops at the first that it does not take: that one is said once, and the rest goes on. */
static void send(X86Cpu *c, MsrBuffer *b)
{
    static gint said;
    unsigned at = 0;

    while (at < b->h.nmsrs) {
        MsrBuffer part;
        int r;

        part.h = (struct kvm_msrs){ .nmsrs = b->h.nmsrs - at };
        memcpy(part.e, b->e + at, part.h.nmsrs * sizeof(part.e[0]));
        r = kvm_vcpu_ioctl(&c->vcpu, KVM_SET_MSRS, &part);
        if (r < 0) {
            error_report("CPU %u: KVM fails to set MSRs: %s", c->index, g_strerror(-r));
            return;
        }
        at += r;
        if (at < b->h.nmsrs) {
            if (b->e[at].data && !g_atomic_int_add(&said, 1)) {
                warn_report("failed to set MSR 0x%x to 0x%llx", b->e[at].index, (unsigned long long)b->e[at].data);
            }
            at++;
        }
    }
}

/* Bits of a variable MTRR's mask above the guest's physical addresses: streams carry them as ones. */
static uint64_t mtrr_high_bits(const X86Cpu *c)
{
    unsigned bits = c->spec->phys_bits;

    return c->spec->p.fill_mtrr_mask && bits < 52 ? ((1ull << 52) - 1) & ~((1ull << bits) - 1) : 0;
}

static bool is_mtrr_mask(uint32_t index)
{
    return index >= MSR_MTRR_VAR0 && index < MSR_MTRR_VAR0 + 16 && (index & MSR_MTRR_MASK);
}

/* KVM refuses bits that the guest's CPU does not have. */
static uint64_t to_kvm(const X86Cpu *c, uint32_t index, uint64_t v)
{
    return is_mtrr_mask(index) ? v & ((1ull << c->spec->phys_bits) - 1) : v;
}

static uint64_t from_kvm(const X86Cpu *c, uint32_t index, uint64_t v)
{
    return is_mtrr_mask(index) ? v | mtrr_high_bits(c) : v;
}

static void arch_lbrs(X86Cpu *c, bool put)
{
    enum { CTL = 0x14ce, DEPTH = 0x14cf, FROM = 0x1500, TO = 0x1600, INFO = 0x1200 };
    MsrBuffer *b = buffer(c);
    unsigned n = 0;

    if (!x86_spec_has(c->spec, FW_7_0_EDX, F7_EDX_ARCH_LBR) || !c->spec->pmu) {
        return;
    }
    b->h.nmsrs = 0;
    if (put && c->lbr_depth) {
        add(b, DEPTH, c->lbr_depth);    /* clears the others: first */
        add(b, CTL, c->lbr_ctl);
    } else if (!put) {
        add(b, DEPTH, 0);
        add(b, CTL, 0);
    }
    for (n = 0; n < X86_ARCH_LBRS && (!put || (c->lbr_ctl & 1)); n++) {
        add(b, FROM + n, c->lbr[n].from);
        add(b, TO + n, c->lbr[n].to);
        add(b, INFO + n, c->lbr[n].info);
    }
    if (put) {
        send(c, b);
    } else if (kvm_vcpu_ioctl(&c->vcpu, KVM_GET_MSRS, b) == (int)b->h.nmsrs) {
        c->lbr_depth = b->e[0].data;
        c->lbr_ctl = b->e[1].data;
        for (n = 0; n < X86_ARCH_LBRS; n++) {
            c->lbr[n] = (X86LbrEntry){ b->e[2 + 3 * n].data, b->e[3 + 3 * n].data, b->e[4 + 3 * n].data };
        }
    }
}

/* The microcode's revision, capabilities: fixed for the life of the CPU; put before anything else. */
void x86_feature_msrs_put(X86Cpu *c)
{
    MsrBuffer *b = buffer(c);

    b->h.nmsrs = 0;
    if (x86_host_has_msr(0x8b)) {
        add(b, 0x8b, c->spec->ucode_rev);
    }
    if (x86_host_has_msr(0x10a) && x86_spec_has(c->spec, FW_7_0_EDX, F7_EDX_ARCH_CAP)) {
        add(b, 0x10a, c->spec->features[FW_ARCH_CAP]);
    }
    if (x86_host_has_msr(0xcf) && x86_spec_has(c->spec, FW_7_0_EDX, F7_EDX_CORE_CAP)) {
        add(b, 0xcf, c->spec->features[FW_CORE_CAP]);
    }
    if (x86_host_has_msr(0x345) && x86_spec_has(c->spec, FW_1_ECX, F1_ECX_PDCM)) {
        add(b, 0x345, c->spec->features[FW_PERF_CAP]);
    }
    if (x86_spec_has(c->spec, FW_1_ECX, F1_ECX_VMX)) {
        x86_vmx_msrs(c->spec, add, b);
    }
    send(c, b);
}

void x86_msrs_put(X86Cpu *c, bool all)
{
    MsrBuffer *b = buffer(c);

    b->h.nmsrs = 0;
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        const MsrRow *r = &rows[i];
        unsigned n = r->full && !all ? 0 : row_count(c, r);

        for (unsigned j = 0; j < n; j++) {
            const void *m = member(c, r, j);

            add(b, r->index + j, to_kvm(c, r->index + j, r->size == 4 ? *(const uint32_t *)m : *(const uint64_t *)m));
        }
    }
    send(c, b);
    if (all) {
        arch_lbrs(c, true);
    }
}

void x86_msrs_get(X86Cpu *c)
{
    MsrBuffer *b = buffer(c);
    void *to[MAX_MSRS];
    uint8_t size[MAX_MSRS];
    unsigned at = 0;

    b->h.nmsrs = 0;
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        unsigned n = row_count(c, &rows[i]);

        for (unsigned j = 0; j < n; j++) {
            to[b->h.nmsrs] = member(c, &rows[i], j);
            size[b->h.nmsrs] = rows[i].size;
            add(b, rows[i].index + j, 0);
        }
    }
    /* What KVM cannot read stays as it is. */
    while (at < b->h.nmsrs) {
        MsrBuffer part;
        int r;

        part.h = (struct kvm_msrs){ .nmsrs = b->h.nmsrs - at };
        memcpy(part.e, b->e + at, part.h.nmsrs * sizeof(part.e[0]));
        r = kvm_vcpu_ioctl(&c->vcpu, KVM_GET_MSRS, &part);
        if (r < 0) {
            break;
        }
        for (int i = 0; i < r; i++, at++) {
            uint64_t v = from_kvm(c, part.e[i].index, part.e[i].data);

            if (size[at] == 4) {
                *(uint32_t *)to[at] = v;
            } else {
                *(uint64_t *)to[at] = v;
            }
        }
        at++;
    }
    arch_lbrs(c, false);
}
