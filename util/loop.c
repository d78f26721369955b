/*
 * The machine lock and the main loop.
 *
 * The main thread holds the lock except while it polls, so every callback of GLib's default context runs under it.
 */
#include <poll.h>
#include "util/loop.h"

static GMutex big_lock;
static __thread bool have_lock;

void machine_lock(void)
{
    g_mutex_lock(&big_lock);
    have_lock = true;
}

void machine_unlock(void)
{
    have_lock = false;
    g_mutex_unlock(&big_lock);
}

bool machine_locked(void)
{
    return have_lock;
}

void machine_cond_wait(GCond *cond)
{
    have_lock = false;
    g_cond_wait(cond, &big_lock);
    have_lock = true;
}

static gint poll_unlocked(GPollFD *fds, guint n, gint timeout)
{
    gint r;

    if (timeout == 0)
        return poll((struct pollfd *)fds, n, 0);
    machine_unlock();
    r = poll((struct pollfd *)fds, n, timeout);
    machine_lock();
    return r;
}

void machine_loop_init(void)
{
    if (!have_lock)
        machine_lock();
    g_main_context_set_poll_func(NULL, poll_unlocked);
}

struct BottomHalf {
    GSource source;
    void (*fn)(void *opaque);
    void *opaque;
};

static gboolean bh_dispatch(GSource *source, GSourceFunc fn, gpointer data)
{
    BottomHalf *bh = (BottomHalf *)source;

    (void)fn; (void)data;
    g_source_set_ready_time(source, -1);
    bh->fn(bh->opaque);
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs bh_funcs = { .dispatch = bh_dispatch };

BottomHalf *bh_new(void (*fn)(void *opaque), void *opaque)
{
    BottomHalf *bh = (BottomHalf *)g_source_new(&bh_funcs, sizeof *bh);

    bh->fn = fn;
    bh->opaque = opaque;
    g_source_set_priority(&bh->source, G_PRIORITY_HIGH);
    g_source_set_ready_time(&bh->source, -1);
    g_source_attach(&bh->source, NULL);
    return bh;
}

void bh_schedule(BottomHalf *bh)
{
    g_source_set_ready_time(&bh->source, 0);
}

void bh_cancel(BottomHalf *bh)
{
    g_source_set_ready_time(&bh->source, -1);
}

void bh_free(BottomHalf *bh)
{
    if (!bh)
        return;
    g_source_destroy(&bh->source);
    g_source_unref(&bh->source);
}

typedef struct OneShot { void (*fn)(void *opaque); void *opaque; } OneShot;

static gboolean one_shot(gpointer data)
{
    OneShot *o = data;

    o->fn(o->opaque);
    return G_SOURCE_REMOVE;
}

void main_loop_call(void (*fn)(void *opaque), void *opaque)
{
    OneShot *o = g_new(OneShot, 1);

    *o = (OneShot){ fn, opaque };
    g_idle_add_full(G_PRIORITY_HIGH, one_shot, o, g_free);
}
