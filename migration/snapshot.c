/*
 * Internal snapshots of the machine: one in each writable image, and a migration stream in the first.
 *
 * The stream goes into the image's area behind the disk's end (snapshot-state.c); that area is the snapshot's alone, so it
 * is discarded from the active image when the snapshot has been taken.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include "block/aio.h"
#include "block/graph.h"
#include "block/image-info.h"
#include "migration/migration.h"
#include "migration/ram-lazy.h"
#include "migration/savevm.h"
#include "migration/snapshot.h"
#include "migration/snapshot-state.h"
#include "util/error.h"
#include "util/loop.h"

/* ---- The images ---- */

typedef struct Image {
    BlockNode *node;
    const char *name;           /* of its drive, or its own */
    SnapshotInfo *list;
    int count;
} Image;

static void free_images(GArray *images)
{
    for (unsigned i = 0; i < images->len; i++)
        g_free(g_array_index(images, Image, i).list);
    g_array_unref(images);
}

static Image *nth(GArray *images, unsigned i)
{
    return &g_array_index(images, Image, i);
}

static void list_co(void *opaque)
{
    Image *i = opaque;

    i->count = i->node->drv->snapshot_list(i->node, &i->list);
}

static bool add_image(GArray *images, BlockNode *n, const char *name, GError **err)
{
    Image i = { n, name };

    if (!n->drv->snapshot_create || !n->drv->co_vmstate)
        return error_set(err, "Device '%s' is writable but does not support snapshots", name);
    aio_run_sync(list_co, &i);
    g_array_append_val(images, i);
    return true;
}

/* The same for nodes by name; the one that has the machine's state comes first. */
static GArray *find_nodes(const SnapshotSet *set, GError **err)
{
    GArray *images = g_array_new(false, true, sizeof(Image));
    bool ok = set->nodes[0] || error_set(err, "At least one device is required for snapshot");
    bool found = !set->vmstate;

    for (unsigned i = 0; ok && set->nodes[i]; i++) {
        BlockNode *n = node_by_name(set->nodes[i]);

        ok = n || error_set(err, "No block device node '%s'", set->nodes[i]);
        ok = ok && (n->read_only || add_image(images, node_skip_filters(n), set->nodes[i], err));
        if (ok && !found && !n->read_only && !strcmp(set->nodes[i], set->vmstate)) {
            Image first = nth(images, images->len - 1)[0];

            g_array_remove_index(images, images->len - 1);
            g_array_prepend_val(images, first);
            found = true;
        }
    }
    ok = ok && (found || error_set(err, "vmstate block device '%s' does not exist", set->vmstate));
    ok = ok && (images->len || error_set(err, "no block device can store vmstate for snapshot"));
    if (!ok)
        g_clear_pointer(&images, free_images);
    return images;
}

/* The images that a snapshot is of: the first can hold the machine's state. NULL with err. */
static GArray *find_images(bool strict, GError **err)
{
    GArray *images = g_array_new(false, true, sizeof(Image));

    for (BlockBackend *b = blk_next(NULL); b; b = blk_next(b)) {
        BlockNode *top = blk_node(b), *n = top ? node_skip_filters(top) : NULL;
        Image i = { n, n && *blk_name(b) ? blk_name(b) : n ? n->name : NULL };

        if (!n || n->read_only)
            continue;
        if (!n->drv->snapshot_create || !n->drv->co_vmstate) {
            if (!strict)
                continue;
            error_set(err, "Device '%s' is writable but does not support snapshots", i.name);
            free_images(images);
            return NULL;
        }
        aio_run_sync(list_co, &i);
        g_array_append_val(images, i);
    }
    if (!images->len) {
        error_set(err, "no block device can store vmstate for snapshot");
        free_images(images);
        return NULL;
    }
    return images;
}

static const SnapshotInfo *find_in(const Image *i, const char *name)
{
    for (int k = 0; k < i->count; k++)
        if (!strcmp(i->list[k].name, name))
            return &i->list[k];
    return NULL;
}

typedef struct Action {
    BlockNode *node;
    char what;                  /* create, goto, delete */
    const SnapshotInfo *sn;
    bool ok;
    GError *err;
} Action;

static void action_co(void *opaque)
{
    Action *a = opaque;
    const BlockDriver *d = a->node->drv;

    a->ok = a->what == 'c' ? d->snapshot_create(a->node, a->sn, &a->err)
            : a->what == 'g' ? d->snapshot_goto(a->node, a->sn->id, &a->err) : d->snapshot_delete(a->node, a->sn->id, &a->err);
}

static bool act(const Image *i, char what, const SnapshotInfo *sn, GError **err)
{
    static const struct { char what; const char *text; } texts[] = { { 'c', "creating" }, { 'g', "loading" }, { 'd', "deleting" } };
    Action a = { i->node, what, sn };

    aio_run_sync(action_co, &a);
    for (unsigned t = 0; t < G_N_ELEMENTS(texts); t++)
        if (!a.ok && texts[t].what == what)
            error_set(err, "Error while %s snapshot '%s' on '%s'%s%s", texts[t].text, sn->name, i->name, a.err ? ": " : "",
                      a.err ? a.err->message : "");
    g_clear_error(&a.err);
    return a.ok;
}

/* ---- savevm ---- */

static bool write_stream(Machine *m, RunState was, StateChannel *c, GError **err)
{
    MigStream *s = stream_new(state_channel_base(c));
    RamSave *r = ram_save_new(m, true);
    bool ok;
    int ret;

    save_header(s, m);
    ram_save_setup(r, s);
    ram_save_send(r, s, UINT64_MAX, true);
    ram_save_free(r);
    save_devices(s, m, was);
    ok = stream_flush(s) || stream_failed(s, err);
    stream_free(s);
    ret = state_channel_finish(c);
    return ok && (ret == 0 || error_set_errno(err, ret, "cannot write the machine's state"));
}

static bool delete_all(GArray *images, const char *name, GError **err)
{
    for (unsigned i = 0; i < images->len; i++) {
        const SnapshotInfo *sn = find_in(nth(images, i), name);

        if (sn && !act(nth(images, i), 'd', sn, err))
            return false;
    }
    return true;
}

/* In all images or in none. */
static bool create_all(GArray *images, SnapshotInfo *sn, GError **err)
{
    uint64_t size = sn->vm_state_size;
    unsigned i = 0;

    while (i < images->len) {
        sn->vm_state_size = i ? 0 : size;
        if (!act(nth(images, i), 'c', sn, err))
            break;
        i++;
    }
    if (i == images->len)
        return true;
    while (i-- > 0) {
        Image *image = nth(images, i);

        g_clear_pointer(&image->list, g_free);
        aio_run_sync(list_co, image);
        if (find_in(image, sn->name))
            act(image, 'd', find_in(image, sn->name), NULL);
    }
    return false;
}

static void name_it(Machine *m, SnapshotInfo *sn, const char *name)
{
    struct timeval now;
    struct tm tm;

    gettimeofday(&now, NULL);
    sn->date_sec = now.tv_sec;
    sn->date_nsec = now.tv_usec * 1000;
    sn->vm_clock_ns = clock_now(m);
    sn->icount = UINT64_MAX;
    localtime_r(&now.tv_sec, &tm);
    if (name)
        g_strlcpy(sn->name, name, sizeof sn->name);
    else
        strftime(sn->name, sizeof sn->name, "vm-%Y%m%d%H%M%S", &tm);
}

static bool may_snapshot(Machine *m, GError **err)
{
    if (!migration_is_idle())
        return error_set(err, "There's a migration process in progress");
    if (machine_state(m) == RUN_INMIGRATE)
        return error_set(err, "Guest is waiting for an incoming migration");
    return !block_is_inactive() || error_set(err, "The images belong to another process since a migration");
}

static bool is_new(GArray *images, const char *name, GError **err)
{
    for (unsigned i = 0; i < images->len; i++)
        if (find_in(nth(images, i), name))
            return error_set(err, "Snapshot '%s' already exists in one or more devices", name);
    return true;
}

/* set: those nodes, and a name that is new; NULL: all images, and one of the same name is replaced. */
static bool save(Machine *m, const char *name, const SnapshotSet *set, GError **err)
{
    RunState was = machine_state(m);
    SnapshotInfo sn = { 0 };
    StateChannel *c;
    GArray *images;
    bool ok;

    if (!may_snapshot(m, err))
        return false;
    images = set ? find_nodes(set, err) : find_images(true, err);
    if (!images)
        return false;
    if (set && !is_new(images, name, err)) {
        free_images(images);
        return false;
    }
    if (was == RUN_RUNNING)
        machine_stop(m, RUN_SAVE_VM);
    name_it(m, &sn, name);
    c = state_channel_new(nth(images, 0)->node, 0);
    ok = delete_all(images, sn.name, err) && write_stream(m, was, c, err);
    sn.vm_state_size = state_channel_size(c);
    ok = ok && create_all(images, &sn, err);
    state_channel_discard(c);
    state_channel_free(c);
    free_images(images);
    if (was == RUN_RUNNING)
        machine_start(m);
    return ok;
}

bool snapshot_save(Machine *m, const char *name, GError **err)
{
    return save(m, name, NULL, err);
}

/* ---- loadvm ---- */

static bool read_stream(Machine *m, BlockNode *n, uint64_t size, GError **err)
{
    StateChannel *c = state_channel_new(n, size);
    MigStream *s = stream_new(state_channel_base(c));
    LoadResult res = { 0 };
    bool ok;

    machine_unlock();
    ok = load_stream(s, m, &res, err);
    machine_lock();
    stream_free(s);
    state_channel_discard(c);
    state_channel_free(c);
    return ok;
}

static bool check_all(GArray *images, const char *name, GError **err)
{
    for (unsigned i = 0; i < images->len; i++)
        if (!find_in(nth(images, i), name))
            return error_set(err, "Snapshot '%s' does not exist in one or more devices", name);
    return find_in(nth(images, 0), name)->vm_state_size ||
           error_set(err, "This is a disk-only snapshot. Revert to it offline using qemu-img");
}

static bool load_all(Machine *m, GArray *images, const char *name, GError **err)
{
    if (!check_all(images, name, err))
        return false;
    blk_drain_all();
    ram_lazy_drop();
    for (unsigned i = 0; i < images->len; i++)
        if (!act(nth(images, i), 'g', find_in(nth(images, i), name), err))
            return false;
    machine_reset_now(m, CAUSE_SNAPSHOT_LOAD);
    return read_stream(m, nth(images, 0)->node, find_in(nth(images, 0), name)->vm_state_size, err);
}

static bool load(Machine *m, const char *name, const SnapshotSet *set, GError **err)
{
    bool was_running = machine_is_running(m), ok;
    GArray *images;

    if (!may_snapshot(m, err))
        return false;
    images = set ? find_nodes(set, err) : find_images(true, err);
    if (!images)
        return false;
    if (was_running)
        machine_stop(m, RUN_RESTORE_VM);
    ok = load_all(m, images, name, err);
    free_images(images);
    if (was_running && ok)
        machine_start(m);
    return ok;
}

bool snapshot_load(Machine *m, const char *name, GError **err)
{
    return load(m, name, NULL, err);
}

/* ---- delvm, info snapshots ---- */

static bool delete(const char *name, const SnapshotSet *set, GError **err)
{
    GArray *images = set ? find_nodes(set, err) : find_images(true, err);
    bool ok = images && delete_all(images, name, err);

    if (images)
        free_images(images);
    return ok;
}

bool snapshot_delete(const char *name, GError **err)
{
    return delete(name, NULL, err);
}

bool snapshot_on_nodes(Machine *m, SnapshotVerb what, const char *name, const SnapshotSet *set, GError **err)
{
    return what == SNAPSHOT_SAVE ? save(m, name, set, err) : what == SNAPSHOT_LOAD ? load(m, name, set, err) : delete(name, set, err);
}

static bool is_global(GArray *images, const char *name)
{
    for (unsigned i = 0; i < images->len; i++)
        if (!find_in(nth(images, i), name))
            return false;
    return true;
}

static void list_global(GString *out, GArray *images, bool complete)
{
    const Image *first = nth(images, 0);
    bool any = false;

    g_string_append(out, "List of snapshots present on all disks:\n");
    for (int k = 0; k < first->count; k++) {
        SnapshotInfo sn = first->list[k];

        if (!complete || !is_global(images, sn.name))
            continue;
        if (!any) {
            snapshot_print(out, NULL);
            g_string_append_c(out, '\n');
        }
        any = true;
        g_strlcpy(sn.id, "--", sizeof sn.id);
        snapshot_print(out, &sn);
        g_string_append_c(out, '\n');
    }
    if (!any)
        g_string_append(out, "None\n");
}

static void list_partial(GString *out, GArray *images, const Image *i, bool complete)
{
    bool any = false;

    for (int k = 0; k < i->count; k++) {
        if (complete && is_global(images, i->list[k].name))
            continue;
        if (!any) {
            g_string_append_printf(out, "\nList of partial (non-loadable) snapshots on '%s':\n", i->name);
            snapshot_print(out, NULL);
            g_string_append_c(out, '\n');
        }
        any = true;
        snapshot_print(out, &i->list[k]);
        g_string_append_c(out, '\n');
    }
}

bool snapshot_list(GString *out, GError **err)
{
    GArray *all = find_images(true, NULL), *images = all ? all : find_images(false, err);
    bool any = false;

    if (!images)
        return false;
    for (unsigned i = 0; i < images->len; i++)
        any |= nth(images, i)->count > 0;
    if (!any) {
        g_string_append(out, "There is no snapshot available.\n");
    } else {
        list_global(out, images, all != NULL);
        for (unsigned i = 0; i < images->len; i++)
            list_partial(out, images, nth(images, i), all != NULL);
    }
    free_images(images);
    return true;
}
