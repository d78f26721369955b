/*
 * USB buses: which device is at which port, what the user sees of it, and devices that come and go.
 *
 * A device without port= takes the first free port; when that is the last one of the bus, a hub takes it, as in stock QEMU.
 */
#include <stdlib.h>
#include <string.h>
#include "hw/core/machine.h"
#include "hw/usb/usb-int.h"
#include "util/error.h"

/* ---- Ports ---- */

void usb_port_add(UsbBus *b, UsbPort *p, UsbDevice *hub, unsigned index, const UsbPortOps *ops, void *opaque, unsigned speeds)
{
    p->ops = ops;
    p->opaque = opaque;
    p->index = index;
    p->speeds = speeds;
    p->hubs = hub ? hub->port->hubs + 1 : 0;
    if (hub)
        g_snprintf(p->path, sizeof p->path, "%s.%u", hub->port->path, index + 1);
    else
        g_snprintf(p->path, sizeof p->path, "%u", index + 1);
    g_ptr_array_add(b->free, p);
}

void usb_port_remove(UsbBus *b, UsbPort *p)
{
    if (p->claimed)
        device_free(&p->claimed->dev);
    g_ptr_array_remove(b->free, p);
}

static UsbPort *find_free(UsbBus *b, const char *path)
{
    for (unsigned i = 0; i < b->free->len; i++) {
        UsbPort *p = g_ptr_array_index(b->free, i);

        if (!path || !strcmp(p->path, path))
            return p;
    }
    return NULL;
}

static void claim(UsbBus *b, UsbPort *p, UsbDevice *d)
{
    g_ptr_array_remove(b->free, p);
    g_ptr_array_add(b->used, p);
    p->claimed = d;
    d->port = p;
}

static bool add_hub(UsbBus *b, GError **err)
{
    Device *hub = device_new(b->bus.parent->machine, device_type_find("usb-hub"), err);

    return hub && device_realize(hub, &b->bus, err);
}

static bool take_port(UsbBus *b, UsbDevice *d, GError **err)
{
    UsbPort *p;

    if (d->port_path) {
        p = find_free(b, d->port_path);
        if (!p)
            return error_set(err, "usb port %s (bus %s) not found (in use?)", d->port_path, b->bus.name);
    } else {
        if (b->free->len == 1 && !usb_class(d)->is_hub && !add_hub(b, err))
            return false;
        p = find_free(b, NULL);
        if (!p)
            return error_set(err, "tried to attach usb device %s to a bus with no free ports", d->product);
    }
    claim(b, p, d);
    return true;
}

/* ---- Devices ---- */

static bool plug(Bus *bus, Device *dev, GError **err)
{
    UsbDevice *d = usb_device(dev);
    const UsbClass *c = usb_class(d);
    const bool old = c->desc_old && d->usb_version == 1;

    if (d->pcap)
        return error_set(err, "Device '%s': pcap= is not available", dev->type->name);
    d->product = c->product;
    d->desc = old ? c->desc_old : c->desc;
    d->speeds = USB_SPEED_BIT(USB_FULL) | (d->desc && d->desc->qualifier ? USB_SPEED_BIT(USB_HIGH) : 0);
    return take_port((UsbBus *)(void *)bus, d, err);
}

static bool plugged(Bus *bus, Device *dev, GError **err)
{
    UsbDevice *d = usb_device(dev);

    return d->auto_attach == 2 || usb_attach(d, err);
}

static void unplug(Bus *bus, Device *dev)
{
    UsbBus *b = (UsbBus *)(void *)bus;
    UsbDevice *d = usb_device(dev);

    if (!d->port)
        return;
    usb_detach(d);
    g_ptr_array_remove(b->used, d->port);
    g_ptr_array_add(b->free, d->port);
    d->port->claimed = NULL;
    d->port = NULL;
}

/* Cables are pulled without asking. What is behind the device goes first. */
static bool request_unplug(Bus *bus, Device *dev, GError **err)
{
    for (GSList *l = dev->buses; l; l = l->next) {
        GPtrArray *children = ((Bus *)l->data)->children;

        while (children->len)
            device_delete(g_ptr_array_index(children, children->len - 1));
    }
    device_delete(dev);
    return true;
}

/* ---- What the user sees ---- */

static void print_dev(Bus *bus, Device *dev, GString *out, int indent)
{
    const UsbDevice *d = usb_device(dev);

    g_string_append_printf(out, "%*saddr %u.%u, port %s, speed %s, name %s%s\n", indent, "", ((UsbBus *)(void *)bus)->number,
                           d->addr, d->port ? d->port->path : "-", usb_speed_text(d->speed), d->product,
                           d->attached ? ", attached" : "");
}

static void print_bus(const UsbBus *b, GString *out)
{
    for (unsigned i = 0; i < b->used->len; i++) {
        const UsbDevice *d = ((UsbPort *)g_ptr_array_index(b->used, i))->claimed;

        g_string_append_printf(out, "  Device %u.%u, Port %s, Speed %s Mb/s, Product %s%s%s\n", b->number, d->addr, d->port->path,
                               usb_speed_text(d->speed), d->product, d->dev.id ? ", ID: " : "", d->dev.id ? d->dev.id : "");
    }
}

static bool collect_bus(Device *d, void *buses)
{
    for (GSList *l = d->buses; l; l = l->next)
        if (((Bus *)l->data)->type == &usb_bus_type)
            g_ptr_array_add(buses, l->data);
    return true;
}

static int by_number(gconstpointer a, gconstpointer b)
{
    return (int)(*(UsbBus *const *)a)->number - (int)(*(UsbBus *const *)b)->number;
}

/* The first controller prints all, by their numbers. */
static void print_info(Device *controller, GString *out)
{
    g_autoptr(GPtrArray) buses = g_ptr_array_new();

    machine_foreach_device(controller->machine, collect_bus, buses);
    g_ptr_array_sort(buses, by_number);
    if (((Bus *)g_ptr_array_index(buses, 0))->parent == controller)
        for (unsigned i = 0; i < buses->len; i++)
            print_bus(g_ptr_array_index(buses, i), out);
}

/* "hub@2/storage@4" */
static char *fw_path(Device *dev)
{
    const UsbDevice *d = usb_device(dev);
    g_auto(GStrv) parts = g_strsplit(d->port->path, ".", 0);
    const char *name = usb_class(d)->fw_name;
    GString *s = g_string_new(NULL);

    for (char **p = parts; *p; p++)
        g_string_append_printf(s, "%s@%lx%s", p[1] ? "hub" : name ? name : dev->type->name, strtoul(*p, NULL, 10), p[1] ? "/" : "");
    return g_string_free(s, false);
}

static char *dev_path(Device *dev)
{
    g_autofree char *controller = device_section_prefix(dev->bus->parent);

    return controller ? g_strdup_printf("%s/%s", controller, usb_device(dev)->port->path) : g_strdup(usb_device(dev)->port->path);
}

static void fini(Bus *bus)
{
    UsbBus *b = (UsbBus *)(void *)bus;

    g_ptr_array_unref(b->free);
    g_ptr_array_unref(b->used);
}

static const InfoRow info[] = { { "usb", "show guest USB devices", print_info }, {0} };

const BusType usb_bus_type = {
    .name = "usb-bus", .size = sizeof(UsbBus), .plug = plug, .plugged = plugged, .unplug = unplug, .request_unplug = request_unplug,
    .print_dev = print_dev, .fw_path = fw_path, .dev_path = dev_path, .info = info, .fini = fini,
};

UsbBus *usb_bus_new(Device *controller, const UsbBusOps *ops, void *opaque)
{
    g_autofree char *name = controller->id ? g_strdup_printf("%s.0", controller->id) : NULL;
    g_autoptr(GPtrArray) buses = g_ptr_array_new();
    unsigned n = 0;
    UsbBus *b;

    machine_foreach_device(controller->machine, collect_bus, buses);
    for (unsigned i = 0; i < buses->len; i++)
        n = MAX(n, ((UsbBus *)g_ptr_array_index(buses, i))->number + 1);
    b = (UsbBus *)(void *)bus_new(&usb_bus_type, controller, name);
    b->ops = ops;
    b->opaque = opaque;
    b->number = n;
    b->free = g_ptr_array_new();
    b->used = g_ptr_array_new();
    return b;
}

/* ---- Types ---- */

static bool parse_attached(Device *dev, const Property *p, const char *s, GError **err)
{
    UsbDevice *d = usb_device(dev);
    bool on = !strcmp(s, "on") || !strcmp(s, "true") || !strcmp(s, "yes");

    if (!on && strcmp(s, "off") && strcmp(s, "false") && strcmp(s, "no"))
        return error_set(err, "Parameter 'attached' expects 'on' or 'off'");
    d->auto_attach = on ? 1 : 2;
    if (!dev->realized || on == d->attached)
        return true;
    if (!on) {
        usb_detach(d);
        return true;
    }
    return usb_attach(d, err);
}

const Property usb_props[] = {
    PROP(UsbDevice, port_path, "port", PROP_STR, 0), PROP(UsbDevice, serial, "serial", PROP_STR, 0),
    PROP(UsbDevice, flags, "msos-desc", PROP_BIT, true, .bit = USB_FLAG_MSOS), PROP(UsbDevice, pcap, "pcap", PROP_STR, 0),
    { .name = "attached", .kind = PROP_CUSTOM, .type_name = "bool", .no_qtree = true, .parse = parse_attached },
    {0}
};

const DeviceType usb_device_type = {
    .name = "usb-device", .bus = "usb-bus", .internal = true, .size = sizeof(UsbDevice), .props = usb_props,
};

/* ---- -usbdevice ---- */

static Bus *first_bus(Machine *m)
{
    return bus_find(m, "usb-bus.0");
}

bool usb_add_legacy(Machine *m, const char *name, GError **err)
{
    static const struct { const char *name, *type; } names[] = {
        { "keyboard", "usb-kbd" }, { "mouse", "usb-mouse" }, { "tablet", "usb-tablet" },
    };
    const char *type = NULL;
    Device *d;

    if (strchr(name, ':'))
        return error_set(err, "usbdevice parameters are not supported anymore");
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++)
        if (!strcmp(names[i].name, name))
            type = names[i].type;
    if (!type || !first_bus(m))
        return error_set(err, "could not add USB device '%s'", name);
    d = device_new(m, device_type_find(type), err);
    return d && device_realize(d, first_bus(m), err);
}
