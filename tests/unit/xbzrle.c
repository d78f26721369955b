/* Differences between pages, the cache that they refer to, and multifd's compressed packets. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include "migration/format.h"
#include "migration/multifd.h"
#include "migration/xbzrle.h"

static uint8_t was[MIG_PAGE], is[MIG_PAGE], out[MIG_PAGE + 1], page[MIG_PAGE];

static void change(unsigned n)
{
    for (unsigned i = 0; i < MIG_PAGE; i++)
        was[i] = is[i] = g_random_int();
    while (n--)
        is[g_random_int_range(0, MIG_PAGE)] ^= g_random_int_range(1, 256);
}

START_TEST(there_and_back)
{
    static const unsigned changes[] = { 1, 2, 3, 5, 20, 100, 500, 1000 };

    for (unsigned round = 0; round < 2000; round++) {
        int n;

        change(changes[round % G_N_ELEMENTS(changes)]);
        n = xbzrle_encode(was, is, out);
        ck_assert_int_le(n, MIG_PAGE);
        if (n < 0)
            continue;
        memcpy(page, was, MIG_PAGE);
        ck_assert(xbzrle_apply(page, out, n));
        ck_assert(!memcmp(page, is, MIG_PAGE));
    }
    change(0);
    ck_assert_int_eq(xbzrle_encode(was, is, out), 0);
    for (unsigned i = 0; i < MIG_PAGE; i++)
        is[i] = ~was[i];
    ck_assert_int_eq(xbzrle_encode(was, is, out), -1);
    change(0);
    is[MIG_PAGE - 1] ^= 1;
    is[0] ^= 1;
    /* no equal bytes, one other; 4094 equal ones, one other */
    ck_assert_int_eq(xbzrle_encode(was, is, out), 7);
    ck_assert(!memcmp(out, (uint8_t[]){ 0, 1, is[0], 0xfe, 0x1f, 1, is[MIG_PAGE - 1] }, 7));
}
END_TEST

START_TEST(nonsense)
{
    static const struct { unsigned len; uint8_t bytes[6]; } bad[] = {
        { 2, { 0, 0 } },                            /* no changed bytes */
        { 2, { 0, 5 } },                            /* fewer than said */
        { 4, { 0x80, 0x20, 1, 0 } },                /* beyond the page */
        { 3, { 0xff, 0xff, 1 } },                   /* a length of three bytes */
        { 1, { 0x80 } },                            /* half a length */
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++)
        ck_assert_msg(!xbzrle_apply(page, bad[i].bytes, bad[i].len), "%u", i);
    for (unsigned round = 0; round < 200000; round++) {
        unsigned len = g_random_int_range(0, 64);

        for (unsigned i = 0; i < len; i++)
            out[i] = g_random_int() & (g_random_int_range(0, 3) ? 7 : 255);
        xbzrle_apply(page, out, len);
    }
}
END_TEST

START_TEST(cache)
{
    Xbzrle *x = xbzrle_new(2 * MIG_PAGE);
    const uint8_t *got;
    unsigned len;

    change(0);
    ck_assert_int_eq(xbzrle_page(x, 4, is, 2, true, &got, &len), XBZRLE_WHOLE);
    ck_assert(got != is && !memcmp(got, is, MIG_PAGE));     /* what was sent is what is kept */
    ck_assert_int_eq(xbzrle_page(x, 4, is, 3, true, &got, &len), XBZRLE_SAME);
    is[7] ^= 1;
    ck_assert_int_eq(xbzrle_page(x, 4, is, 3, true, &got, &len), XBZRLE_DELTA);
    ck_assert_uint_eq(len, 3);
    ck_assert_int_eq(xbzrle_page(x, 6, is, 4, true, &got, &len), XBZRLE_WHOLE);     /* its place is taken */
    ck_assert(got == is);
    ck_assert_int_eq(xbzrle_page(x, 6, is, 5, true, &got, &len), XBZRLE_WHOLE);     /* and is free after two rounds */
    ck_assert(got != is);
    xbzrle_zero(x, 6);
    memset(is, 0, MIG_PAGE);
    ck_assert_int_eq(xbzrle_page(x, 6, is, 6, true, &got, &len), XBZRLE_SAME);
    ck_assert_int_eq(xbzrle_page(x, 4, is, 6, false, &got, &len), XBZRLE_WHOLE);
    ck_assert(got == is);
    ck_assert_uint_eq(xbzrle_stats(x)->pages, 1);
    ck_assert_uint_eq(xbzrle_stats(x)->misses, 4);
    xbzrle_free(x);
    ck_assert_ptr_null(xbzrle_new(1ull << 62));
}
END_TEST

START_TEST(packets)
{
    static uint8_t in[MULTI_PAGES][MIG_PAGE], back[MULTI_PAGES][MIG_PAGE];
    uint8_t *from[MULTI_PAGES], *to[MULTI_PAGES], *packed;

    for (int method = 1; method <= 2; method++) {
        MultiCodec *c = multi_codec_new(method, 1, true, NULL), *d = multi_codec_new(method, 0, false, NULL);

        if (!c) {
            ck_assert_int_eq(method, 2);    /* built without zstd */
            continue;
        }
        for (unsigned round = 0; round < 20; round++) {
            unsigned n = g_random_int_range(1, MULTI_PAGES + 1);
            size_t len;

            for (unsigned i = 0; i < n; i++) {
                from[i] = in[i];
                to[i] = back[i];
                for (unsigned k = 0; k < MIG_PAGE; k++)
                    in[i][k] = round % 3 == 0 ? g_random_int() : k * round;
            }
            len = multi_compress(c, from, n, &packed);
            ck_assert_uint_gt(len, 0);
            ck_assert(multi_decompress(d, packed, len, to, n));
            ck_assert(!memcmp(in, back, n * MIG_PAGE));
        }
        ck_assert(!multi_decompress(d, (const uint8_t *)"nonsense, nonsense", 18, to, 1));
        multi_codec_free(c);
        multi_codec_free(d);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("xbzrle");
    TCase *c = tcase_create("pages");
    SRunner *r;
    int failed;

    tcase_set_timeout(c, 60);
    tcase_add_test(c, there_and_back);
    tcase_add_test(c, nonsense);
    tcase_add_test(c, cache);
    tcase_add_test(c, packets);
    suite_add_tcase(s, c);
    r = srunner_create(s);
    srunner_set_tap(r, "-");
    srunner_run_all(r, CK_SILENT);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
