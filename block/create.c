/* Creating images. */
#include "block/aio.h"
#include "block/graph.h"
#include "block/options.h"
#include "util/error.h"

typedef struct CreateArgs {
    const BlockDriver *drv;
    const char *filename;
    json_t *opts;
    GError **err;
    bool ok;
} CreateArgs;

static void create_co(void *opaque)
{
    CreateArgs *a = opaque;
    const char *key;
    json_t *v;

    a->ok = a->drv->create(a->filename, a->opts, a->err);
    if (!a->ok)
        return;
    json_object_foreach(a->opts, key, v) {
        a->ok = error_set(a->err, "Invalid parameter '%s'", key);
        return;
    }
}

bool protocol_create(const char *filename, json_t *opts, GError **err)
{
    const BlockDriver *d = protocol_of(filename, err);

    if (d == &driver_host_device)
        d = &driver_file;
    if (d && !d->create)
        return error_set(err, "Protocol driver '%s' does not support image creation", d->name);
    return d && d->create(filename, opts, err);
}

bool image_create(const char *filename, const char *fmt, json_t *opts, GError **err)
{
    CreateArgs a = { driver_find(fmt), filename, opts, err, false };

    if (!a.drv) {
        const char *near = driver_nearest(fmt);

        error_set(err, "Unknown file format '%s'%s%s%s", fmt, near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
    } else if (!a.drv->create) {
        error_set(err, "Format driver '%s' does not support image creation", fmt);
    } else {
        aio_run_sync(create_co, &a);
    }
    json_decref(opts);
    return a.ok;
}
