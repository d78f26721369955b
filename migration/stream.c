/* Buffers between the sections of a migration stream and its channel. */
#include <string.h>
#include "migration/stream.h"
#include "util/error.h"
#include "util/loop.h"

#define SMALL 32768
#define MAX_IOV 128
#define IN_SIZE 65536

struct MigStream {
    StateInput in;              /* first member: what has been read and not used */
    Channel *ch;
    GError *err;
    bool broken;
    uint64_t used, queued;
    uint8_t *buf;               /* IN_SIZE, made when the first byte is read */
    uint64_t filled;            /* bytes ever read */
    size_t small_len;
    int niov;
    struct iovec iov[MAX_IOV];
    uint8_t small[SMALL];
};

static bool more(StateInput *in, size_t n);

MigStream *stream_new(Channel *c)
{
    MigStream *s = g_new0(MigStream, 1);

    s->ch = c;
    s->in.more = more;
    return s;
}

void stream_free(MigStream *s)
{
    if (!s)
        return;
    channel_free(s->ch);
    g_clear_error(&s->err);
    g_free(s->buf);
    g_free(s);
}

Channel *stream_channel(MigStream *s)
{
    return s->ch;
}

const GError *stream_error(const MigStream *s)
{
    return s->err;
}

bool stream_fail(MigStream *s, const char *fmt, ...)
{
    va_list ap;
    g_autofree char *text = NULL;

    if (s->err)
        return false;
    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    return error_set(&s->err, "%s", text);
}

bool stream_is_broken(const MigStream *s)
{
    return s->broken;
}

bool stream_failed(MigStream *s, GError **err)
{
    if (s->err)
        g_propagate_error(err, g_steal_pointer(&s->err));
    else
        error_set(err, "the stream is broken");
    return false;
}

uint64_t stream_bytes(const MigStream *s)
{
    return s->buf ? s->filled - (s->in.end - s->in.p) : s->queued;
}

/* ---- Writing ---- */

bool stream_flush(MigStream *s)
{
    bool locked = machine_locked();
    int r;

    if (!s->niov || s->err) {
        s->niov = 0;
        s->small_len = 0;
        return !s->err;
    }
    if (locked)
        machine_unlock();
    r = channel_write(s->ch, s->iov, s->niov);
    if (locked)
        machine_lock();
    s->niov = 0;
    s->small_len = 0;
    s->broken |= r < 0;
    return r >= 0 || error_set_errno(&s->err, -r, "cannot write the stream");
}

void put_bytes(MigStream *s, const void *p, size_t n)
{
    const uint8_t *b = p;

    s->queued += n;
    while (n) {
        size_t part = MIN(n, SMALL - s->small_len);
        uint8_t *at = s->small + s->small_len;
        struct iovec *last = s->niov ? &s->iov[s->niov - 1] : NULL;
        bool joins = last && (uint8_t *)last->iov_base + last->iov_len == at;

        if (!part || (!joins && s->niov == MAX_IOV)) {
            stream_flush(s);
            continue;
        }
        memcpy(at, b, part);
        s->small_len += part;
        if (joins)
            last->iov_len += part;
        else
            s->iov[s->niov++] = (struct iovec){ at, part };
        b += part;
        n -= part;
    }
}

void put_page(MigStream *s, const void *p, size_t n)
{
    struct iovec *last = s->niov ? &s->iov[s->niov - 1] : NULL;

    s->queued += n;
    if (last && (const uint8_t *)last->iov_base + last->iov_len == p) {
        last->iov_len += n;
        return;
    }
    if (s->niov == MAX_IOV)
        stream_flush(s);
    s->iov[s->niov++] = (struct iovec){ (void *)p, n };
}

void put_u8(MigStream *s, uint8_t v)
{
    put_bytes(s, &v, 1);
}

void put_u16(MigStream *s, uint16_t v)
{
    v = GUINT16_TO_BE(v);
    put_bytes(s, &v, 2);
}

void put_u32(MigStream *s, uint32_t v)
{
    v = GUINT32_TO_BE(v);
    put_bytes(s, &v, 4);
}

void put_u64(MigStream *s, uint64_t v)
{
    v = GUINT64_TO_BE(v);
    put_bytes(s, &v, 8);
}

void put_text(MigStream *s, const char *text)
{
    size_t n = MIN(strlen(text), 255);

    put_u8(s, n);
    put_bytes(s, text, n);
}

/* ---- Reading ---- */

/* Reads into p without the machine lock. */
static ssize_t fill(MigStream *s, void *p, size_t n)
{
    bool locked = machine_locked();
    ssize_t r;

    if (s->err)
        return -1;
    if (locked)
        machine_unlock();
    r = channel_read(s->ch, p, n);
    if (locked)
        machine_lock();
    s->broken |= r <= 0;
    if (r < 0)
        error_set_errno(&s->err, -r, "cannot read the stream");
    else
        s->filled += r;
    return r;
}

static bool more(StateInput *in, size_t n)
{
    MigStream *s = (MigStream *)in;
    size_t left = in->end - in->p;

    if (n > IN_SIZE)
        return false;
    if (!s->buf)
        in->p = in->end = s->buf = g_malloc(IN_SIZE);
    if (in->p != s->buf) {
        memmove(s->buf, in->p, left);
        in->p = s->buf;
        in->end = s->buf + left;
    }
    while (left < n) {
        ssize_t r = fill(s, s->buf + left, IN_SIZE - left);

        if (r <= 0)
            return false;
        left += r;
        in->end += r;
    }
    return true;
}

StateInput *stream_input(MigStream *s)
{
    return &s->in;
}

bool stream_at_end(MigStream *s)
{
    return s->in.p == s->in.end && !more(&s->in, 1);
}

bool get_bytes(MigStream *s, void *p, size_t n)
{
    uint8_t *to = p;
    size_t part = MIN(n, (size_t)(s->in.end - s->in.p));

    if (part) {
        memcpy(to, s->in.p, part);
        s->in.p += part;
    }
    while (part < n) {
        ssize_t r;

        if (n - part < 2048) {
            if (!more(&s->in, n - part))
                break;
            memcpy(to + part, s->in.p, n - part);
            s->in.p += n - part;
            return true;
        }
        if (!s->buf)
            s->in.p = s->in.end = s->buf = g_malloc(IN_SIZE);
        r = fill(s, to + part, n - part);
        if (r <= 0)
            break;
        part += r;
    }
    if (part < n) {
        memset(to + part, 0, n - part);
        return stream_fail(s, "the stream ends in the middle, after %" G_GUINT64_FORMAT " bytes", s->filled);
    }
    return true;
}

bool stream_skip(MigStream *s, uint64_t n)
{
    while (n) {
        uint64_t part = MIN(n, (uint64_t)(s->in.end - s->in.p));

        s->in.p += part;
        n -= part;
        if (n && !more(&s->in, 1))
            return stream_fail(s, "the stream ends in the middle, after %" G_GUINT64_FORMAT " bytes", s->filled);
    }
    return true;
}

bool stream_seek(MigStream *s, uint64_t at)
{
    if (!channel_seek(s->ch, at))
        return stream_fail(s, "cannot go to offset %" G_GUINT64_FORMAT, at);
    s->in.p = s->in.end = s->buf;
    s->filled = at;
    return true;
}

static uint64_t get_be(MigStream *s, unsigned n)
{
    uint64_t v = 0;

    if ((size_t)(s->in.end - s->in.p) < n && !more(&s->in, n)) {
        stream_fail(s, "the stream ends in the middle, after %" G_GUINT64_FORMAT " bytes", s->filled);
        return 0;
    }
    while (n--)
        v = v << 8 | *s->in.p++;
    return v;
}

uint8_t get_u8(MigStream *s) { return get_be(s, 1); }
uint16_t get_u16(MigStream *s) { return get_be(s, 2); }
uint32_t get_u32(MigStream *s) { return get_be(s, 4); }
uint64_t get_u64(MigStream *s) { return get_be(s, 8); }

bool get_text(MigStream *s, char text[256])
{
    unsigned n = get_u8(s);

    text[n] = 0;
    return get_bytes(s, text, n) && (!memchr(text, 0, n) || stream_fail(s, "a name with a zero byte"));
}
