/* The file protocol: the ways that data take: at once, through a queue of the kernel, by a worker thread. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include "block/aio.h"
#include "block/file-int.h"

#define NOWAIT_MAX (128 * 1024)

typedef struct Transfer {
    int fd;
    int64_t offset;
    struct iovec *iov;
    unsigned n;
    bool write;
    int rwf;                            /* RWF_* */
    size_t done;
} Transfer;

static void advance(Transfer *t, size_t bytes)
{
    t->done += bytes;
    t->offset += bytes;
    while (t->n && bytes >= t->iov->iov_len) {
        bytes -= t->iov->iov_len;
        t->iov++;
        t->n--;
    }
    if (bytes) {
        t->iov->iov_base = (char *)t->iov->iov_base + bytes;
        t->iov->iov_len -= bytes;
    }
}

/* All of it, or 0 at the end of the file (done says how far), or -errno. */
static int transfer(void *arg)
{
    Transfer *t = arg;

    while (t->n) {
        ssize_t ret = t->write ? pwritev2(t->fd, t->iov, MIN(t->n, IOV_MAX), t->offset, t->rwf)
                               : preadv2(t->fd, t->iov, MIN(t->n, IOV_MAX), t->offset, t->rwf);

        if (ret < 0 && errno == EINTR)
            continue;
        if (ret < 0)
            return -errno;
        if (ret == 0)
            return t->write ? -ENOSPC : 0;
        advance(t, ret);
    }
    return 0;
}

/* At once, if that takes no waiting. */
static bool try_now(FileState *s, Transfer *t, size_t bytes, int *ret)
{
    bool *never = t->write ? &s->no_nowait_write : &s->no_nowait_read;

    if (*never || bytes > NOWAIT_MAX)
        return false;
    t->rwf = RWF_NOWAIT;
    *ret = transfer(t);
    t->rwf = 0;
    if (*ret == -EOPNOTSUPP || *ret == -EINVAL)
        *never = true;
    return *ret == 0 && !t->n;
}

/* Through one of the kernel's queues: as transfer(); 1: what is left must go another way. */
static int queued(FileState *s, Transfer *t)
{
    while (t->n && t->n <= IOV_MAX) {
        int ret = s->uring ? co_uring_rw(s->fd, t->offset, t->iov, t->n, t->write)
                           : co_laio_rw(s->fd, t->offset, t->iov, t->n, t->write);

        if (ret == -EINTR)
            continue;
        if (ret == 0)
            return t->write ? -ENOSPC : 0;
        if (ret == -ENOSYS || ret == -EAGAIN)
            return 1;
        if (ret < 0)
            return ret;
        advance(t, ret);
    }
    return t->n != 0;
}

static int run_transfer(FileState *s, Transfer *t, size_t bytes)
{
    int ret;

    if (coroutine_blocking())
        return transfer(t);
    if (s->uring || (s->native && s->direct)) {
        ret = queued(s, t);
        if (ret <= 0)
            return ret;
    } else if (!s->direct && try_now(s, t, bytes, &ret)) {
        return 0;
    }
    return co_thread_pool(transfer, t);
}

/* With a buffer of our own, when the caller's memory is not aligned enough for O_DIRECT. */
static int bounced(BlockNode *n, Transfer *t, const IoVec *v, size_t vo, size_t bytes)
{
    FileState *s = n->state;
    void *buf = block_try_memalign(bytes);
    struct iovec one = { buf, bytes };
    int ret;

    if (!buf)
        return -ENOMEM;
    t->iov = &one;
    t->n = 1;
    if (t->write)
        iov_to_buf(v, vo, buf, bytes);
    ret = run_transfer(s, t, bytes);
    if (ret == 0 && !t->write)
        iov_from_buf(v, vo, buf, t->done);
    free(buf);
    return ret;
}

/* What a read did not find: zeroes behind the end. A file that has become shorter than it was has lost data. */
static int end_of_file(BlockNode *n, int64_t offset, int64_t bytes, const IoVec *v, size_t vo)
{
    if (offset < n->length)
        return -EIO;
    iov_memset(v, vo, 0, bytes);
    return 0;
}

int file_rw(BlockNode *n, int64_t offset, int64_t bytes, const IoVec *v, size_t vo, bool write)
{
    FileState *s = n->state;
    unsigned count = iov_count(v, vo, bytes);
    struct iovec few[16], *iov = count <= G_N_ELEMENTS(few) ? few : g_new(struct iovec, count);
    Transfer t = { s->fd, offset, iov, iov_slice(v, vo, bytes, iov), write };
    int ret;

    if (s->direct && !iov_aligned(iov, count, n->limits.mem_align))
        ret = bounced(n, &t, v, vo, bytes);
    else
        ret = run_transfer(s, &t, bytes);
    if (ret == 0 && !write && t.done < (size_t)bytes)
        ret = end_of_file(n, offset + t.done, bytes - t.done, v, vo + t.done);
    if (iov != few)
        g_free(iov);
    return ret;
}
