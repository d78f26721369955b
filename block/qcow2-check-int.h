/* Counting the references of a qcow2 image: between the files that check and repair. */
#ifndef BLOCK_QCOW2_CHECK_INT_H
#define BLOCK_QCOW2_CHECK_INT_H
#include "block/qcow2.h"

#define CHUNK QCOW2_CHECK_CHUNK

typedef struct Check {
    Qcow2 *q;
    CheckResult *res;
    unsigned fix;
    GHashTable *chunks;                 /* cluster / CHUNK -> uint32_t[CHUNK] */
    uint64_t clusters;                  /* of the file */
    uint64_t highest;                   /* referenced cluster + 1 */
    uint64_t last_data;                 /* end of the last data cluster, for fragmentation */
    bool rebuild;                       /* the refcount structure itself is damaged */
} Check;

/* A line to whoever runs the check. */
void check_say(Check *c, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
/* Counts every reference of the tables into c->chunks. Lock held. */
int check_count_all(Check *c);
uint64_t check_counted(Check *c, uint64_t cluster);
#endif
