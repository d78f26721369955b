/*
 * Post-copy at the source.
 *
 * The way back has a thread of its own, which queues what the target asks for. Once the devices have been sent the guest
 * is the target's: it never runs here again. When the connection breaks then, the migration is paused until there is
 * another (migrate with resume); the target says what it has, and the rest is sent.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>
#include "block/block.h"
#include "migration/format.h"
#include "migration/outgoing-int.h"
#include "migration/postcopy.h"
#include "migration/savevm.h"
#include "util/error.h"
#include "util/loop.h"

#define CHUNK 65536             /* bytes of pages between two looks at what is asked for */
#define WINDOW_US 50000
#define MAX_WANTED (1u << 30)   /* bytes asked for at once: a huge page */
#define MAP_END 0x0123456789abcdefull

typedef struct Wanted { int block; uint64_t offset; } Wanted;

static struct {
    GThread *thread;
    Channel *ch;

    GMutex lock;                /* of the rest */
    GCond cond;
    GQueue wanted;              /* Wanted */
    bool ended, shut, acked;    /* the way back; the target has said that it ends, that it goes on */
    uint32_t verdict;
    unsigned maps;              /* received */
    bool resume;                /* there is another address to connect to */
    MigUri uri;
} back;

/* ---- The way back ---- */

static bool read_n(Channel *c, void *p, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t r = channel_read(c, (uint8_t *)p + done, n - done);

        if (r <= 0)
            return false;
        done += r;
    }
    return true;
}

static uint64_t be(const uint8_t *p, unsigned n)
{
    uint64_t v = 0;

    while (n--)
        v = v << 8 | *p++;
    return v;
}

static void note(bool *what)
{
    g_mutex_lock(&back.lock);
    *what = true;
    g_cond_broadcast(&back.cond);
    g_mutex_unlock(&back.lock);
}

/* Asked for: all pages from offset on. */
static bool want(int block, uint64_t offset, uint64_t len)
{
    if (!ram_save_has(mig.ram, block, offset) || !len || len > MAX_WANTED ||
        !ram_save_has(mig.ram, block, (offset + len - 1) / MIG_PAGE * MIG_PAGE))
        return false;
    g_mutex_lock(&back.lock);
    for (uint64_t o = offset; o < offset + len; o += MIG_PAGE) {
        Wanted *w = g_new(Wanted, 1);

        *w = (Wanted){ block, o };
        g_queue_push_tail(&back.wanted, w);
    }
    mig.requests++;
    g_cond_broadcast(&back.cond);
    g_mutex_unlock(&back.lock);
    return true;
}

/* What the target has of a block: behind its name come a length, bits, and an end mark. */
static bool take_map(const char *name)
{
    int block = ram_save_find(mig.ram, name);
    g_autofree unsigned long *bits = NULL;
    uint8_t num[8];
    uint64_t pages, size;

    if (block < 0 || !read_n(back.ch, num, 8))
        return false;
    ram_save_block(mig.ram, block, &pages);
    size = be(num, 8);
    if (size != (pages + 63) / 64 * 8)
        return false;
    bits = g_malloc(size);
    if (!read_n(back.ch, bits, size) || !read_n(back.ch, num, 8) || be(num, 8) != MAP_END)
        return false;
    ram_save_set_received(mig.ram, block, bits);
    g_mutex_lock(&back.lock);
    back.maps++;
    g_cond_broadcast(&back.cond);
    g_mutex_unlock(&back.lock);
    return true;
}

static bool take_message(unsigned type, const uint8_t *m, unsigned len, int *block)
{
    char name[256] = "";

    switch (type) {
    case RP_SHUT:
        back.verdict = len == 4 ? be(m, 4) : 1;
        note(&back.shut);
        return false;
    case RP_PONG:
        return len == 4;
    case RP_REQ_PAGES_ID:
        if (len < 13 || len != 13u + m[12])
            return false;
        memcpy(name, m + 13, m[12]);
        *block = ram_save_find(mig.ram, name);
        return want(*block, be(m, 8), be(m + 8, 4));
    case RP_REQ_PAGES:
        return len == 12 && want(*block, be(m, 8), be(m + 8, 4));
    case RP_RECV_BITMAP:
        if (!len || len != 1u + m[0])
            return false;
        memcpy(name, m + 1, m[0]);
        return take_map(name);
    case RP_RESUME_ACK:
        note(&back.acked);
        return len == 4;
    default:
        return false;
    }
}

static void *read_back(void *opaque)
{
    uint8_t head[4], m[512];
    int block = -1;

    while (read_n(back.ch, head, 4)) {
        unsigned len = be(head + 2, 2);

        if (len > sizeof m || !read_n(back.ch, m, len) || !take_message(be(head, 2), m, len, &block))
            break;
    }
    note(&back.ended);
    return NULL;
}

static void start_reading(Channel *c)
{
    back.ch = c;
    back.ended = back.shut = back.acked = false;
    back.maps = 0;
    back.thread = g_thread_new("return path", read_back, NULL);
}

static void stop_reading(void)
{
    if (!back.thread)
        return;
    shutdown(channel_fd(back.ch), SHUT_RDWR);
    g_clear_pointer(&back.thread, g_thread_join);
    g_queue_clear_full(&back.wanted, g_free);
}

void postcopy_close(void)
{
    stop_reading();
    back.ch = NULL;
}

/* ---- Commands in the stream ---- */

static void put_command(MigStream *s, unsigned cmd, unsigned len)
{
    put_u8(s, MIG_COMMAND);
    put_u16(s, cmd);
    put_u16(s, len);
}

static void put_ping(MigStream *s, uint32_t n)
{
    put_command(s, CMD_PING, 4);
    put_u32(s, n);
}

bool postcopy_open(Channel *c, GError **err)
{
    if (!channel_expect_answer(c))
        return error_set(err, "postcopy-ram: only a socket has a way back");
    put_command(mig.stream, CMD_OPEN_RETURN_PATH, 0);
    put_ping(mig.stream, 1);
    put_command(mig.stream, CMD_POSTCOPY_ADVISE, 16);
    put_u64(mig.stream, MIG_PAGE);
    put_u64(mig.stream, MIG_PAGE);
    ram_save_keep_sent(mig.ram);
    if (migration_cap(CAP_RELEASE_RAM))
        ram_save_release(mig.ram);
    start_reading(c);
    return true;
}

bool postcopy_is_wanted(void)
{
    return __atomic_load_n(&mig.start_postcopy, __ATOMIC_ACQUIRE);
}

/* ---- The switch ---- */

static bool begin(GError **err)
{
    migration_set_status(MIG_POSTCOPY_ACTIVE);
    return switchover_stop(err);
}

/* The devices in one piece, with the commands that start the target. */
static void put_package(void)
{
    put_command(mig.stream, CMD_PACKAGED, 4);
    put_u32(mig.stream, 5 + mig.devices->len + 9 + 5);
    put_command(mig.stream, CMD_POSTCOPY_LISTEN, 0);
    put_bytes(mig.stream, mig.devices->data, mig.devices->len);
    put_ping(mig.stream, 3);
    put_command(mig.stream, CMD_POSTCOPY_RUN, 0);
}

static bool hand_over(GError **err)
{
    if (!migration_on_main(begin, err))
        return false;
    precopy_next_pass();
    if (!ram_save_check(mig.ram, err))
        return false;
    ram_save_discards(mig.ram, mig.stream);
    put_ping(mig.stream, 2);
    if (migration_is_cancelled())
        return error_set(err, "cancelled");
    mig.without_end = true;
    if (!migration_on_main(switchover_save, err))
        return false;
    if (!stream_flush(mig.stream))
        return stream_failed(mig.stream, err);
    put_package();
    if (!stream_flush(mig.stream))
        return stream_failed(mig.stream, err);
    __atomic_store_n(&mig.given_away, true, __ATOMIC_RELEASE);
    mig.sent_at = g_get_monotonic_time();
    put_ping(mig.stream, 4);
    return true;
}

/* ---- Pages ---- */

static bool next_wanted(Wanted *w)
{
    Wanted *first;

    g_mutex_lock(&back.lock);
    first = g_queue_pop_head(&back.wanted);
    g_mutex_unlock(&back.lock);
    if (first)
        *w = *first;
    g_free(first);
    return first;
}

/* Waits until the window is over, or something is asked for. */
static void keep_rate(gint64 *since, uint64_t *bytes)
{
    int64_t limit = migration_param(PARAM_MAX_POSTCOPY_BANDWIDTH);
    gint64 end = *since + WINDOW_US;

    if (limit > 0 && stream_bytes(mig.stream) - *bytes >= (uint64_t)limit / (1000000 / WINDOW_US)) {
        g_mutex_lock(&back.lock);
        while (g_queue_is_empty(&back.wanted) && !back.ended && !migration_is_cancelled() &&
               g_cond_wait_until(&back.cond, &back.lock, end))
            continue;
        g_mutex_unlock(&back.lock);
    }
    if (g_get_monotonic_time() >= end || *bytes > stream_bytes(mig.stream)) {
        *since = g_get_monotonic_time();
        *bytes = stream_bytes(mig.stream);
    }
}

static bool over_limit(uint64_t bytes)
{
    int64_t limit = migration_param(PARAM_MAX_POSTCOPY_BANDWIDTH);

    return limit > 0 && stream_bytes(mig.stream) - bytes >= (uint64_t)limit / (1000000 / WINDOW_US);
}

static bool is_broken(void)
{
    bool broken;

    g_mutex_lock(&back.lock);
    broken = back.ended && !back.shut;
    g_mutex_unlock(&back.lock);
    return broken || stream_error(mig.stream);
}

/* Sends all that is left. False: the connection is broken, or somebody cancels. */
static bool send_pages(void)
{
    gint64 since = g_get_monotonic_time();
    uint64_t bytes = stream_bytes(mig.stream);
    bool empty = false;
    Wanted w;

    while (!empty && !is_broken() && !migration_is_cancelled()) {
        while (next_wanted(&w))
            ram_save_wanted(mig.ram, mig.stream, w.block, w.offset);
        if (!over_limit(bytes))
            empty = ram_save_send(mig.ram, mig.stream, CHUNK, false);
        stream_flush(mig.stream);
        figures_note();
        keep_rate(&since, &bytes);
    }
    if (!empty)
        return false;
    ram_save_send(mig.ram, mig.stream, UINT64_MAX, true);
    put_u8(mig.stream, MIG_EOF);
    stream_flush(mig.stream);
    figures_note();
    return !is_broken();
}

static bool wait_shut(void)
{
    bool ok;

    g_mutex_lock(&back.lock);
    while (!back.shut && !back.ended && !migration_is_cancelled() && !mig.quitting)
        g_cond_wait_until(&back.cond, &back.lock, g_get_monotonic_time() + 100000);
    ok = back.shut && !back.verdict;
    g_mutex_unlock(&back.lock);
    return ok;
}

bool postcopy_finish(GError **err)
{
    if (wait_shut())
        return true;
    return migration_is_cancelled() ? error_set(err, "cancelled")
                                    : error_set(err, "the other side closed the connection before it had loaded everything");
}

/* ---- After a break ---- */

static void set_status(MigStatus s)
{
    machine_lock();
    if (!migration_is_cancelled())
        migration_set_status(s);
    machine_unlock();
}

static bool wait_for_uri(MigUri *uri, GError **err)
{
    bool found;

    g_mutex_lock(&back.lock);
    while (!back.resume && !migration_is_cancelled() && !mig.quitting)
        g_cond_wait_until(&back.cond, &back.lock, g_get_monotonic_time() + 100000);
    found = back.resume;
    back.resume = false;
    *uri = back.uri;
    back.uri = (MigUri){ 0 };
    g_mutex_unlock(&back.lock);
    return found || error_set(err, "cancelled while post-copy was paused: the guest is at the target");
}

/* Learns what the target has. */
static bool agree(void)
{
    const char *name;
    uint64_t pages;
    unsigned n = 0;
    bool ok;

    while ((name = ram_save_block(mig.ram, n, &pages))) {
        put_command(mig.stream, CMD_RECV_BITMAP, 1 + strlen(name));
        put_text(mig.stream, name);
        n++;
    }
    stream_flush(mig.stream);
    g_mutex_lock(&back.lock);
    while (back.maps < n && !back.ended && !migration_is_cancelled())
        g_cond_wait_until(&back.cond, &back.lock, g_get_monotonic_time() + 100000);
    g_mutex_unlock(&back.lock);
    put_command(mig.stream, CMD_POSTCOPY_RESUME, 0);
    stream_flush(mig.stream);
    g_mutex_lock(&back.lock);
    while (!back.acked && !back.ended && !migration_is_cancelled())
        g_cond_wait_until(&back.cond, &back.lock, g_get_monotonic_time() + 100000);
    ok = back.acked && back.maps >= n;
    g_mutex_unlock(&back.lock);
    return ok && !stream_error(mig.stream);
}

static bool connect_again(GError **err)
{
    g_autoptr(GError) why = NULL;
    MigUri uri;
    Channel *c;

    set_status(MIG_POSTCOPY_PAUSED);
    error_report("the connection is lost during post-copy: waiting for migrate with resume");
    if (!wait_for_uri(&uri, err))
        return false;
    c = channel_open(&uri, -1, mig.cancel_fd, &why);
    uri_clear(&uri);
    if (!c) {
        error_report("%s", why->message);
        return true;
    }
    set_status(MIG_POSTCOPY_RECOVER);
    mig.bytes_before += stream_bytes(mig.stream);
    stream_free(mig.stream);
    mig.stream = stream_new(c);
    channel_expect_answer(c);
    start_reading(c);
    if (agree())
        set_status(MIG_POSTCOPY_ACTIVE);
    else
        stop_reading();
    return true;
}

bool postcopy_run(GError **err)
{
    if (!hand_over(err))
        return false;
    while (!send_pages() || !wait_shut()) {
        if (back.shut)
            return error_set(err, "the other side could not load it: its messages say why");
        if (migration_is_cancelled())
            return error_set(err, "cancelled");
        stop_reading();
        do {
            if (!connect_again(err))
                return false;
        } while (!back.thread);
    }
    return true;
}

/* ---- The monitor's ---- */

bool postcopy_start(GError **err)
{
    if (!migration_cap(CAP_POSTCOPY_RAM))
        return error_set(err, "Enable postcopy with migrate_set_capability before the start of migration");
    if (mig.status == MIG_NONE)
        return error_set(err, "Postcopy must be started after migration has been started");
    __atomic_store_n(&mig.start_postcopy, true, __ATOMIC_RELEASE);
    return true;
}

bool postcopy_pause(GError **err)
{
    if (mig.status != MIG_POSTCOPY_ACTIVE)
        return error_set(err, "migrate-pause is currently only supported during postcopy-active state");
    if (back.ch)
        shutdown(channel_fd(back.ch), SHUT_RDWR);
    return true;
}

bool postcopy_resume(const char *uri, GError **err)
{
    MigUri u;

    if (mig.status != MIG_POSTCOPY_PAUSED)
        return error_set(err, "Cannot resume if there is no paused migration");
    if (migration_cap(CAP_RELEASE_RAM))
        return error_set(err, "Cannot resume: with release-ram, pages that were on their way are gone");
    if (migration_cap(CAP_RELEASE_RAM))
        return error_set(err, "Postcopy recovery cannot work when release-ram capability is set.");
    if (!uri_parse(&u, uri, false, err)) {
        uri_clear(&u);
        return false;
    }
    if (u.kind != URI_TCP && u.kind != URI_UNIX) {
        uri_clear(&u);
        return error_set(err, "migrate with resume: only tcp: and unix: have a way back");
    }
    g_mutex_lock(&back.lock);
    uri_clear(&back.uri);
    back.uri = u;
    back.resume = true;
    g_cond_broadcast(&back.cond);
    g_mutex_unlock(&back.lock);
    return true;
}
