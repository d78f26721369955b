/* Layouts: the US keyboard, tables with several keys for a keysym, names. */
#include <check.h>
#include "ui/layout.h"

START_TEST(test_us)
{
    const LayoutKey *k = layout_find('A', 0, NULL);

    ck_assert(k && k->key == QKEY_A && k->mods == LAYOUT_SHIFT);
    k = layout_find_char('~');
    ck_assert(k && k->key == QKEY_GRAVE_ACCENT && k->mods == LAYOUT_SHIFT);
    k = layout_find_char('-');
    ck_assert(k && k->key == QKEY_MINUS && !k->mods);
    k = layout_find(0x0100002f, 0, NULL);       /* Unicode's slash */
    ck_assert(k && k->key == QKEY_SLASH);
    ck_assert_int_eq(layout_find(0xffc9, 0, NULL)->key, QKEY_F12);
    ck_assert_int_eq(layout_find(0xffb7, 0, NULL)->key, QKEY_KP_7);
    ck_assert_int_eq(layout_find(0xff95, 0, NULL)->key, QKEY_KP_7);
    ck_assert_ptr_null(layout_find(0x20ac, 0, NULL));
    ck_assert_ptr_null(layout_find_char(0));
    ck_assert(!layout_selected());
}
END_TEST

START_TEST(test_choice)
{
    static const LayoutKey keys[] = {
        { 0x61, 'a', QKEY_A, 0 }, { 0x40, '@', QKEY_Q, LAYOUT_ALTGR }, { 0x40, '@', QKEY_2, LAYOUT_SHIFT },
        { 0x40, '@', QKEY_V, LAYOUT_SHIFT | LAYOUT_ALTGR }, { 0x6c1, 0x430, QKEY_F, 0 },
    };
    GArray *a = g_array_new(false, true, sizeof(LayoutKey));
    bool down[QKEY_COUNT] = { [QKEY_V] = true };

    g_array_append_vals(a, keys, G_N_ELEMENTS(keys));
    layout_use(a);
    ck_assert_int_eq(layout_find('@', 0, NULL)->key, QKEY_Q);                   /* the first */
    ck_assert_int_eq(layout_find('@', LAYOUT_SHIFT, NULL)->key, QKEY_2);        /* that with the modifiers */
    ck_assert_int_eq(layout_find('@', LAYOUT_SHIFT | LAYOUT_NUM, NULL)->key, QKEY_2);
    ck_assert_int_eq(layout_find('@', LAYOUT_SHIFT, down)->key, QKEY_V);        /* that which is down */
    ck_assert_int_eq(layout_find(0x6c1, 0, NULL)->key, QKEY_F);
    ck_assert_int_eq(layout_find(0x1000430, 0, NULL)->key, QKEY_F);             /* the same letter */
    ck_assert_int_eq(layout_find_char('@')->key, QKEY_Q);
    ck_assert_ptr_null(layout_find('z', 0, NULL));
    ck_assert_int_eq(layout_find(0xff1b, 0, NULL)->key, QKEY_ESC);              /* every keyboard has it */
}
END_TEST

START_TEST(test_names)
{
    GError *err = NULL;

    ck_assert(!layout_select("xx", &err));
    ck_assert(g_str_has_prefix(err->message, "there is no such keyboard layout; there are ar bepo cz "));
    g_clear_error(&err);
    ck_assert(!layout_select("", &err) && err);
    g_clear_error(&err);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("layout");
    TCase *tc = tcase_create("core");
    SRunner *r = srunner_create(s);
    int failed;

    tcase_add_test(tc, test_us);
    tcase_add_test(tc, test_choice);
    tcase_add_test(tc, test_names);
    suite_add_tcase(s, tc);
    srunner_run_all(r, CK_ENV);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
