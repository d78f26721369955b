/* What the files of target/i386 share. */
#ifndef TARGET_I386_CPU_INT_H
#define TARGET_I386_CPU_INT_H
#include "target/i386/cpu.h"
#include "target/i386/model.h"

/* Those of the models host and max; behind the first two, those of all others. */
extern const Property x86_max_props[];
#define x86_cpu_props (x86_max_props + 2)
extern const StateTable x86_cpu_state;
extern const VcpuOps x86_vcpu_ops, x86_vcpu_ops_user_pic, x86_vcpu_ops_user_apic;

/* kvm-cpu.c: registers from and to KVM; on the vCPU's thread or while it is stopped. */
void x86_kvm_get(X86Cpu *c);
void x86_kvm_put(X86Cpu *c);
void x86_kvm_filter_msrs(void);
/* msrs.c */
void x86_msrs_get(X86Cpu *c);
void x86_msrs_put(X86Cpu *c, bool all);
void x86_feature_msrs_put(X86Cpu *c);
/* vmx.c */
void x86_vmx_msrs(const X86Spec *s, void (*add)(void *opaque, uint32_t index, uint64_t value), void *opaque);
/* xsave.c: between the struct and KVM's FXSAVE/XSAVE area. */
void x86_xsave_get(X86Cpu *c);
void x86_xsave_put(X86Cpu *c);
/* hflags.c: the modes of the processor as the stream has them. */
void x86_update_hflags(X86Cpu *c);
enum { HF_CPL = 3, HF_CS32 = 1 << 4, HF_SS32 = 1 << 5, HF_ADDSEG = 1 << 6, HF_PE = 1 << 7, HF_TF_SHIFT = 8, HF_MP_SHIFT = 9,
       HF_LMA = 1 << 14, HF_CS64 = 1 << 15, HF_SMM = 1 << 19, HF_GUEST = 1 << 21, HF_OSFXSR = 1 << 22, HF2_GIF = 1 << 0,
       HF2_NMI = 1 << 2, HF2_VGIF = 1 << 8 };

#define CR0_PE (1u << 0)
#define CR0_PG (1u << 31)
#define CR4_PSE (1u << 4)
#define CR4_PAE (1u << 5)
#define CR4_OSFXSR (1u << 9)
#define CR4_LA57 (1u << 12)
#define EFER_LME (1u << 8)
#define EFER_LMA (1u << 10)
#define EFER_NXE (1u << 11)
#define EFLAGS_TF (1u << 8)
#define EFLAGS_IF (1u << 9)
#define EFLAGS_DF (1u << 10)
#define EFLAGS_VM (1u << 17)
#define APICBASE_BSP (1u << 8)
#define APICBASE_EXTD (1u << 10)
#define APICBASE_ENABLE (1u << 11)
#define APIC_BASE_ADDR 0xfee00000u

/* The stream has a section for what all architectures' CPUs share. */
typedef struct X86CpuCommon { Device dev; X86Cpu *cpu; } X86CpuCommon;

/* lapic.c */
typedef struct X86ApicHost X86ApicHost;
struct X86Lapic {
    Device dev;
    X86Cpu *cpu;
    uint32_t id;                        /* APIC id, 8 bits unless x2APIC */
    uint8_t arb_id, tpr, log_dest, dest_mode;
    uint32_t spurious_vec, isr[8], tmr[8], irr[8], lvt[X86_APIC_LVTS], esr, icr[2], divide_conf, initial_count;
    int32_t count_shift;
    int64_t initial_count_load_time, next_time, timer_expiry;
    uint32_t current_count;             /* from KVM, for info lapic */
    int32_t sipi_vector, wait_for_sipi;
    bool pic_level;                     /* of the PIC's INT */
    Timer timer;                        /* in user space only */

    /* host side */
    struct X86ApicHost *host;
    guint requests;                     /* APIC_REQ_*: for the vCPU's thread; atomic */
};
void x86_lapic_get(X86Lapic *a);
void x86_lapic_put(X86Lapic *a);
void x86_lapic_reset(X86Lapic *a);
bool x86_lapic_create(X86Cpu *c, GError **err);

/* A CPU made: its parts besides the vCPU. */
bool x86_kvmclock_create(Machine *m, GError **err);
#endif
