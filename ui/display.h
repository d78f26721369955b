/*
 * Displays: what -display asks for, and what the user interface needs of the machine.
 *
 * Order of calls: ui_set_host, display_parse (each -display), display_default, devices are made, display_start;
 * display_stop at the end.
 */
#ifndef UI_DISPLAY_H
#define UI_DISPLAY_H
#include "ui/console.h"
#include <jansson.h>

typedef enum DisplayType { DISPLAY_UNSET, DISPLAY_NONE, DISPLAY_SDL, DISPLAY_CURSES, DISPLAY_VNC } DisplayType;
typedef enum GrabMod { GRAB_CTRL_ALT, GRAB_SHIFT_CTRL_ALT, GRAB_RCTRL } GrabMod;

typedef struct DisplayOptions {
    DisplayType type;
    bool full_screen;           /* full-screen=, -full-screen */
    bool window_close;          /* window-close=: closing the window ends vmemu (default on) */
    bool show_cursor;           /* show-cursor= */
    GrabMod grab_mod;           /* grab-mod= */
    char *charset;              /* charset=: of the guest's text, for curses; NULL: CP437 */
    const char *vm_name;        /* -name: for the title; NULL: none. Set before display_start */
} DisplayOptions;

/* What the user interface asks of the machine; the machine lock is held. */
typedef struct UiHost {
    void *opaque;
    bool (*is_running)(void *opaque);           /* running or suspended: input reaches the guest */
    void (*close)(void *opaque);                /* the window was closed: shut down */
    /* Calls fn(arg) once, after ms of guest time; at most one call is outstanding. */
    void (*delay)(void *opaque, unsigned ms, void (*fn)(void *arg), void *arg);
    void (*event)(void *opaque, const char *name, json_t *data);    /* a QMP event; takes data. May be NULL */
} UiHost;
void ui_set_host(const UiHost *h);              /* copies */
const UiHost *ui_host(void);
/* The machine was started or stopped: titles say " [Stopped]". */
void ui_run_state_changed(bool running);

/* What follows -display: "sdl,gl=off,window-close=off". Adds to what is set. "help" lists the types on stdout and
 * sets *exit. */
bool display_parse(DisplayOptions *o, const char *optstr, bool *exit, GError **err);
void display_options_init(DisplayOptions *o);
/* With nothing asked for: sdl when there is a module and a display to open, else none. */
void display_default(DisplayOptions *o);
bool display_start(const DisplayOptions *o, GError **err);
void display_stop(void);
/* The terminal is the caller's again, for a last message; the display is over. */
void display_leave_terminal(void);

/* ---- For modules (vmemu-ui-sdl.so, vmemu-ui-vnc.so) ---- */

typedef struct DisplayModule {
    const char *name;
    bool (*start)(const DisplayOptions *o, GError **err);
    void (*stop)(void);
    void (*run_state)(bool running);            /* may be NULL */
    void (*leave)(void);                        /* something is to be said on the terminal. May be NULL */
    const struct VncOps *vnc;                   /* of vmemu-ui-vnc.so, which has only that (remote.h) */
} DisplayModule;
/* Each module defines this symbol. */
#define DISPLAY_MODULE_SYMBOL "vmemu_display_module"
/* Opens vmemu-KIND-NAME.so from the folder of the executable or CONFIG_MODULE_DIR; NULL with err. */
const DisplayModule *display_module_load(const char *name, GError **err);
#endif
