/*
 * usb-host: a device of the host's in the guest. This is its face: properties, and what holds without libusb, which is in a module
 * (host-libusb.c) that the first such device loads.
 */
#include "hw/core/machine.h"
#include "hw/usb/usb-host.h"
#include "util/error.h"
#include "util/module.h"

static UsbHost *host_of(UsbDevice *d)
{
    return DEVICE(&d->dev, UsbHost);
}

static UsbResult host_packet(UsbDevice *d, UsbPacket *p)
{
    UsbHost *s = host_of(d);

    return s->real ? s->lib->packet(s, p) : USB_NODEV;
}

static void host_bus_reset(UsbDevice *d)
{
    UsbHost *s = host_of(d);

    if (s->real && s->guest_reset)
        s->lib->reset(s);
}

static bool host_realize(Device *d, GError **err)
{
    UsbHost *s = DEVICE(d, UsbHost);

    if (s->vendor_id > 0xffff)
        return error_set(err, "vendorid out of range");
    if (s->product_id > 0xffff)
        return error_set(err, "productid out of range");
    if (s->hostaddr > 127)
        return error_set(err, "hostaddr out of range");
    s->lib = module_load("usb-host", USB_HOST_SYMBOL, err);
    if (!s->lib)
        return false;
    s->usb.auto_attach = 2;             /* when there is something to see */
    return s->lib->start(s, err);
}

static void host_unrealize(Device *d)
{
    UsbHost *s = DEVICE(d, UsbHost);

    s->lib->stop(s);
}

/* The device stayed with the other host: to the guest it is as if the plug was pulled, until one like it turns up here. */
static bool host_loaded(void *obj, int version, GError **err)
{
    UsbHost *s = obj;

    s->usb.state = s->real ? s->usb.state : USB_STATE_NOTATTACHED;
    s->usb.attached = s->usb.state != USB_STATE_NOTATTACHED;
    s->usb.port->dev = s->usb.attached ? &s->usb : NULL;
    return true;
}

static void print_info(Device *d, GString *out)
{
    if (d == device_find_type(d->machine, d->type->name))
        DEVICE(d, UsbHost)->lib->list(out);
}

#define H(m) HOST(UsbHost, m)
static const Field fields[] = {
    USB_STATE(UsbHost, usb, .name = "parent_obj"), H(hostbus), H(hostaddr), H(vendor_id), H(product_id), H(hostport), H(hostdevice),
    H(guest_reset), H(real), H(lib), {0}
};
static const StateTable host_state = { .name = "usb-host", .version = 1, .min_version = 1, .fields = fields, .loaded = host_loaded };

static const Property host_props[] = {
    PROP(UsbHost, hostbus, "hostbus", PROP_U32, 0), PROP(UsbHost, hostaddr, "hostaddr", PROP_U32, 0),
    PROP(UsbHost, hostport, "hostport", PROP_STR, 0), PROP(UsbHost, hostdevice, "hostdevice", PROP_STR, 0),
    PROP(UsbHost, vendor_id, "vendorid", PROP_U32, 0), PROP(UsbHost, product_id, "productid", PROP_U32, 0),
    PROP(UsbHost, guest_reset, "guest-reset", PROP_BOOL, true),
    PROP(UsbHost, usb.dev.bootindex, "bootindex", PROP_I32, -1), {0}
};
static const InfoRow info[] = { { "usbhost", "show host USB devices", print_info }, {0} };

const DeviceType usb_host_type = {
    .name = "usb-host", .bus = "usb-bus", .parent = &usb_device_type, .category = CAT_BRIDGE, .hotplug = true, .size = sizeof(UsbHost),
    .props = host_props, .state = &host_state, .info = info, .realize = host_realize, .unrealize = host_unrealize,
    .class_data = &(const UsbClass){ .product = "USB Host Device", .packet = host_packet, .bus_reset = host_bus_reset },
};
