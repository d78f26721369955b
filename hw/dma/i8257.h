/* The PC's two DMA controllers: what the board sees. Devices use the isa_dma_* calls of hw/isa/isa.h. */
#ifndef HW_DMA_I8257_H
#define HW_DMA_I8257_H
#include "hw/isa/isa.h"

extern const DeviceType i8257_type;
/* Channels 0-3 (8 bits) and 4-7 (16 bits); page_high: also the PIIX's high page registers at 0x480. */
bool i8257_create_pair(Machine *m, IsaBus *isa, bool page_high, GError **err);
#endif
