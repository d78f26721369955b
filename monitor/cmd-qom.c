/*
 * Types, devices and their properties, as QEMU's object model shows them: the part of that model that we have.
 * Paths: /machine, /machine/peripheral, /machine/peripheral-anon, /machine/unattached, and the devices in these.
 */
#include <stdlib.h>
#include <string.h>
#include "hw/core/hostmem.h"
#include "hw/core/machine.h"
#include "monitor/monitor-int.h"

/* ---- Properties of a type ---- */

static const char *type_name(const Property *p)
{
    static const char *const names[] = {
        [PROP_BOOL] = "bool", [PROP_U8] = "uint8", [PROP_U16] = "uint16", [PROP_U32] = "uint32", [PROP_U64] = "uint64",
        [PROP_I32] = "int32", [PROP_I64] = "int64", [PROP_SIZE] = "size", [PROP_SIZE32] = "size", [PROP_STR] = "str",
        [PROP_ENUM] = "str", [PROP_ON_OFF_AUTO] = "OnOffAuto", [PROP_BIT] = "bool", [PROP_BIT64] = "bool", [PROP_DRIVE] = "str",
        [PROP_CHR] = "str", [PROP_NETDEV] = "str", [PROP_MAC] = "str", [PROP_DEVFN] = "int32", [PROP_UUID] = "str",
        [PROP_LINK] = "link", [PROP_CUSTOM] = "str",
    };

    return p->type_name ? p->type_name : names[p->kind];
}

static bool is_number(const Property *p)
{
    return (p->kind >= PROP_U8 && p->kind <= PROP_SIZE32) || p->kind == PROP_DEVFN;
}

static bool is_bool(const Property *p)
{
    return p->kind == PROP_BOOL || p->kind == PROP_BIT || p->kind == PROP_BIT64;
}

/* defaults: with the default value, as of a device. */
static json_t *describe(const Property *p, bool defaults)
{
    json_t *o = json_pack("{s:s,s:s}", "name", p->name, "type", type_name(p)), *v;
    const char *help = property_help(p);

    if (*help)
        json_object_set_new(o, "description", json_string(help));
    if (!defaults || !strcmp(p->name, "bootindex"))
        return o;
    if (p->def_text) {
        v = *p->def_text ? json_loads(p->def_text, JSON_DECODE_ANY, NULL) : NULL;
        if (v)
            json_object_set_new(o, "default-value", v);
    } else if (is_bool(p))
        json_object_set_new(o, "default-value", json_boolean(p->def));
    else if (is_number(p) && (!p->type_name || strcmp(p->type_name, "none")))
        json_object_set_new(o, "default-value", json_integer(p->kind == PROP_U32 || p->kind == PROP_SIZE32 ? (uint32_t)p->def : p->def));
    else if (p->kind == PROP_ENUM)
        json_object_set_new(o, "default-value", json_string(p->names[p->def]));
    else if (p->kind == PROP_ON_OFF_AUTO)
        json_object_set_new(o, "default-value", json_string(p->def == 0 ? "auto" : p->def == 1 ? "on" : "off"));
    return o;
}

static void list_props(const Property *p, json_t *a, bool defaults)
{
    for (; p && p->name; p++) {
        if (!p->no_help)
            json_array_append_new(a, describe(p, defaults));
    }
}

static void list_type_props(const DeviceType *t, json_t *a, bool defaults)
{
    for (; t; t = t->parent)
        list_props(t->props, a, defaults);
}

static const Property *find_prop(const DeviceType *t, const char *name)
{
    for (; t; t = t->parent) {
        for (const Property *p = t->props; p && p->name; p++) {
            if (!strcmp(p->name, name))
                return p;
        }
    }
    return NULL;
}

static json_t *device_list_properties(Monitor *mon, json_t *args, GError **err)
{
    const char *name = arg_str(args, "typename");
    const DeviceType *t = device_type_find(name);
    json_t *a;

    if (!t) {
        error_set_class(err, ERR_DEVICE_NOT_FOUND, "Device '%s' not found", name);
        return NULL;
    }
    a = json_array();
    list_type_props(t, a, true);
    return a;
}

/* ---- Types ---- */

static const MachineType *machine_of_type(const char *name)
{
    for (const MachineType *const *t = machine_types; *t; t++) {
        if (g_str_has_prefix(name, (*t)->name) && !strcmp(name + strlen((*t)->name), "-machine"))
            return *t;
    }
    return NULL;
}

static json_t *qom_list_properties(Monitor *mon, json_t *args, GError **err)
{
    const char *name = arg_str(args, "typename");
    const DeviceType *t = device_type_find(name);
    const MachineType *m = machine_of_type(name);
    json_t *a;

    bool memory = hostmem_is_type(name);

    if (!t && !m && !memory) {
        error_set_class(err, ERR_DEVICE_NOT_FOUND, "Class '%s' not found", name);
        return NULL;
    }
    a = json_array();
    json_array_append_new(a, json_pack("{s:s,s:s}", "name", "type", "type", "string"));
    list_type_props(t, a, false);
    list_props(memory ? hostmem_props(name) : m ? m->props : NULL, a, false);
    return a;
}

static void list_type(json_t *a, const char *name, const char *parent)
{
    json_array_append_new(a, json_pack("{s:s,s:s}", "name", name, "parent", parent));
}

/* Stock QEMU has a type for what plugs into each kind of bus. */
static const char *parent_of(const DeviceType *t)
{
    static const struct { const char *bus, *parent; } kinds[] = { { "ISA", "isa-device" }, { "IDE", "ide-device" } };

    if (t->parent)
        return t->parent->name;
    if (g_str_has_suffix(t->name, "-x86_64-cpu"))
        return "x86_64-cpu";
    for (unsigned i = 0; t->bus && i < G_N_ELEMENTS(kinds); i++) {
        if (!strcmp(t->bus, kinds[i].bus))
            return kinds[i].parent;
    }
    return "device";
}

static json_t *qom_list_types(Monitor *mon, json_t *args, GError **err)
{
    const char *implements = arg_str(args, "implements");
    json_t *a = json_array();

    for (const DeviceType *const *t = device_types; *t; t++) {
        const char *parent = parent_of(*t);

        if (!implements || !strcmp(implements, "device") || !strcmp(implements, (*t)->name) || !strcmp(implements, parent))
            list_type(a, (*t)->name, parent);
    }
    for (const MachineType *const *t = machine_types; *t; t++) {
        g_autofree char *name = g_strconcat((*t)->name, "-machine", NULL);

        if (!implements || !strcmp(implements, "machine") || !strcmp(implements, name))
            list_type(a, name, "machine");
    }
    for (const char *const *t = hostmem_types; *t; t++) {
        if (!implements || !strcmp(implements, "memory-backend") || !strcmp(implements, *t) || !strcmp(implements, "user-creatable"))
            list_type(a, *t, "memory-backend");
    }
    return a;
}

/* ---- Objects ---- */

static const char *const containers[] = { "/machine", "/machine/peripheral", "/machine/peripheral-anon", "/machine/unattached" };

static bool is_container(const char *path)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(containers); i++) {
        if (!strcmp(containers[i], path))
            return true;
    }
    return false;
}

/* The last part of path when it lies directly in folder. */
static const char *child_of(const char *path, const char *folder)
{
    size_t n = strlen(folder);

    return path && !strncmp(path, folder, n) && path[n] == '/' && !strchr(path + n + 1, '/') ? path + n + 1 : NULL;
}

typedef struct Listing { const char *path; json_t *out; } Listing;

static bool list_child(Device *d, void *opaque)
{
    Listing *l = opaque;
    const char *name = child_of(d->path, l->path);

    if (name) {
        g_autofree char *type = g_strdup_printf("child<%s>", d->type->name);

        json_array_append_new(l->out, json_pack("{s:s,s:s}", "name", name, "type", type));
    }
    return true;
}

static bool not_found(const char *path, GError **err)
{
    return error_set_class(err, ERR_DEVICE_NOT_FOUND, "Device '%s' not found", path);
}

static json_t *qom_list(Monitor *mon, json_t *args, GError **err)
{
    const char *path = arg_str(args, "path");
    Device *d = device_find(mon_machine, path);
    Listing l = { path, NULL };

    if (!d && !is_container(path) && strcmp(path, "/")) {
        not_found(path, err);
        return NULL;
    }
    l.out = json_array();
    json_array_append_new(l.out, json_pack("{s:s,s:s}", "name", "type", "type", "string"));
    if (!strcmp(path, "/"))
        json_array_append_new(l.out, json_pack("{s:s,s:s++}", "name", "machine", "type", "child<", mon_machine->type->name, "-machine>"));
    for (unsigned i = 0; i < G_N_ELEMENTS(containers); i++) {
        const char *name = child_of(containers[i], path);

        if (name && *path && strcmp(path, "/"))
            json_array_append_new(l.out, json_pack("{s:s,s:s}", "name", name, "type", "child<container>"));
    }
    for (const DeviceType *t = d ? d->type : NULL; t; t = t->parent) {
        for (const Property *p = t->props; p && p->name; p++)
            json_array_append_new(l.out, json_pack("{s:s,s:s}", "name", p->name, "type", type_name(p)));
    }
    machine_foreach_device(mon_machine, list_child, &l);
    return l.out;
}

json_t *qom_value(Device *d, const Property *p, GError **err)
{
    static const char *const numbers[] = { "int", "uint64", NULL };
    g_autofree char *s = device_get(d, p->name, err);

    if (!s)
        return NULL;
    if (is_bool(p) || (p->kind == PROP_CUSTOM && p->type_name && !strcmp(p->type_name, "bool")))
        return json_boolean(!strcmp(s, "true") || !strcmp(s, "on"));
    if (is_number(p) || (p->kind == PROP_CUSTOM && p->type_name && g_strv_contains(numbers, p->type_name))) {
        const char *digits = s + (*s == '-');

        if (*digits && strspn(digits, "0123456789") == strlen(digits))
            return json_integer(p->kind == PROP_U64 ? (json_int_t)g_ascii_strtoull(s, NULL, 10) : g_ascii_strtoll(s, NULL, 10));
    }
    return json_string(s);
}

static json_t *qom_get(Monitor *mon, json_t *args, GError **err)
{
    const char *path = arg_str(args, "path"), *name = arg_str(args, "property");
    g_autofree char *machine = g_strconcat(mon_machine->type->name, "-machine", NULL);
    Device *d = device_find(mon_machine, path);
    bool is_machine = !strcmp(path, "/machine");
    const Property *p = d && !is_machine ? find_prop(d->type, name) : NULL;

    if (!d && !is_container(path))
        not_found(path, err);
    else if (!strcmp(name, "type"))
        return json_string(is_machine ? machine : d ? d->type->name : "container");
    else if (p)
        return qom_value(d, p, err);
    else
        error_set(err, "Property '%s.%s' not found", is_machine ? machine : d ? d->type->name : "container", name);
    return NULL;
}

static void hmp_qom_list(Monitor *mon, json_t *args)
{
    GError *err = NULL;
    json_t *a = qom_list(mon, args, &err), *o;
    size_t i;

    if (err) {
        mon_print_error(mon, err);
        return;
    }
    json_array_foreach(a, i, o)
        mon_printf(mon, "%s (%s)\n", arg_str(o, "name"), arg_str(o, "type"));
    json_decref(a);
}

static void hmp_qom_get(Monitor *mon, json_t *args)
{
    GError *err = NULL;
    json_t *v = qom_get(mon, args, &err);
    g_autofree char *text = v ? json_dumps(v, JSON_ENCODE_ANY | JSON_INDENT(4)) : NULL;

    if (err)
        mon_print_error(mon, err);
    else
        mon_printf(mon, "%s\n", text);
    json_decref(v);
}

const MonCommand commands_qom[] = {
    { .qmp = "device-list-properties", .in = "{typename:str}", .out = "[ObjectPropertyInfo]", .run = device_list_properties },
    { .qmp = "qom-list-properties", .in = "{typename:str}", .out = "[ObjectPropertyInfo]", .run = qom_list_properties,
      .flags = CMD_PRECONFIG },
    { .qmp = "qom-list-types", .in = "{*implements:str *abstract:bool}", .out = "[{name:str *abstract:bool *parent:str}]",
      .run = qom_list_types, .flags = CMD_PRECONFIG },
    { "qom-list", "path:str", "path", "list QOM properties", .qmp = "qom-list", .in = "{path:str}", .out = "[ObjectPropertyInfo]",
      .run = qom_list, .print = hmp_qom_list },
    { "qom-get", "path:str property:str", "path property", "print QOM property", .qmp = "qom-get", .in = "{path:str property:str}",
      .out = "any", .run = qom_get, .print = hmp_qom_get },
    { 0 },
};
