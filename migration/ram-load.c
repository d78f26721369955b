/*
 * Receiving guest memory. Nothing in the stream is trusted: names, offsets, sizes and flags are checked.
 *
 * Not taken: pages compressed by threads, RDMA.
 */
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "migration/format.h"
#include "migration/multifd.h"
#include "migration/postcopy.h"
#include "migration/ram-lazy.h"
#include "migration/ram.h"
#include "migration/xbzrle.h"
#include "util/error.h"

struct RamLoad {
    Machine *machine;
    RamBlock *last;             /* of pages that name none */
    GHashTable *written;        /* RamBlock -> bitmap of pages that may hold something */
    bool listed;                /* atomic: the table does not change any more */
    MultiRecv *multi;           /* or NULL */
    RamLazy *lazy;              /* pages stay in the file; NULL: no, or they are on their way */
    bool begun;                 /* the devices have: no more pages */
    PostcopyLoad *post;         /* the source may go over to post-copy; or NULL */
};

RamLoad *ram_load_new(Machine *m)
{
    RamLoad *r = g_new0(RamLoad, 1);

    r->machine = m;
    r->written = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    return r;
}

void ram_load_free(RamLoad *r)
{
    if (!r)
        return;
    g_hash_table_unref(r->written);
    lazy_free(r->lazy);
    g_free(r);
}

void ram_load_lazily(RamLoad *r, int fd, uint64_t base)
{
    r->lazy = lazy_new(fd, base);
}

bool ram_load_by_index(RamLoad *r, uint64_t *devices)
{
    return r->lazy && lazy_read_index(r->lazy, devices);
}

void ram_load_postcopy(RamLoad *r, PostcopyLoad *p)
{
    r->post = p;
}

bool ram_load_begin(RamLoad *r, GError **err)
{
    RamLazy *l = r->lazy;

    r->begun = true;
    r->lazy = NULL;
    return !l || lazy_start(l, err);
}

void ram_load_over(RamLoad *r, MultiRecv *m)
{
    r->multi = m;
}

bool ram_load_complete(RamLoad *r, GError **err)
{
    return r->listed || error_set(err, "the stream has no guest memory");
}

/* ---- The list of blocks ---- */

static bool is_zero(const uint8_t *p)
{
    return !*(const uint64_t *)p && !memcmp(p, p + 8, MIG_PAGE - 8);
}

static void clear(uint8_t *p, uint64_t size)
{
    for (uint8_t *end = p + size; p < end; p += MIG_PAGE)
        if (!is_zero(p))
            memset(p, 0, MIG_PAGE);
}

/* Memory that can't be given back to the host: of a file, or preallocated. The source does not name pages that nobody has touched. */
static void clear_block(const RamBlock *b)
{
    off_t data = 0, hole;

    if (b->fd < 0) {
        clear(b->host, b->max_size);
        return;
    }
    while ((data = lseek(b->fd, data, SEEK_DATA)) >= 0 && (uint64_t)data < b->max_size) {
        hole = lseek(b->fd, data, SEEK_HOLE);
        hole = hole < 0 || (uint64_t)hole > b->max_size ? (off_t)b->max_size : hole;
        data &= ~(off_t)(MIG_PAGE - 1);
        clear(b->host + data, (hole - data + MIG_PAGE - 1) / MIG_PAGE * MIG_PAGE);
        data = hole;
    }
}

/* What the machine's start put into the block goes. */
static void empty(RamLoad *r, RamBlock *b)
{
    uint64_t longs = b->max_size / MIG_PAGE / 64 + 1;
    unsigned long *bits = g_new0(unsigned long, longs);
    bool prealloc = r->machine->cfg && r->machine->cfg->mem_prealloc;

    if (b->fd >= 0 || prealloc || madvise(b->host, b->max_size, MADV_DONTNEED) < 0) {
        clear_block(b);
        memset(bits, 0xff, longs * sizeof(long));
    }
    g_hash_table_insert(r->written, b, bits);
    if (r->post)
        postcopy_add_block(r->post, b);
    if (r->lazy)
        lazy_add_block(r->lazy, b, b->fd >= 0 || prealloc);
    if (b->dirty_display)
        memset(b->dirty_display, 0xff, (b->max_size / MIG_PAGE + 63) / 64 * 8);
}

static bool set_size(RamBlock *b, uint64_t size, GError **err)
{
    if (size == b->size)
        return true;
    if (b->max_size == b->size || size > b->max_size || size % MIG_PAGE || !size)
        return error_set(err, "ram: block '%s': its size 0x%" PRIx64 " differs from this machine's 0x%" PRIx64, b->name, size,
                         b->size);
    b->size = size;
    return true;
}

static bool load_list(RamLoad *r, MigStream *s, uint64_t total, GError **err)
{
    char name[256];

    while (total) {
        RamBlock *b;
        uint64_t size;

        if (!get_text(s, name))
            return stream_failed(s, err);
        size = get_u64(s);
        if (stream_error(s))
            return stream_failed(s, err);
        b = ram_block_find(r->machine, name);
        if (!b)
            return error_set(err, "ram: the stream has a block '%s', which this machine has not", name);
        if (g_hash_table_contains(r->written, b))
            return error_set(err, "ram: block '%s' comes twice", name);
        if (!set_size(b, size, err))
            return false;
        if (size > total)
            return error_set(err, "ram: block '%s' is larger than all blocks together", name);
        empty(r, b);
        total -= size;
    }
    for (unsigned i = 0; i < r->machine->ram_blocks->len; i++) {
        RamBlock *b = g_ptr_array_index(r->machine->ram_blocks, i);

        if (b->migrate && !g_hash_table_contains(r->written, b))
            return error_set(err, "ram: the stream lacks block '%s', which this machine has", b->name);
    }
    __atomic_store_n(&r->listed, true, __ATOMIC_RELEASE);
    return true;
}

/* ---- Pages ---- */

RamBlock *ram_load_block(RamLoad *r, const char *name)
{
    RamBlock *b = __atomic_load_n(&r->listed, __ATOMIC_ACQUIRE) ? ram_block_find(r->machine, name) : NULL;

    return b && g_hash_table_contains(r->written, b) ? b : NULL;
}

void ram_load_mark(RamLoad *r, RamBlock *b, uint64_t offset)
{
    unsigned long *bits = g_hash_table_lookup(r->written, b), bit = 1ul << offset / MIG_PAGE % 64;

    bits += offset / MIG_PAGE / 64;
    if (!(__atomic_load_n(bits, __ATOMIC_RELAXED) & bit))
        __atomic_or_fetch(bits, bit, __ATOMIC_RELAXED);
}

static RamBlock *find_block(RamLoad *r, MigStream *s, uint64_t flags, uint64_t addr, GError **err)
{
    char name[256];

    if (!(flags & RAM_CONTINUE)) {
        if (!get_text(s, name)) {
            stream_failed(s, err);
            return NULL;
        }
        r->last = ram_block_find(r->machine, name);
        if (!r->last || !g_hash_table_contains(r->written, r->last)) {
            error_set(err, "ram: a page of block '%s', which is not in the list", name);
            return NULL;
        }
    }
    if (!r->last) {
        error_set(err, "ram: a page of no block");
        return NULL;
    }
    if (addr >= r->last->size) {
        error_set(err, "ram: block '%s': offset 0x%" PRIx64 " is beyond its size of 0x%" PRIx64, r->last->name, addr, r->last->size);
        return NULL;
    }
    return r->last;
}

static void fill(RamLoad *r, RamBlock *b, uint64_t addr, uint8_t byte)
{
    unsigned long *bits = g_hash_table_lookup(r->written, b);

    if (r->lazy)
        lazy_note(r->lazy, b, addr, 0);
    if (!byte && !(__atomic_load_n(&bits[addr / MIG_PAGE / 64], __ATOMIC_RELAXED) >> addr / MIG_PAGE % 64 & 1))
        return;
    memset(b->host + addr, byte, MIG_PAGE);
    ram_load_mark(r, b, addr);
}

static bool load_delta(RamLoad *r, MigStream *s, RamBlock *b, uint64_t addr, GError **err)
{
    uint8_t delta[MIG_PAGE];
    unsigned kind = get_u8(s), len = get_u16(s);

    if (stream_error(s))
        return stream_failed(s, err);
    if (kind != 1 || len > MIG_PAGE)
        return error_set(err, "ram: block '%s': a difference (XBZRLE) of kind %u and %u bytes", b->name, kind, len);
    if (!get_bytes(s, delta, len))
        return stream_failed(s, err);
    if (r->lazy && !lazy_fetch(r->lazy, b, addr, err))
        return false;
    if (!xbzrle_apply(b->host + addr, delta, len))
        return error_set(err, "ram: block '%s': the difference (XBZRLE) at 0x%" PRIx64 " makes no sense", b->name, addr);
    ram_load_mark(r, b, addr);
    return true;
}

/* While the guest runs. */
static bool place_page(RamLoad *r, MigStream *s, RamBlock *b, uint64_t addr, uint64_t flags, GError **err)
{
    uint8_t page[MIG_PAGE], byte = flags == RAM_ZERO ? get_u8(s) : 1;

    if (flags == RAM_XBZRLE)
        return error_set(err, "ram: a difference (XBZRLE) during post-copy");
    if (flags == RAM_PAGE)
        get_bytes(s, page, MIG_PAGE);
    else
        memset(page, byte, MIG_PAGE);
    if (stream_error(s))
        return stream_failed(s, err);
    return postcopy_place(r->post, b, addr, byte ? page : NULL, err);
}

static bool load_page(RamLoad *r, MigStream *s, uint64_t addr, uint64_t flags, GError **err)
{
    RamBlock *b = find_block(r, s, flags, addr, err);

    if (!b)
        return false;
    if (postcopy_listens(r->post))
        return place_page(r, s, b, addr, flags & ~(uint64_t)RAM_CONTINUE, err);
    if (r->post)
        postcopy_note(r->post, b, addr);
    switch (flags & ~(uint64_t)RAM_CONTINUE) {
    case RAM_ZERO:
        fill(r, b, addr, get_u8(s));
        break;
    case RAM_PAGE:
        if (r->lazy) {
            lazy_note(r->lazy, b, addr, stream_bytes(s));
            stream_skip(s, MIG_PAGE);
            break;
        }
        ram_load_mark(r, b, addr);
        get_bytes(s, b->host + addr, MIG_PAGE);
        break;
    case RAM_XBZRLE:
        return load_delta(r, s, b, addr, err);
    }
    return !stream_error(s) || stream_failed(s, err);
}

bool ram_load_section(RamLoad *r, MigStream *s, int version, GError **err)
{
    if (version != RAM_VERSION)
        return error_set(err, "ram: version %d is not supported (%d is)", version, RAM_VERSION);
    if (r->begun && !postcopy_listens(r->post))
        return error_set(err, "ram: pages after the devices");
    for (;;) {
        uint64_t v = get_u64(s), flags = v & (MIG_PAGE - 1), addr = v & ~(uint64_t)(MIG_PAGE - 1);

        if (stream_error(s))
            return stream_failed(s, err);
        switch (flags & ~(uint64_t)RAM_CONTINUE) {
        case RAM_MEM_SIZE:
            if (r->listed)
                return error_set(err, "ram: a second list of blocks");
            if (!load_list(r, s, addr, err))
                return false;
            break;
        case RAM_ZERO: case RAM_PAGE: case RAM_XBZRLE:
            if (!load_page(r, s, addr, flags, err))
                return false;
            break;
        case RAM_EOS:
            return !r->multi || multi_recv_sync(r->multi, err);
        case RAM_COMPRESSED:
            return error_set(err, "ram: pages compressed by the 'compress' capability are not supported");
        default:
            return error_set(err, "ram: unknown combination of page flags: 0x%" PRIx64, flags);
        }
    }
}
