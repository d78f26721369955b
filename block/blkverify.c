/*
 * The filter "blkverify": every write goes to both children, every read comes from both and is compared. For tests.
 *   blkverify:RAW-FILE:IMAGE, or raw= and test= (or "file" for raw)
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "block/graph-ops.h"
#include "block/options.h"
#include "util/error.h"

typedef struct VerifyState { NodeLink *raw, *test; } VerifyState;

static bool verify_parse_filename(const char *filename, json_t *opts, GError **err)
{
    const char *p = filename + strlen("blkverify:"), *colon;
    g_autofree char *raw = NULL;

    if (!g_str_has_prefix(filename, "blkverify:"))
        return true;
    colon = strchr(p, ':');
    if (!colon)
        return error_set(err, "blkverify requires raw copy and original image path");
    raw = g_strndup(p, colon - p);
    jopts_set(opts, "raw.filename", raw);
    jopts_set(opts, "raw.driver", "file");
    jopts_set(opts, "test.file.filename", colon + 1);
    return true;
}

static bool verify_open(BlockNode *n, json_t *opts, unsigned flags, GError **err)
{
    VerifyState *s = n->state;

    s->raw = node_open_child(n, NULL, opts, "raw", ROLE_FILTERED | ROLE_PRIMARY, false, err);
    s->test = s->raw ? node_open_child(n, NULL, opts, "test", ROLE_DATA, false, err) : NULL;
    if (!s->test)
        return false;
    n->length = node_length(s->test->node);
    return true;
}

static void differs(int64_t offset, int64_t bytes, const char *what)
{
    fprintf(stderr, "blkverify: %s offset=%" PRId64 " bytes=%" PRId64 "\n", what, offset, bytes);
    exit(1);
}

static int verify_co_read(BlockNode *n, int64_t offset, int64_t bytes, const IoVec *v, size_t vo, unsigned flags)
{
    VerifyState *s = n->state;
    void *a = block_try_memalign(bytes), *b = block_try_memalign(bytes);
    struct iovec iov;
    IoVec va = iov_one(&iov, a, bytes);
    int r1 = a && b ? node_co_read(s->test, offset, bytes, v, vo, flags) : -ENOMEM, r2 = r1;

    if (a && b) {
        r2 = node_co_read(s->raw, offset, bytes, &va, 0, 0);
        if (r1 != r2)
            differs(offset, bytes, "return value mismatch");
        iov_to_buf(v, vo, b, bytes);
        for (int64_t i = 0; r1 == 0 && i < bytes; i++)
            if (((char *)a)[i] != ((char *)b)[i])
                differs(offset + i, bytes, "contents mismatch at");
    }
    free(a);
    free(b);
    return r1;
}

static int both(int r1, int r2, int64_t offset, int64_t bytes)
{
    if (r1 != r2)
        differs(offset, bytes, "return value mismatch");
    return r1;
}

static int verify_co_write(BlockNode *n, int64_t offset, int64_t bytes, const IoVec *v, size_t vo, unsigned flags)
{
    VerifyState *s = n->state;

    return both(node_co_write(s->test, offset, bytes, v, vo, flags), node_co_write(s->raw, offset, bytes, v, vo, flags), offset, bytes);
}

static int verify_co_flush(BlockNode *n)
{
    VerifyState *s = n->state;

    return node_co_flush(s->test->node);
}

static int64_t verify_length(BlockNode *n)
{
    VerifyState *s = n->state;

    return node_length(s->test->node);
}

const BlockDriver driver_blkverify = {
    .name = "blkverify", .is_protocol = true, .state_size = sizeof(VerifyState), .parse_filename = verify_parse_filename,
    .open = verify_open, .co_read = verify_co_read, .co_write = verify_co_write, .co_flush = verify_co_flush,
    .length = verify_length,
};
