/*
 * Devices and buses: making, realizing, resetting, finding and freeing them; lines.
 */
#include <string.h>
#include "hw/core/device-int.h"
#include "util/error.h"

/* ---- Lines ---- */

void line_set(Line *l, int level)
{
    level = !!level;
    if (l->level == level && !l->unsure)
        return;
    l->level = level;
    l->unsure = false;
    if (l->sink)
        l->sink(l->to, l->n, level);
}

void device_set_input(Device *d, unsigned n, int level)
{
    if (d->type->input)
        d->type->input(d, n, level);
    if (G_UNLIKELY(d->intercept))
        d->intercept(d, n, level);
}

static void device_input(void *to, unsigned n, int level)
{
    device_set_input(to, n, level);
}

void line_connect_device(Line *l, Device *to, unsigned n)
{
    line_connect(l, device_input, to, n);
}

/* ---- Types ---- */

const DeviceType *device_type_find(const char *name)
{
    for (const DeviceType *const *t = device_types; *t; t++)
        if (!strcmp((*t)->name, name) || ((*t)->alias && !strcmp((*t)->alias, name)))
            return *t;
    return NULL;
}

bool device_type_is(const DeviceType *t, const DeviceType *base)
{
    while (t && t != base)
        t = t->parent;
    return t;
}

/* ---- Making ---- */

void device_init(Device *d, Machine *m, const DeviceType *t)
{
    d->type = t;
    d->machine = m;
    d->bootindex = -1;
    d->instance_id = -1;
    props_set_defaults(d);
}

/* "driver.prop=value": sets it on d when the driver is d's type or one it derives from. */
static bool apply_global(Device *d, const char *text, GError **err)
{
    const char *dot = strchr(text, '.'), *eq = dot ? strchr(dot, '=') : NULL;
    g_autofree char *driver = NULL, *prop = NULL;
    const DeviceType *t = d->type;

    if (!eq)
        return true;
    driver = g_strndup(text, dot - text);
    prop = g_strndup(dot + 1, eq - dot - 1);
    while (t && strcmp(t->name, driver))
        t = t->parent;
    return !t || device_set(d, prop, eq + 1, err);
}

Device *device_new(Machine *m, const DeviceType *t, GError **err)
{
    Device *d = g_malloc0(t->size);

    device_init(d, m, t);
    for (GSList *l = m->cfg ? m->cfg->globals : NULL; l; l = l->next) {
        if (!apply_global(d, l->data, err)) {
            g_prefix_error(err, "-global %s: ", (char *)l->data);
            device_free(d);
            return NULL;
        }
    }
    return d;
}

static void map_ports(Device *d)
{
    static const uint8_t default_max = 1;

    for (const PioRange *p = d->type->pio; p && p->count; p++) {
        RegionOps *ops = g_new0(RegionOps, 1);
        Region *r = g_new0(Region, 1);

        *ops = (RegionOps){ .read = p->read, .write = p->write, .min = 1, .max = p->max ? p->max : default_max,
                            .past_end = p->past_end };
        region_init_io(r, d, p->name ? p->name : d->type->name, p->count, ops, d);
        region_add(&d->machine->io, p->port, r);
        if (!d->regions)
            d->regions = g_ptr_array_new();
        g_ptr_array_add(d->regions, r);
    }
}

static void unmap_ports(Device *d)
{
    for (unsigned i = 0; d->regions && i < d->regions->len; i++) {
        Region *r = g_ptr_array_index(d->regions, i);

        region_fini(r);
        g_free((void *)r->ops);
        g_free(r);
    }
    g_clear_pointer(&d->regions, g_ptr_array_unref);
}

static void set_path(Device *d)
{
    Machine *m = d->machine;

    g_free(d->path);
    if (d->id)
        d->path = g_strdup_printf("/machine/peripheral/%s", d->id);
    else if (d->part)
        d->path = g_strdup_printf("%s/%s", d->owner ? d->owner->path : m->root->path, d->part);
    else if (d->by_user)
        d->path = g_strdup_printf("/machine/peripheral-anon/device[%u]", m->paths_anon++);
    else
        d->path = g_strdup_printf("/machine/unattached/device[%u]", m->paths_unattached++);
}

static void unplug(Device *d)
{
    if (!d->bus)
        return;
    if (d->bus->type->unplug)
        d->bus->type->unplug(d->bus, d);
    g_ptr_array_remove(d->bus->children, d);
    d->bus = NULL;
}

bool device_realize(Device *d, Bus *bus, GError **err)
{
    Machine *m = d->machine;

    d->bus = bus ? bus : m->sysbus;
    g_ptr_array_add(d->bus->children, d);
    map_begin(m);
    if (d->bus->type->plug && !d->bus->type->plug(d->bus, d, err)) {
        g_ptr_array_remove(d->bus->children, d);
        d->bus = NULL;
        map_commit(m);
        device_free(d);
        return false;
    }
    set_path(d);
    map_ports(d);
    if (d->type->realize && !d->type->realize(d, err)) {
        unmap_ports(d);
        unplug(d);
        map_commit(m);
        device_free(d);
        return false;
    }
    d->realized = true;
    g_ptr_array_add(m->devices, d);
    if (d->bus->type->plugged && !d->bus->type->plugged(d->bus, d, err)) {
        map_commit(m);
        device_free(d);
        return false;
    }
    map_commit(m);
    if (d->hotplugged && !d->type->resets_itself)
        device_reset(d);
    return true;
}

Device *device_create(Machine *m, const DeviceType *t, Bus *bus, GError **err)
{
    Device *d = device_new(m, t, err);

    return d && device_realize(d, bus, err) ? d : NULL;
}

void device_free(Device *d)
{
    Machine *m = d->machine;

    map_begin(m);
    while (d->buses) {
        Bus *b = d->buses->data;

        bus_free(b);    /* takes itself out of the list */
    }
    if (d->realized) {
        if (d->type->unrealize)
            d->type->unrealize(d);
        g_ptr_array_remove(m->devices, d);
    }
    unmap_ports(d);
    unplug(d);
    map_commit(m);
    props_free(d);
    if (d->type->state)
        state_reset(d->type->state, d);     /* takes its timers out of the clock */
    g_free(d->id);
    g_free(d->path);
    if (d->set_props)
        g_hash_table_unref(d->set_props);
    g_free(d);
}

void device_delete(Device *d)
{
    g_autofree char *id = g_strdup(d->id), *path = g_strdup(d->path);
    Machine *m = d->machine;

    device_free(d);
    if (id)
        machine_event(m, "DEVICE_DELETED", "{s:s, s:s}", "device", id, "path", path);
    else
        machine_event(m, "DEVICE_DELETED", "{s:s}", "path", path);
}

void device_reset(Device *d)
{
    for (int i = (int)g_slist_length(d->buses) - 1; i >= 0; i--) {
        Bus *b = g_slist_nth_data(d->buses, i);

        for (int k = (int)b->children->len - 1; k >= 0; k--)
            device_reset(g_ptr_array_index(b->children, k));
        if (b->type->reset)
            b->type->reset(b);
    }
    if (d->type->state)
        state_reset(d->type->state, d);
    if (d->type->reset)
        d->type->reset(d);
}

/* ---- Buses ---- */

Bus *bus_new(const BusType *t, Device *parent, const char *name)
{
    Bus *b = g_malloc0(t->size ? t->size : sizeof(Bus));

    b->type = t;
    b->parent = parent;
    b->children = g_ptr_array_new();
    if (name) {
        b->name = g_strdup(name);
    } else {
        unsigned n = 0;
        g_autofree char *low = g_ascii_strdown(t->name, -1);

        do {
            g_free(b->name);
            b->name = g_strdup_printf("%s.%u", low, n++);
        } while (bus_find(parent->machine, b->name));
    }
    parent->buses = g_slist_append(parent->buses, b);
    return b;
}

void bus_free(Bus *b)
{
    while (b->children->len)
        device_free(g_ptr_array_index(b->children, b->children->len - 1));
    if (b->type->fini)
        b->type->fini(b);
    g_ptr_array_unref(b->children);
    b->parent->buses = g_slist_remove(b->parent->buses, b);
    g_free(b->name);
    g_free(b);
}

/* ---- Finding ---- */

static bool visit(Device *d, DeviceVisit *fn, void *opaque)
{
    if (!fn(d, opaque))
        return false;
    for (GSList *l = d->buses; l; l = l->next) {
        Bus *b = l->data;

        for (unsigned i = 0; i < b->children->len; i++)
            if (!visit(g_ptr_array_index(b->children, i), fn, opaque))
                return false;
    }
    return true;
}

bool machine_foreach_device(Machine *m, DeviceVisit *fn, void *opaque)
{
    return !m->root || visit(m->root, fn, opaque);
}

typedef struct Search { const char *name; void *found; } Search;

static bool match_device(Device *d, void *opaque)
{
    Search *s = opaque;

    if ((d->id && !strcmp(d->id, s->name)) || (d->path && !strcmp(d->path, s->name)))
        s->found = d;
    return !s->found;
}

Device *device_find(Machine *m, const char *id_or_path)
{
    Search s = { id_or_path, NULL };

    machine_foreach_device(m, match_device, &s);
    return s.found;
}

static bool match_type(Device *d, void *opaque)
{
    Search *s = opaque;

    if (!strcmp(d->type->name, s->name))
        s->found = d;
    return !s->found;
}

Device *device_find_type(Machine *m, const char *type)
{
    Search s = { type, NULL };

    machine_foreach_device(m, match_type, &s);
    return s.found;
}

static bool match_bus(Device *d, void *opaque)
{
    Search *s = opaque;

    for (GSList *l = d->buses; l && !s->found; l = l->next)
        if (!strcmp(((Bus *)l->data)->name, s->name))
            s->found = l->data;
    return !s->found;
}

Bus *bus_find(Machine *m, const char *name)
{
    const char *slash = strrchr(name, '/');
    Search s = { slash ? slash + 1 : name, NULL };

    machine_foreach_device(m, match_bus, &s);
    return s.found;
}

const char *device_name(const Device *d)
{
    return d->id ? d->id : d->type->name;
}

char *device_fw_path(Device *d)
{
    char *head, *own;

    if (!d->bus || !d->bus->parent)
        return g_strdup("");
    head = device_fw_path(d->bus->parent);
    own = d->bus->type->fw_path ? d->bus->type->fw_path(d) : NULL;
    if (own) {
        char *all = g_strdup_printf("%s/%s", head, own);

        g_free(head);
        head = all;
    }
    g_free(own);
    return head;
}

char *device_section_prefix(Device *d)
{
    return d->bus && d->bus->type->dev_path ? d->bus->type->dev_path(d) : NULL;
}
