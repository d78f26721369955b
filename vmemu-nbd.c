/*
 * vmemu-nbd: exports an image to NBD clients, as qemu-nbd does; -L lists what another server exports.
 *
 * Not there: TLS, the kernel's client (-c, -d), objects.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>
#include "block/aio.h"
#include "block/nbd-client.h"
#include "block/nbd-proto.h"
#include "block/nbd-server.h"
#include "block/options.h"
#include "util/error.h"
#include "util/fdset.h"

enum { OPT_CACHE = 256, OPT_AIO, OPT_DISCARD, OPT_DETECT, OPT_OBJECT, OPT_IMAGE_OPTS, OPT_FORK, OPT_PID_FILE, OPT_TLS_CREDS,
       OPT_TLS_AUTHZ, OPT_SELINUX };

typedef struct Nbd {
    const char *bind, *port, *socket, *file, *fmt, *snapshot, *pid_file, *aio, *detect_zeroes, *cache;
    NbdExportOptions export;
    GPtrArray *bitmaps;
    unsigned flags;                     /* OPEN_* */
    unsigned shared;
    bool persistent, verbose, list, image_opts, fork, per_device, writethrough, discard_given;
    int up;                             /* a pipe to the parent that waits; -1: none */
    int listening;                      /* a socket that we were given; -1: none */
    bool done;
    const char *argv0;
} Nbd;

static Nbd nbd = { .port = NULL, .shared = 1, .flags = OPEN_RDWR, .up = -1, .listening = -1 };

static void die(const char *fmt, ...) G_GNUC_PRINTF(1, 2) G_GNUC_NORETURN;
static void die(const char *fmt, ...)
{
    g_autofree char *text = NULL;
    va_list ap;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    error_report("%s", text);
    exit(1);
}

static void usage(void)
{
    printf("Usage: %s [OPTIONS] FILE\n"
           "  or:  %s -L [OPTIONS]\n"
           "Exports an image to clients of the Network Block Device protocol.\n"
           "\n"
           "  -h, --help                  this text\n"
           "  -V, --version               the version\n"
           "\n"
           "Where:\n"
           "  -p, --port=PORT             a TCP port (default %s)\n"
           "  -b, --bind=ADDRESS          of this address (default 0.0.0.0)\n"
           "  -k, --socket=PATH           a Unix socket instead\n"
           "  -e, --shared=NUM            for NUM clients at a time (default 1; 0: any number)\n"
           "  -t, --persistent            goes on when the last client has left\n"
           "  -v, --verbose               says more\n"
           "  -x, --export-name=NAME      the export's name (default empty)\n"
           "  -D, --description=TEXT      what it is, for people\n"
           "\n"
           "What:\n"
           "  -o, --offset=OFFSET         the image from there on\n"
           "  -A, --allocation-depth      clients may ask which layer holds data\n"
           "  -B, --bitmap=NAME           clients may ask what a persistent dirty bitmap holds\n"
           "  -f, --format=FORMAT         the image's format\n"
           "  -r, --read-only             nobody writes\n"
           "  -s, --snapshot              writes go to a temporary file\n"
           "  -l, --load-snapshot=NAME    an internal snapshot, read-only\n"
           "  -n, --nocache               the same as --cache=none\n"
           "      --cache=MODE            none, writeback, writethrough, directsync, unsafe\n"
           "      --aio=MODE              threads, native or io_uring\n"
           "      --discard=MODE          ignore or unmap\n"
           "      --detect-zeroes=MODE    off, on or unmap\n"
           "      --image-opts            FILE is a list of options\n"
           "\n"
           "How:\n"
           "  -L, --list                  lists the exports of another server\n"
           "      --fork                  in the background, once it serves\n"
           "      --pid-file=PATH         writes its process number there\n", error_program(), error_program(), NBD_PORT);
    exit(0);
}

/* ---- options */

static bool take_cache(const char *mode)
{
    nbd.flags &= ~(OPEN_DIRECT | OPEN_NO_FLUSH);
    if (!strcmp(mode, "none") || !strcmp(mode, "off") || !strcmp(mode, "directsync"))
        nbd.flags |= OPEN_DIRECT;
    else if (!strcmp(mode, "unsafe"))
        nbd.flags |= OPEN_NO_FLUSH;
    else if (strcmp(mode, "writeback") && strcmp(mode, "writethrough"))
        return false;
    nbd.writethrough = !strcmp(mode, "directsync") || !strcmp(mode, "writethrough");
    return true;
}

static void cache_option(const char *mode)
{
    if (nbd.cache)
        die("-n and --cache can only be specified once");
    nbd.cache = mode;
    if (!take_cache(mode))
        die("Invalid cache mode `%s'", mode);
}

static void take_discard(const char *mode)
{
    if (nbd.discard_given)
        die("--discard can only be specified once");
    nbd.discard_given = true;
    if (!strcmp(mode, "on") || !strcmp(mode, "unmap"))
        nbd.flags |= OPEN_UNMAP;
    else if (strcmp(mode, "off") && strcmp(mode, "ignore"))
        die("Invalid discard mode `%s'", mode);
}

static void take_detect(const char *mode)
{
    if (strcmp(mode, "off") && strcmp(mode, "on") && strcmp(mode, "unmap"))
        die("Failed to parse detect_zeroes mode: invalid parameter value: %s", mode);
    if (!strcmp(mode, "unmap") && !(nbd.flags & OPEN_UNMAP))
        die("setting detect-zeroes to unmap is not allowed without setting discard operation to unmap");
    nbd.detect_zeroes = mode;
}

static void take_aio(const char *mode)
{
    if (nbd.aio)
        die("--aio can only be specified once");
    if (strcmp(mode, "threads") && strcmp(mode, "native") && strcmp(mode, "io_uring"))
        die("Invalid aio mode '%s'", mode);
    nbd.aio = mode;
}

static void take_shared(const char *text)
{
    char *end;
    long n = strtol(text, &end, 0);

    if (*end || end == text || n < 0 || n > INT_MAX)
        die("Invalid shared device number '%s'", text);
    nbd.shared = n;
}

static void take_offset(const char *text)
{
    uint64_t v;

    if (!parse_size(text, 'B', &v) || v > INT64_MAX)
        die("Invalid offset '%s'", text);
    nbd.export.offset = v;
}

static void take_socket(const char *path)
{
    if (*path != '/')
        die("socket path must be absolute");
    nbd.socket = path;
}

static void take_image_option(int o)
{
    switch (o) {
    case 'f': nbd.fmt = optarg; break;
    case 'r': nbd.flags &= ~OPEN_RDWR; break;
    case 's': nbd.flags |= OPEN_SNAPSHOT; break;
    case 'l': nbd.snapshot = optarg; nbd.flags &= ~OPEN_RDWR; break;
    case 'n': cache_option("none"); break;
    case OPT_CACHE: cache_option(optarg); break;
    case OPT_AIO: take_aio(optarg); break;
    case OPT_DISCARD: take_discard(optarg); break;
    case OPT_DETECT: take_detect(optarg); break;
    case OPT_IMAGE_OPTS: nbd.image_opts = true; break;
    case 'o': take_offset(optarg); break;
    case 'A': nbd.export.allocation_depth = true; break;
    case 'B': g_ptr_array_add(nbd.bitmaps, optarg); break;
    case 'x': nbd.export.name = optarg; break;
    case 'D': nbd.export.description = optarg; break;
    }
    nbd.per_device = true;
}

static void take_option(int o)
{
    switch (o) {
    case 'h': usage(); break;
    case 'V': printf("%s version %s\n", error_program(), CONFIG_VERSION); exit(0);
    case 'p': nbd.port = optarg; break;
    case 'b': nbd.bind = optarg; break;
    case 'k': take_socket(optarg); break;
    case 'e': take_shared(optarg); nbd.per_device = true; break;
    case 't': nbd.persistent = true; break;
    case 'v': nbd.verbose = true; break;
    case 'L': nbd.list = true; break;
    case 'c':
    case 'd': die("-%c: the kernel's NBD client is not supported; nbd-client connects a device to a server", o);
    case OPT_OBJECT: die("--object: no object type is supported");
    case OPT_TLS_CREDS: die("--tls-creds: TLS is not supported");
    case OPT_TLS_AUTHZ: die("--tls-authz: TLS is not supported");
    case OPT_SELINUX: die("--selinux-label: SELinux labels are not supported");
    case OPT_FORK: nbd.fork = true; break;
    case OPT_PID_FILE: nbd.pid_file = optarg; break;
    case '?': die("Try `%s --help' for more information.", nbd.argv0);
    default: take_image_option(o); break;
    }
}

static const struct option longs[] = {
    { "help", no_argument, NULL, 'h' }, { "version", no_argument, NULL, 'V' }, { "port", required_argument, NULL, 'p' },
    { "bind", required_argument, NULL, 'b' }, { "socket", required_argument, NULL, 'k' },
    { "offset", required_argument, NULL, 'o' }, { "read-only", no_argument, NULL, 'r' },
    { "allocation-depth", no_argument, NULL, 'A' }, { "bitmap", required_argument, NULL, 'B' },
    { "connect", required_argument, NULL, 'c' }, { "disconnect", no_argument, NULL, 'd' }, { "list", no_argument, NULL, 'L' },
    { "snapshot", no_argument, NULL, 's' }, { "load-snapshot", required_argument, NULL, 'l' },
    { "nocache", no_argument, NULL, 'n' }, { "cache", required_argument, NULL, OPT_CACHE },
    { "aio", required_argument, NULL, OPT_AIO }, { "discard", required_argument, NULL, OPT_DISCARD },
    { "detect-zeroes", required_argument, NULL, OPT_DETECT }, { "shared", required_argument, NULL, 'e' },
    { "format", required_argument, NULL, 'f' }, { "persistent", no_argument, NULL, 't' },
    { "verbose", no_argument, NULL, 'v' }, { "object", required_argument, NULL, OPT_OBJECT },
    { "export-name", required_argument, NULL, 'x' }, { "description", required_argument, NULL, 'D' },
    { "tls-creds", required_argument, NULL, OPT_TLS_CREDS }, { "tls-hostname", required_argument, NULL, OPT_TLS_CREDS },
    { "tls-authz", required_argument, NULL, OPT_TLS_AUTHZ }, { "image-opts", no_argument, NULL, OPT_IMAGE_OPTS },
    { "fork", no_argument, NULL, OPT_FORK }, { "pid-file", required_argument, NULL, OPT_PID_FILE },
    { "selinux-label", required_argument, NULL, OPT_SELINUX }, { 0 },
};

static void take_options(int argc, char **argv)
{
    int o;

    nbd.bitmaps = g_ptr_array_new();
    nbd.export.bytes = -1;
    while ((o = getopt_long(argc, argv, "+hVb:o:p:rsnc:dvk:e:f:tl:x:D:AB:L", longs, NULL)) != -1)
        take_option(o);
    if (nbd.list) {
        if (optind < argc)
            die("List mode is incompatible with a file name");
        if (nbd.per_device)
            die("List mode is incompatible with per-device settings");
        return;
    }
    if (optind != argc - 1)
        die("Invalid number of arguments\nTry `%s --help' for more information.", nbd.argv0);
    nbd.file = argv[optind];
    if (nbd.image_opts && nbd.fmt)
        die("--image-opts and -f are mutually exclusive");
    if (!nbd.export.name)
        nbd.export.name = "";
    nbd.export.writable = (nbd.flags & OPEN_RDWR) || (nbd.flags & OPEN_SNAPSHOT && !nbd.snapshot);
    g_ptr_array_add(nbd.bitmaps, NULL);
    nbd.export.bitmaps = (const char *const *)nbd.bitmaps->pdata;
}

/* ---- set-up */

/* Of systemd: one socket that listens already. */
static void take_activation(void)
{
    const char *pid = g_getenv("LISTEN_PID"), *fds = g_getenv("LISTEN_FDS");

    if (!pid || !fds || atol(pid) != getpid() || atoi(fds) < 1)
        return;
    if (atoi(fds) != 1)
        die("%s does not support socket activation with %s > 1", error_program(), "LISTEN_FDS");
    if (nbd.port || nbd.bind || nbd.socket)
        die("Unix socket, address and port can't be set when using socket activation");
    nbd.listening = 3;
    fcntl(3, F_SETFD, FD_CLOEXEC);
}

/* The parent stays until the child serves or has failed. */
static void go_to_background(void)
{
    int p[2];
    char c;
    pid_t pid;

    if (pipe2(p, O_CLOEXEC) < 0)
        die("pipe: %s", g_strerror(errno));
    pid = fork();
    if (pid < 0)
        die("Failed to fork: %s", g_strerror(errno));
    if (pid == 0) {
        close(p[0]);
        nbd.up = p[1];
        setsid();
        return;
    }
    close(p[1]);
    _exit(read(p[0], &c, 1) == 1 ? 0 : 1);
}

static void tell_parent(void)
{
    int null;

    if (nbd.up < 0)
        return;
    null = open("/dev/null", O_RDWR | O_CLOEXEC);
    dup2(null, 0);
    dup2(null, 1);
    if (!nbd.verbose)
        dup2(null, 2);
    if (write(nbd.up, "", 1) != 1)
        exit(1);
    close(nbd.up);
}

static void load_snapshot(BlockBackend *blk)
{
    BlockNode *n = blk_node(blk);
    json_t *o = g_str_has_prefix(nbd.snapshot, "snapshot.") ? jopts_parse(nbd.snapshot, NULL, NULL) : json_object();
    const char *id = jopts_get(o, "snapshot.id"), *name = jopts_get(o, "snapshot.name");
    GError *e = NULL;
    bool ok;

    if (!n->drv->snapshot_load)
        die("Failed to load snapshot: Device '%s' does not support internal snapshots", n->name);
    if (id || name)
        ok = n->drv->snapshot_load(n, id, name, &e);
    else
        ok = n->drv->snapshot_load(n, nbd.snapshot, NULL, NULL) || n->drv->snapshot_load(n, NULL, nbd.snapshot, &e);
    json_decref(o);
    if (!ok)
        die("Failed to load snapshot: %s", e ? e->message : "Can't find snapshot");
}

static BlockBackend *open_image(void)
{
    json_t *opts = json_object();
    BlockBackend *blk = NULL;
    GError *e = NULL;

    if (nbd.image_opts) {
        json_decref(opts);
        opts = *nbd.file == '{' ? jopts_from_json(nbd.file, &e) : jopts_parse(nbd.file, "file", &e);
    } else if (nbd.fmt) {
        jopts_set(opts, "driver", nbd.fmt);
    }
    if (opts && nbd.aio)
        jopts_set_default(opts, "file.aio", nbd.aio);
    if (opts && nbd.detect_zeroes)
        jopts_set_default(opts, "detect-zeroes", nbd.detect_zeroes);
    if (opts)
        blk = blk_open(nbd.image_opts ? NULL : nbd.file, opts, nbd.flags, &e);
    if (!blk)
        die("Failed to blk_new_open '%s': %s", nbd.file, e->message);
    if (nbd.snapshot)
        load_snapshot(blk);
    return blk;
}

static void client_gone(unsigned left, bool served)
{
    if (!left && served && !nbd.persistent)
        nbd.done = true;
}

static void start_listening(void)
{
    SocketAddress a = { .path = (char *)nbd.socket, .host = (char *)(nbd.bind ? nbd.bind : "0.0.0.0"),
                        .port = (char *)(nbd.port ? nbd.port : NBD_PORT) };
    GError *e = NULL;

    if (nbd.listening >= 0)
        nbd_server_start_fd(nbd.listening, nbd.shared, client_gone);
    else if (!nbd_server_start(&a, nbd.shared, client_gone, &e))
        die("%s", e->message);
}

static void write_pid(void)
{
    g_autofree char *text = g_strdup_printf("%d\n", (int)getpid());
    int fd;

    if (!nbd.pid_file)
        return;
    fd = open(nbd.pid_file, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0)
        die("Could not create '%s': %s", nbd.pid_file, g_strerror(errno));
    if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        die("Could not write to '%s': %s", nbd.pid_file, g_strerror(errno));
    close(fd);
}

/* ---- serving */

static void signalled(void *opaque)
{
    nbd.done = true;
}

static void watch_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    aio_add_fd(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK), signalled, NULL);
}

static int serve(void)
{
    BlockBackend *blk;
    GError *e = NULL;

    if (nbd.fork)
        go_to_background();
    block_init(NULL);
    blk = open_image();
    nbd.export.writable &= !blk_is_read_only(blk);
    nbd.export.writethrough = nbd.writethrough;
    if (!nbd_export_add(blk_node(blk), &nbd.export, &e))
        die("%s", e->message);
    start_listening();
    write_pid();
    watch_signals();
    tell_parent();
    while (!nbd.done)
        aio_poll(true);
    nbd_server_stop();
    blk_unref(blk);
    block_shutdown();
    if (nbd.pid_file)
        unlink(nbd.pid_file);
    return 0;
}

static int list_exports(void)
{
    SocketAddress a = { .path = (char *)nbd.socket, .host = (char *)(nbd.bind ? nbd.bind : "0.0.0.0"),
                        .port = (char *)(nbd.port ? nbd.port : NBD_PORT) };
    GError *e = NULL;

    if (!nbd_list(&a, &e))
        die("%s", e->message);
    return 0;
}

int main(int argc, char **argv)
{
    nbd.argv0 = argv[0];
    fds_fill_standard();
    error_set_program(argv[0]);
    error_set_plain_hints();
    signal(SIGPIPE, SIG_IGN);
    take_options(argc, argv);
    take_activation();
    return nbd.list ? list_exports() : serve();
}
