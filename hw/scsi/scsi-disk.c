/*
 * scsi-hd and scsi-cd: sectors between the medium and the adapter, what the user does with media, life.
 *
 * Reads and writes go in pieces of SCSI_BUFFER_BYTES. A request that fails is reported, or the machine pauses and the piece
 * starts again when it goes on (rerror, werror).
 */
#include <errno.h>
#include <string.h>
#include "hw/core/machine.h"
#include "hw/scsi/scsi-int.h"
#include "util/error.h"

/* ---- Pieces ---- */

static ScsiSense sense_of(int error)
{
    switch (error) {
    case ENOMEDIUM: return SENSE_NO_MEDIUM;
    case EINVAL: return SENSE_FIELD;
    case ENOSPC: return (ScsiSense){ SENSE_DATA_PROTECT, 0x27, 0x07 };
    default: return SENSE(ABORTED, 0x00, 0x06);
    }
}

/* True if the command goes on as if nothing had happened. */
static bool survived(ScsiDisk *s, int ret, bool write)
{
    ScsiRequest *r = &s->qdev.req;

    r->aio = NULL;
    if (r->cancelled || !r->active)
        return false;
    if (ret >= 0)
        return true;
    switch (ret == -ENOMEDIUM ? BLK_ERR_REPORT : blk_error_action(s->blk, !write, -ret)) {
    case BLK_ERR_IGNORE:
        return true;
    case BLK_ERR_STOP:
        r->retry = true;
        r->given = false;
        return false;
    default:
        scsi_check(&s->qdev, sense_of(-ret));
        return false;
    }
}

static void piece_done(ScsiRequest *r)
{
    const uint32_t n = r->len / BLK_SECTOR_SIZE;

    r->sector += n;
    r->sector_count -= MIN(n, r->sector_count);
}

static uint32_t next_piece(ScsiRequest *r)
{
    r->len = MIN((uint64_t)r->sector_count * BLK_SECTOR_SIZE, SCSI_BUFFER_BYTES);
    r->iov = (struct iovec){ r->data, r->len };
    return r->len;
}

/* Room for the host's data; what was in it before is nobody's business, also not a stream's. */
static void ask_for_data(ScsiDisk *s)
{
    const uint32_t n = next_piece(&s->qdev.req);

    memset(s->qdev.req.data, 0, n);
    scsi_give(&s->qdev, n);
}

static void read_done(void *opaque, int ret)
{
    ScsiDisk *s = opaque;

    if (!survived(s, ret, false))
        return;
    piece_done(&s->qdev.req);
    scsi_give(&s->qdev, s->qdev.req.len);
}

static void write_done(void *opaque, int ret)
{
    ScsiDisk *s = opaque;
    ScsiRequest *r = &s->qdev.req;

    if (!survived(s, ret, true))
        return;
    piece_done(r);
    if (!r->sector_count)
        scsi_good(&s->qdev);
    else
        ask_for_data(s);
}

void scsi_disk_continue(ScsiDisk *s)
{
    ScsiRequest *r = &s->qdev.req;
    const int64_t at = (int64_t)(r->sector * BLK_SECTOR_SIZE);

    if (r->sector > G_MAXINT64 / BLK_SECTOR_SIZE) {
        scsi_check(&s->qdev, SENSE_RANGE);
    } else if (r->mode == MODE_FROM_DEV) {
        if (!next_piece(r))
            scsi_good(&s->qdev);
        else
            r->aio = blk_aio_preadv(s->blk, at, &r->iov, 1, 0, read_done, s);
    } else if (!r->given && !r->retry) {
        ask_for_data(s);
    } else {
        r->given = true;
        next_piece(r);
        r->aio = blk_aio_pwritev(s->blk, at, &r->iov, 1, 0, write_done, s);
    }
}

/* ---- Other work for the image ---- */

static void plain_done(void *opaque, int ret)
{
    ScsiDisk *s = opaque;

    if (survived(s, ret, true))
        scsi_good(&s->qdev);
}

void scsi_disk_flush(ScsiDisk *s)
{
    s->qdev.req.given = true;
    s->qdev.req.aio = blk_aio_flush(s->blk, plain_done, s);
}

static bool in_range(const ScsiDisk *s, uint64_t lba, uint64_t n)
{
    const uint64_t all = scsi_blocks(s);

    return lba <= all && n <= all - lba;
}

/* A descriptor at a time; sector is how many are done. */
static void discard_next(void *opaque, int ret)
{
    ScsiDisk *s = opaque;
    ScsiRequest *r = &s->qdev.req;
    const unsigned size = scsi_block_size(s);
    const uint8_t *p;

    if (!survived(s, ret, true))
        return;
    if (!r->sector_count) {
        scsi_good(&s->qdev);
        return;
    }
    p = r->data + 8 + 16 * r->sector++;
    r->sector_count--;
    if (!in_range(s, get64(p), get32(p + 8)))
        scsi_check(&s->qdev, SENSE_RANGE);
    else
        r->aio = blk_aio_discard(s->blk, get64(p) * size, (int64_t)get32(p + 8) * size, discard_next, s);
}

void scsi_disk_discard(ScsiDisk *s, const uint8_t *p, unsigned len)
{
    ScsiRequest *r = &s->qdev.req;

    if (len < 8 || get16(p) + 2u > len || get16(p + 2) + 8u > len || get16(p + 2) & 15) {
        scsi_check(&s->qdev, len < 8 ? SENSE_LENGTH_ERROR : SENSE_PARAMETER);
        return;
    }
    r->given = true;
    r->sector = 0;
    r->sector_count = get16(p + 2) / 16;
    discard_next(s, 0);
}

static bool all_zero(const uint8_t *p, unsigned n)
{
    return !p[0] && !memcmp(p, p + 1, n - 1);
}

/* The rest of a pattern that isn't zeroes: the buffer is full of it. */
static void pattern_next(void *opaque, int ret)
{
    ScsiDisk *s = opaque;
    ScsiRequest *r = &s->qdev.req;

    if (!survived(s, ret, true))
        return;
    piece_done(r);
    if (!next_piece(r))
        scsi_good(&s->qdev);
    else
        r->aio = blk_aio_pwritev(s->blk, r->sector * BLK_SECTOR_SIZE, &r->iov, 1, 0, pattern_next, s);
}

void scsi_disk_write_same(ScsiDisk *s, const uint8_t *pattern)
{
    ScsiRequest *r = &s->qdev.req;
    const bool sixteen = r->cdb[0] == 0x93;
    const unsigned size = scsi_block_size(s);
    const uint64_t lba = sixteen ? get64(r->cdb + 2) : get32(r->cdb + 2);
    const uint32_t n = sixteen ? get32(r->cdb + 10) : get16(r->cdb + 7);

    if (!n || !in_range(s, lba, n) || n > UINT32_MAX / (size / BLK_SECTOR_SIZE)) {
        scsi_check(&s->qdev, n ? SENSE_RANGE : SENSE_FIELD);
        return;
    }
    r->given = true;
    if ((r->cdb[1] & 1) || all_zero(pattern, size)) {
        r->aio = blk_aio_write_zeroes(s->blk, lba * size, (int64_t)n * size, r->cdb[1] & 8 ? BLK_MAY_UNMAP : 0, plain_done, s);
        return;
    }
    for (unsigned at = size; at + size <= SCSI_BUFFER_BYTES; at += size)
        memcpy(r->data + at, r->data, size);
    r->sector = lba * (size / BLK_SECTOR_SIZE);
    r->sector_count = n * (size / BLK_SECTOR_SIZE);
    r->len = 0;
    pattern_next(s, 0);
}

/* ---- Media ---- */

void scsi_disk_eject(ScsiDisk *s, bool start, bool loej)
{
    ScsiDevice *d = &s->qdev;

    if (has_feature(s, FEATURE_REMOVABLE) && loej) {
        if (!start && !s->tray_open && s->tray_locked) {
            scsi_check(d, blk_is_inserted(s->blk) ? SENSE_NOT_READY_LOCKED : SENSE_LOCKED);
            return;
        }
        if (s->tray_open == start) {
            s->tray_open = !start;
            blk_tray_moved(s->blk, s->tray_open);
        }
    }
    scsi_good(d);
}

static bool change_media(void *opaque, bool load, GError **err)
{
    ScsiDisk *s = opaque;

    s->media_changed = load;
    s->tray_open = !load;
    s->media_event = true;
    s->eject_request = false;
    s->qdev.attention = load ? SENSE(UNIT_ATTENTION, 0x28, 0) : SENSE(UNIT_ATTENTION, 0x3a, 0);
    return true;
}

static void eject_request(void *opaque, bool force)
{
    ScsiDisk *s = opaque;

    s->eject_request = true;
    if (force)
        s->tray_locked = false;
}

static bool is_tray_open(void *opaque)
{
    return ((ScsiDisk *)opaque)->tray_open;
}

static bool is_locked(void *opaque)
{
    return ((ScsiDisk *)opaque)->tray_locked;
}

static void resized(void *opaque)
{
    ((ScsiDisk *)opaque)->qdev.attention = SENSE(UNIT_ATTENTION, 0x2a, 0x09);
}

static const BlkDevOps removable_ops = { .change_media = change_media, .eject_request = eject_request, .is_tray_open = is_tray_open,
                                         .is_medium_locked = is_locked, .resize = resized };
static const BlkDevOps fixed_ops = { .resize = resized };

/* ---- Life ---- */

/* The machine goes on after an error. */
static void go_on(void *opaque)
{
    ScsiDisk *s = opaque;

    ScsiRequest *r = &s->qdev.req;

    if (!r->active || !r->retry || r->aio)
        return;
    if (r->medium)
        scsi_disk_continue(s);
    else if (r->mode == MODE_TO_DEV)
        scsi_parameters(s, r->len);
    else
        scsi_command(s);
    r->retry = false;
}

static void run_state(void *opaque, bool running, RunState st)
{
    ScsiDisk *s = opaque;

    if (running && s->qdev.req.retry)
        bh_schedule(s->bh);
}

static void disk_reset(Device *d)
{
    ScsiDisk *s = DEVICE(d, ScsiDisk);

    scsi_cancel(&s->qdev);
    s->qdev.attention = SENSE(UNIT_ATTENTION, 0x29, 0);
}

static void text_default(char **s, const char *def)
{
    if (!*s)
        *s = g_strdup(def);
}

static bool apply_conf(ScsiDisk *s, GError **err)
{
    const bool cd = s->kind == SCSI_CD;

    s->conf.rerror = s->rerror;
    s->conf.werror = s->werror;
    s->conf.wce = s->write_cache == 0 ? -1 : s->write_cache == 1;
    if (cd) {
        s->conf.logical_block_size = 2048;
        s->conf.physical_block_size = 2048;
    }
    if (!blk_conf_apply(s->blk, &s->conf, cd, !cd, err))
        return false;
    if (s->conf.discard_granularity == UINT32_MAX)
        s->conf.discard_granularity = MAX(s->conf.logical_block_size, 4096);
    return cd || blk_conf_geometry(s->blk, &s->conf, 65535, 255, 255, err);
}

static bool attach(ScsiDisk *s, GError **err)
{
    const bool removable = has_feature(s, FEATURE_REMOVABLE);

    if (!s->blk && s->kind == SCSI_CD)
        s->blk = blk_new_empty();
    if (!s->blk)
        return error_set(err, "drive property not set");
    if (!removable && !blk_is_inserted(s->blk))
        return error_set(err, "Device needs media, but drive is empty");
    if (!blk_attach_dev(s->blk, s, removable ? &removable_ops : &fixed_ops, s, err))
        return false;
    if (apply_conf(s, err))
        return true;
    blk_detach_dev(s->blk, s);
    return false;
}

static bool disk_realize(ScsiDisk *s, ScsiKind kind, const char *product, GError **err)
{
    const char *name;

    s->kind = kind;
    if (kind == SCSI_CD)
        s->features |= 1u << FEATURE_REMOVABLE;
    if (!attach(s, err))
        return false;
    name = blk_name(s->blk);
    text_default(&s->ver, "2.5+");
    text_default(&s->vendor, "QEMU");
    text_default(&s->product, product);
    if (!s->device_id && (s->serial || *name))
        s->device_id = g_strndup(s->serial ? s->serial : name, 20);
    s->bh = bh_new(go_on, s);
    blk_iostatus_enable(s->blk);
    machine_observe_state(s->qdev.dev.machine, run_state, s);
    return true;
}

static bool hd_realize(Device *d, GError **err) { return disk_realize(DEVICE(d, ScsiDisk), SCSI_DISK, "QEMU HARDDISK", err); }
static bool cd_realize(Device *d, GError **err) { return disk_realize(DEVICE(d, ScsiDisk), SCSI_CD, "QEMU CD-ROM", err); }

static void disk_unrealize(Device *d)
{
    ScsiDisk *s = DEVICE(d, ScsiDisk);

    scsi_cancel(&s->qdev);
    machine_unobserve_state(d->machine, run_state, s);
    bh_free(s->bh);
    blk_detach_dev(s->blk, s);
}

static bool disk_drain(Device *d)
{
    return !DEVICE(d, ScsiDisk)->qdev.req.aio;
}

/* ---- State, types ---- */

static bool disk_loaded(void *obj, int version, GError **err)
{
    ScsiDisk *s = obj;
    ScsiBus *b = (ScsiBus *)(void *)s->qdev.dev.bus;

    if (s->qdev.req.active && b->ops->loaded)
        b->ops->loaded(b->opaque, &s->qdev);
    return true;
}

#define F(m) FIELD(ScsiDisk, m)
#define H(m) HOST(ScsiDisk, m)
static const Field fields[] = {
    STRUCT(ScsiDisk, qdev, &scsi_device_state), F(media_changed), F(media_event), F(eject_request), F(tray_open), F(tray_locked),
    H(kind), H(blk), H(conf), H(bh), H(ver), H(serial), H(vendor), H(product), H(device_id), H(features), H(wwn), H(port_wwn),
    H(max_unmap_size), H(max_io_size), H(port_index), H(rotation_rate), H(scsi_version), H(lcyls), H(lheads), H(lsecs),
    H(backend_defaults), H(account_invalid), H(account_failed), H(write_cache), H(rerror), H(werror), {0}
};
#undef F
#undef H
static const StateTable disk_state = { .name = "scsi-disk", .version = 1, .min_version = 1, .fields = fields, .loaded = disk_loaded };

#define P(m, n, k, d, ...) PROP(ScsiDisk, m, n, k, d, ##__VA_ARGS__)
#define BLOCK_SIZE_HELP "A power of two between 512 B and 2 MiB"
#define ON_ERROR .names = blk_on_error_names, .type_name = "BlockdevOnError", .help = "Error handling policy, report/ignore/enospc/stop/auto"
#define DRIVE_PROPS \
    P(blk, "drive", PROP_DRIVE, 0), P(backend_defaults, "backend_defaults", PROP_ON_OFF_AUTO, 0), \
    P(conf.logical_block_size, "logical_block_size", PROP_SIZE32, 0, .help = BLOCK_SIZE_HELP), \
    P(conf.physical_block_size, "physical_block_size", PROP_SIZE32, 0, .help = BLOCK_SIZE_HELP), \
    P(conf.min_io_size, "min_io_size", PROP_SIZE32, 0), P(conf.opt_io_size, "opt_io_size", PROP_SIZE32, 0), \
    P(conf.discard_granularity, "discard_granularity", PROP_SIZE32, UINT32_MAX), P(write_cache, "write-cache", PROP_ON_OFF_AUTO, 0), \
    P(conf.share_rw, "share-rw", PROP_BOOL, 0), P(account_invalid, "account-invalid", PROP_ON_OFF_AUTO, 0), \
    P(account_failed, "account-failed", PROP_ON_OFF_AUTO, 0), P(rerror, "rerror", PROP_ENUM, 0, ON_ERROR), \
    P(werror, "werror", PROP_ENUM, 0, ON_ERROR), P(ver, "ver", PROP_STR, 0), P(serial, "serial", PROP_STR, 0), \
    P(vendor, "vendor", PROP_STR, 0), P(product, "product", PROP_STR, 0), P(device_id, "device_id", PROP_STR, 0)
#define BIT(n, b) { .name = (n), .kind = PROP_BIT, .off = offsetof(ScsiDisk, features), .bit = (b), .help = "on/off" }
#define PLACE_PROPS \
    P(qdev.channel, "channel", PROP_U32, 0), P(qdev.id, "scsi-id", PROP_U32, UINT32_MAX), P(qdev.lun, "lun", PROP_U32, UINT32_MAX), \
    P(qdev.dev.bootindex, "bootindex", PROP_I32, -1)

static const Property hd_props[] = {
    DRIVE_PROPS, BIT("removable", FEATURE_REMOVABLE), BIT("dpofua", FEATURE_DPOFUA), P(wwn, "wwn", PROP_U64, 0),
    P(port_wwn, "port_wwn", PROP_U64, 0), P(port_index, "port_index", PROP_U16, 0),
    P(max_unmap_size, "max_unmap_size", PROP_U64, 1 << 30), P(max_io_size, "max_io_size", PROP_U64, INT32_MAX),
    P(rotation_rate, "rotation_rate", PROP_U16, 0), P(scsi_version, "scsi_version", PROP_I32, 5),
    P(conf.cyls, "cyls", PROP_U32, 0), P(conf.heads, "heads", PROP_U32, 0),
    P(conf.secs, "secs", PROP_U32, 0), P(lcyls, "lcyls", PROP_U32, 0), P(lheads, "lheads", PROP_U32, 0), P(lsecs, "lsecs", PROP_U32, 0),
    PLACE_PROPS, {0}
};
static const Property cd_props[] = {
    DRIVE_PROPS, P(wwn, "wwn", PROP_U64, 0), P(port_wwn, "port_wwn", PROP_U64, 0), P(port_index, "port_index", PROP_U16, 0),
    P(max_io_size, "max_io_size", PROP_U64, INT32_MAX), P(scsi_version, "scsi_version", PROP_I32, 5), PLACE_PROPS, {0}
};

#define SCSI_TYPE(t, n, text, p, what) const DeviceType t = { \
    .name = (n), .desc = (text), .bus = "SCSI", .category = CAT_STORAGE, .hotplug = true, .size = sizeof(ScsiDisk), .props = (p), \
    .state = &disk_state, .realize = what##_realize, .unrealize = disk_unrealize, .reset = disk_reset, .drain = disk_drain, \
}
SCSI_TYPE(scsi_hd_type, "scsi-hd", "virtual SCSI disk", hd_props, hd);
SCSI_TYPE(scsi_cd_type, "scsi-cd", "virtual SCSI CD-ROM", cd_props, cd);

Device *scsi_create_drive(ScsiBus *b, BlockBackend *blk, const BlkConf *conf, bool removable, const char *serial, int bootindex,
                          GError **err)
{
    const DriveInfo *info = drive_of_blk(blk);
    Device *d = device_new(b->bus.parent->machine, info && info->media_cd ? &scsi_cd_type : &scsi_hd_type, err);
    ScsiDisk *s = DEVICE(d, ScsiDisk);

    if (!d)
        return NULL;
    s->blk = blk;
    s->qdev.id = s->qdev.lun = 0;
    s->conf.share_rw = conf->share_rw;
    s->rerror = conf->rerror;
    s->werror = conf->werror;
    s->serial = g_strdup(serial);
    if (removable)
        s->features |= 1u << FEATURE_REMOVABLE;
    d->bootindex = bootindex;
    b->part = g_strdup_printf("%s/legacy[0]", b->bus.name);
    d->owner = b->bus.parent;
    d->part = b->part;
    d->hotplugged = b->bus.parent->hotplugged;
    return device_realize(d, &b->bus, err) ? d : NULL;
}
