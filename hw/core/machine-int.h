/* Between machine.c and runstate.c. */
#ifndef HW_CORE_MACHINE_INT_H
#define HW_CORE_MACHINE_INT_H
#include "hw/core/machine.h"

void runcontrol_init(Machine *m);
void runcontrol_ready(Machine *m);      /* tells the observers of `ready` */
void runcontrol_free(Machine *m);
#endif
