/*
 * A machine for tests in this process: made from a command line, under -accel qtest, with one of each device that can be
 * plugged, and driven by steps that can be repeated on a second one.
 */
#ifndef TESTS_FUZZ_LIBRIG_H
#define TESTS_FUZZ_LIBRIG_H
#include <inttypes.h>
#include "hw/core/machine.h"

#define RIG_RAM (16u << 20)

typedef struct Rig {
    Machine *machine;
    unsigned number;
    uint64_t rnd[2];
    uint64_t seen;              /* the value read last: registers are often written back changed */
    GPtrArray *files;           /* of its drives: paths */
} Rig;

/* A piece of the address spaces that belongs to one device. */
typedef struct Window { bool pio; uint64_t first, last; } Window;

typedef struct Target {
    Device *dev;
    unsigned index;             /* in Machine.devices */
    int devfn;                  /* on bus 0; -1: no PCI device */
    Window *windows;
    unsigned n_windows;
    const void *mem_view, *io_view; /* that the windows were found in */
} Target;

typedef enum OpKind { OP_PIO, OP_MEM, OP_CONFIG, OP_LINE, OP_CLOCK, OP_LOOP, OP_RESET } OpKind;
typedef struct Op {
    OpKind kind;
    bool write;
    unsigned size;
    uint64_t addr, value;
    unsigned device;            /* OP_LINE: whose; its place in Machine.devices */
} Op;

/* The number keeps the names of two rigs' back-ends apart. Exits with a message when the machine can't be made. */
Rig *rig_new(unsigned number);
/* distinct: only one device of each state table. */
Rig *rig_new_of(unsigned number, bool distinct);
void rig_cleanup(void);             /* the files */
void rig_reset(Rig *r);
/* Puts all BARs where they can be reached, each function's decoding on. */
void rig_place(Rig *r);
/* One step; what it read, else 0. */
uint64_t rig_do(Rig *r, const Op *op);
const char *op_text(const Op *op);  /* a static buffer */
/* False while the machine is in a state that QEMU's stream has no place for (and a guest would have to try again): a
 * disk's DMA command that the bus master has not been started for. */
bool rig_quiet(Rig *r);
/* All state of one rig into the other: devices, buses, RAM, drives, guest time. */
bool rig_copy(Rig *from, Rig *to, GString *why);
/* Compares the saved states of all devices; names the first differences. */
bool rig_same(Rig *a, Rig *b, GString *why);

/* What the target is reached by. */
void target_find(Rig *r, Target *t);
void target_refresh(Rig *r, Target *t);     /* again, if the map has changed */
void target_free(Target *t);

void rnd_seed(Rig *r, uint64_t seed);
uint64_t rnd(Rig *r);
unsigned rnd_below(Rig *r, unsigned n);
uint64_t rnd_value(Rig *r);
uint64_t rnd_offset(Rig *r, const Window *w, unsigned size);
#endif
