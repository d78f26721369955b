/*
 * ELF kernels: their segments, and the PVH boot protocol of Xen (docs/misc/pvh.pandoc): 32-bit entry with paging off and
 * ebx pointing to hvm_start_info.
 */
#include <elf.h>
#include <string.h>
#include "hw/i386/kernel-int.h"
#include "util/error.h"

#define NOTE_PHYS32_ENTRY 18

/* A program header of either class. */
typedef struct Segment { uint32_t type; uint64_t offset, paddr, filesz, memsz, align; } Segment;

bool elf_is(const uint8_t *file, size_t len)
{
    return len >= sizeof(Elf32_Ehdr) && !memcmp(file, ELFMAG, SELFMAG);
}

static bool elf_is64(const uint8_t *file, size_t len)
{
    return file[EI_CLASS] == ELFCLASS64 && len >= sizeof(Elf64_Ehdr);
}

static bool get_segment(const uint8_t *file, size_t len, unsigned n, Segment *s)
{
    bool is64 = elf_is64(file, len);
    uint64_t phoff = is64 ? get64(file + 32) : get32(file + 28);
    unsigned each = get16(file + (is64 ? 54 : 42)), count = get16(file + (is64 ? 56 : 44));
    const uint8_t *p;

    if (n >= count || each < (is64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr)) || phoff > len || (n + 1) * (uint64_t)each > len - phoff)
        return false;
    p = file + phoff + n * each;
    if (is64)
        *s = (Segment){ get32(p), get64(p + 8), get64(p + 24), get64(p + 32), get64(p + 40), get64(p + 48) };
    else
        *s = (Segment){ get32(p), get32(p + 4), get32(p + 12), get32(p + 16), get32(p + 20), get32(p + 28) };
    return true;
}

static bool segment_fits(const Segment *s, size_t len, uint64_t ram)
{
    return s->filesz <= s->memsz && s->offset <= len && s->filesz <= len - s->offset && s->memsz <= ram && s->paddr <= ram - s->memsz;
}

bool elf_load(const KernelFacts *k, const uint8_t *file, size_t len, KernelPiece *out, uint64_t *entry, bool *is64, GError **err)
{
    uint64_t low = UINT64_MAX, high = 0, data_end = 0;
    Segment s;

    for (unsigned i = 0; get_segment(file, len, i, &s); i++) {
        if (s.type != PT_LOAD || !s.memsz)
            continue;
        if (!segment_fits(&s, len, k->ram_below_4g))
            return error_set(err, "Error while loading elf kernel '%s': segment %u is cut short, or outside the machine's memory",
                             k->kernel, i);
        low = MIN(low, s.paddr);
        high = MAX(high, s.paddr + s.memsz);
        data_end = MAX(data_end, s.paddr + s.filesz);
    }
    if (low >= high)
        return error_set(err, "Error while loading elf kernel '%s': it has nothing to load", k->kernel);
    out->addr = low;
    out->size = high - low;
    out->len = MAX(data_end, low) - low;
    out->data = g_malloc0(MAX(out->len, 1));
    for (unsigned i = 0; get_segment(file, len, i, &s); i++)
        if (s.type == PT_LOAD && s.filesz)
            memcpy(out->data + (s.paddr - low), file + s.offset, s.filesz);
    *is64 = elf_is64(file, len);
    *entry = *is64 ? get64(file + 24) : get32(file + 24);
    return true;
}

/* Looks through the notes at p for Xen's PHYS32_ENTRY. */
static bool find_note(const uint8_t *p, size_t len, size_t align, uint32_t *entry)
{
    while (len >= 12) {
        uint64_t name = get32(p), desc = get32(p + 4);
        uint64_t desc_at = (12 + name + align - 1) & ~(align - 1), next = (desc_at + desc + align - 1) & ~(align - 1);

        if (desc_at + desc > len)
            return false;
        if (get32(p + 8) == NOTE_PHYS32_ENTRY && name == 4 && !memcmp(p + 12, "Xen", 4) && desc >= 4) {
            *entry = get32(p + desc_at);
            return true;
        }
        if (next >= len)
            return false;
        p += next;
        len -= next;
    }
    return false;
}

bool elf_pvh_entry(const uint8_t *file, size_t len, uint32_t *entry)
{
    Segment s;

    for (unsigned i = 0; get_segment(file, len, i, &s); i++)
        if (s.type == PT_NOTE && s.offset <= len && s.filesz <= len - s.offset
            && find_note(file + s.offset, s.filesz, s.align == 8 ? 8 : 4, entry))
            return true;
    return false;
}

/* hvm_start_info, version 1, with one module. The ROM fills in rsdp_paddr (32) and memmap_entries (48). */
enum { I_MAGIC = 0, I_VERSION = 4, I_MODULES = 12, I_MODLIST = 16, I_CMDLINE = 24, I_MEMMAP = 40, I_SIZE = 56, MODULE_SIZE = 32 };

bool pvh_load(const KernelFacts *k, const uint8_t *file, size_t len, KernelImage *im, GError **err)
{
    uint64_t entry;
    uint8_t *info;
    bool is64;

    im->kind = KERNEL_PVH;
    if (!elf_load(k, file, len, &im->kernel, &entry, &is64, err))
        return false;
    if (!cmdline_set(im, KERNEL_CMDLINE, k->append ? k->append : "", err))
        return false;
    if (k->initrd && !initrd_load(k, 0xffffffff, im, err))
        return false;
    info = g_malloc0(I_SIZE + MODULE_SIZE);
    im->setup = (KernelPiece){ KERNEL_INFO, I_SIZE + MODULE_SIZE, info, I_SIZE + MODULE_SIZE };
    set32(info + I_MAGIC, 0x336ec578);
    set32(info + I_VERSION, 1);
    set64(info + I_CMDLINE, im->cmdline.addr);
    set64(info + I_MEMMAP, KERNEL_MAP);
    if (im->initrd.size) {
        set32(info + I_MODULES, 1);
        set64(info + I_MODLIST, KERNEL_INFO + I_SIZE);
        set64(info + I_SIZE, im->initrd.addr);
        set64(info + I_SIZE + 8, im->initrd.size);
    }
    return true;
}
