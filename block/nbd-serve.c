/*
 * NBD server: requests.  Each is a coroutine; what a client may have in flight, and the memory of that, has a bound.
 * Replies are sent one at a time, when they are ready, with nothing of the image held.
 */
#include <errno.h>
#include <stdlib.h>
#include "block/backend-int.h"
#include "block/graph-ops.h"
#include "block/nbd-int.h"

#define MAX_REQUESTS 16
#define MAX_MEMORY (40u << 20)          /* at least one request of the greatest length has room */
#define MAX_EXTENTS 4096                /* of a context in one answer; the client asks again for the rest */
#define MAX_CHUNKS 256                  /* of a read's answer */

typedef struct Request {
    NbdClient *c;
    unsigned type, flags;
    uint64_t cookie, offset;
    uint32_t bytes;
    uint8_t *buf;
} Request;

static uint32_t wire_error(int error)
{
    switch (error) {
    case EPERM:
    case EROFS:
    case EACCES: return NBD_EPERM;
    case ENOMEM: return NBD_ENOMEM;
    case ENOSPC:
    case EFBIG:
    case EDQUOT: return NBD_ENOSPC;
    case EOVERFLOW: return NBD_EOVERFLOW;
    case ENOTSUP: return NBD_ENOTSUP;
    case ESHUTDOWN: return NBD_ESHUTDOWN;
    case EINVAL: return NBD_EINVAL;
    default: return NBD_EIO;
    }
}

/* ---- replies */

static int send_parts(NbdClient *c, struct iovec *iov, unsigned n)
{
    IoVec v = { iov, n };
    int ret;

    co_mutex_lock(&c->sending);
    ret = conn_write(&c->conn, &v);
    co_mutex_unlock(&c->sending);
    if (ret < 0)
        conn_break(&c->conn);           /* half a reply may be out: nothing more makes sense */
    return ret;
}

static int send_simple(const Request *r, int error, const void *data, size_t len)
{
    uint8_t head[16];
    struct iovec iov[] = { { head, sizeof(head) }, { (void *)data, len } };

    nbd_put32(head, NBD_SIMPLE_REPLY_MAGIC);
    nbd_put32(head + 4, error ? wire_error(error) : 0);
    nbd_put64(head + 8, r->cookie);
    return send_parts(r->c, iov, 2);
}

static int send_chunk(const Request *r, bool done, unsigned type, const void *a, size_t a_len, const void *b, size_t b_len)
{
    uint8_t head[20];
    struct iovec iov[] = { { head, sizeof(head) }, { (void *)a, a_len }, { (void *)b, b_len } };

    nbd_put32(head, NBD_STRUCTURED_REPLY_MAGIC);
    nbd_put16(head + 4, done ? NBD_REPLY_FLAG_DONE : 0);
    nbd_put16(head + 6, type);
    nbd_put64(head + 8, r->cookie);
    nbd_put32(head + 16, a_len + b_len);
    return send_parts(r->c, iov, 3);
}

static int send_error(const Request *r, int error, const char *text)
{
    uint8_t p[6];

    if (!r->c->structured)
        return send_simple(r, error, NULL, 0);
    nbd_put32(p, wire_error(error));
    nbd_put16(p + 4, strlen(text));
    return send_chunk(r, true, NBD_REPLY_TYPE_ERROR, p, sizeof(p), text, strlen(text));
}

static int send_done(const Request *r)
{
    return r->c->structured && r->type == NBD_CMD_READ ? send_chunk(r, true, NBD_REPLY_TYPE_NONE, NULL, 0, NULL, 0)
                                                       : send_simple(r, 0, NULL, 0);
}

/* ---- the image */

/* The graph changes only while nobody is in here. */
static void enter(NbdExport *e)
{
    co_wait_quiesced();
    e->blk->in_flight++;
}

static void leave(NbdExport *e)
{
    e->blk->in_flight--;
}

static int blk_do(const Request *r, BlkOp op, uint64_t offset, int64_t bytes, void *buf, unsigned flags)
{
    NbdExport *e = r->c->export;
    struct iovec iov;
    IoVec v = iov_one(&iov, buf, bytes);
    int ret;

    enter(e);
    ret = blk_co_do(e->blk, op, offset + e->offset, bytes, &v, flags);
    if (ret == 0 && op == OP_DISCARD && (r->flags & NBD_CMD_FLAG_FUA))
        ret = blk_co_do(e->blk, OP_FLUSH, 0, 0, NULL, 0);
    leave(e);
    return ret;
}

/* How much from at on is a hole, or is data. */
static int next_part(const Request *r, uint64_t at, uint32_t bytes, bool *hole, int64_t *len)
{
    NbdExport *e = r->c->export;
    int ret;

    *len = 0;
    enter(e);
    ret = blk_is_inserted(e->blk)
        ? node_co_status_above(blk_node(e->blk), NULL, at + e->offset, bytes, len, NULL, NULL, NULL) : -ENOMEDIUM;
    leave(e);
    if (ret < 0)
        return ret;
    *hole = ret & STATUS_ZERO;
    *len = *len <= 0 ? bytes : MIN(*len, (int64_t)bytes);
    return 0;
}

static int read_sparse(const Request *r)
{
    uint32_t done = 0;

    for (unsigned chunk = 1; done < r->bytes; chunk++) {
        uint64_t at = r->offset + done;
        uint8_t p[12];
        int64_t len;
        bool hole = false;
        int ret = chunk == MAX_CHUNKS ? 0 : next_part(r, at, r->bytes - done, &hole, &len);

        if (chunk == MAX_CHUNKS)
            len = r->bytes - done;
        if (ret == 0 && !hole)
            ret = blk_do(r, OP_READ, at, len, r->buf, 0);
        if (ret < 0)
            return send_error(r, -ret, "reading from file failed");
        nbd_put64(p, at);
        nbd_put32(p + 8, len);
        done += len;
        if (hole)
            ret = send_chunk(r, done == r->bytes, NBD_REPLY_TYPE_OFFSET_HOLE, p, 12, NULL, 0);
        else
            ret = send_chunk(r, done == r->bytes, NBD_REPLY_TYPE_OFFSET_DATA, p, 8, r->buf, len);
        if (ret < 0)
            return ret;
    }
    return 0;
}

static int do_read(const Request *r)
{
    uint8_t p[8];
    int ret;

    if (!r->bytes)
        return send_done(r);
    if (r->c->structured && !(r->flags & NBD_CMD_FLAG_DF))
        return read_sparse(r);
    ret = blk_do(r, OP_READ, r->offset, r->bytes, r->buf, 0);
    if (ret < 0)
        return send_error(r, -ret, "reading from file failed");
    if (!r->c->structured)
        return send_simple(r, 0, r->buf, r->bytes);
    nbd_put64(p, r->offset);
    return send_chunk(r, true, NBD_REPLY_TYPE_OFFSET_DATA, p, 8, r->buf, r->bytes);
}

static int do_status(const Request *r)
{
    NbdClient *c = r->c;
    unsigned max = r->flags & NBD_CMD_FLAG_REQ_ONE ? 1 : MAX_EXTENTS, left = c->chosen;
    g_autofree uint32_t *pairs = g_new(uint32_t, 2 * max);
    int ret = 0;

    for (unsigned i = 0; i < c->n_contexts && left && ret == 0; i++) {
        uint8_t id[4];
        int n;

        if (!c->contexts[i] || (i == CTX_DEPTH && !c->export->allocation_depth))
            continue;
        enter(c->export);
        n = nbd_status(c->export, i, r->offset, r->bytes, pairs, max);
        leave(c->export);
        if (n <= 0)
            return send_error(r, n ? -n : EIO, "can't get block status");
        nbd_put32(id, i);
        ret = send_chunk(r, --left == 0, NBD_REPLY_TYPE_BLOCK_STATUS, id, 4, pairs, n * 8);
    }
    return ret;
}

static int do_zero(const Request *r)
{
    unsigned flags = (r->flags & NBD_CMD_FLAG_FUA ? BLK_FUA : 0) | (r->flags & NBD_CMD_FLAG_NO_HOLE ? 0 : BLK_MAY_UNMAP) |
        (r->flags & NBD_CMD_FLAG_FAST_ZERO ? BLK_NO_FALLBACK : 0);

    return blk_do(r, OP_ZERO, r->offset, r->bytes, NULL, flags);
}

/* Reads ahead: into nothing, piece by piece. */
static int do_cache(const Request *r)
{
    uint32_t done = 0;
    int ret = 0;

    while (done < r->bytes && ret == 0) {
        uint32_t now = MIN(r->bytes - done, 1u << 20);

        ret = blk_do(r, OP_READ, r->offset + done, now, r->buf, 0);
        done += now;
    }
    return ret;
}

/* ---- a request */

static const struct Rule { unsigned flags; bool writes; const char *failed; } rules[NBD_CMDS] = {
    [NBD_CMD_READ] = { NBD_CMD_FLAG_DF, false, "reading from file failed" },
    [NBD_CMD_WRITE] = { NBD_CMD_FLAG_FUA, true, "writing to file failed" },
    [NBD_CMD_FLUSH] = { 0, false, "flush failed" },
    [NBD_CMD_TRIM] = { NBD_CMD_FLAG_FUA, true, "discard failed" },
    [NBD_CMD_CACHE] = { 0, false, "caching data failed" },
    [NBD_CMD_WRITE_ZEROES] = { NBD_CMD_FLAG_FUA | NBD_CMD_FLAG_NO_HOLE | NBD_CMD_FLAG_FAST_ZERO, true,
                               "writing to file failed" },
    [NBD_CMD_BLOCK_STATUS] = { NBD_CMD_FLAG_REQ_ONE, false, "can't get block status" },
};

/* 0, or what is wrong with it. */
static int check_request(const Request *r, const char **text)
{
    const struct Rule *rule = &rules[r->type];
    int64_t size = nbd_export_size(r->c->export);

    *text = "export is going away";
    if (r->c->export->removed)
        return ESHUTDOWN;
    *text = "the export has no medium";
    if (size < 0)
        return EIO;
    *text = "export is read-only";
    if (rule->writes && !r->c->export->writable)
        return EPERM;
    *text = "request has unsupported flags";
    if (r->flags & ~rule->flags || ((r->flags & NBD_CMD_FLAG_DF) && !r->c->structured))
        return EINVAL;
    *text = "request is out of bounds";
    if (r->type != NBD_CMD_FLUSH && (r->offset > (uint64_t)size || r->bytes > size - r->offset))
        return EINVAL;
    *text = "request is too long";
    if (r->type == NBD_CMD_READ && r->bytes > NBD_MAX_PAYLOAD)
        return EINVAL;
    *text = "no contexts were negotiated";
    if (r->type == NBD_CMD_BLOCK_STATUS && (!r->c->chosen || !r->c->structured))
        return EINVAL;
    *text = "length must not be zero";
    return r->type == NBD_CMD_BLOCK_STATUS && !r->bytes ? EINVAL : 0;
}

static int run(const Request *r)
{
    switch (r->type) {
    case NBD_CMD_WRITE:
        return blk_do(r, OP_WRITE, r->offset, r->bytes, r->buf, r->flags & NBD_CMD_FLAG_FUA ? BLK_FUA : 0);
    case NBD_CMD_FLUSH:
        return blk_do(r, OP_FLUSH, 0, 0, NULL, 0);
    case NBD_CMD_TRIM:
        return blk_do(r, OP_DISCARD, r->offset, r->bytes, NULL, 0);
    case NBD_CMD_CACHE:
        return do_cache(r);
    default:
        return do_zero(r);
    }
}

static uint64_t memory_of(const Request *r)
{
    if (r->type == NBD_CMD_READ || r->type == NBD_CMD_WRITE)
        return MIN(r->bytes, NBD_MAX_PAYLOAD);
    return r->type == NBD_CMD_CACHE ? MIN(r->bytes, 1u << 20) : 0;
}

static void end_request(Request *r)
{
    NbdClient *c = r->c;

    c->memory -= memory_of(r);
    c->requests--;
    free(r->buf);
    g_free(r);
    co_queue_wake_all(&c->room);
}

static void request_co(void *opaque)
{
    Request *r = opaque;
    const char *text;
    int error = check_request(r, &text), ret;

    if (!error && memory_of(r) && !r->buf) {
        r->buf = block_try_memalign(memory_of(r));
        error = r->buf ? 0 : ENOMEM;
        text = "out of memory";
    }
    if (error) {
        send_error(r, error, text);
    } else if (r->type == NBD_CMD_READ) {
        do_read(r);
    } else if (r->type == NBD_CMD_BLOCK_STATUS) {
        do_status(r);
    } else {
        ret = run(r);
        if (ret < 0)
            send_error(r, -ret, rules[r->type].failed);
        else
            send_done(r);
    }
    end_request(r);
}

/* A write's data has to be read, whatever becomes of it. */
static int read_payload(Request *r)
{
    if (r->bytes > NBD_MAX_PAYLOAD)
        return -EINVAL;
    r->buf = block_try_memalign(r->bytes);
    return r->buf ? conn_read(&r->c->conn, r->buf, r->bytes) : -ENOMEM;
}

bool nbd_serve_one(NbdClient *c)
{
    uint8_t p[NBD_REQUEST_LEN];
    Request *r;
    int ret = 0;

    while (c->requests >= MAX_REQUESTS)
        co_queue_wait(&c->room);
    if (conn_read(&c->conn, p, sizeof(p)) < 0 || nbd_get32(p) != NBD_REQUEST_MAGIC || nbd_get16(p + 6) == NBD_CMD_DISC)
        return false;
    r = g_new(Request, 1);
    *r = (Request){ c, nbd_get16(p + 6), nbd_get16(p + 4), nbd_get64(p + 8), nbd_get64(p + 16), nbd_get32(p + 24) };
    c->requests++;
    if (r->type >= NBD_CMDS) {
        send_error(r, EINVAL, "unknown command");
        r->type = NBD_CMD_FLUSH;        /* that takes no memory */
        end_request(r);
        return true;
    }
    while (c->memory && c->memory + memory_of(r) > MAX_MEMORY)
        co_queue_wait(&c->room);
    c->memory += memory_of(r);
    if (r->type == NBD_CMD_WRITE)
        ret = read_payload(r);
    if (ret < 0)
        end_request(r);
    else
        coroutine_enter(coroutine_new(request_co, r));
    return ret == 0;
}
