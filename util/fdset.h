/*
 * Sets of file descriptors that somebody else has opened for us: -add-fd, QMP's add-fd.
 * A path "/dev/fdset/N" stands for the member of set N whose access mode is the wanted one.
 */
#ifndef UTIL_FDSET_H
#define UTIL_FDSET_H
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* Takes fd. set < 0: a new one, with the lowest free number.  Returns the set's number, or -1 with *err. */
int64_t fdset_add(int64_t set, int fd, const char *opaque, GError **err);
/* fd < 0: all of the set. */
bool fdset_remove(int64_t set, int fd, GError **err);
void fdset_foreach(void (*fn)(int64_t set, int fd, const char *note, void *opaque), void *opaque);
bool fdset_is_path(const char *path);
/* As open(): a duplicate that the caller closes, or -1 with errno. Other paths are opened, with O_CLOEXEC. */
int fdset_open(const char *path, int flags, unsigned mode);
/* First in main: where stdin, stdout or stderr are closed, /dev/null takes their place, so that no image or socket gets their
 * numbers, and what is printed with them. */
void fds_fill_standard(void);
#endif
