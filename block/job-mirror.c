/*
 * Mirrors: the target becomes what the source is, and stays so until the job is completed (the target then takes the
 * source's place) or cancelled (it is a copy).  An active commit is a mirror into the chain's own base.
 *
 * A filter over the source sees every write.  In background mode it marks what was written, and the job copies it
 * again; in write-blocking mode it writes the same to the target before the guest hears of its end.  What is still
 * marked when the job ends is copied with the guest held (mirror_prepare), so nothing is missed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "block/copy.h"
#include "block/graph-ops.h"
#include "block/job-mirror.h"
#include "util/error.h"

#define REST_MAX (4 * 1024 * 1024)

/* A range that is being copied, or written by the guest to both. */
typedef struct Active { int64_t start, end; CoQueue waiters; struct Active *next; } Active;

typedef struct MirrorJob {
    Job j;
    MirrorSetup m;
    BlockNode *filter;
    BlockBackend *from, *to;
    BitRange dirty;
    int64_t at;                         /* granule where the search goes on */
    Active *active;
    char *replaces;
    int64_t chunk;                      /* bytes of a piece */
    unsigned workers;                   /* pieces that are copied at once */
    bool should_complete, waiting, target_was_read_only;
    int target_error;                   /* of a guest's write, in write-blocking mode */
} MirrorJob;

/* ---- ranges */

static void active_begin(MirrorJob *s, Active *a, int64_t offset, int64_t bytes)
{
    Active *o;

    *a = (Active){ .start = offset, .end = offset + bytes };
again:
    for (o = s->active; o; o = o->next) {
        if (o->start < a->end && a->start < o->end) {
            co_queue_wait(&o->waiters);
            goto again;
        }
    }
    a->next = s->active;
    s->active = a;
}

static void active_end(MirrorJob *s, Active *a)
{
    Active **p = &s->active;

    while (*p != a)
        p = &(*p)->next;
    *p = a->next;
    co_queue_wake_all(&a->waiters);
}

static void mark(MirrorJob *s, int64_t offset, int64_t bytes)
{
    if (offset >= s->dirty.length)
        return;
    bits_change(&s->dirty, offset, MIN(bytes, s->dirty.length - offset), true);
    if (s->waiting)
        job_enter(&s->j);
}

/* ---- the guest's writes */

static int before_write(void *opaque, int64_t offset, int64_t bytes)
{
    MirrorJob *s = opaque;

    if (s->m.write_blocking) {
        Active *a = g_new(Active, 1);

        active_begin(s, a, offset, bytes);
    }
    return 0;
}

static unsigned zero_flags(const MirrorJob *s)
{
    return s->m.keep_space ? 0 : BLK_MAY_UNMAP;
}

static void write_target(MirrorJob *s, int64_t offset, int64_t bytes, const IoVec *v, size_t vo)
{
    int64_t granule = INT64_C(1) << s->dirty.shift, from = (offset + granule - 1) & ~(granule - 1),
            to = (offset + bytes) & ~(granule - 1);
    int ret = v ? node_co_write(blk_root(s->to), offset, bytes, v, vo, 0)
                : node_co_zero(blk_root(s->to), offset, bytes, zero_flags(s));

    if (ret < 0) {
        mark(s, offset, bytes);
        s->target_error = -ret;
    } else if (to > from) {
        bits_change(&s->dirty, from, to - from, false);
    }
}

static int after_write(void *opaque, int ret, int64_t offset, int64_t bytes, const IoVec *v, size_t vo, bool discard)
{
    MirrorJob *s = opaque;
    Active *a;

    /* without its backing file, the target can't fill up a cluster that is written in part: the job does that */
    if (s->m.sync != MIRROR_FULL && !s->m.is_commit && (offset | bytes) & ((INT64_C(1) << s->dirty.shift) - 1))
        discard = true;
    if (ret == 0 && s->m.write_blocking && !discard && s->to && bytes > 0)
        write_target(s, offset, bytes, v, vo);
    else
        mark(s, offset, bytes);
    a = s->active;
    while (s->m.write_blocking && a && (a->start != offset || a->end != offset + bytes))
        a = a->next;
    if (s->m.write_blocking && a) {
        active_end(s, a);
        g_free(a);
    }
    return ret;
}

/* ---- the job */

static void progress(MirrorJob *s)
{
    s->j.total = s->j.done + MIN(s->dirty.set << s->dirty.shift, s->dirty.length);
}

/* A piece that is no longer marked. */
static void copy_piece(void *opaque, CopyPiece *p)
{
    MirrorJob *s = opaque;
    void *buf = block_try_memalign(p->bytes);
    Active a;

    p->result = (CopyResult){ -ENOMEM, true };
    active_begin(s, &a, p->offset, p->bytes);
    if (buf)
        p->result = copy_co(blk_root(s->from), blk_root(s->to), p->offset, p->bytes, buf, 0, zero_flags(s));
    if (p->result.ret < 0)
        bits_change(&s->dirty, p->offset, p->bytes, true);
    active_end(s, &a);
    free(buf);
}

/* Copies the next marked pieces, at most max of them; *r: the first error. 1: nothing is marked. */
static int copy_some(MirrorJob *s, unsigned max, int64_t *copied, CopyResult *r)
{
    CopyPiece p[COPY_WORKERS];
    unsigned n = 0;

    *copied = 0;
    *r = (CopyResult){ 0, false };
    while (n < max && bits_next(&s->dirty, &s->at, s->chunk, &p[n].offset, &p[n].bytes)) {
        bits_change(&s->dirty, p[n].offset, p[n].bytes, false);
        n++;
    }
    if (!n)
        return 1;
    copy_all(copy_piece, s, p, n);
    for (unsigned i = 0; i < n; i++) {
        if (p[i].result.ret == 0)
            *copied += p[i].bytes;
        else if (r->ret == 0)
            *r = p[i].result;
    }
    return r->ret;
}

/* What is to be copied at first. */
static int mark_all(MirrorJob *s)
{
    int64_t len = s->dirty.length, n;
    BlockNode *src = s->m.source;
    bool all = false;

    if (s->m.sync == MIRROR_NONE)
        return 0;
    if (s->m.zero_target && s->m.target->flags & OPEN_UNMAP && s->m.target->drv->co_zero) {
        for (int64_t o = 0; o < len; o += n) {
            int ret = node_co_zero(blk_root(s->to), o, n = MIN(len - o, INT64_C(1) << 30), BLK_MAY_UNMAP);

            if (ret < 0)
                return ret;
            if (job_co_sleep(&s->j, 0))
                return -ECANCELED;
        }
    } else {
        all = s->m.zero_target;
    }
    for (int64_t o = 0; o < len; o += MAX(n, 1)) {
        int ret = all ? (n = len, 1) : node_co_allocated_above(src, s->m.base, false, o, MIN(len - o, INT64_C(1) << 30), &n);

        if (ret < 0)
            return ret;
        if (ret)
            bits_change(&s->dirty, o, n, true);
        if (job_co_sleep(&s->j, 0))
            return -ECANCELED;
    }
    return 0;
}

/* Everything is copied for now. 1: go on; 0: that was all. */
static int in_step(MirrorJob *s)
{
    int ret = node_co_flush(s->m.target);

    if (ret < 0) {
        BlkOnError what = job_co_error(&s->j, false, s->j.on_target, -ret);

        return what == BLK_ERR_REPORT ? ret : 1;
    }
    if (s->dirty.set)
        return 1;
    if (s->j.status != JOB_READY) {
        progress(s);
        job_co_ready(&s->j);
    }
    if (s->should_complete || s->j.cancelled)
        return 0;
    s->waiting = true;
    job_co_wait(&s->j);
    s->waiting = false;
    return s->j.cancelled && s->j.forced ? -ECANCELED : 1;
}

static int resize_target(MirrorJob *s, GError **err)
{
    int64_t len = node_length(s->m.source), have = node_length(s->m.target);

    if (s->m.is_commit)
        return have < len ? node_co_truncate(blk_root(s->to), len, false, PREALLOC_OFF, err) : 0;
    return have == len ? 0 : (error_set(err, "Source and target image have different sizes"), -EINVAL);
}

static int mirror_run(Job *j, GError **err)
{
    MirrorJob *s = (MirrorJob *)j;
    int ret = resize_target(s, err);

    if (ret == 0)
        ret = mark_all(s);
    progress(s);
    while (ret >= 0) {
        CopyResult r = { 0 };
        int64_t bytes = 0;

        /* what is left is little: mirror_prepare copies it, and a guest that writes on and on can't keep us */
        if (j->status == JOB_READY && (s->should_complete || j->cancelled) && s->dirty.set << s->dirty.shift <= REST_MAX) {
            ret = 0;
            break;
        }
        ret = copy_some(s, j->speed ? 1 : s->workers, &bytes, &r);
        if (ret == 1) {
            ret = in_step(s);
            if (ret == 0)
                break;
            continue;
        }
        if (s->target_error) {
            r = (CopyResult){ -s->target_error, false };
            s->target_error = 0;
        }
        if (r.ret < 0) {
            BlkOnError what = job_co_error(j, r.on_read, r.on_read ? j->on_source : j->on_target, -r.ret);

            ret = what == BLK_ERR_REPORT ? r.ret : 0;
        }
        j->done += bytes;
        progress(s);
        if (ret >= 0 && job_co_pace(j, bytes))
            ret = -ECANCELED;
    }
    return ret;
}

/* ---- the end */

typedef struct Rest { MirrorJob *s; int ret; } Rest;

static void rest_co(void *opaque)
{
    Rest *r = opaque;
    MirrorJob *s = r->s;
    int64_t bytes;
    CopyResult c;

    r->ret = 0;
    while (r->ret == 0)
        r->ret = copy_some(s, s->workers, &bytes, &c);
    if (r->ret == 1)
        r->ret = node_co_flush(s->m.target);
}

static bool pivot(MirrorJob *s, GError **err)
{
    BlockNode *old = s->replaces ? node_by_name(s->replaces) : s->m.source;

    if (!old)
        return error_set(err, "Node '%s' to be replaced is gone", s->replaces);
    if (s->m.source_chain && !node_set_backing(s->m.target, s->m.sync == MIRROR_NONE ? s->m.source : s->m.base, err))
        return false;
    if (old->read_only != s->m.target->read_only && !node_reopen(s->m.target, !old->read_only, err))
        return false;
    if (!node_replace(old, s->m.target, err))
        return false;
    node_refresh_names_above(s->m.target);
    return true;
}

static int mirror_prepare(Job *j, GError **err)
{
    MirrorJob *s = (MirrorJob *)j;
    Rest r = { s, 0 };

    aio_run_sync(rest_co, &r);
    if (r.ret < 0)
        return r.ret;
    job_leave_graph(&s->to, &s->from, &s->filter);
    if (!s->should_complete || j->cancelled)
        return 0;
    if (!pivot(s, err))
        return -EPERM;
    s->target_was_read_only = false;
    return 0;
}

static void mirror_clean(Job *j)
{
    MirrorJob *s = (MirrorJob *)j;

    job_leave_graph(&s->to, &s->from, &s->filter);
    if (s->target_was_read_only)
        node_reopen(s->m.target, false, NULL);
    bits_free(&s->dirty);
    g_free(s->replaces);
}

static bool mirror_soft_cancel(Job *j)
{
    return j->status == JOB_READY || j->status == JOB_STANDBY;
}

static bool mirror_complete(Job *j, GError **err)
{
    MirrorJob *s = (MirrorJob *)j;

    if (s->m.open_backing && !s->m.target->backing && s->m.target->backing_file &&
        !node_open_backing_of(s->m.target, err))
        return false;
    s->should_complete = true;
    job_enter(j);
    return true;
}

#define COMMON .block_job = true, .size = sizeof(MirrorJob), .run = mirror_run, .prepare = mirror_prepare, .clean = mirror_clean, \
    .complete = mirror_complete, .soft_cancel = mirror_soft_cancel
static const JobDriver mirror_driver = { .type = "mirror", COMMON };
static const JobDriver active_commit_driver = { .type = "commit", COMMON };

/* ---- starting */

static bool build(MirrorJob *s, BlockNode *at, const char *filter_name, GError **err)
{
    FilterHooks hooks = { before_write, after_write, s, s->m.is_commit };
    bool commit = s->m.is_commit;
    unsigned shift = __builtin_ctz(s->m.granularity);
    NodeInfo info = { .cluster_size = 0 };

    if (!commit && s->m.sync != MIRROR_FULL && s->m.target->drv->info && s->m.target->drv->info(s->m.target, &info) &&
        info.cluster_size > 1 << shift)
        shift = __builtin_ctz(info.cluster_size);
    if (!bits_init(&s->dirty, node_length(s->m.source), shift, err))
        return false;
    s->chunk = MIN(s->m.buf_size, COPY_CHUNK);
    s->workers = CLAMP(s->m.buf_size / MAX(s->chunk, INT64_C(1) << shift), 1, COPY_WORKERS);
    s->filter = filter_insert(&driver_mirror_top, at, filter_name, err);
    if (!s->filter)
        return false;
    filter_set_hooks(s->filter, &hooks);
    if (!node_refresh_perms(s->filter, err))
        return false;
    if (s->m.target->read_only) {
        if (!node_reopen(s->m.target, true, err))
            return false;
        s->target_was_read_only = commit;
    }
    s->from = blk_new(NULL, 0, PERM_ALL);
    s->to = blk_new(NULL, PERM_WRITE | (commit ? PERM_RESIZE : 0), PERM_WRITE_UNCHANGED | (commit ? PERM_READ | PERM_WRITE : 0));
    return blk_insert(s->from, s->m.source, err) && blk_insert(s->to, s->m.target, err);
}

bool mirror_start(const JobArgs *a, const MirrorSetup *m, BlockNode *at, const char *filter_name, const char *replaces, GError **err)
{
    MirrorJob *s;
    bool ok;

    block_quiesce_begin();
    s = (MirrorJob *)job_new(m->is_commit ? &active_commit_driver : &mirror_driver, a, m->source, err);
    ok = s != NULL;
    if (ok) {
        s->m = *m;
        s->replaces = g_strdup(replaces);
        job_use_node(&s->j, m->target);
        for (BlockNode *n = node_backing(m->source); m->is_commit && n && n != m->target; n = node_backing(n))
            job_use_node(&s->j, n);
        ok = build(s, at, filter_name, err);
        if (!ok) {
            mirror_clean(&s->j);
            job_early_fail(&s->j);
        }
    }
    block_quiesce_end();
    if (ok)
        job_start(&s->j);
    return ok;
}

bool mirror_start_commit(const JobArgs *a, BlockNode *top, BlockNode *base, const char *filter_name, GError **err)
{
    MirrorSetup m = { .source = node_skip_filters(top), .target = base, .base = base, .sync = MIRROR_TOP, .is_commit = true,
                      .granularity = mirror_granularity(base), .buf_size = MIRROR_BUF_SIZE };
    JobArgs args = *a;

    args.on_target = a->on_source;
    return mirror_start(&args, &m, top, filter_name, NULL, err);
}
