/* A serial port of the host, with its line parameters and modem lines; also any other device below /dev. */
#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>
#include "chardev/char-int.h"
#include "util/error.h"

static const struct { unsigned baud; speed_t code; } speeds[] = {
    { 50, B50 }, { 75, B75 }, { 110, B110 }, { 134, B134 }, { 150, B150 }, { 200, B200 }, { 300, B300 }, { 600, B600 },
    { 1200, B1200 }, { 1800, B1800 }, { 2400, B2400 }, { 4800, B4800 }, { 9600, B9600 }, { 19200, B19200 },
    { 38400, B38400 }, { 57600, B57600 }, { 115200, B115200 }, { 230400, B230400 }, { 460800, B460800 },
    { 500000, B500000 }, { 576000, B576000 }, { 921600, B921600 }, { 1000000, B1000000 }, { 1152000, B1152000 },
    { 1500000, B1500000 }, { 2000000, B2000000 }, { 2500000, B2500000 }, { 3000000, B3000000 },
    { 3500000, B3500000 }, { 4000000, B4000000 },
};

/* The nearest: a divisor of 1.8432 MHz does not give the standard rates exactly. */
static speed_t speed_code(unsigned baud)
{
    unsigned best = 0;

    for (unsigned i = 1; i < G_N_ELEMENTS(speeds); i++) {
        if (ABS((int64_t)speeds[i].baud - baud) < ABS((int64_t)speeds[best].baud - baud))
            best = i;
    }
    return speeds[best].code;
}

static bool set_params(int fd, const ChrSerialParams *p)
{
    static const tcflag_t bits[] = { CS5, CS6, CS7, CS8 };
    struct termios t;

    if (tcgetattr(fd, &t) < 0)
        return false;
    chr_termios_raw(&t);
    t.c_cflag &= ~(CSIZE | CSTOPB | PARENB | PARODD | CRTSCTS);
    t.c_cflag |= CREAD | CLOCAL | bits[CLAMP(p->data_bits, 5, 8) - 5];
    if (p->stop_bits == 2)
        t.c_cflag |= CSTOPB;
    if (p->parity == 'E' || p->parity == 'O')
        t.c_cflag |= PARENB | (p->parity == 'O' ? PARODD : 0);
    cfsetispeed(&t, speed_code(p->speed));
    cfsetospeed(&t, speed_code(p->speed));
    return tcsetattr(fd, TCSANOW, &t) == 0;
}

static bool tty_open(Chardev *c, GHashTable *opts, GError **err)
{
    static const ChrSerialParams usual = { 115200, 'N', 8, 1 };
    FdChardev *f = (FdChardev *)c;
    const char *path = chr_opt(opts, "path");
    int fd;

    f->in = f->out = -1;
    if (!path)
        return error_set(err, "chardev: serial/tty: no device path given");
    fd = chr_open_path(path, O_RDWR | O_NONBLOCK | O_NOCTTY, err);
    if (fd < 0)
        return false;
    set_params(fd, &usual);
    fd_chardev_start(f, fd, fd);
    return true;
}

static bool tty_params(Chardev *c, const ChrSerialParams *p)
{
    return set_params(((FdChardev *)c)->out, p);
}

static bool tty_break(Chardev *c, bool on)
{
    return ioctl(((FdChardev *)c)->out, on ? TIOCSBRK : TIOCCBRK) == 0;
}

static const struct { unsigned ours; int host; } modem[] = {
    { CHR_MODEM_CTS, TIOCM_CTS }, { CHR_MODEM_DSR, TIOCM_DSR }, { CHR_MODEM_RI, TIOCM_RI }, { CHR_MODEM_CD, TIOCM_CD },
    { CHR_MODEM_DTR, TIOCM_DTR }, { CHR_MODEM_RTS, TIOCM_RTS },
};

static bool tty_get_modem(Chardev *c, unsigned *lines)
{
    int host;

    if (ioctl(((FdChardev *)c)->in, TIOCMGET, &host) < 0)
        return false;
    *lines = 0;
    for (unsigned i = 0; i < G_N_ELEMENTS(modem); i++) {
        if (host & modem[i].host)
            *lines |= modem[i].ours;
    }
    return true;
}

static bool tty_set_modem(Chardev *c, unsigned lines)
{
    int fd = ((FdChardev *)c)->out, host;

    if (ioctl(fd, TIOCMGET, &host) < 0)
        return false;
    host &= ~(TIOCM_DTR | TIOCM_RTS);
    host |= (lines & CHR_MODEM_DTR ? TIOCM_DTR : 0) | (lines & CHR_MODEM_RTS ? TIOCM_RTS : 0);
    return ioctl(fd, TIOCMSET, &host) == 0;
}

const ChardevType chardev_tty = {
    .name = "serial", .alias = "tty", .size = sizeof(FdChardev), .open = tty_open, .write = fd_chardev_write,
    .want_write = fd_chardev_want_write, .serial_params = tty_params, .set_break = tty_break, .get_modem = tty_get_modem,
    .set_modem = tty_set_modem, .close = fd_chardev_close,
};
