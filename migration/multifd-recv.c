/*
 * Receiving pages over several sockets, a thread each. At a mark a channel waits until the main stream has come to it
 * too, so that a page of the next round never meets an older one of the last.
 *
 * Nothing that comes is trusted: numbers, names, offsets and lengths are checked before use.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "migration/format.h"
#include "migration/multifd.h"
#include "migration/ram.h"
#include "util/error.h"

#define MAX_COMPRESSED (2 * MULTI_PAGES * MIG_PAGE)

typedef struct RecvChannel {
    MultiRecv *m;
    unsigned id;
    int fd;
    GThread *thread;
    MultiCodec *codec;
    uint8_t *packed;            /* MAX_COMPRESSED; NULL without a codec */
    bool waits;                 /* under m->lock: at a mark */
} RecvChannel;

struct MultiRecv {
    RecvChannel *channels;
    unsigned count;             /* that have a socket */
    unsigned method;            /* flag of packets with pages */
    int main_fd;
    RamLoad *ram;

    GMutex lock;                /* over what follows */
    GCond came, go;
    unsigned waiting, ended;
    bool quitting;
    GError *err;                /* the first one */
};

static uint64_t be(const uint8_t *p, unsigned n)
{
    uint64_t v = 0;

    while (n--)
        v = v << 8 | *p++;
    return v;
}

/* n bytes; 0: the end came before the first one; -errno. */
static ssize_t read_all(int fd, void *buf, size_t n)
{
    size_t done = 0;

    while (done < n) {
        ssize_t r = recv(fd, (char *)buf + done, n - done, MSG_WAITALL);

        if (r == 0)
            return done ? -EPIPE : 0;
        if (r < 0 && errno != EINTR)
            return -errno;
        done += MAX(r, 0);
    }
    return n;
}

/* ---- Packets ---- */

typedef struct Head {
    unsigned flags, pages, bytes;
    uint8_t *page[MULTI_PAGES];
} Head;

static bool find_pages(RecvChannel *c, const uint8_t *raw, Head *h, GError **err)
{
    char name[257];
    RamBlock *b;

    memcpy(name, raw + MULTI_NAME_AT, 256);
    name[256] = 0;
    b = ram_load_block(c->m->ram, name);
    if (!b)
        return error_set(err, "pages of block '%s', which is not in the list", name);
    for (unsigned i = 0; i < h->pages; i++) {
        uint64_t off = be(raw + MULTI_OFFSETS_AT + i * 8, 8);

        if (off % MIG_PAGE || off >= b->size)
            return error_set(err, "block '%s': offset 0x%" PRIx64 " is no page of its 0x%" PRIx64 " bytes", b->name, off, b->size);
        ram_load_mark(c->m->ram, b, off);
        h->page[i] = b->host + off;
    }
    return true;
}

static bool parse_head(RecvChannel *c, const uint8_t *raw, Head *h, GError **err)
{
    uint32_t alloc = be(raw + 12, 4);

    h->flags = be(raw + 8, 4);
    h->pages = be(raw + 16, 4);
    h->bytes = be(raw + 20, 4);
    if (be(raw, 4) != MULTI_MAGIC || be(raw + 4, 4) != MULTI_VERSION)
        return error_set(err, "a packet begins with 0x%08x, version %u", (unsigned)be(raw, 4), (unsigned)be(raw + 4, 4));
    if (alloc > MULTI_PAGES || h->pages > alloc)
        return error_set(err, "a packet of %u pages, of at most %u", h->pages, alloc);
    if (!h->pages)
        return true;
    if ((h->flags & MULTI_METHOD) != c->m->method)
        return error_set(err, "packets are of kind 0x%x, 0x%x was expected: multifd-compression differs", h->flags & MULTI_METHOD,
                         c->m->method);
    if (c->codec ? !h->bytes || h->bytes > MAX_COMPRESSED : h->bytes != h->pages * MIG_PAGE)
        return error_set(err, "a packet of %u bytes with %u pages", h->bytes, h->pages);
    return find_pages(c, raw, h, err);
}

static bool came_all(ssize_t r, GError **err)
{
    if (r < 0)
        return error_set_errno(err, -r, "cannot read the stream");
    return r > 0 || error_set(err, "the stream ends in the middle");
}

static bool read_pages(RecvChannel *c, const Head *h, GError **err)
{
    if (!h->pages)
        return true;
    if (c->codec)
        return came_all(read_all(c->fd, c->packed, h->bytes), err) &&
               (multi_decompress(c->codec, c->packed, h->bytes, h->page, h->pages) || error_set(err, "a packet cannot be unpacked"));
    for (unsigned i = 0, n; i < h->pages; i += n) {
        for (n = 1; i + n < h->pages && h->page[i + n] == h->page[i] + n * MIG_PAGE; n++)
            continue;
        if (!came_all(read_all(c->fd, h->page[i], n * MIG_PAGE), err))
            return false;
    }
    return true;
}

/* At a mark, until the main stream has come there too. */
static void wait_for_main(RecvChannel *c)
{
    MultiRecv *m = c->m;

    g_mutex_lock(&m->lock);
    c->waits = true;
    m->waiting++;
    g_cond_signal(&m->came);
    while (c->waits && !m->quitting)
        g_cond_wait(&m->go, &m->lock);
    g_mutex_unlock(&m->lock);
}

/* False at the end (without err), or when something is wrong. */
static bool one_packet(RecvChannel *c, GError **err)
{
    uint8_t raw[MULTI_HEAD];
    ssize_t r = read_all(c->fd, raw, sizeof raw);
    Head h;

    if (r == 0)
        return false;
    if (!came_all(r, err) || !parse_head(c, raw, &h, err) || !read_pages(c, &h, err))
        return false;
    if (h.flags & MULTI_SYNC)
        wait_for_main(c);
    return true;
}

static void *channel_thread(void *opaque)
{
    RecvChannel *c = opaque;
    MultiRecv *m = c->m;
    GError *err = NULL;

    while (one_packet(c, &err))
        continue;
    g_mutex_lock(&m->lock);
    m->ended++;
    if (err && !m->quitting) {
        if (!m->err)
            error_set(&m->err, "multifd channel %u: %s", c->id, err->message);
        shutdown(m->main_fd, SHUT_RDWR);
    }
    g_clear_error(&err);
    g_cond_signal(&m->came);
    g_mutex_unlock(&m->lock);
    return NULL;
}

/* ---- The main stream ---- */

bool multi_recv_error(MultiRecv *m, GError **err)
{
    bool any;

    g_mutex_lock(&m->lock);
    any = m->err;
    if (any) {
        g_clear_error(err);
        g_propagate_error(err, g_error_copy(m->err));
    }
    g_mutex_unlock(&m->lock);
    return any;
}

bool multi_recv_sync(MultiRecv *m, GError **err)
{
    bool all;

    g_mutex_lock(&m->lock);
    while (m->waiting < m->count && !m->ended)
        g_cond_wait(&m->came, &m->lock);
    all = m->waiting == m->count;
    if (all) {
        m->waiting = 0;
        for (unsigned i = 0; i < m->count; i++)
            m->channels[i].waits = false;
        g_cond_broadcast(&m->go);
    }
    g_mutex_unlock(&m->lock);
    if (!all && !multi_recv_error(m, err))
        error_set(err, "a multifd channel ends before the migration does");
    return all;
}

void multi_recv_start(MultiRecv *m, RamLoad *r)
{
    m->ram = r;
    for (unsigned i = 0; i < m->count; i++) {
        RecvChannel *c = &m->channels[i];
        g_autofree char *name = g_strdup_printf("multifdrecv_%u", c->id);

        c->thread = g_thread_new(name, channel_thread, c);
    }
}

void multi_recv_free(MultiRecv *m)
{
    if (!m)
        return;
    g_mutex_lock(&m->lock);
    m->quitting = true;
    g_cond_broadcast(&m->go);
    g_mutex_unlock(&m->lock);
    for (unsigned i = 0; i < m->count; i++) {
        RecvChannel *c = &m->channels[i];

        shutdown(c->fd, SHUT_RDWR);
        if (c->thread)
            g_thread_join(c->thread);
        close(c->fd);
        multi_codec_free(c->codec);
        g_free(c->packed);
    }
    g_clear_error(&m->err);
    g_free(m->channels);
    g_free(m);
}

/* ---- Connections ---- */

/* Waits for a connection, as long as the first one is there. */
static int accept_one(int listening, int first, GError **err)
{
    for (;;) {
        struct pollfd p[2] = { { .fd = listening, .events = POLLIN }, { .fd = first, .events = POLLRDHUP } };
        int fd;

        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return error_set_errno(err, errno, "poll"), -1;
        if (p[0].revents & POLLIN) {
            fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
            if (fd >= 0)
                return fd;
        }
        if (p[1].revents & (POLLRDHUP | POLLHUP | POLLERR))
            return error_set(err, "multifd: the source went away before all its channels had come"), -1;
    }
}

/* What a connection begins with; 0: it ended. */
static uint32_t first_word(int fd)
{
    uint8_t w[4];

    for (;;) {
        struct pollfd p = { .fd = fd, .events = POLLIN | POLLRDHUP };
        ssize_t r = poll(&p, 1, -1) < 0 ? -1 : recv(fd, w, 4, MSG_PEEK);

        if (r == 4)
            return be(w, 4);
        if (r == 0 || (r < 0 && errno != EINTR && errno != EAGAIN))
            return 0;
        if (r > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR)))
            return 0;           /* no more will come */
        if (r > 0)
            g_usleep(1000);
    }
}

/* The descriptors keep their numbers' owners: what is behind them changes places. */
static bool exchange(int a, int b)
{
    int spare = fcntl(a, F_DUPFD_CLOEXEC, 0);
    bool ok = spare >= 0 && dup3(b, a, O_CLOEXEC) >= 0 && dup3(spare, b, O_CLOEXEC) >= 0;

    if (spare >= 0)
        close(spare);
    return ok;
}

static bool read_hello(MultiRecv *m, RecvChannel *c, const uint8_t *uuid, GError **err)
{
    uint8_t h[MULTI_HELLO];

    if (!came_all(read_all(c->fd, h, sizeof h), err))
        return false;
    if (be(h, 4) != MULTI_MAGIC || be(h + 4, 4) != MULTI_VERSION)
        return error_set(err, "it begins with 0x%08x, version %u", (unsigned)be(h, 4), (unsigned)be(h + 4, 4));
    if (memcmp(h + 8, uuid, 16))
        return error_set(err, "the source's UUID differs from this machine's");
    for (unsigned i = 0; i < m->count; i++)
        if (m->channels[i].id == h[24])
            return error_set(err, "there is another channel %u", h[24]);
    c->id = h[24];
    return true;
}

static bool set_up(MultiRecv *m, RecvChannel *c, unsigned channels, int method, const uint8_t *uuid, GError **err)
{
    GError *why = NULL;

    fcntl(c->fd, F_SETFL, fcntl(c->fd, F_GETFL) & ~O_NONBLOCK);
    if (!read_hello(m, c, uuid, err))
        return false;
    if (c->id >= channels)
        return error_set(err, "its number is %u, of %u channels", c->id, channels);
    c->codec = multi_codec_new(method, 0, false, &why);
    c->packed = c->codec ? g_malloc(MAX_COMPRESSED) : NULL;
    if (why)
        g_propagate_error(err, why);
    return !why;
}

/* The main stream comes first, unless the network has changed the order. */
static bool find_main(MultiRecv *m)
{
    if (first_word(m->main_fd) != MULTI_MAGIC)
        return true;
    for (unsigned i = 0; i < m->count; i++)
        if (first_word(m->channels[i].fd) == MIG_MAGIC)
            return exchange(m->main_fd, m->channels[i].fd);
    return false;
}

static bool accept_all(MultiRecv *m, int listening, unsigned channels, GError **err)
{
    while (m->count < channels) {
        int fd = accept_one(listening, m->main_fd, err);

        if (fd < 0)
            return false;
        m->channels[m->count++] = (RecvChannel){ .m = m, .id = UINT_MAX, .fd = fd };
    }
    return find_main(m) || error_set(err, "multifd: there is no main stream among the connections");
}

MultiRecv *multi_recv_new(int listening, int main_fd, unsigned channels, int method, const uint8_t *uuid, GError **err)
{
    MultiRecv *m = g_new0(MultiRecv, 1);
    bool ok;

    m->channels = g_new0(RecvChannel, channels);
    m->main_fd = main_fd;
    m->method = multi_codec_flag(method);
    ok = accept_all(m, listening, channels, err);
    for (unsigned i = 0; ok && i < channels; i++) {
        ok = set_up(m, &m->channels[i], channels, method, uuid, err);
        if (!ok)
            g_prefix_error(err, "multifd: a channel cannot be used: ");
    }
    if (ok)
        return m;
    multi_recv_free(m);
    return NULL;
}
