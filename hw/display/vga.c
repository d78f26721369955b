/*
 * Standard VGA: the registers. Sequencer, graphics and attribute controller, CRTC and DAC as in IBM's "VGA technical
 * reference"; see vga-mem.c for the memory windows, vga-vbe.c for the VBE extensions, vga-draw.c for the picture.
 *
 * Not modelled, as in QEMU, whose guests and screen dumps are to look the same: blinking characters, underline,
 * panning, the overscan border, the pixel mask (port 3C6) and timing: the retrace bits just alternate.
 */
#include "hw/display/vga.h"
#include "util/error.h"
#include <string.h>

/* Bits that exist. */
static const uint8_t sr_mask[8] = { 0x03, 0x3d, 0x0f, 0x3f, 0x0e, 0x00, 0x00, 0xff };
static const uint8_t gr_mask[16] = { 0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff };

enum { MSR_COLOR = 0x01, ST01_RETRACE = 0x08, ST01_DISPLAY_OFF = 0x01 };

static void attribute_write(VgaState *s, uint8_t val)
{
    static const uint8_t mask[] = { 0xef, 0xff, 0x3f, 0x0f, 0x0f };
    unsigned index = s->ar_index & 0x1f;

    if (!s->ar_flip_flop) {
        s->ar_index = val & 0x3f;
    } else if (index < AR_MODE) {
        s->ar[index] = val & 0x3f;
    } else if (index <= AR_COLOR_SELECT) {
        s->ar[index] = val & mask[index - AR_MODE];
    }
    s->ar_flip_flop ^= 1;
}

static void crtc_write(VgaState *s, uint8_t val)
{
    unsigned i = s->cr_index;

    if (i <= CR_OVERFLOW && s->cr[CR_V_SYNC_END] & 0x80) {
        /* Write protected, but for the line compare bit. */
        if (i == CR_OVERFLOW) {
            s->cr[i] = (s->cr[i] & ~0x10) | (val & 0x10);
        }
        return;
    }
    s->cr[i] = val;
}

static void dac_write(VgaState *s, uint8_t val)
{
    s->dac_cache[s->dac_sub_index] = val;
    if (++s->dac_sub_index == 3) {
        memcpy(s->palette + s->dac_write_index * 3, s->dac_cache, 3);
        s->dac_sub_index = 0;
        s->dac_write_index++;
    }
}

static uint8_t dac_read(VgaState *s)
{
    uint8_t v = s->palette[s->dac_read_index * 3 + s->dac_sub_index];

    if (++s->dac_sub_index == 3) {
        s->dac_sub_index = 0;
        s->dac_read_index++;
    }
    return v;
}

/* The CRTC answers at 3Bx for monochrome and at 3Dx for colour. */
static bool port_is_off(const VgaState *s, unsigned port)
{
    return (port & 0xfff0) == (s->msr & MSR_COLOR ? 0x3b0 : 0x3d0);
}

uint64_t vga_port_read(void *opaque, uint64_t port, unsigned size)
{
    VgaState *s = opaque;
    unsigned index;

    if (port_is_off(s, port)) {
        return 0xff;
    }
    switch (port) {
    case 0x3c0:
        return s->ar_flip_flop ? 0 : s->ar_index;
    case 0x3c1:
        index = s->ar_index & 0x1f;
        return index < sizeof s->ar ? s->ar[index] : 0;
    case 0x3c2:
        return s->st00;
    case 0x3c4:
        return s->sr_index;
    case 0x3c5:
        return s->sr[s->sr_index];
    case 0x3c7:
        return s->dac_state;
    case 0x3c8:
        return s->dac_write_index;
    case 0x3c9:
        return dac_read(s);
    case 0x3ca:
        return s->fcr;
    case 0x3cc:
        return s->msr;
    case 0x3ce:
        return s->gr_index;
    case 0x3cf:
        return s->gr[s->gr_index];
    case 0x3b4: case 0x3d4:
        return s->cr_index;
    case 0x3b5: case 0x3d5:
        return s->cr[s->cr_index];
    case 0x3ba: case 0x3da:
        s->ar_flip_flop = 0;
        s->st01 ^= ST01_RETRACE | ST01_DISPLAY_OFF;
        return s->st01;
    default:
        return 0;
    }
}

void vga_port_write(void *opaque, uint64_t port, uint64_t val, unsigned size)
{
    VgaState *s = opaque;

    if (port_is_off(s, port)) {
        return;
    }
    switch (port) {
    case 0x3c0:
        attribute_write(s, val);
        break;
    case 0x3c2:
        s->msr = val & ~0x10;
        break;
    case 0x3c4:
        s->sr_index = val & 7;
        break;
    case 0x3c5:
        s->sr[s->sr_index] = val & sr_mask[s->sr_index];
        vbe_update_registers(s);
        vga_update_windows(s);
        break;
    case 0x3c7:
        s->dac_read_index = val;
        s->dac_sub_index = 0;
        s->dac_state = 3;
        break;
    case 0x3c8:
        s->dac_write_index = val;
        s->dac_sub_index = 0;
        s->dac_state = 0;
        break;
    case 0x3c9:
        dac_write(s, val);
        break;
    case 0x3ce:
        s->gr_index = val & 0x0f;
        break;
    case 0x3cf:
        s->gr[s->gr_index] = val & gr_mask[s->gr_index];
        vbe_update_registers(s);
        vga_update_windows(s);
        break;
    case 0x3b4: case 0x3d4:
        s->cr_index = val;
        break;
    case 0x3b5: case 0x3d5:
        crtc_write(s, val);
        vbe_update_registers(s);
        break;
    case 0x3ba: case 0x3da:
        s->fcr = val & 0x10;
        break;
    }
    console_kick(s->con);
}

/* Four bytes at once reach no register. */
static uint64_t ports_read(VgaState *s, uint64_t port, unsigned size)
{
    if (size > 2) {
        return UINT32_MAX;
    }
    return size == 1 ? vga_port_read(s, port, 1) : vga_port_read(s, port, 1) | vga_port_read(s, port + 1, 1) << 8;
}

static void ports_write(VgaState *s, uint64_t port, uint64_t val, unsigned size)
{
    if (size <= 2) {
        vga_port_write(s, port, val & 0xff, 1);
    }
    if (size == 2) {
        vga_port_write(s, port + 1, val >> 8, 1);
    }
}

#define PORT_OPS(base) \
    static uint64_t read_##base(void *o, uint64_t off, unsigned size) { return ports_read(o, 0x##base + off, size); } \
    static void write_##base(void *o, uint64_t off, uint64_t v, unsigned size) { ports_write(o, 0x##base + off, v, size); } \
    const RegionOps vga_ops_##base = { .read = read_##base, .write = write_##base, .max = 4, .unaligned = true };
PORT_OPS(3b4)
PORT_OPS(3ba)
PORT_OPS(3c0)
PORT_OPS(3d4)
PORT_OPS(3da)

/* ---- State ---- */

static bool always_loaded(void *obj, GError **err)
{
    VgaState *s = obj;

    s->big_endian_fb = s->big_endian_default;
    return true;
}

/* Loaded values that are used as offsets are checked where they are used (vga-draw.c masks each address), but for
 * those of the windows. */
static bool vga_loaded(void *obj, int version, GError **err)
{
    VgaState *s = obj;

    if (s->bank_offset % VGA_BANK || s->bank_offset > s->vram_size - VGA_BANK) {
        return error_set(err, "bank_offset: 0x%x is beyond the video memory", s->bank_offset);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(s->sr); i++) {
        s->sr[i] &= sr_mask[i];
    }
    vbe_settle(s);
    vbe_update_registers(s);
    vga_update_windows(s);
    s->redraw = true;
    console_kick(s->con);
    return true;
}

static bool endian_needed(const void *obj)
{
    const VgaState *s = obj;

    return s->big_endian_fb != s->big_endian_default;
}

static const StateTable endian_state = {
    .name = "vga.endian", .version = 1, .min_version = 1, .needed = endian_needed,
    .fields = (const Field[]){ FIELD(VgaState, big_endian_fb), {0} },
};

const StateTable vga_state = {
    .name = "vga", .version = 2, .min_version = 2,
    .fields = (const Field[]){
        FIELD(VgaState, latch),
        FIELD(VgaState, sr_index, .max = 7),
        FIELD(VgaState, sr),
        FIELD(VgaState, gr_index, .max = 15),
        FIELD(VgaState, gr),
        FIELD(VgaState, ar_index),
        FIELD(VgaState, ar),
        FIELD(VgaState, ar_flip_flop, .max = 1),
        FIELD(VgaState, cr_index),
        FIELD(VgaState, cr),
        FIELD(VgaState, msr),
        FIELD(VgaState, fcr),
        FIELD(VgaState, st00),
        FIELD(VgaState, st01),
        FIELD(VgaState, dac_state),
        FIELD(VgaState, dac_sub_index, .max = 2),
        FIELD(VgaState, dac_read_index),
        FIELD(VgaState, dac_write_index),
        FIELD(VgaState, dac_cache),
        FIELD(VgaState, palette),
        FIELD(VgaState, bank_offset),
        FIELD(VgaState, is_vbe, .name = "is_vbe_vmstate", .reset = 1, .equal = true),
        FIELD(VgaState, vbe_index),
        FIELD(VgaState, vbe_regs),
        FIELD(VgaState, vbe_start_addr),
        FIELD(VgaState, vbe_line_offset),
        FIELD(VgaState, vbe_bank_mask, .keep = true),
        /* in the subsection */
        LOCAL(VgaState, big_endian_fb, .keep = true),
        DERIVED(VgaState, sr_now),
        HOST(VgaState, big_endian_default), HOST(VgaState, dev), HOST(VgaState, vram_size), HOST(VgaState, vram_ptr),
        HOST(VgaState, vram), HOST(VgaState, lowmem), HOST(VgaState, chain4), HOST(VgaState, space),
        HOST(VgaState, con), HOST(VgaState, redraw), HOST(VgaState, log_on), HOST(VgaState, trap_on),
        HOST(VgaState, shown), HOST(VgaState, colors), HOST(VgaState, shown_colors), HOST(VgaState, cells),
        HOST(VgaState, fonts), HOST(VgaState, blink_at), HOST(VgaState, cursor_on), HOST(VgaState, shown_cursor_on),
        HOST(VgaState, changed_at), HOST(VgaState, line), HOST(VgaState, dirty),
        {0}
    },
    .subsections = (const StateTable *const[]){ &endian_state, NULL },
    .load = always_loaded,
    .loaded = vga_loaded,
};

void vga_reset(VgaState *s)
{
    s->vbe_regs[VBE_ID] = 0xb0c5;
    s->vbe_bank_mask = s->vram_size / VGA_BANK - 1;
    memset(s->sr_now, 0, sizeof s->sr_now);
    s->big_endian_fb = s->big_endian_default;
    s->redraw = true;
    s->blink_at = 0;
    vga_update_windows(s);
    console_kick(s->con);
}

bool vga_init(VgaState *s, Device *d, uint32_t vram_mb, const char *block, GError **err)
{
    s->dev = d;
    s->vram_size = 1u << 20;
    while (s->vram_size >> 20 < MIN(vram_mb, 512)) {
        s->vram_size <<= 1;
    }
    if (!region_init_ram(&s->vram, d->machine, d, "vga.vram", block, s->vram_size, err)) {
        return false;
    }
    s->vram_ptr = region_ram_ptr(&s->vram);
    s->is_vbe = 1;
    s->cells = g_new0(uint32_t, VGA_TEXT_MAX);
    s->fonts = g_malloc0(2 * 256 * 32);
    s->line = g_malloc0(VGA_LINE_MAX + 8);
    s->dirty = g_new0(unsigned long, s->vram_size / 4096 / 64 + 1);
    vga_mem_init(s);
    vga_trap_init(s);
    s->con = console_new(&vga_console_ops, s, device_name(d), 0);
    return true;
}

void vga_fini(VgaState *s)
{
    console_free(s->con);
    region_fini(&s->chain4);
    region_fini(&s->lowmem);
    region_fini(&s->vram);
    region_free_ram(s->dev->machine, s->vram.ram);
    g_free(s->cells);
    g_free(s->fonts);
    g_free(s->line);
    g_free(s->dirty);
}
