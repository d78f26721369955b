/*
 * Intel 82441FX PMC (440FX): host bridge, configuration mechanism #1, DRAM and PCI windows of the memory map
 * (data sheet 290549).
 *
 * PAM registers switch 16 KiB pieces of C0000-EFFFF, and F0000-FFFFF, between DRAM and PCI. A segment with writes
 * only goes to DRAM for reads as well. SMRAM: D_OPEN uncovers DRAM under the VGA window, G_SMRAME does so in
 * system management mode. Like QEMU's, PAM and SMRAM survive a reset (the BIOS sets them), and D_LCK locks nothing.
 *
 * Not modelled: DRAM timing, AGP.
 */
#include "hw/core/machine.h"
#include "hw/pci/i440fx.h"
#include "util/error.h"

enum { DRB_LAST = 0x57, PAM0 = 0x59, PAM_REGS = 7, SMRAM = 0x72, SMRAM_D_OPEN = 0x40, SMRAM_G_SMRAME = 0x08 };
#define SEGMENTS 13

/* ---- The host bridge's CPU side: ports CF8 and CFC ---- */

typedef struct I440fxHost {
    Device dev;
    uint32_t config_reg;
    PciBus *bus;
    Region conf_idx, conf_data, pci, low, high;
    uint64_t pci_hole64_size;
    uint32_t short_root_bus;
    bool hole64_fix, migrate_config_reg, bypass_iommu;
} I440fxHost;

static uint64_t idx_read(void *opaque, uint64_t off, unsigned size)
{
    return ((I440fxHost *)opaque)->config_reg;
}

/* Only a double word at CF8 reaches CONFIG_ADDRESS; others are ordinary I/O cycles. */
static void idx_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    if (off == 0 && size == 4)
        ((I440fxHost *)opaque)->config_reg = val;
}

static uint64_t data_read(void *opaque, uint64_t off, unsigned size)
{
    I440fxHost *s = opaque;

    return s->config_reg >> 31 ? pci_bus_config_read(s->bus, s->config_reg | (off & 3), size) : UINT32_MAX;
}

static void data_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    I440fxHost *s = opaque;

    if (s->config_reg >> 31)
        pci_bus_config_write(s->bus, s->config_reg | (off & 3), val, size);
}

static const RegionOps idx_ops = { .read = idx_read, .write = idx_write, .min = 1, .max = 4 };
static const RegionOps data_ops = { .read = data_read, .write = data_write, .min = 1, .max = 4 };

static bool host_realize(Device *d, GError **err)
{
    I440fxHost *s = DEVICE(d, I440fxHost);
    Machine *m = d->machine;

    region_init_io(&s->conf_idx, d, "pci-conf-idx", 4, &idx_ops, s);
    region_init_io(&s->conf_data, d, "pci-conf-data", 4, &data_ops, s);
    region_init(&s->pci, d, "pci", UINT64_MAX);
    region_add(&m->io, 0xcf8, &s->conf_idx);
    region_add(&m->io, 0xcfc, &s->conf_data);
    region_add_overlap(&m->memory, 0, &s->pci, -1);
    s->bus = pci_bus_new(d, "pci.0", &s->pci, &m->io, 0);
    return true;
}

static void host_unrealize(Device *d)
{
    I440fxHost *s = DEVICE(d, I440fxHost);
    Region *all[] = { &s->conf_idx, &s->conf_data, &s->low, &s->high, &s->pci };

    for (unsigned i = 0; i < G_N_ELEMENTS(all); i++)
        if (all[i]->name)
            region_fini(all[i]);
}

static bool config_reg_migrates(const void *obj)
{
    return ((const I440fxHost *)obj)->migrate_config_reg;
}

static const Field host_fields[] = {
    HOST(I440fxHost, dev), FIELD(I440fxHost, config_reg, .exists = config_reg_migrates), HOST(I440fxHost, bus),
    HOST(I440fxHost, conf_idx), HOST(I440fxHost, conf_data), HOST(I440fxHost, pci), HOST(I440fxHost, low),
    HOST(I440fxHost, high), HOST(I440fxHost, pci_hole64_size), HOST(I440fxHost, short_root_bus),
    HOST(I440fxHost, hole64_fix), HOST(I440fxHost, migrate_config_reg), HOST(I440fxHost, bypass_iommu), {0}
};

static const StateTable host_state = { .name = "PCIHost", .version = 1, .min_version = 1, .fields = host_fields };

const DeviceType i440fx_pcihost_type = {
    .name = "i440FX-pcihost", .category = CAT_BRIDGE, .internal = true, .size = sizeof(I440fxHost), .state = &host_state,
    .props = (const Property[]){
        PROP(I440fxHost, pci_hole64_size, "pci-hole64-size", PROP_SIZE, 2ll << 30),
        PROP(I440fxHost, short_root_bus, "short_root_bus", PROP_U32, 0),
        PROP(I440fxHost, hole64_fix, "x-pci-hole64-fix", PROP_BOOL, true),
        PROP(I440fxHost, migrate_config_reg, "x-config-reg-migration-enabled", PROP_BOOL, true),
        PROP(I440fxHost, bypass_iommu, "bypass-iommu", PROP_BOOL, false),
        {0}
    },
    .realize = host_realize, .unrealize = host_unrealize,
};

/* ---- The PCI function 00.0 ---- */

typedef struct I440fx {
    PciDevice pci;
    Region *ram;
    Region pam[SEGMENTS], smram, smram_low;
} I440fx;

/* Segment 0 is F0000-FFFFF (PAM0's high nibble); segments 1 to 12 are C0000-EFFFF, low nibble first. */
static unsigned pam_bits(const I440fx *s, unsigned segment)
{
    unsigned nibble = segment + 1;

    return s->pci.config[PAM0 + nibble / 2] >> (nibble & 1 ? 4 : 0) & 3;
}

static uint64_t pam_addr(unsigned segment)
{
    return segment ? 0xc0000 + (segment - 1) * 0x4000 : 0xf0000;
}

static void map_segment(I440fx *s, unsigned segment)
{
    static const struct { const char *name; bool ram, readonly; } modes[4] = {
        { "pam-pci", false, false }, { "pam-rom", true, true }, { "pam-pci", true, false }, { "pam-ram", true, false },
    };
    Region *r = &s->pam[segment];
    unsigned mode = pam_bits(s, segment);

    if (r->name)
        region_fini(r);
    region_init_alias(r, &s->pci.dev, modes[mode].name, modes[mode].ram ? s->ram : pci_bus_of(&s->pci)->mem, pam_addr(segment),
                      segment ? 0x4000 : 0x10000);
    region_add_overlap(&s->pci.dev.machine->memory, pam_addr(segment), r, 1);
    if (modes[mode].readonly)
        region_set_readonly(r, true);
}

static void map_smram(I440fx *s)
{
    Machine *m = s->pci.dev.machine;

    region_set_enabled(&s->smram, !(s->pci.config[SMRAM] & SMRAM_D_OPEN));
    if (m->smm)
        region_set_enabled(&m->smram, s->pci.config[SMRAM] & SMRAM_G_SMRAME);
}

static void map_all(I440fx *s)
{
    map_begin(s->pci.dev.machine);
    for (unsigned i = 0; i < SEGMENTS; i++)
        map_segment(s, i);
    map_smram(s);
    map_commit(s->pci.dev.machine);
}

static void i440fx_config_write(PciDevice *pd, unsigned off, uint32_t val, unsigned len)
{
    I440fx *s = DEVICE(&pd->dev, I440fx);
    uint8_t old[PAM_REGS];

    memcpy(old, pd->config + PAM0, sizeof old);
    pci_config_write(pd, off, val, len);
    map_begin(pd->dev.machine);
    for (unsigned i = 0; i < SEGMENTS && s->ram; i++) {
        unsigned reg = (i + 1) / 2;

        if (old[reg] != pd->config[PAM0 + reg])
            map_segment(s, i);
    }
    if (pci_touches(off, len, SMRAM, 1))
        map_smram(s);
    map_commit(pd->dev.machine);
}

static bool i440fx_realize(Device *d, GError **err)
{
    I440fx *s = DEVICE(d, I440fx);

    s->pci.config[SMRAM] = 0x02;
    region_init_alias(&s->smram, d, "smram-region", pci_bus_of(&s->pci)->mem, 0xa0000, 0x20000);
    region_add_overlap(&d->machine->memory, 0xa0000, &s->smram, 1);
    return true;
}

static void i440fx_unrealize(Device *d)
{
    I440fx *s = DEVICE(d, I440fx);

    for (unsigned i = 0; i < SEGMENTS; i++)
        if (s->pam[i].name)
            region_fini(&s->pam[i]);
    region_fini(&s->smram);
    if (s->smram_low.name)
        region_fini(&s->smram_low);
}

static bool i440fx_loaded(void *obj, int version, GError **err)
{
    map_all(obj);
    return true;
}

static const Field i440fx_fields[] = {
    PCI_STATE(I440fx, pci), UNUSED(1), HOST(I440fx, ram), DERIVED(I440fx, pam), DERIVED(I440fx, smram), DERIVED(I440fx, smram_low), {0}
};

static const StateTable i440fx_state = {
    .name = "I440FX", .version = 3, .min_version = 3, .fields = i440fx_fields, .loaded = i440fx_loaded,
};

const DeviceType i440fx_type = {
    .name = "i440FX", .desc = "Host bridge", .bus = "PCI", .parent = &pci_device_type, .category = CAT_BRIDGE, .internal = true,
    .size = sizeof(I440fx), .state = &i440fx_state, .realize = i440fx_realize, .unrealize = i440fx_unrealize,
    .class_data = &(const PciClass){ .vendor = 0x8086, .device = 0x1237, .revision = 2, .class_id = 0x0600,
                                     .config_write = i440fx_config_write },
};

PciBus *i440fx_create(Machine *m, Region *ram, uint64_t below_4g, uint64_t above_4g, GError **err)
{
    Device *d = device_new(m, &i440fx_pcihost_type, err);
    I440fxHost *host = DEVICE(d, I440fxHost);
    I440fx *s;

    if (!d)
        return NULL;
    d->part = "i440fx";
    if (!device_realize(d, NULL, err))
        return NULL;
    region_init_alias(&host->low, &host->dev, "ram-below-4g", ram, 0, below_4g);
    region_add(&m->memory, 0, &host->low);
    if (above_4g) {
        region_init_alias(&host->high, &host->dev, "ram-above-4g", ram, below_4g, above_4g);
        region_add(&m->memory, 1ull << 32, &host->high);
    }
    s = (I440fx *)(void *)device_create(m, &i440fx_type, &host->bus->bus, err);
    if (!s)
        return NULL;
    s->ram = ram;
    if (m->smm) {
        region_init_alias(&s->smram_low, &s->pci.dev, "smram-low", ram, 0xa0000, 0x20000);
        region_add(&m->smram, 0xa0000, &s->smram_low);
    }
    s->pci.config[DRB_LAST] = MIN((below_4g + above_4g) >> 23, 255);
    map_all(s);
    return host->bus;
}
