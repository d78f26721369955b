/*
 * The format "raw": the file is the disk.  With offset= and size= a window of it.
 *
 * When the format was only guessed, a guest must not be able to turn the image into another format by what it
 * writes into block 0: the next start would then believe it, backing file names and all.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "block/graph.h"
#include "block/options.h"
#include "util/error.h"

typedef struct RawState { int64_t offset, size; bool has_size; } RawState;

static int raw_probe(const uint8_t *buf, size_t n, const char *filename)
{
    return 1;
}

static bool apply_window(BlockNode *n, GError **err)
{
    RawState *s = n->state;
    int64_t real = node_length(n->file->node);

    if (real < 0)
        return error_set_errno(err, (int)real, "Could not get image size");
    if (real < s->offset)
        return error_set(err, "Offset (%" PRId64 ") cannot be greater than size of the containing file (%" PRId64 ")",
                         s->offset, real);
    if (s->has_size && real - s->offset < s->size)
        return error_set(err, "The sum of offset (%" PRId64 ") and size (%" PRId64 ") has to be smaller or equal to the  "
                         "actual size of the containing file (%" PRId64 ")", s->offset, s->size, real);
    if (!s->has_size)
        s->size = real - s->offset;
    n->length = s->size;
    return true;
}

static bool raw_open(BlockNode *n, json_t *opts, unsigned flags, GError **err)
{
    RawState *s = n->state;
    uint64_t offset = 0, size = 0;

    s->has_size = jopts_get(opts, "size") != NULL;
    if (!jopts_take_size(opts, "offset", &offset, err) || !jopts_take_size(opts, "size", &size, err))
        return false;
    if (offset > INT64_MAX || size > INT64_MAX)
        return error_set(err, "offset and size must be smaller than 2^63");
    if (s->has_size && size % BLK_SECTOR_SIZE)
        return error_set(err, "Specified size is not multiple of %d", BLK_SECTOR_SIZE);
    s->offset = offset;
    s->size = size;
    if (!node_open_child(n, NULL, opts, "file", ROLE_DATA | ROLE_PRIMARY | (offset || s->has_size ? 0 : ROLE_FILTERED),
                         false, err) || !apply_window(n, err))
        return false;
    if (n->probed && node_writable(n))
        warn_text("WARNING: Image format was not specified for '%s' and probing guessed raw.\n"
                  "         Automatically detecting the format is dangerous for raw images, write operations on block 0 "
                  "will be restricted.\n"
                  "         Specify the 'raw' format explicitly to remove the restrictions.\n", n->file->node->filename);
    return true;
}

/* Where a request of the window lies in the file; false: outside. */
static bool place(RawState *s, int64_t *offset, int64_t bytes, bool write)
{
    if (s->has_size && (*offset > s->size || bytes > s->size - *offset))
        return false;
    if (*offset > INT64_MAX - s->offset)
        return false;
    *offset += s->offset;
    return true;
}

static int raw_co_read(BlockNode *n, int64_t offset, int64_t bytes, const IoVec *v, size_t vo, unsigned flags)
{
    if (!place(n->state, &offset, bytes, false))
        return -EINVAL;
    return node_co_read(n->file, offset, bytes, v, vo, flags);
}

/* What block 0 would look like after the write: still raw? */
static bool stays_raw(BlockNode *n, int64_t offset, int64_t bytes, const IoVec *v, size_t vo)
{
    uint8_t buf[BLK_SECTOR_SIZE];
    int64_t len = MIN(bytes, BLK_SECTOR_SIZE - offset);

    if ((offset || bytes < BLK_SECTOR_SIZE) && node_co_pread(n->file, 0, buf, sizeof(buf)) < 0)
        return false;
    iov_to_buf(v, vo, buf + offset, len);
    for (unsigned i = 0; block_drivers[i]; i++) {
        const BlockDriver *d = block_drivers[i];

        if (d != &driver_raw && d->probe && d->probe(buf, sizeof(buf), n->filename) > 1)
            return false;
    }
    return true;
}

static int raw_co_write(BlockNode *n, int64_t offset, int64_t bytes, const IoVec *v, size_t vo, unsigned flags)
{
    if (n->probed && offset < BLK_SECTOR_SIZE && !stays_raw(n, offset, bytes, v, vo))
        return -EPERM;
    if (!place(n->state, &offset, bytes, true))
        return -ENOSPC;
    return node_co_write(n->file, offset, bytes, v, vo, flags);
}

static int raw_co_zero(BlockNode *n, int64_t offset, int64_t bytes, unsigned flags)
{
    if (!place(n->state, &offset, bytes, true))
        return -EINVAL;
    return node_co_zero(n->file, offset, bytes, flags);
}

static int raw_co_discard(BlockNode *n, int64_t offset, int64_t bytes)
{
    if (!place(n->state, &offset, bytes, true))
        return -EINVAL;
    return node_co_discard(n->file, offset, bytes);
}

static int64_t raw_length(BlockNode *n)
{
    RawState *s = n->state;

    if (!s->has_size) {
        int64_t len = node_length(n->file->node);

        if (len < 0)
            return len;
        s->size = MAX(len - s->offset, 0);
    }
    return s->size;
}

static int raw_co_truncate(BlockNode *n, int64_t length, bool exact, Prealloc p, GError **err)
{
    RawState *s = n->state;

    if (s->has_size)
        return error_set(err, "Cannot resize fixed-size raw disks"), -ENOTSUP;
    if (length > INT64_MAX - s->offset)
        return error_set(err, "Disk size too large for the chosen offset"), -EINVAL;
    return node_co_truncate(n->file, length + s->offset, exact, p, err);
}

static int raw_co_status(BlockNode *n, int64_t offset, int64_t bytes, int64_t *pnum, int64_t *map, BlockNode **file)
{
    RawState *s = n->state;

    *pnum = bytes;
    *map = offset + s->offset;
    *file = n->file->node;
    return STATUS_RAW;
}

static void raw_limits(BlockNode *n)
{
    RawState *s = n->state;

    if (n->file) {
        n->limits = n->file->node->limits;
        n->limits.max_transfer = 0;
        if ((s->offset | s->size) & (n->limits.request_align - 1))
            n->limits.request_align = 1;        /* the file's node aligns */
    }
    if (n->probed)
        n->limits.request_align = MAX(n->limits.request_align, BLK_SECTOR_SIZE);
}

static bool raw_create(const char *filename, json_t *opts, GError **err)
{
    return protocol_create(filename, opts, err);
}

static bool raw_info(BlockNode *n, NodeInfo *info)
{
    BlockNode *file = n->file->node;

    return file->drv->info && file->drv->info(file, info);
}

static bool raw_measure(json_t *opts, BlockNode *in, MeasureInfo *info, GError **err)
{
    g_autoptr(json_t) copy = json_copy(opts);
    uint64_t size = 0;

    if (in)
        size = node_length(in);
    else if (!jopts_take_size(copy, "size", &size, err))
        return false;
    info->required = info->full = (size + BLK_SECTOR_SIZE - 1) & ~UINT64_C(511);
    return true;
}

static const CreateOpt create_opts[] = { { "size", COPT_SIZE, "Virtual disk size" }, { NULL } };

const BlockDriver driver_raw = {
    .name = "raw", .is_filter = false, .state_size = sizeof(RawState), .probe = raw_probe, .open = raw_open,
    .create = raw_create, .create_opts = create_opts, .co_read = raw_co_read, .co_write = raw_co_write,
    .co_zero = raw_co_zero, .co_discard = raw_co_discard, .co_truncate = raw_co_truncate, .co_status = raw_co_status,
    .length = raw_length, .refresh_limits = raw_limits, .info = raw_info, .measure = raw_measure, .write_flags = BLK_FUA,
    .zero_flags = BLK_FUA | BLK_MAY_UNMAP | BLK_NO_FALLBACK,
};
