/*
 * Requests of drives.
 *
 * A request runs in a coroutine from the moment it is made, on the caller's thread, until it has to wait; its end is
 * told from the main loop, never on the coroutine's stack.
 */
#include <errno.h>
#include "block/backend-int.h"

struct BlkRequest {
    BlockBackend *blk;
    BlkOp op;
    unsigned flags;
    int64_t offset, bytes, begun;
    IoVec v;
    BlkCompletion *cb;
    void *opaque;
    int ret;
    bool *done;                         /* somebody waits for this one */
    AioSoon soon;
    BlkRequest *next;                   /* free */
};

static BlkRequest *free_requests;

static const BlkAcct acct_of[] = { [OP_READ] = BLK_ACCT_READ, [OP_WRITE] = BLK_ACCT_WRITE, [OP_FLUSH] = BLK_ACCT_FLUSH,
                                   [OP_DISCARD] = BLK_ACCT_UNMAP, [OP_ZERO] = BLK_ACCT_WRITE };

int blk_check(BlockBackend *blk, int64_t offset, int64_t bytes)
{
    int64_t len;

    if (!blk->root || blk->root->node->broken)
        return -ENOMEDIUM;
    if (offset < 0 || bytes < 0 || bytes > BLK_MAX_REQUEST)
        return -EIO;
    len = node_length(blk->root->node);
    if (len < 0)
        return len;
    return offset > len || bytes > len - offset ? -EIO : 0;
}

int blk_co_do(BlockBackend *blk, BlkOp op, int64_t offset, int64_t bytes, const IoVec *v, unsigned flags)
{
    NodeLink *l = blk->root;
    int ret;

    if (op == OP_FLUSH)
        return blk_is_inserted(blk) ? node_co_flush(l->node) : -ENOMEDIUM;
    ret = blk_check(blk, offset, op == OP_DISCARD || op == OP_ZERO ? 0 : bytes);
    if (ret == 0 && (op == OP_DISCARD || op == OP_ZERO) && (bytes < 0 || bytes > node_length(l->node) - offset))
        ret = -EIO;
    if (ret < 0)
        return ret;
    if (blk->throttle.group)
        co_throttle(&blk->throttle, op != OP_READ, bytes);
    if (op != OP_READ && op != OP_DISCARD && !blk->write_cache)
        flags |= BLK_FUA;
    switch (op) {
    case OP_READ:
        return node_co_read(l, offset, bytes, v, 0, flags);
    case OP_WRITE:
        return node_co_write(l, offset, bytes, v, 0, flags);
    case OP_DISCARD:
        return node_co_discard(l, offset, bytes);
    default:
        return node_co_zero(l, offset, bytes, flags);
    }
}

/* ---- asynchronous */

static void account(BlkRequest *r)
{
    BlkStats *s = &r->blk->stats;
    BlkAcct a = acct_of[r->op];
    int64_t now = aio_now();

    r->blk->last_access = now;
    s->time_ns[a] += now - r->begun;
    if (r->ret < 0) {
        s->failed[a]++;
        return;
    }
    s->ops[a]++;
    s->bytes[a] += r->bytes;
}

/* From the main loop (or a caller that waits). */
static void request_end(void *opaque)
{
    BlkRequest *r = opaque;
    BlkCompletion *cb = r->cb;
    void *arg = r->opaque;
    int ret = r->ret;

    account(r);
    r->blk->in_flight--;
    if (r->done)
        *r->done = true;
    blk_unref(r->blk);
    r->next = free_requests;
    free_requests = r;
    cb(arg, ret);
}

static void request_co(void *opaque)
{
    BlkRequest *r = opaque;

    r->ret = blk_co_do(r->blk, r->op, r->offset, r->bytes, &r->v, r->flags);
    r->soon.fn = request_end;
    r->soon.opaque = r;
    aio_call_soon(&r->soon);
}

static BlkRequest *submit(BlockBackend *blk, BlkOp op, int64_t offset, int64_t bytes, const struct iovec *iov, unsigned niov,
                          unsigned flags, BlkCompletion *cb, void *opaque)
{
    BlkRequest *r = free_requests;

    if (r)
        free_requests = r->next;
    else
        r = g_new(BlkRequest, 1);
    *r = (BlkRequest){ .blk = blk, .op = op, .flags = flags, .offset = offset, .bytes = bytes, .begun = aio_now(),
                       .v = { iov, niov }, .cb = cb, .opaque = opaque };
    blk->refs++;
    blk->in_flight++;
    coroutine_enter(coroutine_new(request_co, r));
    return r;
}

BlkRequest *blk_aio_preadv(BlockBackend *blk, int64_t offset, const struct iovec *iov, unsigned niov, unsigned flags,
                           BlkCompletion *cb, void *opaque)
{
    return submit(blk, OP_READ, offset, iov_size(iov, niov), iov, niov, flags, cb, opaque);
}

BlkRequest *blk_aio_pwritev(BlockBackend *blk, int64_t offset, const struct iovec *iov, unsigned niov, unsigned flags,
                            BlkCompletion *cb, void *opaque)
{
    return submit(blk, OP_WRITE, offset, iov_size(iov, niov), iov, niov, flags, cb, opaque);
}

BlkRequest *blk_aio_flush(BlockBackend *blk, BlkCompletion *cb, void *opaque)
{
    return submit(blk, OP_FLUSH, 0, 0, NULL, 0, 0, cb, opaque);
}

BlkRequest *blk_aio_discard(BlockBackend *blk, int64_t offset, int64_t bytes, BlkCompletion *cb, void *opaque)
{
    return submit(blk, OP_DISCARD, offset, bytes, NULL, 0, 0, cb, opaque);
}

BlkRequest *blk_aio_write_zeroes(BlockBackend *blk, int64_t offset, int64_t bytes, unsigned flags, BlkCompletion *cb,
                                 void *opaque)
{
    return submit(blk, OP_ZERO, offset, bytes, NULL, 0, flags, cb, opaque);
}

void blk_aio_cancel(BlkRequest *req)
{
    g_autofree bool *done = g_new0(bool, 1);
    BlockBackend *blk = req->blk;

    req->done = done;
    blk->refs++;
    throttle_hurry(&blk->throttle, true);
    AIO_WAIT_WHILE(!*done);
    throttle_hurry(&blk->throttle, false);
    blk_unref(blk);
}

void blk_plug(void)
{
    laio_plug();
}

void blk_unplug(void)
{
    laio_unplug();
}

/* ---- synchronous */

typedef struct Sync {
    BlockBackend *blk;
    BlkOp op;
    int64_t offset, bytes;
    IoVec v;
    unsigned flags;
    int ret;
} Sync;

static void sync_co(void *opaque)
{
    Sync *s = opaque;

    s->ret = blk_co_do(s->blk, s->op, s->offset, s->bytes, &s->v, s->flags);
}

static int sync_do(BlockBackend *blk, BlkOp op, int64_t offset, int64_t bytes, void *buf, unsigned flags)
{
    struct iovec iov = { buf, bytes };
    Sync s = { blk, op, offset, bytes, { &iov, 1 }, flags, 0 };

    blk->in_flight++;
    aio_run_sync(sync_co, &s);
    blk->in_flight--;
    return s.ret;
}

int blk_pread(BlockBackend *blk, int64_t offset, void *buf, size_t bytes)
{
    return bytes > BLK_MAX_REQUEST ? -EIO : sync_do(blk, OP_READ, offset, bytes, buf, 0);
}

int blk_pwrite(BlockBackend *blk, int64_t offset, const void *buf, size_t bytes, unsigned flags)
{
    return bytes > BLK_MAX_REQUEST ? -EIO : sync_do(blk, OP_WRITE, offset, bytes, (void *)buf, flags);
}

int blk_pwrite_zeroes(BlockBackend *blk, int64_t offset, int64_t bytes, unsigned flags)
{
    return sync_do(blk, OP_ZERO, offset, bytes, NULL, flags);
}

int blk_pdiscard(BlockBackend *blk, int64_t offset, int64_t bytes)
{
    return sync_do(blk, OP_DISCARD, offset, bytes, NULL, 0);
}

int blk_flush(BlockBackend *blk)
{
    return sync_do(blk, OP_FLUSH, 0, 0, NULL, 0);
}

/* ---- waiting */

unsigned blk_in_flight(const BlockBackend *blk)
{
    return blk->in_flight;
}

void blk_drain(BlockBackend *blk)
{
    if (!blk->in_flight)
        return;
    throttle_hurry(&blk->throttle, true);
    AIO_WAIT_WHILE(blk->in_flight);
    throttle_hurry(&blk->throttle, false);
}

void blk_drain_all(void)
{
    bool any;

    do {
        any = false;
        for (BlockBackend *b = blk_next(NULL); b; b = blk_next(b)) {
            if (b->in_flight) {
                b->refs++;
                blk_drain(b);
                blk_unref(b);
                any = true;
                break;                  /* the list may have changed */
            }
        }
    } while (any);
}

int blk_flush_all(void)
{
    int first = 0;

    for (BlockBackend *b = blk_next(NULL); b; b = blk_next(b)) {
        int ret = b->root && !b->root->node->broken && !b->root->node->read_only ? blk_flush(b) : 0;

        if (ret < 0 && !first)
            first = ret;
    }
    for (BlockNode *n = node_next(NULL); n; n = n->next) {
        if (n->blockdev && !n->broken && !n->read_only && !n->parents) {
            BlockBackend *b = blk_new(NULL, 0, PERM_ALL);

            if (blk_insert(b, n, NULL))
                blk_flush(b);
            blk_unref(b);
        }
    }
    return first;
}

/* ---- statistics */

const BlkStats *blk_stats(const BlockBackend *blk)
{
    BlkStats *s = (BlkStats *)&blk->stats;

    if (blk->root)
        s->wr_highest_offset = blk->root->node->write_highest;
    return s;
}

void blk_acct_invalid(BlockBackend *blk, BlkAcct what)
{
    blk->stats.invalid[what]++;
}

void blk_acct_merged(BlockBackend *blk, BlkAcct what, unsigned n)
{
    blk->stats.merged[what] += n;
}
