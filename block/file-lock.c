/* Locks of an image file between processes. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include "block/graph.h"
#include "block/file-lock.h"
#include "util/error.h"

#define BYTE_PERM 100
#define BYTE_UNSHARED 200

static int set_lock(int fd, short type, int cmd, unsigned start, unsigned len, short *found)
{
    struct flock fl = { .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len };
    int ret;

    do {
        ret = fcntl(fd, cmd, &fl);
    } while (ret < 0 && errno == EINTR);
    if (found)
        *found = fl.l_type;
    return ret < 0 ? -errno : 0;
}

bool file_lock_available(void)
{
    static int known = -1;

    if (known < 0) {
        int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

        known = fd >= 0 && set_lock(fd, F_WRLCK, F_OFD_GETLK, 0, 1, NULL) == 0;
        if (fd >= 0)
            close(fd);
    }
    return known;
}

/* Calls for each run of ones in bits; -errno of the first failure, *at then says where. */
static int each_run(int fd, short type, int cmd, unsigned base, unsigned bits, unsigned *at)
{
    for (unsigned i = 0; i < PERM_N; i++) {
        unsigned n = 0;
        short found = F_UNLCK;
        int ret;

        while (i + n < PERM_N && bits & (1u << (i + n)))
            n++;
        if (!n)
            continue;
        *at = i;
        ret = set_lock(fd, type, cmd, base + i, n, &found);
        if (ret < 0)
            return ret;
        if (cmd == F_OFD_GETLK && found != F_UNLCK) {
            if (n == 1)
                return -EAGAIN;
            for (unsigned j = i; j < i + n; j++) {      /* which of them? */
                *at = j;
                ret = set_lock(fd, type, cmd, base + j, 1, &found);
                if (ret < 0 || found != F_UNLCK)
                    return ret < 0 ? ret : -EAGAIN;
            }
        }
        i += n;
    }
    return 0;
}

bool file_lock_add(int fd, unsigned perm, unsigned unshared, GError **err)
{
    unsigned at, base = BYTE_PERM;
    int ret = each_run(fd, F_RDLCK, F_OFD_SETLK, BYTE_PERM, perm & PERM_ALL, &at);

    if (ret == 0) {
        base = BYTE_UNSHARED;
        ret = each_run(fd, F_RDLCK, F_OFD_SETLK, BYTE_UNSHARED, unshared & PERM_ALL, &at);
    }
    return ret == 0 || error_set_errno(err, ret, "Failed to lock byte %u", base + at);
}

void file_lock_keep(int fd, unsigned perm, unsigned unshared)
{
    unsigned at;

    each_run(fd, F_UNLCK, F_OFD_SETLK, BYTE_PERM, ~perm & PERM_ALL, &at);
    each_run(fd, F_UNLCK, F_OFD_SETLK, BYTE_UNSHARED, ~unshared & PERM_ALL, &at);
}

bool file_lock_check(int fd, unsigned perm, unsigned unshared, GError **err)
{
    unsigned at;

    if (each_run(fd, F_WRLCK, F_OFD_GETLK, BYTE_UNSHARED, perm & PERM_ALL, &at) < 0)
        return error_set(err, "Failed to get \"%s\" lock", perm_names[at]);
    if (each_run(fd, F_WRLCK, F_OFD_GETLK, BYTE_PERM, unshared & PERM_ALL, &at) < 0)
        return error_set(err, "Failed to get shared \"%s\" lock", perm_names[at]);
    return true;
}
