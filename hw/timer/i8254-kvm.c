/*
 * The 8254 inside KVM. The kernel counts on CLOCK_MONOTONIC, which does not stop with the guest: the state is fetched
 * when the guest stops and put back, moved to the present, when it goes on.
 */
#include <time.h>
#include "accel/kvm/kvm.h"
#include "hw/core/runstate.h"
#include "hw/isa/isa.h"
#include "hw/timer/i8254-int.h"
#include "util/error.h"

/* What lies between the kernel's clock and guest time. */
static int64_t clock_offset(const Pit *s)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)(t.tv_sec * NS_PER_S + t.tv_nsec) - (int64_t)vm_now(&s->dev);
}

void kvm_pit_fetch(Pit *s)
{
    struct kvm_pit_state2 k;
    int64_t off = clock_offset(s);
    int r;

    if (s->stopped)
        return;
    r = kvm_pit_get(&k);
    if (r < 0) {
        error_report("KVM_GET_PIT2 failed: %s", g_strerror(-r));
        return;
    }
    s->irq_disabled = (k.flags & KVM_PIT_FLAGS_HPET_LEGACY) != 0;
    for (unsigned i = 0; i < 3; i++) {
        const struct kvm_pit_channel_state *kc = &k.channels[i];
        PitChannel *c = &s->channels[i];

        c->count = CLAMP(kc->count, 1, 0x10000);
        c->latched_count = kc->latched_count;
        c->count_latched = kc->count_latched;
        c->status_latched = kc->status_latched;
        c->status = kc->status;
        c->read_state = kc->read_state;
        c->write_state = kc->write_state;
        c->write_latch = kc->write_latch;
        c->rw_mode = kc->rw_mode;
        c->mode = kc->mode & 7;
        c->bcd = kc->bcd;
        c->gate = kc->gate;
        c->count_load_time = kc->count_load_time - off;
    }
    /* The kernel keeps its own alarm: a userspace twin that loads this looks again at once. */
    s->channels[0].next_transition_time = s->irq_disabled ? -1 : (int64_t)vm_now(&s->dev);
}

static int store(Pit *s)
{
    struct kvm_pit_state2 k = { .flags = s->irq_disabled ? KVM_PIT_FLAGS_HPET_LEGACY : 0 };
    int64_t off = clock_offset(s), now = off + (int64_t)vm_now(&s->dev);

    for (unsigned i = 0; i < 3; i++) {
        const PitChannel *c = &s->channels[i];

        k.channels[i] = (struct kvm_pit_channel_state) {
            .count = c->count, .latched_count = c->latched_count, .count_latched = c->count_latched,
            .status_latched = c->status_latched, .status = c->status, .read_state = c->read_state,
            .write_state = c->write_state, .write_latch = c->write_latch, .rw_mode = c->rw_mode, .mode = c->mode,
            .bcd = c->bcd, .gate = c->gate,
            .count_load_time = c->count_load_time == PIT_NOT_LOADED ? now : (int64_t)((uint64_t)c->count_load_time + off),
        };
    }
    return kvm_pit_set(&k);
}

void kvm_pit_store(Pit *s)
{
    int r;

    if (s->stopped)
        return;
    r = store(s);
    if (r < 0)
        error_report("KVM_SET_PIT2 failed: %s", g_strerror(-r));
}

static void run_state_changed(void *opaque, bool running, RunState state)
{
    Pit *s = opaque;

    if (running && s->stopped) {
        s->stopped = false;
        kvm_pit_store(s);
    } else if (!running) {
        kvm_pit_fetch(s);
        s->stopped = true;
    }
}

static void kvm_pit_save(void *obj)
{
    kvm_pit_fetch(obj);
}

static bool kvm_pit_loaded(void *obj, int version, GError **err)
{
    Pit *s = obj;
    int r = s->stopped ? 0 : store(s);

    return r < 0 ? error_set_errno(err, r, "KVM_SET_PIT2 failed") : true;
}

static void kvm_pit_reset(Device *d)
{
    Pit *s = DEVICE(d, Pit);

    pit_channels_reset(s);
    kvm_pit_store(s);
}

static uint64_t no_read(void *opaque, uint64_t off, unsigned size)
{
    return UINT64_MAX;
}

static void no_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
}

/* KVM answers these ports; the window is there for info mtree. */
static const PioRange pit_ports[] = { { 0, 4, 1, no_read, no_write }, {0} };

static bool kvm_pit_realize(Device *d, GError **err)
{
    Pit *s = DEVICE(d, Pit);
    int r;

    timer_init(&s->irq_timer, d, NULL, s);
    if (s->lost_tick_policy == LOST_TICK_SLEW)
        return error_set(err, "Lost tick policy \"slew\" is not supported by kvm-pit: use \"delay\" or \"discard\"");
    r = kvm_pit_create(s->lost_tick_policy == LOST_TICK_DELAY);
    if (r < 0)
        return error_set_errno(err, r, "Create kernel PIC irqchip failed");
    s->stopped = true;
    machine_observe_state(d->machine, run_state_changed, s);
    return isa_map_ports(d, "kvm-pit", s->iobase, pit_ports, err);
}

static void kvm_pit_unrealize(Device *d)
{
    machine_unobserve_state(d->machine, run_state_changed, DEVICE(d, Pit));
}

/* HPET's legacy replacement takes the interrupt away and gives it back. */
static void kvm_pit_input(Device *d, unsigned n, int level)
{
    pit_irq_enable(d, n, level);
}

static const char *const lost_tick_names[] = { "discard", "delay", "slew", NULL };

static const Property kvm_pit_props[] = {
    PROP(Pit, iobase, "iobase", PROP_U32, UINT32_MAX),
    PROP(Pit, lost_tick_policy, "lost_tick_policy", PROP_ENUM, LOST_TICK_DELAY, .type_name = "LostTickPolicy",
         .names = lost_tick_names),
    {0}
};

static const StateTable kvm_pit_state_table = {
    .name = "i8254", .version = 3, .min_version = 2, .fields = pit_fields, .save = kvm_pit_save,
    .loaded = kvm_pit_loaded,
};

const DeviceType kvm_pit_type = {
    .name = "kvm-pit", .desc = "8254 interval timer in KVM", .bus = "ISA", .internal = true, .size = sizeof(Pit),
    .props = kvm_pit_props, .state = &kvm_pit_state_table, .realize = kvm_pit_realize, .reset = kvm_pit_reset,
    .unrealize = kvm_pit_unrealize, .input = kvm_pit_input, .inputs = 1,
    .gpios = (const GpioInfo[]){ { "", 1, 0 }, {0} },
};
