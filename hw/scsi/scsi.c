/*
 * SCSI commands from start to end (SAM-3, SPC-3): unit attention, sense data, LUNs that aren't there, the bus.
 *
 * Not modelled: command queues, task management, reservations (accepted without effect), autosense in other than fixed format.
 */
#include <string.h>
#include "hw/core/machine.h"
#include "hw/scsi/scsi-int.h"
#include "util/error.h"

enum { TEST_UNIT_READY = 0x00, REQUEST_SENSE = 0x03, INQUIRY = 0x12, GET_CONFIGURATION = 0x46, GET_EVENT_STATUS = 0x4a, REPORT_LUNS = 0xa0,
       READ_DVD_STRUCTURE = 0xad, MECHANISM_STATUS = 0xbd };

static ScsiBus *bus_of(const ScsiDevice *d)
{
    return (ScsiBus *)(void *)d->dev.bus;
}

/* ---- The end of a command ---- */

static void complete(ScsiDevice *d, uint8_t status)
{
    d->req.active = d->req.retry = false;
    bus_of(d)->ops->complete(bus_of(d)->opaque, d, status);
}

void scsi_good(ScsiDevice *d)
{
    d->sense_len = 0;
    d->sense_is_ua = false;
    complete(d, SCSI_GOOD);
}

void scsi_check(ScsiDevice *d, ScsiSense s)
{
    memset(d->sense, 0, sizeof d->sense);
    d->sense[0] = 0x70;
    d->sense[2] = s.key;
    d->sense[7] = 10;
    d->sense[12] = s.asc;
    d->sense[13] = s.ascq;
    d->sense_len = 18;
    d->sense_is_ua = s.key == SENSE_UNIT_ATTENTION;
    complete(d, SCSI_CHECK_CONDITION);
}

void scsi_give(ScsiDevice *d, unsigned len)
{
    d->req.given = true;
    bus_of(d)->ops->data(bus_of(d)->opaque, d, len);
}

unsigned scsi_put_sense(const ScsiDevice *d, bool descriptor, uint8_t *out)
{
    const bool any = d->sense_len >= 14;

    memset(out, 0, 18);
    if (descriptor) {
        out[0] = 0x72;
        out[1] = any ? d->sense[2] & 0xf : 0;
        out[2] = any ? d->sense[12] : 0;
        out[3] = any ? d->sense[13] : 0;
        return 18;
    }
    if (any) {
        memcpy(out, d->sense, 18);
    } else {
        out[0] = 0x70;
        out[7] = 10;
    }
    return 18;
}

/* ---- The beginning ---- */

int64_t scsi_cdb_length(const uint8_t *cdb)
{
    if (cdb[0] == READ_DVD_STRUCTURE || cdb[0] == MECHANISM_STATUS)
        return get16(cdb + 8);
    switch (cdb[0] >> 5) {
    case 0: return cdb[4];
    case 1: case 2: return get16(cdb + 7);
    case 4: return get32(cdb + 10);
    case 5: return get32(cdb + 6);
    default: return -1;
    }
}

/* Commands that are carried out although the host has yet to hear of a unit attention. */
static bool passes_attention(const ScsiDevice *d, uint8_t opcode)
{
    return opcode == INQUIRY || opcode == REPORT_LUNS || opcode == GET_CONFIGURATION || opcode == GET_EVENT_STATUS ||
           (opcode == REQUEST_SENSE && d->sense_is_ua);
}

static int64_t reply(ScsiDevice *d, unsigned n, int64_t allocated)
{
    d->req.len = MIN(n, allocated);
    if (d->req.len)
        return d->req.len;
    scsi_good(d);
    return 0;
}

/* A LUN that the target doesn't have. */
static int64_t no_lun(ScsiDevice *d, const uint8_t *cdb)
{
    ScsiRequest *r = &d->req;
    const int64_t n = scsi_cdb_length(cdb);
    ScsiDevice none = { .sense_len = 0 };

    memset(r->data, 0, 64);
    if (cdb[0] == INQUIRY && !(cdb[1] & 1) && !cdb[2]) {
        r->data[0] = 0x7f;              /* nothing could be there */
        return reply(d, MIN(n, 36), n);
    }
    if (cdb[0] == REQUEST_SENSE) {
        const ScsiDevice *from = d->sense_len ? d : &none;

        return reply(d, scsi_put_sense(from, cdb[1] & 1, r->data), n);
    }
    scsi_check(d, SENSE_LUN);
    return 0;
}

int64_t scsi_start(ScsiDevice *d, uint32_t tag, uint32_t lun, const uint8_t *cdb, unsigned len)
{
    ScsiRequest *r = &d->req;
    const ScsiSense attention = d->attention;

    memset(r->cdb, 0, sizeof r->cdb);
    memcpy(r->cdb, cdb, MIN(len, sizeof r->cdb));
    r->active = true;
    r->retry = r->given = r->medium = r->cancelled = false;
    r->tag = tag;
    r->lun = lun;
    r->mode = MODE_FROM_DEV;
    r->sector = r->sector_count = r->len = 0;
    r->buflen = SCSI_BUFFER_BYTES;
    if (lun != d->lun)
        return no_lun(d, r->cdb);
    if (attention.key && !passes_attention(d, r->cdb[0])) {
        d->attention.key = 0;
        scsi_check(d, attention);
        return 0;
    }
    if (r->cdb[0] == REQUEST_SENSE && d->sense_is_ua)
        d->attention.key = 0;
    return scsi_command(disk_of(d));
}

void scsi_continue(ScsiDevice *d)
{
    ScsiRequest *r = &d->req;

    if (!r->active || r->aio)
        return;
    if (r->medium) {
        scsi_disk_continue(disk_of(d));
    } else if (!r->given) {
        const unsigned n = r->len;

        if (r->mode == MODE_FROM_DEV)
            r->len = 0;                 /* as the stream has it */
        scsi_give(d, n);
    } else if (r->mode == MODE_TO_DEV) {
        scsi_parameters(disk_of(d), r->len);
    } else {
        scsi_good(d);
    }
}

void scsi_cancel(ScsiDevice *d)
{
    ScsiRequest *r = &d->req;

    r->cancelled = true;
    if (r->aio)
        blk_aio_cancel(r->aio);
    r->active = r->retry = false;
}

uint8_t *scsi_buffer(ScsiDevice *d)
{
    return d->req.data;
}

bool scsi_busy(const ScsiDevice *d)
{
    return d->req.active;
}

uint32_t scsi_tag(const ScsiDevice *d)
{
    return d->req.tag;
}

/* ---- The bus ---- */

static bool plug(Bus *bus, Device *dev, GError **err)
{
    ScsiBus *b = (ScsiBus *)(void *)bus;
    ScsiDevice *d = DEVICE(dev, ScsiDevice);

    if (d->channel)
        return error_set(err, "bad scsi channel id: %u", d->channel);
    if (d->id == UINT32_MAX)
        d->id = 0;
    if (d->id > b->max_target)
        return error_set(err, "bad scsi device id: %u", d->id);
    for (uint32_t lun = 0; d->lun == UINT32_MAX && lun <= b->max_lun; lun++) {
        const ScsiDevice *there = scsi_find(b, d->id, lun);

        if (!there || there->lun != lun)
            d->lun = lun;
    }
    if (d->lun == UINT32_MAX)
        return error_set(err, "no free lun");
    if (d->lun > b->max_lun)
        return error_set(err, "bad scsi device lun: %u", d->lun);
    for (unsigned i = 0; i < bus->children->len; i++) {
        const ScsiDevice *other = g_ptr_array_index(bus->children, i);

        if (other != d && other->id == d->id && other->lun == d->lun)
            return error_set(err, "lun already used by '%s'", other->dev.id ? other->dev.id : "");
    }
    return true;
}

ScsiDevice *scsi_find(ScsiBus *b, unsigned target, unsigned lun)
{
    ScsiDevice *other = NULL;

    for (unsigned i = 0; i < b->bus.children->len; i++) {
        ScsiDevice *d = g_ptr_array_index(b->bus.children, i);

        if (d->id != target || !d->dev.realized)
            continue;
        if (d->lun == lun)
            return d;
        other = d;
    }
    return other;
}

unsigned scsi_max_lun(const ScsiBus *b)
{
    unsigned max = 0;

    for (unsigned i = 0; i < b->bus.children->len; i++)
        max = MAX(max, ((const ScsiDevice *)g_ptr_array_index(b->bus.children, i))->lun);
    return max;
}

static char *fw_path(Device *dev)
{
    const ScsiDevice *d = DEVICE(dev, ScsiDevice);

    return g_strdup_printf("channel@%x/%s@%x,%x", d->channel, "disk", d->id, d->lun);
}

static char *dev_path(Device *dev)
{
    const ScsiDevice *d = DEVICE(dev, ScsiDevice);
    g_autofree char *adapter = device_section_prefix(dev->bus->parent);

    return g_strdup_printf("%s%s%u:%u:%u", adapter ? adapter : "", adapter ? "/" : "", d->channel, d->id, d->lun);
}

static bool request_unplug(Bus *bus, Device *dev, GError **err)
{
    device_delete(dev);
    return true;
}

static void fini(Bus *bus)
{
    g_free(((ScsiBus *)(void *)bus)->part);
}

const BusType scsi_bus_type = {
    .name = "SCSI", .size = sizeof(ScsiBus), .plug = plug, .fw_path = fw_path, .dev_path = dev_path, .request_unplug = request_unplug,
    .fini = fini,
};

ScsiBus *scsi_bus_new(Device *adapter, const ScsiBusOps *ops, void *opaque, unsigned max_target, unsigned max_lun)
{
    g_autofree char *name = adapter->id ? g_strdup_printf("%s.0", adapter->id) : NULL;
    ScsiBus *b = (ScsiBus *)(void *)bus_new(&scsi_bus_type, adapter, name);

    b->ops = ops;
    b->opaque = opaque;
    b->max_target = max_target;
    b->max_lun = max_lun;
    return b;
}

/* ---- State: one command at most, as a list with one element ---- */

#define R(d) (&((const ScsiDevice *)(d))->req)

static bool is_active(const void *obj)
{
    return R(obj)->active;
}

static bool to_device(const void *obj)
{
    static const uint8_t out[] = { 0x04, 0x0a, 0x15, 0x2a, 0x2e, 0x41, 0x42, 0x55, 0x8a, 0x8e, 0x93, 0xaa, 0xae };
    const uint8_t *cdb = R(obj)->cdb;

    return memchr(out, cdb[0], sizeof out);
}

static bool has_length(const void *obj)
{
    return is_active(obj) && R(obj)->buflen && !to_device(obj) && !R(obj)->retry;
}

static bool has_data(const void *obj)
{
    return has_length(obj) || (is_active(obj) && R(obj)->buflen && to_device(obj));
}

static unsigned data_bytes(const void *obj)
{
    const ScsiRequest *r = R(obj);

    if (!to_device(obj))
        return MIN(r->len, SCSI_BUFFER_BYTES);
    return MIN((uint64_t)r->sector_count * BLK_SECTOR_SIZE, MIN(r->buflen, SCSI_BUFFER_BYTES));
}

static uint64_t get_marker(const void *obj)
{
    return !is_active(obj) ? 0 : R(obj)->retry ? 1 : 2;
}

static bool set_marker(void *obj, uint64_t v, GError **err)
{
    ScsiRequest *r = &((ScsiDevice *)obj)->req;

    r->active = v != 0;
    r->retry = v == 1;
    return true;
}

static uint64_t get_end(const void *obj)
{
    return 0;
}

static bool set_end(void *obj, uint64_t v, GError **err)
{
    return !v || error_set(err, "scsi-disk: more than one command is under way");
}

#define D(m, ...) FIELD(ScsiDevice, m, ##__VA_ARGS__)
static const Field device_fields[] = {
    HOST(ScsiDevice, dev), D(attention.key, .name = "unit_attention.key"), D(attention.asc, .name = "unit_attention.asc"),
    D(attention.ascq, .name = "unit_attention.ascq"), D(sense_is_ua), D(sense), D(sense_len, .max = SCSI_SENSE_BYTES),
    VIRTUAL("requests", 1, .get = get_marker, .set = set_marker, .max = 2),
    D(req.cdb, .exists = is_active), D(req.tag, .exists = is_active), D(req.lun, .exists = is_active),
    D(req.sector, .exists = is_active), D(req.sector_count, .exists = is_active),
    D(req.buflen, .exists = is_active, .max = SCSI_BUFFER_BYTES), D(req.len, .exists = has_length, .max = SCSI_BUFFER_BYTES),
    D(req.data, .exists = has_data, .n = data_bytes), VIRTUAL("requests", 1, .get = get_end, .set = set_end, .exists = is_active),
    LOCAL(ScsiDevice, req.active), LOCAL(ScsiDevice, req.retry), LOCAL(ScsiDevice, req.mode), LOCAL(ScsiDevice, req.medium),
    LOCAL(ScsiDevice, req.given), HOST(ScsiDevice, req.aio), HOST(ScsiDevice, req.iov), HOST(ScsiDevice, req.cancelled),
    HOST(ScsiDevice, channel), HOST(ScsiDevice, id), HOST(ScsiDevice, lun), {0}
};
#undef D

/* What follows from the command itself. */
static bool device_loaded(void *obj, int version, GError **err)
{
    ScsiDevice *d = obj;
    ScsiRequest *r = &d->req;

    if (!r->active)
        return true;
    r->mode = to_device(d) ? MODE_TO_DEV : MODE_FROM_DEV;
    switch (r->cdb[0]) {
    case 0x08: case 0x28: case 0xa8: case 0x88: case 0x0a: case 0x2a: case 0xaa: case 0x8a: case 0x2e: case 0x8e: case 0xae:
        r->medium = true;
        break;
    default:
        r->medium = false;
        break;
    }
    r->given = !r->retry;
    r->cancelled = false;
    if (r->mode == MODE_TO_DEV && r->medium)
        r->len = data_bytes(d);
    return true;
}

const StateTable scsi_device_state = { .name = "SCSIDevice", .version = 1, .min_version = 1, .fields = device_fields,
                                       .loaded = device_loaded };
