/* Clients of the network: the list, sending and queues, links, MAC addresses, info network. */
#include <stdio.h>
#include <string.h>
#include "net/net-int.h"
#include "util/error.h"
#include "util/iov.h"

#define QUEUE_PACKETS 10000             /* of senders that do not wait */
#define QUEUE_BYTES (16u << 20)
#define MAX_HUBS 8                      /* that one packet crosses */

typedef struct Packet {
    NetClient *from;
    size_t size;
    uint8_t data[];
} Packet;

GPtrArray *net_clients;
NetHost net_host;
static bool running;
static uint8_t macs_used[256];          /* how many cards have 52:54:00:12:34:NN */

void net_init(const NetHost *host)
{
    net_host = *host;
    if (!net_clients)
        net_clients = g_ptr_array_new();
}

/* ---- Clients ---- */

static char *free_name(const char *model)
{
    unsigned n = 0;

    for (unsigned i = 0; i < net_clients->len; i++) {
        const NetClient *c = g_ptr_array_index(net_clients, i);

        n += !strcmp(c->model, model);
    }
    return g_strdup_printf("%s.%u", model, n);
}

NetClient *net_client_new(const NetClientType *t, NetClient *peer, const char *model, const char *name)
{
    NetClient *c = g_malloc0(t->size);

    if (!net_clients)
        net_clients = g_ptr_array_new();
    c->type = t;
    c->model = g_strdup(model);
    c->name = name ? g_strdup(name) : free_name(model);
    c->info = g_strdup("");
    g_queue_init(&c->in);
    if (peer) {
        c->peer = peer;
        peer->peer = c;
    }
    g_ptr_array_add(net_clients, c);
    return c;
}

void net_client_set_info(NetClient *c, const char *fmt, ...)
{
    va_list ap;

    g_free(c->info);
    va_start(ap, fmt);
    c->info = g_strdup_vprintf(fmt, ap);
    va_end(ap);
}

void net_purge(NetClient *c)
{
    GList *next;

    for (unsigned i = 0; i < net_clients->len; i++) {
        NetClient *to = g_ptr_array_index(net_clients, i);

        for (GList *l = to->in.head; l; l = next) {
            Packet *p = l->data;

            next = l->next;
            if (p->from != c)
                continue;
            to->in_bytes -= p->size;
            g_queue_delete_link(&to->in, l);
            g_free(p);
        }
    }
}

void net_client_free(NetClient *c)
{
    NetClient *peer = c->peer;

    net_purge(c);
    net_filters_forget(c);
    g_queue_clear_full(&c->in, g_free);
    net_filters_drop(c);
    if (c->type->close)
        c->type->close(c);
    if (peer && peer->peer == c) {
        peer->peer = NULL;
        if (peer->type->sent)
            peer->type->sent(peer);     /* what it waited for goes nowhere now */
    }
    g_ptr_array_remove(net_clients, c);
    g_free(c->name);
    g_free(c->model);
    g_free(c->info);
    g_free(c);
}

/* ---- Packets ---- */

static bool is_card(const NetClient *c)
{
    return c->type->mac != NULL;
}

static bool can_receive(NetClient *c)
{
    if (is_card(c) && !running)
        return false;
    return !c->type->can_receive || c->type->can_receive(c);
}

static bool hand_over(NetClient *to, const struct iovec *iov, unsigned n, size_t size)
{
    bool taken;

    if (to->link_down)
        return true;
    to->delivering = true;
    taken = to->type->receive(to, iov, n, size);
    to->delivering = false;
    return taken;
}

static void queue(NetClient *to, NetClient *from, const struct iovec *iov, unsigned n, size_t size)
{
    const IoVec v = { iov, n };
    Packet *p;

    if (!from->type->sent && (to->in.length >= QUEUE_PACKETS || to->in_bytes + size > QUEUE_BYTES))
        return;
    p = g_malloc(sizeof *p + size);
    p->from = from;
    p->size = size;
    iov_to_buf(&v, 0, p->data, size);
    g_queue_push_tail(&to->in, p);
    to->in_bytes += size;
}

bool net_deliver(NetClient *from, const struct iovec *iov, unsigned n, size_t size)
{
    NetClient *to = from->peer;
    bool taken;

    if (!to)
        return true;
    if (to->delivering || to->in.length || !can_receive(to)) {
        queue(to, from, iov, n, size);
        return false;
    }
    taken = hand_over(to, iov, n, size);
    if (!taken)
        queue(to, from, iov, n, size);
    else if (to->in.length)             /* came in meanwhile */
        net_flush(to);
    return taken;
}

bool net_send(NetClient *from, const struct iovec *iov, unsigned n)
{
    size_t size = iov_size(iov, n);
    NetClient *to = from->peer;

    if (from->link_down || !to || size > NET_MAX_PACKET || !size)
        return true;
    if (from->filters && net_filters_run(from, true, from, iov, n, size))
        return true;
    if (to->filters && net_filters_run(to, false, from, iov, n, size))
        return true;
    return net_deliver(from, iov, n, size);
}

bool net_send_buf(NetClient *from, const void *buf, size_t size)
{
    const struct iovec iov = { (void *)buf, size };

    return net_send(from, &iov, 1);
}

bool net_send_padded(NetClient *from, const void *buf, size_t size)
{
    uint8_t padded[NET_MIN_PACKET];

    if (size >= sizeof padded)
        return net_send_buf(from, buf, size);
    memcpy(padded, buf, size);
    memset(padded + size, 0, sizeof padded - size);
    return net_send_buf(from, padded, sizeof padded);
}

bool net_can_send(NetClient *from)
{
    NetClient *to = from->peer;

    return !to || (!to->delivering && !to->in.length && can_receive(to));
}

/* What waits for c behind a hub waits in the queues of its other ports. */
static void flush_hub(NetClient *c)
{
    static unsigned depth;              /* hubs may be connected in a ring */

    if (!c->peer || c->peer->type != &net_hub_port_type || depth == MAX_HUBS)
        return;
    depth++;
    c->peer->type->sent(c->peer);
    depth--;
}

bool net_flush(NetClient *c)
{
    if (c->delivering)
        return false;
    while (c->in.length && can_receive(c)) {
        Packet *p = g_queue_pop_head(&c->in);
        struct iovec iov = { p->data, p->size };
        NetClient *from = p->from;

        c->in_bytes -= p->size;
        if (!hand_over(c, &iov, 1, p->size)) {
            g_queue_push_head(&c->in, p);
            c->in_bytes += p->size;
            return false;
        }
        g_free(p);
        if (from->type->sent && !c->in.length)
            from->type->sent(from);
    }
    if (!c->in.length)
        flush_hub(c);
    return !c->in.length;
}

void net_set_running(bool on)
{
    running = on;
    for (unsigned i = 0; on && i < net_clients->len; i++) {
        NetClient *c = g_ptr_array_index(net_clients, i);

        if (is_card(c)) {
            net_flush(c);
            c->type->sent(c);       /* its own queue goes on as well */
        }
    }
}

/* ---- Names ---- */

NetClient *net_find(const char *name)
{
    for (unsigned i = 0; net_clients && i < net_clients->len; i++) {
        NetClient *c = g_ptr_array_index(net_clients, i);

        if (!strcmp(c->name, name))
            return c;
    }
    return NULL;
}

NetClient *net_find_netdev(const char *id)
{
    for (unsigned i = 0; net_clients && i < net_clients->len; i++) {
        NetClient *c = g_ptr_array_index(net_clients, i);

        if (!is_card(c) && !strcmp(c->name, id))
            return c;
    }
    return NULL;
}

void net_foreach(bool (*fn)(NetClient *c, void *opaque), void *opaque)
{
    for (unsigned i = 0; net_clients && i < net_clients->len; i++)
        if (!fn(g_ptr_array_index(net_clients, i), opaque))
            return;
}

bool net_del_netdev(const char *id, GError **err)
{
    NetClient *c = net_find_netdev(id);

    if (!c)
        return error_set_class(err, ERR_DEVICE_NOT_FOUND, "Device '%s' not found", id);
    if (!c->is_netdev)
        return error_set(err, "Device '%s' is not a netdev", id);
    if (c->peer && is_card(c->peer)) {  /* the card goes on without a cable */
        NetClient *card = c->peer;

        card->link_down = true;
        if (card->type->link_changed)
            card->type->link_changed(card);
    }
    net_client_free(c);
    return true;
}

/* ---- Links ---- */

static void link_to(NetClient *c, bool up)
{
    if (c->link_down == !up)
        return;
    c->link_down = !up;
    if (c->type->link_changed)
        c->type->link_changed(c);
    if (up)
        net_flush(c);
}

bool net_set_link(const char *name, bool up, GError **err)
{
    NetClient *c = net_find(name);

    if (!c)
        return error_set_class(err, ERR_DEVICE_NOT_FOUND, "Device '%s' not found", name);
    link_to(c, up);
    /* A card sees its back-end's cable; the back-end goes on when a card's own is pulled. */
    if (c->peer && !is_card(c) && is_card(c->peer))
        link_to(c->peer, up);
    return true;
}

/* ---- MAC addresses ---- */

static const uint8_t mac_base[5] = { 0x52, 0x54, 0x00, 0x12, 0x34 };
enum { FIRST_MAC = 0x56 };

void net_mac_default(uint8_t *mac)
{
    static const uint8_t zero[6];
    unsigned n = FIRST_MAC;

    if (memcmp(mac, zero, 6)) {
        if (!memcmp(mac, mac_base, 5) && macs_used[mac[5]] < UINT8_MAX)
            macs_used[mac[5]]++;
        return;
    }
    while (n < 0xff && macs_used[n])
        n++;
    memcpy(mac, mac_base, 5);
    mac[5] = n;
    macs_used[n] += macs_used[n] < UINT8_MAX;
}

void net_mac_free(const uint8_t *mac)
{
    if (!memcmp(mac, mac_base, 5) && macs_used[mac[5]])
        macs_used[mac[5]]--;
}

/* ---- info network ---- */

void net_print_client(NetClient *c, GString *out)
{
    g_string_append_printf(out, "%s: index=0,type=%s,%s\n", c->name, c->type->name, c->info);
    net_filters_print(c, out);
}

void net_print(GString *out)
{
    net_hub_print(out);
    for (unsigned i = 0; net_clients && i < net_clients->len; i++) {
        NetClient *c = g_ptr_array_index(net_clients, i);

        if (net_hub_of(c) == 0)         /* hub 0's are above */
            continue;
        if (!c->peer || is_card(c))
            net_print_client(c, out);
        if (c->peer && is_card(c)) {
            g_string_append(out, " \\ ");
            net_print_client(c->peer, out);
        }
    }
}

void net_print_usernet(GString *out)
{
    for (unsigned i = 0; net_clients && i < net_clients->len; i++) {
        NetClient *c = g_ptr_array_index(net_clients, i);

        if (c->type->print_state)
            c->type->print_state(c, out);
    }
}

bool net_hostfwd(const char *id, const char *rule, bool add, GError **err)
{
    NetClient *c = id ? net_find_netdev(id) : NULL;

    for (unsigned i = 0; !id && net_clients && i < net_clients->len && !c; i++) {
        NetClient *x = g_ptr_array_index(net_clients, i);

        c = x->type->hostfwd ? x : NULL;
    }
    if (!c)
        return id ? error_set(err, "unrecognized netdev id '%s'", id) : error_set(err, "user mode network stack not in use");
    if (!c->type->hostfwd)
        return error_set(err, "invalid device specified");
    return c->type->hostfwd(c, rule, add, err);
}

void net_cleanup(void)
{
    /* Back-ends only: cards belong to their devices. */
    for (unsigned i = net_clients ? net_clients->len : 0; i > 0; i--) {
        NetClient *c = i <= net_clients->len ? g_ptr_array_index(net_clients, i - 1) : NULL;

        if (c && !is_card(c))
            net_client_free(c);
    }
}

/* ---- Odds and ends for back-ends ---- */

bool net_parse_mac(const char *s, uint8_t *mac)
{
    unsigned b[6];
    int end = 0;

    if (sscanf(s, "%2x%*1[:-]%2x%*1[:-]%2x%*1[:-]%2x%*1[:-]%2x%*1[:-]%2x%n", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5], &end) != 6 ||
        s[end])
        return false;
    for (int i = 0; i < 6; i++)
        mac[i] = b[i];
    return true;
}
