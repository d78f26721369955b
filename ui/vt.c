/* The terminal of text consoles: see vt.h. Not modelled: tabs other than every eighth column, 132 columns, double sizes. */
#include "ui/vt.h"
#include <stdio.h>
#include <string.h>

/* What the upper half of code page 437 shows. */
static const uint16_t cp437[128] = {
    0x00c7, 0x00fc, 0x00e9, 0x00e2, 0x00e4, 0x00e0, 0x00e5, 0x00e7, 0x00ea, 0x00eb, 0x00e8, 0x00ef, 0x00ee, 0x00ec, 0x00c4, 0x00c5,
    0x00c9, 0x00e6, 0x00c6, 0x00f4, 0x00f6, 0x00f2, 0x00fb, 0x00f9, 0x00ff, 0x00d6, 0x00dc, 0x00a2, 0x00a3, 0x00a5, 0x20a7, 0x0192,
    0x00e1, 0x00ed, 0x00f3, 0x00fa, 0x00f1, 0x00d1, 0x00aa, 0x00ba, 0x00bf, 0x2310, 0x00ac, 0x00bd, 0x00bc, 0x00a1, 0x00ab, 0x00bb,
    0x2591, 0x2592, 0x2593, 0x2502, 0x2524, 0x2561, 0x2562, 0x2556, 0x2555, 0x2563, 0x2551, 0x2557, 0x255d, 0x255c, 0x255b, 0x2510,
    0x2514, 0x2534, 0x252c, 0x251c, 0x2500, 0x253c, 0x255e, 0x255f, 0x255a, 0x2554, 0x2569, 0x2566, 0x2560, 0x2550, 0x256c, 0x2567,
    0x2568, 0x2564, 0x2565, 0x2559, 0x2558, 0x2552, 0x2553, 0x256b, 0x256a, 0x2518, 0x250c, 0x2588, 0x2584, 0x258c, 0x2590, 0x2580,
    0x03b1, 0x00df, 0x0393, 0x03c0, 0x03a3, 0x03c3, 0x00b5, 0x03c4, 0x03a6, 0x0398, 0x03a9, 0x03b4, 0x221e, 0x03c6, 0x03b5, 0x2229,
    0x2261, 0x00b1, 0x2265, 0x2264, 0x2320, 0x2321, 0x00f7, 0x2248, 0x00b0, 0x2219, 0x00b7, 0x221a, 0x207f, 0x00b2, 0x25a0, 0x00a0,
};

/* DEC's special graphics, from '`' to '~'. */
static const uint8_t line_drawing[] = {
    0x04, 0xb1, '?', '?', '?', '?', 0xf8, 0xf1, '?', '?', 0xd9, 0xbf, 0xda, 0xc0, 0xc5, 0xc4, 0xc4, 0xc4, 0xc4, 0xc4,
    0xc3, 0xb4, 0xc1, 0xc2, 0xb3, 0xf3, 0xf2, 0xe3, '?', 0x9c, 0xfa,
};

static VtCell *line_at(const Vt *v, unsigned y)
{
    return v->cells + (v->top + y) % (v->rows + VT_HISTORY) * v->cols;
}

static VtCell blank(const Vt *v)
{
    return (VtCell){ ' ', 7 | v->pen.bg << 4 };
}

static void erase(Vt *v, unsigned y, unsigned from, unsigned to)
{
    VtCell *row = line_at(v, y), b = blank(v);

    for (unsigned x = from; x < to && x < v->cols; x++) {
        row[x] = b;
    }
}

static void copy_line(Vt *v, unsigned to, unsigned from)
{
    memcpy(line_at(v, to), line_at(v, from), v->cols * sizeof(VtCell));
}

/* Scrolls lines top..bottom up by n; the whole screen's go to the history. */
static void scroll_up(Vt *v, unsigned top, unsigned bottom, unsigned n)
{
    n = MIN(n, bottom - top + 1);
    if (top == 0 && bottom == v->rows - 1) {
        v->top = (v->top + n) % (v->rows + VT_HISTORY);
        v->history = MIN(v->history + n, VT_HISTORY);
    } else {
        for (unsigned y = top; y + n <= bottom; y++) {
            copy_line(v, y, y + n);
        }
    }
    for (unsigned y = bottom + 1 - n; y <= bottom; y++) {
        erase(v, y, 0, v->cols);
    }
}

static void scroll_down(Vt *v, unsigned top, unsigned bottom, unsigned n)
{
    n = MIN(n, bottom - top + 1);
    for (unsigned y = bottom; y >= top + n; y--) {
        copy_line(v, y, y - n);
    }
    for (unsigned y = top; y < top + n; y++) {
        erase(v, y, 0, v->cols);
    }
}

static void index_down(Vt *v)
{
    v->wrap_pending = false;
    if (v->y == v->region_bottom) {
        scroll_up(v, v->region_top, v->region_bottom, 1);
    } else if (v->y < v->rows - 1) {
        v->y++;
    }
}

static void index_up(Vt *v)
{
    v->wrap_pending = false;
    if (v->y == v->region_top) {
        scroll_down(v, v->region_top, v->region_bottom, 1);
    } else if (v->y) {
        v->y--;
    }
}

static void move(Vt *v, int x, int y)
{
    v->x = CLAMP(x, 0, (int)v->cols - 1);
    v->y = CLAMP(y, 0, (int)v->rows - 1);
    v->wrap_pending = false;
}

static void insert_blanks(Vt *v, unsigned n)
{
    VtCell *row = line_at(v, v->y);

    n = MIN(n, v->cols - v->x);
    memmove(row + v->x + n, row + v->x, (v->cols - v->x - n) * sizeof *row);
    erase(v, v->y, v->x, v->x + n);
}

static void delete_chars(Vt *v, unsigned n)
{
    VtCell *row = line_at(v, v->y);

    n = MIN(n, v->cols - v->x);
    memmove(row + v->x, row + v->x + n, (v->cols - v->x - n) * sizeof *row);
    erase(v, v->y, v->cols - n, v->cols);
}

static uint8_t to_cp437(uint32_t rune)
{
    if (rune < 0x7f) {
        return rune;
    }
    for (unsigned i = 0; i < 128; i++) {
        if (cp437[i] == rune) {
            return 0x80 + i;
        }
    }
    return '?';
}

static void put(Vt *v, uint32_t rune)
{
    uint8_t fg = v->pen.fg | (v->pen.bold ? 8 : 0), bg = v->pen.bg;
    uint8_t ch = v->pen.line_drawing && rune >= '`' && rune <= '~' ? line_drawing[rune - '`'] : to_cp437(rune);

    if (v->wrap_pending && v->autowrap) {
        v->x = 0;
        index_down(v);
    }
    if (v->insert) {
        insert_blanks(v, 1);
    }
    line_at(v, v->y)[v->x] = (VtCell){ ch, v->pen.reverse ? bg | fg << 4 : fg | bg << 4 };
    v->wrap_pending = v->x == v->cols - 1;
    if (!v->wrap_pending) {
        v->x++;
    }
}

static void reset(Vt *v)
{
    v->pen = v->saved_pen = (VtPen){ .fg = 7 };
    v->region_top = 0;
    v->region_bottom = v->rows - 1;
    v->autowrap = v->cursor_on = true;
    v->insert = v->wrap_pending = false;
    v->saved_x = v->saved_y = 0;
    v->state = VT_TEXT;
    v->rune_left = 0;
    for (unsigned y = 0; y < v->rows; y++) {
        erase(v, y, 0, v->cols);
    }
    move(v, 0, 0);
}

/* ---- Control sequences ---- */

static void select_rendition(Vt *v)
{
    for (unsigned i = 0; i < MAX(v->nparams, 1); i++) {
        unsigned p = v->params[i];

        switch (p) {
        case 0:
            v->pen = (VtPen){ .fg = 7, .line_drawing = v->pen.line_drawing };
            break;
        case 1:
            v->pen.bold = true;
            break;
        case 22:
            v->pen.bold = false;
            break;
        case 7:
            v->pen.reverse = true;
            break;
        case 27:
            v->pen.reverse = false;
            break;
        case 39:
            v->pen.fg = 7;
            break;
        case 49:
            v->pen.bg = 0;
            break;
        default:
            /* ANSI counts red 1, blue 4; a VGA's attributes have blue 1, red 4. */
            if (p >= 30 && p <= 37) {
                v->pen.fg = "\0\4\2\6\1\5\3\7"[p - 30];
            } else if (p >= 40 && p <= 47) {
                v->pen.bg = "\0\4\2\6\1\5\3\7"[p - 40];
            } else if (p >= 90 && p <= 97) {
                v->pen.fg = "\0\4\2\6\1\5\3\7"[p - 90];
                v->pen.bold = true;
            }
        }
    }
}

static void erase_display(Vt *v, unsigned how)
{
    unsigned from = how == 0 ? v->y + 1 : 0, to = how == 1 ? v->y : v->rows;

    if (how == 0) {
        erase(v, v->y, v->x, v->cols);
    } else if (how == 1) {
        erase(v, v->y, 0, v->x + 1);
    }
    for (unsigned y = from; y < to; y++) {
        erase(v, y, 0, v->cols);
    }
}

static void set_mode(Vt *v, bool on)
{
    for (unsigned i = 0; i < v->nparams; i++) {
        if (v->private && v->params[i] == 7) {
            v->autowrap = on;
        } else if (v->private && v->params[i] == 25) {
            v->cursor_on = on;
        } else if (!v->private && v->params[i] == 4) {
            v->insert = on;
        }
    }
}

static void set_region(Vt *v)
{
    unsigned top = MAX(v->params[0], 1), bottom = v->params[1] ? v->params[1] : v->rows;

    bottom = MIN(bottom, v->rows);
    if (top < bottom) {
        v->region_top = top - 1;
        v->region_bottom = bottom - 1;
        move(v, 0, 0);
    }
}

static void report(Vt *v, unsigned what)
{
    char s[32] = "\033[0n";

    if (what == 6) {
        snprintf(s, sizeof s, "\033[%u;%uR", v->y + 1, v->x + 1);
    } else if (what != 5) {
        return;
    }
    v->reply(v->opaque, s);
}

/* Insert and delete line. */
static void shift_lines(Vt *v, unsigned n, bool insert)
{
    if (v->y < v->region_top || v->y > v->region_bottom) {
        return;
    }
    if (insert) {
        scroll_down(v, v->y, v->region_bottom, n);
    } else {
        /* Not to the history, even from the top of the screen. */
        for (unsigned y = v->y; y <= v->region_bottom; y++) {
            if (y + n <= v->region_bottom) {
                copy_line(v, y, y + n);
            } else {
                erase(v, y, 0, v->cols);
            }
        }
    }
    move(v, 0, v->y);
}

static void csi_edit(Vt *v, uint8_t final, unsigned n)
{
    switch (final) {
    case '@':
        insert_blanks(v, n);
        break;
    case 'P':
        delete_chars(v, n);
        break;
    case 'X':
        erase(v, v->y, v->x, v->x + n);
        break;
    case 'L':
    case 'M':
        shift_lines(v, n, final == 'L');
        break;
    case 'S':
        scroll_up(v, v->region_top, v->region_bottom, n);
        break;
    case 'T':
        scroll_down(v, v->region_top, v->region_bottom, n);
        break;
    case 'J':
        erase_display(v, v->params[0]);
        break;
    case 'K':
        erase(v, v->y, v->params[0] ? 0 : v->x, v->params[0] == 1 ? v->x + 1 : v->cols);
        break;
    }
}

static void csi(Vt *v, uint8_t final)
{
    unsigned p0 = v->params[0], n = MAX(p0, 1);

    switch (final) {
    case 'A':
        move(v, v->x, MAX((int)v->y - (int)n, v->y >= v->region_top ? (int)v->region_top : 0));
        break;
    case 'B': case 'e':
        move(v, v->x, MIN(v->y + n, v->y <= v->region_bottom ? v->region_bottom : v->rows - 1));
        break;
    case 'C': case 'a':
        move(v, v->x + n, v->y);
        break;
    case 'D':
        move(v, (int)v->x - (int)n, v->y);
        break;
    case 'E':
        move(v, 0, v->y + n);
        break;
    case 'F':
        move(v, 0, (int)v->y - (int)n);
        break;
    case 'G': case '`':
        move(v, n - 1, v->y);
        break;
    case 'd':
        move(v, v->x, n - 1);
        break;
    case 'H': case 'f':
        move(v, MAX(v->params[1], 1) - 1, n - 1);
        break;
    case 'm':
        select_rendition(v);
        break;
    case 'h': case 'l':
        set_mode(v, final == 'h');
        break;
    case 'r':
        set_region(v);
        break;
    case 'n':
        report(v, p0);
        break;
    case 'c':
        v->reply(v->opaque, "\033[?6c");
        break;
    case 's':
        v->saved_x = v->x;
        v->saved_y = v->y;
        break;
    case 'u':
        move(v, v->saved_x, v->saved_y);
        break;
    default:
        csi_edit(v, final, n);
    }
}

static void csi_byte(Vt *v, uint8_t c)
{
    if (c >= '0' && c <= '9') {
        unsigned *p = &v->params[MIN(v->nparams, G_N_ELEMENTS(v->params) - 1)];

        *p = MIN(*p * 10 + c - '0', 9999);
        v->param_seen = true;
    } else if (c == ';') {
        v->nparams = MIN(v->nparams + 1, G_N_ELEMENTS(v->params) - 1);
        v->params[v->nparams] = 0;
    } else if (c == '?') {
        v->private = true;
    } else if (c >= 0x40 && c <= 0x7e) {
        v->nparams++;
        v->state = VT_TEXT;
        csi(v, c);
    }
}

static void escape(Vt *v, uint8_t c)
{
    v->state = VT_TEXT;
    switch (c) {
    case '[':
        memset(v->params, 0, sizeof v->params);
        v->nparams = 0;
        v->private = v->param_seen = false;
        v->state = VT_CSI;
        break;
    case ']': case 'P': case '^': case '_':
        v->state = VT_STRING;
        break;
    case '(':
        v->state = VT_CHARSET;
        break;
    case ')': case '*': case '+': case '#': case '%': case ' ':
        v->state = VT_SKIP;
        break;
    case '7':
        v->saved_x = v->x;
        v->saved_y = v->y;
        v->saved_pen = v->pen;
        break;
    case '8':
        v->pen = v->saved_pen;
        move(v, v->saved_x, v->saved_y);
        break;
    case 'D':
        index_down(v);
        break;
    case 'E':
        move(v, 0, v->y);
        index_down(v);
        break;
    case 'M':
        index_up(v);
        break;
    case 'c':
        reset(v);
        break;
    }
}

/* ---- Text ---- */

static bool control(Vt *v, uint8_t c)
{
    switch (c) {
    case '\b':
        move(v, (int)v->x - 1, v->y);
        return true;
    case '\t':
        move(v, (v->x | 7) + 1, v->y);
        return true;
    case '\n': case '\v': case '\f':
        index_down(v);
        return true;
    case '\r':
        move(v, 0, v->y);
        return true;
    case 0x0e:
        v->pen.line_drawing = true;
        return true;
    case 0x0f:
        v->pen.line_drawing = false;
        return true;
    case 0x1b:
        v->state = VT_ESC;
        return true;
    default:
        return c < 0x20 || c == 0x7f;
    }
}

static void text_byte(Vt *v, uint8_t c)
{
    if (v->rune_left && (c & 0xc0) == 0x80) {
        v->rune = v->rune << 6 | (c & 0x3f);
        if (!--v->rune_left) {
            put(v, v->rune);
        }
        return;
    }
    v->rune_left = 0;
    if (c < 0x80) {
        put(v, c);
    } else if (c >= 0xc2 && c < 0xf5) {
        v->rune_left = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
        v->rune = c & (0x3f >> v->rune_left);
    } else {
        put(v, cp437[c - 0x80]);            /* no UTF-8: from a DOS program, perhaps */
    }
}

static void byte(Vt *v, uint8_t c)
{
    if (v->state == VT_STRING) {
        v->state = c == 0x07 ? VT_TEXT : c == 0x1b ? VT_SKIP : VT_STRING;
        return;
    }
    if (v->state == VT_CHARSET || v->state == VT_SKIP) {
        if (v->state == VT_CHARSET) {
            v->pen.line_drawing = c == '0';
        }
        v->state = VT_TEXT;
        return;
    }
    if (control(v, c)) {
        return;
    }
    if (v->state == VT_ESC) {
        escape(v, c);
    } else if (v->state == VT_CSI) {
        csi_byte(v, c);
    } else {
        text_byte(v, c);
    }
}

void vt_write(Vt *v, const uint8_t *bytes, int len)
{
    for (int i = 0; i < len; i++) {
        byte(v, bytes[i]);
    }
    v->back = 0;
    v->changed = true;
}

void vt_init(Vt *v, unsigned cols, unsigned rows)
{
    v->cols = CLAMP(cols, 2, VT_MAX);
    v->rows = CLAMP(rows, 2, VT_MAX);
    v->cells = g_new0(VtCell, v->cols * (v->rows + VT_HISTORY));
    v->changed = true;
    reset(v);
}

void vt_fini(Vt *v)
{
    g_clear_pointer(&v->cells, g_free);
}

void vt_scroll_back(Vt *v, int lines)
{
    v->back = CLAMP((int)v->back + lines, 0, (int)v->history);
    v->changed = true;
}

const VtCell *vt_row(const Vt *v, unsigned y)
{
    unsigned total = v->rows + VT_HISTORY;

    return v->cells + (v->top + total - v->back + y) % total * v->cols;
}

bool vt_cursor(const Vt *v, unsigned *x, unsigned *y)
{
    *x = v->x;
    *y = v->y + v->back;
    return v->cursor_on && *y < v->rows;
}
