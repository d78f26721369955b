/* The options of -chardev, and the file names of -serial and its like as such options. */
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include "chardev/char-int.h"
#include "util/error.h"

typedef enum OptKind { TEXT, BOOL, NUMBER, SIZE } OptKind;

/* One list for all types, as QEMU has it: a type overlooks what it does not know. */
static const struct { const char *name; OptKind kind; } known[] = {
    { "id", TEXT }, { "backend", TEXT }, { "path", TEXT }, { "input-path", TEXT }, { "host", TEXT }, { "port", TEXT },
    { "fd", TEXT }, { "localaddr", TEXT }, { "localport", TEXT }, { "to", NUMBER }, { "ipv4", BOOL }, { "ipv6", BOOL },
    { "wait", BOOL }, { "server", BOOL }, { "delay", BOOL }, { "nodelay", BOOL }, { "reconnect", NUMBER }, { "telnet", BOOL },
    { "tn3270", BOOL }, { "tls-creds", TEXT }, { "tls-authz", TEXT }, { "websocket", BOOL }, { "width", NUMBER },
    { "height", NUMBER }, { "cols", NUMBER }, { "rows", NUMBER }, { "mux", BOOL }, { "signal", BOOL }, { "name", TEXT },
    { "size", SIZE }, { "chardev", TEXT }, { "append", BOOL }, { "logfile", TEXT }, { "logappend", BOOL },
    { "abstract", BOOL }, { "tight", BOOL },
};

static int find_known(const char *name)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(known); i++) {
        if (!strcmp(known[i].name, name))
            return i;
    }
    return -1;
}

const char *chr_opt(GHashTable *opts, const char *key)
{
    return g_hash_table_lookup(opts, key);
}

static int parse_bool(const char *s)
{
    static const char *const yes[] = { "on", "yes", "true", "y", NULL }, *const no[] = { "off", "no", "false", "n", NULL };

    return g_strv_contains(yes, s) ? 1 : g_strv_contains(no, s) ? 0 : -1;
}

bool chr_opt_bool(GHashTable *opts, const char *key, bool def)
{
    const char *s = chr_opt(opts, key);

    return s ? parse_bool(s) == 1 : def;
}

/* Decimal, hexadecimal or octal; a size may have a suffix. */
static bool parse_num(const char *s, bool size, uint64_t *n)
{
    static const char suffixes[] = "bkmgt";
    char *end;
    const char *p;

    if (!g_ascii_isdigit(*s))
        return false;
    *n = g_ascii_strtoull(s, &end, 0);
    if (size && *end && (p = strchr(suffixes, g_ascii_tolower(*end)))) {
        unsigned shift = 10 * (p - suffixes);

        if (shift && *n >> (64 - shift))
            return false;
        *n <<= shift;
        end++;
    }
    return !*end;
}

uint64_t chr_opt_num(GHashTable *opts, const char *key, uint64_t def)
{
    const char *s = chr_opt(opts, key);
    uint64_t n = def;

    if (s)
        parse_num(s, true, &n);
    return n;
}

bool chr_check_opts(GHashTable *opts, GError **err)
{
    const char *names[G_N_ELEMENTS(known) + 1] = { 0 };
    GHashTableIter it;
    gpointer k, v;

    g_hash_table_iter_init(&it, opts);
    while (g_hash_table_iter_next(&it, &k, &v)) {
        int i = find_known(k);
        uint64_t n;

        if (i < 0) {
            const char *near;

            for (unsigned j = 0; j < G_N_ELEMENTS(known); j++)
                names[j] = known[j].name;
            near = nearest_name(k, names);
            return error_set(err, "Invalid parameter '%s'%s%s%s", (char *)k, near ? " (did you mean '" : "", near ? near : "",
                             near ? "'?)" : "");
        }
        if (known[i].kind == BOOL && parse_bool(v) < 0)
            return error_set(err, "Parameter '%s' expects 'on' or 'off'", (char *)k);
        if (known[i].kind == NUMBER && !parse_num(v, false, &n))
            return error_set(err, "Parameter '%s' expects a number", (char *)k);
        if (known[i].kind == SIZE && !parse_num(v, true, &n))
            return error_set(err, "Parameter '%s' expects a non-negative number below 2^64", (char *)k);
    }
    return true;
}

/* One option up to a single comma; ",," is a comma in its value. */
static char *next_token(const char **p)
{
    GString *s = g_string_new(NULL);

    while (**p) {
        if (**p == ',') {
            (*p)++;
            if (**p != ',')
                break;
        }
        g_string_append_c(s, *(*p)++);
    }
    return g_string_free(s, false);
}

static void add_flag(GHashTable *opts, const char *name, bool legacy)
{
    bool off = find_known(name) < 0 && g_str_has_prefix(name, "no") && find_known(name + 2) >= 0;
    const char *key = off ? name + 2 : name;

    if (!legacy && find_known(key) >= 0)
        warn_report("short-form boolean option '%s' deprecated\nPlease use %s=%s instead", name, key, off ? "off" : "on");
    g_hash_table_replace(opts, g_strdup(key), g_strdup(off ? "off" : "on"));
}

GHashTable *chr_parse_opts(const char *optstr, const char *implied, bool legacy, GError **err)
{
    GHashTable *opts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    bool first = true;

    while (*optstr) {
        g_autofree char *t = next_token(&optstr);
        char *eq = strchr(t, '=');

        if (eq)
            g_hash_table_replace(opts, g_strndup(t, eq - t), g_strdup(eq + 1));
        else if (first && implied)
            g_hash_table_replace(opts, g_strdup(implied), g_strdup(t));
        else if (*t)
            add_flag(opts, t, legacy);
        first = false;
    }
    if (chr_check_opts(opts, err))
        return opts;
    g_hash_table_unref(opts);
    return NULL;
}

/* ---- Legacy file names ---- */

static void set(GHashTable *opts, const char *key, const char *value)
{
    g_hash_table_replace(opts, g_strdup(key), g_strdup(value));
}

static bool add_opts(GHashTable *opts, const char *s, GError **err)
{
    g_autoptr(GHashTable) more = chr_parse_opts(s, NULL, true, err);
    GHashTableIter it;
    gpointer k, v;

    if (!more)
        return false;
    g_hash_table_iter_init(&it, more);
    while (g_hash_table_iter_next(&it, &k, &v))
        set(opts, k, v);
    return true;
}

/* "host:port", "[v6 address]:port" or ":port" from s, up to a character of `stop`. */
static const char *parse_host_port(const char *s, const char *stop, char **host, char **port)
{
    const char *colon = *s == '[' ? strstr(s, "]:") : strchr(s, ':'), *end;

    if (!colon)
        return NULL;
    *host = *s == '[' ? g_strndup(s + 1, colon - s - 1) : g_strndup(s, colon - s);
    colon += *s == '[' ? 2 : 1;
    end = colon + strcspn(colon, stop);
    *port = g_strndup(colon, end - colon);
    return end;
}

static bool parse_tcp(GHashTable *opts, const char *s, GError **err)
{
    g_autofree char *host = NULL, *port = NULL;
    const char *end = parse_host_port(s, ",", &host, &port);

    if (!end || !*port)
        return error_set(err, "'%s' is not HOST:PORT", s);
    set(opts, "host", host);
    set(opts, "port", port);
    return add_opts(opts, *end ? end + 1 : end, err);
}

static bool parse_udp(GHashTable *opts, const char *s, GError **err)
{
    g_autofree char *host = NULL, *port = NULL, *lhost = NULL, *lport = NULL;
    const char *end = parse_host_port(s, "@,", &host, &port);

    if (!end || !*port)
        return error_set(err, "'%s' is not [HOST]:PORT[@[LOCAL-HOST]:LOCAL-PORT]", s);
    if (*host)
        set(opts, "host", host);
    set(opts, "port", port);
    if (*end != '@')
        return true;
    if (!parse_host_port(end + 1, ",", &lhost, &lport))
        return error_set(err, "'%s' is not LOCAL-HOST:LOCAL-PORT", end + 1);
    if (*lhost)
        set(opts, "localaddr", lhost);
    set(opts, "localport", *lport ? lport : "0");
    return true;
}

static bool parse_unix(GHashTable *opts, const char *s, GError **err)
{
    const char *p = s;
    g_autofree char *path = next_token(&p);

    set(opts, "path", path);
    return add_opts(opts, p, err);
}

/* "800x600" in pixels or "80Cx24C" in characters. */
static bool parse_vc(GHashTable *opts, const char *s, GError **err)
{
    unsigned w, h;
    int n = 0;
    bool chars;

    chars = sscanf(s, "%4uCx%4uC%n", &w, &h, &n) == 2 && n && !s[n];
    if (!chars)
        n = 0;
    if ((!chars && !(sscanf(s, "%4ux%4u%n", &w, &h, &n) == 2 && n && !s[n])) || !w || !h || w > 9999 || h > 9999)
        return error_set(err, "'%s' is not a size: WIDTHxHEIGHT or COLUMNSCxROWSC", s);
    g_hash_table_replace(opts, g_strdup(chars ? "cols" : "width"), g_strdup_printf("%u", w));
    g_hash_table_replace(opts, g_strdup(chars ? "rows" : "height"), g_strdup_printf("%u", h));
    return true;
}

static bool parse_path(GHashTable *opts, const char *s, GError **err)
{
    set(opts, "path", s);
    return true;
}

GHashTable *chr_parse_filename(const char *filename, const char **type, GError **err)
{
    static const struct { const char *prefix, *type, *flag; bool (*parse)(GHashTable *, const char *, GError **); } forms[] = {
        { "vc:", "vc", NULL, parse_vc },
        { "file:", "file", NULL, parse_path },
        { "pipe:", "pipe", NULL, parse_path },
        { "tcp:", "socket", NULL, parse_tcp },
        { "telnet:", "socket", "telnet", parse_tcp },
        { "tn3270:", "socket", "tn3270", parse_tcp },
        { "websocket:", "socket", "websocket", parse_tcp },
        { "unix:", "socket", NULL, parse_unix },
        { "udp:", "udp", NULL, parse_udp },
    };
    static const char *const plain[] = { "null", "pty", "stdio", "vc", NULL };
    g_autoptr(GHashTable) opts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);

    for (unsigned i = 0; plain[i]; i++) {
        if (!strcmp(filename, plain[i])) {
            *type = plain[i];
            return g_steal_pointer(&opts);
        }
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(forms); i++) {
        if (!g_str_has_prefix(filename, forms[i].prefix))
            continue;
        *type = forms[i].type;
        if (forms[i].flag)
            set(opts, forms[i].flag, "on");
        return forms[i].parse(opts, filename + strlen(forms[i].prefix), err) ? g_steal_pointer(&opts) : NULL;
    }
    if (g_str_has_prefix(filename, "/dev/")) {
        *type = g_str_has_prefix(filename, "/dev/parport") ? "parallel" : "serial";
        set(opts, "path", filename);
        return g_steal_pointer(&opts);
    }
    error_set(err, "'%s' is not a valid char driver", filename);
    return NULL;
}
