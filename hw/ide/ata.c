/*
 * Commands of ATA hard disks: PIO reads and writes, features, flush; and the dispatch of commands.
 *
 * ATA/ATAPI-6 clause 8. A PIO transfer moves req_nb_sectors at a time (1, or the multiple count) through io_buffer.
 */
#include <errno.h>
#include <string.h>
#include "hw/ide/ide-int.h"
#include "util/log.h"

/* ---- Addresses ---- */

void ata_expand_count(IdeDrive *d, bool lba48)
{
    d->lba48 = lba48;
    if (lba48) {
        d->nsector = (d->nsector & 0xff) | d->hob_nsector << 8;
        if (!d->nsector)
            d->nsector = 65536;
    } else {
        d->nsector &= 0xff;
        if (!d->nsector)
            d->nsector = 256;
    }
}

uint64_t ata_get_sector(const IdeDrive *d)
{
    if (d->select & DEV_LBA) {
        uint64_t low = d->sector | d->lcyl << 8 | d->hcyl << 16;

        if (d->lba48)
            return low | (uint64_t)d->hob_sector << 24 | (uint64_t)d->hob_lcyl << 32 | (uint64_t)d->hob_hcyl << 40;
        return low | (uint64_t)(d->select & 0x0f) << 24;
    }
    return ((uint64_t)(d->hcyl << 8 | d->lcyl) * d->heads + (d->select & 0x0f)) * d->secs + d->sector - 1;
}

void ata_set_sector(IdeDrive *d, uint64_t n)
{
    if (d->select & DEV_LBA) {
        d->sector = n;
        d->lcyl = n >> 8;
        d->hcyl = n >> 16;
        if (d->lba48) {
            d->hob_sector = n >> 24;
            d->hob_lcyl = n >> 32;
            d->hob_hcyl = n >> 40;
        } else {
            d->select = (d->select & 0xf0) | (n >> 24 & 0x0f);
        }
    } else if (d->heads && d->secs) {
        uint64_t cyl = n / (d->heads * d->secs), r = n % (d->heads * d->secs);

        d->hcyl = cyl >> 8;
        d->lcyl = cyl;
        d->select = (d->select & 0xf0) | (r / d->secs & 0x0f);
        d->sector = r % d->secs + 1;
    }
}

bool ata_range_ok(const IdeDrive *d, uint64_t first, uint64_t n)
{
    return first < d->sectors && n <= d->sectors - first;
}

void ata_bad_range(IdeDrive *d)
{
    ide_abort(d);
    ide_set_irq(d);
}

/* ---- PIO ---- */

static void read_done(void *opaque, int ret)
{
    IdeDrive *d = opaque;
    unsigned n = d->req_nb_sectors;
    bool ignored = false;

    d->req = NULL;
    if (!(d->status & BUSY_STAT) || d->dma)
        return;                         /* reset meanwhile */
    d->status &= ~BUSY_STAT;
    if (ret < 0 && ide_rw_error(d, -ret, true, &ignored)) {
        ide_abort(d);
        ide_set_irq(d);
        return;
    }
    if (ret < 0 && !ignored) {
        d->status |= BUSY_STAT;         /* to be retried */
        return;
    }
    ata_set_sector(d, ata_get_sector(d) + n);
    d->nsector -= n;
    ide_pio_start(d, 0, n * SECTOR, END_SECTOR_READ);
    ide_set_irq(d);
}

void ata_sector_read(IdeDrive *d)
{
    uint64_t at = ata_get_sector(d);
    unsigned n = MIN(d->nsector, (uint32_t)d->req_nb_sectors);

    d->status = READY_STAT | SEEK_STAT;
    d->error = 0;
    if (!d->nsector) {
        ide_pio_stop(d);
        return;
    }
    if (!ata_range_ok(d, at, n)) {
        ata_bad_range(d);
        return;
    }
    d->req_nb_sectors = n;
    d->status |= BUSY_STAT;
    d->iov[0] = (struct iovec){ d->io_buffer, n * SECTOR };
    d->req = blk_aio_preadv(d->blk, at * SECTOR, d->iov, 1, 0, read_done, d);
}

static unsigned block_sectors(const IdeDrive *d, bool multiple)
{
    return multiple ? MIN((uint32_t)d->mult_sectors, d->nsector) : 1;
}

static bool multiple_of_last(const IdeDrive *d)
{
    return d->retry_cmd == 0xc5 || d->retry_cmd == 0x39 || d->retry_cmd == 0xce;
}

static void write_done(void *opaque, int ret)
{
    IdeDrive *d = opaque;
    unsigned n = d->req_nb_sectors;
    bool ignored = false;

    d->req = NULL;
    if (!(d->status & BUSY_STAT) || d->dma)
        return;
    d->status &= ~BUSY_STAT;
    if (ret < 0 && ide_rw_error(d, -ret, false, &ignored)) {
        ide_abort(d);
        ide_set_irq(d);
        return;
    }
    if (ret < 0 && !ignored) {
        /* The data of this block is still in io_buffer: retry just it. */
        d->status |= BUSY_STAT;
        return;
    }
    ata_set_sector(d, ata_get_sector(d) + n);
    d->nsector -= n;
    if (!d->nsector) {
        ide_pio_stop(d);
    } else {
        d->req_nb_sectors = block_sectors(d, multiple_of_last(d));
        ide_pio_start(d, 0, d->req_nb_sectors * SECTOR, END_SECTOR_WRITE);
    }
    ide_set_irq(d);
}

void ata_sector_write(IdeDrive *d)
{
    uint64_t at = ata_get_sector(d);
    unsigned n = MIN(d->nsector, (uint32_t)d->req_nb_sectors);

    d->status = READY_STAT | SEEK_STAT;
    if (!n || !ata_range_ok(d, at, n)) {
        ata_bad_range(d);
        return;
    }
    d->req_nb_sectors = n;
    d->status |= BUSY_STAT;
    d->iov[0] = (struct iovec){ d->io_buffer, n * SECTOR };
    d->req = blk_aio_pwritev(d->blk, at * SECTOR, d->iov, 1, 0, write_done, d);
}

/* ---- Other commands ---- */

static void flush_done(void *opaque, int ret)
{
    IdeDrive *d = opaque;
    bool ignored = false;

    d->req = NULL;
    if (!(d->status & BUSY_STAT))
        return;
    d->status &= ~BUSY_STAT;
    if (ret < 0 && ide_rw_error(d, -ret, false, &ignored)) {
        ide_abort(d);
    } else if (ret < 0 && !ignored) {
        d->status |= BUSY_STAT;
        return;
    } else {
        d->status = READY_STAT | SEEK_STAT;
    }
    ide_set_irq(d);
}

static void flush_cache(IdeDrive *d)
{
    if (!d->blk) {
        d->status = READY_STAT | SEEK_STAT;
        ide_set_irq(d);
        return;
    }
    d->status |= BUSY_STAT;
    d->req = blk_aio_flush(d->blk, flush_done, d);
}

static void pio_read(IdeDrive *d, bool lba48, bool multiple)
{
    ata_expand_count(d, lba48);
    d->req_nb_sectors = multiple ? d->mult_sectors : 1;
    d->end_fn = END_SECTOR_READ;
    ata_sector_read(d);
}

static void pio_write(IdeDrive *d, bool lba48, bool multiple)
{
    ata_expand_count(d, lba48);
    d->error = 0;
    d->status = READY_STAT | SEEK_STAT;
    d->req_nb_sectors = block_sectors(d, multiple);
    ide_pio_start(d, 0, d->req_nb_sectors * SECTOR, END_SECTOR_WRITE);
}

static void put_word(IdeDrive *d, unsigned word, uint16_t v)
{
    d->identify[2 * word] = v;
    d->identify[2 * word + 1] = v >> 8;
}

static uint16_t get_word(const IdeDrive *d, unsigned word)
{
    return d->identify[2 * word] | d->identify[2 * word + 1] << 8;
}

/* SET FEATURES 03h: words 62, 63 and 88 say what is selected. */
static bool set_transfer_mode(IdeDrive *d)
{
    uint8_t v = d->nsector & 7;

    put_word(d, 62, 7);
    put_word(d, 63, 7);
    put_word(d, 88, 0x3f);
    switch ((d->nsector & 0xff) >> 3) {
    case 0: case 1: return true;                            /* PIO default, PIO flow control */
    case 2: put_word(d, 62, 7 | 1 << (v + 8)); return true; /* single-word DMA */
    case 4: put_word(d, 63, 7 | 1 << (v + 8)); return true; /* multi-word DMA */
    case 8: put_word(d, 88, 0x3f | 1 << (v + 8)); return true;  /* ultra DMA */
    default: return false;
    }
}

static void make_identify(IdeDrive *d)
{
    if (d->identify_set)
        return;
    if (d->kind == IDE_CD)
        atapi_identify(d);
    else
        ata_identify(d);
    d->identify_set = 1;
}

static bool set_features(IdeDrive *d)
{
    make_identify(d);
    switch (d->feature) {
    case 0x02:                                              /* write cache */
        blk_enable_write_cache(d->blk, true);
        put_word(d, 85, get_word(d, 85) | 1 << 5);
        return true;
    case 0x82:
        blk_enable_write_cache(d->blk, false);
        put_word(d, 85, get_word(d, 85) & ~(1 << 5));
        flush_cache(d);
        return true;
    case 0x03:
        return set_transfer_mode(d);
    case 0xcc: case 0x66: case 0xaa: case 0x55: case 0x05: case 0x85: case 0x69: case 0x67: case 0x96: case 0x9a: case 0x42:
    case 0xc2:                                              /* power-on defaults, look-ahead, APM, acoustics: nothing to do */
        return true;
    default:
        return false;
    }
}

static void ok(IdeDrive *d, bool irq)
{
    d->status = READY_STAT | SEEK_STAT;
    d->error = 0;
    if (irq)
        ide_set_irq(d);
}

static void identify(IdeDrive *d)
{
    make_identify(d);
    memcpy(d->io_buffer, d->identify, 512);
    d->status = READY_STAT | SEEK_STAT;
    d->error = 0;
    ide_pio_start(d, 0, 512, END_STOP);
    ide_set_irq(d);
}

static void set_multiple(IdeDrive *d)
{
    uint32_t n = d->nsector & 0xff;

    if (n > 16 || (n & (n - 1))) {
        ide_abort(d);
    } else {
        d->mult_sectors = n;
        ok(d, false);
    }
    ide_set_irq(d);
}

static void read_native_max(IdeDrive *d, bool lba48)
{
    d->lba48 = lba48;
    if (!d->sectors) {
        ide_abort(d);
        ide_set_irq(d);
        return;
    }
    ata_set_sector(d, MIN(d->sectors, lba48 ? UINT64_MAX : (uint64_t)1 << 28) - 1);
    ok(d, true);
}

static void check_verify(IdeDrive *d, bool lba48)
{
    ata_expand_count(d, lba48);
    if (ata_range_ok(d, ata_get_sector(d), d->nsector))
        ok(d, true);
    else
        ata_bad_range(d);
}

/* The reads and writes; false: cmd is none. */
static bool rw_command(IdeDrive *d, uint8_t cmd)
{
    switch (cmd) {
    case 0x20: case 0x21: pio_read(d, false, false); return true;   /* READ SECTORS */
    case 0x24: pio_read(d, true, false); return true;               /* READ SECTORS EXT */
    case 0x30: case 0x31: case 0x3c: pio_write(d, false, false); return true; /* WRITE SECTORS, WRITE VERIFY */
    case 0x34: pio_write(d, true, false); return true;
    case 0xc4: case 0x29: case 0xc5: case 0x39: case 0xce:          /* READ/WRITE MULTIPLE (EXT) */
        if (!d->mult_sectors)
            ata_bad_range(d);
        else if (cmd == 0xc4 || cmd == 0x29)
            pio_read(d, cmd == 0x29, true);
        else
            pio_write(d, cmd != 0xc5, true);
        return true;
    case 0xc8: case 0xc9: ata_start_dma(d, false, DMA_READ); return true;
    case 0x25: ata_start_dma(d, true, DMA_READ); return true;
    case 0xca: case 0xcb: ata_start_dma(d, false, DMA_WRITE); return true;
    case 0x35: case 0x3d: ata_start_dma(d, true, DMA_WRITE); return true;
    case 0x06:                                                      /* DATA SET MANAGEMENT */
        if (!(d->feature & 1) || !d->discard)
            return false;
        ata_start_dma(d, true, DMA_TRIM);
        return true;
    case 0x40: case 0x41: check_verify(d, false); return true;      /* READ VERIFY */
    case 0x42: check_verify(d, true); return true;
    case 0xf8: read_native_max(d, false); return true;
    case 0x27: read_native_max(d, true); return true;
    case 0xc6: set_multiple(d); return true;
    default: return false;
    }
}

static bool common_command(IdeDrive *d, uint8_t cmd)
{
    switch (cmd) {
    case 0xe7: case 0xea:                                           /* FLUSH CACHE (EXT) */
        flush_cache(d);
        return true;
    case 0xef:
        if (!set_features(d))
            return false;
        if (!d->req)
            ok(d, true);
        return true;
    case 0xe0: case 0xe1: case 0xe2: case 0xe3: case 0xe6: case 0x94: case 0x95: case 0x96: case 0x97: case 0x99:
        ok(d, true);                                                /* STANDBY, IDLE, SLEEP */
        return true;
    case 0xe5: case 0x98:                                           /* CHECK POWER MODE: active */
        d->nsector = 0xff;
        ok(d, true);
        return true;
    case 0x00:                                                      /* NOP */
        return false;
    default:
        return false;
    }
}

void ata_command(IdeDrive *d, uint8_t cmd)
{
    bool known;

    if (d->kind == IDE_CD && (cmd == 0x20 || cmd == 0xec)) {
        ide_set_signature(d);       /* how a host tells a packet device */
        known = false;
    } else if (d->kind == IDE_CD) {
        known = atapi_device_command(d, cmd) || common_command(d, cmd);
    } else if (cmd == 0x90) {
        known = true;
    } else if (cmd == 0xec) {
        identify(d);
        known = true;
    } else if (cmd == 0x91 || cmd == 0x10 || cmd == 0x70) { /* INITIALIZE DEVICE PARAMETERS, RECALIBRATE, SEEK */
        ok(d, true);
        known = true;
    } else {
        known = rw_command(d, cmd) || common_command(d, cmd);
    }
    if (cmd == 0x90) {              /* EXECUTE DEVICE DIAGNOSTIC */
        ide_set_signature(d);
        d->status = d->kind == IDE_CD ? 0 : READY_STAT | SEEK_STAT;
        d->error = 1;
        ide_set_irq(d);
        return;
    }
    if (known)
        return;
    log_guest("ide: unknown command %#x\n", cmd);
    ide_abort(d);
    ide_set_irq(d);
}
