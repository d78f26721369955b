/* Small things on the ISA bus: what the board sees. */
#ifndef HW_MISC_MISC_H
#define HW_MISC_MISC_H
#include "hw/core/device.h"

extern const DeviceType port92_type;        /* its a20 output is a Line */
Line *port92_a20(Device *d);

extern const DeviceType isa_debug_exit_type, pc_testdev_type;
#endif
