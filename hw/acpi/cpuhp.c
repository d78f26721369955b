/*
 * CPU hot-plug through ACPI: the registers that the DSDT's methods read (QEMU's docs/specs/acpi_cpu_hotplug).
 *
 * Legacy: a bitmap of the APIC ids present. Writing zero to its first byte chooses the modern interface for good:
 *   00 selector w, data 2 r; 04 flags rw; 05 command w; 08 data rw
 *
 * A CPU that came, or is asked to go, raises GPE0's CPU event; the guest looks for it with command 0, and gives it up by
 * writing the eject flag. Not modelled: ejection by the firmware.
 */
#include "hw/acpi/acpi-int.h"
#include "util/log.h"

#define LEGACY_LEN 0x20
enum { CPUHP_SELECT = 0, CPUHP_DATA2 = 0, CPUHP_FLAGS = 4, CPUHP_COMMAND = 5, CPUHP_DATA = 8 };
enum { FLAG_ENABLED = 1, FLAG_INSERT = 2, FLAG_REMOVE = 4, FLAG_EJECT = 8 };
enum { CMD_NEXT_EVENT = 0, CMD_OST_EVENT = 1, CMD_OST_STATUS = 2, CMD_CPU_ID = 3 };

/* The CPU with this APIC id, or NULL. */
static Device *cpu_of(const AcpiCpuHp *s, uint32_t apic_id)
{
    GPtrArray *vcpus = s->dev->machine->vcpus;

    for (unsigned i = 0; vcpus && i < vcpus->len; i++) {
        Vcpu *v = g_ptr_array_index(vcpus, i);

        if (v->apic_id == apic_id)
            return v->cpu;              /* begins with its Device */
    }
    return NULL;
}

static bool present(const AcpiCpuHp *s, uint32_t apic_id)
{
    return cpu_of(s, apic_id);
}

/* ---- Legacy interface ---- */

static uint64_t legacy_read(void *opaque, uint64_t off, unsigned size)
{
    uint8_t v = 0;

    for (unsigned bit = 0; bit < 8; bit++)
        v |= present(opaque, off * 8 + bit) << bit;
    return v;
}

static void legacy_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    if (off == 0 && val == 0)
        acpi_cpuhp_set_modern(opaque, true);
}

static const RegionOps legacy_ops = { .read = legacy_read, .write = legacy_write, .min = 1, .max = 1 };

/* ---- Modern interface ---- */

static uint64_t modern_read(void *opaque, uint64_t off, unsigned size)
{
    AcpiCpuHp *s = opaque;
    const struct AcpiCpuStatus *c;

    if (s->selector >= s->count)
        return 0;
    c = &s->devs[s->selector];
    switch (off) {
    case CPUHP_FLAGS:
        return (present(s, s->apic_ids[s->selector]) ? FLAG_ENABLED : 0) | (c->is_inserting ? FLAG_INSERT : 0) |
               (c->is_removing ? FLAG_REMOVE : 0);
    case CPUHP_DATA:
        return s->command == CMD_NEXT_EVENT ? s->selector : s->command == CMD_CPU_ID ? s->apic_ids[s->selector] : 0;
    default:
        return 0;       /* CPUHP_DATA2: the upper half of an APIC id */
    }
}

static void next_event(AcpiCpuHp *s)
{
    for (unsigned i = 0; i < s->count; i++) {
        unsigned at = (s->selector + i) % s->count;

        if (s->devs[at].is_inserting || s->devs[at].is_removing) {
            s->selector = at;
            return;
        }
    }
}

static void ost(AcpiCpuHp *s, uint32_t status)
{
    struct AcpiCpuStatus *c = &s->devs[s->selector];

    c->ost_status = status;
    acpi_ost_event(s->dev->machine, cpu_of(s, s->apic_ids[s->selector]), "CPU", s->selector, c->ost_event, status);
}

/* Not within the guest's access: it may come from the very CPU that is to go. */
static void eject(void *opaque)
{
    AcpiCpuHp *s = opaque;

    for (unsigned i = 1; i < s->count; i++) {
        Device *d = s->ejecting[i] ? cpu_of(s, s->apic_ids[i]) : NULL;

        s->ejecting[i] = false;
        if (!d)
            continue;
        s->devs[i].is_inserting = s->devs[i].is_removing = false;
        device_delete(d);
    }
}

static void modern_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    AcpiCpuHp *s = opaque;

    if (off == CPUHP_SELECT)
        s->selector = val;
    if (s->selector >= s->count)
        return;
    switch (off) {
    case CPUHP_FLAGS:
        if (val & FLAG_INSERT)
            s->devs[s->selector].is_inserting = false;
        else if (val & FLAG_REMOVE)
            s->devs[s->selector].is_removing = false;
        else if (val & FLAG_EJECT) {
            s->ejecting[s->selector] = true;
            bh_schedule(s->eject);
        }
        break;
    case CPUHP_COMMAND:
        s->command = val;
        if (s->command == CMD_NEXT_EVENT)
            next_event(s);
        break;
    case CPUHP_DATA:
        if (s->command == CMD_OST_EVENT)
            s->devs[s->selector].ost_event = val;
        else if (s->command == CMD_OST_STATUS)
            ost(s, val);
        break;
    }
}

static const RegionOps modern_ops = { .read = modern_read, .write = modern_write, .min = 1, .max = 4 };

/* ---- Life ---- */

void acpi_cpuhp_set_modern(AcpiCpuHp *s, bool on)
{
    Region *io = &s->dev->machine->io;

    s->modern = on;
    map_begin(s->dev->machine);
    if (s->io.name)
        region_fini(&s->io);
    region_init_io(&s->io, s->dev, "acpi-cpu-hotplug", on ? ACPI_CPUHP_LEN : LEGACY_LEN, on ? &modern_ops : &legacy_ops, s);
    region_add(io, ACPI_CPUHP_PORT, &s->io);
    map_commit(s->dev->machine);
}

static int slot_of(const AcpiCpuHp *s, uint32_t apic_id)
{
    for (unsigned i = 0; i < s->count; i++)
        if (s->apic_ids[i] == apic_id)
            return i;
    return -1;
}

bool acpi_cpuhp_event(AcpiCpuHp *s, uint32_t apic_id, bool removing)
{
    int i = slot_of(s, apic_id);

    if (i < 0 || (removing && !s->modern))
        return false;
    if (s->modern)                      /* the legacy bitmap shows who is there, and that is all */
        *(removing ? &s->devs[i].is_removing : &s->devs[i].is_inserting) = true;
    return true;
}

void acpi_cpuhp_init(AcpiCpuHp *s, Device *d)
{
    s->dev = d;
    s->eject = bh_new(eject, s);
    acpi_cpuhp_set_modern(s, false);
}

void acpi_cpuhp_fini(AcpiCpuHp *s)
{
    bh_free(s->eject);
    region_fini(&s->io);
}

/* ---- State ---- */

static const Field dev_fields[] = {
    FIELD(struct AcpiCpuStatus, is_inserting), FIELD(struct AcpiCpuStatus, is_removing),
    FIELD(struct AcpiCpuStatus, ost_event), FIELD(struct AcpiCpuStatus, ost_status), {0}
};

static const StateTable dev_state = {
    .name = "CPU hotplug device state", .version = 1, .min_version = 1, .fields = dev_fields,
};

static unsigned cpu_count(const void *obj)
{
    return ((const AcpiCpuHp *)obj)->count;
}

static const Field cpuhp_fields[] = {
    FIELD(AcpiCpuHp, selector), FIELD(AcpiCpuHp, command), STRUCTS(AcpiCpuHp, devs, &dev_state, .n = cpu_count),
    DERIVED(AcpiCpuHp, modern), HOST(AcpiCpuHp, apic_ids), HOST(AcpiCpuHp, count), HOST(AcpiCpuHp, dev),
    HOST(AcpiCpuHp, ejecting), HOST(AcpiCpuHp, eject),
    DERIVED(AcpiCpuHp, io), {0}
};

const StateTable acpi_cpuhp_state = { .name = "CPU hotplug state", .version = 1, .min_version = 1, .fields = cpuhp_fields };
