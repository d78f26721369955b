/* Between kernel.c and the loaders of its formats. */
#ifndef HW_I386_KERNEL_INT_H
#define HW_I386_KERNEL_INT_H
#include "hw/i386/tables.h"

/* What ends up in guest memory: KERNEL_*, INITRD_*, CMDLINE_*, SETUP_* and KERNEL_ENTRY of fw_cfg. */
typedef struct KernelPiece {
    uint32_t addr, size;                /* size 0: nothing; above len: zeros follow the data */
    uint8_t *data;                      /* g_malloc'ed */
    size_t len;
} KernelPiece;

enum { KERNEL_LINUX, KERNEL_MULTIBOOT, KERNEL_PVH };    /* kernel-rom.S knows them */

typedef struct KernelImage {
    KernelPiece kernel, initrd, cmdline, setup;
    uint32_t entry;
    int kind;
} KernelImage;

/* The address of the memory map that kernel-rom.S makes, and where its boot information stands. */
#define KERNEL_MAP 0xa000
#define KERNEL_INFO 0x9000
#define KERNEL_CMDLINE 0x20000
/* Left free at the end of low RAM, for ACPI tables. */
#define KERNEL_RAM_RESERVE 0x28000

/* Each takes the file's contents (len bytes; not owned). false with err: it is of this format, but bad. */
bool linux_load(const KernelFacts *k, const uint8_t *file, size_t len, KernelImage *im, GError **err);
bool multiboot_load(const KernelFacts *k, const uint8_t *file, size_t len, uint32_t header, KernelImage *im, GError **err);
bool pvh_load(const KernelFacts *k, const uint8_t *file, size_t len, KernelImage *im, GError **err);
/* Offset of the multiboot header; false: there is none. */
bool multiboot_find(const uint8_t *file, size_t len, uint32_t *header);
bool elf_is(const uint8_t *file, size_t len);
/* The LOAD segments at their physical addresses, as one piece; entry and, for notes != NULL, the PVH entry. */
bool elf_load(const KernelFacts *k, const uint8_t *file, size_t len, KernelPiece *out, uint64_t *entry, bool *is64, GError **err);
bool elf_pvh_entry(const uint8_t *file, size_t len, uint32_t *entry);
/* Reads -initrd and places it at the end of RAM, but not above max. */
bool initrd_load(const KernelFacts *k, uint32_t max, KernelImage *im, GError **err);
bool cmdline_set(KernelImage *im, uint32_t addr, const char *text, GError **err);

static inline uint16_t get16(const uint8_t *p) { return p[0] | p[1] << 8; }
static inline uint32_t get32(const uint8_t *p) { return get16(p) | (uint32_t)get16(p + 2) << 16; }
static inline uint64_t get64(const uint8_t *p) { return get32(p) | (uint64_t)get32(p + 4) << 32; }
static inline void set16(uint8_t *p, uint16_t v) { p[0] = v; p[1] = v >> 8; }
static inline void set32(uint8_t *p, uint32_t v) { set16(p, v); set16(p + 2, v >> 16); }
static inline void set64(uint8_t *p, uint64_t v) { set32(p, v); set32(p + 4, v >> 32); }
#endif
