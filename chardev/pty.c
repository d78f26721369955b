/*
 * A pseudo-terminal: we have its master; somebody opens the slave, sometime.
 *
 * The master polls as hung up while nobody has the slave open, and there is no event for somebody's
 * coming: a timer, and each write, looks.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>
#include "chardev/char-int.h"
#include "util/error.h"

#define LOOK_SECONDS 1

typedef struct PtyChardev {
    Chardev chr;
    int fd;
    ChrReader *reader;
    guint out_source, timer;
    bool connected;
} PtyChardev;

static gboolean pty_timer(gpointer opaque);

static void set_connected(PtyChardev *p, bool connected);

static void pty_read(Chardev *c)
{
    PtyChardev *p = (PtyChardev *)c;
    uint8_t buf[4096];
    ssize_t n = read(p->fd, buf, MIN(chr_be_can_read(c), (int)sizeof(buf)));

    if (n > 0)
        chr_be_read(c, buf, n);
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        set_connected(p, false);    /* EIO: the last one has closed the slave */
}

static void pty_hangup(Chardev *c)
{
    set_connected((PtyChardev *)c, false);
}

static void set_connected(PtyChardev *p, bool connected)
{
    if (connected == p->connected)
        return;
    p->connected = connected;
    if (connected) {
        if (p->timer)
            g_source_remove(p->timer);
        p->timer = 0;
        p->reader = chr_reader_new(&p->chr, p->fd, pty_read, pty_hangup);
    } else {
        chr_reader_free(p->reader);
        p->reader = NULL;
        p->timer = g_timeout_add_seconds(LOOK_SECONDS, pty_timer, p);
    }
    chr_be_event(&p->chr, connected ? CHR_EVENT_OPENED : CHR_EVENT_CLOSED);
}

static bool slave_open(PtyChardev *p)
{
    struct pollfd pfd = { .fd = p->fd, .events = POLLOUT };

    return poll(&pfd, 1, 0) >= 0 && !(pfd.revents & POLLHUP);
}

static gboolean pty_timer(gpointer opaque)
{
    PtyChardev *p = opaque;

    if (!slave_open(p))
        return G_SOURCE_CONTINUE;
    p->timer = 0;       /* this source ends by its return value */
    set_connected(p, true);
    return G_SOURCE_REMOVE;
}

static int pty_write(Chardev *c, const uint8_t *buf, int len)
{
    PtyChardev *p = (PtyChardev *)c;
    ssize_t n;

    /* The event of a connection is the main thread's to tell; the bytes may go at once. */
    if (!p->connected && !slave_open(p))
        return len;
    do
        n = write(p->fd, buf, len);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN && p->connected ? 0 : len;
    return n;
}

static void pty_want_write(Chardev *c)
{
    PtyChardev *p = (PtyChardev *)c;

    chr_watch_out(c, p->fd, &p->out_source);
}

static bool pty_open(Chardev *c, GHashTable *opts, GError **err)
{
    PtyChardev *p = (PtyChardev *)c;
    char name[64];
    struct termios t;
    int slave;

    p->fd = -1;
    if (openpty(&p->fd, &slave, NULL, NULL, NULL) < 0) {
        p->fd = -1;
        return error_set_errno(err, errno, "Failed to create PTY");
    }
    if (tcgetattr(slave, &t) == 0) {
        chr_termios_raw(&t);
        tcsetattr(slave, TCSAFLUSH, &t);
    }
    g_strlcpy(name, "?", sizeof(name));
    ptsname_r(p->fd, name, sizeof(name));
    close(slave);
    fcntl(p->fd, F_SETFD, FD_CLOEXEC);
    chr_set_nonblock(p->fd);
    chr_set_filename(c, "pty:%s", name);
    p->timer = g_timeout_add_seconds(LOOK_SECONDS, pty_timer, p);
    printf("char device redirected to %s (label %s)\n", name, c->id);
    fflush(stdout);
    return true;
}

static void pty_close(Chardev *c)
{
    PtyChardev *p = (PtyChardev *)c;

    chr_reader_free(p->reader);
    if (p->out_source)
        g_source_remove(p->out_source);
    if (p->timer)
        g_source_remove(p->timer);
    if (p->fd >= 0)
        close(p->fd);
}

const ChardevType chardev_pty = {
    .name = "pty", .size = sizeof(PtyChardev), .closed_at_first = true, .open = pty_open, .write = pty_write,
    .want_write = pty_want_write, .close = pty_close,
};
