/*
 * e1000: transmission (manual, 3.3 to 3.5): legacy, context and data descriptors, segmentation, checksums, VLAN tags.
 *
 * Work is done in portions: a kick handles what costs a guest's thread little; the rest follows in a bottom half. A ring whose
 * tail lies outside it is not looked at. When the network takes no more the ring waits, and goes on when there is room.
 */
#include <string.h>
#include "hw/core/runstate.h"
#include "hw/net/e1000-int.h"
#include "util/log.h"

enum { DESC = 16 };
enum {      /* the second dword of a descriptor */
    CMD_EOP = 1 << 24, CMD_TCP = 1 << 24, CMD_IP = 1 << 25, CMD_TSE = 1 << 26, CMD_RS = 1 << 27, CMD_RPS = 1 << 28,
    CMD_DEXT = 1 << 29, CMD_VLE = 1 << 30, DTYP_DATA = 1 << 20,
};
#define CMD_IDE (1u << 31)
enum { STA_DD = 1, STA_EC = 2, STA_LC = 4, STA_TU = 8 };
enum { POPTS_IXSM = 1, POPTS_TXSM = 2 };
enum { IP_HEADER6 = 40 };
/* Of one portion: packets and descriptors, a KiB of data each. */
enum { PORTION = 1024 };
/* A ring that a driver would fill is done with then; a hostile one may not keep the monitor waiting for hours. */
enum { PORTIONS = 64 };

static uint16_t get16(const uint8_t *p)
{
    return p[0] << 8 | p[1];
}

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static void put16(uint8_t *p, unsigned v)
{
    p[0] = v >> 8;
    p[1] = v;
}

static void put32(uint8_t *p, uint32_t v)
{
    put16(p, v >> 16);
    put16(p + 2, v);
}

/* ---- Checksums ---- */

static uint16_t sum_of(const uint8_t *p, size_t len)
{
    uint64_t sum = 0;

    for (; len >= 2; p += 2, len -= 2)
        sum += get16(p);
    if (len)
        sum += *p << 8;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

/* The checksum of [start, end] (end 0: to the packet's end) goes to `at`. */
static void put_sum(uint8_t *data, size_t size, unsigned at, unsigned start, unsigned end)
{
    size_t n = end && end < size ? end + 1 : size;

    if (at + 1 < n && start < n)
        put16(data + at, (uint16_t)~sum_of(data + start, n - start));
}

/* ---- Packets ---- */

static void count_packet(E1000 *s, size_t size)
{
    const uint8_t *d = s->tx.data;

    if (!memcmp(d, "\xff\xff\xff\xff\xff\xff", 6))
        count(s, BPTC);
    else if (d[0] & 1)
        count(s, MPTC);
    e1000_count_size(s, PTC64, size + 4);
    count(s, TPT);
    *reg(s, GPTC) = *reg(s, TPT);
    e1000_count_bytes(s, TOTL, size + 4);
    *reg(s, GOTCL) = *reg(s, TOTL);
    *reg(s, GOTCH) = *reg(s, TOTH);
}

static void send(E1000 *s, size_t size)
{
    E1000Tx *tx = &s->tx;
    struct iovec iov[3] = { { tx->data, size } };
    unsigned n = 1;

    if (tx->vlan_needed && size >= 12) {
        iov[0].iov_len = 12;
        iov[1] = (struct iovec){ tx->vlan, 4 };
        iov[2] = (struct iovec){ tx->data + 12, size - 12 };
        n = 3;
    }
    if (!e1000_loopback(s)) {
        s->tx_blocked |= !net_send(s->nic.client, iov, n);
    } else if (e1000_can_receive(s)) {
        e1000_receive(s, iov, n, size + (n > 1 ? 4 : 0));
    }
    count_packet(s, size + (n > 1 ? 4 : 0));
}

/* Lengths, numbers and flags of one segment (3.5.8). */
static void fix_segment(E1000 *s)
{
    E1000Tx *tx = &s->tx;
    const TxProps *p = &tx->tso_props;
    uint8_t *d = tx->data;
    const unsigned size = tx->size, sofar = tx->tso_frames * p->mss;
    unsigned css = p->ipcss, len;

    if (css + 6u <= size && p->ip) {
        put16(d + css + 2, size - css);
        put16(d + css + 4, get16(d + css + 4) + tx->tso_frames);
    } else if (css + 6u <= size && size - css >= IP_HEADER6) {
        put16(d + css + 4, size - css - IP_HEADER6);
    }
    css = p->tucss;
    len = size > css ? size - css : 0;
    if (p->tcp && len >= 14) {
        put32(d + css + 4, get32(d + css + 4) + sofar);
        if (p->paylen > sofar + p->mss)
            d[css + 13] &= ~9;      /* PSH and FIN belong to the last one */
        else if (tx->tso_frames)
            count(s, TSCTC);
    } else if (!p->tcp && len >= 6) {
        put16(d + css + 4, len);
    }
    /* The pseudo header's sum lacks the length, as it differs between segments. */
    if (tx->sum_needed & POPTS_TXSM && p->tucso + 2u <= size) {
        uint32_t sum = get16(d + p->tucso) + len;

        put16(d + p->tucso, (sum & 0xffff) + (sum >> 16));
    }
    tx->tso_frames++;
}

static void send_segment(E1000 *s)
{
    E1000Tx *tx = &s->tx;
    const TxProps *p = tx->tso ? &tx->tso_props : &tx->props;

    if (!tx->size)
        return;
    if (tx->tso)
        fix_segment(s);
    if (tx->sum_needed & POPTS_TXSM)
        put_sum(tx->data, tx->size, p->tucso, p->tucss, p->tucse);
    if (tx->sum_needed & POPTS_IXSM)
        put_sum(tx->data, tx->size, p->ipcso, p->ipcss, p->ipcse);
    send(s, tx->size);
}

/* ---- Descriptors ---- */

static void take_context(E1000 *s, const uint8_t *d, uint32_t lower)
{
    TxProps *p = lower & CMD_TSE ? &s->tx.tso_props : &s->tx.props;
    const uint32_t upper = pci_get32(d + 12);

    s->tso_last = lower & CMD_TSE;
    p->ipcss = d[0];
    p->ipcso = d[1];
    p->ipcse = pci_get16(d + 2);
    p->tucss = d[4];
    p->tucso = d[5];
    p->tucse = pci_get16(d + 6);
    p->paylen = lower & 0xfffff;
    p->hdr_len = upper >> 8;
    p->mss = upper >> 16;
    p->ip = !!(lower & CMD_IP);
    p->tcp = !!(lower & CMD_TCP);
    s->tx.tso_frames = 0;
    if (!p->tucso)                  /* where drivers leave it to the protocol */
        p->tucso = p->tucss + (p->tcp ? 16 : 6);
}

/* Adds len bytes of the guest's to the packet, sending each full segment on the way. Returns how many it sent. */
static unsigned gather_segments(E1000 *s, uint64_t addr, unsigned len)
{
    E1000Tx *tx = &s->tx;
    const unsigned hdr = tx->tso_props.hdr_len, full = hdr + tx->tso_props.mss;
    unsigned sent = 0;

    while (len) {
        unsigned part = tx->size < full ? MIN(len, full - tx->size) : 0;

        part = MIN(part, (unsigned)(UINT16_MAX - tx->size));
        if (!part)
            break;
        pci_dma_read(&s->pci, addr, tx->data + tx->size, part);
        if (tx->size < hdr && tx->size + part >= hdr)
            memcpy(tx->header, tx->data, hdr);
        tx->size += part;
        addr += part;
        len -= part;
        if (tx->size == full) {
            send_segment(s);
            memcpy(tx->data, tx->header, hdr);
            tx->size = hdr;
            sent++;
        }
    }
    return sent;
}

static void end_packet(E1000Tx *tx)
{
    tx->tso_frames = 0;
    tx->sum_needed = 0;
    tx->vlan_needed = false;
    tx->size = 0;
    tx->tso = false;
}

/* Returns what it cost. */
static unsigned take_data(E1000 *s, const uint8_t *d, uint32_t lower)
{
    E1000Tx *tx = &s->tx;
    const uint64_t addr = pci_get32(d) | (uint64_t)pci_get32(d + 4) << 32;
    const bool extended = lower & CMD_DEXT;
    unsigned len = extended ? lower & 0xfffff : lower & 0xffff, cost;

    len = MIN(len, 0xffffu);
    if (extended && !tx->size)
        tx->sum_needed = d[13];
    tx->tso = extended && (lower & CMD_TSE);
    if ((lower & CMD_VLE) && (*reg(s, CTRL) & CTRL_VME) && (tx->tso || (lower & CMD_EOP))) {
        tx->vlan_needed = true;
        put16(tx->vlan, *reg(s, VET));
        put16(tx->vlan + 2, pci_get16(d + 14));
    }
    cost = len >> 10;
    if (tx->tso && tx->tso_props.mss) {
        cost += gather_segments(s, addr, len);
    } else {
        len = MIN(len, (unsigned)(UINT16_MAX - tx->size));
        pci_dma_read(&s->pci, addr, tx->data + tx->size, len);
        tx->size += len;
    }
    if (lower & CMD_EOP) {
        if (!tx->tso || tx->size > tx->tso_props.hdr_len)
            send_segment(s);
        end_packet(tx);
        cost++;
    }
    return cost;
}

static uint64_t ring_base(E1000 *s)
{
    return (*reg(s, TDBAL) & ~15u) | (uint64_t)*reg(s, TDBAH) << 32;
}

static uint32_t write_back(E1000 *s, uint64_t at, const uint8_t *d, uint32_t lower)
{
    uint32_t upper = (pci_get32(d + 12) | STA_DD) & ~(STA_EC | STA_LC | STA_TU);
    uint8_t out[4];

    s->delay_tx |= !!(lower & CMD_IDE);
    if (!(lower & (CMD_RS | CMD_RPS)))
        return 0;
    pci_set32(out, upper);
    pci_dma_write(&s->pci, at, out, 4);
    return ICR_TXDW;
}

static unsigned one(E1000 *s, uint32_t *causes)
{
    const uint64_t at = ring_base(s) + *reg(s, TDH) * DESC;
    unsigned cost = 1;
    uint32_t lower;
    uint8_t d[DESC];

    pci_dma_read(&s->pci, at, d, DESC);
    lower = pci_get32(d + 8);
    if ((lower & (CMD_DEXT | DTYP_DATA)) == CMD_DEXT)
        take_context(s, d, lower);
    else
        cost += take_data(s, d, lower);
    *causes |= write_back(s, at + 12, d, lower);
    if (++*reg(s, TDH) >= *reg(s, TDLEN) / DESC)
        *reg(s, TDH) = 0;
    return cost;
}

static bool ready(E1000 *s)
{
    const uint32_t n = *reg(s, TDLEN) / DESC;

    if (!(*reg(s, TCTL) & TCTL_EN) || *reg(s, TDH) == *reg(s, TDT) || !s->pci.bus_master || s->tx_blocked)
        return false;
    if (*reg(s, TDH) < n && *reg(s, TDT) < n)
        return true;
    log_guest("e1000: the transmit ring of %u descriptors has its head at %u and its tail at %u\n", n, *reg(s, TDH), *reg(s, TDT));
    return false;
}

/* false: the portion was used up. */
static bool work(E1000 *s, unsigned portion)
{
    uint32_t causes = ICR_TXQE;
    unsigned cost = 0;

    if (s->tx_running || !ready(s))
        return true;
    s->tx_running = true;
    while (ready(s) && cost < portion)
        cost += one(s, &causes);
    s->tx_running = false;
    e1000_raise(s, causes);
    return !ready(s);
}

void e1000_transmit(E1000 *s)
{
    if (!work(s, PORTION))
        bh_schedule(s->tx_bh);
}

void e1000_tx_bh(void *opaque)
{
    E1000 *s = opaque;

    if (machine_is_running(s->pci.dev.machine))     /* else nic_sent comes when it does */
        e1000_transmit(s);
}

void e1000_finish_transmit(E1000 *s)
{
    for (unsigned i = 0; i < PORTIONS && !work(s, PORTION); i++)
        ;
}
