/*
 * The memory map: prioritised regions, flattened into a sorted array on each change; dispatch; DMA.
 *
 * Both address spaces of a machine, memory and I/O ports, are trees of regions. All calls need the
 * machine lock. A handler may change the map: look-ups are made anew for every piece of an access.
 * Maps may be arranged by a hostile guest: overlaps, loops through aliases and huge sizes cost only it.
 */
#ifndef HW_CORE_MEMORY_H
#define HW_CORE_MEMORY_H
#include "hw/core/device.h"

typedef struct Region Region;
typedef struct RamBlock RamBlock;

typedef struct RegionOps {
    ReadFn *read;
    WriteFn *write;
    uint8_t min, max;               /* sizes that the handlers take; 0: 1 and 4. Others are split or widened */
    uint8_t valid_min, valid_max;   /* sizes that the hardware answers; 0: 1 and 8. Others: all ones, ignored */
    bool unaligned;                 /* unaligned accesses reach the handlers as they are */
    bool past_end;                  /* an access of up to max bytes may run past the region's end */
} RegionOps;

typedef enum RegionKind { REGION_CONTAINER, REGION_IO, REGION_RAM, REGION_ALIAS } RegionKind;

struct Region {
    char *name;
    Device *owner;
    RegionKind kind;
    uint64_t addr;                  /* in its parent */
    uint64_t size;                  /* bytes; UINT64_MAX stands for 2^64 */
    int priority;
    bool enabled, readonly;         /* readonly: guest writes are ignored (ROM), or go to ops when there are any */
    bool log_dirty;                 /* RAM: keep a dirty bitmap for the display */
    Region *parent;
    GSList *children;               /* highest priority first; the newest first among equals */
    Region *target;                 /* alias */
    uint64_t target_off;
    RamBlock *ram;
    uint64_t ram_off;
    const RegionOps *ops;
    void *opaque;
    Machine *machine;               /* of the two roots only */
    GSList *doorbells;              /* ioeventfds and coalesced writes, see memory.c */
};

/* Host memory that a guest sees. Its name and size are part of the migration stream ("pc.ram", "vga.vram"). */
struct RamBlock {
    char *name;
    uint8_t *host;
    uint64_t size;                  /* page aligned */
    uint64_t max_size;              /* resizeable blocks: what is mapped (size may grow to it); else size */
    int fd;                         /* backing file, or -1 */
    bool migrate, readonly;
    unsigned long *dirty_display;   /* a bit a page that the display has yet to draw; NULL until region_log_dirty */
    unsigned long *dirty_migration; /* NULL while no migration runs */
};

/* Initialising a region takes ownership of nothing but copies of names; the struct belongs to the caller. */
void region_init(Region *r, Device *owner, const char *name, uint64_t size);
void region_init_io(Region *r, Device *owner, const char *name, uint64_t size, const RegionOps *ops, void *opaque);
/* New zeroed RAM named `block` in the stream (NULL: as the region). */
bool region_init_ram(Region *r, Machine *m, Device *owner, const char *name, const char *block, uint64_t size, GError **err);
void region_init_ram_block(Region *r, Device *owner, const char *name, RamBlock *b);
void region_init_alias(Region *r, Device *owner, const char *name, Region *target, uint64_t off, uint64_t size);
void region_fini(Region *r);                        /* takes it out of its parent; frees names */
void region_free_ram(Machine *m, RamBlock *b);

void region_add(Region *parent, uint64_t addr, Region *child);                 /* priority 0 */
void region_add_overlap(Region *parent, uint64_t addr, Region *child, int priority);
void region_del(Region *child);
void region_set_addr(Region *r, uint64_t addr);
void region_set_size(Region *r, uint64_t size);
void region_set_enabled(Region *r, bool on);
void region_set_readonly(Region *r, bool on);
void region_set_alias_offset(Region *r, uint64_t off);
/* Changes between begin and commit take effect together, at the outermost commit. */
void map_begin(Machine *m);
void map_commit(Machine *m);

/* The display's dirty bits of a RAM region. region_dirty_sync fetches KVM's; test clears what it finds. */
void region_log_dirty(Region *r, bool on);
void region_dirty_sync(Region *r);
bool region_dirty_test_clear(Region *r, uint64_t off, uint64_t size);
void region_dirty_set(Region *r, uint64_t off, uint64_t size);

/* While a migration runs KVM logs writes to all RAM; sync moves what it saw into the blocks' dirty_migration bits (and
 * the display's). Blocks get those bits from the caller, before or after start. */
void ram_log_start(Machine *m);
void ram_log_stop(Machine *m);
void ram_log_sync(Machine *m);

/* A doorbell: a write of `size` bytes (0: any) of `match` (NULL: any value) at off signals fd (an eventfd). */
void region_add_ioeventfd(Region *r, uint64_t off, unsigned size, const uint64_t *match, int fd);
void region_del_ioeventfd(Region *r, uint64_t off, unsigned size, const uint64_t *match, int fd);
/* Writes there may be batched by KVM: they come before whatever else the CPU that wrote asks for, or when the device calls
 * region_flush_coalesced. Each takes a call of KVM that waits some ms, so not before a driver is at work. For the region's life. */
void region_add_coalesced(Region *r, uint64_t off, unsigned size);
bool region_is_coalesced(const Region *r);          /* some of it, now */
void region_flush_coalesced(const Region *r);       /* any device's handlers may run */

/* ---- Accesses by the CPU (and by the monitor and qtest). Holes read as all ones, writes there are lost. ---- */
uint64_t mem_read(Machine *m, uint64_t addr, unsigned size);
void mem_write(Machine *m, uint64_t addr, uint64_t val, unsigned size);
uint64_t pio_read(Machine *m, uint16_t port, unsigned size);
void pio_write(Machine *m, uint16_t port, uint64_t val, unsigned size);
/* Any length; RAM is copied, I/O is accessed in naturally aligned pieces. rom: write through write protection (loaders). */
void mem_copy(Machine *m, uint64_t addr, void *buf, size_t len, bool write);
void mem_write_rom(Machine *m, uint64_t addr, const void *buf, size_t len);

/* ---- DMA: marks pages dirty, never runs past RAM. false: some of it was not RAM or ROM: it read as all ones, or was
 * lost (MMIO is reached with `mem_*` sized accesses when the bus master may: pci_dma_* decide). ---- */
bool dma_read(Device *d, uint64_t addr, void *buf, size_t len);
bool dma_write(Device *d, uint64_t addr, const void *buf, size_t len);
bool dma_set(Device *d, uint64_t addr, uint8_t byte, size_t len);
static inline bool dma_read_le16(Device *d, uint64_t a, uint16_t *v) { bool ok = dma_read(d, a, v, 2); *v = GUINT16_FROM_LE(*v); return ok; }
static inline bool dma_read_le32(Device *d, uint64_t a, uint32_t *v) { bool ok = dma_read(d, a, v, 4); *v = GUINT32_FROM_LE(*v); return ok; }
static inline bool dma_read_le64(Device *d, uint64_t a, uint64_t *v) { bool ok = dma_read(d, a, v, 8); *v = GUINT64_FROM_LE(*v); return ok; }
static inline bool dma_write_le16(Device *d, uint64_t a, uint16_t v) { v = GUINT16_TO_LE(v); return dma_write(d, a, &v, 2); }
static inline bool dma_write_le32(Device *d, uint64_t a, uint32_t v) { v = GUINT32_TO_LE(v); return dma_write(d, a, &v, 4); }
static inline bool dma_write_le64(Device *d, uint64_t a, uint64_t v) { v = GUINT64_TO_LE(v); return dma_write(d, a, &v, 8); }
/* The host address of guest RAM for zero-copy I/O: *len is cut to what is contiguous; NULL when addr is not RAM (or is ROM
 * and write is wanted): bounce it. dma_unmap marks `done` bytes dirty when they were written. The memory stays valid
 * until unmapped, whatever the guest does to its map. */
void *dma_map(Device *d, uint64_t addr, size_t *len, bool write);
void dma_unmap(Device *d, void *host, size_t done, bool write);

/* The RAM block and offset behind a host address, or NULL. */
RamBlock *ram_block_of(Machine *m, const void *host, uint64_t *off);
RamBlock *ram_block_find(Machine *m, const char *name);
/* A new block (zeroed, not touched); max_size 0: as size. */
RamBlock *ram_block_new(Machine *m, const char *name, uint64_t size, uint64_t max_size, GError **err);
uint8_t *region_ram_ptr(Region *r);

void map_print(Machine *m, GString *out, bool flat);        /* info mtree [-f] */
#endif
