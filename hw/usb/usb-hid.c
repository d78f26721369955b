/*
 * usb-mouse, usb-tablet, usb-kbd: HID devices with one interrupt endpoint (HID 1.11, chapters 6 and 7).
 *
 * Descriptors are those of stock QEMU's devices, so that guests keep what they have learnt of them. Not modelled: physical
 * descriptors, output through an endpoint.
 */
#include <string.h>
#include "hw/core/machine.h"
#include "hw/usb/hid.h"
#include "ui/console.h"
#include "ui/display.h"
#include "util/error.h"

typedef struct UsbHid {
    UsbDevice usb;
    Hid hid;
    char *display;
    uint32_t head;
} UsbHid;

enum { GET_REPORT = 1, GET_IDLE, GET_PROTOCOL, SET_REPORT = 9, SET_IDLE, SET_PROTOCOL };
enum { DT_REPORT = 0x22, OUTPUT_REPORT = 2 };
enum { EP_IN = 1 };

/* ---- Descriptors ---- */

enum { STR_MANUFACTURER = 1, STR_MOUSE, STR_TABLET, STR_KEYBOARD, STR_SERIAL_COMPAT, STR_CONFIG_MOUSE, STR_CONFIG_TABLET,
       STR_CONFIG_KEYBOARD, STR_SERIAL_MOUSE, STR_SERIAL_TABLET, STR_SERIAL_KEYBOARD, STR_COUNT };
static const char *const strings[STR_COUNT] = {
    [STR_MANUFACTURER] = "QEMU", [STR_MOUSE] = "QEMU USB Mouse", [STR_TABLET] = "QEMU USB Tablet",
    [STR_KEYBOARD] = "QEMU USB Keyboard", [STR_SERIAL_COMPAT] = "42", [STR_CONFIG_MOUSE] = "HID Mouse",
    [STR_CONFIG_TABLET] = "HID Tablet", [STR_CONFIG_KEYBOARD] = "HID Keyboard", [STR_SERIAL_MOUSE] = "89126",
    [STR_SERIAL_TABLET] = "28754", [STR_SERIAL_KEYBOARD] = "68284",
};

#define DEVICE_DESC(product, serial) { 18, USB_DT_DEVICE, 0x00, 0x01, 0, 0, 0, 8, 0x27, 0x06, 0x01, 0x00, 0, 0, \
                                       STR_MANUFACTURER, (product), (serial), 1 }
/* One interface, the HID descriptor and the endpoint; the speed's polling interval and packet size stand at the end. */
#define CONFIG_DESC(type, string, subclass, protocol, version, report, packet, interval) { \
    9, (type), 34, 0, 1, 1, (string), 0xa0, 50, \
    9, USB_DT_INTERFACE, 0, 0, 1, 3, (subclass), (protocol), 0, \
    9, 0x21, (version) & 0xff, (version) >> 8, 0, 1, DT_REPORT, (report), 0, \
    7, USB_DT_ENDPOINT, 0x80 | EP_IN, 3, (packet), 0, (interval) }

static const uint8_t tablet_report[] = {
    0x05, 0x01, 0x09, 0x02, 0xa1, 0x01, 0x09, 0x01, 0xa1, 0x00,     /* Generic Desktop, Mouse: Pointer */
    0x05, 0x09, 0x19, 0x01, 0x29, 0x03, 0x15, 0x00, 0x25, 0x01, 0x95, 0x03, 0x75, 0x01, 0x81, 0x02,     /* three buttons */
    0x95, 0x01, 0x75, 0x05, 0x81, 0x01,
    0x05, 0x01, 0x09, 0x30, 0x09, 0x31, 0x15, 0x00, 0x26, 0xff, 0x7f, 0x35, 0x00, 0x46, 0xff, 0x7f,     /* X, Y: 0..32767 */
    0x75, 0x10, 0x95, 0x02, 0x81, 0x02,
    0x05, 0x01, 0x09, 0x38, 0x15, 0x81, 0x25, 0x7f, 0x35, 0x00, 0x45, 0x00, 0x75, 0x08, 0x95, 0x01, 0x81, 0x06,     /* wheel */
    0xc0, 0xc0,
};
static const uint8_t mouse_report[] = {
    0x05, 0x01, 0x09, 0x02, 0xa1, 0x01, 0x09, 0x01, 0xa1, 0x00,
    0x05, 0x09, 0x19, 0x01, 0x29, 0x05, 0x15, 0x00, 0x25, 0x01, 0x95, 0x05, 0x75, 0x01, 0x81, 0x02,     /* five buttons */
    0x95, 0x01, 0x75, 0x03, 0x81, 0x01,
    0x05, 0x01, 0x09, 0x30, 0x09, 0x31, 0x09, 0x38, 0x15, 0x81, 0x25, 0x7f, 0x75, 0x08, 0x95, 0x03, 0x81, 0x06,
    0xc0, 0xc0,
};
static const uint8_t keyboard_report[] = {
    0x05, 0x01, 0x09, 0x06, 0xa1, 0x01,
    0x75, 0x01, 0x95, 0x08, 0x05, 0x07, 0x19, 0xe0, 0x29, 0xe7, 0x15, 0x00, 0x25, 0x01, 0x81, 0x02,     /* modifiers */
    0x95, 0x01, 0x75, 0x08, 0x81, 0x01,
    0x95, 0x05, 0x75, 0x01, 0x05, 0x08, 0x19, 0x01, 0x29, 0x05, 0x91, 0x02, 0x95, 0x01, 0x75, 0x03, 0x91, 0x01,     /* lights */
    0x95, 0x06, 0x75, 0x08, 0x15, 0x00, 0x25, 0xff, 0x05, 0x07, 0x19, 0x00, 0x29, 0xff, 0x81, 0x00,
    0xc0,
};

static const uint8_t qualifier[] = { 10, USB_DT_QUALIFIER, 0x00, 0x02, 0, 0, 0, 64, 1, 0 };
static const uint8_t bos_none[] = { 5, USB_DT_BOS, 5, 0, 0 };
static const uint8_t bos_usb2[] = { 5, USB_DT_BOS, 12, 0, 1, 7, 0x10, 0x02, 0x02, 0, 0, 0 };

#define HID_DESC(name, prod, cfg, num, subclass, protocol, version, packet, high_interval) \
    static const uint8_t name##_device[18] = DEVICE_DESC(prod, num); \
    static const uint8_t name##_config[34] = CONFIG_DESC(USB_DT_CONFIG, cfg, subclass, protocol, version, sizeof name##_report, \
                                                         packet, 10); \
    static const uint8_t name##_other[34] = CONFIG_DESC(USB_DT_OTHER_SPEED, cfg, subclass, protocol, version, \
                                                        sizeof name##_report, packet, high_interval); \
    static const UsbDesc name##_desc = { .device = name##_device, .config = name##_config, .qualifier = qualifier, \
                                         .other = name##_other, .bos = bos_usb2, .strings = strings, .n_strings = STR_COUNT, .msos = true }; \
    static const UsbDesc name##_old = { .device = name##_device, .config = name##_config, .bos = bos_none, .strings = strings, \
                                        .n_strings = STR_COUNT, .msos = true };
HID_DESC(mouse, STR_MOUSE, STR_CONFIG_MOUSE, STR_SERIAL_MOUSE, 1, 2, 0x0001, 4, 7)
HID_DESC(tablet, STR_TABLET, STR_CONFIG_TABLET, STR_SERIAL_TABLET, 0, 0, 0x0001, 8, 4)
HID_DESC(keyboard, STR_KEYBOARD, STR_CONFIG_KEYBOARD, STR_SERIAL_KEYBOARD, 1, 1, 0x0111, 8, 7)

/* ---- Requests and packets ---- */

static bool report_descriptor(const UsbHid *s, uint8_t *data, unsigned *actual)
{
    static const struct { const uint8_t *data; unsigned size; } reports[] = {
        [HID_MOUSE] = { mouse_report, sizeof mouse_report }, [HID_TABLET] = { tablet_report, sizeof tablet_report },
        [HID_KEYBOARD] = { keyboard_report, sizeof keyboard_report },
    };

    *actual = reports[s->hid.kind].size;
    memcpy(data, reports[s->hid.kind].data, *actual);
    return true;
}

static bool hid_control(UsbDevice *d, unsigned request, unsigned value, unsigned index, unsigned length, uint8_t *data, unsigned *actual)
{
    UsbHid *s = DEVICE(&d->dev, UsbHid);
    Hid *h = &s->hid;

    switch (request) {
    case USB_REQ(0x81, USB_GET_DESCRIPTOR):
        return value >> 8 == DT_REPORT && report_descriptor(s, data, actual);
    case USB_REQ(0xa1, GET_REPORT):
        *actual = hid_report(h, data, length);
        return true;
    case USB_REQ(0x21, SET_REPORT):
        if (h->kind != HID_KEYBOARD)
            return false;
        if (length)
            hid_set_leds(h, data[0]);
        return true;
    case USB_REQ(0xa1, GET_PROTOCOL):
        data[0] = h->protocol;
        *actual = 1;
        return h->kind != HID_TABLET;
    case USB_REQ(0x21, SET_PROTOCOL):
        if (h->kind != HID_TABLET)
            h->protocol = value & 1;
        return h->kind != HID_TABLET;
    case USB_REQ(0xa1, GET_IDLE):
        data[0] = h->idle;
        *actual = 1;
        return true;
    case USB_REQ(0x21, SET_IDLE):
        hid_set_idle(h, value >> 8);
        hid_activate(h);
        return true;
    default:
        return false;
    }
}

static UsbResult hid_data(UsbDevice *d, UsbPacket *p)
{
    UsbHid *s = DEVICE(&d->dev, UsbHid);

    if (p->pid != USB_PID_IN || p->ep != EP_IN)
        return USB_STALL;
    hid_activate(&s->hid);
    if (!hid_has_report(&s->hid))
        return USB_NAK;
    hid_polled(&s->hid);
    p->actual = hid_report(&s->hid, p->data, p->size);
    return USB_OK;
}

static void hid_bus_reset(UsbDevice *d)
{
    hid_reset(&DEVICE(&d->dev, UsbHid)->hid);
}

/* ---- Life ---- */

static bool realize(Device *d, HidKind kind, GError **err)
{
    UsbHid *s = DEVICE(d, UsbHid);

    if (s->usb.usb_version != 1 && s->usb.usb_version != 2)
        return error_set(err, "Invalid usb version %u for usb hid device", s->usb.usb_version);
    hid_init(&s->hid, &s->usb, kind, s->display ? console_by_device(s->display, s->head) : NULL, usb_wakeup);
    return true;
}

static bool mouse_realize(Device *d, GError **err) { return realize(d, HID_MOUSE, err); }
static bool tablet_realize(Device *d, GError **err) { return realize(d, HID_TABLET, err); }
static bool keyboard_realize(Device *d, GError **err) { return realize(d, HID_KEYBOARD, err); }

static void hid_unrealize(Device *d)
{
    hid_fini(&DEVICE(d, UsbHid)->hid);
}

static bool hid_state_loaded(void *obj, int version, GError **err)
{
    return hid_loaded(&((UsbHid *)obj)->hid, err);
}

static const Field pointer_fields[] = {
    USB_STATE(UsbHid, usb), STRUCT(UsbHid, hid, &hid_pointer_state), HOST(UsbHid, display), HOST(UsbHid, head), {0}
};
static const Field keyboard_fields[] = {
    USB_STATE(UsbHid, usb), STRUCT(UsbHid, hid, &hid_keyboard_state), HOST(UsbHid, display), HOST(UsbHid, head), {0}
};
static const StateTable pointer_state = { .name = "usb-ptr", .version = 1, .min_version = 1, .fields = pointer_fields,
                                          .loaded = hid_state_loaded };
static const StateTable keyboard_state = { .name = "usb-kbd", .version = 1, .min_version = 1, .fields = keyboard_fields,
                                           .loaded = hid_state_loaded };

static const Property mouse_props[] = { USB_VERSION_PROP(UsbHid, usb), {0} };
static const Property keyboard_props[] = { USB_VERSION_PROP(UsbHid, usb), PROP(UsbHid, display, "display", PROP_STR, 0), {0} };
static const Property tablet_props[] = {
    USB_VERSION_PROP(UsbHid, usb), PROP(UsbHid, display, "display", PROP_STR, 0), PROP(UsbHid, head, "head", PROP_U32, 0), {0}
};

#define HID_TYPE(t, n, p, st, text, what, ...) const DeviceType t = { \
    .name = (n), .bus = "usb-bus", .parent = &usb_device_type, .category = CAT_INPUT, .hotplug = true, .size = sizeof(UsbHid), \
    .props = (p), .state = (st), .realize = what##_realize, .unrealize = hid_unrealize, \
    .class_data = &(const UsbClass){ .product = (text), .desc = &what##_desc, .desc_old = &what##_old, .control = hid_control, \
                                     .data = hid_data, .bus_reset = hid_bus_reset }, \
}
HID_TYPE(usb_mouse_type, "usb-mouse", mouse_props, &pointer_state, "QEMU USB Mouse", mouse);
HID_TYPE(usb_tablet_type, "usb-tablet", tablet_props, &pointer_state, "QEMU USB Tablet", tablet);
HID_TYPE(usb_kbd_type, "usb-kbd", keyboard_props, &keyboard_state, "QEMU USB Keyboard", keyboard);
