/*
 * The PC's memory: RAM below and above 4 GiB, the BIOS image at the top of both the first megabyte and the first 4 GiB.
 */
#include <string.h>
#include "hw/i386/pc-int.h"
#include "util/error.h"
#include "util/firmware.h"
#include "util/opts.h"

#define GIB (1ull << 30)
#define DEFAULT_BELOW_4G 0xe0000000ull
#define ALIGNED_BELOW_4G 0xc0000000ull      /* when there is more RAM than fits: 3 GiB, so that both parts are whole GiB */
#define BIOS_WINDOW 0x20000ull              /* the BIOS's last 128 KiB, below 1 MiB */
#define OPTION_ROMS 0xc0000ull

static bool split_ram(Pc *pc, GError **err)
{
    MachineConfig *cfg = pc->machine->cfg;
    const char *s = pc_prop(pc->machine, "max-ram-below-4g", NULL);
    uint64_t limit = DEFAULT_BELOW_4G, low;

    if (s && (!parse_size_text(s, 1, &limit) || limit > 4 * GIB))
        return error_set(err, "max-ram-below-4g=%s is not a size of at most 4G", s);
    if (s && limit < (1 << 20))
        return error_set(err, "max-ram-below-4g=%s is too small: the BIOS needs 1M", s);
    low = limit;
    if (cfg->ram_size >= limit && low > ALIGNED_BELOW_4G)
        low = ALIGNED_BELOW_4G;
    pc->below_4g = MIN(cfg->ram_size, low);
    pc->above_4g = cfg->ram_size - pc->below_4g;
    return true;
}

bool pc_memory_init(Pc *pc, GError **err)
{
    Machine *m = pc->machine;

    return split_ram(pc, err) && region_init_ram(&pc->ram, m, m->root, "pc.ram", NULL, m->cfg->ram_size, err);
}

bool pc_firmware_init(Pc *pc, GError **err)
{
    Machine *m = pc->machine;
    const char *name = m->cfg->bios ? m->cfg->bios : pc_prop(m, "firmware", "bios-256k.bin");
    g_autofree char *image = NULL;
    uint64_t window;
    gsize size;

    if (!firmware_load(name, &image, &size, err))
        return false;
    if (!size || size % 65536 || size > 16 << 20)
        return error_set(err, "could not load PC BIOS '%s': its size is %" G_GSIZE_FORMAT " bytes, and must be a multiple of "
                         "64 KiB up to 16 MiB", name, size);
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
    return true;
}
