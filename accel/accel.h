/*
 * Accelerators: what runs the guest's CPUs.  "kvm" does; "qtest" runs no guest code at all.
 *
 * The machine (hw/core) gives the accelerator a table of upward calls, AccelHost, and calls
 * down through AccelOps.  One accelerator is chosen for the life of the process.
 *
 * Locks: every AccelOps call is made with the machine lock held, unless it says otherwise; the
 * AccelHost calls take the machine lock themselves.
 */
#ifndef ACCEL_ACCEL_H
#define ACCEL_ACCEL_H
#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Vcpu Vcpu;

/* What a vCPU thread may ask of the machine; carried out by the main loop. */
typedef enum AccelRequest {
    ACCEL_RESET,            /* triple fault, KVM_EXIT_SHUTDOWN, KVM_SYSTEM_EVENT_RESET */
    ACCEL_SHUTDOWN,         /* KVM_SYSTEM_EVENT_SHUTDOWN */
    ACCEL_CRASH,            /* KVM_SYSTEM_EVENT_CRASH */
    ACCEL_INTERNAL_ERROR,   /* registers and code bytes have been printed: pause as internal-error */
    ACCEL_DEBUG,            /* a breakpoint of the debugger: pause as debug */
} AccelRequest;

typedef struct AccelHost {
    void *opaque;
    void (*lock)(void *opaque);
    void (*unlock)(void *opaque);
    /* `count` accesses of `size` (1, 2, 4) bytes at data, in order (string I/O). */
    void (*pio)(void *opaque, uint16_t port, void *data, unsigned size, unsigned count, bool write);
    void (*mmio)(void *opaque, uint64_t addr, void *data, unsigned size, bool write);
    void (*request)(void *opaque, AccelRequest what, Vcpu *v);
    void (*ioapic_eoi)(void *opaque, unsigned vector);      /* KVM_EXIT_IOAPIC_EOI, with kernel-irqchip=split */
} AccelHost;

/* What a vCPU is, from target/i386. All but init run on the vCPU's own thread or while it is stopped. */
typedef struct VcpuOps {
    bool (*init)(Vcpu *v, GError **err);    /* KVM's vCPU exists: CPUID, MSR lists, first state; on its thread */
    void (*before_run)(Vcpu *v);            /* queued interrupts, TPR (only without in-kernel LAPIC); may be NULL */
    void (*after_run)(Vcpu *v);             /* may be NULL */
    void (*print_state)(Vcpu *v, GString *out); /* info registers; code bytes at the end */
    void (*destroy)(Vcpu *v);
} VcpuOps;

struct Vcpu {
    unsigned index;                 /* CPU n/KVM; also its place in query-cpus-fast */
    uint32_t apic_id;
    const VcpuOps *ops;
    void *cpu;                      /* target/i386's X86Cpu */
    int tid;                        /* host thread id */

    /* accel/kvm's */
    int fd;                         /* the KVM vCPU, or -1 */
    struct kvm_run *run;
    GThread *thread;
    gint want_exit;                 /* set with a kick: leave KVM_RUN and look around */
    bool created, stopped, halted, unplug, in_run;
    bool regs_dirty;                /* X86Cpu holds newer registers than KVM: put before the next run */
    bool regs_valid;                /* X86Cpu holds the registers that KVM holds */
    GError *failed;                 /* why init failed */
};

/* One range of guest-physical memory that the CPU may reach directly. */
typedef struct AccelRange {
    uint64_t gpa, size;
    uint8_t *hva;
    bool readonly, log;             /* log: keep a dirty bitmap */
} AccelRange;

typedef enum IrqchipMode { IRQCHIP_ON, IRQCHIP_SPLIT, IRQCHIP_OFF } IrqchipMode;

typedef struct AccelConfig {
    IrqchipMode irqchip;
    unsigned max_cpus;
    unsigned apic_id_limit;         /* highest APIC id + 1 */
    bool x2apic, dirty_ring;
    uint32_t dirty_ring_size;       /* entries; 0: dirty log */
} AccelConfig;

typedef struct AccelOps {
    const char *name;
    /* Opens the accelerator. On failure err says which of missing file, permission, busy, old API or missing
     * capability it was, and what to do. */
    bool (*open)(const AccelConfig *cfg, const AccelHost *host, GError **err);
    void (*close)(void);

    /* vCPUs: created stopped; vcpu_create returns when v->ops->init has succeeded or failed. */
    bool (*vcpu_create)(Vcpu *v, GError **err);
    void (*vcpu_destroy)(Vcpu *v);
    void (*vcpu_kick)(Vcpu *v);                     /* any thread, no lock needed */
    /* Runs fn on v's thread, outside the guest, and waits; drops the machine lock while waiting. */
    void (*vcpu_call)(Vcpu *v, void (*fn)(Vcpu *v, void *arg), void *arg);
    void (*start)(void);                            /* lets all vCPUs run */
    void (*stop)(void);                             /* returns when none is in the guest; drops the lock while waiting */

    /* All memory that is mapped, sorted by gpa, not overlapping: the accelerator works out the difference. */
    void (*set_memory)(const AccelRange *ranges, unsigned n);
    /* Pages of [gpa, gpa+size) written since the last call, as a bitmap (bit 0 = the first page); clears it. */
    bool (*dirty_get)(uint64_t gpa, uint64_t size, unsigned long *bitmap);
    /* Doorbells: a write of `len` bytes (0: any) to the address signals fd instead of leaving the guest. */
    bool (*ioeventfd)(int fd, uint64_t addr, unsigned len, bool pio, const uint64_t *match, bool add, GError **err);
    bool (*coalesce)(uint64_t addr, uint64_t size, bool pio, bool add);
    void (*coalesced_flush)(void);

    /* Interrupts, with an in-kernel irqchip. gsi 0..23 are the PC's; msi_route gives numbers above. */
    void (*irq_line)(unsigned gsi, int level);
    void (*msi)(uint64_t addr, uint32_t data);
    int (*msi_route_add)(uint64_t addr, uint32_t data, GError **err);   /* gsi, or -1 */
    void (*msi_route_update)(int gsi, uint64_t addr, uint32_t data);
    void (*msi_route_del)(int gsi);
    bool (*irqfd)(int fd, int resample_fd, int gsi, bool add, GError **err);
} AccelOps;

extern const AccelOps accel_kvm, accel_qtest;
/* The accelerator in use; NULL before accel_open. */
extern const AccelOps *accel;
extern IrqchipMode accel_irqchip;   /* what open settled on; IRQCHIP_OFF under qtest */

/* Tries the names of `list` ("kvm:tcg", or NULL for the default) in order. Names that we do not have fall
 * through; when none works, err has a line for each. */
bool accel_open(const char *list, const AccelConfig *cfg, const AccelHost *host, GError **err);
bool accel_is_kvm(void);
#endif
