/*
 * From a model and its properties to what a guest sees: features filled in, made consistent, and cut to what the
 * accelerator can give; levels; the size of physical addresses.
 */
#include "target/i386/cpu.h"
#include "target/i386/host.h"
#include "target/i386/hyperv.h"
#include "target/i386/model.h"
#include "accel/kvm/kvm.h"
#include "util/error.h"

/* ---- What KVM can give ---- */

/* VMX control MSRs: the low half must be one, the high half may be; a feature is what may be but need not. */
static uint64_t vmx_controls(uint64_t value)
{
    return (value >> 32) & ~(uint32_t)value;
}

static uint64_t supported_msr(uint32_t index)
{
    uint64_t v = x86_host_feature_msr(index);

    switch (index) {
    case 0x48b: case 0x48d: case 0x48e: case 0x48f: case 0x490:
        return vmx_controls(v);
    default:
        return v;
    }
}

/* KVM's table says what it emulates; some things depend on how it is used, or were left out by old kernels. */
static uint32_t supported_cpuid(FeatureWord w)
{
    const FeatureWordInfo *i = &x86_feature_words[w];
    uint32_t r = x86_host_supported(i->leaf, i->sub, i->reg);

    switch (w) {
    case FW_1_EDX:
        return r | F1_EDX_MTRR | F1_EDX_PAT | F1_EDX_MCE | F1_EDX_MCA;
    case FW_1_ECX:
        r |= F1_ECX_HYPERVISOR;
        if (accel_irqchip == IRQCHIP_OFF) {
            return r & ~(F1_ECX_X2APIC | F1_ECX_TSC_DEADLINE);
        }
        return kvm_check(KVM_CAP_TSC_DEADLINE_TIMER) ? r | F1_ECX_TSC_DEADLINE : r;
    case FW_6_EAX:
        return r | F6_EAX_ARAT;
    case FW_7_0_ECX:
        return x86_host_has_msr(0xe1) ? r : r & ~F7_ECX_WAITPKG;
    case FW_7_0_EDX:
        return x86_host_has_msr(0x10a) ? r : r & ~F7_EDX_ARCH_CAP;
    case FW_8000_0001_ECX:
        return r | F8_ECX_TOPOEXT;
    case FW_8000_0001_EDX:
        return r | (x86_host_supported(1, 0, 2) & F8_EDX_AMD_ALIASES);
    case FW_KVM:
        if (accel_irqchip == IRQCHIP_OFF) {
            r &= ~FKVM_PV_UNHALT;
        }
        return accel_irqchip == IRQCHIP_SPLIT ? r | FKVM_MSI_EXT_DEST_ID : r;
    case FW_KVM_HINTS:
        return r | 1;
    default:
        return r;
    }
}

uint64_t x86_supported_word(FeatureWord w, bool migratable)
{
    const FeatureWordInfo *i = &x86_feature_words[w];
    uint64_t r;

    if (!accel_is_kvm()) {
        r = UINT64_MAX;
    } else {
        r = i->msr ? supported_msr(i->leaf) : supported_cpuid(w);
    }
    if (migratable) {
        r &= (x86_feature_named(w) & ~i->unmigratable) | i->migratable;
    }
    return r;
}

/* ---- Starting point ---- */

/* What a model gets under KVM whatever its row says: on, and off. */
static void kvm_defaults(uint64_t f[FW_COUNT])
{
    f[FW_KVM] |= 1 << 0 | 1 << 1 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 24;
    if (accel_irqchip == IRQCHIP_OFF) {
        f[FW_1_ECX] &= ~(uint64_t)F1_ECX_X2APIC;
    } else {
        f[FW_1_ECX] |= F1_ECX_X2APIC;
    }
    if (accel_irqchip == IRQCHIP_SPLIT) {
        f[FW_KVM] |= FKVM_MSI_EXT_DEST_ID;
    }
    f[FW_1_EDX] &= ~(1ull << 22);           /* acpi */
    f[FW_1_ECX] &= ~(1ull << 3);            /* monitor */
    f[FW_8000_0001_ECX] &= ~(uint64_t)F8_ECX_SVM;
}

static void from_row(X86Spec *s, const X86Model *row)
{
    static const char *const vendors[] = { "GenuineIntel", "AuthenticAMD", "HygonGenuine" };

    memcpy(s->features, row->words, sizeof(s->features));
    s->family = row->family;
    s->model = row->model;
    s->stepping = row->stepping;
    s->level = row->level;
    s->xlevel = row->xlevel;
    s->level_func7 = row->level_func7;
    g_strlcpy(s->vendor, vendors[row->vendor], sizeof(s->vendor));
    g_strlcpy(s->model_id, row->model_id, sizeof(s->model_id));
    s->legacy_cache = row->caches == CACHES_NONE;
    if (accel_is_kvm()) {
        kvm_defaults(s->features);
        x86_host_vendor(s->vendor);
    }
}

static void from_host(X86Spec *s)
{
    uint32_t r[4];

    if (!accel_is_kvm()) {
        from_row(s, x86_model_row(x86_model_find("qemu64")));
        g_strlcpy(s->model_id, "QEMU TCG CPU version 2.5+", sizeof(s->model_id));
        s->level = 0xd;
        s->xlevel = 0x8000000a;
        return;
    }
    x86_host_vendor(s->vendor);
    x86_host_version(&s->family, &s->model, &s->stepping);
    for (unsigned i = 0; i < 3; i++) {
        x86_host_cpuid(0x80000002 + i, 0, r);
        memcpy(s->model_id + 16 * i, r, 16);
    }
    s->level = x86_host_supported(0, 0, 0);
    s->xlevel = x86_host_supported(0x80000000, 0, 0);
    s->xlevel2 = x86_host_supported(0xc0000000, 0, 0);
    s->legacy_cache = true;
}

static bool is_host_like(const X86Spec *s)
{
    return s->name->kind == MODEL_HOST || s->name->kind == MODEL_MAX;
}

/* The user's properties over the model's. */
static void apply_props(X86Spec *s)
{
    const X86Props *p = &s->p;

    for (unsigned w = 0; w < FW_COUNT; w++) {
        s->features[w] = (s->features[w] & ~p->given[w]) | (p->bits[w] & p->given[w]);
    }
    s->family = p->family ? (uint32_t)p->family - 1 : s->family;
    s->model = p->model ? (uint32_t)p->model - 1 : s->model;
    s->stepping = p->stepping ? (uint32_t)p->stepping - 1 : s->stepping;
    s->level_func7 = p->level_func7 != LEVEL_AUTO ? p->level_func7 : s->level_func7;
    s->level = p->min_level != LEVEL_AUTO ? p->min_level : s->level;
    s->xlevel = p->min_xlevel != LEVEL_AUTO ? p->min_xlevel : s->xlevel;
    s->xlevel2 = p->min_xlevel2 != LEVEL_AUTO ? p->min_xlevel2 : s->xlevel2;
    if (p->vendor) {
        g_strlcpy(s->vendor, p->vendor, sizeof(s->vendor));
    }
    if (p->model_id) {
        memset(s->model_id, 0, sizeof(s->model_id));
        g_strlcpy(s->model_id, p->model_id, sizeof(s->model_id));
    }
    s->p.vendor = s->p.model_id = NULL;
    if (p->lbr_fmt >= 0) {
        s->features[FW_PERF_CAP] = (s->features[FW_PERF_CAP] & ~0x3full) | (p->lbr_fmt & 0x3f);
    }
    s->pmu = p->pmu ? p->pmu == 1 : is_host_like(s);
    s->l3 = p->l3_cache;
    if (p->legacy_cache) {
        s->legacy_cache = p->legacy_cache == 1;
    }
    s->version = (s->family > 15 ? 0xf00 | (s->family - 15) << 20 : s->family << 8) | (s->model & 15) << 4 | (s->model >> 4) << 16
                 | s->stepping;
}

/* ---- Making it consistent ---- */

typedef struct Dependency { uint8_t on; uint8_t word; uint64_t need, bits; } Dependency;

/* The bits of a word that make no sense without all the needed ones of another. */
static const Dependency dependencies[] = {
    { FW_7_0_EDX, FW_ARCH_CAP, F7_EDX_ARCH_CAP, UINT64_MAX },
    { FW_7_0_EDX, FW_CORE_CAP, F7_EDX_CORE_CAP, UINT64_MAX },
    { FW_1_ECX, FW_PERF_CAP, F1_ECX_PDCM, UINT64_MAX },
    { FW_1_ECX, FW_VMX_PROC, F1_ECX_VMX, UINT64_MAX },
    { FW_1_ECX, FW_VMX_PROC2, F1_ECX_VMX, UINT64_MAX },
    { FW_1_ECX, FW_VMX_PIN, F1_ECX_VMX, UINT64_MAX },
    { FW_1_ECX, FW_VMX_EXIT, F1_ECX_VMX, UINT64_MAX },
    { FW_1_ECX, FW_VMX_ENTRY, F1_ECX_VMX, UINT64_MAX },
    { FW_1_ECX, FW_VMX_MISC, F1_ECX_VMX, UINT64_MAX },
    { FW_1_ECX, FW_VMX_BASIC, F1_ECX_VMX, UINT64_MAX },
    { FW_8000_0001_EDX, FW_VMX_ENTRY, F8_EDX_LM, 1 << 9 },
    { FW_VMX_PROC, FW_VMX_PROC2, 1u << 31, UINT64_MAX },
    { FW_1_ECX, FW_XSAVE, F1_ECX_XSAVE, UINT64_MAX },
    { FW_1_ECX, FW_VMX_PROC2, F1_ECX_RDRAND, 1 << 11 },
    { FW_7_0_EBX, FW_VMX_PROC2, F7_EBX_INVPCID, 1 << 12 },
    { FW_7_0_EBX, FW_VMX_EXIT, F7_EBX_MPX, 1 << 23 },
    { FW_7_0_EBX, FW_VMX_ENTRY, F7_EBX_MPX, 1 << 16 },
    { FW_7_0_EBX, FW_VMX_PROC2, F7_EBX_RDSEED, 1 << 16 },
    { FW_7_0_EBX, FW_14_0_ECX, F7_EBX_INTEL_PT, UINT64_MAX },
    { FW_8000_0001_EDX, FW_VMX_PROC2, F8_EDX_RDTSCP, 1 << 3 },
    { FW_7_0_EBX, FW_VMX_EXIT, F7_EBX_INTEL_PT, 1 << 25 },
    { FW_7_0_EBX, FW_VMX_ENTRY, F7_EBX_INTEL_PT, 1 << 18 },
    { FW_7_0_ECX, FW_VMX_EXIT, F7_ECX_PKS, 1 << 29 },
    { FW_7_0_ECX, FW_VMX_ENTRY, F7_ECX_PKS, 1 << 22 },
    { FW_XSAVE, FW_VMX_PROC2, FD1_EAX_XSAVES, 1 << 20 },
    { FW_VMX_PROC2, FW_VMX_PROC2, 1 << 1, 1 << 7 },
    { FW_VMX_PROC2, FW_VMX_EPT, 1 << 1, UINT32_MAX },
    { FW_VMX_PROC2, FW_VMX_EPT, 1 << 5, 0xffffffff00000000 },
    { FW_VMX_PROC2, FW_VMX_VMFUNC, 1 << 13, UINT64_MAX },
    { FW_8000_0001_ECX, FW_SVM, F8_ECX_SVM, UINT64_MAX },
    { FW_7_0_EBX, FW_7_0_ECX, F7_EBX_SGX, F7_ECX_SGX_LC },
    { FW_7_0_EBX, FW_SGX_12_0_EAX, F7_EBX_SGX, UINT64_MAX },
    { FW_7_0_EBX, FW_SGX_12_0_EBX, F7_EBX_SGX, UINT64_MAX },
    { FW_7_0_EBX, FW_SGX_12_1_EAX, F7_EBX_SGX, UINT64_MAX },
};

/* Takes bits away; says so of each when asked to. */
static void drop(X86Spec *s, FeatureWord w, uint64_t bits, const char *why)
{
    if (!s->p.force_features) {
        s->features[w] &= ~bits;
    }
    s->filtered[w] |= bits;
    for (unsigned b = 0; why && (s->p.check || s->p.enforce) && b < 64; b++) {
        if (bits >> b & 1) {
            g_autofree char *name = x86_feature_describe(w, b);

            warn_report("%s: %s", why, name);
        }
    }
}

static void apply_dependencies(X86Spec *s)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(dependencies); i++) {
        const Dependency *d = &dependencies[i];
        uint64_t bits = s->features[d->word] & d->bits;

        if ((s->features[d->on] & d->need) != d->need && bits) {
            drop(s, d->word, bits & s->p.given[d->word], "This feature depends on other features that were not requested");
            s->features[d->word] &= ~bits;
        }
    }
}

/* The word and bit that make an XSAVE component useful. */
static const struct { uint8_t word; uint32_t bit; } xsave_for[XC_COUNT] = {
    [XC_FP] = { FW_1_ECX, F1_ECX_XSAVE },
    [XC_SSE] = { FW_1_ECX, F1_ECX_XSAVE },
    [XC_AVX] = { FW_1_ECX, F1_ECX_AVX },
    [XC_BNDREGS] = { FW_7_0_EBX, F7_EBX_MPX },
    [XC_BNDCSR] = { FW_7_0_EBX, F7_EBX_MPX },
    [XC_OPMASK] = { FW_7_0_EBX, F7_EBX_AVX512F },
    [XC_ZMM_HI256] = { FW_7_0_EBX, F7_EBX_AVX512F },
    [XC_HI16_ZMM] = { FW_7_0_EBX, F7_EBX_AVX512F },
    [XC_PKRU] = { FW_7_0_ECX, F7_ECX_PKU },
    [XC_ARCH_LBR] = { FW_7_0_EDX, F7_EDX_ARCH_LBR },
    [XC_XTILECFG] = { FW_7_0_EDX, F7_EDX_AMX_TILE },
    [XC_XTILEDATA] = { FW_7_0_EDX, F7_EDX_AMX_TILE },
};

static void set_components(X86Spec *s)
{
    uint32_t mask = 0;

    for (unsigned i = 0; i < XC_COUNT && x86_spec_has(s, FW_1_ECX, F1_ECX_XSAVE); i++) {
        if (xsave_for[i].bit && x86_spec_has(s, xsave_for[i].word, xsave_for[i].bit)) {
            mask |= 1u << i;
        }
    }
    s->features[FW_XCR0_LO] = mask & XCR0_COMPONENTS;
    s->features[FW_XCR0_HI] = 0;
    s->features[FW_XSS_LO] = mask & XSS_COMPONENTS;
    s->features[FW_XSS_HI] = 0;
}

static void raise_level(uint32_t *level, uint32_t to)
{
    *level = MAX(*level, to);
}

/* Levels reach up to the leaves of the features, unless the user has set them. */
static void set_levels(X86Spec *s)
{
    static const uint8_t words[] = { FW_1_EDX, FW_1_ECX, FW_6_EAX, FW_7_0_EBX, FW_7_0_ECX, FW_7_1_EAX, FW_8000_0001_EDX,
                                     FW_8000_0001_ECX, FW_8000_0007_EDX, FW_8000_0008_EBX, FW_C000_0001_EDX, FW_SVM, FW_XSAVE };

    for (unsigned i = 0; s->p.auto_level && i < G_N_ELEMENTS(words); i++) {
        const FeatureWordInfo *w = &x86_feature_words[words[i]];

        if (s->features[words[i]]) {
            raise_level(w->leaf >= 0xc0000000 ? &s->xlevel2 : w->leaf >= 0x80000000 ? &s->xlevel : &s->level, w->leaf);
            if (w->leaf == 7 && s->p.level_func7 == LEVEL_AUTO) {
                raise_level(&s->level_func7, w->sub);
            }
        }
    }
    if (s->p.auto_level) {
        if (x86_spec_has(s, FW_7_0_EBX, F7_EBX_INTEL_PT) && s->p.pt_auto_level) {
            raise_level(&s->level, 0x14);
        }
        if (s->topo.dies > 1) {
            raise_level(&s->level, 0x1f);
        }
        if (x86_spec_has(s, FW_7_0_EBX, F7_EBX_SGX)) {
            raise_level(&s->level, 0x12);
        }
    }
    if (x86_spec_has(s, FW_8000_0001_ECX, F8_ECX_SVM)) {
        raise_level(&s->xlevel, 0x8000000a);
    }
    s->level = s->p.level != LEVEL_AUTO ? s->p.level : s->level;
    s->xlevel = s->p.xlevel != LEVEL_AUTO ? s->p.xlevel : s->xlevel;
    s->xlevel2 = s->p.xlevel2 != LEVEL_AUTO ? s->p.xlevel2 : s->xlevel2;
}

static void expand(X86Spec *s)
{
    for (unsigned w = 0; is_host_like(s) && accel_is_kvm() && w < FW_COUNT; w++) {
        s->features[w] |= x86_supported_word(w, s->p.migratable) & ~s->p.given[w] & ~x86_feature_words[w].by_hand;
    }
    apply_dependencies(s);
    set_components(s);
    if (!s->p.kvm) {
        s->features[FW_KVM] = 0;
    }
    set_levels(s);
}

/* Does the host's trace hardware match what leaf 0x14 will say? */
static bool host_pt_fits(void)
{
    uint32_t ranges = x86_host_supported(0x14, 1, 0), periods = x86_host_supported(0x14, 1, 3);

    return (x86_host_supported(0x14, 0, 0) & 1) && (x86_host_supported(0x14, 0, 3) & 0xf) == 0xf && (x86_host_supported(0x14, 0, 1) & 7) == 7
           && (ranges & 7) >= 2 && (ranges & 0x02490000) == 0x02490000 && (periods & 0x003f1fff) == 0x003f1fff;
}

static bool filter(X86Spec *s, GError **err)
{
    for (unsigned w = 0; w < FW_COUNT; w++) {
        if (s->features[w]) {
            drop(s, w, s->features[w] & ~x86_supported_word(w, false), "host doesn't support requested feature");
        }
    }
    if (accel_is_kvm() && x86_spec_has(s, FW_7_0_EBX, F7_EBX_INTEL_PT) && !host_pt_fits()) {
        drop(s, FW_7_0_EBX, F7_EBX_INTEL_PT, "host doesn't support requested feature");
    }
    for (unsigned w = 0; s->p.enforce && w < FW_COUNT; w++) {
        if (s->filtered[w]) {
            g_autofree char *first = x86_feature_describe(w, __builtin_ctzll(s->filtered[w]));

            return error_set(err, "-cpu: Host doesn't support requested features, and 'enforce' is on; the first is %s", first);
        }
    }
    return true;
}

/* ---- Sizes ---- */

static bool set_phys_bits(X86Spec *s, GError **err)
{
    unsigned host = accel_is_kvm() ? x86_host_phys_bits() : 40, bits = s->p.phys_bits;
    bool as_host = s->p.host_phys_bits ? s->p.host_phys_bits == 1 : is_host_like(s) && accel_is_kvm();

    if (!x86_spec_has(s, FW_8000_0001_EDX, F8_EDX_LM)) {
        if (s->p.phys_bits) {
            return error_set(err, "phys-bits is not user-configurable in 32 bit");
        }
        s->phys_bits = x86_spec_has(s, FW_1_EDX, F1_EDX_PSE36) ? 36 : 32;
        return true;
    }
    if (bits && accel_is_kvm() && bits != host) {
        warn_report("Host physical bits (%u) does not match phys-bits property (%u)", host, bits);
    }
    if (as_host) {
        bits = s->p.host_phys_bits_limit ? MIN(host, s->p.host_phys_bits_limit) : host;
    }
    if (bits && (bits < 32 || bits > 52)) {
        return error_set(err, "phys-bits should be between 32 and 52  (but is %u)", bits);
    }
    s->phys_bits = bits ? bits : 40;
    return true;
}

static void set_microcode(X86Spec *s)
{
    s->ucode_rev = s->p.ucode_rev;
    if (!s->ucode_rev && accel_is_kvm() && is_host_like(s)) {
        s->ucode_rev = x86_host_feature_msr(0x8b);
    }
    if (!s->ucode_rev) {
        s->ucode_rev = x86_spec_amd(s) ? 0x01000065 : 0x100000000ull;
    }
}

static bool set_rest(X86Spec *s, GError **err)
{
    const X86Model *row = x86_model_row(s->name);
    uint32_t amd = x86_spec_amd(s) ? F8_EDX_AMD_ALIASES : 0;

    s->features[FW_8000_0001_EDX] = (s->features[FW_8000_0001_EDX] & ~(uint64_t)amd) | (s->features[FW_1_EDX] & amd);
    if (!s->legacy_cache && (!row || row->caches == CACHES_NONE)) {
        return error_set(err, "CPU model '%s' doesn't support legacy-cache=off", s->name->name);
    }
    x86_spec_set_caches(s, s->legacy_cache ? CACHES_NONE : row->caches);
    if (x86_spec_amd(s) && s->topo.threads > 1 && !x86_spec_has(s, FW_8000_0001_ECX, F8_ECX_TOPOEXT)) {
        warn_report("This family of CPU doesn't support hyperthreading(%u). Please configure -smp options properly or try enabling "
                    "topoext feature.", s->topo.threads);
    }
    set_microcode(s);
    return set_phys_bits(s, err);
}

X86Spec *x86_spec_new(const X86ModelName *name, const X86Props *p, const X86Topology *topo, GError **err)
{
    X86Spec *s = g_new0(X86Spec, 1);
    const X86Model *row = x86_model_row(name);

    s->name = name;
    s->p = *p;
    s->p.hv_vendor_id = g_strdup(p->hv_vendor_id);
    s->topo = *topo;
    if (row) {
        from_row(s, row);
    } else if (is_host_like(s)) {
        from_host(s);
    } else {
        s->legacy_cache = true;
    }
    apply_props(s);
    expand(s);
    if (filter(s, err) && set_rest(s, err) && x86_hyperv_setup(s, err)) {
        x86_spec_set_xsave_areas(s);
        return s;
    }
    x86_spec_free(s);
    return NULL;
}

void x86_spec_free(X86Spec *s)
{
    if (s) {
        g_free(s->p.hv_vendor_id);
        g_free(s);
    }
}
