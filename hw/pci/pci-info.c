/*
 * PCI devices as the user sees them: properties, `info pci`, the lines of `info qtree`, firmware paths.
 */
#include <inttypes.h>
#include <string.h>
#include "hw/core/machine.h"
#include "hw/pci/pci-int.h"

const Property pci_props[] = {
    PROP(PciDevice, addr, "addr", PROP_DEVFN, -1, .help = "Slot and optional function number, example: 06.0 or 06"),
    PROP(PciDevice, romfile, "romfile", PROP_STR, 0),
    PROP(PciDevice, romsize, "romsize", PROP_U32, UINT32_MAX),
    PROP(PciDevice, rombar, "rombar", PROP_U32, 1),
    PROP(PciDevice, flags, "multifunction", PROP_BIT, false, .bit = PCI_FLAG_MULTIFUNCTION, .help = "on/off"),
    PROP(PciDevice, flags, "x-pcie-lnksta-dllla", PROP_BIT, true, .bit = PCI_FLAG_LNKSTA_DLLLA, .help = "on/off"),
    PROP(PciDevice, flags, "x-pcie-extcap-init", PROP_BIT, true, .bit = PCI_FLAG_EXTCAP_INIT, .help = "on/off"),
    PROP(PciDevice, failover_pair_id, "failover_pair_id", PROP_STR, 0),
    PROP(PciDevice, acpi_index, "acpi-index", PROP_U32, 0),
    {0}
};

/* Class codes (PCI code and id assignment) and their names in firmware paths (IEEE 1275's PCI binding). */
static const struct { uint16_t id, mask; const char *name, *fw; } classes[] = {
    { 0x0001, 0xffff, "VGA controller", "display" },
    { 0x0100, 0xffff, "SCSI controller", "scsi" },
    { 0x0101, 0xffff, "IDE controller", "ide" },
    { 0x0102, 0xffff, "Floppy controller", "fdc" },
    { 0x0103, 0xffff, "IPI controller", "ipi" },
    { 0x0104, 0xffff, "RAID controller", "raid" },
    { 0x0106, 0xffff, "SATA controller", NULL },
    { 0x0107, 0xffff, "SAS controller", NULL },
    { 0x0180, 0xffff, "Storage controller", NULL },
    { 0x0200, 0xffff, "Ethernet controller", "ethernet" },
    { 0x0201, 0xffff, "Token Ring controller", "token-ring" },
    { 0x0202, 0xffff, "FDDI controller", "fddi" },
    { 0x0203, 0xffff, "ATM controller", "atm" },
    { 0x0280, 0xffff, "Network controller", NULL },
    { 0x0300, 0x00ff, "VGA controller", "display" },
    { 0x0301, 0xffff, "XGA controller", NULL },
    { 0x0302, 0xffff, "3D controller", NULL },
    { 0x0380, 0xffff, "Display controller", NULL },
    { 0x0400, 0xffff, "Video controller", "video" },
    { 0x0401, 0xffff, "Audio controller", "sound" },
    { 0x0402, 0xffff, "Phone", NULL },
    { 0x0403, 0xffff, "Audio controller", "sound" },
    { 0x0480, 0xffff, "Multimedia controller", NULL },
    { 0x0500, 0xffff, "RAM controller", "memory" },
    { 0x0501, 0xffff, "Flash controller", "flash" },
    { 0x0580, 0xffff, "Memory controller", NULL },
    { 0x0600, 0xffff, "Host bridge", "host" },
    { 0x0601, 0xffff, "ISA bridge", "isa" },
    { 0x0602, 0xffff, "EISA bridge", "eisa" },
    { 0x0603, 0xffff, "MC bridge", "mca" },
    { 0x0604, 0xffff, "PCI bridge", "pci-bridge" },
    { 0x0605, 0xffff, "PCMCIA bridge", "pcmcia" },
    { 0x0606, 0xffff, "NUBUS bridge", "nubus" },
    { 0x0607, 0xffff, "CARDBUS bridge", "cardbus" },
    { 0x0608, 0xffff, "RACEWAY bridge", NULL },
    { 0x0680, 0xffff, "Bridge", NULL },
    { 0x0700, 0xffff, "Serial port", "serial" },
    { 0x0701, 0xffff, "Parallel port", "parallel" },
    { 0x0800, 0xffff, "Interrupt controller", "interrupt-controller" },
    { 0x0801, 0xffff, "DMA controller", "dma-controller" },
    { 0x0802, 0xffff, "Timer", "timer" },
    { 0x0803, 0xffff, "RTC", "rtc" },
    { 0x0900, 0xffff, "Keyboard", "keyboard" },
    { 0x0901, 0xffff, "Pen", "pen" },
    { 0x0902, 0xffff, "Mouse", "mouse" },
    { 0x0a00, 0x00ff, "Dock station", "dock" },
    { 0x0b00, 0x00ff, "i386 cpu", "cpu" },
    { 0x0c00, 0xffff, "Firewire controller", "firewire" },
    { 0x0c01, 0xffff, "Access bus controller", "access-bus" },
    { 0x0c02, 0xffff, "SSA controller", "ssa" },
    { 0x0c03, 0xffff, "USB controller", "usb" },
    { 0x0c04, 0xffff, "Fibre channel controller", "fibre-channel" },
    { 0x0c05, 0xffff, "SMBus", NULL },
};

const char *pci_class_name(uint16_t class_id)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(classes); i++)
        if (classes[i].id == class_id)
            return classes[i].name;
    return NULL;
}

char *pci_fw_path(Device *d)
{
    const PciDevice *pd = pci_device(d);
    uint16_t id = pci_get16(pd->config + PCI_CLASS_DEVICE);
    g_autofree char *name = NULL;
    GString *s = g_string_new(NULL);

    for (unsigned i = 0; i < G_N_ELEMENTS(classes) && !name; i++)
        if (classes[i].fw && ((id ^ classes[i].id) & (classes[i].mask == 0xffff ? 0xffff : 0xff00)) == 0)
            name = g_strdup(classes[i].fw);
    if (!name)
        name = g_strdup_printf("pci%04x,%04x", pci_get16(pd->config + PCI_VENDOR_ID), pci_get16(pd->config + PCI_DEVICE_ID));
    if (!d->bus->parent->bus || d->bus->parent->bus->type != &pci_bus_type)
        g_string_append(s, "pci@i0cf8/");
    g_string_append_printf(s, "%s@%x", name, PCI_SLOT_(pd->devfn));
    if (PCI_FUNC_(pd->devfn))
        g_string_append_printf(s, ",%x", PCI_FUNC_(pd->devfn));
    return g_string_free(s, false);
}

void pci_print_dev(Bus *b, Device *d, GString *out, int indent)
{
    const PciDevice *pd = pci_device(d);
    const uint8_t *c = pd->config;
    uint16_t id = pci_get16(c + PCI_CLASS_DEVICE);
    const char *name = pci_class_name(id);
    g_autofree char *unnamed = name ? NULL : g_strdup_printf("Class %04x", id);

    g_string_append_printf(out, "%*sclass %s, addr %02x:%02x.%x, pci id %04x:%04x (sub %04x:%04x)\n", indent, "",
                           name ? name : unnamed, 0, PCI_SLOT_(pd->devfn), PCI_FUNC_(pd->devfn), pci_get16(c + PCI_VENDOR_ID),
                           pci_get16(c + PCI_DEVICE_ID), pci_get16(c + PCI_SUBSYSTEM_VENDOR_ID), pci_get16(c + PCI_SUBSYSTEM_ID));
    for (unsigned n = 0; n < PCI_BARS; n++) {
        const PciBar *bar = &pd->bar[n];

        if (bar->region)
            g_string_append_printf(out, "%*sbar %u: %s at 0x%" PRIx64 " [0x%" PRIx64 "]\n", indent, "", n,
                                   bar->type & PCI_BAR_IO ? "i/o" : "mem", bar->addr, bar->addr + bar->size - 1);
    }
}

static void print_bar(const PciDevice *pd, unsigned n, GString *out)
{
    const PciBar *bar = &pd->bar[n];
    uint64_t last = bar->addr + bar->size - 1;

    g_string_append_printf(out, "      BAR%u: ", n);
    if (bar->type & PCI_BAR_IO)
        g_string_append_printf(out, "I/O at 0x%04" PRIx64 " [0x%04" PRIx64 "].\n", bar->addr, last);
    else
        g_string_append_printf(out, "%d bit%s memory at 0x%08" PRIx64 " [0x%08" PRIx64 "].\n", bar->type & PCI_BAR_MEM64 ? 64 : 32,
                               bar->type & PCI_BAR_PREFETCH ? " prefetchable" : "", bar->addr, last);
}

static void print_device(const PciDevice *pd, GString *out)
{
    const uint8_t *c = pd->config;
    uint16_t id = pci_get16(c + PCI_CLASS_DEVICE);
    const char *name = pci_class_name(id);

    g_string_append_printf(out, "  Bus %2d, device %3d, function %d:\n", 0, PCI_SLOT_(pd->devfn), PCI_FUNC_(pd->devfn));
    if (name)
        g_string_append_printf(out, "    %s", name);
    else
        g_string_append_printf(out, "    Class %04d", id);
    g_string_append_printf(out, ": PCI device %04x:%04x\n", pci_get16(c + PCI_VENDOR_ID), pci_get16(c + PCI_DEVICE_ID));
    if (pci_get16(c + PCI_SUBSYSTEM_VENDOR_ID) || pci_get16(c + PCI_SUBSYSTEM_ID))
        g_string_append_printf(out, "      PCI subsystem %04x:%04x\n", pci_get16(c + PCI_SUBSYSTEM_VENDOR_ID),
                               pci_get16(c + PCI_SUBSYSTEM_ID));
    if (c[PCI_INTERRUPT_PIN])
        g_string_append_printf(out, "      IRQ %d, pin %c\n", c[PCI_INTERRUPT_LINE], 'A' + c[PCI_INTERRUPT_PIN] - 1);
    for (unsigned n = 0; n < PCI_BARS; n++)
        if (pd->bar[n].region)
            print_bar(pd, n, out);
    g_string_append_printf(out, "      id \"%s\"\n", pd->dev.id ? pd->dev.id : "");
}

static void print_bus(Device *host, GString *out)
{
    for (GSList *l = host->buses; l; l = l->next) {
        PciBus *b = l->data;

        if (b->bus.type != &pci_bus_type)
            continue;
        for (unsigned devfn = 0; devfn < 256; devfn++)
            if (b->devices[devfn])
                print_device(b->devices[devfn], out);
    }
}

const InfoRow pci_bus_info[] = { { "pci", "show PCI info", print_bus }, {0} };
