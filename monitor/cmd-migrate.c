/* Commands of migration: start, stop, settings, questions. */
#include <inttypes.h>
#include <string.h>
#include "migration/migration.h"
#include "migration/params.h"
#include "migration/postcopy.h"
#include "migration/snapshot.h"
#include "monitor/monitor-int.h"
#include "monitor/qmp-schema.h"
#include "util/opts.h"

#define PROGRESS_MS 500

/* ---- migrate ---- */

static json_t *start_migration(Monitor *mon, json_t *args, GError **err)
{
    if (arg_bool(args, "blk") || arg_bool(args, "inc"))
        error_set(err, "Migrating the disks' contents ('block') is not supported");
    else if (arg_bool(args, "resume"))
        postcopy_resume(arg_str(args, "uri"), err);
    else
        migration_start(arg_str(args, "uri"), err);
    return NULL;
}

typedef struct Progress { Monitor *mon; guint timer; } Progress;

static double number(json_t *ram, const char *name)
{
    return json_number_value(json_object_get(ram, name));
}

static bool alive(const Progress *p)
{
    return monitors && g_ptr_array_find(monitors, p->mon, NULL);
}

/* "12.3/64.0 MiB  85.1 MiB/s  dirty 0 pages/s  downtime 300 ms  ETA 1 s" over the last line. */
static gboolean show_progress(gpointer opaque)
{
    Progress *p = opaque;
    json_t *info, *ram;

    if (!alive(p) || !p->mon->rl)
        return G_SOURCE_CONTINUE;
    info = migration_query();
    ram = json_object_get(info, "ram");
    if (ram) {
        double left = number(ram, "remaining"), rate = number(ram, "mbps") * 1e6 / 8;

        mon_printf(p->mon, "\r%.1f/%.1f MiB  %.1f MiB/s  dirty %.0f pages/s  downtime %.0f ms  ETA %.0f s\033[K",
                   (number(ram, "total") - left) / 1048576, number(ram, "total") / 1048576, rate / 1048576,
                   number(ram, "dirty-pages-rate"), number(info, "expected-downtime"), rate > 0 ? left / rate : 0.0);
        monitor_flush(p->mon);
    }
    json_decref(info);
    return G_SOURCE_CONTINUE;
}

static void migration_over(void *opaque)
{
    Progress *p = opaque;

    g_source_remove(p->timer);
    if (alive(p)) {
        json_t *info = migration_query(), *ram = json_object_get(info, "ram");

        if (p->mon->rl)
            mon_printf(p->mon, "\r\033[K");
        if (ram)
            mon_printf(p->mon, "%s: %.1f MiB in %.0f ms, downtime %.0f ms\n", migration_status_name(migration_status()),
                       number(ram, "transferred") / 1048576, number(info, "total-time"), number(info, "downtime"));
        else if (migration_error())
            mon_printf(p->mon, "Error: %s\n", migration_error());
        else
            mon_printf(p->mon, "%s\n", migration_status_name(migration_status()));
        json_decref(info);
        monitor_resume(p->mon);
        monitor_flush(p->mon);
    }
    g_free(p);
}

static void hmp_migrate(Monitor *mon, json_t *args)
{
    GError *err = NULL;
    Progress *p;

    start_migration(mon, args, &err);
    if (err) {
        mon_print_error(mon, err);
        return;
    }
    if (arg_bool(args, "detach"))
        return;
    if (mon->memory) {
        mon_printf(mon, "terminal does not allow synchronous migration, continuing detached\n");
        return;
    }
    p = g_new0(Progress, 1);
    p->mon = mon;
    p->timer = g_timeout_add(PROGRESS_MS, show_progress, p);
    monitor_suspend(mon);
    migration_when_over(migration_over, p);
}

static json_t *cancel(Monitor *mon, json_t *args, GError **err)
{
    migration_cancel();
    return NULL;
}

static json_t *go_on(Monitor *mon, json_t *args, GError **err)
{
    migration_continue(arg_str(args, "state"), err);
    return NULL;
}

static json_t *incoming(Monitor *mon, json_t *args, GError **err)
{
    incoming_by_command(arg_str(args, "uri"), err);
    return NULL;
}

static json_t *pause_migration(Monitor *mon, json_t *args, GError **err)
{
    if (incoming_status() == MIG_POSTCOPY_ACTIVE)
        incoming_pause(err);
    else
        postcopy_pause(err);
    return NULL;
}

static json_t *recover(Monitor *mon, json_t *args, GError **err)
{
    incoming_recover(arg_str(args, "uri"), err);
    return NULL;
}

static json_t *start_postcopy(Monitor *mon, json_t *args, GError **err)
{
    postcopy_start(err);
    return NULL;
}

/* ---- Capabilities ---- */

static json_t *set_capabilities(Monitor *mon, json_t *args, GError **err)
{
    json_t *list = json_object_get(args, "capabilities"), *c;
    size_t i;

    if (!migration_is_idle()) {
        error_set(err, "There's a migration process in progress");
        return NULL;
    }
    json_array_foreach(list, i, c)
        if (!migration_set_cap(arg_str(c, "capability"), arg_bool(c, "state"), err))
            break;
    return NULL;
}

static void hmp_set_capability(Monitor *mon, json_t *args)
{
    GError *err = NULL;

    if (!migration_is_idle())
        error_set(&err, "There's a migration process in progress");
    else
        migration_set_cap(arg_str(args, "capability"), arg_bool(args, "state"), &err);
    if (err)
        mon_print_error(mon, err);
}

static json_t *query_capabilities(Monitor *mon, json_t *args, GError **err)
{
    json_t *list = json_array();

    for (MigCap c = 0; c < CAP_COUNT; c++)
        json_array_append_new(list, json_pack("{s:b,s:s}", "state", migration_cap(c), "capability", migration_cap_name(c)));
    return list;
}

static void info_capabilities(Monitor *mon, json_t *args)
{
    for (MigCap c = 0; c < CAP_COUNT; c++)
        mon_printf(mon, "%s: %s\n", migration_cap_name(c), migration_cap(c) ? "on" : "off");
}

static void complete_capability(int nb, const char *begun, CompleteAdd *add, void *opaque)
{
    static const char *const states[] = { "on", "off", NULL };

    if (nb == 1)
        complete_from(qmp_enum("MigrationCapability"), begun, add, opaque);
    else if (nb == 2)
        complete_from(states, begun, add, opaque);
}

/* ---- Parameters ---- */

static bool set_param(MigParam p, json_t *v, bool only_check, GError **err)
{
    MigParamKind kind = migration_params[p].kind;
    int64_t n = json_is_boolean(v) ? json_is_true(v) : json_integer_value(v);

    if (kind == MIG_STR || kind == MIG_ENUM)
        return only_check || migration_set_param_str(p, json_string_value(v), err);
    return only_check ? migration_check_param(p, n, err) : migration_set_param(p, n, err);
}

/* All or none. */
static json_t *set_parameters(Monitor *mon, json_t *args, GError **err)
{
    for (int only_check = 1; only_check >= 0; only_check--) {
        const char *name;
        json_t *v;

        json_object_foreach(args, name, v)
            if (!set_param(migration_param_find(name), v, only_check, err))
                return NULL;
    }
    return NULL;
}

static bool parse_param(MigParam p, const char *text, GError **err)
{
    const MigParamRow *r = &migration_params[p];
    uint64_t n;
    bool on;

    switch (r->kind) {
    case MIG_STR: case MIG_ENUM:
        return migration_set_param_str(p, text, err);
    case MIG_BOOL:
        if (!parse_bool_text(text, &on))
            return error_set(err, "Parameter '%s' expects 'on' or 'off'", r->name);
        return migration_set_param(p, on, err);
    default:
        if (!parse_size_text(text, p == PARAM_MAX_BANDWIDTH || p == PARAM_MAX_POSTCOPY_BANDWIDTH ? 1 << 20 : 1, &n) ||
            n > INT64_MAX)
            return p == PARAM_MAX_BANDWIDTH ? error_set(err, "Invalid size %s", text)
                   : error_set(err, "Parameter '%s' expects a non-negative number below 2^64\nOptional suffix k, M, G, T, P or E "
                                    "means kilo-, mega-, giga-, tera-, peta-\nand exabytes, respectively.", r->name);
        return migration_set_param(p, n, err);
    }
}

static void hmp_set_parameter(Monitor *mon, json_t *args)
{
    const char *name = arg_str(args, "parameter");
    GError *err = NULL;
    int p = migration_param_find(name);

    if (!strcmp(name, "block-bitmap-mapping"))
        error_set(&err, "The block-bitmap-mapping parameter can only be set through QMP");
    else if (p < 0)
        error_set(&err, "invalid parameter value: %s", name);
    else
        parse_param(p, arg_str(args, "value"), &err);
    if (err)
        mon_print_error(mon, err);
}

static json_t *param_json(MigParam p)
{
    switch (migration_params[p].kind) {
    case MIG_STR: case MIG_ENUM: return json_string(migration_param_str(p));
    case MIG_BOOL: return json_boolean(migration_param(p));
    default: return json_integer(migration_param(p));
    }
}

static json_t *query_parameters(Monitor *mon, json_t *args, GError **err)
{
    json_t *j = json_object();

    for (MigParam p = 0; p < PARAM_COUNT; p++)
        json_object_set_new(j, migration_params[p].name, param_json(p));
    return j;
}

static void info_parameters(Monitor *mon, json_t *args)
{
    for (MigParam p = 0; p < PARAM_COUNT; p++) {
        const MigParamRow *r = &migration_params[p];

        if (!r->unit)
            continue;
        if (r->kind == MIG_STR)
            mon_printf(mon, "%s: '%s'\n", r->name, migration_param_str(p));
        else if (r->kind == MIG_ENUM)
            mon_printf(mon, "%s: %s\n", r->name, migration_param_str(p));
        else if (r->kind == MIG_BOOL)
            mon_printf(mon, "%s: %s\n", r->name, migration_param(p) ? "on" : "off");
        else
            mon_printf(mon, "%s: %" PRId64 "%s\n", r->name, migration_param(p), r->unit);
    }
}

static void complete_parameter(int nb, const char *begun, CompleteAdd *add, void *opaque)
{
    for (MigParam p = 0; nb == 1 && p < PARAM_COUNT; p++)
        if (g_str_has_prefix(migration_params[p].name, begun))
            add(opaque, migration_params[p].name);
}

/* ---- info migrate ---- */

static json_t *query_migrate(Monitor *mon, json_t *args, GError **err)
{
    return migration_query();
}

static void print_time(Monitor *mon, json_t *info, const char *name, const char *shown)
{
    json_t *v = json_object_get(info, name);

    if (v)
        mon_printf(mon, "%s: %" JSON_INTEGER_FORMAT " ms\n", shown, json_integer_value(v));
}

static void print_ram(Monitor *mon, json_t *ram)
{
    static const struct { const char *name, *shown, *unit; } rows[] = {
        { "transferred", "transferred ram", "kbytes" }, { "mbps" }, { "remaining", "remaining ram", "kbytes" },
        { "total", "total ram", "kbytes" }, { "duplicate", "duplicate", "pages" }, { "skipped", "skipped", "pages" },
        { "normal", "normal", "pages" }, { "normal-bytes", "normal bytes", "kbytes" },
        { "dirty-sync-count", "dirty sync count", NULL }, { "page-size", "page size", "kbytes" },
        { "multifd-bytes", "multifd bytes", "kbytes" }, { "pages-per-second", "pages-per-second", NULL },
        { "dirty-pages-rate", "dirty pages rate", "pages" }, { "postcopy-requests", "postcopy request count", NULL },
        { "precopy-bytes", "precopy ram", "kbytes" },
        { "downtime-bytes", "downtime ram", "kbytes" },
        { "postcopy-bytes", "postcopy ram", "kbytes" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        json_int_t v = json_integer_value(json_object_get(ram, rows[i].name));

        if (!rows[i].shown)
            mon_printf(mon, "throughput: %0.2f mbps\n", number(ram, "mbps"));
        else if (i >= 12 && !v)
            continue;
        else if (!rows[i].unit)
            mon_printf(mon, "%s: %" JSON_INTEGER_FORMAT "\n", rows[i].shown, v);
        else
            mon_printf(mon, "%s: %" JSON_INTEGER_FORMAT " %s\n", rows[i].shown, *rows[i].unit == 'k' ? v >> 10 : v, rows[i].unit);
    }
}

static void print_xbzrle(Monitor *mon, json_t *x)
{
    mon_printf(mon, "cache size: %" PRId64 " bytes\nxbzrle transferred: %" PRId64 " kbytes\nxbzrle pages: %" PRId64 " pages\n"
               "xbzrle cache miss: %" PRId64 " pages\nxbzrle cache miss rate: %0.2f\nxbzrle encoding rate: %0.2f\n"
               "xbzrle overflow: %" PRId64 "\n", arg_int(x, "cache-size", 0), arg_int(x, "bytes", 0) >> 10, arg_int(x, "pages", 0),
               arg_int(x, "cache-miss", 0), number(x, "cache-miss-rate"), number(x, "encoding-rate"), arg_int(x, "overflow", 0));
}

static void print_addresses(Monitor *mon, json_t *list)
{
    json_t *a;
    size_t i;

    mon_puts(mon, "socket address: [\n");
    json_array_foreach(list, i, a) {
        if (arg_has(a, "path"))
            mon_printf(mon, "\tunix:%s\n", arg_str(a, "path"));
        else
            mon_printf(mon, "\ttcp:%s:%s\n", arg_str(a, "host"), arg_str(a, "port"));
    }
    mon_puts(mon, "]\n");
}

static void info_migrate(Monitor *mon, json_t *args)
{
    json_t *info = migration_query(), *ram = json_object_get(info, "ram");
    const char *error = arg_str(info, "error-desc");

    mon_printf(mon, "globals:\nstore-global-state: on\nonly-migratable: off\nsend-configuration: on\nsend-section-footer: on\n"
               "decompress-error-check: on\nclear-bitmap-shift: 18\n");
    if (arg_has(info, "status")) {
        mon_printf(mon, "Migration status: %s", arg_str(info, "status"));
        if (error)
            mon_printf(mon, " (%s)", error);
        mon_printf(mon, "\ntotal time: %" PRId64 " ms\n", arg_int(info, "total-time", 0));
    }
    print_time(mon, info, "expected-downtime", "expected downtime");
    print_time(mon, info, "downtime", "downtime");
    print_time(mon, info, "setup-time", "setup");
    if (ram)
        print_ram(mon, ram);
    if (arg_has(info, "xbzrle-cache"))
        print_xbzrle(mon, json_object_get(info, "xbzrle-cache"));
    if (arg_has(info, "cpu-throttle-percentage"))
        mon_printf(mon, "cpu throttle percentage: %" PRId64 "\n", arg_int(info, "cpu-throttle-percentage", 0));
    if (arg_has(info, "socket-address"))
        print_addresses(mon, json_object_get(info, "socket-address"));
    json_decref(info);
}

/* ---- Snapshots ---- */

static void print_if(Monitor *mon, GError *err)
{
    if (err)
        mon_print_error(mon, err);
}

static void hmp_savevm(Monitor *mon, json_t *args)
{
    GError *err = NULL;

    snapshot_save(mon_machine, arg_str(args, "name"), &err);
    print_if(mon, err);
}

static void hmp_loadvm(Monitor *mon, json_t *args)
{
    GError *err = NULL;

    snapshot_load(mon_machine, arg_str(args, "name"), &err);
    print_if(mon, err);
}

static void hmp_delvm(Monitor *mon, json_t *args)
{
    GError *err = NULL;

    snapshot_delete(arg_str(args, "name"), &err);
    print_if(mon, err);
}

#define SNAPSHOT_JOB(name, what) \
    static json_t *name(Monitor *mon, json_t *args, GError **err) { snapshot_job(mon_machine, what, args, err); return NULL; }
SNAPSHOT_JOB(save_job, SNAPSHOT_SAVE)
SNAPSHOT_JOB(load_job, SNAPSHOT_LOAD)
SNAPSHOT_JOB(delete_job, SNAPSHOT_DELETE)

static void info_snapshots(Monitor *mon, json_t *args)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_autoptr(GError) err = NULL;

    if (snapshot_list(out, &err))
        mon_puts(mon, out->str);
    else
        mon_printf(mon, "%s\n", err->message);
}

#define POSTCOPY_HELP "Followup to a migration command to switch the migration to postcopy mode. The postcopy-ram capability must " \
    "be set on both source and destination before the original migration command ."

const MonCommand commands_migrate[] = {
    { "migrate", "detach:-d blk:-b inc:-i resume:-r uri:str", "[-d] [-b] [-i] [-r] uri",
      "migrate to URI (using -d to not wait for completion)\n"
      "\t\t\t -b for migration without shared storage with full copy of disk\n"
      "\t\t\t -i for migration without shared storage with incremental copy of disk (base image shared between src and destination)\n"
      "\t\t\t -r to resume a paused migration",
      .qmp = "migrate", .in = "{uri:str *blk:bool *inc:bool *detach:bool *resume:bool}", .run = start_migration, .print = hmp_migrate },
    { "migrate_cancel", .params = "", .help = "cancel the current VM migration", .qmp = "migrate_cancel", .run = cancel },
    { "migrate_continue", "state:str", "state", "Continue migration from the given paused state", .qmp = "migrate-continue",
      .in = "{state:MigrationStatus}", .run = go_on },
    { "migrate_incoming", "uri:str", "uri", "Continue an incoming migration from an -incoming defer", .qmp = "migrate-incoming",
      .in = "{uri:str}", .run = incoming },
    { "migrate_pause", .params = "", .help = "Pause an ongoing migration (postcopy-only)", .qmp = "migrate-pause",
      .run = pause_migration, .flags = CMD_OOB },
    { "migrate_recover", "uri:str", "uri", "Continue a paused incoming postcopy migration", .qmp = "migrate-recover",
      .in = "{uri:str}", .run = recover, .flags = CMD_OOB },
    { "migrate_start_postcopy", .params = "", .help = POSTCOPY_HELP, .qmp = "migrate-start-postcopy", .run = start_postcopy },
    { "migrate_set_capability", "capability:str state:bool", "capability state", "Enable/Disable the usage of a capability for migration",
      .print = hmp_set_capability, .complete = complete_capability },
    { "migrate_set_parameter", "parameter:str value:str", "parameter value", "Set the parameter for migration",
      .print = hmp_set_parameter, .complete = complete_parameter },
    { .qmp = "migrate-set-capabilities", .in = "{capabilities:[MigrationCapabilityStatus]}", .run = set_capabilities },
    { .qmp = "migrate-set-parameters", .in = "MigrationParameters", .run = set_parameters },
    { "info migrate", .params = "", .help = "show migration status", .qmp = "query-migrate", .out = "MigrationInfo",
      .run = query_migrate, .print = info_migrate },
    { "info migrate_capabilities", .params = "", .help = "show current migration capabilities", .qmp = "query-migrate-capabilities",
      .out = "[MigrationCapabilityStatus]", .run = query_capabilities, .print = info_capabilities },
    { "info migrate_parameters", .params = "", .help = "show current migration parameters", .qmp = "query-migrate-parameters",
      .out = "MigrationParameters", .run = query_parameters, .print = info_parameters },
    { "savevm", "name:str?", "tag", "save a VM snapshot. If no tag is provided, a new snapshot is created", .print = hmp_savevm },
    { "loadvm", "name:str", "tag", "restore a VM snapshot from its tag", .print = hmp_loadvm },
    { "delvm", "name:str", "tag", "delete a VM snapshot from its tag", .print = hmp_delvm },
    { .qmp = "snapshot-save", .in = "{job-id:str tag:str vmstate:str devices:[str]}", .run = save_job },
    { .qmp = "snapshot-load", .in = "{job-id:str tag:str vmstate:str devices:[str]}", .run = load_job },
    { .qmp = "snapshot-delete", .in = "{job-id:str tag:str devices:[str]}", .run = delete_job },
    { "info snapshots", .params = "", .help = "show the currently saved VM snapshots", .print = info_snapshots },
    { 0 },
};
