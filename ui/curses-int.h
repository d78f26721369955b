/* -display curses: curses.c has the screen, curses-keys.c the keyboard. Main thread, with the machine lock. */
#ifndef UI_CURSES_INT_H
#define UI_CURSES_INT_H
#include "ui/console.h"
#include "ui/layout.h"

/* What a terminal reports as one keystroke. */
typedef struct Stroke {
    QKeyCode key;               /* 0: only text */
    unsigned mods;              /* LayoutKey's bits */
    bool alt;
    uint32_t text;              /* the character; 0: a key without one */
} Stroke;

void strokes_init(void);        /* when the terminal is open */
/* Reads from the terminal; false: nothing there. */
bool strokes_read(Stroke *s);
/* To the guest. */
void stroke_send(const Stroke *s, Console *con);
#endif
