/*
 * The protocol "rbd": images of a Ceph cluster, through librbd.
 *
 * A request is one of the library's; a thread of its tells the end, which is put on a list, and an event descriptor wakes the
 * block layer, where the coroutine goes on.  Names and options: rbd-place.c.
 * Not modelled: key-secret, encryption by the library.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "block/aio.h"
#include "block/image-info.h"
#include "block/options.h"
#include "block/rbd-client.h"
#include "util/error.h"

#ifdef CONFIG_RBD
typedef struct Call {
    struct RbdDisk *s;
    Coroutine *co;
    ssize_t ret;
    struct Call *next;
} Call;

typedef struct RbdDisk {
    const RbdLib *lib;
    RbdPlace place;
    rados_t cluster;
    rados_ioctx_t io;
    rbd_image_t image;                  /* NULL: not open; then the two above are not either */
    uint64_t object;                    /* bytes of one */
    bool fast_diff;                     /* which objects there are is known without asking for each */
    CoMutex growing;
    int efd;
    GMutex lock;
    Call *done;                         /* lock: newest first */
} RbdDisk;

/* ---- requests */

/* On a thread of the library. */
static void call_done(rbd_completion_t c, void *opaque)
{
    Call *k = opaque;
    RbdDisk *s = k->s;
    uint64_t one = 1;
    bool first;

    k->ret = s->lib->rbd_aio_get_return_value(c);
    s->lib->rbd_aio_release(c);
    g_mutex_lock(&s->lock);
    first = !s->done;
    k->next = s->done;
    s->done = k;
    if (first && write(s->efd, &one, sizeof(one)) != sizeof(one))
        g_error("eventfd: %s", g_strerror(errno));
    g_mutex_unlock(&s->lock);
}

static void calls_done(void *opaque)
{
    RbdDisk *s = opaque;
    uint64_t count;
    Call *list;
    ssize_t n = read(s->efd, &count, sizeof(count));

    (void)n;
    g_mutex_lock(&s->lock);
    list = s->done;
    s->done = NULL;
    g_mutex_unlock(&s->lock);
    while (list) {
        Call *k = list;

        list = k->next;                 /* k is on its coroutine's stack */
        coroutine_wake(k->co);
    }
}

typedef enum What { DO_READ, DO_WRITE, DO_ZERO, DO_DISCARD, DO_FLUSH } What;
typedef struct Request { What what; uint64_t offset, bytes; const struct iovec *iov; unsigned n; int flags; } Request;

static int submit(RbdDisk *s, const Request *r, rbd_completion_t c)
{
    switch (r->what) {
    case DO_READ: return s->lib->rbd_aio_readv(s->image, r->iov, r->n, r->offset, c);
    case DO_WRITE: return s->lib->rbd_aio_writev(s->image, r->iov, r->n, r->offset, c);
    case DO_ZERO: return s->lib->rbd_aio_write_zeroes(s->image, r->offset, r->bytes, c, r->flags, 0);
    case DO_DISCARD: return s->lib->rbd_aio_discard(s->image, r->offset, r->bytes, c);
    default: return s->lib->rbd_aio_flush(s->image, c);
    }
}

static ssize_t request(BlockNode *n, const Request *r)
{
    RbdDisk *s = n->state;
    Call k = { .s = s, .co = coroutine_self() };
    rbd_completion_t c;
    int ret = s->lib->rbd_aio_create_completion(&k, call_done, &c);

    if (ret < 0)
        return ret;
    ret = submit(s, r, c);
    if (ret < 0) {
        s->lib->rbd_aio_release(c);
        return ret;
    }
    coroutine_yield();
    return k.ret;
}

static int rw(BlockNode *n, What what, int64_t offset, int64_t bytes, const IoVec *v, size_t vo)
{
    unsigned count = iov_count(v, vo, bytes);
    g_autofree struct iovec *iov = g_new(struct iovec, count + 1);
    Request r = { what, offset, bytes, iov, iov_slice(v, vo, bytes, iov), 0 };
    ssize_t ret = request(n, &r);

    if (ret >= 0 && what == DO_READ && ret < bytes) {
        if (offset + ret < n->length)   /* it has become shorter than it was: data are lost */
            return -EIO;
        iov_memset(v, vo + ret, 0, bytes - ret);
    }
    return ret < 0 ? ret : 0;
}

static int rbd_co_read(BlockNode *n, int64_t offset, int64_t bytes, const IoVec *v, size_t vo, unsigned flags)
{
    return rw(n, DO_READ, offset, bytes, v, vo);
}

typedef struct Resize { RbdDisk *s; uint64_t size; } Resize;

static int do_resize(void *arg)
{
    Resize *r = arg;

    return r->s->lib->rbd_resize(r->s->image, r->size);
}

/* Formats write behind the end. */
static int rbd_co_write(BlockNode *n, int64_t offset, int64_t bytes, const IoVec *v, size_t vo, unsigned flags)
{
    RbdDisk *s = n->state;
    int ret = 0;

    if (offset + bytes > n->length) {
        Resize r = { s, offset + bytes };

        co_mutex_lock(&s->growing);
        if (offset + bytes > n->length) {
            ret = co_thread_pool(do_resize, &r);
            if (ret == 0)
                node_set_length(n, offset + bytes);
        }
        co_mutex_unlock(&s->growing);
    }
    return ret < 0 ? ret : rw(n, DO_WRITE, offset, bytes, v, vo);
}

static int rbd_co_zero(BlockNode *n, int64_t offset, int64_t bytes, unsigned flags)
{
    Request r = { .what = DO_ZERO, offset, bytes, .flags = flags & BLK_MAY_UNMAP ? 0 : RBD_WRITE_ZEROES_FLAG_THICK_PROVISION };

    return MIN(request(n, &r), 0);
}

static int rbd_co_discard(BlockNode *n, int64_t offset, int64_t bytes)
{
    Request r = { .what = DO_DISCARD, offset, bytes };

    return MIN(request(n, &r), 0);
}

static int rbd_co_flush(BlockNode *n)
{
    Request r = { .what = DO_FLUSH };

    return n->flags & OPEN_NO_FLUSH ? 0 : MIN(request(n, &r), 0);
}

/* ---- what is where */

typedef struct Look { RbdDisk *s; uint64_t offset, bytes, from, start, end; bool any; } Look;

/* The first run of objects that are there. */
static int found(uint64_t offset, size_t len, int exists, void *opaque)
{
    Look *k = opaque;

    if (!exists || offset + len <= k->offset)
        return 0;
    if (k->any && offset > k->end)
        return -ECANCELED;
    if (!k->any)
        k->start = MAX(offset, k->offset);
    k->any = true;
    k->end = offset + len;
    return k->start > k->offset ? -ECANCELED : 0;
}

static int do_look(void *arg)
{
    Look *k = arg;
    int ret = k->s->lib->rbd_diff_iterate2(k->s->image, NULL, k->from, k->offset + k->bytes - k->from, true, true, found, k);

    return ret == -ECANCELED ? 0 : ret;
}

static int rbd_co_status(BlockNode *n, int64_t offset, int64_t bytes, int64_t *pnum, int64_t *map, BlockNode **file)
{
    RbdDisk *s = n->state;
    /* releases before 17.1 count from the wrong place unless it is an object's beginning */
    Look k = { .s = s, .offset = offset, .bytes = bytes, .from = offset & ~(s->object - 1) };

    *map = offset;
    *file = n;
    *pnum = bytes;
    if (!s->fast_diff || bytes <= 0 || co_thread_pool(do_look, &k) < 0)
        return STATUS_DATA | STATUS_OFFSET;
    if (!k.any)
        return STATUS_ZERO | STATUS_OFFSET;
    if (k.start > (uint64_t)offset) {
        *pnum = MIN(bytes, (int64_t)k.start - offset);
        return STATUS_ZERO | STATUS_OFFSET;
    }
    *pnum = MIN(bytes, (int64_t)k.end - offset);
    return STATUS_DATA | STATUS_OFFSET;
}

/* ---- opening */

typedef struct Attempt { RbdDisk *s; bool read_only; GError *e; uint64_t size, features; } Attempt;

static int look_at(Attempt *a)
{
    RbdDisk *s = a->s;
    rbd_image_info_t info;
    uint64_t flags = 0, overlap = 0;
    int ret = s->lib->rbd_stat(s->image, &info, sizeof(info));

    if (ret < 0)
        return ret;
    a->size = info.size;
    s->object = info.obj_size;
    if (s->lib->rbd_get_features(s->image, &a->features) < 0 || s->lib->rbd_get_flags(s->image, &flags) < 0)
        a->features = 0;
    s->fast_diff = (a->features & RBD_FEATURE_FAST_DIFF) && !(flags & RBD_FLAG_FAST_DIFF_INVALID) &&
        !(a->features & RBD_FEATURE_STRIPINGV2) && s->lib->rbd_get_overlap(s->image, &overlap) == 0 && !overlap;
    return s->object && !(s->object & (s->object - 1)) ? 0 : -EINVAL;
}

static int do_open(void *arg)
{
    Attempt *a = arg;
    RbdDisk *s = a->s;
    int ret;

    if (!rbd_connect(s->lib, &s->place, &s->cluster, &s->io, &a->e))
        return -EINVAL;
    ret = (a->read_only ? s->lib->rbd_open_read_only : s->lib->rbd_open)(s->io, s->place.image, &s->image, s->place.snapshot);
    if (ret < 0) {
        s->image = NULL;
        error_set_errno(&a->e, ret, "error reading header from %s", s->place.image);
    } else if ((ret = look_at(a)) < 0) {
        s->lib->rbd_close(s->image);
        s->image = NULL;
        error_set_errno(&a->e, ret, "error getting image info from %s", s->place.image);
    }
    if (ret < 0) {
        s->lib->rados_ioctx_destroy(s->io);
        s->lib->rados_shutdown(s->cluster);
    }
    return ret;
}

/* No short name opens it again with all that was given. */
static void set_name(BlockNode *n)
{
    static const char *const keys[] = { "pool", "image", "conf", "driver", "namespace", "snapshot", "user" };
    RbdDisk *s = n->state;
    const char *values[] = { s->place.pool, s->place.image, s->place.conf, "rbd", s->place.space, s->place.snapshot, s->place.user };
    json_t *shown = json_object(), *v;
    const char *key;
    char *text;

    for (unsigned i = 0; i < G_N_ELEMENTS(keys); i++)
        if (values[i])
            jopts_set(shown, keys[i], values[i]);
    json_object_foreach(n->options, key, v)
        if (g_str_has_prefix(key, "server."))
            json_object_set(shown, key, v);
    text = json_dump_ranked(shown);
    g_free(n->filename);
    n->filename = g_strconcat("json:", text, NULL);
    g_free(text);
    /* what describes the node to those above it */
    json_decref(n->options);
    n->options = shown;
}

static bool rbd_open_node(BlockNode *n, json_t *opts, unsigned flags, GError **err)
{
    RbdDisk *s = n->state;
    Attempt a = { .s = s, .read_only = !(flags & OPEN_RDWR) };

    s->efd = -1;
    s->lib = rbd_lib(err);
    s->place.cache = !(flags & OPEN_DIRECT);
    if (!s->lib || !rbd_take_place(opts, &s->place, err))
        return false;
    if (s->place.snapshot && (flags & OPEN_RDWR)) {
        if (!(flags & OPEN_AUTO_RDONLY))
            return error_set(err, "rbd snapshots are read-only");
        n->read_only = a.read_only = true;
    }
    if (co_thread_pool(do_open, &a) < 0) {
        g_propagate_error(err, a.e);
        return false;
    }
    s->efd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->efd < 0)
        return error_set_errno(err, errno, "eventfd");
    aio_add_fd(s->efd, calls_done, s);
    n->length = a.size;
    set_name(n);
    return true;
}

static void rbd_disk_close(BlockNode *n)
{
    RbdDisk *s = n->state;

    if (s->efd >= 0) {
        aio_del_fd(s->efd);
        close(s->efd);
    }
    if (s->image) {
        s->lib->rbd_close(s->image);
        s->lib->rados_ioctx_destroy(s->io);
        s->lib->rados_shutdown(s->cluster);
    }
    rbd_place_clear(&s->place);
}

static int do_reopen(void *arg)
{
    Attempt *a = arg;
    RbdDisk *s = a->s;
    rbd_image_t image;
    int ret = (a->read_only ? s->lib->rbd_open_read_only : s->lib->rbd_open)(s->io, s->place.image, &image, s->place.snapshot);

    if (ret < 0)
        return ret;
    s->lib->rbd_close(s->image);
    s->image = image;
    return 0;
}

static bool rbd_reopen(BlockNode *n, bool rw, GError **err)
{
    RbdDisk *s = n->state;
    Attempt a = { .s = s, .read_only = !rw };
    int ret;

    if (rw && s->place.snapshot)
        return error_set(err, "rbd snapshots are read-only");
    ret = rw ? 0 : rbd_co_flush(n);
    ret = ret < 0 ? ret : co_thread_pool(do_reopen, &a);
    return ret == 0 || error_set_errno(err, ret, "error reading header from %s", s->place.image);
}

static int64_t rbd_length(BlockNode *n)
{
    RbdDisk *s = n->state;
    uint64_t size;
    int ret = s->lib->rbd_get_size(s->image, &size);

    return ret < 0 ? ret : size > INT64_MAX ? -EFBIG : (int64_t)size;
}

static int rbd_co_truncate(BlockNode *n, int64_t length, bool exact, Prealloc p, GError **err)
{
    Resize r = { n->state, length };
    int ret;

    if (p != PREALLOC_OFF)
        return error_set(err, "Unsupported preallocation mode '%s'", prealloc_names[p]), -ENOTSUP;
    ret = co_thread_pool(do_resize, &r);
    if (ret < 0)
        error_set_errno(err, ret, "Failed to resize file");
    else
        node_set_length(n, length);
    return ret;
}

static bool rbd_info(BlockNode *n, NodeInfo *info)
{
    info->cluster_size = ((RbdDisk *)n->state)->object;
    return true;
}

static json_t *rbd_specific_info(BlockNode *n)
{
    return json_pack("{s:s, s:{}}", "type", "rbd", "data");
}

static bool rbd_activate(BlockNode *n, GError **err)
{
    RbdDisk *s = n->state;
    int ret = s->lib->rbd_invalidate_cache(s->image);

    return ret == 0 || error_set_errno(err, ret, "Failed to invalidate the cache");
}

static void rbd_limits(BlockNode *n)
{
    RbdDisk *s = n->state;

    n->limits.zero_align = n->limits.discard_align = MIN(s->object, UINT64_C(1) << 30);
}

/* ---- creating */

static bool make_image(const RbdLib *lib, const RbdPlace *p, uint64_t size, int order, GError **err)
{
    rados_t cluster;
    rados_ioctx_t io;
    int ret;

    if (!rbd_connect(lib, p, &cluster, &io, err))
        return false;
    ret = lib->rbd_create(io, p->image, size, &order);
    lib->rados_ioctx_destroy(io);
    lib->rados_shutdown(cluster);
    return ret == 0 || error_set_errno(err, ret, "error rbd create");
}

static bool rbd_create_image(const char *filename, json_t *opts, GError **err)
{
    g_autoptr(json_t) where = json_object();
    const RbdLib *lib = rbd_lib(err);
    RbdPlace p = { .cache = true };
    uint64_t size = 0, object = 0;
    bool ok = lib && rbd_parse_filename(filename, where, err) && jopts_take_size(opts, "size", &size, err) &&
        jopts_take_size(opts, "cluster_size", &object, err) && rbd_take_place(where, &p, err);

    if (ok && object && (object & (object - 1)))
        ok = error_set(err, "obj size needs to be power of 2");
    else if (ok && object && object < 4096)
        ok = error_set(err, "obj size too small");
    ok = ok && make_image(lib, &p, size, object ? __builtin_ctzll(object) : 0, err);
    rbd_place_clear(&p);
    return ok;
}

static const CreateOpt create_opts[] = {
    { "size", COPT_SIZE, "Virtual disk size" }, { "cluster_size", COPT_SIZE, "RBD object size" }, { NULL }
};

/* ---- snapshots */

static int rbd_snapshots(BlockNode *n, SnapshotInfo **list)
{
    RbdDisk *s = n->state;
    int max = 100, count;
    rbd_snap_info_t *sn;

    *list = NULL;
    do {
        sn = g_new(rbd_snap_info_t, max);
        count = s->lib->rbd_snap_list(s->image, sn, &max);
        if (count <= 0)
            g_free(sn);
    } while (count == -ERANGE);
    if (count <= 0)
        return count;
    *list = g_new0(SnapshotInfo, count);
    for (int i = 0; i < count; i++) {
        g_strlcpy((*list)[i].id, sn[i].name, sizeof((*list)[i].id));
        g_strlcpy((*list)[i].name, sn[i].name, sizeof((*list)[i].name));
        (*list)[i].vm_state_size = sn[i].size;
    }
    s->lib->rbd_snap_list_end(sn);
    g_free(sn);
    return count;
}

typedef struct Snap { RbdDisk *s; const char *name; int (*fn)(rbd_image_t image, const char *name); } Snap;
static int do_snap(void *arg)
{
    Snap *k = arg;

    return k->fn(k->s->image, k->name);
}

static bool rbd_snap_new(BlockNode *n, const SnapshotInfo *sn, GError **err)
{
    RbdDisk *s = n->state;
    Snap k = { s, sn->name, s->lib->rbd_snap_create };
    int ret = *sn->name ? co_thread_pool(do_snap, &k) : -EINVAL;

    return ret == 0 || error_set_errno(err, ret, "failed to create snapshot");
}

static bool rbd_snap_apply(BlockNode *n, const char *name, GError **err)
{
    RbdDisk *s = n->state;
    Snap k = { s, name, s->lib->rbd_snap_rollback };
    int ret = co_thread_pool(do_snap, &k);

    return ret == 0 || error_set_errno(err, ret, "failed to go back to snapshot '%s'", name);
}

static bool rbd_snap_drop(BlockNode *n, const char *name, GError **err)
{
    RbdDisk *s = n->state;
    Snap k = { s, name, s->lib->rbd_snap_remove };
    int ret = co_thread_pool(do_snap, &k);

    return ret == 0 || error_set_errno(err, ret, "Failed to remove snapshot '%s'", name);
}

const BlockDriver driver_rbd = {
    .name = "rbd", .is_protocol = true, .state_size = sizeof(RbdDisk), .create_opts = create_opts, .parse_filename = rbd_parse_filename,
    .open = rbd_open_node, .reopen = rbd_reopen, .close = rbd_disk_close, .create = rbd_create_image, .co_read = rbd_co_read,
    .co_write = rbd_co_write, .co_zero = rbd_co_zero, .co_discard = rbd_co_discard, .co_flush = rbd_co_flush,
    .co_status = rbd_co_status, .co_truncate = rbd_co_truncate, .length = rbd_length, .info = rbd_info,
    .specific_info = rbd_specific_info, .refresh_limits = rbd_limits,
    .activate = rbd_activate, .snapshot_list = rbd_snapshots, .snapshot_create = rbd_snap_new, .snapshot_goto = rbd_snap_apply,
    .snapshot_delete = rbd_snap_drop, .zero_flags = BLK_MAY_UNMAP,
};
#endif
