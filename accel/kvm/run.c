/*
 * Running a vCPU: KVM_RUN, and what to do when it returns.  The common exits (ports, MMIO) do nothing that is
 * not needed: registers stay in the kernel, wishes of other threads show as EINTR.
 */
#include "accel/kvm/kvm-int.h"
#include "util/error.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

static void flush_coalesced(void)
{
    kvm.host.lock(kvm.host.opaque);
    kvm_coalesced_flush();
    kvm.host.unlock(kvm.host.opaque);
}

static void ask(Vcpu *v, AccelRequest what)
{
    kvm_stop_self();
    kvm.host.request(kvm.host.opaque, what, v);
}

static void print_registers(Vcpu *v)
{
    g_autoptr(GString) out = g_string_new(NULL);

    v->ops->print_state(v, out);
    fputs(out->str, stderr);
    fflush(stderr);
}

/* Says what went wrong, with the registers, and asks for a pause. */
static void broken(Vcpu *v, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
static void broken(Vcpu *v, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    print_registers(v);
    ask(v, ACCEL_INTERNAL_ERROR);
}

/* A program in user mode can harm only itself: KVM gives it #UD. */
static bool in_user_mode(Vcpu *v)
{
    struct kvm_sregs s;

    return kvm_vcpu_ioctl(v, KVM_GET_SREGS, &s) == 0 && (s.cr0 & 1) && (s.cs.selector & 3) == 3;
}

static void internal_error(Vcpu *v, struct kvm_run *run)
{
    bool emulation = run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION;

    fprintf(stderr, "KVM internal error. Suberror: %d\n", run->internal.suberror);
    for (unsigned i = 0; i < MIN(run->internal.ndata, G_N_ELEMENTS(run->internal.data)); i++) {
        fprintf(stderr, "extra data[%u]: 0x%016llx\n", i, (unsigned long long)run->internal.data[i]);
    }
    if (emulation) {
        fputs("emulation failure\n", stderr);
    }
    print_registers(v);
    if (!emulation || !in_user_mode(v)) {
        ask(v, ACCEL_INTERNAL_ERROR);
    }
}

static void system_event(Vcpu *v, struct kvm_run *run)
{
    switch (run->system_event.type) {
    case KVM_SYSTEM_EVENT_SHUTDOWN:
        ask(v, ACCEL_SHUTDOWN);
        break;
    case KVM_SYSTEM_EVENT_RESET:
        ask(v, ACCEL_RESET);
        break;
    case KVM_SYSTEM_EVENT_CRASH:
        ask(v, ACCEL_CRASH);
        break;
    default:
        broken(v, "KVM: unknown system event %u\n", run->system_event.type);
    }
}

static void rare_exit(Vcpu *v, struct kvm_run *run)
{
    switch (run->exit_reason) {
    case KVM_EXIT_HLT:
        v->halted = true;
        break;
    case KVM_EXIT_IRQ_WINDOW_OPEN: case KVM_EXIT_SET_TPR: case KVM_EXIT_INTR:
        break;
    case KVM_EXIT_SHUTDOWN:
        ask(v, ACCEL_RESET);
        break;
    case KVM_EXIT_SYSTEM_EVENT:
        system_event(v, run);
        break;
    case KVM_EXIT_IOAPIC_EOI:
        kvm.host.ioapic_eoi(kvm.host.opaque, run->eoi.vector);
        break;
    case KVM_EXIT_DEBUG:
        ask(v, ACCEL_DEBUG);
        break;
    case KVM_EXIT_INTERNAL_ERROR:
        internal_error(v, run);
        break;
    case KVM_EXIT_FAIL_ENTRY:
        broken(v, "KVM: entry failed, hardware error 0x%llx\n", (unsigned long long)run->fail_entry.hardware_entry_failure_reason);
        break;
    case KVM_EXIT_UNKNOWN:
        broken(v, "KVM: unknown exit, hardware reason %llx\n", (unsigned long long)run->hw.hardware_exit_reason);
        break;
    case KVM_EXIT_EXCEPTION:
        broken(v, "KVM: exception %u exit (error code 0x%x)\n", run->ex.exception, run->ex.error_code);
        break;
    default:
        if (!v->ops->exit || !v->ops->exit(v)) {
            broken(v, "KVM: unknown exit reason %u\n", run->exit_reason);
        }
    }
}

/* What must be done before entering, but seldom; false: do not enter. */
static bool prepare(Vcpu *v)
{
    if (v->regs_dirty) {
        v->ops->put_state(v);
    }
    if (v->ops->before_run) {
        v->ops->before_run(v);
    }
    return !v->halted || accel_irqchip != IRQCHIP_OFF;
}

void kvm_vcpu_run(Vcpu *v)
{
    struct kvm_run *run = v->run;
    const AccelHost *h = &kvm.host;
    const bool hooks = v->ops->before_run || v->ops->after_run;

    for (;;) {
        int r;

        if (G_UNLIKELY((v->regs_dirty || hooks) && !prepare(v))) {
            return;
        }
        v->regs_valid = false;
        __atomic_store_n(&v->in_run, true, __ATOMIC_RELAXED);
        r = ioctl(v->fd, KVM_RUN, 0) < 0 ? errno : 0;
        __atomic_store_n(&v->in_run, false, __ATOMIC_RELEASE);
        if (G_UNLIKELY(kvm.ring && kvm.ring->first != kvm.ring->last)) {
            flush_coalesced();
        }
        if (G_UNLIKELY(hooks) && v->ops->after_run) {
            v->ops->after_run(v);
        }
        if (r) {
            if (r != EINTR && r != EAGAIN) {
                broken(v, "error: kvm run failed %s\n", strerror(r));
            }
            return;
        }
        if (G_LIKELY(run->exit_reason == KVM_EXIT_IO)) {
            h->pio(h->opaque, run->io.port, (char *)run + run->io.data_offset, run->io.size, run->io.count,
                   run->io.direction == KVM_EXIT_IO_OUT);
        } else if (run->exit_reason == KVM_EXIT_MMIO) {
            h->mmio(h->opaque, run->mmio.phys_addr, run->mmio.data, run->mmio.len, run->mmio.is_write);
        } else {
            rare_exit(v, run);
            /* A vCPU that has halted looks first whether an interrupt waits for the window that HLT has opened. */
            if (__atomic_load_n(&run->immediate_exit, __ATOMIC_RELAXED) || (v->halted && !hooks)) {
                return;
            }
        }
    }
}
