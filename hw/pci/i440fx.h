/* The i440FX host bridge, for the board. */
#ifndef HW_PCI_I440FX_H
#define HW_PCI_I440FX_H
#include "hw/pci/pci.h"

extern const DeviceType i440fx_pcihost_type, i440fx_type;

/* Makes "i440FX-pcihost" with bus pci.0 and "i440FX" at 00.0. ram is the machine's RAM: its first below_4g bytes appear
 * at 0, the rest at 4 GiB; what is above below_4g in the first 4 GiB is the PCI hole. NULL with err. */
PciBus *i440fx_create(Machine *m, Region *ram, uint64_t below_4g, uint64_t above_4g, GError **err);
#endif
