/* Where firmware images (BIOS, option ROMs, ...) are looked for: -L's folders, then those set by configure. */
#ifndef UTIL_FIRMWARE_H
#define UTIL_FIRMWARE_H
#include <glib.h>
#include <stdbool.h>

/* -L DIR: searched before all that was known; DIR is copied. */
void firmware_add_dir(const char *dir);
/* The path of a readable file: `name` itself when it has a slash or is in the current folder, else in the first
 * folder that has it. NULL when there is none. Caller frees. */
char *firmware_find(const char *name);
/* Reads it whole. err says which package has a missing file of a known name. */
bool firmware_load(const char *name, char **data, gsize *size, GError **err);
/* -L help: a line a folder. */
void firmware_list_dirs(GString *out);
#endif
