/* Keyboard layouts: QEMU's names of them, the built-in US layout, look-ups. */
#include "ui/layout.h"
#include "util/error.h"
#include "util/module.h"
#include <string.h>

#define UNICODE_KEYSYM 0x01000000u      /* + the code point */

/* QEMU's names, and what xkb calls the layout. */
static const struct { const char *name, *layout, *variant, *model; } names[] = {
    { "ar", "ara" }, { "bepo", "fr", "bepo" }, { "cz", "cz" }, { "da", "dk" }, { "de", "de", "nodeadkeys" }, { "de-ch", "ch" },
    { "en-gb", "gb" }, { "en-us", "us" }, { "es", "es" }, { "et", "ee" }, { "fi", "fi" }, { "fo", "fo" },
    { "fr", "fr", "nodeadkeys" }, { "fr-be", "be" }, { "fr-ca", "ca", "fr" }, { "fr-ch", "ch", "fr" }, { "hr", "hr" }, { "hu", "hu" },
    { "is", "is" }, { "it", "it" }, { "ja", "jp", NULL, "jp106" }, { "lt", "lt" }, { "lv", "lv" }, { "mk", "mk" }, { "nl", "nl" },
    { "no", "no" }, { "pl", "pl" }, { "pt", "pt" }, { "pt-br", "br" }, { "ru", "ru" }, { "sl", "si" }, { "sv", "se" }, { "th", "th" },
    { "tr", "tr" },
};

/* From 0x20 on: the key of a US keyboard that makes the character, with or without Shift. */
static const uint8_t ascii[95] = {
    QKEY_SPC, QKEY_1, QKEY_APOSTROPHE, QKEY_3, QKEY_4, QKEY_5, QKEY_7, QKEY_APOSTROPHE,
    QKEY_9, QKEY_0, QKEY_8, QKEY_EQUAL, QKEY_COMMA, QKEY_MINUS, QKEY_DOT, QKEY_SLASH,
    QKEY_0, QKEY_1, QKEY_2, QKEY_3, QKEY_4, QKEY_5, QKEY_6, QKEY_7, QKEY_8, QKEY_9, QKEY_SEMICOLON, QKEY_SEMICOLON,
    QKEY_COMMA, QKEY_EQUAL, QKEY_DOT, QKEY_SLASH, QKEY_2,
    QKEY_A, QKEY_B, QKEY_C, QKEY_D, QKEY_E, QKEY_F, QKEY_G, QKEY_H, QKEY_I, QKEY_J, QKEY_K, QKEY_L, QKEY_M,
    QKEY_N, QKEY_O, QKEY_P, QKEY_Q, QKEY_R, QKEY_S, QKEY_T, QKEY_U, QKEY_V, QKEY_W, QKEY_X, QKEY_Y, QKEY_Z,
    QKEY_BRACKET_LEFT, QKEY_BACKSLASH, QKEY_BRACKET_RIGHT, QKEY_6, QKEY_MINUS, QKEY_GRAVE_ACCENT,
    QKEY_A, QKEY_B, QKEY_C, QKEY_D, QKEY_E, QKEY_F, QKEY_G, QKEY_H, QKEY_I, QKEY_J, QKEY_K, QKEY_L, QKEY_M,
    QKEY_N, QKEY_O, QKEY_P, QKEY_Q, QKEY_R, QKEY_S, QKEY_T, QKEY_U, QKEY_V, QKEY_W, QKEY_X, QKEY_Y, QKEY_Z,
    QKEY_BRACKET_LEFT, QKEY_BACKSLASH, QKEY_BRACKET_RIGHT, QKEY_GRAVE_ACCENT,
};
#define SHIFTED "!\"#$%&()*+:<>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ^_{|}~"

/* What every keyboard has. */
static const struct { uint16_t keysym, key; } others[] = {
    { 0xff08, QKEY_BACKSPACE }, { 0xff09, QKEY_TAB }, { 0xfe20, QKEY_TAB }, { 0xff0a, QKEY_LF }, { 0xff0d, QKEY_RET },
    { 0xff13, QKEY_PAUSE }, { 0xff14, QKEY_SCROLL_LOCK }, { 0xff15, QKEY_SYSRQ }, { 0xff1b, QKEY_ESC },
    { 0xff20, QKEY_COMPOSE }, { 0xff22, QKEY_MUHENKAN }, { 0xff23, QKEY_HENKAN }, { 0xff27, QKEY_KATAKANAHIRAGANA },
    { 0xff50, QKEY_HOME }, { 0xff51, QKEY_LEFT }, { 0xff52, QKEY_UP }, { 0xff53, QKEY_RIGHT }, { 0xff54, QKEY_DOWN },
    { 0xff55, QKEY_PGUP }, { 0xff56, QKEY_PGDN }, { 0xff57, QKEY_END }, { 0xff61, QKEY_PRINT }, { 0xff63, QKEY_INSERT },
    { 0xff65, QKEY_UNDO }, { 0xff66, QKEY_AGAIN }, { 0xff67, QKEY_COMPOSE }, { 0xff68, QKEY_FIND }, { 0xff69, QKEY_STOP },
    { 0xff6a, QKEY_HELP }, { 0xff6b, QKEY_PAUSE }, { 0xff7e, QKEY_ALT_R }, { 0xff7f, QKEY_NUM_LOCK },
    { 0xff8d, QKEY_KP_ENTER }, { 0xff95, QKEY_KP_7 }, { 0xff96, QKEY_KP_4 }, { 0xff97, QKEY_KP_8 }, { 0xff98, QKEY_KP_6 },
    { 0xff99, QKEY_KP_2 }, { 0xff9a, QKEY_KP_9 }, { 0xff9b, QKEY_KP_3 }, { 0xff9c, QKEY_KP_1 }, { 0xff9d, QKEY_KP_5 },
    { 0xff9e, QKEY_KP_0 }, { 0xff9f, QKEY_KP_DECIMAL }, { 0xffaa, QKEY_KP_MULTIPLY }, { 0xffab, QKEY_KP_ADD },
    { 0xffac, QKEY_KP_COMMA }, { 0xffad, QKEY_KP_SUBTRACT }, { 0xffae, QKEY_KP_DECIMAL }, { 0xffaf, QKEY_KP_DIVIDE },
    { 0xffbd, QKEY_KP_EQUALS }, { 0xffbe, QKEY_F1 }, { 0xffbf, QKEY_F2 }, { 0xffc0, QKEY_F3 }, { 0xffc1, QKEY_F4 },
    { 0xffc2, QKEY_F5 }, { 0xffc3, QKEY_F6 }, { 0xffc4, QKEY_F7 }, { 0xffc5, QKEY_F8 }, { 0xffc6, QKEY_F9 },
    { 0xffc7, QKEY_F10 }, { 0xffc8, QKEY_F11 }, { 0xffc9, QKEY_F12 }, { 0xffe1, QKEY_SHIFT }, { 0xffe2, QKEY_SHIFT_R },
    { 0xffe3, QKEY_CTRL }, { 0xffe4, QKEY_CTRL_R }, { 0xffe5, QKEY_CAPS_LOCK }, { 0xffe7, QKEY_META_L },
    { 0xffe8, QKEY_META_R }, { 0xffe9, QKEY_ALT }, { 0xffea, QKEY_ALT_R }, { 0xffeb, QKEY_META_L }, { 0xffec, QKEY_META_R },
    { 0xfe03, QKEY_ALT_R }, { 0xffff, QKEY_DELETE },
};

static GArray *table;           /* LayoutKey, by keysym */
static GArray *chars;           /* LayoutKey, by character, the fewest modifiers first */
static bool selected;

static void add(GArray *a, uint32_t keysym, uint32_t unicode, QKeyCode key, unsigned mods)
{
    g_array_append_val(a, ((LayoutKey){ keysym, unicode, key, mods }));
}

/* The keys beside those with characters. */
static void add_others(GArray *a)
{
    static const uint8_t digits[10] = { QKEY_KP_0, QKEY_KP_1, QKEY_KP_2, QKEY_KP_3, QKEY_KP_4, QKEY_KP_5, QKEY_KP_6, QKEY_KP_7,
                                        QKEY_KP_8, QKEY_KP_9 };

    for (unsigned i = 0; i < G_N_ELEMENTS(others); i++) {
        add(a, others[i].keysym, 0, others[i].key, 0);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(digits); i++) {
        add(a, 0xffb0 + i, 0, digits[i], LAYOUT_NUM);
    }
}

static GArray *us_layout(void)
{
    GArray *a = g_array_new(false, true, sizeof(LayoutKey));

    for (unsigned i = 0; i < G_N_ELEMENTS(ascii); i++) {
        add(a, 0x20 + i, 0x20 + i, ascii[i], strchr(SHIFTED, 0x20 + i) ? LAYOUT_SHIFT : 0);
    }
    return a;
}

static gint by_keysym(gconstpointer a, gconstpointer b)
{
    const LayoutKey *x = a, *y = b;

    return (x->keysym > y->keysym) - (x->keysym < y->keysym);
}

static gint by_char(gconstpointer a, gconstpointer b)
{
    const LayoutKey *x = a, *y = b;
    int n = (x->unicode > y->unicode) - (x->unicode < y->unicode);

    return n ? n : __builtin_popcount(x->mods) - __builtin_popcount(y->mods);
}

/* g_array_sort is no stable sort in every GLib. */
static void sort(GArray *a, GCompareFunc cmp)
{
    GList *l = NULL;
    g_autofree LayoutKey *copy = g_memdup2(a->data, a->len * sizeof *copy);
    guint n = a->len;

    for (guint i = n; i-- > 0; ) {
        l = g_list_prepend(l, &copy[i]);
    }
    l = g_list_sort(l, cmp);
    g_array_set_size(a, 0);
    for (GList *i = l; i; i = i->next) {
        g_array_append_vals(a, i->data, 1);
    }
    g_list_free(l);
}

void layout_use(GArray *keys)
{
    g_clear_pointer(&table, g_array_unref);
    g_clear_pointer(&chars, g_array_unref);
    table = keys;
    add_others(table);
    chars = g_array_new(false, true, sizeof(LayoutKey));
    for (guint i = 0; i < table->len; i++) {
        const LayoutKey *k = &g_array_index(table, LayoutKey, i);

        if (k->unicode) {
            g_array_append_vals(chars, k, 1);
        }
    }
    sort(table, by_keysym);
    sort(chars, by_char);
}

static bool no_layout(GError **err)
{
    g_autoptr(GString) s = g_string_new("there is no such keyboard layout; there are");

    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        g_string_append_printf(s, " %s", names[i].name);
    }
    return error_set(err, "%s", s->str);
}

bool layout_select(const char *name, GError **err)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        const LayoutModule *mod;
        GArray *keys;

        if (strcmp(names[i].name, name)) {
            continue;
        }
        mod = module_load("ui-xkb", LAYOUT_MODULE_SYMBOL, err);
        keys = mod ? mod->load(names[i].model ? names[i].model : "pc105", names[i].layout, names[i].variant, err) : NULL;
        if (!keys) {
            return false;
        }
        layout_use(keys);
        selected = true;
        return true;
    }
    return no_layout(err);
}

bool layout_selected(void) { return selected; }

/* The first entry for which cmp says no less than 0. */
static guint lower_bound(const GArray *a, const LayoutKey *what, GCompareFunc cmp)
{
    guint from = 0, to = a->len;

    while (from < to) {
        guint mid = from + (to - from) / 2;

        if (cmp(&g_array_index(a, LayoutKey, mid), what) < 0) {
            from = mid + 1;
        } else {
            to = mid;
        }
    }
    return from;
}

const LayoutKey *layout_find_char(uint32_t unicode)
{
    const LayoutKey what = { .unicode = unicode };
    guint i;

    if (!table) {
        layout_use(us_layout());
    }
    i = lower_bound(chars, &what, by_char);
    return unicode && i < chars->len && g_array_index(chars, LayoutKey, i).unicode == unicode ? &g_array_index(chars, LayoutKey, i)
                                                                                              : NULL;
}

static uint32_t unicode_of(uint32_t keysym)
{
    if (keysym >= UNICODE_KEYSYM) {
        return keysym - UNICODE_KEYSYM;
    }
    return (keysym >= 0x20 && keysym < 0x7f) || (keysym >= 0xa0 && keysym <= 0xff) ? keysym : 0;
}

const LayoutKey *layout_find(uint32_t keysym, unsigned mods, const bool *down)
{
    const LayoutKey what = { .keysym = keysym };
    const LayoutKey *first = NULL;
    guint i;

    if (!table) {
        layout_use(us_layout());
    }
    for (i = lower_bound(table, &what, by_keysym); i < table->len; i++) {
        const LayoutKey *k = &g_array_index(table, LayoutKey, i);

        if (k->keysym != keysym) {
            break;
        }
        if (down ? down[k->key] : ((k->mods ^ mods) & (LAYOUT_SHIFT | LAYOUT_ALTGR | LAYOUT_CTRL)) == 0) {
            return k;
        }
        first = first ? first : k;
    }
    return first ? first : layout_find_char(unicode_of(keysym));
}
