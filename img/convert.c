/*
 * vmemu-img convert: copies one or more images into a new one (or an existing one with -n).
 *
 * The source's map says where data are; what is zero there, or turns out to be, is left out of a target that reads as
 * zeroes anyway.  -C (copy offloading) allows something and forces nothing: the kernel's copies of raw files are not
 * used.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "block/bitmap.h"
#include "img/convert.h"
#include "util/error.h"

#define MAX_SPARSE (16 * 1024 * 1024)



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
    }
    if (c->snapshot && c->n_sources > 1) {
        error_report("No support for concatenating multiple snapshot");
        return false;
    }
    if (c->snapshot && !img_load_snapshot(c->src[0], c->snapshot))
        return false;
    for (unsigned i = 0; i < c->n_sources; i++)
        c->total += blk_length(c->src[i]);
    return true;
}

static bool check_backing(Convert *c, const BlockDriver *d)
{
    const char *have = jopts_get(c->opts, "backing_file");

    if (c->backing && have) {
        error_report("Cannot use -B together with backing_file");
        return false;
    }
    if (c->backing)
        jopts_set(c->opts, "backing_file", c->backing);
    if (c->backing_fmt)
        jopts_set(c->opts, "backing_fmt", c->backing_fmt);
    c->over_backing = jopts_get(c->opts, "backing_file") != NULL;
    if (c->over_backing && !d->supports_backing)
        error_report("Backing file not supported for file format '%s'", d->name);
    else if (c->over_backing && !jopts_get(c->opts, "backing_fmt"))
        error_report("Use of backing file requires explicit backing format");
    else if (c->over_backing && c->n_sources > 1)
        error_report("Having a backing file for the target makes no sense when concatenating multiple input images");
    else
        return true;
    return false;
}

static bool check_target(Convert *c, const BlockDriver *d)
{
    const char *prealloc;

    if (!d) {
        error_report("Unknown file format '%s'", c->out_fmt);
        return false;
    }
    if (!check_backing(c, d))
        return false;
    if (c->compress && !d->supports_backing) {
        error_report("Compression not supported for this file format");
        return false;
    }
    prealloc = jopts_get(c->opts, "preallocation");
    if (c->compress && prealloc && strcmp(prealloc, "off")) {
        error_report("Compression and preallocation not supported at the same time");
        return false;
    }
    return true;
}

static bool make_target(Convert *c)
{
    const BlockDriver *d = c->out_fmt ? driver_find(c->out_fmt) : NULL;
    GError *e = NULL;

    if (c->target_image_opts)
        return true;
    if (!check_target(c, d))
        return false;
    if (c->no_create)
        return true;
    if (!d->create) {
        error_report("Format driver '%s' does not support image creation", d->name);
        return false;
    }
    if (!img_check_create_options(d, c->target, c->opts, &e)) {
        error_report_err(e);
        return false;
    }
    json_object_set_new(c->opts, "size", json_integer(c->total));
    if (jopts_get(c->opts, "backing_fmt") && !jopts_get(c->opts, "backing_file"))
        error_set(&e, "Backing format cannot be used without backing file");
    if (e || !image_create(c->target, c->out_fmt, json_copy(c->opts), &e)) {
        error_report("%s: error while converting %s: %s", c->target, c->out_fmt, e->message);
        g_error_free(e);
        return false;
    }
    return true;
}

static bool prepare_target(Convert *c)
{
    BlockNode *n = blk_node(c->dst);
    NodeInfo info = { 0 };

    if (c->bitmaps && !n->drv->can_store_bitmaps) {
        error_report("Format driver '%s' does not support bitmaps", n->drv->name);
        return false;
    }
    if (blk_length(c->dst) < c->total) {
        error_report("output file is smaller than input file");
        return false;
    }
    if (n->drv->info)
        n->drv->info(n, &info);
    c->cluster = info.cluster_size;
    if (c->compress && !c->cluster) {
        error_report("could not get block driver info");
        return false;
    }
    c->has_zero = c->target_is_zero || (!c->no_create && !n->backing);
    /* a new file on the host reads as zeroes; a device does not */
    if (!c->no_create && n->file && n->file->node->drv == &driver_host_device && n->drv == &driver_raw)
        c->has_zero = false;
    return true;
}

static bool open_target(Convert *c)
{
    unsigned flags = OPEN_RDWR | OPEN_UNMAP;
    bool wt;

    if (!img_cache_flags(c->cache, &flags, &wt)) {
        error_report("Invalid cache option: %s", c->cache);
        return false;
    }
    c->dst = img_open(c->target_image_opts, c->target, c->target_image_opts ? NULL : c->out_fmt, flags, wt, false);
    return c->dst && prepare_target(c);
}

/* ---- bitmaps */

static bool check_bitmaps(const Convert *c)
{
    if (!c->bitmaps)
        return true;
    if (c->n_sources > 1) {
        error_report("Copying bitmaps only possible with single source");
        return false;
    }
    if (!blk_node(c->src[0])->drv->can_store_bitmaps) {
        error_report("Format driver '%s' does not support bitmaps", blk_node(c->src[0])->drv->name);
        return false;
    }
    for (DirtyBitmap *b = blk_node(c->src[0])->bitmaps; b; b = b->next) {
        if (!b->persistent || !b->inconsistent)
            continue;
        if (!c->skip_broken) {
            error_report("Cannot copy inconsistent bitmap '%s'\nTry --skip-broken-bitmaps, or use 'qemu-img bitmap --remove'",
                         b->name);
            return false;
        }
        warn_report("Skipping inconsistent bitmap '%s'", b->name);
    }
    return true;
}

static bool copy_bitmaps(Convert *c)
{
    BlockNode *from = blk_node(c->src[0]), *to = blk_node(c->dst);
    GError *e = NULL;

    for (DirtyBitmap *b = from->bitmaps; b && !e; b = b->next) {
        if (!b->persistent || b->inconsistent)
            continue;
        if (bitmap_add(to, b->name, 1u << b->shift, true, false, &e) && bitmap_merge(to, b->name, from, b->name, &e) &&
            b->enabled)
            bitmap_enable(to, b->name, true, &e);
    }
    if (e)
        error_report("Failed to copy bitmaps: %s", e->message);
    g_clear_error(&e);
    return e == NULL;
}

static int run(Convert *c)
{
    bool ok;

    img_progress_start(c->progress);
    img_progress(0, 100);
    ok = open_sources(c) && check_bitmaps(c) && make_target(c) && open_target(c);
    if (ok) {
        convert_copy(c);
        ok = c->ret == 0 && (!c->bitmaps || copy_bitmaps(c));
        if (ok)
            img_progress(100, 0);
    }
    img_progress_end();
    for (unsigned i = 0; c->src && i < c->n_sources; i++)
        if (c->src[i])
            blk_unref(c->src[i]);
    if (c->dst)
        blk_unref(c->dst);
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
    if (v & 511 || v > MAX_SPARSE) {
        error_report("Invalid buffer size for sparse output specified. Valid sizes are multiples of 512 up to %d. Select 0 "
                     "to disable sparse detection (fully allocates output).", MAX_SPARSE);
        return false;
    }
    c->sparse = v;
    c->sparse_given = true;
    return true;
}

static bool take_workers(Convert *c, const char *text)
{
    char *end;
    long n = strtol(text, &end, 0);

    if (*end || end == text || n < 1 || n > 16) {
        error_report("Invalid number of coroutines. Allowed number of coroutines is between 1 and 16");
        return false;
    }
    c->workers = n;
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
    case 'C': c->offload = true; break;
    case 'W': c->out_of_order = true; break;
    case 'm': return take_workers(c, optarg);
    case 'l': c->snapshot = optarg; break;
    case 'r':
        c->rate = img_size("rate limit", optarg);
        return c->rate >= 0;
    case OPT_IMAGE_OPTS: c->image_opts = true; break;
    case OPT_TARGET_IMAGE_OPTS: c->target_image_opts = true; break;
    case OPT_TARGET_IS_ZERO: c->target_is_zero = true; break;
    case OPT_SALVAGE: c->salvage = true; break;
    case OPT_BITMAPS: c->bitmaps = true; break;
    case OPT_SKIP_BROKEN: c->skip_broken = true; break;
    case OPT_OBJECT: img_no_object(); return false;
    }
    return true;
}

static bool check_combination(const Convert *c)
{
    if (c->skip_broken && !c->bitmaps)
        error_report("Use of --skip-broken-bitmaps requires --bitmaps");
    else if (c->target_image_opts && !c->no_create)
        error_report("--target-image-opts requires use of -n flag");
    else if (c->offload && c->sparse_given)
        error_report("Cannot enable copy offloading when -S is used");
    else if (c->offload && c->compress)
        error_report("Cannot enable copy offloading when -c is used");
    else if (c->offload && c->salvage)
        error_report("Cannot use copy offloading in salvaging mode");
    else if (c->target_is_zero && !c->no_create)
        error_report("--target-is-zero requires use of -n flag");
    else if (c->no_create && json_object_size(c->opts))
        error_report("-o has no effect when skipping image creation");
    else
        return true;
    return false;
}

static bool wants_help(const char *arg)
{
    return !strcmp(arg, "help") || !strcmp(arg, "?") || g_str_has_prefix(arg, "help,") || g_str_has_suffix(arg, ",help");
}

static int help(const Convert *c)
{
    const char *fmt = c->out_fmt ? c->out_fmt : "raw";
    const BlockDriver *d = driver_find(fmt);

    if (!d || !d->create) {
        error_report(d ? "Format driver '%s' does not support image creation" : "Unknown file format '%s'", fmt);
        return 1;
    }
    img_print_create_help(fmt, optind < (int)c->n_sources ? "" : NULL);
    return 0;
}

int img_convert(int argc, char **argv)
{
    static const struct option longs[] = { IMG_COMMON_LONG, { "force-share", no_argument, 0, 'U' },
        { "target-image-opts", no_argument, 0, OPT_TARGET_IMAGE_OPTS }, { "salvage", no_argument, 0, OPT_SALVAGE },
        { "source-image-opts", no_argument, 0, OPT_IMAGE_OPTS }, { "bitmaps", no_argument, 0, OPT_BITMAPS },
        { "skip-broken-bitmaps", no_argument, 0, OPT_SKIP_BROKEN },
        { "target-is-zero", no_argument, 0, OPT_TARGET_IS_ZERO }, { 0 } };
    Convert c = { .cache = "unsafe", .src_cache = "writeback", .opts = json_object(), .sparse = 4096, .workers = 8 };
    bool ask_help = false;
    int o;

    while ((o = getopt_long(argc, argv, ":hf:O:B:CcF:o:l:S:pt:T:qnm:WUr:", longs, NULL)) != -1) {
        if (o == ':' || o == '?')
            img_bad_option(o, argv);
        if (o == 'h')
            img_help();
        if (o == 'o' && wants_help(optarg))
            ask_help = true;
        else if (!take_option(&c, o))
            return 1;
    }
    if (!check_combination(&c))
        return 1;
    if (ask_help) {
        c.n_sources = argc;
        return help(&c);
    }
    if (optind >= argc - 1) {
        error_report("Must specify image file name");
        return 1;
    }
    if (!c.out_fmt && !c.target_image_opts)
        c.out_fmt = "raw";
    c.sources = argv + optind;
    c.n_sources = argc - optind - 1;
    c.target = argv[argc - 1];
    c.progress &= !c.quiet;
    return run(&c);
}
