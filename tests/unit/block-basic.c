/* The block layer from the device's side: drives, asynchronous requests, random I/O against a model, errors. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "block/graph.h"
#include "block/options.h"
#include "util/coroutine.h"

static char *dir;

static char *path(const char *name)
{
    return g_build_filename(dir, name, NULL);
}

static char *make_image(const char *name, const char *fmt, const char *opts)
{
    char *p = path(name);
    GError *e = NULL;

    ck_assert_msg(image_create(p, fmt, jopts_parse(opts, NULL, NULL), &e), "%s", e ? e->message : "");
    return p;
}

static BlockBackend *open_image(const char *p, const char *fmt, unsigned flags)
{
    GError *e = NULL;
    BlockBackend *b = blk_open(p, json_pack("{s:s}", "driver", fmt), flags, &e);

    ck_assert_msg(b != NULL, "%s", e ? e->message : "");
    return b;
}

/* ---- coroutines */

static int steps;
static void three_steps(void *opaque)
{
    for (int i = 0; i < 3; i++) {
        steps++;
        coroutine_yield();
    }
}

START_TEST(coroutine_basics)
{
    Coroutine *co = coroutine_new(three_steps, NULL);

    ck_assert(!coroutine_in());
    for (int i = 0; i < 4; i++)
        coroutine_enter(co);
    ck_assert_int_eq(steps, 3);
}
END_TEST

static CoMutex mutex;
static char order[16];
static void locker(void *opaque)
{
    co_mutex_lock(&mutex);
    strcat(order, opaque);
    coroutine_wake(coroutine_self());
    coroutine_yield();
    strcat(order, opaque);
    co_mutex_unlock(&mutex);
}

START_TEST(coroutine_mutex)
{
    coroutine_enter(coroutine_new(locker, "a"));
    coroutine_enter(coroutine_new(locker, "b"));
    coroutine_enter(coroutine_new(locker, "c"));
    while (coroutine_run_ready())
        ;
    ck_assert_str_eq(order, "aabbcc");
}
END_TEST

/* ---- requests */

typedef struct Done { int count, ret; bool early; } Done;
static bool submitting;
static void done_cb(void *opaque, int ret)
{
    Done *d = opaque;

    d->count++;
    d->ret = ret;
    d->early |= submitting;
}

START_TEST(aio_completion_is_never_synchronous)
{
    g_autofree char *p = make_image("aio.qcow2", "qcow2", "size=1M");
    BlockBackend *b = open_image(p, "qcow2", OPEN_RDWR);
    char buf[4096];
    struct iovec iov = { buf, sizeof(buf) };
    Done d = { 0 };

    submitting = true;
    blk_aio_preadv(b, 0, &iov, 1, 0, done_cb, &d);
    blk_aio_flush(b, done_cb, &d);
    blk_aio_preadv(b, 1 << 20, &iov, 1, 0, done_cb, &d);
    submitting = false;
    ck_assert_int_eq(d.count, 0);
    while (d.count < 3)
        g_main_context_iteration(NULL, TRUE);
    ck_assert(!d.early);
    ck_assert_int_eq(d.ret, -EIO);
    ck_assert_int_eq(blk_in_flight(b), 0);
    blk_aio_pwritev(b, 0, &iov, 1, 0, done_cb, &d);
    blk_drain(b);
    ck_assert_int_eq(d.count, 4);
    ck_assert_int_eq(d.ret, 0);
    blk_unref(b);
}
END_TEST

START_TEST(empty_drive)
{
    GError *e = NULL;
    DriveInfo *d = drive_add_file(BLK_IF_IDE, 2, NULL, "media=cdrom", &e);
    char buf[512];

    ck_assert(d && d->bus == 1 && d->unit == 0 && d->media_cd);
    ck_assert_str_eq(blk_name(d->blk), "ide1-cd0");
    ck_assert(!blk_is_inserted(d->blk));
    ck_assert_int_eq(blk_pread(d->blk, 0, buf, 512), -ENOMEDIUM);
    ck_assert_int_eq(blk_length(d->blk), -ENOMEDIUM);
    ck_assert(drive_get(BLK_IF_IDE, 1, 0) == d && drive_get_by_index(BLK_IF_IDE, 2) == d);
    ck_assert(blockdev_eject("ide1-cd0", false, false, &e));
    ck_assert(!blockdev_eject("nope", false, false, &e));
    ck_assert_str_eq(e->message, "Device 'nope' not found");
    g_clear_error(&e);
}
END_TEST

/* ---- random I/O against a model */

typedef struct Slot { struct iovec iov; uint8_t *model; int64_t offset; bool busy, write; } Slot;
typedef struct Case { const char *fmt, *opts; unsigned flags; bool native; } Case;
static const Case cases[] = {
    { "raw", "size=3M", 0 },
    { "raw", "size=3M", OPEN_DIRECT, true },
    { "qcow2", "size=3M", 0 },
    { "qcow2", "size=3M", OPEN_DIRECT, true },
    { "qcow2", "size=3000320,cluster_size=512", 0 },
    { "qcow2", "size=3M,cluster_size=4k,refcount_bits=1,compat=1.1", OPEN_DIRECT },
    { "qcow2", "size=3M,cluster_size=2M,refcount_bits=64", 0 },
    { "qcow2", "size=3M,compat=0.10", 0 },
    { "qcow2", "size=3M,lazy_refcounts=on,cluster_size=1k,refcount_bits=32", OPEN_UNMAP },
    { "qcow2", "size=3M,preallocation=metadata", OPEN_UNMAP },
    { "qcow2", "size=3M,data_file=data.raw,data_file_raw=on", 0 },
};

#define SLOTS 8
static void slot_done(void *opaque, int ret)
{
    Slot *s = opaque;

    ck_assert_int_eq(ret, 0);
    if (!s->write && s->iov.iov_base)
        ck_assert(!memcmp(s->iov.iov_base, s->model, s->iov.iov_len));
    s->busy = false;
}

/* No two requests in flight touch the same bytes, so the model is exact. */
static bool clashes(const Slot *slots, int64_t offset, size_t len)
{
    for (int i = 0; i < SLOTS; i++)
        if (slots[i].busy && offset < slots[i].offset + (int64_t)slots[i].iov.iov_len && slots[i].offset < offset + (int64_t)len)
            return true;
    return false;
}

static void start(BlockBackend *b, Slot *s, uint8_t *model, int64_t offset, size_t len, GRand *r)
{
    int what = g_rand_int_range(r, 0, 20);

    *s = (Slot){ { NULL, len }, NULL, offset, true, what < 12 };
    if (what < 10) {
        s->iov.iov_base = s->model = NULL;
        s->iov.iov_base = g_malloc(len);
        memset(s->iov.iov_base, g_rand_int(r), len);
        memcpy(model + offset, s->iov.iov_base, len);
        blk_aio_pwritev(b, offset, &s->iov, 1, what ? 0 : BLK_FUA, slot_done, s);
    } else if (what < 12) {
        memset(model + offset, 0, len);
        blk_aio_write_zeroes(b, offset, len, what == 11 ? BLK_MAY_UNMAP : 0, slot_done, s);
    } else if (what == 12) {
        s->write = true;
        blk_aio_flush(b, slot_done, s);
    } else {
        s->iov.iov_base = g_malloc(len);
        s->model = g_memdup2(model + offset, len);
        blk_aio_preadv(b, offset, &s->iov, 1, 0, slot_done, s);
    }
}

static void run_random(BlockBackend *b, uint8_t *model, int64_t size, GRand *r, int count)
{
    Slot slots[SLOTS] = { 0 };

    for (int i = 0; i < count; i++) {
        Slot *s = &slots[i % SLOTS];
        int64_t offset = g_rand_int_range(r, 0, size), len = g_rand_int_range(r, 1, i % 7 ? 9000 : 300000);

        if (i % 3 == 0) {
            offset &= ~(int64_t)4095;
            len = (len + 4095) & ~(int64_t)4095;
        }
        len = MIN(len, size - offset);
        while (s->busy || clashes(slots, offset, len))
            g_main_context_iteration(NULL, TRUE);
        g_free(s->iov.iov_base);
        g_free(s->model);
        start(b, s, model, offset, len, r);
    }
    blk_drain(b);
    for (int i = 0; i < SLOTS; i++) {
        g_free(slots[i].iov.iov_base);
        g_free(slots[i].model);
    }
}

static void compare(BlockBackend *b, const uint8_t *model, int64_t size)
{
    g_autofree uint8_t *all = g_malloc(size);

    ck_assert_int_eq(blk_pread(b, 0, all, size), 0);
    ck_assert(!memcmp(all, model, size));
}

static void check_image(const char *p)
{
    g_autofree char *cmd = g_strdup_printf("qemu-img check -q %s", p);

    if (g_file_test("/usr/bin/qemu-img", G_FILE_TEST_EXISTS))
        ck_assert_int_eq(system(cmd), 0);
}

START_TEST(random_io)
{
    const Case *c = &cases[_i];
    g_autofree char *name = g_strdup_printf("rand%d.%s", _i, c->fmt);
    g_autofree char *p = make_image(name, c->fmt, c->opts);
    GRand *r = g_rand_new_with_seed(_i + 1);
    uint8_t *model;
    int64_t size;
    GError *e = NULL;

    for (int round = 0; round < 2; round++) {
        json_t *o = json_pack("{s:s}", "driver", c->fmt);
        BlockBackend *b;

        if (c->native)
            jopts_set(o, "file.aio", "native");
        b = blk_open(p, o, OPEN_RDWR | c->flags, &e);
        ck_assert_msg(b != NULL, "%s", e ? e->message : "");
        size = blk_length(b);
        if (!round)
            model = g_malloc0(size);
        compare(b, model, size);
        run_random(b, model, size, r, 400);
        compare(b, model, size);
        blk_unref(b);
        if (!strcmp(c->fmt, "qcow2"))
            check_image(p);
    }
    g_free(model);
    g_rand_free(r);
}
END_TEST

START_TEST(backing_chain)
{
    g_autofree char *base = make_image("base.raw", "raw", "size=1M");
    g_autofree char *opts = g_strdup_printf("size=2M,backing_file=%s,backing_fmt=raw,cluster_size=16k", base);
    g_autofree char *top = make_image("top.qcow2", "qcow2", opts);
    GRand *r = g_rand_new_with_seed(9);
    uint8_t *model = g_malloc0(2 << 20);
    BlockBackend *b = open_image(base, "raw", OPEN_RDWR);

    run_random(b, model, 1 << 20, r, 200);
    blk_unref(b);
    for (int round = 0; round < 2; round++) {
        b = open_image(top, "qcow2", OPEN_RDWR | (round ? OPEN_COPY_ON_READ : 0));
        compare(b, model, 2 << 20);
        run_random(b, model, 2 << 20, r, 200);
        compare(b, model, 2 << 20);
        blk_unref(b);
        check_image(top);
    }
    /* a temporary overlay: nothing of what is written stays */
    b = open_image(top, "qcow2", OPEN_RDWR | OPEN_SNAPSHOT);
    {
        g_autofree uint8_t *other = g_memdup2(model, 2 << 20);

        run_random(b, other, 2 << 20, r, 100);
        compare(b, other, 2 << 20);
    }
    blk_unref(b);
    b = open_image(top, "qcow2", 0);
    compare(b, model, 2 << 20);
    blk_unref(b);
    g_free(model);
    g_rand_free(r);
}
END_TEST

/* ---- errors */

static const struct { const char *opts, *msg; } bad[] = {
    { "file=nope,id=x", "Could not open 'nope': No such file or directory" },
    { "file=/tmp,format=raw", "'file' driver requires '/tmp' to be a regular file" },
    { "file=img.raw,format=rew", "Unknown driver 'rew' (did you mean 'raw'?)" },
    { "file=img.raw,format=raw,foo=5", "Block format 'raw' does not support the option 'foo'" },
    { "file=img.raw,if=foo", "unsupported bus type 'foo'" },
    { "file=img.raw,cache=foo", "invalid cache option" },
    { "file=img.raw,aio=foo", "invalid aio option" },
    { "file=img.raw,format=raw,aio=native",
      "aio=native was specified, but it requires cache.direct=on, which was not specified." },
    { "file=img.raw,media=foo", "'foo' invalid media" },
    { "file=img.raw,werror=foo", "'foo' invalid write error action" },
    { "file=img.raw,rerror=enospc", "'enospc' invalid read error action" },
    { "file=img.raw,if=floppy,werror=stop", "werror is not supported by this bus type" },
    { "file=img.raw,format=qcow2", "Image is not in qcow2 format" },
    { "file=img.raw,unit=7", "unit 7 too big (max is 1)" },
    { "file=img.raw,index=0,bus=1", "index cannot be used with bus and unit" },
    { "file=img.raw,readonly=foo", "Parameter 'read-only' expects 'on' or 'off'" },
    { "file=img.raw,discard=foo", "Invalid discard option" },
    { "file=foo:bar", "Unknown protocol 'foo'" },
    { "file=json:{}", "Must specify either driver or file" },
    { "format=raw,if=none,id=x", "A block device must be specified for \"file\"" },
    { "file=img.raw,file.filename=img.raw", "Can't specify 'file' and 'filename' options at the same time" },
    { "file=loop.qcow2", "Could not open backing file: Backing file 'loop.qcow2' creates an infinite loop." },
    { "file=trunc.qcow2", "Unsupported cluster size: 2^0" },
};

START_TEST(bad_drive)
{
    GError *e = NULL;

    ck_assert_int_eq(chdir(dir), 0);
    ck_assert(!drive_add(bad[_i].opts, BLK_IF_IDE, &e));
    ck_assert_str_eq(e->message, bad[_i].msg);
    ck_assert(!blk_next(NULL) && !node_next(NULL));
    g_clear_error(&e);
}
END_TEST

START_TEST(lock_conflict)
{
    g_autofree char *p = make_image("locked.raw", "raw", "size=1M");
    g_autofree char *opt = g_strdup_printf("file=%s,format=raw", p), *want = NULL;
    GError *e = NULL;
    BlkConf conf = { .wce = -1 };
    DriveInfo *a = drive_add(opt, BLK_IF_IDE, &e), *b = drive_add(opt, BLK_IF_IDE, &e);

    ck_assert(a && b);
    ck_assert(blk_conf_apply(a->blk, &conf, false, true, &e) == false);
    want = g_strdup_printf("Failed to get shared \"write\" lock\nIs another process using the image [%s]?", p);
    ck_assert_str_eq(e->message, want);
    g_clear_error(&e);
    ck_assert(blk_name(b->blk) && !strcmp(blk_name(b->blk), "ide0-hd1"));
}
END_TEST

START_TEST(throttle)
{
    GError *e = NULL;
    DriveInfo *d = drive_add("file=img.raw,format=raw,if=none,id=t,throttling.iops-total=50", BLK_IF_IDE, &e);
    char buf[512];
    struct iovec iov = { buf, sizeof(buf) };
    Done done = { 0 };
    gint64 begun = g_get_monotonic_time();

    ck_assert_msg(d != NULL, "%s", e ? e->message : "");
    for (int i = 0; i < 20; i++)
        blk_aio_preadv(d->blk, 0, &iov, 1, 0, done_cb, &done);
    while (done.count < 20)
        g_main_context_iteration(NULL, TRUE);
    /* five at once, then one every 20 ms */
    ck_assert_int_ge(g_get_monotonic_time() - begun, 250000);
    for (int i = 0; i < 200; i++)
        blk_aio_preadv(d->blk, 0, &iov, 1, 0, done_cb, &done);
    begun = g_get_monotonic_time();
    blk_drain(d->blk);
    ck_assert_int_eq(done.count, 220);
    ck_assert_int_lt(g_get_monotonic_time() - begun, 2000000);
}
END_TEST

static const struct { const char *opts, *file; } names[] = {
    { "file=loop.qcow2,backing.file.filename=img.raw,backing.driver=raw", "json:{\"backing\": {\"driver\": \"raw\", "
      "\"file\": {\"driver\": \"file\", \"filename\": \"img.raw\"}}, \"driver\": \"qcow2\", \"file\": {\"driver\": "
      "\"file\", \"filename\": \"loop.qcow2\"}}" },
    { "file.filename=img.raw,driver=raw", "img.raw" },
    { "file=file:img.raw,format=raw", "img.raw" },
    { "file=img.raw,format=raw,offset=512", "json:{\"offset\": \"512\", \"driver\": \"raw\", \"file\": {\"driver\": "
      "\"file\", \"filename\": \"img.raw\"}}" },
    { "file=null-co://,format=raw", "null-co://" },
    { "driver=null-co,size=1M", "json:{\"driver\": \"null-co\", \"size\": \"1M\"}" },
    { "file=json:{\"driver\":\"raw\",,\"file\":{\"driver\":\"file\",,\"filename\":\"img.raw\"}}", "img.raw" },
};

START_TEST(node_names)
{
    GError *e = NULL;
    DriveInfo *d = drive_add(names[_i].opts, BLK_IF_IDE, &e);

    ck_assert_msg(d != NULL, "%s", e ? e->message : "");
    ck_assert_str_eq(blk_node(d->blk)->filename, names[_i].file);
}
END_TEST

START_TEST(info_text)
{
    g_autofree char *p = make_image("info.qcow2", "qcow2", "size=1M");
    g_autofree char *opt = g_strdup_printf("file=%s,if=none,id=d,readonly=on,cache=none,throttling.bps-total=1000", p);
    g_autoptr(GString) s = g_string_new(NULL);
    g_autofree char *want = NULL;
    GError *e = NULL;
    DriveInfo *d = drive_add(opt, BLK_IF_IDE, &e);

    ck_assert_msg(d != NULL, "%s", e ? e->message : "");
    block_info(s, NULL, false, false);
    want = g_strdup_printf("d (%s): %s (qcow2, read-only)\n    Removable device: not locked, tray closed\n"
                           "    Cache mode:       writeback, direct\n    I/O throttling:   bps=1000 bps_rd=0 bps_wr=0 "
                           "bps_max=0 bps_rd_max=0 bps_wr_max=0 iops=0 iops_rd=0 iops_wr=0 iops_max=0 iops_rd_max=0 "
                           "iops_wr_max=0 iops_size=0 group=d\n", blk_node(d->blk)->name, p);
    ck_assert_str_eq(s->str, want);
}
END_TEST

static void setup(void)
{
    g_autofree char *raw = NULL, *loop = NULL, *trunc = NULL;

    dir = g_dir_make_tmp("vmemu-block-XXXXXX", NULL);
    block_init(NULL);
    ck_assert_int_eq(chdir(dir), 0);
    raw = make_image("img.raw", "raw", "size=1M");
    loop = make_image("loop.qcow2", "qcow2", "size=1M,backing_file=loop.qcow2,backing_fmt=qcow2");
    trunc = path("trunc.qcow2");
    ck_assert(g_file_set_contents(trunc, "QFI\xfb\0\0\0\3", 8, NULL));
}

static void teardown(void)
{
    g_autofree char *cmd = g_strdup_printf("rm -rf %s", dir);

    block_shutdown();
    ck_assert_int_eq(chdir("/"), 0);
    ck_assert_int_eq(system(cmd), 0);
}

int main(void)
{
    Suite *s = suite_create("block");
    TCase *t = tcase_create("block");
    SRunner *sr;
    int bad_count;

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 120);
    tcase_add_test(t, coroutine_basics);
    tcase_add_test(t, coroutine_mutex);
    tcase_add_test(t, aio_completion_is_never_synchronous);
    tcase_add_test(t, empty_drive);
    tcase_add_loop_test(t, random_io, 0, G_N_ELEMENTS(cases));
    tcase_add_test(t, backing_chain);
    tcase_add_loop_test(t, bad_drive, 0, G_N_ELEMENTS(bad));
    tcase_add_test(t, lock_conflict);
    tcase_add_test(t, throttle);
    tcase_add_loop_test(t, node_names, 0, G_N_ELEMENTS(names));
    tcase_add_test(t, info_text);
    suite_add_tcase(s, t);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    bad_count = srunner_ntests_failed(sr);
    srunner_free(sr);
    return bad_count != 0;
}
