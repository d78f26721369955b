/*
 * A client of QEMU's qtest protocol (docs: "QTest Device Emulation Testing Framework"): a line a
 * command, a line a reply, and "IRQ raise|lower N" lines in between.  Nothing here is specific to
 * vmemu: VMEMU=qemu-system-x86_64 runs a test against stock QEMU.
 */
#include <errno.h>
#include <ftw.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include "libqtest.h"

/* Debian's QEMU has no accelerator of that name; stopped CPUs come closest, but its clock can't be stepped. */
#define QEMU_ACCEL "-accel tcg -S"
enum { IRQ_MAX = 64, REPLY_MS = 30000, TEST_SECONDS = 60, END_MS = 10000, EVENT_MS = 1000 };

typedef struct Stream {
    int fd;
    GString *in;            /* read, not yet handed out */
} Stream;

struct QTest {
    pid_t pid;
    Stream qt, qmp;         /* qmp.fd is -1 without a monitor */
    bool irq[IRQ_MAX];
    unsigned raised[IRQ_MAX];
    GPtrArray *events;      /* lines of QMP events */
};

/* ---- TAP ---- */

static unsigned tap_count, tap_failed;
static char *tap_folder;
static pid_t running;       /* for the alarm's handler */

static void tap_print(bool ok, const char *fmt, va_list ap)
{
    g_autofree char *name = g_strdup_vprintf(fmt, ap);

    tap_failed += !ok;
    printf("%sok %u - %s\n", ok ? "" : "not ", ++tap_count, name);
    fflush(stdout);
}

bool tap_ok(bool ok, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    tap_print(ok, fmt, ap);
    va_end(ap);
    return ok;
}

bool tap_eq_at(const char *file, int line, uint64_t got, uint64_t want, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    tap_print(got == want, fmt, ap);
    va_end(ap);
    if (got != want) {
        tap_note("%s:%d: got 0x%" PRIx64 ", want 0x%" PRIx64, file, line, got, want);
    }
    return got == want;
}

bool tap_str_eq(const char *got, const char *want, const char *fmt, ...)
{
    bool ok = g_strcmp0(got, want) == 0;
    va_list ap;

    va_start(ap, fmt);
    tap_print(ok, fmt, ap);
    va_end(ap);
    if (!ok) {
        tap_note("got  '%s'", got ? got : "(null)");
        tap_note("want '%s'", want ? want : "(null)");
    }
    return ok;
}

bool tap_mem_eq(const void *got, const void *want, size_t size, const char *fmt, ...)
{
    const uint8_t *g = got, *w = want;
    size_t at = 0;
    va_list ap;

    while (at < size && g[at] == w[at]) {
        at++;
    }
    va_start(ap, fmt);
    tap_print(at == size, fmt, ap);
    va_end(ap);
    if (at < size) {
        tap_note("byte %zu of %zu: got 0x%02x, want 0x%02x", at, size, g[at], w[at]);
    }
    return at == size;
}

void tap_skip(const char *name, const char *why)
{
    printf("ok %u - %s # SKIP %s\n", ++tap_count, name, why);
    fflush(stdout);
}

void tap_note(const char *fmt, ...)
{
    va_list ap;
    g_autofree char *text = NULL;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    printf("# %s\n", text);
    fflush(stdout);
}

void tap_bail(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    tap_print(false, fmt, ap);
    va_end(ap);
    exit(tap_done());
}

int tap_done(void)
{
    printf("1..%u\n", tap_count);
    fflush(stdout);
    return tap_failed ? 1 : 0;
}

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    return remove(path);
}

static void at_end(void)
{
    if (running > 0) {
        kill(running, SIGKILL);
        waitpid(running, NULL, 0);
    }
    if (tap_folder) {
        nftw(tap_folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    }
}

static void on_alarm(int sig)
{
    static const char text[] = "not ok 9999 - the test took longer than its limit\n";

    if (running > 0) {
        kill(running, SIGKILL);
    }
    if (write(1, text, sizeof(text) - 1) < 0) {
        _exit(2);
    }
    _exit(1);
}

const char *test_dir(void)
{
    if (!tap_folder) {
        tap_folder = g_dir_make_tmp("vmemu-test-XXXXXX", NULL);
        if (!tap_folder) {
            tap_bail("cannot make a temporary directory: %s", g_strerror(errno));
        }
        atexit(at_end);
    }
    return tap_folder;
}

/* ---- connections ---- */

static int listen_at(const char *path)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(a.sun_path, path, sizeof(a.sun_path));
    unlink(path);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, 1)) {
        tap_bail("cannot listen at %s: %s", path, g_strerror(errno));
    }
    return fd;
}

/* The program's connection to `lis`; fails the test when the program ends first. */
static int accept_from(QTest *q, int lis, const char *what)
{
    struct pollfd p = { .fd = lis, .events = POLLIN };
    int fd, status;

    for (int waited = 0; poll(&p, 1, 50) <= 0; waited += 50) {
        if (waitpid(q->pid, &status, WNOHANG) == q->pid) {
            running = 0;
            tap_bail("the program ended before its %s connection (%s %d)", what,
                     WIFEXITED(status) ? "exit status" : "signal", WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
        }
        if (waited > REPLY_MS) {
            tap_bail("the program did not open its %s connection", what);
        }
    }
    fd = accept4(lis, NULL, NULL, SOCK_CLOEXEC);
    close(lis);
    return fd;
}

static void stream_send(Stream *s, const char *text, size_t len)
{
    while (len) {
        ssize_t n = send(s->fd, text, len, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            tap_bail("the program closed the connection (send: %s)", g_strerror(errno));
        }
        text += n;
        len -= n;
    }
}

/* The next line without its end, or NULL when none came within ms (and none may be missing: bail). */
static char *stream_line(Stream *s, int ms, bool must)
{
    char buf[4096];
    char *nl, *line;

    while (!(nl = memchr(s->in->str, '\n', s->in->len))) {
        struct pollfd p = { .fd = s->fd, .events = POLLIN };
        ssize_t n;

        if (poll(&p, 1, ms) <= 0) {
            if (must) {
                tap_bail("no reply within %d ms", ms);
            }
            return NULL;
        }
        n = recv(s->fd, buf, sizeof(buf), 0);
        if (n <= 0) {
            if (must) {
                tap_bail("the program closed the connection");
            }
            return NULL;
        }
        g_string_append_len(s->in, buf, n);
    }
    line = g_strndup(s->in->str, nl - s->in->str);
    g_string_erase(s->in, 0, nl - s->in->str + 1);
    return g_strchomp(line);
}

/* ---- start and end ---- */

static const char *program(void)
{
    const char *p = g_getenv("VMEMU");

    if (!p || !*p) {
        p = "./vmemu";
    }
    return p;
}

bool qtest_is_qemu(void)
{
    g_autofree char *base = g_path_get_basename(program());

    return g_str_has_prefix(base, "qemu");
}

static void run_child(char **argv)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    execvp(argv[0], argv);
    fprintf(stderr, "%s: %s\n", argv[0], g_strerror(errno));
    _exit(127);
}

static QTest *start(bool qmp, const char *args)
{
    static unsigned serial;
    g_autofree char *qt = g_strdup_printf("%s/qtest%u", test_dir(), serial);
    g_autofree char *qm = g_strdup_printf("%s/qmp%u", test_dir(), serial++);
    g_autofree char *monitor = qmp ? g_strdup_printf("-chardev socket,id=testqmp,path=%s -mon chardev=testqmp,mode=control",
                                                     qm) : g_strdup("");
    const char *log = g_getenv("QTEST_LOG");
    g_autofree char *line = g_strdup_printf("'%s' -qtest unix:%s -qtest-log %s -display none %s %s %s", program(), qt,
                                            log ? log : "/dev/null", qtest_is_qemu() ? QEMU_ACCEL : "-accel qtest",
                                            monitor, args);
    g_auto(GStrv) argv = NULL;
    g_autoptr(GError) err = NULL;
    QTest *q = g_new0(QTest, 1);
    int lis_qt = listen_at(qt), lis_qmp = qmp ? listen_at(qm) : -1;

    if (strchr(program(), '/') && access(program(), X_OK)) {
        tap_skip("the program", "there is none to test");
        exit(tap_done());
    }
    signal(SIGALRM, on_alarm);
    alarm(g_getenv("QTEST_SECONDS") ? atoi(g_getenv("QTEST_SECONDS")) : TEST_SECONDS);
    if (!g_shell_parse_argv(line, NULL, &argv, &err)) {
        tap_bail("arguments '%s': %s", args, err->message);
    }
    fflush(stdout);
    q->events = g_ptr_array_new_with_free_func(g_free);
    q->pid = fork();
    if (q->pid == 0) {
        run_child(argv);
    }
    running = q->pid;
    q->qmp.fd = -1;
    q->qt.in = g_string_new(NULL);
    q->qmp.in = g_string_new(NULL);
    q->qt.fd = accept_from(q, lis_qt, "qtest");
    if (qmp) {
        q->qmp.fd = accept_from(q, lis_qmp, "QMP");
        g_free(stream_line(&q->qmp, REPLY_MS, true));      /* the greeting */
        g_free(qtest_qmp(q, "{\"execute\":\"qmp_capabilities\"}"));
    }
    return q;
}

QTest *qtest_start(const char *fmt, ...)
{
    g_autofree char *args = NULL;
    va_list ap;

    va_start(ap, fmt);
    args = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    return start(false, args);
}

QTest *qtest_start_qmp(const char *fmt, ...)
{
    g_autofree char *args = NULL;
    va_list ap;

    va_start(ap, fmt);
    args = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    return start(true, args);
}

/* Waits up to ms for the end; false if it is still running. */
static bool reap(QTest *q, int ms, int *status)
{
    for (int waited = 0; waitpid(q->pid, status, WNOHANG) != q->pid; waited++) {
        if (waited >= ms) {
            return false;
        }
        g_usleep(1000);
    }
    running = 0;
    return true;
}

static void qtest_free(QTest *q)
{
    close(q->qt.fd);
    if (q->qmp.fd >= 0) {
        close(q->qmp.fd);
    }
    g_string_free(q->qt.in, TRUE);
    g_string_free(q->qmp.in, TRUE);
    g_ptr_array_free(q->events, TRUE);
    g_free(q);
    alarm(0);
}

int qtest_wait(QTest *q)
{
    int status = 0;

    if (!reap(q, END_MS, &status)) {
        tap_bail("the program does not end");
    }
    qtest_free(q);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

void qtest_end(QTest *q)
{
    int rc;

    kill(q->pid, SIGTERM);
    rc = qtest_wait(q);
    if (rc) {
        tap_bail("exit status %d after SIGTERM, not 0", rc);
    }
}

/* ---- the protocol ---- */

static void note_irq(QTest *q, const char *line)
{
    char what[8];
    unsigned n;

    if (sscanf(line, "IRQ %7s %u", what, &n) != 2 || n >= IRQ_MAX) {
        tap_bail("strange line '%s'", line);
    }
    q->irq[n] = strcmp(what, "raise") == 0;
    q->raised[n] += q->irq[n];
}

static char *command(QTest *q, const char *text)
{
    char *line;

    stream_send(&q->qt, text, strlen(text));
    stream_send(&q->qt, "\n", 1);
    while (g_str_has_prefix(line = stream_line(&q->qt, REPLY_MS, true), "IRQ ")) {
        note_irq(q, line);
        g_free(line);
    }
    return line;
}

char *qtest_raw(QTest *q, const char *fmt, ...)
{
    g_autofree char *text = NULL;
    va_list ap;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    return command(q, text);
}

char *qtest_cmd(QTest *q, const char *fmt, ...)
{
    g_autofree char *text = NULL, *line = NULL;
    va_list ap;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    line = command(q, text);
    if (strcmp(line, "OK") != 0 && !g_str_has_prefix(line, "OK ")) {
        tap_bail("%.60s: %s", text, line);
    }
    return g_strdup(line[2] ? line + 3 : "");
}

static uint64_t get(QTest *q, const char *op, uint64_t addr)
{
    g_autofree char *r = qtest_cmd(q, "%s 0x%" PRIx64, op, addr);

    return g_ascii_strtoull(r, NULL, 0);
}

static void put(QTest *q, const char *op, uint64_t addr, uint64_t v)
{
    g_free(qtest_cmd(q, "%s 0x%" PRIx64 " 0x%" PRIx64, op, addr, v));
}

uint8_t qtest_inb(QTest *q, uint16_t port) { return get(q, "inb", port); }
uint16_t qtest_inw(QTest *q, uint16_t port) { return get(q, "inw", port); }
uint32_t qtest_inl(QTest *q, uint16_t port) { return get(q, "inl", port); }
void qtest_outb(QTest *q, uint16_t port, uint8_t v) { put(q, "outb", port, v); }
void qtest_outw(QTest *q, uint16_t port, uint16_t v) { put(q, "outw", port, v); }
void qtest_outl(QTest *q, uint16_t port, uint32_t v) { put(q, "outl", port, v); }
uint8_t qtest_readb(QTest *q, uint64_t addr) { return get(q, "readb", addr); }
uint16_t qtest_readw(QTest *q, uint64_t addr) { return get(q, "readw", addr); }
uint32_t qtest_readl(QTest *q, uint64_t addr) { return get(q, "readl", addr); }
uint64_t qtest_readq(QTest *q, uint64_t addr) { return get(q, "readq", addr); }
void qtest_writeb(QTest *q, uint64_t addr, uint8_t v) { put(q, "writeb", addr, v); }
void qtest_writew(QTest *q, uint64_t addr, uint16_t v) { put(q, "writew", addr, v); }
void qtest_writel(QTest *q, uint64_t addr, uint32_t v) { put(q, "writel", addr, v); }
void qtest_writeq(QTest *q, uint64_t addr, uint64_t v) { put(q, "writeq", addr, v); }

void qtest_memread(QTest *q, uint64_t addr, void *buf, size_t size)
{
    g_autofree char *r = NULL;
    uint8_t *b = buf;

    if (!size) {
        return;
    }
    r = qtest_cmd(q, "read 0x%" PRIx64 " 0x%zx", addr, size);
    if (!g_str_has_prefix(r, "0x") || strlen(r) != 2 + 2 * size) {
        tap_bail("read of %zu bytes: %.60s", size, r);
    }
    for (size_t i = 0; i < size; i++) {
        b[i] = g_ascii_xdigit_value(r[2 + 2 * i]) << 4 | g_ascii_xdigit_value(r[3 + 2 * i]);
    }
}

void qtest_memwrite(QTest *q, uint64_t addr, const void *buf, size_t size)
{
    const uint8_t *b = buf;
    g_autofree char *hex = g_malloc(2 * size + 1);

    for (size_t i = 0; i < size; i++) {
        sprintf(hex + 2 * i, "%02x", b[i]);
    }
    if (size) {
        g_free(qtest_cmd(q, "write 0x%" PRIx64 " 0x%zx 0x%s", addr, size, hex));
    }
}

void qtest_b64read(QTest *q, uint64_t addr, void *buf, size_t size)
{
    g_autofree char *r = qtest_cmd(q, "b64read 0x%" PRIx64 " 0x%zx", addr, size);
    gsize len;
    g_autofree guchar *data = g_base64_decode(r, &len);

    if (len != size) {
        tap_bail("b64read of %zu bytes gave %zu", size, (size_t)len);
    }
    memcpy(buf, data, size);
}

void qtest_b64write(QTest *q, uint64_t addr, const void *buf, size_t size)
{
    g_autofree char *text = g_base64_encode(buf, size);

    g_free(qtest_cmd(q, "b64write 0x%" PRIx64 " 0x%zx %s", addr, size, text));
}

void qtest_memset(QTest *q, uint64_t addr, uint8_t v, size_t size)
{
    g_free(qtest_cmd(q, "memset 0x%" PRIx64 " 0x%zx 0x%02x", addr, size, v));
}

static int64_t clock_cmd(QTest *q, const char *cmd)
{
    g_autofree char *r = NULL;

    if (qtest_is_qemu()) {
        return 0;
    }
    r = qtest_cmd(q, "%s", cmd);
    return g_ascii_strtoll(r, NULL, 0);
}

int64_t qtest_clock_step(QTest *q, int64_t ns)
{
    g_autofree char *cmd = g_strdup_printf("clock_step %" PRIi64, ns);

    return clock_cmd(q, cmd);
}

int64_t qtest_clock_step_next(QTest *q)
{
    return clock_cmd(q, "clock_step");
}

int64_t qtest_clock_set(QTest *q, int64_t ns)
{
    g_autofree char *cmd = g_strdup_printf("clock_set %" PRIi64, ns);

    return clock_cmd(q, cmd);
}

void qtest_irq_intercept_in(QTest *q, const char *path)
{
    g_free(qtest_cmd(q, "irq_intercept_in %s", path));
}

void qtest_irq_intercept_out(QTest *q, const char *path)
{
    g_free(qtest_cmd(q, "irq_intercept_out %s", path));
}

bool qtest_irq(QTest *q, unsigned n)
{
    g_free(qtest_cmd(q, "endianness"));     /* lines that are already on their way come before its reply */
    return n < IRQ_MAX && q->irq[n];
}

unsigned qtest_irq_raised(QTest *q, unsigned n)
{
    unsigned r;

    qtest_irq(q, n);
    r = n < IRQ_MAX ? q->raised[n] : 0;
    if (n < IRQ_MAX) {
        q->raised[n] = 0;
    }
    return r;
}

/* ---- QMP ---- */

char *qtest_qmp(QTest *q, const char *fmt, ...)
{
    g_autofree char *text = NULL;
    char *line;
    va_list ap;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    if (q->qmp.fd < 0) {
        tap_bail("no QMP: use qtest_start_qmp");
    }
    stream_send(&q->qmp, text, strlen(text));
    stream_send(&q->qmp, "\n", 1);
    while (strstr(line = stream_line(&q->qmp, REPLY_MS, true), "\"event\":")) {
        g_ptr_array_add(q->events, line);
    }
    return line;
}

bool qtest_qmp_event(QTest *q, const char *name)
{
    g_autofree char *want = g_strdup_printf("\"event\": \"%s\"", name);
    char *line;

    for (unsigned i = 0;; i++) {
        if (i == q->events->len) {
            line = stream_line(&q->qmp, EVENT_MS, false);
            if (!line) {
                return false;
            }
            g_ptr_array_add(q->events, line);
        }
        if (strstr(q->events->pdata[i], want)) {
            g_ptr_array_remove_index(q->events, i);
            return true;
        }
    }
}

/* The JSON string that begins behind the quotation mark at p, its escapes undone. */
static char *json_string(const char *p)
{
    GString *s = g_string_new(NULL);

    for (; *p && *p != '"'; p++) {
        if (*p != '\\') {
            g_string_append_c(s, *p);
        } else if (*++p == 'n') {
            g_string_append_c(s, '\n');
        } else if (*p == 't') {
            g_string_append_c(s, '\t');
        } else if (*p == 'u') {
            g_string_append_unichar(s, strtoul((char[]){ p[1], p[2], p[3], p[4], 0 }, NULL, 16));
            p += 4;
        } else if (*p != 'r') {
            g_string_append_c(s, *p);
        }
    }
    return g_string_free(s, FALSE);
}

char *qtest_hmp(QTest *q, const char *fmt, ...)
{
    g_autofree char *text = NULL, *quoted = NULL, *reply = NULL;
    const char *p;
    va_list ap;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    quoted = g_strescape(text, NULL);
    reply = qtest_qmp(q, "{\"execute\":\"human-monitor-command\",\"arguments\":{\"command-line\":\"%s\"}}", quoted);
    p = strstr(reply, "\"return\": \"");
    if (!p) {
        tap_bail("%s: %s", text, reply);
    }
    p = json_string(p + strlen("\"return\": \""));
    for (char *in = (char *)p, *out = in;; in++) {
        if (*in != '\r') {
            *out++ = *in;
        }
        if (!*in) {
            return (char *)p;
        }
    }
}

/* ---- PCI ---- */

static uint16_t pci_select(QTest *q, unsigned devfn, unsigned off)
{
    qtest_outl(q, 0xcf8, 0x80000000u | (devfn & 0xff) << 8 | (off & 0xfc));
    return 0xcfc + (off & 3);
}

uint8_t qpci_readb(QTest *q, unsigned devfn, unsigned off)
{
    return qtest_inb(q, pci_select(q, devfn, off));
}

uint16_t qpci_readw(QTest *q, unsigned devfn, unsigned off)
{
    return qtest_inw(q, pci_select(q, devfn, off));
}

uint32_t qpci_readl(QTest *q, unsigned devfn, unsigned off)
{
    return qtest_inl(q, pci_select(q, devfn, off));
}

void qpci_writeb(QTest *q, unsigned devfn, unsigned off, uint8_t v)
{
    qtest_outb(q, pci_select(q, devfn, off), v);
}

void qpci_writew(QTest *q, unsigned devfn, unsigned off, uint16_t v)
{
    qtest_outw(q, pci_select(q, devfn, off), v);
}

void qpci_writel(QTest *q, unsigned devfn, unsigned off, uint32_t v)
{
    qtest_outl(q, pci_select(q, devfn, off), v);
}

int qpci_find(QTest *q, uint16_t vendor, uint16_t device, unsigned n)
{
    for (unsigned devfn = 0; devfn < 256; devfn++) {
        if (qpci_readl(q, devfn, 0) == (vendor | (uint32_t)device << 16) && n-- == 0) {
            return devfn;
        }
    }
    return -1;
}

uint64_t qpci_bar_size(QTest *q, unsigned devfn, unsigned bar)
{
    unsigned off = 0x10 + 4 * bar;
    uint32_t old = qpci_readl(q, devfn, off), old_high = 0, low;
    bool io = old & 1, wide = !io && (old & 6) == 4;
    uint64_t mask;

    qpci_writel(q, devfn, off, ~0u);
    low = qpci_readl(q, devfn, off);
    mask = low & (io ? ~3u : ~15u);
    if (wide) {
        old_high = qpci_readl(q, devfn, off + 4);
        qpci_writel(q, devfn, off + 4, ~0u);
        mask |= (uint64_t)qpci_readl(q, devfn, off + 4) << 32;
        qpci_writel(q, devfn, off + 4, old_high);
    } else if (mask) {
        mask |= ~0ull << 32;
    }
    qpci_writel(q, devfn, off, old);
    return mask ? ~mask + 1 : 0;
}

void qpci_map_bar(QTest *q, unsigned devfn, unsigned bar, uint64_t addr)
{
    unsigned off = 0x10 + 4 * bar;
    uint32_t type = qpci_readl(q, devfn, off);
    bool io = type & 1;

    qpci_writel(q, devfn, off, addr);
    if (!io && (type & 6) == 4) {
        qpci_writel(q, devfn, off + 4, addr >> 32);
    }
    qpci_writew(q, devfn, 4, qpci_readw(q, devfn, 4) | 4 | (io ? 1 : 2));
}

unsigned qpci_find_cap(QTest *q, unsigned devfn, uint8_t id)
{
    unsigned off = qpci_readw(q, devfn, 6) & 0x10 ? qpci_readb(q, devfn, 0x34) & 0xfc : 0;

    for (unsigned i = 0; off && i < 48; i++) {
        if (qpci_readb(q, devfn, off) == id) {
            return off;
        }
        off = qpci_readb(q, devfn, off + 1) & 0xfc;
    }
    return 0;
}
