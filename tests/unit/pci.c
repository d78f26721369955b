/* The PCI bus with a device of the test's own: INTx and its routing, MSI, MSI-X, DMA, placement, state, unplug. */
#include <check.h>
#include <string.h>
#include "hw/core/machine.h"
#include "hw/isa/piix.h"
#include "hw/pci/i440fx.h"
#include "hw/acpi/acpi.h"

#define RAM_SIZE (16u << 20)

typedef struct Probe {
    PciDevice pci;
    Region bar0, bar2;
} Probe;

static uint64_t probe_read(void *opaque, uint64_t off, unsigned size) { return 0x42 + off; }
static const RegionOps probe_ops = { .read = probe_read, .min = 1, .max = 4 };

static bool probe_realize(Device *d, GError **err)
{
    Probe *s = DEVICE(d, Probe);

    pci_set_pin(&s->pci, 1);
    region_init_io(&s->bar0, d, "bar0", 0x1000, &probe_ops, s);
    region_init_io(&s->bar2, d, "bar2", 1ull << 33, &probe_ops, s);
    pci_register_bar(&s->pci, 0, PCI_BAR_MEM, &s->bar0);
    pci_register_bar(&s->pci, 2, PCI_BAR_MEM64 | PCI_BAR_PREFETCH, &s->bar2);
    return msi_init(&s->pci, 0, 4, true, true, err) && msix_init_exclusive(&s->pci, 3, 4, err);
}

static void probe_unrealize(Device *d)
{
    region_fini(&DEVICE(d, Probe)->bar0);
    region_fini(&DEVICE(d, Probe)->bar2);
}

static const Field probe_fields[] = { PCI_STATE(Probe, pci), HOST(Probe, bar0), HOST(Probe, bar2), {0} };
static const StateTable probe_state = { .name = "probe", .version = 1, .min_version = 1, .fields = probe_fields };
static const DeviceType probe_type = {
    .name = "probe", .bus = "PCI", .parent = &pci_device_type, .hotplug = true, .size = sizeof(Probe), .state = &probe_state,
    .realize = probe_realize, .unrealize = probe_unrealize,
    .class_data = &(const PciClass){ .vendor = 0x1234, .device = 0x5678, .class_id = 0x00ff },
};

static Machine *m;
static PciBus *bus;
static IsaBus *isa;
static Region ram, apic;
static unsigned irqs;                   /* level of each ISA interrupt, as a bit */
static uint64_t msi_addr, msi_data;
static unsigned msi_count;

static void isa_irq(void *to, unsigned n, int level)
{
    irqs = level ? irqs | 1u << n : irqs & ~(1u << n);
}

static void apic_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    msi_addr = 0xfee00000 + off;
    msi_data = val;
    msi_count++;
}

static const RegionOps apic_ops = { .write = apic_write, .min = 4, .max = 4 };

static bool board_init(Machine *mm, GError **err)
{
    return region_init_ram(&ram, mm, NULL, "pc.ram", NULL, RAM_SIZE, err) &&
           (bus = i440fx_create(mm, &ram, RAM_SIZE, 0, err)) && (isa = piix3_create(bus, err)) &&
           piix4_pm_create(bus, PCI_DEVFN_(1, 3), 0xb100, isa_bus_irq, isa, 9, NULL, NULL, err);
}

static const MachineType board = { .name = "board", .max_cpus = 1, .init = board_init };

static void setup(void)
{
    AccelConfig cfg = { .irqchip = IRQCHIP_OFF, .max_cpus = 1, .apic_id_limit = 1 };
    GError *err = NULL;

    m = machine_new(&board, machine_config_new());
    machine_loop_init();
    ck_assert_msg(accel_open("qtest", &cfg, machine_accel_host(m), &err) && machine_build(m, &err), "%s",
                  err ? err->message : "");
    isa_bus_set_irqs(isa, isa_irq, NULL);
    region_init_io(&apic, NULL, "apic-msi", 0x100000, &apic_ops, NULL);
    region_add_overlap(&m->memory, 0xfee00000, &apic, 4096);
    ck_assert(machine_ready(m, &err));
    irqs = msi_count = 0;
}

static Probe *plug(const char *addr)
{
    GError *err = NULL;
    Device *d = device_new(m, &probe_type, &err);

    ck_assert(!addr || device_set(d, "addr", addr, &err));
    ck_assert_msg(device_realize(d, &bus->bus, &err), "%s", err ? err->message : "");
    return DEVICE(d, Probe);
}

static void cfg_write(const Probe *s, unsigned off, uint32_t v, unsigned len)
{
    pio_write(m, 0xcf8, 0x80000000u | (uint32_t)s->pci.devfn << 8 | (off & 0xfc), 4);
    pio_write(m, 0xcfc + (off & 3), v, len);
}

static uint32_t cfg_read(const Probe *s, unsigned off, unsigned len)
{
    pio_write(m, 0xcf8, 0x80000000u | (uint32_t)s->pci.devfn << 8 | (off & 0xfc), 4);
    return pio_read(m, 0xcfc + (off & 3), len);
}

static void route(unsigned pirq, uint8_t irq)
{
    pio_write(m, 0xcf8, 0x80000860, 4);
    pio_write(m, 0xcfc + pirq, irq, 1);
}

START_TEST(test_intx)
{
    Probe *a = plug("03.0"), *b = plug("07.0");     /* both reach PIRQC */

    route(2, 11);
    pci_irq_set(&a->pci, 1);
    ck_assert_uint_eq(irqs, 1u << 11);
    ck_assert(cfg_read(a, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
    pci_irq_set(&b->pci, 1);
    pci_irq_set(&a->pci, 0);
    ck_assert_uint_eq(irqs, 1u << 11);              /* shared: b still holds it */
    ck_assert_int_eq(bus->irq_count[2], 1);
    route(2, 10);                                   /* moves the level along */
    ck_assert_uint_eq(irqs, 1u << 10);
    route(2, 0x80);
    ck_assert_uint_eq(irqs, 0);
    route(2, 10);
    cfg_write(b, PCI_COMMAND, PCI_COMMAND_INTX_DISABLE, 2);
    ck_assert_uint_eq(irqs, 0);
    ck_assert(cfg_read(b, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
    cfg_write(b, PCI_COMMAND, 0, 2);
    ck_assert_uint_eq(irqs, 1u << 10);
    machine_reset_now(m, CAUSE_GUEST_RESET);
    ck_assert_uint_eq(irqs, 0);
    ck_assert_int_eq(bus->irq_count[2], 0);
    ck_assert(!(cfg_read(b, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT));
}
END_TEST

START_TEST(test_routing_shares)
{
    Probe *a = plug("03.0"), *b = plug("04.0");     /* PIRQC and PIRQD, both to IRQ 5 */

    route(2, 5);
    route(3, 5);
    pci_irq_set(&a->pci, 1);
    pci_irq_set(&b->pci, 1);
    pci_irq_set(&a->pci, 0);
    ck_assert_uint_eq(irqs, 1u << 5);
    route(3, 0xff);
    ck_assert_uint_eq(irqs, 0);
}
END_TEST

START_TEST(test_msi)
{
    Probe *s = plug(NULL);
    unsigned cap = s->pci.msi_cap;

    cfg_write(s, cap + PCI_MSI_ADDRESS_LO, 0xfee01000, 4);
    cfg_write(s, cap + PCI_MSI_DATA_64, 0x4143, 2);
    cfg_write(s, cap + PCI_MSI_FLAGS, PCI_MSI_FLAGS_ENABLE | 5 << 4, 2);    /* asks for more than there are */
    ck_assert_uint_eq(msi_allocated(&s->pci), 4);
    msi_notify(&s->pci, 2);
    ck_assert_uint_eq(msi_count, 0);                                        /* no bus master */
    cfg_write(s, PCI_COMMAND, PCI_COMMAND_MASTER, 2);
    msi_notify(&s->pci, 2);
    ck_assert_uint_eq(msi_count, 1);
    ck_assert_uint_eq(msi_addr, 0xfee01000);
    ck_assert_uint_eq(msi_data, 0x4142);
    cfg_write(s, cap + PCI_MSI_MASK_64, 0xffffffff, 4);
    ck_assert_uint_eq(cfg_read(s, cap + PCI_MSI_MASK_64, 4), 0xf);
    msi_notify(&s->pci, 1);
    ck_assert_uint_eq(msi_count, 1);
    ck_assert_uint_eq(cfg_read(s, cap + PCI_MSI_PENDING_64, 4), 2);
    cfg_write(s, cap + PCI_MSI_MASK_64, 0, 4);
    ck_assert_uint_eq(msi_count, 2);
    ck_assert_uint_eq(msi_data, 0x4141);
    msi_notify(&s->pci, 77);                                                /* nonsense is nothing */
    ck_assert_uint_eq(msi_count, 2);
}
END_TEST

START_TEST(test_msix)
{
    Probe *s = plug(NULL);
    unsigned cap = s->pci.msix_cap;
    const uint64_t at = 0xfd000000;

    ck_assert_uint_eq(cfg_read(s, cap + PCI_MSIX_FLAGS, 2), 2);             /* three vectors */
    ck_assert_uint_eq(cfg_read(s, cap + PCI_MSIX_TABLE, 4), 4);
    cfg_write(s, PCI_BASE_ADDRESS_4, at, 4);
    cfg_write(s, PCI_COMMAND, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY, 2);
    ck_assert_uint_eq(mem_read(m, at + 16 + PCI_MSIX_ENTRY_VECTOR_CTRL, 4), 1);
    mem_write(m, at + 16 + PCI_MSIX_ENTRY_LOWER_ADDR, 0xfee02000, 4);
    mem_write(m, at + 16 + PCI_MSIX_ENTRY_DATA, 0x77, 4);
    cfg_write(s, cap + PCI_MSIX_FLAGS, PCI_MSIX_FLAGS_ENABLE, 2);
    msix_notify(&s->pci, 1);
    ck_assert_uint_eq(msi_count, 0);
    ck_assert_uint_eq(mem_read(m, at + 0x800, 4), 2);                       /* pending */
    mem_write(m, at + 16 + PCI_MSIX_ENTRY_VECTOR_CTRL, 0, 4);
    ck_assert_uint_eq(msi_count, 1);
    ck_assert_uint_eq(msi_data, 0x77);
    ck_assert_uint_eq(mem_read(m, at + 0x800, 4), 0);
    cfg_write(s, cap + PCI_MSIX_FLAGS, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL, 2);
    msix_notify(&s->pci, 1);
    ck_assert_uint_eq(msi_count, 1);
    cfg_write(s, cap + PCI_MSIX_FLAGS, PCI_MSIX_FLAGS_ENABLE, 2);
    ck_assert_uint_eq(msi_count, 2);
    msix_notify(&s->pci, 3);
    msix_notify(&s->pci, 1u << 31);
    ck_assert_uint_eq(mem_read(m, at + 3 * 16, 4), 0xffffffff);             /* behind the table there is nothing */
}
END_TEST

START_TEST(test_dma_and_bars)
{
    Probe *s = plug(NULL);
    uint32_t v = 0x12345678, got = 0;

    ck_assert(!pci_dma_write(&s->pci, 0x1000, &v, 4));
    cfg_write(s, PCI_COMMAND, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY, 2);
    ck_assert(pci_dma_write(&s->pci, 0x1000, &v, 4));
    ck_assert(pci_dma_read(&s->pci, 0x1000, &got, 4));
    ck_assert_uint_eq(got, v);
    ck_assert(!pci_dma_write(&s->pci, RAM_SIZE - 2, &v, 4));
    cfg_write(s, PCI_BASE_ADDRESS_2, 0xffffffff, 4);
    cfg_write(s, PCI_BASE_ADDRESS_3, 0xffffffff, 4);
    ck_assert_uint_eq(cfg_read(s, PCI_BASE_ADDRESS_2, 4), 0x0000000c);
    ck_assert_uint_eq(cfg_read(s, PCI_BASE_ADDRESS_3, 4), 0xfffffffe);
    ck_assert_uint_eq(pci_bar_addr(&s->pci, 2), PCI_UNMAPPED);
    cfg_write(s, PCI_BASE_ADDRESS_3, 0x80, 4);
    ck_assert_uint_eq(pci_bar_addr(&s->pci, 2), 0x8000000000ull);
    ck_assert_uint_eq(mem_read(m, 0x8000000000ull + 3, 1), 0x45);
    cfg_write(s, PCI_BASE_ADDRESS_0, 0x2000, 4);                            /* behind RAM */
    ck_assert_uint_eq(mem_read(m, 0x2000, 4), 0);
    cfg_write(s, PCI_BASE_ADDRESS_0, 0xfffff000, 4);
    ck_assert_uint_eq(pci_bar_addr(&s->pci, 0), PCI_UNMAPPED);
}
END_TEST

START_TEST(test_state)
{
    Probe *s = plug("05.0");
    g_autoptr(GByteArray) out = g_byte_array_new();
    g_autoptr(GError) err = NULL;

    route(0, 10);
    cfg_write(s, PCI_BASE_ADDRESS_0, 0xfe000000, 4);
    cfg_write(s, PCI_COMMAND, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY, 2);
    state_save(&probe_state, s, out);
    ck_assert_uint_eq(out->len, 4 + 256 + 16);
    machine_reset_now(m, CAUSE_GUEST_RESET);
    ck_assert_uint_eq(pci_bar_addr(&s->pci, 0), PCI_UNMAPPED);
    ck_assert_int_eq(state_load(&probe_state, s, 1, out->data, out->len, "probe", &err), out->len);
    ck_assert_uint_eq(pci_bar_addr(&s->pci, 0), 0xfe000000);
    ck_assert(s->pci.bus_master);
    out->data[4] ^= 1;                                                      /* another vendor */
    ck_assert_int_eq(state_load(&probe_state, s, 1, out->data, out->len, "probe", &err), -1);
    ck_assert(strstr(err->message, "configuration byte 0x0"));
    g_clear_error(&err);
    out->data[4] ^= 1;
    out->data[4 + 256 + 3] = 2;                                             /* a level is 0 or 1 */
    ck_assert_int_eq(state_load(&probe_state, s, 1, out->data, out->len, "probe", &err), -1);
}
END_TEST

static bool fails(const char *addr, const char *multifunction, const char *text)
{
    g_autoptr(GError) err = NULL;
    Device *d = device_new(m, &probe_type, &err);

    ck_assert(device_set(d, "addr", addr, &err) && device_set(d, "multifunction", multifunction, &err));
    return !device_realize(d, &bus->bus, &err) && strstr(err->message, text);
}

START_TEST(test_placement)
{
    g_autoptr(GError) err = NULL;

    ck_assert_uint_eq(plug(NULL)->pci.devfn, PCI_DEVFN_(2, 0));
    ck_assert(fails("02.0", "off", "PCI: slot 2 function 0 not available for probe, in use by probe"));
    ck_assert(fails("02.1", "off", "PCI: single function device can't be populated in function 2.1"));
    ck_assert_uint_eq(plug("09.2")->pci.devfn, PCI_DEVFN_(9, 2));
    ck_assert(fails("09.0", "off", "PCI: 9.0 indicates single function, but 9.2 is already populated."));
    for (unsigned slot = 3; slot < 32; slot++)
        if (slot != 9)
            plug(NULL);
    ck_assert(!device_create(m, &probe_type, &bus->bus, &err));
    ck_assert_str_eq(err->message, "PCI: no slot/function available for probe, all in use or reserved");
}
END_TEST

START_TEST(test_unplug)
{
    GError *err = NULL;
    Device *d = device_new(m, &probe_type, &err);

    d->hotplugged = true;
    d->id = g_strdup("x");
    ck_assert(device_realize(d, &bus->bus, &err));
    ck_assert_uint_eq(pio_read(m, 0xae00, 4), 1u << 2);
    ck_assert_uint_eq(pio_read(m, 0xae00, 4), 0);
    route(1, 10);
    pci_irq_set(pci_device(d), 1);
    ck_assert_uint_eq(irqs, 1u << 10);
    ck_assert(bus->bus.type->request_unplug(&bus->bus, d, &err));
    ck_assert_uint_eq(pio_read(m, 0xae04, 4), 1u << 2);
    ck_assert_uint_eq(pio_read(m, 0xafe0, 1), ACPI_EVENT_PCI_HOTPLUG);
    ck_assert(pci_find(bus, 2, 0));
    pio_write(m, 0xae08, 1u << 2, 4);
    ck_assert(!pci_find(bus, 2, 0));
    ck_assert(!device_find(m, "x"));
    ck_assert_uint_eq(irqs, 0);
    pio_write(m, 0xae08, 0xffffffff, 4);                                    /* the chipset stays */
    for (unsigned i = 0; i < 32; i++)
        pio_write(m, 0xae08, 1u << i, 4);
    ck_assert(pci_find(bus, 0, 0) && pci_find(bus, 1, 0) && pci_find(bus, 1, 3));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("pci");
    TCase *tc = tcase_create("bus");
    SRunner *r = srunner_create(s);
    int failed;

    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_add_test(tc, test_intx);
    tcase_add_test(tc, test_routing_shares);
    tcase_add_test(tc, test_msi);
    tcase_add_test(tc, test_msix);
    tcase_add_test(tc, test_dma_and_bars);
    tcase_add_test(tc, test_state);
    tcase_add_test(tc, test_placement);
    tcase_add_test(tc, test_unplug);
    suite_add_tcase(s, tc);
    srunner_run_all(r, CK_ENV);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
