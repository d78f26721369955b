/*
 * The queue and the reports of a USB mouse, tablet or keyboard (Device Class Definition for Human Interface Devices 1.11):
 * what is between the host's input and the device's interrupt endpoint.
 */
#ifndef HW_USB_HID_H
#define HW_USB_HID_H
#include "hw/usb/usb.h"
#include "ui/input.h"

#define HID_QUEUE 16                    /* a power of two */

typedef struct HidEvent { int32_t xdx, ydy, dz, buttons_state; } HidEvent;

typedef enum HidKind { HID_MOUSE, HID_TABLET, HID_KEYBOARD } HidKind;

typedef struct Hid {
    /* guest state; a pointer's queue has events, a keyboard's scan codes of set 1 */
    HidEvent queue[HID_QUEUE];
    uint32_t keycodes[HID_QUEUE];
    uint16_t modifiers;                 /* bits 0-7: held down; 8: after E0; 9: after E1 */
    uint8_t leds;
    uint8_t key[16];                    /* usages of the keys held down */
    int32_t keys;
    uint32_t head, n;
    int32_t protocol;                   /* 0: boot, 1: report */
    uint8_t idle;                       /* in units of 4 ms; 0: only changes are reported */
    bool idle_pending;
    uint64_t idle_at;

    /* host side */
    HidKind kind;
    Timer idle_timer;
    InputHandler *input;
    bool active;                        /* events come here: the guest polls */
    void (*changed)(UsbDevice *d);
    UsbDevice *dev;
} Hid;

extern const StateTable hid_pointer_state, hid_keyboard_state;

void hid_init(Hid *h, UsbDevice *d, HidKind kind, Console *con, void (*changed)(UsbDevice *d));
void hid_fini(Hid *h);
void hid_reset(Hid *h);
void hid_activate(Hid *h);              /* the guest polls: it gets the input from now on */
bool hid_has_report(const Hid *h);
/* The next report; returns its length, at most len. */
unsigned hid_report(Hid *h, uint8_t *buf, unsigned len);
void hid_set_idle(Hid *h, uint8_t idle);
void hid_polled(Hid *h);                /* a report was sent: the idle period begins anew */
void hid_set_leds(Hid *h, uint8_t leds);
bool hid_loaded(Hid *h, GError **err);

/* hid-kbd.c */
unsigned hid_keyboard_report(Hid *h, uint8_t *buf, unsigned len);
void hid_keyboard_key(void *hid, QKeyCode key, bool down);
#endif
