/* The user network's two halves: options and the client (user.c), and the stack, a module around libslirp (slirp.c). */
#ifndef NET_USER_H
#define NET_USER_H
#include <netinet/in.h>
#include "net/net.h"

typedef struct UserConfig {
    bool restricted, ipv4, ipv6;
    struct in_addr net, mask, host, dhcp, dns;
    struct in6_addr prefix6, host6, dns6;
    uint8_t prefix6_len;
    char *hostname, *tftp, *tftp_server, *bootfile, *domain;
    char **dnssearch;
} UserConfig;

typedef struct UserFwd {
    bool udp;
    struct in_addr host, guest;
    uint16_t host_port, guest_port;
} UserFwd;

typedef struct UserStack UserStack;
/* Gives exactly n bytes; false: there are no more. */
typedef bool NetReadFn(void *opaque, void *buf, size_t n);

/* What the module exports as NET_USER_SYMBOL. */
#define NET_USER_SYMBOL "net_user_module"
typedef struct UserModule {
    UserStack *(*start)(NetClient *c, const UserConfig *cfg);
    void (*stop)(UserStack *s);
    void (*input)(UserStack *s, const uint8_t *pkt, size_t size);
    bool (*hostfwd)(UserStack *s, const UserFwd *f, bool add);
    /* dest: "cmd:COMMAND", or a chardev's name as -serial has it. */
    bool (*guestfwd)(UserStack *s, struct in_addr server, uint16_t port, const char *dest, const char *rule, GError **err);
    char *(*info)(UserStack *s);        /* to be freed with free() */
    int (*state_version)(void);
    void (*save)(UserStack *s, GByteArray *out);
    bool (*load)(UserStack *s, int version, NetReadFn *read, void *opaque);
} UserModule;

/* ---- For migration: the section "slirp" of each user network ---- */

bool net_is_user(const NetClient *c);
/* The section's version and contents; -1: the stack has not been started, there is nothing to save. */
int net_user_save(NetClient *c, GByteArray *out);
bool net_user_load(NetClient *c, int version, NetReadFn *read, void *opaque, GError **err);
#endif
