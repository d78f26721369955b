/* Between the files of the board "pc". */
#ifndef HW_I386_PC_INT_H
#define HW_I386_PC_INT_H
#include "hw/core/machine.h"
#include "hw/i386/tables.h"
#include "hw/isa/isa.h"
#include "hw/nvram/fw_cfg.h"
#include "hw/pci/pci.h"

/* A memory module (pc-dimm.c). */
typedef struct PcDimm {
    Device dev;
    uint64_t addr;                      /* guest-physical; 0: to be chosen */
    uint32_t node;
    int32_t slot;                       /* -1: to be chosen */
    struct MemBackend *backend;
    bool told;                          /* ACPI's registers show it */
    Region region;
} PcDimm;
extern const DeviceType pc_dimm_type;

typedef struct Pc {
    Machine *machine;
    Region ram, bios, isa_bios, option_roms, port80, portf0;
    uint64_t below_4g, above_4g;
    Region dimms;                       /* "device-memory": where modules go, at dimm_base; size 0: there are no slots */
    uint64_t dimm_base, dimm_size;
    PciBus *pci;
    IsaBus *isa;
    Device *pic, *ioapic, *pit, *rtc, *kbc, *ide, *pm, *hpet, *fdc;
    FwCfg *fw_cfg;
    Smbios *smbios;
    const char *kernel_rom;         /* fw_cfg's file that starts -kernel, or NULL */
    TablesCpu *cpus;                /* all that are possible */
    unsigned n_cpus;
    TablesNode *nodes;
    TablesBus bus0;
    TablesIsa isa_facts[16];
    bool booted_once;               /* -boot once= is used up by the next reset */
} Pc;

static inline Pc *pc_of(Machine *m) { return m->board; }
/* A machine property as text, or def. */
const char *pc_prop(Machine *m, const char *name, const char *def);
/* An on/off/auto property. */
bool pc_prop_on(Machine *m, const char *name, bool def);

/* Where global system interrupts 0..23 go; its opaque is the Pc. */
LineSink *pc_gsi_sink(void);
/* pc-memory.c: RAM layout and the BIOS. */
bool pc_memory_init(Pc *pc, GError **err);
bool pc_firmware_init(Pc *pc, GError **err);
/* What all modules together may have. */
static inline uint64_t pc_dimm_total(Machine *m) { return m->cfg->max_ram_size ? m->cfg->max_ram_size - m->cfg->ram_size : 0; }
/* pc-dimm.c: chooses or checks its slot and address. */
bool pc_dimm_place(Pc *pc, Device *d, GError **err);
/* pc-devices.c: the default devices, and what the command line asked for by the old options. */
bool pc_devices_init(Pc *pc, GError **err);
/* pc-cmos.c */
void pc_cmos_init(Pc *pc);
void pc_cmos_boot_order(Pc *pc);
bool pc_set_boot_order(Machine *m, const char *order, GError **err);
void pc_cmos_cpus(Pc *pc);              /* how many there are now */
/* pc-hotplug.c: CPUs and memory modules that come and go (MachineType). */
bool pc_pre_plug(Machine *m, Device *d, GError **err);
bool pc_plugged(Machine *m, Device *d, GError **err);
bool pc_request_unplug(Machine *m, Device *d, GError **err);
void pc_unplugged(Machine *m, Device *d);
/* The CMOS type of floppy drive n: 0 none, 2 1.2M, 4 1.44M, 5 2.88M. */
unsigned pc_floppy_type(Pc *pc, unsigned n);
/* pc-ready.c: firmware tables, kernel, boot order, once all devices exist. */
bool pc_ready(Machine *m, GError **err);
void pc_facts_init(Pc *pc);
#endif
