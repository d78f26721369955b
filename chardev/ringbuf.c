/* The last bytes that a front-end wrote, in memory, for the monitor to read; and input from there. */
#include <string.h>
#include "chardev/char-int.h"
#include "util/error.h"

#define RINGBUF_DEFAULT 65536
#define RINGBUF_MAX (1u << 30)

typedef struct RingbufChardev {
    Chardev chr;
    uint8_t *buf;
    uint32_t size;
    uint64_t prod, cons;        /* bytes ever written, ever read (or lost) */
} RingbufChardev;

static bool ringbuf_open(Chardev *c, GHashTable *opts, GError **err)
{
    RingbufChardev *r = (RingbufChardev *)c;
    uint64_t size = chr_opt_num(opts, "size", RINGBUF_DEFAULT);

    if (!size || (size & (size - 1)))
        return error_set(err, "size of ringbuf chardev must be power of two");
    if (size > RINGBUF_MAX)
        return error_set(err, "size of ringbuf chardev must be at most 1 GiB");
    r->size = size;
    r->buf = g_malloc(size);
    return true;
}

static int ringbuf_write(Chardev *c, const uint8_t *buf, int len)
{
    RingbufChardev *r = (RingbufChardev *)c;

    for (int i = 0; i < len; i++)
        r->buf[r->prod++ & (r->size - 1)] = buf[i];
    if (r->prod - r->cons > r->size)
        r->cons = r->prod - r->size;
    return len;
}

static void ringbuf_close(Chardev *c)
{
    g_free(((RingbufChardev *)c)->buf);
}

const ChardevType chardev_ringbuf = {
    .name = "ringbuf", .alias = "memory", .size = sizeof(RingbufChardev), .open = ringbuf_open, .write = ringbuf_write,
    .close = ringbuf_close,
};

static RingbufChardev *find(const char *id, GError **err)
{
    Chardev *c = chr_find(id);

    if (!c)
        error_set(err, "Device '%s' not found", id);
    else if (c->type != &chardev_ringbuf)
        error_set(err, "%s is not a ringbuf device", id);
    else
        return (RingbufChardev *)c;
    return NULL;
}

/* Into the buffer, as if the front-end had written it: what QEMU's ringbuf-write does. */
bool chr_ringbuf_write(const char *id, const void *buf, size_t len, GError **err)
{
    RingbufChardev *r = find(id, err);

    if (!r)
        return false;
    ringbuf_write(&r->chr, buf, MIN(len, G_MAXINT));
    return true;
}

bool chr_ringbuf_read(const char *id, size_t max, uint8_t **buf, size_t *len, GError **err)
{
    RingbufChardev *r = find(id, err);

    if (!r)
        return false;
    *len = MIN(max, r->prod - r->cons);
    *buf = g_malloc(*len + 1);
    for (size_t i = 0; i < *len; i++)
        (*buf)[i] = r->buf[r->cons++ & (r->size - 1)];
    (*buf)[*len] = 0;
    return true;
}
