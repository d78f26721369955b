/* Which pages of anonymous memory have ever been touched. */
#ifndef MIGRATION_POPULATED_H
#define MIGRATION_POPULATED_H
#include <stdbool.h>
#include <stdint.h>

/* Sets a bit for each page that may hold something; false: the kernel does not tell. */
bool populated_find(const void *host, uint64_t pages, unsigned long *bits);
#endif
