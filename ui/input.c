/*
 * Input events: which device gets them, and the queue that gives the monitor's sendkey its pauses.
 *
 * An event from a window goes out at once, unless typed keys are still being played: then it waits behind them.
 */
#include "ui/console-int.h"
#include "ui/display.h"
#include "util/error.h"
#include <stdlib.h>
#include <string.h>

#define QUEUE_MAX 1024
#define HOLD_MS 100

struct InputHandler {
    const InputOps *ops;
    void *opaque;
    Console *con;
    int index;
    bool dirty;             /* has had events since the last sync */
};

typedef struct Event {
    InputKind kind;         /* 0: a pause */
    Console *con;
    int code;               /* key, button, axis; ms */
    int value;
} Event;

static GList *handlers;     /* the one to ask first at the front */
static int next_index = 1;
static GQueue queue = G_QUEUE_INIT;
static bool pausing;        /* until the host's delay is over */
static bool key_down[QKEY_COUNT];
static unsigned leds;

typedef void AnyFn(void);
typedef struct Watch { AnyFn *fn; void *opaque; } Watch;
static GArray *led_watches, *mode_watches;

/* ---- Watchers ---- */

static void watch_add(GArray **a, AnyFn *fn, void *opaque)
{
    Watch w = { fn, opaque };

    if (!*a) {
        *a = g_array_new(false, false, sizeof w);
    }
    g_array_append_val(*a, w);
}

static void watch_del(GArray *a, AnyFn *fn, void *opaque)
{
    for (unsigned i = 0; a && i < a->len; i++) {
        Watch *w = &g_array_index(a, Watch, i);

        if (w->fn == fn && w->opaque == opaque) {
            g_array_remove_index(a, i);
            return;
        }
    }
}

void input_watch_leds(InputLedFn *fn, void *opaque)
{
    watch_add(&led_watches, (AnyFn *)fn, opaque);
    fn(opaque, leds);
}

void input_unwatch_leds(InputLedFn *fn, void *opaque)
{
    watch_del(led_watches, (AnyFn *)fn, opaque);
}

void input_set_leds(unsigned now)
{
    leds = now;
    for (unsigned i = 0; led_watches && i < led_watches->len; i++) {
        Watch *w = &g_array_index(led_watches, Watch, i);

        ((InputLedFn *)w->fn)(w->opaque, leds);
    }
}

void input_watch_mode(void (*fn)(void *opaque), void *opaque)
{
    watch_add(&mode_watches, (AnyFn *)fn, opaque);
}

void input_unwatch_mode(void (*fn)(void *opaque), void *opaque)
{
    watch_del(mode_watches, (AnyFn *)fn, opaque);
}

static void mode_changed(void)
{
    for (unsigned i = 0; mode_watches && i < mode_watches->len; i++) {
        Watch *w = &g_array_index(mode_watches, Watch, i);

        ((void (*)(void *))w->fn)(w->opaque);
    }
}

/* ---- Devices ---- */

InputHandler *input_register(const InputOps *ops, void *opaque, Console *con)
{
    InputHandler *h = g_new0(InputHandler, 1);

    h->ops = ops;
    h->opaque = opaque;
    h->con = con;
    h->index = next_index++;
    handlers = g_list_append(handlers, h);
    mode_changed();
    return h;
}

void input_unregister(InputHandler *h)
{
    if (h) {
        handlers = g_list_remove(handlers, h);
        g_free(h);
        mode_changed();
    }
}

void input_activate(InputHandler *h)
{
    handlers = g_list_prepend(g_list_remove(handlers, h), h);
    mode_changed();
}

void input_deactivate(InputHandler *h)
{
    handlers = g_list_append(g_list_remove(handlers, h), h);
    mode_changed();
}

void input_bind(InputHandler *h, Console *con)
{
    h->con = con;
}

void input_console_gone(Console *con)
{
    for (GList *i = handlers; i; i = i->next) {
        InputHandler *h = i->data;

        if (h->con == con) {
            h->con = NULL;
        }
    }
    for (GList *i = queue.head; i; i = i->next) {
        Event *e = i->data;

        if (e->con == con) {
            e->con = NULL;
        }
    }
}

static InputHandler *handler_for(unsigned kinds, Console *con)
{
    InputHandler *any = NULL;

    for (GList *i = handlers; i; i = i->next) {
        InputHandler *h = i->data;

        if (!(h->ops->kinds & kinds)) {
            continue;
        }
        if (con && h->con == con) {
            return h;
        }
        if (!any && !h->con) {
            any = h;
        }
    }
    return any;
}

/* ---- Delivery ---- */

static void deliver(const Event *e)
{
    InputHandler *h = handler_for(e->kind, e->con);

    if (!h) {
        return;
    }
    h->dirty = true;
    switch (e->kind) {
    case INPUT_KEY:
        h->ops->key(h->opaque, e->code, e->value);
        break;
    case INPUT_BUTTON:
        h->ops->button(h->opaque, e->code, e->value);
        break;
    case INPUT_REL:
        h->ops->rel(h->opaque, e->code, e->value);
        break;
    case INPUT_ABS:
        h->ops->abs(h->opaque, e->code, e->value);
        break;
    }
}

void input_sync(void)
{
    for (GList *i = handlers; i; i = i->next) {
        InputHandler *h = i->data;

        if (h->dirty) {
            h->dirty = false;
            if (h->ops->sync) {
                h->ops->sync(h->opaque);
            }
        }
    }
}

static void queue_run(void *unused)
{
    Event *e;

    pausing = false;
    while (!pausing && (e = g_queue_pop_head(&queue))) {
        if (e->kind) {
            deliver(e);
            input_sync();
        } else if (ui_host()->delay) {
            pausing = true;
            ui_host()->delay(ui_host()->opaque, e->code, queue_run, NULL);
        }
        g_free(e);
    }
}

static bool input_wanted(void)
{
    const UiHost *host = ui_host();

    return !host->is_running || host->is_running(host->opaque);
}

static void enqueue(InputKind kind, Console *con, int code, int value)
{
    Event e = { kind, con, code, value };

    if (g_queue_get_length(&queue) < QUEUE_MAX) {
        g_queue_push_tail(&queue, g_memdup2(&e, sizeof e));
    }
}

static void send(InputKind kind, Console *con, int code, int value)
{
    Event e = { kind, con, code, value };

    if (!input_wanted()) {
        return;
    }
    if (kind == INPUT_KEY && (pausing || queue.head)) {
        enqueue(kind, con, code, value);
        return;
    }
    deliver(&e);
}

void input_send_key(Console *con, QKeyCode key, bool down)
{
    if (key <= QKEY_UNMAPPED || key >= QKEY_COUNT) {
        return;
    }
    key_down[key] = down;
    send(INPUT_KEY, con, key, down);
    input_sync();
}

void input_release_keys(Console *con)
{
    for (int i = 1; i < QKEY_COUNT; i++) {
        if (key_down[i]) {
            input_send_key(con, i, false);
        }
    }
}

void input_send_button(Console *con, InputButton b, bool down)
{
    send(INPUT_BUTTON, con, b, down);
}

void input_send_buttons(Console *con, unsigned *was, unsigned now)
{
    for (int b = 0; b < INPUT_BUTTON_COUNT; b++) {
        if ((*was ^ now) >> b & 1) {
            input_send_button(con, b, now >> b & 1);
        }
    }
    *was = now;
}

void input_send_rel(Console *con, InputAxis axis, int delta)
{
    send(INPUT_REL, con, axis, delta);
}

void input_send_abs(Console *con, InputAxis axis, int value, int size)
{
    int v = size > 0 ? (int64_t)CLAMP(value, 0, size) * INPUT_ABS_MAX / size : 0;

    send(INPUT_ABS, con, axis, v);
}

bool input_has_handler(Console *con, InputKind kind)
{
    return handler_for(kind, con);
}

bool input_is_absolute(Console *con)
{
    InputHandler *h = handler_for(INPUT_REL | INPUT_ABS, con);

    return h && h->ops->kinds & INPUT_ABS;
}

/* ---- Monitor ---- */

bool input_parse_keys(const char *s, QKeyCode keys[INPUT_MAX_KEYS], unsigned *n, GError **err)
{
    for (*n = 0; ; s++) {
        size_t len = strcspn(s, "-");
        g_autofree char *name = g_strndup(s, len);
        char *end = name;
        QKeyCode key;

        if (*n == INPUT_MAX_KEYS) {
            return error_set(err, "too many keys");
        }
        if (!strcmp(name, "<")) {
            key = QKEY_LESS;
        } else if (g_str_has_prefix(name, "0x")) {
            unsigned long number = strtoul(name, &end, 0);

            key = number <= 0xff ? key_from_number(number) : QKEY_UNMAPPED;
            if (*end) {
                return error_set(err, "invalid parameter: %s", name);
            }
        } else if (!(key = key_from_name(name)) && strcmp(name, "unmapped")) {
            return error_set(err, "invalid parameter: %s", name);
        }
        keys[(*n)++] = key;
        s += len;
        if (!*s) {
            return true;
        }
    }
}

void input_send_keys(const QKeyCode *keys, unsigned n, unsigned hold_ms)
{
    unsigned ms = hold_ms ? hold_ms : HOLD_MS;

    if (!input_wanted()) {
        return;
    }
    for (unsigned i = 0; i < n; i++) {
        enqueue(INPUT_KEY, NULL, keys[i], true);
        enqueue(0, NULL, ms, 0);
    }
    for (unsigned i = n; i-- > 0; ) {
        enqueue(INPUT_KEY, NULL, keys[i], false);
        enqueue(0, NULL, ms, 0);
    }
    if (!pausing) {
        queue_run(NULL);
    }
}

void input_mouse_move(int dx, int dy, int dz)
{
    input_send_rel(NULL, INPUT_AXIS_X, dx);
    input_send_rel(NULL, INPUT_AXIS_Y, dy);
    if (dz) {
        InputButton b = dz > 0 ? INPUT_BUTTON_WHEEL_UP : INPUT_BUTTON_WHEEL_DOWN;

        input_send_button(NULL, b, true);
        input_sync();
        input_send_button(NULL, b, false);
    }
    input_sync();
}

void input_mouse_button(unsigned buttons)
{
    static unsigned was;
    unsigned now = (buttons & 1 ? 1u << INPUT_BUTTON_LEFT : 0) | (buttons & 2 ? 1u << INPUT_BUTTON_RIGHT : 0) |
        (buttons & 4 ? 1u << INPUT_BUTTON_MIDDLE : 0);

    input_send_buttons(NULL, &was, now);
    input_sync();
}

void input_foreach_mouse(void (*fn)(const MouseInfo *m, void *opaque), void *opaque)
{
    const unsigned kinds = INPUT_REL | INPUT_ABS;
    const InputHandler *first = NULL;

    for (GList *i = handlers; i && !first; i = i->next) {
        InputHandler *h = i->data;

        first = h->ops->kinds & kinds ? h : NULL;
    }
    for (GList *i = g_list_last(handlers); i; i = i->prev) {
        InputHandler *h = i->data;
        MouseInfo m = { h->ops->name, h->index, h == first, h->ops->kinds & INPUT_ABS };

        if (h->ops->kinds & kinds) {
            fn(&m, opaque);
        }
    }
}

bool input_mouse_set(int index, GError **err)
{
    for (GList *i = handlers; i; i = i->next) {
        InputHandler *h = i->data;

        if (h->index == index) {
            if (!(h->ops->kinds & (INPUT_REL | INPUT_ABS))) {
                return error_set(err, "Input device '%s' is not a mouse", h->ops->name);
            }
            input_activate(h);
            return true;
        }
    }
    return error_set(err, "Mouse at index '%d' not found", index);
}

static void print_mouse(const MouseInfo *m, void *opaque)
{
    g_string_append_printf(opaque, "%c Mouse #%d: %s%s\n", m->current ? '*' : ' ', m->index, m->name,
                           m->absolute ? " (absolute)" : "");
}

void input_print_mice(GString *out)
{
    gsize len = out->len;

    input_foreach_mouse(print_mouse, out);
    if (out->len == len) {
        g_string_append(out, "No mouse devices connected\n");
    }
}
