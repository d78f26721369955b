/* The monitor's NBD commands, by their QMP arguments; names of exports and order of lists are QEMU's. */
#include <string.h>
#include "block/graph-ops.h"
#include "block/nbd-int.h"
#include "util/error.h"
#include "util/opts.h"

static const char *text_of(json_t *args, const char *key)
{
    return json_string_value(json_object_get(args, key));
}

static bool flag(json_t *args, const char *key)
{
    return json_is_true(json_object_get(args, key));
}

bool nbd_command_start(json_t *args, GError **err)
{
    json_t *addr = json_object_get(args, "addr"), *data = json_object_get(addr, "data");
    int64_t max = json_object_get(args, "max-connections") ? json_integer_value(json_object_get(args, "max-connections")) : 100;
    SocketAddress a = { .path = (char *)text_of(data, "path"), .host = (char *)text_of(data, "host"),
                        .port = (char *)text_of(data, "port"), .ipv4 = flag(data, "ipv4"), .ipv6 = flag(data, "ipv6") };

    if (text_of(args, "tls-creds") || text_of(args, "tls-authz"))
        return error_set(err, "tls-creds: TLS is not supported");
    if (!a.path && !a.port)
        return error_set(err, "NBD over sockets of type '%s' is not supported", text_of(addr, "type"));
    if (max < 0 || max > G_MAXUINT)
        return error_set(err, "Parameter 'max-connections' expects a number below 2^32");
    return nbd_server_start(&a, max, NULL, err);
}

bool nbd_command_stop(GError **err)
{
    if (!nbd_server_running())
        return error_set(err, "NBD server not running");
    nbd_server_stop();
    return true;
}

static bool add(BlockNode *n, const NbdExportOptions *o, GError **err)
{
    for (NbdExport *e = nbd_exports(); e; e = e->next)
        if (!g_strcmp0(e->id, o->id))
            return error_set(err, "Block export id '%s' is already in use", o->id);
    if (!nbd_server_running())
        return error_set(err, "NBD server not running");
    return nbd_export_add(n, o, err);
}

bool nbd_command_export_add(json_t *args, GError **err)
{
    const char *node = text_of(args, "node-name"), *name = text_of(args, "name");
    json_t *list = json_object_get(args, "bitmaps"), *item;
    g_autoptr(GPtrArray) bitmaps = g_ptr_array_new(), nodes = g_ptr_array_new();
    NbdExportOptions o = { text_of(args, "id"), name ? name : node, text_of(args, "description"), flag(args, "writable"),
                           flag(args, "writethrough"), flag(args, "allocation-depth"), .bytes = -1 };
    BlockNode *n;
    size_t i;

    if (!id_wellformed(o.id))
        return error_set(err, "Invalid block export id");
    if (text_of(args, "iothread"))
        return error_set(err, "iothread: exports run on the main loop only");
    n = block_lookup(NULL, node, err);
    if (!n)
        return false;
    json_array_foreach(list, i, item) {
        g_ptr_array_add(bitmaps, (char *)(json_is_string(item) ? json_string_value(item) : text_of(item, "name")));
        g_ptr_array_add(nodes, json_is_string(item) ? NULL : (char *)text_of(item, "node"));
    }
    g_ptr_array_add(bitmaps, NULL);
    o.bitmaps = (const char *const *)bitmaps->pdata;
    o.bitmap_nodes = (const char *const *)nodes->pdata;
    return add(n, &o, err);
}

bool nbd_command_add(json_t *args, GError **err)
{
    const char *device = text_of(args, "device"), *name = text_of(args, "name"), *bitmap = text_of(args, "bitmap");
    const char *bitmaps[] = { bitmap, NULL };
    NbdExportOptions o = { name ? name : device, name ? name : device, text_of(args, "description"), flag(args, "writable"),
                           .bitmaps = bitmaps, .bytes = -1 };
    BlockNode *n = block_lookup(device, device, err);

    if (n && n->read_only)
        o.writable = false;             /* QEMU's older command is lenient */
    return n && add(n, &o, err);
}

bool nbd_export_all(bool writable, GError **err)
{
    for (BlockBackend *b = blk_next(NULL); b; b = blk_next(b)) {
        NbdExportOptions o = { blk_name(b), blk_name(b), .bytes = -1 };

        if (!*o.name || !blk_is_inserted(b))
            continue;
        o.writable = writable && !blk_is_read_only(b);
        if (!add(blk_node(b), &o, err)) {
            nbd_server_stop();
            return false;
        }
    }
    return true;
}
