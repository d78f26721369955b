/* -netdev, -nic, -net: option texts to back-ends and to the cards that the board is to make. */
#include <string.h>
#include "net/net-int.h"
#include "util/error.h"
#include "util/opts.h"

GArray *net_nics;
bool net_nic_model_help;

static const NetdevType *const types[] = {
    &netdev_socket, &netdev_stream, &netdev_dgram, &netdev_hubport, &netdev_tap,
#ifdef CONFIG_SLIRP
    &netdev_user,
#endif
    &netdev_bridge,
};
/* QEMU's others. */
static const char *const missing[] = { "none", "nic", "l2tpv3", "vde", "netmap", "vhost-user", "vhost-vdpa", "user", NULL };

/* What every type takes, and what -nic and -net add to it. */
static const NetParam common_params[] = { { "type", NET_TEXT }, { "id", NET_TEXT }, { 0 } };
static const NetParam nic_params[] = { { "model", NET_TEXT }, { "mac", NET_TEXT }, { "macaddr", NET_TEXT }, { "addr", NET_TEXT },
                                       { "vectors", NET_NUMBER }, { 0 } };
static const NetParam net_params[] = { { "name", NET_TEXT }, { 0 } };
static const NetParam net_nic_params[] = { { "name", NET_TEXT }, { "netdev", NET_TEXT }, { 0 } };

void net_print_types(GString *out)
{
    g_string_append(out, "Available netdev backend types:\n");
    for (unsigned i = 0; i < G_N_ELEMENTS(types); i++)
        g_string_append_printf(out, "%s\n", types[i]->name);
}

/* ---- Parameters ---- */

static const NetParam *find_param(const NetParam *const *tables, const char *name)
{
    for (; *tables; tables++) {
        for (const NetParam *p = *tables; p->name; p++) {
            size_t len = strlen(p->name);

            if (!strcmp(p->name, name) || ((p->list || p->prefix) && !strncmp(p->name, name, len) && name[len] == '.'))
                return p;
        }
    }
    return NULL;
}

static bool check_value(const NetParam *p, const char *name, const char *value, GError **err)
{
    uint64_t n;
    bool b;

    switch (p->kind) {
    case NET_BOOL:
        return parse_bool_text(value, &b) || error_set(err, "Parameter '%s' expects 'on' or 'off'", name);
    case NET_NUMBER:
        return parse_u64_text(value, &n) || error_set(err, "Parameter '%s' expects a number", name);
    case NET_SIZE:
        return parse_size_text(value, 1, &n) || error_set(err, "Parameter '%s' expects a size", name);
    default:
        return true;
    }
}

bool net_check_params(Opts *o, const NetParam *const *tables, GError **err)
{
    for (unsigned i = 0; i < o->list->len; i++) {
        const Opt *x = &g_array_index(o->list, Opt, i);
        const NetParam *p = find_param(tables, x->name);

        if (!p)
            return error_set(err, "Invalid parameter '%s'", x->name);
        if (!check_value(p, x->name, x->value, err))
            return false;
    }
    return true;
}

bool net_opt_bool(Opts *o, const char *name, bool def)
{
    const char *s = opts_get(o, name);

    if (s)
        parse_bool_text(s, &def);
    return def;
}

uint64_t net_opt_num(Opts *o, const char *name, uint64_t def)
{
    const char *s = opts_get(o, name);

    if (s && !parse_u64_text(s, &def))
        parse_size_text(s, 1, &def);
    return def;
}

char **net_opt_list(Opts *o, const char *name)
{
    GPtrArray *a = g_ptr_array_new();
    size_t len = strlen(name);

    for (unsigned i = 0; i < o->list->len; i++) {
        const Opt *x = &g_array_index(o->list, Opt, i);

        if (!strcmp(x->name, name) || (!strncmp(x->name, name, len) && x->name[len] == '.'))
            g_ptr_array_add(a, g_strdup(x->value));
    }
    g_ptr_array_add(a, NULL);
    return (char **)g_ptr_array_free(a, false);
}

/* ---- -netdev ---- */

static const NetdevType *find_type(const char *name, GError **err)
{
    if (!name) {
        error_set(err, "Parameter 'type' is missing");
        return NULL;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(types); i++)
        if (!strcmp(types[i]->name, name))
            return types[i];
    if (g_strv_contains(missing, name))
        error_set(err, "network backend '%s' is not compiled into this binary", name);
    else
        error_set(err, "Parameter 'type' does not accept value '%s'", name);
    return NULL;
}

static bool check_id(const char *id, GError **err)
{
    if (!id_wellformed(id))
        return error_set(err, "Parameter 'id' expects an identifier");
    return !net_find_netdev(id) || error_set(err, "Duplicate ID '%s' for netdev", id);
}

NetClient *net_add_netdev(const char *text, GError **err)
{
    g_autoptr(Opts) o = opts_parse(text, "type", err);
    const NetdevType *t = o ? find_type(opts_get(o, "type"), err) : NULL;
    const char *id;
    NetClient *c;

    if (!t)
        return NULL;
    id = opts_get(o, "id");
    if (!id) {
        error_set(err, "Parameter 'id' is missing");
        return NULL;
    }
    if (!check_id(id, err) || !net_check_params(o, (const NetParam *const[]){ t->params, common_params, NULL }, err))
        return NULL;
    c = t->open(id, NULL, o, err);
    if (c)
        c->is_netdev = true;
    return c;
}

/* ---- Cards ---- */

static bool take_nic(Opts *o, NetClient *peer, const char *name, GError **err)
{
    const char *mac = opts_get(o, "mac") ? opts_get(o, "mac") : opts_get(o, "macaddr");
    NetNic nic = { .peer = peer };

    if (!net_nics)
        net_nics = g_array_new(false, true, sizeof(NetNic));
    if (net_nics->len >= NET_MAX_NICS)
        return error_set(err, "too many NICs");
    if (mac && !net_parse_mac(mac, nic.mac))
        return error_set(err, "invalid syntax for ethernet address");
    if (mac && nic.mac[0] & 1)
        return error_set(err, "NIC cannot have multicast MAC address (odd 1st byte)");
    net_mac_default(nic.mac);
    nic.model = g_strdup(opts_get(o, "model"));
    nic.name = g_strdup(name);
    nic.addr = g_strdup(opts_get(o, "addr"));
    if (nic.model && (!strcmp(nic.model, "help") || !strcmp(nic.model, "?")))
        net_nic_model_help = true;
    g_array_append_val(net_nics, nic);
    return true;
}

static char *anonymous(void)
{
    return g_strdup_printf("#net%03u", g_random_int_range(0, 1000));
}

bool net_add_nic(const char *text, GError **err)
{
    g_autoptr(Opts) o = opts_parse(text, "type", err);
    const char *type = o ? opts_get(o, "type") : NULL, *id;
    g_autofree char *own = NULL;
    const NetdevType *t;
    NetClient *peer;

    if (!o)
        return false;
    if (type && !strcmp(type, "none"))
        return true;
    t = find_type(type ? type : "user", err);
    if (!t || !net_check_params(o, (const NetParam *const[]){ t->params, common_params, nic_params, NULL }, err))
        return false;
    id = opts_get(o, "id");
    if (id && !check_id(id, err))
        return false;
    own = anonymous();
    peer = t->open(id ? id : own, NULL, o, err);
    if (!peer)
        return false;
    peer->is_netdev = true;
    return take_nic(o, peer, NULL, err);
}

/* -net nic: a card at hub 0, or at a netdev. */
static bool legacy_nic(Opts *o, GError **err)
{
    const char *netdev = opts_get(o, "netdev"), *name = opts_get(o, "name");
    NetClient *peer;

    if (!net_check_params(o, (const NetParam *const[]){ net_nic_params, common_params, nic_params, NULL }, err))
        return false;
    if (netdev) {
        peer = net_find_netdev(netdev);
        if (!peer)
            return error_set(err, "netdev '%s' not found", netdev);
    } else {
        peer = net_hub_port(0, NULL, NULL);
    }
    return take_nic(o, peer, name ? name : opts_get(o, "id"), err);
}

bool net_add_legacy(const char *text, GError **err)
{
    g_autoptr(Opts) o = opts_parse(text, "type", err);
    const char *type = o ? opts_get(o, "type") : NULL, *name;
    g_autofree char *own = NULL;
    const NetdevType *t;
    NetClient *port;

    if (!o)
        return false;
    if (type && !strcmp(type, "none"))
        return true;
    if (type && !strcmp(type, "nic"))
        return legacy_nic(o, err);
    if (type && !strcmp(type, "hubport"))
        return error_set(err, "Parameter 'type' does not accept value '%s'", type);
    t = find_type(type, err);
    if (!t || !net_check_params(o, (const NetParam *const[]){ t->params, common_params, net_params, NULL }, err))
        return false;
    own = anonymous();
    name = opts_get(o, "name") ? opts_get(o, "name") : opts_get(o, "id");
    port = net_hub_port(0, NULL, NULL);
    if (t->open(name ? name : own, port, o, err))
        return true;
    net_client_free(port);
    return false;
}

bool net_add_default(GError **err)
{
#ifdef CONFIG_SLIRP
    return net_add_legacy("nic", err) && net_add_legacy("user", err);
#else
    return net_add_legacy("nic", err);
#endif
}
