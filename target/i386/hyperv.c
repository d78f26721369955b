/*
 * Hyper-V enlightenments: CPUID leaves 0x40000000..0x4000000A and the capabilities of KVM behind them.
 * Facts: Microsoft's Hypervisor Top-Level Functional Specification, chapter 2; Linux's
 * Documentation/virt/kvm/api.rst. Not here: the synthetic debugger's and VMBus's own messages.
 */
#include "target/i386/hyperv.h"
#include "target/i386/host.h"
#include "accel/kvm/kvm.h"
#include "util/error.h"

enum { LEAF_VENDOR = 0x40000000, LEAF_INTERFACE, LEAF_VERSION, LEAF_FEATURES, LEAF_ADVICE, LEAF_LIMITS, LEAF_NESTED = 0x4000000a };
enum { EAX, ECX, EDX, EBX };

typedef struct Bits { uint32_t leaf; uint8_t reg; uint32_t bits; } Bits;

static const struct {
    const char *name;
    Bits need[2];                   /* KVM must offer these, and the guest sees them */
    uint32_t depends;               /* 1 << X86HvFeature */
} features[HV_FEATURES] = {
    [HV_RELAXED] = { "hv-relaxed", { { LEAF_ADVICE, EAX, 1 << 5 } } },
    [HV_VAPIC] = { "hv-vapic", { { LEAF_FEATURES, EAX, 1 << 4 }, { LEAF_ADVICE, EAX, 1 << 3 } } },
    [HV_TIME] = { "hv-time", { { LEAF_FEATURES, EAX, 1 << 1 | 1 << 9 } } },
    [HV_CRASH] = { "hv-crash", { { LEAF_FEATURES, EDX, 1 << 10 } } },
    [HV_RESET] = { "hv-reset", { { LEAF_FEATURES, EAX, 1 << 7 } } },
    [HV_VPINDEX] = { "hv-vpindex", { { LEAF_FEATURES, EAX, 1 << 6 } } },
    [HV_RUNTIME] = { "hv-runtime", { { LEAF_FEATURES, EAX, 1 << 0 } } },
    [HV_SYNIC] = { "hv-synic", { { LEAF_FEATURES, EAX, 1 << 2 } }, 1 << HV_VPINDEX },
    [HV_STIMER] = { "hv-stimer", { { LEAF_FEATURES, EAX, 1 << 3 } }, 1 << HV_SYNIC | 1 << HV_TIME },
    [HV_FREQUENCIES] = { "hv-frequencies", { { LEAF_FEATURES, EAX, 1 << 11 }, { LEAF_FEATURES, EDX, 1 << 8 } } },
    [HV_REENLIGHTENMENT] = { "hv-reenlightenment", { { LEAF_FEATURES, EAX, 1 << 13 } } },
    [HV_TLBFLUSH] = { "hv-tlbflush", { { LEAF_ADVICE, EAX, 1 << 2 | 1 << 11 } }, 1 << HV_VPINDEX },
    [HV_EVMCS] = { "hv-evmcs", { { LEAF_ADVICE, EAX, 1 << 14 } }, 1 << HV_VAPIC },
    [HV_IPI] = { "hv-ipi", { { LEAF_ADVICE, EAX, 1 << 10 | 1 << 11 } }, 1 << HV_VPINDEX },
    [HV_STIMER_DIRECT] = { "hv-stimer-direct", { { LEAF_FEATURES, EDX, 1 << 19 } }, 1 << HV_STIMER },
    [HV_AVIC] = { "hv-avic", { { LEAF_ADVICE, EAX, 1 << 9 } } },
    [HV_SYNDBG] = { "hv-syndbg", { { LEAF_FEATURES, EDX, 1 << 11 } }, 1 << HV_SYNIC },
    [HV_EMSR_BITMAP] = { "hv-emsr-bitmap", { { LEAF_NESTED, EAX, 1 << 19 } } },
    [HV_XMM_INPUT] = { "hv-xmm-input", { { LEAF_FEATURES, EDX, 1 << 4 } } },
    [HV_TLBFLUSH_EXT] = { "hv-tlbflush-ext", { { LEAF_FEATURES, EDX, 1 << 14 } }, 1 << HV_TLBFLUSH },
    [HV_TLBFLUSH_DIRECT] = { "hv-tlbflush-direct", { { LEAF_NESTED, EAX, 1 << 17 } }, 1 << HV_VAPIC },
};

static uint32_t host_bits(uint32_t leaf, unsigned reg)
{
    const struct kvm_cpuid2 *c = x86_host_hv_cpuid();

    for (unsigned i = 0; c && i < c->nent; i++) {
        const struct kvm_cpuid_entry2 *e = &c->entries[i];

        if (e->function == leaf) {
            return reg == EAX ? e->eax : reg == EBX ? e->ebx : reg == ECX ? e->ecx : e->edx;
        }
    }
    return 0;
}

static bool host_has(X86HvFeature f)
{
    for (unsigned i = 0; i < 2; i++) {
        const Bits *b = &features[f].need[i];

        if (b->leaf && (host_bits(b->leaf, b->reg) & b->bits) != b->bits) {
            return false;
        }
    }
    return true;
}

static bool check_feature(X86Spec *s, X86HvFeature f, GError **err)
{
    if (!host_has(f)) {
        return error_set(err, "%s is not supported by this kernel's KVM", features[f].name);
    }
    for (unsigned d = 0; d < HV_FEATURES; d++) {
        if ((features[f].depends >> d & 1) && !x86_hv_has(s, d)) {
            return error_set(err, "%s requires %s", features[f].name, features[d].name);
        }
    }
    return true;
}

bool x86_hyperv_setup(X86Spec *s, GError **err)
{
    bool wanted = s->p.hv || s->p.hv_passthrough || s->p.hv_spinlocks != HV_SPINLOCK_NONE;

    if (!wanted) {
        return true;
    }
    if (!accel_is_kvm() || !kvm_check(KVM_CAP_HYPERV) || !x86_host_hv_cpuid()) {
        warn_report("%s has no Hyper-V enlightenments: hv-... is ignored", accel_is_kvm() ? "this kernel's KVM" : "the accelerator");
        return true;
    }
    s->hv = s->p.hv;
    s->hv_on = true;
    for (unsigned f = 0; f < HV_FEATURES; f++) {
        if (s->p.hv_passthrough && !(s->p.hv_given >> f & 1) && host_has(f)) {
            s->hv |= 1ull << f;
        }
    }
    for (unsigned f = 0; f < HV_FEATURES; f++) {
        if (x86_hv_has(s, f) && !check_feature(s, f, err)) {
            return false;
        }
    }
    if (x86_hv_has(s, HV_SYNIC) && s->p.hv_synic_kvm_only && !kvm_check(KVM_CAP_HYPERV_SYNIC)) {
        return error_set(err, "hv-synic is not supported by this kernel's KVM");
    }
    return true;
}

/* ---- CPUID ---- */

static uint32_t guest_bits(const X86Spec *s, uint32_t leaf, unsigned reg)
{
    uint32_t r = 0;

    if (s->p.hv_passthrough) {
        return host_bits(leaf, reg);
    }
    for (unsigned f = 0; f < HV_FEATURES; f++) {
        for (unsigned i = 0; i < 2 && x86_hv_has(s, f); i++) {
            const Bits *b = &features[f].need[i];

            r |= b->leaf == leaf && b->reg == reg ? b->bits : 0;
        }
    }
    return r;
}

static void vendor_leaf(const X86Spec *s, struct kvm_cpuid_entry2 *e)
{
    char id[13] = "Microsoft Hv";

    if (s->p.hv_vendor_id && *s->p.hv_vendor_id) {
        memset(id, 0, sizeof(id));
        g_strlcpy(id, s->p.hv_vendor_id, sizeof(id));
    }
    e->eax = x86_hv_has(s, HV_EVMCS) || guest_bits(s, LEAF_NESTED, EAX) ? LEAF_NESTED : LEAF_LIMITS;
    memcpy(&e->ebx, id, 4);
    memcpy(&e->ecx, id + 4, 4);
    memcpy(&e->edx, id + 8, 4);
}

static void features_leaf(const X86Spec *s, struct kvm_cpuid_entry2 *e)
{
    e->eax = guest_bits(s, LEAF_FEATURES, EAX) | 1 << 5;        /* hypercalls */
    e->ebx = guest_bits(s, LEAF_FEATURES, EBX);
    e->edx = guest_bits(s, LEAF_FEATURES, EDX) | 1 << 3;        /* CPUs may come and go: Windows wants it for hot-plug */
    if (x86_hv_has(s, HV_SYNIC) && !s->p.hv_synic_kvm_only) {
        e->ebx |= 1 << 4 | 1 << 5;                              /* post messages, signal events */
    }
}

bool x86_hyperv_leaf(const X86Spec *s, uint32_t leaf, struct kvm_cpuid_entry2 *e)
{
    uint32_t last;

    memset(e, 0, sizeof(*e));
    vendor_leaf(s, e);
    last = e->eax;
    if (leaf > last) {
        return false;
    }
    if (leaf != LEAF_VENDOR) {
        memset(e, 0, sizeof(*e));
    }
    e->function = leaf;
    switch (leaf) {
    case LEAF_INTERFACE:
        e->eax = 0x31237648;                                    /* "Hv#1" */
        break;
    case LEAF_VERSION:
        e->eax = s->p.hv_version_build;
        e->ebx = (uint32_t)s->p.hv_version_major << 16 | s->p.hv_version_minor;
        e->ecx = s->p.hv_version_spack;
        e->edx = (uint32_t)s->p.hv_version_sbranch << 24 | (s->p.hv_version_snumber & 0xffffff);
        break;
    case LEAF_FEATURES:
        features_leaf(s, e);
        break;
    case LEAF_ADVICE:
        e->eax = guest_bits(s, LEAF_ADVICE, EAX);
        e->eax |= s->p.hv_no_nonarch_cs == 1 ? 1 << 18 : s->p.hv_no_nonarch_cs == 0 ? host_bits(LEAF_ADVICE, EAX) & 1 << 18 : 0;
        e->ebx = s->p.hv_spinlocks;
        break;
    case LEAF_LIMITS:
        e->eax = s->p.hv_max_vps >= 0 ? (uint32_t)s->p.hv_max_vps : 64;
        break;
    case LEAF_NESTED:
        e->eax = guest_bits(s, LEAF_NESTED, EAX) | (x86_hv_has(s, HV_EVMCS) ? 1 << 8 | 1 : 0);
        break;
    }
    return true;
}

/* ---- vCPUs ---- */

static bool enable(Vcpu *v, unsigned cap, const char *name, GError **err)
{
    int r = kvm_vcpu_enable_cap(v, cap, 0, 0);

    return r < 0 ? error_set_errno(err, -r, "%s cannot be turned on in KVM", name) : true;
}

static bool enable_evmcs(Vcpu *v, GError **err)
{
    uint16_t version = 0;
    int r = kvm_vcpu_enable_cap(v, KVM_CAP_HYPERV_ENLIGHTENED_VMCS, (uintptr_t)&version, 0);

    if (r < 0) {
        return error_set_errno(err, -r, "hv-evmcs cannot be turned on in KVM");
    }
    return (version & 0xff) <= 1 ? true : error_set(err, "hv-evmcs: KVM wants version %u, and only 1 is known", version & 0xff);
}

bool x86_hyperv_vcpu_init(const X86Spec *s, Vcpu *v, GError **err)
{
    if (!s->hv_on) {
        return true;
    }
    if (x86_hv_has(s, HV_SYNIC)
        && !enable(v, s->p.hv_synic_kvm_only ? KVM_CAP_HYPERV_SYNIC : KVM_CAP_HYPERV_SYNIC2, "hv-synic", err)) {
        return false;
    }
    if (x86_hv_has(s, HV_EVMCS) && !enable_evmcs(v, err)) {
        return false;
    }
    if (s->p.hv_enforce) {
        int r = kvm_vcpu_enable_cap(v, KVM_CAP_HYPERV_ENFORCE_CPUID, 1, 0);

        if (r < 0) {
            return error_set_errno(err, -r, "hv-enforce-cpuid cannot be turned on in KVM");
        }
    }
    return true;
}

/* The guest has set up its synthetic interrupt controller, or made a hypercall that KVM leaves to us. */
bool x86_hyperv_exit(X86Cpu *c, struct kvm_hyperv_exit *e)
{
    enum { HV_STATUS_INVALID_HYPERCALL_CODE = 2 };

    switch (e->type) {
    case KVM_EXIT_HYPERV_SYNIC:
        return true;                /* the pages are guest memory and KVM's; nothing of ours uses them */
    case KVM_EXIT_HYPERV_HCALL:
        e->u.hcall.result = HV_STATUS_INVALID_HYPERCALL_CODE;
        return true;
    default:
        return false;
    }
}
