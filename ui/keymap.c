/*
 * The table of keys. Columns: see keymap.h. The scan codes are those of the IBM/Microsoft keyboard scan code
 * specification, with the Sun and multimedia keys where QEMU's keyboard sends them.
 */
#include "ui/keymap.h"
#include <stddef.h>
#include <string.h>

const KeyCodes key_codes[QKEY_COUNT] = {
    [QKEY_UNMAPPED] =        { "unmapped",          0x00, 0x0000, 0x00, 0x00 },
    [QKEY_SHIFT] =           { "shift",             0x2a, 0x0012, 0x12, 0xe1 },
    [QKEY_SHIFT_R] =         { "shift_r",           0x36, 0x0059, 0x59, 0xe5 },
    [QKEY_ALT] =             { "alt",               0x38, 0x0011, 0x19, 0xe2 },
    [QKEY_ALT_R] =           { "alt_r",             0xb8, 0xe011, 0x39, 0xe6 },
    [QKEY_CTRL] =            { "ctrl",              0x1d, 0x0014, 0x11, 0xe0 },
    [QKEY_CTRL_R] =          { "ctrl_r",            0x9d, 0xe014, 0x58, 0xe4 },
    [QKEY_MENU] =            { "menu",              0x9e, 0x0000, 0x91, 0x76 },
    [QKEY_ESC] =             { "esc",               0x01, 0x0076, 0x08, 0x29 },
    [QKEY_1] =               { "1",                 0x02, 0x0016, 0x16, 0x1e },
    [QKEY_2] =               { "2",                 0x03, 0x001e, 0x1e, 0x1f },
    [QKEY_3] =               { "3",                 0x04, 0x0026, 0x26, 0x20 },
    [QKEY_4] =               { "4",                 0x05, 0x0025, 0x25, 0x21 },
    [QKEY_5] =               { "5",                 0x06, 0x002e, 0x2e, 0x22 },
    [QKEY_6] =               { "6",                 0x07, 0x0036, 0x36, 0x23 },
    [QKEY_7] =               { "7",                 0x08, 0x003d, 0x3d, 0x24 },
    [QKEY_8] =               { "8",                 0x09, 0x003e, 0x3e, 0x25 },
    [QKEY_9] =               { "9",                 0x0a, 0x0046, 0x46, 0x26 },
    [QKEY_0] =               { "0",                 0x0b, 0x0045, 0x45, 0x27 },
    [QKEY_MINUS] =           { "minus",             0x0c, 0x004e, 0x4e, 0x2d },
    [QKEY_EQUAL] =           { "equal",             0x0d, 0x0055, 0x55, 0x2e },
    [QKEY_BACKSPACE] =       { "backspace",         0x0e, 0x0066, 0x66, 0x2a },
    [QKEY_TAB] =             { "tab",               0x0f, 0x000d, 0x0d, 0x2b },
    [QKEY_Q] =               { "q",                 0x10, 0x0015, 0x15, 0x14 },
    [QKEY_W] =               { "w",                 0x11, 0x001d, 0x1d, 0x1a },
    [QKEY_E] =               { "e",                 0x12, 0x0024, 0x24, 0x08 },
    [QKEY_R] =               { "r",                 0x13, 0x002d, 0x2d, 0x15 },
    [QKEY_T] =               { "t",                 0x14, 0x002c, 0x2c, 0x17 },
    [QKEY_Y] =               { "y",                 0x15, 0x0035, 0x35, 0x1c },
    [QKEY_U] =               { "u",                 0x16, 0x003c, 0x3c, 0x18 },
    [QKEY_I] =               { "i",                 0x17, 0x0043, 0x43, 0x0c },
    [QKEY_O] =               { "o",                 0x18, 0x0044, 0x44, 0x12 },
    [QKEY_P] =               { "p",                 0x19, 0x004d, 0x4d, 0x13 },
    [QKEY_BRACKET_LEFT] =    { "bracket_left",      0x1a, 0x0054, 0x54, 0x2f },
    [QKEY_BRACKET_RIGHT] =   { "bracket_right",     0x1b, 0x005b, 0x5b, 0x30 },
    [QKEY_RET] =             { "ret",               0x1c, 0x005a, 0x5a, 0x28 },
    [QKEY_A] =               { "a",                 0x1e, 0x001c, 0x1c, 0x04 },
    [QKEY_S] =               { "s",                 0x1f, 0x001b, 0x1b, 0x16 },
    [QKEY_D] =               { "d",                 0x20, 0x0023, 0x23, 0x07 },
    [QKEY_F] =               { "f",                 0x21, 0x002b, 0x2b, 0x09 },
    [QKEY_G] =               { "g",                 0x22, 0x0034, 0x34, 0x0a },
    [QKEY_H] =               { "h",                 0x23, 0x0033, 0x33, 0x0b },
    [QKEY_J] =               { "j",                 0x24, 0x003b, 0x3b, 0x0d },
    [QKEY_K] =               { "k",                 0x25, 0x0042, 0x42, 0x0e },
    [QKEY_L] =               { "l",                 0x26, 0x004b, 0x4b, 0x0f },
    [QKEY_SEMICOLON] =       { "semicolon",         0x27, 0x004c, 0x4c, 0x33 },
    [QKEY_APOSTROPHE] =      { "apostrophe",        0x28, 0x0052, 0x52, 0x34 },
    [QKEY_GRAVE_ACCENT] =    { "grave_accent",      0x29, 0x000e, 0x0e, 0x35 },
    [QKEY_BACKSLASH] =       { "backslash",         0x2b, 0x005d, 0x5c, 0x31 },
    [QKEY_Z] =               { "z",                 0x2c, 0x001a, 0x1a, 0x1d },
    [QKEY_X] =               { "x",                 0x2d, 0x0022, 0x22, 0x1b },
    [QKEY_C] =               { "c",                 0x2e, 0x0021, 0x21, 0x06 },
    [QKEY_V] =               { "v",                 0x2f, 0x002a, 0x2a, 0x19 },
    [QKEY_B] =               { "b",                 0x30, 0x0032, 0x32, 0x05 },
    [QKEY_N] =               { "n",                 0x31, 0x0031, 0x31, 0x11 },
    [QKEY_M] =               { "m",                 0x32, 0x003a, 0x3a, 0x10 },
    [QKEY_COMMA] =           { "comma",             0x33, 0x0041, 0x41, 0x36 },
    [QKEY_DOT] =             { "dot",               0x34, 0x0049, 0x49, 0x37 },
    [QKEY_SLASH] =           { "slash",             0x35, 0x004a, 0x4a, 0x38 },
    [QKEY_ASTERISK] =        { "asterisk",          0x37, 0x007c, 0x7e, 0x00 },
    [QKEY_SPC] =             { "spc",               0x39, 0x0029, 0x29, 0x2c },
    [QKEY_CAPS_LOCK] =       { "caps_lock",         0x3a, 0x0058, 0x14, 0x39 },
    [QKEY_F1] =              { "f1",                0x3b, 0x0005, 0x07, 0x3a },
    [QKEY_F2] =              { "f2",                0x3c, 0x0006, 0x0f, 0x3b },
    [QKEY_F3] =              { "f3",                0x3d, 0x0004, 0x17, 0x3c },
    [QKEY_F4] =              { "f4",                0x3e, 0x000c, 0x1f, 0x3d },
    [QKEY_F5] =              { "f5",                0x3f, 0x0003, 0x27, 0x3e },
    [QKEY_F6] =              { "f6",                0x40, 0x000b, 0x2f, 0x3f },
    [QKEY_F7] =              { "f7",                0x41, 0x0083, 0x37, 0x40 },
    [QKEY_F8] =              { "f8",                0x42, 0x000a, 0x3f, 0x41 },
    [QKEY_F9] =              { "f9",                0x43, 0x0001, 0x47, 0x42 },
    [QKEY_F10] =             { "f10",               0x44, 0x0009, 0x4f, 0x43 },
    [QKEY_NUM_LOCK] =        { "num_lock",          0x45, 0x0077, 0x76, 0x53 },
    [QKEY_SCROLL_LOCK] =     { "scroll_lock",       0x46, 0x007e, 0x5f, 0x47 },
    [QKEY_KP_DIVIDE] =       { "kp_divide",         0xb5, 0xe04a, 0x4a, 0x54 },
    [QKEY_KP_MULTIPLY] =     { "kp_multiply",       0x37, 0x007c, 0x7e, 0x55 },
    [QKEY_KP_SUBTRACT] =     { "kp_subtract",       0x4a, 0x007b, 0x4e, 0x56 },
    [QKEY_KP_ADD] =          { "kp_add",            0x4e, 0x0079, 0x7c, 0x57 },
    [QKEY_KP_ENTER] =        { "kp_enter",          0x9c, 0xe05a, 0x79, 0x58 },
    [QKEY_KP_DECIMAL] =      { "kp_decimal",        0x53, 0x0071, 0x71, 0x63 },
    [QKEY_SYSRQ] =           { "sysrq",             0x54, 0xe07c, 0x57, 0x9a },
    [QKEY_KP_0] =            { "kp_0",              0x52, 0x0070, 0x70, 0x62 },
    [QKEY_KP_1] =            { "kp_1",              0x4f, 0x0069, 0x69, 0x59 },
    [QKEY_KP_2] =            { "kp_2",              0x50, 0x0072, 0x72, 0x5a },
    [QKEY_KP_3] =            { "kp_3",              0x51, 0x007a, 0x7a, 0x5b },
    [QKEY_KP_4] =            { "kp_4",              0x4b, 0x006b, 0x6b, 0x5c },
    [QKEY_KP_5] =            { "kp_5",              0x4c, 0x0073, 0x73, 0x5d },
    [QKEY_KP_6] =            { "kp_6",              0x4d, 0x0074, 0x74, 0x5e },
    [QKEY_KP_7] =            { "kp_7",              0x47, 0x006c, 0x6c, 0x5f },
    [QKEY_KP_8] =            { "kp_8",              0x48, 0x0075, 0x75, 0x60 },
    [QKEY_KP_9] =            { "kp_9",              0x49, 0x007d, 0x7d, 0x61 },
    [QKEY_LESS] =            { "less",              0x56, 0x0061, 0x13, 0x64 },
    [QKEY_F11] =             { "f11",               0x57, 0x0078, 0x56, 0x44 },
    [QKEY_F12] =             { "f12",               0x58, 0x0007, 0x5e, 0x45 },
    [QKEY_PRINT] =           { "print",             0xb7, 0xe07c, 0x57, 0x46 },
    [QKEY_HOME] =            { "home",              0xc7, 0xe06c, 0x6e, 0x4a },
    [QKEY_PGUP] =            { "pgup",              0xc9, 0xe07d, 0x6f, 0x4b },
    [QKEY_PGDN] =            { "pgdn",              0xd1, 0xe07a, 0x6d, 0x4e },
    [QKEY_END] =             { "end",               0xcf, 0xe069, 0x65, 0x4d },
    [QKEY_LEFT] =            { "left",              0xcb, 0xe06b, 0x61, 0x50 },
    [QKEY_UP] =              { "up",                0xc8, 0xe075, 0x63, 0x52 },
    [QKEY_DOWN] =            { "down",              0xd0, 0xe072, 0x60, 0x51 },
    [QKEY_RIGHT] =           { "right",             0xcd, 0xe074, 0x6a, 0x4f },
    [QKEY_INSERT] =          { "insert",            0xd2, 0xe070, 0x67, 0x49 },
    [QKEY_DELETE] =          { "delete",            0xd3, 0xe071, 0x64, 0x4c },
    [QKEY_STOP] =            { "stop",              0xe8, 0xe028, 0x0a, 0x78 },
    [QKEY_AGAIN] =           { "again",             0x85, 0x0000, 0x0b, 0x79 },
    [QKEY_PROPS] =           { "props",             0x86, 0x0000, 0x0c, 0xa3 },
    [QKEY_UNDO] =            { "undo",              0x87, 0x0000, 0x10, 0x7a },
    [QKEY_FRONT] =           { "front",             0x8c, 0x0000, 0x00, 0x00 },
    [QKEY_COPY] =            { "copy",              0xf8, 0x0000, 0x18, 0x7c },
    [QKEY_OPEN] =            { "open",              0x64, 0x0000, 0x20, 0x74 },
    [QKEY_PASTE] =           { "paste",             0x65, 0x0000, 0x28, 0x7d },
    [QKEY_FIND] =            { "find",              0xc1, 0x0000, 0x30, 0x7e },
    [QKEY_CUT] =             { "cut",               0xbc, 0x0000, 0x38, 0x7b },
    [QKEY_LF] =              { "lf",                0x5b, 0x0000, 0x00, 0x00 },
    [QKEY_HELP] =            { "help",              0xf5, 0x0000, 0x09, 0x75 },
    [QKEY_META_L] =          { "meta_l",            0xdb, 0xe01f, 0x8b, 0xe3 },
    [QKEY_META_R] =          { "meta_r",            0xdc, 0xe027, 0x8c, 0xe7 },
    [QKEY_COMPOSE] =         { "compose",           0xdd, 0xe02f, 0x8d, 0x65 },
    [QKEY_PAUSE] =           { "pause",             0xc6, 0xe177, 0x62, 0x48 },
    [QKEY_RO] =              { "ro",                0x73, 0x0051, 0x00, 0x87 },
    [QKEY_HIRAGANA] =        { "hiragana",          0x77, 0x0062, 0x87, 0x93 },
    [QKEY_HENKAN] =          { "henkan",            0x79, 0x0064, 0x86, 0x8a },
    [QKEY_YEN] =             { "yen",               0x7d, 0x006a, 0x5d, 0x89 },
    [QKEY_MUHENKAN] =        { "muhenkan",          0x7b, 0x0067, 0x85, 0x8b },
    [QKEY_KATAKANAHIRAGANA] = { "katakanahiragana",  0x70, 0x0013, 0x87, 0x88 },
    [QKEY_KP_COMMA] =        { "kp_comma",          0x7e, 0x006d, 0x00, 0x85 },
    [QKEY_KP_EQUALS] =       { "kp_equals",         0x59, 0x000f, 0x00, 0x67 },
    [QKEY_POWER] =           { "power",             0xde, 0xe037, 0x00, 0x66 },
    [QKEY_SLEEP] =           { "sleep",             0xdf, 0xe03f, 0x00, 0x00 },
    [QKEY_WAKE] =            { "wake",              0xe3, 0xe05e, 0x00, 0x00 },
    [QKEY_AUDIONEXT] =       { "audionext",         0x99, 0xe04d, 0x93, 0x00 },
    [QKEY_AUDIOPREV] =       { "audioprev",         0x90, 0xe015, 0x94, 0x00 },
    [QKEY_AUDIOSTOP] =       { "audiostop",         0xa4, 0xe03b, 0x98, 0x00 },
    [QKEY_AUDIOPLAY] =       { "audioplay",         0xa2, 0xe034, 0x00, 0x00 },
    [QKEY_AUDIOMUTE] =       { "audiomute",         0xa0, 0xe023, 0x9c, 0x7f },
    [QKEY_VOLUMEUP] =        { "volumeup",          0xb0, 0xe032, 0x95, 0x80 },
    [QKEY_VOLUMEDOWN] =      { "volumedown",        0xae, 0xe021, 0x9d, 0x81 },
    [QKEY_MEDIASELECT] =     { "mediaselect",       0xed, 0xe050, 0x00, 0x00 },
    [QKEY_MAIL] =            { "mail",              0xec, 0xe048, 0x00, 0x00 },
    [QKEY_CALCULATOR] =      { "calculator",        0xa1, 0xe02b, 0xa3, 0x00 },
    [QKEY_COMPUTER] =        { "computer",          0xeb, 0xe040, 0x00, 0x00 },
    [QKEY_AC_HOME] =         { "ac_home",           0xb2, 0xe03a, 0x97, 0x00 },
    [QKEY_AC_BACK] =         { "ac_back",           0xea, 0xe038, 0x00, 0x00 },
    [QKEY_AC_FORWARD] =      { "ac_forward",        0xe9, 0xe030, 0x00, 0x00 },
    [QKEY_AC_REFRESH] =      { "ac_refresh",        0xe7, 0xe020, 0x00, 0x00 },
    [QKEY_AC_BOOKMARKS] =    { "ac_bookmarks",      0xe6, 0xe018, 0x00, 0x00 },
    [QKEY_LANG1] =           { "lang1",             0x72, 0x0000, 0x00, 0x90 },
    [QKEY_LANG2] =           { "lang2",             0x71, 0x0000, 0x00, 0x91 },
};

QKeyCode key_from_name(const char *name)
{
    for (int i = 1; i < QKEY_COUNT; i++) {
        if (!strcmp(key_codes[i].name, name)) {
            return i;
        }
    }
    return QKEY_UNMAPPED;
}

QKeyCode key_from_number(unsigned number)
{
    if (number >> 8 == 0xe0) {
        number = 0x80 | (number & 0x7f);
    }
    if (number == 0x37) {
        return QKEY_KP_MULTIPLY;    /* shares its number with "asterisk" */
    }
    for (int i = 1; number && i < QKEY_COUNT; i++) {
        if (key_codes[i].number == number) {
            return i;
        }
    }
    return QKEY_UNMAPPED;
}

QKeyCode key_from_hid(unsigned usage)
{
    for (int i = 1; usage && i < QKEY_COUNT; i++) {
        if (key_codes[i].hid == usage) {
            return i;
        }
    }
    return QKEY_UNMAPPED;
}
