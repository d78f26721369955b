/*
 * Intel 8237A DMA controller with the PC's page registers (data sheet 231466; QEMU calls it i8257).
 *
 * A device that has a channel is asked to move data whenever its request is up and the channel unmasked; it tells how
 * far it has come. Not modelled: memory to memory, priorities, cascade (the second controller has its own clients),
 * compressed timing, the temporary register.
 */
#include "hw/core/machine.h"
#include "hw/dma/i8257.h"
#include "util/log.h"

enum { ADDR, COUNT };
enum { MODE_AUTOINIT = 0x10, MODE_DECREMENT = 0x20 };
enum { CMD_DISABLE = 0x04, CMD_UNSUPPORTED = 0x01 | 0x02 | 0x08 | 0x10 | 0x20 | 0x40 | 0x80 };
/* Controller registers, counted from the eighth. */
enum { STATUS_COMMAND, REQUEST, SINGLE_MASK, MODE, CLEAR_FLIP_FLOP, MASTER_CLEAR, CLEAR_MASK, ALL_MASK };

typedef struct DmaChannel {
    int32_t now[2];             /* start address in its 64 KiB (128 KiB), and bytes done */
    uint16_t base[2];           /* as written: address and count - 1, in units of 1 << dshift */
    uint8_t mode, page, pageh, dack, eop;
} DmaChannel;

typedef struct I8257 I8257;

/* Adjacent page registers: ports `first` and on of the eight. */
typedef struct DmaWindow {
    I8257 *ctl;
    uint8_t first;
    bool high;
    Region io;
} DmaWindow;

struct I8257 {
    Device dev;

    /* guest state */
    uint8_t status;             /* 0..3 terminal count reached, 4..7 requests */
    uint8_t command, mask, flip_flop;
    int32_t dshift;             /* 0: bytes, 1: words */
    DmaChannel regs[4];

    /* host side */
    struct { IsaDmaHandler *fn; void *opaque; } handlers[4];
    BottomHalf *run_bh;
    bool running, run_again;

    /* set-up */
    int32_t base, page_base, pageh_base;
    DmaWindow pages[4];
};

static int length(const I8257 *s, const DmaChannel *r)
{
    return (r->base[COUNT] + 1) << s->dshift;
}

/* ---- Transfers ---- */

static void run_channel(I8257 *s, unsigned n)
{
    DmaChannel *r = &s->regs[n];
    int len = length(s, r), done;

    if (!s->handlers[n].fn)
        return;
    done = s->handlers[n].fn(s->handlers[n].opaque, n + (s->dshift ? 4 : 0), r->now[COUNT], len);
    r->now[COUNT] = CLAMP(done, 0, len);
    if (r->now[COUNT] < len)
        return;
    s->status |= 1 << n;
    if (r->mode & MODE_AUTOINIT)
        r->now[COUNT] = 0;
    else
        s->mask |= 1 << n;
}

/* A handler may change requests: these are looked at again when it is done. */
static void run(I8257 *s)
{
    s->run_again = true;
    if (s->running)
        return;
    s->running = true;
    for (unsigned turns = 0; s->run_again && turns < 16; turns++) {
        s->run_again = false;
        for (unsigned n = 0; n < 4; n++)
            if ((s->status & (0x10 << n)) && !(s->mask & (1 << n)) && !(s->command & CMD_DISABLE))
                run_channel(s, n);
    }
    s->running = false;
}

static void run_soon(void *opaque)
{
    run(opaque);
}

/* Moves a piece of a channel's block; addresses wrap within the page, as the address counter does. */
static int move(I8257 *s, unsigned n, void *buf, int pos, int len, bool write)
{
    DmaChannel *r = &s->regs[n & 3];
    uint32_t span = 0x10000u << s->dshift;
    uint64_t page = (uint64_t)(r->pageh & 0x7f) << 24 | (uint32_t)(r->page & (s->dshift ? 0xfe : 0xff)) << 16;
    uint8_t *p = buf;

    if (pos < 0 || len < 0)
        return 0;
    for (int i = 0; i < len;) {
        uint32_t at;
        int step = 1;

        if (r->mode & MODE_DECREMENT) {
            at = (r->now[ADDR] - pos - i) & (span - 1);
        } else {
            at = (r->now[ADDR] + pos + i) & (span - 1);
            step = MIN(len - i, (int)(span - at));
        }
        if (write)
            dma_write(&s->dev, page + at, p + i, step);
        else
            dma_read(&s->dev, page + at, p + i, step);
        i += step;
    }
    return len;
}

static bool has_autoinit(void *ctl, unsigned n) { return ((I8257 *)ctl)->regs[n & 3].mode & MODE_AUTOINIT; }

static int read_memory(void *ctl, unsigned n, void *buf, int pos, int len)
{
    return move(ctl, n, buf, pos, len, false);
}

static int write_memory(void *ctl, unsigned n, const void *buf, int pos, int len)
{
    return move(ctl, n, (void *)buf, pos, len, true);
}

static void hold_dreq(void *ctl, unsigned n)
{
    ((I8257 *)ctl)->status |= 0x10 << (n & 3);
    run(ctl);
}

static void release_dreq(void *ctl, unsigned n)
{
    ((I8257 *)ctl)->status &= ~(0x10 << (n & 3));
}

static void schedule(void *ctl)
{
    bh_schedule(((I8257 *)ctl)->run_bh);
}

static void connect_channel(void *ctl, unsigned n, IsaDmaHandler *fn, void *opaque)
{
    I8257 *s = ctl;

    s->handlers[n & 3].fn = fn;
    s->handlers[n & 3].opaque = opaque;
}

static const IsaDmaOps dma_ops = {
    .has_autoinit = has_autoinit, .read_memory = read_memory, .write_memory = write_memory, .hold_dreq = hold_dreq,
    .release_dreq = release_dreq, .schedule = schedule, .connect = connect_channel,
};

/* ---- Registers ---- */

static bool toggle_flip_flop(I8257 *s)
{
    bool high = s->flip_flop;

    s->flip_flop = !high;
    return high;
}

static uint64_t chan_read(void *opaque, uint64_t off, unsigned size)
{
    I8257 *s = opaque;
    unsigned n = off >> s->dshift;
    const DmaChannel *r = &s->regs[(n >> 1) & 3];
    uint32_t val;

    if (n & 1)
        val = (r->base[COUNT] << s->dshift) - r->now[COUNT];
    else
        val = r->now[ADDR] + (r->mode & MODE_DECREMENT ? -r->now[COUNT] : r->now[COUNT]);
    return (val >> (s->dshift + (toggle_flip_flop(s) ? 8 : 0))) & 0xff;
}

static void chan_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    I8257 *s = opaque;
    unsigned n = off >> s->dshift;
    DmaChannel *r = &s->regs[(n >> 1) & 3];
    uint16_t *base = &r->base[n & 1];

    if (!toggle_flip_flop(s)) {
        *base = (*base & 0xff00) | (val & 0xff);
        return;
    }
    *base = (*base & 0xff) | (val & 0xff) << 8;
    r->now[ADDR] = r->base[ADDR] << s->dshift;
    r->now[COUNT] = 0;
}

static void master_clear(I8257 *s)
{
    s->flip_flop = 0;
    s->mask = 0x0f;
    s->status &= 0xf0;
    s->command = 0;
}

static uint64_t cont_read(void *opaque, uint64_t off, unsigned size)
{
    I8257 *s = opaque;
    uint8_t val;

    switch (off >> s->dshift) {
    case STATUS_COMMAND:
        val = s->status;
        s->status &= 0xf0;
        return val;
    case REQUEST: case ALL_MASK:    /* the mask can be read at 15 on later chips; QEMU shows it at 9 */
        return s->mask;
    default:
        return 0;
    }
}

static void cont_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    I8257 *s = opaque;
    unsigned n = val & 3;

    switch (off >> s->dshift) {
    case STATUS_COMMAND:
        if (val & CMD_UNSUPPORTED)
            log_unimp("i8257: command 0x%02x is not supported\n", (unsigned)val);
        else
            s->command = val;
        break;
    case REQUEST:
        s->status = val & 4 ? s->status | 0x10 << n : s->status & ~(0x10 << n);
        s->status &= ~(1 << n);
        break;
    case SINGLE_MASK:
        s->mask = val & 4 ? s->mask | 1 << n : s->mask & ~(1 << n);
        break;
    case MODE:
        s->regs[n].mode = val;
        break;
    case CLEAR_FLIP_FLOP:
        s->flip_flop = 0;
        break;
    case MASTER_CLEAR:
        master_clear(s);
        break;
    case CLEAR_MASK:
        s->mask = 0;
        break;
    case ALL_MASK:
        s->mask = val & 0x0f;
        break;
    }
    run(s);
}

/* ---- Page registers: at 1..3 and 7 of their eight ports; the others belong to nobody ---- */

static uint8_t *page_register(const DmaWindow *w, uint64_t off)
{
    static const uint8_t channel[8] = { [1] = 2, [2] = 3, [3] = 1, [7] = 0 };
    DmaChannel *r = &w->ctl->regs[channel[(w->first + off) & 7]];

    return w->high ? &r->pageh : &r->page;
}

static uint64_t page_read(void *opaque, uint64_t off, unsigned size)
{
    return *page_register(opaque, off);
}

static void page_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    *page_register(opaque, off) = val;
}

static const RegionOps page_ops = { .read = page_read, .write = page_write, .min = 1, .max = 1 };

static void map_pages(I8257 *s, const char *name, int base, bool high)
{
    static const uint8_t first[2] = { 1, 7 }, count[2] = { 3, 1 };

    for (unsigned i = 0; base >= 0 && i < 2; i++) {
        DmaWindow *w = &s->pages[2 * high + i];

        *w = (DmaWindow) { .ctl = s, .first = first[i], .high = high };
        region_init_io(&w->io, &s->dev, name, count[i], &page_ops, w);
        isa_register_ioport(&s->dev, &w->io, base + first[i]);
    }
}

/* ---- Set-up ---- */

static bool i8257_realize(Device *d, GError **err)
{
    I8257 *s = DEVICE(d, I8257);
    PioRange chan[] = { { 0, 8 << s->dshift, 1, chan_read, chan_write }, {0} };
    PioRange cont[] = { { 8 << s->dshift, 8 << s->dshift, 1, cont_read, cont_write }, {0} };

    s->run_bh = bh_new(run_soon, s);
    map_pages(s, "dma-page", s->page_base, false);
    map_pages(s, "dma-pageh", s->pageh_base, true);
    return isa_map_ports(d, "dma-chan", s->base, chan, err) && isa_map_ports(d, "dma-cont", s->base, cont, err);
}

static void i8257_unrealize(Device *d)
{
    I8257 *s = DEVICE(d, I8257);

    for (unsigned i = 0; i < 4; i++)
        if (s->pages[i].ctl)
            region_fini(&s->pages[i].io);
    bh_free(s->run_bh);
}

static void i8257_reset(Device *d)
{
    bh_cancel(DEVICE(d, I8257)->run_bh);
    master_clear(DEVICE(d, I8257));
}

static bool i8257_loaded(void *obj, int version, GError **err)
{
    schedule(obj);
    return true;
}

static const StateTable channel_state = {
    .name = "dma_regs", .version = 1, .min_version = 1,
    .fields = (const Field[]) {
        FIELD(DmaChannel, now, .max = 0x20000), FIELD(DmaChannel, base), FIELD(DmaChannel, mode),
        FIELD(DmaChannel, page), FIELD(DmaChannel, pageh), FIELD(DmaChannel, dack), FIELD(DmaChannel, eop),
        {0}
    },
};

static const StateTable i8257_state = {
    .name = "dma", .version = 1, .min_version = 1, .loaded = i8257_loaded,
    .fields = (const Field[]) {
        HOST(I8257, dev),
        FIELD(I8257, command), FIELD(I8257, mask), FIELD(I8257, flip_flop, .max = 1),
        FIELD(I8257, dshift, .keep = true, .equal = true),
        STRUCTS(I8257, regs, &channel_state),
        LOCAL(I8257, status),
        HOST(I8257, handlers), HOST(I8257, run_bh), HOST(I8257, running), HOST(I8257, run_again), HOST(I8257, base),
        HOST(I8257, page_base), HOST(I8257, pageh_base), HOST(I8257, pages),
        {0}
    },
};

static const Property i8257_props[] = {
    PROP(I8257, base, "base", PROP_I32, 0x00),
    PROP(I8257, page_base, "page-base", PROP_I32, 0x80),
    PROP(I8257, pageh_base, "pageh-base", PROP_I32, 0x480),
    PROP(I8257, dshift, "dshift", PROP_I32, 0),
    {0}
};

const DeviceType i8257_type = {
    .name = "i8257", .desc = "DMA controller", .bus = "ISA", .internal = true, .size = sizeof(I8257),
    .props = i8257_props, .state = &i8257_state, .realize = i8257_realize, .unrealize = i8257_unrealize,
    .reset = i8257_reset,
};

bool i8257_create_pair(Machine *m, IsaBus *isa, bool page_high, GError **err)
{
    for (unsigned i = 0; i < 2; i++) {
        Device *d = device_new(m, &i8257_type, err);

        if (!d)
            return false;
        device_set_int(d, "base", i ? 0xc0 : 0x00);
        device_set_int(d, "page-base", i ? 0x88 : 0x80);
        device_set_int(d, "pageh-base", !page_high ? -1 : i ? 0x488 : 0x480);
        device_set_int(d, "dshift", i);
        if (!device_realize(d, &isa->bus, err))
            return false;
        isa_bus_set_dma(isa, i, &dma_ops, d);
    }
    return true;
}
