/*
 * Between the files of hw/scsi:
 *   scsi.c        commands: start, data, end, sense; the bus       scsi-disk.c   device types and their life, reading and writing
 *   scsi-cmd.c    commands of all devices (SPC) and of disks (SBC)  scsi-mode.c   mode pages, INQUIRY's pages
 *   scsi-mmc.c    commands of CD drives (MMC)
 */
#ifndef HW_SCSI_SCSI_INT_H
#define HW_SCSI_SCSI_INT_H
#include "hw/scsi/scsi.h"
#include "util/loop.h"

enum { SENSE_NONE = 0, SENSE_NOT_READY = 2, SENSE_MEDIUM_ERROR = 3, SENSE_ILLEGAL_REQUEST = 5, SENSE_UNIT_ATTENTION = 6,
       SENSE_DATA_PROTECT = 7, SENSE_ABORTED = 0xb };

/* Sense key, additional code and its qualifier. */
typedef struct ScsiSense { uint8_t key, asc, ascq; } ScsiSense;
#define SENSE(k, a, q) ((ScsiSense){ SENSE_##k, a, q })
#define SENSE_OPCODE SENSE(ILLEGAL_REQUEST, 0x20, 0)
#define SENSE_RANGE SENSE(ILLEGAL_REQUEST, 0x21, 0)
#define SENSE_FIELD SENSE(ILLEGAL_REQUEST, 0x24, 0)
#define SENSE_LUN SENSE(ILLEGAL_REQUEST, 0x25, 0)
#define SENSE_PARAMETER SENSE(ILLEGAL_REQUEST, 0x26, 0)
#define SENSE_NO_SAVING SENSE(ILLEGAL_REQUEST, 0x39, 0)
#define SENSE_NO_MEDIUM SENSE(NOT_READY, 0x3a, 0)
#define SENSE_LOCKED SENSE(ILLEGAL_REQUEST, 0x53, 2)
#define SENSE_NOT_READY_LOCKED SENSE(NOT_READY, 0x53, 2)
#define SENSE_WRITE_PROTECTED SENSE(DATA_PROTECT, 0x27, 0)
#define SENSE_LENGTH_ERROR SENSE(ILLEGAL_REQUEST, 0x1a, 0)

typedef enum ScsiKind { SCSI_DISK, SCSI_CD } ScsiKind;
typedef enum ScsiMode { MODE_NONE, MODE_FROM_DEV, MODE_TO_DEV } ScsiMode;

typedef struct ScsiRequest {
    /* guest state */
    bool active, retry;                 /* a command is under way; it was paused by an error and starts again */
    uint8_t cdb[SCSI_CDB_BYTES];
    uint32_t tag, lun;
    uint64_t sector;                    /* of 512 bytes: where the next piece is */
    uint32_t sector_count, buflen, len; /* sectors left; room of the buffer; what is in it */
    uint8_t data[SCSI_BUFFER_BYTES];
    uint8_t mode;                       /* ScsiMode */
    bool medium;                        /* data goes to or comes from the medium */
    bool given;                         /* the adapter has the data; the next scsi_continue ends or goes on */

    /* host side */
    BlkRequest *aio;
    struct iovec iov;
    bool cancelled;
} ScsiRequest;

struct ScsiDevice {
    Device dev;

    /* guest state */
    ScsiSense attention;                /* a unit attention that the host has not been told of; key 0: none */
    bool sense_is_ua;
    uint8_t sense[SCSI_SENSE_BYTES];
    uint32_t sense_len;
    ScsiRequest req;

    /* properties */
    uint32_t channel, id, lun;
};

typedef struct ScsiDisk {
    ScsiDevice qdev;

    /* guest state */
    bool media_changed, media_event, eject_request, tray_open, tray_locked;

    /* host side */
    ScsiKind kind;
    BlockBackend *blk;
    BlkConf conf;
    BottomHalf *bh;                     /* goes on with a paused command */
    char *ver, *serial, *vendor, *product, *device_id;
    uint32_t features;
    uint64_t wwn, port_wwn, max_unmap_size, max_io_size;
    uint16_t port_index, rotation_rate;
    int32_t scsi_version;
    uint32_t lcyls, lheads, lsecs;
    int backend_defaults, account_invalid, account_failed, write_cache, rerror, werror;
} ScsiDisk;
enum { FEATURE_REMOVABLE, FEATURE_DPOFUA };     /* bits of features */

static inline ScsiDisk *disk_of(ScsiDevice *d) { return (ScsiDisk *)(void *)d; }
static inline bool has_feature(const ScsiDisk *s, unsigned f) { return s->features >> f & 1; }
static inline uint16_t get16(const uint8_t *p) { return p[0] << 8 | p[1]; }
static inline uint32_t get32(const uint8_t *p) { return (uint32_t)get16(p) << 16 | get16(p + 2); }
static inline uint64_t get64(const uint8_t *p) { return (uint64_t)get32(p) << 32 | get32(p + 4); }
static inline void put16(uint8_t *p, uint16_t v) { p[0] = v >> 8; p[1] = v; }
static inline void put32(uint8_t *p, uint32_t v) { put16(p, v >> 16); put16(p + 2, v); }
static inline void put64(uint8_t *p, uint64_t v) { put32(p, v >> 32); put32(p + 4, v); }

/* scsi.c */
extern const StateTable scsi_device_state;
void scsi_good(ScsiDevice *d);                      /* the command ends well */
void scsi_check(ScsiDevice *d, ScsiSense s);        /* ... with CHECK CONDITION */
void scsi_give(ScsiDevice *d, unsigned len);        /* len bytes of the buffer to or from the adapter */
/* Allocation length or parameter length in the CDB, by its opcode; -1: an opcode that is not known. */
int64_t scsi_cdb_length(const uint8_t *cdb);
/* What REQUEST SENSE says. */
unsigned scsi_put_sense(const ScsiDevice *d, bool descriptor, uint8_t *out);

/* scsi-cmd.c: begins a command of the device's own LUN; returns as scsi_start does. */
int64_t scsi_command(ScsiDisk *s);
/* The parameter data of a command is there. */
void scsi_parameters(ScsiDisk *s, unsigned len);
/* Is there a medium that can be used? Ends the command if not. */
bool scsi_need_medium(ScsiDisk *s);
bool scsi_has_medium(const ScsiDisk *s);
uint64_t scsi_blocks(const ScsiDisk *s);
unsigned scsi_block_size(const ScsiDisk *s);

/* scsi-mode.c: replies at out (of SCSI_BUFFER_BYTES, zeroed); their length, or -1 for an invalid field. */
int scsi_inquiry(ScsiDisk *s, const uint8_t *cdb, uint8_t *out);
int scsi_mode_sense(ScsiDisk *s, const uint8_t *cdb, uint8_t *out);     /* -2: saved values */
bool scsi_mode_select(ScsiDisk *s, const uint8_t *cdb, const uint8_t *p, unsigned len);

/* scsi-mmc.c: the same for CD drives' commands; -1: an invalid field, -2: not one of these. */
int scsi_mmc(ScsiDisk *s, const uint8_t *cdb, uint8_t *out);
int scsi_read_toc(ScsiDisk *s, const uint8_t *cdb, uint8_t *out);

/* scsi-disk.c */
void scsi_disk_continue(ScsiDisk *s);               /* the next piece of a transfer of sectors */
void scsi_disk_flush(ScsiDisk *s);
void scsi_disk_discard(ScsiDisk *s, const uint8_t *descriptors, unsigned len);
void scsi_disk_write_same(ScsiDisk *s, const uint8_t *pattern);
void scsi_disk_eject(ScsiDisk *s, bool start, bool loej);
#endif
