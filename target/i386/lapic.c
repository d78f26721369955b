/*
 * The local APIC's registers as the stream and the monitor have them; KVM's LAPIC holds them while the guest runs.
 * Layout of the register page: SDM volume 3, 11.4.1. Under qtest, and with kernel-irqchip=off, apic.c
 * works on them.
 */
#include "target/i386/apic-int.h"
#include "accel/kvm/kvm.h"
#include "util/error.h"

enum { REG_ID = 0x2, REG_TPR = 0x8, REG_APR = 0x9, REG_LDR = 0xd, REG_DFR = 0xe, REG_SVR = 0xf, REG_ISR = 0x10, REG_TMR = 0x18,
       REG_IRR = 0x20, REG_ESR = 0x28, REG_ICR = 0x30, REG_ICR2 = 0x31, REG_LVT = 0x32, REG_TICR = 0x38, REG_TCCR = 0x39, REG_TDCR = 0x3e };

static uint32_t get(const struct kvm_lapic_state *k, unsigned reg)
{
    uint32_t v;

    memcpy(&v, k->regs + (reg << 4), 4);
    return v;
}

static void set(struct kvm_lapic_state *k, unsigned reg, uint32_t v)
{
    memcpy(k->regs + (reg << 4), &v, 4);
}

static bool x2apic(const X86Lapic *a)
{
    return a->cpu->apicbase & APICBASE_EXTD;
}

int x86_lapic_shift(uint32_t divide_conf)
{
    return (((divide_conf & 3) | (divide_conf >> 1 & 4)) + 1) & 7;
}

void x86_lapic_get(X86Lapic *a)
{
    struct kvm_lapic_state k;

    if (kvm_lapic_get(&a->cpu->vcpu, &k) < 0) {
        return;
    }
    a->id = x2apic(a) ? get(&k, REG_ID) : get(&k, REG_ID) >> 24;
    a->tpr = get(&k, REG_TPR);
    a->arb_id = get(&k, REG_APR);
    a->log_dest = get(&k, REG_LDR) >> 24;
    a->dest_mode = get(&k, REG_DFR) >> 28;
    a->spurious_vec = get(&k, REG_SVR);
    for (unsigned i = 0; i < 8; i++) {
        a->isr[i] = get(&k, REG_ISR + i);
        a->tmr[i] = get(&k, REG_TMR + i);
        a->irr[i] = get(&k, REG_IRR + i);
    }
    a->esr = get(&k, REG_ESR);
    a->icr[0] = get(&k, REG_ICR);
    a->icr[1] = get(&k, REG_ICR2);
    for (unsigned i = 0; i < X86_APIC_LVTS; i++) {
        a->lvt[i] = get(&k, REG_LVT + i);
    }
    a->initial_count = get(&k, REG_TICR);
    a->current_count = get(&k, REG_TCCR);
    a->divide_conf = get(&k, REG_TDCR);
    a->count_shift = x86_lapic_shift(a->divide_conf);
}

void x86_lapic_put(X86Lapic *a)
{
    struct kvm_lapic_state k = { 0 };
    int r;

    set(&k, REG_ID, x2apic(a) ? a->cpu->apic_id : a->cpu->apic_id << 24);
    set(&k, REG_TPR, a->tpr);
    set(&k, REG_LDR, (uint32_t)a->log_dest << 24);
    set(&k, REG_DFR, (uint32_t)a->dest_mode << 28 | 0x0fffffff);
    set(&k, REG_SVR, a->spurious_vec);
    for (unsigned i = 0; i < 8; i++) {
        set(&k, REG_ISR + i, a->isr[i]);
        set(&k, REG_TMR + i, a->tmr[i]);
        set(&k, REG_IRR + i, a->irr[i]);
    }
    set(&k, REG_ESR, a->esr);
    set(&k, REG_ICR, a->icr[0]);
    set(&k, REG_ICR2, a->icr[1]);
    for (unsigned i = 0; i < X86_APIC_LVTS; i++) {
        set(&k, REG_LVT + i, a->lvt[i]);
    }
    set(&k, REG_TICR, a->initial_count);
    set(&k, REG_TDCR, a->divide_conf);
    r = kvm_lapic_set(&a->cpu->vcpu, &k);
    if (r < 0) {
        error_report("CPU %u: KVM does not take its LAPIC: %s", a->cpu->index, g_strerror(-r));
    }
}

void x86_lapic_reset(X86Lapic *a)
{
    state_reset(a->dev.type->state, a);
    a->id = a->cpu->apic_id;
    a->wait_for_sipi = a->cpu->index != 0;
    g_atomic_int_set(&a->requests, 0);
}

/* ---- The section ---- */

static uint64_t get_apicbase(const void *obj)
{
    return ((const X86Lapic *)obj)->cpu->apicbase;
}

static bool set_apicbase(void *obj, uint64_t v, GError **err)
{
    ((X86Lapic *)obj)->cpu->apicbase = v;
    return true;
}

static void lapic_save(void *obj)
{
    X86Lapic *a = obj;

    x86_cpu_sync(a->cpu);
    if (accel_irqchip == IRQCHIP_OFF) {
        a->timer_expiry = timer_armed(&a->timer) ? (int64_t)a->timer.at : -1;
        return;
    }
    a->initial_count_load_time = vm_now(&a->dev);
    a->timer_expiry = -1;
    a->next_time = 0;
}

static bool lapic_loaded(void *obj, int version, GError **err)
{
    X86Lapic *a = obj;

    a->count_shift = x86_lapic_shift(a->divide_conf);
    a->cpu->put_lapic = a->cpu->put_all = true;
    a->cpu->vcpu.regs_dirty = true;
    x86_apic_loaded(a);
    return true;
}

static bool sipi_needed(const void *obj)
{
    const X86Lapic *a = obj;

    return accel_irqchip == IRQCHIP_OFF && a->wait_for_sipi;
}

static const StateTable sipi_state = {
    .name = "apic_sipi", .version = 1, .min_version = 1, .needed = sipi_needed,
    .fields = (const Field[]) { FIELD(X86Lapic, sipi_vector), FIELD(X86Lapic, wait_for_sipi), {0} },
};

static const Field lapic_fields[] = {
    VIRTUAL("apicbase", 4, .get = get_apicbase, .set = set_apicbase),
    FIELD(X86Lapic, id, .wire = 1),
    FIELD(X86Lapic, arb_id),
    FIELD(X86Lapic, tpr),
    FIELD(X86Lapic, spurious_vec, .reset = 0xff),
    FIELD(X86Lapic, log_dest),
    FIELD(X86Lapic, dest_mode, .reset = 0xf, .max = 0xf),
    FIELD(X86Lapic, isr),
    FIELD(X86Lapic, tmr),
    FIELD(X86Lapic, irr),
    FIELD(X86Lapic, lvt, .reset = 1 << 16),
    FIELD(X86Lapic, esr),
    FIELD(X86Lapic, icr),
    FIELD(X86Lapic, divide_conf),
    FIELD(X86Lapic, count_shift, .reset = 1),
    FIELD(X86Lapic, initial_count),
    FIELD(X86Lapic, initial_count_load_time),
    FIELD(X86Lapic, next_time),
    FIELD(X86Lapic, timer_expiry, .reset = (uint64_t)-1),
    LOCAL(X86Lapic, current_count),
    DERIVED(X86Lapic, pic_level),               /* of the PIC's INT line */
    DERIVED(X86Lapic, timer),                   /* timer_expiry is what the stream has */
    HOST(X86Lapic, dev), HOST(X86Lapic, cpu), HOST(X86Lapic, host), HOST(X86Lapic, requests),
    {0}
};

static const StateTable lapic_state = {
    .name = "apic", .version = 3, .min_version = 3, .fields = lapic_fields, .save = lapic_save, .loaded = lapic_loaded,
    .subsections = (const StateTable *const[]) { &sipi_state, NULL },
};

static bool lapic_realize(Device *d, GError **err)
{
    x86_apic_timer_init(DEVICE(d, X86Lapic));
    return true;
}

/* The first CPU's has the window, for all. */
static void lapic_unrealize(Device *d)
{
    X86Lapic *a = DEVICE(d, X86Lapic);

    timer_stop(&a->timer);
    a->cpu->lapic = NULL;
    if (a->cpu->index == 0) {
        region_fini(&a->host->window);
        g_free(a->host);
    }
}

#define LAPIC_TYPE(n) { .name = (n), .internal = true, .no_bus = true, .category = CAT_CPU, .size = sizeof(X86Lapic), .state = &lapic_state, \
    .realize = lapic_realize, .unrealize = lapic_unrealize }
const DeviceType x86_lapic_type = LAPIC_TYPE("kvm-apic"), x86_apic_type = LAPIC_TYPE("apic");

bool x86_lapic_create(X86Cpu *c, GError **err)
{
    Machine *m = c->dev.machine;
    X86CpuCommon *common = DEVICE(device_new(m, &x86_cpu_common_type, err), X86CpuCommon);
    const DeviceType *t = accel_irqchip == IRQCHIP_OFF ? &x86_apic_type : &x86_lapic_type;
    X86Lapic *a = common ? DEVICE(device_new(m, t, err), X86Lapic) : NULL;
    X86Cpu *first = x86_cpu(m, 0);

    if (!a) {
        return false;
    }
    common->cpu = a->cpu = c;
    common->dev.owner = a->dev.owner = &c->dev;
    common->dev.part = "common";
    a->dev.part = "lapic";
    common->dev.instance_id = c->index;
    a->dev.instance_id = c->apic_id;
    a->id = c->apic_id;
    c->common = &common->dev;
    c->lapic = a;
    a->host = first ? first->lapic->host : g_new0(X86ApicHost, 1);
    if (!device_realize(&common->dev, NULL, err) || !device_realize(&a->dev, NULL, err)) {
        return false;
    }
    if (!first) {
        x86_apic_map_window(m, a->host, &a->dev);
    }
    return true;
}

void x86_apic_set_pic(Machine *m, int (*read)(void *opaque), void *opaque)
{
    X86ApicHost *h = x86_cpu(m, 0)->lapic->host;

    h->pic_read = read;
    h->opaque = opaque;
}

void x86_cpu_nmi(X86Cpu *c)
{
    enum { LINT1 = 4, MASKED = 1 << 16, MODE_NMI = 4 };
    uint32_t lvt;

    if (accel_irqchip == IRQCHIP_OFF) {
        x86_apic_nmi(c->lapic);
        return;
    }
    x86_cpu_sync(c);
    lvt = c->lapic->lvt[LINT1];
    if (accel_is_kvm() && accel_irqchip != IRQCHIP_OFF && !(lvt & MASKED) && (lvt >> 8 & 7) == MODE_NMI) {
        kvm_vcpu_ioctl(&c->vcpu, KVM_NMI, NULL);
    }
}

static void send_smi(Vcpu *v, void *arg)
{
    v->halted = false;
    kvm_vcpu_ioctl(v, KVM_SMI, NULL);
}

void x86_cpu_smi(X86Cpu *c)
{
    if (accel_is_kvm() && accel_smm) {
        accel->vcpu_call(&c->vcpu, send_smi, NULL);
    }
}
