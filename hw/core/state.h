/*
 * State tables: one row per struct member.
 *
 * From a device's table come its power-on values, the migration stream (in table order, big-endian,
 * with QEMU's sizes), the limits of loaded values, `info` output and two tests: the audit (every byte
 * of the struct is declared) and the twin (a saved and loaded device answers as the original does).
 *
 * A row's wire form follows from the member's C type: uint8_t..uint64_t, int8_t..int64_t, bool (1 byte),
 * arrays of those, Timer (8 bytes: expiry in ns of guest time, UINT64_MAX when not armed), Line (nothing
 * on the wire: a device's `loaded` hook, or the table row of who owns the level, restores it without an edge).
 * `.wire = n` gives another wire size for a scalar (QEMU often sends a byte as int32).
 *
 * Loading checks each value: `.max` (0: any), `.min`, `.equal` (must equal the present value); bools must be
 * 0 or 1. A row that fails names itself: "serial/0: divider: 70000 is above 65535".
 */
#ifndef HW_CORE_STATE_H
#define HW_CORE_STATE_H
#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Timer Timer;
typedef struct Line Line;
typedef struct StateTable StateTable;

typedef enum FieldKind {
    F_END,
    F_UINT, F_INT, F_BOOL,      /* scalars and arrays */
    F_TIMER,
    F_LINE,                     /* level kept, not on the wire */
    F_STRUCT,                   /* nested table; array when size > elt */
    F_UNUSED,                   /* wire bytes that mean nothing: zeroes out, ignored in */
    F_VIRTUAL,                  /* no member: get and set compute it */
    F_HOST,                     /* host side: not state */
    F_DERIVED,                  /* guest state that follows from other rows: `loaded` rebuilds it */
    F_LOCAL,                    /* guest state that QEMU's stream does not carry; reset applies to it */
} FieldKind;

typedef struct Field {
    const char *name;           /* QEMU's field name where it differs from the member's */
    FieldKind kind;
    uint8_t wire;               /* bytes per element on the wire */
    uint8_t wire_sign;          /* sign-extend when wire > elt */
    bool keep;                  /* survives reset: NVRAM, latches */
    bool equal;                 /* a loaded value must equal the present one */
    uint32_t off, size, elt;    /* member: offset, size, bytes per element */
    uint16_t since;             /* first stream version that has it */
    uint16_t count;             /* elements of the array that go on the wire; 0: all */
    unsigned (*n)(const void *obj);                         /* ... when this machine's configuration says; NULL: count */
    uint64_t reset, min, max;   /* power-on value of each element; limits of a loaded one */
    const StateTable *sub;      /* F_STRUCT */
    bool (*exists)(const void *obj);                        /* NULL: always on the wire */
    uint64_t (*get)(const void *obj);                       /* F_VIRTUAL */
    bool (*set)(void *obj, uint64_t v, GError **err);       /* F_VIRTUAL; NULL: ignored on load */
} Field;

struct StateTable {
    const char *name;                       /* section or struct name: "mc146818rtc" */
    int version, min_version;
    const Field *fields;                    /* ends with {0} */
    const StateTable *const *subsections;   /* NULL-terminated */
    bool (*needed)(const void *obj);        /* of a subsection: NULL always */
    void (*save)(void *obj);                /* before saving: bring rows up to date */
    bool (*load)(void *obj, GError **err);  /* before loading: defaults for absent subsections */
    bool (*loaded)(void *obj, int version, GError **err); /* after loading: check, rebuild what is derived */
};

#define M_(T, m) (((T *)0)->m)
#define KIND_(x) _Generic((x), bool: F_BOOL, bool *: F_BOOL, \
    uint8_t: F_UINT, uint16_t: F_UINT, uint32_t: F_UINT, uint64_t: F_UINT, unsigned long long: F_UINT, \
    uint8_t *: F_UINT, uint16_t *: F_UINT, uint32_t *: F_UINT, uint64_t *: F_UINT, \
    int8_t: F_INT, int16_t: F_INT, int32_t: F_INT, int64_t: F_INT, \
    int8_t *: F_INT, int16_t *: F_INT, int32_t *: F_INT, int64_t *: F_INT, Timer: F_TIMER, Line: F_LINE, Line *: F_LINE)
#define ELT_(x) _Generic((x), bool: 1, bool *: 1, uint8_t: 1, uint8_t *: 1, int8_t: 1, int8_t *: 1, \
    uint16_t: 2, uint16_t *: 2, int16_t: 2, int16_t *: 2, uint32_t: 4, uint32_t *: 4, int32_t: 4, int32_t *: 4, \
    uint64_t: 8, uint64_t *: 8, int64_t: 8, int64_t *: 8, Line *: sizeof(Line), default: sizeof(x))
#define WIRE_(x) _Generic((x), Timer: 8, Line: 0, Line *: 0, default: ELT_(x))
#define ROW_(T, m, k, e, ...) { .name = #m, .kind = (k), .off = offsetof(T, m), .size = sizeof M_(T, m), .elt = (e), __VA_ARGS__ }

/* A member that migrates: FIELD(Rtc, index, .max = 0x7f). (Line and Timer are complete types from device.h.) */
#define FIELD(T, m, ...)  ROW_(T, m, KIND_(M_(T, m)), ELT_(M_(T, m)), .wire = WIRE_(M_(T, m)), __VA_ARGS__)
/* A member that does not migrate; LOCAL is reset, DERIVED is rebuilt by `loaded`, HOST is not guest state. */
#define HOST(T, m)        ROW_(T, m, F_HOST, 1, 0)
#define DERIVED(T, m)     ROW_(T, m, F_DERIVED, 1, 0)
#define LOCAL(T, m, ...)  ROW_(T, m, F_LOCAL, ELT_(M_(T, m)), __VA_ARGS__)
/* A nested struct or an array of them, described by table t; each element is element_size long. */
#define STRUCT(T, m, t, ...) ROW_(T, m, F_STRUCT, sizeof M_(T, m), .sub = (t), __VA_ARGS__)
#define STRUCTS(T, m, t, ...) ROW_(T, m, F_STRUCT, sizeof M_(T, m[0]), .sub = (t), __VA_ARGS__)
/* n bytes on the wire that mean nothing. */
#define UNUSED(n, ...)    { .name = "unused", .kind = F_UNUSED, .wire = 1, .size = (n), .elt = 1, __VA_ARGS__ }
/* A wire value of w bytes that is computed. */
#define VIRTUAL(n, w, ...) { .name = (n), .kind = F_VIRTUAL, .wire = (w), __VA_ARGS__ }

/* Puts every row's power-on value in place (except .keep rows); timers stop, lines fall without an edge. */
void state_reset(const StateTable *t, void *obj);
/* Appends obj in wire form: fields, then needed subsections as QEMU writes them. */
void state_save(const StateTable *t, void *obj, GByteArray *out);
/* Loads from data; returns the bytes used, or -1 with err. Subsections are recognised by name; an unknown one is an
 * error that names it. `where` begins the error text ("serial/0"). */
gssize state_load(const StateTable *t, void *obj, int version, const uint8_t *data, size_t len, const char *where, GError **err);
/* The same from a stream: p..end is what is there now; more gets at least n bytes (n <= 4096) to p, or returns false.
 * p moves on with what is used. */
typedef struct StateInput {
    const uint8_t *p, *end;
    bool (*more)(struct StateInput *in, size_t n);
} StateInput;
bool state_load_from(const StateTable *t, void *obj, int version, StateInput *in, const char *where, GError **err);
/* One "  name value" line a row. */
void state_print(const StateTable *t, const void *obj, GString *out);
/* Checks that every byte of the struct is a row or padding; appends a line for each fault and returns their number. */
unsigned state_audit(const StateTable *t, const char *what, size_t struct_size, GString *out);
#endif
