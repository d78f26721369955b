/*
 * Mutated migration streams at the loader, in this process, without a CPU (-accel qtest).
 *
 * A machine's stream is saved; then, over and over, a few of its bytes are changed, cut out, doubled or moved, and it is
 * loaded into another machine made from the same command line. Success or an error with a text: nothing else. Between
 * loads the target gets random traffic at its devices, so that what a bad value leaves behind is used.
 *
 * usage: streams [--count N] [--seed N] [--keep FILE]     (2000; FILE gets each stream before it is loaded)
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "migration/savevm.h"
#include "tests/fuzz/librig.h"
#include "util/loop.h"

enum { SECONDS = 900, TRAFFIC = 20, RESET_EVERY = 50 };

/* ---- A channel in memory ---- */

typedef struct Memory { Channel ch; GByteArray *data; size_t at; } Memory;

static int mem_out(Channel *c, struct iovec *iov, int n)
{
    for (int i = 0; i < n; i++) {
        g_byte_array_append(((Memory *)c)->data, iov[i].iov_base, iov[i].iov_len);
    }
    return 0;
}

static ssize_t mem_in(Channel *c, void *buf, size_t n)
{
    Memory *m = (Memory *)c;

    n = MIN(n, m->data->len - m->at);
    memcpy(buf, m->data->data + m->at, n);
    m->at += n;
    return n;
}

static void mem_free(Channel *c)
{
}

static const ChannelOps ops = { .write = mem_out, .read = mem_in, .free = mem_free };

static GByteArray *save(Machine *m)
{
    Memory mem = { { &ops }, g_byte_array_new(), 0 };
    MigStream *s = stream_new(&mem.ch);
    RamSave *r = ram_save_new(m, false);

    save_header(s, m);
    ram_save_setup(r, s);
    ram_save_send(r, s, UINT64_MAX, true);
    ram_save_free(r);
    save_devices(s, m, RUN_RUNNING);
    stream_flush(s);
    stream_free(s);
    return mem.data;
}

static bool load(Machine *m, GByteArray *data, GError **err)
{
    Memory mem = { { &ops }, data, 0 };
    MigStream *s = stream_new(&mem.ch);
    LoadResult res = { 0 };
    bool ok;

    machine_unlock();
    ok = load_stream(s, m, &res, err);
    machine_lock();
    stream_free(s);
    return ok;
}

/* ---- Mutations ---- */

/* Where a change is likely to matter: the pages' contents are long and mean nothing. */
static size_t place(Rig *r, const GByteArray *d, size_t devices)
{
    switch (rnd_below(r, 8)) {
    case 0: return rnd_below(r, MIN(d->len, 512));
    case 1: return rnd_below(r, d->len);
    default: return devices < d->len ? devices + rnd_below(r, d->len - devices) : rnd_below(r, d->len);
    }
}

static void mutate(Rig *r, GByteArray *d, size_t devices)
{
    static const uint8_t odd[] = { 0, 1, 5, 0x7e, 0x7f, 0x80, 0xff };
    size_t at = place(r, d, devices), n = 1 + rnd_below(r, 16);

    n = MIN(n, d->len - at);
    switch (rnd_below(r, 7)) {
    case 0: d->data[at] ^= 1 << rnd_below(r, 8); break;
    case 1: d->data[at] = odd[rnd_below(r, sizeof odd)]; break;
    case 2: memset(d->data + at, rnd_below(r, 2) ? 0xff : 0, n); break;
    case 3:
        for (size_t i = 0; i < n; i++) {
            d->data[at + i] = rnd(r);
        }
        break;
    case 4: g_byte_array_remove_range(d, at, n); break;
    case 5: memmove(d->data + at, d->data + place(r, d, devices) / 2, n); break;
    case 6:
        if (rnd_below(r, 4) == 0) {
            g_byte_array_set_size(d, at + 1);
        }
        break;
    }
}

/* The device sections begin behind the RAM's end. */
static size_t find_devices(const GByteArray *d)
{
    for (size_t i = 0; i + 12 < d->len; i++) {
        if (!memcmp(d->data + i, "\4\0\0\0\3\5timer", 11)) {
            return i;
        }
    }
    return 0;
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

static bool fuzz(Rig *target, const GByteArray *good, unsigned count, const char *keep)
{
    size_t devices = find_devices(good);
    unsigned loaded = 0;

    for (unsigned i = 0; i < count; i++) {
        g_autoptr(GByteArray) d = g_byte_array_new();
        g_autoptr(GError) err = NULL;

        g_byte_array_append(d, good->data, good->len);
        for (unsigned n = 1 + rnd_below(target, 3); n && d->len > 16; n--) {
            mutate(target, d, devices);
        }
        if (keep) {
            g_file_set_contents(keep, (char *)d->data, d->len, NULL);
        }
        alarm(60);
        if (load(target->machine, d, &err)) {
            loaded++;
        } else if (!err || !*err->message) {
            printf("not ok 2 - mutation %u: refused without a word\n", i);
            return false;
        }
        traffic(target);
        if (i % RESET_EVERY == 0) {
            rig_reset(target);
        }
    }
    printf("ok 2 - %u mutated streams: %u loaded, %u refused\n", count, loaded, count - loaded);
    return true;
}

int main(int argc, char **argv)
{
    unsigned count = 2000;
    uint64_t seed = 1;
    const char *keep = NULL;
    g_autoptr(GError) err = NULL;
    g_autoptr(GByteArray) good = NULL;
    Rig *from, *to;
    bool ok;

    for (int i = 1; i + 1 < argc; i += 2) {
        count = strcmp(argv[i], "--count") ? count : (unsigned)atoi(argv[i + 1]);
        seed = strcmp(argv[i], "--seed") ? seed : strtoull(argv[i + 1], NULL, 0);
        keep = strcmp(argv[i], "--keep") ? keep : argv[i + 1];
    }
    signal(SIGALRM, on_signal);
    signal(SIGABRT, on_signal);
    from = rig_new(0);
    to = rig_new(1);
    rnd_seed(to, seed);
    good = save(from->machine);
    ok = load(to->machine, good, &err);
    printf("%sok 1 - a stream as it was saved loads\n%s%s%s", ok ? "" : "not ", ok ? "" : "# ", ok ? "" : err->message, ok ? "" : "\n");
    ok = fuzz(to, good, count, keep) && ok;
    printf("1..2\n");
    fflush(stdout);
    rig_cleanup();
    _exit(!ok);
}
