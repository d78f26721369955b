/*
 * 8259A, the parts that do not care where the chip is: table, properties, info pages, the pair.
 */
#include <inttypes.h>
#include "hw/intc/i8259-int.h"

const Property pic_props[] = {
    PROP(Pic, iobase, "iobase", PROP_U32, UINT32_MAX),
    PROP(Pic, elcr_addr, "elcr_addr", PROP_U32, UINT32_MAX),
    PROP(Pic, elcr_mask, "elcr_mask", PROP_U8, 0xff),
    PROP(Pic, master, "master", PROP_BOOL, false, .help = "on/off"),
    {0}
};

const Field pic_fields[] = {
    HOST(Pic, dev),
    FIELD(Pic, last_irr), FIELD(Pic, irr), FIELD(Pic, imr), FIELD(Pic, isr),
    FIELD(Pic, priority_add, .max = 7), FIELD(Pic, irq_base, .max = 0xf8),
    FIELD(Pic, read_reg_select, .max = 1), FIELD(Pic, poll, .max = 1), FIELD(Pic, special_mask, .max = 1),
    FIELD(Pic, init_state, .max = 3),
    FIELD(Pic, auto_eoi, .max = 1), FIELD(Pic, rotate_on_auto_eoi, .max = 1),
    FIELD(Pic, special_fully_nested_mode, .max = 1),
    FIELD(Pic, init4, .max = 1), FIELD(Pic, single_mode, .max = 2),
    FIELD(Pic, elcr),
    FIELD(Pic, out),
    HOST(Pic, elcr_mask), HOST(Pic, master), HOST(Pic, iobase), HOST(Pic, elcr_addr), HOST(Pic, slave),
    HOST(Pic, irq_count),
    {0}
};

void pic_count(Pic *master, unsigned irq, int level)
{
    if (level)
        master->irq_count[irq]++;
}

void pic_set_irq(void *master, unsigned irq, int level)
{
    Pic *s = master;

    pic_count(s, irq & 15, level);
    if (s->dev.type == &kvm_i8259_type)
        kvm_pic_set_irq(s, irq & 15, level);
    else if (irq & 8)
        device_set_input(&s->slave->dev, irq & 7, level);
    else
        device_set_input(&s->dev, irq & 7, level);
}

static void info_pic(Device *d, GString *out)
{
    Pic *s = DEVICE(d, Pic);

    if (d->type->state->save)
        d->type->state->save(s);
    g_string_append_printf(out, "pic%d: irr=%02x imr=%02x isr=%02x hprio=%d irq_base=%02x rr_sel=%d elcr=%02x fnm=%d\n",
                           s->master ? 0 : 1, s->irr, s->imr, s->isr, s->priority_add, s->irq_base, s->read_reg_select,
                           s->elcr, s->special_fully_nested_mode);
}

static void info_irq(Device *d, GString *out)
{
    Pic *s = DEVICE(d, Pic);

    if (!s->master)
        return;
    g_string_append_printf(out, "IRQ statistics for %s:\n", d->type->name);
    for (unsigned i = 0; i < 16; i++)
        if (s->irq_count[i])
            g_string_append_printf(out, "%2u: %" PRIu64 "\n", i, s->irq_count[i]);
}

const InfoRow pic_info[] = {
    { "pic", "show PIC state", info_pic },
    { "irq", "show the interrupts statistics (if available)", info_irq },
    {0}
};

static Pic *pic_create(Machine *m, Bus *isa, const DeviceType *t, bool master, GError **err)
{
    Device *d = device_new(m, t, err);

    if (!d)
        return NULL;
    device_set_int(d, "iobase", master ? PIC_MASTER_BASE : PIC_SLAVE_BASE);
    device_set_int(d, "elcr_addr", master ? PIC_MASTER_ELCR : PIC_SLAVE_ELCR);
    device_set_int(d, "elcr_mask", master ? PIC_MASTER_ELCR_MASK : PIC_SLAVE_ELCR_MASK);
    device_set_int(d, "master", master);
    return device_realize(d, isa, err) ? DEVICE(d, Pic) : NULL;
}

Device *pic_create_pair(Machine *m, Bus *isa, bool in_kernel, GError **err)
{
    const DeviceType *t = in_kernel ? &kvm_i8259_type : &isa_i8259_type;
    Pic *master = pic_create(m, isa, t, true, err);

    if (!master)
        return NULL;
    master->slave = pic_create(m, isa, t, false, err);
    if (!master->slave)
        return NULL;
    if (!in_kernel)
        line_connect_device(&master->slave->out, &master->dev, 2);
    return &master->dev;
}

Line *pic_output(Device *master)
{
    return &DEVICE(master, Pic)->out;
}
