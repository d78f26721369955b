/* Option texts. JSON is jansson's. */
#include <errno.h>
#include <jansson.h>
#include <string.h>
#include "util/error.h"
#include "util/opts.h"

static void clear_opt(void *p)
{
    Opt *o = p;

    g_free(o->name);
    g_free(o->value);
}

static void add(Opts *o, char *name, char *value)
{
    Opt item = { name, value, false };

    g_array_append_val(o->list, item);
}

/* The text up to a single comma or `stop`, with doubled commas made one; *s moves behind it. */
static char *token(const char **s, char stop)
{
    GString *t = g_string_new(NULL);

    while (**s && **s != stop) {
        if (**s == ',') {
            if ((*s)[1] != ',')
                break;
            ++*s;
        }
        g_string_append_c(t, *(*s)++);
    }
    return g_string_free(t, false);
}

static void flag(Opts *o, char *name)
{
    if (g_str_has_prefix(name, "no") && name[2]) {
        add(o, g_strdup(name + 2), g_strdup("off"));
        g_free(name);
    } else {
        add(o, name, g_strdup("on"));
    }
}

static void add_json(Opts *o, const char *prefix, json_t *v)
{
    const char *key;
    json_t *sub;
    size_t i;

    if (json_is_object(v)) {
        json_object_foreach(v, key, sub) {
            g_autofree char *name = *prefix ? g_strdup_printf("%s.%s", prefix, key) : g_strdup(key);

            add_json(o, name, sub);
        }
    } else if (json_is_array(v)) {
        json_array_foreach(v, i, sub) {
            g_autofree char *name = g_strdup_printf("%s.%zu", prefix, i);

            add_json(o, name, sub);
        }
    } else if (json_is_string(v)) {
        add(o, g_strdup(prefix), g_strdup(json_string_value(v)));
    } else if (json_is_boolean(v)) {
        add(o, g_strdup(prefix), g_strdup(json_is_true(v) ? "on" : "off"));
    } else if (json_is_null(v)) {
        add(o, g_strdup(prefix), g_strdup(""));
    } else {
        char *text = json_dumps(v, JSON_ENCODE_ANY);

        add(o, g_strdup(prefix), g_strdup(text));
        free(text);
    }
}

Opts *opts_parse(const char *text, const char *implied, GError **err)
{
    Opts *o = g_new0(Opts, 1);
    const char *s = text;

    o->text = g_strdup(text);
    o->list = g_array_new(false, false, sizeof(Opt));
    g_array_set_clear_func(o->list, clear_opt);
    if (*s == '{') {
        json_error_t je;
        json_t *v = json_loads(text, 0, &je);

        if (!v) {
            error_set(err, "JSON parse error, %s (at character %d of '%s')", je.text, je.position, text);
            opts_free(o);
            return NULL;
        }
        add_json(o, "", v);
        json_decref(v);
        return o;
    }
    for (bool first = true; *s; first = false) {
        char *name = token(&s, '=');

        if (*s == '=') {
            s++;
            add(o, name, token(&s, 0));
        } else if (first && implied) {
            add(o, g_strdup(implied), name);
        } else if (*name) {
            flag(o, name);
        } else {
            g_free(name);
        }
        if (*s == ',')
            s++;
    }
    return o;
}

void opts_free(Opts *o)
{
    if (!o)
        return;
    g_array_unref(o->list);
    g_free(o->text);
    g_free(o);
}

const char *opts_get(Opts *o, const char *name)
{
    const char *v = NULL;

    for (unsigned i = 0; i < o->list->len; i++) {
        Opt *item = &g_array_index(o->list, Opt, i);

        if (!strcmp(item->name, name)) {
            item->used = true;
            v = item->value;
        }
    }
    return v;
}

bool opts_has(const Opts *o, const char *name)
{
    for (unsigned i = 0; i < o->list->len; i++)
        if (!strcmp(g_array_index(o->list, Opt, i).name, name))
            return true;
    return false;
}

void opts_set(Opts *o, const char *name, const char *value)
{
    add(o, g_strdup(name), g_strdup(value));
}

bool parse_bool_text(const char *s, bool *v)
{
    *v = !strcmp(s, "on") || !strcmp(s, "yes") || !strcmp(s, "true") || !strcmp(s, "y");
    return *v || !strcmp(s, "off") || !strcmp(s, "no") || !strcmp(s, "false") || !strcmp(s, "n");
}

bool parse_u64_text(const char *s, uint64_t *v)
{
    char *end;

    errno = 0;
    *v = g_ascii_strtoull(s, &end, 0);
    return g_ascii_isdigit(*s) && !*end && !errno;
}

bool parse_size_text(const char *s, uint64_t unit, uint64_t *v)
{
    static const char units[] = "BKMGTPE";
    uint64_t mul = unit;
    const char *u;
    char *end;

    if (!g_ascii_isdigit(*s))
        return false;
    errno = 0;
    *v = g_ascii_strtoull(s, &end, 0);
    if (errno)
        return false;
    if (*end == '.') {
        double d = g_ascii_strtod(s, &end);

        u = *end ? strchr(units, g_ascii_toupper(*end)) : NULL;
        if (*end && (!u || end[1]))
            return false;
        d *= u ? (double)(1ull << (10 * (u - units))) : (double)unit;
        *v = d;
        return d < 18446744073709549568.0;
    }
    if (*end) {
        u = strchr(units, g_ascii_toupper(*end));
        if (!u || end[1])
            return false;
        mul = 1ull << (10 * (u - units));
    }
    return !__builtin_mul_overflow(*v, mul, v);
}

bool opts_get_bool(Opts *o, const char *name, bool def, bool *v, GError **err)
{
    const char *s = opts_get(o, name);

    *v = def;
    return !s || parse_bool_text(s, v) || error_set(err, "Parameter '%s' expects 'on' or 'off', not '%s'", name, s);
}

bool opts_get_u64(Opts *o, const char *name, uint64_t def, uint64_t max, uint64_t *v, GError **err)
{
    const char *s = opts_get(o, name);

    *v = def;
    if (!s)
        return true;
    if (!parse_u64_text(s, v))
        return error_set(err, "Parameter '%s' expects a number, not '%s'", name, s);
    return *v <= max || error_set(err, "Parameter '%s' is out of range: %s (0 to %" G_GUINT64_FORMAT ")", name, s, max);
}

bool opts_get_size(Opts *o, const char *name, uint64_t def, uint64_t *v, GError **err)
{
    const char *s = opts_get(o, name);

    *v = def;
    return !s || parse_size_text(s, 1, v) ||
           error_set(err, "Parameter '%s' expects a size (a number with an optional suffix K, M, G or T), not '%s'", name, s);
}

bool opts_all_used(const Opts *o, const char *what, const char *const *known, GError **err)
{
    for (unsigned i = 0; i < o->list->len; i++) {
        const Opt *item = &g_array_index(o->list, Opt, i);
        const char *near = known ? nearest_name(item->name, known) : NULL;

        if (!item->used)
            return error_set(err, "%s: Invalid parameter '%s'%s%s%s", what, item->name, near ? " (did you mean '" : "",
                             near ? near : "", near ? "'?)" : "");
    }
    return true;
}

bool id_wellformed(const char *id)
{
    if (!g_ascii_isalpha(*id))
        return false;
    for (; *id; id++)
        if (!g_ascii_isalnum(*id) && !strchr("-._", *id))
            return false;
    return true;
}
