/* What the monitor can ask of CPU models without running one: which there are, what KVM lacks for each, what each comes to. */
#include <string.h>
#include "target/i386/cpu-int.h"
#include "util/error.h"

typedef struct Names { GPtrArray *out; const uint64_t *words; const char *wanted; bool found; } Names;

static void add_name(void *opaque, FeatureWord w, unsigned bit, const char *name, bool alias)
{
    Names *n = opaque;

    if (!alias && n->words[w] >> bit & 1 && !g_ptr_array_find_with_equal_func(n->out, name, g_str_equal, NULL)) {
        g_ptr_array_add(n->out, (void *)name);
    }
}

static void match(void *opaque, FeatureWord w, unsigned bit, const char *name, bool alias)
{
    Names *n = opaque;

    n->found |= !alias && !strcmp(name, n->wanted);
}

bool x86_is_feature(const char *name)
{
    Names n = { .wanted = name };

    x86_features_foreach(match, &n);
    return n.found;
}

Device *x86_model_new(Machine *m, const char *model, GError **err)
{
    const X86ModelName *n = x86_model_find(model);
    Device *d;

    if (!n) {
        error_set(err, "The CPU model '%s' is not known", model);
        return NULL;
    }
    d = device_new(m, &x86_cpu_types[n - x86_model_names], err);
    if (d) {
        DEVICE(d, X86Cpu)->props.check = false;     /* nothing that KVM lacks is worth a warning here */
    }
    return d;
}

bool x86_model_expand(Device *d, GError **err)
{
    X86Cpu *c = DEVICE(d, X86Cpu);
    X86Topology one = { 1, 1, 1, 1 };
    X86Spec *s = x86_spec_new(&x86_model_names[d->type - x86_cpu_types], &c->props, &one, err);

    if (!s) {
        return false;
    }
    for (unsigned w = 0; w < FW_COUNT; w++) {
        s->features[w] |= s->filtered[w];       /* what the model asks for */
    }
    c->spec = c->own_spec = s;
    c->props.check = true;
    c->props.pmu = s->pmu ? 1 : 2;
    c->props.host_phys_bits = c->props.host_phys_bits ? c->props.host_phys_bits : d->type->props == x86_max_props ? 1 : 2;
    c->props.legacy_cache = s->legacy_cache ? 1 : 2;
    c->props.level = c->props.min_level = s->level;
    c->props.xlevel = c->props.min_xlevel = s->xlevel;
    c->props.xlevel2 = c->props.min_xlevel2 = s->xlevel2;
    c->props.level_func7 = s->level_func7;
    g_free(c->props.model_id);
    c->props.model_id = g_strdup(s->model_id);
    return true;
}

void x86_model_free(Device *d)
{
    x86_spec_free(DEVICE(d, X86Cpu)->own_spec);
    device_free(d);
}

/* Those whose own names sort last are the oldest; max, host and base come first. */
void x86_models_foreach(Machine *m, void (*fn)(const X86ModelInfo *i, void *opaque), void *opaque)
{
    g_autoptr(GPtrArray) all = x86_model_names_sorted();

    for (unsigned i = all->len; i-- > 0;) {
        const X86ModelName *n = g_ptr_array_index(all, i);
        bool host = n->kind == MODEL_HOST || n->kind == MODEL_MAX;
        Device *d = x86_model_new(m, n->name, NULL);
        g_autoptr(GPtrArray) missing = g_ptr_array_new();
        X86ModelInfo info = { .name = n->name, .alias_of = n->alias_of, .is_static = n->kind == MODEL_BASE, .migration_safe = !host,
                              .unavailable = missing };

        if (!d) {
            continue;
        }
        if (x86_model_expand(d, NULL)) {
            Names names = { .out = missing, .words = DEVICE(d, X86Cpu)->spec->filtered };

            x86_features_foreach(add_name, &names);
        }
        info.type = d->type->name;
        fn(&info, opaque);
        x86_model_free(d);
    }
}
