/* Locks of an image file between processes: one byte for each permission that is used, one for each that is not
 * shared, at the offsets that QEMU uses, as OFD read locks (so that any number may say the same). */
#ifndef BLOCK_FILE_LOCK_H
#define BLOCK_FILE_LOCK_H
#include <glib.h>
#include <stdbool.h>

bool file_lock_available(void);
/* Adds the locks for perm and for what is not in shared. */
bool file_lock_add(int fd, unsigned perm, unsigned unshared, GError **err);
/* Drops all but those for perm and unshared. */
void file_lock_keep(int fd, unsigned perm, unsigned unshared);
/* Nobody else's locks stand against perm and unshared. */
bool file_lock_check(int fd, unsigned perm, unsigned unshared, GError **err);
#endif
