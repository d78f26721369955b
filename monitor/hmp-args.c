/*
 * HMP: the arguments of a command line.
 *
 * A command's arguments are described as "name:type name:type?"; ? may be absent. What was given becomes a JSON object.
 *   str      a word, or a string in double quotes         path   the same, a file name
 *   dev      the same, a drive                            line   the rest of the line
 *   expr     an expression, 64 bits                       int    the same, 32 bits
 *   mb       an expression, in MiB                        size   "1.5G"
 *   bool     on or off                                    fmt    /8xb: gives count, format and size
 *   -f       a flag; flags stand together                 -f=str a flag with a word
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "monitor/monitor-int.h"

bool hmp_next_arg(const char **args, HmpArg *a)
{
    char item[48];
    char *colon;
    size_t n;

    if (!*args || !**args)
        return false;
    n = strcspn(*args, " ");
    g_strlcpy(item, *args, MIN(n + 1, sizeof(item)));
    *args += n + strspn(*args + n, " ");
    a->optional = item[strlen(item) - 1] == '?';
    if (a->optional)
        item[strlen(item) - 1] = 0;
    colon = strchr(item, ':');
    g_assert(colon);
    *colon = 0;
    g_strlcpy(a->name, item, sizeof(a->name));
    g_strlcpy(a->type, colon + 1, sizeof(a->type));
    return true;
}

void hmp_skip_spaces(const char **p)
{
    while (g_ascii_isspace(**p))
        ++*p;
}

/* ---- Words ---- */

static char *quoted(Monitor *mon, const char **p)
{
    static const char from[] = "nr\\'\"", to[] = "\n\r\\'\"";
    GString *s = g_string_new(NULL);
    const char *e;

    for (++*p; **p && **p != '"'; ++*p) {
        if (**p != '\\') {
            g_string_append_c(s, **p);
            continue;
        }
        ++*p;
        e = **p ? strchr(from, **p) : NULL;
        if (!e) {
            mon_printf(mon, "unsupported escape code: '\\%c'\n", **p);
            g_string_free(s, true);
            return NULL;
        }
        g_string_append_c(s, to[e - from]);
    }
    if (**p == '"') {
        ++*p;
        return g_string_free(s, false);
    }
    mon_printf(mon, "unterminated string\n");
    g_string_free(s, true);
    return NULL;
}

/* A word, or NULL when there is none or it is wrong. */
static char *get_word(Monitor *mon, const char **p)
{
    const char *s;

    hmp_skip_spaces(p);
    if (**p == '"')
        return quoted(mon, p);
    for (s = *p; **p && !g_ascii_isspace(**p); ++*p)
        ;
    return *p == s ? NULL : g_strndup(s, *p - s);
}

/* ---- One argument each ---- */

static bool parse_word(Monitor *mon, const MonCommand *c, const HmpArg *a, const char **p, json_t *args, GError **err)
{
    const char *what = !strcmp(a->type, "path") ? "filename" : !strcmp(a->type, "dev") ? "block device name" : "string";
    const char *short_name = g_str_has_prefix(c->name, "info ") ? c->name + 5 : c->name;
    g_autofree char *w = NULL;

    hmp_skip_spaces(p);
    if (a->optional && !**p)
        return true;
    w = get_word(mon, p);
    if (!w)
        return error_set(err, "%s: %s expected", short_name, what);
    if (!g_utf8_validate(w, -1, NULL))
        return error_set(err, "%s: not UTF-8", short_name);
    json_object_set_new(args, a->name, json_string(w));
    return true;
}

static bool parse_line(const HmpArg *a, const char **p, json_t *args, GError **err)
{
    g_autofree char *s = NULL;

    hmp_skip_spaces(p);
    if (!**p && a->optional)
        return true;
    s = g_strchomp(g_strdup(*p));
    *p += strlen(*p);
    if (!g_utf8_validate(s, -1, NULL))
        return error_set(err, "not UTF-8");
    json_object_set_new(args, a->name, json_string(s));
    return true;
}

static bool parse_number(Monitor *mon, const MonCommand *c, const HmpArg *a, const char **p, json_t *args, GError **err)
{
    int64_t v;

    hmp_skip_spaces(p);
    if (a->optional && !**p)
        return true;
    if (!hmp_expr(mon, p, &v, err))
        return false;
    if (!strcmp(a->type, "int") && (uint64_t)v >> 32)
        return error_set(err, "'%s' has failed: integer is for 32-bit values", c->name);
    if (!strcmp(a->type, "mb")) {
        if (v < 0)
            return error_set(err, "enter a positive value");
        v = v > INT64_MAX >> 20 ? INT64_MAX : v << 20;
    }
    json_object_set_new(args, a->name, json_integer(v));
    return true;
}

/* "1.5G"; without a suffix MiB. */
static bool parse_size(const HmpArg *a, const char **p, json_t *args, GError **err)
{
    static const char suffixes[] = "bkmgtpe";
    const char *s;
    char *end;
    double v;

    hmp_skip_spaces(p);
    if (a->optional && !**p)
        return true;
    v = g_ascii_strtod(*p, &end);
    if (end == *p || v < 0 || !isfinite(v))
        return error_set(err, "invalid size");
    s = *end ? strchr(suffixes, g_ascii_tolower(*end)) : NULL;
    v = ldexp(v, 10 * (s ? s - suffixes : 2));
    if (v >= 0x1p63)
        return error_set(err, "invalid size");
    *p = end + (s != NULL);
    json_object_set_new(args, a->name, json_integer((int64_t)v));
    return true;
}

static bool parse_bool(Monitor *mon, const HmpArg *a, const char **p, json_t *args, GError **err)
{
    const char *s;
    size_t n;

    hmp_skip_spaces(p);
    if (a->optional && !**p)
        return true;
    for (s = *p; **p && !g_ascii_isspace(**p); ++*p)
        ;
    n = *p - s;
    if (!(n == 2 && !memcmp(s, "on", 2)) && !(n == 3 && !memcmp(s, "off", 3)))
        return error_set(err, "Expected 'on' or 'off'");
    json_object_set_new(args, a->name, json_boolean(n == 2));
    return true;
}

/* What the last command said holds for the next, of any monitor. */
static bool parse_format(const char **p, json_t *args, GError **err)
{
    static char last_format = 'x';
    static int last_size = 4;
    int64_t count = 1;
    int format = -1, size = -1;

    hmp_skip_spaces(p);
    if (**p == '/') {
        for (++*p, count = !g_ascii_isdigit(**p); g_ascii_isdigit(**p); ++*p)
            count = MIN(count * 10 + **p - '0', G_MAXINT32);
        for (; **p && !g_ascii_isspace(**p); ++*p) {
            static const char sizes[] = "bhwgL", bytes[] = { 1, 2, 4, 8, 8 };
            const char *s = strchr(sizes, **p);

            if (strchr("oduxic", **p))
                format = **p;
            else if (s)
                size = bytes[s - sizes];
            else
                return error_set(err, "invalid char in format: '%c'", **p);
        }
    }
    last_format = format < 0 ? last_format : format;
    if (last_format != 'i') {
        size = size < 0 ? last_size : size;
        last_size = size;
    }
    json_object_set_new(args, "count", json_integer(count));
    json_object_set_new(args, "format", json_integer(last_format));
    json_object_set_new(args, "size", json_integer(size));
    return true;
}

static bool find_flag(const char *specs, char flag, HmpArg *a)
{
    while (hmp_next_arg(&specs, a)) {
        if (a->type[0] == '-' && a->type[1] == flag)
            return true;
    }
    return false;
}

/* All flags that stand here. */
static bool parse_flags(Monitor *mon, const MonCommand *c, const char **p, json_t *args, GError **err)
{
    const char *short_name = g_str_has_prefix(c->name, "info ") ? c->name + 5 : c->name;
    HmpArg a;

    for (hmp_skip_spaces(p); **p == '-'; hmp_skip_spaces(p)) {
        if (!find_flag(c->args, (*p)[1], &a))
            return error_set(err, "%s: unsupported option -%c", short_name, (*p)[1]);
        *p += 2;
        if (a.type[2]) {
            g_autofree char *w = get_word(mon, p);

            if (!w || !g_utf8_validate(w, -1, NULL))
                return error_set(err, "%s: option -%c expects a parameter", short_name, a.type[1]);
            json_object_set_new(args, a.name, json_string(w));
        } else {
            json_object_set_new(args, a.name, json_true());
        }
    }
    return true;
}

static bool parse_arg(Monitor *mon, const MonCommand *c, const HmpArg *a, const char **p, json_t *args, GError **err)
{
    const char *t = a->type;

    if (t[0] == '-')
        return parse_flags(mon, c, p, args, err);
    if (!strcmp(t, "str") || !strcmp(t, "path") || !strcmp(t, "dev"))
        return parse_word(mon, c, a, p, args, err);
    if (!strcmp(t, "line"))
        return parse_line(a, p, args, err);
    if (!strcmp(t, "size"))
        return parse_size(a, p, args, err);
    if (!strcmp(t, "bool"))
        return parse_bool(mon, a, p, args, err);
    if (!strcmp(t, "fmt"))
        return parse_format(p, args, err);
    return parse_number(mon, c, a, p, args, err);
}

json_t *hmp_parse_args(Monitor *mon, const MonCommand *c, const char *p, GError **err)
{
    const char *specs = c->args;
    json_t *args = json_object();
    HmpArg a;

    while (hmp_next_arg(&specs, &a)) {
        if (!parse_arg(mon, c, &a, &p, args, err)) {
            json_decref(args);
            return NULL;
        }
    }
    hmp_skip_spaces(&p);
    if (!*p)
        return args;
    error_set(err, "%s: extraneous characters at the end of line", g_str_has_prefix(c->name, "info ") ? c->name + 5 : c->name);
    json_decref(args);
    return NULL;
}
