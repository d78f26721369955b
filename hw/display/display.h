/* The machine and its user interface: for vl.c. */
#ifndef HW_DISPLAY_DISPLAY_H
#define HW_DISPLAY_DISPLAY_H
#include "hw/core/machine.h"
#include "ui/display.h"

/* Gives the user interface (input, windows) what it needs of the machine: once, when the machine has been built and
 * before display_start. Displays are stopped when the machine ends. */
void display_connect(Machine *m);
/* Text consoles for "vc" chardevs, in the window beside the screen. Before any chardev is made; without it (no window)
 * they swallow what is written. */
void display_enable_vc(void);
#endif
