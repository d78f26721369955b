/*
 * USB descriptors and the standard requests that are answered from them (USB 2.0, 9.4 and 9.6; Microsoft OS descriptors 1.0).
 *
 * As stock QEMU's devices: an unknown string is an empty one, GET_STATUS of interfaces and endpoints stalls, and any
 * configuration number but 0 selects the only one.
 */
#include <string.h>
#include "hw/usb/usb-int.h"

enum { MSOS_STRING = 0xee, MSOS_REQUEST = 'Q', MSOS_COMPAT_ID = 4, MSOS_PROPERTIES = 5 };
enum { FEATURE_REMOTE_WAKEUP = 1 };
enum { CONFIG_ATTRIBUTES = 7, SELF_POWERED = 0x40 };

char *usb_desc_string(UsbDevice *d, unsigned n)
{
    const UsbDesc *desc = d->desc;
    g_autofree char *place = NULL;

    if (!n || n >= desc->n_strings || !desc->strings[n])
        return NULL;
    if (n != desc->device[16])
        return g_strdup(desc->strings[n]);
    if (d->serial)
        return g_strdup(d->serial);
    place = device_section_prefix(d->dev.bus->parent);
    return place ? g_strdup_printf("%s-%s-%s", desc->strings[n], place, d->port->path)
                 : g_strdup_printf("%s-%s", desc->strings[n], d->port->path);
}

/* A string descriptor: its length is a byte. */
static unsigned put_string(const char *s, uint8_t *out)
{
    glong n = 0;
    g_autofree gunichar2 *text = g_utf8_to_utf16(s, -1, NULL, &n, NULL);

    n = text ? MIN(n, 126) : 0;
    out[0] = 2 + 2 * n;
    out[1] = USB_DT_STRING;
    for (glong i = 0; i < n; i++) {
        out[2 + 2 * i] = text[i];
        out[3 + 2 * i] = text[i] >> 8;
    }
    return out[0];
}

static bool has_msos(const UsbDevice *d)
{
    return d->desc->msos && d->flags & 1u << USB_FLAG_MSOS;
}

static unsigned string_descriptor(UsbDevice *d, unsigned n, uint8_t *out)
{
    g_autofree char *s = NULL;

    if (!n) {
        memcpy(out, (const uint8_t[]){ 4, USB_DT_STRING, 0x09, 0x04 }, 4);     /* English (United States) */
        return 4;
    }
    if (n == MSOS_STRING && has_msos(d)) {
        put_string("MSFT100Q", out);
        out[16] = MSOS_REQUEST;
        out[17] = 0;
        return 18;
    }
    s = usb_desc_string(d, n);
    return s ? put_string(s, out) : 0;
}

static bool copy(const uint8_t *from, unsigned n, uint8_t *data, unsigned *actual)
{
    if (!from)
        return false;
    memcpy(data, from, n);
    *actual = n;
    return true;
}

static unsigned total_length(const uint8_t *config)
{
    return config ? config[2] | config[3] << 8 : 0;
}

static bool get_descriptor(UsbDevice *d, unsigned type, unsigned n, uint8_t *data, unsigned *actual)
{
    const UsbDesc *s = d->desc;

    switch (type) {
    case USB_DT_DEVICE:
        copy(s->device, 18, data, actual);
        if (has_msos(d) && data[3] < 2)
            data[3] = 2;                /* Windows asks a USB 2.0 device only */
        return true;
    case USB_DT_CONFIG:
        return n == 0 && copy(s->config, total_length(s->config), data, actual);
    case USB_DT_STRING:
        *actual = string_descriptor(d, n, data);
        return true;
    case USB_DT_QUALIFIER:
        return copy(s->qualifier, 10, data, actual);
    case USB_DT_OTHER_SPEED:
        return n == 0 && copy(s->other, total_length(s->other), data, actual);
    case USB_DT_BOS:
        return copy(s->bos, total_length(s->bos), data, actual);
    default:
        return false;
    }
}

/* ---- Microsoft's: a device that may be suspended when idle ---- */

static void put_le32(uint8_t *p, uint32_t v)
{
    for (unsigned i = 0; i < 4; i++)
        p[i] = v >> (8 * i);
}

static unsigned msos_header(uint8_t *out, unsigned size, unsigned index, unsigned sections)
{
    put_le32(out, size);
    out[5] = 1;                         /* version 1.0 */
    out[6] = index;
    out[8] = sections;
    return size;
}

static unsigned put_utf16(uint8_t *p, const char *s)
{
    for (unsigned i = 0; i <= strlen(s); i++)
        p[2 * i] = s[i];
    return 2 * (strlen(s) + 1);
}

static bool msos_descriptor(UsbDevice *d, unsigned index, uint8_t *out, unsigned *actual)
{
    static const char name[] = "SelectiveSuspendEnabled";
    unsigned n = 10;

    if (index == MSOS_COMPAT_ID) {
        memset(out, 0, 40);
        out[17] = 1;
        *actual = msos_header(out, 40, index, 1);
        return true;
    }
    if (index != MSOS_PROPERTIES)
        return false;
    memset(out, 0, 128);
    put_le32(out + n + 4, 4);           /* REG_DWORD_LITTLE_ENDIAN */
    out[n + 8] = 2 * sizeof name;
    n += 10;
    n += put_utf16(out + n, name);
    put_le32(out + n, 4);
    put_le32(out + n + 4, 1);
    n += 8 + 6;
    out[10] = n - 10;
    *actual = msos_header(out, n, index, 1);
    return true;
}

/* ---- Requests ---- */

static bool device_request(UsbDevice *d, unsigned request, unsigned value, uint8_t *data, unsigned *actual)
{
    switch (request) {
    case USB_REQ(0x00, USB_SET_ADDRESS):
        d->addr = value & 127;
        return true;
    case USB_REQ(0x80, USB_GET_DESCRIPTOR):
        return get_descriptor(d, value >> 8, value & 0xff, data, actual);
    case USB_REQ(0x80, USB_GET_CONFIGURATION):
        return copy(&d->configuration, 1, data, actual);
    case USB_REQ(0x00, USB_SET_CONFIGURATION):
        if (value && (value & 0xff) != d->desc->config[5])
            return true;
        d->configuration = value;
        return true;
    case USB_REQ(0x80, USB_GET_STATUS):
        data[0] = (d->desc->config[CONFIG_ATTRIBUTES] & SELF_POWERED ? 1 : 0) | (d->remote_wakeup ? 2 : 0);
        data[1] = 0;
        *actual = 2;
        return true;
    case USB_REQ(0x00, USB_CLEAR_FEATURE): case USB_REQ(0x00, USB_SET_FEATURE):
        if (value != FEATURE_REMOTE_WAKEUP)
            return false;
        d->remote_wakeup = (request & 0xff) == USB_SET_FEATURE;
        return true;
    default:
        return false;
    }
}

/* All interfaces have one setting. */
static bool interface_request(UsbDevice *d, unsigned request, unsigned value, unsigned index, uint8_t *data, unsigned *actual)
{
    if (index >= d->desc->config[4])
        return false;
    if (request == USB_REQ(0x01, USB_SET_INTERFACE))
        return value == 0;
    data[0] = 0;
    *actual = 1;
    return request == USB_REQ(0x81, USB_GET_INTERFACE);
}

bool usb_desc_control(UsbDevice *d, unsigned request, unsigned value, unsigned index, unsigned length, uint8_t *data, unsigned *actual)
{
    if (!d->desc)
        return false;
    switch (request >> 8) {
    case 0x00: case 0x80:
        return device_request(d, request, value, data, actual);
    case 0x01: case 0x81:
        return interface_request(d, request, value, index, data, actual);
    case 0xc0: case 0xc1:
        return has_msos(d) && (request & 0xff) == MSOS_REQUEST && msos_descriptor(d, index, data, actual);
    default:
        return false;
    }
}
