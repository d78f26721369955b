/*
 * e1000: reception (manual, 3.2): address filters, VLAN filter and tags, the descriptor ring.
 *
 * Not modelled: receive checksum offload (each descriptor says so: IXSM), packet split, flow control.
 */
#include <string.h>
#include "hw/net/e1000-int.h"
#include "util/iov.h"

enum { DESC = 16, MIN_FRAME = 60, MAX_FRAME = 1522, MAX_LONG_FRAME = 16384, HEADER = 18, FCS = 4 };
enum { STA_DD = 1, STA_EOP = 2, STA_IXSM = 4, STA_VP = 8 };

void e1000_set_rctl(E1000 *s, uint32_t val)
{
    static const uint32_t sizes[2][4] = { { 2048, 1024, 512, 256 }, { 2048, 16384, 8192, 4096 } };

    *reg(s, RCTL) = val;
    s->rxbuf_size = sizes[!!(val & RCTL_BSEX)][val >> RCTL_BSIZE & 3];
    s->rxbuf_min_shift = (val >> RCTL_RDMTS & 3) + 1;
    if ((val & RCTL_EN) && !s->tail_coalesced) {
        s->tail_coalesced = true;
        region_add_coalesced(&s->mmio, RDT, 4);
    }
}

static unsigned ring_size(E1000 *s)
{
    return *reg(s, RDLEN) / DESC;
}

static unsigned free_descriptors(E1000 *s)
{
    const unsigned head = *reg(s, RDH), tail = *reg(s, RDT), n = ring_size(s);

    if (head >= n || tail == head)
        return 0;
    return head < tail ? MIN(tail, n) - head : n - head + tail;
}

static bool has_room(E1000 *s, size_t size)
{
    return size <= (uint64_t)free_descriptors(s) * s->rxbuf_size;
}

bool e1000_can_receive(E1000 *s)
{
    return (*reg(s, STATUS) & STATUS_LU) && (*reg(s, RCTL) & RCTL_EN) && s->pci.bus_master && has_room(s, 1);
}

/* ---- Filters ---- */

/* Twelve bits of the address, from one of four places, are a bit's number in the table (13.5.1). */
static bool multicast_hash(E1000 *s, const uint8_t *to)
{
    static const uint8_t shifts[] = { 4, 3, 2, 0 };
    const unsigned h = (to[5] << 8 | to[4]) >> shifts[*reg(s, RCTL) >> RCTL_MO & 3] & 0xfff;

    return *reg(s, MTA + h / 32 * 4) >> h % 32 & 1;
}

static bool address_matches(E1000 *s, const uint8_t *to)
{
    const uint32_t low = pci_get32(to), high = pci_get16(to + 4);

    for (unsigned i = 0; i < RA_ENTRIES; i++) {
        const uint32_t *ra = reg(s, RA + 8 * i);

        if ((ra[1] & RA_VALID) && ra[0] == low && (ra[1] & 0xffff) == high)
            return true;
    }
    return false;
}

static bool is_vlan(E1000 *s, const uint8_t *h)
{
    return (h[12] << 8 | h[13]) == (int)(*reg(s, VET) & 0xffff);
}

static bool wanted(E1000 *s, const uint8_t *h)
{
    const uint32_t rctl = *reg(s, RCTL);
    const bool broadcast = !memcmp(h, "\xff\xff\xff\xff\xff\xff", 6), multicast = h[0] & 1;

    if ((rctl & RCTL_VFE) && is_vlan(s, h)) {
        const unsigned id = (h[14] << 8 | h[15]) & 0xfff;

        if (!(*reg(s, VFTA + id / 32 * 4) >> id % 32 & 1))
            return false;
    }
    if ((rctl & RCTL_UPE) && !multicast)
        return true;
    if ((rctl & RCTL_MPE) && multicast && !broadcast)
        return true;
    if ((rctl & RCTL_BAM) && broadcast)
        return true;
    return address_matches(s, h) || (multicast && multicast_hash(s, h));
}

/* ---- The ring ---- */

/* `at`: of what goes to memory, the packet less the tag that was cut out of it behind the addresses. */
static void copy_out(E1000 *s, const IoVec *v, size_t at, bool cut, uint64_t addr, size_t len)
{
    while (len) {
        size_t skip = at + (cut && at >= 12 ? 4 : 0), n = cut && at < 12 ? MIN(len, 12 - at) : len;
        const struct iovec *in = v->iov;

        while (skip >= in->iov_len)
            skip -= in++->iov_len;
        n = MIN(n, in->iov_len - skip);
        pci_dma_write(&s->pci, addr, (const char *)in->iov_base + skip, n);
        at += n;
        addr += n;
        len -= n;
    }
}

typedef struct RxPacket {
    IoVec v;
    size_t size;                /* of what goes to memory, without FCS */
    size_t total;               /* with it */
    uint8_t status;
    uint16_t tag;
    bool cut;
} RxPacket;

/* One descriptor; at: bytes that earlier ones hold. */
static void fill(E1000 *s, const RxPacket *p, size_t at)
{
    const uint64_t base = (*reg(s, RDBAL) & ~15u) | (uint64_t)*reg(s, RDBAH) << 32, desc = base + *reg(s, RDH) * DESC;
    const size_t room = MIN(p->total - at, s->rxbuf_size), data = at < p->size ? MIN(p->size - at, room) : 0;
    const bool last = at + room >= p->total;
    uint64_t addr;
    uint8_t d[DESC];

    pci_dma_read(&s->pci, desc, d, DESC);
    addr = pci_get32(d) | (uint64_t)pci_get32(d + 4) << 32;
    pci_set16(d + 14, p->tag);
    d[12] = (d[12] & ~(STA_DD | STA_EOP | STA_IXSM)) | p->status;
    if (addr) {
        copy_out(s, &p->v, at, p->cut, addr, data);
        pci_set16(d + 8, room);
        d[12] |= last ? STA_EOP | STA_IXSM : 0;
    }                           /* a null address: nothing of the packet is kept (3.2.4) */
    pci_dma_write(&s->pci, desc, d, DESC);
    d[12] |= STA_DD;            /* the driver may look at any time: done comes last */
    pci_dma_write(&s->pci, desc + 12, d + 12, 1);
    if (++*reg(s, RDH) >= ring_size(s))
        *reg(s, RDH) = 0;
}

static void count_packet(E1000 *s, const uint8_t *h, size_t size)
{
    e1000_count_size(s, PRC64, size + FCS);
    count(s, TPR);
    *reg(s, GPRC) = *reg(s, TPR);
    e1000_count_bytes(s, TORL, size + FCS);
    *reg(s, GORCL) = *reg(s, TORL);
    *reg(s, GORCH) = *reg(s, TORH);
    if (!memcmp(h, "\xff\xff\xff\xff\xff\xff", 6))
        count(s, BPRC);
    else if (h[0] & 1)
        count(s, MPRC);
}

static void overrun(E1000 *s)
{
    count(s, RNBC);
    count(s, MPC);
    e1000_raise(s, ICR_RXO);
}

static void put(E1000 *s, RxPacket *p, const uint8_t *h, size_t size)
{
    uint32_t causes = ICR_RXT0;
    unsigned left;

    if ((*reg(s, CTRL) & CTRL_VME) && is_vlan(s, h)) {
        p->tag = h[14] << 8 | h[15];
        p->status = STA_VP;
        p->cut = true;
        p->size -= 4;
    }
    p->total = p->size + (*reg(s, RCTL) & RCTL_SECRC ? 0 : FCS);
    if (!has_room(s, p->total))
        e1000_catch_up(s);
    if (!has_room(s, p->total)) {
        overrun(s);
        return;
    }
    for (size_t at = 0; at < p->total; at += s->rxbuf_size)
        fill(s, p, at);
    count_packet(s, h, size);
    left = free_descriptors(s);
    if (left * DESC <= *reg(s, RDLEN) >> s->rxbuf_min_shift)
        causes |= ICR_RXDMT0;
    e1000_raise(s, causes);
}

void e1000_receive(E1000 *s, const struct iovec *iov, unsigned n, size_t size)
{
    uint8_t small[MIN_FRAME] = { 0 }, h[HEADER];
    struct iovec one = { small, MIN_FRAME };
    RxPacket p = { .v = { iov, n } };

    if (size < MIN_FRAME) {     /* a cable would have padded it */
        iov_to_buf(&p.v, 0, small, size);
        p.v = (IoVec){ &one, 1 };
        size = MIN_FRAME;
    }
    if ((size > MAX_LONG_FRAME || (size > MAX_FRAME && !(*reg(s, RCTL) & RCTL_LPE))) && !(*reg(s, RCTL) & RCTL_SBP)) {
        count(s, ROC);
        return;
    }
    iov_to_buf(&p.v, 0, h, HEADER);
    if (!wanted(s, h))
        return;
    p.size = size;
    put(s, &p, h, size);
}
