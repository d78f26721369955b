/* Device properties: defaults, parsing, printing. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "hw/core/device-int.h"
#include "util/error.h"
#include "util/opts.h"

static const char *const on_off_auto[] = { "auto", "on", "off", NULL };

bool type_foreach_prop(const DeviceType *t, bool (*fn)(const Property *p, void *opaque), void *opaque)
{
    for (; t; t = t->parent)
        for (const Property *p = t->props; p && p->name; p++)
            if (!fn(p, opaque))
                return false;
    return true;
}

typedef struct Find { const char *name; const Property *found; } Find;

static bool match(const Property *p, void *opaque)
{
    Find *f = opaque;

    if (!strcmp(p->name, f->name))
        f->found = p;
    return !f->found;
}

const Property *type_find_prop(const DeviceType *t, const char *name)
{
    Find f = { name, NULL };

    type_foreach_prop(t, match, &f);
    return f.found;
}

static inline void *place(Device *d, const Property *p)
{
    return (char *)d + p->off;
}

static void set_number(Device *d, const Property *p, int64_t v)
{
    void *at = place(d, p);

    switch (p->kind) {
    case PROP_BOOL: *(bool *)at = v; break;
    case PROP_U8: *(uint8_t *)at = v; break;
    case PROP_U16: *(uint16_t *)at = v; break;
    case PROP_U32: case PROP_I32: case PROP_SIZE32: case PROP_DEVFN: *(uint32_t *)at = v; break;
    case PROP_U64: case PROP_I64: case PROP_SIZE: *(uint64_t *)at = v; break;
    case PROP_ENUM: case PROP_ON_OFF_AUTO: *(int *)at = v; break;
    case PROP_BIT:
        *(uint32_t *)at = (*(uint32_t *)at & ~(1u << p->bit)) | (uint32_t)!!v << p->bit;
        break;
    case PROP_BIT64:
        *(uint64_t *)at = (*(uint64_t *)at & ~(1ull << p->bit)) | (uint64_t)!!v << p->bit;
        break;
    default: break;
    }
}

static int64_t get_number(const Device *d, const Property *p)
{
    const void *at = (const char *)d + p->off;

    switch (p->kind) {
    case PROP_BOOL: return *(const bool *)at;
    case PROP_U8: return *(const uint8_t *)at;
    case PROP_U16: return *(const uint16_t *)at;
    case PROP_U32: case PROP_SIZE32: return *(const uint32_t *)at;
    case PROP_I32: case PROP_DEVFN: return *(const int32_t *)at;
    case PROP_U64: case PROP_I64: case PROP_SIZE: return *(const int64_t *)at;
    case PROP_ENUM: case PROP_ON_OFF_AUTO: return *(const int *)at;
    case PROP_BIT: return *(const uint32_t *)at >> p->bit & 1;
    case PROP_BIT64: return *(const uint64_t *)at >> p->bit & 1;
    default: return 0;
    }
}

static bool set_default(const Property *p, void *opaque)
{
    Device *d = opaque;

    if (p->str_def)
        g_assert(device_set(d, p->name, p->str_def, NULL));
    else
        set_number(d, p, p->def);
    return true;
}

void props_set_defaults(Device *d)
{
    g_assert(!d->set_props);
    type_foreach_prop(d->type, set_default, d);
    g_clear_pointer(&d->set_props, g_hash_table_unref);
}

static bool free_one(const Property *p, void *opaque)
{
    if (p->kind == PROP_STR)
        g_clear_pointer((char **)place(opaque, p), g_free);
    return true;
}

void props_free(Device *d)
{
    type_foreach_prop(d->type, free_one, d);
}

/* ---- Parsing ---- */

static bool parse_int(const char *s, bool negative, uint64_t *v)
{
    char *end;

    errno = 0;
    if (*s == '-' && !negative)
        return false;
    *v = *s == '-' ? (uint64_t)g_ascii_strtoll(s, &end, 0) : g_ascii_strtoull(s, &end, 0);
    return end != s && !*end && !errno;
}

static bool parse_devfn(const char *s, int32_t *v)
{
    char *end;
    unsigned long slot = strtoul(s, &end, 16), fn = 0;

    if (!strcmp(s, "-1")) {
        *v = -1;
        return true;
    }
    if (end == s || slot > 31)
        return false;
    if (*end == '.')
        fn = strtoul(end + 1, &end, 16);
    *v = slot << 3 | fn;
    return !*end && fn < 8;
}

static bool parse_mac(const char *s, uint8_t *mac)
{
    unsigned b[6];
    char extra;

    if (sscanf(s, "%2x:%2x:%2x:%2x:%2x:%2x%c", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5], &extra) != 6)
        return false;
    for (int i = 0; i < 6; i++)
        mac[i] = b[i];
    return true;
}

static bool parse_enum(const char *s, const char *const *names, int *v)
{
    for (*v = 0; names[*v]; ++*v)
        if (!strcmp(names[*v], s))
            return true;
    return false;
}

static bool bad(const Device *d, const Property *p, const char *value, GError **err)
{
    (void)d;
    switch (p->kind) {
    case PROP_BOOL: case PROP_BIT: case PROP_BIT64:
        return error_set(err, "Parameter '%s' expects 'on' or 'off'", p->name);
    case PROP_SIZE: case PROP_SIZE32:
        return error_set(err, "Parameter '%s' expects a size (a number with an optional suffix K, M, G or T), not '%s'",
                         p->name, value);
    case PROP_ENUM: case PROP_ON_OFF_AUTO: {
        const char *const *names = p->kind == PROP_ENUM ? p->names : on_off_auto;
        g_autofree char *all = g_strjoinv("', '", (char **)names);

        return error_set(err, "Parameter '%s' does not accept value '%s' (it takes '%s')", p->name, value, all);
    }
    case PROP_DEVFN:
        return error_set(err, "Parameter '%s' expects a slot and function such as 06.0, not '%s'", p->name, value);
    case PROP_MAC:
        return error_set(err, "Parameter '%s' expects an address such as 52:54:00:12:34:56, not '%s'", p->name, value);
    case PROP_UUID:
        return error_set(err, "Parameter '%s' expects a UUID, not '%s'", p->name, value);
    default:
        return error_set(err, "Parameter '%s' expects a number, not '%s'", p->name, value);
    }
}

static bool parse_number(Device *d, const Property *p, const char *s, GError **err)
{
    static const struct { int64_t min; uint64_t max; } limits[] = {
        [PROP_U8] = { 0, UINT8_MAX }, [PROP_U16] = { 0, UINT16_MAX }, [PROP_U32] = { 0, UINT32_MAX },
        [PROP_U64] = { 0, UINT64_MAX }, [PROP_I32] = { INT32_MIN, INT32_MAX }, [PROP_I64] = { INT64_MIN, INT64_MAX },
        [PROP_SIZE] = { 0, UINT64_MAX }, [PROP_SIZE32] = { 0, UINT32_MAX },
    };
    bool size = p->kind == PROP_SIZE || p->kind == PROP_SIZE32;
    uint64_t v;

    if (!(size ? parse_size_text(s, 1, &v) : parse_int(s, true, &v)))
        return bad(d, p, s, err);
    if (*s == '-' ? (int64_t)v < limits[p->kind].min : v > limits[p->kind].max)
        return error_set(err, "Parameter '%s' is out of range: %s (%" PRId64 " to %" PRIu64 ")", p->name, s,
                         limits[p->kind].min, limits[p->kind].max);
    set_number(d, p, v);
    return true;
}

static bool parse_uuid(const char *s, uint8_t *out)
{
    unsigned n = 0;

    for (; *s; s++) {
        int v = g_ascii_xdigit_value(*s);

        if (*s == '-')
            continue;
        if (v < 0 || n == 32)
            return false;
        out[n / 2] = n & 1 ? out[n / 2] | v : v << 4;
        n++;
    }
    return n == 32;
}

static bool parse_backend(Device *d, const Property *p, const char *s, GError **err)
{
    Machine *m = d->machine;
    void *at = place(d, p), *found;

    switch (p->kind) {
    case PROP_DRIVE:
        found = m->hooks.find_drive ? m->hooks.find_drive(s, d, err) : NULL;
        break;
    case PROP_NETDEV:
        found = m->hooks.find_netdev ? m->hooks.find_netdev(s, d, err) : NULL;
        break;
    case PROP_LINK:
        found = device_find(m, s);
        break;
    default:
        if (m->hooks.open_chr)
            return m->hooks.open_chr(at, s, d, err);
        found = NULL;
        break;
    }
    if (!found) {
        if (!err || !*err)
            error_set(err, "Property '%s.%s' can't find value '%s'", d->type->name, p->name, s);
        return false;
    }
    *(void **)at = found;
    return true;
}

static bool parse(Device *d, const Property *p, const char *s, GError **err)
{
    void *at = place(d, p);
    bool b;

    switch (p->kind) {
    case PROP_BOOL: case PROP_BIT: case PROP_BIT64:
        if (!parse_bool_text(s, &b))
            return bad(d, p, s, err);
        set_number(d, p, b);
        return true;
    case PROP_STR:
        g_free(*(char **)at);
        *(char **)at = g_strdup(s);
        return true;
    case PROP_ENUM:
        return parse_enum(s, p->names, at) || bad(d, p, s, err);
    case PROP_ON_OFF_AUTO:
        return parse_enum(s, on_off_auto, at) || bad(d, p, s, err);
    case PROP_DEVFN:
        return parse_devfn(s, at) || bad(d, p, s, err);
    case PROP_MAC:
        return parse_mac(s, at) || bad(d, p, s, err);
    case PROP_UUID:
        if (!strcmp(s, "auto")) {
            for (int i = 0; i < 16; i++)
                ((uint8_t *)at)[i] = g_random_int();
            return true;
        }
        return parse_uuid(s, at) || bad(d, p, s, err);
    case PROP_DRIVE: case PROP_NETDEV: case PROP_CHR: case PROP_LINK:
        return parse_backend(d, p, s, err);
    case PROP_CUSTOM:
        return p->parse(d, p, s, err);
    default:
        return parse_number(d, p, s, err);
    }
}

static bool collect_name(const Property *p, void *opaque)
{
    g_ptr_array_add(opaque, (char *)p->name);
    return true;
}

static bool not_found(const DeviceType *t, const char *prop, GError **err)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    g_autofree char *hint = NULL;

    type_foreach_prop(t, collect_name, names);
    g_ptr_array_add(names, NULL);
    hint = nearest_hint(prop, (const char *const *)names->pdata);
    return error_set(err, "Property '%s.%s' not found%s", t->name, prop, hint);
}

/* A type that others derive from counts as well. */
static const DeviceType *find_driver(const char *name)
{
    for (const DeviceType *const *t = device_types; *t; t++)
        for (const DeviceType *at = *t; at; at = at->parent)
            if (!strcmp(at->name, name))
                return at;
    return NULL;
}

bool device_check_global(const char *driver, const char *prop, GError **err)
{
    const DeviceType *t = find_driver(driver);
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    g_autofree char *hint = NULL;

    if (t)
        return type_find_prop(t, prop) || not_found(t, prop, err);
    for (const DeviceType *const *all = device_types; *all; all++)
        g_ptr_array_add(names, (char *)(*all)->name);
    g_ptr_array_add(names, NULL);
    hint = nearest_hint(driver, (const char *const *)names->pdata);
    warn_report("global %s.%s has invalid class name%s", driver, prop, hint);
    return true;
}

bool device_set(Device *d, const char *prop, const char *value, GError **err)
{
    const Property *p = type_find_prop(d->type, prop);

    if (!p)
        return not_found(d->type, prop, err);
    if (d->realized)
        return error_set(err, "Attempt to set property '%s' on device '%s' (type '%s') after it was realized", prop,
                         device_name(d), d->type->name);
    if (!parse(d, p, value, err))
        return false;
    if (!d->set_props)
        d->set_props = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_hash_table_add(d->set_props, g_strdup(prop));
    return true;
}

void device_set_int(Device *d, const char *prop, int64_t value)
{
    const Property *p = type_find_prop(d->type, prop);

    g_assert(p && !d->realized);
    set_number(d, p, value);
}

/* ---- Printing ---- */

const char *prop_type_name(const Property *p)
{
    static const char *const names[] = {
        [PROP_BOOL] = "bool", [PROP_U8] = "uint8", [PROP_U16] = "uint16", [PROP_U32] = "uint32", [PROP_U64] = "uint64",
        [PROP_I32] = "int32", [PROP_I64] = "int64", [PROP_SIZE] = "size", [PROP_SIZE32] = "size", [PROP_STR] = "str",
        [PROP_ENUM] = "enum", [PROP_ON_OFF_AUTO] = "OnOffAuto", [PROP_BIT] = "bool", [PROP_BIT64] = "bool",
        [PROP_DRIVE] = "str", [PROP_CHR] = "str", [PROP_NETDEV] = "str", [PROP_MAC] = "str", [PROP_DEVFN] = "int32",
        [PROP_UUID] = "str", [PROP_LINK] = "link", [PROP_CUSTOM] = "str",
    };

    return p->type_name ? p->type_name : names[p->kind];
}

static char *uuid_text(const uint8_t *u)
{
    return g_strdup_printf("%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0], u[1], u[2], u[3],
                           u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14], u[15]);
}

char *prop_print(Device *d, const Property *p)
{
    Machine *m = d->machine;
    void *at = place(d, p);
    const uint8_t *b = at;
    const char *s = NULL;

    switch (p->kind) {
    case PROP_BOOL: case PROP_BIT: case PROP_BIT64:
        return g_strdup(get_number(d, p) ? "true" : "false");
    case PROP_STR: s = *(char **)at; return g_strdup(s ? s : "");
    case PROP_ENUM: return g_strdup(p->names[*(int *)at]);
    case PROP_ON_OFF_AUTO: return g_strdup(on_off_auto[*(int *)at]);
    case PROP_DEVFN:
        if (*(int32_t *)at < 0)
            return g_strdup("<unset>");
        return g_strdup_printf("%02x.%x", *(int32_t *)at >> 3, *(int32_t *)at & 7);
    case PROP_MAC:
        return g_strdup_printf("%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4], b[5]);
    case PROP_UUID: return uuid_text(at);
    case PROP_DRIVE:
        s = *(void **)at && m->hooks.drive_name ? m->hooks.drive_name(*(void **)at) : NULL;
        return g_strdup(s ? s : "");
    case PROP_NETDEV:
        s = *(void **)at && m->hooks.netdev_name ? m->hooks.netdev_name(*(void **)at) : NULL;
        return g_strdup(s ? s : "");
    case PROP_CHR:
        s = m->hooks.chr_name ? m->hooks.chr_name(at) : NULL;
        return g_strdup(s ? s : "");
    case PROP_LINK: return g_strdup(*(void **)at ? (*(Device **)at)->path : "");
    case PROP_CUSTOM: return p->print ? p->print(d, p) : NULL;
    case PROP_U64: case PROP_SIZE: return g_strdup_printf("%" PRIu64, (uint64_t)get_number(d, p));
    default: return g_strdup_printf("%" PRId64, get_number(d, p));
    }
}

static char *size_text(uint64_t v)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    unsigned u = 0;
    double d = v;

    while (d >= 1000 && u < 6) {
        d /= 1024;
        u++;
    }
    return g_strdup_printf("%" PRIu64 " (%0.3g %s)", v, d, units[u]);
}

char *prop_print_qtree(Device *d, const Property *p)
{
    g_autofree char *s = NULL;

    switch (p->kind) {
    case PROP_SIZE: case PROP_SIZE32:
        return size_text(get_number(d, p));
    case PROP_U8: case PROP_U16: case PROP_U32: case PROP_U64: case PROP_I32: case PROP_I64:
        s = prop_print(d, p);
        return g_strdup_printf("%s (0x%" PRIx64 ")", s, (uint64_t)get_number(d, p));
    case PROP_BOOL: case PROP_BIT: case PROP_BIT64: case PROP_DEVFN:
        return prop_print(d, p);
    case PROP_CHR:
        s = prop_print(d, p);
        return *s ? g_strdup_printf("\"%s\"", s) : NULL;
    default:
        s = prop_print(d, p);
        return s ? g_strdup_printf("\"%s\"", s) : NULL;
    }
}

char *device_get(Device *d, const char *prop, GError **err)
{
    const Property *p = type_find_prop(d->type, prop);

    if (!p) {
        error_set(err, "Property '%s.%s' not found", d->type->name, prop);
        return NULL;
    }
    return prop_print(d, p);
}
