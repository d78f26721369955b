/* Commands on the network. */
#include <string.h>
#include "monitor/monitor-int.h"
#include "monitor/qmp-schema.h"
#include "net/net.h"

/* ---- Netdevs ---- */

static json_t *add_netdev(Monitor *mon, json_t *args, GError **err)
{
    g_autofree char *text = json_dumps(args, JSON_COMPACT);

    net_add_netdev(text, err);
    return NULL;
}

static void hmp_add_netdev(Monitor *mon, json_t *args)
{
    const char *opts = arg_str(args, "opts");
    g_autoptr(GString) out = g_string_new(NULL);
    GError *err = NULL;

    if (!strcmp(opts, "help") || !strcmp(opts, "?")) {
        net_print_types(out);
        mon_puts(mon, out->str);
    } else if (!net_add_netdev(opts, &err)) {
        mon_print_error(mon, err);
    }
}

static json_t *del_netdev(Monitor *mon, json_t *args, GError **err)
{
    net_del_netdev(arg_str(args, "id"), err);
    return NULL;
}

static json_t *set_link(Monitor *mon, json_t *args, GError **err)
{
    net_set_link(arg_str(args, "name"), arg_bool(args, "up"), err);
    return NULL;
}

typedef struct Completing { const char *begun; CompleteAdd *add; void *opaque; bool netdevs; } Completing;

static bool complete_client(NetClient *c, void *opaque)
{
    Completing *x = opaque;

    if ((!x->netdevs || c->is_netdev) && g_str_has_prefix(c->name, x->begun))
        x->add(x->opaque, c->name);
    return true;
}

static void complete_any(int nb, const char *begun, CompleteAdd *add, void *opaque)
{
    static const char *const states[] = { "on", "off", NULL };
    Completing x = { begun, add, opaque, false };

    if (nb == 1)
        net_foreach(complete_client, &x);
    else if (nb == 2)
        complete_from(states, begun, add, opaque);
}

static void complete_netdev(int nb, const char *begun, CompleteAdd *add, void *opaque)
{
    Completing x = { begun, add, opaque, true };

    if (nb == 1)
        net_foreach(complete_client, &x);
}

/* ---- What is there ---- */

static void info_network(Monitor *mon, json_t *args)
{
    g_autoptr(GString) out = g_string_new(NULL);

    net_print(out);
    mon_puts(mon, out->str);
}

static void info_usernet(Monitor *mon, json_t *args)
{
    g_autoptr(GString) out = g_string_new(NULL);

    net_print_usernet(out);
    mon_puts(mon, out->str);
}

static bool collect_filter(NetClient *c, void *opaque)
{
    if (c->type->rx_filter)
        json_array_append_new(opaque, c->type->rx_filter(c));
    return true;
}

static json_t *query_rx_filter(Monitor *mon, json_t *args, GError **err)
{
    const char *name = arg_str(args, "name");
    NetClient *c = name ? net_find(name) : NULL;
    json_t *a;

    if (name && !c) {
        error_set(err, "invalid net client name: %s", name);
        return NULL;
    }
    if (c && !c->type->mac) {
        error_set(err, "net client(%s) isn't a NIC", name);
        return NULL;
    }
    if (c && !c->type->rx_filter) {
        error_set(err, "net client(%s) doesn't support rx-filter querying", name);
        return NULL;
    }
    a = json_array();
    if (c)
        collect_filter(c, a);
    else
        net_foreach(collect_filter, a);
    return a;
}

/* ---- Forwarding ---- */

static void hostfwd(Monitor *mon, json_t *args, bool add)
{
    const char *one = arg_str(args, "arg1"), *two = arg_str(args, "arg2"), *rule = two ? two : one;
    GError *err = NULL;
    bool ok = net_hostfwd(two ? one : NULL, rule, add, &err);

    if (!ok)
        mon_printf(mon, "%s\n", err->message);
    else if (!add)
        mon_printf(mon, "host forwarding rule for %s removed\n", rule);
    g_clear_error(&err);
}

static void hostfwd_add(Monitor *mon, json_t *args)
{
    hostfwd(mon, args, true);
}

static void hostfwd_remove(Monitor *mon, json_t *args)
{
    hostfwd(mon, args, false);
}

/* ---- Announcements ---- */

static json_t *announce_self(Monitor *mon, json_t *args, GError **err)
{
    json_t *list = json_object_get(args, "interfaces"), *v;
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    NetAnnounce a = { arg_int(args, "initial", 50), arg_int(args, "max", 550), arg_int(args, "rounds", 5), arg_int(args, "step", 100), NULL };
    size_t i;

    json_array_foreach(list, i, v)
        g_ptr_array_add(names, (char *)json_string_value(v));
    g_ptr_array_add(names, NULL);
    if (a.initial < 1 || a.initial > 100000 || a.max < 1 || a.max > 100000 || a.rounds < 1 || a.rounds > 1000 || a.step < 0 ||
        a.step > 10000) {
        error_set(err, "initial and max are 1 to 100000 ms, rounds 1 to 1000, step 0 to 10000 ms");
        return NULL;
    }
    a.interfaces = names->len > 1 ? (char **)names->pdata : NULL;
    net_announce(&a);
    return NULL;
}

static void hmp_announce_self(Monitor *mon, json_t *args)
{
    const char *names = arg_str(args, "interfaces");
    g_auto(GStrv) list = names ? g_strsplit(names, ",", -1) : NULL;

    net_announce(&(NetAnnounce){ 50, 550, 5, 100, list });
}

#define NETDEV_TYPES "<none|nic|user|tap|socket|stream|dgram|bridge|hubport>"
#define STRINGS "[{str:str}]"
static const char netdev_in[] = "{id:str type:" NETDEV_TYPES " ?type "
    "nic={*netdev:str *macaddr:str *model:str *addr:str *vectors:int} "
    "user={*hostname:str *restrict:bool *ipv4:bool *ipv6:bool *ip:str *net:str *host:str *tftp:str *bootfile:str *dhcpstart:str "
    "*dns:str *dnssearch:" STRINGS " *domainname:str *ipv6-prefix:str *ipv6-prefixlen:int *ipv6-host:str *ipv6-dns:str "
    "*hostfwd:" STRINGS " *guestfwd:" STRINGS " *tftp-server-name:str} "
    "tap={*ifname:str *fd:str *script:str *downscript:str *br:str *helper:str *sndbuf:int *vnet_hdr:bool} "
    "socket={*fd:str *listen:str *connect:str *mcast:str *localaddr:str *udp:str} "
    "stream={addr:SocketAddress *server:bool} dgram={*local:SocketAddress *remote:SocketAddress} "
    "bridge={*br:str *helper:str} hubport={hubid:int *netdev:str} none={}}";

const MonCommand commands_net[] = {
    { "netdev_add", "opts:line", "[user|tap|socket|stream|dgram|bridge|hubport],id=str[,prop=value][,...]", "add host network device",
      .qmp = "netdev_add", .in = netdev_in, .run = add_netdev, .print = hmp_add_netdev },
    { "netdev_del", "id:str", "id", "remove host network device", .qmp = "netdev_del", .in = "{id:str}", .run = del_netdev,
      .complete = complete_netdev },
    { "set_link", "name:str up:bool", "name on|off", "change the link status of a network adapter", .qmp = "set_link",
      .in = "{name:str up:bool}", .run = set_link, .complete = complete_any },
    { "info network", .params = "", .help = "show the network state", .print = info_network },
    { "info usernet", .params = "", .help = "show user network stack connection states", .print = info_usernet },
    { .qmp = "query-rx-filter", .in = "{*name:str}", .out = "[RxFilterInfo]", .run = query_rx_filter },
    { "hostfwd_add", "arg1:str arg2:str?", "[netdev_id] [tcp|udp]:[hostaddr]:hostport-[guestaddr]:guestport",
      "redirect TCP or UDP connections from host to guest (requires -net user)", .print = hostfwd_add },
    { "hostfwd_remove", "arg1:str arg2:str?", "[netdev_id] [tcp|udp]:[hostaddr]:hostport",
      "remove host-to-guest TCP or UDP redirection", .print = hostfwd_remove },
    { "announce_self", "interfaces:str? id:str?", "[interfaces] [id]", "Trigger GARP/RARP announcements", .qmp = "announce-self",
      .in = "{initial:int max:int rounds:int step:int *interfaces:[str] *id:str}", .run = announce_self, .print = hmp_announce_self },
    { 0 },
};
