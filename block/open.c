/*
 * From a name and options to a node: protocols in names, probing, backing chains, temporary overlays.
 *
 * A backing chain is opened from the top in a loop, not by recursion, and a file that names an image above it as
 * its backing file is refused: images are not trusted.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "block/aio.h"
#include "block/graph.h"
#include "block/options.h"
#include "util/error.h"

#define MAX_DEPTH 200                   /* layers, and nested protocols */

static unsigned nesting;                /* of node_open in itself (machine lock; opening never yields) */

/* What "json:{...}" or plain options say: filename is NULL afterwards when it was JSON. */
static bool merge_json(const char **filename, json_t *opts, GError **err)
{
    GError *e = NULL;
    json_t *j, *v;
    const char *key;

    if (!*filename || !g_str_has_prefix(*filename, "json:"))
        return true;
    j = jopts_from_json(*filename, &e);
    if (!j) {
        if (g_str_has_prefix(e->message, "Must "))
            error_set(err, "Invalid JSON object given");
        else
            error_set(err, "Could not parse the JSON options: %s", e->message);
        g_error_free(e);
        return false;
    }
    json_object_foreach(j, key, v)
        if (!json_object_get(opts, key))
            json_object_set(opts, key, v);
    json_decref(j);
    *filename = NULL;
    return true;
}

/* ---- one node */

/* Generic options of every node, on top of the flags that it inherits. */
static bool take_flags(json_t *opts, unsigned *flags, int *detect_zeroes, GError **err)
{
    static const char *const discards[] = { "ignore", "off", "unmap", "on", NULL };
    static const char *const detects[] = { "off", "on", "unmap", NULL };
    bool ro = !(*flags & OPEN_RDWR), auto_ro = *flags & OPEN_AUTO_RDONLY, direct = *flags & OPEN_DIRECT,
         no_flush = *flags & OPEN_NO_FLUSH, share = *flags & OPEN_FORCE_SHARE;
    int discard = *flags & OPEN_UNMAP ? 2 : 0;

    if (!jopts_take_bool(opts, "read-only", &ro, err) || !jopts_take_bool(opts, "auto-read-only", &auto_ro, err) ||
        !jopts_take_bool(opts, "cache.direct", &direct, err) || !jopts_take_bool(opts, "cache.no-flush", &no_flush, err) ||
        !jopts_take_bool(opts, "force-share", &share, err) ||
        !jopts_take_enum(opts, "detect-zeroes", detects, detect_zeroes, err))
        return false;
    if (jopts_get(opts, "discard") && !jopts_take_enum(opts, "discard", discards, &discard, NULL))
        return error_set(err, "Invalid discard option");
    json_object_del(opts, "cache.writeback");
    *flags &= ~(OPEN_RDWR | OPEN_AUTO_RDONLY | OPEN_DIRECT | OPEN_NO_FLUSH | OPEN_FORCE_SHARE | OPEN_UNMAP);
    *flags |= (ro ? 0 : OPEN_RDWR) | (auto_ro ? OPEN_AUTO_RDONLY : 0) | (direct ? OPEN_DIRECT : 0) |
        (no_flush ? OPEN_NO_FLUSH : 0) | (share ? OPEN_FORCE_SHARE : 0) | (discard >= 2 ? OPEN_UNMAP : 0);
    if (share && !ro)
        return error_set(err, "force-share=on can only be used with read-only images");
    if (*detect_zeroes == 2 && discard < 2)
        return error_set(err, "setting detect-zeroes to unmap is not allowed without setting discard operation to unmap");
    return true;
}

static unsigned child_flags(unsigned flags, unsigned role)
{
    unsigned f = flags & ~(OPEN_SNAPSHOT | OPEN_NO_BACKING | OPEN_COPY_ON_READ | OPEN_CHECK | OPEN_PROTOCOL);

    if (role & ROLE_COW)
        return f & ~(OPEN_RDWR | OPEN_AUTO_RDONLY | OPEN_TEMPORARY | OPEN_UNMAP);
    return f | OPEN_UNMAP | (role & ROLE_METADATA ? OPEN_PROTOCOL : 0);
}

static bool leftover(const BlockDriver *drv, json_t *opts, GError **err)
{
    const char *key;
    json_t *v;

    static const char *const known[] = {
        "aio", "bps", "bps_rd", "bps_wr", "bus", "cache", "cache-size", "cache.direct", "cache.no-flush", "copy-on-read",
        "detect-zeroes", "discard", "driver", "file", "filename", "format", "id", "if", "index", "iops", "iops_rd", "iops_wr",
        "l2-cache-size", "lazy-refcounts", "locking", "media", "node-name", "offset", "overlap-check", "read-only", "readonly",
        "rerror", "serial", "size", "snapshot", "unit", "werror", NULL
    };

    json_object_foreach(opts, key, v) {
        g_autofree char *hint = nearest_hint(key, known);

        return error_set(err, "Block %s '%s' does not support the option '%s'%s", drv->is_protocol ? "protocol" : "format",
                         drv->name, key, hint);
    }
    return true;
}

static bool open_driver(BlockNode *n, json_t *opts, GError **err)
{
    const BlockDriver *drv = n->drv;

    n->read_only = !(n->flags & OPEN_RDWR);
    if (!drv->open(n, opts, n->flags, err))
        return false;
    node_refresh_limits(n);
    node_refresh_filename(n);
    if (n->flags & OPEN_AUTO_RDONLY && n->file && n->file->node->read_only && (n->file->role & (ROLE_METADATA | ROLE_FILTERED)))
        n->read_only = true;
    return leftover(drv, opts, err);
}

/* Opens the node below a format or filter, before that itself, as its name and options say. */
static BlockNode *open_file(const char *filename, json_t *opts, unsigned flags, GError **err)
{
    g_autofree char *ref = jopts_take(opts, "file");
    BlockNode *n;

    if (!ref)
        return node_open(filename, jopts_extract(opts, "file."), child_flags(flags, ROLE_IMAGE), err);
    n = node_by_name(ref);
    if (!n)
        error_set(err, "Cannot find device='%s' nor node-name='%s'", ref, ref);
    return n ? node_ref(n) : NULL;
}

static bool unknown_driver(const char *name, GError **err)
{
    const char *near = driver_nearest(name);

    return error_set(err, "Unknown driver '%s'%s%s%s", name, near ? " (did you mean '" : "", near ? near : "",
                     near ? "'?)" : "");
}

/* The driver of a protocol node; its file name becomes options. */
static bool find_protocol(const char *filename, json_t *opts, const BlockDriver **drv, GError **err)
{
    g_autofree char *name = jopts_take(opts, "driver");
    const char *fn = filename ? filename : jopts_get(opts, "filename");

    if (filename && jopts_get(opts, "filename"))
        return error_set(err, "Can't specify 'file' and 'filename' options at the same time");
    if (!name && !fn)
        return error_set(err, "Must specify either driver or file");
    *drv = name ? driver_find(name) : protocol_of(fn, err);
    if (!*drv)
        return name ? unknown_driver(name, err) : false;
    if (fn && (*drv)->parse_filename && (filename || !name)) {
        g_autofree char *copy = g_strdup(fn);

        json_object_del(opts, "filename");
        return (*drv)->parse_filename(copy, opts, err);
    }
    if (filename)
        jopts_set(opts, "filename", filename);
    return true;
}

/* Settles on the driver, by probing when nothing names one; a format's file is opened for it. */
static bool find_driver(const char *filename, json_t *opts, unsigned flags, const BlockDriver **drv, BlockNode **file,
                        bool *probed, GError **err)
{
    const char *name = jopts_get(opts, "driver");

    if (name) {
        *drv = driver_find(name);
        if (!*drv)
            return unknown_driver(name, err);
    }
    if ((flags & OPEN_PROTOCOL) || (*drv && (*drv)->is_protocol)) {
        if (*drv && !(*drv)->is_protocol && !filename) {
            json_object_del(opts, "driver");
            return true;                /* a format below a format, from options */
        }
        return find_protocol(filename, opts, drv, err);
    }
    if (filename && (jopts_get(opts, "file.filename") || jopts_get(opts, "file")))
        return error_set(err, "Can't specify 'file' and 'filename' options at the same time");
    json_object_del(opts, "driver");
    if (!filename && !jopts_get(opts, "file") && !jopts_has_prefix(opts, "file."))
        return *drv ? true : error_set(err, "Must specify either driver or file");
    *file = open_file(filename, opts, flags, err);
    if (!*file)
        return false;
    jopts_set(opts, "file", (*file)->name);
    if (!*drv) {
        *drv = node_probe(*file, (*file)->filename, err);
        *probed = true;
    }
    return *drv != NULL;
}

static BlockNode *open_one(const char *filename, json_t *opts, unsigned flags, GError **err)
{
    g_autofree char *name = NULL;
    const BlockDriver *drv = NULL;
    BlockNode *n = NULL, *file = NULL;
    json_t *given;
    bool probed = false, ok;
    int detect = 0;

    if (!merge_json(&filename, opts, err))
        return NULL;
    given = json_copy(opts);
    name = jopts_take(opts, "node-name");
    if ((name && !node_name_ok(name, err)) || !take_flags(opts, &flags, &detect, err) ||
        !find_driver(filename, opts, flags, &drv, &file, &probed, err)) {
        json_decref(given);
        if (file)
            node_unref(file);
        return NULL;
    }
    n = node_new(drv, name);
    n->flags = flags;
    n->probed = probed;
    n->detect_zeroes = detect;
    n->options = given;
    if (filename && !drv->is_protocol)
        jopts_set(given, "file.filename", filename);
    ok = open_driver(n, opts, err);
    if (file)
        node_unref(file);
    if (!ok) {
        node_unref(n);
        return NULL;
    }
    return n;
}

/* ---- the chain */

static bool same_file(const char *a, const char *b)
{
    struct stat sa, sb;

    return *a && *b && stat(a, &sa) == 0 && stat(b, &sb) == 0 && sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

/* path is a file that the chain from top to n already goes through. */
static bool is_loop(BlockNode *top, BlockNode *n, const char *path)
{
    for (BlockNode *i = top; i; i = i->backing ? i->backing->node : NULL) {
        if (i->file && same_file(i->file->node->exact_filename, path))
            return true;
        if (i == n)
            break;
    }
    return false;
}

/* Opens what n's header or the options say is its backing file; *next stays NULL when there is none. */
static bool open_backing(BlockNode *top, BlockNode *n, json_t *opts, BlockNode **next, json_t **rest, GError **err)
{
    json_t *bopts = jopts_extract(opts, "backing.");
    g_autofree char *ref = NULL, *path = NULL;
    json_t *v = json_object_get(opts, "backing");
    bool null = v && (json_is_null(v) || (json_is_string(v) && !*json_string_value(v)));
    bool given = jopts_get(bopts, "file.filename") || jopts_get(bopts, "filename") || jopts_get(bopts, "file") ||
        jopts_has_prefix(bopts, "file.") || jopts_get(bopts, "driver");
    GError *e = NULL;

    if (null && json_is_string(v))
        warn_report("Use of \"backing\": \"\" is deprecated; use \"backing\": null instead");
    ref = jopts_take(opts, "backing");
    *rest = bopts;
    if (ref && *ref) {
        BlockNode *b = node_by_name(ref);

        if (!b)
            return error_set(err, "Could not open backing file: Cannot find device='%s' nor node-name='%s'", ref, ref);
        *next = node_ref(b);
        return true;
    }
    if (null || (!n->backing_file && !given))
        return true;
    if (!jopts_has_prefix(bopts, "file.") && !jopts_get(bopts, "file") && !jopts_get(bopts, "filename")) {
        path = n->backing_file ? backing_path(n->file->node->exact_filename[0] ? n->file->node->exact_filename
                                              : n->filename, n->backing_file, &e) : NULL;
        if (path && is_loop(top, n, path))
            error_set(&e, "Backing file '%s' creates an infinite loop.", n->backing_file);
        if (n->backing_format && !jopts_get(bopts, "driver"))
            jopts_set(bopts, "driver", n->backing_format);
    }
    if (!e)
        *next = open_one(path, bopts, child_flags(n->flags, ROLE_COW), &e);
    if (e) {
        error_set(err, "Could not open backing file: %s", e->message);
        g_error_free(e);
        return false;
    }
    return true;
}

static json_t *extract_backing(json_t *opts)
{
    json_t *b = json_object(), *v;
    const char *key;
    void *tmp;

    json_object_foreach_safe(opts, tmp, key, v) {
        if (g_str_has_prefix(key, "backing.") || !strcmp(key, "backing")) {
            json_object_set(b, key, v);
            json_object_del(opts, key);
        }
    }
    return b;
}

static bool open_chain(BlockNode *top, json_t *opts, GError **err)
{
    unsigned depth = 0;
    json_t *o = json_incref(opts);
    bool ok = true;

    for (BlockNode *n = top, *next; n && n->drv->supports_backing && ok; n = next) {
        json_t *rest = NULL, *below;

        next = NULL;
        if (++depth > MAX_DEPTH) {
            ok = error_set(err, "Could not open backing file: the chain is longer than %u images", MAX_DEPTH);
            break;
        }
        /* options of the image below may have "backing.*" of their own */
        below = jopts_extract(o, "backing.backing.");
        ok = open_backing(top, n, o, &next, &rest, err);
        json_decref(rest);
        json_decref(o);
        o = json_object();
        jopts_flatten(o, "backing.", below);
        json_decref(below);
        if (ok && next) {
            bool was_open = next->backing || next->refs > 1;

            ok = node_link(n, next, "backing", ROLE_COW, err) != NULL;
            if (was_open)
                break;
        }
        if (!ok || !next)
            break;
    }
    json_decref(o);
    return ok;
}

/* ---- snapshot=on */

static BlockNode *add_overlay(BlockNode *base, unsigned rdwr, GError **err)
{
    const char *dir = g_getenv("TMPDIR");
    g_autofree char *path = g_strdup_printf("%s/vl.XXXXXX", dir ? dir : "/var/tmp");
    int fd = g_mkstemp_full(path, O_RDWR | O_CLOEXEC, 0600);
    json_t *copts = json_object(), *opts = json_object();
    g_autofree char *size = g_strdup_printf("%" PRId64, node_length(base));
    BlockNode *top;

    if (fd < 0) {
        error_set_errno(err, errno, "Could not get temporary filename");
        json_decref(copts);
        json_decref(opts);
        return NULL;
    }
    close(fd);
    jopts_set(copts, "size", size);
    jopts_set(opts, "driver", "qcow2");
    if (!image_create(path, "qcow2", copts, err)) {
        unlink(path);
        json_decref(opts);
        return NULL;
    }
    top = open_one(path, opts, rdwr | OPEN_TEMPORARY | OPEN_NO_FLUSH | OPEN_UNMAP | (base->flags & OPEN_COPY_ON_READ),
                   err);
    json_decref(opts);
    unlink(path);
    if (top && !node_link(top, node_ref(base), "backing", ROLE_COW, err)) {
        node_unref(top);
        top = NULL;
    }
    if (top) {
        top->backing_overridden = true;
        node_refresh_filename(top);
    }
    return top;
}

/* ---- the way in */

typedef struct OpenArgs { const char *filename; json_t *opts; unsigned flags; GError **err; BlockNode *n; } OpenArgs;

static void open_co(void *opaque)
{
    OpenArgs *a = opaque;
    unsigned flags = a->flags;
    json_t *backing;
    BlockNode *n;

    if (nesting >= MAX_DEPTH) {
        error_set(a->err, "too many nested images");
        return;
    }
    nesting++;
    if (!merge_json(&a->filename, a->opts, a->err)) {
        nesting--;
        return;
    }
    backing = extract_backing(a->opts);
    if (flags & OPEN_SNAPSHOT)
        flags &= ~(OPEN_RDWR | OPEN_SNAPSHOT);
    n = open_one(a->filename, a->opts, flags, a->err);
    if (n && json_object_size(backing) && !n->drv->supports_backing) {
        leftover(n->drv, backing, a->err);
        node_unref(n);
        n = NULL;
    }
    if (n && !(flags & OPEN_NO_BACKING)) {
        bool ok;

        n->backing_overridden = json_object_size(backing);
        ok = open_chain(n, backing, a->err);
        if (ok && n->backing_overridden)
            node_refresh_filename(n);
        if (!ok) {
            node_unref(n);
            n = NULL;
        }
    }
    json_decref(backing);
    if (n && (a->flags & OPEN_SNAPSHOT)) {
        BlockNode *top = add_overlay(n, a->flags & OPEN_RDWR, a->err);

        node_unref(n);
        n = top;
    }
    nesting--;
    a->n = n;
}

BlockNode *node_open(const char *filename, json_t *opts, unsigned flags, GError **err)
{
    OpenArgs a = { filename, opts ? opts : json_object(), flags, err, NULL };

    aio_run_sync(open_co, &a);
    json_decref(a.opts);
    return a.n;
}

NodeLink *node_open_child(BlockNode *n, const char *filename, json_t *opts, const char *name, unsigned role,
                          bool allow_none, GError **err)
{
    g_autofree char *prefix = g_strconcat(name, ".", NULL);
    g_autofree char *ref = jopts_take(opts, name);
    json_t *copts = jopts_extract(opts, prefix);
    BlockNode *child;

    if (ref) {
        child = node_by_name(ref);
        json_decref(copts);
        if (!child) {
            error_set(err, "Cannot find device='%s' nor node-name='%s'", ref, ref);
            return NULL;
        }
        node_ref(child);
    } else {
        if (!filename && !json_object_size(copts)) {
            json_decref(copts);
            if (!allow_none)
                error_set(err, "A block device must be specified for \"%s\"", name);
            return NULL;
        }
        child = node_open(filename, copts, child_flags(n->flags, role | ROLE_METADATA), err);
    }
    return child ? node_link(n, child, name, role, err) : NULL;
}
