/*
 * Accesses: the CPU's (and the monitor's and qtest's), and DMA.
 *
 * A look-up is made for each piece, since a handler may change the map. Holes read as all ones, as an undriven bus
 * does, and swallow writes.
 */
#include <string.h>
#include "hw/core/memory-int.h"

static inline uint64_t ones(unsigned size)
{
    return size >= 8 ? UINT64_MAX : (1ull << (8 * size)) - 1;
}

/* ---- One access to a region's handlers ---- */

uint64_t region_read(Region *r, uint64_t off, unsigned size)
{
    const RegionOps *o = r->ops;
    unsigned min = o->min ? o->min : 1, max = o->max ? o->max : 4;
    uint64_t v = 0;

    if (G_LIKELY(size >= min && size <= max && (o->unaligned || !(off & (size - 1)))))
        return (o->read ? o->read(r->opaque, off, size) : UINT64_MAX) & ones(size);
    if (size < (o->valid_min ? o->valid_min : 1) || !o->read)
        return ones(size);
    if (size > max || (size >= min && (off & (size - 1)))) {
        unsigned step = size > max ? max : size / 2;

        while (step > 1 && (off & (step - 1)) && !o->unaligned)
            step /= 2;
        for (unsigned i = 0; i < size; i += step)
            v |= region_read(r, off + i, step) << (8 * i);
        return v;
    }
    /* Smaller than the handlers take: the bytes wanted of a wide read. */
    for (unsigned i = 0; i < size; i++) {
        uint64_t at = off + i, wide = o->read(r->opaque, at & ~(uint64_t)(min - 1), min);

        v |= (wide >> (8 * (at & (min - 1))) & 0xff) << (8 * i);
        if ((at & (min - 1)) + (size - i) <= min) {
            uint64_t rest = wide >> (8 * (at & (min - 1)));

            return (v & ones(i)) | (rest & ones(size - i)) << (8 * i);
        }
    }
    return v;
}

void region_write(Region *r, uint64_t off, uint64_t val, unsigned size)
{
    const RegionOps *o = r->ops;
    unsigned min = o->min ? o->min : 1, max = o->max ? o->max : 4;

    if (!o->write)
        return;
    if (G_LIKELY(size >= min && size <= max && (o->unaligned || !(off & (size - 1))))) {
        o->write(r->opaque, off, val & ones(size), size);
        return;
    }
    if (size < (o->valid_min ? o->valid_min : 1))
        return;
    if (size > max || (size >= min && (off & (size - 1)))) {
        unsigned step = size > max ? max : size / 2;

        while (step > 1 && (off & (step - 1)) && !o->unaligned)
            step /= 2;
        for (unsigned i = 0; i < size; i += step)
            region_write(r, off + i, val >> (8 * i), step);
        return;
    }
    /* Smaller than the handlers take: the register gets the value in its byte lanes, the others zero. */
    o->write(r->opaque, off & ~(uint64_t)(min - 1), (val & ones(size)) << (8 * (off & (min - 1))), min);
}

/* ---- RAM ---- */

void ram_mark_dirty(RamBlock *b, uint64_t off, uint64_t len)
{
    if (G_LIKELY(!b->dirty_display && !b->dirty_migration))
        return;
    for (uint64_t page = off >> 12; page <= (off + len - 1) >> 12; page++) {
        unsigned long bit = 1ul << (page % 64);

        if (b->dirty_display)
            __atomic_fetch_or(&b->dirty_display[page / 64], bit, __ATOMIC_RELAXED);
        if (b->dirty_migration)
            __atomic_fetch_or(&b->dirty_migration[page / 64], bit, __ATOMIC_RELAXED);
    }
}

/* One piece of an access: at most what one range holds. Returns the bytes done; *ram tells whether it was RAM. */
static size_t access_piece(FlatView *v, uint64_t addr, uint8_t *buf, size_t len, bool write, bool rom, bool io, bool *ram)
{
    uint64_t hole_last = 0, off, room;
    FlatRange *fr = flatview_find(v, addr, &hole_last);
    unsigned size = 8;
    uint64_t val = 0;

    room = (fr ? fr->last : hole_last) - addr;
    len = room < len - 1 ? room + 1 : len;
    *ram = fr && fr->region->kind == REGION_RAM;
    if (!fr || (!*ram && !io)) {
        if (!write)
            memset(buf, 0xff, len);
        return len;
    }
    off = fr->off + (addr - fr->first);
    if (*ram) {
        RamBlock *b = fr->region->ram;
        uint8_t *host = b->host + fr->region->ram_off + off;

        if (!write) {
            memcpy(buf, host, len);
        } else if (!fr->readonly || rom) {
            memcpy(host, buf, len);
            ram_mark_dirty(b, fr->region->ram_off + off, len);
        } else if (fr->region->ops) {
            goto device;
        }
        return len;
    }
device:
    while (size > len || (addr & (size - 1)))
        size /= 2;
    if (write) {
        memcpy(&val, buf, size);
        region_write(fr->region, off, val, size);
    } else {
        val = region_read(fr->region, off, size);
        memcpy(buf, &val, size);
    }
    return size;
}

/* ---- The CPU's accesses ---- */

/* A device answers an access at its full width from the first address on, even where another decodes one of the bytes
 * (0xCF9 inside CONFIG_ADDRESS at 0xCF8): that is one cycle of the bus. */
static inline bool whole(const FlatRange *fr, uint64_t addr, unsigned size)
{
    return fr && fr->region->kind == REGION_IO &&
           (G_LIKELY(fr->last - addr >= size - 1) || fr->region->size - (fr->off + (addr - fr->first)) >= size ||
            (fr->region->ops->past_end && size <= fr->region->ops->max));
}

static uint64_t view_read(FlatView *v, uint64_t addr, unsigned size)
{
    FlatRange *fr = flatview_find(v, addr, NULL);
    uint64_t val = 0;
    bool ram;

    if (G_LIKELY(whole(fr, addr, size)))
        return region_read(fr->region, fr->off + (addr - fr->first), size);
    for (unsigned done = 0; done < size;)
        done += access_piece(v, addr + done, (uint8_t *)&val + done, size - done, false, false, true, &ram);
    return val;
}

static void view_write(FlatView *v, FlatView *const *again, uint64_t addr, uint64_t val, unsigned size)
{
    FlatRange *fr = flatview_find(v, addr, NULL);
    bool ram;

    if (G_LIKELY(whole(fr, addr, size))) {
        region_write(fr->region, fr->off + (addr - fr->first), val, size);
        return;
    }
    for (unsigned done = 0; done < size;)
        done += access_piece(*again, addr + done, (uint8_t *)&val + done, size - done, true, false, true, &ram);
}

uint64_t mem_read(Machine *m, uint64_t addr, unsigned size)
{
    return view_read(m->mem_view, addr, size);
}

void mem_write(Machine *m, uint64_t addr, uint64_t val, unsigned size)
{
    view_write(m->mem_view, &m->mem_view, addr, val, size);
}

uint64_t pio_read(Machine *m, uint16_t port, unsigned size)
{
    return view_read(m->io_view, port, size);
}

void pio_write(Machine *m, uint16_t port, uint64_t val, unsigned size)
{
    view_write(m->io_view, &m->io_view, port, val, size);
}

static bool copy(Machine *m, uint64_t addr, void *buf, size_t len, bool write, bool rom, bool io)
{
    bool all = true, ram;

    for (size_t done = 0, n; done < len; done += n) {
        n = access_piece(m->mem_view, addr + done, (uint8_t *)buf + done, len - done, write, rom, io, &ram);
        all &= ram;
    }
    return all;
}

void mem_copy(Machine *m, uint64_t addr, void *buf, size_t len, bool write)
{
    copy(m, addr, buf, len, write, false, true);
}

void mem_write_rom(Machine *m, uint64_t addr, const void *buf, size_t len)
{
    copy(m, addr, (void *)buf, len, true, true, false);
}

/* ---- DMA ---- */

bool dma_read(Device *d, uint64_t addr, void *buf, size_t len)
{
    return copy(d->machine, addr, buf, len, false, false, false);
}

bool dma_write(Device *d, uint64_t addr, const void *buf, size_t len)
{
    return copy(d->machine, addr, (void *)buf, len, true, false, false);
}

bool dma_set(Device *d, uint64_t addr, uint8_t byte, size_t len)
{
    uint8_t block[512];
    bool all = true;

    memset(block, byte, sizeof block);
    for (size_t n; len; addr += n, len -= n) {
        n = MIN(len, sizeof block);
        all &= dma_write(d, addr, block, n);
    }
    return all;
}

void *dma_map(Device *d, uint64_t addr, size_t *len, bool write)
{
    FlatRange *fr = flatview_find(d->machine->mem_view, addr, NULL);
    uint64_t room;

    if (!fr || fr->region->kind != REGION_RAM || (write && fr->readonly))
        return NULL;
    room = fr->last - addr;
    if (room < *len - 1)
        *len = room + 1;
    return fr->region->ram->host + fr->region->ram_off + fr->off + (addr - fr->first);
}

void dma_unmap(Device *d, void *host, size_t done, bool write)
{
    uint64_t off;
    RamBlock *b = write && done ? ram_block_of(d->machine, host, &off) : NULL;

    if (b)
        ram_mark_dirty(b, off, done);
}
