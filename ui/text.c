/* Text consoles: a terminal (vt.c) drawn with the VGABIOS' font, 8 x 16 pixels a cell. */
#include "ui/console-int.h"
#include "ui/vt.h"
#include "util/error.h"
#include "util/firmware.h"
#include <string.h>

enum { CELL_W = 8, CELL_H = 16 };
#define ROM "vgabios-stdvga.bin"

typedef struct TextConsole {
    Console *con;
    Vt vt;
    VtCell *shown;              /* as drawn; the cursor's cell has its colours exchanged */
    TextInputFn *input;
    void *opaque;
} TextConsole;

static const uint32_t colors[16] = {
    0x000000, 0x0000aa, 0x00aa00, 0x00aaaa, 0xaa0000, 0xaa00aa, 0xaa5500, 0xaaaaaa,
    0x555555, 0x5555ff, 0x55ff55, 0x55ffff, 0xff5555, 0xff55ff, 0xffff55, 0xffffff,
};

static uint8_t font[256 * CELL_H];
static bool has_font;

/* The ROM's font of 16 lines begins with an empty character and a smiling face. */
static bool load_font(GError **err)
{
    static const uint8_t head[2 * CELL_H] = {
        [CELL_H + 2] = 0x7e, 0x81, 0xa5, 0x81, 0x81, 0xbd, 0x99, 0x81, 0x81, 0x7e,
    };
    g_autofree char *rom = NULL;
    gsize size;

    if (has_font) {
        return true;
    }
    if (!firmware_load(ROM, &rom, &size, err)) {
        g_prefix_error(err, "a text console needs a font: ");
        return false;
    }
    for (gsize i = 0; i + sizeof font <= size; i++) {
        if (!memcmp(rom + i, head, sizeof head)) {
            memcpy(font, rom + i, sizeof font);
            return has_font = true;
        }
    }
    return error_set(err, "a text console needs a font: there is none in %s", ROM);
}

static void draw_cell(Surface *s, unsigned x, unsigned y, VtCell c)
{
    uint8_t *to = surface_data(s) + (size_t)y * CELL_H * surface_stride(s) + x * CELL_W * 4;
    const uint8_t *glyph = font + c.ch * CELL_H;

    for (unsigned i = 0; i < CELL_H; i++, to += surface_stride(s)) {
        uint32_t *p = (uint32_t *)(void *)to;

        for (unsigned b = 0; b < CELL_W; b++) {
            p[b] = colors[glyph[i] << b & 0x80 ? c.attr & 0x0f : c.attr >> 4];
        }
    }
}

void surface_message(Surface *s, const char *text)
{
    int x = (surface_width(s) / CELL_W - (int)strlen(text)) / 2, y = (surface_height(s) / CELL_H - 1) / 2;

    if (x < 0 || y < 0 || !load_font(NULL)) {
        return;
    }
    for (; *text; text++, x++) {
        draw_cell(s, x, y, (VtCell){ *text, 0x07 });
    }
}

static void draw_row(TextConsole *t, unsigned y, int cursor)
{
    const VtCell *row = vt_row(&t->vt, y);
    VtCell *shown = t->shown + y * t->vt.cols;
    unsigned first = t->vt.cols, last = 0;

    for (unsigned x = 0; x < t->vt.cols; x++) {
        VtCell c = row[x];

        if ((int)x == cursor) {
            c.attr = c.attr << 4 | c.attr >> 4;
        }
        if (c.ch != shown[x].ch || c.attr != shown[x].attr) {
            shown[x] = c;
            draw_cell(console_surface(t->con), x, y, c);
            first = MIN(first, x);
            last = x;
        }
    }
    if (first < t->vt.cols) {
        console_update(t->con, first * CELL_W, y * CELL_H, (last - first + 1) * CELL_W, CELL_H);
    }
}

static int text_update(void *opaque)
{
    TextConsole *t = opaque;
    unsigned x, y;
    bool cursor = vt_cursor(&t->vt, &x, &y);

    if (t->vt.changed) {
        t->vt.changed = false;
        for (unsigned i = 0; i < t->vt.rows; i++) {
            draw_row(t, i, cursor && i == y ? (int)x : -1);
        }
    }
    return CONSOLE_IDLE;
}

static void text_invalidate(void *opaque)
{
    TextConsole *t = opaque;

    memset(t->shown, 0xff, t->vt.cols * t->vt.rows * sizeof *t->shown);
    t->vt.changed = true;
    console_kick(t->con);
}

/* Without the cells' cursor: it is told apart. */
static void text_text(void *opaque, TextScreen *to)
{
    TextConsole *t = opaque;
    unsigned x, y;

    text_screen_resize(to, t->vt.cols, t->vt.rows);
    to->cp437 = true;
    for (unsigned i = 0; i < t->vt.rows; i++) {
        const VtCell *row = vt_row(&t->vt, i);

        for (unsigned j = 0; j < t->vt.cols; j++) {
            to->cells[i * t->vt.cols + j] = row[j].ch | row[j].attr << 8;
        }
    }
    if (vt_cursor(&t->vt, &x, &y)) {
        to->cursor_x = x;
        to->cursor_y = y;
    }
}

static const ConsoleOps text_ops = { .update = text_update, .invalidate = text_invalidate, .text = text_text };

static void reply(void *opaque, const char *s)
{
    TextConsole *t = opaque;

    t->input(t->opaque, (const uint8_t *)s, strlen(s));
}

Console *text_console_new(const char *label, unsigned cols, unsigned rows, TextInputFn *input, void *opaque, GError **err)
{
    TextConsole *t;

    if (!load_font(err)) {
        return NULL;
    }
    t = g_new0(TextConsole, 1);
    t->input = input;
    t->opaque = opaque;
    t->vt.reply = reply;
    t->vt.opaque = t;
    vt_init(&t->vt, cols ? cols : 80, rows ? rows : 24);
    t->shown = g_new(VtCell, t->vt.cols * t->vt.rows);
    t->con = console_new_kind(&text_ops, t, true);
    t->con->label = g_strdup(label);
    console_resize(t->con, t->vt.cols * CELL_W, t->vt.rows * CELL_H);
    if (label) {
        g_autofree char *title = g_strdup_printf("\033[44m%s console\033[0m\r\n", label);

        vt_write(&t->vt, (const uint8_t *)title, strlen(title));
    }
    text_invalidate(t);
    return t->con;
}

void text_console_free(Console *con)
{
    TextConsole *t = con->opaque;

    console_free(con);
    vt_fini(&t->vt);
    g_free(t->shown);
    g_free(t);
}

void text_console_write(Console *con, const uint8_t *bytes, int len)
{
    TextConsole *t = con->opaque;

    vt_write(&t->vt, bytes, len);
    console_kick(con);
}

void text_console_type(Console *con, const char *utf8)
{
    if (con->text) {
        reply(con->opaque, utf8);
    }
}

static const char *key_text(QKeyCode key)
{
    switch (key) {
    case QKEY_RET: case QKEY_KP_ENTER:
        return "\r";
    case QKEY_BACKSPACE:
        return "\177";
    case QKEY_TAB:
        return "\t";
    case QKEY_ESC:
        return "\033";
    case QKEY_UP:
        return "\033[A";
    case QKEY_DOWN:
        return "\033[B";
    case QKEY_RIGHT:
        return "\033[C";
    case QKEY_LEFT:
        return "\033[D";
    case QKEY_HOME:
        return "\033[1~";
    case QKEY_INSERT:
        return "\033[2~";
    case QKEY_DELETE:
        return "\033[3~";
    case QKEY_END:
        return "\033[4~";
    case QKEY_PGUP:
        return "\033[5~";
    case QKEY_PGDN:
        return "\033[6~";
    default:
        return NULL;
    }
}

static bool scroll_key(TextConsole *t, QKeyCode key)
{
    int page = t->vt.rows / 2;

    switch (key) {
    case QKEY_UP:
        vt_scroll_back(&t->vt, 1);
        break;
    case QKEY_DOWN:
        vt_scroll_back(&t->vt, -1);
        break;
    case QKEY_PGUP:
        vt_scroll_back(&t->vt, page);
        break;
    case QKEY_PGDN:
        vt_scroll_back(&t->vt, -page);
        break;
    default:
        return false;
    }
    console_kick(t->con);
    return true;
}

void text_console_key(Console *con, QKeyCode key, bool ctrl)
{
    const char *name, *s = key_text(key);

    if (!con->text || key <= QKEY_UNMAPPED || key >= QKEY_COUNT) {
        return;
    }
    if (ctrl) {
        name = key_codes[key].name;
        if (scroll_key(con->opaque, key)) {
            return;
        }
        if (name[0] >= 'a' && name[0] <= 'z' && !name[1]) {
            reply(con->opaque, (char[]){ name[0] & 0x1f, 0 });
            return;
        }
    }
    if (s) {
        reply(con->opaque, s);
    }
}
