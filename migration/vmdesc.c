/*
 * Descriptions of state tables: the JSON at the end of a stream, and -dump-vmstate.
 *
 * Nobody needs the first one to load a stream; it lets people and scripts read one.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "migration/sections.h"
#include "util/error.h"

static unsigned elements(const Field *f, const void *obj)
{
    unsigned n = f->count ? f->count : f->elt ? f->size / f->elt : 1;

    return f->n && obj ? MIN(f->n(obj), n) : n;
}

static bool on_wire(const Field *f, const void *obj)
{
    switch (f->kind) {
    case F_UINT: case F_INT: case F_BOOL: case F_TIMER: case F_STRUCT: case F_UNUSED: case F_VIRTUAL:
        return !f->exists || !obj || f->exists(obj);
    default:
        return false;
    }
}

static bool is_buffer(const Field *f)
{
    return f->kind == F_UINT && f->elt == 1 && f->wire == 1 && f->size > 1;
}

static char *type_name(const Field *f)
{
    const char *equal = f->equal ? " equal" : "";

    switch (f->kind) {
    case F_BOOL: return g_strdup("bool");
    case F_TIMER: return g_strdup("timer");
    case F_STRUCT: return g_strdup("struct");
    case F_UNUSED: return g_strdup("unused_buffer");
    default:
        if (is_buffer(f))
            return g_strdup("buffer");
        return g_strdup_printf("%sint%u%s", f->kind == F_INT || f->wire_sign ? "" : "u", 8 * f->wire, equal);
    }
}

static bool all_alike(const StateTable *t)
{
    if (t->subsections)
        return false;
    for (const Field *f = t->fields; f->kind; f++)
        if (f->exists || f->n || (f->kind == F_STRUCT && !all_alike(f->sub)))
            return false;
    return true;
}

/* ---- Of a stream ---- */

static json_t *describe_struct(const Field *f, char *p, int index, unsigned n)
{
    g_autoptr(GByteArray) data = g_byte_array_new();
    json_t *j = json_pack("{s:s}", "name", f->name);

    if (n > 1)
        json_object_set_new(j, index < 0 ? "array_len" : "index", json_integer(index < 0 ? (int)n : index));
    json_object_set_new(j, "type", json_string("struct"));
    json_object_set_new(j, "struct", state_describe(f->sub, p));
    state_save(f->sub, p, data);
    json_object_set_new(j, "size", json_integer(data->len));
    return j;
}

static void describe_field(const Field *f, void *obj, json_t *out)
{
    g_autofree char *type = type_name(f);
    unsigned n = elements(f, obj);
    char *p = (char *)obj + f->off;
    json_t *j;

    if (f->kind == F_STRUCT) {
        if (n > 1 && all_alike(f->sub)) {
            json_array_append_new(out, describe_struct(f, p, -1, n));
            return;
        }
        for (unsigned i = 0; i < n; i++)
            json_array_append_new(out, describe_struct(f, p + i * f->elt, i, n));
        return;
    }
    j = json_pack("{s:s}", "name", f->name);
    if (f->kind == F_UNUSED || is_buffer(f)) {
        json_object_set_new(j, "type", json_string(type));
        json_object_set_new(j, "size", json_integer(n));
    } else {
        if (f->kind != F_VIRTUAL && n != 1)
            json_object_set_new(j, "array_len", json_integer(n));
        json_object_set_new(j, "type", json_string(type));
        json_object_set_new(j, "size", json_integer(f->kind == F_TIMER ? 8 : f->wire));
    }
    json_array_append_new(out, j);
}

json_t *state_describe(const StateTable *t, void *obj)
{
    json_t *fields = json_array(), *subs = NULL;
    json_t *j = json_pack("{s:s,s:i,s:o}", "vmsd_name", t->name, "version", t->version, "fields", fields);

    for (const Field *f = t->fields; f->kind; f++)
        if (on_wire(f, obj))
            describe_field(f, obj, fields);
    for (const StateTable *const *s = t->subsections; s && *s; s++) {
        if ((*s)->needed && !(*s)->needed(obj))
            continue;
        if (!subs)
            json_object_set_new(j, "subsections", subs = json_array());
        json_array_append_new(subs, state_describe(*s, obj));
    }
    return j;
}

/* ---- Of types ---- */

static json_t *dump_table(const StateTable *t);

static json_t *dump_field(const Field *f)
{
    json_t *j = json_pack("{s:s,s:i,s:b}", "field", f->name, "version_id", f->since, "field_exists", f->exists != NULL);
    unsigned size = f->kind == F_STRUCT ? f->elt : f->kind == F_TIMER ? 8 : f->kind == F_UNUSED ? f->size
                    : f->kind == F_VIRTUAL ? f->wire : f->elt;

    json_object_set_new(j, "size", json_integer(is_buffer(f) ? f->size : size));
    if (f->kind == F_STRUCT)
        json_object_set_new(j, "Description", dump_table(f->sub));
    return j;
}

static json_t *dump_table(const StateTable *t)
{
    json_t *fields = json_array(), *subs = NULL;
    json_t *j = json_pack("{s:s,s:i,s:i}", "name", t->name, "version_id", t->version, "minimum_version_id", t->min_version);

    for (const Field *f = t->fields; f->kind; f++)
        if (on_wire(f, NULL))
            json_array_append_new(fields, dump_field(f));
    if (json_array_size(fields))
        json_object_set(j, "Fields", fields);
    json_decref(fields);
    for (const StateTable *const *s = t->subsections; s && *s; s++) {
        if (!subs)
            json_object_set_new(j, "Subsections", subs = json_array());
        json_array_append_new(subs, dump_table(*s));
    }
    return j;
}

bool dump_vmstate(const char *machine, const char *file, GError **err)
{
    json_t *all = json_pack("{s:{s:s}}", "vmschkmachine", "Name", machine);
    bool to_stdout = !strcmp(file, "-"), ok;
    FILE *f = to_stdout ? stdout : fopen(file, "w");

    if (!f) {
        json_decref(all);
        return error_set_errno(err, errno, "%s: cannot write the description", file);
    }
    for (const DeviceType *const *t = device_types; *t; t++) {
        const StateTable *s = (*t)->state;

        if (s)
            json_object_set_new(all, (*t)->name, json_pack("{s:s,s:i,s:i,s:o}", "Name", (*t)->name, "version_id", s->version,
                                                          "minimum_version_id", s->min_version, "Description", dump_table(s)));
    }
    ok = json_dumpf(all, f, JSON_INDENT(2)) == 0 && fputc('\n', f) != EOF && fflush(f) == 0;
    json_decref(all);
    if (!to_stdout)
        ok = fclose(f) == 0 && ok;
    return ok || error_set(err, "%s: cannot write the description", file);
}
