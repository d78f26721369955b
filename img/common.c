/* What the commands of vmemu-img share: opening, sizes, messages, JSON. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "block/aio.h"
#include "block/image-info.h"
#include "img/img.h"
#include "util/error.h"

void img_usage_error(const char *fmt, ...)
{
    g_autofree char *s = NULL;
    va_list ap;

    va_start(ap, fmt);
    s = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    fflush(stdout);
    error_report("%s", s);
    fprintf(stderr, "Try '%s --help' for more information\n", error_program());
    exit(1);
}

void img_bad_option(char c, char **argv)
{
    extern int optind;

    if (c == ':')
        img_usage_error("missing argument for option '%s'", argv[optind - 1]);
    img_usage_error("unrecognized option '%s'", argv[optind - 1]);
}

int img_output_format(const char *text)
{
    if (!text || !strcmp(text, "human"))
        return 0;
    if (!strcmp(text, "json"))
        return 1;
    error_report("--output must be used with human or json as argument.");
    exit(1);
}

bool img_cache_flags(const char *mode, unsigned *flags, bool *writethrough)
{
    *flags &= ~(OPEN_DIRECT | OPEN_NO_FLUSH);
    *writethrough = false;
    if (!strcmp(mode, "none") || !strcmp(mode, "off"))
        *flags |= OPEN_DIRECT;
    else if (!strcmp(mode, "directsync"))
        *flags |= OPEN_DIRECT, *writethrough = true;
    else if (!strcmp(mode, "unsafe"))
        *flags |= OPEN_NO_FLUSH;
    else if (!strcmp(mode, "writethrough"))
        *writethrough = true;
    else
        return !strcmp(mode, "writeback");
    return true;
}

BlockBackend *img_open(bool image_opts, const char *name, const char *fmt, unsigned flags, bool writethrough, bool share)
{
    return img_open_aio(image_opts, name, fmt, flags, writethrough, share, NULL);
}

BlockBackend *img_open_aio(bool image_opts, const char *name, const char *fmt, unsigned flags, bool writethrough, bool share,
                           const char *aio)
{
    json_t *opts;
    BlockBackend *b = NULL;
    GError *e = NULL;

    if (image_opts) {
        if (fmt) {
            error_report("--image-opts and --format are mutually exclusive");
            return NULL;
        }
        opts = *name == '{' ? jopts_from_json(name, &e) : jopts_parse(name, "file", &e);
    } else {
        opts = json_object();
        if (fmt)
            jopts_set(opts, "driver", fmt);
    }
    if (opts && share) {
        if (!g_strcmp0(jopts_get(opts, "force-share"), "off")) {
            error_report("--force-share/-U conflicts with image options");
            json_decref(opts);
            return NULL;
        }
        flags |= OPEN_FORCE_SHARE;
    }
    if (opts && aio)
        jopts_set_default(opts, "file.aio", aio);
    if (opts)
        b = blk_open(image_opts ? NULL : name, opts, flags, &e);
    if (!b) {
        error_report("Could not open '%s': %s", name, e->message);
        g_error_free(e);
        return NULL;
    }
    blk_enable_write_cache(b, !writethrough);
    return b;
}

int64_t img_size(const char *name, const char *text)
{
    uint64_t v;
    int ret = parse_size_err(text, 'B', &v);

    if (ret == 0 && v <= INT64_MAX)
        return v;
    if (ret == 0 || ret == -ERANGE)
        error_report("Invalid %s specified. Must be between 0 and %" G_GINT64_FORMAT ".", name, INT64_MAX);
    else
        error_report("Invalid %s specified. You may use k, M, G, T, P or E suffixes for", name),
        error_report("kilobytes, megabytes, gigabytes, terabytes, petabytes and exabytes.");
    return -1;
}

bool img_add_options(json_t **opts, const char *text)
{
    GError *e = NULL;
    json_t *o = *text && *text != ',' ? jopts_parse(text, NULL, &e) : NULL;

    if (!o) {
        error_report("Invalid option list: %s", text);
        g_clear_error(&e);
        return false;
    }
    if (!*opts)
        *opts = json_object();
    json_object_update(*opts, o);
    json_decref(o);
    return true;
}

/* ---- progress */

static struct Progress {
    bool on;
    float now, shown;
    volatile sig_atomic_t asked;
} progress;

static void progress_asked(int sig)
{
    progress.asked = 1;
}

void img_progress_start(bool on)
{
    struct sigaction sa = { .sa_handler = progress_asked, .sa_flags = SA_RESTART };

    progress = (struct Progress){ .on = on };
    sigaction(SIGUSR1, &sa, NULL);
}

void img_progress(float delta, int max)
{
    float p = max ? progress.now + delta / 100 * max : delta;

    p = MIN(p, 100);
    progress.now = p;
    if (progress.asked && !progress.on) {
        progress.asked = 0;
        fprintf(stderr, "    (%3.2f/100%%)\n", p);
    }
    if (!progress.on || (p <= progress.shown + 1 && p >= progress.shown - 1 && p != 100 && p != 0))
        return;
    progress.shown = p;
    printf("    (%3.2f/100%%)\r", p);
    fflush(stdout);
}

void img_progress_end(void)
{
    if (progress.on)
        printf("\n");
    progress.on = false;
}

int img_no_object(void)
{
    error_report("--object: no object type is supported");
    return 1;
}

/* ---- -o help */

unsigned img_create_options(const BlockDriver *d, const char *filename, const CreateOpt **list)
{
    const BlockDriver *file = filename ? protocol_of(filename, NULL) : NULL;
    unsigned n = 0;

    if (filename && (!file || !file->create_opts))
        file = &driver_file;

    for (const CreateOpt *o = d->create_opts; o && o->name; o++)
        if (!o->amend_only)
            list[n++] = o;
    for (const CreateOpt *o = file && !d->is_protocol ? file->create_opts : NULL; o && o->name; o++) {
        unsigned i = 0;

        while (i < n && strcmp(list[i]->name, o->name))
            i++;
        if (i == n)
            list[n++] = o;
    }
    return n;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const CreateOpt *const *)a)->name, (*(const CreateOpt *const *)b)->name);
}

static void print_options(const CreateOpt **list, size_t n)
{
    static const char *const types[] = { "<str>", "<bool (on/off)>", "<num>", "<size>" };

    qsort(list, n, sizeof(*list), by_name);
    for (size_t i = 0; i < n; i++) {
        g_autofree char *l = g_strdup_printf("%s=%s", list[i]->name, types[list[i]->type]);

        printf("  %-22s - %s\n", l, list[i]->help);
    }
}

void img_print_amend_help(const BlockDriver *d)
{
    const CreateOpt *list[IMG_MAX_CREATE_OPTS];
    size_t n = 0;

    for (const CreateOpt *o = d->create_opts; o->name; o++)
        if (g_strv_contains(d->amend_opts, o->name))
            list[n++] = o;
    printf("Amend options for '%s':\n", d->name);
    print_options(list, n);
}

void img_print_create_help(const char *fmt, const char *filename)
{
    const BlockDriver *d = driver_find(fmt);
    const CreateOpt *list[IMG_MAX_CREATE_OPTS];
    size_t n = img_create_options(d, filename, list);

    if (filename)
        printf("Supported options:\n");
    else
        printf("Supported %s options:\n", fmt);
    print_options(list, n);
    if (!d->is_protocol && !filename)
        printf("\nThe protocol level may support further options.\nSpecify the target filename to include those options.\n");
}

/* ---- snapshots */

typedef struct Load { BlockNode *n; const char *id, *name; GError *err; bool ok; } Load;

static void load_co(void *opaque)
{
    Load *l = opaque;

    l->ok = l->n->drv->snapshot_load(l->n, l->id, l->name, &l->err);
}

static bool load(BlockBackend *b, const char *id, const char *name, GError **err)
{
    Load l = { blk_node(b), id, name, NULL, false };

    if (!l.n->drv->snapshot_load)
        return error_set(err, "Block format '%s' used by device '' does not support temporarily loading internal snapshots",
                         l.n->drv->name);
    aio_run_sync(load_co, &l);
    if (l.err)
        g_propagate_error(err, l.err);
    return l.ok;
}

bool img_load_snapshot(BlockBackend *b, const char *param)
{
    g_autoptr(json_t) o = NULL;
    GError *e = NULL;
    const char *key;
    json_t *v;
    bool ok;

    if (g_str_has_prefix(param, "snapshot.")) {
        o = jopts_parse(param, NULL, NULL);
        json_object_foreach(o, key, v) {
            if (strcmp(key, "snapshot.id") && strcmp(key, "snapshot.name")) {
                error_report("Invalid parameter '%s'", key);
                error_report("Failed in parsing snapshot param '%s'", param);
                return false;
            }
        }
        ok = load(b, jopts_get(o, "snapshot.id"), jopts_get(o, "snapshot.name"), &e);
    } else {
        ok = load(b, param, NULL, NULL) || load(b, NULL, param, &e);
    }
    if (!ok) {
        error_report("Failed to load snapshot: %s", e->message);
        g_error_free(e);
    }
    return ok;
}

/* ---- JSON */

static void print_value(json_t *j, unsigned depth);

static void print_object(json_t *j, unsigned depth)
{
    g_autofree const char **keys = json_keys_ranked(j);

    printf("{");
    for (unsigned i = 0; keys[i]; i++) {
        printf("%s\n%*s\"%s\": ", i ? "," : "", (depth + 1) * 4, "", keys[i]);
        print_value(json_object_get(j, keys[i]), depth + 1);
    }
    printf("\n%*s}", depth * 4, "");
}

static void print_value(json_t *j, unsigned depth)
{
    size_t i;
    json_t *v;

    if (json_is_object(j)) {
        print_object(j, depth);
    } else if (json_is_array(j)) {
        printf("[");
        json_array_foreach(j, i, v) {
            printf("%s\n%*s", i ? "," : "", (depth + 1) * 4, "");
            print_value(v, depth + 1);
        }
        printf("\n%*s]", depth * 4, "");
    } else {
        char *s = json_dumps(j, JSON_ENCODE_ANY);

        fputs(s, stdout);
        free(s);
    }
}

void img_print_json(json_t *j)
{
    print_value(j, 0);
    printf("\n");
}
