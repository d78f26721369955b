/*
 * National Semiconductor 16550A UART (data sheet PC16550D), crystal of 1.8432 MHz.
 *
 * Output leaves at once, at any baud rate, unless the back-end is busy: then THRE stays off and the byte is offered
 * again, for two seconds at most. Received data comes at most as fast as the guest reads it. Not modelled: parity and
 * framing errors, DMA mode pins, deltas of the modem lines in loopback mode.
 */
#include <string.h>
#include "hw/char/serial.h"
#include "hw/core/machine.h"
#include "util/error.h"

enum { RBR_THR, IER, IIR_FCR, LCR, MCR, LSR, MSR, SCR };
enum { IER_RDI = 1, IER_THRI = 2, IER_RLSI = 4, IER_MSI = 8 };
enum { IIR_NO_INT = 1, IIR_ID = 0x06, IIR_MSI = 0, IIR_THRI = 2, IIR_RDI = 4, IIR_RLSI = 6, IIR_CTI = 0x0c, IIR_FE = 0xc0 };
enum { FCR_FE = 1, FCR_RFR = 2, FCR_XFR = 4, FCR_KEPT = 0xc9 };
enum { LCR_BREAK = 0x40, LCR_DLAB = 0x80 };
enum { MCR_DTR = 1, MCR_RTS = 2, MCR_OUT1 = 4, MCR_OUT2 = 8, MCR_LOOP = 0x10 };
enum { LSR_DR = 1, LSR_OE = 2, LSR_BI = 0x10, LSR_THRE = 0x20, LSR_TEMT = 0x40, LSR_INT_ANY = 0x1e };
enum { MSR_DELTA = 0x0f, MSR_TERI = 0x04, MSR_CTS = 0x10, MSR_DSR = 0x20, MSR_RI = 0x40, MSR_DCD = 0x80 };

#define RESET_SPEED 9600       /* baud */
#define STUCK_NS (2 * NS_PER_S)
#define MSL_POLL_NS (NS_PER_S / 100)

static void transmit(Serial *s);

/* ---- FIFOs ---- */

static void fifo_put(UartFifo *f, uint8_t b)
{
    f->data[(f->head + f->num++) % UART_FIFO_LENGTH] = b;
}

static void fifo_clear(UartFifo *f)
{
    memset(f, 0, sizeof *f);
}

/* An empty FIFO is not in the stream: nothing of what it held stays behind. */
static uint8_t fifo_get(UartFifo *f)
{
    uint8_t b = f->data[f->head];

    f->data[f->head] = 0;
    f->head = (f->head + 1) % UART_FIFO_LENGTH;
    if (!--f->num)
        fifo_clear(f);
    return b;
}

static unsigned trigger_level(const Serial *s)
{
    static const uint8_t levels[4] = { 1, 4, 8, 14 };

    return levels[s->fcr >> 6];
}

/* ---- Interrupts ---- */

static void update_irq(Serial *s)
{
    bool fifo = s->fcr & FCR_FE;
    uint8_t id = IIR_NO_INT;

    if ((s->ier & IER_RLSI) && (s->lsr & LSR_INT_ANY))
        id = IIR_RLSI;
    else if ((s->ier & IER_RDI) && s->timeout_ipending)
        id = IIR_CTI;
    else if ((s->ier & IER_RDI) && (s->lsr & LSR_DR) && (!fifo || s->recv_fifo.num >= trigger_level(s)))
        id = IIR_RDI;
    else if ((s->ier & IER_THRI) && s->thr_ipending)
        id = IIR_THRI;
    else if ((s->ier & IER_MSI) && (s->msr & MSR_DELTA))
        id = IIR_MSI;
    s->iir = id | (fifo ? IIR_FE : 0);
    line_set(&s->irq, id != IIR_NO_INT);
}

/* ---- Line parameters and modem lines ---- */

static void update_parameters(Serial *s)
{
    unsigned bits = (s->lcr & 3) + 5, stop = s->lcr & 4 ? 2 : 1;
    ChrSerialParams p = { .data_bits = bits, .stop_bits = stop, .parity = 'N' };
    bool valid = s->divider != 0 && s->divider <= s->baudbase;

    if (s->lcr & 8)
        p.parity = s->lcr & 0x10 ? 'E' : 'O';
    /* What follows is all of the state's making: a machine that loads it must come to the same. */
    p.speed = valid ? s->baudbase / s->divider : RESET_SPEED;
    s->char_ns = NS_PER_S * (1 + bits + stop + (s->lcr & 8 ? 1 : 0)) / p.speed;
    if (valid)
        chr_set_serial_params(&s->chr, &p);
}

static void set_break(Serial *s)
{
    bool on = s->lcr & LCR_BREAK;

    if (on == s->break_on)
        return;
    s->break_on = on;
    chr_set_break(&s->chr, on);
}

/* Reads the modem lines of a back-end that has them. */
static void update_msl(Serial *s)
{
    uint8_t old = s->msr, delta;
    unsigned lines;

    timer_stop(&s->modem_status_poll);
    if (!chr_get_modem(&s->chr, &lines)) {
        s->poll_msl = -1;
        return;
    }
    s->msr = (old & MSR_DELTA) | (lines & CHR_MODEM_CTS ? MSR_CTS : 0) | (lines & CHR_MODEM_DSR ? MSR_DSR : 0) |
             (lines & CHR_MODEM_CD ? MSR_DCD : 0) | (lines & CHR_MODEM_RI ? MSR_RI : 0);
    if (s->msr != old) {
        delta = (s->msr ^ old) >> 4;
        if (!(old & MSR_RI))
            delta &= ~MSR_TERI;         /* only the trailing edge of RI counts */
        s->msr |= delta;
        update_irq(s);
    }
    if (s->poll_msl > 0)
        timer_arm(&s->modem_status_poll, vm_now(s->dev) + MSL_POLL_NS);
}

static void modem_poll(void *opaque)
{
    update_msl(opaque);
}

static void write_mcr(Serial *s, uint8_t val)
{
    uint8_t old = s->mcr;
    unsigned lines;

    s->mcr = val & 0x1f;
    if ((s->mcr & MCR_LOOP) || s->poll_msl < 0 || old == s->mcr || !chr_get_modem(&s->chr, &lines))
        return;
    lines &= ~(CHR_MODEM_DTR | CHR_MODEM_RTS);
    chr_set_modem(&s->chr, lines | (s->mcr & MCR_DTR ? CHR_MODEM_DTR : 0) | (s->mcr & MCR_RTS ? CHR_MODEM_RTS : 0));
    /* The other end may answer within a character's time. */
    timer_arm(&s->modem_status_poll, vm_now(s->dev) + s->char_ns);
}

static uint8_t read_msr(Serial *s)
{
    uint8_t val;

    if (s->mcr & MCR_LOOP)
        return (s->mcr & (MCR_OUT1 | MCR_OUT2)) << 4 | (s->mcr & MCR_RTS) << 3 | (s->mcr & MCR_DTR) << 5;
    if (s->poll_msl >= 0)
        update_msl(s);
    val = s->msr;
    if (val & MSR_DELTA) {
        s->msr &= ~MSR_DELTA;
        update_irq(s);
    }
    return val;
}

/* ---- Receiver ---- */

static void receive(Serial *s, uint8_t b)
{
    if (s->fcr & FCR_FE) {
        if (s->recv_fifo.num < UART_FIFO_LENGTH)
            fifo_put(&s->recv_fifo, b);
        else
            s->lsr |= LSR_OE;
        timer_arm(&s->fifo_timeout_timer, vm_now(s->dev) + 4 * s->char_ns);
    } else {
        if (s->lsr & LSR_DR)
            s->lsr |= LSR_OE;
        s->rbr = b;
    }
    s->lsr |= LSR_DR;
    update_irq(s);
}

static int can_receive(void *opaque)
{
    Serial *s = opaque;
    unsigned level = trigger_level(s);

    if (!(s->fcr & FCR_FE))
        return !(s->lsr & LSR_DR);
    if (s->recv_fifo.num >= UART_FIFO_LENGTH)
        return 0;
    /* No more than what lets the guest keep up. */
    return s->recv_fifo.num < level ? level - s->recv_fifo.num : 1;
}

static void chr_received(void *opaque, const uint8_t *buf, int len)
{
    Serial *s = opaque;

    if (s->wakeup)
        machine_request_wakeup(s->dev->machine);
    for (int i = 0; i < len; i++)
        receive(s, buf[i]);
}

static void chr_event(void *opaque, ChrEvent event)
{
    Serial *s = opaque;

    if (event != CHR_EVENT_BREAK)
        return;
    receive(s, 0);
    s->lsr |= LSR_BI;
    update_irq(s);
}

static void fifo_timeout(void *opaque)
{
    Serial *s = opaque;

    if (s->recv_fifo.num) {
        s->timeout_ipending = 1;
        update_irq(s);
    }
}

static uint8_t read_rbr(Serial *s)
{
    uint8_t val = s->rbr;

    if (s->fcr & FCR_FE) {
        val = s->recv_fifo.num ? fifo_get(&s->recv_fifo) : 0;
        if (s->recv_fifo.num)
            timer_arm(&s->fifo_timeout_timer, vm_now(s->dev) + 4 * s->char_ns);
        else
            s->lsr &= ~(LSR_DR | LSR_BI);
        s->timeout_ipending = 0;
    } else {
        s->lsr &= ~(LSR_DR | LSR_BI);
    }
    update_irq(s);
    if (!(s->mcr & MCR_LOOP))
        chr_accept_input(&s->chr);
    return val;
}

/* ---- Transmitter ---- */

static void chr_ready(void *opaque)
{
    Serial *s = opaque;

    s->dropping = false;
    if (s->tsr_retry)
        transmit(s);
}

static void stuck(void *opaque)
{
    Serial *s = opaque;

    s->dropping = true;
    if (s->tsr_retry)
        transmit(s);
}

/* Sends tsr; false: the back-end is busy, and will say when it no longer is. */
static bool send_tsr(Serial *s)
{
    if (s->mcr & MCR_LOOP) {
        receive(s, s->tsr);
        return true;
    }
    if (chr_write(&s->chr, &s->tsr, 1) == 1) {
        s->dropping = false;
        return true;
    }
    chr_add_watch(&s->chr, chr_ready, s);
    if (s->dropping)
        return true;
    if (!timer_armed(&s->stuck))
        timer_arm(&s->stuck, vm_now(s->dev) + STUCK_NS);
    s->tsr_retry = 1;
    return false;
}

/* Moves THR or the FIFO through the shift register as far as the back-end goes along. */
static void transmit(Serial *s)
{
    do {
        if (!s->tsr_retry) {
            if (s->fcr & FCR_FE) {
                s->tsr = s->xmit_fifo.num ? fifo_get(&s->xmit_fifo) : s->tsr;
                if (!s->xmit_fifo.num)
                    s->lsr |= LSR_THRE;
            } else {
                s->tsr = s->thr;
                s->lsr |= LSR_THRE;
            }
            if ((s->lsr & LSR_THRE) && !s->thr_ipending) {
                s->thr_ipending = 1;
                update_irq(s);
            }
        }
        s->tsr_retry = 0;
        if (!send_tsr(s))
            return;
        timer_stop(&s->stuck);
    } while (!(s->lsr & LSR_THRE));
    s->lsr |= LSR_TEMT;
}

static void write_thr(Serial *s, uint8_t val)
{
    s->thr = val;
    if (s->fcr & FCR_FE) {
        if (s->xmit_fifo.num == UART_FIFO_LENGTH)
            fifo_get(&s->xmit_fifo);    /* overrun: the oldest goes */
        fifo_put(&s->xmit_fifo, val);
    }
    s->thr_ipending = 0;
    s->lsr &= ~(LSR_THRE | LSR_TEMT);
    update_irq(s);
    if (!s->tsr_retry)
        transmit(s);
}

/* ---- Registers ---- */

static void write_ier(Serial *s, uint8_t val)
{
    uint8_t changed = (s->ier ^ val) & 0x0f;

    s->ier = val & 0x0f;
    if (s->poll_msl >= 0 && (changed & IER_MSI)) {
        s->poll_msl = (s->ier & IER_MSI) != 0;
        timer_stop(&s->modem_status_poll);
        if (s->poll_msl)
            update_msl(s);
    }
    /* Enabling the interrupt of an empty THR raises it, even where reading IIR had cleared it. */
    if (changed & IER_THRI)
        s->thr_ipending = (s->ier & IER_THRI) && (s->lsr & LSR_THRE);
    if (changed)
        update_irq(s);
}

static void write_fcr(Serial *s, uint8_t val)
{
    if ((val ^ s->fcr) & FCR_FE)
        val |= FCR_RFR | FCR_XFR;
    if (val & FCR_RFR) {
        s->lsr &= ~(LSR_DR | LSR_BI);
        timer_stop(&s->fifo_timeout_timer);
        s->timeout_ipending = 0;
        fifo_clear(&s->recv_fifo);
    }
    if (val & FCR_XFR) {
        s->lsr |= LSR_THRE | (s->tsr_retry ? 0 : LSR_TEMT);
        s->thr_ipending = 1;
        fifo_clear(&s->xmit_fifo);
    }
    s->fcr = val & FCR_KEPT;
    update_irq(s);
    chr_accept_input(&s->chr);
}

void serial_write(void *serial, uint64_t reg, uint64_t val, unsigned size)
{
    Serial *s = serial;

    val &= 0xff;
    switch (reg & 7) {
    case RBR_THR: case IER:
        if (s->lcr & LCR_DLAB) {
            s->divider = reg & 1 ? (s->divider & 0xff) | val << 8 : (s->divider & 0xff00) | val;
            update_parameters(s);
        } else if (reg & 1) {
            write_ier(s, val);
        } else {
            write_thr(s, val);
        }
        break;
    case IIR_FCR:
        write_fcr(s, val);
        break;
    case LCR:
        s->lcr = val;
        update_parameters(s);
        set_break(s);
        break;
    case MCR:
        write_mcr(s, val);
        break;
    case SCR:
        s->scr = val;
        break;
    default:
        break;
    }
}

uint64_t serial_read(void *serial, uint64_t reg, unsigned size)
{
    Serial *s = serial;
    uint8_t val;

    switch (reg & 7) {
    case RBR_THR:
        return s->lcr & LCR_DLAB ? s->divider & 0xff : read_rbr(s);
    case IER:
        return s->lcr & LCR_DLAB ? s->divider >> 8 : s->ier;
    case IIR_FCR:
        val = s->iir;
        if ((val & (IIR_NO_INT | IIR_CTI | IIR_ID)) == IIR_THRI) {
            s->thr_ipending = 0;
            update_irq(s);
        }
        return val;
    case LCR:
        return s->lcr;
    case MCR:
        return s->mcr;
    case LSR:
        val = s->lsr;
        if (val & (LSR_BI | LSR_OE)) {
            s->lsr &= ~(LSR_BI | LSR_OE);
            update_irq(s);
        }
        return val;
    case MSR:
        return read_msr(s);
    default:
        return s->scr;
    }
}

/* ---- Set-up and state ---- */

void serial_init(Serial *s, Device *d)
{
    s->dev = d;
    timer_init(&s->fifo_timeout_timer, d, fifo_timeout, s);
    timer_init(&s->modem_status_poll, d, modem_poll, s);
    timer_init(&s->stuck, d, stuck, s);
    chr_set_handlers(&s->chr, can_receive, chr_received, chr_event, s);
}

void serial_reset(Serial *s)
{
    timer_stop(&s->stuck);
    chr_remove_watch(&s->chr);
    s->dropping = false;
    update_parameters(s);
    set_break(s);
    update_msl(s);
    s->msr &= ~MSR_DELTA;
    update_irq(s);
    chr_accept_input(&s->chr);
}

void serial_fini(Serial *s)
{
    timer_stop(&s->stuck);
    chr_detach(&s->chr);
}

static void save(void *obj)
{
    ((Serial *)obj)->fcr_vmstate = ((Serial *)obj)->fcr;
}

/* What an absent subsection means. */
static bool load(void *obj, GError **err)
{
    Serial *s = obj;

    s->thr_ipending = s->poll_msl = -1;
    s->fcr_vmstate = 0;
    s->tsr_retry = s->timeout_ipending = 0;
    fifo_clear(&s->recv_fifo);
    fifo_clear(&s->xmit_fifo);
    timer_stop(&s->fifo_timeout_timer);
    timer_stop(&s->modem_status_poll);
    return true;
}

static bool loaded(void *obj, int version, GError **err)
{
    Serial *s = obj;

    if (s->thr_ipending < 0)
        s->thr_ipending = (s->iir & (IIR_NO_INT | IIR_CTI | IIR_ID)) == IIR_THRI;
    if (s->tsr_retry && (s->lsr & LSR_TEMT))
        return error_set(err, "serial: tsr is empty but is to be sent again");
    if (!s->tsr_retry && !(s->lsr & LSR_TEMT))
        return error_set(err, "serial: tsr is full but is not to be sent again");
    s->fcr = s->fcr_vmstate & FCR_KEPT;
    s->irq.level = !(s->iir & IIR_NO_INT);
    s->dropping = false;
    timer_stop(&s->stuck);
    if (s->tsr_retry) {
        s->tsr_retry = 1;
        timer_arm(&s->stuck, vm_now(s->dev) + STUCK_NS);
        chr_add_watch(&s->chr, chr_ready, s);
    }
    update_parameters(s);
    set_break(s);
    chr_accept_input(&s->chr);
    return true;
}

static bool thr_needed(const void *obj)
{
    const Serial *s = obj;
    bool implied = (s->iir & (IIR_NO_INT | IIR_CTI | IIR_ID)) == IIR_THRI;

    return (s->ier & IER_THRI) && (s->thr_ipending != 0) != implied;
}

static bool tsr_needed(const void *obj) { return ((const Serial *)obj)->tsr_retry != 0; }
static bool recv_needed(const void *obj) { return ((const Serial *)obj)->recv_fifo.num != 0; }
static bool xmit_needed(const void *obj) { return ((const Serial *)obj)->xmit_fifo.num != 0; }
static bool timer_needed(const void *obj) { return timer_armed(&((const Serial *)obj)->fifo_timeout_timer); }
static bool timeout_needed(const void *obj) { return ((const Serial *)obj)->timeout_ipending != 0; }
static bool poll_needed(const void *obj) { return ((const Serial *)obj)->poll_msl >= 0; }

static const StateTable fifo_state = {
    .name = "Fifo8", .version = 1, .min_version = 1,
    .fields = (const Field[]) {
        FIELD(UartFifo, data), FIELD(UartFifo, head, .max = UART_FIFO_LENGTH - 1),
        FIELD(UartFifo, num, .max = UART_FIFO_LENGTH),
        {0}
    },
};

#define SUBSECTION(id, wire_name, test, ...) \
    static const StateTable id = { .name = "serial/" wire_name, .version = 1, .min_version = 1, .needed = test, \
                                   .fields = (const Field[]) { __VA_ARGS__, {0} } }

SUBSECTION(sub_thr, "thr_ipending", thr_needed, FIELD(Serial, thr_ipending, .max = 1));
SUBSECTION(sub_tsr, "tsr", tsr_needed, FIELD(Serial, tsr_retry), FIELD(Serial, thr), FIELD(Serial, tsr));
SUBSECTION(sub_recv, "recv_fifo", recv_needed, STRUCT(Serial, recv_fifo, &fifo_state));
SUBSECTION(sub_xmit, "xmit_fifo", xmit_needed, STRUCT(Serial, xmit_fifo, &fifo_state));
SUBSECTION(sub_timer, "fifo_timeout_timer", timer_needed, FIELD(Serial, fifo_timeout_timer));
SUBSECTION(sub_timeout, "timeout_ipending", timeout_needed, FIELD(Serial, timeout_ipending, .max = 1));
SUBSECTION(sub_poll, "poll", poll_needed, FIELD(Serial, poll_msl, .max = 1), FIELD(Serial, modem_status_poll));

const StateTable serial_state = {
    .name = "serial", .version = 3, .min_version = 2, .save = save, .load = load, .loaded = loaded,
    .subsections = (const StateTable *const[]) {
        &sub_thr, &sub_tsr, &sub_recv, &sub_xmit, &sub_timer, &sub_timeout, &sub_poll, NULL
    },
    .fields = (const Field[]) {
        FIELD(Serial, divider, .reset = 12, .since = 2), FIELD(Serial, rbr), FIELD(Serial, ier, .max = 0x0f),
        FIELD(Serial, iir, .reset = IIR_NO_INT), FIELD(Serial, lcr), FIELD(Serial, mcr, .reset = MCR_OUT2, .max = 0x1f),
        FIELD(Serial, lsr, .reset = LSR_TEMT | LSR_THRE), FIELD(Serial, msr, .reset = MSR_DCD | MSR_DSR | MSR_CTS),
        FIELD(Serial, scr), FIELD(Serial, fcr_vmstate, .since = 3),
        DERIVED(Serial, fcr), FIELD(Serial, irq),
        HOST(Serial, char_ns), HOST(Serial, stuck), HOST(Serial, dropping), HOST(Serial, break_on), HOST(Serial, dev),
        HOST(Serial, chr), HOST(Serial, baudbase), HOST(Serial, wakeup),
        {0}
    },
};
