/*
 * aio=io_uring: requests through the kernel's ring, by liburing, which is loaded when a file asks for it.
 *
 * Completions are told by an eventfd.  While plugged (aio.h), requests are put in the ring and submitted together.
 */
#include <dlfcn.h>
#include <errno.h>
#include <glib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "block/aio.h"

#ifdef CONFIG_URING
#include <liburing.h>

#define ENTRIES 128

typedef struct UringRequest { Coroutine *co; int res; } UringRequest;

static struct {
    struct io_uring ring;
    int efd;
    bool tried, ok;
    unsigned pending, in_flight;        /* in the ring and not submitted; submitted */
    CoQueue room;                       /* who found the ring full */
    __typeof__(&io_uring_queue_init) init;
    __typeof__(&io_uring_queue_exit) end;
    __typeof__(&io_uring_submit) submit;
    __typeof__(&io_uring_peek_batch_cqe) peek;
    __typeof__(&io_uring_register_eventfd) register_eventfd;
} u;

static bool load(void)
{
    void *m = dlopen("liburing.so.2", RTLD_NOW | RTLD_LOCAL);
    const struct { const char *name; void **at; } wanted[] = {
        { "io_uring_queue_init", (void **)&u.init }, { "io_uring_queue_exit", (void **)&u.end },
        { "io_uring_submit", (void **)&u.submit }, { "io_uring_peek_batch_cqe", (void **)&u.peek },
        { "io_uring_register_eventfd", (void **)&u.register_eventfd },
    };

    for (unsigned i = 0; m && i < G_N_ELEMENTS(wanted); i++) {
        *wanted[i].at = dlsym(m, wanted[i].name);
        if (!*wanted[i].at)
            return false;
    }
    return m != NULL;
}

static void events(void *opaque)
{
    uint64_t count;
    struct io_uring_cqe *cqe[ENTRIES];
    ssize_t got = read(u.efd, &count, sizeof(count));
    unsigned n = u.peek(&u.ring, cqe, ENTRIES);

    (void)got;
    for (unsigned i = 0; i < n; i++) {
        UringRequest *r = io_uring_cqe_get_data(cqe[i]);

        r->res = cqe[i]->res;
        coroutine_wake(r->co);
    }
    io_uring_cq_advance(&u.ring, n);
    u.in_flight -= n;
    uring_submit_now();                 /* what the kernel did not take before */
    if (n)
        co_queue_wake_all(&u.room);
}

bool uring_usable(void)
{
    if (u.tried)
        return u.ok;
    u.tried = true;
    if (!load() || u.init(ENTRIES, &u.ring, 0) < 0)
        return false;
    u.efd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    u.ok = u.efd >= 0 && u.register_eventfd(&u.ring, u.efd) == 0;
    if (u.ok)
        aio_add_fd(u.efd, events, NULL);
    else
        u.end(&u.ring);
    return u.ok;
}

void uring_submit_now(void)
{
    while (u.pending) {
        int n = u.submit(&u.ring);

        if (n == -EINTR)
            continue;
        if (n <= 0)
            return;                     /* busy: goes on when some have completed */
        u.pending -= MIN((unsigned)n, u.pending);
        u.in_flight += n;
    }
}

int co_uring_rw(int fd, int64_t offset, const struct iovec *iov, unsigned n, bool write)
{
    UringRequest r = { coroutine_self(), 0 };
    struct io_uring_sqe *sqe = NULL;

    /* never more than the ring of completions holds */
    while (u.pending + u.in_flight >= ENTRIES || !(sqe = io_uring_get_sqe(&u.ring))) {
        uring_submit_now();
        co_queue_wait(&u.room);
    }
    if (write)
        io_uring_prep_writev(sqe, fd, iov, n, offset);
    else
        io_uring_prep_readv(sqe, fd, iov, n, offset);
    io_uring_sqe_set_data(sqe, &r);
    u.pending++;
    if (!laio_plugged() || u.pending >= ENTRIES / 2)
        uring_submit_now();
    coroutine_yield();
    return r.res;
}
#else
bool uring_usable(void)
{
    return false;
}

void uring_submit_now(void)
{
}

int co_uring_rw(int fd, int64_t offset, const struct iovec *iov, unsigned n, bool write)
{
    return -ENOSYS;
}
#endif
