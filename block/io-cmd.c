/* qemu-io: from a line to a command; numbers, buffers, reports; everything but reading and writing. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "block/aio.h"
#include "block/image-info.h"
#include "block/io-cmd-int.h"
#include "block/options.h"
#include "util/error.h"

/* ---- numbers and reports */

static void complain(IoSession *s, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
static void complain(IoSession *s, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    if (s->monitor)
        g_string_append_vprintf(s->out, fmt, ap);
    else
        vfprintf(stderr, fmt, ap);
    va_end(ap);
}

int64_t io_number(IoSession *s, const char *text)
{
    uint64_t v;
    int ret = parse_size_err(text, 'B', &v);

    if (ret == 0 && v <= INT64_MAX)
        return v;
    if (ret == -ERANGE || ret == 0)
        g_string_append_printf(s->out, "Parsing error: argument too large -- %s\n", text);
    else
        g_string_append_printf(s->out, "Parsing error: non-numeric argument, or extraneous/unrecognized suffix -- %s\n", text);
    return -1;
}

char *io_size_text(double v)
{
    static const char *const units[] = { " bytes", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB" };
    unsigned u = 0;
    g_autofree char *n = NULL;
    char *dot;

    while (v >= 1024 && u + 1 < G_N_ELEMENTS(units)) {
        v /= 1024;
        u++;
    }
    n = g_strdup_printf(u ? "%.3f" : "%f", v);
    dot = strstr(n, u ? ".000" : ".000000");
    if (dot)
        *dot = '\0';
    return g_strconcat(n, units[u], NULL);
}

static char *time_text(int64_t ns, bool fixed)
{
    int64_t s = ns / 1000000000, frac = ns % 1000000000 / 10000000;

    if (fixed || s >= 3600)
        return g_strdup_printf("%" PRId64 ":%02d:%02d.%02d", s / 3600, (int)(s / 60 % 60), (int)(s % 60), (int)frac);
    if (s >= 60)
        return g_strdup_printf("%02d:%02d.%02d", (int)(s / 60), (int)(s % 60), (int)frac);
    return g_strdup_printf("%02d.%02d sec", (int)s, (int)frac);
}

void io_report(IoSession *s, const char *op, int64_t ns, int64_t offset, int64_t bytes, int64_t done, int ops, bool machine)
{
    double secs = MAX(ns, 1) / 1e9;
    g_autofree char *t = time_text(ns, machine), *total = io_size_text(done), *rate = io_size_text(done / secs);

    if (machine) {
        g_string_append_printf(s->out, "%" PRId64 ",%d,%s,%.3f,%.3f\n", done, ops, t, done / secs, ops / secs);
        return;
    }
    g_string_append_printf(s->out, "%s %" PRId64 "/%" PRId64 " bytes at offset %" PRId64 "\n%s, %d ops; %s (%s/sec and "
                           "%.4f ops/sec)\n", op, done, bytes, offset, total, ops, t, rate, ops / secs);
}

void io_dump(IoSession *s, const uint8_t *buf, int64_t offset, int64_t bytes)
{
    for (int64_t i = 0; i < bytes; i += 16) {
        int64_t n = MIN(16, bytes - i);

        g_string_append_printf(s->out, "%08" PRIx64 ":  ", offset + i);
        for (int64_t j = 0; j < n; j++)
            g_string_append_printf(s->out, "%02x ", buf[i + j]);
        g_string_append_c(s->out, ' ');
        for (int64_t j = 0; j < n; j++)
            g_string_append_c(s->out, g_ascii_isalnum(buf[i + j]) ? buf[i + j] : '.');
        g_string_append_c(s->out, '\n');
    }
}

int io_pattern(IoSession *s, const char *text)
{
    char *end;
    long v = strtol(text, &end, 0);

    if (end == text || *end || v < 0 || v > 255) {
        g_string_append_printf(s->out, "%s is not a valid pattern byte\n", text);
        return -1;
    }
    return v;
}

bool io_usage(IoSession *s, const IoCommand *c)
{
    g_string_append(s->out, c->name);
    if (c->args)
        g_string_append_printf(s->out, " %s", c->args);
    g_string_append_printf(s->out, " -- %s\n", c->oneline);
    return false;
}

/* ---- coroutines */

static void call_co(void *opaque)
{
    IoCall *c = opaque;

    c->ret = c->fn(c);
}

int io_call(IoCall *c)
{
    aio_run_sync(call_co, c);
    return c->ret;
}

/* ---- commands */

static int flush_now(IoCall *c)
{
    return node_co_flush(c->n);
}

int io_flush(IoSession *s, int argc, char **argv)
{
    IoCall c = { .fn = flush_now, .n = blk_node(s->blk) };
    int ret = io_call(&c);

    if (ret < 0)
        g_string_append_printf(s->out, "flush failed: %s\n", g_strerror(-ret));
    return ret;
}

static int truncate_now(IoCall *c)
{
    return node_co_truncate(c->l, c->offset, false, c->flags, &c->err);
}

int io_truncate(IoSession *s, int argc, char **argv)
{
    IoCall c = { .fn = truncate_now, .l = blk_root(s->blk), .flags = PREALLOC_OFF };
    int o;

    while ((o = getopt(argc, argv, "m:")) != -1) {
        if (o != 'm')
            return io_usage(s, io_find("truncate", s)), -EINVAL;
        while (prealloc_names[c.flags] && strcmp(prealloc_names[c.flags], optarg))
            c.flags++;
        if (!prealloc_names[c.flags]) {
            error_report("Invalid preallocation mode '%s'", optarg);
            return -EINVAL;
        }
    }
    c.offset = optind < argc ? io_number(s, argv[optind]) : -1;
    if (c.offset < 0)
        return -EINVAL;
    if (io_call(&c) < 0)
        error_report_err(c.err);
    return c.ret;
}

int io_length(IoSession *s, int argc, char **argv)
{
    int64_t len = blk_length(s->blk);
    g_autofree char *t = len < 0 ? NULL : io_size_text(len);

    g_string_append_printf(s->out, "%s%s\n", t ? t : "getlength: ", t ? "" : g_strerror(-len));
    return len < 0 ? len : 0;
}

int io_info(IoSession *s, int argc, char **argv)
{
    BlockNode *n = blk_node(s->blk);
    NodeInfo i = { 0 };
    g_autofree char *cluster = NULL, *vm = NULL;
    json_t *spec;

    g_string_append_printf(s->out, "format name: %s\n", n->drv->name);
    if (n->drv->info)
        n->drv->info(n, &i);
    cluster = io_size_text(i.cluster_size);
    vm = io_size_text(i.vm_state_offset);
    g_string_append_printf(s->out, "cluster size: %s\nvm state offset: %s\n", cluster, vm);
    spec = n->drv->specific_info ? n->drv->specific_info(n) : NULL;
    if (spec)
        image_info_print_specific(s->out, spec);
    json_decref(spec);
    return 0;
}

static int allocated_now(IoCall *c)
{
    return node_co_allocated_above(c->n, c->n, true, c->offset, c->bytes, &c->pnum);
}

int io_alloc(IoSession *s, int argc, char **argv)
{
    IoCall c = { .fn = allocated_now, .n = node_skip_filters(blk_node(s->blk)) };
    int64_t start = io_number(s, argv[1]), count, sum = 0, len = blk_length(s->blk), at = start, left;
    g_autofree char *t = NULL;

    if (start < 0)
        return -EINVAL;
    count = argc == 3 ? io_number(s, argv[2]) : BLK_SECTOR_SIZE;
    if (count < 0)
        return -EINVAL;
    if (argc < 3 && start >= len)
        count = 0;
    for (left = MIN(count, MAX(len - start, 0)); left > 0; left -= c.pnum, at += c.pnum) {
        c.offset = at;
        c.bytes = left;
        if (io_call(&c) < 0) {
            g_string_append_printf(s->out, "is_allocated failed: %s\n", g_strerror(-c.ret));
            return c.ret;
        }
        sum += c.ret ? c.pnum : 0;
        if (c.pnum <= 0)
            break;
    }
    t = io_size_text(start);
    g_string_append_printf(s->out, "%" PRId64 "/%" PRId64 " bytes allocated at offset %s\n", sum, count, t);
    return 0;
}

int io_map(IoSession *s, int argc, char **argv)
{
    IoCall c = { .fn = allocated_now, .n = node_skip_filters(blk_node(s->blk)) };
    int64_t len = blk_length(s->blk), run;

    if (len < 0)
        return len;
    for (int64_t at = 0; at < len; at += run) {
        g_autofree char *size = NULL, *where = NULL;
        int first = -1;

        for (run = 0; at + run < len; run += c.pnum) {
            c.offset = at + run;
            c.bytes = len - at - run;
            if (io_call(&c) < 0 || c.pnum <= 0) {
                error_report("Failed to get allocation status: %s", g_strerror(-c.ret));
                return c.ret ? c.ret : -EIO;
            }
            if (first >= 0 && c.ret != first)
                break;
            first = c.ret;
        }
        size = io_size_text(run);
        where = io_size_text(at);
        g_string_append_printf(s->out, "%s (0x%" PRIx64 ") bytes %s allocated at offset %s (0x%" PRIx64 ")\n", size, run,
                               first ? "   " : "not", where, at);
    }
    return 0;
}

/* Another cache mode or access; the options that can be changed are those of the driver. */
int io_reopen(IoSession *s, int argc, char **argv)
{
    BlockNode *n = blk_node(s->blk);
    int o, rw = -1;
    GError *e = NULL;
    bool ok = true;

    while ((o = getopt(argc, argv, "c:o:rw")) != -1) {
        switch (o) {
        case 'r': case 'w':
            if (rw >= 0) {
                error_report("Only one -r/-w option may be given");
                return -EINVAL;
            }
            rw = o == 'w';
            break;
        case 'c':
            if (!strcmp(optarg, "writethrough") || !strcmp(optarg, "writeback")) {
                blk_enable_write_cache(s->blk, *optarg == 'w' && optarg[5] == 'b');
                break;
            }
            error_report("Invalid cache option: %s", optarg);
            return -EINVAL;
        case 'o':
            error_report("Cannot change the option '%.*s'", (int)strcspn(optarg, "="), optarg);
            return -EINVAL;
        default:
            return io_usage(s, io_find("reopen", s)), -EINVAL;
        }
    }
    if (optind != argc)
        return io_usage(s, io_find("reopen", s)), -EINVAL;
    io_drain(s);
    if (rw == 0)
        ok = link_set_perm(blk_root(s->blk), PERM_READ, PERM_ALL, &e);
    if (ok && rw >= 0)
        ok = node_reopen(n, rw, &e);
    if (!ok)
        error_report_err(e);
    return ok ? 0 : -EINVAL;
}

int io_sleep(IoSession *s, int argc, char **argv)
{
    char *end;
    int64_t ms;

    errno = 0;
    ms = strtol(argv[1], &end, 0);
    if (*end || errno || ms < 0) {
        g_string_append_printf(s->out, "%s is not a valid number\n", argv[1]);
        return -EINVAL;
    }
    for (int64_t until = aio_now() + ms * 1000000; aio_now() < until;) {
        aio_poll(false);
        g_usleep(MIN(1000, (until - aio_now()) / 1000 + 1));
    }
    return 0;
}

int io_sigraise(IoSession *s, int argc, char **argv)
{
    int64_t sig = io_number(s, argv[1]);

    if (s->monitor)
        return complain(s, "not here\n"), -EPERM;
    if (sig < 0 || sig > NSIG)
        return -EINVAL;
    fputs(s->out->str, stdout);         /* perhaps there is no later */
    fflush(stdout);
    g_string_truncate(s->out, 0);
    raise(sig);
    return 0;
}

int io_abort(IoSession *s, int argc, char **argv)
{
    if (s->monitor)
        return complain(s, "not here\n"), -EPERM;
    fputs(s->out->str, stdout);
    fflush(stdout);
    abort();
}

/* blkdebug's: no driver here has breakpoints. */
int io_break(IoSession *s, int argc, char **argv)
{
    const char *tag = argv[argc - 1];

    if (!strcmp(argv[0], "break"))
        g_string_append_printf(s->out, "Could not set breakpoint: %s\n", g_strerror(ENOTSUP));
    else if (!strcmp(argv[0], "remove_break"))
        g_string_append_printf(s->out, "Could not remove breakpoint %s: %s\n", tag, g_strerror(ENOTSUP));
    else if (!strcmp(argv[0], "resume"))
        g_string_append_printf(s->out, "Could not resume request: %s\n", g_strerror(ENOTSUP));
    else
        g_string_append_printf(s->out, "No request can be suspended: %s\n", g_strerror(ENOTSUP));
    return -ENOTSUP;
}

int io_quit(IoSession *s, int argc, char **argv)
{
    s->quit = true;
    return 0;
}

/* ---- the line */

const IoCommand *io_find(const char *name, const IoSession *s)
{
    const IoCommand *lists[] = { io_commands, s->more };

    for (unsigned i = 0; i < G_N_ELEMENTS(lists); i++)
        for (const IoCommand *c = lists[i]; c && c->name; c++)
            if (!strcmp(c->name, name) || (c->alt && !strcmp(c->alt, name)))
                return c;
    return NULL;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const IoCommand *const *)a)->name, (*(const IoCommand *const *)b)->name);
}

int io_help(IoSession *s, int argc, char **argv)
{
    const IoCommand *lists[] = { io_commands, s->more };
    g_autoptr(GPtrArray) all = g_ptr_array_new();

    if (argc > 1) {
        const IoCommand *c = io_find(argv[1], s);

        if (!c) {
            g_string_append_printf(s->out, "command %s not found\n", argv[1]);
            return -EINVAL;
        }
        io_usage(s, c);
        if (c->help)
            g_string_append_printf(s->out, "%s\n", c->help);
        return 0;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(lists); i++)
        for (const IoCommand *c = lists[i]; c && c->name; c++)
            g_ptr_array_add(all, (void *)c);
    g_ptr_array_sort(all, by_name);
    for (unsigned i = 0; i < all->len; i++)
        io_usage(s, g_ptr_array_index(all, i));
    g_string_append(s->out, "\nUse 'help commandname' for extended help.\n");
    return 0;
}

static bool ready(IoSession *s, const IoCommand *c, int args)
{
    GError *e = NULL;

    if (!c->no_file && !s->blk) {
        complain(s, "no file open, try 'help open'\n");
        return false;
    }
    if (args < c->min || (c->max >= 0 && args > c->max)) {
        if (c->max == -1)
            complain(s, "bad argument count %d to %s, expected at least %d arguments\n", args, c->name, c->min);
        else if (c->min == c->max)
            complain(s, "bad argument count %d to %s, expected %d arguments\n", args, c->name, c->min);
        else
            complain(s, "bad argument count %d to %s, expected between %d and %d arguments\n", args, c->name, c->min,
                     c->max);
        return false;
    }
    if (c->perm & ~PERM_READ && s->blk) {
        NodeLink *l = blk_root(s->blk);

        if ((l->perm & c->perm) != c->perm && !link_set_perm(l, l->perm | c->perm, l->shared, &e)) {
            error_report_err(e);
            return false;
        }
    }
    return true;
}

bool io_command(IoSession *s, const char *line)
{
    g_autofree char *copy = g_strdup(line);
    g_autoptr(GPtrArray) args = g_ptr_array_new();
    const IoCommand *c;
    char *save = NULL;
    bool ok;

    for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
        g_ptr_array_add(args, w);
    if (!args->len)
        return true;
    g_ptr_array_add(args, NULL);
    c = io_find(args->pdata[0], s);
    if (!c) {
        complain(s, "command \"%s\" not found\n", (char *)args->pdata[0]);
        ok = false;
    } else {
        optind = 0;                     /* getopt begins anew */
        ok = ready(s, c, args->len - 2) && c->run(s, args->len - 1, (char **)args->pdata) >= 0;
    }
    s->status |= !ok;
    return ok;
}
