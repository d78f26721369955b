/*
 * The network: clients in pairs. One end of a pair is a guest's card or a port of a hub, the other a back-end (a "netdev")
 * or another port; what one sends the other receives.
 *
 * Back-pressure: a packet for an end that can't take it now waits in that end's queue, and net_send tells the sender to wait
 * for its `sent` before it sends more. An end that can take packets again calls net_flush.
 *
 * All under the machine lock. A type's receive may send (to its own peer as well); what comes in while it runs waits.
 */
#ifndef NET_NET_H
#define NET_NET_H
#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>
#include "util/opts.h"

#define NET_MIN_PACKET 60                /* without the FCS */
#define NET_MAX_PACKET (68 * 1024)      /* more is never sent */
#define NET_MAX_NICS 8                  /* of -nic and -net nic */

typedef struct NetClient NetClient;

typedef struct NetClientType {
    const char *name;                   /* as info network has it: "nic", "user", ... */
    size_t size;                        /* of the instance, which begins with a NetClient */
    bool (*can_receive)(NetClient *c);  /* NULL: always */
    /* Takes a packet. false: not now, net_flush will be called. What can never be delivered counts as taken. */
    bool (*receive)(NetClient *c, const struct iovec *iov, unsigned n, size_t size);
    /* A packet of this client that was queued has been taken or dropped; for cards also: the guest runs. NULL: it does not wait; it
     * may queue packets to a limit, the others are lost. Cards have it. */
    void (*sent)(NetClient *c);
    void (*link_changed)(NetClient *c); /* link_down has changed */
    void (*close)(NetClient *c);        /* the instance is freed after this */
    /* Cards: */
    json_t *(*rx_filter)(NetClient *c); /* query-rx-filter's answer */
    const uint8_t *(*mac)(NetClient *c);
    /* Back-ends: one more line for info usernet; host forwarding. NULL: none. */
    void (*print_state)(NetClient *c, GString *out);
    bool (*hostfwd)(NetClient *c, const char *rule, bool add, GError **err);
} NetClientType;

struct NetClient {
    const NetClientType *type;
    char *name, *model;                 /* "net0", "e1000.0"; "user", "e1000" */
    char *info;                         /* what follows "type=...," in info network */
    NetClient *peer;
    bool link_down;
    bool is_netdev;                     /* netdev_del may */

    /* net/'s own */
    GQueue in;                          /* packets for this client that wait */
    size_t in_bytes;
    bool delivering;
    GPtrArray *filters;                 /* NetFilter *, the nearest to this client first; NULL: none */
};

/* ---- For clients ---- */

/* A new one, at the end of the list; name NULL: "MODEL.n". Connected with peer when that is not NULL. */
NetClient *net_client_new(const NetClientType *t, NetClient *peer, const char *model, const char *name);
/* Closes it, drops what is queued from it, leaves its peer without one. */
void net_client_free(NetClient *c);
void net_client_set_info(NetClient *c, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
/* To the peer. true: delivered, or dropped (no peer, a link is down, too long). false: queued: wait for `sent`. */
bool net_send(NetClient *from, const struct iovec *iov, unsigned n);
bool net_send_buf(NetClient *from, const void *buf, size_t size);
/* The same for what no Ethernet has brought to its least size (IEEE 802.3, 4.2.3.3; without the FCS): zeroes follow it. */
bool net_send_padded(NetClient *from, const void *buf, size_t size);
/* Would a packet from this client be taken at once? */
bool net_can_send(NetClient *from);
/* Delivers what waits for c as far as it goes; true: nothing waits any more. */
bool net_flush(NetClient *c);
/* Drops what c has sent and its peer has not received. */
void net_purge(NetClient *c);

/* ---- Names ---- */

NetClient *net_find(const char *name);
NetClient *net_find_netdev(const char *id);         /* not a card, not a port of a hub */
void net_foreach(bool (*fn)(NetClient *c, void *opaque), void *opaque);     /* fn returns false to stop */

/* ---- Hubs: -net's way of connecting ---- */

/* A new port, whose peer is `peer` (NULL: none yet); name NULL: "hub0port1". */
NetClient *net_hub_port(unsigned hub, NetClient *peer, const char *name);
/* Warnings about what is connected to nothing; once all is there. */
void net_check(void);

/* ---- Options ---- */

/* -netdev's and netdev_add's text ("user,id=n0,..." or JSON); NULL with err. */
NetClient *net_add_netdev(const char *text, GError **err);
bool net_del_netdev(const char *id, GError **err);
/* -nic and -net; they fill in net_nics. */
bool net_add_nic(const char *text, GError **err);
bool net_add_legacy(const char *text, GError **err);
/* What a machine has when none of them was given: a card and a user network, where there is one. */
bool net_add_default(GError **err);
void net_print_types(GString *out);                 /* -netdev help */

/* A card that the board is to make. */
typedef struct NetNic {
    char *model, *name, *addr;                      /* NULL: the board's default, none, the next free slot */
    uint8_t mac[6];
    NetClient *peer;
    bool used;
} NetNic;
extern GArray *net_nics;                            /* NetNic, or NULL */
extern bool net_nic_model_help;                     /* model=help was seen */

/* ---- MAC addresses ---- */

/* Gives an all-zero address the next free one of 52:54:00:12:34:56...; notes a given one of that range as taken. */
void net_mac_default(uint8_t *mac);
void net_mac_free(const uint8_t *mac);

/* ---- For the monitor and the machine ---- */

/* Of a card or its peer, by name; err: there is none. */
bool net_set_link(const char *name, bool up, GError **err);
void net_print(GString *out);                       /* info network */
void net_print_usernet(GString *out);               /* info usernet */
bool net_hostfwd(const char *id, const char *rule, bool add, GError **err);
/* Tells switches where the guest is: self-announcements of all cards (or of one), count of them, in ms. */
typedef struct NetAnnounce { int64_t initial, max, rounds, step; char **interfaces; } NetAnnounce;
void net_announce(const NetAnnounce *a);

/* What the machine gives; before any client is made. */
typedef struct NetHost {
    uint64_t (*now_ns)(void *opaque);               /* guest time */
    bool (*running)(void *opaque);
    int (*get_fd)(const char *name, GError **err);  /* fd=: a number or a name of the monitor's */
    void (*event)(const char *name, json_t *data);
    void *opaque;
} NetHost;
void net_init(const NetHost *host);
/* The guest runs, or has stopped. */
void net_set_running(bool running);
void net_cleanup(void);
extern NetHost net_host;

/* ---- Filters: -object filter-dump and friends ---- */

bool net_filter_is_type(const char *type);
extern const char *const net_filter_types[];        /* NULL-terminated */
void net_filter_help(const char *type, GString *out);   /* -object TYPE,help */
bool net_filter_add(const char *type, const char *id, Opts *o, GError **err);
bool net_filter_del(const char *id, bool *found, GError **err);
#endif
