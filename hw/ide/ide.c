/*
 * An IDE channel: the task file of two drives, PIO data transfers, reset, errors.
 *
 * ATA/ATAPI-6 (T13/1410D). Not modelled: overlapped and queued commands, power management, security.
 */
#include <errno.h>
#include <string.h>
#include "hw/ide/ide-int.h"
#include "util/log.h"
#include "util/loop.h"

/* ---- Interrupts, status ---- */

void ide_set_irq(IdeDrive *d)
{
    IdeChannel *c = d->chan;

    if (c->cmd & CTRL_NIEN)
        return;
    if (c->dma)
        c->dma->set_interrupt(c);
    line_set(&c->irq, 1);
}

void ide_abort(IdeDrive *d)
{
    ide_pio_stop(d);
    d->status = READY_STAT | ERR_STAT;
    d->error = ABRT_ERR;
}

void ide_set_signature(IdeDrive *d)
{
    d->select &= ~0x0f;
    d->nsector = 1;
    d->sector = 1;
    switch (d->kind) {
    case IDE_CD:
        d->lcyl = 0x14;
        d->hcyl = 0xeb;
        break;
    case IDE_HD:
        d->lcyl = d->hcyl = 0;
        break;
    case IDE_NONE:
        d->lcyl = d->hcyl = 0xff;
        break;
    }
}

/* ---- PIO ---- */

void ide_pio_start(IdeDrive *d, unsigned pos, unsigned len, IdeEnd end)
{
    d->data_pos = pos;
    d->data_len = pos + len;
    d->end_fn = end;
    d->pio = true;
    if (!(d->status & ERR_STAT))
        d->status |= DRQ_STAT;
}

void ide_pio_stop(IdeDrive *d)
{
    d->end_fn = END_STOP;
    d->data_pos = d->data_len = 0;
    d->pio = false;
    d->status &= ~DRQ_STAT;
}

static void pio_end(IdeDrive *d)
{
    d->status &= ~DRQ_STAT;
    d->pio = false;
    switch ((IdeEnd)d->end_fn) {
    case END_SECTOR_READ: ata_sector_read(d); break;
    case END_SECTOR_WRITE: ata_sector_write(d); break;
    case END_ATAPI_REPLY: atapi_reply_end(d); break;
    case END_ATAPI_CMD: atapi_packet(d); break;
    default: ide_pio_stop(d); break;
    }
}

/* Do the data move out of the drive? A transfer in the other direction is not touched by a read, and so on. */
static bool pio_is_read(const IdeDrive *d)
{
    return d->end_fn == END_SECTOR_READ || d->end_fn == END_STOP || d->end_fn == END_ATAPI_REPLY;
}

uint64_t ide_data_read(void *opaque, uint64_t off, unsigned size)
{
    IdeChannel *c = opaque;
    IdeDrive *d = ide_active(c);
    uint32_t v = 0;

    if (!(d->status & DRQ_STAT) || !d->pio || !pio_is_read(d))
        return 0;
    size = MIN((int)size, d->data_len - d->data_pos);
    memcpy(&v, d->io_buffer + d->data_pos, size);
    d->data_pos += size;
    if (d->data_pos >= d->data_len)
        pio_end(d);
    return v;
}

void ide_data_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    IdeChannel *c = opaque;
    IdeDrive *d = ide_active(c);

    if (!(d->status & DRQ_STAT) || !d->pio || pio_is_read(d))
        return;
    size = MIN((int)size, d->data_len - d->data_pos);
    memcpy(d->io_buffer + d->data_pos, &val, size);
    d->data_pos += size;
    if (d->data_pos >= d->data_len)
        pio_end(d);
}

/* ---- The task file ---- */

static bool present(const IdeChannel *c)
{
    const IdeDrive *d = &c->ifs[c->unit];

    return (c->ifs[0].kind || c->ifs[1].kind) && (d == c->ifs || d->kind);
}

static uint8_t read_status(IdeChannel *c)
{
    return present(c) ? ide_active(c)->status : 0;
}

uint64_t ide_reg_read(IdeChannel *c, unsigned reg)
{
    IdeDrive *d = ide_active(c);
    bool hob = c->cmd & CTRL_HOB;

    if (!c->ifs[0].kind && !c->ifs[1].kind)
        return reg == 6 ? d->select : 0;
    switch (reg) {
    case 1: return !present(c) ? 0 : hob ? d->hob_feature : d->error;
    case 2: return hob ? d->hob_nsector : d->nsector & 0xff;
    case 3: return hob ? d->hob_sector : d->sector;
    case 4: return hob ? d->hob_lcyl : d->lcyl;
    case 5: return hob ? d->hob_hcyl : d->hcyl;
    case 6: return d->select;
    default:
        line_set(&c->irq, 0);
        return read_status(c);
    }
}

uint64_t ide_alt_status(IdeChannel *c)
{
    return read_status(c);
}

/* Lists the bytes of the task file that a command starts from. */
static void task_file(IdeDrive *d, uint8_t *f, bool put)
{
    uint8_t *regs[] = { &d->feature, &d->sector, &d->lcyl, &d->hcyl, &d->hob_nsector, &d->hob_sector, &d->hob_lcyl, &d->hob_hcyl,
                        &d->select };

    for (unsigned i = 0; i < G_N_ELEMENTS(regs); i++) {
        if (put)
            *regs[i] = f[i];
        else
            f[i] = *regs[i];
    }
}

void ide_save_command(IdeDrive *d, uint8_t cmd)
{
    d->retry_cmd = cmd;
    d->retry_nsector = d->nsector;
    task_file(d, d->retry_file, false);
}

static void packet_device_reset(IdeDrive *d)
{
    ide_set_signature(d);
    d->status = 0;
    d->error = 1;
    ide_pio_stop(d);
}

static void command(IdeChannel *c, uint8_t cmd)
{
    IdeDrive *d = ide_active(c);

    if (d != c->ifs && !d->kind)
        return;
    if (!c->ifs[0].kind && !c->ifs[1].kind)
        return;
    if ((d->status & (BUSY_STAT | DRQ_STAT)) && !(cmd == 0x08 && d->kind == IDE_CD))
        return;
    if (!d->kind) {
        ide_abort(d);
        ide_set_irq(d);
        return;
    }
    if (d->req || d->dma) {
        if (d->req)
            return;
        d->dma = DMA_NONE;
    }
    d->pio = false;
    line_set(&c->irq, 0);
    ide_save_command(d, cmd);
    if (d->kind == IDE_CD && cmd == 0x08) {         /* DEVICE RESET */
        packet_device_reset(d);
        return;
    }
    ata_command(d, cmd);
}

void ide_reg_write(IdeChannel *c, unsigned reg, uint8_t val)
{
    if (reg != 7 && (ide_active(c)->status & (BUSY_STAT | DRQ_STAT)))
        return;
    if (reg != 6 && reg != 7)
        c->cmd &= ~CTRL_HOB;
    switch (reg) {
    case 1:
        for (int i = 0; i < 2; i++) {
            c->ifs[i].hob_feature = c->ifs[i].feature;
            c->ifs[i].feature = val;
        }
        break;
    case 2:
        for (int i = 0; i < 2; i++) {
            c->ifs[i].hob_nsector = c->ifs[i].nsector;
            c->ifs[i].nsector = val;
        }
        break;
    case 3:
        for (int i = 0; i < 2; i++) {
            c->ifs[i].hob_sector = c->ifs[i].sector;
            c->ifs[i].sector = val;
        }
        break;
    case 4:
        for (int i = 0; i < 2; i++) {
            c->ifs[i].hob_lcyl = c->ifs[i].lcyl;
            c->ifs[i].lcyl = val;
        }
        break;
    case 5:
        for (int i = 0; i < 2; i++) {
            c->ifs[i].hob_hcyl = c->ifs[i].hcyl;
            c->ifs[i].hcyl = val;
        }
        break;
    case 6:
        c->cmd &= ~CTRL_HOB;
        c->ifs[0].select = (val & ~DEV_UNIT) | DEV_ALWAYS;
        c->ifs[1].select = val | DEV_UNIT | DEV_ALWAYS;
        c->unit = val >> 4 & 1;
        break;
    case 7:
        c->cmd &= ~CTRL_HOB;
        command(c, val);
        break;
    }
}

static void cancel(IdeDrive *d)
{
    if (d->req)
        blk_aio_cancel(d->req);     /* its callback sees dma and pio gone, and does nothing more */
    d->req = NULL;
}

static void drive_reset(IdeDrive *d)
{
    d->dma = DMA_NONE;
    cancel(d);
    d->retry = false;
    d->mult_sectors = 16;
    d->feature = d->error = d->sector = d->lcyl = d->hcyl = d->hob_feature = d->hob_sector = d->hob_nsector = d->hob_lcyl =
        d->hob_hcyl = d->lba48 = 0;
    d->nsector = 0;
    d->select = DEV_ALWAYS | (d == &d->chan->ifs[1] ? DEV_UNIT : 0);
    d->status = READY_STAT | SEEK_STAT;
    ide_pio_stop(d);
    atapi_reset(d);
    ide_set_signature(d);
    d->error = 1;
}

void ide_control_write(IdeChannel *c, uint8_t val)
{
    if (!(c->cmd & CTRL_SRST) && (val & CTRL_SRST)) {
        for (int i = 0; i < 2; i++) {
            cancel(&c->ifs[i]);
            c->ifs[i].dma = DMA_NONE;
            ide_pio_stop(&c->ifs[i]);
            c->ifs[i].status = BUSY_STAT | SEEK_STAT;
            c->ifs[i].error = 1;
        }
    } else if ((c->cmd & CTRL_SRST) && !(val & CTRL_SRST)) {
        for (int i = 0; i < 2; i++) {
            c->ifs[i].status = c->ifs[i].kind == IDE_CD ? 0 : READY_STAT | SEEK_STAT;
            ide_set_signature(&c->ifs[i]);
            c->ifs[i].select = DEV_ALWAYS | (i ? DEV_UNIT : 0);
        }
        c->unit = 0;
    }
    c->cmd = val;
}

/* ---- Errors and pausing ---- */

enum { RETRY_DMA = 0x08, RETRY_PIO = 0x10, RETRY_READ = 0x20, RETRY_FLUSH = 0x40, RETRY_TRIM = 0x80 };

static void note_retry(IdeDrive *d, bool is_read)
{
    IdeChannel *c = d->chan;

    d->retry = true;
    c->retry_unit = d == &c->ifs[1];
    c->retry_sector_num = ata_get_sector(d);
    c->retry_nsector = d->nsector;
    c->error_status = (d->dma == DMA_TRIM ? RETRY_TRIM : d->dma ? RETRY_DMA : RETRY_PIO) | (is_read ? RETRY_READ : 0);
}

bool ide_rw_error(IdeDrive *d, int error, bool is_read, bool *ignored)
{
    BlkOnError action = blk_error_action(d->blk, is_read, error);

    *ignored = action == BLK_ERR_IGNORE;
    if (action == BLK_ERR_STOP)
        note_retry(d, is_read);
    return action == BLK_ERR_REPORT;
}

/* A PIO transfer goes on with the block that failed, which is still in io_buffer; a DMA transfer starts anew. */
static void retry_drive(IdeDrive *d)
{
    IdeChannel *c = d->chan;
    int what = c->error_status;

    d->retry = false;
    c->error_status = 0;
    if (d->kind == IDE_CD) {
        atapi_retry(d);
    } else if ((what & RETRY_PIO) && d->end_fn != END_STOP) {
        if (what & RETRY_READ)
            ata_sector_read(d);
        else
            ata_sector_write(d);
    } else {
        task_file(d, d->retry_file, true);
        d->nsector = d->retry_nsector;
        d->status = READY_STAT | SEEK_STAT;
        d->dma = DMA_NONE;
        if (c->dma)
            c->dma->restart_table(c);
        ata_command(d, d->retry_cmd);
    }
}

static void retry(void *opaque)
{
    IdeChannel *c = opaque;

    for (int i = 0; i < 2; i++)
        if (c->ifs[i].retry && !c->ifs[i].req)
            retry_drive(&c->ifs[i]);
}

void ide_run_state(IdeChannel *c, bool running)
{
    if (running && (c->ifs[0].retry || c->ifs[1].retry))
        bh_schedule(c->bh);
}

bool ide_drain(IdeChannel *c)
{
    return !c->ifs[0].req && !c->ifs[1].req;
}

void ide_dma_begin(IdeDrive *d, IdeDma kind)
{
    d->dma = kind;
    d->dma_short = false;
    d->dma_buf_pos = 0;
    if (!d->chan->dma) {
        d->dma = DMA_NONE;
        ide_abort(d);
        ide_set_irq(d);
        return;
    }
    if (d->chan->dma->started(d->chan)) {
        if (kind == DMA_ATAPI)
            atapi_dma_run(d);
        else
            ata_dma_run(d);
    }
}

unsigned ide_map_piece(IdeDrive *d, size_t max, size_t *bytes, bool to_memory)
{
    unsigned n = 0;

    for (*bytes = 0; n < IDE_MAX_IOV && *bytes < max;) {
        uint64_t guest;
        size_t len;
        void *host = d->chan->dma->next(d->chan, max - *bytes, &len, &guest, to_memory);

        if (!len) {
            d->dma_short = true;
            break;
        }
        if (!host) {
            len = MIN(len, (size_t)IDE_BUF_SIZE);
            host = d->io_buffer;
            if (!to_memory)
                memset(host, 0xff, len);
        }
        d->iov[n++] = (struct iovec){ host, len };
        *bytes += len;
    }
    d->iov_used = n;
    d->iov_to_memory = to_memory;
    return n;
}

void ide_unmap_piece(IdeDrive *d)
{
    for (unsigned i = 0; i < d->iov_used; i++)
        if (d->iov[i].iov_base != d->io_buffer)
            d->chan->dma->unmap(d->chan, d->iov[i].iov_base, d->iov[i].iov_len, d->iov_to_memory);
    d->iov_used = 0;
}

/* ---- Life ---- */

static char *ide_fw_path(Device *d)
{
    IdeBus *b = (IdeBus *)(void *)d->bus;
    unsigned unit = b->chan->ifs[1].dev == d;

    return g_strdup_printf("drive@%u/disk@%u", b->chan->number, unit);
}

const BusType ide_bus_type = { .name = "IDE", .size = sizeof(IdeBus), .fw_path = ide_fw_path };

void ide_channel_init(IdeChannel *c, Device *ctl, unsigned number)
{
    g_autofree char *name = g_strdup_printf("ide.%u", number);

    c->ctl = ctl;
    c->number = number;
    c->bus = bus_new(&ide_bus_type, ctl, name);
    c->bus->max_devices = 2;
    ((IdeBus *)(void *)c->bus)->chan = c;
    c->bh = bh_new(retry, c);
    for (int i = 0; i < 2; i++)
        c->ifs[i].chan = c;
    ide_channel_reset(c);
}

void ide_channel_fini(IdeChannel *c)
{
    bh_free(c->bh);
    c->bh = NULL;
}

void ide_channel_reset(IdeChannel *c)
{
    c->unit = 0;
    c->cmd = 0;
    c->error_status = 0;
    for (int i = 0; i < 2; i++)
        drive_reset(&c->ifs[i]);
}
