/* Compression of clusters.  Thread-safe; nothing here waits.  Private to block/. */
#ifndef BLOCK_COMPRESS_H
#define BLOCK_COMPRESS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes written to out, or -ENOSPC when it would take more than out_len. Raw deflate, window of 4 KiB. */
int64_t compress_deflate(const void *in, size_t in_len, void *out, size_t out_len);
/* Exactly out_len bytes or -EIO; what stands behind the stream is ignored. */
int compress_inflate(const void *in, size_t in_len, void *out, size_t out_len);
/* zstd comes from a library that is loaded when it is first asked for; false: not installed. On the main thread. */
bool compress_have_zstd(void);
int64_t compress_zstd(const void *in, size_t in_len, void *out, size_t out_len);
int decompress_zstd(const void *in, size_t in_len, void *out, size_t out_len);
/* Before the first compress_deflate, on the main thread: loads what makes it fast. */
void compress_prepare(void);
#endif
