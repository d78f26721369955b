/* The local APIC, in the kernel or here: between lapic.c, apic.c and apic-run.c. */
#ifndef TARGET_I386_APIC_INT_H
#define TARGET_I386_APIC_INT_H
#include "target/i386/cpu-int.h"
#include "hw/core/memory.h"

/* One a machine: where devices send MSIs, and the PIC behind LINT0. */
struct X86ApicHost {
    Region window;
    int (*pic_read)(void *opaque);
    void *opaque;
};

enum { APIC_REQ_IRQ = 1 << 0, APIC_REQ_NMI = 1 << 1, APIC_REQ_INIT = 1 << 2, APIC_REQ_SIPI = 1 << 3, APIC_REQ_SMI = 1 << 4 };

int x86_lapic_shift(uint32_t divide_conf);
int x86_apic_take(X86Lapic *a);
bool x86_apic_pending(const X86Lapic *a);
void x86_apic_nmi(X86Lapic *a);
void x86_apic_timer_init(X86Lapic *a);
void x86_apic_loaded(X86Lapic *a);
void x86_apic_map_window(Machine *m, X86ApicHost *h, Device *owner);
void x86_apic_before_run(Vcpu *v);
void x86_apic_after_run(Vcpu *v);
void x86_pic_before_run(Vcpu *v);
#endif
