/*
 * 82093AA, the parts that do not care where the chip is: table and info pages.
 */
#include <inttypes.h>
#include "hw/intc/ioapic-int.h"

const Field ioapic_fields[] = {
    HOST(Ioapic, dev),
    FIELD(Ioapic, id, .max = 15), FIELD(Ioapic, ioregsel),
    UNUSED(8, .since = 2),          /* the address: it is fixed */
    FIELD(Ioapic, irr, .since = 2, .max = 0xffffff),
    FIELD(Ioapic, ioredtbl, .reset = RT_MASKED),
    HOST(Ioapic, version), HOST(Ioapic, gsi_base), HOST(Ioapic, mmio), HOST(Ioapic, ops), HOST(Ioapic, ops_opaque),
    HOST(Ioapic, irq_count),
    {0}
};

void ioapic_set_ops(Device *d, const IoapicOps *ops, void *opaque)
{
    DEVICE(d, Ioapic)->ops = ops;
    DEVICE(d, Ioapic)->ops_opaque = opaque;
}

Device *ioapic_create(Machine *m, Device *bridge, const IoapicOps *ops, void *opaque, GError **err)
{
    Device *d = device_new(m, ops ? &ioapic_type : &kvm_ioapic_type, err);

    if (!d)
        return NULL;
    d->owner = bridge;
    d->part = "ioapic";
    ioapic_set_ops(d, ops, opaque);
    return device_realize(d, NULL, err) ? d : NULL;
}

void ioapic_count(Device *ioapic, unsigned pin, int level)
{
    if (level && pin < IOAPIC_PINS)
        DEVICE(ioapic, Ioapic)->irq_count[pin]++;
}

static void print_bits(GString *out, const char *name, uint32_t bits)
{
    g_string_append_printf(out, "  %-8s ", name);
    for (unsigned i = 0; i < IOAPIC_PINS; i++)
        if (bits & (1u << i))
            g_string_append_printf(out, "%-2u ", i);
    g_string_append(out, bits ? "\n" : "(none)\n");
}

static void print_pin(GString *out, unsigned n, uint64_t e)
{
    static const char *const modes[8] = { "fixed", "lowest", "SMI", "...", "NMI", "INIT", "...", "extINT" };
    bool logical = e & RT_DESTMOD;

    g_string_append_printf(out, "  pin %-2u 0x%016" PRIx64 " dest=%x vec=%-3u active-%s %-5s %-6s %-6s %s\n", n, e,
                           (unsigned)(e >> 56) & (logical ? 0xff : 0x0f), (unsigned)(e & RT_VECTOR),
                           e & RT_INTPOL ? "lo" : "hi", e & RT_LEVEL ? "level" : "edge", e & RT_MASKED ? "masked" : "",
                           modes[(e >> RT_DELMOD_SHIFT) & RT_DELMOD], logical ? "logical" : "physical");
}

static void info_pic(Device *d, GString *out)
{
    Ioapic *s = DEVICE(d, Ioapic);
    uint32_t remote_irr = 0;

    if (d->type->state->save)
        d->type->state->save(s);
    g_string_append_printf(out, "ioapic0: ver=0x%x id=0x%02x sel=0x%02x", s->version, s->id, s->ioregsel);
    if (s->ioregsel >= IOAPIC_REDTBL)
        g_string_append_printf(out, " (redir[%u])", (s->ioregsel - IOAPIC_REDTBL) / 2u);
    g_string_append_c(out, '\n');
    for (unsigned i = 0; i < IOAPIC_PINS; i++) {
        print_pin(out, i, s->ioredtbl[i]);
        if ((s->ioredtbl[i] & (RT_LEVEL | RT_REMOTE_IRR)) == (RT_LEVEL | RT_REMOTE_IRR))
            remote_irr |= 1u << i;
    }
    print_bits(out, "IRR", s->irr);
    print_bits(out, "Remote IRR", remote_irr);
}

static void info_irq(Device *d, GString *out)
{
    Ioapic *s = DEVICE(d, Ioapic);

    g_string_append_printf(out, "IRQ statistics for %s:\n", d->type->name);
    for (unsigned i = 0; i < IOAPIC_PINS; i++)
        if (s->irq_count[i])
            g_string_append_printf(out, "%2u: %" PRIu64 "\n", i, s->irq_count[i]);
}

const InfoRow ioapic_info[] = {
    { "pic", "show PIC state", info_pic },
    { "irq", "show the interrupts statistics (if available)", info_irq },
    {0}
};
