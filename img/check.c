/* vmemu-img check, resize */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "block/aio.h"
#include "img/img.h"
#include "util/error.h"

typedef struct CheckArgs { BlockNode *n; CheckResult *res; unsigned fix; int ret; } CheckArgs;

static void check_co(void *opaque)
{
    CheckArgs *a = opaque;

    a->ret = a->n->drv->co_check(a->n, a->res, a->fix);
}

static void to_stderr(void *opaque, const char *line)
{
    fprintf(stderr, "%s\n", line);
}

static int run_check(BlockBackend *b, CheckResult *r, unsigned fix)
{
    CheckArgs a = { blk_node(b), r, fix, 0 };

    *r = (CheckResult){ .message = to_stderr };
    aio_run_sync(check_co, &a);
    return a.ret;
}

static void print_human(const CheckResult *r)
{
    if (!r->corruptions && !r->leaks && !r->check_errors) {
        printf("No errors were found on the image.\n");
    } else {
        if (r->corruptions)
            printf("\n%" PRId64 " errors were found on the image.\nData may be corrupted, or further writes to the image "
                   "may corrupt it.\n", r->corruptions);
        if (r->leaks)
            printf("\n%" PRId64 " leaked clusters were found on the image.\nThis means waste of disk space, but no harm to "
                   "data.\n", r->leaks);
        if (r->check_errors)
            printf("\n%" PRId64 " internal errors have occurred during the check.\n", r->check_errors);
    }
    if (r->total_clusters && r->allocated_clusters)
        printf("%" PRId64 "/%" PRId64 " = %0.2f%% allocated, %0.2f%% fragmented, %0.2f%% compressed clusters\n",
               r->allocated_clusters, r->total_clusters, r->allocated_clusters * 100.0 / r->total_clusters,
               r->fragmented_clusters * 100.0 / r->allocated_clusters,
               r->compressed_clusters * 100.0 / r->allocated_clusters);
    if (r->image_end_offset)
        printf("Image end offset: %" PRId64 "\n", r->image_end_offset);
}

static void print_json(const char *filename, const char *fmt, const CheckResult *r)
{
    json_t *j = json_pack("{s:s, s:s, s:I}", "filename", filename, "format", fmt, "check-errors", (json_int_t)r->check_errors);
    const struct { const char *key; int64_t v; } f[] = {
        { "image-end-offset", r->image_end_offset }, { "corruptions", r->corruptions }, { "leaks", r->leaks },
        { "corruptions-fixed", r->corruptions_fixed }, { "leaks-fixed", r->leaks_fixed },
        { "total-clusters", r->total_clusters }, { "allocated-clusters", r->allocated_clusters },
        { "fragmented-clusters", r->fragmented_clusters }, { "compressed-clusters", r->compressed_clusters },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(f); i++)
        if (f[i].v)
            json_object_set_new(j, f[i].key, json_integer(f[i].v));
    img_print_json(j);
    json_decref(j);
}

/* A second look after a repair. */
static int check_again(BlockBackend *b, CheckResult *r, bool human)
{
    int64_t leaks = r->leaks_fixed, errors = r->corruptions_fixed;
    int ret;

    if (human) {
        printf("The following inconsistencies were found and repaired:\n\n    %" PRId64 " leaked clusters\n    %" PRId64
               " corruptions\n\nDouble checking the fixed image now...\n", leaks, errors);
        fflush(stdout);
    }
    ret = run_check(b, r, 0);
    r->leaks_fixed = leaks;
    r->corruptions_fixed = errors;
    return ret;
}

typedef struct CheckOpts {
    const char *fmt, *output;
    bool quiet, share, image_opts;
    unsigned fix, flags;
} CheckOpts;

static bool take_check_option(CheckOpts *o, int c)
{
    bool wt;

    switch (c) {
    case 'f': o->fmt = optarg; break;
    case 'r':
        o->flags |= OPEN_RDWR;
        if (!strcmp(optarg, "leaks"))
            o->fix = FIX_LEAKS;
        else if (!strcmp(optarg, "all"))
            o->fix = FIX_LEAKS | FIX_ERRORS;
        else
            img_usage_error("Unknown option value for -r (expecting 'leaks' or 'all'): %s", optarg);
        break;
    case 'T':
        if (!img_cache_flags(optarg, &o->flags, &wt)) {
            error_report("Invalid source cache option: %s", optarg);
            return false;
        }
        break;
    case 'q': o->quiet = true; break;
    case 'U': o->share = true; break;
    case OPT_OUTPUT: o->output = optarg; break;
    case OPT_IMAGE_OPTS: o->image_opts = true; break;
    case OPT_OBJECT: img_no_object(); return false;
    }
    return true;
}

static int do_check(const char *filename, BlockBackend *b, const CheckOpts *o, bool json)
{
    CheckResult r;
    int ret;

    if (!blk_node(b)->drv->co_check) {
        error_report("This image format does not support checks");
        return 63;
    }
    ret = run_check(b, &r, o->fix);
    if (ret == 0 && (r.corruptions_fixed || r.leaks_fixed))
        ret = check_again(b, &r, !o->quiet && !json);
    if (ret == 0 && json)
        print_json(filename, blk_node(b)->drv->name, &r);
    else if (ret == 0 && !o->quiet)
        print_human(&r);
    if (ret < 0)
        error_report("Check failed: %s", g_strerror(-ret));
    if (ret < 0 || r.check_errors)
        return 1;
    return r.corruptions ? 2 : r.leaks ? 3 : 0;
}

int img_check(int argc, char **argv)
{
    static const struct option longs[] = { IMG_COMMON_LONG, { "format", required_argument, 0, 'f' },
        { "repair", required_argument, 0, 'r' }, { "output", required_argument, 0, OPT_OUTPUT },
        { "force-share", no_argument, 0, 'U' }, { 0 } };
    CheckOpts o = { .flags = OPEN_CHECK | OPEN_UNMAP };
    BlockBackend *b;
    int c, json, ret;

    while ((c = getopt_long(argc, argv, ":hf:r:T:qU", longs, NULL)) != -1) {
        if (c == ':' || c == '?')
            img_bad_option(c, argv);
        if (c == 'h')
            img_help();
        if (!take_check_option(&o, c))
            return 1;
    }
    if (optind != argc - 1)
        img_usage_error("Expecting one image file name");
    json = img_output_format(o.output);
    b = img_open(o.image_opts, argv[optind], o.fmt, o.flags, false, o.share);
    if (!b)
        return 1;
    ret = do_check(argv[optind], b, &o, json);
    blk_unref(b);
    return ret;
}

/* ---- resize */

typedef struct ResizeArgs { NodeLink *l; int64_t size; Prealloc p; GError *err; int ret; } ResizeArgs;

static void resize_co(void *opaque)
{
    ResizeArgs *a = opaque;

    a->ret = node_co_truncate(a->l, a->size, true, a->p, &a->err);
}

/* Looks at the old and new size before anything is done. */
static bool size_ok(int64_t now, int64_t *size, int relative, bool shrink, Prealloc p)
{
    if (relative)
        *size = now + *size * relative;
    if (*size <= 0) {
        error_report("New image size must be positive");
        return false;
    }
    if (*size < now && p != PREALLOC_OFF) {
        error_report("Preallocation can only be used for growing images");
        return false;
    }
    if (*size < now && !shrink) {
        error_report("Use the --shrink option to perform a shrink operation.");
        warn_report("Shrinking an image will delete all data beyond the shrunken image's end. Before performing such an "
                    "operation, make sure there is no important data there.");
        return false;
    }
    return true;
}

static int64_t take_size(const char *text, int *relative)
{
    json_t *o = json_object();
    uint64_t v = 0;
    GError *e = NULL;

    *relative = *text == '+' ? 1 : *text == '-' ? -1 : 0;
    jopts_set(o, "size", text + (*relative != 0));
    if (!jopts_take_size(o, "size", &v, &e) || v > INT64_MAX) {
        if (e)
            error_report_err(e);
        else
            error_report("Value '%s' is too large for parameter 'size'", text);
        json_decref(o);
        return -1;
    }
    json_decref(o);
    return v;
}

int img_resize(int argc, char **argv)
{
    static const struct option longs[] = { IMG_COMMON_LONG, { "preallocation", required_argument, 0, OPT_PREALLOCATION },
        { "shrink", no_argument, 0, OPT_SHRINK }, { 0 } };
    const char *fmt = NULL, *size_text;
    bool quiet = false, image_opts = false, shrink = false;
    ResizeArgs a = { .p = PREALLOC_OFF };
    BlockBackend *b;
    int c, relative;

    /* "-5M" is a size, not an option */
    if (argc < 3)
        img_usage_error("Not enough arguments");
    size_text = argv[--argc];
    while ((c = getopt_long(argc, argv, ":f:hq", longs, NULL)) != -1) {
        switch (c) {
        case ':': case '?': img_bad_option(c, argv);
        case 'h': img_help();
        case 'f': fmt = optarg; break;
        case 'q': quiet = true; break;
        case OPT_IMAGE_OPTS: image_opts = true; break;
        case OPT_SHRINK: shrink = true; break;
        case OPT_PREALLOCATION:
            a.p = PREALLOC_OFF;
            while (prealloc_names[a.p] && strcmp(prealloc_names[a.p], optarg))
                a.p++;
            if (!prealloc_names[a.p]) {
                error_report("Invalid preallocation mode '%s'", optarg);
                return 1;
            }
            break;
        case OPT_OBJECT: return img_no_object();
        }
    }
    if (optind != argc - 1)
        img_usage_error("Expecting image file name and size");
    a.size = take_size(size_text, &relative);
    if (a.size < 0)
        return 1;
    b = img_open(image_opts, argv[optind], fmt, OPEN_RDWR, false, false);
    if (!b)
        return 1;
    a.l = blk_root(b);
    a.ret = -1;
    if (size_ok(blk_length(b), &a.size, relative, shrink, a.p)) {
        aio_run_sync(resize_co, &a);
        if (a.ret < 0)
            error_report_err(a.err);
        else if (!quiet)
            printf("Image resized.\n");
    }
    blk_unref(b);
    return a.ret < 0;
}
