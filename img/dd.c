/* vmemu-img dd: a part of an image into a new one. */
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

typedef struct Dd {
    const char *in, *out, *fmt, *out_fmt;
    int64_t bs, count, skip;            /* count -1: all */
    bool image_opts, share;
    BlockBackend *src, *dst;
    int64_t size, from;
    int ret;
} Dd;

static bool take_number(const char *name, const char *text, int64_t min, int64_t max, int64_t *val)
{
    uint64_t v;
    int ret = parse_size_err(text, 'B', &v);

    if (ret == 0 && (v < (uint64_t)min || v > (uint64_t)max))
        ret = -ERANGE;
    if (ret == -ERANGE)
        error_report("Invalid %s specified. Must be between %" PRId64 " and %" PRId64 ".", name, min, max);
    else if (ret < 0)
        error_report("Invalid %s specified. You may use k, M, G, T, P or E suffixes for", name),
        error_report("kilobytes, megabytes, gigabytes, terabytes, petabytes and exabytes.");
    *val = v;
    return ret == 0;
}

static bool take_operand(Dd *d, char *arg)
{
    char *value = strchr(arg, '=');

    if (value)
        *value++ = '\0';
    if (value && !strcmp(arg, "bs"))
        return take_number("bs", value, 1, INT32_MAX, &d->bs);
    if (value && !strcmp(arg, "count"))
        return take_number("count", value, 0, INT64_MAX, &d->count);
    if (value && !strcmp(arg, "skip"))
        return take_number("skip", value, 0, INT64_MAX, &d->skip);
    if (value && !strcmp(arg, "if"))
        d->in = value;
    else if (value && !strcmp(arg, "of"))
        d->out = value;
    else
        return error_report("unrecognized operand %s", arg), false;
    return true;
}

static void copy_co(void *opaque)
{
    Dd *d = opaque;
    uint8_t *buf = block_memalign(BUFFER);

    for (int64_t at = 0; d->from + at < d->size && d->ret == 0; at += BUFFER) {
        int64_t now = MIN(BUFFER, d->size - d->from - at);

        d->ret = node_co_pread(blk_root(d->src), d->from + at, buf, now);
        if (d->ret < 0) {
            error_report("error while reading from input image file: %s", g_strerror(-d->ret));
            break;
        }
        d->ret = node_co_pwrite(blk_root(d->dst), at, buf, now);
        if (d->ret < 0)
            error_report("error while writing to output image file: %s", g_strerror(-d->ret));
    }
    if (d->ret == 0)
        d->ret = node_co_flush(blk_node(d->dst));
    free(buf);
}

static bool make_target(Dd *d, int64_t size)
{
    const BlockDriver *drv = driver_find(d->out_fmt);
    json_t *opts;
    GError *e = NULL;

    if (!drv) {
        error_report("Unknown file format");
        return false;
    }
    if (!drv->create) {
        error_report("Format driver '%s' does not support image creation", drv->name);
        return false;
    }
    opts = json_object();
    json_object_set_new(opts, "size", json_integer(size));
    if (!image_create(d->out, d->out_fmt, opts, &e)) {
        error_report("%s: error while creating output image: %s", d->out, e->message);
        g_error_free(e);
        return false;
    }
    d->dst = img_open(false, d->out, d->out_fmt, OPEN_RDWR | OPEN_UNMAP, false, false);
    return d->dst != NULL;
}

static int run(Dd *d)
{
    bool beyond;

    d->src = img_open(d->image_opts, d->in, d->fmt, 0, false, d->share);
    if (!d->src)
        return 1;
    d->size = blk_length(d->src);
    if (d->count >= 0 && d->count <= INT64_MAX / d->bs)
        d->size = MIN(d->size, d->count * d->bs);
    beyond = d->skip > INT64_MAX / d->bs || d->skip * d->bs > d->size;
    d->from = beyond ? d->size : d->skip * d->bs;
    if (!make_target(d, d->size - d->from))
        return 1;
    if (beyond)
        error_report("%s: cannot skip to specified offset", d->in);
    aio_run_sync(copy_co, d);
    return d->ret < 0;
}

int img_dd(int argc, char **argv)
{
    static const struct option longs[] = { IMG_COMMON_LONG, { "force-share", no_argument, 0, 'U' }, { 0 } };
    Dd d = { .out_fmt = "raw", .bs = 512, .count = -1 };
    int c, ret;

    while ((c = getopt_long(argc, argv, ":hf:O:U", longs, NULL)) != -1) {
        switch (c) {
        case ':': case '?': img_bad_option(c, argv);
        case 'h': img_help();
        case 'f': d.fmt = optarg; break;
        case 'O': d.out_fmt = optarg; break;
        case 'U': d.share = true; break;
        case OPT_IMAGE_OPTS: d.image_opts = true; break;
        case OPT_OBJECT: return img_no_object();
        }
    }
    for (int i = optind; i < argc; i++)
        if (!take_operand(&d, argv[i]))
            return 1;
    if (!d.in || !d.out) {
        error_report("Must specify both input and output files");
        return 1;
    }
    ret = run(&d);
    if (d.src)
        blk_unref(d.src);
    if (d.dst)
        blk_unref(d.dst);
    return ret;
}
