/*
 * -smbios: file=PATH gives a structure as it is; type=N,... gives fields of a structure.
 */
#include <stdio.h>
#include <string.h>
#include "hw/i386/smbios-int.h"
#include "util/error.h"
#include "util/opts.h"

static const struct { uint8_t type; const char *name; SmbiosString id; } strings[] = {
    { 0, "vendor", T0_VENDOR }, { 0, "version", T0_VERSION }, { 0, "date", T0_DATE },
    { 1, "manufacturer", T1_MANUFACTURER }, { 1, "product", T1_PRODUCT }, { 1, "version", T1_VERSION },
    { 1, "serial", T1_SERIAL }, { 1, "sku", T1_SKU }, { 1, "family", T1_FAMILY },
    { 2, "manufacturer", T2_MANUFACTURER }, { 2, "product", T2_PRODUCT }, { 2, "version", T2_VERSION },
    { 2, "serial", T2_SERIAL }, { 2, "asset", T2_ASSET }, { 2, "location", T2_LOCATION },
    { 3, "manufacturer", T3_MANUFACTURER }, { 3, "version", T3_VERSION }, { 3, "serial", T3_SERIAL },
    { 3, "asset", T3_ASSET }, { 3, "sku", T3_SKU },
    { 4, "sock_pfx", T4_SOCKET }, { 4, "manufacturer", T4_MANUFACTURER }, { 4, "version", T4_VERSION },
    { 4, "serial", T4_SERIAL }, { 4, "asset", T4_ASSET }, { 4, "part", T4_PART },
    { 17, "loc_pfx", T17_LOCATOR }, { 17, "bank", T17_BANK }, { 17, "manufacturer", T17_MANUFACTURER },
    { 17, "serial", T17_SERIAL }, { 17, "asset", T17_ASSET }, { 17, "part", T17_PART },
};

static void port_clear(void *p)
{
    g_free(((SmbiosPort *)p)->internal);
    g_free(((SmbiosPort *)p)->external);
}

static void onboard_clear(void *p)
{
    g_free(((SmbiosOnboard *)p)->designation);
    g_free(((SmbiosOnboard *)p)->pcidev);
}

Smbios *smbios_new(void)
{
    Smbios *s = g_new0(Smbios, 1);

    s->blobs = g_byte_array_new();
    s->ports = g_array_new(false, true, sizeof(SmbiosPort));
    g_array_set_clear_func(s->ports, port_clear);
    s->oem = g_ptr_array_new_with_free_func(g_free);
    s->onboard = g_array_new(false, true, sizeof(SmbiosOnboard));
    g_array_set_clear_func(s->onboard, onboard_clear);
    s->max_speed = s->current_speed = 2000;
    return s;
}

void smbios_free(Smbios *s)
{
    for (unsigned i = 0; i < SMBIOS_STRINGS; i++)
        g_free(s->str[i]);
    g_byte_array_unref(s->blobs);
    g_array_unref(s->ports);
    g_ptr_array_unref(s->oem);
    g_array_unref(s->onboard);
    g_free(s);
}

const uint8_t *smbios_uuid(const Smbios *s)
{
    return s->has_uuid ? s->uuid : NULL;
}

/* ---- file= ---- */

/* Is it one structure: a header, that much formatted area, strings and two zeros at the end? */
static bool well_formed(const uint8_t *p, size_t len)
{
    size_t at;

    if (len < 6 || p[1] < 4 || p[1] + 2u > len)
        return false;
    for (at = p[1]; at + 1 < len; at++)
        if (!p[at] && !p[at + 1])
            return at + 2 == len && (at == p[1] || p[p[1]]);
    return false;
}

static bool add_file(Smbios *s, const char *path, GError **err)
{
    g_autofree char *data = NULL;
    g_autoptr(GError) why = NULL;
    uint8_t type;
    gsize len;

    if (!g_file_get_contents(path, &data, &len, &why))
        return error_set(err, "Cannot read SMBIOS file %s: %s", path, error_file_reason(why));
    if (len < 4 || !well_formed((uint8_t *)data, len))
        return error_set(err, "SMBIOS file %s is not one structure with its strings and closing zeros", path);
    type = data[0];
    if (type < 128 && smbios_bit(s->given, type))
        return error_set(err, "can't load type %d struct, fields already specified!", type);
    smbios_set_bit(s->loaded, type);
    g_byte_array_append(s->blobs, (uint8_t *)data, len);
    s->n_blobs++;
    s->longest_blob = MAX(s->longest_blob, len);
    return true;
}

/* ---- type= ---- */

static bool parse_hex(const char **p, unsigned n, uint8_t *out)
{
    for (unsigned i = 0; i < n; i++, *p += 2) {
        if (!g_ascii_isxdigit((*p)[0]) || !g_ascii_isxdigit((*p)[1]))
            return false;
        out[i] = g_ascii_xdigit_value((*p)[0]) << 4 | g_ascii_xdigit_value((*p)[1]);
    }
    return true;
}

static bool parse_uuid(const char *text, uint8_t out[16])
{
    static const uint8_t group[] = { 4, 2, 2, 2, 6 };

    for (unsigned i = 0; i < 5; i++) {
        if (i && *text++ != '-')
            return false;
        if (!parse_hex(&text, group[i], out))
            return false;
        out += group[i];
    }
    return !*text;
}

static bool parse_bios(Smbios *s, Opts *o, GError **err)
{
    const char *release = opts_get(o, "release");
    unsigned major, minor;

    if (release) {
        if (sscanf(release, "%u.%u", &major, &minor) != 2)
            return error_set(err, "Invalid release '%s': expected MAJOR.MINOR, such as 1.2", release);
        s->bios_release = true;
        s->bios_major = major;
        s->bios_minor = minor;
    }
    return opts_get_bool(o, "uefi", s->uefi, &s->uefi, err);
}

static bool parse_system(Smbios *s, Opts *o, GError **err)
{
    const char *uuid = opts_get(o, "uuid");

    if (uuid && !parse_uuid(uuid, s->uuid))
        return error_set(err, "Invalid UUID '%s': expected one such as 550e8400-e29b-41d4-a716-446655440000", uuid);
    s->has_uuid |= uuid != NULL;
    return true;
}

static bool parse_speed(Opts *o, const char *name, uint16_t *v, GError **err)
{
    const char *text = opts_get(o, name);
    uint64_t n = *v;

    if (text && !parse_u64_text(text, &n))
        return error_set(err, "Parameter '%s' expects a number, not '%s'", name, text);
    if (n > 65535)
        return error_set(err, "SMBIOS CPU speed is too large (> 65535)");
    *v = n;
    return true;
}

static bool parse_processor(Smbios *s, Opts *o, GError **err)
{
    return parse_speed(o, "max-speed", &s->max_speed, err) && parse_speed(o, "current-speed", &s->current_speed, err)
        && opts_get_u64(o, "processor-id", s->processor_id, UINT64_MAX, &s->processor_id, err);
}

static bool parse_port(Smbios *s, Opts *o, GError **err)
{
    SmbiosPort p = { 0 };
    uint64_t connector, port;

    if (!opts_get_u64(o, "connector_type", 0, 255, &connector, err) || !opts_get_u64(o, "port_type", 0, 255, &port, err))
        return false;
    p.connector = connector;
    p.port = port;
    p.internal = g_strdup(opts_get(o, "internal_reference"));
    p.external = g_strdup(opts_get(o, "external_reference"));
    g_array_append_val(s->ports, p);
    return true;
}

static bool add_oem_file(Smbios *s, const char *path, GError **err)
{
    g_autoptr(GError) why = NULL;
    char *data;
    gsize len;

    if (!g_file_get_contents(path, &data, &len, &why))
        return error_set(err, "Could not open '%s': %s", path, error_file_reason(why));
    if (memchr(data, 0, len)) {
        g_free(data);
        return error_set(err, "NUL in OEM strings value in %s", path);
    }
    g_ptr_array_add(s->oem, data);
    return true;
}

/* value= and path= may be repeated, also within one option. */
static bool parse_oem(Smbios *s, Opts *o, GError **err)
{
    for (unsigned i = 0; i < o->list->len; i++) {
        Opt *item = &g_array_index(o->list, Opt, i);

        if (!strcmp(item->name, "value"))
            g_ptr_array_add(s->oem, g_strdup(item->value));
        else if (!strcmp(item->name, "path") && !add_oem_file(s, item->value, err))
            return false;
    }
    opts_get(o, "value");
    opts_get(o, "path");
    return true;
}

static bool parse_memory(Smbios *s, Opts *o, GError **err)
{
    uint64_t v;

    if (!opts_get_u64(o, "speed", s->memory_speed, 65535, &v, err))
        return false;
    s->memory_speed = v;
    return true;
}

static bool parse_onboard(Smbios *s, Opts *o, GError **err)
{
    static const char *const kinds[] = {
        "other", "unknown", "video", "scsi", "ethernet", "tokenring", "sound", "pata", "sata", "sas", NULL
    };
    const char *kind = opts_get(o, "kind");
    SmbiosOnboard d = { .kind = 1 };
    uint64_t instance;

    if (!opts_get_u64(o, "instance", 0, 255, &instance, err))
        return false;
    if (kind) {
        d.kind = 0;
        for (unsigned i = 0; kinds[i]; i++)
            if (!strcmp(kinds[i], kind))
                d.kind = i + 1;
        if (!d.kind)
            return error_set(err, "kind=%s is none of 'other', 'unknown', 'video', 'scsi', 'ethernet', 'tokenring', 'sound', "
                             "'pata', 'sata', 'sas'", kind);
    }
    d.instance = instance;
    d.designation = g_strdup(opts_get(o, "designation"));
    d.pcidev = g_strdup(opts_get(o, "pcidev"));
    g_array_append_val(s->onboard, d);
    return true;
}

static bool parse_fields(Smbios *s, unsigned type, Opts *o, GError **err)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(strings); i++) {
        const char *v = strings[i].type == type ? opts_get(o, strings[i].name) : NULL;

        if (v) {
            g_free(s->str[strings[i].id]);
            s->str[strings[i].id] = g_strdup(v);
        }
    }
    switch (type) {
    case 0: return parse_bios(s, o, err);
    case 1: return parse_system(s, o, err);
    case 2: case 3: return true;
    case 4: return parse_processor(s, o, err);
    case 8: return parse_port(s, o, err);
    case 11: return parse_oem(s, o, err);
    case 17: return parse_memory(s, o, err);
    case 41: return parse_onboard(s, o, err);
    default: return error_set(err, "Don't know how to build fields for SMBIOS type %u (only for 0-4, 8, 11, 17 and 41)", type);
    }
}

/* type -1: of file=. */
static bool all_known(const Opts *o, int type, GError **err)
{
    static const struct { int type; const char *name; } others[] = {
        { -1, "file" }, { 0, "release" }, { 0, "uefi" }, { 1, "uuid" }, { 4, "max-speed" }, { 4, "current-speed" },
        { 4, "processor-id" }, { 8, "internal_reference" }, { 8, "external_reference" }, { 8, "connector_type" },
        { 8, "port_type" }, { 11, "value" }, { 11, "path" }, { 17, "speed" }, { 41, "designation" }, { 41, "kind" },
        { 41, "instance" }, { 41, "pcidev" },
    };
    g_autoptr(GPtrArray) names = g_ptr_array_new();

    for (unsigned i = 0; i < G_N_ELEMENTS(strings); i++)
        if (strings[i].type == type)
            g_ptr_array_add(names, (char *)strings[i].name);
    for (unsigned i = 0; i < G_N_ELEMENTS(others); i++)
        if (others[i].type == type)
            g_ptr_array_add(names, (char *)others[i].name);
    g_ptr_array_add(names, NULL);
    return opts_all_used(o, type < 0 ? "file=" : "type=", (const char *const *)names->pdata, err);
}

static bool add_option(Smbios *s, Opts *o, GError **err)
{
    const char *file = opts_get(o, "file"), *text = opts_get(o, "type");
    uint64_t type;

    if (file)
        return all_known(o, -1, err) && add_file(s, file, err);
    if (!text)
        return error_set(err, "Must specify type= or file=");
    if (*text != '-' && !parse_u64_text(text, &type))
        return error_set(err, "Parameter 'type' expects a number, not '%s'", text);
    if (*text == '-' || type > 127)
        return error_set(err, "Parameter 'type' is out of range: %s (0 to 127)", text);
    if (smbios_bit(s->loaded, type))
        return error_set(err, "can't add fields, binary file already loaded!");
    smbios_set_bit(s->given, type);
    return parse_fields(s, type, o, err) && all_known(o, type, err);
}

bool smbios_add_option(Smbios *s, const char *text, GError **err)
{
    g_autoptr(Opts) o = opts_parse(text, NULL, err);

    if (!o)
        return false;
    if (!add_option(s, o, err)) {
        g_prefix_error(err, "-smbios %s: ", text);
        return false;
    }
    return true;
}
