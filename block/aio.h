/*
 * How the block layer waits: file descriptors, alarms and ready coroutines, served by the main loop (as a GSource
 * of the default context) or by a caller that waits (aio_poll).  Private to block/; all under the machine lock.
 */
#ifndef BLOCK_AIO_H
#define BLOCK_AIO_H
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>
#include "util/coroutine.h"

/* Records the calling thread as the main one and takes over the wake-ups of coroutines. */
void aio_init(void);
/* ready is called when fd can be read; it takes what is there and never waits. */
void aio_add_fd(int fd, void (*ready)(void *opaque), void *opaque);
void aio_del_fd(int fd);
/* What fd is looked at for (AIO_READ at first); 0: nothing, for now. ready may be called without need. */
enum { AIO_READ = 1, AIO_WRITE = 2 };
void aio_set_events(int fd, unsigned events);
/* Serves what is pending; when nothing is and wait is set, waits for something. Returns whether anything was done. */
bool aio_poll(bool wait);
#define AIO_WAIT_WHILE(cond) do { while (cond) aio_poll(true); } while (0)

/* An alarm on the host's monotonic clock. Embedded by its owner; zero-initialised is off. */
typedef struct AioTimer {
    int64_t at;                         /* ns; 0: off */
    void (*fire)(void *opaque);
    void *opaque;
    struct AioTimer *next;
} AioTimer;
int64_t aio_now(void);
void aio_timer_arm(AioTimer *t, int64_t at);
void aio_timer_stop(AioTimer *t);
void co_sleep_until(int64_t at);

/* A call from the main loop (or from aio_poll), outside of any coroutine. Embedded by its owner. */
typedef struct AioSoon {
    void (*fn)(void *opaque);
    void *opaque;
    struct AioSoon *next;
} AioSoon;
void aio_call_soon(AioSoon *s);

/* Runs fn(arg) on a worker thread, or at once in a blocking coroutine, and returns its result. fn touches nothing
 * that the machine lock protects. */
int co_thread_pool(int (*fn)(void *arg), void *arg);
void thread_pool_shutdown(void);        /* no work may be left */

/* One request of an O_DIRECT file through the kernel's queue. -ENOSYS: there is none (use co_thread_pool).
 * Short transfers come back as their length. */
bool laio_usable(void);
int co_laio_rw(int fd, int64_t offset, const struct iovec *iov, unsigned n, bool write);
/* While plugged, requests are collected. */
void laio_plug(void);
void laio_unplug(void);
void laio_submit_now(void);             /* somebody is going to wait */
bool laio_plugged(void);

/* The same through io_uring, for any file; only where it is usable (liburing is there, and the kernel lets us). Plugging is
 * common to both. */
bool uring_usable(void);
int co_uring_rw(int fd, int64_t offset, const struct iovec *iov, unsigned n, bool write);
void uring_submit_now(void);

/* Runs entry(opaque) as a blocking coroutine and waits for its end; in a coroutine: just calls it. */
void aio_run_sync(CoroutineEntry *entry, void *opaque);
#endif
