/* Commands on jobs, and on drives while they are in use. */
#include <errno.h>
#include <string.h>
#include "block/bitmap-cmd.h"
#include "block/job.h"
#include "block/live-ops.h"
#include "monitor/monitor-int.h"

/* ---- verbs */

static json_t *verb(json_t *args, JobVerb v, bool block_job, GError **err)
{
    const char *id = arg_str(args, "device") ? arg_str(args, "device") : arg_str(args, "id");

    job_verb(id, v, block_job, block_job ? arg_bool(args, "force") : true, arg_int(args, "speed", 0), err);
    return NULL;
}

#define VERB(name, v, block) \
    static json_t *name(Monitor *mon, json_t *args, GError **err) { return verb(args, v, block, err); }
VERB(job_cancel_cmd, JOB_CANCEL, false)
VERB(job_pause_cmd, JOB_PAUSE, false)
VERB(job_resume_cmd, JOB_RESUME, false)
VERB(job_complete_cmd, JOB_COMPLETE, false)
VERB(job_finalize_cmd, JOB_FINALIZE, false)
VERB(job_dismiss_cmd, JOB_DISMISS, false)
VERB(block_job_cancel, JOB_CANCEL, true)
VERB(block_job_pause, JOB_PAUSE, true)
VERB(block_job_resume, JOB_RESUME, true)
VERB(block_job_complete, JOB_COMPLETE, true)
VERB(block_job_finalize, JOB_FINALIZE, true)
VERB(block_job_dismiss, JOB_DISMISS, true)
VERB(block_job_set_speed, JOB_SET_SPEED, true)

static json_t *query_jobs(Monitor *mon, json_t *args, GError **err)
{
    return job_query();
}

static json_t *query_block_jobs(Monitor *mon, json_t *args, GError **err)
{
    return job_query_block();
}

static void print_jobs(Monitor *mon, json_t *args)
{
    GString *out = g_string_new(NULL);

    job_info(out);
    mon_puts(mon, out->str);
    g_string_free(out, true);
}

/* ---- operations */

#define OPERATION(name, call) \
    static json_t *name(Monitor *mon, json_t *args, GError **err) { call; return NULL; }
OPERATION(stream, block_stream(args, err))
OPERATION(commit, block_commit(args, err))
OPERATION(mirror, blockdev_mirror(args, err))
OPERATION(drive_mirror_cmd, drive_mirror(args, err))
OPERATION(backup, block_backup_command(args, false, err))
OPERATION(drive_backup_cmd, block_backup_command(args, true, err))
OPERATION(create, blockdev_create_job(args, err))
OPERATION(snapshot, blockdev_snapshot(args, err))
OPERATION(snapshot_sync, blockdev_snapshot_sync(args, err))
OPERATION(snapshot_internal, blockdev_snapshot_internal(args, err))
OPERATION(change_backing, change_backing_file(args, err))
OPERATION(reopen, blockdev_reopen(args, err))
OPERATION(threshold, block_set_write_threshold(args, err))
OPERATION(throttle, block_set_io_throttle(args, err))
OPERATION(transaction, block_transaction(args, err))
OPERATION(bitmap_add_cmd, block_bitmap_command("block-dirty-bitmap-add", args, err))
OPERATION(bitmap_remove_cmd, block_bitmap_command("block-dirty-bitmap-remove", args, err))
OPERATION(bitmap_clear_cmd, block_bitmap_command("block-dirty-bitmap-clear", args, err))
OPERATION(bitmap_enable_cmd, block_bitmap_command("block-dirty-bitmap-enable", args, err))
OPERATION(bitmap_disable_cmd, block_bitmap_command("block-dirty-bitmap-disable", args, err))
OPERATION(bitmap_merge_cmd, block_bitmap_command("block-dirty-bitmap-merge", args, err))

static json_t *snapshot_delete(Monitor *mon, json_t *args, GError **err)
{
    return blockdev_snapshot_delete_internal(args, err);
}

/* ---- HMP's own ways */

static void done(Monitor *mon, GError *err)
{
    if (err)
        mon_print_error(mon, err);
}

static void hmp_stream(Monitor *mon, json_t *args)
{
    GError *err = NULL;

    json_object_set_new(args, "on-error", json_string("report"));
    block_stream(args, &err);
    done(mon, err);
}

/* "-n -f device target [format]" to the members of drive-mirror and drive-backup */
static void copy_args(json_t *args, bool with_job_id)
{
    json_object_set_new(args, "mode", json_string(arg_bool(args, "reuse") ? "existing" : "absolute-paths"));
    json_object_set_new(args, "sync", json_string(arg_bool(args, "full") ? "full" : "top"));
    if (with_job_id)
        json_object_set(args, "job-id", json_object_get(args, "device"));
}

static void hmp_drive_mirror(Monitor *mon, json_t *args)
{
    GError *err = NULL;

    copy_args(args, false);
    drive_mirror(args, &err);
    done(mon, err);
}

static void hmp_drive_backup(Monitor *mon, json_t *args)
{
    GError *err = NULL;

    copy_args(args, false);
    block_backup_command(args, true, &err);
    done(mon, err);
}

static void hmp_snapshot(Monitor *mon, json_t *args)
{
    GError *err = NULL;

    if (!arg_has(args, "snapshot-file")) {
        error_set(&err, "Parameter 'snapshot-file' is missing");
    } else {
        json_object_set_new(args, "mode", json_string(arg_bool(args, "reuse") ? "existing" : "absolute-paths"));
        blockdev_snapshot_sync(args, &err);
    }
    done(mon, err);
}

static void hmp_snapshot_delete(Monitor *mon, json_t *args)
{
    GError *err = NULL;

    json_decref(blockdev_snapshot_delete_internal(args, &err));
    done(mon, err);
}

static void hmp_commit(Monitor *mon, json_t *args)
{
    const char *device = arg_str(args, "device");
    bool all = !strcmp(device, "all");
    BlockBackend *b = all ? blk_next(NULL) : blk_by_name(device);

    if (!b && !all) {
        mon_printf(mon, "Error: Device '%s' not found\n", device);
        return;
    }
    for (; b; b = all ? blk_next(b) : NULL) {
        int ret;

        if (!blk_is_inserted(b)) {
            if (!all)
                mon_printf(mon, "Error: Device '%s' has no medium\n", device);
            continue;
        }
        ret = blk_commit(b);
        if (ret == -ENOTSUP && all)
            continue;
        if (ret < 0) {
            mon_printf(mon, "Error: 'commit' error for '%s': %s\n", device, g_strerror(-ret));
            return;
        }
    }
}

#define COMMON_IN "*on-source-error:BlockdevOnError *on-target-error:BlockdevOnError *auto-finalize:bool *auto-dismiss:bool"
#define SYNCS "<top|full|none|incremental|bitmap>"
#define MODES "<existing|absolute-paths>"
#define BITMAP_IN "{node:str name:str}"
#define BACKUP_IN "*job-id:str device:str sync:" SYNCS " *speed:int *bitmap:str *bitmap-mode:<on-success|never|always> *compress:bool " \
    COMMON_IN " *filter-node-name:str *x-perf:{*use-copy-range:bool *max-workers:int *max-chunk:int} target:str"
#define LIMITS "bps:int bps_rd:int bps_wr:int iops:int iops_rd:int iops_wr:int"

const MonCommand commands_job[] = {
    { "info block-jobs", .params = "", .help = "show progress of ongoing block device operations", .qmp = "query-block-jobs",
      .out = "[BlockJobInfo]", .run = query_block_jobs, .print = print_jobs },
    { .qmp = "query-jobs", .out = "[JobInfo]", .run = query_jobs },
    { .qmp = "job-cancel", .in = "{id:str}", .run = job_cancel_cmd },
    { .qmp = "job-pause", .in = "{id:str}", .run = job_pause_cmd },
    { .qmp = "job-resume", .in = "{id:str}", .run = job_resume_cmd },
    { .qmp = "job-complete", .in = "{id:str}", .run = job_complete_cmd },
    { .qmp = "job-finalize", .in = "{id:str}", .run = job_finalize_cmd },
    { .qmp = "job-dismiss", .in = "{id:str}", .run = job_dismiss_cmd },
    { "block_job_cancel", "force:-f device:dev", "[-f] device", "stop an active background block operation (use -f if you want to abort "
      "the operation immediately instead of keep running until data is in sync)", .qmp = "block-job-cancel",
      .in = "{device:str *force:bool}", .run = block_job_cancel },
    { "block_job_pause", "device:dev", "device", "pause an active background block operation", .qmp = "block-job-pause",
      .in = "{device:str}", .run = block_job_pause },
    { "block_job_resume", "device:dev", "device", "resume a paused background block operation", .qmp = "block-job-resume",
      .in = "{device:str}", .run = block_job_resume },
    { "block_job_complete", "device:dev", "device", "stop an active background block operation", .qmp = "block-job-complete",
      .in = "{device:str}", .run = block_job_complete },
    { "block_job_set_speed", "device:dev speed:size", "device speed", "set maximum speed for a background block operation",
      .qmp = "block-job-set-speed", .in = "{device:str speed:int}", .run = block_job_set_speed },
    { .qmp = "block-job-finalize", .in = "{id:str}", .run = block_job_finalize },
    { .qmp = "block-job-dismiss", .in = "{id:str}", .run = block_job_dismiss },
    { "block_stream", "device:dev speed:size? base:str?", "device [speed [base]]", "copy data from a backing file into a block device",
      .qmp = "block-stream", .in = "{*job-id:str device:str *base:str *base-node:str *backing-file:str *bottom:str *speed:int "
      "*on-error:BlockdevOnError *filter-node-name:str *auto-finalize:bool *auto-dismiss:bool}", .run = stream, .print = hmp_stream },
    { .qmp = "block-commit", .in = "{*job-id:str device:str *base-node:str *base:str *top-node:str *top:str *backing-file:str *speed:int "
      "*on-error:BlockdevOnError *filter-node-name:str *auto-finalize:bool *auto-dismiss:bool}", .run = commit },
    { "commit", "device:dev", "device|all", "commit changes to the disk images (if -snapshot is used) or backing files",
      .print = hmp_commit },
    { .qmp = "blockdev-mirror", .in = "{*job-id:str device:str target:str *replaces:str sync:" SYNCS " *speed:int *granularity:int "
      "*buf-size:int " COMMON_IN " *filter-node-name:str *copy-mode:<background|write-blocking>}", .run = mirror },
    { "drive_mirror", "reuse:-n full:-f device:dev target:path format:str?", "[-n] [-f] device target [format]", "initiates live storage "
      "migration for a device. The device's contents are copied to the new image file, including data that is written after the command "
      "is started (-n: the new file exists; -f: copy the whole chain)", .qmp = "drive-mirror",
      .in = "{*job-id:str device:str target:str *format:str *node-name:str *replaces:str sync:" SYNCS " *mode:" MODES " *speed:int "
      "*granularity:int *buf-size:int " COMMON_IN " *unmap:bool *copy-mode:<background|write-blocking>}", .run = drive_mirror_cmd,
      .print = hmp_drive_mirror },
    { .qmp = "blockdev-backup", .in = "{" BACKUP_IN "}", .run = backup },
    { "drive_backup", "reuse:-n full:-f compress:-c device:dev target:path format:str?", "[-n] [-f] [-c] device target [format]",
      "initiates a point-in-time copy for a device (-n: the new file exists; -f: copy the whole chain; -c: compress)",
      .qmp = "drive-backup", .in = "{" BACKUP_IN " *format:str *mode:" MODES "}", .features = "deprecated", .run = drive_backup_cmd,
      .print = hmp_drive_backup },
    { .qmp = "blockdev-create", .in = "{job-id:str options:{driver:str ...}}", .run = create },
    { .qmp = "blockdev-snapshot", .in = "{node:str overlay:str}", .features = "allow-write-only-overlay", .run = snapshot },
    { "snapshot_blkdev", "reuse:-n device:dev snapshot-file:path? format:str?", "[-n] device [new-image-file] [format]",
      "initiates a live snapshot of device; the new image file becomes the new root image (-n: the file exists)",
      .qmp = "blockdev-snapshot-sync", .in = "{*device:str *node-name:str snapshot-file:str *snapshot-node-name:str *format:str *mode:"
      MODES "}", .run = snapshot_sync, .print = hmp_snapshot },
    { "snapshot_blkdev_internal", "device:dev name:str", "device name", "take an internal snapshot of device; the format of the image "
      "must support it, such as qcow2", .qmp = "blockdev-snapshot-internal-sync", .in = "{device:str name:str}", .run = snapshot_internal },
    { "snapshot_delete_blkdev_internal", "device:dev name:str id:str?", "device name [id]", "delete an internal snapshot of device; "
      "if the id is specified, both must match", .qmp = "blockdev-snapshot-delete-internal-sync", .in = "{device:str *id:str *name:str}",
      .out = "SnapshotInfo", .run = snapshot_delete, .print = hmp_snapshot_delete },
    { .qmp = "change-backing-file", .in = "{device:str image-node-name:str backing-file:str}", .run = change_backing },
    { .qmp = "blockdev-reopen", .in = "{options:[{driver:str *node-name:str ...}]}", .run = reopen },
    { .qmp = "block-set-write-threshold", .in = "{node-name:str write-threshold:size}", .run = threshold },
    { "block_set_io_throttle", "device:dev bps:int bps_rd:int bps_wr:int iops:int iops_rd:int iops_wr:int",
      "device bps bps_rd bps_wr iops iops_rd iops_wr", "change I/O throttle limits for a block drive", .qmp = "block_set_io_throttle",
      .in = "{*device:str *id:str " LIMITS " *bps_max:int *bps_rd_max:int *bps_wr_max:int *iops_max:int *iops_rd_max:int "
      "*iops_wr_max:int *bps_max_length:int *bps_rd_max_length:int *bps_wr_max_length:int *iops_max_length:int *iops_rd_max_length:int "
      "*iops_wr_max_length:int *iops_size:int *group:str}", .run = throttle },
    { .qmp = "transaction", .in = "{actions:[{type:<abort|block-dirty-bitmap-add|block-dirty-bitmap-remove|block-dirty-bitmap-clear|"
      "block-dirty-bitmap-enable|block-dirty-bitmap-disable|block-dirty-bitmap-merge|blockdev-backup|blockdev-snapshot|"
      "blockdev-snapshot-internal-sync|blockdev-snapshot-sync|drive-backup> ?type abort={data:{}} "
      "block-dirty-bitmap-add={data:{node:str name:str *granularity:int *persistent:bool *disabled:bool}} "
      "block-dirty-bitmap-remove={data:" BITMAP_IN "} block-dirty-bitmap-clear={data:" BITMAP_IN "} "
      "block-dirty-bitmap-enable={data:" BITMAP_IN "} block-dirty-bitmap-disable={data:" BITMAP_IN "} "
      "block-dirty-bitmap-merge={data:{node:str target:str bitmaps:[(str / " BITMAP_IN ")]}} "
      "blockdev-backup={data:{" BACKUP_IN "}} blockdev-snapshot={data:{node:str overlay:str}} "
      "blockdev-snapshot-internal-sync={data:{device:str name:str}} blockdev-snapshot-sync={data:{*device:str *node-name:str "
      "snapshot-file:str *snapshot-node-name:str *format:str *mode:" MODES "}} drive-backup={data:{" BACKUP_IN " *format:str *mode:"
      MODES "}}}] *properties:{*completion-mode:<individual|grouped>}}", .run = transaction },
    { .qmp = "block-dirty-bitmap-add", .in = "{node:str name:str *granularity:int *persistent:bool *disabled:bool}", .run = bitmap_add_cmd },
    { .qmp = "block-dirty-bitmap-remove", .in = BITMAP_IN, .run = bitmap_remove_cmd },
    { .qmp = "block-dirty-bitmap-clear", .in = BITMAP_IN, .run = bitmap_clear_cmd },
    { .qmp = "block-dirty-bitmap-enable", .in = BITMAP_IN, .run = bitmap_enable_cmd },
    { .qmp = "block-dirty-bitmap-disable", .in = BITMAP_IN, .run = bitmap_disable_cmd },
    { .qmp = "block-dirty-bitmap-merge", .in = "{node:str target:str bitmaps:[(str / " BITMAP_IN ")]}", .run = bitmap_merge_cmd },
    { 0 },
};
