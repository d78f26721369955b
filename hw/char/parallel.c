/*
 * The PC's parallel port with a printer on it (IBM PC/AT Technical Reference: parallel adapter), or the host's own port
 * where the chardev is one.
 *
 * The printer acknowledges a byte at the second status read after the strobe; it stays busy as long as the back-end
 * does not take the byte, for two seconds at most. Not modelled: EPP, ECP.
 */
#include "chardev/char.h"
#include "hw/char/serial.h"
#include "hw/isa/isa.h"
#include "util/error.h"

enum { REG_DATA, REG_STATUS, REG_CONTROL };
enum { STS_BUSY = 0x80, STS_ACK = 0x40, STS_ONLINE = 0x10, STS_ERROR = 0x08, STS_TMOUT = 0x01 };  /* BUSY, ERROR: low */
enum { CTR_STROBE = 0x01, CTR_INIT = 0x04, CTR_SELECT = 0x08, CTR_INTEN = 0x10, CTR_DIR = 0x20, CTR_ONES = 0xc0 };
#define MAX_PORTS 3
#define STUCK_NS (2 * NS_PER_S)

typedef struct Parallel {
    Device dev;

    /* guest state */
    uint8_t dataw, datar, status, control;
    int32_t irq_pending, epp_timeout;
    bool waiting;               /* dataw has been strobed, and the back-end is yet to take it */
    Line irq;

    /* host side */
    CharFrontend chr;
    Timer stuck;
    bool hw_driver, dropping;

    /* set-up */
    uint32_t index, iobase, irq_num;
} Parallel;

static void update_irq(Parallel *s)
{
    line_set(&s->irq, s->irq_pending);
}

static void print_byte(void *opaque)
{
    Parallel *s = opaque;

    timer_stop(&s->stuck);
    if (!s->waiting)
        return;
    if (chr_write(&s->chr, &s->dataw, 1) == 1) {
        s->waiting = s->dropping = false;
        return;
    }
    chr_add_watch(&s->chr, print_byte, s);
    if (s->dropping)
        s->waiting = false;
    else
        timer_arm(&s->stuck, vm_now(&s->dev) + STUCK_NS);
}

static void stuck(void *opaque)
{
    Parallel *s = opaque;

    s->dropping = true;
    print_byte(s);
}

/* ---- The printer's registers ---- */

static uint8_t read_status(Parallel *s)
{
    uint8_t val = s->status;

    s->irq_pending = 0;
    if (!(val & STS_BUSY) && !(s->control & CTR_STROBE) && !s->waiting) {
        if (val & STS_ACK)
            s->status &= ~STS_ACK;
        else
            s->status |= STS_ACK | STS_BUSY;
    }
    update_irq(s);
    return val;
}

static void write_control(Parallel *s, uint8_t val)
{
    if (!(val & CTR_INIT)) {
        s->status = STS_BUSY | STS_ACK | STS_ONLINE | STS_ERROR;
    } else if (val & CTR_SELECT) {
        if (val & CTR_STROBE) {
            s->status &= ~STS_BUSY;
            if (!(s->control & CTR_STROBE) && !s->waiting) {
                s->waiting = true;
                print_byte(s);
            }
        } else if (s->control & CTR_INTEN) {
            s->irq_pending = 1;
        }
    }
    s->control = val | CTR_ONES;
    update_irq(s);
}

static uint64_t parallel_read(void *opaque, uint64_t off, unsigned size)
{
    Parallel *s = opaque;
    uint8_t val = 0xff;

    switch (off) {
    case REG_DATA:
        if (s->hw_driver && (s->control & CTR_DIR) && chr_pp_read(&s->chr, CHR_PP_DATA, &val))
            s->datar = val;
        return s->control & CTR_DIR ? s->datar : s->dataw;
    case REG_STATUS:
        if (!s->hw_driver)
            return read_status(s);
        return chr_pp_read(&s->chr, CHR_PP_STATUS, &val) ? s->status = val : s->status;
    case REG_CONTROL:
        return s->control;
    default:
        return 0xff;
    }
}

static void parallel_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    Parallel *s = opaque;

    switch (off) {
    case REG_DATA:
        if (s->waiting)
            return;             /* latched by the printer */
        s->dataw = val;
        if (s->hw_driver)
            chr_pp_write(&s->chr, CHR_PP_DATA, val);
        update_irq(s);
        break;
    case REG_CONTROL:
        if (s->hw_driver) {
            s->control = val | CTR_ONES;
            chr_pp_write(&s->chr, CHR_PP_CONTROL, val & ~CTR_ONES);
        } else {
            write_control(s, val);
        }
        break;
    }
}

/* ---- Set-up and state ---- */

static const PioRange ports[] = { { 0, 8, 1, parallel_read, parallel_write }, {0} };

static unsigned others(const Device *d)
{
    unsigned n = 0;

    for (unsigned i = 0; i < d->bus->children->len; i++) {
        const Device *o = g_ptr_array_index(d->bus->children, i);

        n += o != d && o->type == d->type;
    }
    return n;
}

static bool parallel_realize(Device *d, GError **err)
{
    static const uint16_t iobase[MAX_PORTS] = { 0x378, 0x278, 0x3bc };
    Parallel *s = DEVICE(d, Parallel);
    uint8_t status;

    if (!s->chr.chr)
        return error_set(err, "Can't create parallel device, empty char device");
    if (s->index == UINT32_MAX)
        s->index = others(d);
    if (s->index >= MAX_PORTS)
        return error_set(err, "Max. supported number of parallel ports is %d.", MAX_PORTS);
    if (s->iobase == UINT32_MAX)
        s->iobase = iobase[s->index];
    timer_init(&s->stuck, d, stuck, s);
    s->hw_driver = chr_pp_read(&s->chr, CHR_PP_STATUS, &status);
    chr_set_handlers(&s->chr, NULL, NULL, NULL, s);
    return isa_connect_irq(d, &s->irq, s->irq_num, err) && isa_map_ports(d, "parallel", s->iobase, ports, err);
}

static void stop_waiting(Parallel *s)
{
    timer_stop(&s->stuck);
    chr_remove_watch(&s->chr);
    s->dropping = false;
}

static void parallel_reset(Device *d)
{
    stop_waiting(DEVICE(d, Parallel));
}

static void parallel_unrealize(Device *d)
{
    stop_waiting(DEVICE(d, Parallel));
    chr_detach(&DEVICE(d, Parallel)->chr);
}

static bool parallel_loaded(void *obj, int version, GError **err)
{
    Parallel *s = obj;

    s->irq.level = s->irq_pending;
    s->waiting = false;
    stop_waiting(s);
    return true;
}

static const StateTable parallel_state = {
    .name = "parallel_isa", .version = 1, .min_version = 1, .loaded = parallel_loaded,
    .fields = (const Field[]) {
        HOST(Parallel, dev),
        FIELD(Parallel, dataw, .name = "state.dataw", .reset = 0xff),
        FIELD(Parallel, datar, .name = "state.datar", .reset = 0xff),
        FIELD(Parallel, status, .name = "state.status", .reset = STS_BUSY | STS_ACK | STS_ONLINE | STS_ERROR | STS_TMOUT),
        FIELD(Parallel, control, .name = "state.control", .reset = CTR_SELECT | CTR_INIT | CTR_ONES),
        FIELD(Parallel, irq_pending, .name = "state.irq_pending", .max = 1),
        FIELD(Parallel, epp_timeout, .name = "state.epp_timeout", .max = 1),
        LOCAL(Parallel, waiting), FIELD(Parallel, irq),
        HOST(Parallel, chr), HOST(Parallel, stuck), HOST(Parallel, hw_driver), HOST(Parallel, dropping),
        HOST(Parallel, index), HOST(Parallel, iobase), HOST(Parallel, irq_num),
        {0}
    },
};

static const Property parallel_props[] = {
    PROP(Parallel, index, "index", PROP_U32, UINT32_MAX),
    PROP(Parallel, iobase, "iobase", PROP_U32, UINT32_MAX),
    PROP(Parallel, irq_num, "irq", PROP_U32, 7),
    PROP(Parallel, chr, "chardev", PROP_CHR, 0),
    {0}
};

const DeviceType isa_parallel_type = {
    .name = "isa-parallel", .bus = "ISA", .category = CAT_INPUT, .size = sizeof(Parallel),
    .props = parallel_props, .state = &parallel_state, .realize = parallel_realize, .reset = parallel_reset,
    .unrealize = parallel_unrealize,
};
