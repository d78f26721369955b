/* Ceph's images: loading librbd, file names, options, the way to the cluster. */
#include <dlfcn.h>
#include <errno.h>
#include <string.h>
#include "block/options.h"
#include "block/rbd-client.h"
#include "util/error.h"

#ifdef CONFIG_RBD
typedef struct Wanted { const char *name; size_t at; } Wanted;

static bool load(const char *file, const Wanted *w, size_t n, RbdLib *lib, GError **err)
{
    void *m = dlopen(file, RTLD_NOW | RTLD_LOCAL);

    if (!m)
        return error_set(err, "Ceph's images need the library %s, which is not installed", file);
    for (size_t i = 0; i < n; i++) {
        void *f = dlsym(m, w[i].name);

        if (!f)
            return error_set(err, "%s is too old: it has no %s", file, w[i].name);
        memcpy((char *)lib + w[i].at, &f, sizeof(f));
    }
    return true;
}

const RbdLib *rbd_lib(GError **err)
{
#define ENTRY(f) { #f, offsetof(RbdLib, f) },
    static const Wanted rados[] = { RADOS_FUNCTIONS(ENTRY) }, rbd[] = { RBD_FUNCTIONS(ENTRY) };
#undef ENTRY
    static RbdLib lib;
    static bool there;

    there = there || (load("librados.so.2", rados, G_N_ELEMENTS(rados), &lib, err) &&
                      load("librbd.so.1", rbd, G_N_ELEMENTS(rbd), &lib, err));
    return there ? &lib : NULL;
}

/* ---- file names */

/* Up to a stop that has no backslash before it, past which *s is then (NULL: there was none). */
static char *part(const char **s, char stop)
{
    GString *out = g_string_new(NULL);
    const char *p = *s;

    for (; *p && *p != stop; p++) {
        if (*p == '\\' && p[1])
            p++;
        g_string_append_c(out, *p);
    }
    *s = *p ? p + 1 : NULL;
    return g_string_free(out, FALSE);
}

/* The first such character without a backslash before it. */
static const char *find(const char *s, char c)
{
    for (; *s && *s != c; s++)
        if (*s == '\\' && s[1])
            s++;
    return *s ? s : NULL;
}

static bool parse_pairs(const char *p, json_t *opts, GError **err)
{
    g_autoptr(json_t) pairs = json_array();

    while (p && *p) {
        g_autofree char *name = part(&p, '='), *value = NULL;

        if (!p)
            return error_set(err, "conf option %s has no value", name);
        value = part(&p, ':');
        if (!strcmp(name, "conf")) {
            jopts_set(opts, "conf", value);
        } else if (!strcmp(name, "id")) {
            jopts_set(opts, "user", value);
        } else {
            json_array_append_new(pairs, json_string(name));
            json_array_append_new(pairs, json_string(value));
        }
    }
    if (json_array_size(pairs)) {
        char *text = json_dumps(pairs, JSON_COMPACT);

        jopts_set(opts, "=keyvalue-pairs", text);
        free(text);
    }
    return true;
}

bool rbd_parse_filename(const char *filename, json_t *opts, GError **err)
{
    const char *p = filename, *at, *colon, *slash;
    g_autofree char *pool = NULL, *image = NULL, *space = NULL, *snapshot = NULL;

    if (!g_str_has_prefix(p, "rbd:"))
        return error_set(err, "File name must start with 'rbd:'");
    p += 4;
    pool = part(&p, '/');
    if (!p)
        return error_set(err, "Pool name is required");
    colon = find(p, ':');
    slash = find(p, '/');
    if (slash && (!colon || slash < colon)) {
        space = part(&p, '/');
        colon = find(p, ':');
    }
    at = find(p, '@');
    if (at && (!colon || at < colon)) {
        image = part(&p, '@');
        snapshot = part(&p, ':');
        jopts_set(opts, "snapshot", snapshot);
    } else {
        image = part(&p, ':');
    }
    jopts_set(opts, "pool", pool);
    jopts_set(opts, "namespace", space ? space : "");
    jopts_set(opts, "image", image);
    return parse_pairs(p, opts, err);
}

/* ---- options */

/* "HOST:PORT;[HOST]:PORT" of server.N.{host,port} */
static bool take_servers(json_t *opts, char **monitors, GError **err)
{
    GString *s = g_string_new(NULL);
    bool ok = true;

    for (unsigned i = 0; ok && i < 1000; i++) {
        g_autofree char *hkey = g_strdup_printf("server.%u.host", i), *pkey = g_strdup_printf("server.%u.port", i);
        g_autofree char *host = jopts_take(opts, hkey), *port = jopts_take(opts, pkey);

        if (!host && !port)
            break;
        if (!host || !port)
            ok = error_set(err, "Parameter '%s' is missing", host ? pkey : hkey);
        else
            g_string_append_printf(s, strchr(host, ':') ? "%s[%s]:%s" : "%s%s:%s", s->len ? ";" : "", host, port);
    }
    *monitors = g_string_free(s, !ok || !s->len);
    return ok;
}

static bool take_auth(json_t *opts, char **auth, GError **err)
{
    static const char *const modes[] = { "cephx", "none", NULL };
    GString *s = g_string_new(NULL);
    bool ok = true;

    for (unsigned i = 0; ok && i < 10; i++) {
        g_autofree char *key = g_strdup_printf("auth-client-required.%u", i);
        int mode = -1;

        ok = jopts_take_enum(opts, key, modes, &mode, err);
        if (mode < 0)
            break;
        g_string_append_printf(s, "%s%s", s->len ? ";" : "", modes[mode]);
    }
    *auth = g_string_free(s, !ok || !s->len);
    return ok;
}

bool rbd_take_place(json_t *opts, RbdPlace *p, GError **err)
{
    g_autofree char *pairs = jopts_take(opts, "=keyvalue-pairs"), *secret = jopts_take(opts, "key-secret");
    G_GNUC_UNUSED g_autofree char *filename = jopts_take(opts, "filename");

    p->pool = jopts_take(opts, "pool");
    p->space = jopts_take(opts, "namespace");
    p->image = jopts_take(opts, "image");
    p->snapshot = jopts_take(opts, "snapshot");
    p->conf = jopts_take(opts, "conf");
    p->user = jopts_take(opts, "user");
    if (!p->pool || !p->image)
        return error_set(err, "Parameter '%s' is missing", p->pool ? "image" : "pool");
    if (secret)
        return error_set(err, "key-secret: there are no secrets; put the key into a keyring file and name that in the conf file");
    if (pairs) {
        p->pairs = json_loads(pairs, 0, NULL);
        if (!json_is_array(p->pairs) || json_array_size(p->pairs) % 2)
            return error_set(err, "=keyvalue-pairs: not a list of names and values");
    }
    return take_servers(opts, &p->monitors, err) && take_auth(opts, &p->auth, err);
}

void rbd_place_clear(RbdPlace *p)
{
    char **strings[] = { &p->pool, &p->space, &p->image, &p->snapshot, &p->conf, &p->user, &p->monitors, &p->auth };

    for (unsigned i = 0; i < G_N_ELEMENTS(strings); i++)
        g_clear_pointer(strings[i], g_free);
    g_clear_pointer(&p->pairs, json_decref);
}

/* ---- the cluster */

static bool set_pairs(const RbdLib *lib, rados_t c, json_t *pairs, GError **err)
{
    for (size_t i = 0; i + 1 < json_array_size(pairs); i += 2) {
        const char *name = json_string_value(json_array_get(pairs, i)), *value = json_string_value(json_array_get(pairs, i + 1));
        int ret = name && value ? lib->rados_conf_set(c, name, value) : -EINVAL;

        if (ret < 0)
            return error_set_errno(err, ret, "invalid conf option %s", name ? name : "");
    }
    return true;
}

static bool configure(const RbdLib *lib, const RbdPlace *p, rados_t c, GError **err)
{
    int ret = lib->rados_conf_read_file(c, p->conf);

    if (ret < 0 && p->conf)
        return error_set_errno(err, ret, "error reading conf file %s", p->conf);
    if (!set_pairs(lib, c, p->pairs, err))
        return false;
    ret = p->monitors ? lib->rados_conf_set(c, "mon_host", p->monitors) : 0;
    if (ret == 0 && p->auth)
        ret = lib->rados_conf_set(c, "auth_client_required", p->auth);
    if (ret < 0)
        return error_set_errno(err, ret, "could not set %s", p->auth ? "auth_client_required" : "mon_host");
    /* as the drive's cache= says, whatever the file does */
    lib->rados_conf_set(c, "rbd_cache", p->cache ? "true" : "false");
    return true;
}

bool rbd_connect(const RbdLib *lib, const RbdPlace *p, rados_t *cluster, rados_ioctx_t *io, GError **err)
{
    int ret = lib->rados_create(cluster, p->user);

    if (ret < 0)
        return error_set_errno(err, ret, "error initializing");
    if (configure(lib, p, *cluster, err)) {
        ret = lib->rados_connect(*cluster);
        if (ret < 0)
            error_set_errno(err, ret, "error connecting");
        else if ((ret = lib->rados_ioctx_create(*cluster, p->pool, io)) < 0)
            error_set_errno(err, ret, "error opening pool %s", p->pool);
    } else {
        ret = -EINVAL;
    }
    if (ret == 0) {
        bool there = true;

        lib->rados_ioctx_set_namespace(*io, p->space ? p->space : "");
        if (!p->space || !*p->space || (lib->rbd_namespace_exists(*io, p->space, &there) == 0 && there))
            return true;
        error_set(err, "namespace '%s' does not exist", p->space);
        lib->rados_ioctx_destroy(*io);
    }
    lib->rados_shutdown(*cluster);
    return false;
}
#endif
