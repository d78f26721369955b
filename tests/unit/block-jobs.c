/*
 * Jobs, with a guest that writes all the time: what it wrote is in the drive afterwards, and the copy is what it should be.
 * A chain of three images, "base" <- "mid" <- "top"; the drive is called d0.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "block/aio.h"
#include "block/graph-ops.h"
#include "block/job.h"
#include "block/options.h"

#define SIZE (4 * 1024 * 1024)
#define SLOTS 4

static char *dir;
static uint8_t *model;                  /* what the guest must read */
static GString *events;                 /* "d0:running " ... */
static GRand *rnd;
static BlockBackend *drive;

static char *path(const char *name)
{
    return g_build_filename(dir, name, NULL);
}

/* ---- events */

static void event(void *opaque, const char *name, json_t *data)
{
    const char *status = json_string_value(json_object_get(data, "status"));

    if (!strcmp(name, "JOB_STATUS_CHANGE"))
        g_string_append_printf(events, "%s ", status);
    else if (g_str_has_prefix(name, "BLOCK_JOB_"))
        g_string_append_printf(events, "%s ", name + strlen("BLOCK_JOB_"));
    json_decref(data);
}

static const BlockHost host = { .event = event };

/* Pauses are other jobs' business, and depend on time. */
static void expect_events(const char *want)
{
    g_auto(GStrv) words = g_strsplit(events->str, " ", -1);
    GString *got = g_string_new(NULL);

    for (char **w = words; *w; w++) {
        if (!strcmp(*w, "paused") || !strcmp(*w, "standby"))
            w++;
        else if (**w)
            g_string_append_printf(got, "%s%s", got->len ? " " : "", *w);
        if (!*w)
            break;
    }
    ck_assert_str_eq(got->str, want);
    g_string_free(got, TRUE);
}

/* ---- images */

static void make(const char *name, const char *backing, uint8_t fill, int64_t offset, int64_t bytes)
{
    g_autofree char *p = path(name);
    g_autofree uint8_t *buf = g_malloc(bytes);
    json_t *o = json_pack("{s:i, s:s}", "size", SIZE, "cluster_size", "4k");
    GError *e = NULL;
    BlockBackend *b;

    if (backing) {
        jopts_set(o, "backing_file", backing);
        jopts_set(o, "backing_fmt", "qcow2");
    }
    ck_assert(image_create(p, "qcow2", o, NULL));
    b = blk_open(p, NULL, OPEN_RDWR, &e);
    ck_assert_msg(b != NULL, "%s", e ? e->message : "");
    memset(buf, fill, bytes);
    memset(model + offset, fill, bytes);
    ck_assert_int_eq(blk_pwrite(b, offset, buf, bytes, 0), 0);
    blk_unref(b);
}

static void make_chain(void)
{
    g_autofree char *opts = NULL;
    GError *e = NULL;
    DriveInfo *d;

    block_init(&host);
    events = g_string_new(NULL);
    rnd = g_rand_new_with_seed(7);
    model = g_malloc0(SIZE);
    make("base", NULL, 1, 0, SIZE / 2);
    make("mid", "base", 2, SIZE / 4, SIZE / 4);
    make("top", "mid", 3, SIZE / 8 * 3, SIZE / 4);
    opts = g_strdup_printf("if=none,id=d0,format=qcow2,file=%s/top,node-name=top,discard=unmap", dir);
    d = drive_add(opts, BLK_IF_NONE, &e);
    ck_assert_msg(d != NULL, "%s", e ? e->message : "");
    drive = d->blk;
}

/* The image, opened afresh, holds `want`, and nothing is wrong with it. */
static void check_image(const char *name, const uint8_t *want)
{
    g_autofree char *p = path(name), *cmd = g_strdup_printf("qemu-img check -q '%s' > /dev/null 2>&1", p);
    g_autofree uint8_t *buf = g_malloc(SIZE);
    GError *e = NULL;
    BlockBackend *b = blk_open(p, NULL, 0, &e);

    ck_assert_msg(b != NULL, "%s", e ? e->message : "");
    ck_assert_int_eq(blk_pread(b, 0, buf, SIZE), 0);
    for (unsigned i = 0; i < SIZE; i++)
        if (buf[i] != want[i])
            ck_abort_msg("%s: byte %x is %x, not %x", name, i, buf[i], want[i]);
    blk_unref(b);
    if (g_find_program_in_path("qemu-img"))
        ck_assert_int_eq(system(cmd), 0);
}

/* ---- the guest */

typedef struct Slot { bool used, busy; int64_t offset, bytes; uint8_t fill; uint8_t *buf; struct iovec iov; } Slot;
static Slot slots[SLOTS];
static unsigned written;

static void wrote(void *opaque, int ret)
{
    Slot *s = opaque;

    ck_assert_int_eq(ret, 0);
    memset(model + s->offset, s->fill, s->bytes);
    s->busy = false;
    written++;
}

static bool overlaps(int64_t offset, int64_t bytes)
{
    for (unsigned i = 0; i < SLOTS; i++)
        if (slots[i].busy && slots[i].offset < offset + bytes && offset < slots[i].offset + slots[i].bytes)
            return true;
    return false;
}

static void guest_writes(void)
{
    for (unsigned i = 0; i < SLOTS; i++) {
        Slot *s = &slots[i];
        int64_t bytes = g_rand_int_range(rnd, 1, 64) * 512, offset = g_rand_int_range(rnd, 0, (SIZE - bytes) / 512 + 1) * INT64_C(512);

        if (s->busy || overlaps(offset, bytes))
            continue;
        if (!s->buf)
            s->buf = block_memalign(64 * 512);
        s->fill = g_rand_int_range(rnd, 0, 4) ? g_rand_int_range(rnd, 1, 256) : 0;
        memset(s->buf, s->fill, bytes);
        s->busy = true;
        s->offset = offset;
        s->bytes = bytes;
        s->iov = (struct iovec){ s->buf, bytes };
        if (s->fill || written & 1)
            blk_aio_pwritev(drive, offset, &s->iov, 1, 0, wrote, s);
        else
            blk_aio_write_zeroes(drive, offset, bytes, BLK_MAY_UNMAP, wrote, s);
    }
}

static JobStatus status_of(const char *id)
{
    Job *j = job_find(id);

    return j ? j->status : JOB_NULL;
}

/* Until the job has got there; the guest writes at least n times. */
static void run_until(JobStatus s, unsigned n)
{
    int64_t end = aio_now() + INT64_C(120000000000);

    n += written;
    while ((status_of("d0") != s || written < n) && status_of("d0") != JOB_NULL) {
        ck_assert_msg(aio_now() < end, "the job hangs in state %d", status_of("d0"));
        if (s == JOB_NULL || written < n)       /* a guest that goes on may never be in step */
            guest_writes();
        aio_poll(true);
    }
    ck_assert_int_eq(status_of("d0"), s);
}

static void run_to_end(void)
{
    run_until(JOB_NULL, 0);
    for (int i = 0; i < 20; i++) {
        guest_writes();
        aio_poll(true);
    }
}

static void must(bool ok, GError *e)
{
    ck_assert_msg(ok, "%s", e ? e->message : "");
}

static void verb(JobVerb v, bool force)
{
    GError *e = NULL;

    must(job_verb("d0", v, true, force, 0, &e), e);
}

/* The drive reads as the model says, now and after it has been closed. */
static void finish(const char *image)
{
    g_autofree uint8_t *buf = g_malloc(SIZE);

    blk_drain_all();
    ck_assert_int_eq(blk_pread(drive, 0, buf, SIZE), 0);
    for (unsigned i = 0; i < SIZE; i++)
        if (buf[i] != model[i])
            ck_abort_msg("byte %x is %x, not %x", i, buf[i], model[i]);
    block_shutdown();
    check_image(image, model);
}

#define DONE "created running waiting pending COMPLETED concluded null"
#define DONE_READY "created running ready READY waiting pending COMPLETED concluded null"

START_TEST(stream)
{
    GError *e = NULL;
    json_t *args = json_pack("{s:s, s:s*}", "device", "d0", "base", _i ? "base" : NULL);

    make_chain();
    must(block_stream(args, &e), e);
    json_decref(args);
    run_to_end();
    expect_events(DONE);
    ck_assert(!_i == !blk_node(drive)->backing);
    finish("top");
}
END_TEST

START_TEST(commit_middle)
{
    GError *e = NULL;
    json_t *args = json_pack("{s:s, s:s}", "device", "d0", "top", "mid");

    make_chain();
    must(block_commit(args, &e), e);
    json_decref(args);
    run_to_end();
    expect_events(DONE);
    ck_assert(blk_node(drive)->backing && !blk_node(drive)->backing->node->backing);
    ck_assert(blk_node(drive)->backing->node->read_only);
    finish("top");
}
END_TEST

START_TEST(commit_active)
{
    GError *e = NULL;
    json_t *args = json_pack("{s:s, s:s*}", "device", "d0", "base", _i ? "mid" : NULL);

    make_chain();
    must(block_commit(args, &e), e);
    json_decref(args);
    run_until(JOB_READY, 100);
    verb(JOB_COMPLETE, false);
    run_to_end();
    expect_events(DONE_READY);
    ck_assert(!_i == !blk_node(drive)->backing);
    finish(_i ? "mid" : "base");
}
END_TEST

static json_t *mirror_args(int i, const char *sync)
{
    g_autofree char *p = path("copy");

    return json_pack("{s:s, s:s, s:s, s:s, s:i}", "device", "d0", "target", p, "sync", sync, "copy-mode",
                     i & 1 ? "write-blocking" : "background", "granularity", i & 2 ? 65536 : 4096);
}

START_TEST(mirror_complete)
{
    GError *e = NULL;
    json_t *args = mirror_args(_i, _i & 4 ? "top" : "full");

    make_chain();
    must(drive_mirror(args, &e), e);
    json_decref(args);
    run_until(JOB_READY, 200);
    verb(JOB_COMPLETE, false);
    run_to_end();
    expect_events(DONE_READY);
    ck_assert(g_str_has_suffix(blk_node(drive)->filename, "copy"));
    finish("copy");
}
END_TEST

START_TEST(mirror_cancel)
{
    g_autofree uint8_t *then = g_malloc(SIZE);
    GError *e = NULL;
    json_t *args = mirror_args(_i, "full");

    make_chain();
    must(drive_mirror(args, &e), e);
    json_decref(args);
    run_until(JOB_READY, 200);
    blk_drain_all();
    memcpy(then, model, SIZE);
    verb(JOB_CANCEL, false);
    while (status_of("d0") != JOB_NULL)
        aio_poll(true);
    expect_events(DONE_READY);
    check_image("copy", then);
    run_to_end();
    finish("top");
}
END_TEST

START_TEST(mirror_force)
{
    GError *e = NULL;
    json_t *args = mirror_args(_i, "full");

    make_chain();
    json_object_set_new(args, "speed", json_integer(100000));
    must(drive_mirror(args, &e), e);
    json_decref(args);
    for (int i = 0; i < 50; i++) {
        guest_writes();
        aio_poll(true);
    }
    verb(JOB_PAUSE, false);
    verb(JOB_CANCEL, true);
    run_to_end();
    expect_events("created running aborting CANCELLED concluded null");
    finish("top");
}
END_TEST

START_TEST(backup)
{
    static const char *const syncs[] = { "full", "top" };
    g_autofree uint8_t *then = g_malloc(SIZE);
    g_autofree char *p = path("copy");
    GError *e = NULL;
    json_t *args = json_pack("{s:s, s:s, s:s}", "device", "d0", "target", p, "sync", syncs[_i]);

    make_chain();
    memcpy(then, model, SIZE);
    must(block_backup_command(args, true, &e), e);
    json_decref(args);
    run_to_end();
    expect_events(DONE);
    check_image("copy", then);
    finish("top");
}
END_TEST

/* A backup and a snapshot at once, or nothing. */
START_TEST(transaction)
{
    g_autofree uint8_t *then = g_malloc(SIZE);
    g_autofree char *copy = path("copy"), *snap = path("snap");
    GError *e = NULL;
    json_t *args = json_pack("{s:[{s:s, s:{s:s, s:s, s:s}}, {s:s, s:{s:s, s:s}}]}", "actions", "type", "drive-backup", "data",
                             "device", "d0", "target", copy, "sync", "full", "type", "blockdev-snapshot-sync", "data", "device",
                             "d0", "snapshot-file", snap);

    make_chain();
    memcpy(then, model, SIZE);
    if (_i) {
        json_array_append_new(json_object_get(args, "actions"), json_pack("{s:s, s:{}}", "type", "abort", "data"));
        ck_assert(!block_transaction(args, &e));
        ck_assert_str_eq(e->message, "Transaction aborted using Abort action");
    } else {
        must(block_transaction(args, &e), e);
    }
    json_decref(args);
    run_to_end();
    if (!_i)
        check_image("copy", then);
    finish(_i ? "top" : "snap");
}
END_TEST

START_TEST(snapshots)
{
    static const char *const names[] = { "s0", "s1", "s2" };
    GError *e = NULL;

    make_chain();
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *p = path(names[i]);
        json_t *args = json_pack("{s:s, s:s}", "device", "d0", "snapshot-file", p);

        for (int k = 0; k < 30; k++) {
            guest_writes();
            aio_poll(true);
        }
        must(blockdev_snapshot_sync(args, &e), e);
        json_decref(args);
    }
    run_to_end();
    finish("s2");
}
END_TEST

static void setup(void)
{
    dir = g_dir_make_tmp("block-jobs-XXXXXX", NULL);
}

int main(void)
{
    Suite *s = suite_create("jobs");
    TCase *t = tcase_create("jobs");
    SRunner *sr;
    int bad;

    setup();
    tcase_set_timeout(t, 300);
    tcase_add_loop_test(t, stream, 0, 2);
    tcase_add_test(t, commit_middle);
    tcase_add_loop_test(t, commit_active, 0, 2);
    tcase_add_loop_test(t, mirror_complete, 0, 8);
    tcase_add_loop_test(t, mirror_cancel, 0, 2);
    tcase_add_loop_test(t, mirror_force, 0, 2);
    tcase_add_loop_test(t, backup, 0, 2);
    tcase_add_loop_test(t, transaction, 0, 2);
    tcase_add_test(t, snapshots);
    suite_add_tcase(s, t);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    bad = srunner_ntests_failed(sr);
    srunner_free(sr);
    g_autofree char *cmd = g_strdup_printf("rm -rf '%s'", dir);
    if (system(cmd))
        bad++;
    return bad != 0;
}
