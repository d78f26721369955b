/*
 * Permissions: what each parent may do with a node, and what it lets the others do.
 *
 * A change is prepared for the whole subgraph below (drivers take the locks that are new), and only when
 * everybody agrees made final (locks no longer needed are dropped); else all is as before.
 */
#include <string.h>
#include "block/graph.h"
#include "util/error.h"

const char *const perm_names[PERM_N] = { "consistent read", "write", "write unchanged", "resize" };

char *perm_list(unsigned perms)
{
    GString *s = g_string_new(NULL);

    for (unsigned i = 0; i < PERM_N; i++)
        if (perms & (1u << i))
            g_string_append_printf(s, "%s%s", s->len ? ", " : "", perm_names[i]);
    return g_string_free(s, FALSE);
}

/* One thing to make final or to take back. */
typedef struct Undo {
    NodeLink *link;                     /* its perm and shared before; or */
    BlockNode *node;                    /* the driver has checked */
    unsigned perm, shared;
} Undo;

static void cumulate(BlockNode *n, unsigned *perm, unsigned *shared)
{
    *perm = 0;
    *shared = PERM_ALL;
    for (NodeLink *l = n->parents; l; l = l->next_parent) {
        *perm |= l->perm;
        *shared &= l->shared;
    }
}

static char *user_text(NodeLink *l)
{
    if (l->parent_blk) {
        const char *id = blk_name(l->parent_blk);
        g_autofree char *dev = blk_attached_path(l->parent_blk);

        if (*id)
            return g_strdup_printf("block device '%s'", id);
        return *dev ? g_strdup_printf("block device '%s'", dev) : g_strdup("an unnamed block device");
    }
    return g_strdup_printf("node '%s'", l->parent_node->name);
}

static bool conflict(BlockNode *n, GError **err)
{
    for (NodeLink *a = n->parents; a; a = a->next_parent) {
        for (NodeLink *b = n->parents; b; b = b->next_parent) {
            unsigned both = a->perm & ~b->shared;

            if (a != b && both) {
                g_autofree char *perms = perm_list(both), *ua = user_text(a), *ub = user_text(b);

                error_set(err, "Permission conflict on node '%s': permissions '%s' are both required by %s (uses node "
                          "'%s' as '%s' child) and unshared by %s (uses node '%s' as '%s' child).", n->name, perms, ua,
                          n->name, a->name, ub, n->name, b->name);
                return true;
            }
        }
    }
    return false;
}

static void perm_for_storage(BlockNode *n, NodeLink *l, unsigned perm, unsigned shared, unsigned *nperm,
                             unsigned *nshared)
{
    if (l->role & ROLE_METADATA) {
        /* the metadata is the format's own business, whatever the parents want */
        if (node_writable(n))
            perm |= PERM_WRITE | PERM_RESIZE;
        if (!(n->flags & OPEN_NO_IO))
            perm |= PERM_READ;
        shared &= ~(PERM_WRITE | PERM_RESIZE);
    }
    if (l->role & ROLE_DATA) {
        if (perm & PERM_WRITE_UNCHANGED)
            perm |= PERM_WRITE;
        if (perm & PERM_WRITE)
            perm |= PERM_RESIZE;
        if (!(shared & PERM_WRITE))
            shared &= ~PERM_RESIZE;
    }
    if (!node_writable(n))
        perm &= PERM_READ;
    *nperm = perm;
    *nshared = shared;
}

void perm_default(BlockNode *n, NodeLink *l, unsigned perm, unsigned shared, unsigned *nperm, unsigned *nshared)
{
    if (l->role & ROLE_COW) {
        *nperm = perm & PERM_READ;
        *nshared = PERM_READ | PERM_WRITE_UNCHANGED | (shared & PERM_WRITE ? PERM_WRITE | PERM_RESIZE : 0);
    } else if (l->role & ROLE_FILTERED) {
        *nperm = perm;
        *nshared = shared;
    } else {
        perm_for_storage(n, l, perm, shared, nperm, nshared);
    }
}

static bool prepare(BlockNode *n, GArray *undo, GError **err)
{
    unsigned perm, shared;

    cumulate(n, &perm, &shared);
    if (conflict(n, err))
        return false;
    if ((perm & ~PERM_READ) && n->read_only)
        return error_set(err, "Block node is read-only");
    if (n->drv->perm_check) {
        if (!n->drv->perm_check(n, perm, shared, err))
            return false;
        g_array_append_val(undo, ((Undo){ NULL, n, perm, shared }));
    }
    for (unsigned i = 0; i < n->links->len; i++) {
        NodeLink *l = g_ptr_array_index(n->links, i);
        unsigned cperm, cshared;

        if (n->drv->child_perm)
            n->drv->child_perm(n, l, perm, shared, &cperm, &cshared);
        else
            perm_default(n, l, perm, shared, &cperm, &cshared);
        if ((n->flags & OPEN_FORCE_SHARE) && !(cperm & ~PERM_READ))
            cshared = PERM_ALL;
        g_array_append_val(undo, ((Undo){ l, NULL, l->perm, l->shared }));
        l->perm = cperm;
        l->shared = cshared;
        if (!prepare(l->node, undo, err))
            return false;
    }
    return true;
}

static bool finish(GArray *undo, bool ok)
{
    for (unsigned i = 0; i < undo->len; i++) {
        Undo *u = &g_array_index(undo, Undo, ok ? i : undo->len - 1 - i);

        if (u->link && !ok) {
            u->link->perm = u->perm;
            u->link->shared = u->shared;
        } else if (u->node && ok && u->node->drv->perm_set) {
            u->node->drv->perm_set(u->node, u->perm, u->shared);
        } else if (u->node && !ok && u->node->drv->perm_abort) {
            u->node->drv->perm_abort(u->node);
        }
    }
    g_array_free(undo, TRUE);
    return ok;
}

bool node_refresh_perms(BlockNode *n, GError **err)
{
    GArray *undo = g_array_new(FALSE, FALSE, sizeof(Undo));

    return finish(undo, prepare(n, undo, err));
}

bool link_set_perm(NodeLink *l, unsigned perm, unsigned shared, GError **err)
{
    GArray *undo = g_array_new(FALSE, FALSE, sizeof(Undo));

    g_array_append_val(undo, ((Undo){ l, NULL, l->perm, l->shared }));
    l->perm = perm;
    l->shared = shared;
    return finish(undo, prepare(l->node, undo, err));
}
