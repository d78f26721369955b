/* Keyboard, mouse and their controllers: what the board sees. */
#ifndef HW_INPUT_INPUT_H
#define HW_INPUT_INPUT_H
#include "hw/core/device.h"

/* ---- i8042 with its PS/2 keyboard and mouse ---- */

extern const DeviceType i8042_type, ps2_kbd_type, ps2_mouse_type;

/* Bit 1 of the output port; the board connects it where A20 goes. */
Line *i8042_a20(Device *kbc);
/* A movement of nothing, so that the guest gets an interrupt and looks at the VMware port. */
void i8042_mouse_poke(Device *kbc);

/* ---- The VMware port (0x5658) and its mouse ---- */

extern const DeviceType vmport_type, vmmouse_type;
/* Creates vmport, and vmmouse when there is an i8042 (kbc not NULL). */
bool vmport_create(Machine *m, Bus *isa, Device *kbc, GError **err);
#endif
