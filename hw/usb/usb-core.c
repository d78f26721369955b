/*
 * USB devices: control transfers (USB 2.0, 8.5.3), attaching, what migrates.
 *
 * Not modelled: isochronous and split transactions of emulated devices, data toggles (the controller's driver has them right, or
 * harms itself).
 */
#include <string.h>
#include "hw/usb/usb-int.h"
#include "util/error.h"

/* ---- Control transfers ---- */

static bool carry_out(UsbDevice *d, unsigned *actual)
{
    const uint8_t *s = d->setup_buf;
    const unsigned request = USB_REQ(s[0], s[1]), value = s[2] | s[3] << 8, index = s[4] | s[5] << 8;

    *actual = 0;
    if (usb_desc_control(d, request, value, index, d->setup_len, d->data_buf, actual))
        return true;
    return usb_class(d)->control && usb_class(d)->control(d, request, value, index, d->setup_len, d->data_buf, actual);
}

static UsbResult setup(UsbDevice *d, UsbPacket *p)
{
    unsigned actual;

    if (p->size != sizeof d->setup_buf)
        return USB_STALL;
    memcpy(d->setup_buf, p->data, sizeof d->setup_buf);
    p->actual = p->size;
    d->setup_index = d->setup_len = 0;
    d->setup_state = USB_SETUP_IDLE;
    if ((d->setup_buf[6] | d->setup_buf[7] << 8) > USB_CONTROL_BYTES)
        return USB_STALL;
    d->setup_len = d->setup_buf[6] | d->setup_buf[7] << 8;
    if (d->setup_buf[0] & USB_DIR_IN) {
        if (!carry_out(d, &actual))
            return USB_STALL;
        d->setup_len = MIN((unsigned)d->setup_len, actual);
        d->setup_state = USB_SETUP_DATA;
    } else {
        d->setup_state = d->setup_len ? USB_SETUP_DATA : USB_SETUP_ACK;
    }
    return USB_OK;
}

static UsbResult refuse(UsbDevice *d)
{
    d->setup_state = USB_SETUP_IDLE;
    return USB_STALL;
}

/* A piece of the data stage; it ends with the last byte, or with the guest's change of direction. */
static UsbResult data_stage(UsbDevice *d, UsbPacket *p)
{
    const unsigned n = MIN((unsigned)(d->setup_len - d->setup_index), p->size);
    uint8_t *at = d->data_buf + d->setup_index;

    if (n) {
        if (p->pid == USB_PID_IN)
            memcpy(p->data, at, n);
        else
            memcpy(at, p->data, n);
    }
    p->actual = n;
    d->setup_index += n;
    if (d->setup_index >= d->setup_len)
        d->setup_state = USB_SETUP_ACK;
    return USB_OK;
}

static UsbResult control_packet(UsbDevice *d, UsbPacket *p)
{
    const bool to_host = d->setup_buf[0] & USB_DIR_IN, in = p->pid == USB_PID_IN;
    unsigned actual;

    if (p->pid == USB_PID_SETUP)
        return setup(d, p);
    if (d->setup_state == USB_SETUP_ACK && !to_host && in) {
        d->setup_state = USB_SETUP_IDLE;
        return carry_out(d, &actual) ? USB_OK : USB_STALL;
    }
    if (to_host && !in && (d->setup_state == USB_SETUP_ACK || d->setup_state == USB_SETUP_DATA)) {
        d->setup_state = USB_SETUP_IDLE;    /* the status stage, perhaps before all was fetched */
        return USB_OK;
    }
    if (d->setup_state == USB_SETUP_DATA && in == to_host)
        return data_stage(d, p);
    if (d->setup_state == USB_SETUP_ACK && to_host && in)
        return USB_OK;                      /* past the end: nothing */
    return refuse(d);
}

UsbResult usb_packet(UsbDevice *d, UsbPacket *p)
{
    const UsbClass *c = usb_class(d);

    p->actual = 0;
    if (d->state != USB_STATE_DEFAULT)
        return USB_NODEV;
    if (c->packet)
        return c->packet(d, p);
    if (p->ep == 0)
        return control_packet(d, p);
    if (p->pid == USB_PID_SETUP || !c->data)
        return USB_STALL;
    return c->data(d, p);
}

/* ---- On the bus ---- */

UsbDevice *usb_find(UsbDevice *d, unsigned addr)
{
    if (!d || !d->attached || d->state != USB_STATE_DEFAULT)
        return NULL;
    if (d->addr == addr)
        return d;
    return usb_class(d)->find ? usb_class(d)->find(d, addr) : NULL;
}

void usb_reset(UsbDevice *d)
{
    if (!d || !d->attached)
        return;
    d->remote_wakeup = 0;
    d->addr = 0;
    d->configuration = 0;
    d->setup_state = USB_SETUP_IDLE;
    d->state = USB_STATE_DEFAULT;
    if (usb_class(d)->bus_reset)
        usb_class(d)->bus_reset(d);
}

const char *usb_speed_text(UsbSpeed s)
{
    static const char *const texts[] = { "1.5", "12", "480" };

    return texts[s];
}

static const char *speed_name(UsbSpeed s)
{
    static const char *const names[] = { "low", "full", "high" };

    return names[s];
}

static char *speeds_text(unsigned mask)
{
    GString *s = g_string_new(NULL);

    for (UsbSpeed i = USB_LOW; i <= USB_HIGH; i++)
        if (mask & USB_SPEED_BIT(i))
            g_string_append_printf(s, "%s%s", s->len ? "+" : "", speed_name(i));
    return g_string_free(s, false);
}

bool usb_attach(UsbDevice *d, GError **err)
{
    UsbPort *p = d->port;
    const unsigned common = d->speeds & p->speeds;

    if (d->attached)
        return true;
    if (!common) {
        g_autofree char *mine = speeds_text(d->speeds), *its = speeds_text(p->speeds);

        return error_set(err, "Warning: speed mismatch trying to attach usb device \"%s\" (%s speed) to bus \"%s\", port \"%s\" "
                         "(%s speed)", d->product, mine, d->dev.bus->name, p->path, its);
    }
    d->speed = common & USB_SPEED_BIT(USB_HIGH) ? USB_HIGH : common & USB_SPEED_BIT(USB_FULL) ? USB_FULL : USB_LOW;
    d->attached = true;
    d->state = USB_STATE_ATTACHED;
    p->dev = d;
    p->ops->attach(p);
    return true;
}

void usb_detach(UsbDevice *d)
{
    UsbPort *p = d->port;

    if (!d->attached)
        return;
    p->ops->detach(p);
    p->dev = NULL;
    d->attached = false;
    d->state = USB_STATE_NOTATTACHED;
}

void usb_wakeup(UsbDevice *d)
{
    UsbBus *b = usb_bus_of(d);

    if (!d->port || !d->attached)
        return;
    if (d->remote_wakeup)
        d->port->ops->wakeup(d->port);
    if (b->ops->wakeup)
        b->ops->wakeup(b->opaque, d);
}

/* ---- State ---- */

static bool loaded(void *obj, int version, GError **err)
{
    UsbDevice *d = obj;

    if (d->setup_index > d->setup_len || d->setup_len > USB_CONTROL_BYTES)
        return error_set(err, "%s: a control transfer is at byte %d of %d", device_name(&d->dev), d->setup_index, d->setup_len);
    /* The ports' own state says what the guest has seen of it. */
    d->attached = d->state != USB_STATE_NOTATTACHED;
    if (d->port)
        d->port->dev = d->attached ? d : NULL;
    return true;
}

static const Field fields[] = {
    HOST(UsbDevice, dev), FIELD(UsbDevice, addr, .keep = true, .max = 127),
    FIELD(UsbDevice, state, .keep = true, .min = 0, .max = USB_STATE_SUSPENDED), FIELD(UsbDevice, remote_wakeup, .keep = true),
    FIELD(UsbDevice, setup_state, .min = 0, .max = USB_SETUP_PARAM), FIELD(UsbDevice, setup_len, .min = 0, .max = 65535),
    FIELD(UsbDevice, setup_index, .min = 0, .max = 65535), FIELD(UsbDevice, setup_buf),
    LOCAL(UsbDevice, configuration), LOCAL(UsbDevice, data_buf),
    HOST(UsbDevice, port), HOST(UsbDevice, desc), HOST(UsbDevice, speed), HOST(UsbDevice, speeds), HOST(UsbDevice, attached),
    HOST(UsbDevice, product), HOST(UsbDevice, port_path), HOST(UsbDevice, serial), HOST(UsbDevice, pcap), HOST(UsbDevice, flags),
    HOST(UsbDevice, auto_attach), HOST(UsbDevice, usb_version), {0}
};

const StateTable usb_device_state = { .name = "USBDevice", .version = 1, .min_version = 1, .fields = fields, .loaded = loaded };
