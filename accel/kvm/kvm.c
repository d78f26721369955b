/*
 * /dev/kvm and the virtual machine: opening, what the kernel must have, and the calls of kvm.h.
 * Facts: Linux, Documentation/virt/kvm/api.rst.
 */
#include "accel/kvm/kvm-int.h"
#include "util/error.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

KvmState kvm = { .fd = -1, .vm = -1 };

static int result(int r)
{
    return r < 0 ? -errno : r;
}

/* Answers are kept: some are asked for at each exchange of registers. */
int kvm_check(unsigned cap)
{
    static struct { int value; bool known; } cache[256];
    int r;

    if (kvm.vm < 0) {
        memset(cache, 0, sizeof(cache));
        return 0;
    }
    if (cap < G_N_ELEMENTS(cache) && cache[cap].known) {
        return cache[cap].value;
    }
    r = ioctl(kvm.vm, KVM_CHECK_EXTENSION, (unsigned long)cap);
    r = MAX(r, 0);
    if (cap < G_N_ELEMENTS(cache)) {
        cache[cap].value = r;
        cache[cap].known = true;
    }
    return r;
}

int kvm_sys_ioctl(unsigned long req, void *arg)
{
    return result(ioctl(kvm.fd, req, arg));
}

int kvm_vm_ioctl(unsigned long req, void *arg)
{
    return result(ioctl(kvm.vm, req, arg));
}

int kvm_vcpu_ioctl(Vcpu *v, unsigned long req, void *arg)
{
    return result(ioctl(v->fd, req, arg));
}

int kvm_vm_enable_cap(unsigned cap, uint64_t arg0, uint64_t arg1)
{
    struct kvm_enable_cap c = { .cap = cap, .args = { arg0, arg1 } };

    return kvm_vm_ioctl(KVM_ENABLE_CAP, &c);
}

int kvm_vcpu_enable_cap(Vcpu *v, unsigned cap, uint64_t arg0, uint64_t arg1)
{
    struct kvm_enable_cap c = { .cap = cap, .args = { arg0, arg1 } };

    return kvm_vcpu_ioctl(v, KVM_ENABLE_CAP, &c);
}

int kvm_clock_get(uint64_t *ns, bool *stable)
{
    struct kvm_clock_data c = { 0 };
    int r = kvm_vm_ioctl(KVM_GET_CLOCK, &c);

    *ns = c.clock;
    if (stable) {
        *stable = c.flags & KVM_CLOCK_TSC_STABLE;
    }
    return r;
}

int kvm_clock_set(uint64_t ns)
{
    struct kvm_clock_data c = { .clock = ns };

    return kvm_vm_ioctl(KVM_SET_CLOCK, &c);
}

/* ---- Opening ---- */

static bool no_permission(int e, GError **err)
{
    struct stat st;
    struct group *g = stat("/dev/kvm", &st) == 0 && (st.st_mode & S_IRGRP) ? getgrgid(st.st_gid) : NULL;

    if (g && g->gr_gid) {
        return error_set(err, "no permission to use /dev/kvm: its group is %s; \"sudo usermod -aG %s $USER\" makes you a member"
                         " from the next login on", g->gr_name, g->gr_name);
    }
    return error_set(err, "no permission to use /dev/kvm (%s): its owner or mode must let you read and write it", strerror(e));
}

static bool no_device(int e, GError **err)
{
    switch (e) {
    case ENOENT:
        return error_set(err, "/dev/kvm does not exist: load the module with \"sudo modprobe kvm_intel\" or \"sudo modprobe kvm_amd\"; "
                         "if that fails, virtualization is switched off in the firmware setup or missing from this (virtual) machine");
    case EACCES: case EPERM:
        return no_permission(e, err);
    case ENODEV: case ENXIO:
        return error_set(err, "/dev/kvm has no driver behind it: load kvm_intel or kvm_amd (see \"dmesg | grep kvm\" for why it is not)");
    case EBUSY:
        return error_set(err, "/dev/kvm is busy: another hypervisor (VirtualBox, VMware) has the CPU's virtualization; stop it first");
    default:
        return error_set_errno(err, e, "cannot open /dev/kvm");
    }
}

static bool open_vm(GError **err)
{
    int r;

    do {
        r = result(ioctl(kvm.fd, KVM_CREATE_VM, 0));
    } while (r == -EINTR);
    if (r >= 0) {
        kvm.vm = r;
        return true;
    }
    if (r == -EBUSY) {
        return no_device(EBUSY, err);
    }
    if (r == -ENOMEM) {
        return error_set(err, "KVM has no memory for a virtual machine");
    }
    return error_set_errno(err, -r, "KVM cannot create a virtual machine");
}

static bool check_caps(GError **err)
{
    static const struct { unsigned cap; const char *name, *since; } need[] = {
        { KVM_CAP_USER_MEMORY, "user memory", "2.6.25" },
        { KVM_CAP_DESTROY_MEMORY_REGION_WORKS, "removing memory", "2.6.30" },
        { KVM_CAP_JOIN_MEMORY_REGIONS_WORKS, "joining memory", "2.6.32" },
        { KVM_CAP_EXT_CPUID, "CPUID tables", "2.6.26" },
        { KVM_CAP_MP_STATE, "the MP state", "2.6.26" },
        { KVM_CAP_VCPU_EVENTS, "vCPU events", "2.6.33" },
        { KVM_CAP_IMMEDIATE_EXIT, "immediate exits", "4.13" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(need); i++) {
        if (!kvm_check(need[i].cap)) {
            return error_set(err, "this kernel's KVM cannot do %s: Linux %s or later is needed", need[i].name, need[i].since);
        }
    }
    return true;
}

static bool open_fds(GError **err)
{
    int r;

    do {
        kvm.fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    } while (kvm.fd < 0 && errno == EINTR);
    if (kvm.fd < 0) {
        return no_device(errno, err);
    }
    r = ioctl(kvm.fd, KVM_GET_API_VERSION, 0);
    if (r < 0) {
        return error_set(err, "/dev/kvm is not KVM: %s", strerror(errno));
    }
    if (r != KVM_API_VERSION) {
        return error_set(err, "/dev/kvm speaks version %d of KVM's interface, and %d is needed: use a %s kernel", r, KVM_API_VERSION,
                         r < KVM_API_VERSION ? "newer" : "different");
    }
    return open_vm(err) && check_caps(err);
}

/* Only Intel's VMX needs these, but the kernel takes them anywhere; must come before the first vCPU. */
static bool set_tables(GError **err)
{
    uint64_t identity = KVM_IDENTITY_BASE;
    int r;

    if (kvm_check(KVM_CAP_SET_IDENTITY_MAP_ADDR) && (r = kvm_vm_ioctl(KVM_SET_IDENTITY_MAP_ADDR, &identity)) < 0) {
        return error_set_errno(err, -r, "KVM does not take the identity map's address");
    }
    if (kvm_check(KVM_CAP_SET_TSS_ADDR) && (r = kvm_vm_ioctl(KVM_SET_TSS_ADDR, (void *)(uintptr_t)KVM_TSS_BASE)) < 0) {
        return error_set_errno(err, -r, "KVM does not take the TSS's address");
    }
    return true;
}

/* What makes things better, but need not be there. */
static void enable_options(const AccelConfig *cfg)
{
    unsigned manual = kvm_check(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2) & (KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET);

    kvm.readonly_mem = kvm_check(KVM_CAP_READONLY_MEM);
    kvm.dirty_manual = manual && kvm_vm_enable_cap(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, manual, 0) == 0;
    if (kvm_check(KVM_CAP_EXCEPTION_PAYLOAD)) {
        kvm_vm_enable_cap(KVM_CAP_EXCEPTION_PAYLOAD, 1, 0);
    }
    if (kvm_check(KVM_CAP_X86_TRIPLE_FAULT_EVENT)) {
        kvm_vm_enable_cap(KVM_CAP_X86_TRIPLE_FAULT_EVENT, 1, 0);
    }
    accel_smm = kvm_check(KVM_CAP_X86_SMM) && kvm_check(KVM_CAP_MULTI_ADDRESS_SPACE) >= 2;
}

static void kvm_close(void)
{
    kvm_vcpus_close();
    kvm_irq_close();
    kvm_memory_close();
    if (kvm.vm >= 0) {
        close(kvm.vm);
    }
    if (kvm.fd >= 0) {
        close(kvm.fd);
    }
    kvm = (KvmState){ .fd = -1, .vm = -1 };
    accel_smm = false;
    accel_irqchip = IRQCHIP_OFF;
}

/* APIC ids that do not fit into eight bits need x2APIC, and KVM to take them so. */
static bool wide_ids(const AccelConfig *cfg, GError **err)
{
    const uint64_t how = KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK;

    if (cfg->apic_id_limit <= 255 || (cfg->irqchip != IRQCHIP_OFF && kvm_check(KVM_CAP_X2APIC_API)
                                      && kvm_vm_enable_cap(KVM_CAP_X2APIC_API, how, 0) == 0)) {
        return true;
    }
    return error_set(err, "current -smp configuration requires kernel irqchip and X2APIC API support.");
}

static void warn_of_many(unsigned n, const char *what)
{
    int recommended = kvm_check(KVM_CAP_NR_VCPUS);

    if (recommended && n > (unsigned)recommended) {
        warn_report("Number of %s cpus requested (%u) exceeds the recommended cpus supported by KVM (%d)", what, n, recommended);
    }
}

static bool kvm_open(const AccelConfig *cfg, const AccelHost *host, GError **err)
{
    int r, limit, ids;

    kvm.host = *host;
    if (!open_fds(err)) {
        kvm_close();
        return false;
    }
    warn_of_many(cfg->cpus, "SMP");
    warn_of_many(cfg->max_cpus, "hotpluggable");
    limit = MAX(kvm_check(KVM_CAP_MAX_VCPUS), kvm_check(KVM_CAP_NR_VCPUS));
    ids = MAX(kvm_check(KVM_CAP_MAX_VCPU_ID), limit);
    r = kvm_sys_ioctl(KVM_GET_VCPU_MMAP_SIZE, NULL);
    if (limit && cfg->max_cpus > (unsigned)limit) {
        error_set(err, "Number of hotpluggable cpus requested (%u) exceeds the maximum cpus supported by KVM (%d)", cfg->max_cpus, limit);
    } else if (limit && cfg->apic_id_limit > (unsigned)ids) {
        error_set(err, "the topology of -smp needs APIC ids up to %u, and KVM has them up to %d", cfg->apic_id_limit - 1, ids - 1);
    } else if (r < (int)sizeof(struct kvm_run)) {
        error_set(err, "KVM does not say how large a vCPU's mapping is");
    } else if (set_tables(err)) {
        kvm.run_size = r;
        kvm.max_cpus = cfg->max_cpus;
        enable_options(cfg);
        if (wide_ids(cfg, err) && kvm_irq_open(cfg, err)) {
            return true;
        }
    }
    kvm_close();
    return false;
}

const AccelOps accel_kvm = {
    .name = "kvm",
    .open = kvm_open,
    .close = kvm_close,
    .vcpu_create = kvm_vcpu_create,
    .vcpu_destroy = kvm_vcpu_destroy,
    .vcpu_kick = kvm_vcpu_kick,
    .vcpu_call = kvm_vcpu_call,
    .start = kvm_start,
    .stop = kvm_stop,
    .stop_self = kvm_stop_self,
    .throttle = kvm_throttle,
    .set_memory = kvm_set_memory,
    .dirty_get = kvm_dirty_get,
    .ioeventfd = kvm_ioeventfd,
    .coalesce = kvm_coalesce,
    .coalesced_flush = kvm_coalesced_flush,
    .irq_line = kvm_irq_line,
    .msi = kvm_msi,
    .msi_route_add = kvm_msi_route_add,
    .msi_route_update = kvm_msi_route_update,
    .msi_route_del = kvm_msi_route_del,
    .msi_routes_commit = kvm_msi_routes_commit,
    .irqfd = kvm_irqfd,
};
