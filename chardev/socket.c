/*
 * Stream sockets: TCP and Unix, server and client, raw and telnet.
 *
 * A server has one client at a time; the next one waits in the kernel's queue until the first has left.  A client
 * that was told to reconnect does so from a thread (names take their time to resolve), for ever.
 * Not here: TLS, WebSocket, TN3270.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "chardev/char-int.h"
#include "chardev/telnet.h"
#include "util/error.h"
#include "util/sockets.h"

#define FDS_MAX 16              /* descriptors in one message */

typedef struct ConnectJob ConnectJob;

typedef struct SocketChardev {
    Chardev chr;
    /* from the options */
    SocketAddress addr;
    bool server, telnet, nodelay, unlink_path, is_fd;
    unsigned reconnect;         /* seconds; 0: never */
    /* the state of the connection */
    int listen_fd, fd;
    bool dead;                  /* writing failed: the main thread is about to disconnect */
    bool complained;            /* that connecting fails, until it works again */
    Telnet tn;
    GArray *fds;                /* that came with the bytes, and nobody has taken */
    ChrReader *reader;
    guint accept_source, out_source, reconnect_timer, drop_source;
    ConnectJob *job;
} SocketChardev;

static void disconnect(SocketChardev *s);

/* ---- Names ---- */

static const char *protocol(const SocketChardev *s)
{
    return s->addr.path ? "unix" : s->telnet ? "telnet" : "tcp";
}

static void name_disconnected(SocketChardev *s)
{
    g_autofree char *where = NULL;

    if (s->listen_fd >= 0)
        where = socket_name(s->listen_fd, false);
    else if (s->addr.path)
        where = g_strdup(s->addr.path);
    else if (s->addr.host)
        where = g_strdup_printf(strchr(s->addr.host, ':') ? "[%s]:%s" : "%s:%s", s->addr.host, s->addr.port);
    chr_set_filename(&s->chr, "disconnected:%s:%s%s", protocol(s), where ? where : "", s->server ? ",server=on" : "");
}

static void name_connected(SocketChardev *s)
{
    g_autofree char *here = socket_name(s->fd, false), *there = socket_name(s->fd, true);
    const char *server = s->server ? ",server=on" : "";

    if (s->addr.path)
        chr_set_filename(&s->chr, "unix:%s%s", here, server);
    else
        chr_set_filename(&s->chr, "%s:%s%s <-> %s", protocol(s), here, server, there);
}

/* ---- Input ---- */

static void drop_fds(SocketChardev *s)
{
    for (unsigned i = 0; i < s->fds->len; i++)
        close(g_array_index(s->fds, int, i));
    g_array_set_size(s->fds, 0);
}

/* The descriptors of the last message that brought some; those of earlier ones are closed. */
static void keep_fds(SocketChardev *s, struct msghdr *msg)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        drop_fds(s);
        g_array_append_vals(s->fds, CMSG_DATA(c), (c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    }
}

static ssize_t receive(SocketChardev *s, uint8_t *buf, size_t len)
{
    union { struct cmsghdr align; char buf[CMSG_SPACE(FDS_MAX * sizeof(int))]; } control;
    struct iovec iov = { buf, len };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
    ssize_t n;

    if (!s->addr.path)
        return recv(s->fd, buf, len, MSG_DONTWAIT);
    n = recvmsg(s->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n > 0 && msg.msg_controllen)
        keep_fds(s, &msg);
    return n;
}

static void socket_read(Chardev *c)
{
    SocketChardev *s = (SocketChardev *)c;
    uint8_t buf[4096];
    ssize_t n = receive(s, buf, MIN(chr_be_can_read(c), (int)sizeof(buf)));
    int breaks = 0;

    if (n <= 0) {
        if (n == 0 || (errno != EAGAIN && errno != EINTR))
            disconnect(s);
        return;
    }
    if (s->telnet)
        n = telnet_decode(&s->tn, buf, n, &breaks);
    while (breaks--)
        chr_be_event(c, CHR_EVENT_BREAK);
    chr_be_read(c, buf, n);
}

static void socket_hangup(Chardev *c)
{
    disconnect((SocketChardev *)c);
}

int chr_take_fd(CharFrontend *f)
{
    SocketChardev *s = f->chr && f->chr->type == &chardev_socket ? (SocketChardev *)f->chr : NULL;
    int fd;

    if (!s || !s->fds->len)
        return -1;
    fd = g_array_index(s->fds, int, 0);
    g_array_remove_index(s->fds, 0);
    return fd;
}

/* ---- Output ---- */

static gboolean drop_later(gpointer opaque)
{
    SocketChardev *s = opaque;

    s->drop_source = 0;
    disconnect(s);
    return G_SOURCE_REMOVE;
}

/* How many bytes of buf were sent; a failure counts as all. */
static int send_some(SocketChardev *s, const uint8_t *buf, int len)
{
    ssize_t n;

    do
        n = send(s->fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n >= 0)
        return n;
    if (errno == EAGAIN)
        return 0;
    s->dead = true;
    if (!s->drop_source)
        s->drop_source = g_idle_add_full(G_PRIORITY_DEFAULT, drop_later, s, NULL);
    return len;
}

/* A byte 255 goes out twice. */
static int send_telnet(SocketChardev *s, const uint8_t *buf, int len)
{
    static const uint8_t iac[2] = { 255, 255 };
    int done = 0;

    while (done < len && !s->dead) {
        const uint8_t *p = memchr(buf + done, 255, len - done);
        int plain = p ? p - (buf + done) : len - done, n;

        if (plain) {
            n = send_some(s, buf + done, plain);
            done += n;
            if (n < plain)
                return done;
            continue;
        }
        n = send_some(s, iac, s->tn.half ? 1 : 2);
        if (n == 0)
            return done;
        s->tn.half = !s->tn.half && n == 1;
        done += !s->tn.half;
    }
    return len;
}

static int socket_write(Chardev *c, const uint8_t *buf, int len)
{
    SocketChardev *s = (SocketChardev *)c;

    if (s->fd < 0 || s->dead)
        return len;
    return s->telnet ? send_telnet(s, buf, len) : send_some(s, buf, len);
}

static void socket_want_write(Chardev *c)
{
    SocketChardev *s = (SocketChardev *)c;

    if (s->fd >= 0)
        chr_watch_out(c, s->fd, &s->out_source);
    else
        c->wants_write = false;     /* nothing waits for nobody */
}

/* ---- Coming and going ---- */

static void remove_source(guint *id)
{
    if (*id)
        g_source_remove(*id);
    *id = 0;
}

static gboolean on_accept(gint fd, GIOCondition cond, gpointer opaque);
static gboolean on_reconnect_timer(gpointer opaque);

static void wait_for_client(SocketChardev *s)
{
    if (s->listen_fd >= 0 && !s->accept_source)
        s->accept_source = g_unix_fd_add(s->listen_fd, G_IO_IN, on_accept, s);
}

static void connected(SocketChardev *s, int fd)
{
    static const int on = 1;

    remove_source(&s->accept_source);
    s->fd = fd;
    s->dead = false;
    s->complained = false;
    memset(&s->tn, 0, sizeof(s->tn));
    chr_set_nonblock(fd);
    if (!s->addr.path && s->nodelay)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    name_connected(s);
    if (s->telnet)
        send_some(s, telnet_hello, sizeof(telnet_hello));
    s->reader = chr_reader_new(&s->chr, fd, socket_read, socket_hangup);
    chr_be_event(&s->chr, CHR_EVENT_OPENED);
}

static void disconnect(SocketChardev *s)
{
    if (s->fd < 0)
        return;
    chr_reader_free(s->reader);
    s->reader = NULL;
    remove_source(&s->out_source);
    remove_source(&s->drop_source);
    close(s->fd);
    s->fd = -1;
    drop_fds(s);
    name_disconnected(s);
    wait_for_client(s);
    if (s->reconnect && !s->server)
        s->reconnect_timer = g_timeout_add_seconds(s->reconnect, on_reconnect_timer, s);
    chr_be_event(&s->chr, CHR_EVENT_CLOSED);
}

static gboolean on_accept(gint listen_fd, GIOCondition cond, gpointer opaque)
{
    SocketChardev *s = opaque;
    int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);

    if (fd >= 0)
        connected(s, fd);
    return G_SOURCE_CONTINUE;       /* connected() has removed it, if it was to go */
}

/* ---- Connecting in a thread ---- */

struct ConnectJob {
    SocketChardev *s;       /* main thread; NULL: the chardev has gone */
    SocketAddress addr;
    int fd;
    GError *err;
};

static gboolean job_done(gpointer opaque)
{
    ConnectJob *j = opaque;
    SocketChardev *s = j->s;

    if (s) {
        s->job = NULL;
        if (j->fd >= 0) {
            connected(s, j->fd);
        } else {
            if (!s->complained)
                error_report("Unable to connect character device %s: %s", s->chr.id, j->err->message);
            s->complained = true;
            s->reconnect_timer = g_timeout_add_seconds(s->reconnect, on_reconnect_timer, s);
        }
    } else if (j->fd >= 0) {
        close(j->fd);
    }
    g_clear_error(&j->err);
    socket_address_clear(&j->addr);
    g_free(j);
    return G_SOURCE_REMOVE;
}

static gpointer job_thread(gpointer opaque)
{
    ConnectJob *j = opaque;

    j->fd = socket_connect(&j->addr, &j->err);
    g_idle_add_full(G_PRIORITY_DEFAULT, job_done, j, NULL);
    return NULL;
}

static void start_connecting(SocketChardev *s)
{
    ConnectJob *j = g_new0(ConnectJob, 1);

    j->s = s;
    socket_address_copy(&j->addr, &s->addr);
    s->job = j;
    g_thread_unref(g_thread_new("connect", job_thread, j));
}

static gboolean on_reconnect_timer(gpointer opaque)
{
    SocketChardev *s = opaque;

    s->reconnect_timer = 0;
    start_connecting(s);
    return G_SOURCE_REMOVE;
}

/* ---- Opening and closing ---- */

static bool check_options(GHashTable *opts, GError **err)
{
    static const char *const absent[] = { "tls-creds", "tls-authz", "websocket", "tn3270" };
    const char *path = chr_opt(opts, "path"), *host = chr_opt(opts, "host"), *fd = chr_opt(opts, "fd");
    bool server = chr_opt_bool(opts, "server", false);

    for (unsigned i = 0; i < G_N_ELEMENTS(absent); i++) {
        const char *v = chr_opt(opts, absent[i]);

        if (v && strcmp(v, "off"))
            return error_set(err, "chardev: socket: '%s' is not supported", absent[i]);
    }
    if (!!path + !!host + !!fd > 1)
        return error_set(err, "None or one of 'path', 'fd' or 'host' option required.");
    if (!path && !fd && !host && !chr_opt(opts, "port"))
        return error_set(err, "chardev: socket: no path, no port and no fd given");
    if (host && !chr_opt(opts, "port"))
        return error_set(err, "chardev: socket: no port given");
    if (path && !*path)
        return error_set(err, "chardev: socket: the path is empty");
    if (server && chr_opt(opts, "reconnect"))
        return error_set(err, "'reconnect' option is incompatible with socket in server listen mode");
    if (!server && chr_opt(opts, "wait"))
        return error_set(err, "'wait' option is incompatible with socket in client connect mode");
    return true;
}

static void read_options(SocketChardev *s, GHashTable *opts)
{
    s->addr = (SocketAddress){
        .path = g_strdup(chr_opt(opts, "path")), .host = g_strdup(chr_opt(opts, "host")),
        .port = g_strdup(chr_opt(opts, "port")), .to = MIN(chr_opt_num(opts, "to", 0), 65535),
        .ipv4 = chr_opt_bool(opts, "ipv4", false), .ipv6 = chr_opt_bool(opts, "ipv6", false),
        .abstract = chr_opt_bool(opts, "abstract", false), .loose = !chr_opt_bool(opts, "tight", true),
    };
    s->server = chr_opt_bool(opts, "server", false);
    s->telnet = chr_opt_bool(opts, "telnet", false);
    s->nodelay = chr_opt_bool(opts, "nodelay", false) || !chr_opt_bool(opts, "delay", true);
    s->reconnect = MIN(chr_opt_num(opts, "reconnect", 0), 86400);
}

/* fd=N: a listening socket for a server, a connected one otherwise. */
static bool take_fd(SocketChardev *s, const char *arg, GError **err)
{
    socklen_t len = sizeof(int);
    int fd, type;
    char *end;

    errno = 0;
    fd = strtol(arg, &end, 10);
    if (end == arg || *end || errno || fd < 0)
        return error_set(err, "Unable to parse FD number %s", arg);
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0)
        return error_set(err, "File descriptor '%s' is not a socket", arg);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    s->is_fd = true;
    if (socket_is_unix(fd))
        s->addr.path = socket_name(fd, false);
    *(s->server ? &s->listen_fd : &s->fd) = fd;
    return true;
}

/* wait=on: the machine is not there yet, so there is nothing to do but wait. */
static bool wait_for_first(SocketChardev *s, GError **err)
{
    struct pollfd p = { .fd = s->listen_fd, .events = POLLIN };
    int fd;

    info_report("QEMU waiting for connection on: %s", s->chr.filename);
    do {
        poll(&p, 1, -1);
        fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    } while (fd < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED));
    if (fd < 0)
        return error_set_errno(err, errno, "Failed to accept a connection");
    connected(s, fd);
    return true;
}

static bool open_server(SocketChardev *s, bool wait, GError **err)
{
    if (!s->is_fd) {
        s->listen_fd = socket_listen(&s->addr, err);
        if (s->listen_fd < 0)
            return false;
        s->unlink_path = s->addr.path && !s->addr.abstract;
    }
    name_disconnected(s);
    if (wait && !wait_for_first(s, err))
        return false;
    chr_set_nonblock(s->listen_fd);
    if (s->fd < 0)
        wait_for_client(s);
    return true;
}

static bool open_client(SocketChardev *s, GError **err)
{
    int fd = s->fd;

    name_disconnected(s);
    if (s->reconnect && fd < 0) {
        start_connecting(s);
        return true;
    }
    if (fd < 0)
        fd = socket_connect(&s->addr, err);
    if (fd < 0)
        return false;
    connected(s, fd);
    return true;
}

static bool socket_open(Chardev *c, GHashTable *opts, GError **err)
{
    SocketChardev *s = (SocketChardev *)c;
    const char *fd = chr_opt(opts, "fd");

    s->listen_fd = s->fd = -1;
    s->fds = g_array_new(false, false, sizeof(int));
    if (!check_options(opts, err))
        return false;
    read_options(s, opts);
    if (fd && !take_fd(s, fd, err))
        return false;
    return s->server ? open_server(s, chr_opt_bool(opts, "wait", true), err) : open_client(s, err);
}

static void socket_close(Chardev *c)
{
    SocketChardev *s = (SocketChardev *)c;

    chr_reader_free(s->reader);
    remove_source(&s->accept_source);
    remove_source(&s->out_source);
    remove_source(&s->reconnect_timer);
    remove_source(&s->drop_source);
    if (s->job)
        s->job->s = NULL;
    if (s->fd >= 0)
        close(s->fd);
    if (s->listen_fd >= 0)
        close(s->listen_fd);
    if (s->unlink_path)
        unlink(s->addr.path);
    drop_fds(s);
    g_array_unref(s->fds);
    socket_address_clear(&s->addr);
}

const ChardevType chardev_socket = {
    .name = "socket", .size = sizeof(SocketChardev), .closed_at_first = true, .open = socket_open, .write = socket_write,
    .want_write = socket_want_write, .close = socket_close,
};
