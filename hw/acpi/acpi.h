/* ACPI hardware of the PC: the PIIX4's power management function. */
#ifndef HW_ACPI_ACPI_H
#define HW_ACPI_ACPI_H
#include "hw/pci/pci.h"

extern const DeviceType piix4_pm_type;

/* General-purpose events of the machine, as bits of GPE0_STS; the DSDT's methods _E01, _E02, ... serve them. */
typedef enum AcpiEvent {
    ACPI_EVENT_PCI_HOTPLUG = 1 << 1, ACPI_EVENT_CPU_HOTPLUG = 1 << 2, ACPI_EVENT_MEM_HOTPLUG = 1 << 3,
    ACPI_EVENT_NVDIMM_HOTPLUG = 1 << 4, ACPI_EVENT_VMGENID = 1 << 5,
} AcpiEvent;

#define ACPI_GPE0_PORT 0xafe0
#define ACPI_GPE0_LEN 4
#define ACPI_PCIHP_PORT 0xae00
#define ACPI_PCIHP_LEN 0x18
#define ACPI_MEMHP_PORT 0x0a00
#define ACPI_MEMHP_LEN 0x18
#define ACPI_CPUHP_PORT 0xaf00
#define ACPI_CPUHP_LEN 0x0c             /* 0x20 until the guest chooses the modern interface */

/* Makes "PIIX4_PM" at devfn (01.3) with its SMBus "i2c" and eight empty EEPROMs on it, as memory modules would have.
 * sci, to, n: where the SCI goes (IRQ 9); smi: where SMIs go, or NULL: no system management mode. */
Device *piix4_pm_create(PciBus *b, unsigned devfn, uint16_t smbus_port, LineSink *sci, void *to, unsigned n, LineSink *smi, void *smi_to,
                        GError **err);
/* The APIC ids of all CPUs that the machine may have; those present are the machine's vcpus. */
void piix4_pm_set_cpus(Device *pm, const uint32_t *apic_ids, unsigned n);
/* A CPU came (device_add), or shall go (device_del): tells the guest. false: the guest has not yet set up what it takes. */
bool piix4_pm_cpu_event(Device *pm, uint32_t apic_id, bool removing);
/* A memory module in a slot: it was plugged in; it shall go (device_del); it has gone. false: there is no such slot. */
typedef struct AcpiDimm { uint64_t addr, size; uint32_t node; bool removing; Device *dimm; } AcpiDimm;
bool piix4_pm_dimm_plugged(Device *pm, unsigned slot, const AcpiDimm *d);
bool piix4_pm_dimm_request(Device *pm, unsigned slot);
void piix4_pm_dimm_gone(Device *pm, unsigned slot);
/* Raises a general-purpose event (no effect on a machine without power management). */
void acpi_send_event(Machine *m, AcpiEvent ev);
#endif
