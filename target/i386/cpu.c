/*
 * CPUs as devices: -cpu, the types (one a model), making and resetting them.
 */
#include "target/i386/cpu-int.h"
#include "target/i386/hyperv.h"
#include "accel/kvm/kvm.h"
#include "util/error.h"

/* ---- -cpu ---- */

typedef struct Setting { char *name, *value; char kind; } Setting;     /* kind: '=', '+', '-' */

static void free_setting(void *p)
{
    Setting *s = p;

    g_free(s->name);
    g_free(s->value);
    g_free(s);
}

/* "12G" and the like in Hz, with decimal units. */
static bool parse_hz(const char *text, char **out)
{
    static const char units[] = "KMGT";
    char *end;
    double v = g_ascii_strtod(text, &end);
    const char *u = *end ? strchr(units, g_ascii_toupper(*end)) : NULL;

    if (end == text || (*end && (!u || end[1])) || v < 0) {
        return false;
    }
    for (int i = u ? (int)(u - units) : -1; i >= 0; i--) {
        v *= 1000;
    }
    if (v >= 9e18) {
        return false;
    }
    *out = g_strdup_printf("%" G_GINT64_FORMAT, (gint64)v);
    return true;
}

static bool parse_setting(const char *text, Setting *s, GError **err)
{
    const char *eq = strchr(text, '=');

    if (*text == '+' || *text == '-') {
        s->kind = *text;
        s->name = g_strdup(text + 1);
        s->value = g_strdup(*text == '+' ? "on" : "off");
    } else {
        s->kind = '=';
        s->name = eq ? g_strndup(text, eq - text) : g_strdup(text);
        s->value = g_strdup(eq ? eq + 1 : "on");
    }
    g_strdelimit(s->name, "_", '-');
    if (!strcmp(s->name, "tsc-freq")) {
        char *hz;

        if (!parse_hz(s->value, &hz)) {
            return error_set(err, "bad numerical value %s", s->value);
        }
        g_free(s->name);
        g_free(s->value);
        s->name = g_strdup("tsc-frequency");
        s->value = hz;
    }
    return true;
}

static void warn_ambiguous(const GPtrArray *settings)
{
    bool said = false;

    for (unsigned i = 0; i < settings->len; i++) {
        const Setting *a = g_ptr_array_index(settings, i);

        for (unsigned j = 0; a->kind != '=' && j < settings->len; j++) {
            const Setting *b = g_ptr_array_index(settings, j);

            if (b->kind == '=' && !strcmp(a->name, b->name)) {
                warn_report("Ambiguous CPU model string. Don't mix both \"%c%s\" and \"%s=%s\"", a->kind, a->name, b->name, b->value);
                said = true;
            }
        }
    }
    if (said) {
        warn_report("Compatibility of ambiguous CPU model strings won't be kept on future QEMU versions");
    }
}

static bool parse_cpu(const char *text, const X86ModelName **model, GPtrArray *settings, GError **err)
{
    g_auto(GStrv) parts = g_strsplit(text, ",", -1);

    *model = parts[0] ? x86_model_find(parts[0]) : NULL;
    if (!*model) {
        g_autofree char *hint = x86_model_nearest(parts[0] ? parts[0] : "");

        return error_set(err, "-cpu %s: unable to find CPU model '%s'%s; '-cpu help' lists them", text, parts[0] ? parts[0] : "", hint);
    }
    if ((*model)->kind == MODEL_HOST && !accel_is_kvm()) {
        return error_set(err, "-cpu %s: CPU model 'host' requires KVM", text);
    }
    for (unsigned i = 1; parts[i]; i++) {
        Setting *s = g_new0(Setting, 1);

        g_ptr_array_add(settings, s);
        if (!parse_setting(parts[i], s, err)) {
            error_prefix_option(err, "cpu", text);
            return false;
        }
    }
    warn_ambiguous(settings);
    return true;
}

/* feat=on|off in order, then all of +feat, then all of -feat. */
static bool apply_settings(Device *d, const GPtrArray *settings, GError **err)
{
    static const char order[] = "=+-";

    for (unsigned k = 0; k < 3; k++) {
        for (unsigned i = 0; i < settings->len; i++) {
            const Setting *s = g_ptr_array_index(settings, i);

            if (s->kind == order[k] && !device_set(d, s->name, s->value, err)) {
                error_prefix_option(err, "cpu", d->machine->cfg->cpu);
                return false;
            }
        }
    }
    return true;
}

/* ---- The device ---- */

static void hv_given(const Property *p, X86Cpu *c)
{
    if (p->off == offsetof(X86Cpu, props.hv) && c->dev.set_props && g_hash_table_contains(c->dev.set_props, p->name)) {
        c->props.hv_given |= 1ull << p->bit;
    }
}

static bool make_spec(X86Cpu *c, GError **err)
{
    X86Topology topo = x86_topology(c->dev.machine->cfg);

    for (const Property *p = x86_cpu_props; p->name; p++) {
        hv_given(p, c);
    }
    if (c->props.hv_vendor_id && strlen(c->props.hv_vendor_id) > 12) {
        warn_report("hv-vendor-id truncated to 12 characters");
    }
    c->own_spec = x86_spec_new(&x86_model_names[c->dev.type - x86_cpu_types], &c->props, &topo, err);
    if (!c->own_spec) {
        error_prefix_option(err, "cpu", c->dev.machine->cfg->cpu);
    }
    c->spec = c->own_spec;
    return c->spec;
}

/* Where in the topology a CPU from device_add goes: apic-id says it, or socket-, core- and thread-id, and die-id where there are
 * several. */
static bool find_place(X86Cpu *c, GError **err)
{
    X86Topology t = x86_topology(c->dev.machine->cfg);
    unsigned max = c->dev.machine->cfg->smp.max_cpus;
    struct { const char *name; int32_t *given; unsigned n; } ids[] = {
        { "socket-id", &c->socket_id, t.sockets }, { "die-id", &c->die_id, t.dies }, { "core-id", &c->core_id, t.cores },
        { "thread-id", &c->thread_id, t.threads },
    };

    if (c->apic_id != UINT32_MAX) {
        for (c->index = 0; c->index < max && x86_apic_id(&t, c->index) != c->apic_id; c->index++) {
        }
        return c->index < max || error_set(err, "Invalid CPU with APIC ID %u, valid index range 0:%u", c->apic_id, max - 1);
    }
    c->index = 0;
    for (unsigned i = 0; i < G_N_ELEMENTS(ids); i++) {
        if (*ids[i].given < 0 && (strcmp(ids[i].name, "die-id") || t.dies > 1)) {
            return error_set(err, "CPU %s is not set", ids[i].name);
        }
        *ids[i].given = MAX(*ids[i].given, 0);
        if (*ids[i].given >= (int)ids[i].n) {
            return error_set(err, "Invalid CPU %s: %u must be in range 0:%u", ids[i].name, *ids[i].given, ids[i].n - 1);
        }
        c->index = c->index * ids[i].n + *ids[i].given;
    }
    return true;
}

/* All CPUs are of one model: those that come later share what -cpu said, unless they are given features of their own. */
static bool join_others(X86Cpu *c, GError **err)
{
    static const char *const places[] = { "apic-id", "socket-id", "die-id", "core-id", "thread-id", "node-id", NULL };
    X86Cpu *boot = x86_cpu(c->dev.machine, 0);
    GHashTableIter it;
    gpointer name;

    if (!boot || c->spec) {
        return true;
    }
    if (boot->dev.type != c->dev.type) {
        return error_set(err, "Invalid CPU type, expected cpu type: '%s'", boot->dev.type->name);
    }
    c->spec = boot->spec;
    if (c->dev.set_props) {
        g_hash_table_iter_init(&it, c->dev.set_props);
        while (g_hash_table_iter_next(&it, &name, NULL)) {
            c->spec = g_strv_contains(places, name) ? c->spec : NULL;
        }
    }
    return true;
}

static bool take_place(X86Cpu *c, GError **err)
{
    Machine *m = c->dev.machine;
    X86Topology t = x86_topology(m->cfg);

    if (!join_others(c, err) || (c->dev.by_user && !find_place(c, err))) {
        return false;
    }
    for (unsigned i = 0; i < m->vcpus->len; i++) {
        if (((Vcpu *)g_ptr_array_index(m->vcpus, i))->index == c->index) {
            return error_set(err, "CPU[%u] with APIC ID %u exists", c->index, x86_apic_id(&t, c->index));
        }
    }
    c->apic_id = x86_apic_id(&t, c->index);
    c->thread_id = c->index % t.threads;
    c->core_id = c->index / t.threads % t.cores;
    c->die_id = c->index / t.threads / t.cores % t.dies;
    c->socket_id = c->index / t.threads / t.cores / t.dies;
    return true;
}

static void free_parts(X86Cpu *c)
{
    if (c->lapic) {
        device_free(&c->lapic->dev);
    }
    if (c->common) {
        device_free(c->common);
    }
}

static bool x86_cpu_realize(Device *d, GError **err)
{
    X86Cpu *c = DEVICE(d, X86Cpu);

    if (!take_place(c, err) || (!c->spec && !make_spec(c, err))) {
        return false;
    }
    d->instance_id = c->index;
    c->vcpu = (Vcpu){ .index = c->index, .apic_id = c->apic_id, .cpu = c, .fd = -1, .ops = &x86_vcpu_ops };
    if (accel_is_kvm() && accel_irqchip == IRQCHIP_OFF) {
        c->vcpu.ops = &x86_vcpu_ops_user_apic;
    } else if (accel_is_kvm() && accel_irqchip == IRQCHIP_SPLIT && !c->index) {
        c->vcpu.ops = &x86_vcpu_ops_user_pic;
    }
    if (!x86_lapic_create(c, err)) {
        return false;
    }
    x86_cpu_reset(c);
    if (!accel->vcpu_create(&c->vcpu, err)) {
        free_parts(c);
        return false;
    }
    g_ptr_array_add(d->machine->vcpus, &c->vcpu);
    return true;
}

static void x86_cpu_unrealize(Device *d)
{
    X86Cpu *c = DEVICE(d, X86Cpu);

    g_ptr_array_remove(d->machine->vcpus, &c->vcpu);
    accel->vcpu_destroy(&c->vcpu);
    free_parts(c);
    g_free(c->xsave);
    g_free(c->msrs);
    g_free(c->nested);
    x86_spec_free(c->own_spec);
}

static void reset_hook(Device *d)
{
    x86_cpu_reset(DEVICE(d, X86Cpu));
}

#define TYPE_OF(n, p) { \
    .name = n "-x86_64-cpu", .category = CAT_CPU, .hotplug = true, .resets_itself = true, .no_bus = true, \
    .size = sizeof(X86Cpu), .props = (p), \
    .state = &x86_cpu_state, .realize = x86_cpu_realize, .unrealize = x86_cpu_unrealize, .reset = reset_hook },
#define TYPE(n) TYPE_OF(n, x86_max_props + 2)
#define MODEL(n, ...) TYPE(n)
#define MODEL_ALIAS(n, v, m) TYPE(n)
const DeviceType x86_cpu_types[] = {
#include "target/i386/models.def"
    TYPE("base") TYPE_OF("host", x86_max_props) TYPE_OF("max", x86_max_props)
};
#undef MODEL
#undef MODEL_ALIAS
const unsigned x86_cpu_type_count = G_N_ELEMENTS(x86_cpu_types);

/* ---- Making the machine's CPUs ---- */

static X86Cpu *new_cpu(Machine *m, const X86ModelName *model, unsigned index, GError **err)
{
    X86Cpu *c = DEVICE(device_new(m, &x86_cpu_types[model - x86_model_names], err), X86Cpu);

    if (c) {
        c->index = index;
    }
    return c;
}

/* The first CPU works out what -cpu means, the others share it. */
static bool create_boot_cpus(Machine *m, const X86ModelName *model, const GPtrArray *settings, GError **err)
{
    X86Cpu *first = NULL;

    for (unsigned i = 0; i < m->cfg->smp.cpus; i++) {
        X86Cpu *c = new_cpu(m, model, i, err);

        if (!c) {
            return false;
        }
        if (!first) {
            first = c;
            if (!apply_settings(&c->dev, settings, err) || !make_spec(c, err)) {
                device_free(&c->dev);
                return false;
            }
        } else {
            c->spec = first->spec;
        }
        if (!device_realize(&c->dev, NULL, err)) {
            return false;
        }
        /* Stock QEMU's second device is "kvmvapic"; without KVM it is missing, and we count all the same. */
        if (c == first && !accel_is_kvm()) {
            m->paths_unattached++;
        } else if (c == first && !device_create(m, &x86_vapic_type, NULL, err)) {
            return false;
        }
        g_ptr_array_remove(m->devices, &c->lapic->dev);     /* in the stream it follows its CPU */
        g_ptr_array_add(m->devices, &c->lapic->dev);
    }
    return true;
}

bool x86_cpus_create(Machine *m, const char *default_model, GError **err)
{
    g_autoptr(GPtrArray) settings = g_ptr_array_new_with_free_func(free_setting);
    const X86ModelName *model;

    if (accel_is_kvm()) {
        x86_kvm_filter_msrs();
    }
    return parse_cpu(m->cfg->cpu ? m->cfg->cpu : default_model, &model, settings, err)
           && create_boot_cpus(m, model, settings, err) && (!accel_is_kvm() || x86_kvmclock_create(m, err));
}

bool x86_is_cpu(const Device *d)
{
    return d->type >= x86_cpu_types && d->type < x86_cpu_types + x86_cpu_type_count;
}

X86Cpu *x86_cpu(Machine *m, unsigned i)
{
    return i < m->vcpus->len ? x86_cpu_of(g_ptr_array_index(m->vcpus, i)) : NULL;
}

X86Cpu *x86_cpu_current(void)
{
    Vcpu *v = vcpu_current();

    return v ? x86_cpu_of(v) : NULL;
}

/* ---- What firmware tables need to know ---- */

uint32_t x86_cpuid(X86Cpu *c, uint32_t leaf, uint32_t subleaf, unsigned reg)
{
    uint32_t r[4];

    x86_spec_cpuid(c->spec, c->apic_id, leaf, subleaf, r);
    return r[reg & 3];
}

unsigned x86_phys_bits(X86Cpu *c)
{
    return c->spec->phys_bits;
}

bool x86_is_amd(X86Cpu *c)
{
    return x86_spec_amd(c->spec);
}

uint64_t x86_feature_control(X86Cpu *c)
{
    enum { LOCKED = 1 << 0, VMX_OUTSIDE_SMX = 1 << 2, SGX_LC = 1 << 17, SGX = 1 << 18, LMCE = 1 << 20 };
    uint64_t v = 0;

    v |= x86_spec_has(c->spec, FW_1_ECX, F1_ECX_VMX) ? VMX_OUTSIDE_SMX : 0;
    v |= x86_spec_has(c->spec, FW_7_0_EBX, F7_EBX_SGX) ? SGX : 0;
    v |= x86_spec_has(c->spec, FW_7_0_ECX, F7_ECX_SGX_LC) ? SGX_LC : 0;
    v |= c->mcg_cap & 1 << 27 ? LMCE : 0;
    return v ? v | LOCKED : 0;
}

bool x86_cpu_in_long_mode(const X86Cpu *c)
{
    return c->efer & EFER_LMA;
}

unsigned x86_cpu_code_bits(const X86Cpu *c)
{
    uint32_t flags = c->segs[R_CS].flags;

    return (c->efer & EFER_LMA) && (flags & SEG_L) ? 64 : (flags & SEG_B) ? 32 : 16;
}
