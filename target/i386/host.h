/* What the host's KVM can give to a CPU. Asked once; everything is 0 without KVM. */
#ifndef TARGET_I386_HOST_H
#define TARGET_I386_HOST_H
#include <stdbool.h>
#include <stdint.h>

struct kvm_cpuid2;

/* KVM_GET_SUPPORTED_CPUID's answer for a leaf; reg 0..3: EAX, ECX, EDX, EBX. 0 when there is none. */
uint32_t x86_host_supported(uint32_t leaf, uint32_t sub, unsigned reg);
/* KVM_GET_SUPPORTED_HV_CPUID; NULL when KVM has no Hyper-V. */
const struct kvm_cpuid2 *x86_host_hv_cpuid(void);
/* A feature MSR, e.g. IA32_ARCH_CAPABILITIES; 0 when KVM does not have it. */
uint64_t x86_host_feature_msr(uint32_t index);
/* Does KVM save and restore this MSR? */
bool x86_host_has_msr(uint32_t index);
/* The processor that we run on; order EAX, EBX, ECX, EDX. */
void x86_host_cpuid(uint32_t leaf, uint32_t sub, uint32_t regs[4]);
/* Physical address bits of the host. */
unsigned x86_host_phys_bits(void);
void x86_host_vendor(char vendor[13]);
/* Host family, model and stepping from leaf 1. */
void x86_host_version(uint32_t *family, uint32_t *model, uint32_t *stepping);
#endif
