/* VNC servers: options and what the monitor asks. See remote.h. */
#include "ui/remote.h"
#include "ui/display.h"
#include "util/error.h"
#include "util/opts.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

#define VNC_PORT 5900
#define WEB_PORT 5700

typedef struct Remote {
    VncConfig config;
    VncServer *server;          /* NULL: does not listen */
    char *option;               /* as it was given, for messages */
    unsigned display;           /* the number behind the colon */
} Remote;

static GPtrArray *remotes;
static const VncOps *ops;

/* ---- Options ---- */

static const char *const known[] = { "vnc", "id", "to", "websocket", "password", "share", "connections", "display", "head",
                                     "lock-key-sync", "key-delay-ms", "lossy", "non-adaptive", NULL };

/* What QEMU has and this server has not: named rather than "invalid". */
static bool refuse_others(Opts *o, GError **err)
{
    static const struct { const char *name, *why; } others[] = {
        { "tls-creds", "TLS is not supported: use an SSH tunnel" }, { "tls-authz", "TLS is not supported" },
        { "sasl", "SASL is not supported: use password=on" }, { "sasl-authz", "SASL is not supported" },
        { "password-secret", "secret objects are not supported: use password=on and the monitor's set_password" },
        { "reverse", "reverse connections are not supported" }, { "audiodev", "there is no sound" },
        { "power-control", "power control is not supported" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(others); i++) {
        const char *v = opts_get(o, others[i].name);

        if (v && strcmp(v, "off"))
            return error_set(err, "%s=%s: %s", others[i].name, v, others[i].why);
    }
    return true;
}

static bool parse_share(const char *s, VncShare *share, GError **err)
{
    static const char *const names[] = { "allow-exclusive", "force-shared", "ignore", NULL };

    for (unsigned i = 0; s && names[i]; i++) {
        if (!strcmp(s, names[i])) {
            *share = i;
            return true;
        }
    }
    return !s || error_set(err, "unknown vnc share= option '%s': it takes 'allow-exclusive', 'force-shared' and 'ignore'", s);
}

/* "host:d": port 5900 + d. */
static bool parse_tcp(Remote *r, const char *where, uint64_t to, GError **err)
{
    const char *colon = strrchr(where, ':');
    SocketAddress *a = &r->config.address;
    g_autofree char *text = NULL;
    uint64_t d;

    if (!colon)
        return error_set(err, "no vnc port specified: expected HOST:DISPLAY, unix:PATH or none, not '%s'", where);
    if (!parse_u64_text(colon + 1, &d))
        return error_set(err, "can't convert to a number: '%s'", colon + 1);
    if (d > 65535 - VNC_PORT)
        return error_set(err, "display %s is out of range: 0 to %d", colon + 1, 65535 - VNC_PORT);
    text = g_strdup_printf("%.*s:%d", (int)(colon - where), where, (int)d + VNC_PORT);
    if (!socket_address_parse(a, text, err))
        return false;
    r->display = d;
    a->to = to ? MIN(VNC_PORT + d + to, 65535) : 0;
    return true;
}

/* on, PORT or HOST:PORT. */
static bool parse_web(Remote *r, const char *value, GError **err)
{
    VncConfig *c = &r->config;
    g_autofree char *text = NULL;
    uint64_t port;
    bool on;

    if (parse_bool_text(value, &on)) {
        c->websocket = on;
        port = WEB_PORT + r->display;
    } else if (strchr(value, ':')) {
        c->websocket = true;
        return socket_address_parse(&c->web, value, err);
    } else if (parse_u64_text(value, &port) && port && port < 65536) {
        c->websocket = true;
    } else {
        return error_set(err, "websocket=%s: expected on, off, PORT or HOST:PORT", value);
    }
    if (c->websocket && c->address.path)
        return error_set(err, "websocket=%s: expected HOST:PORT, as the server is on a unix socket", value);
    text = g_strdup_printf("%s:%u", c->address.host ? c->address.host : "", (unsigned)port);
    return !c->websocket || socket_address_parse(&c->web, text, err);
}

static bool parse_where(Remote *r, Opts *o, GError **err)
{
    const char *where = opts_get(o, "vnc"), *web = opts_get(o, "websocket");
    VncConfig *c = &r->config;
    uint64_t to;

    if (!opts_get_u64(o, "to", 0, 65535, &to, err))
        return false;
    if (!where || !*where || !strcmp(where, "none"))
        c->none = true;
    else if (g_str_has_prefix(where, "unix:"))
        c->address.path = g_strdup(where + 5);
    else if (!parse_tcp(r, where, to, err))
        return false;
    if (c->address.path && !*c->address.path)
        return error_set(err, "unix: needs a path");
    return !web || c->none || parse_web(r, web, err);
}

static bool parse_rest(Remote *r, Opts *o, GError **err)
{
    VncConfig *c = &r->config;
    bool ignored;
    uint64_t n;

    if (!opts_get_bool(o, "password", false, &c->password, err) || !parse_share(opts_get(o, "share"), &c->share, err) ||
        !opts_get_u64(o, "connections", 32, 1024, &n, err))
        return false;
    c->connections = n;
    c->device = g_strdup(opts_get(o, "display"));
    if (!opts_get_u64(o, "head", 0, 255, &n, err) || !opts_get_bool(o, "lock-key-sync", true, &c->lock_key_sync, err))
        return false;
    c->head = n;
    /* Hints: how long keys of a paste are kept apart, how pictures may be packed. */
    return opts_get_u64(o, "key-delay-ms", 10, 1000000, &n, err) && opts_get_bool(o, "lossy", false, &ignored, err) &&
           opts_get_bool(o, "non-adaptive", false, &ignored, err);
}

static void remote_free(gpointer p)
{
    Remote *r = p;

    if (r->server)
        ops->close(r->server);
    g_free(r->config.id);
    g_free(r->config.device);
    g_free(r->option);
    socket_address_clear(&r->config.address);
    socket_address_clear(&r->config.web);
    g_free(r);
}

static Remote *find(const char *id)
{
    for (unsigned i = 0; remotes && i < remotes->len; i++) {
        Remote *r = g_ptr_array_index(remotes, i);

        if (!id || !strcmp(r->config.id, id))
            return r;
    }
    return NULL;
}

static bool name_it(Remote *r, const char *id, GError **err)
{
    if (id && !id_wellformed(id))
        return error_set(err, "Parameter 'id' expects an identifier");
    if (id && find(id))
        return error_set(err, "Duplicate ID '%s' for vnc", id);
    r->config.id = id ? g_strdup(id) : find("default") ? NULL : g_strdup("default");
    for (unsigned i = 2; !r->config.id; i++) {
        g_autofree char *name = g_strdup_printf("vnc%u", i);

        if (!find(name))
            r->config.id = g_steal_pointer(&name);
    }
    return true;
}

bool remote_add(const char *optstr, GError **err)
{
    g_autoptr(Opts) o = opts_parse(optstr, "vnc", err);
    Remote *r;

    if (!o)
        return false;
    r = g_new0(Remote, 1);
    r->option = g_strdup(optstr);
    if (!refuse_others(o, err) || !parse_where(r, o, err) || !parse_rest(r, o, err) || !name_it(r, opts_get(o, "id"), err) ||
        !opts_all_used(o, "-vnc", known, err)) {
        remote_free(r);
        return false;
    }
    if (!remotes)
        remotes = g_ptr_array_new_with_free_func(remote_free);
    g_ptr_array_add(remotes, r);
    return true;
}

bool remote_wanted(void)
{
    return remotes != NULL;
}

bool remote_start(const char *vm_name, GError **err)
{
    for (unsigned i = 0; remotes && i < remotes->len; i++) {
        Remote *r = g_ptr_array_index(remotes, i);

        if (r->config.none)
            continue;
        if (!ops) {
            const DisplayModule *m = display_module_load("vnc", err);

            if (!m)
                return false;
            ops = m->vnc;
        }
        r->config.vm_name = vm_name;
        r->server = ops->open(&r->config, err);
        if (!r->server) {
            g_prefix_error(err, "-vnc %s: ", r->option);
            return false;
        }
    }
    return true;
}

void remote_stop(void)
{
    g_clear_pointer(&remotes, g_ptr_array_unref);
}

/* ---- The monitor ---- */

static json_t *info_of(Remote *r)
{
    if (r->server)
        return ops->query(r->server);
    return json_pack("{s:s,s:s,s:[],s:[]}", "id", r->config.id, "auth", r->config.password ? "vnc" : "none", "server", "clients");
}

json_t *remote_query_servers(void)
{
    json_t *a = json_array();

    for (unsigned i = 0; remotes && i < remotes->len; i++)
        json_array_append_new(a, info_of(g_ptr_array_index(remotes, i)));
    return a;
}

json_t *remote_query(void)
{
    Remote *r = find(NULL);
    json_t *info, *out, *servers, *server;

    if (!r || !r->server)
        return json_pack("{s:b}", "enabled", false);
    info = info_of(r);
    servers = json_object_get(info, "server");
    server = json_array_get(servers, json_array_size(servers) - 1);     /* not the websocket's */
    out = json_pack("{s:b,s:O,s:O,s:O,s:O,s:O}", "enabled", true, "auth", json_object_get(info, "auth"), "clients",
                    json_object_get(info, "clients"), "family", json_object_get(server, "family"), "service",
                    json_object_get(server, "service"), "host", json_object_get(server, "host"));
    json_decref(info);
    return out;
}

static void print_place(GString *out, const char *what, json_t *p)
{
    g_string_append_printf(out, "  %s: %s:%s (%s%s)\n", what, json_string_value(json_object_get(p, "host")),
                           json_string_value(json_object_get(p, "service")), json_string_value(json_object_get(p, "family")),
                           json_is_true(json_object_get(p, "websocket")) ? " (Websocket)" : "");
}

void remote_print(GString *out)
{
    json_t *all = remote_query_servers(), *info, *p;
    size_t i, k;

    json_array_foreach(all, i, info) {
        const char *auth = json_string_value(json_object_get(info, "auth"));
        json_t *servers = json_object_get(info, "server");

        g_string_append_printf(out, "%s:\n", json_string_value(json_object_get(info, "id")));
        json_array_foreach(servers, k, p) {
            print_place(out, "Server", p);
            g_string_append_printf(out, "    Auth: %s (Sub: none)\n", json_string_value(json_object_get(p, "auth")));
        }
        if (!json_array_size(servers))
            g_string_append_printf(out, "  Auth: %s (Sub: none)\n", auth);
        json_array_foreach(json_object_get(info, "clients"), k, p) {
            print_place(out, "Client", p);
            g_string_append(out, "    x509_dname: none\n    sasl_username: none\n");
        }
    }
    if (!json_array_size(all))
        g_string_append(out, "None\n");
    json_decref(all);
}

static Remote *find_or_say(const char *id, GError **err)
{
    Remote *r = find(id);

    if (!r)
        error_set(err, "Could not set password");
    return r;
}

bool remote_set_password(const char *id, const char *password, GError **err)
{
    Remote *r = find_or_say(id, err);

    if (!r)
        return false;
    if (!r->config.password)
        return error_set(err, "Could not set password: VNC server '%s' was started without password=on", r->config.id);
    if (r->server)
        ops->set_password(r->server, password);
    return true;
}

bool remote_expire_password(const char *id, const char *when, GError **err)
{
    Remote *r;
    uint64_t t;

    if (!strcmp(when, "now"))
        t = 0;
    else if (!strcmp(when, "never"))
        t = G_MAXINT64;
    else if (!parse_u64_text(when + (*when == '+'), &t) || t > G_MAXINT32 * 100ull)
        return error_set(err, "Parameter 'time' expects now, never, +SECONDS or seconds since 1970, not '%s'", when);
    else if (*when == '+')
        t += time(NULL);
    r = find_or_say(id, err);
    if (r && r->server)
        ops->set_expiry(r->server, t);
    return r != NULL;
}
