/*
 * The IOAPIC inside KVM: accesses never reach us; state goes through KVM_GET/SET_IRQCHIP.
 */
#include "accel/kvm/kvm.h"
#include "hw/core/machine.h"
#include "hw/intc/ioapic-int.h"
#include "util/error.h"

static void kvm_ioapic_save(void *obj)
{
    Ioapic *s = obj;
    struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };
    int r = kvm_irqchip_get(KVM_IRQCHIP_IOAPIC, &chip);

    if (r < 0) {
        error_report("KVM_GET_IRQCHIP failed: %s", g_strerror(-r));
        return;
    }
    s->id = chip.chip.ioapic.id & 15;
    s->ioregsel = chip.chip.ioapic.ioregsel;
    s->irr = chip.chip.ioapic.irr & ((1u << IOAPIC_PINS) - 1);
    for (unsigned i = 0; i < IOAPIC_PINS; i++)
        s->ioredtbl[i] = chip.chip.ioapic.redirtbl[i].bits;
}

static int put(const Ioapic *s)
{
    struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };

    chip.chip.ioapic.base_address = IOAPIC_BASE;
    chip.chip.ioapic.id = s->id;
    chip.chip.ioapic.ioregsel = s->ioregsel;
    chip.chip.ioapic.irr = s->irr;
    for (unsigned i = 0; i < IOAPIC_PINS; i++)
        chip.chip.ioapic.redirtbl[i].bits = s->ioredtbl[i];
    return kvm_irqchip_set(&chip);
}

static bool kvm_ioapic_loaded(void *obj, int version, GError **err)
{
    int r = put(obj);

    return r < 0 ? error_set_errno(err, r, "KVM_SET_IRQCHIP failed") : true;
}

static void kvm_ioapic_reset(Device *d)
{
    int r = put(DEVICE(d, Ioapic));

    if (r < 0)
        error_report("KVM_SET_IRQCHIP failed: %s", g_strerror(-r));
}

static void kvm_ioapic_input(Device *d, unsigned n, int level)
{
    Ioapic *s = DEVICE(d, Ioapic);

    if (n >= IOAPIC_PINS)
        return;
    ioapic_count(d, n, level);
    accel->irq_line(s->gsi_base + n, level);
}

static uint64_t no_read(void *opaque, uint64_t off, unsigned size)
{
    return UINT64_MAX;
}

static void no_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
}

static const RegionOps kvm_ioapic_ops = { .read = no_read, .write = no_write };

static bool kvm_ioapic_realize(Device *d, GError **err)
{
    Ioapic *s = DEVICE(d, Ioapic);

    s->version = 0x11;
    region_init_io(&s->mmio, d, "kvm-ioapic", 0x1000, &kvm_ioapic_ops, s);
    region_add(&d->machine->memory, IOAPIC_BASE, &s->mmio);
    return true;
}

static const Property kvm_ioapic_props[] = { PROP(Ioapic, gsi_base, "gsi_base", PROP_U32, 0), {0} };

static const StateTable kvm_ioapic_state = {
    .name = "ioapic", .version = 3, .min_version = 1, .fields = ioapic_fields, .save = kvm_ioapic_save,
    .loaded = kvm_ioapic_loaded,
};

const DeviceType kvm_ioapic_type = {
    .name = "kvm-ioapic", .desc = "82093AA IOAPIC in KVM", .internal = true, .size = sizeof(Ioapic),
    .props = kvm_ioapic_props, .state = &kvm_ioapic_state, .info = ioapic_info, .realize = kvm_ioapic_realize,
    .reset = kvm_ioapic_reset, .input = kvm_ioapic_input, .inputs = IOAPIC_PINS,
    .gpios = (const GpioInfo[]){ { "", 24, 0 }, {0} },
};
