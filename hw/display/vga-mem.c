/*
 * VGA's windows into video RAM at A0000..BFFFF: planar accesses through the latches, odd/even addressing of the text
 * modes, chain 4. Where chain 4 makes the window plain memory it is mapped as such, and costs no exit.
 *
 * Plane n of address a is byte 4 * a + n of video RAM.
 */
#include "hw/display/vga.h"
#include <string.h>

static inline uint32_t each_plane(uint8_t v) { return v * 0x01010101u; }
/* Bits 0..3 as masks of the planes: each bit is brought to its byte, then fills it. */
static inline uint32_t plane_mask(uint8_t v) { return ((v & 0x0f) * 0x00204081u & 0x01010101) * 0xff; }

static inline void mark(VgaState *s, uint32_t off, uint32_t len)
{
    region_dirty_set(&s->vram, off, len);
    console_kick(s->con);
}

/* Where an address in the 128 KiB window lies in the memory map that is set; false: outside. */
static inline bool window(const VgaState *s, uint32_t *addr)
{
    switch (s->gr[GR_MISC] >> 2 & 3) {
    case 0:
        return true;
    case 1:
        if (*addr >= VGA_BANK) {
            return false;
        }
        *addr += s->bank_offset;
        return true;
    case 2:
        *addr -= 0x10000;
        return *addr < 0x8000;
    default:
        *addr -= 0x18000;
        return *addr < 0x8000;
    }
}

static uint8_t planar_read(VgaState *s, uint32_t addr)
{
    uint32_t diff;

    memcpy(&s->latch, s->vram_ptr + addr * 4, 4);
    s->latch = GUINT32_FROM_LE(s->latch);
    if (!(s->gr[GR_MODE] & GR_MODE_READ1)) {
        return s->latch >> 8 * s->gr[GR_READ_MAP];
    }
    diff = (s->latch ^ plane_mask(s->gr[GR_COLOR_COMPARE])) & plane_mask(s->gr[GR_DONT_CARE]);
    diff |= diff >> 16;
    return ~(diff | diff >> 8);
}

static uint8_t mem_read1(VgaState *s, uint32_t addr)
{
    if (!window(s, &addr)) {
        return 0xff;
    }
    if (s->sr_now[SEQ_MEMORY_MODE] & SEQ_MEMORY_CHAIN4) {
        return s->vram_ptr[addr & (s->vram_size - 1)];
    }
    if (s->gr[GR_MODE] & GR_MODE_ODD_EVEN) {
        addr = (addr & ~1u) << 1 | (s->gr[GR_READ_MAP] & 2) | (addr & 1);
        return addr < s->vram_size ? s->vram_ptr[addr] : 0xff;
    }
    return addr < s->vram_size / 4 ? planar_read(s, addr) : 0xff;
}

static inline uint8_t rotate(const VgaState *s, uint8_t v)
{
    unsigned n = s->gr[GR_ROTATE] & 7;

    return v >> n | v << (8 - n);
}

/* What the four planes' data path makes of a byte; before the map mask. */
static uint32_t planar_value(const VgaState *s, uint8_t byte)
{
    uint32_t v, bits = each_plane(s->gr[GR_BIT_MASK]), set;

    switch (s->gr[GR_MODE] & 3) {
    case 0:
        set = plane_mask(s->gr[GR_ENABLE_SET_RESET]);
        v = (each_plane(rotate(s, byte)) & ~set) | (plane_mask(s->gr[GR_SET_RESET]) & set);
        break;
    case 1:
        return s->latch;
    case 2:
        v = plane_mask(byte);
        break;
    default:
        bits &= each_plane(rotate(s, byte));
        v = plane_mask(s->gr[GR_SET_RESET]);
        break;
    }
    switch (s->gr[GR_ROTATE] >> 3 & 3) {
    case 1:
        v &= s->latch;
        break;
    case 2:
        v |= s->latch;
        break;
    case 3:
        v ^= s->latch;
        break;
    }
    return (v & bits) | (s->latch & ~bits);
}

static void planar_write(VgaState *s, uint32_t addr, uint8_t byte)
{
    uint32_t mask = plane_mask(s->sr_now[SEQ_MAP_MASK]), was;
    uint8_t *p = s->vram_ptr + addr * 4;

    memcpy(&was, p, 4);
    was = (GUINT32_FROM_LE(was) & ~mask) | (planar_value(s, byte) & mask);
    was = GUINT32_TO_LE(was);
    memcpy(p, &was, 4);
    mark(s, addr * 4, 4);
}

static void mem_write1(VgaState *s, uint32_t addr, uint8_t val)
{
    if (!window(s, &addr)) {
        return;
    }
    if (s->sr_now[SEQ_MEMORY_MODE] & SEQ_MEMORY_CHAIN4) {
        addr &= s->vram_size - 1;
        if (!(s->sr_now[SEQ_MAP_MASK] >> (addr & 3) & 1)) {
            return;
        }
    } else if (s->gr[GR_MODE] & GR_MODE_ODD_EVEN) {
        unsigned plane = (s->gr[GR_READ_MAP] & 2) | (addr & 1);

        addr = (addr & ~1u) << 1 | plane;
        if (addr >= s->vram_size || !(s->sr_now[SEQ_MAP_MASK] >> plane & 1)) {
            return;
        }
    } else {
        if (addr < s->vram_size / 4) {
            planar_write(s, addr, val);
        }
        return;
    }
    s->vram_ptr[addr] = val;
    mark(s, addr, 1);
}

static uint64_t window_read(void *opaque, uint64_t off, unsigned size)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < size; i++) {
        v |= (uint64_t)mem_read1(opaque, (off + i) & 0x1ffff) << 8 * i;
    }
    return v;
}

static void window_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    for (unsigned i = 0; i < size; i++) {
        mem_write1(opaque, (off + i) & 0x1ffff, val >> 8 * i);
    }
}

static const RegionOps lowmem_ops = {
    .read = window_read, .write = window_write, .max = 8, .unaligned = true,
};

/* ---- Plain memory ---- */

typedef struct Window { bool on; uint32_t base, off, size; } Window;

static Window chain4_window(const VgaState *s)
{
    Window w = { .on = (s->sr_now[SEQ_MAP_MASK] & 0x0f) == 0x0f && s->sr_now[SEQ_MEMORY_MODE] & SEQ_MEMORY_CHAIN4 };

    switch (s->gr[GR_MISC] >> 2 & 3) {
    case 0:
        w.size = 0x20000;
        break;
    case 1:
        w.size = VGA_BANK;
        w.off = s->bank_offset;
        break;
    case 2:
        w.base = 0x10000;
        w.size = 0x8000;
        break;
    default:
        w.base = 0x18000;
        w.size = 0x8000;
        break;
    }
    return w;
}

void vga_update_windows(VgaState *s)
{
    Region *r = &s->chain4;
    Window w;

    if (!s->space) {
        return;
    }
    w = chain4_window(s);
    if (w.on == r->enabled &&
        (!w.on || (r->addr == 0xa0000 + w.base && r->target_off == w.off && r->size == w.size))) {
        return;
    }
    map_begin(s->dev->machine);
    region_set_enabled(r, w.on);
    if (w.on) {
        region_set_addr(r, 0xa0000 + w.base);
        region_set_size(r, w.size);
        region_set_alias_offset(r, w.off);
    }
    map_commit(s->dev->machine);
}

void vga_mem_init(VgaState *s)
{
    region_init_io(&s->lowmem, s->dev, "vga-lowmem", 0x20000, &lowmem_ops, s);
    region_init_alias(&s->chain4, s->dev, "vga.chain4", &s->vram, 0, VGA_BANK);
    s->chain4.enabled = false;
}

void vga_map_legacy(VgaState *s, Region *space)
{
    s->space = space;
    map_begin(s->dev->machine);
    region_add_overlap(space, 0xa0000, &s->lowmem, 1);
    region_add_overlap(space, 0xa0000, &s->chain4, 2);
    map_commit(s->dev->machine);
}
