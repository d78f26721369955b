/* INQUIRY with its pages (SPC-3, 6.4 and 7.6; SBC-3, 6.5), mode pages (SPC-3, 7.4; SBC-3, 6.4; MMC-6, 7). Values as stock QEMU's. */
#include <string.h>
#include "hw/scsi/scsi-int.h"

enum { PAGE_ERROR = 0x01, PAGE_GEOMETRY = 0x04, PAGE_FLEXIBLE = 0x05, PAGE_CACHING = 0x08, PAGE_AUDIO = 0x0e, PAGE_CAPABILITIES = 0x2a,
       PAGE_ALL = 0x3f };
enum { VPD_LIST = 0x00, VPD_SERIAL = 0x80, VPD_ID = 0x83, VPD_LIMITS = 0xb0, VPD_CHARACTERISTICS = 0xb1, VPD_PROVISIONING = 0xb2 };
#define MAX_ID 244
#define MAX_SERIAL 36

/* ---- INQUIRY ---- */

static void put_text(uint8_t *p, const char *s, unsigned width)
{
    memset(p, ' ', width);
    memcpy(p, s, MIN(strlen(s), width));
}

static unsigned put_designators(const ScsiDisk *s, uint8_t *b)
{
    unsigned n = 0, len = MIN(s->device_id ? strlen(s->device_id) : 0, MAX_ID);

    if (len) {
        b[n++] = 2;                 /* ASCII */
        b[n++] = 0;                 /* of the logical unit, not registered */
        n++;
        b[n++] = len;
        memcpy(b + n, s->device_id, len);
        n += len;
    }
    for (int port = 0; port < 2; port++) {
        const uint64_t wwn = port ? s->port_wwn : s->wwn;

        if (!wwn)
            continue;
        b[n] = port ? 0x61 : 1;     /* binary */
        b[n + 1] = port ? 0x93 : 3; /* NAA */
        b[n + 3] = 8;
        put64(b + n + 4, wwn);
        n += 12;
    }
    if (s->port_index) {
        b[n] = 0x61;
        b[n + 1] = 0x94;            /* relative target port */
        b[n + 3] = 4;
        put16(b + n + 6, s->port_index);
        n += 8;
    }
    return n;
}

static unsigned put_limits(const ScsiDisk *s, uint8_t *b)
{
    const unsigned size = scsi_block_size(s);
    const uint32_t most = MIN(s->max_io_size / size, UINT32_MAX);

    b[0] = 1;                       /* WRITE SAME of no blocks: not */
    put16(b + 2, s->conf.min_io_size / size);
    put32(b + 4, most);
    put32(b + 8, s->conf.opt_io_size / size);
    put32(b + 16, MIN(s->max_unmap_size / size, UINT32_MAX));
    put32(b + 20, 255);
    put32(b + 24, s->conf.discard_granularity / size);
    put64(b + 32, most);
    return 0x3c;
}

static unsigned list_pages(const ScsiDisk *s, uint8_t *b)
{
    unsigned n = 0;

    b[n++] = VPD_LIST;
    if (s->serial)
        b[n++] = VPD_SERIAL;
    b[n++] = VPD_ID;
    if (s->kind == SCSI_DISK) {
        b[n++] = VPD_LIMITS;
        b[n++] = VPD_CHARACTERISTICS;
        b[n++] = VPD_PROVISIONING;
    }
    return n;
}

static int vital_page(ScsiDisk *s, uint8_t page, uint8_t *b)
{
    unsigned n = 0;

    switch (page) {
    case VPD_LIST:
        n = list_pages(s, b + 4);
        break;
    case VPD_SERIAL:
        if (!s->serial)
            return -1;
        n = MIN(strlen(s->serial), MAX_SERIAL);
        memcpy(b + 4, s->serial, n);
        break;
    case VPD_ID:
        n = put_designators(s, b + 4);
        break;
    case VPD_LIMITS:
        if (s->kind == SCSI_CD)
            return -1;
        n = put_limits(s, b + 4);
        break;
    case VPD_CHARACTERISTICS:
        put16(b + 4, s->rotation_rate);
        n = 0x3c;
        break;
    case VPD_PROVISIONING:
        b[5] = 0xe0;                /* UNMAP, WRITE SAME (16) and (10) with the UNMAP bit */
        b[6] = s->conf.discard_granularity ? 2 : 1;
        n = 4;
        break;
    default:
        return -1;
    }
    b[0] = s->kind == SCSI_CD ? 5 : 0;
    b[1] = page;
    put16(b + 2, n);
    return n + 4;
}

int scsi_inquiry(ScsiDisk *s, const uint8_t *cdb, uint8_t *b)
{
    const unsigned allocated = get16(cdb + 3);

    if (cdb[1] & 1)
        return vital_page(s, cdb[2], b);
    if (cdb[2])
        return -1;
    b[0] = s->kind == SCSI_CD ? 5 : 0;
    b[1] = has_feature(s, FEATURE_REMOVABLE) ? 0x80 : 0;
    b[2] = s->scsi_version;
    b[3] = 0x12;                    /* response format 2, hierarchical LUNs */
    b[4] = MIN(MAX(allocated, 36), 260) - 5;
    b[7] = 0x10;                    /* wide transfers */
    put_text(b + 8, s->vendor, 8);
    put_text(b + 16, s->product, 16);
    put_text(b + 32, s->ver, 4);
    return MAX(36, b[4] + 5);
}

/* ---- Mode pages ---- */

static void put24(uint8_t *p, uint32_t v)
{
    p[0] = v >> 16;
    put16(p + 1, v);
}

static void geometry(const ScsiDisk *s, uint8_t *p)
{
    put24(p, s->conf.cyls);
    p[3] = s->conf.heads;
    put24(p + 4, s->conf.cyls);     /* no write precompensation, no reduced write current */
    put24(p + 7, s->conf.cyls);
    put16(p + 10, 200);             /* step rate */
    put24(p + 12, 0xffffff);        /* landing zone */
    put16(p + 18, 5400);
}

static void flexible(const ScsiDisk *s, uint8_t *p)
{
    put16(p, 5000);                 /* kbit/s */
    p[2] = s->conf.heads;
    p[3] = s->conf.secs;
    put16(p + 4, scsi_block_size(s));
    for (unsigned at = 6; at <= 10; at += 2)
        put16(p + at, s->conf.cyls);
    put16(p + 12, 1);
    p[14] = 1;
    put16(p + 15, 1);
    p[17] = p[18] = 1;
    put16(p + 26, 5400);
}

static void capabilities(const ScsiDisk *s, uint8_t *p)
{
    static const uint8_t fixed[] = { 0x3b, 0x00, 0x7f, 0xff, 0x2d, 0x00 };

    memcpy(p, fixed, sizeof fixed);
    p[4] |= s->tray_locked ? 2 : 0;
    put16(p + 6, 50 * 176);         /* reads at 50 times */
    put16(p + 8, 2);
    put16(p + 10, 2048);
    put16(p + 12, 16 * 176);
    put16(p + 16, 16 * 176);
    put16(p + 18, 16 * 176);
}

static const struct { uint8_t page, size, kinds; } pages[] = {
    { PAGE_ERROR, 10, 3 }, { PAGE_GEOMETRY, 22, 1 }, { PAGE_FLEXIBLE, 30, 1 }, { PAGE_CACHING, 18, 3 }, { PAGE_AUDIO, 14, 2 },
    { PAGE_CAPABILITIES, 20, 2 },
};

/* control 0: current, 1: what can be changed, 2: default values. */
static void fill_page(const ScsiDisk *s, uint8_t page, unsigned control, uint8_t *p)
{
    if (page == PAGE_CACHING && (control == 1 || blk_write_cache(s->blk)))
        p[0] = 4;
    if (page == PAGE_ERROR && s->kind == SCSI_CD)
        p[0] = 0x80;
    if (control == 1)
        return;
    switch (page) {
    case PAGE_ERROR:
        p[0] = 0x80;
        p[1] = s->kind == SCSI_CD ? 0x20 : 0;
        break;
    case PAGE_GEOMETRY:
        geometry(s, p);
        break;
    case PAGE_FLEXIBLE:
        flexible(s, p);
        break;
    case PAGE_CAPABILITIES:
        capabilities(s, p);
        break;
    }
}

static unsigned put_pages(const ScsiDisk *s, uint8_t which, unsigned control, uint8_t *b)
{
    unsigned n = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(pages); i++) {
        if (!(pages[i].kinds & 1u << s->kind) || (which != PAGE_ALL && which != pages[i].page))
            continue;
        b[n] = pages[i].page;
        b[n + 1] = pages[i].size;
        fill_page(s, pages[i].page, control, b + n + 2);
        n += 2 + pages[i].size;
    }
    return n;
}

static unsigned put_block_descriptor(const ScsiDisk *s, uint8_t *b)
{
    const uint64_t blocks = scsi_blocks(s);

    put32(b, blocks > 0xffffff ? 0 : blocks);
    put24(b + 5, scsi_block_size(s));
    return 8;
}

int scsi_mode_sense(ScsiDisk *s, const uint8_t *cdb, uint8_t *b)
{
    const bool ten = cdb[0] == 0x5a, disk = s->kind == SCSI_DISK;
    const unsigned header = ten ? 8 : 4, control = cdb[2] >> 6;
    uint8_t flags = 0;
    unsigned n = header, got;

    if (disk)
        flags = (has_feature(s, FEATURE_DPOFUA) ? 0x10 : 0) | (blk_is_read_only(s->blk) ? 0x80 : 0);
    if (disk && !(cdb[1] & 8) && scsi_blocks(s)) {
        b[ten ? 7 : 3] = 8;
        n += put_block_descriptor(s, b + n);
    }
    if (control == 3)
        return -2;
    got = put_pages(s, cdb[2] & 0x3f, control, b + n);
    if (!got && (cdb[2] & 0x3f) != PAGE_ALL)
        return -1;
    n += got;
    b[ten ? 3 : 2] = flags;
    if (ten)
        put16(b, n - 2);
    else
        b[0] = n - 1;
    return n;
}

/* ---- MODE SELECT ---- */

/* One page: it must be as long as ours, and differ from it only in what can be changed. */
static bool check_page(const ScsiDisk *s, const uint8_t *p)
{
    uint8_t current[64] = { 0 }, mask[64] = { 0 };
    const unsigned n = put_pages(s, p[0] & 0x3f, 0, current);

    if (!n || n != 2u + p[1])
        return false;
    put_pages(s, p[0] & 0x3f, 1, mask);
    for (unsigned i = 2; i < n; i++)
        if ((current[i] ^ p[i]) & ~mask[i])
            return false;
    return true;
}

static bool walk_pages(ScsiDisk *s, const uint8_t *p, unsigned len, bool apply)
{
    while (len) {
        if (len < 2 || len < 2u + p[1] || (p[0] & 0x40) || (p[0] & 0x3f) == PAGE_ALL || !check_page(s, p))
            return false;
        if (apply && (p[0] & 0x3f) == PAGE_CACHING)
            blk_enable_write_cache(s->blk, p[2] & 4);
        len -= 2u + p[1];
        p += 2u + p[1];
    }
    return true;
}

bool scsi_mode_select(ScsiDisk *s, const uint8_t *cdb, const uint8_t *p, unsigned len)
{
    const bool ten = cdb[0] == 0x55;
    const unsigned header = ten ? 8 : 4;
    unsigned descriptors;

    if ((cdb[1] & 0x11) != 0x10)    /* only page format, and nothing is saved */
        return false;
    if (len < header)
        return false;
    descriptors = ten ? get16(p + 6) : p[3];
    if (descriptors && descriptors != 8)
        return false;
    if (len < header + descriptors)
        return false;
    p += header + descriptors;
    len -= header + descriptors;
    return walk_pages(s, p, len, false) && walk_pages(s, p, len, true);
}
