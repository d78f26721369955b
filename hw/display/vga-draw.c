/*
 * VGA's picture: what mode the registers describe, and the drawing of what has changed since the last time.
 *
 * A changed mode or palette redraws everything.
 *
 * Changes are found by page of video RAM: writes through the windows mark theirs, direct ones (linear frame buffer,
 * chain 4) are found by the accelerator's dirty log, which is on while somebody watches. When a watched screen has been
 * quiet for a while, video RAM is made read-only to the guest, so that its next write wakes us up (the trap) and nobody
 * has to ask for dirty pages in the meantime.
 *
 * The guest controls all that is computed here: every address is masked to the size of video RAM, and line buffers are as
 * long as the widest line (vga_line_bytes).
 */
#include "hw/display/vga.h"
#include <string.h>

#define PAGE 4096u
#define QUIET_US (2 * G_USEC_PER_SEC)
#define WORD_BITS (8 * sizeof(unsigned long))

/* ---- Mode ---- */

static void mode_address(const VgaState *s, VgaMode *m)
{
    if (vbe_enabled(s)) {
        m->pitch = s->vbe_line_offset;
        m->start = s->vbe_start_addr * 4;
        m->compare = 65535;
    } else {
        m->pitch = s->cr[CR_OFFSET] << 3;
        m->start = (s->cr[CR_START_LOW] | s->cr[CR_START_HIGH] << 8) * 4;
        m->compare = s->cr[CR_LINE_COMPARE] | (s->cr[CR_OVERFLOW] & 0x10) << 4 | (s->cr[CR_MAX_SCAN] & 0x40) << 3;
    }
}

static unsigned display_lines(const VgaState *s)
{
    return (s->cr[CR_V_DISPLAY_END] | (s->cr[CR_OVERFLOW] & 0x02) << 7 | (s->cr[CR_OVERFLOW] & 0x40) << 3) + 1;
}

/* Frame buffers of these depths are shown as they are, unless the picture wraps around the end of video RAM. */
static bool can_share(const VgaState *s, const VgaMode *m)
{
    uint64_t end = m->start + (uint64_t)m->pitch * (m->lines - 1) + m->width * m->depth / 8;

    return m->depth >= 16 && end <= s->vram_size && !(m->big_endian && m->depth == 16);
}

static void mode_graphics(const VgaState *s, VgaMode *m)
{
    bool half = s->sr_now[SEQ_CLOCKING] & SEQ_CLOCKING_DOT_HALF;
    unsigned max_scan = s->cr[CR_MAX_SCAN];

    m->shift = MIN(s->gr[GR_MODE] >> 5 & 3, 2);
    m->cr17 = s->cr[CR_MODE] & 0x43;
    m->planes = s->ar[AR_PLANE_ENABLE] & 0x0f;
    m->big_endian = s->big_endian_fb;
    if (vbe_enabled(s)) {
        m->width = s->vbe_regs[VBE_XRES];
        m->lines = s->vbe_regs[VBE_YRES];
        m->depth = s->vbe_regs[VBE_BPP];
    } else {
        m->width = (s->cr[CR_H_DISPLAY_END] + 1) * 8;
        m->lines = display_lines(s);
    }
    m->height = m->lines;
    m->repeat = max_scan >> 7;
    if (m->cr17 & 1) {
        m->repeat = (((max_scan & 0x1f) + 1) << m->repeat) - 1;
    }
    m->doubled = m->shift < 2 ? half : !m->depth;
    if (m->shift < 2 && half) {
        m->width *= 2;
    }
    m->shared = can_share(s, m);
}

static void mode_now(const VgaState *s, VgaMode *m)
{
    memset(m, 0, sizeof *m);
    if (!(s->ar_index & AR_INDEX_VIDEO_ON)) {
        m->kind = VGA_BLANK;
        return;
    }
    mode_address(s, m);
    if (s->gr[GR_MISC] & GR_MISC_GRAPHICS) {
        m->kind = VGA_GRAPHICS;
        mode_graphics(s, m);
    } else {
        m->kind = VGA_TEXT;
        vga_mode_text(s, m);
    }
}

/* ---- Colours ---- */

static uint32_t dac_color(const VgaState *s, unsigned i, bool eight_bits)
{
    const uint8_t *p = s->palette + 3 * i;
    uint32_t v = 0;

    for (unsigned c = 0; c < 3; c++) {
        uint8_t x = p[c];

        if (!eight_bits) {
            x &= 0x3f;
            x = x << 2 | (x & 1) << 1 | (x & 1);
        }
        v = v << 8 | x;
    }
    return v;
}

static void colors_now(VgaState *s, const VgaMode *m)
{
    bool all = m->kind == VGA_GRAPHICS && m->shift == 2;    /* the DAC of 8 bits works in 256-colour modes only */

    memset(s->colors, 0, sizeof s->colors);
    if (m->kind == VGA_BLANK || m->depth > 8) {
        return;
    }
    for (unsigned i = 0; i < (all ? 256 : 16); i++) {
        unsigned n = i;

        if (!all && s->ar[AR_MODE] & AR_MODE_P54) {
            n = (s->ar[AR_COLOR_SELECT] & 0x0f) << 4 | (s->ar[i] & 0x0f);
        } else if (!all) {
            n = (s->ar[AR_COLOR_SELECT] & 0x0c) << 4 | (s->ar[i] & 0x3f);
        }
        s->colors[i] = dac_color(s, n, all && s->vbe_regs[VBE_ENABLE] & VBE_8BIT_DAC);
    }
}

/* ---- Dirty pages ---- */

bool vga_dirty(const VgaState *s, uint32_t off, uint32_t len)
{
    uint32_t mask = s->vram_size / PAGE - 1;

    for (uint32_t p = off / PAGE; p <= (off + len - 1) / PAGE; p++) {
        if (s->dirty[(p & mask) / WORD_BITS] >> (p & mask) % WORD_BITS & 1) {
            return true;
        }
    }
    return false;
}

/* Fetches and clears the dirty bits of the pages. */
static bool collect(VgaState *s, uint32_t off, uint32_t len)
{
    uint32_t mask = s->vram_size / PAGE - 1, last = (off + MIN(len, s->vram_size) - 1) / PAGE;
    bool any = false;

    for (uint32_t p = off / PAGE; p <= last; p++) {
        uint32_t n = p & mask;

        if (region_dirty_test_clear(&s->vram, (uint64_t)n * PAGE, PAGE)) {
            s->dirty[n / WORD_BITS] |= 1ul << n % WORD_BITS;
            any = true;
        }
    }
    return any;
}

static bool collect_mode(VgaState *s, const VgaMode *m)
{
    uint32_t lines = m->kind == VGA_TEXT ? m->rows : m->lines;
    uint64_t len = (uint64_t)m->pitch * lines + VGA_LINE_MAX;
    bool any;

    memset(s->dirty, 0, (s->vram_size / PAGE / WORD_BITS + 1) * sizeof *s->dirty);
    if (!s->log_on) {
        return false;
    }
    region_dirty_sync(&s->vram);
    if (m->kind == VGA_TEXT) {
        any = collect(s, m->font[0] & ~3u, 256 * 32 * 4);
        any |= collect(s, m->font[1] & ~3u, 256 * 32 * 4);
    } else {
        any = m->cr17 != 3 && collect(s, 0, 0x20000);
    }
    any |= collect(s, m->start & (s->vram_size - 1), MIN(len, s->vram_size));
    if (m->compare < m->height) {
        any |= collect(s, 0, MIN(len, s->vram_size));
    }
    return any;
}

/* ---- Drawing ---- */

static void set_surface(VgaState *s, const VgaMode *m)
{
    static const pixman_format_code_t formats[2][3] = {
        { PIXMAN_r5g6b5, PIXMAN_r8g8b8, PIXMAN_x8r8g8b8 }, { 0, PIXMAN_b8g8r8, PIXMAN_b8g8r8x8 },
    };
    Surface *shared = NULL;

    if (m->shared) {
        shared = surface_new_shared(m->width, m->height, formats[m->big_endian][m->depth / 8 - 2], m->pitch,
                                    s->vram_ptr + m->start);
    }
    if (shared) {
        console_set_surface(s->con, shared);
    } else {
        s->shown.shared = false;
        console_resize(s->con, m->width, m->height);
    }
}

static void draw_blank(VgaState *s)
{
    Surface *surface = console_surface(s->con);

    if (surface->shared) {
        console_resize(s->con, surface_width(surface), surface_height(surface));
    } else {
        memset(surface_data(surface), 0, (size_t)surface_stride(surface) * surface_height(surface));
    }
    surface = console_surface(s->con);
    console_update(s->con, 0, 0, surface_width(surface), surface_height(surface));
}

/* The CRTC's address of a line, after the substitutions of the CGA and Hercules modes. */
static uint32_t line_address(const VgaMode *m, uint32_t addr, unsigned row)
{
    if (!(m->cr17 & 1)) {
        unsigned bit = 14 + (m->cr17 >> 6 & 1);

        addr = (addr & ~(1u << bit)) | (row & 1) << bit;
    }
    if (!(m->cr17 & 2)) {
        addr = (addr & ~0x8000u) | (row & 2) << 14;
    }
    return addr;
}

/* The bytes of a line, in one piece. */
static const uint8_t *line_data(VgaState *s, uint32_t addr, unsigned len)
{
    uint32_t left = s->vram_size - addr;

    if (len <= left) {
        return s->vram_ptr + addr;
    }
    memcpy(s->line, s->vram_ptr + addr, left);
    memcpy(s->line + left, s->vram_ptr, len - left);
    return s->line;
}

static bool draw_graphics(VgaState *s, const VgaMode *m, bool all)
{
    Surface *surface = console_surface(s->con);
    unsigned len = vga_line_bytes(m), repeat = m->repeat, row = 0, first = m->lines, mask = (m->cr17 & 3) ^ 3;
    VgaLineFn *fn = vga_line_fn(m);
    uint32_t addr = m->start;
    bool any = false;

    for (unsigned y = 0; y < m->lines; y++) {
        uint32_t a = line_address(m, addr, row) & (s->vram_size - 1);

        if (all || vga_dirty(s, a, len)) {
            if (!s->shown.shared) {
                fn(s, m, (uint32_t *)(void *)(surface_data(surface) + (size_t)y * surface_stride(surface)),
                   line_data(s, a, len));
            }
            first = MIN(first, y);
            any = true;
        } else if (first < y) {
            console_update(s->con, 0, first, m->width, y - first);
            first = m->lines;
        }
        if (repeat) {
            repeat--;
        } else {
            if ((row & mask) == mask) {
                addr += m->pitch;
            }
            row++;
            repeat = m->repeat;
        }
        if (y == m->compare) {
            addr = 0;
        }
    }
    if (first < m->lines) {
        console_update(s->con, 0, first, m->width, m->lines - first);
    }
    return any;
}

/* ---- The console's operations ---- */

static void trap_set(VgaState *s, bool on)
{
    if (s->trap_on != on) {
        s->trap_on = on;
        region_set_readonly(&s->vram, on);
    }
}

static uint64_t trap_read(void *opaque, uint64_t off, unsigned size)
{
    VgaState *s = opaque;
    uint64_t v = 0;

    memcpy(&v, s->vram_ptr + (off & (s->vram_size - 1) & ~7ull) + (off & 7), MIN(size, 8 - (off & 7)));
    return GUINT64_FROM_LE(v);
}

/* The first write to a quiet screen: from now on they go straight to memory again. */
static void trap_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    VgaState *s = opaque;

    for (unsigned i = 0; i < size; i++) {
        s->vram_ptr[(off + i) & (s->vram_size - 1)] = val >> 8 * i;
    }
    region_dirty_set(&s->vram, off & (s->vram_size - 1), 1);
    trap_set(s, false);
    s->changed_at = g_get_monotonic_time();
    console_kick(s->con);
}

static const RegionOps trap_ops = { .read = trap_read, .write = trap_write, .max = 8, .unaligned = true };

void vga_trap_init(VgaState *s)
{
    s->vram.ops = &trap_ops;
    s->vram.opaque = s;
}

static void vga_watched(void *opaque, bool on)
{
    VgaState *s = opaque;

    s->log_on = on;
    s->redraw = true;
    if (!on) {
        trap_set(s, false);
    }
    s->changed_at = g_get_monotonic_time();
    region_log_dirty(&s->vram, on);
}

/* When to be asked again. */
static int next_update(VgaState *s, const VgaMode *m, bool any)
{
    gint64 now = g_get_monotonic_time();
    uint64_t guest_now;

    if (any) {
        s->changed_at = now;
    }
    if (!s->log_on || now - s->changed_at < QUIET_US) {
        return CONSOLE_POLL;
    }
    trap_set(s, true);
    if (m->kind != VGA_TEXT || m->cursor == UINT32_MAX || !console_shows_pixels(s->con)) {
        return CONSOLE_IDLE;
    }
    guest_now = vm_now(s->dev);
    return guest_now < s->blink_at ? (s->blink_at - guest_now) / 1000000 + 1 : 1;
}

static int vga_update(void *opaque)
{
    VgaState *s = opaque;
    bool all = s->redraw, colors, any;
    VgaMode m;

    mode_now(s, &m);
    if (m.kind == VGA_NOTHING) {
        return CONSOLE_IDLE;
    }
    colors_now(s, &m);
    colors = memcmp(s->colors, s->shown_colors, sizeof s->colors);
    any = collect_mode(s, &m) || !s->log_on;
    all |= !s->log_on;
    if (m.kind == VGA_BLANK) {
        if (s->shown.kind != VGA_BLANK && (s->shown.kind != VGA_NOTHING)) {
            draw_blank(s);
        }
        s->shown.kind = s->shown.kind == VGA_NOTHING ? VGA_NOTHING : VGA_BLANK;
        s->redraw = false;
        return next_update(s, &m, false);
    }
    if (memcmp(&m, &s->shown, G_STRUCT_OFFSET(VgaMode, cursor))) {
        bool resize = m.width != s->shown.width || m.height != s->shown.height || m.shared || s->shown.shared;

        all = true;
        if (m.kind != s->shown.kind) {
            s->blink_at = 0;
        }
        memcpy(&s->shown, &m, sizeof m);
        if (resize || console_surface(s->con)->shared != m.shared) {
            set_surface(s, &m);
        }
    }
    s->redraw = false;
    if (m.kind == VGA_GRAPHICS) {
        any |= all || colors;
        any = any && draw_graphics(s, &m, all || colors);
    } else {
        vga_draw_text(s, &m, all, colors);
    }
    memcpy(s->shown_colors, s->colors, sizeof s->colors);
    return next_update(s, &m, any);
}

static void vga_invalidate(void *opaque)
{
    VgaState *s = opaque;

    s->redraw = true;
    console_kick(s->con);
}

static void vga_text(void *opaque, TextScreen *t)
{
    const VgaState *s = opaque;

    if (s->shown.kind == VGA_TEXT && s->ar_index & AR_INDEX_VIDEO_ON) {
        vga_read_text(s, t);
    } else if (s->shown.kind != VGA_GRAPHICS) {
        t->message = "VGA Blank mode";
    }
}

const ConsoleOps vga_console_ops = {
    .update = vga_update, .invalidate = vga_invalidate, .watched = vga_watched, .text = vga_text,
};
