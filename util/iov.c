/* Scatter-gather lists. */
#include <glib.h>
#include <string.h>
#include "util/iov.h"

size_t iov_size(const struct iovec *iov, unsigned n)
{
    size_t sum = 0;

    for (unsigned i = 0; i < n; i++)
        sum += iov[i].iov_len;
    return sum;
}

/* Steps through [offset, offset+bytes): false at the end. */
typedef struct Walk { const IoVec *v; unsigned i; size_t skip, left; } Walk;

static Walk walk_begin(const IoVec *v, size_t offset, size_t bytes)
{
    Walk w = { v, 0, offset, bytes };

    while (w.i < v->n && w.skip >= v->iov[w.i].iov_len && (w.skip || !v->iov[w.i].iov_len))
        w.skip -= v->iov[w.i++].iov_len;
    return w;
}

static bool walk_next(Walk *w, struct iovec *part)
{
    while (w->left) {
        const struct iovec *e;

        g_assert(w->i < w->v->n);
        e = &w->v->iov[w->i++];
        part->iov_base = (char *)e->iov_base + w->skip;
        part->iov_len = MIN(e->iov_len - w->skip, w->left);
        w->skip = 0;
        w->left -= part->iov_len;
        if (part->iov_len)
            return true;
    }
    return false;
}

size_t iov_from_buf(const IoVec *v, size_t offset, const void *buf, size_t bytes)
{
    struct iovec p;
    const char *b = buf;

    for (Walk w = walk_begin(v, offset, bytes); walk_next(&w, &p); b += p.iov_len)
        memcpy(p.iov_base, b, p.iov_len);
    return bytes;
}

size_t iov_to_buf(const IoVec *v, size_t offset, void *buf, size_t bytes)
{
    struct iovec p;
    char *b = buf;

    for (Walk w = walk_begin(v, offset, bytes); walk_next(&w, &p); b += p.iov_len)
        memcpy(b, p.iov_base, p.iov_len);
    return bytes;
}

void iov_memset(const IoVec *v, size_t offset, int c, size_t bytes)
{
    struct iovec p;

    for (Walk w = walk_begin(v, offset, bytes); walk_next(&w, &p);)
        memset(p.iov_base, c, p.iov_len);
}

/* The first bytes by hand, the rest compared with itself shifted: memcmp is the fastest loop that libc has. */
bool buf_is_zero(const void *buf, size_t bytes)
{
    const unsigned char *b = buf;

    for (size_t i = 0; i < MIN(bytes, 16); i++)
        if (b[i])
            return false;
    return bytes <= 16 || !memcmp(b, b + 16, bytes - 16);
}

bool iov_is_zero(const IoVec *v, size_t offset, size_t bytes)
{
    struct iovec p;

    for (Walk w = walk_begin(v, offset, bytes); walk_next(&w, &p);)
        if (!buf_is_zero(p.iov_base, p.iov_len))
            return false;
    return true;
}

unsigned iov_count(const IoVec *v, size_t offset, size_t bytes)
{
    struct iovec p;
    unsigned n = 0;

    for (Walk w = walk_begin(v, offset, bytes); walk_next(&w, &p);)
        n++;
    return n;
}

unsigned iov_slice(const IoVec *v, size_t offset, size_t bytes, struct iovec *out)
{
    struct iovec p;
    unsigned n = 0;

    for (Walk w = walk_begin(v, offset, bytes); walk_next(&w, &p);)
        out[n++] = p;
    return n;
}

bool iov_aligned(const struct iovec *iov, unsigned n, size_t align)
{
    uintptr_t bits = 0;

    for (unsigned i = 0; i < n; i++)
        bits |= (uintptr_t)iov[i].iov_base | iov[i].iov_len;
    return !(bits & (align - 1));
}
