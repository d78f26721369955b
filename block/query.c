/* What the monitor tells about drives and nodes: info block, info blockstats, query-block and relatives. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "block/backend-int.h"
#include "block/bitmap.h"
#include "block/graph-ops.h"
#include "block/image-info.h"

static const char *const throttle_names[THROTTLE_KINDS] = { "bps", "bps_rd", "bps_wr", "iops", "iops_rd", "iops_wr" };

static bool shown(BlockBackend *b)
{
    return *b->name || b->dev;
}

static int chain_depth(BlockNode *n)
{
    int depth = 0;

    for (n = node_backing(n); n; n = node_backing(n))
        depth++;
    return depth;
}

/* ---- as JSON */

static json_t *bitmaps_json(BlockNode *n)
{
    json_t *a = json_array();

    for (DirtyBitmap *b = n->bitmaps; b; b = b->next) {
        json_t *o = json_pack("{s:s, s:I, s:I, s:b, s:b, s:b}", "name", b->name, "granularity", (json_int_t)1 << b->shift, "count",
                              (json_int_t)bitmap_count(b), "recording", b->enabled, "busy", b->busy, "persistent", b->persistent);

        if (b->inconsistent)
            json_object_set_new(o, "inconsistent", json_true());
        json_array_append_new(a, o);
    }
    return a;
}

static json_t *node_json(BlockBackend *b, BlockNode *n, bool flat)
{
    static const char *const detects[] = { "off", "on", "unmap" };
    const ThrottleConfig *t = NULL;
    const char *group = NULL;
    bool wb = b ? b->write_cache : true;
    json_t *j = json_pack("{s:s, s:s, s:s, s:b, s:b, s:i, s:s, s:I, s:{s:b, s:b, s:b}}", "file", n->filename, "node-name",
                          n->name, "drv", n->drv->name, "ro", n->read_only, "encrypted", 0, "backing_file_depth",
                          flat ? 0 : chain_depth(n), "detect_zeroes", detects[n->detect_zeroes], "write_threshold",
                          (json_int_t)n->write_threshold,
                          "cache", "writeback", wb, "direct", !!(n->flags & OPEN_DIRECT), "no-flush",
                          !!(n->flags & OPEN_NO_FLUSH));
    json_t *image = image_info(n, !flat, NULL);

    if (image)
        json_object_set_new(j, "image", image);
    if (n->bitmaps)
        json_object_set_new(j, "dirty-bitmaps", bitmaps_json(n));
    if (n->backing)
        json_object_set_new(j, "backing_file", json_string(n->backing->node->filename));
    if (b)
        t = throttle_config(&b->throttle, &group);
    for (unsigned i = 0; i < THROTTLE_KINDS; i++) {
        g_autofree char *max = g_strconcat(throttle_names[i], "_max", NULL), *len = g_strconcat(max, "_length", NULL);

        json_object_set_new(j, throttle_names[i], json_integer(t ? t->bucket[i].avg : 0));
        if (t && t->bucket[i].max) {
            json_object_set_new(j, max, json_integer(t->bucket[i].max));
            json_object_set_new(j, len, json_integer(t->bucket[i].burst));
        }
    }
    if (t && t->op_size)
        json_object_set_new(j, "iops_size", json_integer(t->op_size));
    if (group)
        json_object_set_new(j, "group", json_string(group));
    return j;
}

static json_t *drive_json(BlockBackend *b)
{
    g_autofree char *path = blk_attached_path(b);
    bool locked = b->ops && b->ops->is_medium_locked && b->ops->is_medium_locked(b->ops_opaque);
    json_t *j = json_pack("{s:s, s:s, s:b, s:b}", "device", b->name, "type", "unknown", "removable",
                          blk_is_removable(b), "locked", locked);

    if (b->iostatus)
        json_object_set_new(j, "io-status", json_string(!b->status ? "ok" : b->status == ENOSPC ? "nospace" : "failed"));
    if (*path)
        json_object_set_new(j, "qdev", json_string(path));
    if (b->ops && b->ops->is_tray_open)
        json_object_set_new(j, "tray_open", json_boolean(blk_tray_is_open(b)));
    if (blk_is_inserted(b))
        json_object_set_new(j, "inserted", node_json(b, node_skip_implicit(blk_node(b)), false));
    return j;
}

json_t *block_query(void)
{
    json_t *a = json_array();

    for (BlockBackend *b = blk_next(NULL); b; b = blk_next(b))
        if (shown(b))
            json_array_append_new(a, drive_json(b));
    return a;
}

json_t *block_query_nodes(void)
{
    json_t *a = json_array();

    for (BlockNode *n = node_next(NULL); n; n = n->next)
        json_array_insert_new(a, 0, node_json(NULL, n, true));
    return a;
}

static json_t *stats_json(const BlkStats *s, bool device)
{
    static const char *const names[BLK_ACCT_N] = { "rd", "wr", "flush", "unmap" };
    json_t *j = json_object();

    for (unsigned i = 0; i < BLK_ACCT_N; i++) {
        const struct { const char *fmt; uint64_t v; } f[] = {
            { "%s_bytes", s->bytes[i] }, { "%s_operations", s->ops[i] }, { "%s_total_time_ns", s->time_ns[i] },
            { "%s_merged", s->merged[i] }, { "failed_%s_operations", s->failed[i] },
            { "invalid_%s_operations", s->invalid[i] },
        };

        for (unsigned k = 0; k < G_N_ELEMENTS(f); k++) {
            char key[64];

            if (i == BLK_ACCT_FLUSH && (k == 0 || k == 3))
                continue;
            g_snprintf(key, sizeof(key), f[k].fmt, names[i]);
            json_object_set_new(j, key, json_integer(f[k].v));
        }
    }
    json_object_set_new(j, "wr_highest_offset", json_integer(s->wr_highest_offset));
    json_object_set_new(j, "account_invalid", json_boolean(device));
    json_object_set_new(j, "account_failed", json_boolean(device));
    json_object_set_new(j, "timed_stats", json_array());
    return j;
}

static json_t *node_stats(BlockNode *n, const BlkStats *s)
{
    BlkStats own = { .wr_highest_offset = n->write_highest };
    json_t *j = json_pack("{s:s, s:o}", "node-name", n->name, "stats", stats_json(s ? s : &own, s != NULL));
    NodeLink *l = node_storage(n);

    if (l)
        json_object_set_new(j, "parent", node_stats(l->node, NULL));
    if (n->backing)
        json_object_set_new(j, "backing", node_stats(n->backing->node, NULL));
    return j;
}

static json_t *drive_stats(BlockBackend *b)
{
    const BlkStats *s = blk_stats(b);
    json_t *j = blk_is_inserted(b) ? node_stats(node_skip_implicit(blk_node(b)), s) : json_pack("{s:o}", "stats", stats_json(s, true));
    g_autofree char *path = blk_attached_path(b);

    json_object_set_new(j, "device", json_string(b->name));
    if (b->last_access)
        json_object_set_new(json_object_get(j, "stats"), "idle_time_ns", json_integer(aio_now() - b->last_access));
    if (*path)
        json_object_set_new(j, "qdev", json_string(path));
    return j;
}

json_t *block_query_stats(bool nodes)
{
    json_t *a = json_array();

    if (nodes) {
        for (BlockNode *n = node_next(NULL); n; n = n->next)
            json_array_insert_new(a, 0, node_stats(n, NULL));
        return a;
    }
    for (BlockBackend *b = blk_next(NULL); b; b = blk_next(b))
        if (shown(b))
            json_array_append_new(a, drive_stats(b));
    return a;
}

/* ---- as text */

static void print_throttle(GString *out, BlockBackend *b)
{
    const char *group;
    const ThrottleConfig *t = b ? throttle_config(&b->throttle, &group) : NULL;

    if (!t)
        return;
    g_string_append(out, "    I/O throttling:  ");
    for (unsigned half = 0; half < THROTTLE_KINDS; half += 3) {
        for (unsigned i = 0; i < 3; i++)
            g_string_append_printf(out, " %s=%" PRIu64, throttle_names[half + i], t->bucket[half + i].avg);
        for (unsigned i = 0; i < 3; i++)
            g_string_append_printf(out, " %s_max=%" PRIu64, throttle_names[half + i], t->bucket[half + i].max);
    }
    g_string_append_printf(out, " iops_size=%" PRIu64 " group=%s\n", t->op_size, group);
}

static void print_images(GString *out, BlockNode *n)
{
    g_string_append(out, "\nImages:\n");
    for (; n; n = node_backing(n)) {
        json_t *info = image_info(n, false, NULL);

        if (info)
            image_info_print(out, info);
        json_decref(info);
    }
}

static void print_inserted(GString *out, BlockBackend *b, BlockNode *n, bool verbose)
{
    static const char *const detects[] = { "off", "on", "unmap" };

    g_string_append_printf(out, "    Cache mode:       %s%s%s\n", !b || b->write_cache ? "writeback" : "writethrough",
                           n->flags & OPEN_DIRECT ? ", direct" : "", n->flags & OPEN_NO_FLUSH ? ", ignore flushes" : "");
    if (n->backing)
        g_string_append_printf(out, "    Backing file:     %s (chain depth: %d)\n", n->backing->node->filename,
                               chain_depth(n));
    if (n->detect_zeroes)
        g_string_append_printf(out, "    Detect zeroes:    %s\n", detects[n->detect_zeroes]);
    print_throttle(out, b);
    if (verbose)
        print_images(out, n);
}

static void print_name(GString *out, const char *title, BlockNode *n, bool with_node)
{
    g_string_append(out, title);
    if (n && with_node)
        g_string_append_printf(out, " (%s)", n->name);
    if (n)
        g_string_append_printf(out, ": %s (%s%s)\n", n->filename, n->drv->name, n->read_only ? ", read-only" : "");
    else
        g_string_append(out, ": [not inserted]\n");
}

static void print_drive(GString *out, BlockBackend *b, bool verbose)
{
    BlockNode *n = blk_is_inserted(b) ? node_skip_implicit(blk_node(b)) : NULL;
    g_autofree char *path = blk_attached_path(b);

    print_name(out, *b->name ? b->name : n ? n->name : *path ? path : "<anonymous>", n, *b->name);
    if (*path)
        g_string_append_printf(out, "    Attached to:      %s\n", path);
    if (blk_is_removable(b))
        g_string_append_printf(out, "    Removable device: %slocked, tray %s\n",
                               b->ops && b->ops->is_medium_locked && b->ops->is_medium_locked(b->ops_opaque) ? "" : "not ",
                               blk_tray_is_open(b) ? "open" : "closed");
    if (b->iostatus && b->status)
        g_string_append_printf(out, "    I/O status:       %s\n", b->status == ENOSPC ? "nospace" : "failed");
    if (n)
        print_inserted(out, b, n, verbose);
}

void block_info(GString *out, const char *device, bool nodes, bool verbose)
{
    g_autoptr(GPtrArray) list = g_ptr_array_new();
    bool first = true;

    for (BlockBackend *b = nodes ? NULL : blk_next(NULL); b; b = blk_next(b)) {
        if (!shown(b))
            continue;
        if (!device || !strcmp(device, b->name)) {
            if (!first)
                g_string_append_c(out, '\n');
            print_drive(out, b, verbose);
        }
        first = false;
    }
    for (BlockNode *n = nodes ? node_next(NULL) : NULL; n; n = n->next)
        g_ptr_array_insert(list, 0, n);
    for (unsigned i = 0; i < list->len; i++) {
        BlockNode *n = g_ptr_array_index(list, i);

        if (device && strcmp(device, n->name))
            continue;
        if (i)
            g_string_append_c(out, '\n');
        print_name(out, n->name, n, false);
        print_inserted(out, NULL, n, verbose);
    }
}

void block_info_stats(GString *out)
{
    for (BlockBackend *b = blk_next(NULL); b; b = blk_next(b)) {
        const BlkStats *s = blk_stats(b);

        if (!*b->name)
            continue;
        g_string_append_printf(out, "%s: rd_bytes=%" PRIu64 " wr_bytes=%" PRIu64 " rd_operations=%" PRIu64
                               " wr_operations=%" PRIu64 " flush_operations=%" PRIu64 " wr_total_time_ns=%" PRIu64
                               " rd_total_time_ns=%" PRIu64 " flush_total_time_ns=%" PRIu64 " rd_merged=%" PRIu64
                               " wr_merged=%" PRIu64 " idle_time_ns=%" PRId64 "\n", b->name, s->bytes[BLK_ACCT_READ],
                               s->bytes[BLK_ACCT_WRITE], s->ops[BLK_ACCT_READ], s->ops[BLK_ACCT_WRITE],
                               s->ops[BLK_ACCT_FLUSH], s->time_ns[BLK_ACCT_WRITE], s->time_ns[BLK_ACCT_READ],
                               s->time_ns[BLK_ACCT_FLUSH], s->merged[BLK_ACCT_READ], s->merged[BLK_ACCT_WRITE],
                               b->last_access ? aio_now() - b->last_access : 0);
    }
}
