/* Between the files of the file protocol. */
#ifndef BLOCK_FILE_INT_H
#define BLOCK_FILE_INT_H
#include "block/graph.h"

typedef struct FileState {
    int fd;
    bool direct, native, uring, block_device, locking, growable;
    bool no_punch, no_zero_range, no_nowait_read, no_nowait_write, sync_failed;
    unsigned perm, shared;              /* as locked for good */
    uint64_t writes, synced;            /* generations */
    int64_t data, data_end;             /* known to be data: some file systems look for the end of that page by page */
} FileState;

/* All of it; behind the end of the file are zeroes. In a coroutine. */
int file_rw(BlockNode *n, int64_t offset, int64_t bytes, const IoVec *v, size_t vo, bool write);

typedef struct FileResize { int fd; bool direct; int64_t from, to; Prealloc p; } FileResize;
/* Of a regular file; 0 or -errno. For a worker thread. */
int file_resize(void *resize);
bool file_do_create(const char *filename, json_t *opts, GError **err);
#endif
