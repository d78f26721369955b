/* State tables: reset, wire form, limits, subsections, audit. */
#include <check.h>
#include <string.h>
#include "hw/core/device.h"

typedef struct Part { uint8_t a; uint16_t b[2]; } Part;
typedef struct Thing {
    uint32_t reg;
    uint8_t fifo[4];
    int8_t small;
    bool flag;
    Part part[2];
    uint64_t nvram;
    uint16_t extra;
    bool has_extra;
} Thing;

static const Field part_fields[] = { FIELD(Part, a, .max = 9), FIELD(Part, b), { 0 } };
static const StateTable part_state = { .name = "part", .version = 1, .min_version = 1, .fields = part_fields };

static bool extra_needed(const void *obj)
{
    return ((const Thing *)obj)->has_extra;
}

static const Field extra_fields[] = { FIELD(Thing, extra), { 0 } };
static const StateTable extra_state = { .name = "thing/extra", .version = 1, .min_version = 1, .fields = extra_fields,
                                        .needed = extra_needed };
static const Field thing_fields[] = {
    FIELD(Thing, reg, .reset = 0x12345678), FIELD(Thing, fifo, .reset = 0xaa),
    FIELD(Thing, small, .wire = 4, .min = -5, .max = 5), FIELD(Thing, flag), UNUSED(3),
    STRUCTS(Thing, part, &part_state), FIELD(Thing, nvram, .keep = true), HOST(Thing, has_extra), { 0 },
};
static const StateTable thing_state = {
    .name = "thing", .version = 2, .min_version = 1, .fields = thing_fields,
    .subsections = (const StateTable *const[]){ &extra_state, NULL },
};

static GByteArray *sample(void)
{
    GByteArray *out = g_byte_array_new();
    Thing t = { 0 };

    state_reset(&thing_state, &t);
    t.small = -3;
    t.part[1].b[1] = 0xbeef;
    t.nvram = 7;
    t.extra = 0x55aa;
    t.has_extra = true;
    state_save(&thing_state, &t, out);
    return out;
}

START_TEST(test_reset)
{
    Thing t = { .nvram = 42, .small = 3 };

    state_reset(&thing_state, &t);
    ck_assert_uint_eq(t.reg, 0x12345678);
    ck_assert_uint_eq(t.fifo[3], 0xaa);
    ck_assert_int_eq(t.small, 0);
    ck_assert_uint_eq(t.nvram, 42);
}
END_TEST

/* reg at 0, fifo at 4, small at 8, flag at 12, 3 unused, parts of 5 at 16 and 21, nvram at 26, subsection at 34. */
START_TEST(test_round_trip)
{
    g_autoptr(GByteArray) out = sample();
    g_autoptr(GError) err = NULL;
    Thing t = { 0 };

    ck_assert_uint_eq(out->len, 34 + 1 + 1 + 11 + 4 + 2);
    ck_assert_mem_eq(out->data, "\x12\x34\x56\x78\xaa\xaa\xaa\xaa\xff\xff\xff\xfd", 12);
    ck_assert_int_eq(state_load(&thing_state, &t, 2, out->data, out->len, "thing/0", &err), out->len);
    ck_assert_int_eq(t.small, -3);
    ck_assert_uint_eq(t.part[1].b[1], 0xbeef);
    ck_assert_uint_eq(t.extra, 0x55aa);
}
END_TEST

static void expect_error(GByteArray *data, int version, const char *text)
{
    g_autoptr(GError) err = NULL;
    Thing t = { 0 };

    ck_assert_int_eq(state_load(&thing_state, &t, version, data->data, data->len, "thing/0", &err), -1);
    ck_assert_str_eq(err->message, text);
}

START_TEST(test_limits)
{
    g_autoptr(GByteArray) out = sample();

    expect_error(out, 3, "thing/0: version 3 is not supported (1 to 2 are)");
    memcpy(out->data + 8, "\0\0\0\6", 4);
    expect_error(out, 2, "thing/0: small: 6 is above 5");
    memcpy(out->data + 8, "\xff\xff\xff\xfa", 4);
    expect_error(out, 2, "thing/0: small: -6 is below -5");
    memcpy(out->data + 8, "\0\0\0\0\2", 5);
    expect_error(out, 2, "thing/0: flag: 2 is not 0 or 1");
    out->data[12] = 1;
    out->data[16] = 10;
    expect_error(out, 2, "thing/0: part[0]: a: 10 is above 9");
    out->data[16] = 0;
    memcpy(out->data + 36, "thing/xxxxx", 11);
    expect_error(out, 2, "thing/0: unknown subsection 'thing/xxxxx'");
    g_byte_array_set_size(out, 20);
    expect_error(out, 2, "thing/0: part[0]: b: the data ends here");
}
END_TEST

/* The copy is on the heap, so that the sanitizer sees a read past its end. */
START_TEST(test_every_cut)
{
    g_autoptr(GByteArray) out = sample();

    for (unsigned n = 0; n < out->len; n++) {
        g_autoptr(GError) err = NULL;
        uint8_t *copy = memcpy(g_malloc(MAX(n, 1)), out->data, n);
        Thing t = { 0 };

        ck_assert(state_load(&thing_state, &t, 2, copy, n, "thing/0", &err) <= (gssize)n);
        g_free(copy);
    }
}
END_TEST

/* Long arrays go in one piece, as far as they have been read: a reader that has 7 more bytes at a time, and cuts everywhere. */
typedef struct Drip { StateInput in; const uint8_t *end; } Drip;

static bool drip(StateInput *in, size_t n)
{
    const uint8_t *end = ((Drip *)in)->end;

    if ((size_t)(end - in->p) < n)
        return false;
    in->end = MIN(MAX(in->end, in->p + n) + 7, end);
    return true;
}

START_TEST(test_long_arrays)
{
    typedef struct Long { uint32_t reg[40]; uint8_t mem[70]; uint32_t last; } Long;
    static const Field fields[] = { FIELD(Long, reg), FIELD(Long, mem), FIELD(Long, last), { 0 } };
    static const StateTable table = { .name = "long", .version = 1, .min_version = 1, .fields = fields };
    g_autoptr(GByteArray) out = g_byte_array_new();
    Long a, b;

    for (unsigned i = 0; i < 40; i++)
        a.reg[i] = i * 0x01020305;
    for (unsigned i = 0; i < 70; i++)
        a.mem[i] = i * 3;
    a.last = 0xdeadbeef;
    state_save(&table, &a, out);
    ck_assert_uint_eq(out->len, 40 * 4 + 70 + 4);
    ck_assert_mem_eq(out->data + 4, "\1\2\3\5\2\4\6\xa", 8);
    for (unsigned cut = 0; cut <= out->len; cut++) {
        Drip d = { { out->data, out->data, drip }, out->data + cut };
        g_autoptr(GError) err = NULL;

        memset(&b, 0, sizeof b);
        ck_assert_int_eq(state_load_from(&table, &b, 1, &d.in, "long", &err), cut == out->len);
        ck_assert(cut == out->len || strstr(err->message, "the data ends here"));
    }
    ck_assert_mem_eq(&a.reg, &b.reg, sizeof a.reg);
    ck_assert_mem_eq(&a.mem, &b.mem, sizeof a.mem);
    ck_assert_uint_eq(a.last, b.last);
}
END_TEST

START_TEST(test_audit)
{
    static const Field holes[] = { FIELD(Thing, reg), FIELD(Thing, small), { 0 } };
    static const StateTable bad = { .name = "bad", .version = 1, .fields = holes };
    g_autoptr(GString) out = g_string_new(NULL);

    ck_assert_uint_eq(state_audit(&thing_state, "thing", sizeof(Thing), out), 0);
    ck_assert_uint_eq(state_audit(&bad, "bad", sizeof(Thing), out), 2);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("state");
    TCase *tc = tcase_create("core");
    SRunner *r = srunner_create(s);
    int failed;

    tcase_add_test(tc, test_reset);
    tcase_add_test(tc, test_round_trip);
    tcase_add_test(tc, test_limits);
    tcase_add_test(tc, test_every_cut);
    tcase_add_test(tc, test_long_arrays);
    tcase_add_test(tc, test_audit);
    suite_add_tcase(s, tc);
    srunner_run_all(r, CK_ENV);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
