/* Power-on state (SDM volume 3, 9.1.1), and the modes that follow from registers. */
#include "target/i386/cpu-int.h"
#include "accel/kvm/kvm.h"
#include <string.h>

/* The processor's modes in the bits that streams carry; what follows from registers is computed, the rest stays. */
void x86_update_hflags(X86Cpu *c)
{
    const uint32_t computed = HF_CPL | HF_PE | 7u << HF_MP_SHIFT | EFLAGS_TF | EFLAGS_VM | 3u << 12 | HF_OSFXSR | HF_LMA | HF_CS32 | HF_SS32
                              | HF_CS64 | HF_ADDSEG;
    uint32_t h = c->hflags & ~computed;

    h |= c->segs[R_SS].flags >> SEG_DPL_SHIFT & HF_CPL;
    h |= (c->cr0 & CR0_PE) ? HF_PE : 0;
    h |= (c->cr0 >> 1 & 7) << HF_MP_SHIFT;                          /* MP, EM, TS */
    h |= c->eflags & (EFLAGS_TF | EFLAGS_VM | 3u << 12);            /* IOPL */
    h |= (c->cr4 & CR4_OSFXSR) ? HF_OSFXSR : 0;
    h |= (c->efer & EFER_LMA) ? HF_LMA : 0;
    if ((h & HF_LMA) && (c->segs[R_CS].flags & SEG_L)) {
        h |= HF_CS32 | HF_SS32 | HF_CS64;
    } else {
        h |= (c->segs[R_CS].flags & SEG_B) ? HF_CS32 : 0;
        h |= (c->segs[R_SS].flags & SEG_B) ? HF_SS32 : 0;
        if (!(c->cr0 & CR0_PE) || (c->eflags & EFLAGS_VM) || !(h & HF_CS32)
            || (c->segs[R_DS].base | c->segs[R_ES].base | c->segs[R_SS].base)) {
            h |= HF_ADDSEG;
        }
    }
    c->hflags = h;
}

static X86Segment segment(unsigned selector, uint64_t base, unsigned type, bool system)
{
    return (X86Segment){ .selector = selector, .limit = 0xffff, .base = base,
                         .flags = SEG_P | type << SEG_TYPE_SHIFT | (system ? 0 : SEG_S) };
}

static void reset_segments(X86Cpu *c)
{
    for (unsigned i = R_ES; i <= R_GS; i++) {
        c->segs[i] = segment(0, 0, 3, false);
    }
    c->segs[R_CS] = segment(0xf000, 0xffff0000, 0xb, false);
    c->ldt = segment(0, 0, 2, true);
    c->tr = segment(0, 0, 0xb, true);
    c->gdt = c->idt = (X86Segment){ .limit = 0xffff };
}

static void reset_machine_check(X86Cpu *c)
{
    enum { CTL_P = 1 << 8, SER_P = 1 << 24, LMCE_P = 1 << 27 };

    if (c->spec->family < 6 || (~c->spec->features[FW_1_EDX] & (F1_EDX_MCE | F1_EDX_MCA))) {
        return;
    }
    c->mcg_cap = CTL_P | SER_P | X86_MCE_BANKS | (c->spec->p.lmce ? LMCE_P : 0);
    c->mcg_ctl = UINT64_MAX;
    for (unsigned i = 0; i < X86_MCE_BANKS; i++) {
        c->mce_banks[4 * i] = UINT64_MAX;
    }
}

void x86_cpu_reset(X86Cpu *c)
{
    bool boot = c->index == 0;
    uint64_t mcg_cap = c->mcg_cap;

    state_reset(&x86_cpu_state, c);
    reset_segments(c);
    c->regs[R_EDX] = c->spec->version;
    c->dr[6] = c->dr[4] = 0xffff0ff0;
    c->dr[7] = c->dr[5] = 0x400;
    c->apicbase = APIC_BASE_ADDR | APICBASE_ENABLE | (boot ? APICBASE_BSP : 0);
    c->hflags2 = HF2_GIF | HF2_VGIF;
    reset_machine_check(c);
    c->mcg_cap = c->vcpu.fd >= 0 ? mcg_cap : c->mcg_cap;            /* cut to what KVM has, once there is a vCPU */
    c->halted = !boot && accel_irqchip == IRQCHIP_OFF;
    c->mp_state = boot || accel_irqchip == IRQCHIP_OFF ? KVM_MP_STATE_RUNNABLE : KVM_MP_STATE_UNINITIALIZED;
    c->vcpu.halted = c->halted;
    x86_update_hflags(c);
    x86_lapic_reset(c->lapic);
    c->put_all = c->put_lapic = true;
    c->vcpu.regs_dirty = c->vcpu.regs_valid = true;
}
