/*
 * USB: the registers of piix3-usb-uhci, its schedule, and the devices behind it, as a small driver sees them.
 *
 * What the devices say is compared with stock QEMU's in tests/kvm/test-usb; here are the controller's own rules.
 */
#include <string.h>
#include "libqtest.h"

#define MS 1000000ll
#define IO 0xc000
enum { CMD = IO, STS = IO + 2, INTR = IO + 4, FRNUM = IO + 6, FLBASE = IO + 8, SOF = IO + 0xc, PORT1 = IO + 0x10, PORT2 = IO + 0x12 };
#define LIST 0x100000u
#define QH 0x101000u
#define TD 0x102000u
#define BUF 0x110000u
enum { ACTIVE = 1 << 23, STALLED = 1 << 22, NAK = 1 << 19, TIMEOUT = 1 << 18, IOC = 1 << 24, SPD = 1 << 29, ERRORS = 3 << 27 };
enum { IN = 0x69, OUT = 0xe1, SETUP = 0x2d };

static unsigned devfn;

/* ---- The driver ---- */

static void td(QTest *q, unsigned n, unsigned link, unsigned pid, unsigned addr, unsigned ep, unsigned size, unsigned buf, unsigned flags)
{
    const unsigned at = TD + 32 * n;

    qtest_writel(q, at, link);
    qtest_writel(q, at + 4, ACTIVE | ERRORS | flags | 0x7ff);
    qtest_writel(q, at + 8, pid | addr << 8 | ep << 15 | ((size - 1) & 0x7ff) << 21);
    qtest_writel(q, at + 12, buf);
}

static unsigned td_status(QTest *q, unsigned n)
{
    return qtest_readl(q, TD + 32 * n + 4);
}

/* All frames begin with the queue head QH, which is empty. */
static void controller_on(QTest *q)
{
    static uint32_t list[1024];

    qpci_writel(q, devfn, 0x20, IO);
    qpci_writel(q, devfn, 4, 5);
    qtest_outw(q, CMD, 2);
    for (unsigned i = 0; i < 1024; i++)
        list[i] = GUINT32_TO_LE(QH | 2);
    qtest_memwrite(q, LIST, list, sizeof list);
    qtest_writel(q, QH, 1);
    qtest_writel(q, QH + 4, 1);
    qtest_outl(q, FLBASE, LIST);
    qtest_outw(q, INTR, 0xf);
    qtest_outw(q, CMD, 0xc1);
}

static void port_on(QTest *q, unsigned port)
{
    qtest_outw(q, port, 0x200);
    qtest_clock_step(q, 50 * MS);
    qtest_outw(q, port, 0);
    qtest_outw(q, port, 0xe);
}

static void run(QTest *q, unsigned ms)
{
    qtest_writel(q, QH + 4, TD);
    for (unsigned i = 0; i < ms && !(qtest_readl(q, QH + 4) & 1); i++)
        qtest_clock_step(q, MS);
}

/* A control transfer; the bytes of its data stage, or -1 if it failed. */
static int control(QTest *q, unsigned addr, unsigned type, unsigned req, unsigned value, unsigned index, unsigned size, void *data)
{
    const uint8_t setup[8] = { type, req, value, value >> 8, index, index >> 8, size, size >> 8 };
    unsigned n = 1, done = 0;

    qtest_memwrite(q, BUF, setup, 8);
    if (size && !(type & 0x80))
        qtest_memwrite(q, BUF + 64, data, size);
    td(q, 0, (TD + 32) | 4, SETUP, addr, 0, 8, BUF, 0);
    for (unsigned off = 0; off < size; off += 8, n++)
        td(q, n, n * 8 >= size ? 1 : (TD + 32 * (n + 1)) | 4, type & 0x80 ? IN : OUT, addr, 0, MIN(8, size - off), BUF + 64 + off,
           type & 0x80 ? SPD : 0);
    if (n == 1)
        qtest_writel(q, TD, 1);
    run(q, 20);
    if (td_status(q, 0) & (ACTIVE | STALLED | TIMEOUT))
        return -1;
    for (unsigned i = 1; i < n; i++) {
        if (td_status(q, i) & (STALLED | TIMEOUT))
            return -1;
        if (td_status(q, i) & ACTIVE)
            break;
        done += (td_status(q, i) + 1) & 0x7ff;
    }
    if (done && (type & 0x80))
        qtest_memread(q, BUF + 64, data, done);
    qtest_writel(q, QH + 4, 1);
    td(q, 0, 1, type & 0x80 && size ? OUT : IN, addr, 0, 0, 0, 0);
    run(q, 20);
    return td_status(q, 0) & (ACTIVE | STALLED | TIMEOUT) ? -1 : (int)done;
}

static QTest *start(const char *args)
{
    QTest *q = qtest_start_qmp("-M pc -nodefaults -m 16 -usb %s", args);

    devfn = QPCI(1, 2);
    controller_on(q);
    return q;
}

/* ---- Registers ---- */

static void test_registers(void)
{
    QTest *q = qtest_start("-M pc -nodefaults -m 16 -usb -device usb-mouse");

    devfn = QPCI(1, 2);
    check_eq(qpci_readl(q, devfn, 0), 0x70208086);
    check_eq(qpci_readl(q, devfn, 8), 0x0c030001);
    check_eq(qpci_readb(q, devfn, 0x3d), 4);
    check_eq(qpci_readb(q, devfn, 0x60), 0x10);
    check_eq(qpci_bar_size(q, devfn, 4), 32);
    qpci_writel(q, devfn, 0x20, IO);
    qpci_writel(q, devfn, 4, 5);
    check_eq(qtest_inw(q, CMD), 0);
    check_eq(qtest_inw(q, STS), 0x20);
    check_eq(qtest_inw(q, INTR), 0);
    check_eq(qtest_inw(q, FRNUM), 0);
    check_eq(qtest_inl(q, FLBASE), 0);
    check_eq(qtest_inb(q, SOF), 64);
    check_eq(qtest_inw(q, PORT1), 0x83);
    check_eq(qtest_inw(q, PORT2), 0x80);
    check_eq(qtest_inw(q, IO + 0x14), 0xff7f);
    qtest_outl(q, FLBASE, 0x12345fff);
    tap_eq(qtest_inl(q, FLBASE), 0x12345000, "the frame list is aligned");
    qtest_outw(q, FRNUM, 0xffff);
    tap_eq(qtest_inw(q, FRNUM), 0x7ff, "FRNUM can be set while halted");
    qtest_outw(q, PORT2, 4);
    tap_eq(qtest_inw(q, PORT2), 0x80, "an empty port can't be enabled");
    qtest_outw(q, PORT1, 2);
    tap_eq(qtest_inw(q, PORT1), 0x81, "a change bit is cleared by a one");
    qtest_outw(q, PORT1, 4);
    tap_eq(qtest_inw(q, PORT1), 0x85, "a port is enabled");
    qtest_outw(q, CMD, 2);
    tap_eq(qtest_inw(q, PORT1), 0x83, "a reset of the controller resets its ports");
    check_eq(qtest_inl(q, FLBASE), 0);
    qtest_end(q);
}

static void test_frames(void)
{
    QTest *q = start("-device usb-mouse");
    unsigned first;

    tap_eq(qtest_inw(q, STS), 0, "running");
    first = qtest_inw(q, FRNUM);
    qtest_clock_step(q, 10 * MS);
    tap_eq(qtest_inw(q, FRNUM) - first, 10, "a frame a millisecond");
    qtest_clock_step(q, 3000 * MS);
    tap_eq((qtest_inw(q, FRNUM) - first) & 0x7ff, 3010 & 0x7ff, "also when nothing happens");
    qtest_outw(q, CMD, 0);
    tap_eq(qtest_inw(q, STS), 0x20, "halted");
    first = qtest_inw(q, FRNUM);
    qtest_clock_step(q, 10 * MS);
    tap_eq(qtest_inw(q, FRNUM), first, "no frames then");
    qtest_end(q);
}

/* ---- The schedule ---- */

static void test_results(void)
{
    QTest *q = start("-device usb-mouse");

    qtest_irq_intercept_in(q, "ioapic");
    qpci_writel(q, QPCI(1, 0), 0x60, 0x0b0b0b0b);       /* all PCI interrupts are IRQ 11 */
    port_on(q, PORT1);
    td(q, 0, 1, IN, 5, 1, 8, BUF, IOC);
    run(q, 3);
    tap_eq(td_status(q, 0), (ACTIVE | ERRORS | IOC | 0x7ff | TIMEOUT) & ~(ACTIVE | ERRORS), "nobody has that address");
    tap_eq(qtest_inw(q, STS) & 3, 3, "USBINT and error");
    tap_ok(qtest_irq(q, 11), "the interrupt's line is up");
    qtest_outw(q, STS, 0x3f);
    tap_eq(qtest_inw(q, STS), 0, "acknowledged");
    tap_ok(!qtest_irq(q, 11), "and down");
    td(q, 0, 1, IN, 0, 1, 8, BUF, 0);
    run(q, 3);
    tap_eq(td_status(q, 0), ACTIVE | ERRORS | NAK | 0x7ff, "a mouse that has nothing to say");
    qtest_writel(q, QH + 4, 1);
    td(q, 0, 1, OUT, 0, 1, 8, BUF, IOC);
    run(q, 3);
    tap_eq(td_status(q, 0), STALLED | ERRORS | IOC | 0x7ff, "an endpoint that isn't there stalls");
    td(q, 0, 1, 0x55, 0, 1, 8, BUF, 0);
    run(q, 3);
    tap_eq(qtest_inw(q, STS) & 0x30, 0x30, "no such packet: process error, halted");
    tap_eq(qtest_inw(q, CMD) & 1, 0, "RS is off");
    qtest_end(q);
}

/* Each of these would hold up a careless walk for ever. */
static void test_loops(void)
{
    QTest *q = start("-device usb-mouse");

    port_on(q, PORT1);
    qtest_writel(q, QH, QH | 2);
    qtest_clock_step(q, 5 * MS);
    tap_ok(true, "a queue head that links to itself");
    qtest_writel(q, QH + 4, QH | 2);
    qtest_clock_step(q, 5 * MS);
    tap_ok(true, "and is its own element");
    td(q, 0, TD, IN, 0, 1, 8, BUF, 0);
    qtest_writel(q, LIST, TD);
    for (unsigned i = 0; i < 1024; i++)
        qtest_writel(q, LIST + 4 * i, TD);
    qtest_clock_step(q, 5 * MS);
    qtest_writel(q, TD + 4, 0);
    qtest_clock_step(q, 5 * MS);
    tap_ok(true, "a descriptor that links to itself");
    qtest_outl(q, FLBASE, 0xfffff000);
    qtest_clock_step(q, 5 * MS);
    tap_ok(true, "a frame list outside of RAM");
    qtest_outl(q, FLBASE, LIST);
    for (unsigned i = 0; i < 1024; i++)
        qtest_writel(q, LIST + 4 * i, 0xe0000002);
    qtest_clock_step(q, 5 * MS);
    tap_ok(true, "queue heads outside of RAM");
    qtest_end(q);
}

/* ---- Devices ---- */

static void test_enumerate(void)
{
    QTest *q = start("-device usb-tablet");
    uint8_t d[64] = { 0 };
    g_autofree char *text = NULL;

    port_on(q, PORT1);
    tap_eq(control(q, 0, 0x80, 6, 0x100, 0, 64, d), 18, "the device descriptor, short of what was asked for");
    check_eq(d[8] | d[9] << 8, 0x0627);
    tap_eq(qtest_inw(q, STS) & 1, 1, "a short packet interrupts");
    tap_eq(control(q, 0, 0, 5, 9, 0, 0, NULL), 0, "SET_ADDRESS");
    tap_eq(control(q, 9, 0x80, 6, 0x200, 0, 64, d), 34, "the configuration");
    tap_eq(control(q, 9, 0, 9, 1, 0, 0, NULL), 0, "SET_CONFIGURATION");
    tap_eq(control(q, 9, 0x80, 8, 0, 0, 1, d), 1, "GET_CONFIGURATION");
    check_eq(d[0], 1);
    tap_eq(control(q, 9, 0x80, 0x33, 0, 0, 8, d), -1, "an unknown request stalls");
    tap_eq(control(q, 9, 0x80, 6, 0x100, 0, 18, d), 18, "and the next one works");
    text = qtest_hmp(q, "info usb");
    tap_str_eq(text, "  Device 0.9, Port 1, Speed 12 Mb/s, Product QEMU USB Tablet\n", "info usb");
    qtest_end(q);
}

static void fetch(QTest *q, unsigned addr, unsigned size, unsigned ms)
{
    td(q, 0, 1, IN, addr, 1, size, BUF, IOC);
    run(q, ms);
}

static void test_tablet(void)
{
    QTest *q = start("-device usb-tablet");
    uint8_t d[8];

    port_on(q, PORT1);
    fetch(q, 0, 8, 2);
    g_free(qtest_qmp(q, "{'execute': 'input-send-event', 'arguments': {'events': ["
                     "{'type': 'abs', 'data': {'axis': 'x', 'value': 4660}}, {'type': 'abs', 'data': {'axis': 'y', 'value': 22136}},"
                     "{'type': 'btn', 'data': {'button': 'left', 'down': true}}]}}"));
    run(q, 2);
    tap_eq(td_status(q, 0) & (ACTIVE | 0x7ff), 5, "a report of six bytes");
    qtest_memread(q, BUF, d, 6);
    tap_mem_eq(d, (const uint8_t[]){ 1, 0x34, 0x12, 0x78, 0x56, 0 }, 6, "position and button arrive exactly");
    fetch(q, 0, 8, 2);
    tap_eq(td_status(q, 0) & (ACTIVE | NAK), ACTIVE | NAK, "once");
    qtest_end(q);
}

/* After a second without news the controller dozes; an event wakes it up at once. */
static void test_doze(void)
{
    QTest *q = start("-device usb-kbd");
    uint8_t d[8];

    port_on(q, PORT1);
    fetch(q, 0, 8, 2);
    qtest_clock_step(q, 1000 * MS);
    tap_eq(td_status(q, 0) & (ACTIVE | NAK), ACTIVE | NAK, "the keyboard waits");
    g_free(qtest_qmp(q, "{'execute': 'input-send-event', 'arguments': {'events': ["
                     "{'type': 'key', 'data': {'key': {'type': 'qcode', 'data': 'ret'}, 'down': true}}]}}"));
    qtest_clock_step(q, MS);
    tap_eq(td_status(q, 0) & (ACTIVE | 0x7ff), 7, "a key is there within a millisecond");
    qtest_memread(q, BUF, d, 8);
    tap_mem_eq(d, (const uint8_t[]){ 0, 0, 0x28, 0, 0, 0, 0, 0 }, 8, "its report");
    qtest_clock_step(q, 1000 * MS);
    td(q, 0, 1, IN, 0, 1, 8, BUF, 0);
    qtest_writel(q, QH + 4, TD);
    qtest_clock_step(q, 70 * MS);
    tap_eq(td_status(q, 0) & NAK, NAK, "what is queued while it dozes is seen within 70 ms");
    qtest_end(q);
}

static void test_hub(void)
{
    QTest *q = start("-device usb-hub,port=1 -device usb-mouse,port=1.3,id=m");
    uint8_t d[64] = { 0 };
    g_autofree char *text = NULL;

    port_on(q, PORT1);
    check_eq(control(q, 0, 0, 5, 2, 0, 0, NULL), 0);
    check_eq(control(q, 2, 0, 9, 1, 0, 0, NULL), 0);
    tap_eq(control(q, 2, 0xa0, 6, 0x2900, 0, 16, d), 10, "the hub's descriptor");
    check_eq(d[2], 8);
    check_eq(control(q, 2, 0xa3, 0, 0, 3, 4, d), 4);
    tap_mem_eq(d, (const uint8_t[]){ 1, 1, 1, 0 }, 4, "the mouse at its port 3");
    tap_eq(control(q, 0, 0x80, 6, 0x100, 0, 8, d), -1, "can't be reached yet");
    check_eq(control(q, 2, 0x23, 3, 4, 3, 0, NULL), 0);
    tap_eq(control(q, 0, 0x80, 6, 0x100, 0, 8, d), 8, "after the port's reset it can");
    fetch(q, 2, 2, 2);
    tap_eq(qtest_readw(q, BUF), 1 << 3, "the hub reports the change");
    check_eq(control(q, 2, 0x23, 1, 16, 3, 0, NULL), 0);
    check_eq(control(q, 2, 0x23, 1, 17, 3, 0, NULL), 0);
    check_eq(control(q, 2, 0x23, 1, 20, 3, 0, NULL), 0);
    fetch(q, 2, 2, 2);
    tap_eq(td_status(q, 0) & (ACTIVE | NAK), ACTIVE | NAK, "until all is acknowledged");
    g_free(qtest_qmp(q, "{'execute': 'device_del', 'arguments': {'id': 'm'}}"));
    tap_ok(qtest_qmp_event(q, "DEVICE_DELETED"), "device_del pulls the plug at once");
    fetch(q, 2, 2, 2);
    tap_eq(qtest_readw(q, BUF), 1 << 3, "the hub reports that");
    check_eq(control(q, 2, 0xa3, 0, 0, 3, 4, d), 4);
    tap_mem_eq(d, (const uint8_t[]){ 0, 1, 3, 0 }, 4, "gone");
    g_free(qtest_qmp(q, "{'execute': 'device_add', 'arguments': {'driver': 'usb-kbd', 'id': 'k', 'port': '1.3'}}"));
    check_eq(control(q, 2, 0xa3, 0, 0, 3, 4, d), 4);
    check_eq(d[0], 1);
    text = qtest_hmp(q, "info usb");
    tap_str_eq(text, "  Device 0.2, Port 1, Speed 12 Mb/s, Product QEMU USB Hub\n"
               "  Device 0.0, Port 1.3, Speed 12 Mb/s, Product QEMU USB Keyboard, ID: k\n", "info usb");
    qtest_end(q);
}

/* ---- usb-storage: Bulk-Only Transport ---- */

#define SIG_CSW 0x53425355u

/* A bulk packet; its status. An image's answer takes real time. */
static unsigned bulk(QTest *q, unsigned pid, unsigned ep, unsigned size)
{
    td(q, 0, 1, pid, 0, ep, size, BUF, 0);
    for (unsigned i = 0; i < 300 && (i == 0 || td_status(q, 0) & ACTIVE); i++) {
        run(q, 3);
        if (i > 3)
            g_usleep(10000);
    }
    return td_status(q, 0);
}

static unsigned command(QTest *q, unsigned length, bool in, const uint8_t *cdb, unsigned n)
{
    uint8_t cbw[31] = { 0x55, 0x53, 0x42, 0x43, 1, 2, 3, 4, length, length >> 8, length >> 16, 0, in ? 0x80 : 0, 0, n };

    memcpy(cbw + 15, cdb, n);
    qtest_memwrite(q, BUF, cbw, sizeof cbw);
    return bulk(q, OUT, 2, sizeof cbw);
}

static void check_status(QTest *q, unsigned status, unsigned residue, const char *what)
{
    const unsigned st = bulk(q, IN, 1, 13);

    tap_ok((st & (ACTIVE | STALLED | 0x7ff)) == 12 && qtest_readl(q, BUF) == SIG_CSW && qtest_readl(q, BUF + 4) == 0x04030201 &&
           qtest_readl(q, BUF + 8) == residue && qtest_readb(q, BUF + 12) == status, "%s", what);
}

static QTest *start_storage(void)
{
    g_autofree char *path = g_strdup_printf("%s/disk", test_dir());
    g_autofree char *args = g_strdup_printf("-drive if=none,id=d,format=raw,file=%s -device usb-storage,drive=d,id=s", path);
    g_autofree uint8_t *image = g_malloc(1 << 20);
    QTest *q;

    for (unsigned i = 0; i < 1 << 20; i++)
        image[i] = i / 512;
    g_file_set_contents(path, (char *)image, 1 << 20, NULL);
    q = start(args);
    port_on(q, PORT1);
    return q;
}

static void test_storage(void)
{
    static const uint8_t ready[6] = { 0 }, read10[10] = { 0x28, 0, 0, 0, 0, 7, 0, 0, 1, 0 }, write10[10] = { 0x2a, 0, 0, 0, 0, 9, 0, 0, 1, 0 };
    QTest *q = start_storage();
    uint8_t data[64];

    check_eq(bulk(q, IN, 1, 13) & STALLED, STALLED);
    check_eq(command(q, 0, true, ready, 6) & (ACTIVE | STALLED), 0);
    check_status(q, 1, 0, "unit attention after power-on");
    command(q, 0, true, ready, 6);
    check_status(q, 0, 0, "then it is ready");
    command(q, 512, true, read10, 10);
    for (unsigned i = 0; i < 8; i++)
        bulk(q, IN, 1, 64);
    tap_eq(qtest_readb(q, BUF + 63), 7, "READ (10)");
    check_status(q, 0, 0, "and its status");
    command(q, 512, false, write10, 10);
    memset(data, 0xa5, sizeof data);
    for (unsigned i = 0; i < 8; i++) {
        qtest_memwrite(q, BUF, data, sizeof data);
        bulk(q, OUT, 2, 64);
    }
    check_status(q, 0, 0, "WRITE (10)");
    command(q, 128, true, read10, 10);
    bulk(q, IN, 1, 64);
    bulk(q, IN, 1, 64);
    check_status(q, 0, 0, "a host that wants less than there is");
    command(q, 1024, true, read10, 10);
    for (unsigned i = 0; i < 16; i++)
        bulk(q, IN, 1, 64);
    check_status(q, 0, 512, "a host that wants more: the residue says so");
    command(q, 64, false, read10, 10);
    bulk(q, OUT, 2, 64);
    check_status(q, 1, 64, "data the wrong way");
    command(q, 512, true, read10, 10);
    bulk(q, IN, 1, 64);
    check_eq(control(q, 0, 0x21, 0xff, 0, 0, 0, NULL), 0);
    command(q, 0, true, ready, 6);
    check_status(q, 0, 0, "a reset in the middle of a transfer");
    command(q, 512, true, read10, 10);
    g_free(qtest_qmp(q, "{'execute': 'device_del', 'arguments': {'id': 's'}}"));
    tap_ok(qtest_qmp_event(q, "DEVICE_DELETED"), "unplugged in the middle of a transfer");
    td(q, 0, 1, IN, 0, 1, 64, BUF, 0);
    run(q, 3);
    tap_eq(td_status(q, 0) & TIMEOUT, TIMEOUT & ~0u, "nobody answers any more");
    qtest_end(q);
}

static void test_hotplug(void)
{
    QTest *q = start("");

    tap_eq(qtest_inw(q, PORT2), 0x80, "an empty port");
    g_free(qtest_qmp(q, "{'execute': 'device_add', 'arguments': {'driver': 'usb-mouse', 'id': 'm', 'port': '2'}}"));
    tap_eq(qtest_inw(q, PORT2), 0x83, "device_add");
    qtest_outw(q, PORT2, 0xe);
    g_free(qtest_qmp(q, "{'execute': 'device_del', 'arguments': {'id': 'm'}}"));
    tap_eq(qtest_inw(q, PORT2), 0x8a, "device_del: no connection, disabled, both changed");
    qtest_end(q);
}

int main(void)
{
    if (qtest_is_qemu()) {
        tap_skip("schedule", "stock QEMU's clock can't be stepped");
        test_registers();
        return tap_done();
    }
    test_registers();
    test_frames();
    test_results();
    test_loops();
    test_enumerate();
    test_tablet();
    test_doze();
    test_hub();
    test_hotplug();
    test_storage();
    return tap_done();
}
