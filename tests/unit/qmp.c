/* QMP's parser against nonsense, its type checks, and what it tells about itself; HMP's expressions; line editing. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include "monitor/monitor-int.h"
#include "monitor/qmp-schema.h"

/* A command table of the test's own. */
static const MonCommand rows[] = {
    { .qmp = "send-key", .in = "{keys:[KeyValue] *hold-time:int}" },
    { .qmp = "query-status", .out = "StatusInfo" },
    { .qmp = "device_add", .in = "{driver:str *bus:str *id:str ...}", .features = "json-cli json-cli-hotplug" },
    { .qmp = "migrate-pause", .flags = CMD_OOB },
    { .qmp = "chardev-add", .in = "{id:str backend:ChardevBackend}", .out = "{*pty:str}" },
    { .qmp = "query-qmp-schema", .out = "[SchemaInfo]" },
    { 0 },
};

void foreach_command(bool (*fn)(const MonCommand *c, void *opaque), void *opaque)
{
    for (const MonCommand *c = rows; c->qmp; c++)
        fn(c, opaque);
}

bool mon_register(Monitor *mon, const char *name, uint64_t *value, GError **err)
{
    *value = 0x1234;
    return !strcmp(name, "eax") || error_set(err, "unknown register");
}

/* ---- The stream ---- */

typedef struct Got { unsigned values, errors; char *last; } Got;

static void on_value(void *opaque, json_t *v, const char *why)
{
    Got *g = opaque;

    ck_assert((v != NULL) != (why != NULL));
    g->values += v != NULL;
    g->errors += v == NULL;
    g_free(g->last);
    g->last = v ? json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT) : g_strdup(why);
    json_decref(v);
}

static void expect(const char *in, unsigned values, unsigned errors, const char *last)
{
    Got whole = { 0 }, bytes = { 0 };
    JsonStream s;

    json_stream_init(&s, on_value, &whole);
    json_stream_feed(&s, in, strlen(in));
    ck_assert_msg(whole.values == values && whole.errors == errors, "%s: %u values, %u errors", in, whole.values, whole.errors);
    if (last)
        ck_assert_str_eq(whole.last, last);
    json_stream_clear(&s);
    json_stream_init(&s, on_value, &bytes);
    for (const char *p = in; *p; p++)
        json_stream_feed(&s, p, 1);
    json_stream_clear(&s);
    ck_assert(bytes.values == whole.values && bytes.errors == whole.errors && !g_strcmp0(bytes.last, whole.last));
    g_free(whole.last);
    g_free(bytes.last);
}

START_TEST(test_stream)
{
    expect("{}", 1, 0, "{}");
    expect(" {\"a\":[1,{\"b\":\"}]\\\"\"}]}\r\n{}", 2, 0, "{}");
    expect("{'execute':'it\\'s \"x\"'}", 1, 0, "{\"execute\":\"it's \\\"x\\\"\"}");
    expect("{\"a\":1", 0, 0, NULL);
    expect("[]", 1, 0, "[]");
    expect("5 ", 1, 0, "5");
    expect("\"x\"", 1, 0, "\"x\"");
    expect("abc ", 0, 1, NULL);
    expect("}{}", 1, 1, "{}");
    expect("{\"a\":}{}", 1, 1, "{}");
    expect("{\"a\":1,\"a\":2}", 0, 1, "JSON parse error, duplicate object key");
    expect("[}{}", 1, 1, "{}");
    expect("{\"a\n{}", 1, 1, "{}");
    expect("\xff{}", 1, 1, "{}");
    expect("{\"execute\":\"x\xff{}", 1, 1, "{}");
    expect("{\"a\":\"\xc3\"}{}", 1, 1, "{}");
    expect("{\"a\":\"\xc3\xa9\"}", 1, 0, "{\"a\":\"\303\251\"}");
    expect("[99999999999999999999]{}", 1, 1, "{}");
    expect("/{}", 1, 1, "{}");
}
END_TEST

START_TEST(test_limits)
{
    Got g = { 0 };
    JsonStream s;
    char *big = g_malloc(1 << 20);

    json_stream_init(&s, on_value, &g);
    for (int i = 0; i < JSON_STREAM_MAX_DEPTH; i++)
        json_stream_feed(&s, "[", 1);
    ck_assert_int_eq(g.errors, 0);
    json_stream_feed(&s, "[", 1);
    ck_assert_str_eq(g.last, "JSON parse error, nesting limit exceeded");
    json_stream_feed(&s, "]]]]]\n{}", 8);
    ck_assert_int_eq(g.errors, 1);
    ck_assert_int_eq(g.values, 1);
    memset(big, 'x', 1 << 20);
    json_stream_feed(&s, "[\"", 2);
    for (int i = 0; i <= JSON_STREAM_MAX_SIZE >> 20; i++)
        json_stream_feed(&s, big, 1 << 20);
    ck_assert_str_eq(g.last, "JSON parse error, token size limit exceeded");
    ck_assert_int_eq(g.errors, 2);
    memset(big, ',', 1 << 20);
    json_stream_feed(&s, "\n[0", 3);
    for (int i = 0; i < 3; i++)
        json_stream_feed(&s, big, 1 << 20);
    ck_assert_str_eq(g.last, "JSON parse error, token count limit exceeded");
    json_stream_feed(&s, "\n{}", 3);
    ck_assert_int_eq(g.values, 2);
    json_stream_clear(&s);
    g_free(g.last);
    g_free(big);
}
END_TEST

/* Whatever came before, after a 0xff and a new line the next request is understood. */
START_TEST(test_fuzz)
{
    static const char *const seeds[] = { "{\"execute\":\"query-status\",\"id\":[1,null,{\"a\":\"\\u0041\"}]}\n", "{}[]{'a':1.5e3}",
                                         "{\"execute\":\"human-monitor-command\",\"arguments\":{\"command-line\":\"info pci\"}}" };
    static const char alphabet[] = "{}[]\"'\\,:0123eE+-.tfn \n\xff\x80\x01/u";
    GRand *r = g_rand_new_with_seed(1);
    Got g = { 0 };
    JsonStream s;

    json_stream_init(&s, on_value, &g);
    for (int i = 0; i < 30000; i++) {
        char buf[256];
        size_t n = g_strlcpy(buf, seeds[i % 3], sizeof(buf));
        unsigned values;

        for (int k = g_rand_int_range(r, 0, 8); k > 0; k--) {
            size_t at = g_rand_int_range(r, 0, n);

            buf[at] = alphabet[g_rand_int_range(r, 0, sizeof(alphabet))];
            if (k & 1)
                n = at + 1;
        }
        json_stream_feed(&s, buf, n);
        json_stream_feed(&s, "\xff\n", 2);
        values = g.values;
        json_stream_feed(&s, "{\"execute\":\"x\"}", 15);
        ck_assert_int_eq(g.values, values + 1);
        ck_assert_str_eq(g.last, "{\"execute\":\"x\"}");
    }
    json_stream_clear(&s);
    g_free(g.last);
    g_rand_free(r);
}
END_TEST

/* ---- Types ---- */

static void check(const char *type, const char *value, const char *wrong)
{
    json_t *v = json_loads(value, 0, NULL);
    g_autoptr(GError) err = NULL;
    bool ok = qmp_check(type, v, &err);

    ck_assert_msg(ok == !wrong, "%s: %s", value, err ? err->message : "accepted");
    if (wrong)
        ck_assert_str_eq(err->message, wrong);
    json_decref(v);
}

START_TEST(test_types)
{
    const char *keys = rows[0].in;

    check(NULL, "{}", NULL);
    check(NULL, "{\"a\":1}", "Parameter 'a' is unexpected");
    check(keys, "{\"keys\":[{\"type\":\"number\",\"data\":1},{\"type\":\"qcode\",\"data\":\"a\"}]}", NULL);
    check(keys, "{}", "Parameter 'keys' is missing");
    check(keys, "{\"keys\":5}", "Invalid parameter type for 'keys', expected: array");
    check(keys, "{\"keys\":[{\"type\":\"number\"}]}", "Parameter 'keys[0].data' is missing");
    check(keys, "{\"keys\":[{\"type\":\"numbe\",\"data\":1}]}", "Parameter 'type' does not accept value 'numbe'");
    check(keys, "{\"keys\":[{\"type\":\"number\",\"data\":1},{\"type\":5}]}",
          "Invalid parameter type for 'keys[1].type', expected: string");
    check(keys, "{\"keys\":[],\"hold-time\":1.5}", "Invalid parameter type for 'hold-time', expected: integer");
    check(keys, "{\"keys\":[{\"type\":\"number\",\"data\":1,\"x\":1}]}", "Parameter 'keys[0].x' is unexpected");
    check(rows[2].in, "{\"driver\":\"e1000\",\"anything\":{\"x\":1}}", NULL);
    check(rows[2].in, "{\"driver\":1}", "Invalid parameter type for 'driver', expected: string");
    check("{a:(str / {b:int})}", "{\"a\":{\"b\":1}}", NULL);
    check("{a:(str / {b:int})}", "{\"a\":1}", "Invalid parameter type for 'a'");
    check(rows[4].in, "{\"id\":\"a\",\"backend\":{\"type\":\"socket\","
          "\"data\":{\"addr\":{\"type\":\"unix\",\"data\":{\"path\":\"/x\"}}}}}", NULL);
}
END_TEST

/* Every type that is referred to is listed, once. */
START_TEST(test_schema)
{
    json_t *all = qmp_schema(), *o, *m;
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
    size_t i, k;

    json_array_foreach(all, i, o)
        ck_assert_msg(g_hash_table_add(names, (char *)arg_str(o, "name")), "%s is there twice", arg_str(o, "name"));
    json_array_foreach(all, i, o) {
        static const char *const refs[] = { "arg-type", "ret-type", "element-type" };

        for (unsigned r = 0; r < 3; r++)
            ck_assert(!arg_str(o, refs[r]) || g_hash_table_contains(names, arg_str(o, refs[r])));
        json_array_foreach(json_object_get(o, "members"), k, m)
            ck_assert(!arg_str(m, "type") || g_hash_table_contains(names, arg_str(m, "type")));
        json_array_foreach(json_object_get(o, "variants"), k, m)
            ck_assert(g_hash_table_contains(names, arg_str(m, "type")));
    }
    ck_assert(g_hash_table_contains(names, "device_add") && g_hash_table_contains(names, "SHUTDOWN"));
    /* and it is of the type that it says it is */
    m = json_pack("{s:o}", "all", all);
    ck_assert(qmp_check("{all:[SchemaInfo]}", m, NULL));
    json_decref(m);
}
END_TEST

/* ---- Expressions ---- */

static void calc(const char *text, int64_t value, const char *wrong)
{
    const char *p = text;
    GError *err = NULL;
    int64_t v = 0;
    bool ok = hmp_expr(NULL, &p, &v, &err);

    ck_assert_msg(ok == !wrong, "%s", text);
    if (ok)
        ck_assert_msg(v == value, "%s is %lld", text, (long long)v);
    else
        ck_assert_str_eq(err->message, wrong);
    g_clear_error(&err);
}

START_TEST(test_expr)
{
    calc("1+2*3", 7, NULL);
    calc("(1+2)*3 - -4", 13, NULL);
    calc("1|2&3^1", 2, NULL);
    calc("~0", -1, NULL);
    calc("'a' + $eax", 0x1234 + 'a', NULL);
    calc("0x10 / 010 % 3", 2, NULL);
    calc("0x8000000000000000 / -1", INT64_MIN, NULL);
    calc("0x8000000000000000 % -1", 0, NULL);
    calc("1/0", 0, "division by zero");
    calc("", 0, "unexpected end of expression");
    calc("1+", 0, "unexpected end of expression");
    calc("(1", 0, "')' expected");
    calc("!1", 0, "invalid char '!' in expression");
    calc("$foo", 0, "unknown register");
    calc("'ab'", 0, "missing terminating ' character");
    calc("'", 0, "character constant expected");
    calc("99999999999999999999", 0, "number too large");
    calc("((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((1", 0, "expression nested too deeply");
}
END_TEST

/* ---- Line editing ---- */

typedef struct Term { GString *out, *lines; Readline *rl; } Term;

static void t_print(void *o, const char *s)
{
    g_string_append(((Term *)o)->out, s);
}

static void t_flush(void *o)
{
}

static void t_line(void *o, const char *line)
{
    g_string_append_printf(((Term *)o)->lines, "%s|", line);
}

static void t_complete(void *o, const char *begun)
{
    static const char *const words[] = { "system_reset", "system_powerdown", "quit", NULL };
    Term *t = o;

    readline_set_word(t->rl, strlen(begun));
    for (int i = 0; words[i]; i++) {
        if (g_str_has_prefix(words[i], begun))
            readline_add_completion(t->rl, words[i]);
    }
}

static void type(const char *keys, const char *lines)
{
    static const ReadlineOps ops = { t_print, t_flush, t_line, t_complete };
    Term t = { g_string_new(NULL), g_string_new(NULL), NULL };

    t.rl = readline_new(&ops, &t, "> ");
    readline_show_prompt(t.rl);
    for (; *keys; keys++)
        readline_byte(t.rl, *keys);
    ck_assert_str_eq(t.lines->str, lines);
    readline_free(t.rl);
    g_string_free(t.out, true);
    g_string_free(t.lines, true);
}

START_TEST(test_readline)
{
    type("abc\r", "abc|");
    type("bc\001a\005d\r", "abcd|");
    type("abd\002c\r", "abcd|");
    type("abx\033[D\033[3~\r", "ab|");
    type("one two\027three\r", "one three|");
    type("abc\025x\r", "x|");
    type("abc\001\013x\r", "x|");
    type("a\rb\r\020\020\r", "a|b|a|");
    type("a\rb\rnew\033[A\033[A\033[B\033[B\r", "a|b|new|");
    type("q\t\r", "quit |");
    type("sy\tr\t\r", "system_reset |");
    type("x\177y\b\b\b\bz\n", "z|");
    type("a\033[Hb\033[Fc\033OD!\r", "ba!c|");
    type("\033[999999999999999C\033[1;5Dx\r", "x|");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("qmp");
    TCase *t = tcase_create("qmp");
    SRunner *r;
    int failed;

    tcase_set_timeout(t, 30);
    tcase_add_test(t, test_stream);
    tcase_add_test(t, test_limits);
    tcase_add_test(t, test_fuzz);
    tcase_add_test(t, test_types);
    tcase_add_test(t, test_schema);
    tcase_add_test(t, test_expr);
    tcase_add_test(t, test_readline);
    suite_add_tcase(s, t);
    r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
