/* Where the program's modules (vmemu-ui-sdl.so, ...) are: beside it, or in the folder that configure set. */
#ifndef UTIL_MODULE_H
#define UTIL_MODULE_H
#include <glib.h>

/* The path of a readable file "vmemu-NAME.so", or NULL; to be freed. */
char *module_path(const char *name);
/* Loads it for good and returns the symbol's address; NULL with err. */
gpointer module_load(const char *name, const char *symbol, GError **err);
#endif
