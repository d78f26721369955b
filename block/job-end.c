/* How jobs end: alone or in a transaction, well or not. */
#include <errno.h>
#include "block/graph-ops.h"
#include "block/job-int.h"
#include "util/error.h"

static json_t *event_data(Job *j)
{
    return json_pack("{s:s, s:I, s:I, s:I, s:s}", "device", j->id, "len", (json_int_t)j->total, "offset", (json_int_t)j->done,
                     "speed", (json_int_t)j->speed, "type", j->drv->type);
}

/* A cancelled job has failed, whatever its run said; a failed one is aborting. */
static void settle(Job *j)
{
    if (j->ret >= 0 && job_forced(j))
        j->ret = -ECANCELED;
    if (j->ret >= 0)
        return;
    if (!j->error)
        j->error = g_strdup(g_strerror(-j->ret));
    if (j->status != JOB_ABORTING)
        job_set_status(j, JOB_ABORTING);
}

static void tell_end(Job *j)
{
    json_t *data;

    if (!j->drv->block_job || !j->started)
        return;
    data = event_data(j);
    if (job_forced(j)) {
        block_event("BLOCK_JOB_CANCELLED", data);
        return;
    }
    if (j->ret < 0)
        json_object_set_new(data, "error", json_string(j->error));
    block_event("BLOCK_JOB_COMPLETED", data);
}

/* Commits or aborts; the job may be gone afterwards. */
static void finish_one(Job *j)
{
    settle(j);
    block_quiesce_begin();
    if (j->ret >= 0) {
        if (j->drv->commit)
            j->drv->commit(j);
    } else if (j->drv->abort) {
        j->drv->abort(j);
    }
    if (j->drv->clean)
        j->drv->clean(j);
    for (unsigned i = 0; i < j->nodes->len; i++)
        node_unref(g_ptr_array_index(j->nodes, i));
    g_ptr_array_set_size(j->nodes, 0);
    j->main = NULL;
    block_quiesce_end();
    tell_end(j);
    g_ptr_array_remove(j->txn->jobs, j);
    job_txn_unref(j->txn);
    j->txn = NULL;
    job_set_status(j, JOB_CONCLUDED);
    if (j->auto_dismiss || !j->started)
        job_dismiss_now(j);
}

/* All of the transaction end, badly. */
static void abort_all(JobTxn *t)
{
    if (t->aborting)
        return;
    t->aborting = true;
    t->refs++;
    for (unsigned i = 0; i < t->jobs->len; i++) {
        Job *o = g_ptr_array_index(t->jobs, i);

        if (!o->ended)
            job_cancel(o, true);
    }
    for (unsigned i = 0; i < t->jobs->len; i++) {
        Job *o = g_ptr_array_index(t->jobs, i);

        AIO_WAIT_WHILE(o->co != NULL);
        if (o->ret >= 0) {
            o->cancelled = o->forced = true;
            o->ret = -ECANCELED;
        }
        settle(o);
    }
    while (t->jobs->len)
        finish_one(g_ptr_array_index(t->jobs, 0));
    job_txn_unref(t);
}

void job_finalize_txn(Job *j)
{
    JobTxn *t = j->txn;
    bool failed = false;

    t->refs++;
    block_quiesce_begin();
    for (unsigned i = 0; i < t->jobs->len && !failed; i++) {
        Job *o = g_ptr_array_index(t->jobs, i);
        GError *e = NULL;

        o->finishing = true;
        o->ret = o->drv->prepare ? o->drv->prepare(o, &e) : 0;
        if (o->ret < 0 && !o->error)
            o->error = g_strdup(e ? e->message : g_strerror(-o->ret));
        g_clear_error(&e);
        failed = o->ret < 0;
    }
    block_quiesce_end();
    if (failed)
        abort_all(t);
    while (!failed && t->jobs->len)
        finish_one(g_ptr_array_index(t->jobs, 0));
    job_txn_unref(t);
}

static void pending_all(JobTxn *t)
{
    bool ask = false;

    for (unsigned i = 0; i < t->jobs->len; i++) {
        Job *o = g_ptr_array_index(t->jobs, i);

        job_set_status(o, JOB_PENDING);
        if (!o->auto_finalize) {
            ask = true;
            if (o->drv->block_job)
                block_event("BLOCK_JOB_PENDING", json_pack("{s:s, s:s}", "type", o->drv->type, "id", o->id));
        }
    }
    if (!ask)
        job_finalize_txn(g_ptr_array_index(t->jobs, 0));
}

void job_completed(Job *j)
{
    JobTxn *t = j->txn;

    if (!t || t->aborting || j->status >= JOB_WAITING)
        return;
    settle(j);
    if (j->ret < 0) {
        if (t->grouped) {
            abort_all(t);
        } else {
            finish_one(j);
        }
        return;
    }
    job_set_status(j, JOB_WAITING);
    for (unsigned i = 0; i < t->jobs->len; i++)
        if (((Job *)g_ptr_array_index(t->jobs, i))->status != JOB_WAITING)
            return;
    pending_all(t);
}

void job_cancel(Job *j, bool force)
{
    if (!j->drv->soft_cancel || !j->drv->soft_cancel(j))
        force = true;
    if (j->user_paused) {
        j->user_paused = false;
        j->pauses--;
    }
    j->cancelled = true;
    j->forced |= force;
    if (!j->started) {
        j->ended = true;
        j->ret = -ECANCELED;
        job_completed(j);
    } else if (j->co) {
        job_enter(j);
    } else if (j->status == JOB_WAITING || j->status == JOB_PENDING) {
        if (j->txn && !j->txn->aborting) {
            j->forced = true;
            abort_all(j->txn);
        }
    }
}

void job_early_fail(Job *j)
{
    g_assert(!j->started);
    for (unsigned i = 0; i < j->nodes->len; i++)
        node_unref(g_ptr_array_index(j->nodes, i));
    g_ptr_array_set_size(j->nodes, 0);
    g_ptr_array_remove(j->txn->jobs, j);
    job_txn_unref(j->txn);
    job_dismiss_now(j);
}

void jobs_cancel_all(void)
{
    while (jobs_list) {
        Job *j = jobs_list;

        if (j->status == JOB_CONCLUDED) {
            job_dismiss_now(j);
            continue;
        }
        j->auto_dismiss = true;
        if (j->started)
            job_cancel(j, true);
        else
            job_early_fail(j);
        while (jobs_list == j && (j->co || j->ended) && j->status != JOB_CONCLUDED)
            aio_poll(j->co != NULL);
    }
}
