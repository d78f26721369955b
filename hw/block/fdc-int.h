/* Between the files of the floppy controller: fdc.c registers and state, fdc-cmd.c commands, fdc-data.c sectors,
 * fdc-drive.c drives and media. */
#ifndef HW_BLOCK_FDC_INT_H
#define HW_BLOCK_FDC_INT_H
#include "hw/block/fdc.h"

#define FD_SECTOR 512
enum { DRIVE_144, DRIVE_288, DRIVE_120, DRIVE_NONE, DRIVE_AUTO };

typedef struct Fdc Fdc;

typedef struct FloppyDrive {
    /* guest state */
    uint8_t head, track, sect;
    uint8_t media_changed, media_rate, perpendicular;

    /* host side: drive and medium */
    Fdc *fdc;
    BlockBackend *blk;              /* NULL: no drive */
    int type;                       /* DRIVE_* */
    uint8_t max_track, last_sect;
    bool double_sided, ro;
    bool media_inserted, media_validated;
    uint8_t rate;                   /* that the medium was written with */
} FloppyDrive;

enum { SRA_INTPEND = 0x80, SRA_nDRV2 = 0x40 };
enum { DOR_SELMASK = 0x01, DOR_nRESET = 0x04, DOR_DMAEN = 0x08, DOR_MOTEN0 = 0x10, DOR_MOTEN1 = 0x20 };
enum { DSR_RATEMASK = 0x03, DSR_PWRDOWN = 0x40, DSR_SWRESET = 0x80 };
enum { MSR_DRV0BUSY = 0x01, MSR_CMDBUSY = 0x10, MSR_NONDMA = 0x20, MSR_DIO = 0x40, MSR_RQM = 0x80 };
enum { SR0_DS0 = 0x01, SR0_HEAD = 0x04, SR0_EQPMT = 0x10, SR0_SEEK = 0x20, SR0_ABNTERM = 0x40, SR0_INVCMD = 0x80,
       SR0_RDYCHG = 0xc0 };
enum { SR1_MA = 0x01, SR1_NW = 0x02, SR1_EC = 0x80 };
enum { SR2_SNS = 0x04, SR2_SEH = 0x08 };
enum { STATE_MULTI = 0x01, STATE_FORMAT = 0x02 };
enum { CONFIG_EIS = 0x40 };
typedef enum FdcPhase { PHASE_RECONSTRUCT, PHASE_COMMAND, PHASE_EXECUTION, PHASE_RESULT } FdcPhase;
enum { DIR_WRITE = 0, DIR_READ = 1, DIR_SCANE = 2, DIR_SCANL = 3, DIR_SCANH = 4, DIR_VERIFY = 5 };

struct Fdc {
    Device dev;

    /* guest state */
    uint8_t sra, srb, dor, tdr, dsr, msr, status0, status1, status2;
    uint8_t fifo[FD_SECTOR];
    uint32_t data_pos, data_len;
    uint8_t data_state, data_dir, eot, timer0, timer1, precomp_trk, config, lock, pwrd, num_floppies;
    uint8_t cur_drv, phase;
    int32_t reset_sensei;
    Timer result_timer;             /* a READ ID takes its time */
    Line irq;
    FloppyDrive drives[2];

    /* set-up */
    Bus *bus;
    uint32_t iobase, irq_num, dma_chan;
    int fd_type[2], fallback;
};

static inline FloppyDrive *fdc_drive(Fdc *s) { return &s->drives[s->cur_drv & 1]; }

/* fdc.c */
void fdc_raise_irq(Fdc *s);
void fdc_lower_irq(Fdc *s);
void fdc_reset_chip(Fdc *s, bool irq);
void fdc_to_command(Fdc *s);
void fdc_to_result(Fdc *s, unsigned len);
/* fdc-cmd.c */
unsigned fdc_params(uint8_t cmd);               /* bytes that follow a command */
void fdc_run(Fdc *s);                           /* the command in fifo */
/* fdc-data.c */
void fdc_start_transfer(Fdc *s, uint8_t dir);   /* as fifo[1..8] say */
void fdc_stop_transfer(Fdc *s, uint8_t status0, uint8_t status1, uint8_t status2);
int fdc_write_sector(Fdc *s, FloppyDrive *d);
bool fdc_rate_ok(const Fdc *s, const FloppyDrive *d);
uint32_t fdc_fifo_read(Fdc *s);
void fdc_fifo_write(Fdc *s, uint8_t val);
int fdc_dma(void *opaque, unsigned channel, int pos, int len);
/* fdc-cmd.c */
void fdc_result_timer(void *opaque);
/* fdc-drive.c */
extern const BusType floppy_bus_type;
void floppy_revalidate(FloppyDrive *d);
typedef enum FloppySeek { FLOPPY_OK, FLOPPY_TRACK_CHANGED, FLOPPY_NO_TRACK, FLOPPY_NO_SECTOR, FLOPPY_NO_DISK } FloppySeek;
FloppySeek floppy_seek(FloppyDrive *d, unsigned head, unsigned track, unsigned sect, bool implied);
void floppy_recalibrate(FloppyDrive *d);
unsigned floppy_sector(const FloppyDrive *d);   /* number on the medium of the present position */
#endif
