/* Between the files of hw/acpi: fixed hardware registers, PCI and CPU hot-plug registers. */
#ifndef HW_ACPI_ACPI_INT_H
#define HW_ACPI_ACPI_INT_H
#include "hw/acpi/acpi.h"
#include "hw/core/machine.h"

#define PM_TIMER_HZ 3579545u

/* PM1 status and enable, PM1 control, GPE0. */
enum {
    PM1_TMR = 1 << 0, PM1_GBL = 1 << 5, PM1_PWRBTN = 1 << 8, PM1_SLPBTN = 1 << 9, PM1_RTC = 1 << 10, PM1_WAK = 1 << 15,
    PM1_SCI_EN = 1 << 0, PM1_SLP_EN = 1 << 13, PM1_SLP_TYP_SHIFT = 10, PM1_SLP_TYP_MASK = 7,
};

/* Fixed hardware (ACPI 1.0b, 4.7): the same in every chipset. */
typedef struct AcpiRegs {
    uint16_t pm1_sts, pm1_en, pm1_cnt;
    uint16_t gpe_sts, gpe_en;
    Timer timer;                        /* fires when the PM timer's bit 23 changes */
    int64_t overflow_time;              /* when it does, in PM timer ticks */
    Line sci;

    Device *dev;
    const uint8_t *s4_typ;              /* SLP_TYP of S4 */
    bool only;                          /* in ACPI mode from the start; else port 0xb2 changes it */
    Region evt, cnt, tmr, gpe;
} AcpiRegs;

/* Sets up the registers: event, control and timer blocks at 0, 4 and 8 of `block`, GPE0 at its fixed ports. */
void acpi_regs_init(AcpiRegs *s, Device *d, Region *block, const uint8_t *s4_typ);
void acpi_regs_fini(AcpiRegs *s);
void acpi_regs_reset(AcpiRegs *s);      /* what the table's reset values can't do */
void acpi_regs_save(AcpiRegs *s);       /* TMR_STS is brought in only when somebody looks */
void acpi_regs_loaded(AcpiRegs *s);     /* the SCI's level, without an edge */
/* Port 0xb2's commands: into ACPI mode and out of it. */
void acpi_regs_set_mode(AcpiRegs *s, bool acpi);
void acpi_regs_gpe(AcpiRegs *s, uint16_t bits);
void acpi_regs_power_button(AcpiRegs *s);
void acpi_regs_woken(AcpiRegs *s);
/* Its rows for the table of T, whose member m it is, in the order of QEMU's stream. */
#define ACPI_PM1_FIELDS(T, m) FIELD(T, m.pm1_sts, .name = "ar.pm1.evt.sts"), FIELD(T, m.pm1_en, .name = "ar.pm1.evt.en"), \
    FIELD(T, m.pm1_cnt, .name = "ar.pm1.cnt.cnt", .reset = PM1_SCI_EN)
#define ACPI_TIMER_FIELDS(T, m) FIELD(T, m.timer, .name = "ar.tmr.timer"), \
    FIELD(T, m.overflow_time, .name = "ar.tmr.overflow_time")
#define ACPI_GPE_FIELDS(T, m) FIELD(T, m.gpe_sts, .name = "ar.gpe.sts"), FIELD(T, m.gpe_en, .name = "ar.gpe.en")
#define ACPI_HOST_FIELDS(T, m) FIELD(T, m.sci), HOST(T, m.dev), HOST(T, m.s4_typ), HOST(T, m.only), HOST(T, m.evt), HOST(T, m.cnt), \
    HOST(T, m.tmr), HOST(T, m.gpe)

/* ---- PCI hot-plug registers (QEMU's docs/specs/acpi_pci_hotplug) ---- */

#define PCIHP_BUSES 256
typedef struct AcpiPciHp {
    uint32_t select;                    /* the bus that the registers show */
    struct AcpiPciHpStatus { uint32_t up, down; } status[PCIHP_BUSES];  /* bit a slot */
    uint32_t acpi_index;

    bool legacy;                        /* one bus, as before there was bridge support */
    PciBus *bus;                        /* bus 0: the only one */
    AcpiRegs *acpi;
    Region io;
} AcpiPciHp;

extern const StateTable acpi_pcihp_status_state;
/* bridges: several buses (select); root_bus: devices may come and go on b itself. */
void acpi_pcihp_init(AcpiPciHp *s, Device *d, AcpiRegs *acpi, PciBus *b, bool bridges, bool root_bus);
void acpi_pcihp_fini(AcpiPciHp *s);
void acpi_pcihp_reset(AcpiPciHp *s);
/* Rows of T, whose member m it is; bridges, old and index tell from T which form the stream has. */
#define ACPI_PCIHP_FIELDS(T, m, bridges, old, index) \
    STRUCTS(T, m.status, &acpi_pcihp_status_state, .name = "acpi_pci_hotplug.acpi_pcihp_pci_status[0x0]", .since = 2, \
            .count = 1, .keep = true, .exists = old), \
    FIELD(T, m.select, .name = "acpi_pci_hotplug.hotplug_select", .exists = bridges), \
    STRUCTS(T, m.status, &acpi_pcihp_status_state, .name = "acpi_pci_hotplug.acpi_pcihp_pci_status", .keep = true, \
            .exists = bridges), \
    FIELD(T, m.acpi_index, .name = "acpi_pci_hotplug.acpi_index", .exists = index), \
    HOST(T, m.legacy), HOST(T, m.bus), HOST(T, m.acpi), HOST(T, m.io)

/* ---- CPU hot-plug registers (QEMU's docs/specs/acpi_cpu_hotplug) ---- */

#define CPUHP_MAX 288
typedef struct AcpiCpuHp {
    uint32_t selector;
    uint8_t command;
    bool modern;                        /* the guest chose the modern interface */
    struct AcpiCpuStatus {
        bool is_inserting, is_removing;
        uint32_t ost_event, ost_status;
    } devs[CPUHP_MAX];

    uint32_t apic_ids[CPUHP_MAX];       /* of all possible CPUs */
    uint32_t count;
    bool ejecting[CPUHP_MAX];           /* until the main loop comes to it */
    BottomHalf *eject;
    Device *dev;
    Region io;
} AcpiCpuHp;

extern const StateTable acpi_cpuhp_state;
void acpi_cpuhp_init(AcpiCpuHp *s, Device *d);
void acpi_cpuhp_fini(AcpiCpuHp *s);
void acpi_cpuhp_set_modern(AcpiCpuHp *s, bool on);
/* A CPU came, or is asked to go; false: the guest uses the legacy interface, which has no way to say so. */
bool acpi_cpuhp_event(AcpiCpuHp *s, uint32_t apic_id, bool removing);

/* ---- Memory hot-plug registers (QEMU's docs/specs/acpi_mem_hotplug) ---- */

#define MEMHP_MAX 256
typedef struct AcpiMemHp {
    uint32_t selector;
    struct AcpiMemStatus {
        bool is_enabled, is_inserting;
        uint32_t ost_event, ost_status;
    } devs[MEMHP_MAX];

    AcpiDimm slots[MEMHP_MAX];
    uint32_t count;                     /* 0: the machine has no slots, and no registers */
    Device *dev;
    Region io;
} AcpiMemHp;

extern const StateTable acpi_memhp_state;
void acpi_memhp_init(AcpiMemHp *s, Device *d, unsigned slots);
void acpi_memhp_fini(AcpiMemHp *s);
/* false: there is no such slot. tell: the guest is to find it as new. */
bool acpi_memhp_plug(AcpiMemHp *s, unsigned slot, const AcpiDimm *d, bool tell);
bool acpi_memhp_ask(AcpiMemHp *s, unsigned slot);
void acpi_memhp_gone(AcpiMemHp *s, unsigned slot);

/* The event ACPI_DEVICE_OST: what the guest's _OST said of a slot. d, its device, may be NULL. */
void acpi_ost_event(Machine *m, const Device *d, const char *type, unsigned slot, uint32_t source, uint32_t status);
#endif
