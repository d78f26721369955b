/*
 * PCI: what a device model, a host bridge and the board see of the bus.
 *
 * A PCI device type sets .bus = "PCI", .parent = &pci_device_type, .class_data = &(const PciClass){...}, has PciDevice
 * as its first member and begins its state table with PCI_STATE(T, pci). Its realize registers BARs; config space
 * (ids, class, masks) has been set up from the class by then.
 *
 * Little-endian throughout; all calls under the machine lock.
 */
#ifndef HW_PCI_PCI_H
#define HW_PCI_PCI_H
#include <linux/pci_regs.h>
#include "hw/core/device.h"
#include "hw/core/memory.h"

typedef struct PciDevice PciDevice;
typedef struct PciBus PciBus;

#define PCI_DEVFN_(slot, func) ((slot) << 3 | (func))
#define PCI_SLOT_(devfn) ((devfn) >> 3 & 0x1f)
#define PCI_FUNC_(devfn) ((devfn) & 7)
#define PCI_CONFIG_BYTES 256
#define PCI_BARS 7                      /* six and the option ROM */
#define PCI_ROM_BAR 6
#define PCI_UNMAPPED UINT64_MAX
#define PCI_VENDOR_REDHAT_QUMRANET 0x1af4
#define PCI_SUBDEVICE_DEFAULT 0x1100

/* What a BAR is: its low bits as the guest reads them. */
enum {
    PCI_BAR_IO = PCI_BASE_ADDRESS_SPACE_IO, PCI_BAR_MEM = 0, PCI_BAR_MEM64 = PCI_BASE_ADDRESS_MEM_TYPE_64,
    PCI_BAR_PREFETCH = PCI_BASE_ADDRESS_MEM_PREFETCH,
};

/* class_data of a PCI device type. */
typedef struct PciClass {
    uint16_t vendor, device;
    uint8_t revision, prog_if;
    uint16_t class_id;                  /* base class and subclass: 0x0200 */
    uint16_t sub_vendor, sub_device;    /* 0 both: 1af4:1100 */
    const char *romfile;                /* default of the romfile property */
    bool bridge;                        /* header type 1: the type fills it in */
    /* Configuration accesses of 1, 2 or 4 bytes that do not cross byte 256; NULL: pci_config_read/write. */
    uint32_t (*config_read)(PciDevice *pd, unsigned off, unsigned len);
    void (*config_write)(PciDevice *pd, unsigned off, uint32_t val, unsigned len);
} PciClass;

typedef struct PciBar {
    Region *region;                     /* NULL: no such BAR */
    Region *space;                      /* the bus's I/O or memory */
    uint64_t size;                      /* a power of two */
    uint64_t addr;                      /* where it is mapped, or PCI_UNMAPPED */
    uint8_t type;
} PciBar;

typedef struct MsiMessage {
    uint64_t addr;
    uint32_t data;
} MsiMessage;

/* MSI-X: the table and the pending bits, in a region of the device's. */
typedef struct PciMsix {
    uint8_t *table, *pba;               /* entries * 16 bytes; a bit an entry */
    Region table_io, pba_io;
    Region *own_bar;                    /* of msix_init_exclusive; else NULL */
    unsigned entries;
    bool function_masked;
    /* Told when entry v's message or mask changes (irqfd users); may be NULL. */
    void (*vector_changed)(PciDevice *pd, unsigned v, bool masked);
} PciMsix;

struct PciDevice {                      /* first member of every PCI device struct */
    Device dev;

    /* guest state */
    uint8_t config[PCI_CONFIG_BYTES];
    uint32_t irq_state[4];              /* INTA#..INTD#: 1 while the device asserts it */

    /* set up by realize */
    uint8_t wmask[PCI_CONFIG_BYTES];    /* bits that the guest may write */
    uint8_t w1cmask[PCI_CONFIG_BYTES];  /* bits that it clears by writing ones */
    uint8_t cmask[PCI_CONFIG_BYTES];    /* bits that an incoming stream must agree on */
    uint8_t cap_size[PCI_CONFIG_BYTES / 4]; /* bytes of the capability that begins there */
    uint8_t before_load[PCI_CONFIG_BYTES];
    uint8_t devfn;
    uint8_t msi_cap, msix_cap;          /* offsets of the capabilities; 0: none */
    bool bus_master;                    /* PCI_COMMAND_MASTER */
    bool has_rom;
    PciBar bar[PCI_BARS];
    PciMsix *msix;
    Region rom;

    /* properties */
    int32_t addr;                       /* devfn, -1: the next free slot */
    char *romfile;
    uint32_t romsize, rombar, flags, acpi_index;
    char *failover_pair_id;
};

/* Bits of PciDevice.flags. */
enum { PCI_FLAG_MULTIFUNCTION, PCI_FLAG_LNKSTA_DLLLA, PCI_FLAG_EXTCAP_INIT };

/* The parent of every PCI device type: addr, romfile, rombar, multifunction, ... */
extern const DeviceType pci_device_type;
extern const BusType pci_bus_type;

/* The first row of a PCI device's state table; `m` is its PciDevice member, always the first. The name in the
 * stream is "parent_obj" for most types; give another with .name. */
extern const StateTable pci_device_state;
#define PCI_STATE(T, m, ...) STRUCT(T, m, &pci_device_state, .name = "parent_obj", ##__VA_ARGS__)

static inline PciDevice *pci_device(Device *d) { return DEVICE(d, PciDevice); }
static inline const PciClass *pci_class(const PciDevice *pd) { return pd->dev.type->class_data; }
static inline PciBus *pci_bus_of(const PciDevice *pd) { return (PciBus *)(void *)pd->dev.bus; }

/* ---- Config space, for realize and for config_read/config_write hooks ---- */

static inline uint16_t pci_get16(const uint8_t *p) { return p[0] | p[1] << 8; }
static inline uint32_t pci_get32(const uint8_t *p) { return pci_get16(p) | (uint32_t)pci_get16(p + 2) << 16; }
static inline void pci_set16(uint8_t *p, uint16_t v) { p[0] = v; p[1] = v >> 8; }
static inline void pci_set32(uint8_t *p, uint32_t v) { pci_set16(p, v); pci_set16(p + 2, v >> 16); }
/* Do the bytes [off, off+len) touch [reg, reg+n)? */
static inline bool pci_touches(unsigned off, unsigned len, unsigned reg, unsigned n) { return off < reg + n && reg < off + len; }

uint32_t pci_config_read(PciDevice *pd, unsigned off, unsigned len);
/* Masks, BAR mapping, bus mastering, INTx disable, MSI and MSI-X. A hook calls it first, then looks at the result. */
void pci_config_write(PciDevice *pd, unsigned off, uint32_t val, unsigned len);
/* Appends a capability of `size` bytes at off (0: the next free place); returns its offset. */
unsigned pci_add_capability(PciDevice *pd, uint8_t id, unsigned off, unsigned size);
/* Makes config[PCI_INTERRUPT_PIN] `pin`: 1 = INTA#. */
static inline void pci_set_pin(PciDevice *pd, unsigned pin) { pd->config[PCI_INTERRUPT_PIN] = pin; }

/* BAR n (0..5) of a region whose size is a power of two; a 64-bit one takes n + 1 as well. The region belongs to the
 * device, which calls region_fini in unrealize. */
void pci_register_bar(PciDevice *pd, unsigned n, unsigned type, Region *r);
uint64_t pci_bar_addr(const PciDevice *pd, unsigned n);     /* PCI_UNMAPPED: not decoded */

/* ---- Interrupts ---- */

/* The device's INTx pin (config[PCI_INTERRUPT_PIN]; none: ignored). */
void pci_irq_set(PciDevice *pd, int level);
/* The same as a LineSink: line_connect(&s->irq, pci_irq_sink, &s->pci, 0). */
void pci_irq_sink(void *pd, unsigned n, int level);

/* MSI: vectors 1..32, a power of two. */
bool msi_init(PciDevice *pd, unsigned off, unsigned vectors, bool addr64, bool per_vector_mask, GError **err);
bool msi_enabled(const PciDevice *pd);
unsigned msi_allocated(const PciDevice *pd);        /* vectors that the guest enabled */
bool msi_masked(const PciDevice *pd, unsigned vector);
MsiMessage msi_message(const PciDevice *pd, unsigned vector);
void msi_notify(PciDevice *pd, unsigned vector);

/* MSI-X: table and pending bits in (regions added to) the BAR's region, at given offsets. off: of the capability, 0 any. */
bool msix_init(PciDevice *pd, unsigned entries, Region *table_bar, unsigned table_bir, uint32_t table_off,
               Region *pba_bar, unsigned pba_bir, uint32_t pba_off, unsigned off, GError **err);
/* A BAR of its own, 4 KiB or what is needed: the table at 0, the pending bits in the upper half. */
bool msix_init_exclusive(PciDevice *pd, unsigned entries, unsigned bar, GError **err);
void msix_fini(PciDevice *pd);
bool msix_enabled(const PciDevice *pd);
bool msix_masked(const PciDevice *pd, unsigned vector);
MsiMessage msix_message(const PciDevice *pd, unsigned vector);
void msix_notify(PciDevice *pd, unsigned vector);   /* masked: becomes pending */
void msix_set_pending(PciDevice *pd, unsigned vector);
/* The wire form of table and pending bits: entries * 16 + (entries + 7) / 8 bytes. */
void msix_save(PciDevice *pd, GByteArray *out);
bool msix_load(PciDevice *pd, const uint8_t *data, size_t len, GError **err);

/* Delivers a message as the device's write to memory would; lost without bus mastering. */
void pci_msi_send(PciDevice *pd, MsiMessage msg);

/* ---- DMA: as dma_read/dma_write, but only with bus mastering enabled (otherwise false: reads give ones) ---- */
bool pci_dma_read(PciDevice *pd, uint64_t addr, void *buf, size_t len);
bool pci_dma_write(PciDevice *pd, uint64_t addr, const void *buf, size_t len);
void *pci_dma_map(PciDevice *pd, uint64_t addr, size_t *len, bool write);
void pci_dma_unmap(PciDevice *pd, void *host, size_t done, bool write);

/* ---- The bus, for host bridges and the board ---- */

struct PciBus {
    Bus bus;
    Region *mem, *io;                   /* where BARs go */
    PciDevice *devices[256];            /* by devfn */
    int32_t nirq, irq_count[4];         /* of the interrupt router; how many devices assert each input */
    uint32_t slot_reserved;             /* bit a slot that automatic placement leaves alone */
    uint8_t devfn_min;

    /* Interrupt router: which of its inputs a pin goes to, and a change of an input's level. */
    unsigned (*map_irq)(PciDevice *pd, unsigned pin);
    void (*set_irq)(void *router, unsigned input, int level);
    void *router;

    /* Hot-plug controller (PIIX4 PM); NULL: none. */
    bool (*hotplugged)(void *ctl, PciDevice *pd, GError **err);     /* about to be realized */
    bool (*unplug_request)(void *ctl, PciDevice *pd, GError **err);
    void (*unplugged)(void *ctl, PciDevice *pd);
    void *hotplug_ctl;
};

PciBus *pci_bus_new(Device *host, const char *name, Region *mem, Region *io, unsigned devfn_min);
/* The configuration access of a type-1 cycle: addr is CONFIG_ADDRESS' bits 23:0 (bus, devfn, register + byte). */
uint32_t pci_bus_config_read(PciBus *b, uint32_t addr, unsigned len);
void pci_bus_config_write(PciBus *b, uint32_t addr, uint32_t val, unsigned len);
void pci_bus_set_router(PciBus *b, unsigned (*map_irq)(PciDevice *, unsigned), void (*set_irq)(void *, unsigned, int), void *router);
PciDevice *pci_find(PciBus *b, unsigned slot, unsigned func);
PciBus *pci_root(Machine *m);                       /* pci.0, or NULL */
/* "Ethernet controller"; NULL for a class without a name. */
const char *pci_class_name(uint16_t class_id);
/* Completes an unplug that the guest has agreed to: the device is gone after this. */
void pci_unplug_now(PciDevice *pd);
#endif
