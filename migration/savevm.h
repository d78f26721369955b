/*
 * The frame of a migration stream: header, configuration, RAM, devices, end. Used by migrations and by snapshots.
 */
#ifndef MIGRATION_SAVEVM_H
#define MIGRATION_SAVEVM_H
#include "migration/ram.h"
#include "migration/sections.h"

/* Magic, version and configuration section; before the RAM. */
void save_header(MigStream *s, Machine *m);
/* All device sections, the end mark and the description. Machine lock held, guest stopped. */
void save_devices(MigStream *s, Machine *m, RunState was);
/* The sections alone; desc: an array that gets their description, or NULL. */
void save_device_sections(MigStream *s, Machine *m, RunState was, json_t *desc);

typedef struct Load Load;
struct PostcopyLoad;

typedef struct LoadResult {
    /* in: post-copy begins: a thread is to be made that calls load_rest and then load_free. NULL: it can't be here. */
    void (*listen)(Load *rest, struct PostcopyLoad *p);
    void (*resumed)(void);      /* in: after a break of the connection, on that thread */
    bool has_state;
    RunState state;             /* the source's */
    bool return_path;           /* the source waits for an answer */
    struct MultiRecv *multi;    /* in: channels that bring pages, or NULL */
    bool postcopy;              /* only the devices have come: the guest may run */
} LoadResult;
/* Reads a whole stream into the machine, which is stopped. The machine lock is not held: it is taken for the device
 * sections, and dropped while waiting for data. On failure the machine is in no state to run. */
bool load_stream(MigStream *s, Machine *m, LoadResult *res, GError **err);
/* Reads the rest while the guest runs. False: *broken: from another stream it can go on. */
bool load_rest(Load *l, bool *broken, GError **err);
void load_rest_from(Load *l, MigStream *s);
MigStream *load_rest_stream(const Load *l);
void load_free(Load *l);
#endif
