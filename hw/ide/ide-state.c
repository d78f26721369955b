/*
 * State of IDE channels and drives, laid out as QEMU's stream has it.
 */
#include "hw/ide/ide-int.h"

static bool has_identify(const void *obj)
{
    return ((const IdeDrive *)obj)->identify_set;
}

static bool pio_needed(const void *obj)
{
    const IdeDrive *d = obj;

    return (d->status & DRQ_STAT) && d->pio;
}

static bool tray_needed(const void *obj)
{
    const IdeDrive *d = obj;

    return d->tray_open || d->tray_locked;
}

static bool gesn_needed(const void *obj)
{
    const IdeDrive *d = obj;

    return d->event_new_media || d->event_eject_request;
}

static uint64_t get_buffer_len(const void *obj)
{
    const IdeDrive *d = obj;

    return d->data_len - d->data_pos;
}

static bool set_buffer_len(void *obj, uint64_t v, GError **err)
{
    IdeDrive *d = obj;

    d->data_len = v;        /* made absolute by pio_loaded */
    return true;
}

static bool pio_loaded(void *obj, int version, GError **err)
{
    IdeDrive *d = obj;

    if (d->data_len > IDE_BUF_SIZE - d->data_pos)
        d->data_len = IDE_BUF_SIZE - d->data_pos;
    d->data_len += d->data_pos;
    d->pio = true;
    return true;
}

static const Field pio_fields[] = {
    FIELD(IdeDrive, req_nb_sectors, .max = 65536), FIELD(IdeDrive, io_buffer, .keep = true),
    FIELD(IdeDrive, data_pos, .name = "cur_io_buffer_offset", .max = IDE_BUF_SIZE),
    VIRTUAL("cur_io_buffer_len", 4, .max = IDE_BUF_SIZE, .get = get_buffer_len, .set = set_buffer_len),
    FIELD(IdeDrive, end_fn, .name = "end_transfer_fn_idx", .max = END_KINDS - 1),
    FIELD(IdeDrive, elementary_size, .name = "elementary_transfer_size", .max = 65536),
    FIELD(IdeDrive, packet_size, .name = "packet_transfer_size", .max = INT32_MAX), { 0 }
};
static const StateTable pio_state = { .name = "ide_drive/pio_state", .version = 1, .min_version = 1, .fields = pio_fields,
                                      .needed = pio_needed, .loaded = pio_loaded };
static const Field tray_fields[] = { FIELD(IdeDrive, tray_open), FIELD(IdeDrive, tray_locked), { 0 } };
static const StateTable tray_state = { .name = "ide_drive/tray_state", .version = 1, .min_version = 1, .fields = tray_fields,
                                       .needed = tray_needed };
static const Field gesn_fields[] = {
    FIELD(IdeDrive, event_new_media, .name = "events.new_media"),
    FIELD(IdeDrive, event_eject_request, .name = "events.eject_request"), { 0 }
};
static const StateTable gesn_state = { .name = "ide_drive/atapi/gesn_state", .version = 1, .min_version = 1,
                                       .fields = gesn_fields, .needed = gesn_needed };

/* What subsections would have said: absent ones stand for these. */
static bool drive_load(void *obj, GError **err)
{
    IdeDrive *d = obj;

    d->tray_open = d->tray_locked = d->event_new_media = d->event_eject_request = false;
    ide_pio_stop(d);
    return true;
}

static bool drive_loaded(void *obj, int version, GError **err)
{
    IdeDrive *d = obj;

    if (d->mult_sectors & (d->mult_sectors - 1))
        d->mult_sectors = 16;
    if (d->status & BUSY_STAT)
        d->status = (d->status & ~BUSY_STAT) | READY_STAT;
    d->lba = MAX(d->lba, -1);
    return true;
}

static const Field drive_fields[] = {
    FIELD(IdeDrive, mult_sectors, .keep = true, .max = 16),
    FIELD(IdeDrive, identify_set, .keep = true, .max = 1),
    FIELD(IdeDrive, identify, .name = "identify_data", .keep = true, .exists = has_identify),
    FIELD(IdeDrive, feature, .keep = true), FIELD(IdeDrive, error, .keep = true),
    FIELD(IdeDrive, nsector, .max = 65536, .keep = true),
    FIELD(IdeDrive, sector, .keep = true), FIELD(IdeDrive, lcyl, .keep = true), FIELD(IdeDrive, hcyl, .keep = true),
    FIELD(IdeDrive, hob_feature, .keep = true), FIELD(IdeDrive, hob_sector, .keep = true),
    FIELD(IdeDrive, hob_nsector, .keep = true), FIELD(IdeDrive, hob_lcyl, .keep = true),
    FIELD(IdeDrive, hob_hcyl, .keep = true), FIELD(IdeDrive, select, .keep = true), FIELD(IdeDrive, status, .keep = true),
    FIELD(IdeDrive, lba48, .keep = true), FIELD(IdeDrive, sense_key), FIELD(IdeDrive, asc),
    FIELD(IdeDrive, cdrom_changed, .since = 3, .keep = true),
    LOCAL(IdeDrive, pio), LOCAL(IdeDrive, ascq), LOCAL(IdeDrive, lba), LOCAL(IdeDrive, cd_sector), LOCAL(IdeDrive, buf_index),
    LOCAL(IdeDrive, buf_size), LOCAL(IdeDrive, atapi_dma), DERIVED(IdeDrive, data_len),
    HOST(IdeDrive, kind), HOST(IdeDrive, blk), HOST(IdeDrive, chan), HOST(IdeDrive, dev), HOST(IdeDrive, req),
    HOST(IdeDrive, iov), HOST(IdeDrive, iov_used), HOST(IdeDrive, iov_to_memory),
    HOST(IdeDrive, sectors), HOST(IdeDrive, cyls), HOST(IdeDrive, heads), HOST(IdeDrive, secs), HOST(IdeDrive, serial_no),
    HOST(IdeDrive, trans), HOST(IdeDrive, serial), HOST(IdeDrive, model), HOST(IdeDrive, version), HOST(IdeDrive, wwn),
    HOST(IdeDrive, rotation_rate), HOST(IdeDrive, physical_block), HOST(IdeDrive, discard), HOST(IdeDrive, dma),
    HOST(IdeDrive, dma_offset), HOST(IdeDrive, dma_left), HOST(IdeDrive, dma_piece), HOST(IdeDrive, dma_buf_pos),
    HOST(IdeDrive, dma_short), HOST(IdeDrive, retry), HOST(IdeDrive, retry_cmd), HOST(IdeDrive, retry_nsector),
    HOST(IdeDrive, retry_file), { 0 }
};
const StateTable ide_drive_state = {
    .name = "ide_drive", .version = 3, .min_version = 0, .fields = drive_fields, .load = drive_load, .loaded = drive_loaded,
    .subsections = (const StateTable *const[]){ &pio_state, &tray_state, &gesn_state, NULL },
};

static bool error_needed(const void *obj)
{
    return ((const IdeChannel *)obj)->error_status;
}

static const Field error_fields[] = {
    FIELD(IdeChannel, error_status), FIELD(IdeChannel, retry_sector_num, .since = 2), FIELD(IdeChannel, retry_nsector, .since = 2),
    FIELD(IdeChannel, retry_unit, .since = 2, .max = 1), { 0 }
};
static const StateTable error_state = { .name = "ide_bus/error", .version = 2, .min_version = 1, .fields = error_fields,
                                        .needed = error_needed };
static const Field channel_fields[] = {
    FIELD(IdeChannel, cmd, .keep = true), FIELD(IdeChannel, unit, .max = 1, .keep = true), FIELD(IdeChannel, irq),
    HOST(IdeChannel, ifs), HOST(IdeChannel, ctl), HOST(IdeChannel, bus), HOST(IdeChannel, number), HOST(IdeChannel, dma),
    HOST(IdeChannel, bh), { 0 }
};
/* Neither the drive nor its bus master says whether the interrupt is still up: the PIC knows. */
static bool channel_loaded(void *obj, int version, GError **err)
{
    ((IdeChannel *)obj)->irq.unsure = true;
    return true;
}

const StateTable ide_channel_state = {
    .name = "ide_bus", .version = 1, .min_version = 1, .fields = channel_fields,
    .loaded = channel_loaded, .subsections = (const StateTable *const[]){ &error_state, NULL },
};
