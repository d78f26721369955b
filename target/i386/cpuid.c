/*
 * CPUID leaves as the guest sees them. Facts: Intel's SDM volume 2 (CPUID), AMD's APM volume 3 appendix E.
 * Left to KVM: OSXSAVE, OSPKE, and XSAVE's size for the XCR0 of the moment.
 */
#include "target/i386/cpu.h"
#include "target/i386/host.h"
#include "target/i386/hyperv.h"
#include "target/i386/model.h"
#include "accel/kvm/kvm.h"
#include "util/error.h"

enum { EAX, EBX, ECX, EDX };
#define KIB 1024u
#define MIB (1024u * KIB)

/* ---- Topology ---- */

static unsigned width(unsigned n)
{
    return n > 1 ? 32 - __builtin_clz(n - 1) : 0;
}

ApicIdBits x86_apic_id_bits(const X86Topology *t)
{
    ApicIdBits b = { .core = width(t->threads) };

    b.die = b.core + width(t->cores);
    b.pkg = b.die + width(t->dies);
    return b;
}

uint32_t x86_apic_id(const X86Topology *t, unsigned n)
{
    ApicIdBits b = x86_apic_id_bits(t);
    unsigned thread = n % t->threads, core = n / t->threads % t->cores, die = n / t->threads / t->cores % t->dies;

    return n / t->threads / t->cores / t->dies << b.pkg | die << b.die | core << b.core | thread;
}

uint32_t x86_apic_id_limit(const X86Topology *t, unsigned max_cpus)
{
    return x86_apic_id(t, MAX(max_cpus, 1) - 1) + 1;
}

X86Topology x86_topology(const MachineConfig *cfg)
{
    X86Topology t = { MAX(cfg->smp.sockets, 1), MAX(cfg->smp.dies, 1), MAX(cfg->smp.cores, 1), MAX(cfg->smp.threads, 1) };

    return t;
}

/* What most leaves take for a package: they were made before there were dies, and QEMU does not count those in. */
static unsigned threads_a_die(const X86Spec *s)
{
    return s->topo.cores * s->topo.threads;
}

/* ---- Caches ---- */

#define DATA .type = 1, .line = 64, .partitions = 1
#define CODE .type = 2, .line = 64, .partitions = 1
#define UNIFIED .type = 3, .line = 64, .partitions = 1

#define L3_16M { UNIFIED, .level = 3, .size = 16 * MIB, .assoc = 16, .sets = 16384, .lines_per_tag = 1, .self_init = true, \
                 .inclusive = true, .complex_indexing = true, .descriptor = 0x4d }

/* What CPUs had before models said which caches they have: leaf 2, leaf 4 and AMD's leaves do not even agree. */
static const X86Caches legacy2 = {
    { DATA, .level = 1, .size = 32 * KIB, .assoc = 8, .sets = 64, .self_init = true, .no_invd_sharing = true, .descriptor = 0x2c },
    { CODE, .level = 1, .size = 32 * KIB, .assoc = 8, .sets = 64, .self_init = true, .no_invd_sharing = true, .descriptor = 0x30 },
    { UNIFIED, .level = 2, .size = 2 * MIB, .assoc = 8, .descriptor = 0x7d },
    L3_16M,
};
static const X86Caches legacy4 = {
    { DATA, .level = 1, .size = 32 * KIB, .assoc = 8, .sets = 64, .self_init = true, .no_invd_sharing = true },
    { CODE, .level = 1, .size = 32 * KIB, .assoc = 8, .sets = 64, .self_init = true, .no_invd_sharing = true },
    { UNIFIED, .level = 2, .size = 4 * MIB, .assoc = 16, .sets = 4096, .self_init = true, .no_invd_sharing = true },
    L3_16M,
};
static const X86Caches legacy_amd = {
    { DATA, .level = 1, .size = 64 * KIB, .assoc = 2, .sets = 512, .lines_per_tag = 1, .self_init = true, .no_invd_sharing = true },
    { CODE, .level = 1, .size = 64 * KIB, .assoc = 2, .sets = 512, .lines_per_tag = 1, .self_init = true, .no_invd_sharing = true },
    { UNIFIED, .level = 2, .size = 512 * KIB, .assoc = 16, .sets = 512, .lines_per_tag = 1 },
    L3_16M,
};

#define EPYC_CACHES(l1i_size, l1i_assoc, l1i_sets, l3_size, l3_sets) { \
    { DATA, .level = 1, .size = 32 * KIB, .assoc = 8, .sets = 64, .lines_per_tag = 1, .self_init = true, .no_invd_sharing = true }, \
    { CODE, .level = 1, .size = (l1i_size), .assoc = (l1i_assoc), .sets = (l1i_sets), .lines_per_tag = 1, .self_init = true, \
      .no_invd_sharing = true }, \
    { UNIFIED, .level = 2, .size = 512 * KIB, .assoc = 8, .sets = 1024, .lines_per_tag = 1 }, \
    { UNIFIED, .level = 3, .size = (l3_size), .assoc = 16, .sets = (l3_sets), .lines_per_tag = 1, .self_init = true, .inclusive = true, \
      .complex_indexing = true } }
static const X86Caches model_caches[] = {
    [CACHES_EPYC] = EPYC_CACHES(64 * KIB, 4, 256, 8 * MIB, 8192),
    [CACHES_ROME] = EPYC_CACHES(32 * KIB, 8, 64, 16 * MIB, 16384),
    [CACHES_MILAN] = EPYC_CACHES(32 * KIB, 8, 64, 32 * MIB, 32768),
};

void x86_spec_set_caches(X86Spec *s, X86CacheSet set)
{
    s->cache2 = set ? model_caches[set] : legacy2;
    s->cache4 = set ? model_caches[set] : legacy4;
    s->cache_amd = set ? model_caches[set] : legacy_amd;
}

/* Leaf 2's descriptors of caches that have one; 0xff: see leaf 4. */
static uint8_t descriptor(const X86Cache *c)
{
    static const struct { uint8_t byte, level, type; uint32_t size; uint8_t assoc; } known[] = {
        { 0x06, 1, 2, 8 * KIB, 4 }, { 0x08, 1, 2, 16 * KIB, 4 }, { 0x09, 1, 2, 32 * KIB, 4 }, { 0x0d, 1, 1, 16 * KIB, 4 },
        { 0x0e, 1, 1, 24 * KIB, 6 }, { 0x1d, 2, 3, 128 * KIB, 2 }, { 0x21, 2, 3, 256 * KIB, 8 }, { 0x24, 2, 3, MIB, 16 },
        { 0x2c, 1, 1, 32 * KIB, 8 }, { 0x30, 1, 2, 32 * KIB, 8 }, { 0x44, 2, 3, MIB, 4 }, { 0x45, 2, 3, 2 * MIB, 4 },
        { 0x48, 2, 3, 3 * MIB, 12 }, { 0x4e, 2, 3, 6 * MIB, 24 }, { 0x78, 2, 3, MIB, 4 }, { 0x7d, 2, 3, 2 * MIB, 8 },
        { 0x7f, 2, 3, 512 * KIB, 2 }, { 0x80, 2, 3, 512 * KIB, 8 }, { 0x86, 2, 3, 512 * KIB, 4 }, { 0x87, 2, 3, MIB, 8 },
        { 0x46, 3, 3, 4 * MIB, 4 }, { 0x4a, 3, 3, 6 * MIB, 12 }, { 0x4b, 3, 3, 8 * MIB, 16 }, { 0x4c, 3, 3, 12 * MIB, 12 },
        { 0x4d, 3, 3, 16 * MIB, 16 }, { 0xd0, 3, 3, 512 * KIB, 4 }, { 0xd1, 3, 3, MIB, 4 }, { 0xd2, 3, 3, 2 * MIB, 4 },
        { 0xd6, 3, 3, MIB, 8 }, { 0xd7, 3, 3, 2 * MIB, 8 }, { 0xd8, 3, 3, 4 * MIB, 8 }, { 0xdc, 3, 3, 3 * MIB / 2, 12 },
        { 0xdd, 3, 3, 3 * MIB, 12 }, { 0xde, 3, 3, 6 * MIB, 12 }, { 0xe2, 3, 3, 2 * MIB, 16 }, { 0xe3, 3, 3, 4 * MIB, 16 },
        { 0xe4, 3, 3, 8 * MIB, 16 }, { 0xea, 3, 3, 12 * MIB, 24 }, { 0xeb, 3, 3, 18 * MIB, 24 }, { 0xec, 3, 3, 24 * MIB, 24 },
    };

    for (unsigned i = 0; !c->descriptor && i < G_N_ELEMENTS(known); i++) {
        if (known[i].level == c->level && known[i].type == c->type && known[i].size == c->size && known[i].assoc == c->assoc
            && c->line == 64) {
            return known[i].byte;
        }
    }
    return c->descriptor ? c->descriptor : 0xff;
}

/* Leaves 4 and 0x8000001D but for their first register's sharing. */
static void cache_leaf(const X86Cache *c, uint32_t r[4])
{
    r[EAX] = c->type | (uint32_t)c->level << 5 | (c->self_init ? 1 << 8 : 0);
    r[EBX] = (c->line - 1) | (uint32_t)(c->partitions - 1) << 12 | (uint32_t)(c->assoc - 1) << 22;
    r[ECX] = c->sets - 1;
    r[EDX] = (c->no_invd_sharing ? 1 : 0) | (c->inclusive ? 2 : 0) | (c->complex_indexing ? 4 : 0);
}

static void leaf4(const X86Spec *s, uint32_t sub, uint32_t r[4])
{
    const X86Cache *const c[] = { &s->cache4.l1d, &s->cache4.l1i, &s->cache4.l2, &s->cache4.l3 };
    unsigned cores = s->topo.cores, sharing;

    if (s->p.vendor_cpuid_only && x86_spec_amd(s)) {
        return;
    }
    if (s->p.host_cache_info) {
        x86_host_cpuid(4, sub, r);
        /* Cores a package, and threads that share a cache, are the guest's. */
        if (r[EAX] & 31) {
            unsigned shared = (r[EAX] >> 14 & 0xfff) + 1;

            r[EAX] &= ~0xfc000000;
            r[EAX] |= ((1u << width(cores)) - 1) << 26;
            if (shared > s->topo.dies * threads_a_die(s)) {
                r[EAX] = (r[EAX] & ~0x03ffc000) | (((1u << width(s->topo.dies * threads_a_die(s))) - 1) << 14);
            }
        }
        return;
    }
    if (sub > 3 || (sub == 3 && !s->l3)) {
        return;
    }
    cache_leaf(c[sub], r);
    sharing = sub == 3 ? 1u << x86_apic_id_bits(&s->topo).die : sub == 2 ? s->topo.threads : 1;
    r[EAX] |= (cores - 1) << 26 | (sharing - 1) << 14;
}

static void leaf_amd_cache(const X86Spec *s, uint32_t sub, uint32_t r[4])
{
    const X86Cache *const c[] = { &s->cache_amd.l1d, &s->cache_amd.l1i, &s->cache_amd.l2, &s->cache_amd.l3 };

    if (s->p.host_cache_info) {
        x86_host_cpuid(0x8000001d, sub, r);
        return;
    }
    if (sub > 3) {
        return;
    }
    cache_leaf(c[sub], r);
    r[EAX] |= ((sub == 3 ? s->topo.cores * s->topo.threads : s->topo.threads) - 1) << 14;
}

static void leaf2(const X86Spec *s, uint32_t r[4])
{
    if (s->p.host_cache_info) {
        x86_host_cpuid(2, 0, r);
    } else if (!s->p.vendor_cpuid_only || !x86_spec_amd(s)) {
        r[EAX] = 1;
        r[ECX] = s->l3 ? descriptor(&s->cache2.l3) : 0;
        r[EDX] = (uint32_t)descriptor(&s->cache2.l1d) << 16 | (uint32_t)descriptor(&s->cache2.l1i) << 8 | descriptor(&s->cache2.l2);
    }
}

static uint32_t amd_assoc(unsigned assoc)
{
    static const struct { uint8_t assoc, code; } codes[] = { { 1, 1 }, { 2, 2 }, { 4, 4 }, { 8, 6 }, { 16, 8 }, { 32, 10 }, { 48, 11 },
                                                             { 64, 12 }, { 96, 13 }, { 128, 14 } };

    for (unsigned i = 0; i < G_N_ELEMENTS(codes); i++) {
        if (codes[i].assoc == assoc) {
            return codes[i].code;
        }
    }
    return 0;
}

static void leaf_amd_l1(const X86Spec *s, uint32_t r[4])
{
    const X86Caches *c = &s->cache_amd;

    if (s->p.host_cache_info) {
        x86_host_cpuid(0x80000005, 0, r);
        return;
    }
    r[EAX] = r[EBX] = 0x01ff01ff;
    r[ECX] = c->l1d.size / KIB << 24 | (uint32_t)c->l1d.assoc << 16 | (uint32_t)c->l1d.lines_per_tag << 8 | c->l1d.line;
    r[EDX] = c->l1i.size / KIB << 24 | (uint32_t)c->l1i.assoc << 16 | (uint32_t)c->l1i.lines_per_tag << 8 | c->l1i.line;
}

static void leaf_amd_l2(const X86Spec *s, uint32_t r[4])
{
    const X86Caches *c = &s->cache_amd;

    if (s->p.host_cache_info) {
        x86_host_cpuid(0x80000006, 0, r);
        return;
    }
    r[EBX] = 0x42004200;
    r[ECX] = c->l2.size / KIB << 16 | amd_assoc(c->l2.assoc) << 12 | (uint32_t)c->l2.lines_per_tag << 8 | c->l2.line;
    if (s->l3) {
        r[EDX] = c->l3.size / (512 * KIB) << 18 | amd_assoc(c->l3.assoc) << 12 | (uint32_t)c->l3.lines_per_tag << 8 | c->l3.line;
    }
}

/* ---- The other leaves ---- */

static void leaf_id(uint32_t max, const char *vendor, uint32_t r[4])
{
    r[EAX] = max;
    memcpy(&r[EBX], vendor, 4);
    memcpy(&r[EDX], vendor + 4, 4);
    memcpy(&r[ECX], vendor + 8, 4);
}

static void leaf1(const X86Spec *s, uint32_t apic_id, uint32_t r[4])
{
    unsigned n = threads_a_die(s);

    r[EAX] = s->version;
    r[EBX] = apic_id << 24 | 8 << 8;
    r[ECX] = s->features[FW_1_ECX] & (s->pmu ? UINT32_MAX : ~F1_ECX_PDCM);
    r[EDX] = s->features[FW_1_EDX];
    if (n > 1) {
        r[EBX] |= (n & 0xff) << 16;
        r[EDX] |= F1_EDX_HT;
    }
}

static void leaf7(const X86Spec *s, uint32_t sub, uint32_t r[4])
{
    if (sub == 0) {
        r[EAX] = s->level_func7;
        r[EBX] = s->features[FW_7_0_EBX] & ~F7_EBX_SGX;     /* there is no enclave memory to hand out */
        r[ECX] = s->features[FW_7_0_ECX] & ~F7_ECX_SGX_LC;
        r[EDX] = s->features[FW_7_0_EDX];
    } else if (sub == 1) {
        r[EAX] = s->features[FW_7_1_EAX];
    }
}

static void leaf_topology(const X86Spec *s, uint32_t apic_id, uint32_t sub, uint32_t r[4])
{
    ApicIdBits b = x86_apic_id_bits(&s->topo);

    if (!s->p.cpuid_0xb) {
        return;
    }
    r[ECX] = sub & 0xff;
    r[EDX] = apic_id;
    if (sub == 0) {
        r[EAX] = b.core;
        r[EBX] = s->topo.threads;
        r[ECX] |= 1 << 8;
    } else if (sub == 1) {
        r[EAX] = b.pkg;
        r[EBX] = threads_a_die(s) & 0xffff;
        r[ECX] |= 2 << 8;
    }
}

static void leaf_topology2(const X86Spec *s, uint32_t apic_id, uint32_t sub, uint32_t r[4])
{
    ApicIdBits b = x86_apic_id_bits(&s->topo);

    if (s->topo.dies < 2) {
        return;
    }
    r[ECX] = sub & 0xff;
    r[EDX] = apic_id;
    if (sub == 0) {
        r[EAX] = b.core;
        r[EBX] = s->topo.threads;
        r[ECX] |= 1 << 8;
    } else if (sub == 1) {
        r[EAX] = b.die;
        r[EBX] = s->topo.cores * s->topo.threads;
        r[ECX] |= 2 << 8;
    } else if (sub == 2) {
        r[EAX] = b.pkg;
        r[EBX] = s->topo.dies * threads_a_die(s) & 0xffff;
        r[ECX] |= 5 << 8;
    }
}

/* Bytes of an XSAVE area with these components; compacted: each after the other. */
static uint32_t xsave_size(const X86Spec *s, uint32_t components, bool compacted)
{
    uint32_t size = 0x240;

    for (unsigned i = XC_AVX; i < XC_COUNT; i++) {
        const struct XsaveArea *a = &s->xsave[i];

        if (!(components >> i & 1)) {
            continue;
        }
        if (compacted) {
            size = (a->flags & 2 ? (size + 63) & ~63u : size) + a->size;
        } else {
            size = MAX(size, a->offset + a->size);
        }
    }
    return size;
}

static void leaf_xsave(const X86Spec *s, uint32_t sub, uint32_t r[4])
{
    uint32_t xcr0 = s->features[FW_XCR0_LO], xss = s->features[FW_XSS_LO];

    if (!x86_spec_has(s, FW_1_ECX, F1_ECX_XSAVE)) {
        return;
    }
    if (sub == 0) {
        r[EAX] = xcr0;
        r[EDX] = s->features[FW_XCR0_HI];
        r[EBX] = r[ECX] = xsave_size(s, xcr0, false);
    } else if (sub == 1) {
        r[EAX] = s->features[FW_XSAVE];
        r[EBX] = xsave_size(s, xcr0 | xss, true);
        r[ECX] = xss;
        r[EDX] = s->features[FW_XSS_HI];
    } else if (sub < XC_COUNT && (xcr0 >> sub & 1)) {
        r[EAX] = s->xsave[sub].size;
        r[EBX] = s->xsave[sub].offset;
        r[ECX] = s->xsave[sub].flags;
    } else if (sub < XC_COUNT && (xss >> sub & 1)) {
        r[EAX] = s->xsave[sub].size;
        r[ECX] = 1;
    }
}

static void leaf_sgx(const X86Spec *s, uint32_t sub, uint32_t r[4])
{
    if (!x86_spec_has(s, FW_7_0_EBX, F7_EBX_SGX)) {
        return;
    }
    for (unsigned i = 0; i < 4; i++) {
        static const uint8_t regs[4] = { 0, 3, 1, 2 };

        r[i] = x86_host_supported(0x12, sub, regs[i]);
    }
    if (sub == 0) {
        r[EAX] &= s->features[FW_SGX_12_0_EAX];
        r[EBX] &= s->features[FW_SGX_12_0_EBX];
    } else if (sub == 1) {
        r[EAX] &= s->features[FW_SGX_12_1_EAX];
        r[ECX] = (r[ECX] & s->features[FW_XCR0_LO]) | 3;
        r[EDX] &= s->features[FW_XCR0_HI];
    } else {
        memset(r, 0, 16);           /* no enclave memory is handed out */
    }
}

static void leaf_pt(const X86Spec *s, uint32_t sub, uint32_t r[4])
{
    if (!x86_spec_has(s, FW_7_0_EBX, F7_EBX_INTEL_PT) || sub > 1) {
        return;
    }
    r[EAX] = sub ? 0x02490002 : 1;
    r[EBX] = sub ? 0x003f1fff : 0xf;
    r[ECX] = sub ? 0 : 7 | s->features[FW_14_0_ECX];
}

static void leaf_amx(const X86Spec *s, uint32_t leaf, uint32_t sub, uint32_t r[4])
{
    if (!x86_spec_has(s, FW_7_0_EDX, F7_EDX_AMX_TILE)) {
        return;
    }
    if (leaf == 0x1d && sub == 0) {
        r[EAX] = 1;                                 /* one palette: */
    } else if (leaf == 0x1d && sub == 1) {
        r[EAX] = 8192 | 1024 << 16;                 /* bytes of all tiles and of one */
        r[EBX] = 64 | 8 << 16;                      /* bytes a row; tiles */
        r[ECX] = 16;                                /* rows */
    } else if (leaf == 0x1e && sub == 0) {
        r[EBX] = 16 | 64 << 8;
    }
}

static void leaf_host(uint32_t leaf, uint32_t sub, uint32_t r[4])
{
    r[EAX] = x86_host_supported(leaf, sub, 0);
    r[ECX] = x86_host_supported(leaf, sub, 1);
    r[EDX] = x86_host_supported(leaf, sub, 2);
    r[EBX] = x86_host_supported(leaf, sub, 3);
}

static void basic_leaf(const X86Spec *s, uint32_t apic_id, uint32_t leaf, uint32_t sub, uint32_t r[4])
{
    switch (leaf) {
    case 0:
        leaf_id(s->level, s->vendor, r);
        break;
    case 1:
        leaf1(s, apic_id, r);
        break;
    case 2:
        leaf2(s, r);
        break;
    case 4:
        leaf4(s, sub, r);
        break;
    case 5:
        r[ECX] = 3;                 /* MWAIT: extensions, interrupts as break events */
        break;
    case 6:
        r[EAX] = s->features[FW_6_EAX];
        break;
    case 7:
        leaf7(s, sub, r);
        break;
    case 0xa:
        if (s->pmu) {
            leaf_host(leaf, 0, r);
        }
        break;
    case 0xb:
        leaf_topology(s, apic_id, sub, r);
        break;
    case 0xd:
        leaf_xsave(s, sub, r);
        break;
    case 0x12:
        leaf_sgx(s, sub, r);
        break;
    case 0x14:
        leaf_pt(s, sub, r);
        break;
    case 0x1c:
        if (x86_spec_has(s, FW_7_0_EDX, F7_EDX_ARCH_LBR) && s->pmu) {
            leaf_host(leaf, 0, r);
            r[EDX] = 0;
        }
        break;
    case 0x1d: case 0x1e:
        leaf_amx(s, leaf, sub, r);
        break;
    case 0x1f:
        leaf_topology2(s, apic_id, sub, r);
        break;
    }
}

static void leaf_address_sizes(const X86Spec *s, uint32_t r[4])
{
    unsigned n = threads_a_die(s);

    r[EAX] = s->phys_bits;
    if (x86_spec_has(s, FW_8000_0001_EDX, F8_EDX_LM)) {
        r[EAX] |= (x86_spec_has(s, FW_7_0_ECX, F7_ECX_LA57) ? 57 : 48) << 8;
    }
    r[EBX] = s->features[FW_8000_0008_EBX];
    if (n > 1) {
        r[ECX] = x86_apic_id_bits(&s->topo).pkg << 12 | ((n - 1) & 0xff);
    }
}

static void leaf_amd_topology(const X86Spec *s, uint32_t apic_id, uint32_t r[4])
{
    ApicIdBits b = x86_apic_id_bits(&s->topo);
    uint32_t core = apic_id >> b.core & ((1u << (b.die - b.core)) - 1);

    r[EAX] = apic_id;
    r[EBX] = (s->topo.threads - 1) << 8 | (core & 0xff);
    r[ECX] = (s->topo.dies - 1) << 8 | (apic_id >> b.die & 0xff);
}

static void extended_leaf(const X86Spec *s, uint32_t apic_id, uint32_t leaf, uint32_t sub, uint32_t r[4])
{
    switch (leaf) {
    case 0x80000000:
        leaf_id(s->xlevel, s->vendor, r);
        break;
    case 0x80000001:
        r[EAX] = s->version;
        r[ECX] = s->features[FW_8000_0001_ECX];
        r[EDX] = s->features[FW_8000_0001_EDX];
        /* Linux ignores threads where CmpLegacy is set, so Intel does without. */
        if (threads_a_die(s) > 1 && !x86_spec_intel(s)) {
            r[ECX] |= 1 << 1;
        }
        break;
    case 0x80000002: case 0x80000003: case 0x80000004:
        memcpy(r, s->model_id + (leaf - 0x80000002) * 16, 16);
        break;
    case 0x80000005:
        leaf_amd_l1(s, r);
        break;
    case 0x80000006:
        leaf_amd_l2(s, r);
        break;
    case 0x80000007:
        r[EDX] = s->features[FW_8000_0007_EDX];
        break;
    case 0x80000008:
        leaf_address_sizes(s, r);
        break;
    case 0x8000000a:
        if (x86_spec_has(s, FW_8000_0001_ECX, F8_ECX_SVM)) {
            r[EAX] = 1;
            r[EBX] = 16;            /* ASIDs */
            r[EDX] = s->features[FW_SVM];
        }
        break;
    case 0x8000001d:
        leaf_amd_cache(s, sub, r);
        break;
    case 0x8000001e:
        leaf_amd_topology(s, apic_id, r);
        break;
    }
}

void x86_spec_cpuid(const X86Spec *s, uint32_t apic_id, uint32_t leaf, uint32_t sub, uint32_t r[4])
{
    memset(r, 0, 16);
    if (leaf <= 0x3fffffff) {
        basic_leaf(s, apic_id, leaf, sub, r);
    } else if (leaf >= 0x80000000 && leaf < 0xc0000000) {
        extended_leaf(s, apic_id, leaf, sub, r);
    } else if (leaf == 0xc0000000) {
        r[EAX] = s->xlevel2;
    } else if (leaf == 0xc0000001) {
        r[EAX] = s->version;
        r[EDX] = s->features[FW_C000_0001_EDX];
    }
}
