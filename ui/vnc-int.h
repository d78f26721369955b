/*
 * The VNC server. Each client has a thread and a libvncserver screen of its own (vnc-client.c): a slow or hostile one
 * holds up nobody else, and never the guest. vnc.c runs on the main thread, under the machine lock: it listens, copies
 * what changes on the console into a frame that all clients of the server read, and does what clients ask.
 *
 *   main thread -> client   client_news, client_end, under VncClient.lock and with a byte to its eventfd
 *   client -> main thread   vnc_note: a bounded queue
 *
 * A client's thread reads a frame while the main thread writes it: what it then sends may be half old, and is followed
 * by a newer update of the same place. A frame lives as long as somebody holds it.
 *
 * Documents: RFC 6143 (RFB 3.8); the rfbproto community's specification for the QEMU extensions (pseudo-encodings
 * -257, -258, -261; client message 255).
 */
#ifndef UI_VNC_INT_H
#define UI_VNC_INT_H
#include "ui/console.h"
#include "ui/display.h"
#include "ui/remote.h"
#include <rfb/rfb.h>

#define VNC_MAX_WIDTH 5120      /* what is beyond is not shown: libvncserver sends whole lines from a 32 KiB buffer */
#define VNC_MAX_HEIGHT 4096

typedef struct Frame {
    gint refs;
    int width, height;
    uint32_t pixels[];          /* x8r8g8b8 */
} Frame;

typedef struct VncClient {
    VncServer *server;
    gint refs;                  /* the thread's, the server's, those of notes */
    GThread *thread;
    int fd;                     /* the thread's: libvncserver closes it */
    int control;                /* a duplicate, to shut the connection down */
    int wake;                   /* eventfd */
    bool websocket;
    char *host, *service;
    const char *family;

    GMutex lock;                /* of this group */
    Frame *frame;               /* what it should show */
    pixman_region32_t changed;  /* of the frame, not yet seen by the thread */
    bool absolute, end;
    unsigned leds;

    /* The client's thread. */
    rfbScreenInfoPtr screen;
    rfbClientPtr cl;            /* NULL: gone */
    Frame *shown;
    char *title;                /* its window's */
    bool ext_key, ext_pointer, ext_leds, told, shared;
    bool sent_absolute;
    unsigned sent_leds;

    /* The main thread. */
    bool initialized, ending;
    bool exclusive;             /* does not share */
    unsigned buttons;           /* RFB's mask, as last seen */
    int x, y;                   /* -1: not known */
    bool ctrl, alt, shift;
    bool down[QKEY_COUNT];
} VncClient;

typedef enum VncNoteKind { VNC_READY, VNC_GONE, VNC_KEY, VNC_POINTER } VncNoteKind;
typedef struct VncNote {
    VncNoteKind kind;
    VncClient *client;
    bool down;                  /* VNC_KEY */
    uint32_t keysym;
    unsigned number;            /* VNC_KEY: AT set 1, bit 7 for the E0 prefix; 0: not told */
    unsigned buttons;           /* VNC_POINTER */
    int x, y;
    bool relative;              /* VNC_POINTER: x and y are 0x7fff plus a motion */
    bool shared;                /* VNC_READY */
} VncNote;

struct VncServer {
    const VncConfig *config;
    int fds[2];                 /* VNC, websocket; -1: none */
    guint watches[2];
    DisplayListener listener;
    Frame *frame;
    GPtrArray *clients;         /* VncClient *, those whose thread runs */
    unsigned leds;

    GMutex lock;                /* of this group */
    char *password;             /* NULL: none */
    gint64 expires;
    GQueue notes;               /* VncNote * */
};

Frame *frame_ref(Frame *f);
void frame_unref(Frame *f);

/* vnc-web.c; main thread. Takes a browser's connection; what to serve in its place, or -1. */
int web_start(int fd);

/* vnc-client.c; main thread. Takes fd; NULL when it could not be set up. */
VncClient *client_new(VncServer *s, int fd, bool websocket);
VncClient *client_ref(VncClient *c);
void client_unref(VncClient *c);
void client_wake(VncClient *c);
void client_end(VncClient *c);  /* its thread will come to its end soon: VNC_GONE */

/* Any thread. */
void vnc_note(const VncNote *n);
/* Client thread: is this the answer to the challenge (both CHALLENGESIZE)? */
bool vnc_check_password(VncServer *s, const uint8_t *challenge, const uint8_t *response);
/* vnc-login.c; client thread. Up to the client's ClientInit, on c->fd; false: it may not go on. */
bool vnc_log_in(VncClient *c);

/* Main thread. */
bool vnc_shows_text(VncServer *s);      /* a terminal */
void vnc_tell_state(VncServer *s);      /* clients hear of the kind of pointer and the keyboard's lights */

/* vnc-input.c; main thread. */
void vnc_on_key(const VncNote *n);
void vnc_on_pointer(const VncNote *n);
void vnc_release_all(VncClient *c);     /* keys and buttons that it holds down */

/* vnc-keys.c: what this X keysym prints, as UTF-8; false: nothing. */
bool vnc_text_of(uint32_t keysym, char text[8]);
#endif
