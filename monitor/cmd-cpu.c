/* QMP about CPU models: query-cpu-definitions, query-cpu-model-expansion. */
#include <string.h>
#include "hw/core/machine.h"
#include "monitor/monitor-int.h"
#include "target/i386/cpu.h"

static void add_model(const X86ModelInfo *i, void *opaque)
{
    json_t *missing = json_array(), *o;

    for (unsigned k = 0; k < i->unavailable->len; k++)
        json_array_append_new(missing, json_string(i->unavailable->pdata[k]));
    o = json_pack("{s:s,s:s,s:o,s:b,s:b,s:b}", "name", i->name, "typename", i->type, "unavailable-features", missing, "static", i->is_static,
                  "migration-safe", i->migration_safe, "deprecated", 0);
    if (i->alias_of)
        json_object_set_new(o, "alias-of", json_string(i->alias_of));
    json_array_append_new(opaque, o);
}

static json_t *query_cpu_definitions(Monitor *mon, json_t *args, GError **err)
{
    json_t *a = json_array();

    x86_models_foreach(mon_machine, add_model, a);
    return a;
}

static bool set_props(Device *d, json_t *props, GError **err)
{
    const char *name;
    json_t *v;

    json_object_foreach(props, name, v) {
        g_autofree char *number = json_is_integer(v) ? g_strdup_printf("%" JSON_INTEGER_FORMAT, json_integer_value(v)) : NULL;
        const char *text = json_is_boolean(v) ? (json_is_true(v) ? "on" : "off") : number ? number : json_string_value(v);

        if (!text)
            return error_set(err, "Invalid parameter type for '%s', expected: a boolean, a number or a string", name);
        if (!device_set(d, name, text, err))
            return false;
    }
    return true;
}

/* What a static expansion has besides the features. */
static bool is_basic(const char *name)
{
    static const char *const names[] = { "family", "model", "stepping", "vendor", "model-id", "min-level", "min-xlevel", "lmce", NULL };

    return g_strv_contains(names, name);
}

static json_t *expand(Device *d, bool full)
{
    json_t *props = json_object();

    for (const Property *p = d->type->props; p->name; p++) {
        if (full || is_basic(p->name) || x86_is_feature(p->name))
            json_object_set_new(props, p->name, qom_value(d, p, NULL));
    }
    return props;
}

static json_t *query_cpu_model_expansion(Monitor *mon, json_t *args, GError **err)
{
    json_t *model = json_object_get(args, "model"), *out = NULL;
    bool full = !strcmp(arg_str(args, "type"), "full");
    Device *d = x86_model_new(mon_machine, arg_str(model, "name"), err);

    if (!d)
        return NULL;
    if (set_props(d, json_object_get(model, "props"), err) && x86_model_expand(d, err))
        out = json_pack("{s:{s:s,s:o}}", "model", "name", full ? arg_str(model, "name") : "base", "props", expand(d, full));
    x86_model_free(d);
    return out;
}

const MonCommand commands_cpu[] = {
    { .qmp = "query-cpu-definitions", .out = "[CpuDefinitionInfo]", .run = query_cpu_definitions, .flags = CMD_PRECONFIG },
    { .qmp = "query-cpu-model-expansion", .in = "{type:<full|static> model:CpuModelInfo}", .out = "{model:CpuModelInfo}",
      .run = query_cpu_model_expansion, .flags = CMD_PRECONFIG },
    { 0 },
};
