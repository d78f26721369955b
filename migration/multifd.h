/*
 * Guest pages over several sockets at once, a thread each ("multifd"): the main stream has all but the pages with
 * something in them, and marks (the end of each RAM section) at which all channels wait for each other.
 */
#ifndef MIGRATION_MULTIFD_H
#define MIGRATION_MULTIFD_H
#include "hw/core/machine.h"
#include "migration/channel.h"

/* ---- Sending: all calls on the migration's thread ---- */

typedef struct MultiSend MultiSend;
typedef struct MultiSendConfig {
    const SocketAddress *to;
    unsigned channels;          /* 1-255 */
    int method, level;          /* index into multifd-compression's words */
    const uint8_t *uuid;
    int main_fd;                /* shut down when a channel fails, so that nobody waits for it */
    bool (*cancelled)(void);
} MultiSendConfig;
/* Connects the channels, one after the other; waits. */
MultiSend *multi_send_new(const MultiSendConfig *c, GError **err);
/* Hands a page over; it is read from guest memory later. Waits when all channels have enough to do. */
void multi_send_page(MultiSend *m, RamBlock *b, uint64_t offset);
/* All pages so far go before all that come. False: a channel has failed, or it was cancelled. */
bool multi_send_sync(MultiSend *m);
/* A channel's error; false: there is none. */
bool multi_send_error(MultiSend *m, GError **err);
uint64_t multi_send_bytes(MultiSend *m);        /* any thread */
void multi_send_free(MultiSend *m);             /* NULL is allowed */

/* ---- Receiving ---- */

typedef struct MultiRecv MultiRecv;
struct RamLoad;
/* Waits for the channels on a listening socket. The first connection, main_fd, may turn out to be a channel: then the
 * descriptors change places. uuid: the channels must bear it. */
MultiRecv *multi_recv_new(int listening, int main_fd, unsigned channels, int method, const uint8_t *uuid, GError **err);
/* Pages go to r's blocks. Before the stream is read. */
void multi_recv_start(MultiRecv *m, struct RamLoad *r);
/* At a mark: waits until all channels have come to it, and lets them go on. */
bool multi_recv_sync(MultiRecv *m, GError **err);
/* A channel's error, which explains why the main stream ended; false: there is none. */
bool multi_recv_error(MultiRecv *m, GError **err);
void multi_recv_free(MultiRecv *m);             /* NULL is allowed */

/* ---- Packets' contents ---- */

typedef struct MultiCodec MultiCodec;
/* NULL with err when the library is missing; also for "none", without err. */
MultiCodec *multi_codec_new(int method, int level, bool sending, GError **err);
void multi_codec_free(MultiCodec *c);           /* NULL is allowed */
unsigned multi_codec_flag(int method);          /* in a packet's head */
/* Pages into one piece of the codec's memory; its length, or 0. */
size_t multi_compress(MultiCodec *c, uint8_t *const pages[], unsigned n, uint8_t **out);
/* Exactly n pages. */
bool multi_decompress(MultiCodec *c, const uint8_t *in, size_t len, uint8_t *const pages[], unsigned n);
#endif
