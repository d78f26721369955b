/*
 * CPUs and memory modules that come and go: the firmware's numbers of them, and the ACPI events that tell the guest.
 */
#include "hw/acpi/acpi.h"
#include "hw/i386/pc-int.h"
#include "target/i386/cpu.h"
#include "util/error.h"

static void count_cpus(Pc *pc)
{
    if (!pc->fw_cfg || !pc->rtc)        /* the board itself is not complete */
        return;
    pc_cmos_cpus(pc);
    fw_cfg_add_i16(pc->fw_cfg, FW_CFG_NB_CPUS, pc->machine->vcpus->len);
}

static bool dimm_plugged(Pc *pc, PcDimm *d)
{
    AcpiDimm a = { .addr = d->addr, .size = d->region.size, .node = d->node, .dimm = &d->dev };

    d->told = piix4_pm_dimm_plugged(pc->pm, d->slot, &a);
    return true;
}

bool pc_pre_plug(Machine *m, Device *d, GError **err)
{
    Pc *pc = pc_of(m);

    if (d->type == &pc_dimm_type)
        return pc_dimm_place(pc, d, err);
    return !x86_is_cpu(d) || !d->hotplugged || pc->pm || error_set(err, "CPU hotplug is not supported without ACPI");
}

bool pc_plugged(Machine *m, Device *d, GError **err)
{
    Pc *pc = pc_of(m);

    if (d->type == &pc_dimm_type)
        return dimm_plugged(pc, DEVICE(d, PcDimm));
    if (!x86_is_cpu(d))
        return true;
    count_cpus(pc);
    if (d->hotplugged)
        piix4_pm_cpu_event(pc->pm, DEVICE(d, X86Cpu)->vcpu.apic_id, false);
    return true;
}

bool pc_request_unplug(Machine *m, Device *d, GError **err)
{
    Pc *pc = pc_of(m);

    if (d->type == &pc_dimm_type) {
        piix4_pm_dimm_request(pc->pm, DEVICE(d, PcDimm)->slot);
        return true;
    }
    if (!x86_is_cpu(d))
        return error_set(err, "Device '%s' does not support hotplugging", d->type->name);
    if (!pc->pm)
        return error_set(err, "CPU hot unplug not supported without ACPI");
    if (!DEVICE(d, X86Cpu)->index)
        return error_set(err, "Boot CPU is unpluggable");
    return piix4_pm_cpu_event(pc->pm, DEVICE(d, X86Cpu)->vcpu.apic_id, true) ||
           error_set(err, "acpi: device unplug request for not supported device type: %s", d->type->name);
}

/* Its unrealize has taken it out of the machine's CPUs. */
void pc_unplugged(Machine *m, Device *d)
{
    Pc *pc = pc_of(m);

    if (d->type == &pc_dimm_type && DEVICE(d, PcDimm)->told)
        piix4_pm_dimm_gone(pc->pm, DEVICE(d, PcDimm)->slot);
    else if (x86_is_cpu(d) && m->vcpus->len)
        count_cpus(pc);
}
