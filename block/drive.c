/* -drive and its short forms: options to a drive with its medium. */
#include <string.h>
#include "block/backend-int.h"
#include "block/options.h"
#include "util/error.h"
#include "util/opts.h"

const char *const blk_if_names[] = { "none", "ide", "scsi", "floppy", "pflash", "mtd", "sd", "virtio", "xen", NULL };
/* Units of a bus; 0: one bus without end. */
static const int max_units[BLK_IF_COUNT] = { [BLK_IF_IDE] = 2, [BLK_IF_SCSI] = 7 };

static bool snapshot_all;

void drive_set_snapshot(bool on)
{
    snapshot_all = on;
}

DriveInfo *drive_get(BlkIf type, int bus, int unit)
{
    for (BlockBackend *b = blk_next(NULL); b; b = blk_next(b))
        if (b->drive && b->drive->type == type && b->drive->bus == bus && b->drive->unit == unit)
            return b->drive;
    return NULL;
}

static int index_bus(BlkIf type, int index)
{
    return max_units[type] ? index / max_units[type] : 0;
}

static int index_unit(BlkIf type, int index)
{
    return max_units[type] ? index % max_units[type] : index;
}

DriveInfo *drive_get_by_index(BlkIf type, int index)
{
    return drive_get(type, index_bus(type, index), index_unit(type, index));
}

int drive_max_bus(BlkIf type)
{
    int max = -1;

    for (BlockBackend *b = blk_next(NULL); b; b = blk_next(b))
        if (b->drive && b->drive->type == type)
            max = MAX(max, b->drive->bus);
    return max;
}

DriveInfo *drive_of_blk(const BlockBackend *blk)
{
    return blk->drive;
}

/* ---- options */

typedef struct DriveOpts {
    BlkIf type;
    uint64_t index, bus, unit;
    bool cdrom, snapshot, read_only, copy_on_read, writeback;
    char *file, *id, *serial, *group;
    BlkOnError on_read, on_write;
    unsigned flags;
    int detect_zeroes;
    ThrottleConfig throttle;
    bool throttled;
} DriveOpts;

#define NOT_GIVEN UINT64_MAX

static bool take_cache(json_t *opts, DriveOpts *d, GError **err)
{
    static const struct { const char *name; bool wb, direct, no_flush; } modes[] = {
        { "none", true, true, false }, { "off", true, true, false }, { "writeback", true, false, false },
        { "writethrough", false, false, false }, { "directsync", false, true, false }, { "unsafe", true, false, true },
    };
    g_autofree char *mode = jopts_take(opts, "cache");
    bool found = !mode;

    for (unsigned i = 0; mode && i < G_N_ELEMENTS(modes); i++) {
        if (strcmp(mode, modes[i].name))
            continue;
        jopts_set_default(opts, "cache.writeback", modes[i].wb ? "on" : "off");
        jopts_set_default(opts, "cache.direct", modes[i].direct ? "on" : "off");
        jopts_set_default(opts, "cache.no-flush", modes[i].no_flush ? "on" : "off");
        found = true;
    }
    if (!found)
        return error_set(err, "invalid cache option");
    d->writeback = true;
    if (!jopts_take_bool(opts, "cache.writeback", &d->writeback, err))
        return false;
    /* kept for the media that are put in later */
    if (!g_strcmp0(jopts_get(opts, "cache.direct"), "on"))
        d->flags |= OPEN_DIRECT;
    if (!g_strcmp0(jopts_get(opts, "cache.no-flush"), "on"))
        d->flags |= OPEN_NO_FLUSH;
    return true;
}

static bool take_on_error(json_t *opts, const char *key, bool read, BlkIf type, BlkOnError *val, GError **err)
{
    static const char *const names[] = { "report", "ignore", "stop", "enospc", NULL };
    g_autofree char *s = jopts_take(opts, key);
    int i = 0;

    *val = read ? BLK_ERR_REPORT : BLK_ERR_ENOSPC;
    if (!s)
        return true;
    if (type != BLK_IF_IDE && type != BLK_IF_SCSI && type != BLK_IF_VIRTIO && type != BLK_IF_NONE)
        return error_set(err, "%s is not supported by this bus type", key);
    while (names[i] && strcmp(names[i], s))
        i++;
    if (!names[i] || (read && i == 3))
        return error_set(err, "'%s' invalid %s error action", s, read ? "read" : "write");
    *val = BLK_ERR_REPORT + i;
    return true;
}

static bool take_place(json_t *opts, DriveOpts *d, BlkIf dflt, GError **err)
{
    g_autofree char *type = jopts_take(opts, "if"), *media = jopts_take(opts, "media");

    d->type = dflt;
    d->index = d->bus = d->unit = NOT_GIVEN;
    if (type) {
        int i = 0;

        while (blk_if_names[i] && strcmp(blk_if_names[i], type))
            i++;
        if (!blk_if_names[i])
            return error_set(err, "unsupported bus type '%s'", type);
        d->type = i;
    }
    if (media && strcmp(media, "disk") && strcmp(media, "cdrom"))
        return error_set(err, "'%s' invalid media", media);
    d->cdrom = media && !strcmp(media, "cdrom");
    return jopts_take_number(opts, "index", &d->index, err) && jopts_take_number(opts, "bus", &d->bus, err) &&
        jopts_take_number(opts, "unit", &d->unit, err);
}

/* bus and unit, from index= or the first that is free. */
static bool settle_place(DriveOpts *d, GError **err)
{
    int max = max_units[d->type];

    if (d->index != NOT_GIVEN) {
        if (d->bus != NOT_GIVEN || d->unit != NOT_GIVEN)
            return error_set(err, "index cannot be used with bus and unit");
        if (d->index > G_MAXINT)
            return error_set(err, "index %" G_GUINT64_FORMAT " too big", d->index);
        d->bus = index_bus(d->type, d->index);
        d->unit = index_unit(d->type, d->index);
    }
    if ((d->bus != NOT_GIVEN && d->bus > G_MAXINT) || (d->unit != NOT_GIVEN && d->unit > G_MAXINT))
        return error_set(err, "bus or unit too big");
    if (d->bus == NOT_GIVEN)
        d->bus = 0;
    if (d->unit == NOT_GIVEN) {
        d->unit = 0;
        while (drive_get(d->type, d->bus, d->unit)) {
            if (max && ++d->unit >= (uint64_t)max) {
                d->unit = 0;
                d->bus++;
            } else if (!max) {
                d->unit++;
            }
        }
    }
    if (max && d->unit >= (uint64_t)max)
        return error_set(err, "unit %d too big (max is %d)", (int)d->unit, max - 1);
    if (drive_get(d->type, d->bus, d->unit))
        return error_set(err, "drive with bus=%d, unit=%d (index=%d) exists", (int)d->bus, (int)d->unit,
                         (int)(max ? d->bus * max + d->unit : d->unit));
    return true;
}

static bool settle_id(DriveOpts *d, GError **err)
{
    const char *kind = d->type == BLK_IF_IDE || d->type == BLK_IF_SCSI ? (d->cdrom ? "-cd" : "-hd") : "";

    if (!d->id && max_units[d->type])
        d->id = g_strdup_printf("%s%d%s%d", blk_if_names[d->type], (int)d->bus, kind, (int)d->unit);
    else if (!d->id)
        d->id = g_strdup_printf("%s%s%d", blk_if_names[d->type], kind, (int)d->unit);
    if (!id_wellformed(d->id))
        return error_set(err, "Parameter 'id' expects an identifier\n"
                         "Identifiers consist of letters, digits, '-', '.', '_', starting with a letter.");
    if (blk_by_name(d->id))
        return error_set(err, "Duplicate ID '%s' for drive", d->id);
    if (node_by_name(d->id))
        return error_set(err, "Device name '%s' conflicts with an existing node name", d->id);
    return true;
}

static bool take_image(json_t *opts, DriveOpts *d, GError **err)
{
    static const char *const aios[] = { "threads", "native", "io_uring", NULL };
    static const char *const detects[] = { "off", "on", "unmap", NULL };
    g_autofree char *format = jopts_take(opts, "format"), *aio = jopts_take(opts, "aio"),
                    *old_ro = jopts_take(opts, "readonly");
    const char *discard;

    if (old_ro)
        jopts_set_default(opts, "read-only", old_ro);
    if (aio && !g_strv_contains(aios, aio))
        return error_set(err, "invalid aio option");
    discard = jopts_get(opts, "discard");
    if (discard && strcmp(discard, "ignore") && strcmp(discard, "off") && strcmp(discard, "unmap") && strcmp(discard, "on"))
        return error_set(err, "Invalid discard option");
    if (discard && (!strcmp(discard, "unmap") || !strcmp(discard, "on")))
        d->flags |= OPEN_UNMAP;
    if (!take_cache(opts, d, err))
        return false;
    if (format && jopts_get(opts, "driver"))
        return error_set(err, "Cannot specify both 'driver' and 'format'");
    if (format)
        jopts_set(opts, "driver", format);
    if (aio)
        jopts_set_default(opts, driver_find(format ? format : "raw") && format && driver_find(format)->is_protocol
                         ? "aio" : "file.aio", aio);
    d->read_only = d->cdrom;
    if (!jopts_take_bool(opts, "read-only", &d->read_only, err) ||
        !jopts_take_bool(opts, "copy-on-read", &d->copy_on_read, err) ||
        !jopts_take_bool(opts, "snapshot", &d->snapshot, err))
        return false;
    d->read_only |= d->cdrom;
    if (jopts_get(opts, "detect-zeroes")) {
        g_autofree char *dz = g_strdup(jopts_get(opts, "detect-zeroes"));
        json_t *tmp = json_pack("{s:s}", "detect-zeroes", dz);
        bool ok = jopts_take_enum(tmp, "detect-zeroes", detects, &d->detect_zeroes, err);

        json_decref(tmp);
        if (!ok)
            return false;
    }
    return throttle_take_options(opts, &d->throttle, &d->group, &d->throttled, err);
}

static bool take_all(json_t *opts, DriveOpts *d, BlkIf dflt, GError **err)
{
    d->id = jopts_take(opts, "id");
    d->file = jopts_take(opts, "file");
    d->serial = jopts_take(opts, "serial");
    d->snapshot = snapshot_all;
    return take_place(opts, d, dflt, err) && take_on_error(opts, "werror", false, d->type, &d->on_write, err) &&
        take_on_error(opts, "rerror", true, d->type, &d->on_read, err) && take_image(opts, d, err) &&
        settle_place(d, err) && settle_id(d, err);
}

/* ---- making it */

/* Nothing about an image was said: the drive is empty. */
static bool no_image(const DriveOpts *d, json_t *opts)
{
    const char *key;
    json_t *v;

    if (d->file && *d->file)
        return false;
    json_object_foreach(opts, key, v)
        if (!g_str_has_prefix(key, "cache.") && strcmp(key, "discard") && strcmp(key, "detect-zeroes") &&
            strcmp(key, "file.aio"))
            return false;
    return true;
}

static bool insert_image(BlockBackend *blk, const DriveOpts *d, json_t *opts, GError **err)
{
    unsigned flags = d->flags | OPEN_AUTO_RDONLY | (d->read_only ? 0 : OPEN_RDWR) | (d->snapshot ? OPEN_SNAPSHOT : 0) |
        (d->copy_on_read && !d->read_only ? OPEN_COPY_ON_READ : 0);
    BlockNode *n;
    bool ok;

    n = node_open(d->file && *d->file ? d->file : NULL, json_incref(opts), flags, err);
    if (!n)
        return false;
    blk->perm = PERM_READ | (n->read_only ? 0 : PERM_WRITE);
    ok = blk_insert(blk, n, err);
    node_unref(n);
    return ok;
}

static DriveInfo *make_drive(DriveOpts *d, json_t *opts, GError **err)
{
    BlockBackend *blk = blk_new(d->id, 0, PERM_ALL);
    DriveInfo *di;

    blk->open_flags = d->flags | OPEN_AUTO_RDONLY;
    blk->read_only = d->read_only;
    blk->write_cache = d->writeback;
    blk->detect_zeroes = d->detect_zeroes;
    blk->on_read = d->on_read;
    blk->on_write = d->on_write;
    if (d->throttled)
        throttle_join(&blk->throttle, d->group ? d->group : d->id, &d->throttle);
    if (d->copy_on_read && d->read_only)
        warn_report("disabling copy-on-read on read-only drive");
    if (!no_image(d, opts) && !insert_image(blk, d, opts, err)) {
        blk_unref(blk);
        return NULL;
    }
    di = g_new0(DriveInfo, 1);
    *di = (DriveInfo){ .blk = blk, .type = d->type, .bus = d->bus, .unit = d->unit, .media_cd = d->cdrom,
                       .serial = g_steal_pointer(&d->serial) };
    blk->drive = di;
    return di;
}

static DriveInfo *add(json_t *opts, BlkIf dflt, GError **err)
{
    DriveOpts d = { 0 };
    DriveInfo *di = NULL;

    if (opts && take_all(opts, &d, dflt, err))
        di = make_drive(&d, opts, err);
    g_free(d.id);
    g_free(d.file);
    g_free(d.serial);
    g_free(d.group);
    json_decref(opts);
    return di;
}

DriveInfo *drive_add(const char *optstr, BlkIf dflt_if, GError **err)
{
    DriveInfo *di = add(jopts_parse(optstr, NULL, err), dflt_if, err);

    if (di)
        di->origin = g_strconcat("-drive ", optstr, ": ", NULL);
    return di;
}

DriveInfo *drive_add_file(BlkIf type, int index, const char *file, const char *extra, GError **err)
{
    json_t *opts = jopts_parse(extra ? extra : "", NULL, err);
    g_autofree char *n = g_strdup_printf("%d", index);
    DriveInfo *di;

    if (!opts)
        return NULL;
    if (file)
        jopts_set(opts, "file", file);
    if (index >= 0)
        jopts_set(opts, "index", n);
    di = add(opts, type, err);
    if (di && file && di->media_cd)
        di->origin = g_strdup_printf("-cdrom %s: ", file);
    else if (di && file && (type == BLK_IF_IDE || type == BLK_IF_FLOPPY) && index >= 0)
        di->origin = g_strdup_printf("-%s%c %s: ", type == BLK_IF_IDE ? "hd" : "fd", 'a' + index, file);
    return di;
}

DriveInfo *drive_add_default(BlkIf type, int index, const char *extra, GError **err)
{
    DriveInfo *di;

    if (drive_get_by_index(type, index))
        return NULL;
    di = drive_add_file(type, index, NULL, extra, err);
    if (di)
        di->is_default = true;
    return di;
}

void drive_info_free(DriveInfo *di)
{
    if (di) {
        g_free((char *)di->serial);
        g_free((char *)di->origin);
    }
    g_free(di);
}

bool drive_del(const char *id, GError **err)
{
    BlockBackend *blk = blk_by_name(id);

    if (!blk || !blk->drive)
        return node_by_name(id) ? error_set(err, "Deleting device added with blockdev-add is not supported")
            : error_set_class(err, ERR_DEVICE_NOT_FOUND, "Device '%s' not found", id);
    blk_remove(blk);
    drive_info_free(g_steal_pointer(&blk->drive));
    /* the device, if there is one, keeps an empty drive without a name */
    g_free(blk->name);
    blk->name = g_strdup("");
    blk->on_read = blk->on_write = BLK_ERR_REPORT;
    blk_unref(blk);
    return true;
}

bool drive_check_orphaned(GError **err)
{
    for (BlockBackend *b = blk_next(NULL); b; b = blk_next(b)) {
        DriveInfo *d = b->drive;

        if (!d || d->is_default || d->claimed || d->type == BLK_IF_NONE || b->dev)
            continue;
        return error_set(err, "%smachine type does not support if=%s,bus=%d,unit=%d", d->origin ? d->origin : "",
                         blk_if_names[d->type], d->bus, d->unit);
    }
    return true;
}
