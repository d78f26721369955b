/*
 * The floppy controller's data: sectors by DMA, or byte by byte through the FIFO (Intel 82078 data sheet, 5.1 and 6).
 */
#include <string.h>
#include "hw/block/fdc-int.h"
#include "hw/isa/isa.h"

/* ---- The end of a transfer ---- */

static void set_position(Fdc *s, uint8_t *f)
{
    FloppyDrive *d = fdc_drive(s);

    f[3] = d->track;
    f[4] = d->head;
    f[5] = d->sect;
}

void fdc_stop_transfer(Fdc *s, uint8_t status0, uint8_t status1, uint8_t status2)
{
    FloppyDrive *d = fdc_drive(s);

    s->status0 = (s->status0 & ~(SR0_DS0 | 3 | SR0_HEAD)) | s->cur_drv | status0;
    if (d->head)
        s->status0 |= SR0_HEAD;
    s->status1 |= status1;
    s->status2 |= status2;
    s->fifo[0] = s->status0;
    s->fifo[1] = s->status1;
    s->fifo[2] = s->status2;
    set_position(s, s->fifo);
    s->fifo[6] = 2;                         /* 512 bytes a sector */
    s->data_dir = DIR_READ;
    if (s->dma_chan < 8)
        isa_dma_release_dreq(&s->dev, s->dma_chan);
    s->msr |= MSR_RQM | MSR_DIO;
    s->msr &= ~MSR_NONDMA;
    fdc_to_result(s, 7);
    fdc_raise_irq(s);
}

/* To the next sector; false: the command's last one is done. */
static bool next_sector(Fdc *s, FloppyDrive *d)
{
    uint8_t head = d->head, track = d->track, sect = d->sect;
    bool more = true;

    if (sect < d->last_sect && sect != s->eot) {
        sect++;
    } else {
        sect = 1;
        if (s->data_state & STATE_MULTI) {
            if (!head && d->double_sided) {
                head = 1;
            } else {
                head = 0;
                track++;
                s->status0 |= SR0_SEEK;
                more = d->double_sided;
            }
        } else {
            s->status0 |= SR0_SEEK;
            track++;
            more = false;
        }
        if (!more && !(s->data_state & STATE_MULTI))
            s->status0 &= ~SR0_SEEK;
    }
    floppy_seek(d, head, track, sect, true);
    return more;
}

bool fdc_rate_ok(const Fdc *s, const FloppyDrive *d)
{
    return (s->dsr & DSR_RATEMASK) == d->media_rate || !d->media_inserted;
}

/* ---- Sectors ---- */

static int read_sector(Fdc *s, FloppyDrive *d)
{
    int r = blk_pread(d->blk, (int64_t)floppy_sector(d) * FD_SECTOR, s->fifo, FD_SECTOR);

    if (r < 0)
        memset(s->fifo, 0, FD_SECTOR);
    return r;
}

int fdc_write_sector(Fdc *s, FloppyDrive *d)
{
    return blk_pwrite(d->blk, (int64_t)floppy_sector(d) * FD_SECTOR, s->fifo, FD_SECTOR, 0);
}

/* One piece of a DMA transfer, at most to the end of a sector; false: the command is over. */
static bool dma_piece(Fdc *s, FloppyDrive *d, unsigned channel, int pos, int len, bool *ended)
{
    unsigned at = s->data_pos % FD_SECTOR;
    uint8_t buf[FD_SECTOR];

    *ended = false;
    switch (s->data_dir) {
    case DIR_READ:
        if (!at && read_sector(s, d) < 0) {
            fdc_stop_transfer(s, SR0_ABNTERM, SR1_MA, 0);
            return false;
        }
        isa_dma_write_memory(&s->dev, channel, s->fifo + at, pos, len);
        break;
    case DIR_WRITE:
        if (d->ro) {
            fdc_stop_transfer(s, SR0_ABNTERM | SR0_SEEK, SR1_NW, 0);
            return false;
        }
        isa_dma_read_memory(&s->dev, channel, s->fifo + at, pos, len);
        if (at + len == FD_SECTOR && fdc_write_sector(s, d) < 0) {
            fdc_stop_transfer(s, SR0_ABNTERM | SR0_SEEK, 0, 0);
            return false;
        }
        break;
    case DIR_VERIFY:
        if (!at && read_sector(s, d) < 0) {
            fdc_stop_transfer(s, SR0_ABNTERM, SR1_MA, 0);
            return false;
        }
        break;
    default:                                /* scans */
        if (!at && read_sector(s, d) < 0) {
            fdc_stop_transfer(s, SR0_ABNTERM, SR1_MA, 0);
            return false;
        }
        isa_dma_read_memory(&s->dev, channel, buf, pos, len);
        {
            int c = memcmp(buf, s->fifo + at, len);

            if (!c) {
                s->status2 |= SR2_SEH;
                *ended = true;
            } else if ((c < 0 && s->data_dir == DIR_SCANL) || (c > 0 && s->data_dir == DIR_SCANH)) {
                s->status2 = 0;
                *ended = true;
            }
        }
        break;
    }
    return true;
}

int fdc_dma(void *opaque, unsigned channel, int pos, int len)
{
    Fdc *s = opaque;
    FloppyDrive *d = fdc_drive(s);
    bool ended = false;
    int start = pos;

    if (s->msr & MSR_RQM)                   /* not in execution by DMA */
        return 0;
    if (!d->blk || !d->media_inserted) {
        fdc_stop_transfer(s, SR0_ABNTERM, s->data_dir == DIR_WRITE ? 0 : SR1_MA, 0);
        return 0;
    }
    if (len > (int)s->data_len)
        len = s->data_len;
    while (pos < len && !ended) {
        int n = MIN(len - pos, (int)(FD_SECTOR - s->data_pos % FD_SECTOR));

        if (!dma_piece(s, d, channel, pos, n, &ended))
            return pos - start;
        s->data_pos += n;
        pos += n;
        if (s->data_pos % FD_SECTOR == 0 && !next_sector(s, d))
            break;
    }
    if (!ended && (s->data_dir >= DIR_SCANE && s->data_dir <= DIR_SCANH))
        s->status2 = SR2_SNS;
    fdc_stop_transfer(s, 0, 0, 0);
    return pos;
}

/* ---- Starting a transfer ---- */

static bool seek_for(Fdc *s, FloppyDrive *d, unsigned head, unsigned track, unsigned sect)
{
    FloppySeek r = floppy_seek(d, head, track, sect, s->config & CONFIG_EIS);

    switch (r) {
    case FLOPPY_NO_TRACK: fdc_stop_transfer(s, SR0_ABNTERM, SR1_MA, 0); break;
    case FLOPPY_NO_SECTOR: fdc_stop_transfer(s, SR0_ABNTERM, SR1_EC, 0); break;
    case FLOPPY_NO_DISK: fdc_stop_transfer(s, SR0_ABNTERM, SR1_MA, 0); break;
    case FLOPPY_TRACK_CHANGED: s->status0 |= SR0_SEEK; return true;
    case FLOPPY_OK: return true;
    }
    s->fifo[3] = track;
    s->fifo[4] = head;
    s->fifo[5] = sect;
    return false;
}

void fdc_start_transfer(Fdc *s, uint8_t dir)
{
    FloppyDrive *d;
    unsigned track = s->fifo[2], head = s->fifo[3], sect = s->fifo[4];

    s->cur_drv = s->fifo[1] & DOR_SELMASK;
    d = fdc_drive(s);
    s->status0 = s->status1 = s->status2 = 0;
    s->data_state = s->fifo[0] & 0x80 ? STATE_MULTI : 0;
    s->eot = s->fifo[6];
    if (!seek_for(s, d, head & 1, track, sect))
        return;
    if (!fdc_rate_ok(s, d)) {
        fdc_stop_transfer(s, SR0_ABNTERM, SR1_MA, 0);
        s->fifo[3] = track;
        s->fifo[4] = head;
        s->fifo[5] = sect;
        return;
    }
    s->data_dir = dir;
    s->data_pos = 0;
    s->msr |= MSR_CMDBUSY;
    if (!s->fifo[5]) {
        s->data_len = s->fifo[8];
    } else {
        int sectors = s->fifo[6] - sect + 1;

        if (s->fifo[0] & 0x80)
            sectors += s->fifo[6];
        s->data_len = (128u << MIN(s->fifo[5], 7)) * MAX(sectors, 1);
    }
    s->phase = PHASE_EXECUTION;
    if ((s->dor & DOR_DMAEN) && s->dma_chan < 8) {
        s->msr &= ~MSR_RQM;
        if (dir == DIR_VERIFY) {
            /* Nothing goes to memory: the end comes at once. */
            fdc_dma(s, s->dma_chan, 0, s->data_len);
        } else {
            isa_dma_hold_dreq(&s->dev, s->dma_chan);
            isa_dma_schedule(&s->dev, s->dma_chan);
        }
        return;
    }
    s->msr |= MSR_NONDMA | MSR_RQM;
    if (dir != DIR_WRITE)
        s->msr |= MSR_DIO;
    fdc_raise_irq(s);
}

/* ---- The FIFO ---- */

uint32_t fdc_fifo_read(Fdc *s)
{
    FloppyDrive *d = fdc_drive(s);
    unsigned at;
    uint8_t v;

    s->dsr &= ~DSR_PWRDOWN;
    if (!(s->msr & MSR_RQM) || !(s->msr & MSR_DIO))
        return 0;
    at = s->data_pos % FD_SECTOR;
    if (s->phase == PHASE_EXECUTION) {
        if (!at) {
            if (s->data_pos && !next_sector(s, d))
                return 0;
            if (!d->blk || read_sector(s, d) < 0)
                memset(s->fifo, 0, FD_SECTOR);
        }
        v = s->fifo[at];
        if (++s->data_pos == s->data_len) {
            s->msr &= ~MSR_RQM;
            fdc_stop_transfer(s, 0, 0, 0);
        }
        return v;
    }
    v = s->fifo[at];
    if (++s->data_pos >= s->data_len) {
        fdc_to_command(s);
        fdc_lower_irq(s);
    }
    return v;
}

static void write_data(Fdc *s, uint8_t val)
{
    FloppyDrive *d = fdc_drive(s);

    s->fifo[s->data_pos++ % FD_SECTOR] = val;
    if (s->data_pos % FD_SECTOR == 0 || s->data_pos == s->data_len) {
        if (!d->blk || d->ro || fdc_write_sector(s, d) < 0) {
            fdc_stop_transfer(s, SR0_ABNTERM | SR0_SEEK, d->ro ? SR1_NW : 0, 0);
            return;
        }
        if (!next_sector(s, d) && s->data_pos < s->data_len)
            s->data_len = s->data_pos;
    }
    if (s->data_pos >= s->data_len) {
        s->msr &= ~MSR_RQM;
        fdc_stop_transfer(s, 0, 0, 0);
    }
}

void fdc_fifo_write(Fdc *s, uint8_t val)
{
    if (!(s->dor & DOR_nRESET))
        return;
    if (!(s->msr & MSR_RQM) || (s->msr & MSR_DIO))
        return;
    s->dsr &= ~DSR_PWRDOWN;
    if (s->phase == PHASE_EXECUTION) {
        write_data(s, val);
        return;
    }
    if (s->data_pos == 0) {
        s->data_len = fdc_params(val) + 1;
        s->msr |= MSR_CMDBUSY;
    }
    s->fifo[s->data_pos++ % FD_SECTOR] = val;
    if (s->data_pos >= s->data_len)
        fdc_run(s);
}
