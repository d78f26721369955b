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
static const char *const sections[] = { "drive", "chardev", "device", "netdev", "global", "machine", "accel", "smp-opts",
                                        "memory", "boot-opts", "rtc", "name", "mon", "object", "fw_cfg", "smbios", "action", NULL };

static const char *option_of(const char *section)
{
    if (!strcmp(section, "smp-opts"))
        return "smp";
    if (!strcmp(section, "boot-opts"))
        return "boot";
    return !strcmp(section, "memory") ? "m" : section;
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
        ok = cli_option(c, option_of(s->name), s->text->str, err);
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
    const char *near;

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
    if (!g_strv_contains(sections, name)) {
        near = nearest_name(name, sections);
        return error_set(err, "%s:%d: there is no group '%s'%s%s%s", file, s->line, name, near ? " (did you mean '" : "",
                         near ? near : "", near ? "'?)" : "");
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

static void write_section(FILE *f, const char *section, const char *text)
{
    g_autoptr(Opts) o = opts_parse(text, !strcmp(section, "device") ? "driver" : !strcmp(section, "machine") ? "type" :
                                   !strcmp(section, "chardev") ? "backend" : !strcmp(section, "boot-opts") ? "order" :
                                   !strcmp(section, "smp-opts") ? "cpus" : !strcmp(section, "memory") ? "size" : NULL, NULL);
    const char *id = o ? opts_get(o, "id") : NULL;

    if (!o)
        return;
    fprintf(f, id ? "[%s \"%s\"]\n" : "[%s]\n", section, id);
    for (unsigned i = 0; i < o->list->len; i++) {
        const Opt *item = &g_array_index(o->list, Opt, i);

        if (strcmp(item->name, "id"))
            fprintf(f, "  %s = \"%s\"\n", item->name, item->value);
    }
    fprintf(f, "\n");
}

bool cli_write_config(Cli *c, const char *file, int argc, char **argv, GError **err)
{
    FILE *f = strcmp(file, "-") ? fopen(file, "we") : stdout;
    bool ok;

    if (!f)
        return error_set_errno(err, errno, "-writeconfig %s", file);
    fprintf(f, "# vmemu config file\n\n");
    for (int i = 1; i + 1 < argc; i++) {
        const char *name = argv[i] + (g_str_has_prefix(argv[i], "--") ? 2 : 1);

        for (const char *const *s = sections; argv[i][0] == '-' && *s; s++)
            if (!strcmp(option_of(*s), name))
                write_section(f, *s, argv[i + 1]);
    }
    ok = !ferror(f) && (f == stdout ? fflush(f) : fclose(f)) == 0;
    return ok || error_set_errno(err, errno, "-writeconfig %s", file);
}
