/*
 * Keyboard layouts from libxkbcommon and the system's xkb-data: each key of the keyboard (an evdev code) with each set of
 * modifiers that counts, and the keysym that it makes. A module: -k loads it.
 */
#include "ui/layout.h"
#include "util/error.h"
#include <linux/input-event-codes.h>
#include <xkbcommon/xkbcommon.h>

#define XKB_OFFSET 8            /* between evdev's codes and xkb's */

/* evdev's codes up to 88 are AT set 1's; what follows has E0 codes there, or comes from Japanese keyboards. */
static const struct { uint8_t evdev, key; } extended[] = {
    { KEY_RO, QKEY_RO }, { KEY_KATAKANAHIRAGANA, QKEY_KATAKANAHIRAGANA }, { KEY_HENKAN, QKEY_HENKAN }, { KEY_MUHENKAN, QKEY_MUHENKAN },
    { KEY_HIRAGANA, QKEY_HIRAGANA }, { KEY_KPENTER, QKEY_KP_ENTER }, { KEY_RIGHTCTRL, QKEY_CTRL_R }, { KEY_KPSLASH, QKEY_KP_DIVIDE },
    { KEY_SYSRQ, QKEY_SYSRQ }, { KEY_RIGHTALT, QKEY_ALT_R }, { KEY_HOME, QKEY_HOME }, { KEY_UP, QKEY_UP }, { KEY_PAGEUP, QKEY_PGUP },
    { KEY_LEFT, QKEY_LEFT }, { KEY_RIGHT, QKEY_RIGHT }, { KEY_END, QKEY_END }, { KEY_DOWN, QKEY_DOWN }, { KEY_PAGEDOWN, QKEY_PGDN },
    { KEY_INSERT, QKEY_INSERT }, { KEY_DELETE, QKEY_DELETE }, { KEY_KPEQUAL, QKEY_KP_EQUALS }, { KEY_PAUSE, QKEY_PAUSE },
    { KEY_KPCOMMA, QKEY_KP_COMMA }, { KEY_HANGEUL, QKEY_LANG1 }, { KEY_HANJA, QKEY_LANG2 }, { KEY_YEN, QKEY_YEN },
    { KEY_LEFTMETA, QKEY_META_L }, { KEY_RIGHTMETA, QKEY_META_R }, { KEY_COMPOSE, QKEY_COMPOSE },
};

static QKeyCode key_of(xkb_keycode_t code)
{
    unsigned evdev = code - XKB_OFFSET;

    for (unsigned i = 0; i < G_N_ELEMENTS(extended); i++) {
        if (extended[i].evdev == evdev) {
            return extended[i].key;
        }
    }
    /* xkb has a key of its own at 84, which is nowhere on a keyboard. */
    return evdev > 0 && evdev <= KEY_F12 && evdev != 84 && evdev != KEY_ZENKAKUHANKAKU ? key_from_number(evdev) : QKEY_UNMAPPED;
}

typedef struct Walk {
    struct xkb_state *state;
    xkb_mod_mask_t shift, altgr, num;
    GArray *keys;
} Walk;

static xkb_mod_mask_t mod_mask(struct xkb_keymap *map, const char *name)
{
    xkb_mod_index_t i = xkb_keymap_mod_get_index(map, name);

    return i == XKB_MOD_INVALID || i >= 32 ? 0 : 1u << i;
}

static xkb_keysym_t sym_with(const Walk *w, xkb_keycode_t code, unsigned mods)
{
    xkb_mod_mask_t mask = (mods & LAYOUT_SHIFT ? w->shift : 0) | (mods & LAYOUT_ALTGR ? w->altgr : 0) | (mods & LAYOUT_NUM ? w->num : 0);

    xkb_state_update_mask(w->state, mask, 0, 0, 0, 0, 0);
    return xkb_state_key_get_one_sym(w->state, code);
}

static void each_key(struct xkb_keymap *map, xkb_keycode_t code, void *opaque)
{
    static const unsigned mods[] = { 0, LAYOUT_NUM, LAYOUT_SHIFT, LAYOUT_ALTGR, LAYOUT_SHIFT | LAYOUT_ALTGR };
    Walk *w = opaque;
    xkb_keysym_t base = sym_with(w, code, 0);
    QKeyCode key = key_of(code);

    if (key == QKEY_UNMAPPED) {
        return;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(mods); i++) {
        LayoutKey k = { .keysym = sym_with(w, code, mods[i]), .key = key, .mods = mods[i] };

        if (k.keysym != XKB_KEY_NoSymbol && (mods[i] != LAYOUT_NUM || k.keysym != base)) {
            k.unicode = xkb_keysym_to_utf32(k.keysym);
            /* A character is not to be looked for on the keypad, or among Enter and the like. */
            k.unicode = k.unicode >= 0x20 && k.keysym >> 8 != 0xff ? k.unicode : 0;
            g_array_append_val(w->keys, k);
        }
    }
}

static void be_quiet(struct xkb_context *c, enum xkb_log_level level, const char *format, va_list args)
{
}

static GArray *xkb_load(const char *model, const char *layout, const char *variant, GError **err)
{
    struct xkb_rule_names names = { .rules = "evdev", .model = model, .layout = layout, .variant = variant, .options = "" };
    struct xkb_context *c = xkb_context_new(XKB_CONTEXT_NO_ENVIRONMENT_NAMES);
    struct xkb_keymap *map;
    Walk w = { .keys = NULL };

    if (c) {
        xkb_context_set_log_fn(c, be_quiet);
    }
    map = c ? xkb_keymap_new_from_names(c, &names, XKB_KEYMAP_COMPILE_NO_FLAGS) : NULL;
    if (map && (w.state = xkb_state_new(map))) {
        w.shift = mod_mask(map, "Shift");
        w.altgr = mod_mask(map, "Mod5");
        w.num = mod_mask(map, "Mod2");
        w.keys = g_array_new(false, true, sizeof(LayoutKey));
        xkb_keymap_key_for_each(map, each_key, &w);
        xkb_state_unref(w.state);
    } else {
        error_set(err, "no layout '%s%s%s' in the X keyboard data: install xkb-data", layout, variant ? "," : "", variant ? variant : "");
    }
    xkb_keymap_unref(map);
    xkb_context_unref(c);
    return w.keys;
}

extern const LayoutModule vmemu_layout_module;
const LayoutModule vmemu_layout_module = { .load = xkb_load };
