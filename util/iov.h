/* Scatter-gather lists: slices, copies, comparison.  Offsets and lengths are bytes; a slice that would run past
 * the end of the list is a bug of the caller (asserted). */
#ifndef UTIL_IOV_H
#define UTIL_IOV_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

typedef struct IoVec {
    const struct iovec *iov;
    unsigned n;
} IoVec;

size_t iov_size(const struct iovec *iov, unsigned n);
size_t iov_from_buf(const IoVec *v, size_t offset, const void *buf, size_t bytes);
size_t iov_to_buf(const IoVec *v, size_t offset, void *buf, size_t bytes);
void iov_memset(const IoVec *v, size_t offset, int c, size_t bytes);
bool iov_is_zero(const IoVec *v, size_t offset, size_t bytes);
/* Elements that [offset, offset+bytes) touches. */
unsigned iov_count(const IoVec *v, size_t offset, size_t bytes);
/* Writes them to out (room for iov_count of them); returns how many. */
unsigned iov_slice(const IoVec *v, size_t offset, size_t bytes, struct iovec *out);
/* Every element's address and length is a multiple of align (a power of two). */
bool iov_aligned(const struct iovec *iov, unsigned n, size_t align);
bool buf_is_zero(const void *buf, size_t bytes);

static inline IoVec iov_one(struct iovec *space, const void *buf, size_t bytes)
{
    space->iov_base = (void *)buf;
    space->iov_len = bytes;
    return (IoVec){ space, 1 };
}
#endif
