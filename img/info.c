/* vmemu-img info, snapshot */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include "block/aio.h"
#include "block/image-info.h"
#include "img/img.h"
#include "util/error.h"

/* The chain is opened image by image, so that a missing one does not hide those above it. */
static json_t *collect(bool image_opts, const char *filename, const char *fmt, bool chain, bool share)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autofree char *name = g_strdup(filename), *format = g_strdup(fmt);
    json_t *list = json_array();

    while (name) {
        BlockBackend *b;
        json_t *info;
        GError *e = NULL;

        if (!g_hash_table_add(seen, g_strdup(name))) {
            error_report("Backing file '%s' creates an infinite loop.", name);
            json_decref(list);
            return NULL;
        }
        b = img_open(image_opts, name, format, OPEN_NO_BACKING | OPEN_NO_IO, false, share);
        info = b ? image_info(blk_node(b), false, &e) : NULL;
        if (b)
            blk_unref(b);
        if (!info) {
            if (e)
                error_report_err(e);
            json_decref(list);
            return NULL;
        }
        json_array_append_new(list, info);
        image_opts = false;
        g_free(name);
        g_free(format);
        name = chain ? g_strdup(json_string_value(json_object_get(info, "full-backing-filename"))) : NULL;
        format = g_strdup(json_string_value(json_object_get(info, "backing-filename-format")));
    }
    return list;
}

int img_info(int argc, char **argv)
{
    static const struct option longs[] = { IMG_COMMON_LONG, { "format", required_argument, 0, 'f' },
        { "output", required_argument, 0, OPT_OUTPUT }, { "backing-chain", no_argument, 0, OPT_BACKING_CHAIN },
        { "force-share", no_argument, 0, 'U' }, { 0 } };
    const char *fmt = NULL, *output = NULL;
    bool chain = false, share = false, image_opts = false;
    json_t *list, *j;
    size_t i;
    int c, json;

    while ((c = getopt_long(argc, argv, ":hf:U", longs, NULL)) != -1) {
        switch (c) {
        case ':': case '?': img_bad_option(c, argv);
        case 'h': img_help();
        case 'f': fmt = optarg; break;
        case 'U': share = true; break;
        case OPT_OUTPUT: output = optarg; break;
        case OPT_BACKING_CHAIN: chain = true; break;
        case OPT_IMAGE_OPTS: image_opts = true; break;
        case OPT_OBJECT: return img_no_object();
        }
    }
    if (optind != argc - 1)
        img_usage_error("Expecting one image file name");
    json = img_output_format(output);
    list = collect(image_opts, argv[optind], fmt, chain, share);
    if (!list)
        return 1;
    if (json) {
        img_print_json(chain ? list : json_array_get(list, 0));
    } else {
        json_array_foreach(list, i, j) {
            g_autoptr(GString) s = g_string_new(i ? "\n" : NULL);

            image_info_print(s, j);
            fputs(s->str, stdout);
        }
    }
    json_decref(list);
    return 0;
}

/* ---- snapshot */

typedef struct SnapArgs { BlockNode *n; int action; const char *name; GError *err; int ret; SnapshotInfo *list; } SnapArgs;

static void snapshot_co(void *opaque)
{
    SnapArgs *a = opaque;
    const BlockDriver *d = a->n->drv;
    SnapshotInfo sn = { .vm_clock_ns = 0 };
    struct timeval tv;
    bool ok = false;

    switch (a->action) {
    case 0:
        return;
    case 'l':
        a->ret = d->snapshot_list ? d->snapshot_list(a->n, &a->list) : -ENOTSUP;
        return;
    case 'c':
        gettimeofday(&tv, NULL);
        sn.date_sec = tv.tv_sec;
        sn.date_nsec = tv.tv_usec * 1000;
        g_strlcpy(sn.name, a->name, sizeof(sn.name));
        ok = d->snapshot_create && d->snapshot_create(a->n, &sn, &a->err);
        break;
    case 'a':
        ok = d->snapshot_goto && d->snapshot_goto(a->n, a->name, &a->err);
        break;
    case 'd':
        ok = d->snapshot_delete && d->snapshot_delete(a->n, a->name, &a->err);
        break;
    }
    a->ret = ok ? 0 : a->err ? -EIO : -ENOTSUP;
}

static int report_snapshot(SnapArgs *a)
{
    const char *why = a->err ? a->err->message : g_strerror(-a->ret);

    if (a->ret >= 0)
        return 0;
    if (a->action == 'c')
        error_report(a->err ? "Could not create snapshot '%s': %s" : "Could not create snapshot '%s': -95 (%s)", a->name, why);
    else if (a->action != 'l')
        error_report("Could not %s snapshot '%s': %s", a->action == 'a' ? "apply" : "delete", a->name, why);
    g_clear_error(&a->err);
    return a->action != 'l';
}

static void print_list(const SnapArgs *a)
{
    g_autoptr(GString) s = g_string_new("Snapshot list:\n");

    if (a->ret <= 0)
        return;
    snapshot_print(s, NULL);
    for (int i = 0; i < a->ret; i++) {
        g_string_append_c(s, '\n');
        snapshot_print(s, &a->list[i]);
    }
    printf("%s\n", s->str);
}

int img_snapshot(int argc, char **argv)
{
    static const struct option longs[] = { IMG_COMMON_LONG, { "force-share", no_argument, 0, 'U' }, { 0 } };
    bool share = false, image_opts = false;
    SnapArgs a = { 0 };
    BlockBackend *b;
    int c, ret;

    while ((c = getopt_long(argc, argv, ":la:c:d:hqU", longs, NULL)) != -1) {
        switch (c) {
        case ':': case '?': img_bad_option(c, argv);
        case 'h': img_help();
        case 'l': case 'a': case 'c': case 'd':
            if (a.action)
                img_usage_error("Cannot mix '-l', '-a', '-c', '-d'");
            a.action = c;
            a.name = optarg;
            break;
        case 'q': break;
        case 'U': share = true; break;
        case OPT_IMAGE_OPTS: image_opts = true; break;
        case OPT_OBJECT: return img_no_object();
        }
    }
    if (optind != argc - 1)
        img_usage_error("Expecting one image file name");
    b = img_open(image_opts, argv[optind], NULL, a.action == 'l' || !a.action ? 0 : OPEN_RDWR | OPEN_UNMAP, false, share);
    if (!b)
        return 1;
    a.n = blk_node(b);
    if (a.n->drv == &driver_raw && a.n->file->role & ROLE_FILTERED)
        a.n = a.n->file->node;          /* what keeps the file may have snapshots */
    aio_run_sync(snapshot_co, &a);
    if (a.action == 'l')
        print_list(&a);
    ret = report_snapshot(&a);
    g_free(a.list);
    blk_unref(b);
    return ret;
}
