/*
 * The sections of a migration stream that have a state table: the machine's own (guest time, run state), and one for
 * each device and bus that declares state. Found by walking the device tree; no device is named here.
 */
#ifndef MIGRATION_SECTIONS_H
#define MIGRATION_SECTIONS_H
#include <jansson.h>
#include "hw/core/machine.h"
#include "migration/stream.h"

typedef struct Section {
    char *name;                 /* "0000:00:01.1/ide" */
    uint32_t instance;
    const StateTable *table;
    void *obj;
    bool loaded;
} Section;

typedef struct SectionList {
    GPtrArray *all;             /* Section *, in the stream's order */
    struct GuestTime *time;
    struct GlobalState *state;
} SectionList;

/* Machine lock held, here and below. The list is good as long as no device comes or goes. */
SectionList *sections_new(Machine *m);
void sections_free(SectionList *l);
Section *sections_find(SectionList *l, const char *name, uint32_t instance);
/* What the run state was when the migration began: goes into "globalstate". */
void sections_set_state(SectionList *l, RunState s);
/* After loading: the source's run state; false: the stream didn't tell. */
bool sections_get_state(const SectionList *l, RunState *s);
/* Brings all tables up to date, then writes the sections with a state, and describes them in desc (an array). */
void sections_save(SectionList *l, MigStream *out, json_t *desc);
/* Sets timers back and so on once all is loaded; names a section that this machine has and the stream has not. */
bool sections_complete(SectionList *l, GError **err);

/* The description of obj's state: {"vmsd_name", "version", "fields", "subsections"} (vmdesc.c). */
json_t *state_describe(const StateTable *t, void *obj);
/* -dump-vmstate: the wire layout of all device types; "-": stdout. */
bool dump_vmstate(const char *machine, const char *file, GError **err);
#endif
