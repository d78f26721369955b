/*
 * Coroutines on x86-64: a switch saves the six registers that the ABI gives to the callee and swaps stacks.
 *
 * Stacks come from a pool; each has a guard page below.  Sanitizers are told about every switch.
 */
#include <glib.h>
#include <sys/mman.h>
#include <unistd.h>
#include "util/coroutine.h"

#if defined(__SANITIZE_ADDRESS__)
#define CO_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__)
#define CO_TSAN 1
#endif
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CO_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define CO_TSAN 1
#endif
#endif
#ifdef CO_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#define STACK_SIZE (1024 * 1024)       /* only touched pages cost memory; long backing chains recurse */
#ifdef CO_TSAN
#include <sanitizer/tsan_interface.h>
#endif
#define POOL_MAX 64

struct Coroutine {
    void *sp;                           /* while it does not run */
    Coroutine *caller;                  /* while it runs; its own or the thread's root */
    CoroutineEntry *entry;
    void *opaque;
    void *stack;                        /* lowest address, of the guard page; NULL: a thread's root */
    Coroutine *next;                    /* in the pool or the ready list */
    bool ended, blocking, started;
#ifdef CO_ASAN
    void *fake_stack;
    const void *bottom;                 /* the root's stack */
    size_t size;
#endif
#ifdef CO_TSAN
    void *fiber;
#endif
};

static __thread Coroutine root;
static __thread Coroutine *current;

static GMutex pool_lock;
static Coroutine *pool;                 /* pool_lock */
static unsigned pool_count;

static Coroutine *ready_first, **ready_last = &ready_first;
static void (*wake_hook)(void);

/* void co_switch(void **save, void *to) */
void co_switch(void **save, void *to);
asm(".text\n"
    ".p2align 4\n"
    ".globl co_switch\n"
    ".hidden co_switch\n"
    ".type co_switch, @function\n"
    "co_switch:\n"
    "    .cfi_startproc\n"
    "    pushq %rbp\n    pushq %rbx\n    pushq %r12\n    pushq %r13\n    pushq %r14\n    pushq %r15\n"
    "    movq %rsp, (%rdi)\n"
    "    movq %rsi, %rsp\n"
    "    popq %r15\n    popq %r14\n    popq %r13\n    popq %r12\n    popq %rbx\n    popq %rbp\n"
    "    ret\n"
    "    .cfi_endproc\n"
    ".size co_switch, .-co_switch\n");

/* Not inlined: the compiler must not keep a thread-local's address across a switch. */
static __attribute__((noinline)) Coroutine *get_current(void)
{
    asm volatile("");
    return current ? current : &root;
}

static __attribute__((noinline)) void set_current(Coroutine *co)
{
    asm volatile("");
    current = co;
}

static void switch_to(Coroutine *from, Coroutine *to)
{
#ifdef CO_ASAN
    void *fake = NULL;

    __sanitizer_start_switch_fiber(from->ended ? NULL : &fake, to->stack ? (char *)to->stack + 4096 : to->bottom,
                                   to->stack ? STACK_SIZE : to->size);
#endif
#ifdef CO_TSAN
    __tsan_switch_to_fiber(to->fiber, 0);
#endif
    set_current(to);
    co_switch(&from->sp, to->sp);
#ifdef CO_ASAN
    {
        const void *bottom;
        size_t size;
        Coroutine *me = get_current();

        __sanitizer_finish_switch_fiber(fake, &bottom, &size);
        if (me->stack && !me->caller->stack) {
            me->caller->bottom = bottom;
            me->caller->size = size;
        }
    }
#endif
}

static void trampoline(void)
{
    Coroutine *co = get_current();

#ifdef CO_ASAN
    const void *bottom;
    size_t size;

    __sanitizer_finish_switch_fiber(NULL, &bottom, &size);
    if (!co->caller->stack) {
        co->caller->bottom = bottom;
        co->caller->size = size;
    }
#endif
    co->entry(co->opaque);
    co->ended = true;
    switch_to(co, co->caller);
    g_assert_not_reached();
}

static Coroutine *stack_new(void)
{
    size_t page = 4096;
    char *m = mmap(NULL, STACK_SIZE + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    Coroutine *co;

    if (m == MAP_FAILED || mprotect(m, page, PROT_NONE) < 0)
        g_error("out of memory for a coroutine's stack");
    co = g_new0(Coroutine, 1);
    co->stack = m;
#ifdef CO_TSAN
    co->fiber = __tsan_create_fiber(0);
#endif
    return co;
}

static void stack_free(Coroutine *co)
{
#ifdef CO_TSAN
    __tsan_destroy_fiber(co->fiber);
#endif
#ifdef CO_ASAN
    __asan_unpoison_memory_region((char *)co->stack + 4096, STACK_SIZE);
#endif
    munmap(co->stack, STACK_SIZE + 4096);
    g_free(co);
}

Coroutine *coroutine_new(CoroutineEntry *entry, void *opaque)
{
    Coroutine *co;
    void **sp;

    g_mutex_lock(&pool_lock);
    co = pool;
    if (co) {
        pool = co->next;
        pool_count--;
    }
    g_mutex_unlock(&pool_lock);
    if (!co)
        co = stack_new();
#ifdef CO_ASAN
    __asan_unpoison_memory_region((char *)co->stack + 4096, STACK_SIZE);
#endif
    co->entry = entry;
    co->opaque = opaque;
    co->ended = co->blocking = co->started = false;
    co->caller = co->next = NULL;
    /* as co_switch leaves it: six registers, the return address; 16-byte alignment as after a call */
    sp = (void **)((char *)co->stack + 4096 + STACK_SIZE) - 3;
    *sp = NULL;
    *--sp = (void *)trampoline;
    for (unsigned i = 0; i < 6; i++)
        *--sp = NULL;
    co->sp = sp;
    return co;
}

static void coroutine_free(Coroutine *co)
{
    g_mutex_lock(&pool_lock);
    if (pool_count < POOL_MAX) {
        co->next = pool;
        pool = co;
        pool_count++;
        co = NULL;
    }
    g_mutex_unlock(&pool_lock);
    if (co)
        stack_free(co);
}

void coroutine_pool_trim(void)
{
    for (;;) {
        Coroutine *co;

        g_mutex_lock(&pool_lock);
        co = pool;
        if (co) {
            pool = co->next;
            pool_count--;
        }
        g_mutex_unlock(&pool_lock);
        if (!co)
            return;
        stack_free(co);
    }
}

void coroutine_enter(Coroutine *co)
{
    Coroutine *self = get_current();

    g_assert(!co->caller && co != self);
#ifdef CO_TSAN
    if (!self->stack)
        self->fiber = __tsan_get_current_fiber();
#endif
    co->caller = self;
    co->started = true;
    switch_to(self, co);
    co->caller = NULL;
    if (co->ended)
        coroutine_free(co);
}

void coroutine_yield(void)
{
    Coroutine *self = get_current();

    g_assert(self->stack);
    switch_to(self, self->caller);
}

Coroutine *coroutine_self(void)
{
    Coroutine *co = get_current();

    return co->stack ? co : NULL;
}

void coroutine_set_blocking(Coroutine *co, bool on)
{
    co->blocking = on;
}

bool coroutine_blocking(void)
{
    Coroutine *co = get_current();

    return !co->stack || co->blocking;
}

/* ---- ready list */

void coroutine_set_wake_hook(void (*hook)(void))
{
    wake_hook = hook;
}

bool coroutine_any_ready(void)
{
    return ready_first != NULL;
}

void coroutine_wake(Coroutine *co)
{
    bool was_empty = !ready_first;

    g_assert(!co->next && ready_last != &co->next);
    *ready_last = co;
    ready_last = &co->next;
    if (was_empty && wake_hook)
        wake_hook();
}

bool coroutine_run_ready(void)
{
    Coroutine **end = ready_last;
    bool last = !ready_first;

    if (last)
        return false;
    /* One at a time off the common list: what runs may call this again while it waits. */
    while (!last && ready_first) {
        Coroutine *co = ready_first;

        last = &co->next == end;
        ready_first = co->next;
        if (!ready_first)
            ready_last = &ready_first;
        co->next = NULL;
        coroutine_enter(co);
    }
    return true;
}

/* ---- queues and mutexes */

void co_queue_wait(CoQueue *q)
{
    CoWaiter w = { coroutine_self(), NULL };

    g_assert(w.co);
    if (!q->first)
        q->last = &q->first;
    *q->last = &w;
    q->last = &w.next;
    coroutine_yield();
}

bool co_queue_wake_one(CoQueue *q)
{
    CoWaiter *w = q->first;

    if (!w)
        return false;
    q->first = w->next;
    coroutine_wake(w->co);
    return true;
}

void co_queue_wake_all(CoQueue *q)
{
    while (co_queue_wake_one(q))
        ;
}

void co_mutex_lock(CoMutex *m)
{
    if (!m->locked)
        m->locked = true;
    else
        co_queue_wait(&m->waiters);     /* unlock hands it over, still locked */
    m->owner = coroutine_self();
}

void co_mutex_unlock(CoMutex *m)
{
    g_assert(m->locked && m->owner == coroutine_self());
    m->owner = NULL;
    if (!co_queue_wake_one(&m->waiters))
        m->locked = false;
}
