/*
 * vmemu-img convert: copies one or more images into a new one (or an existing one with -n).
 *
 * The source's map says where data are; what is zero there, or turns out to be, is left out of a target that reads as
 * zeroes anyway.  Copy offloading (-C), -m and -W are accepted: they allow things, and force none.
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

typedef struct Convert {
    /* the command line */
    const char *fmt, *out_fmt, *cache, *src_cache, *backing, *backing_fmt, *target;
    char **sources;
    unsigned n_sources;
    json_t *opts;
    bool image_opts, target_image_opts, target_is_zero, share, compress, progress, quiet, no_create;
    int64_t sparse;

    /* open */
    BlockBackend **src, *dst;
    int64_t total, at;
    bool has_zero;                      /* what is not written reads as zeroes */
    bool over_backing;                  /* what the source does not hold itself, the backing file has */
    uint32_t cluster;                   /* of a compressed target */
    uint8_t *buf;
    int ret;
} Convert;

/* ---- copying */

static int put_zeroes(Convert *c, int64_t offset, int64_t bytes)
{
    if (c->has_zero || c->compress)
        return 0;
    return node_co_zero(blk_root(c->dst), offset, bytes, BLK_MAY_UNMAP);
}

static int put_data(Convert *c, int64_t offset, const uint8_t *buf, int64_t bytes)
{
    struct iovec iov;
    IoVec v = iov_one(&iov, buf, bytes);
    unsigned flags = (c->compress ? REQ_WRITE_COMPRESSED : 0) | (blk_write_cache(c->dst) ? 0 : BLK_FUA);

    return node_co_write(blk_root(c->dst), offset, bytes, &v, 0, flags);
}

/* Whole clusters of the target; zero ones are left out. */
static int put_compressed(Convert *c, int64_t offset, const uint8_t *buf, int64_t bytes)
{
    int ret = 0;

    for (int64_t i = 0; i < bytes && ret == 0; i += c->cluster) {
        int64_t now = MIN(c->cluster, bytes - i);

        if (!c->has_zero || !buf_is_zero(buf + i, now))
            ret = put_data(c, offset + i, buf + i, now);
    }
    return ret;
}

/* Data with the zero runs of at least c->sparse bytes left out. */
static int put_sparse(Convert *c, int64_t offset, const uint8_t *buf, int64_t bytes)
{
    int64_t start = 0, i = 0;
    int ret = 0;

    if (!c->sparse)
        return put_data(c, offset, buf, bytes);
    while (i < bytes && ret == 0) {
        /* pieces end where the target's blocks do */
        int64_t piece = MIN(c->sparse - (offset + i) % c->sparse, bytes - i);

        if (!buf_is_zero(buf + i, piece)) {
            i += piece;
            continue;
        }
        if (i > start)
            ret = put_data(c, offset + start, buf + start, i - start);
        start = i;
        while (i < bytes && buf_is_zero(buf + i, piece)) {
            i += piece;
            piece = MIN(c->sparse, bytes - i);
        }
        if (ret == 0)
            ret = put_zeroes(c, offset + start, i - start);
        start = i;
    }
    return ret == 0 && i > start ? put_data(c, offset + start, buf + start, i - start) : ret;
}

static int copy_range(Convert *c, BlockBackend *src, int64_t from, int64_t to, int64_t bytes)
{
    int ret = 0;

    while (bytes && ret == 0) {
        int64_t now = MIN(bytes, BUFFER - (c->compress ? 0 : to % BUFFER % 4096));
        struct iovec iov;
        IoVec v = iov_one(&iov, c->buf, now);

        ret = node_co_read(blk_root(src), from, now, &v, 0, 0);
        if (ret < 0)
            error_report("error while reading at byte %" PRId64 ": %s", from, g_strerror(-ret));
        else if ((ret = c->compress ? put_compressed(c, to, c->buf, now) : put_sparse(c, to, c->buf, now)) < 0)
            error_report("error while writing at byte %" PRId64 ": %s", to, g_strerror(-ret));
        from += now;
        to += now;
        bytes -= now;
        c->at += now;
        img_progress(c->progress, c->total ? c->at * 100.0 / c->total : 100);
    }
    return ret;
}

static int copy_source(Convert *c, BlockBackend *src)
{
    BlockNode *n = blk_node(src);
    BlockNode *base = c->over_backing ? node_backing(n) : NULL;
    int64_t len = blk_length(src), from = 0, start = c->at;
    int ret = 0;

    while (from < len && ret == 0) {
        int64_t pnum = 0, rest = len - from;
        int status = c->sparse || base ? node_co_status_above(n, base, from, rest, &pnum, NULL, NULL, NULL) : STATUS_DATA;

        if (status < 0) {
            error_report("error while reading block status at offset %" PRId64 ": %s", from, g_strerror(-status));
            return status;
        }
        if (pnum <= 0)
            pnum = rest;
        if (c->compress && pnum < rest && (start + from + pnum) % c->cluster) {
            /* clusters are written whole: up to the next boundary, whatever is there */
            pnum = MIN(rest, (start + from + pnum + c->cluster - 1) / c->cluster * c->cluster - start - from);
            status = STATUS_DATA;
        }
        c->at = start + from;
        if (base && !(status & (STATUS_ALLOCATED | STATUS_DATA | STATUS_ZERO)))
            ret = 0;
        else if (status & STATUS_ZERO && c->sparse)
            ret = put_zeroes(c, start + from, pnum);
        else
            ret = copy_range(c, src, from, start + from, pnum);
        from += pnum;
        c->at = start + from;
        img_progress(c->progress, c->total ? c->at * 100.0 / c->total : 100);
    }
    c->at = start + len;
    return ret;
}

static void copy_co(void *opaque)
{
    Convert *c = opaque;

    c->ret = 0;
    for (unsigned i = 0; i < c->n_sources && c->ret == 0; i++)
        c->ret = copy_source(c, c->src[i]);
    if (c->ret == 0) {
        c->ret = node_co_flush(blk_node(c->dst));
        if (c->ret < 0)
            error_report("error while flushing the target: %s", g_strerror(-c->ret));
    }
}

/* ---- opening */

static bool open_sources(Convert *c)
{
    unsigned flags = 0;
    bool wt;

    if (!img_cache_flags(c->src_cache, &flags, &wt)) {
        error_report("Invalid source cache option: %s", c->src_cache);
        return false;
    }
    c->src = g_new0(BlockBackend *, c->n_sources);
    for (unsigned i = 0; i < c->n_sources; i++) {
        c->src[i] = img_open(c->image_opts, c->sources[i], c->fmt, flags, wt, c->share);
        if (!c->src[i])
            return false;
        c->total += blk_length(c->src[i]);
    }
    return true;
}

static bool check_target(Convert *c, const BlockDriver *d)
{
    const char *have = jopts_get(c->opts, "backing_file");

    if (!d) {
        error_report("Unknown file format '%s'", c->out_fmt);
        return false;
    }
    if (c->backing && have) {
        error_report("Cannot use -B together with backing_file");
        return false;
    }
    if (c->backing)
        jopts_set(c->opts, "backing_file", c->backing);
    if (c->backing_fmt)
        jopts_set(c->opts, "backing_fmt", c->backing_fmt);
    c->over_backing = jopts_get(c->opts, "backing_file") != NULL;
    if (c->over_backing && !d->supports_backing) {
        error_report("Backing file not supported for file format '%s'", d->name);
        return false;
    }
    if (c->over_backing && !jopts_get(c->opts, "backing_fmt")) {
        error_report("backing format must be provided");
        return false;
    }
    if (c->over_backing && c->n_sources > 1) {
        error_report("Having a backing file for the target makes no sense when concatenating multiple input images");
        return false;
    }
    if (c->compress && !d->supports_backing) {
        error_report("Compression not supported for this file format");
        return false;
    }
    return true;
}

static bool make_target(Convert *c)
{
    const BlockDriver *d = driver_find(c->out_fmt);
    g_autofree char *size = g_strdup_printf("%" PRId64, c->total);
    GError *e = NULL;

    if (!check_target(c, d))
        return false;
    if (c->no_create)
        return true;
    if (!d->create) {
        error_report("Format driver '%s' does not support image creation", d->name);
        return false;
    }
    jopts_set_default(c->opts, "size", size);
    if (!image_create(c->target, c->out_fmt, json_incref(c->opts), &e)) {
        error_report("%s: error while converting %s: %s", c->target, c->out_fmt, e->message);
        g_error_free(e);
        return false;
    }
    return true;
}

static bool open_target(Convert *c)
{
    unsigned flags = OPEN_RDWR | OPEN_UNMAP;
    NodeInfo info = { 0 };
    bool wt;

    if (!img_cache_flags(c->cache, &flags, &wt)) {
        error_report("Invalid cache option: %s", c->cache);
        return false;
    }
    c->dst = img_open(c->target_image_opts, c->target, c->target_image_opts ? NULL : c->out_fmt, flags, wt, false);
    if (!c->dst)
        return false;
    if (blk_length(c->dst) < c->total) {
        error_report("output file is smaller than input file");
        return false;
    }
    if (blk_node(c->dst)->drv->info)
        blk_node(c->dst)->drv->info(blk_node(c->dst), &info);
    c->cluster = info.cluster_size;
    if (c->compress && !c->cluster) {
        error_report("could not get block driver info");
        return false;
    }
    c->has_zero = c->target_is_zero || (!c->no_create && !blk_node(c->dst)->backing);
    /* a new file on the host reads as zeroes; a device does not */
    if (!c->no_create && blk_node(c->dst)->file && blk_node(c->dst)->file->node->drv == &driver_host_device &&
        blk_node(c->dst)->drv == &driver_raw)
        c->has_zero = false;
    return true;
}

static int run(Convert *c)
{
    bool ok = open_sources(c) && make_target(c) && open_target(c);

    if (ok) {
        c->buf = block_memalign(BUFFER);
        img_progress(c->progress, 0);
        aio_run_sync(copy_co, c);
        ok = c->ret == 0;
        if (ok)
            img_progress(c->progress, 100);
    }
    img_progress_end(c->progress);
    for (unsigned i = 0; c->src && i < c->n_sources; i++)
        if (c->src[i])
            blk_unref(c->src[i]);
    if (c->dst)
        blk_unref(c->dst);
    free(c->buf);
    g_free(c->src);
    json_decref(c->opts);
    return !ok;
}

/* ---- the command line */

static bool take_sparse(Convert *c, const char *text)
{
    int64_t v = img_size("buffer size for sparse output", text);

    if (v < 0)
        return false;
    if (v & 511 || v > BUFFER) {
        error_report("Invalid buffer size for sparse output specified. Valid sizes are multiples of 512 up to %d. Select 0 "
                     "to disable sparse detection (fully allocates output).", BUFFER);
        return false;
    }
    c->sparse = v;
    return true;
}

static bool take_option(Convert *c, int o)
{
    switch (o) {
    case 'f': c->fmt = optarg; break;
    case 'O': c->out_fmt = optarg; break;
    case 'B': c->backing = optarg; break;
    case 'F': c->backing_fmt = optarg; break;
    case 'c': c->compress = true; break;
    case 'p': c->progress = true; break;
    case 'q': c->quiet = true; break;
    case 'n': c->no_create = true; break;
    case 't': c->cache = optarg; break;
    case 'T': c->src_cache = optarg; break;
    case 'U': c->share = true; break;
    case 'o': return img_add_options(&c->opts, optarg);
    case 'S': return take_sparse(c, optarg);
    case 'C': case 'W': break;
    case 'm':
        if (atoi(optarg) < 1 || atoi(optarg) > 16) {
            error_report("Invalid number of coroutines. Allowed number of coroutines is between 1 and 16");
            return false;
        }
        break;
    case OPT_IMAGE_OPTS: c->image_opts = true; break;
    case OPT_TARGET_IMAGE_OPTS: c->target_image_opts = true; break;
    case OPT_TARGET_IS_ZERO: c->target_is_zero = true; break;
    case OPT_OBJECT: error_report("--object: no object type is supported"); return false;
    }
    return true;
}

static bool check_combination(const Convert *c)
{
    if (!c->out_fmt && !c->target_image_opts)
        return true;
    if (c->target_image_opts && !c->no_create)
        error_report("--target-image-opts requires use of -n flag");
    else if (c->target_image_opts && c->out_fmt)
        error_report("--target-image-opts requires use of -O flag");
    else if (c->target_is_zero && !c->no_create)
        error_report("--target-is-zero requires use of -n flag");
    else if (c->no_create && json_object_size(c->opts))
        error_report("-o has no effect when skipping image creation");
    else
        return true;
    return false;
}

int img_convert(int argc, char **argv)
{
    static const struct option longs[] = { IMG_COMMON_LONG, { "force-share", no_argument, 0, 'U' },
        { "target-image-opts", no_argument, 0, OPT_TARGET_IMAGE_OPTS },
        { "target-is-zero", no_argument, 0, OPT_TARGET_IS_ZERO }, { 0 } };
    Convert c = { .cache = "unsafe", .src_cache = "writeback", .opts = json_object(), .sparse = 4096 };
    int o;

    while ((o = getopt_long(argc, argv, ":hf:O:B:CcF:o:S:pt:T:qnm:WU", longs, NULL)) != -1) {
        if (o == ':' || o == '?')
            img_bad_option(o, argv);
        if (o == 'h')
            img_help();
        if (!take_option(&c, o))
            return 1;
    }
    if (optind >= argc - 1) {
        error_report("Must specify image file name");
        return 1;
    }
    if (!check_combination(&c))
        return 1;
    if (!c.out_fmt && !c.target_image_opts)
        c.out_fmt = "raw";
    c.sources = argv + optind;
    c.n_sources = argc - optind - 1;
    c.target = argv[argc - 1];
    c.progress &= !c.quiet;
    return run(&c);
}
