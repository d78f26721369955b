/* What the monitor does with jobs: verbs and queries. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "block/job-int.h"
#include "util/error.h"

static const char *const verb_names[JOB_VERBS] = { "cancel", "pause", "resume", "set-speed", "complete", "finalize", "dismiss" };

#define S(x) (1u << JOB_##x)
#define ALIVE (S(CREATED) | S(RUNNING) | S(PAUSED) | S(READY) | S(STANDBY))
static const uint16_t legal[JOB_VERBS] = {
    [JOB_CANCEL] = ALIVE | S(WAITING) | S(PENDING), [JOB_PAUSE] = ALIVE, [JOB_RESUME] = ALIVE, [JOB_SET_SPEED] = ALIVE,
    [JOB_COMPLETE] = S(READY), [JOB_FINALIZE] = S(PENDING), [JOB_DISMISS] = S(CONCLUDED),
};

static bool accepts(Job *j, JobVerb verb, GError **err)
{
    if (legal[verb] & (1u << j->status))
        return true;
    return error_set(err, "Job '%s' in state '%s' cannot accept command verb '%s'", j->id, job_status_names[j->status],
                     verb_names[verb]);
}

static bool pause_job(Job *j, GError **err)
{
    if (j->user_paused)
        return error_set(err, "Job is already paused");
    j->user_paused = true;
    j->pauses++;
    job_enter(j);
    return true;
}

static bool resume(Job *j, GError **err)
{
    if (!j->user_paused || !j->pauses)
        return error_set(err, "Can't resume a job that was not paused");
    if (!accepts(j, JOB_RESUME, err))
        return false;
    j->io_status = 0;
    j->user_paused = false;
    j->pauses--;
    if (!j->pauses)
        job_enter(j);
    return true;
}

static bool set_speed(Job *j, int64_t speed, GError **err)
{
    int64_t old = j->speed;

    if (speed < 0)
        return error_set(err, "Parameter 'speed' expects a non-negative value");
    j->speed = speed;
    j->next_slot = 0;
    if (!speed || speed > old)
        job_enter(j);
    return true;
}

static bool complete(Job *j, GError **err)
{
    if (j->pauses || j->cancelled || !j->drv->complete)
        return error_set(err, "The active block job '%s' cannot be completed", j->id);
    return j->drv->complete(j, err);
}

bool job_verb(const char *id, JobVerb verb, bool block_job, bool force, int64_t speed, GError **err)
{
    Job *j = job_find(id);

    if (j && block_job && !j->drv->block_job)
        j = NULL;
    if (!j)
        return block_job ? error_set_class(err, ERR_DEVICE_NOT_ACTIVE, "Block job '%s' not found", id)
                         : error_set(err, "Job not found");
    if (verb == JOB_CANCEL && block_job && j->user_paused && !force)
        return error_set(err, "The block job for device '%s' is currently paused", id);
    if (verb != JOB_RESUME && !accepts(j, verb, err))
        return false;
    switch (verb) {
    case JOB_CANCEL:
        job_cancel(j, force);
        return true;
    case JOB_PAUSE:
        return pause_job(j, err);
    case JOB_RESUME:
        return resume(j, err);
    case JOB_SET_SPEED:
        return set_speed(j, speed, err);
    case JOB_COMPLETE:
        return complete(j, err);
    case JOB_FINALIZE:
        job_finalize_txn(j);
        return true;
    default:
        job_dismiss_now(j);
        return true;
    }
}

/* ---- queries */

json_t *job_query(void)
{
    json_t *a = json_array();

    for (Job *j = jobs_list; j; j = j->next) {
        json_t *o = json_pack("{s:I, s:s, s:I, s:s, s:s}", "current-progress", (json_int_t)j->done, "status",
                              job_status_names[j->status], "total-progress", (json_int_t)j->total, "type", j->drv->type,
                              "id", j->id);

        if (j->error)
            json_object_set_new(o, "error", json_string(j->error));
        json_array_append_new(a, o);
    }
    return a;
}

static json_t *block_job_json(Job *j)
{
    json_t *o = json_pack("{s:b, s:s, s:s, s:b, s:b, s:I, s:I, s:s, s:b, s:I, s:b, s:s}", "auto-finalize", j->auto_finalize,
                          "io-status", !j->io_status ? "ok" : j->io_status == ENOSPC ? "nospace" : "failed", "device", j->id,
                          "auto-dismiss", j->auto_dismiss, "busy", j->busy, "len", (json_int_t)j->total, "offset",
                          (json_int_t)j->done, "status", job_status_names[j->status], "paused", j->pauses > 0, "speed",
                          (json_int_t)j->speed, "ready", j->status == JOB_READY || j->status == JOB_STANDBY, "type",
                          j->drv->type);

    if (j->error)
        json_object_set_new(o, "error", json_string(j->error));
    return o;
}

json_t *job_query_block(void)
{
    json_t *a = json_array();

    for (Job *j = jobs_list; j; j = j->next)
        if (j->drv->block_job)
            json_array_append_new(a, block_job_json(j));
    return a;
}

void job_info(GString *out)
{
    bool any = false;

    for (Job *j = jobs_list; j; j = j->next) {
        if (!j->drv->block_job)
            continue;
        any = true;
        if (!strcmp(j->drv->type, "stream"))
            g_string_append_printf(out, "Streaming device %s: Completed %" PRId64 " of %" PRId64 " bytes, speed limit %" PRId64
                                   " bytes/s\n", j->id, j->done, j->total, j->speed);
        else
            g_string_append_printf(out, "Type %s, device %s: Completed %" PRId64 " of %" PRId64 " bytes, speed limit %" PRId64
                                   " bytes/s\n", j->drv->type, j->id, j->done, j->total, j->speed);
    }
    if (!any)
        g_string_append(out, "No active jobs\n");
}

/* ---- arguments */

static bool on_error(json_t *args, const char *key, BlkOnError *val, GError **err)
{
    const char *s = json_string_value(json_object_get(args, key));

    *val = BLK_ERR_REPORT;
    for (unsigned i = 0; s && blk_on_error_names[i]; i++) {
        if (!strcmp(blk_on_error_names[i], s)) {
            *val = i;
            return true;
        }
    }
    return !s || error_set(err, "Parameter '%s' does not accept value '%s'", key, s);
}

bool job_args_from_json(JobArgs *a, json_t *args, GError **err)
{
    *a = (JobArgs){ .id = json_string_value(json_object_get(args, "job-id")),
                    .speed = json_integer_value(json_object_get(args, "speed")),
                    .auto_finalize = !json_is_false(json_object_get(args, "auto-finalize")),
                    .auto_dismiss = !json_is_false(json_object_get(args, "auto-dismiss")) };
    if (json_object_get(args, "on-error"))
        return on_error(args, "on-error", &a->on_source, err);
    return on_error(args, "on-source-error", &a->on_source, err) && on_error(args, "on-target-error", &a->on_target, err);
}
