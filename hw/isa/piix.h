/* The PIIX3's PCI-to-ISA bridge, for the board. */
#ifndef HW_ISA_PIIX_H
#define HW_ISA_PIIX_H
#include "hw/isa/isa.h"
#include "hw/pci/pci.h"

extern const DeviceType piix3_type;

/* Makes "PIIX3" at 01.0 with bus isa.0, and routes INTx of the PCI bus to ISA interrupts. Its DMA controllers are
 * devices of their own (hw/dma). */
IsaBus *piix3_create(PciBus *b, GError **err);
#endif
