/*
 * PS/2 mouse with the wheel of the IntelliMouse and the five buttons of the IntelliMouse Explorer (IBM PS/2 Hardware
 * Interface Technical Reference: mouse; Microsoft's extensions as its drivers detect them).
 *
 * Not modelled: resolution and 2:1 scaling change nothing, reports come when the host has them, not at the sample rate.
 */
#include "hw/input/input.h"
#include "hw/input/ps2-int.h"
#include "hw/core/machine.h"
#include "ui/input.h"

enum { SET_SCALE11 = 0xe6, SET_SCALE21 = 0xe7, SET_RES = 0xe8, GET_STATUS = 0xe9, SET_STREAM = 0xea, POLL = 0xeb,
       RESET_WRAP = 0xec, SET_WRAP = 0xee, SET_REMOTE = 0xf0, GET_ID = 0xf2, SET_RATE = 0xf3, ENABLE = 0xf4,
       DISABLE = 0xf5, SET_DEFAULT = 0xf6, RESEND = 0xfe, RESET = 0xff };
enum { STATUS_REMOTE = 0x40, STATUS_ENABLED = 0x20, STATUS_SCALE21 = 0x10 };
enum { TYPE_PS2 = 0, TYPE_WHEEL = 3, TYPE_EXPLORER = 4 };
enum { BTN_LEFT = 1, BTN_RIGHT = 2, BTN_MIDDLE = 4, BTN_SIDE = 8, BTN_EXTRA = 16 };
#define MOTION_LIMIT 100000     /* what waits while the guest does not look; the rest is lost */

typedef struct Ps2Mouse {
    Ps2 ps2;

    /* guest state */
    uint8_t mouse_status, mouse_resolution, mouse_sample_rate, mouse_wrap, mouse_type;
    uint8_t mouse_detect_state; /* how far into the sequence of rates that turns on the wheel */
    uint8_t mouse_buttons;
    int32_t mouse_dx, mouse_dy, mouse_dz;

    /* host side */
    InputHandler *input;
} Ps2Mouse;

/* ---- Reports ---- */

static bool send_packet(Ps2Mouse *s, bool reply)
{
    int lim = s->mouse_type == TYPE_EXPLORER ? 7 : 127;
    int dx = CLAMP(s->mouse_dx, -127, 127), dy = CLAMP(s->mouse_dy, -127, 127), dz = CLAMP(s->mouse_dz, -lim, lim);
    uint8_t b[5] = { PS2_ACK, 0x08 | (dx < 0) << 4 | (dy < 0) << 5 | (s->mouse_buttons & 7), dx, dy };
    unsigned n = 3;

    if (s->mouse_type == TYPE_WHEEL)
        b[1 + n++] = dz;
    else if (s->mouse_type == TYPE_EXPLORER)
        b[1 + n++] = (dz & 0x0f) | (s->mouse_buttons & (BTN_SIDE | BTN_EXTRA)) << 1;
    else
        dz = s->mouse_dz;
    if (reply)
        ps2_reply(&s->ps2, b, n + 1);
    else if (!ps2_queue(&s->ps2, b + 1, n))
        return false;
    s->mouse_dx -= dx;
    s->mouse_dy -= dy;
    s->mouse_dz -= dz;
    return true;
}

static void mouse_sync(void *opaque)
{
    Ps2Mouse *s = opaque;

    if (s->mouse_buttons)
        machine_request_wakeup(s->ps2.dev.machine);
    if ((s->mouse_status & (STATUS_ENABLED | STATUS_REMOTE)) != STATUS_ENABLED)
        return;
    while (send_packet(s, false) && (s->mouse_dx || s->mouse_dy || s->mouse_dz))
        ;
}

static void add(int32_t *sum, int delta)
{
    *sum = CLAMP((int64_t)*sum + delta, -MOTION_LIMIT, MOTION_LIMIT);
}

static void mouse_rel(void *opaque, InputAxis axis, int delta)
{
    Ps2Mouse *s = opaque;

    if (!(s->mouse_status & STATUS_ENABLED))
        return;
    add(axis == INPUT_AXIS_X ? &s->mouse_dx : &s->mouse_dy, axis == INPUT_AXIS_X ? delta : -(int64_t)delta);
}

static void mouse_button(void *opaque, InputButton b, bool down)
{
    static const uint8_t bits[INPUT_BUTTON_COUNT] = {
        [INPUT_BUTTON_LEFT] = BTN_LEFT, [INPUT_BUTTON_RIGHT] = BTN_RIGHT, [INPUT_BUTTON_MIDDLE] = BTN_MIDDLE,
        [INPUT_BUTTON_SIDE] = BTN_SIDE, [INPUT_BUTTON_EXTRA] = BTN_EXTRA,
    };
    Ps2Mouse *s = opaque;

    if (!(s->mouse_status & STATUS_ENABLED) || (unsigned)b >= INPUT_BUTTON_COUNT)
        return;
    if (b == INPUT_BUTTON_WHEEL_UP || b == INPUT_BUTTON_WHEEL_DOWN) {
        if (down)
            add(&s->mouse_dz, b == INPUT_BUTTON_WHEEL_UP ? -1 : 1);
        return;
    }
    s->mouse_buttons = down ? s->mouse_buttons | bits[b] : s->mouse_buttons & ~bits[b];
}

void ps2_mouse_poke(Device *d)
{
    Ps2Mouse *s = DEVICE(d, Ps2Mouse);

    add(&s->mouse_dx, 1);
    mouse_sync(s);
}

/* ---- Commands ---- */

static void defaults(Ps2Mouse *s)
{
    s->mouse_sample_rate = 100;
    s->mouse_resolution = 2;
    s->mouse_status = 0;
    ps2_clear(&s->ps2);
}

/* Rates of 200, 100, 80 turn on the wheel; 200, 200, 80 the fourth and fifth button as well. */
static void detect_wheel(Ps2Mouse *s, uint8_t rate)
{
    switch (s->mouse_detect_state) {
    case 0:
        s->mouse_detect_state = rate == 200;
        break;
    case 1:
        s->mouse_detect_state = rate == 100 ? 2 : rate == 200 ? 3 : 0;
        break;
    default:
        if (rate == 80)
            s->mouse_type = s->mouse_detect_state == 2 ? TYPE_WHEEL : TYPE_EXPLORER;
        s->mouse_detect_state = 0;
        break;
    }
}

static void reply_status(Ps2Mouse *s)
{
    uint8_t buttons = (s->mouse_buttons & BTN_LEFT ? 4 : 0) | (s->mouse_buttons & BTN_MIDDLE ? 2 : 0) |
                      (s->mouse_buttons & BTN_RIGHT ? 1 : 0);

    ps2_reply(&s->ps2, (const uint8_t[]){ PS2_ACK, s->mouse_status | buttons, s->mouse_resolution, s->mouse_sample_rate }, 4);
}

static void set_status(Ps2Mouse *s, uint8_t clear, uint8_t set)
{
    s->mouse_status = (s->mouse_status & ~clear) | set;
    ps2_reply1(&s->ps2, PS2_ACK);
}

static void command(Ps2Mouse *s, uint8_t val)
{
    switch (val) {
    case SET_SCALE11: set_status(s, STATUS_SCALE21, 0); break;
    case SET_SCALE21: set_status(s, 0, STATUS_SCALE21); break;
    case SET_STREAM: set_status(s, STATUS_REMOTE, 0); break;
    case SET_REMOTE: set_status(s, 0, STATUS_REMOTE); break;
    case ENABLE: set_status(s, 0, STATUS_ENABLED); break;
    case DISABLE: set_status(s, STATUS_ENABLED, 0); break;
    case GET_STATUS: reply_status(s); break;
    case POLL: send_packet(s, true); break;
    case SET_RES: case SET_RATE:
        s->ps2.write_cmd = val;
        ps2_reply1(&s->ps2, PS2_ACK);
        break;
    case SET_WRAP: case RESET_WRAP:
        s->mouse_wrap = val == SET_WRAP;
        ps2_reply1(&s->ps2, PS2_ACK);
        break;
    case GET_ID:
        ps2_reply(&s->ps2, (const uint8_t[]){ PS2_ACK, s->mouse_type }, 2);
        break;
    case SET_DEFAULT:
        defaults(s);
        ps2_reply1(&s->ps2, PS2_ACK);
        break;
    case RESET:
        defaults(s);
        s->mouse_type = TYPE_PS2;
        s->mouse_detect_state = 0;
        s->mouse_wrap = 0;
        ps2_reply(&s->ps2, (const uint8_t[]){ PS2_ACK, PS2_BAT_OK, TYPE_PS2 }, 3);
        break;
    default:
        ps2_reply1(&s->ps2, PS2_RESEND);
        break;
    }
}

void ps2_mouse_write(Device *d, uint8_t val)
{
    Ps2Mouse *s = DEVICE(d, Ps2Mouse);
    int cmd = s->ps2.write_cmd;

    if (s->mouse_wrap && val != RESET_WRAP && val != RESET) {
        ps2_reply1(&s->ps2, val);
        return;
    }
    if (val == RESEND) {
        ps2_reply1(&s->ps2, ps2_last(&s->ps2));
        return;
    }
    ps2_drop_reply(&s->ps2);
    s->ps2.write_cmd = PS2_NO_CMD;
    if (cmd == SET_RATE) {
        s->mouse_sample_rate = val;
        detect_wheel(s, val);
        ps2_reply1(&s->ps2, PS2_ACK);
    } else if (cmd == SET_RES) {
        s->mouse_resolution = val;
        ps2_reply1(&s->ps2, PS2_ACK);
    } else {
        command(s, val);
    }
}

/* ---- Set-up ---- */

static bool mouse_realize(Device *d, GError **err)
{
    static const InputOps ops = {
        .name = "QEMU PS/2 Mouse", .kinds = INPUT_BUTTON | INPUT_REL, .button = mouse_button, .rel = mouse_rel,
        .sync = mouse_sync,
    };
    Ps2Mouse *s = DEVICE(d, Ps2Mouse);

    s->input = input_register(&ops, s, NULL);
    return true;
}

static void mouse_unrealize(Device *d)
{
    input_unregister(DEVICE(d, Ps2Mouse)->input);
}

static bool mouse_load(void *obj, GError **err)
{
    ((Ps2Mouse *)obj)->ps2.cwptr = -1;
    return true;
}

static bool mouse_loaded(void *obj, int version, GError **err)
{
    return ps2_check(&((Ps2Mouse *)obj)->ps2);
}

#define MOTION .min = (uint64_t)-(int64_t)INT32_MAX, .max = INT32_MAX

static const StateTable mouse_state = {
    .name = "ps2mouse", .version = 2, .min_version = 2, .load = mouse_load, .loaded = mouse_loaded,
    .fields = (const Field[]) {
        STRUCT(Ps2Mouse, ps2, &ps2_state, .name = "parent_obj"),
        FIELD(Ps2Mouse, mouse_status), FIELD(Ps2Mouse, mouse_resolution), FIELD(Ps2Mouse, mouse_sample_rate),
        FIELD(Ps2Mouse, mouse_wrap, .max = 1), FIELD(Ps2Mouse, mouse_type, .max = TYPE_EXPLORER),
        FIELD(Ps2Mouse, mouse_detect_state, .max = 3),
        FIELD(Ps2Mouse, mouse_dx, MOTION), FIELD(Ps2Mouse, mouse_dy, MOTION), FIELD(Ps2Mouse, mouse_dz, MOTION),
        FIELD(Ps2Mouse, mouse_buttons),
        HOST(Ps2Mouse, input),
        {0}
    },
};

const DeviceType ps2_mouse_type = {
    .name = "ps2-mouse", .desc = "PS/2 mouse", .category = CAT_INPUT, .internal = true, .size = sizeof(Ps2Mouse),
    .state = &mouse_state, .realize = mouse_realize, .unrealize = mouse_unrealize,
    .gpios = (const GpioInfo[]){ { "", 0, 1 }, {0} },
};
