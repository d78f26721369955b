/* A parallel port of the host, through its user-space driver (Linux ppdev). */
#include <errno.h>
#include <fcntl.h>
#include <linux/parport.h>
#include <linux/ppdev.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "chardev/char-int.h"
#include "util/error.h"

typedef struct ParallelChardev {
    Chardev chr;
    int fd;
    bool claimed;
} ParallelChardev;

static bool parallel_open(Chardev *c, GHashTable *opts, GError **err)
{
    ParallelChardev *p = (ParallelChardev *)c;
    const char *path = chr_opt(opts, "path");

    p->fd = -1;
    if (!path)
        return error_set(err, "chardev: parallel: no device path given");
    p->fd = chr_open_path(path, O_RDWR | O_CLOEXEC, err);
    if (p->fd < 0)
        return false;
    if (ioctl(p->fd, PPCLAIM) < 0)
        return error_set_errno(err, errno, "not a parallel port: '%s'", path);
    p->claimed = true;
    return true;
}

static int parallel_write(Chardev *c, const uint8_t *buf, int len)
{
    return len;     /* bytes go by registers */
}

static bool parallel_read_reg(Chardev *c, ChrParallelReg reg, uint8_t *value)
{
    static const unsigned long req[] = { PPRDATA, PPRSTATUS, PPRCONTROL };

    if (ioctl(((ParallelChardev *)c)->fd, req[reg], value) < 0)
        return false;
    if (reg == CHR_PP_CONTROL)
        *value &= 0x1f;
    return true;
}

static bool parallel_write_reg(Chardev *c, ChrParallelReg reg, uint8_t value)
{
    int fd = ((ParallelChardev *)c)->fd, input = !!(value & 0x20);
    uint8_t control = value & 0x1f;

    if (reg == CHR_PP_DATA)
        return ioctl(fd, PPWDATA, &value) == 0;
    if (reg != CHR_PP_CONTROL)
        return false;
    return ioctl(fd, PPDATADIR, &input) == 0 && ioctl(fd, PPWCONTROL, &control) == 0;
}

static void parallel_close(Chardev *c)
{
    ParallelChardev *p = (ParallelChardev *)c;

    if (p->claimed)
        ioctl(p->fd, PPRELEASE);
    if (p->fd >= 0)
        close(p->fd);
}

const ChardevType chardev_parallel = {
    .name = "parallel", .alias = "parport", .size = sizeof(ParallelChardev), .open = parallel_open, .write = parallel_write,
    .pp_read = parallel_read_reg, .pp_write = parallel_write_reg, .close = parallel_close,
};
