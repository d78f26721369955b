/* qemu-io: reading, writing, discarding, at once or in the background. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "block/aio.h"
#include "block/io-cmd-int.h"
#include "util/error.h"

#define MISALIGN 16
#define NO_PATTERN (-1)

/* What a command line asks for. */
typedef struct Ask {
    bool machine, quiet, verbose, vmstate, compressed, zero, invalid;
    unsigned flags;                     /* BLK_* */
    int pattern;                        /* NO_PATTERN: none given */
    bool has_from, has_len;
    int64_t from, len;                  /* the part that the pattern is looked for in */
    const char *source;                 /* a file with what is to be written */
    int64_t offset, bytes;
    struct iovec *iov;
    unsigned n;
    uint8_t *buf;
} Ask;

static void ask_free(IoSession *s, Ask *a)
{
    if (a->buf)
        free(a->buf - (s->misaligned ? MISALIGN : 0));
    g_free(a->iov);
}

static uint8_t *buffer(IoSession *s, int64_t bytes, int fill)
{
    uint8_t *b = block_memalign(bytes + MISALIGN);

    b += s->misaligned ? MISALIGN : 0;
    memset(b, fill, bytes);
    return b;
}

static int fail(IoSession *s, const char *what, int ret)
{
    g_string_append_printf(s->out, "%s failed: %s\n", what, g_strerror(-ret));
    return ret;
}

static int say(IoSession *s, const char *text)
{
    g_string_append_printf(s->out, "%s\n", text);
    return -EINVAL;
}

/* ---- options */

static bool take_option(IoSession *s, Ask *a, int o)
{
    switch (o) {
    case 'a': case 'p': break;          /* once upon a time */
    case 'b': a->vmstate = true; break;
    case 'c': a->compressed = true; break;
    case 'C': a->machine = true; break;
    case 'f': a->flags |= BLK_FUA; break;
    case 'i': a->invalid = true; break;
    case 'n': a->flags |= BLK_NO_FALLBACK; break;
    case 'q': a->quiet = true; break;
    case 'u': a->flags |= BLK_MAY_UNMAP; break;
    case 'v': a->verbose = true; break;
    case 'z': a->zero = true; break;
    case 'l':
        a->has_len = true;
        a->len = io_number(s, optarg);
        return a->len >= 0;
    case 'P':
        a->pattern = io_pattern(s, optarg);
        return a->pattern >= 0;
    }
    return true;
}

/* Options of a command; 1: go on. */
static int take_options(IoSession *s, Ask *a, int argc, char **argv, const char *letters, bool reads)
{
    int o;

    *a = (Ask){ .pattern = NO_PATTERN };
    while ((o = getopt(argc, argv, letters)) != -1) {
        if (o == '?')
            return io_usage(s, io_find(argv[0], s)), -EINVAL;
        if (o == 's' && !reads) {
            a->source = optarg;
        } else if (o == 's') {
            a->has_from = true;
            a->from = io_number(s, optarg);
            if (a->from < 0)
                return -EINVAL;
        } else if (!take_option(s, a, o)) {
            return -EINVAL;
        }
    }
    return 1;
}

static int take_length(IoSession *s, Ask *a, const char *text, int64_t *len)
{
    *len = io_number(s, text);
    if (*len < 0)
        return -EINVAL;
    if (*len > BLK_MAX_REQUEST && !a->zero) {
        g_string_append_printf(s->out, "length cannot exceed %d, given %s\n", BLK_MAX_REQUEST, text);
        return -EINVAL;
    }
    return 1;
}

/* One offset and one length. */
static int take_range(IoSession *s, Ask *a, int argc, char **argv)
{
    if (optind != argc - 2)
        return io_usage(s, io_find(argv[0], s)), -EINVAL;
    a->offset = io_number(s, argv[optind]);
    return a->offset < 0 ? -EINVAL : take_length(s, a, argv[optind + 1], &a->bytes);
}

static int sector_aligned(IoSession *s, const char *name, int64_t v)
{
    if (v & 511) {
        g_string_append_printf(s->out, "%" PRId64 " is not a sector-aligned value for '%s'\n", v, name);
        return -EINVAL;
    }
    return 1;
}

/* One offset, several lengths: a buffer cut into pieces. */
static int take_pieces(IoSession *s, Ask *a, int argc, char **argv, int fill)
{
    int64_t len;
    uint8_t *at;

    if (argc - optind < 2)
        return io_usage(s, io_find(argv[0], s)), -EINVAL;
    a->offset = io_number(s, argv[optind]);
    if (a->offset < 0)
        return -EINVAL;
    a->n = argc - optind - 1;
    a->iov = g_new0(struct iovec, a->n);
    for (unsigned i = 0; i < a->n; i++) {
        int ret = take_length(s, a, argv[optind + 1 + i], &len);

        if (ret < 0)
            return ret;
        if (len > BLK_MAX_REQUEST - a->bytes)
            return say(s, "The total number of bytes exceeds the maximum size");
        a->iov[i].iov_len = len;
        a->bytes += len;
    }
    at = a->buf = buffer(s, a->bytes, fill);
    for (unsigned i = 0; i < a->n; at += a->iov[i++].iov_len)
        a->iov[i].iov_base = at;
    return 1;
}

/* ---- one request */

static int in_bounds(const IoCall *c)
{
    int64_t len = node_length(c->n);

    return len < 0 ? len : c->offset > len || c->bytes > len - c->offset ? -EIO : 0;
}

static int read_now(IoCall *c)
{
    int ret = in_bounds(c);

    return ret < 0 ? ret : node_co_read(c->l, c->offset, c->bytes, c->v, 0, 0);
}

static int write_now(IoCall *c)
{
    int ret = in_bounds(c);

    return ret < 0 ? ret : node_co_write(c->l, c->offset, c->bytes, c->v, 0, c->flags);
}

static int zero_now(IoCall *c)
{
    int ret = in_bounds(c);

    return ret < 0 ? ret : node_co_zero(c->l, c->offset, c->bytes, c->flags);
}

static int discard_now(IoCall *c)
{
    int ret = in_bounds(c);

    return ret < 0 ? ret : node_co_discard(c->l, c->offset, c->bytes);
}

static int vmstate_read(IoCall *c)
{
    return c->n->drv->co_vmstate ? c->n->drv->co_vmstate(c->n, c->offset, c->v, c->bytes, false) : -ENOTSUP;
}

static int vmstate_write(IoCall *c)
{
    return c->n->drv->co_vmstate ? c->n->drv->co_vmstate(c->n, c->offset, c->v, c->bytes, true) : -ENOTSUP;
}

static int request(IoSession *s, const Ask *a, int (*fn)(IoCall *), int64_t *ns)
{
    struct iovec one = { a->buf, a->bytes };
    IoVec v = { a->iov ? a->iov : &one, a->iov ? a->n : 1 };
    IoCall c = { .fn = fn, .n = blk_node(s->blk), .l = blk_root(s->blk), .offset = a->offset, .bytes = a->bytes, .v = &v,
                 .flags = a->flags | (a->compressed ? REQ_WRITE_COMPRESSED : 0) |
                 (blk_write_cache(s->blk) ? 0 : BLK_FUA) };
    int64_t begun = aio_now();
    int ret = io_call(&c);

    *ns = aio_now() - begun;
    return ret;
}

static bool pattern_there(const uint8_t *p, int64_t n, int pattern)
{
    for (int64_t i = 0; i < n; i++)
        if (p[i] != pattern)
            return false;
    return true;
}

static int verify(IoSession *s, const Ask *a)
{
    int64_t n = a->has_len ? a->len : a->bytes - a->from;

    if (a->pattern == NO_PATTERN || pattern_there(a->buf + a->from, n, a->pattern))
        return 0;
    g_string_append_printf(s->out, "Pattern verification failed at offset %" PRId64 ", %" PRId64 " bytes\n",
                           a->offset + a->from, n);
    return -EINVAL;
}

static int read_end(IoSession *s, const Ask *a, int64_t ns)
{
    int ret = verify(s, a);

    if (a->quiet)
        return ret;
    if (a->verbose)
        io_dump(s, a->buf, a->offset, a->bytes);
    io_report(s, "read", ns, a->offset, a->bytes, a->bytes, 1, a->machine);
    return ret;
}

static int write_and_report(IoSession *s, const Ask *a, int (*fn)(IoCall *), const char *name)
{
    int64_t ns;
    int ret = request(s, a, fn, &ns);

    if (ret < 0)
        fail(s, name, ret);
    else if (!a->quiet)
        io_report(s, "wrote", ns, a->offset, a->bytes, a->bytes, 1, a->machine);
    return ret;
}

/* ---- read, write */

static int check_read(IoSession *s, const Ask *a, char **argv)
{
    int64_t n = a->has_len ? a->len : a->bytes - a->from;

    if (a->pattern == NO_PATTERN && (a->has_from || a->has_len))
        return io_usage(s, io_find(argv[0], s)), -EINVAL;
    if (n < 0 || n > a->bytes - a->from)
        return say(s, "pattern verification range exceeds end of read data");
    if (a->vmstate && sector_aligned(s, "offset", a->offset) < 0)
        return -EINVAL;
    return a->vmstate ? sector_aligned(s, "bytes", a->bytes) : 1;
}

int io_read(IoSession *s, int argc, char **argv)
{
    int64_t ns;
    Ask a;
    int ret = take_options(s, &a, argc, argv, "abCl:pP:qs:v", true);

    if (ret > 0)
        ret = take_range(s, &a, argc, argv);
    if (ret > 0)
        ret = check_read(s, &a, argv);
    if (ret <= 0)
        return ret;
    a.buf = buffer(s, a.bytes, 0xab);
    ret = request(s, &a, a.vmstate ? vmstate_read : read_now, &ns);
    ret = ret < 0 ? fail(s, "read", ret) : read_end(s, &a, ns);
    ask_free(s, &a);
    return ret;
}

static int check_write(IoSession *s, const Ask *a)
{
    if (a->vmstate && a->zero)
        return say(s, "-b and -z cannot be specified at the same time");
    if (a->flags & BLK_FUA && (a->vmstate || a->compressed))
        return say(s, "-f and -b or -c cannot be specified at the same time");
    if (a->flags & BLK_NO_FALLBACK && !a->zero)
        return say(s, "-n requires -z to be specified");
    if (a->flags & BLK_MAY_UNMAP && !a->zero)
        return say(s, "-u requires -z to be specified");
    if (a->zero + (a->pattern != NO_PATTERN) + (a->source != NULL) > 1)
        return say(s, "Only one of -z, -P, and -s can be specified at the same time");
    return 1;
}

/* The file's contents, again and again. */
static int fill_from(const Ask *a)
{
    FILE *f = fopen(a->source, "rb");
    int64_t n = 0;

    if (!f) {
        fprintf(stderr, "%s: %s\n", a->source, g_strerror(errno));
        return -EINVAL;
    }
    n = fread(a->buf, 1, a->bytes, f);
    if (ferror(f))
        fprintf(stderr, "%s: %s\n", a->source, g_strerror(EIO));
    else if (!n && a->bytes)
        fprintf(stderr, "%s: file is empty\n", a->source);
    fclose(f);
    for (int64_t i = n; n && i < a->bytes; i += MIN(n, a->bytes - i))
        memcpy(a->buf + i, a->buf, MIN(n, a->bytes - i));
    return n || !a->bytes ? 1 : -EINVAL;
}

int io_write(IoSession *s, int argc, char **argv)
{
    Ask a;
    int ret = take_options(s, &a, argc, argv, "bcCfnpP:qs:uz", false);

    if (ret > 0)
        ret = optind != argc - 2 ? take_range(s, &a, argc, argv) : check_write(s, &a);
    if (ret > 0)
        ret = take_range(s, &a, argc, argv);
    if (ret > 0 && (a.vmstate || a.compressed))
        ret = sector_aligned(s, "offset", a.offset) < 0 ? -EINVAL : sector_aligned(s, "bytes", a.bytes);
    if (ret <= 0)
        return ret;
    if (!a.zero)
        a.buf = buffer(s, a.bytes, a.pattern == NO_PATTERN ? 0xcd : a.pattern);
    if (a.source)
        ret = fill_from(&a);
    if (ret > 0)
        ret = write_and_report(s, &a, a.vmstate ? vmstate_write : a.zero ? zero_now : write_now, "write");
    ask_free(s, &a);
    return ret;
}

int io_readv(IoSession *s, int argc, char **argv)
{
    int64_t ns;
    Ask a;
    int ret = take_options(s, &a, argc, argv, "CP:qv", true);

    if (ret > 0)
        ret = take_pieces(s, &a, argc, argv, 0xab);
    if (ret > 0) {
        ret = request(s, &a, read_now, &ns);
        ret = ret < 0 ? fail(s, "readv", ret) : read_end(s, &a, ns);
    }
    ask_free(s, &a);
    return ret;
}

int io_writev(IoSession *s, int argc, char **argv)
{
    Ask a;
    int ret = take_options(s, &a, argc, argv, "CfqP:", false);

    if (ret > 0)
        ret = take_pieces(s, &a, argc, argv, a.pattern == NO_PATTERN ? 0xcd : a.pattern);
    if (ret > 0)
        ret = write_and_report(s, &a, write_now, "writev");
    ask_free(s, &a);
    return ret;
}

int io_discard(IoSession *s, int argc, char **argv)
{
    int64_t ns;
    Ask a;
    int ret = take_options(s, &a, argc, argv, "Cq", false);

    if (ret > 0)
        ret = take_range(s, &a, argc, argv);
    if (ret <= 0)
        return ret;
    ret = request(s, &a, discard_now, &ns);
    if (ret < 0)
        return fail(s, "discard", ret);
    if (!a.quiet)
        io_report(s, "discard", ns, a.offset, a.bytes, a.bytes, 1, a.machine);
    return 0;
}

/* ---- in the background */

typedef struct Background { IoSession *s; Ask a; bool write; int64_t begun; } Background;

static void background_end(void *opaque, int ret)
{
    Background *b = opaque;
    IoSession *s = b->s;
    int64_t ns = aio_now() - b->begun;

    if (ret < 0)
        fail(s, b->write ? "aio_write" : "aio_read", ret);
    else if (!b->write)
        read_end(s, &b->a, ns);
    else if (!b->a.quiet)
        io_report(s, "wrote", ns, b->a.offset, b->a.bytes, b->a.bytes, 1, b->a.machine);
    s->in_flight--;
    ask_free(s, &b->a);
    g_free(b);
}

static int start(IoSession *s, Ask *a, bool write)
{
    Background *b;

    if (a->invalid) {
        g_string_append_printf(s->out, "injecting invalid %s request\n", write ? "write" : "read");
        blk_acct_invalid(s->blk, write ? BLK_ACCT_WRITE : BLK_ACCT_READ);
        ask_free(s, a);
        return 0;
    }
    b = g_new(Background, 1);
    *b = (Background){ s, *a, write, aio_now() };
    s->in_flight++;
    if (a->zero)
        blk_aio_write_zeroes(s->blk, a->offset, a->bytes, a->flags, background_end, b);
    else if (write)
        blk_aio_pwritev(s->blk, a->offset, b->a.iov, b->a.n, a->flags, background_end, b);
    else
        blk_aio_preadv(s->blk, a->offset, b->a.iov, b->a.n, 0, background_end, b);
    return 0;
}

int io_aio_read(IoSession *s, int argc, char **argv)
{
    Ask a;
    int ret = take_options(s, &a, argc, argv, "CP:iqv", true);

    if (ret > 0)
        ret = take_pieces(s, &a, argc, argv, 0xab);
    if (ret > 0)
        return start(s, &a, false);
    ask_free(s, &a);
    return ret;
}

int io_aio_write(IoSession *s, int argc, char **argv)
{
    Ask a;
    int ret = take_options(s, &a, argc, argv, "CfiP:quz", false);

    if (ret > 0 && optind > argc - 2)
        ret = take_range(s, &a, argc, argv);
    else if (ret > 0 && a.zero && optind != argc - 2)
        ret = say(s, "-z supports only a single length parameter");
    else if (ret > 0 && (a.flags & BLK_MAY_UNMAP) && !a.zero)
        ret = say(s, "-u requires -z to be specified");
    if (ret > 0 && a.zero)
        ret = take_range(s, &a, argc, argv);
    else if (ret > 0)
        ret = take_pieces(s, &a, argc, argv, a.pattern == NO_PATTERN ? 0xcd : a.pattern);
    if (ret > 0)
        return start(s, &a, true);
    ask_free(s, &a);
    return ret;
}

void io_drain(IoSession *s)
{
    AIO_WAIT_WHILE(s->in_flight);
}

int io_aio_flush(IoSession *s, int argc, char **argv)
{
    io_drain(s);
    return 0;
}
