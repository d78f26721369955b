/*
 * The Bochs VBE extensions ("dispi"): high resolutions with a linear frame buffer. An index and a data port of 16 bits;
 * values that do not fit each other or video RAM are corrected as they are written.
 */
#include "hw/display/vga.h"
#include <string.h>

static unsigned bits_per_pixel(const VgaState *s)
{
    return s->vbe_regs[VBE_BPP] == 15 ? 16 : s->vbe_regs[VBE_BPP];
}

void vbe_settle(VgaState *s)
{
    uint16_t *r = s->vbe_regs;
    uint32_t pitch, max_lines, offset, picture;

    if (!vbe_enabled(s)) {
        return;
    }
    if (r[VBE_BPP] != 4 && r[VBE_BPP] != 15 && r[VBE_BPP] != 16 && r[VBE_BPP] != 24 && r[VBE_BPP] != 32) {
        r[VBE_BPP] = 8;
    }
    r[VBE_XRES] = CLAMP(r[VBE_XRES] & ~7, 8, VBE_MAX_XRES);
    r[VBE_VIRT_WIDTH] = CLAMP(r[VBE_VIRT_WIDTH] & ~7, r[VBE_XRES], VBE_MAX_XRES);

    pitch = r[VBE_VIRT_WIDTH] * bits_per_pixel(s) / 8;
    max_lines = s->vram_size / pitch;
    r[VBE_YRES] = CLAMP(r[VBE_YRES], 1, VBE_MAX_YRES);
    r[VBE_YRES] = MIN(r[VBE_YRES], max_lines);
    r[VBE_VIRT_HEIGHT] = max_lines;

    r[VBE_X_OFFSET] = MIN(r[VBE_X_OFFSET], VBE_MAX_XRES);
    r[VBE_Y_OFFSET] = MIN(r[VBE_Y_OFFSET], VBE_MAX_YRES);
    picture = r[VBE_YRES] * pitch;
    offset = r[VBE_X_OFFSET] * bits_per_pixel(s) / 8 + r[VBE_Y_OFFSET] * pitch;
    if (offset + picture > s->vram_size) {
        r[VBE_Y_OFFSET] = 0;
        offset = r[VBE_X_OFFSET] * bits_per_pixel(s) / 8;
        if (offset + picture > s->vram_size) {
            r[VBE_X_OFFSET] = 0;
            offset = 0;
        }
    }
    s->vbe_line_offset = pitch;
    s->vbe_start_addr = offset / 4;
}

/* Sets field `bits` of *reg. */
static void put(uint8_t *reg, uint8_t bits, uint8_t val)
{
    *reg = (*reg & ~bits) | (val & bits);
}

void vbe_update_registers(VgaState *s)
{
    const uint16_t *r = s->vbe_regs;
    unsigned last;

    memcpy(s->sr_now, s->sr, sizeof s->sr_now);
    if (!vbe_enabled(s)) {
        return;
    }
    put(&s->gr[GR_MISC], 0x0d, 0x05);               /* graphics, 64 KiB at A0000 */
    s->cr[CR_MODE] |= 0x03;                         /* no CGA interleave */
    s->cr[CR_OFFSET] = s->vbe_line_offset >> 3;
    s->cr[CR_H_DISPLAY_END] = (r[VBE_XRES] >> 3) - 1;
    last = r[VBE_YRES] - 1;
    s->cr[CR_V_DISPLAY_END] = last;
    put(&s->cr[CR_OVERFLOW], 0x42, (last >> 7 & 0x02) | (last >> 3 & 0x40));
    s->cr[CR_LINE_COMPARE] = 0xff;                  /* 1023: no split */
    s->cr[CR_OVERFLOW] |= 0x10;
    s->cr[CR_MAX_SCAN] = (s->cr[CR_MAX_SCAN] & ~0x9f) | 0x40;
    if (r[VBE_BPP] == 4) {
        s->sr_now[SEQ_CLOCKING] &= ~SEQ_CLOCKING_DOT_HALF;
    } else {
        s->sr_now[SEQ_MEMORY_MODE] |= SEQ_MEMORY_CHAIN4;
        s->sr_now[SEQ_MAP_MASK] |= 0x0f;
    }
    put(&s->gr[GR_MODE], 0x60, r[VBE_BPP] == 4 ? 0 : 0x40);
}

static void enable_write(VgaState *s, uint16_t val)
{
    uint16_t *r = s->vbe_regs;
    bool starts = val & VBE_ENABLED && !vbe_enabled(s);

    if (starts) {
        r[VBE_VIRT_WIDTH] = r[VBE_X_OFFSET] = r[VBE_Y_OFFSET] = 0;
        r[VBE_ENABLE] |= VBE_ENABLED;
        vbe_settle(s);
        vbe_update_registers(s);
        if (!(val & VBE_NO_CLEAR)) {
            uint32_t len = r[VBE_YRES] * s->vbe_line_offset;

            memset(s->vram_ptr, 0, len);
            region_dirty_set(&s->vram, 0, len);
        }
    } else {
        s->bank_offset = 0;
    }
    r[VBE_ENABLE] = val;
    vbe_update_registers(s);
    vga_update_windows(s);
}

uint16_t vbe_read(VgaState *s, unsigned index)
{
    if (s->vbe_regs[VBE_ENABLE] & VBE_GET_CAPS) {
        switch (index) {
        case VBE_XRES:
            return VBE_MAX_XRES;
        case VBE_YRES:
            return VBE_MAX_YRES;
        case VBE_BPP:
            return VBE_MAX_BPP;
        }
    }
    if (index < VBE_REGS) {
        return s->vbe_regs[index];
    }
    return index == VBE_MEMORY_64K ? s->vram_size / VGA_BANK : 0;
}

void vbe_write(VgaState *s, unsigned index, uint16_t val)
{
    switch (index) {
    case VBE_ID:
        if (val >= 0xb0c0 && val <= 0xb0c5) {
            s->vbe_regs[VBE_ID] = val;
        }
        break;
    case VBE_XRES: case VBE_YRES: case VBE_BPP: case VBE_VIRT_WIDTH: case VBE_X_OFFSET: case VBE_Y_OFFSET:
        s->vbe_regs[index] = val;
        vbe_settle(s);
        vbe_update_registers(s);
        vga_update_windows(s);
        break;
    case VBE_BANK:
        val &= s->vbe_bank_mask & (s->vram_size / VGA_BANK - 1);
        s->vbe_regs[VBE_BANK] = val;
        s->bank_offset = val * VGA_BANK;
        vga_update_windows(s);
        break;
    case VBE_ENABLE:
        enable_write(s, val);
        break;
    }
    console_kick(s->con);
}

/* Ports: the index at 1CE; data at 1CF and, so that both are aligned, at 1D0. */
static uint64_t port_read(void *opaque, uint64_t off, unsigned size)
{
    VgaState *s = opaque;

    if (size != 2) {
        return UINT32_MAX;
    }
    switch (off) {
    case 0:
        return s->vbe_index;
    case 1: case 2:
        return vbe_read(s, s->vbe_index);
    default:
        return 0xffff;
    }
}

static void port_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    VgaState *s = opaque;

    if (size != 2) {
        return;
    }
    if (off == 0) {
        s->vbe_index = val;
    } else if (off <= 2) {
        vbe_write(s, s->vbe_index, val);
    }
}

const RegionOps vga_ops_vbe = {
    .read = port_read, .write = port_write, .min = 2, .max = 4, .valid_min = 2, .unaligned = true,
};
