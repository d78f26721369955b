/*
 * The VGA on the PCI bus: "VGA" with the legacy ports and memory window, "secondary-vga" without. 1234:1111.
 *
 *   BAR 0   video RAM
 *   BAR 2   000 EDID   400 ports 3C0..3DF   500 VBE's registers, 2 bytes each   600 size and byte order register
 */
#include "hw/display/edid.h"
#include "hw/display/vga.h"
#include "hw/pci/pci.h"

enum { MMIO_EDID = 0, MMIO_PORTS = 0x400, MMIO_VBE = 0x500, MMIO_EXT = 0x600, MMIO_SIZE = 0x1000 };
enum { EXT_SIZE = 0, EXT_BYTE_ORDER = 4, EXT_LEN = 8 };
#define EXT_BIG_ENDIAN 0xbebebebe
#define EXT_LITTLE_ENDIAN 0x1e1e1e1e

typedef struct VgaPci {
    PciDevice pci;
    VgaState vga;
    Region ports[6], mmio, mmio_edid, mmio_ports, mmio_vbe, mmio_ext;
    EdidInfo edid_info;
    uint8_t edid[EDID_SIZE];

    /* properties */
    uint32_t vgamem_mb;
    bool has_mmio, has_ext, has_edid, global_vmstate;
} VgaPci;

/* ---- BAR 2 ---- */

static uint64_t edid_read(void *opaque, uint64_t off, unsigned size)
{
    VgaPci *s = opaque;

    return off < EDID_SIZE ? s->edid[off] : 0;
}

static uint64_t mmio_port_read(void *opaque, uint64_t off, unsigned size)
{
    VgaPci *s = opaque;

    return vga_port_read(&s->vga, 0x3c0 + off, 1);
}

static void mmio_port_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    VgaPci *s = opaque;

    vga_port_write(&s->vga, 0x3c0 + off, val, 1);
}

/* These use the index register as the ports do. */
static uint64_t mmio_vbe_read(void *opaque, uint64_t off, unsigned size)
{
    VgaPci *s = opaque;

    s->vga.vbe_index = off >> 1;
    return vbe_read(&s->vga, off >> 1);
}

static void mmio_vbe_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    VgaPci *s = opaque;

    s->vga.vbe_index = off >> 1;
    vbe_write(&s->vga, off >> 1, val);
}

static uint64_t mmio_ext_read(void *opaque, uint64_t off, unsigned size)
{
    VgaPci *s = opaque;

    if (size != 4) {
        return 0;
    }
    switch (off) {
    case EXT_SIZE:
        return EXT_LEN;
    case EXT_BYTE_ORDER:
        return s->vga.big_endian_fb ? EXT_BIG_ENDIAN : EXT_LITTLE_ENDIAN;
    default:
        return 0;
    }
}

static void mmio_ext_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    VgaPci *s = opaque;

    if (off == EXT_BYTE_ORDER && size == 4 && (val == EXT_BIG_ENDIAN || val == EXT_LITTLE_ENDIAN)) {
        s->vga.big_endian_fb = val == EXT_BIG_ENDIAN;
        console_kick(s->vga.con);
    }
}

static const RegionOps edid_ops = { .read = edid_read, .max = 1, .unaligned = true };
static const RegionOps mmio_port_ops = { .read = mmio_port_read, .write = mmio_port_write, .max = 1, .unaligned = true };
static const RegionOps mmio_vbe_ops = { .read = mmio_vbe_read, .write = mmio_vbe_write, .min = 2, .max = 2 };
static const RegionOps mmio_ext_ops = { .read = mmio_ext_read, .write = mmio_ext_write, .max = 4, .unaligned = true };

static const RegionOps mmio_hole_ops;

static void add_mmio(VgaPci *s)
{
    Device *d = &s->pci.dev;

    region_init_io(&s->mmio, d, "vga.mmio", MMIO_SIZE, &mmio_hole_ops, s);
    region_init_io(&s->mmio_ports, d, "vga ioports remapped", 0x20, &mmio_port_ops, s);
    region_init_io(&s->mmio_vbe, d, "bochs dispi interface", 2 * VBE_INDICES, &mmio_vbe_ops, s);
    region_add(&s->mmio, MMIO_PORTS, &s->mmio_ports);
    region_add(&s->mmio, MMIO_VBE, &s->mmio_vbe);
    if (s->has_ext) {
        region_init_io(&s->mmio_ext, d, "qemu extended regs", EXT_LEN, &mmio_ext_ops, s);
        region_add(&s->mmio, MMIO_EXT, &s->mmio_ext);
        s->pci.config[PCI_REVISION_ID] = 2;
    }
    if (s->has_edid) {
        edid_defaults(&s->edid_info);
        edid_generate(s->edid, &s->edid_info);
        region_init_io(&s->mmio_edid, d, "edid", EDID_SIZE, &edid_ops, s);
        region_add(&s->mmio, MMIO_EDID, &s->mmio_edid);
    }
    pci_register_bar(&s->pci, 2, PCI_BAR_MEM, &s->mmio);
}

/* ---- Life ---- */

static bool init_core(VgaPci *s, GError **err)
{
    g_autofree char *prefix = device_section_prefix(&s->pci.dev);
    g_autofree char *block = s->global_vmstate || !prefix ? g_strdup("vga.vram") : g_strdup_printf("%s/vga.vram", prefix);

    if (!vga_init(&s->vga, &s->pci.dev, s->vgamem_mb, block, err)) {
        return false;
    }
    pci_register_bar(&s->pci, 0, PCI_BAR_MEM | PCI_BAR_PREFETCH, &s->vga.vram);
    if (s->has_mmio) {
        add_mmio(s);
    }
    return true;
}

static bool vga_pci_realize(Device *d, GError **err)
{
    static const struct { uint16_t port, count; const RegionOps *ops; const char *name; } ports[] = {
        { 0x3b4, 2, &vga_ops_3b4, "vga" }, { 0x3ba, 1, &vga_ops_3ba, "vga" }, { 0x3c0, 16, &vga_ops_3c0, "vga" },
        { 0x3d4, 2, &vga_ops_3d4, "vga" }, { 0x3da, 1, &vga_ops_3da, "vga" }, { 0x1ce, 4, &vga_ops_vbe, "vbe" },
    };
    VgaPci *s = DEVICE(d, VgaPci);
    PciBus *bus = pci_bus_of(&s->pci);

    if (!init_core(s, err)) {
        return false;
    }
    vga_map_legacy(&s->vga, bus->mem);
    for (unsigned i = 0; i < G_N_ELEMENTS(ports); i++) {
        region_init_io(&s->ports[i], d, ports[i].name, ports[i].count, ports[i].ops, &s->vga);
        region_add(bus->io, ports[i].port, &s->ports[i]);
    }
    return true;
}

static bool secondary_vga_realize(Device *d, GError **err)
{
    VgaPci *s = DEVICE(d, VgaPci);

    s->has_mmio = true;
    return init_core(s, err);
}

static void vga_pci_unrealize(Device *d)
{
    VgaPci *s = DEVICE(d, VgaPci);

    for (unsigned i = 0; i < G_N_ELEMENTS(s->ports); i++) {
        region_fini(&s->ports[i]);
    }
    region_fini(&s->mmio_edid);
    region_fini(&s->mmio_ports);
    region_fini(&s->mmio_vbe);
    region_fini(&s->mmio_ext);
    region_fini(&s->mmio);
    vga_fini(&s->vga);
}

static void vga_pci_reset(Device *d)
{
    vga_reset(&DEVICE(d, VgaPci)->vga);
}

static const StateTable vga_pci_state = {
    .name = "vga", .version = 2, .min_version = 2,
    .fields = (const Field[]){
        PCI_STATE(VgaPci, pci, .name = "dev"),
        STRUCT(VgaPci, vga, &vga_state),
        HOST(VgaPci, ports), HOST(VgaPci, mmio), HOST(VgaPci, mmio_edid), HOST(VgaPci, mmio_ports),
        HOST(VgaPci, mmio_vbe), HOST(VgaPci, mmio_ext), HOST(VgaPci, edid_info), HOST(VgaPci, edid),
        HOST(VgaPci, vgamem_mb), HOST(VgaPci, has_mmio), HOST(VgaPci, has_ext), HOST(VgaPci, has_edid),
        HOST(VgaPci, global_vmstate),
        {0}
    },
};

#define COMMON_PROPS \
    PROP(VgaPci, has_ext, "qemu-extended-regs", PROP_BOOL, true, .help = "on/off"), \
    PROP(VgaPci, has_edid, "edid", PROP_BOOL, true, .help = "on/off"), \
    PROP(VgaPci, edid_info.xres, "xres", PROP_U32, 0), \
    PROP(VgaPci, edid_info.yres, "yres", PROP_U32, 0), \
    PROP(VgaPci, edid_info.xmax, "xmax", PROP_U32, 0), \
    PROP(VgaPci, edid_info.ymax, "ymax", PROP_U32, 0), \
    PROP(VgaPci, edid_info.refresh_rate, "refresh_rate", PROP_U32, 0)

static const Property vga_props[] = {
    PROP(VgaPci, vgamem_mb, "vgamem_mb", PROP_U32, 16),
    PROP(VgaPci, has_mmio, "mmio", PROP_BOOL, true, .help = "on/off"),
    COMMON_PROPS,
    PROP(VgaPci, global_vmstate, "global-vmstate", PROP_BOOL, false, .help = ""),
    {0}
};

static const Property secondary_props[] = {
    PROP(VgaPci, vgamem_mb, "vgamem_mb", PROP_U32, 16),
    COMMON_PROPS,
    {0}
};

const DeviceType vga_type = {
    .name = "VGA", .bus = "PCI", .parent = &pci_device_type, .category = CAT_DISPLAY, .size = sizeof(VgaPci),
    .props = vga_props, .state = &vga_pci_state,
    .class_data = &(const PciClass){ .vendor = 0x1234, .device = 0x1111, .class_id = 0x0300,
                                     .romfile = "vgabios-stdvga.bin" },
    .realize = vga_pci_realize, .reset = vga_pci_reset, .unrealize = vga_pci_unrealize,
};

const DeviceType secondary_vga_type = {
    .name = "secondary-vga", .bus = "PCI", .parent = &pci_device_type, .category = CAT_DISPLAY, .hotplug = true,
    .size = sizeof(VgaPci), .props = secondary_props, .state = &vga_pci_state,
    .class_data = &(const PciClass){ .vendor = 0x1234, .device = 0x1111, .class_id = 0x0380 },
    .realize = secondary_vga_realize, .reset = vga_pci_reset, .unrealize = vga_pci_unrealize,
};
