/*
 * Page tables as the monitor walks them: addresses, and the lists of info mem and info tlb.
 * Facts: SDM volume 3, chapter 4 (32-bit, PAE, 4- and 5-level paging).
 */
#include "target/i386/cpu-int.h"
#include "hw/core/memory.h"

enum { PG_P = 1 << 0, PG_RW = 1 << 1, PG_USER = 1 << 2, PG_PWT = 1 << 3, PG_PCD = 1 << 4, PG_A = 1 << 5, PG_D = 1 << 6, PG_PS = 1 << 7,
       PG_G = 1 << 8 };
#define PG_NX (1ull << 63)
#define ADDR_52 0x000ffffffffff000ull

typedef struct Paging {
    unsigned levels, entry, bits;   /* bytes an entry; address bits a level */
    uint64_t root;
    bool pae_top, large[5];         /* the top level has no permissions; large pages at level n (0: last) */
} Paging;

/* What a walk says of each page; rights are the AND of all levels. Returns false to stop. */
typedef bool PageFn(void *opaque, uint64_t addr, uint64_t pte, unsigned shift, unsigned rights);

static bool paging_of(const X86Cpu *c, Paging *p)
{
    if (!(c->cr0 & CR0_PG)) {
        return false;
    }
    *p = (Paging){ .levels = 2, .entry = 4, .bits = 10, .root = c->cr3 & 0xfffff000, .large = { [1] = c->cr4 & CR4_PSE } };
    if (c->cr4 & CR4_PAE) {
        bool lma = c->efer & EFER_LMA;

        *p = (Paging){ .levels = !lma ? 3 : c->cr4 & CR4_LA57 ? 5 : 4, .entry = 8, .bits = 9, .pae_top = !lma,
                       .root = lma ? c->cr3 & ADDR_52 : c->cr3 & 0xffffffe0, .large = { [1] = true, [2] = lma } };
    }
    return true;
}

static unsigned level_shift(const Paging *p, unsigned level)
{
    return 12 + level * p->bits;
}

static uint64_t read_entry(const X86Cpu *c, const Paging *p, uint64_t table, unsigned i)
{
    uint64_t e = 0;

    mem_copy(c->dev.machine, table + (uint64_t)i * p->entry, &e, p->entry, false);
    return e;
}

/* Where a large 4 MiB page lies (PSE-36), or any other. */
static uint64_t page_base(const Paging *p, uint64_t pte, unsigned level)
{
    uint64_t size = 1ull << level_shift(p, level);

    if (p->entry == 4 && level == 1) {
        return (pte & 0xffc00000) | (pte & 0x1fe000) << 19;
    }
    return pte & ADDR_52 & ~(size - 1);
}

static unsigned entry_rights(const Paging *p, uint64_t e, unsigned level)
{
    return p->pae_top && level == 2 ? PG_USER | PG_RW : e & (PG_USER | PG_RW);
}

/* ---- One address ---- */

static uint64_t walk_one(X86Cpu *c, uint64_t addr)
{
    Paging p;
    uint64_t table;

    if (!paging_of(c, &p)) {
        return addr;
    }
    if (p.levels < 4) {
        addr = (uint32_t)addr;
    }
    table = p.root;
    for (unsigned level = p.levels; level-- > 0; ) {
        unsigned shift = level_shift(&p, level), width = p.pae_top && level == 2 ? 2 : p.bits;
        uint64_t e = read_entry(c, &p, table, addr >> shift & ((1u << width) - 1));

        if (!(e & PG_P)) {
            return UINT64_MAX;
        }
        if (level == 0 || (p.large[level] && (e & PG_PS))) {
            return page_base(&p, e, level) | (addr & ((1ull << shift) - 1));
        }
        table = e & ADDR_52;
    }
    return UINT64_MAX;
}

uint64_t x86_virt_to_phys(X86Cpu *c, uint64_t addr)
{
    x86_cpu_sync(c);
    return walk_one(c, addr);
}

bool x86_memory_rw(X86Cpu *c, uint64_t addr, void *buf, size_t len, bool write)
{
    uint8_t *b = buf;

    if (!vcpu_current()) {
        x86_cpu_sync(c);
    }
    while (len) {
        size_t n = MIN(len, 4096 - (addr & 4095));
        uint64_t phys = walk_one(c, addr);

        if (phys == UINT64_MAX) {
            return false;
        }
        if (write) {
            mem_write_rom(c->dev.machine, phys, b, n);
        } else {
            mem_copy(c->dev.machine, phys, b, n, false);
        }
        addr += n;
        b += n;
        len -= n;
    }
    return true;
}

/* ---- All of them ---- */

static void walk_table(X86Cpu *c, const Paging *p, unsigned level, uint64_t table, uint64_t base, unsigned rights, PageFn *fn, void *opaque)
{
    unsigned shift = level_shift(p, level), n = p->pae_top && level == 2 ? 4 : 1u << p->bits;
    g_autofree uint8_t *entries = g_malloc0((size_t)n * p->entry);

    mem_copy(c->dev.machine, table, entries, (size_t)n * p->entry, false);
    for (unsigned i = 0; i < n; i++) {
        uint64_t e = 0, addr = base + ((uint64_t)i << shift);
        unsigned r;

        memcpy(&e, entries + (size_t)i * p->entry, p->entry);
        r = e & PG_P ? rights & entry_rights(p, e, level) : 0;
        if (!(e & PG_P)) {
            fn(opaque, addr, 0, shift, 0);
        } else if (level == 0 || (p->large[level] && (e & PG_PS))) {
            fn(opaque, addr, e, shift, r | PG_P);
        } else {
            walk_table(c, p, level - 1, e & ADDR_52, addr, r, fn, opaque);
        }
    }
}

static bool walk_all(X86Cpu *c, PageFn *fn, void *opaque)
{
    Paging p;

    x86_cpu_sync(c);
    if (!paging_of(c, &p)) {
        return false;
    }
    walk_table(c, &p, p.levels - 1, p.root, 0, PG_USER | PG_RW, fn, opaque);
    return true;
}

static uint64_t canonical(const X86Cpu *c, uint64_t addr)
{
    unsigned top = c->cr4 & CR4_LA57 ? 56 : 47;

    return addr >> top & 1 ? addr | -(1ull << top) : addr;
}

typedef struct Listing { X86Cpu *c; GString *out; uint64_t start; unsigned rights; bool open; } Listing;

static void end_range(Listing *l, uint64_t end)
{
    if (l->open) {
        g_string_append_printf(l->out, "%016" G_GINT64_MODIFIER "x-%016" G_GINT64_MODIFIER "x %016" G_GINT64_MODIFIER "x %c%c%c\n",
                               canonical(l->c, l->start), canonical(l->c, end), canonical(l->c, end - l->start),
                               l->rights & PG_USER ? 'u' : '-', 'r', l->rights & PG_RW ? 'w' : '-');
    }
    l->open = false;
}

static bool list_range(void *opaque, uint64_t addr, uint64_t pte, unsigned shift, unsigned rights)
{
    Listing *l = opaque;

    if (l->open && rights == l->rights) {
        return true;
    }
    end_range(l, addr);
    if (rights) {
        *l = (Listing){ l->c, l->out, addr, rights, true };
    }
    return true;
}

void x86_print_mem(X86Cpu *c, GString *out)
{
    Listing l = { .c = c, .out = out };
    unsigned bits;

    if (!walk_all(c, list_range, &l)) {
        g_string_append(out, "PG disabled\n");
        return;
    }
    bits = !(c->efer & EFER_LMA) ? 32 : c->cr4 & CR4_LA57 ? 57 : 48;
    end_range(&l, 1ull << bits);
}

static bool list_page(void *opaque, uint64_t addr, uint64_t pte, unsigned shift, unsigned rights)
{
    static const struct { char name; uint8_t bit; } flags[] = { { 'X', 63 }, { 'G', 8 }, { 'P', 7 }, { 'D', 6 }, { 'A', 5 }, { 'C', 4 },
                                                                { 'T', 3 }, { 'U', 2 }, { 'W', 1 } };
    Listing *l = opaque;
    unsigned low = shift == 22 ? 21 : shift == 21 && !(l->c->efer & EFER_LMA) ? 20 : shift;     /* address bits start here */
    uint64_t base = pte & ADDR_52 & ~((1ull << low) - 1);

    if (!(rights & PG_P)) {
        return true;
    }
    if (shift == 12) {
        pte &= ~(uint64_t)PG_PS;        /* it is PAT here */
    }
    g_string_append_printf(l->out, "%016" G_GINT64_MODIFIER "x: %016" G_GINT64_MODIFIER "x ", canonical(l->c, addr), base);
    for (unsigned i = 0; i < G_N_ELEMENTS(flags); i++) {
        g_string_append_c(l->out, pte >> flags[i].bit & 1 ? flags[i].name : '-');
    }
    g_string_append_c(l->out, '\n');
    return true;
}

void x86_print_tlb(X86Cpu *c, GString *out)
{
    Listing l = { .c = c, .out = out };

    if (!walk_all(c, list_page, &l)) {
        g_string_append(out, "PG disabled\n");
    }
}
