/*
 * Compression of clusters: zlib, or ISA-L's igzip where it is installed (ten times as fast for 8 per cent more
 * size: no level and no size of its buffer gives less with a window of 4 KiB); zstd.  ISA-L and zstd are loaded when
 * they are wanted: few programs that open an image ever do.
 */
#include <errno.h>
#include <dlfcn.h>
#include <glib.h>
#include <string.h>
#include <zlib.h>
#include "block/compress.h"
#ifdef CONFIG_ISAL
#include <isa-l/igzip_lib.h>
#endif
#ifdef CONFIG_ZSTD
#include <zstd.h>
#endif

#define WINDOW_BITS 12                  /* qcow2: at most 4 KiB back */

typedef struct Wanted { const char *name; gpointer *at; } Wanted;

G_GNUC_UNUSED static bool load(const char *library, const Wanted *w)
{
    void *m = dlopen(library, RTLD_LAZY | RTLD_LOCAL);

    for (; m && w->name; w++) {
        *w->at = dlsym(m, w->name);
        if (!*w->at) {
            dlclose(m);
            return false;
        }
    }
    return m != NULL;
}

/* ---- deflate */

static int64_t deflate_zlib(const void *in, size_t in_len, void *out, size_t out_len)
{
    z_stream z = { .next_in = (uint8_t *)in, .avail_in = in_len, .next_out = out, .avail_out = out_len };
    int ret;

    if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -WINDOW_BITS, 9, Z_DEFAULT_STRATEGY) != Z_OK)
        return -EINVAL;
    ret = deflate(&z, Z_FINISH);
    deflateEnd(&z);
    return ret == Z_STREAM_END ? (int64_t)(out_len - z.avail_out) : -ENOSPC;
}

#ifdef CONFIG_ISAL
#define LEVEL 3
#define LEVEL_BUF ISAL_DEF_LVL3_DEFAULT

static struct {
    bool tried, there;
    void (*init)(struct isal_zstream *);
    int (*run)(struct isal_zstream *);
} isal;

static GPrivate level_buf = G_PRIVATE_INIT(g_free);

static int64_t deflate_isal(const void *in, size_t in_len, void *out, size_t out_len)
{
    void *buf = g_private_get(&level_buf);
    struct isal_zstream z;
    int ret;

    if (!buf) {
        buf = g_malloc(LEVEL_BUF);
        g_private_set(&level_buf, buf);
    }
    isal.init(&z);
    z.level = LEVEL;
    z.level_buf = buf;
    z.level_buf_size = LEVEL_BUF;
    z.hist_bits = WINDOW_BITS;
    z.end_of_stream = 1;
    z.flush = NO_FLUSH;
    z.next_in = (uint8_t *)in;
    z.avail_in = in_len;
    z.next_out = out;
    z.avail_out = out_len;
    ret = isal.run(&z);
    return ret == COMP_OK && z.internal_state.state == ZSTATE_END ? (int64_t)z.total_out : -ENOSPC;
}

void compress_prepare(void)
{
    static const Wanted w[] = { { "isal_deflate_init", (gpointer *)&isal.init }, { "isal_deflate", (gpointer *)&isal.run },
                                { NULL } };

    if (!isal.tried)
        isal.there = load("libisal.so.2", w);
    isal.tried = true;
}
#else
void compress_prepare(void)
{
}
#endif

int64_t compress_deflate(const void *in, size_t in_len, void *out, size_t out_len)
{
#ifdef CONFIG_ISAL
    if (isal.there)
        return deflate_isal(in, in_len, out, out_len);
#endif
    return deflate_zlib(in, in_len, out, out_len);
}

int compress_inflate(const void *in, size_t in_len, void *out, size_t out_len)
{
    z_stream z = { .next_in = (uint8_t *)in, .avail_in = in_len, .next_out = out, .avail_out = out_len };
    int ret;

    if (inflateInit2(&z, -WINDOW_BITS) != Z_OK)
        return -EIO;
    ret = inflate(&z, Z_FINISH);
    inflateEnd(&z);
    /* the input is padded to a sector, so it may go on behind the stream */
    return (ret == Z_STREAM_END || ret == Z_BUF_ERROR) && !z.avail_out ? 0 : -EIO;
}

/* ---- zstd */

#ifdef CONFIG_ZSTD
static struct {
    bool tried, there;
    ZSTD_CCtx *(*new_context)(void);
    size_t (*free_context)(ZSTD_CCtx *);
    size_t (*compress)(ZSTD_CCtx *, void *, size_t, const void *, size_t, int);
    unsigned (*is_error)(size_t);
    ZSTD_DStream *(*new_stream)(void);
    size_t (*free_stream)(ZSTD_DStream *);
    size_t (*decompress)(ZSTD_DStream *, ZSTD_outBuffer *, ZSTD_inBuffer *);
} zstd;

bool compress_have_zstd(void)
{
    static const Wanted w[] = {
        { "ZSTD_createCCtx", (gpointer *)&zstd.new_context }, { "ZSTD_freeCCtx", (gpointer *)&zstd.free_context },
        { "ZSTD_compressCCtx", (gpointer *)&zstd.compress }, { "ZSTD_isError", (gpointer *)&zstd.is_error },
        { "ZSTD_createDStream", (gpointer *)&zstd.new_stream }, { "ZSTD_freeDStream", (gpointer *)&zstd.free_stream },
        { "ZSTD_decompressStream", (gpointer *)&zstd.decompress }, { NULL } };

    if (!zstd.tried)
        zstd.there = load("libzstd.so.1", w);
    zstd.tried = true;
    return zstd.there;
}

static void free_context(void *c)
{
    zstd.free_context(c);
}

static GPrivate zstd_context = G_PRIVATE_INIT(free_context);
#define ZSTD_LEVEL 1                    /* two thirds of the time of the usual 3, for 5 % more size */

int64_t compress_zstd(const void *in, size_t in_len, void *out, size_t out_len)
{
    ZSTD_CCtx *c = g_private_get(&zstd_context);
    size_t n;

    if (!c) {
        c = zstd.new_context();
        g_private_set(&zstd_context, c);
    }
    if (!c)
        return -ENOMEM;
    n = zstd.compress(c, out, out_len, in, in_len, ZSTD_LEVEL);
    return zstd.is_error(n) ? -ENOSPC : (int64_t)n;
}

int decompress_zstd(const void *in, size_t in_len, void *out, size_t out_len)
{
    ZSTD_DStream *d = zstd.new_stream();
    ZSTD_inBuffer i = { in, in_len, 0 };
    ZSTD_outBuffer o = { out, out_len, 0 };
    int result = d ? 0 : -ENOMEM;

    while (!result && o.pos < o.size) {
        size_t before = i.pos, filled = o.pos;

        if (zstd.is_error(zstd.decompress(d, &o, &i)) || (i.pos == before && o.pos == filled))
            result = -EIO;
    }
    zstd.free_stream(d);
    return result;
}
#else
bool compress_have_zstd(void)
{
    return false;
}

int64_t compress_zstd(const void *in, size_t in_len, void *out, size_t out_len)
{
    return -ENOTSUP;
}

int decompress_zstd(const void *in, size_t in_len, void *out, size_t out_len)
{
    return -EIO;
}
#endif
