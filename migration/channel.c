/*
 * Channels with a file descriptor: sockets, pipes to commands, files.
 *
 * Descriptors do not block; who waits polls for the descriptor and for the migration's cancel event.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "migration/channel.h"
#include "migration/format.h"
#include "util/error.h"

/* How long a peer that has everything may take to close its end. */
#define CLOSE_WAIT_MS 5000

typedef struct FdChannel {
    Channel ch;
    int fd, cancel_fd;          /* cancel_fd: -1, or an eventfd of the migration's */
    GPid pid;                   /* 0: no command */
    bool socket, answers;       /* answers: there is a return path */
    bool answered;              /* the target has said how it went */
    SshTunnel *ssh;             /* or NULL */
    bool lazy;                  /* a file whose pages are to stay in it until they are touched */
    uint64_t base;              /* where the stream begins in the file */
} FdChannel;

/* ---- Reading and writing ---- */

static int wait_for(FdChannel *f, short events, int timeout)
{
    struct pollfd p[2] = { { .fd = f->fd, .events = events }, { .fd = f->cancel_fd, .events = POLLIN } };
    int r;

    do
        r = poll(p, 2, timeout);
    while (r < 0 && errno == EINTR);
    if (r < 0)
        return -errno;
    if (p[1].revents)
        return -ECANCELED;
    return r ? 0 : -ETIMEDOUT;
}

static int advance(struct iovec **iov, int n, size_t done)
{
    while (n && done >= (*iov)->iov_len) {
        done -= (*iov)->iov_len;
        ++*iov;
        n--;
    }
    if (n) {
        (*iov)->iov_base = (char *)(*iov)->iov_base + done;
        (*iov)->iov_len -= done;
    }
    return n;
}

static int fd_write(Channel *c, struct iovec *iov, int n)
{
    FdChannel *f = (FdChannel *)c;

    while (n) {
        struct msghdr m = { .msg_iov = iov, .msg_iovlen = n };
        ssize_t r = f->socket ? sendmsg(f->fd, &m, MSG_NOSIGNAL) : writev(f->fd, iov, n);

        if (r < 0 && errno != EAGAIN && errno != EINTR)
            return -errno;
        if (r < 0) {
            int w = errno == EAGAIN ? wait_for(f, POLLOUT, -1) : 0;

            if (w < 0)
                return w;
            continue;
        }
        n = advance(&iov, n, r);
    }
    return 0;
}

static ssize_t fd_read(Channel *c, void *buf, size_t n)
{
    FdChannel *f = (FdChannel *)c;

    for (;;) {
        ssize_t r = read(f->fd, buf, n);
        int w;

        if (r >= 0)
            return r;
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN)
            return -errno;
        w = wait_for(f, POLLIN, -1);
        if (w < 0)
            return w;
    }
}

/* ---- The end ---- */

/* Reads all of n bytes; 0: the end, or -errno. */
static ssize_t read_answer(FdChannel *f, uint8_t *buf, size_t n, int timeout)
{
    for (size_t done = 0; done < n;) {
        int w = wait_for(f, POLLIN, timeout);
        ssize_t r = w < 0 ? w : read(f->fd, buf + done, n - done);

        if (w < 0)
            return w;
        if (r < 0 && errno != EAGAIN && errno != EINTR)
            return -errno;
        if (r == 0)
            return 0;
        done += MAX(r, 0);
    }
    return n;
}

/* The peer closes when it has loaded everything. A reset means that it went away with data unread, and a message that
 * the end is near (RP_SHUT) has its verdict. */
static bool finish_socket(FdChannel *f, GError **err)
{
    uint8_t m[8];

    if (!f->answers)
        shutdown(f->fd, SHUT_WR);
    for (;;) {
        ssize_t r = read_answer(f, m, 4, f->answers ? -1 : CLOSE_WAIT_MS);
        unsigned len = r == 4 ? m[2] << 8 | m[3] : 0;

        if (r == -ECONNRESET || r == -EPIPE || (r == 0 && f->answers))
            return error_set(err, "the other side closed the connection before it had loaded everything");
        if (r <= 0)
            return !f->answers || error_set_errno(err, r, "no answer on the return path");
        if (len != 4 || read_answer(f, m + 4, 4, CLOSE_WAIT_MS) != 4)
            return error_set(err, "the other side's answer makes no sense");
        f->answered = m[1] == RP_SHUT;
        if (f->answered)
            return !(m[4] | m[5] | m[6] | m[7]) || error_set(err, "the other side could not load it: its messages say why");
    }
}

static bool finish_command(FdChannel *f, GError **err)
{
    g_autoptr(GError) why = NULL;
    int status;

    close(f->fd);
    f->fd = -1;
    for (;;) {
        pid_t r = waitpid(f->pid, &status, f->cancel_fd >= 0 ? WNOHANG : 0);

        if (r == f->pid)
            break;
        if (r < 0 && errno != EINTR)
            return true;
        if (r == 0) {
            struct pollfd p = { .fd = f->cancel_fd, .events = POLLIN };

            if (poll(&p, 1, 10) > 0)
                return error_set(err, "cancelled while the command was still running");
        }
    }
    f->pid = 0;
    return g_spawn_check_wait_status(status, &why) || error_set(err, "the command failed: %s", why->message);
}

static bool fd_finish(Channel *c, GError **err)
{
    FdChannel *f = (FdChannel *)c;

    if (f->pid)
        return finish_command(f, err);
    if (f->socket)
        return finish_socket(f, err);
    return true;
}

static void reaped(GPid pid, gint status, gpointer opaque)
{
    g_spawn_close_pid(pid);
}

static void fd_free(Channel *c)
{
    FdChannel *f = (FdChannel *)c;

    if (f->fd >= 0)
        close(f->fd);
    if (f->pid)
        g_child_watch_add(f->pid, reaped, NULL);
    ssh_close(f->ssh);
    g_free(f);
}

static const ChannelOps fd_ops = { fd_write, fd_read, fd_finish, fd_free };

bool channel_answer(Channel *c, unsigned type, uint32_t value)
{
    uint8_t m[8] = { 0, type, 0, 4, value >> 24, value >> 16, value >> 8, value };
    FdChannel *f = (FdChannel *)c;

    return c->ops == &fd_ops && f->socket && send(f->fd, m, sizeof m, MSG_NOSIGNAL | MSG_DONTWAIT) == sizeof m;
}

bool channel_expect_answer(Channel *c)
{
    FdChannel *f = (FdChannel *)c;

    return c->ops == &fd_ops && (f->answers = f->socket);
}

static FdChannel *fd_channel(int fd, int cancel_fd)
{
    FdChannel *f = g_new0(FdChannel, 1);
    int type;
    socklen_t len = sizeof type;

    *f = (FdChannel){ .ch.ops = &fd_ops, .fd = fd, .cancel_fd = cancel_fd };
    f->socket = getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0;
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    return f;
}

bool channel_finish(Channel *c, GError **err)
{
    return !c->ops->finish || c->ops->finish(c, err);
}

void channel_explain(Channel *c, GError **err)
{
    FdChannel *f = (FdChannel *)c;

    if (c->ops != &fd_ops || !f->ssh || f->answered)
        return;
    shutdown(f->fd, SHUT_RDWR);
    ssh_explain(f->ssh, err);
}

void channel_free(Channel *c)
{
    if (c)
        c->ops->free(c);
}

int channel_fd(Channel *c)
{
    return c->ops == &fd_ops ? ((FdChannel *)c)->fd : -1;
}

bool channel_is_lazy(Channel *c, uint64_t *base)
{
    FdChannel *f = (FdChannel *)c;

    if (c->ops != &fd_ops || !f->lazy)
        return false;
    *base = f->base;
    return true;
}

bool channel_seek(Channel *c, uint64_t at)
{
    FdChannel *f = (FdChannel *)c;

    return c->ops == &fd_ops && lseek(f->fd, f->base + at, SEEK_SET) >= 0;
}

bool channel_is_file(Channel *c)
{
    struct stat st;

    return c->ops == &fd_ops && fstat(((FdChannel *)c)->fd, &st) == 0 && S_ISREG(st.st_mode);
}

/* ---- Addresses ---- */

/* Takes an option that we know off the end of "PATH,offset=N,lazy=on". */
static bool parse_file_option(MigUri *u, char *option, GError **err)
{
    char *end;

    if (g_str_has_prefix(option, "offset=")) {
        u->offset = g_ascii_strtoull(option + 7, &end, 0);
        return (option[7] && !*end) || error_set(err, "file URI: offset '%s' is not a number", option + 7);
    }
    u->lazy = !strcmp(option + 5, "on");
    return u->lazy || !strcmp(option + 5, "off") || error_set(err, "file URI: lazy can be 'on' or 'off', not '%s'", option + 5);
}

static bool parse_file(MigUri *u, const char *text, bool incoming, GError **err)
{
    char *comma;

    u->text = g_strdup(text);
    while ((comma = strrchr(u->text, ',')) &&
           (g_str_has_prefix(comma, ",offset=") || (incoming && g_str_has_prefix(comma, ",lazy=")))) {
        if (!parse_file_option(u, comma + 1, err))
            return false;
        *comma = 0;
    }
    return *u->text || error_set(err, "file URI: a file name is missing");
}

bool uri_parse(MigUri *u, const char *text, bool incoming, GError **err)
{
    *u = (MigUri){ 0 };
    if (g_str_has_prefix(text, "tcp:") || g_str_has_prefix(text, "unix:")) {
        u->kind = text[0] == 't' ? URI_TCP : URI_UNIX;
        return socket_address_parse(&u->addr, text, err);
    }
    if (g_str_has_prefix(text, "exec:")) {
        u->kind = URI_EXEC;
        u->text = g_strdup(text + 5);
        return true;
    }
    if (g_str_has_prefix(text, "fd:")) {
        u->kind = URI_FD;
        u->text = g_strdup(text + 3);
        return true;
    }
    if (g_str_has_prefix(text, "file:")) {
        u->kind = URI_FILE;
        return parse_file(u, text + 5, incoming, err);
    }
    if (g_str_has_prefix(text, "ssh://") && !incoming) {
        u->kind = URI_SSH;
        return ssh_parse(&u->ssh, text + 6, err);
    }
    if (g_str_has_prefix(text, "ssh://")) {
        u->kind = URI_TCP;
        u->addr.host = g_strdup("127.0.0.1");
        u->addr.port = ssh_parse_incoming(text + 6, err);
        return u->addr.port;
    }
    if (incoming && (!strcmp(text, "stdio") || !strcmp(text, "defer"))) {
        u->kind = text[0] == 's' ? URI_STDIO : URI_DEFER;
        return true;
    }
    return error_set(err, incoming ? "unknown migration protocol: %s" : "Parameter 'uri' expects a valid migration protocol",
                     text);
}

void uri_clear(MigUri *u)
{
    socket_address_clear(&u->addr);
    g_clear_pointer(&u->text, g_free);
    ssh_target_clear(&u->ssh);
}

/* ---- Opening ---- */

/* Runs the command with the pipe's other end as its stdin (write) or stdout. */
static FdChannel *run_command(const char *command, bool write, int cancel_fd, GError **err)
{
    const char *argv[] = { "/bin/sh", "-c", command, NULL };
    g_autoptr(GError) why = NULL;
    FdChannel *f;
    GPid pid;
    int fd;

    if (!g_spawn_async_with_pipes(NULL, (char **)argv, NULL,
                                  G_SPAWN_DO_NOT_REAP_CHILD | (write ? 0 : G_SPAWN_CHILD_INHERITS_STDIN), NULL, NULL, &pid,
                                  write ? &fd : NULL, write ? NULL : &fd, NULL, &why)) {
        error_set(err, "cannot run '%s': %s", command, why->message);
        return NULL;
    }
    f = fd_channel(fd, cancel_fd);
    f->pid = pid;
    return f;
}

static int open_file(const MigUri *u, bool write, GError **err)
{
    int fd = open(u->text, (write ? O_WRONLY | O_CREAT | (u->offset ? 0 : O_TRUNC) : O_RDONLY) | O_CLOEXEC, 0660);

    if (fd < 0) {
        error_set_errno(err, errno, "cannot open '%s'", u->text);
        return -1;
    }
    if (u->offset && lseek(fd, u->offset, SEEK_SET) < 0) {
        error_set_errno(err, errno, "cannot go to offset %" G_GUINT64_FORMAT " of '%s'", u->offset, u->text);
        close(fd);
        return -1;
    }
    return fd;
}

Channel *channel_open(const MigUri *u, int fd, int cancel_fd, GError **err)
{
    SshTunnel *ssh = NULL;
    FdChannel *f;

    switch (u->kind) {
    case URI_EXEC:
        f = run_command(u->text, true, cancel_fd, err);
        return f ? &f->ch : NULL;
    case URI_TCP: case URI_UNIX:
        fd = socket_connect(&u->addr, err);
        break;
    case URI_SSH:
        ssh = ssh_open(&u->ssh, &fd, err);
        if (!ssh)
            return NULL;
        break;
    case URI_FILE:
        fd = open_file(u, true, err);
        break;
    default:
        break;
    }
    if (fd < 0)
        return NULL;
    f = fd_channel(fd, cancel_fd);
    f->ssh = ssh;
    return &f->ch;
}

Channel *channel_open_incoming(const MigUri *u, int fd, GError **err)
{
    FdChannel *f;

    switch (u->kind) {
    case URI_EXEC:
        f = run_command(u->text, false, -1, err);
        return f ? &f->ch : NULL;
    case URI_FILE:
        fd = open_file(u, false, err);
        break;
    case URI_STDIO:
        fd = dup(0);
        break;
    default:
        break;
    }
    if (fd < 0)
        return NULL;
    f = fd_channel(fd, -1);
    f->lazy = u->lazy;
    f->base = u->offset;
    if (!f->lazy || channel_is_file(&f->ch))
        return &f->ch;
    error_set(err, "lazy=on needs a regular file, which '%s' is not", u->text);
    fd_free(&f->ch);
    return NULL;
}

Channel *channel_accepted(int fd)
{
    return &fd_channel(fd, -1)->ch;
}

int uri_listen(const MigUri *u, GError **err)
{
    return socket_listen(&u->addr, err);
}
