/* Commands on drives and media. */
#include <string.h>
#include "block/block.h"
#include "ui/remote.h"
#include "monitor/monitor-int.h"
#include "monitor/qmp-schema.h"

static void print_block(Monitor *mon, json_t *args)
{
    GString *out = g_string_new(NULL);

    block_info(out, arg_str(args, "device"), arg_bool(args, "nodes"), arg_bool(args, "verbose"));
    mon_puts(mon, out->str);
    g_string_free(out, true);
}

static void print_stats(Monitor *mon, json_t *args)
{
    GString *out = g_string_new(NULL);

    block_info_stats(out);
    mon_puts(mon, out->str);
    g_string_free(out, true);
}

static json_t *query_block(Monitor *mon, json_t *args, GError **err)
{
    return block_query();
}

static json_t *query_stats(Monitor *mon, json_t *args, GError **err)
{
    return block_query_stats(arg_bool(args, "query-nodes"));
}

static json_t *query_nodes(Monitor *mon, json_t *args, GError **err)
{
    return block_query_nodes();
}

/* ---- Media ---- */

/* QMP names a drive by its own id (device) or by its device's (id). */
static const char *which(json_t *args, bool *by_qdev, GError **err)
{
    const char *device = arg_str(args, "device"), *id = arg_str(args, "id");

    *by_qdev = id != NULL;
    if (!device == !id) {
        error_set(err, "Need exactly one of 'device' and 'id'");
        return NULL;
    }
    return id ? id : device;
}

static json_t *eject(Monitor *mon, json_t *args, GError **err)
{
    bool by_qdev;
    const char *drive = which(args, &by_qdev, err);

    if (drive)
        blockdev_eject(drive, by_qdev, arg_bool(args, "force"), err);
    return NULL;
}

static json_t *open_tray(Monitor *mon, json_t *args, GError **err)
{
    bool by_qdev;
    const char *drive = which(args, &by_qdev, err);

    if (drive)
        blockdev_open_tray(drive, by_qdev, arg_bool(args, "force"), err);
    return NULL;
}

static json_t *close_tray(Monitor *mon, json_t *args, GError **err)
{
    bool by_qdev;
    const char *drive = which(args, &by_qdev, err);

    if (drive)
        blockdev_close_tray(drive, by_qdev, err);
    return NULL;
}

static const char *const modes[] = { "retain", "read-only", "read-write", NULL };

static bool parse_mode(const char *s, BlkReadOnlyMode *mode, GError **err)
{
    *mode = BLK_RO_RETAIN;
    for (unsigned i = 0; s && modes[i]; i++) {
        if (!strcmp(modes[i], s)) {
            *mode = (BlkReadOnlyMode[]){ BLK_RO_RETAIN, BLK_RO_ON, BLK_RO_OFF }[i];
            return true;
        }
    }
    return !s || error_set(err, "invalid parameter value: %s", s);
}

static json_t *change_medium(Monitor *mon, json_t *args, GError **err)
{
    BlkReadOnlyMode mode;
    bool by_qdev;
    const char *drive;

    if (arg_str(args, "device") && !strcmp(arg_str(args, "device"), "vnc") && !strcmp(arg_str(args, "filename"), "password")) {
        if (!arg_str(args, "format"))
            error_set(err, "expected: change vnc password PASSWORD");
        else
            remote_set_password(NULL, arg_str(args, "format"), err);
        return NULL;
    }
    drive = which(args, &by_qdev, err);
    if (drive && parse_mode(arg_str(args, "read-only-mode"), &mode, err))
        blockdev_change_medium(drive, by_qdev, arg_str(args, "filename"), arg_str(args, "format"), arg_bool(args, "force"), mode, err);
    return NULL;
}

static json_t *resize(Monitor *mon, json_t *args, GError **err)
{
    const char *device = arg_str(args, "device");

    blockdev_resize(device ? device : arg_str(args, "node-name") ? arg_str(args, "node-name") : "", arg_int(args, "size", 0), err);
    return NULL;
}

/* ---- Adding and removing ---- */

static json_t *add_blockdev(Monitor *mon, json_t *args, GError **err)
{
    blockdev_add(args, err);
    return NULL;
}

static json_t *del_blockdev(Monitor *mon, json_t *args, GError **err)
{
    blockdev_del(arg_str(args, "node-name"), err);
    return NULL;
}

static void hmp_drive_add(Monitor *mon, json_t *args)
{
    GError *err = NULL;
    DriveInfo *d = drive_add(arg_str(args, "opts"), BLK_IF_NONE, &err);

    if (!d) {
        mon_printf(mon, "%s\n", err->message);
        g_error_free(err);
    } else if (d->type == BLK_IF_NONE) {
        mon_printf(mon, "OK\n");
    } else {
        mon_printf(mon, "Can't hot-add drive to type %d\n", d->type);
    }
}

static void hmp_drive_del(Monitor *mon, json_t *args)
{
    GError *err = NULL;

    if (!drive_del(arg_str(args, "id"), &err)) {
        mon_printf(mon, "%s\n", err->message);
        g_error_free(err);
    }
}

static void hmp_qemu_io(Monitor *mon, json_t *args)
{
    GString *out = g_string_new(NULL);
    GError *e = NULL;

    if (!block_io_command(arg_str(args, "device"), arg_bool(args, "qdev"), arg_str(args, "command"), out, &e))
        error_report_err(e);
    mon_puts(mon, out->str);
    g_string_free(out, true);
}

const MonCommand commands_block[] = {
    { "info block", "nodes:-n verbose:-v device:dev?", "[-n] [-v] [device]", "show info of one block device or all block devices "
      "(-n: show named nodes; -v: show details)", .qmp = "query-block", .out = "[BlockInfo]", .run = query_block, .print = print_block },
    { "info blockstats", .params = "", .help = "show block device statistics", .qmp = "query-blockstats", .in = "{*query-nodes:bool}",
      .out = "[BlockStats]", .run = query_stats, .print = print_stats },
    { .qmp = "query-named-block-nodes", .in = "{*flat:bool}", .out = "[BlockDeviceInfo]", .run = query_nodes },
    { "eject", "force:-f device:dev", "[-f] device", "eject a removable medium (use -f to force it)", .qmp = "eject",
      .in = "{*device:str *id:str *force:bool}", .run = eject },
    { "change", "device:dev force:-f filename:path format:str? read-only-mode:str?", "device [-f] filename [format [read-only-mode]]",
      "change a removable medium, optional format, use -f to force the operation", .qmp = "blockdev-change-medium",
      .in = "{*device:str *id:str filename:str *format:str *force:bool *read-only-mode:<retain|read-only|read-write>}",
      .run = change_medium },
    { .qmp = "blockdev-open-tray", .in = "{*device:str *id:str *force:bool}", .run = open_tray },
    { .qmp = "blockdev-close-tray", .in = "{*device:str *id:str}", .run = close_tray },
    { "block_resize", "device:dev size:size", "device size", "resize a block image", .qmp = "block_resize",
      .in = "{*device:str *node-name:str size:int}", .run = resize },
    { .qmp = "blockdev-add", .in = "{driver:str *node-name:str *discard:<ignore|unmap> *cache:{*direct:bool *no-flush:bool} "
      "*read-only:bool *auto-read-only:bool *force-share:bool *detect-zeroes:<off|on|unmap> ...}", .run = add_blockdev },
    { .qmp = "blockdev-del", .in = "{node-name:str}", .run = del_blockdev },
    { "drive_add", "pci_addr:str opts:str", "<dummy> [file=file][,if=none][,id=id][,format=f][,snapshot=on|off][,cache=c][,readonly=on|off]",
      "add a drive for device_add to use; the first argument is not looked at", .print = hmp_drive_add },
    { "qemu-io", "qdev:-d device:dev command:str", "[-d] [device] \"[command]\"", "run a qemu-io command on a block device\n"
      "\t\t\t-d: [device] is a device ID rather than a drive ID or node name", .print = hmp_qemu_io },
    { "drive_del", "id:dev", "device", "remove host block device", .print = hmp_drive_del },
    { 0 },
};
