/*
 * Random traffic at every device of a machine, in this process, without a CPU (-accel qtest).
 *
 * Three tests of each device type, one TAP line each:
 *   audit   every byte of its struct is a row of its state table
 *   fuzz    N random steps: accesses to its ports, memory and configuration space, its input lines, guest time, and what
 *           it finds in RAM; nothing may crash, hang or trip a sanitizer
 *   twin    in between, the whole machine's state is saved and loaded into a second machine made from the same
 *           command line; for some steps the same traffic then goes to both: every read must be the same, and so must
 *           the states in the end
 *
 * usage: devices [--steps N] [--twin N] [--seed N] [--shard I/N] [--list] [TYPE...]
 *   --steps  of the fuzz (10000)      --twin  steps at both machines after each 5000 (200; 0: none)
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "tests/fuzz/librig.h"

enum { SYNC_EVERY = 5000, PLACE_EVERY = 200, SECONDS = 900 };

static struct { unsigned steps, twin, shard, shards; uint64_t seed; } opt = { 10000, 200, 0, 1, 1 };
static unsigned tap_count, tap_failed;
static char now_testing[128];

static bool tap(bool ok, const char *what, const char *name, const char *why)
{
    printf("%sok %u - %s: %s%s\n", ok ? "" : "not ", ++tap_count, name, what, ok && why ? why : "");
    if (!ok) {
        g_auto(GStrv) lines = g_strsplit(why, "\n", 0);

        for (char **l = lines; *l; l++) {
            printf("%s%s%s", **l ? "#   " : "", *l, **l ? "\n" : "");
        }
    }
    fflush(stdout);
    tap_failed += !ok;
    return ok;
}

static void on_signal(int sig)
{
    char text[256];
    int n = snprintf(text, sizeof(text), "not ok - %s: signal %d%s\n", now_testing, sig, sig == SIGALRM ? ": it hangs" : "");

    if (write(1, text, n) < 0) {
        _exit(2);
    }
    _exit(1);
}

static void audit(const DeviceType *t)
{
    StateTable host = { .name = t->name, .fields = t->host };
    g_autoptr(GString) out = g_string_new(NULL);
    const StateTable *table = t->state ? t->state : &host;

    if (!table->fields) {
        tap(t->size == sizeof(Device), "audit", t->name, "no state table, and members of its own");
        return;
    }
    state_audit(table, t->name, t->size, out);
    tap(out->len == 0, "audit", t->name, out->str);
}

/* One random step; what it was is left in *op. */
static void choose(Rig *r, Target *t, Op *op)
{
    unsigned kind = rnd_below(r, 100);
    const Window *w = t->n_windows ? &t->windows[rnd_below(r, t->n_windows)] : NULL;

    memset(op, 0, sizeof(*op));
    if (kind < 72 && w) {
        op->kind = w->pio ? OP_PIO : OP_MEM;
        op->size = 1u << rnd_below(r, w->pio ? 3 : 4);
        op->addr = rnd_offset(r, w, op->size);
        op->write = rnd_below(r, 2);
    } else if (kind < 82 && t->devfn >= 0) {
        op->kind = OP_CONFIG;
        op->size = 1u << rnd_below(r, 3);
        op->addr = (unsigned)t->devfn << 8 | (rnd_below(r, 256) & ~(op->size - 1));
        op->write = rnd_below(r, 2);
    } else if (kind < 86 && t->dev->type->inputs) {
        op->kind = OP_LINE;
        op->device = t->index;
        op->addr = rnd_below(r, t->dev->type->inputs);
        op->write = true;
    } else if (kind < 94) {
        op->kind = OP_CLOCK;
        op->value = rnd_below(r, 4) ? rnd_below(r, 1000000) : rnd_below(r, 3) ? UINT64_MAX : (uint64_t)rnd_below(r, 5000) << 20;
        return;
    } else if (kind < 99) {
        op->kind = OP_MEM;
        op->size = 8;
        op->addr = rnd_below(r, RIG_RAM / 8) * 8ull;
        op->write = true;
    } else {
        op->kind = rnd_below(r, 20) ? OP_LOOP : OP_RESET;
        return;
    }
    op->value = rnd_value(r);
}

static bool twin(Rig *r, Target *t, Rig *other, GString *why)
{
    if (!rig_copy(r, other, why)) {
        return false;
    }
    if (!rig_same(r, other, why)) {
        g_string_prepend(why, "right after loading:\n");
        return false;
    }
    for (unsigned i = 0; i < opt.twin; i++) {
        uint64_t a, b;
        Op op;

        choose(r, t, &op);
        a = rig_do(r, &op);
        b = rig_do(other, &op);
        if (a != b) {
            g_string_append_printf(why, "step %u after loading: %s: the original answers 0x%" PRIx64 ", the twin 0x%" PRIx64
                                   "\n", i, op_text(&op), a, b);
            rig_same(r, other, why);
            return false;
        }
        target_refresh(r, t);
    }
    if (!rig_same(r, other, why)) {
        g_string_prepend(why, "after the same traffic:\n");
        return false;
    }
    return true;
}

static void fuzz(Rig *r, Rig *other, unsigned index)
{
    g_autoptr(GString) why = g_string_new(NULL);
    Target t = { .dev = g_ptr_array_index(r->machine->devices, index), .index = index };
    g_autofree char *name = g_strdup_printf("%s[%u]", t.dev->type->name, index);
    bool same = true, due = false;
    Op op;

    snprintf(now_testing, sizeof(now_testing), "%s, seed %" PRIu64, name, opt.seed);
    alarm(SECONDS);
    rnd_seed(r, opt.seed * 1000003 + index);
    rig_reset(r);
    target_find(r, &t);
    for (unsigned i = 0; i < opt.steps; i++) {
        if (i % PLACE_EVERY == 0) {
            rig_place(r);
        }
        target_refresh(r, &t);
        due |= i % SYNC_EVERY == SYNC_EVERY / 2;
        if (opt.twin && same && due && rig_quiet(r)) {
            same = twin(r, &t, other, why);
            due = false;
            continue;
        }
        choose(r, &t, &op);
        rig_do(r, &op);
    }
    tap(true, "fuzz", name, t.n_windows || t.devfn >= 0 ? NULL : " (no registers: time and lines)");
    if (opt.twin) {
        tap(same, "twin", name, why->str);
    }
    target_free(&t);
}

static bool wanted(char **names, const char *name)
{
    for (; *names; names++) {
        if (strcmp(*names, name) == 0) {
            return true;
        }
    }
    return false;
}

static void parse(int argc, char **argv, char ***types)
{
    int i;

    for (i = 1; i < argc && argv[i][0] == '-'; i += 2) {
        const char *v = i + 1 < argc ? argv[i + 1] : "0";

        if (strcmp(argv[i], "--steps") == 0) {
            opt.steps = atoi(v);
        } else if (strcmp(argv[i], "--twin") == 0) {
            opt.twin = atoi(v);
        } else if (strcmp(argv[i], "--seed") == 0) {
            opt.seed = strtoull(v, NULL, 0);
        } else if (strcmp(argv[i], "--shard") != 0 || sscanf(v, "%u/%u", &opt.shard, &opt.shards) != 2 || !opt.shards) {
            fprintf(stderr, "usage: devices [--steps N] [--twin N] [--seed N] [--shard I/N] [TYPE...]\n");
            exit(2);
        }
    }
    *types = argv + i;
}

int main(int argc, char **argv)
{
    Rig *r, *other;
    char **types;

    parse(argc, argv, &types);
    signal(SIGALRM, on_signal);
    signal(SIGABRT, on_signal);
    signal(SIGFPE, on_signal);
    for (unsigned i = 0; device_types[i] && !*types && opt.shard == 0; i++) {
        audit(device_types[i]);
    }
    r = rig_new(0);
    other = opt.twin ? rig_new(1) : NULL;
    for (unsigned i = 0; i < r->machine->devices->len; i++) {
        Device *d = g_ptr_array_index(r->machine->devices, i);

        if (*types ? wanted(types, d->type->name) : i % opt.shards == opt.shard) {
            fuzz(r, other, i);
        }
    }
    printf("1..%u\n", tap_count);
    fflush(stdout);
    rig_cleanup();
    _exit(tap_failed != 0);     /* a machine after a million random steps need not be taken apart in order */
}
