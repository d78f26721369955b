/*
 * Snapshots as jobs. The guest stands still and the main thread is busy while one runs, so a job is under way for one
 * turn of the main loop: outside of its coroutine, which waits for that.
 */
#include <errno.h>
#include "block/job.h"
#include "migration/snapshot.h"
#include "util/error.h"
#include "util/loop.h"

typedef struct SnapshotJob {
    Job j;                      /* first member */
    Machine *machine;
    SnapshotVerb what;
    char *tag, *vmstate, **nodes;
    bool done, ok;
    GError *err;
} SnapshotJob;

static void act(void *opaque)
{
    SnapshotJob *s = opaque;
    SnapshotSet set = { s->vmstate, s->nodes };

    if (!job_forced(&s->j))
        s->ok = snapshot_on_nodes(s->machine, s->what, s->tag, &set, &s->err);
    s->done = true;
    job_enter(&s->j);
}

static int run(Job *j, GError **err)
{
    SnapshotJob *s = (SnapshotJob *)j;

    j->total = 1;
    main_loop_call(act, s);
    while (!s->done) {
        if (job_forced(j)) {    /* which nobody waits for any more, but the main loop still has our call */
            coroutine_wake(coroutine_self());
            coroutine_yield();
        } else {
            job_co_wait(j);
        }
    }
    j->done = 1;
    if (s->err)
        g_propagate_error(err, g_steal_pointer(&s->err));
    return s->ok ? 0 : job_forced(j) ? -ECANCELED : -EIO;
}

static void clean(Job *j)
{
    SnapshotJob *s = (SnapshotJob *)j;

    g_free(s->tag);
    g_free(s->vmstate);
    g_strfreev(s->nodes);
}

static const JobDriver drivers[] = {
    [SNAPSHOT_SAVE] = { .type = "snapshot-save", .size = sizeof(SnapshotJob), .run = run, .clean = clean },
    [SNAPSHOT_LOAD] = { .type = "snapshot-load", .size = sizeof(SnapshotJob), .run = run, .clean = clean },
    [SNAPSHOT_DELETE] = { .type = "snapshot-delete", .size = sizeof(SnapshotJob), .run = run, .clean = clean },
};

bool snapshot_job(Machine *m, SnapshotVerb what, json_t *args, GError **err)
{
    JobArgs a = { .id = json_string_value(json_object_get(args, "job-id")), .auto_finalize = true };
    json_t *nodes = json_object_get(args, "devices");
    SnapshotJob *s = (SnapshotJob *)job_new(&drivers[what], &a, NULL, err);

    if (!s)
        return false;
    s->machine = m;
    s->what = what;
    s->tag = g_strdup(json_string_value(json_object_get(args, "tag")));
    s->vmstate = g_strdup(json_string_value(json_object_get(args, "vmstate")));
    s->nodes = g_new0(char *, json_array_size(nodes) + 1);
    for (size_t i = 0; i < json_array_size(nodes); i++)
        s->nodes[i] = g_strdup(json_string_value(json_array_get(nodes, i)));
    job_start(&s->j);
    return true;
}
