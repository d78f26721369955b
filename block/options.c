/* Flat option objects. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "block/options.h"
#include "util/error.h"

/* Text up to a single ',' (doubled ones become one), and past it. */
static char *take_value(const char **s)
{
    GString *v = g_string_new(NULL);
    const char *p = *s;

    for (; *p; p++) {
        if (*p == ',' && *++p != ',')
            break;
        g_string_append_c(v, *p);
    }
    *s = p;
    return g_string_free(v, FALSE);
}

json_t *jopts_parse(const char *str, const char *implied, GError **err)
{
    json_t *o = json_object();
    bool first = true;

    while (*str) {
        size_t n = strcspn(str, "=,");
        g_autofree char *key = NULL, *val = NULL;

        if (str[n] == '=') {
            key = g_strndup(str, n);
            str += n + 1;
            val = take_value(&str);
        } else if (first && implied) {
            key = g_strdup(implied);
            val = take_value(&str);
        } else {
            bool no = g_str_has_prefix(str, "no") && n > 2;

            key = g_strndup(str + 2 * no, n - 2 * no);
            val = g_strdup(no ? "off" : "on");
            str += n + (str[n] == ',');
        }
        first = false;
        if (!*key) {
            json_decref(o);
            error_set(err, "Invalid parameter ''");
            return NULL;
        }
        jopts_set(o, key, val);
    }
    return o;
}

void jopts_flatten(json_t *opts, const char *prefix, json_t *obj)
{
    const char *key;
    json_t *v;
    size_t i;

    json_object_foreach(obj, key, v) {
        g_autofree char *full = g_strconcat(prefix, key, NULL);
        g_autofree char *dot = g_strconcat(full, ".", NULL);

        if (json_is_object(v)) {
            jopts_flatten(opts, dot, v);
        } else if (json_is_array(v)) {
            json_t *e;

            json_array_foreach(v, i, e) {
                g_autofree char *n = g_strdup_printf("%zu", i);
                json_t *one = json_pack("{s:O}", n, e);

                jopts_flatten(opts, dot, one);
                json_decref(one);
            }
        } else {
            json_object_set(opts, full, v);
        }
    }
}

json_t *jopts_crumple(json_t *opts)
{
    json_t *out = json_object(), *v;
    const char *key;

    json_object_foreach(opts, key, v) {
        g_auto(GStrv) part = g_strsplit(key, ".", -1);
        json_t *at = out;
        unsigned i;

        for (i = 0; part[i + 1]; i++) {
            json_t *in = json_object_get(at, part[i]);

            if (!json_is_object(in)) {
                in = json_object();
                json_object_set_new(at, part[i], in);
            }
            at = in;
        }
        json_object_set(at, part[i], v);
    }
    return out;
}

json_t *jopts_from_json(const char *text, GError **err)
{
    json_error_t e;
    json_t *o, *flat;

    if (g_str_has_prefix(text, "json:"))
        text += 5;
    o = json_loads(text, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &e);
    if (!o) {
        error_set(err, "JSON parse error, %s", e.text);
        return NULL;
    }
    if (!json_is_object(o)) {
        json_decref(o);
        error_set(err, "Must specify a JSON object");
        return NULL;
    }
    flat = json_object();
    jopts_flatten(flat, "", o);
    json_decref(o);
    return flat;
}

bool jopts_has_prefix(json_t *opts, const char *prefix)
{
    const char *key;
    json_t *v;

    json_object_foreach(opts, key, v)
        if (g_str_has_prefix(key, prefix))
            return true;
    return false;
}

json_t *jopts_extract(json_t *opts, const char *prefix)
{
    json_t *out = json_object(), *v;
    const char *key;
    void *tmp;

    json_object_foreach_safe(opts, tmp, key, v) {
        if (g_str_has_prefix(key, prefix)) {
            json_object_set(out, key + strlen(prefix), v);
            json_object_del(opts, key);
        }
    }
    return out;
}

void jopts_set(json_t *opts, const char *key, const char *value)
{
    json_t *v = json_string(value);

    json_object_set_new(opts, key, v ? v : json_string_nocheck(value));
}

void jopts_set_default(json_t *opts, const char *key, const char *value)
{
    if (!json_object_get(opts, key))
        jopts_set(opts, key, value);
}

const char *jopts_get(json_t *opts, const char *key)
{
    json_t *v = json_object_get(opts, key);
    char text[32];

    if (!v || json_is_null(v))
        return NULL;
    if (json_is_string(v))
        return json_string_value(v);
    if (json_is_boolean(v))
        return json_is_true(v) ? "on" : "off";
    if (json_is_integer(v))
        g_snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT, json_integer_value(v));
    else
        g_snprintf(text, sizeof(text), "%g", json_number_value(v));
    json_object_set_new(opts, key, json_string(text));
    return json_string_value(json_object_get(opts, key));
}

char *jopts_take(json_t *opts, const char *key)
{
    char *s = g_strdup(jopts_get(opts, key));

    json_object_del(opts, key);
    return s;
}

bool jopts_take_bool(json_t *opts, const char *key, bool *val, GError **err)
{
    g_autofree char *s = jopts_take(opts, key);

    if (!s)
        return true;
    if (!strcmp(s, "on") || !strcmp(s, "yes") || !strcmp(s, "true") || !strcmp(s, "y"))
        *val = true;
    else if (!strcmp(s, "off") || !strcmp(s, "no") || !strcmp(s, "false") || !strcmp(s, "n"))
        *val = false;
    else
        return error_set(err, "Parameter '%s' expects 'on' or 'off'", key);
    return true;
}

int parse_size_err(const char *s, char def, uint64_t *val)
{
    static const char suffixes[] = "BKMGTPE";
    unsigned long long whole;
    const char *p;
    char *end;
    double frac = 0, big;
    unsigned shift;
    bool fraction = false;

    while (isspace((unsigned char)*s))
        s++;
    if (!isdigit((unsigned char)*s) && *s != '.')
        return -EINVAL;
    errno = 0;
    if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) {
        whole = strtoull(s, &end, 16);
        if (end == s + 1 || errno)
            return errno ? -ERANGE : -EINVAL;
        if (!*end) {
            *val = whole;
            return 0;
        }
    } else {
        whole = *s == '.' ? 0 : strtoull(s, &end, 10);
        if (*s == '.')
            end = (char *)s;
        if (errno)
            return -ERANGE;
        if (*end == '.') {
            char *after;

            frac = g_ascii_strtod(end, &after);
            for (p = end + 1; p < after; p++)
                if (!isdigit((unsigned char)*p))
                    return -EINVAL;
            fraction = frac != 0;
            end = after;
        }
    }
    p = *end ? strchr(suffixes, toupper((unsigned char)*end)) : strchr(suffixes, def);
    if (!p || !*p || (*end && end[1]))
        return -EINVAL;
    shift = (p - suffixes) * 10;
    if (fraction && !shift)
        return -EINVAL;
    if (shift && whole > (UINT64_MAX >> shift))
        return -ERANGE;
    big = frac * (double)(UINT64_C(1) << shift);
    *val = (whole << shift) + (uint64_t)big;
    return *val < (whole << shift) ? -ERANGE : 0;
}

bool parse_size(const char *s, char def, uint64_t *val)
{
    return parse_size_err(s, def, val) == 0;
}

bool jopts_take_size(json_t *opts, const char *key, uint64_t *val, GError **err)
{
    g_autofree char *s = jopts_take(opts, key);

    if (!s)
        return true;
    switch (parse_size_err(s, 'B', val)) {
    case 0:
        return true;
    case -ERANGE:
        return error_set(err, "Value '%s' is too large for parameter '%s'", s, key);
    default:
        return error_set(err, "Parameter '%s' expects a non-negative number below 2^64\n"
                         "Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-\n"
                         "and exabytes, respectively.", key);
    }
}

bool jopts_take_number(json_t *opts, const char *key, uint64_t *val, GError **err)
{
    g_autofree char *s = jopts_take(opts, key);
    char *end;

    if (!s)
        return true;
    errno = 0;
    *val = strtoull(s, &end, 0);
    if (!isdigit((unsigned char)*s) || *end)
        return error_set(err, "Parameter '%s' expects a number", key);
    if (errno)
        return error_set(err, "Value '%s' is too large for parameter '%s'", s, key);
    return true;
}

bool jopts_take_enum(json_t *opts, const char *key, const char *const *names, int *val, GError **err)
{
    g_autofree char *s = jopts_take(opts, key);
    const char *near;

    if (!s)
        return true;
    for (int i = 0; names[i]; i++) {
        if (!strcmp(s, names[i])) {
            *val = i;
            return true;
        }
    }
    near = nearest_name(s, names);
    return error_set(err, "Parameter '%s' does not accept value '%s'%s%s%s", key, s, near ? " (did you mean '" : "",
                     near ? near : "", near ? "'?)" : "");
}
