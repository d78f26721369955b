/* Copying between nodes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "block/copy.h"
#include "block/graph-ops.h"
#include "util/error.h"

CopyResult copy_co(NodeLink *src, NodeLink *dst, int64_t offset, int64_t bytes, void *buf, unsigned write_flags,
                   unsigned zero_flags)
{
    struct iovec iov;
    IoVec v;
    int ret;

    while (bytes > 0) {
        int64_t now = bytes;
        int status = node_co_status_above(src->node, NULL, offset, bytes, &now, NULL, NULL, NULL);

        if (status < 0)
            return (CopyResult){ status, true };
        now = CLAMP(now, 1, bytes);
        if (status & STATUS_ZERO) {
            ret = node_co_zero(dst, offset, now, zero_flags);
        } else {
            v = iov_one(&iov, buf, now);
            ret = node_co_read(src, offset, now, &v, 0, 0);
            if (ret < 0)
                return (CopyResult){ ret, true };
            ret = node_co_write(dst, offset, now, &v, 0, write_flags);
        }
        if (ret < 0)
            return (CopyResult){ ret, false };
        offset += now;
        bytes -= now;
    }
    return (CopyResult){ 0, false };
}

typedef struct Together { CopyFn *fn; void *opaque; unsigned running; CoQueue end; } Together;
typedef struct Worker { Together *all; CopyPiece *piece; } Worker;

static void worker_co(void *opaque)
{
    Worker *w = opaque;

    w->all->fn(w->all->opaque, w->piece);
    w->all->running--;
    co_queue_wake_all(&w->all->end);
}

void copy_all(CopyFn *fn, void *opaque, CopyPiece *pieces, unsigned n)
{
    Together t = { .fn = fn, .opaque = opaque, .running = n };
    Worker w[COPY_WORKERS];

    g_assert(n <= COPY_WORKERS);
    if (n == 1) {
        fn(opaque, pieces);
        return;
    }
    for (unsigned i = 0; i < n; i++) {
        w[i] = (Worker){ &t, &pieces[i] };
        coroutine_enter(coroutine_new(worker_co, &w[i]));
    }
    while (t.running)
        co_queue_wait(&t.end);
}

BlockNode *chain_find(BlockNode *top, const char *name)
{
    for (BlockNode *n = node_skip_filters(top), *next; n && (next = node_backing(n)); n = next) {
        g_autofree char *path = backing_path(n->exact_filename, name, NULL), *whole = realpath(name, NULL);
        g_autofree char *other = *next->exact_filename ? realpath(next->exact_filename, NULL) : NULL;

        if ((n->backing_file && !strcmp(n->backing_file, name)) || !strcmp(next->filename, name) ||
            !strcmp(next->exact_filename, name) || (path && !strcmp(next->exact_filename, path)) ||
            (whole && other && !strcmp(whole, other)))
            return next;
    }
    return NULL;
}

/* ---- bits */

bool bits_init(BitRange *b, int64_t length, unsigned shift, GError **err)
{
    b->length = length;
    b->shift = shift;
    b->granules = (length + (INT64_C(1) << shift) - 1) >> shift;
    b->set = 0;
    b->bits = g_try_malloc0(b->granules / 8 + 1);
    return b->bits || error_set(err, "The image is too large for a granularity of %u bytes", 1u << shift);
}

void bits_free(BitRange *b)
{
    g_clear_pointer(&b->bits, g_free);
}

void bits_change(BitRange *b, int64_t offset, int64_t bytes, bool on)
{
    int64_t end = MIN((offset + bytes + (INT64_C(1) << b->shift) - 1) >> b->shift, b->granules);

    for (int64_t g = offset >> b->shift; g < end && bytes > 0; g++) {
        if (bits_test(b, g) == on)
            continue;
        b->bits[g / 8] ^= 1 << (g & 7);
        b->set += on ? 1 : -1;
    }
}

bool bits_next(const BitRange *b, int64_t *at, int64_t max_bytes, int64_t *offset, int64_t *bytes)
{
    int64_t max = MAX(max_bytes >> b->shift, 1), n = 1, g = *at < b->granules ? *at : 0;

    if (!b->set)
        return false;
    for (;;) {
        if (g >= b->granules)
            g = 0;
        else if (!(g & 7) && !b->bits[g / 8])
            g += 8;
        else if (bits_test(b, g))
            break;
        else
            g++;
    }
    while (n < max && g + n < b->granules && bits_test(b, g + n))
        n++;
    *at = g + n;
    *offset = g << b->shift;
    *bytes = MIN(n << b->shift, b->length - *offset);
    return true;
}
