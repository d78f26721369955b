/* What the 8254 in userspace and its twin in KVM share. */
#ifndef HW_TIMER_I8254_INT_H
#define HW_TIMER_I8254_INT_H
#include "hw/core/memory.h"
#include "hw/timer/timer.h"

enum { RW_LSB = 1, RW_MSB, RW_WORD0, RW_WORD1 };        /* which byte of a count comes next */

/* After a control word the count stands, and OUT rests, until a count is written. */
#define PIT_NOT_LOADED INT64_MAX

typedef struct PitChannel {
    int32_t count;                  /* 1..65536 */
    uint16_t latched_count;
    uint8_t count_latched;          /* RW_*: bytes of the latch still to be read; 0: none */
    uint8_t status_latched, status;
    uint8_t read_state, write_state, write_latch;
    uint8_t rw_mode, mode, bcd, gate;
    int64_t count_load_time;        /* ns of guest time, or PIT_NOT_LOADED */
    int64_t next_transition_time;   /* of the output of channel 0; -1: none */
} PitChannel;

typedef struct Pit {
    Device dev;

    /* guest state */
    uint32_t irq_disabled;          /* the HPET has the interrupt */
    PitChannel channels[3];
    Timer irq_timer;
    Line irq;

    /* set-up */
    uint32_t iobase;
    int lost_tick_policy;           /* enum LostTick */
    bool stopped;                   /* KVM's twin: the state is here, not in the kernel */
} Pit;

enum LostTick { LOST_TICK_DISCARD, LOST_TICK_DELAY, LOST_TICK_SLEW };

extern const Field pit_fields[];

void pit_channels_reset(Pit *s);
uint64_t pit_ticks(const PitChannel *c, uint64_t now);    /* since the count was loaded */
bool pit_out(const PitChannel *c, uint64_t now);
void kvm_pit_fetch(Pit *s);
void kvm_pit_store(Pit *s);
#endif
