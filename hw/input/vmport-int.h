/* Between the VMware port and what registers commands with it. */
#ifndef HW_INPUT_VMPORT_INT_H
#define HW_INPUT_VMPORT_INT_H
#include "hw/core/device.h"

enum { VMPORT_GETVERSION = 10, VMPORT_GETBIOSUUID = 19, VMPORT_GETRAMSIZE = 20, VMPORT_GETTIME = 23,
       VMPORT_ABSPOINTER_DATA = 39, VMPORT_ABSPOINTER_STATUS = 40, VMPORT_ABSPOINTER_COMMAND = 41, VMPORT_GETHZ = 45,
       VMPORT_GETTIMEFULL = 46, VMPORT_GET_VCPU_INFO = 68, VMPORT_COMMANDS };

/* The registers of the CPU that reads the port. EAX is what the command returns. */
typedef struct VmportRegs { uint32_t eax, ebx, ecx, edx, esi, edi; } VmportRegs;
typedef void VmportFn(void *opaque, VmportRegs *r);
void vmport_register(Device *vmport, unsigned command, VmportFn *fn, void *opaque);
#endif
