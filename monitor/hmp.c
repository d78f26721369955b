/* HMP: command lines, help and completion. Their arguments: hmp-args.c. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "block/block.h"
#include "hw/core/machine.h"
#include "monitor/monitor-int.h"

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

    hmp_skip_spaces(&line);
    n = name_length(line);
    if (!*line)
        return;
    typed = g_strndup(line, n);
    line += n;
    hmp_skip_spaces(&line);
    if (!strcmp(typed, "info") && *line) {
        g_autofree char *sub = g_strndup(line, name_length(line));

        line += strlen(sub);
        g_free(typed);
        typed = g_strconcat("info ", sub, NULL);
        hmp_skip_spaces(&line);
        if (!find_command(typed, strlen(typed)) && run_machine_info(mon, sub, *line))
            return;
    }
    c = find_command(typed, strlen(typed));
    if (!c) {
        mon_printf(mon, "unknown command: '%s'\n", typed);
        return;
    }
    args = hmp_parse_args(mon, c, line, &err);
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
    HmpArg a;

    readline_set_word(rl, strlen(begun));
    if (c->complete) {
        c->complete(nb, begun, add_word, rl);
        return;
    }
    while (hmp_next_arg(&specs, &a)) {
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
