/*
 * Consoles and their listeners: who draws on what, and when.
 *
 * Each listener plans its own next refresh. After one that changed something the next comes an interval later; while
 * nothing changes the pauses grow, as far as the device allows; a device that traps its changes (CONSOLE_IDLE) lets
 * the listener sleep until console_kick.
 */
#include "ui/console-int.h"
#include <string.h>

#define INTERVAL_MS 30
#define POLL_MAX_MS 100         /* the longest pause while a device has to be asked */
#define QUIET_US 1000000        /* pauses grow after that long without a change */

static GPtrArray *consoles;     /* by index; NULL: free place */
static GSList *listeners;

static void listener_plan(DisplayListener *l, gint64 at);

Console *console_by_index(unsigned i)
{
    return consoles && i < consoles->len ? g_ptr_array_index(consoles, i) : NULL;
}

unsigned console_count(void)
{
    unsigned n = 0;

    for (unsigned i = 0; consoles && i < consoles->len; i++) {
        n += g_ptr_array_index(consoles, i) != NULL;
    }
    return n;
}

static Console *console_first(void)
{
    Console *con = NULL;

    for (unsigned i = 0; consoles && i < consoles->len && !con; i++) {
        con = g_ptr_array_index(consoles, i);
    }
    return con;
}

Console *console_by_device(const char *device, unsigned head)
{
    for (unsigned i = 0; consoles && i < consoles->len; i++) {
        Console *con = g_ptr_array_index(consoles, i);

        if (con && con->device && !strcmp(con->device, device) && con->head == head) {
            return con;
        }
    }
    return NULL;
}

unsigned console_index(const Console *con) { return con->index; }
bool console_is_graphic(const Console *con) { return !con->text; }
const char *console_device(const Console *con) { return con->device; }
unsigned console_head(const Console *con) { return con->head; }
Surface *console_surface(Console *con) { con = con ? con : console_first(); return con ? con->surface : NULL; }

char *console_label(const Console *con)
{
    if (con->text) {
        return g_strdup(con->label ? con->label : "vc");
    }
    if (!con->device) {
        return g_strdup("VGA");
    }
    return con->head ? g_strdup_printf("%s.%u", con->device, con->head) : g_strdup(con->device);
}

/* ---- Listeners ---- */

static bool watches(const DisplayListener *l, const Console *con)
{
    return l->shown == con && !l->paused;
}

bool console_is_watched(const Console *con)
{
    return con->watched;
}

bool console_shows_pixels(const Console *con)
{
    for (GSList *i = listeners; i; i = i->next) {
        const DisplayListener *l = i->data;

        if (watches(l, con) && !l->text) {
            return true;
        }
    }
    return false;
}

static void check_watched(Console *con)
{
    bool on = false;

    for (GSList *i = listeners; i && !on; i = i->next) {
        on = watches(i->data, con);
    }
    if (on != con->watched) {
        con->watched = on;
        if (con->ops->watched) {
            con->ops->watched(con->opaque, on);
        }
    }
}

static gint64 interval_us(const DisplayListener *l)
{
    return (l->interval ? l->interval : INTERVAL_MS) * (gint64)1000;
}

/* When to look again, after a refresh at `now` for which the device answered `r`. */
static gint64 next_refresh(DisplayListener *l, const Console *con, int r, gint64 now)
{
    gint64 step = interval_us(l), quiet = now - con->changed_at;

    if (quiet >= QUIET_US) {
        step = MIN(quiet / 16, MAX(step, POLL_MAX_MS * 1000));
    }
    if (r == CONSOLE_POLL) {
        return now + step;
    }
    return r < 0 ? 0 : now + MAX(r * (gint64)1000, interval_us(l));
}

static void listener_refresh(DisplayListener *l)
{
    Console *con = l->shown;
    gint64 now = g_get_monotonic_time();
    int r = CONSOLE_IDLE;

    l->last = now;
    if (con) {
        con->kicked = false;
        r = con->ops->update(con->opaque);
    }
    if (l->ops->refresh) {
        l->ops->refresh(l);
    }
    if (l->added && !l->paused && con && con == l->shown) {
        gint64 at = next_refresh(l, con, con->kicked ? CONSOLE_POLL : r, now);

        con->sleeping = !at;
        if (at) {
            listener_plan(l, at);
        }
    }
}

static gboolean refresh_due(gpointer opaque)
{
    DisplayListener *l = opaque;

    l->source = 0;
    listener_refresh(l);
    return G_SOURCE_REMOVE;
}

static void listener_unplan(DisplayListener *l)
{
    if (l->source) {
        g_source_remove(l->source);
        l->source = 0;
    }
}

static void listener_plan(DisplayListener *l, gint64 at)
{
    gint64 now = g_get_monotonic_time();

    if (l->source && l->due <= at) {
        return;
    }
    listener_unplan(l);
    l->due = at;
    l->source = g_timeout_add(at > now ? (at - now + 999) / 1000 : 0, refresh_due, l);
}

void listener_kick(DisplayListener *l)
{
    if (l->added && !l->paused) {
        listener_plan(l, l->last + interval_us(l));
    }
}

void console_kick(Console *con)
{
    con->kicked = true;
    if (!con->sleeping) {
        return;
    }
    con->sleeping = false;
    con->changed_at = g_get_monotonic_time();
    for (GSList *i = listeners; i; i = i->next) {
        if (watches(i->data, con)) {
            listener_kick(i->data);
        }
    }
}

static void listener_paint_all(DisplayListener *l)
{
    Console *con = l->shown;

    if (l->ops->gfx_switch) {
        l->ops->gfx_switch(l, con->surface);
    }
    if (l->ops->cursor_define) {
        l->ops->cursor_define(l, con->cursor);
    }
    if (l->ops->cursor_move) {
        l->ops->cursor_move(l, con->cursor_x, con->cursor_y, con->cursor_on);
    }
    con->changed_at = g_get_monotonic_time();
    listener_plan(l, 0);
    if (l->ops->gfx_update) {
        l->ops->gfx_update(l, 0, 0, surface_width(con->surface), surface_height(con->surface));
    }
}

static void listener_set_shown(DisplayListener *l, Console *con)
{
    Console *was = l->shown;

    l->shown = con;
    if (was && was != con) {
        check_watched(was);
    }
    if (!con) {
        listener_unplan(l);
        return;
    }
    check_watched(con);
    console_prepare(con);
    console_invalidate(con);
    listener_paint_all(l);
}

void listener_add(DisplayListener *l)
{
    g_assert(!l->added);
    l->added = true;
    l->last = 0;
    listeners = g_slist_append(listeners, l);
    listener_set_shown(l, l->con ? l->con : console_first());
}

void listener_remove(DisplayListener *l)
{
    if (!l->added) {
        return;
    }
    l->added = false;
    listener_unplan(l);
    listeners = g_slist_remove(listeners, l);
    listener_set_shown(l, NULL);
}

void listener_show(DisplayListener *l, Console *con)
{
    l->con = con;
    if (l->added) {
        listener_set_shown(l, con ? con : console_first());
    }
}

void listener_pause(DisplayListener *l, bool on)
{
    if (l->paused == on) {
        return;
    }
    l->paused = on;
    if (on) {
        listener_unplan(l);
    }
    if (l->added && l->shown) {
        listener_set_shown(l, l->shown);
        if (on) {
            listener_unplan(l);
        }
    }
}

/* ---- The device's side ---- */

/* The lowest free index; the first graphics consoles come before the text consoles, which exist before any device. */
static void place(Console *con, bool text)
{
    unsigned i = 0;

    if (!consoles) {
        consoles = g_ptr_array_new();
    }
    for (; i < consoles->len && g_ptr_array_index(consoles, i); i++) {
        if (!text && !listeners && ((Console *)g_ptr_array_index(consoles, i))->text) {
            break;
        }
    }
    if (i < consoles->len && !g_ptr_array_index(consoles, i)) {
        g_ptr_array_index(consoles, i) = con;
    } else {
        g_ptr_array_insert(consoles, i, con);
    }
    for (i = 0; i < consoles->len; i++) {
        if (g_ptr_array_index(consoles, i)) {
            ((Console *)g_ptr_array_index(consoles, i))->index = i;
        }
    }
}

Console *console_new_kind(const ConsoleOps *ops, void *opaque, bool text)
{
    Console *con = g_new0(Console, 1);

    place(con, text);
    con->ops = ops;
    con->opaque = opaque;
    con->text = text;
    con->surface = surface_new(640, 480);
    con->untouched = !text;
    for (GSList *j = listeners; j; j = j->next) {
        DisplayListener *l = j->data;

        if (!text && !l->shown && !l->con) {
            listener_set_shown(l, con);
        }
    }
    return con;
}

Console *console_new(const ConsoleOps *ops, void *opaque, const char *device, unsigned head)
{
    Console *con = console_new_kind(ops, opaque, false);

    con->device = g_strdup(device);
    con->head = head;
    return con;
}

void console_free(Console *con)
{
    if (!con) {
        return;
    }
    g_ptr_array_index(consoles, con->index) = NULL;
    for (GSList *i = listeners; i; i = i->next) {
        DisplayListener *l = i->data;

        if (l->con == con) {
            l->con = NULL;
        }
        if (l->shown == con) {
            l->shown = NULL;
            listener_set_shown(l, console_first());
        }
    }
    input_console_gone(con);
    surface_free(con->surface);
    g_free(con->cursor);
    g_free(con->device);
    g_free(con->label);
    g_free(con);
}

void console_prepare(Console *con)
{
    if (con->untouched) {
        con->untouched = false;
        surface_message(con->surface, "Guest has not initialized the display (yet).");
    }
}

void console_set_surface(Console *con, Surface *s)
{
    Surface *old = con->surface;

    con->untouched = false;
    con->surface = s;
    con->changed_at = g_get_monotonic_time();
    for (GSList *i = listeners; i; i = i->next) {
        DisplayListener *l = i->data;

        if (l->shown == con && l->ops->gfx_switch) {
            l->ops->gfx_switch(l, s);
        }
    }
    surface_free(old);
}

void console_resize(Console *con, int width, int height)
{
    if (con->surface->shared || surface_width(con->surface) != width || surface_height(con->surface) != height) {
        console_set_surface(con, surface_new(width, height));
    }
}

void console_update(Console *con, int x, int y, int w, int h)
{
    int width = surface_width(con->surface), height = surface_height(con->surface);

    x = CLAMP(x, 0, width);
    y = CLAMP(y, 0, height);
    w = MIN(w, width - x);
    h = MIN(h, height - y);
    if (w <= 0 || h <= 0) {
        return;
    }
    con->changed_at = g_get_monotonic_time();
    for (GSList *i = listeners; i; i = i->next) {
        DisplayListener *l = i->data;

        if (watches(l, con) && l->ops->gfx_update) {
            l->ops->gfx_update(l, x, y, w, h);
        }
    }
}

void console_invalidate(Console *con)
{
    if (con->ops->invalidate) {
        con->ops->invalidate(con->opaque);
    }
}

void console_refresh(Console *con)
{
    con->ops->update(con->opaque);
}

void console_ui_info(Console *con, const UiInfo *info)
{
    if (con->ops->ui_info) {
        con->ops->ui_info(con->opaque, info);
    }
}

/* ---- Text ---- */

void text_screen_resize(TextScreen *t, unsigned cols, unsigned rows)
{
    if (cols * rows > t->room) {
        t->room = cols * rows;
        t->cells = g_renew(uint16_t, t->cells, t->room);
    }
    t->cols = cols;
    t->rows = rows;
}

void text_screen_free(TextScreen *t)
{
    g_clear_pointer(&t->cells, g_free);
    t->room = t->cols = t->rows = 0;
}

void console_text(Console *con, TextScreen *t)
{
    t->cols = t->rows = 0;
    t->cursor_x = t->cursor_y = -1;
    t->cp437 = false;
    t->message = NULL;
    if (con->ops->text) {
        con->ops->text(con->opaque, t);
    }
}

/* ---- The pointer's shape ---- */

void console_define_cursor(Console *con, const ConsoleCursor *c)
{
    g_free(con->cursor);
    con->cursor = c ? g_memdup2(c, sizeof *c + (gsize)c->width * c->height * 4) : NULL;
    for (GSList *i = listeners; i; i = i->next) {
        DisplayListener *l = i->data;

        if (l->shown == con && l->ops->cursor_define) {
            l->ops->cursor_define(l, con->cursor);
        }
    }
}

void console_move_cursor(Console *con, int x, int y, bool visible)
{
    con->cursor_x = x;
    con->cursor_y = y;
    con->cursor_on = visible;
    for (GSList *i = listeners; i; i = i->next) {
        DisplayListener *l = i->data;

        if (l->shown == con && l->ops->cursor_move) {
            l->ops->cursor_move(l, x, y, visible);
        }
    }
}

const ConsoleCursor *console_cursor(const Console *con, int *x, int *y, bool *visible)
{
    *x = con->cursor_x;
    *y = con->cursor_y;
    *visible = con->cursor_on;
    return con->cursor;
}
