/*
 * Base address registers: where the guest's configuration puts a device's regions.
 *
 * A BAR that is not set up (zero), wraps around or whose decoding is off is not mapped; one that overlaps RAM or another
 * device is, and the region priorities say who answers. I/O BARs may stand above the 64 KiB that a CPU can reach.
 */
#include "hw/core/machine.h"
#include "hw/pci/pci-int.h"

static uint64_t get_base(const PciDevice *pd, unsigned n)
{
    const uint8_t *reg = pd->config + pci_bar_reg(n);

    return pci_get32(reg) | (pd->bar[n].type & PCI_BAR_MEM64 ? (uint64_t)pci_get32(reg + 4) << 32 : 0);
}

static uint64_t wanted_addr(const PciDevice *pd, unsigned n)
{
    const PciBar *bar = &pd->bar[n];
    uint16_t command = pci_get16(pd->config + PCI_COMMAND);
    uint64_t base = get_base(pd, n), last;

    if (bar->type & PCI_BAR_IO) {
        if (!(command & PCI_COMMAND_IO))
            return PCI_UNMAPPED;
        base &= ~(bar->size - 1);
        last = base + bar->size - 1;
        return !base || last >= UINT32_MAX ? PCI_UNMAPPED : base;
    }
    if (!(command & PCI_COMMAND_MEMORY) || (n == PCI_ROM_BAR && !(base & PCI_ROM_ADDRESS_ENABLE)))
        return PCI_UNMAPPED;
    base &= ~(bar->size - 1);
    last = base + bar->size - 1;
    if (!base || last < base || last == UINT64_MAX || (!(bar->type & PCI_BAR_MEM64) && last >= UINT32_MAX))
        return PCI_UNMAPPED;
    return base;
}

void pci_update_bars(PciDevice *pd)
{
    map_begin(pd->dev.machine);
    for (unsigned n = 0; n < PCI_BARS; n++) {
        PciBar *bar = &pd->bar[n];
        uint64_t addr;

        if (!bar->region)
            continue;
        addr = wanted_addr(pd, n);
        if (addr == bar->addr)
            continue;
        if (bar->addr != PCI_UNMAPPED)
            region_del(bar->region);
        bar->addr = addr;
        if (addr != PCI_UNMAPPED)
            region_add_overlap(bar->space, addr, bar->region, 1);
    }
    map_commit(pd->dev.machine);
}

void pci_register_bar(PciDevice *pd, unsigned n, unsigned type, Region *r)
{
    PciBar *bar = &pd->bar[n];
    unsigned reg = pci_bar_reg(n);
    uint64_t mask = ~(r->size - 1);

    g_assert(n < PCI_BARS && !bar->region && r->size && !(r->size & (r->size - 1)));
    *bar = (PciBar){ .region = r, .size = r->size, .addr = PCI_UNMAPPED, .type = type,
                     .space = type & PCI_BAR_IO ? pci_bus_of(pd)->io : pci_bus_of(pd)->mem };
    if (n == PCI_ROM_BAR)
        mask |= PCI_ROM_ADDRESS_ENABLE;
    pci_set32(pd->config + reg, type);
    pci_set32(pd->wmask + reg, mask);
    pci_set32(pd->cmask + reg, 0xffffffff);
    if (type & PCI_BAR_MEM64) {
        g_assert(n < 5);
        pci_set32(pd->wmask + reg + 4, mask >> 32);
        pci_set32(pd->cmask + reg + 4, 0xffffffff);
    }
}

uint64_t pci_bar_addr(const PciDevice *pd, unsigned n)
{
    return n < PCI_BARS && pd->bar[n].region ? pd->bar[n].addr : PCI_UNMAPPED;
}

void pci_reset_bars(PciDevice *pd)
{
    for (unsigned n = 0; n < PCI_BARS; n++) {
        if (!pd->bar[n].region)
            continue;
        pci_set32(pd->config + pci_bar_reg(n), pd->bar[n].type);
        if (pd->bar[n].type & PCI_BAR_MEM64)
            pci_set32(pd->config + pci_bar_reg(n) + 4, 0);
    }
    pci_update_bars(pd);
}

/* At unplug: the regions were taken off the map by the device's unrealize. */
void pci_forget_bars(PciDevice *pd)
{
    for (unsigned n = 0; n < PCI_BARS; n++)
        if (n != PCI_ROM_BAR)
            pd->bar[n] = (PciBar){ .addr = PCI_UNMAPPED };
}
