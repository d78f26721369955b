/*
 * Packet commands of a CD/DVD drive, as BIOSes, GRUB, Linux and Windows use them.
 *
 * MMC-6 (T10/1836D), SPC-3. Media are read-only data discs with one track; a medium over 1433600 blocks is a DVD.
 * Not modelled: audio, writing, CSS.
 */
#include <string.h>
#include "hw/ide/ide-int.h"
#include "util/log.h"

#define CD_MAX_BLOCKS 1433600u      /* more is a DVD: 700 MiB x 4 */
enum { PROFILE_NONE = 0x00, PROFILE_CD = 0x08, PROFILE_DVD = 0x10 };

static uint16_t be16(const uint8_t *p) { return p[0] << 8 | p[1]; }
static uint32_t be32(const uint8_t *p) { return (uint32_t)be16(p) << 16 | be16(p + 2); }
static void put16(uint8_t *p, uint16_t v) { p[0] = v >> 8; p[1] = v; }
static void put32(uint8_t *p, uint32_t v) { put16(p, v >> 16); put16(p + 2, v); }

static uint32_t blocks(const IdeDrive *d) { return MIN(d->sectors / 4, UINT32_MAX); }
static bool has_disc(const IdeDrive *d) { return !d->tray_open && d->sectors; }
static bool is_dvd(const IdeDrive *d) { return has_disc(d) && blocks(d) > CD_MAX_BLOCKS; }
static bool is_cd(const IdeDrive *d) { return has_disc(d) && !is_dvd(d); }

static void illegal(IdeDrive *d)
{
    atapi_error(d, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD);
}

static void put_msf(uint8_t *p, uint32_t lba)
{
    lba += 150;
    p[0] = lba / 75 / 60;
    p[1] = lba / 75 % 60;
    p[2] = lba % 75;
}

static void clear_reply(IdeDrive *d, uint8_t *cdb)
{
    memcpy(cdb, d->io_buffer, 12);
    memset(d->io_buffer, 0, 4096);
}

/* ---- Drive ---- */

static void test_unit_ready(IdeDrive *d, const uint8_t *cdb)
{
    if (has_disc(d))
        atapi_ok(d);
    else
        atapi_error(d, SENSE_NOT_READY, ASC_MEDIUM_NOT_PRESENT);
}

static void request_sense(IdeDrive *d, const uint8_t *cdb)
{
    uint8_t *b = d->io_buffer;

    b[0] = 0x70 | 1 << 7;
    b[2] = d->sense_key;
    b[7] = 10;
    b[12] = d->asc;
    b[13] = d->ascq;
    if (d->sense_key == SENSE_UNIT_ATTENTION)
        d->sense_key = SENSE_NONE;
    atapi_reply(d, 18, cdb[4]);
}

static void inquiry(IdeDrive *d, const uint8_t *cdb)
{
    uint8_t *b = d->io_buffer;
    unsigned n;

    if (cdb[1] & 1) {                       /* vital product data */
        b[0] = 5;
        b[1] = cdb[2];
        if (cdb[2] == 0x00) {
            b[3] = 2;
            b[5] = 0x83;
            atapi_reply(d, 6, be16(cdb + 3));
        } else if (cdb[2] == 0x83) {
            n = 4;
            b[n++] = 2;                     /* ASCII */
            b[n++] = 0;
            n++;
            b[n++] = strlen(d->serial);
            memcpy(b + n, d->serial, strlen(d->serial));
            n += strlen(d->serial);
            b[3] = n - 4;
            atapi_reply(d, n, be16(cdb + 3));
        } else {
            illegal(d);
        }
        return;
    }
    b[0] = 5;
    b[1] = 0x80;
    b[3] = 0x21;                            /* ATAPI 2 */
    b[4] = 31;
    memcpy(b + 8, "QEMU    QEMU DVD-ROM     ", 24);
    memset(b + 32, ' ', 4);
    memcpy(b + 32, d->version, MIN(strlen(d->version), 4));
    atapi_reply(d, 36, be16(cdb + 3));
}

static void eject_or_load(IdeDrive *d, const uint8_t *cdb)
{
    bool start = cdb[4] & 1, loej = cdb[4] & 2;

    if (cdb[4] & 0xf0) {                    /* power conditions: nothing to do */
        atapi_ok(d);
        return;
    }
    if (loej) {
        if (!start && !d->tray_open && d->tray_locked) {
            atapi_error(d, has_disc(d) ? SENSE_NOT_READY : SENSE_ILLEGAL_REQUEST, ASC_MEDIA_REMOVAL_PREVENTED);
            return;
        }
        if (d->tray_open == start) {
            d->tray_open = !start;
            blk_tray_moved(d->blk, d->tray_open);
        }
    }
    atapi_ok(d);
}

static void prevent_removal(IdeDrive *d, const uint8_t *cdb)
{
    d->tray_locked = cdb[4] & 1;
    blk_lock_medium(d->blk, d->tray_locked);
    atapi_ok(d);
}

static void mode_sense(IdeDrive *d, const uint8_t *cdb)
{
    uint8_t *b = d->io_buffer, control = cdb[2] >> 6, page = cdb[2] & 0x3f;
    unsigned n = 8;

    if (control == 3) {
        atapi_error(d, SENSE_ILLEGAL_REQUEST, ASC_SAVING_NOT_SUPPORTED);
        return;
    }
    if (control != 0) {
        illegal(d);
        return;
    }
    b[2] = 0x70;
    switch (page) {
    case 0x01:                              /* read error recovery */
        b[n] = 0x01;
        b[n + 1] = 6;
        b[n + 3] = 5;
        n += 8;
        break;
    case 0x0e:                              /* audio control */
        b[n] = 0x0e;
        b[n + 1] = 14;
        n += 16;
        break;
    case 0x2a:                              /* capabilities and mechanical status */
        b[n] = 0x2a;
        b[n + 1] = 0x12;
        b[n + 2] = 0x3b;                    /* reads CD-R, CD-RW, DVD-ROM, DVD-R */
        b[n + 4] = 0x70;                    /* multisession, mode 2 */
        b[n + 5] = 3 << 5;                  /* UPC, ISRC: as 7.1 of SFF-8020i has them */
        b[n + 6] = 1 | 1 << 3 | 1 << 5 | (d->tray_locked ? 1 << 1 : 0); /* tray, eject, lock */
        put16(b + n + 8, 706);
        put16(b + n + 10, 2);
        put16(b + n + 12, 512);
        put16(b + n + 14, 706);
        n += 20;
        break;
    default:
        illegal(d);
        return;
    }
    put16(b, n - 2);
    atapi_reply(d, n, be16(cdb + 7));
}

static void mechanism_status(IdeDrive *d, const uint8_t *cdb)
{
    d->io_buffer[5] = 1;
    atapi_reply(d, 8, be16(cdb + 8));
}

static void event_status(IdeDrive *d, const uint8_t *cdb)
{
    uint8_t *b = d->io_buffer;

    if (!(cdb[1] & 1)) {                    /* only polling */
        illegal(d);
        return;
    }
    b[3] = 1 << 4;                          /* supported: media */
    if (!(cdb[4] & 1 << 4)) {
        b[2] = 0x80;
        put16(b, 2);
        atapi_reply(d, 4, be16(cdb + 7));
        return;
    }
    b[2] = 4;
    if (d->event_new_media) {
        b[4] = 2;
        d->event_new_media = false;
    } else if (d->event_eject_request) {
        b[4] = 1;
        d->event_eject_request = false;
    }
    b[5] = (d->tray_open ? 1 : 0) | (has_disc(d) ? 2 : 0);
    put16(b, 6);
    atapi_reply(d, 8, be16(cdb + 7));
}

/* ---- Features and disc ---- */

static unsigned profile(const IdeDrive *d)
{
    return is_dvd(d) ? PROFILE_DVD : is_cd(d) ? PROFILE_CD : PROFILE_NONE;
}

static unsigned put_profile(uint8_t *p, unsigned which, unsigned current)
{
    put16(p, which);
    p[2] = which == current;
    return 4;
}

static void get_configuration(IdeDrive *d, const uint8_t *cdb)
{
    uint8_t *b = d->io_buffer;
    unsigned now = profile(d), n = 8, max = be16(cdb + 7);

    if (cdb[1] & 2 ? be16(cdb + 2) > 3 : false) {
        put32(b, 4);
        put16(b + 6, now);
        atapi_reply(d, 8, max);
        return;
    }
    put16(b + 6, now);
    b[10] = 0x03;                           /* profile list: persistent, current */
    b[11] = 8;
    n = 12;
    n += put_profile(b + n, PROFILE_DVD, now);
    n += put_profile(b + n, PROFILE_CD, now);
    put16(b + n, 1);                        /* core: persistent, current, version 2 */
    b[n + 2] = 0x0b;
    b[n + 3] = 8;
    put32(b + n + 4, 2);                    /* ATAPI */
    b[n + 8] = 1;
    n += 12;
    put16(b + n, 3);                        /* removable medium: tray, eject, lock */
    b[n + 2] = 0x0b;
    b[n + 3] = 4;
    b[n + 4] = 0x39;
    n += 8;
    put32(b, n - 4);
    atapi_reply(d, n, max);
}

static void read_disc_information(IdeDrive *d, const uint8_t *cdb)
{
    uint8_t *b = d->io_buffer;

    if (cdb[1] & 7) {
        illegal(d);
        return;
    }
    b[1] = 32;
    b[2] = 0x0e;                            /* last session complete, disc finalised */
    b[3] = b[4] = b[5] = b[6] = 1;
    b[7] = 0x20;                            /* unrestricted use */
    atapi_reply(d, 34, be16(cdb + 7));
}

static void read_dvd_structure(IdeDrive *d, const uint8_t *cdb)
{
    uint8_t *b = d->io_buffer;
    unsigned max = be16(cdb + 8);
    uint32_t n = blocks(d);

    if (cdb[7] < 0xff && !is_dvd(d)) {
        atapi_error(d, has_disc(d) ? SENSE_ILLEGAL_REQUEST : SENSE_NOT_READY,
                    has_disc(d) ? ASC_INCOMPATIBLE_FORMAT : ASC_MEDIUM_NOT_PRESENT);
        return;
    }
    switch (cdb[7]) {
    case 0x00:                              /* physical format */
        if (cdb[6]) {
            illegal(d);
            return;
        }
        b[4] = 1;                           /* DVD-ROM, part version 1 */
        b[5] = 0x0f;                        /* 120 mm, minimum rate not specified */
        b[6] = 1;                           /* one layer, read-only */
        put32(b + 8, 0x30000);
        put32(b + 12, 0x30000 + n - 1);
        put32(b + 16, 0x30000 + n - 1);
        put16(b, 2052 - 2);
        atapi_reply(d, 2052, max);
        return;
    case 0x01:                              /* copyright: none */
        put16(b, 8 - 2);
        atapi_reply(d, 8, max);
        return;
    case 0x03:                              /* burst cutting area: none */
        illegal(d);
        return;
    case 0x04:                              /* manufacturer: zeroes */
        put16(b, 2052 - 2);
        atapi_reply(d, 2052, max);
        return;
    case 0xff:                              /* list of formats */
        b[5] = 0x40;
        put16(b + 6, 2052);
        b[8] = 0x01;
        b[9] = 0x40;
        put16(b + 10, 8);
        b[12] = 0x04;
        b[13] = 0x40;
        put16(b + 14, 2052);
        b[4] = 0x00;
        put16(b, 16 - 2);
        atapi_reply(d, 16, max);
        return;
    default:
        illegal(d);
    }
}

static void read_capacity(IdeDrive *d, const uint8_t *cdb)
{
    put32(d->io_buffer, blocks(d) - 1);
    put32(d->io_buffer + 4, 2048);
    atapi_reply(d, 8, 8);
}

/* ---- Table of contents: one data track and the lead-out ---- */

static unsigned toc_entry(uint8_t *b, uint8_t track, uint8_t control, uint32_t lba, bool msf)
{
    b[1] = control;
    b[2] = track;
    if (msf)
        put_msf(b + 5, lba);
    else
        put32(b + 4, lba);
    return 8;
}

static unsigned raw_entry(uint8_t *b, uint8_t point, uint32_t lba, bool msf, uint8_t pmin, bool address)
{
    b[0] = 1;
    b[1] = 0x14;
    b[3] = point;
    if (!address)
        b[8] = pmin;
    else if (msf)
        put_msf(b + 8, lba);
    else
        put32(b + 7, lba);
    return 11;
}

static void read_toc(IdeDrive *d, const uint8_t *cdb)
{
    uint8_t *b = d->io_buffer, format = cdb[9] >> 6, start = cdb[6];
    bool msf = cdb[1] & 2;
    unsigned n = 4;

    if (!format)
        format = cdb[2] & 0x0f;
    switch (format) {
    case 0:
        if (start > 1 && start != 0xaa) {
            illegal(d);
            return;
        }
        b[2] = b[3] = 1;
        if (start <= 1)
            n += toc_entry(b + n, 1, 0x14, 0, msf);
        n += toc_entry(b + n, 0xaa, 0x16, blocks(d), msf);
        break;
    case 1:                                 /* sessions */
        b[2] = b[3] = 1;
        n = 12;
        break;
    case 2:                                 /* raw */
        b[2] = b[3] = 1;
        n += raw_entry(b + n, 0xa0, 0, msf, 1, false);
        n += raw_entry(b + n, 0xa1, 0, msf, 1, false);
        n += raw_entry(b + n, 0xa2, blocks(d), msf, 0, true);
        n += raw_entry(b + n, 1, 0, msf, 0, true);
        break;
    default:
        illegal(d);
        return;
    }
    put16(b, n - 2);
    atapi_reply(d, n, be16(cdb + 7));
}

/* ---- Reading ---- */

static void read_blocks(IdeDrive *d, uint32_t lba, uint32_t n, unsigned size)
{
    if (!n) {
        atapi_ok(d);
        return;
    }
    if (lba >= blocks(d) || n > blocks(d) - lba || n > INT32_MAX / size) {
        atapi_error(d, SENSE_ILLEGAL_REQUEST, ASC_LBA_OUT_OF_RANGE);
        return;
    }
    atapi_read(d, lba, n, size);
}

static void read_10(IdeDrive *d, const uint8_t *cdb)
{
    read_blocks(d, be32(cdb + 2), be16(cdb + 7), 2048);
}

static void read_12(IdeDrive *d, const uint8_t *cdb)
{
    read_blocks(d, be32(cdb + 2), be32(cdb + 6), 2048);
}

static void read_cd(IdeDrive *d, const uint8_t *cdb)
{
    uint32_t n = cdb[6] << 16 | be16(cdb + 7);

    switch (cdb[9] & 0xf8) {
    case 0x00: atapi_ok(d); return;
    case 0x10: read_blocks(d, be32(cdb + 2), n, 2048); return;
    case 0xf8: read_blocks(d, be32(cdb + 2), n, 2352); return;
    default: illegal(d); return;
    }
}

static void seek(IdeDrive *d, const uint8_t *cdb)
{
    if (be32(cdb + 2) > blocks(d))
        atapi_error(d, SENSE_ILLEGAL_REQUEST, ASC_LBA_OUT_OF_RANGE);
    else
        atapi_ok(d);
}

static void nothing(IdeDrive *d, const uint8_t *cdb)
{
    atapi_ok(d);
}

/* ---- Dispatch ---- */

enum { NEEDS_DISC = 1, SEES_ATTENTION = 2 };    /* SEES_ATTENTION: is carried out while unit attention is pending */

static const struct MmcCommand {
    uint8_t opcode, flags;
    void (*run)(IdeDrive *d, const uint8_t *cdb);
} commands[] = {
    { 0x00, NEEDS_DISC, test_unit_ready }, { 0x03, SEES_ATTENTION, request_sense }, { 0x12, SEES_ATTENTION, inquiry },
    { 0x1b, 0, eject_or_load }, { 0x1e, 0, prevent_removal }, { 0x25, NEEDS_DISC, read_capacity },
    { 0x28, NEEDS_DISC, read_10 }, { 0x2b, NEEDS_DISC, seek }, { 0x43, NEEDS_DISC, read_toc },
    { 0x46, SEES_ATTENTION, get_configuration }, { 0x4a, SEES_ATTENTION, event_status },
    { 0x51, NEEDS_DISC, read_disc_information }, { 0x5a, 0, mode_sense }, { 0xa8, NEEDS_DISC, read_12 },
    { 0xad, NEEDS_DISC, read_dvd_structure }, { 0xbb, 0, nothing }, { 0xbd, 0, mechanism_status }, { 0xbe, NEEDS_DISC, read_cd },
};

/* The medium was changed: commands that need it learn of that one after the other, as "none" and then "new". */
static bool attention(IdeDrive *d, const struct MmcCommand *c)
{
    if (d->sense_key == SENSE_UNIT_ATTENTION && !(c->flags & SEES_ATTENTION)) {
        atapi_error(d, SENSE_UNIT_ATTENTION, d->asc);
        return true;
    }
    if ((c->flags & NEEDS_DISC) && has_disc(d) && d->cdrom_changed) {
        if (d->cdrom_changed == 1) {
            d->cdrom_changed = 2;
            atapi_error(d, SENSE_NOT_READY, ASC_MEDIUM_NOT_PRESENT);
        } else {
            d->cdrom_changed = 0;
            atapi_error(d, SENSE_UNIT_ATTENTION, ASC_MEDIUM_CHANGED);
        }
        return true;
    }
    return false;
}

void mmc_command(IdeDrive *d)
{
    uint8_t cdb[12];

    clear_reply(d, cdb);
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        const struct MmcCommand *c = &commands[i];

        if (c->opcode != cdb[0])
            continue;
        if (attention(d, c))
            return;
        if ((c->flags & NEEDS_DISC) && !has_disc(d))
            atapi_error(d, SENSE_NOT_READY, ASC_MEDIUM_NOT_PRESENT);
        else
            c->run(d, cdb);
        return;
    }
    log_guest("ide-cd: unknown packet command %#x\n", cdb[0]);
    atapi_error(d, SENSE_ILLEGAL_REQUEST, ASC_ILLEGAL_OPCODE);
}
