/*
 * Guest memory in a migration stream.
 *
 * Saving: ram_save_new starts the dirty log; then ram_save_setup once, rounds of ram_save_sync and ram_save_send, and
 * when the guest has stopped a last sync and send; ram_save_free ends the log. Only _new, _sync and _free need the
 * machine lock: pages are read while the guest writes them, and sent again when it did.
 */
#ifndef MIGRATION_RAM_H
#define MIGRATION_RAM_H
#include "hw/core/machine.h"
#include "migration/stream.h"
#include "migration/xbzrle.h"

typedef struct RamStats {
    uint64_t total;             /* bytes of all blocks */
    uint64_t zero_pages, normal_pages, skipped_pages;
    uint64_t transferred;       /* bytes of RAM sections */
    uint64_t multi_bytes;       /* of which over multifd's channels */
    XbzrleStats xbzrle;         /* cache_size 0: it is off */
    uint64_t dirty_syncs, dirty_pages_rate, bytes_last_sync;
    uint64_t dirty_pages;       /* found by all syncs */
} RamStats;

typedef struct RamSave RamSave;
struct MultiSend;
struct MultiRecv;

/* all_zeroes: for a snapshot: the guest is stopped, and pages that nobody ever touched are named too, since it may be loaded
 * over memory that is not empty. */
RamSave *ram_save_new(Machine *m, bool all_zeroes);
void ram_save_free(RamSave *r);
const RamStats *ram_save_stats(const RamSave *r);
void ram_save_setup(RamSave *r, MigStream *s);
/* Fetches what was written since the last time. */
void ram_save_sync(RamSave *r);
/* From post-copy's beginning on memory is given back to the host when it has been sent. */
void ram_save_release(RamSave *r);
/* Pages that go again are sent as differences. Before the setup. */
bool ram_save_differences(RamSave *r, uint64_t cache_size, GError **err);
/* Pages with something in them go over these channels. Before the setup. */
void ram_save_over(RamSave *r, struct MultiSend *m);
uint64_t ram_save_pending(const RamSave *r);    /* bytes of pages still to be sent */
/* One section of pages: until `bytes` have gone out or nothing is left; true: nothing was left. */
bool ram_save_send(RamSave *r, MigStream *s, uint64_t bytes, bool last);
/* Keeps where each page stands in the stream; to be called before ram_save_setup. ram_save_index then puts them behind the
 * stream's end (ram-lazy.h); devices: where the first of those began. */
void ram_save_keep_places(RamSave *r);
void ram_save_index(RamSave *r, MigStream *s, uint64_t devices);
/* Post-copy, with the guest stopped after the last sync: to be called before ram_save_setup; what the target is to forget;
 * where a page is that it waits for (block: -1: there is no such page), which is sent in a section of its own unless it
 * has been, and after which ram_save_send goes on; what it has of a block after a break of the connection. */
void ram_save_keep_sent(RamSave *r);
void ram_save_discards(RamSave *r, MigStream *s);
int ram_save_find(const RamSave *r, const char *name);
bool ram_save_has(const RamSave *r, int block, uint64_t offset);
void ram_save_wanted(RamSave *r, MigStream *s, int block, uint64_t offset);
const char *ram_save_block(const RamSave *r, int block, uint64_t *pages);     /* its name; NULL: no more of them */
void ram_save_set_received(RamSave *r, int block, const unsigned long *received);
/* For a background snapshot of memory that is protected now: each page goes out once, whatever is marked later. Where the
 * next search begins; a block's memory (NULL: no more of them); a page that somebody waits to write to, unless it has gone. */
void ram_save_freeze(RamSave *r);
void ram_save_position(const RamSave *r, unsigned *block, uint64_t *page);
uint8_t *ram_save_memory(const RamSave *r, unsigned block, uint64_t *pages);
void ram_save_urgent(RamSave *r, MigStream *s, const void *host);
/* A block that changed its size meanwhile makes the migration fail. */
bool ram_save_check(RamSave *r, GError **err);

/* Loading: the body of one RAM section. Blocks are emptied when the list of blocks comes; the target's untouched
 * memory stays so where the source's was zero. */
typedef struct RamLoad RamLoad;
RamLoad *ram_load_new(Machine *m);
/* Pages stay in the stream's file, and are looked up in its index if it has one: *devices is then where to go on after the
 * list of blocks. ram_load_begin: to be called before the first device is loaded. */
void ram_load_lazily(RamLoad *r, int fd, uint64_t base);
bool ram_load_by_index(RamLoad *r, uint64_t *devices);
struct PostcopyLoad;
void ram_load_postcopy(RamLoad *r, struct PostcopyLoad *p);     /* the source may go over to post-copy; before the list of blocks */
bool ram_load_begin(RamLoad *r, GError **err);
/* Pages come over these channels too. */
void ram_load_over(RamLoad *r, struct MultiRecv *m);
/* For them, on any thread: a block that is in the list, or NULL; and that a page of it may hold something. */
RamBlock *ram_load_block(RamLoad *r, const char *name);
void ram_load_mark(RamLoad *r, RamBlock *b, uint64_t offset);
void ram_load_free(RamLoad *r);
bool ram_load_section(RamLoad *r, MigStream *s, int version, GError **err);
bool ram_load_complete(RamLoad *r, GError **err);       /* the list of blocks has come */
#endif
