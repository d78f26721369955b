/* The terminal of text consoles. */
#include <check.h>
#include <string.h>
#include "ui/console.h"
#include "ui/vt.h"

static GString *replies;
static Vt vt;

static void on_reply(void *o, const char *s) { g_string_append(replies, s); }

static void setup(void)
{
    replies = g_string_new(NULL);
    vt = (Vt){ .reply = on_reply };
    vt_init(&vt, 10, 4);
}

static void teardown(void)
{
    vt_fini(&vt);
    g_string_free(replies, true);
}

static void out(const char *s) { vt_write(&vt, (const uint8_t *)s, strlen(s)); }

/* The screen's rows joined by '|', trailing spaces cut. */
static const char *screen(void)
{
    static char buf[512];
    char *p = buf;

    for (unsigned y = 0; y < vt.rows; y++) {
        const VtCell *row = vt_row(&vt, y);
        unsigned n = vt.cols;

        while (n && row[n - 1].ch == ' ') {
            n--;
        }
        for (unsigned x = 0; x < n; x++) {
            *p++ = row[x].ch;
        }
        *p++ = '|';
    }
    p[-1] = 0;
    return buf;
}

START_TEST(test_text)
{
    out("hello\r\nworld");
    ck_assert_str_eq(screen(), "hello|world||");
    out("\033[1;3HX\033[2;1H\033[K\033[4;1Hlast\b\bS");
    ck_assert_str_eq(screen(), "heXlo|||laSt");
    out("\033[2J\033[Habcdefghijkl");          /* wraps */
    ck_assert_str_eq(screen(), "abcdefghij|kl||");
    out("\033[1;1H\033[2P\033[2@\033[4h12\033[4l");
    ck_assert_str_eq(screen(), "12  cdefgh|kl||");
    out("\033[H\033[L1\033[4;1H\033[M\033[1;1H\tT");
    ck_assert_str_eq(screen(), "1       T|12  cdefgh|kl|");
    out("\033c\302\265\342\224\200\033(0q\033(B");
    ck_assert_str_eq(screen(), "\xe6\xc4\xc4|||");
    out("\r\n\033[31;44;1mr\033[7ms\033[0mn");
    ck_assert_uint_eq(vt_row(&vt, 1)[0].attr, 0x1c);
    ck_assert_uint_eq(vt_row(&vt, 1)[1].attr, 0xc1);
    ck_assert_uint_eq(vt_row(&vt, 1)[2].attr, 0x07);
    out("\033[6n\033[c\033[5n");
    ck_assert_str_eq(replies->str, "\033[2;4R\033[?6c\033[0n");
}
END_TEST

START_TEST(test_scroll)
{
    unsigned x, y;

    out("1\r\n2\r\n3\r\n4\r\n5\r\n6");
    ck_assert_str_eq(screen(), "3|4|5|6");
    vt_scroll_back(&vt, 1);
    ck_assert_str_eq(screen(), "2|3|4|5");
    ck_assert(!vt_cursor(&vt, &x, &y));
    vt_scroll_back(&vt, 99);
    ck_assert_str_eq(screen(), "1|2|3|4");
    out("\033[2;3r\033[2;1H\033M\033[1;1H");    /* a region, scrolled down */
    ck_assert_str_eq(screen(), "3||4|6");
    out("\033[3;1H\nx");
    ck_assert_str_eq(screen(), "3|4|x|6");
    ck_assert(vt_cursor(&vt, &x, &y) && x == 1 && y == 2);
    out("\033[?25l");
    ck_assert(!vt_cursor(&vt, &x, &y));
}
END_TEST

START_TEST(test_nonsense)
{
    static const char common[] = "\033[];0123456789?ABCDEFGHJKLMPSTXdhlmnrsu@(0)78\r\n\t\b\016\017\302\342\377z";
    uint32_t r = 7;

    for (unsigned i = 0; i < 300000; i++) {
        uint8_t c;

        r = r * 1664525 + 1013904223;
        c = r >> 31 ? r >> 16 : (uint8_t)common[(r >> 8) % (sizeof common - 1)];
        vt_write(&vt, &c, 1);
        if (i % 1000 == 0) {
            vt_scroll_back(&vt, (r >> 20) - 2048);
            screen();
            g_string_truncate(replies, 0);
        }
        ck_assert(vt.x < vt.cols && vt.y < vt.rows);
    }
}
END_TEST

static GString *typed;

static void on_input(void *o, const uint8_t *bytes, int len) { g_string_append_len(typed, (const char *)bytes, len); }

START_TEST(test_console)
{
    Console *con = text_console_new("monitor0", 0, 0, on_input, NULL, NULL), *vga;
    static const ConsoleOps ops = { 0 };

    if (!con) {
        return;         /* no VGABIOS here, no font */
    }
    typed = g_string_new(NULL);
    ck_assert_int_eq(surface_width(console_surface(con)), 640);
    ck_assert_int_eq(surface_height(console_surface(con)), 384);
    text_console_write(con, (const uint8_t *)"\033[H\033[31mA", 9);    /* over the title, "monitor0 console" */
    console_refresh(con);
    ck_assert_uint_eq(((uint32_t *)(void *)(surface_data(console_surface(con)) + 2 * surface_stride(console_surface(con))))[3], 0xaa0000);
    text_console_type(con, "help");
    text_console_key(con, QKEY_RET, false);
    text_console_key(con, QKEY_UP, false);
    text_console_key(con, QKEY_C, true);
    text_console_key(con, QKEY_C, false);
    ck_assert_str_eq(typed->str, "help\r\033[A\003");
    vga = console_new(&ops, NULL, "VGA", 0);
    ck_assert_uint_eq(console_index(vga), 0);       /* the screen comes first */
    ck_assert_uint_eq(console_index(con), 1);
    ck_assert_ptr_eq(console_by_index(1), con);
    text_console_free(con);
    console_free(vga);
    g_string_free(typed, true);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("vt");
    TCase *tc = tcase_create("core");
    SRunner *r = srunner_create(s);
    int failed;

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_text);
    tcase_add_test(tc, test_scroll);
    tcase_add_test(tc, test_nonsense);
    tcase_add_test(tc, test_console);
    suite_add_tcase(s, tc);
    srunner_run_all(r, CK_ENV);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
