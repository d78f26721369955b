/*
 * The NBD server: exports nodes to clients of a socket.  docs/nbd.md says what it offers and what bounds a client.
 *
 * There is at most one server in a program.  All under the machine lock; clients are coroutines of the main loop.
 */
#ifndef BLOCK_NBD_SERVER_H
#define BLOCK_NBD_SERVER_H
#include "block/graph.h"
#include "util/sockets.h"

typedef struct NbdExport NbdExport;
typedef struct NbdExportOptions {
    const char *id, *name;              /* id: of the monitor's commands; NULL: none. name: what clients ask for */
    const char *description;            /* or NULL */
    bool writable, writethrough, allocation_depth;
    const char *const *bitmaps;         /* names, NULL-terminated; or NULL: none. Looked for along the backing chain */
    const char *const *bitmap_nodes;    /* for each, the one node that it is of, or NULL; NULL: none is said */
    int64_t offset, bytes;              /* part of the image; bytes < 0: up to its end */
} NbdExportOptions;

/* A client has gone; how many are left, and whether it had chosen an export. */
typedef void NbdClientGone(unsigned left, bool served);
/* max_connections 0: any number. gone may be NULL. */
bool nbd_server_start(const SocketAddress *a, unsigned max_connections, NbdClientGone *gone, GError **err);
/* The same with a socket that listens already (taken over). */
void nbd_server_start_fd(int fd, unsigned max_connections, NbdClientGone *gone);
void nbd_server_stop(void);             /* disconnects everybody and removes all exports */
bool nbd_server_running(void);
/* A socket with a client behind it (taken over), as if it had been accepted. */
void nbd_server_add_client(int fd);
unsigned nbd_server_clients(void);

bool nbd_export_add(BlockNode *n, const NbdExportOptions *o, GError **err);
/* By name or id; hard: clients are disconnected, else it is an error if there are some. */
bool nbd_export_remove(const char *name_or_id, bool by_id, bool hard, GError **err);
void nbd_exports_remove_all(void);
json_t *nbd_exports_query(void);        /* query-block-exports */
/* The monitor's commands, with their arguments. */
bool nbd_command_start(json_t *args, GError **err);
bool nbd_command_stop(GError **err);
bool nbd_command_export_add(json_t *args, GError **err);
bool nbd_command_add(json_t *args, GError **err);       /* nbd-server-add */
/* Every drive with a medium; failing, the server stops. */
bool nbd_export_all(bool writable, GError **err);
#endif
