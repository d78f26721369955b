/* Commands that plug and unplug. */
#include <string.h>
#include "hw/core/machine.h"
#include "migration/migration.h"
#include "monitor/monitor-int.h"
#include "monitor/qmp-schema.h"

static json_t *add_device(Monitor *mon, json_t *args, GError **err)
{
    g_autofree char *text = json_dumps(args, JSON_COMPACT);

    if (migration_is_idle())
        device_add_opts(mon_machine, text, true, err);
    else
        error_set(err, "device_add not allowed while migrating");
    return NULL;
}

static void hmp_device_add(Monitor *mon, json_t *args)
{
    const char *opts = arg_str(args, "opts"), *comma = strchr(opts, ',');
    g_autofree char *type = g_strndup(opts, comma ? (size_t)(comma - opts) : strlen(opts));
    GString *out = g_string_new(NULL);
    GError *err = NULL;

    if (!*opts)
        error_set(&err, "Parameter 'driver' is missing");
    else if (!strcmp(type, "help") || !strcmp(type, "?"))
        device_list_help(out);
    else if (comma && (!strcmp(comma, ",help") || !strcmp(comma, ",?")))
        device_type_help(type, out, &err);
    else if (!migration_is_idle())
        error_set(&err, "device_add not allowed while migrating");
    else
        device_add_opts(mon_machine, opts, true, &err);
    mon_puts(mon, out->str);
    g_string_free(out, true);
    if (err)
        mon_print_error(mon, err);
}

static json_t *del_device(Monitor *mon, json_t *args, GError **err)
{
    const char *id = arg_str(args, "id");
    Device *d = device_find(mon_machine, id);

    if (!d)
        error_set_class(err, ERR_DEVICE_NOT_FOUND, "Device '%s' not found", id);
    else if (!d->bus || !d->bus->type->request_unplug || !d->type->hotplug)
        error_set(err, "Device '%s' does not support hotplugging", d->type->name);
    else if (!migration_is_idle())
        error_set(err, "device_del not allowed while migrating");
    else if (vm_now(d) < d->unplug_until)
        error_set(err, "Device %s is already in the process of unplug", id);
    else
        d->bus->type->request_unplug(d->bus, d, err);
    return NULL;
}

void complete_device_type(int nb, const char *begun, CompleteAdd *add, void *opaque)
{
    for (const DeviceType *const *t = device_types; nb == 1 && *t; t++) {
        if (!(*t)->internal && g_str_has_prefix((*t)->name, begun))
            add(opaque, (*t)->name);
    }
}

typedef struct Completing { const char *begun; CompleteAdd *add; void *opaque; } Completing;

static bool complete_one(Device *d, void *opaque)
{
    Completing *x = opaque;

    if (d->id && d->type->hotplug && g_str_has_prefix(d->id, x->begun))
        x->add(x->opaque, d->id);
    return true;
}

void complete_device_id(int nb, const char *begun, CompleteAdd *add, void *opaque)
{
    Completing x = { begun, add, opaque };

    if (nb == 1)
        machine_foreach_device(mon_machine, complete_one, &x);
}

const MonCommand commands_device[] = {
    { "device_add", "opts:line", "driver[,prop=value][,...]", "add device, like -device on the command line", .qmp = "device_add",
      .in = "{driver:str *bus:str *id:str ...}", .features = "json-cli json-cli-hotplug", .run = add_device, .print = hmp_device_add,
      .complete = complete_device_type },
    { "device_del", "id:str", "device", "remove device", .qmp = "device_del", .in = "{id:str}", .run = del_device,
      .complete = complete_device_id },
    { 0 },
};
