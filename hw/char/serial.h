/*
 * 16550A UART, for the cards that carry it (isa-serial; PCI cards).
 *
 * A card embeds a Serial, gives its chardev to it with a PROP_CHR row on serial.chr, calls serial_init from realize and
 * serial_fini from unrealize, hands the eight registers to serial_read/serial_write, and puts
 * STRUCT(Card, serial, &serial_state, .name = "state") into its table. Also what the board sees of the parallel port.
 */
#ifndef HW_CHAR_SERIAL_H
#define HW_CHAR_SERIAL_H
#include "chardev/char.h"
#include "hw/core/device.h"

#define UART_FIFO_LENGTH 16

typedef struct UartFifo {
    uint8_t data[UART_FIFO_LENGTH];
    uint32_t head, num;
} UartFifo;

typedef struct Serial {
    /* guest state */
    uint16_t divider;
    uint8_t rbr, thr, tsr;
    uint8_t ier, iir, lcr, mcr, lsr, msr, scr;
    uint8_t fcr, fcr_vmstate;
    UartFifo recv_fifo, xmit_fifo;
    int32_t thr_ipending;           /* the THRE interrupt is pending; -1 while loading: follows from IIR */
    uint32_t timeout_ipending;
    uint32_t tsr_retry;             /* the back-end did not take tsr yet */
    int32_t poll_msl;               /* modem lines: -1 the back-end has none, 0 read on demand, 1 polled */
    Timer fifo_timeout_timer, modem_status_poll;
    Line irq;

    /* host side */
    uint64_t char_ns;               /* of one character on the line */
    Timer stuck;                    /* how long the back-end may keep a byte from going out */
    bool dropping;                  /* it has not moved for so long that output is dropped until it does */
    bool break_on;
    Device *dev;
    CharFrontend chr;

    /* set-up */
    uint32_t baudbase;
    bool wakeup;
} Serial;

extern const StateTable serial_state;
void serial_init(Serial *s, Device *d);
void serial_reset(Serial *s);       /* after state_reset of serial_state */
void serial_fini(Serial *s);
uint64_t serial_read(void *serial, uint64_t reg, unsigned size);
void serial_write(void *serial, uint64_t reg, uint64_t val, unsigned size);

extern const DeviceType isa_serial_type, isa_parallel_type, isa_debugcon_type;
/* The PC's ports: the n-th isa-serial (0..3) on chr. NULL with err on failure; chr NULL: a port with no cable. */
Device *isa_serial_create(Machine *m, Bus *isa, unsigned index, const char *chardev_id, GError **err);
#endif
