/*
 * Multiboot 1 kernels (Multiboot Specification 0.6.96): ELF or with an address header; modules from -initrd "FILE ARGS,FILE ARGS".
 * Not supported: video modes (flag 2), 64-bit ELF images, a.out symbols.
 */
#include <string.h>
#include "hw/i386/kernel-int.h"
#include "util/error.h"

#define MAGIC 0x1badb002
#define SEARCH 8192
#define PAGE 4096u

enum { F_VIDEO = 1 << 2, F_ADDRESSES = 1 << 16 };
/* The header */
enum { H_FLAGS = 4, H_CHECKSUM = 8, H_HEADER = 12, H_LOAD = 16, H_LOAD_END = 20, H_BSS_END = 24, H_ENTRY = 28, H_SIZE = 32 };
/* Boot information. The ROM fills in mem_lower, mem_upper and mmap_length. */
enum { I_FLAGS = 0, I_BOOT_DEVICE = 12, I_CMDLINE = 16, I_MODS = 20, I_MODS_AT = 24, I_MMAP_AT = 48, I_LOADER = 64, I_SIZE = 88 };
enum { HAS_MEM = 1, HAS_BOOT_DEVICE = 2, HAS_CMDLINE = 4, HAS_MODS = 8, HAS_MMAP = 0x40, HAS_LOADER = 0x200 };

/* The kernel's memory image, with modules and strings behind it. */
typedef struct Image {
    GByteArray *b;                      /* from the kernel's load address on */
    uint32_t base;
    uint64_t limit;                     /* of base + b->len */
    GArray *mods;                       /* uint32_t: start, end, string, 0 of each */
} Image;

bool multiboot_find(const uint8_t *file, size_t len, uint32_t *header)
{
    for (uint32_t at = 0; at + 12 <= MIN(len, SEARCH); at += 4) {
        if (get32(file + at) == MAGIC && !(get32(file + at) + get32(file + at + H_FLAGS) + get32(file + at + H_CHECKSUM))) {
            *header = at;
            return true;
        }
    }
    return false;
}

/* The kernel as its header's addresses say. */
static bool load_addresses(const KernelFacts *k, const uint8_t *file, size_t len, uint32_t at, KernelPiece *out, GError **err)
{
    const uint8_t *h = file + at;
    uint32_t header, load, load_end, bss_end;
    uint64_t from, size;

    if (len - at < H_SIZE)
        return error_set(err, "invalid multiboot header in '%s': it is cut short", k->kernel);
    header = get32(h + H_HEADER);
    load = get32(h + H_LOAD);
    load_end = get32(h + H_LOAD_END);
    bss_end = get32(h + H_BSS_END);
    if (header < load || header - load > at)
        return error_set(err, "invalid multiboot header in '%s': load address 0x%x, header address 0x%x", k->kernel, load, header);
    from = at - (header - load);
    size = load_end ? load_end - (uint64_t)load : len - from;
    if ((load_end && load_end < load) || size > len - from || !size)
        return error_set(err, "invalid multiboot header in '%s': it loads more than the file has", k->kernel);
    out->addr = load;
    out->len = size;
    out->size = bss_end > load + size ? bss_end - load : size;
    if (load + (uint64_t)out->size > k->ram_below_4g)
        return error_set(err, "kernel '%s' is too large for this machine's memory", k->kernel);
    out->data = g_memdup2(file + from, size);
    return true;
}

/* ---- Modules and strings ---- */

/* Room for n bytes at the next multiple of align; returns their address, 0 with err when memory is too small. */
static uint32_t append(Image *im, const void *data, size_t n, unsigned align, GError **err)
{
    guint old = im->b->len, at = ((uint64_t)im->base + old + align - 1) / align * align - im->base;

    if ((uint64_t)im->base + at + n > im->limit) {
        error_set(err, "kernel and modules are too large for this machine's memory");
        return 0;
    }
    g_byte_array_set_size(im->b, at + n);
    memset(im->b->data + old, 0, at - old);
    if (n)
        memcpy(im->b->data + at, data, n);
    return im->base + at;
}

static bool add_module(Image *im, const char *text, GError **err)
{
    g_autofree char *path = g_strndup(text, strcspn(text, " ")), *data = NULL;
    uint32_t start;
    gsize len;

    if (!g_file_get_contents(path, &data, &len, NULL))
        return error_set(err, "Failed to open file '%s'", path);
    start = append(im, data, len, PAGE, err);
    if (start)
        g_array_append_vals(im->mods, (uint32_t[]){ start, start + len, 0, 0 }, 4);
    return start != 0;
}

/* The next of "FILE ARGS,FILE ARGS" with ",," for a comma; NULL at the end. */
static char *next_module(const char **list)
{
    GString *s;
    const char *p = *list;

    if (!p || !*p)
        return NULL;
    s = g_string_new(NULL);
    for (; *p && (*p != ',' || p[1] == ','); p++) {
        g_string_append_c(s, *p);
        p += *p == ',';
    }
    *list = *p ? p + 1 : p;
    return g_string_free(s, false);
}

static bool add_modules(Image *im, const char *list, GError **err)
{
    const char *all = list;
    unsigned n = 0;
    char *text;

    while ((text = next_module(&list))) {
        bool ok = add_module(im, text, err);

        g_free(text);
        if (!ok)
            return false;
    }
    while ((text = next_module(&all))) {        /* behind all data, which is page aligned */
        uint32_t at = append(im, text, strlen(text) + 1, 1, err);

        g_free(text);
        if (!at)
            return false;
        g_array_index(im->mods, uint32_t, n * 4 + 2) = at;
        n++;
    }
    return true;
}

static bool make_info(const KernelFacts *k, Image *im, KernelImage *out, GError **err)
{
    g_autofree char *cmdline = g_strdup_printf("%s %s", k->kernel, k->append ? k->append : "");
    uint8_t *info = g_malloc0(I_SIZE);
    uint32_t at;

    out->setup = (KernelPiece){ KERNEL_INFO, I_SIZE, info, I_SIZE };
    set32(info + I_FLAGS, HAS_MEM | HAS_BOOT_DEVICE | HAS_CMDLINE | HAS_MODS | HAS_MMAP | HAS_LOADER);
    set32(info + I_BOOT_DEVICE, 0x8000ffff);
    set32(info + I_MMAP_AT, KERNEL_MAP);
    if (k->append && strlen(k->append) > 0x10000)
        return error_set(err, "-append has %zu characters, more than any kernel takes", strlen(k->append));
    if (!(at = append(im, cmdline, strlen(cmdline) + 1, 1, err)))
        return false;
    set32(info + I_CMDLINE, at);
    if (!(at = append(im, "vmemu", 6, 1, err)))
        return false;
    set32(info + I_LOADER, at);
    for (unsigned i = 0; i < im->mods->len; i++)
        g_array_index(im->mods, uint32_t, i) = GUINT32_TO_LE(g_array_index(im->mods, uint32_t, i));
    if (!(at = append(im, im->mods->data, im->mods->len * 4, 4, err)))
        return false;
    set32(info + I_MODS, im->mods->len / 4);
    set32(info + I_MODS_AT, at);
    return true;
}

bool multiboot_load(const KernelFacts *k, const uint8_t *file, size_t len, uint32_t header, KernelImage *out, GError **err)
{
    uint32_t flags = get32(file + header + H_FLAGS);
    KernelPiece kernel = { 0 };
    uint64_t entry;
    bool is64 = false, ok;
    Image im = { .limit = k->ram_below_4g };

    out->kind = KERNEL_MULTIBOOT;
    if (flags & F_VIDEO)
        return error_set(err, "multiboot kernel '%s' needs a video mode (VBE), which -kernel cannot set up", k->kernel);
    if (flags & F_ADDRESSES) {
        ok = load_addresses(k, file, len, header, &kernel, err);
        entry = ok ? get32(file + header + H_ENTRY) : 0;
    } else if (!elf_is(file, len)) {
        return error_set(err, "multiboot kernel '%s' is not ELF and has no load addresses", k->kernel);
    } else {
        ok = elf_load(k, file, len, &kernel, &entry, &is64, err);
    }
    if (ok && is64)
        ok = error_set(err, "Cannot load x86-64 image, give a 32bit one.");
    if (!ok) {
        g_free(kernel.data);
        return false;
    }
    im.base = kernel.addr;
    im.b = g_byte_array_sized_new(kernel.size);
    g_byte_array_append(im.b, kernel.data, kernel.len);
    g_free(kernel.data);
    g_byte_array_set_size(im.b, kernel.size);
    memset(im.b->data + kernel.len, 0, kernel.size - kernel.len);
    im.mods = g_array_new(false, false, sizeof(uint32_t));
    ok = add_modules(&im, k->initrd, err) && make_info(k, &im, out, err);
    g_array_unref(im.mods);
    out->entry = entry;
    out->kernel = (KernelPiece){ im.base, im.b->len, NULL, im.b->len };
    out->kernel.data = g_byte_array_free(im.b, false);
    return ok;
}
