/*
 * DMA transfers of ATA hard disks, and TRIM.
 *
 * Data go to and from guest memory directly, in pieces of as many PRD entries as an iovec holds.
 */
#include <errno.h>
#include <string.h>
#include "hw/ide/ide-int.h"

#define DMA_PIECE (1u << 20)

static void dma_end(IdeDrive *d, bool more)
{
    d->dma = DMA_NONE;
    d->status = READY_STAT | SEEK_STAT | (d->status & ERR_STAT);
    d->chan->dma->done(d->chan, more);
}

static void dma_failed(IdeDrive *d)
{
    d->dma = DMA_NONE;
    ide_abort(d);
    d->chan->dma->done(d->chan, false);
    ide_set_irq(d);
}

static void dma_done(void *opaque, int ret)
{
    IdeDrive *d = opaque;
    bool read = d->dma == DMA_READ, ignored = false;

    d->req = NULL;
    ide_unmap_piece(d);
    if (d->dma != DMA_READ && d->dma != DMA_WRITE)
        return;                         /* reset meanwhile */
    if (ret < 0 && ide_rw_error(d, -ret, read, &ignored)) {
        dma_failed(d);
        return;
    }
    if (ret < 0 && !ignored)
        return;                         /* to be retried from the beginning */
    d->dma_offset += d->dma_piece;
    d->dma_left -= d->dma_piece;
    ata_dma_run(d);
}

static void dma_finished(IdeDrive *d)
{
    ata_set_sector(d, d->dma_offset / SECTOR);
    d->nsector = 0;
    dma_end(d, true);
    ide_set_irq(d);
}

/* The table ended before the transfer: no interrupt, and the bus master is no longer active. */
static void dma_cut_short(IdeDrive *d)
{
    dma_end(d, false);
}

/* ---- TRIM (DATA SET MANAGEMENT): ranges of 48-bit sector and 16-bit count come by DMA ---- */

static void trim_next(IdeDrive *d);

static void trim_done(void *opaque, int ret)
{
    IdeDrive *d = opaque;
    bool ignored = false;

    d->req = NULL;
    if (d->dma != DMA_TRIM)
        return;
    if (ret < 0 && ret != -ENOTSUP && ide_rw_error(d, -ret, false, &ignored)) {
        dma_failed(d);
        return;
    }
    if (ret < 0 && ret != -ENOTSUP && !ignored)
        return;
    trim_next(d);
}

static void trim_next(IdeDrive *d)
{
    while (d->dma_buf_pos + 8 <= d->dma_left) {
        const uint8_t *e = d->io_buffer + d->dma_buf_pos;
        uint64_t v = 0, first, n;

        for (int i = 7; i >= 0; i--)
            v = v << 8 | e[i];
        d->dma_buf_pos += 8;
        first = v & 0xffffffffffffull;
        n = v >> 48;
        if (!n)
            continue;
        if (!ata_range_ok(d, first, n)) {
            dma_failed(d);
            return;
        }
        d->req = blk_aio_discard(d->blk, first * SECTOR, n * SECTOR, trim_done, d);
        return;
    }
    d->nsector = 0;
    dma_end(d, true);
    ide_set_irq(d);
}

static void trim_run(IdeDrive *d)
{
    size_t want = MIN(d->nsector, (uint32_t)IDE_BUF_SECTORS) * SECTOR, got = 0;

    while (got < want) {
        uint64_t guest;
        size_t len;
        void *host = d->chan->dma->next(d->chan, want - got, &len, &guest, false);

        if (!len) {
            dma_cut_short(d);
            return;
        }
        if (host) {
            memcpy(d->io_buffer + got, host, len);
            d->chan->dma->unmap(d->chan, host, len, false);
        } else {
            memset(d->io_buffer + got, 0, len);
        }
        got += len;
    }
    d->dma_left = got;
    d->dma_buf_pos = 0;
    trim_next(d);
}

void ata_dma_run(IdeDrive *d)
{
    bool read = d->dma == DMA_READ;
    size_t bytes;
    unsigned n;

    if (d->req)
        return;
    if (d->dma == DMA_TRIM) {
        trim_run(d);
        return;
    }
    if (!d->dma_left) {
        dma_finished(d);
        return;
    }
    n = d->dma_short ? 0 : ide_map_piece(d, MIN(d->dma_left, DMA_PIECE), &bytes, read);
    if (!n) {
        dma_cut_short(d);
        return;
    }
    d->dma_piece = bytes;
    d->req = read ? blk_aio_preadv(d->blk, d->dma_offset, d->iov, n, 0, dma_done, d)
                  : blk_aio_pwritev(d->blk, d->dma_offset, d->iov, n, 0, dma_done, d);
}

void ata_start_dma(IdeDrive *d, bool lba48, IdeDma kind)
{
    uint64_t first;

    ata_expand_count(d, lba48);
    first = ata_get_sector(d);
    if (kind != DMA_TRIM && !ata_range_ok(d, first, d->nsector)) {
        ata_bad_range(d);
        return;
    }
    d->status = READY_STAT | SEEK_STAT | DRQ_STAT;
    d->error = 0;
    d->dma_offset = first * SECTOR;
    d->dma_left = (uint64_t)d->nsector * SECTOR;
    ide_dma_begin(d, kind);
}
