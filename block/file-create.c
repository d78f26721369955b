/* The protocol "file": creation, size, preallocation. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "block/file-int.h"
#include "block/file-lock.h"
#include "block/options.h"
#include "util/error.h"

static int write_zeroes_to(const FileResize *r, int64_t from, int64_t to)
{
    size_t size = 65536;
    g_autofree char *raw = g_malloc0(size + 4096);
    char *buf = (char *)(((uintptr_t)raw + 4095) & ~(uintptr_t)4095);

    while (from < to) {
        size_t now = MIN((int64_t)size - from % (int64_t)size, to - from);
        ssize_t ret = pwrite(r->fd, buf, r->direct ? (now + 4095) & ~(size_t)4095 : now, from);

        if (ret < 0 && errno == EINTR)
            continue;
        if (ret <= 0)
            return ret ? -errno : -ENOSPC;
        from += ret;
    }
    return 0;
}

int file_resize(void *arg)
{
    FileResize *r = arg;
    int ret = 0;

    if (r->p == PREALLOC_FALLOC && r->to > r->from)
        ret = -posix_fallocate(r->fd, r->from, r->to - r->from);
    else if (r->p == PREALLOC_FULL && r->to > r->from)
        ret = write_zeroes_to(r, r->from, r->to);
    if (ret == 0 && ftruncate(r->fd, r->to) < 0)
        ret = -errno;
    if (ret < 0 && r->to > r->from && ftruncate(r->fd, r->from) < 0)
        return ret;
    return ret;
}

bool file_do_create(const char *filename, json_t *opts, GError **err)
{
    uint64_t size = 0;
    int p = PREALLOC_OFF;
    bool nocow = false;

    if (g_str_has_prefix(filename, "file:"))
        filename += 5;
    if (!jopts_take_size(opts, "size", &size, err) || !jopts_take_enum(opts, "preallocation", prealloc_names, &p, err) ||
        !jopts_take_bool(opts, "nocow", &nocow, err))
        return false;
    return file_create(filename, (size + 511) & ~UINT64_C(511), p, err);
}

bool file_create(const char *filename, int64_t size, Prealloc p, GError **err)
{
    int fd = open(filename, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    struct stat st;
    bool ok = false;
    int ret;

    if (fd < 0)
        return error_set_errno(err, errno, "Could not create '%s'", filename);
    /* Nobody may be using what is about to be emptied. */
    if (file_lock_available() && !(file_lock_add(fd, PERM_WRITE | PERM_RESIZE, ~(PERM_READ | PERM_WRITE_UNCHANGED), err) &&
        file_lock_check(fd, PERM_WRITE | PERM_RESIZE, PERM_WRITE | PERM_RESIZE, err))) {
        if (err && *err) {
            g_autofree char *m = g_strdup((*err)->message);

            g_clear_error(err);
            error_set(err, "%s\nIs another process using the image [%s]?", m, filename);
        }
    } else if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && ftruncate(fd, 0) < 0) {
        error_set_errno(err, errno, "Could not resize file");
    } else if (S_ISREG(st.st_mode)) {
        FileResize r = { fd, false, 0, size, p };

        ret = p == PREALLOC_METADATA ? -ENOTSUP : file_resize(&r);
        ok = ret == 0;
        if (p == PREALLOC_METADATA)
            error_set(err, "Unsupported preallocation mode '%s'", prealloc_names[p]);
        else if (!ok)
            error_set_errno(err, ret, "Could not resize file");
    } else {
        ok = true;
    }
    close(fd);
    return ok;
}
