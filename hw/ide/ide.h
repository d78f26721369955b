/* IDE: what the board sees. */
#ifndef HW_IDE_IDE_H
#define HW_IDE_IDE_H
#include "block/block.h"
#include "hw/core/device.h"

extern const BusType ide_bus_type;
extern const DeviceType ide_hd_type, ide_cd_type, piix3_ide_type;

/* Makes the device of a -drive if=ide on the bus of its number: "ide.0" or "ide.1". */
bool ide_create_drive(Device *controller, DriveInfo *drive, GError **err);
/* Geometry and translation of drive `unit` (0..3) of the controller for the CMOS; false: no hard disk there. */
bool ide_geometry(Device *controller, unsigned unit, uint32_t *cyls, uint32_t *heads, uint32_t *secs, BiosTranslation *trans);
#endif
