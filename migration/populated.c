/*
 * The kernel knows which pages of our memory exist: PAGEMAP_SCAN (Linux 6.7) lists them in ranges, /proc/self/pagemap has
 * eight bytes for each page.
 */
#include <fcntl.h>
#include <glib.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "migration/format.h"
#include "migration/populated.h"

#define ENTRY_PRESENT (1ull << 63 | 1ull << 62)     /* pagemap: in memory, in swap */

/* Linux's ABI, which the headers of older systems lack. */
struct scan_region { uint64_t start, end, categories; };
struct scan_arg {
    uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
    uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define SCAN_IOCTL _IOWR('f', 16, struct scan_arg)
enum { SCAN_PRESENT = 1 << 3, SCAN_SWAPPED = 1 << 4, SCAN_ZERO = 1 << 5 };

static void set_bits(unsigned long *bits, uint64_t first, uint64_t last)
{
    for (uint64_t i = first; i < last; i++) {
        if (i % 64 == 0 && last - i >= 64) {
            bits[i / 64] = ~0ul;
            i += 63;
        } else {
            bits[i / 64] |= 1ul << i % 64;
        }
    }
}

static bool by_scan(int fd, uintptr_t host, uint64_t pages, unsigned long *bits)
{
    struct scan_region found[512];
    uint64_t at = host, end = host + pages * MIG_PAGE;

    while (at < end) {
        struct scan_arg a = {
            .size = sizeof a, .start = at, .end = end, .vec = (uintptr_t)found, .vec_len = G_N_ELEMENTS(found),
            .category_inverted = SCAN_ZERO, .category_mask = SCAN_ZERO, .category_anyof_mask = SCAN_PRESENT | SCAN_SWAPPED,
            .return_mask = SCAN_PRESENT,
        };
        int n = ioctl(fd, SCAN_IOCTL, &a);

        if (n < 0 || a.walk_end <= at)
            return false;
        for (int i = 0; i < n; i++)
            set_bits(bits, (found[i].start - host) / MIG_PAGE, (found[i].end - host) / MIG_PAGE);
        at = a.walk_end;
    }
    return true;
}

static bool by_entries(int fd, uintptr_t host, uint64_t pages, unsigned long *bits)
{
    uint64_t entries[4096];

    for (uint64_t first = 0, count; first < pages; first += count) {
        ssize_t want;

        count = MIN(pages - first, G_N_ELEMENTS(entries));
        want = count * 8;
        if (pread(fd, entries, want, (host / MIG_PAGE + first) * 8) != want)
            return false;
        for (uint64_t i = 0; i < count; i++)
            if (entries[i] & ENTRY_PRESENT)
                bits[(first + i) / 64] |= 1ul << (first + i) % 64;
    }
    return true;
}

bool populated_find(const void *host, uint64_t pages, unsigned long *bits)
{
    int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    bool ok = fd >= 0 && (by_scan(fd, (uintptr_t)host, pages, bits) || by_entries(fd, (uintptr_t)host, pages, bits));

    if (fd >= 0)
        close(fd);
    return ok;
}
