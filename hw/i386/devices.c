/* The lists of device types (hw/i386/devices.list: one line each) and machine types. */
#include "hw/core/machine.h"

#define DEVICE_TYPE(t) extern const DeviceType t;
#include "hw/i386/devices.list"
#undef DEVICE_TYPE

const DeviceType *const device_types[] = {
#define DEVICE_TYPE(t) &t,
#include "hw/i386/devices.list"
#undef DEVICE_TYPE
    NULL,
};

extern const MachineType machine_pc;
static const MachineType machine_none = { .name = "none", .desc = "empty machine", .max_cpus = 1 };

const MachineType *const machine_types[] = {
    &machine_pc,
    &machine_none,
    NULL,
};
