/*
 * VMware's mouse: absolute positions through the VMware port (commands 39 to 41; xf86-input-vmmouse for the protocol).
 * Each event also moves the PS/2 mouse by nothing worth mentioning, so that the guest gets an interrupt and looks.
 */
#include <string.h>
#include "hw/core/machine.h"
#include "hw/input/input.h"
#include "hw/input/vmport-int.h"
#include "ui/input.h"
#include "util/error.h"

enum { CMD_DISABLE = 0xf5, CMD_READ_ID = 0x45414552, CMD_RELATIVE = 0x4c455252, CMD_ABSOLUTE = 0x53424152 };
#define VERSION_ID 0x3442554au
#define STATUS_ERROR 0xffff
#define QUEUE_SIZE 1024
#define EVENT_WORDS 4
enum { BUTTON_MIDDLE = 0x08, BUTTON_RIGHT = 0x10, BUTTON_LEFT = 0x20 };

typedef struct VmMouse {
    Device dev;

    /* guest state */
    int32_t queue_size;
    uint32_t queue[QUEUE_SIZE];
    uint16_t nb_queue, status;
    uint8_t absolute;

    /* host side: the event that is being gathered */
    uint32_t buttons;
    int32_t x, y, dz;
    InputHandler *input;
    bool input_absolute;

    /* set-up */
    Device *vmport, *kbc;
} VmMouse;

/* ---- Events ---- */

static void mouse_sync(void *opaque)
{
    VmMouse *s = opaque;
    uint32_t *q = s->queue + s->nb_queue;

    if (s->nb_queue > QUEUE_SIZE - EVENT_WORDS)
        return;
    q[0] = s->buttons;
    q[1] = s->absolute ? s->x << 1 : s->x;
    q[2] = s->absolute ? s->y << 1 : s->y;
    q[3] = s->dz;
    s->nb_queue += EVENT_WORDS;
    s->dz = 0;
    if (!s->absolute)
        s->x = s->y = 0;
    i8042_mouse_poke(s->kbc);
}

static void mouse_rel(void *opaque, InputAxis axis, int delta)
{
    VmMouse *s = opaque;
    int32_t *v = axis == INPUT_AXIS_X ? &s->x : &s->y;

    *v = CLAMP((int64_t)*v + delta, -INPUT_ABS_MAX, INPUT_ABS_MAX);
}

static void mouse_abs(void *opaque, InputAxis axis, int value)
{
    VmMouse *s = opaque;

    *(axis == INPUT_AXIS_X ? &s->x : &s->y) = CLAMP(value, 0, INPUT_ABS_MAX);
}

static void mouse_button(void *opaque, InputButton b, bool down)
{
    VmMouse *s = opaque;
    uint32_t bit = b == INPUT_BUTTON_LEFT ? BUTTON_LEFT : b == INPUT_BUTTON_RIGHT ? BUTTON_RIGHT
                 : b == INPUT_BUTTON_MIDDLE ? BUTTON_MIDDLE : 0;

    s->buttons = down ? s->buttons | bit : s->buttons & ~bit;
    if (down && (b == INPUT_BUTTON_WHEEL_UP || b == INPUT_BUTTON_WHEEL_DOWN))
        s->dz = CLAMP(s->dz + (b == INPUT_BUTTON_WHEEL_UP ? -1 : 1), -127, 127);
}

static const InputOps absolute_ops = {
    .name = "vmmouse", .kinds = INPUT_BUTTON | INPUT_ABS, .button = mouse_button, .abs = mouse_abs, .sync = mouse_sync,
};
static const InputOps relative_ops = {
    .name = "vmmouse", .kinds = INPUT_BUTTON | INPUT_REL, .button = mouse_button, .rel = mouse_rel, .sync = mouse_sync,
};

static void stop_input(VmMouse *s)
{
    input_unregister(s->input);
    s->input = NULL;
    s->buttons = s->x = s->y = s->dz = 0;
}

/* Takes part in input while the driver is there, in the mode that it asked for. */
static void update_input(VmMouse *s)
{
    if (s->input && s->input_absolute != s->absolute)
        stop_input(s);
    if (s->status == 0 && !s->input) {
        s->input_absolute = s->absolute;
        s->input = input_register(s->absolute ? &absolute_ops : &relative_ops, s, NULL);
        input_activate(s->input);
    }
}

/* ---- Commands ---- */

static void disable(VmMouse *s)
{
    s->status = STATUS_ERROR;
    stop_input(s);
}

static void cmd_command(void *opaque, VmportRegs *r)
{
    VmMouse *s = opaque;

    switch (r->ebx) {
    case CMD_DISABLE:
        disable(s);
        break;
    case CMD_READ_ID:
        if (s->nb_queue == QUEUE_SIZE)
            break;
        s->queue[s->nb_queue++] = VERSION_ID;
        s->status = 0;
        update_input(s);
        break;
    case CMD_RELATIVE: case CMD_ABSOLUTE:
        s->absolute = r->ebx == CMD_ABSOLUTE;
        update_input(s);
        break;
    }
}

static void cmd_status(void *opaque, VmportRegs *r)
{
    VmMouse *s = opaque;

    r->eax = (uint32_t)s->status << 16 | s->nb_queue;
}

static void cmd_data(void *opaque, VmportRegs *r)
{
    VmMouse *s = opaque;
    uint32_t *out[6] = { &r->eax, &r->ebx, &r->ecx, &r->edx, &r->esi, &r->edi };
    uint32_t n = r->ebx;

    if (n == 0 || n > G_N_ELEMENTS(out) || n > s->nb_queue) {
        disable(s);             /* the driver is out of step: it starts anew */
        return;
    }
    for (uint32_t i = 0; i < n; i++)
        *out[i] = s->queue[i];
    s->nb_queue -= n;
    memmove(s->queue, s->queue + n, s->nb_queue * sizeof s->queue[0]);
}

/* ---- Set-up and state ---- */

static bool vmmouse_realize(Device *d, GError **err)
{
    VmMouse *s = DEVICE(d, VmMouse);

    if (!s->vmport || !s->kbc)
        return error_set(err, "vmmouse: it needs a vmport and an i8042");
    s->queue_size = QUEUE_SIZE;
    vmport_register(s->vmport, VMPORT_ABSPOINTER_STATUS, cmd_status, s);
    vmport_register(s->vmport, VMPORT_ABSPOINTER_COMMAND, cmd_command, s);
    vmport_register(s->vmport, VMPORT_ABSPOINTER_DATA, cmd_data, s);
    return true;
}

static void vmmouse_reset(Device *d)
{
    disable(DEVICE(d, VmMouse));
}

static void vmmouse_unrealize(Device *d)
{
    stop_input(DEVICE(d, VmMouse));
}

static bool vmmouse_loaded(void *obj, int version, GError **err)
{
    stop_input(obj);
    update_input(obj);
    return true;
}

static const StateTable vmmouse_state = {
    .name = "vmmouse", .loaded = vmmouse_loaded,
    .fields = (const Field[]) {
        HOST(VmMouse, dev),
        FIELD(VmMouse, queue_size, .keep = true, .equal = true), FIELD(VmMouse, queue),
        FIELD(VmMouse, nb_queue, .max = QUEUE_SIZE), FIELD(VmMouse, status), FIELD(VmMouse, absolute, .max = 1),
        HOST(VmMouse, buttons), HOST(VmMouse, x), HOST(VmMouse, y), HOST(VmMouse, dz), HOST(VmMouse, input),
        HOST(VmMouse, input_absolute), HOST(VmMouse, vmport), HOST(VmMouse, kbc),
        {0}
    },
};

const DeviceType vmmouse_type = {
    .name = "vmmouse", .desc = "VMware mouse", .bus = "ISA", .internal = true, .category = CAT_INPUT,
    .size = sizeof(VmMouse), .state = &vmmouse_state, .realize = vmmouse_realize, .reset = vmmouse_reset,
    .unrealize = vmmouse_unrealize,
};

bool vmport_create(Machine *m, Bus *isa, Device *kbc, GError **err)
{
    Device *port = device_create(m, &vmport_type, isa, err), *mouse;

    if (!port || !kbc)
        return port != NULL;
    mouse = device_new(m, &vmmouse_type, err);
    if (!mouse)
        return false;
    DEVICE(mouse, VmMouse)->vmport = port;
    DEVICE(mouse, VmMouse)->kbc = kbc;
    return device_realize(mouse, isa, err);
}
