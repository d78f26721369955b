/*
 * Jobs: long operations on images that go on while the guest runs.
 *
 * The life of a job; a job may be paused and cancelled at any time before it is pending:
 *
 *        created ──> running <──> paused
 *           │         │   └──> ready <──> standby         (mirror and active commit: source and target are the same)
 *           │         │          │
 *           │         └────┬─────┘
 *           │              v
 *           │           waiting      for the others of its transaction
 *           │              v
 *           │           pending      for job-finalize, with auto-finalize off
 *           │              v
 *           └──────> aborting ──> concluded ──> null      dismissed; at once, with auto-dismiss
 *                    (an error, or cancelled; from any state above; success goes from pending to concluded)
 *
 * Invariants:
 *   1. A job has one coroutine, from running until its `run` returns; nothing else does its work.
 *   2. A job changes the graph only outside of that coroutine (before it starts; in prepare, commit, abort and clean),
 *      and only while the graph is quiesced (graph-ops.h).
 *   3. While the graph is quiesced, no job has a request in flight and no job starts or ends.
 *   4. `prepare` may fail, and then everything is as if the job had been cancelled; `commit` may not.
 *      Either commit or abort is called, then clean; of all jobs of a transaction that is grouped, the same.
 *   5. What a guest has been told is written is in the source until the source is out of the graph; the target takes its
 *      place only when it holds that as well and has been flushed.
 *   6. A header that names a backing file is rewritten only when what the new name leads to holds all data and is flushed;
 *      a file is let go of only after no header names it. So a cut at any moment leaves a chain that opens and reads
 *      as the guest saw it.
 *   7. A cancelled job ends at its next step; nobody waits for its speed limit or its pause.
 *
 * All under the machine lock. job_co_*: in the job's coroutine.
 */
#ifndef BLOCK_JOB_H
#define BLOCK_JOB_H
#include "block/aio.h"
#include "block/graph.h"

typedef enum JobStatus { JOB_UNDEFINED, JOB_CREATED, JOB_RUNNING, JOB_PAUSED, JOB_READY, JOB_STANDBY, JOB_WAITING, JOB_PENDING,
                         JOB_ABORTING, JOB_CONCLUDED, JOB_NULL, JOB_STATUSES } JobStatus;
typedef enum JobVerb { JOB_CANCEL, JOB_PAUSE, JOB_RESUME, JOB_SET_SPEED, JOB_COMPLETE, JOB_FINALIZE, JOB_DISMISS,
                       JOB_VERBS } JobVerb;

typedef struct Job Job;

typedef struct JobDriver {
    const char *type;                   /* "stream" */
    bool block_job;                     /* shown by query-block-jobs, with BLOCK_JOB_* events */
    size_t size;                        /* of the struct that begins with a Job */
    int (*run)(Job *j, GError **err);   /* in its coroutine; 0 or -errno, with err or without */
    /* at the end, outside of the coroutine, quiesced; any may be NULL */
    int (*prepare)(Job *j, GError **err);
    void (*commit)(Job *j);
    void (*abort)(Job *j);
    void (*clean)(Job *j);
    bool (*complete)(Job *j, GError **err);     /* NULL: it ends by itself */
    /* asked to stop without force: true when it will end as if it had been successful */
    bool (*soft_cancel)(Job *j);
} JobDriver;

typedef struct JobTxn { unsigned refs; GPtrArray *jobs; bool grouped, aborting; } JobTxn;

struct Job {
    const JobDriver *drv;
    char *id;
    JobStatus status;
    Coroutine *co;                      /* NULL: not started, or run has returned */
    bool busy;                          /* it has not given the processor back to sleep or pause */
    bool paused, user_paused, started, ended, held_back, finishing;
    unsigned pauses;                    /* reasons to pause */
    bool cancelled, forced;
    bool auto_finalize, auto_dismiss;
    int ret;
    char *error;                        /* NULL: none */
    int64_t done, total;                /* progress */
    int64_t speed, next_slot;           /* bytes a second (0: any); ns */
    BlkOnError on_source, on_target;
    int io_status;                      /* errno of the error that it waits for */
    JobTxn *txn;
    GPtrArray *nodes;                   /* that nobody else may work on, a reference each */
    BlockNode *main;                    /* of them, the one that it is about */
    AioTimer sleep;
    AioSoon exit;
    Job *next;                          /* the newest first */
};

typedef struct JobArgs {
    const char *id;                     /* NULL: main's drive */
    int64_t speed;
    bool auto_finalize, auto_dismiss;
    BlkOnError on_source, on_target;
    JobTxn *txn;                        /* NULL: alone */
} JobArgs;

/* What all block jobs' commands have in args: "job-id", "speed", ... Returns false on a wrong value. */
bool job_args_from_json(JobArgs *a, json_t *args, GError **err);
/* In state created. main may be NULL for a job that is none of the block layer's graph. */
Job *job_new(const JobDriver *drv, const JobArgs *a, BlockNode *main, GError **err);
void job_use_node(Job *j, BlockNode *n);
/* false when a job works on n */
bool node_not_busy(BlockNode *n, GError **err);
void job_start(Job *j);
/* Before it has been started: it fails, without a trace but its events. */
void job_early_fail(Job *j);
JobTxn *job_txn_new(bool grouped);
void job_txn_unref(JobTxn *t);

/* Pauses if it has been asked to; returns true when it must end. Every loop of `run` calls one of these three. */
bool job_co_pause_point(Job *j);
bool job_co_sleep(Job *j, int64_t ns);
bool job_co_wait(Job *j);               /* until job_enter */
/* After `bytes`: sleeps as long as the speed limit asks for, and gives others a chance. */
bool job_co_pace(Job *j, int64_t bytes);
/* An error of a request (> 0): REPORT: end with it, IGNORE: go on, STOP: has paused; do it again. Sends BLOCK_JOB_ERROR. */
BlkOnError job_co_error(Job *j, bool read, BlkOnError how, int error);
void job_co_ready(Job *j);
void job_enter(Job *j);                 /* wakes it out of sleep or wait */
static inline bool job_forced(const Job *j) { return j->cancelled && j->forced; }

/* ---- for graph-ops.c */
bool jobs_busy(void);
void jobs_hold(void);
void jobs_release(void);

/* ---- for the monitor */
Job *job_find(const char *id);
/* "job-cancel" and friends, and block-job-*: which jobs' names say what is wrong differs. */
bool job_verb(const char *id, JobVerb verb, bool block_job, bool force, int64_t speed, GError **err);
json_t *job_query(void);
json_t *job_query_block(void);
void job_info(GString *out);
void jobs_cancel_all(void);             /* and waits */

/* The commands, by their QMP arguments. */
bool block_stream(json_t *args, GError **err);
bool block_commit(json_t *args, GError **err);
bool blockdev_mirror(json_t *args, GError **err);
bool drive_mirror(json_t *args, GError **err);
bool blockdev_backup(json_t *args, JobTxn *txn, Job **job, GError **err);
bool drive_backup(json_t *args, JobTxn *txn, Job **job, GError **err);
bool block_backup_command(json_t *args, bool drive, GError **err);      /* and starts it */
bool blockdev_create_job(json_t *args, GError **err);
bool block_transaction(json_t *args, GError **err);
bool blockdev_snapshot(json_t *args, GError **err);
bool blockdev_snapshot_sync(json_t *args, GError **err);
bool blockdev_snapshot_internal(json_t *args, GError **err);
json_t *blockdev_snapshot_delete_internal(json_t *args, GError **err);
bool change_backing_file(json_t *args, GError **err);
bool blockdev_reopen(json_t *args, GError **err);
bool block_set_write_threshold(json_t *args, GError **err);
bool block_set_io_throttle(json_t *args, GError **err);
/* An active commit is a mirror into the base. */
bool mirror_start_commit(const JobArgs *a, BlockNode *top, BlockNode *base, const char *filter_name, GError **err);
#endif
