/* CPU features by word, as CPUID and the feature MSRs have them, and their names. */
#ifndef TARGET_I386_FEATURES_H
#define TARGET_I386_FEATURES_H
#include <stdbool.h>
#include <stdint.h>

/* In the order in which QEMU speaks of them. */
typedef enum FeatureWord {
    FW_1_EDX, FW_1_ECX, FW_7_0_EBX, FW_7_0_ECX, FW_7_0_EDX, FW_7_1_EAX, FW_8000_0001_EDX, FW_8000_0001_ECX, FW_8000_0007_EDX,
    FW_8000_0008_EBX, FW_C000_0001_EDX, FW_KVM, FW_KVM_HINTS, FW_SVM, FW_XSAVE, FW_6_EAX, FW_XCR0_LO, FW_XCR0_HI, FW_ARCH_CAP,
    FW_CORE_CAP, FW_PERF_CAP, FW_VMX_PROC, FW_VMX_PROC2, FW_VMX_PIN, FW_VMX_EXIT, FW_VMX_ENTRY, FW_VMX_MISC, FW_VMX_EPT, FW_VMX_BASIC,
    FW_VMX_VMFUNC, FW_14_0_ECX, FW_SGX_12_0_EAX, FW_SGX_12_0_EBX, FW_SGX_12_1_EAX, FW_XSS_LO, FW_XSS_HI, FW_COUNT,
} FeatureWord;

typedef struct FeatureWordInfo {
    bool msr;               /* leaf is a feature MSR's number */
    uint8_t reg;            /* R_EAX.. */
    bool has_sub;
    uint32_t leaf, sub;
    uint64_t unmigratable;  /* named, but not for a migratable max or host */
    uint64_t migratable;    /* not named, but fine */
    uint64_t by_hand;       /* max and host do not turn these on */
} FeatureWordInfo;
extern const FeatureWordInfo x86_feature_words[FW_COUNT];

/* A bit's name, or NULL. */
const char *x86_feature_name(FeatureWord w, unsigned bit);
/* Calls fn for each named bit (and alias) in order of words. */
typedef void FeatureFn(void *opaque, FeatureWord w, unsigned bit, const char *name, bool alias);
void x86_features_foreach(FeatureFn *fn, void *opaque);
/* All bits of w that have a name. */
uint64_t x86_feature_named(FeatureWord w);
/* "CPUID.01H:ECX.pni [bit 0]" for messages; caller frees. */
char *x86_feature_describe(FeatureWord w, unsigned bit);

/* Bits that the code asks for. */
#define F1_EDX_TSC (1u << 4)
#define F1_EDX_MCE (1u << 7)
#define F1_EDX_MTRR (1u << 12)
#define F1_EDX_MCA (1u << 14)
#define F1_EDX_PAT (1u << 16)
#define F1_EDX_PSE36 (1u << 17)
#define F1_EDX_HT (1u << 28)
#define F1_ECX_VMX (1u << 5)
#define F1_ECX_PDCM (1u << 15)
#define F1_ECX_X2APIC (1u << 21)
#define F1_ECX_TSC_DEADLINE (1u << 24)
#define F1_ECX_XSAVE (1u << 26)
#define F1_ECX_AVX (1u << 28)
#define F1_ECX_RDRAND (1u << 30)
#define F1_ECX_HYPERVISOR (1u << 31)
#define F7_EBX_TSC_ADJUST (1u << 1)
#define F7_EBX_SGX (1u << 2)
#define F7_EBX_HLE (1u << 4)
#define F7_EBX_INVPCID (1u << 10)
#define F7_EBX_RTM (1u << 11)
#define F7_EBX_MPX (1u << 14)
#define F7_EBX_AVX512F (1u << 16)
#define F7_EBX_RDSEED (1u << 18)
#define F7_EBX_INTEL_PT (1u << 25)
#define F7_ECX_PKU (1u << 3)
#define F7_ECX_WAITPKG (1u << 5)
#define F7_ECX_LA57 (1u << 16)
#define F7_ECX_SGX_LC (1u << 30)
#define F7_ECX_PKS (1u << 31)
#define F7_EDX_ARCH_LBR (1u << 19)
#define F7_EDX_AMX_TILE (1u << 24)
#define F7_EDX_ARCH_CAP (1u << 29)
#define F7_EDX_CORE_CAP (1u << 30)
#define F8_ECX_SVM (1u << 2)
#define F8_ECX_TOPOEXT (1u << 22)
#define F8_EDX_RDTSCP (1u << 27)
#define F8_EDX_LM (1u << 29)
#define F8_EDX_AMD_ALIASES 0x0183f3ffu  /* bits of leaf 1's EDX that AMD shows in 0x80000001's as well */
#define F87_EDX_INVTSC (1u << 8)
#define FD1_EAX_XSAVES (1u << 3)
#define FD1_EAX_XFD (1u << 4)
#define F6_EAX_ARAT (1u << 2)
#define FKVM_PV_UNHALT (1u << 7)
#define FKVM_MSI_EXT_DEST_ID (1u << 15)

/* XSAVE components. */
enum { XC_FP, XC_SSE, XC_AVX, XC_BNDREGS, XC_BNDCSR, XC_OPMASK, XC_ZMM_HI256, XC_HI16_ZMM, XC_PKRU = 9, XC_ARCH_LBR = 15,
       XC_XTILECFG = 17, XC_XTILEDATA = 18, XC_COUNT };
#define XCR0_COMPONENTS (1u << XC_FP | 1u << XC_SSE | 1u << XC_AVX | 1u << XC_BNDREGS | 1u << XC_BNDCSR | 7u << XC_OPMASK | 1u << XC_PKRU \
    | 3u << XC_XTILECFG)
#define XSS_COMPONENTS (1u << XC_ARCH_LBR)
#endif
