/*
 * Guest memory that stays in the file of a stream until somebody touches it (-incoming file:PATH,lazy=on), and the index
 * that makes such a start quick.
 *
 * While the stream is read lazy_note keeps each page's place; lazy_start, before the first device is loaded, puts the
 * memory under userfaultfd. From then on one thread brings what is touched and another all the rest, in order; at the end
 * nothing of it is left. The file must not change until then.
 *
 * The index stands behind the stream's end, where nobody else looks: INDEX_MAGIC, the offset of the first device
 * section (64 bits, from the stream's beginning, as all of them), the number of blocks (32 bits); for each a name, its number
 * of pages (64 bits), and a page's place (64 bits; 0: it is zero) for each; the index's own place, INDEX_END.
 */
#ifndef MIGRATION_RAM_LAZY_H
#define MIGRATION_RAM_LAZY_H
#include "hw/core/machine.h"

#define INDEX_MAGIC 0x766d656d756c617aull       /* "vmemulaz" */
#define INDEX_END 0x766d656d75696478ull         /* "vmemuidx" */

typedef struct RamLazy RamLazy;

/* fd is duplicated; the stream begins at base. */
RamLazy *lazy_new(int fd, uint64_t base);
void lazy_free(RamLazy *l);                 /* of one that has not been started; NULL is allowed */
/* The block is empty now. direct: it can't be filled later, so lazy_start reads all of it. */
void lazy_add_block(RamLazy *l, RamBlock *b, bool direct);
/* The page's 4096 bytes stand at `at` in the stream; 0: what is in memory now is right. */
void lazy_note(RamLazy *l, RamBlock *b, uint64_t addr, uint64_t at);
/* Brings a page at once: what follows changes it. */
bool lazy_fetch(RamLazy *l, RamBlock *b, uint64_t addr, GError **err);
/* The file has an index that fits this machine: notes all pages of all blocks, and tells where the devices begin. */
bool lazy_read_index(RamLazy *l, uint64_t *devices);
/* Takes l over, also when it fails. */
bool lazy_start(RamLazy *l, GError **err);

/* Pages are still in the file: that a page was never touched does not mean that it is zero. Any thread. */
bool ram_is_lazy(void);
/* Nothing more is to come: the memory is about to be replaced. Main thread. */
void ram_lazy_drop(void);
#endif
