/*
 * The first part of a VNC client's conversation, in its own thread: versions, authentication (RFC 6143, 7.1.1 to 7.1.3). Nobody
 * reaches libvncserver without it, whose list of ways to log in is one for all servers of a process.
 */
#include "ui/vnc-int.h"
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

enum { AUTH_INVALID, AUTH_NONE, AUTH_VNC };
static const char denied[] = "Authentication failed";

/* Waits; client_end shuts the connection down, which ends it. */
static bool get(VncClient *c, void *buf, size_t n)
{
    ssize_t k;

    do {
        k = recv(c->fd, buf, n, MSG_WAITALL);
    } while (k < 0 && errno == EINTR);
    return k == (ssize_t)n;
}

/* A few bytes: there is room for them. */
static bool put(VncClient *c, const void *buf, size_t n)
{
    return send(c->fd, buf, n, MSG_NOSIGNAL) == (ssize_t)n;
}

static bool put_u32(VncClient *c, uint32_t v)
{
    v = htonl(v);
    return put(c, &v, 4);
}

static bool deny(VncClient *c, unsigned minor)
{
    if (put_u32(c, 1) && minor >= 8 && put_u32(c, sizeof denied - 1))
        put(c, denied, sizeof denied - 1);
    return false;
}

/* 3, 7 or 8; 0: not a version that is spoken here. */
static unsigned agree_on_version(VncClient *c)
{
    char v[13] = "";
    unsigned minor;

    if (!put(c, "RFB 003.008\n", 12) || !get(c, v, 12) || memcmp(v, "RFB 003.", 8) || !g_ascii_isdigit(v[8]) ||
        !g_ascii_isdigit(v[9]) || !g_ascii_isdigit(v[10]) || v[11] != '\n')
        return 0;
    minor = (v[8] - '0') * 100 + (v[9] - '0') * 10 + v[10] - '0';
    return minor < 3 ? 0 : minor < 7 ? 3 : MIN(minor, 8);
}

static bool challenge(VncClient *c, unsigned minor)
{
    uint8_t question[CHALLENGESIZE], response[CHALLENGESIZE];

    if (getrandom(question, sizeof question, 0) != sizeof question || !put(c, question, sizeof question) ||
        !get(c, response, sizeof response))
        return false;
    return vnc_check_password(c->server, question, response) ? put_u32(c, 0) : deny(c, minor);
}

bool vnc_log_in(VncClient *c)
{
    uint8_t type = c->server->config->password ? AUTH_VNC : AUTH_NONE, list[2] = { 1, type }, chosen;
    unsigned minor = agree_on_version(c);

    if (!minor) {
        put_u32(c, AUTH_INVALID);
        return false;
    }
    if (minor == 3) {
        if (!put_u32(c, type))
            return false;
    } else if (!put(c, list, 2) || !get(c, &chosen, 1)) {
        return false;
    } else if (chosen != type) {
        return deny(c, minor);
    }
    if (type == AUTH_VNC)
        return challenge(c, minor);
    return minor < 8 || put_u32(c, 0);
}
