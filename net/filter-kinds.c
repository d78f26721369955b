/*
 * filter-dump (a pcap file), filter-buffer (packets go on in batches), filter-mirror (copies to a chardev), filter-redirector
 * (packets to a chardev, and others from one). On chardevs a packet stands behind its length: 4 bytes, big-endian.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>
#include "chardev/char.h"
#include "net/filter-int.h"
#include "util/error.h"
#include "util/iov.h"

/* ---- filter-dump ---- */

typedef struct Dump {
    NetFilter f;
    char *file;
    int fd;
    uint32_t maxlen;
    int64_t start_us;               /* host time at guest time 0 */
} Dump;

/* https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap: host byte order. */
typedef struct PcapHeader { uint32_t magic; uint16_t major, minor; uint32_t zone, sigfigs, snaplen, linktype; } PcapHeader;
typedef struct PcapPacket { uint32_t sec, usec, caplen, len; } PcapPacket;

static int64_t guest_us(void)
{
    return net_host.now_ns ? (int64_t)(net_host.now_ns(net_host.opaque) / 1000) : g_get_monotonic_time();
}

static bool dump_open(NetFilter *f, Opts *o, GError **err)
{
    const PcapHeader h = { 0xa1b2c3d4, 2, 4, 0, 0, net_opt_num(o, "maxlen", 65536), 1 };
    Dump *d = (Dump *)f;

    d->fd = -1;
    d->maxlen = h.snaplen;
    d->file = g_strdup(opts_get(o, "file"));
    if (!d->file)
        return error_set(err, "Parameter 'file' is missing");
    if (!d->maxlen)
        return error_set(err, "Property 'filter-dump.maxlen' requires a positive value");
    d->fd = open(d->file, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);
    if (d->fd < 0)
        return error_set_errno(err, errno, "net dump: can't open %s", d->file);
    if (write(d->fd, &h, sizeof h) != sizeof h)
        return error_set_errno(err, errno, "net dump write error");
    d->start_us = g_get_real_time() - guest_us();
    return true;
}

static bool dump_packet(NetFilter *f, bool sent_by, NetClient *from, const struct iovec *iov, unsigned n, size_t size)
{
    Dump *d = (Dump *)f;
    const int64_t t = d->start_us + guest_us();
    const IoVec v = { iov, n };
    PcapPacket h = { t / 1000000, t % 1000000, MIN(size, d->maxlen), size };
    struct iovec out[10] = { { &h, sizeof h } };
    unsigned parts;

    if (d->fd < 0 || n > 8)
        return false;
    parts = 1 + iov_slice(&v, 0, h.caplen, out + 1);
    if (writev(d->fd, out, parts) != (ssize_t)(sizeof h + h.caplen)) {
        warn_report("network dump write error - stopping dump");
        close(d->fd);
        d->fd = -1;
    }
    return false;
}

static void dump_print(NetFilter *f, GString *out)
{
    g_string_append_printf(out, ",file=%s,maxlen=%u", ((Dump *)f)->file, ((Dump *)f)->maxlen);
}

static void dump_close(NetFilter *f)
{
    Dump *d = (Dump *)f;

    if (d->file && d->fd >= 0)     /* else it was never opened */
        close(d->fd);
    g_free(d->file);
}

static const NetParam dump_params[] = { { "file", NET_TEXT }, { "maxlen", NET_NUMBER }, { 0 } };
const FilterKind filter_dump = { .name = "filter-dump", .size = sizeof(Dump), .params = dump_params, .open = dump_open,
                                 .packet = dump_packet, .print = dump_print, .close = dump_close };

/* ---- filter-buffer ---- */

enum { KEPT_MAX = 64 << 20 };       /* bytes; what comes on top goes through */

typedef struct Kept { NetClient *from; bool sent_by; size_t size; uint8_t data[]; } Kept;

typedef struct Buffer {
    NetFilter f;
    uint32_t interval;              /* us */
    GQueue kept;
    size_t bytes;
    guint timer;
} Buffer;

static void buffer_release(Buffer *b)
{
    Kept *k;

    while ((k = g_queue_pop_head(&b->kept))) {
        const struct iovec iov = { k->data, k->size };

        b->bytes -= k->size;
        filter_pass_on(&b->f, k->sent_by, k->from, &iov, 1, k->size);
        g_free(k);
    }
}

static gboolean buffer_expired(gpointer data)
{
    buffer_release(data);
    return G_SOURCE_CONTINUE;
}

static bool buffer_open(NetFilter *f, Opts *o, GError **err)
{
    Buffer *b = (Buffer *)f;

    g_queue_init(&b->kept);
    if (!opts_has(o, "interval"))
        return error_set(err, "Parameter 'interval' is missing");
    b->interval = net_opt_num(o, "interval", 0);
    if (!b->interval)
        return error_set(err, "Property 'filter-buffer.interval' requires a positive value");
    b->timer = g_timeout_add(MAX(b->interval / 1000, 1), buffer_expired, b);
    return true;
}

static bool buffer_packet(NetFilter *f, bool sent_by, NetClient *from, const struct iovec *iov, unsigned n, size_t size)
{
    Buffer *b = (Buffer *)f;
    const IoVec v = { iov, n };
    Kept *k;

    if (b->bytes + size > KEPT_MAX)
        return false;
    k = g_malloc(sizeof *k + size);
    *k = (Kept){ from, sent_by, size };
    iov_to_buf(&v, 0, k->data, size);
    g_queue_push_tail(&b->kept, k);
    b->bytes += size;
    return true;
}

static void buffer_status(NetFilter *f)
{
    buffer_release((Buffer *)f);
}

static void buffer_forget(NetFilter *f, NetClient *from)
{
    Buffer *b = (Buffer *)f;
    GList *next;

    for (GList *l = b->kept.head; l; l = next) {
        Kept *k = l->data;

        next = l->next;
        if (k->from != from)
            continue;
        b->bytes -= k->size;
        g_free(k);
        g_queue_delete_link(&b->kept, l);
    }
}

static void buffer_print(NetFilter *f, GString *out)
{
    g_string_append_printf(out, ",interval=%u", ((Buffer *)f)->interval);
}

static void buffer_close(NetFilter *f)
{
    Buffer *b = (Buffer *)f;

    if (b->timer)
        g_source_remove(b->timer);
    g_queue_clear_full(&b->kept, g_free);
}

static const NetParam buffer_params[] = { { "interval", NET_NUMBER }, { 0 } };
const FilterKind filter_buffer = {
    .name = "filter-buffer", .size = sizeof(Buffer), .params = buffer_params, .open = buffer_open, .packet = buffer_packet,
    .status = buffer_status, .forget = buffer_forget, .print = buffer_print, .close = buffer_close,
};

/* ---- filter-mirror, filter-redirector ---- */

enum { HEADER = 4, UNSENT_MAX = 1 << 20 };

typedef struct Redirector {
    NetFilter f;
    char *in_name, *out_name;
    CharFrontend in, out;
    GByteArray *unsent;             /* not yet taken by `out` */
    uint8_t buf[HEADER + NET_MAX_PACKET];
    size_t have;
} Redirector;

static void push(void *opaque)
{
    Redirector *r = opaque;
    int n = chr_write(&r->out, r->unsent->data, r->unsent->len);

    g_byte_array_remove_range(r->unsent, 0, n);
    if (r->unsent->len)
        chr_add_watch(&r->out, push, r);
}

static bool mirror_packet(NetFilter *f, bool sent_by, NetClient *from, const struct iovec *iov, unsigned n, size_t size)
{
    Redirector *r = (Redirector *)f;
    const uint8_t header[HEADER] = { size >> 24, size >> 16, size >> 8, size };
    const bool idle = !r->unsent->len;
    const guint at = r->unsent->len;
    const IoVec v = { iov, n };

    if (!r->out_name || !chr_is_open(&r->out) || at > UNSENT_MAX)
        return false;
    g_byte_array_append(r->unsent, header, HEADER);
    g_byte_array_set_size(r->unsent, at + HEADER + size);
    iov_to_buf(&v, 0, r->unsent->data + at + HEADER, size);
    if (idle)
        push(r);
    return false;
}

static bool redirect_packet(NetFilter *f, bool sent_by, NetClient *from, const struct iovec *iov, unsigned n, size_t size)
{
    mirror_packet(f, sent_by, from, iov, n, size);
    return ((Redirector *)f)->out_name != NULL;
}

static void inject(Redirector *r, const uint8_t *data, size_t size)
{
    const struct iovec iov = { (void *)data, size };

    if (r->f.queues & FILTER_TX)
        filter_pass_on(&r->f, true, r->f.of, &iov, 1, size);
    if (r->f.queues & FILTER_RX)
        filter_pass_on(&r->f, false, r->f.of->peer, &iov, 1, size);
}

static int in_can_read(void *opaque)
{
    const Redirector *r = opaque;

    return sizeof r->buf - r->have;
}

static void in_read(void *opaque, const uint8_t *data, int len)
{
    Redirector *r = opaque;
    size_t at = 0;

    memcpy(r->buf + r->have, data, len);
    r->have += len;
    while (r->have - at >= HEADER) {
        const uint8_t *p = r->buf + at;
        const size_t size = (uint32_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];

        if (size > NET_MAX_PACKET) {        /* no packet: begin anew */
            r->have = at = 0;
            break;
        }
        if (r->have - at < HEADER + size)
            break;
        at += HEADER + size;
        inject(r, p + HEADER, size);
    }
    memmove(r->buf, r->buf + at, r->have - at);
    r->have -= at;
}

static bool attach(CharFrontend *fe, const char *name, GError **err)
{
    Chardev *chr = chr_find(name);

    return chr ? chr_attach(fe, chr, err) : error_set_class(err, ERR_DEVICE_NOT_FOUND, "Device '%s' not found", name);
}

static bool redirector_open(NetFilter *f, Opts *o, GError **err)
{
    Redirector *r = (Redirector *)f;

    r->unsent = g_byte_array_new();
    r->in_name = g_strdup(opts_get(o, "indev"));
    r->out_name = g_strdup(opts_get(o, "outdev"));
    if (net_opt_bool(o, "vnet_hdr_support", false))
        return error_set(err, "vnet_hdr_support=on: packets with virtio headers are not supported");
    if (f->kind == &filter_mirror && !r->out_name)
        return error_set(err, "Parameter 'outdev' is missing");
    if (!r->in_name && !r->out_name)
        return error_set(err, "filter redirector needs 'indev' or 'outdev' at least one property set");
    if (r->in_name && !g_strcmp0(r->in_name, r->out_name))
        return error_set(err, "'indev' and 'outdev' could not be same for filter redirector");
    if ((r->in_name && !attach(&r->in, r->in_name, err)) || (r->out_name && !attach(&r->out, r->out_name, err)))
        return false;
    if (r->in_name)
        chr_set_handlers(&r->in, in_can_read, in_read, NULL, r);
    if (r->out_name)
        chr_set_handlers(&r->out, NULL, NULL, NULL, r);
    return true;
}

static void redirector_print(NetFilter *f, GString *out)
{
    const Redirector *r = (Redirector *)f;

    if (f->kind == &filter_redirector)
        g_string_append_printf(out, ",indev=%s", r->in_name ? r->in_name : "");
    g_string_append_printf(out, ",outdev=%s,vnet_hdr_support=off", r->out_name ? r->out_name : "");
}

static void redirector_close(NetFilter *f)
{
    Redirector *r = (Redirector *)f;

    chr_detach(&r->in);
    chr_detach(&r->out);
    g_free(r->in_name);
    g_free(r->out_name);
    if (r->unsent)
        g_byte_array_unref(r->unsent);
}

static const NetParam mirror_params[] = { { "outdev", NET_TEXT }, { "vnet_hdr_support", NET_BOOL }, { 0 } };
static const NetParam redirector_params[] = { { "indev", NET_TEXT }, { "outdev", NET_TEXT }, { "vnet_hdr_support", NET_BOOL }, { 0 } };
const FilterKind filter_mirror = {
    .name = "filter-mirror", .size = sizeof(Redirector), .params = mirror_params, .open = redirector_open, .packet = mirror_packet,
    .print = redirector_print, .close = redirector_close,
};
const FilterKind filter_redirector = {
    .name = "filter-redirector", .size = sizeof(Redirector), .params = redirector_params, .open = redirector_open,
    .packet = redirect_packet, .print = redirector_print, .close = redirector_close,
};
