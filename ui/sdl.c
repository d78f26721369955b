/*
 * The SDL window, main thread's half: copies what has changed on the console for the window's thread, and hands on
 * what that has heard of keyboard and mouse. See sdl-int.h.
 */
#include "ui/sdl-int.h"
#include "util/loop.h"
#include <string.h>

#define NOTES_MAX 4096      /* a main thread that is busy for long loses events */

SdlShared sdl_shared;
static DisplayListener listener;

/* ---- To the window ---- */

static void on_switch(DisplayListener *l, Surface *s)
{
    SdlShared *sh = &sdl_shared;

    g_mutex_lock(&sh->lock);
    if (sh->width != surface_width(s) || sh->height != surface_height(s)) {
        sh->width = surface_width(s);
        sh->height = surface_height(s);
        g_free(sh->pixels);
        sh->pixels = g_malloc0((size_t)sh->width * sh->height * 4);
        sh->resized = true;
    }
    g_mutex_unlock(&sh->lock);
}

static void on_update(DisplayListener *l, int x, int y, int w, int h)
{
    SdlShared *sh = &sdl_shared;
    pixman_box32_t *c = &sh->changed;

    g_mutex_lock(&sh->lock);
    if (x + w <= sh->width && y + h <= sh->height) {
        surface_read(console_surface(l->shown), x, y, w, h, sh->pixels + (size_t)y * sh->width + x, sh->width * 4);
        if (c->x1 >= c->x2) {
            *c = (pixman_box32_t){ x, y, x + w, y + h };
        } else {
            *c = (pixman_box32_t){ MIN(c->x1, x), MIN(c->y1, y), MAX(c->x2, x + w), MAX(c->y2, y + h) };
        }
    }
    g_mutex_unlock(&sh->lock);
}

static void on_refresh(DisplayListener *l)
{
    bool news;

    g_mutex_lock(&sdl_shared.lock);
    news = sdl_shared.resized || sdl_shared.changed.x1 < sdl_shared.changed.x2;
    g_mutex_unlock(&sdl_shared.lock);
    if (news) {
        window_wake();
    }
}

static const DisplayListenerOps listener_ops = {
    .name = "sdl", .refresh = on_refresh, .gfx_switch = on_switch, .gfx_update = on_update,
};

static void mode_changed(void *opaque)
{
    bool text = listener.shown && !console_is_graphic(listener.shown);
    bool absolute = text || input_is_absolute(listener.shown), differs;     /* a terminal needs no grab */

    g_mutex_lock(&sdl_shared.lock);
    differs = sdl_shared.absolute != absolute || sdl_shared.text != text;
    sdl_shared.absolute = absolute;
    sdl_shared.text = text;
    g_mutex_unlock(&sdl_shared.lock);
    if (differs) {
        window_wake();
    }
}

static void sdl_run_state(bool running)
{
    g_mutex_lock(&sdl_shared.lock);
    sdl_shared.running = running;
    g_mutex_unlock(&sdl_shared.lock);
    window_wake();
}

/* ---- From the window ---- */

static void wheel(Console *con, int amount, InputButton more, InputButton less)
{
    InputButton b = amount > 0 ? more : less;

    for (int n = MIN(ABS(amount), 10); n > 0; n--) {
        input_send_button(con, b, true);
        input_sync();
        input_send_button(con, b, false);
        input_sync();
    }
}

static void show_console(unsigned n)
{
    Console *con = console_by_index(n);

    if (con && con != listener.shown) {
        input_release_keys(listener.shown);
        listener_show(&listener, con);
        mode_changed(NULL);
    }
}

static void obey(const Note *n)
{
    Console *con = listener.shown;
    bool text = con && !console_is_graphic(con);

    if (text && n->kind >= NOTE_MOTION && n->kind <= NOTE_WHEEL) {
        return;
    }
    switch (n->kind) {
    case NOTE_KEY:
        if (!text) {
            input_send_key(con, n->a, n->b);
        } else if (n->b) {
            text_console_key(con, n->a, n->ctrl);
        }
        break;
    case NOTE_TEXT:
        if (text) {
            text_console_type(con, n->text);
        }
        break;
    case NOTE_MOTION:
        input_send_rel(con, INPUT_AXIS_X, n->a);
        input_send_rel(con, INPUT_AXIS_Y, n->b);
        input_sync();
        break;
    case NOTE_POSITION:
        input_send_abs(con, INPUT_AXIS_X, n->a, n->w);
        input_send_abs(con, INPUT_AXIS_Y, n->b, n->h);
        input_sync();
        break;
    case NOTE_BUTTON:
        input_send_button(con, n->a, n->b);
        input_sync();
        break;
    case NOTE_WHEEL:
        wheel(con, n->a, INPUT_BUTTON_WHEEL_UP, INPUT_BUTTON_WHEEL_DOWN);
        wheel(con, n->b, INPUT_BUTTON_WHEEL_RIGHT, INPUT_BUTTON_WHEEL_LEFT);
        break;
    case NOTE_RELEASE_KEYS:
        input_release_keys(con);
        break;
    case NOTE_CONSOLE:
        show_console(n->a);
        break;
    case NOTE_VISIBLE:
        listener_pause(&listener, !n->a);
        break;
    case NOTE_CLOSE:
        if (ui_host()->close) {
            ui_host()->close(ui_host()->opaque);
        }
        break;
    }
}

static void obey_notes(void *opaque)
{
    for (;;) {
        Note *n;

        g_mutex_lock(&sdl_shared.lock);
        n = g_queue_pop_head(&sdl_shared.notes);
        g_mutex_unlock(&sdl_shared.lock);
        if (!n) {
            return;
        }
        if (listener.added) {
            obey(n);
        }
        g_free(n);
    }
}

/* Successive motions become one. */
static bool merge(Note *last, const Note *n)
{
    if (!last || last->kind != n->kind) {
        return false;
    }
    if (n->kind == NOTE_MOTION) {
        last->a += n->a;
        last->b += n->b;
        return true;
    }
    if (n->kind == NOTE_POSITION) {
        *last = *n;
        return true;
    }
    return false;
}

void sdl_note(const Note *n)
{
    SdlShared *sh = &sdl_shared;
    bool first = false;

    g_mutex_lock(&sh->lock);
    if (!merge(g_queue_peek_tail(&sh->notes), n) && sh->notes.length < NOTES_MAX) {
        first = !sh->notes.length;
        g_queue_push_tail(&sh->notes, g_memdup2(n, sizeof *n));
    }
    g_mutex_unlock(&sh->lock);
    if (first) {
        main_loop_call(obey_notes, NULL);
    }
}

/* ---- Module ---- */

static bool sdl_start(const DisplayOptions *o, GError **err)
{
    if (!window_start(o, err)) {
        return false;
    }
    listener.ops = &listener_ops;
    listener_add(&listener);
    input_watch_mode(mode_changed, NULL);
    mode_changed(NULL);
    return true;
}

static void sdl_stop(void)
{
    input_unwatch_mode(mode_changed, NULL);
    listener_remove(&listener);
    window_stop();
    g_queue_clear_full(&sdl_shared.notes, g_free);
    g_clear_pointer(&sdl_shared.pixels, g_free);
}

const DisplayModule vmemu_display_module = {
    .name = "sdl", .start = sdl_start, .stop = sdl_stop, .run_state = sdl_run_state,
};
