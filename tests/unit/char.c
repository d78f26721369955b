/* Chardevs: options and file names, back-ends against their other ends, backpressure, disconnects, the mux. */
#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "chardev/char.h"
#include "util/error.h"

typedef struct Fe {
    CharFrontend fe;
    GString *in;
    int room, opened, closed, breaks, mux_in, mux_out, ready;
} Fe;

static int on_can_read(void *o)
{
    return ((Fe *)o)->room;
}

static void on_read(void *o, const uint8_t *buf, int len)
{
    Fe *f = o;

    ck_assert_int_le(len, f->room);
    g_string_append_len(f->in, (const char *)buf, len);
}

static void on_event(void *o, ChrEvent e)
{
    Fe *f = o;
    int *n[] = { &f->breaks, &f->opened, &f->closed, &f->mux_in, &f->mux_out };

    ++*n[e];
}

static void on_ready(void *o)
{
    ((Fe *)o)->ready++;
}

static void attach(Fe *f, Chardev *c)
{
    memset(f, 0, sizeof(*f));
    f->in = g_string_new(NULL);
    f->room = 100;
    ck_assert(chr_attach(&f->fe, c, NULL));
    chr_set_handlers(&f->fe, on_can_read, on_read, on_event, f);
}

static void detach(Fe *f)
{
    chr_detach(&f->fe);
    g_string_free(f->in, true);
}

static gboolean timed_out(gpointer o)
{
    *(bool *)o = true;
    return G_SOURCE_REMOVE;
}

/* Runs the loop until cond, at most 3 seconds. */
#define WAIT(cond) do { \
        bool late = false; guint t_ = g_timeout_add(3000, timed_out, &late); \
        while (!(cond) && !late) g_main_context_iteration(NULL, true); \
        if (!late) g_source_remove(t_); \
        ck_assert_msg(cond, #cond); \
    } while (0)

static void settle(int ms)
{
    bool done = false;

    g_timeout_add(ms, timed_out, &done);
    while (!done)
        g_main_context_iteration(NULL, true);
}

static Chardev *open_ok(const char *opts)
{
    GError *err = NULL;
    Chardev *c = chr_new_opts(opts, &err);

    ck_assert_msg(c != NULL, "%s: %s", opts, err ? err->message : "");
    return c;
}

static void refused(const char *opts, const char *why)
{
    g_autoptr(GError) err = NULL;

    ck_assert_msg(!chr_new_opts(opts, &err), "%s", opts);
    ck_assert_str_eq(err->message, why);
}

START_TEST(test_bad_options)
{
    refused("foo,id=x", "'foo' is not a valid char driver name");
    refused("null", "chardev: no id specified");
    refused("null,id=1a", "Parameter 'id' expects an identifier\n"
            "Identifiers consist of letters, digits, '-', '.', '_', starting with a letter.");
    refused("stdio,id=a,signal=maybe", "Parameter 'signal' expects 'on' or 'off'");
    refused("vc,id=a,width=abc", "Parameter 'width' expects a number");
    refused("socket,id=x,path=/q,fooo=1", "Invalid parameter 'fooo'");
    refused("socket,id=x,host=h", "chardev: socket: no port given");
    refused("socket,id=x,path=/q,fd=3", "None or one of 'path', 'fd' or 'host' option required.");
    refused("file,id=x", "chardev: file: no filename given");
    refused("file,id=x,path=/nonexistent/a", "Could not open '/nonexistent/a': No such file or directory");
    refused("ringbuf,id=r,size=3", "size of ringbuf chardev must be power of two");
    refused("socket,id=x,path=/nonexistent/s", "Failed to connect to '/nonexistent/s': No such file or directory");
    refused("mux,id=m,chardev=nope", "mux: base chardev nope not found");
    ck_assert(!chr_find("x"));
}
END_TEST

START_TEST(test_filenames)
{
    static const char *const bad[] = { "foo", "stdio:x", "tcp:", "tcp:nocolon", "vc:80x", "vc:0x5", "udp:", "unix:", "file:",
                                       "chardev:nope", "tcp:[::1:5", NULL };
    GError *err = NULL;
    Chardev *c;

    for (int i = 0; bad[i]; i++) {
        ck_assert_msg(!chr_open("x", bad[i], &err), "%s", bad[i]);
        ck_assert_ptr_nonnull(err);
        g_clear_error(&err);
    }
    ck_assert(!chr_open("x", "none", &err) && !err);
    c = chr_open("x", "vc:80Cx24C", &err);
    ck_assert_str_eq(chr_filename(c), "vc");
    ck_assert_ptr_eq(chr_open("y", "chardev:x", NULL), c);
    ck_assert_ptr_eq(chr_find("y"), c);
    ck_assert(!chr_new_opts("null,id=x", &err));
    ck_assert_str_eq(err->message, "Duplicate ID 'x' for chardev");
    g_clear_error(&err);
    ck_assert(chr_remove("x", NULL) && !chr_remove("x", NULL) && !chr_find("y"));
    c = chr_open("s", "tcp::0,server,nowait", &err);
    ck_assert_msg(c && g_str_has_prefix(chr_filename(c), "disconnected:tcp:0.0.0.0:") &&
                  g_str_has_suffix(chr_filename(c), ",server=on"), "%s", c ? chr_filename(c) : err->message);
    chr_cleanup();
}
END_TEST

START_TEST(test_no_chardev)
{
    Fe f;

    attach(&f, NULL);
    ck_assert_int_eq(chr_write(&f.fe, "abc", 3), 3);
    chr_printf(&f.fe, "x");
    chr_add_watch(&f.fe, on_ready, &f);
    WAIT(f.ready == 1);
    ck_assert(!chr_set_break(&f.fe, true));
    ck_assert_int_eq(f.opened, 0);
    detach(&f);
}
END_TEST

START_TEST(test_file_and_log)
{
    char dir[] = "/tmp/chrXXXXXX";
    g_autofree char *s = NULL, *out = NULL;
    Fe f;

    ck_assert(mkdtemp(dir) != NULL);
    for (int i = 0; i < 2; i++) {
        g_autofree char *o = g_strdup_printf("file,id=f,path=%s/a,,b,append=%s,logfile=%s/log,logappend=on", dir,
                                             i ? "on" : "off", dir);

        attach(&f, open_ok(o));
        ck_assert_int_eq(f.opened, 1);
        ck_assert_int_eq(chr_write(&f.fe, "hello\n", 6), 6);
        detach(&f);
        chr_cleanup();
    }
    out = g_strdup_printf("%s/a,b", dir);
    ck_assert(g_file_get_contents(out, &s, NULL, NULL));
    ck_assert_str_eq(s, "hello\nhello\n");
    unlink(out);
    g_free(out);
    out = g_strdup_printf("%s/log", dir);
    g_free(s);
    ck_assert(g_file_get_contents(out, &s, NULL, NULL));
    ck_assert_str_eq(s, "hello\nhello\n");
    unlink(out);
    rmdir(dir);
}
END_TEST

START_TEST(test_ringbuf)
{
    g_autofree uint8_t *buf = NULL;
    g_autoptr(GError) err = NULL;
    size_t len;
    Fe f;

    attach(&f, open_ok("ringbuf,id=r,size=8"));
    chr_write(&f.fe, "0123456789", 10);
    ck_assert(chr_ringbuf_read("r", 100, &buf, &len, NULL));
    ck_assert_str_eq((char *)buf, "23456789");
    ck_assert(!chr_ringbuf_write("q", "a", 1, &err));
    ck_assert_str_eq(err->message, "Device 'q' not found");
    detach(&f);
    chr_cleanup();
}
END_TEST

static int client(const char *path)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

    g_strlcpy(un.sun_path, path, sizeof(un.sun_path));
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&un, sizeof(un)), 0);
    return fd;
}

static char *server_opts(const char *path, const char *more)
{
    return g_strdup_printf("socket,id=s,path=%s,server=on,wait=off%s", path, more);
}

/* Clients come and go; one that does not read holds up the writer but nothing else; nobody there: bytes are dropped. */
START_TEST(test_socket_server)
{
    g_autofree char *path = g_strdup_printf("/tmp/chr-test-%d", getpid());
    g_autofree char *opts = server_opts(path, "");
    char buf[65536] = { 0 };
    int fd, n, total = 0;
    Fe f;

    attach(&f, open_ok(opts));
    ck_assert(!chr_is_open(&f.fe));
    ck_assert_int_eq(chr_write(&f.fe, "gone", 4), 4);
    fd = client(path);
    WAIT(f.opened == 1);
    ck_assert_int_eq(write(fd, "hi", 2), 2);
    WAIT(f.in->len == 2);
    while ((n = chr_write(&f.fe, buf, sizeof(buf))) > 0)
        total += n;
    ck_assert_int_gt(total, 0);
    chr_add_watch(&f.fe, on_ready, &f);
    settle(20);
    ck_assert_int_eq(f.ready, 0);
    while ((n = read(fd, buf, sizeof(buf))) > 0)
        total -= n;
    ck_assert_int_eq(total, 0);
    WAIT(f.ready == 1);
    /* full again, then the client leaves: the watch ends, bytes are dropped */
    while (chr_write(&f.fe, buf, sizeof(buf)) > 0)
        ;
    chr_printf(&f.fe, "queued");
    chr_add_watch(&f.fe, on_ready, &f);
    close(fd);
    WAIT(f.closed == 1 && f.ready == 2);
    ck_assert_int_eq(chr_write(&f.fe, buf, 100), 100);
    /* the next one gets nothing of what was queued for the last */
    fd = client(path);
    WAIT(f.opened == 2);
    chr_printf(&f.fe, "x");
    settle(10);
    ck_assert_int_eq(read(fd, buf, sizeof(buf)), 1);
    close(fd);
    WAIT(f.closed == 2);
    detach(&f);
    chr_cleanup();
    ck_assert_int_lt(access(path, F_OK), 0);
}
END_TEST

/* A front-end that takes nothing: input waits, and a client that leaves makes way for the next. */
START_TEST(test_stuck_frontend)
{
    g_autofree char *path = g_strdup_printf("/tmp/chr-test-%d", getpid());
    g_autofree char *opts = server_opts(path, "");
    int fd;
    Fe f;

    attach(&f, open_ok(opts));
    f.room = 0;
    fd = client(path);
    WAIT(f.opened == 1);
    ck_assert_int_eq(write(fd, "hello", 5), 5);
    settle(20);
    ck_assert_int_eq(f.in->len, 0);
    f.room = 3;
    chr_accept_input(&f.fe);
    WAIT(f.in->len == 5);
    f.room = 0;
    ck_assert_int_eq(write(fd, "hello", 5), 5);
    settle(10);
    close(fd);
    WAIT(f.closed == 1);
    ck_assert_int_eq(f.in->len, 5);
    detach(&f);
    chr_cleanup();
}
END_TEST

START_TEST(test_reconnect)
{
    g_autofree char *path = g_strdup_printf("/tmp/chr-test-%d", getpid());
    g_autofree char *opts = g_strdup_printf("socket,id=c,path=%s,reconnect=1", path);
    g_autofree char *server = server_opts(path, "");
    Fe c, s;

    attach(&c, open_ok(opts));
    settle(50);
    ck_assert_int_eq(c.opened, 0);
    attach(&s, open_ok(server));
    WAIT(c.opened == 1 && s.opened == 1);
    chr_write(&c.fe, "up", 2);
    chr_write(&s.fe, "down", 4);
    WAIT(c.in->len == 4 && s.in->len == 2);
    detach(&s);
    ck_assert(chr_remove("s", NULL));
    WAIT(c.closed == 1);
    detach(&c);
    chr_cleanup();
}
END_TEST

START_TEST(test_telnet)
{
    static const uint8_t in[] = { 'a', 255, 253, 1, 'b', 255, 255, 255, 250, 24, 'x', 255, 240, 'c', 255, 243, 'd', 255 };
    g_autofree char *path = g_strdup_printf("/tmp/chr-test-%d", getpid());
    g_autofree char *opts = server_opts(path, ",telnet=on");
    uint8_t buf[64];
    int fd;
    Fe f;

    attach(&f, open_ok(opts));
    fd = client(path);
    WAIT(f.opened == 1);
    settle(5);
    ck_assert_int_eq(read(fd, buf, sizeof(buf)), 12);
    ck_assert_int_eq(write(fd, in, sizeof(in)), sizeof(in));
    WAIT(f.in->len == 5 && f.breaks == 1);
    ck_assert_str_eq(f.in->str, "ab\377cd");
    ck_assert_int_eq(chr_write(&f.fe, "\377z\377", 3), 3);
    settle(5);
    ck_assert_int_eq(read(fd, buf, sizeof(buf)), 5);
    close(fd);
    detach(&f);
    chr_cleanup();
}
END_TEST

START_TEST(test_pty)
{
    Chardev *c = open_ok("pty,id=p");
    char buf[64];
    int fd;
    Fe f;

    attach(&f, c);
    ck_assert(g_str_has_prefix(chr_filename(c), "pty:/dev/pts/"));
    ck_assert_int_eq(chr_write(&f.fe, "lost", 4), 4);
    fd = open(chr_filename(c) + 4, O_RDWR | O_NOCTTY | O_NONBLOCK);
    ck_assert_int_ge(fd, 0);
    WAIT(f.opened == 1);
    ck_assert_int_eq(write(fd, "in\n", 3), 3);
    WAIT(f.in->len == 3);
    chr_write(&f.fe, "out", 3);
    settle(5);
    ck_assert_int_eq(read(fd, buf, sizeof(buf)), 3);
    close(fd);
    WAIT(f.closed == 1);
    detach(&f);
    chr_cleanup();
}
END_TEST

START_TEST(test_udp)
{
    int port = 20000 + getpid() % 10000 * 2;
    g_autofree char *oa = g_strdup_printf("udp,id=a,host=127.0.0.1,port=%d,localaddr=127.0.0.1,localport=%d", port, port + 1);
    g_autofree char *ob = g_strdup_printf("udp,id=b,host=127.0.0.1,port=%d,localaddr=127.0.0.1,localport=%d", port + 1, port);
    Fe a, b;

    attach(&a, open_ok(oa));
    attach(&b, open_ok(ob));
    a.room = 2;
    ck_assert_int_eq(chr_write(&b.fe, "datagram", 8), 8);
    WAIT(a.in->len == 8);
    detach(&a);
    detach(&b);
    chr_cleanup();
}
END_TEST

static int quits;

static void on_quit(void)
{
    quits++;
}

START_TEST(test_mux)
{
    g_autofree char *path = g_strdup_printf("/tmp/chr-test-%d", getpid());
    g_autofree char *opts = server_opts(path, ",mux=on");
    char buf[2048] = { 0 };
    Fe f[5];
    int fd;

    chr_set_mux_hooks(NULL, on_quit);
    attach(&f[0], open_ok(opts));
    attach(&f[1], chr_find("s"));
    ck_assert(chr_in_use(chr_find("s")) && chr_find("s-base") && !chr_remove("s-base", NULL));
    ck_assert(f[0].mux_in == 1 && f[0].mux_out == 1 && f[1].mux_in == 1);
    fd = client(path);
    WAIT(f[0].opened == 1 && f[1].opened == 1);
    ck_assert_int_eq(write(fd, "one\001ctwo\001\001\001b\001c", 14), 14);
    WAIT(f[0].breaks == 1);
    settle(5);
    ck_assert_str_eq(f[1].in->str, "one");
    ck_assert_str_eq(f[0].in->str, "two\001");
    /* the focused one takes nothing: keys wait, Ctrl-a still works */
    f[1].room = 0;
    ck_assert_int_eq(write(fd, "abc\001cZ\001c\001h\001x", 12), 12);
    WAIT(quits == 1);
    ck_assert_str_eq(f[0].in->str, "two\001Z");
    settle(5);
    ck_assert_int_gt(read(fd, buf, sizeof(buf)), 0);
    ck_assert(strstr(buf, "C-a C-a  sends C-a\n\r") && strstr(buf, "QEMU: Terminated\n\r"));
    f[1].room = 1;
    chr_accept_input(&f[1].fe);
    WAIT(f[1].in->len == 6);
    ck_assert_str_eq(f[1].in->str, "oneabc");
    for (int i = 2; i < 4; i++)
        attach(&f[i], chr_find("s"));
    memset(&f[4], 0, sizeof(f[4]));
    ck_assert(!chr_attach(&f[4].fe, chr_find("s"), NULL));
    for (int i = 0; i < 4; i++)
        detach(&f[i]);
    close(fd);
    chr_cleanup();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("char");
    TCase *t = tcase_create("char");
    SRunner *r;
    int failed;

    tcase_set_timeout(t, 20);
    tcase_add_test(t, test_bad_options);
    tcase_add_test(t, test_filenames);
    tcase_add_test(t, test_no_chardev);
    tcase_add_test(t, test_file_and_log);
    tcase_add_test(t, test_ringbuf);
    tcase_add_test(t, test_socket_server);
    tcase_add_test(t, test_stuck_frontend);
    tcase_add_test(t, test_reconnect);
    tcase_add_test(t, test_telnet);
    tcase_add_test(t, test_pty);
    tcase_add_test(t, test_udp);
    tcase_add_test(t, test_mux);
    suite_add_tcase(s, t);
    r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
