/* The process: -pidfile, -daemonize, signals, -name process=. */
#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "cli/process.h"
#include "ui/display.h"
#include "util/error.h"

static int daemon_pipe = -1;
static char *pidfile;

/* The parent: 0 when the child says that it is ready, 1 when the pipe closes without a word. */
static void wait_for_child(int fd)
{
    char ready;
    ssize_t n;

    do
        n = read(fd, &ready, 1);
    while (n < 0 && errno == EINTR);
    _exit(n == 1 ? 0 : 1);
}

bool process_daemonize(GError **err)
{
    int fds[2];
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return error_set_errno(err, errno, "-daemonize: cannot make a pipe");
    pid = fork();
    if (pid < 0)
        return error_set_errno(err, errno, "-daemonize: cannot fork");
    if (pid) {
        close(fds[1]);
        wait_for_child(fds[0]);
    }
    close(fds[0]);
    daemon_pipe = fds[1];
    setsid();
    pid = fork();
    if (pid)
        _exit(pid < 0);
    umask(027);
    return true;
}

bool process_ready(GError **err)
{
    int null;

    if (daemon_pipe < 0)
        return true;
    null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || chdir("/") < 0)
        return error_set_errno(err, errno, "-daemonize: cannot leave the terminal");
    for (int fd = 0; fd < 3; fd++)
        dup2(null, fd);
    close(null);
    if (write(daemon_pipe, "", 1) != 1)
        return error_set_errno(err, errno, "-daemonize: the parent is gone");
    close(daemon_pipe);
    daemon_pipe = -1;
    return true;
}

bool process_write_pid(const char *path, GError **err)
{
    struct flock lock = { .l_type = F_WRLCK };
    char text[32];
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600), n = g_snprintf(text, sizeof text, "%d\n", (int)getpid());

    if (fd < 0)
        return error_set_errno(err, errno, "-pidfile %s: cannot create it", path);
    if (fcntl(fd, F_SETLK, &lock) < 0) {
        close(fd);
        return error_set(err, "-pidfile %s: another process holds it", path);
    }
    if (ftruncate(fd, 0) < 0 || write(fd, text, n) != n) {
        error_set_errno(err, errno, "-pidfile %s: cannot write it", path);
        close(fd);
        return false;
    }
    pidfile = g_canonicalize_filename(path, NULL);
    return true;        /* the descriptor, and so the lock, stays */
}

void process_cleanup(void)
{
    if (pidfile)
        unlink(pidfile);
    g_clear_pointer(&pidfile, g_free);
}

/* ---- Signals ---- */

static int signal_fd = -1;              /* an eventfd that wakes the main loop */
static volatile sig_atomic_t signal_number, signal_pid;

static void on_signal(int number, siginfo_t *info, void *context)
{
    int saved = errno;
    uint64_t one = 1;

    signal_number = number;
    signal_pid = info && info->si_code <= 0 ? info->si_pid : 0;     /* 0: the terminal's */
    if (write(signal_fd, &one, sizeof one) < 0) {
        /* it counts already */
    }
    errno = saved;
}

static char *name_of(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/cmdline", (int)pid);
    char *text = NULL;

    if (!g_file_get_contents(path, &text, NULL, NULL) || !*text) {
        g_free(text);
        return g_strdup("<unknown process>");
    }
    return text;        /* up to the first zero: the program */
}

static gboolean see_signal(gint fd, GIOCondition cond, gpointer machine)
{
    g_autofree char *who = signal_pid ? name_of(signal_pid) : NULL;
    uint64_t n;

    if (read(fd, &n, sizeof n) < 0)
        return G_SOURCE_CONTINUE;
    display_leave_terminal();
    if (who)
        error_report("terminating on signal %d from pid %d (%s)", (int)signal_number, (int)signal_pid, who);
    else
        fputc('\n', stderr);            /* behind the terminal's ^C */
    machine_request_shutdown(machine, CAUSE_HOST_SIGNAL);
    return G_SOURCE_CONTINUE;
}

void process_catch_signals(Machine *m)
{
    static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
    struct sigaction act = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART };

    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);           /* a write beyond ulimit -f gets EFBIG */
    signal_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    g_unix_fd_add(signal_fd, G_IO_IN, see_signal, m);
    for (size_t i = 0; i < G_N_ELEMENTS(signals); i++)
        sigaction(signals[i], &act, NULL);
}

void process_set_name(const char *name)
{
    prctl(PR_SET_NAME, name);
}
