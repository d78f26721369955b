/*
 * Receiving another machine: -incoming and migrate_incoming.
 *
 * A thread reads the stream; when it is through, the main thread takes the images over and lets the guest go on as the
 * source's run state says. Until then the images are opened without locks and nothing is written to them. A stream that
 * can't be loaded ends the program with status 1, and a message that names section, field and value.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <glib-unix.h>
#include "block/block.h"
#include "migration/format.h"
#include "migration/incoming-int.h"
#include "migration/multifd.h"
#include "migration/params.h"
#include "net/net.h"
#include "util/error.h"

static struct Incoming {
    Machine *machine;
    char *uri;                  /* NULL: there is nothing to come */
    bool deferred;              /* migrate_incoming will say from where */
    bool start;                 /* let the guest run afterwards, if it did */
    MigUri from;
    int fd;                     /* listening, or of fd: */
    guint source;
    int listening;              /* for multifd's channels; -1. The thread's */
    MigStream *stream;
    MigStatus status;
    json_t *address;            /* where it listens; or NULL */
    LoadResult result;
    GError *err;
    bool ok;
} in = { .fd = -1, .listening = -1 };

void incoming_tell(MigStatus s)
{
    in.status = s;
    if (migration_cap(CAP_EVENTS))
        machine_event(in.machine, "MIGRATION", "{s:s}", "status", migration_status_name(s));
}

MigStatus incoming_status(void)
{
    return in.status;
}

void incoming_describe(json_t *to)
{
    bool over = in.status == MIG_COMPLETED || in.status == MIG_FAILED;

    if (in.status != MIG_NONE && in.status != MIG_SETUP)
        json_object_set_new(to, "status", json_string(migration_status_name(in.status)));
    if (in.address && !over)
        json_object_set_new(to, "socket-address", json_pack("[O]", in.address));
}

/* Where it can be reached, as query-migrate shows it: with the port that the host has chosen. */
static json_t *describe_socket(int fd)
{
    g_autofree char *name = socket_name(fd, false);
    char *colon = strrchr(name, ':'), *host = name;

    if (socket_is_unix(fd))
        return json_pack("{s:s,s:s}", "type", "unix", "path", name);
    if (!colon)
        return NULL;
    *colon = 0;
    if (*host == '[') {
        host++;
        colon[-1] = 0;
    }
    return json_pack("{s:s,s:s,s:s,s:b}", "type", "inet", "host", host, "port", colon + 1, host == name ? "ipv4" : "ipv6", 1);
}

bool migration_activate_images(GError **err)
{
    if (migration_gave_away())
        return error_set(err, "The guest has gone on elsewhere (post-copy)");
    return block_activate_all(err);
}

/* ---- The end ---- */

static void fail(const char *what)
{
    incoming_tell(MIG_FAILED);
    error_report("%s", what);
    machine_request_exit(in.machine, 1);
}

static RunState next_state(void)
{
    RunState was = in.result.has_state ? in.result.state : RUN_RUNNING;

    switch (was) {
    case RUN_RUNNING:
        return in.start ? RUN_RUNNING : RUN_PAUSED;
    case RUN_INTERNAL_ERROR: case RUN_IO_ERROR: case RUN_SHUTDOWN: case RUN_SUSPENDED: case RUN_WATCHDOG: case RUN_GUEST_PANICKED:
    case RUN_PRELAUNCH: case RUN_POSTMIGRATE:
        return was;
    default:
        return RUN_PAUSED;
    }
}

static void loaded(void *opaque)
{
    g_autoptr(GError) err = NULL;
    Machine *m = in.machine;
    RunState to;

    if (!in.ok) {
        if (!in.result.postcopy) {      /* there another thread uses it */
            channel_answer(stream_channel(in.stream), RP_SHUT, 1);
            stream_free(in.stream);
        }
        in.stream = NULL;
        fail(in.err->message);
        return;
    }
    to = next_state();
    if ((to == RUN_RUNNING || !migration_cap(CAP_LATE_BLOCK_ACTIVATE)) && !block_activate_all(&err)) {
        if (in.result.postcopy) {       /* the source has given the guest away */
            error_report("the guest stays stopped: %s", err->message);
            to = RUN_PAUSED;
        }
    }
    if (err && !in.result.postcopy) {
        channel_answer(stream_channel(in.stream), RP_SHUT, 1);
        fail(err->message);
        return;
    }
    if (in.result.postcopy) {
        post_run();
    } else {
        if (in.result.return_path)
            channel_answer(stream_channel(in.stream), RP_SHUT, 0);
        stream_free(in.stream); /* the source sees that we have it all */
    }
    in.stream = NULL;
    g_clear_pointer(&in.uri, g_free);
    if (to == RUN_RUNNING)
        machine_start(m);
    else
        machine_stop(m, to);
    if (!in.result.postcopy)
        incoming_tell(MIG_COMPLETED);
    net_announce(&(NetAnnounce){ migration_param(PARAM_ANNOUNCE_INITIAL), migration_param(PARAM_ANNOUNCE_MAX),
                                 migration_param(PARAM_ANNOUNCE_ROUNDS), migration_param(PARAM_ANNOUNCE_STEP), NULL });
}

static void remove_socket(void)
{
    if (in.from.kind == URI_UNIX && in.from.addr.path && !in.from.addr.abstract)
        unlink(in.from.addr.path);
}

/* The other connections of a migration over several, when there are to be such. */
static bool gather(void)
{
    if (in.listening < 0)
        return true;
    in.result.multi = multi_recv_new(in.listening, channel_fd(stream_channel(in.stream)), migration_param(PARAM_MULTIFD_CHANNELS),
                                     migration_param(PARAM_MULTIFD_COMPRESSION), in.machine->cfg->uuid, &in.err);
    return in.result.multi;
}

static void *load_thread(void *opaque)
{
    in.result.listen = post_listen;
    in.result.resumed = post_resumed;
    in.ok = gather() && load_stream(in.stream, in.machine, &in.result, &in.err);
    if (in.listening >= 0) {
        close(in.listening);
        in.listening = -1;
        remove_socket();
    }
    main_loop_call(loaded, NULL);
    return NULL;
}

static void begin(Channel *c)
{
    in.stream = stream_new(c);
    incoming_tell(MIG_ACTIVE);
    g_thread_unref(g_thread_new("incoming", load_thread, NULL));
}

/* ---- The beginning ---- */

static gboolean accepted(gint fd, GIOCondition cond, gpointer opaque)
{
    int s = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

    if (s < 0)
        return G_SOURCE_CONTINUE;
    in.source = 0;
    if (migration_cap(CAP_MULTIFD))
        in.listening = fd;
    else
        close(fd);
    in.fd = -1;
    if (in.listening < 0)
        remove_socket();
    begin(channel_accepted(s));
    return G_SOURCE_REMOVE;
}

static bool open_uri(const char *uri, GError **err)
{
    Channel *c;

    uri_clear(&in.from);
    if (!uri_parse(&in.from, uri, true, err))
        return false;
    incoming_tell(MIG_SETUP);
    if (in.from.kind == URI_TCP || in.from.kind == URI_UNIX) {
        in.fd = uri_listen(&in.from, err);
        if (in.fd < 0)
            return false;
        json_decref(in.address);
        in.address = describe_socket(in.fd);
        in.source = g_unix_fd_add(in.fd, G_IO_IN, accepted, NULL);
        return true;
    }
    if (in.from.kind == URI_FD) {
        char *end;

        in.fd = strtol(in.from.text, &end, 10);
        if (*end || end == in.from.text || in.fd < 0)
            return error_set(err, "-incoming fd:%s: expected the number of a file descriptor", in.from.text);
    }
    c = channel_open_incoming(&in.from, in.fd, err);
    if (c)
        begin(c);
    return c;
}

bool incoming_prepare(Machine *m, const char *uri, bool start, GError **err)
{
    MigUri u;
    bool ok = uri_parse(&u, uri, true, err);

    in.machine = m;
    in.uri = g_strdup(uri);
    in.start = start;
    in.deferred = ok && u.kind == URI_DEFER;
    uri_clear(&u);
    block_start_inactive();
    machine_stop(m, RUN_INMIGRATE);
    return ok;
}

bool incoming_start(Machine *m, GError **err)
{
    return in.deferred || open_uri(in.uri, err);
}

bool incoming_by_command(const char *uri, GError **err)
{
    if (!in.uri && !in.machine)
        return error_set(err, "'-incoming' was not specified on the command line");
    if (!in.deferred)
        return error_set(err, in.uri && in.fd < 0 && !in.stream ? "'-incoming defer' is required for migrate_incoming"
                                                                : "The incoming migration has already been started");
    if (!open_uri(uri, err))
        return false;
    in.deferred = false;
    return true;
}

bool incoming_pending(Machine *m, bool start)
{
    if (machine_state(m) != RUN_INMIGRATE)
        return false;
    in.start = start;
    return true;
}
