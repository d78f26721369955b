/*
 * ISA: what a device model on the bus, the bridge and the board see.
 *
 * An ISA device type sets .bus = "ISA"; one with fixed ports lists them in DeviceType.pio; one with an iobase property
 * calls isa_map_ports from realize. Interrupts: a Line member, connected with isa_connect_irq.
 */
#ifndef HW_ISA_ISA_H
#define HW_ISA_ISA_H
#include "hw/core/device.h"
#include "hw/core/memory.h"

typedef struct IsaBus IsaBus;

#define ISA_IRQS 16

/* ---- 8237 DMA, as seen by a device on a channel (0..7) ---- */

/* The channel may move up to len - pos bytes: the device calls isa_dma_read/write at pos and returns the new position. */
typedef int IsaDmaHandler(void *opaque, unsigned channel, int pos, int len);

/* What a DMA controller serves; every function gets its own channel number 0..3. */
typedef struct IsaDmaOps {
    bool (*has_autoinit)(void *ctl, unsigned channel);
    /* Guest memory to buf, and buf to guest memory; pos counts from the start of the block. Return bytes done. */
    int (*read_memory)(void *ctl, unsigned channel, void *buf, int pos, int len);
    int (*write_memory)(void *ctl, unsigned channel, const void *buf, int pos, int len);
    void (*hold_dreq)(void *ctl, unsigned channel);
    void (*release_dreq)(void *ctl, unsigned channel);
    void (*schedule)(void *ctl);        /* look at requests again soon */
    void (*connect)(void *ctl, unsigned channel, IsaDmaHandler *handler, void *opaque);
} IsaDmaOps;

struct IsaBus {
    Bus bus;
    Region *io, *mem;                   /* the machine's I/O ports; the memory that ISA cards decode (the "pci" region) */
    LineSink *irq_sink;                 /* input n is ISA IRQ n */
    void *irq_to;
    struct { const IsaDmaOps *ops; void *ctl; } dma[2]; /* channels 0-3 and 4-7 */
};

extern const BusType isa_bus_type;

IsaBus *isa_bus_new(Device *bridge, const char *name, Region *io, Region *mem);
static inline IsaBus *isa_bus_of(const Device *d) { return (IsaBus *)(void *)d->bus; }
IsaBus *isa_root(Machine *m);                       /* isa.0, or NULL */

/* Where the 16 interrupts go (the board: PIC and IOAPIC). */
void isa_bus_set_irqs(IsaBus *b, LineSink *sink, void *to);
/* Input n of a bus, as a LineSink: for the bridge's own lines. */
void isa_bus_irq(void *bus, unsigned n, int level);
/* Connects a device's line to IRQ n (0..15; others: false with err). */
bool isa_connect_irq(Device *d, Line *l, unsigned irq, GError **err);
/* Maps r at a port. The region belongs to the device. */
void isa_register_ioport(Device *d, Region *r, uint16_t port);
/* Maps windows whose .port is relative to iobase, for the life of the device. `name` is what info mtree shows. */
bool isa_map_ports(Device *d, const char *name, uint32_t iobase, const PioRange *ranges, GError **err);

/* DMA; a channel without a controller does nothing and reads nothing. */
void isa_bus_set_dma(IsaBus *b, unsigned which, const IsaDmaOps *ops, void *ctl);
bool isa_dma_connect(Device *d, unsigned channel, IsaDmaHandler *handler, void *opaque, GError **err);
bool isa_dma_has_autoinit(Device *d, unsigned channel);
int isa_dma_read_memory(Device *d, unsigned channel, void *buf, int pos, int len);
int isa_dma_write_memory(Device *d, unsigned channel, const void *buf, int pos, int len);
void isa_dma_hold_dreq(Device *d, unsigned channel);
void isa_dma_release_dreq(Device *d, unsigned channel);
void isa_dma_schedule(Device *d, unsigned channel);
#endif
