/* What the 8259 in userspace and its twin in KVM share: the struct, its table and its info pages. */
#ifndef HW_INTC_I8259_INT_H
#define HW_INTC_I8259_INT_H
#include "hw/core/memory.h"
#include "hw/intc/intc.h"

typedef struct Pic {
    Device dev;

    /* guest state */
    uint8_t last_irr;           /* input levels, for the edge detector */
    uint8_t irr, imr, isr;
    uint8_t priority_add;       /* input with the highest priority */
    uint8_t irq_base;           /* ICW2 */
    uint8_t read_reg_select, poll, special_mask;            /* OCW3 */
    uint8_t init_state;         /* the ICW that comes next; 0: initialised */
    uint8_t auto_eoi, rotate_on_auto_eoi, special_fully_nested_mode;
    uint8_t init4, single_mode; /* ICW1: ICW4 follows; no cascade (0 or 2) */
    uint8_t elcr;               /* level-triggered inputs */
    Line out;

    /* set-up */
    uint8_t elcr_mask;
    bool master;
    uint32_t iobase, elcr_addr;
    struct Pic *slave;          /* of the master */
    uint64_t irq_count[16];     /* of the master: both chips' inputs, for info irq */
} Pic;

extern const Property pic_props[];
extern const Field pic_fields[];
extern const InfoRow pic_info[];

#define PIC_MASTER_BASE 0x20u
#define PIC_SLAVE_BASE 0xa0u
#define PIC_MASTER_ELCR 0x4d0u
#define PIC_SLAVE_ELCR 0x4d1u
/* Interrupts 0, 1, 2, 8 and 13 are always edge-triggered. */
#define PIC_MASTER_ELCR_MASK 0xf8
#define PIC_SLAVE_ELCR_MASK 0xde

void pic_count(Pic *master, unsigned irq, int level);
void kvm_pic_set_irq(Pic *master, unsigned irq, int level);
#endif
