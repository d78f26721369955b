/*
 * Consoles: what a display device draws on and what windows, VNC and screendump show.
 *
 *   device    con = console_new(&ops, dev, "VGA");   console_set_surface(con, s);   console_update(con, x, y, w, h);
 *   window    listener.ops = &ops; listener.con = con; listener_add(&listener);   -> gfx_switch, gfx_update, ...
 *
 * A device draws only when it is asked to (ops.update): while a listener watches the console, at the listener's
 * refresh interval, or for a screendump. Nobody watches: no timer, no work. Somebody watches but nothing changes:
 * update says how long the console can do without it (see ConsoleOps), and console_kick ends that early.
 *
 * Everything here is called on the main thread, or on a vCPU thread, with the machine lock.
 */
#ifndef UI_CONSOLE_H
#define UI_CONSOLE_H
#include "ui/input.h"
#include <glib.h>
#include <pixman.h>
#include <stdbool.h>
#include <stdint.h>

/* A picture. It either owns its pixels or shows memory of the device (video RAM), which then must stay valid as long
 * as the surface is set. Formats: PIXMAN_x8r8g8b8 (normal), b8g8r8x8, r8g8b8, r5g6b5, x1r5g5b5; host byte order. */
typedef struct Surface {
    pixman_image_t *image;
    bool shared;                /* shows the device's memory */
} Surface;

#define SURFACE_MAX 32767       /* pixels on a side */

Surface *surface_new(int width, int height);                /* x8r8g8b8, black; sizes are limited to 1..SURFACE_MAX */
/* NULL when pixman cannot do it (stride must be a multiple of 4, data of its alignment). */
Surface *surface_new_shared(int width, int height, pixman_format_code_t f, int stride, void *data);
void surface_free(Surface *s);
static inline int surface_width(const Surface *s) { return pixman_image_get_width(s->image); }
static inline int surface_height(const Surface *s) { return pixman_image_get_height(s->image); }
static inline int surface_stride(const Surface *s) { return pixman_image_get_stride(s->image); }
static inline uint8_t *surface_data(const Surface *s) { return (uint8_t *)pixman_image_get_data(s->image); }
static inline pixman_format_code_t surface_format(const Surface *s) { return pixman_image_get_format(s->image); }
/* Copies a rectangle to x8r8g8b8 pixels (stride in bytes), whatever the surface's format. Clips. */
void surface_read(const Surface *s, int x, int y, int w, int h, uint32_t *to, int stride);

/* ---- The device's side ---- */

#define CONSOLE_POLL 0          /* update: I cannot tell when something changes: ask as often as you like */
#define CONSOLE_IDLE (-1)       /* nothing will change until console_kick */

typedef struct UiInfo { unsigned width, height, width_mm, height_mm; } UiInfo;   /* what the window would like to be */

/* A screen of text: what -display curses shows. */
typedef struct TextScreen {
    unsigned cols, rows;        /* 0: no text on it */
    int cursor_x, cursor_y;     /* -1: none on the screen */
    bool cp437;                 /* the characters are those of code page 437, whatever the guest's font is */
    const char *message;        /* instead of text: what is to be said of the picture; "%d x %d": its size. Or NULL */
    unsigned room;
    uint16_t *cells;            /* cols * rows: character | attribute << 8, as a VGA has them; room for `room` */
} TextScreen;
void text_screen_resize(TextScreen *t, unsigned cols, unsigned rows);  /* keeps no text */
void text_screen_free(TextScreen *t);       /* its contents */

typedef struct ConsoleOps {
    /* Draws what has changed since the last call into the surface and reports it with console_update. Returns
     * CONSOLE_POLL, CONSOLE_IDLE or the ms after which to ask again although nothing kicked the console (a blinking
     * cursor). */
    int (*update)(void *opaque);
    void (*invalidate)(void *opaque);   /* the next update draws everything */
    void (*watched)(void *opaque, bool on); /* the first listener has come, the last has gone. May be NULL */
    void (*ui_info)(void *opaque, const UiInfo *info);  /* the window's size has changed. NULL: does not care */
    void (*text)(void *opaque, TextScreen *t);  /* the text as of the last update. NULL: always a picture */
} ConsoleOps;

typedef struct ConsoleCursor {  /* a pointer shape that the window draws; hot spot from the top left corner */
    int width, height, hot_x, hot_y;
    uint32_t data[];            /* a8r8g8b8, not premultiplied */
} ConsoleCursor;

/* A graphics console; its index is the lowest free one. device: the id or type of the device, for screendump's and
 * -display's `device=`; head: which of the device's screens. Shows 640x480 black until the first console_set_surface. */
Console *console_new(const ConsoleOps *ops, void *opaque, const char *device, unsigned head);
void console_free(Console *con);            /* listeners that showed it see the first console, or nothing */
/* Takes s; frees the surface before. */
void console_set_surface(Console *con, Surface *s);
/* Sets a new own surface unless the present one is an own one of that size already. */
void console_resize(Console *con, int width, int height);
void console_update(Console *con, int x, int y, int w, int h);     /* these pixels have changed. Clips */
void console_kick(Console *con);            /* something has changed: cheap, may be called for each access */
/* false: nobody watches, so do not bother. */
bool console_is_watched(const Console *con);
/* false: if somebody watches, then only for the text: nothing need blink. */
bool console_shows_pixels(const Console *con);
void console_define_cursor(Console *con, const ConsoleCursor *c);  /* copies; NULL: none */
void console_move_cursor(Console *con, int x, int y, bool visible);

/* ---- The showing side ---- */

typedef struct DisplayListener DisplayListener;
typedef struct DisplayListenerOps {
    const char *name;
    /* A tick; the console is up to date. Here a window polls its events. May be NULL. */
    void (*refresh)(DisplayListener *l);
    void (*gfx_switch)(DisplayListener *l, Surface *s);         /* another surface: its old one is gone */
    void (*gfx_update)(DisplayListener *l, int x, int y, int w, int h);
    void (*cursor_define)(DisplayListener *l, const ConsoleCursor *c);  /* may be NULL, like the next */
    void (*cursor_move)(DisplayListener *l, int x, int y, bool visible);
} DisplayListenerOps;

struct DisplayListener {        /* embedded in the window */
    const DisplayListenerOps *ops;
    Console *con;               /* set before listener_add; NULL: the first console, whenever there is one */
    bool text;                  /* is after the text only: console_text in refresh */
    unsigned interval;          /* ms between refreshes while something changes; 0: 30 */
    void *opaque;

    /* The rest is console.c's. */
    Console *shown;             /* what it shows: con, or the first */
    guint source;               /* of the next refresh; 0: none planned */
    gint64 due, last;           /* when that is, and when the last was; us of g_get_monotonic_time */
    bool paused, added;
};

void listener_add(DisplayListener *l);      /* switches and paints everything at once */
void listener_remove(DisplayListener *l);
void listener_show(DisplayListener *l, Console *con);   /* another console */
void listener_pause(DisplayListener *l, bool on);
void listener_kick(DisplayListener *l);     /* refresh soon */

Console *console_by_index(unsigned i);      /* NULL: none */
Console *console_by_device(const char *device, unsigned head);
unsigned console_index(const Console *con);
unsigned console_count(void);
bool console_is_graphic(const Console *con);
const char *console_device(const Console *con);     /* or NULL */
unsigned console_head(const Console *con);
char *console_label(const Console *con);    /* "VGA", "vc0"; caller frees */
Surface *console_surface(Console *con);     /* NULL con: the first */
const ConsoleCursor *console_cursor(const Console *con, int *x, int *y, bool *visible);
void console_invalidate(Console *con);
void console_refresh(Console *con);         /* brings the surface up to date now */
void console_ui_info(Console *con, const UiInfo *info);
/* What the last refresh brought, as text. */
void console_text(Console *con, TextScreen *t);

/* ---- Text consoles (monitor, serial ports in the window): a VT102 with colours and scroll-back ---- */

/* What is typed: bytes as the terminal sends them. */
typedef void TextInputFn(void *opaque, const uint8_t *bytes, int len);
/* 0 columns or rows: 80, 24. The font is that of the VGABIOS: err names the package when there is none. */
Console *text_console_new(const char *label, unsigned cols, unsigned rows, TextInputFn *input, void *opaque, GError **err);
void text_console_free(Console *con);
void text_console_write(Console *con, const uint8_t *bytes, int len);
/* Printable text and the other keys: Enter, arrows, Ctrl+letter ... Ctrl+Up/Down/PgUp/PgDn scroll back. */
void text_console_type(Console *con, const char *utf8);
void text_console_key(Console *con, QKeyCode key, bool ctrl);

/* ---- Screen dumps ---- */

typedef enum ImageFormat { IMAGE_PPM, IMAGE_PNG } ImageFormat;
/* Brings con up to date and writes it to a file. con NULL: "There is no console to take a screendump from". */
bool console_screendump(Console *con, const char *path, ImageFormat format, GError **err);
#endif
