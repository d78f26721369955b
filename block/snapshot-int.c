/* Snapshots inside images, without the machine's state. */
#include <string.h>
#include "block/aio.h"
#include "block/graph-ops.h"
#include "block/job.h"
#include "block/snapshot-ops.h"
#include "util/error.h"

typedef struct Call {
    BlockNode *n;
    const SnapshotInfo *sn;
    const char *which;
    SnapshotInfo *list;
    int count;
    GError **err;
    bool ok;
} Call;

static void list_co(void *opaque)
{
    Call *c = opaque;

    c->count = c->n->drv->snapshot_list(c->n, &c->list);
}

static void create_co(void *opaque)
{
    Call *c = opaque;

    c->ok = c->n->drv->snapshot_create(c->n, c->sn, c->err);
}

static void delete_co(void *opaque)
{
    Call *c = opaque;

    c->ok = c->n->drv->snapshot_delete(c->n, c->which, c->err);
}

/* By id and by name, as far as they are given. */
static bool find(BlockNode *n, const char *id, const char *name, SnapshotInfo *found)
{
    Call c = { .n = n };
    bool ok = false;

    aio_run_sync(list_co, &c);
    for (int i = 0; i < c.count && !ok; i++) {
        ok = (!id || !strcmp(c.list[i].id, id)) && (!name || !strcmp(c.list[i].name, name));
        if (ok)
            *found = c.list[i];
    }
    if (c.count >= 0)
        g_free(c.list);
    return ok;
}

static BlockNode *root_of(const char *device, GError **err)
{
    BlockNode *n = node_skip_filters(block_lookup(device, device, err));

    return n && node_not_busy(n, err) ? n : NULL;
}

bool snapshot_int_create(json_t *args, BlockNode **made, GError **err)
{
    const char *device = json_string_value(json_object_get(args, "device")), *name = json_string_value(json_object_get(args, "name"));
    BlockNode *n = root_of(device, err);
    int64_t now = g_get_real_time();
    SnapshotInfo sn = { .date_sec = now / 1000000, .date_nsec = now % 1000000 * 1000, .icount = UINT64_MAX }, old;
    Call c = { .n = n, .sn = &sn, .err = err };

    if (!n)
        return false;
    if (n->read_only)
        return error_set(err, "Device '%s' is read only", device);
    if (!n->drv->snapshot_create)
        return error_set(err, "Block format '%s' used by device '%s' does not support internal snapshots", n->drv->name, device);
    if (!*name)
        return error_set(err, "Name is empty");
    if (find(n, NULL, name, &old))
        return error_set(err, "Snapshot with name '%s' already exists on device '%s'", name, device);
    g_strlcpy(sn.name, name, sizeof(sn.name));
    aio_run_sync(create_co, &c);
    if (c.ok && made)
        *made = n;
    return c.ok;
}

bool snapshot_int_delete(BlockNode *n, const char *which, GError **err)
{
    Call c = { .n = n, .which = which, .err = err };

    aio_run_sync(delete_co, &c);
    return c.ok;
}

bool blockdev_snapshot_internal(json_t *args, GError **err)
{
    bool ok;

    block_quiesce_begin();
    ok = snapshot_int_create(args, NULL, err);
    block_quiesce_end();
    return ok;
}

json_t *blockdev_snapshot_delete_internal(json_t *args, GError **err)
{
    const char *device = json_string_value(json_object_get(args, "device")), *name = json_string_value(json_object_get(args, "name")),
               *id = json_string_value(json_object_get(args, "id"));
    BlockNode *n = root_of(device, err);
    SnapshotInfo sn;
    bool ok;

    if (!n)
        return NULL;
    if (!id && !name)
        return error_set(err, "Name or id must be provided"), NULL;
    if (!n->drv->snapshot_delete)
        return error_set(err, "Block format '%s' used by device '%s' does not support internal snapshots", n->drv->name, device), NULL;
    block_quiesce_begin();
    ok = find(n, id, name, &sn);
    if (!ok)
        error_set(err, "Snapshot with id '%s' and name '%s' does not exist on device '%s'", id ? id : "null", name ? name : "null",
                  device);
    ok = ok && snapshot_int_delete(n, sn.id, err);
    block_quiesce_end();
    if (!ok)
        return NULL;
    return json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I}", "id", sn.id, "name", sn.name, "vm-state-size",
                     (json_int_t)sn.vm_state_size, "date-sec", (json_int_t)sn.date_sec, "date-nsec", (json_int_t)sn.date_nsec,
                     "vm-clock-sec", (json_int_t)(sn.vm_clock_ns / 1000000000), "vm-clock-nsec",
                     (json_int_t)(sn.vm_clock_ns % 1000000000));
}
