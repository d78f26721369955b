/*
 * What the PC's BIOS finds in CMOS: memory sizes, floppies, hard disks, boot order, number of CPUs.
 *
 * IBM AT layout, with the bytes above 0x34 as SeaBIOS reads them.
 */
#include <string.h>
#include "hw/i386/pc-int.h"
#include "util/error.h"
#include "hw/ide/ide.h"
#include "hw/timer/timer.h"

enum { FLOPPY_TYPES = 0x10, DISK_TYPES = 0x12, EQUIPMENT = 0x14, BASE_MEM = 0x15, EXT_MEM = 0x17, DISK0_TYPE = 0x19,
       DISK0_GEOMETRY = 0x1b, EXT_MEM2 = 0x30, MEM_ABOVE_16M = 0x34, BOOT_ORDER_2 = 0x38, DISK_TRANSLATION = 0x39,
       BOOT_ORDER_1 = 0x3d, MEM_ABOVE_4G = 0x5b, CPUS_LESS_1 = 0x5f };
enum { EQUIP_FPU = 0x02, EQUIP_MOUSE = 0x04, EQUIP_FLOPPY = 0x01 };

static void put16(Device *rtc, unsigned at, uint64_t v)
{
    rtc_set_cmos(rtc, at, v);
    rtc_set_cmos(rtc, at + 1, v >> 8);
}

static void put_memory(Pc *pc)
{
    uint64_t kib = pc->below_4g >> 10;

    put16(pc->rtc, BASE_MEM, MIN(kib, 640));
    kib = kib > 1024 ? kib - 1024 : 0;
    put16(pc->rtc, EXT_MEM, MIN(kib, 65535));
    put16(pc->rtc, EXT_MEM2, MIN(kib, 65535));
    put16(pc->rtc, MEM_ABOVE_16M, pc->below_4g > 16 << 20 ? MIN((pc->below_4g - (16 << 20)) >> 16, 65535) : 0);
    put16(pc->rtc, MEM_ABOVE_4G, pc->above_4g >> 16);
    rtc_set_cmos(pc->rtc, MEM_ABOVE_4G + 2, pc->above_4g >> 32);
}

static unsigned boot_nibble(char c)
{
    switch (c) {
    case 'a': case 'b': return 1;
    case 'c': return 2;
    case 'd': return 3;
    case 'n': return 4;
    default: return 0;
    }
}

static void put_boot_order(Pc *pc, const char *order)
{
    unsigned n[3] = { 0 };

    for (unsigned i = 0; i < 3 && order[i]; i++)
        n[i] = boot_nibble(order[i]);
    rtc_set_cmos(pc->rtc, BOOT_ORDER_1, n[1] << 4 | n[0]);
    rtc_set_cmos(pc->rtc, BOOT_ORDER_2, n[2] << 4);
}

static void put_disk(Pc *pc, unsigned unit, unsigned type_at, unsigned geometry_at)
{
    uint32_t cyls, heads, secs;
    BiosTranslation trans;

    if (!ide_geometry(pc->ide, unit, &cyls, &heads, &secs, &trans))
        return;
    rtc_set_cmos(pc->rtc, type_at, 47);
    put16(pc->rtc, geometry_at, cyls);
    rtc_set_cmos(pc->rtc, geometry_at + 2, heads);
    put16(pc->rtc, geometry_at + 3, 0xffff);
    rtc_set_cmos(pc->rtc, geometry_at + 5, 0xc0 | (heads > 8) << 3);
    put16(pc->rtc, geometry_at + 6, cyls);
    rtc_set_cmos(pc->rtc, geometry_at + 8, secs);
}

static void put_disks(Pc *pc)
{
    uint32_t cyls, heads, secs;
    BiosTranslation trans;
    unsigned types = 0, translation = 0;

    if (!pc->ide)
        return;
    for (unsigned unit = 0; unit < 4; unit++) {
        if (!ide_geometry(pc->ide, unit, &cyls, &heads, &secs, &trans))
            continue;
        if (unit < 2)
            types |= 0xf0 >> (4 * unit);
        /* 0: none, 1: LBA, 2: large, 3: revised CHS; with AUTO, by size as BIOSes do. */
        if (trans == BIOS_TRANS_AUTO)
            trans = cyls <= 1024 && heads <= 16 && secs <= 63 ? BIOS_TRANS_NONE : BIOS_TRANS_LBA;
        translation |= (trans - BIOS_TRANS_NONE) << (2 * unit);
    }
    rtc_set_cmos(pc->rtc, DISK_TYPES, types);
    put_disk(pc, 0, DISK0_TYPE, DISK0_GEOMETRY);
    put_disk(pc, 1, DISK0_TYPE + 1, DISK0_GEOMETRY + 9);
    rtc_set_cmos(pc->rtc, DISK_TRANSLATION, translation);
}

void pc_cmos_cpus(Pc *pc)
{
    rtc_set_cmos(pc->rtc, CPUS_LESS_1, pc->machine->vcpus->len - 1);
}

void pc_cmos_init(Pc *pc)
{
    MachineConfig *cfg = pc->machine->cfg;
    const char *order = cfg->boot_once ? cfg->boot_once : cfg->boot_order ? cfg->boot_order : "cad";
    unsigned equipment = EQUIP_FPU | EQUIP_MOUSE, floppies = 0;

    put_memory(pc);
    pc_cmos_cpus(pc);
    put_boot_order(pc, order);
    put_disks(pc);
    for (unsigned i = 0; i < 2; i++) {
        if (!pc_floppy_type(pc, i))
            continue;
        floppies++;
        rtc_set_cmos(pc->rtc, FLOPPY_TYPES, rtc_get_cmos(pc->rtc, FLOPPY_TYPES) | pc_floppy_type(pc, i) << (i ? 0 : 4));
    }
    if (floppies)
        equipment |= EQUIP_FLOPPY | (floppies - 1) << 6;
    rtc_set_cmos(pc->rtc, EQUIPMENT, equipment);
}

bool pc_set_boot_order(Machine *m, const char *order, GError **err)
{
    if (strlen(order) > 3)
        return error_set(err, "Too many boot devices for PC");
    put_boot_order(pc_of(m), order);
    return true;
}

/* After the first boot -boot once= has had its day. */
void pc_cmos_boot_order(Pc *pc)
{
    MachineConfig *cfg = pc->machine->cfg;

    put_boot_order(pc, cfg->boot_order ? cfg->boot_order : "cad");
}
