/*
 * The commands of SCSI devices: SPC-3's for all, SBC-3's for disks; those of CD drives are in scsi-mmc.c.
 *
 * Not modelled: VERIFY and WRITE AND VERIFY that compare with the host's data (WRITE AND VERIFY writes), FORMAT UNIT (accepted), long
 * reads and writes.
 */
#include <string.h>
#include "hw/scsi/scsi-int.h"
#include "util/log.h"

enum { TEST_UNIT_READY = 0x00, REZERO_UNIT = 0x01, REQUEST_SENSE = 0x03, FORMAT_UNIT = 0x04, READ_6 = 0x08, WRITE_6 = 0x0a, SEEK_6 = 0x0b,
       INQUIRY = 0x12, MODE_SELECT_6 = 0x15, RESERVE_6 = 0x16, RELEASE_6 = 0x17, MODE_SENSE_6 = 0x1a, START_STOP = 0x1b,
       PREVENT_REMOVAL = 0x1e, READ_CAPACITY = 0x25, READ_10 = 0x28, WRITE_10 = 0x2a, SEEK_10 = 0x2b, WRITE_VERIFY_10 = 0x2e,
       VERIFY_10 = 0x2f, SYNCHRONIZE_CACHE = 0x35, WRITE_SAME_10 = 0x41, UNMAP = 0x42, READ_TOC = 0x43, MODE_SELECT_10 = 0x55,
       RESERVE_10 = 0x56, RELEASE_10 = 0x57, MODE_SENSE_10 = 0x5a, READ_16 = 0x88, WRITE_16 = 0x8a, WRITE_VERIFY_16 = 0x8e,
       VERIFY_16 = 0x8f, SYNCHRONIZE_CACHE_16 = 0x91, WRITE_SAME_16 = 0x93, SERVICE_ACTION_IN_16 = 0x9e, REPORT_LUNS = 0xa0, READ_12 = 0xa8,
       WRITE_12 = 0xaa, WRITE_VERIFY_12 = 0xae, VERIFY_12 = 0xaf };
enum { READ_CAPACITY_16 = 0x10 };

/* ---- The medium ---- */

bool scsi_has_medium(const ScsiDisk *s)
{
    return !s->tray_open && blk_is_inserted(s->blk);
}

bool scsi_need_medium(ScsiDisk *s)
{
    if (scsi_has_medium(s))
        return true;
    scsi_check(&s->qdev, SENSE_NO_MEDIUM);
    return false;
}

unsigned scsi_block_size(const ScsiDisk *s)
{
    return s->conf.logical_block_size;
}

uint64_t scsi_blocks(const ScsiDisk *s)
{
    return scsi_has_medium(s) ? blk_sectors(s->blk) / (scsi_block_size(s) / BLK_SECTOR_SIZE) : 0;
}

/* ---- Replies ---- */

static int64_t from_device(ScsiDisk *s, unsigned n)
{
    ScsiRequest *r = &s->qdev.req;

    r->mode = MODE_FROM_DEV;
    r->len = n;
    if (n)
        return n;
    scsi_good(&s->qdev);
    return 0;
}

static int64_t fail(ScsiDisk *s, ScsiSense why)
{
    scsi_check(&s->qdev, why);
    return 0;
}

static int64_t good(ScsiDisk *s)
{
    scsi_good(&s->qdev);
    return 0;
}

/* A reply that is padded with zeroes to what the host has asked for, as stock QEMU's are. */
static int64_t padded(ScsiDisk *s, int n, uint64_t allocated)
{
    return n < 0 ? fail(s, SENSE_FIELD) : from_device(s, MIN(allocated, 4096));
}

static int64_t request_sense(ScsiDisk *s, const uint8_t *cdb)
{
    const unsigned n = scsi_put_sense(&s->qdev, cdb[1] & 1, s->qdev.req.data);

    return from_device(s, MIN(n, cdb[4]));
}

static int64_t report_luns(ScsiDisk *s, const uint8_t *cdb)
{
    uint8_t *b = s->qdev.req.data;
    const Bus *bus = s->qdev.dev.bus;
    const uint32_t allocated = get32(cdb + 6);
    unsigned n = 8;

    if (allocated < 16 || cdb[2] > 2)
        return fail(s, SENSE_FIELD);
    for (unsigned i = 0; i < bus->children->len && cdb[2] != 1; i++) {
        const ScsiDevice *d = g_ptr_array_index(bus->children, i);

        if (d->id != s->qdev.id)
            continue;
        b[n + 1] = d->lun;
        n += 8;
    }
    put32(b, n - 8);
    return from_device(s, MIN(allocated, MAX(n, 16)));
}

static int64_t read_capacity(ScsiDisk *s)
{
    uint8_t *b = s->qdev.req.data;

    if (!scsi_need_medium(s))
        return 0;
    if (!scsi_blocks(s))
        return fail(s, SENSE_NO_MEDIUM);
    put32(b, MIN(scsi_blocks(s) - 1, UINT32_MAX));
    put32(b + 4, scsi_block_size(s));
    return from_device(s, 8);
}

static int64_t read_capacity_16(ScsiDisk *s, const uint8_t *cdb)
{
    uint8_t *b = s->qdev.req.data;
    unsigned exponent = 0;

    if ((cdb[1] & 31) != READ_CAPACITY_16)
        return fail(s, SENSE_FIELD);
    if (!scsi_need_medium(s))
        return 0;
    if (!scsi_blocks(s))
        return fail(s, SENSE_NO_MEDIUM);
    while (exponent < 15 && scsi_block_size(s) << (exponent + 1) <= s->conf.physical_block_size)
        exponent++;
    put64(b, scsi_blocks(s) - 1);
    put32(b + 8, scsi_block_size(s));
    b[13] = exponent;
    b[14] = s->conf.discard_granularity ? 0x80 : 0;
    return from_device(s, MIN(get32(cdb + 10), 32));
}

static int64_t mode_sense(ScsiDisk *s, const uint8_t *cdb)
{
    const int n = scsi_mode_sense(s, cdb, s->qdev.req.data);

    return n == -2 ? fail(s, SENSE_NO_SAVING) : padded(s, n, scsi_cdb_length(cdb));
}

/* ---- Commands with parameters ---- */

static int64_t to_device(ScsiDisk *s, uint64_t n)
{
    ScsiRequest *r = &s->qdev.req;

    if (n > SCSI_BUFFER_BYTES)
        return fail(s, SENSE_FIELD);
    r->mode = MODE_TO_DEV;
    r->len = n;
    if (n)
        return -(int64_t)n;
    return good(s);
}

static int64_t write_same(ScsiDisk *s, const uint8_t *cdb)
{
    if (!scsi_need_medium(s))
        return 0;
    if (blk_is_read_only(s->blk))
        return fail(s, SENSE_WRITE_PROTECTED);
    if (cdb[1] & 0x16)              /* ANCHOR, PBDATA, LBDATA */
        return fail(s, SENSE_FIELD);
    return to_device(s, scsi_block_size(s));
}

static int64_t unmap(ScsiDisk *s, const uint8_t *cdb)
{
    if (!scsi_need_medium(s))
        return 0;
    if (blk_is_read_only(s->blk))
        return fail(s, SENSE_WRITE_PROTECTED);
    return to_device(s, get16(cdb + 7));
}

void scsi_parameters(ScsiDisk *s, unsigned len)
{
    const uint8_t *cdb = s->qdev.req.cdb;

    switch (cdb[0]) {
    case MODE_SELECT_6: case MODE_SELECT_10:
        if (scsi_mode_select(s, cdb, s->qdev.req.data, len))
            scsi_disk_flush(s);
        else
            scsi_check(&s->qdev, SENSE_PARAMETER);
        break;
    case UNMAP:
        scsi_disk_discard(s, s->qdev.req.data, len);
        break;
    case WRITE_SAME_10: case WRITE_SAME_16:
        scsi_disk_write_same(s, s->qdev.req.data);
        break;
    default:
        scsi_good(&s->qdev);
        break;
    }
}

/* ---- Reading and writing ---- */

typedef struct Span { uint64_t lba; uint32_t blocks; } Span;

static Span span_of(const uint8_t *cdb)
{
    switch (cdb[0] >> 5) {
    case 0: return (Span){ (cdb[1] & 31) << 16 | get16(cdb + 2), cdb[4] ? cdb[4] : 256 };
    case 1: case 2: return (Span){ get32(cdb + 2), get16(cdb + 7) };
    case 4: return (Span){ get64(cdb + 2), get32(cdb + 10) };
    default: return (Span){ get32(cdb + 2), get32(cdb + 6) };
    }
}

static bool in_range(const ScsiDisk *s, Span p)
{
    const uint64_t all = scsi_blocks(s);

    return p.lba <= all && p.blocks <= all - p.lba;
}

static int64_t transfer(ScsiDisk *s, const uint8_t *cdb, bool write)
{
    ScsiRequest *r = &s->qdev.req;
    const Span p = span_of(cdb);
    const unsigned size = scsi_block_size(s);
    int64_t bytes;

    if (!scsi_need_medium(s))
        return 0;
    if (write && blk_is_read_only(s->blk))
        return fail(s, SENSE_WRITE_PROTECTED);
    if ((cdb[0] >> 5) && cdb[1] & 0xe0 && s->kind != SCSI_CD)   /* protection information */
        return fail(s, SENSE_FIELD);
    if (!in_range(s, p) || (uint64_t)p.blocks * (size / BLK_SECTOR_SIZE) > UINT32_MAX)
        return fail(s, SENSE_RANGE);
    if (!p.blocks)
        return good(s);
    r->medium = true;
    r->mode = write ? MODE_TO_DEV : MODE_FROM_DEV;
    r->sector = p.lba * (size / BLK_SECTOR_SIZE);
    r->sector_count = p.blocks * (size / BLK_SECTOR_SIZE);
    bytes = (int64_t)p.blocks * size;
    return write ? -bytes : bytes;
}

static int64_t verify(ScsiDisk *s, const uint8_t *cdb)
{
    if (!scsi_need_medium(s))
        return 0;
    if (cdb[1] & 6)
        return fail(s, SENSE_FIELD);
    return in_range(s, span_of(cdb)) ? good(s) : fail(s, SENSE_RANGE);
}

static int64_t seek(ScsiDisk *s, const uint8_t *cdb)
{
    const uint64_t lba = cdb[0] == SEEK_6 ? (cdb[1] & 31) << 16 | get16(cdb + 2) : get32(cdb + 2);

    if (!scsi_need_medium(s))
        return 0;
    return lba < scsi_blocks(s) ? good(s) : fail(s, SENSE_RANGE);
}

static int64_t flush(ScsiDisk *s)
{
    if (scsi_need_medium(s)) {
        s->qdev.req.mode = MODE_NONE;
        scsi_disk_flush(s);
    }
    return 0;
}

/* ---- All of them ---- */

static int64_t start_stop(ScsiDisk *s, const uint8_t *cdb)
{
    if (cdb[4] & 0xf0)              /* power conditions: nothing to do */
        return good(s);
    scsi_disk_eject(s, cdb[4] & 1, cdb[4] & 2);
    return 0;
}

static int64_t prevent_removal(ScsiDisk *s, const uint8_t *cdb)
{
    s->tray_locked = cdb[4] & 1;
    blk_lock_medium(s->blk, s->tray_locked);
    return good(s);
}

static int64_t other_command(ScsiDisk *s, const uint8_t *cdb)
{
    int n = -2;

    if (cdb[0] == READ_TOC)
        n = scsi_read_toc(s, cdb, s->qdev.req.data);
    else if (s->kind == SCSI_CD)
        n = scsi_mmc(s, cdb, s->qdev.req.data);
    if (!s->qdev.req.active)
        return 0;                   /* it has ended */
    if (n >= -1)
        return padded(s, n, scsi_cdb_length(cdb));
    log_guest("scsi: unknown command 0x%x\n", cdb[0]);
    return fail(s, SENSE_OPCODE);
}

static int64_t disk_command(ScsiDisk *s, const uint8_t *cdb)
{
    const bool disk = s->kind == SCSI_DISK;

    switch (cdb[0]) {
    case READ_6: case READ_10: case READ_12: case READ_16:
        return transfer(s, cdb, false);
    case WRITE_6: case WRITE_10: case WRITE_12: case WRITE_16: case WRITE_VERIFY_10: case WRITE_VERIFY_12: case WRITE_VERIFY_16:
        return disk ? transfer(s, cdb, true) : other_command(s, cdb);
    case VERIFY_10: case VERIFY_12: case VERIFY_16:
        return verify(s, cdb);
    case WRITE_SAME_10: case WRITE_SAME_16:
        return disk ? write_same(s, cdb) : other_command(s, cdb);
    case UNMAP:
        return disk ? unmap(s, cdb) : other_command(s, cdb);
    case SEEK_6: case SEEK_10:
        return seek(s, cdb);
    case SYNCHRONIZE_CACHE: case SYNCHRONIZE_CACHE_16:
        return flush(s);
    case FORMAT_UNIT:
        return disk ? to_device(s, 0) : other_command(s, cdb);
    default:
        return other_command(s, cdb);
    }
}

int64_t scsi_command(ScsiDisk *s)
{
    const uint8_t *cdb = s->qdev.req.cdb;

    memset(s->qdev.req.data, 0, 4096);
    switch (cdb[0]) {
    case TEST_UNIT_READY:
        return scsi_need_medium(s) ? good(s) : 0;
    case REQUEST_SENSE:
        return request_sense(s, cdb);
    case INQUIRY:
        return padded(s, scsi_inquiry(s, cdb, s->qdev.req.data), get16(cdb + 3));
    case MODE_SENSE_6: case MODE_SENSE_10:
        return mode_sense(s, cdb);
    case MODE_SELECT_6: case MODE_SELECT_10:
        return to_device(s, scsi_cdb_length(cdb));
    case START_STOP:
        return start_stop(s, cdb);
    case PREVENT_REMOVAL:
        return prevent_removal(s, cdb);
    case READ_CAPACITY:
        return read_capacity(s);
    case SERVICE_ACTION_IN_16:
        return read_capacity_16(s, cdb);
    case REPORT_LUNS:
        return report_luns(s, cdb);
    case RESERVE_6: case RELEASE_6: case REZERO_UNIT:
        return good(s);
    case RESERVE_10: case RELEASE_10:
        return cdb[1] & 3 ? fail(s, SENSE_FIELD) : good(s);
    default:
        return disk_command(s, cdb);
    }
}
