/*
 * The protocol "nbd": an export of an NBD server, through libnbd.
 *
 * A request is a command of the library; its end is told by a callback, from which the coroutine is woken.  When the
 * connection breaks, requests fail; with reconnect-delay they wait for a new one and are made again (all of them may
 * be: reading and writing the same place twice does no harm).  Without it, each later request tries once.
 * Not modelled: TLS.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include "block/aio.h"
#include "block/graph.h"
#include "block/nbd-client.h"
#include "block/nbd-proto.h"
#include "block/options.h"
#include "util/error.h"

#ifdef CONFIG_NBD
typedef struct Call {
    Coroutine *co;                      /* NULL: does not wait (yet) */
    int error;                          /* > 0; ECONNABORTED: the connection is gone */
    bool done;
    uint32_t extent[2];                 /* of block status: length, flags */
} Call;

typedef struct NbdDisk {
    const NbdLib *lib;
    SocketAddress address;
    char *export, *context;             /* context: of block status */
    uint64_t reconnect_delay, open_timeout;     /* s */
    struct nbd_handle *h;               /* NULL: not connected */
    int fd;
    int64_t size;
    bool broken;                        /* h is of no use any more; it goes when no call is left */
    unsigned calls;
    CoMutex connecting;
    bool can_flush, can_fua, can_trim, can_zero, can_fast_zero, has_context;
    uint32_t min_block;
    int64_t max_block;
    bool failed_once;                   /* while broken: the wait for a new one has been in vain */
} NbdDisk;

/* ---- the connection */

static void update_events(NbdDisk *s)
{
    unsigned dir = s->lib->nbd_aio_get_direction(s->h);

    aio_set_events(s->fd, (dir & LIBNBD_AIO_DIRECTION_READ ? AIO_READ : 0) | (dir & LIBNBD_AIO_DIRECTION_WRITE ? AIO_WRITE : 0));
}

/* The library is told what its socket can do; it calls back for what has ended. */
static void ready(void *opaque)
{
    NbdDisk *s = opaque;
    unsigned dir = s->lib->nbd_aio_get_direction(s->h);
    struct pollfd p = { s->fd, (dir & 1 ? POLLIN : 0) | (dir & 2 ? POLLOUT : 0), 0 };

    if (poll(&p, 1, 0) > 0) {
        if (p.revents & (POLLIN | POLLHUP | POLLERR))
            s->lib->nbd_aio_notify_read(s->h);
        else if (p.revents & POLLOUT)
            s->lib->nbd_aio_notify_write(s->h);
    }
    update_events(s);
}

static void disconnect(NbdDisk *s)
{
    if (!s->h)
        return;
    aio_del_fd(s->fd);
    if (!s->broken)
        s->lib->nbd_aio_disconnect(s->h, 0);
    s->lib->nbd_close(s->h);
    s->h = NULL;
    s->broken = false;
}

typedef struct Attempt { NbdDisk *s; struct nbd_handle *h; GError *e; } Attempt;

static int do_attempt(void *arg)
{
    Attempt *a = arg;
    const char *contexts[] = { a->s->context, NULL };

    a->h = nbd_lib_connect(a->s->lib, &a->s->address, a->s->export, contexts, &a->e);
    return a->h ? 0 : -ECONNREFUSED;
}

/* What the server has said about the export: that can't be worse than the last time. */
static bool learn(NbdDisk *s, struct nbd_handle *h, GError **err)
{
    const NbdLib *lib = s->lib;
    int64_t size = lib->nbd_get_size(h), min = lib->nbd_get_block_size(h, LIBNBD_SIZE_MINIMUM),
            max = lib->nbd_get_block_size(h, LIBNBD_SIZE_MAXIMUM);

    if (size < 0)
        return error_set(err, "the server's export has no usable size");
    if (s->min_block && size != s->size)
        return error_set(err, "the export's size has changed");
    min = MAX(min, 1);
    if (min & (min - 1) || min > 65536)
        return error_set(err, "the server wants requests in blocks of %" PRId64 " bytes, which is not supported", min);
    s->size = size;
    s->min_block = min;
    s->max_block = max > 0 ? MIN(max, (int64_t)NBD_MAX_PAYLOAD) & ~(min - 1) : NBD_MAX_PAYLOAD;
    if (s->max_block < min)
        return error_set(err, "the server's greatest request is smaller than its smallest");
    s->can_flush = lib->nbd_can_flush(h) > 0;
    s->can_fua = lib->nbd_can_fua(h) > 0;
    s->can_trim = lib->nbd_can_trim(h) > 0;
    s->can_zero = lib->nbd_can_zero(h) > 0;
    s->can_fast_zero = lib->nbd_can_fast_zero(h) > 0;
    s->has_context = lib->nbd_can_meta_context(h, s->context) > 0;
    return true;
}

/* One attempt; in a coroutine, or at the start. */
static bool connect_once(NbdDisk *s, GError **err)
{
    Attempt a = { s, NULL, NULL };

    if (co_thread_pool(do_attempt, &a) < 0) {
        g_propagate_error(err, a.e);
        return false;
    }
    if (!learn(s, a.h, err)) {
        s->lib->nbd_close(a.h);
        return false;
    }
    s->h = a.h;
    s->fd = s->lib->nbd_aio_get_fd(a.h);
    aio_add_fd(s->fd, ready, s);
    update_events(s);
    return true;
}

/* Attempts until one succeeds, for so many seconds: 0: one. */
static bool connect_within(NbdDisk *s, uint64_t seconds, GError **err)
{
    int64_t until = aio_now() + (int64_t)MIN(seconds, 1000000) * 1000000000;
    GError *e = NULL;

    while (!connect_once(s, &e)) {
        if (aio_now() >= until) {
            g_propagate_error(err, e);
            return false;
        }
        g_clear_error(&e);
        co_sleep_until(aio_now() + 250000000);
    }
    return true;
}

/* 0 when there is a connection that works. */
static int need_connection(NbdDisk *s)
{
    int ret = 0;

    if (s->h && !s->broken)
        return 0;
    co_mutex_lock(&s->connecting);
    if (s->h && s->broken && !s->calls)
        disconnect(s);
    if (!s->h) {
        /* those that come after a wait in vain do not wait once more */
        ret = connect_within(s, s->failed_once ? 0 : s->reconnect_delay, NULL) ? 0 : -EIO;
        s->failed_once = ret < 0;
    } else if (s->broken) {
        ret = -EIO;                     /* others have not noticed yet */
    }
    co_mutex_unlock(&s->connecting);
    return ret;
}

/* ---- commands */

static int command_done(void *opaque, int *error)
{
    Call *c = opaque;

    c->error = *error;
    c->done = true;
    if (c->co)
        coroutine_wake(c->co);
    return 1;
}

static int got_extents(void *opaque, const char *context, uint64_t offset, uint32_t *entries, size_t n, int *error)
{
    Call *c = opaque;

    if (n >= 2) {
        c->extent[0] = entries[0];
        c->extent[1] = entries[1];
    }
    return 0;
}

typedef struct Command { unsigned type, flags; uint64_t offset, bytes; void *buf; } Command;

static int64_t issue(NbdDisk *s, const Command *k, Call *c)
{
    nbd_completion_callback end = { .callback = command_done, .user_data = c };
    const NbdLib *lib = s->lib;

    switch (k->type) {
    case NBD_CMD_READ: return lib->nbd_aio_pread(s->h, k->buf, k->bytes, k->offset, end, k->flags);
    case NBD_CMD_WRITE: return lib->nbd_aio_pwrite(s->h, k->buf, k->bytes, k->offset, end, k->flags);
    case NBD_CMD_FLUSH: return lib->nbd_aio_flush(s->h, end, k->flags);
    case NBD_CMD_TRIM: return lib->nbd_aio_trim(s->h, k->bytes, k->offset, end, k->flags);
    case NBD_CMD_WRITE_ZEROES: return lib->nbd_aio_zero(s->h, k->bytes, k->offset, end, k->flags);
    default:
        return lib->nbd_aio_block_status(s->h, k->bytes, k->offset, (nbd_extent_callback){ .callback = got_extents, .user_data = c },
                                         end, k->flags);
    }
}

/* Over this connection; -ECONNABORTED: it broke. */
static int try_command(NbdDisk *s, const Command *k, Call *c)
{
    *c = (Call){ .co = NULL };
    if (issue(s, k, c) < 0) {
        int e = s->lib->nbd_get_errno();

        if (s->lib->nbd_aio_is_ready(s->h) > 0)
            return e ? -e : -EIO;
        s->broken = true;
        return -ECONNABORTED;
    }
    s->calls++;
    update_events(s);
    c->co = coroutine_self();
    if (!c->done)                       /* it may have ended in issue() */
        coroutine_yield();
    s->calls--;
    if (c->error && s->h && s->lib->nbd_aio_is_ready(s->h) <= 0 && s->lib->nbd_aio_get_direction(s->h) == 0) {
        s->broken = true;
        return -ECONNABORTED;
    }
    return -c->error;
}

static int command(BlockNode *n, const Command *k, Call *c)
{
    NbdDisk *s = n->state;

    for (;;) {
        int ret = need_connection(s);

        if (ret == 0)
            ret = try_command(s, k, c);
        else
            return ret;
        if (ret != -ECONNABORTED)
            return ret;
        if (!s->reconnect_delay)
            return -EIO;
        /* the last of those that were in flight clears up */
        while (s->broken && s->calls)
            co_sleep_until(aio_now() + 10000000);
    }
}

static int nbd_rw(BlockNode *n, unsigned type, int64_t offset, int64_t bytes, const IoVec *v, size_t vo, unsigned flags)
{
    struct iovec one;
    bool whole = iov_count(v, vo, bytes) == 1 && iov_slice(v, vo, bytes, &one) == 1;
    Command k = { type, flags, offset, bytes, whole ? one.iov_base : block_try_memalign(bytes) };
    Call c;
    int ret = k.buf ? 0 : -ENOMEM;

    if (ret == 0 && !whole && type == NBD_CMD_WRITE)
        iov_to_buf(v, vo, k.buf, bytes);
    if (ret == 0)
        ret = command(n, &k, &c);
    if (ret == 0 && !whole && type == NBD_CMD_READ)
        iov_from_buf(v, vo, k.buf, bytes);
    if (!whole)
        free(k.buf);
    return ret;
}

static int nbd_co_read(BlockNode *n, int64_t offset, int64_t bytes, const IoVec *v, size_t vo, unsigned flags)
{
    return nbd_rw(n, NBD_CMD_READ, offset, bytes, v, vo, 0);
}

static int nbd_co_flush(BlockNode *n)
{
    NbdDisk *s = n->state;
    Command k = { .type = NBD_CMD_FLUSH };
    Call c;

    return s->can_flush && !(n->flags & OPEN_NO_FLUSH) ? command(n, &k, &c) : 0;
}

static int nbd_co_write(BlockNode *n, int64_t offset, int64_t bytes, const IoVec *v, size_t vo, unsigned flags)
{
    NbdDisk *s = n->state;
    int ret = nbd_rw(n, NBD_CMD_WRITE, offset, bytes, v, vo, flags & BLK_FUA && s->can_fua ? LIBNBD_CMD_FLAG_FUA : 0);

    return ret == 0 && (flags & BLK_FUA) && !s->can_fua ? nbd_co_flush(n) : ret;
}

static int nbd_co_zero(BlockNode *n, int64_t offset, int64_t bytes, unsigned flags)
{
    NbdDisk *s = n->state;
    Command k = { NBD_CMD_WRITE_ZEROES, flags & BLK_MAY_UNMAP ? 0 : LIBNBD_CMD_FLAG_NO_HOLE, offset, bytes, NULL };
    Call c;

    if (!s->can_zero)
        return -ENOTSUP;
    if (flags & BLK_NO_FALLBACK) {
        if (!s->can_fast_zero)
            return -ENOTSUP;
        k.flags |= LIBNBD_CMD_FLAG_FAST_ZERO;
    }
    return command(n, &k, &c);
}

static int nbd_co_discard(BlockNode *n, int64_t offset, int64_t bytes)
{
    NbdDisk *s = n->state;
    Command k = { NBD_CMD_TRIM, 0, offset, bytes, NULL };
    Call c;

    return s->can_trim ? command(n, &k, &c) : -ENOTSUP;
}

static int nbd_co_status(BlockNode *n, int64_t offset, int64_t bytes, int64_t *pnum, int64_t *map, BlockNode **file)
{
    NbdDisk *s = n->state;
    Command k = { NBD_CMD_BLOCK_STATUS, LIBNBD_CMD_FLAG_REQ_ONE, offset,
                  MIN(bytes, (int64_t)(INT32_MAX & ~(s->min_block - 1))), NULL };
    Call c;
    int ret;

    *map = offset;
    *file = n;
    *pnum = bytes;
    if (!s->has_context || bytes <= 0)
        return STATUS_DATA | STATUS_OFFSET;
    ret = command(n, &k, &c);
    if (ret < 0)
        return ret;
    if (!c.extent[0])
        return -EIO;
    *pnum = MIN(bytes, (int64_t)c.extent[0]);
    return STATUS_OFFSET | (c.extent[1] & NBD_STATE_HOLE ? 0 : STATUS_DATA) | (c.extent[1] & NBD_STATE_ZERO ? STATUS_ZERO : 0);
}

/* ---- opening */

static bool take_address(NbdDisk *s, json_t *opts, GError **err)
{
    g_autofree char *type = jopts_take(opts, "server.type");
    char **path = &s->address.path, **host = &s->address.host, **port = &s->address.port;

    *path = jopts_take(opts, "server.path");
    *host = jopts_take(opts, "server.host");
    *port = jopts_take(opts, "server.port");
    if (!*path)
        *path = jopts_take(opts, "path");
    if (!*host)
        *host = jopts_take(opts, "host");
    if (!*port)
        *port = jopts_take(opts, "port");
    if (*path && *host)
        return error_set(err, "path and host may not be used at the same time");
    if (!*path && !*host)
        return error_set(err, *port ? "port may not be used without host" : "NBD server address missing");
    if (type && strcmp(type, *path ? "unix" : "inet"))
        return error_set(err, "Invalid parameter '%s'", type);
    if (!*path && !*port)
        *port = g_strdup(NBD_PORT);
    return true;
}

static bool take_options(BlockNode *n, json_t *opts, GError **err)
{
    NbdDisk *s = n->state;
    g_autofree char *bitmap = jopts_take(opts, "x-dirty-bitmap"), *tls = jopts_take(opts, "tls-creds");

    s->export = jopts_take(opts, "export");
    if (!s->export)
        s->export = g_strdup("");
    if (strlen(s->export) > NBD_MAX_STRING)
        return error_set(err, "export name too long to send to server");
    if (tls)
        return error_set(err, "tls-creds: TLS is not supported");
    s->context = g_strdup(bitmap ? bitmap : "base:allocation");
    return take_address(s, opts, err) && jopts_take_number(opts, "reconnect-delay", &s->reconnect_delay, err) &&
        jopts_take_number(opts, "open-timeout", &s->open_timeout, err);
}

static void set_name(BlockNode *n)
{
    NbdDisk *s = n->state;
    bool named = *s->export;

    g_free(n->filename);
    g_free(n->exact_filename);
    if (s->address.path)
        n->exact_filename = g_strdup_printf("nbd+unix://%s%s?socket=%s", named ? "/" : "", s->export, s->address.path);
    else
        n->exact_filename = g_strdup_printf("nbd://%s:%s%s%s", s->address.host, s->address.port, named ? "/" : "", s->export);
    n->filename = g_strdup(n->exact_filename);
}

static bool nbd_open(BlockNode *n, json_t *opts, unsigned flags, GError **err)
{
    NbdDisk *s = n->state;

    s->lib = nbd_lib(err);
    if (!s->lib || !take_options(n, opts, err) || !connect_within(s, s->open_timeout, err))
        return false;
    set_name(n);
    n->length = s->size;
    if (s->lib->nbd_is_read_only(s->h) > 0 && (flags & OPEN_RDWR)) {
        if (!(flags & OPEN_AUTO_RDONLY))
            return error_set(err, "request on write denied without write permission");
        n->read_only = true;
    }
    return true;
}

static void nbd_disk_close(BlockNode *n)
{
    NbdDisk *s = n->state;

    disconnect(s);
    socket_address_clear(&s->address);
    g_clear_pointer(&s->export, g_free);
    g_clear_pointer(&s->context, g_free);
}

static void nbd_limits(BlockNode *n)
{
    NbdDisk *s = n->state;

    n->limits.request_align = MAX(s->min_block, 1);
    n->limits.max_transfer = s->max_block;
}

/* The server has it or not; that does not change. */
static bool nbd_reopen(BlockNode *n, bool rw, GError **err)
{
    NbdDisk *s = n->state;

    return !rw || (s->h && s->lib->nbd_is_read_only(s->h) <= 0) || error_set(err, "the server exports it read-only");
}

/* ---- names: nbd:unix:PATH[:exportname=X], nbd:HOST:PORT[:exportname=X], nbd://HOST[:PORT][/X], nbd+unix:///[X]?socket=PATH */

static void set_unescaped(json_t *opts, const char *key, const char *text)
{
    g_autofree char *plain = g_uri_unescape_string(text, NULL);

    jopts_set(opts, key, plain ? plain : text);
}

static bool parse_uri(const char *uri, json_t *opts, GError **err)
{
    bool is_unix = g_str_has_prefix(uri, "nbd+unix:");
    const char *rest = strstr(uri, "://") + 3, *query = strchr(rest, '?'), *slash = strchr(rest, '/');
    g_autofree char *where = g_strndup(rest, slash ? (size_t)(slash - rest) : query ? (size_t)(query - rest) : strlen(rest));
    g_autofree char *export = slash ? g_strndup(slash + 1, query && query > slash ? (size_t)(query - slash - 1) : strlen(slash + 1)) : NULL;
    char *colon = *where == '[' ? strstr(where, "]:") : strchr(where, ':');

    if (slash && query && slash > query)
        g_clear_pointer(&export, g_free);
    if (export && *export)
        set_unescaped(opts, "export", export);
    if (is_unix) {
        if (*where || !query || !g_str_has_prefix(query, "?socket="))
            return error_set(err, "No valid URL specified");
        set_unescaped(opts, "server.path", query + 8);
        return true;
    }
    if (query || !*where)
        return error_set(err, "No valid URL specified");
    if (*where == '[' && !strchr(where, ']'))
        return error_set(err, "No valid URL specified");
    jopts_set(opts, "server.port", colon ? colon + 1 + (*where == '[') : NBD_PORT);
    if (colon)
        *colon = '\0';
    if (*where == '[')
        where[strcspn(where, "]")] = '\0';
    set_unescaped(opts, "server.host", *where == '[' ? where + 1 : where);
    return true;
}

static bool nbd_parse_filename(const char *filename, json_t *opts, GError **err)
{
    const char *rest, *export;
    g_autofree char *where = NULL;
    char *colon;

    if (strstr(filename, "://"))
        return parse_uri(filename, opts, err);
    if (!g_str_has_prefix(filename, "nbd:"))
        return error_set(err, "File name string for 'nbd' must start with 'nbd:'");
    rest = filename + 4;
    export = strstr(rest, ":exportname=");
    where = export ? g_strndup(rest, export - rest) : g_strdup(rest);
    if (export && export[12])
        jopts_set(opts, "export", export + 12);
    if (g_str_has_prefix(where, "unix:")) {
        jopts_set(opts, "server.path", where + 5);
        return where[5] || error_set(err, "NBD server address missing");
    }
    if (!*where)
        return error_set(err, "NBD server address missing");
    colon = strrchr(where, ':');
    if (!colon || !colon[1] || colon == where)
        return error_set(err, "error parsing address '%s'", where);
    jopts_set(opts, "server.port", colon + 1);
    *colon = '\0';
    jopts_set(opts, "server.host", where);
    return true;
}

const BlockDriver driver_nbd = {
    .name = "nbd", .is_protocol = true, .state_size = sizeof(NbdDisk), .open = nbd_open, .reopen = nbd_reopen,
    .close = nbd_disk_close, .parse_filename = nbd_parse_filename, .co_read = nbd_co_read, .co_write = nbd_co_write,
    .co_zero = nbd_co_zero, .co_discard = nbd_co_discard, .co_flush = nbd_co_flush, .co_status = nbd_co_status,
    .refresh_limits = nbd_limits, .write_flags = BLK_FUA, .zero_flags = BLK_MAY_UNMAP,
};
#endif
