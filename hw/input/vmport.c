/*
 * The VMware "backdoor", port 0x5658: a guest puts a magic number into EAX and a command into ECX and reads the port
 * (open-vm-tools, backdoor_def.h, for numbers). The answers come in registers.
 */
#include "hw/core/machine.h"
#include "hw/input/input.h"
#include "hw/input/vmport-int.h"
#include "hw/isa/isa.h"
#include "target/i386/cpu.h"

#define VMPORT 0x5658
#define MAGIC 0x564d5868u
enum { READ_SET_EAX = 1 << 0, SIGNAL_UNSUPPORTED = 1 << 1, REPORT_VMX_TYPE = 1 << 2, CMDS_V2 = 1 << 3 };
enum { CPUID_1_ECX_X2APIC = 1 << 21, VCPU_INFO_X2APIC = 1 << 3 };

typedef struct Vmport {
    Device dev;

    /* set-up */
    struct { VmportFn *fn; void *opaque; } commands[VMPORT_COMMANDS];
    uint32_t compat;
    uint32_t vmx_version;
    uint8_t vmx_type;
} Vmport;

void vmport_register(Device *vmport, unsigned command, VmportFn *fn, void *opaque)
{
    Vmport *s = DEVICE(vmport, Vmport);

    g_assert(command < VMPORT_COMMANDS);
    s->commands[command].fn = fn;
    s->commands[command].opaque = opaque;
}

static uint64_t vmport_read(void *opaque, uint64_t off, unsigned size)
{
    Vmport *s = opaque;
    X86Cpu *c = x86_cpu_current();
    VmportRegs r;

    if (!c || off)
        return UINT32_MAX;
    x86_cpu_sync(c);
    r = (VmportRegs) { c->regs[R_EAX], c->regs[R_EBX], c->regs[R_ECX], c->regs[R_EDX], c->regs[R_ESI], c->regs[R_EDI] };
    if (r.eax != MAGIC || r.ecx >= VMPORT_COMMANDS || !s->commands[r.ecx].fn)
        return s->compat & SIGNAL_UNSUPPORTED ? UINT32_MAX : r.eax;
    s->commands[r.ecx].fn(s->commands[r.ecx].opaque, &r);
    if (s->compat & READ_SET_EAX)
        c->regs[R_EAX] = r.eax;
    c->regs[R_EBX] = r.ebx;
    c->regs[R_ECX] = r.ecx;
    c->regs[R_EDX] = r.edx;
    c->regs[R_ESI] = r.esi;
    c->regs[R_EDI] = r.edi;
    c->vcpu.regs_dirty = true;
    return r.eax;
}

static void vmport_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    X86Cpu *c = x86_cpu_current();
    uint32_t eax;

    if (!c || off)
        return;
    eax = vmport_read(opaque, off, size);
    c->regs[R_EAX] = eax;
    c->vcpu.regs_dirty = true;
}

/* ---- Commands ---- */

static void get_version(void *opaque, VmportRegs *r)
{
    Vmport *s = opaque;

    r->ebx = MAGIC;
    if (s->compat & REPORT_VMX_TYPE)
        r->ecx = s->vmx_type;
    r->eax = s->vmx_version;
}

static uint32_t le32(const uint8_t *p)
{
    return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

static void get_bios_uuid(void *opaque, VmportRegs *r)
{
    const uint8_t *u = ((Vmport *)opaque)->dev.machine->cfg->uuid;

    r->eax = le32(u);
    r->ebx = le32(u + 4);
    r->ecx = le32(u + 8);
    r->edx = le32(u + 12);
}

static void get_ram_size(void *opaque, VmportRegs *r)
{
    r->ebx = 0x1177;
    r->eax = ((Vmport *)opaque)->dev.machine->cfg->ram_size;
}

static void get_time(void *opaque, VmportRegs *r)
{
    uint64_t ns = host_now_ns();

    r->ebx = ns % NS_PER_S / 1000;
    r->ecx = 0;
    r->eax = ns / NS_PER_S;
}

static void get_time_full(void *opaque, VmportRegs *r)
{
    uint64_t ns = host_now_ns(), s = ns / NS_PER_S;

    r->esi = s >> 32;
    r->edx = s;
    r->ebx = ns % NS_PER_S / 1000;
    r->ecx = 1000000;           /* the most that the guest's clock may lag, in microseconds */
    r->eax = MAGIC;
}

static void get_hz(void *opaque, VmportRegs *r)
{
    X86Cpu *c = x86_cpu_current();
    uint64_t hz = c ? c->tsc_khz * 1000 : 0;

    if (!hz) {
        r->eax = r->ebx = UINT32_MAX;
        return;
    }
    r->ecx = 1000000000;        /* the APIC timer's clock, Hz */
    r->ebx = hz >> 32;
    r->eax = hz;
}

static void get_vcpu_info(void *opaque, VmportRegs *r)
{
    X86Cpu *c = x86_cpu_current();

    r->eax = c && (x86_cpuid(c, 1, 0, 2) & CPUID_1_ECX_X2APIC) ? VCPU_INFO_X2APIC : 0;
}

/* ---- Set-up ---- */

static bool vmport_realize(Device *d, GError **err)
{
    Vmport *s = DEVICE(d, Vmport);

    vmport_register(d, VMPORT_GETVERSION, get_version, s);
    vmport_register(d, VMPORT_GETRAMSIZE, get_ram_size, s);
    if (s->compat & CMDS_V2) {
        vmport_register(d, VMPORT_GETBIOSUUID, get_bios_uuid, s);
        vmport_register(d, VMPORT_GETTIME, get_time, s);
        vmport_register(d, VMPORT_GETTIMEFULL, get_time_full, s);
        vmport_register(d, VMPORT_GETHZ, get_hz, s);
        vmport_register(d, VMPORT_GET_VCPU_INFO, get_vcpu_info, s);
    }
    return true;
}

static const Property vmport_props[] = {
    PROP(Vmport, compat, "x-read-set-eax", PROP_BIT, 1, .bit = 0),
    PROP(Vmport, compat, "x-signal-unsupported-cmd", PROP_BIT, 1, .bit = 1),
    PROP(Vmport, compat, "x-report-vmx-type", PROP_BIT, 1, .bit = 2),
    PROP(Vmport, compat, "x-cmds-v2", PROP_BIT, 1, .bit = 3),
    PROP(Vmport, vmx_version, "vmware-vmx-version", PROP_U32, 6),
    PROP(Vmport, vmx_type, "vmware-vmx-type", PROP_U8, 2),
    {0}
};

const DeviceType vmport_type = {
    .name = "vmport", .desc = "VMware port", .bus = "ISA", .internal = true, .size = sizeof(Vmport),
    .props = vmport_props, .realize = vmport_realize,
    .pio = (const PioRange[]) { { VMPORT, 1, 4, vmport_read, vmport_write, .past_end = true }, {0} },
    .host = (const Field[]) {
        HOST(Vmport, dev), HOST(Vmport, commands), HOST(Vmport, compat), HOST(Vmport, vmx_version), HOST(Vmport, vmx_type),
        {0}
    },
};
