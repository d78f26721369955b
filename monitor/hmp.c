/*
 * HMP: command lines, their arguments, help and completion.
 *
 * A command's arguments are described as "name:type name:type?"; ? may be absent. What was given becomes a JSON object.
 *   str      a word, or a string in double quotes         path   the same, a file name
 *   dev      the same, a drive                            line   the rest of the line
 *   expr     an expression, 64 bits                       int    the same, 32 bits
 *   mb       an expression, in MiB                        size   "1.5G"
 *   bool     on or off                                    fmt    /8xb: gives count, format and size
 *   -f       a flag; flags stand together                 -f=str a flag with a word
 */
#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "block/block.h"
#include "hw/core/machine.h"
#include "monitor/monitor-int.h"

typedef struct ArgSpec {
    char name[32], type[12];
    bool optional;
} ArgSpec;

static bool next_spec(const char **args, ArgSpec *a)
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

static void skip_spaces(const char **p)
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

    skip_spaces(p);
    if (**p == '"')
        return quoted(mon, p);
    for (s = *p; **p && !g_ascii_isspace(**p); ++*p)
        ;
    return *p == s ? NULL : g_strndup(s, *p - s);
}

/* ---- One argument each ---- */

static bool parse_word(Monitor *mon, const MonCommand *c, const ArgSpec *a, const char **p, json_t *args, GError **err)
{
    const char *what = !strcmp(a->type, "path") ? "filename" : !strcmp(a->type, "dev") ? "block device name" : "string";
    const char *short_name = g_str_has_prefix(c->name, "info ") ? c->name + 5 : c->name;
    g_autofree char *w = NULL;

    skip_spaces(p);
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

static bool parse_line(const ArgSpec *a, const char **p, json_t *args, GError **err)
{
    g_autofree char *s = NULL;

    skip_spaces(p);
    if (!**p && a->optional)
        return true;
    s = g_strchomp(g_strdup(*p));
    *p += strlen(*p);
    if (!g_utf8_validate(s, -1, NULL))
        return error_set(err, "not UTF-8");
    json_object_set_new(args, a->name, json_string(s));
    return true;
}

static bool parse_number(Monitor *mon, const MonCommand *c, const ArgSpec *a, const char **p, json_t *args, GError **err)
{
    int64_t v;

    skip_spaces(p);
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
static bool parse_size(const ArgSpec *a, const char **p, json_t *args, GError **err)
{
    static const char suffixes[] = "bkmgtpe";
    const char *s;
    char *end;
    double v;

    skip_spaces(p);
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

static bool parse_bool(Monitor *mon, const ArgSpec *a, const char **p, json_t *args, GError **err)
{
    const char *s;
    size_t n;

    skip_spaces(p);
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

    skip_spaces(p);
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

static bool find_flag(const char *specs, char flag, ArgSpec *a)
{
    while (next_spec(&specs, a)) {
        if (a->type[0] == '-' && a->type[1] == flag)
            return true;
    }
    return false;
}

/* All flags that stand here. */
static bool parse_flags(Monitor *mon, const MonCommand *c, const char **p, json_t *args, GError **err)
{
    const char *short_name = g_str_has_prefix(c->name, "info ") ? c->name + 5 : c->name;
    ArgSpec a;

    for (skip_spaces(p); **p == '-'; skip_spaces(p)) {
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

static bool parse_arg(Monitor *mon, const MonCommand *c, const ArgSpec *a, const char **p, json_t *args, GError **err)
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

static json_t *parse_args(Monitor *mon, const MonCommand *c, const char *p, GError **err)
{
    const char *specs = c->args;
    json_t *args = json_object();
    ArgSpec a;

    while (next_spec(&specs, &a)) {
        if (!parse_arg(mon, c, &a, &p, args, err)) {
            json_decref(args);
            return NULL;
        }
    }
    skip_spaces(&p);
    if (!*p)
        return args;
    error_set(err, "%s: extraneous characters at the end of line", g_str_has_prefix(c->name, "info ") ? c->name + 5 : c->name);
    json_decref(args);
    return NULL;
}

/* ---- Commands ---- */

bool hmp_name_matches(const char *names, const char *name, size_t len)
{
    for (;;) {
        size_t n = strcspn(names, "|");

        if (n == len && !memcmp(names, name, n))
            return true;
        if (!names[n])
            return false;
        names += n + 1;
    }
}

typedef struct Find { const char *name; size_t len; const MonCommand *found; } Find;

static bool find_one(const MonCommand *c, void *opaque)
{
    Find *f = opaque;

    if (c->name && hmp_name_matches(c->name, f->name, f->len))
        f->found = c;
    return !f->found;
}

static const MonCommand *find_command(const char *name, size_t len)
{
    Find f = { name, len, NULL };

    foreach_command(find_one, &f);
    return f.found;
}

static void sink_to_monitor(void *opaque, const char *line)
{
    mon_printf(opaque, "%s\n", line);
}

static void run(Monitor *mon, const MonCommand *c, json_t *args)
{
    GError *err = NULL;

    error_set_sink(sink_to_monitor, mon);
    if (c->print) {
        c->print(mon, args);
    } else {
        json_decref(c->run(mon, args, &err));
        if (err)
            mon_print_error(mon, err);
    }
    error_set_sink(NULL, NULL);
}

/* Pages of info that devices and buses offer; these are there in any machine, and say so when nobody offers them. */
static const struct { const char *name, *help, *absent; } pages[] = {
    { "irq", "show the interrupts statistics (if available)", "" },
    { "pci", "show PCI info", "" },
    { "pic", "show PIC state", "" },
    { "usb", "show guest USB devices", "Error: USB support not enabled\n" },
    { "usbhost", "show host USB devices", "Command \"info usbhost\" is not available.\n" },
    { "vm-generation-id", "Show Virtual Machine Generation ID", "Error: VM Generation ID device not found\n" },
};

static bool run_machine_info(Monitor *mon, const char *name, bool more)
{
    GString *out = g_string_new(NULL);
    bool ok = machine_print_info(mon_machine, name, out);

    for (unsigned i = 0; !ok && i < G_N_ELEMENTS(pages); i++) {
        ok = !strcmp(pages[i].name, name);
        if (ok)
            g_string_append(out, pages[i].absent);
    }
    if (ok && more)
        mon_printf(mon, "%s: extraneous characters at the end of line\nTry \"help info %s\" for more information\n", name, name);
    else
        mon_puts(mon, out->str);
    g_string_free(out, true);
    return ok;
}

static size_t name_length(const char *p)
{
    size_t n = 0;

    while (p[n] && p[n] != '/' && !g_ascii_isspace(p[n]))
        n++;
    return n;
}

void hmp_run_line(Monitor *mon, const char *line)
{
    g_autofree char *typed = NULL;
    const MonCommand *c;
    GError *err = NULL;
    json_t *args;
    size_t n;

    skip_spaces(&line);
    n = name_length(line);
    if (!*line)
        return;
    typed = g_strndup(line, n);
    line += n;
    skip_spaces(&line);
    if (!strcmp(typed, "info") && *line) {
        g_autofree char *sub = g_strndup(line, name_length(line));

        line += strlen(sub);
        g_free(typed);
        typed = g_strconcat("info ", sub, NULL);
        skip_spaces(&line);
        if (!find_command(typed, strlen(typed)) && run_machine_info(mon, sub, *line))
            return;
    }
    c = find_command(typed, strlen(typed));
    if (!c) {
        mon_printf(mon, "unknown command: '%s'\n", typed);
        return;
    }
    args = parse_args(mon, c, line, &err);
    if (!args) {
        mon_printf(mon, "%s\nTry \"help %s\" for more information\n", err->message, typed);
        g_error_free(err);
        return;
    }
    run(mon, c, args);
    json_decref(args);
}

char *monitor_hmp(const char *line, int cpu)
{
    Monitor *mon = monitor_new_memory(cpu);
    char *s;

    hmp_run_line(mon, line);
    s = g_strdup(mon->out->str);
    monitor_free(mon);
    return s;
}

/* ---- Help ---- */

typedef struct HelpRow { const char *name, *params, *help; } HelpRow;

static int by_name(const void *a, const void *b)
{
    return strcmp(((const HelpRow *)a)->name, ((const HelpRow *)b)->name);
}

static void add_info_row(const InfoRow *row, void *opaque)
{
    HelpRow h = { row->name, "", row->help };

    for (unsigned i = 0; i < G_N_ELEMENTS(pages); i++) {
        if (!strcmp(pages[i].name, row->name))
            return;
    }
    g_array_append_val((GArray *)opaque, h);
}

static void add_pages(GArray *rows)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(pages); i++) {
        HelpRow h = { pages[i].name, "", pages[i].help };

        g_array_append_val(rows, h);
    }
    machine_foreach_info(mon_machine, add_info_row, rows);
}

typedef struct HelpRows { GArray *rows; bool info; } HelpRows;

static bool add_help_row(const MonCommand *c, void *opaque)
{
    HelpRows *r = opaque;
    HelpRow h = { c->name, c->params ? c->params : "", c->help };

    if (!c->name || g_str_has_prefix(c->name, "info ") != r->info)
        return true;
    h.name += r->info ? 5 : 0;
    g_array_append_val(r->rows, h);
    return true;
}

/* The rows of the commands, or of info's pages. */
static GArray *help_rows(bool info)
{
    HelpRows r = { g_array_new(false, false, sizeof(HelpRow)), info };

    foreach_command(add_help_row, &r);
    if (info)
        add_pages(r.rows);
    g_array_sort(r.rows, by_name);
    return r.rows;
}

static bool print_help(Monitor *mon, bool info, const char *only)
{
    GArray *rows = help_rows(info);
    bool any = false;

    for (unsigned i = 0; i < rows->len; i++) {
        HelpRow *h = &g_array_index(rows, HelpRow, i);

        if (only && !hmp_name_matches(h->name, only, strlen(only)))
            continue;
        mon_printf(mon, "%s%s %s -- %s\n", info ? "info " : "", h->name, h->params, h->help ? h->help : "");
        any = true;
    }
    g_array_unref(rows);
    return any;
}

void hmp_help(Monitor *mon, const char *name)
{
    if (!name)
        print_help(mon, false, NULL);
    else if (!strcmp(name, "info"))
        print_help(mon, true, NULL);
    else if (!(g_str_has_prefix(name, "info ") ? print_help(mon, true, name + 5) : print_help(mon, false, name)))
        mon_printf(mon, "unknown command: '%s'\n", name);
}

/* ---- Completion ---- */

static void add_word(void *opaque, const char *word)
{
    readline_add_completion(opaque, word);
}

void complete_from(const char *const *words, const char *begun, CompleteAdd *add, void *opaque)
{
    for (; *words; words++) {
        if (g_str_has_prefix(*words, begun))
            add(opaque, *words);
    }
}

static void complete_name(bool info, const char *begun, Readline *rl)
{
    GArray *rows = help_rows(info);

    readline_set_word(rl, strlen(begun));
    for (unsigned i = 0; i < rows->len; i++) {
        g_auto(GStrv) names = g_strsplit(g_array_index(rows, HelpRow, i).name, "|", -1);

        complete_from((const char *const *)names, begun, add_word, rl);
    }
    g_array_unref(rows);
}

static void complete_file(const char *begun, Readline *rl)
{
    const char *slash = strrchr(begun, '/'), *tail = slash ? slash + 1 : begun;
    g_autofree char *folder = slash ? g_strndup(begun, slash - begun + 1) : g_strdup("");
    DIR *d = opendir(*folder ? folder : ".");
    struct dirent *e;

    while (d && (e = readdir(d))) {
        g_autofree char *path = g_strconcat(folder, e->d_name, NULL);
        struct stat st;

        if (!g_str_has_prefix(e->d_name, tail) || (!*tail && e->d_name[0] == '.'))
            continue;
        if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
            g_autofree char *with_slash = g_strconcat(path, "/", NULL);

            readline_add_completion(rl, with_slash);
        } else {
            readline_add_completion(rl, path);
        }
    }
    if (d)
        closedir(d);
}

static void complete_drive(const char *begun, Readline *rl)
{
    for (BlockBackend *b = blk_next(NULL); b; b = blk_next(b)) {
        if (*blk_name(b) && g_str_has_prefix(blk_name(b), begun))
            readline_add_completion(rl, blk_name(b));
    }
}

/* Argument number nb (from 1) of c is being typed. */
static void complete_arg(const MonCommand *c, unsigned nb, const char *begun, Readline *rl)
{
    const char *specs = c->args;
    unsigned n = 0;
    ArgSpec a;

    readline_set_word(rl, strlen(begun));
    if (c->complete) {
        c->complete(nb, begun, add_word, rl);
        return;
    }
    while (next_spec(&specs, &a)) {
        if (a.type[0] == '-' || !strcmp(a.type, "fmt") || ++n < nb)
            continue;
        if (!strcmp(a.type, "path"))
            complete_file(begun, rl);
        else if (!strcmp(a.type, "dev"))
            complete_drive(begun, rl);
        return;
    }
}

void hmp_complete(Monitor *mon, const char *line, Readline *rl)
{
    g_auto(GStrv) words = NULL;
    g_autofree char *name = NULL, *flat = g_strdup(line);
    const MonCommand *c;
    unsigned n, first = 1, nb = 0;

    for (char *s = flat; *s; s++)
        *s = g_ascii_isspace(*s) ? ' ' : *s;
    words = g_strsplit(flat + strspn(flat, " "), " ", -1);
    n = g_strv_length(words);
    if (n < 2) {
        complete_name(false, n ? words[0] : "", rl);
        return;
    }
    /* "help X" completes as "X" does. */
    if (n == 2 && (!strcmp(words[0], "help") || !strcmp(words[0], "?"))) {
        complete_name(false, words[1], rl);
        return;
    }
    if (!strcmp(words[0], "info") || (!strcmp(words[0], "help") && !strcmp(words[1], "info"))) {
        first = words[0][0] == 'h' ? 2 : 1;
        if (n == first + 1) {
            complete_name(true, words[first], rl);
            return;
        }
        name = g_strconcat("info ", words[first++], NULL);
    } else {
        name = g_strdup(words[0]);
    }
    c = find_command(name, strlen(name));
    for (unsigned i = first; i < n; i++)
        nb += i == n - 1 || (*words[i] && *words[i] != '-' && *words[i] != '/');
    if (c)
        complete_arg(c, nb, words[n - 1], rl);
}
