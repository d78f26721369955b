/* Snapshots that are files of their own: a new, empty image over the one that was written to. */
#include <string.h>
#include "block/graph-ops.h"
#include "block/job-mirror.h"
#include "block/options.h"
#include "block/snapshot-ops.h"
#include "util/error.h"

static const char *str(json_t *o, const char *key)
{
    return json_string_value(json_object_get(o, key));
}

/* What stands in the way of a snapshot of n. */
static bool may_snapshot(BlockNode *n, GError **err)
{
    if (!node_not_busy(n, err))
        return false;
    for (NodeLink *l = n->parents; l; l = l->next_parent)
        if (l->parent_node && (l->role & ROLE_COW))
            return error_set(err, "Node '%s' is busy: node is used as backing hd of '%s'", node_user_name(n),
                             l->parent_node->name);
    return true;
}

/* The overlay goes over old. */
static bool append(SnapshotExt *s, GError **err)
{
    if (s->overlay->backing)
        return error_set(err, "The overlay already has a backing image");
    if (!s->overlay->drv->supports_backing)
        return error_set(err, "The overlay does not support backing images");
    if (!node_set_backing(s->overlay, s->old, err))
        return false;
    if (!node_replace(s->old, s->overlay, err)) {
        node_set_backing(s->overlay, NULL, NULL);
        return false;
    }
    s->in_place = true;
    return true;
}

static BlockNode *make_overlay(SnapshotExt *s, json_t *args, GError **err)
{
    const char *file = str(args, "snapshot-file"), *fmt = str(args, "format"), *mode = str(args, "mode"),
               *name = str(args, "snapshot-node-name");

    if (str(args, "node-name") && !name)
        return error_set(err, "New overlay node-name missing"), NULL;
    if (name && (node_by_name(name) || blk_by_name(name)))
        return error_set(err, "New overlay node-name already in use"), NULL;
    fmt = fmt ? fmt : "qcow2";
    if ((!mode || strcmp(mode, "existing")) && !job_create_target(file, fmt, node_length(s->old), s->old, err))
        return NULL;
    return job_open_target(file, fmt, name, s->old, OPEN_NO_BACKING, err);
}

bool snapshot_ext_prepare(SnapshotExt *s, json_t *args, bool sync, GError **err)
{
    const char *device = sync ? str(args, "device") : str(args, "node");
    BlockNode *n = block_lookup(device, sync ? str(args, "node-name") : device, err);
    int ret;

    s->old = n ? node_ref(n) : NULL;
    if (!n || !may_snapshot(n, err))
        return false;
    ret = n->read_only ? 0 : node_flush_sync(n);
    if (ret < 0)
        return error_set_errno(err, ret, "Write to node '%s' failed", node_user_name(n));
    if (sync) {
        s->overlay = make_overlay(s, args, err);
    } else {
        s->overlay = block_lookup(str(args, "overlay"), str(args, "overlay"), err);
        if (s->overlay && node_drive(s->overlay))
            return error_set(err, "The overlay is already in use");
        if (s->overlay)
            node_ref(s->overlay);
    }
    return s->overlay && append(s, err);
}

void snapshot_ext_commit(SnapshotExt *s)
{
    if (!s->old->read_only)
        node_reopen(s->old, false, NULL);
    node_refresh_names_above(s->overlay);
}

void snapshot_ext_abort(SnapshotExt *s)
{
    if (s->in_place && !node_replace(s->overlay, s->old, NULL))
        warn_report("node '%s' could not be put back", s->old->name);
    if (s->in_place)
        node_set_backing(s->overlay, NULL, NULL);
}

void snapshot_ext_clean(SnapshotExt *s)
{
    if (s->overlay)
        node_unref(s->overlay);
    if (s->old)
        node_unref(s->old);
}
