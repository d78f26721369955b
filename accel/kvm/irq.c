/*
 * Interrupts with the PIC, IOAPIC and LAPICs (or, split, the LAPICs alone) in the kernel: the GSI routing
 * table, MSI routes, irqfds, and the state of the in-kernel chips.
 *
 * GSIs 0..23 are the PC's: with all of the irqchip in the kernel 0..15 lead to the PICs and 0..23 to the
 * IOAPIC (0 to pin 2, 2 nowhere), with a split one each is an IOAPIC pin's MSI.
 */
#include "accel/kvm/kvm-int.h"
#include "util/error.h"
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#define PC_GSIS 24u
#define PIC_PINS 8u

static struct {
    struct kvm_irq_routing_entry *msi;  /* by gsi; type 0: free */
    unsigned limit, size;               /* entries that KVM takes; that msi has */
    bool changed;
} irq;

/* ---- Routing ---- */

static void add_chip_route(GArray *t, unsigned gsi, unsigned chip, unsigned pin)
{
    struct kvm_irq_routing_entry e = { .gsi = gsi, .type = KVM_IRQ_ROUTING_IRQCHIP, .u.irqchip = { chip, pin } };

    g_array_append_val(t, e);
}

static void add_pc_routes(GArray *t)
{
    for (unsigned i = 0; i < PC_GSIS; i++) {
        if (i < PIC_PINS && i != 2) {
            add_chip_route(t, i, KVM_IRQCHIP_PIC_MASTER, i);
        } else if (i >= PIC_PINS && i < 2 * PIC_PINS) {
            add_chip_route(t, i, KVM_IRQCHIP_PIC_SLAVE, i - PIC_PINS);
        }
        if (i != 2) {
            add_chip_route(t, i, KVM_IRQCHIP_IOAPIC, i ? i : 2);
        }
    }
}

void kvm_msi_routes_commit(void)
{
    g_autofree struct kvm_irq_routing *table = NULL;
    g_autoptr(GArray) t = NULL;
    int r;

    if (!irq.changed) {
        return;
    }
    irq.changed = false;
    t = g_array_new(FALSE, TRUE, sizeof(struct kvm_irq_routing_entry));
    if (accel_irqchip == IRQCHIP_ON) {
        add_pc_routes(t);
    }
    for (unsigned i = 0; i < irq.size; i++) {
        if (irq.msi[i].type) {
            g_array_append_val(t, irq.msi[i]);
        }
    }
    table = g_malloc0(sizeof(*table) + t->len * sizeof(struct kvm_irq_routing_entry));
    table->nr = t->len;
    if (t->len)
        memcpy(table->entries, t->data, t->len * sizeof(struct kvm_irq_routing_entry));
    r = kvm_vm_ioctl(KVM_SET_GSI_ROUTING, table);
    if (r < 0) {
        error_report("KVM does not take the interrupt routes: %s", strerror(-r));
    }
}

static bool table_grow(void)
{
    unsigned size = MIN(irq.limit, irq.size * 2);

    if (size == irq.size) {
        return false;
    }
    irq.msi = g_renew(struct kvm_irq_routing_entry, irq.msi, size);
    memset(irq.msi + irq.size, 0, (size - irq.size) * sizeof(*irq.msi));
    irq.size = size;
    return true;
}

static void set_route(int gsi, uint64_t addr, uint32_t data)
{
    struct kvm_irq_routing_entry e = {
        .gsi = gsi,
        .type = KVM_IRQ_ROUTING_MSI,
        .u.msi = { .address_lo = addr, .address_hi = addr >> 32, .data = data },
    };

    if (memcmp(&irq.msi[gsi], &e, sizeof(e))) {
        irq.msi[gsi] = e;
        irq.changed = true;
    }
}

int kvm_msi_route_add(uint64_t addr, uint32_t data, GError **err)
{
    for (unsigned i = PC_GSIS; i < irq.size || table_grow(); i++) {
        if (!irq.msi[i].type) {
            set_route(i, addr, data);
            return i;
        }
    }
    if (irq.size) {
        error_set(err, "KVM has no interrupt routes left (of %u)", irq.size);
    } else {
        error_set(err, "without an in-kernel irqchip there are no MSI routes");
    }
    return -1;
}

void kvm_msi_route_update(int gsi, uint64_t addr, uint32_t data)
{
    if (gsi < 0 || (unsigned)gsi >= irq.size) {
        return;
    }
    if ((unsigned)gsi < PC_GSIS && !addr && !data) {
        kvm_msi_route_del(gsi);
    } else {
        set_route(gsi, addr, data);
    }
}

void kvm_msi_route_del(int gsi)
{
    if (gsi >= 0 && (unsigned)gsi < irq.size && irq.msi[gsi].type) {
        memset(&irq.msi[gsi], 0, sizeof(irq.msi[gsi]));
        irq.changed = true;
    }
}

bool kvm_irqfd(int fd, int resample_fd, int gsi, bool add, GError **err)
{
    struct kvm_irqfd q = {
        .fd = fd,
        .gsi = gsi,
        .flags = (add ? 0 : KVM_IRQFD_FLAG_DEASSIGN) | (resample_fd >= 0 ? KVM_IRQFD_FLAG_RESAMPLE : 0),
        .resamplefd = MAX(resample_fd, 0),
    };
    int r;

    if (accel_irqchip == IRQCHIP_OFF) {
        return error_set(err, "without an in-kernel irqchip there are no irqfds");
    }
    kvm_msi_routes_commit();
    r = kvm_vm_ioctl(KVM_IRQFD, &q);
    return r < 0 ? error_set_errno(err, -r, "KVM does not %s an irqfd for GSI %d", add ? "add" : "remove", gsi) : true;
}

/* ---- Raising ---- */

int kvm_irq_line(unsigned gsi, int level)
{
    struct kvm_irq_level l = { .irq = gsi, .level = level };

    if (ioctl(kvm.vm, KVM_IRQ_LINE_STATUS, &l) < 0) {
        return -1;
    }
    return l.status;
}

bool kvm_msi(uint64_t addr, uint32_t data)
{
    struct kvm_msi m = { .address_lo = addr, .address_hi = addr >> 32, .data = data };

    return ioctl(kvm.vm, KVM_SIGNAL_MSI, &m) > 0;
}

/* ---- Opening ---- */

static bool open_chips(IrqchipMode mode, GError **err)
{
    static const struct { unsigned cap; const char *what; } need[] = {
        { KVM_CAP_IRQCHIP, "an irqchip" }, { KVM_CAP_IRQ_INJECT_STATUS, "the irqchip's status" }, { KVM_CAP_IRQ_ROUTING, "interrupt routing" },
        { KVM_CAP_SIGNAL_MSI, "MSIs" }, { KVM_CAP_IRQFD, "irqfds" },
    };
    int r;

    for (unsigned i = 0; i < G_N_ELEMENTS(need); i++) {
        if (!kvm_check(need[i].cap)) {
            return error_set(err, "this kernel's KVM has not %s; try -machine kernel-irqchip=off", need[i].what);
        }
    }
    if (mode == IRQCHIP_SPLIT) {
        r = kvm_check(KVM_CAP_SPLIT_IRQCHIP) ? kvm_vm_enable_cap(KVM_CAP_SPLIT_IRQCHIP, PC_GSIS, 0) : -ENOSYS;
        return r < 0 ? error_set(err, "Could not enable split irqchip mode: %s", strerror(-r)) : true;
    }
    r = kvm_vm_ioctl(KVM_CREATE_IRQCHIP, NULL);
    return r < 0 ? error_set(err, "Create kernel irqchip failed: %s", strerror(-r)) : true;
}

bool kvm_irq_open(const AccelConfig *cfg, GError **err)
{
    if (cfg->irqchip == IRQCHIP_OFF) {
        return true;
    }
    if (!open_chips(cfg->irqchip, err)) {
        return false;
    }
    accel_irqchip = cfg->irqchip;
    kvm.pc_gsis = PC_GSIS;
    irq.limit = MAX(kvm_check(KVM_CAP_IRQ_ROUTING), (int)PC_GSIS);
    irq.size = MIN(irq.limit, 2 * PC_GSIS);
    irq.msi = g_new0(struct kvm_irq_routing_entry, irq.size);
    irq.changed = true;
    kvm_msi_routes_commit();
    return true;
}

void kvm_irq_close(void)
{
    g_free(irq.msi);
    memset(&irq, 0, sizeof(irq));
}

/* ---- State of the chips ---- */

int kvm_irqchip_get(unsigned chip, struct kvm_irqchip *state)
{
    memset(state, 0, sizeof(*state));
    state->chip_id = chip;
    return kvm_vm_ioctl(KVM_GET_IRQCHIP, state);
}

int kvm_irqchip_set(const struct kvm_irqchip *state)
{
    struct kvm_irqchip copy = *state;

    return kvm_vm_ioctl(KVM_SET_IRQCHIP, &copy);
}

int kvm_pit_create(bool reinject)
{
    struct kvm_pit_config config = { 0 };
    struct kvm_reinject_control control = { .pit_reinject = reinject };
    int r = kvm_vm_ioctl(KVM_CREATE_PIT2, &config);

    /* The kernel begins with reinjection on. */
    if (r == 0 && !reinject) {
        r = kvm_check(KVM_CAP_REINJECT_CONTROL) ? kvm_vm_ioctl(KVM_REINJECT_CONTROL, &control) : -ENOSYS;
    }
    return r;
}

int kvm_pit_get(struct kvm_pit_state2 *state)
{
    memset(state, 0, sizeof(*state));
    return kvm_vm_ioctl(KVM_GET_PIT2, state);
}

int kvm_pit_set(const struct kvm_pit_state2 *state)
{
    struct kvm_pit_state2 copy = *state;

    return kvm_vm_ioctl(KVM_SET_PIT2, &copy);
}

int kvm_lapic_get(Vcpu *v, struct kvm_lapic_state *state)
{
    memset(state, 0, sizeof(*state));
    return kvm_vcpu_ioctl(v, KVM_GET_LAPIC, state);
}

int kvm_lapic_set(Vcpu *v, const struct kvm_lapic_state *state)
{
    struct kvm_lapic_state copy = *state;

    return kvm_vcpu_ioctl(v, KVM_SET_LAPIC, &copy);
}
