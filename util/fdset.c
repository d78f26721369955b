/* Sets of inherited or received file descriptors. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>
#include "util/error.h"
#include "util/fdset.h"

typedef struct Member {
    int64_t set;
    int fd;
    char *note;
} Member;

static GArray *members;     /* Member, sorted by set, then by age */

static bool exists(int64_t set)
{
    for (unsigned i = 0; members && i < members->len; i++) {
        if (g_array_index(members, Member, i).set == set)
            return true;
    }
    return false;
}

int64_t fdset_add(int64_t set, int fd, const char *opaque, GError **err)
{
    Member m = { set, fd, g_strdup(opaque) };
    unsigned i;

    if (fcntl(fd, F_GETFD) < 0) {
        g_free(m.note);
        error_set_errno(err, errno, "cannot use file descriptor %d", fd);
        return -1;
    }
    if (!members)
        members = g_array_new(false, false, sizeof(Member));
    if (set < 0) {
        for (m.set = 0; exists(m.set); m.set++)
            ;
    }
    for (i = 0; i < members->len && g_array_index(members, Member, i).set <= m.set; i++)
        ;
    g_array_insert_val(members, i, m);
    return m.set;
}

bool fdset_remove(int64_t set, int fd, GError **err)
{
    bool any = false;

    for (unsigned i = 0; members && i < members->len;) {
        Member *m = &g_array_index(members, Member, i);

        if (m->set == set && (fd < 0 || m->fd == fd)) {
            close(m->fd);
            g_free(m->note);
            g_array_remove_index(members, i);
            any = true;
        } else {
            i++;
        }
    }
    if (any)
        return true;
    if (fd >= 0)
        return error_set(err, "File descriptor named 'fdset-id:%" PRId64 ", fd:%d' not found", set, fd);
    return error_set(err, "File descriptor named 'fdset-id:%" PRId64 "' not found", set);
}

void fdset_foreach(void (*fn)(int64_t set, int fd, const char *note, void *opaque), void *opaque)
{
    for (unsigned i = 0; members && i < members->len; i++) {
        Member *m = &g_array_index(members, Member, i);

        fn(m->set, m->fd, m->note, opaque);
    }
}

bool fdset_is_path(const char *path)
{
    return g_str_has_prefix(path, "/dev/fdset/");
}

int fdset_open(const char *path, int flags, unsigned mode)
{
    int64_t set;
    char *end;

    if (!fdset_is_path(path))
        return open(path, flags | O_CLOEXEC, mode);
    set = g_ascii_strtoll(path + strlen("/dev/fdset/"), &end, 10);
    if (*end || end == path + strlen("/dev/fdset/")) {
        errno = EINVAL;
        return -1;
    }
    for (unsigned i = 0; members && i < members->len; i++) {
        Member *m = &g_array_index(members, Member, i);
        int have = m->set == set ? fcntl(m->fd, F_GETFL) : -1, fd;

        if (have < 0 || (have & O_ACCMODE) != (flags & O_ACCMODE))
            continue;
        fd = fcntl(m->fd, F_DUPFD_CLOEXEC, 0);
        if (fd >= 0 && (flags & (O_APPEND | O_NONBLOCK | O_DIRECT)) != (have & (O_APPEND | O_NONBLOCK | O_DIRECT)))
            fcntl(fd, F_SETFL, flags & (O_APPEND | O_NONBLOCK | O_DIRECT));
        if (fd >= 0 && (flags & O_TRUNC) && ftruncate(fd, 0) < 0 && errno != EINVAL) {
            close(fd);
            return -1;
        }
        return fd;
    }
    errno = exists(set) ? EACCES : ENOENT;
    return -1;
}

void fds_fill_standard(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}
