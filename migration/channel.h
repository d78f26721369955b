/*
 * Where a migration stream goes to or comes from: one interface for sockets, commands, descriptors, files and the
 * state area of an image.
 *
 * Calls block the calling thread, which does not hold the machine lock; channel_cancel wakes it from any thread.
 */
#ifndef MIGRATION_CHANNEL_H
#define MIGRATION_CHANNEL_H
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>
#include "migration/ssh.h"
#include "util/sockets.h"

typedef struct Channel Channel;
typedef struct ChannelOps {
    /* Writes all; 0 or -errno. */
    int (*write)(Channel *c, struct iovec *iov, int n);
    /* Bytes read (> 0), 0 at the end, -errno. */
    ssize_t (*read)(Channel *c, void *buf, size_t n);
    /* All has been written: closes, and waits for what the other side says to it. May be NULL. */
    bool (*finish)(Channel *c, GError **err);
    void (*free)(Channel *c);
} ChannelOps;

struct Channel {                /* first member of each kind */
    const ChannelOps *ops;
};

typedef enum UriKind { URI_TCP, URI_UNIX, URI_EXEC, URI_FD, URI_FILE, URI_SSH, URI_STDIO, URI_DEFER } UriKind;

/* "tcp:HOST:PORT", "unix:PATH", "exec:COMMAND", "fd:NAME", "file:PATH[,offset=N]"; for incoming "stdio", "defer", ",lazy=on". */
typedef struct MigUri {
    UriKind kind;
    SocketAddress addr;         /* tcp, unix */
    char *text;                 /* exec: the command; fd: its name; file: the path */
    uint64_t offset;            /* file */
    SshTarget ssh;
    bool lazy;                  /* file, incoming: pages stay there until they are touched */
} MigUri;
bool uri_parse(MigUri *u, const char *text, bool incoming, GError **err);
void uri_clear(MigUri *u);

/* Turns "fd:NAME" into a descriptor that belongs to the caller; set by the monitor. */
typedef int ChannelTakeFd(const char *name, GError **err);

/* For writing. tcp and unix connect, which may take a while: to be called without the machine lock. fd: of URI_FD. */
Channel *channel_open(const MigUri *u, int fd, int cancel_fd, GError **err);
/* For reading: exec, fd, file, stdio at once; tcp and unix from a listening socket. */
Channel *channel_open_incoming(const MigUri *u, int fd, GError **err);
Channel *channel_accepted(int fd);
int uri_listen(const MigUri *u, GError **err);

static inline int channel_write(Channel *c, struct iovec *iov, int n) { return c->ops->write(c, iov, n); }
static inline ssize_t channel_read(Channel *c, void *buf, size_t n) { return c->ops->read(c, buf, n); }
bool channel_finish(Channel *c, GError **err);
/* The way back, which only sockets have: a message of a target to its source; and whether the source waits for one at
 * the end. False: it can't be. */
bool channel_answer(Channel *c, unsigned type, uint32_t value);
bool channel_expect_answer(Channel *c);
/* After a failure: the command behind the channel may know more about it. */
void channel_explain(Channel *c, GError **err);
void channel_free(Channel *c);              /* NULL is allowed */
int channel_fd(Channel *c);                 /* of one with a descriptor; -1 */
/* A file opened with lazy=on; where the stream begins in it. */
bool channel_is_lazy(Channel *c, uint64_t *base);
bool channel_seek(Channel *c, uint64_t at); /* of a file: goes on there, from the stream's beginning */
bool channel_is_file(Channel *c);           /* a regular one */
#endif
