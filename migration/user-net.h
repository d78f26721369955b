/* Sections "slirp": the state of user networks, in libslirp's own form. */
#ifndef MIGRATION_USER_NET_H
#define MIGRATION_USER_NET_H
#include <jansson.h>
#include "migration/stream.h"

/* One for each user network that has been used; ids are counted on from *id. desc may be NULL. Machine lock held. */
void user_nets_save(MigStream *s, uint32_t *id, json_t *desc);
/* The body of one. */
bool user_net_load(MigStream *s, uint32_t instance, int version, GError **err);
#endif
