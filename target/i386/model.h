/*
 * CPU models, the properties that -cpu changes of them, and what comes out: X86Spec, the features, CPUID leaves
 * and limits that a vCPU has.
 */
#ifndef TARGET_I386_MODEL_H
#define TARGET_I386_MODEL_H
#include "target/i386/cpu.h"
#include <string.h>

typedef enum X86Vendor { VENDOR_INTEL, VENDOR_AMD, VENDOR_HYGON } X86Vendor;
typedef enum X86CacheSet { CACHES_NONE, CACHES_EPYC, CACHES_ROME, CACHES_MILAN } X86CacheSet;
typedef enum X86ModelKind { MODEL_TABLE, MODEL_BASE, MODEL_HOST, MODEL_MAX } X86ModelKind;

/* A row of models.def: plain bytes, nothing to relocate. */
typedef struct X86Model {
    char name[24], model_id[49], note[52];
    uint8_t vendor, family, model, stepping, level, level_func7, caches;
    uint32_t xlevel;
    uint64_t words[FW_COUNT];
} X86Model;

/* A name that -cpu takes. */
typedef struct X86ModelName {
    const char *name;               /* without "-x86_64-cpu" */
    X86ModelKind kind;
    const char *alias_of;           /* version that it stands for, or NULL */
    bool by_machine;                /* the alias is the machine type's choice */
} X86ModelName;

extern const X86ModelName x86_model_names[];    /* in the order of x86_cpu_types */
/* The row of a name (following aliases); NULL for base, max and host. */
const X86Model *x86_model_row(const X86ModelName *n);
/* In -cpu help's order. */
const X86ModelName *x86_model_find(const char *name);
/* " (did you mean 'NAME'?)" or ""; free with g_free. */
char *x86_model_nearest(const char *name);
GPtrArray *x86_model_names_sorted(void);

typedef struct X86Cache {
    uint8_t type, level;            /* 1 data, 2 instruction, 3 unified */
    uint16_t line, assoc, partitions, lines_per_tag;
    uint32_t size, sets;
    bool self_init, no_invd_sharing, inclusive, complex_indexing;
    uint8_t descriptor;             /* leaf 2's byte for it */
} X86Cache;
typedef struct X86Caches { X86Cache l1d, l1i, l2, l3; } X86Caches;

struct X86Spec {
    const X86ModelName *name;
    X86Props p;                     /* of its strings only hv_vendor_id is kept, as a copy */
    X86Topology topo;
    uint64_t features[FW_COUNT];    /* what the guest sees */
    uint64_t filtered[FW_COUNT];    /* asked for, but KVM cannot */
    uint32_t level, xlevel, xlevel2, level_func7;
    char vendor[13], model_id[49];
    uint32_t family, model, stepping, version;  /* version: leaf 1's EAX */
    unsigned phys_bits;
    bool pmu, l3, legacy_cache;
    uint64_t ucode_rev, mcg_cap;
    X86Caches cache2, cache4, cache_amd;        /* of leaves 2, 4 and 0x8000000x */
    struct XsaveArea { uint32_t size, offset, flags; } xsave[XC_COUNT];
    uint64_t hv;                    /* enlightenments in use */
    bool hv_on;
};

/* The features that this accelerator can give; migratable: only those that a guest may be moved with. */
uint64_t x86_supported_word(FeatureWord w, bool migratable);
/* Does what -cpu MODEL,PROPS comes to; warns of (with enforce: fails for) what KVM cannot give. */
X86Spec *x86_spec_new(const X86ModelName *name, const X86Props *p, const X86Topology *topo, GError **err);
void x86_spec_free(X86Spec *s);
/* All leaves of CPU apic_id, for KVM_SET_CPUID2; tsc_khz 0: not known. Caller frees. */
struct kvm_cpuid2 *x86_spec_leaves(const X86Spec *s, uint32_t apic_id, uint32_t tsc_khz);
void x86_spec_set_xsave_areas(X86Spec *s);
static inline bool x86_spec_amd(const X86Spec *s) { return !strcmp(s->vendor, "AuthenticAMD"); }
static inline bool x86_spec_intel(const X86Spec *s) { return !strcmp(s->vendor, "GenuineIntel"); }
static inline bool x86_spec_has(const X86Spec *s, FeatureWord w, uint64_t bit) { return s->features[w] & bit; }

/* One leaf for CPU apic_id (before KVM's own additions: OSXSAVE, OSPKE, XCR0's size). */
void x86_spec_cpuid(const X86Spec *s, uint32_t apic_id, uint32_t leaf, uint32_t sub, uint32_t regs[4]);
/* Bit offsets of the fields of an APIC id. */
typedef struct ApicIdBits { unsigned core, die, pkg; } ApicIdBits;
ApicIdBits x86_apic_id_bits(const X86Topology *t);
void x86_spec_set_caches(X86Spec *s, X86CacheSet set);
#endif
