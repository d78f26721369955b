/* Between the files of the file protocol. */
#ifndef BLOCK_FILE_INT_H
#define BLOCK_FILE_INT_H
#include "block/graph.h"

typedef struct FileResize { int fd; bool direct; int64_t from, to; Prealloc p; } FileResize;
/* Of a regular file; 0 or -errno. For a worker thread. */
int file_resize(void *resize);
bool file_do_create(const char *filename, json_t *opts, GError **err);
#endif
