/*
 * The VMX capability MSRs of a guest that may itself be a hypervisor: from feature bits and KVM's fixed values.
 * Facts: SDM volume 3, appendix A.
 */
#include "target/i386/cpu-int.h"
#include "target/i386/host.h"

enum { MSR_BASIC = 0x480, MSR_MISC = 0x485, MSR_CR0_FIXED0 = 0x486, MSR_CR4_FIXED0 = 0x488, MSR_VMCS_ENUM = 0x48a, MSR_PROC2 = 0x48b,
       MSR_EPT = 0x48c, MSR_TRUE_PIN = 0x48d, MSR_TRUE_PROC = 0x48e, MSR_TRUE_EXIT = 0x48f, MSR_TRUE_ENTRY = 0x490, MSR_VMFUNC = 0x491 };

/* A control MSR: what must be one is KVM's; what may be is that and the features. */
static uint64_t controls(uint32_t index, uint64_t features)
{
    uint64_t must = (uint32_t)x86_host_feature_msr(index);

    return (must | features) << 32 | must;
}

void x86_vmx_msrs(const X86Spec *s, void (*add)(void *opaque, uint32_t index, uint64_t value), void *opaque)
{
    const uint64_t *f = s->features;
    uint64_t host_basic = x86_host_feature_msr(MSR_BASIC), host_misc = x86_host_feature_msr(MSR_MISC), host_ept = x86_host_feature_msr(MSR_EPT);

    add(opaque, MSR_TRUE_PROC, controls(MSR_TRUE_PROC, f[FW_VMX_PROC]));
    add(opaque, MSR_TRUE_PIN, controls(MSR_TRUE_PIN, f[FW_VMX_PIN]));
    add(opaque, MSR_TRUE_EXIT, controls(MSR_TRUE_EXIT, f[FW_VMX_EXIT] | ((f[FW_8000_0001_EDX] & F8_EDX_LM) ? 1 << 9 : 0)));
    add(opaque, MSR_TRUE_ENTRY, controls(MSR_TRUE_ENTRY, f[FW_VMX_ENTRY]));
    add(opaque, MSR_PROC2, controls(MSR_PROC2, f[FW_VMX_PROC2]));
    /* Bits that are not features are KVM's: revision and sizes, the timer's rate and the number of CR3 targets, ... */
    add(opaque, MSR_EPT, f[FW_VMX_EPT] | (host_ept & (1 << 8 | 1 << 14)));
    add(opaque, MSR_BASIC, f[FW_VMX_BASIC] | (host_basic & ~(3ull << 54)));
    add(opaque, MSR_MISC, f[FW_VMX_MISC] | (host_misc & ~(0x600001e0ull)));
    if (f[FW_VMX_VMFUNC]) {
        add(opaque, MSR_VMFUNC, f[FW_VMX_VMFUNC]);
    }
    add(opaque, MSR_CR0_FIXED0, x86_host_feature_msr(MSR_CR0_FIXED0));
    add(opaque, MSR_CR4_FIXED0, x86_host_feature_msr(MSR_CR4_FIXED0));
    add(opaque, MSR_VMCS_ENUM, x86_host_feature_msr(MSR_VMCS_ENUM));
}
