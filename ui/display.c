/*
 * -display: options, and the modules that show consoles.
 */
#include "ui/display.h"
#include "ui/remote.h"
#include "util/error.h"
#include "util/module.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static UiHost host;
static const DisplayModule *active;

void ui_set_host(const UiHost *h) { host = *h; }
const UiHost *ui_host(void) { return &host; }

void ui_run_state_changed(bool running)
{
    if (active && active->run_state) {
        active->run_state(running);
    }
}

/* ---- Options ---- */

void display_options_init(DisplayOptions *o)
{
    *o = (DisplayOptions){ .window_close = true };
}

static bool parse_bool(const char *key, const char *value, bool *b, GError **err)
{
    if (!strcmp(value, "on") || !strcmp(value, "yes") || !strcmp(value, "true") || !strcmp(value, "y")) {
        *b = true;
    } else if (!strcmp(value, "off") || !strcmp(value, "no") || !strcmp(value, "false") || !strcmp(value, "n")) {
        *b = false;
    } else {
        return error_set(err, "Parameter '%s' expects 'on' or 'off'", key);
    }
    return true;
}

static bool parse_grab(const char *value, GrabMod *g, GError **err)
{
    static const char *const names[] = { "lctrl-lalt", "lshift-lctrl-lalt", "rctrl" };

    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        if (!strcmp(value, names[i])) {
            *g = i;
            return true;
        }
    }
    return error_set(err, "Parameter 'grab-mod' does not accept value '%s'", value);
}

static bool parse_gl(DisplayType t, const char *value, GError **err)
{
    static const char *const modes[] = { "on", "core", "es" };

    if (!strcmp(value, "off")) {
        return true;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(modes); i++) {
        if (!strcmp(value, modes[i])) {
            return error_set(err, t == DISPLAY_SDL ? "OpenGL is not supported: use gl=off"
                                                   : "OpenGL is not supported by the display");
        }
    }
    return error_set(err, "Parameter 'gl' does not accept value '%s'", value);
}

static bool parse_option(DisplayOptions *o, DisplayType t, const char *key, const char *value, GError **err)
{
    if (!strcmp(key, "full-screen")) {
        return parse_bool(key, value, &o->full_screen, err);
    }
    if (!strcmp(key, "window-close")) {
        return parse_bool(key, value, &o->window_close, err);
    }
    if (!strcmp(key, "show-cursor")) {
        return parse_bool(key, value, &o->show_cursor, err);
    }
    if (!strcmp(key, "gl")) {
        return parse_gl(t, value, err);
    }
    if (!strcmp(key, "charset") && t == DISPLAY_CURSES) {
        g_free(o->charset);
        o->charset = g_strdup(value);
        return true;
    }
    if (!strcmp(key, "grab-mod") && t == DISPLAY_SDL) {
        return parse_grab(value, &o->grab_mod, err);
    }
    return error_set(err, "Parameter '%s' is unexpected", key);
}

static bool parse_type(const char *name, DisplayType *t, GError **err)
{
    static const char *const others[] = { "gtk", "egl-headless", "cocoa", "spice-app", "dbus", NULL };

    if (!strcmp(name, "none")) {
        *t = DISPLAY_NONE;
    } else if (!strcmp(name, "sdl")) {
        *t = DISPLAY_SDL;
    } else if (!strcmp(name, "curses")) {
        *t = DISPLAY_CURSES;
    } else if (g_strv_contains(others, name)) {
        return error_set(err, "Display '%s' is not available", name);
    } else {
        return error_set(err, "Parameter 'type' does not accept value '%s'", name);
    }
    return true;
}

bool display_parse(DisplayOptions *o, const char *optstr, bool *exit, GError **err)
{
    g_auto(GStrv) parts = g_strsplit(optstr, ",", -1);
    const char *name = parts[0] ? parts[0] : "";
    DisplayType t = DISPLAY_NONE;

    if (!strcmp(name, "help") || !strcmp(name, "?")) {
        printf("Available display backend types:\nnone\n");
#ifdef CONFIG_SDL
        printf("sdl\n");
#endif
#ifdef CONFIG_CURSES
        printf("curses\n");
#endif
        *exit = true;
        return true;
    }
    if (g_str_has_prefix(optstr, "vnc=")) {
        o->type = DISPLAY_VNC;
        return remote_add(optstr + 4, err);
    }
    name = g_str_has_prefix(name, "type=") ? name + 5 : name;
    if (!*name) {
        return error_set(err, "Parameter 'type' is missing");
    }
    if (!parse_type(name, &t, err)) {
        return false;
    }
    for (char **p = parts + 1; *p; p++) {
        char *value = strchr(*p, '=');

        if (value) {
            *value++ = 0;
        }
        if (!parse_option(o, t, *p, value ? value : "on", err)) {
            return false;
        }
    }
    o->type = t;
    return true;
}

/* ---- Modules ---- */

const DisplayModule *display_module_load(const char *name, GError **err)
{
    g_autofree char *file = g_strdup_printf("ui-%s", name);
    const DisplayModule *mod = module_load(file, DISPLAY_MODULE_SYMBOL, err);

    if (!mod)
        g_prefix_error(err, "Display '%s' is not available: ", name);
    return mod;
}

void display_default(DisplayOptions *o)
{
    g_autofree char *path = NULL;

    if (o->type != DISPLAY_UNSET) {
        return;
    }
    o->type = remote_wanted() ? DISPLAY_VNC : DISPLAY_NONE;
    if (remote_wanted()) {
        return;
    }
    if (g_getenv("DISPLAY") || g_getenv("WAYLAND_DISPLAY") || g_getenv("SDL_VIDEODRIVER")) {
        path = module_path("ui-sdl");
        o->type = path ? DISPLAY_SDL : DISPLAY_NONE;
    }
}

bool display_start(const DisplayOptions *o, GError **err)
{
    const DisplayModule *mod;

    if (!remote_start(o->vm_name, err)) {
        return false;
    }
    if (o->type != DISPLAY_SDL && o->type != DISPLAY_CURSES) {
        return true;
    }
    mod = display_module_load(o->type == DISPLAY_SDL ? "sdl" : "curses", err);
    if (!mod || !mod->start(o, err)) {
        return false;
    }
    active = mod;
    return true;
}

void display_leave_terminal(void)
{
    if (active && active->leave) {
        active->leave();
    }
}

void display_stop(void)
{
    remote_stop();
    if (active) {
        active->stop();
        active = NULL;
    }
}
