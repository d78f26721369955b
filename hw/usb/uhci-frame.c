/*
 * UHCI's schedule: frame list, queue heads, transfer descriptors (Universal Host Controller Interface 1.1, chapter 3).
 *
 * Hardware walks the frame list all the time. Here a timer does, once a millisecond while transfers make progress. When frames
 * have done nothing for a while (no transfer, or only devices that have nothing to say) it naps for about as long again, up to 64
 * ms, and then walks through all frames that it missed, each queue once; a device that gets something to say, or a write to a
 * register, makes it look at once. With no port enabled nobody can answer, and it does not walk at all.
 *
 * A frame ends with its bandwidth, or after MAX_STEPS links, or when a loop of queues did nothing: whatever the guest wrote.
 */
#include <string.h>
#include "hw/usb/uhci-int.h"
#include "util/log.h"

enum { LINK_T = 1, LINK_Q = 2, LINK_VF = 4 };
#define LINK_ADDR 0xfffffff0u
enum { TD_ACTLEN = 0x7ff, TD_TIMEOUT = 1 << 18, TD_NAK = 1 << 19, TD_BABBLE = 1 << 20, TD_STALLED = 1 << 22, TD_ACTIVE = 1 << 23,
       TD_IOC = 1 << 24, TD_ERRORS = 3 << 27, TD_SPD = 1 << 29 };
enum { MAX_STEPS = 1024, MAX_QUEUES = 128, PATIENCE = 4, MAX_NAP = 64, KNOWN_LINKS = 32, TD_BYTES = 2048 };

typedef struct Td { uint32_t link, ctrl, token, buffer; } Td;

typedef enum TdResult {
    TD_NEXT,            /* this queue is done for now */
    TD_DONE,            /* carried out: on to the one that it links to */
    TD_STOP,            /* the controller stopped */
} TdResult;

/* What is known in the course of a frame. */
typedef struct Walk {
    bool progress, any;         /* since the last time around; in the whole frame */
    unsigned interrupts;        /* STS2_* */
    uint32_t seen[MAX_QUEUES];
    unsigned n_seen;
} Walk;

/* ---- One transfer descriptor ---- */

static void set_ctrl(Uhci *s, uint32_t addr, Td *td, uint32_t ctrl)
{
    uint32_t le = GUINT32_TO_LE(ctrl);

    if (ctrl != td->ctrl)
        pci_dma_write(&s->pci, addr + 4, &le, 4);
    td->ctrl = ctrl;
}

static UsbResult transact(Uhci *s, const Td *td, UsbPacket *p, uint8_t *buf)
{
    UsbDevice *d = uhci_find(s, td->token >> 8 & 127);
    UsbResult r;

    *p = (UsbPacket){ .pid = td->token, .ep = td->token >> 15 & 15, .data = buf, .size = ((td->token >> 21) + 1) & 0x7ff };
    if (!d)
        return USB_NODEV;
    if (p->pid != USB_PID_IN)
        pci_dma_read(&s->pci, td->buffer, buf, p->size);
    r = usb_packet(d, p);
    if (r == USB_OK && p->pid == USB_PID_IN && p->actual)
        pci_dma_write(&s->pci, td->buffer, buf, p->actual);
    return r;
}

static TdResult td_failed(Uhci *s, uint32_t addr, Td *td, uint32_t bits, Walk *w)
{
    set_ctrl(s, addr, td, (td->ctrl & ~(uint32_t)TD_ACTIVE) | bits);
    s->status |= STS_ERROR;
    if (td->ctrl & TD_IOC)
        w->interrupts |= STS2_IOC;
    uhci_update_irq(s);
    w->any = true;
    return TD_NEXT;
}

static TdResult td_done(Uhci *s, uint32_t addr, Td *td, const UsbPacket *p, Walk *w)
{
    uint32_t ctrl = (td->ctrl & ~(uint32_t)(TD_ACTLEN | TD_ACTIVE | TD_NAK)) | ((p->actual - 1) & TD_ACTLEN);

    s->frame_bytes += p->actual;
    w->any = w->progress = true;
    if (ctrl & TD_IOC)
        w->interrupts |= STS2_IOC;
    set_ctrl(s, addr, td, ctrl);
    if (p->pid == USB_PID_IN && (ctrl & TD_SPD) && p->actual < p->size) {
        w->interrupts |= STS2_SPD;
        return TD_NEXT;             /* the queue stays here: 3.4.2 */
    }
    return TD_DONE;
}

static TdResult run_td(Uhci *s, uint32_t addr, Td *td, Walk *w)
{
    uint8_t buf[TD_BYTES];
    UsbPacket p;

    if (!(td->ctrl & TD_ACTIVE))
        return TD_NEXT;
    switch (td->token & 0xff) {
    case USB_PID_SETUP: case USB_PID_IN: case USB_PID_OUT:
        break;
    default:
        log_guest("uhci: a transfer descriptor has packet id 0x%x\n", td->token & 0xff);
        uhci_process_error(s);
        return TD_STOP;
    }
    switch (transact(s, td, &p, buf)) {
    case USB_OK:
        return td_done(s, addr, td, &p, w);
    case USB_NAK:
        set_ctrl(s, addr, td, td->ctrl | TD_NAK);
        return TD_NEXT;
    case USB_STALL:
        return td_failed(s, addr, td, TD_STALLED, w);
    case USB_BABBLE:
        return td_failed(s, addr, td, TD_STALLED | TD_BABBLE, w);
    default:                        /* nobody there: three errors are up at once */
        td->ctrl &= ~(uint32_t)TD_ERRORS;
        return td_failed(s, addr, td, TD_TIMEOUT, w);
    }
}

/* ---- One frame ---- */

static bool read_words(Uhci *s, uint32_t addr, uint32_t *v, unsigned n)
{
    const bool ok = pci_dma_read(&s->pci, addr, v, 4 * n);

    for (unsigned i = 0; i < n; i++)
        v[i] = GUINT32_FROM_LE(v[i]);
    return ok;
}

/* Queues may lead back to one another (3.1: bandwidth reclamation): around once more only if the last time got something done. */
static bool worth_it(Walk *w, uint32_t qh)
{
    for (unsigned i = 0; i < w->n_seen; i++) {
        if (w->seen[i] == qh) {
            if (!w->progress)
                return false;
            w->progress = false;
            w->n_seen = 0;
            break;
        }
    }
    if (w->n_seen < MAX_QUEUES)
        w->seen[w->n_seen++] = qh;
    return true;
}

typedef struct Queue { uint32_t addr, link, element; } Queue;   /* addr 0: in none */

/* Carries out the descriptor at `link`; returns the next link. */
static uint32_t step_td(Uhci *s, uint32_t link, Queue *q, Walk *w)
{
    uint32_t addr = link & LINK_ADDR, le;
    Td td = { 0 };

    if (!read_words(s, addr, (uint32_t *)&td, 4))
        return LINK_T;
    switch (run_td(s, addr, &td, w)) {
    case TD_STOP:
        return LINK_T;
    case TD_NEXT:
        link = q->addr ? q->link : td.link;
        break;
    case TD_DONE:
        link = td.link;
        if (!q->addr)
            return link;
        le = GUINT32_TO_LE(td.link);
        pci_dma_write(&s->pci, q->addr + 4, &le, 4);
        if (td.link & LINK_VF)
            return link;
        link = q->link;
        break;
    }
    q->addr = 0;
    return link;
}

static void walk(Uhci *s, uint32_t link, Walk *w)
{
    Queue q = { 0 };

    for (unsigned i = 0; i < MAX_STEPS && !(link & LINK_T) && s->frame_bytes < s->bandwidth; i++) {
        if (!(link & LINK_Q)) {
            link = step_td(s, link, &q, w);
            continue;
        }
        q.addr = link & LINK_ADDR;
        if (!worth_it(w, q.addr) || !read_words(s, q.addr, &q.link, 2))
            return;
        link = q.element;
        if (link & LINK_T) {
            link = q.link;
            q.addr = 0;
        }
    }
}

static void interrupt(Uhci *s, unsigned why)
{
    if (!why)
        return;
    s->status2 |= why;
    s->status |= STS_USBINT;
    uhci_update_irq(s);
}

/* True if it got something done. */
static bool run_frame(Uhci *s, uint32_t link)
{
    Walk w;

    w.progress = w.any = false;
    w.interrupts = w.n_seen = 0;
    walk(s, link, &w);
    interrupt(s, w.interrupts);
    return w.any;
}

static uint32_t frame_link(Uhci *s, unsigned frame)
{
    uint32_t link = LINK_T;

    return read_words(s, s->fl_base_addr + (frame & 0x3ff) * 4, &link, 1) ? link : LINK_T;
}

/* ---- Time ---- */

static bool running(const Uhci *s)
{
    return s->cmd & CMD_RS;
}

static uint64_t frames_over(const Uhci *s)
{
    const int64_t last = s->expire_time - (int64_t)UHCI_FRAME_NS, now = vm_now(&s->pci.dev);

    return now > last ? (now - last) / UHCI_FRAME_NS : 0;
}

uint16_t uhci_frnum(const Uhci *s)
{
    return running(s) ? (s->frnum + frames_over(s)) & 0x7ff : s->frnum;
}

static void skip_frames(Uhci *s, uint64_t n)
{
    s->frnum = (s->frnum + n) & 0x7ff;
    s->expire_time += n * UHCI_FRAME_NS;
}

/* Entries of the frame list that did nothing a moment ago need no second look. */
typedef struct Known { uint32_t links[KNOWN_LINKS]; unsigned n; } Known;

static bool known(Known *k, uint32_t link)
{
    for (unsigned i = 0; i < k->n; i++)
        if (k->links[i] == link)
            return true;
    if (k->n < KNOWN_LINKS)
        k->links[k->n++] = link;
    return false;
}

void uhci_catch_up(Uhci *s)
{
    uint64_t n = frames_over(s);
    Known idle = { .n = 0 };

    if (!running(s))
        return;
    interrupt(s, s->pending_int_mask);
    s->pending_int_mask = 0;
    if (n > s->maxframes) {
        skip_frames(s, n - s->maxframes);
        n = s->maxframes;
    }
    for (; n && running(s); n--) {
        const uint32_t link = frame_link(s, s->frnum);

        s->frame_bytes = 0;
        s->idle_frames = MIN(s->idle_frames + 1, PATIENCE + MAX_NAP);
        if (!(link & LINK_T) && !known(&idle, link) && run_frame(s, link))
            s->idle_frames = idle.n = 0;
        skip_frames(s, 1);
    }
}

static bool any_port_enabled(const Uhci *s)
{
    for (unsigned i = 0; i < UHCI_PORTS; i++)
        if (s->ports[i].ctrl & PORT_EN)
            return true;
    return false;
}

static void arm(Uhci *s)
{
    const unsigned nap = s->idle_frames < PATIENCE ? 1 : MIN(s->idle_frames - PATIENCE + 1, MAX_NAP);

    if (running(s) && any_port_enabled(s))
        timer_arm(&s->frame_timer, s->expire_time + (nap - 1) * UHCI_FRAME_NS);
    else
        timer_stop(&s->frame_timer);
}

void uhci_frame_due(void *opaque)
{
    Uhci *s = opaque;

    uhci_catch_up(s);
    arm(s);
}

void uhci_kick(Uhci *s)
{
    uhci_catch_up(s);       /* the idle time until now does not count */
    s->idle_frames = 0;
    arm(s);
}

void uhci_look(Uhci *s)
{
    uhci_catch_up(s);
    if (running(s)) {
        s->idle_frames = 0;
        run_frame(s, frame_link(s, s->frnum));
    }
    arm(s);
}

void uhci_start(Uhci *s)
{
    s->expire_time = vm_now(&s->pci.dev) + UHCI_FRAME_NS;
    s->frame_bytes = s->idle_frames = 0;
    s->status &= ~STS_HALTED;
    arm(s);
}

void uhci_stop(Uhci *s)
{
    timer_stop(&s->frame_timer);
}
