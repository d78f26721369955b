/*
 * AML writer: see aml.h. Encodings: ACPI 6.3, chapters 20 (AML) and 6.4 (resource descriptors).
 */
#include <string.h>
#include "hw/acpi/aml.h"

enum {
    OP_ZERO = 0x00, OP_ONE = 0x01, OP_NAME = 0x08, OP_BYTE = 0x0a, OP_WORD = 0x0b, OP_DWORD = 0x0c, OP_STRING = 0x0d,
    OP_QWORD = 0x0e, OP_SCOPE = 0x10, OP_BUFFER = 0x11, OP_PACKAGE = 0x12, OP_METHOD = 0x14, OP_DUAL_NAME = 0x2e,
    OP_MULTI_NAME = 0x2f, OP_EXT = 0x5b, OP_STORE = 0x70, OP_AND = 0x7b, OP_NOTIFY = 0x86, OP_EQUAL = 0x93, OP_IF = 0xa0,
    OP_RETURN = 0xa4,
    EXT_REGION = 0x80, EXT_FIELD = 0x81, EXT_DEVICE = 0x82, EXT_PROCESSOR = 0x83,
};

static void put(Aml *a, uint8_t v)
{
    g_byte_array_append(a->b, &v, 1);
}

static void put_le(GByteArray *b, uint64_t v, unsigned n)
{
    v = GUINT64_TO_LE(v);
    g_byte_array_append(b, (uint8_t *)&v, n);
}

/* PkgLength of a package of `len` bytes behind it; returns its own length. */
static unsigned encode_length(uint8_t *out, unsigned len)
{
    unsigned n = len + 1 < 0x40 ? 1 : len + 2 < 0x1000 ? 2 : len + 3 < 0x100000 ? 3 : 4;

    len += n;
    g_assert(len < 1u << 28);
    if (n == 1) {
        out[0] = len;
        return 1;
    }
    out[0] = (n - 1) << 6 | (len & 15);
    for (unsigned i = 1; i < n; i++)
        out[i] = len >> (4 + 8 * (i - 1));
    return n;
}

static void begin(Aml *a)
{
    g_assert(a->depth < AML_DEPTH);
    a->open[a->depth++] = a->b->len;
}

void aml_end(Aml *a)
{
    uint8_t enc[4];
    guint at, len;
    unsigned n;

    g_assert(a->depth);
    at = a->open[--a->depth];
    len = a->b->len - at;
    n = encode_length(enc, len);
    g_byte_array_set_size(a->b, a->b->len + n);
    memmove(a->b->data + at + n, a->b->data + at, len);
    memcpy(a->b->data + at, enc, n);
}

static void put_segment(Aml *a, const char *s, size_t len)
{
    char seg[4] = "____";

    g_assert(len >= 1 && len <= 4);
    memcpy(seg, s, len);
    g_byte_array_append(a->b, (uint8_t *)seg, 4);
}

void aml_path(Aml *a, const char *path)
{
    unsigned n = 1;

    while (*path == '\\' || *path == '^')
        put(a, *path++);
    if (!*path) {
        put(a, 0);
        return;
    }
    for (const char *p = path; *p; p++)
        n += *p == '.';
    if (n == 2) {
        put(a, OP_DUAL_NAME);
    } else if (n > 2) {
        put(a, OP_MULTI_NAME);
        put(a, n);
    }
    for (;;) {
        size_t len = strcspn(path, ".");

        put_segment(a, path, len);
        path += len;
        if (!*path++)
            break;
    }
}

void aml_begin_scope(Aml *a, const char *path)
{
    put(a, OP_SCOPE);
    begin(a);
    aml_path(a, path);
}

void aml_begin_device(Aml *a, const char *path)
{
    put(a, OP_EXT);
    put(a, EXT_DEVICE);
    begin(a);
    aml_path(a, path);
}

void aml_begin_processor(Aml *a, const char *name, uint8_t id)
{
    put(a, OP_EXT);
    put(a, EXT_PROCESSOR);
    begin(a);
    aml_path(a, name);
    put(a, id);
    put_le(a->b, 0, 5);             /* no P_BLK */
}

void aml_begin_method(Aml *a, const char *path, unsigned args, bool serialized)
{
    put(a, OP_METHOD);
    begin(a);
    aml_path(a, path);
    put(a, args | serialized << 3);
}

void aml_begin_if_arg_and(Aml *a, unsigned arg, uint32_t mask)
{
    put(a, OP_IF);
    begin(a);
    put(a, OP_AND);
    put(a, AML_ARG0 + arg);
    aml_int(a, mask);
    put(a, OP_ZERO);                /* the result goes nowhere else */
}

void aml_begin_if_arg_equal(Aml *a, unsigned arg, uint64_t v)
{
    put(a, OP_IF);
    begin(a);
    put(a, OP_EQUAL);
    put(a, AML_ARG0 + arg);
    aml_int(a, v);
}

void aml_name(Aml *a, const char *name)
{
    put(a, OP_NAME);
    aml_path(a, name);
}

void aml_int(Aml *a, uint64_t v)
{
    static const uint8_t op[] = { OP_BYTE, OP_WORD, OP_DWORD, OP_QWORD };
    unsigned n = v <= 0xff ? 0 : v <= 0xffff ? 1 : v <= 0xffffffff ? 2 : 3;

    if (v <= 1) {
        put(a, v ? OP_ONE : OP_ZERO);
        return;
    }
    put(a, op[n]);
    put_le(a->b, v, 1 << n);
}

void aml_string(Aml *a, const char *s)
{
    put(a, OP_STRING);
    g_byte_array_append(a->b, (const uint8_t *)s, strlen(s) + 1);
}

void aml_eisa_id(Aml *a, const char *id)
{
    unsigned v = (id[0] - '@') << 10 | (id[1] - '@') << 5 | (id[2] - '@');

    for (unsigned i = 3; i < 7; i++)
        v = v << 4 | g_ascii_xdigit_value(id[i]);
    put(a, OP_DWORD);
    put_le(a->b, GUINT32_SWAP_LE_BE(v), 4);
}

void aml_buffer(Aml *a, const void *data, unsigned len)
{
    put(a, OP_BUFFER);
    begin(a);
    aml_int(a, len);
    g_byte_array_append(a->b, data, len);
    aml_end(a);
}

void aml_package(Aml *a, const uint64_t *v, unsigned n)
{
    put(a, OP_PACKAGE);
    begin(a);
    put(a, n);
    for (unsigned i = 0; i < n; i++)
        aml_int(a, v[i]);
    aml_end(a);
}

void aml_name_int(Aml *a, const char *name, uint64_t v)
{
    aml_name(a, name);
    aml_int(a, v);
}

void aml_name_string(Aml *a, const char *name, const char *s)
{
    aml_name(a, name);
    aml_string(a, s);
}

void aml_name_eisa(Aml *a, const char *name, const char *id)
{
    aml_name(a, name);
    aml_eisa_id(a, id);
}

void aml_return(Aml *a)
{
    put(a, OP_RETURN);
}

void aml_store_int(Aml *a, uint64_t v, const char *path)
{
    put(a, OP_STORE);
    aml_int(a, v);
    aml_path(a, path);
}

void aml_notify_arg(Aml *a, const char *path, unsigned arg)
{
    put(a, OP_NOTIFY);
    aml_path(a, path);
    put(a, AML_ARG0 + arg);
}

void aml_raw(Aml *a, const void *code, unsigned len)
{
    g_byte_array_append(a->b, code, len);
}

void aml_io_region(Aml *a, const char *name, uint32_t at, uint32_t len)
{
    put(a, OP_EXT);
    put(a, EXT_REGION);
    aml_path(a, name);
    put(a, 1);                      /* SystemIO */
    aml_int(a, at);
    aml_int(a, len);
}

void aml_byte_field(Aml *a, const char *region, const char *name, unsigned bits)
{
    put(a, OP_EXT);
    put(a, EXT_FIELD);
    begin(a);
    aml_path(a, region);
    put(a, 1);                      /* ByteAcc, NoLock, Preserve */
    aml_path(a, name);
    g_assert(bits < 0x40);
    put(a, bits);
    aml_end(a);
}

/* ---- Resource descriptors ---- */

Crs crs_new(void)
{
    return (Crs){ g_byte_array_new() };
}

void crs_io(Crs *c, uint16_t at, uint8_t align, uint8_t len)
{
    put_le(c->b, 0x47 | 1 << 8, 2); /* decodes 16 bits */
    put_le(c->b, at, 2);
    put_le(c->b, at, 2);
    put_le(c->b, align | len << 8, 2);
}

void crs_irq(Crs *c, unsigned irq)
{
    put_le(c->b, 0x22, 1);
    put_le(c->b, 1u << irq, 2);
}

void crs_dma(Crs *c, unsigned channel)
{
    put_le(c->b, 0x2a | 1u << channel << 8, 3);     /* compatibility, not a bus master, 8 bits */
}

/* Word, double word or quad word address space descriptor; fixed at both ends, positive decoding, produced. */
static void address_space(Crs *c, uint8_t tag, unsigned width, uint8_t kind, uint8_t flags, uint64_t first, uint64_t last)
{
    put_le(c->b, tag, 1);
    put_le(c->b, 3 + 5 * width, 2);
    put_le(c->b, kind | 0x0c << 8 | flags << 16, 3);
    put_le(c->b, 0, width);
    put_le(c->b, first, width);
    put_le(c->b, last, width);
    put_le(c->b, 0, width);
    put_le(c->b, last - first + 1, width);
}

void crs_bus_numbers(Crs *c, uint16_t first, uint16_t last)
{
    address_space(c, 0x88, 2, 2, 0, first, last);
}

void crs_io_window(Crs *c, uint16_t first, uint16_t last)
{
    address_space(c, 0x88, 2, 1, 3, first, last);
}

void crs_mem_window(Crs *c, uint64_t first, uint64_t last, bool cacheable, bool wide)
{
    address_space(c, wide ? 0x8a : 0x87, wide ? 8 : 4, 0, 1 | cacheable << 1, first, last);
}

void aml_name_crs(Aml *a, const char *name, Crs *c)
{
    put_le(c->b, 0x79, 2);          /* end tag; checksum 0: not to be checked */
    aml_name(a, name);
    aml_buffer(a, c->b->data, c->b->len);
    g_byte_array_unref(c->b);
    c->b = NULL;
}
