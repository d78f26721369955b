/*
 * -readconfig and -writeconfig: options in an INI file, a section an option.
 *
 *     [drive "d0"]
 *       file = "disk.qcow2"
 *       if = "none"
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "cli/cli.h"
#include "util/error.h"

/* Options whose argument is a list of parameters; others have no place in such a file. */
static const struct Group { const char *name, *option, *implied; } groups[] = {
    { "drive", "drive", NULL }, { "chardev", "chardev", "backend" }, { "device", "device", "driver" }, { "netdev", "netdev", "type" },
    { "global", "global", NULL }, { "machine", "machine", "type" }, { "accel", "accel", "accel" }, { "smp-opts", "smp", "cpus" },
    { "memory", "m", "size" }, { "boot-opts", "boot", "order" }, { "rtc", "rtc", "base" }, { "name", "name", "guest" },
    { "mon", "mon", "chardev" }, { "object", "object", "qom-type" }, { "fw_cfg", "fw_cfg", "name" }, { "smbios", "smbios", NULL },
    { "action", "action", NULL }, { "numa", "numa", "type" },
};

static const struct Group *group_of(const char *name, bool by_option)
{
    for (size_t i = 0; i < G_N_ELEMENTS(groups); i++)
        if (!strcmp(by_option ? groups[i].option : groups[i].name, name))
            return &groups[i];
    return NULL;
}

static void append_escaped(GString *s, const char *v)
{
    for (; *v; v++)
        g_string_append(s, *v == ',' ? ",," : (char[]){ *v, 0 });
}

typedef struct Section { char *name; GString *text; int line; } Section;

static bool finish(Cli *c, Section *s, const char *file, GError **err)
{
    bool ok = true;

    if (s->name) {
        ok = cli_option(c, group_of(s->name, false)->option, s->text->str, err);
        if (!ok)
            g_prefix_error(err, "%s:%d: ", file, s->line);
    }
    g_clear_pointer(&s->name, g_free);
    g_string_truncate(s->text, 0);
    return ok;
}

static bool begin(Section *s, const char *line, const char *file, GError **err)
{
    g_autofree char *name = g_strdup(line + 1);
    char *end = strrchr(name, ']'), *quote, *close;

    if (!end)
        return error_set(err, "%s:%d: a section begins with [NAME] or [NAME \"ID\"]", file, s->line);
    *end = 0;
    quote = strchr(name, '"');
    close = quote ? strrchr(quote + 1, '"') : NULL;
    if (quote) {
        if (!close)
            return error_set(err, "%s:%d: the quotes are not closed", file, s->line);
        *quote = *close = 0;
        g_string_append(s->text, "id=");
        append_escaped(s->text, quote + 1);
    }
    g_strstrip(name);
    if (!group_of(name, false)) {
        const char *names[G_N_ELEMENTS(groups) + 1] = { 0 };
        g_autofree char *hint = NULL;

        for (size_t i = 0; i < G_N_ELEMENTS(groups); i++)
            names[i] = groups[i].name;
        hint = nearest_hint(name, names);
        return error_set(err, "%s:%d: there is no group '%s'%s", file, s->line, name, hint);
    }
    s->name = g_strdup(name);
    return true;
}

static bool setting(Section *s, char *line, const char *file, GError **err)
{
    char *eq = strchr(line, '='), *value;

    if (!eq || !s->name)
        return error_set(err, s->name ? "%s:%d: expected NAME = \"VALUE\"" : "%s:%d: no group defined", file, s->line);
    *eq = 0;
    value = g_strstrip(eq + 1);
    g_strstrip(line);
    if (*value == '"') {
        char *end = strrchr(++value, '"');

        if (!end)
            return error_set(err, "%s:%d: the quotes are not closed", file, s->line);
        *end = 0;
    }
    g_string_append_printf(s->text, "%s%s=", s->text->len ? "," : "", line);
    append_escaped(s->text, value);
    return true;
}

bool cli_read_config(Cli *c, const char *option, const char *arg, GError **err)
{
    g_autoptr(GError) local = NULL;
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    Section s = { NULL, g_string_new(NULL), 0 };
    bool ok = true;

    if (!g_file_get_contents(arg, &text, NULL, &local)) {
        g_string_free(s.text, true);
        return error_set(err, "-readconfig %s: %s", arg, error_file_reason(local));
    }
    lines = g_strsplit(text, "\n", -1);
    for (char **l = lines; ok && *l; l++) {
        char *line = g_strstrip(*l);
        int at = l - lines + 1;

        if (!*line || *line == '#')
            continue;
        if (*line == '[') {
            ok = finish(c, &s, arg, err);
            s.line = at;
            ok = ok && begin(&s, line, arg, err);
        } else {
            int first = s.line;

            s.line = at;
            ok = setting(&s, line, arg, err);
            s.line = first;
        }
    }
    ok = ok && finish(c, &s, arg, err);
    g_free(s.name);
    g_string_free(s.text, true);
    return ok;
}

/* ---- -writeconfig ---- */

static void write_setting(FILE *f, const char *name, const char *value)
{
    fprintf(f, "  %s = \"%s\"\n", name, value);
}

static void write_global(FILE *f, const char *text)
{
    const char *dot = strchr(text, '.'), *eq = dot ? strchr(dot, '=') : NULL;
    g_autofree char *driver = NULL, *prop = NULL;

    if (!eq)
        return;
    driver = g_strndup(text, dot - text);
    prop = g_strndup(dot + 1, eq - dot - 1);
    fprintf(f, "[global]\n");
    write_setting(f, "driver", driver);
    write_setting(f, "property", prop);
    write_setting(f, "value", eq + 1);
    fprintf(f, "\n");
}

static void write_group(FILE *f, const struct Group *g, const char *text)
{
    g_autoptr(Opts) o = opts_parse(text, g->implied, NULL);
    const char *id = o ? opts_get(o, "id") : NULL;

    if (!o)
        return;
    if (!strcmp(g->name, "global") && !g_str_has_prefix(text, "driver=")) {
        write_global(f, text);
        return;
    }
    fprintf(f, id ? "[%s \"%s\"]\n" : "[%s]\n", g->name, id);
    for (unsigned i = 0; i < o->list->len; i++) {
        const Opt *item = &g_array_index(o->list, Opt, i);

        if (strcmp(item->name, "id"))
            write_setting(f, item->name, item->value);
    }
    fprintf(f, "\n");
}

/* The options of old that are short for one with parameters; NULL: none. */
static const struct Group *long_form(const char *option, const char *arg, char **text)
{
    static const struct { const char *name, *group, *more; } old[] = {
        { "M", "machine", NULL }, { "enable-kvm", "accel", NULL }, { "hda", "drive", "index=0,media=disk" },
        { "hdb", "drive", "index=1,media=disk" }, { "hdc", "drive", "index=2,media=disk" }, { "hdd", "drive", "index=3,media=disk" },
        { "cdrom", "drive", "index=2,media=cdrom" }, { "fda", "drive", "if=floppy,index=0" }, { "fdb", "drive", "if=floppy,index=1" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(old); i++) {
        g_autoptr(GString) file = g_string_new(NULL);

        if (strcmp(old[i].name, option))
            continue;
        append_escaped(file, arg ? arg : "kvm");
        *text = old[i].more ? g_strdup_printf("file=%s,%s", file->str, old[i].more) : g_strdup(arg ? arg : "kvm");
        return group_of(old[i].group, false);
    }
    *text = g_strdup(arg);
    return group_of(option, true);
}

/* What has no group is there as a comment. */
static void write_option(FILE *f, const char *name, const char *arg)
{
    g_autofree char *text = NULL;
    const struct Group *g = long_form(name, arg, &text);

    if (g)
        write_group(f, g, text);
    else if (strcmp(name, "writeconfig"))
        fprintf(f, "# -%s%s%s has no group\n\n", name, arg ? " " : "", arg ? arg : "");
}

bool cli_write_config(Cli *c, const char *file, int argc, char **argv, GError **err)
{
    FILE *f = strcmp(file, "-") ? fopen(file, "we") : stdout;
    bool ok;

    if (!f)
        return error_set_errno(err, errno, "-writeconfig %s", file);
    fprintf(f, "# vmemu config file\n\n");
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i] + (g_str_has_prefix(argv[i], "--") ? 2 : 1);

        if (argv[i][0] != '-' || !argv[i][1])
            write_option(f, "hda", argv[i]);
        else if (!cli_takes_argument(name))
            write_option(f, name, NULL);
        else if (i + 1 < argc)
            write_option(f, name, argv[++i]);
    }
    ok = !ferror(f) && (f == stdout ? fflush(f) : fclose(f)) == 0;
    return ok || error_set_errno(err, errno, "-writeconfig %s", file);
}
