/*
 * VM generation id: 16 bytes in guest memory that change when the guest goes on as a copy of itself (after loading a
 * snapshot, on the destination of a migration), with an ACPI event. Follows Microsoft's "Virtual Machine Generation ID".
 *
 * The firmware places etc/vmgenid_guid in memory and writes the id's address to etc/vmgenid_addr.
 */
#include <string.h>
#include "hw/acpi/acpi.h"
#include "hw/acpi/vmgenid.h"
#include "hw/nvram/fw_cfg.h"
#include "util/error.h"

#define BLOB_SIZE 4096
#define GUID_OFFSET 40                  /* behind what looks like an ACPI header, so that firmware leaves it alone */

typedef struct VmGenId {
    Device dev;
    uint8_t addr_le[8];                 /* etc/vmgenid_addr; 0: not set up */
    /* host side */
    uint8_t guid[16];                   /* property; big-endian */
    uint8_t *blob;
} VmGenId;

/* The form that the guest sees: the first three groups are little-endian. */
static void guid_le(const VmGenId *v, uint8_t out[16])
{
    static const uint8_t order[16] = { 3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15 };

    for (unsigned i = 0; i < 16; i++)
        out[i] = v->guid[order[i]];
}

static bool is_vmgenid(Device *d, void *found)
{
    if (d->type != &vmgenid_type || !d->realized)
        return true;
    *(Device **)found = d;
    return false;
}

Device *vmgenid_find(Machine *m)
{
    Device *d = NULL;

    machine_foreach_device(m, is_vmgenid, &d);
    return d;
}

char *vmgenid_text(Device *d)
{
    return device_get(d, "guid", NULL);
}

static bool vmgenid_realize(Device *d, GError **err)
{
    VmGenId *v = DEVICE(d, VmGenId);
    FwCfg *f = fw_cfg_find(d->machine);

    if (!f || !fw_cfg_dma_enabled(f))
        return error_set(err, "vmgenid requires DMA write support in fw_cfg, which this machine type does not provide");
    if (vmgenid_find(d->machine))
        return error_set(err, "at most one vmgenid device is permitted");
    v->blob = g_malloc0(BLOB_SIZE);
    guid_le(v, v->blob + GUID_OFFSET);
    return fw_cfg_add_file_ref(f, "etc/vmgenid_guid", v->blob, BLOB_SIZE, false, NULL, NULL, NULL, err)
        && fw_cfg_add_file_ref(f, "etc/vmgenid_addr", v->addr_le, sizeof v->addr_le, true, NULL, NULL, NULL, err);
}

static void vmgenid_unrealize(Device *d)
{
    VmGenId *v = DEVICE(d, VmGenId);

    g_clear_pointer(&v->blob, g_free);
}

/* The guest has been copied: its memory holds the id of the original. */
static bool vmgenid_loaded(void *obj, int version, GError **err)
{
    VmGenId *v = obj;
    uint64_t addr;
    uint8_t guid[16];

    memcpy(&addr, v->addr_le, 8);
    addr = GUINT64_FROM_LE(addr);
    if (addr) {
        guid_le(v, guid);
        dma_write(&v->dev, addr, guid, sizeof guid);
        acpi_send_event(v->dev.machine, ACPI_EVENT_VMGENID);
    }
    return true;
}

static void vmgenid_print(Device *d, GString *out)
{
    g_autofree char *text = vmgenid_text(d);

    g_string_append_printf(out, "%s\n", text);
}

static const StateTable vmgenid_state = {
    .name = "vmgenid", .version = 1, .min_version = 1, .loaded = vmgenid_loaded,
    .fields = (const Field[]){
        HOST(VmGenId, dev),
        FIELD(VmGenId, addr_le, .name = "vmgenid_addr_le"),
        HOST(VmGenId, guid), HOST(VmGenId, blob),
        {0}
    },
};

static const Property vmgenid_props[] = {
    PROP(VmGenId, guid, "guid", PROP_UUID, 0, .type_name = "str", .str_def = "auto", .def_text = "\"auto\"",
         .help = "UUID (aka GUID) or \"auto\" for random value (default)"),
    {0}
};

static const InfoRow vmgenid_info[] = {
    { "vm-generation-id", "Show Virtual Machine Generation ID", vmgenid_print },
    {0}
};

const DeviceType vmgenid_type = {
    .name = "vmgenid", .no_bus = true, .size = sizeof(VmGenId), .props = vmgenid_props,
    .state = &vmgenid_state, .info = vmgenid_info, .realize = vmgenid_realize, .unrealize = vmgenid_unrealize,
};
