/*
 * PCI local bus: configuration space of devices, INTx, placement on the bus, state, reset (PCI 2.2; PCI 2.3's
 * interrupt disable and status bits).
 *
 * Not modelled: VGA palette snooping, parity and system errors, latency timers (their registers can be written).
 */
#include <string.h>
#include "hw/core/machine.h"
#include "hw/pci/pci-int.h"
#include "util/error.h"

#define COMMAND_WRITABLE (PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE | PCI_COMMAND_SERR)

/* ---- INTx ---- */

static void change_irq(PciDevice *pd, unsigned pin, int change)
{
    PciBus *b = pci_bus_of(pd);
    unsigned input = b->map_irq ? b->map_irq(pd, pin) : pin;

    input %= G_N_ELEMENTS(b->irq_count);
    b->irq_count[input] = MAX(b->irq_count[input] + change, 0);
    if (b->set_irq)
        b->set_irq(b->router, input, b->irq_count[input] != 0);
}

static void update_irq_status(PciDevice *pd)
{
    bool any = false;

    for (unsigned i = 0; i < 4; i++)
        any |= pd->irq_state[i];
    if (any)
        pd->config[PCI_STATUS] |= PCI_STATUS_INTERRUPT;
    else
        pd->config[PCI_STATUS] &= ~PCI_STATUS_INTERRUPT;
}

static bool intx_disabled(const PciDevice *pd)
{
    return pci_get16(pd->config + PCI_COMMAND) & PCI_COMMAND_INTX_DISABLE;
}

static void set_pin(PciDevice *pd, unsigned pin, unsigned level)
{
    if (!pd->dev.bus || pd->irq_state[pin] == level)
        return;
    pd->irq_state[pin] = level;
    update_irq_status(pd);
    if (!intx_disabled(pd))
        change_irq(pd, pin, level ? 1 : -1);
}

void pci_irq_set(PciDevice *pd, int level)
{
    unsigned pin = pd->config[PCI_INTERRUPT_PIN];

    if (pin >= 1 && pin <= 4)
        set_pin(pd, pin - 1, !!level);
}

void pci_irq_sink(void *pd, unsigned n, int level)
{
    pci_irq_set(pd, level);
}

/* The guest turned interrupt disable on or off: what is asserted appears or vanishes at the router. */
static void intx_switched(PciDevice *pd, bool disabled)
{
    for (unsigned i = 0; i < 4; i++)
        if (pd->irq_state[i])
            change_irq(pd, i, disabled ? -1 : 1);
}

/* ---- Configuration accesses ---- */

uint32_t pci_config_read(PciDevice *pd, unsigned off, unsigned len)
{
    uint32_t v = 0;

    for (unsigned i = 0; i < len && off + i < PCI_CONFIG_BYTES; i++)
        v |= (uint32_t)pd->config[off + i] << (8 * i);
    return v;
}

void pci_config_write(PciDevice *pd, unsigned off, uint32_t val, unsigned len)
{
    bool was_disabled = intx_disabled(pd);

    for (unsigned i = 0; i < len && off + i < PCI_CONFIG_BYTES; i++) {
        uint8_t b = val >> (8 * i), wmask = pd->wmask[off + i];

        pd->config[off + i] = (pd->config[off + i] & ~wmask) | (b & wmask);
        pd->config[off + i] &= ~(b & pd->w1cmask[off + i]);
    }
    if (pci_touches(off, len, PCI_COMMAND, 2)) {
        if (intx_disabled(pd) != was_disabled)
            intx_switched(pd, !was_disabled);
        pd->bus_master = pd->config[PCI_COMMAND] & PCI_COMMAND_MASTER;
    }
    if (pci_touches(off, len, PCI_COMMAND, 2) || pci_touches(off, len, PCI_BASE_ADDRESS_0, 24) ||
        pci_touches(off, len, PCI_ROM_ADDRESS, 4))
        pci_update_bars(pd);
    msi_config_written(pd, off, len);
    msix_config_written(pd, off, len);
}

unsigned pci_add_capability(PciDevice *pd, uint8_t id, unsigned off, unsigned size)
{
    if (!off) {
        off = PCI_STD_HEADER_SIZEOF;
        for (unsigned at = pd->config[PCI_CAPABILITY_LIST], n = 0; at && n < 48; at = pd->config[at + 1], n++)
            off = MAX(off, (at + pd->cap_size[at / 4] + 3) & ~3u);
    }
    g_assert(off >= PCI_STD_HEADER_SIZEOF && off + size <= PCI_CONFIG_BYTES && !(off & 3));
    pd->cap_size[off / 4] = size;
    memset(pd->wmask + off, 0, size);
    memset(pd->w1cmask + off, 0, size);
    memset(pd->cmask + off, 0xff, size);
    pd->config[off] = id;
    pd->config[off + 1] = pd->config[PCI_CAPABILITY_LIST];
    pd->config[PCI_CAPABILITY_LIST] = off;
    pd->config[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
    return off;
}

/* ---- DMA ---- */

bool pci_dma_read(PciDevice *pd, uint64_t addr, void *buf, size_t len)
{
    if (pd->bus_master)
        return dma_read(&pd->dev, addr, buf, len);
    memset(buf, 0xff, len);
    return false;
}

bool pci_dma_write(PciDevice *pd, uint64_t addr, const void *buf, size_t len)
{
    return pd->bus_master && dma_write(&pd->dev, addr, buf, len);
}

void *pci_dma_map(PciDevice *pd, uint64_t addr, size_t *len, bool write)
{
    return pd->bus_master ? dma_map(&pd->dev, addr, len, write) : NULL;
}

void pci_dma_unmap(PciDevice *pd, void *host, size_t done, bool write)
{
    dma_unmap(&pd->dev, host, done, write);
}

/* ---- Setting up ---- */

static void init_masks(PciDevice *pd)
{
    uint8_t *c = pd->cmask, *w = pd->wmask;

    memset(c, 0xff, 4);                                 /* ids */
    c[PCI_STATUS] = PCI_STATUS_CAP_LIST;
    memset(c + PCI_CLASS_REVISION, 0xff, 4);
    c[PCI_HEADER_TYPE] = 0xff;
    c[PCI_CAPABILITY_LIST] = 0xff;
    w[PCI_CACHE_LINE_SIZE] = w[PCI_INTERRUPT_LINE] = 0xff;
    pci_set16(w + PCI_COMMAND, COMMAND_WRITABLE);
    memset(w + PCI_STD_HEADER_SIZEOF, 0xff, PCI_CONFIG_BYTES - PCI_STD_HEADER_SIZEOF);
    pci_set16(pd->w1cmask + PCI_STATUS, PCI_STATUS_PARITY | PCI_STATUS_SIG_TARGET_ABORT | PCI_STATUS_REC_TARGET_ABORT |
              PCI_STATUS_REC_MASTER_ABORT | PCI_STATUS_SIG_SYSTEM_ERROR | PCI_STATUS_DETECTED_PARITY);
}

static void init_header(PciDevice *pd)
{
    const PciClass *k = pci_class(pd);
    uint8_t *c = pd->config;

    pci_set16(c + PCI_VENDOR_ID, k->vendor);
    pci_set16(c + PCI_DEVICE_ID, k->device);
    c[PCI_REVISION_ID] = k->revision;
    c[PCI_CLASS_PROG] = k->prog_if;
    pci_set16(c + PCI_CLASS_DEVICE, k->class_id);
    if (k->bridge) {
        c[PCI_HEADER_TYPE] = PCI_HEADER_TYPE_BRIDGE;
    } else {
        bool own = k->sub_vendor || k->sub_device;

        pci_set16(c + PCI_SUBSYSTEM_VENDOR_ID, own ? k->sub_vendor : PCI_VENDOR_REDHAT_QUMRANET);
        pci_set16(c + PCI_SUBSYSTEM_ID, own ? k->sub_device : PCI_SUBDEVICE_DEFAULT);
    }
    if (pd->flags & 1u << PCI_FLAG_MULTIFUNCTION)
        c[PCI_HEADER_TYPE] |= 0x80;     /* more functions in this slot */
}

static bool free_slot(const PciBus *b, unsigned devfn)
{
    for (unsigned func = 0; func < 8; func++)
        if (b->devices[(devfn & ~7u) | func])
            return false;
    return !(b->slot_reserved >> PCI_SLOT_(devfn) & 1);
}

static bool choose_devfn(PciBus *b, PciDevice *pd, GError **err)
{
    const char *name = pd->dev.type->name;

    if (pd->addr < 0) {
        for (unsigned devfn = b->devfn_min; devfn < 256; devfn += 8) {
            if (free_slot(b, devfn)) {
                pd->addr = pd->devfn = devfn;
                return true;
            }
        }
        return error_set(err, "PCI: no slot/function available for %s, all in use or reserved", name);
    }
    pd->devfn = pd->addr;
    if (pd->addr > 255 || b->devices[pd->devfn]) {
        PciDevice *in = b->devices[pd->devfn];

        return error_set(err, "PCI: slot %d function %d not available for %s, in use by %s,id=%s", PCI_SLOT_(pd->devfn),
                         PCI_FUNC_(pd->devfn), name, in ? in->dev.type->name : "?", in && in->dev.id ? in->dev.id : "");
    }
    if (pd->dev.hotplugged && PCI_FUNC_(pd->devfn) && b->devices[pd->devfn & ~7])
        return error_set(err, "PCI: slot %d function 0 already occupied by %s, new func %s cannot be exposed to guest.",
                         PCI_SLOT_(pd->devfn), b->devices[pd->devfn & ~7]->dev.type->name, name);
    return true;
}

/* Function 0 alone says whether a slot has others. */
static bool check_multifunction(const PciBus *b, const PciDevice *pd, GError **err)
{
    unsigned slot = PCI_SLOT_(pd->devfn), func = PCI_FUNC_(pd->devfn);

    if (func) {
        const PciDevice *f0 = b->devices[PCI_DEVFN_(slot, 0)];

        if (f0 && !(f0->flags & 1u << PCI_FLAG_MULTIFUNCTION))
            return error_set(err, "PCI: single function device can't be populated in function %x.%x", slot, func);
        return true;
    }
    if (pd->flags & 1u << PCI_FLAG_MULTIFUNCTION)
        return true;
    for (func = 1; func < 8; func++)
        if (b->devices[PCI_DEVFN_(slot, func)])
            return error_set(err, "PCI: %x.0 indicates single function, but %x.%x is already populated.", slot, slot, func);
    return true;
}

static bool bus_plug(Bus *bus, Device *d, GError **err)
{
    PciBus *b = (PciBus *)(void *)bus;
    PciDevice *pd = pci_device(d);

    if (d->hotplugged && !b->hotplugged)
        return error_set(err, "Bus '%s' does not support hotplugging", bus->name);
    if (pd->romsize != UINT32_MAX && (!pd->romsize || (pd->romsize & (pd->romsize - 1))))
        return error_set(err, "ROM size %u is not a power of two", pd->romsize);
    if (!choose_devfn(b, pd, err) || !check_multifunction(b, pd, err))
        return false;
    for (unsigned i = 0; i < PCI_BARS; i++)
        pd->bar[i].addr = PCI_UNMAPPED;
    init_masks(pd);
    init_header(pd);
    if (!pd->romfile && pci_class(pd)->romfile)
        pd->romfile = g_strdup(pci_class(pd)->romfile);
    b->devices[pd->devfn] = pd;
    return true;
}

static bool bus_plugged(Bus *bus, Device *d, GError **err)
{
    PciBus *b = (PciBus *)(void *)bus;
    PciDevice *pd = pci_device(d);

    return pci_add_rom(pd, err) && (!d->hotplugged || b->hotplugged(b->hotplug_ctl, pd, err));
}

static void bus_unplug(Bus *bus, Device *d)
{
    PciBus *b = (PciBus *)(void *)bus;
    PciDevice *pd = pci_device(d);

    for (unsigned i = 0; i < 4; i++)
        set_pin(pd, i, 0);
    if (b->unplugged)
        b->unplugged(b->hotplug_ctl, pd);
    pci_forget_bars(pd);
    pci_free_rom(pd);
    msix_fini(pd);
    b->devices[pd->devfn] = NULL;
}

static bool bus_request_unplug(Bus *bus, Device *d, GError **err)
{
    PciBus *b = (PciBus *)(void *)bus;

    if (!d->type->hotplug)
        return error_set(err, "Device '%s' does not support hotplugging", d->type->name);
    if (!b->unplug_request)
        return error_set(err, "Bus '%s' does not support hotplugging", bus->name);
    return b->unplug_request(b->hotplug_ctl, pci_device(d), err);
}

/* ---- Reset ---- */

static void device_reset_config(PciDevice *pd)
{
    uint8_t *c = pd->config;
    const unsigned clear[] = { PCI_COMMAND, PCI_COMMAND + 1, PCI_STATUS, PCI_STATUS + 1, PCI_INTERRUPT_LINE };

    for (unsigned i = 0; i < 4; i++)
        set_pin(pd, i, 0);
    for (unsigned i = 0; i < G_N_ELEMENTS(clear); i++)
        c[clear[i]] &= ~(pd->wmask[clear[i]] | pd->w1cmask[clear[i]]);
    c[PCI_CACHE_LINE_SIZE] = 0;
    pd->bus_master = false;
    pci_reset_bars(pd);
    msi_device_reset(pd);
    msix_device_reset(pd);
}

static void bus_reset(Bus *bus)
{
    PciBus *b = (PciBus *)(void *)bus;

    map_begin(bus->parent->machine);
    for (unsigned i = 0; i < 256; i++)
        if (b->devices[i])
            device_reset_config(b->devices[i]);
    for (unsigned i = 0; i < G_N_ELEMENTS(b->irq_count); i++)
        b->irq_count[i] = 0;
    map_commit(bus->parent->machine);
}

/* ---- State ---- */

static uint64_t get_version(const void *obj)
{
    return 2;
}

static bool before_load(void *obj, GError **err)
{
    PciDevice *pd = obj;

    memcpy(pd->before_load, pd->config, sizeof pd->config);
    return true;
}

static bool loaded(void *obj, int version, GError **err)
{
    PciDevice *pd = obj;

    for (unsigned i = 0; i < PCI_CONFIG_BYTES; i++) {
        uint8_t fixed = pd->cmask[i] & ~pd->wmask[i] & ~pd->w1cmask[i];

        if ((pd->config[i] ^ pd->before_load[i]) & fixed)
            return error_set(err, "%s: PCI configuration byte 0x%x is 0x%x, this machine's device has 0x%x", device_name(&pd->dev),
                             i, pd->config[i], pd->before_load[i]);
    }
    pd->bus_master = pd->config[PCI_COMMAND] & PCI_COMMAND_MASTER;
    update_irq_status(pd);
    pci_update_bars(pd);
    msix_device_loaded(pd);
    return true;
}

static const Field pci_device_fields[] = {
    VIRTUAL("version_id", 4, .get = get_version, .wire_sign = 1, .min = 0, .max = 2),
    HOST(PciDevice, dev), FIELD(PciDevice, config, .keep = true), FIELD(PciDevice, irq_state, .keep = true, .max = 1),
    HOST(PciDevice, wmask), HOST(PciDevice, w1cmask), HOST(PciDevice, cmask), HOST(PciDevice, cap_size),
    HOST(PciDevice, before_load), HOST(PciDevice, devfn), HOST(PciDevice, msi_cap), HOST(PciDevice, msix_cap),
    DERIVED(PciDevice, bus_master), HOST(PciDevice, has_rom), DERIVED(PciDevice, bar), HOST(PciDevice, msix),
    HOST(PciDevice, rom), HOST(PciDevice, addr), HOST(PciDevice, romfile), HOST(PciDevice, romsize),
    HOST(PciDevice, rombar), HOST(PciDevice, flags), HOST(PciDevice, acpi_index), HOST(PciDevice, failover_pair_id), {0}
};

const StateTable pci_device_state = {
    .name = "PCIDevice", .version = 2, .min_version = 1, .fields = pci_device_fields, .load = before_load, .loaded = loaded,
};

static const Field pci_bus_fields[] = {
    HOST(PciBus, bus), HOST(PciBus, mem), HOST(PciBus, io), HOST(PciBus, devices),
    FIELD(PciBus, nirq, .equal = true, .keep = true), FIELD(PciBus, irq_count, .min = 0, .max = 1024),
    HOST(PciBus, slot_reserved), HOST(PciBus, devfn_min), HOST(PciBus, map_irq),
    HOST(PciBus, set_irq), HOST(PciBus, router), HOST(PciBus, hotplugged), HOST(PciBus, unplug_request), HOST(PciBus, unplugged),
    HOST(PciBus, hotplug_ctl), {0}
};

static const StateTable pci_bus_state = { .name = "PCIBUS", .version = 1, .min_version = 1, .fields = pci_bus_fields };

/* ---- The bus ---- */

static char *dev_path(Device *d)
{
    unsigned devfn = pci_device(d)->devfn;

    return g_strdup_printf("0000:00:%02x.%x", PCI_SLOT_(devfn), PCI_FUNC_(devfn));
}

static bool bus_master(Device *d)
{
    return pci_device(d)->bus_master;
}

const BusType pci_bus_type = {
    .name = "PCI", .print_dev = pci_print_dev, .fw_path = pci_fw_path, .dev_path = dev_path, .bus_master = bus_master,
    .plug = bus_plug, .plugged = bus_plugged, .unplug = bus_unplug, .request_unplug = bus_request_unplug, .reset = bus_reset,
    .state = &pci_bus_state, .state_late = true, .info = pci_bus_info, .size = sizeof(PciBus),
};

const DeviceType pci_device_type = { .name = "pci-device", .bus = "PCI", .internal = true, .size = sizeof(PciDevice), .props = pci_props };

PciBus *pci_bus_new(Device *host, const char *name, Region *mem, Region *io, unsigned devfn_min)
{
    PciBus *b = (PciBus *)(void *)bus_new(&pci_bus_type, host, name);

    b->mem = mem;
    b->io = io;
    b->devfn_min = devfn_min;
    b->nirq = G_N_ELEMENTS(b->irq_count);
    return b;
}

void pci_bus_set_router(PciBus *b, unsigned (*map_irq)(PciDevice *, unsigned), void (*set_irq)(void *, unsigned, int), void *router)
{
    b->map_irq = map_irq;
    b->set_irq = set_irq;
    b->router = router;
}

PciDevice *pci_find(PciBus *b, unsigned slot, unsigned func)
{
    return slot < 32 && func < 8 ? b->devices[PCI_DEVFN_(slot, func)] : NULL;
}

PciBus *pci_root(Machine *m)
{
    Bus *b = bus_find(m, "pci.0");

    return b && b->type == &pci_bus_type ? (PciBus *)(void *)b : NULL;
}

/* Only bus 0 exists: cycles for others end in a master abort, as do those for empty slots. */
static PciDevice *addressed(PciBus *b, uint32_t addr)
{
    return addr >> 16 & 0xff ? NULL : b->devices[addr >> 8 & 0xff];
}

uint32_t pci_bus_config_read(PciBus *b, uint32_t addr, unsigned len)
{
    PciDevice *pd = addressed(b, addr);
    unsigned off = addr & 0xff;

    if (!pd || !pd->dev.realized || off + len > PCI_CONFIG_BYTES)
        return UINT32_MAX;
    return pci_class(pd)->config_read ? pci_class(pd)->config_read(pd, off, len) : pci_config_read(pd, off, len);
}

void pci_bus_config_write(PciBus *b, uint32_t addr, uint32_t val, unsigned len)
{
    PciDevice *pd = addressed(b, addr);
    unsigned off = addr & 0xff;

    if (!pd || !pd->dev.realized || off + len > PCI_CONFIG_BYTES)
        return;
    if (pci_class(pd)->config_write)
        pci_class(pd)->config_write(pd, off, val, len);
    else
        pci_config_write(pd, off, val, len);
}

void pci_unplug_now(PciDevice *pd)
{
    device_delete(&pd->dev);
}
