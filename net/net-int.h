/* Between the files of net/. */
#ifndef NET_NET_INT_H
#define NET_NET_INT_H
#include <netinet/in.h>
#include <sys/socket.h>
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

/* Is each of the options in one of the tables, with a value of its kind? */
bool net_check_params(Opts *o, const NetParam *const *tables, GError **err);
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
void net_filters_forget(NetClient *from);   /* ... drop what filters keep of its packets */
/* Goes on with a packet behind the filters. */
bool net_deliver(NetClient *from, const struct iovec *iov, unsigned n, size_t size);

/* ---- Hubs ---- */
extern const NetClientType net_hub_port_type;
int net_hub_of(const NetClient *c);     /* the hub that c or its peer is a port of; -1: none */
void net_hub_print(GString *out);
void net_print_client(NetClient *c, GString *out);

/* ---- IPv4 fragments ---- */

typedef struct NetFragments NetFragments;
/* true: the frame is a fragment (or pretends to be one), and is done with; *whole is the frame that it has completed, or NULL. */
bool net_fragments_take(NetFragments **f, const uint8_t *pkt, size_t size, uint8_t **whole, size_t *whole_size);
void net_fragments_free(NetFragments *f);

/* ---- Descriptors ---- */

/* One that -netdev names ("fd=N" or a name of the monitor's), non-blocking from now on; -1 with err. id: of the netdev. */
int net_fd_option(const char *id, const char *text, GError **err);

/* ---- Back-ends on sockets ---- */

/* Packets on a byte stream: 4 bytes of length, big-endian, then the packet. One connection at a time; a server takes the
 * next when it has gone. fd and listen_fd may be -1. `events`: NETDEV_STREAM_*. */
NetClient *net_stream_new(const char *id, NetClient *peer, const char *type, int fd, int listen_fd, bool events);
/* Packets as datagrams on a socket that is bound (and connected, when dest_len is 0). */
NetClient *net_dgram_new(const char *id, NetClient *peer, const char *type, int fd, const struct sockaddr *dest, socklen_t dest_len);

/* A GLib source on a descriptor that can be switched; conditions 0: none. */
typedef struct NetWatch NetWatch;
NetWatch *net_watch_new(int fd, void (*fn)(void *opaque, GIOCondition cond), void *opaque);
void net_watch_set(NetWatch *w, GIOCondition cond);
void net_watch_free(NetWatch *w);

bool net_parse_mac(const char *s, uint8_t *mac);
/* "[HOST]:PORT": an IPv4 address; an empty host is any. */
bool net_parse_inet(const char *s, struct sockaddr_in *a, GError **err);
/* UDP to a multicast group (GROUP:PORT; local: the interface's address or NULL), from one address to another. */
NetClient *net_mcast_open(const char *id, NetClient *peer, const char *type, const char *group, const char *local, GError **err);
NetClient *net_udp_open(const char *id, NetClient *peer, const char *type, const char *local, const char *remote, GError **err);
#endif
