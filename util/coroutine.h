/*
 * Coroutines: functions with a stack of their own that wait by giving the processor back.
 *
 * A coroutine may be entered on one thread and go on, after a yield, on another; only one thread at a time
 * runs coroutines that share anything (the block layer's run under the machine lock).  So nothing here is
 * atomic but the pool of idle stacks, and code that runs in coroutines keeps no pointer to a thread-local
 * variable across a yield.
 *
 * A function that may yield has "co" in its name and is called from a coroutine only.
 */
#ifndef UTIL_COROUTINE_H
#define UTIL_COROUTINE_H
#include <stdbool.h>
#include <stddef.h>

typedef struct Coroutine Coroutine;
typedef void CoroutineEntry(void *opaque);

/* Not started yet; it is freed when entry returns. */
Coroutine *coroutine_new(CoroutineEntry *entry, void *opaque);
/* Runs co until it yields or ends. From anywhere but itself. */
void coroutine_enter(Coroutine *co);
/* Back to whoever entered; returns when entered again. */
void coroutine_yield(void);
Coroutine *coroutine_self(void);                /* NULL outside */
static inline bool coroutine_in(void) { return coroutine_self() != NULL; }
/* A blocking coroutine does its system calls itself instead of waiting for others to do them: cheapest where the
 * caller waits anyway. Inherited by nobody. */
void coroutine_set_blocking(Coroutine *co, bool on);
bool coroutine_blocking(void);                  /* also true outside of coroutines */

/* Makes co go on from the ready list, which the event loop runs: for wake-ups from inside another coroutine. */
void coroutine_wake(Coroutine *co);
/* Enters all that are ready (not those that become so meanwhile); false: none were. */
bool coroutine_run_ready(void);
bool coroutine_any_ready(void);
/* Called by coroutine_wake when the ready list was empty. */
void coroutine_set_wake_hook(void (*hook)(void));
/* Frees idle stacks (tests; idle memory). */
void coroutine_pool_trim(void);

/* Waiters in order of arrival. */
typedef struct CoWaiter { Coroutine *co; struct CoWaiter *next; } CoWaiter;
typedef struct CoQueue { CoWaiter *first, **last; } CoQueue;
void co_queue_wait(CoQueue *q);
bool co_queue_wake_one(CoQueue *q);             /* false: nobody waits */
void co_queue_wake_all(CoQueue *q);
static inline bool co_queue_empty(const CoQueue *q) { return !q->first; }

/* Held across yields; fair. Zero-initialised is unlocked. */
typedef struct CoMutex { Coroutine *owner; bool locked; CoQueue waiters; } CoMutex;
void co_mutex_lock(CoMutex *m);
void co_mutex_unlock(CoMutex *m);
#endif
