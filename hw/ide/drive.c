/* The drives on an IDE bus: ide-hd (hard disk) and ide-cd (CD/DVD). */
#include <string.h>
#include "hw/ide/ide-int.h"
#include "util/error.h"

typedef struct IdeDev {
    Device dev;
    IdeDrive *drive;                /* its half of the channel */
    BlockBackend *blk;
    BlkConf conf;
    uint32_t unit;
    char *ver, *serial, *model;
    uint64_t wwn;
    uint32_t lcyls, lheads, lsecs;
    uint16_t rotation_rate;
    int backend_defaults, account_invalid, account_failed, write_cache, rerror, werror, trans;
} IdeDev;

/* ---- What the block layer tells a CD ---- */

static bool cd_change_media(void *opaque, bool load, GError **err)
{
    ((IdeDrive *)opaque)->tray_open = !load;
    atapi_media_changed(opaque);
    return true;
}

static void cd_eject_request(void *opaque, bool force)
{
    IdeDrive *d = opaque;

    d->event_eject_request = true;
    if (force)
        d->tray_locked = false;
    ide_set_irq(d);
}

static bool cd_is_tray_open(void *opaque)
{
    return ((IdeDrive *)opaque)->tray_open;
}

static bool cd_is_locked(void *opaque)
{
    return ((IdeDrive *)opaque)->tray_locked;
}

static void hd_resize(void *opaque)
{
    IdeDrive *d = opaque;

    d->sectors = blk_sectors(d->blk);
    d->identify_set = 0;
}

static const BlkDevOps cd_ops = { .change_media = cd_change_media, .eject_request = cd_eject_request,
                                  .is_tray_open = cd_is_tray_open, .is_medium_locked = cd_is_locked };
static const BlkDevOps hd_ops = { .resize = hd_resize };

/* ---- Realizing ---- */

static bool take_unit(IdeDev *s, GError **err)
{
    IdeChannel *c = ((IdeBus *)(void *)s->dev.bus)->chan;

    if (s->unit == UINT32_MAX)
        s->unit = c->ifs[0].kind ? 1 : 0;
    if (s->unit > 1)
        return error_set(err, "Can't create IDE unit %u, bus supports only 2 units", s->unit);
    if (c->ifs[s->unit].kind)
        return error_set(err, "IDE unit %u is in use", s->unit);
    s->drive = &c->ifs[s->unit];
    return true;
}

static void copy_text(char *to, size_t size, const char *given, const char *def)
{
    g_strlcpy(to, given && *given ? given : def, size);
}

static bool setup_disk(IdeDev *s, GError **err)
{
    IdeDrive *d = s->drive;

    if (!blk_is_inserted(s->blk))
        return error_set(err, "Device needs media, but drive is empty");
    if (blk_is_read_only(s->blk))
        return error_set(err, "Block node is read-only");
    if (!blk_conf_geometry(s->blk, &s->conf, 65535, 16, 255, err))
        return false;
    d->cyls = s->conf.cyls;
    d->heads = s->conf.heads;
    d->secs = s->conf.secs;
    d->trans = s->trans = s->conf.trans;
    d->discard = true;
    return true;
}

static bool realize(IdeDev *s, IdeKind kind, const char *model, GError **err)
{
    IdeDrive *d;
    DriveInfo *info;
    g_autofree char *number = NULL;
    unsigned bus_no;

    if (!take_unit(s, err))
        return false;
    d = s->drive;
    bus_no = d->chan->number;
    if (!s->blk && kind == IDE_CD)
        s->blk = blk_new_empty();
    if (!s->blk)
        return error_set(err, "No drive specified");
    s->conf.rerror = s->rerror;
    s->conf.werror = s->werror;
    s->conf.wce = s->write_cache == 0 ? -1 : s->write_cache == 1;
    s->conf.trans = s->trans;
    if (s->conf.discard_granularity == UINT32_MAX)
        s->conf.discard_granularity = 512;
    if (!blk_attach_dev(s->blk, s, kind == IDE_CD ? &cd_ops : &hd_ops, d, err))
        return false;
    d->blk = s->blk;
    d->dev = &s->dev;
    if (!blk_conf_apply(s->blk, &s->conf, kind == IDE_CD, kind == IDE_HD, err) || (kind == IDE_HD && !setup_disk(s, err))) {
        blk_detach_dev(s->blk, s);
        d->blk = NULL;
        d->dev = NULL;
        return false;
    }
    if (s->conf.logical_block_size != 512) {
        blk_detach_dev(s->blk, s);
        d->blk = NULL;
        return error_set(err, "logical_block_size must be 512 for IDE");
    }
    info = drive_of_blk(s->blk);
    number = g_strdup_printf("QM%05u", bus_no * 2 + s->unit + 1);
    copy_text(d->serial, sizeof d->serial, s->serial ? s->serial : info ? info->serial : NULL, number);
    copy_text(d->model, sizeof d->model, s->model, model);
    copy_text(d->version, sizeof d->version, s->ver, "2.5+");
    if (!s->serial)
        s->serial = g_strdup(d->serial);
    if (!s->ver)
        s->ver = g_strdup(d->version);
    d->wwn = s->wwn;
    d->rotation_rate = s->rotation_rate;
    d->physical_block = s->conf.physical_block_size;
    d->sectors = blk_sectors(s->blk);
    d->kind = kind;
    blk_iostatus_enable(s->blk);
    return true;
}

static bool hd_realize(Device *dev, GError **err)
{
    return realize(DEVICE(dev, IdeDev), IDE_HD, "QEMU HARDDISK", err);
}

static bool cd_realize(Device *dev, GError **err)
{
    return realize(DEVICE(dev, IdeDev), IDE_CD, "QEMU DVD-ROM", err);
}

static void unrealize(Device *dev)
{
    IdeDev *s = DEVICE(dev, IdeDev);

    s->drive->kind = IDE_NONE;
    blk_detach_dev(s->blk, s);
    s->drive->blk = NULL;
    s->drive->dev = NULL;
}

/* ---- Types ---- */

#define IDE_PROPS \
    PROP(IdeDev, blk, "drive", PROP_DRIVE, 0), \
    PROP(IdeDev, backend_defaults, "backend_defaults", PROP_ON_OFF_AUTO, 0), \
    PROP(IdeDev, conf.logical_block_size, "logical_block_size", PROP_SIZE32, 0, .help = "A power of two between 512 B and 2 MiB"), \
    PROP(IdeDev, conf.physical_block_size, "physical_block_size", PROP_SIZE32, 0, .help = "A power of two between 512 B and 2 MiB"), \
    PROP(IdeDev, conf.min_io_size, "min_io_size", PROP_SIZE32, 0), \
    PROP(IdeDev, conf.opt_io_size, "opt_io_size", PROP_SIZE32, 0), \
    PROP(IdeDev, conf.discard_granularity, "discard_granularity", PROP_SIZE32, UINT32_MAX), \
    PROP(IdeDev, write_cache, "write-cache", PROP_ON_OFF_AUTO, 0), \
    PROP(IdeDev, conf.share_rw, "share-rw", PROP_BOOL, 0), \
    PROP(IdeDev, account_invalid, "account-invalid", PROP_ON_OFF_AUTO, 0), \
    PROP(IdeDev, account_failed, "account-failed", PROP_ON_OFF_AUTO, 0), \
    PROP(IdeDev, rerror, "rerror", PROP_ENUM, 0, .names = blk_on_error_names, .type_name = "BlockdevOnError", \
         .help = "Error handling policy, report/ignore/enospc/stop/auto"), \
    PROP(IdeDev, werror, "werror", PROP_ENUM, 0, .names = blk_on_error_names, .type_name = "BlockdevOnError", \
         .help = "Error handling policy, report/ignore/enospc/stop/auto"), \
    PROP(IdeDev, ver, "ver", PROP_STR, 0), \
    PROP(IdeDev, wwn, "wwn", PROP_U64, 0), \
    PROP(IdeDev, serial, "serial", PROP_STR, 0), \
    PROP(IdeDev, model, "model", PROP_STR, 0)
#define IDE_PLACE_PROPS \
    PROP(IdeDev, unit, "unit", PROP_U32, UINT32_MAX), \
    PROP(IdeDev, dev.bootindex, "bootindex", PROP_I32, -1)

static const Property hd_props[] = {
    IDE_PROPS,
    PROP(IdeDev, conf.cyls, "cyls", PROP_U32, 0), PROP(IdeDev, conf.heads, "heads", PROP_U32, 0),
    PROP(IdeDev, conf.secs, "secs", PROP_U32, 0), PROP(IdeDev, lcyls, "lcyls", PROP_U32, 0),
    PROP(IdeDev, lheads, "lheads", PROP_U32, 0), PROP(IdeDev, lsecs, "lsecs", PROP_U32, 0),
    PROP(IdeDev, trans, "bios-chs-trans", PROP_ENUM, 0, .names = bios_translation_names, .type_name = "BiosAtaTranslation",
         .help = "Logical CHS translation algorithm, auto/none/lba/large/rechs"),
    PROP(IdeDev, rotation_rate, "rotation_rate", PROP_U16, 0),
    IDE_PLACE_PROPS,
    { 0 }
};
static const Property cd_props[] = { IDE_PROPS, IDE_PLACE_PROPS, { 0 } };

/* No section of their own: their state is the controller's. */
static const Field ide_dev_host[] = {
    HOST(IdeDev, dev), HOST(IdeDev, drive), HOST(IdeDev, blk), HOST(IdeDev, conf), HOST(IdeDev, unit), HOST(IdeDev, ver),
    HOST(IdeDev, serial), HOST(IdeDev, model), HOST(IdeDev, wwn), HOST(IdeDev, lcyls), HOST(IdeDev, lheads), HOST(IdeDev, lsecs),
    HOST(IdeDev, rotation_rate), HOST(IdeDev, backend_defaults), HOST(IdeDev, account_invalid), HOST(IdeDev, account_failed),
    HOST(IdeDev, write_cache), HOST(IdeDev, rerror), HOST(IdeDev, werror), HOST(IdeDev, trans), { 0 }
};

const DeviceType ide_hd_type = {
    .name = "ide-hd", .desc = "virtual IDE disk", .bus = "IDE", .category = CAT_STORAGE, .size = sizeof(IdeDev),
    .props = hd_props, .host = ide_dev_host, .realize = hd_realize, .unrealize = unrealize,
};
const DeviceType ide_cd_type = {
    .name = "ide-cd", .desc = "virtual IDE CD-ROM", .bus = "IDE", .category = CAT_STORAGE, .size = sizeof(IdeDev),
    .props = cd_props, .host = ide_dev_host, .realize = cd_realize, .unrealize = unrealize,
};

bool ide_create_drive(Device *controller, DriveInfo *drive, GError **err)
{
    Bus *bus = g_slist_nth_data(controller->buses, drive->bus);
    Device *d;

    if (!bus)
        return error_set(err, "There is no IDE bus %d", drive->bus);
    d = device_new(controller->machine, drive->media_cd ? &ide_cd_type : &ide_hd_type, err);
    if (!d)
        return false;
    DEVICE(d, IdeDev)->blk = drive->blk;
    DEVICE(d, IdeDev)->unit = drive->unit;
    drive->claimed = true;
    if (device_realize(d, bus, err))
        return true;
    g_prefix_error(err, "%s", drive->origin ? drive->origin : "");
    return false;
}
