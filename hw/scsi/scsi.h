/*
 * SCSI: what a host bus adapter sees of the disks and CD drives behind it, and the board of the adapters' bus.
 *
 * A device works off one command at a time. The adapter calls scsi_start, then scsi_continue; it is told of each piece of data
 * (ops->data) and of the end (ops->complete), sometimes before those calls return. After a piece it calls scsi_continue again:
 *
 *     n = scsi_start(d, tag, lun, cdb, sizeof cdb);        n > 0: to the host, n < 0: to the device, 0: no data
 *     if (n) scsi_continue(d);
 *     data(opaque, d, len)          len bytes at scsi_buffer(d): to be fetched, or to be filled
 *     scsi_continue(d);             they have been
 *     complete(opaque, d, status)   the command is over; a device may be started again from here
 */
#ifndef HW_SCSI_SCSI_H
#define HW_SCSI_SCSI_H
#include "block/block.h"
#include "hw/core/device.h"

#define SCSI_CDB_BYTES 16
#define SCSI_BUFFER_BYTES 131072
#define SCSI_SENSE_BYTES 96             /* of the stream's first part; ours are 18 */

enum { SCSI_GOOD = 0, SCSI_CHECK_CONDITION = 2 };

typedef struct ScsiDevice ScsiDevice;
typedef struct ScsiBus ScsiBus;

typedef struct ScsiBusOps {
    void (*data)(void *opaque, ScsiDevice *d, unsigned len);
    void (*complete)(void *opaque, ScsiDevice *d, uint8_t status);
    void (*loaded)(void *opaque, ScsiDevice *d);    /* d came from a stream with a command under way; may be NULL */
} ScsiBusOps;

struct ScsiBus {
    Bus bus;
    const ScsiBusOps *ops;
    void *opaque;
    unsigned max_target, max_lun;
    char *part;                         /* name of the -drive's device in the adapter */
};

extern const BusType scsi_bus_type;
extern const DeviceType scsi_hd_type, scsi_cd_type;

ScsiBus *scsi_bus_new(Device *adapter, const ScsiBusOps *ops, void *opaque, unsigned max_target, unsigned max_lun);
/* The device at that place; if there is none with that LUN, one of the target's that speaks for it; or NULL. */
ScsiDevice *scsi_find(ScsiBus *b, unsigned target, unsigned lun);
unsigned scsi_max_lun(const ScsiBus *b);            /* of the devices that are there */
/* The device of a -drive: scsi-hd or scsi-cd at target 0, LUN 0. Takes blk over; conf's policies are the device's. */
Device *scsi_create_drive(ScsiBus *b, BlockBackend *blk, const BlkConf *conf, bool removable, const char *serial, int bootindex,
                          GError **err);

int64_t scsi_start(ScsiDevice *d, uint32_t tag, uint32_t lun, const uint8_t *cdb, unsigned len);
void scsi_continue(ScsiDevice *d);
void scsi_cancel(ScsiDevice *d);        /* forgets the command under way; complete is not called */
uint8_t *scsi_buffer(ScsiDevice *d);
bool scsi_busy(const ScsiDevice *d);    /* a command is under way */
uint32_t scsi_tag(const ScsiDevice *d);
#endif
