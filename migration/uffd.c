/* userfaultfd(2). */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/userfaultfd.h>
#include "migration/format.h"
#include "migration/uffd.h"
#include "util/error.h"

#ifndef USERFAULTFD_IOC_NEW
#define USERFAULTFD_IOC_NEW _IO(0xAA, 0x00)
#endif

enum { BATCH = 32 };

/* The device where there is one (Linux 6.1): its file's mode says who may; else the call. */
static int get_descriptor(void)
{
    int dev = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC), fd;

    if (dev >= 0) {
        fd = ioctl(dev, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);
        close(dev);
        if (fd >= 0)
            return fd;
    }
    return syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
}

int uffd_open(bool wp, GError **err)
{
    int fd = get_descriptor();
    struct uffdio_api api = { .api = UFFD_API, .features = wp ? UFFD_FEATURE_PAGEFAULT_FLAG_WP : 0 };

    if (fd < 0) {
        error_set_errno(err, errno, "userfaultfd is not available (%s)", errno == EPERM ?
                        "the sysctl vm.unprivileged_userfaultfd must be 1, or /dev/userfaultfd accessible" : "the kernel lacks it");
        return -1;
    }
    if (ioctl(fd, UFFDIO_API, &api) < 0) {
        error_set_errno(err, errno, "this kernel's userfaultfd %s", wp ? "cannot protect pages against writes" : "is of another version");
        close(fd);
        return -1;
    }
    return fd;
}

int uffd_register(int fd, void *host, uint64_t size, bool wp)
{
    struct uffdio_register r = { .range = { (uintptr_t)host, size }, .mode = wp ? UFFDIO_REGISTER_MODE_WP : UFFDIO_REGISTER_MODE_MISSING };
    uint64_t need = wp ? 1ull << _UFFDIO_WRITEPROTECT : 1ull << _UFFDIO_COPY;

    if (ioctl(fd, UFFDIO_REGISTER, &r) < 0)
        return -errno;
    if (r.ioctls & need)
        return 0;
    uffd_unregister(fd, host, size);
    return -ENOTSUP;
}

void uffd_unregister(int fd, void *host, uint64_t size)
{
    struct uffdio_range r = { (uintptr_t)host, size };

    ioctl(fd, UFFDIO_UNREGISTER, &r);
}

static void wake(int fd, void *at, uint64_t size)
{
    struct uffdio_range r = { (uintptr_t)at, size };

    ioctl(fd, UFFDIO_WAKE, &r);
}

/* Calls `request` (COPY or ZEROPAGE) until all of it is there: the kernel stops at a page that is. */
static int fill(int fd, uint8_t *to, const uint8_t *from, uint64_t size)
{
    while (size) {
        struct uffdio_copy c = { .dst = (uintptr_t)to, .src = (uintptr_t)from, .len = size };
        struct uffdio_zeropage z = { .range = { (uintptr_t)to, size } };
        int r = from ? ioctl(fd, UFFDIO_COPY, &c) : ioctl(fd, UFFDIO_ZEROPAGE, &z), error = errno;
        int64_t done = from ? c.copy : z.zeropage;

        if (r == 0)
            return 0;
        if (done <= 0) {
            done = 0;
            if (error == EEXIST) {
                wake(fd, to, MIG_PAGE);
                done = MIG_PAGE;
            } else if (error != EAGAIN) {
                return -error;
            }
        }
        to += done;
        from += from ? done : 0;
        size -= done;
    }
    return 0;
}

int uffd_copy(int fd, void *to, const void *from, uint64_t size)
{
    return fill(fd, to, from, size);
}

int uffd_zero(int fd, void *to, uint64_t size)
{
    return fill(fd, to, NULL, size);
}

int uffd_protect(int fd, void *host, uint64_t size, bool on)
{
    struct uffdio_writeprotect w = { .range = { (uintptr_t)host, size }, .mode = on ? UFFDIO_WRITEPROTECT_MODE_WP : 0 };
    int r;

    do
        r = ioctl(fd, UFFDIO_WRITEPROTECT, &w);
    while (r < 0 && errno == EAGAIN);
    return r < 0 ? -errno : 0;
}

int uffd_wait(int fd, int quit_fd, int timeout, UffdFault *faults, unsigned max)
{
    struct uffd_msg m[BATCH];
    struct pollfd p[2] = { { .fd = fd, .events = POLLIN }, { .fd = quit_fd, .events = POLLIN } };
    int n = 0;
    ssize_t r;

    do
        r = poll(p, 2, timeout);
    while (r < 0 && errno == EINTR);
    if (r < 0)
        return -errno;
    if (p[1].revents || !p[0].revents)
        return 0;
    r = read(fd, m, sizeof *m * MIN(max, BATCH));
    if (r < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    for (unsigned i = 0; i < r / sizeof *m; i++)
        if (m[i].event == UFFD_EVENT_PAGEFAULT)
            faults[n++] = (UffdFault){ m[i].arg.pagefault.address & ~(uint64_t)(MIG_PAGE - 1),
                                       m[i].arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP };
    return n;
}
