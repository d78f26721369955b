/* Between the files of net/. */
#ifndef NET_NET_INT_H
#define NET_NET_INT_H
#include <netinet/in.h>
#include "net/net.h"

extern GPtrArray *net_clients;          /* NetClient *, in order */

/* ---- Netdevs: one row a type ---- */

typedef enum NetParamKind { NET_TEXT, NET_BOOL, NET_NUMBER, NET_SIZE } NetParamKind;
typedef struct NetParam { const char *name; NetParamKind kind; bool list, prefix; } NetParam; /* prefix: NAME.x as well */

typedef struct NetdevType {
    const char *name;
    const NetParam *params;
    /* Options have been checked by `params`. peer may be NULL. The new client, or NULL with err. */
    NetClient *(*open)(const char *id, NetClient *peer, Opts *o, GError **err);
} NetdevType;

extern const NetdevType netdev_user, netdev_tap, netdev_bridge, netdev_socket, netdev_stream, netdev_dgram, netdev_hubport;

/* Values that have been checked. */
bool net_opt_bool(Opts *o, const char *name, bool def);
uint64_t net_opt_num(Opts *o, const char *name, uint64_t def);
/* All values of a parameter that may stand several times: NAME=x, JSON's NAME.0.str or NAME.0. NULL-terminated. */
char **net_opt_list(Opts *o, const char *name);

/* ---- Filters ---- */

typedef struct NetFilter NetFilter;
/* Runs filters of the client `of` on a packet from `from`; true: one of them has it now. `sent_by`: of is the sender. */
bool net_filters_run(NetClient *of, bool sent_by, NetClient *from, const struct iovec *iov, unsigned n, size_t size);
void net_filters_print(NetClient *c, GString *out);
void net_filters_drop(NetClient *c);    /* c goes away */
/* Goes on with a packet behind the filters. */
bool net_deliver(NetClient *from, const struct iovec *iov, unsigned n, size_t size);

/* ---- Hubs ---- */
extern const NetClientType net_hub_port_type;
int net_hub_of(const NetClient *c);     /* the hub that c or its peer is a port of; -1: none */
void net_hub_print(GString *out);
void net_print_client(NetClient *c, GString *out);

/* ---- Packets on byte streams: 4 bytes of length, big-endian, then the packet ---- */

typedef struct NetReader { uint8_t buf[4 + NET_MAX_PACKET]; size_t have; } NetReader;
/* Hands each whole packet of the bytes to fn; false: a length that no packet has. fn false: stop after this one; the rest
 * of the bytes is kept in *used (how many were taken). */
bool net_reader_feed(NetReader *r, const uint8_t *data, size_t len, size_t *used,
                     bool (*fn)(void *opaque, const uint8_t *pkt, size_t size), void *opaque);

/* A GLib source on a descriptor that can be switched; conditions 0: none. */
typedef struct NetWatch NetWatch;
NetWatch *net_watch_new(int fd, void (*fn)(void *opaque, GIOCondition cond), void *opaque);
void net_watch_set(NetWatch *w, GIOCondition cond);
void net_watch_free(NetWatch *w);

bool net_parse_mac(const char *s, uint8_t *mac);
/* "[HOST]:PORT": an IPv4 address; an empty host is any. */
bool net_parse_inet(const char *s, struct sockaddr_in *a, GError **err);
#endif
