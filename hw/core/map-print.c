/* info mtree: the memory map as a tree, and flat. */
#include <inttypes.h>
#include <string.h>
#include "hw/core/memory-int.h"

#define RANGE "%016" PRIx64 "-%016" PRIx64

static const char *kind_name(const Region *r, bool readonly)
{
    if (r->kind == REGION_ALIAS)
        return kind_name(r->target, readonly);
    if (r->kind == REGION_RAM)
        return readonly || r->readonly ? r->ops ? "romd" : "rom" : "ram";
    return "i/o";
}

static uint64_t last_of(const Region *r, uint64_t base)
{
    return r->size == UINT64_MAX ? UINT64_MAX : base + r->size - 1;
}

static int by_addr(const void *a, const void *b)
{
    const Region *x = a, *y = b;

    if (x->addr != y->addr)
        return x->addr < y->addr ? -1 : 1;
    return y->priority - x->priority;
}

static void print_region(Region *r, uint64_t base, unsigned depth, GString *out, GPtrArray *aliased)
{
    g_autoptr(GSList) kids = NULL;

    base += r->addr;
    if (r->enabled) {
        g_string_append_printf(out, "%*s" RANGE " (prio %d, %s): ", depth * 2, "", base, last_of(r, base), r->priority,
                               kind_name(r, false));
        if (r->kind == REGION_ALIAS) {
            g_string_append_printf(out, "alias %s @%s " RANGE "\n", r->name, r->target->name, r->target_off,
                                   last_of(r, r->target_off));
            if (aliased && !g_ptr_array_find(aliased, r->target, NULL))
                g_ptr_array_add(aliased, r->target);
        } else {
            g_string_append_printf(out, "%s\n", r->name);
        }
    }
    kids = g_slist_sort(g_slist_copy(r->children), by_addr);
    for (GSList *l = kids; l; l = l->next)
        print_region(l->data, base, depth + 1, out, aliased);
}

static void print_tree(Machine *m, GString *out)
{
    g_autoptr(GPtrArray) aliased = g_ptr_array_new();

    for (unsigned i = 0; i < m->vcpus->len; i++)
        g_string_append_printf(out, "address-space: cpu-memory-%u\n", i);
    g_string_append(out, "address-space: memory\n");
    print_region(&m->memory, 0, 1, out, aliased);
    g_string_append(out, "\naddress-space: I/O\n");
    print_region(&m->io, 0, 1, out, aliased);
    g_string_append_c(out, '\n');
    for (unsigned i = 0; i < aliased->len; i++) {
        Region *r = g_ptr_array_index(aliased, i);

        g_string_append_printf(out, "memory-region: %s\n", r->name);
        print_region(r, 0, 1, out, aliased);
        g_string_append_c(out, '\n');
    }
}

static void print_view(const FlatView *v, bool kvm, GString *out)
{
    for (unsigned i = 0; i < v->n; i++) {
        const FlatRange *f = &v->ranges[i];

        g_string_append_printf(out, "  " RANGE " (prio %d, %s): %s", f->first, f->last, f->region->priority,
                               kind_name(f->region, f->readonly), f->region->name);
        if (f->off)
            g_string_append_printf(out, " @%016" PRIx64, f->off);
        g_string_append(out, kvm && f->region->kind == REGION_RAM ? " KVM\n" : "\n");
    }
    if (!v->n)
        g_string_append(out, "  No rendered FlatView\n");
    g_string_append_c(out, '\n');
}

void map_print(Machine *m, GString *out, bool flat)
{
    if (!flat) {
        print_tree(m, out);
        return;
    }
    g_string_append(out, "FlatView #0\n AS \"memory\", root: system\n");
    for (unsigned i = 0; i < m->vcpus->len; i++)
        g_string_append_printf(out, " AS \"cpu-memory-%u\", root: system\n", i);
    g_string_append(out, " Root memory region: system\n");
    print_view(m->mem_view, accel_is_kvm(), out);
    g_string_append(out, "FlatView #1\n AS \"I/O\", root: io\n Root memory region: io\n");
    print_view(m->io_view, false, out);
}
