/* The table of CPU models (models.def) and its names. */
#include "target/i386/cpu.h"
#include "target/i386/model.h"
#include "util/error.h"
#include <string.h>

#define INTEL VENDOR_INTEL
#define AMD VENDOR_AMD
#define HYGON VENDOR_HYGON
#define W(word, value) [FW_##word] = value,
#define MODEL_ALIAS(n, v, m)

static const X86Model rows[] = {
#define MODEL(n, id, nt, v, f, m, s, l, x, l7, c, ...) { .name = n, .model_id = id, .note = nt, .vendor = v, .family = f, .model = m, \
    .stepping = s, .level = l, .level_func7 = l7, .caches = c, .xlevel = x, .words = { __VA_ARGS__ } },
#include "target/i386/models.def"
#undef MODEL
};
#undef MODEL_ALIAS

const X86ModelName x86_model_names[] = {
#define MODEL(n, ...) { n, MODEL_TABLE, NULL, false },
#define MODEL_ALIAS(n, v, m) { n, MODEL_TABLE, v, m },
#include "target/i386/models.def"
#undef MODEL
#undef MODEL_ALIAS
    { "base", MODEL_BASE, NULL, false },
    { "host", MODEL_HOST, NULL, false },
    { "max", MODEL_MAX, NULL, false },
};

const X86ModelName *x86_model_find(const char *name)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(x86_model_names); i++) {
        if (!strcmp(x86_model_names[i].name, name)) {
            return &x86_model_names[i];
        }
    }
    return NULL;
}

const X86Model *x86_model_row(const X86ModelName *n)
{
    const char *name = n->alias_of ? n->alias_of : n->name;

    for (unsigned i = 0; n->kind == MODEL_TABLE && i < G_N_ELEMENTS(rows); i++) {
        if (!strcmp(rows[i].name, name)) {
            return &rows[i];
        }
    }
    return NULL;
}

static int compare(const void *a, const void *b)
{
    const X86ModelName *x = *(const X86ModelName *const *)a, *y = *(const X86ModelName *const *)b;

    return x->kind != y->kind ? (int)x->kind - (int)y->kind : strcmp(x->name, y->name);
}

GPtrArray *x86_model_names_sorted(void)
{
    GPtrArray *a = g_ptr_array_new();

    for (unsigned i = 0; i < G_N_ELEMENTS(x86_model_names); i++) {
        g_ptr_array_add(a, (void *)&x86_model_names[i]);
    }
    g_ptr_array_sort(a, compare);
    return a;
}

char *x86_model_nearest(const char *name)
{
    g_autofree const char **names = g_new0(const char *, G_N_ELEMENTS(x86_model_names) + 1);

    for (unsigned i = 0; i < G_N_ELEMENTS(x86_model_names); i++) {
        names[i] = x86_model_names[i].name;
    }
    return nearest_hint(name, names);
}

/* ---- -cpu help ---- */

static char *describe(const X86ModelName *n)
{
    const X86Model *row = x86_model_row(n);

    if (n->kind == MODEL_BASE) {
        return g_strdup("base CPU model type with no features enabled");
    } else if (n->kind == MODEL_HOST) {
        return g_strdup("processor with all supported host features ");
    } else if (n->kind == MODEL_MAX) {
        return g_strdup("Enables all features supported by the accelerator in the current host");
    } else if (n->by_machine) {
        return g_strdup("(alias configured by machine type)");
    } else if (n->alias_of) {
        return g_strdup_printf("(alias of %s)", n->alias_of);
    } else if (*row->note) {
        return g_strdup_printf("%s [%s]", row->model_id, row->note);
    }
    return g_strdup(row->model_id);
}

static void add_flag(void *opaque, FeatureWord w, unsigned bit, const char *name, bool alias)
{
    if (!alias) {
        g_ptr_array_add(opaque, (void *)name);
    }
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Words in lines of at most 75 characters, then an empty one. */
static void list_flags(GString *out)
{
    g_autoptr(GPtrArray) flags = g_ptr_array_new();
    size_t column = 0;

    x86_features_foreach(add_flag, flags);
    g_ptr_array_sort(flags, compare_names);
    for (unsigned i = 0; i < flags->len; i++) {
        const char *f = g_ptr_array_index(flags, i);

        if (column && column + strlen(f) + 1 >= 76) {
            g_string_append_c(out, '\n');
            column = 0;
        }
        g_string_append_printf(out, "%s%s", column ? " " : "  ", f);
        column += strlen(f) + (column ? 1 : 2);
    }
    g_string_append(out, "\n\n");
}

void x86_cpu_list(GString *out)
{
    g_autoptr(GPtrArray) all = x86_model_names_sorted();

    g_string_append(out, "Available CPUs:\n");
    for (unsigned i = 0; i < all->len; i++) {
        const X86ModelName *n = g_ptr_array_index(all, i);
        g_autofree char *text = describe(n);

        g_string_append_printf(out, "x86 %-20s  %s\n", n->name, text);
    }
    g_string_append(out, "\nRecognized CPUID flags:\n");
    list_flags(out);
}
