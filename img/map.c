/* vmemu-img map: where an image's data are. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "block/aio.h"
#include "img/img.h"
#include "util/error.h"

typedef struct Extent {
    int64_t start, length, offset;
    int depth;
    bool data, zero, present, has_offset;
    const char *file;                   /* NULL: unknown */
} Extent;

typedef struct Map { BlockNode *n; int64_t from, max; bool json, first; int ret; } Map;

static int extent_at(BlockNode *n, int64_t offset, int64_t bytes, Extent *e)
{
    int64_t pnum = 0, map = 0;
    BlockNode *file = NULL;
    int ret = 0, depth = 0;

    for (n = node_skip_filters(n);; n = node_backing(n), depth++) {
        ret = node_co_status(n, offset, bytes, &pnum, &map, &file);
        if (ret < 0)
            return ret;
        if (!pnum) {                    /* a backing file that ends before this */
            pnum = bytes;
            ret = STATUS_ZERO;
        }
        bytes = pnum;
        if (ret & (STATUS_ZERO | STATUS_DATA) || !node_backing(n))
            break;
    }
    *e = (Extent){ .start = offset, .length = bytes, .offset = map, .depth = depth, .data = ret & STATUS_DATA,
                   .zero = ret & STATUS_ZERO, .present = ret & STATUS_ALLOCATED, .has_offset = ret & STATUS_OFFSET,
                   .file = file && ret & STATUS_OFFSET ? file->filename : NULL };
    return 0;
}

static bool goes_on(const Extent *e, const Extent *next)
{
    return e->length && e->zero == next->zero && e->data == next->data && e->present == next->present &&
        e->depth == next->depth && e->has_offset == next->has_offset && !g_strcmp0(e->file, next->file) &&
        (!e->has_offset || e->offset + e->length == next->offset);
}

static int print_human(const Extent *e)
{
    if (e->data && !e->has_offset) {
        error_report("File contains external, encrypted or compressed clusters.");
        return -EINVAL;
    }
    if (e->data && !e->zero)
        printf("%#-16" PRIx64 "%#-16" PRIx64 "%#-16" PRIx64 "%s\n", e->start, e->length, e->offset, e->file ? e->file : "");
    return 0;
}

static void print_json(const Extent *e, bool first)
{
    static const char *const bools[] = { "false", "true" };

    printf("%s{ \"start\": %" PRId64 ", \"length\": %" PRId64 ", \"depth\": %d, \"present\": %s, \"zero\": %s, \"data\": %s",
           first ? "" : ",\n", e->start, e->length, e->depth, bools[e->present], bools[e->zero], bools[e->data]);
    if (e->has_offset)
        printf(", \"offset\": %" PRId64, e->offset);
    putchar('}');
}

static int print_one(Map *m, const Extent *e)
{
    int ret = 0;

    if (m->json)
        print_json(e, m->first);
    else
        ret = print_human(e);
    m->first = false;
    return ret;
}

static void map_co(void *opaque)
{
    Map *m = opaque;
    int64_t length = node_length(m->n);
    Extent now = { .start = m->from }, next;

    if (m->max != -1 && m->from <= INT64_MAX - m->max)
        length = MIN(m->from + m->max, length);
    while (m->ret == 0 && now.start + now.length < length) {
        m->ret = extent_at(m->n, now.start + now.length, length - now.start - now.length, &next);
        if (m->ret < 0) {
            error_report("Failed to read image metadata: %s", g_strerror(-m->ret));
            return;
        }
        if (goes_on(&now, &next)) {
            now.length += next.length;
            continue;
        }
        if (now.length)
            m->ret = print_one(m, &now);
        now = next;
    }
    if (m->ret == 0)
        m->ret = print_one(m, &now);
    if (m->ret == 0 && m->json)
        puts("]");
}

int img_map(int argc, char **argv)
{
    static const struct option longs[] = { IMG_COMMON_LONG, { "format", required_argument, 0, 'f' },
        { "output", required_argument, 0, OPT_OUTPUT }, { "force-share", no_argument, 0, 'U' },
        { "start-offset", required_argument, 0, 's' }, { "max-length", required_argument, 0, 'l' }, { 0 } };
    const char *fmt = NULL, *output = NULL;
    bool share = false, image_opts = false;
    Map m = { .max = -1, .first = true };
    BlockBackend *b;
    int c;

    while ((c = getopt_long(argc, argv, ":f:s:l:hU", longs, NULL)) != -1) {
        switch (c) {
        case ':': case '?': img_bad_option(c, argv);
        case 'h': img_help();
        case 'f': fmt = optarg; break;
        case 'U': share = true; break;
        case 's':
            m.from = img_size("start offset", optarg);
            if (m.from < 0)
                return 1;
            break;
        case 'l':
            m.max = img_size("max length", optarg);
            if (m.max < 0)
                return 1;
            break;
        case OPT_OUTPUT: output = optarg; break;
        case OPT_IMAGE_OPTS: image_opts = true; break;
        case OPT_OBJECT: return img_no_object();
        }
    }
    if (optind != argc - 1)
        img_usage_error("Expecting one image file name");
    m.json = img_output_format(output);
    b = img_open(image_opts, argv[optind], fmt, 0, false, share);
    if (!b)
        return 1;
    m.n = blk_node(b);
    if (m.json)
        putchar('[');
    else
        printf("%-16s%-16s%-16s%s\n", "Offset", "Length", "Mapped to", "File");
    aio_run_sync(map_co, &m);
    blk_unref(b);
    return m.ret < 0;
}
