/*
 * -netdev tap and bridge: a network interface of the host (Documentation/networking/tuntap.rst).
 *
 * The interface is opened here, by a helper that hands its descriptor over (bridge, helper=), or by who started us (fd=).
 * Each packet may have a virtio header before it (vnet_hdr=on, or an fd that was set up so): no device here asks for offloads, so
 * it is dropped, and one of zeroes ("nothing to do", virtio 1.1, 5.1.6) goes before what is sent. Not there: several queues, vhost.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include "net/net-int.h"
#include "util/error.h"

#define UP_SCRIPT "/etc/qemu-ifup"
#define DOWN_SCRIPT "/etc/qemu-ifdown"
#define HELPER "/usr/lib/qemu/qemu-bridge-helper"
#define BRIDGE "br0"
enum { PORTION = 64, MAX_HEADER = 12 };

typedef struct Tap {
    NetClient client;
    int fd;
    unsigned header;                    /* bytes before each packet; 0: none */
    NetWatch *watch;
    bool waiting, full;
    char *ifname, *down_script;
} Tap;

static void update_watch(Tap *t)
{
    net_watch_set(t->watch, (t->waiting ? 0 : G_IO_IN) | (t->full ? G_IO_OUT : 0));
}

static void ready(void *opaque, GIOCondition cond)
{
    Tap *t = opaque;
    uint8_t buf[MAX_HEADER + NET_MAX_PACKET];

    if ((cond & G_IO_OUT) && t->full) {
        t->full = false;
        net_flush(&t->client);
    }
    for (int i = 0; i < PORTION && !t->waiting; i++) {
        ssize_t n = read(t->fd, buf, sizeof buf);

        if (n <= 0)
            break;
        if ((size_t)n > t->header)
            t->waiting = !net_send_padded(&t->client, buf + t->header, n - t->header);
    }
    update_watch(t);
}

static bool tap_can_receive(NetClient *c)
{
    return !((Tap *)c)->full;
}

static bool tap_receive(NetClient *c, const struct iovec *iov, unsigned n, size_t size)
{
    static const uint8_t nothing_to_do[MAX_HEADER];
    Tap *t = (Tap *)c;
    struct iovec *with_header = g_newa(struct iovec, n + 1);
    ssize_t done;

    if (t->header) {
        with_header[0] = (struct iovec){ (void *)nothing_to_do, t->header };
        memcpy(with_header + 1, iov, n * sizeof *iov);
        iov = with_header;
        n++;
    }
    do
        done = writev(t->fd, iov, n);
    while (done < 0 && errno == EINTR);
    if (done >= 0 || errno != EAGAIN)
        return true;
    t->full = true;
    update_watch(t);
    return false;
}

static void tap_sent(NetClient *c)
{
    Tap *t = (Tap *)c;

    t->waiting = false;
    update_watch(t);
}

/* Runs a program and waits for it; its wait status. */
static int run(const char *const *argv, int keep_fd)
{
    pid_t pid = fork();
    int status = -1;

    if (pid == 0) {
        for (int fd = 3; fd < 1024; fd++)
            if (fd != keep_fd)
                close(fd);
        execv(argv[0], (char *const *)argv);
        _exit(1);
    }
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

static bool run_script(const char *script, const char *ifname, GError **err)
{
    const char *const argv[] = { script, ifname, NULL };
    int status = run(argv, -1);

    return !status || error_set(err, "network script %s failed with status %d", script, status);
}

static void tap_close(NetClient *c)
{
    Tap *t = (Tap *)c;

    net_watch_free(t->watch);
    if (t->down_script && t->ifname)
        run_script(t->down_script, t->ifname, NULL);
    close(t->fd);
    g_free(t->ifname);
    g_free(t->down_script);
}

#define TAP_TYPE(n) { .name = (n), .size = sizeof(Tap), .can_receive = tap_can_receive, .receive = tap_receive, .sent = tap_sent, \
                      .close = tap_close }
static const NetClientType tap_type = TAP_TYPE("tap"), bridge_type = TAP_TYPE("bridge");

static unsigned header_size(int fd)
{
    struct ifreq ifr = { 0 };
    int size = 10;

    if (ioctl(fd, TUNGETIFF, &ifr) < 0 || !(ifr.ifr_flags & IFF_VNET_HDR))
        return 0;
    return ioctl(fd, TUNGETVNETHDRSZ, &size) == 0 && size > 0 && size <= MAX_HEADER ? size : 10;
}

static Tap *tap_new(const NetClientType *type, const char *id, NetClient *peer, int fd)
{
    Tap *t = (Tap *)net_client_new(type, peer, type->name, id);

    t->fd = fd;
    t->header = header_size(fd);
    t->watch = net_watch_new(fd, ready, t);
    return t;
}

/* ---- Getting the interface ---- */

static int tun_open(const char *ifname, int flags, struct ifreq *ifr, GError **err)
{
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0) {
        error_set_errno(err, errno, "could not open /dev/net/tun");
        return -1;
    }
    *ifr = (struct ifreq){ .ifr_flags = IFF_TAP | IFF_NO_PI | flags };
    g_strlcpy(ifr->ifr_name, ifname && *ifname ? ifname : "tap%d", IFNAMSIZ);
    if (ioctl(fd, TUNSETIFF, ifr) == 0)
        return fd;
    error_set_errno(err, errno, "could not configure /dev/net/tun (%s)", ifr->ifr_name);
    close(fd);
    return -1;
}

static int receive_fd(int sock)
{
    union { struct cmsghdr h; char space[CMSG_SPACE(sizeof(int))]; } control;
    char byte;
    struct iovec iov = { &byte, 1 };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
    struct cmsghdr *h;
    int fd = -1;

    if (recvmsg(sock, &msg, MSG_CMSG_CLOEXEC) <= 0)
        return -1;
    h = CMSG_FIRSTHDR(&msg);
    if (h && h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS && h->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(&fd, CMSG_DATA(h), sizeof fd);
    return fd;
}

/* The helper is told a socket's number and the bridge, and sends the interface's descriptor. One with arguments of its own is a
 * shell's command. */
static int helper_open(const char *helper, const char *bridge, GError **err)
{
    g_autofree char *fd_arg = NULL, *br_arg = g_strdup_printf("--br=%s", bridge), *command = NULL;
    int pair[2], status, fd;

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0) {
        error_set_errno(err, errno, "socketpair");
        return -1;
    }
    fcntl(pair[0], F_SETFD, FD_CLOEXEC);
    fd_arg = g_strdup_printf("--fd=%d", pair[1]);
    if (strpbrk(helper, " \t")) {
        const bool has_bridge = strstr(helper, "--br=");
        const char *argv[] = { "/bin/sh", "-c", NULL, NULL };

        command = g_strdup_printf("%s %s %s", helper, fd_arg, has_bridge ? "" : br_arg);
        argv[2] = command;
        status = run(argv, pair[1]);
    } else {
        status = run((const char *const[]){ helper, fd_arg, br_arg, NULL }, pair[1]);
    }
    close(pair[1]);
    fd = status ? -1 : receive_fd(pair[0]);
    close(pair[0]);
    if (fd < 0)
        error_set(err, "bridge helper failed");
    else
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    return fd;
}

/* ---- Options ---- */

static const NetParam tap_params[] = { { "ifname", NET_TEXT }, { "fd", NET_TEXT }, { "script", NET_TEXT }, { "downscript", NET_TEXT },
                                       { "br", NET_TEXT }, { "helper", NET_TEXT }, { "sndbuf", NET_SIZE }, { "vnet_hdr", NET_BOOL },
                                       { "vhost", NET_BOOL }, { "queues", NET_NUMBER }, { 0 } };

static bool any(Opts *o, const char *const *names)
{
    for (; *names; names++)
        if (opts_has(o, *names))
            return true;
    return false;
}

static bool check_tap(Opts *o, GError **err)
{
    if (opts_has(o, "fd") && any(o, (const char *const[]){ "ifname", "script", "downscript", "vnet_hdr", "helper", "queues", NULL }))
        return error_set(err, "ifname=, script=, downscript=, vnet_hdr=, helper=, queues=, fds=, and vhostfds= are invalid with fd=");
    if (opts_has(o, "helper") && any(o, (const char *const[]){ "ifname", "script", "downscript", "vnet_hdr", "queues", NULL }))
        return error_set(err, "ifname=, script=, downscript=, vnet_hdr=, queues=, and vhostfds= are invalid with helper=");
    if (net_opt_bool(o, "vhost", false))
        return error_set(err, "vhost=on requested, but vhost is not supported");
    if (net_opt_num(o, "queues", 1) != 1)
        return error_set(err, "queues=%s: one queue is supported", opts_get(o, "queues"));
    return true;
}

static NetClient *open_interface(const char *id, NetClient *peer, Opts *o, GError **err)
{
    const char *up = opts_get(o, "script"), *down = opts_get(o, "downscript");
    struct ifreq ifr;
    int fd = tun_open(opts_get(o, "ifname"), net_opt_bool(o, "vnet_hdr", false) ? IFF_VNET_HDR : 0, &ifr, err);
    Tap *t;

    if (fd < 0)
        return NULL;
    up = up ? up : UP_SCRIPT;
    down = down ? down : DOWN_SCRIPT;
    if (*up && strcmp(up, "no") && !run_script(up, ifr.ifr_name, err)) {
        close(fd);
        return NULL;
    }
    t = tap_new(&tap_type, id, peer, fd);
    t->ifname = g_strdup(ifr.ifr_name);
    if (*down && strcmp(down, "no"))
        t->down_script = g_strdup(down);
    net_client_set_info(&t->client, "ifname=%s,script=%s,downscript=%s", ifr.ifr_name, up, down);
    return &t->client;
}

static NetClient *open_tap(const char *id, NetClient *peer, Opts *o, GError **err)
{
    const char *helper = opts_get(o, "helper"), *br = opts_get(o, "br"), *named = opts_get(o, "fd");
    int fd;
    Tap *t;

    if (!check_tap(o, err))
        return NULL;
    if (!named && !helper)
        return open_interface(id, peer, o, err);
    fd = named ? net_fd_option(id, named, err) : helper_open(helper, br ? br : BRIDGE, err);
    if (fd < 0)
        return NULL;
    t = tap_new(&tap_type, id, peer, fd);
    if (named)
        net_client_set_info(&t->client, "fd=%d", fd);
    else
        net_client_set_info(&t->client, "helper=%s", helper);
    return &t->client;
}

const NetdevType netdev_tap = { "tap", tap_params, open_tap };

static const NetParam bridge_params[] = { { "br", NET_TEXT }, { "helper", NET_TEXT }, { 0 } };

static NetClient *open_bridge(const char *id, NetClient *peer, Opts *o, GError **err)
{
    const char *helper = opts_get(o, "helper"), *br = opts_get(o, "br");
    int fd = helper_open(helper ? helper : HELPER, br ? br : BRIDGE, err);
    Tap *t;

    if (fd < 0)
        return NULL;
    t = tap_new(&bridge_type, id, peer, fd);
    net_client_set_info(&t->client, "helper=%s,br=%s", helper ? helper : HELPER, br ? br : BRIDGE);
    return &t->client;
}

const NetdevType netdev_bridge = { "bridge", bridge_params, open_bridge };
