/*
 * Linux' native asynchronous I/O, for files opened with O_DIRECT.
 *
 * Events are taken from the ring that the kernel maps into the process (its header is fixed: struct aio_ring in
 * the kernel's fs/aio.c), which saves a system call; io_getevents serves where the ring looks different.
 */
#include <errno.h>
#include <glib.h>
#include <libaio.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "block/aio.h"

#define QUEUE 128
#define RING_MAGIC 0xa10a10a1

typedef struct Ring {
    uint32_t id, nr, head, tail, magic, compat_features, incompat_features, header_length;
    struct io_event events[];
} Ring;

typedef struct LaioRequest {
    struct iocb iocb;
    Coroutine *co;
    long res;
    struct LaioRequest *next;
} LaioRequest;

static struct {
    io_context_t ctx;
    int efd;
    bool tried, ok;
    unsigned plugged, in_flight;
    LaioRequest *first, **last;         /* not submitted yet */
    unsigned pending;
} q = { .last = &q.first };

static void submit(void)
{
    struct iocb *list[QUEUE];

    while (q.first && q.in_flight < QUEUE) {
        int n = 0, done;

        for (LaioRequest *r = q.first; r && q.in_flight + n < QUEUE; r = r->next)
            list[n++] = &r->iocb;
        done = io_submit(q.ctx, n, list);
        if (done == -EAGAIN && q.in_flight)
            return;                     /* goes on when some have completed */
        if (done <= 0) {                /* this one can't be submitted at all */
            LaioRequest *r = q.first;

            r->res = done ? done : -EIO;
            q.first = r->next;
            q.pending--;
            if (!q.first)
                q.last = &q.first;
            coroutine_wake(r->co);
            continue;
        }
        q.in_flight += done;
        q.pending -= done;
        while (done--)
            q.first = q.first->next;
        if (!q.first)
            q.last = &q.first;
    }
}

void laio_plug(void)
{
    q.plugged++;
}

void laio_unplug(void)
{
    g_assert(q.plugged);
    if (!--q.plugged)
        laio_submit_now();
}

void laio_submit_now(void)
{
    if (q.first)
        submit();
    uring_submit_now();
}

bool laio_plugged(void)
{
    return q.plugged;
}

/* One event, or false. */
static bool take_event(struct io_event *ev)
{
    Ring *ring = (Ring *)q.ctx;
    struct timespec zero = { 0, 0 };
    uint32_t head;

    if (ring->magic != RING_MAGIC || ring->incompat_features)
        return io_getevents(q.ctx, 0, 1, ev, &zero) == 1;
    head = ring->head;
    if (head == __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE))
        return false;
    *ev = ring->events[head % ring->nr];
    __atomic_store_n(&ring->head, (head + 1) % ring->nr, __ATOMIC_RELEASE);
    return true;
}

static void events(void *opaque)
{
    uint64_t count;
    struct io_event ev;
    ssize_t n = read(q.efd, &count, sizeof(count));

    (void)n;
    laio_plug();
    while (take_event(&ev)) {
        LaioRequest *r = (LaioRequest *)((char *)ev.obj - offsetof(LaioRequest, iocb));

        r->res = (long)ev.res;
        q.in_flight--;
        if (coroutine_in())
            coroutine_wake(r->co);
        else
            coroutine_enter(r->co);
    }
    laio_unplug();
}

bool laio_usable(void)
{
    if (!q.tried) {
        q.tried = true;
        if (io_setup(QUEUE, &q.ctx) == 0) {
            q.efd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
            q.ok = q.efd >= 0;
            if (q.ok)
                aio_add_fd(q.efd, events, NULL);
        }
    }
    return q.ok;
}

int co_laio_rw(int fd, int64_t offset, const struct iovec *iov, unsigned n, bool write)
{
    LaioRequest r = { .co = coroutine_self() };

    if (!laio_usable())
        return -ENOSYS;
    if (write)
        io_prep_pwritev(&r.iocb, fd, iov, n, offset);
    else
        io_prep_preadv(&r.iocb, fd, iov, n, offset);
    io_set_eventfd(&r.iocb, q.efd);
    *q.last = &r;
    q.last = &r.next;
    q.pending++;
    if (!q.plugged || q.pending >= QUEUE / 2)
        submit();
    coroutine_yield();
    return r.res;
}
