/*
 * vmemu-img convert: the copying.
 *
 * Pieces of the sources are handed out in order; each worker (-m) reads one and writes it.  The threads that do the
 * system calls read one piece while another is written.  Without -W, pieces are written one after the other.  A small
 * image is copied by one worker that makes its system calls itself: that costs least.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "block/aio.h"
#include "img/convert.h"
#include "util/error.h"

#define BUFFER (2048 * 1024)
#define SMALL (4 * BUFFER)

typedef enum Kind { DATA, ZEROES, BACKING } Kind;
typedef struct Piece { unsigned source; Kind kind; int64_t from, to, bytes; uint64_t number; } Piece;

typedef struct Copy {
    Convert *c;
    CoMutex lock;                       /* of what follows */
    unsigned source;                    /* where the next piece is */
    int64_t from, start;                /* start: where the source begins in the target */
    Kind kind;
    int64_t left;                       /* of the current extent */
    uint64_t pieces;                    /* handed out */

    bool in_order;
    uint64_t turn;                      /* number of the piece that may be written */
    CoQueue turns;                      /* pieces that wait for theirs */
    int64_t done, begun, data;
    unsigned running;
} Copy;

/* ---- writing */

static int put_zeroes(Convert *c, int64_t offset, int64_t bytes)
{
    if (c->has_zero)
        return 0;
    return node_co_zero(blk_root(c->dst), offset, bytes, BLK_MAY_UNMAP);
}

static int put_data(Convert *c, int64_t offset, const uint8_t *buf, int64_t bytes)
{
    struct iovec iov;
    IoVec v = iov_one(&iov, buf, bytes);
    unsigned flags = (c->compress ? REQ_WRITE_COMPRESSED : 0) | (blk_write_cache(c->dst) ? 0 : BLK_FUA);

    return node_co_write(blk_root(c->dst), offset, bytes, &v, 0, flags);
}

/* Data with the zero runs of at least c->sparse bytes (whole clusters, when compressing) left out. */
static int put_sparse(Convert *c, int64_t offset, const uint8_t *buf, int64_t bytes)
{
    int64_t start = 0, i = 0, unit = c->compress ? c->cluster : c->sparse;
    int ret = 0;

    if (!c->sparse || (c->compress && !c->has_zero))
        return put_data(c, offset, buf, bytes);
    while (i < bytes && ret == 0) {
        /* pieces end where the target's blocks do */
        int64_t piece = MIN(unit - (offset + i) % unit, bytes - i);

        if (!buf_is_zero(buf + i, piece)) {
            i += piece;
            continue;
        }
        if (i > start)
            ret = put_data(c, offset + start, buf + start, i - start);
        start = i;
        while (i < bytes && buf_is_zero(buf + i, piece)) {
            i += piece;
            piece = MIN(unit, bytes - i);
        }
        if (ret == 0)
            ret = put_zeroes(c, offset + start, i - start);
        start = i;
    }
    return ret == 0 && i > start ? put_data(c, offset + start, buf + start, i - start) : ret;
}

/* ---- reading */

/* What can't be read counts as zeroes, sector by sector. */
static void salvage(NodeLink *l, int64_t offset, uint8_t *buf, int64_t bytes)
{
    for (int64_t i = 0; i < bytes; i += BLK_SECTOR_SIZE) {
        int64_t now = MIN(BLK_SECTOR_SIZE, bytes - i);
        int ret = node_co_pread(l, offset + i, buf + i, now);

        if (ret < 0) {
            warn_report("error while reading offset %" PRId64 ": %s", offset + i, g_strerror(-ret));
            memset(buf + i, 0, now);
        }
    }
}

static int read_piece(Convert *c, const Piece *p, uint8_t *buf)
{
    NodeLink *l = blk_root(c->src[p->source]);
    int ret = node_co_pread(l, p->from, buf, p->bytes);

    if (ret < 0 && c->salvage) {
        salvage(l, p->from, buf, p->bytes);
        return 0;
    }
    if (ret < 0 && !c->ret)
        error_report("error while reading at byte %" PRId64 ": %s", p->to, g_strerror(-ret));
    return ret;
}

static int write_piece(Convert *c, const Piece *p, const uint8_t *buf)
{
    int ret = 0;

    if (p->kind == ZEROES)
        ret = put_zeroes(c, p->to, p->bytes);
    else if (p->kind == DATA)
        ret = put_sparse(c, p->to, buf, p->bytes);
    if (ret < 0 && !c->ret)             /* the first one tells */
        error_report("error while writing at byte %" PRId64 ": %s", p->to, g_strerror(-ret));
    return ret;
}

static void wait_turn(Copy *y, const Piece *p)
{
    while (y->in_order && y->turn != p->number && !y->c->ret)
        co_queue_wait(&y->turns);
}

static int do_piece(Copy *y, const Piece *p, uint8_t *buf)
{
    Convert *c = y->c;
    int ret = p->kind == DATA ? read_piece(c, p, buf) : 0;

    if (ret == 0) {
        wait_turn(y, p);
        ret = c->ret ? 0 : write_piece(c, p, buf);
    }
    if (ret < 0 && !c->ret)
        c->ret = ret;
    y->turn = p->number + 1;
    co_queue_wake_all(&y->turns);
    return ret;
}

/* ---- what is next */

static int status_of(Copy *y, BlockNode *n, int64_t rest, int64_t *pnum)
{
    Convert *c = y->c;
    BlockNode *base = c->over_backing ? node_backing(n) : NULL;
    int ret;

    *pnum = rest;
    if (!c->sparse && !base)
        return DATA;
    ret = node_co_status_above(n, base, y->from, rest, pnum, NULL, NULL, NULL);
    if (*pnum <= 0)
        *pnum = rest;
    if (ret < 0 && c->salvage) {
        warn_report("error while reading block status at offset %" PRId64 ": %s", y->from, g_strerror(-ret));
        *pnum = MIN(rest, BUFFER);
        return DATA;
    }
    if (ret < 0) {
        error_report("error while reading block status at offset %" PRId64 ": %s", y->from, g_strerror(-ret));
        return ret;
    }
    if (base && !(ret & (STATUS_ALLOCATED | STATUS_DATA | STATUS_ZERO)))
        return BACKING;
    /* what is behind the end of a short backing file is not written there either */
    return ret & STATUS_ZERO && c->sparse ? ZEROES : DATA;
}

static int next_extent(Copy *y)
{
    Convert *c = y->c;
    int64_t len = blk_length(c->src[y->source]), rest = len - y->from, pnum;
    int kind = status_of(y, blk_node(c->src[y->source]), rest, &pnum);

    if (kind < 0)
        return kind;
    if (c->compress && pnum < rest && (y->start + y->from + pnum) % c->cluster) {
        /* clusters are written whole: up to the next boundary, whatever is there */
        int64_t cut = (y->start + y->from + pnum) / c->cluster * c->cluster - y->start - y->from;

        if (kind != DATA && cut > 0) {
            pnum = cut;
        } else {
            pnum = MIN(rest, cut + c->cluster);
            kind = DATA;
        }
    }
    y->kind = kind;
    y->left = pnum;
    return 0;
}

/* 1: there is one, 0: no more */
static int next_piece(Copy *y, Piece *p)
{
    Convert *c = y->c;
    int64_t max = BUFFER;
    int ret;

    while (!y->left) {
        while (y->source < c->n_sources && y->from == blk_length(c->src[y->source])) {
            y->start += y->from;
            y->from = 0;
            y->source++;
        }
        if (y->source == c->n_sources)
            return 0;
        ret = next_extent(y);
        if (ret < 0)
            return ret;
    }
    if (!c->compress)
        max -= (y->start + y->from) % BUFFER % 4096;
    *p = (Piece){ y->source, y->kind, y->from, y->start + y->from, y->kind == DATA ? MIN(y->left, max) : y->left,
                   y->pieces++ };
    y->from += p->bytes;
    y->left -= p->bytes;
    return 1;
}

static void wait_rate(Copy *y, const Piece *p)
{
    int64_t due;

    if (!y->c->rate || p->kind != DATA)
        return;
    y->data += p->bytes;
    due = y->begun + (int64_t)(y->data * 1e9 / y->c->rate);
    if (coroutine_blocking() && due > aio_now())
        g_usleep((due - aio_now()) / 1000);
    else if (due > aio_now())
        co_sleep_until(due);
}

static void worker_co(void *opaque)
{
    Copy *y = opaque;
    Convert *c = y->c;
    uint8_t *buf = block_memalign(BUFFER);
    Piece p;
    int ret;

    while (c->ret == 0) {
        co_mutex_lock(&y->lock);
        ret = c->ret ? 0 : next_piece(y, &p);
        co_mutex_unlock(&y->lock);
        if (ret <= 0) {
            c->ret = c->ret ? c->ret : ret;
            break;
        }
        wait_rate(y, &p);
        if (do_piece(y, &p, buf) < 0)
            break;
        y->done += p.bytes;
        img_progress(c->total ? y->done * 100.0 / c->total : 100, 0);
    }
    free(buf);
    y->running--;
}

static void flush_co(void *opaque)
{
    Convert *c = opaque;

    c->ret = node_co_flush(blk_node(c->dst));
    if (c->ret < 0)
        error_report("error while flushing the target: %s", g_strerror(-c->ret));
}

void convert_copy(Convert *c)
{
    Copy y = { .c = c, .begun = aio_now(), .in_order = !c->out_of_order && !c->compress };
    unsigned workers = c->total <= SMALL ? 1 : c->compress ? MIN(c->workers, 2) : c->workers;

    y.running = workers;
    if (workers == 1)
        aio_run_sync(worker_co, &y);
    else
        for (unsigned i = 0; i < workers; i++)
            coroutine_enter(coroutine_new(worker_co, &y));
    AIO_WAIT_WHILE(y.running);
    if (c->ret == 0)
        aio_run_sync(flush_co, c);
}
