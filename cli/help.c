/* "help" as an option's argument, or among its items: what it can be told. Nothing else of the command line counts then. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include "chardev/char.h"
#include "cli/cli.h"
#include "hw/core/hostmem.h"
#include "net/net.h"
#include "util/error.h"

/* "name=TYPE" of each parameter: b on/off, n number, s text, z size. */
static const struct { const char *option, *title, *params; } tables[] = {
    { "boot", "boot-opts", "menu=b once=s order=s reboot-timeout=n splash-time=n splash=s strict=b" },
    { "smp", "smp-opts", "clusters=n cores=n cpus=n dies=n maxcpus=n sockets=n threads=n" },
    { "rtc", "rtc", "base=s clock=s driftfix=s" },
    { "global", "global", "driver=s property=s value=s" },
    { "action", "action", "panic=s reboot=s shutdown=s watchdog=s" },
    { "chardev", "chardev", "abstract=b append=b backend=s chardev=s cols=n delay=b fd=s height=n host=s ipv4=b ipv6=b localaddr=s "
      "localport=s logappend=b logfile=s mux=b name=s nodelay=b path=s port=s reconnect=n rows=n server=b signal=b size=z "
      "telnet=b tight=b to=n wait=b width=n" },
};

static bool wants_help(Opts *o, const char *implied)
{
    const char *first = implied ? opts_get(o, implied) : NULL;

    return opts_has(o, "help") || opts_has(o, "?") || (first && (!strcmp(first, "help") || !strcmp(first, "?")));
}

static void print_table(const char *title, const char *params)
{
    g_auto(GStrv) p = g_strsplit(params, " ", -1);

    printf("%s options:\n", title);
    for (char **s = p; *s; s++) {
        char *eq = strchr(*s, '=');
        const char *type = eq[1] == 'b' ? "bool (on/off)" : eq[1] == 'n' ? "num" : eq[1] == 'z' ? "size" : "str";

        printf("  %.*s=<%s>\n", (int)(eq - *s), *s, type);
    }
}

static bool help_device(Opts *o, GString *out, GError **err)
{
    const char *driver = opts_get(o, "driver");

    if (!driver || !wants_help(o, "driver"))
        return true;
    if (!strcmp(driver, "help") || !strcmp(driver, "?"))
        device_list_help(out);
    else
        return device_type_help(driver, out, err);
    return true;
}

void cli_print_property(const Property *p, GString *out)
{
    g_autofree char *head = g_strdup_printf("%s=<%s>", p->name, p->type_name);

    g_string_append_printf(out, p->help ? "  %-22s - %s\n" : "  %s\n", head, p->help);
}

static void object_list_help(GString *out)
{
    g_string_append(out, "List of user creatable objects:\n");
    for (const char *const *t = net_filter_types; *t; t++)
        g_string_append_printf(out, "  %s\n", *t);
    for (const char *const *t = hostmem_types; *t; t++)
        g_string_append_printf(out, "  %s\n", *t);
}

static bool object_type_help(const char *type, GString *out, GError **err)
{
    if (net_filter_is_type(type)) {
        net_filter_help(type, out);
        return true;
    }
    if (!hostmem_is_type(type))
        return error_set(err, "-object %s,help: Parameter 'qom-type' does not accept value '%s'", type, type);
    g_string_append_printf(out, "%s options:\n", type);
    for (const Property *p = hostmem_props(type); p->name; p++)
        cli_print_property(p, out);
    return true;
}

static bool help_object(Opts *o, GString *out, GError **err)
{
    const char *type = opts_get(o, "qom-type");

    if (!type || !wants_help(o, "qom-type"))
        return true;
    if (!strcmp(type, "help") || !strcmp(type, "?"))
        object_list_help(out);
    else
        return object_type_help(type, out, err);
    return true;
}

static bool help_chardev(Opts *o, GString *out)
{
    const char *backend = opts_get(o, "backend");

    if (!backend || (strcmp(backend, "help") && strcmp(backend, "?")))
        return false;
    chr_print_types(out);
    return true;
}

json_t *cli_command_line_options(const char *option, GError **err)
{
    static const struct { char c; const char *name; } types[] = { { 'b', "boolean" }, { 'n', "number" }, { 's', "string" }, { 'z', "size" } };
    json_t *out = json_array();

    for (size_t i = 0; i < G_N_ELEMENTS(tables); i++) {
        g_auto(GStrv) p = g_strsplit(tables[i].params, " ", -1);
        json_t *params;

        if (option && *option && strcmp(option, tables[i].title))
            continue;
        params = json_array();
        for (char **s = p; *s; s++) {
            char *eq = strchr(*s, '=');

            for (size_t k = 0; k < G_N_ELEMENTS(types); k++) {
                if (types[k].c == eq[1])
                    json_array_append_new(params, json_pack("{s:s%,s:s}", "name", *s, (size_t)(eq - *s), "type", types[k].name));
            }
        }
        json_array_append_new(out, json_pack("{s:s,s:o}", "option", tables[i].title, "parameters", params));
    }
    if (option && *option && !json_array_size(out)) {
        json_decref(out);
        error_set(err, "invalid option name: %s", option);
        return NULL;
    }
    return out;
}

bool cli_help(Cli *c, const char *option, const char *arg, GError **err)
{
    bool device = !strcmp(option, "device"), object = !strcmp(option, "object"), chardev = !strcmp(option, "chardev");
    g_autoptr(GString) out = g_string_new(NULL);
    g_autoptr(Opts) o = NULL;
    bool ok = true;

    if (*arg == '{' || !(strstr(arg, "help") || strchr(arg, '?')))
        return true;
    o = opts_parse(arg, device ? "driver" : object ? "qom-type" : chardev ? "backend" : "", NULL);
    if (!o)
        return true;
    if (device)
        ok = help_device(o, out, err);
    else if (object)
        ok = help_object(o, out, err);
    if (out->len || (chardev && help_chardev(o, out))) {
        fputs(out->str, stdout);
        c->exit = true;
        return ok;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(tables); i++) {
        if (!strcmp(tables[i].option, option) && wants_help(o, "")) {
            print_table(tables[i].title, tables[i].params);
            c->exit = true;
        }
    }
    return ok;
}
