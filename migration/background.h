/*
 * background-snapshot: a stream of the machine as it is now, while the guest runs on.
 *
 * On the migration's thread, instead of rounds and switch-over.
 */
#ifndef MIGRATION_BACKGROUND_H
#define MIGRATION_BACKGROUND_H
#include <glib.h>
#include <stdbool.h>

bool background_possible(GError **err);     /* can this kernel do it? */
/* Stops the guest for a moment: its devices are saved to memory, its memory is protected against writes. */
bool background_begin(GError **err);
/* Sends all pages, those first that the guest wants to write; then the devices. */
bool background_run(GError **err);
/* Takes the protection off. Before the migration's end; nothing happens when there is none. */
void background_end(void);
#endif
