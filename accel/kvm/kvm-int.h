/* What the files of accel/kvm share. */
#ifndef ACCEL_KVM_KVM_INT_H
#define ACCEL_KVM_KVM_INT_H
#include "accel/kvm/kvm.h"

#define KICK_SIGNAL SIGUSR1
#define KVM_PAGE 4096u

typedef struct KvmState {
    int fd, vm;
    AccelHost host;
    size_t run_size;                /* bytes of a vCPU's mapping */
    unsigned max_cpus;
    bool readonly_mem, dirty_manual, immediate_exit;
    unsigned pc_gsis;               /* 24 with an irqchip in the kernel, else 0 */
    struct kvm_coalesced_mmio_ring *ring;   /* NULL: none */
    unsigned ring_entries;
} KvmState;
extern KvmState kvm;

/* memory.c */
void kvm_set_memory(unsigned as, const AccelRange *ranges, unsigned n);
bool kvm_dirty_get(uint64_t gpa, uint64_t size, unsigned long *bitmap);
bool kvm_ioeventfd(int fd, uint64_t addr, unsigned len, bool pio, const uint64_t *match, bool add, GError **err);
bool kvm_coalesce(uint64_t addr, uint64_t size, bool pio, bool add);
void kvm_coalesced_flush(void);
void kvm_memory_close(void);

/* irq.c */
bool kvm_irq_open(const AccelConfig *cfg, GError **err);
int kvm_irq_line(unsigned gsi, int level);
bool kvm_msi(uint64_t addr, uint32_t data);
int kvm_msi_route_add(uint64_t addr, uint32_t data, GError **err);
void kvm_msi_route_update(int gsi, uint64_t addr, uint32_t data);
void kvm_msi_route_del(int gsi);
void kvm_msi_routes_commit(void);
bool kvm_irqfd(int fd, int resample_fd, int gsi, bool add, GError **err);
void kvm_irq_close(void);

/* vcpu.c */
bool kvm_vcpu_create(Vcpu *v, GError **err);
void kvm_vcpu_destroy(Vcpu *v);
void kvm_vcpu_kick(Vcpu *v);
void kvm_vcpu_call(Vcpu *v, void (*fn)(Vcpu *v, void *arg), void *arg);
void kvm_start(void);
void kvm_stop(void);
void kvm_stop_self(void);
void kvm_throttle(unsigned percent);
void kvm_vcpus_close(void);
/* Keeps the other vCPUs out of the guest for a moment, machine lock held: memory is about to vanish and come back. */
void kvm_others_hold(void);
void kvm_others_release(void);

/* run.c: runs the guest until a kick. */
void kvm_vcpu_run(Vcpu *v);
#endif
