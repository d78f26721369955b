/*
 * kvmclock: the paravirtual clock that KVM keeps for its guests.  It is read when the machine stops and written when
 * it starts again, so that it does not run on meanwhile; a guest that was told of a stop does not take it for a hang.
 * When it was not the user who stopped it, it is read anew when it is saved: the last pages of a move take long, and
 * the guest's time shall be the world's.
 */
#include "target/i386/cpu-int.h"
#include "accel/kvm/kvm.h"
#include "util/error.h"

typedef struct KvmClock {
    Device dev;

    /* guest state */
    uint64_t clock;             /* ns, while the machine is stopped */
    bool reliable;              /* did not jump while it ran */

    /* set-up */
    bool send_reliable;         /* machines since 2.9 */

    /* host side */
    bool valid;                 /* clock is to be written at the next start */
    bool goes_on;               /* ... and to be read again when it is saved */
    bool runs;
} KvmClock;

static void stopped(KvmClock *k, RunState s)
{
    if (!k->valid) {
        k->valid = kvm_clock_get(&k->clock, &k->reliable) == 0;
        k->goes_on = k->valid && s != RUN_PAUSED;
    }
}

static void kvmclock_save(void *obj)
{
    KvmClock *k = obj;

    if (k->goes_on)
        kvm_clock_get(&k->clock, &k->reliable);
}

static void tell_guest(Vcpu *v, void *arg)
{
    kvm_vcpu_ioctl(v, KVM_KVMCLOCK_CTRL, NULL);     /* refused when the guest uses no kvmclock */
}

static void started(KvmClock *k)
{
    Machine *m = k->dev.machine;

    if (k->valid && kvm_clock_set(k->clock) < 0) {
        error_report("KVM does not take the kvmclock");
    }
    k->valid = k->goes_on = false;
    for (unsigned i = 0; i < m->vcpus->len && kvm_check(KVM_CAP_KVMCLOCK_CTRL); i++) {
        accel->vcpu_call(g_ptr_array_index(m->vcpus, i), tell_guest, NULL);
    }
}

static void on_state(void *opaque, bool running, RunState s)
{
    KvmClock *k = opaque;

    if (running) {
        started(k);
    } else if (k->runs) {
        stopped(k, s);
    }
    k->runs = running;
}

static bool kvmclock_realize(Device *d, GError **err)
{
    machine_observe_state(d->machine, on_state, d);
    return true;
}

static void kvmclock_unrealize(Device *d)
{
    machine_unobserve_state(d->machine, on_state, d);
}

static bool kvmclock_loaded(void *obj, int version, GError **err)
{
    KvmClock *k = obj;

    k->valid = true;
    k->goes_on = false;
    return true;
}

static bool kvmclock_load(void *obj, GError **err)
{
    ((KvmClock *)obj)->reliable = false;
    return true;
}

static bool reliable_needed(const void *obj)
{
    return ((const KvmClock *)obj)->send_reliable;
}

static const StateTable reliable_state = {
    .name = "kvmclock/clock_is_reliable", .version = 1, .min_version = 1, .needed = reliable_needed,
    .fields = (const Field[]) { FIELD(KvmClock, reliable, .name = "clock_is_reliable", .keep = true), {0} },
};

static const StateTable kvmclock_state = {
    .name = "kvmclock", .version = 1, .min_version = 1, .save = kvmclock_save, .load = kvmclock_load, .loaded = kvmclock_loaded,
    .fields = (const Field[]) { FIELD(KvmClock, clock, .keep = true), HOST(KvmClock, dev), HOST(KvmClock, send_reliable),
        HOST(KvmClock, valid), HOST(KvmClock, goes_on), HOST(KvmClock, runs), {0} },
    .subsections = (const StateTable *const[]) { &reliable_state, NULL },
};

static const Property kvmclock_props[] = { PROP(KvmClock, send_reliable, "x-mach-use-reliable-get-clock", PROP_BOOL, true), {0} };

const DeviceType x86_kvmclock_type = {
    .name = "kvmclock", .internal = true, .size = sizeof(KvmClock), .props = kvmclock_props, .state = &kvmclock_state,
    .realize = kvmclock_realize, .unrealize = kvmclock_unrealize,
};

bool x86_kvmclock_create(Machine *m, GError **err)
{
    X86Cpu *c = x86_cpu(m, 0);

    if (!c || !(c->spec->features[FW_KVM] & (1 << 0 | 1 << 3)) || !kvm_check(KVM_CAP_ADJUST_CLOCK)) {
        return true;
    }
    return device_create(m, &x86_kvmclock_type, NULL, err);
}
