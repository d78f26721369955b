/* Floppy drives, their media and formats. */
#include <string.h>
#include "hw/block/fdc-int.h"
#include "util/error.h"

/* Formats, the preferred ones first: drive, sectors a track, tracks, sides less one, data rate (as CCR has it). */
static const struct Format { int drive; uint8_t last_sect, max_track, max_head, rate; } formats[] = {
    { DRIVE_144, 18, 80, 1, 0 }, { DRIVE_144, 20, 80, 1, 0 }, { DRIVE_144, 21, 80, 1, 0 }, { DRIVE_144, 21, 82, 1, 0 },
    { DRIVE_144, 21, 83, 1, 0 }, { DRIVE_144, 22, 80, 1, 0 }, { DRIVE_144, 23, 80, 1, 0 }, { DRIVE_144, 24, 80, 1, 0 },
    { DRIVE_288, 36, 80, 1, 3 }, { DRIVE_288, 39, 80, 1, 3 }, { DRIVE_288, 40, 80, 1, 3 }, { DRIVE_288, 44, 80, 1, 3 },
    { DRIVE_288, 48, 80, 1, 3 },
    { DRIVE_144, 9, 80, 1, 2 }, { DRIVE_144, 10, 80, 1, 2 }, { DRIVE_144, 10, 82, 1, 2 }, { DRIVE_144, 10, 83, 1, 2 },
    { DRIVE_144, 13, 80, 1, 2 }, { DRIVE_144, 14, 80, 1, 2 },
    { DRIVE_120, 15, 80, 1, 0 }, { DRIVE_120, 18, 80, 1, 0 }, { DRIVE_120, 18, 82, 1, 0 }, { DRIVE_120, 18, 83, 1, 0 },
    { DRIVE_120, 20, 80, 1, 0 },
    { DRIVE_120, 9, 80, 1, 1 }, { DRIVE_120, 11, 80, 1, 1 },
    { DRIVE_120, 9, 40, 1, 1 }, { DRIVE_120, 9, 40, 0, 1 }, { DRIVE_120, 10, 41, 1, 1 }, { DRIVE_120, 10, 42, 1, 1 },
    { DRIVE_120, 8, 40, 1, 1 }, { DRIVE_120, 8, 40, 0, 1 },
    { DRIVE_144, 9, 80, 0, 2 },
};

static const char *const drive_types[] = { "144", "288", "120", "none", "auto", NULL };

static unsigned format_sectors(const struct Format *f)
{
    return (f->max_head + 1) * f->max_track * f->last_sect;
}

/* 3.5" drives of one sort read the other's media. */
static bool drive_takes(int drive, int format)
{
    return drive == DRIVE_AUTO || drive == format || (drive == DRIVE_288 && format == DRIVE_144);
}

static const struct Format *pick_format(const FloppyDrive *d)
{
    uint64_t n = blk_sectors(d->blk);
    const struct Format *first = NULL, *any = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(formats); i++) {
        const struct Format *f = &formats[i];

        if (!drive_takes(d->type, f->drive))
            continue;
        if (format_sectors(f) == n)
            return f;
        if (!any)
            any = f;
        if (!first && d->type == f->drive)
            first = f;
    }
    return first ? first : any;
}

void floppy_revalidate(FloppyDrive *d)
{
    const struct Format *f;

    if (!d->blk || d->media_validated)
        return;
    d->media_validated = true;
    d->media_inserted = blk_is_inserted(d->blk);
    d->ro = d->media_inserted && blk_is_read_only(d->blk);
    if (!d->media_inserted) {
        d->last_sect = d->max_track = 0;
        d->double_sided = false;
        return;
    }
    f = pick_format(d);
    if (!f)
        return;
    if (d->type == DRIVE_AUTO)
        d->type = f->drive;
    d->double_sided = f->max_head;
    d->max_track = f->max_track;
    d->last_sect = f->last_sect;
    d->rate = f->rate;
    d->media_rate = f->rate;
}

unsigned floppy_sector(const FloppyDrive *d)
{
    unsigned sides = d->double_sided ? 2 : 1;

    return (d->track * sides + d->head) * d->last_sect + d->sect - 1;
}

FloppySeek floppy_seek(FloppyDrive *d, unsigned head, unsigned track, unsigned sect, bool implied)
{
    FloppySeek r = FLOPPY_OK;

    if (track > d->max_track || (head && !d->double_sided))
        return FLOPPY_NO_TRACK;
    if (sect > d->last_sect)
        return FLOPPY_NO_SECTOR;
    if (d->track != track) {
        if (!implied)
            return FLOPPY_NO_TRACK;
        if (d->media_inserted)
            d->media_changed = 0;
        r = FLOPPY_TRACK_CHANGED;
    }
    d->head = head;
    d->track = track;
    d->sect = sect;
    return d->media_inserted ? r : FLOPPY_NO_DISK;
}

void floppy_recalibrate(FloppyDrive *d)
{
    floppy_seek(d, 0, 0, 1, true);
}

static bool change_media(void *opaque, bool load, GError **err)
{
    FloppyDrive *d = opaque;

    d->media_changed = 1;
    d->media_validated = false;
    floppy_revalidate(d);
    return true;
}

static const BlkDevOps floppy_ops = { .change_media = change_media };

/* ---- The device "floppy" on the controller's bus ---- */

typedef struct Floppy {
    Device dev;
    FloppyDrive *drive;
    BlockBackend *blk;
    BlkConf conf;
    uint32_t unit;
    int type, backend_defaults, write_cache, account_invalid, account_failed;
} Floppy;

static char *floppy_fw_path(Device *d)
{
    return g_strdup_printf("floppy@%x", DEVICE(d, Floppy)->unit);
}

const BusType floppy_bus_type = { .name = "floppy-bus", .fw_path = floppy_fw_path };

static bool floppy_realize(Device *dev, GError **err)
{
    Floppy *s = DEVICE(dev, Floppy);
    Fdc *c = DEVICE(dev->bus->parent, Fdc);
    FloppyDrive *d;

    if (s->unit == UINT32_MAX)
        s->unit = c->drives[0].blk ? 1 : 0;
    if (s->unit > 1)
        return error_set(err, "Can't create floppy unit %u, bus supports only 2 units", s->unit);
    d = &c->drives[s->unit];
    if (d->blk)
        return error_set(err, "Floppy unit %u is in use", s->unit);
    if (!s->blk)
        s->blk = blk_new_empty();
    s->conf.wce = s->write_cache == 0 ? -1 : s->write_cache == 1;
    if (s->conf.logical_block_size && s->conf.logical_block_size != 512)
        return error_set(err, "Physical and logical block size must be 512 for floppy");
    if (!blk_attach_dev(s->blk, s, &floppy_ops, d, err))
        return false;
    if (!blk_conf_apply(s->blk, &s->conf, blk_is_inserted(s->blk) && blk_is_read_only(s->blk), false, err)) {
        blk_detach_dev(s->blk, s);
        return false;
    }
    s->drive = d;
    d->blk = s->blk;
    d->fdc = c;
    d->type = s->type;
    floppy_revalidate(d);
    /* An empty drive, or one with a medium of no known format, is of the fallback type. */
    if (d->type == DRIVE_AUTO)
        d->type = c->fallback;
    s->type = d->type;
    return true;
}

static void floppy_unrealize(Device *dev)
{
    Floppy *s = DEVICE(dev, Floppy);

    blk_detach_dev(s->blk, s);
    s->drive->blk = NULL;
    s->drive->media_inserted = false;
}

static const Property floppy_props[] = {
    PROP(Floppy, unit, "unit", PROP_U32, UINT32_MAX), PROP(Floppy, blk, "drive", PROP_DRIVE, 0),
    PROP(Floppy, backend_defaults, "backend_defaults", PROP_ON_OFF_AUTO, 0),
    PROP(Floppy, conf.logical_block_size, "logical_block_size", PROP_SIZE32, 0, .help = "A power of two between 512 B and 2 MiB"),
    PROP(Floppy, conf.physical_block_size, "physical_block_size", PROP_SIZE32, 0, .help = "A power of two between 512 B and 2 MiB"),
    PROP(Floppy, conf.min_io_size, "min_io_size", PROP_SIZE32, 0), PROP(Floppy, conf.opt_io_size, "opt_io_size", PROP_SIZE32, 0),
    PROP(Floppy, conf.discard_granularity, "discard_granularity", PROP_SIZE32, UINT32_MAX),
    PROP(Floppy, write_cache, "write-cache", PROP_ON_OFF_AUTO, 0), PROP(Floppy, conf.share_rw, "share-rw", PROP_BOOL, 0),
    PROP(Floppy, account_invalid, "account-invalid", PROP_ON_OFF_AUTO, 0),
    PROP(Floppy, account_failed, "account-failed", PROP_ON_OFF_AUTO, 0),
    PROP(Floppy, type, "drive-type", PROP_ENUM, DRIVE_AUTO, .names = drive_types, .type_name = "FdcDriveType",
         .help = "FDC drive type, 144/288/120/none/auto"),
    { 0 }
};

static const Field floppy_host[] = {
    HOST(Floppy, dev), HOST(Floppy, drive), HOST(Floppy, blk), HOST(Floppy, conf), HOST(Floppy, unit), HOST(Floppy, type),
    HOST(Floppy, backend_defaults), HOST(Floppy, write_cache), HOST(Floppy, account_invalid), HOST(Floppy, account_failed), { 0 }
};

const DeviceType floppy_type = {
    .name = "floppy", .desc = "virtual floppy drive", .bus = "floppy-bus", .category = CAT_STORAGE, .size = sizeof(Floppy),
    .props = floppy_props, .host = floppy_host, .realize = floppy_realize, .unrealize = floppy_unrealize,
};

static bool add_drive(Device *fdc, unsigned unit, GError **err)
{
    Fdc *s = DEVICE(fdc, Fdc);
    DriveInfo *info = drive_get(BLK_IF_FLOPPY, 0, unit);
    Device *d;

    if (!info)
        return true;
    d = device_new(fdc->machine, &floppy_type, err);
    if (!d)
        return false;
    DEVICE(d, Floppy)->blk = info->blk;
    DEVICE(d, Floppy)->unit = unit;
    DEVICE(d, Floppy)->type = s->fd_type[unit];
    info->claimed = true;
    if (device_realize(d, s->bus, err))
        return true;
    g_prefix_error(err, "%s", info->origin ? info->origin : "");
    return false;
}

Device *fdc_create(Machine *m, Bus *isa, GError **err)
{
    Device *d = device_create(m, &isa_fdc_type, isa, err);

    return d && add_drive(d, 0, err) && add_drive(d, 1, err) ? d : NULL;
}

unsigned fdc_cmos_type(Device *fdc, unsigned n)
{
    const FloppyDrive *d = &DEVICE(fdc, Fdc)->drives[n & 1];

    if (!d->blk)
        return 0;
    return d->type == DRIVE_144 ? 4 : d->type == DRIVE_288 ? 5 : d->type == DRIVE_120 ? 2 : 0;
}
