/* Commands that show what the machine is: info and query-*. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "hw/core/machine.h"
#include "monitor/monitor-int.h"
#include "monitor/qmp-schema.h"
#include "target/i386/cpu.h"

/* Prints what fn gives. */
#define SHOW(mon, call) do { GString *out = g_string_new(NULL); call; mon_puts(mon, out->str); g_string_free(out, true); } while (0)

Vcpu *mon_vcpu(Monitor *mon)
{
    GPtrArray *v = mon_machine ? mon_machine->vcpus : NULL;

    return v && mon->cpu >= 0 && (unsigned)mon->cpu < v->len ? g_ptr_array_index(v, mon->cpu) : NULL;
}

bool mon_register(Monitor *mon, const char *name, uint64_t *value, GError **err)
{
    static const char *const known[] = { "eax", "ecx", "edx", "ebx", "esp", "sp", "ebp", "fp", "esi", "edi", "eip", "pc", "eflags", NULL };
    Vcpu *v = mon_vcpu(mon);
    const char *near;

    if (!v)
        return error_set(err, "unknown register");
    x86_cpu_sync(x86_cpu_of(v));
    if (!strcmp(name, "pc") && x86_register_by_name(x86_cpu_of(v), "eip", value)) {
        *value += x86_cpu_of(v)->segs[R_CS].base;
        return true;
    }
    if (x86_register_by_name(x86_cpu_of(v), !strcmp(name, "sp") ? "esp" : !strcmp(name, "fp") ? "ebp" : name, value))
        return true;
    near = nearest_name(name, known);
    return error_set(err, "unknown register%s%s%s", near ? " (did you mean '$" : "", near ? near : "", near ? "'?)" : "");
}

/* ---- Version, names ---- */

static json_t *query_version(Monitor *mon, json_t *args, GError **err)
{
    return qmp_version();
}

static void print_version(Monitor *mon, json_t *args)
{
    mon_printf(mon, "%s %s\n", MONITOR_VERSION, MONITOR_PACKAGE);
}

static json_t *query_name(Monitor *mon, json_t *args, GError **err)
{
    const char *name = mon_machine->cfg->name;

    return name ? json_pack("{s:s}", "name", name) : json_object();
}

static void print_name(Monitor *mon, json_t *args)
{
    if (mon_machine->cfg->name)
        mon_printf(mon, "%s\n", mon_machine->cfg->name);
}

static char *uuid_text(void)
{
    const uint8_t *u = mon_machine->cfg->uuid;

    return g_strdup_printf("%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0], u[1], u[2], u[3], u[4], u[5],
                           u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14], u[15]);
}

static json_t *query_uuid(Monitor *mon, json_t *args, GError **err)
{
    g_autofree char *s = uuid_text();

    return json_pack("{s:s}", "UUID", s);
}

static void print_uuid(Monitor *mon, json_t *args)
{
    g_autofree char *s = uuid_text();

    mon_printf(mon, "%s\n", s);
}

static json_t *query_kvm(Monitor *mon, json_t *args, GError **err)
{
    return json_pack("{s:b,s:b}", "enabled", accel_is_kvm(), "present", 1);
}

static void print_kvm(Monitor *mon, json_t *args)
{
    mon_printf(mon, "kvm support: %s\n", accel_is_kvm() ? "enabled" : "disabled");
}

static json_t *query_target(Monitor *mon, json_t *args, GError **err)
{
    return json_pack("{s:s}", "arch", "x86_64");
}

static json_t *query_current_machine(Monitor *mon, json_t *args, GError **err)
{
    return json_pack("{s:b}", "wakeup-suspend-support", machine_wakeup_is_supported(mon_machine));
}

static json_t *query_machines(Monitor *mon, json_t *args, GError **err)
{
    json_t *a = json_array();

    for (const MachineType *const *t = machine_types; *t; t++) {
        bool none = !(*t)->default_cpu;
        json_t *o = json_pack("{s:s,s:i,s:b,s:b,s:b}", "name", (*t)->name, "cpu-max", (int)MAX((*t)->max_cpus, 1),
                              "hotpluggable-cpus", !none, "numa-mem-supported", 0, "deprecated", 0);

        if ((*t)->alias)
            json_object_set_new(o, "alias", json_string((*t)->alias));
        if ((*t)->is_default)
            json_object_set_new(o, "is-default", json_true());
        if ((*t)->default_cpu)
            json_object_set_new(o, "default-cpu-type", json_sprintf("%s-x86_64-cpu", (*t)->default_cpu));
        if ((*t)->default_ram_id)
            json_object_set_new(o, "default-ram-id", json_string((*t)->default_ram_id));
        json_array_append_new(a, o);
    }
    return a;
}

/* ---- CPUs ---- */

static json_t *cpu_props(const MachineConfig *cfg, unsigned n)
{
    X86Topology t = x86_topology(cfg);
    unsigned core = n / t.threads, die = core / t.cores, socket = die / t.dies;
    json_t *o = json_pack("{s:i,s:i,s:i}", "core-id", (int)(core % t.cores), "thread-id", (int)(n % t.threads), "socket-id", (int)socket);

    if (t.dies > 1)
        json_object_set_new(o, "die-id", json_integer(die % t.dies));
    return o;
}

static json_t *query_cpus_fast(Monitor *mon, json_t *args, GError **err)
{
    json_t *a = json_array();

    for (unsigned i = 0; i < mon_machine->vcpus->len; i++) {
        Vcpu *v = g_ptr_array_index(mon_machine->vcpus, i);

        json_array_append_new(a, json_pack("{s:i,s:s,s:i,s:o,s:s}", "cpu-index", (int)v->index, "qom-path", x86_cpu_of(v)->dev.path,
                                           "thread-id", v->tid, "props", cpu_props(mon_machine->cfg, v->index),
                                           "target", "x86_64"));
    }
    return a;
}

static void print_cpus(Monitor *mon, json_t *args)
{
    SHOW(mon, x86_print_cpus(mon_machine, out, mon->cpu));
}

/* Every place in the topology, the last one first. */
static json_t *query_hotpluggable_cpus(Monitor *mon, json_t *args, GError **err)
{
    X86Cpu *first = x86_cpu(mon_machine, 0);
    json_t *a;

    if (!first) {
        error_set(err, "The feature 'query-hotpluggable-cpus' is not enabled");
        return NULL;
    }
    a = json_array();

    for (unsigned n = MAX(mon_machine->cfg->smp.max_cpus, mon_machine->cfg->smp.cpus); n-- > 0;) {
        json_t *o = json_pack("{s:s,s:i,s:o}", "type", first->dev.type->name, "vcpus-count", 1, "props",
                              cpu_props(mon_machine->cfg, n));

        for (unsigned i = 0; i < mon_machine->vcpus->len; i++) {
            Vcpu *v = g_ptr_array_index(mon_machine->vcpus, i);

            if (v->index == n)
                json_object_set_new(o, "qom-path", json_string(x86_cpu_of(v)->dev.path));
        }
        json_array_append_new(a, o);
    }
    return a;
}

static void print_hotpluggable_cpus(Monitor *mon, json_t *args)
{
    static const char *const props[] = { "socket-id", "die-id", "core-id", "thread-id" };
    GError *err = NULL;
    json_t *a = query_hotpluggable_cpus(mon, args, &err), *o;
    size_t i;

    if (err) {
        mon_print_error(mon, err);
        return;
    }
    mon_printf(mon, "Hotpluggable CPUs:\n");
    json_array_foreach(a, i, o) {
        const char *path = arg_str(o, "qom-path");

        mon_printf(mon, "  type: \"%s\"\n  vcpus_count: \"1\"\n", arg_str(o, "type"));
        if (path)
            mon_printf(mon, "  qom_path: \"%s\"\n", path);
        mon_printf(mon, "  CPUInstance Properties:\n");
        for (unsigned k = 0; k < G_N_ELEMENTS(props); k++) {
            json_t *v = json_object_get(json_object_get(o, "props"), props[k]);

            if (v)
                mon_printf(mon, "    %s: \"%d\"\n", props[k], (int)json_integer_value(v));
        }
    }
    json_decref(a);
}

static void set_cpu(Monitor *mon, json_t *args)
{
    int64_t n = arg_int(args, "index", 0);

    if (n < 0 || n >= mon_machine->vcpus->len)
        mon_printf(mon, "invalid CPU index\n");
    else
        mon->cpu = n;
}

static void print_registers_of(Monitor *mon, unsigned n)
{
    mon_printf(mon, "\nCPU#%u\n", n);
    x86_cpu_sync(x86_cpu(mon_machine, n));
    SHOW(mon, x86_print_registers(x86_cpu(mon_machine, n), out, true, false));
}

static void print_registers(Monitor *mon, json_t *args)
{
    int64_t n = arg_int(args, "vcpu", -1);

    if (arg_bool(args, "cpustate_all")) {
        for (unsigned i = 0; i < mon_machine->vcpus->len; i++)
            print_registers_of(mon, i);
    } else if (n >= 0 && n >= mon_machine->vcpus->len) {
        mon_printf(mon, "CPU#%d not available\n", (int)n);
    } else if (n < 0 && !mon_vcpu(mon)) {
        mon_printf(mon, "No CPU available\n");
    } else {
        print_registers_of(mon, n < 0 ? mon->cpu : n);
    }
}

static void print_lapic(Monitor *mon, json_t *args)
{
    Vcpu *v = mon_vcpu(mon);
    int64_t id = arg_int(args, "apic-id", -1);

    if (id >= 0) {
        v = NULL;
        for (unsigned i = 0; i < mon_machine->vcpus->len; i++) {
            Vcpu *x = g_ptr_array_index(mon_machine->vcpus, i);

            if (x->apic_id == id)
                v = x;
        }
    }
    if (v)
        SHOW(mon, x86_print_lapic(x86_cpu_of(v), out));
    else
        mon_printf(mon, "No CPU available\n");
}

static void print_mem(Monitor *mon, json_t *args)
{
    if (mon_vcpu(mon))
        SHOW(mon, x86_print_mem(x86_cpu_of(mon_vcpu(mon)), out));
    else
        mon_printf(mon, "No CPU available\n");
}

static void print_tlb(Monitor *mon, json_t *args)
{
    if (mon_vcpu(mon))
        SHOW(mon, x86_print_tlb(x86_cpu_of(mon_vcpu(mon)), out));
    else
        mon_printf(mon, "No CPU available\n");
}

/* ---- Memory ---- */

static void print_mtree(Monitor *mon, json_t *args)
{
    SHOW(mon, map_print(mon_machine, out, arg_bool(args, "flatview")));
}

/* The largest first; offsets as they are given out, at multiples of 64 pages. */
#define BLOCK_ALIGN (64 * 4096ull)

typedef struct BlockLine { const RamBlock *block; uint64_t offset; unsigned order; } BlockLine;

static int by_size(const void *a, const void *b)
{
    const BlockLine *x = a, *y = b;

    return x->block->max_size != y->block->max_size ? (x->block->max_size < y->block->max_size ? 1 : -1)
                                                    : (int)x->order - (int)y->order;
}

static void print_ramblock(Monitor *mon, json_t *args)
{
    unsigned n = mon_machine->ram_blocks->len;
    g_autofree BlockLine *lines = g_new(BlockLine, n);
    uint64_t offset = 0;

    mon_printf(mon, "%24s %8s  %18s %18s %18s\n", "Block Name", "PSize", "Offset", "Used", "Total");
    for (unsigned i = 0; i < n; i++) {
        lines[i] = (BlockLine){ g_ptr_array_index(mon_machine->ram_blocks, i), offset, i };
        offset = (offset + lines[i].block->max_size + BLOCK_ALIGN - 1) & ~(BLOCK_ALIGN - 1);
    }
    qsort(lines, n, sizeof *lines, by_size);
    for (unsigned i = 0; i < n; i++)
        mon_printf(mon, "%24s %8s  0x%016" PRIx64 " 0x%016" PRIx64 " 0x%016" PRIx64 "\n", lines[i].block->name, "4 KiB",
                   lines[i].offset, lines[i].block->size, lines[i].block->max_size);
}

static void print_roms(Monitor *mon, json_t *args)
{
    SHOW(mon, machine_print_roms(mon_machine, out));
}

/* ---- Devices ---- */

static void print_qtree(Monitor *mon, json_t *args)
{
    SHOW(mon, device_print_tree(mon_machine, out));
}

static void print_qdm(Monitor *mon, json_t *args)
{
    SHOW(mon, device_list_help(out));
}

static void print_history(Monitor *mon, json_t *args)
{
    const char *s;

    for (unsigned i = 0; mon->rl && (s = readline_history(mon->rl, i)); i++)
        mon_printf(mon, "%u: '%s'\n", i, s);
}

/* ---- QMP about itself ---- */

static bool list_command(const MonCommand *c, void *opaque)
{
    if (c->qmp)
        json_array_append_new(opaque, json_pack("{s:s}", "name", c->qmp));
    return true;
}

static json_t *query_commands(Monitor *mon, json_t *args, GError **err)
{
    json_t *a = json_array();

    foreach_command(list_command, a);
    return a;
}

static json_t *query_schema(Monitor *mon, json_t *args, GError **err)
{
    return qmp_schema();
}

const MonCommand commands_info[] = {
    { "info version", .params = "", .help = "show the version of QEMU", .qmp = "query-version", .out = "VersionInfo",
      .run = query_version, .print = print_version, .flags = CMD_PRECONFIG },
    { "info name", .params = "", .help = "show the current VM name", .qmp = "query-name", .out = "{*name:str}", .run = query_name,
      .print = print_name, .flags = CMD_PRECONFIG },
    { "info uuid", .params = "", .help = "show the current VM UUID", .qmp = "query-uuid", .out = "{UUID:str}", .run = query_uuid,
      .print = print_uuid, .flags = CMD_PRECONFIG },
    { "info kvm", .params = "", .help = "show KVM information", .qmp = "query-kvm", .out = "{enabled:bool present:bool}",
      .run = query_kvm, .print = print_kvm },
    { .qmp = "query-target", .out = "{arch:SysEmuTarget}", .run = query_target },
    { .qmp = "query-current-machine", .out = "{wakeup-suspend-support:bool}", .run = query_current_machine },
    { .qmp = "query-machines", .out = "[MachineInfo]", .run = query_machines, .flags = CMD_PRECONFIG },
    { "info cpus", .params = "", .help = "show infos for each CPU", .qmp = "query-cpus-fast", .out = "[CpuInfoFast]",
      .run = query_cpus_fast, .print = print_cpus },
    { "info hotpluggable-cpus", .params = "", .help = "Show information about hotpluggable CPUs", .qmp = "query-hotpluggable-cpus",
      .out = "[HotpluggableCPU]", .run = query_hotpluggable_cpus, .print = print_hotpluggable_cpus, .flags = CMD_PRECONFIG },
    { "cpu", "index:int", "index", "set the default CPU", .print = set_cpu },
    { "info registers", "cpustate_all:-a vcpu:int?", "[-a|vcpu]", "show the cpu registers (-a: show register info for all cpus; vcpu: "
      "specific vCPU to query; show the current CPU's registers if no argument is specified)", .print = print_registers },
    { "info lapic", "apic-id:int?", "[apic-id]", "show local apic state (apic-id: local apic to read, default is which of current CPU)",
      .print = print_lapic },
    { "info mem", .params = "", .help = "show the active virtual memory mappings", .print = print_mem },
    { "info tlb", .params = "", .help = "show virtual to physical memory mappings", .print = print_tlb },
    { "info mtree", "flatview:-f", "[-f]", "show memory tree (-f: dump flat view for address spaces)", .print = print_mtree },
    { "info ramblock", .params = "", .help = "Display system ramblock information", .print = print_ramblock },
    { "info roms", .params = "", .help = "show roms", .print = print_roms },
    { "info qtree", .params = "", .help = "show device tree", .print = print_qtree },
    { "info qdm", .params = "", .help = "show qdev device model list", .print = print_qdm },
    { "info history", .params = "", .help = "show the command line history", .print = print_history },
    { .qmp = "query-commands", .out = "[{name:str}]", .run = query_commands, .flags = CMD_PRECONFIG },
    { .qmp = "query-qmp-schema", .out = "[SchemaInfo]", .run = query_schema, .flags = CMD_PRECONFIG },
    { 0 },
};
