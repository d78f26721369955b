/*
 * RAM blocks: host memory that a guest sees, and the display's dirty bits.
 *
 * Memory comes into being as the guest touches it. Without MAP_NORESERVE the kernel refuses at once what this host can never
 * give (see vm.overcommit_memory in proc(5)).
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include "hw/core/memory-int.h"
#include "util/error.h"

#define HUGE_PAGE (2ull << 20)
#define LARGE (32ull << 20)             /* the guest's own memory; a table's few pages should not become a huge one */

/* Large blocks start on a huge page, so that the host may use them. */
static void *reserve(uint64_t size)
{
    uint64_t slack = size >= LARGE ? HUGE_PAGE : 0;
    uint8_t *p = mmap(NULL, size + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *q;

    if (p == MAP_FAILED || !slack)
        return p;
    q = (uint8_t *)(((uintptr_t)p + slack - 1) & ~(uintptr_t)(slack - 1));
    if (q > p)
        munmap(p, q - p);
    munmap(q + size, p + slack - q);
    madvise(q, size, MADV_HUGEPAGE);
    return q;
}

RamBlock *ram_block_new(Machine *m, const char *name, uint64_t size, uint64_t max_size, GError **err)
{
    RamBlock *b;
    void *p;

    size = (size + 4095) & ~4095ull;
    max_size = MAX(size, (max_size + 4095) & ~4095ull);
    p = reserve(max_size);
    if (p == MAP_FAILED) {
        error_set_errno(err, errno, "cannot set up guest memory '%s' of %" G_GUINT64_FORMAT " MiB", name, size >> 20);
        return NULL;
    }
    madvise(p, max_size, MADV_DONTFORK);
    b = g_new0(RamBlock, 1);
    *b = (RamBlock){ .name = g_strdup(name), .host = p, .size = size, .max_size = max_size, .fd = -1, .migrate = true };
    g_ptr_array_add(m->ram_blocks, b);
    return b;
}

void region_free_ram(Machine *m, RamBlock *b)
{
    g_ptr_array_remove(m->ram_blocks, b);
    munmap(b->host, b->max_size);
    g_free(b->dirty_display);
    g_free(b->dirty_migration);
    g_free(b->name);
    g_free(b);
}

RamBlock *ram_block_of(Machine *m, const void *host, uint64_t *off)
{
    for (unsigned i = 0; i < m->ram_blocks->len; i++) {
        RamBlock *b = g_ptr_array_index(m->ram_blocks, i);

        if ((const uint8_t *)host >= b->host && (const uint8_t *)host < b->host + b->max_size) {
            *off = (const uint8_t *)host - b->host;
            return b;
        }
    }
    return NULL;
}

RamBlock *ram_block_find(Machine *m, const char *name)
{
    for (unsigned i = 0; i < m->ram_blocks->len; i++) {
        RamBlock *b = g_ptr_array_index(m->ram_blocks, i);

        if (!strcmp(b->name, name))
            return b;
    }
    return NULL;
}

/* ---- The display's dirty bits ---- */

void region_log_dirty(Region *r, bool on)
{
    RamBlock *b = r->ram;
    Machine *m = r->owner->machine;

    if (r->log_dirty == on)
        return;
    if (on && !b->dirty_display) {
        b->dirty_display = g_new0(unsigned long, (b->max_size / 4096 + 63) / 64);
        region_dirty_set(r, 0, r->size);
    }
    r->log_dirty = on;
    map_changed(m);
}

/* A range's pages that KVM saw written, into the block's bits. */
static void sync_range(const FlatRange *fr)
{
    RamBlock *b = fr->region->ram;
    uint64_t skip = -fr->first & 4095, off = fr->region->ram_off + fr->off + skip, size = fr->last - fr->first + 1;
    uint64_t pages;
    g_autofree unsigned long *bits = NULL;

    if (size <= skip || (off & 4095))
        return;
    pages = (size - skip) / 4096;
    bits = g_new0(unsigned long, pages / 64 + 1);
    if (!accel->dirty_get(fr->first + skip, pages * 4096, bits) || (!b->dirty_display && !b->dirty_migration))
        return;
    for (uint64_t w = 0; w <= pages / 64; w++) {
        unsigned long rest = bits[w];

        if (rest == ~0ul) {
            ram_mark_dirty(b, off + w * 64 * 4096, 64 * 4096);
            continue;
        }
        for (; rest; rest &= rest - 1)
            ram_mark_dirty(b, off + (w * 64 + __builtin_ctzl(rest)) * 4096, 4096);
    }
}

void region_dirty_sync(Region *r)
{
    Machine *m = r->owner->machine;

    if (!accel || !accel->dirty_get || !r->log_dirty)
        return;
    for (unsigned i = 0; i < m->mem_view->n; i++)
        if (m->mem_view->ranges[i].region == r)
            sync_range(&m->mem_view->ranges[i]);
}

bool region_dirty_test_clear(Region *r, uint64_t off, uint64_t size)
{
    RamBlock *b = r->ram;
    bool any = false;

    if (!size || !b->dirty_display)
        return size;
    off += r->ram_off;
    for (uint64_t page = off >> 12; page <= (off + size - 1) >> 12 && page < b->max_size >> 12; page++) {
        unsigned long bit = 1ul << (page % 64);

        any |= !!(__atomic_fetch_and(&b->dirty_display[page / 64], ~bit, __ATOMIC_RELAXED) & bit);
    }
    return any;
}

void region_dirty_set(Region *r, uint64_t off, uint64_t size)
{
    if (size)
        ram_mark_dirty(r->ram, r->ram_off + off, size);
}

/* ---- Migration's dirty bits ---- */

void ram_log_start(Machine *m)
{
    m->log_ram = true;
    map_changed(m);
}

void ram_log_stop(Machine *m)
{
    m->log_ram = false;
    map_changed(m);
}

void ram_log_sync(Machine *m)
{
    if (!accel || !accel->dirty_get)
        return;
    for (unsigned i = 0; i < m->mem_view->n; i++)
        if (m->mem_view->ranges[i].region->kind == REGION_RAM)
            sync_range(&m->mem_view->ranges[i]);
}
