/*
 * Key codes: QEMU's names of keys (QMP's QKeyCode, sendkey) and what the key sends on each kind of keyboard.
 */
#ifndef UI_KEYMAP_H
#define UI_KEYMAP_H
#include <stdbool.h>
#include <stdint.h>

/* In the order of QMP's QKeyCode; the place of a key on a US keyboard, not what is printed on it. */
typedef enum QKeyCode {
    QKEY_UNMAPPED, QKEY_SHIFT, QKEY_SHIFT_R, QKEY_ALT, QKEY_ALT_R, QKEY_CTRL, QKEY_CTRL_R, QKEY_MENU,
    QKEY_ESC, QKEY_1, QKEY_2, QKEY_3, QKEY_4, QKEY_5, QKEY_6, QKEY_7, QKEY_8, QKEY_9, QKEY_0, QKEY_MINUS,
    QKEY_EQUAL, QKEY_BACKSPACE, QKEY_TAB, QKEY_Q, QKEY_W, QKEY_E, QKEY_R, QKEY_T, QKEY_Y, QKEY_U, QKEY_I,
    QKEY_O, QKEY_P, QKEY_BRACKET_LEFT, QKEY_BRACKET_RIGHT, QKEY_RET, QKEY_A, QKEY_S, QKEY_D, QKEY_F, QKEY_G,
    QKEY_H, QKEY_J, QKEY_K, QKEY_L, QKEY_SEMICOLON, QKEY_APOSTROPHE, QKEY_GRAVE_ACCENT, QKEY_BACKSLASH,
    QKEY_Z, QKEY_X, QKEY_C, QKEY_V, QKEY_B, QKEY_N, QKEY_M, QKEY_COMMA, QKEY_DOT, QKEY_SLASH, QKEY_ASTERISK,
    QKEY_SPC, QKEY_CAPS_LOCK, QKEY_F1, QKEY_F2, QKEY_F3, QKEY_F4, QKEY_F5, QKEY_F6, QKEY_F7, QKEY_F8,
    QKEY_F9, QKEY_F10, QKEY_NUM_LOCK, QKEY_SCROLL_LOCK, QKEY_KP_DIVIDE, QKEY_KP_MULTIPLY, QKEY_KP_SUBTRACT,
    QKEY_KP_ADD, QKEY_KP_ENTER, QKEY_KP_DECIMAL, QKEY_SYSRQ, QKEY_KP_0, QKEY_KP_1, QKEY_KP_2, QKEY_KP_3,
    QKEY_KP_4, QKEY_KP_5, QKEY_KP_6, QKEY_KP_7, QKEY_KP_8, QKEY_KP_9, QKEY_LESS, QKEY_F11, QKEY_F12,
    QKEY_PRINT, QKEY_HOME, QKEY_PGUP, QKEY_PGDN, QKEY_END, QKEY_LEFT, QKEY_UP, QKEY_DOWN, QKEY_RIGHT,
    QKEY_INSERT, QKEY_DELETE, QKEY_STOP, QKEY_AGAIN, QKEY_PROPS, QKEY_UNDO, QKEY_FRONT, QKEY_COPY, QKEY_OPEN,
    QKEY_PASTE, QKEY_FIND, QKEY_CUT, QKEY_LF, QKEY_HELP, QKEY_META_L, QKEY_META_R, QKEY_COMPOSE, QKEY_PAUSE,
    QKEY_RO, QKEY_HIRAGANA, QKEY_HENKAN, QKEY_YEN, QKEY_MUHENKAN, QKEY_KATAKANAHIRAGANA, QKEY_KP_COMMA,
    QKEY_KP_EQUALS, QKEY_POWER, QKEY_SLEEP, QKEY_WAKE, QKEY_AUDIONEXT, QKEY_AUDIOPREV, QKEY_AUDIOSTOP,
    QKEY_AUDIOPLAY, QKEY_AUDIOMUTE, QKEY_VOLUMEUP, QKEY_VOLUMEDOWN, QKEY_MEDIASELECT, QKEY_MAIL,
    QKEY_CALCULATOR, QKEY_COMPUTER, QKEY_AC_HOME, QKEY_AC_BACK, QKEY_AC_FORWARD, QKEY_AC_REFRESH,
    QKEY_AC_BOOKMARKS, QKEY_LANG1, QKEY_LANG2, QKEY_COUNT
} QKeyCode;

typedef struct KeyCodes {
    const char *name;       /* "ret" */
    uint8_t number;         /* key number of the monitor and of VNC: AT set 1, with bit 7 for the E0 prefix; 0: none */
    uint16_t set2;          /* AT set 2; 0xe0NN with the E0 prefix; 0: the keyboard has no such key */
    uint8_t set3;           /* AT set 3, no prefixes; 0: none */
    uint8_t hid;            /* usage of USB's keyboard page (and SDL's scancode); 0: none */
} KeyCodes;

/*
 * Four keys send more than their code; the PS/2 keyboard adds that (make / break):
 *   print, sysrq   set 1: E0 2A E0 37 / E0 B7 E0 AA     set 2: E0 12 E0 7C / E0 F0 7C E0 F0 12
 *   print, with either Alt down: set 1: 54 / D4         set 2: 84 / F0 84
 *   pause          set 1: E1 1D 45 E1 9D C5 / nothing   set 2: E1 14 77 E1 F0 14 F0 77 / nothing
 *   open, lf       have no E0 prefix in set 1: that is number < 0x80, as for every key
 */
extern const KeyCodes key_codes[QKEY_COUNT];

QKeyCode key_from_name(const char *name);       /* QKEY_UNMAPPED: no such key */
QKeyCode key_from_number(unsigned number);      /* also 0xe0NN; "kp_multiply" for 0x37, "sysrq" for 0x54 */
QKeyCode key_from_hid(unsigned usage);
/* The byte(s) of set 1 for a key number: 0xe0NN where bit 7 is set. */
static inline uint16_t key_set1(const KeyCodes *k) { return k->number & 0x80 ? 0xe000 | (k->number & 0x7f) : k->number; }
#endif
