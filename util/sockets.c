/* Stream sockets. */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "util/error.h"
#include "util/sockets.h"

void socket_address_copy(SocketAddress *to, const SocketAddress *from)
{
    *to = *from;
    to->path = g_strdup(from->path);
    to->host = g_strdup(from->host);
    to->port = g_strdup(from->port);
}

void socket_address_clear(SocketAddress *a)
{
    g_free(a->path);
    g_free(a->host);
    g_free(a->port);
    memset(a, 0, sizeof(*a));
}

bool socket_address_parse(SocketAddress *a, const char *s, GError **err)
{
    const char *colon;

    memset(a, 0, sizeof(*a));
    if (g_str_has_prefix(s, "unix:")) {
        a->path = g_strdup(s + 5);
        return *a->path || error_set(err, "no path in '%s'", s);
    }
    if (g_str_has_prefix(s, "tcp:"))
        s += 4;
    colon = *s == '[' ? strstr(s, "]:") : strchr(s, ':');
    if (!colon || !colon[1 + (*s == '[')])
        return error_set(err, "error parsing address '%s'", s);
    a->host = *s == '[' ? g_strndup(s + 1, colon - s - 1) : g_strndup(s, colon - s);
    a->port = g_strdup(colon + 1 + (*s == '['));
    return true;
}

/* ---- Unix ---- */

static socklen_t unix_address(const SocketAddress *a, struct sockaddr_un *un, GError **err)
{
    size_t len = strlen(a->path);

    memset(un, 0, sizeof(*un));
    un->sun_family = AF_UNIX;
    if (len + 1 > sizeof(un->sun_path)) {
        error_set(err, "UNIX socket path '%s' is too long\nPath must be less than %zu bytes", a->path, sizeof(un->sun_path));
        return 0;
    }
    memcpy(un->sun_path + a->abstract, a->path, len);
    if (a->abstract && a->loose)
        return sizeof(*un);
    return offsetof(struct sockaddr_un, sun_path) + len + 1;
}

static int unix_socket(const SocketAddress *a, bool listening, GError **err)
{
    struct sockaddr_un un;
    socklen_t len = unix_address(a, &un, err);
    int fd;

    if (!len)
        return -1;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        error_set_errno(err, errno, "Failed to create Unix socket");
        return -1;
    }
    if (listening) {
        if (!a->abstract)
            unlink(a->path);
        if (bind(fd, (struct sockaddr *)&un, len) < 0)
            error_set_errno(err, errno, "Failed to bind socket to %s", a->path);
        else if (listen(fd, 1) < 0)
            error_set_errno(err, errno, "Failed to listen on socket");
        else
            return fd;
    } else {
        int rc;

        do
            rc = connect(fd, (struct sockaddr *)&un, len);
        while (rc < 0 && errno == EINTR);
        if (rc == 0)
            return fd;
        error_set_errno(err, errno, "Failed to connect to '%s'", a->path);
    }
    close(fd);
    return -1;
}

/* ---- TCP ---- */

static struct addrinfo *resolve(const SocketAddress *a, bool passive, GError **err)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = passive ? AI_PASSIVE : 0 }, *ai;
    const char *host = a->host ? a->host : "";
    int rc;

    hints.ai_family = a->ipv4 == a->ipv6 ? AF_UNSPEC : a->ipv4 ? AF_INET : AF_INET6;
    rc = *host || passive ? getaddrinfo(*host ? host : NULL, a->port, &hints, &ai) : EAI_NONAME;
    if (!rc)
        return ai;
    error_set(err, "address resolution failed for %s:%s: %s", host, a->port, gai_strerror(rc));
    return NULL;
}

static int tcp_connect(const SocketAddress *a, GError **err)
{
    struct addrinfo *all = resolve(a, false, err);
    int fd = -1, e = 0;

    if (!all)
        return -1;
    for (struct addrinfo *ai = all; ai && fd < 0; ai = ai->ai_next) {
        int rc;

        fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0) {
            e = errno;
            continue;
        }
        do
            rc = connect(fd, ai->ai_addr, ai->ai_addrlen);
        while (rc < 0 && errno == EINTR);
        if (rc < 0) {
            e = errno;
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(all);
    if (fd < 0)
        error_set_errno(err, e, "Failed to connect to '%s:%s'", a->host, a->port);
    return fd;
}

static void set_port(struct sockaddr *sa, unsigned port)
{
    if (sa->sa_family == AF_INET)
        ((struct sockaddr_in *)sa)->sin_port = htons(port);
    else
        ((struct sockaddr_in6 *)sa)->sin6_port = htons(port);
}

static unsigned get_port(const struct sockaddr *sa)
{
    return ntohs(sa->sa_family == AF_INET ? ((struct sockaddr_in *)sa)->sin_port : ((struct sockaddr_in6 *)sa)->sin6_port);
}

static int listen_on(struct addrinfo *ai)
{
    static const int on = 1;
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0), e;

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(fd, 1) == 0)
        return fd;
    e = errno;
    close(fd);
    errno = e;
    return -1;
}

static int tcp_listen(const SocketAddress *a, GError **err)
{
    struct addrinfo *all = resolve(a, true, err);
    int fd = -1, e = 0;

    if (!all)
        return -1;
    for (struct addrinfo *ai = all; ai && fd < 0; ai = ai->ai_next) {
        unsigned first = get_port(ai->ai_addr), last = MIN(MAX(a->to, first), 65535u);

        for (unsigned p = first; p <= last && fd < 0; p++) {
            set_port(ai->ai_addr, p);
            fd = listen_on(ai);
            e = fd < 0 ? errno : 0;
        }
    }
    freeaddrinfo(all);
    if (fd < 0)
        error_set_errno(err, e, "Failed to listen on '%s:%s'",
                        a->host ? a->host : "", a->port);
    return fd;
}

int socket_connect(const SocketAddress *a, GError **err)
{
    return a->path ? unix_socket(a, false, err) : tcp_connect(a, err);
}

int socket_listen(const SocketAddress *a, GError **err)
{
    return a->path ? unix_socket(a, true, err) : tcp_listen(a, err);
}

/* ---- Names ---- */

static bool get_address(int fd, bool peer, struct sockaddr_storage *sa, socklen_t *len)
{
    *len = sizeof(*sa);
    return (peer ? getpeername : getsockname)(fd, (struct sockaddr *)sa, len) == 0;
}

bool socket_is_unix(int fd)
{
    struct sockaddr_storage sa;
    socklen_t len;

    return get_address(fd, false, &sa, &len) && sa.ss_family == AF_UNIX;
}

char *socket_name(int fd, bool peer)
{
    char host[NI_MAXHOST], port[NI_MAXSERV];
    struct sockaddr_storage sa;
    socklen_t len;

    if (!get_address(fd, peer, &sa, &len))
        return g_strdup("");
    if (sa.ss_family == AF_UNIX) {
        struct sockaddr_un *un = (struct sockaddr_un *)&sa;
        size_t n = len > offsetof(struct sockaddr_un, sun_path) ? len - offsetof(struct sockaddr_un, sun_path) : 0;

        if (n && !un->sun_path[0])
            return g_strndup(un->sun_path + 1, n - 1);
        return g_strndup(un->sun_path, n);
    }
    if (getnameinfo((struct sockaddr *)&sa, len, host, sizeof(host), port, sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV))
        return g_strdup("");
    return g_strdup_printf(strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
}
