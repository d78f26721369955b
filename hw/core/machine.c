/*
 * The machine: making it, the accelerator's upward calls, events, info pages.
 */
#include <inttypes.h>
#include <string.h>
#include "hw/core/machine-int.h"
#include "hw/core/memory-int.h"
#include "util/error.h"
#include "util/log.h"

static const DeviceType root_type = { .name = "machine", .desc = "the machine itself", .internal = true,
                                      .size = sizeof(Device) };
/* A device's windows in memory. */
static void print_mmio(Bus *b, Device *d, GString *out, int indent)
{
    for (GSList *l = d->machine->memory.children; l; l = l->next) {
        const Region *r = l->data;

        if (r->owner == d && r->kind == REGION_IO)
            g_string_append_printf(out, "%*smmio %016" PRIx64 "/%016" PRIx64 "\n", indent, "", r->addr, r->size);
    }
}

static bool plug(Bus *b, Device *d, GError **err)
{
    Machine *m = d->machine;

    return !d->type->hotplug || !m->type->pre_plug || m->type->pre_plug(m, d, err);
}

static bool plugged(Bus *b, Device *d, GError **err)
{
    Machine *m = d->machine;

    return !d->type->hotplug || !m->type->plugged || m->type->plugged(m, d, err);
}

static void unplugged(Bus *b, Device *d)
{
    Machine *m = d->machine;

    if (d->type->hotplug && m->type->unplugged)
        m->type->unplugged(m, d);
}

static bool request_unplug(Bus *b, Device *d, GError **err)
{
    Machine *m = d->machine;

    if (!m->type->request_unplug)
        return error_set(err, "Device '%s' does not support hotplugging", d->type->name);
    return m->type->request_unplug(m, d, err);
}

static const BusType system_bus_type = { .name = "System", .print_dev = print_mmio, .plug = plug, .plugged = plugged,
                                         .unplug = unplugged, .request_unplug = request_unplug };

/* ---- The accelerator's upward calls ---- */

static void host_lock(void *opaque) { (void)opaque; machine_lock(); }
static void host_unlock(void *opaque) { (void)opaque; machine_unlock(); }

static void host_pio(void *opaque, uint16_t port, void *data, unsigned size, unsigned count, bool write)
{
    Machine *m = opaque;
    uint8_t *p = data;

    machine_lock();
    for (; count; count--, p += size) {
        uint32_t v = 0;

        if (write) {
            memcpy(&v, p, size);
            pio_write(m, port, v, size);
        } else {
            v = pio_read(m, port, size);
            memcpy(p, &v, size);
        }
    }
    machine_unlock();
}

static void host_mmio(void *opaque, uint64_t addr, void *data, unsigned size, bool write)
{
    Machine *m = opaque;
    uint64_t v = 0;

    machine_lock();
    if (size & (size - 1)) {
        mem_copy(m, addr, data, size, write);
    } else if (write) {
        memcpy(&v, data, size);
        mem_write(m, addr, v, size);
    } else {
        v = mem_read(m, addr, size);
        memcpy(data, &v, size);
    }
    machine_unlock();
}

static void host_coalesced(void *opaque, uint64_t addr, const void *data, unsigned size, bool pio)
{
    uint64_t v = 0;

    memcpy(&v, data, MIN(size, sizeof v));
    if (pio)
        pio_write(opaque, addr, v, size);
    else
        mem_write(opaque, addr, v, size);
}

static void host_dirty(void *opaque, uint8_t *hva, uint64_t pages, const unsigned long *bitmap)
{
    uint64_t off;
    RamBlock *b = ram_block_of(opaque, hva, &off);

    for (uint64_t i = 0; b && i < pages; i++)
        if (bitmap[i / 64] >> (i % 64) & 1)
            ram_mark_dirty(b, off + i * 4096, 4096);
}

static void host_request(void *opaque, AccelRequest what, Vcpu *v)
{
    Machine *m = opaque;

    (void)v;
    machine_lock();
    switch (what) {
    case ACCEL_RESET: machine_request_reset(m, CAUSE_GUEST_RESET); break;
    case ACCEL_SHUTDOWN: machine_request_shutdown(m, CAUSE_GUEST_SHUTDOWN); break;
    case ACCEL_CRASH: machine_guest_panicked(m, CAUSE_GUEST_PANIC); break;
    case ACCEL_INTERNAL_ERROR: machine_request_stop(m, RUN_INTERNAL_ERROR); break;
    case ACCEL_DEBUG: machine_request_stop(m, RUN_DEBUG); break;
    }
    machine_unlock();
}

static void host_ioapic_eoi(void *opaque, unsigned vector)
{
    Machine *m = opaque;

    machine_lock();
    if (m->type->ioapic_eoi)
        m->type->ioapic_eoi(m, vector);
    machine_unlock();
}

const AccelHost *machine_accel_host(Machine *m)
{
    m->host = (AccelHost){
        .opaque = m,
        .lock = host_lock, .unlock = host_unlock, .pio = host_pio, .mmio = host_mmio, .request = host_request,
        .ioapic_eoi = host_ioapic_eoi, .coalesced = host_coalesced, .dirty = host_dirty,
    };

    return &m->host;
}

/* ---- Guest panics and the watchdog: what -action says ---- */

void machine_guest_panicked(Machine *m, ShutdownCause why)
{
    bool pause = m->cfg->action_panic == ACTION_PANIC_SHUTDOWN && m->cfg->action_shutdown == ACTION_SHUTDOWN_PAUSE;
    unsigned action = pause ? ACTION_PANIC_PAUSE : m->cfg->action_panic;
    const char *name = action == ACTION_PANIC_PAUSE ? "pause" : action == ACTION_PANIC_NONE ? "run" : "poweroff";

    machine_event(m, "GUEST_PANICKED", "{s:s}", "action", name);
    switch (action) {
    case ACTION_PANIC_PAUSE:
        machine_request_stop(m, RUN_GUEST_PANICKED);
        break;
    case ACTION_PANIC_SHUTDOWN: case ACTION_PANIC_EXIT_FAILURE:
        machine_request_stop(m, RUN_GUEST_PANICKED);
        machine_request_shutdown(m, why);
        break;
    default:
        break;
    }
}

void machine_watchdog_fired(Machine *m)
{
    static const char *const names[] = { "reset", "shutdown", "poweroff", "pause", "debug", "none", "inject-nmi" };

    machine_event(m, "WATCHDOG", "{s:s}", "action", names[m->cfg->action_watchdog]);
    switch (m->cfg->action_watchdog) {
    case ACTION_WATCHDOG_RESET: machine_request_reset(m, CAUSE_GUEST_RESET); break;
    case ACTION_WATCHDOG_SHUTDOWN: machine_request_powerdown(m); break;
    case ACTION_WATCHDOG_POWEROFF: machine_request_exit(m, 0); break;
    case ACTION_WATCHDOG_PAUSE: machine_request_stop(m, RUN_WATCHDOG); break;
    case ACTION_WATCHDOG_DEBUG: log_printf("watchdog: timer fired\n"); break;
    case ACTION_WATCHDOG_INJECT_NMI: machine_inject_nmi(m); break;
    default: break;
    }
}

void machine_inject_nmi(Machine *m)
{
    if (m->type->nmi)
        m->type->nmi(m);
}

/* ---- Events and info pages ---- */

void machine_event(Machine *m, const char *name, const char *fmt, ...)
{
    va_list ap;

    if (!m->hooks.event)
        return;
    va_start(ap, fmt);
    m->hooks.event(m->hooks.opaque, name, fmt, ap);
    va_end(ap);
}

typedef struct InfoWalk {
    void (*fn)(const InfoRow *row, void *opaque);
    void *opaque;
    GHashTable *seen;
    const char *name;
    GString *out;
    bool found;
} InfoWalk;

static void info_rows(const InfoRow *r, Device *d, InfoWalk *w)
{
    for (; r && r->name; r++) {
        if (w->fn) {
            if (g_hash_table_add(w->seen, (char *)r->name))
                w->fn(r, w->opaque);
        } else if (!strcmp(r->name, w->name)) {
            r->print(d, w->out);
            w->found = true;
        }
    }
}

static bool info_device(Device *d, void *opaque)
{
    info_rows(d->type->info, d, opaque);
    for (GSList *l = d->buses; l; l = l->next)
        info_rows(((Bus *)l->data)->type->info, d, opaque);
    return true;
}

void machine_foreach_info(Machine *m, void (*fn)(const InfoRow *row, void *opaque), void *opaque)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    InfoWalk w = { .fn = fn, .opaque = opaque, .seen = seen };

    machine_foreach_device(m, info_device, &w);
}

/* The newest devices first: that is QEMU's order where a page has parts of several (info pic, info irq). */
bool machine_print_info(Machine *m, const char *name, GString *out)
{
    InfoWalk w = { .name = name, .out = out };

    for (unsigned i = m->devices->len; i > 0; i--)
        info_device(g_ptr_array_index(m->devices, i - 1), &w);
    return w.found;
}

/* ---- Life ---- */

MachineConfig *machine_config_new(void)
{
    MachineConfig *c = g_new0(MachineConfig, 1);

    c->fw_cfg = g_ptr_array_new_with_free_func(g_free);
    c->smbios = g_ptr_array_new_with_free_func(g_free);
    c->serial = g_ptr_array_new_with_free_func(g_free);
    c->parallel = g_ptr_array_new_with_free_func(g_free);
    c->numa = g_array_new(false, true, sizeof(NumaNode));
    c->props = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    c->boot_splash_time = c->boot_reboot_timeout = -1;
    c->graphics = true;
    return c;
}

Machine *machine_new(const MachineType *t, MachineConfig *cfg)
{
    Machine *m = g_new0(Machine, 1);

    m->type = t;
    m->cfg = cfg;
    m->devices = g_ptr_array_new();
    m->vcpus = g_ptr_array_new();
    m->ram_blocks = g_ptr_array_new();
    m->mem_backends = g_ptr_array_new();
    region_init(&m->memory, NULL, "system", UINT64_MAX);
    region_init(&m->io, NULL, "io", 65536);
    m->memory.machine = m->io.machine = m;
    m->mem_view = flatview_new(&m->memory);
    m->io_view = flatview_new(&m->io);
    runcontrol_init(m);
    m->root = g_new0(Device, 1);
    device_init(m->root, m, &root_type);
    m->root->path = g_strdup("/machine");
    m->sysbus = bus_new(&system_bus_type, m->root, "main-system-bus");
    return m;
}

bool machine_build(Machine *m, GError **err)
{
    bool ok;

    clock_init(m, !accel_is_kvm());
    map_begin(m);
    m->map_dirty = true;
    ok = !m->type->init || m->type->init(m, err);
    map_commit(m);
    return ok;
}

bool machine_ready(Machine *m, GError **err)
{
    bool ok;

    map_begin(m);
    ok = !m->type->ready || m->type->ready(m, err);
    if (ok) {
        runcontrol_ready(m);
        machine_reset_now(m, CAUSE_NONE);
    }
    map_commit(m);
    return ok;
}

void machine_free(Machine *m)
{
    map_begin(m);   /* never committed: nothing looks at the map any more */
    device_free(m->root);
    while (m->ram_blocks->len)
        region_free_ram(m, g_ptr_array_index(m->ram_blocks, 0));
    if (m->smm) {
        region_fini(&m->smm_root);
        region_fini(&m->smm_memory);
        region_fini(&m->smram);
        flatview_free(m->smm_view);
    }
    region_fini(&m->memory);
    region_fini(&m->io);
    flatview_free(m->mem_view);
    flatview_free(m->io_view);
    if (m->clock)
        clock_free(m);
    runcontrol_free(m);
    g_ptr_array_unref(m->devices);
    g_ptr_array_unref(m->vcpus);
    g_ptr_array_unref(m->ram_blocks);
    g_ptr_array_unref(m->mem_backends);
    if (m->roms)
        g_array_unref(m->roms);
    g_free(m);
}

const MachineType *machine_type_find(const char *name)
{
    for (const MachineType *const *t = machine_types; *t; t++)
        if (name ? !strcmp((*t)->name, name) || ((*t)->alias && !strcmp((*t)->alias, name)) : (*t)->is_default)
            return *t;
    return NULL;
}
