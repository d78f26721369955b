/*
 * VNC servers: what -vnc asks for, and what the monitor asks of them. The server itself is the module vmemu-ui-vnc.so,
 * loaded when the first -vnc names a place to listen.
 *
 * All calls on the main thread, with the machine lock.
 */
#ifndef UI_REMOTE_H
#define UI_REMOTE_H
#include "util/sockets.h"
#include <glib.h>
#include <jansson.h>
#include <stdbool.h>

typedef enum VncShare { VNC_SHARE_ALLOW_EXCLUSIVE, VNC_SHARE_FORCE_SHARED, VNC_SHARE_IGNORE } VncShare;

typedef struct VncConfig {
    char *id;                   /* "default", "vnc2", ... or id= */
    SocketAddress address;
    bool none;                  /* "none": a server that does not listen */
    SocketAddress web;          /* websocket= */
    bool websocket;
    bool password;              /* VNC authentication */
    VncShare share;
    unsigned connections;       /* clients at a time */
    char *device;               /* display=, or NULL: the first console */
    unsigned head;
    bool lock_key_sync;
    const char *vm_name;        /* or NULL */
} VncConfig;

typedef struct VncServer VncServer;
/* What the module gives. */
typedef struct VncOps {
    VncServer *(*open)(const VncConfig *c, GError **err);   /* c stays valid as long as the server */
    void (*close)(VncServer *s);                            /* ends its clients */
    json_t *(*query)(VncServer *s);                         /* a VncInfo2 */
    void (*set_password)(VncServer *s, const char *password);   /* NULL: nobody may log in; no longer than 8 bytes count */
    void (*set_expiry)(VncServer *s, gint64 when);          /* seconds of the epoch; G_MAXINT64: never */
} VncOps;

/* -vnc host:d|unix:path|none[,option...]: one more server. Nothing is opened yet. */
bool remote_add(const char *optstr, GError **err);
bool remote_wanted(void);       /* a -vnc was given */
bool remote_start(const char *vm_name, GError **err);     /* vm_name: for titles, or NULL; stays valid */
void remote_stop(void);

json_t *remote_query(void);             /* query-vnc: the first server */
json_t *remote_query_servers(void);     /* query-vnc-servers */
void remote_print(GString *out);        /* info vnc */
/* id NULL: the first server. Fails when there is none; a password, when it was not started with password=on. */
bool remote_set_password(const char *id, const char *password, GError **err);
/* "now", "never", "+SECONDS" or seconds of the epoch. */
bool remote_expire_password(const char *id, const char *when, GError **err);
#endif
