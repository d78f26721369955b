/* What the IOAPIC in userspace and its twin in KVM share. */
#ifndef HW_INTC_IOAPIC_INT_H
#define HW_INTC_IOAPIC_INT_H
#include "hw/core/memory.h"
#include "hw/intc/intc.h"

enum { IOAPIC_ID = 0, IOAPIC_VER = 1, IOAPIC_ARB = 2, IOAPIC_REDTBL = 0x10 };
/* Bits of a redirection table entry. */
#define RT_VECTOR 0xffu
#define RT_DELMOD_SHIFT 8
#define RT_DELMOD 7u
#define RT_DESTMOD (1u << 11)
#define RT_DELIVS (1u << 12)
#define RT_INTPOL (1u << 13)
#define RT_REMOTE_IRR (1u << 14)
#define RT_LEVEL (1u << 15)
#define RT_MASKED (1u << 16)
enum { DELMOD_EXTINT = 7 };

typedef struct Ioapic {
    Device dev;

    /* guest state */
    uint8_t id;                     /* 4 bits */
    uint8_t ioregsel;
    uint32_t irr;
    uint64_t ioredtbl[IOAPIC_PINS];

    /* set-up */
    uint8_t version;
    uint32_t gsi_base;
    Region mmio;
    const IoapicOps *ops;           /* NULL: none, or KVM's */
    void *ops_opaque;
    uint64_t irq_count[IOAPIC_PINS];
} Ioapic;

extern const Field ioapic_fields[];
extern const InfoRow ioapic_info[];
#endif
