/*
 * Interrupts of a vCPU whose APIC is in user space: what KVM_RUN is told before it enters the guest, and what it says
 * after (kernel-irqchip=off); and of one whose PIC alone is (split).
 */
#include "target/i386/apic-int.h"
#include "accel/kvm/kvm.h"

/* INIT: registers as after power-on, but for the FPU's, the MSRs' and the cache's. */
static void take_init(X86Cpu *c)
{
    X86Lapic *a = c->lapic;
    bool boot = c->apicbase & APICBASE_BSP;
    uint64_t mtrr_deftype = c->mtrr_deftype, pat = c->pat, base = c->apicbase;
    uint64_t tsc = c->tsc, xcr0 = c->xcr0;
    int32_t vector = a->sipi_vector;        /* of a SIPI that has come meanwhile */

    if (!c->vcpu.regs_valid) {
        x86_kvm_get(c);
        tsc = c->tsc;
        xcr0 = c->xcr0;
        mtrr_deftype = c->mtrr_deftype;
        pat = c->pat;
        base = c->apicbase;
    }
    x86_cpu_reset(c);
    c->mtrr_deftype = mtrr_deftype;
    c->pat = pat;
    c->apicbase = base;
    c->tsc = tsc;
    c->xcr0 = xcr0;
    a->wait_for_sipi = !boot;
    a->sipi_vector = vector;
    c->halted = c->vcpu.halted = !boot;
}

static void take_sipi(X86Cpu *c)
{
    X86Lapic *a = c->lapic;

    if (!a->wait_for_sipi) {
        return;
    }
    if (!c->vcpu.regs_valid) {
        x86_kvm_get(c);
    }
    a->wait_for_sipi = 0;
    c->eip = 0;
    c->segs[R_CS].selector = (a->sipi_vector & 0xff) << 8;
    c->segs[R_CS].base = (uint64_t)(a->sipi_vector & 0xff) << 12;
    c->segs[R_CS].limit = 0xffff;
    c->halted = c->vcpu.halted = false;
    c->vcpu.regs_dirty = true;
}

static void take_requests(X86Cpu *c, uint32_t what)
{
    if (what & APIC_REQ_INIT) {
        take_init(c);
    }
    if (what & APIC_REQ_SIPI) {
        take_sipi(c);
    }
    if (c->vcpu.regs_dirty) {
        x86_kvm_put(c);
    }
    if (what & APIC_REQ_NMI) {
        kvm_vcpu_ioctl(&c->vcpu, KVM_NMI, NULL);
        c->halted = c->vcpu.halted = false;
    }
    if ((what & APIC_REQ_SMI) && accel_smm) {
        kvm_vcpu_ioctl(&c->vcpu, KVM_SMI, NULL);
    }
}

static void inject(X86Cpu *c, struct kvm_run *run)
{
    struct kvm_interrupt irq;
    int v;

    if (run->ready_for_interrupt_injection && run->if_flag) {
        v = x86_apic_take(c->lapic);
        if (v >= 0) {
            irq.irq = v;
            kvm_vcpu_ioctl(&c->vcpu, KVM_INTERRUPT, &irq);
            c->halted = c->vcpu.halted = false;
        }
    } else if (run->if_flag && x86_apic_pending(c->lapic)) {
        c->halted = c->vcpu.halted = false;     /* KVM_RUN returns as soon as it can be injected */
    }
    run->request_interrupt_window = x86_apic_pending(c->lapic);
}

void x86_apic_before_run(Vcpu *v)
{
    X86Cpu *c = x86_cpu_of(v);
    uint32_t what;

    if (!g_atomic_int_get(&c->lapic->requests) && !v->run->request_interrupt_window) {
        v->run->cr8 = c->lapic->tpr >> 4;
        return;
    }
    machine_lock();
    what = g_atomic_int_and(&c->lapic->requests, 0);
    take_requests(c, what);
    if (!c->lapic->wait_for_sipi) {
        inject(c, v->run);
    }
    v->run->cr8 = c->lapic->tpr >> 4;
    machine_unlock();
}

void x86_apic_after_run(Vcpu *v)
{
    X86Cpu *c = x86_cpu_of(v);

    c->apicbase = v->run->apic_base;
    if (v->run->cr8 != c->lapic->tpr >> 4) {
        c->lapic->tpr = v->run->cr8 << 4;
        g_atomic_int_or(&c->lapic->requests, APIC_REQ_IRQ);
    }
}

/* The LAPIC is in the kernel, the PIC here: KVM takes its vectors when the CPU and LINT0 let ExtINT through. */
void x86_pic_before_run(Vcpu *v)
{
    X86Lapic *a = x86_cpu_of(v)->lapic;
    struct kvm_interrupt irq;

    if (!g_atomic_int_get(&a->requests) && !v->run->request_interrupt_window) {
        return;
    }
    machine_lock();
    g_atomic_int_set(&a->requests, 0);
    if (a->pic_level && a->host->pic_read && v->run->ready_for_interrupt_injection) {
        irq.irq = a->host->pic_read(a->host->opaque);
        kvm_vcpu_ioctl(v, KVM_INTERRUPT, &irq);
    }
    v->run->request_interrupt_window = a->pic_level;
    machine_unlock();
}
