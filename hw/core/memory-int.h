/* Between the files of the memory map: the flat view. */
#ifndef HW_CORE_MEMORY_INT_H
#define HW_CORE_MEMORY_INT_H
#include "hw/core/machine.h"

typedef struct FlatRange {
    uint64_t first, last;       /* inclusive */
    Region *region;
    uint64_t off;               /* of `first` in the region */
    bool readonly;
} FlatRange;

struct FlatView {
    unsigned n;
    unsigned recent;            /* index of the range looked up last */
    FlatRange *ranges;
};

FlatView *flatview_new(Region *root);
void flatview_free(FlatView *v);
/* The range that holds addr, or NULL for a hole; *hole_last (may be NULL) gets the hole's last address. */
FlatRange *flatview_find(FlatView *v, uint64_t addr, uint64_t *hole_last);
/* Region accesses: splits and widens to what the handlers take. */
uint64_t region_read(Region *r, uint64_t off, unsigned size);
void region_write(Region *r, uint64_t off, uint64_t val, unsigned size);
void ram_mark_dirty(RamBlock *b, uint64_t off, uint64_t len);
void map_changed(Machine *m);
void ioeventfds_update(Machine *m);
#endif
