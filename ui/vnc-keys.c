/* X keysyms (X11/keysymdef.h's values) to keys of a US keyboard. */
#include "ui/vnc-int.h"

/* From 0x20 on: the key that makes the character, with or without Shift. */
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

static const uint8_t keypad_digits[10] = { QKEY_KP_0, QKEY_KP_1, QKEY_KP_2, QKEY_KP_3, QKEY_KP_4, QKEY_KP_5, QKEY_KP_6,
                                           QKEY_KP_7, QKEY_KP_8, QKEY_KP_9 };

QKeyCode vnc_key_of(uint32_t keysym)
{
    if (keysym >= 0x20 && keysym < 0x7f)
        return ascii[keysym - 0x20];
    if (keysym >= 0xffb0 && keysym <= 0xffb9)
        return keypad_digits[keysym - 0xffb0];
    for (unsigned i = 0; i < G_N_ELEMENTS(others); i++) {
        if (others[i].keysym == keysym)
            return others[i].key;
    }
    return QKEY_UNMAPPED;
}

bool vnc_text_of(uint32_t keysym, char text[8])
{
    gunichar c = keysym & 0xff000000 ? keysym & 0xffffff : keysym;

    if ((keysym & 0xff000000) > 0x01000000 || (!(keysym & 0xff000000) && keysym > 0xff) || !g_unichar_validate(c) ||
        !g_unichar_isprint(c))
        return false;
    text[g_unichar_to_utf8(c, text)] = 0;
    return true;
}
