/*
 * The files bootorder and bios-geometry: from which devices the firmware boots, by their Open Firmware paths, and the
 * geometry that it shows of disks.
 */
#include <stdlib.h>
#include <string.h>
#include "hw/i386/tables.h"
#include "hw/nvram/fw_cfg.h"
#include "util/error.h"

typedef struct Entry { int64_t index; char *path; } Entry;
typedef struct Scan {
    GArray *entries;                    /* Entry, by index */
    GString *geometry;
    GError *err;
} Scan;

static void entry_clear(void *p)
{
    g_free(((Entry *)p)->path);
}

/* What stands behind the device's own path: the part of it that is booted. */
static const char *unit_of(const Device *d)
{
    if (g_str_has_prefix(d->type->name, "virtio-blk"))
        return "/disk@0,0";
    if (!strcmp(d->type->name, "nvme"))
        return "/namespace@1,0";
    return d->type->category == CAT_NETWORK ? "/ethernet-phy@0" : "";
}

static bool add_entry(Scan *s, int64_t index, const char *path, const char *unit)
{
    Entry e = { index, g_strconcat(path, unit, NULL) };
    unsigned at = 0;

    while (at < s->entries->len && g_array_index(s->entries, Entry, at).index < index)
        at++;
    if (at < s->entries->len && g_array_index(s->entries, Entry, at).index == index) {
        entry_clear(&e);
        return error_set(&s->err, "The bootindex %" G_GINT64_FORMAT " has already been used", index);
    }
    g_array_insert_val(s->entries, at, e);
    return true;
}

/* The number that a property holds, or def when the device has none of that name. */
static int64_t number(Device *d, const char *prop, int64_t def)
{
    for (const DeviceType *t = d->type; t; t = t->parent)
        for (const Property *p = t->props; p && p->name; p++)
            if (!strcmp(p->name, prop)) {
                g_autofree char *text = device_get(d, prop, NULL);

                return text ? g_ascii_strtoll(text, NULL, 0) : def;
            }
    return def;
}

static void add_geometry(Scan *s, Device *d, const char *path)
{
    int64_t c = number(d, "lcyls", 0), h = number(d, "lheads", 0), n = number(d, "lsecs", 0);

    if (c && h && n)
        g_string_append_printf(s->geometry, "%s%s %" G_GINT64_FORMAT " %" G_GINT64_FORMAT " %" G_GINT64_FORMAT,
                               s->geometry->len ? "\n" : "", path, c, h, n);
}

static bool visit(Device *d, void *opaque)
{
    static const char *const floppy[2][2] = { { "bootindexA", "/floppy@0" }, { "bootindexB", "/floppy@1" } };
    g_autofree char *path = device_fw_path(d);
    Scan *s = opaque;

    if (!strcmp(d->type->name, "isa-fdc")) {
        for (unsigned i = 0; i < 2; i++) {
            int64_t index = number(d, floppy[i][0], -1);

            if (index >= 0 && !add_entry(s, index, path, floppy[i][1]))
                return false;
        }
    }
    if (d->bootindex >= 0 && !add_entry(s, d->bootindex, path, unit_of(d)))
        return false;
    add_geometry(s, d, path);
    return true;
}

/* A list of lines as the firmware takes it: closed by a zero; empty: nothing at all. */
static bool write_list(FwCfg *f, const char *name, const GString *text, GError **err)
{
    return fw_cfg_modify_file(f, name, text->str, text->len ? text->len + 1 : 0, err);
}

bool bootorder_update(Machine *m, FwCfg *f, const char *first_rom, bool strict, GError **err)
{
    Scan s = { g_array_new(false, false, sizeof(Entry)), g_string_new(NULL), NULL };
    GString *order = g_string_new(NULL);
    bool ok = true;

    g_array_set_clear_func(s.entries, entry_clear);
    if (first_rom) {
        g_autofree char *path = g_strconcat("/rom@", first_rom, NULL);

        ok = add_entry(&s, 0, path, "");
    }
    ok = ok && machine_foreach_device(m, visit, &s);
    for (unsigned i = 0; i < s.entries->len; i++)
        g_string_append_printf(order, "%s%s", i ? "\n" : "", g_array_index(s.entries, Entry, i).path);
    if (strict && order->len)
        g_string_append(order, "\nHALT");
    if (ok)
        ok = write_list(f, "bootorder", order, err) && write_list(f, "bios-geometry", s.geometry, err);
    else
        g_propagate_error(err, s.err);
    g_array_unref(s.entries);
    g_string_free(s.geometry, true);
    g_string_free(order, true);
    return ok;
}
