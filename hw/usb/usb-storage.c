/*
 * usb-storage and usb-bot: mass storage over bulk endpoints (USB Mass Storage Class, Bulk-Only Transport 1.0), in front of SCSI
 * devices. usb-storage has one, made from drive=; behind usb-bot they are -device scsi-hd and scsi-cd with LUNs from 0.
 *
 * As stock QEMU's: a reply that is shorter than the host expects is filled up with zeroes instead of a STALL, and the residue says
 * how much that was.
 */
#include <string.h>
#include "hw/core/machine.h"
#include "hw/scsi/scsi.h"
#include "hw/usb/usb.h"
#include "util/error.h"
#include "util/log.h"

enum { CBW_BYTES = 31, CSW_BYTES = 13, EP_IN = 1, EP_OUT = 2, MAX_LUN = 15 };
#define CBW_SIGNATURE 0x43425355u
#define CSW_SIGNATURE 0x53425355u
enum { RESET = 0xff, GET_MAX_LUN = 0xfe };

/* The numbers are the stream's. */
enum { MODE_CBW, MODE_DATAOUT, MODE_DATAIN, MODE_CSW };

typedef struct UsbStorage {
    UsbDevice usb;

    /* guest state */
    uint32_t mode;
    uint32_t scsi_len, scsi_off;    /* of the SCSI device's buffer: bytes left, and where they are */
    uint32_t data_len;              /* left to move for the host */
    struct { uint32_t sig, tag, residue; uint8_t status; } csw;

    /* host side */
    ScsiBus *bus;
    ScsiDevice *active;             /* works on the command */

    /* properties of usb-storage */
    BlockBackend *blk;
    BlkConf conf;
    int backend_defaults, account_invalid, account_failed, write_cache, rerror, werror;
    bool removable, commandlog;
} UsbStorage;

/* ---- Descriptors ---- */

enum { STR_MANUFACTURER = 1, STR_PRODUCT, STR_SERIAL, STR_CONFIG_FULL, STR_CONFIG_HIGH, STR_CONFIG_SUPER, STR_COUNT };
static const char *const strings[STR_COUNT] = {
    [STR_MANUFACTURER] = "QEMU", [STR_PRODUCT] = "QEMU USB HARDDRIVE", [STR_SERIAL] = "1",
    [STR_CONFIG_FULL] = "Full speed config (usb 1.1)", [STR_CONFIG_HIGH] = "High speed config (usb 2.0)",
    [STR_CONFIG_SUPER] = "Super speed config (usb 3.0)",
};
static const uint8_t storage_device[] = {
    18, USB_DT_DEVICE, 0x00, 0x02, 0, 0, 0, 8, 0xf4, 0x46, 0x01, 0x00, 0, 0, STR_MANUFACTURER, STR_PRODUCT, STR_SERIAL, 1,
};
#define CONFIG(type, string, low, high) { \
    9, (type), 32, 0, 1, 1, (string), 0xc0, 0, \
    9, USB_DT_INTERFACE, 0, 0, 2, 8, 6, 0x50, 0, \
    7, USB_DT_ENDPOINT, 0x80 | EP_IN, 2, (low), (high), 0, \
    7, USB_DT_ENDPOINT, EP_OUT, 2, (low), (high), 0 }
static const uint8_t storage_config[] = CONFIG(USB_DT_CONFIG, STR_CONFIG_FULL, 64, 0);
static const uint8_t storage_other[] = CONFIG(USB_DT_OTHER_SPEED, STR_CONFIG_HIGH, 0, 2);
static const uint8_t storage_qualifier[] = { 10, USB_DT_QUALIFIER, 0x00, 0x02, 0, 0, 0, 64, 1, 0 };
static const uint8_t storage_bos[] = {
    5, USB_DT_BOS, 22, 0, 2, 7, 0x10, 2, 0x02, 0, 0, 0, 10, 0x10, 3, 0, 0x0e, 0, 1, 0x0a, 0x20, 0,
};
static const UsbDesc storage_desc = {
    .device = storage_device, .config = storage_config, .qualifier = storage_qualifier, .other = storage_other, .bos = storage_bos,
    .strings = strings, .n_strings = STR_COUNT,
};

/* ---- The SCSI device's side ---- */

static void scsi_data(void *opaque, ScsiDevice *d, unsigned len)
{
    UsbStorage *s = opaque;

    s->scsi_len = len;
    s->scsi_off = 0;
    if (s->mode == MODE_CSW)
        scsi_continue(d);               /* more than the host wants */
    else
        usb_wakeup(&s->usb);
}

static void scsi_complete(void *opaque, ScsiDevice *d, uint8_t status)
{
    UsbStorage *s = opaque;

    s->csw.sig = CSW_SIGNATURE;
    s->csw.tag = scsi_tag(d);
    s->csw.residue = s->data_len;
    s->csw.status = status != SCSI_GOOD;
    s->scsi_len = s->scsi_off = 0;
    s->active = NULL;
    if (!s->data_len)
        s->mode = MODE_CSW;
    usb_wakeup(&s->usb);
}

static void scsi_was_loaded(void *opaque, ScsiDevice *d)
{
    ((UsbStorage *)opaque)->active = d;
}

static const ScsiBusOps bus_ops = { .data = scsi_data, .complete = scsi_complete, .loaded = scsi_was_loaded };

/* The end of what the SCSI device has, or has room for: it goes on. */
static void piece_over(UsbStorage *s)
{
    ScsiDevice *d = s->active;

    if (!s->data_len)
        s->mode = MODE_CSW;
    if (d && (!s->scsi_len || !s->data_len)) {
        s->scsi_len = 0;
        scsi_continue(d);
    }
}

/* ---- Packets ---- */

static uint32_t le32(const uint8_t *p)
{
    return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

static UsbResult start_command(UsbStorage *s, UsbPacket *p)
{
    const uint8_t *b = p->data;
    ScsiDevice *d;
    int64_t n;

    if (p->size != CBW_BYTES || le32(b) != CBW_SIGNATURE || b[14] > SCSI_CDB_BYTES) {
        log_guest("usb-storage: a command block that makes no sense\n");
        return USB_STALL;
    }
    d = scsi_find(s->bus, 0, b[13] & 15);
    if (!d || s->active)
        return USB_STALL;
    s->data_len = le32(b + 8);
    s->mode = !s->data_len ? MODE_CSW : b[12] & 0x80 ? MODE_DATAIN : MODE_DATAOUT;
    s->scsi_len = s->scsi_off = 0;
    s->active = d;
    p->actual = p->size;
    n = scsi_start(d, le32(b + 4), b[13] & 15, b + 15, b[14]);
    if (n && s->data_len && (n > 0) != (s->mode == MODE_DATAIN)) {
        scsi_cancel(d);                 /* it moves data the other way */
        scsi_complete(s, d, SCSI_CHECK_CONDITION);
    } else if (n) {
        scsi_continue(d);
    }
    return USB_OK;
}

/* A failed command takes what the host still sends, or fills up what it still wants. */
static unsigned without_device(UsbStorage *s, unsigned room)
{
    const unsigned n = MIN(room, s->data_len);

    s->data_len -= n;
    if (!s->data_len)
        s->mode = MODE_CSW;
    return n;
}

static UsbResult data_out(UsbStorage *s, UsbPacket *p)
{
    if (p->size > s->data_len)
        return USB_STALL;
    if (!s->active) {
        p->actual = without_device(s, p->size);
        return USB_OK;
    }
    if (p->size && s->scsi_len < p->size)
        return USB_NAK;
    memcpy(scsi_buffer(s->active) + s->scsi_off, p->data, p->size);
    p->actual = p->size;
    s->scsi_off += p->size;
    s->scsi_len -= p->size;
    s->data_len -= p->size;
    piece_over(s);
    return USB_OK;
}

static UsbResult data_in(UsbStorage *s, UsbPacket *p)
{
    unsigned n = MIN(p->size, s->data_len);

    if (!s->active) {
        p->actual = without_device(s, n);
        memset(p->data, 0, p->actual);
        return USB_OK;
    }
    n = MIN(n, s->scsi_len);
    if (!n)
        return USB_NAK;
    memcpy(p->data, scsi_buffer(s->active) + s->scsi_off, n);
    s->scsi_off += n;
    s->scsi_len -= n;
    s->data_len -= n;
    p->actual = n;
    piece_over(s);
    /* The end of the data in the middle of a packet: the rest is filling. */
    if (p->actual < p->size && s->data_len && !s->active) {
        n = without_device(s, p->size - p->actual);
        memset(p->data + p->actual, 0, n);
        p->actual += n;
    }
    return USB_OK;
}

static UsbResult send_status(UsbStorage *s, UsbPacket *p)
{
    const uint32_t words[] = { GUINT32_TO_LE(s->csw.sig), GUINT32_TO_LE(s->csw.tag), GUINT32_TO_LE(s->csw.residue) };

    if (p->size < CSW_BYTES)
        return USB_STALL;
    if (s->active)
        return USB_NAK;
    memcpy(p->data, words, sizeof words);
    p->data[12] = s->csw.status;
    p->actual = CSW_BYTES;
    s->mode = MODE_CBW;
    memset(&s->csw, 0, sizeof s->csw);
    return USB_OK;
}

static UsbResult storage_data(UsbDevice *d, UsbPacket *p)
{
    UsbStorage *s = DEVICE(&d->dev, UsbStorage);

    if (p->pid == USB_PID_OUT && p->ep == EP_OUT)
        return s->mode == MODE_CBW ? start_command(s, p) : s->mode == MODE_DATAOUT ? data_out(s, p) : USB_STALL;
    if (p->pid != USB_PID_IN || p->ep != EP_IN)
        return USB_STALL;
    switch (s->mode) {
    case MODE_DATAIN: return data_in(s, p);
    case MODE_CSW: return send_status(s, p);
    case MODE_DATAOUT: return s->data_len || p->size < CSW_BYTES ? USB_STALL : USB_NAK;
    default: return USB_STALL;
    }
}

static void start_over(UsbStorage *s)
{
    if (s->active)
        scsi_cancel(s->active);
    s->active = NULL;
    s->mode = MODE_CBW;
    s->scsi_len = s->scsi_off = s->data_len = 0;
    memset(&s->csw, 0, sizeof s->csw);
}

static bool storage_control(UsbDevice *d, unsigned request, unsigned value, unsigned index, unsigned length, uint8_t *data,
                            unsigned *actual)
{
    UsbStorage *s = DEVICE(&d->dev, UsbStorage);

    switch (request) {
    case USB_REQ(0x02, USB_CLEAR_FEATURE):
        return true;
    case USB_REQ(0x21, RESET):
        start_over(s);
        return true;
    case USB_REQ(0xa1, GET_MAX_LUN):
        data[0] = scsi_max_lun(s->bus);
        *actual = 1;
        return true;
    default:
        return false;
    }
}

static void storage_bus_reset(UsbDevice *d)
{
    start_over(DEVICE(&d->dev, UsbStorage));
}

/* ---- Life ---- */

static void storage_reset(Device *d)
{
    start_over(DEVICE(d, UsbStorage));
}

static bool storage_realize(Device *dev, GError **err)
{
    UsbStorage *s = DEVICE(dev, UsbStorage);
    BlockBackend *blk = s->blk;
    int bootindex = dev->bootindex;
    const DriveInfo *info = blk ? drive_of_blk(blk) : NULL;

    if (!blk)
        return error_set(err, "drive property not set");
    s->conf.rerror = s->rerror;
    s->conf.werror = s->werror;
    if (!s->usb.serial && info && info->serial)
        s->usb.serial = g_strdup(info->serial);
    for (unsigned i = 0; i < 2; i++) {
        uint32_t *size = i ? &s->conf.physical_block_size : &s->conf.logical_block_size;

        if (!*size)
            *size = BLK_SECTOR_SIZE;
    }
    s->bus = scsi_bus_new(dev, &bus_ops, s, 0, 0);
    s->blk = NULL;                      /* the SCSI device's from now on */
    dev->bootindex = -1;
    if (scsi_create_drive(s->bus, blk, &s->conf, s->removable, s->usb.serial, bootindex, err))
        return true;
    bus_free(&s->bus->bus);
    return false;
}

static bool bot_realize(Device *dev, GError **err)
{
    UsbStorage *s = DEVICE(dev, UsbStorage);

    s->bus = scsi_bus_new(dev, &bus_ops, s, 0, MAX_LUN);
    return true;
}

static bool storage_loaded(void *obj, int version, GError **err)
{
    UsbStorage *s = obj;

    if ((uint64_t)s->scsi_off + s->scsi_len > SCSI_BUFFER_BYTES)
        return error_set(err, "%s: its buffer holds no %u bytes at %u", device_name(&s->usb.dev), s->scsi_len, s->scsi_off);
    if (s->active && !scsi_busy(s->active))
        s->active = NULL;
    return true;
}

/* The SCSI device's own section, which comes first, says whether it is at work. */
static bool before_load(void *obj, GError **err)
{
    UsbStorage *s = obj;

    if (s->active && !scsi_busy(s->active))
        s->active = NULL;
    return true;
}

static const Field fields[] = {
    USB_STATE(UsbStorage, usb), FIELD(UsbStorage, mode, .max = MODE_CSW), FIELD(UsbStorage, scsi_len, .max = SCSI_BUFFER_BYTES),
    FIELD(UsbStorage, scsi_off, .max = SCSI_BUFFER_BYTES), FIELD(UsbStorage, data_len), FIELD(UsbStorage, csw.sig),
    FIELD(UsbStorage, csw.tag), FIELD(UsbStorage, csw.residue), FIELD(UsbStorage, csw.status),
    HOST(UsbStorage, bus), HOST(UsbStorage, active), HOST(UsbStorage, blk), HOST(UsbStorage, conf), HOST(UsbStorage, backend_defaults),
    HOST(UsbStorage, account_invalid), HOST(UsbStorage, account_failed), HOST(UsbStorage, write_cache), HOST(UsbStorage, rerror),
    HOST(UsbStorage, werror), HOST(UsbStorage, removable), HOST(UsbStorage, commandlog), {0}
};
static const StateTable storage_state = { .name = "usb-storage", .version = 1, .min_version = 1, .fields = fields,
                                          .load = before_load, .loaded = storage_loaded };

#define P(m, n, k, d, ...) PROP(UsbStorage, m, n, k, d, ##__VA_ARGS__)
#define BLOCK_SIZE_HELP "A power of two between 512 B and 2 MiB"
#define ON_ERROR .names = blk_on_error_names, .type_name = "BlockdevOnError", .help = "Error handling policy, report/ignore/enospc/stop/auto"
static const Property storage_props[] = {
    P(blk, "drive", PROP_DRIVE, 0), P(backend_defaults, "backend_defaults", PROP_ON_OFF_AUTO, 0),
    P(conf.logical_block_size, "logical_block_size", PROP_SIZE32, 0, .help = BLOCK_SIZE_HELP),
    P(conf.physical_block_size, "physical_block_size", PROP_SIZE32, 0, .help = BLOCK_SIZE_HELP),
    P(conf.min_io_size, "min_io_size", PROP_SIZE32, 0), P(conf.opt_io_size, "opt_io_size", PROP_SIZE32, 0),
    P(conf.discard_granularity, "discard_granularity", PROP_SIZE32, UINT32_MAX), P(write_cache, "write-cache", PROP_ON_OFF_AUTO, 0),
    P(conf.share_rw, "share-rw", PROP_BOOL, 0), P(account_invalid, "account-invalid", PROP_ON_OFF_AUTO, 0),
    P(account_failed, "account-failed", PROP_ON_OFF_AUTO, 0), P(rerror, "rerror", PROP_ENUM, 0, ON_ERROR),
    P(werror, "werror", PROP_ENUM, 0, ON_ERROR), P(removable, "removable", PROP_BOOL, 0), P(commandlog, "commandlog", PROP_BOOL, 0),
    P(usb.dev.bootindex, "bootindex", PROP_I32, -1), {0}
};

#define STORAGE_TYPE(t, n, ...) const DeviceType t = { \
    .name = (n), .bus = "usb-bus", .parent = &usb_device_type, .category = CAT_STORAGE, .hotplug = true, .size = sizeof(UsbStorage), \
    .state = &storage_state, .reset = storage_reset, __VA_ARGS__, \
    .class_data = &(const UsbClass){ .product = "QEMU USB MSD", .desc = &storage_desc, .fw_name = "storage", .control = storage_control, \
                                     .data = storage_data, .bus_reset = storage_bus_reset }, \
}
STORAGE_TYPE(usb_storage_type, "usb-storage", .props = storage_props, .realize = storage_realize);
STORAGE_TYPE(usb_bot_type, "usb-bot", .realize = bot_realize);
