/* -blockdev, blockdev-add and blockdev-del: nodes that the user names and owns. */
#include <string.h>
#include "block/graph.h"
#include "block/options.h"
#include "util/error.h"

/* opts: flat, taken over */
static bool add_flat(json_t *opts, GError **err)
{
    BlockNode *n;
    bool ok = false;

    if (!jopts_get(opts, "driver"))
        error_set(err, "Parameter 'driver' is missing");
    else if (!driver_find(jopts_get(opts, "driver")))
        error_set(err, "Parameter 'driver' does not accept value '%s'", jopts_get(opts, "driver"));
    else if (!driver_find(jopts_get(opts, "driver"))->is_protocol && !jopts_get(opts, "file") && !jopts_has_prefix(opts, "file."))
        error_set(err, "Parameter 'file' is missing");
    else if (!jopts_get(opts, "node-name"))
        error_set(err, "'node-name' must be specified for the root node");
    else
        ok = true;
    if (!ok) {
        json_decref(opts);
        return false;
    }
    n = node_open(NULL, opts, OPEN_RDWR, err);
    if (!n)
        return false;
    n->blockdev = true;
    return true;
}

bool blockdev_add_string(const char *optstr, GError **err)
{
    json_t *o = *optstr == '{' ? jopts_from_json(optstr, err) : jopts_parse(optstr, "driver", err);

    return o ? add_flat(o, err) : false;
}

bool blockdev_add(json_t *options, GError **err)
{
    json_t *flat = json_object();

    jopts_flatten(flat, "", options);
    return add_flat(flat, err);
}

bool blockdev_del(const char *node_name, GError **err)
{
    BlockNode *n = node_by_name(node_name);

    if (!n)
        return error_set(err, "Failed to find node with node-name='%s'", node_name);
    for (NodeLink *l = n->parents; l; l = l->next_parent)
        if (l->parent_blk)
            return error_set(err, "Node %s is in use", node_name);
    if (!n->blockdev)
        return error_set(err, "Node %s is not owned by the monitor", node_name);
    if (n->refs > 1)
        return error_set(err, "Block device %s is in use", node_name);
    n->blockdev = false;
    node_unref(n);
    return true;
}
