/*
 * Keyboard controller, PS/2 keyboard and mouse: commands, replies, interrupts, the output port.
 */
#include <string.h>
#include "libqtest.h"

enum { DATA = 0x60, CMD = 0x64 };
enum { OBF = 0x01, MOUSE_OBF = 0x20 };

/* Everything that waits at port 0x60, as text: "fa aa"; bytes from the mouse with an m. */
static char *drain(QTest *q)
{
    GString *s = g_string_new(NULL);
    uint8_t st;

    for (unsigned i = 0; i < 40 && ((st = qtest_inb(q, CMD)) & OBF); i++)
        g_string_append_printf(s, "%s%s%02x", s->len ? " " : "", st & MOUSE_OBF ? "m" : "", qtest_inb(q, DATA));
    return g_string_free(s, FALSE);
}

static void expect(QTest *q, const char *want, const char *what)
{
    g_autofree char *got = drain(q);

    tap_str_eq(got, want, "%s", what);
}

static void kbd(QTest *q, uint8_t b, const char *want, const char *what)
{
    qtest_outb(q, DATA, b);
    expect(q, want, what);
}

static void mouse(QTest *q, uint8_t b, const char *want, const char *what)
{
    qtest_outb(q, CMD, 0xd4);
    qtest_outb(q, DATA, b);
    expect(q, want, what);
}

static void ctl(QTest *q, uint8_t b, const char *want, const char *what)
{
    qtest_outb(q, CMD, b);
    expect(q, want, what);
}

static void test_controller(QTest *q)
{
    tap_eq(qtest_inb(q, CMD), 0x18, "status after reset");
    ctl(q, 0x20, "03", "command byte after reset: both interrupts");
    ctl(q, 0xaa, "55", "self test");
    tap_eq(qtest_inb(q, CMD), 0x1c, "system flag after it");
    ctl(q, 0xa9, "00", "mouse interface test");
    ctl(q, 0xab, "00", "keyboard interface test");
    ctl(q, 0xc0, "80", "input port: not locked");
    ctl(q, 0xd0, "cf", "output port: A20 on, no reset");
    qtest_outb(q, CMD, 0x60);
    qtest_outb(q, DATA, 0x47);
    ctl(q, 0x20, "47", "command byte written");
    qtest_outb(q, CMD, 0xad);
    ctl(q, 0x20, "57", "keyboard disabled");
    qtest_outb(q, CMD, 0xae);
    qtest_outb(q, CMD, 0xa7);
    ctl(q, 0x20, "67", "mouse disabled");
    qtest_outb(q, CMD, 0xa8);
    ctl(q, 0x20, "47", "both enabled");
    qtest_outb(q, CMD, 0xd2);
    qtest_outb(q, DATA, 0x99);
    expect(q, "99", "a byte as if from the keyboard");
    qtest_outb(q, CMD, 0xd3);
    qtest_outb(q, DATA, 0x98);
    expect(q, "m98", "a byte as if from the mouse");
    qtest_outb(q, CMD, 0xdd);
    ctl(q, 0xd0, "cd", "A20 off");
    qtest_outb(q, CMD, 0xdf);
    ctl(q, 0xd0, "cf", "A20 on");
    qtest_outb(q, CMD, 0xff);
    tap_eq(qtest_inb(q, CMD) & OBF, 0, "pulse of nothing");
}

static void test_keyboard(QTest *q)
{
    qtest_outb(q, CMD, 0x60);
    qtest_outb(q, DATA, 0x03);
    kbd(q, 0xff, "fa aa", "reset");
    kbd(q, 0xee, "ee", "echo");
    kbd(q, 0xf2, "fa ab 83", "id");
    kbd(q, 0xed, "fa", "set lights");
    kbd(q, 0x07, "fa", "their parameter");
    kbd(q, 0xf0, "fa", "scan code set");
    kbd(q, 0x00, "fa 02", "it is 2");
    kbd(q, 0xf0, "fa", "scan code set again");
    kbd(q, 0x03, "fa", "3");
    kbd(q, 0xf0, "fa", "and");
    kbd(q, 0x00, "fa 03", "it is 3");
    kbd(q, 0xf3, "fa", "typematic rate");
    kbd(q, 0x20, "fa", "its parameter");
    kbd(q, 0xf6, "fa", "defaults");
    kbd(q, 0xf0, "fa", "scan code set");
    kbd(q, 0x00, "fa 02", "2 again");
    kbd(q, 0xf5, "fa", "disable");
    kbd(q, 0xf4, "fa", "enable");
    kbd(q, 0xe0, "fe", "an unknown command is to be sent again");
    qtest_outb(q, CMD, 0x60);
    qtest_outb(q, DATA, 0x43);
    kbd(q, 0xf2, "fa ab 41", "id when the controller translates");
}

static void test_mouse(QTest *q)
{
    mouse(q, 0xff, "mfa maa m00", "reset");
    mouse(q, 0xf2, "mfa m00", "id: plain mouse");
    mouse(q, 0xe9, "mfa m00 m02 m64", "status: disabled, 4 counts a mm, 100 reports");
    mouse(q, 0xe8, "mfa", "resolution");
    mouse(q, 0x03, "mfa", "its parameter");
    mouse(q, 0xe7, "mfa", "scaling 2:1");
    mouse(q, 0xe9, "mfa m10 m03 m64", "status shows them");
    mouse(q, 0xf4, "mfa", "enable");
    mouse(q, 0xf0, "mfa", "remote mode");
    mouse(q, 0xe9, "mfa m70 m03 m64", "status shows them");
    mouse(q, 0xeb, "mfa m08 m00 m00", "poll");
    mouse(q, 0xee, "mfa", "wrap mode");
    mouse(q, 0x55, "m55", "sends back what it gets");
    mouse(q, 0xec, "mfa", "no wrap mode");
    mouse(q, 0xf6, "mfa", "defaults");
    mouse(q, 0xe9, "mfa m00 m02 m64", "status shows them");
    mouse(q, 0xf3, "mfa", "rate");
    mouse(q, 200, "mfa", "200");
    mouse(q, 0xf3, "mfa", "rate");
    mouse(q, 100, "mfa", "100");
    mouse(q, 0xf3, "mfa", "rate");
    mouse(q, 80, "mfa", "80");
    mouse(q, 0xf2, "mfa m03", "id: it has a wheel now");
    mouse(q, 0xeb, "mfa m08 m00 m00 m00", "and a fourth byte");
    mouse(q, 0xf3, "mfa", "rate");
    mouse(q, 200, "mfa", "200");
    mouse(q, 0xf3, "mfa", "rate");
    mouse(q, 200, "mfa", "200");
    mouse(q, 0xf3, "mfa", "rate");
    mouse(q, 80, "mfa", "80");
    mouse(q, 0xf2, "mfa m04", "id: and five buttons");
    mouse(q, 0xff, "mfa maa m00", "reset");
    mouse(q, 0xf2, "mfa m00", "makes it a plain mouse");
}

static void test_interrupts(QTest *q)
{
    qtest_irq_intercept_in(q, "ioapic");
    qtest_outb(q, CMD, 0x60);
    qtest_outb(q, DATA, 0x03);
    qtest_outb(q, DATA, 0xff);
    tap_ok(qtest_irq(q, 1), "interrupt 1");
    qtest_irq_raised(q, 1);
    tap_eq(qtest_inb(q, DATA), 0xfa, "acknowledge");
    tap_eq(qtest_irq_raised(q, 1), 1, "an edge for the next byte");
    tap_eq(qtest_inb(q, DATA), 0xaa, "self-test passed");
    tap_ok(!qtest_irq(q, 1), "nothing left");
    tap_eq(qtest_inb(q, DATA), 0xaa, "an empty buffer shows its last byte");
    qtest_outb(q, CMD, 0xd4);
    qtest_outb(q, DATA, 0xf4);
    tap_ok(qtest_irq(q, 12), "interrupt 12");
    qtest_inb(q, DATA);
    tap_ok(!qtest_irq(q, 12), "nothing left");
    qtest_outb(q, CMD, 0x60);
    qtest_outb(q, DATA, 0x00);
    qtest_outb(q, DATA, 0xee);
    tap_ok(!qtest_irq(q, 1) && (qtest_inb(q, CMD) & OBF), "no interrupt when it is disabled");
    qtest_outb(q, CMD, 0x60);
    qtest_outb(q, DATA, 0x01);
    tap_ok(qtest_irq(q, 1), "it comes when it is enabled");
    qtest_inb(q, DATA);
}

/* A reply that nobody has read is gone when the next command comes. */
static void test_order(QTest *q)
{
    qtest_outb(q, DATA, 0xf2);
    qtest_outb(q, DATA, 0xee);
    expect(q, "ee", "a new command ends the last one's reply");
    qtest_outb(q, CMD, 0xad);
    qtest_outb(q, CMD, 0xd4);
    qtest_outb(q, DATA, 0xf2);
    qtest_outb(q, CMD, 0xae);
    expect(q, "mfa m00", "the mouse answers while the keyboard is disabled");
}

static void key(QTest *q, const char *name, const char *want)
{
    G_GNUC_UNUSED g_autofree char *out = qtest_hmp(q, "sendkey %s 10", name);

    for (unsigned i = 0; i < 6; i++)
        qtest_clock_step(q, 10000000);
    expect(q, want, name);
}

/* What keys send in set 1, as after the controller's translation; stock QEMU sends the same. */
static void test_keys(QTest *q)
{
    qtest_outb(q, CMD, 0x60);
    qtest_outb(q, DATA, 0x43);
    key(q, "a", "1e 9e");
    key(q, "up", "e0 48 e0 c8");
    key(q, "kp_enter", "e0 1c e0 9c");
    key(q, "shift-b", "2a 30 b0 aa");
    key(q, "print", "e0 2a e0 37 e0 b7 e0 aa");
    key(q, "shift-print", "2a e0 37 e0 b7 aa");
    key(q, "ctrl-print", "1d e0 37 e0 b7 9d");
    key(q, "alt-print", "38 b8 38 54 d4 b8 38 b8");
    key(q, "alt_r-print", "e0 38 e0 b8 e0 38 54 d4 e0 b8 e0 38 e0 b8");
    key(q, "pause", "e1 1d 45 e1 9d c5");
    key(q, "ctrl-pause", "1d e0 46 e0 c6 9d");
    key(q, "kp_multiply", "37 b7");
    key(q, "yen", "7d fd");
    qtest_outb(q, CMD, 0x60);
    qtest_outb(q, DATA, 0x03);
    key(q, "a", "1c f0 1c");
    key(q, "up", "e0 75 e0 f0 75");
    key(q, "pause", "e1 14 77 e1 f0 14 f0 77");
    kbd(q, 0xf0, "fa", "scan code set");
    kbd(q, 0x03, "fa", "3");
    key(q, "a", "1c f0 1c");
    key(q, "up", "63 f0 63");
    kbd(q, 0xf5, "fa", "disabled");
    key(q, "a", "");
    kbd(q, 0xff, "fa aa", "reset");
}

static void test_movement(QTest *q)
{
    g_autofree char *a = NULL, *b = NULL, *c = NULL, *d = NULL;

    mouse(q, 0xff, "mfa maa m00", "reset");
    mouse(q, 0xf4, "mfa", "enable");
    a = qtest_hmp(q, "mouse_move 10 5");
    expect(q, "m28 m0a mfb", "right and down");
    b = qtest_hmp(q, "mouse_move -3 200");
    expect(q, "m38 mfd m81 m28 m00 mb7", "more than a report can hold");
    c = qtest_hmp(q, "mouse_button 1");
    expect(q, "m09 m00 m00", "left button");
    mouse(q, 0xe9, "mfa m24 m02 m64", "status shows it");
    d = qtest_hmp(q, "mouse_button 0");
    expect(q, "m08 m00 m00", "released");
}

int main(void)
{
    QTest *q = qtest_start_qmp("-M pc -nodefaults");

    test_controller(q);
    test_keyboard(q);
    test_mouse(q);
    test_interrupts(q);
    test_order(q);
    if (!qtest_is_qemu()) {
        test_keys(q);
        test_movement(q);
    }
    qtest_end(q);
    return tap_done();
}
