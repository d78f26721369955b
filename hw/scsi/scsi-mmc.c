/* Commands of CD and DVD drives (MMC-6): one data track, read-only discs; a medium over 1433600 blocks is a DVD. */
#include <string.h>
#include "hw/scsi/scsi-int.h"

enum { GET_CONFIGURATION = 0x46, GET_EVENT_STATUS = 0x4a, READ_DISC_INFORMATION = 0x51, READ_DVD_STRUCTURE = 0xad, MECHANISM_STATUS = 0xbd,
       SET_CD_SPEED = 0xbb };
enum { PROFILE_CD = 0x08, PROFILE_DVD = 0x10, EVENT_MEDIA = 4 };
#define CD_MAX_BLOCKS 1433600u
#define DVD_STRUCTURE_BYTES 2052

static bool is_dvd(const ScsiDisk *s)
{
    return scsi_blocks(s) > CD_MAX_BLOCKS;
}

static int cut(unsigned n, uint64_t allocated)
{
    return MIN(n, allocated);
}

static int get_configuration(ScsiDisk *s, const uint8_t *cdb, uint8_t *b)
{
    const unsigned now = !scsi_blocks(s) ? 0 : is_dvd(s) ? PROFILE_DVD : PROFILE_CD;

    put32(b, 36);
    put16(b + 6, now);
    b[10] = 0x03;                   /* profile list: persistent, current */
    b[11] = 8;
    put16(b + 12, PROFILE_DVD);
    b[14] = now == PROFILE_DVD;
    put16(b + 16, PROFILE_CD);
    b[18] = now == PROFILE_CD;
    put16(b + 20, 1);               /* core: version 2 */
    b[22] = 0x0b;
    b[23] = 8;
    put32(b + 24, 1);               /* SCSI */
    b[28] = 1;
    put16(b + 32, 3);               /* removable medium: tray, eject, lock */
    b[34] = 0x0b;
    b[35] = 4;
    b[36] = 0x39;
    return cut(40, get16(cdb + 7));
}

static int event_status(ScsiDisk *s, const uint8_t *cdb, uint8_t *b)
{
    if (!(cdb[1] & 1))              /* only polling */
        return -1;
    b[3] = 1 << EVENT_MEDIA;
    if (!(cdb[4] & 1 << EVENT_MEDIA)) {
        b[2] = 0x80;
        put16(b, 2);
        return cut(4, get16(cdb + 7));
    }
    put16(b, 4);
    b[2] = EVENT_MEDIA;
    if (s->media_event) {
        b[4] = s->tray_open || !blk_is_inserted(s->blk) ? 3 : 2;
        s->media_event = false;
    } else if (s->eject_request) {
        b[4] = 1;
        s->eject_request = false;
    }
    b[5] = (s->tray_open ? 1 : 0) | (scsi_has_medium(s) ? 2 : 0);
    return cut(8, get16(cdb + 7));
}

static int disc_information(ScsiDisk *s, const uint8_t *cdb, uint8_t *b)
{
    if (cdb[1] & 7)
        return -1;
    b[1] = 32;
    b[2] = 0x0e;                    /* finalised */
    b[3] = b[4] = b[5] = b[6] = 1;
    b[7] = 0x20;                    /* unrestricted use */
    return cut(34, get16(cdb + 7));
}

static int dvd_structure(ScsiDisk *s, const uint8_t *cdb, uint8_t *b)
{
    const unsigned allocated = get16(cdb + 8);

    if (cdb[1] & 0xf || (cdb[7] < 0xc0 && !is_dvd(s)))
        return -1;
    switch (cdb[7]) {
    case 0x00:                      /* physical format */
        b[4] = 1;
        b[5] = 0x0f;
        b[6] = 1;
        put32(b + 8, 0x30000);
        put32(b + 12, 0x30000 + scsi_blocks(s) - 1);
        put16(b, DVD_STRUCTURE_BYTES - 2);
        return cut(DVD_STRUCTURE_BYTES, allocated);
    case 0x01:                      /* copyright: none */
        put16(b, 6);
        return cut(8, allocated);
    case 0x04:                      /* manufacturer: zeroes */
        put16(b, DVD_STRUCTURE_BYTES - 2);
        return cut(DVD_STRUCTURE_BYTES, allocated);
    case 0xff:                      /* the list of these */
        for (unsigned i = 0; i < 4; i++) {
            static const struct { uint8_t format; uint16_t size; } formats[] = {
                { 0x00, DVD_STRUCTURE_BYTES }, { 0x01, 8 }, { 0x03, 192 }, { 0x04, DVD_STRUCTURE_BYTES },
            };

            b[4 + 4 * i] = formats[i].format;
            b[5 + 4 * i] = 0x40;
            put16(b + 6 + 4 * i, formats[i].size);
        }
        put16(b, 18);
        return cut(20, allocated);
    default:
        return -1;
    }
}

/* ---- Table of contents ---- */

static void put_address(uint8_t *b, uint32_t lba, bool msf)
{
    if (!msf) {
        put32(b, lba);
        return;
    }
    lba += 150;
    b[1] = lba / 75 / 60;
    b[2] = lba / 75 % 60;
    b[3] = lba % 75;
}

static int raw_toc(uint8_t *b, uint32_t end, bool msf)
{
    static const uint8_t points[] = { 0xa0, 0xa1, 0xa2, 1 };
    unsigned n = 4;

    for (unsigned i = 0; i < sizeof points; i++, n += 11) {
        b[n] = 1;
        b[n + 1] = 0x14;
        b[n + 3] = points[i];
        if (i < 2)
            b[n + 8] = 1;           /* first, last track */
        else if (msf)
            put_address(b + n + 7, i == 2 ? end : 0, true);
        else
            put32(b + n + 7, i == 2 ? end : 0);
    }
    return n;
}

int scsi_read_toc(ScsiDisk *s, const uint8_t *cdb, uint8_t *b)
{
    const bool msf = cdb[1] & 2;
    const unsigned format = cdb[2] & 0xf, start = cdb[6];
    const uint32_t end = MIN(scsi_blocks(s), UINT32_MAX);
    unsigned n = 4;

    if (!scsi_need_medium(s))
        return 0;
    switch (format) {
    case 0:
        if (start > 1 && start != 0xaa)
            return -1;
        if (start <= 1) {
            b[n + 1] = 0x14;
            b[n + 2] = 1;
            put_address(b + n + 4, 0, msf);
            n += 8;
        }
        b[n + 1] = 0x16;
        b[n + 2] = 0xaa;
        put_address(b + n + 4, end, msf);
        n += 8;
        break;
    case 1:                         /* sessions: one */
        n = 12;
        break;
    case 2:
        n = raw_toc(b, end, msf);
        break;
    default:
        return -1;
    }
    b[2] = b[3] = 1;
    put16(b, n - 2);
    return cut(n, get16(cdb + 7));
}

int scsi_mmc(ScsiDisk *s, const uint8_t *cdb, uint8_t *b)
{
    switch (cdb[0]) {
    case GET_CONFIGURATION:
        return get_configuration(s, cdb, b);
    case GET_EVENT_STATUS:
        return event_status(s, cdb, b);
    case READ_DISC_INFORMATION:
        return scsi_need_medium(s) ? disc_information(s, cdb, b) : 0;
    case READ_DVD_STRUCTURE:
        return scsi_need_medium(s) ? dvd_structure(s, cdb, b) : 0;
    case MECHANISM_STATUS:
        b[5] = 1;
        return cut(8, get16(cdb + 8));
    case SET_CD_SPEED:
        scsi_good(&s->qdev);
        return 0;
    default:
        return -2;
    }
}
