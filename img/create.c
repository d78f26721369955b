/* vmemu-img create */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "img/img.h"
#include "util/error.h"

/* The first line; options that were not given show their defaults. */
static void print_formatting(const char *filename, const char *fmt, json_t *opts)
{
    const CreateOpt *list[IMG_MAX_CREATE_OPTS];
    unsigned n = img_create_options(driver_find(fmt), filename, list);

    printf("Formatting '%s', fmt=%s", filename, fmt);
    for (unsigned i = 0; i < n; i++) {
        const char *given = jopts_get(opts, list[i]->name), *v = given ? given : list[i]->def;
        uint64_t bytes;

        if (v && list[i]->type == COPT_SIZE && parse_size(v, 'B', &bytes)) {
            printf(" %s=%" PRIu64, list[i]->name, bytes);
        } else if (v) {
            g_auto(GStrv) parts = g_strsplit(v, ",", -1);
            g_autofree char *quoted = g_strjoinv(",,", parts);

            printf(" %s=%s", list[i]->name, quoted);
        }
    }
    printf("\n");
}

bool img_check_create_options(const BlockDriver *d, const char *filename, json_t *opts, GError **err)
{
    const CreateOpt *list[IMG_MAX_CREATE_OPTS];
    unsigned n = img_create_options(d, filename, list), i;
    const char *key;
    json_t *v;

    json_object_foreach(opts, key, v) {
        g_autoptr(json_t) one = json_pack("{s:O}", key, v);
        uint64_t number;
        bool flag;

        for (i = 0; i < n && strcmp(list[i]->name, key); i++)
            ;
        if (i == n)
            return error_set(err, "Invalid parameter '%s'", key);
        if ((list[i]->type == COPT_BOOL && !jopts_take_bool(one, key, &flag, err)) ||
            (list[i]->type == COPT_SIZE && !jopts_take_size(one, key, &number, err)) ||
            (list[i]->type == COPT_NUMBER && !jopts_take_number(one, key, &number, err)))
            return false;
    }
    return true;
}

/* Opens the backing image to learn its size; sets "size" when none was given. */
static bool look_at_backing(const char *filename, json_t *opts, bool unchecked, bool has_size, GError **err)
{
    const char *file = jopts_get(opts, "backing_file"), *fmt = jopts_get(opts, "backing_fmt");
    g_autofree char *path = file ? backing_path(filename, file, err) : NULL, *size = NULL;
    json_t *o;
    BlockNode *n;
    GError *e = NULL;

    if (!file)
        return true;
    if (!path)
        return false;
    if (!strcmp(filename, path))
        return error_set(err, "Error: Trying to create an image with the same filename as the backing file");
    if (unchecked) {
        if (!fmt)
            return error_set(err, "Backing file specified without backing format");
        if (has_size)
            return true;
    }
    o = json_object();
    if (fmt)
        jopts_set(o, "driver", fmt);
    n = node_open(path, o, has_size ? OPEN_NO_BACKING | OPEN_NO_IO : OPEN_NO_BACKING, &e);
    if (!n) {
        error_set(err, "%s\nCould not open backing image.", e->message);
        g_error_free(e);
        return false;
    }
    if (!fmt)
        error_set(err, "Backing file specified without backing format\nDetected format of %s.", n->drv->name);
    size = g_strdup_printf("%" PRId64, node_length(n));
    if (!has_size)
        jopts_set(opts, "size", size);
    node_unref(n);
    return fmt != NULL;
}

/* opts: taken over. size: NULL or as given. */
static bool create(const char *filename, const char *fmt, const char *base, const char *base_fmt, json_t *opts,
                   int64_t size, bool unchecked, bool quiet, GError **err)
{
    const BlockDriver *d = driver_find(fmt);
    g_autofree char *bytes = g_strdup_printf("%" PRId64, size);

    if (!d)
        return error_set(err, "Unknown file format '%s'", fmt);
    if (!d->create)
        return error_set(err, "Format driver '%s' does not support image creation", fmt);
    if (size >= 0 && jopts_get(opts, "size"))
        return error_set(err, "The image size must be specified only once");
    if (!img_check_create_options(d, filename, opts, err))
        return false;
    if (base && !d->supports_backing)
        return error_set(err, "Backing file not supported for file format '%s'", fmt);
    if (base)
        jopts_set(opts, "backing_file", base);
    if (base_fmt)
        jopts_set(opts, "backing_fmt", base_fmt);
    if (size >= 0)
        jopts_set(opts, "size", bytes);
    if (!look_at_backing(filename, opts, unchecked, jopts_get(opts, "size") != NULL, err))
        return false;
    if (!jopts_get(opts, "size"))
        return error_set(err, "Image creation needs a size parameter");
    if (!quiet)
        print_formatting(filename, fmt, opts);
    fflush(stdout);
    return image_create(filename, fmt, json_incref(opts), err);
}

int img_create(int argc, char **argv)
{
    static const struct option longs[] = { { "help", no_argument, 0, 'h' }, { "object", required_argument, 0, OPT_OBJECT },
                                           { 0 } };
    const char *fmt = "raw", *base = NULL, *base_fmt = NULL, *filename;
    bool quiet = false, unchecked = false, help = false, ok;
    json_t *opts = json_object();
    int64_t size = -1;
    GError *e = NULL;
    int c;

    while ((c = getopt_long(argc, argv, ":F:b:f:ho:qu", longs, NULL)) != -1) {
        switch (c) {
        case ':': case '?': img_bad_option(c, argv);
        case 'h': img_help();
        case 'F': base_fmt = optarg; break;
        case 'b': base = optarg; break;
        case 'f': fmt = optarg; break;
        case 'q': quiet = true; break;
        case 'u': unchecked = true; break;
        case 'o':
            if (!strcmp(optarg, "help") || !strcmp(optarg, "?"))
                help = true;
            else if (!img_add_options(&opts, optarg))
                return 1;
            break;
        case OPT_OBJECT:
            return img_no_object();
        }
    }
    filename = optind < argc ? argv[optind++] : NULL;
    if (help) {
        const BlockDriver *d = driver_find(fmt);

        if (!d || !d->create) {
            error_report(d ? "Format driver '%s' does not support image creation" : "Unknown file format '%s'", fmt);
            return 1;
        }
        img_print_create_help(fmt, filename);
        return 0;
    }
    if (!filename)
        img_usage_error("Expecting image file name");
    if (optind < argc) {
        size = img_size("image size", argv[optind++]);
        if (size < 0)
            return 1;
    }
    if (optind != argc)
        img_usage_error("Unexpected argument: %s", argv[optind]);
    ok = create(filename, fmt, base, base_fmt, opts, size, unchecked, quiet, &e);
    json_decref(opts);
    if (!ok) {
        error_report("%s: %s", filename, e->message);
        g_error_free(e);
    }
    return !ok;
}
