/*
 * The VNC server, main thread's half: listening, the picture, what clients ask. See vnc-int.h.
 *
 * Nobody is connected: the console is not watched, and draws nothing.
 */
#include "ui/vnc-int.h"
#include "util/error.h"
#include "util/loop.h"
#include <fcntl.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NOTES_MAX 4096          /* a main thread that is busy for long loses events, but never the end of a client */

/* ---- The picture ---- */

static Frame *frame_new(int width, int height)
{
    Frame *f = g_malloc0(sizeof *f + (size_t)width * height * 4);

    f->refs = 1;
    f->width = width;
    f->height = height;
    return f;
}

Frame *frame_ref(Frame *f)
{
    g_atomic_int_inc(&f->refs);
    return f;
}

void frame_unref(Frame *f)
{
    if (g_atomic_int_dec_and_test(&f->refs))
        g_free(f);
}

static VncServer *server_of(DisplayListener *l)
{
    return l->opaque;
}

static void on_switch(DisplayListener *l, Surface *surface)
{
    int w = MIN(surface_width(surface), VNC_MAX_WIDTH), h = MIN(surface_height(surface), VNC_MAX_HEIGHT);
    VncServer *s = server_of(l);

    if (s->frame->width == w && s->frame->height == h)
        return;
    frame_unref(s->frame);
    s->frame = frame_new(w, h);
    for (unsigned i = 0; i < s->clients->len; i++) {
        VncClient *c = g_ptr_array_index(s->clients, i);

        g_mutex_lock(&c->lock);
        frame_unref(c->frame);
        c->frame = frame_ref(s->frame);
        pixman_region32_fini(&c->changed);
        pixman_region32_init_rect(&c->changed, 0, 0, w, h);
        g_mutex_unlock(&c->lock);
        client_wake(c);
    }
}

/* Copies a row; false: it was the same already. */
static bool copy_row(uint32_t *to, const uint32_t *from, int n)
{
    if (!memcmp(to, from, (size_t)n * 4))
        return false;
    memcpy(to, from, (size_t)n * 4);
    return true;
}

static void mark(VncServer *s, int x, int y, int w, int h)
{
    for (unsigned i = 0; i < s->clients->len; i++) {
        VncClient *c = g_ptr_array_index(s->clients, i);

        g_mutex_lock(&c->lock);
        pixman_region32_union_rect(&c->changed, &c->changed, x, y, w, h);
        if (pixman_region32_n_rects(&c->changed) > 64) {
            pixman_box32_t b = *pixman_region32_extents(&c->changed);

            pixman_region32_fini(&c->changed);
            pixman_region32_init_rect(&c->changed, b.x1, b.y1, b.x2 - b.x1, b.y2 - b.y1);
        }
        g_mutex_unlock(&c->lock);
    }
}

static void on_update(DisplayListener *l, int x, int y, int w, int h)
{
    VncServer *s = server_of(l);
    Frame *f = s->frame;
    int first = -1;
    g_autofree uint32_t *row = NULL;

    w = MIN(x + w, f->width) - x;
    h = MIN(y + h, f->height) - y;
    if (w <= 0 || h <= 0)
        return;
    row = g_malloc((size_t)w * 4);
    for (int i = y; i <= y + h; i++) {
        bool differs = false;

        if (i < y + h) {
            surface_read(console_surface(l->shown), x, i, w, 1, row, w * 4);
            differs = copy_row(f->pixels + (size_t)i * f->width + x, row, w);
        }
        if (differs && first < 0) {
            first = i;
        } else if (!differs && first >= 0) {
            mark(s, x, first, w, i - first);
            first = -1;
        }
    }
}

static void on_refresh(DisplayListener *l)
{
    VncServer *s = server_of(l);

    for (unsigned i = 0; i < s->clients->len; i++) {
        VncClient *c = g_ptr_array_index(s->clients, i);
        bool news;

        g_mutex_lock(&c->lock);
        news = pixman_region32_not_empty(&c->changed);
        g_mutex_unlock(&c->lock);
        if (news)
            client_wake(c);
    }
}

static const DisplayListenerOps listener_ops = {
    .name = "vnc", .refresh = on_refresh, .gfx_switch = on_switch, .gfx_update = on_update,
};

bool vnc_shows_text(VncServer *s)
{
    return s->listener.shown && !console_is_graphic(s->listener.shown);
}

void vnc_tell_state(VncServer *s)
{
    bool absolute = vnc_shows_text(s) || input_is_absolute(s->listener.shown);

    for (unsigned i = 0; i < s->clients->len; i++) {
        VncClient *c = g_ptr_array_index(s->clients, i);

        g_mutex_lock(&c->lock);
        c->absolute = absolute;
        c->leds = s->leds;
        g_mutex_unlock(&c->lock);
        client_wake(c);
    }
}

static void mode_changed(void *opaque)
{
    vnc_tell_state(opaque);
}

static void leds_changed(void *opaque, unsigned leds)
{
    VncServer *s = opaque;

    s->leds = leds;
    vnc_tell_state(s);
}

/* ---- Names ---- */

static void name_of(int fd, bool peer, char **host, char **service, const char **family)
{
    g_autofree char *name = socket_name(fd, peer);
    char *colon = strrchr(name, ':');

    if (socket_is_unix(fd)) {
        *family = "unix";
        *host = g_strdup("");
        *service = g_strdup(name);
        return;
    }
    *family = name[0] == '[' ? "ipv6" : "ipv4";
    *service = g_strdup(colon ? colon + 1 : "");
    *host = name[0] == '[' ? g_strndup(name + 1, MAX(colon - name - 2, 0)) : g_strndup(name, colon ? colon - name : 0);
}

static json_t *server_json(VncServer *s, int which)
{
    g_autofree char *host = NULL, *service = NULL;
    const char *family;

    name_of(s->fds[which], false, &host, &service, &family);
    return json_pack("{s:s,s:s,s:s,s:s,s:b}", "auth", s->config->password ? "vnc" : "none", "family", family, "service", service,
                     "host", host, "websocket", which == 1);
}

static json_t *client_json(VncClient *c)
{
    return json_pack("{s:s,s:s,s:s,s:b}", "family", c->family, "service", c->service, "host", c->host, "websocket", c->websocket);
}

static json_t *server_query(VncServer *s)
{
    json_t *servers = json_array(), *clients = json_array();

    for (int i = 1; i >= 0; i--) {
        if (s->fds[i] >= 0)
            json_array_append_new(servers, server_json(s, i));
    }
    for (unsigned i = 0; i < s->clients->len; i++) {
        VncClient *c = g_ptr_array_index(s->clients, i);

        if (!c->ending)
            json_array_append_new(clients, client_json(c));
    }
    return json_pack("{s:s,s:s,s:o,s:o}", "id", s->config->id, "auth", s->config->password ? "vnc" : "none", "server", servers,
                     "clients", clients);
}

static void event(VncClient *c, const char *name)
{
    if (ui_host()->event)
        ui_host()->event(ui_host()->opaque, name,
                         json_pack("{s:o,s:o}", "server", server_json(c->server, c->websocket), "client", client_json(c)));
}

/* ---- Clients come and go ---- */

static void drop(VncClient *c)
{
    if (!c->ending) {
        c->ending = true;
        client_end(c);
    }
}

/* More than connections= are too many: the first of those who have not logged in goes, and be it the newest. */
static void make_room(VncServer *s)
{
    unsigned n = 0;

    for (unsigned i = 0; i < s->clients->len; i++)
        n += !((VncClient *)g_ptr_array_index(s->clients, i))->ending;
    for (unsigned i = 0; i < s->clients->len && n > s->config->connections; i++) {
        VncClient *c = g_ptr_array_index(s->clients, i);

        if (!c->initialized && !c->ending) {
            drop(c);
            n--;
        }
    }
}

static gboolean on_connect(gint fd, GIOCondition cond, gpointer opaque)
{
    VncServer *s = opaque;
    int sock = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    g_autofree char *host = NULL, *service = NULL;
    unsigned limit = s->config->connections;
    bool web = fd == s->fds[1];
    const char *family;
    VncClient *c;

    if (sock < 0)
        return G_SOURCE_CONTINUE;
    if (s->clients->len >= 2 * limit + 2) {     /* even of those that are going */
        close(sock);
        return G_SOURCE_CONTINUE;
    }
    name_of(sock, true, &host, &service, &family);
    if (web && (sock = web_start(sock)) < 0)
        return G_SOURCE_CONTINUE;
    if (!s->clients->len) {
        listener_pause(&s->listener, false);
        if (s->listener.shown)
            console_invalidate(s->listener.shown);
    }
    c = client_new(s, sock, web);
    if (!c)
        return G_SOURCE_CONTINUE;
    c->host = g_steal_pointer(&host);
    c->service = g_steal_pointer(&service);
    c->family = family;
    g_ptr_array_add(s->clients, c);
    event(c, "VNC_CONNECTED");
    make_room(s);
    vnc_tell_state(s);
    return G_SOURCE_CONTINUE;
}

/* RFC 6143, 7.3.1: a client says whether it shares the screen; share= says who wins. */
static void settle_sharing(VncClient *c, bool shared)
{
    VncServer *s = c->server;

    if (s->config->share == VNC_SHARE_IGNORE)
        return;
    if (s->config->share == VNC_SHARE_FORCE_SHARED) {
        if (!shared)
            drop(c);
        return;
    }
    for (unsigned i = 0; i < s->clients->len; i++) {
        VncClient *other = g_ptr_array_index(s->clients, i);

        if (other != c && !shared)
            drop(other);
        else if (other != c && other->exclusive && !other->ending)
            drop(c);
    }
    c->exclusive = !shared;
}

static void on_client_ready(const VncNote *n)
{
    n->client->initialized = true;
    event(n->client, "VNC_INITIALIZED");
    settle_sharing(n->client, n->shared);
}

static void on_client_gone(VncClient *c)
{
    VncServer *s = c->server;

    vnc_release_all(c);
    event(c, "VNC_DISCONNECTED");
    g_ptr_array_remove(s->clients, c);
    if (!s->clients->len)
        listener_pause(&s->listener, true);
    client_unref(c);
}

static void obey(VncServer *s, const VncNote *n)
{
    if (n->kind == VNC_GONE)
        on_client_gone(n->client);
    else if (n->kind == VNC_READY)
        on_client_ready(n);
    else if (n->kind == VNC_KEY && !n->client->ending)
        vnc_on_key(n);
    else if (!n->client->ending)
        vnc_on_pointer(n);
}

static void obey_notes(void *opaque)
{
    VncServer *s = opaque;

    for (;;) {
        VncNote *n;

        g_mutex_lock(&s->lock);
        n = g_queue_pop_head(&s->notes);
        g_mutex_unlock(&s->lock);
        if (!n)
            return;
        obey(s, n);
        client_unref(n->client);
        g_free(n);
    }
}

void vnc_note(const VncNote *n)
{
    VncServer *s = n->client->server;
    bool first = false;
    VncNote *last;

    g_mutex_lock(&s->lock);
    last = g_queue_peek_tail(&s->notes);
    if (last && n->kind == VNC_POINTER && last->kind == VNC_POINTER && last->client == n->client && !n->relative &&
        last->buttons == n->buttons) {
        last->x = n->x;
        last->y = n->y;
    } else if (s->notes.length < NOTES_MAX || n->kind <= VNC_GONE) {
        first = !s->notes.length;
        client_ref(n->client);
        g_queue_push_tail(&s->notes, g_memdup2(n, sizeof *n));
    }
    g_mutex_unlock(&s->lock);
    if (first)
        main_loop_call(obey_notes, s);
}

/* ---- Passwords ---- */

bool vnc_check_password(VncServer *s, const uint8_t *challenge, const uint8_t *response)
{
    uint8_t expected[CHALLENGESIZE], differs = 0;
    char key[9] = "";
    bool may;

    g_mutex_lock(&s->lock);
    may = s->password && s->expires > time(NULL);
    if (s->password)
        g_strlcpy(key, s->password, sizeof key);
    g_mutex_unlock(&s->lock);
    memcpy(expected, challenge, CHALLENGESIZE);
    rfbEncryptBytes(expected, key);
    for (int i = 0; may && i < CHALLENGESIZE; i++)
        differs |= expected[i] ^ response[i];
    return may && !differs;
}

static void set_password(VncServer *s, const char *password)
{
    g_mutex_lock(&s->lock);
    g_free(s->password);
    s->password = password && *password ? g_strdup(password) : NULL;
    g_mutex_unlock(&s->lock);
}

static void set_expiry(VncServer *s, gint64 when)
{
    g_mutex_lock(&s->lock);
    s->expires = when;
    g_mutex_unlock(&s->lock);
}

/* ---- Life ---- */

static bool listen_at(VncServer *s, int which, const SocketAddress *a, GError **err)
{
    s->fds[which] = socket_listen(a, err);
    if (s->fds[which] < 0)
        return false;
    listen(s->fds[which], 16);          /* viewers open several connections at once */
    fcntl(s->fds[which], F_SETFL, fcntl(s->fds[which], F_GETFL) | O_NONBLOCK);
    s->watches[which] = g_unix_fd_add(s->fds[which], G_IO_IN, on_connect, s);
    return true;
}

static void server_close(VncServer *s)
{
    for (int i = 0; i < 2; i++) {
        if (s->watches[i])
            g_source_remove(s->watches[i]);
        if (s->fds[i] >= 0)
            close(s->fds[i]);
        s->fds[i] = -1;
    }
    while (s->clients->len) {
        VncClient *c = g_ptr_array_index(s->clients, 0);

        drop(c);
        g_ptr_array_remove_index(s->clients, 0);
        g_thread_join(g_steal_pointer(&c->thread));
        client_unref(c);
    }
    input_unwatch_mode(mode_changed, s);
    input_unwatch_leds(leds_changed, s);
    listener_remove(&s->listener);
    if (s->config->address.path)
        unlink(s->config->address.path);
    for (VncNote *n; (n = g_queue_pop_head(&s->notes)); g_free(n))
        client_unref(n->client);
    frame_unref(s->frame);
    g_ptr_array_unref(s->clients);
    set_password(s, NULL);
    /* s itself stays: a call of obey_notes may be under way, and finds no notes. */
}

static VncServer *server_open(const VncConfig *config, GError **err)
{
    Console *con = config->device ? console_by_device(config->device, config->head) : NULL;
    VncServer *s;

    if (config->device && !con) {
        error_set_class(err, ERR_DEVICE_NOT_FOUND, "Device '%s' not found", config->device);
        return NULL;
    }
    s = g_new0(VncServer, 1);
    s->config = config;
    s->fds[0] = s->fds[1] = -1;
    s->expires = G_MAXINT64;
    s->clients = g_ptr_array_new();
    s->frame = frame_new(640, 480);
    g_mutex_init(&s->lock);
    s->listener = (DisplayListener){ .ops = &listener_ops, .con = con, .opaque = s };
    listener_add(&s->listener);
    listener_pause(&s->listener, true);
    input_watch_mode(mode_changed, s);
    input_watch_leds(leds_changed, s);
    if (!listen_at(s, 0, &config->address, err) || (config->websocket && !listen_at(s, 1, &config->web, err))) {
        server_close(s);
        return NULL;
    }
    if (config->address.to) {
        g_autofree char *name = socket_name(s->fds[0], false);

        g_print("VNC server running on %s\n", name);
    }
    return s;
}

static const VncOps vnc_ops = {
    .open = server_open, .close = server_close, .query = server_query, .set_password = set_password, .set_expiry = set_expiry,
};

const DisplayModule vmemu_display_module = { .name = "vnc", .vnc = &vnc_ops };
