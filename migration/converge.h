/* auto-converge: the guest's CPUs are held back while it writes to its memory faster than that can be sent. */
#ifndef MIGRATION_CONVERGE_H
#define MIGRATION_CONVERGE_H
#include <stdint.h>

/* All under the machine lock. */
void converge_begin(void);
/* After a round: what has been sent, and how many pages the guest has written, since the migration began. */
void converge_look(uint64_t bytes, uint64_t dirty_pages);
void converge_end(void);
int converge_percent(void);         /* that the CPUs are held back by; 0: not */
#endif
