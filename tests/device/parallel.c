/*
 * Parallel port: registers, the printer's handshake, its interrupt, its output.
 */
#include "libqtest.h"

enum { DATA = 0x378, STATUS, CONTROL };

int main(void)
{
    g_autofree char *path = g_build_filename(test_dir(), "parallel.out", NULL);
    g_autofree char *text = NULL;
    QTest *q = qtest_start("-M pc -nodefaults -parallel file:%s", path);

    tap_eq(qtest_inb(q, DATA), 0xff, "data after reset");
    tap_eq(qtest_inb(q, STATUS), 0xd9, "status after reset: online, not busy");
    tap_eq(qtest_inb(q, CONTROL), 0xcc, "control after reset: selected, initialised");
    tap_eq(qtest_inb(q, DATA + 3), 0xff, "no EPP");
    qtest_irq_intercept_in(q, "ioapic");
    for (const char *p = "Print\n"; *p; p++) {
        qtest_outb(q, DATA, *p);
        qtest_outb(q, CONTROL, 0x0d);
        if (*p == 'P')
            tap_eq(qtest_inb(q, STATUS), 0x59, "busy while strobed");
        qtest_outb(q, CONTROL, 0x0c);
        if (*p == 'P') {
            tap_eq(qtest_inb(q, STATUS), 0x59, "still busy");
            tap_eq(qtest_inb(q, STATUS), 0x19, "acknowledge");
            tap_eq(qtest_inb(q, STATUS), 0xd9, "ready");
        }
    }
    tap_eq(qtest_inb(q, DATA), '\n', "the data latch can be read");
    qtest_outb(q, CONTROL, 0x1d);
    qtest_outb(q, CONTROL, 0x1c);
    tap_ok(qtest_irq(q, 7), "interrupt 7");
    qtest_inb(q, STATUS);
    tap_ok(!qtest_irq(q, 7), "reading the status clears it");
    qtest_outb(q, CONTROL, 0x00);
    tap_eq(qtest_inb(q, STATUS), 0xd8, "initialise");
    g_file_get_contents(path, &text, NULL, NULL);
    tap_str_eq(text ? text : "", "Print\n\n", "what came out");
    qtest_end(q);
    return tap_done();
}
