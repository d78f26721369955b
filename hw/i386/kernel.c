/*
 * -kernel, -initrd, -append: tells the formats apart, hands the pieces to fw_cfg, and the Linux boot protocol
 * (Documentation/x86/boot.rst), whose real-mode part starts the kernel. -dtb is not here.
 */
#include <stdlib.h>
#include <string.h>
#include "hw/i386/kernel-int.h"
#include "hw/nvram/fw_cfg.h"
#include "util/error.h"

extern const uint8_t kernel_rom[], kernel_rom_end[];

/* ---- The option ROM ---- */

#define ROM_KIND 0x1c
#define ROM_PNP 0x20

static void zero_sum(uint8_t *p, size_t len, size_t at)
{
    uint8_t sum = 0;

    p[at] = 0;
    for (size_t i = 0; i < len; i++)
        sum += p[i];
    p[at] = -sum;
}

static bool add_rom(FwCfg *f, int kind, const char **name, GError **err)
{
    static const char *const names[] = { "genroms/linuxboot_dma.bin", "genroms/multiboot_dma.bin", "genroms/pvh.bin" };
    uint8_t rom[KERNEL_ROM_SIZE] = { 0 };
    size_t len = kernel_rom_end - kernel_rom;

    g_assert(len < KERNEL_ROM_SIZE);
    memcpy(rom, kernel_rom, len);
    rom[2] = KERNEL_ROM_SIZE / 512;
    rom[ROM_KIND] = kind;
    zero_sum(rom + ROM_PNP, 32, 9);
    zero_sum(rom, KERNEL_ROM_SIZE, KERNEL_ROM_SIZE - 1);
    *name = names[kind];
    return fw_cfg_add_file(f, names[kind], rom, sizeof rom, err);
}

/* ---- Linux ---- */

enum {      /* offsets in the setup header */
    H_SETUP_SECTS = 0x1f1, H_VID_MODE = 0x1fa, H_BOOT_FLAG = 0x1fe, H_MAGIC = 0x202, H_VERSION = 0x206, H_LOADER = 0x210,
    H_LOADFLAGS = 0x211, H_RAMDISK = 0x218, H_RAMDISK_SIZE = 0x21c, H_HEAP_END = 0x224, H_CMDLINE = 0x228,
    H_INITRD_MAX = 0x22c, H_XLOADFLAGS = 0x236, HEADER_END = 0x268,
};
enum { LOADED_HIGH = 0x01, CAN_USE_HEAP = 0x80, XLF_ABOVE_4G = 0x02 };
#define LOADER_QEMU 0xb0

static bool is_linux(const uint8_t *p, size_t len)
{
    return len >= HEADER_END && !memcmp(p + H_MAGIC, "HdrS", 4) && get16(p + H_VERSION) >= 0x200;
}

/* vga= on the command line is for the boot loader. */
static void set_video_mode(uint8_t *setup, const char *append)
{
    const char *v = append ? strstr(append, "vga=") : NULL;
    uint16_t mode;

    if (!v)
        return;
    v += 4;
    if (g_str_has_prefix(v, "normal"))
        mode = 0xffff;
    else if (g_str_has_prefix(v, "ext"))
        mode = 0xfffe;
    else if (g_str_has_prefix(v, "ask"))
        mode = 0xfffd;
    else
        mode = strtoul(v, NULL, 0);
    set16(setup + H_VID_MODE, mode);
}

/* The highest last byte of an initrd that this kernel can use. */
static uint32_t initrd_limit(const uint8_t *h)
{
    unsigned version = get16(h + H_VERSION);

    if (version >= 0x20c && get16(h + H_XLOADFLAGS) & XLF_ABOVE_4G)
        return 0xffffffff;
    return version >= 0x203 ? get32(h + H_INITRD_MAX) : 0x37ffffff;
}

bool initrd_load(const KernelFacts *k, uint32_t max, KernelImage *im, GError **err)
{
    uint64_t room = MIN(max, k->ram_below_4g > KERNEL_RAM_RESERVE ? k->ram_below_4g - KERNEL_RAM_RESERVE - 1 : 0);
    uint64_t low = (uint64_t)im->kernel.addr + im->kernel.size;
    g_autoptr(GError) why = NULL;
    char *data;
    gsize len;

    if (!g_file_get_contents(k->initrd, &data, &len, &why))
        return error_set(err, "-initrd %s: cannot read it: %s", k->initrd, error_file_reason(why));
    im->initrd.data = (uint8_t *)data;
    if (len >= room || ((room - len) & ~4095ull) < low)
        return error_set(err, "-initrd %s: it is too large (max: %" G_GUINT64_FORMAT ", need %zu)", k->initrd,
                         room > low ? room - low : 0, len);
    im->initrd.addr = (room - len) & ~4095ull;
    im->initrd.size = im->initrd.len = len;
    return true;
}

bool cmdline_set(KernelImage *im, uint32_t addr, const char *text, GError **err)
{
    size_t len = strlen(text) + 1;

    if (len > 0x10000)
        return error_set(err, "-append has %zu characters, more than any kernel takes", len - 1);
    im->cmdline = (KernelPiece){ addr, len, g_memdup2(text, len), len };
    return true;
}

/* What a boot loader fills in. */
static bool fill_header(const KernelFacts *k, KernelImage *im, GError **err)
{
    uint8_t *h = im->setup.data;
    unsigned version = get16(h + H_VERSION);

    set_video_mode(h, k->append);
    h[H_LOADER] = LOADER_QEMU;
    if (version >= 0x201) {
        h[H_LOADFLAGS] |= CAN_USE_HEAP;
        set16(h + H_HEAP_END, im->cmdline.addr - im->setup.addr - 0x200);
    }
    if (version >= 0x202) {
        set32(h + H_CMDLINE, im->cmdline.addr);
    } else {
        set16(h + 0x20, 0xa33f);
        set16(h + 0x22, im->cmdline.addr - im->setup.addr);
    }
    if (!k->initrd)
        return true;
    if (!initrd_load(k, initrd_limit(h), im, err))
        return false;
    set32(h + H_RAMDISK, im->initrd.addr);
    set32(h + H_RAMDISK_SIZE, im->initrd.size);
    return true;
}

bool linux_load(const KernelFacts *k, const uint8_t *file, size_t len, KernelImage *im, GError **err)
{
    unsigned sects = file[H_SETUP_SECTS] ? file[H_SETUP_SECTS] : 4;
    size_t setup = (sects + 1) * 512;
    bool high = file[H_LOADFLAGS] & LOADED_HIGH;
    const char *append = k->append ? k->append : "";
    uint32_t at = high ? KERNEL_CMDLINE : 0x9a000 - ((strlen(append) + 16) & ~15u);

    if (setup >= len || setup > 0x8000)
        return error_set(err, "kernel '%s' is cut short: it ends within its set-up code", k->kernel);
    im->kernel = (KernelPiece){ high ? 0x100000 : 0x10000, len - setup, g_memdup2(file + setup, len - setup), len - setup };
    im->setup = (KernelPiece){ high ? 0x10000 : 0x90000, setup, g_memdup2(file, setup), setup };
    if (im->kernel.addr + (uint64_t)im->kernel.size > (high ? k->ram_below_4g : 0x90000))
        return error_set(err, "kernel '%s' is too large for this machine's memory", k->kernel);
    return cmdline_set(im, at, append, err) && fill_header(k, im, err);
}

/* ---- All formats ---- */

static bool load(const KernelFacts *k, const uint8_t *file, size_t len, KernelImage *im, GError **err)
{
    uint32_t header, entry;

    if (is_linux(file, len))
        return linux_load(k, file, len, im, err);
    if (multiboot_find(file, len, &header))
        return multiboot_load(k, file, len, header, im, err);
    if (!elf_is(file, len))
        return error_set(err, "invalid kernel header: it is no Linux bzImage, no multiboot kernel and no ELF file with a PVH note");
    if (!elf_pvh_entry(file, len, &entry))
        return error_set(err, "Error loading uncompressed kernel without PVH ELF Note");
    im->entry = entry;
    return pvh_load(k, file, len, im, err);
}

static void hand_over(FwCfg *f, KernelPiece *p, uint16_t addr, uint16_t size, uint16_t data)
{
    fw_cfg_add_i32(f, addr, p->size ? p->addr : 0);
    fw_cfg_add_i32(f, size, p->size);
    if (p->size)
        fw_cfg_take_bytes(f, data, g_steal_pointer(&p->data), p->len);
}

static void drop(KernelImage *im)
{
    g_free(im->kernel.data);
    g_free(im->initrd.data);
    g_free(im->cmdline.data);
    g_free(im->setup.data);
}

bool kernel_load(FwCfg *f, const KernelFacts *k, const char **rom, GError **err)
{
    g_autoptr(GError) why = NULL;
    g_autofree char *file = NULL;
    KernelImage im = { 0 };
    gsize len;
    bool ok;

    *rom = NULL;
    if (!k->kernel && (k->initrd || k->append))
        return error_set(err, "%s only allowed with -kernel option", k->initrd ? "-initrd" : "-append");
    if (!k->kernel)
        return true;
    if (!g_file_get_contents(k->kernel, &file, &len, &why))
        return error_set(err, "-kernel %s: cannot read it: %s", k->kernel, error_file_reason(why));
    ok = load(k, (uint8_t *)file, len, &im, err);
    if (ok) {
        hand_over(f, &im.kernel, FW_CFG_KERNEL_ADDR, FW_CFG_KERNEL_SIZE, FW_CFG_KERNEL_DATA);
        hand_over(f, &im.initrd, FW_CFG_INITRD_ADDR, FW_CFG_INITRD_SIZE, FW_CFG_INITRD_DATA);
        hand_over(f, &im.cmdline, FW_CFG_CMDLINE_ADDR, FW_CFG_CMDLINE_SIZE, FW_CFG_CMDLINE_DATA);
        hand_over(f, &im.setup, FW_CFG_SETUP_ADDR, FW_CFG_SETUP_SIZE, FW_CFG_SETUP_DATA);
        fw_cfg_add_i32(f, FW_CFG_KERNEL_ENTRY, im.entry);
        ok = add_rom(f, im.kind, rom, err);
    } else if (err && *err && !g_str_has_prefix((*err)->message, "-initrd")) {
        error_prefix_option(err, "kernel", k->kernel);
    }
    drop(&im);
    return ok;
}
