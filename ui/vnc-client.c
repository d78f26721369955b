/* A VNC client's own thread: libvncserver, and the QEMU extensions of the protocol. See vnc-int.h. */
#include "ui/vnc-int.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define STALLED_MS 20000        /* a client that takes nothing for so long is dropped */

enum { ENC_POINTER_TYPE = -257, ENC_EXT_KEY = -258, ENC_LEDS = -261 };

static VncClient *client_of(rfbClientPtr cl)
{
    return cl->screen->screenData;
}

/* ---- Extensions ---- */

/* An update of one pseudo-rectangle. */
static void send_pseudo(VncClient *c, int32_t encoding, uint16_t x, uint16_t w, uint16_t h, const uint8_t *payload, unsigned n)
{
    uint8_t m[17] = { rfbFramebufferUpdate, 0, 0, 1, x >> 8, x, 0, 0, w >> 8, w, h >> 8, h };

    g_assert(n <= 1);
    for (int i = 0; i < 4; i++)
        m[12 + i] = (uint32_t)encoding >> (24 - 8 * i);
    if (n)
        m[16] = *payload;
    if (rfbWriteExact(c->cl, (char *)m, 16 + n) < 0)
        rfbCloseClient(c->cl);
}

static void send_pointer_type(VncClient *c)
{
    g_mutex_lock(&c->lock);
    c->sent_absolute = c->absolute;
    g_mutex_unlock(&c->lock);
    send_pseudo(c, ENC_POINTER_TYPE, c->sent_absolute, c->shown->width, c->shown->height, NULL, 0);
}

static void send_leds(VncClient *c)
{
    uint8_t leds;

    g_mutex_lock(&c->lock);
    leds = c->sent_leds = c->leds;
    g_mutex_unlock(&c->lock);
    send_pseudo(c, ENC_LEDS, 0, 1, 1, &leds, 1);
}

static rfbBool enable(rfbClientPtr cl, void **data, int encoding)
{
    VncClient *c = client_of(cl);

    switch (encoding) {
    case ENC_EXT_KEY:
        c->ext_key = true;
        send_pseudo(c, ENC_EXT_KEY, 0, c->shown->width, c->shown->height, NULL, 0);
        return TRUE;
    case ENC_POINTER_TYPE:
        c->ext_pointer = true;
        send_pointer_type(c);
        return TRUE;
    case ENC_LEDS:
        c->ext_leds = true;
        send_leds(c);
        return TRUE;
    default:
        return FALSE;
    }
}

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
}

/* Message 255: 0 is a key event with its AT code; there are others (sound), which nobody may send unasked. */
static rfbBool message(rfbClientPtr cl, void *data, const rfbClientToServerMsg *msg)
{
    VncClient *c = client_of(cl);
    uint8_t m[11];
    uint32_t code;

    if (msg->type != 255 || !c->ext_key)
        return FALSE;
    if (rfbReadExact(cl, (char *)m, sizeof m) <= 0 || m[0] != 0) {
        rfbCloseClient(cl);
        return TRUE;
    }
    code = be32(m + 7);
    code = (code & 0xff00) == 0xe000 ? (code & 0x7f) | 0x80 : code & 0xff;
    vnc_note(&(VncNote){ .kind = VNC_KEY, .client = c, .down = m[1] || m[2], .keysym = be32(m + 3), .number = code });
    return TRUE;
}

static int pseudo_encodings[] = { ENC_POINTER_TYPE, ENC_EXT_KEY, ENC_LEDS, 0 };
static rfbProtocolExtension extension = {
    .pseudoEncodings = pseudo_encodings, .enablePseudoEncoding = enable, .handleMessage = message,
};

/* ---- What libvncserver calls ---- */

static void on_key(rfbBool down, rfbKeySym keysym, rfbClientPtr cl)
{
    vnc_note(&(VncNote){ .kind = VNC_KEY, .client = client_of(cl), .down = down, .keysym = keysym });
}

/* A client that has the screen scaled down (SetScale) gets its places scaled up, however far out they are. */
static void on_pointer(int buttons, int x, int y, rfbClientPtr cl)
{
    VncClient *c = client_of(cl);

    vnc_note(&(VncNote){ .kind = VNC_POINTER, .client = c, .buttons = buttons, .x = CLAMP(x, 0, UINT16_MAX), .y = CLAMP(y, 0, UINT16_MAX),
                         .relative = c->ext_pointer && !c->sent_absolute });
}

/* Before each update. No device defines a pointer's shape: the viewer keeps its own, rather than an empty one. */
static void before_update(rfbClientPtr cl)
{
    cl->cursorWasChanged = FALSE;
}

/* SetDesktopSize: the guest chooses its mode; QEMU's VGA answers the same. */
static int on_set_size(int width, int height, int n, struct rfbExtDesktopScreen *screens, rfbClientPtr cl)
{
    return rfbExtDesktopSize_InvalidScreenLayout;
}

static void on_gone(rfbClientPtr cl)
{
    client_of(cl)->cl = NULL;
}

static enum rfbNewClientAction on_new(rfbClientPtr cl)
{
    cl->clientGoneHook = on_gone;
    return RFB_CLIENT_ACCEPT;
}

static void quiet(const char *format, ...)
{
}

/* ---- The thread ---- */

/* Pixels as a Frame has them, named as clients name them: what they ask for need not be translated then. */
static void set_format(rfbScreenInfoPtr s)
{
    s->serverFormat.depth = 24;
    s->serverFormat.redShift = 16;
    s->serverFormat.greenShift = 8;
    s->serverFormat.blueShift = 0;
}

static rfbScreenInfoPtr screen_new(VncClient *c)
{
    rfbScreenInfoPtr s = rfbGetScreen(NULL, NULL, c->shown->width, c->shown->height, 8, 3, 4);
    const VncConfig *config = c->server->config;

    if (!s)
        return NULL;
    s->screenData = c;
    s->frameBuffer = (char *)c->shown->pixels;
    set_format(s);
    s->cursor = NULL;
    c->title = config->vm_name ? g_strdup_printf("vmemu (%s)", config->vm_name) : g_strdup("vmemu");
    s->desktopName = c->title;
    s->deferUpdateTime = s->deferPtrUpdateTime = 0;
    s->maxClientWait = STALLED_MS;
    s->alwaysShared = TRUE;             /* the server sees to it: each client has its own screen */
    s->kbdAddEvent = on_key;
    s->ptrAddEvent = on_pointer;
    s->newClientHook = on_new;
    s->displayHook = before_update;
    s->setDesktopSizeHook = on_set_size;
    s->ignoreSIGPIPE = FALSE;           /* the program does */
    return s;
}

/* Takes over what the main thread has told; false: the end. */
static bool take_news(VncClient *c)
{
    pixman_region32_t changed;
    const pixman_box32_t *boxes;
    Frame *frame = NULL, *old;
    bool pointer, leds, end;
    uint64_t count;
    int n;

    if (read(c->wake, &count, sizeof count) < 0 && errno != EAGAIN)
        return false;
    pixman_region32_init(&changed);
    g_mutex_lock(&c->lock);
    end = c->end;
    if (c->frame != c->shown)
        frame = frame_ref(c->frame);
    pixman_region32_copy(&changed, &c->changed);
    pixman_region32_fini(&c->changed);
    pixman_region32_init(&c->changed);
    pointer = c->absolute != c->sent_absolute;
    leds = c->leds != c->sent_leds;
    g_mutex_unlock(&c->lock);

    if (frame) {
        old = c->shown;
        c->shown = frame;
        rfbNewFramebuffer(c->screen, (char *)frame->pixels, frame->width, frame->height, 8, 3, 4);
        set_format(c->screen);
        if (c->cl)
            rfbSetTranslateFunction(c->cl);
        frame_unref(old);
    }
    boxes = pixman_region32_rectangles(&changed, &n);
    for (int i = 0; i < n; i++)
        rfbMarkRectAsModified(c->screen, boxes[i].x1, boxes[i].y1, boxes[i].x2, boxes[i].y2);
    pixman_region32_fini(&changed);
    if (c->told && pointer && c->ext_pointer && c->cl)
        send_pointer_type(c);
    if (c->told && leds && c->ext_leds && c->cl)
        send_leds(c);
    return !end;
}

/* ClientInit's one byte, before libvncserver takes it: does the client share the screen with others? */
static void look_at_client_init(VncClient *c)
{
    uint8_t byte;

    if (c->cl->state == RFB_INITIALISATION && recv(c->cl->sock, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1)
        c->shared = byte != 0;
}

static void serve(VncClient *c)
{
    while (c->cl) {
        struct pollfd p[2] = { { .fd = c->cl->sock, .events = POLLIN }, { .fd = c->wake, .events = POLLIN } };

        if (poll(p, 2, -1) < 0 && errno != EINTR)
            break;
        if (!take_news(c))
            break;
        if (!c->cl)
            break;
        look_at_client_init(c);
        rfbProcessEvents(c->screen, 0);
        if (c->cl && c->cl->state == RFB_NORMAL && !c->told) {
            c->told = true;
            vnc_note(&(VncNote){ .kind = VNC_READY, .client = c, .shared = c->shared });
        }
    }
}

/*
 * libvncserver looks for 100 ms whether a new client is a browser, and would serve it, badly (see vnc-web.c). So it first gets
 * a socket pair on which "RFB " waits, and the client, which has logged in meanwhile, in its place when it has looked.
 */
static bool hand_over(VncClient *c)
{
    int pair[2], no_delay = 1;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return false;
    if (pair[0] >= FD_SETSIZE || write(pair[1], "RFB ", 4) != 4)
        close(pair[0]);
    else
        c->cl = rfbNewClient(c->screen, pair[0]);       /* closes it when it fails */
    close(pair[1]);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &no_delay, sizeof no_delay);
    if (!c->cl || !rfbSetNonBlocking(c->fd) || dup3(c->fd, c->cl->sock, O_CLOEXEC) < 0)
        return false;
    c->cl->protocolMajorVersion = 3;
    c->cl->protocolMinorVersion = 8;
    c->cl->state = RFB_INITIALISATION;
    return true;
}

static gpointer client_run(gpointer opaque)
{
    VncClient *c = opaque;
    bool in = vnc_log_in(c);

    g_mutex_lock(&c->lock);
    c->shown = frame_ref(c->frame);
    g_mutex_unlock(&c->lock);
    c->screen = in ? screen_new(c) : NULL;
    in = c->screen && hand_over(c);
    close(c->fd);
    if (in)
        serve(c);
    if (c->cl) {
        rfbCloseClient(c->cl);
        rfbClientConnectionGone(c->cl);
    }
    if (c->screen)
        rfbScreenCleanup(c->screen);
    frame_unref(c->shown);
    vnc_note(&(VncNote){ .kind = VNC_GONE, .client = c });
    client_unref(c);
    return NULL;
}

/* ---- The main thread ---- */

static void library_init(void)
{
    static gsize once;

    if (g_once_init_enter(&once)) {
        rfbLog = rfbErr = quiet;
        rfbRegisterProtocolExtension(&extension);
        g_once_init_leave(&once, 1);
    }
}

VncClient *client_ref(VncClient *c)
{
    g_atomic_int_inc(&c->refs);
    return c;
}

void client_unref(VncClient *c)
{
    if (!g_atomic_int_dec_and_test(&c->refs))
        return;
    if (c->wake >= 0)
        close(c->wake);
    if (c->control >= 0)
        close(c->control);
    pixman_region32_fini(&c->changed);
    g_clear_pointer(&c->frame, frame_unref);
    g_clear_pointer(&c->thread, g_thread_unref);
    g_mutex_clear(&c->lock);
    g_free(c->title);
    g_free(c->host);
    g_free(c->service);
    g_free(c);
}

VncClient *client_new(VncServer *s, int fd, bool websocket)
{
    VncClient *c = g_new0(VncClient, 1);
    sigset_t all, old;

    library_init();
    g_mutex_init(&c->lock);
    pixman_region32_init(&c->changed);
    c->refs = 1;
    c->server = s;
    c->fd = fd;
    c->websocket = websocket;
    c->shared = true;
    c->x = c->y = -1;
    c->frame = frame_ref(s->frame);
    c->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    c->control = dup(fd);
    /* libvncserver keeps its sockets in an fd_set. */
    if (fd >= FD_SETSIZE || c->wake < 0 || c->control < 0) {
        close(fd);
        client_unref(c);
        return NULL;
    }
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    c->thread = g_thread_try_new("vnc", client_run, client_ref(c), NULL);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (!c->thread) {
        close(fd);
        client_unref(c);
        client_unref(c);
        return NULL;
    }
    return c;
}

void client_wake(VncClient *c)
{
    uint64_t one = 1;
    G_GNUC_UNUSED ssize_t n = write(c->wake, &one, sizeof one);
}

void client_end(VncClient *c)
{
    g_mutex_lock(&c->lock);
    c->end = true;
    g_mutex_unlock(&c->lock);
    shutdown(c->control, SHUT_RDWR);
    client_wake(c);
}
