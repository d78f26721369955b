/* The graph: nodes, links, names, life times. */
#include <string.h>
#include "block/aio.h"
#include "block/bitmap.h"
#include "block/graph-ops.h"
#include "block/options.h"
#include "util/error.h"
#include "util/opts.h"

static BlockNode *nodes, **nodes_last = &nodes;
static unsigned name_counter;

const char *const prealloc_names[] = { "off", "metadata", "falloc", "full", NULL };

const BlockDriver *const block_drivers[] = {
    &driver_blkdebug, &driver_blkverify, &driver_copy_on_read, &driver_cbw, &driver_file, &driver_host_device, &driver_null_aio,
    &driver_null_co, &driver_qcow2, &driver_raw,
#ifdef CONFIG_NBD
    &driver_nbd,
#endif
#ifdef CONFIG_RBD
    &driver_rbd,
#endif
    NULL,
};

const BlockDriver *block_test_driver;

const BlockDriver *driver_find(const char *name)
{
    if (block_test_driver && !strcmp(block_test_driver->name, name))
        return block_test_driver;
    for (unsigned i = 0; block_drivers[i]; i++)
        if (!strcmp(block_drivers[i]->name, name))
            return block_drivers[i];
    return NULL;
}

const char *driver_nearest(const char *name)
{
    const char *names[G_N_ELEMENTS(block_drivers)] = { NULL };

    for (unsigned i = 0; block_drivers[i]; i++)
        names[i] = block_drivers[i]->name;
    return nearest_name(name, names);
}

/* ---- names */

BlockNode *node_by_name(const char *name)
{
    for (BlockNode *n = nodes; n; n = n->next)
        if (!strcmp(n->name, name))
            return n;
    return NULL;
}

BlockNode *node_next(BlockNode *n)
{
    return n ? n->next : nodes;
}

bool node_name_ok(const char *name, GError **err)
{
    if (!id_wellformed(name))
        return error_set(err, "Invalid node-name: '%s'", name);
    if (strlen(name) > 31)
        return error_set(err, "Node name too long");
    if (blk_by_name(name))
        return error_set(err, "node-name=%s is conflicting with a device id", name);
    if (node_by_name(name))
        return error_set(err, "Duplicate nodes with node-name='%s'", name);
    return true;
}

/* ---- life */

BlockNode *node_new(const BlockDriver *drv, const char *name)
{
    BlockNode *n = g_new0(BlockNode, 1);

    n->name = name ? g_strdup(name) : g_strdup_printf("#block%u%02d", name_counter++, g_random_int_range(0, 100));
    n->drv = drv;
    n->state = g_malloc0(MAX(drv->state_size, 1));
    n->refs = 1;
    n->links = g_ptr_array_new();
    n->filename = g_strdup("");
    n->exact_filename = g_strdup("");
    n->limits = (NodeLimits){ .request_align = 1, .mem_align = 1 };
    *nodes_last = n;
    nodes_last = &n->next;
    return n;
}

BlockNode *node_ref(BlockNode *n)
{
    n->refs++;
    return n;
}

static void close_co(void *opaque)
{
    BlockNode *n = opaque;

    if (n->drv->close)
        n->drv->close(n);
}

static void node_free(BlockNode *n)
{
    BlockNode **p = &nodes;

    g_assert(!n->parents && !n->tracked);
    AIO_WAIT_WHILE(n->in_flight);
    aio_run_sync(close_co, n);
    while (n->links->len)
        node_unlink(n, g_ptr_array_index(n->links, n->links->len - 1));
    while (*p != n)
        p = &(*p)->next;
    *p = n->next;
    if (!n->next)
        nodes_last = p;
    g_ptr_array_free(n->links, TRUE);
    node_bitmaps_free(n);
    if (n->options)
        json_decref(n->options);
    g_free(n->state);
    g_free(n->name);
    g_free(n->filename);
    g_free(n->exact_filename);
    g_free(n->backing_file);
    g_free(n->backing_format);
    g_free(n);
}

void node_unref(BlockNode *n)
{
    g_assert(n->refs);
    if (--n->refs == 0)
        node_free(n);
}

/* ---- links */

static NodeLink *link_new(BlockNode *child, const char *name, unsigned role)
{
    NodeLink *l = g_new0(NodeLink, 1), **p = &child->parents;

    l->node = child;
    l->name = g_strdup(name);
    l->role = role;
    l->shared = PERM_ALL;
    while (*p)
        p = &(*p)->next_parent;
    *p = l;
    return l;
}

/* Takes the link off its child, and the reference that went with it. */
static void link_free(NodeLink *l)
{
    NodeLink **p = &l->node->parents;
    BlockNode *child = l->node;

    while (*p != l)
        p = &(*p)->next_parent;
    *p = l->next_parent;
    g_free(l->name);
    g_free(l);
    if (child->refs > 1)
        node_refresh_perms(child, NULL);        /* can only loosen */
    node_unref(child);
}

NodeLink *node_link(BlockNode *parent, BlockNode *child, const char *name, unsigned role, GError **err)
{
    NodeLink *l = link_new(child, name, role);

    l->parent_node = parent;
    g_ptr_array_add(parent->links, l);
    if (!strcmp(name, "file"))
        parent->file = l;
    else if (!strcmp(name, "backing"))
        parent->backing = l;
    if (!node_refresh_perms(parent, err)) {
        node_unlink(parent, l);
        return NULL;
    }
    node_refresh_limits(parent);
    return l;
}

void node_unlink(BlockNode *parent, NodeLink *l)
{
    if (parent->file == l)
        parent->file = NULL;
    if (parent->backing == l)
        parent->backing = NULL;
    g_ptr_array_remove(parent->links, l);
    link_free(l);
}

NodeLink *blk_link(BlockBackend *blk, BlockNode *child, unsigned perm, unsigned shared, GError **err)
{
    NodeLink *l = link_new(node_ref(child), "root", ROLE_PRIMARY | ROLE_FILTERED);

    l->parent_blk = blk;
    if (!link_set_perm(l, perm, shared, err)) {
        link_free(l);
        return NULL;
    }
    return l;
}

void blk_unlink(NodeLink *l)
{
    link_free(l);
}

static void move_link(NodeLink *l, BlockNode *to)
{
    NodeLink **p = &l->node->parents;

    while (*p != l)
        p = &(*p)->next_parent;
    *p = l->next_parent;
    l->next_parent = NULL;
    for (p = &to->parents; *p; p = &(*p)->next_parent)
        ;
    *p = l;
    l->node = to;
}

/* The links move before anything is checked, and back if somebody minds. Of the two, the upper one is looked at first:
 * what it needs of the lower one has changed. */
bool node_replace(BlockNode *from, BlockNode *to, GError **err)
{
    g_autoptr(GPtrArray) moved = g_ptr_array_new();
    BlockNode *first = to, *second = from;

    for (NodeLink *l = from->parents; l; l = l->next_parent)
        if (l->parent_node != to)
            g_ptr_array_add(moved, l);
    if (node_is_above(from, to)) {
        first = from;
        second = to;
    }
    for (unsigned i = 0; i < moved->len; i++) {
        move_link(g_ptr_array_index(moved, i), to);
        to->refs++;
    }
    if (node_refresh_perms(first, err) && node_refresh_perms(second, err)) {
        node_ref(from);
        for (unsigned i = 0; i < moved->len; i++)
            node_unref(from);
        node_unref(from);
        return true;
    }
    for (unsigned i = 0; i < moved->len; i++) {
        move_link(g_ptr_array_index(moved, i), from);
        to->refs--;
    }
    node_refresh_perms(second, NULL);
    node_refresh_perms(first, NULL);
    return false;
}

/* ---- walking */

NodeLink *node_storage(BlockNode *n)
{
    for (unsigned i = 0; i < n->links->len; i++) {
        NodeLink *l = g_ptr_array_index(n->links, i);

        if (l->role & (ROLE_PRIMARY | ROLE_FILTERED))
            return l;
    }
    return NULL;
}

BlockNode *node_skip_filters(BlockNode *n)
{
    while (n && n->drv->is_filter) {
        NodeLink *l = node_storage(n);

        n = l ? l->node : NULL;
    }
    return n;
}

BlockNode *node_backing(BlockNode *n)
{
    n = node_skip_filters(n);
    return n && n->backing ? node_skip_filters(n->backing->node) : NULL;
}

void node_refresh_limits(BlockNode *n)
{
    NodeLink *l = node_storage(n);

    n->limits = (NodeLimits){ .request_align = 1, .mem_align = 1 };
    if (l) {
        n->limits.mem_align = l->node->limits.mem_align;
        n->limits.opt_transfer = l->node->limits.opt_transfer;
    }
    if (n->drv->refresh_limits)
        n->drv->refresh_limits(n);
}

void node_set_length(BlockNode *n, int64_t length)
{
    if (n->length == length)
        return;
    n->length = length;
    if (n->bitmaps)
        node_bitmaps_resize(n, length);
    for (NodeLink *l = n->parents; l; l = l->next_parent) {
        if (l->parent_blk)
            blk_node_resized(l->parent_blk);
        else if (l->parent_node->drv->is_filter && (l->role & (ROLE_FILTERED | ROLE_PRIMARY)))
            node_set_length(l->parent_node, length);
    }
}

int64_t node_length(BlockNode *n)
{
    if (n->broken)
        return -ENOMEDIUM;
    if (n->drv->length) {
        int64_t len = n->drv->length(n);

        if (len >= 0)
            node_set_length(n, len);
        return len;
    }
    return n->length;
}

int64_t node_allocated(BlockNode *n)
{
    int64_t sum = 0;
    bool any = false;

    if (n->broken)
        return -ENOMEDIUM;
    if (n->drv->allocated)
        return n->drv->allocated(n);
    for (unsigned i = 0; i < n->links->len; i++) {
        NodeLink *l = g_ptr_array_index(n->links, i);
        int64_t a;

        if (!(l->role & (ROLE_DATA | ROLE_METADATA | ROLE_FILTERED)))
            continue;
        a = node_allocated(l->node);
        if (a < 0)
            return a;
        sum += a;
        any = true;
    }
    return any ? sum : -ENOTSUP;
}
