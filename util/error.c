/* Configuration errors, messages to the user, nearest names. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "util/error.h"

static const char *program = "vmemu";
static bool plain_hints;
static __thread ErrorSink *thread_sink;
static __thread void *thread_sink_opaque;
static GString *held;       /* warnings, while they are held */

G_DEFINE_QUARK(vmemu-error, vmemu_error)

static void set_va(GError **err, ErrorClass c, const char *tail, const char *fmt, va_list ap)
{
    g_autofree char *s = g_strdup_vprintf(fmt, ap);

    g_set_error(err, vmemu_error_quark(), c, "%s%s%s", s, tail ? ": " : "", tail ? tail : "");
}

bool error_set(GError **err, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    set_va(err, ERR_GENERIC, NULL, fmt, ap);
    va_end(ap);
    return false;
}

bool error_set_class(GError **err, ErrorClass c, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    set_va(err, c, NULL, fmt, ap);
    va_end(ap);
    return false;
}

bool error_set_errno(GError **err, int errnum, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    set_va(err, ERR_GENERIC, g_strerror(abs(errnum)), fmt, ap);
    va_end(ap);
    return false;
}

const char *error_class_name(const GError *err)
{
    static const char *const names[] = { "GenericError", "CommandNotFound", "DeviceNotActive", "DeviceNotFound",
                                         "KVMMissingCap" };

    if (err->domain != vmemu_error_quark() || err->code < 0 || err->code >= (int)G_N_ELEMENTS(names))
        return names[0];
    return names[err->code];
}

void error_set_program(const char *argv0)
{
    const char *slash = strrchr(argv0, '/');

    program = slash ? slash + 1 : argv0;
}

void error_set_plain_hints(void)
{
    plain_hints = true;
}

const char *error_program(void)
{
    return program;
}

void error_set_sink(ErrorSink *sink, void *opaque)
{
    thread_sink = sink;
    thread_sink_opaque = opaque;
}

#define WARNING "warning: "

static void report(const char *kind, const char *fmt, va_list ap)
{
    g_autofree char *s = g_strdup_vprintf(fmt, ap);
    g_autofree char *line = NULL;

    if (thread_sink) {
        line = g_strconcat(kind, s, NULL);
        thread_sink(thread_sink_opaque, line);
        return;
    }
    for (char *at = s, *end; at; at = end) {        /* each line of a longer text is one of ours */
        end = strchr(at, '\n');
        if (end) {
            *end++ = 0;
        }
        if (held && !strcmp(kind, WARNING))
            g_string_append_printf(held, "%s: %s%s\n", program, kind, at);
        else if (plain_hints && at != s)
            fprintf(stderr, "%s\n", at);
        else
            fprintf(stderr, "%s: %s%s\n", program, kind, at);
    }
}

void warnings_hold(void)
{
    if (!held)
        held = g_string_new(NULL);
}

void warnings_release(bool print)
{
    GString *s = held;

    held = NULL;
    if (s && print)
        fputs(s->str, stderr);
    if (s)
        g_string_free(s, true);
}

void warn_text(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    if (held)
        g_string_append_vprintf(held, fmt, ap);
    else
        vfprintf(stderr, fmt, ap);
    va_end(ap);
}

void error_report(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    report("", fmt, ap);
    va_end(ap);
}

void warn_report(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    report(WARNING, fmt, ap);
    va_end(ap);
}

void info_report(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    report("info: ", fmt, ap);
    va_end(ap);
}

void error_report_err(GError *err)
{
    error_report("%s", err->message);
    g_error_free(err);
}

void error_report_line(const GError *err)
{
    g_auto(GStrv) lines = g_strsplit(err->message, "\n", -1);
    g_autofree char *line = g_strjoinv(": ", lines);

    error_report("%s", line);
}

const char *error_file_reason(const GError *err)
{
    const char *colon = strrchr(err->message, ':');

    return colon && colon[1] == ' ' ? colon + 2 : err->message;
}

/* Damerau-Levenshtein (optimal string alignment) distance, for strings under 64 characters. */
static unsigned edit_distance(const char *a, const char *b)
{
    unsigned d[3][65];
    size_t n = strlen(a), m = strlen(b);

    if (n > 64 || m > 64)
        return G_MAXUINT;
    for (size_t j = 0; j <= m; j++)
        d[0][j] = j;
    for (size_t i = 1; i <= n; i++) {
        unsigned *cur = d[i % 3], *last = d[(i + 2) % 3], *before = d[(i + 1) % 3];

        cur[0] = i;
        for (size_t j = 1; j <= m; j++) {
            cur[j] = MIN(MIN(last[j] + 1, cur[j - 1] + 1), last[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                cur[j] = MIN(cur[j], before[j - 2] + 1);
        }
    }
    return d[n % 3][m];
}

const char *nearest_name(const char *wrong, const char *const *names)
{
    const char *const *all = names;
    const char *best = NULL, *prefixed = NULL;
    unsigned least = MAX(1, MIN(3, strlen(wrong) / 3)) + 1;

    for (; *names; names++) {
        unsigned d = edit_distance(wrong, *names);

        if (d < least) {
            least = d;
            best = *names;
        }
    }
    for (const char *const *n = all; !best && strlen(wrong) >= 3 && *n; n++)
        if (g_str_has_prefix(*n, wrong) && (!prefixed || strlen(*n) < strlen(prefixed)))
            prefixed = *n;
    return best ? best : prefixed;
}

char *nearest_hint(const char *wrong, const char *const *names)
{
    const char *near = nearest_name(wrong, names);

    return near ? g_strdup_printf(" (did you mean '%s'?)", near) : g_strdup("");
}

void error_prefix_option(GError **err, const char *option, const char *arg)
{
    g_autofree char *named = g_strconcat("-", option, NULL);
    g_autofree char *shown = arg ? g_strdelimit(g_strdup(arg), "\r\n\t", ' ') : NULL;
    size_t n = strlen(named);

    if (err && *err && (strncmp((*err)->message, named, n) || g_ascii_isalnum((*err)->message[n])))
        g_prefix_error(err, "-%s%s%s: ", option, arg ? " " : "", arg ? shown : "");
}
