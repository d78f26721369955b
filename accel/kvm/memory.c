/*
 * Guest memory: KVM's memory slots, the dirty log, doorbells and coalesced writes.
 *
 * Each call that removes a slot or a doorbell waits for an SRCU grace period (milliseconds), so a new
 * map is compared with what exists and only the difference is told to the kernel.
 */
#include "accel/kvm/kvm-int.h"
#include "util/error.h"
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#define LONG_BITS (8 * sizeof(unsigned long))
#define ROUND_UP_64(n) (((n) + 63) & ~(uint64_t)63)
/* Slots end here, so that shadowing below (PAM) never takes the guest's main memory away for a moment. */
#define SPLIT_AT 0x100000u

typedef struct Slot {
    AccelRange r;
    unsigned id;
    unsigned long *pending;     /* dirty pages that the kernel has told of and nobody asked for; NULL: no log */
} Slot;

static struct {
    GArray *slots[2];           /* Slot, sorted by gpa, for each address space */
    unsigned long *used[2];     /* bitmap of slot ids */
    unsigned limit;             /* of ids in one address space */
    bool failed;                /* said that KVM refused a slot */
} mem;

static size_t bitmap_longs(uint64_t pages)
{
    return (pages + LONG_BITS - 1) / LONG_BITS;
}

static void mem_init(void)
{
    mem.limit = MAX(kvm_check(KVM_CAP_NR_MEMSLOTS), 32);
    for (unsigned as = 0; as < 2; as++) {
        mem.slots[as] = g_array_new(FALSE, TRUE, sizeof(Slot));
        mem.used[as] = g_new0(unsigned long, bitmap_longs(mem.limit));
    }
}

static int id_alloc(unsigned as)
{
    for (unsigned i = 0; i < mem.limit; i++) {
        unsigned long bit = 1ul << i % LONG_BITS;

        if (!(mem.used[as][i / LONG_BITS] & bit)) {
            mem.used[as][i / LONG_BITS] |= bit;
            return i;
        }
    }
    return -1;
}

static void id_free(unsigned as, unsigned id)
{
    mem.used[as][id / LONG_BITS] &= ~(1ul << id % LONG_BITS);
}

static int slot_ioctl(unsigned as, const Slot *s, uint64_t size)
{
    struct kvm_userspace_memory_region m = {
        .slot = s->id | as << 16,
        .flags = (s->r.log ? KVM_MEM_LOG_DIRTY_PAGES : 0) | (s->r.readonly ? KVM_MEM_READONLY : 0),
        .guest_phys_addr = s->r.gpa,
        .memory_size = size,
        .userspace_addr = (uintptr_t)s->r.hva,
    };
    int r = kvm_vm_ioctl(KVM_SET_USER_MEMORY_REGION, &m);

    if (r < 0 && !mem.failed) {
        mem.failed = true;
        error_report("KVM does not take %" G_GUINT64_FORMAT " KiB of memory at 0x%" G_GINT64_MODIFIER "x: %s", s->r.size / 1024, s->r.gpa,
                     strerror(-r));
    }
    return r;
}

/* ---- Dirty log ---- */

/* Moves the kernel's dirty bits of pages [first, last) to s->pending (without manual protection: all pages'). */
static bool slot_sync(unsigned as, Slot *s, uint64_t first, uint64_t last)
{
    uint64_t pages = s->r.size / KVM_PAGE;
    size_t longs = bitmap_longs(ROUND_UP_64(pages));
    g_autofree unsigned long *bits = g_new0(unsigned long, longs);
    struct kvm_dirty_log log = { .slot = s->id | as << 16, .dirty_bitmap = bits };
    size_t from = 0, to = longs;

    if (kvm_vm_ioctl(KVM_GET_DIRTY_LOG, &log) < 0) {
        return false;
    }
    if (kvm.dirty_manual) {
        struct kvm_clear_dirty_log clear = { .slot = log.slot, .dirty_bitmap = NULL };
        bool any = false;

        from = first / 64 * (64 / LONG_BITS);
        to = MIN(longs, ROUND_UP_64(last) / LONG_BITS);
        for (size_t i = from; i < to && !any; i++) {
            any = bits[i];
        }
        if (!any) {
            return true;
        }
        clear.first_page = from * LONG_BITS;
        clear.num_pages = MIN(pages, to * LONG_BITS) - clear.first_page;
        clear.dirty_bitmap = bits + from;
        if (kvm_vm_ioctl(KVM_CLEAR_DIRTY_LOG, &clear) < 0) {
            return false;
        }
    }
    for (size_t i = from; i < to; i++) {
        s->pending[i] |= bits[i];
    }
    return true;
}

/* Moves bits [from, from + n) of src to dst, where the first goes to bit `at`; clears them in src. */
static void take_bits(unsigned long *dst, uint64_t at, unsigned long *src, uint64_t from, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        uint64_t b = from + i;

        if (b % LONG_BITS == 0 && !src[b / LONG_BITS]) {
            i += LONG_BITS - 1;
            continue;
        }
        if (b % LONG_BITS == 0 && (at + i) % LONG_BITS == 0 && n - i >= LONG_BITS) {
            dst[(at + i) / LONG_BITS] |= src[b / LONG_BITS];
            src[b / LONG_BITS] = 0;
            i += LONG_BITS - 1;
            continue;
        }
        if (src[b / LONG_BITS] >> b % LONG_BITS & 1) {
            src[b / LONG_BITS] &= ~(1ul << b % LONG_BITS);
            dst[(at + i) / LONG_BITS] |= 1ul << (at + i) % LONG_BITS;
        }
    }
}

bool kvm_dirty_get(uint64_t gpa, uint64_t size, unsigned long *bitmap)
{
    bool ok = true;

    if (!mem.slots[0]) {
        return false;
    }
    for (unsigned as = 0; as < 2; as++) {
        for (unsigned i = 0; i < mem.slots[as]->len; i++) {
            Slot *s = &g_array_index(mem.slots[as], Slot, i);
            uint64_t from = MAX(gpa, s->r.gpa), to = MIN(gpa + size, s->r.gpa + s->r.size);
            uint64_t first;

            if (from >= to || !s->pending) {
                continue;
            }
            first = (from - s->r.gpa) / KVM_PAGE;
            to = (to - s->r.gpa + KVM_PAGE - 1) / KVM_PAGE;
            ok = slot_sync(as, s, first, to) && ok;
            take_bits(bitmap, (from - gpa) / KVM_PAGE, s->pending, first, to - first);
        }
    }
    return ok;
}

static void slot_set_log(Slot *s)
{
    if (s->r.log && !s->pending) {
        s->pending = g_new0(unsigned long, bitmap_longs(ROUND_UP_64(s->r.size / KVM_PAGE)));
    } else if (!s->r.log) {
        g_clear_pointer(&s->pending, g_free);
    }
}

/* The log is going away: whoever keeps the display's or migration's dirty bits gets the last of it. */
static void slot_hand_over(unsigned as, Slot *s)
{
    uint64_t pages = s->r.size / KVM_PAGE;

    if (s->pending && kvm.host.dirty && slot_sync(as, s, 0, pages)) {
        kvm.host.dirty(kvm.host.opaque, s->r.hva, pages, s->pending);
    }
}

/* ---- The map ---- */

/* Whole pages of r that KVM can map; false: none. */
static bool range_trim(AccelRange *r)
{
    uint64_t skip = -r->gpa & (KVM_PAGE - 1);

    if (r->size <= skip || (r->readonly && !kvm.readonly_mem) || (((uintptr_t)r->hva + skip) & (KVM_PAGE - 1))) {
        return false;
    }
    r->gpa += skip;
    r->hva += skip;
    r->size = (r->size - skip) & ~(uint64_t)(KVM_PAGE - 1);
    return r->size;
}

static bool range_joins(const AccelRange *a, const AccelRange *b)
{
    return a->gpa + a->size == b->gpa && a->hva + a->size == b->hva && a->readonly == b->readonly && a->log == b->log
           && b->gpa != SPLIT_AT;
}

static void wanted_add(GArray *out, AccelRange r)
{
    Slot s = { .r = r };

    if (out->len && range_joins(&g_array_index(out, Slot, out->len - 1).r, &r)) {
        g_array_index(out, Slot, out->len - 1).r.size += r.size;
    } else {
        g_array_append_val(out, s);
    }
}

/* The slots that the ranges make: trimmed, joined, and cut at SPLIT_AT. */
static GArray *wanted_slots(const AccelRange *ranges, unsigned n)
{
    GArray *out = g_array_new(FALSE, TRUE, sizeof(Slot));

    for (unsigned i = 0; i < n; i++) {
        AccelRange r = ranges[i], low = r;

        if (!range_trim(&r)) {
            continue;
        }
        low = r;
        if (r.gpa < SPLIT_AT && r.gpa + r.size > SPLIT_AT) {
            low.size = SPLIT_AT - r.gpa;
            wanted_add(out, low);
            r.gpa += low.size;
            r.hva += low.size;
            r.size -= low.size;
        }
        wanted_add(out, r);
    }
    return out;
}

static bool same_place(const AccelRange *a, const AccelRange *b)
{
    return a->gpa == b->gpa && a->size == b->size && a->hva == b->hva && a->readonly == b->readonly;
}

/* Takes over the slot of old that is what `want` wants to be; it is marked as taken by size 0. */
static bool take_over(unsigned as, GArray *old, unsigned *at, Slot *want)
{
    Slot *s;

    while (*at < old->len && g_array_index(old, Slot, *at).r.gpa < want->r.gpa) {
        ++*at;
    }
    if (*at == old->len) {
        return false;
    }
    s = &g_array_index(old, Slot, *at);
    if (!same_place(&s->r, &want->r)) {
        return false;
    }
    want->id = s->id;
    want->pending = s->pending;
    if (s->r.log != want->r.log) {
        if (!want->r.log) {
            slot_hand_over(as, s);
        }
        slot_ioctl(as, want, want->r.size);
        slot_set_log(want);
    }
    s->r.size = 0;
    return true;
}

/* Does removing the slots left in old take memory away that a slot of want (not taken over) brings back? */
static bool makes_holes(const GArray *old, const GArray *want, const bool *kept)
{
    for (unsigned i = 0, j = 0; i < old->len && j < want->len; ) {
        const AccelRange *o = &g_array_index(old, Slot, i).r, *w = &g_array_index(want, Slot, j).r;

        if (!o->size || o->gpa + o->size <= w->gpa) {
            i++;
        } else if (kept[j] || w->gpa + w->size <= o->gpa) {
            j++;
        } else {
            return true;
        }
    }
    return false;
}

static void remove_slots(unsigned as, GArray *old)
{
    for (unsigned i = 0; i < old->len; i++) {
        Slot *s = &g_array_index(old, Slot, i);

        if (s->r.size) {
            slot_hand_over(as, s);
            slot_ioctl(as, s, 0);
            id_free(as, s->id);
            g_free(s->pending);
        }
    }
}

/* Adds the slots that are new; those that KVM does not take drop out (accesses there leave the guest instead). */
static void add_slots(unsigned as, GArray *want, bool *kept)
{
    for (unsigned i = 0, at = 0; i < want->len; at++) {
        Slot *s = &g_array_index(want, Slot, i);
        int id = kept[at] ? (int)s->id : id_alloc(as);

        if (!kept[at]) {
            s->id = MAX(id, 0);
            if (id < 0 || slot_ioctl(as, s, s->r.size) < 0) {
                if (id >= 0) {
                    id_free(as, id);
                }
                g_array_remove_index(want, i);
                continue;
            }
            slot_set_log(s);
        }
        i++;
    }
}

void kvm_set_memory(unsigned as, const AccelRange *ranges, unsigned n)
{
    GArray *want = wanted_slots(ranges, n), *old;
    g_autofree bool *kept = g_new0(bool, want->len + 1);
    bool hold;

    g_assert(as == 0 || (as == 1 && accel_smm));
    if (!mem.slots[0]) {
        mem_init();
    }
    old = mem.slots[as];
    for (unsigned i = 0, at = 0; i < want->len; i++) {
        kept[i] = take_over(as, old, &at, &g_array_index(want, Slot, i));
    }
    hold = makes_holes(old, want, kept);
    if (hold) {
        kvm_others_hold();
    }
    remove_slots(as, old);
    add_slots(as, want, kept);
    if (hold) {
        kvm_others_release();
    }
    g_array_free(old, TRUE);
    mem.slots[as] = want;
}

void kvm_memory_close(void)
{
    for (unsigned as = 0; as < 2 && mem.slots[0]; as++) {
        for (unsigned i = 0; i < mem.slots[as]->len; i++) {
            g_free(g_array_index(mem.slots[as], Slot, i).pending);
        }
        g_array_free(mem.slots[as], TRUE);
        g_free(mem.used[as]);
    }
    memset(&mem, 0, sizeof(mem));
}

/* ---- Doorbells and coalesced writes ---- */

bool kvm_ioeventfd(int fd, uint64_t addr, unsigned len, bool pio, const uint64_t *match, bool add, GError **err)
{
    struct kvm_ioeventfd e = {
        .datamatch = match ? *match : 0,
        .addr = addr,
        .len = len,
        .fd = fd,
        .flags = (match ? KVM_IOEVENTFD_FLAG_DATAMATCH : 0) | (pio ? KVM_IOEVENTFD_FLAG_PIO : 0) | (add ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN),
    };
    int r;

    if (!len && !kvm_check(KVM_CAP_IOEVENTFD_ANY_LENGTH)) {
        return error_set(err, "this kernel's KVM has no doorbells of any length");
    }
    r = kvm_vm_ioctl(KVM_IOEVENTFD, &e);
    return r < 0 ? error_set_errno(err, -r, "KVM does not %s a doorbell at 0x%" G_GINT64_MODIFIER "x", add ? "add" : "remove", addr) : true;
}

bool kvm_coalesce(uint64_t addr, uint64_t size, bool pio, bool add)
{
    struct kvm_coalesced_mmio_zone z = { .addr = addr, .size = size, .pio = pio };

    if (size > UINT32_MAX || !kvm_check(pio ? KVM_CAP_COALESCED_PIO : KVM_CAP_COALESCED_MMIO)) {
        return false;
    }
    return kvm_vm_ioctl(add ? KVM_REGISTER_COALESCED_MMIO : KVM_UNREGISTER_COALESCED_MMIO, &z) == 0;
}

void kvm_coalesced_flush(void)
{
    struct kvm_coalesced_mmio_ring *ring = kvm.ring;

    if (!ring) {
        return;
    }
    while (ring->first != __atomic_load_n(&ring->last, __ATOMIC_ACQUIRE)) {
        struct kvm_coalesced_mmio e = ring->coalesced_mmio[ring->first % kvm.ring_entries];

        /* Freed first: the handler may flush again. */
        __atomic_store_n(&ring->first, (ring->first + 1) % kvm.ring_entries, __ATOMIC_RELEASE);
        if (e.len <= sizeof(e.data)) {
            kvm.host.coalesced(kvm.host.opaque, e.phys_addr, e.data, e.len, e.pio);
        }
    }
}
