/*
 * The contents of multifd's packets: one zlib or zstd stream a channel, flushed at each packet's end. libzstd is loaded
 * when it is wanted.
 */
#include <string.h>
#include <zlib.h>
#include <gmodule.h>
#ifdef CONFIG_ZSTD
#include <zstd.h>
#endif
#include "migration/format.h"
#include "migration/multifd.h"
#include "util/error.h"

#define ROOM (2 * MULTI_PAGES * MIG_PAGE)
enum { NONE, ZLIB, ZSTD };

struct MultiCodec {
    int method;
    bool sending;
    z_stream z;
    void *zstd;                 /* a ZSTD_CCtx or ZSTD_DCtx */
    uint8_t page[MIG_PAGE];     /* the guest may write while we compress: a copy */
    uint8_t out[ROOM];          /* sending */
};

unsigned multi_codec_flag(int method)
{
    return method == ZLIB ? MULTI_ZLIB : method == ZSTD ? MULTI_ZSTD : MULTI_PLAIN;
}

/* ---- zlib ---- */

static bool zlib_begin(MultiCodec *c, int level)
{
    return (c->sending ? deflateInit(&c->z, level) : inflateInit(&c->z)) == Z_OK;
}

static size_t zlib_compress(MultiCodec *c, uint8_t *const pages[], unsigned n)
{
    c->z.next_out = c->out;
    c->z.avail_out = ROOM;
    for (unsigned i = 0; i < n; i++) {
        memcpy(c->page, pages[i], MIG_PAGE);
        c->z.next_in = c->page;
        c->z.avail_in = MIG_PAGE;
        if (deflate(&c->z, i == n - 1 ? Z_SYNC_FLUSH : Z_NO_FLUSH) != Z_OK || c->z.avail_in || !c->z.avail_out)
            return 0;
    }
    return ROOM - c->z.avail_out;
}

static bool zlib_decompress(MultiCodec *c, const uint8_t *in, size_t len, uint8_t *const pages[], unsigned n)
{
    uint8_t more;

    c->z.next_in = (uint8_t *)in;
    c->z.avail_in = len;
    for (unsigned i = 0; i < n; i++) {
        c->z.next_out = pages[i];
        c->z.avail_out = MIG_PAGE;
        if (inflate(&c->z, Z_SYNC_FLUSH) != Z_OK || c->z.avail_out)
            return false;
    }
    c->z.next_out = &more;      /* the flush's own bytes, which say nothing */
    c->z.avail_out = 1;
    if (c->z.avail_in)
        inflate(&c->z, Z_SYNC_FLUSH);
    return !c->z.avail_in && c->z.avail_out == 1;
}

/* ---- zstd ---- */

#ifdef CONFIG_ZSTD
static struct {
    ZSTD_CCtx *(*new_c)(void);
    ZSTD_DCtx *(*new_d)(void);
    size_t (*free_c)(ZSTD_CCtx *c);
    size_t (*free_d)(ZSTD_DCtx *d);
    size_t (*set)(ZSTD_CCtx *c, ZSTD_cParameter what, int value);
    size_t (*compress)(ZSTD_CCtx *c, ZSTD_outBuffer *out, ZSTD_inBuffer *in, ZSTD_EndDirective end);
    size_t (*decompress)(ZSTD_DCtx *d, ZSTD_outBuffer *out, ZSTD_inBuffer *in);
    unsigned (*is_error)(size_t n);
} zstd;

static bool zstd_load(GError **err)
{
    static const struct { const char *name; gpointer *to; } names[] = {
        { "ZSTD_createCCtx", (gpointer *)&zstd.new_c }, { "ZSTD_createDCtx", (gpointer *)&zstd.new_d },
        { "ZSTD_freeCCtx", (gpointer *)&zstd.free_c }, { "ZSTD_freeDCtx", (gpointer *)&zstd.free_d },
        { "ZSTD_CCtx_setParameter", (gpointer *)&zstd.set }, { "ZSTD_compressStream2", (gpointer *)&zstd.compress },
        { "ZSTD_decompressStream", (gpointer *)&zstd.decompress }, { "ZSTD_isError", (gpointer *)&zstd.is_error },
    };
    GModule *lib = zstd.is_error ? NULL : g_module_open("libzstd.so.1", G_MODULE_BIND_LAZY);

    for (unsigned i = 0; lib && i < G_N_ELEMENTS(names); i++)
        if (!g_module_symbol(lib, names[i].name, names[i].to))
            return error_set(err, "multifd-compression: libzstd lacks %s", names[i].name);
    return zstd.is_error || error_set(err, "multifd-compression: libzstd cannot be loaded: %s", g_module_error());
}

static bool zstd_begin(MultiCodec *c, int level, GError **err)
{
    if (!zstd_load(err))
        return false;
    c->zstd = c->sending ? (void *)zstd.new_c() : (void *)zstd.new_d();
    return c->zstd && (!c->sending || !zstd.is_error(zstd.set(c->zstd, ZSTD_c_compressionLevel, level)));
}

static void zstd_end(MultiCodec *c)
{
    if (c->sending)
        zstd.free_c(c->zstd);
    else
        zstd.free_d(c->zstd);
}

static size_t zstd_compress(MultiCodec *c, uint8_t *const pages[], unsigned n)
{
    ZSTD_outBuffer out = { c->out, ROOM, 0 };

    for (unsigned i = 0; i < n; i++) {
        ZSTD_inBuffer in = { memcpy(c->page, pages[i], MIG_PAGE), MIG_PAGE, 0 };
        size_t left;

        do {
            left = zstd.compress(c->zstd, &out, &in, i == n - 1 ? ZSTD_e_flush : ZSTD_e_continue);
            if (zstd.is_error(left) || out.pos == out.size)
                return 0;
        } while (in.pos < in.size || (i == n - 1 && left));
    }
    return out.pos;
}

static bool zstd_decompress(MultiCodec *c, const uint8_t *data, size_t len, uint8_t *const pages[], unsigned n)
{
    ZSTD_inBuffer in = { data, len, 0 };

    for (unsigned i = 0; i < n; i++) {
        ZSTD_outBuffer out = { pages[i], MIG_PAGE, 0 };

        while (out.pos < out.size) {
            size_t had = in.pos, made = out.pos;

            if (zstd.is_error(zstd.decompress(c->zstd, &out, &in)) || (had == in.pos && made == out.pos))
                return false;
        }
    }
    return in.pos == in.size;
}
#else
static bool zstd_begin(MultiCodec *c, int level, GError **err)
{
    return error_set(err, "multifd-compression: this vmemu was built without zstd");
}

static void zstd_end(MultiCodec *c)
{
}

static size_t zstd_compress(MultiCodec *c, uint8_t *const pages[], unsigned n)
{
    return 0;
}

static bool zstd_decompress(MultiCodec *c, const uint8_t *data, size_t len, uint8_t *const pages[], unsigned n)
{
    return false;
}
#endif

/* ---- Either ---- */

MultiCodec *multi_codec_new(int method, int level, bool sending, GError **err)
{
    MultiCodec *c;

    if (method == NONE)
        return NULL;
    c = g_new0(MultiCodec, 1);
    c->method = method;
    c->sending = sending;
    if (method == ZLIB ? zlib_begin(c, level) : zstd_begin(c, level, err))
        return c;
    if (err && !*err)
        error_set(err, "multifd-compression: the compressor cannot be set up");
    g_free(c);
    return NULL;
}

void multi_codec_free(MultiCodec *c)
{
    if (!c)
        return;
    if (c->method == ZSTD)
        zstd_end(c);
    else if (c->sending)
        deflateEnd(&c->z);
    else
        inflateEnd(&c->z);
    g_free(c);
}

size_t multi_compress(MultiCodec *c, uint8_t *const pages[], unsigned n, uint8_t **out)
{
    *out = c->out;
    return c->method == ZLIB ? zlib_compress(c, pages, n) : zstd_compress(c, pages, n);
}

bool multi_decompress(MultiCodec *c, const uint8_t *in, size_t len, uint8_t *const pages[], unsigned n)
{
    return c->method == ZLIB ? zlib_decompress(c, in, len, pages, n) : zstd_decompress(c, in, len, pages, n);
}
