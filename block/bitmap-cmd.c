/* Commands on dirty bitmaps. */
#include <string.h>
#include "block/bitmap-cmd.h"
#include "block/bitmap.h"
#include "block/graph-ops.h"
#include "util/error.h"

static bool merge(BlockNode *n, const char *target, json_t *sources, GError **err)
{
    DirtyBitmap *to = bitmap_find(n, target);
    g_autofree uint8_t *before = NULL;
    bool ok = true;

    if (!to)
        return error_set(err, "Dirty bitmap '%s' not found", target);
    before = g_memdup2(to->bits, bitmap_bytes(to) + 1);
    for (size_t i = 0; i < json_array_size(sources) && ok; i++) {
        json_t *s = json_array_get(sources, i);
        const char *name = json_string_value(json_is_string(s) ? s : json_object_get(s, "name"));
        const char *node = json_is_string(s) ? NULL : json_string_value(json_object_get(s, "node"));
        BlockNode *from = node ? block_lookup(node, node, err) : n;

        ok = from && bitmap_merge(n, target, from, name, err);
    }
    if (!ok)
        memcpy(to->bits, before, bitmap_bytes(to));
    return ok;
}

bool block_bitmap_command(const char *cmd, json_t *args, GError **err)
{
    const char *node = json_string_value(json_object_get(args, "node")), *name = json_string_value(json_object_get(args, "name"));
    const char *verb = cmd + strlen("block-dirty-bitmap-");
    BlockNode *n = node_skip_implicit(block_lookup(node, node, err));
    json_t *granularity = json_object_get(args, "granularity");

    if (!n)
        return false;
    if (!strcmp(verb, "merge"))
        return merge(n, json_string_value(json_object_get(args, "target")), json_object_get(args, "bitmaps"), err);
    if (!strcmp(verb, "add")) {
        int64_t g = json_integer_value(granularity);

        if (!name || !*name)
            return error_set(err, "Bitmap name cannot be empty");
        if (granularity && (g < 512 || g > (INT64_C(1) << 31) || g & (g - 1)))
            return error_set(err, "Granularity must be power of 2 and at least 512");
        return bitmap_add(n, name, g, json_is_true(json_object_get(args, "persistent")),
                          !json_is_true(json_object_get(args, "disabled")), err) != NULL;
    }
    if (!strcmp(verb, "remove"))
        return bitmap_remove(n, name, err);
    if (!strcmp(verb, "clear"))
        return bitmap_clear(n, name, err);
    return bitmap_enable(n, name, !strcmp(verb, "enable"), err);
}
