/*
 * The expansion ROM BAR: an image from a file, shown to the guest as read-only memory (PCI 2.2, 6.3).
 *
 * A default image may serve several devices of a family: its PCI data structure then gets the device's ids.
 */
#include <string.h>
#include "hw/core/machine.h"
#include "hw/pci/pci-int.h"
#include "util/error.h"
#include "util/firmware.h"

#define ROM_MAX (2u << 30)

/* Writes 16 bits, keeping the checksum of the image (byte 6 takes up the difference). */
static void patch16(uint8_t *rom, unsigned at, uint16_t v)
{
    rom[6] += rom[at] + rom[at + 1] - (v & 0xff) - (v >> 8);
    pci_set16(rom + at, v);
}

static void patch_ids(const PciDevice *pd, uint8_t *rom, size_t size)
{
    const PciClass *k = pci_class(pd);
    unsigned pcir;

    if (size < 0x1a || rom[0] != 0x55 || rom[1] != 0xaa)
        return;
    pcir = pci_get16(rom + 0x18);
    if (pcir + 8 > size || memcmp(rom + pcir, "PCIR", 4))
        return;
    if (pci_get16(rom + pcir + 4) != k->vendor)
        patch16(rom, pcir + 4, k->vendor);
    if (pci_get16(rom + pcir + 6) != k->device)
        patch16(rom, pcir + 6, k->device);
}

static uint64_t rom_size(const PciDevice *pd, size_t file)
{
    uint64_t size = 0x800;      /* the least that a ROM BAR can ask for */

    while (size < file)
        size *= 2;
    return pd->romsize != UINT32_MAX ? pd->romsize : size;
}

bool pci_add_rom(PciDevice *pd, GError **err)
{
    const char *base = pd->dev.type->state ? pd->dev.type->state->name : pd->dev.type->name;
    g_autofree char *data = NULL, *name = g_strdup_printf("%s.rom", base), *path, *block;
    bool is_default = !g_strcmp0(pd->romfile, pci_class(pd)->romfile);
    gsize file;
    uint64_t size;

    path = device_section_prefix(&pd->dev);
    block = g_strdup_printf("%s/%s", path, name);
    if (!pd->romfile || !*pd->romfile || !pd->rombar)
        return true;
    if (!firmware_load(pd->romfile, &data, &file, err)) {
        g_prefix_error(err, "failed to find romfile \"%s\"; ", pd->romfile);
        return false;
    }
    if (!file)
        return error_set(err, "romfile \"%s\" is empty", pd->romfile);
    size = rom_size(pd, file);
    if (file > size)
        return error_set(err, "romfile \"%s\" (%zu bytes) is too large for ROM size %u", pd->romfile, file, pd->romsize);
    if (size > ROM_MAX)
        return error_set(err, "romfile \"%s\" too large (size cannot exceed 2 GiB)", pd->romfile);
    if (!region_init_ram(&pd->rom, pd->dev.machine, &pd->dev, name, block, size, err))
        return false;
    pd->romsize = size;
    pd->has_rom = true;
    memcpy(region_ram_ptr(&pd->rom), data, file);
    if (is_default)
        patch_ids(pd, region_ram_ptr(&pd->rom), file);
    region_set_readonly(&pd->rom, true);
    pci_register_bar(pd, PCI_ROM_BAR, PCI_BAR_MEM, &pd->rom);
    return true;
}

void pci_free_rom(PciDevice *pd)
{
    RamBlock *block = pd->has_rom ? pd->rom.ram : NULL;

    if (!block)
        return;
    region_fini(&pd->rom);
    region_free_ram(pd->dev.machine, block);
    pd->has_rom = false;
    pd->bar[PCI_ROM_BAR] = (PciBar){ .addr = PCI_UNMAPPED };
}
