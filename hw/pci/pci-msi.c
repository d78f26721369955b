/*
 * Message signalled interrupts: the MSI and MSI-X capabilities (PCI 3.0, 6.8).
 *
 * A masked vector stays pending until it is unmasked. Messages are writes of the device: without bus mastering they
 * are lost.
 */
#include <string.h>
#include "hw/core/machine.h"
#include "hw/pci/pci-int.h"
#include "util/error.h"

#define APIC_MSI_BASE 0xfee00000u
#define APIC_MSI_SIZE 0x100000u

void pci_msi_send(PciDevice *pd, MsiMessage msg)
{
    if (!pd->bus_master)
        return;
    if (accel->msi && accel_irqchip != IRQCHIP_OFF && msg.addr - APIC_MSI_BASE < APIC_MSI_SIZE)
        accel->msi(msg.addr, msg.data);
    else
        mem_write(pd->dev.machine, msg.addr, msg.data, 4);
}

static void deassert_intx(PciDevice *pd)
{
    pci_irq_set(pd, 0);
}

/* ---- MSI ---- */

static uint16_t msi_flags(const PciDevice *pd)
{
    return pci_get16(pd->config + pd->msi_cap + PCI_MSI_FLAGS);
}

static bool msi_is64(const PciDevice *pd)
{
    return msi_flags(pd) & PCI_MSI_FLAGS_64BIT;
}

/* The mask register, NULL without per-vector masking; the pending register follows it. */
static uint8_t *msi_mask_reg(const PciDevice *pd, const uint8_t *base)
{
    if (!(msi_flags(pd) & PCI_MSI_FLAGS_MASKBIT))
        return NULL;
    return (uint8_t *)base + pd->msi_cap + (msi_is64(pd) ? PCI_MSI_MASK_64 : PCI_MSI_MASK_32);
}

static unsigned log2_field(uint16_t flags, uint16_t field)
{
    return (flags & field) >> __builtin_ctz(field);
}

bool msi_init(PciDevice *pd, unsigned off, unsigned vectors, bool addr64, bool per_vector_mask, GError **err)
{
    unsigned size = (addr64 ? 14 : 10) + (per_vector_mask ? 10 : 0);
    uint16_t flags = (addr64 ? PCI_MSI_FLAGS_64BIT : 0) | (per_vector_mask ? PCI_MSI_FLAGS_MASKBIT : 0);
    uint8_t *w;

    g_assert(vectors && vectors <= 32 && !(vectors & (vectors - 1)));
    if (off && off + size > PCI_CONFIG_BYTES)
        return error_set(err, "the MSI capability does not fit at 0x%x", off);
    off = pci_add_capability(pd, PCI_CAP_ID_MSI, off, size);
    pd->msi_cap = off;
    flags |= (unsigned)__builtin_ctz(vectors) << __builtin_ctz(PCI_MSI_FLAGS_QMASK);
    pci_set16(pd->config + off + PCI_MSI_FLAGS, flags);
    w = pd->wmask + off;
    pci_set16(w + PCI_MSI_FLAGS, PCI_MSI_FLAGS_QSIZE | PCI_MSI_FLAGS_ENABLE);
    pci_set32(w + PCI_MSI_ADDRESS_LO, 0xfffffffc);
    if (addr64)
        pci_set32(w + PCI_MSI_ADDRESS_HI, 0xffffffff);
    pci_set16(w + (addr64 ? PCI_MSI_DATA_64 : PCI_MSI_DATA_32), 0xffff);
    if (per_vector_mask)
        pci_set32(msi_mask_reg(pd, pd->wmask), 0xffffffff >> (32 - vectors));
    return true;
}

bool msi_enabled(const PciDevice *pd)
{
    return pd->msi_cap && (msi_flags(pd) & PCI_MSI_FLAGS_ENABLE);
}

unsigned msi_allocated(const PciDevice *pd)
{
    return 1u << MIN(log2_field(msi_flags(pd), PCI_MSI_FLAGS_QSIZE), 5u);
}

bool msi_masked(const PciDevice *pd, unsigned vector)
{
    const uint8_t *mask = msi_mask_reg(pd, pd->config);

    return mask && vector < 32 && (pci_get32(mask) >> vector & 1);
}

MsiMessage msi_message(const PciDevice *pd, unsigned vector)
{
    const uint8_t *c = pd->config + pd->msi_cap;
    unsigned n = msi_allocated(pd);
    MsiMessage msg = { pci_get32(c + PCI_MSI_ADDRESS_LO), pci_get16(c + (msi_is64(pd) ? PCI_MSI_DATA_64 : PCI_MSI_DATA_32)) };

    if (msi_is64(pd))
        msg.addr |= (uint64_t)pci_get32(c + PCI_MSI_ADDRESS_HI) << 32;
    msg.data = (msg.data & ~(n - 1)) | (vector & (n - 1));
    return msg;
}

void msi_notify(PciDevice *pd, unsigned vector)
{
    if (!msi_enabled(pd) || vector >= 32)
        return;
    if (msi_masked(pd, vector)) {
        uint8_t *pending = msi_mask_reg(pd, pd->config) + 4;

        pci_set32(pending, pci_get32(pending) | 1u << vector);
        return;
    }
    pci_msi_send(pd, msi_message(pd, vector));
}

void msi_config_written(PciDevice *pd, unsigned off, unsigned len)
{
    unsigned most;
    uint16_t flags;
    uint8_t *mask;

    if (!pd->msi_cap || !pci_touches(off, len, pd->msi_cap, pd->cap_size[pd->msi_cap / 4]))
        return;
    flags = msi_flags(pd);
    most = log2_field(flags, PCI_MSI_FLAGS_QMASK);
    if (log2_field(flags, PCI_MSI_FLAGS_QSIZE) > most) {
        flags = (flags & ~PCI_MSI_FLAGS_QSIZE) | most << __builtin_ctz(PCI_MSI_FLAGS_QSIZE);
        pci_set16(pd->config + pd->msi_cap + PCI_MSI_FLAGS, flags);
    }
    if (!(flags & PCI_MSI_FLAGS_ENABLE))
        return;
    deassert_intx(pd);
    mask = msi_mask_reg(pd, pd->config);
    if (mask) {
        uint32_t due = pci_get32(mask + 4) & ~pci_get32(mask);

        pci_set32(mask + 4, pci_get32(mask + 4) & ~due);
        for (; due; due &= due - 1)
            msi_notify(pd, __builtin_ctz(due));
    }
}

void msi_device_reset(PciDevice *pd)
{
    uint8_t *c = pd->config + pd->msi_cap, *mask;

    if (!pd->msi_cap)
        return;
    pci_set16(c + PCI_MSI_FLAGS, msi_flags(pd) & ~(PCI_MSI_FLAGS_QSIZE | PCI_MSI_FLAGS_ENABLE));
    pci_set32(c + PCI_MSI_ADDRESS_LO, 0);
    if (msi_is64(pd))
        pci_set32(c + PCI_MSI_ADDRESS_HI, 0);
    pci_set16(c + (msi_is64(pd) ? PCI_MSI_DATA_64 : PCI_MSI_DATA_32), 0);
    mask = msi_mask_reg(pd, pd->config);
    if (mask) {
        pci_set32(mask, 0);
        pci_set32(mask + 4, 0);
    }
}

/* ---- MSI-X ---- */

static uint8_t *msix_entry(const PciDevice *pd, unsigned v)
{
    return pd->msix->table + (size_t)v * PCI_MSIX_ENTRY_SIZE;
}

static uint16_t msix_flags(const PciDevice *pd)
{
    return pci_get16(pd->config + pd->msix_cap + PCI_MSIX_FLAGS);
}

bool msix_enabled(const PciDevice *pd)
{
    return pd->msix_cap && (msix_flags(pd) & PCI_MSIX_FLAGS_ENABLE);
}

static bool function_masked(const PciDevice *pd)
{
    return !msix_enabled(pd) || (msix_flags(pd) & PCI_MSIX_FLAGS_MASKALL);
}

bool msix_masked(const PciDevice *pd, unsigned v)
{
    return function_masked(pd) || v >= pd->msix->entries ||
           (msix_entry(pd, v)[PCI_MSIX_ENTRY_VECTOR_CTRL] & PCI_MSIX_ENTRY_CTRL_MASKBIT);
}

MsiMessage msix_message(const PciDevice *pd, unsigned v)
{
    const uint8_t *e;

    if (!pd->msix || v >= pd->msix->entries)
        return (MsiMessage){ 0 };
    e = msix_entry(pd, v);
    return (MsiMessage){ pci_get32(e + PCI_MSIX_ENTRY_LOWER_ADDR) | (uint64_t)pci_get32(e + PCI_MSIX_ENTRY_UPPER_ADDR) << 32,
                         pci_get32(e + PCI_MSIX_ENTRY_DATA) };
}

void msix_set_pending(PciDevice *pd, unsigned v)
{
    if (pd->msix && v < pd->msix->entries)
        pd->msix->pba[v / 8] |= 1u << v % 8;
}

void msix_notify(PciDevice *pd, unsigned v)
{
    if (!pd->msix || v >= pd->msix->entries || !msix_enabled(pd))
        return;
    if (msix_masked(pd, v))
        msix_set_pending(pd, v);
    else
        pci_msi_send(pd, msix_message(pd, v));
}

/* Entry v may have become deliverable, or changed. */
static void vector_updated(PciDevice *pd, unsigned v, bool was_masked)
{
    bool masked = msix_masked(pd, v);

    if (pd->msix->vector_changed && !(was_masked && masked))
        pd->msix->vector_changed(pd, v, masked);
    if (was_masked && !masked && (pd->msix->pba[v / 8] >> v % 8 & 1)) {
        pd->msix->pba[v / 8] &= ~(1u << v % 8);
        msix_notify(pd, v);
    }
}

static uint64_t table_read(void *opaque, uint64_t off, unsigned size)
{
    PciDevice *pd = opaque;

    return off + 4 <= pd->msix->entries * PCI_MSIX_ENTRY_SIZE ? pci_get32(pd->msix->table + off) : 0;
}

static void table_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    PciDevice *pd = opaque;
    unsigned v = off / PCI_MSIX_ENTRY_SIZE;
    bool was_masked;

    if (v >= pd->msix->entries)
        return;
    was_masked = msix_masked(pd, v);
    pci_set32(pd->msix->table + (off & ~3ull), val);
    vector_updated(pd, v, was_masked);
}

static uint64_t pba_read(void *opaque, uint64_t off, unsigned size)
{
    PciDevice *pd = opaque;
    uint64_t v = 0;

    for (unsigned i = 0; i < size; i++)
        if (off + i < (pd->msix->entries + 7) / 8)
            v |= (uint64_t)pd->msix->pba[off + i] << (8 * i);
    return v;
}

static const RegionOps table_ops = { .read = table_read, .write = table_write, .min = 4, .max = 4, .valid_min = 4 };
static const RegionOps pba_ops = { .read = pba_read, .min = 4, .max = 8, .valid_min = 4 };

bool msix_init(PciDevice *pd, unsigned entries, Region *table_bar, unsigned table_bir, uint32_t table_off,
               Region *pba_bar, unsigned pba_bir, uint32_t pba_off, unsigned off, GError **err)
{
    uint32_t table_size = entries * PCI_MSIX_ENTRY_SIZE, pba_size = (entries + 63) / 64 * 8;
    PciMsix *x;

    if (!entries || entries > PCI_MSIX_FLAGS_QSIZE + 1 || ((table_off | pba_off) & 7) ||
        table_off + (uint64_t)table_size > table_bar->size || pba_off + (uint64_t)pba_size > pba_bar->size)
        return error_set(err, "%s: %u MSI-X vectors do not fit", device_name(&pd->dev), entries);
    x = pd->msix = g_new0(PciMsix, 1);
    x->entries = entries;
    x->table = g_malloc0(table_size);
    x->pba = g_malloc0(pba_size);
    pd->msix_cap = pci_add_capability(pd, PCI_CAP_ID_MSIX, off, PCI_CAP_MSIX_SIZEOF);
    pci_set16(pd->config + pd->msix_cap + PCI_MSIX_FLAGS, entries - 1);
    pci_set32(pd->config + pd->msix_cap + PCI_MSIX_TABLE, table_off | table_bir);
    pci_set32(pd->config + pd->msix_cap + PCI_MSIX_PBA, pba_off | pba_bir);
    pci_set16(pd->wmask + pd->msix_cap + PCI_MSIX_FLAGS, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
    region_init_io(&x->table_io, &pd->dev, "msix-table", table_size, &table_ops, pd);
    region_init_io(&x->pba_io, &pd->dev, "msix-pba", pba_size, &pba_ops, pd);
    region_add(table_bar, table_off, &x->table_io);
    region_add(pba_bar, pba_off, &x->pba_io);
    msix_device_reset(pd);
    return true;
}

bool msix_init_exclusive(PciDevice *pd, unsigned entries, unsigned bar, GError **err)
{
    g_autofree char *name = g_strdup_printf("%s-msix", pd->dev.type->name);
    uint32_t table_size = entries * PCI_MSIX_ENTRY_SIZE, pba_size = (entries + 63) / 64 * 8, pba_off, size = 4096;
    Region *r;

    if (!entries || entries > PCI_MSIX_FLAGS_QSIZE + 1)
        return error_set(err, "%s: %u MSI-X vectors are not possible", pd->dev.type->name, entries);
    pba_off = MAX(table_size, size / 2);
    while (size < pba_off + pba_size)
        size *= 2;
    r = g_new0(Region, 1);
    region_init(r, &pd->dev, name, size);
    if (!msix_init(pd, entries, r, bar, 0, r, bar, pba_off, 0, err)) {
        region_fini(r);
        g_free(r);
        return false;
    }
    pd->msix->own_bar = r;
    pci_register_bar(pd, bar, PCI_BAR_MEM, r);
    return true;
}

void msix_fini(PciDevice *pd)
{
    PciMsix *x = pd->msix;

    if (!x)
        return;
    region_fini(&x->table_io);
    region_fini(&x->pba_io);
    if (x->own_bar) {
        region_fini(x->own_bar);
        g_free(x->own_bar);
    }
    g_free(x->table);
    g_free(x->pba);
    g_clear_pointer(&pd->msix, g_free);
    pd->msix_cap = 0;
}

void msix_config_written(PciDevice *pd, unsigned off, unsigned len)
{
    bool was_masked;

    if (!pd->msix_cap || !pci_touches(off, len, pd->msix_cap, PCI_CAP_MSIX_SIZEOF))
        return;
    if (msix_enabled(pd))
        deassert_intx(pd);
    was_masked = pd->msix->function_masked;
    pd->msix->function_masked = function_masked(pd);
    if (was_masked == pd->msix->function_masked)
        return;
    for (unsigned v = 0; v < pd->msix->entries; v++) {
        bool own_mask = msix_entry(pd, v)[PCI_MSIX_ENTRY_VECTOR_CTRL] & PCI_MSIX_ENTRY_CTRL_MASKBIT;

        vector_updated(pd, v, was_masked || own_mask);
    }
}

void msix_device_reset(PciDevice *pd)
{
    PciMsix *x = pd->msix;

    if (!x)
        return;
    pci_set16(pd->config + pd->msix_cap + PCI_MSIX_FLAGS,
              msix_flags(pd) & ~(PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL));
    x->function_masked = true;
    memset(x->table, 0, x->entries * PCI_MSIX_ENTRY_SIZE);
    memset(x->pba, 0, (x->entries + 7) / 8);
    for (unsigned v = 0; v < x->entries; v++) {
        msix_entry(pd, v)[PCI_MSIX_ENTRY_VECTOR_CTRL] = PCI_MSIX_ENTRY_CTRL_MASKBIT;
        if (x->vector_changed)
            x->vector_changed(pd, v, true);
    }
}

void msix_device_loaded(PciDevice *pd)
{
    if (pd->msix)
        pd->msix->function_masked = function_masked(pd);
}

void msix_save(PciDevice *pd, GByteArray *out)
{
    if (!pd->msix)
        return;
    g_byte_array_append(out, pd->msix->table, pd->msix->entries * PCI_MSIX_ENTRY_SIZE);
    g_byte_array_append(out, pd->msix->pba, (pd->msix->entries + 7) / 8);
}

bool msix_load(PciDevice *pd, const uint8_t *data, size_t len, GError **err)
{
    PciMsix *x = pd->msix;
    size_t table = x ? x->entries * PCI_MSIX_ENTRY_SIZE : 0, pba = x ? (x->entries + 7) / 8 : 0;

    if (len != table + pba)
        return error_set(err, "%s: MSI-X state has %zu bytes, %zu were expected", device_name(&pd->dev), len, table + pba);
    if (!x)
        return true;
    memcpy(x->table, data, table);
    memcpy(x->pba, data + table, pba);
    msix_device_loaded(pd);
    for (unsigned v = 0; x->vector_changed && v < x->entries; v++)
        x->vector_changed(pd, v, msix_masked(pd, v));
    return true;
}
