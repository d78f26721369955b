/*
 * Worker threads for what has no asynchronous system call: buffered I/O, fdatasync, fallocate, decompression.
 * They are made when all others are busy and end after ten idle seconds.
 */
#include <errno.h>
#include <glib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "block/aio.h"

#define MAX_THREADS 64
#define IDLE_US (10 * G_USEC_PER_SEC)

typedef struct Job {
    int (*fn)(void *arg);
    void *arg;
    int ret;
    Coroutine *co;
    struct Job *next;
} Job;

static struct {
    GMutex lock;
    GCond work, gone;
    Job *first, **last;                 /* lock: to be done */
    Job *done;                          /* lock: newest first */
    unsigned threads, idle;             /* lock */
    bool stop;                          /* lock */
    int efd;                            /* machine lock: signals that done is not empty; 0: not made */
} pool = { .last = &pool.first };

static gpointer worker(gpointer arg)
{
    g_mutex_lock(&pool.lock);
    for (;;) {
        Job *j;
        gint64 until = g_get_monotonic_time() + IDLE_US;
        bool in_time = true;

        pool.idle++;
        while (!pool.first && !pool.stop && in_time)
            in_time = g_cond_wait_until(&pool.work, &pool.lock, until);
        pool.idle--;
        j = pool.first;
        if (!j)
            break;
        pool.first = j->next;
        if (!pool.first)
            pool.last = &pool.first;
        g_mutex_unlock(&pool.lock);
        j->ret = j->fn(j->arg);
        g_mutex_lock(&pool.lock);
        j->next = pool.done;
        pool.done = j;
        if (!j->next) {
            uint64_t one = 1;
            ssize_t n = write(pool.efd, &one, sizeof(one));

            g_assert(n == sizeof(one));
        }
    }
    pool.threads--;
    g_cond_signal(&pool.gone);
    g_mutex_unlock(&pool.lock);
    return NULL;
}

static void jobs_done(void *opaque)
{
    uint64_t count;
    Job *list, *in_order = NULL;
    ssize_t n = read(pool.efd, &count, sizeof(count));

    (void)n;
    g_mutex_lock(&pool.lock);
    list = pool.done;
    pool.done = NULL;
    g_mutex_unlock(&pool.lock);
    while (list) {
        Job *j = list;

        list = j->next;
        j->next = in_order;
        in_order = j;
    }
    while (in_order) {
        Job *j = in_order;

        in_order = j->next;             /* j is on its coroutine's stack */
        coroutine_wake(j->co);
    }
}

int co_thread_pool(int (*fn)(void *arg), void *arg)
{
    Job j = { fn, arg, 0, coroutine_self(), NULL };

    if (coroutine_blocking())
        return fn(arg);
    if (!pool.efd) {
        pool.efd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (pool.efd < 0)
            g_error("eventfd: %s", g_strerror(errno));
        aio_add_fd(pool.efd, jobs_done, NULL);
    }
    g_mutex_lock(&pool.lock);
    *pool.last = &j;
    pool.last = &j.next;
    if (pool.idle) {
        g_cond_signal(&pool.work);
    } else if (pool.threads < MAX_THREADS) {
        GThread *t = g_thread_try_new("worker", worker, NULL, NULL);

        if (t) {
            pool.threads++;
            g_thread_unref(t);
        } else if (!pool.threads) {
            g_error("can't make a thread");
        }
    }
    g_mutex_unlock(&pool.lock);
    coroutine_yield();
    return j.ret;
}

void thread_pool_shutdown(void)
{
    if (!pool.efd)
        return;
    g_mutex_lock(&pool.lock);
    pool.stop = true;
    g_cond_broadcast(&pool.work);
    while (pool.threads)
        g_cond_wait(&pool.gone, &pool.lock);
    pool.stop = false;
    g_mutex_unlock(&pool.lock);
    aio_del_fd(pool.efd);
    close(pool.efd);
    pool.efd = 0;
}
