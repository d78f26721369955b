/*
 * fw_cfg as a guest sees it (ports, DMA, directory), and what -kernel puts into it: Linux, multiboot, PVH; bad kernels.
 *
 * With arguments FOLDER KERNEL [INITRD [APPEND]] it writes the items and the option ROM there instead.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "hw/core/machine.h"
#include "hw/i386/tables.h"
#include "hw/nvram/fw_cfg.h"

#define RAM_SIZE (64u << 20)

static Machine *m;
static FwCfg *f;
static Region ram;
static char *dir;

static void start(void)
{
    GError *err = NULL;
    Device *d;

    m = machine_new(machine_type_find("none"), machine_config_new());
    machine_lock();
    g_assert(region_init_ram(&ram, m, NULL, "ram", NULL, RAM_SIZE, &err));
    region_add(&m->memory, 0, &ram);
    d = device_create(m, &fw_cfg_io_type, NULL, &err);
    g_assert(d);
    f = fw_cfg_find(m);
    g_assert((void *)f == d);
    device_reset(d);
    dir = g_dir_make_tmp("kernel-XXXXXX", NULL);
}

static void stop(void)
{
    g_autofree char *rm = g_strdup_printf("rm -rf %s", dir);

    if (system(rm))
        g_printerr("%s is left\n", dir);
    g_clear_pointer(&dir, g_free);
    machine_unlock();
}

static uint64_t le(const uint8_t *p, unsigned n)
{
    return n ? p[0] | le(p + 1, n - 1) << 8 : 0;
}

static uint64_t item(uint16_t key, unsigned size)
{
    uint8_t b[8];

    pio_write(m, 0x510, key, 2);
    for (unsigned i = 0; i < size; i++)
        b[i] = pio_read(m, 0x511, 1);
    return le(b, size);
}

/* A DMA command with its structure at `at`; returns its control field afterwards. */
static uint32_t dma(uint64_t at, uint32_t control, uint32_t length, uint64_t address)
{
    struct { uint32_t control, length; uint64_t address; } c = {
        GUINT32_TO_BE(control), GUINT32_TO_BE(length), GUINT64_TO_BE(address)
    };

    mem_copy(m, at, &c, sizeof c, true);
    pio_write(m, 0x514, GUINT32_TO_BE(at >> 32), 4);
    pio_write(m, 0x518, GUINT32_TO_BE((uint32_t)at), 4);
    mem_copy(m, at, &c, sizeof c, false);
    return GUINT32_FROM_BE(c.control);
}

START_TEST(ports)
{
    ck_assert_uint_eq(item(FW_CFG_SIGNATURE, 4), 0x554d4551);
    ck_assert_uint_eq(item(FW_CFG_ID, 4), 3);
    ck_assert_uint_eq(item(0x3fff, 4), 0);
    ck_assert_uint_eq(item(0x4000, 1), 'Q');            /* the write channel's bit is ignored */
    pio_write(m, 0x510, 0, 2);
    ck_assert_uint_eq(pio_read(m, 0x510, 1), 'Q');      /* the selector reads as data */
    ck_assert_uint_eq(pio_read(m, 0x510, 2), 0);
    ck_assert_uint_eq(pio_read(m, 0x511, 1), 'E');
    ck_assert_uint_eq(pio_read(m, 0x514, 4), 0x554d4551);
    ck_assert_uint_eq(pio_read(m, 0x518, 4), 0x47464320);
}
END_TEST

static uint32_t written;
static void on_write(void *opaque, uint64_t off, size_t len)
{
    written += off * 1000 + len;
}

static unsigned selected;
static void on_select(void *opaque)
{
    selected++;
}

START_TEST(files)
{
    static uint8_t rw[8];
    uint8_t d[4 + 3 * 64];
    GError *err = NULL;
    char name[80];

    ck_assert(fw_cfg_add_file(f, "opt/b", "bb", 2, &err));
    ck_assert(fw_cfg_add_file_ref(f, "etc/rw", rw, sizeof rw, true, on_select, on_write, NULL, &err));
    ck_assert(fw_cfg_add_option(f, "opt/a,string=hello", &err));
    ck_assert(!fw_cfg_add_option(f, "opt/a,string=again", &err));
    ck_assert(strstr(err->message, "duplicate fw_cfg file name: opt/a"));
    g_clear_error(&err);
    ck_assert(!fw_cfg_add_option(f, "opt/c,string=x,file=y", &err));
    g_clear_error(&err);
    ck_assert(!fw_cfg_add_option(f, "opt/c,file=/nonexistent", &err));
    g_clear_error(&err);
    /* directory: by name */
    ck_assert_uint_eq(dma(0x1000, FW_CFG_FILE_DIR << 16 | 8 | 2, sizeof d, 0x2000), 0);
    mem_copy(m, 0x2000, d, sizeof d, false);
    ck_assert_mem_eq(d, "\0\0\0\3" "\0\0\0\x08" "\0\x20" "\0\0" "etc/rw", 18);
    ck_assert_mem_eq(d + 68, "\0\0\0\5" "\0\x21" "\0\0" "opt/a", 14);
    ck_assert_mem_eq(d + 132, "\0\0\0\2" "\0\x22" "\0\0" "opt/b", 14);
    /* writing: all of it, within the file, and only where allowed */
    mem_copy(m, 0x3000, "12345678", 8, true);
    ck_assert_uint_eq(dma(0x1000, 0x20 << 16 | 8 | 16, 8, 0x3000), 0);
    ck_assert_mem_eq(rw, "12345678", 8);
    ck_assert_uint_eq(written, 8);
    ck_assert_uint_eq(selected, 1);
    ck_assert_uint_eq(dma(0x1000, 0x20 << 16 | 8 | 16, 9, 0x3000), 1);
    ck_assert_uint_eq(dma(0x1000, 0x20 << 16 | 8 | 4, 6, 0), 0);       /* skip */
    ck_assert_uint_eq(dma(0x1000, 16, 2, 0x3000), 0);
    ck_assert_mem_eq(rw, "12345612", 8);
    ck_assert_uint_eq(dma(0x1000, 0x22 << 16 | 8 | 16, 1, 0x3000), 1);
    /* no more places than x-file-slots */
    for (unsigned i = 3; i < 32; i++) {
        g_snprintf(name, sizeof name, "opt/n%u", i);
        ck_assert(fw_cfg_add_file(f, name, "", 1, &err));
    }
    ck_assert(!fw_cfg_add_file(f, "opt/last", "", 1, &err));
    g_clear_error(&err);
}
END_TEST

/* Nothing that a guest says may hurt. */
START_TEST(hostile)
{
    uint8_t b[16];

    ck_assert_uint_eq(dma(0x1000, 8 | 2, 0xffffffff, 0x2000), 1);               /* past RAM */
    mem_copy(m, 0x2000, b, 4, false);
    ck_assert_mem_eq(b, "QEMU", 4);
    ck_assert_uint_eq(dma(0x1000, 8 | 2, 16, 0xfffffffffffffff8ull), 1);        /* round the end of memory */
    ck_assert_uint_eq(dma(0x1000, 8 | 2, 16, 0x1000), 0);                       /* onto the command itself */
    ck_assert_uint_eq(dma(0x1000, 0x3fff << 16 | 8 | 2, 16, 0x2000), 0);        /* no such item: zeros */
    ck_assert_uint_eq(dma(0x1000, 0x20 << 16 | 8 | 16, 16, 0x2000), 1);
    ck_assert_uint_eq(dma(0x1000, 4, 0xffffffff, 0), 0);
    ck_assert_uint_eq(dma(0x1000, 0, 0xffffffff, 0), 0);
    pio_write(m, 0x518, GUINT32_TO_BE(0xfee00000), 4);                          /* the command is not in RAM */
    pio_write(m, 0x514, 0xffffffff, 4);
    pio_write(m, 0x518, 0xffffffff, 4);
    for (unsigned i = 0; i < 20000; i++) {
        unsigned port = 0x510 + g_random_int_range(0, 12), size = 1 << g_random_int_range(0, 3);

        if (port != 0x514 + 4)
            pio_write(m, port, g_random_int(), size);
        pio_read(m, port, size);
        mem_write(m, 0x1000 + g_random_int_range(0, 64), g_random_int() & 0x1f1f, 4);
        if (i % 16 == 0)
            pio_write(m, 0x518, GUINT32_TO_BE(0x1000 + g_random_int_range(0, 64)), 4);
    }
}
END_TEST

/* ---- -kernel ---- */

static char *save(const char *name, const void *data, size_t len)
{
    char *path = g_build_filename(dir, name, NULL);

    ck_assert(g_file_set_contents_full(path, data, len, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
    return path;
}

static const char *load(const char *kernel, const char *initrd, const char *append, GError **err)
{
    KernelFacts k = { kernel, initrd, append, RAM_SIZE };
    const char *rom;

    return kernel_load(f, &k, &rom, err) ? rom : NULL;
}

/* A bzImage of boot protocol 2.12: 2 sectors of set-up, 4 KiB of kernel. */
static GByteArray *bzimage(void)
{
    GByteArray *b = g_byte_array_new();
    uint8_t *p;

    g_byte_array_set_size(b, 3 * 512 + 4096);
    p = b->data;
    memset(p, 0, b->len);
    p[0x1f1] = 2;
    memcpy(p + 0x1fe, "\x55\xaa\xeb\x66HdrS\x0c\x02", 10);
    p[0x211] = 1;
    memcpy(p + 0x22c, "\xff\xff\xff\x7f", 4);
    memset(p + 3 * 512, 0x77, 4096);
    return b;
}

START_TEST(linux_kernel)
{
    GByteArray *b = bzimage();
    g_autofree char *k = save("bzImage", b->data, b->len), *i = save("initrd", "ramdisk", 7);
    GError *err = NULL;
    const uint8_t *rom, *h;
    uint8_t sum = 0;
    size_t len;

    ck_assert_str_eq(load(k, i, "root=/dev/sda vga=0x317", &err), "genroms/linuxboot_dma.bin");
    ck_assert_uint_eq(item(FW_CFG_KERNEL_ADDR, 4), 0x100000);
    ck_assert_uint_eq(item(FW_CFG_KERNEL_SIZE, 4), 4096);
    ck_assert_uint_eq(item(FW_CFG_KERNEL_DATA, 1), 0x77);
    ck_assert_uint_eq(item(FW_CFG_SETUP_ADDR, 4), 0x10000);
    ck_assert_uint_eq(item(FW_CFG_SETUP_SIZE, 4), 1536);
    ck_assert_uint_eq(item(FW_CFG_CMDLINE_ADDR, 4), 0x20000);
    ck_assert_uint_eq(item(FW_CFG_CMDLINE_SIZE, 4), 24);
    ck_assert_uint_eq(item(FW_CFG_INITRD_SIZE, 4), 7);
    ck_assert_uint_eq(item(FW_CFG_INITRD_ADDR, 4), (RAM_SIZE - 0x28000 - 1 - 7) & ~4095);
    h = fw_cfg_get_bytes(f, FW_CFG_SETUP_DATA, &len);
    ck_assert_uint_eq(le(h + 0x1fa, 2), 0x317);
    ck_assert_uint_eq(h[0x210], 0xb0);
    ck_assert_uint_eq(h[0x211], 0x81);
    ck_assert_uint_eq(le(h + 0x218, 4), item(FW_CFG_INITRD_ADDR, 4));
    ck_assert_uint_eq(le(h + 0x21c, 4), 7);
    ck_assert_uint_eq(le(h + 0x224, 2), 0xfe00);
    ck_assert_uint_eq(le(h + 0x228, 4), 0x20000);
    rom = fw_cfg_get_file(f, "genroms/linuxboot_dma.bin", &len);
    ck_assert_uint_eq(len, 1536);
    ck_assert_uint_eq(rom[2] * 512, len);
    for (size_t n = 0; n < len; n++)
        sum += rom[n];
    ck_assert_uint_eq(sum, 0);
    g_byte_array_unref(b);
}
END_TEST

START_TEST(bad_kernels)
{
    GByteArray *b = bzimage();
    g_autofree char *good = save("bzImage", b->data, b->len), *big = NULL, *text = save("text", "hello\n", 6);
    g_autofree char *huge = g_malloc0(RAM_SIZE);
    GError *err = NULL;

    big = save("big", huge, RAM_SIZE);
    ck_assert(!load("/nonexistent/k", NULL, NULL, &err) && strstr(err->message, "-kernel /nonexistent/k: cannot read it"));
    g_clear_error(&err);
    ck_assert(!load(dir, NULL, NULL, &err) && strstr(err->message, "cannot read it: Is a directory"));
    g_clear_error(&err);
    ck_assert(!load(text, NULL, NULL, &err) && strstr(err->message, "invalid kernel header"));
    g_clear_error(&err);
    ck_assert(!load(good, "/nonexistent/i", NULL, &err) && strstr(err->message, "-initrd /nonexistent/i: cannot read it"));
    g_clear_error(&err);
    ck_assert(!load(good, big, NULL, &err) && strstr(err->message, "it is too large"));
    g_clear_error(&err);
    ck_assert(!load(NULL, good, NULL, &err) && strstr(err->message, "-initrd only allowed with -kernel"));
    g_clear_error(&err);
    ck_assert(!load("/bin/true", NULL, NULL, &err) && strstr(err->message, "without PVH ELF Note"));
    g_clear_error(&err);
    for (size_t len = 0; len <= 1536; len += 64) {
        g_autofree char *cut = save("cut", b->data, len);

        ck_assert(!load(cut, NULL, NULL, &err) && err);
        g_clear_error(&err);
    }
    g_byte_array_unref(b);
}
END_TEST

/* An ELF file with one LOAD and one NOTE segment. */
static GByteArray *elf(bool is64, bool multiboot)
{
    GByteArray *b = g_byte_array_new();
    const unsigned each = is64 ? 56 : 32, ph = is64 ? 64 : 52;
    uint8_t *p;

    g_byte_array_set_size(b, 0x2000);
    p = b->data;
    memset(p, 0, b->len);
    memcpy(p, "\x7f" "ELF", 4);
    p[4] = is64 ? 2 : 1;
    p[is64 ? 32 : 28] = ph;
    p[is64 ? 54 : 42] = each;
    p[is64 ? 56 : 44] = 2;
    memcpy(p + 24, "\x04\0\x10\0", 4);                      /* entry 0x100004 */
    p[ph] = 1;                                              /* LOAD 0x1000..0x2000 to 0x100000, 0x3000 in memory */
    p[ph + each] = 4;                                       /* NOTE at 0x800 */
    if (is64) {
        memcpy(p + ph + 8, "\0\x10", 2);
        memcpy(p + ph + 24, "\0\0\x10", 3);
        memcpy(p + ph + 32, "\0\x10", 2);
        memcpy(p + ph + 40, "\0\x30", 2);
        memcpy(p + ph + each + 8, "\0\x08", 2);
        p[ph + each + 32] = 24;
    } else {
        memcpy(p + ph + 4, "\0\x10", 2);
        memcpy(p + ph + 12, "\0\0\x10", 3);
        memcpy(p + ph + 16, "\0\x10", 2);
        memcpy(p + ph + 20, "\0\x30", 2);
        memcpy(p + ph + each + 4, "\0\x08", 2);
        p[ph + each + 16] = 24;
    }
    if (!multiboot)
        memcpy(p + 0x800, "\4\0\0\0\x8\0\0\0\x12\0\0\0Xen\0\x40\0\x10\0", 20);
    else
        memcpy(p + 0x900, "\x02\xb0\xad\x1b\x03\0\0\0\xfb\x4f\x52\xe4", 12);
    memset(p + 0x1000, 0x55, 0x1000);
    return b;
}

START_TEST(pvh)
{
    for (unsigned is64 = 0; is64 < 2; is64++) {
        GByteArray *b = elf(is64, false);
        g_autofree char *k = save("vmlinux", b->data, b->len), *i = save("initrd", "ramdisk", 7);
        g_autofree uint8_t *s = NULL;
        GError *err = NULL;
        const char *rom;
        size_t len;

        if (is64) {
            stop();
            start();
            g_free(k);
            g_free(i);
            k = save("vmlinux", b->data, b->len);
            i = save("initrd", "ramdisk", 7);
        }
        rom = load(k, i, "hello", &err);
        ck_assert_msg(rom != NULL, "%s", err ? err->message : "");
        ck_assert_str_eq(rom, "genroms/pvh.bin");
        ck_assert_uint_eq(item(FW_CFG_KERNEL_ENTRY, 4), 0x100040);
        ck_assert_uint_eq(item(FW_CFG_KERNEL_ADDR, 4), 0x100000);
        ck_assert_uint_eq(item(FW_CFG_KERNEL_SIZE, 4), 0x3000);
        s = g_memdup2(fw_cfg_get_bytes(f, FW_CFG_SETUP_DATA, &len), 88);
        ck_assert_uint_eq(len, 88);
        ck_assert_uint_eq(le(s, 4), 0x336ec578);
        ck_assert_uint_eq(le(s + 12, 4), 1);
        ck_assert_uint_eq(le(s + 56, 8), item(FW_CFG_INITRD_ADDR, 4));
        ck_assert_uint_eq(le(s + 64, 8), 7);
        ck_assert_uint_eq(le(s + 24, 8), item(FW_CFG_CMDLINE_ADDR, 4));
        g_byte_array_unref(b);
    }
}
END_TEST

START_TEST(multiboot)
{
    GByteArray *b = elf(false, true);
    g_autofree char *k = save("mb", b->data, b->len), *one = save("m1", "one", 3), *two = save("m2", "module two", 10);
    g_autofree char *mods = g_strdup_printf("%s with args,%s", one, two), *missing = g_strdup_printf("%s,/nonexistent", one);
    GError *err = NULL;
    const uint8_t *info, *image, *mod;
    const char *rom;
    uint32_t base;
    size_t len;

    ck_assert(!load(k, missing, NULL, &err) && strstr(err->message, "Failed to open file '/nonexistent'"));
    g_clear_error(&err);
    rom = load(k, mods, "x y", &err);
    ck_assert_msg(rom != NULL, "%s", err ? err->message : "");
    ck_assert_str_eq(rom, "genroms/multiboot_dma.bin");
    ck_assert_uint_eq(item(FW_CFG_KERNEL_ENTRY, 4), 0x100004);
    base = item(FW_CFG_KERNEL_ADDR, 4);
    image = fw_cfg_get_bytes(f, FW_CFG_KERNEL_DATA, &len);
    info = fw_cfg_get_bytes(f, FW_CFG_SETUP_DATA, &len);
    ck_assert_uint_eq(le(info, 4), 0x24f);
    ck_assert_uint_eq(le(info + 20, 4), 2);
    ck_assert(g_str_has_suffix((char *)image + (le(info + 16, 4) - base), "/mb x y"));
    mod = image + (le(info + 24, 4) - base);
    ck_assert_uint_eq(le(mod, 4) % 4096, 0);
    ck_assert_uint_eq(le(mod + 4, 4) - le(mod, 4), 3);
    ck_assert_mem_eq(image + (le(mod + 16, 4) - base), "module two", 10);
    ck_assert(g_str_has_suffix((char *)image + (le(mod + 8, 4) - base), "/m1 with args"));
    ck_assert_uint_eq(image[0], 0x55);
    ck_assert_uint_eq(image[0x1000], 0);
    g_byte_array_unref(b);
}
END_TEST

/* Damaged headers: an error, or something within memory; never a crash. */
START_TEST(damaged)
{
    GByteArray *kinds[] = { bzimage(), elf(false, false), elf(true, false), elf(false, true) };

    for (unsigned i = 0; i < 400; i++) {
        GByteArray *b = kinds[i % 4];
        g_autofree uint8_t *bad = g_memdup2(b->data, b->len);
        g_autofree char *k = NULL;
        g_autoptr(GError) err = NULL;
        KernelFacts facts = { .ram_below_4g = RAM_SIZE };
        const char *rom;

        for (unsigned n = 0; n < 6; n++) {
            unsigned at = i % 4 == 3 ? g_random_int_range(0, 0x90c) : g_random_int_range(i % 4 ? 4 : 0x1f0, i % 4 ? 0x100 : 0x268);

            bad[at] = g_random_boolean() ? 0xff : g_random_int();
        }
        k = save("bad", bad, g_random_boolean() ? b->len : (guint)g_random_int_range(0, b->len));
        facts.kernel = k;
        if (!kernel_load(f, &facts, &rom, &err) && !strstr(err->message, "duplicate"))
            ck_assert(*err->message);
        else
            ck_assert(item(FW_CFG_KERNEL_ADDR, 4) + item(FW_CFG_KERNEL_SIZE, 4) <= RAM_SIZE);
    }
    for (unsigned i = 0; i < 4; i++)
        g_byte_array_unref(kinds[i]);
}
END_TEST

static int save_all(char **argv)
{
    static const uint16_t keys[] = { 0x07, 0x08, 0x0a, 0x0b, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18 };
    KernelFacts k = { argv[2], argv[3], argv[3] ? argv[4] : NULL, 512u << 20 };
    g_autoptr(GError) err = NULL;
    const char *rom;
    size_t len;

    start();
    if (!kernel_load(f, &k, &rom, &err)) {
        g_printerr("%s\n", err->message);
        return 1;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(keys); i++) {
        g_autofree char *path = g_strdup_printf("%s/key-%04x", argv[1], keys[i]);
        const void *p = fw_cfg_get_bytes(f, keys[i], &len);

        g_file_set_contents(path, p ? p : "", len, NULL);
    }
    {
        g_autofree char *base = g_path_get_basename(rom), *path = g_build_filename(argv[1], base, NULL);
        const void *p = fw_cfg_get_file(f, rom, &len);

        g_file_set_contents(path, p, len, NULL);
    }
    stop();
    return 0;
}

int main(int argc, char **argv)
{
    Suite *s = suite_create("kernel");
    TCase *t = tcase_create("kernel");
    SRunner *r = srunner_create(s);
    int bad;

    if (argc > 2)
        return save_all(argv);
    suite_add_tcase(s, t);
    tcase_add_checked_fixture(t, start, stop);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, ports);
    tcase_add_test(t, files);
    tcase_add_test(t, hostile);
    tcase_add_test(t, linux_kernel);
    tcase_add_test(t, bad_kernels);
    tcase_add_test(t, pvh);
    tcase_add_test(t, multiboot);
    tcase_add_test(t, damaged);
    srunner_run_all(r, CK_ENV);
    bad = srunner_ntests_failed(r);
    srunner_free(r);
    return bad != 0;
}
