/* Between the files of hw/usb. */
#ifndef HW_USB_USB_INT_H
#define HW_USB_USB_INT_H
#include "hw/usb/usb.h"

extern const Property usb_props[];
/* String descriptor n of the device: UTF-8, or NULL; caller frees. The serial number has the device's place in it. */
char *usb_desc_string(UsbDevice *d, unsigned n);
#endif
