/* The lists of device types (hw/i386/devices.list: one line each) and machine types. */
#include "hw/core/machine.h"
#include "target/i386/cpu.h"

#define DEVICE_TYPE(t) extern const DeviceType t;
#include "hw/i386/devices.list"
#undef DEVICE_TYPE

enum { FIRST_COUNT = __COUNTER__ + 1 };
const DeviceType *const device_types[] = {
#define DEVICE_TYPE(t) &t,
#include "hw/i386/devices.list"
#undef DEVICE_TYPE
/* One type a CPU model, in the order of their own array. */
#define MODEL(...) &x86_cpu_types[__COUNTER__ - FIRST_COUNT],
#define MODEL_ALIAS(...) &x86_cpu_types[__COUNTER__ - FIRST_COUNT],
#include "target/i386/models.def"
    &x86_cpu_types[__COUNTER__ - FIRST_COUNT], &x86_cpu_types[__COUNTER__ - FIRST_COUNT], &x86_cpu_types[__COUNTER__ - FIRST_COUNT],
    NULL,
};

extern const MachineType machine_pc;
static const MachineType machine_none = { .name = "none", .desc = "empty machine", .max_cpus = 1, .default_ram_id = "ram" };

const MachineType *const machine_types[] = {
    &machine_pc,
    &machine_none,
    NULL,
};
