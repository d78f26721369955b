/* vmemu-img bench: how fast requests of one kind go. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include "block/aio.h"
#include "img/img.h"
#include "util/error.h"

typedef struct Bench {
    /* the command line */
    const char *fmt, *cache, *aio;
    int64_t count, depth, offset, bytes, step, flush_interval, pattern;
    bool write, no_drain, image_opts, share;

    BlockBackend *b;
    int64_t length;
    uint8_t *buf;
    struct iovec *iov;                  /* one for each request in flight */
    int64_t left, in_flight, n;
    bool flushing;
} Bench;

static void go_on(Bench *b);

static void request_done(void *opaque, int ret)
{
    Bench *b = opaque;

    if (ret < 0) {
        error_report("Failed request: %s", g_strerror(-ret));
        exit(1);
    }
    b->in_flight--;
    b->left--;
    go_on(b);
}

static void flush_done(void *opaque, int ret)
{
    Bench *b = opaque;

    if (ret < 0) {
        error_report("Failed flush request: %s", g_strerror(-ret));
        exit(1);
    }
    b->flushing = false;
    go_on(b);
}

static void one(Bench *b)
{
    struct iovec *iov = &b->iov[b->n++ % b->depth];
    int64_t at = b->offset;

    b->in_flight++;
    b->offset += b->step;
    if (b->length)
        b->offset %= b->length;
    if (b->write)
        blk_aio_pwritev(b->b, at, iov, 1, 0, request_done, b);
    else
        blk_aio_preadv(b->b, at, iov, 1, 0, request_done, b);
}

static void go_on(Bench *b)
{
    blk_plug();
    while (b->left > b->in_flight && b->in_flight < b->depth && !(b->flushing && !b->no_drain)) {
        if (b->flush_interval && b->n && b->n % b->flush_interval == 0 && !b->flushing) {
            if (!b->no_drain && b->in_flight)
                break;
            b->flushing = true;
            blk_aio_flush(b->b, flush_done, b);
            if (!b->no_drain) {
                b->n = 0;
                break;
            }
        }
        one(b);
    }
    blk_unplug();
}

static int64_t number(const char *what, const char *text, int64_t max)
{
    char *end;
    int64_t v;

    errno = 0;
    v = strtoll(text, &end, 0);
    if (errno || *end || end == text || v < 0 || v > max) {
        error_report("Invalid %s specified", what);
        exit(1);
    }
    return v;
}

static int64_t size(const char *what, const char *text)
{
    int64_t v = img_size(what, text);

    if (v < 0)
        exit(1);
    if (v > INT32_MAX && strcmp(what, "offset")) {
        error_report("Invalid %s specified. Must be between 0 and %d.", what, INT32_MAX);
        exit(1);
    }
    return v;
}

static void take_option(Bench *b, int o)
{
    switch (o) {
    case 'c': b->count = number("request count", optarg, INT32_MAX); break;
    case 'd': b->depth = number("queue depth", optarg, INT32_MAX); break;
    case 'f': b->fmt = optarg; break;
    case 'n': b->aio = "native"; break;
    case 'i':
        if (strcmp(optarg, "threads") && strcmp(optarg, "native") && strcmp(optarg, "io_uring")) {
            error_report("Invalid aio option: %s", optarg);
            exit(1);
        }
        b->aio = optarg;
        break;
    case 'o': b->offset = size("offset", optarg); break;
    case 's': b->bytes = size("buffer size", optarg); break;
    case 'S': b->step = size("step_size", optarg); break;
    case 't': b->cache = optarg; break;
    case 'q': break;                    /* qemu-img prints its lines all the same */
    case 'w': b->write = true; break;
    case 'U': b->share = true; break;
    case OPT_PATTERN: b->pattern = number("pattern byte", optarg, 255); break;
    case OPT_FLUSH_INTERVAL: b->flush_interval = number("flush interval", optarg, INT32_MAX); break;
    case OPT_NO_DRAIN: b->no_drain = true; break;
    case OPT_IMAGE_OPTS: b->image_opts = true; break;
    }
}

static bool check(const Bench *b)
{
    if (!b->write && b->flush_interval)
        error_report("--flush-interval is only available in write tests");
    else if (b->flush_interval && b->flush_interval < b->depth)
        error_report("Flush interval can't be smaller than depth");
    else if (b->depth < 1)
        error_report("Invalid queue depth specified");
    else
        return true;
    return false;
}

static bool open_it(Bench *b, const char *name)
{
    unsigned flags = b->write ? OPEN_RDWR : 0;
    bool wt;

    if (!img_cache_flags(b->cache, &flags, &wt)) {
        error_report("Invalid cache mode");
        return false;
    }
    b->b = img_open_aio(b->image_opts, name, b->fmt, flags, wt, b->share, b->aio);
    if (!b->b)
        return false;
    b->length = blk_length(b->b);
    return true;
}

static void run(Bench *b)
{
    struct timeval t1, t2;
    double secs;

    printf("Sending %" PRId64 " %s requests, %" PRId64 " bytes each, %" PRId64 " in parallel (starting at offset %"
           PRId64 ", step size %" PRId64 ")\n", b->count, b->write ? "write" : "read", b->bytes, b->depth, b->offset, b->step);
    if (b->flush_interval)
        printf("Sending flush every %" PRId64 " requests\n", b->flush_interval);
    b->left = b->count;
    b->buf = block_memalign(MAX(b->bytes, 1) * b->depth);
    memset(b->buf, b->pattern, b->bytes * b->depth);
    b->iov = g_new(struct iovec, b->depth);
    for (int64_t i = 0; i < b->depth; i++)
        b->iov[i] = (struct iovec){ b->buf + i * b->bytes, b->bytes };
    gettimeofday(&t1, NULL);
    go_on(b);
    while (b->left > 0)
        g_main_context_iteration(NULL, TRUE);
    gettimeofday(&t2, NULL);
    secs = t2.tv_sec - t1.tv_sec + (t2.tv_usec - t1.tv_usec) / 1e6;
    printf("Run completed in %3.3f seconds.\n", secs);
    free(b->buf);
    g_free(b->iov);
}

int img_bench(int argc, char **argv)
{
    static const struct option longs[] = { IMG_COMMON_LONG, { "flush-interval", required_argument, 0, OPT_FLUSH_INTERVAL },
        { "pattern", required_argument, 0, OPT_PATTERN }, { "no-drain", no_argument, 0, OPT_NO_DRAIN },
        { "force-share", no_argument, 0, 'U' }, { 0 } };
    Bench b = { .cache = "writeback", .count = 75000, .depth = 64, .bytes = 4096 };
    int o;

    while ((o = getopt_long(argc, argv, ":hc:d:f:ni:o:qs:S:t:wU", longs, NULL)) != -1) {
        if (o == ':' || o == '?')
            img_bad_option(o, argv);
        if (o == 'h')
            img_help();
        take_option(&b, o);
    }
    if (optind != argc - 1)
        img_usage_error("Expecting one image file name");
    if (!check(&b) || !open_it(&b, argv[optind]))
        return 1;
    b.step = b.step ? b.step : b.bytes;
    run(&b);
    blk_unref(b.b);
    return 0;
}
