/*
 * KVM for those who need more of it than accel.h offers: the CPU (target/i386) and the device types
 * whose state lives in the kernel.  Only to be called when accel_is_kvm() (kvm_check also before: 0).
 *
 * System calls return -errno.
 */
#ifndef ACCEL_KVM_KVM_H
#define ACCEL_KVM_KVM_H
#include "accel/accel.h"
#include <linux/kvm.h>

/* KVM_CHECK_EXTENSION: 0 when the kernel does not have it. */
int kvm_check(unsigned cap);
int kvm_sys_ioctl(unsigned long req, void *arg);
int kvm_vm_ioctl(unsigned long req, void *arg);
/* On the vCPU's own thread or while it is stopped. */
int kvm_vcpu_ioctl(Vcpu *v, unsigned long req, void *arg);
/* KVM_ENABLE_CAP with one or two arguments. */
int kvm_vm_enable_cap(unsigned cap, uint64_t arg0, uint64_t arg1);
int kvm_vcpu_enable_cap(Vcpu *v, unsigned cap, uint64_t arg0, uint64_t arg1);

/* In-kernel devices: chip is KVM_IRQCHIP_PIC_MASTER, _PIC_SLAVE or _IOAPIC. */
int kvm_irqchip_get(unsigned chip, struct kvm_irqchip *state);
int kvm_irqchip_set(const struct kvm_irqchip *state);
/* Creates the in-kernel 8254; reinject: ticks that the guest missed are delivered later (lost_tick_policy=delay). */
int kvm_pit_create(bool reinject);
int kvm_pit_get(struct kvm_pit_state2 *state);
int kvm_pit_set(const struct kvm_pit_state2 *state);
int kvm_lapic_get(Vcpu *v, struct kvm_lapic_state *state);
int kvm_lapic_set(Vcpu *v, const struct kvm_lapic_state *state);

/* kvmclock: ns as the guest reads it. *stable (may be NULL): it does not jump, whatever the TSC does. */
int kvm_clock_get(uint64_t *ns, bool *stable);
int kvm_clock_set(uint64_t ns);

/* Where the tables that Intel's VMX needs lie in guest space; kept out of the guest's RAM by e820. */
#define KVM_IDENTITY_BASE 0xfeffc000u
#define KVM_TSS_BASE (KVM_IDENTITY_BASE + 0x1000)
#define KVM_RESERVED_SIZE 0x4000u
#endif
