/*
 * ACPI tables of a PC as the firmware gets them: RSDP, RSDT, FACS, DSDT, FADT, MADT, HPET, SRAT, SLIT, WAET and the SSDT of
 * vmgenid, with the commands that place and connect them. ACPI 1.0b layouts, SRAT of ACPI 3.0 (as QEMU 7.2's type pc).
 *
 * Not made: MCFG (there is no PCI Express), HMAT, NVDIMM, TPM and user-supplied tables (-acpitable).
 */
#include <string.h>
#include "hw/acpi/aml.h"
#include "hw/acpi/linker.h"
#include "hw/i386/acpi-int.h"
#include "hw/i386/vmgenid.aml.h"

/* The files grow by these steps, so that their sizes do not change with every detail of a machine: a migration's
 * destination must have room for the source's. */
#define TABLES_STEP 0x20000
#define LOADER_STEP 0x1000
#define TABLES_FILE "etc/acpi/tables"
#define RSDP_FILE "etc/acpi/rsdp"
#define GUID_FILE "etc/vmgenid_guid"
#define GUID_OFFSET 40

typedef struct Build {
    const AcpiFacts *f;
    GByteArray *b, *loader;
    GArray *offsets;                    /* uint32_t: the tables that RSDT lists */
    guint start;                        /* of the table being written */
} Build;

static void le(GByteArray *b, uint64_t v, unsigned n)
{
    v = GUINT64_TO_LE(v);
    g_byte_array_append(b, (uint8_t *)&v, n);
}

/* Exactly n bytes, padded with zeros. */
static void padded(GByteArray *b, const char *s, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        le(b, *s ? *s++ : 0, 1);
}

static void begin_table(Build *t, const char *sig, const char *table_id)
{
    const AcpiFacts *f = t->f;

    t->start = t->b->len;
    padded(t->b, sig, 4);
    le(t->b, 0, 4);                     /* length: end_table */
    le(t->b, 1, 1);
    le(t->b, 0, 1);                     /* checksum: the firmware's */
    padded(t->b, f->oem_id ? f->oem_id : "BOCHS ", 6);
    padded(t->b, table_id ? table_id : f->oem_table_id ? f->oem_table_id : "BXPC    ", 8);
    le(t->b, 1, 4);
    padded(t->b, "BXPC", 4);
    le(t->b, 1, 4);
}

static void end_table(Build *t, bool listed)
{
    uint32_t len = t->b->len - t->start, le_len = GUINT32_TO_LE(len);

    memcpy(t->b->data + t->start + 4, &le_len, 4);
    linker_add_checksum(t->loader, TABLES_FILE, t->start + 9, t->start, len);
    if (listed)
        g_array_append_val(t->offsets, t->start);
}

/* A 32-bit pointer to offset `to` of the same file. */
static void pointer(Build *t, uint32_t to)
{
    linker_add_pointer(t->loader, TABLES_FILE, t->b->len, 4, TABLES_FILE);
    le(t->b, to, 4);
}

static void put_facs(Build *t)
{
    padded(t->b, "FACS", 4);
    le(t->b, 64, 4);
    g_byte_array_set_size(t->b, t->b->len + 56);
    memset(t->b->data + t->b->len - 56, 0, 56);
}

static void put_fadt(Build *t, uint32_t facs, uint32_t dsdt)
{
    enum { WBINVD = 1 << 0, C1_ON_ALL = 1 << 2, NO_SLEEP_BUTTON = 1 << 5, RTC_WAKES_S4 = 1 << 7, PLATFORM_CLOCK = 1 << 15,
           APIC_CLUSTER = 1 << 18 };
    const AcpiFacts *f = t->f;
    GByteArray *b = t->b;

    begin_table(t, "FACP", NULL);
    pointer(t, facs);
    pointer(t, dsdt);
    le(b, 1, 1);                        /* model: the 8259s are there */
    le(b, 0, 1);
    le(b, 9, 2);                        /* SCI */
    le(b, f->smm ? 0xb2 : 0, 4);        /* SMI command port, and what turns ACPI on and off there */
    le(b, f->smm ? 0xf1 : 0, 1);
    le(b, f->smm ? 0xf0 : 0, 1);
    le(b, 0, 2);
    le(b, f->pm_base, 4);               /* PM1a events */
    le(b, 0, 4);
    le(b, f->pm_base + 4, 4);           /* PM1a control */
    le(b, 0, 8);
    le(b, f->pm_base + 8, 4);           /* timer */
    le(b, 0xafe0, 4);                   /* GPE0 */
    le(b, 0, 4);
    le(b, 4, 1);                        /* lengths of those: PM1 events, control, PM2, timer, GPE0, GPE1 */
    le(b, 2, 1);
    le(b, 0, 1);
    le(b, 4, 1);
    le(b, 4, 1);
    le(b, 0, 3);
    le(b, 0xfff, 2);                    /* C2 and C3 latencies: not supported */
    le(b, 0xfff, 2);
    le(b, 0, 8);
    le(b, 0x32, 1);                     /* CMOS index of the century */
    le(b, 0, 3);
    le(b, WBINVD | C1_ON_ALL | NO_SLEEP_BUTTON | RTC_WAKES_S4 | PLATFORM_CLOCK | (f->n_cpus > 8 ? APIC_CLUSTER : 0), 4);
    end_table(t, true);
}

void acpi_madt_cpu(GByteArray *b, unsigned n, uint32_t apic_id, bool enabled)
{
    if (apic_id < 255 && n < 255) {
        le(b, 0 | 8 << 8, 2);           /* local APIC */
        le(b, n | apic_id << 8, 2);
        le(b, enabled, 4);
    } else {
        le(b, 9 | 16 << 8, 2);          /* local x2APIC */
        le(b, 0, 2);
        le(b, apic_id, 4);
        le(b, enabled, 4);
        le(b, n, 4);
    }
}

static void put_override(GByteArray *b, unsigned irq, unsigned gsi, unsigned flags)
{
    le(b, 2 | 10 << 8, 2);
    le(b, 0 | irq << 8, 2);             /* bus ISA */
    le(b, gsi, 4);
    le(b, flags, 2);
}

static void put_madt(Build *t)
{
    static const uint8_t pci_irqs[] = { 5, 9, 10, 11 };
    const AcpiFacts *f = t->f;
    GByteArray *b = t->b;
    bool x2apic = false;

    begin_table(t, "APIC", NULL);
    le(b, 0xfee00000, 4);
    le(b, 1, 4);                        /* 8259s are there */
    for (unsigned i = 0; i < f->n_cpus; i++) {
        acpi_madt_cpu(b, i, f->cpus[i].apic_id, f->cpus[i].present);
        x2apic |= f->cpus[i].apic_id > 254;
    }
    le(b, 1 | 12 << 8, 2);              /* I/O APIC 0 */
    le(b, 0, 2);
    le(b, 0xfec00000, 4);
    le(b, 0, 4);
    put_override(b, 0, 2, 0);
    for (unsigned i = 0; i < sizeof pci_irqs; i++)
        put_override(b, pci_irqs[i], pci_irqs[i], 0xd);     /* level, active high */
    if (x2apic) {
        le(b, 0xa | 12 << 8, 2);        /* NMI at LINT1 of all */
        le(b, 0, 2);
        le(b, 0xffffffff, 4);
        le(b, 1, 4);
    } else {
        le(b, 4 | 6 << 8, 2);
        le(b, 0xff, 1);
        le(b, 0, 2);
        le(b, 1, 1);
    }
    end_table(t, true);
}

static void put_vmgenid(Build *t)
{
    Aml a = { t->b };

    begin_table(t, "SSDT", "VMGENID");
    linker_write_pointer(t->loader, "etc/vmgenid_addr", 0, 8, GUID_FILE, GUID_OFFSET);
    aml_name(&a, "VGIA");
    le(t->b, 0x0c, 1);                  /* DWordConst, which the firmware patches */
    linker_add_pointer(t->loader, TABLES_FILE, t->b->len, 4, GUID_FILE);
    le(t->b, 0, 4);
    aml_begin_device(&a, "\\_SB.VGEN");
    aml_name_string(&a, "_HID", "QEMUVGID");
    aml_name_string(&a, "_CID", "VM_Gen_Counter");
    aml_name_string(&a, "_DDN", "VM_Gen_Counter");
    aml_end(&a);
    acpi_append_code(t->b, aml_vmgenid, sizeof aml_vmgenid);
    end_table(t, true);
}

static void put_hpet(Build *t)
{
    begin_table(t, "HPET", NULL);
    le(t->b, 0x8086a201, 4);            /* revision 1, 3 timers, 64 bits, legacy routing, Intel */
    le(t->b, 0, 4);                     /* in system memory */
    le(t->b, 0xfed00000, 8);
    le(t->b, 0, 4);
    end_table(t, true);
}

enum { SRAT_ENABLED = 1, SRAT_HOTPLUG = 2 };

static void put_srat_memory(Build *t, uint64_t base, uint64_t size, unsigned node, unsigned flags)
{
    le(t->b, 1 | 40 << 8, 2);
    le(t->b, node, 4);
    le(t->b, 0, 2);
    le(t->b, base, 8);
    le(t->b, size, 8);
    le(t->b, 0, 4);
    le(t->b, flags, 4);
    le(t->b, 0, 8);
}

static void put_srat_cpu(Build *t, const TablesCpu *cpu)
{
    unsigned node = MAX(cpu->node, 0);

    if (cpu->apic_id < 255) {
        le(t->b, 0 | 16 << 8, 2);
        le(t->b, (node & 0xff) | cpu->apic_id << 8, 2);
        le(t->b, 1, 4);
        le(t->b, (uint64_t)(node >> 8) << 8, 4);
        le(t->b, 0, 4);
    } else {
        le(t->b, 2 | 24 << 8, 2);
        le(t->b, 0, 2);
        le(t->b, node, 4);
        le(t->b, cpu->apic_id, 4);
        le(t->b, 1, 4);
        le(t->b, 0, 8);
    }
}

/* RAM [base, base+size) of a node, without the hole below 1 MiB; returns the number of entries written. */
static unsigned put_srat_range(Build *t, uint64_t base, uint64_t size, unsigned node)
{
    const uint64_t hole = 640 << 10, hole_end = 1 << 20;
    uint64_t end = base + size;
    unsigned n = 0;

    if (base < hole_end && end > hole) {
        if (base < hole) {
            put_srat_memory(t, base, hole - base, node, SRAT_ENABLED);
            n++;
        }
        base = hole_end;
    }
    if (end > base) {
        put_srat_memory(t, base, end - base, node, SRAT_ENABLED);
        n++;
    }
    return n;
}

static void put_srat(Build *t)
{
    const AcpiFacts *f = t->f;
    uint64_t next = 0;                  /* position in RAM as if there were no hole below 4 GiB */
    unsigned entries = 0;

    begin_table(t, "SRAT", NULL);
    le(t->b, 1, 4);
    le(t->b, 0, 8);
    for (unsigned i = 0; i < f->n_cpus; i++)
        put_srat_cpu(t, &f->cpus[i]);
    for (unsigned i = 0; i < f->n_nodes; i++) {
        uint64_t size = f->nodes[i].size, low = next < f->ram_below_4g ? MIN(size, f->ram_below_4g - next) : 0;

        if (low)
            entries += put_srat_range(t, next, low, i);
        next += low;
        if (size > low) {
            put_srat_memory(t, f->above_4g_start + (next - f->ram_below_4g), size - low, i, SRAT_ENABLED);
            next += size - low;
            entries++;
        }
    }
    for (; entries < f->n_nodes + 2; entries++)
        put_srat_memory(t, 0, 0, 0, 0);
    if (f->mem_slots)
        put_srat_memory(t, f->dimm_base, f->dimm_size, MAX(f->n_nodes, 1) - 1, SRAT_ENABLED | SRAT_HOTPLUG);
    end_table(t, true);
}

static void put_slit(Build *t)
{
    const AcpiFacts *f = t->f;

    begin_table(t, "SLIT", NULL);
    le(t->b, f->n_nodes, 8);
    for (unsigned i = 0; i < f->n_nodes; i++)
        for (unsigned j = 0; j < f->n_nodes; j++)
            le(t->b, f->nodes[i].distance ? f->nodes[i].distance[j] : i == j ? 10 : 20, 1);
    end_table(t, true);
}

static void put_waet(Build *t)
{
    begin_table(t, "WAET", NULL);
    le(t->b, 2, 4);                     /* one read of the PM timer is enough */
    end_table(t, true);
}

static uint32_t put_rsdt(Build *t)
{
    begin_table(t, "RSDT", NULL);
    for (unsigned i = 0; i < t->offsets->len; i++)
        pointer(t, g_array_index(t->offsets, uint32_t, i));
    end_table(t, false);
    return t->start;
}

static void put_rsdp(Build *t, GByteArray *b, uint32_t rsdt)
{
    padded(b, "RSD PTR ", 8);
    le(b, 0, 1);
    padded(b, t->f->oem_id ? t->f->oem_id : "BOCHS ", 6);
    le(b, 0, 1);                        /* ACPI 1.0 */
    le(b, rsdt, 4);
    linker_add_pointer(t->loader, RSDP_FILE, 16, 4, TABLES_FILE);
    linker_add_checksum(t->loader, RSDP_FILE, 8, 0, 20);
}

static void pad_to_step(GByteArray *b, unsigned step)
{
    guint old = b->len;

    g_byte_array_set_size(b, (old + step - 1) / step * step);
    memset(b->data + old, 0, b->len - old);
}

static bool has_distances(const AcpiFacts *f)
{
    for (unsigned i = 0; i < f->n_nodes; i++)
        if (f->nodes[i].distance)
            return true;
    return false;
}

void acpi_build(const AcpiFacts *f, AcpiFiles *out)
{
    Build t = { f, out->tables, out->loader, g_array_new(false, false, sizeof(uint32_t)), 0 };
    uint32_t facs, dsdt;

    linker_allocate(t.loader, TABLES_FILE, 64, false);      /* FACS needs 64 */
    facs = t.b->len;
    put_facs(&t);
    begin_table(&t, "DSDT", NULL);
    dsdt = t.start;
    acpi_dsdt_code(t.b, f);
    end_table(&t, false);
    put_fadt(&t, facs, dsdt);
    put_madt(&t);
    if (f->vmgenid) {
        linker_allocate(t.loader, GUID_FILE, 4096, false);
        put_vmgenid(&t);
    }
    if (f->hpet)
        put_hpet(&t);
    if (f->n_nodes) {
        put_srat(&t);
        if (has_distances(f))
            put_slit(&t);
    }
    put_waet(&t);
    linker_allocate(t.loader, RSDP_FILE, 16, true);
    put_rsdp(&t, out->rsdp, put_rsdt(&t));
    pad_to_step(t.b, TABLES_STEP);
    pad_to_step(t.loader, LOADER_STEP);
    g_array_unref(t.offsets);
}
