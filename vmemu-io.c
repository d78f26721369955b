/* vmemu-io: reads and writes images by command, as qemu-io does. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "block/aio.h"
#include "block/io-cmd.h"
#include "block/options.h"
#include "util/error.h"

typedef struct Way {
    unsigned flags;                     /* OPEN_* */
    bool writethrough, image_opts;
    const char *fmt, *aio;
} Way;

static const char *as_texts[] = { "none", "off", "writeback", "unsafe", "directsync", "writethrough", NULL };

static bool take_cache(Way *w, const char *mode)
{
    w->flags &= ~(OPEN_DIRECT | OPEN_NO_FLUSH);
    if (!g_strv_contains(as_texts, mode)) {
        error_report("Invalid cache option: %s", mode);
        return false;
    }
    if (!strcmp(mode, "none") || !strcmp(mode, "off") || !strcmp(mode, "directsync"))
        w->flags |= OPEN_DIRECT;
    if (!strcmp(mode, "unsafe"))
        w->flags |= OPEN_NO_FLUSH;
    w->writethrough = !strcmp(mode, "directsync") || !strcmp(mode, "writethrough");
    return true;
}

static bool take_discard(Way *w, const char *mode)
{
    w->flags &= ~OPEN_UNMAP;
    if (!strcmp(mode, "on") || !strcmp(mode, "unmap"))
        w->flags |= OPEN_UNMAP;
    else if (strcmp(mode, "off") && strcmp(mode, "ignore"))
        return error_report("Invalid discard option: %s", mode), false;
    return true;
}

static bool take_aio(Way *w, const char *mode)
{
    if (strcmp(mode, "threads") && strcmp(mode, "native") && strcmp(mode, "io_uring"))
        return error_report("Invalid aio option: %s", mode), false;
    w->aio = mode;
    return true;
}

/* opts: taken over, may be NULL. */
static bool open_file(IoSession *s, const char *name, json_t *opts, const Way *w)
{
    GError *e = NULL;

    if (s->blk) {
        error_report("file open already, try 'help close'");
        json_decref(opts);
        return false;
    }
    opts = opts ? opts : json_object();
    if (w->aio)
        jopts_set_default(opts, "file.aio", w->aio);
    s->blk = blk_open(name, opts, w->flags, &e);
    if (!s->blk) {
        error_report("can't open%s%s: %s", name ? " device " : "", name ? name : "", e->message);
        g_error_free(e);
        return false;
    }
    blk_enable_write_cache(s->blk, !w->writethrough);
    return true;
}

static void close_file(IoSession *s)
{
    if (!s->blk)
        return;
    AIO_WAIT_WHILE(s->in_flight);
    blk_unref(s->blk);
    s->blk = NULL;
}

/* ---- commands of the program */

static int run_close(IoSession *s, int argc, char **argv)
{
    close_file(s);
    return 0;
}

static const IoCommand own[];

static bool take_open_option(Way *w, json_t **opts, int o)
{
    GError *e = NULL;

    switch (o) {
    case 'r': w->flags &= ~OPEN_RDWR; break;
    case 's': w->flags |= OPEN_SNAPSHOT; break;
    case 'C': w->flags |= OPEN_COPY_ON_READ; break;
    case 'n': w->flags |= OPEN_DIRECT; w->writethrough = false; break;
    case 'k': w->aio = "native"; break;
    case 'U': w->flags |= OPEN_FORCE_SHARE; break;
    case 'i': return take_aio(w, optarg);
    case 't': return take_cache(w, optarg);
    case 'd': return take_discard(w, optarg);
    case 'o':
        *opts = jopts_parse(optarg, "file", &e);
        if (!*opts)
            error_report_err(e);
        return *opts != NULL;
    }
    return true;
}

static int run_open(IoSession *s, int argc, char **argv)
{
    Way w = { .flags = OPEN_RDWR | OPEN_UNMAP };
    json_t *opts = NULL;
    int o;

    while ((o = getopt(argc, argv, "snCro:ki:t:d:U")) != -1) {
        if (o == '?') {
            json_decref(opts);
            return io_usage(s, &own[1]), -1;
        }
        if (!take_open_option(&w, &opts, o))
            return -1;
    }
    if (optind != argc - 1 && !(optind == argc && opts)) {
        json_decref(opts);
        return io_usage(s, &own[1]), -1;
    }
    return open_file(s, optind < argc ? argv[optind] : NULL, opts, &w) ? 0 : -1;
}

static const IoCommand own[] = {
    { "close", "c", run_close, 0, 0, false, 0, NULL, "close the current open file", NULL },
    { "open", "o", run_open, 1, -1, true, 0, "[-rsCnkU] [-t cache] [-d discard] [-o options] [path]",
      "open the file specified by path",
      " -r: read-only\n -s: changes go into a temporary file\n -C: copy on read\n -n: as -t none\n -U: force shared\n"
      " -k: as -i native\n -i: threads or native\n -t: cache mode\n -d: discard mode\n -o: options of the drivers" },
    { NULL },
};

/* ---- the program */

static void usage(FILE *f)
{
    fprintf(f, "Usage: %s [OPTIONS]... [-c STRING]... [file]\n"
            "\n"
            "  --object OBJECTDEF   an object (none is supported)\n"
            "  --image-opts         file is a list of options\n"
            "  -c, --cmd STRING     run a command; repeatable\n"
            "  -f, --format FMT     the image's format\n"
            "  -r, --read-only      never write\n"
            "  -s, --snapshot       writes go to a temporary file\n"
            "  -n, --nocache        the same as -t none\n"
            "  -C, --copy-on-read   copy what is read from a backing file\n"
            "  -m, --misalign       use buffers that O_DIRECT does not like\n"
            "  -k, --native-aio     the same as -i native\n"
            "  -i, --aio=MODE       threads or native\n"
            "  -t, --cache=MODE     none, writeback, writethrough, directsync, unsafe\n"
            "  -d, --discard=MODE   off or unmap\n"
            "  -U, --force-share    while another program writes to the image\n"
            "  -h, --help           this text\n"
            "  -V, --version        the version\n"
            "\n"
            "'%s -c help' lists the commands; without -c they are read from standard input.\n", error_program(),
            error_program());
}

static void show(IoSession *s)
{
    fputs(s->out->str, stdout);
    fflush(stdout);
    g_string_truncate(s->out, 0);
}

static void run_one(IoSession *s, const char *line)
{
    io_command(s, line);
    show(s);
}

static void from_stdin(IoSession *s)
{
    bool tty = isatty(0);
    char *line = NULL;
    size_t room = 0;

    while (!s->quit) {
        ssize_t n;

        printf("%s> ", error_program());
        fflush(stdout);
        n = getline(&line, &room, stdin);
        if (n < 0)
            break;
        if (n && line[n - 1] == '\n')
            line[n - 1] = '\0';
        run_one(s, line);
    }
    if (tty && !s->quit)
        printf("\n");
    free(line);
}

static const struct option longs[] = {
    { "help", no_argument, NULL, 'h' }, { "version", no_argument, NULL, 'V' }, { "cmd", required_argument, NULL, 'c' },
    { "format", required_argument, NULL, 'f' }, { "read-only", no_argument, NULL, 'r' },
    { "snapshot", no_argument, NULL, 's' }, { "nocache", no_argument, NULL, 'n' },
    { "copy-on-read", no_argument, NULL, 'C' }, { "misalign", no_argument, NULL, 'm' },
    { "native-aio", no_argument, NULL, 'k' }, { "aio", required_argument, NULL, 'i' },
    { "discard", required_argument, NULL, 'd' }, { "cache", required_argument, NULL, 't' },
    { "force-share", no_argument, NULL, 'U' }, { "object", required_argument, NULL, 1000 },
    { "image-opts", no_argument, NULL, 1001 }, { 0 },
};

static void take(Way *w, IoSession *s, GPtrArray *commands, int o)
{
    json_t *none = NULL;

    switch (o) {
    case 'h': usage(stdout); exit(0);
    case 'V': printf("%s version %s\n", error_program(), CONFIG_VERSION); exit(0);
    case 'c': g_ptr_array_add(commands, optarg); break;
    case 'f': w->fmt = optarg; break;
    case 'm': s->misaligned = true; break;
    case 1000: error_report("--object: no object type is supported"); exit(1);
    case 1001: w->image_opts = true; break;
    case '?': usage(stderr); exit(1);
    default:
        if (!take_open_option(w, &none, o))
            exit(1);
    }
}

static bool open_named(IoSession *s, const char *name, const Way *w)
{
    json_t *opts = NULL;
    GError *e = NULL;

    if (w->image_opts) {
        opts = *name == '{' ? jopts_from_json(name, &e) : jopts_parse(name, "file", &e);
        if (!opts)
            return error_report_err(e), false;
        return open_file(s, NULL, opts, w);
    }
    if (w->fmt) {
        opts = json_object();
        jopts_set(opts, "driver", w->fmt);
    }
    return open_file(s, name, opts, w);
}

int main(int argc, char **argv)
{
    IoSession s = { .out = g_string_new(NULL), .more = own };
    Way w = { .flags = OPEN_RDWR | OPEN_UNMAP };
    g_autoptr(GPtrArray) commands = g_ptr_array_new();
    int o;

    error_set_program(argv[0]);
    error_set_plain_hints();
    block_init(NULL);
    while ((o = getopt_long(argc, argv, "hVc:d:f:rsnCmki:t:T:U", longs, NULL)) != -1)
        take(&w, &s, commands, o);
    if (optind < argc - 1) {
        usage(stderr);
        return 1;
    }
    if (w.fmt && w.image_opts) {
        error_report("--image-opts and -f are mutually exclusive");
        return 1;
    }
    if (optind < argc && !open_named(&s, argv[optind], &w))
        return 1;
    for (unsigned i = 0; i < commands->len && !s.quit; i++)
        run_one(&s, commands->pdata[i]);
    if (!commands->len)
        from_stdin(&s);
    close_file(&s);
    show(&s);
    block_shutdown();
    g_string_free(s.out, TRUE);
    return commands->len ? s.status : 0;
}
