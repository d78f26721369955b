/*
 * A browser's VNC client: RFB in the frames of a WebSocket (RFC 6455). A thread for each takes the frames off and puts them on,
 * between the browser's connection and a socket pair whose other end the server serves like any other client. (libvncserver has
 * WebSockets of its own, but a frame that is wrong makes it spin for ever; it never sees one.)
 *
 * Not modelled: wss: (TLS), extensions, the base64 protocol of old browsers.
 */
#include "ui/vnc-int.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEAD_MAX 8192
#define HANDSHAKE_US (20 * G_USEC_PER_SEC)
#define BUF 65536               /* bytes under way, each direction */
#define CONTROL_MAX 125         /* RFC 6455, 5.5 */

enum { OP_CONTINUATION, OP_TEXT, OP_BINARY, OP_CLOSE = 8, OP_PING, OP_PONG };

typedef struct Web {
    int outer, inner;           /* the browser's connection; the server's end */
    uint8_t in[BUF], out[BUF];  /* to inner; to outer */
    unsigned in_at, in_end, out_at, out_end;

    /* The frame that comes in. */
    uint8_t head[14], control[CONTROL_MAX];
    unsigned head_len, control_len;
    uint64_t left;              /* of its payload */
    unsigned phase;             /* of the mask */
    bool in_payload, ends;      /* ends: close was answered */
} Web;

/* ---- The handshake ---- */

/* The value of a header in what came, or NULL. */
static char *header_of(char *const *lines, const char *name)
{
    size_t n = strlen(name);

    for (; *lines; lines++) {
        if (!g_ascii_strncasecmp(*lines, name, n) && (*lines)[n] == ':')
            return g_strstrip(g_strdup(*lines + n + 1));
    }
    return NULL;
}

/* Is word in a list with commas? */
static bool lists(const char *list, const char *word)
{
    g_auto(GStrv) items = g_strsplit(list ? list : "", ",", -1);

    for (char **i = items; *i; i++) {
        if (!g_ascii_strcasecmp(g_strstrip(*i), word))
            return true;
    }
    return false;
}

static char *accept_of(const char *key)
{
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA1);
    uint8_t digest[20];
    gsize n = sizeof digest;

    g_checksum_update(sum, (const guchar *)key, -1);
    g_checksum_update(sum, (const guchar *)"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", -1);
    g_checksum_get_digest(sum, digest, &n);
    return g_base64_encode(digest, n);
}

/* The answer to a request, and whether it is a good one. */
static bool answer(const char *request, char **reply)
{
    g_auto(GStrv) lines = g_strsplit(request, "\r\n", -1);
    g_autofree char *upgrade = header_of(lines, "Upgrade"), *connection = header_of(lines, "Connection");
    g_autofree char *version = header_of(lines, "Sec-WebSocket-Version"), *key = header_of(lines, "Sec-WebSocket-Key");
    g_autofree char *protocols = header_of(lines, "Sec-WebSocket-Protocol"), *accept = NULL;

    if (!g_str_has_prefix(request, "GET ") || !lists(upgrade, "websocket") || !lists(connection, "Upgrade") ||
        g_strcmp0(version, "13") || !key || (protocols && !lists(protocols, "binary"))) {
        *reply = g_strdup("HTTP/1.1 400 Bad Request\r\nSec-WebSocket-Version: 13\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        return false;
    }
    accept = accept_of(key);
    *reply = g_strdup_printf("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                             "Sec-WebSocket-Accept: %s\r\n%s\r\n", accept, protocols ? "Sec-WebSocket-Protocol: binary\r\n" : "");
    return true;
}

/* Reads the request, byte by byte at its end, so that no frame is read with it. */
static bool read_request(Web *w, char request[HEAD_MAX + 1])
{
    gint64 end = g_get_monotonic_time() + HANDSHAKE_US;
    unsigned n = 0;

    while (n < HEAD_MAX) {
        struct pollfd p[2] = { { .fd = w->outer, .events = POLLIN }, { .fd = w->inner } };
        gint64 left = end - g_get_monotonic_time();
        ssize_t k;

        if (left <= 0 || (poll(p, 2, left / 1000 + 1) < 0 && errno != EINTR) || (p[1].revents & (POLLHUP | POLLERR)))
            return false;
        if (!p[0].revents)
            continue;
        k = recv(w->outer, request + n, 1, MSG_DONTWAIT);
        if (!k || (k < 0 && errno != EAGAIN && errno != EINTR))
            return false;
        n += MAX(k, 0);
        request[n] = 0;
        if (n >= 4 && !memcmp(request + n - 4, "\r\n\r\n", 4))
            return true;
    }
    return false;
}

static bool shake_hands(Web *w)
{
    g_autofree char *request = g_malloc(HEAD_MAX + 1), *reply = NULL;
    bool good = read_request(w, request) && answer(request, &reply);

    /* It fits into an empty socket buffer. */
    return reply && send(w->outer, reply, strlen(reply), MSG_NOSIGNAL) == (ssize_t)strlen(reply) && good;
}

/* ---- Frames ---- */

static bool put_frame(Web *w, unsigned opcode, const uint8_t *payload, unsigned n)
{
    uint8_t *to = w->out + w->out_end;

    if (w->out_end + n + 4 > BUF)
        return false;
    *to++ = 0x80 | opcode;
    if (n < 126) {
        *to++ = n;
    } else {
        *to++ = 126;
        *to++ = n >> 8;
        *to++ = n;
    }
    memcpy(to, payload, n);
    w->out_end = to + n - w->out;
    return true;
}

/* All of a header is there; false: not one that may come. */
static bool begin_frame(Web *w)
{
    unsigned opcode = w->head[0] & 15, n = w->head[1] & 127;

    w->left = n;
    if (n >= 126) {
        w->left = 0;
        for (unsigned i = 0; i < (n == 126 ? 2 : 8); i++)
            w->left = w->left << 8 | w->head[2 + i];
    }
    w->phase = w->control_len = 0;
    w->in_payload = true;
    if ((w->head[0] & 0x70) || !(w->head[1] & 0x80) || w->left >> 63)
        return false;
    if (opcode >= OP_CLOSE)
        return opcode <= OP_PONG && w->left <= CONTROL_MAX && (w->head[0] & 0x80);
    return opcode == OP_BINARY || opcode == OP_CONTINUATION;
}

static unsigned header_size(const Web *w)
{
    unsigned n = w->head[1] & 127;

    return w->head_len < 2 ? 2 : 2 + (n == 126 ? 2 : n == 127 ? 8 : 0) + 4;
}

static bool end_frame(Web *w)
{
    unsigned opcode = w->head[0] & 15;

    w->in_payload = false;
    w->head_len = 0;
    if (opcode == OP_PING)
        return put_frame(w, OP_PONG, w->control, w->control_len);
    if (opcode == OP_CLOSE) {
        put_frame(w, OP_CLOSE, w->control, MIN(w->control_len, 2));
        w->ends = true;
    }
    return true;
}

/* Takes bytes of the browser's; there is room for what they say. False: the end. */
static bool take(Web *w, const uint8_t *p, unsigned n)
{
    while (n && !w->ends) {
        if (!w->in_payload) {
            w->head[w->head_len++] = *p++;
            n--;
            if (w->head_len >= 2 && w->head_len == header_size(w) && (!begin_frame(w) || (!w->left && !end_frame(w))))
                return false;
        } else {
            const uint8_t *mask = w->head + w->head_len - 4;
            uint8_t byte = *p++ ^ mask[w->phase++ & 3];

            n--;
            if ((w->head[0] & 15) >= OP_CLOSE)
                w->control[w->control_len++] = byte;
            else
                w->in[w->in_end++] = byte;
            if (!--w->left && !end_frame(w))
                return false;
        }
    }
    return true;
}

/* ---- The thread ---- */

/* What waits; false: nobody takes it. */
static bool flush(int fd, uint8_t *buf, unsigned *at, unsigned *end)
{
    ssize_t n = send(fd, buf + *at, *end - *at, MSG_NOSIGNAL | MSG_DONTWAIT);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    *at += n;
    if (*at == *end)
        *at = *end = 0;
    return true;
}

static bool from_browser(Web *w)
{
    uint8_t buf[4096];
    ssize_t n = recv(w->outer, buf, sizeof buf, MSG_DONTWAIT);

    return n < 0 ? errno == EAGAIN || errno == EINTR : n && take(w, buf, n);
}

static bool from_server(Web *w)
{
    uint8_t buf[BUF / 2];
    ssize_t n = recv(w->inner, buf, sizeof buf, MSG_DONTWAIT);

    return n < 0 ? errno == EAGAIN || errno == EINTR : n && put_frame(w, OP_BINARY, buf, n);
}

static bool relay_once(Web *w)
{
    bool in = w->in_end > 0, out = w->out_end > 0;      /* something waits, and nothing is read behind it */
    struct pollfd p[2] = { { .fd = w->outer, .events = (out ? POLLOUT : 0) | (in || out ? 0 : POLLIN) },
                           { .fd = w->inner, .events = (in ? POLLOUT : 0) | (out ? 0 : POLLIN) } };

    if (poll(p, 2, -1) < 0)
        return errno == EINTR;
    if (out && (p[0].revents & ~POLLIN) && !flush(w->outer, w->out, &w->out_at, &w->out_end))
        return false;
    if (in && (p[1].revents & ~POLLIN) && !flush(w->inner, w->in, &w->in_at, &w->in_end))
        return false;
    if (w->ends)
        return w->out_end > 0;
    if (!in && !out && p[0].revents && !from_browser(w))
        return false;
    return !(!w->out_end && p[1].revents & (POLLIN | POLLHUP | POLLERR)) || from_server(w);
}

static gpointer web_run(gpointer opaque)
{
    Web *w = opaque;

    if (shake_hands(w)) {
        while (relay_once(w))
            continue;
    }
    shutdown(w->outer, SHUT_RDWR);
    close(w->outer);
    close(w->inner);
    g_free(w);
    return NULL;
}

int web_start(int fd)
{
    int pair[2];
    sigset_t all, old;
    GThread *t;
    Web *w;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        close(fd);
        return -1;
    }
    w = g_new0(Web, 1);
    w->outer = fd;
    w->inner = pair[1];
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    t = g_thread_try_new("vnc-web", web_run, w, NULL);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (!t) {
        close(fd);
        close(pair[0]);
        close(pair[1]);
        g_free(w);
        return -1;
    }
    g_thread_unref(t);
    return pair[0];
}
