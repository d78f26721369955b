/*
 * usb-hub: a full-speed hub of up to eight ports (USB 2.0, chapter 11).
 *
 * With port-power=on its ports are switched on one by one, by the guest; a device shows up as soon as its port has power.
 */
#include <string.h>
#include "hw/core/machine.h"
#include "hw/usb/usb.h"
#include "util/error.h"

#define MAX_PORTS 8
#define MAX_DEPTH 5
enum { EP_IN = 1, DT_HUB = 0x29 };

/* wPortStatus and wPortChange; a feature's number is its bit, a change's 16 more. */
enum { STAT_CONNECTION = 1, STAT_ENABLE = 2, STAT_SUSPEND = 4, STAT_RESET = 0x10, STAT_POWER = 0x100, STAT_LOW_SPEED = 0x200 };
enum { PORT_ENABLE = 1, PORT_SUSPEND = 2, PORT_RESET = 4, PORT_POWER = 8, C_FIRST = 16, C_LAST = 20 };

typedef struct HubPort {
    uint16_t wPortStatus, wPortChange;
    UsbPort port;
} HubPort;

typedef struct UsbHub {
    UsbDevice usb;
    HubPort ports[MAX_PORTS];
    Timer port_timer;                   /* only in the stream: power comes at once here */
    uint32_t num_ports;
    bool port_power;
} UsbHub;

/* ---- Descriptors ---- */

enum { STR_MANUFACTURER = 1, STR_PRODUCT, STR_SERIAL, STR_COUNT };
static const char *const strings[STR_COUNT] = {
    [STR_MANUFACTURER] = "QEMU", [STR_PRODUCT] = "QEMU USB Hub", [STR_SERIAL] = "314159",
};
static const uint8_t hub_device[] = {
    18, USB_DT_DEVICE, 0x10, 0x01, 9, 0, 0, 8, 0x09, 0x04, 0xaa, 0x55, 0x01, 0x01, STR_MANUFACTURER, STR_PRODUCT, STR_SERIAL, 1,
};
static const uint8_t hub_config[] = {
    9, USB_DT_CONFIG, 25, 0, 1, 1, 0, 0xe0, 0,
    9, USB_DT_INTERFACE, 0, 0, 1, 9, 0, 0, 0,
    7, USB_DT_ENDPOINT, 0x80 | EP_IN, 3, 2, 0, 0xff,
};
static const uint8_t hub_bos[] = { 5, USB_DT_BOS, 5, 0, 0 };
static const UsbDesc hub_desc = { .device = hub_device, .config = hub_config, .bos = hub_bos, .strings = strings, .n_strings = STR_COUNT };

static unsigned hub_descriptor(const UsbHub *s, uint8_t *out)
{
    const unsigned removable = (s->num_ports + 1 + 7) / 8, power = (s->num_ports + 7) / 8;

    memset(out, 0, 16);
    out[0] = 7 + removable + power;
    out[1] = DT_HUB;
    out[2] = s->num_ports;
    out[3] = s->port_power ? 0x09 : 0x0a;   /* power switched port by port, or not at all; over-current likewise */
    out[5] = 1;                             /* 2 ms from power on to power good */
    memset(out + 7 + removable, 0xff, power);
    return out[0];
}

/* ---- Ports ---- */

static void notify(UsbHub *s)
{
    usb_wakeup(&s->usb);
}

static bool powered(const UsbHub *s, const HubPort *p)
{
    return !s->port_power || (p->wPortStatus & STAT_POWER);
}

static void connect(UsbHub *s, HubPort *p)
{
    if (!powered(s, p))
        return;
    p->wPortStatus |= STAT_CONNECTION;
    p->wPortChange |= STAT_CONNECTION;
    p->wPortStatus = p->port.dev->speed == USB_LOW ? p->wPortStatus | STAT_LOW_SPEED : p->wPortStatus & ~STAT_LOW_SPEED;
    notify(s);
}

static void disconnect(UsbHub *s, HubPort *p)
{
    if (p->wPortStatus & STAT_CONNECTION)
        p->wPortChange |= STAT_CONNECTION;
    if (p->wPortStatus & STAT_ENABLE)
        p->wPortChange |= STAT_ENABLE;
    p->wPortStatus &= ~(STAT_CONNECTION | STAT_ENABLE | STAT_SUSPEND | STAT_LOW_SPEED);
    notify(s);
}

static void hub_port_attach(UsbPort *p)
{
    UsbHub *s = p->opaque;

    connect(s, &s->ports[p->index]);
}

static void hub_port_detach(UsbPort *p)
{
    UsbHub *s = p->opaque;

    disconnect(s, &s->ports[p->index]);
}

static void hub_port_wakeup(UsbPort *p)
{
    UsbHub *s = p->opaque;
    HubPort *port = &s->ports[p->index];

    if (port->wPortStatus & STAT_SUSPEND) {
        port->wPortStatus &= ~STAT_SUSPEND;
        port->wPortChange |= STAT_SUSPEND;
        notify(s);
    }
}

static const UsbPortOps port_ops = { .attach = hub_port_attach, .detach = hub_port_detach, .wakeup = hub_port_wakeup };

static UsbDevice *hub_find(UsbDevice *d, unsigned addr)
{
    UsbHub *s = DEVICE(&d->dev, UsbHub);

    for (unsigned i = 0; i < s->num_ports; i++) {
        UsbDevice *found = s->ports[i].wPortStatus & STAT_ENABLE ? usb_find(s->ports[i].port.dev, addr) : NULL;

        if (found)
            return found;
    }
    return NULL;
}

static void hub_bus_reset(UsbDevice *d)
{
    UsbHub *s = DEVICE(&d->dev, UsbHub);

    for (unsigned i = 0; i < s->num_ports; i++) {
        HubPort *p = &s->ports[i];

        p->wPortStatus = s->port_power ? 0 : STAT_POWER;
        p->wPortChange = 0;
        if (p->port.dev)
            connect(s, p);
    }
}

/* ---- Requests ---- */

static void power_off(UsbHub *s, HubPort *p)
{
    if (!s->port_power)
        return;
    disconnect(s, p);
    p->wPortStatus = p->wPortChange = 0;
}

static bool set_feature(UsbHub *s, HubPort *p, unsigned feature)
{
    switch (feature) {
    case PORT_SUSPEND:
        p->wPortStatus |= STAT_SUSPEND;
        return true;
    case PORT_RESET:
        p->wPortChange |= STAT_RESET;
        if (p->port.dev && (p->wPortStatus & STAT_CONNECTION)) {
            usb_reset(p->port.dev);
            p->wPortStatus |= STAT_ENABLE;
            p->wPortChange |= STAT_ENABLE;
        }
        notify(s);
        return true;
    case PORT_POWER:
        if (s->port_power && !(p->wPortStatus & STAT_POWER)) {
            p->wPortStatus |= STAT_POWER;
            if (p->port.dev)
                connect(s, p);
        }
        return true;
    default:
        return false;
    }
}

static bool clear_feature(UsbHub *s, HubPort *p, unsigned feature)
{
    if (feature >= C_FIRST && feature <= C_LAST) {
        p->wPortChange &= ~(1u << (feature - C_FIRST));
        return true;
    }
    switch (feature) {
    case PORT_ENABLE:
        p->wPortStatus &= ~STAT_ENABLE;
        return true;
    case PORT_SUSPEND:
        if (p->wPortStatus & STAT_SUSPEND) {
            p->wPortStatus &= ~STAT_SUSPEND;
            p->wPortChange |= STAT_SUSPEND;
            notify(s);
        }
        return true;
    case PORT_POWER:
        power_off(s, p);
        return true;
    default:
        return false;
    }
}

static void put_le16(uint8_t *p, uint16_t v)
{
    p[0] = v;
    p[1] = v >> 8;
}

static bool port_request(UsbHub *s, unsigned request, unsigned value, unsigned index, uint8_t *data, unsigned *actual)
{
    HubPort *p;

    if (!index || index > s->num_ports)
        return false;
    p = &s->ports[index - 1];
    switch (request & 0xff) {
    case USB_GET_STATUS:
        put_le16(data, p->wPortStatus);
        put_le16(data + 2, p->wPortChange);
        *actual = 4;
        return true;
    case USB_SET_FEATURE:
        return set_feature(s, p, value);
    case USB_CLEAR_FEATURE:
        return clear_feature(s, p, value);
    default:
        return false;
    }
}

static bool hub_control(UsbDevice *d, unsigned request, unsigned value, unsigned index, unsigned length, uint8_t *data, unsigned *actual)
{
    UsbHub *s = DEVICE(&d->dev, UsbHub);

    switch (request) {
    case USB_REQ(0xa0, USB_GET_STATUS):
        memset(data, 0, 4);
        *actual = 4;
        return true;
    case USB_REQ(0xa0, USB_GET_DESCRIPTOR):
        *actual = hub_descriptor(s, data);
        return true;
    case USB_REQ(0x20, USB_SET_FEATURE): case USB_REQ(0x20, USB_CLEAR_FEATURE):
        return value == 0 || value == 1;
    case USB_REQ(0x02, USB_CLEAR_FEATURE):
        return value == 0;
    case USB_REQ(0xa3, USB_GET_STATUS): case USB_REQ(0x23, USB_SET_FEATURE): case USB_REQ(0x23, USB_CLEAR_FEATURE):
        return port_request(s, request, value, index, data, actual);
    default:
        return false;
    }
}

/* A bit for each port with a change, from bit 1. */
static UsbResult hub_data(UsbDevice *d, UsbPacket *p)
{
    UsbHub *s = DEVICE(&d->dev, UsbHub);
    unsigned changed = 0, n = (s->num_ports + 1 + 7) / 8;

    if (p->pid != USB_PID_IN || p->ep != EP_IN)
        return USB_STALL;
    for (unsigned i = 0; i < s->num_ports; i++)
        if (s->ports[i].wPortChange)
            changed |= 2u << i;
    if (!changed)
        return USB_NAK;
    if (p->size == 1)                   /* drivers that know of seven ports */
        n = 1;
    if (p->size < n)
        return USB_BABBLE;
    p->data[0] = changed;
    if (n > 1)
        p->data[1] = changed >> 8;
    p->actual = n;
    return USB_OK;
}

/* ---- Life ---- */

static bool hub_realize(Device *d, GError **err)
{
    UsbHub *s = DEVICE(d, UsbHub);

    if (!s->num_ports || s->num_ports > MAX_PORTS)
        return error_set(err, "num_ports (%u) out of range (1..%u)", s->num_ports, MAX_PORTS);
    if (s->usb.port->hubs == MAX_DEPTH)
        return error_set(err, "usb hub chain too deep");
    timer_init(&s->port_timer, d, NULL, s);
    for (unsigned i = 0; i < s->num_ports; i++) {
        s->ports[i].wPortStatus = s->port_power ? 0 : STAT_POWER;
        usb_port_add(usb_bus_of(&s->usb), &s->ports[i].port, &s->usb, i, &port_ops, s, USB_SPEED_BIT(USB_LOW) | USB_SPEED_BIT(USB_FULL));
    }
    return true;
}

static void hub_unrealize(Device *d)
{
    UsbHub *s = DEVICE(d, UsbHub);

    for (unsigned i = 0; i < s->num_ports; i++)
        usb_port_remove(usb_bus_of(&s->usb), &s->ports[i].port);
}

static const Field port_fields[] = {
    FIELD(HubPort, wPortStatus, .keep = true), FIELD(HubPort, wPortChange, .keep = true), HOST(HubPort, port), {0}
};
static const StateTable port_state = { .name = "usb-hub-port", .version = 1, .min_version = 1, .fields = port_fields };

static bool has_timer(const void *obj)
{
    return ((const UsbHub *)obj)->port_power;
}

static bool timer_loaded(void *obj, int version, GError **err)
{
    timer_stop(&((UsbHub *)obj)->port_timer);
    return true;
}

static const Field timer_fields[] = { FIELD(UsbHub, port_timer), {0} };
static const StateTable timer_state = {
    .name = "usb-hub/port-timer", .version = 1, .min_version = 1, .needed = has_timer, .fields = timer_fields, .loaded = timer_loaded,
};
static const Field fields[] = {
    USB_STATE(UsbHub, usb), STRUCTS(UsbHub, ports, &port_state), HOST(UsbHub, num_ports), HOST(UsbHub, port_power), {0}
};
static const StateTable hub_state = {
    .name = "usb-hub", .version = 1, .min_version = 1, .fields = fields, .subsections = (const StateTable *const[]){ &timer_state, NULL },
};

static const Property hub_props[] = {
    PROP(UsbHub, num_ports, "ports", PROP_U32, MAX_PORTS), PROP(UsbHub, port_power, "port-power", PROP_BOOL, false), {0}
};

const DeviceType usb_hub_type = {
    .name = "usb-hub", .bus = "usb-bus", .parent = &usb_device_type, .category = CAT_BRIDGE, .hotplug = true, .size = sizeof(UsbHub),
    .props = hub_props, .state = &hub_state, .realize = hub_realize, .unrealize = hub_unrealize,
    .class_data = &(const UsbClass){ .product = "QEMU USB Hub", .desc = &hub_desc, .fw_name = "hub", .is_hub = true,
                                     .control = hub_control, .data = hub_data, .bus_reset = hub_bus_reset, .find = hub_find },
};
