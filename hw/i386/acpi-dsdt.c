/*
 * The DSDT of a PC: the compiled part (dsdt.asl) and what depends on the machine: CPUs, memory modules, PCI windows and
 * slots, ISA devices, sleep states.
 *
 * Not made: TPM, IPMI.
 */
#include "hw/acpi/aml.h"
#include "hw/i386/acpi-int.h"
#include "hw/i386/dsdt-hpet.aml.h"
#include "hw/i386/dsdt-memhp.aml.h"
#include "hw/i386/dsdt.aml.h"

/* The code of a compiled table without its header and without the If (0) block that iasl begins with: the externals. */
void acpi_append_code(GByteArray *b, const uint8_t *aml, size_t len)
{
    const uint8_t *p = aml + ACPI_HEADER;

    if (p[0] == 0xa0) {
        unsigned more = p[1] >> 6, n = p[1] & (more ? 15 : 63);

        for (unsigned i = 0; i < more; i++)
            n |= p[2 + i] << (4 + 8 * i);
        p += 1 + n;
    }
    g_byte_array_append(b, p, aml + len - p);
}

/* ---- CPUs ---- */

static void put_mat(Aml *a, const TablesCpu *cpu, unsigned n)
{
    GByteArray *mat = g_byte_array_new();

    acpi_madt_cpu(mat, n, cpu->apic_id, true);
    aml_name(a, "_MAT");
    aml_buffer(a, mat->data, mat->len);
    g_byte_array_unref(mat);
}

static void put_cpu(Aml *a, const TablesCpu *cpu, unsigned n)
{
    char name[5];

    g_snprintf(name, sizeof name, "C%03X", n & 0xfff);
    if (cpu->apic_id < 255 && n < 255) {
        aml_begin_processor(a, name, n);
    } else {
        aml_begin_device(a, name);
        aml_name_string(a, "_HID", "ACPI0007");
        aml_name_int(a, "_UID", n);
    }
    aml_begin_method(a, "_STA", 0, true);
    aml_return(a);
    aml_path(a, "CSTA");
    aml_int(a, n);
    aml_end(a);
    put_mat(a, cpu, n);
    if (n) {                            /* the boot processor cannot go */
        aml_begin_method(a, "_EJ0", 1, false);
        aml_path(a, "CEJ0");
        aml_int(a, n);
        aml_end(a);
    }
    aml_begin_method(a, "_OST", 3, true);
    aml_path(a, "COST");
    aml_int(a, n);
    aml_raw(a, (const uint8_t[]){ AML_ARG0, AML_ARG0 + 1, AML_ARG0 + 2 }, 3);
    aml_end(a);
    if (cpu->node >= 0)
        aml_name_int(a, "_PXM", cpu->node);
    aml_end(a);
}

static void put_cpus(Aml *a, const AcpiFacts *f)
{
    char name[5];

    aml_begin_scope(a, "\\_SB.CPUS");
    aml_name_int(a, "CMAX", f->n_cpus);
    for (unsigned i = 0; i < f->n_cpus; i++)
        put_cpu(a, &f->cpus[i], i);
    aml_begin_method(a, "CTFY", 2, false);
    for (unsigned i = 0; i < f->n_cpus; i++) {
        g_snprintf(name, sizeof name, "C%03X", i & 0xfff);
        aml_begin_if_arg_equal(a, 0, i);
        aml_notify_arg(a, name, 1);
        aml_end(a);
    }
    aml_end(a);
    aml_end(a);
}

/* ---- Memory modules ---- */

/* Method (name, args) { Return (target (slot, args...)) } */
static void put_slot_method(Aml *a, const char *name, unsigned args, const char *target, unsigned slot, bool value)
{
    aml_begin_method(a, name, args, true);
    if (value)
        aml_return(a);
    aml_path(a, target);
    aml_int(a, slot);
    if (args == 3)
        aml_raw(a, (const uint8_t[]){ AML_ARG0, AML_ARG0 + 1, AML_ARG0 + 2 }, 3);
    aml_end(a);
}

static void put_modules(Aml *a, const AcpiFacts *f)
{
    char name[8];

    aml_begin_scope(a, "\\_SB.MHPC");
    aml_name_int(a, "MMAX", f->mem_slots);
    for (unsigned i = 0; i < f->mem_slots; i++) {
        g_snprintf(name, sizeof name, "MP%02X", i & 0xff);
        aml_begin_device(a, name);
        aml_name_eisa(a, "_HID", "PNP0C80");
        g_snprintf(name, sizeof name, "0x%02X", i & 0xff);
        aml_name_string(a, "_UID", name);
        put_slot_method(a, "_STA", 0, "MSTA", i, true);
        put_slot_method(a, "_CRS", 0, "MCRS", i, true);
        put_slot_method(a, "_PXM", 0, "MPXM", i, true);
        put_slot_method(a, "_OST", 3, "MSTS", i, false);
        put_slot_method(a, "_EJ0", 1, "MEJX", i, false);
        aml_end(a);
    }
    aml_begin_method(a, "MTFY", 2, false);
    for (unsigned i = 0; i < f->mem_slots; i++) {
        g_snprintf(name, sizeof name, "MP%02X", i & 0xff);
        aml_begin_if_arg_equal(a, 0, i);
        aml_notify_arg(a, name, 1);
        aml_end(a);
    }
    aml_end(a);
    aml_end(a);
}

/* ---- PCI ---- */

static void put_windows(Aml *a, const AcpiFacts *f)
{
    Crs c = crs_new();

    crs_bus_numbers(&c, 0, 0xff);
    crs_io(&c, 0xcf8, 1, 8);
    crs_io_window(&c, 0, 0xcf7);
    crs_io_window(&c, 0xd00, 0xffff);
    crs_mem_window(&c, 0xa0000, 0xbffff, true, false);
    if (f->hole_last > f->hole_first)
        crs_mem_window(&c, f->hole_first, f->hole_last, false, false);
    if (f->hole64_last > f->hole64_first)
        crs_mem_window(&c, f->hole64_first, f->hole64_last, true, true);
    aml_begin_scope(a, "\\_SB.PCI0");
    aml_name_crs(a, "_CRS", &c);
    aml_end(a);
}

/* Method (_DSM, 4, Serialized) { Local0 = Package (2) { BSEL, ASUN }  Return (PDSM (Arg0, Arg1, Arg2, Arg3, Local0)) } */
static void put_dsm(Aml *a)
{
    static const uint8_t code[] = {
        0x70, 0x12, 10, 2, 'B', 'S', 'E', 'L', 'A', 'S', 'U', 'N', 0x60,
        0xa4, 'P', 'D', 'S', 'M', 0x68, 0x69, 0x6a, 0x6b, 0x60,
    };

    aml_begin_method(a, "_DSM", 4, true);
    aml_raw(a, code, sizeof code);
    aml_end(a);
}

static void put_bus(Aml *a, const TablesBus *bus, unsigned depth);

/* A VGA card stays on in S1 to S3. */
static void put_vga(Aml *a)
{
    static const char *const method[] = { "_S1D", "_S2D", "_S3D" };

    for (unsigned i = 0; i < 3; i++) {
        aml_begin_method(a, method[i], 0, false);
        aml_return(a);
        aml_int(a, 0);
        aml_end(a);
    }
}

static void put_eject(Aml *a, unsigned slot)
{
    static const uint8_t code[] = { 'P', 'C', 'E', 'J', 'B', 'S', 'E', 'L', '_', 'S', 'U', 'N' };

    aml_name_int(a, "_SUN", slot);
    aml_begin_method(a, "_EJ0", 1, false);
    aml_raw(a, code, sizeof code);
    aml_end(a);
}

static bool slot_ejectable(const TablesBus *bus, unsigned n)
{
    return bus->bsel >= 0 && !(bus->slot[n].present && bus->slot[n].pinned);
}

static void put_slot(Aml *a, const TablesBus *bus, unsigned n, bool isa_bridge, unsigned depth)
{
    const TablesSlot *s = &bus->slot[n];
    char name[5];

    g_snprintf(name, sizeof name, "S%02X", n << 3);
    if (isa_bridge) {                   /* dsdt.asl has it */
        aml_begin_scope(a, name);
    } else {
        aml_begin_device(a, name);
        aml_name_int(a, "_ADR", n << 16);
    }
    if (bus->bsel >= 0) {
        aml_name_int(a, "ASUN", n);
        put_dsm(a);
    }
    if (s->present && s->vga)
        put_vga(a);
    if (s->present && s->bus)
        put_bus(a, s->bus, depth + 1);
    if (slot_ejectable(bus, n))
        put_eject(a, n);
    aml_end(a);
}

/* DVNT: tells the devices of a set of slots of an event. */
static void put_notify(Aml *a, const TablesBus *bus)
{
    char name[5];

    aml_begin_method(a, "DVNT", 2, false);
    for (unsigned i = 0; i < 32; i++) {
        if (slot_ejectable(bus, i)) {
            g_snprintf(name, sizeof name, "S%02X", i << 3);
            aml_begin_if_arg_and(a, 0, 1u << i);
            aml_notify_arg(a, name, 1);
            aml_end(a);
        }
    }
    aml_end(a);
}

/* PCNT: looks for hot-plug events on this bus and those behind it. */
static void put_scan(Aml *a, const TablesBus *bus)
{
    char name[16];

    aml_begin_method(a, "PCNT", 0, false);
    if (bus->bsel >= 0) {
        aml_store_int(a, bus->bsel, "BNUM");
        aml_path(a, "DVNT");
        aml_path(a, "PCIU");
        aml_int(a, 1);                  /* bus check of one device */
        aml_path(a, "DVNT");
        aml_path(a, "PCID");
        aml_int(a, 3);                  /* eject request */
    }
    for (unsigned i = 0; i < 32; i++) {
        if (bus->slot[i].present && bus->slot[i].bus) {
            g_snprintf(name, sizeof name, "^S%02X.PCNT", i << 3);
            aml_path(a, name);
        }
    }
    aml_end(a);
}

static void put_bus(Aml *a, const TablesBus *bus, unsigned depth)
{
    static const TablesBus none = { .bsel = -1 };

    if (depth > AML_DEPTH - 8)          /* deeper than any real machine: no names, and no hot-plug, behind it */
        bus = &none;
    if (bus->bsel >= 0)
        aml_name_int(a, "BSEL", bus->bsel);
    for (unsigned i = 0; i < 32; i++)
        if (bus->slot[i].present || bus->bsel >= 0)
            put_slot(a, bus, i, depth == 0 && i == 1, depth);
    if (bus->bsel >= 0)
        put_notify(a, bus);
    put_scan(a, bus);
}

static void put_pci(Aml *a, const AcpiFacts *f)
{
    static const char lock[] = "\\_SB.PCI0.BLCK";

    aml_begin_scope(a, "\\_SB.PCI0");
    put_bus(a, f->bus0, 0);
    aml_end(a);
    aml_begin_scope(a, "\\_GPE");
    aml_begin_method(a, "_E01", 0, false);
    aml_raw(a, (const uint8_t[]){ 0x5b, 0x23 }, 2);         /* Acquire (BLCK, 0xffff) */
    aml_path(a, lock);
    aml_raw(a, (const uint8_t[]){ 0xff, 0xff }, 2);
    aml_path(a, "\\_SB.PCI0.PCNT");
    aml_raw(a, (const uint8_t[]){ 0x5b, 0x27 }, 2);         /* Release */
    aml_path(a, lock);
    aml_end(a);
    aml_end(a);
}

/* ---- ISA ---- */

static void begin_isa(Aml *a, const char *name, const char *hid)
{
    aml_begin_device(a, name);
    aml_name_eisa(a, "_HID", hid);
}

static void put_keyboard(Aml *a)
{
    Crs c = crs_new();

    begin_isa(a, "KBD", "PNP0303");
    aml_name_int(a, "_STA", 15);
    crs_io(&c, 0x60, 1, 1);
    crs_io(&c, 0x64, 1, 1);
    crs_irq(&c, 1);
    aml_name_crs(a, "_CRS", &c);
    aml_end(a);
    begin_isa(a, "MOU", "PNP0F13");
    aml_name_int(a, "_STA", 15);
    c = crs_new();
    crs_irq(&c, 12);
    aml_name_crs(a, "_CRS", &c);
    aml_end(a);
}

/* _FDI: what INT 13h, AH=8 would say of the drive. */
static void put_floppy(Aml *a, unsigned n, uint8_t type)
{
    uint64_t fdi[16] = {
        n, type, type == 5 ? 0x4f : 0x52, type == 5 ? 0x30 : type == 4 ? 0x18 : 0x14,
        1, 0xaf, 2, 0x25, 2, 0x12, 0x1b, 0xff, 0x6c, 0xf6, 0x0f, 8,
    };

    aml_begin_device(a, n ? "FLPB" : "FLPA");
    aml_name_int(a, "_ADR", n);
    aml_name(a, "_FDI");
    aml_package(a, fdi, 16);
    aml_end(a);
}

static void put_fdc(Aml *a, const TablesIsa *d)
{
    uint8_t fde[20] = { [0] = d->floppy[0] != 0, [4] = d->floppy[1] != 0, [16] = 2 };
    Crs c = crs_new();

    begin_isa(a, "FDC0", "PNP0700");
    crs_io(&c, d->iobase + 2, 0, 4);
    crs_io(&c, d->iobase + 7, 0, 1);
    crs_irq(&c, d->irq);
    crs_dma(&c, 2);
    aml_name_crs(a, "_CRS", &c);
    for (unsigned i = 0; i < 2; i++)
        if (d->floppy[i])
            put_floppy(a, i, d->floppy[i]);
    aml_name(a, "_FDE");
    aml_buffer(a, fde, sizeof fde);
    aml_end(a);
}

static void put_port(Aml *a, const TablesIsa *d, const char *prefix, const char *hid, uint8_t align)
{
    char name[5];
    Crs c = crs_new();

    g_snprintf(name, sizeof name, "%s%u", prefix, (d->index + 1) % 10);
    begin_isa(a, name, hid);
    aml_name_int(a, "_UID", d->index + 1);
    aml_name_int(a, "_STA", 15);
    crs_io(&c, d->iobase, align, 8);
    crs_irq(&c, d->irq & 15);
    aml_name_crs(a, "_CRS", &c);
    aml_end(a);
}

static void put_pvpanic(Aml *a, const TablesIsa *d)
{
    Crs c = crs_new();

    aml_begin_device(a, "PEVT");
    aml_name_string(a, "_HID", "QEMU0001");
    crs_io(&c, d->iobase, 1, 1);
    aml_name_crs(a, "_CRS", &c);
    aml_io_region(a, "PEOR", d->iobase, 1);
    aml_byte_field(a, "PEOR", "PEPT", 8);
    aml_name_int(a, "_STA", 15);
    aml_begin_method(a, "RDPT", 0, false);
    aml_return(a);
    aml_path(a, "PEPT");
    aml_end(a);
    aml_begin_method(a, "WRPT", 1, false);
    aml_raw(a, (const uint8_t[]){ 0x70, AML_ARG0 }, 2);     /* PEPT = Arg0 */
    aml_path(a, "PEPT");
    aml_end(a);
    aml_end(a);
}

static void put_rtc(Aml *a)
{
    Crs c = crs_new();

    begin_isa(a, "RTC", "PNP0B00");
    crs_io(&c, 0x70, 1, 8);
    crs_irq(&c, 8);
    aml_name_crs(a, "_CRS", &c);
    aml_end(a);
}

static void put_isa(Aml *a, const AcpiFacts *f)
{
    aml_begin_scope(a, "\\_SB.PCI0.S08");
    /* The newest first, as stock QEMU has them: Linux numbers its PnP devices in this order. */
    for (unsigned i = f->n_isa; i-- > 0;) {
        const TablesIsa *d = &f->isa[i];

        switch (d->kind) {
        case TABLES_KBD: put_keyboard(a); break;
        case TABLES_FDC: put_fdc(a, d); break;
        case TABLES_LPT: put_port(a, d, "LPT", "PNP0400", 8); break;
        case TABLES_COM: put_port(a, d, "COM", "PNP0501", 0); break;
        case TABLES_PVPANIC: put_pvpanic(a, d); break;
        case TABLES_RTC: put_rtc(a); break;
        }
    }
    aml_end(a);
}

/* ---- Sleep states: SLP_TYP of PM1a and PM1b ---- */

static void put_sleep(Aml *a, const char *name, uint64_t typ)
{
    uint64_t v[4] = { typ, typ };

    aml_name(a, name);
    aml_package(a, v, 4);
}

void acpi_dsdt_code(GByteArray *b, const AcpiFacts *f)
{
    Aml a = { b };

    acpi_append_code(b, aml_dsdt, sizeof aml_dsdt);
    if (f->hpet)
        acpi_append_code(b, aml_dsdt_hpet, sizeof aml_dsdt_hpet);
    put_cpus(&a, f);
    if (f->mem_slots) {
        acpi_append_code(b, aml_dsdt_memhp, sizeof aml_dsdt_memhp);
        put_modules(&a, f);
    }
    put_windows(&a, f);
    if (f->s3)
        put_sleep(&a, "\\_S3", 1);
    if (f->s4)
        put_sleep(&a, "\\_S4", f->s4_value);
    put_sleep(&a, "\\_S5", 0);
    put_isa(&a, f);
    put_pci(&a, f);
}
