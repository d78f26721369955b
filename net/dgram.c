/* -netdev dgram, and socket's udp=, mcast= and datagram fd=: a datagram is a packet. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>
#include "net/net-int.h"
#include "util/error.h"

enum { PORTION = 64 };          /* packets that one look at the socket takes */

typedef struct Dgram {
    NetClient client;
    int fd;
    NetWatch *watch;
    struct sockaddr_storage dest;
    socklen_t dest_len;
    bool waiting;               /* the peer takes no more now */
    bool full;                  /* the socket does not */
    char *path;                 /* of our Unix socket */
} Dgram;

static void update_watch(Dgram *d)
{
    net_watch_set(d->watch, (d->waiting ? 0 : G_IO_IN) | (d->full ? G_IO_OUT : 0));
}

static void ready(void *opaque, GIOCondition cond)
{
    Dgram *d = opaque;
    uint8_t buf[NET_MAX_PACKET];

    if ((cond & G_IO_OUT) && d->full) {
        d->full = false;
        net_flush(&d->client);
    }
    for (int i = 0; i < PORTION && !d->waiting; i++) {
        ssize_t n = recv(d->fd, buf, sizeof buf, MSG_DONTWAIT);

        if (n < 0 && errno != EINTR && errno != ECONNREFUSED)
            break;
        if (n > 0)
            d->waiting = !net_send_buf(&d->client, buf, n);
    }
    update_watch(d);
}

static bool dgram_can_receive(NetClient *c)
{
    return !((Dgram *)c)->full;
}

static bool dgram_receive(NetClient *c, const struct iovec *iov, unsigned n, size_t size)
{
    Dgram *d = (Dgram *)c;
    struct msghdr msg = { .msg_iov = (struct iovec *)iov, .msg_iovlen = n, .msg_name = d->dest_len ? &d->dest : NULL,
                          .msg_namelen = d->dest_len };
    ssize_t done;

    do
        done = sendmsg(d->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (done < 0 && errno == EINTR);
    if (done >= 0 || errno != EAGAIN)
        return true;                /* nobody listens: gone, as on a cable */
    d->full = true;
    update_watch(d);
    return false;
}

static void dgram_sent(NetClient *c)
{
    Dgram *d = (Dgram *)c;

    d->waiting = false;
    update_watch(d);
}

static void dgram_close(NetClient *c)
{
    Dgram *d = (Dgram *)c;

    net_watch_free(d->watch);
    close(d->fd);
    if (d->path)
        unlink(d->path);
    g_free(d->path);
}

#define DGRAM_TYPE(n) { .name = (n), .size = sizeof(Dgram), .can_receive = dgram_can_receive, .receive = dgram_receive, \
                        .sent = dgram_sent, .close = dgram_close }
static const NetClientType socket_type = DGRAM_TYPE("socket"), dgram_type = DGRAM_TYPE("dgram");

NetClient *net_dgram_new(const char *id, NetClient *peer, const char *type, int fd, const struct sockaddr *dest, socklen_t dest_len)
{
    Dgram *d = (Dgram *)net_client_new(strcmp(type, "dgram") ? &socket_type : &dgram_type, peer, type, id);

    d->fd = fd;
    d->dest_len = dest_len;
    if (dest_len)
        memcpy(&d->dest, dest, dest_len);
    d->watch = net_watch_new(fd, ready, d);
    return &d->client;
}

/* ---- Sockets ---- */

static int bound(const struct sockaddr *a, socklen_t len, GError **err)
{
    static const int on = 1;
    int fd = socket(a->sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0) {
        error_set_errno(err, errno, "can't create datagram socket");
        return -1;
    }
    if (a->sa_family == AF_UNIX)
        unlink(((const struct sockaddr_un *)(const void *)a)->sun_path);
    else
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, a, len) == 0)
        return fd;
    error_set_errno(err, errno, "can't bind the datagram socket");
    close(fd);
    return -1;
}

NetClient *net_udp_open(const char *id, NetClient *peer, const char *type, const char *local, const char *remote, GError **err)
{
    struct sockaddr_in from, to;
    int fd;

    if (!net_parse_inet(local, &from, err) || !net_parse_inet(remote, &to, err))
        return NULL;
    fd = bound((struct sockaddr *)&from, sizeof from, err);
    return fd < 0 ? NULL : net_dgram_new(id, peer, type, fd, (struct sockaddr *)&to, sizeof to);
}

static bool join(int fd, const struct sockaddr_in *group, struct in_addr local, GError **err)
{
    struct ip_mreq m = { .imr_multiaddr = group->sin_addr, .imr_interface = local };
    static const int on = 1;

    if (setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof m) < 0)
        return error_set_errno(err, errno, "can't add socket to multicast group %s", inet_ntoa(group->sin_addr));
    if (setsockopt(fd, IPPROTO_IP, IP_MULTICAST_LOOP, &on, sizeof on) < 0)
        return error_set_errno(err, errno, "can't force multicast message to loopback");
    if (local.s_addr && setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &local, sizeof local) < 0)
        return error_set_errno(err, errno, "can't set the default network send interface");
    return true;
}

NetClient *net_mcast_open(const char *id, NetClient *peer, const char *type, const char *group, const char *local, GError **err)
{
    struct in_addr from = { .s_addr = INADDR_ANY };
    struct sockaddr_in to;
    int fd;

    if (!net_parse_inet(group, &to, err))
        return NULL;
    if (local && !inet_aton(local, &from)) {
        error_set(err, "localaddr '%s' is not a valid IPv4 address", local);
        return NULL;
    }
    if (!IN_MULTICAST(ntohl(to.sin_addr.s_addr))) {
        error_set(err, "specified mcastaddr %s (0x%08x) does not contain a multicast address", inet_ntoa(to.sin_addr),
                  ntohl(to.sin_addr.s_addr));
        return NULL;
    }
    fd = bound((struct sockaddr *)&to, sizeof to, err);
    if (fd >= 0 && join(fd, &to, from, err))
        return net_dgram_new(id, peer, type, fd, (struct sockaddr *)&to, sizeof to);
    if (fd >= 0)
        close(fd);
    return NULL;
}

/* ---- -netdev dgram ---- */

static const NetParam dgram_params[] = { { "local", NET_TEXT, .prefix = true }, { "remote", NET_TEXT, .prefix = true }, { 0 } };

static const char *sub(Opts *o, const char *prefix, const char *name)
{
    g_autofree char *key = g_strdup_printf("%s.%s", prefix, name);

    return opts_get(o, key);
}

static char *inet_text(Opts *o, const char *prefix, GError **err)
{
    const char *host = sub(o, prefix, "host"), *port = sub(o, prefix, "port");

    if (host && port)
        return g_strdup_printf("%s:%s", host, port);
    error_set(err, "Parameter '%s.%s' is missing", prefix, host ? "port" : "host");
    return NULL;
}

static bool unix_address(Opts *o, const char *prefix, struct sockaddr_un *a, GError **err)
{
    const char *path = sub(o, prefix, "path");

    *a = (struct sockaddr_un){ .sun_family = AF_UNIX };
    if (!path)
        return error_set(err, "Parameter '%s.path' is missing", prefix);
    if (strlen(path) >= sizeof a->sun_path)
        return error_set(err, "UNIX socket path '%s' is too long", path);
    strcpy(a->sun_path, path);
    return true;
}

static NetClient *open_unix(const char *id, NetClient *peer, Opts *o, GError **err)
{
    struct sockaddr_un from, to;
    NetClient *c;
    int fd;

    if (!unix_address(o, "local", &from, err) || !unix_address(o, "remote", &to, err))
        return NULL;
    fd = bound((struct sockaddr *)&from, sizeof from, err);
    if (fd < 0)
        return NULL;
    c = net_dgram_new(id, peer, "dgram", fd, (struct sockaddr *)&to, sizeof to);
    ((Dgram *)c)->path = g_strdup(from.sun_path);
    net_client_set_info(c, "udp=%s:%s", from.sun_path, to.sun_path);
    return c;
}

static NetClient *open_inet(const char *id, NetClient *peer, Opts *o, const char *local_type, GError **err)
{
    g_autofree char *local = local_type ? inet_text(o, "local", err) : NULL;
    g_autofree char *remote = local || !local_type ? inet_text(o, "remote", err) : NULL;
    NetClient *c;

    if (!remote)
        return NULL;
    c = local ? net_udp_open(id, peer, "dgram", local, remote, err) : net_mcast_open(id, peer, "dgram", remote, NULL, err);
    if (c && local)
        net_client_set_info(c, "udp=%s/%s", local, remote);
    else if (c)
        net_client_set_info(c, "mcast=%s", remote);
    return c;
}

static NetClient *open_dgram(const char *id, NetClient *peer, Opts *o, GError **err)
{
    const char *local = opts_get(o, "local.type"), *remote = opts_get(o, "remote.type");
    NetClient *c = NULL;
    int fd;

    if (local && !strcmp(local, "fd")) {
        fd = net_fd_option(id, opts_get(o, "local.str") ? opts_get(o, "local.str") : "", err);
        c = fd < 0 ? NULL : net_dgram_new(id, peer, "dgram", fd, NULL, 0);
        if (c)
            net_client_set_info(c, "fd=%d", fd);
    } else if (!local && (!remote || strcmp(remote, "inet"))) {
        error_set(err, "dgram requires local= parameter");
    } else if (!remote) {
        error_set(err, "type=inet or type=unix requires remote parameter");
    } else if (local && strcmp(local, remote)) {
        error_set(err, "remote and local types must be the same");
    } else if (!strcmp(remote, "unix")) {
        c = open_unix(id, peer, o, err);
    } else if (!strcmp(remote, "inet")) {
        c = open_inet(id, peer, o, local, err);
    } else {
        error_set(err, "only support inet, unix or fd type");
    }
    return c;
}

const NetdevType netdev_dgram = { "dgram", dgram_params, open_dgram };
