/*
 * The qtest server: QEMU's device-test protocol, a line of text a command, over a chardev.
 *
 *   inb|inw|inl PORT, outb|outw|outl PORT VALUE
 *   readb|readw|readl|readq ADDR, writeb|.. ADDR VALUE
 *   read ADDR SIZE, write ADDR SIZE 0xDATA, b64read, b64write, memset ADDR SIZE BYTE
 *   clock_step [NS], clock_set NS (only with -accel qtest), endianness
 *   irq_intercept_in|irq_intercept_out PATH: then "IRQ raise|lower N" lines come as they happen
 *
 * Answers are "OK [VALUE]", or "FAIL reason" (QEMU aborts on most malformed commands; we do not).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "chardev/char.h"
#include "hw/core/machine.h"
#include "util/error.h"



#define MAX_LINE (64u << 20)
#define MAX_TRANSFER (16u << 20)

typedef struct Qtest {
    Machine *m;
    CharFrontend chr;
    FILE *log;
    uint64_t opened;
    GString *in;
    bool levels[1024];
} Qtest;

static void logf_(Qtest *q, const char *kind, const char *text)
{
    uint64_t t;

    if (!q->log)
        return;
    t = host_now_ns() - q->opened;
    fprintf(q->log, "[%s +%" G_GUINT64_FORMAT ".%06" G_GUINT64_FORMAT "] %s\n", kind,
            (uint64_t)(t / NS_PER_S), (uint64_t)(t % NS_PER_S / 1000), text);
}

static void reply(Qtest *q, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
static void reply(Qtest *q, const char *fmt, ...)
{
    g_autofree char *s = NULL;
    va_list ap;

    va_start(ap, fmt);
    s = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    logf_(q, "S", s);
    chr_printf(&q->chr, "%s\n", s);
}

/* ---- Interrupts ---- */

static void told(Qtest *q, unsigned n, int level)
{
    if (n >= G_N_ELEMENTS(q->levels) || q->levels[n] == !!level)
        return;
    q->levels[n] = level;
    reply(q, "IRQ %s %u", level ? "raise" : "lower", n);
}

static void on_input(Device *d, unsigned n, int level)
{
    told(d->machine->qtest, n, level);
}

typedef struct OutTap { Qtest *q; LineSink *sink; void *to; uint16_t n; unsigned index; } OutTap;

static void on_output(void *opaque, unsigned n, int level)
{
    OutTap *t = opaque;

    (void)n;
    if (t->sink)
        t->sink(t->to, t->n, level);
    told(t->q, t->index, level);
}

static void tap_lines(Qtest *q, const StateTable *t, void *obj, unsigned *index)
{
    for (const Field *f = t ? t->fields : NULL; f && f->kind; f++) {
        if (f->kind != F_LINE)
            continue;
        for (unsigned i = 0; i < f->size / f->elt; i++) {
            Line *l = (Line *)(void *)((char *)obj + f->off) + i;
            OutTap *tap = g_new(OutTap, 1);

            *tap = (OutTap){ q, l->sink, l->to, l->n, (*index)++ };
            line_connect(l, on_output, tap, 0);
        }
    }
}

typedef struct Wanted { const char *path; Device *found; } Wanted;

static bool match(Device *d, void *opaque)
{
    Wanted *w = opaque;
    const char *tail = strrchr(w->path, '/');

    tail = tail ? tail + 1 : w->path;
    if ((d->path && !strcmp(d->path, w->path)) || (d->id && !strcmp(d->id, tail)) || !strcmp(d->type->name, tail))
        w->found = d;
    return !w->found;
}

static void intercept(Qtest *q, const char *path, bool in)
{
    Wanted w = { path ? path : "", NULL };
    unsigned index = 0;

    machine_foreach_device(q->m, match, &w);
    if (!path || !w.found) {
        reply(q, "FAIL Unknown device");
        return;
    }
    if (in)
        w.found->intercept = on_input;
    else
        tap_lines(q, w.found->type->state, w.found, &index);
    reply(q, "OK");
}

/* ---- Commands ---- */

static unsigned size_of(char c)
{
    return c == 'b' ? 1 : c == 'w' ? 2 : c == 'l' ? 4 : c == 'q' ? 8 : 0;
}

static bool number(const char *s, uint64_t *v)
{
    char *end;

    if (!s)
        return false;
    *v = g_ascii_strtoull(s, &end, 0);
    return end != s && !*end;
}

static void port_access(Qtest *q, char **w, bool write)
{
    uint64_t port, v = 0;
    unsigned size = size_of(w[0][strlen(w[0]) - 1]);

    if (!number(w[1], &port) || port > 0xffff || (write && !number(w[2], &v))) {
        reply(q, "FAIL bad port or value");
        return;
    }
    if (write) {
        pio_write(q->m, port, v, size);
        reply(q, "OK");
    } else {
        reply(q, "OK 0x%04x", (unsigned)pio_read(q->m, port, size));
    }
}

static void mem_access(Qtest *q, char **w, bool write)
{
    uint64_t addr, v = 0;
    unsigned size = size_of(w[0][strlen(w[0]) - 1]);

    if (!number(w[1], &addr) || (write && !number(w[2], &v))) {
        reply(q, "FAIL bad address or value");
        return;
    }
    if (write) {
        mem_write(q->m, addr, v, size);
        reply(q, "OK");
    } else {
        reply(q, "OK 0x%016" G_GINT64_MODIFIER "x", mem_read(q->m, addr, size));
    }
}

static void block_read(Qtest *q, char **w, bool base64)
{
    g_autofree uint8_t *buf = NULL;
    g_autofree char *text = NULL;
    uint64_t addr, len;

    if (!number(w[1], &addr) || !number(w[2], &len) || len > MAX_TRANSFER || addr + len < addr) {
        reply(q, "FAIL bad address or size");
        return;
    }
    buf = g_malloc(len + 1);
    mem_copy(q->m, addr, buf, len, false);
    if (base64) {
        text = g_base64_encode(buf, len);
    } else {
        text = g_malloc(2 * len + 3);
        strcpy(text, "0x");
        for (uint64_t i = 0; i < len; i++)
            sprintf(text + 2 + 2 * i, "%02x", buf[i]);
    }
    reply(q, "OK %s", text);
}

static bool from_hex(const char *s, uint8_t *buf, size_t len)
{
    if (!g_str_has_prefix(s, "0x") || strlen(s + 2) < 2 * len)
        return false;
    for (size_t i = 0; i < len; i++) {
        int hi = g_ascii_xdigit_value(s[2 + 2 * i]), lo = g_ascii_xdigit_value(s[3 + 2 * i]);

        if (hi < 0 || lo < 0)
            return false;
        buf[i] = hi << 4 | lo;
    }
    return true;
}

static void block_write(Qtest *q, char **w, char how)
{
    g_autofree uint8_t *buf = NULL;
    uint64_t addr, len, byte;
    bool ok = number(w[1], &addr) && number(w[2], &len) && len <= MAX_TRANSFER && addr + len >= addr && w[3];
    gsize out = 0;

    if (ok && how == '6') {
        buf = g_base64_decode(w[3], &out);
        ok = out == len;
    } else if (ok) {
        buf = g_malloc(len + 1);
        ok = how == 's' ? number(w[3], &byte) : from_hex(w[3], buf, len);
        if (ok && how == 's')
            memset(buf, byte, len);
    }
    if (!ok) {
        reply(q, "FAIL bad address, size or data");
        return;
    }
    mem_copy(q->m, addr, buf, len, true);
    reply(q, "OK");
}

static void clock_command(Qtest *q, char **w, bool set)
{
    uint64_t ns = 0;

    if (accel_is_kvm()) {
        reply(q, "FAIL Unknown command '%s'", w[0]);
        return;
    }
    if (w[1] ? !number(w[1], &ns) || ns > INT64_MAX : set) {
        reply(q, "FAIL bad time");
        return;
    }
    if (set) {
        uint64_t now = clock_now(q->m);

        ns = clock_step(q->m, ns > now ? ns - now : 0);
    } else {
        ns = clock_step(q->m, w[1] ? (int64_t)ns : -1);
    }
    reply(q, "OK %" G_GUINT64_FORMAT, ns);
}

static void command(Qtest *q, char *line)
{
    g_auto(GStrv) raw = g_strsplit(line, " ", 6);
    char *w[7] = { 0 };
    unsigned n = 0;
    const char *c;

    logf_(q, "R", line);
    for (char **p = raw; *p && n < 6; p++)
        if (**p)
            w[n++] = *p;
    c = w[0];
    if (!c)
        return;
    if (strlen(c) == 3 && !strncmp(c, "in", 2) && size_of(c[2]) && c[2] != 'q')
        port_access(q, w, false);
    else if (strlen(c) == 4 && !strncmp(c, "out", 3) && size_of(c[3]) && c[3] != 'q')
        port_access(q, w, true);
    else if (strlen(c) == 5 && !strncmp(c, "read", 4) && size_of(c[4]))
        mem_access(q, w, false);
    else if (strlen(c) == 6 && !strncmp(c, "write", 5) && size_of(c[5]))
        mem_access(q, w, true);
    else if (!strcmp(c, "read") || !strcmp(c, "b64read"))
        block_read(q, w, c[0] == 'b');
    else if (!strcmp(c, "write"))
        block_write(q, w, 'x');
    else if (!strcmp(c, "b64write"))
        block_write(q, w, '6');
    else if (!strcmp(c, "memset"))
        block_write(q, w, 's');
    else if (!strcmp(c, "clock_step") || !strcmp(c, "clock_set"))
        clock_command(q, w, !strcmp(c, "clock_set"));
    else if (!strcmp(c, "endianness"))
        reply(q, "OK little");
    else if (!strcmp(c, "irq_intercept_in") || !strcmp(c, "irq_intercept_out"))
        intercept(q, w[1], c[14] == 'i');
    else
        reply(q, "FAIL Unknown command '%s'", c);
}

/* ---- The line ---- */

static int can_read(void *opaque)
{
    (void)opaque;
    return 65536;
}

static void read_bytes(void *opaque, const uint8_t *buf, int len)
{
    Qtest *q = opaque;
    char *nl;

    g_string_append_len(q->in, (const char *)buf, len);
    while ((nl = memchr(q->in->str, '\n', q->in->len))) {
        g_autofree char *line = g_strndup(q->in->str, nl - q->in->str);

        g_string_erase(q->in, 0, nl - q->in->str + 1);
        g_strchomp(line);
        command(q, line);
    }
    if (q->in->len > MAX_LINE)
        g_string_truncate(q->in, 0);
}

static void on_event(void *opaque, ChrEvent e)
{
    Qtest *q = opaque;

    if (e == CHR_EVENT_OPENED) {
        memset(q->levels, 0, sizeof q->levels);
        g_string_truncate(q->in, 0);
        q->opened = host_now_ns();
        if (q->log)
            fprintf(q->log, "[I 0.000000] OPENED\n");
        if (!accel_is_kvm())
            machine_reset_now(q->m, CAUSE_NONE);
    } else if (e == CHR_EVENT_CLOSED && q->log) {
        logf_(q, "I", "CLOSED");
    }
}

bool qtest_server_start(Machine *m, const char *spec, const char *log_file, GError **err)
{
    GError *local = NULL;
    Chardev *chr = chr_open("qtest", spec, &local);
    bool quiet = log_file && (!strcmp(log_file, "none") || !strcmp(log_file, "/dev/null"));
    FILE *log = quiet ? NULL : log_file ? fopen(log_file, "we") : stderr;
    Qtest *q;

    if (!log && !quiet)
        return error_set_errno(err, errno, "-qtest-log %s", log_file);
    if (!chr) {
        if (local)
            g_propagate_prefixed_error(err, local, "-qtest %s: ", spec);
        else
            error_set(err, "-qtest %s: a connection is needed", spec);
        return false;
    }
    q = m->qtest = g_new0(Qtest, 1);
    q->m = m;
    q->in = g_string_new(NULL);
    q->opened = host_now_ns();
    q->log = log;
    if (log)
        setvbuf(q->log, NULL, _IOLBF, 0);
    if (!chr_attach(&q->chr, chr, err))
        return false;
    chr_set_handlers(&q->chr, can_read, read_bytes, on_event, q);
    return true;
}
