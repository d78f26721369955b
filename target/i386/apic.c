/*
 * The local APIC in user space, for kernel-irqchip=off and for -accel qtest; and the window through which devices
 * send MSIs, with any irqchip. Facts: SDM volume 3, chapter 11.
 *
 * Not modelled: x2APIC, TSC deadlines, the performance and thermal interrupts (their LVT entries only hold values),
 * lowest priority by arbitration (the first of the candidates gets it).
 */
#include "target/i386/apic-int.h"
#include "accel/kvm/kvm.h"
#include "util/error.h"

enum { LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR };
enum { DM_FIXED, DM_LOWPRI, DM_SMI, DM_NMI = 4, DM_INIT, DM_SIPI, DM_EXTINT };
enum { LVT_MASKED = 1 << 16, LVT_PERIODIC = 1 << 17, SPIV_ENABLE = 1 << 8, SPIV_NO_EOI_BROADCAST = 1 << 12, LEVEL_ASSERT = 1 << 14 };
enum { ESR_SEND_ILLEGAL = 1 << 5, ESR_RECV_ILLEGAL = 1 << 6, ESR_ILLEGAL_ADDRESS = 1 << 7 };
#define WINDOW_SIZE 0x100000u

static X86Lapic *lapic(Machine *m, unsigned i)
{
    return x86_cpu_of(g_ptr_array_index(m->vcpus, i))->lapic;
}

static bool bit(const uint32_t set[8], unsigned n)
{
    return set[n / 32 & 7] >> n % 32 & 1;
}

static void set_bit(uint32_t set[8], unsigned n, bool on)
{
    set[n / 32 & 7] = on ? set[n / 32 & 7] | 1u << n % 32 : set[n / 32 & 7] & ~(1u << n % 32);
}

static int highest(const uint32_t set[8])
{
    for (int i = 7; i >= 0; i--) {
        if (set[i]) {
            return i * 32 + 31 - __builtin_clz(set[i]);
        }
    }
    return -1;
}

static unsigned processor_priority(const X86Lapic *a)
{
    unsigned isr = MAX(highest(a->isr), 0) & 0xf0;

    return (a->tpr & 0xf0) >= isr ? a->tpr : isr;
}

static bool enabled(const X86Lapic *a)
{
    return (a->cpu->apicbase & APICBASE_ENABLE) && (a->spurious_vec & SPIV_ENABLE);
}

/* ---- Between the APIC and its CPU ---- */

/* Asks the CPU to look: something of `what` is there for it. Its thread takes it up in x86_apic_before_run. */
static void request(X86Lapic *a, uint32_t what)
{
    g_atomic_int_or(&a->requests, what);
    accel->vcpu_kick(&a->cpu->vcpu);
}

static int deliverable(const X86Lapic *a)
{
    int irr = enabled(a) ? highest(a->irr) : -1;

    return irr >= 0 && (unsigned)(irr & 0xf0) > (processor_priority(a) & 0xf0) ? irr : -1;
}

static bool takes_pic(const X86Lapic *a)
{
    uint32_t lvt = a->lvt[LVT_LINT0];

    return !(a->cpu->apicbase & APICBASE_ENABLE) || (!(lvt & LVT_MASKED) && (lvt >> 8 & 7) == DM_EXTINT);
}

static void update(X86Lapic *a)
{
    if (deliverable(a) >= 0 || (a->pic_level && takes_pic(a))) {
        request(a, APIC_REQ_IRQ);
    }
}

static void raise_vector(X86Lapic *a, unsigned vector, bool level)
{
    if (vector < 16) {
        a->esr |= ESR_RECV_ILLEGAL;
        return;
    }
    set_bit(a->irr, vector, true);
    set_bit(a->tmr, vector, level);
    update(a);
}

/* The vector that the CPU is to take now, as its INTA cycle would fetch it; -1: none. */
int x86_apic_take(X86Lapic *a)
{
    int v = deliverable(a);

    if (v >= 0) {
        set_bit(a->irr, v, false);
        set_bit(a->isr, v, true);
        return v;
    }
    if (a->pic_level && takes_pic(a) && a->host->pic_read) {
        return a->host->pic_read(a->host->opaque);
    }
    return -1;
}

bool x86_apic_pending(const X86Lapic *a)
{
    return deliverable(a) >= 0 || (a->pic_level && takes_pic(a));
}

static void lint(X86Lapic *a, unsigned pin)
{
    uint32_t lvt = a->lvt[pin];

    if (lvt & LVT_MASKED) {
        return;
    }
    switch (lvt >> 8 & 7) {
    case DM_FIXED:
        raise_vector(a, lvt & 0xff, lvt & 1 << 15);
        break;
    case DM_NMI:
        request(a, APIC_REQ_NMI);
        break;
    }
}

void x86_apic_pic_line(void *machine, unsigned n, int level)
{
    Machine *m = machine;

    for (unsigned i = 0; i < m->vcpus->len; i++) {
        X86Lapic *a = lapic(m, i);

        a->pic_level = level;
        if (accel_irqchip == IRQCHIP_SPLIT) {
            if (level && !i) {
                request(a, APIC_REQ_IRQ);       /* the PIC is wired to the first CPU */
            }
            continue;
        }
        if (level) {
            lint(a, LVT_LINT0);
        }
        update(a);
    }
}

void x86_apic_nmi(X86Lapic *a)
{
    lint(a, LVT_LINT1);
}

/* ---- Messages ---- */

static bool addressed(const X86Lapic *a, unsigned dest, bool logical)
{
    if (!(a->cpu->apicbase & APICBASE_ENABLE)) {
        return false;
    }
    if (!logical) {
        return dest == 0xff || dest == a->id;
    }
    if (a->dest_mode == 0xf) {
        return dest & a->log_dest;
    }
    return a->dest_mode == 0 && (dest & 0xf0) == (a->log_dest & 0xf0) && (dest & a->log_dest & 0xf);
}

static void accept(X86Lapic *a, unsigned mode, unsigned vector, bool level)
{
    switch (mode) {
    case DM_FIXED: case DM_LOWPRI:
        if (enabled(a)) {
            raise_vector(a, vector, level);
        }
        break;
    case DM_NMI:
        request(a, APIC_REQ_NMI);
        break;
    case DM_SMI:
        request(a, APIC_REQ_SMI);
        break;
    case DM_INIT:
        request(a, APIC_REQ_INIT);
        break;
    case DM_SIPI:
        a->sipi_vector = vector;
        if (a->wait_for_sipi || (g_atomic_int_get(&a->requests) & APIC_REQ_INIT)) {
            request(a, APIC_REQ_SIPI);
        }
        break;
    }
}

static void deliver(Machine *m, unsigned dest, bool logical, unsigned mode, unsigned vector, bool level)
{
    for (unsigned i = 0; i < m->vcpus->len; i++) {
        X86Lapic *a = lapic(m, i);

        if (addressed(a, dest, logical)) {
            accept(a, mode, vector, level);
            if (mode == DM_LOWPRI) {
                return;
            }
        }
    }
}

void x86_apic_msi(Machine *m, uint64_t addr, uint32_t data)
{
    deliver(m, addr >> 12 & 0xff, addr >> 2 & 1, data >> 8 & 7, data & 0xff, data >> 15 & 1);
}

static void send_ipi(X86Lapic *a)
{
    uint32_t icr = a->icr[0];
    Machine *m = a->dev.machine;
    unsigned mode = icr >> 8 & 7, shorthand = icr >> 18 & 3;

    if (mode == DM_INIT && (icr & 1 << 15) && !(icr & LEVEL_ASSERT)) {
        return;                     /* INIT de-assert: sets arbitration ids, of which there are none */
    }
    if (shorthand == 0) {
        deliver(m, a->icr[1] >> 24, icr >> 11 & 1, mode, icr & 0xff, icr >> 15 & 1);
        return;
    }
    for (unsigned i = 0; i < m->vcpus->len; i++) {
        X86Lapic *to = lapic(m, i);

        if (shorthand == 1 ? to == a : shorthand == 2 || to != a) {
            accept(to, mode, icr & 0xff, icr >> 15 & 1);
        }
    }
}

static void end_of_interrupt(X86Lapic *a)
{
    int v = highest(a->isr);
    Machine *m = a->dev.machine;

    if (v < 0) {
        return;
    }
    set_bit(a->isr, v, false);
    if (!(a->spurious_vec & SPIV_NO_EOI_BROADCAST) && bit(a->tmr, v) && m->type->ioapic_eoi) {
        m->type->ioapic_eoi(m, v);
    }
    update(a);
}

/* ---- The timer: a bus clock of 1 GHz, divided ---- */

static uint32_t timer_count(X86Lapic *a)
{
    uint64_t ticks = (vm_now(&a->dev) - a->initial_count_load_time) >> a->count_shift;

    if (!a->initial_count) {
        return 0;
    }
    if (a->lvt[LVT_TIMER] & LVT_PERIODIC) {
        return a->initial_count - ticks % ((uint64_t)a->initial_count + 1);
    }
    return ticks >= a->initial_count ? 0 : a->initial_count - ticks;
}

static void timer_set(X86Lapic *a)
{
    uint64_t period = ((uint64_t)a->initial_count + 1) << a->count_shift, now = vm_now(&a->dev), since;

    timer_stop(&a->timer);
    if (!a->initial_count) {
        return;
    }
    since = now - a->initial_count_load_time;
    if (a->lvt[LVT_TIMER] & LVT_PERIODIC) {
        a->next_time = a->initial_count_load_time + (since / period + 1) * period;
    } else if (since < (uint64_t)a->initial_count << a->count_shift) {
        a->next_time = a->initial_count_load_time + ((uint64_t)a->initial_count << a->count_shift);
    } else {
        return;
    }
    if (!(a->lvt[LVT_TIMER] & LVT_MASKED)) {
        timer_arm(&a->timer, a->next_time);
    }
}

static void timer_fired(void *opaque)
{
    X86Lapic *a = opaque;

    if (!(a->lvt[LVT_TIMER] & LVT_MASKED)) {
        raise_vector(a, a->lvt[LVT_TIMER] & 0xff, false);
    }
    timer_set(a);
}

void x86_apic_timer_init(X86Lapic *a)
{
    timer_init(&a->timer, &a->dev, timer_fired, a);
}

void x86_apic_loaded(X86Lapic *a)
{
    timer_stop(&a->timer);
    if (a->timer_expiry >= 0) {
        timer_arm(&a->timer, a->timer_expiry);
    }
}

/* ---- Registers ---- */

static uint32_t read_register(X86Lapic *a, unsigned r)
{
    switch (r) {
    case 0x02: return a->id << 24;
    case 0x03: return 0x14 | (X86_APIC_LVTS - 1) << 16;
    case 0x08: return a->tpr;
    case 0x09: return 0;
    case 0x0a: return processor_priority(a);
    case 0x0b: return 0;
    case 0x0d: return (uint32_t)a->log_dest << 24;
    case 0x0e: return (uint32_t)a->dest_mode << 28 | 0x0fffffff;
    case 0x0f: return a->spurious_vec;
    case 0x10 ... 0x17: return a->isr[r & 7];
    case 0x18 ... 0x1f: return a->tmr[r & 7];
    case 0x20 ... 0x27: return a->irr[r & 7];
    case 0x28: return a->esr;
    case 0x30: case 0x31: return a->icr[r & 1];
    case 0x32 ... 0x37: return a->lvt[r - 0x32];
    case 0x38: return a->initial_count;
    case 0x39: return timer_count(a);
    case 0x3e: return a->divide_conf;
    default:
        a->esr |= ESR_ILLEGAL_ADDRESS;
        return 0;
    }
}

static void write_lvt(X86Lapic *a, unsigned n, uint32_t v)
{
    a->lvt[n] = v;
    if (n == LVT_TIMER) {
        timer_set(a);
    } else if (n == LVT_LINT0) {
        update(a);
    }
}

static void write_register(X86Lapic *a, unsigned r, uint32_t v)
{
    switch (r) {
    case 0x02: a->id = v >> 24; break;
    case 0x03: case 0x09: case 0x0a: case 0x10 ... 0x28: case 0x39: break;
    case 0x08:
        a->tpr = v;
        update(a);
        break;
    case 0x0b: end_of_interrupt(a); break;
    case 0x0d: a->log_dest = v >> 24; break;
    case 0x0e: a->dest_mode = v >> 28; break;
    case 0x0f:
        a->spurious_vec = v & 0x1ff;
        update(a);
        break;
    case 0x30:
        a->icr[0] = v;
        send_ipi(a);
        break;
    case 0x31: a->icr[1] = v; break;
    case 0x32 ... 0x37: write_lvt(a, r - 0x32, v); break;
    case 0x38:
        a->initial_count = v;
        a->initial_count_load_time = vm_now(&a->dev);
        timer_set(a);
        break;
    case 0x3e:
        a->divide_conf = v & 0xb;
        a->count_shift = x86_lapic_shift(a->divide_conf);
        timer_set(a);
        break;
    default:
        a->esr |= ESR_ILLEGAL_ADDRESS;
    }
}

/* ---- The window at 0xfee00000 ---- */

/* The APIC of the CPU that makes the access; the monitor and qtest see the first. */
static X86Lapic *accessor(Machine *m)
{
    X86Cpu *c = x86_cpu_current();

    c = c ? c : x86_cpu(m, 0);
    return c ? c->lapic : NULL;
}

static uint64_t window_read(void *opaque, uint64_t off, unsigned size)
{
    X86Lapic *a = accessor(opaque);

    if (accel_irqchip != IRQCHIP_OFF) {
        return UINT64_MAX;
    }
    return a && size == 4 && off < 0x1000 ? read_register(a, off >> 4) : 0;
}

/* What no CPU writes to its registers is a message. */
static void window_write(void *opaque, uint64_t off, uint64_t v, unsigned size)
{
    Machine *m = opaque;
    unsigned r = off >> 4 & 0xff;

    if (accel_irqchip != IRQCHIP_OFF) {
        accel->msi(APIC_BASE_ADDR + off, v);
    } else if (off > 0xfff || !r) {
        x86_apic_msi(m, APIC_BASE_ADDR + off, v);
    } else if (size == 4 && accessor(m)) {
        write_register(accessor(m), r, v);
    }
}

static const RegionOps window_ops = { .read = window_read, .write = window_write, .min = 1, .max = 4, .valid_min = 1, .valid_max = 4 };

void x86_apic_map_window(Machine *m, X86ApicHost *h, Device *owner)
{
    region_init_io(&h->window, owner, accel_irqchip == IRQCHIP_OFF ? "apic-msi" : "kvm-apic-msi", WINDOW_SIZE, &window_ops, m);
    region_add_overlap(&m->memory, APIC_BASE_ADDR, &h->window, 0x1000);
}
