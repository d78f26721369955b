/* The guest's memory as a whole: its size, nodes, back-ends and modules. */
#include <inttypes.h>
#include <string.h>
#include "hw/core/hostmem.h"
#include "monitor/monitor-int.h"

/* ---- Memory modules: devices of type pc-dimm ---- */

static uint64_t number(Device *d, const char *name)
{
    g_autofree char *s = device_get(d, name, NULL);

    return s ? g_ascii_strtoull(s, NULL, 10) : 0;
}

static bool add_module(Device *d, void *opaque)
{
    if (!strcmp(d->type->name, "pc-dimm"))
        g_ptr_array_add(opaque, d);
    return true;
}

static gint by_addr(gconstpointer a, gconstpointer b)
{
    uint64_t x = number(*(Device **)a, "addr"), y = number(*(Device **)b, "addr");

    return x < y ? -1 : x > y;
}

/* In the order of their addresses. */
static GPtrArray *modules(void)
{
    GPtrArray *a = g_ptr_array_new();

    machine_foreach_device(mon_machine, add_module, a);
    g_ptr_array_sort(a, by_addr);
    return a;
}

/* Bytes of modules of a node, or of all (-1). */
static uint64_t plugged(int node)
{
    g_autoptr(GPtrArray) a = modules();
    uint64_t sum = 0;

    for (unsigned i = 0; i < a->len; i++) {
        if (node < 0 || number(a->pdata[i], "node") == (unsigned)node)
            sum += number(a->pdata[i], "size");
    }
    return sum;
}

static json_t *query_memory_devices(Monitor *mon, json_t *args, GError **err)
{
    g_autoptr(GPtrArray) a = modules();
    json_t *out = json_array();

    for (unsigned i = 0; i < a->len; i++) {
        Device *d = a->pdata[i];
        g_autofree char *memdev = device_get(d, "memdev", NULL);
        json_t *data = json_pack("{s:s,s:b,s:I,s:b,s:I,s:I,s:I}", "memdev", memdev, "hotplugged", d->hotplugged, "addr",
                                 (json_int_t)number(d, "addr"), "hotpluggable", 1, "size", (json_int_t)number(d, "size"), "slot",
                                 (json_int_t)number(d, "slot"), "node", (json_int_t)number(d, "node"));

        if (d->id)
            json_object_set_new(data, "id", json_string(d->id));
        json_array_append_new(out, json_pack("{s:s,s:o}", "type", "dimm", "data", data));
    }
    return out;
}

static void print_memory_devices(Monitor *mon, json_t *args)
{
    g_autoptr(GPtrArray) a = modules();

    for (unsigned i = 0; i < a->len; i++) {
        Device *d = a->pdata[i];
        g_autofree char *memdev = device_get(d, "memdev", NULL);

        mon_printf(mon, "Memory device [dimm]: \"%s\"\n  addr: 0x%" PRIx64 "\n  slot: %" PRIu64 "\n  node: %" PRIu64 "\n  size: %" PRIu64
                   "\n  memdev: %s\n  hotplugged: %s\n  hotpluggable: true\n", d->id ? d->id : "", number(d, "addr"), number(d, "slot"),
                   number(d, "node"), number(d, "size"), memdev, d->hotplugged ? "true" : "false");
    }
}

/* ---- Back-ends ---- */

static json_t *backend(const char *id, uint64_t size, bool share, bool prealloc)
{
    return json_pack("{s:b,s:b,s:b,s:[],s:I,s:b,s:b,s:s,s:s}", "share", share, "reserve", 1, "prealloc", prealloc, "host-nodes", "size",
                     (json_int_t)size, "merge", 1, "dump", 1, "policy", "default", "id", id);
}

static json_t *query_memdev(Monitor *mon, json_t *args, GError **err)
{
    MachineConfig *cfg = mon_machine->cfg;
    bool nodes = false;
    json_t *a = json_array();

    for (unsigned i = 0; i < mon_machine->mem_backends->len; i++) {
        MemBackend *b = mon_machine->mem_backends->pdata[i];

        json_array_append_new(a, backend(b->id, b->size, b->share, b->prealloc));
    }
    for (unsigned i = 0; i < cfg->numa->len; i++)
        nodes |= g_array_index(cfg->numa, NumaNode, i).memdev != NULL;
    if (!cfg->memory_backend && !cfg->mem_path && !nodes && mon_machine->type->default_ram_id)
        json_array_append_new(a, backend(mon_machine->type->default_ram_id, cfg->ram_size, false, cfg->mem_prealloc));
    return a;
}

static const char *truth(json_t *o, const char *name)
{
    return json_is_true(json_object_get(o, name)) ? "true" : "false";
}

static void print_memdev(Monitor *mon, json_t *args)
{
    json_t *a = query_memdev(mon, args, NULL), *o;
    size_t i;

    json_array_foreach(a, i, o)
        mon_printf(mon, "memory backend: %s\n  size:  %" PRId64 "\n  merge: %s\n  dump: %s\n  prealloc: %s\n  share: %s\n  reserve: %s\n"
                   "  policy: default\n  host nodes: \n", arg_str(o, "id"), (int64_t)json_integer_value(json_object_get(o, "size")),
                   truth(o, "merge"), truth(o, "dump"), truth(o, "prealloc"), truth(o, "share"), truth(o, "reserve"));
    json_decref(a);
    mon_puts(mon, "\n");
}

/* ---- Sizes ---- */

static json_t *query_memory_size(Monitor *mon, json_t *args, GError **err)
{
    return json_pack("{s:I,s:I}", "base-memory", (json_int_t)mon_machine->cfg->ram_size, "plugged-memory", (json_int_t)plugged(-1));
}

static void print_memory_size(Monitor *mon, json_t *args)
{
    mon_printf(mon, "base memory: %" PRIu64 "\nplugged memory: %" PRIu64 "\n", mon_machine->cfg->ram_size, plugged(-1));
}

static bool has_cpu(unsigned n)
{
    for (unsigned i = 0; i < mon_machine->vcpus->len; i++) {
        if (((Vcpu *)mon_machine->vcpus->pdata[i])->index == n)
            return true;
    }
    return false;
}

static void print_numa(Monitor *mon, json_t *args)
{
    GArray *nodes = mon_machine->cfg->numa;

    mon_printf(mon, "%u nodes\n", nodes->len);
    for (unsigned i = 0; i < nodes->len; i++) {
        NumaNode *n = &g_array_index(nodes, NumaNode, i);
        uint64_t more = plugged(i);

        mon_printf(mon, "node %u cpus:", i);
        for (unsigned k = 0; n->cpus && k < n->cpus->len; k++) {
            if (has_cpu(g_array_index(n->cpus, unsigned, k)))
                mon_printf(mon, " %u", g_array_index(n->cpus, unsigned, k));
        }
        mon_printf(mon, "\nnode %u size: %" PRIu64 " MB\nnode %u plugged: %" PRIu64 " MB\n", i, (n->size + more) >> 20, i, more >> 20);
    }
}

const MonCommand commands_memory[] = {
    { "info memory_size_summary", .params = "", .help = "show the amount of initially allocated and present hotpluggable (if enabled) "
      "memory in bytes.", .qmp = "query-memory-size-summary", .out = "{base-memory:size *plugged-memory:size}",
      .run = query_memory_size, .print = print_memory_size },
    { "info memory-devices", .params = "", .help = "show memory devices", .qmp = "query-memory-devices",
      .out = "[{type:<dimm> data:{*id:str addr:int size:int slot:int node:int memdev:str hotplugged:bool hotpluggable:bool}}]",
      .run = query_memory_devices, .print = print_memory_devices },
    { "info memdev", .params = "", .help = "show memory backends", .qmp = "query-memdev",
      .out = "[{*id:str size:size merge:bool dump:bool prealloc:bool share:bool *reserve:bool host-nodes:[int] "
      "policy:<default|preferred|bind|interleave>}]", .run = query_memdev, .print = print_memdev, .flags = CMD_PRECONFIG },
    { "info numa", .params = "", .help = "show NUMA information", .print = print_numa },
    { 0 },
};
