/* The parts of hw/net/e1000*.c: registers, the device's struct, what they call of each other. */
#ifndef HW_NET_E1000_INT_H
#define HW_NET_E1000_INT_H
#include "hw/net/nic.h"
#include "hw/pci/pci.h"
#include "util/loop.h"

/* Offsets of the registers (manual, table 13-2). */
enum {
    CTRL = 0x0000, STATUS = 0x0008, EECD = 0x0010, EERD = 0x0014, MDIC = 0x0020, VET = 0x0038, ICR = 0x00c0, ITR = 0x00c4,
    ICS = 0x00c8, IMS = 0x00d0, IMC = 0x00d8, RCTL = 0x0100, TCTL = 0x0400, AIT = 0x0458, LEDCTL = 0x0e00, PBA = 0x1000,
    RDBAL = 0x2800, RDBAH = 0x2804, RDLEN = 0x2808, RDH = 0x2810, RDT = 0x2818, RDTR = 0x2820, RADV = 0x282c,
    TDBAL = 0x3800, TDBAH = 0x3804, TDLEN = 0x3808, TDH = 0x3810, TDT = 0x3818, TXDCTL = 0x3828, TADV = 0x382c,
    STATS = 0x4000, MPC = 0x4010, FCRUC = 0x4058, PRC64 = 0x405c, GPRC = 0x4074, BPRC = 0x4078, MPRC = 0x407c, GPTC = 0x4080,
    GORCL = 0x4088, GORCH = 0x408c, GOTCL = 0x4090, GOTCH = 0x4094, RNBC = 0x40a0, RUC = 0x40a4, ROC = 0x40ac,
    TORL = 0x40c0, TORH = 0x40c4, TOTL = 0x40c8, TOTH = 0x40cc, TPR = 0x40d0, TPT = 0x40d4, PTC64 = 0x40d8, MPTC = 0x40f0,
    BPTC = 0x40f4, TSCTC = 0x40f8, STATS_END = 0x4100,
    MTA = 0x5200, RA = 0x5400, VFTA = 0x5600, WUFC = 0x5808, MANC = 0x5820, SWSM = 0x5b50,
};
enum { MAC_BYTES = 0x20000, RA_ENTRIES = 16, IO_BYTES = 0x40 };

enum { CTRL_RST = 1 << 26, CTRL_VME = 1 << 30 };
enum { STATUS_LU = 2 };
#define RA_VALID 0x80000000u        /* in the upper half of a receive address */
enum {
    ICR_TXDW = 1 << 0, ICR_TXQE = 1 << 1, ICR_LSC = 1 << 2, ICR_RXDMT0 = 1 << 4, ICR_RXO = 1 << 6, ICR_RXT0 = 1 << 7,
    ICR_MDAC = 1 << 9,
};
enum {
    RCTL_EN = 1 << 1, RCTL_SBP = 1 << 2, RCTL_UPE = 1 << 3, RCTL_MPE = 1 << 4, RCTL_LPE = 1 << 5, RCTL_RDMTS = 8, RCTL_MO = 12,
    RCTL_BAM = 1 << 15, RCTL_BSIZE = 16, RCTL_VFE = 1 << 18, RCTL_BSEX = 1 << 25, RCTL_SECRC = 1 << 26,
};
enum { TCTL_EN = 1 << 1 };

/* Context of transmitted packets: what context descriptors set (3.3.6). */
typedef struct TxProps {
    uint8_t ipcss, ipcso, tucss, tucso, hdr_len;
    uint16_t ipcse, tucse, mss;
    uint32_t paylen;
    int8_t ip, tcp;                 /* IPv4, TCP */
} TxProps;

typedef struct E1000Tx {
    uint16_t size;                  /* bytes in data */
    uint16_t tso_frames;            /* segments of this packet that have been sent */
    uint8_t sum_needed;             /* POPTS of the packet's first descriptor */
    uint8_t header[256];            /* that each segment begins with */
    uint8_t data[0x10000];
    bool tso, vlan_needed;
    uint8_t vlan[4];
    TxProps props, tso_props;       /* of plain packets and of those to be segmented */
} E1000Tx;

typedef struct E1000 {
    PciDevice pci;

    /* guest state */
    uint32_t mac[MAC_BYTES / 4];    /* the registers, at their offsets */
    uint16_t phy[32], eeprom[64];
    uint32_t rxbuf_size, rxbuf_min_shift;   /* follow from RCTL */
    struct {
        uint32_t val_in;
        uint16_t bitnum_in, bitnum_out, reading;
        uint32_t old_eecd;
    } eecd;
    bool irq_level;                 /* as mitigated */
    bool delay_tx;                  /* a descriptor with IDE was sent since the last interrupt */
    bool tso_last;                  /* the last context was one for segmentation */
    E1000Tx tx;
    uint64_t mit_until;             /* no new interrupt before that; 0: any time */
    uint64_t autoneg_until;         /* negotiation ends then; 0: there is none */
    TxProps mig;                    /* of the stream: tx.props */

    /* host side */
    Nic nic;
    Region mmio, io;
    Timer mit_timer, autoneg_timer;
    BottomHalf *tx_bh;              /* goes on with a long ring */
    bool tx_blocked;                /* the network takes no more for now */
    bool tx_running;
    bool got_tso;                   /* the stream had tso_props */
    Timer tail_timer;               /* looks for the guest's free buffers */
    uint32_t tail_wait;
    bool tail_timer_on, tail_coalesced, catching_up;

    /* properties */
    uint32_t flags;
} E1000;

enum { FLAG_AUTONEG, FLAG_MITIGATION, FLAG_MAC, FLAG_TSO, FLAG_VET };
static inline bool e1000_flag(const E1000 *s, unsigned n) { return s->flags >> n & 1; }

/* What the three models differ in; class_data's device id finds it. */
static inline uint16_t e1000_device_id(const E1000 *s) { return pci_class(&s->pci)->device; }

static inline uint32_t *reg(E1000 *s, unsigned off) { return &s->mac[off / 4]; }
/* Counters stick at their maximum (13.7). */
static inline void count(E1000 *s, unsigned off) { if (*reg(s, off) != UINT32_MAX) ++*reg(s, off); }
/* The packet counter of its size, from the 64-byte one on. */
void e1000_count_size(E1000 *s, unsigned first, size_t size);
void e1000_count_bytes(E1000 *s, unsigned low, size_t size);

/* e1000.c */
void e1000_raise(E1000 *s, uint32_t causes);
void e1000_update_irq(E1000 *s);
void e1000_mit_expired(void *opaque);
void e1000_catch_up(E1000 *s);      /* with what KVM has batched */
/* e1000-tx.c */
void e1000_transmit(E1000 *s);      /* what the ring holds, some of it in a bottom half */
void e1000_finish_transmit(E1000 *s);   /* ... all of it, if that is not absurdly much */
void e1000_tx_bh(void *opaque);
/* e1000-rx.c */
bool e1000_can_receive(E1000 *s);
void e1000_receive(E1000 *s, const struct iovec *iov, unsigned n, size_t size);
void e1000_set_rctl(E1000 *s, uint32_t val);
/* e1000-phy.c */
void e1000_phy_reset(E1000 *s);
void e1000_eeprom_init(E1000 *s);
uint32_t e1000_eecd_read(const E1000 *s);
void e1000_eecd_write(E1000 *s, uint32_t val);
uint32_t e1000_eerd_read(const E1000 *s);
void e1000_mdic_write(E1000 *s, uint32_t val);
void e1000_link_changed(E1000 *s);
void e1000_autoneg_done(void *opaque);
bool e1000_autoneg_on(const E1000 *s);
bool e1000_loopback(const E1000 *s);
/* e1000-state.c */
extern const StateTable e1000_state;
#endif
