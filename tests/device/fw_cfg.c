/* fw_cfg: selector, data port, DMA, directory, writable files; the ACPI files' loader; vmgenid. */
#include <string.h>
#include "libqtest.h"

enum { DMA_ERROR = 1, DMA_READ = 2, DMA_SKIP = 4, DMA_SELECT = 8, DMA_WRITE = 16 };
#define COMMAND 0x10000
#define BUFFER 0x20000

static uint32_t dma(QTest *q, uint32_t control, uint32_t length, uint64_t addr)
{
    qtest_writel(q, COMMAND, GUINT32_TO_BE(control));
    qtest_writel(q, COMMAND + 4, GUINT32_TO_BE(length));
    qtest_writeq(q, COMMAND + 8, GUINT64_TO_BE(addr));
    qtest_outl(q, 0x514, 0);
    qtest_outl(q, 0x518, GUINT32_TO_BE(COMMAND));
    return GUINT32_FROM_BE(qtest_readl(q, COMMAND));
}

/* The key and size of a file; 0: not there. */
static uint16_t find(QTest *q, const char *name, uint32_t *size)
{
    g_autofree uint8_t *dir = g_malloc0(4 + 64 * 64);
    uint32_t n;

    dma(q, 0x19 << 16 | DMA_SELECT | DMA_READ, 4 + 64 * 64, BUFFER);
    qtest_memread(q, BUFFER, dir, 4 + 64 * 64);
    n = MIN(dir[3], 64);
    for (uint32_t i = 0; i < n; i++) {
        const uint8_t *e = dir + 4 + 64 * i;

        if (!strncmp((const char *)e + 8, name, 56)) {
            *size = (uint32_t)e[0] << 24 | e[1] << 16 | e[2] << 8 | e[3];
            return e[4] << 8 | e[5];
        }
    }
    *size = 0;
    return 0;
}

static void test_ports(QTest *q)
{
    qtest_outw(q, 0x510, 0);
    tap_eq(qtest_inb(q, 0x511), 'Q', "signature");
    tap_eq(qtest_inb(q, 0x511), 'E', "its second byte");
    tap_eq(qtest_inb(q, 0x510), 'M', "the selector reads as data");
    tap_eq(qtest_inw(q, 0x510), 0, "a word of the selector reads as zero");
    qtest_outb(q, 0x511, 1);
    tap_eq(qtest_inb(q, 0x511), 'U', "writes to the data port do nothing");
    tap_eq(qtest_inb(q, 0x511), 0, "behind the end");
    qtest_outw(q, 0x510, 1);
    tap_eq(qtest_inb(q, 0x511), 3, "id: ports and DMA");
    qtest_outw(q, 0x510, 0x3fff);
    tap_eq(qtest_inb(q, 0x511), 0, "an item that is not there");
    tap_eq(qtest_inl(q, 0x514), 0x554d4551, "DMA signature, low");
    tap_eq(qtest_inl(q, 0x518), 0x47464320, "DMA signature, high");
    tap_eq(qtest_inb(q, 0x51b), 'G', "a byte of it");
}

static void test_dma(QTest *q)
{
    char s[8] = "";

    tap_eq(dma(q, DMA_SELECT | DMA_READ, 4, BUFFER), 0, "DMA: read");
    qtest_memread(q, BUFFER, s, 4);
    tap_str_eq(s, "QEMU", "what it read");
    tap_eq(dma(q, DMA_SELECT | DMA_SKIP, 2, 0), 0, "skip");
    tap_eq(dma(q, DMA_READ, 6, BUFFER), 0, "read on, past the end");
    qtest_memread(q, BUFFER, s, 6);
    tap_mem_eq(s, "MU\0\0\0\0", 6, "zeros behind the end");
    tap_eq(dma(q, DMA_SELECT | DMA_WRITE, 4, BUFFER), DMA_ERROR, "writing what is read-only");
    if (!qtest_is_qemu())               /* it would take minutes */
        tap_eq(dma(q, DMA_SELECT | DMA_READ, 0xffffffff, BUFFER), DMA_ERROR, "reading past the end of memory");
    tap_eq(dma(q, 0x3fff << 16 | DMA_SELECT | DMA_READ, 16, BUFFER), 0, "no such item");
    tap_eq(dma(q, DMA_SELECT | DMA_READ, 16, COMMAND), 0, "onto the command itself");
    qtest_outl(q, 0x518, GUINT32_TO_BE(0xfee00000));
    qtest_outl(q, 0x514, 0xffffffff);
    qtest_outl(q, 0x518, 0xffffffff);
    tap_eq(dma(q, DMA_SELECT | DMA_READ, 4, BUFFER), 0, "after commands that are nowhere");
}

static void test_files(QTest *q)
{
    uint8_t guid[16], want[16] = { 0x44, 0x33, 0x22, 0x11, 0x66, 0x55, 0x88, 0x77, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff, 0 };
    uint32_t size;
    uint16_t key = find(q, "opt/x", &size);
    char s[8] = "";

    tap_ok(key >= 0x20, "file opt/x");
    tap_eq(size, 5, "its size");
    qtest_outw(q, 0x510, key);
    for (unsigned i = 0; i < 5; i++)
        s[i] = qtest_inb(q, 0x511);
    tap_str_eq(s, "hello", "its contents");
    key = find(q, "etc/vmgenid_guid", &size);
    tap_eq(size, 4096, "etc/vmgenid_guid");
    dma(q, key << 16 | DMA_SELECT | DMA_SKIP, 40, 0);
    dma(q, DMA_READ, 16, BUFFER);
    qtest_memread(q, BUFFER, guid, 16);
    tap_mem_eq(guid, want, 16, "the id, in Microsoft's order");
    key = find(q, "etc/vmgenid_addr", &size);
    tap_eq(size, 8, "etc/vmgenid_addr");
    qtest_writeq(q, BUFFER, 0x123456789abcdef0);
    tap_eq(dma(q, key << 16 | DMA_SELECT | DMA_WRITE, 9, BUFFER), DMA_ERROR, "writing more than it has");
    tap_eq(dma(q, key << 16 | DMA_SELECT | DMA_WRITE, 8, BUFFER), 0, "writing it");
    tap_eq(dma(q, key << 16 | DMA_SELECT | DMA_READ, 8, BUFFER + 8), 0, "and back");
    tap_eq(qtest_readq(q, BUFFER + 8), 0x123456789abcdef0, "what was written");
}

/* Carries out etc/table-loader with the tables at 0x100000 and looks at the result as an operating system does. */
static void test_tables(QTest *q)
{
    const uint32_t at = 0x100000, rsdp = 0x90000, guid = 0xa00000;
    uint32_t size, loader_size;
    uint16_t key = find(q, "etc/acpi/tables", &size);
    g_autofree uint8_t *loader = NULL, *t = NULL;
    uint8_t sum = 0;
    uint32_t rsdt, n;

    tap_eq(size, 0x20000, "etc/acpi/tables");
    dma(q, key << 16 | DMA_SELECT | DMA_READ, size, at);
    key = find(q, "etc/acpi/rsdp", &size);
    tap_eq(size, 20, "etc/acpi/rsdp");
    dma(q, key << 16 | DMA_SELECT | DMA_READ, size, rsdp);
    key = find(q, "etc/table-loader", &loader_size);
    tap_eq(loader_size, 4096, "etc/table-loader");
    loader = g_malloc(loader_size);
    dma(q, key << 16 | DMA_SELECT | DMA_READ, loader_size, BUFFER);
    qtest_memread(q, BUFFER, loader, loader_size);
    t = g_malloc(0x20000);
    for (const uint8_t *c = loader; c < loader + loader_size && *c; c += 128) {
        uint32_t file = strstr((char *)c + 4, "rsdp") ? rsdp : at;
        uint32_t w[3];

        if (*c == 2) {
            memcpy(w, c + 116, 4);
            qtest_writel(q, file + w[0], qtest_readl(q, file + w[0]) + (strstr((char *)c + 60, "guid") ? guid : at));
        } else if (*c == 3) {
            memcpy(w, c + 60, 12);
            sum = 0;
            qtest_memread(q, file + w[1], t, w[2]);
            for (uint32_t i = 0; i < w[2]; i++)
                sum -= t[i];
            qtest_writeb(q, file + w[0], sum);
        }
    }
    rsdt = qtest_readl(q, rsdp + 16);
    tap_eq(qtest_readl(q, rsdt), 0x54445352, "RSDT");
    n = (qtest_readl(q, rsdt + 4) - 36) / 4;
    tap_ok(n >= 5 && n < 10, "its entries");
    for (uint32_t i = 0; i < n; i++) {
        uint32_t table = qtest_readl(q, rsdt + 36 + 4 * i), len = MIN(qtest_readl(q, table + 4), 0x20000);
        char sig[5] = "";

        qtest_memread(q, table, t, len);
        memcpy(sig, t, 4);
        sum = 0;
        for (uint32_t j = 0; j < len; j++)
            sum += t[j];
        tap_eq(sum, 0, "checksum of %s", sig);
        if (!strcmp(sig, "FACP"))
            tap_eq(qtest_readl(q, qtest_readl(q, table + 40)), 0x54445344, "FADT leads to the DSDT");
    }
}

int main(void)
{
    QTest *q = qtest_start("-M pc-i440fx-7.2 -nodefaults -fw_cfg name=opt/x,string=hello "
                           "-device vmgenid,guid=11223344-5566-7788-99aa-bbccddeeff00");

    test_ports(q);
    test_dma(q);
    test_files(q);
    test_tables(q);
    qtest_end(q);
    return tap_done();
}
