/*
 * The memory map's regions: tree, attributes, transactions, doorbells.
 *
 * A change marks the map dirty; the outermost commit flattens both trees anew, and hands the accelerator the RAM
 * ranges and the doorbells that the flat views hold.
 */
#include <string.h>
#include "hw/core/memory-int.h"
#include "util/error.h"

typedef struct Doorbell {
    uint64_t off;
    unsigned size;
    bool has_match;
    uint64_t match;
    int fd;                     /* -1: coalesced writes */
    bool active, pio;           /* registered with the accelerator at addr */
    uint64_t addr;
    bool seen;
} Doorbell;

static void init(Region *r, Device *owner, const char *name, RegionKind kind, uint64_t size)
{
    memset(r, 0, sizeof *r);
    r->owner = owner;
    r->name = g_strdup(name);
    r->kind = kind;
    r->size = size;
    r->enabled = true;
}

void region_init(Region *r, Device *owner, const char *name, uint64_t size)
{
    init(r, owner, name, REGION_CONTAINER, size);
}

void region_init_io(Region *r, Device *owner, const char *name, uint64_t size, const RegionOps *ops, void *opaque)
{
    init(r, owner, name, REGION_IO, size);
    r->ops = ops;
    r->opaque = opaque;
}

void region_init_ram_block(Region *r, Device *owner, const char *name, RamBlock *b)
{
    init(r, owner, name, REGION_RAM, b->size);
    r->ram = b;
}

bool region_init_ram(Region *r, Machine *m, Device *owner, const char *name, const char *block, uint64_t size,
                     GError **err)
{
    RamBlock *b = ram_block_new(m, block ? block : name, size, 0, err);

    if (!b)
        return false;
    region_init_ram_block(r, owner, name, b);
    return true;
}

void region_init_alias(Region *r, Device *owner, const char *name, Region *target, uint64_t off, uint64_t size)
{
    init(r, owner, name, REGION_ALIAS, size);
    r->target = target;
    r->target_off = off;
}

/* ---- Transactions ---- */

static Machine *machine_of(Region *r)
{
    Region *top = r;

    while (top->parent)
        top = top->parent;
    return top->machine ? top->machine : r->owner ? r->owner->machine : NULL;
}

static void add_range(GArray *out, const FlatRange *fr, bool log)
{
    Region *r = fr->region;
    AccelRange a = { fr->first, fr->last - fr->first + 1, r->ram->host + r->ram_off + fr->off, fr->readonly,
                     r->log_dirty || (log && !fr->readonly) };
    uint64_t skip = -a.gpa & 4095;
    AccelRange *last = out->len ? &g_array_index(out, AccelRange, out->len - 1) : NULL;

    /* KVM maps whole pages: what is left of a page is reached through mem_read and mem_write. */
    if (a.size <= skip || ((uintptr_t)(a.hva + skip) & 4095))
        return;
    a.gpa += skip;
    a.hva += skip;
    a.size = (a.size - skip) & ~4095ull;
    if (!a.size)
        return;
    if (last && last->gpa + last->size == a.gpa && last->hva + last->size == a.hva && last->readonly == a.readonly &&
        last->log == a.log)
        last->size += a.size;
    else
        g_array_append_val(out, a);
}

static void update_accel_memory(Machine *m, unsigned as, const FlatView *v)
{
    g_autoptr(GArray) ranges = NULL;

    if (!accel || !accel->set_memory)
        return;
    ranges = g_array_new(false, false, sizeof(AccelRange));
    for (unsigned i = 0; i < v->n; i++)
        if (v->ranges[i].region->kind == REGION_RAM)
            add_range(ranges, &v->ranges[i], m->log_ram);
    accel->set_memory(as, (AccelRange *)(void *)ranges->data, ranges->len);
}

static void update_smm(Machine *m)
{
    FlatView *old = m->smm_view;

    m->smm_view = flatview_new(&m->smm_root);
    flatview_free(old);
    if (accel_smm)
        update_accel_memory(m, 1, m->smm_view);
}

void machine_enable_smm(Machine *m)
{
    m->smm = true;
    region_init(&m->smm_root, NULL, "mem-container-smram", UINT64_MAX);
    region_init_alias(&m->smm_memory, NULL, "mem-smram", &m->memory, 0, UINT64_MAX);
    region_init(&m->smram, NULL, "smram", 1ull << 32);
    m->smm_root.machine = m;
    map_begin(m);
    region_add(&m->smm_root, 0, &m->smm_memory);
    region_add_overlap(&m->smm_root, 0, &m->smram, 10);
    map_commit(m);
}

void map_begin(Machine *m)
{
    m->map_depth++;
}

void map_commit(Machine *m)
{
    FlatView *mem = m->mem_view, *io = m->io_view;

    g_assert(m->map_depth);
    if (--m->map_depth || !m->map_dirty)
        return;
    m->map_dirty = false;
    m->mem_view = flatview_new(&m->memory);
    m->io_view = flatview_new(&m->io);
    flatview_free(mem);
    flatview_free(io);
    update_accel_memory(m, 0, m->mem_view);
    if (m->smm)
        update_smm(m);
    ioeventfds_update(m);
}

void map_changed(Machine *m)
{
    m->map_dirty = true;
    if (!m->map_depth) {
        m->map_depth = 1;
        map_commit(m);
    }
}

static void changed(Region *r)
{
    Machine *m = machine_of(r);

    if (m)
        map_changed(m);
}

/* ---- The tree ---- */

void region_add_overlap(Region *parent, uint64_t addr, Region *child, int priority)
{
    GSList **at = &parent->children;

    g_assert(!child->parent);
    child->parent = parent;
    child->addr = addr;
    child->priority = priority;
    while (*at && ((Region *)(*at)->data)->priority > priority)
        at = &(*at)->next;
    *at = g_slist_prepend(*at, child);
    changed(parent);
}

void region_add(Region *parent, uint64_t addr, Region *child)
{
    region_add_overlap(parent, addr, child, 0);
}

void region_del(Region *child)
{
    Region *parent = child->parent;

    if (!parent)
        return;
    parent->children = g_slist_remove(parent->children, child);
    child->parent = NULL;
    changed(parent);
}

void region_set_addr(Region *r, uint64_t addr)
{
    if (r->addr == addr)
        return;
    r->addr = addr;
    changed(r);
}

void region_set_size(Region *r, uint64_t size)
{
    if (r->size == size)
        return;
    r->size = size;
    changed(r);
}

void region_set_enabled(Region *r, bool on)
{
    if (r->enabled == on)
        return;
    r->enabled = on;
    changed(r);
}

void region_set_readonly(Region *r, bool on)
{
    if (r->readonly == on)
        return;
    r->readonly = on;
    changed(r);
}

void region_set_alias_offset(Region *r, uint64_t off)
{
    if (r->target_off == off)
        return;
    r->target_off = off;
    changed(r);
}

void region_fini(Region *r)
{
    region_del(r);
    while (r->children)
        region_del(r->children->data);
    while (r->doorbells) {
        Doorbell *b = r->doorbells->data;

        region_del_ioeventfd(r, b->off, b->size, b->has_match ? &b->match : NULL, b->fd);
    }
    g_clear_pointer(&r->name, g_free);
}

uint8_t *region_ram_ptr(Region *r)
{
    while (r->kind == REGION_ALIAS)
        r = r->target;
    return r->ram->host + r->ram_off;
}

/* ---- Doorbells ---- */

void region_add_ioeventfd(Region *r, uint64_t off, unsigned size, const uint64_t *match, int fd)
{
    Doorbell *b = g_new0(Doorbell, 1);

    *b = (Doorbell){ .off = off, .size = size, .has_match = match, .match = match ? *match : 0, .fd = fd };
    r->doorbells = g_slist_prepend(r->doorbells, b);
    changed(r);
}

static bool doorbell_tell(Doorbell *b, bool add)
{
    if (b->fd < 0)
        return accel->coalesce && accel->coalesce(b->addr, b->size, b->pio, add);
    return accel->ioeventfd && accel->ioeventfd(b->fd, b->addr, b->size, b->pio, b->has_match ? &b->match : NULL, add, NULL);
}

static void doorbell_drop(Doorbell *b)
{
    if (b->active && accel)
        doorbell_tell(b, false);
    b->active = false;
}

void region_del_ioeventfd(Region *r, uint64_t off, unsigned size, const uint64_t *match, int fd)
{
    for (GSList *l = r->doorbells; l; l = l->next) {
        Doorbell *b = l->data;

        if (b->off != off || b->size != size || b->fd != fd || b->has_match != !!match || (match && b->match != *match))
            continue;
        doorbell_drop(b);
        r->doorbells = g_slist_delete_link(r->doorbells, l);
        g_free(b);
        return;
    }
}

void region_add_coalesced(Region *r, uint64_t off, unsigned size)
{
    region_add_ioeventfd(r, off, size, NULL, -1);
}

bool region_is_coalesced(const Region *r)
{
    for (const GSList *l = r->doorbells; l; l = l->next) {
        const Doorbell *b = l->data;

        if (b->active && b->fd < 0)
            return true;
    }
    return false;
}

void region_flush_coalesced(const Region *r)
{
    if (region_is_coalesced(r))
        accel->coalesced_flush();
}

static void visit_doorbells(FlatView *v, bool pio)
{
    for (unsigned i = 0; i < v->n; i++) {
        FlatRange *fr = &v->ranges[i];

        for (GSList *l = fr->region->doorbells; l; l = l->next) {
            Doorbell *b = l->data;
            uint64_t addr = fr->first + (b->off - fr->off);

            if (b->off < fr->off || b->off - fr->off > fr->last - fr->first || b->seen)
                continue;
            b->seen = true;
            if (b->active && b->addr == addr && b->pio == pio)
                continue;
            doorbell_drop(b);
            b->addr = addr;
            b->pio = pio;
            b->active = doorbell_tell(b, true);
        }
    }
}

static void sweep(Region *r, bool clear)
{
    for (GSList *l = r->doorbells; l; l = l->next) {
        Doorbell *b = l->data;

        if (!clear && !b->seen)
            doorbell_drop(b);
        b->seen = false;
    }
    for (GSList *l = r->children; l; l = l->next)
        sweep(l->data, clear);
}

void ioeventfds_update(Machine *m)
{
    if (!accel)
        return;
    visit_doorbells(m->mem_view, false);
    visit_doorbells(m->io_view, true);
    sweep(&m->memory, false);
    sweep(&m->io, false);
}
