/* vmemu-img measure: how large an image would become. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "block/aio.h"
#include "img/img.h"
#include "util/error.h"

typedef struct Measure {
    const char *fmt, *out_fmt, *name, *snapshot, *output;
    json_t *opts;
    int64_t size;                       /* -1: of the image */
    bool image_opts, share;
    const BlockDriver *drv;
    BlockBackend *b;
    MeasureInfo info;
    GError *err;
    bool ok;
} Measure;

static void measure_co(void *opaque)
{
    Measure *m = opaque;

    m->ok = m->drv->measure(m->opts, m->b ? blk_node(m->b) : NULL, &m->info, &m->err);
}

static void print(const Measure *m, bool json)
{
    const MeasureInfo *i = &m->info;
    json_t *j;

    if (!json) {
        printf("required size: %" PRIu64 "\nfully allocated size: %" PRIu64 "\n", i->required, i->full);
        if (i->has_bitmaps)
            printf("bitmaps size: %" PRIu64 "\n", i->bitmaps);
        return;
    }
    j = json_pack("{s:I, s:I}", "required", (json_int_t)i->required, "fully-allocated", (json_int_t)i->full);
    if (i->has_bitmaps)
        json_object_set_new(j, "bitmaps", json_integer(i->bitmaps));
    img_print_json(j);
    json_decref(j);
}

static bool check_arguments(const Measure *m, int names)
{
    if (names > 1)
        error_report("At most one filename argument is allowed.");
    else if (!m->name && (m->image_opts || m->fmt || m->snapshot))
        error_report("--image-opts, -f, and -l require a filename argument.");
    else if (!m->name && m->size < 0)
        error_report("Either --size N or one filename must be specified.");
    else if (m->name && m->size >= 0)
        error_report("--size N cannot be used together with a filename.");
    else
        return true;
    return false;
}

static bool check_target(Measure *m)
{
    GError *e = NULL;

    m->drv = driver_find(m->out_fmt);
    if (!m->drv)
        error_report("Unknown file format '%s'", m->out_fmt);
    else if (!m->drv->create_opts)
        error_report("Format driver '%s' does not support image creation", m->drv->name);
    else if (!img_check_create_options(m->drv, "", m->opts, &e))
        error_report_err(e), error_report("Invalid options for file format '%s'", m->out_fmt);
    else
        return true;
    return false;
}

static int run(Measure *m, int names)
{
    bool json;

    if (!check_arguments(m, names))
        return 1;
    json = img_output_format(m->output);
    if (m->name) {
        m->b = img_open(m->image_opts, m->name, m->fmt, 0, false, m->share);
        if (!m->b || (m->snapshot && !img_load_snapshot(m->b, m->snapshot)))
            return 1;
    }
    if (!check_target(m))
        return 1;
    if (m->size >= 0)
        json_object_set_new(m->opts, "size", json_integer(m->size));
    if (!m->drv->measure) {
        error_report("Block driver '%s' does not support size measurement", m->drv->name);
        return 1;
    }
    aio_run_sync(measure_co, m);
    if (m->ok)
        print(m, json);
    else
        error_report_err(m->err);
    return !m->ok;
}

int img_measure(int argc, char **argv)
{
    static const struct option longs[] = { IMG_COMMON_LONG, { "output", required_argument, 0, OPT_OUTPUT },
        { "size", required_argument, 0, OPT_SIZE }, { "force-share", no_argument, 0, 'U' }, { 0 } };
    Measure m = { .out_fmt = "raw", .opts = json_object(), .size = -1 };
    int c, ret;

    while ((c = getopt_long(argc, argv, "hf:l:o:O:U", longs, NULL)) != -1) {
        switch (c) {
        case '?': exit(1);
        case 'h': img_help();
        case 'f': m.fmt = optarg; break;
        case 'l': m.snapshot = optarg; break;
        case 'o':
            if (!img_add_options(&m.opts, optarg))
                return 1;
            break;
        case 'O': m.out_fmt = optarg; break;
        case 'U': m.share = true; break;
        case OPT_IMAGE_OPTS: m.image_opts = true; break;
        case OPT_OUTPUT: m.output = optarg; break;
        case OPT_SIZE:
            m.size = img_size("image size", optarg);
            if (m.size < 0)
                return 1;
            break;
        case OPT_OBJECT: return img_no_object();
        }
    }
    m.name = optind < argc ? argv[optind] : NULL;
    ret = run(&m, argc - optind);
    if (m.b)
        blk_unref(m.b);
    json_decref(m.opts);
    return ret;
}
