/*
 * Which sections a machine has.
 *
 * Their order is that in which devices came into being, which is QEMU's: guest time first (timers are restored against
 * it), CPUs, chipset, devices, the run state last. Names are the bus's path of the device and the table's name.
 */
#include <string.h>
#include "migration/format.h"
#include "migration/sections.h"
#include "util/error.h"

/* ---- The machine's own sections ---- */

typedef struct GuestTime {
    Machine *machine;
    int64_t ticks, clock;
} GuestTime;

static void time_save(void *obj)
{
    GuestTime *t = obj;

    t->ticks = t->clock = clock_now(t->machine);
}

static bool time_loaded(void *obj, int version, GError **err)
{
    GuestTime *t = obj;

    clock_set(t->machine, t->clock);
    return true;
}

static const StateTable time_state = {
    .name = "timer", .version = 2, .min_version = 2, .save = time_save, .loaded = time_loaded,
    .fields = (const Field[]){
        FIELD(GuestTime, ticks, .name = "cpu_ticks_offset"), UNUSED(8),
        FIELD(GuestTime, clock, .name = "cpu_clock_offset", .max = INT64_MAX / 2), HOST(GuestTime, machine), {0}
    },
};

typedef struct GlobalState {
    uint32_t size;
    uint8_t runstate[100];
} GlobalState;

static bool global_loaded(void *obj, int version, GError **err)
{
    GlobalState *g = obj;

    g->runstate[sizeof g->runstate - 1] = 0;
    for (RunState s = 0; s < RUN_STATE_MAX; s++)
        if (!strcmp((char *)g->runstate, run_state_name(s)))
            return true;
    for (uint8_t *c = g->runstate; *c; c++)
        *c = g_ascii_isprint(*c) ? *c : '?';
    return error_set(err, "globalstate: runstate: there is no run state '%s'", (char *)g->runstate);
}

static bool global_needed(const void *obj)
{
    return true;
}

static const StateTable global_state = {
    .name = "globalstate", .version = 1, .min_version = 1, .needed = global_needed, .loaded = global_loaded,
    .fields = (const Field[]){ FIELD(GlobalState, size), FIELD(GlobalState, runstate), {0} },
};

/* ---- The list ---- */

static void add(SectionList *l, const char *prefix, const StateTable *t, void *obj, int instance)
{
    Section *s = g_new0(Section, 1);

    s->name = prefix ? g_strdup_printf("%s/%s", prefix, t->name) : g_strdup(t->name);
    s->table = t;
    s->obj = obj;
    s->instance = MAX(instance, 0);
    if (instance < 0)
        while (sections_find(l, s->name, s->instance))
            s->instance++;
    g_ptr_array_add(l->all, s);
}

static void add_buses(SectionList *l, Device *d, bool late)
{
    for (GSList *b = d->buses; b; b = b->next) {
        const BusType *t = ((Bus *)b->data)->type;

        if (t->state && t->state_late == late)
            add(l, NULL, t->state, b->data, -1);
    }
}

static void free_section(void *p)
{
    Section *s = p;

    g_free(s->name);
    g_free(s);
}

SectionList *sections_new(Machine *m)
{
    SectionList *l = g_new0(SectionList, 1);

    l->all = g_ptr_array_new_with_free_func(free_section);
    l->time = g_new0(GuestTime, 1);
    l->time->machine = m;
    l->state = g_new0(GlobalState, 1);
    add(l, NULL, &time_state, l->time, 0);
    for (unsigned i = 0; i < m->devices->len; i++) {
        Device *d = g_ptr_array_index(m->devices, i);
        g_autofree char *prefix = device_section_prefix(d);

        add_buses(l, d, false);
        if (d->type->state)
            add(l, prefix, d->type->state, d, d->instance_id);
        add_buses(l, d, true);
    }
    add(l, NULL, &global_state, l->state, 0);
    return l;
}

void sections_free(SectionList *l)
{
    if (!l)
        return;
    g_ptr_array_unref(l->all);
    g_free(l->time);
    g_free(l->state);
    g_free(l);
}

Section *sections_find(SectionList *l, const char *name, uint32_t instance)
{
    for (unsigned i = 0; i < l->all->len; i++) {
        Section *s = g_ptr_array_index(l->all, i);

        if (s->instance == instance && !strcmp(s->name, name))
            return s;
    }
    return NULL;
}

void sections_set_state(SectionList *l, RunState s)
{
    const char *name = run_state_name(s);

    memset(l->state, 0, sizeof *l->state);
    l->state->size = strlen(name) + 1;
    memcpy(l->state->runstate, name, strlen(name));
}

bool sections_get_state(const SectionList *l, RunState *s)
{
    for (*s = 0; *s < RUN_STATE_MAX; ++*s)
        if (!strcmp((char *)l->state->runstate, run_state_name(*s)))
            return true;
    return false;
}

/* ---- Saving ---- */

static void describe(const Section *s, json_t *desc)
{
    json_t *d = json_pack("{s:s,s:i}", "name", s->name, "instance_id", (int)s->instance), *state = state_describe(s->table, s->obj);

    json_object_update(d, state);
    json_decref(state);
    json_array_append_new(desc, d);
}

void sections_save(SectionList *l, MigStream *out, json_t *desc)
{
    for (unsigned i = 0; i < l->all->len; i++) {
        const Section *s = g_ptr_array_index(l->all, i);
        g_autoptr(GByteArray) data = NULL;

        if (s->table->needed && !s->table->needed(s->obj))
            continue;
        data = g_byte_array_new();
        state_save(s->table, s->obj, data);
        put_u8(out, MIG_SECTION_FULL);
        put_u32(out, MIG_ID_FIRST + i);
        put_text(out, s->name);
        put_u32(out, s->instance);
        put_u32(out, s->table->version);
        put_bytes(out, data->data, data->len);
        put_u8(out, MIG_SECTION_FOOTER);
        put_u32(out, MIG_ID_FIRST + i);
        if (desc)
            describe(s, desc);
    }
}

bool sections_complete(SectionList *l, GError **err)
{
    for (unsigned i = 0; i < l->all->len; i++) {
        const Section *s = g_ptr_array_index(l->all, i);

        if (!s->loaded && !s->table->needed)
            return error_set(err, "the stream has no section '%s' (instance %u), which this machine has: the source has other "
                             "devices", s->name, s->instance);
    }
    return true;
}
