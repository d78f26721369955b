/* What the files of ui/ know of a console. */
#ifndef UI_CONSOLE_INT_H
#define UI_CONSOLE_INT_H
#include "ui/console.h"

struct Console {
    const ConsoleOps *ops;
    void *opaque;
    unsigned index;
    bool text;                  /* a terminal */
    char *device;               /* of a graphics console, or NULL */
    unsigned head;
    char *label;                /* of a text console */
    Surface *surface;           /* never NULL */
    ConsoleCursor *cursor;
    int cursor_x, cursor_y;
    bool cursor_on;
    bool untouched;             /* the device has not set a surface yet */

    /* Refreshing. */
    bool watched;               /* by a listener that is not paused */
    bool sleeping;              /* the listeners wait for console_kick */
    bool kicked;                /* since the last update began */
    gint64 changed_at;          /* the last change, us of g_get_monotonic_time */
};

Console *console_new_kind(const ConsoleOps *ops, void *opaque, bool text);
/* In the middle, in grey; without a font, nothing. */
void surface_message(Surface *s, const char *text);
/* What stands for the picture until the device has one. */
void console_prepare(Console *con);
void input_console_gone(Console *con);
#endif
