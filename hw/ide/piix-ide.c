/*
 * The IDE function of the PIIX3 (01.1): two channels at the legacy ports, and their bus masters in BAR 4.
 *
 * Intel 82371SB (PIIX3) data sheet, 2.3 and 2.7; SFF-8038i for the bus master. Timing registers are stored and do nothing.
 */
#include <string.h>
#include "hw/core/runstate.h"
#include "hw/ide/ide-int.h"
#include "hw/isa/isa.h"
#include "hw/pci/pci.h"

enum { BM_CMD_START = 0x01, BM_CMD_TO_MEMORY = 0x08 };
enum { BM_STATUS_ACTIVE = 0x01, BM_STATUS_ERROR = 0x02, BM_STATUS_INT = 0x04, BM_STATUS_DRIVES = 0x60 };

typedef struct BusMaster {
    /* guest state */
    uint8_t cmd, status;
    uint32_t addr;                  /* of the PRD table */
    uint32_t cur_addr, cur_prd_last, cur_prd_addr, cur_prd_len; /* where a transfer is: the rest of the entry; the next one */
    int64_t retry_sector_num;       /* only for streams of old */
    uint32_t retry_nsector;
    uint8_t retry_unit;
} BusMaster;

typedef struct PiixIde {
    PciDevice pci;
    BusMaster bm[2];
    IdeChannel chan[2];
    Region bar, bm_io[2], addr_io[2];
    Region ports[2], ctrl[2];
} PiixIde;

static PiixIde *owner_of(IdeChannel *c)
{
    return DEVICE(c->ctl, PiixIde);
}

static BusMaster *master_of(IdeChannel *c)
{
    return &owner_of(c)->bm[c->number];
}

/* ---- The PRD table ---- */

static bool dma_started(IdeChannel *c)
{
    return master_of(c)->cmd & BM_CMD_START;
}

static void dma_restart(IdeChannel *c)
{
    BusMaster *b = master_of(c);

    b->cur_addr = b->addr;
    b->cur_prd_last = b->cur_prd_addr = b->cur_prd_len = 0;
}

static void *dma_next(IdeChannel *c, size_t max, size_t *len, uint64_t *guest, bool to_memory)
{
    BusMaster *b = master_of(c);
    PiixIde *s = owner_of(c);
    void *host;

    *len = 0;
    if (!b->cur_prd_len) {
        uint32_t prd[2];

        /* A table runs to its last entry, and no further than 4 KiB: a page. */
        if (b->cur_prd_last || b->cur_addr - b->addr >= 4096)
            return NULL;
        if (!pci_dma_read(&s->pci, b->cur_addr, prd, sizeof prd))
            return NULL;
        b->cur_addr += 8;
        b->cur_prd_addr = GUINT32_FROM_LE(prd[0]);
        b->cur_prd_len = GUINT32_FROM_LE(prd[1]) & 0xfffe;
        if (!b->cur_prd_len)
            b->cur_prd_len = 0x10000;
        b->cur_prd_last = GUINT32_FROM_LE(prd[1]) >> 31;
    }
    *len = MIN(max, b->cur_prd_len);
    *guest = b->cur_prd_addr;
    host = pci_dma_map(&s->pci, b->cur_prd_addr, len, to_memory);
    b->cur_prd_addr += *len;
    b->cur_prd_len -= *len;
    return host;
}

static void dma_unmap_piece(IdeChannel *c, void *host, size_t len, bool to_memory)
{
    pci_dma_unmap(&owner_of(c)->pci, host, len, to_memory);
}

static void dma_interrupt(IdeChannel *c)
{
    master_of(c)->status |= BM_STATUS_INT;
}

static void dma_over(IdeChannel *c, bool more)
{
    BusMaster *b = master_of(c);

    if (!more || (!b->cur_prd_len && b->cur_prd_last))
        b->status &= ~BM_STATUS_ACTIVE;
}

static const IdeDmaOps bm_ops = {
    .started = dma_started, .next = dma_next, .unmap = dma_unmap_piece, .restart_table = dma_restart,
    .set_interrupt = dma_interrupt, .done = dma_over,
};

/* ---- Bus master registers ---- */

static void run_waiting(IdeChannel *c)
{
    for (int i = 0; i < 2; i++) {
        IdeDrive *d = &c->ifs[i];

        if (!d->dma || d->req)
            continue;
        if (d->dma == DMA_ATAPI)
            atapi_dma_run(d);
        else
            ata_dma_run(d);
        return;
    }
}

static void cmd_write(PiixIde *s, unsigned n, uint8_t val)
{
    BusMaster *b = &s->bm[n];
    IdeChannel *c = &s->chan[n];

    if ((val ^ b->cmd) & BM_CMD_START) {
        if (!(val & BM_CMD_START)) {
            /* Stopping in the middle of a transfer: what is in flight ends first. */
            for (int i = 0; i < 2; i++) {
                IdeDrive *d = &c->ifs[i];

                if (d->req && d->dma)
                    blk_aio_cancel(d->req);
                if (d->dma)
                    d->dma = DMA_NONE;
            }
            b->status &= ~BM_STATUS_ACTIVE;
        } else {
            dma_restart(c);
            b->cmd = val & (BM_CMD_START | BM_CMD_TO_MEMORY);
            b->status |= BM_STATUS_ACTIVE;
            run_waiting(c);
        }
    }
    b->cmd = val & (BM_CMD_START | BM_CMD_TO_MEMORY);
}

static uint64_t bm_read(void *opaque, uint64_t off, unsigned size)
{
    IdeChannel *c = opaque;
    BusMaster *b = master_of(c);

    switch (off) {
    case 0: return b->cmd;
    case 2: return b->status;
    default: return 0xff;
    }
}

static void bm_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    IdeChannel *c = opaque;
    BusMaster *b = master_of(c);

    switch (off) {
    case 0:
        cmd_write(owner_of(c), c->number, val);
        break;
    case 2:
        b->status = (val & BM_STATUS_DRIVES) | (b->status & BM_STATUS_ACTIVE) |
                    (b->status & ~val & (BM_STATUS_ERROR | BM_STATUS_INT));
        break;
    }
}

static uint64_t addr_read(void *opaque, uint64_t off, unsigned size)
{
    return master_of(opaque)->addr >> (8 * off);
}

static void addr_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    BusMaster *b = master_of(opaque);
    uint32_t mask = (size == 4 ? ~0u : (1u << (8 * size)) - 1) << (8 * off);

    b->addr = ((b->addr & ~mask) | ((uint32_t)val << (8 * off) & mask)) & ~3u;
}

static const RegionOps bm_ops_io = { .read = bm_read, .write = bm_write, .min = 1, .max = 1 };
static const RegionOps addr_ops = { .read = addr_read, .write = addr_write, .min = 1, .max = 4 };

/* ---- Legacy ports ---- */

/* Port 0 is 8, 16 or 32 bits of data; the others are bytes, and a wide access to them is as many byte accesses. */
static uint64_t port_read(void *opaque, uint64_t off, unsigned size)
{
    uint64_t v = 0;

    if (!off)
        return ide_data_read(opaque, 0, size);
    for (unsigned i = 0; i < size && off + i < 8; i++)
        v |= ide_reg_read(opaque, off + i) << (8 * i);
    return v;
}

static void port_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    if (!off) {
        ide_data_write(opaque, 0, val, size);
        return;
    }
    for (unsigned i = 0; i < size && off + i < 8; i++)
        ide_reg_write(opaque, off + i, val >> (8 * i));
}

static uint64_t ctrl_read(void *opaque, uint64_t off, unsigned size)
{
    return ide_alt_status(opaque);
}

static void ctrl_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    ide_control_write(opaque, val);
}

static const RegionOps port_ops = { .read = port_read, .write = port_write, .min = 1, .max = 4, .unaligned = true };
static const RegionOps ctrl_ops = { .read = ctrl_read, .write = ctrl_write, .min = 1, .max = 1 };

/* ---- State ---- */

static bool in_transfer(const void *obj)
{
    const BusMaster *b = obj;

    return b->cur_prd_len != 0;
}

static bool status_apart(const void *obj)
{
    const BusMaster *b = obj;

    return b->status & BM_STATUS_INT;
}

/* Without the retry bits that old streams kept in the status' spare bits. */
static uint64_t get_status(const void *obj)
{
    return ((const BusMaster *)obj)->status;
}

static bool set_status(void *obj, uint64_t v, GError **err)
{
    ((BusMaster *)obj)->status = v & (BM_STATUS_DRIVES | BM_STATUS_ACTIVE | BM_STATUS_ERROR | BM_STATUS_INT);
    return true;
}

static const Field bm_current_fields[] = {
    FIELD(BusMaster, cur_addr), FIELD(BusMaster, cur_prd_last), FIELD(BusMaster, cur_prd_addr),
    FIELD(BusMaster, cur_prd_len, .max = 0x10000), { 0 }
};
static const StateTable bm_current = { .name = "ide bmdma_current", .version = 1, .min_version = 1, .fields = bm_current_fields,
                                       .needed = in_transfer };
static const Field bm_status_fields[] = { FIELD(BusMaster, status), { 0 } };
static const StateTable bm_status = { .name = "ide bmdma/status", .version = 1, .min_version = 1, .fields = bm_status_fields,
                                      .needed = status_apart };
static const Field bm_fields[] = {
    FIELD(BusMaster, cmd), VIRTUAL("migration_compat_status", 1, .get = get_status, .set = set_status),
    FIELD(BusMaster, addr, .keep = true), FIELD(BusMaster, retry_sector_num, .name = "migration_retry_sector_num"),
    FIELD(BusMaster, retry_nsector, .name = "migration_retry_nsector"),
    FIELD(BusMaster, retry_unit, .name = "migration_retry_unit"), { 0 }
};
static const StateTable bm_state = {
    .name = "ide bmdma", .version = 3, .min_version = 0, .fields = bm_fields,
    .subsections = (const StateTable *const[]){ &bm_current, &bm_status, NULL },
};

static const Field piix_ide_fields[] = {
    PCI_STATE(PiixIde, pci), STRUCTS(PiixIde, bm, &bm_state, .name = "bmdma"),
    STRUCTS(PiixIde, chan, &ide_channel_state, .name = "bus"),
    STRUCTS(PiixIde, chan[0].ifs, &ide_drive_state, .name = "bus[0].ifs"),
    STRUCTS(PiixIde, chan[1].ifs, &ide_drive_state, .name = "bus[1].ifs"),
    HOST(PiixIde, bar), HOST(PiixIde, bm_io), HOST(PiixIde, addr_io), HOST(PiixIde, ports),
    HOST(PiixIde, ctrl), { 0 }
};
static const StateTable piix_ide_state = { .name = "ide", .version = 3, .min_version = 0, .fields = piix_ide_fields };

/* ---- Life ---- */

static void run_state(void *opaque, bool running, RunState st)
{
    PiixIde *s = opaque;

    for (int i = 0; i < 2; i++)
        ide_run_state(&s->chan[i], running);
}

static void map_bus_master(PiixIde *s, unsigned n)
{
    static const char *const names[2][2] = { { "piix-bmdma", "bmdma" }, { "piix-bmdma", "bmdma" } };

    region_init_io(&s->bm_io[n], &s->pci.dev, names[n][0], 4, &bm_ops_io, &s->chan[n]);
    region_add(&s->bar, n * 8, &s->bm_io[n]);
    region_init_io(&s->addr_io[n], &s->pci.dev, names[n][1], 4, &addr_ops, &s->chan[n]);
    region_add(&s->bar, n * 8 + 4, &s->addr_io[n]);
}

static bool map_channel(PiixIde *s, unsigned n, GError **err)
{
    static const struct { uint16_t base, ctrl; unsigned irq; } legacy[2] = { { 0x1f0, 0x3f6, 14 }, { 0x170, 0x376, 15 } };
    Device *d = &s->pci.dev;
    IsaBus *isa = isa_root(d->machine);
    IdeChannel *c = &s->chan[n];

    if (!isa)
        return true;
    ide_channel_init(c, d, n);
    c->dma = &bm_ops;
    region_init_io(&s->ports[n], d, "ide", 8, &port_ops, c);
    region_init_io(&s->ctrl[n], d, "ide", 1, &ctrl_ops, c);
    region_add(isa->io, legacy[n].base, &s->ports[n]);
    region_add(isa->io, legacy[n].ctrl, &s->ctrl[n]);
    line_connect(&c->irq, isa_bus_irq, isa, legacy[n].irq);
    return true;
}

static bool piix_ide_realize(Device *d, GError **err)
{
    PiixIde *s = DEVICE(d, PiixIde);

    s->pci.config[PCI_CLASS_PROG] = 0x80;       /* bus master */
    region_init(&s->bar, d, "piix-bmdma-container", 16);
    for (unsigned n = 0; n < 2; n++) {
        if (!map_channel(s, n, err))
            return false;
        map_bus_master(s, n);
    }
    pci_register_bar(&s->pci, 4, PCI_BAR_IO, &s->bar);
    machine_observe_state(d->machine, run_state, s);
    return true;
}

static void piix_ide_unrealize(Device *d)
{
    PiixIde *s = DEVICE(d, PiixIde);

    machine_unobserve_state(d->machine, run_state, s);
    for (unsigned n = 0; n < 2; n++) {
        ide_channel_fini(&s->chan[n]);
        region_fini(&s->ports[n]);
        region_fini(&s->ctrl[n]);
        region_fini(&s->bm_io[n]);
        region_fini(&s->addr_io[n]);
    }
    region_fini(&s->bar);
}

static void piix_ide_reset(Device *d)
{
    PiixIde *s = DEVICE(d, PiixIde);

    for (unsigned n = 0; n < 2; n++)
        ide_channel_reset(&s->chan[n]);
    pci_set16(s->pci.config + PCI_STATUS, PCI_STATUS_DEVSEL_MEDIUM | PCI_STATUS_FAST_BACK);
    /* IDETIM: both channels decode their ports, as the firmware would set them up. */
    pci_set16(s->pci.config + 0x40, 0x8000);
    pci_set16(s->pci.config + 0x42, 0x8000);
}

static bool piix_ide_drain(Device *d)
{
    PiixIde *s = DEVICE(d, PiixIde);

    return ide_drain(&s->chan[0]) && ide_drain(&s->chan[1]);
}

static const PciClass piix3_ide_class = { .vendor = 0x8086, .device = 0x7010, .class_id = 0x0101, .prog_if = 0x80 };

const DeviceType piix3_ide_type = {
    .name = "piix3-ide", .bus = "PCI", .parent = &pci_device_type, .category = CAT_STORAGE, .size = sizeof(PiixIde),
    .state = &piix_ide_state, .class_data = &piix3_ide_class, .realize = piix_ide_realize, .unrealize = piix_ide_unrealize,
    .reset = piix_ide_reset, .drain = piix_ide_drain,
};

bool ide_geometry(Device *controller, unsigned unit, uint32_t *cyls, uint32_t *heads, uint32_t *secs, BiosTranslation *trans)
{
    const IdeDrive *d = &DEVICE(controller, PiixIde)->chan[unit / 2].ifs[unit % 2];

    if (d->kind != IDE_HD)
        return false;
    *cyls = d->cyls;
    *heads = d->heads;
    *secs = d->secs;
    *trans = d->trans;
    return true;
}
