/* Hyper-V enlightenments: what -cpu hv-* turn on, with KVM's help. */
#ifndef TARGET_I386_HYPERV_H
#define TARGET_I386_HYPERV_H
#include "target/i386/model.h"
#include <linux/kvm.h>

/* Which are in use: checks what each needs of KVM and of others. */
bool x86_hyperv_setup(X86Spec *s, GError **err);
/* The leaf of an enlightenments CPU (0x40000000..0x4000000A); false: past the last. */
bool x86_hyperv_leaf(const X86Spec *s, uint32_t leaf, struct kvm_cpuid_entry2 *e);
/* Capabilities of a new vCPU. */
bool x86_hyperv_vcpu_init(const X86Spec *s, Vcpu *v, GError **err);
/* KVM_EXIT_HYPERV; false: not understood. */
bool x86_hyperv_exit(X86Cpu *c, struct kvm_hyperv_exit *e);
static inline bool x86_hv_has(const X86Spec *s, X86HvFeature f) { return s->hv >> f & 1; }
#endif
