/* What can be told about an image: ImageInfo of QMP, and the text of "qemu-img info". */
#ifndef BLOCK_IMAGE_INFO_H
#define BLOCK_IMAGE_INFO_H
#include "block/graph.h"

/* ImageInfo; with chain the backing images inside ("backing-image"). NULL and err on failure. */
json_t *image_info(BlockNode *n, bool chain, GError **err);
/* The lines of one image, backing images left out. */
void image_info_print(GString *out, json_t *info);
/* The lines of an ImageInfoSpecific. */
void image_info_print_specific(GString *out, json_t *spec);
/* Columns of a snapshot list; NULL: the heading. */
void snapshot_print(GString *out, const SnapshotInfo *sn);
/* The keys of an object in the order in which QEMU prints them; NULL-terminated, g_free the array. */
const char **json_keys_ranked(json_t *j);
/* JSON in one line, keys in that order; g_free it. */
char *json_dump_ranked(json_t *j);
/* "196 KiB" */
char *size_text(uint64_t bytes);
#endif
