/* Commands on VNC servers. */
#include <string.h>
#include "monitor/monitor-int.h"
#include "monitor/qmp-schema.h"
#include "ui/remote.h"

static json_t *query(Monitor *mon, json_t *args, GError **err)
{
    return remote_query();
}

static json_t *query_servers(Monitor *mon, json_t *args, GError **err)
{
    return remote_query_servers();
}

static void print(Monitor *mon, json_t *args)
{
    g_autoptr(GString) out = g_string_new(NULL);

    remote_print(out);
    mon_puts(mon, out->str);
}

/* The protocol must be VNC: there is no SPICE. */
static bool is_vnc(json_t *args, GError **err)
{
    const char *protocol = arg_str(args, "protocol");

    if (!strcmp(protocol, "vnc"))
        return true;
    return !strcmp(protocol, "spice") ? error_set_class(err, ERR_DEVICE_NOT_ACTIVE, "SPICE is not in use")
                                      : error_set(err, "Parameter 'protocol' does not accept value '%s'", protocol);
}

static json_t *set_password(Monitor *mon, json_t *args, GError **err)
{
    const char *connected = arg_str(args, "connected");

    if (!is_vnc(args, err))
        return NULL;
    if (connected && strcmp(connected, "keep")) {   /* as in QEMU: only SPICE can do more */
        error_set(err, "Invalid parameter 'connected'");
        return NULL;
    }
    remote_set_password(arg_str(args, "display"), arg_str(args, "password"), err);
    return NULL;
}

static json_t *expire_password(Monitor *mon, json_t *args, GError **err)
{
    if (is_vnc(args, err))
        remote_expire_password(arg_str(args, "display"), arg_str(args, "time"), err);
    return NULL;
}

static json_t *change_password(Monitor *mon, json_t *args, GError **err)
{
    remote_set_password(NULL, arg_str(args, "password"), err);
    return NULL;
}

const MonCommand commands_vnc[] = {
    { "info vnc", .params = "", .help = "show the vnc server status", .print = print },
    { .qmp = "query-vnc", .out = "VncInfo", .run = query },
    { .qmp = "query-vnc-servers", .out = "[VncInfo2]", .run = query_servers },
    { "set_password", "protocol:str password:str display:-d=str connected:str?",
      "protocol password [-d display] [action-if-connected]", "set spice/vnc password", .qmp = "set_password",
      .in = "{protocol:<vnc|spice> password:str *connected:<keep|fail|disconnect> ?protocol vnc={*display:str}}",
      .run = set_password },
    { "expire_password", "protocol:str time:str display:-d=str", "protocol time [-d display]", "set spice/vnc password expire-time",
      .qmp = "expire_password", .in = "{protocol:<vnc|spice> time:str ?protocol vnc={*display:str}}", .run = expire_password },
    { .qmp = "change-vnc-password", .in = "{password:str}", .run = change_password },
    { 0 },
};
