/*
 * NBD server: exports, the listening socket, clients.
 *
 * A client lives as long as its coroutine: handshake, requests, then the wait for those in flight.  An export is kept by
 * its clients after it has been removed; they find it "going away".
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>
#include "block/backend-int.h"
#include "block/graph-ops.h"
#include "block/nbd-int.h"
#include "util/error.h"

#define HANDSHAKE_NS (10 * INT64_C(1000000000))

static NbdExport *exports;
static struct {
    int fd;                             /* -1: it does not listen */
    char *path;                         /* of a Unix socket that we made; or NULL */
    bool running;
    unsigned max, n_clients;
    NbdClient *clients;
    NbdClientGone *gone;
} server = { .fd = -1 };

/* ---- exports */

NbdExport *nbd_exports(void)
{
    return exports;
}

NbdExport *nbd_export_find(const char *name)
{
    NbdExport *e = exports;

    while (e && strcmp(e->name, name))
        e = e->next;
    return e;
}

NbdExport *nbd_export_ref(NbdExport *e)
{
    e->refs++;
    return e;
}

void nbd_export_unref(NbdExport *e)
{
    if (--e->refs)
        return;
    for (unsigned i = 0; i < e->n_bitmaps; i++) {
        if (e->bitmaps[i])
            e->bitmaps[i]->busy = false;
        node_unref(e->bitmap_nodes[i]);
    }
    if (e->blk) {
        if (e->writable && blk_is_inserted(e->blk))
            blk_flush(e->blk);
        blk_unref(e->blk);
    }
    if (e->id)
        block_event("BLOCK_EXPORT_DELETED", json_pack("{s:s}", "id", e->id));
    g_free(e->bitmaps);
    g_free(e->bitmap_nodes);
    g_free(e->id);
    g_free(e->name);
    g_free(e->description);
    g_free(e);
}

int64_t nbd_export_size(NbdExport *e)
{
    int64_t len = blk_length(e->blk);

    if (len < 0)
        return len;
    len = MAX(len - e->offset, 0);
    return e->bytes < 0 ? len : MIN(len, e->bytes);
}

unsigned nbd_export_flags(NbdExport *e, bool structured)
{
    unsigned flags = NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH | NBD_FLAG_SEND_FUA | NBD_FLAG_SEND_CACHE;

    flags |= e->writable ? NBD_FLAG_SEND_TRIM | NBD_FLAG_SEND_WRITE_ZEROES | NBD_FLAG_SEND_FAST_ZERO : NBD_FLAG_READ_ONLY;
    if (server.max != 1)
        flags |= NBD_FLAG_CAN_MULTI_CONN;
    return flags | (structured ? NBD_FLAG_SEND_DF : 0);
}

/* Of the node that is named, or else the first along the backing chain. */
static DirtyBitmap *find_bitmap(BlockNode *top, const char *node, const char *name, BlockNode **where, GError **err)
{
    BlockNode *n = node ? block_lookup(node, node, NULL) : node_skip_filters(top);
    DirtyBitmap *b = NULL;

    if (!n) {
        error_set(err, "Node '%s' not found", node);
        return NULL;
    }
    while (n && !(b = bitmap_find(n, name)) && !node)
        n = node_backing(n);
    if (!b)
        error_set(err, node ? "Dirty bitmap '%s' not found" : "Bitmap '%s' is not found", name);
    *where = n;
    return b;
}

static bool take_bitmap(NbdExport *e, BlockNode *top, const char *node, const char *name, GError **err)
{
    BlockNode *n;
    DirtyBitmap *b = find_bitmap(top, node, name, &n, err);

    if (!b)
        return false;
    if (b->busy)
        return error_set(err, "Bitmap '%s' is currently in use by another operation and cannot be used", name);
    if (b->inconsistent)
        return error_set(err, "Bitmap '%s' is inconsistent and cannot be used", name);
    if (!e->writable && !blk_is_read_only(e->blk) && b->enabled)
        return error_set(err, "Enabled bitmap '%s' incompatible with readonly export", name);
    b->busy = true;
    e->bitmaps = g_renew(DirtyBitmap *, e->bitmaps, e->n_bitmaps + 1);
    e->bitmap_nodes = g_renew(BlockNode *, e->bitmap_nodes, e->n_bitmaps + 1);
    e->bitmaps[e->n_bitmaps] = b;
    e->bitmap_nodes[e->n_bitmaps++] = node_ref(n);
    return true;
}

static bool fill_export(NbdExport *e, BlockNode *n, const NbdExportOptions *o, GError **err)
{
    if (e->offset && e->offset > node_length(n))
        return error_set(err, "Invalid offset");
    if (o->writable && n->read_only)
        return error_set(err, "Block node is read-only");
    e->blk = blk_new(NULL, PERM_READ | (o->writable ? PERM_WRITE : 0), PERM_ALL);
    if (!blk_insert(e->blk, n, err))
        return false;
    blk_enable_write_cache(e->blk, !o->writethrough);
    for (unsigned i = 0; o->bitmaps && o->bitmaps[i]; i++)
        if (!take_bitmap(e, n, o->bitmap_nodes ? o->bitmap_nodes[i] : NULL, o->bitmaps[i], err))
            return false;
    return true;
}

bool nbd_export_add(BlockNode *n, const NbdExportOptions *o, GError **err)
{
    NbdExport *e, **p = &exports;

    if (strlen(o->name) > NBD_MAX_STRING)
        return error_set(err, "export name '%s' too long", o->name);
    if (o->description && strlen(o->description) > NBD_MAX_STRING)
        return error_set(err, "description '%s' too long", o->description);
    if (nbd_export_find(o->name))
        return error_set(err, "NBD server already has export named '%s'", o->name);
    e = g_new0(NbdExport, 1);
    e->refs = 1;
    e->name = g_strdup(o->name);
    e->description = g_strdup(o->description);
    e->writable = o->writable;
    e->allocation_depth = o->allocation_depth;
    e->offset = o->offset;
    e->bytes = o->bytes;
    if (!fill_export(e, n, o, err)) {
        nbd_export_unref(e);
        return false;
    }
    e->id = g_strdup(o->id);
    while (*p)
        p = &(*p)->next;
    *p = e;
    return true;
}

static void drop_export(NbdExport *e)
{
    NbdExport **p = &exports;

    while (*p != e)
        p = &(*p)->next;
    *p = e->next;
    e->removed = true;
    for (NbdClient *c = server.clients; c; c = c->next)
        if (c->export == e)
            conn_break(&c->conn);
    nbd_export_unref(e);
}

bool nbd_export_remove(const char *name, bool by_id, bool hard, GError **err)
{
    NbdExport *e = exports;

    while (e && g_strcmp0(by_id ? e->id : e->name, name))
        e = e->next;
    if (!e)
        return error_set(err, "Export '%s' is not found", name);
    if (e->clients && !hard)
        return error_set(err, "export '%s' still in use", e->id ? e->id : e->name);
    drop_export(e);
    return true;
}

void nbd_exports_remove_all(void)
{
    while (exports)
        drop_export(exports);
}

json_t *nbd_exports_query(void)
{
    json_t *list = json_array();

    for (NbdExport *e = exports; e; e = e->next)
        json_array_insert_new(list, 0, json_pack("{s:s, s:b, s:s, s:s}", "node-name",
                                                 blk_node(e->blk) ? blk_node(e->blk)->name : "", "shutting-down", 0, "type", "nbd",
                                                 "id", e->id ? e->id : e->name));
    return list;
}

/* ---- clients */

static void listen_again(void)
{
    if (server.fd >= 0)
        aio_set_events(server.fd, !server.max || server.n_clients < server.max ? AIO_READ : 0);
}

static void client_free(NbdClient *c)
{
    NbdClient **p = &server.clients;
    bool served = c->export;

    while (*p != c)
        p = &(*p)->next;
    *p = c->next;
    aio_timer_stop(&c->deadline);
    conn_close(&c->conn);
    if (c->export) {
        c->export->clients--;
        nbd_export_unref(c->export);
    }
    if (c->meta_export)
        nbd_export_unref(c->meta_export);
    g_free(c->contexts);
    g_free(c);
    server.n_clients--;
    listen_again();
    if (server.gone)
        server.gone(server.n_clients, served);
}

static void client_co(void *opaque)
{
    NbdClient *c = opaque;

    if (nbd_handshake(c) == 0) {
        aio_timer_stop(&c->deadline);
        while (nbd_serve_one(c))
            ;
    }
    conn_break(&c->conn);
    while (c->requests)
        co_queue_wait(&c->room);
    client_free(c);
}

static void too_slow(void *opaque)
{
    NbdClient *c = opaque;

    conn_break(&c->conn);
}

void nbd_server_add_client(int fd)
{
    NbdClient *c = g_new0(NbdClient, 1);
    int one = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    conn_init(&c->conn, fd);
    c->deadline = (AioTimer){ .fire = too_slow, .opaque = c };
    aio_timer_arm(&c->deadline, aio_now() + HANDSHAKE_NS);
    c->next = server.clients;
    server.clients = c;
    server.n_clients++;
    listen_again();
    coroutine_enter(coroutine_new(client_co, c));
}

unsigned nbd_server_clients(void)
{
    return server.n_clients;
}

/* ---- the server */

static void incoming(void *opaque)
{
    int fd = accept4(server.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd >= 0)
        nbd_server_add_client(fd);
}

void nbd_server_start_fd(int fd, unsigned max_connections, NbdClientGone *gone)
{
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    server.fd = fd;
    server.running = true;
    server.max = max_connections;
    server.gone = gone;
    aio_add_fd(fd, incoming, NULL);
}

bool nbd_server_start(const SocketAddress *a, unsigned max_connections, NbdClientGone *gone, GError **err)
{
    int fd;

    if (server.running)
        return error_set(err, "NBD server already running");
    fd = socket_listen(a, err);
    if (fd < 0)
        return false;
    nbd_server_start_fd(fd, max_connections, gone);
    server.path = a->abstract ? NULL : g_strdup(a->path);
    return true;
}

bool nbd_server_running(void)
{
    return server.running;
}

void nbd_server_stop(void)
{
    server.gone = NULL;
    if (server.fd >= 0) {
        aio_del_fd(server.fd);
        close(server.fd);
        server.fd = -1;
    }
    if (server.path)
        unlink(server.path);
    g_clear_pointer(&server.path, g_free);
    nbd_exports_remove_all();
    for (NbdClient *c = server.clients; c; c = c->next)
        conn_break(&c->conn);
    AIO_WAIT_WHILE(server.clients);
    server.running = false;
}
