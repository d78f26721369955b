/* qcow2: how large an image becomes. */
#include <errno.h>
#include "block/options.h"
#include "block/qcow2.h"
#include "util/error.h"

static uint64_t up(uint64_t v, uint64_t to)
{
    return (v + to - 1) / to * to;
}

/* Refcount blocks and table for that many clusters and for themselves. */
static uint64_t refcount_clusters(uint64_t clusters, uint64_t cluster_size, unsigned order)
{
    uint64_t per_block = cluster_size * 8 >> order, per_table = cluster_size / 8, table = 0, blocks = 0, n = 0, last;

    do {
        last = n;
        blocks = (clusters + table + blocks + per_block - 1) / per_block;
        table = (blocks + per_table - 1) / per_table;
        n = clusters + blocks + table;
    } while (n != last);
    return blocks + table;
}

uint64_t qcow2_full_size(uint64_t size, uint64_t cluster_size, unsigned order, bool extended)
{
    uint64_t l2_entry = extended ? 16 : 8, data = up(size, cluster_size), meta = cluster_size;
    uint64_t l2 = up(data / cluster_size, cluster_size / l2_entry) * l2_entry;

    meta += l2 + up(l2 / cluster_size, cluster_size / 8) * 8;
    meta += refcount_clusters((meta + data) / cluster_size, cluster_size, order) * cluster_size;
    return meta + data;
}

/* Bytes in clusters that hold data. */
static int64_t data_of(BlockNode *in, uint64_t cluster_size)
{
    int64_t len = node_length(in), at = 0, pnum, sum = 0;

    while (at < len) {
        int ret = node_co_status_above(in, NULL, at, len - at, &pnum, NULL, NULL, NULL);

        if (ret < 0 || pnum <= 0)
            return ret < 0 ? ret : -EIO;
        if (!(ret & STATUS_ZERO) && (ret & (STATUS_DATA | STATUS_ALLOCATED)) == (STATUS_DATA | STATUS_ALLOCATED)) {
            pnum = up(at + pnum, cluster_size) - at;
            sum += at % cluster_size + pnum;
        }
        at += pnum;
    }
    return sum;
}

bool qcow2_measure(json_t *opts, BlockNode *in, MeasureInfo *info, GError **err)
{
    Qcow2Shape shape;
    uint64_t size, whole;
    int64_t data = 0;

    if (!qcow2_measure_options(opts, &shape, err))
        return false;
    size = in ? (uint64_t)node_length(in) : shape.size;
    size = (size + 511) & ~UINT64_C(511);
    whole = up(size, shape.cluster_size);
    if (whole / shape.cluster_size / (shape.cluster_size / (shape.extended ? 16 : 8)) > MAX_L1_BYTES / 8)
        return error_set(err, "The image size is too large (try using a larger cluster size)");
    info->full = qcow2_full_size(size, shape.cluster_size, shape.refcount_order, shape.extended);
    if (shape.all_data || (in && shape.backing))
        data = whole;
    else if (in)
        data = data_of(in, shape.cluster_size);
    if (data < 0)
        return error_set_errno(err, (int)data, "Unable to get block status");
    info->required = info->full - whole + data;
    info->has_bitmaps = shape.version >= 3 && in && in->drv->can_store_bitmaps;
    info->bitmaps = info->has_bitmaps ? qcow2_bitmaps_size(in, shape.cluster_size) : 0;
    return true;
}
