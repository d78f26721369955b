/*
 * -netdev user: the guest's network is made by this process (libslirp).
 *
 * The stack is a module, and it is loaded and started when it is first needed: at the guest's first packet, or at once when
 * a port of the host is forwarded. A guest that never uses its network costs nothing.
 * Not there: smb= (a file server started from the command line).
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include "net/net-int.h"
#include "net/user.h"
#include "util/error.h"
#include "util/iov.h"
#include "util/module.h"

#ifdef CONFIG_SLIRP

typedef struct UserNet {
    NetClient client;
    UserConfig cfg;
    const UserModule *mod;
    UserStack *stack;           /* NULL: not started */
    bool failed;                /* to start: said so */
    NetFragments *fragments;    /* that have come */
} UserNet;

/* ---- The stack ---- */

static bool start(UserNet *u, GError **err)
{
    if (u->stack)
        return true;
    if (!u->mod)
        u->mod = module_load("net-slirp", NET_USER_SYMBOL, err);
    if (!u->mod)
        return false;
    u->stack = u->mod->start(&u->client, &u->cfg);
    return u->stack || error_set(err, "the user network can't be started");
}

static bool start_late(UserNet *u)
{
    g_autoptr(GError) err = NULL;

    if (u->failed || start(u, &err))
        return !u->failed;
    u->failed = true;
    error_report("netdev %s: %s", u->client.name, err->message);
    return false;
}

static void input(UserNet *u, const uint8_t *pkt, size_t size)
{
    g_autofree uint8_t *whole = NULL;
    size_t whole_size;

    if (!net_fragments_take(&u->fragments, pkt, size, &whole, &whole_size))
        u->mod->input(u->stack, pkt, size);
    else if (whole)
        u->mod->input(u->stack, whole, whole_size);
}

static bool user_receive(NetClient *c, const struct iovec *iov, unsigned n, size_t size)
{
    UserNet *u = (UserNet *)c;
    const IoVec v = { iov, n };
    uint8_t buf[NET_MAX_PACKET];

    if (!start_late(u))
        return true;
    if (n == 1) {
        input(u, iov->iov_base, size);
    } else {
        iov_to_buf(&v, 0, buf, size);
        input(u, buf, size);
    }
    return true;
}

static void user_close(NetClient *c)
{
    UserNet *u = (UserNet *)c;

    if (u->stack)
        u->mod->stop(u->stack);
    net_fragments_free(u->fragments);
    g_free(u->cfg.hostname);
    g_free(u->cfg.tftp);
    g_free(u->cfg.tftp_server);
    g_free(u->cfg.bootfile);
    g_free(u->cfg.domain);
    g_strfreev(u->cfg.dnssearch);
}

static void user_print_state(NetClient *c, GString *out)
{
    UserNet *u = (UserNet *)c;
    char *text = u->stack ? u->mod->info(u->stack) : NULL;

    g_string_append_printf(out, "Hub %d (%s):\n", net_hub_of(c), c->name);
    g_string_append(out, text ? text : "  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\n");
    free(text);
}

/* ---- Forwarding ---- */

/* Cuts *s at the next sep; NULL: there is none. */
static char *cut(char **s, char sep)
{
    char *at = strchr(*s, sep), *word = *s;

    if (!at)
        return NULL;
    *at = 0;
    *s = at + 1;
    return word;
}

static bool parse_port(const char *s, bool zero, uint16_t *port)
{
    uint64_t v;

    if (!parse_u64_text(s, &v) || v > 65535 || (!v && !zero))
        return false;
    *port = v;
    return true;
}

/* "[tcp|udp]:[ADDR]:PORT-[ADDR]:PORT", or only the part before '-'. */
static const char *parse_fwd(const UserConfig *cfg, const char *rule, bool with_guest, UserFwd *f)
{
    g_autofree char *copy = g_strdup(rule);
    char *s = copy, *w;

    f->host.s_addr = INADDR_ANY;
    f->guest = cfg->dhcp;
    w = cut(&s, ':');
    if (!w)
        return "No : separators";
    if (*w && strcmp(w, "tcp") && strcmp(w, "udp"))
        return "Bad protocol name";
    f->udp = !strcmp(w, "udp");
    w = cut(&s, ':');
    if (!w)
        return "Missing : separator";
    if (*w && !inet_aton(w, &f->host))
        return "Bad host address";
    if (!with_guest)
        return parse_port(s, true, &f->host_port) ? NULL : "Bad host port";
    w = cut(&s, '-');
    if (!w)
        return "Bad host port separator";
    if (!parse_port(*w ? w : "0", true, &f->host_port))
        return "Bad host port";
    w = cut(&s, ':');
    if (!w)
        return "Missing guest address";
    if (*w && !inet_aton(w, &f->guest))
        return "Bad guest address";
    return parse_port(s, false, &f->guest_port) ? NULL : "Bad guest port";
}

static bool add_fwd(UserNet *u, const char *rule, GError **err)
{
    UserFwd f;
    const char *why = parse_fwd(&u->cfg, rule, true, &f);

    if (why)
        return error_set(err, "Invalid host forwarding rule '%s' (%s)", rule, why);
    if (!start(u, err))
        return false;
    return u->mod->hostfwd(u->stack, &f, true) || error_set(err, "Could not set up host forwarding rule '%s'", rule);
}

/* On success too the text says what was done, as QEMU's monitor does. */
static bool user_hostfwd(NetClient *c, const char *rule, bool add, GError **err)
{
    UserNet *u = (UserNet *)c;
    const char *why;
    UserFwd f;

    if (add)
        return add_fwd(u, rule, err);
    why = parse_fwd(&u->cfg, rule, false, &f);
    if (why)
        return error_set(err, "invalid format");
    if (!u->stack || !u->mod->hostfwd(u->stack, &f, false))
        return error_set(err, "host forwarding rule for %s not found", rule);
    return true;
}

/* "tcp:ADDR:PORT-DEST", ADDR 0: the host's. */
static bool add_guestfwd(UserNet *u, const char *rule, GError **err)
{
    g_autofree char *copy = g_strdup(rule);
    char *s = copy, *proto = cut(&s, ':'), *addr = cut(&s, ':'), *number = cut(&s, '-');
    struct in_addr server = { .s_addr = 0 };
    uint16_t port;

    if (!proto || (*proto && strcmp(proto, "tcp")) || !addr || (*addr && !inet_aton(addr, &server)) || !number ||
        !parse_port(number, false, &port) || !*s)
        return error_set(err, "Invalid guest forwarding rule '%s'", rule);
    return start(u, err) && u->mod->guestfwd(u->stack, server, port, s, rule, err);
}

static bool add_all(UserNet *u, Opts *o, const char *name, bool (*add)(UserNet *, const char *, GError **), GError **err)
{
    g_auto(GStrv) rules = net_opt_list(o, name);

    for (char **r = rules; *r; r++)
        if (!add(u, *r, err))
            return false;
    return true;
}

/* ---- Addresses ---- */

/* The mask that goes with an address by itself (RFC 1918, 2544, and the old classes). */
static uint32_t natural_mask(uint32_t a)
{
    if (!(a & 0x80000000))
        return 0xff000000;
    if ((a & 0xfff00000) == 0xac100000)
        return 0xfff00000;
    if ((a & 0xc0000000) == 0x80000000 || (a & 0xffff0000) == 0xc0a80000)
        return 0xffff0000;
    if ((a & 0xffff0000) == 0xc6120000)
        return 0xfffe0000;
    return (a & 0xe0000000) == 0xe0000000 ? 0xffffff00 : 0xfffffff0;
}

static bool parse_net(UserConfig *c, const char *s, GError **err)
{
    const char *slash = strchr(s, '/');
    g_autofree char *addr = slash ? g_strndup(s, slash - s) : g_strdup(s);
    uint64_t bits;

    if (!inet_aton(addr, &c->net))
        return error_set(err, slash ? "Failed to parse net" : "Failed to parse netmask");
    if (!slash) {
        c->mask.s_addr = htonl(natural_mask(ntohl(c->net.s_addr)));
    } else if (parse_u64_text(slash + 1, &bits)) {
        if (bits < 4 || bits > 32)
            return error_set(err, "Invalid netmask provided (must be in range 4-32)");
        c->mask.s_addr = htonl(UINT32_MAX << (32 - bits));
    } else if (!inet_aton(slash + 1, &c->mask)) {
        return error_set(err, "Failed to parse netmask");
    }
    c->net.s_addr &= c->mask.s_addr;
    return true;
}

static struct in_addr inside(const UserConfig *c, uint32_t n)
{
    return (struct in_addr){ c->net.s_addr | (htonl(n) & ~c->mask.s_addr) };
}

static bool belongs(const UserConfig *c, struct in_addr a)
{
    return (a.s_addr & c->mask.s_addr) == c->net.s_addr;
}

static bool parse_ipv4(UserConfig *c, Opts *o, GError **err)
{
    const char *net = opts_get(o, "net"), *host = opts_get(o, "host"), *dns = opts_get(o, "dns"), *dhcp = opts_get(o, "dhcpstart");

    if (!c->ipv4 && (net || host || dns))
        return error_set(err, "IPv4 disabled but netmask/host/dns provided");
    if (!parse_net(c, net ? net : "10.0.2.0/24", err))
        return false;
    c->host = inside(c, 0x0202);
    c->dhcp = inside(c, 0x020f);
    c->dns = inside(c, 0x0203);
    if (host && !inet_aton(host, &c->host))
        return error_set(err, "Failed to parse host");
    if (!belongs(c, c->host))
        return error_set(err, "Host doesn't belong to network");
    if (dns && !inet_aton(dns, &c->dns))
        return error_set(err, "Failed to parse DNS");
    if (c->restricted && !belongs(c, c->dns))
        return error_set(err, "DNS doesn't belong to network");
    if (c->dns.s_addr == c->host.s_addr)
        return error_set(err, "DNS must be different from host");
    if (dhcp && !inet_aton(dhcp, &c->dhcp))
        return error_set(err, "Failed to parse DHCP start address");
    if (!belongs(c, c->dhcp))
        return error_set(err, "DHCP doesn't belong to network");
    if (c->dhcp.s_addr == c->host.s_addr || c->dhcp.s_addr == c->dns.s_addr)
        return error_set(err, "DHCP must be different from host and DNS");
    return true;
}

static bool belongs6(const UserConfig *c, const struct in6_addr *a)
{
    unsigned whole = c->prefix6_len / 8, rest = c->prefix6_len % 8;

    return !memcmp(a, &c->prefix6, whole) &&
           (!rest || !((a->s6_addr[whole] ^ c->prefix6.s6_addr[whole]) >> (8 - rest)));
}

static bool parse_prefix6(UserConfig *c, const char *s, const char *len_text, GError **err)
{
    const char *slash = strchr(s, '/');
    g_autofree char *addr = slash ? g_strndup(s, slash - s) : g_strdup(s);
    uint64_t len = 64;

    if (inet_pton(AF_INET6, addr, &c->prefix6) != 1)
        return error_set(err, "Failed to parse IPv6 prefix");
    if (slash)
        len_text = slash + 1;
    if (len_text && (!parse_u64_text(len_text, &len) || len > 126))
        return error_set(err, "Invalid IPv6 prefix provided (IPv6 prefix length must be between 0 and 126)");
    c->prefix6_len = len;
    return true;
}

static bool parse_ipv6(UserConfig *c, Opts *o, GError **err)
{
    const char *prefix = opts_get(o, "ipv6-prefix"), *len = opts_get(o, "ipv6-prefixlen"), *net = opts_get(o, "ipv6-net");
    const char *host = opts_get(o, "ipv6-host"), *dns = opts_get(o, "ipv6-dns");

    prefix = net ? net : prefix;
    if (!c->ipv6 && (prefix || host || dns))
        return error_set(err, "IPv6 disabled but prefix/host6/dns6 provided");
    if (!parse_prefix6(c, prefix ? prefix : "fec0::", len, err))
        return false;
    c->host6 = c->dns6 = c->prefix6;
    c->host6.s6_addr[15] |= 2;
    c->dns6.s6_addr[15] |= 3;
    if (host && (inet_pton(AF_INET6, host, &c->host6) != 1))
        return error_set(err, "Failed to parse IPv6 host");
    if (!belongs6(c, &c->host6))
        return error_set(err, "IPv6 Host doesn't belong to network");
    if (dns && inet_pton(AF_INET6, dns, &c->dns6) != 1)
        return error_set(err, "Failed to parse IPv6 DNS");
    return !c->restricted || belongs6(c, &c->dns6) || error_set(err, "IPv6 DNS doesn't belong to network");
}

/* ---- Options ---- */

static const NetParam user_params[] = {
    { "hostname", NET_TEXT }, { "restrict", NET_BOOL }, { "ipv4", NET_BOOL }, { "ipv6", NET_BOOL }, { "ip", NET_TEXT },
    { "net", NET_TEXT }, { "host", NET_TEXT }, { "tftp", NET_TEXT }, { "bootfile", NET_TEXT }, { "dhcpstart", NET_TEXT },
    { "dns", NET_TEXT }, { "dnssearch", NET_TEXT, .list = true }, { "domainname", NET_TEXT }, { "ipv6-prefix", NET_TEXT },
    { "ipv6-prefixlen", NET_NUMBER }, { "ipv6-host", NET_TEXT }, { "ipv6-dns", NET_TEXT }, { "ipv6-net", NET_TEXT },
    { "hostfwd", NET_TEXT, .list = true }, { "guestfwd", NET_TEXT, .list = true }, { "tftp-server-name", NET_TEXT }, { 0 },
};

static const NetClientType user_type = {
    .name = "user", .size = sizeof(UserNet), .receive = user_receive, .close = user_close, .print_state = user_print_state,
    .hostfwd = user_hostfwd,
};

static bool configure(UserConfig *c, Opts *o, GError **err)
{
    const char *domain = opts_get(o, "domainname");

    c->restricted = net_opt_bool(o, "restrict", false);
    c->ipv4 = net_opt_bool(o, "ipv4", !opts_has(o, "ipv6") || !net_opt_bool(o, "ipv6", false) || opts_has(o, "ipv4"));
    c->ipv6 = net_opt_bool(o, "ipv6", !opts_has(o, "ipv4") || !net_opt_bool(o, "ipv4", false) || opts_has(o, "ipv6"));
    if (!c->ipv4 && !c->ipv6)
        return error_set(err, "IPv4 and IPv6 disabled");
    if (domain && !*domain)
        return error_set(err, "'domainname' parameter cannot be empty");
    if (!parse_ipv4(c, o, err) || !parse_ipv6(c, o, err))
        return false;
    c->hostname = g_strdup(opts_get(o, "hostname"));
    c->tftp = g_strdup(opts_get(o, "tftp"));
    c->tftp_server = g_strdup(opts_get(o, "tftp-server-name"));
    c->bootfile = g_strdup(opts_get(o, "bootfile"));
    c->domain = g_strdup(domain);
    c->dnssearch = net_opt_list(o, "dnssearch");
    return true;
}

static NetClient *open_user(const char *id, NetClient *peer, Opts *o, GError **err)
{
    g_autofree char *path = module_path("net-slirp");
    UserNet *u;

    if (!path) {
        error_set(err, "the user network is not available: vmemu-net-slirp.so is neither beside the program nor in %s",
                  CONFIG_MODULE_DIR);
        return NULL;
    }
    u = (UserNet *)net_client_new(&user_type, peer, "user", id);
    if (!configure(&u->cfg, o, err) || !add_all(u, o, "hostfwd", add_fwd, err) || !add_all(u, o, "guestfwd", add_guestfwd, err)) {
        net_client_free(&u->client);
        return NULL;
    }
    net_client_set_info(&u->client, "net=%s,restrict=%s", inet_ntoa(u->cfg.net), u->cfg.restricted ? "on" : "off");
    return &u->client;
}

const NetdevType netdev_user = { "user", user_params, open_user };

/* ---- Migration ---- */

bool net_is_user(const NetClient *c)
{
    return c->type == &user_type;
}

int net_user_save(NetClient *c, GByteArray *out)
{
    UserNet *u = (UserNet *)c;

    if (!u->stack)
        return -1;
    u->mod->save(u->stack, out);
    return u->mod->state_version();
}

bool net_user_load(NetClient *c, int version, NetReadFn *read, void *opaque, GError **err)
{
    UserNet *u = (UserNet *)c;

    return start(u, err) && (u->mod->load(u->stack, version, read, opaque) ||
                             error_set(err, "slirp: the user network's state can't be loaded"));
}
#else
bool net_is_user(const NetClient *c)
{
    return false;
}

int net_user_save(NetClient *c, GByteArray *out)
{
    return -1;
}

bool net_user_load(NetClient *c, int version, NetReadFn *read, void *opaque, GError **err)
{
    return error_set(err, "slirp: built without the user network");
}
#endif
