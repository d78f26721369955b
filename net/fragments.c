/*
 * Putting IPv4 fragments together (RFC 791, 3.2) before the user network's stack sees them: libslirp 4.7 does not survive a last
 * fragment that comes alone.
 *
 * Datagrams in pieces are kept for 30 s, 16 of them at most; what later pieces overlap they replace.
 */
#include <string.h>
#include "net/net-int.h"

enum { ETH = 14, IP = 20, MAX_HEADER = 60, MAX_IP = 65535, UNITS = 8192, KEPT = 16, MORE = 0x2000, OFFSET = 0x1fff };
#define LIFE_NS 30000000000ull

typedef struct Datagram {
    uint8_t key[11];                    /* protocol, identification, addresses */
    uint8_t head[ETH + MAX_HEADER];     /* of the first piece */
    unsigned head_len;                  /* 0: it has not come */
    unsigned total, units;              /* of the payload; 0: unknown. Units of 8 bytes that have come */
    uint8_t have[UNITS / 8];
    GByteArray *data;
    uint64_t began;
} Datagram;

struct NetFragments { Datagram d[KEPT]; };

static unsigned get16(const uint8_t *p)
{
    return p[0] << 8 | p[1];
}

static void put16(uint8_t *p, unsigned v)
{
    p[0] = v >> 8;
    p[1] = v;
}

static unsigned checksum(const uint8_t *p, unsigned n)
{
    uint32_t sum = 0;

    for (; n > 1; p += 2, n -= 2)
        sum += get16(p);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return ~sum & 0xffff;
}

static uint64_t now(void)
{
    return net_host.now_ns ? net_host.now_ns(net_host.opaque) : 0;
}

static void drop(Datagram *d)
{
    if (d->data)
        g_byte_array_unref(d->data);
    memset(d, 0, sizeof *d);
}

/* The one that this piece belongs to; a new one takes the place of the oldest. */
static Datagram *find(NetFragments *f, const uint8_t *key)
{
    Datagram *at = &f->d[0];
    const uint64_t t = now();

    for (Datagram *d = f->d; d < f->d + KEPT; d++) {
        if (d->data && t - d->began > LIFE_NS)
            drop(d);
        if (d->data && !memcmp(d->key, key, sizeof d->key))
            return d;
        if (at->data && (!d->data || d->began < at->began))
            at = d;
    }
    drop(at);
    memcpy(at->key, key, sizeof at->key);
    at->data = g_byte_array_new();
    at->began = t;
    return at;
}

/* false: this can't be a piece of it. */
static bool add(Datagram *d, const uint8_t *pkt, unsigned hl, unsigned len, unsigned off, bool more)
{
    const unsigned end = off + len;

    if (!len || (more && len % 8) || end > MAX_IP - hl || (d->total && (end > d->total || (!more && end != d->total))))
        return false;
    if (!more && d->data->len > end)
        return false;
    if (d->data->len < end)
        g_byte_array_set_size(d->data, end);
    memcpy(d->data->data + off, pkt + ETH + hl, len);
    d->total = more ? d->total : end;
    for (unsigned u = off / 8; u < (end + 7) / 8; u++) {
        d->units += !(d->have[u / 8] >> u % 8 & 1);
        d->have[u / 8] |= 1 << u % 8;
    }
    if (!off) {
        d->head_len = ETH + hl;
        memcpy(d->head, pkt, d->head_len);
    }
    return true;
}

static uint8_t *join(Datagram *d, size_t *size)
{
    const unsigned hl = d->head_len - ETH;
    uint8_t *p;

    if (hl + d->total > MAX_IP)
        return NULL;
    *size = d->head_len + d->total;
    p = g_malloc(*size);
    memcpy(p, d->head, d->head_len);
    memcpy(p + d->head_len, d->data->data, d->total);
    put16(p + ETH + 2, hl + d->total);
    put16(p + ETH + 6, 0);
    put16(p + ETH + 10, 0);
    put16(p + ETH + 10, checksum(p + ETH, hl));
    return p;
}

bool net_fragments_take(NetFragments **f, const uint8_t *pkt, size_t size, uint8_t **whole, size_t *whole_size)
{
    unsigned hl, total, field;
    uint8_t key[11];
    Datagram *d;

    *whole = NULL;
    if (size < ETH + IP || get16(pkt + 12) != 0x0800)
        return false;
    field = get16(pkt + ETH + 6);
    if (!(field & (MORE | OFFSET)))
        return false;
    hl = (pkt[ETH] & 15) * 4;
    total = get16(pkt + ETH + 2);
    if (pkt[ETH] >> 4 != 4 || hl < IP || total < hl || ETH + total > size || checksum(pkt + ETH, hl))
        return true;
    key[0] = pkt[ETH + 9];
    memcpy(key + 1, pkt + ETH + 4, 2);
    memcpy(key + 3, pkt + ETH + 12, 8);
    if (!*f)
        *f = g_new0(NetFragments, 1);
    d = find(*f, key);
    if (!add(d, pkt, hl, total - hl, (field & OFFSET) * 8, field & MORE)) {
        drop(d);
    } else if (d->head_len && d->total && d->units == (d->total + 7) / 8) {
        *whole = join(d, whole_size);
        drop(d);
    }
    return true;
}

void net_fragments_free(NetFragments *f)
{
    for (unsigned i = 0; f && i < KEPT; i++)
        drop(&f->d[i]);
    g_free(f);
}
