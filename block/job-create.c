/* blockdev-create: makes a file, or a format in a node that is there. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include "block/graph-ops.h"
#include "block/job.h"
#include "block/options.h"
#include "util/error.h"

typedef struct CreateJob { Job j; const BlockDriver *drv; BlockNode *node; char *file; json_t *opts; } CreateJob;

static int create_run(Job *j, GError **err)
{
    CreateJob *s = (CreateJob *)j;
    const char *key;
    json_t *v;

    uint64_t size = 0;

    j->total = j->done = 1;
    if (s->node && jopts_get(s->opts, "size") && parse_size(jopts_get(s->opts, "size"), 'B', &size) && size % BLK_SECTOR_SIZE)
        return error_set(err, "Image size must be a multiple of 512 bytes"), -EINVAL;
    if (!s->drv->create(s->file, s->opts, err))
        return -EINVAL;
    json_object_foreach(s->opts, key, v)
        return error_set(err, "Parameter '%s' is unexpected", key), -EINVAL;
    return 0;
}

/* The node that was written to behind its back. */
static void create_commit(Job *j)
{
    CreateJob *s = (CreateJob *)j;
    struct stat st;

    if (s->node && stat(s->file, &st) == 0 && S_ISREG(st.st_mode))
        node_set_length(s->node, st.st_size);
}

static void create_clean(Job *j)
{
    CreateJob *s = (CreateJob *)j;

    g_free(s->file);
    json_decref(s->opts);
}

static const JobDriver create_driver = { .type = "create", .size = sizeof(CreateJob), .run = create_run,
                                         .commit = create_commit, .clean = create_clean };

/* The names of blockdev-create, where a format's create calls them something else. */
static void rename_options(json_t *o)
{
    static const struct { const char *from, *to; } names[] = {
        { "backing-file", "backing_file" }, { "backing-fmt", "backing_fmt" }, { "cluster-size", "cluster_size" },
        { "lazy-refcounts", "lazy_refcounts" }, { "refcount-bits", "refcount_bits" }, { "extended-l2", "extended_l2" },
        { "compression-type", "compression_type" }, { "data-file-raw", "data_file_raw" },
    };
    json_t *version = json_object_get(o, "version");

    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        json_t *v = json_object_get(o, names[i].from);

        if (v) {
            json_object_set(o, names[i].to, v);
            json_object_del(o, names[i].from);
        }
    }
    if (version) {
        jopts_set(o, "compat", !g_strcmp0(json_string_value(version), "v2") ? "0.10" : "1.1");
        json_object_del(o, "version");
    }
}

static BlockNode *node_option(json_t *opts, const char *key, GError **err)
{
    g_autofree char *name = jopts_take(opts, key);
    BlockNode *n = name ? block_lookup(name, name, err) : NULL;

    if (!name)
        error_set(err, "Parameter '%s' is missing", key);
    else if (n && !*n->exact_filename)
        error_set(err, "Node '%s' has no file name that could be written to", name), n = NULL;
    return n;
}

bool blockdev_create_job(json_t *args, GError **err)
{
    JobArgs a = { .id = json_string_value(json_object_get(args, "job-id")), .auto_finalize = true };
    json_t *opts = json_object();
    g_autofree char *name = NULL;
    const BlockDriver *drv;
    BlockNode *file = NULL;
    GError *e = NULL;
    CreateJob *s;

    jopts_flatten(opts, "", json_object_get(args, "options"));
    name = jopts_take(opts, "driver");
    drv = driver_find(name);
    if (!drv || !drv->create) {
        json_decref(opts);
        return error_set(err, !drv ? "Block driver '%s' not found or not supported" : "Driver does not support blockdev-create", name);
    }
    if (!drv->is_protocol)
        file = node_option(opts, "file", &e);
    rename_options(opts);
    s = e ? NULL : (CreateJob *)job_new(&create_driver, &a, NULL, err);
    if (!s) {
        json_decref(opts);
        if (e)
            g_propagate_error(err, e);
        return false;
    }
    s->drv = drv;
    s->opts = opts;
    s->node = file;
    s->file = file ? g_strdup(file->exact_filename) : jopts_take(opts, "filename");
    if (file)
        job_use_node(&s->j, file);
    job_start(&s->j);
    return true;
}
