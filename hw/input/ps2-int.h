/* What the PS/2 keyboard and mouse share: the queue between device and controller. */
#ifndef HW_INPUT_PS2_INT_H
#define HW_INPUT_PS2_INT_H
#include "hw/core/device.h"

#define PS2_RING 256
#define PS2_QUEUE 16            /* bytes of events that wait; what comes on top is lost */
#define PS2_REPLY 8             /* replies to commands come on top of those */
#define PS2_NO_CMD (-1)

enum { PS2_ACK = 0xfa, PS2_RESEND = 0xfe, PS2_BAT_OK = 0xaa };

typedef struct Ps2 {
    Device dev;

    /* guest state */
    int32_t write_cmd;          /* command whose parameter comes next, or PS2_NO_CMD */
    int32_t rptr, wptr, count;
    int32_t cwptr;              /* where the replies that stand before the events end; -1: there are none */
    uint8_t data[PS2_RING];
    Line irq;                   /* a byte is there; not on the wire: follows from count */
} Ps2;

extern const StateTable ps2_state;

/* Queues n bytes of an event, all or none. */
bool ps2_queue(Ps2 *s, const uint8_t *b, unsigned n);
/* Queues the reply to a command, before any waiting events. */
void ps2_reply(Ps2 *s, const uint8_t *b, unsigned n);
static inline void ps2_reply1(Ps2 *s, uint8_t b) { ps2_reply(s, &b, 1); }
/* A new command ends the reply to the last one. */
void ps2_drop_reply(Ps2 *s);
void ps2_clear(Ps2 *s);
uint8_t ps2_last(const Ps2 *s);
bool ps2_check(Ps2 *s);         /* after loading: puts counts right */

/* For the controller. */
uint8_t ps2_read(Device *d);
void ps2_kbd_write(Device *d, uint8_t val);
void ps2_kbd_set_translation(Device *d, bool on);
void ps2_mouse_write(Device *d, uint8_t val);
void ps2_mouse_poke(Device *d);
#endif
