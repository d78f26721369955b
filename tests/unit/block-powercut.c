/*
 * Power cuts under qcow2: a random run over a file in memory that records every write and flush.  For many cut points
 * an image is put together from what must have reached the disk by then and a random part, down to single sectors,
 * of what may have; it must open, check without errors (leaks are allowed) and hold all data that were flushed.
 * POWERCUTS=n sets the number of cuts a case.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "block/aio.h"
#include "block/graph.h"
#include "block/options.h"

#define DISK (4 << 20)
#define SECTORS (DISK / 512)

/* ---- the file in memory */

typedef struct Op {
    bool flush, truncate;
    int64_t offset, bytes;
    uint8_t *data;                      /* NULL: zeroes */
    unsigned begun, ended;              /* times; ended 0: not yet */
} Op;

static struct {
    GByteArray *file;
    GArray *log;                        /* Op; NULL: not recording */
    unsigned now;
    GRand *rand;
} mem;

static void mem_put(GByteArray *f, int64_t offset, const uint8_t *data, int64_t bytes)
{
    if (offset + bytes > f->len) {
        unsigned old = f->len;

        g_byte_array_set_size(f, offset + bytes);
        memset(f->data + old, 0, f->len - old);
    }
    if (data)
        memcpy(f->data + offset, data, bytes);
    else
        memset(f->data + offset, 0, bytes);
}

/* Others may run meanwhile. */
static void pause_a_little(void)
{
    while (mem.log && !coroutine_blocking() && g_rand_int_range(mem.rand, 0, 3)) {
        coroutine_wake(coroutine_self());
        coroutine_yield();
    }
}

static void record(Op op)
{
    unsigned i;

    if (!mem.log) {
        if (op.truncate)
            g_byte_array_set_size(mem.file, op.offset);
        else if (!op.flush)
            mem_put(mem.file, op.offset, op.data, op.bytes);
        g_free(op.data);
        return;
    }
    op.begun = ++mem.now;
    i = mem.log->len;
    g_array_append_val(mem.log, op);
    pause_a_little();
    if (op.truncate && op.offset > mem.file->len)
        mem_put(mem.file, op.offset, NULL, 0);
    else if (op.truncate)
        g_byte_array_set_size(mem.file, op.offset);
    else if (!op.flush)
        mem_put(mem.file, op.offset, op.data, op.bytes);
    pause_a_little();
    g_array_index(mem.log, Op, i).ended = ++mem.now;
}

static bool mem_open(BlockNode *n, json_t *opts, unsigned flags, GError **err)
{
    n->length = mem.file->len;
    return true;
}

static int mem_read(BlockNode *n, int64_t offset, int64_t bytes, const IoVec *v, size_t vo, unsigned flags)
{
    int64_t there = CLAMP((int64_t)mem.file->len - offset, 0, bytes);

    pause_a_little();
    there = CLAMP((int64_t)mem.file->len - offset, 0, bytes);
    if (there)
        iov_from_buf(v, vo, mem.file->data + offset, there);
    if (there < bytes)
        iov_memset(v, vo + there, 0, bytes - there);
    return 0;
}

static int mem_write(BlockNode *n, int64_t offset, int64_t bytes, const IoVec *v, size_t vo, unsigned flags)
{
    Op op = { .offset = offset, .bytes = bytes, .data = g_malloc(bytes) };

    iov_to_buf(v, vo, op.data, bytes);
    record(op);
    return 0;
}

static int mem_zero(BlockNode *n, int64_t offset, int64_t bytes, unsigned flags)
{
    record((Op){ .offset = offset, .bytes = bytes });
    return 0;
}

static int mem_discard(BlockNode *n, int64_t offset, int64_t bytes)
{
    record((Op){ .offset = offset, .bytes = MIN(bytes, MAX((int64_t)mem.file->len - offset, 0)) });
    return 0;
}

static int mem_flush(BlockNode *n)
{
    record((Op){ .flush = true });
    return 0;
}

static int mem_truncate(BlockNode *n, int64_t length, bool exact, Prealloc p, GError **err)
{
    record((Op){ .truncate = true, .offset = length });
    return 0;
}

static const BlockDriver driver_mem = {
    .name = "mem", .is_protocol = true, .open = mem_open, .co_read = mem_read, .co_write = mem_write, .co_zero = mem_zero,
    .co_discard = mem_discard, .co_flush = mem_flush, .co_truncate = mem_truncate, .zero_flags = BLK_MAY_UNMAP,
};

/* ---- what the guest did */

typedef struct Write {                  /* of one stamp; zero: 0 */
    int64_t sector, count;
    uint32_t stamp;
    bool any;                           /* discard: contents are anybody's until written again */
    unsigned begun, ended;
} Write;
typedef struct Flush { unsigned begun, ended; } Flush;

static GArray *writes, *flushes;
static bool busy[SECTORS];

static void fill(uint8_t *buf, int64_t sector, int64_t count, uint32_t stamp)
{
    for (int64_t i = 0; i < count * 128; i++)
        ((uint32_t *)buf)[i] = stamp;
}

typedef struct Task { BlockBackend *b; int kind; unsigned index; int64_t sector, count; uint32_t stamp; int *left; } Task;

static void task_co(void *opaque)
{
    Task *t = opaque;
    NodeLink *l = blk_root(t->b);
    int64_t bytes = t->count * 512;
    struct iovec iov = { g_malloc(MAX(bytes, 1)), bytes };
    IoVec v = { &iov, 1 };
    int ret = 0;

    fill(iov.iov_base, t->sector, t->count, t->stamp);
    switch (t->kind) {
    case 0:
        ret = node_co_write(l, t->sector * 512, bytes, &v, 0, 0);
        break;
    case 1:
        ret = node_co_zero(l, t->sector * 512, bytes, g_rand_boolean(mem.rand) ? BLK_MAY_UNMAP : 0);
        break;
    case 2:
        ret = node_co_discard(l, t->sector * 512, bytes);
        break;
    case 3:
        ret = node_co_flush(blk_node(t->b));
        break;
    }
    ck_assert_int_eq(ret, 0);
    if (t->kind == 3)
        g_array_index(flushes, Flush, t->index).ended = ++mem.now;
    else
        g_array_index(writes, Write, t->index).ended = ++mem.now;
    for (int64_t i = 0; i < t->count; i++)
        busy[t->sector + i] = false;
    g_free(iov.iov_base);
    --*t->left;
    g_free(t);
}

static void one_task(BlockBackend *b, uint32_t stamp, int *left)
{
    int dice = g_rand_int_range(mem.rand, 0, 100);
    Task *t = g_new0(Task, 1);

    t->b = b;
    t->left = left;
    t->kind = dice < 70 ? 0 : dice < 78 ? 1 : dice < 86 ? 2 : 3;
    if (t->kind != 3) {
        t->sector = g_rand_int_range(mem.rand, 0, SECTORS);
        t->count = g_rand_int_range(mem.rand, 1, dice % 5 ? 24 : 300);
        t->count = MIN(t->count, SECTORS - t->sector);
        t->stamp = t->kind == 0 ? stamp : 0;
        for (int64_t i = 0; i < t->count; i++) {
            if (busy[t->sector + i]) {
                t->count = i;
                break;
            }
        }
        if (!t->count) {
            g_free(t);
            return;
        }
        memset(busy + t->sector, 1, t->count);
        g_array_append_val(writes, ((Write){ t->sector, t->count, t->stamp, t->kind == 2, ++mem.now, 0 }));
        t->index = writes->len - 1;
    } else {
        g_array_append_val(flushes, ((Flush){ ++mem.now, 0 }));
        t->index = flushes->len - 1;
    }
    ++*left;
    coroutine_enter(coroutine_new(task_co, t));
}

typedef struct Snap { BlockNode *n; int what; char name[16]; bool ok; } Snap;
static void snap_co(void *opaque)
{
    Snap *s = opaque;
    SnapshotInfo sn = { 0 };

    if (s->what == 0) {
        strcpy(sn.name, s->name);
        s->ok = s->n->drv->snapshot_create(s->n, &sn, NULL);
    } else {
        s->ok = s->n->drv->snapshot_delete(s->n, s->name, NULL);
    }
}

static void run_guest(BlockBackend *b, int count, bool snapshots)
{
    int left = 0, n_snaps = 0, deleted = 0;

    for (int i = 0; i < count; i++) {
        while (left >= 6)
            aio_poll(false);
        one_task(b, i + 1, &left);
        if (snapshots && i % 60 == 59) {
            Snap s = { blk_node(b), i % 180 == 179 };

            while (left)
                aio_poll(false);
            snprintf(s.name, sizeof(s.name), "s%d", s.what ? deleted++ : n_snaps++);
            aio_run_sync(snap_co, &s);
            ck_assert(s.ok);
        }
    }
    while (left)
        aio_poll(false);
}

/* ---- cuts */

static GByteArray *image_at(const GByteArray *start, unsigned cut)
{
    GByteArray *f = g_byte_array_new();
    unsigned sure = 0;

    g_byte_array_append(f, start->data, start->len);
    /* what had ended before a flush began that had ended by now is on the disk */
    for (unsigned i = 0; i < mem.log->len; i++) {
        Op *o = &g_array_index(mem.log, Op, i);

        if (o->flush && o->ended && o->ended <= cut)
            sure = MAX(sure, o->begun);
    }
    for (unsigned i = 0; i < mem.log->len; i++) {
        Op *o = &g_array_index(mem.log, Op, i);
        bool must = o->ended && o->ended < sure;
        int luck = g_rand_int_range(mem.rand, 0, 4);

        if (o->flush || o->begun > cut)
            continue;
        if (o->truncate) {
            if (must || luck)
                mem_put(f, MAX(o->offset, f->len), NULL, 0);
            continue;
        }
        if (must || luck == 0) {
            mem_put(f, o->offset, o->data, o->bytes);
        } else if (luck > 1) {          /* torn, at sectors */
            for (int64_t p = 0; p < o->bytes;) {
                int64_t n = MIN(512 - (o->offset + p) % 512, o->bytes - p);

                if (g_rand_boolean(mem.rand))
                    mem_put(f, o->offset + p, o->data ? o->data + p : NULL, n);
                p += n;
            }
        }
    }
    return f;
}

/* The flush that counts: the last that had ended. */
static unsigned flushed_until(unsigned cut)
{
    unsigned sure = 0;

    for (unsigned i = 0; i < flushes->len; i++) {
        Flush *f = &g_array_index(flushes, Flush, i);

        if (f->ended && f->ended <= cut)
            sure = MAX(sure, f->begun);
    }
    return sure;
}

static void check_data(BlockBackend *b, unsigned cut)
{
    g_autofree uint32_t *disk = g_malloc(DISK), *last = g_new0(uint32_t, SECTORS);
    g_autofree bool *any = g_new0(bool, SECTORS);
    unsigned sure = flushed_until(cut);

    ck_assert_int_eq(blk_pread(b, 0, disk, DISK), 0);
    for (unsigned i = 0; i < writes->len; i++) {
        Write *w = &g_array_index(writes, Write, i);
        bool must = w->ended && w->ended < sure;

        if (w->begun > cut)
            continue;
        for (int64_t s = w->sector; s < w->sector + w->count; s++) {
            if (must) {
                last[s] = w->stamp;
                any[s] = w->any;
            } else if (w->any || disk[s * 128] == w->stamp) {
                any[s] = true;          /* may be there already */
            }
        }
    }
    for (int64_t s = 0; s < SECTORS; s++)
        if (!any[s])
            ck_assert_msg(disk[s * 128] == last[s] && disk[s * 128 + 127] == last[s],
                          "cut %u: sector %d holds %u, not %u", cut, (int)s, disk[s * 128], last[s]);
}

typedef struct Check { BlockNode *n; CheckResult r; int ret; int harmless; } Check;
static void check_co(void *opaque)
{
    Check *c = opaque;

    c->ret = c->n->drv->co_check(c->n, &c->r, 0);
}

static bool version2;       /* of the image under test */

static void complain(void *opaque, const char *line)
{
    Check *c = opaque;

    /* A version 2 image cannot say that its flags are behind: a cluster that is copied without need (docs/qcow2-crash.md, 9). */
    if (c->n->drv == &driver_qcow2 && version2 && g_str_has_prefix(line, "ERROR OFLAG_COPIED") && g_str_has_suffix(line, "refcount=1"))
        c->harmless++;
    else if (!strncmp(line, "ERROR", 5))
        fprintf(stderr, "# %s\n", line);
}

static void check_cut(const GByteArray *start, unsigned cut, bool rw)
{
    GByteArray *now = mem.file;
    GArray *log = mem.log;
    GError *e = NULL;
    BlockBackend *b;
    Check c;

    mem.file = image_at(start, cut);
    mem.log = NULL;
    b = blk_open(NULL, json_pack("{s:s, s:s}", "driver", "qcow2", "file.driver", "mem"), rw ? OPEN_RDWR : 0, &e);
    ck_assert_msg(b != NULL, "cut %u: %s", cut, e ? e->message : "");
    c = (Check){ blk_node(b), { .message = complain, .opaque = &c }, 0, 0 };
    aio_run_sync(check_co, &c);
    ck_assert_int_eq(c.ret, 0);
    ck_assert_msg(c.r.corruptions == c.harmless && !c.r.check_errors, "cut %u: %d errors", cut, (int)c.r.corruptions);
    check_data(b, cut);
    blk_unref(b);
    g_byte_array_free(mem.file, TRUE);
    mem.file = now;
    mem.log = log;
}

static void make_start(const char *opts)
{
    g_autofree char *path = g_build_filename(g_get_tmp_dir(), "powercut.XXXXXX", NULL);
    char *text;
    gsize len;
    GError *e = NULL;

    version2 = strstr(opts, "compat=0.10") != NULL;
    ck_assert(g_mkstemp(path) >= 0);
    ck_assert_msg(image_create(path, "qcow2", jopts_parse(opts, NULL, NULL), &e), "%s", e ? e->message : "");
    ck_assert(g_file_get_contents(path, &text, &len, NULL));
    remove(path);
    mem.file = g_byte_array_new();
    g_byte_array_append(mem.file, (uint8_t *)text, len);
    g_free(text);
}

static const struct { const char *opts; bool snapshots; } cases[] = {
    { "size=4M" },
    { "size=4M,cluster_size=512,refcount_bits=64" },
    { "size=4M,cluster_size=4k" },
    { "size=4M,cluster_size=4k,refcount_bits=1" },
    { "size=4M,compat=0.10,cluster_size=1k" },
    { "size=4M,cluster_size=2k", true },
    { "size=4M,cluster_size=16k", true },
    { "size=4M,compat=0.10,cluster_size=4k", true },
    { "size=4M,cluster_size=16k,extended_l2=on" },
    { "size=4M,cluster_size=16k,extended_l2=on", true },
    { "size=4M,lazy_refcounts=on" },
    { "size=4M,cluster_size=512,refcount_bits=64,lazy_refcounts=on" },
    { "size=4M,cluster_size=4k,refcount_bits=1,lazy_refcounts=on" },
    { "size=4M,cluster_size=2k,lazy_refcounts=on", true },
    { "size=4M,cluster_size=16k,extended_l2=on,lazy_refcounts=on" },
};

START_TEST(power_cut)
{
    const char *env = g_getenv("POWERCUTS");
    int cuts = env ? atoi(env) : 60, seed = g_getenv("SEED") ? atoi(g_getenv("SEED")) : 1;
    GByteArray *start = g_byte_array_new();
    GError *e = NULL;
    BlockBackend *b;

    block_init(NULL);
    block_test_driver = &driver_mem;
    mem.rand = g_rand_new_with_seed(_i + 100 * seed);
    writes = g_array_new(FALSE, FALSE, sizeof(Write));
    flushes = g_array_new(FALSE, FALSE, sizeof(Flush));
    make_start(cases[_i].opts);
    g_byte_array_append(start, mem.file->data, mem.file->len);
    mem.log = g_array_new(FALSE, FALSE, sizeof(Op));
    b = blk_open(NULL, json_pack("{s:s, s:s}", "driver", "qcow2", "file.driver", "mem"), OPEN_RDWR | OPEN_UNMAP, &e);
    ck_assert_msg(b != NULL, "%s", e ? e->message : "");
    run_guest(b, 400, cases[_i].snapshots);
    blk_unref(b);
    check_cut(start, mem.now, false);
    /* an image that may be dirty is repaired when it is opened for writing */
    for (int i = 0; i < cuts; i++)
        check_cut(start, g_rand_int_range(mem.rand, 1, mem.now + 1), cases[_i].snapshots || strstr(cases[_i].opts, "lazy"));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("powercut");
    TCase *t = tcase_create("powercut");
    SRunner *sr;
    int bad;

    tcase_set_timeout(t, 1200);
    tcase_add_loop_test(t, power_cut, 0, G_N_ELEMENTS(cases));
    suite_add_tcase(s, t);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    bad = srunner_ntests_failed(sr);
    srunner_free(sr);
    return bad != 0;
}
