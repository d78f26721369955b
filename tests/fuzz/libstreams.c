/*
 * Migration streams of several kinds, in pieces; see libstreams.h.
 */
#include <string.h>
#include "migration/format.h"
#include "migration/multifd.h"
#include "migration/params.h"
#include "migration/ram-lazy.h"
#include "migration/savevm.h"
#include "tests/fuzz/libstreams.h"

/* ---- A channel in memory ---- */

typedef struct Memory { Channel ch; GByteArray *data; size_t at; } Memory;

static int mem_out(Channel *c, struct iovec *iov, int n)
{
    for (int i = 0; i < n; i++) {
        g_byte_array_append(((Memory *)c)->data, iov[i].iov_base, iov[i].iov_len);
    }
    return 0;
}

static ssize_t mem_in(Channel *c, void *buf, size_t n)
{
    Memory *m = (Memory *)c;

    n = MIN(n, m->data->len - m->at);
    memcpy(buf, m->data->data + m->at, n);
    m->at += n;
    return n;
}

/* The way back: nobody listens. */
static int mem_drop(Channel *c, struct iovec *iov, int n)
{
    return 0;
}

static void mem_free(Channel *c)
{
    g_free(c);
}

static const ChannelOps saving = { .write = mem_out, .free = mem_free };
static const ChannelOps loading = { .write = mem_drop, .read = mem_in, .free = mem_free };

static MigStream *stream_of(const ChannelOps *o, GByteArray *data)
{
    Memory *m = g_new0(Memory, 1);

    *m = (Memory){ { o }, data, 0 };
    return stream_new(&m->ch);
}

MigStream *memory_stream(GByteArray *data)
{
    return stream_of(&loading, data);
}

static MigStream *begin(void)
{
    return stream_of(&saving, g_byte_array_new());
}

static GByteArray *taken(MigStream *s)
{
    GByteArray *d = ((Memory *)stream_channel(s))->data;

    stream_flush(s);
    stream_free(s);
    return d;
}

/* ---- Pieces ---- */

/* Of 64; WHOLE, with all pages as they are saved, takes much longer than the others. */
const KindInfo kinds[KINDS] = {
    [PLAIN] = { "plain", 34 }, [UUID] = { "uuid", 2 }, [XBZRLE] = { "xbzrle", 6 }, [POSTCOPY] = { "postcopy", 8 },
    [RECOVERY] = { "recovery", 4 }, [MULTI] = { "multifd", 3 }, [ZLIB] = { "zlib", 2 }, [ZSTD] = { "zstd", 2 },
    [LAZY] = { "lazy", 2 }, [INDEX] = { "index", 1 }, [WHOLE] = { "whole", 0 },
};

Recipe recipes[KINDS];

static void ram_begin(MigStream *s, unsigned type)
{
    put_u8(s, type);
    put_u32(s, MIG_ID_RAM);
}

static void ram_end(MigStream *s)
{
    put_u64(s, RAM_EOS);
    put_u8(s, MIG_SECTION_FOOTER);
    put_u32(s, MIG_ID_RAM);
}

static void put_ram(MigStream *s, uint64_t addr, unsigned kind, const char *block)
{
    put_u64(s, addr | kind | (block ? 0 : RAM_CONTINUE));
    if (block) {
        put_text(s, block);
    }
}

static void random_page(Rig *r, MigStream *s)
{
    uint64_t page[MIG_PAGE / 8];

    for (unsigned i = 0; i < G_N_ELEMENTS(page); i++) {
        page[i] = rnd(r);
    }
    put_bytes(s, page, sizeof page);
}

/* A zero page of each block, and a few with something in them. */
static GByteArray *some_pages(Rig *r, bool differences, bool zeroes_only)
{
    static const uint8_t delta[] = { 1, 0, 14, 16, 4, 'a', 'b', 'c', 'd', 0x80, 2, 5, 1, 2, 3, 4, 5 };
    MigStream *s = begin();

    ram_begin(s, MIG_SECTION_PART);
    for (unsigned i = 0; i < r->machine->ram_blocks->len; i++) {
        RamBlock *b = g_ptr_array_index(r->machine->ram_blocks, i);

        if (!b->migrate) {
            continue;
        }
        put_ram(s, 0, RAM_ZERO, b->name);
        put_u8(s, 0);
        if (i < 3 && !zeroes_only && b->size >= 2 * MIG_PAGE) {
            put_ram(s, MIG_PAGE, RAM_PAGE, NULL);
            random_page(r, s);
        }
        if (i < 3 && differences && b->size >= 2 * MIG_PAGE) {
            put_ram(s, MIG_PAGE, RAM_XBZRLE, NULL);
            put_bytes(s, delta, sizeof delta);
        }
    }
    ram_end(s);
    return taken(s);
}

static GByteArray *last_pages(Rig *r, uint64_t at)
{
    MigStream *s = begin();

    ram_begin(s, MIG_SECTION_END);
    put_ram(s, at, RAM_ZERO, "pc.ram");
    put_u8(s, 0x55);
    put_ram(s, at + MIG_PAGE, RAM_PAGE, NULL);
    random_page(r, s);
    ram_end(s);
    return taken(s);
}

static GByteArray *command(unsigned cmd, const void *data, unsigned len)
{
    MigStream *s = begin();

    put_u8(s, MIG_COMMAND);
    put_u16(s, cmd);
    put_u16(s, len);
    put_bytes(s, data, len);
    return taken(s);
}

static GByteArray *bytes(const void *p, size_t n)
{
    return g_byte_array_append(g_byte_array_new(), p, n);
}

/* The device sections, one by one, the end mark and the description. */
static void split_devices(GPtrArray *out, const GByteArray *d)
{
    size_t from = 0;

    for (size_t i = 5; i + 6 < d->len; i++) {
        uint8_t end[5] = { MIG_SECTION_FOOTER };

        memcpy(end + 1, d->data + from + 1, 4);
        if (memcmp(d->data + i, end, 5) || (d->data[i + 5] != MIG_SECTION_FULL && d->data[i + 5] != MIG_EOF)) {
            continue;
        }
        if (d->data[i + 5] == MIG_SECTION_FULL && (d->data[i + 8] || d->data[i + 9] <= end[4])) {
            continue;
        }
        g_ptr_array_add(out, bytes(d->data + from, i + 5 - from));
        from = i + 5;
        if (d->data[from] == MIG_EOF) {
            break;
        }
    }
    g_ptr_array_add(out, bytes(d->data + from, 1));
    g_ptr_array_add(out, bytes(d->data + from + 1, d->len - from - 1));
}

typedef struct Parts { GByteArray *header, *with_uuid, *list, *all, *end; GPtrArray *devices; } Parts;

static Parts save_parts(Rig *r)
{
    Machine *m = r->machine;
    RamSave *ram = ram_save_new(m, true);
    MigStream *s = begin();
    Parts p = { .devices = g_ptr_array_new() };
    GByteArray *d;

    save_header(s, m);
    p.header = taken(s);
    migration_set_cap("validate-uuid", true, NULL);
    save_header(s = begin(), m);
    put_u8(s, MIG_SUBSECTION);
    put_text(s, "configuration/capabilities");
    put_u32(s, 1);
    put_u32(s, 1);
    put_text(s, "validate-uuid");
    put_u8(s, MIG_SUBSECTION);
    put_text(s, "configuration/target-page-bits");
    put_u32(s, 1);
    put_u32(s, 12);
    p.with_uuid = taken(s);
    migration_set_cap("validate-uuid", false, NULL);
    ram_save_setup(ram, s = begin());
    p.list = taken(s);
    ram_save_send(ram, s = begin(), UINT64_MAX, true);
    p.all = taken(s);
    ram_save_free(ram);
    save_devices(s = begin(), m, RUN_RUNNING);
    d = taken(s);
    split_devices(p.devices, d);
    p.end = g_ptr_array_index(p.devices, p.devices->len - 2);
    return p;
}

static void add(Recipe *c, GByteArray *piece)
{
    g_ptr_array_add(c->pieces, piece);
}

static void add_devices(Recipe *c, const Parts *p, unsigned less)
{
    for (unsigned i = 0; i + less < p->devices->len; i++) {
        add(c, g_ptr_array_index(p->devices, i));
    }
}

static void plain(Rig *r, Kind k, const Parts *p, GByteArray *first, GByteArray *last)
{
    Recipe *c = &recipes[k];

    c->pieces = g_ptr_array_new();
    add(c, k == UUID ? p->with_uuid : p->header);
    add(c, p->list);
    add(c, first);
    if (last) {
        add(c, last);
    }
    add_devices(c, p, 0);
}

/* Before the package: what post-copy begins with, and pages that are to be forgotten. */
static void postcopy_begin(Rig *r, Recipe *c, const Parts *p)
{
    MigStream *s = begin();

    c->pieces = g_ptr_array_new();
    add(c, p->header);
    add(c, command(CMD_OPEN_RETURN_PATH, "", 0));
    add(c, command(CMD_POSTCOPY_ADVISE, "\0\0\0\0\0\0\20\0\0\0\0\0\0\0\20", 16));
    add(c, command(CMD_PING, "\0\0\0\1", 4));
    add(c, p->list);
    add(c, some_pages(r, false, false));
    put_u8(s, 0);
    put_text(s, "pc.ram");
    put_u8(s, 0);
    for (unsigned i = 0; i < 2; i++) {
        put_u64(s, (16 + 32 * i) * MIG_PAGE);
        put_u64(s, (8 + i) * MIG_PAGE);
    }
    g_autoptr(GByteArray) d = taken(s);
    add(c, command(CMD_POSTCOPY_RAM_DISCARD, d->data, d->len));
    c->pack = c->pieces->len;
    add(c, command(CMD_POSTCOPY_LISTEN, "", 0));
    add_devices(c, p, 2);
    add(c, command(CMD_POSTCOPY_RUN, "", 0));
    c->unpack = c->pieces->len;
}

static void postcopy(Rig *r, const Parts *p)
{
    Recipe *c = &recipes[POSTCOPY];

    postcopy_begin(r, c, p);
    add(c, last_pages(r, 16 * MIG_PAGE));
    add(c, command(CMD_RECV_BITMAP, "\6pc.ram", 7));
    add(c, command(CMD_POSTCOPY_RESUME, "", 0));
    add(c, p->end);
    c = &recipes[RECOVERY];
    postcopy_begin(r, c, p);
    add(c, last_pages(r, 16 * MIG_PAGE));
    c->second = g_ptr_array_new();
    g_ptr_array_add(c->second, command(CMD_RECV_BITMAP, "\6pc.ram", 7));
    g_ptr_array_add(c->second, command(CMD_POSTCOPY_RESUME, "", 0));
    g_ptr_array_add(c->second, last_pages(r, 48 * MIG_PAGE));
    g_ptr_array_add(c->second, p->end);
}

/* A channel's pieces: its hello, a mark for each RAM section, pages between them. */
static void channel(Rig *r, GPtrArray *out, int method, unsigned id)
{
    g_autoptr(GError) err = NULL;
    MultiCodec *codec = multi_codec_new(method, 1, true, &err);
    RamBlock *b = ram_block_find(r->machine, "pc.ram");
    MigStream *s = begin();

    put_u32(s, MULTI_MAGIC);
    put_u32(s, MULTI_VERSION);
    put_bytes(s, r->machine->cfg->uuid, 16);
    put_u8(s, id);
    put_bytes(s, (uint8_t[39]){ 0 }, 39);
    g_ptr_array_add(out, taken(s));
    for (unsigned i = 0; i < 2 * RAM_SECTIONS - 1; i++) {
        unsigned n = i & 1 ? 2 : 0;
        uint8_t name[256] = "pc.ram", *pages[2], *data = b->host;
        uint64_t at[MULTI_PAGES] = { (8 * id + i) * MIG_PAGE, (8 * id + i + 1) * MIG_PAGE };
        size_t len = n * MIG_PAGE;

        pages[0] = data + at[0];
        pages[1] = data + at[1];
        data = pages[0];
        len = codec && n ? multi_compress(codec, pages, n, &data) : len;
        s = begin();
        put_u32(s, MULTI_MAGIC);
        put_u32(s, MULTI_VERSION);
        put_u32(s, n ? multi_codec_flag(method) : MULTI_SYNC);
        put_u32(s, MULTI_PAGES);
        put_u32(s, n);
        put_u32(s, len);
        put_u64(s, i);
        put_bytes(s, (uint8_t[32]){ 0 }, 32);
        put_bytes(s, name, sizeof name);
        for (unsigned k = 0; k < MULTI_PAGES; k++) {
            put_u64(s, n ? at[k] : 0);
        }
        put_bytes(s, data, len);
        g_ptr_array_add(out, taken(s));
    }
    multi_codec_free(codec);
}

static void multifd(Rig *r, Kind k, const Parts *p)
{
    plain(r, k, p, some_pages(r, false, true), last_pages(r, 64 * MIG_PAGE));
    recipes[k].second = g_ptr_array_new();
    for (unsigned id = 0; id < CHANNELS; id++) {
        channel(r, recipes[k].second, k - MULTI, id);
    }
}

/* The index of a stream whose pages stand where the recipe has put them. */
static GByteArray *make_index(Rig *r, const Recipe *c)
{
    size_t at = 0, devices = 0, pages = 0;
    MigStream *s = begin();
    unsigned blocks = 0;

    for (unsigned i = 0; i < c->pieces->len; i++) {
        GByteArray *d = g_ptr_array_index(c->pieces, i);

        pages = i == 2 ? at + 64 : pages;
        devices = i == 4 ? at : devices;
        at += d->len;
    }
    for (unsigned i = 0; i < r->machine->ram_blocks->len; i++) {
        blocks += ((RamBlock *)g_ptr_array_index(r->machine->ram_blocks, i))->migrate;
    }
    put_u64(s, INDEX_MAGIC);
    put_u64(s, devices);
    put_u32(s, blocks);
    for (unsigned i = 0; i < r->machine->ram_blocks->len; i++) {
        RamBlock *b = g_ptr_array_index(r->machine->ram_blocks, i);

        if (!b->migrate) {
            continue;
        }
        put_text(s, b->name);
        put_u64(s, b->size / MIG_PAGE);
        for (unsigned k = 0; k < b->size / MIG_PAGE; k++) {
            put_u64(s, k % 512 == 3 ? pages : 0);
        }
    }
    put_u64(s, at);
    put_u64(s, INDEX_END);
    return taken(s);
}

void recipes_make(Rig *r)
{
    Parts p = save_parts(r);

    for (Kind k = PLAIN; k <= UUID; k++) {
        plain(r, k, &p, some_pages(r, false, false), last_pages(r, 64 * MIG_PAGE));
    }
    plain(r, XBZRLE, &p, some_pages(r, true, false), last_pages(r, 64 * MIG_PAGE));
    plain(r, WHOLE, &p, p.all, NULL);
    postcopy(r, &p);
    for (Kind k = MULTI; k <= ZSTD; k++) {
        multifd(r, k, &p);
    }
    for (Kind k = LAZY; k <= INDEX; k++) {
        plain(r, k, &p, some_pages(r, false, false), last_pages(r, 64 * MIG_PAGE));
    }
    add(&recipes[INDEX], make_index(r, &recipes[INDEX]));
}
