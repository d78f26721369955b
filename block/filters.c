/*
 * Filters: nodes that pass requests on and do something besides.
 *
 *   copy-on-read        what is read from the backing chain is written into the node below; bottom= says down to where
 *   copy-before-write   a backup's: old data is saved before it is overwritten (only made by jobs)
 *   mirror_top          a mirror's: sees writes                           (only made by jobs)
 *   commit_top          a commit's: takes no permissions of the chain     (only made by jobs)
 */
#include <errno.h>
#include "block/graph-ops.h"
#include "block/options.h"
#include "util/error.h"

typedef struct FilterState { FilterHooks hooks; char *bottom; bool told_size; } FilterState;

static int filter_co_read(BlockNode *n, int64_t offset, int64_t bytes, const IoVec *v, size_t vo, unsigned flags)
{
    return node_co_read(filter_link(n), offset, bytes, v, vo, flags);
}

static int filter_co_write(BlockNode *n, int64_t offset, int64_t bytes, const IoVec *v, size_t vo, unsigned flags)
{
    return node_co_write(filter_link(n), offset, bytes, v, vo, flags);
}

static int filter_co_zero(BlockNode *n, int64_t offset, int64_t bytes, unsigned flags)
{
    return node_co_zero(filter_link(n), offset, bytes, flags);
}

static int filter_co_discard(BlockNode *n, int64_t offset, int64_t bytes)
{
    return node_co_discard(filter_link(n), offset, bytes);
}

static int filter_co_flush(BlockNode *n)
{
    return node_co_flush(filter_link(n)->node);
}

static int filter_co_truncate(BlockNode *n, int64_t length, bool exact, Prealloc p, GError **err)
{
    return node_co_truncate(filter_link(n), length, exact, p, err);
}

static int filter_co_status(BlockNode *n, int64_t offset, int64_t bytes, int64_t *pnum, int64_t *map, BlockNode **file)
{
    *pnum = bytes;
    *map = offset;
    *file = filter_link(n)->node;
    return STATUS_RAW;
}

static int64_t filter_length(BlockNode *n)
{
    return node_length(filter_link(n)->node);
}

static void filter_limits(BlockNode *n)
{
    if (!filter_link(n))
        return;
    n->limits = filter_link(n)->node->limits;
    n->limits.max_transfer = 0;
}

static bool filter_info(BlockNode *n, NodeInfo *info)
{
    BlockNode *c = filter_link(n)->node;

    return c->drv->info && c->drv->info(c, info);
}

/* ---- copy-on-read */

static bool cor_open(BlockNode *n, json_t *opts, unsigned flags, GError **err)
{
    FilterState *s = n->state;

    s->bottom = jopts_take(opts, "bottom");
    if (!node_open_child(n, NULL, opts, "file", ROLE_FILTERED | ROLE_PRIMARY, false, err))
        return false;
    n->read_only |= n->file->node->read_only;
    n->length = node_length(n->file->node);
    if (s->bottom && !node_by_name(s->bottom))
        return error_set(err, "Bottom node '%s' not found", s->bottom);
    if (s->bottom && !node_is_above(n->file->node, node_by_name(s->bottom)))
        return error_set(err, "Bottom node '%s' is not in the backing chain", s->bottom);
    return true;
}

static void cor_close(BlockNode *n)
{
    FilterState *s = n->state;

    g_free(s->bottom);
}

static int cor_co_read(BlockNode *n, int64_t offset, int64_t bytes, const IoVec *v, size_t vo, unsigned flags)
{
    FilterState *s = n->state;
    BlockNode *bottom = s->bottom ? node_by_name(s->bottom) : NULL;

    /* with a bottom: what lies below it is not copied */
    while (bottom && bytes > 0) {
        int64_t pnum;
        int ret = node_co_allocated_above(n->file->node, node_skip_filters(bottom), true, offset, bytes, &pnum);

        if (ret < 0)
            return ret;
        pnum = MAX(pnum, 1);
        ret = node_co_read(n->file, offset, MIN(pnum, bytes), v, vo, flags | (ret ? REQ_COPY_ON_READ : 0));
        if (ret < 0 || pnum >= bytes)
            return ret;
        offset += pnum;
        vo += pnum;
        bytes -= pnum;
    }
    return node_co_read(n->file, offset, bytes, v, vo, flags | REQ_COPY_ON_READ);
}

static void cor_perm(BlockNode *n, NodeLink *l, unsigned perm, unsigned shared, unsigned *nperm, unsigned *nshared)
{
    *nperm = perm | (perm & PERM_READ && node_writable(n) ? PERM_WRITE_UNCHANGED : 0);
    *nshared = shared | PERM_WRITE_UNCHANGED;
}

/* ---- filters of jobs */

void filter_set_hooks(BlockNode *f, const FilterHooks *hooks)
{
    FilterState *s = f->state;

    s->hooks = hooks ? *hooks : (FilterHooks){ 0 };
}

static int before(FilterState *s, int64_t offset, int64_t bytes)
{
    return s->hooks.before ? s->hooks.before(s->hooks.opaque, offset, bytes) : 0;
}

static int after(FilterState *s, int ret, int64_t offset, int64_t bytes, const IoVec *v, size_t vo, bool discard)
{
    return s->hooks.after ? s->hooks.after(s->hooks.opaque, ret, offset, bytes, v, vo, discard) : ret;
}

static int hooked_co_write(BlockNode *n, int64_t offset, int64_t bytes, const IoVec *v, size_t vo, unsigned flags)
{
    FilterState *s = n->state;
    int ret = before(s, offset, bytes);

    return ret < 0 ? ret : after(s, filter_co_write(n, offset, bytes, v, vo, flags), offset, bytes, v, vo, false);
}

static int hooked_co_zero(BlockNode *n, int64_t offset, int64_t bytes, unsigned flags)
{
    FilterState *s = n->state;
    int ret = before(s, offset, bytes);

    return ret < 0 ? ret : after(s, filter_co_zero(n, offset, bytes, flags), offset, bytes, NULL, 0, false);
}

static int hooked_co_discard(BlockNode *n, int64_t offset, int64_t bytes)
{
    FilterState *s = n->state;
    int ret = before(s, offset, bytes);

    return ret < 0 ? ret : after(s, filter_co_discard(n, offset, bytes), offset, bytes, NULL, 0, true);
}

/* The chain is not consistent for a reader while its base is written: nobody above asks for that, or forbids writes. */
static void commit_perm(BlockNode *n, NodeLink *l, unsigned perm, unsigned shared, unsigned *nperm, unsigned *nshared)
{
    *nperm = 0;
    *nshared = PERM_ALL;
}

static void mirror_perm(BlockNode *n, NodeLink *l, unsigned perm, unsigned shared, unsigned *nperm, unsigned *nshared)
{
    FilterState *s = n->state;

    *nperm = perm;
    *nshared = shared;
    if (s->hooks.is_commit) {
        *nperm &= ~PERM_READ;
        *nshared |= PERM_WRITE;
    }
}

static void cbw_perm(BlockNode *n, NodeLink *l, unsigned perm, unsigned shared, unsigned *nperm, unsigned *nshared)
{
    *nperm = perm | PERM_READ;
    *nshared = shared & ~PERM_RESIZE;
}

static bool job_only(BlockNode *n, json_t *opts, unsigned flags, GError **err)
{
    return error_set(err, "Driver '%s' can only be made by a job", n->drv->name);
}

#define COMMON \
    .is_filter = true, .state_size = sizeof(FilterState), .co_read = filter_co_read, .co_flush = filter_co_flush, \
    .co_truncate = filter_co_truncate, .co_status = filter_co_status, .length = filter_length, \
    .refresh_limits = filter_limits, .info = filter_info, .write_flags = BLK_FUA, \
    .zero_flags = BLK_FUA | BLK_MAY_UNMAP | BLK_NO_FALLBACK
#define HOOKED .co_write = hooked_co_write, .co_zero = hooked_co_zero, .co_discard = hooked_co_discard

const BlockDriver driver_copy_on_read = {
    .name = "copy-on-read", COMMON, .open = cor_open, .close = cor_close, .co_read = cor_co_read, .co_write = filter_co_write,
    .co_zero = filter_co_zero, .co_discard = filter_co_discard, .child_perm = cor_perm,
};

const BlockDriver driver_cbw = {
    .name = "copy-before-write", COMMON, HOOKED, .open = job_only, .child_perm = cbw_perm,
};

const BlockDriver driver_mirror_top = {
    .name = "mirror_top", COMMON, HOOKED, .open = job_only, .child_perm = mirror_perm,
};

const BlockDriver driver_commit_top = {
    .name = "commit_top", COMMON, .open = job_only, .co_write = filter_co_write, .co_zero = filter_co_zero,
    .co_discard = filter_co_discard, .child_perm = commit_perm,
};
