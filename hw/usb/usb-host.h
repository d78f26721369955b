/* usb-host: between the device type and the module that has libusb (vmemu-usb-host.so). All calls under the machine lock. */
#ifndef HW_USB_USB_HOST_H
#define HW_USB_USB_HOST_H
#include "hw/usb/usb.h"

#define USB_HOST_SYMBOL "usb_host_lib"

typedef struct UsbHost {
    UsbDevice usb;

    /* which of the host's devices; 0 and NULL: any */
    uint32_t hostbus, hostaddr, vendor_id, product_id;
    char *hostport, *hostdevice;
    bool guest_reset;

    struct UsbHostReal *real;           /* the module's, while a device is open; else NULL */
    const struct UsbHostLib *lib;
} UsbHost;

typedef struct UsbHostLib {
    /* From now on the device that matches is s's, as soon as it is there. Fails if one that is named by its place isn't. */
    bool (*start)(UsbHost *s, GError **err);
    void (*stop)(UsbHost *s);
    UsbResult (*packet)(UsbHost *s, UsbPacket *p);
    void (*reset)(UsbHost *s);
    void (*list)(GString *out);         /* info usbhost */
} UsbHostLib;
#endif
