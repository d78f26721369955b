/*
 * Commands of the floppy controller (Intel 82078 data sheet, 5): parameters and results go through fifo[0..].
 */
#include <string.h>
#include "hw/block/fdc-int.h"
#include "util/log.h"

enum { READ_ID_MS = 20 };   /* half a turn of the disk */

static void cmd_read(Fdc *s) { fdc_start_transfer(s, DIR_READ); }
static void cmd_write(Fdc *s) { fdc_start_transfer(s, DIR_WRITE); }
static void cmd_scan_equal(Fdc *s) { fdc_start_transfer(s, DIR_SCANE); }
static void cmd_scan_low(Fdc *s) { fdc_start_transfer(s, DIR_SCANL); }
static void cmd_scan_high(Fdc *s) { fdc_start_transfer(s, DIR_SCANH); }
static void cmd_verify(Fdc *s) { fdc_start_transfer(s, DIR_VERIFY); }

/* Deleted data marks are not kept on media: none is ever found, and none can be written. */
static void cmd_deleted(Fdc *s)
{
    s->status0 = s->status1 = 0;
    fdc_stop_transfer(s, SR0_ABNTERM | SR0_SEEK, SR1_MA, 0);
}

/* ---- Other commands ---- */

static void result(Fdc *s, unsigned n)
{
    fdc_to_result(s, n);
}

static void cmd_unknown(Fdc *s)
{
    log_guest("fdc: unknown command %#x\n", s->fifo[0]);
    s->fifo[0] = SR0_INVCMD;
    result(s, 1);
}

static void cmd_specify(Fdc *s)
{
    s->timer0 = s->fifo[1] >> 4 & 0x0f;
    s->timer1 = s->fifo[2] >> 1;
    if (s->fifo[2] & 1)
        s->dor &= ~DOR_DMAEN;
    else
        s->dor |= DOR_DMAEN;
    fdc_to_command(s);
}

static void cmd_sense_drive(Fdc *s)
{
    FloppyDrive *d;

    s->cur_drv = s->fifo[1] & DOR_SELMASK;
    d = fdc_drive(s);
    d->head = s->fifo[1] >> 2 & 1;
    s->fifo[0] = (d->ro ? 0x40 : 0) | (d->track ? 0 : 0x10) | d->head << 2 | s->cur_drv | 0x28;
    result(s, 1);
}

static void cmd_recalibrate(Fdc *s)
{
    s->cur_drv = s->fifo[1] & DOR_SELMASK;
    floppy_recalibrate(fdc_drive(s));
    fdc_to_command(s);
    s->status0 |= SR0_SEEK;
    fdc_raise_irq(s);
}

static void cmd_sense_interrupt(Fdc *s)
{
    FloppyDrive *d = fdc_drive(s);

    if (s->reset_sensei > 0) {
        /* After a reset each of four drives has its ready change to report. */
        s->fifo[0] = SR0_RDYCHG + 4 - s->reset_sensei;
        s->reset_sensei--;
    } else if (!(s->sra & SRA_INTPEND)) {
        s->fifo[0] = SR0_INVCMD;
        result(s, 1);
        return;
    } else {
        s->fifo[0] = (s->status0 & ~(SR0_HEAD | 3)) | s->cur_drv;
    }
    s->fifo[1] = d->track;
    result(s, 2);
    fdc_lower_irq(s);
    s->status0 = SR0_RDYCHG;
}

static void seek_to(Fdc *s, unsigned track)
{
    FloppyDrive *d = fdc_drive(s);

    fdc_to_command(s);
    floppy_seek(d, d->head, track, d->sect, true);
    s->status0 |= SR0_SEEK;
    fdc_raise_irq(s);
}

static void cmd_seek(Fdc *s)
{
    s->cur_drv = s->fifo[1] & DOR_SELMASK;
    seek_to(s, s->fifo[2]);
}

static void cmd_relative_seek_in(Fdc *s)
{
    s->cur_drv = s->fifo[1] & DOR_SELMASK;
    seek_to(s, MIN(fdc_drive(s)->track + s->fifo[2], MAX(fdc_drive(s)->max_track, 1) - 1));
}

static void cmd_relative_seek_out(Fdc *s)
{
    s->cur_drv = s->fifo[1] & DOR_SELMASK;
    seek_to(s, s->fifo[2] > fdc_drive(s)->track ? 0 : fdc_drive(s)->track - s->fifo[2]);
}

static void cmd_dumpreg(Fdc *s)
{
    FloppyDrive *d = fdc_drive(s);

    s->fifo[0] = s->drives[0].track;
    s->fifo[1] = s->drives[1].track;
    s->fifo[2] = s->fifo[3] = 0;
    s->fifo[4] = s->timer0;
    s->fifo[5] = s->timer1 << 1 | (s->dor & DOR_DMAEN ? 1 : 0);
    s->fifo[6] = d->last_sect;
    s->fifo[7] = s->lock << 7 | d->perpendicular << 2;
    s->fifo[8] = s->config;
    s->fifo[9] = s->precomp_trk;
    result(s, 10);
}

static void cmd_version(Fdc *s)
{
    s->fifo[0] = 0x90;                      /* 82077 and later */
    result(s, 1);
}

static void cmd_part_id(Fdc *s)
{
    s->fifo[0] = 0x41;
    result(s, 1);
}

static void cmd_perpendicular(Fdc *s)
{
    FloppyDrive *d = fdc_drive(s);

    if (s->fifo[1] & 0x80)
        d->perpendicular = s->fifo[1] & 7;
    fdc_to_command(s);
}

static void cmd_configure(Fdc *s)
{
    s->config = s->fifo[2];
    s->precomp_trk = s->fifo[3];
    fdc_to_command(s);
}

static void cmd_lock(Fdc *s)
{
    s->lock = s->fifo[0] >> 7;
    s->fifo[0] = s->lock << 4;
    result(s, 1);
}

static void cmd_powerdown(Fdc *s)
{
    s->pwrd = s->fifo[1];
    s->fifo[0] = s->fifo[1];
    result(s, 1);
}

static void cmd_option(Fdc *s)
{
    fdc_to_command(s);
}

static void cmd_drive_spec(Fdc *s)
{
    FloppyDrive *d = fdc_drive(s);

    if (s->fifo[s->data_pos - 1] & 0x80) {
        if (s->fifo[s->data_pos - 1] & 0x40) {
            s->fifo[0] = s->fifo[1];
            s->fifo[2] = s->fifo[3] = 0;
            result(s, 4);
        } else {
            fdc_to_command(s);
        }
    } else if (s->data_len > 7) {
        s->fifo[0] = 0x80 | d->head << 2 | s->cur_drv;
        result(s, 1);
    }
}

static void cmd_save(Fdc *s)
{
    FloppyDrive *d = fdc_drive(s);

    s->fifo[0] = s->fifo[1] = 0;
    s->fifo[2] = s->drives[0].track;
    s->fifo[3] = s->drives[1].track;
    s->fifo[4] = s->fifo[5] = 0;
    s->fifo[6] = s->timer0;
    s->fifo[7] = s->timer1;
    s->fifo[8] = d->last_sect;
    s->fifo[9] = s->lock << 7 | d->perpendicular << 2;
    s->fifo[10] = s->config;
    s->fifo[11] = s->precomp_trk;
    s->fifo[12] = s->pwrd;
    s->fifo[13] = s->fifo[14] = 0;
    result(s, 15);
}

static void cmd_restore(Fdc *s)
{
    FloppyDrive *d = fdc_drive(s);

    s->drives[0].track = s->fifo[3];
    s->drives[1].track = s->fifo[4];
    s->timer0 = s->fifo[7];
    s->timer1 = s->fifo[8];
    s->lock = s->fifo[10] >> 7;
    d->perpendicular = s->fifo[10] >> 2 & 0x0f;
    s->config = s->fifo[11];
    s->precomp_trk = s->fifo[12];
    s->pwrd = s->fifo[13];
    fdc_to_command(s);
}

/* READ ID: the position under the head, after a while. */
static void cmd_read_id(Fdc *s)
{
    s->cur_drv = s->fifo[1] & DOR_SELMASK;
    fdc_drive(s)->head = s->fifo[1] >> 2 & 1;
    s->phase = PHASE_EXECUTION;
    s->msr = (s->msr | MSR_CMDBUSY) & ~MSR_RQM;
    timer_arm(&s->result_timer, vm_now(&s->dev) + READ_ID_MS * 1000000ull);
}

void fdc_result_timer(void *opaque)
{
    Fdc *s = opaque;
    FloppyDrive *d = fdc_drive(s);

    if (d->last_sect)
        d->sect = d->sect % d->last_sect + 1;
    s->status0 = s->status1 = s->status2 = 0;
    if (!d->media_inserted || !fdc_rate_ok(s, d))
        fdc_stop_transfer(s, SR0_ABNTERM, SR1_MA, 0);
    else
        fdc_stop_transfer(s, 0, 0, 0);
}

/* FORMAT TRACK: four bytes a sector follow in a real drive; here the track is filled at once. */
static void cmd_format(Fdc *s)
{
    FloppyDrive *d;
    uint8_t filler = s->fifo[5], sectors = s->fifo[3];

    s->cur_drv = s->fifo[1] & DOR_SELMASK;
    d = fdc_drive(s);
    d->head = s->fifo[1] >> 2 & 1;
    s->status0 = s->status1 = s->status2 = 0;
    if (!d->blk || !d->media_inserted || d->ro || !d->last_sect || (d->head && !d->double_sided)) {
        fdc_stop_transfer(s, SR0_ABNTERM | SR0_SEEK, d->ro ? SR1_NW : SR1_MA, 0);
        return;
    }
    for (unsigned i = 1; i <= MIN(sectors, d->last_sect); i++) {
        d->sect = i;
        memset(s->fifo, filler, FD_SECTOR);
        if (fdc_write_sector(s, d) < 0) {
            fdc_stop_transfer(s, SR0_ABNTERM | SR0_SEEK, 0, 0);
            return;
        }
    }
    fdc_stop_transfer(s, 0, 0, 0);
}

/* ---- Dispatch ---- */

static const struct FdcCommand {
    uint8_t value, mask, params;
    void (*run)(Fdc *s);
} commands[] = {
    { 0x06, 0x1f, 8, cmd_read }, { 0x05, 0x3f, 8, cmd_write }, { 0x0f, 0xff, 2, cmd_seek },
    { 0x08, 0xff, 0, cmd_sense_interrupt }, { 0x07, 0xff, 1, cmd_recalibrate }, { 0x0d, 0xbf, 5, cmd_format },
    { 0x02, 0xbf, 8, cmd_read }, { 0x4e, 0xff, 17, cmd_restore }, { 0x2e, 0xff, 0, cmd_save },
    { 0x0c, 0x1f, 8, cmd_deleted }, { 0x11, 0x1f, 8, cmd_scan_equal }, { 0x16, 0x1f, 8, cmd_verify },
    { 0x19, 0x1f, 8, cmd_scan_low }, { 0x1d, 0x1f, 8, cmd_scan_high }, { 0x09, 0x3f, 8, cmd_deleted },
    { 0x0a, 0xbf, 1, cmd_read_id }, { 0x03, 0xff, 2, cmd_specify }, { 0x04, 0xff, 1, cmd_sense_drive },
    { 0x12, 0xff, 1, cmd_perpendicular }, { 0x13, 0xff, 3, cmd_configure }, { 0x17, 0xff, 1, cmd_powerdown },
    { 0x33, 0xff, 1, cmd_option }, { 0x8e, 0xff, 5, cmd_drive_spec }, { 0x8f, 0xff, 2, cmd_relative_seek_out },
    { 0xcf, 0xff, 2, cmd_relative_seek_in }, { 0x0e, 0xff, 0, cmd_dumpreg }, { 0x10, 0xff, 0, cmd_version },
    { 0x18, 0xff, 0, cmd_part_id }, { 0x14, 0x7f, 0, cmd_lock }, { 0x00, 0x00, 0, cmd_unknown },
};

static const struct FdcCommand *find_command(uint8_t v)
{
    const struct FdcCommand *c = commands;

    while ((v & c->mask) != c->value)
        c++;
    return c;
}

unsigned fdc_params(uint8_t cmd)
{
    return find_command(cmd)->params;
}

void fdc_run(Fdc *s)
{
    find_command(s->fifo[0])->run(s);
}
