/* vmemu-img bitmap: persistent dirty bitmaps of an image: any number of actions, in order. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "block/aio.h"
#include "block/bitmap.h"
#include "img/img.h"
#include "util/error.h"

typedef struct Action { char what; const char *source; } Action;
enum { MAX_ACTIONS = 256 };
enum { OPT_ADD = 400, OPT_REMOVE, OPT_CLEAR, OPT_ENABLE, OPT_DISABLE, OPT_MERGE };

typedef struct Job {
    const char *name, *fmt, *source, *source_fmt;
    uint32_t granularity;
    bool image_opts, add, merge;
    Action action[MAX_ACTIONS];
    unsigned n;
} Job;

static bool do_one(const Job *j, const Action *a, BlockNode *n, BlockNode *from)
{
    static const char *const names[] = { ['a'] = "add", ['r'] = "remove", ['c'] = "clear", ['e'] = "enable",
                                         ['d'] = "disable", ['m'] = "merge" };
    GError *e = NULL;
    bool ok = false;

    switch (a->what) {
    case 'a': ok = bitmap_add(n, j->name, j->granularity, true, true, &e) != NULL; break;
    case 'r': ok = bitmap_remove(n, j->name, &e); break;
    case 'c': ok = bitmap_clear(n, j->name, &e); break;
    case 'e': case 'd': ok = bitmap_enable(n, j->name, a->what == 'e', &e); break;
    case 'm': ok = bitmap_merge(n, j->name, from, a->source, &e); break;
    }
    if (!ok) {
        error_report("Operation %s on bitmap %s failed: %s", names[(int)a->what], j->name, e->message);
        g_error_free(e);
    }
    return ok;
}

static bool check(const Job *j)
{
    if (!j->n)
        error_report("Need at least one of --add, --remove, --clear, --enable, --disable, or --merge");
    else if (j->granularity && !j->add)
        error_report("granularity only supported with --add");
    else if (j->source_fmt && !j->source)
        error_report("-F only supported with -b");
    else if (j->source && !j->merge)
        error_report("Merge bitmap source file only supported with --merge");
    else
        return true;
    return false;
}

static int run(const Job *j, const char *filename)
{
    BlockBackend *b = img_open(j->image_opts, filename, j->fmt, OPEN_RDWR, false, false), *src = NULL;
    bool ok = b != NULL;
    GError *e = NULL;

    if (ok && j->source) {
        src = img_open(false, j->source, j->source_fmt, OPEN_NO_BACKING, false, false);
        ok = src != NULL;
    }
    for (unsigned i = 0; i < j->n && ok; i++)
        ok = do_one(j, &j->action[i], blk_node(b), blk_node(src ? src : b));
    if (ok && !block_inactivate_all(&e)) {      /* when it is closed nobody asks */
        error_report_err(e);
        ok = false;
    }
    if (src)
        blk_unref(src);
    if (b)
        blk_unref(b);
    return !ok;
}

static void add(Job *j, char what)
{
    if (j->n == MAX_ACTIONS)
        img_usage_error("Too many actions");
    j->action[j->n++] = (Action){ what, optarg };
}

static bool take_option(Job *j, int c)
{
    int64_t v;

    switch (c) {
    case 'b': j->source = optarg; break;
    case 'f': j->fmt = optarg; break;
    case 'F': j->source_fmt = optarg; break;
    case 'g':
        v = img_size("granularity", optarg);
        if (v < 0)
            return false;
        j->granularity = v > UINT32_MAX || !v ? 1 : v;
        break;
    case OPT_ADD: j->add = true; add(j, 'a'); break;
    case OPT_REMOVE: add(j, 'r'); break;
    case OPT_CLEAR: add(j, 'c'); break;
    case OPT_ENABLE: add(j, 'e'); break;
    case OPT_DISABLE: add(j, 'd'); break;
    case OPT_MERGE: j->merge = true; add(j, 'm'); break;
    case OPT_IMAGE_OPTS: j->image_opts = true; break;
    case OPT_OBJECT: img_no_object(); return false;
    }
    return true;
}

int img_bitmap(int argc, char **argv)
{
    static const struct option longs[] = { IMG_COMMON_LONG, { "add", no_argument, 0, OPT_ADD },
        { "remove", no_argument, 0, OPT_REMOVE }, { "clear", no_argument, 0, OPT_CLEAR },
        { "enable", no_argument, 0, OPT_ENABLE }, { "disable", no_argument, 0, OPT_DISABLE },
        { "merge", required_argument, 0, OPT_MERGE }, { "granularity", required_argument, 0, 'g' },
        { "source-file", required_argument, 0, 'b' }, { "source-format", required_argument, 0, 'F' }, { 0 } };
    Job j = { 0 };
    int c;

    while ((c = getopt_long(argc, argv, ":b:f:F:g:h", longs, NULL)) != -1) {
        if (c == ':' || c == '?')
            img_bad_option(c, argv);
        if (c == 'h')
            img_help();
        if (!take_option(&j, c))
            return 1;
    }
    if (optind != argc - 2 && j.n) {
        error_report("Expecting filename and bitmap name");
        return 1;
    }
    if (!check(&j))
        return 1;
    j.name = argv[optind + 1];
    return run(&j, argv[optind]);
}
