/* Between uhci.c (registers, ports, life) and uhci-frame.c (the schedule). */
#ifndef HW_USB_UHCI_INT_H
#define HW_USB_UHCI_INT_H
#include "hw/core/machine.h"
#include "hw/pci/pci.h"
#include "hw/usb/usb.h"

#define UHCI_PORTS 2
#define UHCI_FRAME_NS 1000000ull
#define UHCI_IO_BYTES 32

enum { CMD_RS = 1, CMD_HCRESET = 2, CMD_GRESET = 4, CMD_EGSM = 8, CMD_FGR = 0x10 };
enum { STS_USBINT = 1, STS_ERROR = 2, STS_RESUME = 4, STS_HSERR = 8, STS_HCPERR = 0x10, STS_HALTED = 0x20 };
enum { INTR_CRC = 1, INTR_RESUME = 2, INTR_IOC = 4, INTR_SPD = 8 };
enum { STS2_IOC = 1, STS2_SPD = 2 };        /* why USBINT is set */
enum { PORT_CCS = 1, PORT_CSC = 2, PORT_EN = 4, PORT_ENC = 8, PORT_RD = 0x40, PORT_ALWAYS = 0x80, PORT_LSDA = 0x100,
       PORT_RESET = 0x200, PORT_SUSPEND = 0x1000, PORT_READ_ONLY = 0x1bb, PORT_WRITE_CLEAR = PORT_CSC | PORT_ENC };

typedef struct UhciPort {
    uint16_t ctrl;
    UsbPort port;
} UhciPort;

typedef struct Uhci {
    PciDevice pci;

    /* guest state */
    uint16_t cmd, status, intr, frnum;  /* frnum: the frame that is carried out next, as of expire_time */
    uint32_t fl_base_addr;
    uint8_t sof_timing, status2;
    UhciPort ports[UHCI_PORTS];
    Timer frame_timer;
    int64_t expire_time;                /* guest time at which frame frnum ends */
    uint32_t pending_int_mask;          /* STS2_*: to be reported with the next frame; always 0 here */
    uint32_t frame_bytes;               /* that the present frame has moved */
    uint32_t idle_frames;               /* how many in a row did nothing */

    /* host side */
    Region io;
    UsbBus *usb;
    BottomHalf *bh;                     /* looks at the schedule outside of a handler */
    bool woken;                         /* when the machine runs again: look */
    uint32_t bandwidth, maxframes;
} Uhci;

void uhci_update_irq(Uhci *s);
/* Stops at a schedule that makes no sense. */
void uhci_process_error(Uhci *s);
UsbDevice *uhci_find(Uhci *s, unsigned addr);

/* uhci-frame.c */
void uhci_start(Uhci *s);               /* RS was set */
void uhci_stop(Uhci *s);                /* RS was cleared, or it is reset */
void uhci_kick(Uhci *s);                /* something may have changed: the next frames are looked at one by one */
void uhci_look(Uhci *s);                /* a device woke up: goes through the present frame at once */
void uhci_frame_due(void *uhci);        /* the timer's */
uint16_t uhci_frnum(const Uhci *s);     /* FRNUM as it is now */
void uhci_catch_up(Uhci *s);            /* all frames that are over have been carried out */
#endif
