/*
 * The USB function of the PIIX3 (01.2): a UHCI controller with two ports, low and full speed.
 *
 * Universal Host Controller Interface 1.1; Intel 82371SB (PIIX3) data sheet, 2.6. uhci-frame.c has the schedule. Not modelled:
 * single steps (SWDBG), SOF timing, keyboard and mouse emulation for the 8042 (the legacy support register is stored).
 */
#include "hw/usb/uhci-int.h"
#include "util/error.h"
#include "util/log.h"

/* ---- Interrupt ---- */

void uhci_update_irq(Uhci *s)
{
    const bool on = ((s->status2 & STS2_IOC) && (s->intr & INTR_IOC)) || ((s->status2 & STS2_SPD) && (s->intr & INTR_SPD)) ||
                    ((s->status & STS_ERROR) && (s->intr & INTR_CRC)) || ((s->status & STS_RESUME) && (s->intr & INTR_RESUME)) ||
                    (s->status & (STS_HSERR | STS_HCPERR));

    pci_irq_set(&s->pci, on);
}

void uhci_process_error(Uhci *s)
{
    s->status |= STS_HCPERR | STS_HALTED;
    s->cmd &= ~CMD_RS;
    uhci_stop(s);
    uhci_update_irq(s);
}

/* ---- Ports ---- */

UsbDevice *uhci_find(Uhci *s, unsigned addr)
{
    for (unsigned i = 0; i < UHCI_PORTS; i++) {
        UsbDevice *d = s->ports[i].ctrl & PORT_EN ? usb_find(s->ports[i].port.dev, addr) : NULL;

        if (d)
            return d;
    }
    return NULL;
}

/* A suspended bus hears of it. */
static void resume(Uhci *s)
{
    if (!(s->cmd & CMD_EGSM))
        return;
    s->cmd |= CMD_FGR;
    s->status |= STS_RESUME;
    uhci_update_irq(s);
}

static void port_attach(UsbPort *p)
{
    Uhci *s = p->opaque;
    uint16_t *ctrl = &s->ports[p->index].ctrl;

    *ctrl |= PORT_CCS | PORT_CSC;
    *ctrl = p->dev->speed == USB_LOW ? *ctrl | PORT_LSDA : *ctrl & ~PORT_LSDA;
    resume(s);
}

static void port_detach(UsbPort *p)
{
    Uhci *s = p->opaque;
    uint16_t *ctrl = &s->ports[p->index].ctrl;

    if (*ctrl & PORT_CCS)
        *ctrl = (*ctrl & ~PORT_CCS) | PORT_CSC;
    if (*ctrl & PORT_EN)
        *ctrl = (*ctrl & ~PORT_EN) | PORT_ENC;
    resume(s);
}

static void port_wakeup(UsbPort *p)
{
    Uhci *s = p->opaque;
    uint16_t *ctrl = &s->ports[p->index].ctrl;

    if ((*ctrl & PORT_SUSPEND) && !(*ctrl & PORT_RD)) {
        *ctrl |= PORT_RD;
        resume(s);
    }
}

static const UsbPortOps port_ops = { .attach = port_attach, .detach = port_detach, .wakeup = port_wakeup };

static void look(void *opaque)
{
    Uhci *s = opaque;

    s->woken = !machine_is_running(s->pci.dev.machine);
    if (!s->woken)
        uhci_look(s);
}

static void wakeup(void *opaque, UsbDevice *d)
{
    bh_schedule(((Uhci *)opaque)->bh);
}

static void run_state(void *opaque, bool running, RunState st)
{
    Uhci *s = opaque;

    if (running && s->woken)
        bh_schedule(s->bh);
}

static const UsbBusOps bus_ops = { .wakeup = wakeup };

/* ---- Registers ---- */

static void uhci_reset(Device *d)
{
    Uhci *s = DEVICE(d, Uhci);

    uhci_stop(s);
    bh_cancel(s->bh);
    s->woken = false;
    s->cmd = s->intr = s->status2 = s->frnum = 0;
    s->status = STS_HALTED;
    s->fl_base_addr = s->pending_int_mask = s->frame_bytes = s->idle_frames = 0;
    s->sof_timing = 64;
    s->expire_time = 0;
    for (unsigned i = 0; i < UHCI_PORTS; i++) {
        UsbPort *p = &s->ports[i].port;

        s->ports[i].ctrl = PORT_ALWAYS;
        if (p->dev) {
            usb_reset(p->dev);
            port_attach(p);
        }
    }
    uhci_update_irq(s);
}

static void write_cmd(Uhci *s, uint16_t val)
{
    if (val & (CMD_GRESET | CMD_HCRESET)) {
        uhci_reset(&s->pci.dev);
        return;
    }
    if (!(val & CMD_RS)) {
        uhci_catch_up(s);
        s->cmd = val;
        s->status |= STS_HALTED;
        uhci_stop(s);
    } else if (!(s->cmd & CMD_RS)) {
        s->cmd = val;
        uhci_start(s);
    }
    s->cmd = val;
    if ((val & CMD_EGSM) && ((s->ports[0].ctrl | s->ports[1].ctrl) & PORT_RD))
        resume(s);
}

static void write_port(UhciPort *p, uint16_t val)
{
    if ((val & PORT_RESET) && !(p->ctrl & PORT_RESET))
        usb_reset(p->port.dev);
    p->ctrl &= PORT_READ_ONLY;
    if (!(p->ctrl & PORT_CCS))
        val &= ~PORT_EN;
    p->ctrl |= val & ~PORT_READ_ONLY;
    p->ctrl &= ~(val & PORT_WRITE_CLEAR);
}

static uint64_t io_read(void *opaque, uint64_t off, unsigned size)
{
    Uhci *s = opaque;

    switch (off & 0x1e) {
    case 0x00: return s->cmd;
    case 0x02: return s->status;
    case 0x04: return s->intr;
    case 0x06: return uhci_frnum(s);
    case 0x08: return s->fl_base_addr & 0xffff;
    case 0x0a: return s->fl_base_addr >> 16;
    case 0x0c: return s->sof_timing;
    case 0x10: return s->ports[0].ctrl;
    case 0x12: return s->ports[1].ctrl;
    default: return 0xff7f;             /* a port that isn't there */
    }
}

static void io_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    Uhci *s = opaque;

    switch (off & 0x1e) {
    case 0x00:
        write_cmd(s, val);
        break;
    case 0x02:
        s->status &= ~val;
        if (val & STS_USBINT)
            s->status2 = 0;
        uhci_update_irq(s);
        break;
    case 0x04:
        s->intr = val;
        uhci_update_irq(s);
        break;
    case 0x06:
        if (s->status & STS_HALTED)
            s->frnum = val & 0x7ff;
        break;
    case 0x08:
        s->fl_base_addr = (s->fl_base_addr & 0xffff0000) | (val & 0xf000);
        break;
    case 0x0a:
        s->fl_base_addr = (s->fl_base_addr & 0xffff) | (uint32_t)(val & 0xffff) << 16;
        break;
    case 0x0c:
        s->sof_timing = val;
        break;
    case 0x10: case 0x12:
        write_port(&s->ports[(off >> 1) & 1], val);
        break;
    }
    uhci_kick(s);
}

static const RegionOps io_ops = { .read = io_read, .write = io_write, .min = 2, .max = 2 };

/* ---- State ---- */

static uint64_t get_ports(const void *obj)
{
    return UHCI_PORTS;
}

/* A stream has no place for a timer that sleeps because no port is enabled. */
static void before_save(void *obj)
{
    Uhci *s = obj;

    if ((s->cmd & CMD_RS) && !timer_armed(&s->frame_timer))
        timer_arm(&s->frame_timer, vm_now(&s->pci.dev) + UHCI_FRAME_NS);
}

static bool loaded(void *obj, int version, GError **err)
{
    Uhci *s = obj;
    const int64_t now = vm_now(&s->pci.dev);

    if (s->expire_time < 0 || s->expire_time > now + (int64_t)(2 * UHCI_FRAME_NS) || version < 2)
        s->expire_time = now + UHCI_FRAME_NS;
    if (!(s->cmd & CMD_RS))
        timer_stop(&s->frame_timer);
    else if (!timer_armed(&s->frame_timer))
        timer_arm(&s->frame_timer, s->expire_time);
    return true;
}

static const Field port_fields[] = { FIELD(UhciPort, ctrl, .keep = true), HOST(UhciPort, port), {0} };
static const StateTable port_state = { .name = "uhci port", .version = 1, .min_version = 1, .fields = port_fields };

#define F(m, ...) FIELD(Uhci, m, ##__VA_ARGS__)
static const Field fields[] = {
    PCI_STATE(Uhci, pci, .name = "dev"), VIRTUAL("num_ports_vmstate", 1, .get = get_ports, .equal = true),
    STRUCTS(Uhci, ports, &port_state, .since = 1), F(cmd), F(status), F(intr), F(frnum, .max = 0x7ff), F(fl_base_addr), F(sof_timing),
    F(status2, .max = 3), F(frame_timer), F(expire_time, .since = 2), F(pending_int_mask, .since = 3, .max = 3),
    LOCAL(Uhci, frame_bytes), LOCAL(Uhci, idle_frames), HOST(Uhci, io), HOST(Uhci, usb), HOST(Uhci, bh), HOST(Uhci, woken),
    HOST(Uhci, bandwidth), HOST(Uhci, maxframes), {0}
};
#undef F
static const StateTable uhci_state = { .name = "uhci", .version = 3, .min_version = 1, .fields = fields, .save = before_save,
                                       .loaded = loaded };

/* ---- Life ---- */

static bool uhci_realize(Device *d, GError **err)
{
    Uhci *s = DEVICE(d, Uhci);

    if (!s->maxframes)
        s->maxframes = 1;
    s->pci.config[0x60] = 0x10;         /* serial bus release 1.0 */
    s->pci.config[0x6a] = 0x01;         /* USB clock */
    pci_set_pin(&s->pci, 4);
    timer_init(&s->frame_timer, d, uhci_frame_due, s);
    s->bh = bh_new(look, s);
    s->usb = usb_bus_new(d, &bus_ops, s);
    for (unsigned i = 0; i < UHCI_PORTS; i++)
        usb_port_add(s->usb, &s->ports[i].port, NULL, i, &port_ops, s, USB_SPEED_BIT(USB_LOW) | USB_SPEED_BIT(USB_FULL));
    region_init_io(&s->io, d, "uhci", UHCI_IO_BYTES, &io_ops, s);
    pci_register_bar(&s->pci, 4, PCI_BAR_IO, &s->io);
    machine_observe_state(d->machine, run_state, s);
    return true;
}

static void uhci_unrealize(Device *d)
{
    Uhci *s = DEVICE(d, Uhci);

    machine_unobserve_state(d->machine, run_state, s);
    timer_stop(&s->frame_timer);
    bh_free(s->bh);
    region_fini(&s->io);
}

static const Property uhci_props[] = {
    PROP(Uhci, bandwidth, "bandwidth", PROP_U32, 1280), PROP(Uhci, maxframes, "maxframes", PROP_U32, 128), {0}
};

const DeviceType piix3_usb_uhci_type = {
    .name = "piix3-usb-uhci", .bus = "PCI", .parent = &pci_device_type, .category = CAT_USB, .hotplug = true,
    .size = sizeof(Uhci), .props = uhci_props, .state = &uhci_state, .realize = uhci_realize, .reset = uhci_reset,
    .unrealize = uhci_unrealize,
    .class_data = &(const PciClass){ .vendor = 0x8086, .device = 0x7020, .revision = 1, .class_id = 0x0c03 },
};
