/*
 * Several front-ends on one chardev: all write, one at a time reads, and Ctrl-a turns the input to the next.
 *
 * What is typed while the focused front-end takes nothing waits in a small buffer of its own, so that the keys
 * that follow, Ctrl-a above all, still get through.
 */
#include <string.h>
#include <time.h>
#include "chardev/char-int.h"
#include "util/error.h"

#define ESCAPE 0x01             /* Ctrl-a */
#define SLOTS 4
#define BUFFER 32

typedef struct MuxSlot {
    CharFrontend *fe;
    uint8_t buf[BUFFER];
    unsigned prod, cons;
} MuxSlot;

typedef struct MuxChardev {
    Chardev chr;
    CharFrontend base;
    MuxSlot slot[SLOTS];
    int focus;                  /* a slot, -1: none */
    bool escaped;               /* Ctrl-a was the last key */
    bool timestamps, line_start;
    gint64 epoch;               /* when timestamps were turned on */
} MuxChardev;

static void (*flush_hook)(void), (*quit_hook)(void);

void chr_set_mux_hooks(void (*flush_disks)(void), void (*quit)(void))
{
    flush_hook = flush_disks;
    quit_hook = quit;
}

static MuxChardev *mux_of(Chardev *c)
{
    return (MuxChardev *)c;
}

CharFrontend *mux_frontend(Chardev *c, unsigned i)
{
    return i < SLOTS ? mux_of(c)->slot[i].fe : NULL;
}

bool mux_in_use(Chardev *c)
{
    for (unsigned i = 0; i < SLOTS; i++) {
        if (mux_frontend(c, i))
            return true;
    }
    return false;
}

bool mux_attach(Chardev *c, CharFrontend *f, GError **err)
{
    MuxChardev *m = mux_of(c);

    for (int i = 0; i < SLOTS; i++) {
        if (m->slot[i].fe)
            continue;
        m->slot[i] = (MuxSlot){ .fe = f };
        f->slot = i;
        return true;
    }
    return error_set(err, "Too many front-ends on mux chardev '%s': at most %d", c->id, SLOTS);
}

void mux_detach(Chardev *c, CharFrontend *f)
{
    MuxChardev *m = mux_of(c);

    m->slot[f->slot].fe = NULL;
    if (m->focus != f->slot)
        return;
    m->focus = -1;
    c->fe = NULL;
    for (unsigned i = 0; i < SLOTS; i++) {
        if (m->slot[i].fe) {
            mux_set_focus(c, m->slot[i].fe);
            break;
        }
    }
}

void mux_set_focus(Chardev *c, CharFrontend *f)
{
    MuxChardev *m = mux_of(c);
    CharFrontend *old = m->focus >= 0 ? m->slot[m->focus].fe : NULL;

    m->focus = f->slot;
    c->fe = f;
    if (old && old != f)
        chr_send_event(old, CHR_EVENT_MUX_OUT);
    chr_send_event(f, CHR_EVENT_MUX_IN);
}

/* ---- Input ---- */

static int fe_can_read(CharFrontend *f)
{
    return f->can_read && f->read ? MAX(f->can_read(f->opaque), 0) : 0;
}

static bool mux_has_input(Chardev *c)
{
    MuxChardev *m = mux_of(c);

    return m->focus >= 0 && m->slot[m->focus].prod != m->slot[m->focus].cons;
}

static void mux_deliver(Chardev *c)
{
    MuxChardev *m = mux_of(c);

    while (mux_has_input(c) && fe_can_read(c->fe)) {
        MuxSlot *s = &m->slot[m->focus];
        uint8_t b = s->buf[s->cons++ % BUFFER];

        c->fe->read(c->fe->opaque, &b, 1);
    }
    chr_accept_input(&m->base);
}

void mux_accept_input(Chardev *c)
{
    chr_accept_input(&mux_of(c)->base);
}

static int base_can_read(void *opaque)
{
    MuxChardev *m = opaque;

    if (m->focus < 0)
        return 1;
    /* One by one once the front-end is behind: each may be the key that turns the focus. */
    return m->slot[m->focus].prod - m->slot[m->focus].cons < BUFFER ? 1 : fe_can_read(m->chr.fe);
}

int mux_can_read(Chardev *c)
{
    return base_can_read(c);
}

static void print_help(MuxChardev *m)
{
    static const char *const lines[] = {
        "\n\rC-a h    print this help\n\r", "C-a x    exit emulator\n\r",
        "C-a s    save disk data back to file (if -snapshot)\n\r", "C-a t    toggle console timestamps\n\r",
        "C-a b    send break (magic sysrq)\n\r", "C-a c    switch between console and monitor\n\r",
        "C-a C-a  sends C-a\n\r",
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(lines); i++)
        chr_printf(&m->base, "%s", lines[i]);
}

static void next_focus(MuxChardev *m)
{
    for (int i = 1; i <= SLOTS; i++) {
        CharFrontend *f = m->slot[(m->focus + i) % SLOTS].fe;

        if (f && (f->read || f->event)) {
            mux_set_focus(&m->chr, f);
            return;
        }
    }
}

/* The key after Ctrl-a. */
static void command(MuxChardev *m, uint8_t key)
{
    switch (key) {
    case 'h':
    case '?':
        print_help(m);
        break;
    case 'x':
        chr_printf(&m->base, "QEMU: Terminated\n\r");
        if (quit_hook)
            quit_hook();
        break;
    case 's':
        if (flush_hook)
            flush_hook();
        break;
    case 'b':
        if (m->chr.fe)
            chr_send_event(m->chr.fe, CHR_EVENT_BREAK);
        break;
    case 'c':
        if (m->focus >= 0)
            next_focus(m);
        break;
    case 't':
        m->timestamps = !m->timestamps;
        m->epoch = g_get_monotonic_time();
        m->line_start = false;
        break;
    }
}

static void base_read(void *opaque, const uint8_t *buf, int len)
{
    MuxChardev *m = opaque;

    for (int i = 0; i < len; i++) {
        MuxSlot *s;

        if (m->escaped && buf[i] != ESCAPE) {
            m->escaped = false;
            command(m, buf[i]);
            continue;
        }
        m->escaped = !m->escaped && buf[i] == ESCAPE;
        if (m->escaped || m->focus < 0)
            continue;
        s = &m->slot[m->focus];
        if (s->prod == s->cons && fe_can_read(s->fe))
            s->fe->read(s->fe->opaque, buf + i, 1);
        else if (s->prod - s->cons < BUFFER)
            s->buf[s->prod++ % BUFFER] = buf[i];
    }
}

void mux_read(Chardev *c, const uint8_t *buf, int len)
{
    base_read(c, buf, len);
}

void mux_event(Chardev *c, ChrEvent event)
{
    MuxChardev *m = mux_of(c);

    for (unsigned i = 0; i < SLOTS; i++) {
        if (m->slot[i].fe && (event != CHR_EVENT_BREAK || (int)i == m->focus))
            chr_send_event(m->slot[i].fe, event);
    }
}

static void base_event(void *opaque, ChrEvent event)
{
    MuxChardev *m = opaque;

    if (event != CHR_EVENT_MUX_IN && event != CHR_EVENT_MUX_OUT)
        chr_be_event(&m->chr, event);
}

/* ---- Output ---- */

static bool write_timestamp(MuxChardev *m)
{
    gint64 ms = (g_get_monotonic_time() - m->epoch) / 1000;
    char s[32];

    g_snprintf(s, sizeof(s), "[%02d:%02d:%02d.%03d] ", (int)(ms / 3600000), (int)(ms / 60000 % 60),
               (int)(ms / 1000 % 60), (int)(ms % 1000));
    return chr_write(&m->base, s, strlen(s)) > 0;
}

static int mux_write(Chardev *c, const uint8_t *buf, int len)
{
    MuxChardev *m = mux_of(c);
    int done = 0;

    if (!m->timestamps)
        return chr_write(&m->base, buf, len);
    while (done < len) {
        const uint8_t *nl = memchr(buf + done, '\n', len - done);
        int part = nl ? nl - (buf + done) + 1 : len - done, n;

        if (m->line_start && !write_timestamp(m))
            break;
        m->line_start = false;
        n = chr_write(&m->base, buf + done, part);
        done += n;
        if (n < part)
            break;
        m->line_start = nl != NULL;
    }
    return done;
}

static void base_ready(void *opaque)
{
    chr_be_writable(opaque);
}

static void mux_want_write(Chardev *c)
{
    chr_add_watch(&mux_of(c)->base, base_ready, c);
}

static bool mux_open(Chardev *c, GHashTable *opts, GError **err)
{
    MuxChardev *m = mux_of(c);
    const char *id = chr_opt(opts, "chardev");
    Chardev *base = id ? chr_find(id) : NULL;

    m->focus = -1;
    if (!id)
        return error_set(err, "chardev: mux: no chardev given");
    if (!base)
        return error_set(err, "mux: base chardev %s not found", id);
    if (!chr_attach(&m->base, base, err))
        return false;
    chr_set_handlers(&m->base, base_can_read, base_read, base_event, m);
    c->open = base->open;
    return true;
}

static void mux_close(Chardev *c)
{
    chr_detach(&mux_of(c)->base);
}

const ChardevType chardev_mux = {
    .name = "mux", .size = sizeof(MuxChardev), .closed_at_first = true, .open = mux_open, .write = mux_write,
    .want_write = mux_want_write, .has_input = mux_has_input, .deliver_input = mux_deliver, .close = mux_close,
};
