/*
 * Hubs: what one port's peer sends goes to the peers of all others.
 *
 * A hub takes a packet when at least one of the other ports does; a port whose peer can't take it keeps it in that peer's
 * queue.
 */
#include <string.h>
#include "net/net-int.h"
#include "util/error.h"

typedef struct HubPort {
    NetClient client;
    unsigned hub, number;
} HubPort;

static HubPort *port_of(NetClient *c)
{
    return c && c->type == &net_hub_port_type ? (HubPort *)c : NULL;
}

static HubPort *port_at(unsigned i)
{
    return port_of(g_ptr_array_index(net_clients, i));
}

/* When one of the others can; a hub without others takes all and drops it. */
static bool hub_can_receive(NetClient *c)
{
    const HubPort *from = port_of(c);
    bool alone = true;

    for (unsigned i = 0; i < net_clients->len; i++) {
        HubPort *p = port_at(i);

        if (!p || p == from || p->hub != from->hub)
            continue;
        if (net_can_send(&p->client))
            return true;
        alone = false;
    }
    return alone;
}

static bool hub_receive(NetClient *c, const struct iovec *iov, unsigned n, size_t size)
{
    const HubPort *from = port_of(c);

    for (unsigned i = 0; i < net_clients->len; i++) {
        HubPort *p = port_at(i);

        if (p && p != from && p->hub == from->hub)
            net_send(&p->client, iov, n);
    }
    return true;
}

/* Somebody behind c takes packets again: the other ports may go on. */
static void hub_sent(NetClient *c)
{
    const unsigned hub = port_of(c)->hub;

    for (unsigned i = 0; i < net_clients->len; i++) {
        HubPort *p = port_at(i);

        if (p && &p->client != c && p->hub == hub)
            net_flush(&p->client);
    }
}

const NetClientType net_hub_port_type = {
    .name = "hubport", .size = sizeof(HubPort), .can_receive = hub_can_receive, .receive = hub_receive, .sent = hub_sent,
};

NetClient *net_hub_port(unsigned hub, NetClient *peer, const char *name)
{
    g_autofree char *own = NULL;
    unsigned number = 0;
    HubPort *p;

    for (unsigned i = 0; i < net_clients->len; i++) {
        const HubPort *x = port_at(i);

        if (x && x->hub == hub)
            number = MAX(number, x->number + 1);
    }
    own = g_strdup_printf("hub%uport%u", hub, number);
    p = (HubPort *)net_client_new(&net_hub_port_type, peer, "hub", name ? name : own);
    p->hub = hub;
    p->number = number;
    net_client_set_info(&p->client, "hubid=%u", hub);
    return &p->client;
}

int net_hub_of(const NetClient *c)
{
    const HubPort *p = port_of((NetClient *)c);

    if (!p)
        p = port_of(c->peer);
    return p ? (int)p->hub : -1;
}

/* One line a port, the newest first; a hub's line before its ports. */
static void print_hub(unsigned hub, GString *out)
{
    g_string_append_printf(out, "hub %u\n", hub);
    for (unsigned i = net_clients->len; i > 0; i--) {
        HubPort *p = port_at(i - 1);

        if (!p || p->hub != hub)
            continue;
        g_string_append_printf(out, " \\ %s", p->client.name);
        if (p->client.peer) {
            g_string_append(out, ": ");
            net_print_client(p->client.peer, out);
        } else {
            g_string_append_c(out, '\n');
        }
    }
}

static GArray *hubs(void)
{
    GArray *a = g_array_new(false, false, sizeof(unsigned));

    for (unsigned i = 0; net_clients && i < net_clients->len; i++) {
        const HubPort *p = port_at(i);
        bool known = !p;

        for (unsigned j = 0; j < a->len && !known; j++)
            known = g_array_index(a, unsigned, j) == p->hub;
        if (!known)
            g_array_append_val(a, p->hub);
    }
    return a;
}

void net_hub_print(GString *out)
{
    g_autoptr(GArray) a = hubs();

    for (unsigned i = a->len; i > 0; i--)
        print_hub(g_array_index(a, unsigned, i - 1), out);
}

static void check_hub(unsigned hub)
{
    bool card = false, host = false;

    for (unsigned i = net_clients->len; i > 0; i--) {
        const HubPort *p = port_at(i - 1);

        if (!p || p->hub != hub)
            continue;
        if (!p->client.peer)
            warn_report("hub port %s has no peer", p->client.name);
        else if (p->client.peer->type->mac)
            card = true;
        else
            host = true;
    }
    if (card && !host)
        warn_report("hub %u is not connected to host network", hub);
    else if (host && !card)
        warn_report("hub %u with no nics", hub);
}

void net_check(void)
{
    g_autoptr(GArray) a = hubs();

    for (unsigned i = a->len; i > 0; i--)
        check_hub(g_array_index(a, unsigned, i - 1));
    for (unsigned i = 0; net_clients && i < net_clients->len; i++) {
        const NetClient *c = g_ptr_array_index(net_clients, i);

        if (!c->peer)
            warn_report("%s %s has no peer", c->type->mac ? "nic" : "netdev", c->name);
    }
}

static const NetParam hubport_params[] = { { "hubid", NET_NUMBER }, { "netdev", NET_TEXT }, { 0 } };

static NetClient *open_hubport(const char *id, NetClient *peer, Opts *o, GError **err)
{
    const char *netdev = opts_get(o, "netdev");

    if (!opts_has(o, "hubid")) {
        error_set(err, "Parameter 'hubid' is missing");
        return NULL;
    }
    if (netdev) {
        peer = net_find_netdev(netdev);
        if (!peer) {
            error_set(err, "netdev '%s' not found", netdev);
            return NULL;
        }
        if (peer->peer) {
            error_set(err, "netdev '%s' is already in use", netdev);
            return NULL;
        }
    }
    return net_hub_port(net_opt_num(o, "hubid", 0), peer, id);
}

const NetdevType netdev_hubport = { "hubport", hubport_params, open_hubport };
