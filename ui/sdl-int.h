/*
 * The two halves of the SDL window. sdl-window.c runs on a thread of its own, which makes all calls of SDL and sleeps
 * in SDL_WaitEvent; sdl.c runs on the main thread, under the machine lock. They meet in SdlShared, whose members are
 * under its lock, and send each other notes: sdl_note (to the main thread) and window_wake (to the window).
 */
#ifndef UI_SDL_INT_H
#define UI_SDL_INT_H
#include "ui/display.h"
#include <pixman.h>

typedef enum NoteKind {
    NOTE_KEY, NOTE_TEXT, NOTE_MOTION, NOTE_POSITION, NOTE_BUTTON, NOTE_WHEEL, NOTE_RELEASE_KEYS, NOTE_CONSOLE, NOTE_VISIBLE, NOTE_CLOSE,
} NoteKind;

typedef struct Note {
    NoteKind kind;
    int a, b;               /* key, down; dx, dy; x, y; button, down; wheel y, x; console; visible */
    int w, h;               /* NOTE_POSITION: of what */
    bool ctrl;              /* NOTE_KEY */
    char text[32];          /* NOTE_TEXT: UTF-8 */
} Note;

typedef struct SdlShared {
    GMutex lock;

    /* The picture, x8r8g8b8, a copy of the console's. */
    uint32_t *pixels;
    int width, height;
    bool resized;           /* since the window looked */
    pixman_box32_t changed; /* empty: x1 >= x2 */

    /* What the window is to show and know. */
    bool running, absolute, text, quit;     /* text: keys go to a terminal */
    bool woken;             /* a wake-up event is under way */

    /* What the main thread is to do. */
    GQueue notes;           /* Note */
} SdlShared;

extern SdlShared sdl_shared;

/* Window thread: starts and waits until the window is there. */
bool window_start(const DisplayOptions *o, GError **err);
void window_stop(void);     /* sets quit, wakes it and waits for its end */
/* Main thread, without the lock: something in SdlShared is new. */
void window_wake(void);
/* Window thread, without the lock. */
void sdl_note(const Note *n);
#endif
