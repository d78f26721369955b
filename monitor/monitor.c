/* Monitors: their list, input and output, events. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "hw/core/machine.h"
#include "monitor/monitor-int.h"

#define OUT_SLOW (1 << 16)      /* a client that leaves so much unread is not listened to */
#define OUT_MAX (64 << 20)      /* and gets no more events */

Machine *mon_machine;
MonitorHost mon_host;
GPtrArray *monitors;

static const char prompt[] = "(qemu) ";

int64_t arg_int(json_t *args, const char *name, int64_t def)
{
    json_t *v = json_object_get(args, name);

    return v ? json_integer_value(v) : def;
}

/* ---- Output ---- */

static void out_ready(void *opaque)
{
    Monitor *mon = opaque;

    monitor_flush(mon);
    chr_accept_input(&mon->fe);
}

void monitor_flush(Monitor *mon)
{
    int n;

    if (mon->memory || mon->mux_out || !mon->out->len)
        return;
    n = chr_write(&mon->fe, mon->out->str, mon->out->len);
    if (n == (int)mon->out->len && mon->out->allocated_len > OUT_SLOW) {
        g_string_free(mon->out, true);
        mon->out = g_string_new(NULL);
        return;
    }
    g_string_erase(mon->out, 0, n);
    if (mon->out->len)
        chr_add_watch(&mon->fe, out_ready, mon);
}

/* Terminals want "\r\n", and so does who parses what goes to one. */
void mon_puts(Monitor *mon, const char *s)
{
    for (; *s; s++) {
        if (*s == '\n')
            g_string_append_c(mon->out, '\r');
        g_string_append_c(mon->out, *s);
    }
}

void mon_printf(Monitor *mon, const char *fmt, ...)
{
    g_autofree char *s = NULL;
    va_list ap;

    va_start(ap, fmt);
    s = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    mon_puts(mon, s);
}

void mon_print_error(Monitor *mon, GError *err)
{
    mon_printf(mon, "Error: %s\n", err->message);
    g_error_free(err);
}

/* ---- Input ---- */

static int can_read(void *opaque)
{
    Monitor *mon = opaque;

    return mon->suspended || mon->dead || (!mon->mux_out && mon->out->len > OUT_SLOW) ? 0 : 4096;
}

static void hmp_byte(Monitor *mon, unsigned char c)
{
    if (mon->rl) {
        readline_byte(mon->rl, c);
    } else if (c == '\n' || c == '\r') {
        g_autofree char *line = g_string_free(mon->line, false);

        mon->line = g_string_new(NULL);
        hmp_run_line(mon, line);
    } else if (mon->line->len < READLINE_MAX) {
        g_string_append_c(mon->line, c);
    }
}

/* A command may suspend the monitor: what comes after it waits. */
static void consume(Monitor *mon)
{
    unsigned i = 0;

    while (i < mon->pending->len && !mon->suspended)
        hmp_byte(mon, mon->pending->data[i++]);
    g_byte_array_remove_range(mon->pending, 0, i);
}

static gboolean greet(gpointer opaque);

static void on_read(void *opaque, const uint8_t *buf, int len)
{
    Monitor *mon = opaque;

    if (mon->qmp) {
        qmp_read(mon, (const char *)buf, len);
    } else {
        greet(mon);     /* input from a pipe may be there at once */
        g_byte_array_append(mon->pending, buf, len);
        consume(mon);
    }
    monitor_flush(mon);
}

void monitor_suspend(Monitor *mon)
{
    mon->suspended++;
}

static bool is_alive(Monitor *mon)
{
    return monitors && g_ptr_array_find(monitors, mon, NULL);
}

static gboolean resume_later(gpointer opaque)
{
    Monitor *mon = opaque;

    /* The monitor may have gone meanwhile. */
    if (!is_alive(mon))
        return G_SOURCE_REMOVE;
    if (mon->suspended && !--mon->suspended) {
        if (mon->rl)
            readline_show_prompt(mon->rl);
        consume(mon);
        monitor_flush(mon);
        chr_accept_input(&mon->fe);
    }
    return G_SOURCE_REMOVE;
}

void monitor_resume(Monitor *mon)
{
    if (!mon->memory)
        g_idle_add_full(G_PRIORITY_DEFAULT, resume_later, mon, NULL);
    else if (mon->suspended)
        mon->suspended--;
}

/* ---- Coming and going of the other end ---- */

/* From the main loop: while the machine is being made, a serial port may yet take the mux's input. */
static gboolean greet(gpointer opaque)
{
    Monitor *mon = opaque;

    if (!is_alive(mon) || mon->greeted || mon->mux_out || !chr_is_open(&mon->fe))
        return G_SOURCE_REMOVE;
    mon->greeted = true;
    mon_printf(mon, "QEMU %s monitor - type 'help' for more information\n", MONITOR_VERSION);
    if (mon->rl)
        readline_show_prompt(mon->rl);
    monitor_flush(mon);
    return G_SOURCE_REMOVE;
}

static void mux_in(Monitor *mon)
{
    mon->mux_out = false;
    if (!mon->greeted)
        g_idle_add_full(G_PRIORITY_DEFAULT, greet, mon, NULL);
    else if (mon->rl && !mon->suspended)
        readline_show_prompt(mon->rl);
    monitor_flush(mon);
}

static void hmp_event(Monitor *mon, ChrEvent event)
{
    switch (event) {
    case CHR_EVENT_OPENED:
        g_idle_add_full(G_PRIORITY_DEFAULT, greet, mon, NULL);
        break;
    case CHR_EVENT_CLOSED:
        mon->greeted = false;
        g_string_truncate(mon->out, 0);
        g_byte_array_set_size(mon->pending, 0);
        if (mon->rl)
            readline_restart(mon->rl);
        break;
    case CHR_EVENT_MUX_IN:
        mux_in(mon);
        break;
    case CHR_EVENT_MUX_OUT:
        /* What is said meanwhile is kept for the way back. */
        if (mon->greeted && !mon->suspended)
            mon_puts(mon, "\n");
        monitor_flush(mon);
        mon->mux_out = true;
        break;
    default:
        break;
    }
}

static void on_event(void *opaque, ChrEvent event)
{
    Monitor *mon = opaque;

    if (!mon->qmp) {
        hmp_event(mon, event);
    } else if (event == CHR_EVENT_OPENED) {
        qmp_opened(mon);
        monitor_flush(mon);
    } else if (event == CHR_EVENT_CLOSED) {
        json_stream_reset(&mon->json);
        g_string_truncate(mon->out, 0);
        mon->negotiated = false;
    }
}

/* ---- Making ---- */

static void rl_print(void *opaque, const char *s)
{
    mon_puts(opaque, s);
}

static void rl_flush(void *opaque)
{
    monitor_flush(opaque);
}

static void rl_line(void *opaque, const char *line)
{
    Monitor *mon = opaque;

    hmp_run_line(mon, line);
    if (!mon->suspended)
        readline_show_prompt(mon->rl);
}

static void rl_complete(void *opaque, const char *begun)
{
    Monitor *mon = opaque;

    hmp_complete(mon, begun, mon->rl);
}

static const ReadlineOps readline_ops = { rl_print, rl_flush, rl_line, rl_complete };

static Monitor *new_monitor(void)
{
    Monitor *mon = g_new0(Monitor, 1);

    mon->out = g_string_new(NULL);
    mon->pending = g_byte_array_new();
    mon->line = g_string_new(NULL);
    json_stream_init(&mon->json, qmp_value, mon);
    return mon;
}

Monitor *monitor_new_memory(int cpu)
{
    Monitor *mon = new_monitor();

    mon->memory = true;
    mon->cpu = cpu;
    return mon;
}

void monitor_free(Monitor *mon)
{
    if (!mon->memory)
        chr_detach(&mon->fe);
    if (mon->rl)
        readline_free(mon->rl);
    g_string_free(mon->out, true);
    g_string_free(mon->line, true);
    g_byte_array_unref(mon->pending);
    json_stream_clear(&mon->json);
    g_free(mon);
}

static bool add(Monitor *mon, Chardev *chr, GError **err)
{
    if (!chr_attach(&mon->fe, chr, err)) {
        mon->memory = true;
        monitor_free(mon);
        return false;
    }
    if (!monitors)
        monitors = g_ptr_array_new();
    g_ptr_array_add(monitors, mon);
    chr_set_handlers(&mon->fe, can_read, on_read, on_event, mon);
    return true;
}

bool monitor_add_hmp(Chardev *chr, bool readline, GError **err)
{
    Monitor *mon = new_monitor();

    if (readline)
        mon->rl = readline_new(&readline_ops, mon, prompt);
    return add(mon, chr, err);
}

bool monitor_add_qmp(Chardev *chr, bool pretty, GError **err)
{
    Monitor *mon = new_monitor();

    mon->qmp = true;
    mon->pretty = pretty;
    return add(mon, chr, err);
}

bool monitor_add_opts(const char *optstr, GError **err)
{
    g_auto(GStrv) parts = g_strsplit(optstr, ",", -1);
    const char *chardev = NULL, *mode = "readline";
    bool pretty = false;
    Chardev *chr;

    for (unsigned i = 0; parts[i]; i++) {
        char *eq = strchr(parts[i], '=');
        const char *v = eq ? eq + 1 : "on";

        if (eq)
            *eq = 0;
        if (!eq && i == 0)
            chardev = parts[i];
        else if (!strcmp(parts[i], "chardev"))
            chardev = v;
        else if (!strcmp(parts[i], "mode"))
            mode = v;
        else if (!strcmp(parts[i], "pretty") && (!strcmp(v, "on") || !strcmp(v, "off")))
            pretty = !strcmp(v, "on");
        else if (!strcmp(parts[i], "pretty"))
            return error_set(err, "Parameter 'pretty' expects 'on' or 'off'");
        else if (strcmp(parts[i], "id"))
            return error_set(err, "Invalid parameter '%s'", parts[i]);
    }
    if (!chardev)
        return error_set(err, "chardev is required");
    chr = chr_find(chardev);
    if (!chr)
        return error_set(err, "chardev \"%s\" not found", chardev);
    if (!strcmp(mode, "control"))
        return monitor_add_qmp(chr, pretty, err);
    if (strcmp(mode, "readline"))
        return error_set(err, "unknown monitor mode \"%s\"", mode);
    if (pretty)
        return error_set(err, "'pretty' is not compatible with HMP monitors");
    return monitor_add_hmp(chr, true, err);
}

bool monitor_add_legacy(const char *filename, bool qmp, bool pretty, GError **err)
{
    static unsigned n;
    g_autofree char *id = g_strdup_printf("compat_monitor%u", n++);
    GError *e = NULL;
    Chardev *chr = chr_open(id, filename, &e);

    if (e) {
        g_propagate_error(err, e);
        return false;
    }
    if (!chr)
        return true;
    return qmp ? monitor_add_qmp(chr, pretty, err) : monitor_add_hmp(chr, true, err);
}

static bool add_for_mux(Chardev *chr, GError **err)
{
    return monitor_add_hmp(chr, true, err);
}

static void machine_event_hook(void *opaque, const char *name, const char *fmt, va_list ap)
{
    json_error_t e;

    monitor_event(name, fmt && *fmt ? json_vpack_ex(&e, 0, fmt, ap) : NULL);
}

void monitor_init(Machine *m, const MonitorHost *host)
{
    mon_machine = m;
    if (host)
        mon_host = *host;
    m->hooks.event = machine_event_hook;
    chr_set_monitor_hook(add_for_mux);
}

/* "quit" has been answered, but perhaps not sent: a moment for the other end to take it. */
static void flush_last(Monitor *mon)
{
    mon->mux_out = false;
    for (int i = 0; i < 50 && mon->out->len && chr_is_open(&mon->fe); i++) {
        int n = chr_write(&mon->fe, mon->out->str, mon->out->len);

        g_string_erase(mon->out, 0, n);
        if (mon->out->len)
            g_usleep(1000);
    }
}

void monitor_cleanup(void)
{
    for (unsigned i = 0; monitors && i < monitors->len; i++) {
        Monitor *mon = g_ptr_array_index(monitors, i);

        flush_last(mon);
        monitor_free(mon);
    }
    if (monitors)
        g_ptr_array_free(monitors, true);
    monitors = NULL;
}

/* ---- Events ---- */

/* Of these, at most one a second: the last one counts. */
typedef struct Throttled {
    const char *name;
    json_t *waiting;            /* the event that is held back */
    guint timer;
    gint64 last;
} Throttled;

static Throttled throttled[] = {
    { "RTC_CHANGE" }, { "WATCHDOG" }, { "BALLOON_CHANGE" }, { "QUORUM_FAILURE" }, { "VSERPORT_CHANGE" }, { "MEMORY_DEVICE_SIZE_CHANGE" },
};

static void broadcast(json_t *event)
{
    for (unsigned i = 0; monitors && i < monitors->len; i++) {
        Monitor *mon = g_ptr_array_index(monitors, i);

        if (mon->qmp && mon->negotiated && mon->out->len < OUT_MAX) {
            qmp_send(mon, event);
            monitor_flush(mon);
        }
    }
    json_decref(event);
}

static gboolean send_waiting(gpointer opaque)
{
    Throttled *t = opaque;
    json_t *event = t->waiting;

    t->timer = 0;
    t->waiting = NULL;
    t->last = g_get_monotonic_time();
    broadcast(event);
    return G_SOURCE_REMOVE;
}

static bool hold_back(Throttled *t, json_t *event)
{
    gint64 now = g_get_monotonic_time();

    if (t->timer) {
        json_decref(t->waiting);
        t->waiting = event;
        return true;
    }
    if (t->last && now < t->last + G_USEC_PER_SEC) {
        t->waiting = event;
        t->timer = g_timeout_add((t->last + G_USEC_PER_SEC - now) / 1000 + 1, send_waiting, t);
        return true;
    }
    t->last = now;
    return false;
}

void monitor_event(const char *name, json_t *data)
{
    gint64 now = g_get_real_time();
    json_t *event = json_pack("{s:{s:I,s:I},s:s}", "timestamp", "seconds", (json_int_t)(now / G_USEC_PER_SEC),
                              "microseconds", (json_int_t)(now % G_USEC_PER_SEC), "event", name);

    if (data && json_object_size(data))
        json_object_set(event, "data", data);
    json_decref(data);
    for (unsigned i = 0; i < G_N_ELEMENTS(throttled); i++) {
        if (!strcmp(throttled[i].name, name) && hold_back(&throttled[i], event))
            return;
    }
    broadcast(event);
}
