/* QMP's types: reading their texts, checking values, introspection. */
#include <string.h>
#include "monitor/monitor-int.h"
#include "monitor/qmp-schema.h"

typedef enum Kind { K_BUILTIN, K_ARRAY, K_ENUM, K_OBJECT, K_ALTERNATE } Kind;

typedef struct Type Type;

typedef struct Member {
    char *name;             /* of a variant: the tag's value */
    Type *type;
    bool optional;
} Member;

struct Type {
    Kind kind;
    const char *builtin;    /* "str" */
    Type *element;
    GPtrArray *values;      /* of an enumeration, NULL-terminated */
    GArray *members;        /* Member: of an object, an alternate */
    Member *tag;            /* points into members; fixed once they are complete */
    char *tag_name;
    GArray *variants;       /* Member */
    bool open;
    int id;                 /* in query-qmp-schema; 0: not listed yet */
    char *label;
};

static GHashTable *by_text;     /* text or name -> Type; types live as long as the process */

static Type *parse_type(const char **p);

static const struct { const char *name, *json; } builtins[] = {
    { "str", "string" }, { "int", "int" }, { "size", "int" }, { "num", "number" }, { "bool", "boolean" }, { "any", "value" },
    { "null", "null" },
};

static void skip(const char **p)
{
    while (**p == ' ' || **p == '\n')
        ++*p;
}

static char *word(const char **p)
{
    const char *s = *p;

    while (g_ascii_isalnum(**p) || (**p && strchr("-_.+", **p)))
        ++*p;
    return g_strndup(s, *p - s);
}

static void expect(const char **p, char c)
{
    if (**p != c)
        g_error("QMP type: '%c' expected before '%s'", c, *p);
    ++*p;
}

static void parse_variants(Type *t, const char **p)
{
    expect(p, '?');
    t->tag_name = word(p);
    t->variants = g_array_new(false, false, sizeof(Member));
    for (skip(p); **p != '}'; skip(p)) {
        Member v = { .name = word(p) };

        expect(p, '=');
        v.type = parse_type(p);
        g_array_append_val(t->variants, v);
    }
}

static void parse_object(Type *t, const char **p)
{
    t->kind = K_OBJECT;
    t->members = g_array_new(false, false, sizeof(Member));
    for (skip(p); **p != '}' && **p != '?'; skip(p)) {
        Member m = { 0 };

        if (g_str_has_prefix(*p, "...")) {
            *p += 3;
            t->open = true;
            continue;
        }
        m.optional = **p == '*';
        *p += m.optional;
        m.name = word(p);
        expect(p, ':');
        m.type = parse_type(p);
        g_array_append_val(t->members, m);
    }
    if (**p == '?')
        parse_variants(t, p);
    expect(p, '}');
    for (unsigned i = 0; t->tag_name && i < t->members->len; i++) {
        if (!strcmp(g_array_index(t->members, Member, i).name, t->tag_name))
            t->tag = &g_array_index(t->members, Member, i);
    }
}

static void parse_enum(Type *t, const char **p)
{
    t->kind = K_ENUM;
    t->values = g_ptr_array_new();
    do
        g_ptr_array_add(t->values, word(p));
    while (**p == '|' && ++*p);
    expect(p, '>');
    g_ptr_array_add(t->values, NULL);
}

static void parse_alternate(Type *t, const char **p)
{
    t->kind = K_ALTERNATE;
    t->members = g_array_new(false, false, sizeof(Member));
    for (;;) {
        Member m = { 0 };

        skip(p);
        m.type = parse_type(p);
        g_array_append_val(t->members, m);
        skip(p);
        if (**p != '/')
            break;
        ++*p;
    }
    expect(p, ')');
}

/* A name; it is entered before its text is read, as types may contain themselves. */
static Type *named(const char *name)
{
    Type *t = g_hash_table_lookup(by_text, name);

    if (t)
        return t;
    t = g_new0(Type, 1);
    g_hash_table_insert(by_text, g_strdup(name), t);
    for (unsigned i = 0; i < G_N_ELEMENTS(builtins); i++) {
        if (!strcmp(builtins[i].name, name)) {
            t->kind = K_BUILTIN;
            t->builtin = builtins[i].name;
            return t;
        }
    }
    for (const QmpTypeRow *r = qmp_types; r->name; r++) {
        if (!strcmp(r->name, name)) {
            const char *s = r->text;
            g_autofree Type *x = parse_type(&s);    /* a literal, met nowhere else */

            *t = *x;
            return t;
        }
    }
    g_error("QMP type '%s' is not known", name);
}

static Type *parse_type(const char **p)
{
    Type *t;

    skip(p);
    if (g_ascii_isalpha(**p)) {
        g_autofree char *name = word(p);

        return named(name);
    }
    t = g_new0(Type, 1);
    switch (*(*p)++) {
    case '[':
        t->kind = K_ARRAY;
        t->element = parse_type(p);
        expect(p, ']');
        break;
    case '<':
        parse_enum(t, p);
        break;
    case '{':
        parse_object(t, p);
        break;
    case '(':
        parse_alternate(t, p);
        break;
    default:
        g_error("QMP type: '%s'", *p - 1);
    }
    return t;
}

static Type *type_of(const char *text)
{
    Type *t;

    if (!by_text)
        by_text = g_hash_table_new(g_str_hash, g_str_equal);
    t = g_hash_table_lookup(by_text, text);
    if (!t) {
        const char *p = text;

        t = parse_type(&p);
        if (!g_hash_table_lookup(by_text, text))
            g_hash_table_insert(by_text, g_strdup(text), t);
    }
    return t;
}

const char *const *qmp_enum(const char *name)
{
    Type *t = type_of(name);

    return t->kind == K_ENUM ? (const char *const *)t->values->pdata : NULL;
}

/* ---- Checking ---- */

static bool check(const Type *t, json_t *v, const char *path, GError **err);

static bool wrong_type(const char *path, const char *expected, GError **err)
{
    return error_set(err, "Invalid parameter type for '%s', expected: %s", path, expected);
}

static bool check_builtin(const Type *t, json_t *v, const char *path, GError **err)
{
    switch (t->builtin[0]) {
    case 's':
        if (t->builtin[1] == 't')
            return json_is_string(v) || wrong_type(path, "string", err);
        return (json_is_integer(v) && json_integer_value(v) >= 0) || wrong_type(path, "size", err);
    case 'i':
        return json_is_integer(v) || wrong_type(path, "integer", err);
    case 'b':
        return json_is_boolean(v) || wrong_type(path, "boolean", err);
    case 'n':
        if (t->builtin[2] == 'm')
            return json_is_number(v) || wrong_type(path, "number", err);
        return json_is_null(v) || wrong_type(path, "null", err);
    default:
        return true;
    }
}

static char *join(const char *path, const char *name)
{
    return *path ? g_strconcat(path, ".", name, NULL) : g_strdup(name);
}

static const Member *find_member(const GArray *a, const char *name)
{
    for (unsigned i = 0; a && i < a->len; i++) {
        const Member *m = &g_array_index(a, Member, i);

        if (!strcmp(m->name, name))
            return m;
    }
    return NULL;
}

static bool check_members(const Type *t, json_t *v, const char *path, GError **err)
{
    for (unsigned i = 0; i < t->members->len; i++) {
        const Member *m = &g_array_index(t->members, Member, i);
        json_t *x = json_object_get(v, m->name);
        g_autofree char *where = join(path, m->name);

        if (!x && !m->optional)
            return error_set(err, "Parameter '%s' is missing", where);
        if (x && !check(m->type, x, where, err))
            return false;
    }
    return true;
}

static bool check_object(const Type *t, json_t *v, const char *path, GError **err)
{
    const Member *variant = NULL;
    const char *key;
    json_t *x;

    if (!json_is_object(v))
        return wrong_type(path, "object", err);
    if (!check_members(t, v, path, err))
        return false;
    if (t->tag) {
        const char *tag = json_string_value(json_object_get(v, t->tag_name));

        variant = tag ? find_member(t->variants, tag) : NULL;
        if (variant && !check_members(variant->type, v, path, err))
            return false;
    }
    json_object_foreach(v, key, x) {
        if (!t->open && !find_member(t->members, key) &&
            !(variant && (variant->type->open || find_member(variant->type->members, key)))) {
            g_autofree char *where = join(path, key);

            return error_set(err, "Parameter '%s' is unexpected", where);
        }
    }
    return true;
}

static bool check_array(const Type *t, json_t *v, const char *path, GError **err)
{
    if (!json_is_array(v))
        return wrong_type(path, "array", err);
    for (size_t i = 0; i < json_array_size(v); i++) {
        g_autofree char *where = g_strdup_printf("%s[%zu]", path, i);

        if (!check(t->element, json_array_get(v, i), where, err))
            return false;
    }
    return true;
}

static bool check_enum(const Type *t, json_t *v, const char *path, GError **err)
{
    const char *leaf = strrchr(path, '.');

    if (!json_is_string(v))
        return wrong_type(path, "string", err);
    if (g_strv_contains((const char *const *)t->values->pdata, json_string_value(v)))
        return true;
    return error_set(err, "Parameter '%s' does not accept value '%s'", leaf ? leaf + 1 : path, json_string_value(v));
}

static bool check(const Type *t, json_t *v, const char *path, GError **err)
{
    switch (t->kind) {
    case K_BUILTIN:
        return check_builtin(t, v, path, err);
    case K_ARRAY:
        return check_array(t, v, path, err);
    case K_ENUM:
        return check_enum(t, v, path, err);
    case K_OBJECT:
        return check_object(t, v, path, err);
    case K_ALTERNATE:
        for (unsigned i = 0; i < t->members->len; i++) {
            if (check(g_array_index(t->members, Member, i).type, v, path, NULL))
                return true;
        }
        return error_set(err, "Invalid parameter type for '%s'", path);
    }
    return true;
}

bool qmp_check(const char *text, json_t *args, GError **err)
{
    return check(type_of(text ? text : "{}"), args, "", err);
}

/* ---- Introspection ---- */

typedef struct Listing {
    json_t *out;
    GHashTable *labels;         /* that are there: some types have the same name */
    int next;
} Listing;

static const char *list_type(Listing *l, Type *t);

static json_t *list_members(Listing *l, const Type *t)
{
    json_t *a = json_array();

    for (unsigned i = 0; i < t->members->len; i++) {
        const Member *m = &g_array_index(t->members, Member, i);
        json_t *o = json_object();

        if (t->kind == K_OBJECT)
            json_object_set_new(o, "name", json_string(m->name));
        if (m->optional)
            json_object_set_new(o, "default", json_null());
        json_object_set_new(o, "type", json_string(list_type(l, m->type)));
        json_array_append_new(a, o);
    }
    return a;
}

/* Every value of the tag has a variant; most add nothing. */
static void list_variants(Listing *l, const Type *t, json_t *o)
{
    json_t *a = json_array();
    const GPtrArray *values = t->tag->type->values;

    for (unsigned i = 0; values->pdata[i]; i++) {
        const Member *v = find_member(t->variants, values->pdata[i]);

        json_array_append_new(a, json_pack("{s:s,s:s}", "case", values->pdata[i], "type",
                                           list_type(l, v ? v->type : type_of("{}"))));
    }
    json_object_set_new(o, "tag", json_string(t->tag_name));
    json_object_set_new(o, "variants", a);
}

static void describe(Listing *l, Type *t, json_t *o)
{
    static const char *const kinds[] = { "builtin", "array", "enum", "object", "alternate" };

    json_object_set_new(o, "name", json_string(t->label));
    json_object_set_new(o, "meta-type", json_string(kinds[t->kind]));
    switch (t->kind) {
    case K_BUILTIN:
        for (unsigned i = 0; i < G_N_ELEMENTS(builtins); i++) {
            if (!strcmp(builtins[i].name, t->builtin))
                json_object_set_new(o, "json-type", json_string(builtins[i].json));
        }
        break;
    case K_ARRAY:
        json_object_set_new(o, "element-type", json_string(list_type(l, t->element)));
        break;
    case K_ENUM: {
        json_t *values = json_array(), *members = json_array();

        for (unsigned i = 0; t->values->pdata[i]; i++) {
            json_array_append_new(values, json_string(t->values->pdata[i]));
            json_array_append_new(members, json_pack("{s:s}", "name", t->values->pdata[i]));
        }
        json_object_set_new(o, "members", members);
        json_object_set_new(o, "values", values);
        break;
    }
    case K_OBJECT:
    case K_ALTERNATE:
        json_object_set_new(o, "members", list_members(l, t));
        if (t->tag)
            list_variants(l, t, o);
        break;
    }
}

/* The type's name in the listing, where it is put when it is met first. */
static const char *list_type(Listing *l, Type *t)
{
    json_t *o;

    if (t->id)
        return t->label;
    if (t->kind == K_ARRAY) {
        t->id = -1;
        g_free(t->label);
        t->label = g_strdup_printf("[%s]", list_type(l, t->element));
    } else {
        t->id = l->next++;
        g_free(t->label);
        t->label = t->kind == K_BUILTIN ? g_strdup(!strcmp(t->builtin, "num") ? "number" : !strcmp(t->builtin, "size") ? "int" :
                                                   t->builtin) : g_strdup_printf("%d", t->id);
    }
    if (g_hash_table_contains(l->labels, t->label))
        return t->label;
    g_hash_table_add(l->labels, g_strdup(t->label));
    o = json_object();
    json_array_append_new(l->out, o);
    describe(l, t, o);
    return t->label;
}

static void unlist(gpointer key, gpointer type, gpointer opaque)
{
    ((Type *)type)->id = 0;
}

static json_t *features_of(const char *text)
{
    g_auto(GStrv) words = g_strsplit(text, " ", -1);
    json_t *a = json_array();

    for (char **w = words; *w; w++)
        json_array_append_new(a, json_string(*w));
    return a;
}

static bool list_command(const MonCommand *c, void *opaque)
{
    Listing *l = opaque;
    json_t *o;

    if (!c->qmp)
        return true;
    o = json_pack("{s:s,s:s,s:s,s:s}", "name", c->qmp, "meta-type", "command",
                          "arg-type", list_type(l, type_of(c->in ? c->in : "{}")),
                          "ret-type", list_type(l, type_of(c->out ? c->out : "{}")));

    if (c->flags & CMD_OOB)
        json_object_set_new(o, "allow-oob", json_true());
    if (c->features)
        json_object_set_new(o, "features", features_of(c->features));
    json_array_append_new(l->out, o);
    return true;
}

json_t *qmp_schema(void)
{
    Listing l = { json_array(), g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL), 1 };

    type_of("{}");
    g_hash_table_foreach(by_text, unlist, NULL);
    foreach_command(list_command, &l);
    for (const QmpEvent *e = qmp_events; e->name; e++) {
        json_array_append_new(l.out, json_pack("{s:s,s:s,s:s}", "name", e->name, "meta-type", "event",
                                               "arg-type", list_type(&l, type_of(e->data ? e->data : "{}"))));
    }
    g_hash_table_unref(l.labels);
    return l.out;
}
