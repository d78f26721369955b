/* Chardevs that need no care: null, file, pipe. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "chardev/char-int.h"
#include "util/error.h"

static bool null_open(Chardev *c, GHashTable *opts, GError **err)
{
    return true;
}

static int null_write(Chardev *c, const uint8_t *buf, int len)
{
    return len;
}

const ChardevType chardev_null = {
    .name = "null", .size = sizeof(Chardev), .open = null_open, .write = null_write,
};

/* Polling an ordinary file for input is pointless (always ready, at its end too), but harmless: the end
 * closes the reader. */
static bool file_open(Chardev *c, GHashTable *opts, GError **err)
{
    FdChardev *f = (FdChardev *)c;
    const char *path = chr_opt(opts, "path"), *input = chr_opt(opts, "input-path");
    int in = -1, out;

    f->in = f->out = -1;
    if (!path)
        return error_set(err, "chardev: file: no filename given");
    out = chr_open_path(path, O_WRONLY | O_CREAT | (chr_opt_bool(opts, "append", false) ? O_APPEND : O_TRUNC), err);
    if (out < 0)
        return false;
    chr_set_nonblock(out);
    if (input) {
        in = chr_open_path(input, O_RDONLY | O_NONBLOCK, err);
        if (in < 0) {
            close(out);
            return false;
        }
    }
    fd_chardev_start(f, in, out);
    return true;
}

const ChardevType chardev_file = {
    .name = "file", .size = sizeof(FdChardev), .open = file_open, .write = fd_chardev_write,
    .want_write = fd_chardev_want_write, .close = fd_chardev_close,
};

/* PATH.in and PATH.out where they exist, otherwise PATH for both.  All are opened for reading and writing, so that
 * the open does not wait for the other end, nor its leaving end ours. */
static bool pipe_open(Chardev *c, GHashTable *opts, GError **err)
{
    FdChardev *f = (FdChardev *)c;
    const char *path = chr_opt(opts, "path");
    g_autofree char *in_path = NULL, *out_path = NULL;
    int in, out;

    f->in = f->out = -1;
    if (!path)
        return error_set(err, "chardev: pipe: no device path given");
    in_path = g_strconcat(path, ".in", NULL);
    out_path = g_strconcat(path, ".out", NULL);
    in = open(in_path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    out = open(out_path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (in < 0 || out < 0) {
        if (in >= 0)
            close(in);
        if (out >= 0)
            close(out);
        in = out = chr_open_path(path, O_RDWR | O_NONBLOCK, err);
        if (in < 0)
            return false;
    }
    fd_chardev_start(f, in, out);
    return true;
}

const ChardevType chardev_pipe = {
    .name = "pipe", .size = sizeof(FdChardev), .open = pipe_open, .write = fd_chardev_write,
    .want_write = fd_chardev_want_write, .close = fd_chardev_close,
};
