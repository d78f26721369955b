/*
 * VNC clients that say anything: sessions of messages, some of whose bytes are changed, cut out or doubled, sent over sockets to the
 * server in this process, in pieces of any size; plain and in a browser's WebSocket frames; logging in, half logging in or not at
 * all; several at a time, some of which never read, hang up at once, or stop in the middle of a message. Meanwhile the screen
 * changes its picture and its size. What reaches the guest must be keys and places that exist; a client that behaves must be served
 * all the time; when all have gone the server must have let go of them, and memory must not have grown without bound.
 *
 * usage: vnc [--count N] [--seed N]     N messages (20000)
 */
#include "ui/vnc-int.h"
#include "util/loop.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { POOL = 6, HANG_S = 120, GROWTH_MB = 1500 };

extern const DisplayModule vmemu_display_module;

static GRand *rnd;
static Console *con;
static VncServer *servers[2];       /* the second wants a password */
static char *paths[3];              /* of both; where the first takes browsers */
static unsigned long long messages, sessions, keys_seen, moves_seen, good_ones, logins;
static unsigned seed = 1;

static uint32_t pick(uint32_t n)
{
    return g_rand_int_range(rnd, 0, n);
}

static void fail(const char *what)
{
    printf("not ok 1 - vnc, seed %u, %llu messages: %s\n", seed, messages, what);
    for (int i = 0; i < 2 && servers[1]; i++) {
        for (unsigned k = 0; k < servers[i]->clients->len; k++) {
            VncClient *c = g_ptr_array_index(servers[i]->clients, k);

            printf("# server %d: client %u:%s%s\n", i, k, c->initialized ? " in" : "", c->ending ? " ending" : "");
        }
    }
    fflush(stdout);
    _exit(1);
}

static void on_alarm(int sig)
{
    static const char text[] = "not ok 1 - vnc: it hangs\n";

    if (write(1, text, sizeof text - 1) < 0)
        _exit(2);
    _exit(1);
}

/* ---- The guest ---- */

static int draw(void *opaque)
{
    int w = surface_width(console_surface(con)), h = surface_height(console_surface(con)), y = pick(h);

    memset(surface_data(console_surface(con)) + (size_t)y * surface_stride(console_surface(con)), pick(256), w * 4);
    console_update(con, 0, y, w, 1);
    if (!pick(50))
        console_resize(con, 1 + pick(300), 1 + pick(200));
    return CONSOLE_POLL;
}

static void seen_key(void *opaque, QKeyCode key, bool down)
{
    keys_seen++;
    if (key == QKEY_UNMAPPED || key >= QKEY_COUNT)
        fail("a key that does not exist");
    if (key == QKEY_CAPS_LOCK && down)
        input_set_leds(pick(8));
}

static void seen_button(void *opaque, InputButton b, bool down)
{
    if (b >= INPUT_BUTTON_COUNT)
        fail("a button that does not exist");
}

static void seen_rel(void *opaque, InputAxis axis, int delta)
{
    moves_seen++;
    if (delta < -0x10000 || delta > 0x10000)
        fail("a move that is too long");
}

static void seen_abs(void *opaque, InputAxis axis, int value)
{
    moves_seen++;
    if (value < 0 || value > INPUT_ABS_MAX)
        fail("a place outside of the screen");
}

static const ConsoleOps console_ops = { .update = draw };
static const InputOps keyboard = { .name = "keyboard", .kinds = INPUT_KEY, .key = seen_key };
static const InputOps mouse = { .name = "mouse", .kinds = INPUT_BUTTON | INPUT_REL, .button = seen_button, .rel = seen_rel };
static const InputOps tablet = { .name = "tablet", .kinds = INPUT_BUTTON | INPUT_ABS, .button = seen_button, .abs = seen_abs };

static bool running(void *opaque) { return true; }

static void event(void *opaque, const char *name, json_t *data)
{
    logins += !strcmp(name, "VNC_INITIALIZED");
    json_decref(data);
}

static void typed(void *opaque, const uint8_t *bytes, int len) { keys_seen += len; }

static void make_servers(void)
{
    static VncConfig configs[2];
    static const UiHost host = { .is_running = running, .event = event };
    g_autofree char *folder = g_dir_make_tmp("fuzz-vnc-XXXXXX", NULL);
    g_autoptr(GError) err = NULL;

    ui_set_host(&host);
    con = console_new(&console_ops, NULL, "VGA", 0);
    text_console_new("text", 0, 0, typed, NULL, NULL);
    input_register(&keyboard, NULL, NULL);
    input_register(&mouse, NULL, NULL);
    input_register(&tablet, NULL, NULL);
    for (int i = 0; i < 3; i++)
        paths[i] = g_strdup_printf("%s/%d", folder, i);
    for (int i = 0; i < 2; i++) {
        configs[i] = (VncConfig){ .id = paths[i], .address.path = paths[i], .password = i, .connections = POOL + 2,
                                  .lock_key_sync = true, .share = VNC_SHARE_IGNORE, .websocket = !i, .web.path = i ? NULL : paths[2] };
        servers[i] = vmemu_display_module.vnc->open(&configs[i], &err);
        if (!servers[i])
            fail(err->message);
    }
    vmemu_display_module.vnc->set_password(servers[1], "secret");
    unlink(folder);
}

/* ---- What clients say ---- */

static void put(GByteArray *s, const void *p, size_t n)
{
    g_byte_array_append(s, p, n);
}

static void put_be(GByteArray *s, uint64_t v, unsigned bytes)
{
    v = GUINT64_TO_BE(v);
    put(s, (uint8_t *)&v + 8 - bytes, bytes);
}

static void put_noise(GByteArray *s, unsigned n)
{
    while (n--)
        put_be(s, pick(256), 1);
}

static void pixel_format(GByteArray *s)
{
    static const uint8_t formats[][13] = {
        { 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0 }, { 32, 24, 1, 1, 0, 255, 0, 255, 0, 255, 0, 8, 16 },
        { 16, 16, 0, 1, 0, 31, 0, 63, 0, 31, 11, 5, 0 }, { 8, 8, 0, 1, 0, 7, 0, 7, 0, 3, 0, 3, 6 }, { 8, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 },
    };

    put_be(s, 0, 4);
    if (pick(15))
        put(s, formats[pick(G_N_ELEMENTS(formats))], 13);
    else
        put_noise(s, 13);
    put_noise(s, 3);
}

static void encodings(GByteArray *s)
{
    static const int32_t known[] = { 0, 1, 2, 4, 5, 6, 7, 8, 9, 16, 17, 15, -26, -32, -223, -224, -232, -239, -240, -247, -256, -257, -258,
                                     -259, -260, -261, -305, -307, -308, -309, -312, -313, -314, (int32_t)0xc0a1e5ce, (int32_t)0xffff0000,
                                     (int32_t)0xffff8000, (int32_t)0xffff0002 };
    unsigned n = pick(60) ? pick(16) : pick(65536);

    put_be(s, 2 << 8, 2);
    put_be(s, pick(30) ? n : pick(65536), 2);
    for (unsigned i = 0; i < n; i++)
        put_be(s, pick(20) ? (uint32_t)known[pick(G_N_ELEMENTS(known))] : g_rand_int(rnd), 4);
}

static void update_request(GByteArray *s)
{
    put_be(s, 3, 1);
    put_be(s, pick(3) > 0, 1);
    if (pick(3)) {
        put_be(s, 0, 4);
        put_be(s, 300, 2);
        put_be(s, 200, 2);
    } else {
        put_noise(s, 8);
    }
}

static void key(GByteArray *s)
{
    static const uint32_t keysyms[] = { 0xffe3, 0xffe9, '1', '2', 'a', 'A', 0xffb1, 0xff9c, 0xffe5, 0xff7f, 0xff0d, 0x1000430, 0xffe1 };

    if (pick(2)) {
        put_be(s, 4, 1);
        put_be(s, pick(3) > 0, 1);
        put_be(s, 0, 2);
        put_be(s, pick(4) ? keysyms[pick(G_N_ELEMENTS(keysyms))] : g_rand_int(rnd), 4);
        return;
    }
    put_be(s, 255, 1);
    put_be(s, pick(6) ? 0 : pick(4), 1);
    put_be(s, pick(2), 2);
    put_be(s, keysyms[pick(G_N_ELEMENTS(keysyms))], 4);
    put_be(s, pick(3) ? pick(256) : pick(2) ? 0xe000 | pick(256) : g_rand_int(rnd), 4);
}

static void pointer(GByteArray *s)
{
    put_be(s, 5, 1);
    put_be(s, pick(256), 1);
    put_be(s, pick(65536), 2);
    put_be(s, pick(65536), 2);
}

static void cut_text(GByteArray *s)
{
    unsigned n = pick(3) ? pick(50) : pick(5000);

    put_be(s, 6 << 24, 4);
    put_be(s, pick(15) ? n : pick(2) ? -(uint32_t)n : g_rand_int(rnd), 4);
    if (pick(2) && n > 4) {
        put_be(s, 1u << (24 + pick(5)) | pick(8), 4);
        n -= 4;
    }
    put_noise(s, n);
}

static void set_size(GByteArray *s)
{
    unsigned n = pick(4) ? 1 : pick(256);

    put_be(s, 251 << 8, 2);
    put_be(s, pick(65536), 2);
    put_be(s, pick(65536), 2);
    put_be(s, n, 1);
    put_be(s, 0, 1);
    put_noise(s, n * 16);
}

/* Those of other servers, some of which the library knows. */
static void foreign(GByteArray *s)
{
    static const uint8_t types[] = { 1, 7, 8, 9, 10, 11, 12, 13, 14, 15, 20, 21, 150, 248, 249, 250, 252, 253, 254 };

    put_be(s, pick(4) ? types[pick(G_N_ELEMENTS(types))] : pick(256), 1);
    put_noise(s, pick(3) ? 3 + 4 * pick(4) : pick(40));
}

static void message(GByteArray *s)
{
    static void (*const kinds[])(GByteArray *) = { pixel_format, encodings, update_request, update_request, key, key, pointer, pointer,
                                                   cut_text, set_size };

    (pick(40) ? kinds[pick(G_N_ELEMENTS(kinds))] : foreign)(s);
    messages++;
}

static void mutate(GByteArray *s)
{
    for (unsigned i = pick(4); i && s->len > 8; i--) {
        unsigned at = pick(s->len), n = 1 + pick(8);

        n = MIN(n, s->len - at);
        switch (pick(4)) {
        case 0: s->data[at] ^= 1u << pick(8); break;
        case 1: memset(s->data + at, pick(2) ? 0xff : pick(256), n); break;
        case 2: g_byte_array_remove_range(s, at, n); break;
        default: {
            g_autofree uint8_t *copy = g_memdup2(s->data + at, n);

            put(s, copy, n);
        }
        }
    }
}

/* Until the first message; with a password only what needs no challenge. */
static void hello(GByteArray *s)
{
    static const char *const versions[] = { "RFB 003.008\n", "RFB 003.008\n", "RFB 003.008\n", "RFB 003.007\n", "RFB 003.003\n",
                                            "RFB 003.889\n", "RFB 004.001\n", "RFB 003.006\n", "GET / HTTP/1",
                                            "\x16\x03\x01\2\0\1\0\1\xfc\3\3x",
                                            "\x80\x2e\1\3\1\0\x15\0\0\0\x10x" };
    const char *version = versions[pick(G_N_ELEMENTS(versions))];

    put(s, version, 12);
    if (strcmp(version, "RFB 003.003\n") && strcmp(version, "RFB 003.006\n"))
        put_be(s, pick(10) ? 1 : pick(256), 1);
    put_be(s, pick(2), 1);
}

/* A browser's: the same, in masked frames. */
static void wrap(GByteArray *s)
{
    static const char *const protocols[] = { "Sec-WebSocket-Protocol: binary\r\n", "Sec-WebSocket-Protocol: base64\r\n", "",
                                             "Sec-WebSocket-Protocol: base64, binary\r\n" };
    GByteArray *out = g_byte_array_new();
    g_autofree char *head = g_strdup_printf("GET /%s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: "
                                            "dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%sOrigin: http://x\r\n\r\n",
                                            pick(4) ? "" : "websockify", protocols[pick(G_N_ELEMENTS(protocols))]);
    unsigned at = 0;

    put(out, head, strlen(head));
    if (!pick(6))
        mutate(out);
    while (at < s->len) {
        unsigned n = pick(3) ? 1 + pick(100) : 1 + pick(3000), opcode = pick(10) ? 2 : pick(16);
        uint8_t mask[4] = { pick(256), pick(256), pick(256), pick(256) };

        n = MIN(n, s->len - at);
        put_be(out, (pick(10) ? 0x80 : 0) | opcode, 1);
        if (!pick(30)) {                /* a length that lies */
            put_be(out, 0x80 | 127, 1);
            put_be(out, (uint64_t)g_rand_int(rnd) << (pick(2) * 32) | g_rand_int(rnd), 8);
        } else if (n < 126) {
            put_be(out, 0x80 | n, 1);
        } else {
            put_be(out, 0x80 | 126, 1);
            put_be(out, n, 2);
        }
        put(out, mask, 4);
        for (unsigned i = 0; i < n; i++)
            put_be(out, s->data[at + i] ^ mask[i & 3], 1);
        at += n;
    }
    g_byte_array_set_size(s, 0);
    put(s, out->data, out->len);
    g_byte_array_free(out, TRUE);
}

/* ---- Connections ---- */

typedef struct Peer {
    int fd;                     /* -1: none */
    GByteArray *say;
    unsigned at, idle, patience;
    bool reads;
} Peer;

static int dial(const char *path)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    g_strlcpy(a.sun_path, path, sizeof a.sun_path);
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a) < 0) {
        if (fd >= 0)
            close(fd);
        return -1;
    }
    return fd;
}

static void turn(void)
{
    while (g_main_context_iteration(NULL, FALSE))
        continue;
}

static bool receive(int fd, void *to, unsigned n)
{
    unsigned got = 0;

    for (int i = 0; got < n && i < 6000; i++) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        ssize_t k = recv(fd, (uint8_t *)to + got, n - got, 0);

        if (!k || (k < 0 && errno != EAGAIN))
            return false;
        got += MAX(k, 0);
        turn();
        if (k < 0)
            poll(&p, 1, 10);
    }
    return got == n;
}

/* Logs in as it should be; but speaks first, as the library waits 100 ms for a browser to do that. */
static bool log_in(int fd, bool password)
{
    uint8_t buf[64], challenge[16], type = password ? 2 : 1;

    if (send(fd, "RFB 003.008\n", 12, MSG_NOSIGNAL) != 12 || !receive(fd, buf, 12) || !receive(fd, buf, 2) || buf[1] != type ||
        send(fd, &type, 1, MSG_NOSIGNAL) != 1)
        return false;
    if (password) {
        char word[] = "secret";

        if (!receive(fd, challenge, 16))
            return false;
        rfbEncryptBytes(challenge, word);
        if (send(fd, challenge, 16, MSG_NOSIGNAL) != 16)
            return false;
    }
    return receive(fd, buf, 4) && !buf[3] && send(fd, "\1", 1, MSG_NOSIGNAL) == 1;
}

/* One that behaves: it sees the screen. */
static void good_one(void)
{
    static const uint8_t ask[10] = { 3, 0, 0, 0, 0, 0, 0, 1, 0, 1 };
    uint8_t buf[64];
    unsigned which = pick(2), n;
    int fd = dial(paths[which]);

    if (fd < 0)
        fail("one that behaves can't connect");
    if (!log_in(fd, which) || !receive(fd, buf, 24))
        fail(which ? "one that behaves can't log in with a password" : "one that behaves can't log in");
    n = buf[23];
    if (n > 20 || !receive(fd, buf, n) || send(fd, ask, 10, MSG_NOSIGNAL) != 10 || !receive(fd, buf, 20) || buf[0] || buf[3] != 1 ||
        buf[9] != 1 || buf[11] != 1)
        fail("one that behaves sees nothing");
    close(fd);
    good_ones++;
}

static void begin(Peer *p)
{
    unsigned which = pick(2), n = pick(3) ? 1 + pick(40) : 1 + pick(4);
    bool in = which && !pick(3), web = !in && !pick(3);
    GByteArray *s = p->say;

    p->fd = dial(paths[web && pick(10) ? 2 : which]);
    if (p->fd < 0)
        return;
    sessions++;
    g_byte_array_set_size(s, 0);
    p->at = p->idle = 0;
    p->reads = pick(6);
    p->patience = pick(8) ? 20 : 0;
    if (in && !log_in(p->fd, which)) {
        close(p->fd);
        p->fd = -1;
        return;
    }
    if (!in)
        hello(s);
    while (n--)
        message(s);
    if (pick(3))
        mutate(s);
    if (web)
        wrap(s);
}

static void step(Peer *p)
{
    static uint8_t buf[1 << 16];
    ssize_t n = -1, r = -1;
    int unread = 0;

    if (p->fd < 0) {
        begin(p);
        return;
    }
    if (p->at < p->say->len) {
        unsigned most = pick(4) ? 1 + pick(4096) : 1 + pick(16);

        n = send(p->fd, p->say->data + p->at, MIN(most, p->say->len - p->at), MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            p->idle = 1000;
        p->at += MAX(n, 0);
    }
    for (int i = 0; p->reads && i < 20 && (r = recv(p->fd, buf, sizeof buf, 0)) > 0; i++)
        continue;
    if (ioctl(p->fd, SIOCOUTQ, &unread) < 0)
        unread = 0;
    /* What has been said should be heard, mostly; but a client that never reads may not be heard either. */
    p->idle = n > 0 || r > 0 ? 0 : p->idle + (unread && p->reads && p->patience && p->at >= p->say->len ? 1 : 50);
    if (!r || p->idle > p->patience * 50) {
        close(p->fd);
        p->fd = -1;
    }
}

static unsigned clients(void)
{
    return servers[0]->clients->len + servers[1]->clients->len;
}

static long resident_mb(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");

    if (!f || fscanf(f, "%*d %ld", &pages) != 1)
        pages = 0;
    if (f)
        fclose(f);
    return pages * (sysconf(_SC_PAGESIZE) >> 10) >> 10;
}

static void run(uint64_t count)
{
    Peer peers[POOL];
    struct pollfd none;
    long begun = 0;

    for (int i = 0; i < POOL; i++)
        peers[i] = (Peer){ .fd = -1, .say = g_byte_array_new() };
    for (uint64_t i = 0; messages < count; i++) {
        step(&peers[pick(POOL)]);
        turn();
        if (!(i % 8))
            poll(&none, 0, 1);
        if (i % 2000 == 1999) {
            alarm(HANG_S);
            good_one();
            vmemu_display_module.vnc->set_expiry(servers[1], G_MAXINT64);
            if (!begun)
                begun = resident_mb();
            if (resident_mb() > begun + GROWTH_MB)
                fail("memory grows");
        }
    }
    for (int i = 0; i < POOL; i++) {
        if (peers[i].fd >= 0)
            close(peers[i].fd);
        g_byte_array_free(peers[i].say, TRUE);
    }
}

int main(int argc, char **argv)
{
    uint64_t count = 20000;

    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--count"))
            count = strtoull(argv[i + 1], NULL, 0);
        else
            seed = atoi(argv[i + 1]);
    }
    rnd = g_rand_new_with_seed(seed);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGALRM, on_alarm);
    alarm(HANG_S);
    machine_loop_init();
    make_servers();
    run(count);
    alarm(HANG_S);
    for (int i = 0; clients(); i++) {
        struct pollfd none;

        turn();
        poll(&none, 0, 10);
    }
    for (int i = 0; i < 2; i++)
        vmemu_display_module.vnc->close(servers[i]);
    printf("ok 1 - vnc: %llu messages in %llu sessions, seed %u; %llu logged in, %llu keys, %llu moves, %llu that behaved\n1..1\n",
           messages, sessions, seed, logins, keys_seen, moves_seen, good_ones);
    return 0;
}
