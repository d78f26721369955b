/*
 * Intel 8259A programmable interrupt controller (data sheet, order number 231468) with the edge/level control
 * register of the PIIX3 (82371SB, 290550).
 *
 * Not modelled: MCS-80/85 vectors (the PC is always in 8086 mode), buffered mode, ICW1's LTIM (ELCR takes its place).
 */
#include "hw/intc/i8259-int.h"
#include "hw/isa/isa.h"
#include "util/log.h"

enum { ICW1 = 0x10, ICW1_IC4 = 0x01, ICW1_SNGL = 0x02, ICW1_LTIM = 0x08, ICW4_AEOI = 0x02, ICW4_SFNM = 0x10 };
enum { OCW3 = 0x08, OCW3_RIS = 0x01, OCW3_RR = 0x02, OCW3_P = 0x04, OCW3_SMM = 0x20, OCW3_ESMM = 0x40 };
enum { OCW2_EOI = 1, OCW2_SL = 2, OCW2_R = 4 };         /* bits 5..7 of OCW2 */
enum { CASCADE = 2, NONE = 8 };

/* Distance of the highest-priority input in mask from the top of the present order, or NONE. */
static unsigned priority_of(const Pic *s, uint8_t mask)
{
    unsigned n = 0;

    while (n < NONE && !(mask & (1 << ((n + s->priority_add) & 7))))
        n++;
    return n;
}

/* The input to be served now, or -1. */
static int pic_pending(const Pic *s)
{
    unsigned request = priority_of(s, s->irr & ~s->imr);
    uint8_t in_service = s->isr;

    if (request == NONE)
        return -1;
    if (s->special_mask)
        in_service &= ~s->imr;
    /* In special fully nested mode a slave in service does not keep its own higher requests out. */
    if (s->special_fully_nested_mode && s->master)
        in_service &= ~(1 << CASCADE);
    return request < priority_of(s, in_service) ? (int)((request + s->priority_add) & 7) : -1;
}

static void pic_update(Pic *s)
{
    line_set(&s->out, pic_pending(s) >= 0);
}

static void pic_input(Device *d, unsigned n, int level)
{
    Pic *s = DEVICE(d, Pic);
    uint8_t mask = 1 << (n & 7);

    if (!level) {
        s->last_irr &= ~mask;
        if (s->elcr & mask)
            s->irr &= ~mask;
    } else {
        if ((s->elcr & mask) || !(s->last_irr & mask))
            s->irr |= mask;
        s->last_irr |= mask;
    }
    pic_update(s);
}

static void pic_acknowledge(Pic *s, unsigned n)
{
    uint8_t mask = 1 << n;

    if (!s->auto_eoi)
        s->isr |= mask;
    else if (s->rotate_on_auto_eoi)
        s->priority_add = (n + 1) & 7;
    if (!(s->elcr & mask))
        s->irr &= ~mask;
    pic_update(s);
}

/* A request that went away before its acknowledge is answered as input 7. */
static unsigned pic_inta(Pic *s)
{
    int n = pic_pending(s);

    if (n < 0)
        return 7;
    pic_acknowledge(s, n);
    return n;
}

int pic_read_irq(Device *master)
{
    Pic *s = DEVICE(master, Pic);
    int n = pic_pending(s);
    int vector;

    if (n == CASCADE && s->slave)
        vector = s->slave->irq_base + pic_inta(s->slave);
    else
        vector = s->irq_base + (n < 0 ? 7 : n);
    if (n >= 0)
        pic_acknowledge(s, n);
    return vector;
}

bool pic_has_irq(const Device *master)
{
    return pic_pending((const Pic *)(const void *)master) >= 0;
}

static void write_icw1(Pic *s, uint8_t val)
{
    if (val & ICW1_LTIM)
        log_unimp("i8259: level-sensitive mode is ELCR's\n");
    s->last_irr = 0;
    s->irr &= s->elcr;
    s->imr = s->isr = s->priority_add = s->irq_base = 0;
    s->read_reg_select = s->poll = s->special_mask = 0;
    s->auto_eoi = s->rotate_on_auto_eoi = s->special_fully_nested_mode = 0;
    s->init_state = 1;
    s->init4 = val & ICW1_IC4;
    s->single_mode = val & ICW1_SNGL;
    pic_update(s);
}

static void write_ocw2(Pic *s, uint8_t val)
{
    unsigned cmd = val >> 5, n = val & 7;

    if (!(cmd & OCW2_EOI)) {
        if (cmd == (OCW2_R | OCW2_SL))
            s->priority_add = (n + 1) & 7;
        else if (!(cmd & OCW2_SL))
            s->rotate_on_auto_eoi = cmd == OCW2_R;
    } else {
        if (!(cmd & OCW2_SL)) {
            n = priority_of(s, s->isr);
            if (n == NONE)
                return;
            n = (n + s->priority_add) & 7;
        }
        s->isr &= ~(1 << n);
        if (cmd & OCW2_R)
            s->priority_add = (n + 1) & 7;
    }
    pic_update(s);
}

static void write_ocw3(Pic *s, uint8_t val)
{
    if (val & OCW3_P)
        s->poll = 1;
    if (val & OCW3_RR)
        s->read_reg_select = val & OCW3_RIS;
    if (val & OCW3_ESMM) {
        s->special_mask = (val & OCW3_SMM) != 0;
        pic_update(s);
    }
}

static void write_data(Pic *s, uint8_t val)
{
    switch (s->init_state) {
    case 0:
        s->imr = val;
        pic_update(s);
        break;
    case 1:
        s->irq_base = val & 0xf8;
        s->init_state = s->single_mode ? (s->init4 ? 3 : 0) : 2;
        break;
    case 2:
        s->init_state = s->init4 ? 3 : 0;
        break;
    default:
        s->special_fully_nested_mode = (val & ICW4_SFNM) != 0;
        s->auto_eoi = (val & ICW4_AEOI) != 0;
        s->init_state = 0;
        pic_update(s);
        break;
    }
}

static void pic_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    Pic *s = opaque;

    if (off)
        write_data(s, val);
    else if (val & ICW1)
        write_icw1(s, val);
    else if (val & OCW3)
        write_ocw3(s, val);
    else
        write_ocw2(s, val);
}

static uint64_t pic_read(void *opaque, uint64_t off, unsigned size)
{
    Pic *s = opaque;
    int n;

    if (s->poll) {
        s->poll = 0;
        n = pic_pending(s);
        if (n < 0)
            return 0;
        pic_acknowledge(s, n);
        return 0x80 | n;
    }
    if (off)
        return s->imr;
    return s->read_reg_select ? s->isr : s->irr;
}

static uint64_t elcr_read(void *opaque, uint64_t off, unsigned size)
{
    return ((Pic *)opaque)->elcr;
}

static void elcr_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    Pic *s = opaque;

    s->elcr = val & s->elcr_mask;
}

static const PioRange pic_ports[] = { { 0, 2, 1, pic_read, pic_write }, {0} };
static const PioRange elcr_ports[] = { { 0, 1, 1, elcr_read, elcr_write }, {0} };

static bool pic_realize(Device *d, GError **err)
{
    Pic *s = DEVICE(d, Pic);

    return (s->iobase == UINT32_MAX || isa_map_ports(d, "pic", s->iobase, pic_ports, err)) &&
           (s->elcr_addr == UINT32_MAX || isa_map_ports(d, "elcr", s->elcr_addr, elcr_ports, err));
}

static bool pic_loaded(void *obj, int version, GError **err)
{
    Pic *s = obj;

    s->elcr &= s->elcr_mask;
    s->irq_base &= 0xf8;
    s->out.level = pic_pending(s) >= 0;
    if (s->master && s->out.sink)       /* INTR is a level, which no section of the CPU has */
        s->out.sink(s->out.to, s->out.n, s->out.level);
    return true;
}

static const StateTable pic_state = {
    .name = "i8259", .version = 1, .min_version = 1, .fields = pic_fields, .loaded = pic_loaded,
};

const DeviceType isa_i8259_type = {
    .name = "isa-i8259", .desc = "8259A interrupt controller", .bus = "ISA", .internal = true, .size = sizeof(Pic),
    .props = pic_props, .state = &pic_state, .info = pic_info, .realize = pic_realize, .input = pic_input, .inputs = 8,
    .gpios = (const GpioInfo[]){ { "", 8, 1 }, {0} },
};
