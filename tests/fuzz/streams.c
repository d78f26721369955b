/*
 * Mutated migration streams at the loader, in this process, without a CPU (-accel qtest).
 *
 * Streams of several kinds are put together from pieces: what a machine saves (header, list of blocks, each device's
 * section), a few pages instead of all, commands of post-copy and the package of devices, multifd's channels, a file
 * with the index of lazy restore. Over and over, pieces are left out, doubled or exchanged and a few bytes in them are
 * changed, cut out, put in or moved; then the stream is loaded into another machine made from the same command line, on the
 * threads that a migration has. Success or an error with a text: nothing else. Between loads the target gets random
 * traffic at its devices, so that what a bad value leaves behind is used.
 *
 * usage: streams [--count N] [--seed N] [--first N] [--kind NAME] [--keep FILE]
 *                     (2000; each case has random numbers of its own: --first goes there; FILE gets each stream before it is loaded)
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "migration/format.h"
#include "migration/multifd.h"
#include "migration/params.h"
#include "migration/postcopy.h"
#include "migration/ram-lazy.h"
#include "migration/savevm.h"
#include "tests/fuzz/libstreams.h"
#include "util/loop.h"

enum { LIMIT = 120, TRAFFIC = 20, RESET_EVERY = 50, WHOLE_EVERY = 256 };

static struct {
    Rig *rig;
    const char *keep;
    int listening, file;
    struct sockaddr_un addr;
    socklen_t addr_len;

    GByteArray *stream, *second[CHANNELS];  /* of the case under way; they keep their memory */
    unsigned seconds;
    Load *rest;                     /* post-copy has begun: what is left to be read, by whom, how it ended */
    PostcopyLoad *post;
    GThread *thread;
    GError *rest_err;
    bool rest_ok;
} run;

/* ---- Mutations ---- */

/* In the last piece, which begins at from: mostly near its beginning, as long ones are arrays of registers or pages. */
static size_t place(Rig *r, const GByteArray *d, size_t from)
{
    size_t n = d->len - from;

    switch (rnd_below(r, 8)) {
    case 0: return from + rnd_below(r, MIN(n, 32));
    case 1: return from + n - 1 - rnd_below(r, MIN(n, 16));
    case 2: case 3: case 4: return from + rnd_below(r, MIN(n, 512));
    default: return from + rnd_below(r, n);
    }
}

static void insert(GByteArray *d, size_t at, const uint8_t *p, size_t n)
{
    size_t tail = d->len - at;

    g_byte_array_set_size(d, d->len + n);
    memmove(d->data + at + n, d->data + at, tail);
    memcpy(d->data + at, p, n);
}

/* A big-endian number becomes a little larger or smaller. */
static void count(Rig *r, uint8_t *p, size_t n)
{
    int step = (int)rnd_below(r, 33) - 16;

    for (size_t i = n; i-- && step;) {
        step += p[i];
        p[i] = step;
        step >>= 8;
    }
}

static void mutate(Rig *r, GByteArray *d, size_t from)
{
    static const uint8_t odd[] = { 0, 1, 5, 0x7e, 0x7f, 0x80, 0xff };
    size_t at = place(r, d, from), n = 1 + rnd_below(r, 16), width = 1u << rnd_below(r, 4);
    uint8_t some[16];

    n = MIN(n, d->len - at);
    for (unsigned i = 0; i < sizeof some; i++) {
        some[i] = rnd(r);
    }
    switch (rnd_below(r, 16)) {
    case 0: case 10: case 11: d->data[at] ^= 1 << rnd_below(r, 8); break;
    case 1: case 12: case 13: d->data[at] = odd[rnd_below(r, sizeof odd)]; break;
    case 2: memset(d->data + at, rnd_below(r, 2) ? 0xff : 0, n); break;
    case 3: memcpy(d->data + at, some, n); break;
    case 4: g_byte_array_remove_range(d, at, n); break;
    case 5: memmove(d->data + at, d->data + rnd_below(r, d->len - n + 1), n); break;
    case 6: insert(d, at, some, n); break;
    case 7: case 8: case 14: case 15: count(r, d->data + at, MIN(n, width)); break;
    case 9:
        if (rnd_below(r, 4) == 0) {
            g_byte_array_set_size(d, at + 1);
        }
        break;
    }
}

typedef struct Changes { unsigned bytes, victim[3], drop, twice, from, to; } Changes;

/* In a fifth of all cases pieces are left out, come twice or change places; in the others always, and there sometimes, bytes change. */
static Changes choose(Rig *r, unsigned pieces)
{
    Changes c = { 0, { 0 }, pieces, pieces, pieces, pieces };

    c.bytes = rnd_below(r, 5) ? 1 + rnd_below(r, 3) / (1 + rnd_below(r, 2)) : rnd_below(r, 2);
    for (unsigned i = 0; i < 3; i++) {
        c.victim[i] = rnd_below(r, pieces);
    }
    if (rnd_below(r, 5) == 0) {
        switch (rnd_below(r, 3)) {
        case 0: c.drop = rnd_below(r, pieces); break;
        case 1: c.twice = rnd_below(r, pieces); break;
        case 2:
            c.from = rnd_below(r, pieces);
            c.to = rnd_below(r, pieces);
            break;
        }
    }
    return c;
}

static void put_piece(Rig *r, const Changes *c, const GPtrArray *from, unsigned i, GByteArray *out)
{
    const GByteArray *p = g_ptr_array_index(from, i == c->from ? c->to : i == c->to ? c->from : i);
    size_t at = out->len;

    for (unsigned n = i == c->drop ? 0 : i == c->twice ? 2 : 1; n; n--) {
        g_byte_array_append(out, p->data, p->len);
    }
    for (unsigned k = 0; k < c->bytes; k++) {
        if (c->victim[k] == i && out->len > at) {
            mutate(r, out, at);
        }
    }
}

static void put_package(GByteArray *out, size_t from, size_t len)
{
    uint8_t head[9] = { MIG_COMMAND, 0, CMD_PACKAGED, 0, 4, len >> 24, len >> 16, len >> 8, len };

    insert(out, from, head, sizeof head);
}

static const Changes none = { 0, { 0 }, UINT_MAX, UINT_MAX, UINT_MAX, UINT_MAX };

/* The recipe's stream; with r: mutated. */
static GByteArray *build(Rig *r, const Recipe *c)
{
    Changes ch = r ? choose(r, c->pieces->len) : none;
    GByteArray *out = g_byte_array_set_size(run.stream, 0);
    size_t from = 0;

    for (unsigned i = 0; i < c->pieces->len; i++) {
        if (i == c->pack) {
            from = out->len;
        }
        if (i == c->unpack && c->pack < c->unpack) {
            put_package(out, from, out->len - from + (r && !rnd_below(r, 30) ? rnd_below(r, 9) - 4 : 0));
        }
        put_piece(r, &ch, c->pieces, i, out);
    }
    return out;
}

/* What comes over the channels, or the next connection: no more than n of them. */
static void build_second(Rig *r, const Recipe *c, unsigned n)
{
    Changes ch = r && n ? choose(r, c->second->len) : none;

    run.seconds = n;
    for (unsigned k = 0; k < n; k++) {
        g_byte_array_set_size(run.second[k], 0);
        for (unsigned i = k * c->second->len / n; i < (k + 1) * c->second->len / n; i++) {
            put_piece(r, &ch, c->second, i, run.second[k]);
        }
    }
}

/* ---- Loading ---- */

static void *read_rest(void *opaque)
{
    MigStream *next = NULL;
    bool broken;

    run.rest_ok = load_rest(run.rest, &broken, &run.rest_err);
    if (!run.rest_ok && broken && run.seconds && run.rest_err) {
        g_clear_error(&run.rest_err);
        postcopy_lost(run.post);
        next = memory_stream(run.second[0]);
        load_rest_from(run.rest, next);
        postcopy_found(run.post, stream_channel(next));
        run.rest_ok = load_rest(run.rest, &broken, &run.rest_err);
    }
    postcopy_lost(run.post);
    postcopy_all_here(run.post);
    stream_free(next);
    return NULL;
}

static void on_listen(Load *rest, PostcopyLoad *p)
{
    run.rest = rest;
    run.post = p;
    run.thread = g_thread_new("postcopy/listen", read_rest, NULL);
}

static void on_resumed(void)
{
}

static bool load(MigStream *s, LoadResult *res, GError **err)
{
    bool ok;

    res->listen = on_listen;
    res->resumed = on_resumed;
    machine_unlock();
    ok = load_stream(s, run.rig->machine, res, err);
    if (run.thread) {
        g_thread_join(run.thread);
    }
    machine_lock();
    if (res->postcopy) {
        load_free(run.rest);
        if (ok && !run.rest_ok) {
            ok = false;
            g_propagate_error(err, g_steal_pointer(&run.rest_err));
        }
    }
    g_clear_error(&run.rest_err);
    run.thread = NULL;
    run.rest = NULL;
    ram_lazy_drop();
    stream_free(s);
    return ok;
}

static int connect_channel(GByteArray *d)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || connect(fd, (struct sockaddr *)&run.addr, run.addr_len) < 0 ||
        (d->len && send(fd, d->data, d->len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)) {
        printf("not ok - streams: a socket: %s\n", g_strerror(errno));
        exit(1);
    }
    shutdown(fd, SHUT_WR);
    return fd;
}

/* The main stream's socket is only looked at: its first bytes, of which some may be missing. */
static bool load_multi(Rig *r, GByteArray *d, int method, GError **err)
{
    size_t n = MIN(d->len, r && !rnd_below(r, 10) ? rnd_below(r, 4) : 4);
    int pair[2], fds[CHANNELS];
    LoadResult res = { 0 };
    bool ok;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0 || send(pair[1], d->data, n, 0) < 0) {
        return false;
    }
    for (unsigned i = 0; i < CHANNELS; i++) {
        fds[i] = connect_channel(run.second[i]);
    }
    if (n < 4) {
        shutdown(pair[1], SHUT_WR);
    }
    machine_unlock();
    res.multi = multi_recv_new(run.listening, pair[0], CHANNELS, method, run.rig->machine->cfg->uuid, err);
    machine_lock();
    ok = res.multi && load(memory_stream(d), &res, err);
    for (unsigned i = 0; i < CHANNELS; i++) {
        close(fds[i]);
    }
    close(pair[0]);
    close(pair[1]);
    return ok;
}

static bool load_lazily(GByteArray *d, GError **err)
{
    g_autofree char *uri = g_strdup_printf("file:/proc/self/fd/%d,lazy=on", run.file);
    Channel *c = NULL;
    MigUri u = { 0 };

    if (ftruncate(run.file, 0) < 0 || pwrite(run.file, d->data, d->len, 0) != (ssize_t)d->len) {
        return false;
    }
    if (uri_parse(&u, uri, true, err)) {
        c = channel_open_incoming(&u, -1, err);
        uri_clear(&u);
    }
    return c && load(stream_new(c), &(LoadResult){ 0 }, err);
}

static bool load_kind(Rig *r, Kind k, GByteArray *d, GError **err)
{
    bool ok;

    migration_set_cap("validate-uuid", k == UUID, NULL);
    migration_set_cap("postcopy-ram", k == POSTCOPY || k == RECOVERY, NULL);
    if (k >= MULTI && k <= ZSTD) {
        ok = load_multi(r, d, k - MULTI, err);
    } else if (k == LAZY || k == INDEX) {
        ok = load_lazily(d, err);
    } else {
        ok = load(memory_stream(d), &(LoadResult){ 0 }, err);
    }
    return ok;
}

/* One case; r: NULL: as it was saved. */
static bool one(Rig *r, Kind k, GError **err)
{
    GByteArray *d = build(r, &recipes[k]);

    build_second(r, &recipes[k], !recipes[k].second ? 0 : k == RECOVERY ? 1 : CHANNELS);
    if (run.keep) {
        g_file_set_contents(run.keep, (char *)d->data, d->len, NULL);
    }
    return load_kind(r, k, d, err);
}

/* ---- */

static void on_signal(int sig)
{
    char text[128];
    int n = snprintf(text, sizeof text, "not ok - streams: signal %d%s\n", sig, sig == SIGALRM ? ": it hangs" : "");

    if (write(1, text, n) < 0) {
        _exit(2);
    }
    _exit(1);
}

static void traffic(Rig *r)
{
    for (unsigned i = 0; i < TRAFFIC; i++) {
        Op op = { .kind = OP_PIO, .size = 1u << rnd_below(r, 3), .addr = rnd_below(r, 0x700), .write = rnd_below(r, 3) == 0 };

        op.value = rnd_value(r);
        rig_do(r, &op);
    }
    rig_do(r, &(Op){ .kind = OP_CLOCK, .value = rnd_below(r, 2000000) });
}

static bool unchanged(void)
{
    for (Kind k = 0; k < KINDS; k++) {
        g_autoptr(GError) err = NULL;
        bool ok = one(NULL, k, &err);

        printf("%sok %u - %s: as it was saved it loads\n", ok ? "" : "not ", 1 + k, kinds[k].name);
        if (!ok) {
            printf("# %s\n", err ? err->message : "?");
            return false;
        }
    }
    return true;
}

static Kind choose_kind(Rig *r, unsigned i)
{
    unsigned n = rnd_below(r, 64);
    Kind k = 0;

    if (i % WHOLE_EVERY == WHOLE_EVERY - 1) {
        return WHOLE;
    }
    while (n >= kinds[k].weight) {
        n -= kinds[k++].weight;
    }
    return k;
}

static bool fuzz(uint64_t seed, unsigned first, unsigned count, int only)
{
    for (unsigned i = first; i < first + count; i++) {
        g_autoptr(GError) err = NULL;
        Rig *r = run.rig;
        Kind k;

        rnd_seed(r, seed << 32 | i);
        k = choose_kind(r, i);
        k = only >= 0 ? (Kind)only : k;
        alarm(LIMIT);
        if (one(r, k, &err)) {
            recipes[k].loaded++;
        } else if (err && *err->message) {
            recipes[k].refused++;
        } else {
            printf("not ok %u - seed %" PRIu64 ", case %u (%s): refused without a word\n", KINDS + 1, seed, i, kinds[k].name);
            return false;
        }
        traffic(r);
        if (i % RESET_EVERY == 0) {
            rig_reset(r);
        }
        if (i % 10000 == 9999) {
            printf("# %u\n", i + 1);
            fflush(stdout);
        }
    }
    for (Kind k = 0; k < KINDS; k++) {
        printf("# %s: %u loaded, %u refused\n", kinds[k].name, recipes[k].loaded, recipes[k].refused);
    }
    printf("ok %u - %u mutated streams\n", KINDS + 1, count);
    return true;
}

static int find_kind(const char *name)
{
    for (int k = 0; k < KINDS; k++) {
        if (!strcmp(kinds[k].name, name)) {
            return k;
        }
    }
    fprintf(stderr, "streams: there is no kind '%s'\n", name);
    exit(2);
}

static void set_up(void)
{
    run.listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    run.file = memfd_create("stream", MFD_CLOEXEC);
    run.addr.sun_family = AF_UNIX;
    run.addr_len = sizeof(sa_family_t);     /* the kernel chooses a name */
    if (bind(run.listening, (struct sockaddr *)&run.addr, run.addr_len) < 0 || listen(run.listening, 8) < 0) {
        perror("streams: socket");
        exit(1);
    }
    run.addr_len = sizeof run.addr;
    getsockname(run.listening, (struct sockaddr *)&run.addr, &run.addr_len);
    recipes_make(rig_new_of(0, true));
    run.rig = rig_new_of(1, true);
    run.stream = g_byte_array_sized_new(4 << 20);
    for (unsigned i = 0; i < CHANNELS; i++) {
        run.second[i] = g_byte_array_sized_new(1 << 16);
    }
}

int main(int argc, char **argv)
{
    unsigned count = 2000, first = 0;
    uint64_t seed = 1;
    int only = -1;
    bool ok;

    for (int i = 1; i + 1 < argc; i += 2) {
        count = strcmp(argv[i], "--count") ? count : (unsigned)atoi(argv[i + 1]);
        first = strcmp(argv[i], "--first") ? first : (unsigned)atoi(argv[i + 1]);
        seed = strcmp(argv[i], "--seed") ? seed : strtoull(argv[i + 1], NULL, 0);
        run.keep = strcmp(argv[i], "--keep") ? run.keep : argv[i + 1];
        only = strcmp(argv[i], "--kind") ? only : find_kind(argv[i + 1]);
    }
    signal(SIGALRM, on_signal);
    signal(SIGABRT, on_signal);
    signal(SIGPIPE, SIG_IGN);
    set_up();
    ok = unchanged() && fuzz(seed, first, count, only);
    printf("1..%u\n", KINDS + 1);
    fflush(stdout);
    rig_cleanup();
    _exit(!ok);
}
