/* Names of images: protocols, backing files, probing of formats, what is shown to the user. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "block/graph.h"
#include "block/image-info.h"
#include "block/options.h"
#include "util/error.h"

#define PROBE_SIZE 512

bool path_has_protocol(const char *path)
{
    const char *p = path + strcspn(path, ":/");

    return *p == ':';
}

const BlockDriver *protocol_of(const char *filename, GError **err)
{
    const char *colon = strchr(filename, ':');
    g_autofree char *name = NULL;
    const BlockDriver *drv;

    if (!path_has_protocol(filename)) {
        struct stat st;

        if (stat(filename, &st) == 0 && (S_ISBLK(st.st_mode) || S_ISCHR(st.st_mode)))
            return &driver_host_device;
        return &driver_file;
    }
    name = g_strndup(filename, colon - filename);
    /* "nbd+unix://", "nbd+tcp://": the driver and its transport */
    drv = driver_find(g_str_has_prefix(name, "nbd+") && g_str_has_prefix(colon, "://") ? "nbd" : name);
    if (drv && drv->is_protocol)
        return drv;
    error_set(err, "Unknown protocol '%s'", name);
    return NULL;
}

char *backing_path(const char *filename, const char *backing, GError **err)
{
    const char *slash, *start = filename;

    if (path_has_protocol(backing) || *backing == '/')
        return g_strdup(backing);
    if (g_str_has_prefix(filename, "json:")) {
        error_set(err, "Cannot use relative backing file names for '%s'", filename);
        return NULL;
    }
    if (path_has_protocol(filename))
        start = strchr(filename, ':') + 1;
    slash = strrchr(start, '/');
    if (!slash)
        return start == filename ? g_strdup(backing) : g_strdup_printf("%.*s%s", (int)(start - filename), filename, backing);
    return g_strdup_printf("%.*s%s", (int)(slash + 1 - filename), filename, backing);
}

/* ---- probing */

typedef struct Foreign { const char *name; unsigned offset, len; const char *magic; } Foreign;
/* Formats that others read: not to be taken for raw. */
static const Foreign foreign[] = {
    { "qed", 0, 4, "QED" }, { "qcow", 0, 8, "QFI\xfb\0\0\0\1" }, { "vmdk", 0, 4, "KDMV" }, { "vmdk", 0, 4, "COWD" },
    { "vhdx", 0, 8, "vhdxfile" }, { "vpc", 0, 8, "conectix" }, { "luks", 0, 6, "LUKS\xba\xbe" },
    { "vdi", 64, 4, "\x7f\x10\xda\xbe" }, { "parallels", 0, 16, "WithoutFreeSpace" },
    { "parallels", 0, 16, "WithouFreSpacExt" }, { "bochs", 0, 22, "Bochs Virtual HD Image" },
};

static const BlockDriver *probe(const uint8_t *buf, size_t n, const char *filename, GError **err)
{
    const BlockDriver *best = NULL;
    int score = 0;

    for (unsigned i = 0; block_drivers[i]; i++) {
        const BlockDriver *d = block_drivers[i];
        int s = d->probe ? d->probe(buf, n, filename) : 0;

        if (s > score) {
            score = s;
            best = d;
        }
    }
    for (unsigned i = 0; best == &driver_raw && i < G_N_ELEMENTS(foreign); i++) {
        const Foreign *f = &foreign[i];

        if (f->offset + f->len <= n && !memcmp(buf + f->offset, f->magic, f->len)) {
            error_set(err, "'%s' is an image in %s format, which is not supported: convert it with "
                      "'qemu-img convert -O qcow2', or give format=raw to take it as it is", filename, f->name);
            return NULL;
        }
    }
    return best;
}

const BlockDriver *node_probe(BlockNode *file, const char *filename, GError **err)
{
    uint8_t buf[PROBE_SIZE] = { 0 };
    struct iovec iov;
    IoVec v = iov_one(&iov, buf, sizeof(buf));
    int64_t len = node_length(file);
    NodeLink l = { .node = file, .perm = PERM_READ };
    int ret;

    if (len <= 0)
        return &driver_raw;
    ret = node_co_read(&l, 0, MIN(len, PROBE_SIZE), &v, 0, 0);
    if (ret < 0) {
        error_set_errno(err, ret, "Could not read image for determining its format");
        return NULL;
    }
    return probe(buf, MIN(len, PROBE_SIZE), filename, err);
}

/* ---- what is shown */

/* Options that every node has, or that say what its children are: no part of its name. */
static bool generic_option(const char *key)
{
    static const char *const names[] = { "driver", "file", "backing", "node-name", "read-only", "auto-read-only", "discard",
                                         "detect-zeroes", "force-share", "data-file", NULL };

    return g_strv_contains(names, key) || g_str_has_prefix(key, "cache.") || g_str_has_prefix(key, "file.") ||
        g_str_has_prefix(key, "backing.") || g_str_has_prefix(key, "data-file.");
}

static json_t *own_options(BlockNode *n)
{
    json_t *o = json_object(), *v;
    const char *key;

    json_object_foreach(n->options, key, v)
        if (!generic_option(key))
            json_object_set(o, key, v);
    return o;
}

/* Nested options that would open the node again. */
static json_t *describe(BlockNode *n)
{
    g_autoptr(json_t) own = own_options(n);
    json_t *j;

    if (n->drv->is_protocol && *n->exact_filename)
        return json_pack("{s:s, s:s}", "driver", n->drv->name, "filename", n->exact_filename);
    j = jopts_crumple(own);
    json_object_set_new(j, "driver", json_string(n->drv->name));
    if (n->file)
        json_object_set_new(j, "file", describe(n->file->node));
    if (n->backing_overridden)
        json_object_set_new(j, "backing", n->backing ? describe(n->backing->node) : json_null());
    return j;
}

void node_refresh_filename(BlockNode *n)
{
    g_autoptr(json_t) own = NULL, j = NULL;
    char *dump;

    if (!n->options || n->drv->is_protocol)
        return;
    own = own_options(n);
    if (!json_object_size(own) && !n->backing_overridden && n->file &&
        (*n->file->node->exact_filename || n->drv->is_filter)) {
        g_free(n->filename);
        g_free(n->exact_filename);
        n->filename = g_strdup(n->file->node->filename);
        n->exact_filename = g_strdup(n->file->node->exact_filename);
        return;
    }
    j = describe(n);
    dump = json_dump_ranked(j);
    g_free(n->filename);
    n->filename = g_strconcat("json:", dump, NULL);
    g_free(dump);
    g_free(n->exact_filename);
    n->exact_filename = g_strdup("");
}
