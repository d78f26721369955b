/*
 * Firmware tables: ACPI, SMBIOS, e820 and the fixed items of fw_cfg, from facts that the board gathers.
 *
 * The builders are pure functions of their facts: the board calls them when the machine is ready, and (ACPI) again
 * when the firmware first reads the tables after a reset, for what the firmware has set up meanwhile.
 */
#ifndef HW_I386_TABLES_H
#define HW_I386_TABLES_H
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct Machine Machine;
typedef struct FwCfg FwCfg;

/* ---- ACPI ---- */

typedef struct TablesCpu {
    uint32_t apic_id;
    bool present;                       /* at start; others may be plugged in */
    int node;                           /* NUMA node, or -1 */
} TablesCpu;

typedef struct TablesNode {
    uint64_t size;
    const uint8_t *distance;            /* to each node; NULL: none was given */
} TablesNode;

typedef struct TablesBus TablesBus;
typedef struct TablesSlot {
    bool present;                       /* function 0 is there */
    bool pinned;                        /* and cannot be unplugged */
    bool vga;                           /* class display, VGA */
    const TablesBus *bus;               /* a PCI bridge's secondary bus, or NULL */
} TablesSlot;
struct TablesBus {
    int bsel;                           /* its number in the hot-plug registers; -1: no hot-plug on it */
    TablesSlot slot[32];
};

typedef enum TablesIsaKind { TABLES_KBD, TABLES_FDC, TABLES_LPT, TABLES_COM, TABLES_PVPANIC, TABLES_RTC } TablesIsaKind;
typedef struct TablesIsa {
    TablesIsaKind kind;
    unsigned index;                     /* of LPTn, COMn: from 0 */
    uint16_t iobase;
    uint8_t irq;
    uint8_t floppy[2];                  /* type of each drive as CMOS has it: 0 none, 2 1.2M, 4 1.44M, 5 2.88M */
} TablesIsa;

typedef struct AcpiFacts {
    const char *oem_id, *oem_table_id;  /* NULL: "BOCHS ", "BXPC    " */
    const TablesCpu *cpus;              /* all that are possible, by index */
    unsigned n_cpus;
    uint64_t ram_below_4g, ram_above_4g, above_4g_start;
    const TablesNode *nodes;            /* -numa */
    unsigned n_nodes;
    uint64_t hole_first, hole_last;     /* PCI memory windows; last included */
    uint64_t hole64_first, hole64_last; /* last 0: none */
    unsigned mem_slots;                 /* for memory modules, at [dimm_base, dimm_base + dimm_size) */
    uint64_t dimm_base, dimm_size;
    uint16_t pm_base;                   /* I/O base of the PM function, as the firmware has set it */
    bool smm, s3, s4, hpet;
    uint8_t s4_value;                   /* SLP_TYP of S4 */
    bool vmgenid;
    const TablesIsa *isa;               /* in order of appearance */
    unsigned n_isa;
    const TablesBus *bus0;
} AcpiFacts;

/* Appends to the three files; they are as long as QEMU makes them. */
typedef struct AcpiFiles { GByteArray *rsdp, *tables, *loader; } AcpiFiles;
void acpi_build(const AcpiFacts *f, AcpiFiles *out);

/* Makes the device "acpi_build", which keeps the files in RAM blocks, offers them through fw_cfg and builds them anew when
 * the firmware first reads one after a reset. Called when the machine is ready. gather fills in the facts; what they
 * point to stays valid until its next call. */
typedef void AcpiGather(void *opaque, AcpiFacts *f);
bool acpi_setup(Machine *m, FwCfg *f, AcpiGather *gather, void *opaque, GError **err);

/* ---- SMBIOS ---- */

typedef struct E820Entry E820Entry;
typedef struct SmbiosFacts {
    const char *desc, *machine;         /* "Standard PC (i440FX + PIIX, 1996)", "pc-i440fx-7.2" */
    uint8_t uuid[16];                   /* zeros: none */
    uint64_t ram_size;
    const GArray *e820;
    unsigned sockets, cores, threads;   /* cores and threads of a socket */
    uint32_t cpuid_version, cpuid_features;     /* CPUID leaf 1: EAX, EDX */
    /* Where a PCI device is (type 41's pcidev=); false: there is none of that id. */
    bool (*find_pci)(void *opaque, const char *id, uint8_t *bus, uint8_t *devfn);
    void *opaque;
} SmbiosFacts;

typedef struct Smbios Smbios;
Smbios *smbios_new(void);
void smbios_free(Smbios *s);
/* One -smbios option's text. */
bool smbios_add_option(Smbios *s, const char *text, GError **err);
/* -smbios type=1,uuid=: it replaces -uuid everywhere. NULL: not given. */
const uint8_t *smbios_uuid(const Smbios *s);
/* Appends the anchor (SMBIOS 2.8; 3.0 with entry64) and the structures. */
bool smbios_build(const Smbios *s, const SmbiosFacts *f, bool entry64, GByteArray *anchor, GByteArray *tables, GError **err);

/* ---- e820 ---- */

enum { E820_RAM = 1, E820_RESERVED = 2, E820_ACPI = 3, E820_NVS = 4, E820_UNUSABLE = 5 };
struct __attribute__((packed)) E820Entry {              /* little-endian, as etc/e820 has them */
    uint64_t base, size;
    uint32_t type;
};
GArray *e820_new(void);                 /* of E820Entry */
void e820_add(GArray *map, uint64_t base, uint64_t size, uint32_t type);
/* What a PC has: KVM's pages below 4 GiB, the gap of AMD processors with 40 address bits or more, RAM. */
void e820_add_pc(GArray *map, bool kvm, bool amd_gap, uint64_t ram_below_4g, uint64_t ram_above_4g, uint64_t above_4g_start);

/* ---- Boot order ---- */

/* Writes the files bootorder (all devices with a bootindex, and what bootorder_add_rom names) and bios-geometry.
 * Called when the machine is ready, and after -boot once or a hot-plug changed what they say. */
bool bootorder_update(Machine *m, FwCfg *f, const char *first_rom, bool strict, GError **err);

/* ---- The fixed items of a PC's fw_cfg ---- */

typedef struct FwCfgFacts {
    uint8_t uuid[16];                   /* zeros: none was given */
    bool graphics;
    uint64_t ram_size;
    unsigned n_cpus;                    /* present */
    unsigned apic_id_limit;             /* the highest possible APIC id + 1 */
    const TablesCpu *cpus;
    unsigned n_possible;
    const TablesNode *nodes;
    unsigned n_nodes;
    GArray *e820;
    bool hpet, acpi, s3, s4;
    uint8_t s4_value;
    bool boot_menu;                     /* -boot menu=on */
    const char *boot_splash;            /* file name, or NULL */
    int64_t boot_splash_time, boot_reboot_timeout;      /* -1: not set */
} FwCfgFacts;
bool fw_cfg_add_pc(FwCfg *f, const FwCfgFacts *facts, GError **err);

/* ---- -kernel ---- */

#define KERNEL_ROM_SIZE 1536

typedef struct KernelFacts {
    const char *kernel, *initrd, *append;       /* as given; NULL: not */
    uint64_t ram_below_4g;
} KernelFacts;

/* Gives the kernel, and the option ROM that starts it, to fw_cfg: Linux (bzImage and zImage, boot protocol 2.00 and later),
 * multiboot 1, ELF with a PVH note. *rom is the ROM's file name, for the boot order; NULL without -kernel. */
bool kernel_load(FwCfg *f, const KernelFacts *k, const char **rom, GError **err);

#endif
