/* The table of CPUID leaves that KVM answers the guest from. */
#include "target/i386/cpu.h"
#include "target/i386/host.h"
#include "target/i386/hyperv.h"
#include "target/i386/model.h"
#include "accel/kvm/kvm.h"

enum { EAX, EBX, ECX, EDX, MAX_LEAVES = 120 };
#define KVM_BASE 0x40000000u
#define KVM_BASE_BESIDE_HV 0x40000100u

typedef struct Table { struct kvm_cpuid2 *c; const X86Spec *s; uint32_t apic_id; } Table;

static struct kvm_cpuid_entry2 *add(Table *t, uint32_t leaf, uint32_t sub, bool indexed)
{
    struct kvm_cpuid_entry2 *e = &t->c->entries[t->c->nent];
    uint32_t r[4];

    g_assert(t->c->nent < MAX_LEAVES);
    x86_spec_cpuid(t->s, t->apic_id, leaf, sub, r);
    *e = (struct kvm_cpuid_entry2){ .function = leaf, .index = sub, .flags = indexed ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
                                    .eax = r[EAX], .ebx = r[EBX], .ecx = r[ECX], .edx = r[EDX] };
    t->c->nent++;
    return e;
}

static bool empty(const struct kvm_cpuid_entry2 *e)
{
    return !(e->eax | e->ebx | e->ecx | e->edx);
}

/* Subleaves up to `last`; those that do not exist are left out. */
static void add_range(Table *t, uint32_t leaf, uint32_t last)
{
    for (uint32_t i = 0; i <= last; i++) {
        if (empty(add(t, leaf, i, true)) && i) {
            t->c->nent--;
        }
    }
}

/* Subleaves up to the first whose type field is 0, which is part of the table. */
static void add_until(Table *t, uint32_t leaf)
{
    for (uint32_t i = 0; ; i++) {
        const struct kvm_cpuid_entry2 *e = add(t, leaf, i, true);
        bool topology = leaf == 0xb || leaf == 0x1f;

        if (topology ? !(e->ecx & 0xff00) : !e->eax) {
            return;
        }
    }
}

static void add_leaf(Table *t, uint32_t leaf)
{
    switch (leaf) {
    case 0x1f:
        if (t->s->topo.dies < 2) {
            return;
        }
        add_until(t, leaf);
        return;
    case 4: case 0xb: case 0x8000001d:
        add_until(t, leaf);
        return;
    case 7:
        add_range(t, leaf, t->s->level_func7);
        return;
    case 0xd:
        add_range(t, leaf, XC_COUNT - 1);
        return;
    case 0x12:
        add_range(t, leaf, 2);
        return;
    case 0x14: case 0x1d:
        add_range(t, leaf, 1);
        return;
    default:
        /* KVM answers zeroes for what is missing, and takes not too many entries. */
        if (empty(add(t, leaf, 0, leaf == 0x1e))) {
            t->c->nent--;
        }
    }
}

static struct kvm_cpuid_entry2 *add_raw(Table *t, uint32_t leaf)
{
    struct kvm_cpuid_entry2 *e = &t->c->entries[t->c->nent++];

    g_assert(t->c->nent <= MAX_LEAVES);
    memset(e, 0, sizeof(*e));
    e->function = leaf;
    return e;
}

static void add_hypervisor(Table *t, uint32_t tsc_khz)
{
    const X86Spec *s = t->s;
    uint32_t base = s->hv_on ? KVM_BASE_BESIDE_HV : KVM_BASE;
    bool freq = s->p.vmware_freq && base == KVM_BASE && tsc_khz && x86_spec_has(s, FW_8000_0007_EDX, F87_EDX_INVTSC);
    struct kvm_cpuid_entry2 *e;

    for (uint32_t leaf = KVM_BASE; s->hv_on; leaf++) {
        e = add_raw(t, leaf);
        if (!x86_hyperv_leaf(s, leaf, e)) {
            t->c->nent--;
            break;
        }
    }
    if (!s->p.kvm) {
        return;
    }
    e = add_raw(t, base);
    e->ebx = 0x4b4d564b;            /* "KVMKVMKVM" */
    e->ecx = 0x564b4d56;
    e->edx = 0x4d;
    e->eax = freq ? base + 0x10 : base + 1;
    e = add_raw(t, base + 1);
    e->eax = s->features[FW_KVM];
    e->edx = s->features[FW_KVM_HINTS];
    if (freq) {                     /* VMware's leaf: TSC and APIC timer in kHz */
        e = add_raw(t, base + 0x10);
        e->eax = tsc_khz;
        e->ebx = 1000000;
    }
}

struct kvm_cpuid2 *x86_spec_leaves(const X86Spec *s, uint32_t apic_id, uint32_t tsc_khz)
{
    Table t = { g_malloc0(sizeof(*t.c) + MAX_LEAVES * sizeof(struct kvm_cpuid_entry2)), s, apic_id };

    add_hypervisor(&t, tsc_khz);
    for (uint32_t i = 0; i <= MIN(s->level, 0x20); i++) {
        add_leaf(&t, i);
    }
    for (uint32_t i = 0x80000000; i <= s->xlevel && i < 0x80000040; i++) {
        add_leaf(&t, i);
    }
    for (uint32_t i = 0xc0000000; i <= s->xlevel2 && i < 0xc0000010; i++) {
        add_leaf(&t, i);
    }
    return t.c;
}

/* Sizes and places of XSAVE components: the host's, as KVM moves the area as it is; without KVM, those of Intel's CPUs. */
void x86_spec_set_xsave_areas(X86Spec *s)
{
    static const struct XsaveArea usual[XC_COUNT] = {
        [XC_AVX] = { 0x100, 0x240, 0 }, [XC_BNDREGS] = { 0x40, 0x3c0, 0 }, [XC_BNDCSR] = { 0x40, 0x400, 0 }, [XC_OPMASK] = { 0x40, 0x440, 0 },
        [XC_ZMM_HI256] = { 0x200, 0x480, 0 }, [XC_HI16_ZMM] = { 0x400, 0x680, 0 }, [XC_PKRU] = { 8, 0xa80, 0 },
        [XC_ARCH_LBR] = { 0x328, 0, 1 }, [XC_XTILECFG] = { 0x40, 0xac0, 0 }, [XC_XTILEDATA] = { 0x2000, 0xb00, 2 },
    };

    memcpy(s->xsave, usual, sizeof(usual));
    for (unsigned i = XC_AVX; i < XC_COUNT && accel_is_kvm(); i++) {
        if (usual[i].size && x86_host_supported(0xd, i, 0)) {
            s->xsave[i].size = x86_host_supported(0xd, i, 0);
            s->xsave[i].offset = x86_host_supported(0xd, i, 3);
            s->xsave[i].flags = x86_host_supported(0xd, i, 1);
        }
    }
}
