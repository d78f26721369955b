/*
 * The accelerator "qtest": runs no guest code.  vCPUs are state only; memory, doorbells and interrupts
 * have nothing to be handed to.  The qtest protocol itself is served by hw/core, with any accelerator.
 */
#include "accel/accel.h"
#include "util/error.h"

static bool qtest_open(const AccelConfig *cfg, const AccelHost *host, GError **err)
{
    accel_irqchip = IRQCHIP_OFF;
    accel_smm = false;
    return true;
}

static void qtest_close(void)
{
}

static bool qtest_vcpu_create(Vcpu *v, GError **err)
{
    v->fd = -1;
    v->run = NULL;
    v->halted = v->index != 0;
    return v->ops->init(v, err);
}

static void qtest_vcpu_destroy(Vcpu *v)
{
    v->ops->destroy(v);
}

static void qtest_vcpu_kick(Vcpu *v)
{
}

static void qtest_vcpu_call(Vcpu *v, void (*fn)(Vcpu *v, void *arg), void *arg)
{
    fn(v, arg);
}

static void nothing(void)
{
}

static void qtest_set_memory(unsigned as, const AccelRange *ranges, unsigned n)
{
}

static bool qtest_dirty_get(uint64_t gpa, uint64_t size, unsigned long *bitmap)
{
    return false;
}

static bool qtest_ioeventfd(int fd, uint64_t addr, unsigned len, bool pio, const uint64_t *match, bool add, GError **err)
{
    return error_set(err, "accelerator qtest has no ioeventfds");
}

static bool qtest_coalesce(uint64_t addr, uint64_t size, bool pio, bool add)
{
    return false;
}

static int qtest_irq_line(unsigned gsi, int level)
{
    return -1;
}

static bool qtest_msi(uint64_t addr, uint32_t data)
{
    return false;
}

static int qtest_msi_route_add(uint64_t addr, uint32_t data, GError **err)
{
    error_set(err, "accelerator qtest has no MSI routes");
    return -1;
}

static void qtest_msi_route_update(int gsi, uint64_t addr, uint32_t data)
{
}

static void qtest_msi_route_del(int gsi)
{
}

static bool qtest_irqfd(int fd, int resample_fd, int gsi, bool add, GError **err)
{
    return error_set(err, "accelerator qtest has no irqfds");
}

const AccelOps accel_qtest = {
    .name = "qtest",
    .open = qtest_open,
    .close = qtest_close,
    .vcpu_create = qtest_vcpu_create,
    .vcpu_destroy = qtest_vcpu_destroy,
    .vcpu_kick = qtest_vcpu_kick,
    .vcpu_call = qtest_vcpu_call,
    .start = nothing,
    .stop = nothing,
    .stop_self = nothing,
    .set_memory = qtest_set_memory,
    .dirty_get = qtest_dirty_get,
    .ioeventfd = qtest_ioeventfd,
    .coalesce = qtest_coalesce,
    .coalesced_flush = nothing,
    .irq_line = qtest_irq_line,
    .msi = qtest_msi,
    .msi_route_add = qtest_msi_route_add,
    .msi_route_update = qtest_msi_route_update,
    .msi_route_del = qtest_msi_route_del,
    .msi_routes_commit = nothing,
    .irqfd = qtest_irqfd,
};
