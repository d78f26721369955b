/* Feature words and names; the names are in features.def. */
#include "target/i386/features.h"
#include <glib.h>
#include <string.h>

enum { EAX, ECX, EDX, EBX };

#define CPUID(l, r, ...) { .leaf = (l), .reg = (r), __VA_ARGS__ }
#define CPUID_SUB(l, s, r, ...) { .leaf = (l), .has_sub = true, .sub = (s), .reg = (r), __VA_ARGS__ }
#define MSR(n, ...) { .msr = true, .leaf = (n), __VA_ARGS__ }

const FeatureWordInfo x86_feature_words[FW_COUNT] = {
    [FW_1_EDX] = CPUID(1, EDX),
    [FW_1_ECX] = CPUID(1, ECX),
    [FW_7_0_EBX] = CPUID_SUB(7, 0, EBX),
    [FW_7_0_ECX] = CPUID_SUB(7, 0, ECX),
    [FW_7_0_EDX] = CPUID_SUB(7, 0, EDX),
    [FW_7_1_EAX] = CPUID_SUB(7, 1, EAX),
    [FW_8000_0001_EDX] = CPUID(0x80000001, EDX),
    [FW_8000_0001_ECX] = CPUID(0x80000001, ECX, .by_hand = F8_ECX_TOPOEXT),
    [FW_8000_0007_EDX] = CPUID(0x80000007, EDX, .unmigratable = F87_EDX_INVTSC),
    [FW_8000_0008_EBX] = CPUID(0x80000008, EBX),
    [FW_C000_0001_EDX] = CPUID(0xc0000001, EDX),
    [FW_KVM] = CPUID(0x40000001, EAX),
    [FW_KVM_HINTS] = CPUID(0x40000001, EDX, .by_hand = UINT64_MAX),
    [FW_SVM] = CPUID(0x8000000a, EDX),
    [FW_XSAVE] = CPUID_SUB(0xd, 1, EAX),
    [FW_6_EAX] = CPUID(6, EAX),
    [FW_XCR0_LO] = CPUID_SUB(0xd, 0, EAX, .migratable = XCR0_COMPONENTS),
    [FW_XCR0_HI] = CPUID_SUB(0xd, 0, EDX),
    [FW_ARCH_CAP] = MSR(0x10a),
    [FW_CORE_CAP] = MSR(0xcf),
    [FW_PERF_CAP] = MSR(0x345),
    [FW_VMX_PROC] = MSR(0x48e),
    [FW_VMX_PROC2] = MSR(0x48b),
    [FW_VMX_PIN] = MSR(0x48d),
    [FW_VMX_EXIT] = MSR(0x48f),
    [FW_VMX_ENTRY] = MSR(0x490),
    [FW_VMX_MISC] = MSR(0x485),
    [FW_VMX_EPT] = MSR(0x48c),
    [FW_VMX_BASIC] = MSR(0x480),
    [FW_VMX_VMFUNC] = MSR(0x491),
    [FW_14_0_ECX] = CPUID_SUB(0x14, 0, ECX),
    [FW_SGX_12_0_EAX] = CPUID_SUB(0x12, 0, EAX),
    [FW_SGX_12_0_EBX] = CPUID_SUB(0x12, 0, EBX),
    [FW_SGX_12_1_EAX] = CPUID_SUB(0x12, 1, EAX),
    [FW_XSS_LO] = CPUID_SUB(0xd, 1, ECX, .migratable = XSS_COMPONENTS),
    [FW_XSS_HI] = CPUID_SUB(0xd, 1, EDX),
};

void x86_features_foreach(FeatureFn *fn, void *opaque)
{
#define FEATURE(w, b, n) fn(opaque, FW_##w, b, n, false);
#define ALIAS(w, b, n) fn(opaque, FW_##w, b, n, true);
#include "target/i386/features.def"
#undef FEATURE
#undef ALIAS
}

uint64_t x86_feature_named(FeatureWord w)
{
    static uint64_t named[FW_COUNT];

    if (!named[FW_1_EDX]) {
#define FEATURE(w, b, n) named[FW_##w] |= 1ull << b;
#define ALIAS(w, b, n)
#include "target/i386/features.def"
#undef FEATURE
#undef ALIAS
    }
    return named[w];
}

const char *x86_feature_name(FeatureWord w, unsigned bit)
{
    switch (w << 6 | bit) {
#define FEATURE(w, b, n) case FW_##w << 6 | b: return n;
#define ALIAS(w, b, n)
#include "target/i386/features.def"
#undef FEATURE
#undef ALIAS
    }
    return NULL;
}

char *x86_feature_describe(FeatureWord w, unsigned bit)
{
    static const char *const regs[] = { "EAX", "ECX", "EDX", "EBX" };
    const FeatureWordInfo *i = &x86_feature_words[w];
    const char *name = x86_feature_name(w, bit);
    g_autofree char *where = i->msr ? g_strdup_printf("MSR(%XH)", i->leaf) : g_strdup_printf("CPUID.%02XH:%s", i->leaf, regs[i->reg]);

    return g_strdup_printf("%s%s%s [bit %u]", where, name ? "." : "", name ? name : "", bit);
}
