/*
 * Damaged and malicious qcow2 images: fields of the header, entries of tables, extensions and names of good ones are changed as
 * the input says, then the image is opened and used.
 *
 * The good ones are in $FUZZ_IMAGES, a folder for each (tests/fuzz/make-images): "image", and "back" and "data" where it has them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "block/aio.h"
#include "block/options.h"
#include "block/qcow2.h"
#include "tests/fuzz/libimages.h"

#define MAX_IMAGES 32

/* Where things are in a good image. */
typedef struct Good {
    uint8_t *data[MEM_FILES];
    size_t len[MEM_FILES];
    uint64_t l1, l2, rt, rb, snapshots, bitmaps, bitmap_table, cluster;
} Good;

static Good good[MAX_IMAGES];
static unsigned n_good;

const char fuzz_name[] = "images-qcow2";
const char *const fuzz_found[] = {
    /* a refcount block at offset 0, without overlap checks: for ever */
    "e600941c702a0043872c0085cf19004de13800557d3e00bae23500d9632300b1b6bc3069e51e00bf937f007716270075f76c8205e50b00bcce370094"
    "6f36007d902700fb0f3b00d8bf0c00ded035008cd8ea1dcfe148abebcd63415dbd2d91ff613d0084761300332e20001f5c1600b00e1e0004640f00a4"
    "1026009eb837007c653900",
    NULL
};

static uint64_t get_be(const Good *g, uint64_t at, unsigned bytes)
{
    uint64_t v = 0;

    if (at > g->len[0] || bytes > g->len[0] - at)
        return 0;
    for (unsigned i = 0; i < bytes; i++)
        v = v << 8 | g->data[0][at + i];
    return v;
}

static void survey(Good *g)
{
    uint64_t ext = get_be(g, 4, 4) > 2 ? get_be(g, 100, 4) : HEADER_V2;

    g->cluster = UINT64_C(1) << get_be(g, 20, 4);
    g->l1 = get_be(g, 40, 8);
    g->rt = get_be(g, 48, 8);
    g->snapshots = get_be(g, 64, 8);
    g->l2 = get_be(g, g->l1, 8) & L1_OFFSET;
    g->rb = get_be(g, g->rt, 8);
    while (get_be(g, ext, 4) && get_be(g, ext, 4) != EXT_BITMAPS)
        ext += 8 + ((get_be(g, ext + 4, 4) + 7) & ~UINT64_C(7));
    if (get_be(g, ext, 4) == EXT_BITMAPS) {
        g->bitmaps = get_be(g, ext + 24, 8);
        g->bitmap_table = get_be(g, g->bitmaps, 8);
    }
}

static bool load(const char *dir)
{
    static const char *const names[MEM_FILES] = { "image", "back", "data" };
    Good *g = &good[n_good];

    for (int i = 0; i < MEM_FILES; i++) {
        g_autofree char *path = g_build_filename(dir, names[i], NULL);

        if (!g_file_get_contents(path, (char **)&g->data[i], &g->len[i], NULL) && i == 0)
            return false;
    }
    survey(g);
    n_good++;
    return true;
}

static void load_all(void)
{
    const char *path = g_getenv("FUZZ_IMAGES"), *name;
    GDir *d = path ? g_dir_open(path, 0, NULL) : NULL;
    g_autoptr(GPtrArray) names = g_ptr_array_new();

    fuzz_init();
    while (d && (name = g_dir_read_name(d)))
        g_ptr_array_add(names, g_build_filename(path, name, NULL));
    g_ptr_array_sort(names, (GCompareFunc)(void *)g_strcmp0);
    for (unsigned i = 0; i < names->len && n_good < MAX_IMAGES; i++)
        if (!load(g_ptr_array_index(names, i)))
            fprintf(stderr, "%s: no image\n", (char *)g_ptr_array_index(names, i));
    if (!n_good) {
        fprintf(stderr, "%s: no images in $FUZZ_IMAGES: tests/fuzz/make-images DIR makes them\n", fuzz_name);
        exit(1);
    }
}

/* ---- damage */

/* Numbers that somebody may not have thought of, and places where something is. */
static uint64_t value(const Good *g, const Record *r)
{
    static const uint64_t nasty[] = {
        0, 1, 2, 3, 0x1ff, 0x200, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 0x7fffffffffffffff, 0x7ffffffffffffe00,
        0x8000000000000000, 0xffffffffffffffff, 0xfffffffffffffe00, 0x00fffffffffffe00, 0x4000000000000000, 0x3fffffffffffffff,
        0x0100000000000000, 1 << 20, 1 << 25, UINT64_C(1) << 40, UINT64_C(1) << 56, UINT64_C(1) << 62,
    };
    const uint64_t places[] = {
        0, g->l1, g->l2, g->rt, g->rb, g->snapshots, g->bitmaps, g->bitmap_table, g->len[0], g->len[0] / g->cluster * g->cluster,
        r->v % 64 * g->cluster, 104, g->l1 + 8, g->cluster / 2,
    };
    uint64_t v;

    switch (r->a & 3) {
    case 0: v = nasty[r->v % G_N_ELEMENTS(nasty)]; break;
    case 1: v = places[r->v % G_N_ELEMENTS(places)]; break;
    case 2: v = r->v; break;
    default: v = (uint64_t)r->v % 256 * g->cluster + (r->v >> 8 & 511) * (r->v >> 31);
    }
    /* flags of entries */
    return v ^ (uint64_t)(r->a >> 2 & 3) << 62 ^ (r->a >> 4 & 1);
}

static void put(uint64_t at, uint64_t v, unsigned bytes)
{
    MemFile *f = &mem_files[0];

    if (at > f->len || bytes > f->len - at)
        return;
    for (unsigned i = 0; i < bytes; i++)
        f->data[at + i] = v >> 8 * (bytes - 1 - i);
}

static void damage_header(const Good *g, const Record *r)
{
    static const struct { uint8_t at, bytes; } fields[] = {
        { 4, 4 }, { 8, 8 }, { 16, 4 }, { 20, 4 }, { 24, 8 }, { 32, 4 }, { 36, 4 }, { 40, 8 }, { 48, 8 }, { 56, 4 }, { 60, 4 },
        { 64, 8 }, { 72, 8 }, { 80, 8 }, { 88, 8 }, { 96, 4 }, { 100, 4 }, { 104, 1 },
    };
    unsigned i = r->b % G_N_ELEMENTS(fields);
    uint64_t v = value(g, r);

    if (fields[i].bytes == 4 && r->a & 0x40)
        v &= 63;                        /* versions, widths, counts */
    put(fields[i].at, v, fields[i].bytes);
}

/* An extension, or a name, at a place of the first cluster. */
static void damage_extension(const Good *g, const Record *r)
{
    static const uint32_t types[] = { EXT_BACKING_FORMAT, EXT_FEATURE_TABLE, EXT_BITMAPS, EXT_CRYPTO, EXT_DATA_FILE, 0, 1 };
    static const uint32_t sizes[] = { 0, 8, 24, 4, 16, 1023, 0xffffffff, 0xfffffff8 };
    static const char *const names[] = { "image", "back", "data", "mem:image", "mem:back", "json:{", "json:{\"driver\":\"null-co\"}",
        "null-co://", "", "raw", "qcow2", "blkdebug::mem:image", "json:{\"driver\":\"qcow2\",\"file\":\"mem:image\"}", "nbd:x" };
    unsigned at = 72 + (r->b & 63) * 8;
    const char *s = names[r->v % G_N_ELEMENTS(names)];

    if (r->a & 1) {
        put(at, types[r->v % G_N_ELEMENTS(types)], 4);
        put(at + 4, sizes[(r->v >> 8) % G_N_ELEMENTS(sizes)], 4);
    } else {
        for (unsigned i = 0; s[i]; i++)
            put(at + i, s[i], 1);
        if (r->a & 2) {
            put(8, at, 8);
            put(16, strlen(s), 4);
        }
    }
}

static void damage(const Good *g, const Record *r)
{
    unsigned entry = get_be(g, 4, 4) == 3 && get_be(g, 72, 8) & INCOMPAT_EXTL2 ? 16 : 8;
    uint64_t v = value(g, r);

    switch (r->kind % 16) {
    case 0: case 1: damage_header(g, r); break;
    case 2: put(g->l1 + r->b * 8, v, 8); break;
    case 3: case 4: case 5: put(g->l2 + r->b * entry, v, 8); break;
    case 6: put(g->l2 + r->b * 8, r->v * UINT64_C(0x100000001), 8); break;
    case 7: put(g->rt + r->b * 8, v, 8); break;
    case 8: put(g->rb + r->b, r->v, 1 + (r->a & 7)); break;
    case 9: put(g->snapshots + (g->snapshots ? r->b : r->b * 8), v, r->a & 0x80 ? 8 : r->a & 0x40 ? 4 : 2); break;
    case 10: put(g->bitmaps + r->b, v, r->a & 0x80 ? 8 : r->a & 0x40 ? 4 : 1); break;
    case 11: put(g->bitmap_table + r->b * 8, v, 8); break;
    case 12: damage_extension(g, r); break;
    case 13: put(r->v % (g->len[0] + 1), r->b, 2); break;
    case 14: put(r->v % (g->len[0] + 1) & ~UINT64_C(7), value(g, &(Record){ 0, r->b, 0, r->b >> 8 }), 8); break;
    default: {
        MemFile *f = &mem_files[r->a & 0x80 ? 1 + (r->a & 1) : 0];

        f->len = MIN(f->len, r->a & 0x40 ? r->v : r->b * g->cluster);
    }
    }
}

/* ---- an input */

static void use(unsigned flags, unsigned how, const Record *r, size_t n)
{
    BlockBackend *b;
    json_t *o = json_pack("{s:s}", "driver", "qcow2");
    GError *e = NULL;

    if (how & 1)
        jopts_set(o, "lazy-refcounts", "on");
    if (how & 2)
        jopts_set(o, "l2-cache-entry-size", "512");
    if (how & 4)
        jopts_set(o, "overlap-check", how & 8 ? "all" : "none");
    b = blk_open("mem:image", o, flags, &e);
    if (!b) {
        if (!e || !*e->message)
            g_error("no message");
        g_error_free(e);
        return;
    }
    mem_yields = how & 16;
    image_ops(b, r, n, mem_yields);
    mem_yields = false;
    blk_unref(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Record r[(INPUT_MAX - INPUT_HEAD) / sizeof(Record)];
    unsigned flags = 0;
    size_t n;
    Good *g;

    if (!n_good)
        load_all();
    if (size < INPUT_HEAD || size > INPUT_MAX)
        return 0;
    g = &good[data[0] % n_good];
    n = (size - INPUT_HEAD) / sizeof(Record);
    memcpy(r, data + INPUT_HEAD, n * sizeof(Record));
    fuzz_begin();
    for (int i = 0; i < MEM_FILES; i++)
        mem_set(&mem_files[i], g->data[i] ? (char *)g->data[i] : "", g->len[i]);
    for (size_t i = 0; i < n; i++)
        if (r[i].kind < REC_OPS)
            damage(g, &r[i]);
    flags |= data[1] & 3 ? OPEN_RDWR | OPEN_UNMAP : 0;
    flags |= data[1] & 4 ? OPEN_CHECK : 0;
    flags |= data[1] & 8 ? OPEN_NO_BACKING : 0;
    use(flags, data[2], r, n);
    /* what it has become is opened once more */
    if (data[1] & 16)
        use(OPEN_RDWR | OPEN_CHECK, 0, &(Record){ REC_OPS + 16, 3, 0, 0 }, 1);
    return 0;
}
