/*
 * Intel 82540EM, 82544GC and 82545EM Ethernet controllers (PCI/PCI-X Family of Gigabit Ethernet Controllers Software
 * Developer's Manual, 317453).
 *
 * Registers and life; e1000-tx.c and e1000-rx.c have the rings, e1000-phy.c link, PHY and EEPROM, e1000-state.c what migrates.
 * As stock QEMU's: a software reset (CTRL.RST) leaves the registers alone, the I/O BAR has nothing behind it, there is no
 * flash, and wake-up registers are stored without effect.
 */
#include <string.h>
#include "hw/core/machine.h"
#include "hw/net/e1000-int.h"

/* No more than 7813 interrupts a second (13.4.18). */
enum { MIT_UNIT = 256, MIT_MIN = 500, MIT_TADV_UNITS = 4 };
/* Between looks at a full ring, in ns. */
enum { TAIL_WAIT = 1000000, TAIL_WAIT_MAX = 64000000 };

/* ---- Interrupts ---- */

static void set_line(E1000 *s, bool level)
{
    s->irq_level = level;
    pci_irq_set(&s->pci, level);
}

static void shorten(uint32_t *delay, uint32_t v)
{
    if (v && (!*delay || v < *delay))
        *delay = v;
}

/* How long the next interrupt has to wait for this one, in units of 256 ns. */
static uint32_t interval(E1000 *s, uint32_t pending)
{
    uint32_t delay = 0;

    if (s->delay_tx && (pending & (ICR_TXQE | ICR_TXDW)))
        shorten(&delay, *reg(s, TADV) * MIT_TADV_UNITS);
    if (*reg(s, RDTR) && (pending & ICR_RXT0))
        shorten(&delay, *reg(s, RADV) * MIT_TADV_UNITS);
    shorten(&delay, *reg(s, ITR));
    return MAX(delay, MIT_MIN);
}

void e1000_update_irq(E1000 *s)
{
    const uint32_t pending = *reg(s, IMS) & *reg(s, ICR);

    if (pending && !s->irq_level && e1000_flag(s, FLAG_MITIGATION)) {
        if (s->mit_until)
            return;
        s->mit_until = vm_now(&s->pci.dev) + (uint64_t)interval(s, pending) * MIT_UNIT;
        s->delay_tx = false;
        timer_arm(&s->mit_timer, s->mit_until);
    }
    set_line(s, pending != 0);
}

void e1000_mit_expired(void *opaque)
{
    E1000 *s = opaque;

    s->mit_until = 0;
    e1000_update_irq(s);
}

void e1000_raise(E1000 *s, uint32_t causes)
{
    *reg(s, ICR) |= causes;
    *reg(s, ICS) = *reg(s, ICR);
    e1000_update_irq(s);
}

static void lower(E1000 *s, uint32_t causes)
{
    *reg(s, ICR) &= ~causes;
    *reg(s, ICS) = *reg(s, ICR);
    e1000_update_irq(s);
}

/* ---- Statistics ---- */

void e1000_count_size(E1000 *s, unsigned first, size_t size)
{
    static const uint16_t limits[] = { 64, 127, 255, 511, 1023 };
    unsigned i = 0;

    while (i < G_N_ELEMENTS(limits) && size > limits[i])
        i++;
    count(s, first + 4 * i);
}

void e1000_count_bytes(E1000 *s, unsigned low, size_t size)
{
    uint64_t v = (*reg(s, low) | (uint64_t)*reg(s, low + 4) << 32), sum = v + size;

    sum = sum < v ? UINT64_MAX : sum;
    *reg(s, low) = sum;
    *reg(s, low + 4) = sum >> 32;
}

/* Counters are cleared when they are read; the 64-bit ones with their upper half. */
static uint32_t read_counter(E1000 *s, unsigned off)
{
    const uint32_t v = *reg(s, off);

    switch (off) {
    case GORCL: case GOTCL: case TORL: case TOTL: case FCRUC:
        return v;
    case GORCH: case GOTCH: case TORH: case TOTH:
        *reg(s, off - 4) = 0;
        break;
    }
    *reg(s, off) = 0;
    return v;
}

/* ---- Registers ---- */

/* Those that are stored as they are written, as far as the mask goes; the others are below, or do not exist. */
static const struct { uint32_t first, last, mask; } plain[] = {
    { VET, VET, ~0u }, { ITR, ITR, 0xffff }, { AIT, AIT, 0xffff }, { LEDCTL, LEDCTL, ~0u }, { PBA, PBA, ~0u },
    { 0x2410, 0x2410, 0x1fff }, { 0x2418, 0x2418, 0x1fff }, { 0x2420, 0x2420, 0x1fff }, { 0x2428, 0x2428, 0x1fff },
    { 0x2430, 0x2430, 0x1fff }, { RDBAL, RDBAH, ~0u }, { RDLEN, RDLEN, 0xfff80 }, { RDH, RDH, 0xffff }, { RDTR, RDTR, 0xffff },
    { RADV, RADV, 0xffff }, { 0x3410, 0x3410, 0x7ff }, { 0x3418, 0x3418, 0x7ff }, { 0x3420, 0x3420, 0x1fff },
    { 0x3428, 0x3428, 0x1fff }, { 0x3430, 0x3430, 0x1fff }, { TDBAL, TDBAH, ~0u }, { TDLEN, TDLEN, 0xfff80 }, { TXDCTL, TXDCTL, ~0u },
    { TADV, TADV, 0xffff }, { FCRUC, FCRUC, ~0u }, { MTA, 0x547c, ~0u }, { VFTA, 0x5800, ~0u }, { WUFC, WUFC, ~0u },
    { 0x5810, 0x5810, ~0u }, { 0x5838, 0x5838, ~0u }, { 0x5840, 0x5858, ~0u }, { 0x5880, 0x588c, ~0u }, { 0x5a00, 0x5a7c, ~0u },
    { SWSM, SWSM, ~0u }, { 0x5f00, 0x5f18, 0x7ff }, { 0x9000, 0x93f8, 0xf }, { 0x9800, 0x9bf8, ~0u }, { 0x10000, 0x1fffc, ~0u },
};

/* 0: no such register. */
static uint32_t plain_mask(unsigned off)
{
    unsigned a = 0, b = G_N_ELEMENTS(plain);

    while (a < b) {
        const unsigned mid = (a + b) / 2;

        if (off > plain[mid].last)
            a = mid + 1;
        else
            b = mid;
    }
    return a < G_N_ELEMENTS(plain) && off >= plain[a].first ? plain[a].mask : 0;
}

static uint32_t read_icr(E1000 *s)
{
    const uint32_t v = *reg(s, ICR);

    lower(s, ~0u);
    return v;
}

static uint64_t mmio_read(void *opaque, uint64_t off, unsigned size)
{
    E1000 *s = opaque;

    off &= ~3ull;
    switch (off) {
    case ICR:
        return read_icr(s);
    case EECD:
        return e1000_eecd_read(s);
    case EERD:
        return e1000_eerd_read(s);
    case CTRL: case STATUS: case MDIC: case ICS: case IMS: case RCTL: case TCTL: case RDT: case TDH: case TDT: case MANC:
        return *reg(s, off);
    }
    if (off >= STATS && off < STATS_END)
        return read_counter(s, off);
    return plain_mask(off) ? *reg(s, off) : 0;
}

void e1000_catch_up(E1000 *s)
{
    s->catching_up = true;          /* the caller is about to receive: not from within */
    region_flush_coalesced(&s->mmio);
    s->catching_up = false;
}

static void receive_again(E1000 *s)
{
    if (!s->catching_up && e1000_can_receive(s))
        net_flush(s->nic.client);
}

static void write_plain(E1000 *s, unsigned off, uint32_t val)
{
    const uint32_t mask = plain_mask(off);

    if (!mask)
        return;
    *reg(s, off) = val & mask;
    if (off == RA + 4) {            /* the address that the guest gave itself */
        const uint32_t low = *reg(s, RA);
        const uint8_t mac[6] = { low, low >> 8, low >> 16, low >> 24, val, val >> 8 };

        nic_show_mac(&s->nic, mac);
    }
}

static void mmio_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    E1000 *s = opaque;

    off &= ~3ull;
    switch (off) {
    case CTRL:
        *reg(s, CTRL) = val & ~CTRL_RST;
        break;
    case EECD:
        e1000_eecd_write(s, val);
        break;
    case EERD:
        *reg(s, EERD) = val;
        break;
    case MDIC:
        e1000_mdic_write(s, val);
        break;
    case ICR:
        lower(s, val);
        break;
    case ICS:
        e1000_raise(s, val);
        break;
    case IMS:
        *reg(s, IMS) |= val;
        e1000_update_irq(s);
        break;
    case IMC:
        *reg(s, IMS) &= ~val;
        e1000_update_irq(s);
        break;
    case RCTL:
        e1000_set_rctl(s, val);
        receive_again(s);
        break;
    case RDT:
        *reg(s, RDT) = val & 0xffff;
        receive_again(s);
        break;
    case TCTL:
        *reg(s, TCTL) = val;
        e1000_transmit(s);
        break;
    case TDH:                       /* the ring moves on when its tail is written, or transmission is turned on */
        *reg(s, TDH) = val & 0xffff;
        break;
    case TDT:
        *reg(s, TDT) = val & 0xffff;
        e1000_transmit(s);
        break;
    default:
        write_plain(s, off, val);
        if (off == RDH || off == RDLEN)
            receive_again(s);
        break;
    }
}

static const RegionOps mmio_ops = { .read = mmio_read, .write = mmio_write, .min = 4, .max = 4 };

static uint64_t io_read(void *opaque, uint64_t off, unsigned size)
{
    return 0;
}

static void io_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
}

static const RegionOps io_ops = { .read = io_read, .write = io_write, .min = 1, .max = 4 };

static void config_write(PciDevice *pd, unsigned off, uint32_t val, unsigned len)
{
    E1000 *s = DEVICE(&pd->dev, E1000);
    const bool was = pd->bus_master;

    pci_config_write(pd, off, val, len);
    if (was || !pd->bus_master)
        return;
    e1000_transmit(s);
    receive_again(s);
}

/* ---- The network's side ---- */

/* KVM keeps the tail that a driver writes until its CPU has something else to say, which may be never: a full ring is looked
 * at again, soon at first. */
static bool nic_can_receive(NetClient *c)
{
    E1000 *s = DEVICE(nic_device(c), E1000);

    if (e1000_can_receive(s)) {
        s->tail_wait = 0;
        return true;
    }
    if (!region_is_coalesced(&s->mmio) || !(*reg(s, RCTL) & RCTL_EN))
        return false;
    e1000_catch_up(s);
    if (e1000_can_receive(s))
        return true;
    if (!s->tail_timer_on) {
        s->tail_timer_on = true;
        s->tail_wait = s->tail_wait ? MIN(2 * s->tail_wait, TAIL_WAIT_MAX) : TAIL_WAIT;
        timer_arm(&s->tail_timer, vm_now(&s->pci.dev) + s->tail_wait);
    }
    return false;
}

static void tail_expired(void *opaque)
{
    E1000 *s = opaque;

    s->tail_timer_on = false;
    region_flush_coalesced(&s->mmio);
    net_flush(s->nic.client);
}

static bool nic_receive(NetClient *c, const struct iovec *iov, unsigned n, size_t size)
{
    e1000_receive(DEVICE(nic_device(c), E1000), iov, n, size);
    return true;
}

static void nic_sent(NetClient *c)
{
    E1000 *s = DEVICE(nic_device(c), E1000);

    s->tx_blocked = false;
    bh_schedule(s->tx_bh);
}

static void nic_link_changed(NetClient *c)
{
    e1000_link_changed(DEVICE(nic_device(c), E1000));
}

static const uint8_t *nic_mac(NetClient *c)
{
    return DEVICE(nic_device(c), E1000)->nic.mac;
}

static const NetClientType nic_type = {
    .name = "nic", .size = sizeof(NicClient), .can_receive = nic_can_receive, .receive = nic_receive, .sent = nic_sent,
    .link_changed = nic_link_changed, .mac = nic_mac,
};

/* ---- Life ---- */

static void e1000_reset(Device *d)
{
    E1000 *s = DEVICE(d, E1000);
    const uint8_t *m = s->nic.mac;

    timer_stop(&s->mit_timer);
    timer_stop(&s->autoneg_timer);
    timer_stop(&s->tail_timer);
    s->tail_timer_on = false;
    bh_cancel(s->tx_bh);
    s->tx_blocked = false;
    for (unsigned i = 0; i < G_N_ELEMENTS(s->mac); i++)
        if (s->mac[i])              /* most of it was never touched, and shall not be now */
            s->mac[i] = 0;
    e1000_phy_reset(s);
    *reg(s, CTRL) = 0x00140240;
    *reg(s, STATUS) = 0x80080783;
    *reg(s, VET) = e1000_flag(s, FLAG_VET) ? 0x8100 : 0;
    *reg(s, LEDCTL) = 0x602;
    *reg(s, PBA) = 0x00100030;
    *reg(s, MANC) = 0x00222300;
    *reg(s, RA) = m[0] | m[1] << 8 | m[2] << 16 | (uint32_t)m[3] << 24;
    *reg(s, RA + 4) = m[4] | m[5] << 8 | RA_VALID;
    e1000_set_rctl(s, 0);
    nic_show_mac(&s->nic, m);
    if (s->nic.client->link_down)
        e1000_link_changed(s);
    lower(s, ~0u);
}

static bool e1000_realize(Device *d, GError **err)
{
    E1000 *s = DEVICE(d, E1000);

    timer_init(&s->mit_timer, d, e1000_mit_expired, s);
    timer_init(&s->autoneg_timer, d, e1000_autoneg_done, s);
    timer_init(&s->tail_timer, d, tail_expired, s);
    s->tx_bh = bh_new(e1000_tx_bh, s);
    pci_set_pin(&s->pci, 1);
    region_init_io(&s->mmio, d, "e1000-mmio", MAC_BYTES, &mmio_ops, s);
    region_init_io(&s->io, d, "e1000-io", IO_BYTES, &io_ops, s);
    pci_register_bar(&s->pci, 0, PCI_BAR_MEM, &s->mmio);
    pci_register_bar(&s->pci, 1, PCI_BAR_IO, &s->io);
    nic_init(&s->nic, d, &nic_type);
    e1000_eeprom_init(s);
    return true;
}

static void e1000_unrealize(Device *d)
{
    E1000 *s = DEVICE(d, E1000);

    nic_fini(&s->nic);
    bh_free(s->tx_bh);
    region_fini(&s->mmio);
    region_fini(&s->io);
}

/* A stopped machine's ring is empty, waits for the network, or is absurd; it goes on when the machine does. */
static bool e1000_drain(Device *d)
{
    e1000_finish_transmit(DEVICE(d, E1000));
    return true;
}

#define FLAG(n, b) { .name = (n), .kind = PROP_BIT, .off = offsetof(E1000, flags), .bit = (b), .def = true }
static const Property e1000_props[] = {
    NIC_PROPS(E1000, nic, pci.dev), FLAG("autonegotiation", FLAG_AUTONEG), FLAG("mitigation", FLAG_MITIGATION),
    FLAG("extra_mac_registers", FLAG_MAC), FLAG("migrate_tso_props", FLAG_TSO), FLAG("init-vet", FLAG_VET), {0}
};

#define E1000_TYPE(t, n, other, id) const DeviceType t = { \
    .name = (n), .alias = (other), .desc = "Intel Gigabit Ethernet", .bus = "PCI", .parent = &pci_device_type, .category = CAT_NETWORK, \
    .hotplug = true, .size = sizeof(E1000), .props = e1000_props, .state = &e1000_state, .realize = e1000_realize, \
    .reset = e1000_reset, .unrealize = e1000_unrealize, .drain = e1000_drain, \
    .class_data = &(const PciClass){ .vendor = 0x8086, .device = (id), .revision = 3, .class_id = 0x0200, \
                                     .romfile = "efi-e1000.rom", .config_write = config_write }, \
}
E1000_TYPE(e1000_type, "e1000", "e1000-82540em", 0x100e);
E1000_TYPE(e1000_82544gc_type, "e1000-82544gc", NULL, 0x100c);
E1000_TYPE(e1000_82545em_type, "e1000-82545em", NULL, 0x100f);
