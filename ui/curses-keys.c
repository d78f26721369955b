/* The terminal's keyboard: characters and ncurses' key codes become keys with modifiers. */
#include "ui/curses-int.h"
#include <curses.h>

#define HOLD_MS 10              /* of guest time between the changes of keys */
#define ESC 27

static const struct { int code; uint8_t key, mods; } keys[] = {
    { KEY_UP, QKEY_UP, 0 }, { KEY_DOWN, QKEY_DOWN, 0 }, { KEY_LEFT, QKEY_LEFT, 0 }, { KEY_RIGHT, QKEY_RIGHT, 0 },
    { KEY_HOME, QKEY_HOME, 0 }, { KEY_END, QKEY_END, 0 }, { KEY_PPAGE, QKEY_PGUP, 0 }, { KEY_NPAGE, QKEY_PGDN, 0 },
    { KEY_IC, QKEY_INSERT, 0 }, { KEY_DC, QKEY_DELETE, 0 }, { KEY_BACKSPACE, QKEY_BACKSPACE, 0 }, { KEY_ENTER, QKEY_KP_ENTER, 0 },
    { KEY_FIND, QKEY_HOME, 0 }, { KEY_SELECT, QKEY_END, 0 }, { KEY_PRINT, QKEY_PRINT, 0 }, { KEY_B2, QKEY_KP_5, 0 },
    { KEY_A1, QKEY_KP_7, 0 }, { KEY_A3, QKEY_KP_9, 0 }, { KEY_C1, QKEY_KP_1, 0 }, { KEY_C3, QKEY_KP_3, 0 },
    { KEY_BTAB, QKEY_TAB, LAYOUT_SHIFT }, { KEY_SR, QKEY_UP, LAYOUT_SHIFT }, { KEY_SF, QKEY_DOWN, LAYOUT_SHIFT },
    { KEY_SLEFT, QKEY_LEFT, LAYOUT_SHIFT }, { KEY_SRIGHT, QKEY_RIGHT, LAYOUT_SHIFT }, { KEY_SHOME, QKEY_HOME, LAYOUT_SHIFT },
    { KEY_SEND, QKEY_END, LAYOUT_SHIFT }, { KEY_SPREVIOUS, QKEY_PGUP, LAYOUT_SHIFT }, { KEY_SNEXT, QKEY_PGDN, LAYOUT_SHIFT },
    { KEY_SIC, QKEY_INSERT, LAYOUT_SHIFT }, { KEY_SDC, QKEY_DELETE, LAYOUT_SHIFT },
};

/* Keys with modifiers, as xterm and its kin send them: ESC [ 1 ; MODIFIERS FINAL, or ESC [ NUMBER ; MODIFIERS ~. They get codes of
 * our own, whether or not the terminal's description knows them. */
static const struct { uint8_t number; char final; uint8_t key; } modified[] = {
    { 1, 'A', QKEY_UP }, { 1, 'B', QKEY_DOWN }, { 1, 'C', QKEY_RIGHT }, { 1, 'D', QKEY_LEFT }, { 1, 'H', QKEY_HOME }, { 1, 'F', QKEY_END },
    { 1, 'P', QKEY_F1 }, { 1, 'Q', QKEY_F2 }, { 1, 'R', QKEY_F3 }, { 1, 'S', QKEY_F4 }, { 2, '~', QKEY_INSERT }, { 3, '~', QKEY_DELETE },
    { 5, '~', QKEY_PGUP }, { 6, '~', QKEY_PGDN }, { 15, '~', QKEY_F5 }, { 17, '~', QKEY_F6 }, { 18, '~', QKEY_F7 }, { 19, '~', QKEY_F8 },
    { 20, '~', QKEY_F9 }, { 21, '~', QKEY_F10 }, { 23, '~', QKEY_F11 }, { 24, '~', QKEY_F12 },
};
#define MODIFIED_BASE 0x2000        /* + 8 * row + Shift + 2 * Alt + 4 * Ctrl */

static const uint8_t fkeys[12] = { QKEY_F1, QKEY_F2, QKEY_F3, QKEY_F4, QKEY_F5, QKEY_F6, QKEY_F7, QKEY_F8, QKEY_F9, QKEY_F10, QKEY_F11,
                                   QKEY_F12 };

void strokes_init(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(modified); i++) {
        for (unsigned m = 1; m < 8; m++) {
            g_autofree char *seq = g_strdup_printf("\033[%u;%u%c", modified[i].number, m + 1, modified[i].final);

            define_key(seq, MODIFIED_BASE + 8 * i + m);
        }
    }
}

static unsigned mods_of(unsigned m)
{
    return (m & 1 ? LAYOUT_SHIFT : 0) | (m & 4 ? LAYOUT_CTRL : 0);
}

static void from_code(int code, Stroke *s)
{
    int f = code - KEY_F(1), m = code - MODIFIED_BASE;

    if (m >= 0 && m < 8 * (int)G_N_ELEMENTS(modified)) {
        s->key = modified[m / 8].key;
        s->mods = mods_of(m % 8);
        s->alt = s->alt || m & 2;
        return;
    }
    if (f >= 0 && f < 48) {         /* F13 to F24 are Shift+F1..., then Ctrl, then both */
        s->key = fkeys[f % 12];
        s->mods = (f / 12 & 1 ? LAYOUT_SHIFT : 0) | (f / 24 ? LAYOUT_CTRL : 0);
        return;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(keys); i++) {
        if (keys[i].code == code) {
            s->key = keys[i].key;
            s->mods = keys[i].mods;
            return;
        }
    }
}

static void from_char(uint32_t c, Stroke *s)
{
    static const uint8_t special[32] = { ['\b'] = QKEY_BACKSPACE, ['\t'] = QKEY_TAB, ['\r'] = QKEY_RET, [ESC] = QKEY_ESC };
    const LayoutKey *k;

    if (c == 0x7f || (c < 32 && special[c])) {
        s->key = c == 0x7f ? QKEY_BACKSPACE : special[c];
        return;
    }
    s->text = c < 32 ? g_unichar_tolower(c + 0x40) : c;     /* Ctrl with a letter, or with @ [ \ ] ^ _ */
    s->mods = c < 32 ? LAYOUT_CTRL : 0;
    k = layout_find_char(s->text);
    if (k) {
        s->key = k->key;
        s->mods |= k->mods & (LAYOUT_SHIFT | LAYOUT_ALTGR);
    }
}

static bool read_one(wint_t *c, int *kind)
{
    *kind = get_wch(c);
    return *kind != ERR;
}

bool strokes_read(Stroke *s)
{
    wint_t c;
    int kind;

    *s = (Stroke){ 0 };
    if (!read_one(&c, &kind)) {
        return false;
    }
    if (kind == OK && c == ESC) {
        s->alt = read_one(&c, &kind);
    }
    if (kind == KEY_CODE_YES) {
        from_code(c, s);
    } else {
        from_char(s->alt || kind == OK ? c : ESC, s);
    }
    return true;
}

void stroke_send(const Stroke *s, Console *con)
{
    QKeyCode down[5];
    unsigned n = 0;

    if (s->key == QKEY_UNMAPPED) {
        return;
    }
    if (s->mods & LAYOUT_SHIFT) {
        down[n++] = QKEY_SHIFT;
    }
    if (s->mods & LAYOUT_CTRL) {
        down[n++] = QKEY_CTRL;
    }
    if (s->alt) {
        down[n++] = QKEY_ALT;
    }
    if (s->mods & LAYOUT_ALTGR) {
        down[n++] = QKEY_ALT_R;
    }
    down[n++] = s->key;
    input_send_keys(down, n, HOLD_MS);
}
