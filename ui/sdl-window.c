/*
 * The SDL window, its own thread's half: window, scaling, full screen, grab, keys. See sdl-int.h.
 *
 * With Ctrl+Alt (or what grab-mod= says): F full screen, G grab, U original size, + and - zoom, 1..9 consoles.
 * Drawn with SDL's window surface: what changed is copied, or stretched with the picture's proportions kept.
 */
#include "ui/sdl-int.h"
#include "util/error.h"
#include <SDL.h>

typedef struct SdlWindow {
    DisplayOptions options;
    char *name;
    GThread *thread;
    SDL_Window *window;
    Uint32 wake_event;

    /* How it started. */
    GCond started;
    bool is_started;
    char *failure;

    int width, height;          /* of the picture */
    SDL_Rect shown;             /* where it is in the window */
    SDL_Surface *picture;       /* wraps SdlShared's pixels while its lock is held */
    bool scaled;                /* the user chose the window's size */
    bool full_screen, grabbed, running, absolute, text, visible;
    bool sent[QKEY_COUNT];      /* keys that the guest knows to be down */
} SdlWindow;

static SdlWindow win;

/* ---- Keys ---- */

static const struct { SDL_Scancode scancode; QKeyCode key; } more_keys[] = {
    { SDL_SCANCODE_NONUSHASH, QKEY_BACKSLASH }, { SDL_SCANCODE_AUDIONEXT, QKEY_AUDIONEXT },
    { SDL_SCANCODE_AUDIOPREV, QKEY_AUDIOPREV }, { SDL_SCANCODE_AUDIOSTOP, QKEY_AUDIOSTOP },
    { SDL_SCANCODE_AUDIOPLAY, QKEY_AUDIOPLAY }, { SDL_SCANCODE_AUDIOMUTE, QKEY_AUDIOMUTE },
    { SDL_SCANCODE_MEDIASELECT, QKEY_MEDIASELECT }, { SDL_SCANCODE_MAIL, QKEY_MAIL },
    { SDL_SCANCODE_CALCULATOR, QKEY_CALCULATOR }, { SDL_SCANCODE_COMPUTER, QKEY_COMPUTER },
    { SDL_SCANCODE_AC_HOME, QKEY_AC_HOME }, { SDL_SCANCODE_AC_BACK, QKEY_AC_BACK },
    { SDL_SCANCODE_AC_FORWARD, QKEY_AC_FORWARD }, { SDL_SCANCODE_AC_REFRESH, QKEY_AC_REFRESH },
    { SDL_SCANCODE_AC_BOOKMARKS, QKEY_AC_BOOKMARKS }, { SDL_SCANCODE_SLEEP, QKEY_SLEEP },
};

static QKeyCode key_of(SDL_Scancode sc)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(more_keys); i++) {
        if (more_keys[i].scancode == sc) {
            return more_keys[i].key;
        }
    }
    return sc < 256 ? key_from_hid(sc) : QKEY_UNMAPPED;
}

static bool is_hot(Uint16 mod)
{
    switch (win.options.grab_mod) {
    case GRAB_RCTRL:
        return mod & KMOD_RCTRL;
    case GRAB_SHIFT_CTRL_ALT:
        return mod & KMOD_LSHIFT && mod & KMOD_LCTRL && mod & KMOD_LALT;
    default:
        return mod & KMOD_LCTRL && mod & KMOD_LALT;
    }
}

/* ---- Window ---- */

static void update_title(void)
{
    static const char *const keys[] = { "Ctrl+Alt+G", "Ctrl+Alt+Shift+G", "Right-Ctrl+G" };
    g_autoptr(GString) t = g_string_new("vmemu");

    if (win.name) {
        g_string_append_printf(t, " (%s)", win.name);
    }
    if (!win.running) {
        g_string_append(t, " [Paused]");
    } else if (win.grabbed) {
        g_string_append_printf(t, " - Press %s to exit grab", keys[win.options.grab_mod]);
    }
    SDL_SetWindowTitle(win.window, t->str);
}

static void update_pointer(void)
{
    bool hide = win.grabbed || (win.absolute && !win.options.show_cursor);

    SDL_SetRelativeMouseMode(win.grabbed && !win.absolute);
    SDL_ShowCursor(hide ? SDL_DISABLE : SDL_ENABLE);
}

static void grab(bool on)
{
    win.grabbed = on;
    SDL_SetWindowGrab(win.window, on);
    update_pointer();
    update_title();
}

/* Where the picture goes: as large as it can be in its proportions, in the middle. */
static void place_picture(int w, int h)
{
    SDL_Rect r = { 0, 0, w, h };

    if ((int64_t)w * win.height > (int64_t)h * win.width) {
        r.w = (int64_t)h * win.width / MAX(win.height, 1);
    } else {
        r.h = (int64_t)w * win.height / MAX(win.width, 1);
    }
    r.w = MAX(r.w, 1);
    r.h = MAX(r.h, 1);
    r.x = (w - r.w) / 2;
    r.y = (h - r.h) / 2;
    win.shown = r;
}

static void draw_all(SDL_Surface *screen)
{
    SDL_FillRect(screen, NULL, 0);
    if (win.shown.w == win.width && win.shown.h == win.height) {
        SDL_BlitSurface(win.picture, NULL, screen, &win.shown);
    } else if (win.picture->format->format != screen->format->format ||
               SDL_SoftStretchLinear(win.picture, NULL, screen, &win.shown)) {
        SDL_BlitScaled(win.picture, NULL, screen, &win.shown);
    }
    SDL_UpdateWindowSurface(win.window);
}

static void draw_changed(SDL_Surface *screen, const pixman_box32_t *c)
{
    SDL_Rect from = { c->x1, c->y1, c->x2 - c->x1, c->y2 - c->y1 };
    SDL_Rect to = { win.shown.x + from.x, win.shown.y + from.y, from.w, from.h };

    SDL_BlitSurface(win.picture, &from, screen, &to);
    SDL_UpdateWindowSurfaceRects(win.window, &to, 1);
}

/* Under the lock of SdlShared. */
static void draw(bool all)
{
    SdlShared *sh = &sdl_shared;
    SDL_Surface *screen = SDL_GetWindowSurface(win.window);

    if (!screen || !sh->pixels || win.width != sh->width || win.height != sh->height) {
        return;
    }
    place_picture(screen->w, screen->h);
    win.picture = SDL_CreateRGBSurfaceWithFormatFrom(sh->pixels, sh->width, sh->height, 32, sh->width * 4,
                                                     SDL_PIXELFORMAT_RGB888);
    if (!win.picture) {
        return;
    }
    if (all || win.shown.w != win.width || win.shown.h != win.height) {
        draw_all(screen);
    } else if (sh->changed.x1 < sh->changed.x2) {
        draw_changed(screen, &sh->changed);
    }
    sh->changed.x1 = sh->changed.x2 = 0;
    SDL_FreeSurface(win.picture);
    win.picture = NULL;
}

static void redraw(void)
{
    g_mutex_lock(&sdl_shared.lock);
    draw(true);
    g_mutex_unlock(&sdl_shared.lock);
}

static void fit_window(void)
{
    if (!win.full_screen && !win.scaled) {
        SDL_SetWindowSize(win.window, win.width, win.height);
    }
}

static void set_full_screen(bool on)
{
    win.full_screen = on;
    SDL_SetWindowFullscreen(win.window, on ? SDL_WINDOW_FULLSCREEN_DESKTOP : 0);
    grab(on);
    fit_window();
    redraw();
}

static void zoom(int step)
{
    int w, h;

    if (win.full_screen) {
        return;
    }
    SDL_GetWindowSize(win.window, &w, &h);
    w = CLAMP(w + step * win.width / 4, MAX(win.width / 4, 160), 8192);
    h = (int64_t)w * win.height / MAX(win.width, 1);
    win.scaled = true;
    SDL_SetWindowSize(win.window, w, h);
    redraw();
}

/* ---- Events ---- */

static bool hot_key(SDL_Scancode sc)
{
    switch (sc) {
    case SDL_SCANCODE_F:
        set_full_screen(!win.full_screen);
        return true;
    case SDL_SCANCODE_G:
        grab(!win.grabbed);
        return true;
    case SDL_SCANCODE_U:
    case SDL_SCANCODE_0:
        win.scaled = false;
        fit_window();
        redraw();
        return true;
    case SDL_SCANCODE_EQUALS:
    case SDL_SCANCODE_KP_PLUS:
        zoom(1);
        return true;
    case SDL_SCANCODE_MINUS:
    case SDL_SCANCODE_KP_MINUS:
        zoom(-1);
        return true;
    default:
        if (sc >= SDL_SCANCODE_1 && sc <= SDL_SCANCODE_9) {
            sdl_note(&(Note){ .kind = NOTE_CONSOLE, .a = sc - SDL_SCANCODE_1 });
            return true;
        }
        return false;
    }
}

static void release_keys(void)
{
    memset(win.sent, 0, sizeof win.sent);
    sdl_note(&(Note){ .kind = NOTE_RELEASE_KEYS });
}

static void on_key(const SDL_KeyboardEvent *e)
{
    bool down = e->type == SDL_KEYDOWN;
    QKeyCode key = key_of(e->keysym.scancode);

    if (down && is_hot(e->keysym.mod) && !e->repeat && hot_key(e->keysym.scancode)) {
        release_keys();
    } else if (key && (down || win.sent[key])) {
        win.sent[key] = down;
        sdl_note(&(Note){ .kind = NOTE_KEY, .a = key, .b = down, .ctrl = e->keysym.mod & KMOD_CTRL });
    }
}

static void on_text(const SDL_TextInputEvent *e)
{
    Note n = { .kind = NOTE_TEXT };

    if (!is_hot(SDL_GetModState())) {
        g_strlcpy(n.text, e->text, sizeof n.text);
        sdl_note(&n);
    }
}

static void note_position(int x, int y)
{
    sdl_note(&(Note){ .kind = NOTE_POSITION, .a = x - win.shown.x, .b = y - win.shown.y, .w = win.shown.w, .h = win.shown.h });
}

static void on_motion(const SDL_MouseMotionEvent *e)
{
    if (win.absolute) {
        note_position(e->x, e->y);
    } else if (win.grabbed) {
        sdl_note(&(Note){ .kind = NOTE_MOTION, .a = e->xrel, .b = e->yrel });
    }
}

static void on_button(const SDL_MouseButtonEvent *e)
{
    static const int buttons[] = {
        [SDL_BUTTON_LEFT] = INPUT_BUTTON_LEFT, [SDL_BUTTON_MIDDLE] = INPUT_BUTTON_MIDDLE,
        [SDL_BUTTON_RIGHT] = INPUT_BUTTON_RIGHT, [SDL_BUTTON_X1] = INPUT_BUTTON_SIDE, [SDL_BUTTON_X2] = INPUT_BUTTON_EXTRA,
    };
    bool down = e->type == SDL_MOUSEBUTTONDOWN;

    if (e->button < SDL_BUTTON_LEFT || e->button > SDL_BUTTON_X2) {
        return;
    }
    if (!win.absolute && !win.grabbed) {
        if (!down && e->button == SDL_BUTTON_LEFT) {
            grab(true);
        }
        return;
    }
    if (win.absolute) {
        note_position(e->x, e->y);
    }
    sdl_note(&(Note){ .kind = NOTE_BUTTON, .a = buttons[e->button], .b = down });
}

static void set_visible(bool on)
{
    if (win.visible != on) {
        win.visible = on;
        sdl_note(&(Note){ .kind = NOTE_VISIBLE, .a = on });
    }
}

static void on_window(const SDL_WindowEvent *e)
{
    switch (e->event) {
    case SDL_WINDOWEVENT_RESIZED:
        /* By the user: fit_window's sizes are the picture's. */
        win.scaled = !win.full_screen && (win.scaled || e->data1 != win.width || e->data2 != win.height);
        redraw();
        break;
    case SDL_WINDOWEVENT_SIZE_CHANGED:
    case SDL_WINDOWEVENT_EXPOSED:
        redraw();
        break;
    case SDL_WINDOWEVENT_FOCUS_LOST:
        release_keys();
        if (win.grabbed && !win.full_screen) {
            grab(false);
        }
        break;
    case SDL_WINDOWEVENT_MINIMIZED:
    case SDL_WINDOWEVENT_HIDDEN:
        set_visible(false);
        break;
    case SDL_WINDOWEVENT_RESTORED:
    case SDL_WINDOWEVENT_SHOWN:
        set_visible(true);
        break;
    case SDL_WINDOWEVENT_CLOSE:
        if (win.options.window_close) {
            sdl_note(&(Note){ .kind = NOTE_CLOSE });
        }
        break;
    }
}

/* The main thread has news; false: the end. */
static bool on_wake(void)
{
    SdlShared *sh = &sdl_shared;
    bool pointer, title, resized, text;

    g_mutex_lock(&sh->lock);
    sh->woken = false;
    if (sh->quit) {
        g_mutex_unlock(&sh->lock);
        return false;
    }
    pointer = win.absolute != sh->absolute;
    title = win.running != sh->running;
    resized = sh->resized;
    text = win.text != sh->text;
    win.text = sh->text;
    win.absolute = sh->absolute;
    win.running = sh->running;
    win.width = sh->width;
    win.height = sh->height;
    sh->resized = false;
    if (!resized) {
        draw(false);
    }
    g_mutex_unlock(&sh->lock);
    if (resized) {
        fit_window();
        redraw();
    }
    if (pointer) {
        if (win.absolute && win.grabbed && !win.full_screen) {
            grab(false);
        }
        update_pointer();
    }
    if (text && win.text) {
        SDL_StartTextInput();
    } else if (text) {
        SDL_StopTextInput();
    }
    if (title) {
        update_title();
    }
    return true;
}

static bool on_event(const SDL_Event *e)
{
    if (e->type == win.wake_event) {
        return on_wake();
    }
    switch (e->type) {
    case SDL_KEYDOWN:
    case SDL_KEYUP:
        on_key(&e->key);
        break;
    case SDL_TEXTINPUT:
        on_text(&e->text);
        break;
    case SDL_MOUSEMOTION:
        on_motion(&e->motion);
        break;
    case SDL_MOUSEBUTTONDOWN:
    case SDL_MOUSEBUTTONUP:
        on_button(&e->button);
        break;
    case SDL_MOUSEWHEEL:
        if (win.absolute || win.grabbed) {
            sdl_note(&(Note){ .kind = NOTE_WHEEL, .a = e->wheel.y, .b = e->wheel.x });
        }
        break;
    case SDL_WINDOWEVENT:
        on_window(&e->window);
        break;
    }
    return true;
}

/* ---- Thread ---- */

/* SDL falls back to drivers that nobody sees. */
static bool is_visible_driver(void)
{
    const char *name = SDL_GetCurrentVideoDriver();

    return g_getenv("SDL_VIDEODRIVER") || !name || (strcmp(name, "offscreen") && strcmp(name, "dummy") && strcmp(name, "evdev"));
}

static bool window_open(void)
{
    Uint32 flags = SDL_WINDOW_RESIZABLE | SDL_WINDOW_ALLOW_HIGHDPI;

    SDL_SetHint(SDL_HINT_NO_SIGNAL_HANDLERS, "1");
    SDL_SetHint(SDL_HINT_VIDEO_ALLOW_SCREENSAVER, "1");
    SDL_SetHint(SDL_HINT_VIDEO_X11_NET_WM_BYPASS_COMPOSITOR, "0");
    SDL_SetHint(SDL_HINT_GRAB_KEYBOARD, "1");
    SDL_SetHint(SDL_HINT_FRAMEBUFFER_ACCELERATION, "0");    /* no OpenGL libraries for copying pixels */
    if (SDL_Init(SDL_INIT_VIDEO)) {
        return false;
    }
    if (!is_visible_driver()) {
        SDL_Quit();
        SDL_SetError("no screen to show a window on: is DISPLAY or WAYLAND_DISPLAY set?");
        return false;
    }
    win.wake_event = SDL_RegisterEvents(1);
    win.width = 640;
    win.height = 480;
    win.running = win.visible = true;
    win.window = SDL_CreateWindow("vmemu", SDL_WINDOWPOS_UNDEFINED, SDL_WINDOWPOS_UNDEFINED, win.width, win.height, flags);
    if (!win.window) {
        SDL_Quit();
        return false;
    }
    SDL_StopTextInput();
    update_title();
    if (win.options.full_screen) {
        set_full_screen(true);
    }
    return true;
}

static void report_start(const char *failure)
{
    g_mutex_lock(&sdl_shared.lock);
    win.failure = g_strdup(failure);
    win.is_started = true;
    g_cond_signal(&win.started);
    g_mutex_unlock(&sdl_shared.lock);
}

static gpointer window_thread(gpointer unused)
{
    SDL_Event e;
    bool go_on = true;

    if (!window_open()) {
        report_start(SDL_GetError());
        return NULL;
    }
    report_start(NULL);
    while (go_on && SDL_WaitEvent(&e)) {
        go_on = on_event(&e);
    }
    SDL_DestroyWindow(win.window);
    SDL_Quit();
    return NULL;
}

void window_wake(void)
{
    SDL_Event e = { .type = win.wake_event };
    bool push;

    g_mutex_lock(&sdl_shared.lock);
    push = !sdl_shared.woken;
    sdl_shared.woken = true;
    g_mutex_unlock(&sdl_shared.lock);
    if (push && SDL_PushEvent(&e) < 1) {
        g_mutex_lock(&sdl_shared.lock);
        sdl_shared.woken = false;
        g_mutex_unlock(&sdl_shared.lock);
    }
}

bool window_start(const DisplayOptions *o, GError **err)
{
    win.options = *o;
    win.name = g_strdup(o->vm_name);
    sdl_shared.running = true;
    win.thread = g_thread_new("SDL", window_thread, NULL);
    g_mutex_lock(&sdl_shared.lock);
    while (!win.is_started) {
        g_cond_wait(&win.started, &sdl_shared.lock);
    }
    g_mutex_unlock(&sdl_shared.lock);
    if (win.failure) {
        g_thread_join(win.thread);
        return error_set(err, "Could not initialize SDL(%s)", win.failure);
    }
    return true;
}

void window_stop(void)
{
    g_mutex_lock(&sdl_shared.lock);
    sdl_shared.quit = true;
    sdl_shared.woken = false;
    g_mutex_unlock(&sdl_shared.lock);
    window_wake();
    g_thread_join(win.thread);
    g_clear_pointer(&win.name, g_free);
}
