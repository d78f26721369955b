/*
 * Keyboard layouts: from X keysyms and characters to keys, for whoever hears what was typed and not which key was hit
 * (VNC clients without extended keys, the terminal). The guest's system then reads the keys by the same layout.
 *
 * Without -k the layout is that of a US keyboard, and is built in; others come from libxkbcommon, through the module
 * vmemu-ui-xkb.so, which -k loads.
 *
 * All calls on the main thread, with the machine lock.
 */
#ifndef UI_LAYOUT_H
#define UI_LAYOUT_H
#include "ui/keymap.h"
#include <glib.h>

enum { LAYOUT_SHIFT = 1, LAYOUT_ALTGR = 2, LAYOUT_CTRL = 4, LAYOUT_NUM = 8 };

/* A key, and the modifiers with which it makes the keysym. */
typedef struct LayoutKey {
    uint32_t keysym;            /* X11/keysymdef.h */
    uint32_t unicode;           /* its character; 0: none */
    uint8_t key;                /* QKeyCode */
    uint8_t mods;
} LayoutKey;

/* -k NAME: QEMU's names ("de", "en-gb", ...). */
bool layout_select(const char *name, GError **err);
bool layout_selected(void);     /* there was a -k */
/* The key that makes keysym; several do: the one whose modifiers are those that are down (`mods`), or for a release
 * (`down` not NULL) one that is down[], else the first. NULL: no key. */
const LayoutKey *layout_find(uint32_t keysym, unsigned mods, const bool *down);
/* The same for a character; prefers the fewest modifiers. */
const LayoutKey *layout_find_char(uint32_t unicode);

/* ---- For vmemu-ui-xkb.so ---- */

typedef struct LayoutModule {
    /* xkb's names. LayoutKeys in any order: of equal keysyms the first comes first. NULL with err. */
    GArray *(*load)(const char *model, const char *layout, const char *variant, GError **err);
} LayoutModule;
#define LAYOUT_MODULE_SYMBOL "vmemu_layout_module"

/* For tests: takes the array. */
void layout_use(GArray *keys);
#endif
