/*
 * The protocols "file" and "host_device": an image in a file or on a block device of the host.
 *
 * O_DIRECT with aio=native and all with aio=io_uring goes through the kernel's queues, everything else to worker
 * threads; but a read that the page cache can answer is done at once (RWF_NOWAIT).  Not modelled: pr-manager, drop-cache, SCSI pass-through.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "block/aio.h"
#include "block/graph.h"
#include "block/file-int.h"
#include "block/file-lock.h"
#include "block/options.h"
#include "util/error.h"

/* ---- opening */

static uint32_t power_of_two(uint32_t v)
{
    return v && !(v & (v - 1)) && v <= 65536 ? v : 4096;
}

static void file_limits(BlockNode *n)
{
    FileState *s = n->state;
    struct statx sx;
    int sector;

    n->limits.request_align = n->limits.mem_align = 1;
    if (!s->direct)
        return;
    n->limits.request_align = n->limits.mem_align = 4096;
    if (s->block_device) {
        if (ioctl(s->fd, BLKSSZGET, &sector) == 0)
            n->limits.request_align = n->limits.mem_align = power_of_two(sector);
        return;
    }
#ifdef STATX_DIOALIGN
    if (statx(s->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &sx) == 0 && (sx.stx_mask & STATX_DIOALIGN) &&
        sx.stx_dio_offset_align) {
        n->limits.request_align = power_of_two(sx.stx_dio_offset_align);
        n->limits.mem_align = power_of_two(sx.stx_dio_mem_align);
    }
#else
    (void)sx;
#endif
}

static int64_t fd_length(FileState *s)
{
    struct stat st;
    uint64_t size;
    off_t end;

    if (fstat(s->fd, &st) < 0)
        return -errno;
    if (S_ISREG(st.st_mode))
        return st.st_size;
    if (S_ISBLK(st.st_mode))
        return ioctl(s->fd, BLKGETSIZE64, &size) < 0 ? -errno : (int64_t)MIN(size, (uint64_t)INT64_MAX);
    end = lseek(s->fd, 0, SEEK_END);
    return end < 0 ? 0 : end;
}

static bool take_options(BlockNode *n, json_t *opts, char **path, GError **err)
{
    static const char *const aios[] = { "threads", "native", "io_uring", NULL };
    static const char *const lockings[] = { "auto", "on", "off", NULL };
    FileState *s = n->state;
    int aio = 0, locking = 0;
    uint64_t batch;

    *path = jopts_take(opts, "filename");
    if (!*path)
        return error_set(err, "The '%s' block driver requires a file name", n->drv->name);
    if (!jopts_take_enum(opts, "aio", aios, &aio, err) || !jopts_take_enum(opts, "locking", lockings, &locking, err) ||
        !jopts_take_number(opts, "aio-max-batch", &batch, err))
        return false;
    s->direct = n->flags & OPEN_DIRECT;
    s->native = aio == 1;
    s->uring = aio == 2;
#ifndef CONFIG_URING
    if (s->uring)
        return error_set(err, "aio=io_uring was specified, but is not supported in this build.");
#endif
    if (s->native && !s->direct)
        return error_set(err, "aio=native was specified, but it requires cache.direct=on, which was not specified.");
    if (locking == 1 && !file_lock_available())
        warn_report("File lock requested but OFD locking syscall is unavailable, falling back to no locks");
    s->locking = locking != 2 && file_lock_available();
    return true;
}

static int open_path(BlockNode *n, const char *path)
{
    FileState *s = n->state;
    int mode = O_CLOEXEC | O_NONBLOCK | (s->direct ? O_DIRECT : 0);
    int fd = -1;

    if (n->flags & OPEN_RDWR) {
        fd = open(path, mode | O_RDWR);
        if (fd >= 0 || !(n->flags & OPEN_AUTO_RDONLY) || (errno != EACCES && errno != EROFS && errno != EPERM))
            return fd;
    }
    fd = open(path, mode | O_RDONLY);
    if (fd >= 0)
        n->read_only = true;
    return fd;
}

static bool check_kind(BlockNode *n, const char *path, GError **err)
{
    FileState *s = n->state;
    struct stat st;

    if (fstat(s->fd, &st) < 0)
        return error_set_errno(err, errno, "Could not stat file");
    if (n->drv == &driver_file && !S_ISREG(st.st_mode))
        return error_set(err, "'%s' driver requires '%s' to be a regular file", n->drv->name, path);
    if (n->drv == &driver_host_device && !S_ISBLK(st.st_mode) && !S_ISCHR(st.st_mode))
        return error_set(err, "'%s' driver requires '%s' to be either a character or block device", n->drv->name, path);
    s->block_device = S_ISBLK(st.st_mode);
    s->growable = S_ISREG(st.st_mode);
    n->length = fd_length(s);
    if (n->length < 0)
        return error_set_errno(err, (int)n->length, "Could not get the size of '%s'", path);
    return true;
}

static bool file_open(BlockNode *n, json_t *opts, unsigned flags, GError **err)
{
    FileState *s = n->state;
    g_autofree char *path = NULL;

    s->fd = -1;
    s->shared = PERM_ALL;
    if (!take_options(n, opts, &path, err))
        return false;
    g_free(n->filename);
    g_free(n->exact_filename);
    n->filename = g_strdup(path);
    n->exact_filename = g_strdup(path);
    s->fd = open_path(n, path);
    if (s->fd < 0) {
        struct stat st;
        int e = errno;

        if (n->drv == &driver_file && stat(path, &st) == 0 && !S_ISREG(st.st_mode))
            return error_set(err, "'%s' driver requires '%s' to be a regular file", n->drv->name, path);
        if (e == EINVAL && s->direct)
            return error_set(err, "Could not open '%s': filesystem does not support O_DIRECT", path);
        return error_set_errno(err, e, "Could not open '%s'", path);
    }
    if (!check_kind(n, path, err))
        return false;
    if (s->native && !laio_usable())
        return error_set(err, "Unable to use native AIO: the kernel has no queue left (see fs.aio-max-nr)");
    if (s->uring && !uring_usable())
        return error_set(err, "Unable to use io_uring: the kernel refuses it, or liburing.so.2 is not installed");
    file_limits(n);
    if (flags & OPEN_TEMPORARY)
        unlink(path);
    return true;
}

/* Another descriptor, with the same locks, for the same file. */
static bool file_reopen(BlockNode *n, bool rw, GError **err)
{
    FileState *s = n->state;
    int fd = open(n->exact_filename, O_CLOEXEC | O_NONBLOCK | (s->direct ? O_DIRECT : 0) | (rw ? O_RDWR : O_RDONLY));
    struct stat a, b;

    if (fd < 0)
        return error_set_errno(err, errno, "Could not open '%s'", n->exact_filename);
    if (fstat(fd, &a) < 0 || fstat(s->fd, &b) < 0 || a.st_dev != b.st_dev || a.st_ino != b.st_ino) {
        close(fd);
        return error_set(err, "'%s' is not the file any more that it was", n->exact_filename);
    }
    if (s->locking && !file_lock_add(fd, s->perm, ~s->shared, err)) {
        close(fd);
        return false;
    }
    close(s->fd);
    s->fd = fd;
    return true;
}

static void file_close(BlockNode *n)
{
    FileState *s = n->state;

    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}

/* ---- permissions are locks */

static bool file_perm_check(BlockNode *n, unsigned perm, unsigned shared, GError **err)
{
    FileState *s = n->state;
    GError *e = NULL;

    if (block_is_inactive()) {
        perm = 0;
        shared = PERM_ALL;
    }
    if (!s->locking || ((s->perm | perm) == s->perm && (s->shared & shared) == s->shared))
        return true;
    if (file_lock_add(s->fd, s->perm | perm, ~s->shared | ~shared, &e) &&
        file_lock_check(s->fd, perm, ~shared & PERM_ALL, &e))
        return true;
    file_lock_keep(s->fd, s->perm, ~s->shared);
    error_set(err, "%s\nIs another process using the image [%s]?", e->message, n->filename);
    g_error_free(e);
    return false;
}

static void file_perm_set(BlockNode *n, unsigned perm, unsigned shared)
{
    FileState *s = n->state;

    if (block_is_inactive()) {
        perm = 0;
        shared = PERM_ALL;
    }
    if (s->locking && (perm != s->perm || shared != s->shared) && (s->perm & ~perm || shared & ~s->shared))
        file_lock_keep(s->fd, perm, ~shared);
    s->perm = perm;
    s->shared = shared;
}

/* Another process has had the file. */
static bool file_activate(BlockNode *n, GError **err)
{
    int64_t length = fd_length(n->state);

    if (length < 0)
        return error_set_errno(err, (int)length, "Could not get the size of '%s'", n->filename);
    ((FileState *)n->state)->data_end = 0;
    node_set_length(n, length);
    return true;
}

static void file_perm_abort(BlockNode *n)
{
    FileState *s = n->state;

    if (s->locking)
        file_lock_keep(s->fd, s->perm, ~s->shared);
}

/* ---- reading and writing (file-rw.c) */

static int file_co_read(BlockNode *n, int64_t offset, int64_t bytes, const IoVec *v, size_t vo, unsigned flags)
{
    return file_rw(n, offset, bytes, v, vo, false);
}

static int file_co_write(BlockNode *n, int64_t offset, int64_t bytes, const IoVec *v, size_t vo, unsigned flags)
{
    FileState *s = n->state;
    int ret = file_rw(n, offset, bytes, v, vo, true);

    s->writes++;
    return ret;
}

/* ---- flush, zeroes, discard, size */

static int do_sync(void *arg)
{
    FileState *s = arg;

    return fdatasync(s->fd) < 0 ? -errno : 0;
}

static int file_co_flush(BlockNode *n)
{
    FileState *s = n->state;
    uint64_t upto = s->writes;
    int ret;

    if ((n->flags & OPEN_NO_FLUSH) || s->synced == upto)
        return 0;
    /* After a failure the kernel forgets which pages were lost: no later success can be believed. */
    if (s->sync_failed)
        return -EIO;
    ret = co_thread_pool(do_sync, s);
    if (ret == 0)
        s->synced = MAX(s->synced, upto);
    else if (!s->direct)
        s->sync_failed = true;
    return ret;
}

typedef struct Range { FileState *s; int64_t offset, bytes, length; bool unmap; } Range;

static int punch(FileState *s, int64_t offset, int64_t bytes)
{
    uint64_t range[2] = { offset, bytes };
    int ret;

    if (s->no_punch)
        return -ENOTSUP;
    if (s->block_device)
        ret = ioctl(s->fd, BLKDISCARD, range);
    else
        ret = fallocate(s->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, bytes);
    if (ret == 0)
        return 0;
    if (errno != EOPNOTSUPP && errno != ENODEV && errno != ENOSYS && errno != ENOTTY && errno != EINVAL)
        return -errno;
    s->no_punch = true;
    return -ENOTSUP;
}

static int do_zero(void *arg)
{
    Range *r = arg;
    FileState *s = r->s;
    uint64_t range[2] = { r->offset, r->bytes };

    if (s->block_device)
        return ioctl(s->fd, BLKZEROOUT, range) == 0 ? 0 : errno == ENOTTY || errno == EOPNOTSUPP ? -ENOTSUP : -errno;
    if (r->offset >= r->length && r->unmap)     /* a hole at the end */
        return ftruncate(s->fd, r->offset + r->bytes) < 0 ? -errno : 0;
    if (r->unmap && punch(s, r->offset, r->bytes) == 0)
        return r->offset + r->bytes > r->length && ftruncate(s->fd, r->offset + r->bytes) < 0 ? -errno : 0;
    if (s->no_zero_range)
        return -ENOTSUP;
    if (fallocate(s->fd, FALLOC_FL_ZERO_RANGE, r->offset, r->bytes) == 0)
        return 0;
    if (errno != EOPNOTSUPP && errno != ENOSYS && errno != EINVAL)
        return -errno;
    s->no_zero_range = true;
    return -ENOTSUP;
}

static int file_co_zero(BlockNode *n, int64_t offset, int64_t bytes, unsigned flags)
{
    FileState *s = n->state;
    Range r = { s, offset, bytes, n->length, flags & BLK_MAY_UNMAP };
    int ret = s->growable || s->block_device ? co_thread_pool(do_zero, &r) : -ENOTSUP;

    s->writes++;
    s->data_end = 0;
    return ret;
}

static int do_discard(void *arg)
{
    Range *r = arg;

    return punch(r->s, r->offset, r->bytes);
}

static int file_co_discard(BlockNode *n, int64_t offset, int64_t bytes)
{
    FileState *s = n->state;
    Range r = { s, offset, bytes };
    int ret = s->growable || s->block_device ? co_thread_pool(do_discard, &r) : -ENOTSUP;

    s->writes++;
    s->data_end = 0;
    return ret;
}

static int file_co_truncate(BlockNode *n, int64_t length, bool exact, Prealloc p, GError **err)
{
    FileState *s = n->state;
    FileResize r = { s->fd, s->direct, n->length, length, p };
    int ret;

    if (!s->growable) {
        int64_t now = fd_length(s);

        if (now >= length && (!exact || now == length))
            return 0;
        return error_set(err, exact ? "Cannot resize device files" : "Cannot grow device files"), -ENOTSUP;
    }
    if (p != PREALLOC_OFF && length < n->length)
        return error_set(err, "Preallocation can't be used for shrinking files"), -EINVAL;
    if (p == PREALLOC_METADATA)
        return error_set(err, "Unsupported preallocation mode '%s'", prealloc_names[p]), -ENOTSUP;
    ret = co_thread_pool(file_resize, &r);
    s->writes++;
    s->data_end = 0;
    if (ret < 0)
        error_set_errno(err, ret, p == PREALLOC_FALLOC ? "Could not preallocate data" : "Failed to resize file");
    return ret;
}

/* ---- status */

static int file_co_status(BlockNode *n, int64_t offset, int64_t bytes, int64_t *pnum, int64_t *map, BlockNode **file)
{
    FileState *s = n->state;
    off_t data, hole;

    *map = offset;
    *file = n;
    *pnum = bytes;
    if (!s->growable)
        return STATUS_DATA | STATUS_OFFSET;
    if (offset >= s->data && offset < s->data_end) {
        *pnum = MIN(bytes, s->data_end - offset);
        return STATUS_DATA | STATUS_OFFSET;
    }
    data = lseek(s->fd, offset, SEEK_DATA);
    if (data < 0 && errno == ENXIO)     /* a hole up to the end */
        return STATUS_ZERO | STATUS_OFFSET;
    if (data > offset) {
        *pnum = MIN(bytes, data - offset);
        return STATUS_ZERO | STATUS_OFFSET;
    }
    hole = data < 0 ? -1 : lseek(s->fd, offset, SEEK_HOLE);
    if (hole > offset) {
        *pnum = MIN(bytes, hole - offset);
        s->data = offset;
        s->data_end = hole;
    }
    return STATUS_DATA | STATUS_OFFSET;
}

static int64_t file_allocated(BlockNode *n)
{
    FileState *s = n->state;
    struct stat st;

    return fstat(s->fd, &st) < 0 ? -errno : (int64_t)st.st_blocks * 512;
}

static bool file_parse_filename(const char *filename, json_t *opts, GError **err)
{
    if (g_str_has_prefix(filename, "file:"))
        filename += 5;
    else if (g_str_has_prefix(filename, "host_device:"))
        filename += 12;
    jopts_set(opts, "filename", filename);
    return true;
}

static const CreateOpt create_opts[] = {
    { "size", COPT_SIZE, "Virtual disk size" },
    { "nocow", COPT_BOOL, "Turn off copy-on-write (valid only on btrfs)" },
    { "preallocation", COPT_STRING, "Preallocation mode (allowed values: off, falloc, full)" },
    { NULL },
};

#define COMMON \
    .is_protocol = true, .state_size = sizeof(FileState), .open = file_open, .reopen = file_reopen, .close = file_close, \
    .parse_filename = file_parse_filename, .co_read = file_co_read, .co_write = file_co_write, .co_zero = file_co_zero, \
    .co_discard = file_co_discard, .co_flush = file_co_flush, .co_truncate = file_co_truncate, \
    .co_status = file_co_status, .allocated = file_allocated, .refresh_limits = file_limits, \
    .zero_flags = BLK_MAY_UNMAP, .perm_check = file_perm_check, .perm_set = file_perm_set, \
    .perm_abort = file_perm_abort, .activate = file_activate

const BlockDriver driver_file = {
    .name = "file", COMMON, .create_opts = create_opts, .create = file_do_create,
};

const BlockDriver driver_host_device = {
    .name = "host_device", COMMON,
};
