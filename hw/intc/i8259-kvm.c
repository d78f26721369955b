/*
 * The 8259A pair inside KVM: the ports never reach us; state goes through KVM_GET/SET_IRQCHIP.
 */
#include "accel/kvm/kvm.h"
#include "hw/intc/i8259-int.h"
#include "hw/isa/isa.h"
#include "util/error.h"

static unsigned chip_of(const Pic *s)
{
    return s->master ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE;
}

static void kvm_pic_save(void *obj)
{
    Pic *s = obj;
    struct kvm_irqchip chip = { .chip_id = chip_of(s) };
    const struct kvm_pic_state *k = &chip.chip.pic;
    int r = kvm_irqchip_get(chip.chip_id, &chip);

    if (r < 0) {
        error_report("KVM_GET_IRQCHIP failed: %s", g_strerror(-r));
        return;
    }
    s->last_irr = k->last_irr;
    s->irr = k->irr;
    s->imr = k->imr;
    s->isr = k->isr;
    s->priority_add = k->priority_add & 7;
    s->irq_base = k->irq_base & 0xf8;
    s->read_reg_select = k->read_reg_select;
    s->poll = k->poll;
    s->special_mask = k->special_mask;
    s->init_state = k->init_state;
    s->auto_eoi = k->auto_eoi;
    s->rotate_on_auto_eoi = k->rotate_on_auto_eoi;
    s->special_fully_nested_mode = k->special_fully_nested_mode;
    s->init4 = k->init4;
    s->elcr = k->elcr;
    s->elcr_mask = k->elcr_mask;
}

static int kvm_pic_put(const Pic *s)
{
    struct kvm_irqchip chip = { .chip_id = chip_of(s) };

    chip.chip.pic = (struct kvm_pic_state) {
        .last_irr = s->last_irr, .irr = s->irr, .imr = s->imr, .isr = s->isr, .priority_add = s->priority_add,
        .irq_base = s->irq_base, .read_reg_select = s->read_reg_select, .poll = s->poll,
        .special_mask = s->special_mask, .init_state = s->init_state, .auto_eoi = s->auto_eoi,
        .rotate_on_auto_eoi = s->rotate_on_auto_eoi, .special_fully_nested_mode = s->special_fully_nested_mode,
        .init4 = s->init4, .elcr = s->elcr, .elcr_mask = s->elcr_mask,
    };
    return kvm_irqchip_set(&chip);
}

static bool kvm_pic_loaded(void *obj, int version, GError **err)
{
    Pic *s = obj;
    int r;

    s->elcr &= s->elcr_mask;
    r = kvm_pic_put(s);
    return r < 0 ? error_set_errno(err, r, "KVM_SET_IRQCHIP failed") : true;
}

static void kvm_pic_reset(Device *d)
{
    int r = kvm_pic_put(DEVICE(d, Pic));

    if (r < 0)
        error_report("KVM_SET_IRQCHIP failed: %s", g_strerror(-r));
}

void kvm_pic_set_irq(Pic *master, unsigned irq, int level)
{
    accel->irq_line(irq, level);
}

static void kvm_pic_input(Device *d, unsigned n, int level)
{
    accel->irq_line((n & 7) + (DEVICE(d, Pic)->master ? 0 : 8), level);
}

/* KVM answers these ports; the windows are there for info mtree. */
static uint64_t no_read(void *opaque, uint64_t off, unsigned size)
{
    return UINT64_MAX;
}

static void no_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
}

static const PioRange pic_ports[] = { { 0, 2, 1, no_read, no_write }, {0} };
static const PioRange elcr_ports[] = { { 0, 1, 1, no_read, no_write }, {0} };

static bool kvm_pic_realize(Device *d, GError **err)
{
    Pic *s = DEVICE(d, Pic);

    return (s->iobase == UINT32_MAX || isa_map_ports(d, "kvm-pic", s->iobase, pic_ports, err)) &&
           (s->elcr_addr == UINT32_MAX || isa_map_ports(d, "kvm-elcr", s->elcr_addr, elcr_ports, err));
}

static const StateTable kvm_pic_state = {
    .name = "i8259", .version = 1, .min_version = 1, .fields = pic_fields, .save = kvm_pic_save, .loaded = kvm_pic_loaded,
};

const DeviceType kvm_i8259_type = {
    .name = "kvm-i8259", .desc = "8259A interrupt controller in KVM", .bus = "ISA", .internal = true,
    .size = sizeof(Pic), .props = pic_props, .state = &kvm_pic_state, .info = pic_info, .realize = kvm_pic_realize,
    .reset = kvm_pic_reset, .input = kvm_pic_input, .inputs = 8,
};
