/*
 * State tables: reset, save, load, print, audit.
 *
 * Wire form: big-endian, in table order, as QEMU's stream (version 3) has it. Subsections follow the fields of the
 * outermost struct they belong to: a byte 5, a length byte and the name, a 32-bit version, then the fields.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "hw/core/device.h"
#include "util/error.h"

#define SUBSECTION 5

static uint64_t get_elt(const void *p, unsigned elt, bool sign)
{
    switch (elt) {
    case 1: return sign ? (uint64_t)*(const int8_t *)p : *(const uint8_t *)p;
    case 2: return sign ? (uint64_t)*(const int16_t *)p : *(const uint16_t *)p;
    case 4: return sign ? (uint64_t)*(const int32_t *)p : *(const uint32_t *)p;
    case 8: return *(const uint64_t *)p;
    }
    g_assert_not_reached();
}

static void put_elt(void *p, unsigned elt, uint64_t v)
{
    switch (elt) {
    case 1: *(uint8_t *)p = v; break;
    case 2: *(uint16_t *)p = v; break;
    case 4: *(uint32_t *)p = v; break;
    case 8: *(uint64_t *)p = v; break;
    default: g_assert_not_reached();
    }
}

static inline void *member(const void *obj, const Field *f)
{
    return (char *)obj + f->off;
}

static unsigned n_elements(const Field *f)
{
    return f->size / f->elt;
}

static unsigned n_wire(const Field *f, const void *obj)
{
    unsigned n = f->count ? f->count : n_elements(f);

    return f->n ? MIN(f->n(obj), n) : n;
}

static void reset_scalars(const Field *f, void *p)
{
    if (!f->reset) {
        memset(p, 0, f->size);
        return;
    }
    for (unsigned i = 0; i < n_elements(f); i++)
        put_elt((char *)p + i * f->elt, f->elt, f->reset);
}

void state_reset(const StateTable *t, void *obj)
{
    for (const Field *f = t->fields; f->kind; f++) {
        void *p = member(obj, f);

        if (f->keep)
            continue;
        switch (f->kind) {
        case F_UINT: case F_INT: case F_BOOL: case F_LOCAL:
            reset_scalars(f, p);
            break;
        case F_TIMER:
            timer_stop(p);
            break;
        case F_LINE:
            for (unsigned i = 0; i < n_elements(f); i++)
                line_set((Line *)p + i, f->reset);
            break;
        case F_STRUCT:
            for (unsigned i = 0; i < n_elements(f); i++)
                state_reset(f->sub, (char *)p + i * f->elt);
            break;
        default:
            break;
        }
    }
    for (const StateTable *const *s = t->subsections; s && *s; s++)
        state_reset(*s, obj);
}

/* ---- Saving ---- */

static void put_be(GByteArray *out, uint64_t v, unsigned n)
{
    uint8_t b[8];

    for (unsigned i = 0; i < n; i++)
        b[i] = v >> (8 * (n - 1 - i));
    g_byte_array_append(out, b, n);
}

static void save_scalars(const Field *f, const char *p, unsigned n, GByteArray *out)
{
    unsigned at = out->len;

    if (n < 16 || f->elt != 4 || f->wire != 4) {
        for (unsigned i = 0; i < n; i++)
            put_be(out, get_elt(p + i * f->elt, f->elt, f->kind == F_INT || f->wire_sign), f->wire);
        return;
    }
    /* Long arrays of registers: the guest stands still meanwhile. */
    g_byte_array_set_size(out, at + n * 4);
    for (unsigned i = 0; i < n; i++) {
        uint32_t v;

        memcpy(&v, p + i * 4, 4);
        v = GUINT32_TO_BE(v);
        memcpy(out->data + at + i * 4, &v, 4);
    }
}

static void save_fields(const StateTable *t, void *obj, GByteArray *out)
{
    for (const Field *f = t->fields; f->kind; f++) {
        char *p = member(obj, f);

        if (f->exists && !f->exists(obj))
            continue;
        switch (f->kind) {
        case F_UINT: case F_INT: case F_BOOL:
            if (f->elt == 1 && f->wire == 1) {
                g_byte_array_append(out, (uint8_t *)p, n_wire(f, obj));
                break;
            }
            save_scalars(f, p, n_wire(f, obj), out);
            break;
        case F_TIMER:
            put_be(out, ((Timer *)(void *)p)->at, 8);
            break;
        case F_STRUCT:
            for (unsigned i = 0; i < n_wire(f, obj); i++)
                state_save(f->sub, p + i * f->elt, out);
            break;
        case F_UNUSED:
            for (unsigned i = 0; i < f->size; i++)
                put_be(out, 0, 1);
            break;
        case F_VIRTUAL:
            put_be(out, f->get(obj), f->wire);
            break;
        default:
            break;
        }
    }
}

void state_save(const StateTable *t, void *obj, GByteArray *out)
{
    if (t->save)
        t->save(obj);
    save_fields(t, obj, out);
    for (const StateTable *const *s = t->subsections; s && *s; s++) {
        if ((*s)->needed && !(*s)->needed(obj))
            continue;
        put_be(out, SUBSECTION, 1);
        put_be(out, strlen((*s)->name), 1);
        g_byte_array_append(out, (const uint8_t *)(*s)->name, strlen((*s)->name));
        put_be(out, (*s)->version, 4);
        state_save(*s, obj, out);
    }
}

/* ---- Loading ---- */

typedef struct Reader {
    StateInput *in;
    const char *where;
    GError **err;
} Reader;

/* At least n bytes are there? */
static inline bool have(Reader *r, size_t n)
{
    StateInput *in = r->in;

    return G_LIKELY((size_t)(in->end - in->p) >= n) || (in->more && in->more(in, n));
}

static bool get_be(Reader *r, unsigned n, uint64_t *v)
{
    if (!have(r, n))
        return false;
    *v = 0;
    while (n--)
        *v = *v << 8 | *r->in->p++;
    return true;
}

static bool bad_value(const Reader *r, const Field *f, uint64_t v, const char *fmt, uint64_t limit)
{
    char text[64];

    g_snprintf(text, sizeof text, fmt, limit);
    return error_set(r->err, "%s: %s: %" PRId64 " %s", r->where, f->name, (int64_t)v, text);
}

static bool check_value(const Reader *r, const Field *f, uint64_t v, uint64_t present)
{
    bool sign = f->kind == F_INT || f->wire_sign;

    if (f->kind == F_BOOL && v > 1)
        return bad_value(r, f, v, "is not 0 or 1", 0);
    if (f->equal && v != present)
        return bad_value(r, f, v, "differs from this machine's %" PRIu64, present);
    if (f->max && (sign ? (int64_t)v > (int64_t)f->max : v > f->max))
        return bad_value(r, f, v, "is above %" PRIu64, f->max);
    if ((f->min || (sign && f->max)) && (sign ? (int64_t)v < (int64_t)f->min : v < f->min))
        return bad_value(r, f, v, "is below %" PRId64, f->min);
    return true;
}

static bool cut_short(const Reader *r, const Field *f)
{
    return error_set(r->err, "%s: %s: the data ends here", r->where, f->name);
}

/* The first elements of a long array of bytes or 32-bit numbers without limits, as many as have been read; their number. */
static unsigned load_plain(Reader *r, const Field *f, unsigned n, char *p)
{
    if (f->kind != F_UINT || f->elt != f->wire || (f->elt != 1 && f->elt != 4) || f->equal || f->max || f->min)
        return 0;
    if (!have(r, MIN((size_t)n * f->elt, 4096)))
        return 0;
    n = MIN(n, (size_t)(r->in->end - r->in->p) / f->elt);
    memcpy(p, r->in->p, (size_t)n * f->elt);
    r->in->p += (size_t)n * f->elt;
    for (unsigned i = 0; f->elt == 4 && i < n; i++) {
        uint32_t v;

        memcpy(&v, p + i * 4, 4);
        v = GUINT32_FROM_BE(v);
        memcpy(p + i * 4, &v, 4);
    }
    return n;
}

static bool load_scalars(Reader *r, const Field *f, void *obj, char *p)
{
    unsigned n = n_wire(f, obj), done = 0;

    for (unsigned part = 1; part && n - done >= 16; done += part)
        part = load_plain(r, f, n - done, p + done * f->elt);
    for (unsigned i = done; i < n; i++) {
        uint64_t v, top;

        if (!get_be(r, f->wire, &v))
            return cut_short(r, f);
        if (f->kind == F_INT && f->wire < 8)
            v = (int64_t)(v << (64 - 8 * f->wire)) >> (64 - 8 * f->wire);
        else if (f->wire_sign && f->wire < 8)
            v = (int64_t)(v << (64 - 8 * f->wire)) >> (64 - 8 * f->wire);
        if (!check_value(r, f, v, get_elt(p + i * f->elt, f->elt, f->kind == F_INT)))
            return false;
        top = f->elt < 8 && f->elt < f->wire ? v >> (8 * f->elt) : 0;
        if (top && !(f->kind == F_INT || f->wire_sign))
            return bad_value(r, f, v, "does not fit", 0);
        put_elt(p + i * f->elt, f->elt, v);
    }
    return true;
}

static bool load_table(const StateTable *t, void *obj, int version, Reader *r);

static bool load_structs(Reader *r, const Field *f, void *obj, char *p)
{
    const char *outer = r->where;
    bool ok = true;

    for (unsigned i = 0; ok && i < n_wire(f, obj); i++) {
        g_autofree char *where = n_elements(f) > 1 ? g_strdup_printf("%s: %s[%u]", outer, f->name, i)
                                                  : g_strdup_printf("%s: %s", outer, f->name);

        r->where = where;
        ok = load_table(f->sub, p + i * f->elt, f->sub->version, r);
        r->where = outer;
    }
    return ok;
}

static bool load_field(Reader *r, const Field *f, void *obj)
{
    char *p = member(obj, f);
    uint64_t v;

    switch (f->kind) {
    case F_UINT: case F_INT: case F_BOOL:
        return load_scalars(r, f, obj, p);
    case F_TIMER:
        if (!get_be(r, 8, &v))
            return cut_short(r, f);
        if ((int64_t)v < 0)
            timer_stop((Timer *)(void *)p);
        else
            timer_arm((Timer *)(void *)p, v);
        return true;
    case F_STRUCT:
        return load_structs(r, f, obj, p);
    case F_UNUSED:
        for (size_t left = f->size, n; left; left -= n) {
            n = MIN(left, 4096);
            if (!have(r, n))
                return cut_short(r, f);
            r->in->p += n;
        }
        return true;
    case F_VIRTUAL:
        if (!get_be(r, f->wire, &v))
            return cut_short(r, f);
        if (f->wire_sign && f->wire < 8)
            v = (int64_t)(v << (64 - 8 * f->wire)) >> (64 - 8 * f->wire);
        return check_value(r, f, v, f->equal ? f->get(obj) : 0) && (!f->set || f->set(obj, v, r->err));
    default:
        return true;
    }
}

static const StateTable *find_subsection(const StateTable *t, const char *name, size_t len)
{
    for (const StateTable *const *s = t->subsections; s && *s; s++)
        if (strlen((*s)->name) == len && !memcmp((*s)->name, name, len))
            return *s;
    return NULL;
}

/* The length of the name of the subsection that stands next, name and all within reach; 0: none does. */
static size_t next_subsection(Reader *r)
{
    if (!have(r, 1) || *r->in->p != SUBSECTION || !have(r, 2) || !have(r, 2 + r->in->p[1] + 4))
        return 0;
    return r->in->p[1];
}

/* A subsection of t stands next? Its name begins with t's own name, as QEMU's do; else it belongs further out. */
static bool load_subsections(const StateTable *t, void *obj, Reader *r)
{
    size_t len;

    while ((len = next_subsection(r))) {
        const char *name = (const char *)r->in->p + 2, *outer = r->where;
        const StateTable *s = find_subsection(t, name, len);
        uint64_t version = 0;
        bool ok;

        if (!s) {
            if (len < strlen(t->name) || memcmp(name, t->name, strlen(t->name)))
                return true;
            return error_set(r->err, "%s: unknown subsection '%.*s'", outer, (int)len, name);
        }
        r->in->p += 2 + len;
        get_be(r, 4, &version);
        if ((int)version > s->version || (int)version < s->min_version)
            return error_set(r->err, "%s: subsection '%s' has version %d, %d was expected", outer, s->name,
                             (int)version, s->version);
        r->where = s->name;
        ok = load_table(s, obj, version, r);
        r->where = outer;
        if (!ok)
            return false;
    }
    return true;
}

static bool load_table(const StateTable *t, void *obj, int version, Reader *r)
{
    if (t->load && !t->load(obj, r->err))
        return false;
    for (const Field *f = t->fields; f->kind; f++) {
        if (f->since > version || (f->exists && !f->exists(obj)))
            continue;
        if (!load_field(r, f, obj))
            return false;
    }
    return load_subsections(t, obj, r) && (!t->loaded || t->loaded(obj, version, r->err));
}

bool state_load_from(const StateTable *t, void *obj, int version, StateInput *in, const char *where, GError **err)
{
    g_autoptr(GError) local = NULL;
    Reader r = { in, where, &local };

    if (version > t->version || version < t->min_version)
        return error_set(err, "%s: version %d is not supported (%d to %d are)", where, version, t->min_version, t->version);
    if (load_table(t, obj, version, &r))
        return true;
    if (local)
        g_propagate_error(err, g_steal_pointer(&local));
    else
        error_set(err, "%s: the state is not valid", where);
    return false;
}

gssize state_load(const StateTable *t, void *obj, int version, const uint8_t *data, size_t len, const char *where,
                  GError **err)
{
    StateInput in = { data, data + len, NULL };

    return state_load_from(t, obj, version, &in, where, err) ? in.p - data : -1;
}

/* ---- Printing ---- */

static void print_table(const StateTable *t, const void *obj, GString *out, int indent)
{
    for (const Field *f = t->fields; f->kind; f++) {
        const char *p = member(obj, f);

        switch (f->kind) {
        case F_STRUCT:
            for (unsigned i = 0; i < n_elements(f); i++) {
                g_string_append_printf(out, "%*s%s[%u]\n", indent, "", f->name, i);
                print_table(f->sub, p + i * f->elt, out, indent + 2);
            }
            continue;
        case F_UINT: case F_INT: case F_BOOL: case F_LOCAL:
            g_string_append_printf(out, "%*s%-24s", indent, "", f->name);
            for (unsigned i = 0; i < n_elements(f) && i < 16; i++)
                g_string_append_printf(out, " %0*" PRIx64, (int)f->elt * 2, get_elt(p + i * f->elt, f->elt, false));
            g_string_append(out, n_elements(f) > 16 ? " ...\n" : "\n");
            continue;
        case F_TIMER:
            g_string_append_printf(out, "%*s%-24s %" PRId64 "\n", indent, "", f->name,
                                   (int64_t)((const Timer *)(const void *)p)->at);
            continue;
        case F_LINE:
            g_string_append_printf(out, "%*s%-24s %d\n", indent, "", f->name, ((const Line *)(const void *)p)->level);
            continue;
        default:
            continue;
        }
    }
    for (const StateTable *const *s = t->subsections; s && *s; s++)
        print_table(*s, obj, out, indent);
}

void state_print(const StateTable *t, const void *obj, GString *out)
{
    print_table(t, obj, out, 2);
}

/* ---- The audit ---- */

static void collect(const StateTable *t, GArray *rows)
{
    for (const Field *f = t->fields; f->kind; f++)
        if (f->kind != F_UNUSED && f->kind != F_VIRTUAL)
            g_array_append_val(rows, *f);
    for (const StateTable *const *s = t->subsections; s && *s; s++)
        collect(*s, rows);
}

static int by_offset(const void *a, const void *b)
{
    const Field *x = a, *y = b;

    return x->off < y->off ? -1 : x->off > y->off ? 1 : x->size > y->size ? -1 : x->size < y->size;
}

/* Padding may stand before a member, up to its alignment less one. */
static unsigned alignment(const Field *f)
{
    switch (f->kind) {
    case F_UINT: case F_INT: case F_BOOL: case F_LOCAL:
        return f->elt <= 8 ? f->elt : 8;
    default:
        return 8;
    }
}

unsigned state_audit(const StateTable *t, const char *what, size_t struct_size, GString *out)
{
    g_autoptr(GArray) rows = g_array_new(false, false, sizeof(Field));
    uint64_t end = 0;
    unsigned bad = 0;

    collect(t, rows);
    g_array_sort(rows, by_offset);
    for (unsigned i = 0; i < rows->len; i++) {
        const Field *f = &g_array_index(rows, Field, i);

        if (f->off > end && f->off - end >= alignment(f)) {
            g_string_append_printf(out, "%s: %" PRIu64 " undeclared bytes before %s\n", what, f->off - end, f->name);
            bad++;
        }
        end = MAX(end, (uint64_t)f->off + f->size);
        if (f->kind == F_STRUCT) {
            g_autofree char *sub = g_strdup_printf("%s.%s", what, f->name);

            bad += state_audit(f->sub, sub, f->elt, out);
        }
    }
    if (struct_size > end && struct_size - end >= _Alignof(max_align_t)) {
        g_string_append_printf(out, "%s: %" PRIu64 " undeclared bytes at the end\n", what, struct_size - end);
        bad++;
    }
    return bad;
}
