/*
 * What a PC's fw_cfg tells SeaBIOS besides ACPI, SMBIOS and the kernel: memory map, CPUs, NUMA, sleep states and the
 * -boot options.
 */
#include <string.h>
#include "hw/i386/tables.h"
#include "hw/nvram/fw_cfg.h"
#include "util/error.h"

/* ---- e820 ---- */

#define KVM_PAGES 0xfeffc000            /* identity map and TSS, which KVM needs for real mode on old Intel processors */
#define KVM_PAGES_SIZE 0x4000
#define AMD_GAP 0xfd00000000            /* HyperTransport's configuration space */
#define AMD_GAP_SIZE 0x300000000

GArray *e820_new(void)
{
    return g_array_new(false, false, sizeof(E820Entry));
}

void e820_add(GArray *map, uint64_t base, uint64_t size, uint32_t type)
{
    E820Entry e = { GUINT64_TO_LE(base), GUINT64_TO_LE(size), GUINT32_TO_LE(type) };

    if (size)
        g_array_append_val(map, e);
}

void e820_add_pc(GArray *map, bool kvm, bool amd_gap, uint64_t ram_below_4g, uint64_t ram_above_4g, uint64_t above_4g_start)
{
    if (kvm)
        e820_add(map, KVM_PAGES, KVM_PAGES_SIZE, E820_RESERVED);
    if (amd_gap)
        e820_add(map, AMD_GAP, AMD_GAP_SIZE, E820_RESERVED);
    e820_add(map, 0, ram_below_4g, E820_RAM);
    e820_add(map, above_4g_start, ram_above_4g, E820_RAM);
}

/* ---- Fixed items ---- */

/* Number of nodes, node of each APIC id, size of each node. */
static void add_numa(FwCfg *f, const FwCfgFacts *p)
{
    size_t n = 1 + p->apic_id_limit + p->n_nodes;
    uint64_t *v = g_new0(uint64_t, n);

    v[0] = GUINT64_TO_LE(p->n_nodes);
    for (unsigned i = 0; i < p->n_possible; i++)
        if (p->cpus[i].node > 0 && p->cpus[i].apic_id < p->apic_id_limit)
            v[1 + p->cpus[i].apic_id] = GUINT64_TO_LE(p->cpus[i].node);
    for (unsigned i = 0; i < p->n_nodes; i++)
        v[1 + p->apic_id_limit + i] = GUINT64_TO_LE(p->nodes[i].size);
    fw_cfg_take_bytes(f, FW_CFG_NUMA, v, n * sizeof *v);
}

/* Up to eight HPETs: a count (0xff: none); block id, address, least tick, page protection of each. */
static void add_hpet(FwCfg *f, bool hpet)
{
    struct __attribute__((packed)) {
        uint8_t count;
        struct __attribute__((packed)) { uint32_t id; uint64_t address; uint16_t min_tick; uint8_t protection; } block[8];
    } v = { .count = 0xff };

    if (hpet) {
        v.count = 1;
        v.block[0].id = GUINT32_TO_LE(0x8086a201);
        v.block[0].address = GUINT64_TO_LE(0xfed00000);
    }
    fw_cfg_add_bytes(f, FW_CFG_HPET, &v, sizeof v);
}

static void add_keys(FwCfg *f, const FwCfgFacts *p)
{
    fw_cfg_add_bytes(f, FW_CFG_UUID, p->uuid, 16);
    fw_cfg_add_i64(f, FW_CFG_RAM_SIZE, p->ram_size);
    fw_cfg_add_i16(f, FW_CFG_NOGRAPHIC, !p->graphics);
    fw_cfg_add_i16(f, FW_CFG_NB_CPUS, p->n_cpus);
    fw_cfg_add_i16(f, FW_CFG_MAX_CPUS, p->apic_id_limit);
    fw_cfg_add_i16(f, FW_CFG_BOOT_MENU, p->boot_menu);
    fw_cfg_add_i32(f, FW_CFG_IRQ0_OVERRIDE, 1);
    add_numa(f, p);
    add_hpet(f, p->hpet);
}

/* ---- -boot ---- */

/* "jpg", "bmp" or NULL: what SeaBIOS can show. */
static const char *picture_kind(const uint8_t *data, size_t len)
{
    if (len > 30 && data[0] == 0xff && data[1] == 0xd8)
        return "jpg";
    if (len > 30 && data[0] == 'B' && data[1] == 'M' && data[28] == 24 && data[29] == 0)
        return "bmp";
    return NULL;
}

/* A bad picture is no reason not to start. */
static bool add_splash(FwCfg *f, const char *path, GError **err)
{
    g_autoptr(GError) why = NULL;
    g_autofree char *name = NULL;
    const char *kind;
    char *data;
    gsize len;

    if (!g_file_get_contents(path, &data, &len, &why)) {
        warn_report("-boot splash=%s: cannot read it: %s", path, error_file_reason(why));
        return true;
    }
    kind = picture_kind((uint8_t *)data, len);
    if (!kind) {
        warn_report("-boot splash=%s: format not recognized; must be JPEG or 24 bit BMP", path);
        g_free(data);
        return true;
    }
    name = g_strdup_printf("bootsplash.%s", kind);
    return fw_cfg_take_file(f, name, data, len, err);
}

static bool add_boot(FwCfg *f, const FwCfgFacts *p, GError **err)
{
    int64_t wait = p->boot_splash_time, retry = p->boot_reboot_timeout;

    if (wait < -1 || wait > 65535)
        return error_set(err, "-boot: splash-time is invalid,it should be a value between 0 and 65535");
    if (retry < -1 || retry > 65535)
        return error_set(err, "-boot: reboot timeout is invalid,it should be a value between -1 and 65535");
    if (wait >= 0) {
        uint16_t le = GUINT16_TO_LE(wait);

        if (!fw_cfg_add_file(f, "etc/boot-menu-wait", &le, 2, err))
            return false;
    }
    if (p->boot_splash && !add_splash(f, p->boot_splash, err))
        return false;
    return fw_cfg_add_file_i32(f, "etc/boot-fail-wait", retry, err);
}

bool fw_cfg_add_pc(FwCfg *f, const FwCfgFacts *p, GError **err)
{
    /* for SLP_TYP 0..5: bit 7: supported; the value for that state */
    uint8_t states[6] = { 0x80, 0, 0, 1 | p->s3 << 7, p->s4_value | p->s4 << 7, 0x80 };

    add_keys(f, p);
    if (!fw_cfg_add_file(f, "etc/e820", p->e820->data, p->e820->len * sizeof(E820Entry), err) || !add_boot(f, p, err))
        return false;
    if (!p->acpi)
        return true;
    return fw_cfg_add_file(f, "etc/system-states", states, sizeof states, err) && fw_cfg_add_file(f, "etc/tpm/log", NULL, 0, err);
}
