/* Self-announcement: a RARP request from each card, so that switches learn where the guest is now (RFC 903). */
#include <string.h>
#include "net/net-int.h"

enum { RARP = 0x8035, ETH_IP = 0x0800, RARP_REQUEST = 3, FRAME = 60 };

typedef struct Announcing {
    NetAnnounce a;
    int64_t round;
} Announcing;

static void put16(uint8_t *p, unsigned v)
{
    p[0] = v >> 8;
    p[1] = v;
}

static bool announce(NetClient *c, void *opaque)
{
    const Announcing *x = opaque;
    uint8_t f[FRAME] = { 0 };
    const uint8_t *mac;

    if (!c->type->mac || c->link_down ||
        (x->a.interfaces && *x->a.interfaces && !g_strv_contains((const char *const *)x->a.interfaces, c->name)))
        return true;
    mac = c->type->mac(c);
    memset(f, 0xff, 6);
    memcpy(f + 6, mac, 6);
    put16(f + 12, RARP);
    put16(f + 14, 1);           /* Ethernet */
    put16(f + 16, ETH_IP);
    f[18] = 6;
    f[19] = 4;
    put16(f + 20, RARP_REQUEST);
    memcpy(f + 22, mac, 6);
    memcpy(f + 32, mac, 6);
    net_send_buf(c, f, sizeof f);
    return true;
}

static gboolean again(gpointer data)
{
    Announcing *x = data;
    int64_t wait;

    net_foreach(announce, x);
    if (++x->round >= x->a.rounds) {
        g_strfreev(x->a.interfaces);
        g_free(x);
        return G_SOURCE_REMOVE;
    }
    wait = x->a.initial + (x->round - 1) * x->a.step;
    g_timeout_add(CLAMP(wait, 0, x->a.max), again, x);
    return G_SOURCE_REMOVE;
}

void net_announce(const NetAnnounce *a)
{
    Announcing *x = g_new0(Announcing, 1);

    x->a = *a;
    x->a.interfaces = g_strdupv(a->interfaces);
    again(x);
}
