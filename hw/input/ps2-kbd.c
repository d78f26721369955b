/*
 * PS/2 keyboard, 101 keys and more (IBM PS/2 Hardware Interface Technical Reference: keyboard; Microsoft keyboard scan
 * code specification).
 *
 * Not modelled: typematic repeat (the host repeats), per-key make/break settings of scan code set 3.
 */
#include "hw/input/input.h"
#include "hw/input/ps2-int.h"
#include "hw/core/machine.h"
#include "ui/input.h"
#include "util/error.h"

enum { SET_LEDS = 0xed, ECHO = 0xee, SCAN_CODE_SET = 0xf0, READ_ID = 0xf2, SET_RATE = 0xf3, ENABLE = 0xf4,
       DEFAULT_DISABLE = 0xf5, SET_DEFAULT = 0xf6, SET_ALL_TMB = 0xfa, RESEND = 0xfe, RESET = 0xff };
enum { MOD_SHIFT = 1, MOD_SHIFT_R = 2, MOD_CTRL = 4, MOD_CTRL_R = 8, MOD_ALT = 16, MOD_ALT_R = 32 };
enum { BREAK = 0xf0 };

typedef struct Ps2Kbd {
    Ps2 ps2;

    /* guest state */
    int32_t scan_enabled, translate, scancode_set, ledstate;
    bool need_high_bit;         /* always false between events; QEMU's may not be */
    uint8_t modifiers;          /* MOD_* held down */

    /* host side */
    InputHandler *input;
} Ps2Kbd;

/* What the controller, with translation on, makes of set 2: set 1 (a preceding F0 becomes bit 7). */
static const uint8_t set2_to_set1[256] = {
    0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29, 0x59,
    0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11, 0x03, 0x5b,
    0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14, 0x13, 0x06, 0x5d,
    0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5f,
    0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0c, 0x61,
    0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36, 0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76,
    0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c, 0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f,
    0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45, 0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54,
    [0x83] = 0x41, [0x84] = 0x54,
};

/* ---- Keys ---- */

typedef struct Codes { uint8_t b[12]; unsigned n; } Codes;

static void add(Codes *c, unsigned code)
{
    if (c->n < sizeof c->b)
        c->b[c->n++] = code;
}

/* A make or break code of set 2; 0xe0NN with its prefix. */
static void add_set2(Codes *c, unsigned code, bool down)
{
    if (code >> 8)
        add(c, code >> 8);
    if (!down)
        add(c, BREAK);
    add(c, code & 0xff);
}

static void translate(Codes *c)
{
    bool high = false;
    unsigned n = 0;

    for (unsigned i = 0; i < c->n; i++) {
        uint8_t b = c->b[i];

        if (b == BREAK) {
            high = true;
            continue;
        }
        b = b < 0x80 || set2_to_set1[b] ? set2_to_set1[b] : b;
        c->b[n++] = high ? b | 0x80 : b;
        high = false;
    }
    c->n = n;
}

/* Print Screen lifts Alt, or presses a Shift that is not there, for the sake of 84-key programs. */
static void print_codes(const Ps2Kbd *s, Codes *c, bool down)
{
    unsigned alt = s->modifiers & MOD_ALT ? 0x11 : s->modifiers & MOD_ALT_R ? 0xe011 : 0;
    bool bare = s->modifiers & (MOD_SHIFT | MOD_SHIFT_R | MOD_CTRL | MOD_CTRL_R);

    if (alt) {
        if (!down)
            add_set2(c, 0x84, false);
        add_set2(c, alt, false);
        add_set2(c, alt, true);
        if (down)
            add_set2(c, 0x84, true);
        return;
    }
    if (down && !bare)
        add_set2(c, 0xe012, true);
    add_set2(c, 0xe07c, down);
    if (!down && !bare)
        add_set2(c, 0xe012, false);
}

/* Pause sends make and break at once; with Ctrl it is Break. */
static void pause_codes(const Ps2Kbd *s, Codes *c, bool down)
{
    static const uint8_t seq[] = { 0xe1, 0x14, 0x77, 0xe1, BREAK, 0x14, BREAK, 0x77 };

    if (!down)
        return;
    if (s->modifiers & (MOD_CTRL | MOD_CTRL_R)) {
        add_set2(c, 0xe07e, true);
        add_set2(c, 0xe07e, false);
        return;
    }
    for (unsigned i = 0; i < sizeof seq; i++)
        add(c, seq[i]);
}

static void key_to_codes(const Ps2Kbd *s, QKeyCode key, bool down, Codes *c)
{
    if (s->scancode_set == 3) {
        if (!key_codes[key].set3)
            return;
        if (!down)
            add(c, BREAK);
        add(c, key_codes[key].set3);
    } else if (key == QKEY_PRINT || key == QKEY_SYSRQ) {
        print_codes(s, c, down);
    } else if (key == QKEY_PAUSE) {
        pause_codes(s, c, down);
    } else if (key_codes[key].set2) {
        add_set2(c, key_codes[key].set2, down);
    }
    if (s->scancode_set == 1)
        translate(c);
    if (s->translate)
        translate(c);
}

static unsigned modifier(QKeyCode key)
{
    switch (key) {
    case QKEY_SHIFT: return MOD_SHIFT;
    case QKEY_SHIFT_R: return MOD_SHIFT_R;
    case QKEY_CTRL: return MOD_CTRL;
    case QKEY_CTRL_R: return MOD_CTRL_R;
    case QKEY_ALT: return MOD_ALT;
    case QKEY_ALT_R: return MOD_ALT_R;
    default: return 0;
    }
}

static void kbd_key(void *opaque, QKeyCode key, bool down)
{
    Ps2Kbd *s = opaque;
    Codes c = { .n = 0 };

    machine_request_wakeup(s->ps2.dev.machine);
    if (!s->scan_enabled || (unsigned)key >= QKEY_COUNT)
        return;
    s->modifiers = down ? s->modifiers | modifier(key) : s->modifiers & ~modifier(key);
    key_to_codes(s, key, down, &c);
    if (c.n)
        ps2_queue(&s->ps2, c.b, c.n);
}

/* ---- Commands ---- */

static void set_leds(Ps2Kbd *s, uint8_t leds)
{
    s->ledstate = leds & 7;
    input_set_leds(s->ledstate);
}

static void defaults(Ps2Kbd *s, bool scan)
{
    s->scan_enabled = scan;
    s->scancode_set = 2;
    ps2_clear(&s->ps2);
    set_leds(s, 0);
}

static void command(Ps2Kbd *s, uint8_t val)
{
    switch (val) {
    case ECHO:
        ps2_reply1(&s->ps2, ECHO);
        break;
    case READ_ID:
        ps2_reply(&s->ps2, (const uint8_t[]){ PS2_ACK, 0xab, s->translate ? 0x41 : 0x83 }, 3);
        break;
    case SET_LEDS: case SCAN_CODE_SET: case SET_RATE:
        s->ps2.write_cmd = val;
        ps2_reply1(&s->ps2, PS2_ACK);
        break;
    case ENABLE:
        s->scan_enabled = 1;
        ps2_reply1(&s->ps2, PS2_ACK);
        break;
    case DEFAULT_DISABLE: case SET_DEFAULT:
        defaults(s, val == SET_DEFAULT);
        ps2_reply1(&s->ps2, PS2_ACK);
        break;
    case 0x00: case SET_ALL_TMB:
        ps2_reply1(&s->ps2, PS2_ACK);
        break;
    case RESET:
        defaults(s, true);
        ps2_reply(&s->ps2, (const uint8_t[]){ PS2_ACK, PS2_BAT_OK }, 2);
        break;
    default:
        ps2_reply1(&s->ps2, PS2_RESEND);
        break;
    }
}

static void select_set(Ps2Kbd *s, uint8_t set)
{
    if (set == 0) {
        uint8_t reply[] = { PS2_ACK, s->scancode_set };

        if (s->translate)
            reply[1] = set2_to_set1[reply[1]];
        ps2_reply(&s->ps2, reply, 2);
    } else if (set <= 3) {
        s->scancode_set = set;
        ps2_reply1(&s->ps2, PS2_ACK);
    } else {
        ps2_reply1(&s->ps2, PS2_RESEND);
    }
}

void ps2_kbd_write(Device *d, uint8_t val)
{
    Ps2Kbd *s = DEVICE(d, Ps2Kbd);
    int cmd = s->ps2.write_cmd;

    if (val == RESEND) {
        ps2_reply1(&s->ps2, ps2_last(&s->ps2));
        return;
    }
    ps2_drop_reply(&s->ps2);
    s->ps2.write_cmd = PS2_NO_CMD;
    switch (cmd) {
    case SET_LEDS:
        set_leds(s, val);
        ps2_reply1(&s->ps2, PS2_ACK);
        break;
    case SCAN_CODE_SET:
        select_set(s, val);
        break;
    case SET_RATE:
        ps2_reply1(&s->ps2, PS2_ACK);
        break;
    default:
        command(s, val);
        break;
    }
}

void ps2_kbd_set_translation(Device *d, bool on)
{
    DEVICE(d, Ps2Kbd)->translate = on;
}

/* ---- Set-up ---- */

static bool kbd_realize(Device *d, GError **err)
{
    static const InputOps ops = { .name = "QEMU PS/2 Keyboard", .kinds = INPUT_KEY, .key = kbd_key };
    Ps2Kbd *s = DEVICE(d, Ps2Kbd);

    s->input = input_register(&ops, s, NULL);
    return true;
}

static void kbd_unrealize(Device *d)
{
    input_unregister(DEVICE(d, Ps2Kbd)->input);
}

static void kbd_reset(Device *d)
{
    set_leds(DEVICE(d, Ps2Kbd), 0);
}

static bool kbd_load(void *obj, GError **err)
{
    Ps2Kbd *s = obj;

    s->ledstate = 0;
    s->need_high_bit = false;
    s->ps2.cwptr = -1;
    return true;
}

static bool kbd_loaded(void *obj, int version, GError **err)
{
    Ps2Kbd *s = obj;

    if (version == 2)
        s->scancode_set = 2;
    if (!ps2_check(&s->ps2))
        return error_set(err, "ps2kbd: queue.cwptr: %d is not within the queue", s->ps2.cwptr);
    set_leds(s, s->ledstate);
    return true;
}

static bool leds_needed(const void *obj) { return ((const Ps2Kbd *)obj)->ledstate != 0; }
static bool high_bit_needed(const void *obj) { return ((const Ps2Kbd *)obj)->need_high_bit; }
static bool reply_needed(const void *obj) { return ((const Ps2Kbd *)obj)->ps2.cwptr != -1; }

static const StateTable kbd_leds = {
    .name = "ps2kbd/ledstate", .version = 3, .min_version = 2, .needed = leds_needed,
    .fields = (const Field[]) { FIELD(Ps2Kbd, ledstate, .max = 7), {0} },
};

static const StateTable kbd_high_bit = {
    .name = "ps2kbd/need_high_bit", .version = 1, .min_version = 1, .needed = high_bit_needed,
    .fields = (const Field[]) { FIELD(Ps2Kbd, need_high_bit), {0} },
};

static const StateTable kbd_reply = {
    .name = "ps2kbd/command_reply_queue", .needed = reply_needed,
    .fields = (const Field[]) {
        FIELD(Ps2Kbd, ps2.cwptr, .name = "parent_obj.queue.cwptr", .reset = UINT32_MAX, .min = UINT64_MAX,
              .max = PS2_RING - 1),
        {0}
    },
};

static const StateTable kbd_state = {
    .name = "ps2kbd", .version = 3, .min_version = 2, .load = kbd_load, .loaded = kbd_loaded,
    .subsections = (const StateTable *const[]) { &kbd_leds, &kbd_high_bit, &kbd_reply, NULL },
    .fields = (const Field[]) {
        STRUCT(Ps2Kbd, ps2, &ps2_state, .name = "parent_obj"),
        FIELD(Ps2Kbd, scan_enabled, .reset = 1, .max = 1), FIELD(Ps2Kbd, translate, .max = 1),
        FIELD(Ps2Kbd, scancode_set, .reset = 2, .min = 1, .max = 3, .since = 3),
        LOCAL(Ps2Kbd, modifiers),
        HOST(Ps2Kbd, input),
        {0}
    },
};

const DeviceType ps2_kbd_type = {
    .name = "ps2-kbd", .desc = "PS/2 keyboard", .category = CAT_INPUT, .internal = true, .size = sizeof(Ps2Kbd),
    .state = &kbd_state, .realize = kbd_realize, .unrealize = kbd_unrealize, .reset = kbd_reset,
    .gpios = (const GpioInfo[]){ { "", 0, 1 }, {0} },
};
