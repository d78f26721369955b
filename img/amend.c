/* vmemu-img amend: changes features of an existing image. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "block/aio.h"
#include "img/img.h"
#include "util/error.h"

typedef struct Amend { BlockNode *n; json_t *opts; bool force, ok; GError *err; } Amend;

static void amend_co(void *opaque)
{
    Amend *a = opaque;

    a->ok = a->n->drv->amend(a->n, a->opts, a->force, &a->err);
    if (a->ok && node_co_flush(a->n) < 0)
        a->ok = error_set(&a->err, "Could not flush the image");
}

static bool known(const BlockDriver *d, json_t *opts)
{
    const char *key;
    json_t *v;

    json_object_foreach(opts, key, v) {
        bool creation = false;

        if (g_strv_contains(d->amend_opts, key))
            continue;
        error_report("Invalid parameter '%s'", key);
        for (const CreateOpt *o = d->create_opts; o->name; o++)
            creation |= !strcmp(o->name, key);
        if (creation)
            fprintf(stderr, "This option is only supported for image creation\n");
        return false;
    }
    return true;
}

static int help(const char *fmt)
{
    const BlockDriver *d = driver_find(fmt);

    if (!d)
        error_report("Unknown file format '%s'", fmt);
    else if (!d->amend)
        error_report("Format driver '%s' does not support option amendment", fmt);
    else
        img_print_amend_help(d);
    return !d || !d->amend;
}

static int run(BlockBackend *b, json_t *opts, bool force, bool ask_help)
{
    const BlockDriver *d = blk_node(b)->drv;
    Amend a = { blk_node(b), opts, force, false, NULL };

    if (ask_help)
        return help(d->name);
    if (!d->amend) {
        error_report("Format driver '%s' does not support option amendment", d->name);
        return 1;
    }
    if (!known(d, opts))
        return 1;
    img_progress(0, 0);
    aio_run_sync(amend_co, &a);
    if (a.ok)
        img_progress(100, 0);
    else
        error_report_err(a.err);
    return !a.ok;
}

int img_amend(int argc, char **argv)
{
    static const struct option longs[] = { IMG_COMMON_LONG, { "force", no_argument, 0, OPT_FORCE }, { 0 } };
    const char *fmt = NULL, *cache = "writeback";
    bool quiet = false, progress = false, image_opts = false, ask_help = false, force = false, wt;
    unsigned flags = OPEN_RDWR | OPEN_UNMAP;
    json_t *opts = NULL;
    BlockBackend *b;
    int c, ret;

    while ((c = getopt_long(argc, argv, ":ho:f:t:pq", longs, NULL)) != -1) {
        switch (c) {
        case ':': case '?': img_bad_option(c, argv);
        case 'h': img_help();
        case 'o':
            if (!strcmp(optarg, "help") || !strcmp(optarg, "?")) {
                ask_help = true;
                opts = opts ? opts : json_object();
            } else if (!img_add_options(&opts, optarg)) {
                return 1;
            }
            break;
        case 'f': fmt = optarg; break;
        case 't': cache = optarg; break;
        case 'p': progress = true; break;
        case 'q': quiet = true; break;
        case OPT_FORCE: force = true; break;
        case OPT_IMAGE_OPTS: image_opts = true; break;
        case OPT_OBJECT: return img_no_object();
        }
    }
    if (!opts)
        img_usage_error("Must specify options (-o)");
    img_progress_start(progress && !quiet);
    if (fmt && ask_help)
        return help(fmt);
    if (optind != argc - 1) {
        error_report("Expecting one image file name");
        return 1;
    }
    if (!img_cache_flags(cache, &flags, &wt)) {
        error_report("Invalid cache option: %s", cache);
        return 1;
    }
    b = img_open(image_opts, argv[optind], fmt, flags, wt, false);
    if (!b)
        return 1;
    ret = run(b, opts, force, ask_help);
    img_progress_end();
    blk_unref(b);
    json_decref(opts);
    return ret;
}
