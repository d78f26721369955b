/*
 * Post-copy: the guest goes on at the target before its memory is there; what it touches is asked for.
 *
 * Source (postcopy-send.c): postcopy_open right after the stream's header; postcopy_run instead of the switch-over;
 * postcopy_finish at the end of either; postcopy_close. Target (postcopy-recv.c): which pages have come, userfaultfd, and
 * requests on the return path; incoming-post.c has the thread that reads on while the guest runs.
 */
#ifndef MIGRATION_POSTCOPY_H
#define MIGRATION_POSTCOPY_H
#include "hw/core/machine.h"
#include "migration/stream.h"

/* ---- Source: on the migration's thread, but for the last three (main thread) ---- */
bool postcopy_open(Channel *c, GError **err);
bool postcopy_is_wanted(void);
bool postcopy_run(GError **err);
/* Waits until the target says that it has everything. */
bool postcopy_finish(GError **err);
void postcopy_close(void);
bool postcopy_start(GError **err);          /* migrate-start-postcopy */
bool postcopy_pause(GError **err);          /* migrate-pause: breaks the connection */
bool postcopy_resume(const char *uri, GError **err);        /* migrate with resume */

/* ---- Target ---- */
typedef struct PostcopyLoad PostcopyLoad;
/* The source may go over to post-copy. NULL with err where that cannot be: no userfaultfd, or not for this memory. */
PostcopyLoad *postcopy_load_new(Machine *m, Channel *back, GError **err);
void postcopy_load_free(PostcopyLoad *p);
void postcopy_add_block(PostcopyLoad *p, RamBlock *b);
/* Before the guest runs: a page has come, or needn't; pages that came are of no use any more (a command of len bytes). */
void postcopy_note(PostcopyLoad *p, RamBlock *b, uint64_t addr);
bool postcopy_discard(PostcopyLoad *p, Machine *m, MigStream *s, unsigned len, GError **err);
/* From here on memory comes as it is touched: pages are placed, whole and once. */
bool postcopy_listen(PostcopyLoad *p, GError **err);
bool postcopy_listens(const PostcopyLoad *p);
bool postcopy_place(PostcopyLoad *p, RamBlock *b, uint64_t addr, const void *page, GError **err);  /* NULL: zeroes */
/* What is missing now is zero. Not to be left to the main thread, which may be waiting for a page. */
void postcopy_all_here(PostcopyLoad *p);
/* A message on the return path, one at a time. */
bool postcopy_say(PostcopyLoad *p, unsigned type, const void *data, unsigned len);
bool postcopy_say_value(PostcopyLoad *p, unsigned type, uint32_t value);
/* The connection is gone; there is another. Then what the guest waits for is asked for again. */
void postcopy_lost(PostcopyLoad *p);
void postcopy_found(PostcopyLoad *p, Channel *back);
void postcopy_ask_again(PostcopyLoad *p);
bool postcopy_send_received(PostcopyLoad *p, const char *block, GError **err);
#endif
