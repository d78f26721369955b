/* Guest memory that is read from a stream's file when it is touched. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "migration/format.h"
#include "migration/ram-lazy.h"
#include "migration/uffd.h"
#include "util/error.h"
#include "util/loop.h"

/* A page and its header, as runs of pages of one block stand in a stream. */
#define STRIDE (MIG_PAGE + 8)
enum { AROUND = 16, AHEAD = 64 };       /* pages brought for a fault; at once in the background */

typedef struct LazyBlock {
    RamBlock *ram;              /* until lazy_start */
    uint8_t *host;
    uint64_t pages;
    uint64_t *where;            /* atomic once started; 0: nothing to be done */
    bool direct;
} LazyBlock;

struct RamLazy {
    int fd, uffd, quit_fd;
    uint64_t base, size;        /* of the stream in the file; bytes from there to the file's end */
    GArray *blocks;             /* LazyBlock */
    GThread *server, *reader;
    bool stop;                  /* atomic */
};

static RamLazy *current;        /* atomic; set and cleared on the main thread or before the guest runs */

RamLazy *lazy_new(int fd, uint64_t base)
{
    RamLazy *l = g_new0(RamLazy, 1);
    struct stat st;

    l->fd = dup(fd);
    l->base = base;
    l->uffd = l->quit_fd = -1;
    l->size = fstat(fd, &st) == 0 && (uint64_t)st.st_size > base ? st.st_size - base : 0;
    l->blocks = g_array_new(false, true, sizeof(LazyBlock));
    return l;
}

static LazyBlock *nth(const RamLazy *l, unsigned i)
{
    return &g_array_index(l->blocks, LazyBlock, i);
}

void lazy_free(RamLazy *l)
{
    if (!l)
        return;
    for (unsigned i = 0; i < l->blocks->len; i++)
        g_free(nth(l, i)->where);
    g_array_unref(l->blocks);
    if (l->fd >= 0)
        close(l->fd);
    if (l->uffd >= 0)
        close(l->uffd);
    if (l->quit_fd >= 0)
        close(l->quit_fd);
    g_free(l);
}

/* ---- What is where ---- */

void lazy_add_block(RamLazy *l, RamBlock *b, bool direct)
{
    LazyBlock lb = { b, b->host, b->max_size / MIG_PAGE, g_new0(uint64_t, b->max_size / MIG_PAGE), direct };

    g_array_append_val(l->blocks, lb);
}

static LazyBlock *find(RamLazy *l, const char *name)
{
    for (unsigned i = 0; i < l->blocks->len; i++)
        if (!strcmp(nth(l, i)->ram->name, name))
            return nth(l, i);
    return NULL;
}

void lazy_note(RamLazy *l, RamBlock *b, uint64_t addr, uint64_t at)
{
    for (unsigned i = 0; i < l->blocks->len; i++)
        if (nth(l, i)->ram == b)
            nth(l, i)->where[addr / MIG_PAGE] = at;
}

static bool read_file(const RamLazy *l, void *p, uint64_t n, uint64_t at)
{
    for (uint64_t done = 0; done < n;) {
        ssize_t r = pread(l->fd, (uint8_t *)p + done, n - done, l->base + at + done);

        if (r < 0 && errno == EINTR)
            continue;
        if (r == 0)
            errno = EIO;
        if (r <= 0)
            return false;
        done += r;
    }
    return true;
}

bool lazy_fetch(RamLazy *l, RamBlock *b, uint64_t addr, GError **err)
{
    LazyBlock *lb = find(l, b->name);
    uint64_t at = lb ? lb->where[addr / MIG_PAGE] : 0;

    if (at && !read_file(l, b->host + addr, MIG_PAGE, at))
        return error_set_errno(err, errno, "ram: cannot read a page of block '%s'", b->name);
    if (at)
        lb->where[addr / MIG_PAGE] = 0;
    return true;
}

/* ---- The index ---- */

static bool get_number(const RamLazy *l, uint64_t *at, void *p, unsigned n)
{
    bool ok = *at + n <= l->size && read_file(l, p, n, *at);

    *at += n;
    return ok;
}

static bool get_be64(const RamLazy *l, uint64_t *at, uint64_t *v)
{
    bool ok = get_number(l, at, v, 8);

    *v = GUINT64_FROM_BE(*v);
    return ok;
}

static bool read_block(RamLazy *l, uint64_t *at, uint64_t end)
{
    char name[256] = "";
    uint8_t len;
    uint64_t pages;
    LazyBlock *b;

    if (!get_number(l, at, &len, 1) || !get_number(l, at, name, len) || !get_be64(l, at, &pages))
        return false;
    b = find(l, name);
    if (!b || pages != b->ram->size / MIG_PAGE || *at + pages * 8 > end || !read_file(l, b->where, pages * 8, *at))
        return false;
    *at += pages * 8;
    for (uint64_t i = 0; i < pages; i++) {
        b->where[i] = GUINT64_FROM_BE(b->where[i]);
        if (b->where[i] > end - MIG_PAGE)
            return false;
    }
    return true;
}

static bool read_blocks(RamLazy *l, uint64_t *devices)
{
    uint64_t at = l->size - 16, end = at, v;
    uint32_t n;

    if (l->size < MIG_PAGE + 16 || !get_be64(l, &at, &v) || v > end)
        return false;
    end = at - 8;
    at = v;
    if (!get_be64(l, &end, &v) || !get_be64(l, &end, &v) || v != INDEX_END)
        return false;
    end = l->size - 16;
    if (!get_be64(l, &at, &v) || v != INDEX_MAGIC || !get_be64(l, &at, devices) || *devices >= end || !get_number(l, &at, &n, 4) ||
        GUINT32_FROM_BE(n) != l->blocks->len)
        return false;
    for (unsigned i = 0; i < l->blocks->len; i++)
        if (!read_block(l, &at, end))
            return false;
    return at == end;
}

bool lazy_read_index(RamLazy *l, uint64_t *devices)
{
    if (read_blocks(l, devices))
        return true;
    for (unsigned i = 0; i < l->blocks->len; i++)
        memset(nth(l, i)->where, 0, nth(l, i)->pages * sizeof(uint64_t));
    return false;
}

/* ---- Bringing pages ---- */

/* The program can't go on: a guest waits for memory that cannot be read. */
static void give_up(const char *what, int error)
{
    error_report("the guest's memory cannot be %s: %s", what, g_strerror(error));
    _exit(1);
}

/* Brings the page, and those behind it (at most max together) that stand behind it in the file, too. How many. */
static unsigned bring(RamLazy *l, LazyBlock *b, uint64_t page, unsigned max, uint8_t *buf)
{
    uint64_t at = __atomic_load_n(&b->where[page], __ATOMIC_RELAXED);
    unsigned n = 1;
    int r;

    if (!at)
        return 0;
    while (n < max && page + n < b->pages && __atomic_load_n(&b->where[page + n], __ATOMIC_RELAXED) == at + n * STRIDE)
        n++;
    if (!read_file(l, buf, (uint64_t)(n - 1) * STRIDE + MIG_PAGE, at))
        give_up("read from its file", errno);
    for (unsigned i = 1; i < n; i++)
        memmove(buf + i * MIG_PAGE, buf + i * STRIDE, MIG_PAGE);
    if (l->uffd < 0 || b->direct)
        memcpy(b->host + page * MIG_PAGE, buf, n * MIG_PAGE);
    else if ((r = uffd_copy(l->uffd, b->host + page * MIG_PAGE, buf, (uint64_t)n * MIG_PAGE)) < 0 && r != -ENOENT)
        give_up("filled", -r);          /* ENOENT: a memory module that has gone */
    for (unsigned i = 0; i < n; i++)
        __atomic_store_n(&b->where[page + i], 0, __ATOMIC_RELEASE);
    return n;
}

static void serve_fault(RamLazy *l, uintptr_t addr, uint8_t *buf)
{
    for (unsigned i = 0; i < l->blocks->len; i++) {
        LazyBlock *b = nth(l, i);
        uintptr_t off = addr - (uintptr_t)b->host;

        if (off >= b->pages * MIG_PAGE || b->direct)
            continue;
        if (!bring(l, b, off / MIG_PAGE, AROUND, buf))
            uffd_zero(l->uffd, (void *)addr, MIG_PAGE);
    }
}

static void *serve(void *opaque)
{
    RamLazy *l = opaque;
    g_autofree uint8_t *buf = g_malloc(AROUND * STRIDE);
    UffdFault faults[16];

    while (!__atomic_load_n(&l->stop, __ATOMIC_ACQUIRE)) {
        int n = uffd_wait(l->uffd, l->quit_fd, -1, faults, G_N_ELEMENTS(faults));

        if (n < 0)
            give_up("served", -n);
        for (int i = 0; i < n; i++)
            serve_fault(l, faults[i].addr, buf);
    }
    return NULL;
}

static void read_rest(RamLazy *l, LazyBlock *b, uint8_t *buf)
{
    for (uint64_t page = 0; page < b->pages && !__atomic_load_n(&l->stop, __ATOMIC_ACQUIRE);)
        page += MAX(bring(l, b, page, AHEAD, buf), 1);
}

/* Joins the threads. The guest waits for nothing any more: what was not brought is zero. */
static void end_current(void)
{
    RamLazy *l = current;
    uint64_t one = 1;

    if (!l)
        return;
    __atomic_store_n(&l->stop, true, __ATOMIC_RELEASE);
    if (write(l->quit_fd, &one, sizeof one) < 0)
        error_report("cannot end the reading of guest memory: %s", g_strerror(errno));
    g_thread_join(l->reader);
    g_thread_join(l->server);
    __atomic_store_n(&current, NULL, __ATOMIC_RELEASE);
    lazy_free(l);               /* closing the descriptor unregisters */
}

static void all_read(void *opaque)
{
    if (current == opaque)
        end_current();
}

static void *read_all(void *opaque)
{
    RamLazy *l = opaque;
    g_autofree uint8_t *buf = g_malloc(AHEAD * STRIDE);

    for (unsigned i = 0; i < l->blocks->len; i++)
        if (!nth(l, i)->direct)
            read_rest(l, nth(l, i), buf);
    main_loop_call(all_read, l);
    return NULL;
}

/* ---- The beginning ---- */

static void read_direct(RamLazy *l, LazyBlock *b)
{
    g_autofree uint8_t *buf = g_malloc(AHEAD * STRIDE);

    b->direct = true;
    read_rest(l, b, buf);
}

/* What was touched since the block was emptied (by a screen's drawing) goes once more. */
static void empty_again(LazyBlock *b)
{
    for (uint64_t page = 0, n; page < b->pages; page += n) {
        n = 1;
        if (!b->where[page])
            continue;
        while (page + n < b->pages && b->where[page + n])
            n++;
        madvise(b->host + page * MIG_PAGE, n * MIG_PAGE, MADV_DONTNEED);
    }
}

bool lazy_start(RamLazy *l, GError **err)
{
    l->uffd = uffd_open(false, err);
    if (l->uffd < 0) {
        lazy_free(l);
        return false;
    }
    l->quit_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    for (unsigned i = 0; i < l->blocks->len; i++) {
        LazyBlock *b = nth(l, i);

        if (b->direct || uffd_register(l->uffd, b->host, b->pages * MIG_PAGE, false) < 0)
            read_direct(l, b);
        else
            empty_again(b);
        b->ram = NULL;
    }
    __atomic_store_n(&current, l, __ATOMIC_RELEASE);
    l->server = g_thread_new("lazy_faults", serve, l);
    l->reader = g_thread_new("lazy_read", read_all, l);
    return true;
}

bool ram_is_lazy(void)
{
    return __atomic_load_n(&current, __ATOMIC_ACQUIRE) != NULL;
}

void ram_lazy_drop(void)
{
    end_current();
}
