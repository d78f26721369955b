/*
 * The terminal, or whatever else, that standard input and output are.
 *
 * The descriptors belong to the shell and its other children as well, so they never become non-blocking: a
 * terminal or a pipe is opened a second time for us.  The terminal's settings are put back at exit, by a fatal
 * signal and while the process is suspended.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>
#include "chardev/char-int.h"
#include "util/error.h"

static const int fatal_signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP };

static struct termios saved, raw;
static volatile sig_atomic_t tty_changed;   /* the terminal has our settings */
static bool in_use, handlers_set;
static const char *forbidden;                /* by which option */

void chr_restore_terminals(void)
{
    if (tty_changed) {
        tty_changed = 0;
        tcsetattr(STDIN_FILENO, TCSANOW, &saved);
    }
}

void chr_forbid_stdio(const char *option)
{
    forbidden = option;
}

static void on_fatal(int sig)
{
    chr_restore_terminals();
    signal(sig, SIG_DFL);
    raise(sig);
}

/* Ctrl-Z, or kill -TSTP: hand the terminal over, and stop. */
static void on_tstp(int sig)
{
    int saved_errno = errno;
    bool was = tty_changed;
    sigset_t set;

    chr_restore_terminals();
    signal(SIGTSTP, SIG_DFL);
    raise(SIGTSTP);
    sigemptyset(&set);
    sigaddset(&set, SIGTSTP);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);   /* stops here */
    tty_changed = was;
    errno = saved_errno;
}

/* Whatever had the terminal meanwhile may have changed it. */
static void on_cont(int sig)
{
    int saved_errno = errno;

    if (in_use) {
        struct sigaction sa = { .sa_handler = on_tstp, .sa_flags = SA_RESTART };

        sigaction(SIGTSTP, &sa, NULL);
        if (tcgetpgrp(STDIN_FILENO) == -1 || tcgetpgrp(STDIN_FILENO) == getpgrp())     /* -1: not our controlling terminal */
            tcsetattr(STDIN_FILENO, TCSANOW, &raw);
        tty_changed = 1;
    }
    errno = saved_errno;
}

static void set_handlers(void)
{
    struct sigaction fatal = { .sa_handler = on_fatal }, cont = { .sa_handler = on_cont, .sa_flags = SA_RESTART };
    struct sigaction tstp = { .sa_handler = on_tstp, .sa_flags = SA_RESTART }, old;

    if (handlers_set)
        return;
    handlers_set = true;
    for (unsigned i = 0; i < G_N_ELEMENTS(fatal_signals); i++) {
        /* A sanitizer's handler stays. */
        if (sigaction(fatal_signals[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL)
            sigaction(fatal_signals[i], &fatal, NULL);
    }
    sigaction(SIGCONT, &cont, NULL);
    if (sigaction(SIGTSTP, NULL, &old) == 0 && old.sa_handler != SIG_IGN)
        sigaction(SIGTSTP, &tstp, NULL);
    atexit(chr_restore_terminals);
}

static void set_terminal(bool signals)
{
    if (tcgetattr(STDIN_FILENO, &saved) < 0)
        return;
    raw = saved;
    chr_termios_raw(&raw);
    raw.c_oflag |= OPOST;       /* "\n" still goes to the first column: messages share this terminal */
    if (signals)
        raw.c_lflag |= ISIG;
    set_handlers();
    tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    tty_changed = 1;
}

/* A descriptor of our own for the same thing, non-blocking where that is possible. */
static int private_fd(int fd, int flags, bool *is_sock, bool *poll_first)
{
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
    struct stat st;
    int mine;

    if (fstat(fd, &st) < 0)
        return -1;
    if (S_ISSOCK(st.st_mode)) {
        *is_sock = true;
    } else if (!S_ISREG(st.st_mode)) {
        mine = open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (mine >= 0)
            return mine;
        if (poll_first)
            *poll_first = true;
    }
    return fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

static bool stdio_open(Chardev *c, GHashTable *opts, GError **err)
{
    FdChardev *f = (FdChardev *)c;
    bool in_sock = false, out_sock = false;
    int in, out;

    f->in = f->out = -1;
    if (forbidden)
        return error_set(err, "cannot use stdio with %s", forbidden);
    if (in_use)
        return error_set(err, "cannot use stdio by multiple character devices");
    in = private_fd(STDIN_FILENO, O_RDONLY, &in_sock, NULL);
    out = private_fd(STDOUT_FILENO, O_WRONLY, &out_sock, &f->poll_first);
    if (in_sock != out_sock) {
        /* One flag serves both only when both are sockets; polling first does for the odd one. */
        f->poll_first = true;
        in_sock = false;
    }
    f->is_sock = in_sock;
    in_use = true;
    set_terminal(chr_opt_bool(opts, "signal", true));
    fd_chardev_start(f, in, out);
    return true;
}

static void stdio_close(Chardev *c)
{
    FdChardev *f = (FdChardev *)c;

    if (f->in < 0 && f->out < 0)
        return;     /* never opened: the one in use is another */
    chr_restore_terminals();
    in_use = false;
    fd_chardev_close(c);
}

const ChardevType chardev_stdio = {
    .name = "stdio", .size = sizeof(FdChardev), .open = stdio_open, .write = fd_chardev_write,
    .want_write = fd_chardev_want_write, .close = stdio_close,
};
