/*
 * The packet protocol of CD drives: 12-byte packets in, replies and sectors out, by PIO or DMA.
 *
 * ATA/ATAPI-6 clause 9.8, SFF-8020i. A reply is either all in io_buffer (lba < 0), or sectors that are read one at a time
 * (PIO) or straight into guest memory (DMA).
 */
#include <errno.h>
#include <string.h>
#include "hw/ide/ide-int.h"
#include "util/log.h"

#define DMA_PIECE_SECTORS 512u

void atapi_ok(IdeDrive *d)
{
    d->error = 0;
    d->status = READY_STAT | SEEK_STAT;
    d->nsector = (d->nsector & ~7u) | REASON_IO | REASON_CD;
    ide_pio_stop(d);
    ide_set_irq(d);
}

void atapi_error(IdeDrive *d, uint8_t key, uint8_t asc)
{
    ide_pio_stop(d);
    d->error = key << 4;
    d->status = READY_STAT | ERR_STAT;
    d->nsector = (d->nsector & ~7u) | REASON_IO | REASON_CD;
    d->sense_key = key;
    d->asc = asc;
    d->ascq = 0;
    ide_set_irq(d);
}

void atapi_reset(IdeDrive *d)
{
    d->sense_key = d->asc = d->ascq = 0;
    d->tray_locked = false;
    d->packet_size = d->elementary_size = d->buf_index = d->buf_size = 0;
    d->lba = -1;
    d->atapi_dma = false;
}

void atapi_media_changed(IdeDrive *d)
{
    d->sectors = blk_sectors(d->blk);
    /* First "no medium", then "medium changed": guests tell the two by these. */
    d->sense_key = SENSE_UNIT_ATTENTION;
    d->asc = ASC_MEDIUM_CHANGED;
    d->cdrom_changed = 1;
    d->event_new_media = true;
    d->event_eject_request = false;
    ide_set_irq(d);
}

/* ---- Reading sectors ---- */

static void put_raw_header(uint8_t *b, uint32_t lba)
{
    uint32_t at = lba + 150;

    memset(b + 1, 0xff, 10);
    b[0] = b[11] = 0;
    b[12] = (at / 75 / 60) / 10 << 4 | (at / 75 / 60) % 10;
    b[13] = (at / 75 % 60) / 10 << 4 | (at / 75 % 60) % 10;
    b[14] = (at % 75) / 10 << 4 | (at % 75) % 10;
    b[15] = 1;
    memset(b + 16 + 2048, 0, 288);
}

static void io_error(IdeDrive *d, int ret)
{
    if (ret == -ENOMEDIUM)
        atapi_error(d, SENSE_NOT_READY, ASC_MEDIUM_NOT_PRESENT);
    else
        atapi_error(d, SENSE_ILLEGAL_REQUEST, ASC_LBA_OUT_OF_RANGE);
}

/* true: go on; false: the guest has the error, or the request is to be retried. */
static bool survived(IdeDrive *d, int ret)
{
    bool ignored = false;

    if (ret >= 0)
        return true;
    if (ret == -ENOMEDIUM || ide_rw_error(d, -ret, true, &ignored)) {
        d->dma = DMA_NONE;
        if (d->atapi_dma && d->chan->dma)
            d->chan->dma->done(d->chan, false);
        io_error(d, ret);
        return false;
    }
    return ignored;
}

static void sector_done(void *opaque, int ret)
{
    IdeDrive *d = opaque;

    d->req = NULL;
    if (!(d->status & BUSY_STAT) || d->lba < 0)
        return;
    d->status &= ~BUSY_STAT;
    if (!survived(d, ret))
        return;
    if (d->cd_sector == 2352)
        put_raw_header(d->io_buffer, d->lba);
    d->lba++;
    d->buf_index = 0;
    atapi_reply_end(d);
}

static void read_sector(IdeDrive *d)
{
    unsigned skip = d->cd_sector == 2352 ? 16 : 0;

    d->status |= BUSY_STAT;
    d->iov[0] = (struct iovec){ d->io_buffer + skip, 2048 };
    d->req = blk_aio_preadv(d->blk, (int64_t)d->lba * 2048, d->iov, 1, 0, sector_done, d);
}

/* ---- PIO replies ---- */

/* How much of the rest goes in one DRQ: what the guest's byte count allows, even unless it is the last. */
static unsigned drq_size(const IdeDrive *d)
{
    unsigned limit = d->lcyl | d->hcyl << 8, size = d->packet_size;

    if (limit == 0xffff)
        limit--;
    if (size > limit)
        size = limit & ~1u;
    return size;
}

void atapi_reply_end(IdeDrive *d)
{
    unsigned size;

    if (d->packet_size <= 0) {
        atapi_ok(d);
        return;
    }
    /* A new sector is needed. */
    if (d->lba >= 0 && d->buf_index >= d->cd_sector) {
        read_sector(d);
        return;
    }
    if (d->elementary_size <= 0) {
        size = drq_size(d);
        if (!size) {
            atapi_error(d, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD);
            return;
        }
        d->nsector = (d->nsector & ~7u) | REASON_IO;
        d->lcyl = size;
        d->hcyl = size >> 8;
        d->elementary_size = size;
        d->status = READY_STAT | SEEK_STAT;
        ide_set_irq(d);
    }
    size = d->elementary_size;
    if (d->lba >= 0)
        size = MIN(size, (unsigned)(d->cd_sector - d->buf_index));
    size = MIN(size, IDE_BUF_SIZE - (unsigned)d->buf_index);
    d->packet_size -= size;
    d->elementary_size -= size;
    ide_pio_start(d, d->buf_index, size, END_ATAPI_REPLY);
    d->buf_index += size;
}

void atapi_reply(IdeDrive *d, unsigned size, unsigned max_size)
{
    size = MIN(size, max_size);
    d->lba = -1;
    d->buf_index = 0;
    d->packet_size = size;
    d->elementary_size = 0;
    d->error = 0;
    if (!size) {
        atapi_ok(d);
    } else if (d->atapi_dma) {
        d->status = READY_STAT | SEEK_STAT | DRQ_STAT;
        d->dma_left = size;
        ide_dma_begin(d, DMA_ATAPI);
    } else {
        d->status = READY_STAT | SEEK_STAT;
        atapi_reply_end(d);
    }
}

void atapi_read(IdeDrive *d, uint32_t lba, uint32_t n, unsigned sector_size)
{
    d->lba = lba;
    d->cd_sector = sector_size;
    d->packet_size = n * sector_size;
    d->elementary_size = 0;
    d->buf_index = sector_size;         /* so that the first is read */
    d->error = 0;
    if (d->atapi_dma) {
        d->status = READY_STAT | SEEK_STAT | DRQ_STAT;
        d->dma_left = d->packet_size;
        ide_dma_begin(d, DMA_ATAPI);
        return;
    }
    d->status = READY_STAT | SEEK_STAT;
    atapi_reply_end(d);
}

/* ---- DMA ---- */

static void dma_over(IdeDrive *d, bool more)
{
    d->dma = DMA_NONE;
    d->status = READY_STAT | SEEK_STAT;
    d->nsector = (d->nsector & ~7u) | REASON_IO | REASON_CD;
    d->chan->dma->done(d->chan, more);
    ide_set_irq(d);
}

/* bytes from io_buffer to guest memory; false: the PRD table has ended. */
static bool copy_out(IdeDrive *d, unsigned bytes)
{
    for (unsigned done = 0; done < bytes;) {
        uint64_t guest;
        size_t len;
        void *host = d->chan->dma->next(d->chan, bytes - done, &len, &guest, true);

        if (!len)
            return false;
        if (host) {
            memcpy(host, d->io_buffer + done, len);
            d->chan->dma->unmap(d->chan, host, len, true);
        }
        done += len;
    }
    return true;
}

static void raw_done(IdeDrive *d)
{
    put_raw_header(d->io_buffer, d->lba);
    if (!copy_out(d, d->cd_sector)) {
        dma_over(d, false);
        return;
    }
    d->lba++;
    d->dma_left -= d->cd_sector;
    atapi_dma_run(d);
}

static void dma_read_done(void *opaque, int ret)
{
    IdeDrive *d = opaque;

    d->req = NULL;
    ide_unmap_piece(d);
    if (d->dma != DMA_ATAPI || !survived(d, ret))
        return;
    if (d->cd_sector == 2352) {
        raw_done(d);
        return;
    }
    d->lba += d->dma_piece / 2048;
    d->dma_offset += d->dma_piece;
    d->dma_left -= d->dma_piece;
    atapi_dma_run(d);
}

void atapi_dma_run(IdeDrive *d)
{
    size_t bytes;

    if (d->req)
        return;
    if (d->lba < 0) {
        dma_over(d, copy_out(d, d->dma_left));
        return;
    }
    if (!d->dma_left || d->dma_short) {
        dma_over(d, !d->dma_left);
        return;
    }
    if (d->cd_sector == 2352) {
        d->iov_used = 0;
        d->iov[0] = (struct iovec){ d->io_buffer + 16, 2048 };
        d->req = blk_aio_preadv(d->blk, (int64_t)d->lba * 2048, d->iov, 1, 0, dma_read_done, d);
        return;
    }
    if (!d->dma_buf_pos) {
        d->dma_offset = (uint64_t)d->lba * 2048;
        d->dma_buf_pos = 1;
    }
    if (!ide_map_piece(d, MIN(d->dma_left, DMA_PIECE_SECTORS * 2048), &bytes, true)) {
        dma_over(d, false);
        return;
    }
    d->dma_piece = bytes;
    d->req = blk_aio_preadv(d->blk, d->dma_offset, d->iov, d->iov_used, 0, dma_read_done, d);
}

/* After a pause by an error: the sector or the piece that failed. */
void atapi_retry(IdeDrive *d)
{
    if (d->dma == DMA_ATAPI) {
        d->chan->dma->restart_table(d->chan);
        d->lba -= (d->packet_size - d->dma_left) / d->cd_sector;
        d->dma_left = d->packet_size;
        d->dma_buf_pos = 0;
        d->dma_short = false;
        atapi_dma_run(d);
    } else if (d->lba >= 0) {
        read_sector(d);
    }
}

/* ---- Commands ---- */

void atapi_packet(IdeDrive *d)
{
    d->lba = -1;
    ide_pio_stop(d);
    mmc_command(d);
}

static void packet(IdeDrive *d)
{
    if (d->feature & 2) {               /* overlapped: not modelled */
        ide_abort(d);
        ide_set_irq(d);
        return;
    }
    d->atapi_dma = d->feature & 1;
    if (d->atapi_dma)
        d->lcyl = d->hcyl = 0;
    d->status = READY_STAT | SEEK_STAT;
    d->error = 0;
    d->nsector = REASON_CD;
    ide_pio_start(d, 0, 12, END_ATAPI_CMD);
    /* No interrupt here: the drive said in IDENTIFY that DRQ comes at once. */
}

bool atapi_device_command(IdeDrive *d, uint8_t cmd)
{
    switch (cmd) {
    case 0xa0:
        packet(d);
        return true;
    case 0xa1:
        if (!d->identify_set) {
            atapi_identify(d);
            d->identify_set = 1;
        }
        memcpy(d->io_buffer, d->identify, 512);
        d->status = READY_STAT | SEEK_STAT;
        d->error = 0;
        ide_pio_start(d, 0, 512, END_STOP);
        ide_set_irq(d);
        return true;
    case 0x90:
        return true;
    default:
        return false;
    }
}
