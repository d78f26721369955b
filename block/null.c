/* The protocols "null-co" and "null-aio": writes vanish, reads give nothing (or zeroes). For measurements. */
#include <errno.h>
#include "block/aio.h"
#include "block/graph.h"
#include "block/image-info.h"
#include "block/options.h"
#include "util/error.h"

typedef struct NullState { uint64_t latency; bool zeroes; } NullState;

static bool null_open(BlockNode *n, json_t *opts, unsigned flags, GError **err)
{
    NullState *s = n->state;
    uint64_t size = 1 << 30;
    G_GNUC_UNUSED g_autofree char *filename = jopts_take(opts, "filename");
    g_autofree char *plain = g_strconcat(n->drv->name, "://", NULL);
    bool asked = jopts_get(opts, "size") || jopts_get(opts, "latency-ns");

    if (!jopts_take_size(opts, "size", &size, err) || !jopts_take_number(opts, "latency-ns", &s->latency, err) ||
        !jopts_take_bool(opts, "read-zeroes", &s->zeroes, err))
        return false;
    if (size > INT64_MAX - (1 << 21))
        return error_set(err, "size is too large");
    if (s->latency > INT64_MAX)
        return error_set(err, "latency-ns is invalid");
    n->length = size;
    g_free(n->filename);
    g_free(n->exact_filename);
    n->exact_filename = g_strdup(asked ? "" : plain);
    if (asked) {
        json_t *shown = json_copy(n->options), *nested;
        char *text;

        json_object_del(shown, "node-name");
        jopts_set(shown, "driver", n->drv->name);
        nested = jopts_crumple(shown);
        text = json_dump_ranked(nested);
        n->filename = g_strconcat("json:", text, NULL);
        g_free(text);
        json_decref(nested);
        json_decref(shown);
    } else {
        n->filename = g_strdup(plain);
    }
    return true;
}

static bool null_parse_filename(const char *filename, json_t *opts, GError **err)
{
    if (!g_str_has_suffix(filename, "://"))
        return error_set(err, "The only allowed filename for this driver is 'null-co://'");
    return true;
}

static int wait_latency(BlockNode *n)
{
    NullState *s = n->state;

    if (s->latency && !coroutine_blocking())
        co_sleep_until(aio_now() + s->latency);
    return 0;
}

static int null_co_read(BlockNode *n, int64_t offset, int64_t bytes, const IoVec *v, size_t vo, unsigned flags)
{
    NullState *s = n->state;

    if (s->zeroes)
        iov_memset(v, vo, 0, bytes);
    return wait_latency(n);
}

static int null_co_write(BlockNode *n, int64_t offset, int64_t bytes, const IoVec *v, size_t vo, unsigned flags)
{
    return wait_latency(n);
}

static int null_co_zero(BlockNode *n, int64_t offset, int64_t bytes, unsigned flags)
{
    return wait_latency(n);
}

static int null_co_flush(BlockNode *n)
{
    return wait_latency(n);
}

static int null_co_status(BlockNode *n, int64_t offset, int64_t bytes, int64_t *pnum, int64_t *map, BlockNode **file)
{
    NullState *s = n->state;

    *pnum = bytes;
    *map = offset;
    *file = n;
    return STATUS_OFFSET | (s->zeroes ? STATUS_ZERO : STATUS_DATA);
}

static int64_t null_allocated(BlockNode *n)
{
    return 0;
}

#define COMMON \
    .is_protocol = true, .state_size = sizeof(NullState), .open = null_open, .parse_filename = null_parse_filename, \
    .co_read = null_co_read, .co_write = null_co_write, .co_zero = null_co_zero, .co_flush = null_co_flush, \
    .co_status = null_co_status, .allocated = null_allocated, .write_flags = BLK_FUA, \
    .zero_flags = BLK_FUA | BLK_MAY_UNMAP

const BlockDriver driver_null_co = { .name = "null-co", COMMON };
const BlockDriver driver_null_aio = { .name = "null-aio", COMMON };
