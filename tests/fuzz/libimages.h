/*
 * What the harnesses of the block drivers share: files in memory, inputs made of records, their mutator, operations on an open
 * image, limits.  A harness is LLVMFuzzerTestOneInput and FUZZ_NAME; with libFuzzer (configure --enable-fuzz CC=clang) that is
 * all, without it libimages.c brings a main() that makes inputs by itself.
 *
 * An input is three bytes that the harness reads as it likes, then records.  Files are changed before the image is opened (records
 * below REC_OPS), the others are done with it in their order.
 *
 * Limits: a file ends at MEM_LIMIT; nothing is written through a node that is read-only; one input writes at most WRITE_LIMIT bytes;
 * time and memory are libFuzzer's (-timeout, -malloc_limit_mb), or alarm() and setrlimit().
 */
#ifndef TESTS_FUZZ_LIBIMAGES_H
#define TESTS_FUZZ_LIBIMAGES_H
#include <glib.h>
#include "block/block.h"

#define MEM_FILES 3
#define MEM_LIMIT (48 << 20)
#define WRITE_LIMIT (UINT64_C(512) << 20)

/* The protocol "mem": files 0 "image", 1 "back", 2 "data". */
typedef struct MemFile { uint8_t *data; size_t len, room; } MemFile;
extern MemFile mem_files[MEM_FILES];
extern bool mem_yields;                 /* requests wait a little: others run meanwhile */
void mem_set(MemFile *f, const void *data, size_t len);
/* block_init, the driver, and nothing on stderr of what the block layer says. */
void fuzz_init(void);
/* What one input may write begins anew. */
void fuzz_begin(void);

typedef struct Record { uint8_t kind, a; uint16_t b; uint32_t v; } Record;
#define INPUT_HEAD 3
#define INPUT_MAX (INPUT_HEAD + 64 * sizeof(Record))
#define REC_OPS 128
/* Does the operation; false: go no further (the image is broken). May replace nothing. */
bool image_op(BlockBackend *b, const Record *r);
/* All records that are operations, those that can be at once if `parallel`. */
void image_ops(BlockBackend *b, const Record *r, size_t n, bool parallel);

/* A harness. */
extern const char fuzz_name[];
extern const char *const fuzz_found[];  /* inputs that something was wrong with once, in hexadecimal digits; NULL at the end */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
#endif
