/*
 * Accelerators: what runs the guest's CPUs.  "kvm" does; "qtest" runs no guest code at all.
 *
 * The machine (hw/core) gives the accelerator a table of upward calls, AccelHost, and calls
 * down through AccelOps.  One accelerator is chosen for the life of the process.
 *
 * Locks: every AccelOps call is made with the machine lock held, unless it says otherwise; the
 * AccelHost calls take the machine lock themselves, but for those that say otherwise.
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
    /* A coalesced write, later than it happened; machine lock held. */
    void (*coalesced)(void *opaque, uint64_t addr, const void *data, unsigned size, bool pio);
    /* From set_memory, machine lock held: pages that the guest wrote in a logged range that goes away. May be NULL. */
    void (*dirty)(void *opaque, uint8_t *hva, uint64_t pages, const unsigned long *bitmap);
    /* The vCPU does not enter the guest again until the next AccelOps.start. */
    void (*request)(void *opaque, AccelRequest what, Vcpu *v);
    void (*ioapic_eoi)(void *opaque, unsigned vector);      /* KVM_EXIT_IOAPIC_EOI, with kernel-irqchip=split */
} AccelHost;

/* What a vCPU is, from target/i386. All run without the machine lock, on the vCPU's own thread (without KVM: on
 * the caller's) or, print_state and destroy, while the vCPU is stopped. */
typedef struct VcpuOps {
    bool (*init)(Vcpu *v, GError **err);    /* KVM's vCPU (if any) exists: CPUID, MSR lists, first state */
    void (*put_state)(Vcpu *v);             /* v->regs_dirty is set: hand the registers to KVM and clear it */
    void (*before_run)(Vcpu *v);            /* queued interrupts, TPR; NULL with an in-kernel LAPIC */
    void (*after_run)(Vcpu *v);             /* NULL with an in-kernel LAPIC */
    bool (*exit)(Vcpu *v);                  /* an exit that only the CPU understands (MSR, Hyper-V); false: neither does it */
    void (*print_state)(Vcpu *v, GString *out); /* info registers; code bytes at the end */
    void (*destroy)(Vcpu *v);
} VcpuOps;

struct Vcpu {
    unsigned index;                 /* CPU n/KVM; also its place in query-cpus-fast */
    uint32_t apic_id;
    const VcpuOps *ops;
    void *cpu;                      /* target/i386's X86Cpu */
    int tid;                        /* host thread id */

    /* vCPU thread, or anyone while the vCPU is stopped */
    bool regs_dirty;                /* X86Cpu holds newer registers than KVM: put before the next run */
    bool regs_valid;                /* X86Cpu holds the registers that KVM holds; cleared by entering the guest */
    bool halted;                    /* HLT, without in-kernel LAPIC: wait for a kick with an interrupt */

    /* accel/kvm's */
    int fd;                         /* the KVM vCPU, or -1 */
    struct kvm_run *run;
    bool in_run;                    /* in KVM_RUN, or about to be */
    struct KvmVcpu *kvm;
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
    unsigned cpus, max_cpus;        /* at start; with those plugged in later */
    unsigned apic_id_limit;         /* highest APIC id + 1 */
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
    void (*vcpu_kick)(Vcpu *v);                     /* leave the guest and look around; any thread, no lock needed */
    /* Runs fn on v's thread, outside the guest and without the machine lock, and waits; drops the lock meanwhile. */
    void (*vcpu_call)(Vcpu *v, void (*fn)(Vcpu *v, void *arg), void *arg);
    void (*start)(void);                            /* lets all vCPUs run */
    void (*stop)(void);                             /* returns when none is in the guest or in a handler; drops the lock while waiting */
    /* On a vCPU's thread: it finishes this exit and does not enter the guest again until start. Else nothing. */
    void (*stop_self)(void);

    /* Keeps the vCPUs out of the guest for that part of the time (0-99); 0: no more, at once. May be NULL. */
    void (*throttle)(unsigned percent);

    /* All memory that is mapped, sorted by gpa, not overlapping: the accelerator works out the difference.
     * as 0 is what the CPU sees, 1 what it sees in SMM (only with accel_smm). Parts of pages are left out. */
    void (*set_memory)(unsigned as, const AccelRange *ranges, unsigned n);
    /* Pages of [gpa, gpa+size) written since the last call, as a bitmap (bit 0 = the first page); clears it. */
    bool (*dirty_get)(uint64_t gpa, uint64_t size, unsigned long *bitmap);
    /* Doorbells: a write of `len` bytes (0: any) to the address signals fd instead of leaving the guest. */
    bool (*ioeventfd)(int fd, uint64_t addr, unsigned len, bool pio, const uint64_t *match, bool add, GError **err);
    bool (*coalesce)(uint64_t addr, uint64_t size, bool pio, bool add);
    void (*coalesced_flush)(void);

    /* Interrupts, with an in-kernel irqchip; no lock needed. gsi 0..23 are the PC's; msi_route_add gives numbers above.
     * With split, 0..23 are the IOAPIC's pins: msi_route_update says what each one sends (0, 0: nothing). */
    int (*irq_line)(unsigned gsi, int level);   /* 1: delivered, 0: merged with one that was pending, -1: masked */
    bool (*msi)(uint64_t addr, uint32_t data);  /* delivered? */
    /* Routes: under the machine lock; changes count from msi_routes_commit (irqfd implies it), one call for many. */
    int (*msi_route_add)(uint64_t addr, uint32_t data, GError **err);   /* gsi, or -1 */
    void (*msi_route_update)(int gsi, uint64_t addr, uint32_t data);
    void (*msi_route_del)(int gsi);
    void (*msi_routes_commit)(void);
    /* A write to fd raises gsi; with resample_fd (or -1) gsi is level-triggered, and its EOI signals that. */
    bool (*irqfd)(int fd, int resample_fd, int gsi, bool add, GError **err);
} AccelOps;

extern const AccelOps accel_kvm, accel_qtest;
/* The accelerator in use; NULL before accel_open. */
extern const AccelOps *accel;
extern IrqchipMode accel_irqchip;   /* what open settled on; IRQCHIP_OFF under qtest */
extern bool accel_smm;              /* set_memory's second address space, and system management mode, exist */

/* Tries the names of `list` ("kvm:tcg", or NULL for the default) in order. Names that we do not have fall
 * through; when none works, err has a line for each. */
bool accel_open(const char *list, const AccelConfig *cfg, const AccelHost *host, GError **err);
bool accel_is_kvm(void);
/* The vCPU whose thread this is, or NULL. */
Vcpu *vcpu_current(void);
#endif
