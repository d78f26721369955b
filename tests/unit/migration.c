/* Streams, URIs, settings; guest memory to a stream and back: whole, lazily, and by post-copy. No machine runs here. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include "migration/format.h"
#include "migration/params.h"
#include "migration/postcopy.h"
#include "migration/ram-lazy.h"
#include "migration/ram.h"
#include "migration/uffd.h"
#include "util/loop.h"

/* ---- A channel in memory ---- */

typedef struct Memory { Channel ch; GByteArray *data; size_t at, portion; } Memory;

static int mem_out(Channel *c, struct iovec *iov, int n)
{
    for (int i = 0; i < n; i++)
        g_byte_array_append(((Memory *)c)->data, iov[i].iov_base, iov[i].iov_len);
    return 0;
}

static ssize_t mem_in(Channel *c, void *buf, size_t n)
{
    Memory *m = (Memory *)c;

    n = MIN(MIN(n, m->portion), m->data->len - m->at);
    memcpy(buf, m->data->data + m->at, n);
    m->at += n;
    return n;
}

static void mem_free(Channel *c)
{
}

static const ChannelOps ops = { .write = mem_out, .read = mem_in, .free = mem_free };

static Memory memory(size_t portion)
{
    return (Memory){ { &ops }, g_byte_array_new(), 0, portion };
}

/* ---- Streams ---- */

START_TEST(test_stream)
{
    static const size_t portions[] = { 1, 7, 4096, SIZE_MAX };
    static uint8_t page[4096], got[100000], many[100000];

    memset(page, 0x5a, sizeof page);
    for (size_t i = 0; i < sizeof many; i++)
        many[i] = i * 7;
    for (unsigned k = 0; k < G_N_ELEMENTS(portions); k++) {
        Memory mem = memory(portions[k]);
        MigStream *s = stream_new(&mem.ch);
        char text[256];

        put_u8(s, 1);
        put_u16(s, 0x1234);
        put_page(s, page, sizeof page);
        put_u32(s, 0xdeadbeef);
        put_text(s, "name");
        put_bytes(s, many, sizeof many);
        put_u64(s, 0x0123456789abcdefull);
        ck_assert(stream_flush(s));
        ck_assert_uint_eq(stream_bytes(s), mem.data->len);
        stream_free(s);
        s = stream_new(&mem.ch);
        ck_assert_uint_eq(get_u8(s), 1);
        ck_assert_uint_eq(get_u16(s), 0x1234);
        ck_assert(get_bytes(s, got, 96));
        ck_assert(stream_skip(s, sizeof page - 96));
        ck_assert_uint_eq(get_u32(s), 0xdeadbeef);
        ck_assert(get_text(s, text));
        ck_assert_str_eq(text, "name");
        ck_assert(get_bytes(s, got, sizeof many));
        ck_assert(!memcmp(got, many, sizeof many));
        ck_assert_uint_eq(get_u64(s), 0x0123456789abcdefull);
        ck_assert(stream_at_end(s) && !stream_error(s));
        ck_assert_uint_eq(get_u32(s), 0);
        ck_assert(stream_error(s) && stream_is_broken(s));
        stream_free(s);
        g_byte_array_unref(mem.data);
    }
}
END_TEST

START_TEST(test_bad_text)
{
    Memory mem = memory(SIZE_MAX);
    MigStream *s = stream_new(&mem.ch);
    char text[256];

    g_byte_array_append(mem.data, (const uint8_t *)"\4na\0e", 5);
    ck_assert(!get_text(s, text));
    ck_assert(stream_error(s) && !stream_is_broken(s));
    stream_free(s);
    g_byte_array_unref(mem.data);
}
END_TEST

/* ---- URIs and settings ---- */

START_TEST(test_uris)
{
    static const struct { const char *text; bool out, in; int kind; const char *rest; uint64_t offset; bool lazy; } rows[] = {
        { "tcp:host:4444", true, true, URI_TCP }, { "tcp:host", false, false }, { "unix:/a/b", true, true, URI_UNIX },
        { "exec:cat,offset=3", true, true, URI_EXEC, "cat,offset=3" }, { "fd:7", true, true, URI_FD, "7" },
        { "file:/a", true, true, URI_FILE, "/a" }, { "file:/a,offset=0x10", true, true, URI_FILE, "/a", 16 },
        { "file:/a,offset=", false, false }, { "file:/a,offset=3x", false, false }, { "file:", false, false },
        { "file:/a,b,offset=1", true, true, URI_FILE, "/a,b", 1 }, { "file:/a,lazy=maybe", true, false },
        { "file:/a,offset=8,lazy=on", true, true, -1 }, { "stdio", false, true, URI_STDIO }, { "defer", false, true, URI_DEFER },
        { "nonsense", false, false }, { "", false, false },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        for (int in = 0; in < 2; in++) {
            g_autoptr(GError) err = NULL;
            MigUri u;
            bool ok = uri_parse(&u, rows[i].text, in, &err);

            ck_assert_msg(ok == (in ? rows[i].in : rows[i].out), "%s: %s", rows[i].text, err ? err->message : "is taken");
            ck_assert(ok == !err);
            if (ok && rows[i].kind >= 0 && rows[i].kind == (int)u.kind && rows[i].rest) {
                ck_assert_str_eq(u.text, rows[i].rest);
                ck_assert_uint_eq(u.offset, rows[i].offset);
            }
            uri_clear(&u);
        }
    }
}
END_TEST

START_TEST(test_settings)
{
    g_autoptr(GError) err = NULL;

    ck_assert_int_eq(migration_param(PARAM_DOWNTIME_LIMIT), 300);
    ck_assert(!migration_set_param(PARAM_DOWNTIME_LIMIT, 2000001, &err));
    ck_assert_str_eq(err->message, "Parameter 'downtime_limit' expects an integer in the range of 0 to (2000 * 1000) ms");
    ck_assert(migration_set_param(PARAM_DOWNTIME_LIMIT, 20, NULL));
    ck_assert_int_eq(migration_param(PARAM_DOWNTIME_LIMIT), 20);
    g_clear_error(&err);
    ck_assert(!migration_set_cap("no-such-thing", true, &err));
    ck_assert_str_eq(err->message, "invalid parameter value: no-such-thing");
    ck_assert(migration_set_cap("events", true, NULL) && migration_cap(CAP_EVENTS) && migration_cap_by_name("events"));
    ck_assert(!migration_cap_by_name("no-such-thing"));
}
END_TEST

/* ---- Guest memory ---- */

enum { PAGES = 600 };

static RamBlock *new_block(Machine *m, const char *name, unsigned pages)
{
    RamBlock *b = g_new0(RamBlock, 1);

    *b = (RamBlock){ .name = g_strdup(name), .size = pages * MIG_PAGE, .max_size = pages * MIG_PAGE, .fd = -1, .migrate = true,
                     .host = mmap(NULL, pages * MIG_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) };
    g_ptr_array_add(m->ram_blocks, b);
    return b;
}

static void fill_block(RamBlock *b, unsigned pages, unsigned seed)
{
    for (unsigned i = 0; i < pages; i++)
        if (i % 5)
            memset(b->host + i * MIG_PAGE, (i * seed) % 255 + 1, MIG_PAGE);
}

static Machine *new_machine(bool filled)
{
    Machine *m = g_new0(Machine, 1);
    RamBlock *a, *b;

    m->ram_blocks = g_ptr_array_new();
    a = new_block(m, "pc.ram", PAGES);
    b = new_block(m, "vga.vram", 40);
    if (filled) {
        fill_block(a, PAGES, 3);
        fill_block(b, 20, 7);
    }
    return m;
}

static void free_machine(Machine *m)
{
    for (unsigned i = 0; i < m->ram_blocks->len; i++) {
        RamBlock *b = g_ptr_array_index(m->ram_blocks, i);

        munmap(b->host, b->max_size);
        g_free(b->name);
        g_free(b);
    }
    g_ptr_array_unref(m->ram_blocks);
    g_free(m);
}

static RamBlock *block(Machine *m, unsigned i)
{
    return g_ptr_array_index(m->ram_blocks, i);
}

static bool same(Machine *a, Machine *b)
{
    return !memcmp(block(a, 0)->host, block(b, 0)->host, PAGES * MIG_PAGE) && !memcmp(block(a, 1)->host, block(b, 1)->host, 40 * MIG_PAGE);
}

/* A stream of RAM sections alone, without their heads: list, pages, end; and an index. */
static void save_ram(Machine *m, MigStream *s)
{
    RamSave *r = ram_save_new(m, true);

    ram_save_keep_places(r);
    ram_save_setup(r, s);
    ck_assert(ram_save_send(r, s, UINT64_MAX, true));
    ram_save_index(r, s, stream_bytes(s));
    ck_assert(stream_flush(s));
    ram_save_free(r);
}

/* Goes over the sections; true: to the end. */
static bool load_ram(RamLoad *l, MigStream *s, unsigned sections, GError **err)
{
    char text[256];

    while (sections-- > 0) {
        unsigned type = get_u8(s);

        get_u32(s);
        if (type == MIG_SECTION_START) {
            get_text(s, text);
            get_u64(s);
        }
        if (!ram_load_section(l, s, RAM_VERSION, err))
            return false;
        get_u8(s);
        get_u32(s);
    }
    return true;
}

START_TEST(test_ram)
{
    Machine *from = new_machine(true), *to = new_machine(true);
    Memory mem = memory(SIZE_MAX);
    MigStream *s = stream_new(&mem.ch);
    RamLoad *l = ram_load_new(to);

    memset(block(from, 0)->host, 0, 8 * MIG_PAGE);
    save_ram(from, s);
    stream_free(s);
    s = stream_new(&mem.ch);
    ck_assert(load_ram(l, s, 2, NULL) && ram_load_complete(l, NULL));
    ck_assert(same(from, to));
    ram_load_free(l);
    stream_free(s);
    g_byte_array_unref(mem.data);
    free_machine(from);
    free_machine(to);
}
END_TEST

START_TEST(test_bad_ram)
{
    static const struct { uint64_t page; const char *block; const char *words; } rows[] = {
        { 0 | RAM_PAGE | RAM_CONTINUE, NULL, "a page of no block" }, { 0 | RAM_PAGE, "pc.bios", "not in the list" },
        { PAGES * MIG_PAGE | RAM_ZERO, "pc.ram", "beyond its size" }, { 0 | RAM_COMPRESSED, NULL, "compress" },
        { 1, NULL, "unknown combination" }, { 0 | RAM_MEM_SIZE, NULL, "second list" }, { 0 | RAM_XBZRLE, "pc.ram", "difference" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        Machine *m = new_machine(false);
        Memory mem = memory(SIZE_MAX);
        MigStream *s = stream_new(&mem.ch);
        RamSave *r = ram_save_new(m, true);
        RamLoad *l = ram_load_new(m);
        g_autoptr(GError) err = NULL;

        ram_save_setup(r, s);
        put_bytes(s, "\2\0\0\0\2", 5);
        put_u64(s, rows[i].page);
        if (rows[i].block)
            put_text(s, rows[i].block);
        put_u64(s, 0x0900ffull << 40);
        stream_flush(s);
        stream_free(s);
        s = stream_new(&mem.ch);
        ck_assert(!load_ram(l, s, 2, &err));
        ck_assert_msg(strstr(err->message, rows[i].words), "%u: %s", i, err->message);
        ram_load_free(l);
        ram_save_free(r);
        stream_free(s);
        g_byte_array_unref(mem.data);
        free_machine(m);
    }
}
END_TEST

static bool no_uffd(void)
{
    int fd = uffd_open(false, NULL);

    if (fd >= 0)
        close(fd);
    return fd < 0;
}

/* A file's memory: what is in it goes, since untouched pages are not in the stream. */
START_TEST(test_file_memory)
{
    Machine *m = new_machine(false);
    RamBlock *b = block(m, 0);
    Memory mem = memory(SIZE_MAX);
    MigStream *s = stream_new(&mem.ch);
    RamSave *r = ram_save_new(m, true);
    RamLoad *l = ram_load_new(m);

    b->fd = memfd_create("memory", MFD_CLOEXEC);
    ck_assert(ftruncate(b->fd, b->size) == 0 && pwrite(b->fd, "junk", 4, 9 * MIG_PAGE) == 4);
    b->host = mmap(NULL, b->size, PROT_READ | PROT_WRITE, MAP_SHARED, b->fd, 0);
    ram_save_setup(r, s);
    put_bytes(s, "\3\0\0\0\2", 5);
    put_u64(s, RAM_EOS);
    stream_flush(s);
    stream_free(s);
    s = stream_new(&mem.ch);
    ck_assert(load_ram(l, s, 2, NULL) || stream_is_broken(s));
    ck_assert(!b->host[9 * MIG_PAGE] && lseek(b->fd, 0, SEEK_DATA) == 9 * MIG_PAGE);
    ck_assert(no_uffd() || !postcopy_load_new(m, NULL, NULL));
    ram_load_free(l);
    ram_save_free(r);
    stream_free(s);
    g_byte_array_unref(mem.data);
    close(b->fd);
    free_machine(m);
}
END_TEST

/* ---- Lazily ---- */

static void load_lazily(Machine *from, Machine *to, const char *path, bool index)
{
    MigUri u = { .kind = URI_FILE, .text = (char *)path, .lazy = true };
    MigStream *s = stream_new(channel_open_incoming(&u, -1, NULL));
    RamLoad *l = ram_load_new(to);
    uint64_t at = 0;

    ram_load_lazily(l, channel_fd(stream_channel(s)), 0);
    ck_assert(load_ram(l, s, 1, NULL));
    ck_assert(ram_load_by_index(l, &at) == index);
    if (!index)
        ck_assert(load_ram(l, s, 1, NULL));
    ck_assert(ram_load_begin(l, NULL) && ram_is_lazy());
    ck_assert(same(from, to));              /* each page is touched here, and comes */
    ram_load_free(l);
    stream_free(s);
}

START_TEST(test_lazy)
{
    char path[] = "/tmp/vmemu-unit-XXXXXX";
    int fd = mkstemp(path);
    MigUri u = { .kind = URI_FILE, .text = path };

    ck_assert(fd >= 0);
    for (int cut = 0; cut < 2 && !no_uffd(); cut++) {
        Machine *from = new_machine(true), *to = new_machine(true);
        MigStream *s = stream_new(channel_open(&u, -1, -1, NULL));

        save_ram(from, s);
        if (cut)
            ck_assert(ftruncate(fd, stream_bytes(s) - 3) == 0);
        stream_free(s);
        load_lazily(from, to, path, !cut);
        for (int i = 0; i < 1000 && ram_is_lazy(); i++) {
            g_main_context_iteration(NULL, false);
            g_usleep(1000);
        }
        ck_assert(!ram_is_lazy());
        ck_assert(same(from, to));
        free_machine(from);
        free_machine(to);
    }
    unlink(path);
    close(fd);
}
END_TEST

/* ---- Post-copy ---- */

static bool discard(PostcopyLoad *p, Machine *m, const char *data, unsigned n, GError **err)
{
    Memory mem = memory(SIZE_MAX);
    MigStream *s = stream_new(&mem.ch);
    bool ok;

    g_byte_array_append(mem.data, (const uint8_t *)data, n);
    ok = postcopy_discard(p, m, s, n, err);
    stream_free(s);
    g_byte_array_unref(mem.data);
    return ok;
}

#define RANGE(start, size) "\0\0\0\0\0\0" start "\0\0\0\0\0\0" size

static void *touch(void *page)
{
    return GUINT_TO_POINTER(*(volatile uint8_t *)page);
}

START_TEST(test_postcopy)
{
    static const struct { const char *data; unsigned n; } bad[] = {
        { "\1\6pc.ram\0", 9 }, { "\0\6pc.ram\1", 9 }, { "\0\6pc.rom\0", 9 }, { "\0\6pc.ram\0abc", 12 },
        { "\0\6pc.ram\0" RANGE("\0\1", "\x10\0"), 25 }, { "\0\6pc.ram\0" RANGE("\0\0", "\0\0") "\xff", 26 },
        { "\0\6pc.ram\0\0\0\0\0\xff\0\0\0\0\0\0\0\0\0\x10\0", 25 }, { "\0\6pc.ram\0\0\0\0\0\0\0\x10\0\xff\xff\xff\xff\xff\xff\xf0\0", 25 },
    };
    Machine *m = new_machine(true);
    RamBlock *ram = block(m, 0);
    uint8_t page[4096], got[64];
    int pair[2];
    PostcopyLoad *p;
    Channel *back;
    GThread *t;

    if (no_uffd())
        return;
    ck_assert(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    back = channel_accepted(pair[0]);
    p = postcopy_load_new(m, back, NULL);
    postcopy_add_block(p, ram);
    postcopy_add_block(p, block(m, 1));
    for (unsigned i = 0; i < PAGES; i++)
        if (i != 7)
            postcopy_note(p, ram, i * MIG_PAGE);
    madvise(ram->host, MIG_PAGE, MADV_DONTNEED);        /* zero, noted, not touched */
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) err = NULL;

        ck_assert_msg(!discard(p, m, bad[i].data, bad[i].n, &err) && err, "%u", i);
    }
    ck_assert(discard(p, m, "\0\6pc.ram\0" RANGE("\x10\0", "\x20\0"), 25, NULL));
    ck_assert(postcopy_listen(p, NULL) && postcopy_listens(p));
    ck_assert(touch(ram->host) == NULL);
    t = g_thread_new("touch", touch, ram->host + MIG_PAGE);
    ck_assert_int_eq(read(pair[1], got, 4 + 12 + 7), 23);
    ck_assert(!memcmp(got, "\0\3\0\x13\0\0\0\0\0\0\x10\0\0\0\x10\0\6pc.ram", 23));
    memset(page, 0x77, sizeof page);
    ck_assert(postcopy_place(p, ram, MIG_PAGE, page, NULL));
    ck_assert_uint_eq(GPOINTER_TO_UINT(g_thread_join(t)), 0x77);
    t = g_thread_new("touch", touch, ram->host + 7 * MIG_PAGE);
    ck_assert_int_eq(read(pair[1], got, 4 + 12), 16);
    ck_assert(!memcmp(got, "\0\4\0\x0c\0\0\0\0\0\0\x70\0\0\0\x10\0", 16));
    ck_assert(postcopy_place(p, ram, 7 * MIG_PAGE, NULL, NULL));
    ck_assert(g_thread_join(t) == NULL);
    ck_assert(postcopy_send_received(p, "pc.ram", NULL) && !postcopy_send_received(p, "pc.rom", NULL));
    ck_assert_int_eq(read(pair[1], got, 4 + 7 + 8 + 8), 27);
    ck_assert(!memcmp(got, "\0\5\0\7\6pc.ram\0\0\0\0\0\0\0\x50\xfb", 20));   /* all but page 2 */
    postcopy_load_free(p);
    channel_free(back);
    close(pair[1]);
    free_machine(m);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("migration");
    TCase *tc = tcase_create("core");
    SRunner *r = srunner_create(s);
    int failed;

    machine_loop_init();
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_stream);
    tcase_add_test(tc, test_bad_text);
    tcase_add_test(tc, test_uris);
    tcase_add_test(tc, test_settings);
    tcase_add_test(tc, test_ram);
    tcase_add_test(tc, test_bad_ram);
    tcase_add_test(tc, test_file_memory);
    tcase_add_test(tc, test_lazy);
    tcase_add_test(tc, test_postcopy);
    suite_add_tcase(s, tc);
    srunner_run_all(r, CK_ENV);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
