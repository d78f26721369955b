/* Registers and LAPICs as `info registers` and `info lapic` show them; registers by name. */
#include "target/i386/cpu-int.h"
#include "hw/core/memory.h"
#include <stdio.h>

enum { CODE_BEFORE = 20, CODE_BYTES = 50, XCR0_AVX = 1 << XC_SSE | 1 << XC_AVX, XCR0_AVX512 = XCR0_AVX | 7 << XC_OPMASK };
enum { DESC_A = 1 << 8, DESC_RW = 1 << 9, DESC_CE = 1 << 10, DESC_CODE = 1 << 11 };
#define X16 "%016" G_GINT64_MODIFIER "x"

static bool is_64(const X86Cpu *c)
{
    return x86_cpu_code_bits(c) == 64;
}

static void print_general(const X86Cpu *c, GString *out)
{
    static const char *const names[] = { "AX", "BX", "CX", "DX", "SI", "DI", "BP", "SP" };
    static const uint8_t order[] = { R_EAX, R_EBX, R_ECX, R_EDX, R_ESI, R_EDI, R_EBP, R_ESP };

    for (unsigned i = 0; i < 8; i++) {
        if (is_64(c)) {
            g_string_append_printf(out, "R%s=" X16 "%c", names[i], c->regs[order[i]], i % 4 == 3 ? '\n' : ' ');
        } else {
            g_string_append_printf(out, "E%s=%08x%c", names[i], (uint32_t)c->regs[order[i]], i % 4 == 3 ? '\n' : ' ');
        }
    }
    for (unsigned i = 8; i < 16 && is_64(c); i++) {
        g_string_append_printf(out, "R%-2u=" X16 "%c", i, c->regs[i], i % 4 == 3 ? '\n' : ' ');
    }
}

static void print_flags(const X86Cpu *c, GString *out)
{
    static const struct { char name; uint8_t bit; } flags[] = { { 'D', 10 }, { 'O', 11 }, { 'S', 7 }, { 'Z', 6 }, { 'A', 4 }, { 'P', 2 },
                                                                { 'C', 0 } };

    if (is_64(c)) {
        g_string_append_printf(out, "RIP=" X16 " RFL=%08x [", c->eip, (uint32_t)c->eflags);
    } else {
        g_string_append_printf(out, "EIP=%08x EFL=%08x [", (uint32_t)c->eip, (uint32_t)c->eflags);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(flags); i++) {
        g_string_append_c(out, c->eflags >> flags[i].bit & 1 ? flags[i].name : '-');
    }
    g_string_append_printf(out, "] CPL=%u II=%u A20=%d SMM=%u HLT=%u\n", c->hflags & HF_CPL, c->interrupt_shadow ? 1 : 0,
                           c->a20_mask >> 20 & 1, c->smm ? 1 : 0, c->halted ? 1 : 0);
}

static void print_system_type(const X86Cpu *c, uint32_t flags, GString *out)
{
    static const char *const types[2][16] = {
        { "Reserved", "TSS16-avl", "LDT", "TSS16-busy", "CallGate16", "TaskGate", "IntGate16", "TrapGate16",
          "Reserved", "TSS32-avl", "Reserved", "TSS32-busy", "CallGate32", "Reserved", "IntGate32", "TrapGate32" },
        { "<hiword>", "Reserved", "LDT", "Reserved", "Reserved", "Reserved", "Reserved", "Reserved",
          "Reserved", "TSS64-avl", "Reserved", "TSS64-busy", "CallGate64", "Reserved", "IntGate64", "TrapGate64" },
    };

    g_string_append(out, types[!!(c->efer & EFER_LMA)][flags >> SEG_TYPE_SHIFT & 15]);
}

static void print_segment(const X86Cpu *c, const char *name, const X86Segment *s, GString *out)
{
    if (is_64(c)) {
        g_string_append_printf(out, "%-3s=%04x " X16 " %08x %08x", name, s->selector, s->base, s->limit, s->flags & 0x00ffff00);
    } else {
        g_string_append_printf(out, "%-3s=%04x %08x %08x %08x", name, s->selector, (uint32_t)s->base, s->limit, s->flags & 0x00ffff00);
    }
    if ((c->cr0 & CR0_PE) && (s->flags & SEG_P)) {
        g_string_append_printf(out, " DPL=%u ", s->flags >> SEG_DPL_SHIFT & 3);
        if (!(s->flags & SEG_S)) {
            print_system_type(c, s->flags, out);
        } else {
            bool code = s->flags & DESC_CODE;
            const char *kind = code ? (s->flags & SEG_L) ? "CS64" : (s->flags & SEG_B) ? "CS32" : "CS16"
                               : (s->flags & SEG_B) || (c->efer & EFER_LMA) ? "DS  " : "DS16";

            g_string_append_printf(out, "%s [%c%c%c]", kind, s->flags & DESC_CE ? (code ? 'C' : 'E') : '-',
                                   s->flags & DESC_RW ? (code ? 'R' : 'W') : '-', s->flags & DESC_A ? 'A' : '-');
        }
    }
    g_string_append_c(out, '\n');
}

static void print_tables_and_control(const X86Cpu *c, GString *out)
{
    const X86Segment *const tables[] = { &c->gdt, &c->idt };

    for (unsigned i = 0; i < 2; i++) {
        if (is_64(c)) {
            g_string_append_printf(out, "%s=     " X16 " %08x\n", i ? "IDT" : "GDT", tables[i]->base, tables[i]->limit);
        } else {
            g_string_append_printf(out, "%s=     %08x %08x\n", i ? "IDT" : "GDT", (uint32_t)tables[i]->base, tables[i]->limit);
        }
    }
    if (is_64(c)) {
        g_string_append_printf(out, "CR0=%08x CR2=" X16 " CR3=" X16 " CR4=%08x\n", (uint32_t)c->cr0, c->cr2, c->cr3, (uint32_t)c->cr4);
    } else {
        g_string_append_printf(out, "CR0=%08x CR2=%08x CR3=%08x CR4=%08x\n", (uint32_t)c->cr0, (uint32_t)c->cr2, (uint32_t)c->cr3,
                               (uint32_t)c->cr4);
    }
    for (unsigned i = 0; i < 4; i++) {
        g_string_append_printf(out, "DR%u=" X16 " ", i, c->dr[i]);
    }
    g_string_append_printf(out, "\nDR6=" X16 " DR7=" X16 "\n", c->dr[6], c->dr[7]);
    g_string_append_printf(out, "EFER=" X16 "\n", c->efer);
}

static void print_vectors(const X86Cpu *c, GString *out)
{
    unsigned n = is_64(c) ? 16 : 8, quads = 2;
    const char *name = "XMM";

    if ((c->xcr0 & XCR0_AVX512) == XCR0_AVX512) {
        for (unsigned i = 0; i < 8; i++) {
            g_string_append_printf(out, "Opmask%02u=" X16 "%c", i, c->opmask[i], i % 4 == 3 ? '\n' : ' ');
        }
        n = is_64(c) ? 32 : 8;
        quads = 8;
        name = "ZMM";
    } else if ((c->xcr0 & XCR0_AVX) == XCR0_AVX) {
        quads = 4;
        name = "YMM";
    }
    for (unsigned i = 0; i < n; i++) {
        g_string_append_printf(out, "%s%02u=", name, i);
        for (unsigned q = quads; q-- > 0; ) {
            g_string_append_printf(out, X16 "%s", c->zmm[i].q[q], q ? " " : "");
        }
        g_string_append_c(out, quads == 2 && i % 2 == 0 ? ' ' : '\n');
    }
}

static void print_fpu(const X86Cpu *c, GString *out)
{
    g_string_append_printf(out, "FCW=%04x FSW=%04x [ST=%u] FTW=%02x MXCSR=%08x\n", c->fpuc, c->fpus, c->fpus >> 11 & 7, c->fptag, c->mxcsr);
    for (unsigned i = 0; i < 8; i++) {
        g_string_append_printf(out, "FPR%u=" X16 " %04x%c", i, c->fpregs[i].mant, c->fpregs[i].exp, i % 2 ? '\n' : ' ');
    }
    print_vectors(c, out);
}

static void print_code(X86Cpu *c, GString *out)
{
    uint64_t base = c->segs[R_CS].base + c->eip;
    unsigned before = MIN(c->eip, CODE_BEFORE);

    g_string_append(out, "Code=");
    for (unsigned i = 0; i < CODE_BYTES; i++) {
        uint8_t byte;
        bool there = x86_memory_rw(c, base - before + i, &byte, 1, false);

        g_string_append_printf(out, "%s%s", i ? " " : "", i == before ? "<" : "");
        if (there) {
            g_string_append_printf(out, "%02x", byte);
        } else {
            g_string_append(out, "??");
        }
        g_string_append(out, i == before ? ">" : "");
    }
    g_string_append_c(out, '\n');
}

void x86_print_registers(X86Cpu *c, GString *out, bool fpu, bool code)
{
    static const char *const names[] = { "ES", "CS", "SS", "DS", "FS", "GS" };

    print_general(c, out);
    print_flags(c, out);
    for (unsigned i = 0; i < 6; i++) {
        print_segment(c, names[i], &c->segs[i], out);
    }
    print_segment(c, "LDT", &c->ldt, out);
    print_segment(c, "TR", &c->tr, out);
    print_tables_and_control(c, out);
    if (fpu) {
        print_fpu(c, out);
    }
    if (code) {
        print_code(c, out);
    }
}

void x86_print_cpus(Machine *m, GString *out, unsigned current)
{
    for (unsigned i = 0; i < m->vcpus->len; i++) {
        const Vcpu *v = g_ptr_array_index(m->vcpus, i);

        g_string_append_printf(out, "%c CPU #%u: thread_id=%d\n", v->index == current ? '*' : ' ', v->index, v->tid);
    }
}

/* ---- info lapic ---- */

static void print_lvt(GString *out, const char *name, uint32_t lvt, bool timer)
{
    static const char *const modes[] = { "Fixed", "...", "SMI", "...", "NMI", "INIT", "...", "ExtINT" };
    static const char *const timers[] = { "one-shot", "periodic", "tsc-deadline", "..." };
    unsigned mode = lvt >> 8 & 7;

    g_string_append_printf(out, "%s\t 0x%08x %s %-5s %-6s %-7s %-12s %-6s", name, lvt, lvt & 1 << 13 ? "active-lo" : "active-hi",
                           lvt & 1 << 15 ? "level" : "edge", lvt & 1 << 16 ? "masked" : "", lvt & 1 << 12 ? "pending" : "",
                           timer ? timers[lvt >> 17 & 3] : "", modes[mode]);
    if (mode != 4) {
        g_string_append_printf(out, " (vec %u)", lvt & 0xff);
    }
    g_string_append_c(out, '\n');
}

static void print_mask(GString *out, uint32_t mask, unsigned bits)
{
    while (bits-- > 0) {
        g_string_append_c(out, mask >> bits & 1 ? '1' : '0');
    }
}

static void print_destination(const X86Cpu *c, const X86Lapic *a, GString *out)
{
    bool x2apic = x86_spec_has(c->spec, FW_1_ECX, F1_ECX_X2APIC);
    uint32_t dest = x2apic ? a->icr[1] : a->icr[1] >> 24;
    unsigned bits = x2apic ? 16 : 4;

    if (!(a->icr[0] & 1 << 11)) {
        g_string_append_printf(out, " cpu %u (%s ID)", dest, x2apic ? "X2APIC" : "APIC");
    } else if (a->dest_mode == 0xf) {
        g_string_append(out, " mask ");
        print_mask(out, a->icr[1] >> 24, 8);
        g_string_append(out, " (APIC ID)");
    } else if (a->dest_mode == 0) {
        g_string_append_printf(out, " cluster %u mask ", dest >> bits);
        print_mask(out, dest, bits);
        g_string_append_printf(out, " (%s ID)", x2apic ? "X2APIC" : "APIC");
    }
}

static void print_icr(const X86Cpu *c, const X86Lapic *a, GString *out)
{
    static const char *const shorthands[] = { "no-shorthand", "self", "all-self", "all" };
    uint32_t icr = a->icr[0];

    g_string_append_printf(out, "ICR\t 0x%08x %s %s %s %s\n", icr, icr & 1 << 11 ? "logical" : "physical", icr & 1 << 15 ? "level" : "edge",
                           icr & 1 << 14 ? "assert" : "de-assert", shorthands[icr >> 18 & 3]);
    g_string_append_printf(out, "ICR2\t 0x%08x", a->icr[1]);
    if (!(icr >> 18 & 3)) {
        print_destination(c, a, out);
    }
    g_string_append_c(out, '\n');
}

static bool vector_in(const uint32_t set[8], unsigned v)
{
    return set[v / 32] >> v % 32 & 1;
}

static void print_vectors_in(GString *out, const char *name, const uint32_t set[8], const uint32_t tmr[8])
{
    bool any = false;

    g_string_append_printf(out, "%s\t ", name);
    for (unsigned v = 0; v < 256; v++) {
        if (vector_in(set, v)) {
            g_string_append_printf(out, "%u%s ", v, vector_in(tmr, v) ? "(level)" : "");
            any = true;
        }
    }
    g_string_append_printf(out, "%s\n", any ? "" : "(none)");
}

static unsigned highest(const uint32_t set[8])
{
    for (unsigned v = 256; v-- > 0; ) {
        if (vector_in(set, v)) {
            return v;
        }
    }
    return 0;
}

void x86_print_lapic(X86Cpu *c, GString *out)
{
    static const char *const names[] = { "LVT0", "LVT1", "LVTPC", "LVTERR", "LVTTHMR", "LVTT" };
    static const uint8_t order[] = { 3, 4, 2, 5, 1, 0 };        /* in the registers' order: timer, thermal, PMU, LINT0, LINT1, error */
    const X86Lapic *a = c->lapic;
    unsigned isrv = highest(a->isr) & 0xf0;

    x86_cpu_sync(c);
    isrv = highest(a->isr) & 0xf0;
    g_string_append_printf(out, "dumping local APIC state for CPU %-2u\n\n", c->index);
    for (unsigned i = 0; i < G_N_ELEMENTS(order); i++) {
        print_lvt(out, names[i], a->lvt[order[i]], order[i] == 0);
    }
    g_string_append_printf(out, "Timer\t DCR=0x%x (divide by %u) initial_count = %u current_count = %u\n", a->divide_conf & 0xb,
                           1u << (a->count_shift & 7), a->initial_count, a->current_count);
    g_string_append_printf(out, "SPIV\t 0x%08x APIC %s, focus=%s, spurious vec %u\n", a->spurious_vec,
                           a->spurious_vec & 1 << 8 ? "enabled" : "disabled", a->spurious_vec & 1 << 9 ? "on" : "off", a->spurious_vec & 0xff);
    print_icr(c, a, out);
    g_string_append_printf(out, "ESR\t 0x%08x\n", a->esr);
    print_vectors_in(out, "ISR", a->isr, a->tmr);
    print_vectors_in(out, "IRR", a->irr, a->tmr);
    g_string_append_printf(out, "\nAPR 0x%02x TPR 0x%02x DFR 0x%02x LDR 0x%02x", a->arb_id, a->tpr, a->dest_mode, a->log_dest);
    if (a->dest_mode == 0) {
        g_string_append_printf(out, "(cluster %u: id %u)", a->log_dest >> 4, a->log_dest & 0xf);
    }
    g_string_append_printf(out, " PPR 0x%02x\n", (a->tpr & 0xf0) >= isrv ? a->tpr : isrv);
}

/* ---- By name ---- */

bool x86_register_by_name(X86Cpu *c, const char *name, uint64_t *value)
{
    static const char *const general[] = { "ax", "cx", "dx", "bx", "sp", "bp", "si", "di" };
    static const char *const segments[] = { "es", "cs", "ss", "ds", "fs", "gs" };
    unsigned n;
    char more;

    x86_cpu_sync(c);
    for (unsigned i = 0; i < 8; i++) {
        if ((name[0] == 'e' || name[0] == 'r') && !strcmp(name + 1, general[i])) {
            *value = name[0] == 'e' ? (uint32_t)c->regs[i] : c->regs[i];
            return true;
        }
    }
    for (unsigned i = 0; i < 6; i++) {
        if (!strncmp(name, segments[i], 2) && (!name[2] || !strcmp(name + 2, ".base") || !strcmp(name + 2, ".limit"))) {
            *value = !name[2] ? c->segs[i].selector : name[3] == 'b' ? c->segs[i].base : c->segs[i].limit;
            return true;
        }
    }
    if (sscanf(name, "r%u%c", &n, &more) == 1 && n >= 8 && n <= 15) {
        *value = c->regs[n];
    } else if (!strcmp(name, "eip") || !strcmp(name, "pc") || !strcmp(name, "rip")) {
        *value = c->eip + (name[0] == 'p' ? c->segs[R_CS].base : 0);
    } else if (!strcmp(name, "eflags") || !strcmp(name, "rflags")) {
        *value = c->eflags;
    } else if (!strcmp(name, "cr0") || !strcmp(name, "cr2") || !strcmp(name, "cr3") || !strcmp(name, "cr4")) {
        *value = (uint64_t[]){ c->cr0, 0, c->cr2, c->cr3, c->cr4 }[name[2] - '0'];
    } else if (!strcmp(name, "efer")) {
        *value = c->efer;
    } else if (!strcmp(name, "xcr0")) {
        *value = c->xcr0;
    } else {
        return false;
    }
    return true;
}
