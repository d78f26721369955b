/*
 * A client of QEMU's qtest protocol, and the TAP helpers of the device tests.
 *
 * A test program starts the emulator (environment VMEMU; tests/run sets it) with `-accel qtest`,
 * reads and writes its ports and memory and prints a TAP line for each thing that it checks:
 *
 *     int main(void)
 *     {
 *         QTest *q = qtest_start("-M pc -nodefaults");
 *
 *         qtest_outb(q, 0x70, 0x0d);
 *         tap_eq(qtest_inb(q, 0x71), 0x80, "register D: battery good");
 *         qtest_end(q);
 *         return tap_done();
 *     }
 *
 * What a test can't go on without (no program, a FAIL reply, a closed connection, 60 seconds gone) ends
 * it with a "not ok" line and the reason.  The emulator never outlives the test.
 */
#ifndef LIBQTEST_H
#define LIBQTEST_H
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct QTest QTest;

/* Starts the program with `-accel qtest -display none` and these arguments, split as a shell splits them. */
QTest *qtest_start(const char *fmt, ...) G_GNUC_PRINTF(1, 2);
/* The same with a QMP monitor, for qtest_qmp() and qtest_hmp(). */
QTest *qtest_start_qmp(const char *fmt, ...) G_GNUC_PRINTF(1, 2);
/* SIGTERM, and waits: "not ok" if the program doesn't exit with status 0 at once. Frees q. */
void qtest_end(QTest *q);
/* Waits for the program's own end (a guest's power-down, isa-debug-exit); its exit status, or -signal. Frees q. */
int qtest_wait(QTest *q);
/* True if the program is stock QEMU, whose CPUs are stopped (tcg -S) and whose guest time stands at 0: clock
 * commands do nothing then, so a test leaves out what depends on them. */
bool qtest_is_qemu(void);

/* Ports. */
uint8_t qtest_inb(QTest *q, uint16_t port);
uint16_t qtest_inw(QTest *q, uint16_t port);
uint32_t qtest_inl(QTest *q, uint16_t port);
void qtest_outb(QTest *q, uint16_t port, uint8_t v);
void qtest_outw(QTest *q, uint16_t port, uint16_t v);
void qtest_outl(QTest *q, uint16_t port, uint32_t v);

/* Guest-physical memory, MMIO included: one access of that size, and blocks. */
uint8_t qtest_readb(QTest *q, uint64_t addr);
uint16_t qtest_readw(QTest *q, uint64_t addr);
uint32_t qtest_readl(QTest *q, uint64_t addr);
uint64_t qtest_readq(QTest *q, uint64_t addr);
void qtest_writeb(QTest *q, uint64_t addr, uint8_t v);
void qtest_writew(QTest *q, uint64_t addr, uint16_t v);
void qtest_writel(QTest *q, uint64_t addr, uint32_t v);
void qtest_writeq(QTest *q, uint64_t addr, uint64_t v);
void qtest_memread(QTest *q, uint64_t addr, void *buf, size_t size);          /* "read": hexadecimal */
void qtest_memwrite(QTest *q, uint64_t addr, const void *buf, size_t size);   /* "write" */
void qtest_b64read(QTest *q, uint64_t addr, void *buf, size_t size);
void qtest_b64write(QTest *q, uint64_t addr, const void *buf, size_t size);
void qtest_memset(QTest *q, uint64_t addr, uint8_t v, size_t size);

/* Guest time, in nanoseconds; it stands still otherwise. Each returns the new time. */
int64_t qtest_clock_step(QTest *q, int64_t ns);
int64_t qtest_clock_step_next(QTest *q);    /* to the next timer */
int64_t qtest_clock_set(QTest *q, int64_t ns);

/* Interrupt lines: from then on qtest_irq(q, n) is the level of that device's input (output) line n.
 * One device a run; paths as QEMU has them ("ioapic"). */
void qtest_irq_intercept_in(QTest *q, const char *path);
void qtest_irq_intercept_out(QTest *q, const char *path);
bool qtest_irq(QTest *q, unsigned n);
/* How often line n went up since the last call. */
unsigned qtest_irq_raised(QTest *q, unsigned n);

/* A line of the protocol as it is. qtest_raw returns the reply without its end of line, FAIL and ERR
 * included (g_free it); qtest_cmd fails the test unless it begins with OK, and returns what stands behind. */
char *qtest_raw(QTest *q, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
char *qtest_cmd(QTest *q, const char *fmt, ...) G_GNUC_PRINTF(2, 3);

/* QMP: sends one command, a JSON text, and returns its reply's line; events are kept aside. */
char *qtest_qmp(QTest *q, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
/* True when the named event has come, waiting up to a second for it; forgets it. */
bool qtest_qmp_event(QTest *q, const char *name);
/* A command of the human monitor: its output, with \n ends of line (g_free it). */
char *qtest_hmp(QTest *q, const char *fmt, ...) G_GNUC_PRINTF(2, 3);

/* PCI configuration space of bus 0 through ports 0xcf8 and 0xcfc. */
#define QPCI(slot, fn) ((unsigned)(slot) << 3 | (fn))
uint8_t qpci_readb(QTest *q, unsigned devfn, unsigned off);
uint16_t qpci_readw(QTest *q, unsigned devfn, unsigned off);
uint32_t qpci_readl(QTest *q, unsigned devfn, unsigned off);
void qpci_writeb(QTest *q, unsigned devfn, unsigned off, uint8_t v);
void qpci_writew(QTest *q, unsigned devfn, unsigned off, uint16_t v);
void qpci_writel(QTest *q, unsigned devfn, unsigned off, uint32_t v);
/* The devfn of the n-th function with this vendor and device id, or -1. */
int qpci_find(QTest *q, uint16_t vendor, uint16_t device, unsigned n);
/* Size of a BAR (0: not there), by writing ones. */
uint64_t qpci_bar_size(QTest *q, unsigned devfn, unsigned bar);
/* Puts a BAR at addr and turns on its decoding and bus mastering in the command register. */
void qpci_map_bar(QTest *q, unsigned devfn, unsigned bar, uint64_t addr);
/* Offset of a capability, or 0. */
unsigned qpci_find_cap(QTest *q, unsigned devfn, uint8_t id);

/* TAP. */
bool tap_ok(bool ok, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
/* Compares two numbers and shows both when they differ. */
#define tap_eq(got, want, ...) tap_eq_at(__FILE__, __LINE__, (uint64_t)(got), (uint64_t)(want), __VA_ARGS__)
#define check_eq(got, want) tap_eq_at(__FILE__, __LINE__, (uint64_t)(got), (uint64_t)(want), "%s", #got " == " #want)
bool tap_eq_at(const char *file, int line, uint64_t got, uint64_t want, const char *fmt, ...) G_GNUC_PRINTF(5, 6);
bool tap_str_eq(const char *got, const char *want, const char *fmt, ...) G_GNUC_PRINTF(3, 4);
bool tap_mem_eq(const void *got, const void *want, size_t size, const char *fmt, ...) G_GNUC_PRINTF(4, 5);
void tap_skip(const char *name, const char *why);
void tap_note(const char *fmt, ...) G_GNUC_PRINTF(1, 2);
/* "not ok", and the end of the test. */
void tap_bail(const char *fmt, ...) G_GNUC_PRINTF(1, 2) G_GNUC_NORETURN;
/* Prints the plan; the exit status of main. */
int tap_done(void);

/* A directory of this test's own, emptied and removed at its end. */
const char *test_dir(void);
#endif
