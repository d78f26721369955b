/*
 * The machine lock and the main loop.
 *
 * The main thread holds the lock except while it polls: every callback of GLib's default main context runs under it.
 * Lock order: docs/locking.md.
 */
#ifndef UTIL_LOOP_H
#define UTIL_LOOP_H
#include <glib.h>
#include <stdbool.h>

/* The lock that all device state is under. The main thread holds it except while it polls. */
void machine_lock(void);
void machine_unlock(void);
bool machine_locked(void);              /* by this thread; for assertions */
/* Waits on cond with the machine lock dropped. */
void machine_cond_wait(GCond *cond);
/* Main thread: takes the lock, and makes GLib's main loop drop it while it polls. */
void machine_loop_init(void);
/* Runs fn(opaque) on the main thread soon, with the lock. Any thread. */
void main_loop_call(void (*fn)(void *opaque), void *opaque);
/* The same with a handle that can be scheduled many times: runs once however often it was scheduled before. */
typedef struct BottomHalf BottomHalf;
BottomHalf *bh_new(void (*fn)(void *opaque), void *opaque);
void bh_schedule(BottomHalf *bh);
void bh_cancel(BottomHalf *bh);
void bh_free(BottomHalf *bh);
#endif
