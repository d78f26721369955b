/* The properties that all disks have: block sizes, geometry, error policies. */
#include <string.h>
#include "block/backend-int.h"
#include "util/error.h"

const char *const bios_translation_names[] = { "auto", "none", "lba", "large", "rechs", NULL };

static bool size_ok(const char *name, uint32_t v, GError **err)
{
    if (v && (v < 512 || v > 2 * 1024 * 1024))
        return error_set(err, "Property .%s doesn't take value %u (minimum: 512, maximum: 2097152)", name, v);
    if (v & (v - 1))
        return error_set(err, "Property .%s doesn't take value '%u', it's not a power of 2", name, v);
    return true;
}

static bool block_sizes(BlkConf *c, GError **err)
{
    if (!size_ok("logical_block_size", c->logical_block_size, err) ||
        !size_ok("physical_block_size", c->physical_block_size, err))
        return false;
    c->logical_block_size = c->logical_block_size ? c->logical_block_size : BLK_SECTOR_SIZE;
    c->physical_block_size = c->physical_block_size ? c->physical_block_size : BLK_SECTOR_SIZE;
    if (c->logical_block_size > c->physical_block_size)
        return error_set(err, "logical_block_size > physical_block_size not supported");
    if (c->min_io_size % c->logical_block_size)
        return error_set(err, "min_io_size must be a multiple of logical_block_size");
    if (c->min_io_size / c->logical_block_size > UINT16_MAX)
        return error_set(err, "min_io_size must not exceed %u logical blocks", UINT16_MAX);
    if (c->opt_io_size % c->logical_block_size)
        return error_set(err, "opt_io_size must be a multiple of logical_block_size");
    if (c->discard_granularity != UINT32_MAX && c->discard_granularity % c->logical_block_size)
        return error_set(err, "discard_granularity must be a multiple of logical_block_size");
    return true;
}

bool blk_conf_apply(BlockBackend *blk, BlkConf *c, bool read_only, bool resizable, GError **err)
{
    unsigned perm = PERM_READ | (read_only ? 0 : PERM_WRITE);
    unsigned shared = PERM_READ | PERM_WRITE_UNCHANGED | (resizable ? PERM_RESIZE : 0) | (c->share_rw ? PERM_WRITE : 0);

    if (!block_sizes(c, err))
        return false;
    if (blk->root && !link_set_perm(blk->root, blk_perm_for(blk, blk->root->node, perm), shared, err))
        return false;
    blk->perm = perm;
    blk->shared = shared;
    if (c->wce >= 0)
        blk_enable_write_cache(blk, c->wce);
    if (c->rerror != BLK_ERR_AUTO)
        blk->on_read = c->rerror;
    if (c->werror != BLK_ERR_AUTO)
        blk->on_write = c->werror;
    return true;
}

/* Heads and sectors that the partition table was made for: its entries end on cylinder boundaries. */
static bool guess_from_mbr(BlockBackend *blk, uint32_t *cyls, uint32_t *heads, uint32_t *secs)
{
    uint8_t mbr[BLK_SECTOR_SIZE];
    uint64_t total = blk_sectors(blk);

    if (total < 1 || blk_pread(blk, 0, mbr, sizeof(mbr)) < 0 || mbr[510] != 0x55 || mbr[511] != 0xaa)
        return false;
    for (unsigned i = 0; i < 4; i++) {
        const uint8_t *p = mbr + 446 + i * 16;
        uint32_t n;

        memcpy(&n, p + 12, 4);
        if (!n || !p[5])
            continue;
        *heads = p[5] + 1;
        *secs = p[6] & 63;
        if (!*secs)
            continue;
        *cyls = total / (*heads * *secs);
        if (*cyls >= 1 && *cyls <= 16383)
            return true;
    }
    return false;
}

static void guess(BlockBackend *blk, BlkConf *c)
{
    uint32_t cyls = 0, heads = 0, secs = 0;
    BiosTranslation t;
    bool table = guess_from_mbr(blk, &cyls, &heads, &secs);

    if (!table || heads > 16) {
        uint64_t all = blk_sectors(blk) / (16 * 63);

        if (!blk_is_inserted(blk))
            all = 0;
        cyls = CLAMP(all, 2, 16383);
        heads = 16;
        secs = 63;
        /* a table with more than 16 heads was made by a BIOS that translates */
        if (table)
            t = cyls * heads <= 131072 ? BIOS_TRANS_LARGE : BIOS_TRANS_LBA;
        else
            t = cyls <= 1024 ? BIOS_TRANS_NONE : BIOS_TRANS_LBA;
    } else {
        t = BIOS_TRANS_NONE;
    }
    c->cyls = cyls;
    c->heads = heads;
    c->secs = secs;
    if (c->trans == BIOS_TRANS_AUTO)
        c->trans = t;
}

bool blk_conf_geometry(BlockBackend *blk, BlkConf *c, unsigned max_cyls, unsigned max_heads, unsigned max_secs, GError **err)
{
    if (!c->cyls && !c->heads && !c->secs)
        guess(blk, c);
    else if (c->trans == BIOS_TRANS_AUTO)
        c->trans = c->cyls <= 1024 && c->heads <= 16 && c->secs <= 63 ? BIOS_TRANS_NONE : BIOS_TRANS_LBA;
    if (c->cyls < 1 || c->cyls > max_cyls)
        return error_set(err, "cyls must be between 1 and %u", max_cyls);
    if (c->heads < 1 || c->heads > max_heads)
        return error_set(err, "heads must be between 1 and %u", max_heads);
    if (c->secs < 1 || c->secs > max_secs)
        return error_set(err, "secs must be between 1 and %u", max_secs);
    return true;
}
