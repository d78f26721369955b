/*
 * VGA's text screens. A cell is two bytes (character in plane 0, attribute in plane 1); the fonts are in plane 2,
 * 32 bytes a character. Cells are redrawn when they, their glyph or the cursor on them have changed.
 */
#include "hw/display/vga.h"
#include <string.h>

#define BLINK_NS (1000000000ull * 16 / 70)  /* half a period of the cursor: 16 frames of 70 a second */
#define FONT_BYTES (256 * 32)
#define CELL_CURSOR 0x10000u

static void mode_cursor(const VgaState *s, VgaMode *m)
{
    unsigned from = s->cr[CR_CURSOR_START] & 0x1f, to = MIN(s->cr[CR_CURSOR_END] & 0x1f, (int)m->cell_h - 1);

    m->cursor = UINT32_MAX;
    if (!(s->cr[CR_CURSOR_START] & 0x20) && to >= from) {
        m->cursor = (s->cr[CR_CURSOR_HIGH] << 8 | s->cr[CR_CURSOR_LOW]) * 4;
        m->cursor_from = from;
        m->cursor_to = to;
    }
}

/* Leaves the mode VGA_NOTHING for sizes that no text screen has (in the middle of a mode change). */
void vga_mode_text(const VgaState *s, VgaMode *m)
{
    unsigned map = s->sr_now[SEQ_CHAR_MAP], clocking = s->sr_now[SEQ_CLOCKING];
    unsigned lines = s->cr[CR_V_DISPLAY_END] | (s->cr[CR_OVERFLOW] & 0x02) << 7 | (s->cr[CR_OVERFLOW] & 0x40) << 3;

    m->font[0] = ((map >> 4 & 1) | (map << 1 & 6)) * FONT_BYTES * 4 + 2;
    m->font[1] = ((map >> 5 & 1) | (map >> 1 & 6)) * FONT_BYTES * 4 + 2;
    m->cell_h = (s->cr[CR_MAX_SCAN] & 0x1f) + 1;
    m->cell_w = clocking & SEQ_CLOCKING_DOT_HALF ? 16 : clocking & SEQ_CLOCKING_8DOT ? 8 : 9;
    m->ninth_dot = s->ar[AR_MODE] & AR_MODE_LINE_GRAPHICS;
    m->cols = s->cr[CR_H_DISPLAY_END] + 1;
    m->rows = s->cr[CR_V_TOTAL] == 100 ? 100 : (lines + 1) / m->cell_h;
    if (m->cols * m->rows <= 1 || m->cols * m->rows > VGA_TEXT_MAX) {
        m->kind = VGA_NOTHING;
        return;
    }
    m->width = m->cols * m->cell_w;
    m->height = m->rows * m->cell_h;
    mode_cursor(s, m);
}

/* Brings the copies of the fonts up to date; bits of the characters whose glyph has changed. */
static bool fetch_fonts(VgaState *s, const VgaMode *m, uint32_t changed[2][8], bool all)
{
    bool any = false;

    for (unsigned f = 0; f < 2; f++) {
        if (!all && !vga_dirty(s, m->font[f], FONT_BYTES * 4 - 3)) {
            continue;
        }
        for (unsigned i = 0; i < FONT_BYTES; i++) {
            uint8_t v = s->vram_ptr[(m->font[f] + i * 4) & (s->vram_size - 1)];

            if (s->fonts[f * FONT_BYTES + i] != v) {
                s->fonts[f * FONT_BYTES + i] = v;
                changed[f][i / 32 / 32] |= 1u << (i / 32) % 32;
                any = true;
            }
        }
    }
    return any;
}

static void draw_row(uint32_t *to, unsigned bits, unsigned width, uint32_t fg, uint32_t bg, bool ninth)
{
    uint32_t differ = fg ^ bg;

    if (width == 16) {
        for (int i = 7; i >= 0; i--, to += 2) {
            to[0] = to[1] = bg ^ (differ & -(bits >> i & 1));
        }
        return;
    }
    for (int i = 7; i >= 0; i--) {
        *to++ = bg ^ (differ & -(bits >> i & 1));
    }
    if (width == 9) {
        *to = ninth ? to[-1] : bg;
    }
}

static void draw_cell(const VgaState *s, const VgaMode *m, uint8_t *to, int stride, uint32_t cell)
{
    uint8_t ch = cell, attr = cell >> 8;
    const uint8_t *glyph = s->fonts + (attr >> 3 & 1) * FONT_BYTES + ch * 32;
    uint32_t fg = s->colors[attr & 0x0f], bg = s->colors[attr >> 4];
    bool ninth = m->ninth_dot && ch >= 0xb0 && ch <= 0xdf;

    for (unsigned y = 0; y < m->cell_h; y++, to += stride) {
        uint32_t *p = (uint32_t *)(void *)to;

        if (cell & CELL_CURSOR && y >= m->cursor_from && y <= m->cursor_to) {
            for (unsigned x = 0; x < m->cell_w; x++) {
                p[x] = fg;
            }
        } else {
            draw_row(p, glyph[y], m->cell_w, fg, bg, ninth);
        }
    }
}

static void blink(VgaState *s)
{
    uint64_t now = vm_now(s->dev);

    if (now >= s->blink_at) {
        s->blink_at = now + BLINK_NS;
        s->cursor_on = !s->cursor_on;
    }
}

typedef struct Changes {
    bool all;               /* every cell */
    bool glyphs;
    uint32_t glyph[2][8];
} Changes;

/* Redraws what has changed of one row of text that begins at addr. */
static bool draw_text_row(VgaState *s, const VgaMode *m, unsigned row, uint32_t addr, const Changes *c)
{
    Surface *surface = console_surface(s->con);
    int stride = surface_stride(surface);
    uint8_t *to = surface_data(surface) + (size_t)row * m->cell_h * stride;
    uint32_t *shown = s->cells + row * m->cols;
    unsigned first = m->cols, last = 0;

    for (unsigned x = 0; x < m->cols; x++, addr += 4, to += m->cell_w * 4) {
        const uint8_t *p = s->vram_ptr + (addr & (s->vram_size - 1) & ~3u);
        uint32_t cell = p[0] | p[1] << 8 | (addr == m->cursor && s->cursor_on ? CELL_CURSOR : 0);

        if (!c->all && cell == shown[x] && !(c->glyphs && c->glyph[cell >> 11 & 1][(cell & 0xff) / 32] >> cell % 32 & 1)) {
            continue;
        }
        shown[x] = cell;
        draw_cell(s, m, to, stride, cell);
        first = MIN(first, x);
        last = x;
    }
    if (first == m->cols) {
        return false;
    }
    console_update(s->con, first * m->cell_w, row * m->cell_h, (last - first + 1) * m->cell_w, m->cell_h);
    return true;
}

bool vga_draw_text(VgaState *s, const VgaMode *m, bool all, bool colors)
{
    VgaMode *shown = &s->shown;
    uint32_t addr = m->start;
    unsigned line = 0;
    bool any = false, cursor;
    Changes c = { .all = all || colors };

    blink(s);
    cursor = s->cursor_on != s->shown_cursor_on || m->cursor != shown->cursor;
    if (m->cursor_from != shown->cursor_from || m->cursor_to != shown->cursor_to) {
        c.all = true;
    }
    shown->cursor = m->cursor;
    shown->cursor_from = m->cursor_from;
    shown->cursor_to = m->cursor_to;
    s->shown_cursor_on = s->cursor_on;
    c.glyphs = fetch_fonts(s, m, c.glyph, c.all);
    for (unsigned row = 0; row < m->rows; row++, line += m->cell_h) {
        if (c.all || c.glyphs || cursor || vga_dirty(s, addr & (s->vram_size - 1), m->cols * 4)) {
            any |= draw_text_row(s, m, row, addr, &c);
        }
        addr += m->pitch;
        if (line < m->compare && line + m->cell_h >= m->compare) {
            addr = 0;
        }
    }
    return any;
}

void vga_read_text(const VgaState *s, TextScreen *t)
{
    const VgaMode *m = &s->shown;
    uint32_t addr = m->start;
    unsigned line = 0;

    text_screen_resize(t, m->cols, m->rows);
    for (unsigned y = 0; y < m->rows; y++, line += m->cell_h) {
        for (unsigned x = 0; x < m->cols; x++) {
            if (addr + 4 * x == m->cursor) {
                t->cursor_x = x;
                t->cursor_y = y;
            }
            t->cells[y * m->cols + x] = s->cells[y * m->cols + x];
        }
        addr += m->pitch;
        if (line < m->compare && line + m->cell_h >= m->compare) {
            addr = 0;
        }
    }
}
