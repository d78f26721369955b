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

/* ---- Address spaces of bus masters: the memory when the device may, else nothing ---- */

typedef struct Masters { GPtrArray *devices; unsigned on; } Masters;

static bool is_on(Device *d)
{
    return d->bus->type->bus_master(d);
}

static bool add_master(Device *d, void *opaque)
{
    Masters *ms = opaque;

    if (d->bus && d->bus->type->bus_master) {
        g_ptr_array_add(ms->devices, d);
        ms->on += is_on(d);
    }
    return true;
}

static Masters masters_of(Machine *m)
{
    Masters ms = { g_ptr_array_new(), 0 };

    machine_foreach_device(m, add_master, &ms);
    return ms;
}

static void print_masters(const Masters *ms, GString *out)
{
    for (unsigned i = 0; i < ms->devices->len; i++) {
        Device *d = g_ptr_array_index(ms->devices, i);

        g_string_append_printf(out, "address-space: %s\n  " RANGE " (prio 0, i/o): bus master container\n", d->type->name,
                               (uint64_t)0, UINT64_MAX);
        if (is_on(d))
            g_string_append_printf(out, "    " RANGE " (prio 0, i/o): alias bus master @system " RANGE "\n", (uint64_t)0,
                                   UINT64_MAX, (uint64_t)0, UINT64_MAX);
        g_string_append_c(out, '\n');
    }
}

static void print_master_names(const Masters *ms, bool on, GString *out)
{
    for (unsigned i = 0; i < ms->devices->len; i++) {
        Device *d = g_ptr_array_index(ms->devices, i);

        if (is_on(d) == on)
            g_string_append_printf(out, " AS \"%s\", root: bus master container\n", d->type->name);
    }
}

/* ---- The tree ---- */

static void print_tree(Machine *m, const Masters *ms, GString *out)
{
    g_autoptr(GPtrArray) aliased = g_ptr_array_new();

    for (unsigned i = 0; i < m->vcpus->len; i++)
        g_string_append_printf(out, "address-space: cpu-memory-%u\n", i);
    g_string_append(out, "address-space: memory\n");
    if (ms->devices->len)
        g_ptr_array_add(aliased, &m->memory);
    print_region(&m->memory, 0, 1, out, aliased);
    g_string_append(out, "\naddress-space: I/O\n");
    print_region(&m->io, 0, 1, out, aliased);
    g_string_append_c(out, '\n');
    if (m->smm && accel_smm) {
        g_string_append(out, "address-space: KVM-SMRAM\n");
        print_region(&m->smm_root, 0, 1, out, aliased);
        g_string_append_c(out, '\n');
    }
    print_masters(ms, out);
    for (unsigned i = 0; i < aliased->len; i++) {
        Region *r = g_ptr_array_index(aliased, i);

        g_string_append_printf(out, "memory-region: %s\n", r->name);
        print_region(r, 0, 1, out, aliased);
        g_string_append_c(out, '\n');
    }
}

/* ---- Flat ---- */

static void print_range(uint64_t first, uint64_t last, const Region *r, uint64_t off, bool readonly, bool kvm, GString *out)
{
    g_string_append_printf(out, "  " RANGE " (prio %d, %s): %s", first, last, r->priority, kind_name(r, readonly), r->name);
    if (off)
        g_string_append_printf(out, " @%016" PRIx64, off);
    g_string_append(out, kvm && r->kind == REGION_RAM ? " KVM\n" : "\n");
}

/* hole: the region that answers where no other does, or NULL. */
static void print_view(const FlatView *v, const Region *hole, bool kvm, GString *out)
{
    uint64_t next = 0;

    for (unsigned i = 0; i < v->n; i++) {
        const FlatRange *f = &v->ranges[i];

        if (hole && f->first > next)
            print_range(next, f->first - 1, hole, next, false, false, out);
        print_range(f->first, f->last, f->region, f->off, f->readonly, kvm, out);
        next = f->last + 1;
    }
    if (hole && next < hole->size)
        print_range(next, hole->size - 1, hole, next, false, false, out);
    else if (!v->n)
        g_string_append(out, "  No rendered FlatView\n");
    g_string_append_c(out, '\n');
}

static void print_flat(Machine *m, const Masters *ms, GString *out)
{
    g_string_append(out, "FlatView #0\n AS \"memory\", root: system\n");
    for (unsigned i = 0; i < m->vcpus->len; i++)
        g_string_append_printf(out, " AS \"cpu-memory-%u\", root: system\n", i);
    print_master_names(ms, true, out);
    g_string_append(out, " Root memory region: system\n");
    print_view(m->mem_view, NULL, accel_is_kvm(), out);
    g_string_append(out, "FlatView #1\n AS \"I/O\", root: io\n Root memory region: io\n");
    print_view(m->io_view, &m->io, false, out);
    if (m->smm && accel_smm) {
        g_string_append(out, "FlatView #2\n AS \"KVM-SMRAM\", root: mem-container-smram\n"
                        " Root memory region: mem-container-smram\n");
        print_view(m->smm_view, NULL, true, out);
    }
    if (ms->on < ms->devices->len) {
        g_string_append_printf(out, "FlatView #%d\n", m->smm && accel_smm ? 3 : 2);
        print_master_names(ms, false, out);
        g_string_append(out, " Root memory region: (none)\n  No rendered FlatView\n\n");
    }
}

void map_print(Machine *m, GString *out, bool flat)
{
    Masters ms = masters_of(m);

    (flat ? print_flat : print_tree)(m, &ms, out);
    g_ptr_array_unref(ms.devices);
}
