/*
 * Layouts of keyboards and names of keys, at random, in this process: names of layouts, tables of any content, xkb files with
 * changed bytes, keysyms, characters, what sendkey takes. An answer is a key of a keyboard or none.
 *
 * usage: layouts [--count N] [--seed N] [--module vmemu-ui-xkb.so]     (100000)
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "ui/console.h"
#include "ui/layout.h"

enum { SECONDS = 3000, LOAD_EVERY = 4000 };

static const LayoutModule *module;
static char *xkb_root;          /* a folder like X11/xkb, whose file symbols/de is ours */
static char *symbols;
static gsize symbols_size;
static GRand *rnd;

static unsigned below(unsigned n) { return g_rand_int_range(rnd, 0, n); }

static void fail(const char *what, uint32_t value)
{
    printf("not ok 1 - layouts: %s, 0x%x\n", what, value);
    exit(1);
}

static uint32_t any_keysym(void)
{
    static const uint32_t bases[] = { 0, 0x20, 0xa0, 0x1a0, 0x6a0, 0x7a0, 0xada0, 0xfe00, 0xff00, 0xff80, 0x1000000, 0x10020a0,
                                      0x1ffff00, 0xffffff00, 0x10ffff, 0x110fffff };

    return below(4) ? bases[below(G_N_ELEMENTS(bases))] + below(256) : g_rand_int(rnd);
}

static void check(const LayoutKey *k)
{
    if (k && (k->key <= QKEY_UNMAPPED || k->key >= QKEY_COUNT || k->mods > 15)) {
        fail("no key", k->key);
    }
}

static void look_up(void)
{
    bool down[QKEY_COUNT];
    uint32_t c = any_keysym();
    const LayoutKey *k;

    for (unsigned i = 0; i < QKEY_COUNT; i++) {
        down[i] = !below(3);
    }
    check(layout_find(c, below(16), below(2) ? down : NULL));
    k = layout_find_char(c);
    check(k);
    if (k && k->unicode != c) {
        fail("another character", c);
    }
}

static void any_table(void)
{
    GArray *a = g_array_new(false, true, sizeof(LayoutKey));
    unsigned few = 1 + below(400);

    for (unsigned n = below(300); n > 0; n--) {
        uint32_t sym = below(2) ? any_keysym() : below(few);

        g_array_append_val(a, ((LayoutKey){ sym, below(2) ? sym : any_keysym(), 1 + below(QKEY_COUNT - 1), below(16) }));
    }
    layout_use(a);
}

static void any_name(void)
{
    static const char *const begins[] = { "de", "en-gb", "fr", "", "../", "/", "pc105", "%s", "ctrl", "alt", "0x", "<", "ret" };
    QKeyCode keys[INPUT_MAX_KEYS];
    g_autoptr(GError) err = NULL;
    g_autoptr(GString) s = g_string_new(begins[below(G_N_ELEMENTS(begins))]);
    unsigned n;

    for (unsigned i = below(below(20) ? 6 : 600); i > 0; i--) {
        g_string_append_c(s, below(3) ? "-x0123<abc_"[below(11)] : (char)(1 + below(255)));
    }
    if (!layout_select(s->str, &err) && !err) {
        fail("no error", 0);
    }
    if (input_parse_keys(s->str, keys, &n, NULL)) {
        for (unsigned i = 0; i < n; i++) {
            if (n > INPUT_MAX_KEYS || keys[i] < 0 || keys[i] >= QKEY_COUNT) {
                fail("parsed to no key", keys[i]);
            }
        }
    }
    if (key_from_number(g_rand_int(rnd)) >= QKEY_COUNT || key_from_hid(g_rand_int(rnd)) >= QKEY_COUNT) {
        fail("a number of no key", 0);
    }
}

/* ---- xkb's files ---- */

static void make_root(void)
{
    static const char *const parts[] = { "rules", "keycodes", "types", "compat", "geometry" };
    const char *from = "/usr/share/X11/xkb";
    g_autofree char *de = g_build_filename(from, "symbols", "de", NULL), *all = g_build_filename(from, "symbols", NULL);
    g_autoptr(GDir) dir = g_dir_open(all, 0, NULL);
    const char *name;

    if (!dir || !g_file_get_contents(de, &symbols, &symbols_size, NULL)) {
        return;
    }
    xkb_root = g_dir_make_tmp("layouts-XXXXXX", NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(parts); i++) {
        g_autofree char *a = g_build_filename(from, parts[i], NULL), *b = g_build_filename(xkb_root, parts[i], NULL);

        if (symlink(a, b)) {
            fail("symlink", 0);
        }
    }
    g_autofree char *sub = g_build_filename(xkb_root, "symbols", NULL);

    mkdir(sub, 0700);
    while ((name = g_dir_read_name(dir))) {
        g_autofree char *a = g_build_filename(all, name, NULL), *b = g_build_filename(sub, name, NULL);

        if (strcmp(name, "de") && symlink(a, b)) {
            fail("symlink", 1);
        }
    }
    g_setenv("XKB_CONFIG_ROOT", xkb_root, true);
}

static void remove_root(void)
{
    g_autofree char *command = xkb_root ? g_strdup_printf("rm -rf '%s'", xkb_root) : NULL;

    if (command && system(command)) {
        fail("rm", 0);
    }
}

static void load(void)
{
    static const char *const layouts[] = { "de", "de", "de", "fr", "us", "gb", "ru", "se", "jp", "ara", "th", "ch", "nonsense", "" };
    static const char *const variants[] = { NULL, "nodeadkeys", "neo", "fr", "bepo", "qwerty", "nonsense" };
    g_autofree char *path = g_build_filename(xkb_root, "symbols/de", NULL), *text = g_memdup2(symbols, symbols_size);
    gsize size = below(8) ? symbols_size : below(symbols_size);
    GArray *a;

    for (unsigned n = below(30); n > 0; n--) {
        gsize at = below(symbols_size);

        if (below(2)) {
            text[at] = below(256);
        } else {
            gsize from = below(symbols_size), len = below(200);

            len = MIN(len, symbols_size - MAX(at, from));
            memmove(text + at, text + from, len);
        }
    }
    if (!g_file_set_contents(path, text, size, NULL)) {
        fail("cannot write", 0);
    }
    a = module->load(below(2) ? "pc105" : "jp106", layouts[below(G_N_ELEMENTS(layouts))], variants[below(G_N_ELEMENTS(variants))], NULL);
    if (a) {
        for (guint i = 0; i < a->len; i++) {
            check(&g_array_index(a, LayoutKey, i));
        }
        layout_use(a);
    }
}

int main(int argc, char **argv)
{
    unsigned long count = 100000, seed = 1, loads = 0;

    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--count")) {
            count = strtoul(argv[i + 1], NULL, 0);
        } else if (!strcmp(argv[i], "--seed")) {
            seed = strtoul(argv[i + 1], NULL, 0);
        } else if (!strcmp(argv[i], "--module")) {
            void *so = dlopen(argv[i + 1], RTLD_NOW);

            module = so ? dlsym(so, LAYOUT_MODULE_SYMBOL) : NULL;
        }
    }
    alarm(SECONDS);
    rnd = g_rand_new_with_seed(seed);
    if (module) {
        make_root();
    }
    for (unsigned long i = 0; i < count; i++) {
        if (xkb_root && i % LOAD_EVERY == 0) {
            load();
            loads++;
        }
        if (i % 100 == 50) {
            any_table();
        } else if (i % 10 == 5) {
            any_name();
        } else {
            look_up();
        }
    }
    remove_root();
    printf("ok 1 - layouts: %lu steps, %lu mutated files of xkb, seed %lu\n1..1\n", count, loads, seed);
    return 0;
}
