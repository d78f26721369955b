/*
 * Sending pages over several sockets. The migration's thread fills packets, which wait in a queue; each channel's thread
 * takes the next one, writes it, and, at a mark, writes that mark when the queue is empty.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "migration/format.h"
#include "migration/multifd.h"
#include "util/error.h"

#define LOOK_MS 50              /* how often a waiting migration looks whether it was cancelled */

typedef struct Packet {
    RamBlock *block;
    unsigned n;
    uint64_t offset[MULTI_PAGES];
} Packet;

typedef struct SendChannel {
    MultiSend *m;
    unsigned id;
    int fd;
    GThread *thread;
    MultiCodec *codec;
    unsigned method;            /* flag of its packets */
    bool mark;                  /* under m->lock: to be written */
} SendChannel;

struct MultiSend {
    MultiSendConfig cfg;
    unsigned count;             /* channels that have a thread */
    SendChannel *channels;
    Packet *current;            /* the migration thread's */
    uint64_t bytes;             /* atomic */

    GMutex lock;                /* over what follows */
    GCond work, done;
    GQueue ready, unused;       /* Packet */
    unsigned marks;             /* that are still to be written */
    uint64_t packets;
    bool quitting;
    GError *err;                /* the first one */
};

/* ---- A channel's thread ---- */

static uint8_t *be32(uint8_t *p, uint32_t v)
{
    for (unsigned i = 0; i < 4; i++)
        p[i] = v >> (24 - 8 * i);
    return p + 4;
}

static uint8_t *be64(uint8_t *p, uint64_t v)
{
    return be32(be32(p, v >> 32), v);
}

static int write_all(int fd, struct iovec *iov, unsigned n)
{
    while (n) {
        struct msghdr m = { .msg_iov = iov, .msg_iovlen = n };
        ssize_t r = sendmsg(fd, &m, MSG_NOSIGNAL);

        if (r < 0 && errno != EINTR)
            return -errno;
        for (r = MAX(r, 0); n && (size_t)r >= iov->iov_len; iov++, n--)
            r -= iov->iov_len;
        if (n) {
            iov->iov_base = (char *)iov->iov_base + r;
            iov->iov_len -= r;
        }
    }
    return 0;
}

static int say_hello(SendChannel *c)
{
    uint8_t hello[MULTI_HELLO] = { 0 };
    struct iovec iov = { hello, sizeof hello };

    memcpy(be32(be32(hello, MULTI_MAGIC), MULTI_VERSION), c->m->cfg.uuid, 16);
    hello[24] = c->id;
    return write_all(c->fd, &iov, 1);
}

/* The pages behind the head: as they are, or compressed; the number of pieces, 0: it can't be done. */
static unsigned fill_pages(SendChannel *c, const Packet *p, struct iovec *iov, size_t *bytes)
{
    uint8_t *pages[MULTI_PAGES], *out;
    unsigned k = 0;

    for (unsigned i = 0; i < p->n; i++)
        pages[i] = p->block->host + p->offset[i];
    if (c->codec) {
        *bytes = multi_compress(c->codec, pages, p->n, &out);
        iov[0] = (struct iovec){ out, *bytes };
        return *bytes ? 1 : 0;
    }
    *bytes = (size_t)p->n * MIG_PAGE;
    for (unsigned i = 0; i < p->n; i++) {
        if (k && (uint8_t *)iov[k - 1].iov_base + iov[k - 1].iov_len == pages[i])
            iov[k - 1].iov_len += MIG_PAGE;
        else
            iov[k++] = (struct iovec){ pages[i], MIG_PAGE };
    }
    return k;
}

/* p: NULL for a mark. */
static int write_packet(SendChannel *c, const Packet *p, uint64_t number)
{
    uint8_t head[MULTI_HEAD] = { 0 }, *at = head;
    struct iovec iov[MULTI_PAGES + 1] = { { head, sizeof head } };
    unsigned pieces = 0;
    size_t bytes = 0;
    int r;

    if (p) {
        pieces = fill_pages(c, p, iov + 1, &bytes);
        if (!pieces)
            return -EIO;
        g_strlcpy((char *)head + MULTI_NAME_AT, p->block->name, 256);
        for (unsigned i = 0; i < p->n; i++)
            be64(head + MULTI_OFFSETS_AT + i * 8, p->offset[i]);
    }
    at = be32(be32(be32(at, MULTI_MAGIC), MULTI_VERSION), p ? c->method : MULTI_SYNC);
    be64(be32(be32(be32(at, MULTI_PAGES), p ? p->n : 0), bytes), number);
    r = write_all(c->fd, iov, pieces + 1);
    if (r == 0)
        __atomic_add_fetch(&c->m->bytes, sizeof head + bytes, __ATOMIC_RELAXED);
    return r;
}

static void failed(SendChannel *c, int r)
{
    MultiSend *m = c->m;

    if (!m->err && !m->quitting)
        error_set_errno(&m->err, -r, "multifd channel %u: cannot write the stream", c->id);
    shutdown(m->cfg.main_fd, SHUT_RDWR);
    g_cond_broadcast(&m->work);
    g_cond_broadcast(&m->done);
}

static void *channel_thread(void *opaque)
{
    SendChannel *c = opaque;
    MultiSend *m = c->m;
    int r = say_hello(c);

    g_mutex_lock(&m->lock);
    while (r == 0 && !m->quitting && !m->err) {
        Packet *p = g_queue_pop_head(&m->ready);
        uint64_t number = m->packets;

        if (!p && !c->mark) {
            g_cond_wait(&m->work, &m->lock);
            continue;
        }
        m->packets++;
        g_mutex_unlock(&m->lock);
        r = write_packet(c, p, number);
        g_mutex_lock(&m->lock);
        if (p) {
            g_queue_push_tail(&m->unused, p);
        } else {
            c->mark = false;
            m->marks--;
        }
        g_cond_signal(&m->done);
    }
    if (r < 0)
        failed(c, r);
    g_mutex_unlock(&m->lock);
    return NULL;
}

/* ---- The migration's thread ---- */

/* Waits for a channel to do something; lock held. False: there is no use in waiting. */
static bool wait_done(MultiSend *m)
{
    struct pollfd p = { .fd = m->cfg.main_fd, .events = POLLRDHUP };

    if (m->err || m->cfg.cancelled())
        return false;
    if (poll(&p, 1, 0) > 0)
        return error_set(&m->err, "the other side closed the connection before it had loaded everything");
    g_cond_wait_until(&m->done, &m->lock, g_get_monotonic_time() + LOOK_MS * 1000);
    return true;
}

static void hand_over(MultiSend *m)
{
    g_mutex_lock(&m->lock);
    g_queue_push_tail(&m->ready, g_steal_pointer(&m->current));
    g_cond_signal(&m->work);
    g_mutex_unlock(&m->lock);
}

static Packet *unused_packet(MultiSend *m)
{
    Packet *p;

    g_mutex_lock(&m->lock);
    while (!(p = g_queue_pop_head(&m->unused)) && wait_done(m))
        continue;
    g_mutex_unlock(&m->lock);
    return p;
}

void multi_send_page(MultiSend *m, RamBlock *b, uint64_t offset)
{
    if (m->current && m->current->block != b)
        hand_over(m);
    if (!m->current) {
        m->current = unused_packet(m);
        if (!m->current)
            return;             /* the next mark will say why */
        m->current->block = b;
        m->current->n = 0;
    }
    m->current->offset[m->current->n++] = offset;
    if (m->current->n == MULTI_PAGES)
        hand_over(m);
}

bool multi_send_sync(MultiSend *m)
{
    bool ok = true;

    if (m->current)
        hand_over(m);
    g_mutex_lock(&m->lock);
    for (unsigned i = 0; i < m->count; i++)
        m->channels[i].mark = true;
    m->marks = m->count;
    g_cond_broadcast(&m->work);
    while (m->marks && ok)
        ok = wait_done(m);
    ok = ok && !m->err;
    g_mutex_unlock(&m->lock);
    return ok;
}

bool multi_send_error(MultiSend *m, GError **err)
{
    bool any;

    g_mutex_lock(&m->lock);
    any = m->err;
    if (any)
        g_propagate_error(err, g_error_copy(m->err));
    g_mutex_unlock(&m->lock);
    return any;
}

uint64_t multi_send_bytes(MultiSend *m)
{
    return __atomic_load_n(&m->bytes, __ATOMIC_RELAXED);
}

/* ---- Making and ending ---- */

static bool connect_one(MultiSend *m, GError **err)
{
    SendChannel *c = &m->channels[m->count];
    g_autofree char *name = g_strdup_printf("multifdsend_%u", m->count);
    GError *why = NULL;

    *c = (SendChannel){ .m = m, .id = m->count, .method = multi_codec_flag(m->cfg.method) };
    c->codec = multi_codec_new(m->cfg.method, m->cfg.level, true, &why);
    if (why) {
        g_propagate_error(err, why);
        return false;
    }
    c->fd = socket_connect(m->cfg.to, err);
    if (c->fd < 0) {
        g_prefix_error(err, "multifd channel %u: ", c->id);
        multi_codec_free(c->codec);
        return false;
    }
    m->count++;
    c->thread = g_thread_new(name, channel_thread, c);
    return true;
}

MultiSend *multi_send_new(const MultiSendConfig *cfg, GError **err)
{
    MultiSend *m = g_new0(MultiSend, 1);

    m->cfg = *cfg;
    m->channels = g_new0(SendChannel, cfg->channels);
    for (unsigned i = 0; i < 2 * cfg->channels + 1; i++)
        g_queue_push_tail(&m->unused, g_new(Packet, 1));
    while (m->count < cfg->channels) {
        if (cfg->cancelled() || !connect_one(m, err)) {
            multi_send_free(m);
            return NULL;
        }
    }
    return m;
}

void multi_send_free(MultiSend *m)
{
    if (!m)
        return;
    g_mutex_lock(&m->lock);
    m->quitting = true;
    g_cond_broadcast(&m->work);
    g_mutex_unlock(&m->lock);
    for (unsigned i = 0; i < m->count; i++) {
        SendChannel *c = &m->channels[i];

        shutdown(c->fd, SHUT_RDWR);
        g_thread_join(c->thread);
        close(c->fd);
        multi_codec_free(c->codec);
    }
    g_queue_clear_full(&m->ready, g_free);
    g_queue_clear_full(&m->unused, g_free);
    g_free(m->current);
    g_clear_error(&m->err);
    g_free(m->channels);
    g_free(m);
}
