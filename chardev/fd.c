/* Back-ends that are file descriptors: polling for input, writing without waiting. */
#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <poll.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>
#include "chardev/char-int.h"
#include "util/error.h"
#include "util/fdset.h"

#define HANGUP_GRACE (G_USEC_PER_SEC)

bool chr_set_nonblock(int fd)
{
    int fl = fcntl(fd, F_GETFL);

    return fl >= 0 && fcntl(fd, F_SETFL, fl | O_NONBLOCK) == 0;
}

int chr_open_path(const char *path, int flags, GError **err)
{
    int fd;

    do
        fd = fdset_open(path, flags, 0666);
    while (fd < 0 && errno == EINTR);
    if (fd < 0)
        error_set_errno(err, errno, "Could not open '%s'", path);
    return fd;
}

void chr_termios_raw(struct termios *t)
{
    t->c_iflag &= ~(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
    t->c_oflag &= ~OPOST;
    t->c_lflag &= ~(ECHO | ECHONL | ICANON | IEXTEN | ISIG);
    t->c_cflag &= ~(CSIZE | PARENB);
    t->c_cflag |= CS8;
    t->c_cc[VMIN] = 1;
    t->c_cc[VTIME] = 0;
}

/* ---- Input ---- */

/* A source that polls its fd only while the front-end takes something, so that the kernel's buffers
 * fill up and the other end feels it. */
struct ChrReader {
    GSource source;
    Chardev *c;
    int fd;
    gpointer tag;           /* NULL while it is not polled */
    void (*fn)(Chardev *c);
    void (*hangup)(Chardev *c);
    gint64 hung;            /* when the other end was first seen gone, while nothing could be read; 0: not */
    gint64 next_look;
};

/* The front-end takes nothing now.  Looks once a second whether the other end is still there: otherwise a guest
 * that reads nothing would keep a dead connection, and the next client waiting, for ever. */
static void look_for_hangup(ChrReader *r, gint *timeout)
{
    gint64 now = g_get_monotonic_time();
    struct pollfd p = { .fd = r->fd };

    if (now >= r->next_look) {
        r->next_look = now + HANGUP_GRACE;
        if (poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR)))
            r->hung = r->hung ? r->hung : now;
    }
    *timeout = (r->next_look - now + 999) / 1000;
}

static gboolean reader_prepare(GSource *s, gint *timeout)
{
    ChrReader *r = (ChrReader *)s;
    bool takes = chr_be_can_read(r->c) > 0;

    *timeout = -1;
    if (takes && !r->tag) {
        r->tag = g_source_add_unix_fd(s, r->fd, G_IO_IN | G_IO_HUP | G_IO_ERR);
        r->hung = 0;
    } else if (!takes && r->tag) {
        g_source_remove_unix_fd(s, r->tag);
        r->tag = NULL;
        r->next_look = g_get_monotonic_time() + HANGUP_GRACE;
    }
    if (takes || !r->hangup)
        return false;
    look_for_hangup(r, timeout);
    return r->hung && g_get_monotonic_time() >= r->hung + HANGUP_GRACE;
}

static gboolean reader_check(GSource *s)
{
    ChrReader *r = (ChrReader *)s;

    return r->tag && g_source_query_unix_fd(s, r->tag);
}

static gboolean reader_dispatch(GSource *s, GSourceFunc fn, gpointer data)
{
    ChrReader *r = (ChrReader *)s;

    if (r->tag && chr_be_can_read(r->c) > 0)
        r->fn(r->c);
    else if (!r->tag && r->hung && r->hangup)
        r->hangup(r->c);
    return G_SOURCE_CONTINUE;
}

ChrReader *chr_reader_new(Chardev *c, int fd, void (*fn)(Chardev *c), void (*hangup)(Chardev *c))
{
    static GSourceFuncs funcs = { .prepare = reader_prepare, .check = reader_check, .dispatch = reader_dispatch };
    ChrReader *r = (ChrReader *)g_source_new(&funcs, sizeof(ChrReader));

    r->c = c;
    r->fd = fd;
    r->fn = fn;
    r->hangup = hangup;
    g_source_attach(&r->source, NULL);
    return r;
}

void chr_reader_free(ChrReader *r)
{
    if (!r)
        return;
    g_source_destroy(&r->source);
    g_source_unref(&r->source);
}

static void fd_read(Chardev *c)
{
    FdChardev *f = (FdChardev *)c;
    uint8_t buf[4096];
    int max = MIN(chr_be_can_read(c), (int)sizeof(buf));
    ssize_t n = f->is_sock ? recv(f->in, buf, max, MSG_DONTWAIT) : read(f->in, buf, max);

    if (n > 0) {
        chr_be_read(c, buf, n);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        chr_reader_free(f->reader);
        f->reader = NULL;
        /* The end of standard input or of a file is no end of the output. */
        if (f->in == f->out)
            chr_be_event(c, CHR_EVENT_CLOSED);
    }
}

void fd_chardev_start(FdChardev *f, int in, int out)
{
    f->in = in;
    f->out = out;
    if (in >= 0)
        f->reader = chr_reader_new(&f->chr, in, fd_read, NULL);
}

/* ---- Output ---- */

static gboolean out_ready(gint fd, GIOCondition cond, gpointer opaque)
{
    Chardev *c = opaque;

    chr_be_writable(c);
    return G_SOURCE_REMOVE;
}

typedef struct OutWatch {
    Chardev *c;
    guint *source;
} OutWatch;

static gboolean out_watch_ready(gint fd, GIOCondition cond, gpointer opaque)
{
    OutWatch *w = opaque;

    *w->source = 0;
    return out_ready(fd, cond, w->c);
}

void chr_watch_out(Chardev *c, int fd, guint *source)
{
    OutWatch *w;

    if (*source)
        return;
    w = g_new(OutWatch, 1);
    *w = (OutWatch){ c, source };
    *source = g_unix_fd_add_full(G_PRIORITY_DEFAULT, fd, G_IO_OUT | G_IO_HUP | G_IO_ERR, out_watch_ready, w, g_free);
}

int fd_chardev_write(Chardev *c, const uint8_t *buf, int len)
{
    FdChardev *f = (FdChardev *)c;
    int done = 0;

    while (f->out >= 0 && done < len) {
        int chunk = len - done;
        ssize_t n;

        if (f->poll_first) {
            struct pollfd p = { .fd = f->out, .events = POLLOUT };

            /* A writable pipe has room for a page, a writable terminal for some hundred bytes. */
            chunk = MIN(chunk, 256);
            if (poll(&p, 1, 0) == 0)
                return done;
        }
        n = f->is_sock ? send(f->out, buf + done, chunk, MSG_DONTWAIT | MSG_NOSIGNAL) : write(f->out, buf + done, chunk);
        if (n > 0)
            done += n;
        else if (n < 0 && errno == EAGAIN)
            return done;
        else if (n == 0 || errno != EINTR)
            break;      /* gone, or full: these bytes are lost */
    }
    return len;
}

void fd_chardev_want_write(Chardev *c)
{
    FdChardev *f = (FdChardev *)c;

    chr_watch_out(c, f->out, &f->out_source);
}

void fd_chardev_close(Chardev *c)
{
    FdChardev *f = (FdChardev *)c;

    chr_reader_free(f->reader);
    if (f->out_source)
        g_source_remove(f->out_source);
    if (f->in >= 0)
        close(f->in);
    if (f->out >= 0 && f->out != f->in)
        close(f->out);
}
