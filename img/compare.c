/* vmemu-img compare: whether two images hold the same. Exit status 0: yes, 1: no, 2 and more: an error. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "block/aio.h"
#include "img/img.h"
#include "util/error.h"

#define BUFFER (2 * 1024 * 1024)
enum { SAME = 0, DIFFERENT = 1, CANNOT_OPEN = 2, CANNOT_MAP = 3, CANNOT_READ = 4 };

typedef struct Side { const char *name, *fmt; BlockBackend *b; int64_t size; uint8_t *buf; } Side;
typedef struct Compare {
    Side side[2];
    bool strict, quiet;
    int ret;
} Compare;

static int differ(const Compare *c, const char *fmt, int64_t offset)
{
    if (!c->quiet)
        printf(fmt, offset);
    return DIFFERENT;
}

static int read_side(Side *s, int64_t offset, int64_t bytes)
{
    int ret = node_co_pread(blk_root(s->b), offset, s->buf, bytes);

    if (ret < 0)
        error_report("Error while reading offset %" PRId64 " of %s: %s", offset, s->name, g_strerror(-ret));
    return ret < 0 ? CANNOT_READ : 0;
}

/* What the other image has not got must be zeroes. */
static int must_be_zero(Compare *c, Side *s, int64_t offset, int64_t bytes)
{
    int ret = read_side(s, offset, bytes);

    for (int64_t i = 0; ret == 0 && i < bytes; i += BLK_SECTOR_SIZE)
        if (!buf_is_zero(s->buf + i, MIN(BLK_SECTOR_SIZE, bytes - i)))
            ret = differ(c, "Content mismatch at offset %" PRId64 "!\n", offset + i);
    return ret;
}

static int must_be_same(Compare *c, int64_t offset, int64_t bytes)
{
    int ret = read_side(&c->side[0], offset, bytes);

    if (ret == 0)
        ret = read_side(&c->side[1], offset, bytes);
    if (ret || !memcmp(c->side[0].buf, c->side[1].buf, bytes))
        return ret;
    for (int64_t i = 0;; i += BLK_SECTOR_SIZE)
        if (memcmp(c->side[0].buf + i, c->side[1].buf + i, MIN(BLK_SECTOR_SIZE, bytes - i)))
            return differ(c, "Content mismatch at offset %" PRId64 "!\n", offset + i);
}

static int status_of(Side *s, int64_t offset, int64_t bytes, int64_t *pnum)
{
    int ret = node_co_status_above(blk_node(s->b), NULL, offset, bytes, pnum, NULL, NULL, NULL);

    if (ret < 0)
        error_report("Sector allocation test failed for %s", s->name);
    return ret;
}

static int compare_at(Compare *c, int64_t offset, int64_t end, int64_t *chunk)
{
    const int shown = STATUS_DATA | STATUS_ZERO | STATUS_ALLOCATED | STATUS_COMPRESSED;
    int64_t n[2];
    int s[2];

    for (int i = 0; i < 2; i++) {
        s[i] = status_of(&c->side[i], offset, c->side[i].size - offset, &n[i]);
        if (s[i] < 0)
            return CANNOT_MAP;
    }
    *chunk = MIN(MIN(n[0], n[1]), end - offset);
    if (c->strict && (s[0] ^ s[1]) & shown)
        return differ(c, "Strict mode: Offset %" PRId64 " block status mismatch!\n", offset);
    if ((s[0] & STATUS_ZERO) && (s[1] & STATUS_ZERO))
        return SAME;
    if (!((s[0] | s[1]) & STATUS_ALLOCATED))
        return SAME;
    *chunk = MIN(*chunk, BUFFER);
    if ((s[0] ^ s[1]) & STATUS_ALLOCATED)
        return must_be_zero(c, &c->side[!(s[0] & STATUS_ALLOCATED)], offset, *chunk);
    return must_be_same(c, offset, *chunk);
}

/* The part that only the longer image has. */
static int compare_rest(Compare *c, Side *s, int64_t offset)
{
    int ret = 0;

    if (!c->quiet)
        printf("Warning: Image size mismatch!\n");
    while (offset < s->size && ret == 0) {
        int64_t n;
        int status = status_of(s, offset, s->size - offset, &n);

        if (status < 0)
            return CANNOT_MAP;
        if (status & STATUS_ALLOCATED && !(status & STATUS_ZERO)) {
            n = MIN(n, BUFFER);
            ret = must_be_zero(c, s, offset, n);
        }
        offset += n;
        img_progress(n * 100.0 / s->size, 100);
    }
    return ret;
}

static void compare_co(void *opaque)
{
    Compare *c = opaque;
    int64_t a = c->side[0].size, b = c->side[1].size, end = MIN(a, b), offset = 0, n = 0;

    if (c->strict && a != b) {
        c->ret = differ(c, "Strict mode: Image size mismatch!\n", 0);
        return;
    }
    while (offset < end && c->ret == 0) {
        c->ret = compare_at(c, offset, end, &n);
        offset += n;
        if (c->ret == 0)
            img_progress(n * 100.0 / MAX(a, b), 100);
    }
    if (c->ret == 0 && a != b)
        c->ret = compare_rest(c, &c->side[a < b], offset);
    if (c->ret == 0 && !c->quiet)
        printf("Images are identical.\n");
}

static int run(Compare *c, const char *cache, bool image_opts, bool share, bool progress)
{
    unsigned flags = 0;
    bool wt;

    if (!img_cache_flags(cache, &flags, &wt)) {
        error_report("Invalid source cache option: %s", cache);
        return CANNOT_OPEN;
    }
    for (int i = 0; i < 2; i++) {
        Side *s = &c->side[i];

        s->b = img_open(image_opts, s->name, s->fmt, flags, wt, share);
        if (!s->b)
            return CANNOT_OPEN;
        s->size = blk_length(s->b);
        s->buf = block_memalign(BUFFER);
    }
    img_progress_start(progress);
    img_progress(0, 100);
    aio_run_sync(compare_co, c);
    img_progress_end();
    return c->ret;
}

int img_compare(int argc, char **argv)
{
    static const struct option longs[] = { IMG_COMMON_LONG, { "force-share", no_argument, 0, 'U' }, { 0 } };
    const char *cache = "writeback";
    bool share = false, image_opts = false, progress = false;
    Compare c = { 0 };
    int o, ret;

    while ((o = getopt_long(argc, argv, ":hf:F:T:pqsU", longs, NULL)) != -1) {
        switch (o) {
        case ':': case '?': img_bad_option(o, argv);
        case 'h': img_help();
        case 'f': c.side[0].fmt = optarg; break;
        case 'F': c.side[1].fmt = optarg; break;
        case 'T': cache = optarg; break;
        case 'p': progress = true; break;
        case 'q': c.quiet = true; break;
        case 's': c.strict = true; break;
        case 'U': share = true; break;
        case OPT_IMAGE_OPTS: image_opts = true; break;
        case OPT_OBJECT: img_no_object(); return CANNOT_OPEN;
        }
    }
    if (optind != argc - 2)
        img_usage_error("Expecting two image file names");
    c.side[0].name = argv[optind];
    c.side[1].name = argv[optind + 1];
    ret = run(&c, cache, image_opts, share, progress && !c.quiet);
    for (int i = 0; i < 2; i++) {
        free(c.side[i].buf);
        if (c.side[i].b)
            blk_unref(c.side[i].b);
    }
    return ret;
}
