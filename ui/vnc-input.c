/* What VNC clients type and point at: main thread. See vnc-int.h. */
#include "ui/layout.h"
#include "ui/vnc-int.h"

static void show_console(VncServer *s, unsigned n)
{
    Console *con = console_by_index(n);

    if (con && con != s->listener.shown) {
        input_release_keys(s->listener.shown);
        listener_show(&s->listener, con);
        vnc_tell_state(s);
    }
}

static void press(VncClient *c, QKeyCode key, bool down)
{
    Console *con = c->server->listener.shown;

    if (down || c->down[key]) {
        c->down[key] = down;
        input_send_key(con, key, down);
    }
}

static void tap(VncClient *c, QKeyCode key)
{
    press(c, key, true);
    press(c, key, false);
}

/* The guest's Caps Lock and Num Lock become what the client's must be to have made this keysym. */
static void sync_locks(VncClient *c, uint32_t keysym)
{
    bool upper = keysym >= 'A' && keysym <= 'Z', lower = keysym >= 'a' && keysym <= 'z';
    bool digit = keysym >= 0xffb0 && keysym <= 0xffb9, move = keysym >= 0xff95 && keysym <= 0xff9e;
    bool caps = c->server->leds & INPUT_LED_CAPS, num = c->server->leds & INPUT_LED_NUM;

    if (!c->server->config->lock_key_sync)
        return;
    if ((upper || lower) && !c->ctrl && !c->alt && (upper != c->shift) != caps)
        tap(c, QKEY_CAPS_LOCK);
    if ((digit || move) && !c->shift && digit != num)
        tap(c, QKEY_NUM_LOCK);
}

static void track_modifiers(VncClient *c, QKeyCode key, bool down)
{
    if (key == QKEY_CTRL || key == QKEY_CTRL_R)
        c->ctrl = down;
    else if (key == QKEY_ALT || key == QKEY_ALT_R)
        c->alt = down;
    else if (key == QKEY_SHIFT || key == QKEY_SHIFT_R)
        c->shift = down;
}

/* With -k the keysym counts even if the client tells the key: its keyboard may not be the guest's. */
static QKeyCode key_of(const VncNote *n)
{
    const bool *down = n->client->down;
    unsigned mods = (down[QKEY_SHIFT] || down[QKEY_SHIFT_R] ? LAYOUT_SHIFT : 0) | (down[QKEY_ALT_R] ? LAYOUT_ALTGR : 0) |
        (down[QKEY_CTRL] || down[QKEY_CTRL_R] ? LAYOUT_CTRL : 0);
    bool upper = n->keysym >= 'A' && n->keysym <= 'Z';
    const LayoutKey *k;

    if (n->number && !layout_selected())
        return key_from_number(n->number);
    k = layout_find(upper ? n->keysym - 'A' + 'a' : n->keysym, mods, n->down ? NULL : down);
    return k ? k->key : QKEY_UNMAPPED;
}

void vnc_on_key(const VncNote *n)
{
    QKeyCode key = key_of(n);
    VncClient *c = n->client;
    char text[8];

    track_modifiers(c, key, n->down);
    if (n->down && c->ctrl && c->alt && key >= QKEY_1 && key <= QKEY_9) {
        show_console(c->server, key - QKEY_1);
    } else if (!vnc_shows_text(c->server)) {
        if (n->down && !n->number)
            sync_locks(c, n->keysym);
        if (key != QKEY_UNMAPPED)
            press(c, key, n->down);
    } else if (n->down && !c->ctrl && vnc_text_of(n->keysym, text)) {
        text_console_type(c->server->listener.shown, text);
    } else if (n->down && key != QKEY_UNMAPPED) {
        text_console_key(c->server->listener.shown, key, c->ctrl);
    }
}

void vnc_on_pointer(const VncNote *n)
{
    VncClient *c = n->client;
    Console *con = c->server->listener.shown;
    unsigned now = (n->buttons & 0x1f) | (n->buttons & 0x60) << 2;  /* 5, 6: wheel to the left and to the right */

    if (vnc_shows_text(c->server))
        return;
    if (input_is_absolute(con)) {
        input_send_abs(con, INPUT_AXIS_X, CLAMP(n->x, 0, c->server->frame->width - 1), c->server->frame->width);
        input_send_abs(con, INPUT_AXIS_Y, CLAMP(n->y, 0, c->server->frame->height - 1), c->server->frame->height);
    } else if (n->relative) {
        input_send_rel(con, INPUT_AXIS_X, n->x - 0x7fff);
        input_send_rel(con, INPUT_AXIS_Y, n->y - 0x7fff);
    } else if (c->x >= 0) {
        input_send_rel(con, INPUT_AXIS_X, n->x - c->x);
        input_send_rel(con, INPUT_AXIS_Y, n->y - c->y);
    }
    c->x = n->x;
    c->y = n->y;
    input_send_buttons(con, &c->buttons, now);
    input_sync();
}

void vnc_release_all(VncClient *c)
{
    for (unsigned k = 0; k < QKEY_COUNT; k++)
        press(c, k, false);
    if (c->buttons) {
        input_send_buttons(c->server->listener.shown, &c->buttons, 0);
        input_sync();
    }
}
