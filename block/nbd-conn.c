/* NBD server: a socket, read and written by coroutines. */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>
#include "block/nbd-int.h"

static void watch(NbdConn *c)
{
    aio_set_events(c->fd, (c->reader ? AIO_READ : 0) | (c->writer ? AIO_WRITE : 0));
}

static void wake(Coroutine **who)
{
    Coroutine *co = *who;

    *who = NULL;
    if (!co)
        return;
    if (coroutine_in())
        coroutine_wake(co);
    else
        coroutine_enter(co);
}

/* Something can be done, it is not known what: both look. Waking one may free c, so the other is taken note of before. */
static void ready(void *opaque)
{
    NbdConn *c = opaque;
    Coroutine *writer = c->writer;

    if (!c->reader && !writer) {
        aio_set_events(c->fd, 0);
        return;
    }
    c->writer = NULL;
    if (writer)
        coroutine_wake(writer);
    wake(&c->reader);
}

void conn_init(NbdConn *c, int fd)
{
    c->fd = fd;
    aio_add_fd(fd, ready, c);
    aio_set_events(fd, 0);
}

void conn_close(NbdConn *c)
{
    aio_del_fd(c->fd);
    close(c->fd);
    c->fd = -1;
}

void conn_break(NbdConn *c)
{
    shutdown(c->fd, SHUT_RDWR);
}

/* Some bytes, or -errno. */
static ssize_t receive(NbdConn *c, void *buf, size_t bytes)
{
    for (;;) {
        ssize_t n = recv(c->fd, buf, bytes, MSG_DONTWAIT);

        if (n > 0)
            return n;
        if (n == 0)
            return -EPIPE;
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN)
            return -errno;
        c->reader = coroutine_self();
        watch(c);
        coroutine_yield();
    }
}

int conn_read(NbdConn *c, void *buf, size_t bytes)
{
    uint8_t *p = buf;

    while (bytes) {
        size_t now = MIN(bytes, c->in_end - c->in_at);
        ssize_t n;

        if (now) {
            memcpy(p, c->in + c->in_at, now);
            c->in_at += now;
        } else if (bytes >= sizeof(c->in)) {
            n = receive(c, p, bytes);
            if (n < 0)
                return n;
            now = n;
        } else {
            n = receive(c, c->in, sizeof(c->in));
            if (n < 0)
                return n;
            c->in_at = 0;
            c->in_end = n;
        }
        p += now;
        bytes -= now;
    }
    return 0;
}

int conn_skip(NbdConn *c, uint64_t bytes)
{
    uint8_t buf[2048];
    int ret = 0;

    while (bytes && ret == 0) {
        size_t now = MIN(bytes, sizeof(buf));

        ret = conn_read(c, buf, now);
        bytes -= now;
    }
    return ret;
}

int conn_write(NbdConn *c, const IoVec *v)
{
    size_t left = iov_size(v->iov, v->n), done = 0;
    g_autofree struct iovec *iov = g_new(struct iovec, v->n);

    while (left) {
        struct msghdr m = { .msg_iov = iov, .msg_iovlen = iov_slice(v, done, left, iov) };
        ssize_t n = sendmsg(c->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n >= 0) {
            done += n;
            left -= n;
            continue;
        }
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN)
            return -errno;
        c->writer = coroutine_self();
        watch(c);
        coroutine_yield();
    }
    return 0;
}

int conn_write_buf(NbdConn *c, const void *buf, size_t bytes)
{
    struct iovec iov;
    IoVec v = iov_one(&iov, buf, bytes);

    return conn_write(c, &v);
}
