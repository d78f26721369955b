/*
 * A machine's state in an image: written and read in large aligned pieces, one of which is on its way while the next is
 * made or the last is used. No two requests are under way at the same time.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "block/aio.h"
#include "migration/snapshot-state.h"
#include "util/loop.h"

#define BUFFER (2u << 20)
#define ROUND_UP(n) (((n) + 4095) & ~(size_t)4095)

typedef struct Piece {
    uint8_t *buf;               /* BUFFER, aligned */
    size_t used, filled;        /* bytes: writing: made; reading: used up, there */
} Piece;

struct StateChannel {
    Channel ch;
    BlockNode *node;
    uint64_t at, size;          /* where the next request goes; of the state */
    Piece pieces[2], *now;      /* now: of the stream; the other one may be on its way */
    bool reading;               /* the other one is being read, or has been */
    bool busy;                  /* a request is under way */
    int ret;                    /* the first error */
    struct Request { size_t bytes; uint8_t *buf; bool write; } request;
};

static void request_co(void *opaque)
{
    StateChannel *c = opaque;
    const struct Request *r = &c->request;
    struct iovec iov;
    IoVec v = iov_one(&iov, r->buf, ROUND_UP(r->bytes));
    int ret = c->node->drv->co_vmstate(c->node, c->at, &v, ROUND_UP(r->bytes), r->write);

    if (ret < 0 && !c->ret)
        c->ret = ret;
    c->at += r->bytes;
    c->busy = false;
}

static void wait_for_it(StateChannel *c)
{
    AIO_WAIT_WHILE(c->busy);
}

static void start(StateChannel *c, uint8_t *buf, size_t bytes, bool write)
{
    c->request = (struct Request){ bytes, buf, write };
    c->busy = true;
    coroutine_enter(coroutine_new(request_co, c));
    laio_submit_now();
}

static Piece *other(StateChannel *c)
{
    return c->now == c->pieces ? c->pieces + 1 : c->pieces;
}

/* ---- Writing ---- */

static int write_piece(StateChannel *c)
{
    Piece *p = c->now;

    wait_for_it(c);
    if (c->ret < 0 || !p->used)
        return c->ret;
    memset(p->buf + p->used, 0, ROUND_UP(p->used) - p->used);
    c->size += p->used;
    start(c, p->buf, p->used, true);
    c->now = other(c);
    c->now->used = 0;
    return 0;
}

static int state_write(Channel *ch, struct iovec *iov, int n)
{
    StateChannel *c = (StateChannel *)ch;
    bool locked = machine_locked();
    int ret = 0;

    if (!locked)
        machine_lock();
    for (int i = 0; i < n && ret == 0; i++) {
        for (size_t done = 0, part; done < iov[i].iov_len && ret == 0; done += part) {
            Piece *p = c->now;

            part = MIN(iov[i].iov_len - done, BUFFER - p->used);
            memcpy(p->buf + p->used, (char *)iov[i].iov_base + done, part);
            p->used += part;
            ret = p->used == BUFFER ? write_piece(c) : 0;
        }
    }
    if (!locked)
        machine_unlock();
    return ret;
}

int state_channel_finish(StateChannel *c)
{
    write_piece(c);
    wait_for_it(c);
    return c->ret;
}

/* ---- Reading ---- */

static void read_piece(StateChannel *c, Piece *p)
{
    p->used = 0;
    p->filled = c->at < c->size ? MIN(c->size - c->at, BUFFER) : 0;
    if (p->filled)
        start(c, p->buf, p->filled, false);
}

/* The other piece's turn, and the request for the one behind it. */
static int next_piece(StateChannel *c)
{
    bool locked = machine_locked();

    if (!locked)
        machine_lock();
    if (!c->reading)
        read_piece(c, other(c));
    c->reading = true;
    wait_for_it(c);
    c->now = other(c);
    if (c->ret == 0)
        read_piece(c, other(c));
    if (!locked)
        machine_unlock();
    return c->ret;
}

static ssize_t state_read(Channel *ch, void *buf, size_t n)
{
    StateChannel *c = (StateChannel *)ch;

    if (c->now->used == c->now->filled) {
        int ret = next_piece(c);

        if (ret < 0)
            return ret;
    }
    n = MIN(n, c->now->filled - c->now->used);
    memcpy(buf, c->now->buf + c->now->used, n);
    c->now->used += n;
    return n;
}

/* ---- */

static void keep(Channel *ch)
{
}

StateChannel *state_channel_new(BlockNode *n, uint64_t size)
{
    static const ChannelOps ops = { .write = state_write, .read = state_read, .free = keep };
    StateChannel *c = g_new0(StateChannel, 1);

    c->ch.ops = &ops;
    c->node = n;
    c->size = size;
    c->now = c->pieces;
    for (unsigned i = 0; i < 2; i++)
        c->pieces[i].buf = block_memalign(BUFFER);
    return c;
}

Channel *state_channel_base(StateChannel *c)
{
    return &c->ch;
}

uint64_t state_channel_size(const StateChannel *c)
{
    return c->size;
}

static void discard_co(void *opaque)
{
    StateChannel *c = opaque;

    c->node->drv->co_vmstate(c->node, 0, NULL, c->size, true);
}

void state_channel_discard(StateChannel *c)
{
    wait_for_it(c);
    if (c->size)
        aio_run_sync(discard_co, c);
}

void state_channel_free(StateChannel *c)
{
    wait_for_it(c);
    for (unsigned i = 0; i < 2; i++)
        free(c->pieces[i].buf);
    g_free(c);
}
