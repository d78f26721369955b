/* The VM generation id device. */
#ifndef HW_ACPI_VMGENID_H
#define HW_ACPI_VMGENID_H
#include "hw/core/device.h"

extern const DeviceType vmgenid_type;
/* The machine's, or NULL; its ACPI table is needed then. */
Device *vmgenid_find(Machine *m);
/* The id as text (query-vm-generation-id); the caller frees it. */
char *vmgenid_text(Device *d);
#endif
