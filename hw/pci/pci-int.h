/* Between the files of hw/pci. */
#ifndef HW_PCI_PCI_INT_H
#define HW_PCI_PCI_INT_H
#include "hw/pci/pci.h"

extern const Property pci_props[];
extern const InfoRow pci_bus_info[];

/* pci-info.c */
void pci_print_dev(Bus *b, Device *d, GString *out, int indent);
char *pci_fw_path(Device *d);

/* pci-bar.c */
void pci_update_bars(PciDevice *pd);            /* after a change of the command register or a BAR */
void pci_reset_bars(PciDevice *pd);
void pci_forget_bars(PciDevice *pd);

/* pci-rom.c */
bool pci_add_rom(PciDevice *pd, GError **err);
void pci_free_rom(PciDevice *pd);

/* pci-msi.c */
void msi_config_written(PciDevice *pd, unsigned off, unsigned len);
void msi_device_reset(PciDevice *pd);
void msix_config_written(PciDevice *pd, unsigned off, unsigned len);
void msix_device_reset(PciDevice *pd);
void msix_device_loaded(PciDevice *pd);

/* pci.c */
static inline unsigned pci_bar_reg(unsigned n) { return n == PCI_ROM_BAR ? PCI_ROM_ADDRESS : PCI_BASE_ADDRESS_0 + 4 * n; }
#endif
