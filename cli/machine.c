/* Options that describe the machine: -machine, -accel, -m, -smp, -boot, -rtc, -name, -numa, -action, -uuid. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cli/cli.h"
#include "util/error.h"

static void replace(char **at, const char *s)
{
    if (!s)
        return;
    g_free(*at);
    *at = g_strdup(s);
}

/* ---- -machine ---- */

static void machine_help(void)
{
    puts("Supported machines are:");
    for (const MachineType *const *p = machine_types; *p; p++) {
        const MachineType *t = *p;

        if (t->alias)
            printf("%-20s %s (alias of %s)\n", t->alias, t->desc, t->name);
        printf("%-20s %s%s\n", t->name, t->desc, t->is_default ? " (default)" : "");
    }
}

static void machine_props_help(const MachineType *t)
{
    g_autoptr(GString) out = g_string_new(NULL);

    g_string_append_printf(out, "%s-machine options:\n", t->name);
    for (const Property *p = t->props; p && p->name; p++)
        cli_print_property(p, out);
    fputs(out->str, stdout);
}

static const Property *find_machine_prop(const MachineType *t, const char *name)
{
    for (const Property *p = t->props; p && p->name; p++)
        if (!strcmp(p->name, name))
            return p;
    return NULL;
}

static bool bad_machine(const char *name, GError **err)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    const char *near;

    for (const MachineType *const *t = machine_types; *t; t++) {
        g_ptr_array_add(names, (char *)(*t)->name);
        if ((*t)->alias)
            g_ptr_array_add(names, (char *)(*t)->alias);
    }
    g_ptr_array_add(names, NULL);
    near = nearest_name(name, (const char *const *)names->pdata);
    return error_set(err, "unsupported machine type '%s'%s%s%s; '-machine help' lists them", name,
                     near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
}

/* Properties that have a field of their own. */
static const struct { const char *name; size_t off; } texts[] = {
    { "memory-backend", offsetof(MachineConfig, memory_backend) }, { "kernel", offsetof(MachineConfig, kernel) },
    { "initrd", offsetof(MachineConfig, initrd) }, { "append", offsetof(MachineConfig, append) },
    { "dtb", offsetof(MachineConfig, dtb) },
};

static bool machine_prop(Cli *c, const MachineType *t, const char *name, const char *value, GError **err)
{
    MachineConfig *cfg = c->cfg;
    const Property *p;
    uint64_t size;
    bool on;

    if (!strcmp(name, "accel")) {
        replace(&c->accel_list, value);
        return true;
    }
    if (!strcmp(name, "kernel-irqchip") || !strcmp(name, "kernel_irqchip")) {
        if (strcmp(value, "on") && strcmp(value, "off") && strcmp(value, "split"))
            return error_set(err, "Parameter 'kernel-irqchip' takes 'on', 'off' or 'split', not '%s'", value);
        replace(&c->irqchip, value);
        return true;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        if (!strcmp(name, texts[i].name)) {
            replace(G_STRUCT_MEMBER_P(cfg, texts[i].off), value);
            return true;
        }
    }
    if (!strcmp(name, "usb") || !strcmp(name, "graphics")) {
        if (!parse_bool_text(value, &on))
            return error_set(err, "Parameter '%s' expects 'on' or 'off', not '%s'", name, value);
        *(name[0] == 'u' ? &cfg->usb : &cfg->graphics) = on;
        return true;
    }
    p = find_machine_prop(t, name);
    if (!p) {
        g_autoptr(GPtrArray) names = g_ptr_array_new();
        const char *near;

        for (p = t->props; p && p->name; p++)
            g_ptr_array_add(names, (char *)p->name);
        g_ptr_array_add(names, NULL);
        near = nearest_name(name, (const char *const *)names->pdata);
        return error_set(err, "Property '%s-machine.%s' not found%s%s%s", t->name, name, near ? " (did you mean '" : "",
                         near ? near : "", near ? "'?)" : "");
    }
    if (p->kind == PROP_BOOL && !parse_bool_text(value, &on))
        return error_set(err, "Parameter '%s' expects 'on' or 'off', not '%s'", name, value);
    if (p->kind == PROP_ON_OFF_AUTO && strcmp(value, "auto") && !parse_bool_text(value, &on))
        return error_set(err, "Parameter '%s' does not accept value '%s' (it takes 'auto', 'on', 'off')", name, value);
    if (p->kind == PROP_SIZE && !parse_size_text(value, 1, &size))
        return error_set(err, "Parameter '%s' expects a size (a number with an optional suffix K, M, G or T), not '%s'", name,
                         value);
    g_hash_table_replace(cfg->props, g_strdup(name), g_strdup(value));
    return true;
}

bool cli_set_machine(Cli *c, const char *option, const char *arg, GError **err)
{
    g_autoptr(Opts) o = opts_parse(arg, "type", err);
    const MachineType *t;
    const char *type;

    if (!o)
        return false;
    type = opts_get(o, "type");
    if (type && (!strcmp(type, "help") || !strcmp(type, "?"))) {
        machine_help();
        c->exit = true;
        return true;
    }
    replace(&c->cfg->type, type);
    t = machine_type_find(c->cfg->type);
    if (!t)
        return bad_machine(c->cfg->type ? c->cfg->type : "", err);
    if (opts_has(o, "help")) {
        machine_props_help(t);
        c->exit = true;
        return true;
    }
    for (unsigned i = 0; i < o->list->len; i++) {
        Opt *item = &g_array_index(o->list, Opt, i);

        if (strcmp(item->name, "type") && !machine_prop(c, t, item->name, item->value, err))
            return false;
    }
    return true;
}

/* ---- -accel ---- */

bool cli_set_accel(Cli *c, const char *option, const char *arg, GError **err)
{
    static const char *const known[] = { "kernel-irqchip", "dirty-ring-size", "kvm-shadow-mem", "notify-vmexit",
                                         "notify-window", NULL };
    g_autoptr(Opts) o = opts_parse(arg, "accel", err);
    const char *name, *irqchip;
    char *list;

    if (!o)
        return false;
    name = opts_get(o, "accel");
    if (!name)
        return error_set(err, "-accel %s: the accelerator's name is missing", arg);
    if (!strcmp(name, "help")) {
        puts("Accelerators supported in QEMU binary:\nkvm\nqtest");
        c->exit = true;
        return true;
    }
    irqchip = opts_get(o, "kernel-irqchip");
    if (irqchip && strcmp(irqchip, "on") && strcmp(irqchip, "off") && strcmp(irqchip, "split"))
        return error_set(err, "Parameter 'kernel-irqchip' takes 'on', 'off' or 'split', not '%s'", irqchip);
    replace(&c->irqchip, irqchip);
    for (unsigned i = 0; i < o->list->len && strcmp(name, "kvm") && strcmp(name, "qtest"); i++)
        opts_get(o, g_array_index(o->list, Opt, i).name);       /* of one that we do not have */
    for (const char *const *k = known; *k; k++)
        opts_get(o, *k);
    if (!opts_all_used(o, "-accel", known, err))
        return false;
    list = c->accel_list ? g_strdup_printf("%s:%s", c->accel_list, name) : g_strdup(name);
    g_free(c->accel_list);
    c->accel_list = list;
    return true;
}

/* ---- -m, -smp ---- */

#define MIB (1ull << 20)

bool cli_set_memory(Cli *c, const char *option, const char *arg, GError **err)
{
    g_autoptr(Opts) o = opts_parse(arg, "size", err);
    const char *size;
    uint64_t slots;

    if (!o)
        return false;
    size = opts_get(o, "size");
    if (size && (!parse_size_text(size, MIB, &c->cfg->ram_size)))
        return error_set(err, "-m %s: '%s' is not a size (a number of MiB, or with a suffix K, M, G or T)", arg, size);
    if (size && !c->cfg->ram_size)
        return error_set(err, "-m %s: a machine needs memory: at least 1M", arg);
    c->cfg->ram_size_given |= size != NULL;
    if (!opts_get_size(o, "maxmem", 0, &c->cfg->max_ram_size, err) || !opts_get_u64(o, "slots", 0, UINT32_MAX, &slots, err))
        return false;
    c->cfg->ram_slots = slots;
    if (c->cfg->max_ram_size && c->cfg->max_ram_size < c->cfg->ram_size)
        return error_set(err, "-m %s: maxmem is less than the memory at the start", arg);
    if (slots && !c->cfg->max_ram_size)
        return error_set(err, "-m %s: slots specified but no max-size", arg);
    return opts_all_used(o, "-m", (const char *const[]){ "size", "slots", "maxmem", NULL }, err);
}

static bool smp_number(Opts *o, const char *name, unsigned *v, GError **err)
{
    uint64_t n;

    if (!opts_has(o, name))
        return true;
    if (!opts_get_u64(o, name, 0, 4096, &n, err))
        return false;
    if (!n)
        return error_set(err, "Invalid CPU topology: '%s' must be at least 1", name);
    *v = n;
    return true;
}

/* What is not given follows from maxcpus: cores come first, then sockets, then threads (the machines since 6.2). */
static bool complete_smp(MachineConfig *cfg, GError **err)
{
    unsigned cpus = cfg->smp.cpus, max = cfg->smp.max_cpus, dies = MAX(cfg->smp.dies, 1), sockets = cfg->smp.sockets,
             cores = cfg->smp.cores, threads = cfg->smp.threads;
    uint64_t all;

    if (!cpus && !max) {
        sockets = MAX(sockets, 1);
        cores = MAX(cores, 1);
        threads = MAX(threads, 1);
    } else {
        max = max ? max : cpus;
        if (!cores) {
            sockets = MAX(sockets, 1);
            threads = MAX(threads, 1);
            cores = max / (sockets * dies * threads);
        } else if (!sockets) {
            threads = MAX(threads, 1);
            sockets = max / (dies * cores * threads);
        }
        if (!threads)
            threads = max / (sockets * dies * cores);
    }
    all = (uint64_t)sockets * dies * cores * threads;
    max = max ? max : all;
    cpus = cpus ? cpus : max;
    if (all != max)
        return error_set(err, "Invalid CPU topology: product of the hierarchy must match maxcpus: sockets (%u) * dies (%u) * "
                         "cores (%u) * threads (%u) != maxcpus (%u)", sockets, dies, cores, threads, max);
    if (max < cpus)
        return error_set(err, "Invalid CPU topology: maxcpus must be equal to or greater than smp: maxcpus (%u) < smp_cpus "
                         "(%u)", max, cpus);
    cfg->smp.cpus = cpus;
    cfg->smp.max_cpus = max;
    cfg->smp.sockets = sockets;
    cfg->smp.dies = dies;
    cfg->smp.cores = cores;
    cfg->smp.threads = threads;
    return true;
}

bool cli_set_smp(Cli *c, const char *option, const char *arg, GError **err)
{
    g_autoptr(Opts) o = opts_parse(arg, "cpus", err);
    MachineConfig *cfg = c->cfg;
    unsigned clusters = 1;

    memset(&cfg->smp, 0, sizeof cfg->smp);
    return o && smp_number(o, "cpus", &cfg->smp.cpus, err) && smp_number(o, "maxcpus", &cfg->smp.max_cpus, err) &&
           smp_number(o, "clusters", &clusters, err) &&
           smp_number(o, "sockets", &cfg->smp.sockets, err) && smp_number(o, "dies", &cfg->smp.dies, err) &&
           smp_number(o, "cores", &cfg->smp.cores, err) && smp_number(o, "threads", &cfg->smp.threads, err) &&
           opts_all_used(o, "-smp", (const char *const[]){ "cpus", "maxcpus", "sockets", "dies", "clusters", "cores", "threads",
                         NULL }, err) &&
           (clusters == 1 || error_set(err, "clusters not supported by this machine's CPU topology")) && complete_smp(cfg, err);
}

/* ---- -numa ---- */

static bool numa_cpus(NumaNode *n, const char *s, GError **err)
{
    char *end;
    unsigned long a = strtoul(s, &end, 10), b = a;

    if (end != s && *end == '-') {
        const char *second = end + 1;

        b = strtoul(second, &end, 10);
        if (end == second)
            end = (char *)s;
    }
    if (end == s || *end || b < a || b > 4095)
        return error_set(err, "-numa: cpus=%s is not a CPU or a range of CPUs", s);
    for (unsigned i = a; i <= b; i++)
        g_array_append_val(n->cpus, i);
    return true;
}

static NumaNode *numa_node(MachineConfig *cfg, unsigned id)
{
    while (cfg->numa->len <= id) {
        NumaNode n = { .cpus = g_array_new(false, false, sizeof(unsigned)) };

        g_array_append_val(cfg->numa, n);
    }
    return &g_array_index(cfg->numa, NumaNode, id);
}

static bool numa_dist(MachineConfig *cfg, Opts *o, GError **err)
{
    uint64_t src, dst, val;
    NumaNode *n;

    if (!opts_get_u64(o, "src", 128, 127, &src, err) || !opts_get_u64(o, "dst", 128, 127, &dst, err) ||
        !opts_get_u64(o, "val", 0, 255, &val, err))
        return false;
    if (src > 127 || dst > 127 || src >= cfg->numa->len || dst >= cfg->numa->len)
        return error_set(err, "-numa dist: src= and dst= must be nodes that exist");
    if (val < 10 || (src == dst && val != 10))
        return error_set(err, "-numa dist: val= must be at least 10, and 10 from a node to itself");
    n = &g_array_index(cfg->numa, NumaNode, src);
    n->has_distance = true;
    n->distance[dst] = val;
    return true;
}

bool cli_set_numa(Cli *c, const char *option, const char *arg, GError **err)
{
    g_autoptr(Opts) o = opts_parse(arg, "type", err);
    const char *type = o ? opts_get(o, "type") : NULL;
    uint64_t id;
    NumaNode *n;

    if (!type || (strcmp(type, "node") && strcmp(type, "dist")))
        return o && error_set(err, "-numa %s: expected node,... or dist,...", arg);
    if (type[0] == 'd')
        return numa_dist(c->cfg, o, err) && opts_all_used(o, "-numa dist", (const char *const[]){ "src", "dst", "val", NULL }, err);
    if (!opts_get_u64(o, "nodeid", c->cfg->numa->len, 127, &id, err))
        return false;
    n = numa_node(c->cfg, id);
    if (opts_get(o, "mem"))
        return error_set(err, "-numa %s: Parameter -numa node,mem is not supported by this machine type: use memdev=", arg);
    replace(&n->memdev, opts_get(o, "memdev"));
    for (unsigned i = 0; i < o->list->len; i++) {
        Opt *item = &g_array_index(o->list, Opt, i);

        if (strcmp(item->name, "cpus"))
            continue;
        item->used = true;
        if (!numa_cpus(n, item->value, err))
            return false;
    }
    return opts_all_used(o, "-numa node", (const char *const[]){ "nodeid", "memdev", "cpus", NULL }, err);
}

/* ---- -boot ---- */

static bool check_order(const char *s, GError **err)
{
    const char *all = s;
    unsigned seen = 0;

    for (; s && *s; s++) {
        if (*s < 'a' || *s > 'p')
            return error_set(err, "Invalid boot device '%c' in '%s' (a: floppy, c: hard disk, d: CD, n: network)", *s, all);
        if (seen >> (*s - 'a') & 1)
            return error_set(err, "Boot device '%c' was given twice in '%s' (a: floppy, c: hard disk, d: CD, n: network)", *s,
                             all);
        seen |= 1u << (*s - 'a');
    }
    return true;
}

bool cli_set_boot(Cli *c, const char *option, const char *arg, GError **err)
{
    g_autoptr(Opts) o = opts_parse(arg, "order", err);
    MachineConfig *cfg = c->cfg;
    const char *order, *once;
    uint64_t n;

    if (!o)
        return false;
    order = opts_get(o, "order");
    once = opts_get(o, "once");
    if (!check_order(order, err) || !check_order(once, err))
        return false;
    replace(&cfg->boot_order, order);
    replace(&cfg->boot_once, once);
    if (opts_has(o, "menu")) {
        cfg->boot_menu_set = true;
        if (!opts_get_bool(o, "menu", false, &cfg->boot_menu, err))
            return false;
    }
    if (!opts_get_bool(o, "strict", cfg->boot_strict, &cfg->boot_strict, err))
        return false;
    replace(&cfg->boot_splash, opts_get(o, "splash"));
    if (opts_has(o, "splash-time")) {
        if (!opts_get_u64(o, "splash-time", 0, 65535, &n, err))
            return false;
        cfg->boot_splash_time = n;
    }
    if (opts_has(o, "reboot-timeout")) {
        const char *s = opts_get(o, "reboot-timeout");

        if (strcmp(s, "-1") && !opts_get_u64(o, "reboot-timeout", 0, 65535, &n, err))
            return false;
        cfg->boot_reboot_timeout = strcmp(s, "-1") ? (int64_t)n : -1;
    }
    return opts_all_used(o, "-boot", (const char *const[]){ "order", "once", "menu", "splash", "splash-time",
                         "reboot-timeout", "strict", NULL }, err);
}

/* ---- -rtc, -name, -uuid, -action, -fw_cfg ---- */

bool cli_set_rtc(Cli *c, const char *option, const char *arg, GError **err)
{
    g_autoptr(Opts) o = opts_parse(arg, "base", err);
    const char *clock, *drift;

    if (!o)
        return false;
    replace(&c->cfg->rtc_base, opts_get(o, "base"));
    clock = opts_get(o, "clock");
    if (clock && strcmp(clock, "host") && strcmp(clock, "rt") && strcmp(clock, "vm"))
        return error_set(err, "clock=%s is none of 'host', 'rt' and 'vm'", clock);
    replace(&c->cfg->rtc_clock, clock);
    drift = opts_get(o, "driftfix");
    if (drift && strcmp(drift, "none") && strcmp(drift, "slew"))
        return error_set(err, "driftfix=%s is neither 'none' nor 'slew'", drift);
    c->cfg->rtc_slew = drift && !strcmp(drift, "slew");
    return opts_all_used(o, "-rtc", (const char *const[]){ "base", "clock", "driftfix", NULL }, err);
}

bool cli_set_name(Cli *c, const char *option, const char *arg, GError **err)
{
    g_autoptr(Opts) o = opts_parse(arg, "guest", err);

    if (!o)
        return false;
    replace(&c->cfg->name, opts_get(o, "guest"));
    replace(&c->cfg->process_name, opts_get(o, "process"));
    return opts_get_bool(o, "debug-threads", c->cfg->debug_threads, &c->cfg->debug_threads, err) &&
           opts_all_used(o, "-name", (const char *const[]){ "guest", "process", "debug-threads", NULL }, err);
}

bool cli_set_uuid(Cli *c, const char *option, const char *arg, GError **err)
{
    unsigned b[16];
    int end = 0;

    if (sscanf(arg, "%2x%2x%2x%2x-%2x%2x-%2x%2x-%2x%2x-%2x%2x%2x%2x%2x%2x%n", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5],
               &b[6], &b[7], &b[8], &b[9], &b[10], &b[11], &b[12], &b[13], &b[14], &b[15], &end) != 16 || end != 36 || arg[end])
        return error_set(err, "-uuid %s: expected a UUID such as 550e8400-e29b-41d4-a716-446655440000", arg);
    for (int i = 0; i < 16; i++)
        c->cfg->uuid[i] = b[i];
    c->cfg->uuid_set = true;
    return true;
}

static bool choose(Opts *o, const char *name, const char *const *names, unsigned *v, GError **err)
{
    const char *s = opts_get(o, name);

    if (!s)
        return true;
    for (*v = 0; names[*v]; ++*v)
        if (!strcmp(names[*v], s))
            return true;
    {
        g_autofree char *all = g_strjoinv("', '", (char **)names);

        return error_set(err, "%s=%s is none of '%s'", name, s, all);
    }
}

static const char *const watchdog_actions[] = { "reset", "shutdown", "poweroff", "pause", "debug", "none", "inject-nmi", NULL };

bool cli_set_action(Cli *c, const char *option, const char *arg, GError **err)
{
    static const char *const reboot[] = { "reset", "shutdown", NULL }, *const shutdown[] = { "poweroff", "pause", NULL },
                      *const panic[] = { "shutdown", "pause", "exit-failure", "none", NULL };
    g_autoptr(Opts) o = opts_parse(arg, NULL, err);

    return o && choose(o, "reboot", reboot, &c->cfg->action_reboot, err) &&
           choose(o, "shutdown", shutdown, &c->cfg->action_shutdown, err) &&
           choose(o, "panic", panic, &c->cfg->action_panic, err) &&
           choose(o, "watchdog", watchdog_actions, &c->cfg->action_watchdog, err) &&
           opts_all_used(o, "-action", (const char *const[]){ "reboot", "shutdown", "panic", "watchdog", NULL }, err);
}

bool cli_set_watchdog_action(Cli *c, const char *option, const char *arg, GError **err)
{
    g_autofree char *s = g_strdup_printf("watchdog=%s", arg);

    return cli_set_action(c, option, s, err);
}

bool cli_set_fw_cfg(Cli *c, const char *option, const char *arg, GError **err)
{
    g_autoptr(Opts) o = opts_parse(arg, "name", err);

    if (!o)
        return false;
    if (!opts_get(o, "name") || !*opts_get(o, "name"))
        return error_set(err, "-fw_cfg %s: name= is missing", arg);
    if (!opts_get(o, "file") == !opts_get(o, "string"))
        return error_set(err, "-fw_cfg %s: exactly one of file= and string= is needed", arg);
    if (!opts_all_used(o, "-fw_cfg", (const char *const[]){ "name", "file", "string", NULL }, err))
        return false;
    g_ptr_array_add(c->cfg->fw_cfg, g_strdup(arg));
    return true;
}
