/*
 * Interrupt controllers: what the board and target/i386 see.
 *
 * Every type has a twin whose state lives in KVM ("kvm-..."): it takes the same inputs, hands them to the accelerator,
 * and saves and loads the same section.
 */
#ifndef HW_INTC_INTC_H
#define HW_INTC_INTC_H
#include "hw/core/device.h"

/* ---- The 8259 pair: ISA interrupts 0..15 ---- */

extern const DeviceType isa_i8259_type, kvm_i8259_type;

/* Creates master and slave at the PC's ports, cascaded; returns the master. in_kernel: KVM has the chips. */
Device *pic_create_pair(Machine *m, Bus *isa, bool in_kernel, GError **err);
/* ISA interrupt 0..15; a LineSink's work (`to` is the master). */
void pic_set_irq(void *master, unsigned irq, int level);
/* INT of the master; the board connects it (to the CPU, or LINT0 of the local APICs). Not with KVM's chips. */
Line *pic_output(Device *master);
/* The CPU's INTA cycle: acknowledges and returns the vector. */
int pic_read_irq(Device *master);
bool pic_has_irq(const Device *master);

/* ---- IOAPIC: 24 pins ---- */

extern const DeviceType ioapic_type, kvm_ioapic_type;
#define IOAPIC_PINS 24
#define IOAPIC_BASE 0xfec00000u

/* How the userspace IOAPIC sends its messages and fetches an ExtINT vector; set by the board before realize.
 * With kernel-irqchip=split `route` tells KVM each pin's present message (its EOI broadcasts come back by these). */
typedef struct IoapicOps {
    void (*msi)(void *opaque, uint64_t addr, uint32_t data);
    int (*extint_vector)(void *opaque);
    void (*route)(void *opaque, unsigned pin, uint64_t addr, uint32_t data, bool masked); /* may be NULL */
} IoapicOps;
void ioapic_set_ops(Device *d, const IoapicOps *ops, void *opaque);
/* Creates the IOAPIC and maps it at IOAPIC_BASE. ops NULL: KVM has the chip. */
Device *ioapic_create(Machine *m, Device *bridge, const IoapicOps *ops, void *opaque, GError **err);
/* A pin of the IOAPIC, 0..23; the PC's interrupt 0 arrives at pin 2. */
void ioapic_set_irq(void *ioapic, unsigned pin, int level);
/* For info irq only: an interrupt that reached the pin inside KVM. */
void ioapic_count(Device *ioapic, unsigned pin, int level);
/* A local APIC's end of interrupt for a level-triggered vector. */
void ioapic_eoi(Device *ioapic, unsigned vector);
#endif
