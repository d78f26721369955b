/* The properties of a CPU: what -cpu MODEL,PROPS and -device change of a model. */
#ifndef TARGET_I386_PROPS_H
#define TARGET_I386_PROPS_H
#include "target/i386/features.h"

/* Hyper-V enlightenments, in bits of X86Props.hv. */
typedef enum X86HvFeature {
    HV_RELAXED, HV_VAPIC, HV_TIME, HV_CRASH, HV_RESET, HV_VPINDEX, HV_RUNTIME, HV_SYNIC, HV_STIMER, HV_FREQUENCIES, HV_REENLIGHTENMENT,
    HV_TLBFLUSH, HV_EVMCS, HV_IPI, HV_STIMER_DIRECT, HV_AVIC, HV_SYNDBG, HV_EMSR_BITMAP, HV_XMM_INPUT, HV_TLBFLUSH_EXT,
    HV_TLBFLUSH_DIRECT, HV_FEATURES,
} X86HvFeature;

#define LEVEL_AUTO UINT32_MAX
#define HV_SPINLOCK_NONE UINT32_MAX

/* What properties say; embedded in X86Cpu as their storage. */
typedef struct X86Props {
    uint64_t bits[FW_COUNT], given[FW_COUNT];   /* features; given: by the user */
    uint64_t hv;                    /* 1 << X86HvFeature */
    uint64_t hv_given;
    int64_t tsc_frequency, ucode_rev, lbr_fmt;  /* Hz, 0: host's; 0: default; -1: not given */
    char *vendor, *model_id, *hv_vendor_id;
    int32_t family, model, stepping;            /* plus 1; 0: the model's */
    uint32_t level, xlevel, xlevel2, min_level, min_xlevel, min_xlevel2, level_func7;   /* LEVEL_AUTO: the model's */
    uint32_t phys_bits;             /* 0: default */
    uint32_t hv_spinlocks, hv_version_build, hv_version_spack, hv_version_snumber;
    uint16_t hv_version_major, hv_version_minor;
    uint8_t hv_version_sbranch, host_phys_bits_limit;
    int32_t hv_max_vps, hv_no_nonarch_cs;       /* -1: default; OnOffAuto */
    int32_t host_phys_bits, pmu, legacy_cache;  /* OnOffAuto: auto is the model's */
    bool check, enforce, kvm, migratable, l3_cache, host_cache_info, lmce, fill_mtrr_mask, cpuid_0xb, auto_level, vendor_cpuid_only,
        force_features, tcg_cpuid, no_smi_migration, vmware_freq, pv_enforce_cpuid, migrate_smi_count, pt_auto_level, hv_passthrough,
        hv_enforce, hv_synic_kvm_only, start_powered_off;
} X86Props;

#endif
