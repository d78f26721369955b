/*
 * vmemu-img rebase: another backing file.  What would read differently over the new one is copied into the image
 * first (unless -u promises that nothing would); the header changes last, in one write.
 */
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

typedef struct Rebase {
    const char *name, *fmt, *base, *base_fmt, *cache, *src_cache;
    bool image_opts, share, unsafe, progress;
    BlockBackend *b, *fresh;
    BlockNode *old, *now, *same;        /* same: a layer that both chains have */
    uint8_t *was, *will;
    int ret;
} Rebase;

/* The layer's contents; zeroes behind its end. */
static int read_layer(BlockNode *n, int64_t offset, int64_t bytes, uint8_t *buf)
{
    NodeLink l = { .node = n, .perm = PERM_READ };
    int64_t len = n ? node_length(n) : 0, there = CLAMP(len - offset, 0, bytes);

    memset(buf + there, 0, bytes - there);
    return there ? node_co_pread(&l, offset, buf, there) : 0;
}

/* Keeps what differs. Runs of sectors, so that no more than needed is allocated. */
static int keep(Rebase *r, int64_t offset, int64_t bytes)
{
    int64_t i = 0, start;
    int ret = 0;

    while (i < bytes && ret == 0) {
        while (i < bytes && !memcmp(r->was + i, r->will + i, MIN(BLK_SECTOR_SIZE, bytes - i)))
            i += BLK_SECTOR_SIZE;
        start = i;
        while (i < bytes && memcmp(r->was + i, r->will + i, MIN(BLK_SECTOR_SIZE, bytes - i)))
            i += BLK_SECTOR_SIZE;
        i = MIN(i, bytes);
        if (i <= start)
            continue;
        if (buf_is_zero(r->was + start, i - start))
            ret = node_co_zero(blk_root(r->b), offset + start, i - start, BLK_EXPLICIT);
        else
            ret = node_co_pwrite(blk_root(r->b), offset + start, r->was + start, i - start);
        if (ret < 0)
            error_report("Error while writing to COW image: %s", g_strerror(-ret));
    }
    return ret;
}

static int piece(Rebase *r, int64_t offset, int64_t *bytes)
{
    BlockNode *n = node_skip_filters(blk_node(r->b));
    int64_t pnum = *bytes;
    int ret = node_co_status(n, offset, *bytes, &pnum, NULL, NULL);

    if (ret < 0) {
        error_report("error while reading image metadata: %s", g_strerror(-ret));
        return ret;
    }
    *bytes = pnum;
    if (ret & (STATUS_DATA | STATUS_ALLOCATED))
        return 0;
    if (r->same) {
        ret = node_co_allocated_above(r->old, r->same, false, offset, *bytes, &pnum);
        if (ret < 0) {
            error_report("error while reading image metadata: %s", g_strerror(-ret));
            return ret;
        }
        *bytes = pnum;
        if (!ret)
            return 0;
    }
    ret = read_layer(r->old, offset, *bytes, r->was);
    if (ret < 0) {
        error_report("error while reading from old backing file");
        return ret;
    }
    ret = read_layer(r->now, offset, *bytes, r->will);
    if (ret < 0) {
        error_report("error while reading from new backing file");
        return ret;
    }
    return keep(r, offset, *bytes);
}

static void copy_co(void *opaque)
{
    Rebase *r = opaque;
    int64_t size = blk_length(r->b), offset = 0, n;
    float step = size ? 100.0f / ((size + BUFFER - 1) / BUFFER) : 0;

    r->was = block_memalign(BUFFER);
    r->will = block_memalign(BUFFER);
    for (; offset < size && r->ret == 0; offset += n) {
        if (offset % BUFFER == 0)
            img_progress(step, 100);
        n = MIN(BUFFER - offset % BUFFER, size - offset);
        r->ret = piece(r, offset, &n);
    }
    if (r->ret == 0)                    /* the copies, before the header lets go of the old file */
        r->ret = node_co_flush(blk_node(r->b));
    free(r->was);
    free(r->will);
}

static bool change_co_done(Rebase *r, GError *e)
{
    if (r->ret == -ENOSPC)
        error_report("Could not change the backing file to '%s': No space left in the file header", r->base);
    else if (r->ret == -EINVAL && *r->base && !r->base_fmt)
        error_report("Could not change the backing file to '%s': backing format must be specified", r->base);
    else if (r->ret < 0)
        error_report("Could not change the backing file to '%s': %s", r->base, e ? e->message : g_strerror(-r->ret));
    g_clear_error(&e);
    return r->ret == 0;
}

static void change_co(void *opaque)
{
    Rebase *r = opaque;
    BlockNode *n = node_skip_filters(blk_node(r->b));
    bool some = r->base && *r->base;
    GError *e = NULL;

    if (some && !r->base_fmt)
        r->ret = -EINVAL;
    else if (!n->drv->set_backing)
        r->ret = -ENOTSUP;
    else if (!n->drv->set_backing(n, some ? r->base : NULL, some ? r->base_fmt : NULL, &e))
        r->ret = -EIO;
    if (!r->base)
        r->base = "(null)";
    change_co_done(r, e);
}

/* A layer of the image's own chain with that path. */
static BlockNode *in_chain(BlockNode *n, const char *path)
{
    for (n = node_backing(n); n; n = node_backing(n))
        if (*n->exact_filename && !strcmp(n->exact_filename, path))
            return n;
    return NULL;
}

static bool open_new(Rebase *r, unsigned flags, bool wt)
{
    BlockNode *n = node_skip_filters(blk_node(r->b));
    g_autofree char *path = NULL;
    json_t *opts;
    GError *e = NULL;

    r->old = node_backing(n);
    if (!*r->base)
        return true;
    path = backing_path(n->exact_filename[0] ? n->exact_filename : n->filename, r->base, &e);
    if (!path) {
        error_report_err(e);
        return false;
    }
    r->same = r->now = in_chain(n, path);
    if (r->now)
        return true;
    opts = json_object();
    if (r->base_fmt)
        jopts_set(opts, "driver", r->base_fmt);
    r->fresh = blk_open(path, opts, flags | (r->share ? OPEN_FORCE_SHARE : 0), &e);
    if (!r->fresh) {
        error_report("Could not open new backing file '%s': %s", r->base, e->message);
        g_error_free(e);
        return false;
    }
    r->now = blk_node(r->fresh);
    return true;
}

static int run(Rebase *r)
{
    unsigned flags = OPEN_RDWR | OPEN_UNMAP | (r->unsafe ? OPEN_NO_BACKING : 0), src_flags = 0;
    bool wt, src_wt;

    if (!img_cache_flags(r->cache, &flags, &wt)) {
        error_report("Invalid cache option: %s", r->cache);
        return 1;
    }
    if (!img_cache_flags(r->src_cache, &src_flags, &src_wt)) {
        error_report("Invalid source cache option: %s", r->src_cache);
        return 1;
    }
    r->b = img_open(r->image_opts, r->name, r->fmt, flags, wt, false);
    if (!r->b)
        return 1;
    if (r->base_fmt && !driver_find(r->base_fmt)) {
        error_report("Invalid format name: '%s'", r->base_fmt);
        return 1;
    }
    if (!r->unsafe && !open_new(r, src_flags, src_wt))
        return 1;
    if (!r->unsafe)
        aio_run_sync(copy_co, r);
    if (r->ret == 0)
        aio_run_sync(change_co, r);
    if (r->ret == 0)
        img_progress(100, 0);
    return r->ret < 0;
}

int img_rebase(int argc, char **argv)
{
    static const struct option longs[] = { IMG_COMMON_LONG, { "force-share", no_argument, 0, 'U' }, { 0 } };
    Rebase r = { .cache = "writeback", .src_cache = "writeback" };
    bool quiet = false;
    int c, ret;

    while ((c = getopt_long(argc, argv, ":hf:F:b:upt:T:qU", longs, NULL)) != -1) {
        switch (c) {
        case ':': case '?': img_bad_option(c, argv);
        case 'h': img_help();
        case 'f': r.fmt = optarg; break;
        case 'F': r.base_fmt = optarg; break;
        case 'b': r.base = optarg; break;
        case 'u': r.unsafe = true; break;
        case 'p': r.progress = true; break;
        case 't': r.cache = optarg; break;
        case 'T': r.src_cache = optarg; break;
        case 'q': quiet = true; break;
        case 'U': r.share = true; break;
        case OPT_IMAGE_OPTS: r.image_opts = true; break;
        case OPT_OBJECT: return img_no_object();
        }
    }
    if (optind != argc - 1)
        img_usage_error("Expecting one image file name");
    if (!r.unsafe && !r.base)
        img_usage_error("Must specify backing file (-b) or use unsafe mode (-u)");
    r.name = argv[optind];
    img_progress_start(r.progress && !quiet);
    img_progress(0, 100);
    ret = run(&r);
    img_progress_end();
    if (r.fresh)
        blk_unref(r.fresh);
    if (r.b)
        blk_unref(r.b);
    return ret;
}
