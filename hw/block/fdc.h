/* The floppy controller: what the board sees. */
#ifndef HW_BLOCK_FDC_H
#define HW_BLOCK_FDC_H
#include "block/block.h"
#include "hw/core/device.h"

extern const DeviceType isa_fdc_type, floppy_type;

/* Makes "isa-fdc" on isa with the drives of -fda and -fdb (if=floppy). */
Device *fdc_create(Machine *m, Bus *isa, GError **err);
/* Type of drive n as CMOS has it: 0 none, 2 1.2M, 4 1.44M, 5 2.88M. */
unsigned fdc_cmos_type(Device *fdc, unsigned n);
#endif
