/*
 * Sending guest memory.
 *
 * The bitmap of a block (RamBlock.dirty_migration) says what the target lacks. A page's bit is cleared before the page
 * is read: what is written later sets it again.
 */
#include <string.h>
#include <sys/mman.h>
#include "migration/format.h"
#include "migration/multifd.h"
#include "migration/populated.h"
#include "migration/ram-lazy.h"
#include "migration/ram.h"
#include "util/error.h"

typedef struct Block {
    RamBlock *ram;
    uint64_t size;              /* when the migration began */
    uint64_t number;            /* of its first page among all blocks' */
    unsigned long *populated;   /* NULL: any page may hold something */
    uint64_t *where;            /* of each page in the stream; NULL: nobody wants to know */
    unsigned long *sent;        /* pages that the target has got at least once; NULL: the same */
} Block;

struct RamSave {
    Machine *machine;
    MultiSend *multi;           /* or NULL */
    Xbzrle *xbzrle;             /* or NULL */
    GArray *blocks;             /* Block, the largest first, as QEMU's list */
    RamStats stats;
    unsigned at;                /* next: block and page */
    uint64_t page;
    bool all_zeroes, frozen;
    gint64 synced_at;           /* us */
    bool release, releasing;    /* the source's memory goes when it has been sent; from post-copy's beginning on */
    Block *gone_of;             /* pages of this run are to go when they have been written */
    uint64_t gone, gone_pages;
};

static uint64_t pages_of(const Block *b)
{
    return b->size / MIG_PAGE;
}

static Block *nth(const RamSave *r, unsigned i)
{
    return &g_array_index(r->blocks, Block, i);
}

/* ---- What there is to send ---- */

static void set_range(unsigned long *bits, uint64_t n)
{
    memset(bits, 0xff, n / 64 * 8);
    if (n % 64)
        bits[n / 64] = (1ul << n % 64) - 1;
}

static unsigned long *first_bitmap(const RamSave *r, Block *b)
{
    unsigned long *bits = g_new0(unsigned long, b->ram->max_size / MIG_PAGE / 64 + 1);

    /* Anonymous memory that was never touched is zero, there and here: it needs no sending. */
    if (b->ram->fd >= 0 || ram_is_lazy() || !populated_find(b->ram->host, pages_of(b), bits))
        set_range(bits, pages_of(b));
    if (r->all_zeroes) {
        b->populated = g_memdup2(bits, (b->ram->max_size / MIG_PAGE / 64 + 1) * sizeof *bits);
        set_range(bits, pages_of(b));
    }
    return bits;
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = ((const Block *)a)->ram->max_size, y = ((const Block *)b)->ram->max_size;

    return x > y ? -1 : x < y;
}

RamSave *ram_save_new(Machine *m, bool all_zeroes)
{
    RamSave *r = g_new0(RamSave, 1);

    r->machine = m;
    r->all_zeroes = all_zeroes;
    r->blocks = g_array_new(false, true, sizeof(Block));
    if (!all_zeroes) {
        ram_log_start(m);
        ram_log_sync(m);        /* a new log begins with all pages marked: that says nothing */
    }
    for (unsigned i = 0; i < m->ram_blocks->len; i++) {
        RamBlock *ram = g_ptr_array_index(m->ram_blocks, i);
        Block b = { .ram = ram, .size = ram->size, .number = r->stats.total / MIG_PAGE };
        unsigned long *bits;

        if (!ram->migrate)
            continue;
        bits = first_bitmap(r, &b);
        __atomic_store_n(&ram->dirty_migration, bits, __ATOMIC_RELEASE);
        g_array_append_val(r->blocks, b);
        r->stats.total += b.size;
    }
    g_array_sort(r->blocks, by_size);
    r->synced_at = g_get_monotonic_time();
    r->stats.dirty_syncs = 1;
    return r;
}

void ram_save_free(RamSave *r)
{
    if (!r)
        return;
    for (unsigned i = 0; i < r->blocks->len; i++) {
        g_clear_pointer(&nth(r, i)->ram->dirty_migration, g_free);
        g_free(nth(r, i)->populated);
        g_free(nth(r, i)->where);
        g_free(nth(r, i)->sent);
    }
    if (!r->all_zeroes)
        ram_log_stop(r->machine);
    xbzrle_free(r->xbzrle);
    g_array_unref(r->blocks);
    g_free(r);
}

const RamStats *ram_save_stats(const RamSave *r)
{
    return &r->stats;
}

uint64_t ram_save_pending(const RamSave *r)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < r->blocks->len; i++) {
        const Block *b = nth(r, i);

        for (uint64_t w = 0; w < (pages_of(b) + 63) / 64; w++)
            n += __builtin_popcountl(__atomic_load_n(&b->ram->dirty_migration[w], __ATOMIC_RELAXED));
    }
    return n * MIG_PAGE;
}

void ram_save_sync(RamSave *r)
{
    uint64_t before = ram_save_pending(r), more;
    gint64 now = g_get_monotonic_time();

    ram_log_sync(r->machine);
    more = (ram_save_pending(r) - before) / MIG_PAGE;
    r->stats.dirty_pages += more;
    if (r->stats.dirty_syncs && now > r->synced_at)
        r->stats.dirty_pages_rate = more * 1000000 / (now - r->synced_at);
    r->synced_at = now;
    r->stats.dirty_syncs++;
    if (r->xbzrle)
        xbzrle_round(r->xbzrle, r->stats.zero_pages + r->stats.normal_pages);
    r->stats.bytes_last_sync = r->stats.transferred;
}

bool ram_save_check(RamSave *r, GError **err)
{
    for (unsigned i = 0; i < r->blocks->len; i++)
        if (nth(r, i)->ram->size != nth(r, i)->size)
            return error_set(err, "RAM block '%s' changed its size during the migration", nth(r, i)->ram->name);
    return true;
}

void ram_save_release(RamSave *r)
{
    r->release = true;
}

void ram_save_over(RamSave *r, MultiSend *m)
{
    r->multi = m;
}

bool ram_save_differences(RamSave *r, uint64_t cache_size, GError **err)
{
    r->xbzrle = xbzrle_new(cache_size);
    if (!r->xbzrle)
        return error_set(err, "xbzrle-cache-size: there is no memory for %" G_GUINT64_FORMAT " bytes", cache_size);
    r->stats.xbzrle = *xbzrle_stats(r->xbzrle);
    return true;
}

/* ---- Sections ---- */

static uint64_t bytes_out(const RamSave *r, MigStream *s)
{
    return stream_bytes(s) + (r->multi ? multi_send_bytes(r->multi) : 0);
}

static void begin(MigStream *s, unsigned type)
{
    put_u8(s, type);
    put_u32(s, MIG_ID_RAM);
}

/* With release-ram: what has been sent in post-copy, where the guest is gone, is given back to the host. */
static void give_back(RamSave *r, MigStream *s)
{
    if (r->gone_pages && r->gone_of->ram->fd < 0 && stream_flush(s))
        madvise(r->gone_of->ram->host + r->gone * MIG_PAGE, r->gone_pages * MIG_PAGE, MADV_DONTNEED);
    r->gone_pages = 0;
}

static void end(RamSave *r, MigStream *s)
{
    give_back(r, s);
    if (r->multi && !multi_send_sync(r->multi))
        stream_fail(s, "the multifd channels do not go on");
    put_u64(s, RAM_EOS);
    put_u8(s, MIG_SECTION_FOOTER);
    put_u32(s, MIG_ID_RAM);
}

void ram_save_setup(RamSave *r, MigStream *s)
{
    begin(s, MIG_SECTION_START);
    put_text(s, "ram");
    put_u32(s, 0);
    put_u32(s, RAM_VERSION);
    put_u64(s, r->stats.total | RAM_MEM_SIZE);
    for (unsigned i = 0; i < r->blocks->len; i++) {
        put_text(s, nth(r, i)->ram->name);
        put_u64(s, nth(r, i)->size);
    }
    end(r, s);
}

static bool is_zero(const void *page)
{
    const uint64_t *p = page;

    return !(p[0] | p[64] | p[128] | p[256] | p[511]) && !memcmp(page, (const char *)page + 8, MIG_PAGE - 8);
}

/* Finds the next page that is to be sent and takes it; false: there is none up to the end of the last block. */
static bool next_page(RamSave *r)
{
    for (; r->at < r->blocks->len; r->at++, r->page = 0) {
        Block *b = nth(r, r->at);
        uint64_t n = pages_of(b);

        while (r->page < n) {
            unsigned long *word = &b->ram->dirty_migration[r->page / 64], bit = 1ul << r->page % 64;
            unsigned long rest = __atomic_load_n(word, __ATOMIC_RELAXED) & ~(bit - 1);

            if (r->frozen)
                rest &= ~b->sent[r->page / 64];
            if (!rest) {
                r->page = (r->page / 64 + 1) * 64;
                continue;
            }
            r->page = r->page / 64 * 64 + __builtin_ctzl(rest);
            if (r->page >= n)
                break;
            __atomic_fetch_and(word, ~(1ul << r->page % 64), __ATOMIC_SEQ_CST);
            return true;
        }
    }
    return false;
}

static void note_sent(RamSave *r, MigStream *s, Block *b)
{
    if (!r->releasing)
        return;
    if (r->gone_pages && (r->gone_of != b || r->page != r->gone + r->gone_pages))
        give_back(r, s);
    if (!r->gone_pages) {
        r->gone_of = b;
        r->gone = r->page;
    }
    r->gone_pages++;
}

static void put_head(Block *b, MigStream *s, uint64_t off, unsigned kind, bool same_block)
{
    put_u64(s, off | kind | (same_block ? RAM_CONTINUE : 0));
    if (!same_block)
        put_text(s, b->ram->name);
}

/* A page that has been sent before: nothing, a difference, or what the cache now holds. True: there was something to send. */
static bool send_again(RamSave *r, MigStream *s, Block *b, bool same_block, bool last)
{
    uint64_t off = r->page * MIG_PAGE;
    const uint8_t *out;
    unsigned len;
    XbzrlePage what = xbzrle_page(r->xbzrle, b->number + r->page, b->ram->host + off, r->stats.dirty_syncs, !last, &out, &len);

    if (what == XBZRLE_SAME)
        return false;
    put_head(b, s, off, what == XBZRLE_DELTA ? RAM_XBZRLE : RAM_PAGE, same_block);
    if (what == XBZRLE_DELTA) {
        put_u8(s, XBZRLE_KIND);
        put_u16(s, len);
        put_bytes(s, out, len);
    } else {
        put_page(s, out, MIG_PAGE);
        r->stats.normal_pages++;
    }
    return true;
}

/* True: the block has been named in the stream. */
static bool send_page(RamSave *r, MigStream *s, bool same_block, bool last)
{
    Block *b = nth(r, r->at);
    uint64_t off = r->page * MIG_PAGE;
    const uint8_t *host = b->ram->host + off;
    bool zero = (b->populated && !(b->populated[r->page / 64] >> r->page % 64 & 1)) || is_zero(host);

    if (r->multi && !zero) {
        multi_send_page(r->multi, b->ram, off);
        r->stats.normal_pages++;
        return same_block;
    }
    if (b->sent)
        b->sent[r->page / 64] |= 1ul << r->page % 64;
    if (r->xbzrle && r->stats.dirty_syncs > 1 && !zero)
        return send_again(r, s, b, same_block, last) || same_block;
    put_head(b, s, off, zero ? RAM_ZERO : RAM_PAGE, same_block);
    if (zero) {
        put_u8(s, 0);
        r->stats.zero_pages++;
        if (r->xbzrle)
            xbzrle_zero(r->xbzrle, b->number + r->page);
    } else {
        put_page(s, host, MIG_PAGE);
        r->stats.normal_pages++;
        note_sent(r, s, b);
    }
    if (b->where)
        b->where[r->page] = zero ? 0 : stream_bytes(s) - MIG_PAGE;
    return true;
}

bool ram_save_send(RamSave *r, MigStream *s, uint64_t bytes, bool last)
{
    uint64_t start = bytes_out(r, s);
    unsigned named = UINT_MAX, wraps = 0;
    bool done = false;

    begin(s, last ? MIG_SECTION_END : MIG_SECTION_PART);
    while (bytes_out(r, s) - start < bytes && !stream_error(s)) {
        if (!next_page(r)) {
            /* Once more from the first block: what was written behind our back; after a whole empty round, no more. */
            done = wraps++ > 0;
            r->at = 0;
            r->page = 0;
            if (done || (r->multi && !last))    /* there a page goes only once between two marks */
                break;
            continue;
        }
        wraps = 0;
        if (send_page(r, s, named == r->at, last))
            named = r->at;
        r->page++;
    }
    end(r, s);
    r->stats.multi_bytes = r->multi ? multi_send_bytes(r->multi) : 0;
    if (r->xbzrle)
        r->stats.xbzrle = *xbzrle_stats(r->xbzrle);
    r->stats.transferred += bytes_out(r, s) - start;
    return done;
}

/* ---- The index ---- */

void ram_save_keep_places(RamSave *r)
{
    for (unsigned i = 0; i < r->blocks->len; i++)
        nth(r, i)->where = g_new0(uint64_t, pages_of(nth(r, i)));
}

void ram_save_index(RamSave *r, MigStream *s, uint64_t devices)
{
    uint64_t begin = stream_bytes(s);

    put_u64(s, INDEX_MAGIC);
    put_u64(s, devices);
    put_u32(s, r->blocks->len);
    for (unsigned i = 0; i < r->blocks->len; i++) {
        Block *b = nth(r, i);

        put_text(s, b->ram->name);
        put_u64(s, pages_of(b));
        for (uint64_t p = 0; p < pages_of(b); p++)
            b->where[p] = GUINT64_TO_BE(b->where[p]);
        put_bytes(s, b->where, pages_of(b) * sizeof *b->where);
    }
    put_u64(s, begin);
    put_u64(s, INDEX_END);
}

/* ---- Post-copy ---- */

void ram_save_keep_sent(RamSave *r)
{
    for (unsigned i = 0; i < r->blocks->len; i++)
        nth(r, i)->sent = g_new0(unsigned long, nth(r, i)->ram->max_size / MIG_PAGE / 64 + 1);
}

/* The next run of pages, from *page on, that are still to be sent; its length, 0: there is none. */
static uint64_t next_run(const Block *b, uint64_t *page)
{
    const unsigned long *bits = b->ram->dirty_migration;
    uint64_t n = pages_of(b), end;

    while (*page < n && !(bits[*page / 64] >> *page % 64 & 1))
        *page = bits[*page / 64] >> *page % 64 ? *page + 1 : (*page / 64 + 1) * 64;
    if (*page >= n)
        return 0;
    for (end = *page; end < n && (bits[end / 64] >> end % 64 & 1); end++)
        continue;
    return end - *page;
}

static void put_discards(MigStream *s, const char *name, const uint64_t (*runs)[2], unsigned n)
{
    put_u8(s, MIG_COMMAND);
    put_u16(s, CMD_POSTCOPY_RAM_DISCARD);
    put_u16(s, 3 + strlen(name) + n * 16);
    put_u8(s, 0);
    put_text(s, name);
    put_u8(s, 0);
    for (unsigned i = 0; i < n; i++) {
        put_u64(s, runs[i][0] * MIG_PAGE);
        put_u64(s, runs[i][1] * MIG_PAGE);
    }
}

void ram_save_discards(RamSave *r, MigStream *s)
{
    enum { MAX = 12 };
    uint64_t runs[MAX][2];

    r->releasing = r->release;
    g_clear_pointer(&r->xbzrle, xbzrle_free);   /* the target forgets what differences would refer to */
    for (unsigned i = 0; i < r->blocks->len; i++) {
        const Block *b = nth(r, i);
        unsigned n = 0;

        for (uint64_t page = 0, len; (len = next_run(b, &page)); page += len) {
            if (n == MAX) {
                put_discards(s, b->ram->name, runs, n);
                n = 0;
            }
            runs[n][0] = page;
            runs[n++][1] = len;
        }
        if (n)
            put_discards(s, b->ram->name, runs, n);
    }
}

int ram_save_find(const RamSave *r, const char *name)
{
    for (unsigned i = 0; i < r->blocks->len; i++)
        if (!strcmp(nth(r, i)->ram->name, name))
            return i;
    return -1;
}

bool ram_save_has(const RamSave *r, int block, uint64_t offset)
{
    return block >= 0 && (unsigned)block < r->blocks->len && !(offset % MIG_PAGE) && offset < nth(r, block)->size;
}

void ram_save_wanted(RamSave *r, MigStream *s, int block, uint64_t offset)
{
    Block *b = nth(r, block);
    uint64_t page = offset / MIG_PAGE, begun = stream_bytes(s);
    unsigned long bit = 1ul << page % 64;
    bool dirty = __atomic_fetch_and(&b->ram->dirty_migration[page / 64], ~bit, __ATOMIC_SEQ_CST) & bit;

    if (!dirty && b->sent[page / 64] & bit)
        return;                 /* it is on its way */
    r->at = block;
    r->page = page;
    begin(s, MIG_SECTION_PART);
    send_page(r, s, false, true);
    end(r, s);
    r->page++;
    r->stats.transferred += stream_bytes(s) - begun;
}

const char *ram_save_block(const RamSave *r, int block, uint64_t *pages)
{
    if ((unsigned)block >= r->blocks->len)
        return NULL;
    *pages = pages_of(nth(r, block));
    return nth(r, block)->ram->name;
}

void ram_save_set_received(RamSave *r, int block, const unsigned long *received)
{
    Block *b = nth(r, block);
    uint64_t n = pages_of(b);

    for (uint64_t i = 0; i < (n + 63) / 64; i++) {
        b->sent[i] = received[i];
        b->ram->dirty_migration[i] = ~received[i];
    }
    if (n % 64)
        b->ram->dirty_migration[n / 64] &= (1ul << n % 64) - 1;
}

/* ---- Background snapshots ---- */

void ram_save_freeze(RamSave *r)
{
    ram_save_keep_sent(r);
    r->frozen = true;
}

void ram_save_position(const RamSave *r, unsigned *block, uint64_t *page)
{
    *block = r->at;
    *page = r->page;
}

uint8_t *ram_save_memory(const RamSave *r, unsigned block, uint64_t *pages)
{
    if (block >= r->blocks->len)
        return NULL;
    *pages = pages_of(nth(r, block));
    return nth(r, block)->ram->host;
}

void ram_save_urgent(RamSave *r, MigStream *s, const void *host)
{
    unsigned at = r->at;
    uint64_t page = r->page;

    for (r->at = 0; r->at < r->blocks->len; r->at++) {
        Block *b = nth(r, r->at);
        uint64_t off = (const uint8_t *)host - b->ram->host;

        r->page = off / MIG_PAGE;
        if ((const uint8_t *)host < b->ram->host || off >= b->size || b->sent[r->page / 64] >> r->page % 64 & 1)
            continue;
        __atomic_fetch_and(&b->ram->dirty_migration[r->page / 64], ~(1ul << r->page % 64), __ATOMIC_SEQ_CST);
        begin(s, MIG_SECTION_PART);
        send_page(r, s, false, true);
        end(r, s);
    }
    r->at = at;
    r->page = page;
}
