/*
 * Post-copy at the target.
 *
 * received: the page is there, or it is zero and nobody has touched it. A missing page that was received is therefore
 * filled with zeroes here; any other is asked for, once. Pages come on the stream's thread (postcopy_place), faults are
 * served by a thread of their own; neither takes the machine lock, whose holder may be the one who waits for a page.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>
#include "migration/format.h"
#include "migration/postcopy.h"
#include "migration/uffd.h"
#include "util/error.h"

#define MAP_END 0x0123456789abcdefull

typedef struct PostBlock {
    RamBlock *ram;
    char *name;
    uint8_t *host;
    uint64_t pages;
    unsigned long *received, *requested;    /* atomic */
} PostBlock;

struct PostcopyLoad {
    GArray *blocks;             /* PostBlock */
    int uffd, quit_fd;
    bool listening, quit;       /* quit: atomic */
    GThread *thread;
    GMutex lock;                /* of the rest */
    Channel *back;              /* NULL: there is none at the moment */
    const PostBlock *asked;     /* of the last request on it */
};

static PostBlock *nth(const PostcopyLoad *p, unsigned i)
{
    return &g_array_index(p->blocks, PostBlock, i);
}

static bool test_bit(const unsigned long *bits, uint64_t n)
{
    return __atomic_load_n(&bits[n / 64], __ATOMIC_ACQUIRE) >> n % 64 & 1;
}

/* What it was. */
static bool set_bit(unsigned long *bits, uint64_t n)
{
    return __atomic_fetch_or(&bits[n / 64], 1ul << n % 64, __ATOMIC_ACQ_REL) >> n % 64 & 1;
}

static void clear_bit(unsigned long *bits, uint64_t n)
{
    __atomic_fetch_and(&bits[n / 64], ~(1ul << n % 64), __ATOMIC_ACQ_REL);
}

/* It is too late for that when the source has given the guest away. */
static bool try_blocks(Machine *m, int uffd, GError **err)
{
    for (unsigned i = 0; i < m->ram_blocks->len; i++) {
        RamBlock *b = g_ptr_array_index(m->ram_blocks, i);
        int r = !b->migrate ? 0 : b->fd >= 0 ? -EINVAL : uffd_register(uffd, b->host, b->max_size, false);

        if (r < 0)
            return error_set_errno(err, r, "Postcopy is not supported: memory block '%s' cannot be filled while the guest runs", b->name);
        if (b->migrate)
            uffd_unregister(uffd, b->host, b->max_size);
    }
    return true;
}

PostcopyLoad *postcopy_load_new(Machine *m, Channel *back, GError **err)
{
    PostcopyLoad *p;
    int uffd = uffd_open(false, err);

    if (uffd < 0)
        return NULL;
    if (!try_blocks(m, uffd, err)) {
        close(uffd);
        return NULL;
    }
    p = g_new0(PostcopyLoad, 1);
    p->uffd = uffd;
    p->quit_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    p->back = back;
    p->blocks = g_array_new(false, true, sizeof(PostBlock));
    g_mutex_init(&p->lock);
    return p;
}

void postcopy_all_here(PostcopyLoad *p)
{
    uint64_t one = 1;

    __atomic_store_n(&p->quit, true, __ATOMIC_RELEASE);
    if (p->thread && write(p->quit_fd, &one, sizeof one) == sizeof one)
        g_thread_join(p->thread);
    p->thread = NULL;
    if (p->uffd >= 0)
        close(p->uffd);         /* unregisters, and wakes who waits */
    p->uffd = -1;
}

void postcopy_load_free(PostcopyLoad *p)
{
    if (!p)
        return;
    postcopy_all_here(p);
    close(p->quit_fd);
    for (unsigned i = 0; i < p->blocks->len; i++) {
        g_free(nth(p, i)->name);
        g_free(nth(p, i)->received);
        g_free(nth(p, i)->requested);
    }
    g_array_unref(p->blocks);
    g_mutex_clear(&p->lock);
    g_free(p);
}

void postcopy_add_block(PostcopyLoad *p, RamBlock *b)
{
    uint64_t pages = b->max_size / MIG_PAGE;
    PostBlock pb = { b, g_strdup(b->name), b->host, pages, g_new0(unsigned long, pages / 64 + 1), g_new0(unsigned long, pages / 64 + 1) };

    g_array_append_val(p->blocks, pb);
}

static PostBlock *find(PostcopyLoad *p, const RamBlock *b)
{
    for (unsigned i = 0; i < p->blocks->len; i++)
        if (nth(p, i)->ram == b)
            return nth(p, i);
    return NULL;
}

/* ---- Before the guest runs ---- */

void postcopy_note(PostcopyLoad *p, RamBlock *b, uint64_t addr)
{
    PostBlock *pb = find(p, b);

    if (pb)
        set_bit(pb->received, addr / MIG_PAGE);
}

static bool drop(PostBlock *b, uint64_t start, uint64_t size, GError **err)
{
    if ((start | size) % MIG_PAGE || start > b->pages * MIG_PAGE || size > b->pages * MIG_PAGE - start)
        return error_set(err, "post-copy: the source discards 0x%" PRIx64 " bytes at 0x%" PRIx64 " of block '%s', which has 0x%" PRIx64, size,
                         start, b->name, b->pages * MIG_PAGE);
    for (uint64_t i = start / MIG_PAGE; i < (start + size) / MIG_PAGE; i++)
        clear_bit(b->received, i);
    return madvise(b->host + start, size, MADV_DONTNEED) == 0 ||
           error_set_errno(err, errno, "post-copy: cannot discard pages of block '%s'", b->name);
}

bool postcopy_discard(PostcopyLoad *p, Machine *m, MigStream *s, unsigned len, GError **err)
{
    unsigned version = get_u8(s), size;
    char name[256];
    PostBlock *b;

    if (!get_text(s, name) || get_u8(s) != 0 || version)
        return stream_error(s) ? stream_failed(s, err) : error_set(err, "post-copy: a list of discarded pages of version %u", version);
    size = 3 + strlen(name);
    b = p->listening ? NULL : find(p, ram_block_find(m, name));
    if (!b)
        return error_set(err, "post-copy: the source discards pages of block '%s' at the wrong time", name);
    if (len < size || (len - size) % 16)
        return error_set(err, "post-copy: a list of discarded pages of %u bytes", len);
    for (; size < len; size += 16) {
        uint64_t start = get_u64(s), bytes = get_u64(s);

        if (stream_error(s))
            return stream_failed(s, err);
        if (!drop(b, start, bytes, err))
            return false;
    }
    return true;
}

/* ---- The return path ---- */

static bool say(PostcopyLoad *p, unsigned type, const void *data, unsigned len)
{
    uint8_t head[4] = { 0, type, len >> 8, len };
    struct iovec iov[2] = { { head, 4 }, { (void *)data, len } };

    return p->back && channel_write(p->back, iov, 2) == 0;
}

bool postcopy_say(PostcopyLoad *p, unsigned type, const void *data, unsigned len)
{
    bool ok;

    g_mutex_lock(&p->lock);
    ok = say(p, type, data, len);
    g_mutex_unlock(&p->lock);
    return ok;
}

bool postcopy_say_value(PostcopyLoad *p, unsigned type, uint32_t value)
{
    value = GUINT32_TO_BE(value);
    return postcopy_say(p, type, &value, 4);
}

static void ask(PostcopyLoad *p, const PostBlock *b, uint64_t page)
{
    struct { uint64_t start; uint32_t len; uint8_t n; char name[255]; } __attribute__((packed)) m;
    bool named;

    m.start = GUINT64_TO_BE(page * MIG_PAGE);
    m.len = GUINT32_TO_BE(MIG_PAGE);
    m.n = strlen(b->name);
    memcpy(m.name, b->name, m.n);
    g_mutex_lock(&p->lock);
    named = p->asked == b;
    /* If there is no connection it is asked for again when there is one. */
    p->asked = say(p, named ? RP_REQ_PAGES : RP_REQ_PAGES_ID, &m, named ? 12 : 13 + m.n) ? b : NULL;
    g_mutex_unlock(&p->lock);
}

void postcopy_lost(PostcopyLoad *p)
{
    g_mutex_lock(&p->lock);
    p->back = NULL;
    p->asked = NULL;
    g_mutex_unlock(&p->lock);
}

void postcopy_found(PostcopyLoad *p, Channel *back)
{
    g_mutex_lock(&p->lock);
    p->back = back;
    g_mutex_unlock(&p->lock);
}

void postcopy_ask_again(PostcopyLoad *p)
{
    for (unsigned i = 0; i < p->blocks->len; i++) {
        const PostBlock *b = nth(p, i);

        for (uint64_t page = 0; page < b->pages; page++)
            if (test_bit(b->requested, page) && !test_bit(b->received, page))
                ask(p, b, page);
    }
}

bool postcopy_send_received(PostcopyLoad *p, const char *block, GError **err)
{
    struct { uint8_t n; char name[255]; } m = { strlen(block) };
    uint64_t size, head, end = GUINT64_TO_BE(MAP_END);
    bool ok = false;

    memcpy(m.name, block, m.n);
    g_mutex_lock(&p->lock);
    for (unsigned i = 0; i < p->blocks->len; i++) {
        const PostBlock *b = nth(p, i);
        struct iovec iov[3] = { { &head, 8 }, { b->received, 0 }, { &end, 8 } };

        if (strcmp(b->name, block))
            continue;
        size = (b->ram->size / MIG_PAGE + 63) / 64 * 8;
        head = GUINT64_TO_BE(size);
        iov[1].iov_len = size;
        ok = say(p, RP_RECV_BITMAP, &m, 1 + m.n) && channel_write(p->back, iov, 3) == 0;
    }
    g_mutex_unlock(&p->lock);
    return ok || error_set(err, "post-copy: the source asks for block '%s', which cannot be answered", block);
}

/* ---- While it runs ---- */

static void serve_fault(PostcopyLoad *p, uintptr_t addr)
{
    for (unsigned i = 0; i < p->blocks->len; i++) {
        PostBlock *b = nth(p, i);
        uint64_t page = (addr - (uintptr_t)b->host) / MIG_PAGE;

        if (addr < (uintptr_t)b->host || page >= b->pages)
            continue;
        if (test_bit(b->received, page))
            uffd_zero(p->uffd, (void *)addr, MIG_PAGE);
        else if (!set_bit(b->requested, page))
            ask(p, b, page);
    }
}

static void *serve(void *opaque)
{
    PostcopyLoad *p = opaque;
    UffdFault faults[16];

    while (!__atomic_load_n(&p->quit, __ATOMIC_ACQUIRE)) {
        int n = uffd_wait(p->uffd, p->quit_fd, -1, faults, G_N_ELEMENTS(faults));

        if (n < 0) {
            error_report("post-copy: userfaultfd: %s", g_strerror(-n));
            break;
        }
        for (int i = 0; i < n; i++)
            serve_fault(p, faults[i].addr);
    }
    return NULL;
}

/* What was touched since it was discarded (by a screen's drawing) goes once more, before the guest runs. */
static void empty_again(const PostBlock *b)
{
    for (uint64_t page = 0, n; page < b->pages; page += n) {
        n = 1;
        if (test_bit(b->received, page))
            continue;
        while (page + n < b->pages && !test_bit(b->received, page + n))
            n++;
        madvise(b->host + page * MIG_PAGE, n * MIG_PAGE, MADV_DONTNEED);
    }
}

bool postcopy_listen(PostcopyLoad *p, GError **err)
{
    for (unsigned i = 0; i < p->blocks->len; i++) {
        PostBlock *b = nth(p, i);
        int r = uffd_register(p->uffd, b->host, b->pages * MIG_PAGE, false);

        if (r < 0)
            return error_set_errno(err, r, "post-copy: block '%s' cannot be filled by userfaultfd", b->name);
        empty_again(b);
    }
    p->listening = true;
    p->thread = g_thread_new("postcopy/fault", serve, p);
    return true;
}

bool postcopy_listens(const PostcopyLoad *p)
{
    return p && p->listening;
}

bool postcopy_place(PostcopyLoad *p, RamBlock *b, uint64_t addr, const void *page, GError **err)
{
    PostBlock *pb = find(p, b);
    int r = !pb ? -EINVAL : page ? uffd_copy(p->uffd, pb->host + addr, page, MIG_PAGE) : uffd_zero(p->uffd, pb->host + addr, MIG_PAGE);

    if (r < 0)
        return error_set_errno(err, r, "post-copy: cannot place a page of block '%s'", b->name);
    set_bit(pb->received, addr / MIG_PAGE);
    return true;
}
