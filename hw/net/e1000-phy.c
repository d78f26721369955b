/*
 * e1000: the PHY (M88E1000; manual, chapter 8.7 and 13.4.7), link and auto-negotiation, and the EEPROM (a 93C46, Microwire;
 * chapter 5).
 *
 * The EEPROM can be read, not written.
 */
#include <string.h>
#include "hw/net/e1000-int.h"

/* ---- PHY ---- */

enum { BMCR = 0, BMSR = 1, PHYID1 = 2, PHYID2 = 3, ANAR = 4, ANLPAR = 5, ANER = 6, GBCR = 9, GBSR = 10, PHY_CTRL = 16,
       PHY_STATUS = 17, PHY_EXT_CTRL = 20, PHY_RX_ERRORS = 21 };
enum { BMCR_RESERVED = 0x3f, BMCR_RESTART = 0x0200, BMCR_AUTONEG = 0x1000, BMCR_LOOPBACK = 0x4000, BMCR_RESET = 0x8000 };
enum { BMSR_LINK = 0x04, BMSR_DONE = 0x20 };
enum { LPA_ACK = 0x4000 };
enum { MDIC_WRITE = 1 << 26, MDIC_READ = 1 << 27, MDIC_READY = 1 << 28, MDIC_INT = 1 << 29, MDIC_ERROR = 1 << 30 };
#define AUTONEG_TIME (NS_PER_S / 2)

enum { R = 1, W = 2 };
static const uint8_t access_of[32] = {
    [BMCR] = R | W, [BMSR] = R, [PHYID1] = R, [PHYID2] = R, [ANAR] = R | W, [ANLPAR] = R, [ANER] = R, [GBCR] = R | W, [GBSR] = R,
    [PHY_CTRL] = R | W, [PHY_STATUS] = R, [PHY_EXT_CTRL] = R | W, [PHY_RX_ERRORS] = R,
};

void e1000_phy_reset(E1000 *s)
{
    static const uint16_t values[32] = {
        [BMCR] = 0x1140, [BMSR] = 0x794d, [PHYID1] = 0x0141, [PHYID2] = 0x0c20, [ANAR] = 0x0de1, [ANLPAR] = 0x01e0,
        [GBCR] = 0x0e00, [GBSR] = 0x3c00, [PHY_CTRL] = 0x0360, [PHY_STATUS] = 0xac00, [PHY_EXT_CTRL] = 0x0d60,
    };

    memcpy(s->phy, values, sizeof s->phy);
    if (e1000_device_id(s) == 0x100c)
        s->phy[PHYID2] = 0x0c30;
}

bool e1000_loopback(const E1000 *s)
{
    return s->phy[BMCR] & BMCR_LOOPBACK;
}

bool e1000_autoneg_on(const E1000 *s)
{
    return e1000_flag(s, FLAG_AUTONEG) && (s->phy[BMCR] & BMCR_AUTONEG);
}

static void link_down(E1000 *s)
{
    *reg(s, STATUS) &= ~STATUS_LU;
    s->phy[BMSR] &= ~(BMSR_LINK | BMSR_DONE);
    s->phy[ANLPAR] &= ~LPA_ACK;
}

static void link_up(E1000 *s)
{
    *reg(s, STATUS) |= STATUS_LU;
    s->phy[BMSR] |= BMSR_LINK;
    net_flush(s->nic.client);
}

static void negotiate(E1000 *s)
{
    link_down(s);
    s->autoneg_until = vm_now(&s->pci.dev) + AUTONEG_TIME;
    timer_arm(&s->autoneg_timer, s->autoneg_until);
}

void e1000_autoneg_done(void *opaque)
{
    E1000 *s = opaque;

    s->autoneg_until = 0;
    if (s->nic.client->link_down)
        return;
    s->phy[ANLPAR] |= LPA_ACK;
    s->phy[BMSR] |= BMSR_DONE;
    link_up(s);
    e1000_raise(s, ICR_LSC);
}

void e1000_link_changed(E1000 *s)
{
    uint32_t old = *reg(s, STATUS);

    if (s->nic.client->link_down)
        link_down(s);
    else if (e1000_autoneg_on(s) && !(s->phy[BMSR] & BMSR_DONE))
        negotiate(s);
    else
        link_up(s);
    if (*reg(s, STATUS) != old)
        e1000_raise(s, ICR_LSC);
}

static void write_bmcr(E1000 *s, uint16_t val)
{
    s->phy[BMCR] = val & ~(BMCR_RESERVED | BMCR_RESET | BMCR_RESTART);
    if (e1000_autoneg_on(s) && (val & BMCR_RESTART))
        negotiate(s);
}

void e1000_mdic_write(E1000 *s, uint32_t val)
{
    const unsigned addr = val >> 16 & 31, phy = val >> 21 & 31;

    if (phy != 1) {
        val = *reg(s, MDIC) | MDIC_ERROR;
    } else if (val & MDIC_READ) {
        val = access_of[addr] & R ? (val & ~0xffffu) | s->phy[addr] : val | MDIC_ERROR;
    } else if (val & MDIC_WRITE) {
        if (!(access_of[addr] & W))
            val |= MDIC_ERROR;
        else if (addr == BMCR)
            write_bmcr(s, val);
        else
            s->phy[addr] = val;
    }
    *reg(s, MDIC) = val | MDIC_READY;
    if (val & MDIC_INT)
        e1000_raise(s, ICR_MDAC);
}

/* ---- EEPROM ---- */

enum { EECD_SK = 1, EECD_CS = 2, EECD_DI = 4, EECD_DO = 8, EECD_FWE = 0x30, EECD_REQ = 0x40, EECD_GNT = 0x80, EECD_PRES = 0x100 };
enum { EERD_START = 1, EERD_DONE = 0x10 };
enum { OPCODE_READ = 6, COMMAND_BITS = 9, EE_WORDS = 64, EE_CHECKSUM = 63, EE_SUM = 0xbaba };

void e1000_eeprom_init(E1000 *s)
{
    static const uint16_t image[EE_WORDS] = {
        0x0000, 0x0000, 0x0000, 0x0000, 0xffff, 0x0000, 0x0000, 0x0000, 0x3000, 0x1000, 0x6403, 0x0000, 0x8086, 0x0000, 0x8086,
        0x3040, 0x0008, 0x2000, 0x7e14, 0x0048, 0x1000, 0x00d8, 0x0000, 0x2700, 0x6cc9, 0x3150, 0x0722, 0x040b, 0x0984, 0x0000,
        0xc000, 0x0706, 0x1008, 0x0000, 0x0f04, 0x7fff, 0x4d01, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff,
        0xffff, 0xffff, 0xffff, 0x0100, 0x4000, 0x121c, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff,
        0xffff, 0xffff, 0xffff, 0x0000,
    };
    uint16_t sum = 0;

    memcpy(s->eeprom, image, sizeof s->eeprom);
    for (int i = 0; i < 3; i++)
        s->eeprom[i] = s->nic.mac[2 * i] | s->nic.mac[2 * i + 1] << 8;
    s->eeprom[11] = s->eeprom[13] = e1000_device_id(s);
    for (int i = 0; i < EE_CHECKSUM; i++)
        sum += s->eeprom[i];
    s->eeprom[EE_CHECKSUM] = EE_SUM - sum;
}

uint32_t e1000_eecd_read(const E1000 *s)
{
    const unsigned word = s->eecd.bitnum_out >> 4 & (EE_WORDS - 1), bit = 15 - (s->eecd.bitnum_out & 15);
    uint32_t v = EECD_PRES | EECD_GNT | s->eecd.old_eecd;

    return !s->eecd.reading || (s->eeprom[word] >> bit & 1) ? v | EECD_DO : v;
}

/* Commands are a start bit, two bits of opcode, six of address, shifted in at rising edges of SK; falling ones shift out. */
void e1000_eecd_write(E1000 *s, uint32_t val)
{
    const uint32_t changed = val ^ s->eecd.old_eecd;

    s->eecd.old_eecd = val & (EECD_SK | EECD_CS | EECD_DI | EECD_FWE | EECD_REQ);
    if (!(val & EECD_CS))
        return;
    if (changed & EECD_CS)
        s->eecd.val_in = s->eecd.bitnum_in = s->eecd.bitnum_out = s->eecd.reading = 0;
    if (!(changed & EECD_SK))
        return;
    if (!(val & EECD_SK)) {
        s->eecd.bitnum_out++;
        return;
    }
    s->eecd.val_in = s->eecd.val_in << 1 | !!(val & EECD_DI);
    if (++s->eecd.bitnum_in == COMMAND_BITS && !s->eecd.reading) {
        s->eecd.bitnum_out = ((s->eecd.val_in & (EE_WORDS - 1)) << 4) - 1;
        s->eecd.reading = (s->eecd.val_in >> 6 & 7) == OPCODE_READ;
    }
}

uint32_t e1000_eerd_read(const E1000 *s)
{
    const uint32_t v = s->mac[EERD / 4] & ~EERD_START;
    const unsigned word = v >> 8 & 0x3fff;

    if (!(s->mac[EERD / 4] & EERD_START))
        return v;
    return v | EERD_DONE | (word < EE_WORDS ? (uint32_t)s->eeprom[word] << 16 : 0);
}
