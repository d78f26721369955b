/* Commands on dirty bitmaps, by their QMP arguments. */
#ifndef BLOCK_BITMAP_CMD_H
#define BLOCK_BITMAP_CMD_H
#include <glib.h>
#include <jansson.h>
#include <stdbool.h>

/* cmd: "block-dirty-bitmap-add" and so on */
bool block_bitmap_command(const char *cmd, json_t *args, GError **err);
#endif
