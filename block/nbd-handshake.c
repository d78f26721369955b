/*
 * NBD server: the handshake ("fixed newstyle"), in which a client asks what there is and chooses.
 *
 * An option's data is read whole up to MAX_OPTION bytes; a longer one is skipped and refused.  STARTTLS is refused.
 */
#include <errno.h>
#include "block/nbd-int.h"

#define MAX_OPTION (256 * 1024)
#define MAX_QUERIES 1024                /* that are answered, of one option */

/* An option that a client has sent, and how far it has been taken apart. */
typedef struct Option { uint32_t code; uint8_t *data; uint32_t len, at; } Option;

/* ---- replies */

static int reply_parts(NbdClient *c, const Option *o, uint32_t type, const void *a, size_t a_len, const void *b, size_t b_len)
{
    uint8_t head[20];
    struct iovec iov[3] = { { head, sizeof(head) }, { (void *)a, a_len }, { (void *)b, b_len } };
    IoVec v = { iov, 3 };

    nbd_put64(head, NBD_REP_MAGIC);
    nbd_put32(head + 8, o->code);
    nbd_put32(head + 12, type);
    nbd_put32(head + 16, a_len + b_len);
    return conn_write(&c->conn, &v);
}

static int reply(NbdClient *c, const Option *o, uint32_t type, const char *text)
{
    return reply_parts(c, o, type, text, text ? strlen(text) : 0, NULL, 0);
}

static int reply_error(NbdClient *c, const Option *o, uint32_t type, const char *fmt, ...) G_GNUC_PRINTF(4, 5);
static int reply_error(NbdClient *c, const Option *o, uint32_t type, const char *fmt, ...)
{
    g_autofree char *text = NULL;
    va_list ap;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    return reply(c, o, type, text);
}

/* ---- taking an option apart; false: it ends too soon */

static bool take16(Option *o, uint16_t *v)
{
    if (o->len - o->at < 2)
        return false;
    *v = nbd_get16(o->data + o->at);
    o->at += 2;
    return true;
}

static bool take32(Option *o, uint32_t *v)
{
    if (o->len - o->at < 4)
        return false;
    *v = nbd_get32(o->data + o->at);
    o->at += 4;
    return true;
}

/* A string behind its length; longer ones than the protocol allows are as bad as those that are cut off. */
static bool take_string(Option *o, char **s)
{
    uint32_t len;

    if (!take32(o, &len) || len > NBD_MAX_STRING || o->len - o->at < len || memchr(o->data + o->at, 0, len))
        return false;
    *s = g_strndup((char *)o->data + o->at, len);
    o->at += len;
    return true;
}

static int malformed(NbdClient *c, const Option *o)
{
    return reply_error(c, o, NBD_REP_ERR_INVALID, "option %u is malformed", o->code);
}

static int no_export(NbdClient *c, const Option *o, const char *name)
{
    return reply_error(c, o, NBD_REP_ERR_UNKNOWN, "export '%s' not present", name);
}

/* ---- LIST */

static int list(NbdClient *c, const Option *o)
{
    int ret = 0;

    if (o->len)
        return malformed(c, o);
    for (NbdExport *e = nbd_exports(), *next; e && ret == 0; e = next) {
        uint8_t len[4];
        g_autofree char *text = g_strconcat(e->name, e->description, NULL);

        nbd_put32(len, strlen(e->name));
        nbd_export_ref(e);
        ret = reply_parts(c, o, NBD_REP_SERVER, len, 4, text, strlen(text));
        next = e->removed ? NULL : e->next;
        nbd_export_unref(e);
    }
    return ret < 0 ? ret : reply(c, o, NBD_REP_ACK, NULL);
}

/* ---- INFO, GO, EXPORT_NAME */

static void choose(NbdClient *c, NbdExport *e)
{
    c->export = nbd_export_ref(e);
    e->clients++;
    if (c->meta_export != e)
        c->chosen = 0;
}

static int tell_text(NbdClient *c, const Option *o, uint16_t info, const char *text)
{
    uint8_t head[2];

    nbd_put16(head, info);
    return reply_parts(c, o, NBD_REP_INFO, head, 2, text, strlen(text));
}

static int tell_block_size(NbdClient *c, const Option *o, uint32_t min)
{
    uint8_t p[14];

    nbd_put16(p, NBD_INFO_BLOCK_SIZE);
    nbd_put32(p + 2, min);
    nbd_put32(p + 6, MAX(4096, min));
    nbd_put32(p + 10, NBD_MAX_PAYLOAD);
    return reply_parts(c, o, NBD_REP_INFO, p, sizeof(p), NULL, 0);
}

static int tell_export(NbdClient *c, const Option *o, NbdExport *e, int64_t size)
{
    uint8_t p[12];

    nbd_put16(p, NBD_INFO_EXPORT);
    nbd_put64(p + 2, size);
    nbd_put16(p + 10, nbd_export_flags(e, c->structured));
    return reply_parts(c, o, NBD_REP_INFO, p, sizeof(p), NULL, 0);
}

/* What the client asked about; *block_size: it will keep to what we say about that. */
static bool take_requests(Option *o, bool *name, bool *description, bool *block_size)
{
    uint16_t n, what;

    if (!take16(o, &n))
        return false;
    while (n--) {
        if (!take16(o, &what))
            return false;
        *name |= what == NBD_INFO_NAME;
        *description |= what == NBD_INFO_DESCRIPTION;
        *block_size |= what == NBD_INFO_BLOCK_SIZE;
    }
    return o->at == o->len;
}

static int tell_all(NbdClient *c, const Option *o, NbdExport *e, bool name, bool description, bool block_size)
{
    uint32_t align = blk_node(e->blk) ? blk_node(e->blk)->limits.request_align : 1;
    int64_t size = nbd_export_size(e);
    int ret = 0;

    if (size < 0)
        return reply_error(c, o, NBD_REP_ERR_UNKNOWN, "%s", g_strerror((int)-size));
    if (name)
        ret = tell_text(c, o, NBD_INFO_NAME, e->name);
    if (ret == 0 && description && e->description)
        ret = tell_text(c, o, NBD_INFO_DESCRIPTION, e->description);
    if (ret == 0)
        ret = tell_block_size(c, o, o->code == NBD_OPT_INFO || block_size ? align : 1);
    if (ret == 0)
        ret = tell_export(c, o, e, size);
    if (ret == 0 && o->code == NBD_OPT_INFO && !block_size && align > 1)
        return reply_error(c, o, NBD_REP_ERR_BLOCK_SIZE_REQD, "request NBD_INFO_BLOCK_SIZE to use this export");
    return ret < 0 ? ret : reply(c, o, NBD_REP_ACK, NULL);
}

static int info_or_go(NbdClient *c, Option *o)
{
    bool name = false, description = false, block_size = false;
    g_autofree char *wanted = NULL;
    NbdExport *e;
    int ret;

    if (!take_string(o, &wanted) || !take_requests(o, &name, &description, &block_size))
        return malformed(c, o);
    e = nbd_export_find(wanted);
    if (!e)
        return no_export(c, o, wanted);
    nbd_export_ref(e);
    ret = tell_all(c, o, e, name, description, block_size);
    if (ret == 0 && o->code == NBD_OPT_GO && nbd_export_size(e) >= 0 && !e->removed)
        choose(c, e);
    else if (ret == 0 && o->code == NBD_OPT_GO)
        ret = -EPIPE;                   /* it believes what we said */
    nbd_export_unref(e);
    return ret;
}

/* The old way in; a name that is not there can only be answered by hanging up. */
static int export_name(NbdClient *c, Option *o)
{
    g_autofree char *name = g_strndup((char *)o->data, o->len);
    NbdExport *e = o->len <= NBD_MAX_STRING ? nbd_export_find(name) : NULL;
    int64_t size = e ? nbd_export_size(e) : -1;
    uint8_t p[10 + 124] = { 0 };

    if (size < 0)
        return -EINVAL;
    choose(c, e);
    nbd_put64(p, size);
    nbd_put16(p + 8, nbd_export_flags(e, c->structured));
    return conn_write_buf(&c->conn, p, c->no_zeroes ? 10 : sizeof(p));
}

/* ---- contexts of block status */

static bool query_matches(const char *query, const char *context, bool listing)
{
    if (!strcmp(query, context))
        return true;
    if (!listing)
        return false;
    return !strcmp(query, "base:") || !strcmp(query, "qemu:") || !strcmp(query, "qemu:dirty-bitmap:")
        ? g_str_has_prefix(context, query) : false;
}

static int send_contexts(NbdClient *c, const Option *o, NbdExport *e, const bool *wanted, unsigned n)
{
    int ret = 0;

    for (unsigned i = 0; i < n && ret == 0; i++) {
        g_autofree char *name = wanted[i] ? nbd_context_name(e, i) : NULL;
        uint8_t id[4];

        nbd_put32(id, o->code == NBD_OPT_LIST_META_CONTEXT ? 0 : i);
        if (name)
            ret = reply_parts(c, o, NBD_REP_META_CONTEXT, id, 4, name, strlen(name));
    }
    return ret < 0 ? ret : reply(c, o, NBD_REP_ACK, NULL);
}

/* Marks the contexts that the queries name. */
static bool take_queries(Option *o, NbdExport *e, bool *wanted, unsigned n)
{
    bool listing = o->code == NBD_OPT_LIST_META_CONTEXT;
    uint32_t queries;

    if (!take32(o, &queries) || queries > MAX_QUERIES)
        return false;
    for (unsigned i = 0; !queries && listing && i < n; i++)
        wanted[i] = true;
    while (queries--) {
        g_autofree char *query = NULL;

        if (!take_string(o, &query))
            return false;
        for (unsigned i = 0; i < n; i++) {
            g_autofree char *name = nbd_context_name(e, i);

            wanted[i] |= name && query_matches(query, name, listing);
        }
    }
    return o->at == o->len;
}

static void forget_contexts(NbdClient *c)
{
    if (c->meta_export)
        nbd_export_unref(c->meta_export);
    c->meta_export = NULL;
    g_clear_pointer(&c->contexts, g_free);
    c->n_contexts = c->chosen = 0;
}

static int meta_context(NbdClient *c, Option *o)
{
    g_autofree char *name = NULL;
    g_autofree bool *wanted = NULL;
    NbdExport *e;
    unsigned n;
    int ret;

    if (o->code == NBD_OPT_SET_META_CONTEXT)
        forget_contexts(c);
    if (!c->structured)
        return reply_error(c, o, NBD_REP_ERR_INVALID, "request option %u when structured reply is not negotiated", o->code);
    if (!take_string(o, &name))
        return malformed(c, o);
    e = nbd_export_find(name);
    if (!e)
        return no_export(c, o, name);
    n = CTX_BITMAP + e->n_bitmaps;
    wanted = g_new0(bool, n);
    if (!take_queries(o, e, wanted, n))
        return malformed(c, o);
    nbd_export_ref(e);
    ret = send_contexts(c, o, e, wanted, n);
    if (o->code == NBD_OPT_SET_META_CONTEXT) {
        c->meta_export = nbd_export_ref(e);
        for (unsigned i = 0; i < n; i++)
            c->chosen += wanted[i] && (i != CTX_DEPTH || e->allocation_depth);
        c->contexts = g_steal_pointer(&wanted);
        c->n_contexts = n;
    }
    nbd_export_unref(e);
    return ret;
}

/* ---- the whole */

static int structured_reply(NbdClient *c, const Option *o)
{
    if (o->len)
        return malformed(c, o);
    if (c->structured)
        return reply_error(c, o, NBD_REP_ERR_INVALID, "structured reply already negotiated");
    c->structured = true;
    return reply(c, o, NBD_REP_ACK, NULL);
}

/* 1: the export is chosen, 0: on we go */
static int do_option(NbdClient *c, Option *o)
{
    int ret;

    switch (o->code) {
    case NBD_OPT_EXPORT_NAME: ret = export_name(c, o); break;
    case NBD_OPT_ABORT: reply(c, o, NBD_REP_ACK, NULL); return -EPIPE;
    case NBD_OPT_LIST: ret = list(c, o); break;
    case NBD_OPT_INFO:
    case NBD_OPT_GO: ret = info_or_go(c, o); break;
    case NBD_OPT_STRUCTURED_REPLY: ret = structured_reply(c, o); break;
    case NBD_OPT_LIST_META_CONTEXT:
    case NBD_OPT_SET_META_CONTEXT: ret = meta_context(c, o); break;
    case NBD_OPT_STARTTLS: ret = reply_error(c, o, NBD_REP_ERR_POLICY, "TLS not configured"); break;
    default: ret = reply_error(c, o, NBD_REP_ERR_UNSUP, "Unsupported option %u", o->code); break;
    }
    return ret < 0 ? ret : c->export != NULL;
}

static int next_option(NbdClient *c, bool fixed)
{
    uint8_t head[16];
    g_autofree uint8_t *data = NULL;
    Option o = { 0 };
    int ret = conn_read(&c->conn, head, sizeof(head));

    if (ret < 0 || nbd_get64(head) != NBD_OPTS_MAGIC)
        return ret < 0 ? ret : -EINVAL;
    o.code = nbd_get32(head + 8);
    o.len = nbd_get32(head + 12);
    if (!fixed && o.code != NBD_OPT_EXPORT_NAME)
        return -EINVAL;
    if (o.len > MAX_OPTION) {
        ret = conn_skip(&c->conn, o.len);
        return ret < 0 ? ret : reply_error(c, &o, NBD_REP_ERR_TOO_BIG, "option %u is too long", o.code);
    }
    o.data = data = g_malloc(MAX(o.len, 1));
    ret = conn_read(&c->conn, data, o.len);
    return ret < 0 ? ret : do_option(c, &o);
}

int nbd_handshake(NbdClient *c)
{
    uint8_t p[18];
    uint32_t flags;
    int ret;

    nbd_put64(p, NBD_INIT_MAGIC);
    nbd_put64(p + 8, NBD_OPTS_MAGIC);
    nbd_put16(p + 16, NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES);
    ret = conn_write_buf(&c->conn, p, sizeof(p));
    if (ret == 0)
        ret = conn_read(&c->conn, p, 4);
    if (ret < 0)
        return ret;
    flags = nbd_get32(p);
    if (flags & ~(uint32_t)(NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES))
        return -EINVAL;
    c->no_zeroes = flags & NBD_FLAG_NO_ZEROES;
    do
        ret = next_option(c, flags & NBD_FLAG_FIXED_NEWSTYLE);
    while (ret == 0);
    if (ret > 0 && !c->chosen)
        forget_contexts(c);
    return MIN(ret, 0);
}
