/*
 * The ACPI files of fw_cfg: kept in RAM blocks, so that they migrate as the guest has read them, and built again when
 * the firmware first selects one after a reset: by then it has set up the PM function and the PCI windows.
 */
#include <string.h>
#include "hw/core/machine.h"
#include "hw/i386/tables.h"
#include "hw/nvram/fw_cfg.h"
#include "util/error.h"

typedef struct AcpiBuild {
    Device dev;
    uint8_t patched;                    /* built since the last reset */
    /* host side */
    FwCfg *fw_cfg;
    AcpiGather *gather;
    void *opaque;
    RamBlock *block[3];
} AcpiBuild;

/* In the order of the blocks. */
static const struct { const char *file, *block; uint64_t max; } parts[3] = {
    { "etc/acpi/tables", "/rom@etc/acpi/tables", 0x200000 },
    { "etc/table-loader", "/rom@etc/table-loader", 0x10000 },
    { "etc/acpi/rsdp", "/rom@etc/acpi/rsdp", 0x1000 },
};

static void build(AcpiBuild *s, GByteArray *out[3])
{
    AcpiFacts f = { 0 };
    AcpiFiles files;

    for (unsigned i = 0; i < 3; i++)
        out[i] = g_byte_array_new();
    files = (AcpiFiles){ .tables = out[0], .loader = out[1], .rsdp = out[2] };
    s->gather(s->opaque, &f);
    acpi_build(&f, &files);
}

static bool too_big(GByteArray *out[3], GError **err)
{
    for (unsigned i = 0; i < 3; i++)
        if (out[i]->len > parts[i].max) {
            error_set(err, "%s would have %u bytes; there is room for %" G_GUINT64_FORMAT, parts[i].file, out[i]->len, parts[i].max);
            return true;
        }
    return false;
}

static void drop(GByteArray *out[3])
{
    for (unsigned i = 0; i < 3; i++)
        g_byte_array_unref(out[i]);
}

/* Length without most of the zeros at the end: pages of them need not be touched. */
static size_t used_length(const GByteArray *b)
{
    static const uint8_t zeros[512];
    size_t n = b->len;

    while (n >= sizeof zeros && !memcmp(b->data + n - sizeof zeros, zeros, sizeof zeros))
        n -= sizeof zeros;
    return n;
}

/* Puts new contents into block i and tells migration of it. */
static void update_block(AcpiBuild *s, unsigned i, const GByteArray *b)
{
    RamBlock *r = s->block[i];

    if (b->len <= r->size && !memcmp(r->host, b->data, b->len))
        return;
    r->size = MAX(r->size, (b->len + 0xfff) & ~0xfffu);
    memset(r->host, 0, r->size);
    memcpy(r->host, b->data, b->len);
    dma_unmap(&s->dev, r->host, r->size, true);
    fw_cfg_resize_file(s->fw_cfg, parts[i].file, b->len);
}

static void file_selected(void *opaque)
{
    g_autoptr(GError) err = NULL;
    AcpiBuild *s = opaque;
    GByteArray *out[3];

    if (s->patched)
        return;
    s->patched = 1;
    build(s, out);
    if (too_big(out, &err))
        error_report("%s", err->message);
    else
        for (unsigned i = 0; i < 3; i++)
            update_block(s, i, out[i]);
    drop(out);
}

static bool add_blocks(AcpiBuild *s, GByteArray *out[3], GError **err)
{
    for (unsigned i = 0; i < 3; i++) {
        uint64_t size = (out[i]->len + 0xfff) & ~0xfffu;

        s->block[i] = ram_block_new(s->dev.machine, parts[i].block, size, parts[i].max, err);
        if (!s->block[i])
            return false;
        machine_add_rom(s->dev.machine, ROM_TABLE, parts[i].file, 0, parts[i].max);
        memcpy(s->block[i]->host, out[i]->data, used_length(out[i]));
        if (!fw_cfg_add_file_ram(s->fw_cfg, parts[i].file, s->block[i], out[i]->len, file_selected, s, err))
            return false;
    }
    return true;
}

static const StateTable acpi_build_state = {
    .name = "acpi_build", .version = 1, .min_version = 1,
    .fields = (const Field[]){
        HOST(AcpiBuild, dev),
        FIELD(AcpiBuild, patched, .max = 1),
        HOST(AcpiBuild, fw_cfg), HOST(AcpiBuild, gather), HOST(AcpiBuild, opaque), HOST(AcpiBuild, block),
        {0}
    },
};

const DeviceType acpi_build_type = {
    .name = "acpi_build", .desc = "ACPI tables", .internal = true, .no_bus = true, .size = sizeof(AcpiBuild), .state = &acpi_build_state,
};

bool acpi_setup(Machine *m, FwCfg *f, AcpiGather *gather, void *opaque, GError **err)
{
    Device *d = device_create(m, &acpi_build_type, NULL, err);
    AcpiBuild *s = DEVICE(d, AcpiBuild);
    GByteArray *out[3];
    bool ok;

    if (!d)
        return false;
    s->fw_cfg = f;
    s->gather = gather;
    s->opaque = opaque;
    build(s, out);
    ok = !too_big(out, err) && add_blocks(s, out, err);
    drop(out);
    return ok;
}
