/* Jobs: their life (the diagram is in job.h). */
#include <errno.h>
#include <string.h>
#include "block/graph-ops.h"
#include "block/job-int.h"
#include "util/error.h"
#include "util/opts.h"

Job *jobs_list;
unsigned jobs_held;

const char *const job_status_names[JOB_STATUSES] = { "undefined", "created", "running", "paused", "ready", "standby", "waiting",
                                                     "pending", "aborting", "concluded", "null" };

#define S(x) (1u << JOB_##x)
static const uint16_t legal[JOB_STATUSES] = {
    [JOB_UNDEFINED] = S(CREATED),
    [JOB_CREATED] = S(RUNNING) | S(ABORTING) | S(NULL),
    [JOB_RUNNING] = S(PAUSED) | S(READY) | S(WAITING) | S(ABORTING),
    [JOB_PAUSED] = S(RUNNING),
    [JOB_READY] = S(STANDBY) | S(WAITING) | S(ABORTING),
    [JOB_STANDBY] = S(READY),
    [JOB_WAITING] = S(PENDING) | S(ABORTING),
    [JOB_PENDING] = S(ABORTING) | S(CONCLUDED),
    [JOB_ABORTING] = S(ABORTING) | S(CONCLUDED),
    [JOB_CONCLUDED] = S(NULL),
};

void job_set_status(Job *j, JobStatus s)
{
    g_assert(legal[j->status] & (1u << s));
    j->status = s;
    block_event("JOB_STATUS_CHANGE", json_pack("{s:s, s:s}", "status", job_status_names[s], "id", j->id));
}

/* ---- making one */

Job *job_find(const char *id)
{
    for (Job *j = jobs_list; j; j = j->next)
        if (!strcmp(j->id, id))
            return j;
    return NULL;
}

JobTxn *job_txn_new(bool grouped)
{
    JobTxn *t = g_new0(JobTxn, 1);

    t->refs = 1;
    t->jobs = g_ptr_array_new();
    t->grouped = grouped;
    return t;
}

void job_txn_unref(JobTxn *t)
{
    if (--t->refs)
        return;
    g_ptr_array_free(t->jobs, TRUE);
    g_free(t);
}

Job *job_new(const JobDriver *drv, const JobArgs *a, BlockNode *main, GError **err)
{
    BlockBackend *b = main ? node_drive(main) : NULL;
    const char *id = a->id ? a->id : b ? blk_name(b) : NULL;
    Job *j;

    if (!id) {
        error_set(err, "An explicit job ID is required");
        return NULL;
    }
    if (!id_wellformed(id)) {
        error_set(err, "Invalid job ID '%s'", id);
        return NULL;
    }
    if (job_find(id)) {
        error_set(err, "Job ID '%s' already in use", id);
        return NULL;
    }
    if (a->speed < 0) {
        error_set(err, "Parameter 'speed' expects a non-negative value");
        return NULL;
    }
    j = g_malloc0(drv->size);
    j->drv = drv;
    j->id = g_strdup(id);
    j->pauses = 1 + (jobs_held > 0);    /* until it is started */
    j->speed = a->speed;
    j->auto_finalize = a->auto_finalize;
    j->auto_dismiss = a->auto_dismiss;
    j->on_source = a->on_source;
    j->on_target = a->on_target;
    j->nodes = g_ptr_array_new();
    j->txn = a->txn ? a->txn : job_txn_new(false);
    j->txn->refs += a->txn != NULL;
    g_ptr_array_add(j->txn->jobs, j);
    j->next = jobs_list;
    jobs_list = j;
    j->main = main;
    if (main)
        job_use_node(j, main);
    job_set_status(j, JOB_CREATED);
    return j;
}

void job_use_node(Job *j, BlockNode *n)
{
    g_ptr_array_add(j->nodes, node_ref(n));
}

bool node_not_busy(BlockNode *n, GError **err)
{
    for (Job *j = jobs_list; j; j = j->next)
        for (unsigned i = 0; i < j->nodes->len; i++)
            if (g_ptr_array_index(j->nodes, i) == n)
                return error_set(err, "Node '%s' is busy: block device is in use by block job: %s", node_user_name(n),
                                 j->drv->type);
    return true;
}

static void job_free(Job *j)
{
    Job **p = &jobs_list;

    while (*p != j)
        p = &(*p)->next;
    *p = j->next;
    aio_timer_stop(&j->sleep);
    g_ptr_array_free(j->nodes, TRUE);
    g_free(j->id);
    g_free(j->error);
    g_free(j);
}

void job_dismiss_now(Job *j)
{
    job_set_status(j, JOB_NULL);
    job_free(j);
}

/* ---- running */

static void job_exit(void *opaque)
{
    Job *j = opaque;

    if (jobs_held) {
        j->held_back = true;
        return;
    }
    job_completed(j);
}

static void job_co(void *opaque)
{
    Job *j = opaque;
    GError *e = NULL;
    int ret = job_co_pause_point(j) ? -ECANCELED : j->drv->run(j, &e);

    if (e && ret >= 0)
        ret = -EIO;
    if (ret < 0 && !j->error && !(job_forced(j) && ret == -ECANCELED))
        j->error = g_strdup(e ? e->message : g_strerror(-ret));
    g_clear_error(&e);
    j->ret = ret;
    j->co = NULL;
    j->busy = false;
    j->ended = true;
    j->exit = (AioSoon){ .fn = job_exit, .opaque = j };
    aio_call_soon(&j->exit);
}

void job_start(Job *j)
{
    j->started = true;
    j->pauses--;
    j->busy = true;
    j->co = coroutine_new(job_co, j);
    job_set_status(j, JOB_RUNNING);
    coroutine_enter(j->co);
}

void job_enter(Job *j)
{
    if (!j->co || j->busy)
        return;
    j->busy = true;
    aio_timer_stop(&j->sleep);
    if (coroutine_in())
        coroutine_wake(j->co);
    else
        coroutine_enter(j->co);
}

static void fire(void *opaque)
{
    job_enter(opaque);
}

static void give_back(Job *j)
{
    j->busy = false;
    coroutine_yield();
}

bool job_co_pause_point(Job *j)
{
    while (j->pauses && !job_forced(j)) {
        JobStatus before = j->status;

        job_set_status(j, before == JOB_READY ? JOB_STANDBY : JOB_PAUSED);
        j->paused = true;
        give_back(j);
        j->paused = false;
        job_set_status(j, before);
    }
    return job_forced(j);
}

bool job_co_sleep(Job *j, int64_t ns)
{
    if (job_forced(j))
        return true;
    if (!j->pauses) {
        j->sleep.fire = fire;
        j->sleep.opaque = j;
        aio_timer_arm(&j->sleep, aio_now() + ns);
        give_back(j);
    }
    return job_co_pause_point(j);
}

bool job_co_wait(Job *j)
{
    if (!job_forced(j) && !j->pauses)
        give_back(j);
    return job_co_pause_point(j);
}

bool job_co_pace(Job *j, int64_t bytes)
{
    int64_t now = aio_now();

    if (!j->speed || !bytes)
        return job_co_sleep(j, 0);
    j->next_slot = MAX(j->next_slot, now) + (int64_t)((double)bytes * 1e9 / j->speed);
    return job_co_sleep(j, j->next_slot - now);
}

void job_co_ready(Job *j)
{
    job_set_status(j, JOB_READY);
    block_event("BLOCK_JOB_READY", json_pack("{s:s, s:I, s:I, s:I, s:s}", "device", j->id, "len", (json_int_t)j->total, "offset",
                                             (json_int_t)j->done, "speed", (json_int_t)j->speed, "type", j->drv->type));
}

BlkOnError job_co_error(Job *j, bool read, BlkOnError how, int error)
{
    static const char *const texts[] = { [BLK_ERR_REPORT] = "report", [BLK_ERR_IGNORE] = "ignore", [BLK_ERR_STOP] = "stop" };
    BlkOnError what = how;

    if (how == BLK_ERR_ENOSPC || how == BLK_ERR_AUTO)
        what = error == ENOSPC ? BLK_ERR_STOP : BLK_ERR_REPORT;
    if (job_forced(j))
        return BLK_ERR_REPORT;
    block_event("BLOCK_JOB_ERROR", json_pack("{s:s, s:s, s:s}", "device", j->id, "operation", read ? "read" : "write", "action",
                                             texts[what]));
    if (what != BLK_ERR_STOP)
        return what;
    if (!j->user_paused) {
        j->pauses++;
        j->user_paused = true;
    }
    if (!j->io_status)
        j->io_status = error;
    return job_co_pause_point(j) ? BLK_ERR_REPORT : BLK_ERR_STOP;
}

/* ---- quiet */



bool jobs_busy(void)
{
    for (Job *j = jobs_list; j; j = j->next)
        if (j->co && j->busy)
            return true;
    return false;
}

void jobs_hold(void)
{
    jobs_held++;
    for (Job *j = jobs_list; j; j = j->next)
        j->pauses++;
}

void jobs_release(void)
{
    jobs_held--;
    for (Job *j = jobs_list; j; j = j->next) {
        j->pauses--;
        if (!j->pauses && j->co)
            job_enter(j);
        if (j->held_back) {
            j->held_back = false;
            aio_call_soon(&j->exit);
        }
    }
}
