/* Pointers of USB: the event queue, reports, idle rate; see hid.h. */
#include <string.h>
#include "hw/core/machine.h"
#include "hw/usb/hid.h"
#include "util/error.h"

enum { BUTTON_LEFT = 1, BUTTON_RIGHT = 2, BUTTON_MIDDLE = 4, BUTTON_SIDE = 8, BUTTON_EXTRA = 16 };
#define IDLE_UNIT 4000000ull            /* 7.2.4 */

static HidEvent *slot(Hid *h, unsigned n)
{
    return &h->queue[(h->head + n) % HID_QUEUE];
}

/* ---- Input ---- */

static void pointer_rel(void *opaque, InputAxis axis, int delta)
{
    Hid *h = opaque;
    HidEvent *e = slot(h, h->n);
    int32_t *v = axis == INPUT_AXIS_X ? &e->xdx : &e->ydy;

    *v = CLAMP((int64_t)*v + delta, INT16_MIN, INT16_MAX);
}

static void pointer_abs(void *opaque, InputAxis axis, int value)
{
    Hid *h = opaque;
    HidEvent *e = slot(h, h->n);

    *(axis == INPUT_AXIS_X ? &e->xdx : &e->ydy) = CLAMP(value, 0, INPUT_ABS_MAX);
}

static void pointer_button(void *opaque, InputButton b, bool down)
{
    static const uint8_t bits[INPUT_BUTTON_COUNT] = {
        [INPUT_BUTTON_LEFT] = BUTTON_LEFT, [INPUT_BUTTON_RIGHT] = BUTTON_RIGHT, [INPUT_BUTTON_MIDDLE] = BUTTON_MIDDLE,
        [INPUT_BUTTON_SIDE] = BUTTON_SIDE, [INPUT_BUTTON_EXTRA] = BUTTON_EXTRA,
    };
    Hid *h = opaque;
    HidEvent *e = slot(h, h->n);

    e->buttons_state = down ? e->buttons_state | bits[b] : e->buttons_state & ~bits[b];
    if (down && (b == INPUT_BUTTON_WHEEL_UP || b == INPUT_BUTTON_WHEEL_DOWN))
        e->dz = CLAMP(e->dz + (b == INPUT_BUTTON_WHEEL_UP ? -1 : 1), -127, 127);
}

/* Motion with the same buttons joins the event before; the next event starts where this one ended. */
static bool merge(Hid *h)
{
    HidEvent *e = slot(h, h->n), *prev = slot(h, h->n - 1);

    if (h->n < 2 || prev->buttons_state != e->buttons_state)
        return false;
    if (h->kind == HID_MOUSE) {
        prev->xdx = CLAMP((int64_t)prev->xdx + e->xdx, INT16_MIN, INT16_MAX);
        prev->ydy = CLAMP((int64_t)prev->ydy + e->ydy, INT16_MIN, INT16_MAX);
        e->xdx = e->ydy = 0;
    } else {
        prev->xdx = e->xdx;
        prev->ydy = e->ydy;
    }
    prev->dz = CLAMP((int64_t)prev->dz + e->dz, -127, 127);
    e->dz = 0;
    return true;
}

static void pointer_sync(void *opaque)
{
    Hid *h = opaque;
    const HidEvent *e;
    HidEvent *next;

    if (h->n == HID_QUEUE - 1 || merge(h))  /* full: what comes gathers in the last slot */
        return;
    e = slot(h, h->n);
    next = slot(h, h->n + 1);
    *next = (HidEvent){ .buttons_state = e->buttons_state };
    if (h->kind == HID_TABLET) {
        next->xdx = e->xdx;
        next->ydy = e->ydy;
    }
    h->n++;
    h->changed(h->dev);
}

/* ---- Reports ---- */

static unsigned put(uint8_t *buf, unsigned len, const uint8_t *report, unsigned n)
{
    n = MIN(n, len);
    memcpy(buf, report, n);
    return n;
}

static int take(int32_t *v)
{
    const int part = CLAMP(*v, -127, 127);

    *v -= part;
    return part;
}

void hid_activate(Hid *h)
{
    if (!h->active)
        input_activate(h->input);
    h->active = true;
}

static unsigned pointer_report(Hid *h, uint8_t *buf, unsigned len)
{
    HidEvent *e = slot(h, h->n ? 0 : HID_QUEUE - 1);    /* none: the last one again */
    int x, y, z;

    hid_activate(h);
    x = h->kind == HID_MOUSE ? take(&e->xdx) : e->xdx;
    y = h->kind == HID_MOUSE ? take(&e->ydy) : e->ydy;
    z = -take(&e->dz);
    if (h->n && !e->dz && (h->kind == HID_TABLET || (!e->xdx && !e->ydy))) {
        h->head = (h->head + 1) % HID_QUEUE;
        h->n--;
    }
    if (h->kind == HID_MOUSE)
        return put(buf, len, (const uint8_t[]){ e->buttons_state, x, y, z }, 4);
    return put(buf, len, (const uint8_t[]){ e->buttons_state, x, x >> 8, y, y >> 8, z }, 6);
}

bool hid_has_report(const Hid *h)
{
    return h->n || h->idle_pending;
}

unsigned hid_report(Hid *h, uint8_t *buf, unsigned len)
{
    return h->kind == HID_KEYBOARD ? hid_keyboard_report(h, buf, len) : pointer_report(h, buf, len);
}

/* ---- Idle rate ---- */

static void start_idle(Hid *h, uint64_t from)
{
    if (h->idle) {
        h->idle_at = from + h->idle * IDLE_UNIT;
        timer_arm(&h->idle_timer, h->idle_at);
    } else {
        h->idle_at = 0;
        timer_stop(&h->idle_timer);
    }
}

static void idle_over(void *opaque)
{
    Hid *h = opaque;

    h->idle_pending = true;
    h->idle_at = 0;
    h->changed(h->dev);
}

void hid_set_idle(Hid *h, uint8_t idle)
{
    h->idle = idle;
    start_idle(h, vm_now(&h->dev->dev));
}

void hid_polled(Hid *h)
{
    h->idle_pending = false;
    if (h->idle || h->idle_at)
        start_idle(h, vm_now(&h->dev->dev));
}

/* ---- Lights ---- */

static void show_leds(const Hid *h)
{
    input_set_leds((h->leds & 1 ? INPUT_LED_NUM : 0) | (h->leds & 2 ? INPUT_LED_CAPS : 0) | (h->leds & 4 ? INPUT_LED_SCROLL : 0));
}

void hid_set_leds(Hid *h, uint8_t leds)
{
    h->leds = leds;
    show_leds(h);
}

/* ---- Life ---- */

static const InputOps keyboard_ops = { .name = "QEMU HID Keyboard", .kinds = INPUT_KEY, .key = hid_keyboard_key };
static const InputOps mouse_ops = {
    .name = "QEMU HID Mouse", .kinds = INPUT_BUTTON | INPUT_REL, .button = pointer_button, .rel = pointer_rel, .sync = pointer_sync,
};
static const InputOps tablet_ops = {
    .name = "QEMU HID Tablet", .kinds = INPUT_BUTTON | INPUT_ABS, .button = pointer_button, .abs = pointer_abs, .sync = pointer_sync,
};

void hid_init(Hid *h, UsbDevice *d, HidKind kind, Console *con, void (*changed)(UsbDevice *d))
{
    h->dev = d;
    h->kind = kind;
    h->changed = changed;
    timer_init(&h->idle_timer, &d->dev, idle_over, h);
    h->input = input_register(kind == HID_KEYBOARD ? &keyboard_ops : kind == HID_MOUSE ? &mouse_ops : &tablet_ops, h, con);
    if (kind == HID_KEYBOARD)
        hid_activate(h);
    hid_reset(h);
}

void hid_fini(Hid *h)
{
    timer_stop(&h->idle_timer);
    input_unregister(h->input);
    h->input = NULL;
}

void hid_reset(Hid *h)
{
    memset(h->queue, 0, sizeof h->queue);
    memset(h->keycodes, 0, sizeof h->keycodes);
    memset(h->key, 0, sizeof h->key);
    h->keys = h->modifiers = h->head = h->n = 0;
    h->protocol = 1;
    h->idle = h->idle_pending = 0;
    start_idle(h, 0);
}

/* The idle timer is not in the stream: it begins anew, unless what a twin got directly says when it ends. */
bool hid_loaded(Hid *h, GError **err)
{
    if (h->kind != HID_KEYBOARD && h->n == HID_QUEUE)
        h->n = HID_QUEUE - 1;
    if (!h->idle)
        h->idle_at = 0;
    else if (!h->idle_at && !h->idle_pending)
        h->idle_at = vm_now(&h->dev->dev) + h->idle * IDLE_UNIT;
    if (h->idle_at)
        timer_arm(&h->idle_timer, h->idle_at);
    else
        timer_stop(&h->idle_timer);
    if (h->kind == HID_KEYBOARD)
        show_leds(h);
    h->active = h->kind == HID_KEYBOARD;
    return true;
}

static const Field event_fields[] = {
    FIELD(HidEvent, xdx), FIELD(HidEvent, ydy), FIELD(HidEvent, dz), FIELD(HidEvent, buttons_state), {0}
};
static const StateTable event_state = { .name = "HIDPointerEventQueue", .version = 1, .min_version = 1, .fields = event_fields };

#define F(m, ...) FIELD(Hid, m, ##__VA_ARGS__)
#define HID_TAIL F(head, .max = HID_QUEUE - 1), F(n, .max = HID_QUEUE), F(protocol, .reset = 1), F(idle), LOCAL(Hid, idle_pending), \
    LOCAL(Hid, idle_at), HOST(Hid, kind), HOST(Hid, idle_timer), HOST(Hid, input), HOST(Hid, active), HOST(Hid, changed), HOST(Hid, dev), {0}

static const Field pointer_fields[] = {
    STRUCTS(Hid, queue, &event_state, .name = "ptr.queue"), HOST(Hid, keycodes), HOST(Hid, modifiers), HOST(Hid, leds), HOST(Hid, key),
    HOST(Hid, keys), HID_TAIL
};
static const Field keyboard_fields[] = {
    HOST(Hid, queue), F(keycodes, .name = "kbd.keycodes", .max = 255), F(head, .max = HID_QUEUE - 1), F(n, .max = HID_QUEUE),
    F(modifiers, .name = "kbd.modifiers"), F(leds, .name = "kbd.leds"), F(key, .name = "kbd.key"),
    F(keys, .name = "kbd.keys", .min = 0, .max = 16), F(protocol, .reset = 1), F(idle), LOCAL(Hid, idle_pending), LOCAL(Hid, idle_at),
    HOST(Hid, kind), HOST(Hid, idle_timer), HOST(Hid, input), HOST(Hid, active), HOST(Hid, changed), HOST(Hid, dev), {0}
};
const StateTable hid_pointer_state = { .name = "HIDPointerDevice", .version = 1, .min_version = 1, .fields = pointer_fields };
const StateTable hid_keyboard_state = { .name = "HIDKeyboardDevice", .version = 1, .min_version = 1, .fields = keyboard_fields };
