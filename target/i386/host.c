/* What the host's KVM and processor can give. */
#include "target/i386/host.h"
#include "accel/kvm/kvm.h"
#include <cpuid.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct {
    struct kvm_cpuid2 *cpuid, *hv;
    bool hv_asked;
    uint32_t *msrs;                 /* sorted */
    unsigned n_msrs;
    bool msrs_asked;
} host;

/* Asks with a growing table until it fits. */
static struct kvm_cpuid2 *get_cpuid(unsigned long req)
{
    for (unsigned n = 128; n <= 1024; n *= 2) {
        struct kvm_cpuid2 *c = g_malloc0(sizeof(*c) + n * sizeof(struct kvm_cpuid_entry2));
        int r;

        c->nent = n;
        r = kvm_sys_ioctl(req, c);
        if (r >= 0 && c->nent < n) {
            return c;
        }
        g_free(c);
        if (r < 0 && r != -E2BIG) {
            break;
        }
    }
    return NULL;
}

uint32_t x86_host_supported(uint32_t leaf, uint32_t sub, unsigned reg)
{
    if (!accel_is_kvm()) {
        return 0;
    }
    if (!host.cpuid) {
        host.cpuid = get_cpuid(KVM_GET_SUPPORTED_CPUID);
    }
    for (unsigned i = 0; host.cpuid && i < host.cpuid->nent; i++) {
        const struct kvm_cpuid_entry2 *e = &host.cpuid->entries[i];

        if (e->function == leaf && e->index == sub) {
            return reg == 0 ? e->eax : reg == 1 ? e->ecx : reg == 2 ? e->edx : e->ebx;
        }
    }
    return 0;
}

const struct kvm_cpuid2 *x86_host_hv_cpuid(void)
{
    if (!host.hv_asked && accel_is_kvm()) {
        host.hv_asked = true;
        if (kvm_check(KVM_CAP_SYS_HYPERV_CPUID)) {
            host.hv = get_cpuid(KVM_GET_SUPPORTED_HV_CPUID);
        }
    }
    return host.hv;
}

uint64_t x86_host_feature_msr(uint32_t index)
{
    struct { struct kvm_msrs h; struct kvm_msr_entry e; } m = { .h.nmsrs = 1, .e.index = index };

    if (!accel_is_kvm() || !kvm_check(KVM_CAP_GET_MSR_FEATURES) || kvm_sys_ioctl(KVM_GET_MSRS, &m) != 1) {
        return 0;
    }
    return m.e.data;
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

static void ask_msrs(void)
{
    struct kvm_msr_list probe = { 0 };
    g_autofree struct kvm_msr_list *list = NULL;

    host.msrs_asked = true;
    if (kvm_sys_ioctl(KVM_GET_MSR_INDEX_LIST, &probe) != -E2BIG) {
        return;
    }
    list = g_malloc0(sizeof(*list) + probe.nmsrs * sizeof(uint32_t));
    list->nmsrs = probe.nmsrs;
    if (kvm_sys_ioctl(KVM_GET_MSR_INDEX_LIST, list) < 0) {
        return;
    }
    host.n_msrs = list->nmsrs;
    host.msrs = g_malloc(list->nmsrs * sizeof(uint32_t));
    memcpy(host.msrs, list->indices, list->nmsrs * sizeof(uint32_t));
    qsort(host.msrs, host.n_msrs, sizeof(uint32_t), compare);
}

bool x86_host_has_msr(uint32_t index)
{
    if (!accel_is_kvm()) {
        return false;
    }
    if (!host.msrs_asked) {
        ask_msrs();
    }
    return host.n_msrs && bsearch(&index, host.msrs, host.n_msrs, sizeof(uint32_t), compare);
}

void x86_host_cpuid(uint32_t leaf, uint32_t sub, uint32_t regs[4])
{
    __cpuid_count(leaf, sub, regs[0], regs[1], regs[2], regs[3]);
}

unsigned x86_host_phys_bits(void)
{
    uint32_t r[4];

    x86_host_cpuid(0x80000000, 0, r);
    if (r[0] < 0x80000008) {
        return 36;
    }
    x86_host_cpuid(0x80000008, 0, r);
    return r[0] & 0xff;
}

void x86_host_vendor(char vendor[13])
{
    uint32_t r[4];

    x86_host_cpuid(0, 0, r);
    memcpy(vendor, &r[1], 4);
    memcpy(vendor + 4, &r[3], 4);
    memcpy(vendor + 8, &r[2], 4);
    vendor[12] = 0;
}

void x86_host_version(uint32_t *family, uint32_t *model, uint32_t *stepping)
{
    uint32_t r[4];

    x86_host_cpuid(1, 0, r);
    *family = (r[0] >> 8 & 15) + (r[0] >> 20 & 255);
    *model = (r[0] >> 4 & 15) | (r[0] >> 12 & 0xf0);
    *stepping = r[0] & 15;
}
