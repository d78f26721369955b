/*
 * Watchdog of the Intel 6300ESB I/O controller hub (data sheet 300641, chapter 16).
 *
 * Two stages of 35 bits at 33 MHz; the end of the second one resets the machine (what -action watchdog= says). Changes
 * are unlocked by writing 80h, 86h to the reload register.
 * Not modelled: the interrupt and SMI at the end of stage 1.
 */
#include "hw/core/machine.h"
#include "hw/pci/pci.h"

#define PCI_CLOCK 33000000u
#define PRELOAD_MAX 0xfffffu
/* Configuration space: accesses of exactly these sizes reach the registers. */
enum { CFG_CONFIG = 0x60, CFG_LOCK = 0x68 };
enum { CONFIG_INT_TYPE = 0x11, CONFIG_1MHZ = 0x04, CONFIG_NO_REBOOT = 0x20 };
enum { LOCK_LOCK = 1, LOCK_ENABLE = 2, LOCK_FREE_RUN = 4 };
/* BAR 0. */
enum { TIMER1 = 0, TIMER2 = 4, RELOAD = 0xc };
enum { RELOAD_RESTART = 0x0100, RELOAD_TIMEOUT = 0x0200, RELOAD_TIMEOUT_OLD = 0x1000, UNLOCK1 = 0x80, UNLOCK2 = 0x86 };

typedef struct I6300esb {
    PciDevice pci;
    bool reboot_enabled, mhz, free_run, locked, enabled;
    int32_t int_type;
    Timer timer;
    uint32_t preload[2];                /* of stages 1 and 2 */
    int32_t stage;
    int32_t unlock;                     /* how much of the unlock sequence has been seen: 0..2 */
    bool previous_reboot;               /* the watchdog made the last reset */

    Region io;
} I6300esb;

static void start_stage(I6300esb *s, int stage)
{
    uint64_t ticks = s->preload[stage == 2];

    if (!s->enabled)
        return;
    s->stage = stage;
    ticks <<= s->mhz ? 5 : 15;
    timer_arm(&s->timer, vm_now(&s->pci.dev) + muldiv64(ticks, NS_PER_S, PCI_CLOCK));
}

static void set_defaults(I6300esb *s)
{
    timer_stop(&s->timer);
    s->reboot_enabled = true;
    s->mhz = s->free_run = s->locked = s->enabled = false;
    s->int_type = 0;
    s->preload[0] = s->preload[1] = PRELOAD_MAX;
    s->stage = 1;
    s->unlock = 0;
}

static void expired(void *opaque)
{
    I6300esb *s = opaque;

    if (s->stage == 1) {
        start_stage(s, 2);
        return;
    }
    if (s->reboot_enabled) {
        s->previous_reboot = true;
        machine_watchdog_fired(s->pci.dev.machine);
        set_defaults(s);
    }
    if (s->free_run)
        start_stage(s, 1);
}

/* ---- Configuration space ---- */

static uint32_t esb_config_read(PciDevice *pd, unsigned off, unsigned len)
{
    const I6300esb *s = DEVICE(&pd->dev, I6300esb);

    if (off == CFG_CONFIG && len == 2)
        return (s->reboot_enabled ? 0 : CONFIG_NO_REBOOT) | (s->mhz ? CONFIG_1MHZ : 0) | s->int_type;
    if (off == CFG_LOCK && len == 1)
        return (s->free_run ? LOCK_FREE_RUN : 0) | (s->locked ? LOCK_LOCK : 0) | (s->enabled ? LOCK_ENABLE : 0);
    return pci_config_read(pd, off, len);
}

static void write_lock(I6300esb *s, uint8_t val)
{
    bool was_enabled = s->enabled;

    if (s->locked)
        return;
    s->locked = val & LOCK_LOCK;
    s->enabled = val & LOCK_ENABLE;
    s->free_run = val & LOCK_FREE_RUN;
    if (!s->enabled)
        timer_stop(&s->timer);
    else if (!was_enabled)
        start_stage(s, 1);
}

static void esb_config_write(PciDevice *pd, unsigned off, uint32_t val, unsigned len)
{
    I6300esb *s = DEVICE(&pd->dev, I6300esb);

    if (off == CFG_CONFIG && len == 2) {
        s->reboot_enabled = !(val & CONFIG_NO_REBOOT);
        s->mhz = val & CONFIG_1MHZ;
        s->int_type = val & CONFIG_INT_TYPE;
    } else if (off == CFG_LOCK && len == 1) {
        write_lock(s, val);
    } else {
        pci_config_write(pd, off, val, len);
    }
}

/* ---- BAR 0 ---- */

static uint64_t esb_read(void *opaque, uint64_t off, unsigned size)
{
    const I6300esb *s = opaque;

    return off == RELOAD && size == 2 && s->previous_reboot ? RELOAD_TIMEOUT | RELOAD_TIMEOUT_OLD : 0;
}

static void esb_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    I6300esb *s = opaque;

    if (off == RELOAD && val == UNLOCK1) {
        s->unlock = 1;
        return;
    }
    if (off == RELOAD && val == UNLOCK2 && s->unlock == 1) {
        s->unlock = 2;
        return;
    }
    if (s->unlock != 2)
        return;
    if (size == 2 && off == RELOAD) {
        if (val & RELOAD_RESTART)
            start_stage(s, 1);
        if (val & (RELOAD_TIMEOUT | RELOAD_TIMEOUT_OLD))
            s->previous_reboot = false;
        s->unlock = 0;
    } else if (size == 4 && (off == TIMER1 || off == TIMER2)) {
        s->preload[off / 4] = val & PRELOAD_MAX;
        s->unlock = 0;
    }
}

static const RegionOps esb_ops = { .read = esb_read, .write = esb_write, .min = 1, .max = 4 };

/* ---- Life ---- */

static bool esb_realize(Device *d, GError **err)
{
    I6300esb *s = DEVICE(d, I6300esb);

    timer_init(&s->timer, d, expired, s);
    region_init_io(&s->io, d, "i6300esb", 0x10, &esb_ops, s);
    pci_register_bar(&s->pci, 0, PCI_BAR_MEM, &s->io);
    return true;
}

static void esb_unrealize(Device *d)
{
    region_fini(&DEVICE(d, I6300esb)->io);
}

#define INT(m, ...) FIELD(I6300esb, m, .wire = 4, ##__VA_ARGS__)
static const Field esb_fields[] = {
    PCI_STATE(I6300esb, pci, .name = "dev"), INT(reboot_enabled, .reset = true), INT(mhz, .name = "clock_scale"),
    INT(int_type, .min = 0, .max = CONFIG_INT_TYPE),
    INT(free_run), INT(locked), INT(enabled), FIELD(I6300esb, timer),
    FIELD(I6300esb, preload, .name = "timer_preload", .reset = PRELOAD_MAX, .max = PRELOAD_MAX),
    INT(stage, .reset = 1, .min = 1, .max = 2), INT(unlock, .name = "unlock_state", .min = 0, .max = 2),
    INT(previous_reboot, .name = "previous_reboot_flag", .keep = true), HOST(I6300esb, io), {0}
};
#undef INT

static const StateTable esb_state = { .name = "i6300esb_wdt", .version = 10000, .min_version = 1, .fields = esb_fields };

const DeviceType i6300esb_type = {
    .name = "i6300esb", .desc = "Intel 6300ESB", .bus = "PCI", .parent = &pci_device_type, .category = CAT_WATCHDOG,
    .hotplug = true, .size = sizeof(I6300esb), .state = &esb_state, .realize = esb_realize, .unrealize = esb_unrealize,
    .class_data = &(const PciClass){ .vendor = 0x8086, .device = 0x25ab, .class_id = 0x0880, .config_read = esb_config_read,
                                     .config_write = esb_config_write },
};
