/*
 * The x86 CPU: models, vCPUs, their registers, what the board, the monitor and devices see of them.
 *
 * A board calls, in this order:
 *   x86_topology_check       -smp: is it possible?  x86_apic_id_limit for AccelConfig.apic_id_limit
 *   (accel_open)
 *   x86_cpus_create          parses -cpu and makes the boot CPUs: Device, Vcpu, LAPIC state, kvmclock
 *
 * Locks: all calls under the machine lock. Registers: valid in the struct after x86_cpu_sync, which drops the machine
 * lock while a running vCPU leaves the guest; a handler on the vCPU's own thread may call it as well. Whoever then
 * changes a register sets vcpu.regs_dirty before the vCPU runs again.
 */
#ifndef TARGET_I386_CPU_H
#define TARGET_I386_CPU_H
#include "accel/accel.h"
#include "hw/core/device.h"
#include "hw/core/machine.h"
#include "target/i386/props.h"

typedef struct X86Cpu X86Cpu;
typedef struct X86Model X86Model;       /* a row of the table of models */
typedef struct X86Spec X86Spec;         /* what -cpu makes of it; shared by all CPUs (model.h) */
typedef struct X86Lapic X86Lapic;

/* ---- Topology ---- */

typedef struct X86Topology { unsigned sockets, dies, cores, threads; } X86Topology; /* dies a socket, cores a die, threads a core */

/* APIC id of CPU n: thread, core, die and socket in bit fields just wide enough. */
uint32_t x86_apic_id(const X86Topology *t, unsigned n);
/* Highest APIC id of CPUs 0..max_cpus-1, plus 1. */
uint32_t x86_apic_id_limit(const X86Topology *t, unsigned max_cpus);
X86Topology x86_topology(const MachineConfig *cfg);

/* ---- Making CPUs ---- */

/* -cpu help. */
void x86_cpu_list(GString *out);
/* Makes cfg->smp.cpus CPUs of cfg->cpu (NULL: default_model) and the devices that go with them. */
bool x86_cpus_create(Machine *m, const char *default_model, GError **err);
/* Is it a CPU? (Later ones come by -device or device_add, for a free place in the topology.) */
bool x86_is_cpu(const Device *d);
/* One type a model, "qemu64-x86_64-cpu": to be listed among the device types. */
extern const DeviceType x86_cpu_types[];
extern const unsigned x86_cpu_type_count;
/* The internal types: LAPIC, kvmclock, cpu_common. */
extern const DeviceType x86_lapic_type, x86_apic_type, x86_kvmclock_type, x86_vapic_type, x86_cpu_common_type;

X86Cpu *x86_cpu(Machine *m, unsigned i);        /* of m->vcpus; NULL: no such */
static inline X86Cpu *x86_cpu_of(Vcpu *v) { return v->cpu; }
X86Cpu *x86_cpu_current(void);                  /* whose thread this is, or NULL */

/* ---- Models, for the monitor ---- */

/* unavailable: names of features that the accelerator cannot give. */
typedef struct X86ModelInfo {
    const char *name, *type, *alias_of;
    bool is_static, migration_safe;
    const GPtrArray *unavailable;
} X86ModelInfo;
void x86_models_foreach(Machine *m, void (*fn)(const X86ModelInfo *i, void *opaque), void *opaque);
/* A CPU that never runs: set its properties, expand it, and they are what the model comes to. */
Device *x86_model_new(Machine *m, const char *model, GError **err);
bool x86_model_expand(Device *d, GError **err);
void x86_model_free(Device *d);
bool x86_is_feature(const char *name);

/* ---- What firmware tables need to know ---- */

uint32_t x86_cpuid(X86Cpu *c, uint32_t leaf, uint32_t subleaf, unsigned reg);   /* reg 0..3: EAX..EDX as the guest sees them */
unsigned x86_phys_bits(X86Cpu *c);
bool x86_is_amd(X86Cpu *c);                     /* by its vendor name */
/* IA32_FEATURE_CONTROL as firmware should set it (etc/msr_feature_control); 0: the CPUs have no such register. */
uint64_t x86_feature_control(X86Cpu *c);

/* ---- Registers ---- */

enum { R_EAX, R_ECX, R_EDX, R_EBX, R_ESP, R_EBP, R_ESI, R_EDI };
enum { R_ES, R_CS, R_SS, R_DS, R_FS, R_GS };

/* flags: bits 8..23 of a descriptor's second word, in place. */
typedef struct X86Segment { uint32_t selector; uint32_t limit; uint64_t base; uint32_t flags; } X86Segment;
enum { SEG_TYPE_SHIFT = 8, SEG_S = 1 << 12, SEG_DPL_SHIFT = 13, SEG_P = 1 << 15, SEG_AVL = 1 << 20, SEG_L = 1 << 21, SEG_B = 1 << 22,
       SEG_G = 1 << 23 };
typedef struct X86FpReg { uint64_t mant; uint16_t exp; } X86FpReg;
typedef struct X86Zmm { uint64_t q[8]; } X86Zmm;
typedef struct X86Range { uint64_t base, mask; } X86Range;      /* MTRR */
typedef struct X86Bounds { uint64_t lb, ub; } X86Bounds;        /* MPX */
typedef struct X86LbrEntry { uint64_t from, to, info; } X86LbrEntry;

enum { X86_MCE_BANKS = 10, X86_FIXED_COUNTERS = 3, X86_GP_COUNTERS = 18, X86_ARCH_LBRS = 32, X86_RTIT_ADDRS = 8, X86_SYNIC_SINTS = 16,
       X86_STIMERS = 4, X86_HV_CRASH_PARAMS = 5, X86_APIC_LVTS = 6 };

struct X86Cpu {
    Device dev;
    Vcpu vcpu;

    /* ---- guest state ---- */
    uint64_t regs[16], eip, eflags;
    uint32_t hflags, hflags2;           /* derived modes, only for the stream (hflags.c) */
    uint16_t fpuc, fpus, fptag;         /* fptag: a bit a register in use, as FXSAVE has it */
    uint16_t fpop;
    uint64_t fpip, fpdp;
    X86FpReg fpregs[8];                 /* ST(0) first */
    X86Segment segs[6], ldt, tr, gdt, idt;
    uint64_t sysenter_esp, sysenter_eip;
    uint32_t sysenter_cs;
    uint32_t mxcsr;
    uint64_t cr0, cr2, cr3, cr4, dr[8], pdptrs[4];
    bool pdptrs_valid;
    X86Zmm zmm[32];
    uint64_t opmask[8];
    X86Bounds bnd[4];
    uint64_t bndcfgu, bndstatus;
    uint64_t xcr0, xstate_bv;
    uint32_t pkru;
    uint8_t xtilecfg[64], xtiledata[8192];
    uint64_t efer, star, lstar, cstar, fmask, kernelgsbase, pat;
    uint32_t smbase, pkrs;
    uint64_t apicbase;                  /* MSR 0x1b; the LAPIC's id and registers are in its own device */
    uint64_t tsc, tsc_aux, tsc_adjust, tsc_deadline, tsc_scale;
    int64_t tsc_khz;
    uint64_t mtrr_fixed[11], mtrr_deftype;
    X86Range mtrr_var[8];
    uint64_t mcg_cap, mcg_status, mcg_ctl, mcg_ext_ctl, mce_banks[4 * X86_MCE_BANKS];
    uint64_t misc_enable, feature_control, spec_ctrl, virt_ssbd, tsx_ctrl, smi_count, xss, bndcfgs, xfd, xfd_err, vm_hsave;
    uint64_t sgxlepubkeyhash[4];
    uint32_t umwait;
    uint64_t fixed_ctr_ctrl, global_ctrl, global_status, global_ovf_ctrl, fixed_counters[X86_FIXED_COUNTERS],
        gp_counters[X86_GP_COUNTERS], gp_evtsel[X86_GP_COUNTERS];
    uint64_t rtit_ctrl, rtit_status, rtit_output_base, rtit_output_mask, rtit_cr3_match, rtit_addrs[X86_RTIT_ADDRS];
    uint64_t lbr_ctl, lbr_depth;
    X86LbrEntry lbr[X86_ARCH_LBRS];
    /* KVM's and Hyper-V's */
    uint64_t system_time_msr, wall_clock_msr, async_pf_en_msr, async_pf_int_msr, pv_eoi_en_msr, steal_time_msr, poll_control_msr;
    uint64_t hv_guest_os_id, hv_hypercall, hv_tsc, hv_vapic, hv_runtime, hv_crash[X86_HV_CRASH_PARAMS], hv_synic_control, hv_synic_evt_page,
        hv_synic_msg_page, hv_synic_sint[X86_SYNIC_SINTS], hv_stimer_config[X86_STIMERS], hv_stimer_count[X86_STIMERS],
        hv_reenlightenment_control, hv_tsc_emulation_control, hv_tsc_emulation_status;
    /* events */
    uint32_t mp_state, sipi_vector, interrupt_request, halted;
    int32_t exception_nr, interrupt_injected, a20_mask;     /* -1: none; a20_mask is always -1 here */
    uint8_t exception_pending, exception_injected, has_error_code, exception_has_payload;
    uint32_t error_code;
    uint64_t exception_payload;
    uint8_t soft_interrupt, nmi_injected, nmi_pending, nmi_masked, smm, triple_fault_pending;
    uint8_t interrupt_shadow, smi_pending, smi_inside_nmi, smi_latched_init;
    uint8_t *nested;                    /* struct kvm_nested_state, or NULL */
    uint32_t nested_size;

    /* ---- host side ---- */
    const X86Spec *spec;                /* features and CPUID */
    X86Spec *own_spec;                  /* spec, when this CPU has one to itself (a device_add with properties) */
    X86Lapic *lapic;
    Device *common;                     /* the stream's cpu_common section */
    uint32_t index;                     /* among the possible CPUs */
    uint32_t apic_id;                   /* property apic-id */
    int32_t socket_id, die_id, core_id, thread_id, node_id; /* properties; -1: not given */
    X86Props props;                     /* properties as given; realize makes a spec of them */
    void *xsave;                        /* page-aligned buffer for KVM_GET/SET_XSAVE */
    void *msrs;                         /* struct kvm_msrs with room for all */
    bool put_lapic;                     /* the LAPIC's registers are newer than KVM's, too */
    bool put_all;                       /* after reset and load: also what an ordinary change of registers cannot touch */
};

/* Brings the struct up to date with KVM. */
void x86_cpu_sync(X86Cpu *c);
/* Power-on state (boot CPU: runs at F000:FFF0; others wait for INIT and SIPI). */
void x86_cpu_reset(X86Cpu *c);
/* To the NMI pin: LINT1 as the LAPIC has it set up. */
void x86_cpu_nmi(X86Cpu *c);
/* With kernel-irqchip=off or split: the PIC's INT output (a LineSink; `to` is the machine) and how its vector is fetched;
 * with off also the way of messages from the IOAPIC and devices. */
void x86_apic_pic_line(void *machine, unsigned n, int level);
void x86_apic_set_pic(Machine *m, int (*read)(void *opaque), void *opaque);
void x86_apic_msi(Machine *m, uint64_t addr, uint32_t data);
/* What KVM_SMI does, for port 0xb2; nothing when there is no SMM. */
void x86_cpu_smi(X86Cpu *c);
bool x86_cpu_in_long_mode(const X86Cpu *c);     /* EFER.LMA */
unsigned x86_cpu_code_bits(const X86Cpu *c);    /* 16, 32 or 64: for disassembly and the gdb stub */

/* ---- Monitor ---- */

/* info registers; x87, SSE and opmask registers only with fpu; code: bytes around the program counter. */
void x86_print_registers(X86Cpu *c, GString *out, bool fpu, bool code);
void x86_print_lapic(X86Cpu *c, GString *out);              /* info lapic */
void x86_print_cpus(Machine *m, GString *out, unsigned current); /* info cpus */
void x86_print_mem(X86Cpu *c, GString *out);                /* info mem: ranges of equal protection */
void x86_print_tlb(X86Cpu *c, GString *out);                /* info tlb: every mapped page */
/* A linear address through the page tables as they are now; UINT64_MAX: not mapped. Needs no sync before. */
uint64_t x86_virt_to_phys(X86Cpu *c, uint64_t addr);
/* Guest memory by linear address; false: some page is not mapped. */
bool x86_memory_rw(X86Cpu *c, uint64_t addr, void *buf, size_t len, bool write);
/* A register by name ("eip", "rax", "cs", "cr3", "xcr0", ...) for the monitor's expressions. */
bool x86_register_by_name(X86Cpu *c, const char *name, uint64_t *value);
#endif
