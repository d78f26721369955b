/*
 * The user network's stack: libslirp on GLib's main loop. A module (vmemu-net-slirp.so); see user.h.
 *
 * libslirp's sockets are polled by one source of the main context, whose descriptors are set up anew for each poll.
 * Packets from the guest come from any thread that holds the machine lock: such a thread wakes the main loop, as the
 * sockets to wait for may have changed.
 */
#include <slirp/libslirp.h>
#include <stdlib.h>
#include <string.h>
#include "chardev/char.h"
#include "net/user.h"
#include "util/error.h"
#include "util/log.h"

typedef struct SlirpSource {
    GSource source;
    UserStack *stack;
    GArray *fds;                /* GPollFD, what is polled: GLib has the elements' addresses */
    GArray *wanted;             /* GPollFD, what the stack asks for */
    gint64 deadline;            /* monotonic, us; -1: none */
} SlirpSource;

typedef struct GuestFwd {       /* a port of the guest network that is a chardev */
    UserStack *stack;
    CharFrontend fe;
    struct in_addr server;
    uint16_t port;
    char *id;                   /* the chardev's */
    GByteArray *out;            /* not yet taken by the chardev */
} GuestFwd;

struct UserStack {
    Slirp *slirp;
    NetClient *client;
    SlirpSource *source;
    GPtrArray *guestfwds;
    bool loading;               /* its state is not whole */
    bool pending;               /* something came in: the stack wants its turn */
};

/* ---- Callbacks of libslirp ---- */

static ssize_t send_packet(const void *buf, size_t len, void *opaque)
{
    UserStack *s = opaque;

    net_send_padded(s->client, buf, len);
    return len;
}

static void guest_error(const char *msg, void *opaque)
{
    log_guest("slirp: %s\n", msg);
}

static int64_t clock_ns(void *opaque)
{
    return net_host.now_ns ? (int64_t)net_host.now_ns(net_host.opaque) : g_get_monotonic_time() * 1000;
}

typedef struct SlirpTimer { SlirpTimerCb fn; void *opaque; guint source; } SlirpTimer;

static gboolean timer_fired(gpointer data)
{
    SlirpTimer *t = data;

    t->source = 0;
    t->fn(t->opaque);
    return G_SOURCE_REMOVE;
}

static void *timer_new(SlirpTimerCb fn, void *fn_opaque, void *opaque)
{
    SlirpTimer *t = g_new0(SlirpTimer, 1);

    t->fn = fn;
    t->opaque = fn_opaque;
    return t;
}

static void timer_del(SlirpTimer *t)
{
    if (t->source)
        g_source_remove(t->source);
    t->source = 0;
}

static void timer_free(void *timer, void *opaque)
{
    timer_del(timer);
    g_free(timer);
}

static void timer_mod(void *timer, int64_t at_ms, void *opaque)
{
    SlirpTimer *t = timer;
    int64_t wait = at_ms - clock_ns(opaque) / 1000000;

    timer_del(t);
    t->source = g_timeout_add(CLAMP(wait, 0, G_MAXINT), timer_fired, t);
}

static void kick(UserStack *s)
{
    if (s->pending)
        return;
    s->pending = true;
    if (!g_main_context_is_owner(NULL))
        g_main_context_wakeup(NULL);
}

static void poll_fd_changed(int fd, void *opaque)
{
    kick(opaque);
}

static void notify(void *opaque)
{
    kick(opaque);
}

static const SlirpCb callbacks = {
    .send_packet = send_packet, .guest_error = guest_error, .clock_get_ns = clock_ns, .timer_new = timer_new,
    .timer_free = timer_free, .timer_mod = timer_mod, .register_poll_fd = poll_fd_changed,
    .unregister_poll_fd = poll_fd_changed, .notify = notify,
};

/* ---- The source ---- */

/* Polls what is wanted. Each change makes GLib's next poll return at once, so there is none without need. */
static void update_fds(SlirpSource *src)
{
    bool same = src->fds->len == src->wanted->len;
    GArray *old = src->fds;

    for (unsigned i = 0; same && i < old->len; i++) {
        const GPollFD *a = &g_array_index(old, GPollFD, i), *b = &g_array_index(src->wanted, GPollFD, i);

        same = a->fd == b->fd && a->events == b->events;
    }
    if (!same) {
        for (unsigned i = 0; i < old->len; i++)
            g_source_remove_poll(&src->source, &g_array_index(old, GPollFD, i));
        src->fds = src->wanted;
        src->wanted = old;
        for (unsigned i = 0; i < src->fds->len; i++)
            g_source_add_poll(&src->source, &g_array_index(src->fds, GPollFD, i));
    }
    g_array_set_size(src->wanted, 0);
}

static int add_poll(int fd, int events, void *opaque)
{
    SlirpSource *src = opaque;
    GPollFD p = { .fd = fd };

    p.events = (events & SLIRP_POLL_IN ? G_IO_IN : 0) | (events & SLIRP_POLL_OUT ? G_IO_OUT : 0) |
               (events & SLIRP_POLL_PRI ? G_IO_PRI : 0) | (events & SLIRP_POLL_ERR ? G_IO_ERR : 0) |
               (events & SLIRP_POLL_HUP ? G_IO_HUP : 0);
    g_array_append_val(src->wanted, p);
    return src->wanted->len - 1;
}

static int get_revents(int i, void *opaque)
{
    const SlirpSource *src = opaque;
    unsigned r = g_array_index(src->fds, GPollFD, i).revents;

    return (r & G_IO_IN ? SLIRP_POLL_IN : 0) | (r & G_IO_OUT ? SLIRP_POLL_OUT : 0) | (r & G_IO_PRI ? SLIRP_POLL_PRI : 0) |
           (r & G_IO_ERR ? SLIRP_POLL_ERR : 0) | (r & G_IO_HUP ? SLIRP_POLL_HUP : 0);
}

static gboolean source_prepare(GSource *source, gint *timeout)
{
    SlirpSource *src = (SlirpSource *)source;
    uint32_t ms = UINT32_MAX;

    if (src->stack->loading) {
        update_fds(src);
        *timeout = -1;
        src->deadline = -1;
        return false;
    }
    slirp_pollfds_fill(src->stack->slirp, &ms, add_poll, src);
    update_fds(src);
    src->deadline = ms == UINT32_MAX ? -1 : g_get_monotonic_time() + ms * 1000ll;
    *timeout = src->stack->pending ? 0 : ms == UINT32_MAX ? -1 : (gint)MIN(ms, (uint32_t)G_MAXINT);
    return false;
}

static gboolean source_check(GSource *source)
{
    const SlirpSource *src = (SlirpSource *)source;

    for (unsigned i = 0; i < src->fds->len; i++)
        if (g_array_index(src->fds, GPollFD, i).revents)
            return true;
    if (src->stack->loading)
        return false;
    if (src->stack->pending)
        return true;
    return src->deadline >= 0 && g_get_monotonic_time() >= src->deadline;
}

static gboolean source_dispatch(GSource *source, GSourceFunc fn, gpointer data)
{
    SlirpSource *src = (SlirpSource *)source;

    src->stack->pending = false;
    slirp_pollfds_poll(src->stack->slirp, 0, get_revents, src);
    for (unsigned i = 0; i < src->fds->len; i++)
        g_array_index(src->fds, GPollFD, i).revents = 0;
    return G_SOURCE_CONTINUE;
}

static void source_finalize(GSource *source)
{
    SlirpSource *src = (SlirpSource *)source;

    g_array_unref(src->fds);
    g_array_unref(src->wanted);
}

static GSourceFuncs source_funcs = {
    .prepare = source_prepare, .check = source_check, .dispatch = source_dispatch, .finalize = source_finalize,
};

/* ---- Ports of the guest network that are chardevs ---- */

static int fwd_can_read(void *opaque)
{
    const GuestFwd *f = opaque;

    return MIN(slirp_socket_can_recv(f->stack->slirp, f->server, f->port), (size_t)G_MAXINT);
}

static void fwd_read(void *opaque, const uint8_t *buf, int len)
{
    const GuestFwd *f = opaque;

    slirp_socket_recv(f->stack->slirp, f->server, f->port, buf, len);
}

static void fwd_flush(void *opaque)
{
    GuestFwd *f = opaque;
    int n = chr_write(&f->fe, f->out->data, f->out->len);

    g_byte_array_remove_range(f->out, 0, n);
    if (f->out->len)
        chr_add_watch(&f->fe, fwd_flush, f);
}

/* What the guest wrote: bounded, as its connection's window is. */
static ssize_t fwd_write(const void *buf, size_t len, void *opaque)
{
    GuestFwd *f = opaque;

    if (f->out->len > 1 << 20)
        return len;
    g_byte_array_append(f->out, buf, len);
    fwd_flush(f);
    return len;
}

static void fwd_free(gpointer p)
{
    GuestFwd *f = p;

    chr_detach(&f->fe);
    chr_remove(f->id, NULL);        /* nobody else can name it in time: the next netdev may want the port */
    g_free(f->id);
    g_byte_array_unref(f->out);
    g_free(f);
}

static bool conflict(const char *rule, GError **err)
{
    return error_set(err, "Conflicting/invalid host:port in guest forwarding rule '%s'", rule);
}

static bool stack_guestfwd(UserStack *s, struct in_addr server, uint16_t port, const char *dest, const char *rule, GError **err)
{
    g_autofree char *id = g_strdup_printf("guestfwd.tcp.%d", port);
    Chardev *chr;
    GuestFwd *f;

    if (g_str_has_prefix(dest, "cmd:"))
        return slirp_add_exec(s->slirp, dest + 4, &server, port) >= 0 || conflict(rule, err);
    chr = chr_open(id, dest, NULL);
    if (!chr)
        return error_set(err, "Could not open guest forwarding device '%s'", id);
    f = g_new0(GuestFwd, 1);
    f->stack = s;
    f->id = g_strdup(id);
    f->out = g_byte_array_new();
    if (!chr_attach(&f->fe, chr, err) || slirp_add_guestfwd(s->slirp, fwd_write, f, &server, port) < 0) {
        fwd_free(f);
        return conflict(rule, err && *err ? NULL : err);
    }
    f->server = server;
    f->port = port;
    chr_set_handlers(&f->fe, fwd_can_read, fwd_read, NULL, f);
    g_ptr_array_add(s->guestfwds, f);
    return true;
}

/* ---- The module ---- */

static UserStack *stack_start(NetClient *c, const UserConfig *cfg)
{
    UserStack *s = g_new0(UserStack, 1);
    SlirpConfig sc = {
        .version = 1, .restricted = cfg->restricted, .in_enabled = cfg->ipv4, .vnetwork = cfg->net, .vnetmask = cfg->mask,
        .vhost = cfg->host, .in6_enabled = cfg->ipv6, .vprefix_addr6 = cfg->prefix6, .vprefix_len = cfg->prefix6_len,
        .vhost6 = cfg->host6, .vhostname = cfg->hostname, .tftp_server_name = cfg->tftp_server, .tftp_path = cfg->tftp,
        .bootfile = cfg->bootfile, .vdhcp_start = cfg->dhcp, .vnameserver = cfg->dns, .vnameserver6 = cfg->dns6,
        .vdnssearch = cfg->dnssearch && cfg->dnssearch[0] ? (const char **)cfg->dnssearch : NULL, .vdomainname = cfg->domain,
    };

    s->client = c;
    s->guestfwds = g_ptr_array_new_with_free_func(fwd_free);
    s->slirp = slirp_new(&sc, &callbacks, s);
    if (!s->slirp) {
        g_ptr_array_unref(s->guestfwds);
        g_free(s);
        return NULL;
    }
    s->source = (SlirpSource *)g_source_new(&source_funcs, sizeof *s->source);
    s->source->stack = s;
    s->source->fds = g_array_new(false, true, sizeof(GPollFD));
    s->source->wanted = g_array_new(false, true, sizeof(GPollFD));
    g_source_attach(&s->source->source, NULL);
    g_main_context_wakeup(NULL);
    return s;
}

static void stack_stop(UserStack *s)
{
    update_fds(s->source);
    g_source_destroy(&s->source->source);
    g_source_unref(&s->source->source);
    g_ptr_array_unref(s->guestfwds);
    slirp_cleanup(s->slirp);
    g_free(s);
}

static void stack_input(UserStack *s, const uint8_t *pkt, size_t size)
{
    slirp_input(s->slirp, pkt, size);
    for (unsigned i = 0; i < s->guestfwds->len; i++)
        chr_accept_input(&((GuestFwd *)g_ptr_array_index(s->guestfwds, i))->fe);
    kick(s);
}

static bool stack_hostfwd(UserStack *s, const UserFwd *f, bool add)
{
    return (add ? slirp_add_hostfwd(s->slirp, f->udp, f->host, f->host_port, f->guest, f->guest_port)
                : slirp_remove_hostfwd(s->slirp, f->udp, f->host, f->host_port)) >= 0;
}

static char *stack_info(UserStack *s)
{
    return slirp_connection_info(s->slirp);
}

static ssize_t save_bytes(const void *buf, size_t len, void *opaque)
{
    g_byte_array_append(opaque, buf, len);
    return len;
}

static void stack_save(UserStack *s, GByteArray *out)
{
    slirp_state_save(s->slirp, save_bytes, out);
}

typedef struct Reader { NetReadFn *read; void *opaque; bool failed; } Reader;

/* What is missing reads as zeros, so that the library stays in its bounds. */
static ssize_t load_bytes(void *buf, size_t len, void *opaque)
{
    Reader *r = opaque;

    if (!r->failed && r->read(r->opaque, buf, len))
        return len;
    r->failed = true;
    memset(buf, 0, len);
    return -1;
}

static bool stack_load(UserStack *s, int version, NetReadFn *read, void *opaque)
{
    Reader r = { read, opaque, false };
    bool ok;

    s->loading = true;              /* the reader may let the main loop run */
    ok = version <= slirp_state_version() && slirp_state_load(s->slirp, version, load_bytes, &r) >= 0 && !r.failed;
    s->loading = false;
    g_main_context_wakeup(NULL);
    return ok;
}

extern const UserModule net_user_module;
const UserModule net_user_module = {
    .start = stack_start, .stop = stack_stop, .input = stack_input, .hostfwd = stack_hostfwd, .guestfwd = stack_guestfwd,
    .info = stack_info, .state_version = slirp_state_version, .save = stack_save, .load = stack_load,
};
