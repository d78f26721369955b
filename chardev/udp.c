/* Datagrams: what one write gives is one packet; what arrives is a stream of bytes. */
#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "chardev/char-int.h"
#include "util/error.h"

typedef struct UdpChardev {
    Chardev chr;
    int fd;
    ChrReader *reader;
    guint out_source;
    uint8_t buf[65536];         /* the rest of the last datagram */
    int len, pos;
} UdpChardev;

static bool udp_has_input(Chardev *c)
{
    UdpChardev *u = (UdpChardev *)c;

    return u->pos < u->len;
}

static void udp_deliver(Chardev *c)
{
    UdpChardev *u = (UdpChardev *)c;
    int n;

    while (u->pos < u->len && (n = chr_be_can_read(c)) > 0) {
        n = MIN(n, u->len - u->pos);
        u->pos += n;
        chr_be_read(c, u->buf + u->pos - n, n);
    }
}

static void udp_read(Chardev *c)
{
    UdpChardev *u = (UdpChardev *)c;

    if (u->pos == u->len) {
        ssize_t n = recv(u->fd, u->buf, sizeof(u->buf), 0);

        u->pos = 0;
        u->len = MAX(n, 0);     /* an error is the answer to an earlier packet: nobody listened */
    }
    udp_deliver(c);
}

static int udp_write(Chardev *c, const uint8_t *buf, int len)
{
    UdpChardev *u = (UdpChardev *)c;
    int part = MIN(len, 1472);
    ssize_t n;

    do
        n = send(u->fd, buf, part, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 && errno == EAGAIN ? 0 : part;
}

static void udp_want_write(Chardev *c)
{
    UdpChardev *u = (UdpChardev *)c;

    chr_watch_out(c, u->fd, &u->out_source);
}

static struct addrinfo *resolve(const char *host, const char *port, int family, bool passive, GError **err)
{
    struct addrinfo hints = { .ai_family = family, .ai_socktype = SOCK_DGRAM, .ai_flags = passive ? AI_PASSIVE : 0 }, *ai;
    int rc = getaddrinfo(host, port, &hints, &ai);

    if (!rc)
        return ai;
    error_set(err, "address resolution failed for %s:%s: %s", host ? host : "", port, gai_strerror(rc));
    return NULL;
}

static bool udp_connect(UdpChardev *u, struct addrinfo *peer, struct addrinfo *local, GError **err)
{
    static const int on = 1;

    u->fd = socket(peer->ai_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (u->fd < 0)
        return error_set_errno(err, errno, "Failed to create socket");
    setsockopt(u->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (local && bind(u->fd, local->ai_addr, local->ai_addrlen) < 0)
        return error_set_errno(err, errno, "Failed to bind socket");
    if (connect(u->fd, peer->ai_addr, peer->ai_addrlen) < 0)
        return error_set_errno(err, errno, "Failed to connect socket");
    return true;
}

static bool udp_open(Chardev *c, GHashTable *opts, GError **err)
{
    UdpChardev *u = (UdpChardev *)c;
    const char *host = chr_opt(opts, "host"), *port = chr_opt(opts, "port");
    const char *lhost = chr_opt(opts, "localaddr"), *lport = chr_opt(opts, "localport");
    bool v4 = chr_opt_bool(opts, "ipv4", false), v6 = chr_opt_bool(opts, "ipv6", false), ok = false;
    struct addrinfo *peer, *local = NULL;

    u->fd = -1;
    if (!port)
        return error_set(err, "chardev: udp: remote port not specified");
    peer = resolve(host && *host ? host : "localhost", port, v4 == v6 ? AF_UNSPEC : v4 ? AF_INET : AF_INET6, false, err);
    if (!peer)
        return false;
    if (lhost || lport)
        local = resolve(lhost && *lhost ? lhost : NULL, lport ? lport : "0", peer->ai_family, true, err);
    if ((!lhost && !lport) || local)
        ok = udp_connect(u, peer, local, err);
    freeaddrinfo(peer);
    if (local)
        freeaddrinfo(local);
    if (ok)
        u->reader = chr_reader_new(c, u->fd, udp_read, NULL);
    return ok;
}

static void udp_close(Chardev *c)
{
    UdpChardev *u = (UdpChardev *)c;

    chr_reader_free(u->reader);
    if (u->out_source)
        g_source_remove(u->out_source);
    if (u->fd >= 0)
        close(u->fd);
}

const ChardevType chardev_udp = {
    .name = "udp", .size = sizeof(UdpChardev), .open = udp_open, .write = udp_write, .want_write = udp_want_write,
    .has_input = udp_has_input, .deliver_input = udp_deliver, .close = udp_close,
};
