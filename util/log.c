/* The log of -d and -D. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "util/error.h"
#include "util/log.h"

unsigned log_mask;
static FILE *log_file;

static const struct { const char *name, *help; unsigned bit; } items[] = {
    { "guest_errors", "log when the guest OS does something invalid (eg accessing a non-existent register)", LOG_GUEST_ERROR },
    { "unimp", "log unimplemented functionality", LOG_UNIMP },
    { "cpu_reset", "show CPU state before CPU resets", LOG_RESET },
    { "int", "show interrupts/exceptions in short format", LOG_INT },
    { "trace", "log device accesses", LOG_TRACE },
};

bool log_set_items(const char *list, GError **err)
{
    g_auto(GStrv) parts = g_strsplit(list, ",", -1);
    const char *names[G_N_ELEMENTS(items) + 1] = { 0 };
    unsigned mask = 0;

    for (char **p = parts; *p; p++) {
        size_t i;

        for (i = 0; i < G_N_ELEMENTS(items) && strcmp(*p, items[i].name); i++)
            names[i] = items[i].name;
        if (i < G_N_ELEMENTS(items)) {
            mask |= items[i].bit;
        } else if (!strcmp(*p, "all")) {
            mask = ~0u;
        } else if (strcmp(*p, "none")) {
            const char *near = nearest_name(*p, names);

            return error_set(err, "unknown log item '%s'%s%s%s; '-d help' lists them", *p,
                             near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
        }
    }
    log_mask = mask;
    return true;
}

bool log_set_file(const char *path, GError **err)
{
    FILE *f = fopen(path, "we");

    if (!f)
        return error_set_errno(err, errno, "cannot open log file '%s'", path);
    setvbuf(f, NULL, _IOLBF, 0);
    if (log_file)
        fclose(log_file);
    log_file = f;
    return true;
}

void log_list_items(GString *out)
{
    g_string_append(out, "Log items (comma separated):\n");
    for (size_t i = 0; i < G_N_ELEMENTS(items); i++)
        g_string_append_printf(out, "%-15s %s\n", items[i].name, items[i].help);
}

void log_printf(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vfprintf(log_file ? log_file : stderr, fmt, ap);
    va_end(ap);
}
