/*
 * Backups: the target becomes what the source was at the start.  A filter over the source copies old data before a
 * guest's write goes on (the write waits for that); the job copies the rest.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "block/bitmap.h"
#include "block/copy.h"
#include "block/graph-ops.h"
#include "block/job-mirror.h"
#include "block/options.h"
#include "util/error.h"

typedef enum BackupSync { BACKUP_FULL, BACKUP_TOP, BACKUP_NONE, BACKUP_BITMAP } BackupSync;
typedef enum BitmapMode { BITMAP_ON_SUCCESS, BITMAP_NEVER, BITMAP_ALWAYS } BitmapMode;

typedef struct InFlight { int64_t start, end; CoQueue waiters; struct InFlight *next; } InFlight;

typedef struct BackupJob {
    Job j;
    BlockNode *source, *target, *filter;
    BlockBackend *from, *to;
    BackupSync sync;
    BitRange todo;
    InFlight *in_flight;
    DirtyBitmap *bitmap;
    BitmapMode mode;
    uint8_t *saved;                     /* what the bitmap said at the start */
    unsigned workers;                   /* pieces that are copied at once */
    int64_t chunk;                      /* bytes of one */
    bool compress, target_was_read_only;
} BackupJob;

/* ---- copying */

/* Waits until nothing of the range is being copied. */
static void wait_for(BackupJob *s, int64_t start, int64_t end)
{
    InFlight *f;

again:
    for (f = s->in_flight; f; f = f->next) {
        if (f->start < end && start < f->end) {
            co_queue_wait(&f->waiters);
            goto again;
        }
    }
}

static CopyResult copy_now(BackupJob *s, int64_t offset, int64_t bytes)
{
    InFlight f = { .start = offset, .end = offset + bytes, .next = s->in_flight }, **p = &s->in_flight;
    void *buf = block_try_memalign(bytes);
    CopyResult r = { -ENOMEM, true };

    s->in_flight = &f;
    bits_change(&s->todo, offset, bytes, false);
    if (buf)
        r = copy_co(blk_root(s->from), blk_root(s->to), offset, bytes, buf, s->compress ? REQ_WRITE_COMPRESSED : 0,
                    BLK_MAY_UNMAP);
    free(buf);
    if (r.ret < 0)
        bits_change(&s->todo, offset, bytes, true);
    else
        s->j.done += bytes;
    while (*p != &f)
        p = &(*p)->next;
    *p = f.next;
    co_queue_wake_all(&f.waiters);
    return r;
}

static int before_write(void *opaque, int64_t offset, int64_t bytes)
{
    BackupJob *s = opaque;
    int64_t granule = INT64_C(1) << s->todo.shift, end = MIN(offset + bytes, s->todo.length);

    if (!s->to)
        return 0;
    for (int64_t o = offset & ~(granule - 1); o < end;) {
        int64_t n = MIN(granule, s->todo.length - o);

        wait_for(s, o, o + n);
        while (bits_test(&s->todo, o >> s->todo.shift)) {
            CopyResult r;

            while (o + n < end && n < COPY_CHUNK && bits_test(&s->todo, (o + n) >> s->todo.shift))
                n = MIN(n + granule, s->todo.length - o);
            r = copy_now(s, o, n);
            if (r.ret < 0)
                return r.ret;
            wait_for(s, o, o + n);
        }
        o += n;
    }
    return 0;
}

/* Layers below the first are not asked for. */
static int only_top(BackupJob *s)
{
    int64_t len = s->todo.length, n, granule = INT64_C(1) << s->todo.shift;

    for (int64_t o = 0; o < len; o += n) {
        int64_t piece = MIN(granule, len - o), got = 0;
        bool any = false;

        n = piece;
        for (int64_t i = 0; i < piece && !any; i += MAX(got, 1)) {
            int ret = node_co_allocated_above(s->source, s->source, true, o + i, piece - i, &got);

            if (ret < 0)
                return ret;
            any = ret;
        }
        if (!any && bits_test(&s->todo, o >> s->todo.shift)) {
            bits_change(&s->todo, o, piece, false);
            s->j.total -= piece;
        }
        if (job_co_sleep(&s->j, 0))
            return -ECANCELED;
    }
    return 0;
}

static void copy_piece(void *opaque, CopyPiece *p)
{
    p->result = copy_now(opaque, p->offset, p->bytes);
}

/* The next few pieces at once; *at: where the search goes on. 1: nothing is left to be done. */
static int copy_some(BackupJob *s, int64_t *at, int64_t *copied)
{
    CopyPiece p[COPY_WORKERS];
    unsigned n = 0, max = s->j.speed ? 1 : s->workers;
    int ret = 0;

    *copied = 0;
    while (n < max && bits_next(&s->todo, at, s->chunk, &p[n].offset, &p[n].bytes)) {
        bits_change(&s->todo, p[n].offset, p[n].bytes, false);
        *copied += p[n++].bytes;
    }
    if (!n)
        return 1;
    copy_all(copy_piece, s, p, n);
    for (unsigned i = 0; i < n; i++) {
        CopyResult r = p[i].result;

        if (r.ret < 0 && ret == 0 &&
            job_co_error(&s->j, r.on_read, r.on_read ? s->j.on_source : s->j.on_target, -r.ret) == BLK_ERR_REPORT)
            ret = r.ret;
    }
    return ret;
}

static int backup_run(Job *j, GError **err)
{
    BackupJob *s = (BackupJob *)j;
    int64_t at = 0, copied;
    int ret = s->sync == BACKUP_TOP ? only_top(s) : 0;

    while (ret == 0 && s->sync == BACKUP_NONE)
        ret = job_co_wait(j) ? -ECANCELED : 0;
    while (ret == 0) {
        ret = copy_some(s, &at, &copied);
        if (ret == 0 && job_co_pace(j, copied))
            ret = -ECANCELED;
    }
    if (ret == 1)
        ret = 0;
    /* a guest's write may still be copying */
    if (ret == 0)
        wait_for(s, 0, INT64_MAX);
    if (ret == 0 && s->todo.set)
        ret = -EIO;
    return ret < 0 ? ret : node_co_flush(s->target);
}

/* ---- the end */

static void take_apart(BackupJob *s)
{
    if (s->filter)
        filter_remove(g_steal_pointer(&s->filter));
    if (s->to)
        blk_unref(g_steal_pointer(&s->to));
    if (s->from)
        blk_unref(g_steal_pointer(&s->from));
}

/* The bitmap says what has changed since the backup that succeeded last. */
static void settle_bitmap(BackupJob *s, bool ok)
{
    DirtyBitmap *b = s->bitmap;

    if (!b)
        return;
    for (size_t i = 0; i < bitmap_bytes(b) && (s->mode == BITMAP_NEVER || (s->mode == BITMAP_ON_SUCCESS && !ok)); i++)
        b->bits[i] |= s->saved[i];
    if (s->mode == BITMAP_ALWAYS && !ok) {
        for (int64_t g = 0; g < s->todo.granules; g++) {
            int64_t first = (g << s->todo.shift) >> b->shift,
                    end = MIN((((g + 1) << s->todo.shift) + (INT64_C(1) << b->shift) - 1) >> b->shift, b->granules);

            for (int64_t k = first; bits_test(&s->todo, g) && k < end; k++)
                b->bits[k / 8] |= s->saved[k / 8] & (1 << (k & 7));
        }
    }
    b->busy = false;
    s->bitmap = NULL;
}

static void backup_commit(Job *j)
{
    settle_bitmap((BackupJob *)j, true);
}

static void backup_abort(Job *j)
{
    settle_bitmap((BackupJob *)j, false);
}

static void backup_clean(Job *j)
{
    BackupJob *s = (BackupJob *)j;

    take_apart(s);
    settle_bitmap(s, false);
    if (s->target_was_read_only)
        node_reopen(s->target, false, NULL);
    bits_free(&s->todo);
    g_free(s->saved);
}

static const JobDriver backup_driver = {
    .type = "backup", .block_job = true, .size = sizeof(BackupJob), .run = backup_run, .commit = backup_commit,
    .abort = backup_abort, .clean = backup_clean,
};

/* ---- starting */

typedef struct BackupArgs {
    BlockNode *at, *source, *target;
    BackupSync sync;
    DirtyBitmap *bitmap;
    BitmapMode mode;
    bool compress;
    int64_t max_workers, max_chunk;     /* of x-perf; chunk 0: no limit */
    int64_t cluster;                    /* what is copied at the least */
    const char *filter_name;
    JobArgs job;
} BackupArgs;

static int enum_of(const char *s, const char *const *names)
{
    int i = 0;

    while (names[i] && strcmp(names[i], s))
        i++;
    return i;
}

static bool take_bitmap(BackupArgs *b, json_t *args, bool incremental, const char *sync, GError **err)
{
    static const char *const modes[] = { "on-success", "never", "always", NULL };
    const char *name = json_string_value(json_object_get(args, "bitmap")),
               *mode = json_string_value(json_object_get(args, "bitmap-mode"));

    if (b->sync == BACKUP_BITMAP && !name)
        return error_set(err, "must provide a valid bitmap name for '%s' sync mode", sync);
    if (incremental && mode && strcmp(mode, "on-success"))
        return error_set(err, "Bitmap sync mode must be '%s' when using sync mode '%s'", "on-success", sync);
    if (!name)
        return !mode || error_set(err, "Cannot specify bitmap sync mode without a bitmap");
    b->bitmap = bitmap_find(b->source, name);
    if (!b->bitmap)
        return error_set(err, "Bitmap '%s' could not be found", name);
    if (!mode && !incremental)
        return error_set(err, "Bitmap sync mode must be given when providing a bitmap");
    if (b->bitmap->busy)
        return error_set(err, "Bitmap '%s' is currently in use by another operation and cannot be used", name);
    if (b->bitmap->inconsistent)
        return error_set(err, "Bitmap '%s' is inconsistent and cannot be used\n"
                         "Try block-dirty-bitmap-remove to delete this bitmap from disk", name);
    b->mode = mode ? (BitmapMode)enum_of(mode, modes) : BITMAP_ON_SUCCESS;
    if (b->sync == BACKUP_NONE)
        return error_set(err, "sync mode '%s' does not produce meaningful bitmap outputs", sync);
    if (b->sync != BACKUP_BITMAP && b->mode == BITMAP_NEVER)
        return error_set(err, "Bitmap sync mode '%s' has no meaningful effect when combined with sync mode '%s'", mode, sync);
    return true;
}

static bool take_perf(BackupArgs *b, json_t *perf, GError **err)
{
    json_t *workers = json_object_get(perf, "max-workers");

    b->max_workers = workers ? json_integer_value(workers) : 64;
    b->max_chunk = json_integer_value(json_object_get(perf, "max-chunk"));
    if (b->max_workers < 1 || b->max_workers > INT32_MAX)
        return error_set(err, "max-workers must be between 1 and %d", INT32_MAX);
    if (b->max_chunk < 0)
        return error_set(err, "max-chunk must be zero (which means no limit) or positive");
    return true;
}

static bool take_args(BackupArgs *b, json_t *args, JobTxn *txn, GError **err)
{
    static const char *const syncs[] = { "full", "top", "none", "bitmap", NULL };
    const char *device = json_string_value(json_object_get(args, "device")), *sync = json_string_value(json_object_get(args, "sync"));
    bool incremental = !strcmp(sync, "incremental");

    b->at = block_lookup(device, device, err);
    b->source = node_skip_filters(b->at);
    if (!b->at || !job_args_from_json(&b->job, args, err) || !node_not_busy(b->source, err) ||
        !take_perf(b, json_object_get(args, "x-perf"), err))
        return false;
    b->job.txn = txn;
    b->sync = incremental ? BACKUP_BITMAP : (BackupSync)enum_of(sync, syncs);
    b->compress = json_is_true(json_object_get(args, "compress"));
    b->filter_name = json_string_value(json_object_get(args, "filter-node-name"));
    return take_bitmap(b, args, incremental, sync, err);
}

static bool take_old_bits(BackupJob *s, GError **err)
{
    DirtyBitmap *b = s->bitmap;

    bits_change(&s->todo, 0, s->sync == BACKUP_BITMAP ? 0 : s->todo.length, true);
    if (b) {
        s->saved = g_memdup2(b->bits, bitmap_bytes(b) + 1);
        for (int64_t g = 0; g < b->granules && s->sync == BACKUP_BITMAP; g++)
            if (s->saved[g / 8] & (1 << (g & 7)))
                bits_change(&s->todo, g << b->shift, MIN(INT64_C(1) << b->shift, s->todo.length - (g << b->shift)), true);
        memset(b->bits, 0, bitmap_bytes(b));
        b->busy = true;
    }
    s->j.total = s->todo.set << s->todo.shift;
    if (s->todo.granules && bits_test(&s->todo, s->todo.granules - 1))
        s->j.total -= (s->todo.granules << s->todo.shift) - s->todo.length;
    return true;
}

static bool build(BackupJob *s, BackupArgs *b, GError **err)
{
    FilterHooks hooks = { .before = before_write, .opaque = s };

    if (!bits_init(&s->todo, node_length(b->source), __builtin_ctzll(b->cluster), err))
        return false;
    s->chunk = b->max_chunk ? MIN(b->max_chunk, COPY_CHUNK) : COPY_CHUNK;
    s->workers = MIN(b->max_workers, COPY_WORKERS);
    if (b->target->read_only) {
        if (!node_reopen(b->target, true, err))
            return false;
        s->target_was_read_only = true;
    }
    s->filter = filter_insert(&driver_cbw, b->at, b->filter_name, err);
    if (!s->filter)
        return false;
    s->from = blk_new(NULL, PERM_READ, PERM_ALL);
    s->to = blk_new(NULL, PERM_WRITE, PERM_ALL & ~PERM_RESIZE);
    if (!blk_insert(s->from, b->source, err) || !blk_insert(s->to, b->target, err))
        return false;
    s->bitmap = b->bitmap;
    s->mode = b->mode;
    if (!take_old_bits(s, err))
        return false;
    filter_set_hooks(s->filter, &hooks);
    return true;
}

static bool choose_cluster(BackupArgs *b, GError **err)
{
    NodeInfo info = { .cluster_size = 65536 };

    if (b->target->drv->info)
        b->target->drv->info(b->target, &info);
    b->cluster = MAX(info.cluster_size, 65536);
    return !b->max_chunk || b->max_chunk >= b->cluster ||
        error_set(err, "Required max-chunk (%" PRId64 ") is less than backup cluster size (%" PRId64 ")", b->max_chunk, b->cluster);
}

/* The job is made and sees writes, but is not started yet. */
static Job *make_job(BackupArgs *b, GError **err)
{
    BackupJob *s;

    if (b->source == b->target || b->at == b->target) {
        error_set(err, "Source and target cannot be the same");
        return NULL;
    }
    if (!node_not_busy(b->target, err))
        return NULL;
    if (node_length(b->source) != node_length(b->target)) {
        error_set(err, "Source and target image have different sizes");
        return NULL;
    }
    if (b->compress && !node_skip_filters(b->target)->drv->supports_backing) {
        error_set(err, "Compression is not supported for this drive %s", node_user_name(b->target));
        return NULL;
    }
    if (!choose_cluster(b, err))
        return NULL;
    block_quiesce_begin();
    s = (BackupJob *)job_new(&backup_driver, &b->job, b->source, err);
    if (s) {
        s->source = b->source;
        s->target = b->target;
        s->sync = b->sync;
        s->compress = b->compress;
        job_use_node(&s->j, b->target);
        if (!build(s, b, err)) {
            backup_clean(&s->j);
            job_early_fail(&s->j);
            s = NULL;
        }
    }
    block_quiesce_end();
    return (Job *)s;
}

bool blockdev_backup(json_t *args, JobTxn *txn, Job **job, GError **err)
{
    const char *target = json_string_value(json_object_get(args, "target"));
    BackupArgs b = { 0 };

    if (!take_args(&b, args, txn, err))
        return false;
    b.target = block_lookup(target, target, err);
    if (b.target)
        *job = make_job(&b, err);
    return b.target && *job;
}

bool drive_backup(json_t *args, JobTxn *txn, Job **job, GError **err)
{
    const char *file = json_string_value(json_object_get(args, "target")),
               *fmt = json_string_value(json_object_get(args, "format")),
               *mode = json_string_value(json_object_get(args, "mode"));
    bool existing = mode && !strcmp(mode, "existing"), ok = true;
    BlockNode *backing = NULL;
    BackupArgs b = { 0 };

    if (!take_args(&b, args, txn, err))
        return false;
    if (!existing && !fmt)
        fmt = b.source->drv->name;
    if (b.sync == BACKUP_TOP && !node_backing(b.source))
        b.sync = BACKUP_FULL;
    backing = b.sync == BACKUP_TOP ? node_backing(b.source) : b.sync == BACKUP_NONE ? b.source : NULL;
    if (!existing && !job_create_target(file, fmt, node_length(b.source), backing, err))
        return false;
    b.target = job_open_target(file, fmt, NULL, b.source, b.sync == BACKUP_NONE ? OPEN_NO_BACKING : 0, err);
    if (!b.target)
        return false;
    if (b.sync == BACKUP_NONE)
        ok = node_set_backing(b.target, b.source, err);
    *job = ok ? make_job(&b, err) : NULL;
    node_unref(b.target);
    return *job != NULL;
}
