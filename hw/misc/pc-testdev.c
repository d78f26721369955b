/*
 * pc-testdev: what kvm-unit-tests use to try out a hypervisor.
 *
 *   port 0xe0      32-bit latch, accessible at every size           0xe8    the same latch, byte accesses only
 *   port 0xe4      takes the page with this address away from KVM's page tables, and gives it back
 *   port 0x2000+n  level of ISA interrupt n
 *   0xff000000     64 KiB of memory behind MMIO
 */
#include <sys/mman.h>
#include "hw/core/machine.h"
#include "hw/isa/isa.h"
#include "hw/misc/misc.h"

#define IOMEM_BASE 0xff000000u
#define IOMEM_LEN 0x10000u
#define PAGE 4096u
enum { PORT_LATCH = 0xe0, PORT_FLUSH = 0xe4, PORT_LATCH_BYTE = 0xe8, PORT_IRQ = 0x2000, IRQ_LINES = 24 };

typedef struct TestDev {
    Device dev;

    /* guest state; QEMU does not migrate it */
    uint8_t latch[4];
    uint8_t iomem_buf[IOMEM_LEN];

    /* set-up */
    Region iomem;
} TestDev;

static uint64_t get(const uint8_t *p, unsigned size)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < size; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

static void put(uint8_t *p, uint64_t v, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        p[i] = v >> (8 * i);
}

static uint64_t latch_read(void *opaque, uint64_t off, unsigned size)
{
    return get(((TestDev *)opaque)->latch + (off & 3), MIN(size, 4 - (off & 3)));
}

static void latch_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    put(((TestDev *)opaque)->latch + (off & 3), val, MIN(size, 4 - (off & 3)));
}

static void flush_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    TestDev *s = opaque;
    size_t len = PAGE;
    void *p = dma_map(&s->dev, val & ~(uint64_t)(PAGE - 1), &len, false);

    if (!p)
        return;
    if (len == PAGE && !((uintptr_t)p & (PAGE - 1))) {
        mprotect(p, PAGE, PROT_READ);
        mprotect(p, PAGE, PROT_READ | PROT_WRITE);
    }
    dma_unmap(&s->dev, p, 0, false);
}

static void irq_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    TestDev *s = opaque;

    if (off < ISA_IRQS)
        isa_bus_irq(isa_bus_of(&s->dev), off, val != 0);
}

static uint64_t no_read(void *opaque, uint64_t off, unsigned size)
{
    return 0;
}

static uint64_t iomem_read(void *opaque, uint64_t off, unsigned size)
{
    return get(((TestDev *)opaque)->iomem_buf + (off & (IOMEM_LEN - 1)), MIN(size, IOMEM_LEN - (off & (IOMEM_LEN - 1))));
}

static void iomem_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    put(((TestDev *)opaque)->iomem_buf + (off & (IOMEM_LEN - 1)), val, MIN(size, IOMEM_LEN - (off & (IOMEM_LEN - 1))));
}

static const RegionOps iomem_ops = { .read = iomem_read, .write = iomem_write, .min = 1, .max = 8, .unaligned = true };

static bool testdev_realize(Device *d, GError **err)
{
    static const PioRange latch[] = { { PORT_LATCH, 4, 4, latch_read, latch_write }, {0} };
    static const PioRange byte[] = { { PORT_LATCH_BYTE, 4, 1, latch_read, latch_write }, {0} };
    static const PioRange flush[] = { { PORT_FLUSH, 4, 4, no_read, flush_write }, {0} };
    static const PioRange irq[] = { { PORT_IRQ, IRQ_LINES, 1, no_read, irq_write }, {0} };
    TestDev *s = DEVICE(d, TestDev);

    region_init_io(&s->iomem, d, "pc-testdev-iomem", IOMEM_LEN, &iomem_ops, s);
    region_add(isa_bus_of(d)->mem, IOMEM_BASE, &s->iomem);
    return isa_map_ports(d, "pc-testdev-ioport", 0, latch, err) &&
           isa_map_ports(d, "pc-testdev-ioport-byte", 0, byte, err) &&
           isa_map_ports(d, "pc-testdev-flush-page", 0, flush, err) &&
           isa_map_ports(d, "pc-testdev-irq-line", 0, irq, err);
}

static void testdev_unrealize(Device *d)
{
    region_fini(&DEVICE(d, TestDev)->iomem);
}

const DeviceType pc_testdev_type = {
    .name = "pc-testdev", .bus = "ISA", .size = sizeof(TestDev), .realize = testdev_realize,
    .unrealize = testdev_unrealize,
    .host = (const Field[]) { HOST(TestDev, dev), LOCAL(TestDev, latch), LOCAL(TestDev, iomem_buf), HOST(TestDev, iomem), {0} },
};
