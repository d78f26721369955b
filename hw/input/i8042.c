/*
 * 8042 keyboard controller of the AT and PS/2 (IBM PS/2 Hardware Interface Technical Reference: keyboard and auxiliary
 * device controller), ports 0x60 and 0x64.
 *
 * The byte at port 0x60 is taken from the keyboard's or mouse's queue when it is read. Not modelled: the controller's
 * RAM beyond the command byte, the test inputs, the password.
 */
#include "hw/core/machine.h"
#include "hw/core/runstate.h"
#include "hw/input/input.h"
#include "hw/input/ps2-int.h"
#include "hw/isa/isa.h"
#include "util/log.h"

enum { STAT_OBF = 0x01, STAT_SELFTEST = 0x04, STAT_CMD = 0x08, STAT_UNLOCKED = 0x10, STAT_MOUSE_OBF = 0x20 };
enum { MODE_KBD_INT = 0x01, MODE_MOUSE_INT = 0x02, MODE_SYS = 0x04, MODE_DISABLE_KBD = 0x10, MODE_DISABLE_MOUSE = 0x20,
       MODE_KCC = 0x40 };
enum { OUT_RESET = 0x01, OUT_A20 = 0x02, OUT_ONES = 0xcc, OUT_OBF = 0x10, OUT_MOUSE_OBF = 0x20 };
enum { CMD_READ_MODE = 0x20, CMD_WRITE_MODE = 0x60, CMD_MOUSE_DISABLE = 0xa7, CMD_MOUSE_ENABLE, CMD_TEST_MOUSE,
       CMD_SELF_TEST, CMD_KBD_TEST, CMD_KBD_DISABLE = 0xad, CMD_KBD_ENABLE, CMD_READ_INPORT = 0xc0,
       CMD_READ_OUTPORT = 0xd0, CMD_WRITE_OUTPORT, CMD_WRITE_OBUF, CMD_WRITE_AUX_OBUF, CMD_WRITE_MOUSE,
       CMD_DISABLE_A20 = 0xdd, CMD_ENABLE_A20 = 0xdf, CMD_PULSE = 0xf0 };
/* Who has a byte for port 0x60. The first two are QEMU's older form of the last two. */
enum { PENDING_KBD_COMPAT = 0x01, PENDING_AUX_COMPAT = 0x02, PENDING_CTRL_KBD = 0x04, PENDING_CTRL_AUX = 0x08,
       PENDING_KBD = MODE_DISABLE_KBD, PENDING_AUX = MODE_DISABLE_MOUSE };
enum { OBSRC_KBD = 1, OBSRC_MOUSE = 2, OBSRC_CTRL = 4 };
enum { FLAG_TIMER_PENDING = 1 };
#define THROTTLE_NS 1000000     /* kbd-throttle: the least time between two bytes */

typedef struct Kbc {
    uint8_t write_cmd;          /* command whose byte comes through port 0x60; 0: none */
    uint8_t status, mode, outport;
    uint8_t pending_tmp;        /* `pending` on the wire */
    uint8_t pending;
    uint8_t obdata, cbdata;     /* last byte at port 0x60; the controller's own byte */
    uint32_t obsrc;             /* where the byte at port 0x60 comes from */
    uint32_t migration_flags;
    bool has_outport, has_extended;     /* while loading: the subsection was there */
    bool extended_state;
} Kbc;

typedef struct I8042 {
    Device dev;

    /* guest state */
    Kbc kbd;
    Line irq_kbd, irq_mouse, a20;
    Timer throttle;

    /* set-up */
    bool kbd_throttle;
    uint8_t kbd_irq, mouse_irq;
    Device *ps2_kbd, *ps2_mouse;
} I8042;

/* ---- The output buffer ---- */

static uint8_t sources(const I8042 *s)
{
    /* A disabled interface keeps its bytes. */
    return s->kbd.pending & ~(s->kbd.mode & (PENDING_KBD | PENDING_AUX));
}

static void update_lines(I8042 *s)
{
    const Kbc *k = &s->kbd;
    bool full = k->status & STAT_OBF, mouse = k->status & STAT_MOUSE_OBF;

    line_set(&s->irq_mouse, full && mouse && (k->mode & MODE_MOUSE_INT));
    line_set(&s->irq_kbd, full && !mouse && (k->mode & (MODE_KBD_INT | MODE_DISABLE_KBD)) == MODE_KBD_INT);
}

static void empty_buffer(I8042 *s)
{
    s->kbd.status &= ~(STAT_OBF | STAT_MOUSE_OBF);
    s->kbd.outport &= ~(OUT_OBF | OUT_MOUSE_OBF);
    update_lines(s);
}

static void fill_buffer(I8042 *s)
{
    Kbc *k = &s->kbd;
    uint8_t from = sources(s);
    bool ctrl = from & (PENDING_CTRL_KBD | PENDING_CTRL_AUX);
    bool mouse = from & PENDING_CTRL_KBD ? false : from & PENDING_CTRL_AUX ? true : !(from & PENDING_KBD);

    if (!from)
        return;
    k->status |= STAT_OBF | (mouse ? STAT_MOUSE_OBF : 0);
    k->outport |= OUT_OBF | (mouse ? OUT_MOUSE_OBF : 0);
    k->obsrc = ctrl ? OBSRC_CTRL : mouse ? OBSRC_MOUSE : OBSRC_KBD;
    update_lines(s);
}

/* A full buffer is read first; a throttled one waits. */
static void look_for_byte(I8042 *s)
{
    if (!(s->kbd.status & STAT_OBF) && !timer_armed(&s->throttle))
        fill_buffer(s);
}

static void throttle_over(void *opaque)
{
    look_for_byte(opaque);
}

static void i8042_input(Device *d, unsigned n, int level)
{
    I8042 *s = DEVICE(d, I8042);
    uint8_t bit = n ? PENDING_AUX : PENDING_KBD;

    s->kbd.pending = level ? s->kbd.pending | bit : s->kbd.pending & ~bit;
    if (level)
        look_for_byte(s);
    else if ((s->kbd.status & STAT_OBF) && s->kbd.obsrc == (n ? OBSRC_MOUSE : OBSRC_KBD))
        empty_buffer(s);        /* a new command or a reset has taken the byte back */
}

static void answer(I8042 *s, uint8_t b, bool aux)
{
    s->kbd.cbdata = b;
    s->kbd.pending &= ~(PENDING_CTRL_KBD | PENDING_CTRL_AUX);
    s->kbd.pending |= aux ? PENDING_CTRL_AUX : PENDING_CTRL_KBD;
    look_for_byte(s);
}

static uint64_t data_read(void *opaque, uint64_t off, unsigned size)
{
    I8042 *s = opaque;
    Kbc *k = &s->kbd;

    if (!(k->status & STAT_OBF))
        return k->obdata;
    empty_buffer(s);
    if (k->obsrc == OBSRC_CTRL) {
        k->pending &= ~(PENDING_CTRL_KBD | PENDING_CTRL_AUX);
        k->obdata = k->cbdata;
        look_for_byte(s);
        return k->obdata;
    }
    if (s->kbd_throttle)
        timer_arm(&s->throttle, vm_now(&s->dev) + THROTTLE_NS);
    k->obdata = ps2_read(k->obsrc == OBSRC_MOUSE ? s->ps2_mouse : s->ps2_kbd);
    look_for_byte(s);
    return k->obdata;
}

/* ---- Commands ---- */

static void write_outport(I8042 *s, uint8_t val)
{
    s->kbd.outport = val;
    line_set(&s->a20, val & OUT_A20);
    if (!(val & OUT_RESET))
        machine_request_reset(s->dev.machine, CAUSE_GUEST_RESET);
}

static void set_mode(I8042 *s, uint8_t val)
{
    s->kbd.mode = val;
    ps2_kbd_set_translation(s->ps2_kbd, val & MODE_KCC);
    update_lines(s);
    look_for_byte(s);
}

static void change_mode(I8042 *s, uint8_t clear, uint8_t set)
{
    s->kbd.mode = (s->kbd.mode & ~clear) | set;
    update_lines(s);
    look_for_byte(s);
}

static void data_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    I8042 *s = opaque;
    uint8_t cmd = s->kbd.write_cmd;

    s->kbd.write_cmd = 0;
    switch (cmd) {
    case CMD_WRITE_MODE: set_mode(s, val); break;
    case CMD_WRITE_OBUF: answer(s, val, false); break;
    case CMD_WRITE_AUX_OBUF: answer(s, val, true); break;
    case CMD_WRITE_OUTPORT: write_outport(s, val); break;
    case CMD_WRITE_MOUSE:
        /* What is sent to a device enables it. */
        change_mode(s, MODE_DISABLE_MOUSE, 0);
        ps2_mouse_write(s->ps2_mouse, val);
        break;
    default:
        change_mode(s, MODE_DISABLE_KBD, 0);
        ps2_kbd_write(s->ps2_kbd, val);
        break;
    }
}

static void cmd_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    I8042 *s = opaque;
    uint8_t cmd = val;

    if ((cmd & CMD_PULSE) == CMD_PULSE) {       /* bits 0..3 that are 0 are pulsed; bit 0 is reset */
        if (!(cmd & OUT_RESET))
            machine_request_reset(s->dev.machine, CAUSE_GUEST_RESET);
        return;
    }
    switch (cmd) {
    case CMD_READ_MODE: answer(s, s->kbd.mode, false); break;
    case CMD_WRITE_MODE: case CMD_WRITE_OBUF: case CMD_WRITE_AUX_OBUF: case CMD_WRITE_MOUSE: case CMD_WRITE_OUTPORT:
        s->kbd.write_cmd = cmd;
        break;
    case CMD_MOUSE_DISABLE: change_mode(s, 0, MODE_DISABLE_MOUSE); break;
    case CMD_MOUSE_ENABLE: change_mode(s, MODE_DISABLE_MOUSE, 0); break;
    case CMD_KBD_DISABLE: change_mode(s, 0, MODE_DISABLE_KBD); break;
    case CMD_KBD_ENABLE: change_mode(s, MODE_DISABLE_KBD, 0); break;
    case CMD_TEST_MOUSE: case CMD_KBD_TEST: answer(s, 0x00, false); break;
    case CMD_SELF_TEST:
        s->kbd.status |= STAT_SELFTEST;
        answer(s, 0x55, false);
        break;
    case CMD_READ_INPORT: answer(s, 0x80, false); break;
    case CMD_READ_OUTPORT: answer(s, s->kbd.outport, false); break;
    case CMD_ENABLE_A20: write_outport(s, s->kbd.outport | OUT_A20); break;
    case CMD_DISABLE_A20: write_outport(s, s->kbd.outport & ~OUT_A20); break;
    default:
        log_guest("i8042: unknown command 0x%02x\n", cmd);
        break;
    }
}

static uint64_t status_read(void *opaque, uint64_t off, unsigned size)
{
    return ((I8042 *)opaque)->kbd.status;
}

static const PioRange data_ports[] = { { 0, 1, 1, data_read, data_write }, {0} };
static const PioRange cmd_ports[] = { { 0, 1, 1, status_read, cmd_write }, {0} };

/* ---- Set-up ---- */

static Device *make_part(I8042 *s, const DeviceType *t, const char *name, unsigned input, GError **err)
{
    Device *d = device_new(s->dev.machine, t, err);

    if (!d)
        return NULL;
    d->owner = &s->dev;
    d->part = name;
    line_connect_device(&DEVICE(d, Ps2)->irq, &s->dev, input);
    return device_realize(d, NULL, err) ? d : NULL;
}

static bool i8042_realize(Device *d, GError **err)
{
    I8042 *s = DEVICE(d, I8042);

    timer_init(&s->throttle, d, throttle_over, s);
    if (!isa_connect_irq(d, &s->irq_kbd, s->kbd_irq, err) || !isa_connect_irq(d, &s->irq_mouse, s->mouse_irq, err) ||
        !isa_map_ports(d, "i8042-data", 0x60, data_ports, err) || !isa_map_ports(d, "i8042-cmd", 0x64, cmd_ports, err))
        return false;
    s->ps2_kbd = make_part(s, &ps2_kbd_type, "ps2kbd", 0, err);
    s->ps2_mouse = s->ps2_kbd ? make_part(s, &ps2_mouse_type, "ps2mouse", 1, err) : NULL;
    return s->ps2_mouse != NULL;
}

static void i8042_reset(Device *d)
{
    I8042 *s = DEVICE(d, I8042);

    timer_stop(&s->throttle);
    device_reset(s->ps2_kbd);
    device_reset(s->ps2_mouse);
    s->kbd.pending = 0;
    empty_buffer(s);
}

Line *i8042_a20(Device *kbc)
{
    return &DEVICE(kbc, I8042)->a20;
}

void i8042_mouse_poke(Device *kbc)
{
    ps2_mouse_poke(DEVICE(kbc, I8042)->ps2_mouse);
}

/* ---- State ---- */

static uint8_t default_outport(const Kbc *k)
{
    return OUT_RESET | OUT_A20 | OUT_ONES | (k->status & STAT_OBF ? OUT_OBF : 0) |
           (k->status & STAT_MOUSE_OBF ? OUT_MOUSE_OBF : 0);
}

static void kbc_save(void *obj)
{
    Kbc *k = obj;

    k->pending_tmp = k->pending;
    if (!k->extended_state)
        k->pending_tmp = (k->pending & PENDING_KBD ? PENDING_KBD_COMPAT : 0) |
                         (k->pending & PENDING_AUX ? PENDING_AUX_COMPAT : 0);
}

static bool kbc_load(void *obj, GError **err)
{
    ((Kbc *)obj)->has_outport = ((Kbc *)obj)->has_extended = false;
    return true;
}

static bool kbc_loaded(void *obj, int version, GError **err)
{
    Kbc *k = obj;

    if (!k->has_outport)
        k->outport = default_outport(k);
    k->pending = k->pending_tmp;
    if (k->has_extended)
        return true;
    k->obsrc = !(k->status & STAT_OBF) ? 0 : k->status & STAT_MOUSE_OBF ? OBSRC_MOUSE : OBSRC_KBD;
    k->migration_flags = 0;
    k->pending = (k->pending_tmp & PENDING_KBD_COMPAT ? PENDING_KBD : 0) |
                 (k->pending_tmp & PENDING_AUX_COMPAT ? PENDING_AUX : 0);
    return true;
}

static bool outport_loaded(void *obj, int version, GError **err)
{
    ((Kbc *)obj)->has_outport = true;
    return true;
}

static bool extended_loaded(void *obj, int version, GError **err)
{
    ((Kbc *)obj)->has_extended = true;
    return true;
}

static bool outport_needed(const void *obj)
{
    return ((const Kbc *)obj)->outport != default_outport(obj);
}

static bool extended_needed(const void *obj)
{
    return ((const Kbc *)obj)->extended_state;
}

static const StateTable kbc_outport = {
    .name = "pckbd_outport", .version = 1, .min_version = 1, .needed = outport_needed, .loaded = outport_loaded,
    .fields = (const Field[]) { FIELD(Kbc, outport, .reset = OUT_RESET | OUT_A20 | OUT_ONES), {0} },
};

static const StateTable kbc_extended = {
    .name = "pckbd/extended_state", .needed = extended_needed, .loaded = extended_loaded,
    .fields = (const Field[]) {
        FIELD(Kbc, migration_flags, .max = FLAG_TIMER_PENDING), FIELD(Kbc, obsrc, .max = 7), FIELD(Kbc, obdata),
        FIELD(Kbc, cbdata),
        {0}
    },
};

static const StateTable kbc_state = {
    .name = "pckbd", .version = 3, .min_version = 3, .save = kbc_save, .load = kbc_load, .loaded = kbc_loaded,
    .subsections = (const StateTable *const[]) { &kbc_outport, &kbc_extended, NULL },
    .fields = (const Field[]) {
        FIELD(Kbc, write_cmd), FIELD(Kbc, status, .reset = STAT_CMD | STAT_UNLOCKED),
        FIELD(Kbc, mode, .reset = MODE_KBD_INT | MODE_MOUSE_INT), FIELD(Kbc, pending_tmp),
        DERIVED(Kbc, pending), HOST(Kbc, has_outport), HOST(Kbc, has_extended), HOST(Kbc, extended_state),
        {0}
    },
};

static void i8042_save(void *obj)
{
    I8042 *s = obj;

    s->kbd.migration_flags = timer_armed(&s->throttle) ? FLAG_TIMER_PENDING : 0;
}

static bool i8042_loaded(void *obj, int version, GError **err)
{
    I8042 *s = obj;
    const Kbc *k = &s->kbd;
    bool full = k->status & STAT_OBF, mouse = k->status & STAT_MOUSE_OBF;

    s->irq_mouse.level = full && mouse && (k->mode & MODE_MOUSE_INT);
    s->irq_kbd.level = full && !mouse && (k->mode & (MODE_KBD_INT | MODE_DISABLE_KBD)) == MODE_KBD_INT;
    s->a20.level = (k->outport & OUT_A20) != 0;
    timer_stop(&s->throttle);
    if (k->migration_flags & FLAG_TIMER_PENDING)
        timer_arm(&s->throttle, vm_now(&s->dev) + THROTTLE_NS);
    return true;
}

static const StateTable i8042_state = {
    .name = "pckbd", .version = 3, .min_version = 3, .save = i8042_save, .loaded = i8042_loaded,
    .fields = (const Field[]) {
        HOST(I8042, dev),
        STRUCT(I8042, kbd, &kbc_state),
        FIELD(I8042, irq_kbd), FIELD(I8042, irq_mouse), FIELD(I8042, a20, .reset = 1), DERIVED(I8042, throttle),
        HOST(I8042, kbd_throttle), HOST(I8042, kbd_irq), HOST(I8042, mouse_irq), HOST(I8042, ps2_kbd),
        HOST(I8042, ps2_mouse),
        {0}
    },
};

static const Property i8042_props[] = {
    PROP(I8042, kbd.extended_state, "extended-state", PROP_BOOL, true, .help = ""),
    PROP(I8042, kbd_throttle, "kbd-throttle", PROP_BOOL, false, .help = ""),
    PROP(I8042, kbd_irq, "kbd-irq", PROP_U8, 1),
    PROP(I8042, mouse_irq, "mouse-irq", PROP_U8, 12),
    {0}
};

const DeviceType i8042_type = {
    .name = "i8042", .bus = "ISA", .category = CAT_INPUT, .size = sizeof(I8042),
    .props = i8042_props, .state = &i8042_state, .realize = i8042_realize, .reset = i8042_reset,
    .input = i8042_input, .inputs = 2,
    .gpios = (const GpioInfo[]){ { "ps2-mouse-input-irq", 1, 0 }, { "ps2-kbd-input-irq", 1, 0 }, { "", 0, 2 }, { "a20", 0, 1 }, {0} },
};
