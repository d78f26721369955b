/*
 * -netdev socket (listen, connect, fd) and stream: packets over a byte stream, each behind its length (4 bytes, big-endian).
 *
 * What comes faster than the peer takes it stays in the socket; what the socket does not take stops the sender.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>
#include "net/net-int.h"
#include "util/error.h"
#include "util/iov.h"
#include "util/sockets.h"

enum { HEADER = 4 };

typedef struct Stream {
    NetClient client;
    int fd, listen_fd;
    NetWatch *watch, *listen_watch;
    bool events;
    bool waiting;               /* the peer takes no more now */
    uint8_t *in;                /* HEADER + NET_MAX_PACKET bytes while connected */
    size_t in_len;
    GByteArray *out;            /* the rest of a packet that the socket did not take */
} Stream;

static void update_watch(Stream *s)
{
    if (s->watch)
        net_watch_set(s->watch, (s->waiting ? 0 : G_IO_IN) | (s->out->len ? G_IO_OUT : 0));
}

static void event(Stream *s, bool connected)
{
    struct sockaddr_storage sa = { 0 };
    socklen_t len = sizeof sa;
    g_autofree char *name = NULL;
    json_t *addr;
    char *colon;

    if (!s->events || !net_host.event)
        return;
    if (!connected) {
        net_host.event("NETDEV_STREAM_DISCONNECTED", json_pack("{s:s}", "netdev-id", s->client.name));
        return;
    }
    name = socket_name(s->fd, true);
    getpeername(s->fd, (struct sockaddr *)&sa, &len);
    colon = strrchr(name, ':');
    if (sa.ss_family == AF_UNIX || !colon) {
        addr = json_pack("{s:s,s:s}", "type", "unix", "path", name);
    } else {
        *colon = 0;
        addr = json_pack("{s:s,s:s,s:s}", "type", "inet", "host", name, "port", colon + 1);
    }
    net_host.event("NETDEV_STREAM_CONNECTED", json_pack("{s:s,s:o}", "netdev-id", s->client.name, "addr", addr));
}

/* ---- Connections ---- */

static void disconnect(Stream *s)
{
    if (s->fd < 0)
        return;
    net_watch_free(s->watch);
    s->watch = NULL;
    close(s->fd);
    s->fd = -1;
    g_clear_pointer(&s->in, g_free);
    s->in_len = 0;
    s->waiting = false;
    g_byte_array_set_size(s->out, 0);
    net_client_set_info(&s->client, "%s", "");
    event(s, false);
    if (s->listen_watch)
        net_watch_set(s->listen_watch, G_IO_IN);
    net_flush(&s->client);          /* nobody is there: the peer need not wait */
}

/* Whole packets go on; false: the rest is no packet. */
static bool take_packets(Stream *s)
{
    size_t at = 0;

    while (!s->waiting && s->in_len - at >= HEADER) {
        const uint8_t *p = s->in + at;
        const size_t size = (uint32_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];

        if (size > NET_MAX_PACKET)
            return false;
        if (s->in_len - at < HEADER + size)
            break;
        at += HEADER + size;
        s->waiting = !net_send_buf(&s->client, p + HEADER, size);
        if (s->fd < 0)
            return true;
    }
    memmove(s->in, s->in + at, s->in_len - at);
    s->in_len -= at;
    return true;
}

/* false: the connection is no more. */
static bool read_some(Stream *s)
{
    ssize_t n = recv(s->fd, s->in + s->in_len, HEADER + NET_MAX_PACKET - s->in_len, 0);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    if (!n)
        return false;
    s->in_len += n;
    return take_packets(s);
}

static bool write_some(Stream *s)
{
    ssize_t n = send(s->fd, s->out->data, s->out->len, MSG_NOSIGNAL);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    g_byte_array_remove_range(s->out, 0, n);
    if (!s->out->len)
        net_flush(&s->client);
    return true;
}

static void ready(void *opaque, GIOCondition cond)
{
    Stream *s = opaque;

    if (((cond & G_IO_OUT) && s->out->len && !write_some(s)) ||
        (s->fd >= 0 && (cond & (G_IO_IN | G_IO_HUP | G_IO_ERR)) && !s->waiting && !read_some(s)))
        disconnect(s);
    update_watch(s);
}

static void connected(Stream *s, int fd)
{
    static const int on = 1;

    s->fd = fd;
    s->in = g_malloc(HEADER + NET_MAX_PACKET);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    s->watch = net_watch_new(fd, ready, s);
    event(s, true);
}

static void show_peer(Stream *s, const char *what)
{
    g_autofree char *name = socket_name(s->fd, true);

    if (s->events && socket_is_unix(s->fd))
        net_client_set_info(&s->client, "unix:%s", name);
    else if (s->events)
        net_client_set_info(&s->client, "tcp:%s", name);
    else
        net_client_set_info(&s->client, "socket: %s %s", what, name);
}

static void accept_one(void *opaque, GIOCondition cond)
{
    Stream *s = opaque;
    int fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0)
        return;
    net_watch_set(s->listen_watch, 0);
    connected(s, fd);
    show_peer(s, "connection from");
}

/* ---- The client ---- */

static bool stream_can_receive(NetClient *c)
{
    return !((Stream *)c)->out->len;
}

static bool stream_receive(NetClient *c, const struct iovec *iov, unsigned n, size_t size)
{
    Stream *s = (Stream *)c;
    uint8_t header[HEADER] = { size >> 24, size >> 16, size >> 8, size };
    struct iovec v[8] = { { header, HEADER } };
    struct msghdr msg = { .msg_iov = v, .msg_iovlen = n + 1 };
    const IoVec all = { v, n + 1 };
    ssize_t done;

    if (s->fd < 0 || n + 1 > G_N_ELEMENTS(v))
        return true;
    memcpy(v + 1, iov, n * sizeof *iov);
    do
        done = sendmsg(s->fd, &msg, MSG_NOSIGNAL);
    while (done < 0 && errno == EINTR);
    if (done < 0 && errno != EAGAIN)
        return true;                /* the reading side finds out */
    done = MAX(done, 0);
    if ((size_t)done < HEADER + size) {
        g_autofree uint8_t *copy = g_malloc(HEADER + size);

        iov_to_buf(&all, 0, copy, HEADER + size);
        g_byte_array_append(s->out, copy + done, HEADER + size - done);
        update_watch(s);
    }
    return true;
}

static void stream_sent(NetClient *c)
{
    Stream *s = (Stream *)c;

    s->waiting = false;
    if (s->fd >= 0 && !take_packets(s))
        disconnect(s);
    update_watch(s);
}

static void stream_close(NetClient *c)
{
    Stream *s = (Stream *)c;

    s->events = false;
    net_watch_free(s->watch);
    net_watch_free(s->listen_watch);
    if (s->fd >= 0)
        close(s->fd);
    if (s->listen_fd >= 0)
        close(s->listen_fd);
    g_free(s->in);
    g_byte_array_unref(s->out);
}

#define STREAM_TYPE(n) { .name = (n), .size = sizeof(Stream), .can_receive = stream_can_receive, .receive = stream_receive, \
                         .sent = stream_sent, .close = stream_close }
static const NetClientType socket_type = STREAM_TYPE("socket"), stream_type = STREAM_TYPE("stream");

NetClient *net_stream_new(const char *id, NetClient *peer, const char *type, int fd, int listen_fd, bool events)
{
    Stream *s = (Stream *)net_client_new(events ? &stream_type : &socket_type, peer, type, id);

    s->events = events;
    s->fd = -1;
    s->listen_fd = listen_fd;
    s->out = g_byte_array_new();
    if (listen_fd >= 0)
        s->listen_watch = net_watch_new(listen_fd, accept_one, s);
    if (fd >= 0) {
        connected(s, fd);
        show_peer(s, "connect to");
    }
    return &s->client;
}

/* ---- -netdev stream ---- */

static const NetParam stream_params[] = { { "addr", NET_TEXT, .prefix = true }, { "server", NET_BOOL }, { 0 } };

static bool stream_address(Opts *o, SocketAddress *a, GError **err)
{
    const char *type = opts_get(o, "addr.type");

    if (!type)
        return error_set(err, "Parameter 'addr.type' is missing");
    if (!strcmp(type, "unix")) {
        a->path = g_strdup(opts_get(o, "addr.path"));
        a->abstract = net_opt_bool(o, "addr.abstract", false);
        a->loose = !net_opt_bool(o, "addr.tight", true);
        return a->path || error_set(err, "Parameter 'addr.path' is missing");
    }
    if (strcmp(type, "inet"))
        return error_set(err, "Parameter 'addr.type' does not accept value '%s'", type);
    a->host = g_strdup(opts_get(o, "addr.host"));
    a->port = g_strdup(opts_get(o, "addr.port"));
    a->to = net_opt_num(o, "addr.to", 0);
    a->ipv4 = net_opt_bool(o, "addr.ipv4", false);
    a->ipv6 = net_opt_bool(o, "addr.ipv6", false);
    return (a->host && a->port) || error_set(err, "Parameter 'addr.%s' is missing", a->host ? "port" : "host");
}

static bool any_address(Opts *o)
{
    for (unsigned i = 0; i < o->list->len; i++)
        if (g_str_has_prefix(g_array_index(o->list, Opt, i).name, "addr."))
            return true;
    return false;
}

/* A peer that is not there (yet) is no reason not to start. */
static NetClient *stream_connect(const char *id, NetClient *peer, const char *type, const SocketAddress *a, bool events)
{
    g_autoptr(GError) why = NULL;
    int fd = socket_connect(a, &why);
    NetClient *c;

    if (fd < 0)
        warn_report("netdev %s: %s", id, why->message);
    c = net_stream_new(id, peer, type, fd, -1, events);
    if (fd < 0 && events)
        net_client_set_info(c, "connection error");
    return c;
}

static NetClient *open_stream(const char *id, NetClient *peer, Opts *o, GError **err)
{
    const char *type = opts_get(o, "addr.type");
    const bool server = net_opt_bool(o, "server", false);
    SocketAddress a = { 0 };
    NetClient *c = NULL;
    int fd;

    if (!any_address(o)) {
        error_set(err, "Parameter 'addr' is missing");
        return NULL;
    }
    if (type && !strcmp(type, "fd")) {
        fd = net_fd_option(id, opts_get(o, "addr.str") ? opts_get(o, "addr.str") : "", err);
        return fd < 0 ? NULL : net_stream_new(id, peer, "stream", server ? -1 : fd, server ? fd : -1, true);
    }
    if (stream_address(o, &a, err)) {
        fd = server ? socket_listen(&a, err) : -1;
        if (!server)
            c = stream_connect(id, peer, "stream", &a, true);
        else if (fd >= 0)
            c = net_stream_new(id, peer, "stream", -1, fd, true);
    }
    socket_address_clear(&a);
    return c;
}

const NetdevType netdev_stream = { "stream", stream_params, open_stream };

/* ---- -netdev socket ---- */

static const NetParam socket_params[] = { { "fd", NET_TEXT }, { "listen", NET_TEXT }, { "connect", NET_TEXT }, { "mcast", NET_TEXT },
                                          { "localaddr", NET_TEXT }, { "udp", NET_TEXT }, { 0 } };

static bool tcp_address(SocketAddress *a, const char *text, GError **err)
{
    struct sockaddr_in sin;
    const char *colon = strrchr(text, ':');

    if (!net_parse_inet(text, &sin, err))
        return false;
    a->host = g_strndup(text, colon - text);
    a->port = g_strdup(colon + 1);
    a->ipv4 = true;
    return true;
}

static NetClient *open_tcp(const char *id, NetClient *peer, const char *text, bool server, GError **err)
{
    SocketAddress a = { 0 };
    NetClient *c = NULL;

    if (tcp_address(&a, text, err)) {
        int fd = server ? socket_listen(&a, err) : -1;

        if (!server)
            c = stream_connect(id, peer, "socket", &a, false);
        else if (fd >= 0)
            c = net_stream_new(id, peer, "socket", -1, fd, false);
    }
    socket_address_clear(&a);
    return c;
}

static NetClient *open_fd(const char *id, NetClient *peer, const char *text, GError **err)
{
    int fd = net_fd_option(id, text, err), kind = 0;
    socklen_t len = sizeof kind;
    NetClient *c;

    if (fd < 0)
        return NULL;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &kind, &len) < 0) {
        error_set(err, "can't get socket option SO_TYPE");
        return NULL;
    }
    if (kind != SOCK_STREAM && kind != SOCK_DGRAM) {
        error_set(err, "socket type=%d for fd=%d must be either SOCK_DGRAM or SOCK_STREAM", kind, fd);
        return NULL;
    }
    c = kind == SOCK_STREAM ? net_stream_new(id, peer, "socket", fd, -1, false) : net_dgram_new(id, peer, "socket", fd, NULL, 0);
    net_client_set_info(c, "socket: fd=%d", fd);
    return c;
}

/* mcast= and udp= (dgram.c). */
static NetClient *open_datagrams(const char *id, NetClient *peer, Opts *o, GError **err)
{
    const char *mcast = opts_get(o, "mcast"), *udp = opts_get(o, "udp"), *local = opts_get(o, "localaddr");
    NetClient *c;

    if (udp && !local) {
        error_set(err, "localaddr= is mandatory with udp=");
        return NULL;
    }
    c = mcast ? net_mcast_open(id, peer, "socket", mcast, local, err) : net_udp_open(id, peer, "socket", local, udp, err);
    if (c)
        net_client_set_info(c, mcast ? "socket: mcast=%s" : "socket: udp=%s", mcast ? mcast : udp);
    return c;
}

static NetClient *open_socket(const char *id, NetClient *peer, Opts *o, GError **err)
{
    const char *fd = opts_get(o, "fd"), *to = opts_get(o, "listen"), *from = opts_get(o, "connect");
    const unsigned n = !!fd + !!to + !!from + opts_has(o, "mcast") + opts_has(o, "udp");

    if (n != 1) {
        error_set(err, "exactly one of listen=, connect=, mcast= or udp= is required");
        return NULL;
    }
    if (opts_has(o, "localaddr") && !opts_has(o, "mcast") && !opts_has(o, "udp")) {
        error_set(err, "localaddr= is only valid with mcast= or udp=");
        return NULL;
    }
    if (fd)
        return open_fd(id, peer, fd, err);
    return to || from ? open_tcp(id, peer, to ? to : from, to != NULL, err) : open_datagrams(id, peer, o, err);
}

const NetdevType netdev_socket = { "socket", socket_params, open_socket };
