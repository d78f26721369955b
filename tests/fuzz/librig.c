/*
 * The machine of the device tests; see librig.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "block/block.h"
#include "cli/cli.h"
#include "hw/core/memory-int.h"
#include "hw/ide/ide-int.h"
#include "hw/pci/pci.h"
#include "tests/fuzz/librig.h"

/* What a type needs to be plugged; %u is the rig's number. Types that are not here are tried without anything. */
static const struct { const char *type, *args; } needs[] = {
    { "e1000", "mac=52:54:00:00:00:01" },      /* the next free one differs between two machines */
    { "e1000-82544gc", "mac=52:54:00:00:00:02" },
    { "e1000-82545em", "mac=52:54:00:00:00:03" },
    { "isa-serial", "chardev=nulla%u" },
    { "isa-parallel", "chardev=nullb%u" },
    { "isa-debugcon", "chardev=nullc%u" },
    { "pci-serial", "chardev=nulld%u" },
    { "isa-debug-exit", "iobase=0x501" },
    { "ide-hd", "drive=hd%u,bus=ide.0" },
    { "ide-cd", "drive=cd%u,bus=ide.1" },
    { "floppy", "drive=fd%u" },
    { "usb-storage", "drive=us%u" },
    { "vmgenid", "guid=11223344-5566-7788-99aa-bbccddeeff00" },
};

#define EJECT_PORT 0xae08

static char *folder;
static GPtrArray *made;

static void fail(const char *what, GError *err)
{
    printf("not ok - the machine: %s: %s\n", what, err ? err->message : "failed");
    rig_cleanup();
    exit(1);
}

/* ---- Random numbers: xorshift128+ ---- */

void rnd_seed(Rig *r, uint64_t seed)
{
    r->rnd[0] = seed * 0x9e3779b97f4a7c15 + 1;
    r->rnd[1] = ~seed;
    for (unsigned i = 0; i < 20; i++) {
        rnd(r);
    }
}

uint64_t rnd(Rig *r)
{
    uint64_t a = r->rnd[0], b = r->rnd[1];

    r->rnd[0] = b;
    a ^= a << 23;
    r->rnd[1] = a ^ b ^ a >> 18 ^ b >> 5;
    return r->rnd[1] + b;
}

unsigned rnd_below(Rig *r, unsigned n)
{
    return (rnd(r) >> 16) % n;
}

/* Values that registers care for: single bits, small numbers, addresses in RAM, what was read before. */
uint64_t rnd_value(Rig *r)
{
    switch (rnd_below(r, 10)) {
    case 0: return 0;
    case 1: return ~0ull;
    case 2: return 1ull << rnd_below(r, 64);
    case 3: return ~(1ull << rnd_below(r, 32));
    case 4: return rnd_below(r, 16);
    case 5: return rnd_below(r, RIG_RAM) & ~3u;
    case 6: return r->seen;
    case 7: return r->seen ^ 1ull << rnd_below(r, 32);
    default: return rnd(r);
    }
}

uint64_t rnd_offset(Rig *r, const Window *w, unsigned size)
{
    uint64_t span = w->last - w->first;
    uint64_t off;

    switch (rnd_below(r, 8)) {
    case 0: off = 0; break;
    case 1: off = span; break;
    case 2: case 3: off = span ? rnd(r) % (span + 1) : 0; break;
    default: off = rnd_below(r, MIN(span, 255) + 1); break;     /* registers mostly stand at the beginning */
    }
    if (rnd_below(r, 8)) {
        off &= ~(uint64_t)(size - 1);
    }
    return w->first + off;
}

/* ---- Making it ---- */

static const char *make_file(Rig *r, const char *name, size_t size)
{
    char *path = g_strdup_printf("%s/%s%u", folder, name, r->number);
    FILE *f = fopen(path, "w");

    if (!f || ftruncate(fileno(f), size) != 0 || fclose(f) != 0) {
        fail(path, NULL);
    }
    g_ptr_array_add(r->files, path);
    g_ptr_array_add(made, g_strdup(path));
    return path;
}

static void add_device(Rig *r, const DeviceType *t)
{
    g_autoptr(GString) opts = g_string_new(t->name);
    g_autoptr(GError) err = NULL;

    for (unsigned i = 0; i < G_N_ELEMENTS(needs); i++) {
        if (strcmp(needs[i].type, t->name) == 0) {
            g_string_append_c(opts, ',');
            G_GNUC_BEGIN_IGNORE_DEPRECATIONS
            g_string_append_printf(opts, needs[i].args, r->number);
            G_GNUC_END_IGNORE_DEPRECATIONS
        }
    }
    if (!device_add_opts(r->machine, opts->str, false, &err)) {
        printf("# %s: not plugged into machine %u: %s\n", opts->str, r->number, err ? err->message : "?");
    }
}

static bool present(Machine *m, const DeviceType *t)
{
    for (unsigned i = 0; i < m->devices->len; i++) {
        if (((Device *)g_ptr_array_index(m->devices, i))->type == t) {
            return true;
        }
    }
    return false;
}

static char *command_line(Rig *r)
{
    const char *hd = make_file(r, "hd", 1 << 20), *cd = make_file(r, "cd", 1 << 18), *fd = make_file(r, "fd", 1474560),
        *us = make_file(r, "us", 1 << 20);
    unsigned n = r->number;

    return g_strdup_printf("vmemu -M pc -accel qtest -nodefaults -display none -m %u -vga std -usb -rtc "
                           "base=2021-03-04T05:06:07,clock=vm -uuid 01234567-89ab-cdef-0123-456789abcdef "
                           "-chardev null,id=nulla%u -chardev null,id=nullb%u -chardev null,id=nullc%u "
                           "-chardev null,id=nulld%u -drive if=none,id=hd%u,format=raw,file=%s "
                           "-drive if=none,id=cd%u,format=raw,media=cdrom,file=%s -drive if=none,id=fd%u,format=raw,file=%s "
                           "-drive if=none,id=us%u,format=raw,file=%s",
                           RIG_RAM >> 20, n, n, n, n, n, hd, n, cd, n, fd, n, us);
}

/* Another type with the same state is there. */
static bool same_state(Machine *m, const DeviceType *t)
{
    for (unsigned i = 0; t->state && i < m->devices->len; i++) {
        if (((Device *)g_ptr_array_index(m->devices, i))->type->state == t->state) {
            return true;
        }
    }
    return false;
}

Rig *rig_new(unsigned number)
{
    return rig_new_of(number, false);
}

Rig *rig_new_of(unsigned number, bool distinct)
{
    Rig *r = g_new0(Rig, 1);
    g_autoptr(GError) err = NULL;
    g_autofree char *line = NULL;
    char **argv;
    Cli *c = cli_new();
    int argc;

    if (!folder) {
        folder = g_dir_make_tmp("vmemu-rig-XXXXXX", NULL);
        made = g_ptr_array_new_with_free_func(g_free);
        machine_loop_init();
    }
    r->number = number;
    r->files = g_ptr_array_new();
    line = command_line(r);
    if (!g_shell_parse_argv(line, &argc, &argv, &err) || !cli_parse(c, argc, argv, &err)) {
        fail("command line", err);
    }
    c->cfg->ram_slots = 2;              /* memory hot-plug's registers are there then */
    c->cfg->max_ram_size = 4ull << 30;
    c->cfg->smp.cpus = c->cfg->smp.max_cpus = c->cfg->smp.sockets = c->cfg->smp.dies = c->cfg->smp.cores =
        c->cfg->smp.threads = 1;
    r->machine = machine_new(machine_type_find("pc"), c->cfg);
    if (number) {
        machine_accel_host(r->machine);     /* one accelerator for all: it has nothing to do */
    } else if (!cli_start_accel(c, r->machine, &err)) {
        fail("accelerator", err);
    }
    if (!cli_backends(c, r->machine, &err)) {
        fail("back-ends", err);
    }
    map_begin(r->machine);
    if (!machine_build(r->machine, &err) || !cli_devices(c, r->machine, &err)) {
        fail("board", err);
    }
    for (unsigned i = 0; device_types[i]; i++) {
        const DeviceType *t = device_types[i];

        if (!t->internal && t->category != CAT_CPU && !present(r->machine, t) && !(distinct && same_state(r->machine, t))) {
            add_device(r, t);
        }
    }
    if (!machine_ready(r->machine, &err)) {
        fail("ready", err);
    }
    map_commit(r->machine);
    machine_start(r->machine);
    return r;
}

void rig_cleanup(void)
{
    for (unsigned i = 0; made && i < made->len; i++) {
        unlink(g_ptr_array_index(made, i));
    }
    if (folder) {
        rmdir(folder);
    }
}

/* Lets host I/O and requests come to an end, so that both machines have done the same. */
static void settle(Rig *r)
{
    for (unsigned i = 0; i < 100 && g_main_context_iteration(NULL, FALSE); i++) {
    }
    blk_drain_all();
    for (unsigned i = 0; i < 100 && g_main_context_iteration(NULL, FALSE); i++) {
    }
    if (!machine_is_running(r->machine)) {      /* the guest has stopped it: power-off, a watchdog, S3 */
        rig_reset(r);
    }
}

void rig_reset(Rig *r)
{
    machine_reset_now(r->machine, CAUSE_HOST_QMP_SYSTEM_RESET);
    if (!machine_is_running(r->machine)) {
        machine_start(r->machine);
    }
    rig_place(r);
}

/* ---- PCI ---- */

static uint32_t config(Rig *r, unsigned devfn, unsigned off, unsigned size, bool write, uint32_t value)
{
    Machine *m = r->machine;

    pio_write(m, 0xcf8, 0x80000000u | devfn << 8 | (off & 0xfc), 4);
    if (write) {
        pio_write(m, 0xcfc + (off & 3), value, size);
        return 0;
    }
    return pio_read(m, 0xcfc + (off & 3), size);
}

void rig_place(Rig *r)
{
    uint32_t io = 0xc000, mem = 0xe0000000;

    for (unsigned devfn = 0; devfn < 256; devfn++) {
        if (config(r, devfn, 0, 2, false, 0) == 0xffff) {
            continue;
        }
        config(r, devfn, 4, 2, true, 0);
        for (unsigned off = 0x10; off < 0x28; off += 4) {
            uint32_t type, size;

            config(r, devfn, off, 4, true, ~0u);
            size = config(r, devfn, off, 4, false, 0);
            type = size & 1;
            size = ~(size & (type ? 0xfffffffc : 0xfffffff0)) + 1;
            if (!size) {
                continue;
            }
            if (type) {
                size &= 0xffff;
                io = (io + size - 1) & ~(size - 1);
                config(r, devfn, off, 4, true, io);
                io += size;
            } else {
                mem = (mem + size - 1) & ~(size - 1);
                config(r, devfn, off, 4, true, mem);
                mem += size;
            }
        }
        config(r, devfn, 4, 2, true, 7);
    }
}

/* ---- Targets ---- */

static bool belongs(const Device *owner, const Device *d)
{
    for (unsigned i = 0; owner && i < 8; i++, owner = owner->owner) {
        if (owner == d) {
            return true;
        }
    }
    return false;
}

static void add_windows(GArray *out, const FlatView *v, bool pio, const Device *d)
{
    for (unsigned i = 0; i < v->n; i++) {
        Window w = { pio, v->ranges[i].first, v->ranges[i].last };

        if (belongs(v->ranges[i].region->owner, d)) {
            g_array_append_val(out, w);
        }
    }
}

void target_find(Rig *r, Target *t)
{
    GArray *out = g_array_new(FALSE, FALSE, sizeof(Window));
    Machine *m = r->machine;

    add_windows(out, m->io_view, true, t->dev);
    add_windows(out, m->mem_view, false, t->dev);
    g_free(t->windows);
    t->n_windows = out->len;
    t->windows = (Window *)(void *)g_array_free(out, FALSE);
    t->devfn = device_type_is(t->dev->type, &pci_device_type) ? pci_device(t->dev)->devfn : -1;
    t->mem_view = m->mem_view;
    t->io_view = m->io_view;
}

void target_refresh(Rig *r, Target *t)
{
    if (t->mem_view != r->machine->mem_view || t->io_view != r->machine->io_view) {
        target_find(r, t);
    }
}

void target_free(Target *t)
{
    g_free(t->windows);
}

/* ---- Steps ---- */

uint64_t rig_do(Rig *r, const Op *op)
{
    Machine *m = r->machine;
    uint64_t v = 0;

    switch (op->kind) {
    case OP_PIO:
        if (op->write) {
            /* Hot-unplug would take the devices away that are compared by their places. */
            bool eject = op->addr + op->size > EJECT_PORT && op->addr < EJECT_PORT + 4;

            pio_write(m, op->addr, eject ? 0 : op->value, op->size);
        } else {
            v = pio_read(m, op->addr, op->size);
        }
        break;
    case OP_MEM:
        if (op->write) {
            mem_write(m, op->addr, op->value, op->size);
        } else {
            v = mem_read(m, op->addr, op->size);
        }
        break;
    case OP_CONFIG:
        v = config(r, op->addr >> 8, op->addr & 0xff, op->size, op->write, op->value);
        break;
    case OP_LINE:
        device_set_input(g_ptr_array_index(m->devices, op->device), op->addr, op->value & 1);
        break;
    case OP_CLOCK:
        clock_step(m, op->value == UINT64_MAX ? -1 : (int64_t)op->value);
        break;
    case OP_LOOP:
        break;
    case OP_RESET:
        rig_reset(r);
        break;
    }
    settle(r);
    r->seen = v ? v : r->seen;
    return v;
}

const char *op_text(const Op *op)
{
    static const char *const names[] = { "port", "memory", "config", "input line", "clock", "main loop", "reset" };
    static char text[128];

    snprintf(text, sizeof(text), "%s %s 0x%" PRIx64 ", %u bytes, value 0x%" PRIx64, op->write ? "write" : "read",
             names[op->kind], op->addr, op->size, op->value);
    return text;
}

/* ---- Copying and comparing ---- */

/* The state objects of a device: itself, then its buses. NULL table: no more. */
static const StateTable *part(Device *d, unsigned n, void **obj)
{
    GSList *l = n ? g_slist_nth(d->buses, n - 1) : NULL;
    Bus *b = l ? l->data : NULL;

    *obj = n ? (void *)b : d;
    return n ? b ? b->type->state : NULL : d->type->state;
}

bool rig_quiet(Rig *r)
{
    settle(r);
    for (unsigned i = 0; i < r->machine->devices->len; i++) {
        Device *d = g_ptr_array_index(r->machine->devices, i);

        for (GSList *l = d->buses; l; l = l->next) {
            Bus *b = l->data;

            for (unsigned n = 0; b->type == &ide_bus_type && n < 2; n++) {
                const IdeDrive *drive = &((IdeBus *)b)->chan->ifs[n];

                if (drive->dma != DMA_NONE || drive->retry || (drive->status & BUSY_STAT)) {
                    return false;
                }
            }
        }
    }
    return true;
}

/* Rows that QEMU's stream has no place for: the twin gets them directly, as it is the others that are tested. */
static void copy_local(const StateTable *t, const char *from, char *to)
{
    for (const Field *f = t->fields; f && f->kind; f++) {
        if (f->kind == F_LOCAL) {
            memcpy(to + f->off, from + f->off, f->size);
        } else if (f->kind == F_STRUCT) {
            for (unsigned at = 0; at < f->size; at += f->elt) {
                copy_local(f->sub, from + f->off + at, to + f->off + at);
            }
        }
    }
    for (const StateTable *const *s = t->subsections; s && *s; s++) {
        copy_local(*s, from, to);
    }
}

static bool copy_part(const StateTable *t, void *from, void *to, const char *name, GString *why)
{
    g_autoptr(GByteArray) data = g_byte_array_new();
    g_autoptr(GError) err = NULL;
    gssize n;

    copy_local(t, from, to);
    state_save(t, from, data);
    n = state_load(t, to, t->version, data->data, data->len, name, &err);
    if (n != (gssize)data->len) {
        g_string_append_printf(why, "its saved state is not loaded: %s (%zd of %u bytes)\n", err ? err->message : "too long", n,
                               data->len);
        return false;
    }
    return true;
}

static void copy_files(Rig *from, Rig *to)
{
    blk_flush_all();
    for (unsigned i = 0; i < from->files->len; i++) {
        g_autofree char *data = NULL;
        gsize len;

        if (g_file_get_contents(g_ptr_array_index(from->files, i), &data, &len, NULL)) {
            FILE *f = fopen(g_ptr_array_index(to->files, i), "r+");

            if (!f || fwrite(data, 1, len, f) != len || fclose(f) != 0) {
                fail("copying a drive", NULL);
            }
        }
    }
}

bool rig_copy(Rig *from, Rig *to, GString *why)
{
    Machine *a = from->machine, *b = to->machine;
    bool ok = true;

    settle(from);
    clock_set(b, clock_now(a));     /* what was still to happen there happens now, before the reset */
    settle(to);
    rig_reset(to);
    settle(to);
    copy_files(from, to);
    for (unsigned i = 0; i < a->ram_blocks->len; i++) {
        RamBlock *x = g_ptr_array_index(a->ram_blocks, i), *y = g_ptr_array_index(b->ram_blocks, i);

        memcpy(y->host, x->host, MIN(x->size, y->size));
    }
    map_begin(b);
    for (unsigned i = 0; i < a->devices->len; i++) {
        Device *x = g_ptr_array_index(a->devices, i), *y = g_ptr_array_index(b->devices, i);
        const StateTable *t;
        void *from_obj, *to_obj;

        if (!x->type->state) {
            copy_local(&(StateTable){ .fields = x->type->host }, (char *)x, (char *)y);
        }
        for (unsigned n = 0; n == 0 || n <= g_slist_length(x->buses); n++) {
            t = part(x, n, &from_obj);
            part(y, n, &to_obj);
            ok = (!t || copy_part(t, from_obj, to_obj, x->type->name, why)) && ok;
        }
    }
    map_commit(b);
    memcpy(to->rnd, from->rnd, sizeof(to->rnd));
    return ok;
}

/* Which row a byte of the saved form belongs to can't be said from outside; the printed forms show it. */
static void show_difference(const StateTable *t, void *x, void *y, const char *name, GString *why)
{
    g_autoptr(GString) a = g_string_new(NULL), b = g_string_new(NULL);
    g_auto(GStrv) la = NULL, lb = NULL;
    unsigned shown = 0;

    state_print(t, x, a);
    state_print(t, y, b);
    la = g_strsplit(a->str, "\n", 0);
    lb = g_strsplit(b->str, "\n", 0);
    g_string_append_printf(why, "%s: the states differ\n", name);
    for (unsigned i = 0; la[i] && lb[i] && shown < 6; i++) {
        if (strcmp(la[i], lb[i]) != 0) {
            g_string_append_printf(why, "  original %s\n  twin     %s\n", la[i], lb[i]);
            shown++;
        }
    }
}

bool rig_same(Rig *ra, Rig *rb, GString *why)
{
    Machine *a = ra->machine, *b = rb->machine;
    unsigned bad = 0;

    for (unsigned i = 0; i < a->devices->len; i++) {
        Device *x = g_ptr_array_index(a->devices, i), *y = g_ptr_array_index(b->devices, i);

        for (unsigned n = 0; n == 0 || n <= g_slist_length(x->buses); n++) {
            g_autoptr(GByteArray) da = g_byte_array_new(), db = g_byte_array_new();
            void *ox, *oy;
            const StateTable *t = part(x, n, &ox);

            part(y, n, &oy);
            if (!t) {
                continue;
            }
            state_save(t, ox, da);
            state_save(t, oy, db);
            if (da->len != db->len || memcmp(da->data, db->data, da->len) != 0) {
                show_difference(t, ox, oy, x->type->name, why);
                bad++;
            }
        }
    }
    return bad == 0;
}
