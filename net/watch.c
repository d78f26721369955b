/* Descriptors of back-ends: watching them, and those that options name. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <string.h>
#include "net/net-int.h"
#include "util/error.h"

struct NetWatch {
    GSource source;
    gpointer tag;
    GIOCondition cond;
    void (*fn)(void *opaque, GIOCondition cond);
    void *opaque;
};

static gboolean dispatch(GSource *source, GSourceFunc fn, gpointer data)
{
    NetWatch *w = (NetWatch *)source;

    w->fn(w->opaque, g_source_query_unix_fd(source, w->tag));
    return G_SOURCE_CONTINUE;
}

static gboolean check(GSource *source)
{
    const NetWatch *w = (NetWatch *)source;

    return w->cond && g_source_query_unix_fd(source, w->tag);
}

static GSourceFuncs funcs = { .check = check, .dispatch = dispatch };

NetWatch *net_watch_new(int fd, void (*fn)(void *opaque, GIOCondition cond), void *opaque)
{
    NetWatch *w = (NetWatch *)g_source_new(&funcs, sizeof *w);

    w->fn = fn;
    w->opaque = opaque;
    w->cond = G_IO_IN;
    w->tag = g_source_add_unix_fd(&w->source, fd, G_IO_IN);
    g_source_attach(&w->source, NULL);
    return w;
}

void net_watch_set(NetWatch *w, GIOCondition cond)
{
    if (!w || w->cond == cond)
        return;
    w->cond = cond;
    g_source_modify_unix_fd(&w->source, w->tag, cond);
}

void net_watch_free(NetWatch *w)
{
    if (!w)
        return;
    g_source_destroy(&w->source);
    g_source_unref(&w->source);
}

int net_fd_option(const char *id, const char *text, GError **err)
{
    int fd = net_host.get_fd ? net_host.get_fd(text, err) : -1, flags;

    if (fd < 0)
        return -1;
    flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
        error_set_errno(err, errno, "%s: Can't use file descriptor %d", id, fd);
        return -1;
    }
    return fd;
}

bool net_parse_inet(const char *s, struct sockaddr_in *a, GError **err)
{
    const char *colon = strrchr(s, ':');
    g_autofree char *host = colon ? g_strndup(s, colon - s) : NULL;
    struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_DGRAM }, *ai;
    uint64_t port;

    *a = (struct sockaddr_in){ .sin_family = AF_INET };
    if (!colon)
        return error_set(err, "host address '%s' doesn't contain ':' separating host from port", s);
    if (!parse_u64_text(colon + 1, &port) || port > 65535)
        return error_set(err, "port number '%s' is invalid", colon + 1);
    a->sin_port = htons(port);
    if (!*host || inet_aton(host, &a->sin_addr))
        return true;
    if (getaddrinfo(host, NULL, &hints, &ai))
        return error_set(err, "can't resolve host address '%s'", host);
    a->sin_addr = ((struct sockaddr_in *)(void *)ai->ai_addr)->sin_addr;
    freeaddrinfo(ai);
    return true;
}
