/*
 * -device and device_add, -device help, -device TYPE,help, info qtree.
 */
#include <stdio.h>
#include <string.h>
#include "hw/core/device-int.h"
#include "util/error.h"
#include "util/opts.h"

static const char *const categories[] = {
    [CAT_MISC] = "Misc", [CAT_BRIDGE] = "Controller/Bridge/Hub", [CAT_USB] = "USB", [CAT_STORAGE] = "Storage",
    [CAT_NETWORK] = "Network", [CAT_INPUT] = "Input", [CAT_DISPLAY] = "Display", [CAT_SOUND] = "Sound", [CAT_CPU] = "CPU",
    [CAT_WATCHDOG] = "Watchdog", [CAT_NONE] = "Uncategorized",
};

/* ---- Help ---- */

static int by_type_name(const void *a, const void *b)
{
    return g_ascii_strcasecmp((*(const DeviceType *const *)a)->name, (*(const DeviceType *const *)b)->name);
}

static void print_type(const DeviceType *t, GString *out)
{
    g_string_append_printf(out, "name \"%s\"", t->name);
    if (t->bus)
        g_string_append_printf(out, ", bus %s", t->bus);
    if (t->alias)
        g_string_append_printf(out, ", alias \"%s\"", t->alias);
    if (t->desc)
        g_string_append_printf(out, ", desc \"%s\"", t->desc);
    g_string_append_c(out, '\n');
}

void device_list_help(GString *out)
{
    static const DeviceCategory order[] = { CAT_BRIDGE, CAT_USB, CAT_STORAGE, CAT_NETWORK, CAT_INPUT, CAT_DISPLAY,
                                            CAT_SOUND, CAT_MISC, CAT_CPU, CAT_WATCHDOG, CAT_NONE };

    for (size_t c = 0; c < G_N_ELEMENTS(order); c++) {
        g_autoptr(GPtrArray) types = g_ptr_array_new();

        for (const DeviceType *const *t = device_types; *t; t++)
            if ((*t)->category == order[c] && !(*t)->internal)
                g_ptr_array_add(types, (void *)*t);
        g_ptr_array_sort(types, by_type_name);
        if (types->len)
            g_string_append_printf(out, "%s%s devices:\n", out->len ? "\n" : "", categories[order[c]]);
        for (unsigned i = 0; i < types->len; i++)
            print_type(g_ptr_array_index(types, i), out);
    }
}

static bool collect_prop(const Property *p, void *opaque)
{
    if (!p->no_help)
        g_ptr_array_add(opaque, (void *)p);
    return true;
}

/* As the lines "name=..." sort. */
static int by_name(gconstpointer a, gconstpointer b)
{
    const char *s = (*(const Property *const *)a)->name, *t = (*(const Property *const *)b)->name;

    while (*s && *s == *t) {
        s++;
        t++;
    }
    return (*s ? *s : '=') - (*t ? *t : '=');
}

static const char *stock_help(const Property *p)
{
    switch (p->kind) {
    case PROP_BIT: case PROP_BIT64: return "on/off";
    case PROP_DRIVE: return "Node name or ID of a block device to use as a backend";
    case PROP_CHR: return "ID of a chardev to use as a backend";
    case PROP_NETDEV: return "ID of a netdev to use as a backend";
    case PROP_MAC: return "Ethernet 6-byte MAC Address, example: 52:54:00:12:34:56";
    case PROP_DEVFN: return "Slot and optional function number, example: 06.0 or 06";
    case PROP_ON_OFF_AUTO: return "on/off/auto";
    case PROP_UUID: return "UUID (aka GUID) or \"auto\" for random value (default)";
    default: return "";
    }
}

const char *property_help(const Property *p)
{
    return p->help ? p->help : stock_help(p);
}

static void prop_help(const Property *p, GString *out)
{
    g_autofree char *head = g_strdup_printf("%s=<%s>", p->name, prop_type_name(p));
    const char *help = property_help(p);
    g_autofree char *def = p->def_text && *p->def_text ? g_strdup(p->def_text) : NULL;

    switch (p->def_text ? PROP_STR : p->kind) {
    case PROP_BOOL: case PROP_BIT: case PROP_BIT64: def = g_strdup(p->def ? "true" : "false"); break;
    case PROP_ENUM: def = g_strdup_printf("\"%s\"", p->names[p->def]); break;
    case PROP_ON_OFF_AUTO: def = g_strdup_printf("\"%s\"", p->def == 0 ? "auto" : p->def == 1 ? "on" : "off"); break;
    case PROP_U8: case PROP_U16: case PROP_U32: case PROP_U64: case PROP_I32: case PROP_I64: case PROP_SIZE:
    case PROP_SIZE32: case PROP_DEVFN:
        if (!p->type_name || strcmp(p->type_name, "none"))
            def = p->kind == PROP_U32 || p->kind == PROP_SIZE32 ? g_strdup_printf("%u", (unsigned)p->def)
                                                               : g_strdup_printf("%" G_GINT64_FORMAT, p->def);
        break;
    default: break;
    }
    if (!strcmp(p->name, "bootindex"))
        g_string_append_printf(out, "  bootindex=<int32>\n");
    else if (!*help && !def)
        g_string_append_printf(out, "  %s\n", head);
    else
        g_string_append_printf(out, "  %-22s - %s%s%s%s\n", head, help, def ? " (default: " : "", def ? def : "",
                               def ? ")" : "");
}

static bool unknown_type(const char *name, GError **err)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    const char *near;

    for (const DeviceType *const *t = device_types; *t; t++)
        g_ptr_array_add(names, (char *)(*t)->name);
    g_ptr_array_add(names, NULL);
    near = nearest_name(name, (const char *const *)names->pdata);
    return error_set_class(err, ERR_DEVICE_NOT_FOUND, "'%s' is not a valid device model name%s%s%s", name,
                           near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
}

bool device_type_help(const char *name, GString *out, GError **err)
{
    const DeviceType *t = device_type_find(name);
    g_autoptr(GPtrArray) props = g_ptr_array_new();

    if (!t)
        return unknown_type(name, err);
    type_foreach_prop(t, collect_prop, props);
    g_ptr_array_sort(props, by_name);
    if (!props->len) {
        g_string_append_printf(out, "There are no options for %s.\n", t->name);
        return true;
    }
    g_string_append_printf(out, "%s options:\n", t->name);
    for (unsigned i = 0; i < props->len; i++)       /* a name that stands for two bits is there twice */
        if (!i || strcmp(((const Property *)props->pdata[i])->name, ((const Property *)props->pdata[i - 1])->name))
            prop_help(g_ptr_array_index(props, i), out);
    return true;
}

/* ---- -device ---- */

typedef struct BusSearch { const DeviceType *t; Bus *found, *full; } BusSearch;

/* The newest bus comes first, so that an IDE drive without bus= is the secondary master. */
static void search_bus(Device *d, BusSearch *s)
{
    for (int i = (int)g_slist_length(d->buses) - 1; i >= 0 && !s->found; i--) {
        Bus *b = g_slist_nth_data(d->buses, i);

        if (strcmp(b->type->name, s->t->bus))
            ;
        else if (b->max_devices && b->children->len >= b->max_devices)
            s->full = b;
        else
            s->found = b;
        for (int k = (int)b->children->len - 1; k >= 0 && !s->found; k--)
            search_bus(g_ptr_array_index(b->children, k), s);
    }
}

static Bus *find_bus(Machine *m, const DeviceType *t, const char *name, GError **err)
{
    BusSearch s = { t, NULL, NULL };
    Bus *b;

    if (name) {
        b = bus_find(m, name);
        if (!b)
            error_set(err, "Bus '%s' not found", name);
        else if (!t->bus || strcmp(b->type->name, t->bus)) {
            error_set(err, "Device '%s' can't go on %s bus", t->name, b->type->name);
            b = NULL;
        }
        return b;
    }
    if (!t->bus)
        return m->sysbus;
    search_bus(m->root, &s);
    if (!s.found)
        error_set(err, s.full ? "Bus '%s' is full" : "No '%s' bus found for device '%s'", s.full ? s.full->name : t->bus,
                  t->name);
    return s.found;
}

static bool set_all(Device *d, Opts *o, GError **err)
{
    for (unsigned i = 0; i < o->list->len; i++) {
        Opt *item = &g_array_index(o->list, Opt, i);

        if (strcmp(item->name, "driver") && strcmp(item->name, "bus") && strcmp(item->name, "id") &&
            !device_set(d, item->name, item->value, err))
            return false;
    }
    return true;
}

static bool wants_help(Opts *o, const char *driver)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_autoptr(GError) err = NULL;

    if (!strcmp(driver, "help") || !strcmp(driver, "?"))
        device_list_help(out);
    else if (!opts_has(o, "help") || !device_type_help(driver, out, &err))
        return false;
    fputs(out->str, stdout);
    return true;
}

Device *device_add_opts(Machine *m, const char *text, bool hotplug, GError **err)
{
    g_autoptr(Opts) o = opts_parse(text, "driver", err);
    const char *driver = o ? opts_get(o, "driver") : NULL, *id;
    const DeviceType *t;
    Device *d;
    Bus *bus;

    if (!o || !driver) {
        if (o)
            error_set(err, "Parameter 'driver' is missing");
        return NULL;
    }
    if (wants_help(o, driver))
        return NULL;
    t = device_type_find(driver);
    if (!t) {
        unknown_type(driver, err);
        return NULL;
    }
    if (t->internal || (hotplug && !t->hotplug)) {
        error_set(err, hotplug && !t->internal ? "Device '%s' does not support hotplugging"
                                               : "Parameter 'driver' expects a pluggable device type, not '%s'", t->name);
        return NULL;
    }
    id = opts_get(o, "id");
    if (id && (!id_wellformed(id) || device_find(m, id))) {
        error_set(err, id_wellformed(id) ? "Duplicate device ID '%s'" : "Parameter 'id' expects an identifier, not '%s'", id);
        return NULL;
    }
    bus = find_bus(m, t, opts_get(o, "bus"), err);
    d = bus ? device_new(m, t, err) : NULL;
    if (!d)
        return NULL;
    d->id = g_strdup(id);
    d->hotplugged = hotplug;
    d->by_user = true;
    if (!set_all(d, o, err)) {
        device_free(d);
        return NULL;
    }
    return device_realize(d, bus, err) ? d : NULL;
}

/* ---- info qtree ---- */

typedef struct PropPrint { Device *d; GString *out; int indent; } PropPrint;

static void print_props(const DeviceType *t, PropPrint *pp)
{
    for (; t; t = t->parent) {
        for (const Property *p = t->props; p && p->name; p++) {
            g_autofree char *s = p->kind == PROP_CUSTOM && !p->print ? NULL : prop_print_qtree(pp->d, p);

            if (s && !p->no_qtree && strcmp(p->name, "bootindex"))
                g_string_append_printf(pp->out, "%*s%s = %s\n", pp->indent, "", p->name, s);
        }
    }
}

static void print_gpios(const GpioInfo *g, GString *out, int indent)
{
    for (; g && (g->in || g->out); g++) {
        if (g->in)
            g_string_append_printf(out, "%*sgpio-in \"%s\" %u\n", indent, "", g->name, g->in);
        if (g->out)
            g_string_append_printf(out, "%*sgpio-out \"%s\" %u\n", indent, "", g->name, g->out);
    }
}

/* The last is the first, devices and buses alike. */
static void print_bus(Bus *b, GString *out, int indent)
{
    g_string_append_printf(out, "%*sbus: %s\n%*s  type %s\n", indent, "", b->name, indent, "", b->type->name);
    for (int i = (int)b->children->len - 1; i >= 0; i--) {
        Device *d = g_ptr_array_index(b->children, i);
        PropPrint pp = { d, out, indent + 4 };

        if (d->type->no_bus)
            continue;
        g_string_append_printf(out, "%*s  dev: %s, id \"%s\"\n", indent, "", d->type->name, d->id ? d->id : "");
        print_gpios(d->type->gpios, out, indent + 4);
        print_props(d->type, &pp);
        if (b->type->print_dev)
            b->type->print_dev(b, d, out, indent + 4);
        for (int k = (int)g_slist_length(d->buses) - 1; k >= 0; k--)
            print_bus(g_slist_nth_data(d->buses, k), out, indent + 4);
    }
}

void device_print_tree(Machine *m, GString *out)
{
    if (m->sysbus)
        print_bus(m->sysbus, out, 0);
}
