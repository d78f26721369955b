/* Between the files of the NBD server. */
#ifndef BLOCK_NBD_INT_H
#define BLOCK_NBD_INT_H
#include "block/aio.h"
#include "block/bitmap.h"
#include "block/nbd-proto.h"
#include "block/nbd-server.h"

/* ---- a connection (nbd-conn.c): a socket for coroutines, one reader and one writer at a time */
typedef struct NbdConn {
    int fd;
    Coroutine *reader, *writer;         /* waiting */
    uint8_t in[4096];
    unsigned in_at, in_end;             /* what has been received ahead */
} NbdConn;
void conn_init(NbdConn *c, int fd);
void conn_close(NbdConn *c);
/* Ends it: whoever waits, or will, gets -EPIPE. */
void conn_break(NbdConn *c);
int conn_read(NbdConn *c, void *buf, size_t bytes);     /* all of it; 0 or -errno */
int conn_skip(NbdConn *c, uint64_t bytes);
int conn_write(NbdConn *c, const IoVec *v);             /* all of it */
int conn_write_buf(NbdConn *c, const void *buf, size_t bytes);

/* ---- exports and clients (nbd-server.c) */
struct NbdExport {
    char *id, *name, *description;
    BlockBackend *blk;
    bool writable, allocation_depth, removed;
    int64_t offset, bytes;              /* bytes < 0: up to the end of the image */
    DirtyBitmap **bitmaps;              /* busy as long as this exists */
    unsigned n_bitmaps;
    BlockNode **bitmap_nodes;           /* that they belong to, referenced */
    unsigned refs, clients;
    NbdExport *next;
};
NbdExport *nbd_export_find(const char *name);           /* not referenced */
NbdExport *nbd_exports(void);                           /* the first */
NbdExport *nbd_export_ref(NbdExport *e);
void nbd_export_unref(NbdExport *e);
int64_t nbd_export_size(NbdExport *e);                  /* or -errno */
unsigned nbd_export_flags(NbdExport *e, bool structured);

/* Contexts of block status, by id. */
enum { CTX_BASE, CTX_DEPTH, CTX_BITMAP };               /* CTX_BITMAP + i: the export's i-th bitmap */

typedef struct NbdClient {
    NbdConn conn;
    AioTimer deadline;                  /* of the handshake */
    bool structured, no_zeroes;
    NbdExport *export;                  /* after the handshake */
    NbdExport *meta_export;             /* that contexts were chosen of */
    bool *contexts;                     /* by id; as many as meta_export has */
    unsigned n_contexts, chosen;
    CoMutex sending;
    unsigned requests;                  /* in flight */
    uint64_t memory;                    /* of their buffers */
    CoQueue room;                       /* the reader, until there is less of them */
    struct NbdClient *next;
} NbdClient;

/* The handshake: 0 when an export has been chosen (nbd-handshake.c). */
int nbd_handshake(NbdClient *c);
/* One request is read and begun; false: the connection is to end (nbd-serve.c). */
bool nbd_serve_one(NbdClient *c);
/* Extents of a context in [offset, offset+bytes) of the export, as pairs of length and flags, big-endian; their number
 * (at least one, at most max) or -errno (nbd-status.c). */
int nbd_status(NbdExport *e, unsigned context, int64_t offset, int64_t bytes, uint32_t *pairs, unsigned max);
/* "qemu:dirty-bitmap:NAME"; NULL: there is no such context. To be freed. */
char *nbd_context_name(NbdExport *e, unsigned context);
#endif
