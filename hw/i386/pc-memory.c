/*
 * The PC's memory: RAM below and above 4 GiB, the BIOS image at the top of both the first megabyte and the first 4 GiB.
 */
#include <string.h>
#include "hw/core/hostmem.h"
#include "hw/i386/pc-int.h"
#include "target/i386/cpu.h"
#include "util/error.h"
#include "util/firmware.h"
#include "util/opts.h"

#define GIB (1ull << 30)
#define DEFAULT_BELOW_4G 0xe0000000ull
#define ALIGNED_BELOW_4G 0xc0000000ull      /* when there is more RAM than fits: 3 GiB, so that both parts are whole GiB */
#define BIOS_WINDOW 0x20000ull              /* the BIOS's last 128 KiB, below 1 MiB */
#define OPTION_ROMS 0xc0000ull
#define PCI_HOLE64 (2 * GIB)

/* RAM and the 64-bit PCI window behind it must lie within what the CPU can address. */
static bool check_phys_bits(Pc *pc, GError **err)
{
    unsigned bits = x86_phys_bits(x86_cpu(pc->machine, 0));
    uint64_t limit = (1ull << bits) - 1, last = ((4 * GIB + pc->above_4g + GIB - 1) & ~(GIB - 1)) + PCI_HOLE64 - 1;

    return bits <= 32 || last <= limit ||
           error_set(err, "-m: Address space limit 0x%" G_GINT64_MODIFIER "x < 0x%" G_GINT64_MODIFIER "x phys-bits too low (%u): "
                     "less memory, or -cpu ...,phys-bits=, or host-phys-bits=on", limit, last, bits);
}

static bool split_ram(Pc *pc, GError **err)
{
    MachineConfig *cfg = pc->machine->cfg;
    const char *s = pc_prop(pc->machine, "max-ram-below-4g", NULL);
    uint64_t limit = DEFAULT_BELOW_4G, low;

    if (s && (!parse_size_text(s, 1, &limit) || limit > 4 * GIB))
        return error_set(err, "-machine max-ram-below-4g=%s is not a size of at most 4G", s);
    if (s && limit < (1 << 20))
        return error_set(err, "-machine max-ram-below-4g=%s is too small: the BIOS needs 1M", s);
    low = limit;
    if (cfg->ram_size >= limit && low > ALIGNED_BELOW_4G)
        low = ALIGNED_BELOW_4G;
    pc->below_4g = MIN(cfg->ram_size, low);
    pc->above_4g = cfg->ram_size - pc->below_4g;
    return check_phys_bits(pc, err);
}

/* -numa node,memdev=: the nodes' memory, one after the other. */
static bool init_node_ram(Pc *pc, GError **err)
{
    Machine *m = pc->machine;
    uint64_t at = 0;

    region_init(&pc->ram, m->root, "pc.ram", m->cfg->ram_size);
    for (unsigned i = 0; i < m->cfg->numa->len; i++) {
        NumaNode *n = &g_array_index(m->cfg->numa, NumaNode, i);
        RamBlock *b;
        Region *r;

        if (!n->memdev)
            return error_set(err, "-numa: node %u has no memdev=; all nodes must have one, or none", i);
        b = hostmem_take(m, n->memdev, err);
        if (!b) {
            error_prefix_option(err, "numa node,memdev", NULL);
            return false;
        }
        n->size = b->size;
        if (b->size > m->cfg->ram_size - at)
            return error_set(err, "-numa: the nodes' memory is more than the machine's %" G_GUINT64_FORMAT " MiB",
                             m->cfg->ram_size >> 20);
        r = g_new(Region, 1);
        region_init_ram_block(r, m->root, n->memdev, b);
        region_add(&pc->ram, at, r);
        at += b->size;
    }
    return true;
}

static bool init_ram(Pc *pc, GError **err)
{
    Machine *m = pc->machine;
    MachineConfig *cfg = m->cfg;
    RamBlock *b;

    if (cfg->memory_backend) {
        b = hostmem_take(m, cfg->memory_backend, err);
        if (!b) {
            error_prefix_option(err, "machine memory-backend", NULL);
            return false;
        }
        if (b->size != cfg->ram_size)
            return error_set(err, "-m: Machine memory size (%" G_GUINT64_FORMAT " MiB) does not match the size of the memory backend "
                             "'%s' (%" G_GUINT64_FORMAT " MiB)", cfg->ram_size >> 20, cfg->memory_backend, b->size >> 20);
        region_init_ram_block(&pc->ram, m->root, cfg->memory_backend, b);
        return true;
    }
    for (unsigned i = 0; i < cfg->numa->len; i++)
        if (g_array_index(cfg->numa, NumaNode, i).memdev)
            return init_node_ram(pc, err);
    if (cfg->mem_path) {
        g_autofree char *text = g_strdup_printf("id=pc.ram,size=%" G_GUINT64_FORMAT, cfg->ram_size);
        g_autoptr(Opts) o = opts_parse(text, NULL, err);

        opts_set(o, "mem-path", cfg->mem_path);
        b = hostmem_add(m, "memory-backend-file", o, err) ? hostmem_take(m, "pc.ram", err) : NULL;
        if (!b)
            error_prefix_option(err, "mem-path", cfg->mem_path);
        if (b)
            region_init_ram_block(&pc->ram, m->root, "pc.ram", b);
        return b;
    }
    if (region_init_ram(&pc->ram, m, m->root, "pc.ram", NULL, cfg->ram_size, err))
        return true;
    error_prefix_option(err, "m", NULL);
    return false;
}

/* Above all RAM: what the modules may have, and a GiB more for each, so that each can be aligned to its size. */
static bool init_dimms(Pc *pc, GError **err)
{
    Machine *m = pc->machine;
    uint64_t end = 4 * GIB + pc->above_4g;

    if (!m->cfg->ram_slots && !m->cfg->max_ram_size)
        return true;
    if (m->cfg->ram_slots > 256)
        return error_set(err, "unsupported amount of memory slots: %u", m->cfg->ram_slots);
    if (!m->cfg->ram_slots)
        return true;
    if (m->cfg->max_ram_size & 4095)
        return error_set(err, "maximum memory size must by aligned to multiple of 4096 bytes");
    pc->dimm_base = (end + GIB - 1) & ~(GIB - 1);
    pc->dimm_size = pc_dimm_total(m) + m->cfg->ram_slots * GIB;
    if (pc->dimm_size < pc_dimm_total(m) || pc->dimm_base + pc->dimm_size < pc->dimm_base || pc->dimm_base + pc->dimm_size > 1ull << 52)
        return error_set(err, "unsupported amount of maximum memory: %" G_GUINT64_FORMAT, m->cfg->max_ram_size);
    region_init(&pc->dimms, m->root, "device-memory", pc->dimm_size);
    region_add(&m->memory, pc->dimm_base, &pc->dimms);
    return true;
}

/* Without -m the machine has what its back-end has. */
static void size_from_backend(MachineConfig *cfg, Machine *m)
{
    MemBackend *b = cfg->memory_backend ? hostmem_find(m, cfg->memory_backend) : NULL;

    if (b && !cfg->ram_size_given)
        cfg->ram_size = b->size;
}

bool pc_memory_init(Pc *pc, GError **err)
{
    size_from_backend(pc->machine->cfg, pc->machine);
    return split_ram(pc, err) && init_ram(pc, err) && init_dimms(pc, err) &&
           (!pc->machine->cfg->mem_prealloc || !pc->ram.ram || hostmem_prealloc(pc->ram.ram, err));
}

static bool check_bios_size(const char *name, gsize size, GError **err)
{
    return (size && size % 65536 == 0 && size <= 16 << 20) ||
           error_set(err, "could not load PC BIOS '%s': its size is %" G_GSIZE_FORMAT " bytes, and must be a multiple of 64 KiB up "
                     "to 16 MiB", name, size);
}

bool pc_firmware_init(Pc *pc, GError **err)
{
    Machine *m = pc->machine;
    const char *name = m->cfg->bios ? m->cfg->bios : pc_prop(m, "firmware", "bios-256k.bin");
    g_autofree char *image = NULL;
    uint64_t window;
    gsize size;

    if (!firmware_load(name, &image, &size, err) || !check_bios_size(name, size, err)) {
        if (m->cfg->bios)
            error_prefix_option(err, "bios", name);
        return false;
    }
    if (!region_init_ram(&pc->bios, m, m->root, "pc.bios", NULL, size, err) ||
        !region_init_ram(&pc->option_roms, m, m->root, "pc.rom", NULL, BIOS_WINDOW, err))
        return false;
    memcpy(region_ram_ptr(&pc->bios), image, size);
    pc->bios.readonly = pc->option_roms.readonly = true;
    window = MIN(size, BIOS_WINDOW);
    region_init_alias(&pc->isa_bios, m->root, "isa-bios", &pc->bios, size - window, window);
    region_add_overlap(pc->pci->mem, 0x100000 - window, &pc->isa_bios, 1);
    region_add_overlap(pc->pci->mem, OPTION_ROMS, &pc->option_roms, 1);
    region_add(pc->pci->mem, 4 * GIB - size, &pc->bios);
    machine_add_rom(m, ROM_MEMORY, name, 4 * GIB - size, size);
    return true;
}
