/*
 * Preloaded into an emulator, this measures what it does between KVM_RUN's return and the next KVM_RUN, for each
 * vCPU thread, and counts its KVM ioctls.  At the end it writes to the file $KVMRUN_OUT:
 *
 *     exits N                 KVM_RUNs that returned to the same thread's next one
 *     user MEDIAN MEAN        ns between them (the mean without the slowest tenth: the host's preemptions)
 *     ioctl NR COUNT NS       each other ioctl, how often, and how long they took together
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <x86intrin.h>

enum { SAMPLES = 1 << 21, NUMBERS = 256 };

static int (*real_ioctl)(int, unsigned long, ...);
static unsigned *sample;
static atomic_uint samples, count[NUMBERS];
static atomic_ullong spent[NUMBERS];
static __thread unsigned long long returned;
static unsigned long long tsc_begin;
static struct timespec time_begin;

static __attribute__((constructor)) void begin(void)
{
    real_ioctl = (int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");
    sample = calloc(SAMPLES, sizeof(*sample));
    clock_gettime(CLOCK_MONOTONIC, &time_begin);
    tsc_begin = __rdtsc();
}

int ioctl(int fd, unsigned long request, ...)
{
    unsigned long long t;
    void *arg;
    va_list ap;
    int r;

    va_start(ap, request);
    arg = va_arg(ap, void *);
    va_end(ap);
    if (request == KVM_RUN) {
        t = __rdtsc();
        if (returned) {
            unsigned n = atomic_fetch_add_explicit(&samples, 1, memory_order_relaxed);

            sample[n % SAMPLES] = t - returned < 0xffffffff ? t - returned : 0xffffffff;
        }
        r = real_ioctl(fd, request, arg);
        returned = __rdtsc();
        return r;
    }
    t = __rdtsc();
    r = real_ioctl(fd, request, arg);
    if ((request >> 8 & 0xff) == KVMIO) {
        atomic_fetch_add(&count[request & 0xff], 1);
        atomic_fetch_add(&spent[request & 0xff], __rdtsc() - t);
    }
    return r;
}

static int order(const void *a, const void *b)
{
    unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;

    return x < y ? -1 : x > y;
}

static __attribute__((destructor)) void end(void)
{
    const char *path = getenv("KVMRUN_OUT");
    FILE *f = path ? fopen(path, "w") : NULL;
    struct timespec now;
    double ns, sum = 0;
    unsigned n = samples < SAMPLES ? samples : SAMPLES, used;

    if (!f) {
        return;
    }
    clock_gettime(CLOCK_MONOTONIC, &now);
    ns = ((now.tv_sec - time_begin.tv_sec) * 1e9 + (now.tv_nsec - time_begin.tv_nsec)) / (__rdtsc() - tsc_begin);
    qsort(sample, n, sizeof(*sample), order);
    used = n - n / 10;
    for (unsigned i = 0; i < used; i++) {
        sum += sample[i];
    }
    fprintf(f, "exits %u\n", (unsigned)samples);
    fprintf(f, "user %.1f %.1f\n", n ? sample[n / 2] * ns : 0, used ? sum / used * ns : 0);
    for (unsigned i = 0; i < NUMBERS; i++) {
        if (count[i]) {
            fprintf(f, "ioctl 0x%02x %u %.0f\n", i, (unsigned)count[i], spent[i] * ns);
        }
    }
    fclose(f);
}
