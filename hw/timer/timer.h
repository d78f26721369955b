/*
 * Clocks and timers of the PC: what the board, the monitor and other devices see.
 */
#ifndef HW_TIMER_TIMER_H
#define HW_TIMER_TIMER_H
#include "hw/core/device.h"

/* ---- 8254 ---- */

extern const DeviceType isa_pit_type, kvm_pit_type;

#define PIT_FREQ 1193182u
#define PIT_BASE 0x40u

typedef struct PitChannelInfo { unsigned gate, mode, initial_count, out; } PitChannelInfo;

/* Creates the PIT at its ports. Output 0 (its Line) is the interrupt; nothing to connect when KVM has the chip. */
Device *pit_create(Machine *m, Bus *isa, bool in_kernel, GError **err);
Line *pit_irq(Device *pit);
/* A LineSink: level 0 takes the PIT off its interrupt (HPET's legacy replacement), 1 gives it back. */
void pit_irq_enable(void *pit, unsigned n, int on);
void pit_set_gate(Device *pit, unsigned channel, unsigned level);
void pit_get_info(Device *pit, unsigned channel, PitChannelInfo *info);

/* ---- Speaker port ---- */

extern const DeviceType pcspk_type;
Device *pcspk_create(Machine *m, Bus *isa, Device *pit, GError **err);

/* ---- MC146818 ---- */

extern const DeviceType rtc_type;

/* Creates the clock at port 0x70; irq is where its interrupt goes instead of ISA IRQ 8 when sink is not NULL (HPET). */
Device *rtc_create(Machine *m, Bus *isa, int base_year, LineSink *sink, void *to, unsigned n, GError **err);
void rtc_set_cmos(Device *rtc, unsigned index, uint8_t val);        /* index 0..127 */
uint8_t rtc_get_cmos(Device *rtc, unsigned index);
/* The guest's date, as broken-down UTC (qom-get's rtc-time). */
struct tm;
void rtc_get_date(Device *rtc, struct tm *tm);
/* rtc-reset-reinjection: forgets the ticks that were to be made up. */
void rtc_reset_reinjection(Device *rtc);

/* ---- HPET ---- */

extern const DeviceType hpet_type;
#define HPET_BASE 0xfed00000u
#define HPET_BLOCK_ID 0x8086a201u       /* its capabilities, as ACPI's table has them */
#define HPET_INTCAP_PC 4u               /* interrupt 2 only */
enum { HPET_IN_PIT = 0, HPET_IN_RTC = 1 };      /* inputs that pass through unless the HPET replaces them */

/* Creates the HPET and maps it. sink is where its interrupts go (input n: interrupt n). pit_enable, when not NULL, is
 * told 0 when the HPET replaces the PIT and 1 when it no longer does. */
Device *hpet_create(Machine *m, uint32_t intcap, LineSink *sink, void *to, LineSink *pit_enable, void *pit, GError **err);
#endif
