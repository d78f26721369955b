/* Exporting images over NBD. */
#include "block/nbd-server.h"
#include "monitor/monitor-int.h"
#include "util/error.h"

static json_t *start(Monitor *mon, json_t *args, GError **err)
{
    nbd_command_start(args, err);
    return NULL;
}

static json_t *stop(Monitor *mon, json_t *args, GError **err)
{
    nbd_command_stop(err);
    return NULL;
}

static json_t *add(Monitor *mon, json_t *args, GError **err)
{
    nbd_command_add(args, err);
    return NULL;
}

static json_t *export_add(Monitor *mon, json_t *args, GError **err)
{
    nbd_command_export_add(args, err);
    return NULL;
}

static json_t *server_remove(Monitor *mon, json_t *args, GError **err)
{
    nbd_export_remove(arg_str(args, "name"), true, !g_strcmp0(arg_str(args, "mode"), "hard"), err);
    return NULL;
}

static json_t *export_del(Monitor *mon, json_t *args, GError **err)
{
    nbd_export_remove(arg_str(args, "id"), true, !g_strcmp0(arg_str(args, "mode"), "hard"), err);
    return NULL;
}

static json_t *query(Monitor *mon, json_t *args, GError **err)
{
    return nbd_exports_query();
}

static void hmp_start(Monitor *mon, json_t *args)
{
    bool all = arg_bool(args, "all"), writable = arg_bool(args, "writable");
    SocketAddress a = { 0 };
    GError *e = NULL;

    if (writable && !all)
        error_set(&e, "-w only valid together with -a");
    else if (socket_address_parse(&a, arg_str(args, "uri"), &e) && nbd_server_start(&a, 0, NULL, &e) && all)
        nbd_export_all(writable, &e);
    socket_address_clear(&a);
    if (e)
        mon_print_error(mon, e);
}

static void hmp_remove(Monitor *mon, json_t *args)
{
    GError *e = NULL;

    if (!nbd_export_remove(arg_str(args, "name"), true, arg_bool(args, "force"), &e))
        mon_print_error(mon, e);
}

#define MODE "<safe|hard>"
const MonCommand commands_nbd[] = {
    { "nbd_server_start", "all:-a writable:-w uri:str", "nbd_server_start [-a] [-w] host:port",
      "serve block devices on the given host and port", .print = hmp_start },
    { "nbd_server_add", "writable:-w device:dev name:str?", "nbd_server_add [-w] device [name]", "export a block device via NBD",
      .qmp = "nbd-server-add", .in = "{device:str *name:str *description:str *writable:bool *bitmap:str}", .run = add },
    { "nbd_server_remove", "force:-f name:str", "nbd_server_remove [-f] name", "remove an export previously exposed via NBD",
      .print = hmp_remove },
    { "nbd_server_stop", "", "nbd_server_stop", "stop serving block devices using the NBD protocol", .qmp = "nbd-server-stop",
      .run = stop },
    { .qmp = "nbd-server-start", .in = "{addr:SocketAddressLegacy *tls-creds:str *tls-authz:str *max-connections:int}", .run = start },
    { .qmp = "nbd-server-remove", .in = "{name:str *mode:" MODE "}", .run = server_remove },
    { .qmp = "block-export-add", .in = "{type:<nbd> id:str *fixed-iothread:bool *iothread:str node-name:str *writable:bool "
      "*writethrough:bool *name:str *description:str *bitmaps:[(str / {node:str name:str})] *allocation-depth:bool}",
      .run = export_add },
    { .qmp = "block-export-del", .in = "{id:str *mode:" MODE "}", .run = export_del },
    { .qmp = "query-block-exports", .out = "[{id:str type:<nbd|vhost-user-blk|fuse> node-name:str shutting-down:bool}]", .run = query },
    { 0 },
};
