/* What the block drivers' harnesses do with an open image. */
#include <stdlib.h>
#include <string.h>
#include "block/aio.h"
#include "block/bitmap.h"
#include "block/graph.h"
#include "block/image-info.h"
#include "block/options.h"
#include "tests/fuzz/libimages.h"

#define OP_BYTES 140000                 /* a request's most */
#define IN_FLIGHT 8

enum { OP_READ, OP_READ_TOP, OP_WRITE, OP_WRITE_SMALL, OP_ZERO, OP_UNMAP, OP_DISCARD, OP_FLUSH, OP_STATUS, OP_PARALLEL,
       OP_MAP = OP_PARALLEL, OP_COMPRESSED, OP_SNAP_CREATE, OP_SNAP_GOTO, OP_SNAP_DELETE, OP_SNAP_LOAD, OP_CHECK, OP_CHECK_FIX,
       OP_AMEND, OP_RESIZE, OP_PREALLOC, OP_INFO, OP_MEASURE, OP_BITMAP_ADD, OP_BITMAP_CHANGE, OP_BITMAP_REMOVE, OP_EMPTY,
       OP_BACKING, OP_VMSTATE, OP_COPY_UP, OP_REOPEN, OPS };

typedef struct Op {
    BlockBackend *b;
    Record r;
    unsigned *left;
} Op;

static int64_t place(BlockNode *n, const Record *r, int64_t *bytes)
{
    int64_t len = n->length, at = r->v;

    if (r->a & 1)                       /* far out: tables at their end, disks of 2^60 bytes */
        at = len - at;
    else if (r->a & 2)
        at = (int64_t)((uint64_t)r->v << (r->a >> 2 & 31)) & INT64_MAX;
    at = len > 0 ? ABS(at % len) : 0;
    if (r->a & 32)
        at &= ~INT64_C(4095);
    *bytes = MIN((r->b & 1 ? r->b : (r->b & 0xff) << 9) % OP_BYTES, len - at);
    return at;
}

/* Requests of a guest. */
static void request(Op *o)
{
    BlockNode *n = blk_node(o->b), *file;
    NodeLink *l = blk_root(o->b);
    int64_t bytes, at = place(n, &o->r, &bytes), pnum, map;
    g_autofree uint8_t *buf = g_malloc(bytes + 1);
    struct iovec iov;
    IoVec v = iov_one(&iov, buf, bytes);

    memset(buf, o->r.v, bytes);
    switch ((o->r.kind - REC_OPS) % OPS) {
    case OP_READ: case OP_READ_TOP:
        node_co_read(l, at, bytes, &v, 0, 0);
        break;
    case OP_WRITE: case OP_WRITE_SMALL:
        if (!n->read_only)
            node_co_write(l, at, bytes, &v, 0, o->r.a & 64 ? BLK_FUA : 0);
        break;
    case OP_ZERO: case OP_UNMAP:
        if (!n->read_only)
            node_co_zero(l, at, o->r.a & 64 ? MIN(n->length - at, (int64_t)o->r.v << 4) : bytes,
                         (o->r.kind - REC_OPS) % OPS == OP_UNMAP ? BLK_MAY_UNMAP : 0);
        break;
    case OP_DISCARD:
        if (!n->read_only)
            node_co_discard(l, at, o->r.a & 64 ? MIN(n->length - at, (int64_t)o->r.v << 4) : bytes);
        break;
    case OP_FLUSH:
        node_co_flush(n);
        break;
    case OP_STATUS:
        if (bytes)
            node_co_status_above(n, NULL, at, bytes, &pnum, &map, &file, NULL);
    }
}

static void request_co(void *opaque)
{
    Op *o = opaque;

    request(o);
    if (o->left)
        --*o->left;
    g_free(o);
}

static void op_map(BlockNode *n)
{
    int64_t pnum = 0, map;
    BlockNode *file;

    for (int64_t at = 0, i = 0; at < n->length && i < 500; at += pnum, i++)
        if (node_co_status_above(n, NULL, at, n->length - at, &pnum, &map, &file, NULL) < 0 || pnum <= 0)
            break;
}

static void op_compressed(BlockBackend *b, const Record *r)
{
    BlockNode *n = blk_node(b);
    NodeInfo info = { 0 };
    struct iovec iov;
    IoVec v;
    g_autofree uint8_t *buf = NULL;
    int64_t at, bytes;

    if (n->read_only || !n->drv->info || !n->drv->info(n, &info) || info.cluster_size <= 0)
        return;
    at = place(n, r, &bytes) / info.cluster_size * info.cluster_size;
    bytes = MIN(n->length - at, (int64_t)info.cluster_size * (r->b & 64 ? 1 : 3));
    if (bytes > 1 << 20)
        return;
    buf = g_malloc(bytes + 1);
    for (int64_t i = 0; i < bytes; i++)
        buf[i] = r->b & 128 ? (uint32_t)((uint64_t)i * i * 2654435761u) >> 13 : i / 100;
    v = iov_one(&iov, buf, bytes);
    node_co_write(blk_root(b), at, bytes, &v, 0, REQ_WRITE_COMPRESSED);
}

static void op_snapshot(BlockNode *n, unsigned op, const Record *r)
{
    SnapshotInfo *list = NULL, sn = { .name = "new", .vm_clock_ns = 1, .icount = -1 };
    int count;

    if (!n->drv->snapshot_list || (n->read_only && op != OP_SNAP_LOAD))
        return;
    if (op == OP_SNAP_CREATE) {
        n->drv->snapshot_create(n, &sn, NULL);
        return;
    }
    count = n->drv->snapshot_list(n, &list);
    if (count > 0) {
        SnapshotInfo *s = &list[r->b % count];

        if (op == OP_SNAP_GOTO)
            n->drv->snapshot_goto(n, r->a & 1 ? s->id : s->name, NULL);
        else if (op == OP_SNAP_DELETE)
            n->drv->snapshot_delete(n, r->a & 1 ? s->id : s->name, NULL);
        else if (n->read_only)
            n->drv->snapshot_load(n, s->id, r->a & 1 ? s->name : NULL, NULL);
    }
    g_free(list);
}

static void op_amend(BlockNode *n, const Record *r)
{
    static const char *const opts[] = {
        "compat=0.10", "compat=1.1", "lazy_refcounts=on", "lazy_refcounts=off", "refcount_bits=64", "refcount_bits=1",
        "refcount_bits=16", "refcount_bits=4", "size=3M", "size=40G", "data_file_raw=on", "data_file_raw=off", "backing_file=back",
        "backing_fmt=raw", "compat=0.10,refcount_bits=16",
    };

    if (n->drv->amend && !n->read_only) {
        g_autoptr(json_t) o = jopts_parse(opts[r->b % G_N_ELEMENTS(opts)], NULL, NULL);

        n->drv->amend(n, o, r->a & 1, NULL);
    }
}

static void op_resize(BlockBackend *b, const Record *r, Prealloc p)
{
    int64_t to = r->a & 1 ? (int64_t)r->v << (r->b & 31) : blk_node(b)->length + (int64_t)(int16_t)r->b * 512;

    if (p && to > blk_node(b)->length + (4 << 20))
        to = blk_node(b)->length + (4 << 20);
    if (!blk_node(b)->read_only && to >= 0)
        node_co_truncate(blk_root(b), to, r->a & 2, p, NULL);
}

static void op_bitmap(BlockNode *n, unsigned op, const Record *r)
{
    DirtyBitmap *b = n->bitmaps;
    g_autofree char *name = NULL;

    for (unsigned i = r->b % 4; i && b && b->next; i--)
        b = b->next;
    name = g_strdup(b ? b->name : "none");
    if (op == OP_BITMAP_ADD)
        bitmap_add(n, r->a & 1 ? "new" : "other", 512u << (r->b & 15), r->a & 2, r->a & 4, NULL);
    else if (op == OP_BITMAP_REMOVE)
        bitmap_remove(n, name, NULL);
    else if (r->a & 1)
        bitmap_merge(n, n->bitmaps ? n->bitmaps->name : "none", n, name, NULL);
    else if (r->a & 2)
        bitmap_clear(n, name, NULL);
    else
        bitmap_enable(n, name, r->a & 4, NULL);
}

static void op_info(BlockNode *n)
{
    g_autoptr(GString) text = g_string_new(NULL);
    json_t *j = image_info(n, true, NULL);

    if (j) {
        image_info_print(text, j);
        json_decref(j);
    }
}

static void op_measure(BlockNode *n, const Record *r)
{
    g_autoptr(json_t) o = jopts_parse(r->b & 1 ? "cluster_size=2M" : r->b & 2 ? "cluster_size=512,compat=0.10" : "extended_l2=on", NULL,
                                      NULL);
    MeasureInfo info;

    /* looks at every cluster that the disk may have */
    if (n->length < INT64_C(1) << 32)
        driver_find("qcow2")->measure(o, n, &info, NULL);
}

static void op_vmstate(BlockNode *n, const Record *r)
{
    g_autofree uint8_t *buf = g_malloc0(70000);
    struct iovec iov;
    IoVec v = iov_one(&iov, buf, r->b % 70000);

    if (n->drv->co_vmstate && !(n->read_only && r->a & 1))
        n->drv->co_vmstate(n, r->a & 8 ? (int64_t)r->v << 20 : r->v, r->a & 2 ? NULL : &v, r->b % 70000, r->a & 1);
}

static void op_copy_up(BlockBackend *b, const Record *r)
{
    BlockNode *n = blk_node(b);
    NodeInfo info = { .cluster_size = 4096 };
    int64_t at, bytes;
    void *buf;

    if (n->read_only || (n->drv->info && !n->drv->info(n, &info)))
        return;
    at = place(n, r, &bytes) / info.cluster_size * info.cluster_size;
    bytes = MIN(info.cluster_size, n->length - at);
    buf = block_memalign(bytes + 1);
    node_co_copy_up(blk_root(b), at, bytes, buf);
    free(buf);
}

static void other_co(void *opaque)
{
    Op *o = opaque;
    BlockNode *n = blk_node(o->b);
    unsigned op = (o->r.kind - REC_OPS) % OPS;
    CheckResult res = { 0 };

    switch (op) {
    case OP_MAP: op_map(n); break;
    case OP_COMPRESSED: op_compressed(o->b, &o->r); break;
    case OP_SNAP_CREATE: case OP_SNAP_GOTO: case OP_SNAP_DELETE: case OP_SNAP_LOAD: op_snapshot(n, op, &o->r); break;
    case OP_CHECK: case OP_CHECK_FIX:
        if (n->drv->co_check)
            n->drv->co_check(n, &res, op == OP_CHECK || n->read_only ? 0 : o->r.a & 3);
        break;
    case OP_AMEND: op_amend(n, &o->r); break;
    case OP_RESIZE: op_resize(o->b, &o->r, PREALLOC_OFF); break;
    case OP_PREALLOC: op_resize(o->b, &o->r, 1 + o->r.a % 3); break;
    case OP_INFO: op_info(n); break;
    case OP_MEASURE: op_measure(n, &o->r); break;
    case OP_BITMAP_ADD: case OP_BITMAP_CHANGE: case OP_BITMAP_REMOVE: op_bitmap(n, op, &o->r); break;
    case OP_EMPTY:
        if (n->drv->co_make_empty && !n->read_only)
            n->drv->co_make_empty(n);
        break;
    case OP_BACKING:
        if (n->drv->set_backing && !n->read_only)
            n->drv->set_backing(n, o->r.a & 1 ? "back" : NULL, o->r.a & 1 ? "raw" : NULL, NULL);
        break;
    case OP_VMSTATE: op_vmstate(n, &o->r); break;
    case OP_COPY_UP: op_copy_up(o->b, &o->r); break;
    default: request(o);
    }
}

bool image_op(BlockBackend *b, const Record *r)
{
    Op o = { b, *r, NULL };
    BlockNode *n = blk_node(b);

    if ((r->kind - REC_OPS) % OPS == OP_REOPEN)
        node_reopen(n, n->read_only, NULL);
    else
        aio_run_sync(other_co, &o);
    return !n->broken;
}

void image_ops(BlockBackend *b, const Record *r, size_t n, bool parallel)
{
    unsigned left = 0;

    for (size_t i = 0; i < n && !blk_node(b)->broken; i++) {
        if (r[i].kind < REC_OPS)
            continue;
        if (parallel && (r[i].kind - REC_OPS) % OPS < OP_PARALLEL) {
            Op *o = g_new(Op, 1);

            while (left >= IN_FLIGHT)
                aio_poll(false);
            *o = (Op){ b, r[i], &left };
            left++;
            coroutine_enter(coroutine_new(request_co, o));
            continue;
        }
        while (left)
            aio_poll(false);
        image_op(b, &r[i]);
    }
    while (left)
        aio_poll(false);
}
