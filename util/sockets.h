/* Stream sockets: addresses as options name them, connecting and listening with errors worth reading. */
#ifndef UTIL_SOCKETS_H
#define UTIL_SOCKETS_H
#include <glib.h>
#include <stdbool.h>

typedef struct SocketAddress {
    char *path;             /* unix, when not NULL */
    bool abstract;          /* a name without a file */
    bool loose;             /* abstract names padded with zeros ("tight=off") */
    char *host, *port;      /* tcp; an empty or NULL host: all addresses (of a server) */
    unsigned to;            /* server: ports from `port` up to this one are tried; 0: only that */
    bool ipv4, ipv6;        /* both or neither: either will do */
} SocketAddress;

void socket_address_copy(SocketAddress *to, const SocketAddress *from);
void socket_address_clear(SocketAddress *a);
/* "unix:PATH" or "[tcp:]HOST:PORT", brackets around an IPv6 address. */
bool socket_address_parse(SocketAddress *a, const char *s, GError **err);
/* A connected socket with O_CLOEXEC, or -1; waits for the connection. */
int socket_connect(const SocketAddress *a, GError **err);
/* A listening one; an old socket file is replaced. */
int socket_listen(const SocketAddress *a, GError **err);
/* "127.0.0.1:4444", "[::1]:4444", or a path: our end, or the other one. To be freed. */
char *socket_name(int fd, bool peer);
bool socket_is_unix(int fd);
#endif
