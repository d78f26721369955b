/*
 * When all devices exist: CMOS, ACPI, SMBIOS, e820, fw_cfg's items, boot order, kernel.
 */
#include <string.h>
#include "hw/i386/pc-int.h"
#include "target/i386/cpu.h"
#include "util/error.h"
#include "util/opts.h"

#define ABOVE_4G_START (4ull << 30)
#define IOAPIC_FIRST 0xfec00000ull
#define DEFAULT_HOLE64 (2ull << 30)
#define PIIX4_PMBASE 0x40               /* of the PM function's config space: where the firmware put its registers */
#define CPUID_HTT (1u << 28)            /* a matter of topology, which SMBIOS tells elsewhere */

/* ---- NUMA ---- */

/* A distance given one way counts both ways; to itself a node is at 10. */
static bool complete_distances(MachineConfig *cfg, GError **err)
{
    NumaNode *n = (NumaNode *)(void *)cfg->numa->data;
    bool any = false;

    for (unsigned i = 0; i < cfg->numa->len; i++)
        any |= n[i].has_distance;
    for (unsigned i = 0; any && i < cfg->numa->len; i++) {
        n[i].has_distance = true;
        n[i].distance[i] = 10;
        for (unsigned j = 0; j < cfg->numa->len; j++) {
            if (!n[i].distance[j])
                n[i].distance[j] = n[j].distance[i];
            if (!n[i].distance[j])
                return error_set(err, "-numa dist: the distance between node %u and %u is missing, at least one distance "
                                 "value between each nodes should be provided", i, j);
        }
    }
    return true;
}

/* Systems find modules through the SRAT: with slots there is one node at least. */
static void add_node_for_modules(MachineConfig *cfg)
{
    NumaNode n = { .size = cfg->ram_size, .cpus = g_array_new(false, false, sizeof(unsigned)) };

    if (!cfg->ram_slots || cfg->numa->len) {
        g_array_unref(n.cpus);
        return;
    }
    for (unsigned i = 0; i < cfg->smp.max_cpus; i++)
        g_array_append_val(n.cpus, i);
    g_array_append_val(cfg->numa, n);
}

static bool numa_init(Pc *pc, GError **err)
{
    MachineConfig *cfg = pc->machine->cfg;
    uint64_t sum = 0;
    bool sizes = false;

    if (!cfg->numa->len)
        return true;
    if (!complete_distances(cfg, err))
        return false;
    pc->nodes = g_new0(TablesNode, cfg->numa->len);
    for (unsigned i = 0; i < cfg->numa->len; i++) {
        NumaNode *n = &g_array_index(cfg->numa, NumaNode, i);

        sizes |= n->size != 0;
        sum += n->size;
        pc->nodes[i] = (TablesNode){ .size = n->size, .distance = n->has_distance ? n->distance : NULL };
        for (unsigned j = 0; j < n->cpus->len; j++) {
            unsigned cpu = g_array_index(n->cpus, unsigned, j);

            if (cpu >= pc->n_cpus)
                return error_set(err, "-numa: CPU %u of node %u does not exist (maxcpus is %u)", cpu, i, pc->n_cpus);
            pc->cpus[cpu].node = i;
        }
    }
    for (unsigned i = 0; i < cfg->numa->len && !sizes; i++) {
        uint64_t share = i + 1 < cfg->numa->len ? (cfg->ram_size / cfg->numa->len) & ~((8ull << 20) - 1) : cfg->ram_size - sum;

        pc->nodes[i].size = share;
        sum += share;
    }
    for (unsigned i = 0; i < pc->n_cpus; i++)
        if (pc->cpus[i].node < 0)
            pc->cpus[i].node = i % cfg->numa->len;
    return sum == cfg->ram_size ||
           error_set(err, "-numa: total memory for NUMA nodes (0x%" G_GINT64_MODIFIER "x) should equal RAM size (0x%"
                     G_GINT64_MODIFIER "x)", sum, cfg->ram_size);
}

/* ---- What is there ---- */

static bool is_pinned(const Device *d)
{
    return !d->hotplugged && !d->type->hotplug;
}

static void gather_bus(Pc *pc)
{
    memset(&pc->bus0, 0, sizeof pc->bus0);
    pc->bus0.bsel = 0;
    for (unsigned slot = 0; slot < 32; slot++) {
        PciDevice *pd = pci_find(pc->pci, slot, 0);

        if (!pd)
            continue;
        pc->bus0.slot[slot] = (TablesSlot){
            .present = true, .pinned = is_pinned(&pd->dev), .vga = pci_class(pd)->class_id == 0x0300,
        };
    }
}

typedef struct IsaScan { Pc *pc; unsigned n; } IsaScan;

static const struct { const char *type; TablesIsaKind kind; uint16_t iobase; uint8_t irq; } isa_kinds[] = {
    { "i8042", TABLES_KBD, 0x60, 1 }, { "isa-fdc", TABLES_FDC, 0x3f0, 6 }, { "isa-parallel", TABLES_LPT, 0x378, 7 },
    { "isa-serial", TABLES_COM, 0x3f8, 4 }, { "pvpanic", TABLES_PVPANIC, 0x505, 0 }, { "mc146818rtc", TABLES_RTC, 0x70, 8 },
};

static unsigned prop_number(Device *d, const char *name, unsigned def)
{
    g_autofree char *s = device_get(d, name, NULL);
    uint64_t v;

    return s && parse_u64_text(s, &v) ? v : def;
}

static bool gather_isa(Device *d, void *opaque)
{
    IsaScan *s = opaque;

    for (size_t i = 0; i < G_N_ELEMENTS(isa_kinds); i++) {
        TablesIsa *t = &s->pc->isa_facts[s->n];

        if (strcmp(d->type->name, isa_kinds[i].type) || s->n == G_N_ELEMENTS(s->pc->isa_facts))
            continue;
        *t = (TablesIsa){ .kind = isa_kinds[i].kind, .iobase = isa_kinds[i].iobase, .irq = isa_kinds[i].irq };
        if (t->kind == TABLES_COM || t->kind == TABLES_LPT) {
            t->index = prop_number(d, "index", 0);
            t->iobase = prop_number(d, "iobase", t->iobase);
            t->irq = prop_number(d, "irq", t->irq);
        }
        for (unsigned f = 0; t->kind == TABLES_FDC && f < 2; f++)
            t->floppy[f] = pc_floppy_type(s->pc, f);
        s->n++;
    }
    return true;
}

/* The memory windows of the host bridge: what the firmware put there, widened to what is free. */
static void gather_holes(Pc *pc, AcpiFacts *f)
{
    uint64_t high = pc->dimm_size ? pc->dimm_base + pc->dimm_size : ABOVE_4G_START + pc->above_4g, last = 0;

    f->hole_first = MAX(pc->below_4g, 0xe0000000ull > pc->below_4g ? pc->below_4g : 0xe0000000ull);
    f->hole_last = IOAPIC_FIRST - 1;
    for (unsigned i = 0; i < 256; i++) {
        PciDevice *pd = pc->pci->devices[i];

        for (unsigned n = 0; pd && n < PCI_BARS; n++) {
            if (!pd->bar[n].region || (pd->bar[n].type & PCI_BAR_IO) || pd->bar[n].addr == PCI_UNMAPPED ||
                pd->bar[n].addr < ABOVE_4G_START)
                continue;
            last = MAX(last, pd->bar[n].addr + pd->bar[n].size - 1);
        }
    }
    f->hole64_first = (high + (1 << 30) - 1) & ~((1ull << 30) - 1);
    f->hole64_last = last ? MAX(last, f->hole64_first + DEFAULT_HOLE64 - 1) : f->hole64_first + DEFAULT_HOLE64 - 1;
}

static void gather(void *opaque, AcpiFacts *f)
{
    Pc *pc = opaque;
    Machine *m = pc->machine;
    IsaScan scan = { pc, 0 };

    gather_bus(pc);
    machine_foreach_device(m, gather_isa, &scan);
    for (unsigned i = 0; i < pc->n_cpus; i++)
        pc->cpus[i].present = false;
    for (unsigned i = 0; i < m->vcpus->len; i++)
        pc->cpus[((Vcpu *)g_ptr_array_index(m->vcpus, i))->index].present = true;
    *f = (AcpiFacts){
        .oem_id = pc_prop(m, "x-oem-id", NULL), .oem_table_id = pc_prop(m, "x-oem-table-id", NULL), .cpus = pc->cpus,
        .n_cpus = pc->n_cpus, .ram_below_4g = pc->below_4g, .ram_above_4g = pc->above_4g, .above_4g_start = ABOVE_4G_START,
        .nodes = pc->nodes, .n_nodes = m->cfg->numa->len, .smm = m->smm, .mem_slots = m->cfg->ram_slots,
        .dimm_base = pc->dimm_base, .dimm_size = pc->dimm_size,
        .pm_base = pci_get16(pci_device(pc->pm)->config + PIIX4_PMBASE) & 0xffc0,
        .s3 = !prop_number(pc->pm, "disable_s3", 0), .s4 = !prop_number(pc->pm, "disable_s4", 0),
        .s4_value = prop_number(pc->pm, "s4_val", 2), .hpet = pc->hpet, .vmgenid = device_find_type(m, "vmgenid"), .isa = pc->isa_facts,
        .n_isa = scan.n, .bus0 = &pc->bus0,
    };
    gather_holes(pc, f);
}

/* ---- Tables ---- */

static bool find_pci(void *opaque, const char *id, uint8_t *bus, uint8_t *devfn)
{
    Device *d = device_find(opaque, id);

    if (!d || !device_type_is(d->type, &pci_device_type))
        return false;
    *bus = 0;
    *devfn = pci_device(d)->devfn;
    return true;
}

static bool add_smbios(Pc *pc, GArray *e820, GError **err)
{
    Machine *m = pc->machine;
    MachineConfig *cfg = m->cfg;
    X86Cpu *cpu = x86_cpu(m, 0);
    const char *entry = pc_prop(m, "smbios-entry-point-type", "32");
    g_autoptr(GByteArray) anchor = g_byte_array_new(), tables = g_byte_array_new();
    SmbiosFacts f = {
        .desc = m->type->desc, .machine = m->type->name, .ram_size = cfg->ram_size, .e820 = e820,
        .sockets = cfg->smp.sockets, .cores = cfg->smp.cores * MAX(cfg->smp.dies, 1),
        .threads = cfg->smp.threads * cfg->smp.cores * MAX(cfg->smp.dies, 1), .cpuid_version = x86_cpuid(cpu, 1, 0, 0),
        .cpuid_features = x86_cpuid(cpu, 1, 0, 3) & ~CPUID_HTT, .find_pci = find_pci, .opaque = m,
    };

    memcpy(f.uuid, cfg->uuid, 16);
    if (strcmp(entry, "32") && strcmp(entry, "64"))
        return error_set(err, "-machine smbios-entry-point-type=%s is neither 32 nor 64", entry);
    return smbios_build(pc->smbios, &f, entry[0] == '6', anchor, tables, err) &&
           fw_cfg_add_file(pc->fw_cfg, "etc/smbios/smbios-tables", tables->data, tables->len, err) &&
           fw_cfg_add_file(pc->fw_cfg, "etc/smbios/smbios-anchor", anchor->data, anchor->len, err);
}

static bool parse_smbios(Pc *pc, GError **err)
{
    MachineConfig *cfg = pc->machine->cfg;
    const uint8_t *uuid;

    pc->smbios = smbios_new();
    for (unsigned i = 0; i < cfg->smbios->len; i++)
        if (!smbios_add_option(pc->smbios, g_ptr_array_index(cfg->smbios, i), err))
            return false;
    uuid = smbios_uuid(pc->smbios);
    if (uuid)
        memcpy(cfg->uuid, uuid, 16);
    return true;
}

static bool add_fw_cfg(Pc *pc, GArray *e820, GError **err)
{
    Machine *m = pc->machine;
    MachineConfig *cfg = m->cfg;
    X86Topology t = x86_topology(cfg);
    FwCfgFacts f = {
        .graphics = cfg->graphics, .ram_size = cfg->ram_size, .n_cpus = m->vcpus->len,
        .apic_id_limit = x86_apic_id_limit(&t, pc->n_cpus), .cpus = pc->cpus, .n_possible = pc->n_cpus, .nodes = pc->nodes,
        .n_nodes = cfg->numa->len, .e820 = e820, .hpet = pc->hpet, .acpi = pc->pm, .boot_menu = cfg->boot_menu,
        .boot_splash = cfg->boot_splash, .boot_splash_time = cfg->boot_splash_time,
        .boot_reboot_timeout = cfg->boot_reboot_timeout,
    };

    if (pc->pm) {
        f.s3 = !prop_number(pc->pm, "disable_s3", 0);
        f.s4 = !prop_number(pc->pm, "disable_s4", 0);
        f.s4_value = prop_number(pc->pm, "s4_val", 2);
    }
    if (pc->dimm_size) {        /* where the firmware may put 64-bit BARs */
        uint64_t end = GUINT64_TO_LE((pc->dimm_base + pc->dimm_size + (1 << 30) - 1) & ~((1ull << 30) - 1));

        if (!fw_cfg_add_file(pc->fw_cfg, "etc/reserved-memory-end", &end, sizeof end, err))
            return false;
    }
    memcpy(f.uuid, cfg->uuid, 16);
    if (!fw_cfg_add_pc(pc->fw_cfg, &f, err))
        return false;
    for (unsigned i = 0; i < cfg->fw_cfg->len; i++)
        if (!fw_cfg_add_option(pc->fw_cfg, g_ptr_array_index(cfg->fw_cfg, i), err))
            return false;
    return true;
}

/* The second reset ends what -boot once= asked for. Devices may have come and gone. */
static void after_reset(void *opaque)
{
    Pc *pc = opaque;
    MachineConfig *cfg = pc->machine->cfg;

    bootorder_update(pc->machine, pc->fw_cfg, pc->kernel_rom, cfg->boot_strict, NULL);
    if (!cfg->boot_once)
        return;
    if (pc->booted_once) {
        g_clear_pointer(&cfg->boot_once, g_free);
        pc_cmos_boot_order(pc);
    }
    pc->booted_once = true;
}

void pc_facts_init(Pc *pc)
{
    machine_observe_reset(pc->machine, after_reset, pc);
}

static bool add_kernel(Pc *pc, const char **rom, GError **err)
{
    MachineConfig *cfg = pc->machine->cfg;
    KernelFacts f = { .kernel = cfg->kernel, .initrd = cfg->initrd, .append = cfg->append, .ram_below_4g = pc->below_4g };

    if (!kernel_load(pc->fw_cfg, &f, rom, err))
        return false;
    if (*rom)
        machine_add_rom(pc->machine, ROM_FW_CFG, strchr(*rom, '/') + 1, 0, KERNEL_ROM_SIZE);
    return true;
}

bool pc_ready(Machine *m, GError **err)
{
    Pc *pc = pc_of(m);
    g_autoptr(GArray) e820 = e820_new();

    add_node_for_modules(m->cfg);
    if (!numa_init(pc, err) || !parse_smbios(pc, err))
        return false;
    e820_add_pc(e820, accel_is_kvm(), x86_is_amd(x86_cpu(m, 0)) && x86_phys_bits(x86_cpu(m, 0)) >= 40, pc->below_4g,
                pc->above_4g, ABOVE_4G_START);
    pc_cmos_init(pc);
    return add_fw_cfg(pc, e820, err) && add_smbios(pc, e820, err) &&
           (!pc->pm || acpi_setup(m, pc->fw_cfg, gather, pc, err)) &&
           add_kernel(pc, &pc->kernel_rom, err) &&
           bootorder_update(m, pc->fw_cfg, pc->kernel_rom, m->cfg->boot_strict, err);
}
