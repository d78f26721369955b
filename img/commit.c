/*
 * vmemu-img commit: what an image holds goes into the image below it (or further down), then the upper one is emptied.
 * It is emptied only when all of that is on the disk.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "block/aio.h"
#include "img/img.h"
#include "util/error.h"

#define BUFFER (2 * 1024 * 1024)

typedef struct Commit {
    const char *name, *fmt, *cache, *base;
    bool image_opts, quiet, drop, progress;
    int64_t rate;                       /* bytes per second; 0: as fast as it goes */
    BlockBackend *top, *target;
    BlockNode *below;                   /* the target as the chain knows it, for its map */
    uint8_t *buf;
    int ret;
} Commit;

static void wait_rate(const Commit *c, int64_t begun, int64_t copied)
{
    int64_t due = c->rate ? begun + (int64_t)(copied * 1e9 / c->rate) : 0, now = aio_now();

    if (due > now)
        g_usleep((due - now) / 1000);
}

static int grow_target(Commit *c)
{
    int64_t size = blk_length(c->top);
    GError *e = NULL;
    int ret = 0;

    if (blk_length(c->target) < size)
        ret = node_co_truncate(blk_root(c->target), size, false, PREALLOC_OFF, &e);
    if (ret < 0)
        error_report_err(e);
    return ret;
}

static int piece(Commit *c, int64_t offset, int64_t *bytes, int64_t *copied)
{
    BlockNode *n = blk_node(c->top);
    int64_t pnum = *bytes;
    int ret = node_co_allocated_above(n, c->below, false, offset, *bytes, &pnum), status;

    *bytes = MIN(pnum, BUFFER);
    if (ret <= 0) {
        *bytes = pnum;
        return ret;
    }
    status = node_co_status_above(n, NULL, offset, *bytes, &pnum, NULL, NULL, NULL);
    if (status < 0)
        return status;
    *bytes = MIN(*bytes, pnum);
    if (status & STATUS_ZERO)
        return node_co_zero(blk_root(c->target), offset, *bytes, BLK_MAY_UNMAP);
    *copied += *bytes;
    ret = node_co_pread(blk_root(c->top), offset, c->buf, *bytes);
    return ret < 0 ? ret : node_co_pwrite(blk_root(c->target), offset, c->buf, *bytes);
}

static void commit_co(void *opaque)
{
    Commit *c = opaque;
    BlockNode *n = node_skip_filters(blk_node(c->top));
    int64_t size = blk_length(c->top), offset = 0, now, copied = 0, begun = aio_now();

    c->ret = grow_target(c);
    if (c->ret < 0)
        return;
    while (offset < size && c->ret == 0) {
        now = MIN(size - offset, INT64_C(1) << 30);
        c->ret = piece(c, offset, &now, &copied);
        offset += now;
        img_progress(offset * 100.0 / size, 0);
        wait_rate(c, begun, copied);
    }
    if (c->ret == 0)
        c->ret = node_co_flush(blk_node(c->target));
    if (c->ret < 0) {
        error_report("%s", g_strerror(-c->ret));
        return;
    }
    if (c->drop)
        return;
    c->ret = n->drv->co_make_empty ? n->drv->co_make_empty(n) : -ENOTSUP;
    if (c->ret < 0)
        error_report("Could not empty %s: %s", c->name, g_strerror(-c->ret));
}

/* The layer called `base` in the chain: by the name in a header, or by path. */
static BlockNode *find_base(BlockNode *top, const char *base)
{
    for (BlockNode *n = node_skip_filters(top), *next; n && (next = node_backing(n)); n = next) {
        g_autofree char *path = backing_path(top->exact_filename, base, NULL);

        if ((n->backing_file && !strcmp(n->backing_file, base)) || !strcmp(next->exact_filename, base) ||
            (path && !strcmp(next->exact_filename, path)))
            return next;
    }
    return NULL;
}

static bool open_target(Commit *c, bool wt)
{
    GError *e = NULL;

    c->target = blk_new(NULL, PERM_READ | PERM_WRITE | PERM_RESIZE, PERM_ALL);
    blk_enable_write_cache(c->target, !wt);
    if (node_reopen(c->below, true, &e) && blk_insert(c->target, c->below, &e))
        return true;
    error_report_err(e);
    return false;
}

static int run(Commit *c)
{
    unsigned flags = OPEN_RDWR | OPEN_UNMAP;
    BlockNode *n;
    bool wt;

    if (!img_cache_flags(c->cache, &flags, &wt)) {
        error_report("Invalid cache option: %s", c->cache);
        return 1;
    }
    c->top = img_open(c->image_opts, c->name, c->fmt, flags, wt, false);
    if (!c->top)
        return 1;
    n = node_skip_filters(blk_node(c->top));
    img_progress_start(c->progress && !c->quiet);
    img_progress(0, 100);
    if (c->base) {
        c->drop = true;                 /* layers between would read differently */
        c->below = find_base(n, c->base);
        if (!c->below)
            error_report("Did not find '%s' in the backing chain of '%s'", c->base, c->name);
    } else {
        c->below = node_backing(n);
        if (!c->below)
            error_report("Image does not have a backing file");
    }
    if (!c->below || !open_target(c, wt))
        return 1;
    c->buf = block_memalign(BUFFER);
    aio_run_sync(commit_co, c);
    free(c->buf);
    if (c->ret == 0)
        img_progress(100, 0);
    return c->ret < 0;
}

int img_commit(int argc, char **argv)
{
    static const struct option longs[] = { IMG_COMMON_LONG, { 0 } };
    Commit c = { .cache = "writeback" };
    int o, ret;

    while ((o = getopt_long(argc, argv, ":f:ht:b:dpqr:", longs, NULL)) != -1) {
        switch (o) {
        case ':': case '?': img_bad_option(o, argv);
        case 'h': img_help();
        case 'f': c.fmt = optarg; break;
        case 't': c.cache = optarg; break;
        case 'b': c.base = optarg; break;
        case 'd': c.drop = true; break;
        case 'p': c.progress = true; break;
        case 'q': c.quiet = true; break;
        case 'r':
            c.rate = img_size("rate limit", optarg);
            if (c.rate < 0)
                return 1;
            break;
        case OPT_IMAGE_OPTS: c.image_opts = true; break;
        case OPT_OBJECT: return img_no_object();
        }
    }
    if (optind != argc - 1)
        img_usage_error("Expecting one image file name");
    c.name = argv[optind];
    ret = run(&c);
    img_progress_end();
    if (c.target)
        blk_unref(c.target);
    if (c.top)
        blk_unref(c.top);
    if (ret == 0 && !c.quiet)
        printf("Image committed.\n");
    return ret;
}
