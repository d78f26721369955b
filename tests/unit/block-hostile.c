/*
 * Damaged and malicious qcow2 images, in memory: random changes to header and tables of good ones, then everything
 * that can be done with an image.  Nothing may crash, hang or ask for much memory; what is refused is refused with a
 * message.  HOSTILE=n sets the number of rounds, SEED where to begin.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "block/aio.h"
#include "block/bitmap.h"
#include "block/graph.h"
#include "block/image-info.h"
#include "block/options.h"
#include "util/error.h"

#define LIMIT (64 << 20)

static GByteArray *file;
static GRand *rnd;

static bool mem_open(BlockNode *n, json_t *opts, unsigned flags, GError **err)
{
    n->length = file->len;
    return true;
}

static int mem_read(BlockNode *n, int64_t offset, int64_t bytes, const IoVec *v, size_t vo, unsigned flags)
{
    int64_t there = CLAMP((int64_t)file->len - offset, 0, bytes);

    if (there)
        iov_from_buf(v, vo, file->data + offset, there);
    if (there < bytes)
        iov_memset(v, vo + there, 0, bytes - there);
    return 0;
}

static int mem_write(BlockNode *n, int64_t offset, int64_t bytes, const IoVec *v, size_t vo, unsigned flags)
{
    if (offset + bytes > LIMIT)
        return -ENOSPC;
    if (offset + bytes > file->len) {
        unsigned old = file->len;

        g_byte_array_set_size(file, offset + bytes);
        memset(file->data + old, 0, file->len - old);
    }
    iov_to_buf(v, vo, file->data + offset, bytes);
    return 0;
}

static int mem_flush(BlockNode *n)
{
    return 0;
}

static int mem_truncate(BlockNode *n, int64_t length, bool exact, Prealloc p, GError **err)
{
    if (length > LIMIT)
        return error_set(err, "too large"), -ENOSPC;
    g_byte_array_set_size(file, length);
    return 0;
}

static const BlockDriver driver_mem = {
    .name = "mem", .is_protocol = true, .open = mem_open, .co_read = mem_read, .co_write = mem_write,
    .co_flush = mem_flush, .co_truncate = mem_truncate,
};

static GByteArray *good[16];
static unsigned n_good;

static void add_good(const char *opts, const char *more)
{
    g_autofree char *path = g_strdup("/tmp/hostile.XXXXXX"), *text = NULL;
    BlockBackend *b;
    gsize len;
    uint8_t buf[3000];

    close(g_mkstemp(path));
    ck_assert(image_create(path, "qcow2", jopts_parse(opts, NULL, NULL), NULL));
    b = blk_open(path, json_pack("{s:s}", "driver", "qcow2"), OPEN_RDWR, NULL);
    for (int i = 0; i < 10; i++) {
        memset(buf, i + 1, sizeof(buf));
        blk_pwrite(b, i * 300000, buf, sizeof(buf), 0);
    }
    if (more) {
        g_autofree char *c = g_strconcat("f=", path, "; ", more, NULL);

        blk_unref(b);
        if (system(c) != 0)
            fprintf(stderr, "# %s failed\n", c);
    } else {
        blk_unref(b);
    }
    ck_assert(g_file_get_contents(path, &text, &len, NULL));
    good[n_good] = g_byte_array_new();
    g_byte_array_append(good[n_good++], (uint8_t *)text, len);
    remove(path);
}

/* An image with two persistent bitmaps, one of them with bits. */
static void add_bitmaps(void)
{
    g_autofree char *path = g_strdup("/tmp/hostile.XXXXXX"), *text = NULL;
    uint8_t buf[512] = { 1 };
    BlockBackend *b;
    gsize len;

    close(g_mkstemp(path));
    ck_assert(image_create(path, "qcow2", jopts_parse("size=4M,cluster_size=4k", NULL, NULL), NULL));
    b = blk_open(path, json_pack("{s:s}", "driver", "qcow2"), OPEN_RDWR, NULL);
    ck_assert(bitmap_add(blk_node(b), "one", 512, true, true, NULL) != NULL);
    ck_assert(bitmap_add(blk_node(b), "two", 65536, true, false, NULL) != NULL);
    blk_pwrite(b, 70000, buf, sizeof(buf), 0);
    blk_unref(b);
    ck_assert(g_file_get_contents(path, &text, &len, NULL));
    good[n_good] = g_byte_array_new();
    g_byte_array_append(good[n_good++], (uint8_t *)text, len);
    remove(path);
}

static void damage(void)
{
    static const uint64_t nasty[] = { 0, 1, 0x200, 0x10000, 0x20000, 0x30000, 0x8000000000010000, 0x8000000000030000,
                                      0x4000000000000000, 0x7fffffffffffffff, 0xffffffffffffffff, 0x00fffffffffffe00,
                                      0x80fffffffffffe00, 0x4fffffffffffffff, 0x8000000000000000, 0x1000000 };
    int count = g_rand_int_range(rnd, 1, 5);

    for (int i = 0; i < count; i++) {
        unsigned where = g_rand_int_range(rnd, 0, 5), at;

        at = where == 0 ? (unsigned)g_rand_int_range(rnd, 4, 120) : where == 1 ? (unsigned)g_rand_int_range(rnd, 0, 8) * 8
            : (unsigned)g_rand_int_range(rnd, 0, file->len);
        if (where == 2) {               /* the beginning of a cluster: tables */
            at = at / 4096 * 4096 + 8 * g_rand_int_range(rnd, 0, 20);
        }
        if (at + 8 > file->len)
            continue;
        if (g_rand_boolean(rnd)) {
            file->data[at] ^= 1 << g_rand_int_range(rnd, 0, 8);
        } else {
            uint64_t v = GUINT64_TO_BE(nasty[g_rand_int_range(rnd, 0, G_N_ELEMENTS(nasty))]);

            memcpy(file->data + at, (uint8_t *)&v + (g_rand_boolean(rnd) ? 4 : 0), 4);
            if (g_rand_boolean(rnd))
                memcpy(file->data + at, &v, 8);
        }
    }
}

static const char *const amends[] = { "compat=0.10", "compat=1.1,lazy_refcounts=on", "refcount_bits=64", "refcount_bits=1",
                                      "refcount_bits=16", "size=3M" };

typedef struct Deeds { BlockBackend *b; } Deeds;

static void bitmap_or_amend(BlockNode *n)
{
    g_autoptr(json_t) o = jopts_parse(amends[g_rand_int_range(rnd, 0, G_N_ELEMENTS(amends))], NULL, NULL);

    if (g_rand_int_range(rnd, 0, 8) == 0)
        bitmap_add(n, g_rand_boolean(rnd) ? "one" : "three", 4096, true, true, NULL);
    else if (n->bitmaps && g_rand_boolean(rnd))
        bitmap_remove(n, "two", NULL);
    else if (!n->read_only && g_rand_int_range(rnd, 0, 6) == 0)
        n->drv->amend(n, o, false, NULL);
}

static void deeds_co(void *opaque)
{
    BlockBackend *b = ((Deeds *)opaque)->b;
    BlockNode *n = blk_node(b);
    NodeLink *l = blk_root(b);
    int64_t len = n->length, pnum, map;
    BlockNode *f;
    struct iovec iov = { g_malloc0(70000), 70000 };
    IoVec v = { &iov, 1 };
    CheckResult r = { 0 };
    SnapshotInfo sn = { .name = "new" }, *list = NULL;

    for (int i = 0; i < 30; i++) {
        int64_t at = len > 70000 ? (((int64_t)g_rand_int(rnd) << 31) ^ g_rand_int(rnd)) % (i % 2 ? len - 70000 : MIN(len - 70000, 3000000)) : 0;

        at = ABS(at);
        iov.iov_len = MIN(70000, len);
        switch (g_rand_int_range(rnd, 0, 14)) {
        case 0: case 1: case 2: node_co_read(l, at, iov.iov_len, &v, 0, 0); break;
        case 3: case 4: node_co_write(l, at, iov.iov_len, &v, 0, 0); break;
        case 5: node_co_zero(l, at, iov.iov_len, BLK_MAY_UNMAP); break;
        case 6: node_co_discard(l, at, iov.iov_len); break;
        case 7: node_co_flush(n); break;
        case 8: node_co_status_above(n, NULL, at, len - at, &pnum, &map, &f, NULL); break;
        case 9:
            if (g_rand_int_range(rnd, 0, 4) == 0)
                n->drv->snapshot_create(n, &sn, NULL);
            break;
        case 10:
            if (n->drv->snapshot_list(n, &list) > 0) {
                if (g_rand_boolean(rnd))
                    n->drv->snapshot_goto(n, list[0].id, NULL);
                else
                    n->drv->snapshot_delete(n, list[0].id, NULL);
            }
            g_clear_pointer(&list, g_free);
            break;
        case 12: case 13: bitmap_or_amend(n); break;
        case 11:
            if (g_rand_int_range(rnd, 0, 3) == 0)
                node_co_truncate(l, g_rand_int_range(rnd, 1, 4000) * INT64_C(2048), true, PREALLOC_OFF, NULL);
            break;
        }
        if (n->broken)
            break;
        len = n->length;
    }
    if (!n->broken)
        n->drv->co_check(n, &r, n->read_only ? 0 : g_rand_int_range(rnd, 0, 4));
    g_free(iov.iov_base);
}

static int opened;

static void one_round(int i)
{
    bool rw = i % 4;
    GError *e = NULL;
    GByteArray *g = good[i % n_good];
    Deeds d;

    file = g_byte_array_new();
    g_byte_array_append(file, g->data, g->len);
    damage();
    d.b = blk_open(NULL, json_pack("{s:s, s:s}", "driver", "qcow2", "file.driver", "mem"),
                   (rw ? OPEN_RDWR | OPEN_UNMAP : 0) | (i % 3 == 0 ? OPEN_CHECK : 0), &e);
    if (d.b) {
        json_t *info = image_info(blk_node(d.b), true, NULL);

        if (info)
            json_decref(info);
        opened++;
        aio_run_sync(deeds_co, &d);
        blk_unref(d.b);
    } else {
        ck_assert(e != NULL && *e->message);
        g_error_free(e);
    }
    g_byte_array_free(file, TRUE);
}

static void seeded_round(int seed, int i)
{
    rnd = g_rand_new_with_seed(seed * 1000003 + i);
    if (g_getenv("TRACE"))
        printf("%d\n", i), fflush(stdout);
    alarm(20);
    one_round(i);
    alarm(0);
    g_rand_free(rnd);
}

/* What went wrong once. */
static const struct { int seed, round; } found[] = {
    { 77, 17926 },                      /* an entry of an L2 table that refers to the table */
};

START_TEST(hostile)
{
    int rounds = g_getenv("HOSTILE") ? atoi(g_getenv("HOSTILE")) : 1500;
    int seed = g_getenv("SEED") ? atoi(g_getenv("SEED")) : 1;
    int null = open("/dev/null", O_WRONLY), old = dup(2);

    block_init(NULL);
    block_test_driver = &driver_mem;
    add_good("size=4M,cluster_size=4k", NULL);
    add_good("size=4M,cluster_size=512,refcount_bits=8", NULL);
    add_good("size=100G", NULL);
    add_good("size=4M,compat=0.10,cluster_size=2k", NULL);
    add_good("size=4M,extended_l2=on,cluster_size=16k", NULL);
    add_good("size=4M,refcount_bits=1,cluster_size=512", NULL);
    add_bitmaps();
    if (!access("/usr/bin/qemu-img", X_OK)) {
        add_good("size=4M,cluster_size=4k", "qemu-img snapshot -c s1 $f && qemu-io -c 'write 0 1M' $f >/dev/null && "
                 "qemu-img snapshot -c s2 $f");
        add_good("size=4M", "qemu-img convert -c -O qcow2 -o cluster_size=8k $f $f.c && mv $f.c $f");
    }
    dup2(null, 2);
    for (unsigned i = 0; i < G_N_ELEMENTS(found); i++)
        seeded_round(found[i].seed, found[i].round);
    for (int i = 0; i < rounds; i++)
        seeded_round(seed, i);
    dup2(old, 2);
    ck_assert_int_gt(opened, rounds / 4);       /* else it would not test much */
}
END_TEST

int main(void)
{
    Suite *s = suite_create("hostile");
    TCase *t = tcase_create("hostile");
    SRunner *sr;
    int bad;

    tcase_set_timeout(t, 3600);
    tcase_add_test(t, hostile);
    suite_add_tcase(s, t);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    bad = srunner_ntests_failed(sr);
    srunner_free(sr);
    return bad != 0;
}
