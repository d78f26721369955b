/*
 * Drives and images: what devices, the board, the command line and the monitor see of the block layer.
 *
 * A BlockBackend ("blk") is a drive: it has an id, perhaps a device in front and perhaps a medium behind,
 * which is the top node of a graph of BlockNodes (format over protocol, backing chain, filters: graph.h).
 *
 * Locks and threads.  Every function here is called with the machine lock held, from any thread (a program
 * without a machine, such as a tool, has one thread and no lock).  The block layer does its work under that
 * lock and waits in its own threads or in the kernel.
 *   - blk_aio_* never calls back before it returns.  Completions come from the main loop on the main thread,
 *     with the machine lock held.  The exceptions are the calls that wait (blk_drain, blk_drain_all,
 *     blk_aio_cancel, and the synchronous blk_pread and friends): what completes while they wait is delivered
 *     on the caller's thread, still under the machine lock, before they return.
 *   - The iovec array and the buffers belong to the caller and stay as they are until the callback.
 *   - A call may be made from a completion.
 *
 * Offsets and lengths are bytes.  Results are 0 or -errno; -ENOMEDIUM: the drive is empty.
 */
#ifndef BLOCK_BLOCK_H
#define BLOCK_BLOCK_H
#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

typedef struct BlockBackend BlockBackend;
typedef struct BlockNode BlockNode;
typedef struct BlkRequest BlkRequest;
/* ret: 0 or -errno. After it returns, the BlkRequest no longer exists. */
typedef void BlkCompletion(void *opaque, int ret);

#define BLK_SECTOR_BITS 9
#define BLK_SECTOR_SIZE 512
/* No request may be longer; devices split above it (QEMU: BDRV_REQUEST_MAX_BYTES). */
#define BLK_MAX_REQUEST (G_MAXINT32 & ~(int32_t)511)

/* ---- The upward calls, given once at set-up (block/ may not include hw/ or monitor/). Members may be NULL. */
typedef struct BlockHost {
    void *opaque;
    void (*stop_io_error)(void *opaque);        /* pause the guest with run state io-error */
    bool (*vm_running)(void *opaque);           /* NULL: never */
    void (*event)(void *opaque, const char *name, json_t *data);  /* a QMP event; data is the callee's to decref */
    /* device_add -> "/machine/peripheral/ID" or "/machine/peripheral-anon/device[N]": for info block; malloc'ed */
    char *(*dev_path)(void *opaque, void *dev);
} BlockHost;
void block_init(const BlockHost *host);         /* host may be NULL (tools, tests); it must stay valid */
/* Flushes and closes every image; deletes temporary ones. */
void block_shutdown(void);

/* ---- For devices --------------------------------------------------------------------------------------- */

/* What a device with a BlockBackend may implement; every member may be NULL. */
typedef struct BlkDevOps {
    /* Removable media only. Without a tray (floppy): the medium was taken out (load false) or put in. With a tray:
     * it is to open (load false) or to close; blk_is_inserted says what is in it. A CD device raises UNIT ATTENTION,
     * a floppy its change line. */
    bool (*change_media)(void *opaque, bool load, GError **err);    /* false: the device can't use it */
    /* The monitor wants the medium of a locked drive: tell the guest (button press); force: unlock, open the tray. */
    void (*eject_request)(void *opaque, bool force);
    bool (*is_tray_open)(void *opaque);         /* NULL: the device has no tray (floppy) */
    bool (*is_medium_locked)(void *opaque);
    void (*resize)(void *opaque);               /* blk_length has changed */
} BlkDevOps;

/* The drive of that id ("-drive id", "ide0-hd0"), or NULL. */
BlockBackend *blk_by_name(const char *id);
/* What a device's property drive=NAME means: the drive of that id, or a new anonymous one (which lives until
 * blk_detach_dev) on the node of that name; also drive "" / NULL for an empty drive with removable medium. */
BlockBackend *blk_for_device(const char *name, GError **err);
BlockBackend *blk_new_empty(void);
const char *blk_name(const BlockBackend *blk);  /* "" for an anonymous one */
/* Connects the device; dev is opaque to the block layer but for BlockHost.dev_path. Fails when another has it. */
bool blk_attach_dev(BlockBackend *blk, void *dev, const BlkDevOps *ops, void *opaque, GError **err);
void blk_detach_dev(BlockBackend *blk, void *dev);      /* drains first */
void *blk_dev(const BlockBackend *blk);                 /* what was attached, or NULL */

/* The properties that every disk-like device has ("rerror=", "physical_block_size=", ...). A device embeds one
 * (host-side member), points its property table at it, and calls blk_conf_apply in realize. */
typedef enum BlkOnError { BLK_ERR_AUTO, BLK_ERR_REPORT, BLK_ERR_IGNORE, BLK_ERR_STOP, BLK_ERR_ENOSPC } BlkOnError;
extern const char *const blk_on_error_names[];          /* "auto" "report" "ignore" "stop" "enospc" NULL */
typedef enum BiosTranslation { BIOS_TRANS_AUTO, BIOS_TRANS_NONE, BIOS_TRANS_LBA, BIOS_TRANS_LARGE,
                               BIOS_TRANS_RECHS } BiosTranslation;
extern const char *const bios_translation_names[];      /* "auto" "none" "lba" "large" "rechs" NULL */
typedef struct BlkConf {
    uint32_t logical_block_size, physical_block_size;   /* 0: not given; 512 after blk_conf_apply */
    uint32_t min_io_size, opt_io_size;
    uint32_t discard_granularity;                       /* UINT32_MAX: not given */
    uint32_t cyls, heads, secs;                         /* 0: to be guessed */
    BiosTranslation trans;
    BlkOnError rerror, werror;
    int wce;                                            /* write-cache: -1 auto, 0 off, 1 on */
    bool share_rw;
} BlkConf;
/* Checks block sizes, takes permissions on the image and on those put in later (read_only: the device never writes;
 * a fixed disk on a read-only image is an error, a removable one just can't be written; resizable: the device copes
 * with a change of size), applies write cache and error policies. For a disk, cyls/heads/secs/trans are then
 * guessed with blk_conf_geometry. */
bool blk_conf_apply(BlockBackend *blk, BlkConf *conf, bool read_only, bool resizable, GError **err);
/* Fills in cyls, heads, secs and trans (from the partition table or the size) unless given; checks the limits. */
bool blk_conf_geometry(BlockBackend *blk, BlkConf *conf, unsigned max_cyls, unsigned max_heads, unsigned max_secs,
                       GError **err);

/* Medium */
bool blk_is_inserted(BlockBackend *blk);        /* there is a medium (also when the tray is open) */
bool blk_is_available(BlockBackend *blk);       /* inserted, and the tray is closed */
bool blk_is_read_only(BlockBackend *blk);       /* the medium or the drive can't be written */
int64_t blk_length(BlockBackend *blk);          /* bytes, or -errno; cached: cheap */
uint64_t blk_sectors(BlockBackend *blk);        /* whole 512-byte sectors; 0 when empty */
/* Memory alignment that keeps O_DIRECT from copying; 1 or a power of two. */
unsigned blk_mem_align(BlockBackend *blk);
bool blk_write_cache(BlockBackend *blk);
void blk_enable_write_cache(BlockBackend *blk, bool on);    /* off: every write is followed by a flush */
/* The guest moved the tray (sends DEVICE_TRAY_MOVED), locked or unlocked the medium. */
void blk_tray_moved(BlockBackend *blk, bool open);
void blk_lock_medium(BlockBackend *blk, bool locked);

/* Requests. offset and length need not be multiples of a sector. A request beyond the end is -EIO. */
enum { BLK_FUA = 1 << 0,                        /* the data is stable when the write completes */
       BLK_MAY_UNMAP = 1 << 1,                  /* write_zeroes may deallocate */
       BLK_NO_FALLBACK = 1 << 2,                /* write_zeroes: -ENOTSUP rather than slow writes */
       BLK_EXPLICIT = 1 << 3 };                 /* write_zeroes: in this node, though it reads so already: what it reads over changes */
BlkRequest *blk_aio_preadv(BlockBackend *blk, int64_t offset, const struct iovec *iov, unsigned niov, unsigned flags,
                           BlkCompletion *cb, void *opaque);
BlkRequest *blk_aio_pwritev(BlockBackend *blk, int64_t offset, const struct iovec *iov, unsigned niov, unsigned flags,
                            BlkCompletion *cb, void *opaque);
BlkRequest *blk_aio_flush(BlockBackend *blk, BlkCompletion *cb, void *opaque);
BlkRequest *blk_aio_discard(BlockBackend *blk, int64_t offset, int64_t bytes, BlkCompletion *cb, void *opaque);
BlkRequest *blk_aio_write_zeroes(BlockBackend *blk, int64_t offset, int64_t bytes, unsigned flags, BlkCompletion *cb,
                                 void *opaque);
/* Waits until the request is over, as far as that can't be hastened; its callback has run (perhaps with success)
 * when this returns. */
void blk_aio_cancel(BlkRequest *req);
/* Between plug and unplug requests are collected, then submitted at once. They nest; unplug soon. */
void blk_plug(void);
void blk_unplug(void);

/* Synchronous: start-up, floppy, flash. They block the calling thread (which keeps the machine lock). */
int blk_pread(BlockBackend *blk, int64_t offset, void *buf, size_t bytes);
int blk_pwrite(BlockBackend *blk, int64_t offset, const void *buf, size_t bytes, unsigned flags);
int blk_pwrite_zeroes(BlockBackend *blk, int64_t offset, int64_t bytes, unsigned flags);
int blk_pdiscard(BlockBackend *blk, int64_t offset, int64_t bytes);
int blk_flush(BlockBackend *blk);

/* Wait until no request of this drive (of any drive) is in flight; all callbacks have run. */
void blk_drain(BlockBackend *blk);
void blk_drain_all(void);
unsigned blk_in_flight(const BlockBackend *blk);
int blk_flush_all(void);                        /* with blk_drain_all: before the guest is seen as stopped */

/*
 * Errors of requests. The device calls blk_error_action when a request of the guest failed with `error` (> 0):
 *   BLK_ERR_IGNORE   go on as if it had succeeded
 *   BLK_ERR_REPORT   give the guest the error
 *   BLK_ERR_STOP     the guest is being paused (io-error; BLOCK_IO_ERROR was sent): keep the request and submit it
 *                    again when the machine is continued
 */
BlkOnError blk_error_action(BlockBackend *blk, bool is_read, int error);
BlkOnError blk_on_error(const BlockBackend *blk, bool is_read);
/* info block: "io-status", reset by cont */
void blk_iostatus_enable(BlockBackend *blk);
void blk_iostatus_reset_all(void);

typedef enum BlkAcct { BLK_ACCT_READ, BLK_ACCT_WRITE, BLK_ACCT_FLUSH, BLK_ACCT_UNMAP, BLK_ACCT_N } BlkAcct;
typedef struct BlkStats {
    uint64_t bytes[BLK_ACCT_N], ops[BLK_ACCT_N], failed[BLK_ACCT_N], invalid[BLK_ACCT_N], merged[BLK_ACCT_N],
        time_ns[BLK_ACCT_N];
    uint64_t wr_highest_offset;
} BlkStats;
/* Kept by blk_aio_*; a device adds what never became a request. */
const BlkStats *blk_stats(const BlockBackend *blk);
void blk_acct_invalid(BlockBackend *blk, BlkAcct what);
void blk_acct_merged(BlockBackend *blk, BlkAcct what, unsigned n);

/* ---- Migration: who owns the images ----------------------------------------------------------------------- */

/* While inactive, images are another process's: no locks are held, nothing is written, what was read may be stale.
 * A target starts so (before the first image is opened); a source becomes so at switch-over, with nothing in flight. */
void block_start_inactive(void);
bool block_is_inactive(void);
bool block_inactivate_all(GError **err);        /* writes everything back, then drops the locks; on failure all is as before */
bool block_activate_all(GError **err);          /* takes the locks, reads metadata anew; on failure they stay inactive */

/* ---- For the command line and the board ------------------------------------------------------------------ */

typedef enum BlkIf { BLK_IF_DEFAULT = -1, BLK_IF_NONE, BLK_IF_IDE, BLK_IF_SCSI, BLK_IF_FLOPPY, BLK_IF_PFLASH, BLK_IF_MTD,
                     BLK_IF_SD, BLK_IF_VIRTIO, BLK_IF_XEN, BLK_IF_COUNT } BlkIf;
extern const char *const blk_if_names[];        /* "none" "ide" "scsi" "floppy" "pflash" "mtd" "sd" "virtio" "xen" NULL */

/* One -drive. Lives as long as its blk. */
typedef struct DriveInfo {
    BlockBackend *blk;
    BlkIf type;
    int bus, unit;
    bool media_cd;              /* media=cdrom */
    bool is_default;            /* made by the board, not asked for: dropped when a device takes its place */
    bool claimed;               /* set by the board for a drive that it made a device for */
    const char *serial;         /* serial= of the option, or NULL */
    const char *origin;         /* "-drive ...: ", for messages, or NULL */
} DriveInfo;

/* Parses and opens one "-drive" ("file=disk.qcow2,if=ide,index=0,..."; commas in values doubled). dflt_if is what
 * if= defaults to (the board's: BLK_IF_IDE). */
DriveInfo *drive_add(const char *optstr, BlkIf dflt_if, GError **err);
/* -hda (index 0) .. -hdd, -cdrom (IDE 2, media=cdrom), -fda, -fdb, -mtdblock, -pflash, -sd: "file" is a name as it is,
 * commas and all. extra: further options ("media=cdrom"), or NULL. file NULL: no medium. */
DriveInfo *drive_add_file(BlkIf type, int index, const char *file, const char *extra, GError **err);
/* A drive that the board has unless told otherwise (empty CD, floppy); NULL when the place is taken or not wanted. */
DriveInfo *drive_add_default(BlkIf type, int index, const char *extra, GError **err);
void drive_set_snapshot(bool on);               /* -snapshot: before the first drive_add */
DriveInfo *drive_get(BlkIf type, int bus, int unit);
DriveInfo *drive_get_by_index(BlkIf type, int index);
int drive_max_bus(BlkIf type);                  /* -1: none */
DriveInfo *drive_of_blk(const BlockBackend *blk);   /* or NULL */
bool drive_del(const char *id, GError **err);   /* HMP drive_del */
/* After the machine is made: complains about drives (if= other than none) that no device took. */
bool drive_check_orphaned(GError **err);

/* -blockdev: JSON ("{...}") or dotted keys ("driver=qcow2,file.driver=file,file.filename=..."). */
bool blockdev_add_string(const char *optstr, GError **err);
bool blockdev_add(json_t *options, GError **err);       /* QMP blockdev-add */
bool blockdev_del(const char *node_name, GError **err);

/* ---- For the monitor ------------------------------------------------------------------------------------- */

typedef enum BlkReadOnlyMode { BLK_RO_RETAIN, BLK_RO_ON, BLK_RO_OFF } BlkReadOnlyMode;
/* device: a drive's id, or with by_qdev the device's id. */
bool blockdev_change_medium(const char *device, bool by_qdev, const char *file, const char *format, bool force,
                            BlkReadOnlyMode mode, GError **err);
bool blockdev_eject(const char *device, bool by_qdev, bool force, GError **err);
bool blockdev_open_tray(const char *device, bool by_qdev, bool force, GError **err);
bool blockdev_close_tray(const char *device, bool by_qdev, GError **err);
bool blockdev_resize(const char *device, int64_t size, GError **err);
/* HMP: info block [-n] [-v] [device], info blockstats */
void block_info(GString *out, const char *device, bool nodes, bool verbose);
void block_info_stats(GString *out);
/* HMP qemu-io: what the command prints is appended to out. device: a drive's id, a node's name, or with by_qdev a device. */
bool block_io_command(const char *device, bool by_qdev, const char *command, GString *out, GError **err);
/* QMP: query-block, query-blockstats, query-named-block-nodes */
json_t *block_query(void);
json_t *block_query_stats(bool nodes);
json_t *block_query_nodes(void);
/* Every drive, for completion and listings: the next after blk, or the first. */
BlockBackend *blk_next(BlockBackend *blk);
#endif
