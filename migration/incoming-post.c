/*
 * Receiving a machine by post-copy: the thread that reads pages while the guest runs, and what happens when the connection
 * breaks: it waits for migrate_recover, and so does the guest where it touches what is not there.
 *
 * The thread never takes the machine lock: its holder may wait for a page.
 */
#include <sys/socket.h>
#include <unistd.h>
#include <glib-unix.h>
#include "migration/format.h"
#include "migration/incoming-int.h"
#include "migration/params.h"
#include "migration/postcopy.h"
#include "util/error.h"
#include "util/loop.h"

static struct {
    GThread *thread;
    Load *load;
    PostcopyLoad *post;
    guint source;               /* of the listening socket of migrate_recover; 0: none */
    MigUri from;
    bool running, done;         /* main thread: the guest may run; all has come */

    GMutex lock;
    GCond cond;
    MigStream *stream, *next;   /* next: of a new connection */
} post;

/* ---- The main thread's part ---- */

static void finish_if_done(void)
{
    if (!post.running || !post.done)
        return;
    g_clear_pointer(&post.thread, g_thread_join);
    postcopy_say_value(post.post, RP_SHUT, 0);
    g_clear_pointer(&post.load, load_free);
    post.post = NULL;
    stream_free(post.stream);
    post.stream = NULL;
    incoming_tell(MIG_COMPLETED);
}

static void all_here(void *opaque)
{
    post.done = true;
    finish_if_done();
}

static void tell_active(void *opaque)
{
    incoming_tell(MIG_POSTCOPY_ACTIVE);
}

static void tell_paused(void *opaque)
{
    g_autofree char *why = opaque;

    error_report("post-copy: %s: waiting for migrate_recover", why);
    incoming_tell(MIG_POSTCOPY_PAUSED);
}

void post_run(void)
{
    post.running = true;
    finish_if_done();
}

/* ---- The thread ---- */

/* The connection is gone: waits for another. */
static void wait_for_stream(void)
{
    MigStream *old;

    postcopy_lost(post.post);
    g_mutex_lock(&post.lock);
    while (!post.next)
        g_cond_wait(&post.cond, &post.lock);
    old = post.stream;
    post.stream = post.next;
    post.next = NULL;
    g_mutex_unlock(&post.lock);
    stream_free(old);
    load_rest_from(post.load, post.stream);
    postcopy_found(post.post, stream_channel(post.stream));
}

static void *read_rest(void *opaque)
{
    for (;;) {
        GError *err = NULL;
        bool broken;

        if (load_rest(post.load, &broken, &err))
            break;
        if (!broken) {
            error_report("%s", err->message);
            _exit(1);           /* the guest can't go on, and the main thread may be waiting with it */
        }
        main_loop_call(tell_paused, g_strdup(err->message));
        g_error_free(err);
        wait_for_stream();
    }
    postcopy_all_here(post.post);
    main_loop_call(all_here, NULL);
    return NULL;
}

void post_listen(Load *rest, PostcopyLoad *p)
{
    post.load = rest;
    post.post = p;
    post.stream = load_rest_stream(rest);
    post.running = post.done = false;
    main_loop_call(tell_active, NULL);
    post.thread = g_thread_new("postcopy/listen", read_rest, NULL);
}

void post_resumed(void)
{
    main_loop_call(tell_active, NULL);
}

/* ---- Commands ---- */

bool incoming_pause(GError **err)
{
    if (incoming_status() != MIG_POSTCOPY_ACTIVE)
        return error_set(err, "migrate-pause is currently only supported during postcopy-active state");
    g_mutex_lock(&post.lock);
    if (post.stream)
        shutdown(channel_fd(stream_channel(post.stream)), SHUT_RDWR);
    g_mutex_unlock(&post.lock);
    return true;
}

static gboolean accepted(gint fd, GIOCondition cond, gpointer opaque)
{
    int s = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

    if (s < 0)
        return G_SOURCE_CONTINUE;
    post.source = 0;
    close(fd);
    if (post.from.kind == URI_UNIX && post.from.addr.path && !post.from.addr.abstract)
        unlink(post.from.addr.path);
    incoming_tell(MIG_POSTCOPY_RECOVER);
    g_mutex_lock(&post.lock);
    post.next = stream_new(channel_accepted(s));
    g_cond_signal(&post.cond);
    g_mutex_unlock(&post.lock);
    return G_SOURCE_REMOVE;
}

bool incoming_recover(const char *uri, GError **err)
{
    int fd;

    if (incoming_status() != MIG_POSTCOPY_PAUSED)
        return error_set(err, "Migrate recover can only be run when postcopy is paused.");
    if (post.source)
        return error_set(err, "Migrate recovery is triggered already");
    uri_clear(&post.from);
    if (!uri_parse(&post.from, uri, true, err))
        return false;
    if (post.from.kind != URI_TCP && post.from.kind != URI_UNIX)
        return error_set(err, "migrate-recover: only tcp: and unix: have a way back");
    fd = uri_listen(&post.from, err);
    if (fd < 0)
        return false;
    post.source = g_unix_fd_add(fd, G_IO_IN, accepted, NULL);
    return true;
}
