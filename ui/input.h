/*
 * Input: from windows, VNC clients and the monitor to keyboards and pointing devices.
 *
 *     h = input_register(&ops, dev, NULL);     the device: PS/2 keyboard, mouse, tablet, ...
 *     input_send_key(con, QKEY_A, true);       the window
 *     input_send_rel(con, INPUT_AXIS_X, 3); input_send_button(con, INPUT_BUTTON_LEFT, true); input_sync();
 *
 * An event goes to one device: the first that takes its kind, of those bound to the event's console, else of the
 * others. A device is first when it was activated last (a tablet whose driver starts to poll takes over from the
 * mouse). With the guest stopped, events are dropped. Pointer events are gathered until input_sync.
 * All calls on the main thread, or on a vCPU thread, with the machine lock.
 */
#ifndef UI_INPUT_H
#define UI_INPUT_H
#include "ui/keymap.h"
#include <glib.h>

typedef struct Console Console;
typedef struct InputHandler InputHandler;

typedef enum InputKind { INPUT_KEY = 1, INPUT_BUTTON = 2, INPUT_REL = 4, INPUT_ABS = 8 } InputKind;
typedef enum InputButton {      /* QMP's InputButton, in its order */
    INPUT_BUTTON_LEFT, INPUT_BUTTON_MIDDLE, INPUT_BUTTON_RIGHT, INPUT_BUTTON_WHEEL_UP, INPUT_BUTTON_WHEEL_DOWN,
    INPUT_BUTTON_SIDE, INPUT_BUTTON_EXTRA, INPUT_BUTTON_WHEEL_LEFT, INPUT_BUTTON_WHEEL_RIGHT, INPUT_BUTTON_COUNT,
} InputButton;
typedef enum InputAxis { INPUT_AXIS_X, INPUT_AXIS_Y } InputAxis;
#define INPUT_ABS_MAX 0x7fff    /* right and bottom edge of the screen in absolute events */

typedef struct InputOps {
    const char *name;           /* in `info mice`: "QEMU PS/2 Mouse" */
    unsigned kinds;             /* InputKinds that it takes */
    void (*key)(void *opaque, QKeyCode key, bool down);
    void (*button)(void *opaque, InputButton b, bool down);
    void (*rel)(void *opaque, InputAxis axis, int delta);       /* right and down are positive */
    void (*abs)(void *opaque, InputAxis axis, int value);       /* 0..INPUT_ABS_MAX */
    void (*sync)(void *opaque); /* the gathered events belong together: report them now. May be NULL */
} InputOps;

/* ---- Devices ---- */

/* con NULL: takes events of every console. A new device comes last until it is activated. */
InputHandler *input_register(const InputOps *ops, void *opaque, Console *con);
void input_unregister(InputHandler *h);     /* NULL is legal */
void input_activate(InputHandler *h);       /* to the front */
void input_deactivate(InputHandler *h);     /* to the end: another of its kind takes over */
void input_bind(InputHandler *h, Console *con);

/* Keyboard lights: set by the device, watched by VNC and SDL. */
enum { INPUT_LED_SCROLL = 1, INPUT_LED_NUM = 2, INPUT_LED_CAPS = 4 };
void input_set_leds(unsigned leds);
typedef void InputLedFn(void *opaque, unsigned leds);
void input_watch_leds(InputLedFn *fn, void *opaque);    /* called at once with the present state */
void input_unwatch_leds(InputLedFn *fn, void *opaque);

/* ---- Sources; con NULL: the first console ---- */

void input_send_key(Console *con, QKeyCode key, bool down);
void input_send_button(Console *con, InputButton b, bool down);
void input_send_rel(Console *con, InputAxis axis, int delta);
/* value in 0..size-1 of something size wide, such as the surface; size itself is INPUT_ABS_MAX. */
void input_send_abs(Console *con, InputAxis axis, int value, int size);
void input_sync(void);
/* Left, middle, right ... are bits of `now`; sends what differs from *was and updates it. No sync. */
void input_send_buttons(Console *con, unsigned *was, unsigned now);
bool input_has_handler(Console *con, InputKind kind);    /* somebody would get such an event */
bool input_is_absolute(Console *con);       /* pointer events of con go to a device that takes absolute ones */
/* Called when that may have changed. */
void input_watch_mode(void (*fn)(void *opaque), void *opaque);
void input_unwatch_mode(void (*fn)(void *opaque), void *opaque);
/* Releases the keys that con's source holds down (window loses focus). */
void input_release_keys(Console *con);

/* ---- Monitor ---- */

#define INPUT_MAX_KEYS 64
/* "ctrl-alt-delete", "0x1c", "<": names of keys or numbers joined by '-'. */
bool input_parse_keys(const char *s, QKeyCode keys[INPUT_MAX_KEYS], unsigned *n, GError **err);
/* Presses the keys one after the other, hold_ms of guest time apart, and releases them in reverse; 0: 100 ms.
 * Returns at once. Keys that come meanwhile wait. */
void input_send_keys(const QKeyCode *keys, unsigned n, unsigned hold_ms);
/* mouse_move dx dy [dz]: relative motion; dz > 0 turns the wheel up. */
void input_mouse_move(int dx, int dy, int dz);
void input_mouse_button(unsigned buttons);  /* 1 left, 2 right, 4 middle, as mouse_button takes them */
typedef struct MouseInfo { const char *name; int index; bool current, absolute; } MouseInfo;
/* query-mice, info mice: the one that has events now comes last. */
void input_foreach_mouse(void (*fn)(const MouseInfo *m, void *opaque), void *opaque);
bool input_mouse_set(int index, GError **err);
void input_print_mice(GString *out);        /* info mice */
#endif
