/*
 * vCPU threads: making, stopping, kicking and calling into them.
 *
 * A kick sets immediate_exit in the vCPU's shared page and sends a signal: KVM_RUN then returns EINTR, be it
 * in the guest already or about to enter it.  Only then, in vcpu_wait, does the thread look at what is wanted
 * of it, so an ordinary exit costs no test.  And as KVM_RUN finishes a pending I/O instruction before it looks
 * at immediate_exit, a stopped vCPU's registers are always those between two instructions.
 *
 * Lock: vcpus.lock guards the list and each vCPU's wishes (struct KvmVcpu); taken inside the machine lock, never
 * the other way round.
 */
#include "accel/kvm/kvm-int.h"
#include "util/error.h"
#include <errno.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define THROTTLE_SLICE_US 10000         /* that a throttled vCPU runs in one go */

typedef struct Work {
    void (*fn)(Vcpu *v, void *arg);
    void *arg;
    bool done;
} Work;

struct KvmVcpu {
    Vcpu *v;
    GThread *thread;
    pthread_t id;

    /* under vcpus.lock */
    GQueue work;                /* Work: owned by the waiting caller */
    GError *failed;             /* why init failed */
    bool created;               /* init has ended */
    bool stop, self_stop;       /* must not run */
    bool stopped;               /* does not run, and is in no handler */
    bool unplug;
    bool poked;                 /* kicked since it last looked: a halted vCPU looks again */
};

typedef struct Parked { uint32_t apic_id; int fd; struct kvm_run *run; } Parked;

static struct {
    GMutex lock;
    GCond cond;
    GPtrArray *list;            /* KvmVcpu */
    GArray *parked;             /* Parked: KVM cannot destroy a vCPU, so an unplugged one waits for the next */
    bool running;
    unsigned hold;              /* kvm_others_hold: nobody but the holder enters the guest */
    bool resting;               /* kvm_throttle: nobody does */
    unsigned throttle;          /* percent of the time that they rest */
    GCond throttle_changed;
} vcpus;

static __thread Vcpu *current;

Vcpu *vcpu_current(void)
{
    return current;
}

/* ---- On the vCPU's thread ---- */

static void run_work(struct KvmVcpu *k)
{
    Work *w;

    while ((w = g_queue_pop_head(&k->work))) {
        g_mutex_unlock(&vcpus.lock);
        w->fn(k->v, w->arg);
        g_mutex_lock(&vcpus.lock);
        w->done = true;
        g_cond_broadcast(&vcpus.cond);
    }
}

static void set_stopped(struct KvmVcpu *k, bool stopped)
{
    if (k->stopped != stopped) {
        k->stopped = stopped;
        g_cond_broadcast(&vcpus.cond);
    }
}

/* Does what others want of this vCPU, and waits while it must not run; false: it is to be destroyed. */
static bool vcpu_wait(struct KvmVcpu *k)
{
    Vcpu *v = k->v;
    bool go;

    g_mutex_lock(&vcpus.lock);
    for (;;) {
        bool stop;

        __atomic_store_n(&v->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
        run_work(k);
        stop = k->stop || k->self_stop;
        if (k->unplug || (!stop && !vcpus.hold && !vcpus.resting && (!v->halted || k->poked))) {
            break;
        }
        set_stopped(k, stop);
        g_cond_wait(&vcpus.cond, &vcpus.lock);
    }
    set_stopped(k, k->unplug);
    k->poked = false;
    go = !k->unplug;
    g_mutex_unlock(&vcpus.lock);
    return go;
}

static void *vcpu_thread(void *opaque)
{
    struct KvmVcpu *k = opaque;
    Vcpu *v = k->v;
    g_autofree char *name = g_strdup_printf("CPU %u/KVM", v->index);
    g_autoptr(GError) err = NULL;
    sigset_t set;
    bool ok;

    sigfillset(&set);
    sigdelset(&set, KICK_SIGNAL);
    pthread_sigmask(SIG_SETMASK, &set, NULL);
    pthread_setname_np(pthread_self(), name);
    current = v;
    v->tid = syscall(SYS_gettid);
    ok = v->ops->init(v, &err);

    g_mutex_lock(&vcpus.lock);
    k->id = pthread_self();
    k->created = true;
    k->failed = ok ? NULL : g_steal_pointer(&err);
    g_cond_broadcast(&vcpus.cond);
    g_mutex_unlock(&vcpus.lock);
    while (ok && vcpu_wait(k)) {
        kvm_vcpu_run(v);
    }
    return NULL;
}

void kvm_stop_self(void)
{
    if (current) {
        g_mutex_lock(&vcpus.lock);
        current->kvm->self_stop = true;
        g_mutex_unlock(&vcpus.lock);
        __atomic_store_n(&current->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
    }
}

/* ---- From other threads ---- */

static void kick(struct KvmVcpu *k)
{
    __atomic_store_n(&k->v->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
    if (k->v != current && k->created) {
        pthread_kill(k->id, KICK_SIGNAL);
    }
}

void kvm_vcpu_kick(Vcpu *v)
{
    g_mutex_lock(&vcpus.lock);
    v->kvm->poked = true;
    g_cond_broadcast(&vcpus.cond);
    kick(v->kvm);
    g_mutex_unlock(&vcpus.lock);
}

void kvm_vcpu_call(Vcpu *v, void (*fn)(Vcpu *v, void *arg), void *arg)
{
    Work w = { .fn = fn, .arg = arg };
    bool direct;

    g_mutex_lock(&vcpus.lock);
    /* What is stopped stays so while the caller has the machine lock. */
    direct = v == current || (v->kvm->stopped && v->kvm->stop);
    if (!direct) {
        g_queue_push_tail(&v->kvm->work, &w);
        g_cond_broadcast(&vcpus.cond);
        kick(v->kvm);
    }
    g_mutex_unlock(&vcpus.lock);
    if (direct) {
        fn(v, arg);
        return;
    }
    kvm.host.unlock(kvm.host.opaque);
    g_mutex_lock(&vcpus.lock);
    while (!w.done) {
        g_cond_wait(&vcpus.cond, &vcpus.lock);
    }
    g_mutex_unlock(&vcpus.lock);
    kvm.host.lock(kvm.host.opaque);
}

static struct KvmVcpu *nth(unsigned i)
{
    return g_ptr_array_index(vcpus.list, i);
}

static bool all_stopped(void)
{
    for (unsigned i = 0; i < vcpus.list->len; i++) {
        if (!nth(i)->stopped && nth(i)->v != current) {
            return false;
        }
    }
    return true;
}

void kvm_stop(void)
{
    if (!vcpus.list) {
        return;
    }
    g_mutex_lock(&vcpus.lock);
    vcpus.running = false;
    for (unsigned i = 0; i < vcpus.list->len; i++) {
        nth(i)->stop = true;
        kick(nth(i));
    }
    g_cond_broadcast(&vcpus.cond);
    if (!all_stopped()) {
        g_mutex_unlock(&vcpus.lock);
        kvm.host.unlock(kvm.host.opaque);
        g_mutex_lock(&vcpus.lock);
        while (!all_stopped()) {
            g_cond_wait(&vcpus.cond, &vcpus.lock);
        }
        g_mutex_unlock(&vcpus.lock);
        kvm.host.lock(kvm.host.opaque);
        return;
    }
    g_mutex_unlock(&vcpus.lock);
}

void kvm_start(void)
{
    g_mutex_lock(&vcpus.lock);
    vcpus.running = true;
    for (unsigned i = 0; vcpus.list && i < vcpus.list->len; i++) {
        nth(i)->stop = nth(i)->self_stop = false;
        nth(i)->poked = true;
    }
    g_cond_broadcast(&vcpus.cond);
    g_mutex_unlock(&vcpus.lock);
}

/* After this each vCPU's in_run is seen, or the vCPU sees its immediate_exit: neither side pays for a barrier an exit. */
static void barrier_everywhere(void)
{
    static bool registered;

    if (!registered) {
        syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
        registered = true;
    }
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) < 0) {
        syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
    }
}

static void rest(bool on)
{
    vcpus.resting = on;
    g_cond_broadcast(&vcpus.cond);
    for (unsigned i = 0; on && i < vcpus.list->len; i++) {
        kick(nth(i));
    }
}

/* Waits that long or until the throttle changes; lock held. */
static void throttle_wait(gint64 us)
{
    unsigned was = vcpus.throttle;
    gint64 until = g_get_monotonic_time() + us;

    while (vcpus.throttle == was && g_cond_wait_until(&vcpus.throttle_changed, &vcpus.lock, until)) {
        continue;
    }
}

static void *throttle_thread(void *opaque)
{
    g_mutex_lock(&vcpus.lock);
    while (vcpus.throttle) {
        rest(true);
        throttle_wait(THROTTLE_SLICE_US * vcpus.throttle / (100 - vcpus.throttle));
        rest(false);
        throttle_wait(THROTTLE_SLICE_US);
    }
    g_mutex_unlock(&vcpus.lock);
    return NULL;
}

void kvm_throttle(unsigned percent)
{
    static GThread *thread;

    g_mutex_lock(&vcpus.lock);
    vcpus.throttle = MIN(percent, 99);
    g_cond_broadcast(&vcpus.throttle_changed);
    g_mutex_unlock(&vcpus.lock);
    if (percent && !thread) {
        thread = g_thread_new("throttle", throttle_thread, NULL);
    } else if (!percent && thread) {
        g_clear_pointer(&thread, g_thread_join);
    }
}

void kvm_others_hold(void)
{
    if (!vcpus.list || !vcpus.running || vcpus.list->len < (current ? 2 : 1)) {
        return;
    }
    g_mutex_lock(&vcpus.lock);
    vcpus.hold = 1;
    for (unsigned i = 0; i < vcpus.list->len; i++) {
        if (nth(i)->v != current) {
            kick(nth(i));
        }
    }
    g_mutex_unlock(&vcpus.lock);
    barrier_everywhere();
    for (unsigned i = 0; i < vcpus.list->len; i++) {
        while (nth(i)->v != current && __atomic_load_n(&nth(i)->v->in_run, __ATOMIC_ACQUIRE)) {
            g_usleep(20);
        }
    }
}

void kvm_others_release(void)
{
    g_mutex_lock(&vcpus.lock);
    vcpus.hold = 0;
    g_cond_broadcast(&vcpus.cond);
    g_mutex_unlock(&vcpus.lock);
}

/* ---- Making and destroying ---- */

static void on_kick(int sig)
{
}

static void vcpus_init(void)
{
    struct sigaction sa = { .sa_handler = on_kick };

    sigaction(KICK_SIGNAL, &sa, NULL);
    vcpus.list = g_ptr_array_new();
    vcpus.parked = g_array_new(FALSE, FALSE, sizeof(Parked));
}

static bool unpark(Vcpu *v)
{
    for (unsigned i = 0; i < vcpus.parked->len; i++) {
        Parked *p = &g_array_index(vcpus.parked, Parked, i);

        if (p->apic_id == v->apic_id) {
            v->fd = p->fd;
            v->run = p->run;
            g_array_remove_index_fast(vcpus.parked, i);
            return true;
        }
    }
    return false;
}

static bool open_vcpu(Vcpu *v, GError **err)
{
    void *map;
    int page;

    if (unpark(v)) {
        return true;
    }
    v->fd = kvm_vm_ioctl(KVM_CREATE_VCPU, (void *)(uintptr_t)v->apic_id);
    if (v->fd < 0) {
        return error_set_errno(err, -v->fd, "KVM cannot create CPU %u", v->index);
    }
    map = mmap(NULL, kvm.run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
    if (map == MAP_FAILED) {
        error_set_errno(err, errno, "cannot map CPU %u", v->index);
        close(v->fd);
        return false;
    }
    v->run = map;
    page = kvm_check(KVM_CAP_COALESCED_MMIO);
    if (!kvm.ring && page > 0 && (page + 1) * KVM_PAGE <= kvm.run_size) {
        kvm.ring = (void *)((char *)map + page * KVM_PAGE);
        kvm.ring_entries = (KVM_PAGE - sizeof(struct kvm_coalesced_mmio_ring)) / sizeof(struct kvm_coalesced_mmio);
    }
    return true;
}

static void park(Vcpu *v)
{
    Parked p = { v->apic_id, v->fd, v->run };

    g_array_append_val(vcpus.parked, p);
    v->fd = -1;
    v->run = NULL;
}

static void free_kvm_vcpu(Vcpu *v)
{
    park(v);
    g_clear_error(&v->kvm->failed);
    g_clear_pointer(&v->kvm, g_free);
}

bool kvm_vcpu_create(Vcpu *v, GError **err)
{
    struct KvmVcpu *k;
    bool ok;

    if (!vcpus.list) {
        vcpus_init();
    }
    if (!open_vcpu(v, err)) {
        return false;
    }
    k = g_new0(struct KvmVcpu, 1);
    k->v = v;
    k->stop = !vcpus.running;
    v->kvm = k;
    k->thread = g_thread_new("CPU", vcpu_thread, k);
    g_mutex_lock(&vcpus.lock);
    while (!k->created) {
        g_cond_wait(&vcpus.cond, &vcpus.lock);
    }
    ok = !k->failed;
    if (ok) {
        g_ptr_array_add(vcpus.list, k);
    } else {
        g_propagate_error(err, g_steal_pointer(&k->failed));
    }
    g_mutex_unlock(&vcpus.lock);
    if (!ok) {
        g_thread_join(k->thread);
        free_kvm_vcpu(v);
    }
    return ok;
}

void kvm_vcpu_destroy(Vcpu *v)
{
    g_mutex_lock(&vcpus.lock);
    g_ptr_array_remove(vcpus.list, v->kvm);
    v->kvm->unplug = true;
    kick(v->kvm);
    g_cond_broadcast(&vcpus.cond);
    g_mutex_unlock(&vcpus.lock);
    kvm.host.unlock(kvm.host.opaque);
    g_thread_join(v->kvm->thread);
    kvm.host.lock(kvm.host.opaque);
    v->ops->destroy(v);
    free_kvm_vcpu(v);
}

void kvm_vcpus_close(void)
{
    while (vcpus.list && vcpus.list->len) {
        kvm_vcpu_destroy(nth(vcpus.list->len - 1)->v);
    }
    for (unsigned i = 0; vcpus.list && i < vcpus.parked->len; i++) {
        Parked *p = &g_array_index(vcpus.parked, Parked, i);

        munmap(p->run, kvm.run_size);
        close(p->fd);
    }
    g_clear_pointer(&vcpus.list, g_ptr_array_unref);
    g_clear_pointer(&vcpus.parked, g_array_unref);
    vcpus.running = false;
}
