/*
 * ACPI tables: structure, checksums as the firmware will set them, and the figures of pc-i440fx-7.2.
 *
 * With an argument, a folder, it writes the files there instead (for iasl, or to look at).
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include "hw/i386/tables.h"

static TablesCpu cpus[300];
static const TablesIsa isa[] = {
    { TABLES_FDC, 0, 0x3f0, 6, { 5, 0 } }, { TABLES_KBD }, { TABLES_COM, 0, 0x3f8, 4 }, { TABLES_LPT, 0, 0x378, 7 }, { TABLES_RTC },
};
static TablesBus bus1 = { .bsel = 1 };
static TablesBus bus0 = {
    .bsel = 0,
    .slot = { [0] = { true, true }, [1] = { true, true }, [2] = { true, true, true }, [3] = { true } },
};

static AcpiFacts facts(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(cpus); i++)
        cpus[i] = (TablesCpu){ i, i < 2, -1 };
    return (AcpiFacts){
        .cpus = cpus, .n_cpus = 1, .ram_below_4g = 128 << 20, .above_4g_start = 1ull << 32,
        .hole_first = 128 << 20, .hole_last = 0xfebfffff, .hole64_first = 1ull << 32, .hole64_last = 0x17fffffff,
        .smm = true, .s3 = true, .s4 = true, .s4_value = 2, .hpet = true, .isa = isa, .n_isa = G_N_ELEMENTS(isa), .bus0 = &bus0,
    };
}

static AcpiFiles build(const AcpiFacts *f)
{
    AcpiFiles a = { g_byte_array_new(), g_byte_array_new(), g_byte_array_new() };

    acpi_build(f, &a);
    return a;
}

static void drop(AcpiFiles *a)
{
    g_byte_array_unref(a->rsdp);
    g_byte_array_unref(a->tables);
    g_byte_array_unref(a->loader);
}

static uint32_t le32(const uint8_t *p)
{
    return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t le64(const uint8_t *p)
{
    return le32(p) | (uint64_t)le32(p + 4) << 32;
}

static GByteArray *file_of(AcpiFiles *a, const char *name)
{
    return !strcmp(name, "etc/acpi/rsdp") ? a->rsdp : !strcmp(name, "etc/acpi/tables") ? a->tables : NULL;
}

/* Does what the firmware does, with etc/acpi/tables at `base`. */
static void run_loader(AcpiFiles *a, uint32_t base)
{
    for (guint i = 0; i < a->loader->len; i += 128) {
        const uint8_t *c = a->loader->data + i;
        GByteArray *f = file_of(a, (char *)c + 4);
        uint32_t off, v;
        uint8_t sum = 0;

        switch (le32(c)) {
        case 2:
            off = le32(c + 116);
            ck_assert(f && off + c[120] <= f->len && c[120] == 4);
            v = GUINT32_TO_LE(le32(f->data + off) + base);
            memcpy(f->data + off, &v, 4);
            break;
        case 3:
            off = le32(c + 60);
            ck_assert(f && off < f->len && le32(c + 64) + le32(c + 68) <= f->len);
            ck_assert_int_eq(f->data[off], 0);
            for (uint32_t j = 0; j < le32(c + 68); j++)
                sum += f->data[le32(c + 64) + j];
            f->data[off] = -sum;
            break;
        case 0: case 1: case 4:
            break;
        default:
            ck_abort_msg("command %u", le32(c));
        }
    }
}

/* The n-th table of that signature that RSDT lists, or NULL; checks its checksum. */
static const uint8_t *table(AcpiFiles *a, uint32_t base, const char *sig)
{
    const uint8_t *rsdt = a->tables->data + (le32(a->rsdp->data + 16) - base);

    ck_assert_mem_eq(rsdt, "RSDT", 4);
    for (uint32_t i = 36; i < le32(rsdt + 4); i += 4) {
        const uint8_t *t = a->tables->data + (le32(rsdt + i) - base);
        uint8_t sum = 0;

        ck_assert(t < a->tables->data + a->tables->len);
        for (uint32_t j = 0; j < le32(t + 4); j++)
            sum += t[j];
        ck_assert_int_eq(sum, 0);
        if (!memcmp(t, sig, 4))
            return t;
    }
    return NULL;
}

START_TEST(sizes)
{
    AcpiFacts f = facts();
    AcpiFiles a = build(&f);

    ck_assert_uint_eq(a.rsdp->len, 20);
    ck_assert_uint_eq(a.tables->len, 0x20000);
    ck_assert_uint_eq(a.loader->len, 0x1000);
    drop(&a);
    f.n_cpus = 255;
    bus0.slot[4] = (TablesSlot){ true, true, false, &bus1 };
    a = build(&f);
    bus0.slot[4] = (TablesSlot){ 0 };
    ck_assert_uint_eq(a.tables->len % 0x20000, 0);
    drop(&a);
}
END_TEST

START_TEST(contents)
{
    const uint32_t base = 0x7fe0000;
    AcpiFacts f = facts();
    AcpiFiles a;
    const uint8_t *t;
    uint8_t sum = 0;

    f.pm_base = 0x600;
    a = build(&f);
    run_loader(&a, base);
    for (unsigned i = 0; i < 20; i++)
        sum += a.rsdp->data[i];
    ck_assert_int_eq(sum, 0);
    t = table(&a, base, "FACP");
    ck_assert(t);
    ck_assert_uint_eq(le32(t + 4), 116);
    ck_assert_uint_eq(le32(t + 56), 0x600);
    ck_assert_uint_eq(le32(t + 64), 0x604);
    ck_assert_uint_eq(le32(t + 76), 0x608);
    ck_assert_uint_eq(le32(t + 112), 0x80a5);
    ck_assert_mem_eq(a.tables->data + (le32(t + 36) - base), "FACS", 4);
    ck_assert_uint_eq((le32(t + 36) - base) % 64, 0);
    ck_assert_mem_eq(a.tables->data + (le32(t + 40) - base), "DSDT", 4);
    t = table(&a, base, "APIC");
    ck_assert_uint_eq(le32(t + 4), 120);
    ck_assert(table(&a, base, "HPET") && table(&a, base, "WAET") && !table(&a, base, "SRAT") && !table(&a, base, "SSDT"));
    drop(&a);
    f.hpet = false;
    f.vmgenid = true;
    a = build(&f);
    run_loader(&a, base);
    ck_assert(!table(&a, base, "HPET") && table(&a, base, "SSDT"));
    drop(&a);
}
END_TEST

START_TEST(x2apic)
{
    AcpiFacts f = facts();
    AcpiFiles a;
    const uint8_t *t;

    f.n_cpus = 2;
    cpus[1].apic_id = 0x13c;
    a = build(&f);
    run_loader(&a, 0);
    t = table(&a, 0, "APIC");
    ck_assert_uint_eq(le32(t + 4), 44 + 8 + 16 + 12 + 50 + 12);
    ck_assert_int_eq(t[52], 9);
    ck_assert_uint_eq(le32(t + 56), 0x13c);
    ck_assert_int_eq(t[le32(t + 4) - 12], 10);
    drop(&a);
}
END_TEST

/* SRAT's memory entry that begins at `base`: its size, and node through *node. */
static uint64_t srat_size(const uint8_t *t, uint64_t base, unsigned *node)
{
    for (uint32_t i = 48; i < le32(t + 4); i += t[i + 1])
        if (t[i] == 1 && le64(t + i + 8) == base && le32(t + i + 28)) {
            *node = le32(t + i + 2);
            return le64(t + i + 16);
        }
    return 0;
}

START_TEST(numa)
{
    static const uint8_t d0[] = { 10, 21 }, d1[] = { 21, 10 };
    TablesNode nodes[] = { { 4ull << 30, d0 }, { 2ull << 30, d1 } };
    AcpiFacts f = facts();
    AcpiFiles a;
    const uint8_t *t;
    unsigned node = 9;

    f.ram_below_4g = 3ull << 30;
    f.ram_above_4g = 3ull << 30;
    f.nodes = nodes;
    f.n_nodes = 2;
    f.n_cpus = 2;
    cpus[0].node = 0;
    cpus[1].node = 1;
    a = build(&f);
    run_loader(&a, 0);
    t = table(&a, 0, "SRAT");
    ck_assert_uint_eq(le32(t + 4), 48 + 2 * 16 + 4 * 40);
    ck_assert_uint_eq(srat_size(t, 0, &node), 640 << 10);
    ck_assert_uint_eq(srat_size(t, 1 << 20, &node), (3ull << 30) - (1 << 20));
    ck_assert_uint_eq(node, 0);
    ck_assert_uint_eq(srat_size(t, 1ull << 32, &node), 1ull << 30);
    ck_assert_uint_eq(node, 0);
    ck_assert_uint_eq(srat_size(t, 5ull << 30, &node), 2ull << 30);
    ck_assert_uint_eq(node, 1);
    t = table(&a, 0, "SLIT");
    ck_assert_mem_eq(t + 44, "\x0a\x15\x15\x0a", 4);
    drop(&a);
}
END_TEST

static int save(const char *dir)
{
    AcpiFacts f = facts();
    AcpiFiles a = build(&f);
    const struct { const char *name; GByteArray *b; } file[] = {
        { "etc_acpi_rsdp", a.rsdp }, { "etc_acpi_tables", a.tables }, { "etc_table-loader", a.loader },
    };

    for (unsigned i = 0; i < 3; i++) {
        g_autofree char *path = g_build_filename(dir, file[i].name, NULL);

        if (!g_file_set_contents(path, (char *)file[i].b->data, file[i].b->len, NULL))
            return 1;
    }
    drop(&a);
    return 0;
}

int main(int argc, char **argv)
{
    Suite *s = suite_create("acpi-tables");
    TCase *t = tcase_create("acpi-tables");
    SRunner *r = srunner_create(s);
    int bad;

    if (argc > 1)
        return save(argv[1]);
    suite_add_tcase(s, t);
    tcase_add_test(t, sizes);
    tcase_add_test(t, contents);
    tcase_add_test(t, x2apic);
    tcase_add_test(t, numa);
    srunner_run_all(r, CK_ENV);
    bad = srunner_ntests_failed(r);
    srunner_free(r);
    return bad != 0;
}
