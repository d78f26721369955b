/* Between incoming.c and incoming-post.c. Main thread, but for post_listen. */
#ifndef MIGRATION_INCOMING_INT_H
#define MIGRATION_INCOMING_INT_H
#include "migration/migration.h"
#include "migration/savevm.h"

/* Notes the state, and tells clients if they want to know. */
void incoming_tell(MigStatus s);

/* For load_stream: post-copy begins, or goes on. Not on the main thread. */
void post_listen(Load *rest, struct PostcopyLoad *p);
void post_resumed(void);
/* The guest runs; when all has come it is over, and the stream is freed. */
void post_run(void);
#endif
