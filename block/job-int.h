/* Between the files that are the job core. */
#ifndef BLOCK_JOB_INT_H
#define BLOCK_JOB_INT_H
#include "block/job.h"

extern Job *jobs_list;
extern unsigned jobs_held;
extern const char *const job_status_names[];
void job_set_status(Job *j, JobStatus s);
void job_completed(Job *j);             /* run has returned, or it was cancelled before it started */
void job_cancel(Job *j, bool force);
void job_finalize_txn(Job *j);
void job_dismiss_now(Job *j);
#endif
