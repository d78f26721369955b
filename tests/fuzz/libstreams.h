/*
 * Migration streams to be mutated: each kind is a recipe of pieces, which put together one behind the other make a stream
 * that loads.
 */
#ifndef TESTS_FUZZ_LIBSTREAMS_H
#define TESTS_FUZZ_LIBSTREAMS_H
#include "migration/stream.h"
#include "tests/fuzz/librig.h"

/* RAM_SECTIONS: marks that each of multifd's channels comes to. */
enum { CHANNELS = 2, RAM_SECTIONS = 3 };

typedef enum Kind { PLAIN, UUID, XBZRLE, POSTCOPY, RECOVERY, MULTI, ZLIB, ZSTD, LAZY, INDEX, WHOLE, KINDS } Kind;
typedef struct KindInfo { const char *name; unsigned weight; } KindInfo;    /* of 64 */
extern const KindInfo kinds[KINDS];

typedef struct Recipe {
    GPtrArray *pieces;          /* GByteArray; some belong to several recipes */
    unsigned pack, unpack;      /* pieces from pack up to unpack go into a package; equal: there is none */
    GPtrArray *second;          /* of the next connection, or of the channels, one behind the other; or NULL */
    unsigned loaded, refused;
} Recipe;
extern Recipe recipes[KINDS];

/* From what the machine saves now. */
void recipes_make(Rig *r);
/* Reads data; what is said on the way back is dropped. data stays the caller's. */
MigStream *memory_stream(GByteArray *data);
#endif
