/*
 * An NBD server's clients that say anything: sessions of requests, some of whose bytes are changed, cut out or doubled, sent over
 * a socket pair to the server in this process, in pieces of any size; some never take the answers, some hang up at once.
 * After each the server must have let go of the client, and serve a good one.
 *
 * usage: nbd [--count N] [--seed N]     (2000)
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "block/aio.h"
#include "block/nbd-proto.h"
#include "block/nbd-server.h"
#include "block/options.h"

static GRand *rnd;

static uint32_t pick(uint32_t n)
{
    return g_rand_int_range(rnd, 0, n);
}

static void put(GByteArray *s, const void *p, size_t n)
{
    g_byte_array_append(s, p, n);
}

static void put_be(GByteArray *s, uint64_t v, unsigned bytes)
{
    v = GUINT64_TO_BE(v);
    put(s, (uint8_t *)&v + 8 - bytes, bytes);
}

static void put_option(GByteArray *s, uint32_t code, const GByteArray *data)
{
    put_be(s, NBD_OPTS_MAGIC, 8);
    put_be(s, code, 4);
    put_be(s, data->len, 4);
    put(s, data->data, data->len);
}

static void put_name(GByteArray *d, const char *name)
{
    put_be(d, strlen(name), 4);
    put(d, name, strlen(name));
}

/* An option of that code, mostly as it should be. */
static void some_option(GByteArray *s, uint32_t code)
{
    static const char *const names[] = { "disk", "disk", "disk", "", "other" };
    static const char *const queries[] = { "base:allocation", "base:", "qemu:", "qemu:allocation-depth", "qemu:dirty-bitmap:b", "x" };
    GByteArray *d = g_byte_array_new();
    unsigned n = pick(4);

    if (code >= NBD_OPT_INFO && code != NBD_OPT_STRUCTURED_REPLY)
        put_name(d, names[pick(G_N_ELEMENTS(names))]);
    if (code == NBD_OPT_INFO || code == NBD_OPT_GO) {
        put_be(d, n, 2);
        for (unsigned i = 0; i < n; i++)
            put_be(d, pick(5), 2);
    } else if (code >= NBD_OPT_LIST_META_CONTEXT) {
        put_be(d, n, 4);
        for (unsigned i = 0; i < n; i++)
            put_name(d, queries[pick(G_N_ELEMENTS(queries))]);
    }
    put_option(s, code, d);
    g_byte_array_free(d, TRUE);
}

static void some_request(GByteArray *s)
{
    static const uint32_t lengths[] = { 0, 1, 511, 512, 4096, 65536, 1 << 20, 1 << 22 };
    unsigned type = pick(20) ? pick(NBD_CMDS) : pick(65536);
    uint32_t bytes = pick(30) ? lengths[pick(G_N_ELEMENTS(lengths))] : g_rand_int(rnd);

    if (type == NBD_CMD_DISC && pick(4))
        type = NBD_CMD_READ;
    put_be(s, NBD_REQUEST_MAGIC, 4);
    put_be(s, pick(4) ? 0 : pick(32), 2);
    put_be(s, type, 2);
    put_be(s, g_rand_int(rnd), 8);
    put_be(s, pick(30) ? pick(8 << 20) : (uint64_t)g_rand_int(rnd) << 32 | g_rand_int(rnd), 8);
    put_be(s, bytes, 4);
    if (type == NBD_CMD_WRITE && bytes <= 1 << 20) {
        g_autofree uint8_t *data = g_malloc(bytes + 1);

        memset(data, type, bytes);
        put(s, data, bytes);
    }
}

static GByteArray *session(void)
{
    GByteArray *s = g_byte_array_new(), *none = g_byte_array_new();
    unsigned n = pick(12);

    put_be(s, NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES, 4);
    if (pick(4))
        put_option(s, NBD_OPT_STRUCTURED_REPLY, none);
    for (unsigned i = pick(5); i; i--)
        some_option(s, 2 + pick(10));
    if (pick(3))
        some_option(s, NBD_OPT_SET_META_CONTEXT);
    some_option(s, NBD_OPT_GO);
    while (n--)
        some_request(s);
    g_byte_array_free(none, TRUE);
    return s;
}

static void mutate(GByteArray *s)
{
    for (unsigned i = pick(4); i && s->len > 8; i--) {
        unsigned at = pick(s->len), n = 1 + pick(8);

        n = MIN(n, s->len - at);
        switch (pick(4)) {
        case 0: s->data[at] ^= 1u << pick(8); break;
        case 1: memset(s->data + at, pick(2) ? 0xff : pick(256), n); break;
        case 2: g_byte_array_remove_range(s, at, n); break;
        default: {
            g_autofree uint8_t *copy = g_memdup2(s->data + at, n);

            put(s, copy, n);
        }
        }
    }
}

static ssize_t send_some(int fd, const GByteArray *s, unsigned at)
{
    unsigned n = 1 + pick(100000);

    return send(fd, s->data + at, MIN(n, s->len - at), MSG_NOSIGNAL);
}

/* Sends all of it, taking answers if `take`; then hangs up and waits for the server to do so too. */
static void play(const GByteArray *s, bool take)
{
    static uint8_t buf[1 << 16];
    int fd[2];
    unsigned at = 0, idle = 0;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) < 0)
        g_error("socketpair: %s", g_strerror(errno));
    nbd_server_add_client(fd[1]);
    while (nbd_server_clients() && idle < 50) {
        ssize_t n = at < s->len ? send_some(fd[0], s, at) : -1;
        bool any = n > 0;

        at += MAX(n, 0);
        if (take)
            any |= recv(fd[0], buf, sizeof(buf), 0) > 0;
        any |= aio_poll(false);
        idle = any ? 0 : idle + 1;
    }
    close(fd[0]);
    while (nbd_server_clients())
        aio_poll(true);
}

static void good_one(void)
{
    GByteArray *s = g_byte_array_new(), *d = g_byte_array_new();

    put_be(s, NBD_FLAG_FIXED_NEWSTYLE, 4);
    put_name(d, "disk");
    put_be(d, 0, 2);
    put_option(s, NBD_OPT_GO, d);
    put_be(s, NBD_REQUEST_MAGIC, 4);
    put_be(s, NBD_CMD_DISC, 4);
    put(s, (uint8_t[20]){ 0 }, 20);
    play(s, true);
    g_byte_array_free(s, TRUE);
    g_byte_array_free(d, TRUE);
}

static BlockBackend *make_disk(void)
{
    g_autofree char *path = g_strdup("/tmp/fuzz-nbd.XXXXXX");
    json_t *create = json_object(), *opts = json_object();
    NbdExportOptions o = { .name = "disk", .description = "text", .writable = true, .allocation_depth = true, .bytes = -1 };
    BlockBackend *b;

    close(g_mkstemp(path));
    jopts_set(create, "size", "8M");
    if (!image_create(path, "qcow2", create, NULL))
        g_error("can't create %s", path);
    jopts_set(opts, "driver", "qcow2");
    b = blk_open(path, opts, OPEN_RDWR | OPEN_UNMAP, NULL);
    unlink(path);
    if (!b || !nbd_export_add(blk_node(b), &o, NULL))
        g_error("can't export %s", path);
    return b;
}

int main(int argc, char **argv)
{
    unsigned count = 2000, seed = 1;
    BlockBackend *b;

    for (int i = 1; i + 1 < argc; i += 2)
        *(!strcmp(argv[i], "--count") ? &count : &seed) = atoi(argv[i + 1]);
    rnd = g_rand_new_with_seed(seed);
    block_init(NULL);
    b = make_disk();
    for (unsigned i = 0; i < count; i++) {
        GByteArray *s = session();

        if (pick(3))
            mutate(s);
        play(s, pick(5));
        g_byte_array_free(s, TRUE);
        if (i % 100 == 99)
            good_one();
    }
    nbd_server_stop();
    blk_unref(b);
    block_shutdown();
    g_rand_free(rnd);
    printf("ok 1 - nbd: %u sessions, seed %u\n1..1\n", count, seed);
    return 0;
}
