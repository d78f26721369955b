/*
 * Between the files of IDE: a channel with its two drives, as ATA/ATAPI-6 (T13/1410D) describes them.
 *
 *   ide.c     the task file, data transfers ide-state.c the state tables
 *   ata.c     commands of hard disks        ata-dma.c   their DMA transfers, TRIM
 *   identify.c  IDENTIFY (PACKET) DEVICE data
 *   atapi.c   the packet protocol           mmc.c       packet commands of CD drives
 *   piix-ide.c  the PCI function and its bus masters
 *   drive.c   the device types ide-hd and ide-cd
 *
 * A command is in one of these phases; status bits follow from it:
 *   idle -> (PIO in/out: DRQ, the guest moves data through the data port) -> idle
 *   idle -> (busy: BSY, a request is in flight; its completion goes on) -> PIO or idle
 *   idle -> (DMA: waits for the bus master's start bit, then in flight, piece by piece) -> idle
 */
#ifndef HW_IDE_IDE_INT_H
#define HW_IDE_IDE_INT_H
#include "hw/ide/ide.h"
#include "util/loop.h"

enum { /* status */
    ERR_STAT = 0x01, INDEX_STAT = 0x02, DRQ_STAT = 0x08, SEEK_STAT = 0x10, FAULT_STAT = 0x20, READY_STAT = 0x40, BUSY_STAT = 0x80 };
enum { /* error */
    ILI_ERR = 0x01, EOM_ERR = 0x02, ABRT_ERR = 0x04, MC_ERR = 0x20, ICRC_ERR = 0x80 };
enum { /* device control */
    CTRL_NIEN = 0x02, CTRL_SRST = 0x04, CTRL_HOB = 0x80 };
enum { /* device/head */
    DEV_LBA = 0x40, DEV_UNIT = 0x10, DEV_ALWAYS = 0xa0 };
enum { /* sector count in packet commands */
    REASON_CD = 0x01, REASON_IO = 0x02 };

#define IDE_BUF_SECTORS 256
#define IDE_BUF_SIZE (IDE_BUF_SECTORS * 512 + 4)
#define IDE_MAX_IOV 512
#define SECTOR 512u

typedef struct IdeDrive IdeDrive;
typedef struct IdeChannel IdeChannel;

typedef enum IdeKind { IDE_NONE, IDE_HD, IDE_CD } IdeKind;

/* What happens when the guest has moved all data of a PIO transfer: the numbers are the stream's. */
typedef enum IdeEnd { END_SECTOR_READ, END_SECTOR_WRITE, END_STOP, END_ATAPI_REPLY, END_ATAPI_CMD, END_DUMMY, END_KINDS } IdeEnd;

typedef enum IdeDma { DMA_NONE, DMA_READ, DMA_WRITE, DMA_TRIM, DMA_ATAPI } IdeDma;

struct IdeDrive {
    /* the task file */
    uint8_t feature, error, sector, lcyl, hcyl, hob_feature, hob_nsector, hob_sector, hob_lcyl, hob_hcyl, select, status;
    uint8_t lba48;
    uint32_t nsector;               /* the register; while a command runs, sectors left (0 meant 256 or 65536) */
    int32_t mult_sectors;

    /* PIO */
    int32_t req_nb_sectors;
    int32_t data_pos, data_len;     /* of io_buffer: next byte, end of this transfer */
    uint8_t end_fn;                 /* IdeEnd */
    bool pio;                       /* a transfer is going on */

    /* ATAPI */
    uint8_t sense_key, asc, ascq, cdrom_changed;
    bool tray_open, tray_locked, event_new_media, event_eject_request;
    int32_t packet_size, elementary_size;   /* bytes left of the reply; of this DRQ */
    int32_t lba, cd_sector, buf_index, buf_size; /* lba < 0: the reply is all in io_buffer */
    bool atapi_dma;

    /* IDENTIFY data, once made: SET FEATURES changes it */
    int32_t identify_set;
    uint8_t identify[512];          /* 256 little-endian words */

    uint8_t io_buffer[IDE_BUF_SIZE];

    /* ---- host side ---- */
    IdeKind kind;
    BlockBackend *blk;
    IdeChannel *chan;
    Device *dev;                    /* ide-hd or ide-cd */
    BlkRequest *req;                /* in flight, or NULL */
    struct iovec iov[IDE_MAX_IOV];
    unsigned iov_used;              /* of iov, mapped for the request in flight */
    bool iov_to_memory;
    uint64_t sectors;               /* 512-byte; of the medium for a CD */
    uint32_t cyls, heads, secs, serial_no;
    BiosTranslation trans;
    char serial[21], model[41], version[9];
    uint64_t wwn;
    uint16_t rotation_rate;
    uint32_t physical_block;
    bool discard;
    IdeDma dma;                     /* waits for the bus master, or is being moved */
    uint64_t dma_offset;            /* byte of the medium that the next piece starts at */
    uint64_t dma_left;              /* bytes */
    uint64_t dma_piece;
    uint32_t dma_buf_pos;           /* TRIM and packet replies: bytes of io_buffer already moved */
    bool dma_short;                 /* the PRD table ended first */
    bool retry;                     /* paused by an error: the command starts anew when the machine runs again */
    uint8_t retry_cmd;
    uint32_t retry_nsector;
    uint8_t retry_file[9];
};

struct IdeChannel {
    uint8_t cmd, unit;              /* device control register; selected drive */
    int32_t error_status;           /* what to retry, in the stream's bits */
    int64_t retry_sector_num;
    uint32_t retry_nsector;
    uint8_t retry_unit;
    Line irq;
    IdeDrive ifs[2];

    /* ---- host side ---- */
    Device *ctl;                    /* the controller */
    Bus *bus;
    unsigned number;
    const struct IdeDmaOps *dma;    /* its bus master */
    BottomHalf *bh;                 /* goes on outside of a handler */
};

/* The controller's bus master. */
typedef struct IdeDmaOps {
    bool (*started)(IdeChannel *c);                 /* the start bit is set */
    /* Next piece of the PRD table: host memory, or NULL with *len > 0 for memory to bounce at *guest. *len at most max;
     * 0: the table has ended. */
    void *(*next)(IdeChannel *c, size_t max, size_t *len, uint64_t *guest, bool to_memory);
    void (*unmap)(IdeChannel *c, void *host, size_t len, bool to_memory);
    void (*restart_table)(IdeChannel *c);
    void (*set_interrupt)(IdeChannel *c);           /* the channel's interrupt was raised */
    void (*done)(IdeChannel *c, bool more);         /* the command is over; more: the table was not used up */
} IdeDmaOps;

typedef struct IdeBus { Bus bus; IdeChannel *chan; } IdeBus;

extern const StateTable ide_channel_state, ide_drive_state;

static inline IdeDrive *ide_active(IdeChannel *c) { return &c->ifs[c->unit]; }

/* ide.c */
void ide_channel_init(IdeChannel *c, Device *ctl, unsigned number);
void ide_channel_fini(IdeChannel *c);
void ide_channel_reset(IdeChannel *c);
uint64_t ide_data_read(void *chan, uint64_t off, unsigned size);
void ide_data_write(void *chan, uint64_t off, uint64_t val, unsigned size);
uint64_t ide_reg_read(IdeChannel *c, unsigned reg);
void ide_reg_write(IdeChannel *c, unsigned reg, uint8_t val);
uint64_t ide_alt_status(IdeChannel *c);
void ide_control_write(IdeChannel *c, uint8_t val);
bool ide_drain(IdeChannel *c);              /* false: a request is in flight */
void ide_run_state(IdeChannel *c, bool running);
void ide_set_irq(IdeDrive *d);
void ide_abort(IdeDrive *d);
void ide_set_signature(IdeDrive *d);
/* A PIO transfer of len bytes at io_buffer + pos, then `end`. */
void ide_pio_start(IdeDrive *d, unsigned pos, unsigned len, IdeEnd end);
void ide_pio_stop(IdeDrive *d);
/* A request failed: follows werror/rerror. true: the guest is to see the error; else it is ignored or to be retried. */
bool ide_rw_error(IdeDrive *d, int error, bool is_read, bool *ignored);
/* Fills iov with host memory for the next piece of a DMA transfer: RAM as it is; what else the table names reads as ones or
 * goes nowhere. Returns the entries used; *bytes is what they hold. */
unsigned ide_map_piece(IdeDrive *d, size_t max, size_t *bytes, bool to_memory);
void ide_unmap_piece(IdeDrive *d);
void ide_dma_begin(IdeDrive *d, IdeDma kind);   /* waits for the start bit */
void ide_save_command(IdeDrive *d, uint8_t cmd);

/* ata.c */
void ata_command(IdeDrive *d, uint8_t cmd);
void ata_sector_read(IdeDrive *d);
void ata_sector_write(IdeDrive *d);
void ata_dma_run(IdeDrive *d);
uint64_t ata_get_sector(const IdeDrive *d);
void ata_set_sector(IdeDrive *d, uint64_t n);
bool ata_range_ok(const IdeDrive *d, uint64_t first, uint64_t n);
void ata_bad_range(IdeDrive *d);
/* The sector count of a command that starts: 0 stands for the most. */
void ata_expand_count(IdeDrive *d, bool lba48);
/* ata-dma.c */
void ata_start_dma(IdeDrive *d, bool lba48, IdeDma kind);
/* identify.c */
void ata_identify(IdeDrive *d);
void atapi_identify(IdeDrive *d);
/* atapi.c */
bool atapi_device_command(IdeDrive *d, uint8_t cmd);    /* the ATA commands of a packet device; false: unknown */
void atapi_reply_end(IdeDrive *d);
void atapi_packet(IdeDrive *d);
void atapi_reply(IdeDrive *d, unsigned size, unsigned max_size);
void atapi_read(IdeDrive *d, uint32_t lba, uint32_t n, unsigned sector_size);
void atapi_ok(IdeDrive *d);
void atapi_error(IdeDrive *d, uint8_t key, uint8_t asc);
void atapi_dma_run(IdeDrive *d);
void atapi_retry(IdeDrive *d);
void atapi_media_changed(IdeDrive *d);
void atapi_reset(IdeDrive *d);
/* mmc.c */
void mmc_command(IdeDrive *d);

enum { SENSE_NONE = 0, SENSE_NOT_READY = 2, SENSE_MEDIUM_ERROR = 3, SENSE_ILLEGAL_REQUEST = 5, SENSE_UNIT_ATTENTION = 6 };
enum { ASC_ILLEGAL_OPCODE = 0x20, ASC_LBA_OUT_OF_RANGE = 0x21, ASC_INVALID_FIELD = 0x24, ASC_MEDIUM_CHANGED = 0x28,
       ASC_RESET = 0x29, ASC_MEDIUM_NOT_PRESENT = 0x3a, ASC_READ_ERROR = 0x11, ASC_MEDIA_REMOVAL_PREVENTED = 0x53,
       ASC_INCOMPATIBLE_FORMAT = 0x30, ASC_SAVING_NOT_SUPPORTED = 0x39, ASC_DATA_PHASE_ERROR = 0x4b };
#endif
