/* e1000: what migrates, in QEMU's order, and what is checked when it comes back. */
#include "hw/net/e1000-int.h"
#include "util/error.h"

/* A register on the wire; reset is e1000_reset's. */
#define REG(r) { .name = "mac_reg[" #r "]", .kind = F_UINT, .off = offsetof(E1000, mac) + (r), .size = 4, .elt = 4, .wire = 4, .keep = true }
#define REGS(first, n) { .name = "mac_reg", .kind = F_UINT, .off = offsetof(E1000, mac) + (first), .size = 4 * (n), .elt = 4, \
                         .wire = 4, .keep = true }
#define F(m, ...) FIELD(E1000, m, ##__VA_ARGS__)

/* In version 1 of the section only. */
static bool never(const void *obj)
{
    return false;
}

static bool has_mitigation(const void *obj)
{
    return e1000_flag(obj, FLAG_MITIGATION);
}

static bool has_all_registers(const void *obj)
{
    return e1000_flag(obj, FLAG_MAC);
}

static bool has_tso(const void *obj)
{
    return e1000_flag(obj, FLAG_TSO);
}

static bool tso_loaded(void *obj, int version, GError **err)
{
    ((E1000 *)obj)->got_tso = true;
    return true;
}

static const Field mit_fields[] = { REG(RDTR), REG(RADV), REG(TADV), REG(ITR), F(irq_level, .name = "mit_irq_level"), {0} };
static const StateTable mit_state = {
    .name = "e1000/mit_state", .version = 1, .min_version = 1, .fields = mit_fields, .needed = has_mitigation,
};

static const Field mac_fields[] = { REGS(0, MAC_BYTES / 4), {0} };
static const StateTable mac_state = {
    .name = "e1000/full_mac_state", .version = 1, .min_version = 1, .fields = mac_fields, .needed = has_all_registers,
};

static const Field tso_fields[] = {
    F(tx.tso_props.ipcss), F(tx.tso_props.ipcso), F(tx.tso_props.ipcse), F(tx.tso_props.tucss), F(tx.tso_props.tucso),
    F(tx.tso_props.tucse), F(tx.tso_props.paylen), F(tx.tso_props.hdr_len), F(tx.tso_props.mss), F(tx.tso_props.ip),
    F(tx.tso_props.tcp), {0}
};
static const StateTable tso_state = {
    .name = "e1000/tx_tso_state", .version = 1, .min_version = 1, .fields = tso_fields, .needed = has_tso, .loaded = tso_loaded,
};

/* Of the stream's `mig`: for the twin only. */
#define L(m) LOCAL(TxProps, m)
static const Field props_fields[] = {
    L(ipcss), L(ipcso), L(tucss), L(tucso), L(hdr_len), L(ipcse), L(tucse), L(mss), L(paylen), L(ip), L(tcp), {0}
};
#undef L
static const StateTable props_state = { .name = "tx.props", .fields = props_fields };

static void before_save(void *obj)
{
    E1000 *s = obj;

    e1000_finish_transmit(s);
    /* The other side takes a link without this bit for a negotiation that goes on. */
    if (s->nic.client->link_down && e1000_autoneg_on(s))
        s->phy[1] |= 0x20;
    s->mig = e1000_flag(s, FLAG_TSO) || !s->tso_last ? s->tx.props : s->tx.tso_props;
}

static bool before_load(void *obj, GError **err)
{
    ((E1000 *)obj)->got_tso = false;
    return true;
}

/* Timers are not in the stream: they begin anew, unless what a twin got directly says when they end. */
static void load_timers(E1000 *s)
{
    const uint64_t now = vm_now(&s->pci.dev);

    if (!s->autoneg_until && s->nic.client->link_down && e1000_autoneg_on(s) && !(s->phy[1] & 0x20))
        s->autoneg_until = now + NS_PER_S / 2;
    if (s->autoneg_until) {
        s->nic.client->link_down = false;
        timer_arm(&s->autoneg_timer, s->autoneg_until);
    }
    if (s->mit_until)
        timer_arm(&s->mit_timer, s->mit_until);
}

static bool loaded(void *obj, int version, GError **err)
{
    E1000 *s = obj;
    const uint32_t low = *reg(s, RA), high = *reg(s, RA + 4);
    const uint8_t mac[6] = { low, low >> 8, low >> 16, low >> 24, high, high >> 8 };

    s->tx.props = s->mig;
    if (!s->got_tso)
        s->tx.tso_props = s->mig;
    if (!e1000_flag(s, FLAG_MITIGATION))
        s->irq_level = (*reg(s, IMS) & *reg(s, ICR)) != 0;
    *reg(s, RDLEN) &= 0xfff80;
    *reg(s, TDLEN) &= 0xfff80;
    e1000_set_rctl(s, *reg(s, RCTL));
    s->nic.client->link_down = !(*reg(s, STATUS) & STATUS_LU);
    load_timers(s);
    nic_show_mac(&s->nic, mac);
    bh_schedule(s->tx_bh);
    return true;
}

static const Field fields[] = {
    PCI_STATE(E1000, pci), UNUSED(4, .exists = never), UNUSED(4), F(rxbuf_size), F(rxbuf_min_shift),
    F(eecd.val_in, .name = "eecd_state.val_in"),
    F(eecd.bitnum_in, .name = "eecd_state.bitnum_in"), F(eecd.bitnum_out, .name = "eecd_state.bitnum_out"),
    F(eecd.reading, .name = "eecd_state.reading"), F(eecd.old_eecd, .name = "eecd_state.old_eecd", .max = 0x1ff),
    F(mig.ipcss), F(mig.ipcso), F(mig.ipcse), F(mig.tucss), F(mig.tucso), F(mig.tucse), F(mig.paylen), F(mig.hdr_len), F(mig.mss),
    F(tx.size), F(tx.tso_frames), F(tx.sum_needed), F(mig.ip), F(mig.tcp), F(tx.header, .keep = true), F(tx.data, .keep = true),
    F(eeprom, .name = "eeprom_data", .keep = true), F(phy, .name = "phy_reg", .keep = true),
    REG(CTRL), REG(EECD), REG(EERD), REG(GPRC), REG(GPTC), REG(ICR), REG(ICS), REG(IMC), REG(IMS), REG(LEDCTL), REG(MANC),
    REG(MDIC), REG(MPC), REG(PBA), REG(RCTL), REG(RDBAH), REG(RDBAL), REG(RDH), REG(RDLEN), REG(RDT), REG(STATUS), REG(SWSM), REG(TCTL),
    REG(TDBAH), REG(TDBAL), REG(TDH), REG(TDLEN), REG(TDT), REG(TORH), REG(TORL), REG(TOTH), REG(TOTL), REG(TPR), REG(TPT),
    REG(TXDCTL), REG(WUFC), REG(VET), REGS(RA, 32), REGS(MTA, 128), REGS(VFTA, 128),
    STRUCT(E1000, tx.props, &props_state), LOCAL(E1000, tx.tso), LOCAL(E1000, tx.vlan_needed), LOCAL(E1000, tx.vlan), LOCAL(E1000, delay_tx),
    LOCAL(E1000, tso_last), LOCAL(E1000, mit_until), LOCAL(E1000, autoneg_until),
    HOST(E1000, nic), HOST(E1000, mmio), HOST(E1000, io), HOST(E1000, mit_timer), HOST(E1000, autoneg_timer), HOST(E1000, tx_bh),
    HOST(E1000, tx_blocked), HOST(E1000, tx_running), HOST(E1000, got_tso), HOST(E1000, tail_timer), HOST(E1000, tail_wait),
    HOST(E1000, tail_timer_on), HOST(E1000, tail_coalesced), HOST(E1000, catching_up), HOST(E1000, flags), {0}
};
#undef F

const StateTable e1000_state = {
    .name = "e1000", .version = 2, .min_version = 1, .fields = fields, .save = before_save, .load = before_load, .loaded = loaded,
    .subsections = (const StateTable *const[]){ &mit_state, &mac_state, &tso_state, NULL },
};
