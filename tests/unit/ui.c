/* Keys, input routing, consoles and their listeners, screen dumps, -display. */
#include <check.h>
#include <stdio.h>
#include <string.h>
#include "ui/console.h"
#include "ui/display.h"

static GString *got;

static void on_key(void *o, QKeyCode key, bool down)
{
    g_string_append_printf(got, "%s%s%s ", (char *)o, down ? "+" : "-", key_codes[key].name);
}
static void on_button(void *o, InputButton b, bool down) { g_string_append_printf(got, "%sb%d=%d ", (char *)o, b, down); }
static void on_axis(void *o, InputAxis a, int v) { g_string_append_printf(got, "%s%c%d ", (char *)o, "xy"[a], v); }
static void on_sync(void *o) { g_string_append_printf(got, "%s. ", (char *)o); }

static const InputOps kbd_ops = { .name = "Keyboard", .kinds = INPUT_KEY, .key = on_key };
static const InputOps mouse_ops = { .name = "QEMU PS/2 Mouse", .kinds = INPUT_REL | INPUT_BUTTON, .rel = on_axis,
                                    .button = on_button, .sync = on_sync };
static const InputOps tablet_ops = { .name = "QEMU HID Tablet", .kinds = INPUT_ABS | INPUT_BUTTON, .abs = on_axis,
                                     .button = on_button, .sync = on_sync };

static void expect(const char *want)
{
    ck_assert_str_eq(got->str, want);
    g_string_truncate(got, 0);
}

START_TEST(test_keys)
{
    ck_assert_int_eq(key_from_name("ret"), QKEY_RET);
    ck_assert_int_eq(key_from_name("nonsense"), QKEY_UNMAPPED);
    ck_assert_int_eq(key_from_number(0x1c), QKEY_RET);
    ck_assert_int_eq(key_from_number(0x9c), QKEY_KP_ENTER);
    ck_assert_int_eq(key_from_number(0xe01c), QKEY_KP_ENTER);
    ck_assert_int_eq(key_from_number(0x37), QKEY_KP_MULTIPLY);
    ck_assert_int_eq(key_from_number(0), QKEY_UNMAPPED);
    ck_assert_int_eq(key_from_hid(4), QKEY_A);
    ck_assert_uint_eq(key_set1(&key_codes[QKEY_DELETE]), 0xe053);
    for (int i = 0; i < QKEY_COUNT; i++) {
        ck_assert_ptr_nonnull(key_codes[i].name);
        ck_assert_int_eq(key_from_name(key_codes[i].name), i);
    }
}
END_TEST

START_TEST(test_parse_keys)
{
    QKeyCode keys[INPUT_MAX_KEYS];
    unsigned n;
    GError *err = NULL;

    ck_assert(input_parse_keys("ctrl-alt-delete", keys, &n, NULL));
    ck_assert(n == 3 && keys[0] == QKEY_CTRL && keys[1] == QKEY_ALT && keys[2] == QKEY_DELETE);
    ck_assert(input_parse_keys("0x1c-<", keys, &n, NULL));
    ck_assert(n == 2 && keys[0] == QKEY_RET && keys[1] == QKEY_LESS);
    ck_assert(!input_parse_keys("ctrl-foo", keys, &n, &err));
    ck_assert_str_eq(err->message, "invalid parameter: foo");
    g_clear_error(&err);
    ck_assert(!input_parse_keys("a-", keys, &n, &err));
    ck_assert_str_eq(err->message, "invalid parameter: ");
    g_clear_error(&err);
}
END_TEST

START_TEST(test_routing)
{
    InputHandler *k, *m, *t;
    g_autoptr(GString) mice = g_string_new(NULL);

    got = g_string_new(NULL);
    input_send_key(NULL, QKEY_A, true);             /* nobody there */
    expect("");
    k = input_register(&kbd_ops, "k", NULL);
    m = input_register(&mouse_ops, "m", NULL);
    input_send_key(NULL, QKEY_A, true);
    input_send_key(NULL, QKEY_A, false);
    input_send_rel(NULL, INPUT_AXIS_X, -3);
    input_send_rel(NULL, INPUT_AXIS_Y, 5);
    input_send_button(NULL, INPUT_BUTTON_LEFT, true);
    input_sync();
    input_sync();
    expect("k+a k-a mx-3 my5 mb0=1 m. ");
    ck_assert(!input_is_absolute(NULL));
    t = input_register(&tablet_ops, "t", NULL);
    ck_assert(!input_is_absolute(NULL));
    input_activate(t);
    ck_assert(input_is_absolute(NULL));
    input_send_abs(NULL, INPUT_AXIS_X, 799, 800);
    input_send_abs(NULL, INPUT_AXIS_Y, -5, 600);
    input_send_button(NULL, INPUT_BUTTON_LEFT, false);
    input_sync();
    expect("tx32726 ty0 tb0=0 t. ");
    input_print_mice(mice);
    ck_assert_str_eq(mice->str, "  Mouse #2: QEMU PS/2 Mouse\n* Mouse #3: QEMU HID Tablet (absolute)\n");
    ck_assert(input_mouse_set(2, NULL) && !input_is_absolute(NULL));
    ck_assert(!input_mouse_set(1, NULL) && !input_mouse_set(9, NULL));
    input_mouse_move(1, 2, -1);
    input_mouse_button(3);
    expect("mx1 my2 mb4=1 m. mb4=0 m. mb0=1 mb2=1 m. ");
    input_send_key(NULL, QKEY_CTRL, true);
    input_release_keys(NULL);
    expect("k+ctrl k-ctrl ");
    input_unregister(k);
    input_unregister(m);
    input_unregister(t);
    g_string_free(got, true);
}
END_TEST

static void (*delayed)(void *);
static unsigned delay_ms;
static bool running = true;

static void host_delay(void *opaque, unsigned ms, void (*fn)(void *), void *arg)
{
    delay_ms = ms;
    delayed = fn;
}

static bool host_running(void *opaque) { return running; }

START_TEST(test_send_keys)
{
    UiHost host = { .delay = host_delay, .is_running = host_running };
    QKeyCode keys[] = { QKEY_CTRL, QKEY_C };
    InputHandler *k = input_register(&kbd_ops, "", NULL);

    got = g_string_new(NULL);
    ui_set_host(&host);
    input_send_keys(keys, 2, 0);
    expect("+ctrl ");
    ck_assert_uint_eq(delay_ms, 100);
    input_send_key(NULL, QKEY_X, true);             /* waits its turn */
    for (int i = 0; i < 3; i++) {
        delayed(NULL);
    }
    expect("+c -c -ctrl ");
    delayed(NULL);
    expect("+x ");
    running = false;
    input_send_key(NULL, QKEY_Y, true);
    input_send_keys(keys, 2, 0);
    expect("");
    input_unregister(k);
    g_string_free(got, true);
}
END_TEST

/* ---- Consoles ---- */

static unsigned updates, refreshes, painted, switches;
static int answer;
static bool watched;

static int con_update(void *o) { updates++; return answer; }
static void con_watched(void *o, bool on) { watched = on; }
static const ConsoleOps con_ops = { .update = con_update, .watched = con_watched };

static void l_refresh(DisplayListener *l) { refreshes++; }
static void l_switch(DisplayListener *l, Surface *s) { switches++; }
static void l_paint(DisplayListener *l, int x, int y, int w, int h) { painted += w * h; }
static const DisplayListenerOps l_ops = { .name = "l", .refresh = l_refresh, .gfx_switch = l_switch, .gfx_update = l_paint };

static void run_ms(unsigned ms)
{
    gint64 end = g_get_monotonic_time() + ms * 1000;

    while (g_get_monotonic_time() < end) {
        g_main_context_iteration(NULL, false);
        g_usleep(500);
    }
}

START_TEST(test_refresh)
{
    Console *con = console_new(&con_ops, NULL, "VGA", 0);
    DisplayListener l = { .ops = &l_ops, .interval = 5 };

    run_ms(20);
    ck_assert(!watched && !updates);                /* nobody watches: no work */
    answer = CONSOLE_POLL;
    listener_add(&l);
    ck_assert(watched && switches == 1 && painted == 640 * 480);
    run_ms(60);
    ck_assert_uint_ge(updates, 4);
    answer = CONSOLE_IDLE;
    run_ms(20);
    updates = refreshes = 0;
    run_ms(40);
    ck_assert_uint_eq(updates + refreshes, 0);      /* nothing changes: nobody is woken */
    console_kick(con);
    run_ms(20);
    ck_assert_uint_eq(updates, 1);
    listener_pause(&l, true);
    ck_assert(!watched);
    console_kick(con);
    run_ms(20);
    ck_assert_uint_eq(updates, 1);
    listener_pause(&l, false);
    painted = 0;
    console_update(con, -5, 470, 20, 100);
    ck_assert_uint_eq(painted, 20 * 10);
    console_resize(con, 800, 600);
    ck_assert_int_eq(surface_width(console_surface(NULL)), 800);
    console_free(con);
    ck_assert_ptr_null(l.shown);
    console_update((con = console_new(&con_ops, NULL, "VGA", 0)), 0, 0, 1, 1);
    ck_assert_ptr_eq(l.shown, con);
    listener_remove(&l);
    ck_assert(!watched);
    console_free(con);
}
END_TEST

START_TEST(test_screendump)
{
    g_autofree char *dir = g_dir_make_tmp("vmemu-XXXXXX", NULL), *path = g_build_filename(dir, "a.ppm", NULL), *data = NULL;
    Console *con = console_new(&con_ops, NULL, "VGA", 0);
    uint16_t pixels[8] = { 0xf800, 0x07e0, 0x001f, 0xffff };
    GError *err = NULL;
    gsize len;

    console_set_surface(con, surface_new_shared(4, 2, PIXMAN_r5g6b5, 8, pixels));
    ck_assert(console_screendump(NULL, path, IMAGE_PPM, NULL));
    ck_assert(g_file_get_contents(path, &data, &len, NULL));
    ck_assert_uint_eq(len, 11 + 24);
    ck_assert(!memcmp(data, "P6\n4 2\n255\n\xff\0\0\0\xff\0\0\0\xff\xff\xff\xff\0", 24));
    ck_assert(console_screendump(NULL, path, IMAGE_PNG, NULL));
    ck_assert(!console_screendump(NULL, "/nonexistent/x", IMAGE_PPM, &err));
    ck_assert_str_eq(err->message, "failed to open file '/nonexistent/x': No such file or directory");
    g_clear_error(&err);
    ck_assert(!console_screendump(NULL, "/dev/full", IMAGE_PPM, &err));
    ck_assert_str_eq(err->message, "Unable to write to file: No space left on device");
    g_clear_error(&err);
    remove(path);
    remove(dir);
    console_free(con);
}
END_TEST

START_TEST(test_display_options)
{
    static const struct { const char *opt, *err; } bad[] = {
        { "", "Parameter 'type' is missing" },
        { "foo", "Parameter 'type' does not accept value 'foo'" },
        { "gtk", "Display 'gtk' is not available" },
        { "sdl,foo=1", "Parameter 'foo' is unexpected" },
        { "sdl,gl=on", "OpenGL is not supported: use gl=off" },
        { "none,gl=on", "OpenGL is not supported by the display" },
        { "sdl,grab-mod=x", "Parameter 'grab-mod' does not accept value 'x'" },
        { "sdl,window-close=maybe", "Parameter 'window-close' expects 'on' or 'off'" },
    };
    DisplayOptions o;
    bool exit = false;

    display_options_init(&o);
    ck_assert(display_parse(&o, "sdl,window-close=off,full-screen=on,grab-mod=rctrl,gl=off", &exit, NULL));
    ck_assert(o.type == DISPLAY_SDL && !o.window_close && o.full_screen && o.grab_mod == GRAB_RCTRL);
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        GError *err = NULL;

        ck_assert(!display_parse(&o, bad[i].opt, &exit, &err));
        ck_assert_str_eq(err->message, bad[i].err);
        g_clear_error(&err);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ui");
    TCase *tc = tcase_create("core");
    SRunner *r = srunner_create(s);
    int failed;

    tcase_add_test(tc, test_keys);
    tcase_add_test(tc, test_parse_keys);
    tcase_add_test(tc, test_routing);
    tcase_add_test(tc, test_send_keys);
    tcase_add_test(tc, test_refresh);
    tcase_add_test(tc, test_screendump);
    tcase_add_test(tc, test_display_options);
    suite_add_tcase(s, tc);
    srunner_run_all(r, CK_ENV);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
